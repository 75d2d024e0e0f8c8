/* SPDX-License-Identifier: MIT */
#include "client/registries.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t ns_per_ms = 1000000;

static struct rf_registries registries;
static struct rf_error err;

static void init(const char *text, bool in_order, uint64_t seed)
{
    assert_int_equal(rf_registries_init(&registries, text, in_order, seed, &err), 0);
}

static void next_is(const char *text)
{
    assert_string_equal(rf_registries_next(&registries)->text, text);
}

static void fail_next(uint64_t now_ns)
{
    rf_registries_failed(&registries, rf_registries_next(&registries), 0, now_ns);
}

static void registries_in_order_are_tried_so_and_each_once(void **state)
{
    (void)state;
    init("a:1, b , [::1]:3", true, 1);
    assert_int_equal(registries.entries[1].host_port.port, 9800);
    for (uint64_t now_ns = 1; now_ns < 10; now_ns += 3) {
        next_is("a:1");
        fail_next(now_ns);
        next_is("b");
        fail_next(now_ns + 1);
        next_is("[::1]:3");
        fail_next(now_ns + 2);
    }
}

static void registries_by_chance_are_first_equally_often(void **state)
{
    (void)state;
    enum { CLIENTS_COUNT = 3000 };
    unsigned first[3] = {0};
    for (uint64_t seed = 0; seed < CLIENTS_COUNT; seed++) {
        init("a:1,b:1,c:1", false, seed);
        first[rf_registries_next(&registries)->text[0] - 'a']++;
        fail_next(1);
        fail_next(1); /* at the same time: each is tried all the same */
        fail_next(1);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(registries.entries[i].failures, 1);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        assert_in_range(first[i], CLIENTS_COUNT / 3 - 150, CLIENTS_COUNT / 3 + 150); /* 6 sigma */
    }
}

static void registry_rests_longer_each_time_and_never_too_long(void **state)
{
    (void)state;
    uint64_t now_ns = 5000 * ns_per_ms;
    init("a:1", true, 3);
    struct rf_registry *registry = rf_registries_next(&registries);
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t mean_ns = i < 6 ? (50 * ns_per_ms) << i : 2000 * ns_per_ms;
        rf_registries_failed(&registries, registry, 0, now_ns);
        assert_in_range(registry->rest_ns - now_ns, mean_ns / 2, mean_ns + mean_ns / 2);
        now_ns = registry->rest_ns;
    }
    /* Being up for a moment is not being of use. */
    rf_registries_failed(&registries, registry, now_ns, now_ns + 1999 * ns_per_ms);
    assert_true(registry->rest_ns - now_ns > 1999 * ns_per_ms + 500 * ns_per_ms);
    now_ns += 10000 * ns_per_ms;
    rf_registries_failed(&registries, registry, now_ns - 2000 * ns_per_ms, now_ns);
    assert_in_range(registry->rest_ns - now_ns, 25 * ns_per_ms, 75 * ns_per_ms);
}

static void registries_that_are_told_come_and_go_and_given_ones_stay(void **state)
{
    (void)state;
    init("a:1,b:1", true, 1);
    struct rf_registry *current = &registries.entries[1];
    rf_registries_told_begin(&registries);
    rf_registries_told_add(&registries, "b:1");
    rf_registries_told_add(&registries, "c:1");
    rf_registries_told_add(&registries, "no port:");
    rf_registries_told_add(&registries, "d:1");
    current = rf_registries_told_end(&registries, current);
    assert_string_equal(current->text, "b:1");
    assert_int_equal(registries.count, 4);
    next_is("a:1"); /* given ones come first */

    current = &registries.entries[3];
    rf_registries_told_begin(&registries);
    rf_registries_told_add(&registries, "e:1");
    current = rf_registries_told_end(&registries, current); /* stays while it is in use */
    assert_string_equal(current->text, "d:1");
    assert_int_equal(registries.count, 4);
    rf_registries_told_begin(&registries);
    assert_null(rf_registries_told_end(&registries, NULL));
    assert_int_equal(registries.count, 2);

    rf_registries_told_begin(&registries);
    for (int i = 0; i < 2 * RF_REGISTRIES_MAX; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "more-%d:1", i);
        rf_registries_told_add(&registries, text);
    }
    assert_null(rf_registries_told_end(&registries, NULL));
    assert_int_equal(registries.count, RF_REGISTRIES_MAX);
}

static void registries_that_are_told_in_other_words_are_the_given_ones(void **state)
{
    (void)state;
    init("a,[::1],b:1", true, 1);
    rf_registries_told_begin(&registries);
    rf_registries_told_add(&registries, "a:9800");
    rf_registries_told_add(&registries, "[::1]:9800");
    rf_registries_told_add(&registries, "b");
    assert_null(rf_registries_told_end(&registries, NULL));
    assert_int_equal(registries.count, 4); /* b on another port is another one */
    next_is("a");
    assert_string_equal(registries.entries[3].text, "b");
}

static void registry_that_knows_less_is_left_while_another_may_know_more(void **state)
{
    (void)state;
    uint64_t now_ns = 1000 * ns_per_ms;
    init("a:1,b:1,c:1", true, 1);
    struct rf_registry *entries = registries.entries;
    rf_registries_failed(&registries, &entries[2], 0, now_ns);
    assert_true(rf_registries_doubt(&registries, &entries[0], now_ns));
    assert_false(rf_registries_doubt(&registries, &entries[1], now_ns)); /* c rests */
    assert_true(rf_registries_doubt(&registries, &entries[1], entries[2].rest_ns));
    now_ns += (uint64_t)(RF_REGISTRY_DOUBT_MS + 1000) * ns_per_ms;
    assert_true(rf_registries_doubt(&registries, &entries[1], now_ns));
    init("a:1", true, 1);
    assert_false(rf_registries_doubt(&registries, &registries.entries[0], now_ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registries_in_order_are_tried_so_and_each_once),
        cmocka_unit_test(registries_by_chance_are_first_equally_often),
        cmocka_unit_test(registry_rests_longer_each_time_and_never_too_long),
        cmocka_unit_test(registries_that_are_told_come_and_go_and_given_ones_stay),
        cmocka_unit_test(registries_that_are_told_in_other_words_are_the_given_ones),
        cmocka_unit_test(registry_that_knows_less_is_left_while_another_may_know_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
