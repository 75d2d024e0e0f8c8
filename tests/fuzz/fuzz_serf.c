/* SPDX-License-Identifier: MIT
 *
 * fuzz_serf.c - the input as a stream of events into two Serf machines that are given the same:
 * packets' messages, streams' messages, results of exchanges, passing time and local calls. After
 * each event the invariants must hold, and the outputs of both must be equal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/packet.h"
#include "gossip/serf_private.h"
#include "tests/support/go_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MACHINES = 2, NAMES = 8 };

static const struct rf_envelope envelope;
static const struct rf_address from = {.ip = {10, 0, 0, 9}, .ip_size = 4, .port = 7946};

struct fuzz {
    struct rf_slice input;
    struct rf_serf *serfs[MACHINES];
    uint64_t now_ns;
    uint64_t exchange_id;    /* last one that was asked for */
    uint64_t key_request_id; /* likewise; 0: none, or it is done */
    struct go_peer_view view;
};

static uint64_t take(struct fuzz *fuzz, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count && fuzz->input.size > 0; i++) {
        value = value << 8 | fuzz->input.data[0];
        fuzz->input = rf_slice_after(fuzz->input, 1);
    }
    return value;
}

static struct rf_slice take_bytes(struct fuzz *fuzz)
{
    size_t size = take(fuzz, 2);
    size = size < fuzz->input.size ? size : fuzz->input.size;
    struct rf_slice bytes = rf_slice(fuzz->input.data, size);
    fuzz->input = rf_slice_after(fuzz->input, size);
    return bytes;
}

static struct rf_slice take_name(struct fuzz *fuzz)
{
    static const char names[] = "abcdefgh";
    return rf_slice(&names[take(fuzz, 1) % NAMES], 1);
}

static uint64_t take_ltime(struct fuzz *fuzz)
{
    uint8_t choice = (uint8_t)take(fuzz, 1);
    return choice < 230 ? choice : take(fuzz, 8);
}

/* ---- messages that make sense ---- */

static int make_serf_message(struct fuzz *fuzz, struct rf_packer *packer)
{
    static const char *const queries[] = {"_serf_ping", "_serf_conflict", "_serf_list-keys",
                                          "_serf_use-key", "deploy"};
    struct rf_serf_message message = {0};
    uint8_t choice = (uint8_t)take(fuzz, 1);
    switch (choice % 5) {
    case 0:
        message.type = RF_SERF_LEAVE;
        message.leave = (struct rf_serf_leave){
            .ltime = take_ltime(fuzz), .node = take_name(fuzz), .prune = choice > 200};
        break;
    case 1:
        message.type = RF_SERF_JOIN;
        message.join = (struct rf_serf_join){.ltime = take_ltime(fuzz), .node = take_name(fuzz)};
        break;
    case 2:
        message.type = RF_SERF_USER_EVENT;
        message.user_event = (struct rf_serf_user_event){
            .ltime = take_ltime(fuzz), .name = take_name(fuzz), .payload = take_name(fuzz)};
        break;
    case 3:
        message.type = RF_SERF_QUERY;
        message.query = (struct rf_serf_query){
            .ltime = take_ltime(fuzz),
            .id = (uint32_t)take(fuzz, 1),
            .address = from,
            .flags = (uint32_t)take(fuzz, 1),
            .relay_factor = (uint8_t)take(fuzz, 1),
            .name = rf_slice_text(queries[take(fuzz, 1) % 5]),
            .payload = choice > 100 ? rf_slice_text("\x07\x81\xa3Key\xa1k") : take_name(fuzz)};
        break;
    default: {
        const struct rf_ask *ask = &fuzz->serfs[0]->asks[choice % RF_SERF_ASKS_MAX];
        const struct rf_contest *contest = &fuzz->serfs[0]->contest;
        message.type = RF_SERF_QUERY_RESPONSE;
        message.query_response =
            (struct rf_serf_query_response){.ltime = ask->id != 0 ? ask->ltime : contest->ltime,
                                            .id = ask->id != 0 ? ask->query_id : contest->id,
                                            .from = take_name(fuzz),
                                            .flags = choice > 200,
                                            .payload = take_bytes(fuzz)};
        break;
    }
    }
    rf_pack_byte(packer, RF_MESSAGE_USER);
    return rf_serf_message_encode(&message, packer);
}

