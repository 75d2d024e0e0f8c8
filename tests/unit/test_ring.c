/* SPDX-License-Identifier: MIT */
#include "core/ring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/member.h"
#include "tests/support/ring_reference.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct rf_ring *build(enum rf_placement placement, const struct rf_ring_member *members,
                             size_t count)
{
    struct rf_ring *ring = NULL;
    struct rf_error err = {0};
    if (rf_ring_build(placement, members, count, &ring, &err) != 0) {
        fail_msg("%s", err.text);
    }
    rf_ring_check(ring);
    return ring;
}

static const char *owner(const struct rf_ring *ring, uint64_t hash)
{
    return rf_ring_member(ring, rf_ring_owner(ring, hash))->id;
}

static void ring_of_one_point_owns_the_whole_circle(void **state)
{
    (void)state;
    static const struct rf_ring_member member = {"only", 1};
    struct rf_ring *ring = build(RF_PLACEMENT_V1, &member, 1);
    uint64_t point;
    rf_placement_points(RF_PLACEMENT_V1, "only", 0, 1, &point);
    const uint64_t hashes[] = {0, 1, point - 1, point, point + 1, UINT64_MAX};
    for (size_t i = 0; i < COUNT(hashes); i++) {
        assert_string_equal(owner(ring, hashes[i]), "only");
    }
    uint16_t slot = 1;
    assert_int_equal(rf_ring_owners(ring, point, 5, &slot), 1);
    assert_int_equal(slot, 0);
    assert_int_equal(rf_ring_members_count(ring), 1);
    assert_int_equal(rf_ring_points_count(ring), 1);
    assert_int_equal(rf_ring_slots_count(ring), 1);
    rf_ring_free(ring);
}

static void ring_owner_wraps_behind_the_last_point(void **state)
{
    (void)state;
    static const struct rf_ring_member members[] = {{"a", 50}, {"b", 50}, {"c", 50}};
    for (int placement = RF_PLACEMENT_V1; placement <= RF_PLACEMENT_CRC32; placement++) {
        struct rf_ring *ring = build((enum rf_placement)placement, members, 3);
        uint64_t first = UINT64_MAX;
        uint64_t last = 0;
        const char *first_id = NULL;
        for (size_t i = 0; i < 3; i++) {
            uint64_t points[50];
            rf_placement_points((enum rf_placement)placement, members[i].id, 0, 50, points);
            for (size_t at = 0; at < 50; at++) {
                first_id = points[at] < first ? members[i].id : first_id;
                first = points[at] < first ? points[at] : first;
                last = points[at] > last ? points[at] : last;
            }
        }
        uint64_t unit = placement == RF_PLACEMENT_V1 ? 1 : (uint64_t)1 << 32;
        assert_string_equal(owner(ring, 0), first_id);
        assert_string_equal(owner(ring, first), first_id);
        assert_string_equal(owner(ring, last + unit), first_id);
        assert_string_equal(owner(ring, UINT64_MAX / unit * unit), first_id);
        rf_ring_free(ring);
    }
}

static void ring_batch_of_any_size_writes_exactly_its_slots(void **state)
{
    (void)state;
    static const struct rf_ring_member members[] = {{"a", 500}, {"b", 500}, {"c", 500}};
    struct rf_ring *ring = build(RF_PLACEMENT_V1, members, 3);
    enum { MAX = 300, UNTOUCHED = 777 };
    uint64_t hashes[MAX];
    for (size_t i = 0; i < MAX; i++) {
        hashes[i] = rf_placement_hash(RF_PLACEMENT_V1, &i, sizeof(i));
        rf_ring_prefetch(ring, hashes[i]);
    }
    static const size_t counts[] = {0, 1, 2, 3, 63, 64, 65, 128, 129, 299};
    for (size_t c = 0; c < COUNT(counts); c++) {
        uint16_t slots[MAX];
        for (size_t i = 0; i < MAX; i++) {
            slots[i] = UNTOUCHED;
        }
        rf_ring_owner_batch(ring, hashes, counts[c], slots);
        for (size_t i = 0; i < MAX; i++) {
            assert_int_equal(slots[i], i < counts[c] ? rf_ring_owner(ring, hashes[i]) : UNTOUCHED);
        }
    }
    rf_ring_free(ring);
}

static void ring_form_can_be_forced_to_what_the_cpu_has(void **state)
{
    (void)state;
    static const struct rf_ring_member member = {"a", 10};
    struct rf_ring *ring = build(RF_PLACEMENT_V1, &member, 1);
    assert_int_equal(rf_ring_form(ring), rf_ring_form_best());
    assert_true(rf_ring_force_form(ring, RF_RING_SCALAR));
    assert_string_equal(rf_ring_form_name(rf_ring_form(ring)), "scalar");
    bool has_avx2 = rf_ring_form_best() == RF_RING_AVX2;
    assert_int_equal(rf_ring_force_form(ring, RF_RING_AVX2), has_avx2);
    assert_string_equal(rf_ring_form_name(rf_ring_form(ring)), has_avx2 ? "avx2" : "scalar");
    rf_ring_free(ring);
}

