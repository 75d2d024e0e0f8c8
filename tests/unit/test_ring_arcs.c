/* SPDX-License-Identifier: MIT
 *
 * Shares, moves and places, against the plain reference: exactly, arc by arc, and by sampled keys.
 * The seed is printed; run with RF_TEST_SEED=<n> to repeat one.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "core/ring_arcs.h"
#include "tests/support/ring_reference.h"

enum { MEMBERS_MAX = 40, ID_SIZE = 24, SAMPLES = 20000, TURNS = 60 };

static struct rf_random random_state;

struct set {
    char ids[MEMBERS_MAX][ID_SIZE];
    struct rf_ring_member members[MEMBERS_MAX];
    size_t count;
};

static struct rf_ring *build(enum rf_placement placement, const struct set *set)
{
    struct rf_ring *ring = NULL;
    if (set->count > 0) {
        assert_int_equal(rf_ring_build(placement, set->members, set->count, &ring, NULL), 0);
    }
    return ring;
}

/* Numbers as ids: under crc32 they have equal points. */
static void set_make(struct set *set, size_t population, size_t count, uint32_t replicas_max)
{
    set->count = 0;
    for (size_t i = 0; i < population && set->count < count; i++) {
        if (rf_random_below(&random_state, population - i) >= count - set->count) {
            continue;
        }
        char *id = set->ids[set->count];
        (void)snprintf(id, ID_SIZE, i % 2 == 0 ? "%zu" : "1%zu", i);
        set->members[set->count++] =
            (struct rf_ring_member){id, 1 + (uint32_t)rf_random_below(&random_state, replicas_max)};
    }
}

/* One of both differs from the other as by a change of the group, or they are strangers. */
static void set_change(const struct set *from, struct set *ret_to)
{
    ret_to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        uint64_t what = rf_random_below(&random_state, 6);
        if (what == 0) {
            continue; /* removed */
        }
        char *id = ret_to->ids[ret_to->count];
        memcpy(id, from->ids[i], ID_SIZE);
        uint32_t replicas = from->members[i].replicas;
        ret_to->members[ret_to->count++] =
            (struct rf_ring_member){id, what == 1 ? replicas + 7 : replicas};
    }
    if (ret_to->count < MEMBERS_MAX && rf_random_below(&random_state, 2) == 0) {
        char *id = ret_to->ids[ret_to->count];
        (void)snprintf(id, ID_SIZE, "new");
        ret_to->members[ret_to->count++] = (struct rf_ring_member){id, 50};
    }
}

static const char *name(const struct rf_ring *ring, uint16_t slot)
{
    return slot == RF_RING_NOBODY ? "" : rf_ring_member(ring, slot)->id;
}

/* How much goes from one id to another. */
static unsigned __int128 positions_of(const struct rf_ring *before, const struct rf_ring *after,
                                      const struct rf_ring_move *moves, size_t count,
                                      const char *from, const char *to)
{
    unsigned __int128 positions = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name(before, moves[i].from), from) == 0 &&
            strcmp(name(after, moves[i].to), to) == 0) {
            assert_true(positions == 0); /* each pair once */
            positions = moves[i].positions;
        }
    }
    return positions;
}

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static const char *reference_name(const struct reference *reference, uint64_t hash)
{
    return reference->points_count == 0 ? "" : reference_owner(reference, hash);
}

/* All positions at which an owner may change in one of both, in order, as lookups want them. */
static size_t ends_of_arcs(const struct reference *a, const struct reference *b, uint64_t *ret_ends)
{
    size_t count = 0;
    for (size_t i = 0; i < a->points_count + b->points_count; i++) {
        uint64_t hash =
            i < a->points_count ? a->points[i].hash : b->points[i - a->points_count].hash;
        ret_ends[count++] =
            a->placement == RF_PLACEMENT_V1 ? hash : (uint64_t)(uint32_t)~hash << 32;
    }
    qsort(ret_ends, count, sizeof(ret_ends[0]), compare_hashes);
    return count;
}

/* What each pair has by the reference: over all arcs, each owned by whom its end is. */
static void check_exactly(const struct rf_ring *before, const struct rf_ring *after,
                          const struct rf_ring_move *moves, size_t moves_count,
                          const struct reference *old_reference,
                          const struct reference *new_reference)
{
    size_t most = old_reference->points_count + new_reference->points_count;
    uint64_t *ends = calloc(most, sizeof(ends[0]));
    assert_non_null(ends);
    size_t count = ends_of_arcs(old_reference, new_reference, ends);
    unsigned __int128 *expected = calloc(moves_count + 1, sizeof(expected[0]));
    assert_non_null(expected);
    uint64_t previous = ends[count - 1];
    for (size_t i = 0; i < count; i++) {
        unsigned __int128 size = ends[i] - previous;
        size = i == 0 && size == 0 ? RF_RING_POSITIONS : size; /* all points in one place */
        const char *from = reference_name(old_reference, ends[i]);
        const char *to = reference_name(new_reference, ends[i]);
        size_t at = 0;
        while (at < moves_count && (strcmp(name(before, moves[at].from), from) != 0 ||
                                    strcmp(name(after, moves[at].to), to) != 0)) {
            at++;
        }
        assert_true(size == 0 || (at == moves_count) == (strcmp(from, to) == 0));
        expected[at] += size;
        previous = ends[i];
    }
    for (size_t at = 0; at < moves_count; at++) {
        assert_true(expected[at] == moves[at].positions);
        assert_true(at == 0 || moves[at - 1].positions >= moves[at].positions);
    }
    free(expected);
    free(ends);
}

