/* SPDX-License-Identifier: MIT
 *
 * swim_sync.c - whole states: version check (rule 9.1), push/pull and own streams (rules 10.5, 15),
 * leaving and updating (rule 16).
 */
#include <errno.h>

#include "core/assert.h"
#include "gossip/swim_private.h"

/* ---- own streams ---- */

uint64_t rf_swim_exchange_open(struct rf_swim *swim, const struct rf_swim_exchange *exchange)
{
    RF_ASSERT(exchange->purpose != RF_EXCHANGE_NONE);
    for (size_t i = 0; i < RF_SWIM_EXCHANGES_MAX; i++) {
        struct rf_swim_exchange *place = &swim->exchanges[i];
        if (place->purpose == RF_EXCHANGE_NONE) {
            *place = *exchange;
            place->id = ++swim->exchange_id;
            swim->exchanges_count++;
            return place->id;
        }
    }
    return 0;
}

bool rf_swim_exchange_take(struct rf_swim *swim, uint64_t exchange_id,
                           struct rf_swim_exchange *ret_exchange)
{
    for (size_t i = 0; i < RF_SWIM_EXCHANGES_MAX && exchange_id != 0; i++) {
        struct rf_swim_exchange *place = &swim->exchanges[i];
        if (place->purpose != RF_EXCHANGE_NONE && place->id == exchange_id) {
            *ret_exchange = *place;
            *place = (struct rf_swim_exchange){0};
            swim->exchanges_count--;
            return true;
        }
    }
    return false;
}

static uint64_t exchanges_deadline_ns(const struct rf_swim *swim)
{
    uint64_t deadline_ns = UINT64_MAX;
    for (size_t i = 0; i < RF_SWIM_EXCHANGES_MAX && swim->exchanges_count > 0; i++) {
        const struct rf_swim_exchange *place = &swim->exchanges[i];
        if (place->purpose != RF_EXCHANGE_NONE && place->deadline_ns < deadline_ns) {
            deadline_ns = place->deadline_ns;
        }
    }
    return deadline_ns;
}

uint64_t rf_swim_exchange_expired(const struct rf_swim *swim, uint64_t now_ns)
{
    for (size_t i = 0; i < RF_SWIM_EXCHANGES_MAX && swim->exchanges_count > 0; i++) {
        const struct rf_swim_exchange *place = &swim->exchanges[i];
        if (place->purpose != RF_EXCHANGE_NONE && place->deadline_ns <= now_ns) {
            return place->id;
        }
    }
    return 0;
}

uint64_t rf_swim_push_pull(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *address,
                           enum rf_exchange_purpose purpose, uint64_t join_id)
{
    struct rf_swim_exchange exchange = {.purpose = purpose,
                                        .join_id = join_id,
                                        .address = *address,
                                        .deadline_ns = now_ns + swim->config.tcp_timeout_ns};
    uint64_t exchange_id = rf_swim_exchange_open(swim, &exchange);
    if (exchange_id != 0) {
        struct rf_output output = {.type = RF_OUTPUT_PUSH_PULL_OPEN,
                                   .address = *address,
                                   .exchange_id = exchange_id,
                                   .expect = RF_EXPECT_PUSH_PULL,
                                   .deadline_ns = exchange.deadline_ns,
                                   .join = purpose != RF_EXCHANGE_PERIODIC};
        (void)rf_outbox_put(&swim->up, &output); /* lost: it runs into its deadline */
    }
    return exchange_id;
}

/* ---- 9.1 ---- */

struct vsn_range {
    uint8_t p_low;
    uint8_t p_high;
    uint8_t d_low;
    uint8_t d_high;
};

static void range_narrow(struct vsn_range *range, const uint8_t vsn[RF_VSN_SIZE])
{
    range->p_low = vsn[RF_VSN_PMIN] > range->p_low ? vsn[RF_VSN_PMIN] : range->p_low;
    range->p_high = vsn[RF_VSN_PMAX] < range->p_high ? vsn[RF_VSN_PMAX] : range->p_high;
    range->d_low = vsn[RF_VSN_DMIN] > range->d_low ? vsn[RF_VSN_DMIN] : range->d_low;
    range->d_high = vsn[RF_VSN_DMAX] < range->d_high ? vsn[RF_VSN_DMAX] : range->d_high;
}

static bool range_has(const struct vsn_range *range, const uint8_t vsn[RF_VSN_SIZE])
{
    return range->p_low <= vsn[RF_VSN_PCUR] && vsn[RF_VSN_PCUR] <= range->p_high &&
           range->d_low <= vsn[RF_VSN_DCUR] && vsn[RF_VSN_DCUR] <= range->d_high;
}

