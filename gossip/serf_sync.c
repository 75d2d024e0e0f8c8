/* SPDX-License-Identifier: MIT
 *
 * serf_sync.c - streams: push/pulls with Serf's state in them (rule 20), joining (rule 15), pings.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/assert.h"
#include "core/text.h"
#include "gossip/serf_private.h"

/* ---- our state (rule 20) ---- */

static void pack_events(const struct rf_serf *serf, struct rf_serf_push_pull_writer *writer)
{
    for (size_t i = 0; i < RF_SERF_EVENT_SLOTS && serf->event_slots != NULL; i++) {
        const struct rf_event_slot *slot = &serf->event_slots[i];
        if (slot->first == NULL) {
            continue; /* empty ones need not be sent as nil */
        }
        rf_serf_push_pull_slot(writer, slot->ltime, slot->count);
        for (const struct rf_event *event = slot->first; event != NULL; event = event->next) {
            rf_serf_push_pull_event(writer, rf_slice(event->bytes, event->name_size),
                                    rf_slice(event->bytes + event->name_size, event->payload_size));
        }
    }
}

static uint32_t used_slots(const struct rf_serf *serf)
{
    uint32_t count = 0;
    for (size_t i = 0; i < RF_SERF_EVENT_SLOTS && serf->event_slots != NULL; i++) {
        count += serf->event_slots[i].first != NULL;
    }
    return count;
}

/*
 * Ours, not serf's. Who merges this takes it as the time of a join (rule 20.3). Of a member that is
 * leaving it is the time of its leave, and as a join it would make that very leave, still on its
 * way there, look old: the member would then be seen to fail. A leave that takes longer than any
 * can is one that the member has not sent, made of an old tombstone: told as it is, it comes to the
 * member, which then sees that it is outbid.
 */
static uint64_t status_ltime_told(const struct rf_serf *serf, const struct rf_member_entry *member)
{
    uint64_t leave_max_ns =
        2 * serf->config.broadcast_timeout_ns + 2 * serf->config.leave_propagate_ns;
    bool is_leaving = member->status == RF_SERF_LEAVING && member->status_ltime > 0 &&
                      serf->now_ns - member->leaving_ns <= leave_max_ns;
    return member->status_ltime - is_leaving;
}

/*
 * Ours, not serf's: a member that has left and announced a join since is not told as left. It would
 * be taken for a leave after the join (rule 20.2), and there the member would be leaving for good.
 */
static int pack_state(const struct rf_serf *serf, struct rf_packer *packer)
{
    struct rf_serf_push_pull_writer writer;
    rf_serf_push_pull_begin(&writer, packer, serf->member_time, serf->event_time, serf->query_time,
                            used_slots(serf));
    pack_events(serf, &writer);
    uint32_t left_count = 0;
    for (size_t i = 0; i < serf->members.count; i++) {
        left_count += rf_member_entry_has_left(serf->members_list[i]);
    }
    rf_serf_push_pull_left_members(&writer, left_count);
    for (size_t i = 0; i < serf->members.count && left_count > 0; i++) {
        if (rf_member_entry_has_left(serf->members_list[i])) {
            rf_serf_push_pull_left_member(&writer, serf->members_list[i]->link.name);
        }
    }
    rf_serf_push_pull_status_ltimes(&writer, (uint32_t)serf->members.count);
    for (size_t i = 0; i < serf->members.count; i++) {
        const struct rf_member_entry *member = serf->members_list[i];
        rf_serf_push_pull_status_ltime(&writer, member->link.name, status_ltime_told(serf, member));
    }
    return rf_serf_push_pull_end(&writer);
}

/*
 * The whole push/pull message, in memory of its own. The body's size is counted first, then the
 * whole is written in one piece: nodes, then the body.
 */
