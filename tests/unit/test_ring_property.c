/* SPDX-License-Identifier: MIT
 *
 * Random member sets and histories against the plain reference. The seed is printed; run with
 * RF_TEST_SEED=<n> to repeat one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "core/ring_inline.h"
#include "tests/support/ring_reference.h"

enum { ID_SIZE = 24, OWNERS_MAX = 128, BATCH = 512 };

static struct rf_random random_state;

struct set {
    char (*ids)[ID_SIZE];
    struct rf_ring_member *members;
    size_t count;
};

static struct set set_new(size_t count_max)
{
    struct set set = {.ids = calloc(count_max, ID_SIZE),
                      .members = calloc(count_max, sizeof(struct rf_ring_member))};
    assert_non_null(set.ids);
    assert_non_null(set.members);
    return set;
}

static void set_free(struct set *set)
{
    free(set->ids);
    free(set->members);
}

static void set_add(struct set *set, const char *id, uint32_t replicas)
{
    (void)snprintf(set->ids[set->count], ID_SIZE, "%s", id);
    set->members[set->count] =
        (struct rf_ring_member){.id = set->ids[set->count], .replicas = replicas};
    set->count++;
}

/* Ids of one to many bytes, among them numbers, that make equal points under crc32. */
static void set_add_random(struct set *set, size_t number, uint32_t replicas_max)
{
    static const char *const prefixes[] = {"", "node-", "\xc3\xa9-", ""};
    static const char *const suffixes[] = {"", ".example", "", "x"};
    size_t kind = rf_random_below(&random_state, 4);
    char id[ID_SIZE];
    (void)snprintf(id, sizeof(id), "%s%zu%s", prefixes[kind], number, suffixes[kind]);
    set_add(set, id, 1 + (uint32_t)rf_random_below(&random_state, replicas_max));
}

static struct rf_ring *build(enum rf_placement placement, const struct set *set)
{
    struct rf_ring *ring = NULL;
    struct rf_error err = {0};
    int code = rf_ring_build(placement, set->members, set->count, &ring, &err);
    if (code != 0) {
        fail_msg("build: %s", err.text);
    }
    return ring;
}

static const char *id_of(const struct rf_ring *ring, uint16_t slot)
{
    const struct rf_ring_member *member = rf_ring_member(ring, slot);
    assert_non_null(member);
    return member->id;
}

/* A hash that some key may have: under crc32 the lower half is 0. */
static uint64_t possible(enum rf_placement placement, uint64_t hash)
{
    return placement == RF_PLACEMENT_V1 ? hash : hash >> 32 << 32;
}

/* Checks `hashes` one by one and as a batch, in every form, against the reference. Comparing ids by
 * assert_string_equal for millions of keys would take most of the time. */
static void check_hashes(struct rf_ring *ring, const struct reference *reference, uint64_t *hashes,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hashes[i] = possible(reference->placement, hashes[i]);
    }
    enum rf_ring_form best = rf_ring_form(ring);
    uint16_t slots[BATCH];
    assert_true(count <= BATCH);
    for (int form = RF_RING_SCALAR; form <= RF_RING_AVX2; form++) {
        if (!rf_ring_force_form(ring, (enum rf_ring_form)form)) {
            continue;
        }
        rf_ring_owner_batch(ring, hashes, count, slots);
        for (size_t i = 0; i < count; i++) {
            uint16_t slot = rf_ring_owner(ring, hashes[i]);
            uint16_t inlined = rf_ring_owner_inline(ring, hashes[i]);
            const char *expected = reference_owner(reference, hashes[i]);
            if (slots[i] != slot || inlined != slot || strcmp(id_of(ring, slot), expected) != 0) {
                fail_msg("hash %016lx, form %s: one %s, inlined %s, batch %s, expected %s",
                         hashes[i], rf_ring_form_name((enum rf_ring_form)form), id_of(ring, slot),
                         id_of(ring, inlined), id_of(ring, slots[i]), expected);
            }
        }
    }
    assert_true(rf_ring_force_form(ring, best));
}

