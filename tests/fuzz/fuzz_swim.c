/* SPDX-License-Identifier: MIT
 *
 * fuzz_swim.c - the input as a stream of events into a SWIM machine: messages that are decoded and
 * applied to names that occur again and again, raw bytes, passing time, leaving, updating. The
 * machine must hold its invariants after each, whatever came.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/swim.h"
#include "tests/support/go_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
};

static uint64_t take(struct input *input, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = 0;
        if (input->size > 0) {
            byte = *input->data++;
            input->size--;
        }
        value = value << 8 | byte;
    }
    return value;
}

/* "a".."p"; "a" is the machine itself. */
static struct rf_slice take_name(struct input *input)
{
    static const char names[] = "abcdefghijklmnop";
    return rf_slice(&names[take(input, 1) % 16], 1);
}

/* Small numbers mostly, now and then one near the end. */
static uint32_t take_incarnation(struct input *input)
{
    uint8_t choice = (uint8_t)take(input, 1);
    return choice < 240 ? choice % 8 : (uint32_t)take(input, 4);
}

static struct rf_address take_address(struct input *input)
{
    uint8_t choice = (uint8_t)take(input, 1);
    return (struct rf_address){
        .ip = {10, 0, 0, choice % 16}, .ip_size = choice < 250 ? 4 : 16, .port = choice % 3};
}

static void take_vsn(struct input *input, uint8_t vsn[RF_VSN_SIZE])
{
    memcpy(vsn, rf_vsn_ours, RF_VSN_SIZE);
    uint8_t choice = (uint8_t)take(input, 1);
    if (choice > 240) {
        vsn[choice % RF_VSN_SIZE] = (uint8_t)take(input, 1);
    }
}

static struct rf_message take_message(struct input *input)
{
    static uint8_t meta[16];
    struct rf_message message = {.type = (enum rf_message_type)(take(input, 1) % 6)};
    switch (message.type) {
    case RF_MESSAGE_PING:
        message.ping = (struct rf_ping){.seq_no = (uint32_t)take(input, 1),
                                        .node = take_name(input),
                                        .source = take_address(input)};
        break;
    case RF_MESSAGE_INDIRECT_PING:
        message.indirect_ping = (struct rf_indirect_ping){.seq_no = (uint32_t)take(input, 1),
                                                          .target = take_address(input),
                                                          .node = take_name(input),
                                                          .nack = take(input, 1) % 2 == 0};
        break;
    case RF_MESSAGE_SUSPECT:
        message.suspect = (struct rf_suspect){.incarnation = take_incarnation(input),
                                              .node = take_name(input),
                                              .from = take_name(input)};
        break;
    case RF_MESSAGE_ALIVE:
        meta[0] = (uint8_t)take(input, 1);
        message.alive = (struct rf_alive){.incarnation = take_incarnation(input),
                                          .node = take_name(input),
                                          .address = take_address(input),
                                          .meta = rf_slice(meta, meta[0] % 3)};
        take_vsn(input, message.alive.vsn);
        break;
    case RF_MESSAGE_DEAD:
        message.dead = (struct rf_dead){.incarnation = take_incarnation(input),
                                        .node = take_name(input),
                                        .from = take_name(input)};
        break;
    default:
        message = (struct rf_message){.type = RF_MESSAGE_ACK,
                                      .ack = {.seq_no = (uint32_t)take(input, 1)}};
        break;
    }
    return message;
}

static void drain(struct rf_swim *swim, struct go_peer_view *view)
{
    struct rf_output output;
    while (rf_outbox_next(&swim->out, &output)) {
        if (output.type == RF_OUTPUT_PACKET) {
            go_peer_must_survive_packet(view, output.bytes, output.bytes_size);
        } else if (output.type == RF_OUTPUT_EXCHANGE) {
            go_peer_must_survive_stream(view, output.bytes, output.bytes_size);
        }
        RF_ASSERT(output.type != RF_OUTPUT_PACKET || output.bytes_size > 0);
        RF_ASSERT(output.bytes_size <= swim->config.packet_size + 7);
    }
    while (rf_outbox_next(&swim->up, &output)) {
        RF_ASSERT(output.name != NULL);
    }
    rf_outbox_clear(&swim->out);
    rf_outbox_clear(&swim->up);
}

static void one_event(struct rf_swim *swim, struct input *input, uint64_t *now_ns)
{
    struct rf_address from = {.ip = {10, 0, 0, 99}, .ip_size = 4, .port = 7946};
    uint8_t bytes[2048];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    uint8_t choice = (uint8_t)take(input, 1);
    if (choice < 160) {
        struct rf_message message = take_message(input);
        int message_size = rf_message_encode(&message, &packer);
        RF_ASSERT(message_size > 0);
        rf_swim_receive(swim, *now_ns, &from, rf_packer_slice(&packer));
    } else if (choice < 230) {
        uint64_t deadline_ns = rf_swim_deadline_ns(swim);
        *now_ns = deadline_ns > *now_ns ? deadline_ns : *now_ns + 1;
        rf_swim_tick(swim, *now_ns);
    } else if (choice < 240) {
        size_t size = take(input, 1);
        size = size < input->size ? size : input->size;
        rf_swim_receive(swim, *now_ns, &from, rf_slice(input->data, size));
        take(input, size);
    } else if (choice < 250) {
        bytes[0] = (uint8_t)take(input, 1);
        int code = swim->is_leaving ? 0 : rf_swim_update(swim, *now_ns, rf_slice(bytes, 1));
        RF_ASSERT(code == 0 || swim->incarnation == UINT32_MAX);
    } else {
        rf_swim_leave(swim, *now_ns, UINT64_C(5000000000));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct rf_swim_config config;
    rf_swim_config_init(&config, RF_SWIM_LAN);
    config.name = "a";
    config.address = (struct rf_address){.ip = {10, 0, 0, 0}, .ip_size = 4, .port = 7946};
    config.nodes_max = 12; /* fewer than there are names */
    config.queue_max = 6;
    uint64_t now_ns = 1;
    static struct rf_swim swim;
    struct go_peer_view view = {0};
    int code = rf_swim_init(&swim, &config, take(&input, 2), now_ns, NULL);
    RF_ASSERT(code == 0);
    while (input.size > 0) {
        uint32_t incarnation = swim.incarnation;
        one_event(&swim, &input, &now_ns);
        drain(&swim, &view);
        rf_swim_check(&swim);
        RF_ASSERT(swim.incarnation >= incarnation);
    }
    rf_swim_fini(&swim);
    return 0;
}
