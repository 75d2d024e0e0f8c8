/* SPDX-License-Identifier: MIT
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/serf_private.h"

enum { CHECK_EVERY = 8, DATAGRAM_MAX = 16384 };

enum event_type { EVENT_TICK, EVENT_PACKET, EVENT_CONNECT, EVENT_REPLY };

struct rf_sim_event {
    uint64_t at_ns;
    uint64_t order; /* of creation: the tie-break */
    enum event_type type;
    size_t to;
    size_t from;
    uint32_t generation; /* of the node that opened the exchange */
    uint64_t exchange_id;
    enum rf_exchange_expect expect;
    int code;
    size_t size;
    uint8_t bytes[];
};

/* ---- the trace ---- */

static void trace_word(struct rf_sim *sim, uint64_t word)
{
    sim->trace = (sim->trace ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    sim->trace ^= sim->trace >> 29;
}

static void trace_bytes(struct rf_sim *sim, const void *data, size_t size)
{
    trace_word(sim, rf_name_hash(1, rf_slice(data, size)));
}

/* ---- the heap of events ---- */

static bool is_before(const struct rf_sim_event *a, const struct rf_sim_event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

static void push(struct rf_sim *sim, struct rf_sim_event *event)
{
    event->order = sim->events_made++;
    if (sim->heap_count == sim->heap_capacity) {
        sim->heap_capacity = sim->heap_capacity == 0 ? 64 : 2 * sim->heap_capacity;
        sim->heap = realloc(sim->heap, sim->heap_capacity * sizeof(sim->heap[0]));
        RF_ASSERT(sim->heap != NULL);
    }
    size_t i = sim->heap_count++;
    while (i > 0 && is_before(event, sim->heap[(i - 1) / 2])) {
        sim->heap[i] = sim->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    sim->heap[i] = event;
}

static struct rf_sim_event *pop(struct rf_sim *sim)
{
    struct rf_sim_event *first = sim->heap[0];
    struct rf_sim_event *last = sim->heap[--sim->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < sim->heap_count && is_before(sim->heap[child + 1], sim->heap[child])) {
            child++;
        }
        if (child >= sim->heap_count || !is_before(sim->heap[child], last)) {
            break;
        }
        sim->heap[i] = sim->heap[child];
        i = child;
    }
    sim->heap[i] = last;
    return first;
}

static struct rf_sim_event *event_new(enum event_type type, uint64_t at_ns, const uint8_t *bytes,
                                      size_t size)
{
    struct rf_sim_event *event = calloc(1, sizeof(*event) + size);
    RF_ASSERT(event != NULL);
    event->type = type;
    event->at_ns = at_ns;
    event->size = size;
    if (size > 0) {
        memcpy(event->bytes, bytes, size);
    }
    return event;
}

/* ---- the network ---- */

static uint64_t latency_ns(struct rf_sim *sim)
{
    const struct rf_sim_network *network = &sim->network;
    return network->latency_min_ns +
           rf_random_below(&sim->random, network->latency_max_ns - network->latency_min_ns + 1);
}

static bool happens(struct rf_sim *sim, uint32_t percent)
{
    return percent > 0 && rf_random_below(&sim->random, 100) < percent;
}

/* The node at an address; nodes_count: none. */
static size_t node_at(const struct rf_sim *sim, const struct rf_address *address)
{
    size_t index = (size_t)address->ip[2] * 256 + address->ip[3];
    bool is_ours = address->ip_size == 4 && index < sim->nodes_count &&
                   rf_address_equal(&sim->nodes[index].address, address);
    return is_ours ? index : sim->nodes_count;
}

static void send_packet(struct rf_sim *sim, size_t from, const struct rf_output *output)
{
    static const struct rf_envelope envelope;
    uint8_t datagram[DATAGRAM_MAX];
    struct rf_packet_options options = {.crc = output->with_crc};
    int size =
        rf_packet_seal(&envelope, &options, NULL, rf_slice(output->bytes, output->bytes_size),
                       datagram, sizeof(datagram));
    RF_ASSERT(size > 0);
    sim->packets_sent++;
    size_t to = node_at(sim, &output->address);
    if (to == sim->nodes_count || sim->cut[from][to]) {
        return;
    }
    int copies = happens(sim, sim->network.duplicate_percent) ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        if (!happens(sim, sim->network.loss_percent)) {
            struct rf_sim_event *event =
                event_new(EVENT_PACKET, sim->now_ns + latency_ns(sim), datagram, (size_t)size);
            event->to = to;
            event->from = from;
            push(sim, event);
        }
    }
}

static void open_exchange(struct rf_sim *sim, size_t from, const struct rf_output *output)
{
    size_t to = node_at(sim, &output->address);
    bool is_cut = to == sim->nodes_count || sim->cut[from][to] || sim->cut[to][from];
    struct rf_sim_event *event =
        event_new(is_cut ? EVENT_REPLY : EVENT_CONNECT,
                  is_cut ? output->deadline_ns : sim->now_ns + latency_ns(sim), output->bytes,
                  output->bytes_size);
    event->to = is_cut ? from : to;
    event->from = from;
    event->generation = sim->nodes[from].generation;
    event->exchange_id = output->exchange_id;
    event->expect = output->expect;
    event->code = is_cut ? -ETIMEDOUT : 0;
    push(sim, event);
}

/* ---- nodes ---- */

static void on_output(struct rf_sim *sim, size_t index, const struct rf_output *output)
{
    struct rf_sim_node *node = &sim->nodes[index];
    trace_word(sim, output->type);
    trace_word(sim, sim->now_ns + index);
    trace_bytes(sim, output->bytes, output->bytes_size);
    trace_bytes(sim, output->name, output->name_size);
    switch (output->type) {
    case RF_OUTPUT_PACKET:
        send_packet(sim, index, output);
        break;
    case RF_OUTPUT_EXCHANGE:
        open_exchange(sim, index, output);
        break;
    case RF_OUTPUT_MEMBER:
        node->changes[output->change]++;
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
    case RF_OUTPUT_NOTICE:
        break;
    default:
        RF_ASSERT(!"an output that drivers do not get, or lost outputs");
    }
}

/* Beliefs about one incarnation go from alive to gone and never back. */
static void check_beliefs(struct rf_sim *sim, struct rf_sim_node *node)
{
    const struct rf_node_table *table = &node->serf->swim.nodes;
    for (size_t i = 0; i < table->count; i++) {
        const struct rf_node *other = table->list[i];
        size_t subject = strtoul(other->name + strlen("node-"), NULL, 10);
        RF_ASSERT(subject < sim->nodes_count);
        struct rf_sim_belief *belief = &node->beliefs[subject];
        bool is_gone = other->state == RF_NODE_DEAD || other->state == RF_NODE_LEFT;
        if (belief->step != 0) {
            RF_ASSERT(other->incarnation >= belief->incarnation);
            RF_ASSERT(!belief->is_gone || is_gone || other->incarnation > belief->incarnation);
        }
        belief->step = sim->steps;
        belief->incarnation = other->incarnation;
        belief->is_gone = is_gone;
    }
    for (size_t i = 0; i < sim->nodes_count; i++) {
        if (node->beliefs[i].step != sim->steps) {
            node->beliefs[i].step = 0; /* forgotten: it may come back as it was */
        }
    }
}

static void schedule(struct rf_sim *sim, size_t index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    uint64_t deadline_ns = rf_serf_deadline_ns(node->serf);
    deadline_ns = deadline_ns < sim->now_ns ? sim->now_ns : deadline_ns;
    if (deadline_ns < node->tick_at_ns) {
        node->tick_at_ns = deadline_ns;
        struct rf_sim_event *event = event_new(EVENT_TICK, deadline_ns, NULL, 0);
        event->to = index;
        push(sim, event);
    }
}

/* After every input: outputs, invariants, the next tick. */
static void settle(struct rf_sim *sim, size_t index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    struct rf_output output;
    while (rf_serf_next(node->serf, &output)) {
        on_output(sim, index, &output);
    }
    sim->steps++;
    check_beliefs(sim, node);
    if (sim->steps % CHECK_EVERY == 0) {
        rf_serf_check(node->serf);
    }
    schedule(sim, index);
}

void rf_sim_init(struct rf_sim *sim, const char *name, uint64_t seed)
{
    *sim = (struct rf_sim){.seed = seed, .random = {.state = seed}, .now_ns = RF_SIM_S};
    sim->network =
        (struct rf_sim_network){.latency_min_ns = RF_SIM_MS / 5, .latency_max_ns = 2 * RF_SIM_MS};
    sim->packet = malloc(sizeof(*sim->packet));
    RF_ASSERT(sim->packet != NULL);
    printf("%s: seed %llu\n", name, (unsigned long long)seed);
    (void)fflush(stdout); /* a lost line is no failure of the test */
}

void rf_sim_fini(struct rf_sim *sim)
{
    for (size_t i = 0; i < sim->nodes_count; i++) {
        rf_serf_free(sim->nodes[i].serf);
    }
    for (size_t i = 0; i < sim->heap_count; i++) {
        free(sim->heap[i]);
    }
    free(sim->heap);
    free(sim->packet);
}

void rf_sim_start_node(struct rf_sim *sim, size_t index, const char *name)
{
    static const uint8_t meta[] = "web";
    struct rf_sim_node *node = &sim->nodes[index];
    RF_ASSERT(node->serf == NULL);
    struct rf_serf_config config;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = name;
    config.swim.address = node->address;
    config.swim.meta = meta;
    config.swim.meta_size = sizeof(meta) - 1;
    struct rf_error err = {0};
    int code = rf_serf_new(&config, rf_random_next(&sim->random), sim->now_ns, &node->serf, &err);
    if (code != 0) {
        printf("start of %s: %s\n", name, err.text);
    }
    RF_ASSERT(code == 0);
    if (name != node->name) {
        (void)snprintf(node->name, sizeof(node->name), "%s", name);
    }
    node->generation++;
    node->tick_at_ns = UINT64_MAX;
    node->has_left = false;
    memset(node->beliefs, 0, sizeof(node->beliefs));
    settle(sim, index);
}

void rf_sim_start(struct rf_sim *sim, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t index = sim->nodes_count++;
        RF_ASSERT(index < RF_SIM_NODES_MAX);
        sim->nodes[index].address = (struct rf_address){
            .ip = {10, 0, (uint8_t)(index / 256), (uint8_t)index}, .ip_size = 4, .port = 7946};
        char name[32];
        (void)snprintf(name, sizeof(name), "node-%zu", index);
        rf_sim_start_node(sim, index, name);
    }
}