static int make_push_pull(struct rf_serf *serf, bool join, uint8_t **ret_bytes, size_t *ret_size)
{
    struct rf_packer counter = rf_packer_counting();
    int state_size = pack_state(serf, &counter);
    if (state_size < 0 || state_size > RF_USER_STATE_SIZE_MAX) {
        serf->stats.serf_dropped_limit++;
        return RF_ELIMIT;
    }
    uint8_t *state = malloc((size_t)state_size);
    if (state == NULL) {
        goto fail;
    }
    struct rf_packer packer = rf_packer(state, (size_t)state_size);
    int code = pack_state(serf, &packer);
    RF_ASSERT(code == state_size);

    counter = rf_packer_counting();
    code = rf_swim_state_encode(&serf->swim, join, rf_packer_slice(&packer), &counter);
    RF_ASSERT(code > 0);
    uint8_t *bytes = malloc((size_t)code);
    if (bytes == NULL) {
        goto fail;
    }
    struct rf_packer whole = rf_packer(bytes, (size_t)code);
    int size = rf_swim_state_encode(&serf->swim, join, rf_packer_slice(&packer), &whole);
    RF_ASSERT(size == code);
    free(state);
    *ret_bytes = bytes;
    *ret_size = (size_t)size;
    return 0;
fail:
    free(state);
    serf->stats.serf_dropped_memory++;
    return -ENOMEM;
}

/* ---- the state of another (rule 20) ---- */

struct left_name {
    struct rf_name_link link; /* first */
    uint64_t ltime;
};

/*
 * Collects the names on the other's left list, for they are looked up for every entry of its time
 * table, and neither list can be trusted to be short. False: out of memory. `ret_names` is to be
 * freed in any case.
 */
static bool collect_left(struct rf_slice left_members, struct rf_name_table *table,
                         struct left_name **ret_names, size_t *ret_count)
{
    struct rf_cursor cursor = rf_cursor_array(left_members);
    struct left_name *names = cursor.left == 0 ? NULL : calloc(cursor.left, sizeof(*names));
    bool is_whole = names != NULL || cursor.left == 0;
    size_t count = 0;
    struct rf_slice name;
    while (names != NULL && is_whole && rf_cursor_next_raw(&cursor, &name)) {
        names[count].link.name = name;
        if (rf_name_table_find(table, name) == NULL) {
            is_whole = rf_name_table_insert(table, &names[count].link);
            count++;
        }
    }
    *ret_names = names;
    *ret_count = count;
    return is_whole;
}

/*
 * 20.2, except for members that have left here too: their times would grow by one with every
 * push/pull, up to where a node that returns cannot outbid them.
 */
static void merge_left(struct rf_serf *serf, const struct left_name *left)
{
    const struct rf_member_entry *member = rf_serf_member(serf, left->link.name);
    if (member == NULL || member->status != RF_SERF_LEFT) {
        uint64_t after = left->ltime == UINT64_MAX ? UINT64_MAX : left->ltime + 1;
        (void)rf_serf_leave_intent(serf, after, left->link.name, false);
        /* nothing is rebroadcast as the result of a merge */
    }
}

/*
 * Ours, not serf's: the other knows of a time of ours that is later than our last join intent, so
 * somewhere a leave of ours counts that was made of an old tombstone, and nobody else would ever
 * contradict it.
 */
static bool is_outbid(const struct rf_serf *serf, struct rf_slice name, uint64_t ltime)
{
    const struct rf_member_entry *self = rf_serf_member(serf, serf->swim.self->link.name);
    return serf->leave_step == RF_LEAVE_NOT && rf_slice_equal(name, self->link.name) &&
           ltime > self->status_ltime && !rf_ltime_is_absurd(serf->member_time, ltime);
}

static void merge_intents(struct rf_serf *serf, struct rf_slice status_ltimes,
                          const struct rf_name_table *left_table, const struct left_name *left,
                          size_t left_count)
{
    struct rf_slice name;
    uint64_t ltime;
    struct rf_cursor cursor = rf_cursor_map(status_ltimes);
    while (left_count > 0 && rf_cursor_next_uint(&cursor, &name, &ltime)) {
        struct left_name *entry = (struct left_name *)rf_name_table_find(left_table, name);
        if (entry != NULL) {
            entry->ltime = ltime;
        }
    }
    for (size_t i = 0; i < left_count; i++) {
        merge_left(serf, &left[i]);
    }
    bool has_been_outbid = false;
    cursor = rf_cursor_map(status_ltimes);
    while (rf_cursor_next_uint(&cursor, &name, &ltime)) {
        if (rf_name_table_find(left_table, name) == NULL) {
            has_been_outbid = has_been_outbid || is_outbid(serf, name, ltime);
            (void)rf_serf_join_intent(serf, ltime, name); /* not rebroadcast, as above */
        }
    }
    if (has_been_outbid) {
        rf_serf_announce_join(serf);
    }
}

