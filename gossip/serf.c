/* SPDX-License-Identifier: MIT
 *
 * serf.c - the Serf machine: configuration, inputs and timers, leaving (rule 26), statistics.
 */
#include "gossip/serf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/serf_private.h"
#include "gossip/settings.h"

#define NS_PER_S UINT64_C(1000000000)

#define NS_PER_MS UINT64_C(1000000)

static const struct rf_serf_config profiles[] = {
    [RF_SWIM_LAN] = {RF_SERF_SETTINGS(RF_SETTING_LAN)},
    [RF_SWIM_WAN] = {RF_SERF_SETTINGS(RF_SETTING_WAN)},
    [RF_SWIM_LOCAL] = {RF_SERF_SETTINGS(RF_SETTING_LOCAL)},
};

void rf_serf_config_init(struct rf_serf_config *config, enum rf_swim_profile profile)
{
    RF_ASSERT((size_t)profile < sizeof(profiles) / sizeof(profiles[0]));
    *config = profiles[profile];
    config->members_max = RF_SERF_MEMBERS_MAX;
    config->intents_max = RF_SERF_INTENTS_MAX;
    rf_swim_config_init(&config->swim, profile);
}

int rf_serf_check_settings(const struct rf_serf_config *config, struct rf_error *err)
{
    const struct rf_setting_range ranges[] = {RF_SERF_SETTINGS(RF_SETTING_RANGE)};
    int code = rf_settings_check(ranges, sizeof(ranges) / sizeof(ranges[0]), err);
    if (code == 0 && config->reconnect_timeout_ns < config->reconnect_interval_ns) {
        /* Else failed members would be forgotten before they are called once. */
        return rf_error_set(err, -EINVAL,
                            "-reconnect-timeout-ms %llu: allowed from -reconnect-interval-ms on, "
                            "which is %llu",
                            (unsigned long long)(config->reconnect_timeout_ns / NS_PER_MS),
                            (unsigned long long)(config->reconnect_interval_ns / NS_PER_MS));
    }
    return code;
}

static int check_config(const struct rf_serf_config *config, struct rf_error *err)
{
    if (config->members_max < 2 || config->intents_max < 1) {
        return rf_error_set(err, -EINVAL, "members_max %zu, intents_max %zu: allowed from 2 and 1",
                            config->members_max, config->intents_max);
    }
    return rf_serf_check_settings(config, err);
}

int rf_serf_new(const struct rf_serf_config *config, uint64_t seed, uint64_t now_ns,
                struct rf_serf **ret_serf, struct rf_error *err)
{
    int code = check_config(config, err);
    if (code < 0) {
        return code;
    }
    struct rf_serf *serf = calloc(1, sizeof(*serf));
    if (serf == NULL) {
        return rf_error_set(err, -ENOMEM, "serf machine of %zu bytes", sizeof(*serf));
    }
    struct rf_swim_config swim_config = config->swim;
    if (config->restore != NULL && config->swim.name != NULL &&
        strcmp(config->restore->name, config->swim.name) == 0) {
        swim_config.incarnation = config->restore->incarnation;
    }
    code = rf_swim_init(&serf->swim, &swim_config, seed, now_ns, err);
    if (code < 0) {
        free(serf);
        return code;
    }
    serf->config = *config;
    serf->config.swim.name = NULL;
    serf->config.swim.meta = NULL;
    serf->config.restore = NULL;
    serf->member_time = 1;
    serf->event_time = 1;
    serf->query_time = 1;
    serf->leave_at_ns = UINT64_MAX;
    serf->forget_until_ns = UINT64_MAX;
    serf->intent_at_ns = UINT64_MAX;
    serf->resync_at_ns = UINT64_MAX;
    serf->reap_at_ns = now_ns + config->reap_interval_ns;
    serf->reconnect_at_ns = now_ns + config->reconnect_interval_ns;
    rf_serf_coordinates_init(serf);
    rf_name_table_init(&serf->members, rf_random_next(&serf->swim.random));
    rf_name_table_init(&serf->intents, rf_random_next(&serf->swim.random));
    rf_contacts_init(&serf->contacts, serf->intents.seed);
    rf_serf_begin(serf, now_ns);
    rf_serf_end(serf);
    if (rf_serf_member(serf, serf->swim.self->link.name) == NULL ||
        (config->restore != NULL && rf_serf_restore(serf, config->restore) < 0)) {
        rf_serf_free(serf);
        return rf_error_set(err, -ENOMEM, "node '%s': out of memory", config->swim.name);
    }
    *ret_serf = serf;
    return 0;
}