static void check_random_hashes(struct rf_ring *ring, const struct reference *reference,
                                size_t count)
{
    uint64_t hashes[BATCH];
    for (size_t done = 0; done < count; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            hashes[i] = rf_random_next(&random_state);
        }
        check_hashes(ring, reference, hashes, BATCH);
    }
}

/* At each point, one before and after it, at the same residue (2^48 / lines hashes share one) on
 * both sides, and at both ends of the circle. */
static void check_hashes_at_points(struct rf_ring *ring, const struct reference *reference)
{
    size_t lines = rf_ring_points_count(ring) / 8 + 1;
    uint64_t step = ((uint64_t)1 << 48) / lines;
    for (size_t i = 0; i < reference->points_count; i++) {
        uint64_t at = reference->points[i].hash;
        if (reference->placement == RF_PLACEMENT_CRC32) {
            at = (uint64_t)(uint32_t)~at << 32;
        }
        uint64_t below = rf_random_below(&random_state, step);
        uint64_t unit = (uint64_t)1 << 32;
        uint64_t hashes[] = {
            at,        at - 1,    at + 1,     at - below,     at + below,
            at - unit, at + unit, at - step,  at + step,      at ^ (uint64_t)0xffff,
            0,         1,         UINT64_MAX, UINT64_MAX - 1,
        };
        check_hashes(ring, reference, hashes, sizeof(hashes) / sizeof(hashes[0]));
    }
}

static void check_owners(const struct rf_ring *ring, const struct reference *reference,
                         size_t keys_count)
{
    for (size_t key = 0; key < keys_count; key++) {
        uint64_t hash = possible(reference->placement, rf_random_next(&random_state));
        size_t count = 1 + rf_random_below(&random_state, OWNERS_MAX);
        uint16_t slots[OWNERS_MAX];
        const char *ids[OWNERS_MAX];
        size_t expected = reference_owners(reference, hash, count, ids);
        assert_int_equal(rf_ring_owners(ring, hash, count, slots), expected);
        for (size_t i = 0; i < expected; i++) {
            assert_string_equal(id_of(ring, slots[i]), ids[i]);
        }
        assert_int_equal(slots[0], rf_ring_owner(ring, hash));
    }
}

static void check_set(enum rf_placement placement, const struct set *set)
{
    struct rf_ring *ring = build(placement, set);
    struct reference reference = reference_new(placement, set->members, set->count);
    rf_ring_check(ring);
    assert_int_equal(rf_ring_points_count(ring), reference.points_count);
    check_random_hashes(ring, &reference, 4096);
    check_hashes_at_points(ring, &reference);
    check_owners(ring, &reference, 100);
    reference_free(&reference);
    rf_ring_free(ring);
}

/* ---- tests ---- */

static void ring_of_any_random_set_answers_as_the_sorted_array(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 3, 5, 8, 20, 60, 120};
    static const uint32_t replicas[] = {1, 2, 7, 60, 200};
    for (int placement = RF_PLACEMENT_V1; placement <= RF_PLACEMENT_CRC32; placement++) {
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
            for (size_t r = 0; r < sizeof(replicas) / sizeof(replicas[0]); r++) {
                struct set set = set_new(counts[c]);
                for (size_t i = 0; i < counts[c]; i++) {
                    set_add_random(&set, i, replicas[r]);
                }
                check_set((enum rf_placement)placement, &set);
                set_free(&set);
            }
        }
    }
}

