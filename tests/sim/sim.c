/* SPDX-License-Identifier: MIT
 *
 * sim.c - nodes, their inputs and outputs, and the clock.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/keyring.h"
#include "gossip/tags.h"
#include "tests/sim/sim_private.h"
#include "tests/support/go_peer.h"

enum {
    NODES_MIN = 16,
    SOCKET_BUFFER = 2 << 20, /* what the driver asks for */
    SOCKET_OVERHEAD = 768,   /* of a small datagram in it, as Linux counts */
    READ_IN_A_ROW = 64,      /* datagrams that the driver reads before it looks at the time */
};

#define WALL_START_NS (UINT64_C(1800000000) * RF_SIM_S)

void rf_sim_trace(struct rf_sim *sim, uint64_t word)
{
    sim->trace = (sim->trace ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    sim->trace ^= sim->trace >> 29;
}

/* ---- outputs ---- */

/* Eight bytes at a time in two lanes: bytes of packets are most of what is traced. */
static void trace_bytes(struct rf_sim *sim, const uint8_t *data, size_t size)
{
    uint64_t lanes[2] = {size, ~size};
    size_t at = 0;
    for (; at + 16 <= size; at += 16) {
        uint64_t words[2];
        memcpy(words, data + at, sizeof(words));
        lanes[0] = (lanes[0] ^ words[0]) * UINT64_C(0x9e3779b97f4a7c15);
        lanes[1] = (lanes[1] ^ words[1]) * UINT64_C(0xbf58476d1ce4e5b9);
        lanes[0] ^= lanes[0] >> 32;
        lanes[1] ^= lanes[1] >> 32;
    }
    uint64_t rest[2] = {0};
    memcpy(rest, data + at, size - at);
    rf_sim_trace(sim, lanes[0] ^ rest[0]);
    rf_sim_trace(sim, lanes[1] ^ rest[1]);
}

static void on_member(struct rf_sim *sim, uint32_t index, const struct rf_output *output)
{
    struct rf_sim_node *node = &sim->nodes[index];
    node->changes[output->change]++;
    rf_sim_check_name(sim, index, rf_slice(output->name, output->name_size));
    if (sim->on_member != NULL) {
        sim->on_member(sim, index, output, sim->on_member_context);
    }
}

static void on_output(struct rf_sim *sim, uint32_t index, const struct rf_output *output)
{
    struct rf_sim_node *node = &sim->nodes[index];
    rf_sim_trace(sim, sim->now_ns ^ ((uint64_t)output->type << 56) ^ ((uint64_t)index << 40));
    trace_bytes(sim, output->bytes, output->bytes_size);
    trace_bytes(sim, (const uint8_t *)output->name, output->name_size);
    switch (output->type) {
    case RF_OUTPUT_PACKET:
        RF_DEBUG_CHECK(go_peer_must_survive_packet(NULL, output->bytes, output->bytes_size));
        rf_sim_send_packet(sim, index, output);
        break;
    case RF_OUTPUT_EXCHANGE:
        RF_DEBUG_CHECK(go_peer_must_survive_stream(NULL, output->bytes, output->bytes_size));
        rf_sim_open_exchange(sim, index, output);
        break;
    case RF_OUTPUT_MEMBER:
        on_member(sim, index, output);
        break;
    case RF_OUTPUT_JOIN_RESULT:
        node->joins_done += output->code == 0;
        node->joins_failed += output->code != 0;
        break;
    case RF_OUTPUT_LEFT:
        node->has_left = true;
        break;
    case RF_OUTPUT_NAME_LOST:
        node->has_lost_name = true;
        break;
    default:
        RF_ASSERT(output->type == RF_OUTPUT_NOTICE); /* others are not for drivers, or lost */
        break;
    }
}

static void schedule(struct rf_sim *sim, uint32_t index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    uint64_t deadline_ns = UINT64_MAX;
    if (node->serf != NULL && node->resume_at_ns == 0) {
        deadline_ns = rf_serf_deadline_ns(node->serf);
        deadline_ns = deadline_ns == UINT64_MAX ? deadline_ns : deadline_ns + node->behind_ns;
        deadline_ns = deadline_ns < sim->now_ns ? sim->now_ns : deadline_ns;
        deadline_ns = deadline_ns < node->busy_until_ns ? node->busy_until_ns : deadline_ns;
    }
    rf_sim_tick_set(sim, index, deadline_ns);
}

/* After every input: outputs, invariants, the next tick. */
static void settle(struct rf_sim *sim, uint32_t index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    struct rf_output output;
    while (rf_serf_next(node->serf, &output)) {
        on_output(sim, index, &output);
    }
    node->busy_until_ns = sim->now_ns + node->service_ns;
    rf_sim_check_node(sim, index);
    schedule(sim, index);
}

/* ---- the world ---- */

void rf_sim_init(struct rf_sim *sim, uint64_t seed)
{
    *sim = (struct rf_sim){.seed = seed,
                           .random = {.state = seed},
                           .now_ns = RF_SIM_S,
                           .start_ns = RF_SIM_S,
                           .clock_error_ns = 10 * RF_SIM_MS,
                           .checks_beliefs = true};
    rf_serf_config_init(&sim->config, RF_SWIM_LAN);
    rf_sim_heal(sim);
    sim->packet = malloc(sizeof(*sim->packet));
    RF_ASSERT(sim->packet != NULL);
}

static void backlog_clear(struct rf_sim *sim, struct rf_sim_node *node)
{
    while (node->backlog_first != NULL) {
        struct rf_sim_packet *packet = node->backlog_first;
        node->backlog_first = packet->next;
        rf_sim_packet_free(sim, packet);
    }
    node->backlog_last = NULL;
    node->backlog_bytes = 0;
}

void rf_sim_fini(struct rf_sim *sim)
{
    for (size_t i = 0; i < sim->nodes_count; i++) {
        rf_serf_free(sim->nodes[i].serf);
        backlog_clear(sim, &sim->nodes[i]);
        free(sim->nodes[i].beliefs);
    }
    rf_sim_events_fini(sim);
    rf_keyring_free(sim->envelope.keyring);
    free(sim->nodes);
    free(sim->links);
    free(sim->workspace);
    free(sim->packet);
}

void rf_sim_use_codec(struct rf_sim *sim, bool is_encrypted)
{
    static const uint8_t key[32] = "a key of 32 bytes for simulation";
    RF_ASSERT(sim->nodes_count == 0);
    sim->uses_codec = true;
    sim->workspace = malloc(sizeof(*sim->workspace));
    RF_ASSERT(sim->workspace != NULL);
    if (is_encrypted) {
        struct rf_error err = {0};
        int code = rf_keyring_new(&sim->envelope.keyring, &err);
        RF_ASSERT(code == 0);
        code = rf_keyring_add(sim->envelope.keyring, rf_slice(key, sizeof(key)), &err);
        RF_ASSERT(code == 0);
        sim->envelope.label = rf_slice_text("simulated");
        sim->config.is_encrypted = true;
        sim->config.swim.packet_overhead = rf_packet_overhead(&sim->envelope);
    }
}

/* ---- nodes ---- */

static size_t default_meta(const struct rf_sim_node *node, uint8_t meta[RF_META_SIZE_MAX])
{
    char addr[32];
    (void)snprintf(addr, sizeof(addr), "10.0.%u.%u:80", node->address.ip[2], node->address.ip[3]);
    struct rf_tag tags[] = {{rf_slice_text("group"), rf_slice_text("web")},
                            {rf_slice_text("addr"), rf_slice_text(addr)},
                            {rf_slice_text("replicas"), rf_slice_text("10")}};
    struct rf_packer packer = rf_packer(meta, RF_META_SIZE_MAX);
    int size = rf_tags_encode(tags, sizeof(tags) / sizeof(tags[0]), &packer);
    RF_ASSERT(size > 0);
    return (size_t)size;
}

void rf_sim_start_node(struct rf_sim *sim, size_t index, const char *name)
{
    struct rf_sim_node *node = &sim->nodes[index];
    RF_ASSERT(node->serf == NULL);
    uint8_t meta[RF_META_SIZE_MAX];
    struct rf_serf_config config = sim->config;
    config.swim.name = name;
    config.swim.address = node->address;
    config.swim.meta = meta;
    config.swim.meta_size = default_meta(node, meta);
    config.swim.wall_ns = WALL_START_NS + sim->now_ns - sim->clock_error_ns +
                          rf_random_below(&sim->random, 2 * sim->clock_error_ns + 1);
    struct rf_error err = {0};
    int code = rf_serf_new(&config, rf_random_next(&sim->random), rf_sim_local_ns(sim, node),
                           &node->serf, &err);
    if (code != 0) {
        (void)fprintf(stderr, "start of %s: %s\n", name, err.text);
    }
    RF_ASSERT(code == 0);
    if (name != node->name) {
        (void)snprintf(node->name, sizeof(node->name), "%s", name);
    }
    node->generation++;
    node->has_left = false;
    rf_sim_beliefs_reset(node);
    settle(sim, (uint32_t)index);
}

static void grow(struct rf_sim *sim, size_t count)
{
    if (sim->nodes_count + count <= sim->nodes_capacity) {
        return;
    }
    size_t capacity = sim->nodes_capacity == 0 ? NODES_MIN : sim->nodes_capacity;
    while (capacity < sim->nodes_count + count) {
        capacity *= 2;
    }
    RF_ASSERT(capacity <= RF_SIM_NODES_MAX);
    rf_sim_links_grow(sim, capacity);
    sim->nodes = realloc(sim->nodes, capacity * sizeof(sim->nodes[0]));
    sim->ticks = realloc(sim->ticks, capacity * sizeof(sim->ticks[0]));
    RF_ASSERT(sim->nodes != NULL && sim->ticks != NULL);
    sim->nodes_capacity = capacity;
}

void rf_sim_start(struct rf_sim *sim, size_t count)
{
    grow(sim, count);
    for (size_t i = 0; i < count; i++) {
        size_t index = sim->nodes_count++;
        sim->nodes[index] = (struct rf_sim_node){
            .address = {
                .ip = {10, 0, (uint8_t)(index / 256), (uint8_t)index}, .ip_size = 4, .port = 7946}};
        rf_sim_tick_add(sim, (uint32_t)index);
        char name[RF_SIM_NAME_SIZE];
        (void)snprintf(name, sizeof(name), "node-%zu", index);
        rf_sim_start_node(sim, index, name);
    }
}

void rf_sim_kill(struct rf_sim *sim, size_t index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    rf_serf_free(node->serf);
    node->serf = NULL;
    node->resume_at_ns = 0;
    node->busy_until_ns = 0;
    node->held_until_ns = 0;
    backlog_clear(sim, node);
    schedule(sim, (uint32_t)index);
}

void rf_sim_restart(struct rf_sim *sim, size_t index)
{
    if (sim->nodes[index].serf != NULL) {
        rf_sim_kill(sim, index);
    }
    rf_sim_start_node(sim, index, sim->nodes[index].name);
}

void rf_sim_join(struct rf_sim *sim, size_t index, size_t seed_index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    uint64_t join_id;
    int code = rf_serf_join(node->serf, rf_sim_local_ns(sim, node), &sim->nodes[seed_index].address,
                            1, &join_id, NULL);
    RF_ASSERT(code == 0);
    settle(sim, (uint32_t)index);
}

size_t rf_sim_rejoin(struct rf_sim *sim, size_t index, size_t count_max)
{
    struct rf_sim_node *node = &sim->nodes[index];
    struct rf_address addresses[RF_SERF_JOIN_ADDRESSES_MAX];
    RF_ASSERT(count_max <= RF_SERF_JOIN_ADDRESSES_MAX);
    bool is_last;
    size_t count = rf_serf_rejoin_pick(node->serf, addresses, count_max, &is_last);
    if (count > 0) {
        uint64_t join_id;
        int code =
            rf_serf_join(node->serf, rf_sim_local_ns(sim, node), addresses, count, &join_id, NULL);
        RF_ASSERT(code == 0);
        settle(sim, (uint32_t)index);
    }
    return count;
}

void rf_sim_leave(struct rf_sim *sim, size_t index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    int code = rf_serf_leave(node->serf, rf_sim_local_ns(sim, node), NULL);
    RF_ASSERT(code == 0);
    settle(sim, (uint32_t)index);
}

void rf_sim_set_meta(struct rf_sim *sim, size_t index, const char *role)
{
    struct rf_sim_node *node = &sim->nodes[index];
    int code = rf_serf_set_meta(node->serf, rf_sim_local_ns(sim, node), (const uint8_t *)role,
                                strlen(role), NULL);
    RF_ASSERT(code == 0);
    settle(sim, (uint32_t)index);
}

static void receive(struct rf_sim *sim, uint32_t index, const struct rf_address *from,
                    struct rf_slice message)
{
    struct rf_sim_node *node = &sim->nodes[index];
    rf_sim_check_before(sim, index, message);
    rf_serf_receive(node->serf, rf_sim_local_ns(sim, node), from, message.data, message.size);
    rf_sim_check_after(sim, index, message);
}

void rf_sim_inject(struct rf_sim *sim, size_t index, const uint8_t *data, size_t size)
{
    struct rf_address nowhere = {.ip = {192, 0, 2, 1}, .ip_size = 4, .port = 1};
    receive(sim, (uint32_t)index, &nowhere, rf_slice(data, size));
    settle(sim, (uint32_t)index);
}

/* ---- acquaintance ---- */

static void forget_broadcasts(struct rf_broadcast_queue *queue)
{
    struct rf_broadcast_queue old = *queue;
    rf_broadcast_fini(queue);
    rf_broadcast_init(queue, old.count_max, old.size_max, old.names.seed);
}

/* Without what would be said to the others about it: they know. */
static void forget_outputs(struct rf_sim_node *node)
{
    struct rf_output output;
    while (rf_serf_next(node->serf, &output)) {
        node->changes[RF_MEMBER_CHANGE_JOIN] += output.type == RF_OUTPUT_MEMBER;
    }
    forget_broadcasts(&node->serf->swim.queue);
    for (size_t i = 0; i < RF_SWIM_USER_QUEUES; i++) {
        forget_broadcasts(&node->serf->swim.user_queues[i]);
    }
}

/* No push/pulls of newcomers, and the regular ones spread over their whole interval. */
static void be_old(struct rf_sim *sim, struct rf_sim_node *node)
{
    struct rf_swim *swim = &node->serf->swim;
    uint64_t interval_ns = swim->config.push_pull_interval_ns;
    for (size_t size = 32; size < swim->nodes.count; size *= 2) {
        interval_ns += swim->config.push_pull_interval_ns;
    }
    swim->catch_up_at_ns = UINT64_MAX;
    swim->push_pull_at_ns = rf_sim_local_ns(sim, node) + rf_random_below(&sim->random, interval_ns);
}

/* A push/pull's state of the nodes `list`; NULL: of all that run. */
static uint8_t *encode_state(const struct rf_sim *sim, const uint32_t *list, size_t list_count,
                             size_t *ret_size)
{
    size_t count = list == NULL ? rf_sim_running(sim) : list_count;
    size_t capacity = 64 + count * (RF_META_SIZE_MAX + 256);
    uint8_t *bytes = malloc(capacity);
    RF_ASSERT(bytes != NULL);
    struct rf_packer packer = rf_packer(bytes, capacity);
    struct rf_push_pull_header header = {.nodes_count = count};
    int code = rf_push_pull_header_encode(&header, &packer);
    for (size_t i = 0; i < (list == NULL ? sim->nodes_count : count) && code >= 0; i++) {
        const struct rf_sim_node *node = &sim->nodes[list == NULL ? i : list[i]];
        if (node->serf == NULL) {
            continue;
        }
        const struct rf_node *self = node->serf->swim.self;
        struct rf_push_node_state state = {.name = self->link.name,
                                           .address = self->address,
                                           .meta = rf_slice(self->meta, self->meta_size),
                                           .incarnation = self->incarnation};
        memcpy(state.vsn, self->vsn, RF_VSN_SIZE);
        code = rf_push_node_state_encode(&state, &packer);
    }
    RF_ASSERT(code >= 0);
    *ret_size = packer.size;
    return bytes;
}

static void be_told(struct rf_sim *sim, uint32_t index, const struct rf_stream_message *state)
{
    struct rf_sim_node *node = &sim->nodes[index];
    struct rf_error err = {0};
    rf_serf_begin(node->serf, rf_sim_local_ns(sim, node));
    int code = rf_swim_merge(&node->serf->swim, node->serf->now_ns, state, &err);
    RF_ASSERT(code == 0);
    rf_serf_end(node->serf);
    forget_outputs(node);
    be_old(sim, node);
    rf_sim_check_all(sim, index);
    schedule(sim, index);
}

/* Takes the state, and tells the nodes [first, end) that run of it. */
static void tell(struct rf_sim *sim, uint32_t first, uint32_t end, uint8_t *bytes, size_t size)
{
    static const struct rf_envelope plain;
    struct rf_stream_parser parser;
    rf_stream_parser_init(&parser, &plain, RF_STREAM_REQUEST);
    int code = rf_stream_parser_feed(&parser, bytes, size);
    RF_ASSERT(code == 1);
    for (uint32_t i = first; i < end; i++) {
        if (sim->nodes[i].serf != NULL) {
            be_told(sim, i, rf_stream_parser_message(&parser));
        }
    }
    rf_stream_parser_fini(&parser);
    free(bytes);
}

void rf_sim_acquaint(struct rf_sim *sim)
{
    size_t size = 0;
    uint8_t *bytes = encode_state(sim, NULL, 0, &size);
    tell(sim, 0, (uint32_t)sim->nodes_count, bytes, size);
}

void rf_sim_acquaint_some(struct rf_sim *sim, size_t common_count, size_t known_max)
{
    RF_ASSERT(common_count <= known_max && known_max <= sim->nodes_count);
    uint32_t *list = calloc(sim->nodes_count, sizeof(list[0]));
    RF_ASSERT(list != NULL);
    for (uint32_t i = 0; i < sim->nodes_count; i++) {
        list[i] = i;
    }
    for (uint32_t i = 0; i < sim->nodes_count; i++) {
        for (size_t k = common_count; k < known_max; k++) { /* Fisher-Yates, as far as wanted */
            size_t other = k + rf_random_below(&sim->random, sim->nodes_count - k);
            uint32_t index = list[other];
            list[other] = list[k];
            list[k] = index;
        }
        size_t size = 0;
        uint8_t *bytes = encode_state(sim, list, known_max, &size);
        tell(sim, i, i + 1, bytes, size);
        sim->nodes[i].serf->swim.calls_back_left = 0; /* strangers are to stay strangers */
    }
    free(list);
}

/* ---- steps ---- */

static void on_packet(struct rf_sim *sim, uint32_t index, const struct rf_sim_packet *packet)
{
    const struct rf_sim_node *node = &sim->nodes[index];
    if (node->serf == NULL ||
        rf_packet_open(sim->packet, &sim->envelope, packet->bytes, packet->size) < 0) {
        return;
    }
    sim->believed += packet->is_corrupted;
    struct rf_slice message;
    while (rf_packet_next(sim->packet, &message)) {
        receive(sim, index, &sim->nodes[packet->from].address, message);
    }
    settle(sim, index);
}

/* What a stream brings is parsed as a driver would. NULL: it is refused, or wants more than comes.
 */
static const struct rf_stream_message *parse(struct rf_sim *sim, struct rf_stream_parser *parser,
                                             enum rf_stream_role role,
                                             const struct rf_sim_packet *packet)
{
    rf_stream_parser_init(parser, &sim->envelope, role);
    int code = rf_stream_parser_feed(parser, packet->bytes, packet->size);
    RF_ASSERT(code == 1 || packet->is_corrupted);
    sim->believed += code == 1 && packet->is_corrupted;
    return code == 1 ? rf_stream_parser_message(parser) : NULL;
}

static void on_connect(struct rf_sim *sim, uint32_t index, const struct rf_sim_packet *packet)
{
    struct rf_sim_node *node = &sim->nodes[index];
    if (node->serf == NULL) {
        rf_sim_send_reply(sim, index, packet, -ECONNREFUSED, NULL, 0);
        return;
    }
    struct rf_stream_parser parser;
    const struct rf_stream_message *message = parse(sim, &parser, RF_STREAM_REQUEST, packet);
    if (message == NULL) {
        rf_stream_parser_fini(&parser);
        rf_sim_send_reply(sim, index, packet, -ECONNRESET, NULL, 0);
        return;
    }
    const uint8_t *reply = NULL;
    size_t reply_size = 0;
    bool has_reply =
        rf_serf_accept(node->serf, rf_sim_local_ns(sim, node), &sim->nodes[packet->from].address,
                       message, &reply, &reply_size);
    if (has_reply) {
        RF_DEBUG_CHECK(go_peer_must_survive_stream(NULL, reply, reply_size));
    }
    bool is_merge = message->type == RF_MESSAGE_PUSH_PULL;
    rf_stream_parser_fini(&parser);
    rf_sim_send_reply(sim, index, packet, has_reply ? 0 : -ECONNRESET, reply, reply_size);
    if (is_merge) {
        rf_sim_check_all(sim, index);
    }
    settle(sim, index);
}

static void on_reply(struct rf_sim *sim, uint32_t index, const struct rf_sim_packet *packet)
{
    struct rf_sim_node *node = &sim->nodes[index];
    if (node->serf == NULL || node->generation != packet->generation) {
        return;
    }
    uint64_t now_ns = rf_sim_local_ns(sim, node);
    if (packet->code != 0) {
        rf_serf_exchange_done(node->serf, now_ns, packet->exchange_id, packet->code, NULL, NULL);
    } else {
        struct rf_stream_parser parser;
        enum rf_stream_role role =
            packet->expect == RF_EXPECT_ACK ? RF_STREAM_REPLY_PING : RF_STREAM_REPLY_PUSH_PULL;
        const struct rf_stream_message *message = parse(sim, &parser, role, packet);
        rf_serf_exchange_done(node->serf, now_ns, packet->exchange_id,
                              message == NULL ? RF_EMALFORMED : 0, NULL, message);
        rf_stream_parser_fini(&parser);
        rf_sim_check_all(sim, index);
    }
    settle(sim, index);
}

static void deliver(struct rf_sim *sim, uint32_t index, const struct rf_sim_packet *packet)
{
    switch (packet->type) {
    case RF_SIM_EVENT_PACKET:
        on_packet(sim, index, packet);
        break;
    case RF_SIM_EVENT_CONNECT:
        on_connect(sim, index, packet);
        break;
    default:
        on_reply(sim, index, packet);
        break;
    }
}

static void on_tick(struct rf_sim *sim, uint32_t index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    rf_serf_tick(node->serf, rf_sim_local_ns(sim, node));
    settle(sim, index);
}

/* ---- pauses ---- */

static void backlog_add(struct rf_sim *sim, struct rf_sim_node *node, struct rf_sim_packet *packet)
{
    size_t size = packet->size + SOCKET_OVERHEAD;
    if (packet->type == RF_SIM_EVENT_PACKET && node->backlog_bytes + size > SOCKET_BUFFER) {
        sim->lost.packets++;
        sim->lost.packet_bytes += packet->size;
        rf_sim_packet_free(sim, packet);
        return;
    }
    node->backlog_bytes += packet->type == RF_SIM_EVENT_PACKET ? size : 0;
    packet->next = NULL;
    if (node->backlog_last == NULL) {
        node->backlog_first = packet;
    } else {
        node->backlog_last->next = packet;
    }
    node->backlog_last = packet;
}

void rf_sim_pause(struct rf_sim *sim, size_t index, uint64_t duration_ns, bool stops_clock)
{
    struct rf_sim_node *node = &sim->nodes[index];
    uint64_t until_ns = sim->now_ns + duration_ns;
    if (node->serf == NULL || duration_ns == 0 || until_ns <= node->resume_at_ns) {
        return;
    }
    if (stops_clock) {
        node->behind_ns += until_ns - (node->resume_at_ns > 0 ? node->resume_at_ns : sim->now_ns);
    }
    node->resume_at_ns = until_ns;
    schedule(sim, (uint32_t)index);
    rf_sim_push(sim, (struct rf_sim_event){
                         .at_ns = until_ns, .type = RF_SIM_EVENT_RESUME, .to = (uint32_t)index});
}

bool rf_sim_is_paused(const struct rf_sim *sim, size_t index)
{
    return sim->nodes[index].resume_at_ns > 0;
}

void rf_sim_hold(struct rf_sim *sim, size_t index, uint64_t duration_ns)
{
    struct rf_sim_node *node = &sim->nodes[index];
    uint64_t until_ns = sim->now_ns + duration_ns;
    node->held_until_ns = until_ns > node->held_until_ns ? until_ns : node->held_until_ns;
}

/* What came meanwhile, in the driver's order: some packets, the time, more packets, streams. */
static void on_resume(struct rf_sim *sim, uint32_t index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    if (node->serf == NULL || node->resume_at_ns != sim->now_ns) {
        return; /* killed, or paused for longer */
    }
    node->resume_at_ns = 0;
    struct rf_sim_packet *packet = node->backlog_first;
    node->backlog_first = NULL;
    node->backlog_last = NULL;
    node->backlog_bytes = 0;
    for (int i = 0; packet != NULL; i++) {
        if (i % READ_IN_A_ROW == READ_IN_A_ROW - 1) {
            on_tick(sim, index);
        }
        struct rf_sim_packet *next = packet->next;
        deliver(sim, index, packet);
        rf_sim_packet_free(sim, packet);
        packet = next;
    }
    schedule(sim, index);
}

/* ---- time ---- */

static void on_arrival(struct rf_sim *sim, const struct rf_sim_event *event)
{
    struct rf_sim_node *node = &sim->nodes[event->to];
    if (node->resume_at_ns > 0) {
        backlog_add(sim, node, event->packet);
        return;
    }
    uint64_t at_ns =
        node->busy_until_ns > node->held_until_ns ? node->busy_until_ns : node->held_until_ns;
    if (at_ns > sim->now_ns) {
        struct rf_sim_event later = *event;
        later.at_ns = at_ns;
        rf_sim_push(sim, later);
        return;
    }
    deliver(sim, event->to, event->packet);
    rf_sim_packet_free(sim, event->packet);
}

static void on_event(struct rf_sim *sim, const struct rf_sim_event *event)
{
    sim->now_ns = event->at_ns;
    rf_sim_trace(sim, event->at_ns ^ event->to);
    switch (event->type) {
    case RF_SIM_EVENT_PACKET:
    case RF_SIM_EVENT_CONNECT:
    case RF_SIM_EVENT_REPLY:
        on_arrival(sim, event);
        break;
    case RF_SIM_EVENT_RESUME:
        on_resume(sim, event->to);
        break;
    case RF_SIM_EVENT_CALL:
        event->call.function(sim, event->call.context);
        break;
    }
}

void rf_sim_run(struct rf_sim *sim, uint64_t duration_ns)
{
    uint64_t end_ns = sim->now_ns + duration_ns;
    for (;;) {
        uint64_t event_ns = rf_sim_next_ns(sim);
        uint64_t tick_ns = sim->ticks_count > 0 ? sim->nodes[sim->ticks[0]].tick_at_ns : UINT64_MAX;
        if ((event_ns < tick_ns ? event_ns : tick_ns) > end_ns) {
            break;
        }
        sim->events++;
        if (event_ns <= tick_ns) {
            struct rf_sim_event event = rf_sim_pop(sim);
            on_event(sim, &event);
        } else {
            sim->now_ns = tick_ns;
            on_tick(sim, sim->ticks[0]);
        }
    }
    sim->now_ns = end_ns;
}

bool rf_sim_run_until(struct rf_sim *sim, bool (*is_done)(const struct rf_sim *sim),
                      uint64_t limit_ns)
{
    uint64_t end_ns = sim->now_ns + limit_ns;
    while (!is_done(sim)) {
        if (sim->now_ns >= end_ns) {
            return false;
        }
        rf_sim_run(sim, 50 * RF_SIM_MS);
    }
    return true;
}

void rf_sim_at(struct rf_sim *sim, uint64_t at_ns, rf_sim_call_function *function, void *context)
{
    RF_ASSERT(at_ns >= sim->now_ns);
    rf_sim_push(sim, (struct rf_sim_event){.at_ns = at_ns,
                                           .type = RF_SIM_EVENT_CALL,
                                           .call = {.function = function, .context = context}});
}