static int make_node_message(struct fuzz *fuzz, struct rf_packer *packer)
{
    struct rf_message message = {0};
    uint8_t choice = (uint8_t)take(fuzz, 1);
    uint32_t incarnation = (uint32_t)take(fuzz, 1);
    struct rf_slice name = take_name(fuzz);
    if (choice % 4 < 2) {
        message.type = RF_MESSAGE_ALIVE;
        message.alive = (struct rf_alive){
            .incarnation = incarnation,
            .node = name,
            .address = {.ip = {10, 0, 0, name.data[0]}, .ip_size = 4, .port = 7946}};
        message.alive.address.ip[3] += choice > 230; /* now and then a conflict */
        memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    } else if (choice % 4 == 2) {
        message.type = RF_MESSAGE_DEAD;
        message.dead = (struct rf_dead){incarnation, name, take_name(fuzz)};
    } else {
        message.type = RF_MESSAGE_SUSPECT;
        message.suspect = (struct rf_suspect){incarnation, name, take_name(fuzz)};
    }
    return rf_message_encode(&message, packer);
}

/* ---- events ---- */

static void receive(struct fuzz *fuzz, struct rf_slice bytes)
{
    for (int i = 0; i < MACHINES; i++) {
        rf_serf_receive(fuzz->serfs[i], fuzz->now_ns, &from, bytes.data, bytes.size);
    }
}

/* A stream's message, accepted or as the reply to the exchange that was asked for last. */
static void stream(struct fuzz *fuzz, struct rf_slice bytes, bool is_reply)
{
    struct rf_stream_parser parser;
    rf_stream_parser_init(&parser, &envelope,
                          is_reply ? RF_STREAM_REPLY_PUSH_PULL : RF_STREAM_REQUEST);
    if (rf_stream_parser_feed(&parser, bytes.data, bytes.size) == 1) {
        const struct rf_stream_message *message = rf_stream_parser_message(&parser);
        const uint8_t *replies[MACHINES];
        size_t sizes[MACHINES] = {0};
        for (int i = 0; i < MACHINES; i++) {
            if (is_reply) {
                rf_serf_exchange_done(fuzz->serfs[i], fuzz->now_ns, fuzz->exchange_id, 0, NULL,
                                      message);
            } else if (!rf_serf_accept(fuzz->serfs[i], fuzz->now_ns, &from, message, &replies[i],
                                       &sizes[i])) {
                sizes[i] = 0;
            }
        }
        RF_ASSERT(sizes[0] == sizes[1]);
        RF_ASSERT(sizes[0] == 0 || memcmp(replies[0], replies[1], sizes[0]) == 0);
        if (sizes[0] > 0) {
            go_peer_must_survive_stream(&fuzz->view, replies[0], sizes[0]);
        }
    }
    rf_stream_parser_fini(&parser);
}

/* A push/pull of well-formed parts: some nodes, and the input as their state. */
static void push_pull(struct fuzz *fuzz, bool is_reply)
{
    static uint8_t bytes[8192];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_push_pull_header header = {.nodes_count = take(fuzz, 1) % NAMES};
    struct rf_push_node_state states[NAMES];
    for (size_t i = 0; i < header.nodes_count; i++) {
        struct rf_slice name = take_name(fuzz);
        states[i] = (struct rf_push_node_state){
            .name = name,
            .address = {.ip = {10, 0, 0, name.data[0]}, .ip_size = 4, .port = 7946},
            .incarnation = (uint32_t)take(fuzz, 1),
            .state = (uint32_t)take(fuzz, 1) % 5};
        memcpy(states[i].vsn, rf_vsn_ours, RF_VSN_SIZE);
    }
    struct rf_slice state = take_bytes(fuzz);
    header.user_state_size = state.size;
    int code = rf_push_pull_header_encode(&header, &packer);
    for (size_t i = 0; i < header.nodes_count && code >= 0; i++) {
        code = rf_push_node_state_encode(&states[i], &packer);
    }
    rf_pack_bytes(&packer, state);
    if (code >= 0 && !packer.is_full) {
        stream(fuzz, rf_packer_slice(&packer), is_reply);
    }
}

static void pass_time(struct fuzz *fuzz, uint64_t extra_ns)
{
    uint64_t deadline_ns = rf_serf_deadline_ns(fuzz->serfs[0]);
    RF_ASSERT(deadline_ns == rf_serf_deadline_ns(fuzz->serfs[1]));
    fuzz->now_ns = (deadline_ns > fuzz->now_ns ? deadline_ns : fuzz->now_ns) + extra_ns;
    for (int i = 0; i < MACHINES; i++) {
        rf_serf_tick(fuzz->serfs[i], fuzz->now_ns);
    }
}

/* The driver has done what was asked of it last. */
static void key_done(struct fuzz *fuzz)
{
    struct rf_slice key = rf_slice_text("0123456789abcdef");
    struct rf_serf_key_result result = {.is_done = take(fuzz, 1) % 2 == 0, .message = "no"};
    result.keys = &key;
    result.keys_count = take(fuzz, 1) % 2;
    for (int i = 0; i < MACHINES && fuzz->key_request_id != 0; i++) {
        rf_serf_key_done(fuzz->serfs[i], fuzz->now_ns, fuzz->key_request_id, &result);
    }
    fuzz->key_request_id = 0;
}