/* Random keys by two lookups: who gives to whom must be a move, and as often as its size says,
 * within six standard deviations. */
static void check_by_sampling(const struct rf_ring *before, const struct rf_ring *after,
                              const struct rf_ring_move *moves, size_t moves_count)
{
    size_t *hits = calloc(moves_count + 1, sizeof(hits[0]));
    assert_non_null(hits);
    for (size_t i = 0; i < SAMPLES; i++) {
        uint64_t hash = rf_random_next(&random_state);
        if (rf_ring_placement(before != NULL ? before : after) == RF_PLACEMENT_CRC32) {
            hash = hash >> 32 << 32;
        }
        uint16_t from = before == NULL ? (uint16_t)RF_RING_NOBODY : rf_ring_owner(before, hash);
        uint16_t to = after == NULL ? (uint16_t)RF_RING_NOBODY : rf_ring_owner(after, hash);
        size_t at = 0;
        while (at < moves_count && (moves[at].from != from || moves[at].to != to)) {
            at++;
        }
        assert_true((at == moves_count) == (strcmp(name(before, from), name(after, to)) == 0));
        hits[at]++;
    }
    for (size_t at = 0; at < moves_count; at++) {
        double share = (double)moves[at].positions / 0x1p64;
        double deviation = sqrt(SAMPLES * share * (1 - share));
        assert_true(fabs((double)hits[at] - SAMPLES * share) <= 6 * deviation + 6);
    }
    free(hits);
}

static void check_pair(enum rf_placement placement, const struct set *old_set,
                       const struct set *new_set)
{
    struct rf_ring *before = build(placement, old_set);
    struct rf_ring *after = build(placement, new_set);
    struct reference old_reference = reference_new(placement, old_set->members, old_set->count);
    struct reference new_reference = reference_new(placement, new_set->members, new_set->count);
    struct rf_ring_move *moves;
    size_t count;
    assert_int_equal(rf_ring_diff(before, after, &moves, &count, NULL), 0);
    check_exactly(before, after, moves, count, &old_reference, &new_reference);
    check_by_sampling(before, after, moves, count);
    free(moves);
    reference_free(&old_reference);
    reference_free(&new_reference);
    rf_ring_free(before);
    rf_ring_free(after);
}

/* ---- tests ---- */

static void ring_shares_of_one_member_are_the_circle(void **state)
{
    (void)state;
    for (int placement = RF_PLACEMENT_V1; placement <= RF_PLACEMENT_CRC32; placement++) {
        for (uint32_t replicas = 1; replicas <= 100; replicas += 33) {
            struct set set = {.ids = {"a"}, .members = {{set.ids[0], replicas}}, .count = 1};
            struct rf_ring *ring = build((enum rf_placement)placement, &set);
            unsigned __int128 share;
            rf_ring_shares(ring, &share);
            assert_true(share == RF_RING_POSITIONS);
            rf_ring_free(ring);
        }
    }
}

static void ring_shares_sum_up_to_the_circle_and_are_what_moves_to_nobody(void **state)
{
    (void)state;
    for (int turn = 0; turn < TURNS; turn++) {
        enum rf_placement placement = (enum rf_placement)(turn % 2);
        struct set set;
        set_make(&set, MEMBERS_MAX, 1 + rf_random_below(&random_state, MEMBERS_MAX), 100);
        struct rf_ring *ring = build(placement, &set);
        unsigned __int128 shares[MEMBERS_MAX];
        unsigned __int128 sum = 0;
        rf_ring_shares(ring, shares);
        struct rf_ring_move *moves;
        size_t count;
        assert_int_equal(rf_ring_diff(ring, NULL, &moves, &count, NULL), 0);
        for (size_t slot = 0; slot < set.count; slot++) {
            sum += shares[slot];
            assert_true(positions_of(ring, NULL, moves, count, set.ids[slot], "") == shares[slot]);
        }
        assert_true(sum == RF_RING_POSITIONS);
        free(moves);
        rf_ring_free(ring);
    }
}