void rf_sim_kill(struct rf_sim *sim, size_t index)
{
    rf_serf_free(sim->nodes[index].serf);
    sim->nodes[index].serf = NULL;
}

void rf_sim_join(struct rf_sim *sim, size_t index, size_t seed_index)
{
    uint64_t join_id;
    int code = rf_serf_join(sim->nodes[index].serf, sim->now_ns, &sim->nodes[seed_index].address, 1,
                            &join_id, NULL);
    RF_ASSERT(code == 0);
    settle(sim, index);
}

void rf_sim_leave(struct rf_sim *sim, size_t index)
{
    int code = rf_serf_leave(sim->nodes[index].serf, sim->now_ns, NULL);
    RF_ASSERT(code == 0);
    settle(sim, index);
}

void rf_sim_set_meta(struct rf_sim *sim, size_t index, const char *role)
{
    int code = rf_serf_set_meta(sim->nodes[index].serf, sim->now_ns, (const uint8_t *)role,
                                strlen(role), NULL);
    RF_ASSERT(code == 0);
    settle(sim, index);
}

void rf_sim_inject(struct rf_sim *sim, size_t index, const uint8_t *data, size_t size)
{
    struct rf_address nowhere = {.ip = {192, 0, 2, 1}, .ip_size = 4, .port = 1};
    rf_serf_receive(sim->nodes[index].serf, sim->now_ns, &nowhere, data, size);
    settle(sim, index);
}