void rf_serf_free(struct rf_serf *serf)
{
    if (serf == NULL) {
        return;
    }
    rf_serf_members_fini(serf);
    rf_contacts_fini(&serf->contacts);
    rf_serf_events_fini(serf);
    rf_swim_fini(&serf->swim);
    rf_serf_asks_fini(serf);
    free(serf->contest.voters);
    free(serf->reply);
    free(serf);
}

/* ---- every input is handled between these two ---- */

/* Answers that wait in our sockets count, however late we are to read them. */
static void late(struct rf_serf *serf, uint64_t late_ns)
{
    if (serf->contest.is_running) {
        serf->contest.deadline_ns += late_ns;
    }
    if (serf->leave_at_ns != UINT64_MAX) {
        serf->leave_at_ns += late_ns;
    }
}

void rf_serf_begin(struct rf_serf *serf, uint64_t now_ns)
{
    RF_ASSERT(now_ns >= serf->now_ns);
    serf->now_ns = now_ns;
    late(serf, rf_swim_time(&serf->swim, now_ns));
    if (serf->swim.out.next == serf->swim.out.count && !serf->swim.out.is_lost) {
        rf_outbox_clear(&serf->swim.out);
    }
    free(serf->reply);
    serf->reply = NULL;
}

static void leave_step(struct rf_serf *serf);

void rf_serf_end(struct rf_serf *serf)
{
    rf_serf_drain(serf);
    leave_step(serf);
    rf_serf_forget_step(serf);
    rf_serf_drain(serf);
}

bool rf_serf_next(struct rf_serf *serf, struct rf_output *ret_output)
{
    return rf_outbox_next(&serf->swim.out, ret_output);
}

void rf_serf_notice(struct rf_serf *serf, enum rf_notice notice, struct rf_slice name,
                    const struct rf_address *address, const char *text)
{
    struct rf_output output = {.type = RF_OUTPUT_NOTICE,
                               .notice = notice,
                               .name = (const char *)name.data,
                               .name_size = name.size,
                               .text = text};
    if (address != NULL) {
        output.address = *address;
    }
    (void)rf_outbox_put(&serf->swim.out, &output); /* only for people */
}

void rf_serf_dropped(struct rf_serf *serf, int code)
{
    if (code == RF_EUNSUPPORTED) {
        serf->stats.serf_dropped_unknown++;
    } else if (code == RF_ELIMIT) {
        serf->stats.serf_dropped_limit++;
    } else {
        serf->stats.serf_dropped_malformed++;
    }
}

/* ---- what comes up from the SWIM machine ---- */

static void rebroadcast(struct rf_serf *serf, size_t queue_index, struct rf_slice bytes)
{
    (void)rf_swim_queue_user(&serf->swim, queue_index, bytes, RF_BROADCAST_QUIET);
    /* counted if dropped */
}

/* Only answers are relayed: anything else would be a message to our peers in our name. */
static void on_relay(struct rf_serf *serf, const struct rf_serf_relay *relay)
{
    serf->stats.relays_received++;
    if (relay->dest.ip_size == 0 || relay->dest.port == 0 || relay->message.size == 0 ||
        relay->message.size > RF_QUERY_RESPONSE_SIZE_MAX ||
        relay->message.data[0] != RF_SERF_QUERY_RESPONSE) {
        serf->stats.serf_dropped_malformed++;
        return;
    }
    if (!rf_swim_is_member_address(&serf->swim, &relay->dest)) {
        serf->swim.stats.strangers_refused++;
        return;
    }
    rf_swim_send_user(&serf->swim, &relay->dest, relay->message);
}

