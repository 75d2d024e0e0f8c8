/* SPDX-License-Identifier: MIT
 *
 * test_swim_nomem.c - the SWIM machine when memory runs out, at each allocation in turn.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/swim.h"
#include "tests/support/failing_alloc.h"

#define S UINT64_C(1000000000)

static const struct rf_address here = {.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 7946};
static const struct rf_address there = {.ip = {10, 0, 0, 2}, .ip_size = 4, .port = 7946};

static void start(struct rf_swim *swim)
{
    struct rf_swim_config config;
    rf_swim_config_init(&config, RF_SWIM_LAN);
    config.name = "me";
    config.address = here;
    assert_int_equal(rf_swim_init(swim, &config, 7, S, NULL), 0);
}

static void hear_alive(struct rf_swim *swim)
{
    uint8_t bytes[256];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_message message = {.type = RF_MESSAGE_ALIVE,
                                 .alive = {.incarnation = 1,
                                           .node = rf_slice_text("a"),
                                           .address = there,
                                           .meta = rf_slice_text("meta")}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    assert_true(rf_message_encode(&message, &packer) > 0);
    rf_swim_receive(swim, S, &there, rf_packer_slice(&packer));
}

/* One bad version vector in a push/pull has all of it refused. */
static void a_node_that_was_not_taken_whole_spoils_no_push_pull(void **state)
{
    (void)state;
    bool has_failed = true;
    for (size_t number = 1; has_failed; number++) {
        struct rf_swim swim;
        start(&swim);
        failing_alloc_in = number;
        hear_alive(&swim);
        has_failed = failing_alloc_in == 0;
        failing_alloc_in = 0;
        for (size_t i = 0; i < swim.nodes.count; i++) {
            assert_true(rf_vsn_is_valid(swim.nodes.list[i]->vsn));
        }
        hear_alive(&swim);
        const struct rf_node *node = rf_node_table_find(&swim.nodes, rf_slice_text("a"));
        assert_non_null(node);
        assert_int_equal(node->state, RF_NODE_ALIVE);
        rf_swim_check(&swim);
        rf_swim_fini(&swim);
    }
}

static void what_is_new_about_us_is_told_when_there_is_memory_again(void **state)
{
    (void)state;
    bool has_failed = true;
    for (size_t number = 1; has_failed; number++) {
        struct rf_swim swim;
        start(&swim);
        failing_alloc_in = number;
        int code = rf_swim_update(&swim, S, rf_slice_text("new"));
        has_failed = failing_alloc_in == 0;
        failing_alloc_in = 0;
        assert_true(code == 0 || code == -ENOMEM);
        for (uint64_t now_ns = S; now_ns < 3 * S; now_ns = rf_swim_deadline_ns(&swim)) {
            rf_swim_tick(&swim, now_ns);
        }
        if (code == 0) {
            assert_non_null(rf_name_table_find(&swim.queue.names, rf_slice_text("me")));
        }
        rf_swim_check(&swim);
        rf_swim_fini(&swim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_was_not_taken_whole_spoils_no_push_pull),
        cmocka_unit_test(what_is_new_about_us_is_told_when_there_is_memory_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