static void merge_members(struct rf_serf *serf, const struct rf_serf_push_pull *state)
{
    /* Else what the other says would take ten times its size, and seconds. */
    if (rf_cursor_array(state->left_members).left > serf->config.members_max) {
        serf->stats.serf_dropped_limit++;
        return;
    }
    struct rf_name_table table;
    rf_name_table_init(&table, serf->members.seed);
    struct left_name *left = NULL;
    size_t left_count = 0;
    if (collect_left(state->left_members, &table, &left, &left_count)) {
        merge_intents(serf, state->status_ltimes, &table, left, left_count);
    } else { /* half a list, and the others' leaves would count as joins */
        serf->stats.serf_dropped_memory++;
    }
    rf_name_table_fini(&table);
    free(left);
}

static void merge_clock(struct rf_serf *serf, uint64_t *clock, uint64_t ltime)
{
    if (ltime == 0) {
        return;
    }
    if (rf_ltime_is_absurd(*clock, ltime - 1)) {
        serf->stats.serf_dropped_absurd++;
        return;
    }
    rf_clock_witness(clock, ltime - 1);
}

/* No more than the buffer holds: each is compared with those of its time. */
static void merge_events(struct rf_serf *serf, struct rf_slice encoded)
{
    uint32_t events_left = RF_SERF_EVENT_SLOTS * RF_SERF_SLOT_EVENTS_MAX;
    struct rf_cursor slots = rf_cursor_array(encoded);
    struct rf_serf_event_slot slot;
    while (rf_serf_next_event_slot(&slots, &slot, NULL)) {
        struct rf_cursor events = rf_cursor_array(slot.events);
        struct rf_slice name;
        struct rf_slice payload;
        while (rf_serf_next_event(&events, &name, &payload)) {
            if (events_left == 0) {
                serf->stats.serf_dropped_limit++;
                return;
            }
            events_left--;
            (void)rf_serf_event_new(serf, slot.ltime, name, payload);
        }
    }
}

static void merge_state(struct rf_serf *serf, struct rf_slice user_state)
{
    if (user_state.size == 0) {
        return; /* a peer without Serf's state is tolerated */
    }
    struct rf_serf_message message;
    int code = rf_serf_message_decode(user_state, &message);
    if (code < 0 || message.type != RF_SERF_PUSH_PULL) {
        rf_serf_dropped(serf, code < 0 ? code : RF_EUNSUPPORTED);
        return;
    }
    const struct rf_serf_push_pull *state = &message.push_pull;
    merge_clock(serf, &serf->member_time, state->ltime);
    merge_clock(serf, &serf->event_time, state->event_ltime);
    merge_clock(serf, &serf->query_time, state->query_ltime);
    merge_members(serf, state);
    merge_events(serf, state->events);
}

/* Nodes first, then the state, which is about their members. */
static int merge(struct rf_serf *serf, const struct rf_stream_message *message,
                 struct rf_error *err)
{
    int code = rf_swim_merge(&serf->swim, serf->now_ns, message, err);
    if (code < 0) {
        return code;
    }
    rf_serf_drain(serf);
    merge_state(serf, message->push_pull.user_state);
    return 0;
}

/* ---- accepted streams ---- */

static bool set_reply(struct rf_serf *serf, uint8_t *bytes, size_t size, const uint8_t **ret_reply,
                      size_t *ret_reply_size)
{
    serf->reply = bytes;
    *ret_reply = bytes;
    *ret_reply_size = size;
    return true;
}

static bool accept_push_pull(struct rf_serf *serf, const struct rf_stream_message *message,
                             const uint8_t **ret_reply, size_t *ret_reply_size)
{
    /* The state as it was before merging: the other merges it too, and both end up equal. */
    uint8_t *bytes = NULL;
    size_t size = 0;
    int code = make_push_pull(serf, message->push_pull.header.join, &bytes, &size);
    struct rf_error err = {0};
    if (merge(serf, message, &err) < 0) {
        rf_text_clean(err.text); /* it names a node */
        rf_serf_notice(serf, RF_NOTICE_PUSH_PULL_FAIL, rf_slice(NULL, 0), NULL, err.text);
    }
    return code == 0 && set_reply(serf, bytes, size, ret_reply, ret_reply_size);
}

