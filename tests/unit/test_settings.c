/* SPDX-License-Identifier: MIT
 *
 * test_settings.c - the table of timers: profiles, ranges, and what does not go together.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/serf.h"
#include "gossip/settings.h"

#define MS UINT64_C(1000000)

/* memberlist's config.go and serf's config.go. */
static void profiles_have_the_constants_of_memberlist(void **state)
{
    (void)state;
    const struct {
        enum rf_swim_profile profile;
        uint64_t tcp, probe, timeout, gossip, push_pull, dead;
        uint32_t nodes, checks, retransmit, suspicion;
    } expected[] = {
        {RF_SWIM_LAN, 10000, 1000, 500, 200, 30000, 30000, 3, 3, 4, 4},
        {RF_SWIM_WAN, 30000, 5000, 3000, 500, 60000, 60000, 4, 3, 4, 6},
        {RF_SWIM_LOCAL, 1000, 1000, 200, 100, 15000, 15000, 3, 1, 2, 3},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct rf_serf_config config;
        rf_serf_config_init(&config, expected[i].profile);
        const struct rf_swim_config *swim = &config.swim;
        assert_int_equal(swim->tcp_timeout_ns, expected[i].tcp * MS);
        assert_int_equal(swim->probe_interval_ns, expected[i].probe * MS);
        assert_int_equal(swim->probe_timeout_ns, expected[i].timeout * MS);
        assert_int_equal(swim->gossip_interval_ns, expected[i].gossip * MS);
        assert_int_equal(swim->push_pull_interval_ns, expected[i].push_pull * MS);
        assert_int_equal(swim->gossip_to_the_dead_ns, expected[i].dead * MS);
        assert_int_equal(swim->gossip_nodes, expected[i].nodes);
        assert_int_equal(swim->indirect_checks, expected[i].checks);
        assert_int_equal(swim->retransmit_mult, expected[i].retransmit);
        assert_int_equal(swim->suspicion_mult, expected[i].suspicion);
        assert_int_equal(swim->suspicion_max_timeout_mult, 6);
        assert_int_equal(swim->awareness_max, 8);
        assert_int_equal(swim->dead_node_reclaim_ns, 0);
        assert_int_equal(config.reap_interval_ns, 15000 * MS);
        assert_int_equal(config.reconnect_interval_ns, 30000 * MS);
        assert_int_equal(config.reconnect_timeout_ns, 86400000 * MS);
        assert_int_equal(config.tombstone_timeout_ns, 86400000 * MS);
        assert_int_equal(config.recent_intent_ns, 300000 * MS);
        assert_int_equal(config.broadcast_timeout_ns, 5000 * MS);
        assert_int_equal(config.leave_propagate_ns, 1000 * MS);
    }
}

static void settings_that_are_not_set_leave_the_profile_alone(void **state)
{
    (void)state;
    const struct rf_gossip_settings none = {0};
    for (int profile = RF_GOSSIP_LAN; profile <= RF_GOSSIP_LOCAL; profile++) {
        struct rf_serf_config expected;
        struct rf_serf_config config;
        rf_serf_config_init(&expected, (enum rf_swim_profile)profile);
        rf_serf_config_init(&config, (enum rf_swim_profile)profile);
        assert_int_equal(
            rf_gossip_settings_apply(&none, (enum rf_gossip_profile)profile, &config, NULL), 0);
        assert_memory_equal(&config, &expected, sizeof(config));
    }
}