void rf_serf_on_user(struct rf_serf *serf, struct rf_slice bytes)
{
    struct rf_serf_message message;
    int code = rf_serf_message_decode(bytes, &message);
    if (code < 0) {
        rf_serf_dropped(serf, code);
        return;
    }
    switch (message.type) {
    case RF_SERF_LEAVE:
        serf->stats.intents_received++;
        if (rf_serf_leave_intent(serf, message.leave.ltime, message.leave.node,
                                 message.leave.prune)) {
            rebroadcast(serf, RF_QUEUE_INTENTS, bytes);
        }
        break;
    case RF_SERF_JOIN:
        serf->stats.intents_received++;
        if (rf_serf_join_intent(serf, message.join.ltime, message.join.node)) {
            rebroadcast(serf, RF_QUEUE_INTENTS, bytes);
        }
        break;
    case RF_SERF_USER_EVENT:
        serf->stats.events_received++;
        if (rf_serf_event_new(serf, message.user_event.ltime, message.user_event.name,
                              message.user_event.payload)) {
            rebroadcast(serf, RF_QUEUE_EVENTS, bytes);
        }
        break;
    case RF_SERF_QUERY:
        serf->stats.queries_received++;
        (void)rf_serf_on_query(serf, &message.query, bytes); /* others pass it on */
        break;
    case RF_SERF_QUERY_RESPONSE:
        serf->stats.responses_received++;
        rf_serf_on_response(serf, &message.query_response);
        break;
    case RF_SERF_RELAY:
        on_relay(serf, &message.relay);
        break;
    case RF_SERF_PUSH_PULL:
    case RF_SERF_CONFLICT_RESPONSE:
    case RF_SERF_KEY_REQUEST:
    case RF_SERF_KEY_RESPONSE:
        serf->stats.serf_dropped_unknown++; /* not valid as a message of its own */
        break;
    }
}

static void on_node(struct rf_serf *serf, const struct rf_output *up)
{
    struct rf_slice name = rf_slice(up->name, up->name_size);
    const struct rf_node *node = rf_node_table_find(&serf->swim.nodes, name);
    if (up->type == RF_OUTPUT_NODE_LEAVE) {
        rf_serf_on_leave(serf, name);
    } else if (node != NULL && up->type == RF_OUTPUT_NODE_JOIN) {
        rf_serf_on_join(serf, node);
    } else if (node != NULL) {
        rf_serf_on_update(serf, node);
    }
}

static void on_swim_left(struct rf_serf *serf)
{
    if (serf->leave_step == RF_LEAVE_SWIM) {
        serf->leave_step = RF_LEAVE_PROPAGATE;
        serf->leave_at_ns = serf->now_ns + serf->config.leave_propagate_ns;
    }
}

