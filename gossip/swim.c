/* SPDX-License-Identifier: MIT
 *
 * swim.c - the SWIM machine: configuration, inputs, timers, statistics.
 */
#include "gossip/swim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/text.h"
#include "gossip/settings.h"
#include "gossip/swim_private.h"

#define NS_PER_MS UINT64_C(1000000)

enum {
    OVERHEAD_MAX = 512, /* of the longest label and encryption: 302 */
};

static const struct rf_swim_config profiles[] = {
    [RF_SWIM_LAN] = {RF_SWIM_SETTINGS(RF_SETTING_LAN)},
    [RF_SWIM_WAN] = {RF_SWIM_SETTINGS(RF_SETTING_WAN)},
    [RF_SWIM_LOCAL] = {RF_SWIM_SETTINGS(RF_SETTING_LOCAL)},
};

void rf_swim_config_init(struct rf_swim_config *config, enum rf_swim_profile profile)
{
    RF_ASSERT((size_t)profile < sizeof(profiles) / sizeof(profiles[0]));
    *config = profiles[profile];
    memcpy(config->vsn, rf_vsn_ours, RF_VSN_SIZE);
    config->tcp_pings = true;
    config->packet_size = RF_PACKET_BUDGET;
    config->nodes_max = RF_SWIM_NODES_MAX;
    config->queue_max = RF_SWIM_NODES_MAX;
}

int rf_swim_name_check(const char *name, struct rf_error *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
    char quoted[RF_QUOTE_SIZE];
    if (name == NULL || name[0] == '\0') {
        return rf_error_set(err, -EINVAL, "no node name, expected 1..%d of A-Z a-z 0-9 . -",
                            RF_SWIM_OWN_NAME_SIZE_MAX);
    }
    if (strlen(name) > RF_SWIM_OWN_NAME_SIZE_MAX) {
        return rf_error_set(err, -EINVAL, "node name %s: %zu bytes, allowed 1..%d",
                            rf_text_quote(name, quoted), strlen(name), RF_SWIM_OWN_NAME_SIZE_MAX);
    }
    if (name[strspn(name, allowed)] != '\0') {
        return rf_error_set(err, -EINVAL, "node name %s: other characters than A-Z a-z 0-9 . -",
                            rf_text_quote(name, quoted));
    }
    return 0;
}

int rf_swim_check_settings(const struct rf_swim_config *config, struct rf_error *err)
{
    const struct rf_setting_range ranges[] = {RF_SWIM_SETTINGS(RF_SETTING_RANGE)};
    int code = rf_settings_check(ranges, sizeof(ranges) / sizeof(ranges[0]), err);
    if (code == 0 && config->probe_timeout_ns >= config->probe_interval_ns) {
        /* Else no time would be left to ask others before the probe has failed. */
        return rf_error_set(err, -EINVAL,
                            "-probe-timeout-ms %llu: allowed is less than -probe-interval-ms, "
                            "which is %llu",
                            (unsigned long long)(config->probe_timeout_ns / NS_PER_MS),
                            (unsigned long long)(config->probe_interval_ns / NS_PER_MS));
    }
    return code;
}

static int check_sizes(const struct rf_swim_config *config, struct rf_error *err)
{
    const struct rf_setting_range ranges[] = {
        {"packet_size", config->packet_size, RF_SWIM_PACKET_SIZE_MIN, RF_SWIM_PACKET_SIZE_MAX, 1},
        {"packet_overhead", config->packet_overhead, 0, OVERHEAD_MAX, 1},
        {"nodes_max", config->nodes_max, 1, RF_PUSH_PULL_NODES_MAX, 1},
        {"queue_max", config->queue_max, 1, RF_PUSH_PULL_NODES_MAX, 1},
    };
    return rf_settings_check(ranges, sizeof(ranges) / sizeof(ranges[0]), err);
}