/* 2^32 positions and 16-bit residues: hundreds of lines hold two points of one residue. */
static void ring_of_a_million_points_answers_as_the_sorted_array(void **state)
{
    (void)state;
    for (int placement = RF_PLACEMENT_V1; placement <= RF_PLACEMENT_CRC32; placement++) {
        struct set set = set_new(100);
        for (size_t i = 0; i < 100; i++) {
            char id[ID_SIZE];
            (void)snprintf(id, sizeof(id), "10.0.0.%zu:7370", i);
            set_add(&set, id, 10000);
        }
        struct rf_ring *ring = build((enum rf_placement)placement, &set);
        struct reference reference =
            reference_new((enum rf_placement)placement, set.members, set.count);
        check_random_hashes(ring, &reference, (size_t)1 << 20);
        /* Neighbours that share a residue are where only the full points can tell. */
        uint64_t step = ((uint64_t)1 << 48) / (reference.points_count / 8);
        for (size_t i = 1; i < reference.points_count; i++) {
            bool is_crc32 = placement == RF_PLACEMENT_CRC32;
            uint64_t a = reference.points[i - 1].hash << (is_crc32 ? 32 : 0);
            uint64_t b = reference.points[i].hash << (is_crc32 ? 32 : 0);
            if (b - a < step) {
                a = is_crc32 ? (uint64_t)(uint32_t) ~(a >> 32) << 32 : a;
                b = is_crc32 ? (uint64_t)(uint32_t) ~(b >> 32) << 32 : b;
                uint64_t hashes[] = {a - 1, a, a + 1, a / 2 + b / 2, b - 1, b, b + 1};
                check_hashes(ring, &reference, hashes, sizeof(hashes) / sizeof(hashes[0]));
            }
        }
        reference_free(&reference);
        rf_ring_free(ring);
        set_free(&set);
    }
}

/* Ids are searched whose only point is in one 64th of the circle: lines of hundreds of points, and
 * long runs of empty ones. */
static void ring_of_points_in_one_place_answers_as_the_sorted_array(void **state)
{
    (void)state;
    for (int placement = RF_PLACEMENT_V1; placement <= RF_PLACEMENT_CRC32; placement++) {
        for (uint64_t part = 0; part < 64; part += 21) {
            struct set set = set_new(1000);
            for (size_t number = 0; set.count < 1000; number++) {
                char id[ID_SIZE];
                uint64_t point;
                (void)snprintf(id, sizeof(id), "%zu", number);
                rf_placement_points((enum rf_placement)placement, id, 0, 1, &point);
                if (point >> 58 == part) {
                    set_add(&set, id, 1);
                }
            }
            check_set((enum rf_placement)placement, &set);
            set_free(&set);
        }
    }
}

static void shuffle(struct set *set)
{
    for (size_t i = set->count; i > 1; i--) {
        size_t j = rf_random_below(&random_state, i);
        struct rf_ring_member member = set->members[i - 1];
        set->members[i - 1] = set->members[j];
        set->members[j] = member;
    }
}

/* A few members have nearly all points, so that the others are not met on a walk of any length. */
static void ring_owners_of_uneven_weights_are_those_of_the_sorted_array(void **state)
{
    (void)state;
    for (int placement = RF_PLACEMENT_V1; placement <= RF_PLACEMENT_CRC32; placement++) {
        for (size_t heavy = 1; heavy <= 4; heavy++) {
            struct set set = set_new(OWNERS_MAX);
            for (size_t i = 0; i < OWNERS_MAX; i++) {
                set_add_random(&set, i, i < heavy ? 1 : 40);
                if (i < heavy) {
                    set.members[i].replicas = 60000;
                }
            }
            struct rf_ring *ring = build((enum rf_placement)placement, &set);
            struct reference reference =
                reference_new((enum rf_placement)placement, set.members, set.count);
            check_owners(ring, &reference, 40);
            reference_free(&reference);
            rf_ring_free(ring);
            set_free(&set);
        }
    }
}

static void ring_does_not_depend_on_the_order_of_arrival(void **state)
{
    (void)state;
    for (int placement = RF_PLACEMENT_V1; placement <= RF_PLACEMENT_CRC32; placement++) {
        struct set set = set_new(200);
        for (size_t i = 0; i < 200; i++) {
            set_add_random(&set, i, 100);
        }
        struct reference reference =
            reference_new((enum rf_placement)placement, set.members, set.count);
        for (int turn = 0; turn < 5; turn++) {
            shuffle(&set);
            struct rf_ring *ring = build((enum rf_placement)placement, &set);
            check_random_hashes(ring, &reference, 4096);
            check_owners(ring, &reference, 100);
            rf_ring_free(ring);
        }
        reference_free(&reference);
        set_free(&set);
    }
}

