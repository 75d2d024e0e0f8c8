/* SPDX-License-Identifier: MIT
 *
 * swim_gossip.c - packets and what rides on them (rule 14).
 */
#include "core/assert.h"
#include "gossip/swim_private.h"

enum {
    COMPOUND_HEADER_MAX = 2 + 2 * RF_COMPOUND_PARTS_MAX,
    PART_OVERHEAD = 2,      /* its length in the compound's table */
    USER_PART_OVERHEAD = 3, /* and the type byte of a user message */
};

/* A packet being put together: parts one after the other, with room for the table before them. */
struct builder {
    uint8_t bytes[COMPOUND_HEADER_MAX + RF_SWIM_MESSAGE_SIZE_MAX + RF_SWIM_PACKET_SIZE_MAX];
    uint16_t sizes[RF_COMPOUND_PARTS_MAX];
    struct rf_broadcast_sink sink;
};

static void builder_init(struct builder *builder)
{
    builder->sink = (struct rf_broadcast_sink){.bytes = builder->bytes,
                                               .bytes_size = COMPOUND_HEADER_MAX,
                                               .sizes = builder->sizes,
                                               .prefix = -1};
}

static void builder_add(struct builder *builder, const struct rf_message *message)
{
    struct rf_broadcast_sink *sink = &builder->sink;
    struct rf_packer packer =
        rf_packer(builder->bytes + sink->bytes_size, RF_SWIM_MESSAGE_SIZE_MAX);
    int size = rf_message_encode(message, &packer);
    RF_ASSERT(size > 0);
    sink->bytes_size += (size_t)size;
    sink->sizes[sink->count++] = (uint16_t)size;
}

/* Sends one part bare, several as a compound. */
static void builder_send(struct rf_swim *swim, struct builder *builder, const struct rf_address *to,
                         bool with_crc)
{
    const struct rf_broadcast_sink *sink = &builder->sink;
    uint8_t *start = builder->bytes + COMPOUND_HEADER_MAX;
    if (sink->count > 1) {
        start -= 2 + 2 * sink->count;
        start[0] = RF_MESSAGE_COMPOUND;
        start[1] = (uint8_t)sink->count;
        for (size_t i = 0; i < sink->count; i++) {
            start[2 + 2 * i] = (uint8_t)(sink->sizes[i] >> 8);
            start[3 + 2 * i] = (uint8_t)sink->sizes[i];
        }
    }
    struct rf_output output = {
        .type = RF_OUTPUT_PACKET, .address = *to, .bytes = start, .with_crc = with_crc};
    output.bytes_size = (size_t)(builder->bytes + sink->bytes_size - start);
    if (rf_outbox_put(&swim->out, &output)) {
        swim->stats.packets_sent++;
    } else {
        swim->stats.dropped_memory++;
    }
}

/* 14.4: our queue first, then those of the layer above. */
static void builder_fill(struct rf_swim *swim, struct builder *builder, size_t bytes)
{
    struct rf_broadcast_sink *sink = &builder->sink;
    struct rf_broadcast_limits limits = {.bytes = bytes,
                                         .overhead = PART_OVERHEAD,
                                         .count = RF_COMPOUND_PARTS_MAX - sink->count,
                                         .transmit_limit = rf_broadcast_transmit_limit(
                                             swim->config.retransmit_mult, swim->nodes.count)};
    limits.bytes -= rf_broadcast_take(&swim->queue, &limits, sink);
    limits.overhead = USER_PART_OVERHEAD;
    limits.transmit_limit =
        rf_broadcast_transmit_limit(swim->config.retransmit_mult, swim->user_members_count);
    sink->prefix = RF_MESSAGE_USER;
    for (size_t i = 0; i < RF_SWIM_USER_QUEUES; i++) {
        limits.count = RF_COMPOUND_PARTS_MAX - sink->count;
        limits.bytes -= rf_broadcast_take(&swim->user_queues[i], &limits, sink);
    }
    sink->prefix = -1;
}

static bool has_broadcasts(const struct rf_swim *swim)
{
    size_t count = swim->queue.count;
    for (size_t i = 0; i < RF_SWIM_USER_QUEUES; i++) {
        count += swim->user_queues[i].count;
    }
    return count > 0;
}

static size_t budget_after(const struct rf_swim *swim, size_t used)
{
    size_t taken = used + 2 + swim->config.packet_overhead; /* 2: type and count of a compound */
    return swim->config.packet_size > taken ? swim->config.packet_size - taken : 0;
}

