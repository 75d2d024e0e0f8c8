/* SPDX-License-Identifier: MIT
 *
 * swim_probe.c - failure detection: our own probes (rule 11), and answering and relaying those of
 * others. The numbers of the steps are those of gossip/README.md.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/assert.h"
#include "gossip/swim_private.h"

static struct rf_ping make_ping(const struct rf_swim *swim, uint32_t seq_no, struct rf_slice node)
{
    return (struct rf_ping){.seq_no = seq_no,
                            .node = node,
                            .source = swim->config.address,
                            .source_node = swim->self->link.name};
}

uint64_t rf_swim_ping_by_tcp(struct rf_swim *swim, const struct rf_address *address,
                             struct rf_slice name, uint32_t seq_no, uint64_t deadline_ns)
{
    uint8_t bytes[RF_SWIM_MESSAGE_SIZE_MAX];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_message ping = {.type = RF_MESSAGE_PING, .ping = make_ping(swim, seq_no, name)};
    int size = rf_message_encode(&ping, &packer);
    RF_ASSERT(size > 0);
    struct rf_swim_exchange exchange = {
        .purpose = RF_EXCHANGE_PING, .address = *address, .deadline_ns = deadline_ns};
    uint64_t exchange_id = rf_swim_exchange_open(swim, &exchange);
    if (exchange_id == 0) {
        return 0;
    }
    struct rf_output output = {.type = RF_OUTPUT_EXCHANGE,
                               .address = *address,
                               .bytes = bytes,
                               .bytes_size = (size_t)size,
                               .exchange_id = exchange_id,
                               .expect = RF_EXPECT_ACK,
                               .deadline_ns = deadline_ns};
    (void)rf_outbox_put(&swim->out, &output); /* lost: the exchange runs into its deadline */
    return exchange_id;
}

void rf_swim_ping_alone(struct rf_swim *swim, const struct rf_address *address,
                        struct rf_slice name, uint32_t seq_no)
{
    struct rf_message ping = {.type = RF_MESSAGE_PING, .ping = make_ping(swim, seq_no, name)};
    rf_swim_send_alone(swim, address, &ping);
}

/* ---- our probe ---- */

/* Steps 1 and 2. */
static void probe_start(struct rf_swim *swim, uint64_t now_ns, struct rf_node *node)
{
    uint64_t period_ns = swim->config.probe_interval_ns * (swim->awareness + 1);
    swim->probe = (struct rf_swim_probe){.is_active = true,
                                         .node = node,
                                         .seq_no = ++swim->seq_no,
                                         .incarnation = node->incarnation,
                                         .start_ns = now_ns,
                                         .timeout_ns = now_ns + swim->config.probe_timeout_ns,
                                         .expiry_ns = now_ns + period_ns};
    swim->stats.probes++;
    struct rf_message ping = {.type = RF_MESSAGE_PING,
                              .ping = make_ping(swim, swim->probe.seq_no, node->link.name)};
    if (node->state == RF_NODE_ALIVE) {
        rf_swim_send(swim, &node->address, &ping);
        return;
    }
    /* A suspect is told what it is suspected of, so that it can refute at once. */
    struct rf_message suspect = {.type = RF_MESSAGE_SUSPECT,
                                 .suspect = {.incarnation = node->incarnation,
                                             .node = node->link.name,
                                             .from = swim->self->link.name}};
    rf_swim_send_pair(swim, node, &ping, &suspect);
}

struct helper_context {
    const struct rf_node *self;
    const struct rf_node *target;
};

static bool is_helper(const struct rf_node *node, const void *context)
{
    const struct helper_context *helper = context;
    return node->state == RF_NODE_ALIVE && node != helper->self && node != helper->target;
}

/* Step 4. */
static void probe_ask_others(struct rf_swim *swim)
{
    struct rf_swim_probe *probe = &swim->probe;
    struct helper_context context = {swim->self, probe->node};
    struct rf_node *helpers[RF_SWIM_GOSSIP_NODES_MAX];
    size_t helpers_count = rf_node_table_pick(&swim->nodes, &swim->random, is_helper, &context,
                                              helpers, swim->config.indirect_checks);
    for (size_t i = 0; i < helpers_count; i++) {
        bool nack = helpers[i]->vsn[RF_VSN_PMAX] >= 4;
        struct rf_message message = {.type = RF_MESSAGE_INDIRECT_PING,
                                     .indirect_ping = {.seq_no = probe->seq_no,
                                                       .target = probe->node->address,
                                                       .node = probe->node->link.name,
                                                       .nack = nack,
                                                       .source = swim->config.address,
                                                       .source_node = swim->self->link.name}};
        probe->nacks_expected += nack;
        rf_swim_send(swim, &helpers[i]->address, &message);
    }
}