static int refuse(struct rf_swim *swim, struct rf_slice name, const uint8_t vsn[RF_VSN_SIZE],
                  const struct vsn_range *range, struct rf_error *err)
{
    swim->stats.push_pulls_refused++;
    return rf_error_set(err, RF_EVERSION,
                        "node '%.*s' speaks memberlist %u and serf %u, the others understand "
                        "%u..%u and %u..%u",
                        (int)name.size, (const char *)name.data, vsn[RF_VSN_PCUR], vsn[RF_VSN_DCUR],
                        range->p_low, range->p_high, range->d_low, range->d_high);
}

/*
 * Every node, alive or not, here or there, must speak what every alive one understands. Entries
 * whose version vector is none (rf_stream_next_node passes over them) are not let in anyway, so
 * they are no reason to refuse the rest.
 */
static int check_versions(struct rf_swim *swim, const struct rf_stream_message *message,
                          struct rf_error *err)
{
    struct vsn_range range = {0, UINT8_MAX, 0, UINT8_MAX};
    struct rf_push_node_state state;
    struct rf_unpacker nodes = rf_unpacker(message->push_pull.nodes);
    while (rf_stream_next_node(&nodes, &state, NULL)) {
        if (state.state == RF_NODE_ALIVE) {
            range_narrow(&range, state.vsn);
        }
    }
    for (size_t i = 0; i < swim->nodes.count; i++) {
        if (swim->nodes.list[i]->state == RF_NODE_ALIVE) {
            range_narrow(&range, swim->nodes.list[i]->vsn);
        }
    }
    nodes = rf_unpacker(message->push_pull.nodes);
    while (rf_stream_next_node(&nodes, &state, NULL)) {
        if (!range_has(&range, state.vsn)) {
            return refuse(swim, state.name, state.vsn, &range, err);
        }
    }
    for (size_t i = 0; i < swim->nodes.count; i++) {
        const struct rf_node *node = swim->nodes.list[i];
        if (!range_has(&range, node->vsn)) {
            return refuse(swim, node->link.name, node->vsn, &range, err);
        }
    }
    return 0;
}

/* ---- 10.5 ---- */

static void merge_node(struct rf_swim *swim, uint64_t now_ns,
                       const struct rf_push_node_state *state)
{
    struct rf_alive alive = {.incarnation = state->incarnation,
                             .node = state->name,
                             .address = state->address,
                             .meta = state->meta};
    memcpy(alive.vsn, state->vsn, RF_VSN_SIZE);
    /* A remote "dead" is only a suspicion to us: the node may still refute it here. */
    struct rf_suspect suspect = {
        .incarnation = state->incarnation, .node = state->name, .from = swim->self->link.name};
    struct rf_dead dead = {
        .incarnation = state->incarnation, .node = state->name, .from = state->name};
    switch (state->state) {
    case RF_NODE_ALIVE:
        rf_swim_alive(swim, now_ns, &alive, false);
        break;
    case RF_NODE_SUSPECT:
    case RF_NODE_DEAD:
        rf_swim_suspect(swim, now_ns, &suspect);
        break;
    case RF_NODE_LEFT:
        rf_swim_dead(swim, now_ns, &dead);
        break;
    default:
        swim->stats.dropped_unknown++;
        break;
    }
}

int rf_swim_merge(struct rf_swim *swim, uint64_t now_ns, const struct rf_stream_message *message,
                  struct rf_error *err)
{
    RF_ASSERT(message->type == RF_MESSAGE_PUSH_PULL);
    int code = check_versions(swim, message, err);
    if (code < 0) {
        return code;
    }
    struct rf_push_node_state state;
    struct rf_unpacker nodes = rf_unpacker(message->push_pull.nodes);
    uint32_t dropped_count = 0;
    while (rf_stream_next_node(&nodes, &state, &dropped_count)) {
        if (state.name.size == 0 || state.address.ip_size == 0) {
            swim->stats.dropped_malformed++;
            continue;
        }
        merge_node(swim, now_ns, &state);
    }
    swim->stats.dropped_malformed += dropped_count;
    swim->stats.push_pulls++;
    if (message->push_pull.header.nodes_count != swim->nodes.count) {
        swim->catch_up_doubts = RF_SWIM_CATCH_UP_DOUBTS;
    }
    return 0;
}