static int check_config(const struct rf_swim_config *config, struct rf_error *err)
{
    int code = rf_swim_name_check(config->name, err);
    if (code < 0) {
        return code;
    }
    if ((config->address.ip_size != 4 && config->address.ip_size != 16) ||
        config->address.port == 0) {
        return rf_error_set(err, -EINVAL,
                            "address: an ip of %u bytes and port %u, wanted 4 or 16 and above 0",
                            config->address.ip_size, config->address.port);
    }
    if (config->meta_size > RF_META_SIZE_MAX) {
        return rf_error_set(err, -EINVAL, "metadata of %zu bytes, allowed %d", config->meta_size,
                            RF_META_SIZE_MAX);
    }
    if (!rf_vsn_is_valid(config->vsn)) {
        return rf_error_set(err, -EINVAL, "version vector %u..%u %u, %u..%u %u is none",
                            config->vsn[0], config->vsn[1], config->vsn[2], config->vsn[3],
                            config->vsn[4], config->vsn[5]);
    }
    code = rf_swim_check_settings(config, err);
    return code < 0 ? code : check_sizes(config, err);
}

int rf_swim_init(struct rf_swim *swim, const struct rf_swim_config *config, uint64_t seed,
                 uint64_t now_ns, struct rf_error *err)
{
    int code = check_config(config, err);
    if (code < 0) {
        return code;
    }
    *swim = (struct rf_swim){.config = *config, .random = {.state = seed}};
    swim->config.name = NULL;
    swim->config.meta = NULL;
    swim->leave_deadline_ns = UINT64_MAX;
    swim->catch_up_at_ns = UINT64_MAX;
    swim->calls_back_left = RF_SWIM_CALLS_BACK_MAX;
    swim->seen_ns = now_ns;
    swim->user_members_count = 1;
    /* The last one is kept for a refutation. */
    swim->incarnation = config->incarnation < UINT32_MAX - 1 ? config->incarnation : UINT32_MAX - 2;
    rf_node_table_init(&swim->nodes, config->nodes_max, rf_random_next(&swim->random));
    uint64_t queue_seed = rf_random_next(&swim->random);
    /* what a packet that carries nothing else has room for */
    size_t size_max = config->packet_size - 2 - config->packet_overhead - 2;
    rf_broadcast_init(&swim->queue, config->queue_max, size_max, queue_seed);
    for (size_t i = 0; i < RF_SWIM_USER_QUEUES; i++) {
        rf_broadcast_init(&swim->user_queues[i], RF_SWIM_USER_QUEUE_MAX, size_max - 1, queue_seed);
    }
    rf_outbox_init(&swim->out);
    rf_outbox_init(&swim->up);
    /* Without a clock we have a phase of our own. */
    swim->order.clock_offset_ns =
        config->wall_ns == 0 ? rf_random_next(&swim->random) / 2 : config->wall_ns - now_ns;
    swim->probe_at_ns = now_ns + rf_random_below(&swim->random, config->probe_interval_ns);
    swim->gossip_at_ns = now_ns + rf_random_below(&swim->random, config->gossip_interval_ns);
    swim->push_pull_at_ns = now_ns + rf_random_below(&swim->random, config->push_pull_interval_ns);

    /* Our own entry is made as any other: an alive message, applied as bootstrap. */
    struct rf_slice name = rf_slice_text(config->name);
    swim->self = rf_node_table_add(&swim->nodes, name, &swim->random, &code);
    if (swim->self != NULL) {
        rf_node_table_set_address(&swim->nodes, swim->self, &config->address);
        swim->self->incarnation = swim->incarnation;
        memcpy(swim->self->vsn, config->vsn, RF_VSN_SIZE);
        code = rf_swim_update(swim, now_ns, rf_slice(config->meta, config->meta_size));
    }
    if (code < 0) {
        rf_swim_fini(swim);
        return rf_error_set(err, code, "node '%s': out of memory", config->name);
    }
    return 0;
}

void rf_swim_fini(struct rf_swim *swim)
{
    rf_node_table_fini(&swim->nodes);
    rf_broadcast_fini(&swim->queue);
    for (size_t i = 0; i < RF_SWIM_USER_QUEUES; i++) {
        rf_broadcast_fini(&swim->user_queues[i]);
    }
    rf_outbox_fini(&swim->out);
    rf_outbox_fini(&swim->up);
    rf_swim_order_fini(&swim->order);
    free(swim->suspects);
    free(swim->relays);
    free(swim->claims);
    *swim = (struct rf_swim){0};
}

