/* SPDX-License-Identifier: MIT
 *
 * test_joiner.c - rounds of joining, with addresses that need no lookup.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gossip/joiner.h"

#define S UINT64_C(1000000000)

static struct rf_serf *serf_new(void)
{
    struct rf_serf_config config;
    struct rf_serf *serf = NULL;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = "me";
    config.swim.address = (struct rf_address){.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 7946};
    assert_int_equal(rf_serf_new(&config, 7, S, &serf, NULL), 0);
    return serf;
}

static void a_join_whose_result_was_lost_is_tried_again(void **state)
{
    (void)state;
    static struct rf_gossip_counters counters;
    const char *seed = "10.0.0.2:7946";
    const struct rf_log log = {0};
    const struct rf_address own = {.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 7946};
    struct rf_serf *serf = serf_new();
    struct rf_joiner joiner;
    assert_int_equal(rf_joiner_init(&joiner, &seed, 1, NULL), 0);
    rf_joiner_begin(&joiner, S, &own, &own, -1, &log, &counters, serf, 7);
    rf_joiner_tick(&joiner, S, serf);
    assert_int_equal(joiner.seeds[0].state, RF_SEED_JOINING);
    assert_int_equal(rf_joiner_deadline_ns(&joiner), UINT64_MAX); /* the result is waited for */
    rf_joiner_lost(&joiner, S, serf);
    assert_int_equal(joiner.seeds[0].state, RF_SEED_IDLE);
    assert_string_equal(joiner.error, "10.0.0.2:7946: out of memory");
    assert_in_range(rf_joiner_deadline_ns(&joiner), S + 1, 3 * S);
    rf_joiner_tick(&joiner, 3 * S, serf);
    assert_int_equal(joiner.rounds_count, 2);
    rf_joiner_fini(&joiner);
    rf_serf_free(serf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_whose_result_was_lost_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
