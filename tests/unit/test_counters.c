/* SPDX-License-Identifier: MIT */
#include "core/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/server_counters.h"

#define FRUIT_COUNTERS(X)                         \
    X(TOTAL, eaten, "bananas", "bananas eaten")   \
    X(GAUGE, held, "bananas", "bananas held now") \
    X(TOTAL, peeled, "bananas", "bananas peeled")

RF_COUNTERS_STRUCT(fruit_counters, FRUIT_COUNTERS);
enum { FRUIT_COUNT = RF_COUNTERS_COUNT(FRUIT_COUNTERS) };
static RF_COUNTERS_INFO(fruit_info, FRUIT_COUNTERS);

static void sums_run_over_the_threads_in_the_order_of_the_table(void **state)
{
    (void)state;
    struct fruit_counters threads[2];
    uint64_t sums[FRUIT_COUNT] = {0};
    memset(threads, 0, sizeof(threads));
    rf_counter_add(&threads[0].eaten, 3);
    rf_counter_add(&threads[0].eaten, 2);
    rf_counter_add(&threads[1].eaten, 10);
    rf_counter_set(&threads[1].peeled, 7);
    /* Gained on one thread, given away by the other: only the sum means something. */
    rf_counter_add(&threads[0].held, 4);
    rf_counter_subtract(&threads[1].held, 1);
    for (int i = 0; i < 2; i++) {
        rf_counters_add_to(&threads[i], FRUIT_COUNT, sums);
    }
    assert_int_equal(sums[0], 15);
    assert_int_equal(sums[1], 3);
    assert_int_equal(sums[2], 7);
    assert_int_equal(rf_counter_get(&threads[0].eaten), 5);
}

static void the_table_makes_rows_in_the_order_of_the_fields(void **state)
{
    (void)state;
    assert_int_equal(FRUIT_COUNT, 3);
    assert_string_equal(fruit_info[1].name, "held");
    assert_string_equal(fruit_info[1].unit, "bananas");
    assert_string_equal(fruit_info[1].meaning, "bananas held now");
    assert_int_equal(fruit_info[1].kind, RF_COUNTER_GAUGE);
    assert_int_equal(fruit_info[2].kind, RF_COUNTER_TOTAL);
    assert_int_equal(offsetof(struct fruit_counters, peeled), 2 * sizeof(struct rf_counter));
}

static void structs_of_two_threads_share_no_cache_line(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct fruit_counters) % 64, 0);
    assert_int_equal(_Alignof(struct fruit_counters), 64);
    assert_int_equal(_Alignof(struct rf_server_counters), 64);
}

static void every_server_counter_says_what_it_counts(void **state)
{
    (void)state;
    for (int i = 0; i < RF_SERVER_COUNTERS_COUNT; i++) {
        const struct rf_counter_info *info = &rf_server_counters_info[i];
        assert_true(strlen(info->name) > 0 && strlen(info->unit) > 0 && strlen(info->meaning) > 0);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(info->name, rf_server_counters_info[j].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_run_over_the_threads_in_the_order_of_the_table),
        cmocka_unit_test(the_table_makes_rows_in_the_order_of_the_fields),
        cmocka_unit_test(structs_of_two_threads_share_no_cache_line),
        cmocka_unit_test(every_server_counter_says_what_it_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