static bool accept_ping(struct rf_serf *serf, const struct rf_ping *ping, const uint8_t **ret_reply,
                        size_t *ret_reply_size)
{
    enum { ACK_SIZE_MAX = 64 };
    serf->swim.stats.pings_received++;
    if (ping->node.size > 0 && !rf_slice_equal(ping->node, serf->swim.self->link.name)) {
        return false;
    }
    uint8_t *bytes = malloc(ACK_SIZE_MAX);
    if (bytes == NULL) {
        serf->stats.serf_dropped_memory++;
        return false;
    }
    struct rf_packer packer = rf_packer(bytes, ACK_SIZE_MAX);
    struct rf_message ack = {.type = RF_MESSAGE_ACK, .ack = {.seq_no = ping->seq_no}};
    int size = rf_message_encode(&ack, &packer);
    RF_ASSERT(size > 0);
    return set_reply(serf, bytes, (size_t)size, ret_reply, ret_reply_size);
}

bool rf_serf_accept(struct rf_serf *serf, uint64_t now_ns, const struct rf_address *from,
                    const struct rf_stream_message *message, const uint8_t **ret_reply,
                    size_t *ret_reply_size)
{
    rf_serf_begin(serf, now_ns);
    bool has_reply = false;
    if (message->type == RF_MESSAGE_PUSH_PULL) {
        has_reply = accept_push_pull(serf, message, ret_reply, ret_reply_size);
    } else if (message->type == RF_MESSAGE_PING) {
        has_reply = accept_ping(serf, &message->ping, ret_reply, ret_reply_size);
    } else if (message->type == RF_MESSAGE_USER) {
        serf->swim.stats.users_received++;
        rf_serf_on_user(serf, message->user);
    } else {
        serf->stats.serf_dropped_unknown++;
    }
    (void)from; /* names and addresses come from the messages */
    rf_serf_end(serf);
    return has_reply;
}

/* ---- exchanges of our own ---- */

void rf_serf_on_push_pull_open(struct rf_serf *serf, const struct rf_output *open)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (make_push_pull(serf, open->join, &bytes, &size) < 0) {
        return; /* it runs into its deadline and is reported then */
    }
    struct rf_output output = *open;
    output.type = RF_OUTPUT_EXCHANGE;
    output.bytes = bytes;
    output.bytes_size = size;
    (void)rf_outbox_put(&serf->swim.out, &output); /* likewise */
    free(bytes);
}

static uint32_t join_pending(const struct rf_serf *serf, uint64_t join_id)
{
    uint32_t count = 0;
    for (size_t i = 0; i < RF_SWIM_EXCHANGES_MAX; i++) {
        const struct rf_swim_exchange *exchange = &serf->swim.exchanges[i];
        count += exchange->purpose == RF_EXCHANGE_JOIN && exchange->join_id == join_id;
    }
    return count;
}

/*
 * A join that we began before we left may end now. A join intent would take our leave back, and who
 * was joined may not have heard of it, or knows of later times of ours.
 */
static void announce(struct rf_serf *serf)
{
    if (serf->leave_step == RF_LEAVE_NOT) {
        rf_serf_announce_join(serf);
    } else {
        rf_serf_announce_leave(serf);
    }
}

static void push_pull_done(struct rf_serf *serf, const struct rf_swim_exchange *exchange, int code,
                           const char *text)
{
    if (code < 0) {
        serf->swim.stats.push_pulls_failed++;
    }
    if (exchange->purpose == RF_EXCHANGE_JOIN) {
        if (code == 0) {
            serf->stats.joins_done++;
            announce(serf);
            rf_swim_catch_up(&serf->swim, serf->now_ns, false);
        }
        struct rf_output output = {.type = RF_OUTPUT_JOIN_RESULT,
                                   .address = exchange->address,
                                   .text = text,
                                   .join_id = exchange->join_id,
                                   .code = code,
                                   .pending_count = join_pending(serf, exchange->join_id)};
        (void)rf_outbox_put(&serf->swim.out, &output); /* lost: a resync follows */
    } else if (code == 0 && exchange->purpose == RF_EXCHANGE_RECONNECT) {
        rf_swim_catch_up(&serf->swim, serf->now_ns, false); /* a cut may have healed */
    } else if (code < 0) {
        rf_serf_notice(serf, RF_NOTICE_PUSH_PULL_FAIL, rf_slice(NULL, 0), &exchange->address, text);
    }
}