static void ring_diff_of_equal_rings_is_nothing_in_whatever_order_members_came(void **state)
{
    (void)state;
    struct set set = {.ids = {"a", "b"}, .members = {{set.ids[0], 9}, {set.ids[1], 5}}, .count = 2};
    struct set turned = {
        .ids = {"b", "a"}, .members = {{turned.ids[0], 5}, {turned.ids[1], 9}}, .count = 2};
    struct rf_ring *a = build(RF_PLACEMENT_V1, &set);
    struct rf_ring *b = build(RF_PLACEMENT_V1, &turned);
    struct rf_ring_move *moves;
    size_t count;
    assert_int_equal(rf_ring_diff(a, b, &moves, &count, NULL), 0);
    assert_null(moves);
    assert_int_equal(count, 0);
    assert_int_equal(rf_ring_diff(NULL, NULL, &moves, &count, NULL), 0);
    assert_int_equal(count, 0);
    rf_ring_free(a);
    rf_ring_free(b);
}

static void ring_diff_of_random_changes_is_that_of_the_sorted_arrays(void **state)
{
    (void)state;
    static const uint32_t replicas[] = {1, 5, 100};
    for (int turn = 0; turn < TURNS; turn++) {
        struct set old_set;
        struct set new_set;
        size_t count = 1 + rf_random_below(&random_state, MEMBERS_MAX);
        set_make(&old_set, MEMBERS_MAX, count, replicas[turn % 3]);
        if (turn % 5 == 0) {
            set_make(&new_set, MEMBERS_MAX, 1 + count / 2, replicas[turn % 3]);
        } else {
            set_change(&old_set, &new_set);
        }
        check_pair((enum rf_placement)(turn % 2), &old_set, &new_set);
        check_pair((enum rf_placement)(turn % 2), &new_set, &old_set);
    }
}

/* A change by rf_ring_update leaves slots and gaps that a new ring has not. */
static void ring_diff_takes_rings_with_a_past(void **state)
{
    (void)state;
    struct set set;
    set_make(&set, MEMBERS_MAX, MEMBERS_MAX, 100);
    struct rf_ring *ring = build(RF_PLACEMENT_V1, &set);
    struct rf_ring *updated = NULL;
    const uint16_t removed[] = {3, 17};
    const struct rf_ring_member added = {"added", 60};
    uint16_t slot;
    assert_int_equal(rf_ring_update(ring, removed, 2, &added, 1, &slot, &updated, NULL), 0);
    struct set after = {.count = 0};
    for (size_t i = 0; i < set.count; i++) {
        if (i != removed[0] && i != removed[1]) {
            after.members[after.count++] = set.members[i];
        }
    }
    after.members[after.count++] = added;
    struct rf_ring *built = build(RF_PLACEMENT_V1, &after);
    struct rf_ring_move *moves;
    size_t count;
    assert_int_equal(rf_ring_diff(updated, built, &moves, &count, NULL), 0);
    assert_int_equal(count, 0);
    struct reference old_reference = reference_new(RF_PLACEMENT_V1, set.members, set.count);
    struct reference new_reference = reference_new(RF_PLACEMENT_V1, after.members, after.count);
    assert_int_equal(rf_ring_diff(ring, updated, &moves, &count, NULL), 0);
    check_exactly(ring, updated, moves, count, &old_reference, &new_reference);
    free(moves);
    reference_free(&old_reference);
    reference_free(&new_reference);
    rf_ring_free(built);
    rf_ring_free(updated);
    rf_ring_free(ring);
}

static void ring_locate_names_the_point_of_the_owner(void **state)
{
    (void)state;
    for (int turn = 0; turn < TURNS; turn++) {
        enum rf_placement placement = (enum rf_placement)(turn % 2);
        struct set set;
        set_make(&set, MEMBERS_MAX, 1 + rf_random_below(&random_state, MEMBERS_MAX), 300);
        struct rf_ring *ring = build(placement, &set);
        struct reference reference = reference_new(placement, set.members, set.count);
        for (int i = 0; i < 200; i++) {
            uint64_t hash = rf_random_next(&random_state);
            hash = placement == RF_PLACEMENT_V1 ? hash : hash >> 32 << 32;
            struct rf_ring_place place;
            rf_ring_locate(ring, hash, &place);
            const struct reference_point *point =
                &reference.points[reference_owner_index(&reference, hash)];
            const char *id = name(ring, place.slot);
            assert_string_equal(id, point->id);
            assert_int_equal(reference_point_hash(placement, id, place.number), point->hash);
            assert_int_equal(reference_hash_of(&reference, place.point), point->hash);
            assert_true(place.line < place.lines_count);
            assert_true(place.line_points <= rf_ring_points_count(ring));
        }
        reference_free(&reference);
        rf_ring_free(ring);
    }
}

int main(void)
{
    const char *text = getenv("RF_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20261125;
    (void)printf("seed %lu (RF_TEST_SEED)\n", seed);
    random_state = (struct rf_random){.state = seed};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_shares_of_one_member_are_the_circle),
        cmocka_unit_test(ring_shares_sum_up_to_the_circle_and_are_what_moves_to_nobody),
        cmocka_unit_test(ring_diff_of_equal_rings_is_nothing_in_whatever_order_members_came),
        cmocka_unit_test(ring_diff_of_random_changes_is_that_of_the_sorted_arrays),
        cmocka_unit_test(ring_diff_takes_rings_with_a_past),
        cmocka_unit_test(ring_locate_names_the_point_of_the_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