/* Step 5. */
static void probe_ask_by_tcp(struct rf_swim *swim)
{
    struct rf_swim_probe *probe = &swim->probe;
    if (swim->config.tcp_pings && probe->node->vsn[RF_VSN_PMAX] >= 3) {
        probe->exchange_id = /* 0: too many streams, this probe goes without */
            rf_swim_ping_by_tcp(swim, &probe->node->address, probe->node->link.name, probe->seq_no,
                                probe->expiry_ns);
    }
}

static void probe_end(struct rf_swim *swim)
{
    struct rf_swim_exchange exchange;
    (void)rf_swim_exchange_take(swim, swim->probe.exchange_id, &exchange);
    swim->probe.is_active = false;
}

void rf_swim_probe_abandon(struct rf_swim *swim, const struct rf_node *node)
{
    if (swim->probe.is_active && swim->probe.node == node) {
        probe_end(swim);
    }
}

static void probe_succeed(struct rf_swim *swim)
{
    rf_swim_awareness_add(swim, -1);
    probe_end(swim);
}

/* Steps 7 and 8: P has passed without an ack. */
static void probe_expire(struct rf_swim *swim, uint64_t now_ns)
{
    struct rf_swim_probe probe = swim->probe;
    if (probe.tcp_acked) {
        swim->stats.probes_tcp++;
        rf_swim_notice(swim, RF_NOTICE_UDP_BROKEN, probe.node, NULL);
        probe_succeed(swim);
        return;
    }
    swim->stats.probes_failed++;
    int64_t missed = 1;
    if (probe.nacks_expected > 0) {
        missed = (int64_t)probe.nacks_expected - (int64_t)probe.nacks;
    }
    rf_swim_awareness_add(swim, missed);
    probe_end(swim);
    struct rf_suspect suspect = {.incarnation = probe.incarnation,
                                 .node = probe.node->link.name,
                                 .from = swim->self->link.name};
    rf_swim_suspect(swim, now_ns, &suspect);
}

/* ---- relayed pings ---- */

static struct rf_swim_relay *relay_at(const struct rf_swim *swim, size_t position)
{
    return &swim->relays[(swim->relays_first + position) % RF_SWIM_RELAYS_MAX];
}

/* By sequence number, which ascends in the ring (and may wrap). */
static struct rf_swim_relay *relay_find(const struct rf_swim *swim, uint32_t seq_no)
{
    if (swim->relays_count == 0) {
        return NULL;
    }
    uint32_t oldest = relay_at(swim, 0)->seq_no;
    size_t low = 0;
    size_t high = swim->relays_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (relay_at(swim, middle)->seq_no - oldest < seq_no - oldest) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct rf_swim_relay *relay = low < swim->relays_count ? relay_at(swim, low) : NULL;
    return relay != NULL && relay->seq_no == seq_no && relay->is_open ? relay : NULL;
}

static void relays_tick(struct rf_swim *swim, uint64_t now_ns)
{
    while (swim->relays_count > 0 && relay_at(swim, 0)->deadline_ns <= now_ns) {
        struct rf_swim_relay relay = *relay_at(swim, 0);
        swim->relays_first = (swim->relays_first + 1) % RF_SWIM_RELAYS_MAX;
        swim->relays_count--;
        if (relay.is_open && relay.nack) {
            struct rf_message nack = {.type = RF_MESSAGE_NACK,
                                      .nack = {.seq_no = relay.requester_seq_no}};
            rf_swim_send(swim, &relay.requester, &nack);
        }
    }
}

/* ---- timers ---- */

void rf_swim_probe_tick(struct rf_swim *swim, uint64_t now_ns)
{
    relays_tick(swim, now_ns);
    if (swim->probe.is_active && !swim->probe.is_indirect && swim->probe.timeout_ns <= now_ns) {
        swim->probe.is_indirect = true;
        probe_ask_others(swim);
        probe_ask_by_tcp(swim);
    }
    if (swim->probe.is_active && swim->probe.expiry_ns <= now_ns) {
        probe_expire(swim, now_ns);
    }
    if (swim->probe_at_ns <= now_ns) {
        swim->probe_at_ns = now_ns + swim->config.probe_interval_ns;
        rf_swim_appeals(swim);
        rf_swim_tell_one_dead(swim, now_ns);
        struct rf_node *target = swim->probe.is_active ? NULL : rf_swim_order_target(swim, now_ns);
        if (target != NULL) {
            probe_start(swim, now_ns, target);
        }
    }
}

uint64_t rf_swim_probe_deadline_ns(const struct rf_swim *swim)
{
    uint64_t deadline_ns = swim->probe_at_ns;
    if (swim->probe.is_active) {
        uint64_t step_ns = swim->probe.is_indirect ? swim->probe.expiry_ns : swim->probe.timeout_ns;
        deadline_ns = step_ns < deadline_ns ? step_ns : deadline_ns;
    }
    if (swim->relays_count > 0 && relay_at(swim, 0)->deadline_ns < deadline_ns) {
        deadline_ns = relay_at(swim, 0)->deadline_ns;
    }
    return deadline_ns;
}

/* ---- messages ---- */

