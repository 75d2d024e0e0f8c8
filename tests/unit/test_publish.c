/* SPDX-License-Identifier: MIT */
#include "core/publish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"

struct value {
    struct rf_published published;
    int number;
    bool *freed; /* set when it is freed */
};

static int live_count;

static void free_value(struct rf_published *published)
{
    struct value *value = (struct value *)published;
    if (value->freed != NULL) {
        *value->freed = true;
    }
    live_count--;
    rf_poison(value, sizeof(*value));
    free(value);
}

static struct rf_published *make_value(int number, bool *freed)
{
    struct value *value = calloc(1, sizeof(*value));
    assert_non_null(value);
    value->published.free = free_value;
    value->number = number;
    value->freed = freed;
    live_count++;
    return &value->published;
}

static int number_of(const struct rf_published *published)
{
    return ((const struct value *)published)->number;
}

static size_t records_count(const struct rf_publisher *publisher)
{
    size_t count = 0;
    ck_stack_entry_t *at;
    CK_STACK_FOREACH(&publisher->epoch.records, at)
    {
        count++;
    }
    return count;
}

static void readers_see_the_value_published_last(void **state)
{
    (void)state;
    struct rf_publisher publisher;
    struct rf_reader reader;
    rf_publisher_init(&publisher, make_value(1, NULL));
    assert_int_equal(rf_reader_init(&reader, &publisher), 0);
    for (int number = 1; number < 10; number++) {
        assert_int_equal(number_of(rf_reader_enter(&reader)), number);
        rf_reader_leave(&reader);
        assert_int_equal(number_of(rf_publisher_current(&publisher)), number);
        rf_publish(&publisher, make_value(number + 1, NULL));
    }
    rf_reader_fini(&reader);
    rf_publisher_fini(&publisher);
    assert_int_equal(live_count, 0);
}

static void a_value_without_readers_is_freed_by_the_next_reclaim(void **state)
{
    (void)state;
    bool freed = false;
    struct rf_publisher publisher;
    rf_publisher_init(&publisher, make_value(1, &freed));
    assert_false(rf_publisher_reclaim(&publisher));
    assert_false(freed);
    rf_publish(&publisher, make_value(2, NULL));
    assert_false(freed); /* publishing never frees */
    assert_int_equal(publisher.retired_count, 1);
    assert_false(rf_publisher_reclaim(&publisher));
    assert_true(freed);
    rf_publisher_fini(&publisher);
    assert_int_equal(live_count, 0);
}

static void a_value_is_kept_until_the_last_reader_that_saw_it_leaves(void **state)
{
    (void)state;
    bool freed = false;
    struct rf_publisher publisher;
    struct rf_reader a;
    struct rf_reader b;
    rf_publisher_init(&publisher, make_value(1, &freed));
    assert_int_equal(rf_reader_init(&a, &publisher), 0);
    assert_int_equal(rf_reader_init(&b, &publisher), 0);
    const struct rf_published *seen = rf_reader_enter(&a);
    assert_ptr_equal(rf_reader_enter(&b), seen);
    rf_publish(&publisher, make_value(2, NULL));
    for (int i = 0; i < 10; i++) {
        assert_true(rf_publisher_reclaim(&publisher));
    }
    rf_reader_leave(&b);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(number_of(rf_reader_enter(&b)), 2);
        assert_true(rf_publisher_reclaim(&publisher));
        rf_reader_leave(&b);
    }
    assert_false(freed);
    assert_int_equal(number_of(seen), 1);
    rf_reader_leave(&a);
    assert_false(rf_publisher_reclaim(&publisher));
    assert_true(freed);
    rf_reader_fini(&a);
    rf_reader_fini(&b);
    rf_publisher_fini(&publisher);
    assert_int_equal(live_count, 0);
}

static void later_sections_do_not_hold_back_what_was_retired_before_them(void **state)
{
    (void)state;
    bool freed = false;
    struct rf_publisher publisher;
    struct rf_reader reader;
    rf_publisher_init(&publisher, make_value(1, &freed));
    assert_int_equal(rf_reader_init(&reader, &publisher), 0);
    rf_publish(&publisher, make_value(2, NULL));
    for (int i = 0; i < 4 && !freed; i++) { /* always some section open while reclaiming */
        assert_int_equal(number_of(rf_reader_enter(&reader)), 2);
        (void)rf_publisher_reclaim(&publisher);
        rf_reader_leave(&reader);
    }
    assert_true(freed);
    rf_reader_fini(&reader);
    rf_publisher_fini(&publisher);
    assert_int_equal(live_count, 0);
}

