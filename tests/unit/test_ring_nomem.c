/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/ring_arcs.h"
#include "tests/support/failing_alloc.h"

static const struct rf_ring_member members[] = {
    {"a", 400}, {"b", 300}, {"c", 20}, {"d", 20}, {"e", 20}};

static struct rf_ring *build(size_t count)
{
    struct rf_ring *ring = NULL;
    assert_int_equal(rf_ring_build(RF_PLACEMENT_V1, members, count, &ring, NULL), 0);
    return ring;
}

static void ring_build_without_memory_says_so_and_leaves_nothing(void **state)
{
    (void)state;
    int code = -ENOMEM;
    size_t failures = 0;
    for (; code != 0; failures++) {
        struct rf_ring *ring = NULL;
        struct rf_error err = {0};
        failing_alloc_in = failures + 1;
        code = rf_ring_build(RF_PLACEMENT_V1, members, 5, &ring, &err);
        if (code == 0) {
            failing_alloc_in = 0;
            rf_ring_check(ring);
            rf_ring_free(ring);
            break;
        }
        assert_int_equal(code, -ENOMEM);
        assert_null(ring);
        assert_string_equal(err.text, "ring of 760 points: out of memory");
    }
    assert_int_equal(failures, 2); /* a ring is one block, and what its kin will share */
}

/* Fails each allocation of one update in turn; returns how many there were. */
static size_t fail_update(const uint16_t *removed, size_t removed_count,
                          const struct rf_ring_member *added, size_t added_count)
{
    struct rf_ring *ring = build(4);
    size_t failures = 0;
    for (;; failures++) {
        struct rf_ring *next = NULL;
        uint16_t slot = 12345;
        struct rf_error err = {0};
        failing_alloc_in = failures + 1;
        int code =
            rf_ring_update(ring, removed, removed_count, added, added_count, &slot, &next, &err);
        if (code == 0) {
            failing_alloc_in = 0;
            rf_ring_check(next);
            rf_ring_free(next);
            break;
        }
        assert_int_equal(code, -ENOMEM);
        assert_int_equal(err.code, -ENOMEM);
        assert_null(next);
        assert_int_equal(slot, 12345);
    }
    rf_ring_check(ring);
    rf_ring_free(ring);
    return failures;
}

static void ring_update_without_memory_says_so_and_leaves_nothing(void **state)
{
    (void)state;
    static const uint16_t small = 2;
    static const uint16_t large = 0;
    /* Patched: the next members and slots, the points that go and those that come, the ring. */
    assert_int_equal(fail_update(&small, 1, &members[4], 1), 7);
    /* Rebuilt, as more than an eighth changes. */
    assert_int_equal(fail_update(&large, 1, &members[4], 1), 3);
    assert_int_equal(fail_update(&large, 1, NULL, 0), 3);
}

static void ring_update_needs_no_block_where_one_is_spare(void **state)
{
    (void)state;
    static const struct rf_ring_member many[] = {
        {"a", 60000}, {"b", 60000}, {"c", 60000}, {"d", 60000}, {"e", 10}};
    static const struct rf_ring_member added = {"f", 10};
    static const uint16_t removed = 4;
    struct rf_ring *rings[3] = {NULL};
    uint16_t slot;
    assert_int_equal(rf_ring_build(RF_PLACEMENT_V1, many, 5, &rings[0], NULL), 0);
    assert_int_equal(rf_ring_update(rings[0], &removed, 1, NULL, 0, NULL, &rings[1], NULL), 0);
    for (int is_trimmed = 0; is_trimmed <= 1; is_trimmed++) {
        rf_ring_free(rings[0]);
        rings[0] = NULL;
        if (is_trimmed) {
            rf_ring_trim(rings[1]);
        }
        failing_alloc_in = 5; /* after the next members and slots, and the points that come */
        const int code = rf_ring_update(rings[1], NULL, 0, &added, 1, &slot, &rings[0], NULL);
        assert_int_equal(code, is_trimmed ? -ENOMEM : 0);
        failing_alloc_in = 0;
    }
    rf_ring_free(rings[1]);
}

static void ring_diff_without_memory_says_so_and_leaves_nothing(void **state)
{
    (void)state;
    struct rf_ring *before = build(3);
    struct rf_ring *after = build(5);
    size_t failures = 0;
    for (;; failures++) {
        struct rf_ring_move *moves = NULL;
        size_t count = 12345;
        struct rf_error err = {0};
        failing_alloc_in = failures + 1;
        if (rf_ring_diff(before, after, &moves, &count, &err) == 0) {
            failing_alloc_in = 0;
            assert_true(count > 0);
            free(moves);
            break;
        }
        assert_string_equal(err.text, "difference of two rings: out of memory");
        assert_null(moves);
        assert_int_equal(count, 12345);
    }
    assert_int_equal(failures, 4); /* who is who, each ring's members by id, the moves */
    rf_ring_free(before);
    rf_ring_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_build_without_memory_says_so_and_leaves_nothing),
        cmocka_unit_test(ring_update_without_memory_says_so_and_leaves_nothing),
        cmocka_unit_test(ring_update_needs_no_block_where_one_is_spare),
        cmocka_unit_test(ring_diff_without_memory_says_so_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