void rf_sim_partition(struct rf_sim *sim, size_t split, bool both, bool is_cut)
{
    for (size_t a = 0; a < split; a++) {
        for (size_t b = split; b < sim->nodes_count; b++) {
            sim->cut[a][b] = is_cut;
            sim->cut[b][a] = both ? is_cut : sim->cut[b][a];
        }
    }
}

/* ---- steps ---- */

static void on_packet(struct rf_sim *sim, const struct rf_sim_event *event)
{
    static const struct rf_envelope envelope;
    struct rf_sim_node *node = &sim->nodes[event->to];
    int code = rf_packet_open(sim->packet, &envelope, event->bytes, event->size);
    RF_ASSERT(code == 0);
    struct rf_slice message;
    while (rf_packet_next(sim->packet, &message)) {
        rf_serf_receive(node->serf, sim->now_ns, &sim->nodes[event->from].address, message.data,
                        message.size);
        settle(sim, event->to);
    }
    RF_ASSERT(sim->packet->dropped_count == 0);
}

/* What a stream brings is parsed as a driver would. */
static const struct rf_stream_message *
parse(struct rf_stream_parser *parser, enum rf_stream_role role, const uint8_t *bytes, size_t size)
{
    static const struct rf_envelope envelope;
    rf_stream_parser_init(parser, &envelope, role);
    int code = rf_stream_parser_feed(parser, bytes, size);
    RF_ASSERT(code == 1);
    return rf_stream_parser_message(parser);
}

