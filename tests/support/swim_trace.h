/* SPDX-License-Identifier: MIT
 *
 * swim_trace.h - a SWIM machine named "me" that hears from others, and what it asks for and tells,
 * as words: for the tests of swim_*.c, each of which includes it once.
 */
#ifndef RF_TESTS_SUPPORT_SWIM_TRACE_H
#define RF_TESTS_SUPPORT_SWIM_TRACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/packet.h"
#include "gossip/swim_private.h"

#define MS UINT64_C(1000000)

static struct rf_swim swim;
static uint64_t now_ns;
static char trace[4096];
static struct rf_packet packet;

static char declared_dead[64]; /* the last "NAME by NAME" that was told */
static const struct rf_address anywhere = {.ip = {10, 0, 0, 250}, .ip_size = 4, .port = 1};

/* Node "x" lives at 10.0.0.x:7946. */
static inline struct rf_address address_of(const char *name)
{
    return (struct rf_address){.ip = {10, 0, 0, (uint8_t)name[0]}, .ip_size = 4, .port = 7946};
}

static inline int setup(void **state)
{
    (void)state;
    struct rf_swim_config config;
    rf_swim_config_init(&config, RF_SWIM_LAN);
    config.name = "me";
    config.address = address_of("m");
    now_ns = 1000 * MS;
    int code = rf_swim_init(&swim, &config, 5, now_ns, NULL);
    swim.calls_back_left = 0; /* messages come from a stranger here */
    rf_outbox_clear(&swim.up);
    return code;
}

static inline int teardown(void **state)
{
    (void)state;
    rf_swim_fini(&swim);
    return 0;
}

static inline void write_trace(const char *what, char separator, const char *whom)
{
    size_t length = strlen(trace);
    (void)snprintf(trace + length, sizeof(trace) - length, "%s%c%s ", what, separator, whom);
}

static inline void trace_packet(const struct rf_output *output)
{
    static const struct rf_envelope envelope;
    assert_int_equal(rf_packet_open(&packet, &envelope, output->bytes, output->bytes_size), 0);
    struct rf_slice part;
    char to[2] = {(char)output->address.ip[3], 0};
    while (rf_packet_next(&packet, &part)) {
        const char *name = rf_message_type_name(part.data[0]);
        write_trace(name, '>', to);
    }
}

/* What the machine asked for and told since the last call, as words. */
static inline const char *outputs(void)
{
    static const char *const up_names[] = {
        [RF_OUTPUT_NODE_JOIN] = "join",          [RF_OUTPUT_NODE_LEAVE] = "leave",
        [RF_OUTPUT_NODE_UPDATE] = "update",      [RF_OUTPUT_NODE_CONFLICT] = "conflict",
        [RF_OUTPUT_USER_MESSAGE] = "user",       [RF_OUTPUT_SWIM_LEFT] = "left",
        [RF_OUTPUT_PUSH_PULL_OPEN] = "pushPull", [RF_OUTPUT_NODE_ACK] = "ack"};
    trace[0] = 0;
    struct rf_output output;
    while (rf_outbox_next(&swim.up, &output)) {
        if (output.type != RF_OUTPUT_NOTICE) {
            write_trace(up_names[output.type], ':', output.name);
        } else if (output.notice == RF_NOTICE_DEAD) {
            (void)snprintf(declared_dead, sizeof(declared_dead), "%s by %s", output.name,
                           output.text);
        }
    }
    while (rf_outbox_next(&swim.out, &output)) {
        char to[2] = {(char)output.address.ip[3], 0};
        if (output.type == RF_OUTPUT_PACKET) {
            trace_packet(&output);
        } else {
            write_trace("tcp-ping", '>', to);
        }
    }
    rf_outbox_clear(&swim.up);
    rf_outbox_clear(&swim.out);
    rf_swim_check(&swim);
    size_t length = strlen(trace);
    trace[length > 0 ? length - 1 : 0] = 0;
    return trace;
}

static inline const char *receive_from(const struct rf_address *from,
                                       const struct rf_message *message)
{
    uint8_t bytes[2048];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(message, &packer) > 0);
    rf_swim_receive(&swim, now_ns, from, rf_packer_slice(&packer));
    return outputs();
}

static inline const char *receive(const struct rf_message *message)
{
    return receive_from(&anywhere, message);
}

static inline struct rf_message alive(const char *name, uint32_t incarnation)
{
    struct rf_message message = {.type = RF_MESSAGE_ALIVE,
                                 .alive = {.incarnation = incarnation,
                                           .node = rf_slice_text(name),
                                           .address = address_of(name)}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    return message;
}

static inline const char *hear_alive(const char *name, uint32_t incarnation)
{
    struct rf_message message = alive(name, incarnation);
    return receive(&message);
}

static inline const char *hear_suspect(const char *name, uint32_t incarnation, const char *from)
{
    struct rf_message message = {
        .type = RF_MESSAGE_SUSPECT,
        .suspect = {incarnation, rf_slice_text(name), rf_slice_text(from)}};
    return receive(&message);
}

static inline const char *hear_dead(const char *name, uint32_t incarnation, const char *from)
{
    struct rf_message message = {.type = RF_MESSAGE_DEAD,
                                 .dead = {incarnation, rf_slice_text(name), rf_slice_text(from)}};
    return receive(&message);
}

static inline struct rf_node *node(const char *name)
{
    return rf_node_table_find(&swim.nodes, rf_slice_text(name));
}

/* No gossip, so that packets in a trace are those of the rule at hand. */
static inline void drain_queue(void)
{
    rf_broadcast_fini(&swim.queue);
    rf_broadcast_init(&swim.queue, 100, 1400, 1);
}

static inline void tick_at(uint64_t at_ns)
{
    now_ns = at_ns;
    rf_swim_tick(&swim, now_ns);
}

static inline int merge(const struct rf_push_node_state *states, size_t count)
{
    uint8_t bytes[4096];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    for (size_t i = 0; i < count; i++) {
        assert_true(rf_push_node_state_encode(&states[i], &packer) > 0);
    }
    struct rf_stream_message message = {
        .type = RF_MESSAGE_PUSH_PULL,
        .push_pull = {.header = {.nodes_count = count}, .nodes = rf_packer_slice(&packer)}};
    return rf_swim_merge(&swim, now_ns, &message, NULL);
}

static inline struct rf_push_node_state state_of(const char *name, uint32_t incarnation,
                                                 uint32_t state)
{
    struct rf_push_node_state result = {.name = rf_slice_text(name),
                                        .address = address_of(name),
                                        .incarnation = incarnation,
                                        .state = state};
    memcpy(result.vsn, rf_vsn_ours, RF_VSN_SIZE);
    return result;
}

/* Starts a probe of the only other node, "a"; "b" can help unless it is NULL. */
static inline void start_probe(const char *helper)
{
    hear_alive("a", 1);
    drain_queue();
    swim.gossip_at_ns = swim.push_pull_at_ns = swim.catch_up_at_ns = UINT64_MAX;
    tick_at(swim.probe_at_ns);
    assert_string_equal(outputs(), "ping>a");
    if (helper != NULL) {
        hear_alive(helper, 1);
        drain_queue();
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