static bool has_address(const struct rf_address *address)
{
    return address->ip_size > 0 && address->port > 0;
}

void rf_swim_on_ping(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *from,
                     const struct rf_ping *ping)
{
    if (ping->node.size > 0 && !rf_swim_is_self(swim, ping->node)) {
        return; /* for whoever had this address before us */
    }
    struct rf_message ack = {
        .type = RF_MESSAGE_ACK,
        .ack = {.seq_no = ping->seq_no,
                .payload = rf_slice(swim->ack_payload, swim->ack_payload_size)}};
    rf_swim_answer(swim, from, &ping->source, &ack);
    if (ping->node.size > 0) {
        rf_swim_call_back(swim, now_ns, from);
    }
}

void rf_swim_on_indirect_ping(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *from,
                              const struct rf_indirect_ping *indirect_ping)
{
    struct rf_address requester =
        has_address(&indirect_ping->source) ? indirect_ping->source : *from;
    if (!rf_swim_is_member_address(swim, &requester)) {
        swim->stats.strangers_refused++; /* the answer would come when its packet is forgotten */
        return;
    }
    if (swim->relays == NULL) {
        swim->relays = calloc(RF_SWIM_RELAYS_MAX, sizeof(swim->relays[0]));
    }
    if (swim->relays == NULL || swim->relays_count == RF_SWIM_RELAYS_MAX) {
        swim->stats.dropped_relays_max++;
        return;
    }
    if (indirect_ping->target.ip_size == 0) {
        swim->stats.dropped_malformed++;
        return;
    }
    struct rf_swim_relay *relay = relay_at(swim, swim->relays_count++);
    *relay = (struct rf_swim_relay){.seq_no = ++swim->seq_no,
                                    .requester_seq_no = indirect_ping->seq_no,
                                    .requester = requester,
                                    .deadline_ns = now_ns + swim->config.probe_timeout_ns,
                                    .nack = indirect_ping->nack,
                                    .is_open = true};
    struct rf_address target = indirect_ping->target;
    if (target.port == 0) {
        target.port = swim->config.address.port;
    }
    if (!rf_swim_is_member_address(swim, &target)) {
        swim->stats.strangers_refused++; /* and the requester gets its nack: we reached nobody */
        return;
    }
    struct rf_message ping = {.type = RF_MESSAGE_PING,
                              .ping = make_ping(swim, relay->seq_no, indirect_ping->node)};
    rf_swim_send(swim, &target, &ping);
}

void rf_swim_set_ack_payload(struct rf_swim *swim, struct rf_slice payload)
{
    RF_ASSERT(payload.size <= RF_SWIM_ACK_PAYLOAD_MAX);
    memcpy(swim->ack_payload, payload.data, payload.size);
    swim->ack_payload_size = payload.size;
}

/* Others are asked after the time-out, so until then the ack took the way of the ping. */
static void up_ack(struct rf_swim *swim, uint64_t now_ns, struct rf_slice payload)
{
    const struct rf_swim_probe *probe = &swim->probe;
    uint64_t rtt_ns = now_ns - probe->start_ns;
    if (probe->is_indirect || rtt_ns > swim->config.probe_timeout_ns || payload.size == 0) {
        return;
    }
    struct rf_output output = {.type = RF_OUTPUT_NODE_ACK,
                               .name = probe->node->name,
                               .name_size = probe->node->link.name.size,
                               .bytes = payload.data,
                               .bytes_size = payload.size,
                               .rtt_ns = rtt_ns};
    (void)rf_outbox_put(&swim->up, &output); /* one sample less */
}

void rf_swim_on_ack(struct rf_swim *swim, uint64_t now_ns, const struct rf_ack *ack)
{
    if (swim->probe.is_active && swim->probe.seq_no == ack->seq_no) { /* steps 3 and 6 */
        swim->stats.probes_indirect += swim->probe.is_indirect;
        up_ack(swim, now_ns, ack->payload);
        probe_succeed(swim);
        return;
    }
    struct rf_swim_relay *relay = relay_find(swim, ack->seq_no);
    if (relay != NULL) {
        relay->is_open = false;
        struct rf_message message = {.type = RF_MESSAGE_ACK,
                                     .ack = {.seq_no = relay->requester_seq_no}};
        rf_swim_send(swim, &relay->requester, &message);
        return;
    }
    rf_swim_claims_acked(swim, ack->seq_no);
}

void rf_swim_on_nack(struct rf_swim *swim, const struct rf_nack *nack)
{
    struct rf_swim_probe *probe = &swim->probe;
    if (probe->is_active && probe->seq_no == nack->seq_no && probe->nacks < probe->nacks_expected) {
        probe->nacks++;
    }
}

void rf_swim_ping_acked(struct rf_swim *swim, uint64_t exchange_id, uint32_t seq_no)
{
    struct rf_swim_probe *probe = &swim->probe;
    if (probe->is_active && probe->exchange_id == exchange_id && probe->seq_no == seq_no) {
        probe->tcp_acked = true;
    }
}