/* A pool of members, of which those with is_in are in the ring, in the slot kept here. */
struct history {
    struct set pool;
    bool is_in[400];
    uint16_t slots[400];
    size_t in_count;
};

enum { POOL = 400, AT_ONCE = 12 };

/* One random change: some leave, some come, some change their weight. */
static struct rf_ring *history_step(struct history *history, const struct rf_ring *ring,
                                    size_t change_max)
{
    uint16_t removed[2 * AT_ONCE];
    size_t removed_count = 0;
    struct rf_ring_member added[2 * AT_ONCE];
    size_t added_at[2 * AT_ONCE];
    size_t added_count = 0;
    for (size_t n = 1 + rf_random_below(&random_state, change_max); n > 0; n--) {
        size_t i = rf_random_below(&random_state, POOL);
        bool is_touched = false;
        for (size_t at = 0; at < added_count; at++) {
            is_touched = is_touched || added_at[at] == i;
        }
        for (size_t at = 0; at < removed_count; at++) {
            is_touched = is_touched || removed[at] == history->slots[i];
        }
        bool is_weight_change = rf_random_below(&random_state, 4) == 0;
        if (is_touched || (history->is_in[i] && !is_weight_change && history->in_count == 1)) {
            continue;
        }
        if (history->is_in[i]) {
            removed[removed_count++] = history->slots[i];
            history->in_count--;
        }
        if (!history->is_in[i] || is_weight_change) {
            history->pool.members[i].replicas = 1 + (uint32_t)rf_random_below(&random_state, 120);
            added[added_count] = history->pool.members[i];
            added_at[added_count++] = i;
            history->in_count++;
        }
        history->is_in[i] = !history->is_in[i] || is_weight_change;
    }
    uint16_t slots[2 * AT_ONCE];
    struct rf_ring *next = NULL;
    struct rf_error err = {0};
    int code = rf_ring_update(ring, removed, removed_count, added, added_count, slots, &next, &err);
    if (code != 0) {
        fail_msg("update: %s", err.text);
    }
    for (size_t at = 0; at < added_count; at++) {
        history->slots[added_at[at]] = slots[at];
    }
    return next;
}

static void history_check(const struct history *history, struct rf_ring *ring)
{
    struct set set = set_new(POOL);
    for (size_t i = 0; i < POOL; i++) {
        if (history->is_in[i]) {
            set_add(&set, history->pool.ids[i], history->pool.members[i].replicas);
            const struct rf_ring_member *member = rf_ring_member(ring, history->slots[i]);
            assert_non_null(member);
            assert_string_equal(member->id, history->pool.ids[i]);
            assert_int_equal(member->replicas, history->pool.members[i].replicas);
        }
    }
    assert_int_equal(set.count, history->in_count);
    assert_int_equal(rf_ring_members_count(ring), history->in_count);
    struct reference reference = reference_new(rf_ring_placement(ring), set.members, set.count);
    rf_ring_check(ring);
    check_random_hashes(ring, &reference, BATCH);
    check_owners(ring, &reference, 20);
    reference_free(&reference);
    set_free(&set);
}

static void ring_of_any_history_equals_the_ring_built_at_once(void **state)
{
    (void)state;
    for (int placement = RF_PLACEMENT_V1; placement <= RF_PLACEMENT_CRC32; placement++) {
        struct history history = {.pool = set_new(POOL), .in_count = 1};
        for (size_t i = 0; i < POOL; i++) {
            set_add_random(&history.pool, i, 120);
        }
        struct rf_ring *ring = NULL;
        history.is_in[0] = true;
        assert_int_equal(
            rf_ring_build((enum rf_placement)placement, history.pool.members, 1, &ring, NULL), 0);
        for (int step = 0; step < 400; step++) {
            /* Mostly one member, the way of a cluster; now and then many. */
            struct rf_ring *next = history_step(&history, ring, step % 10 == 0 ? AT_ONCE : 1);
            rf_ring_free(ring);
            ring = next;
            history_check(&history, ring);
        }
        rf_ring_free(ring);
        set_free(&history.pool);
    }
}