/* ---- many equal points ---- */

/* Writes an id that starts with `number` and whose crc32 point 0 is `crc`: any four last bytes can
 * be worked out backwards. False if one of them would be a NUL. */
static bool forge_id(uint32_t crc, unsigned number, char ret_id[32])
{
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++) {
            table[i] = (table[i] >> 1) ^ ((table[i] & 1) != 0 ? 0xedb88320 : 0);
        }
    }
    uint32_t entries[4];
    uint32_t wanted = ~crc;
    for (int i = 3; i >= 0; i--) {
        uint32_t at = 0;
        while (table[at] >> 24 != wanted >> 24) {
            at++;
        }
        entries[i] = at;
        wanted = (wanted ^ table[at]) << 8;
    }
    char text[40];
    int size = snprintf(text, sizeof(text), "0%05u-", number); /* point 0: "0" before the id */
    uint32_t running = ~reference_crc32(text, (size_t)size);
    for (int i = 0; i < 4; i++) {
        text[size + i] = (char)(unsigned char)(running ^ entries[i]);
        if (text[size + i] == '\0') {
            return false;
        }
        running = table[entries[i]] ^ (running >> 8);
    }
    text[size + 4] = '\0';
    (void)snprintf(ret_id, 32, "%s", text + 1);
    return true;
}

enum { TIED = 300 };

static void check_ties_at(uint32_t crc)
{
    static char ids[TIED + 1][32];
    struct rf_ring_member members[TIED + 1];
    size_t count = 0;
    for (unsigned number = 0; count < TIED; number++) {
        if (forge_id(crc, number, ids[count])) {
            count++;
        }
    }
    /* Slots against the order of ids; numbers have five digits, so ids ascend as made. */
    for (size_t i = 0; i < TIED; i++) {
        members[i] = (struct rf_ring_member){.id = ids[TIED - 1 - i], .replicas = 1};
    }
    struct rf_ring *ring = build(RF_PLACEMENT_CRC32, members, TIED);
    static const uint32_t distances[] = {0, 1, 0x7fffffff, 0xffffffff};
    for (size_t d = 0; d < COUNT(distances); d++) {
        uint64_t hash = (uint64_t)(uint32_t) ~(crc + distances[d]) << 32;
        uint16_t slots[TIED];
        assert_string_equal(owner(ring, hash), ids[0]);
        assert_int_equal(rf_ring_owners(ring, hash, TIED, slots), TIED);
        for (size_t i = 0; i < TIED; i++) {
            assert_int_equal(slots[i], TIED - 1 - i);
        }
    }
    /* An update keeps the order among them: the first goes, and comes back in another slot. */
    const uint16_t removed[] = {TIED - 1, 0};
    struct rf_ring *less = NULL;
    struct rf_ring *again = NULL;
    uint16_t slot;
    uint64_t hash = (uint64_t)(uint32_t)~crc << 32;
    assert_int_equal(rf_ring_update(ring, removed, 2, NULL, 0, NULL, &less, NULL), 0);
    assert_string_equal(owner(less, hash), ids[1]);
    assert_int_equal(rf_ring_update(less, NULL, 0, &members[TIED - 1], 1, &slot, &again, NULL), 0);
    assert_int_equal(slot, 0);
    assert_string_equal(owner(again, hash), ids[0]);
    rf_ring_check(less);
    rf_ring_check(again);
    rf_ring_free(again);
    rf_ring_free(less);
    rf_ring_free(ring);
}

static void ring_of_equal_points_gives_them_to_the_smallest_id(void **state)
{
    (void)state;
    check_ties_at(0);
    check_ties_at(0x12345678);
    check_ties_at(0xffffffff);
}

/* ---- updates ---- */

