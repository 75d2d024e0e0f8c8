/* SPDX-License-Identifier: MIT */
#include "net/spin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/server.h"

static struct rf_spin spin;

static void wait_often(uint64_t gap_ns, int times)
{
    for (int i = 0; i < times; i++) {
        rf_spin_waited(&spin, gap_ns);
    }
}

static void spin_never_polls_at_zero(void **state)
{
    (void)state;
    rf_spin_init(&spin, 0);
    wait_often(1, 1000);
    assert_int_equal(rf_spin_ns(&spin), 0);
}

static void spin_always_polls_as_long_as_told(void **state)
{
    (void)state;
    rf_spin_init(&spin, 50);
    assert_int_equal(rf_spin_ns(&spin), 50000);
    wait_often(UINT64_MAX, 1000);
    assert_int_equal(rf_spin_ns(&spin), 50000);
}

static void spin_adaptive_begins_idle_and_polls_once_requests_come_closely(void **state)
{
    (void)state;
    rf_spin_init(&spin, RF_BUSY_POLL_ADAPTIVE);
    assert_int_equal(rf_spin_ns(&spin), 0);
    wait_often(50 * 1000, 5);
    assert_int_equal(rf_spin_ns(&spin), 0);
    wait_often(50 * 1000, 50);
    assert_int_equal(rf_spin_ns(&spin), RF_SPIN_ADAPTIVE_NS);
}

static void spin_adaptive_ends_with_one_long_wait_however_busy_it_was(void **state)
{
    (void)state;
    const uint64_t long_waits[] = {RF_SPIN_GAP_NS_MAX, UINT64_MAX};
    for (size_t i = 0; i < 2; i++) {
        rf_spin_init(&spin, RF_BUSY_POLL_ADAPTIVE);
        wait_often(0, 100000);
        assert_int_equal(rf_spin_ns(&spin), RF_SPIN_ADAPTIVE_NS);
        rf_spin_waited(&spin, long_waits[i]);
        assert_int_equal(rf_spin_ns(&spin), 0);
    }
}

static void spin_adaptive_does_not_poll_for_requests_that_come_seldom(void **state)
{
    (void)state;
    rf_spin_init(&spin, RF_BUSY_POLL_ADAPTIVE);
    wait_often(RF_SPIN_ADAPTIVE_NS + RF_SPIN_WEIGHT, 100000);
    assert_int_equal(rf_spin_ns(&spin), 0);
}

static void busy_poll_is_parsed_or_refused_by_name(void **state)
{
    (void)state;
    uint32_t us = 7;
    struct rf_error err;
    assert_int_equal(rf_busy_poll_parse("adaptive", &us, &err), 0);
    assert_int_equal(us, RF_BUSY_POLL_ADAPTIVE);
    assert_int_equal(rf_busy_poll_parse("0", &us, &err), 0);
    assert_int_equal(us, 0);
    assert_int_equal(rf_busy_poll_parse("1000000", &us, &err), 0);
    assert_int_equal(us, 1000000);
    const char *const wrong[] = {
        "", "1000001", "-1", "1x", "x", " 1", "99999999999999999999", "4294967295"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_true(rf_busy_poll_parse(wrong[i], &us, &err) < 0);
        assert_int_equal(us, 1000000);
        assert_non_null(strstr(err.text, "adaptive"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spin_never_polls_at_zero),
        cmocka_unit_test(spin_always_polls_as_long_as_told),
        cmocka_unit_test(spin_adaptive_begins_idle_and_polls_once_requests_come_closely),
        cmocka_unit_test(spin_adaptive_ends_with_one_long_wait_however_busy_it_was),
        cmocka_unit_test(spin_adaptive_does_not_poll_for_requests_that_come_seldom),
        cmocka_unit_test(busy_poll_is_parsed_or_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