static void ring_change_moves_keys_only_to_or_from_the_changed_member(void **state)
{
    (void)state;
    for (int placement = RF_PLACEMENT_V1; placement <= RF_PLACEMENT_CRC32; placement++) {
        struct set set = set_new(51);
        for (size_t i = 0; i < 51; i++) {
            set_add_random(&set, i, 300);
        }
        struct rf_ring *before = NULL;
        struct rf_ring *after = NULL;
        struct rf_ring *again = NULL;
        uint16_t slot;
        assert_int_equal(
            rf_ring_build((enum rf_placement)placement, set.members, 50, &before, NULL), 0);
        assert_int_equal(rf_ring_update(before, NULL, 0, &set.members[50], 1, &slot, &after, NULL),
                         0);
        assert_int_equal(rf_ring_update(after, &slot, 1, NULL, 0, NULL, &again, NULL), 0);
        size_t moved = 0;
        size_t kept = 0;
        for (int key = 0; key < 200000; key++) {
            uint64_t hash = possible((enum rf_placement)placement, rf_random_next(&random_state));
            uint16_t owner = rf_ring_owner(after, hash);
            if (owner == slot) {
                moved++;
            } else if (owner == rf_ring_owner(before, hash)) {
                kept++;
            }
            assert_int_equal(rf_ring_owner(again, hash), rf_ring_owner(before, hash));
        }
        assert_int_equal(moved + kept, 200000);
        assert_true(moved > 0 && kept > 0);
        rf_ring_free(before);
        rf_ring_free(after);
        rf_ring_free(again);
        set_free(&set);
    }
}

/* A share's standard deviation is about its mean / sqrt(replicas): 10 % of slack is five of them.
 * Only v1 promises it: a crc is linear, and ids that differ in one byte get related points. */
static void ring_shares_are_in_proportion_to_weights(void **state)
{
    (void)state;
    enum { KEYS = 1 << 20, MEMBERS = 8 };
    static const uint32_t weights[MEMBERS] = {2500, 2500, 5000, 5000, 10000, 10000, 20000, 45000};
    struct set set = set_new(MEMBERS);
    size_t weights_sum = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        char id[ID_SIZE];
        (void)snprintf(id, sizeof(id), "%zu", i);
        set_add(&set, id, weights[i]);
        weights_sum += weights[i];
    }
    struct rf_ring *ring = build(RF_PLACEMENT_V1, &set);
    size_t keys_of[MEMBERS] = {0};
    for (int key = 0; key < KEYS; key++) {
        keys_of[rf_ring_owner(ring, rf_random_next(&random_state))]++;
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        double expected = (double)KEYS * weights[i] / (double)weights_sum;
        assert_true((double)keys_of[i] > 0.9 * expected);
        assert_true((double)keys_of[i] < 1.1 * expected);
    }
    rf_ring_free(ring);
    set_free(&set);
}

int main(void)
{
    const char *text = getenv("RF_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20240607;
    (void)printf("seed %lu (RF_TEST_SEED)\n", seed);
    random_state = (struct rf_random){.state = seed};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_of_any_random_set_answers_as_the_sorted_array),
        cmocka_unit_test(ring_of_a_million_points_answers_as_the_sorted_array),
        cmocka_unit_test(ring_of_points_in_one_place_answers_as_the_sorted_array),
        cmocka_unit_test(ring_owners_of_uneven_weights_are_those_of_the_sorted_array),
        cmocka_unit_test(ring_does_not_depend_on_the_order_of_arrival),
        cmocka_unit_test(ring_of_any_history_equals_the_ring_built_at_once),
        cmocka_unit_test(ring_change_moves_keys_only_to_or_from_the_changed_member),
        cmocka_unit_test(ring_shares_are_in_proportion_to_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