/* 14.3: a message of our own is filled up with broadcasts. */
void rf_swim_send(struct rf_swim *swim, const struct rf_address *to,
                  const struct rf_message *message)
{
    struct builder builder;
    builder_init(&builder);
    builder_add(&builder, message);
    if (has_broadcasts(swim)) {
        builder_fill(swim, &builder, budget_after(swim, builder.sizes[0] + PART_OVERHEAD));
    }
    builder_send(swim, &builder, to, false);
}

void rf_swim_send_alone(struct rf_swim *swim, const struct rf_address *to,
                        const struct rf_message *message)
{
    struct builder builder;
    builder_init(&builder);
    builder_add(&builder, message);
    builder_send(swim, &builder, to, false);
}

bool rf_swim_send_bounded(struct rf_swim *swim, const struct rf_address *to,
                          const struct rf_message *message, size_t size_max, size_t *ret_size)
{
    struct builder builder;
    builder_init(&builder);
    builder_add(&builder, message);
    if (builder.sizes[0] > size_max) {
        return false;
    }
    *ret_size = builder.sizes[0];
    builder_send(swim, &builder, to, false);
    return true;
}

static bool takes_crc(const struct rf_node *node)
{
    return node->vsn[RF_VSN_PMAX] >= 5;
}

void rf_swim_send_pair(struct rf_swim *swim, const struct rf_node *to,
                       const struct rf_message *first, const struct rf_message *second)
{
    struct builder builder;
    builder_init(&builder);
    builder_add(&builder, first);
    builder_add(&builder, second);
    builder_send(swim, &builder, &to->address, takes_crc(to));
}

void rf_swim_send_user(struct rf_swim *swim, const struct rf_address *to, struct rf_slice body)
{
    uint8_t bytes[1 + RF_SWIM_DIRECT_SIZE_MAX];
    if (body.size == 0 || body.size > RF_SWIM_DIRECT_SIZE_MAX) {
        swim->stats.dropped_malformed++;
        return;
    }
    bytes[0] = RF_MESSAGE_USER;
    memcpy(bytes + 1, body.data, body.size);
    struct rf_output output = {
        .type = RF_OUTPUT_PACKET, .address = *to, .bytes = bytes, .bytes_size = 1 + body.size};
    if (rf_outbox_put(&swim->out, &output)) {
        swim->stats.packets_sent++;
    } else {
        swim->stats.dropped_memory++;
    }
}

bool rf_swim_queue_user(struct rf_swim *swim, size_t queue_index, struct rf_slice body,
                        enum rf_broadcast_notice notice)
{
    RF_ASSERT(queue_index < RF_SWIM_USER_QUEUES);
    return rf_broadcast_queue(&swim->user_queues[queue_index], rf_slice(NULL, 0), body, notice);
}

struct gossip_context {
    const struct rf_swim *swim;
    uint64_t now_ns;
};

/* 14.2: alive or suspect, or dead so lately that it may be back and should learn of its death. */
static bool is_gossip_target(const struct rf_node *node, const void *context)
{
    const struct gossip_context *gossip = context;
    if (node == gossip->swim->self || node->state == RF_NODE_LEFT) {
        return false;
    }
    return node->state != RF_NODE_DEAD ||
           gossip->now_ns - node->state_change_ns <= gossip->swim->config.gossip_to_the_dead_ns;
}

static bool has_something_to_do(const struct rf_swim *swim)
{
    return swim->is_untold || has_broadcasts(swim);
}

/*
 * Ours, not memberlist's, which gossips at fixed times: after a rest the first news goes out at
 * once, the next an interval later. No more is sent in an interval, but the hops of a wave through
 * a cluster that was quiet take the network's time, not the timer's; and a quiet node need not
 * wake.
 */
void rf_swim_gossip_tick(struct rf_swim *swim, uint64_t now_ns)
{
    if (now_ns < swim->gossip_at_ns || !has_something_to_do(swim)) {
        return;
    }
    swim->gossip_at_ns = now_ns + swim->config.gossip_interval_ns;
    rf_swim_tell_untold(swim);
    struct gossip_context context = {swim, now_ns};
    struct rf_node *targets[RF_SWIM_GOSSIP_NODES_MAX];
    size_t targets_count = rf_node_table_pick(&swim->nodes, &swim->random, is_gossip_target,
                                              &context, targets, swim->config.gossip_nodes);
    for (size_t i = 0; i < targets_count && has_broadcasts(swim); i++) {
        struct builder builder;
        builder_init(&builder);
        builder_fill(swim, &builder, budget_after(swim, 0));
        if (builder.sink.count == 0) {
            break;
        }
        builder_send(swim, &builder, &targets[i]->address, takes_crc(targets[i]));
    }
}

uint64_t rf_swim_gossip_deadline_ns(const struct rf_swim *swim)
{
    return has_something_to_do(swim) ? swim->gossip_at_ns : UINT64_MAX;
}
