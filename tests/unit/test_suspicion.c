/* SPDX-License-Identifier: MIT
 *
 * test_suspicion.c - the times of rule 12.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gossip/suspicion.h"

#define MS UINT64_C(1000000)

static void suspicion_times_follow_the_size_of_the_table(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        uint32_t k;
        uint64_t min_ms;
    } cases[] = {{1, 0, 4000},  {2, 0, 4000},   {3, 0, 4000},     {4, 2, 4000},  {10, 2, 4000},
                 {30, 2, 5908}, {100, 2, 8000}, {1000, 2, 12000}, {64, 2, 7224}, {2000, 2, 13204}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rf_suspicion_params params = rf_suspicion_params(4, 6, 1000 * MS, cases[i].n);
        assert_int_equal(params.k, cases[i].k);
        assert_int_equal(params.min_ns, cases[i].min_ms * MS);
        assert_int_equal(params.max_ns, 6 * cases[i].min_ms * MS);
    }
}

static void suspicion_gets_shorter_with_each_confirmation(void **state)
{
    (void)state;
    struct rf_suspicion_params params = rf_suspicion_params(4, 6, 1000 * MS, 4);
    assert_int_equal(rf_suspicion_timeout_ns(&params, 0), 24000 * MS);
    assert_int_equal(rf_suspicion_timeout_ns(&params, 1), 11381 * MS);
    assert_int_equal(rf_suspicion_timeout_ns(&params, 2), 4000 * MS);
    struct rf_suspicion suspicion;
    rf_suspicion_start(&suspicion, &params, 1000 * MS, 7);
    assert_int_equal(suspicion.deadline_ns, 25000 * MS);
    assert_true(rf_suspicion_confirm(&suspicion, 8));
    assert_int_equal(suspicion.deadline_ns, 12381 * MS);
    assert_true(rf_suspicion_confirm(&suspicion, 9));
    assert_int_equal(suspicion.deadline_ns, 5000 * MS);
}

static void suspicion_counts_every_accuser_once_and_no_more_than_k(void **state)
{
    (void)state;
    struct rf_suspicion_params params = rf_suspicion_params(4, 6, 1000 * MS, 10);
    struct rf_suspicion suspicion;
    rf_suspicion_start(&suspicion, &params, 0, 7);
    assert_false(rf_suspicion_confirm(&suspicion, 7));
    assert_true(rf_suspicion_confirm(&suspicion, 8));
    assert_false(rf_suspicion_confirm(&suspicion, 8));
    assert_true(rf_suspicion_confirm(&suspicion, 9));
    assert_false(rf_suspicion_confirm(&suspicion, 10));
    assert_int_equal(suspicion.confirmations, 2);
}

static void suspicion_in_a_cluster_of_three_starts_at_the_minimum(void **state)
{
    (void)state;
    struct rf_suspicion_params params = rf_suspicion_params(4, 6, 1000 * MS, 3);
    struct rf_suspicion suspicion;
    rf_suspicion_start(&suspicion, &params, 0, 7);
    assert_int_equal(suspicion.deadline_ns, 4000 * MS);
    assert_false(rf_suspicion_confirm(&suspicion, 8));
}

static void suspicion_takes_no_more_confirmations_than_it_has_room_for(void **state)
{
    (void)state;
    struct rf_suspicion_params params = rf_suspicion_params(1000, 6, 1000 * MS, 100000);
    assert_int_equal(params.k, RF_SUSPICION_CONFIRMATIONS_MAX);
    struct rf_suspicion suspicion;
    rf_suspicion_start(&suspicion, &params, 0, 0);
    for (uint64_t i = 1; i <= RF_SUSPICION_CONFIRMATIONS_MAX; i++) {
        assert_true(rf_suspicion_confirm(&suspicion, i));
    }
    assert_false(rf_suspicion_confirm(&suspicion, 100));
    assert_int_equal(suspicion.deadline_ns, params.min_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suspicion_times_follow_the_size_of_the_table),
        cmocka_unit_test(suspicion_gets_shorter_with_each_confirmation),
        cmocka_unit_test(suspicion_counts_every_accuser_once_and_no_more_than_k),
        cmocka_unit_test(suspicion_in_a_cluster_of_three_starts_at_the_minimum),
        cmocka_unit_test(suspicion_takes_no_more_confirmations_than_it_has_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
