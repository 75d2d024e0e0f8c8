/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/swim_private.h"

#define S UINT64_C(1000000000)

enum { NODES_MAX = 24 };

static struct rf_swim *nodes[NODES_MAX];

static struct rf_address address_of(size_t index)
{
    return (struct rf_address){.ip = {10, 0, 0, (uint8_t)(index + 1)}, .ip_size = 4, .port = 7946};
}

static void name_of(size_t index, char name[16])
{
    (void)snprintf(name, 16, "n%zu", index);
}

/* `count` nodes that know each other, started at different times of clocks that agree. */
static void start(size_t count, bool has_clock)
{
    for (size_t i = 0; i < count; i++) {
        char name[16];
        name_of(i, name);
        struct rf_swim_config config;
        rf_swim_config_init(&config, RF_SWIM_LAN);
        config.name = name;
        config.address = address_of(i);
        uint64_t now_ns = (i + 1) * S;
        config.wall_ns = has_clock ? 1000000 * S + now_ns : 0;
        nodes[i] = malloc(sizeof(*nodes[i]));
        assert_non_null(nodes[i]);
        assert_int_equal(rf_swim_init(nodes[i], &config, i, now_ns, NULL), 0);
        for (size_t k = 0; k < count; k++) {
            name_of(k, name);
            struct rf_alive alive = {
                .incarnation = 1, .node = rf_slice_text(name), .address = address_of(k)};
            memcpy(alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
            rf_swim_alive(nodes[i], now_ns, &alive, false);
        }
    }
}

static void stop(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rf_swim_fini(nodes[i]);
        free(nodes[i]);
    }
}

static size_t target(size_t index, uint64_t now_ns)
{
    const struct rf_node *node = rf_swim_order_target(nodes[index], now_ns);
    assert_non_null(node);
    return (size_t)strtoul(node->name + 1, NULL, 10);
}

static void everybody_is_probed_by_one_other_in_each_interval(void **state)
{
    (void)state;
    for (size_t count = 2; count <= NODES_MAX; count++) {
        start(count, true);
        for (uint64_t k = 100; k < 200; k++) {
            bool is_probed[NODES_MAX] = {false};
            for (size_t i = 0; i < count; i++) {
                size_t other = target(i, k * S + i * S / NODES_MAX); /* each at its own moment */
                assert_true(other != i);
                assert_false(is_probed[other]);
                is_probed[other] = true;
            }
        }
        stop(count);
    }
}

static void a_round_takes_every_other_once_also_without_a_clock(void **state)
{
    (void)state;
    for (int has_clock = 0; has_clock <= 1; has_clock++) {
        for (size_t count = 2; count <= NODES_MAX; count++) {
            start(count, has_clock == 1);
            uint64_t last[NODES_MAX] = {0};
            for (uint64_t k = 100; k < 400; k++) {
                last[target(0, k * S)] = k;
                for (size_t i = 1; i < count && k >= 100 + 2 * count; i++) {
                    assert_true(k - last[i] <= 2 * (count - 1) - 2 || count == 2);
                }
            }
            stop(count);
        }
    }
}

static void who_skips_every_other_turn_still_comes_to_all(void **state)
{
    (void)state;
    for (size_t count = 3; count <= NODES_MAX; count++) {
        start(count, true);
        bool is_probed[NODES_MAX] = {false};
        size_t probed_count = 0;
        for (uint64_t k = 100; k < 1100; k += 2) {
            size_t other = target(0, k * S);
            probed_count += !is_probed[other];
            is_probed[other] = true;
        }
        assert_int_equal(probed_count, count - 1);
        stop(count);
    }
}

static void the_dead_get_no_turn_and_the_lonely_probe_nobody(void **state)
{
    (void)state;
    start(3, true);
    struct rf_dead dead = {
        .incarnation = 1, .node = rf_slice_text("n1"), .from = rf_slice_text("n2")};
    rf_swim_dead(nodes[0], 10 * S, &dead);
    for (uint64_t k = 11; k < 30; k++) {
        assert_int_equal(target(0, k * S), 2);
    }
    dead.node = rf_slice_text("n2");
    rf_swim_dead(nodes[0], 30 * S, &dead);
    assert_null(rf_swim_order_target(nodes[0], 31 * S));
    stop(3);
}

static void who_leaves_probes_nobody(void **state)
{
    (void)state;
    start(3, true);
    rf_swim_leave(nodes[0], 10 * S, S);
    assert_null(rf_swim_order_target(nodes[0], 11 * S));
    stop(3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_is_probed_by_one_other_in_each_interval),
        cmocka_unit_test(a_round_takes_every_other_once_also_without_a_clock),
        cmocka_unit_test(who_skips_every_other_turn_still_comes_to_all),
        cmocka_unit_test(the_dead_get_no_turn_and_the_lonely_probe_nobody),
        cmocka_unit_test(who_leaves_probes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