static void ring_update_keeps_slots_and_reuses_free_ones(void **state)
{
    (void)state;
    static const struct rf_ring_member members[] = {{"a", 1000}, {"b", 50}, {"c", 1000}, {"d", 50}};
    static const struct rf_ring_member added[] = {{"e", 60}, {"b", 20}, {"f", 10}};
    struct rf_ring *ring = build(RF_PLACEMENT_V1, members, 4);
    static const uint16_t removed[] = {1};
    uint16_t slots[3];
    struct rf_ring *next = NULL;
    assert_int_equal(rf_ring_update(ring, removed, 1, added, 3, slots, &next, NULL), 0);
    rf_ring_check(next);
    assert_int_equal(slots[0], 1);
    assert_int_equal(slots[1], 4);
    assert_int_equal(slots[2], 5);
    assert_string_equal(rf_ring_member(next, 3)->id, "d");
    assert_int_equal(rf_ring_member(next, 4)->replicas, 20);
    assert_int_equal(rf_ring_points_count(next), 2140);
    assert_int_equal(rf_ring_points_count(ring), 2100);

    static const uint16_t gone[] = {5, 1, 4};
    struct rf_ring *last = NULL;
    assert_int_equal(rf_ring_update(next, gone, 3, NULL, 0, NULL, &last, NULL), 0);
    rf_ring_check(last);
    assert_int_equal(rf_ring_slots_count(last), 4);
    assert_int_equal(rf_ring_members_count(last), 3);
    assert_null(rf_ring_member(last, 1));
    assert_null(rf_ring_member(last, 4));
    rf_ring_free(last);
    rf_ring_free(next);
    rf_ring_free(ring);
}

static void ring_update_without_change_is_a_copy(void **state)
{
    (void)state;
    static const struct rf_ring_member members[] = {{"a", 100}, {"b", 100}};
    struct rf_ring *ring = build(RF_PLACEMENT_V1, members, 2);
    struct rf_ring *next = NULL;
    assert_int_equal(rf_ring_update(ring, NULL, 0, NULL, 0, NULL, &next, NULL), 0);
    rf_ring_check(next);
    assert_int_equal(rf_ring_size(next), rf_ring_size(ring));
    rf_ring_free(next);
    rf_ring_free(ring);
}

/* The ring grows from 300 to 30 000 points and back, one member at a time. */
static void ring_stays_small_and_right_as_it_grows_and_shrinks(void **state)
{
    (void)state;
    enum { MEMBERS = 300 };
    static char ids[MEMBERS][16];
    struct rf_ring_member members[MEMBERS];
    for (size_t i = 0; i < MEMBERS; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "node-%zu", i);
        members[i] = (struct rf_ring_member){.id = ids[i], .replicas = 100};
    }
    struct rf_ring *ring = build(RF_PLACEMENT_V1, members, 3);
    for (size_t step = 3; step < 2 * MEMBERS - 3; step++) {
        struct rf_ring *next = NULL;
        uint16_t slot = (uint16_t)(2 * MEMBERS - 1 - step);
        bool is_growing = step < MEMBERS;
        assert_int_equal(rf_ring_update(ring, &slot, is_growing ? 0 : 1, &members[step % MEMBERS],
                                        is_growing ? 1 : 0, &slot, &next, NULL),
                         0);
        rf_ring_free(ring);
        ring = next;
        rf_ring_check(ring);
        /* 21 bytes a point, and what the members take. */
        assert_true(rf_ring_size(ring) <=
                    21 * rf_ring_points_count(ring) + 64 * rf_ring_members_count(ring) + 256);
    }
    assert_int_equal(rf_ring_members_count(ring), 3);
    rf_ring_free(ring);
}

/* ---- refusals ---- */

/* As a publisher does: the ring before goes when the next one has been made for a while. */
static void ring_of_a_large_family_is_made_where_one_was_freed(void **state)
{
    (void)state;
    static const struct rf_ring_member many[] = {
        {"a", 60000}, {"b", 60000}, {"c", 60000}, {"d", 60000}, {"e", 10}};
    static const struct rf_ring_member huge = {"huge", 60000};
    struct rf_ring *before = build(RF_PLACEMENT_V1, many, COUNT(many));
    struct rf_ring *ring = before;
    const void *blocks[2] = {before, NULL};
    uint16_t slot = 4;
    for (int i = 1; i < 7; i++) {
        const struct rf_ring_member small = {i % 2 == 0 ? "even" : "odd", 10};
        struct rf_ring *next = NULL;
        assert_int_equal(rf_ring_update(ring, &slot, 1, &small, 1, &slot, &next, NULL), 0);
        rf_ring_check(next);
        if (i == 1) {
            blocks[1] = next;
        }
        assert_ptr_equal(next, blocks[i % 2]);
        rf_ring_free(ring);
        ring = next;
    }
    struct rf_ring *larger = NULL; /* than the spare block */
    assert_int_equal(rf_ring_update(ring, NULL, 0, &huge, 1, &slot, &larger, NULL), 0);
    rf_ring_check(larger);
    rf_ring_free(larger); /* and it is spare now */
    struct rf_ring *smaller = NULL;
    static const uint16_t most[] = {0, 1, 2};
    assert_int_equal(rf_ring_update(ring, most, 3, NULL, 0, NULL, &smaller, NULL), 0);
    rf_ring_check(smaller);
    assert_true(rf_ring_size(smaller) < rf_ring_size(ring) / 3);
    rf_ring_free(ring);
    rf_ring_trim(smaller);
    rf_ring_free(smaller);
}