/* ---- what goes up ---- */

void rf_swim_notice(struct rf_swim *swim, enum rf_notice notice, const struct rf_node *node,
                    const char *text)
{
    struct rf_output output = {.type = RF_OUTPUT_NOTICE,
                               .notice = notice,
                               .name = node->name,
                               .name_size = node->link.name.size,
                               .address = node->address,
                               .text = text};
    (void)rf_outbox_put(&swim->up, &output); /* only for people */
}

void rf_swim_up_node(struct rf_swim *swim, enum rf_output_type type, const struct rf_node *node)
{
    struct rf_output output = {.type = type,
                               .name = node->name,
                               .name_size = node->link.name.size,
                               .address = node->address,
                               .bytes = node->meta,
                               .bytes_size = node->meta_size};
    if (!rf_outbox_put(&swim->up, &output)) {
        swim->stats.dropped_memory++; /* the layer above sees is_lost and compares all nodes */
    }
}

/* ---- inputs ---- */

static void on_user(struct rf_swim *swim, const struct rf_address *from, struct rf_slice body)
{
    struct rf_output output = {.type = RF_OUTPUT_USER_MESSAGE,
                               .address = *from,
                               .bytes = body.data,
                               .bytes_size = body.size};
    if (!rf_outbox_put(&swim->up, &output)) {
        swim->stats.dropped_memory++;
    }
}

static bool is_named(struct rf_swim *swim, struct rf_slice node)
{
    if (node.size == 0) {
        swim->stats.dropped_malformed++;
    }
    return node.size > 0;
}

void rf_swim_packet_begin(struct rf_swim *swim, size_t size)
{
    swim->has_packet = true;
    swim->packet_left = size;
    swim->has_acked = false;
}

void rf_swim_receive(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *from,
                     struct rf_slice bytes)
{
    (void)rf_swim_time(swim, now_ns);
    if (!swim->has_packet) {
        swim->packet_left = bytes.size + swim->config.packet_overhead;
        swim->has_acked = false;
    }
    struct rf_message message;
    int code = rf_message_decode(bytes, &message);
    if (code < 0) {
        if (code == RF_EUNSUPPORTED) {
            swim->stats.dropped_unknown++;
        } else {
            swim->stats.dropped_malformed++;
        }
        return;
    }
    switch (message.type) {
    case RF_MESSAGE_PING:
        swim->stats.pings_received++;
        rf_swim_on_ping(swim, now_ns, from, &message.ping);
        break;
    case RF_MESSAGE_INDIRECT_PING:
        swim->stats.indirect_pings_received++;
        rf_swim_on_indirect_ping(swim, now_ns, from, &message.indirect_ping);
        break;
    case RF_MESSAGE_ACK:
        swim->stats.acks_received++;
        rf_swim_on_ack(swim, now_ns, &message.ack);
        break;
    case RF_MESSAGE_NACK:
        swim->stats.nacks_received++;
        rf_swim_on_nack(swim, &message.nack);
        break;
    case RF_MESSAGE_SUSPECT:
        swim->stats.suspects_received++;
        if (is_named(swim, message.suspect.node)) {
            rf_swim_suspect(swim, now_ns, &message.suspect);
        }
        break;
    case RF_MESSAGE_ALIVE:
        swim->stats.alives_received++;
        if (is_named(swim, message.alive.node) && message.alive.address.ip_size > 0) {
            rf_swim_alive(swim, now_ns, &message.alive, false);
        }
        break;
    case RF_MESSAGE_DEAD:
        swim->stats.deads_received++;
        if (is_named(swim, message.dead.node)) {
            rf_swim_dead(swim, now_ns, &message.dead);
        }
        break;
    case RF_MESSAGE_USER:
        swim->stats.users_received++;
        on_user(swim, from, message.user);
        break;
    case RF_MESSAGE_PUSH_PULL:
    case RF_MESSAGE_COMPOUND:
    case RF_MESSAGE_COMPRESS:
    case RF_MESSAGE_ENCRYPT:
    case RF_MESSAGE_HAS_CRC:
    case RF_MESSAGE_ERR:
    case RF_MESSAGE_HAS_LABEL:
        swim->stats.dropped_unknown++; /* envelopes are opened before us, the others are streams' */
        break;
    }
}

