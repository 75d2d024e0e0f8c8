/* SPDX-License-Identifier: MIT */
#include "core/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/random.h"

static int items[4096];

static struct rf_queue *make_queue(size_t capacity)
{
    struct rf_queue *queue = NULL;
    assert_int_equal(rf_queue_new(capacity, &queue, NULL), 0);
    return queue;
}

static void items_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    struct rf_queue *queue = make_queue(8);
    assert_null(rf_queue_pop(queue));
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 5; i++) {
            assert_true(rf_queue_push(queue, &items[i]));
        }
        for (int i = 0; i < 5; i++) {
            assert_ptr_equal(rf_queue_pop(queue), &items[i]);
        }
        assert_null(rf_queue_pop(queue));
    }
    rf_queue_free(queue);
}

static void a_full_queue_refuses_until_an_item_is_taken(void **state)
{
    (void)state;
    struct rf_queue *queue = make_queue(4);
    for (int i = 0; i < 4; i++) {
        assert_true(rf_queue_push(queue, &items[i]));
    }
    assert_false(rf_queue_push(queue, &items[4]));
    assert_false(rf_queue_push(queue, &items[4]));
    assert_ptr_equal(rf_queue_pop(queue), &items[0]);
    assert_true(rf_queue_push(queue, &items[5]));
    for (int i = 1; i < 4; i++) {
        assert_ptr_equal(rf_queue_pop(queue), &items[i]);
    }
    assert_ptr_equal(rf_queue_pop(queue), &items[5]);
    assert_null(rf_queue_pop(queue));
    rf_queue_free(queue);
}

static void a_queue_of_one_takes_one(void **state)
{
    (void)state;
    struct rf_queue *queue = make_queue(1);
    for (int i = 0; i < 3; i++) {
        assert_true(rf_queue_push(queue, &items[i]));
        assert_false(rf_queue_push(queue, &items[9]));
        assert_ptr_equal(rf_queue_pop(queue), &items[i]);
        assert_null(rf_queue_pop(queue));
    }
    rf_queue_free(queue);
}

static void capacities_that_are_no_power_of_two_are_refused(void **state)
{
    (void)state;
    static const size_t bad[] = {0, 3, 6, 1000, (size_t)RF_QUEUE_CAPACITY_MAX * 2, SIZE_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rf_queue *queue = NULL;
        assert_int_equal(rf_queue_new(bad[i], &queue, NULL), -EINVAL);
        assert_null(queue);
    }
    struct rf_error err = {0};
    struct rf_queue *queue = NULL;
    assert_int_equal(rf_queue_new(3, &queue, &err), -EINVAL);
    assert_string_equal(err.text, "queue of 3 items: allowed are powers of two, 1..1048576");
    rf_queue_free(NULL);
}

static void random_pushes_and_pops_agree_with_two_counters(void **state)
{
    (void)state;
    const uint64_t seed = 4711;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct rf_random random = {seed};
    struct rf_queue *queue = make_queue(16);
    size_t pushed = 0;
    size_t popped = 0;
    for (int step = 0; step < 100000; step++) {
        if (rf_random_below(&random, 2) == 0) {
            const bool has_room = pushed - popped < 16;
            assert_int_equal(rf_queue_push(queue, &items[pushed % 4096]), has_room);
            pushed += has_room;
        } else {
            assert_ptr_equal(rf_queue_pop(queue),
                             pushed == popped ? NULL : (void *)&items[popped % 4096]);
            popped += pushed != popped;
        }
    }
    rf_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_the_order_they_went_in),
        cmocka_unit_test(a_full_queue_refuses_until_an_item_is_taken),
        cmocka_unit_test(a_queue_of_one_takes_one),
        cmocka_unit_test(capacities_that_are_no_power_of_two_are_refused),
        cmocka_unit_test(random_pushes_and_pops_agree_with_two_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