static void ring_refuses_what_is_out_of_range(void **state)
{
    (void)state;
    struct rf_ring *ring = NULL;
    struct rf_error err = {0};
    struct rf_ring_member member = {.id = "a", .replicas = 0};
    assert_int_equal(rf_ring_build(RF_PLACEMENT_V1, &member, 1, &ring, &err), -ERANGE);
    assert_string_equal(err.text, "member 'a': 0 replicas, allowed are 1..65535");
    member.replicas = RF_REPLICAS_MAX + 1;
    assert_int_equal(rf_ring_build(RF_PLACEMENT_V1, &member, 1, &ring, &err), -ERANGE);

    struct rf_ring_member *members = calloc(RF_RING_SLOTS_MAX + 1, sizeof(members[0]));
    assert_non_null(members);
    for (size_t i = 0; i <= RF_RING_SLOTS_MAX; i++) {
        members[i] = (struct rf_ring_member){.id = "same", .replicas = RF_REPLICAS_MAX};
    }
    assert_int_equal(rf_ring_build(RF_PLACEMENT_V1, members, RF_RING_SLOTS_MAX + 1, &ring, &err),
                     -ERANGE);
    assert_string_equal(err.text, "ring of 65536 members: allowed are 1..65535");
    assert_int_equal(rf_ring_build(RF_PLACEMENT_V1, members, 1025, &ring, &err), -ERANGE);
    assert_string_equal(err.text, "ring of 67173375 points: allowed are 1..67108864");
    assert_null(ring);

    static const struct rf_ring_member first = {"first", 1};
    struct rf_ring *one = build(RF_PLACEMENT_V1, &first, 1);
    uint16_t *slots = calloc(RF_RING_SLOTS_MAX, sizeof(slots[0]));
    assert_non_null(slots);
    assert_int_equal(rf_ring_update(one, NULL, 0, members, RF_RING_SLOTS_MAX, slots, &ring, &err),
                     -ERANGE);
    assert_int_equal(rf_ring_update(one, NULL, 0, members, 1025, slots, &ring, &err), -ERANGE);
    assert_int_equal(rf_ring_update(one, NULL, 0, &member, 1, slots, &ring, &err), -ERANGE);
    assert_null(ring);
    rf_ring_free(one);
    free(slots);
    free(members);
}

static void ring_refuses_one_id_twice(void **state)
{
    (void)state;
    static const struct rf_ring_member members[] = {{"a", 1000}, {"b", 1000}, {"a", 3}};
    struct rf_ring *ring = NULL;
    struct rf_error err = {0};
    assert_int_equal(rf_ring_build(RF_PLACEMENT_V1, members, 3, &ring, &err), -EEXIST);
    assert_string_equal(err.text, "member 'a' twice: an id is unique in its ring");
    assert_int_equal(rf_ring_build(RF_PLACEMENT_CRC32, members, 3, &ring, &err), -EEXIST);
    assert_null(ring);

    struct rf_ring *two = build(RF_PLACEMENT_V1, members, 2);
    static const struct rf_ring_member twins[] = {{"c", 3}, {"c", 5}};
    static const struct rf_ring_member heavy = {"a", 5000};
    uint16_t slots[2] = {99, 99};
    /* One is there already; both come at once; one that makes the ring be built anew. */
    assert_int_equal(rf_ring_update(two, NULL, 0, &members[2], 1, slots, &ring, &err), -EEXIST);
    assert_int_equal(rf_ring_update(two, NULL, 0, twins, 2, slots, &ring, &err), -EEXIST);
    assert_string_equal(err.text, "member 'c' twice: an id is unique in its ring");
    assert_int_equal(rf_ring_update(two, NULL, 0, &heavy, 1, slots, &ring, &err), -EEXIST);
    assert_null(ring);
    assert_int_equal(slots[0], 99);
    rf_ring_check(two);
    rf_ring_free(two);
    rf_ring_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_of_one_point_owns_the_whole_circle),
        cmocka_unit_test(ring_owner_wraps_behind_the_last_point),
        cmocka_unit_test(ring_batch_of_any_size_writes_exactly_its_slots),
        cmocka_unit_test(ring_form_can_be_forced_to_what_the_cpu_has),
        cmocka_unit_test(ring_of_equal_points_gives_them_to_the_smallest_id),
        cmocka_unit_test(ring_update_keeps_slots_and_reuses_free_ones),
        cmocka_unit_test(ring_update_without_change_is_a_copy),
        cmocka_unit_test(ring_stays_small_and_right_as_it_grows_and_shrinks),
        cmocka_unit_test(ring_of_a_large_family_is_made_where_one_was_freed),
        cmocka_unit_test(ring_refuses_what_is_out_of_range),
        cmocka_unit_test(ring_refuses_one_id_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