void rf_swim_tick(struct rf_swim *swim, uint64_t now_ns)
{
    (void)rf_swim_time(swim, now_ns);
    rf_swim_probe_tick(swim, now_ns);
    rf_swim_claims_tick(swim, now_ns);
    rf_swim_suspicions_tick(swim, now_ns);
    rf_swim_gossip_tick(swim, now_ns);
    rf_swim_sync_tick(swim, now_ns);
    rf_swim_catch_up_tick(swim, now_ns);
}

uint64_t rf_swim_deadline_ns(const struct rf_swim *swim)
{
    uint64_t deadline_ns = rf_swim_probe_deadline_ns(swim);
    uint64_t sync_ns = rf_swim_sync_deadline_ns(swim);
    deadline_ns = sync_ns < deadline_ns ? sync_ns : deadline_ns;
    deadline_ns = swim->catch_up_at_ns < deadline_ns ? swim->catch_up_at_ns : deadline_ns;
    if (swim->suspects_count > 0 && swim->suspects[0]->suspicion->deadline_ns < deadline_ns) {
        deadline_ns = swim->suspects[0]->suspicion->deadline_ns;
    }
    uint64_t claims_ns = rf_swim_claims_deadline_ns(swim);
    deadline_ns = claims_ns < deadline_ns ? claims_ns : deadline_ns;
    uint64_t gossip_ns = rf_swim_gossip_deadline_ns(swim);
    return gossip_ns < deadline_ns ? gossip_ns : deadline_ns;
}

void rf_swim_get_stats(const struct rf_swim *swim, struct rf_swim_stats *ret_stats)
{
    *ret_stats = swim->stats;
    ret_stats->broadcasts_dropped = swim->queue.dropped;
    for (size_t i = 0; i < RF_SWIM_USER_QUEUES; i++) {
        ret_stats->broadcasts_dropped += swim->user_queues[i].dropped;
    }
    ret_stats->nodes = swim->nodes.count;
    ret_stats->nodes_alive = swim->nodes.state_counts[RF_NODE_ALIVE];
    ret_stats->nodes_suspect = swim->nodes.state_counts[RF_NODE_SUSPECT];
    ret_stats->relays = swim->relays_count;
    ret_stats->exchanges = swim->exchanges_count;
    ret_stats->queue_depth = swim->queue.count;
    ret_stats->awareness_score = swim->awareness;
}

void rf_swim_check(const struct rf_swim *swim)
{
    rf_node_table_check(&swim->nodes);
    rf_broadcast_check(&swim->queue);
    for (size_t i = 0; i < RF_SWIM_USER_QUEUES; i++) {
        rf_broadcast_check(&swim->user_queues[i]);
    }
    RF_ASSERT(swim->self->incarnation == swim->incarnation);
    RF_ASSERT(swim->self->state == (swim->is_leaving ? RF_NODE_LEFT : RF_NODE_ALIVE));
    RF_ASSERT(swim->awareness < swim->config.awareness_max);
    RF_ASSERT(swim->suspects_count == swim->nodes.state_counts[RF_NODE_SUSPECT]);
    for (size_t i = 0; i < swim->suspects_count; i++) {
        const struct rf_node *node = swim->suspects[i];
        RF_ASSERT(node->suspicion != NULL && node->suspicion->heap_index == i);
        RF_ASSERT(i == 0 || swim->suspects[(i - 1) / 2]->suspicion->deadline_ns <=
                                node->suspicion->deadline_ns);
    }
    RF_ASSERT(!swim->probe.is_active ||
              rf_node_table_find(&swim->nodes, swim->probe.node->link.name) == swim->probe.node);
    size_t exchanges_count = 0;
    for (size_t i = 0; i < RF_SWIM_EXCHANGES_MAX; i++) {
        exchanges_count += swim->exchanges[i].purpose != RF_EXCHANGE_NONE;
    }
    RF_ASSERT(exchanges_count == swim->exchanges_count);
    RF_ASSERT(swim->relays_count <= RF_SWIM_RELAYS_MAX);
}