static void every_setting_goes_to_one_place_and_has_a_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_GOSSIP_SETTINGS_COUNT; i++) {
        const struct rf_gossip_setting_info *info = &rf_gossip_settings_info[i];
        struct rf_gossip_settings settings = {0};
        struct rf_error err = {0};
        assert_true(info->least <= info->most);
        for (int profile = 0; profile < RF_GOSSIP_PROFILES_COUNT; profile++) {
            assert_in_range(info->defaults[profile], info->least, info->most);
        }
        if (info->least > 0) {
            rf_gossip_set(&settings, (enum rf_gossip_setting)i, info->least - 1);
            assert_int_equal(rf_gossip_settings_check(&settings, RF_GOSSIP_LAN, &err), -EINVAL);
            assert_non_null(strstr(err.text, info->option));
        }
        rf_gossip_set(&settings, (enum rf_gossip_setting)i, info->most + 1);
        assert_int_equal(rf_gossip_settings_check(&settings, RF_GOSSIP_LAN, &err), -EINVAL);
        assert_non_null(strstr(err.text, info->option));

        /* One more than the default is allowed for each, and changes one field only. */
        struct rf_serf_config before = {0};
        struct rf_serf_config after = {0};
        const struct rf_gossip_settings none = {0};
        assert_int_equal(rf_gossip_settings_apply(&none, RF_GOSSIP_LAN, &before, NULL), 0);
        rf_gossip_set(&settings, (enum rf_gossip_setting)i, info->defaults[RF_GOSSIP_LAN] + 1);
        assert_int_equal(rf_gossip_settings_apply(&settings, RF_GOSSIP_LAN, &after, NULL), 0);
        size_t first = 0;
        size_t last = 0;
        for (size_t at = 0; at < sizeof(after); at++) {
            if (((const char *)&before)[at] != ((const char *)&after)[at]) {
                first = first == 0 ? at + 1 : first;
                last = at + 1;
            }
        }
        assert_true(first > 0 && last - first < sizeof(uint64_t));
    }
}

static void settings_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    struct rf_gossip_settings settings = {0};
    struct rf_error err = {0};
    struct rf_serf_config config = {.members_max = 77};
    rf_gossip_set(&settings, RF_SETTING_probe_timeout, 1000);
    assert_int_equal(rf_gossip_settings_apply(&settings, RF_GOSSIP_LAN, &config, &err), -EINVAL);
    assert_string_equal(err.text, "-probe-timeout-ms 1000: allowed is less than "
                                  "-probe-interval-ms, which is 1000");
    assert_int_equal(config.members_max, 77); /* untouched */
    assert_int_equal(config.reap_interval_ns, 0);
    assert_int_equal(rf_gossip_settings_check(&settings, RF_GOSSIP_WAN, &err), 0);

    settings = (struct rf_gossip_settings){0};
    rf_gossip_set(&settings, RF_SETTING_reconnect_timeout, 29999);
    assert_int_equal(rf_gossip_settings_check(&settings, RF_GOSSIP_LAN, &err), -EINVAL);
    assert_string_equal(err.text, "-reconnect-timeout-ms 29999: allowed from "
                                  "-reconnect-interval-ms on, which is 30000");
}

static void profiles_are_told_by_name(void **state)
{
    (void)state;
    enum rf_gossip_profile profile = RF_GOSSIP_LAN;
    struct rf_error err = {0};
    assert_int_equal(rf_gossip_profile_parse("wan", &profile, NULL), 0);
    assert_int_equal(profile, RF_GOSSIP_WAN);
    assert_int_equal(rf_gossip_profile_parse("moon", &profile, &err), -EINVAL);
    assert_string_equal(err.text, "profile 'moon': allowed are lan, wan and local");
}

static void leaving_is_given_the_time_that_its_settings_say(void **state)
{
    (void)state;
    struct rf_gossip_settings settings = {0};
    assert_int_equal(rf_gossip_settings_leave_ms(&settings, RF_GOSSIP_LAN), 12000);
    rf_gossip_set(&settings, RF_SETTING_broadcast_timeout, 60000);
    rf_gossip_set(&settings, RF_SETTING_leave_propagate, 0);
    assert_int_equal(rf_gossip_settings_leave_ms(&settings, RF_GOSSIP_LAN), 121000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_have_the_constants_of_memberlist),
        cmocka_unit_test(settings_that_are_not_set_leave_the_profile_alone),
        cmocka_unit_test(every_setting_goes_to_one_place_and_has_a_range),
        cmocka_unit_test(settings_that_do_not_go_together_are_refused),
        cmocka_unit_test(profiles_are_told_by_name),
        cmocka_unit_test(leaving_is_given_the_time_that_its_settings_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