int rf_swim_state_encode(const struct rf_swim *swim, bool join, struct rf_slice user_state,
                         struct rf_packer *packer)
{
    size_t start = packer->size;
    struct rf_push_pull_header header = {
        .nodes_count = swim->nodes.count, .user_state_size = user_state.size, .join = join};
    int code = rf_push_pull_header_encode(&header, packer);
    for (size_t i = 0; i < swim->nodes.count && code >= 0; i++) {
        const struct rf_node *node = swim->nodes.list[i];
        struct rf_push_node_state state = {.name = node->link.name,
                                           .address = node->address,
                                           .meta = rf_slice(node->meta, node->meta_size),
                                           .incarnation = node->incarnation,
                                           .state = node->state};
        memcpy(state.vsn, node->vsn, RF_VSN_SIZE);
        code = rf_push_node_state_encode(&state, packer);
    }
    rf_pack_bytes(packer, user_state);
    return rf_packer_end(packer, start);
}

/* ---- timers ---- */

/* Rule 15: large clusters exchange states less often, since each costs more. */
static uint64_t push_pull_interval_ns(const struct rf_swim *swim)
{
    uint64_t scale = 1;
    for (size_t size = 32; size < swim->nodes.count; size *= 2) {
        scale++;
    }
    return scale * swim->config.push_pull_interval_ns;
}

bool rf_node_is_alive_other(const struct rf_node *node, const void *context)
{
    return node->state == RF_NODE_ALIVE && node != context;
}

static void tell_left(struct rf_swim *swim)
{
    struct rf_output output = {.type = RF_OUTPUT_SWIM_LEFT};
    if (rf_outbox_put(&swim->up, &output)) {
        swim->leave_deadline_ns = UINT64_MAX; /* else the next tick tries again */
    }
}

void rf_swim_sync_tick(struct rf_swim *swim, uint64_t now_ns)
{
    for (size_t i = 0; i < RF_SWIM_EXCHANGES_MAX && swim->exchanges_count > 0; i++) {
        struct rf_swim_exchange *place = &swim->exchanges[i];
        if (place->purpose == RF_EXCHANGE_PING && place->deadline_ns <= now_ns) {
            *place = (struct rf_swim_exchange){0};
            swim->exchanges_count--;
        }
    }
    if (swim->push_pull_at_ns <= now_ns) {
        swim->push_pull_at_ns = now_ns + push_pull_interval_ns(swim);
        struct rf_node *partner = NULL;
        if (rf_node_table_pick(&swim->nodes, &swim->random, rf_node_is_alive_other, swim->self,
                               &partner, 1) == 1) {
            (void)rf_swim_push_pull(swim, now_ns, &partner->address, RF_EXCHANGE_PERIODIC, 0);
            /* with all streams in use the next interval will do */
        }
    }
    if (swim->leave_deadline_ns != UINT64_MAX &&
        (swim->leave_deadline_ns <= now_ns ||
         rf_broadcast_finished(&swim->queue, RF_BROADCAST_LEAVE))) {
        tell_left(swim);
    }
}

uint64_t rf_swim_sync_deadline_ns(const struct rf_swim *swim)
{
    uint64_t deadline_ns = swim->push_pull_at_ns;
    uint64_t exchange_ns = exchanges_deadline_ns(swim);
    deadline_ns = exchange_ns < deadline_ns ? exchange_ns : deadline_ns;
    return swim->leave_deadline_ns < deadline_ns ? swim->leave_deadline_ns : deadline_ns;
}

/* ---- 16 ---- */

void rf_swim_leave(struct rf_swim *swim, uint64_t now_ns, uint64_t timeout_ns)
{
    if (swim->is_leaving) {
        return;
    }
    swim->is_leaving = true;
    struct rf_dead dead = {.incarnation = swim->self->incarnation,
                           .node = swim->self->link.name,
                           .from = swim->self->link.name};
    rf_swim_dead(swim, now_ns, &dead);
    swim->leave_deadline_ns = now_ns + timeout_ns;
    if (swim->nodes.state_counts[RF_NODE_ALIVE] + swim->nodes.state_counts[RF_NODE_SUSPECT] == 0) {
        tell_left(swim);
    }
}

int rf_swim_update(struct rf_swim *swim, uint64_t now_ns, struct rf_slice meta)
{
    if (swim->incarnation == UINT32_MAX) {
        return RF_ELIMIT; /* nobody would believe it */
    }
    struct rf_alive alive = {.incarnation = swim->incarnation + 1,
                             .node = swim->self->link.name,
                             .address = swim->self->address,
                             .meta = meta};
    memcpy(alive.vsn, swim->self->vsn, RF_VSN_SIZE);
    rf_swim_alive(swim, now_ns, &alive, true);
    if (swim->self->incarnation != alive.incarnation) {
        return -ENOMEM;
    }
    swim->incarnation = alive.incarnation;
    return 0;
}