static void on_connect(struct rf_sim *sim, const struct rf_sim_event *event)
{
    struct rf_sim_node *node = &sim->nodes[event->to];
    const uint8_t *reply = NULL;
    size_t reply_size = 0;
    int code = -ECONNREFUSED;
    bool has_reply = false;
    if (node->serf != NULL) {
        struct rf_stream_parser parser;
        const struct rf_stream_message *message =
            parse(&parser, RF_STREAM_REQUEST, event->bytes, event->size);
        has_reply = rf_serf_accept(node->serf, sim->now_ns, &sim->nodes[event->from].address,
                                   message, &reply, &reply_size);
        rf_stream_parser_fini(&parser);
        code = has_reply ? 0 : -ECONNRESET;
    }
    struct rf_sim_event *back =
        event_new(EVENT_REPLY, sim->now_ns + latency_ns(sim), reply, has_reply ? reply_size : 0);
    back->to = event->from;
    back->from = event->to;
    back->generation = event->generation;
    back->exchange_id = event->exchange_id;
    back->expect = event->expect;
    back->code = code;
    push(sim, back);
    if (node->serf != NULL) {
        settle(sim, event->to);
    }
}

static void on_reply(struct rf_sim *sim, const struct rf_sim_event *event)
{
    struct rf_sim_node *node = &sim->nodes[event->to];
    if (node->serf == NULL || node->generation != event->generation) {
        return;
    }
    if (event->code != 0) {
        rf_serf_exchange_done(node->serf, sim->now_ns, event->exchange_id, event->code, NULL, NULL);
    } else {
        struct rf_stream_parser parser;
        enum rf_stream_role role =
            event->expect == RF_EXPECT_ACK ? RF_STREAM_REPLY_PING : RF_STREAM_REPLY_PUSH_PULL;
        rf_serf_exchange_done(node->serf, sim->now_ns, event->exchange_id, 0, NULL,
                              parse(&parser, role, event->bytes, event->size));
        rf_stream_parser_fini(&parser);
    }
    settle(sim, event->to);
}

static void on_tick(struct rf_sim *sim, const struct rf_sim_event *event)
{
    struct rf_sim_node *node = &sim->nodes[event->to];
    if (node->serf == NULL || node->tick_at_ns != event->at_ns) {
        return; /* an earlier one took its place */
    }
    node->tick_at_ns = UINT64_MAX;
    rf_serf_tick(node->serf, sim->now_ns);
    settle(sim, event->to);
}

static void step(struct rf_sim *sim, const struct rf_sim_event *event)
{
    sim->now_ns = event->at_ns;
    trace_word(sim, event->at_ns ^ event->to);
    switch (event->type) {
    case EVENT_TICK:
        on_tick(sim, event);
        break;
    case EVENT_PACKET:
        if (sim->nodes[event->to].serf != NULL) {
            on_packet(sim, event);
        }
        break;
    case EVENT_CONNECT:
        on_connect(sim, event);
        break;
    case EVENT_REPLY:
        on_reply(sim, event);
        break;
    }
}

void rf_sim_run(struct rf_sim *sim, uint64_t duration_ns)
{
    uint64_t end_ns = sim->now_ns + duration_ns;
    while (sim->heap_count > 0 && sim->heap[0]->at_ns <= end_ns) {
        struct rf_sim_event *event = pop(sim);
        step(sim, event);
        free(event);
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

/* ---- views ---- */

enum rf_serf_status rf_sim_status(const struct rf_sim *sim, size_t observer, size_t subject)
{
    struct rf_serf_member_view member;
    const char *name = sim->nodes[subject].name;
    return rf_serf_member_find(sim->nodes[observer].serf, name, strlen(name), &member)
               ? member.status
               : RF_SERF_NONE;
}

size_t rf_sim_seen_as(const struct rf_sim *sim, size_t subject, enum rf_serf_status status)
{
    size_t count = 0;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        count +=
            i != subject && sim->nodes[i].serf != NULL && rf_sim_status(sim, i, subject) == status;
    }
    return count;
}

size_t rf_sim_disagreements(const struct rf_sim *sim)
{
    size_t count = 0;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        for (size_t k = 0; k < sim->nodes_count && sim->nodes[i].serf != NULL; k++) {
            bool is_up = sim->nodes[k].serf != NULL;
            count += (rf_sim_status(sim, i, k) == RF_SERF_ALIVE) != is_up;
        }
    }
    return count;
}

bool rf_sim_is_converged(const struct rf_sim *sim)
{
    return rf_sim_disagreements(sim) == 0;
}

bool rf_sim_is_nearly_converged(const struct rf_sim *sim)
{
    return rf_sim_disagreements(sim) <= 2 + sim->nodes_count * sim->nodes_count / 20;
}