static void local_call(struct fuzz *fuzz)
{
    uint8_t choice = (uint8_t)take(fuzz, 1);
    int codes[MACHINES];
    for (int i = 0; i < MACHINES; i++) {
        uint64_t join_id;
        if (choice < 100) {
            codes[i] = rf_serf_join(fuzz->serfs[i], fuzz->now_ns, &from, 1, &join_id, NULL);
        } else if (choice < 200) {
            codes[i] = rf_serf_set_meta(fuzz->serfs[i], fuzz->now_ns, &choice, 1, NULL);
        } else if (choice < 220) {
            const struct rf_serf_question question = {.name = "_serf_list-keys",
                                                      .payload = rf_slice_text("\x07\x80"),
                                                      .relay_factor = choice % 4};
            uint64_t ask_id;
            codes[i] = rf_serf_ask(fuzz->serfs[i], fuzz->now_ns, &question, &ask_id, NULL);
        } else if (choice < 240) {
            codes[i] = 0;
            rf_serf_exchange_done(fuzz->serfs[i], fuzz->now_ns, fuzz->exchange_id, -ECONNREFUSED,
                                  NULL, NULL);
        } else {
            codes[i] = rf_serf_leave(fuzz->serfs[i], fuzz->now_ns, NULL);
        }
    }
    RF_ASSERT(codes[0] == codes[1]);
}

static void one_event(struct fuzz *fuzz)
{
    uint8_t bytes[4096];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    switch (take(fuzz, 1) % 13) {
    case 0:
    case 1:
    case 2:
        if (make_node_message(fuzz, &packer) > 0) {
            receive(fuzz, rf_packer_slice(&packer));
        }
        break;
    case 3:
    case 4:
    case 5:
        if (make_serf_message(fuzz, &packer) > 0) {
            receive(fuzz, rf_packer_slice(&packer));
        }
        break;
    case 6:
        receive(fuzz, take_bytes(fuzz));
        break;
    case 7:
        push_pull(fuzz, take(fuzz, 1) % 2 == 0);
        break;
    case 8:
        stream(fuzz, take_bytes(fuzz), false);
        break;
    case 9:
        pass_time(fuzz, 0);
        break;
    case 10:
        pass_time(fuzz, take(fuzz, 2) * 1000000);
        break;
    case 11:
        key_done(fuzz);
        break;
    default:
        local_call(fuzz);
        break;
    }
}

/* Equal inputs, equal outputs. */
static void drain(struct fuzz *fuzz)
{
    struct rf_output outputs[MACHINES];
    while (rf_serf_next(fuzz->serfs[0], &outputs[0])) {
        RF_ASSERT(rf_serf_next(fuzz->serfs[1], &outputs[1]));
        RF_ASSERT(outputs[0].type == outputs[1].type);
        RF_ASSERT(rf_address_equal(&outputs[0].address, &outputs[1].address));
        RF_ASSERT(rf_slice_equal(rf_slice(outputs[0].bytes, outputs[0].bytes_size),
                                 rf_slice(outputs[1].bytes, outputs[1].bytes_size)));
        if (outputs[0].type == RF_OUTPUT_PACKET) {
            go_peer_must_survive_packet(&fuzz->view, outputs[0].bytes, outputs[0].bytes_size);
        }
        if (outputs[0].type == RF_OUTPUT_EXCHANGE) {
            go_peer_must_survive_stream(&fuzz->view, outputs[0].bytes, outputs[0].bytes_size);
            fuzz->exchange_id = outputs[0].exchange_id;
        } else if (outputs[0].type == RF_OUTPUT_KEY_REQUEST) {
            fuzz->key_request_id = outputs[0].request_id;
        }
    }
    RF_ASSERT(!rf_serf_next(fuzz->serfs[1], &outputs[1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.input = rf_slice(data, size), .now_ns = 1};
    struct rf_serf_config config;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = "a";
    config.swim.address = (struct rf_address){.ip = {10, 0, 0, 'a'}, .ip_size = 4, .port = 7946};
    config.swim.nodes_max = 6;
    config.members_max = 6;
    config.intents_max = 4;
    uint64_t seed = take(&fuzz, 2);
    config.is_encrypted = seed % 2 != 0;
    for (int i = 0; i < MACHINES; i++) {
        int code = rf_serf_new(&config, seed, fuzz.now_ns, &fuzz.serfs[i], NULL);
        RF_ASSERT(code == 0);
    }
    while (fuzz.input.size > 0) {
        one_event(&fuzz);
        drain(&fuzz);
        rf_serf_check(fuzz.serfs[0]);
    }
    for (int i = 0; i < MACHINES; i++) {
        rf_serf_free(fuzz.serfs[i]);
    }
    return 0;
}