static void exchange_done(struct rf_serf *serf, uint64_t exchange_id, int code, const char *text,
                          const struct rf_stream_message *reply)
{
    struct rf_swim_exchange exchange;
    bool is_ack = code == 0 && reply != NULL && reply->type == RF_MESSAGE_ACK;
    if (is_ack) {
        rf_swim_ping_acked(&serf->swim, exchange_id, reply->ack.seq_no);
    }
    rf_swim_claims_heard(&serf->swim, serf->now_ns, exchange_id,
                         is_ack || code < 0 ? code : RF_EMALFORMED);
    if (!rf_swim_exchange_take(&serf->swim, exchange_id, &exchange) ||
        exchange.purpose == RF_EXCHANGE_PING) {
        return;
    }
    struct rf_error err = {0};
    if (code == 0 && reply != NULL && reply->type == RF_MESSAGE_PUSH_PULL) {
        serf->swim.speaker = exchange.address;
        code = merge(serf, reply, &err);
        serf->swim.speaker = (struct rf_address){0};
    } else if (code == 0 && reply != NULL && reply->type == RF_MESSAGE_ERR) {
        code = rf_error_set(&err, RF_EUNAVAILABLE, "the peer answered: %.*s",
                            (int)(reply->err.error.size < 200 ? reply->err.error.size : 200),
                            (const char *)reply->err.error.data);
    } else if (code == 0) {
        code = rf_error_set(&err, RF_EMALFORMED, "a reply that is no push/pull");
    } else {
        (void)rf_error_set(&err, code, "%s", text != NULL ? text : rf_strerror(code));
    }
    rf_text_clean(err.text); /* it may hold what the peer has written */
    push_pull_done(serf, &exchange, code, code == 0 ? NULL : err.text);
}

void rf_serf_exchange_done(struct rf_serf *serf, uint64_t now_ns, uint64_t exchange_id, int code,
                           const char *text, const struct rf_stream_message *reply)
{
    rf_serf_begin(serf, now_ns);
    exchange_done(serf, exchange_id, code, text, reply);
    rf_serf_end(serf);
}

void rf_serf_exchanges_tick(struct rf_serf *serf)
{
    for (;;) {
        uint64_t exchange_id = rf_swim_exchange_expired(&serf->swim, serf->now_ns);
        if (exchange_id == 0) {
            return;
        }
        exchange_done(serf, exchange_id, -ETIMEDOUT, "no reply in time", NULL);
    }
}

int rf_serf_join(struct rf_serf *serf, uint64_t now_ns, const struct rf_address *addresses,
                 size_t addresses_count, uint64_t *ret_join_id, struct rf_error *err)
{
    if (addresses_count == 0) {
        return rf_error_set(err, -EINVAL, "join: no address");
    }
    if (addresses_count > RF_SERF_JOIN_ADDRESSES_MAX) {
        return rf_error_set(err, RF_ELIMIT, "join: %zu addresses at once, allowed %d",
                            addresses_count, RF_SERF_JOIN_ADDRESSES_MAX);
    }
    for (size_t i = 0; i < addresses_count; i++) {
        if (addresses[i].ip_size == 0 || addresses[i].port == 0) {
            char text[RF_ADDRESS_TEXT_SIZE];
            return rf_error_set(err, -EINVAL, "join: address %s has no ip or no port",
                                rf_address_format(&addresses[i], text));
        }
    }
    if (serf->leave_step != RF_LEAVE_NOT) {
        return rf_error_set(err, -ESHUTDOWN, "join: this node is leaving");
    }
    /* Two places stay free for what the node does by itself: a TCP ping and a push/pull. */
    if (serf->swim.exchanges_count + addresses_count + 2 > RF_SWIM_EXCHANGES_MAX) {
        return rf_error_set(err, RF_ELIMIT, "join: %zu streams are open, allowed %d",
                            serf->swim.exchanges_count, RF_SWIM_EXCHANGES_MAX - 2);
    }
    rf_serf_begin(serf, now_ns);
    serf->join_id++;
    for (size_t i = 0; i < addresses_count; i++) {
        uint64_t exchange_id =
            rf_swim_push_pull(&serf->swim, now_ns, &addresses[i], RF_EXCHANGE_JOIN, serf->join_id);
        RF_ASSERT(exchange_id != 0);
    }
    rf_serf_end(serf);
    *ret_join_id = serf->join_id;
    return 0;
}