/* Nothing that is called here puts anything into `up`, so its bytes stay where they are. */
void rf_serf_drain(struct rf_serf *serf)
{
    struct rf_outbox *outbox = &serf->swim.up;
    if (outbox->count == 0 && !outbox->is_lost) {
        return;
    }
    struct rf_output up;
    while (rf_outbox_next(outbox, &up)) {
        switch (up.type) {
        case RF_OUTPUT_NODE_JOIN:
        case RF_OUTPUT_NODE_LEAVE:
        case RF_OUTPUT_NODE_UPDATE:
            on_node(serf, &up);
            break;
        case RF_OUTPUT_NODE_CONFLICT:
            rf_serf_on_conflict(serf, rf_slice(up.name, up.name_size), &up.address);
            break;
        case RF_OUTPUT_NODE_ACK:
            rf_serf_on_ack(serf, &up);
            break;
        case RF_OUTPUT_USER_MESSAGE:
            rf_serf_on_user(serf, rf_slice(up.bytes, up.bytes_size));
            break;
        case RF_OUTPUT_SWIM_LEFT:
            on_swim_left(serf);
            break;
        case RF_OUTPUT_PUSH_PULL_OPEN:
            rf_serf_on_push_pull_open(serf, &up);
            break;
        case RF_OUTPUT_NOTICE:
            (void)rf_outbox_put(&serf->swim.out, &up); /* only for people */
            break;
        case RF_OUTPUT_RESYNC:
            rf_serf_resync_nodes(serf);
            break;
        case RF_OUTPUT_PACKET:
        case RF_OUTPUT_EXCHANGE:
        case RF_OUTPUT_MEMBER:
        case RF_OUTPUT_JOIN_RESULT:
        case RF_OUTPUT_LEFT:
        case RF_OUTPUT_NAME_LOST:
        case RF_OUTPUT_KEY_REQUEST:
        case RF_OUTPUT_ANSWER:
        case RF_OUTPUT_ASK_DONE:
            RF_ASSERT(!"the SWIM machine sends no such thing up");
            break;
        }
    }
    rf_outbox_clear(outbox);
}

/* ---- inputs ---- */

void rf_serf_packet_begin(struct rf_serf *serf, size_t size)
{
    rf_swim_packet_begin(&serf->swim, size);
}

void rf_serf_receive(struct rf_serf *serf, uint64_t now_ns, const struct rf_address *from,
                     const uint8_t *data, size_t size)
{
    rf_serf_begin(serf, now_ns);
    rf_swim_receive(&serf->swim, now_ns, from, rf_slice(data, size));
    rf_serf_end(serf);
}

/* Once a minute: which limits have turned something away since the last time. */
static void limits_tick(struct rf_serf *serf)
{
    if (serf->now_ns < serf->limits_at_ns) {
        return;
    }
    serf->limits_at_ns = serf->now_ns + 60 * NS_PER_S;
    struct rf_swim_stats swim;
    rf_swim_get_stats(&serf->swim, &swim);
    const struct {
        const char *what;
        uint64_t count;
    } limits[] = {
        {"alive messages of new nodes, the node table being full", swim.dropped_nodes_max},
        {"pings on behalf of others, too many being in flight", swim.dropped_relays_max},
        {"messages that were to be gossiped, a queue being full or memory short",
         swim.broadcasts_dropped},
        {"members, intents or events, their buffers being full", serf->stats.serf_dropped_limit},
    };
    static_assert(sizeof(limits) / sizeof(limits[0]) ==
                      sizeof(serf->limits_seen) / sizeof(serf->limits_seen[0]),
                  "one place for each");
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        uint64_t dropped = limits[i].count - serf->limits_seen[i];
        serf->limits_seen[i] = limits[i].count;
        if (dropped > 0) {
            struct rf_error text = {0};
            (void)rf_error_set(&text, RF_ELIMIT, "dropped %llu %s", (unsigned long long)dropped,
                               limits[i].what);
            rf_serf_notice(serf, RF_NOTICE_LIMIT, rf_slice(NULL, 0), NULL, text.text);
        }
    }
}