static void finished_readers_leave_their_record_to_the_next_one(void **state)
{
    (void)state;
    struct rf_publisher publisher;
    struct rf_reader readers[3];
    rf_publisher_init(&publisher, make_value(1, NULL));
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 3; i++) {
            assert_int_equal(rf_reader_init(&readers[i], &publisher), 0);
            assert_int_equal(number_of(rf_reader_enter(&readers[i])), round + 1);
        }
        rf_publish(&publisher, make_value(round + 2, NULL));
        assert_true(rf_publisher_reclaim(&publisher));
        for (int i = 0; i < 3; i++) {
            rf_reader_leave(&readers[i]);
            rf_reader_fini(&readers[i]);
        }
        assert_false(rf_publisher_reclaim(&publisher));
    }
    assert_int_equal(records_count(&publisher), 1 + 3);
    assert_int_equal(publisher.retired_peak, 1);
    rf_publisher_fini(&publisher);
    assert_int_equal(live_count, 0);
}

static void a_publisher_may_end_while_readers_are_registered(void **state)
{
    (void)state;
    struct rf_publisher publisher;
    struct rf_reader reader;
    struct rf_reader never = {0};
    rf_publisher_init(&publisher, make_value(1, NULL));
    assert_int_equal(rf_reader_init(&reader, &publisher), 0);
    for (int i = 0; i < 5; i++) {
        rf_publish(&publisher, make_value(2 + i, NULL));
    }
    rf_publisher_fini(&publisher);
    rf_reader_fini(&never);
    assert_int_equal(live_count, 0);
}

/* Any interleaving of whole steps: a value is alive exactly as long as it may be seen. */
static void random_steps_never_free_what_a_reader_holds(void **state)
{
    (void)state;
    enum { READERS = 4, STEPS = 20000 };
    const uint64_t seed = 20261123;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct rf_random random = {seed};
    struct rf_publisher publisher;
    struct rf_reader readers[READERS];
    int seen[READERS] = {0};
    const struct rf_published *held[READERS] = {NULL};
    int published = 1;
    rf_publisher_init(&publisher, make_value(published, NULL));
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(rf_reader_init(&readers[i], &publisher), 0);
    }
    for (int step = 0; step < STEPS; step++) {
        const int i = (int)rf_random_below(&random, READERS);
        switch (rf_random_below(&random, 4)) {
        case 0:
            rf_publish(&publisher, make_value(++published, NULL));
            break;
        case 1:
            (void)rf_publisher_reclaim(&publisher);
            break;
        default:
            if (held[i] == NULL) {
                held[i] = rf_reader_enter(&readers[i]);
                seen[i] = number_of(held[i]);
                assert_int_equal(seen[i], published);
            } else {
                assert_int_equal(number_of(held[i]), seen[i]);
                rf_reader_leave(&readers[i]);
                held[i] = NULL;
            }
        }
        assert_int_equal(live_count, publisher.retired_count + 1);
    }
    for (int i = 0; i < READERS; i++) {
        if (held[i] != NULL) {
            rf_reader_leave(&readers[i]);
        }
    }
    assert_false(rf_publisher_reclaim(&publisher));
    assert_int_equal(live_count, 1);
    rf_publisher_fini(&publisher);
    assert_int_equal(live_count, 0);
}

static void poisoned_memory_is_overwritten_in_debug_builds(void **state)
{
    (void)state;
    unsigned char bytes[100] = {0};
    rf_poison(bytes + 10, 80);
    for (int i = 0; i < 100; i++) {
#ifdef RF_DEBUG
        assert_int_equal(bytes[i], i >= 10 && i < 90 ? 0xdb : 0);
#else
        assert_int_equal(bytes[i], 0);
#endif
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_the_value_published_last),
        cmocka_unit_test(a_value_without_readers_is_freed_by_the_next_reclaim),
        cmocka_unit_test(a_value_is_kept_until_the_last_reader_that_saw_it_leaves),
        cmocka_unit_test(later_sections_do_not_hold_back_what_was_retired_before_them),
        cmocka_unit_test(finished_readers_leave_their_record_to_the_next_one),
        cmocka_unit_test(a_publisher_may_end_while_readers_are_registered),
        cmocka_unit_test(random_steps_never_free_what_a_reader_holds),
        cmocka_unit_test(poisoned_memory_is_overwritten_in_debug_builds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