void rf_serf_tick(struct rf_serf *serf, uint64_t now_ns)
{
    rf_serf_begin(serf, now_ns);
    rf_swim_tick(&serf->swim, now_ns);
    rf_serf_drain(serf);
    rf_serf_exchanges_tick(serf);
    rf_serf_contest_tick(serf);
    rf_serf_asks_tick(serf);
    rf_serf_members_tick(serf);
    limits_tick(serf);
    rf_serf_end(serf);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t rf_serf_deadline_ns(const struct rf_serf *serf)
{
    uint64_t deadline_ns = rf_swim_deadline_ns(&serf->swim);
    deadline_ns = earlier(deadline_ns, serf->leave_at_ns);
    deadline_ns = earlier(deadline_ns, serf->forget_until_ns);
    deadline_ns = earlier(deadline_ns, serf->intent_at_ns);
    deadline_ns = earlier(deadline_ns, serf->resync_at_ns);
    deadline_ns = earlier(deadline_ns, serf->reap_at_ns);
    deadline_ns = earlier(deadline_ns, serf->reconnect_at_ns);
    deadline_ns = earlier(deadline_ns, rf_serf_asks_deadline_ns(serf));
    return serf->contest.is_running ? earlier(deadline_ns, serf->contest.deadline_ns) : deadline_ns;
}

int rf_serf_set_meta(struct rf_serf *serf, uint64_t now_ns, const uint8_t *meta, size_t meta_size,
                     struct rf_error *err)
{
    if (meta_size > RF_META_SIZE_MAX) {
        return rf_error_set(err, -EINVAL, "metadata of %zu bytes, allowed %d", meta_size,
                            RF_META_SIZE_MAX);
    }
    if (serf->leave_step != RF_LEAVE_NOT) {
        return rf_error_set(err, -ESHUTDOWN, "metadata: this node is leaving");
    }
    const struct rf_node *self = serf->swim.self;
    if (rf_slice_equal(rf_slice(meta, meta_size), rf_slice(self->meta, self->meta_size))) {
        return 0;
    }
    rf_serf_begin(serf, now_ns);
    int code = rf_swim_update(&serf->swim, now_ns, rf_slice(meta, meta_size));
    rf_serf_end(serf);
    if (code < 0) {
        return rf_error_set(err, code, "metadata of %zu bytes: %s", meta_size, rf_strerror(code));
    }
    return 0;
}

/* ---- 26.1 ---- */

size_t rf_serf_others_alive(const struct rf_serf *serf)
{
    size_t alive = serf->status_counts[RF_SERF_ALIVE];
    const struct rf_member_entry *self = rf_serf_member(serf, serf->swim.self->link.name);
    return alive - (self != NULL && self->status == RF_SERF_ALIVE);
}

static void leave_swim(struct rf_serf *serf)
{
    serf->leave_step = RF_LEAVE_SWIM;
    serf->leave_at_ns = UINT64_MAX; /* the SWIM machine keeps the time of this step */
    rf_swim_leave(&serf->swim, serf->now_ns, serf->config.broadcast_timeout_ns);
}

/* Goes on to the next step of leaving if this one is over. */
static void leave_step(struct rf_serf *serf)
{
    if (serf->leave_step == RF_LEAVE_INTENT &&
        (rf_broadcast_finished(&serf->swim.user_queues[RF_QUEUE_INTENTS], RF_BROADCAST_LEAVE) ||
         serf->leave_at_ns <= serf->now_ns)) {
        leave_swim(serf);
    } else if (serf->leave_step == RF_LEAVE_PROPAGATE && serf->leave_at_ns <= serf->now_ns) {
        serf->leave_step = RF_LEAVE_DONE;
        serf->leave_at_ns = UINT64_MAX;
        struct rf_output output = {.type = RF_OUTPUT_LEFT};
        if (!rf_outbox_put(&serf->swim.out, &output)) {
            serf->leave_step = RF_LEAVE_PROPAGATE; /* with the next input */
            serf->leave_at_ns = serf->now_ns + 1;
        }
    }
}

bool rf_serf_queue_intent(struct rf_serf *serf, const struct rf_serf_message *message,
                          enum rf_broadcast_notice notice)
{
    uint8_t bytes[512]; /* a name of 255 bytes and three fields */
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    int size = rf_serf_message_encode(message, &packer);
    RF_ASSERT(size > 0);
    return rf_swim_queue_user(&serf->swim, RF_QUEUE_INTENTS, rf_packer_slice(&packer), notice);
}

/*
 * Queues our last intent. Others would hear of a join by push/pulls, but who has been told that we
 * leave may have forgotten us until then; and of a leave they would hear from nobody. So where
 * memory is short it is tried again.
 */
void rf_serf_spread_own_intent(struct rf_serf *serf)
{
    const struct rf_member_entry *self = rf_serf_member(serf, serf->swim.self->link.name);
    struct rf_serf_message message = {
        .type = RF_SERF_JOIN, .join = {.ltime = self->status_ltime, .node = self->link.name}};
    if (serf->leave_step != RF_LEAVE_NOT) {
        message = (struct rf_serf_message){
            .type = RF_SERF_LEAVE, .leave = {.ltime = self->status_ltime, .node = self->link.name}};
    }
    bool is_queued = rf_serf_queue_intent(serf, &message,
                                          serf->leave_step == RF_LEAVE_INTENT ? RF_BROADCAST_LEAVE
                                                                              : RF_BROADCAST_QUIET);
    serf->intent_at_ns =
        is_queued ? UINT64_MAX : serf->now_ns + serf->config.swim.gossip_interval_ns;
}

void rf_serf_announce_leave(struct rf_serf *serf)
{
    uint64_t ltime = serf->member_time;
    rf_clock_increment(&serf->member_time);
    struct rf_slice name = serf->swim.self->link.name;
    (void)rf_serf_leave_intent(serf, ltime, name, false); /* broadcast here, with a notice */
    if (rf_serf_others_alive(serf) > 0) {                 /* there is somebody to be told */
        rf_serf_spread_own_intent(serf);
    }
}

int rf_serf_leave(struct rf_serf *serf, uint64_t now_ns, struct rf_error *err)
{
    if (serf->leave_step == RF_LEAVE_DONE) {
        return 0;
    }
    if (serf->leave_step != RF_LEAVE_NOT) {
        return rf_error_set(err, -EALREADY, "this node is leaving already");
    }
    rf_serf_begin(serf, now_ns);
    serf->leave_step = RF_LEAVE_INTENT;
    rf_serf_announce_leave(serf);
    if (rf_serf_others_alive(serf) > 0) {
        serf->leave_at_ns = now_ns + serf->config.broadcast_timeout_ns;
    } else {
        leave_swim(serf);
    }
    rf_serf_end(serf);
    return 0;
}

/* ---- statistics and checks ---- */

void rf_serf_get_stats(const struct rf_serf *serf, struct rf_serf_stats *ret_stats)
{
    *ret_stats = serf->stats;
    rf_swim_get_stats(&serf->swim, &ret_stats->swim);
    ret_stats->members = serf->members.count;
    ret_stats->coordinate_updates = serf->vivaldi.updates_count;
    ret_stats->coordinate_resets = serf->vivaldi.resets_count;
    ret_stats->members_failed = serf->status_counts[RF_SERF_FAILED];
    ret_stats->members_left = serf->status_counts[RF_SERF_LEFT];
    ret_stats->contacts = serf->contacts.count;
    ret_stats->intents = serf->intents.count;
    ret_stats->intent_queue_depth = serf->swim.user_queues[RF_QUEUE_INTENTS].count;
    ret_stats->query_queue_depth = serf->swim.user_queues[RF_QUEUE_QUERIES].count;
    ret_stats->event_queue_depth = serf->swim.user_queues[RF_QUEUE_EVENTS].count;
    ret_stats->event_bytes = serf->event_bytes;
    ret_stats->queries_kept = rf_serf_queries_kept(serf);
    ret_stats->member_time = serf->member_time;
    ret_stats->event_time = serf->event_time;
    ret_stats->query_time = serf->query_time;
}

void rf_serf_check(const struct rf_serf *serf)
{
    rf_swim_check(&serf->swim);
    rf_serf_members_check(serf);
    rf_serf_contacts_check(serf);
    rf_serf_events_check(serf);
    rf_serf_asks_check(serf);
    RF_ASSERT(serf->swim.up.count == 0);
    RF_ASSERT((serf->contest.voters != NULL) == serf->contest.is_running);
    RF_ASSERT(serf->swim.is_leaving == (serf->leave_step >= RF_LEAVE_SWIM));
}
