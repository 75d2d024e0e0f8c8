/* SPDX-License-Identifier: MIT
 *
 * serf_query.c - answering queries (rules 22, 23), and whose our name is (rule 27.3). Keys are in
 * serf_keys.c, other queries of our own in serf_ask.c.
 */
#include <stdlib.h>

#include "core/assert.h"
#include "gossip/serf_private.h"

#define NS_PER_S UINT64_C(1000000000)

enum {
    RELAYS_MAX = RF_SWIM_GOSSIP_NODES_MAX, /* a query may ask for 255: too good an amplifier */
    CONFLICT_NOTICE_S = 10,                /* between notices: conflicts come with every gossip */
    QUERY_TIMEOUT_MULT = 16,               /* serf's QueryTimeoutMult */
};

/* ---- responding (22.4, 22.5) ---- */

static bool is_relay(const struct rf_node *node, const void *context)
{
    return rf_node_is_alive_other(node, context) && node->vsn[RF_VSN_PMAX] >= 5;
}

static void relay_response(struct rf_serf *serf, const struct rf_serf_query *query,
                           struct rf_slice response)
{
    if (query->relay_factor == 0 || serf->members.count < (size_t)query->relay_factor + 1) {
        return;
    }
    uint8_t bytes[RF_QUERY_RESPONSE_SIZE_MAX];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_serf_message message = {
        .type = RF_SERF_RELAY,
        .relay = {.dest = query->address, .dest_name = query->source_node, .message = response}};
    if (rf_serf_message_encode(&message, &packer) < 0) {
        return; /* too large to be relayed; the direct one has been sent */
    }
    size_t wanted = query->relay_factor < RELAYS_MAX ? query->relay_factor : RELAYS_MAX;
    struct rf_node *relays[RELAYS_MAX];
    size_t relays_count = rf_node_table_pick(&serf->swim.nodes, &serf->swim.random, is_relay,
                                             serf->swim.self, relays, wanted);
    for (size_t i = 0; i < relays_count; i++) {
        rf_swim_send_user(&serf->swim, &relays[i]->address, rf_packer_slice(&packer));
    }
}

int rf_serf_respond(struct rf_serf *serf, const struct rf_serf_query *query, uint32_t flags,
                    struct rf_slice payload)
{
    if (query->address.ip_size == 0 || query->address.port == 0) {
        serf->stats.serf_dropped_malformed++;
        return 0;
    }
    if (!rf_swim_is_member_address(&serf->swim, &query->address)) {
        serf->swim.stats.strangers_refused++; /* else one query makes all of us answer a victim */
        return 0;
    }
    uint8_t bytes[RF_QUERY_RESPONSE_SIZE_MAX];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_serf_message message = {.type = RF_SERF_QUERY_RESPONSE,
                                      .query_response = {.ltime = query->ltime,
                                                         .id = query->id,
                                                         .from = serf->swim.self->link.name,
                                                         .flags = flags,
                                                         .payload = payload}};
    int size = rf_serf_message_encode(&message, &packer);
    if (size < 0) {
        return size;
    }
    /* Our own query: what we answer need not go out and come back, and is not lost that way. */
    if (rf_slice_equal(query->source_node, serf->swim.self->link.name) &&
        rf_serf_is_asking(serf, query->ltime, query->id)) {
        rf_serf_on_response(serf, &message.query_response);
        return 0;
    }
    rf_swim_send_user(&serf->swim, &query->address, rf_packer_slice(&packer));
    relay_response(serf, query, rf_packer_slice(&packer));
    return 0;
}

static void respond(struct rf_serf *serf, const struct rf_serf_query *query, uint32_t flags,
                    struct rf_slice payload)
{
    if (rf_serf_respond(serf, query, flags, payload) < 0) {
        serf->stats.serf_dropped_limit++;
    }
}

/* ---- internal queries (23) ---- */

/* The map of tags behind a Meta, as a conflict response carries it; `packer` is for a bare role. */
static struct rf_slice tags_of(struct rf_slice meta, struct rf_packer *packer)
{
    if (meta.size > 0 && meta.data[0] == 0xff && rf_tags_check(meta) == 0) {
        struct rf_unpacker unpacker = rf_unpacker(rf_slice_after(meta, 1));
        if (rf_unpack_skip(&unpacker) == 0) { /* bytes behind the map stay out */
            return rf_slice(unpacker.data, unpacker.offset);
        }
    }
    rf_pack_map(packer, 1);
    rf_pack_raw(packer, rf_slice_text("role"));
    rf_pack_raw(packer, meta);
    return rf_packer_slice(packer);
}

static void answer_conflict(struct rf_serf *serf, const struct rf_serf_query *query)
{
    if (rf_slice_equal(query->payload, serf->swim.self->link.name)) {
        return; /* a party to the conflict has no vote */
    }
    uint8_t role[RF_META_SIZE_MAX + 16];
    struct rf_packer role_packer = rf_packer(role, sizeof(role));
    struct rf_serf_message message = {.type = RF_SERF_CONFLICT_RESPONSE};
    const struct rf_member_entry *member = rf_serf_member(serf, query->payload);
    if (member == NULL) {
        message.member.is_nil = true;
    } else {
        struct rf_slice meta = rf_slice(member->meta, member->meta_size);
        message.member = (struct rf_serf_member){.name = member->link.name,
                                                 .address = member->address,
                                                 .tags = tags_of(meta, &role_packer),
                                                 .status = member->status,
                                                 .protocol_min = member->vsn[RF_VSN_PMIN],
                                                 .protocol_max = member->vsn[RF_VSN_PMAX],
                                                 .protocol_cur = member->vsn[RF_VSN_PCUR],
                                                 .delegate_min = member->vsn[RF_VSN_DMIN],
                                                 .delegate_max = member->vsn[RF_VSN_DMAX],
                                                 .delegate_cur = member->vsn[RF_VSN_DCUR]};
    }
    uint8_t bytes[RF_QUERY_RESPONSE_SIZE_MAX];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    if (rf_serf_message_encode(&message, &packer) < 0) {
        serf->stats.serf_dropped_limit++;
        return;
    }
    respond(serf, query, 0, rf_packer_slice(&packer));
}

/* Queries that end a Go peer, which looks at the first byte of what is empty. */
static bool is_deadly(const struct rf_serf_query *query)
{
    struct rf_cursor cursor = rf_cursor_array(query->filters);
    struct rf_slice filter;
    while (rf_cursor_next_raw(&cursor, &filter)) {
        if (filter.size == 0) {
            return true;
        }
    }
    enum rf_key_op op;
    return query->payload.size == 0 && rf_serf_key_op(query->name, &op) && op != RF_KEY_LIST;
}

/* Queries with other names are the application's. We have none that answers, so silence is right.
 */
static void deliver(struct rf_serf *serf, const struct rf_serf_query *query)
{
    enum rf_key_op op;
    if (rf_slice_equal_text(query->name, "_serf_conflict")) {
        answer_conflict(serf, query);
    } else if (rf_serf_key_op(query->name, &op)) {
        rf_serf_on_key_query(serf, query, op);
    }
}

/* 22.1. `bytes` is the whole message, to be passed on unchanged. */
bool rf_serf_on_query(struct rf_serf *serf, const struct rf_serf_query *query,
                      struct rf_slice bytes)
{
    if (is_deadly(query)) { /* so we must not pass it on */
        serf->stats.serf_dropped_malformed++;
        return false;
    }
    if (!rf_serf_query_new(serf, query->ltime, query->id)) {
        return false;
    }
    const struct rf_node *self = serf->swim.self;
    if (rf_serf_filters_match(query->filters, self->link.name,
                              rf_slice(self->meta, self->meta_size))) {
        serf->stats.queries_matched++;
        if ((query->flags & RF_SERF_QUERY_ACK) != 0) {
            respond(serf, query, RF_SERF_RESPONSE_ACK, rf_slice(NULL, 0));
        }
        deliver(serf, query);
    }
    return (query->flags & RF_SERF_QUERY_NO_BROADCAST) == 0 &&
           rf_swim_queue_user(&serf->swim, RF_QUEUE_QUERIES, bytes, RF_BROADCAST_QUIET);
}

/* ---- whose our name is (27.3) ---- */

/* An IPv4 address and its mapped form count as equal here, and only here. */
static bool is_same_place(const struct rf_address *a, const struct rf_address *b)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const struct rf_address *both[2] = {a, b};
    const uint8_t *ips[2];
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        bool is_mapped = both[i]->ip_size == 16 && memcmp(both[i]->ip, mapped, sizeof(mapped)) == 0;
        ips[i] = both[i]->ip + (is_mapped ? sizeof(mapped) : 0);
        sizes[i] = is_mapped ? 4 : both[i]->ip_size;
    }
    return a->port == b->port && sizes[0] == sizes[1] && memcmp(ips[0], ips[1], sizes[0]) == 0;
}

uint64_t rf_serf_query_timeout_ns(const struct rf_serf *serf)
{
    const size_t *counts = serf->swim.nodes.state_counts;
    return serf->swim.config.gossip_interval_ns *
           rf_broadcast_transmit_limit(QUERY_TIMEOUT_MULT,
                                       counts[RF_NODE_ALIVE] + counts[RF_NODE_SUSPECT]);
}

static void contest_end(struct rf_contest *contest)
{
    contest->is_running = false;
    free(contest->voters);
    contest->voters = NULL;
}

static void contest_start(struct rf_serf *serf)
{
    struct rf_contest *contest = &serf->contest;
    uint64_t *voters = calloc(RF_SERF_VOTERS_MAX, sizeof(voters[0]));
    if (voters == NULL) {
        serf->stats.serf_dropped_memory++;
        return; /* the conflict will show again */
    }
    uint64_t timeout_ns = rf_serf_query_timeout_ns(serf);
    *contest = (struct rf_contest){.is_running = true,
                                   .ltime = serf->query_time,
                                   .id = (uint32_t)rf_random_below(&serf->swim.random, 1u << 31),
                                   .start_ns = serf->now_ns,
                                   .deadline_ns = serf->now_ns + timeout_ns,
                                   .voters = voters};
    struct rf_serf_message message = {.type = RF_SERF_QUERY,
                                      .query = {.ltime = contest->ltime,
                                                .id = contest->id,
                                                .address = serf->swim.self->address,
                                                .source_node = serf->swim.self->link.name,
                                                .timeout_ns = timeout_ns,
                                                .name = rf_slice_text("_serf_conflict"),
                                                .payload = serf->swim.self->link.name}};
    uint8_t bytes[RF_QUERY_SIZE_MAX];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    int size = rf_serf_message_encode(&message, &packer);
    RF_ASSERT(size > 0); /* our name is at most 128 bytes */
    if (!rf_serf_on_query(serf, &message.query, rf_packer_slice(&packer))) {
        contest_end(contest); /* no memory: nobody is asked, and silence would lose the name */
    }
}

void rf_serf_on_conflict(struct rf_serf *serf, struct rf_slice name, const struct rf_address *other)
{
    bool is_ours = rf_slice_equal(name, serf->swim.self->link.name);
    if (serf->now_ns >= serf->conflict_notice_ns) {
        serf->conflict_notice_ns = serf->now_ns + CONFLICT_NOTICE_S * NS_PER_S;
        rf_serf_notice(serf, is_ours ? RF_NOTICE_NAME_CONTEST : RF_NOTICE_CONFLICT, name, other,
                       NULL);
    }
    if (is_ours && !serf->contest.is_running && serf->leave_step == RF_LEAVE_NOT) {
        contest_start(serf);
    }
}

static bool is_new_voter(struct rf_serf *serf, struct rf_slice from)
{
    struct rf_contest *contest = &serf->contest;
    uint64_t hash = rf_name_hash(serf->members.seed, from);
    for (uint32_t i = 0; i < contest->voters_count; i++) {
        if (contest->voters[i] == hash) {
            return false;
        }
    }
    if (contest->voters_count == RF_SERF_VOTERS_MAX) {
        serf->stats.serf_dropped_limit++;
        return false;
    }
    contest->voters[contest->voters_count++] = hash;
    return true;
}

void rf_serf_on_response(struct rf_serf *serf, const struct rf_serf_query_response *response)
{
    struct rf_contest *contest = &serf->contest;
    if (rf_serf_on_answer(serf, response)) {
        return;
    }
    if (!contest->is_running || response->ltime != contest->ltime || response->id != contest->id ||
        (response->flags & RF_SERF_RESPONSE_ACK) != 0 || !is_new_voter(serf, response->from)) {
        return;
    }
    struct rf_serf_message message;
    if (rf_serf_message_decode(response->payload, &message) < 0 ||
        message.type != RF_SERF_CONFLICT_RESPONSE) {
        serf->stats.serf_dropped_malformed++;
        return;
    }
    contest->answers++;
    contest->matches +=
        !message.member.is_nil && is_same_place(&message.member.address, &serf->swim.self->address);
}

void rf_serf_contest_tick(struct rf_serf *serf)
{
    struct rf_contest *contest = &serf->contest;
    if (!contest->is_running || serf->now_ns < contest->deadline_ns) {
        return;
    }
    contest_end(contest);
    if (contest->matches >= contest->answers / 2 + 1) {
        return;
    }
    uint64_t seen_ns = serf->swim.rival_gone_ns; /* ours: swim_claim.c looks once in an interval */
    if (seen_ns != 0 && seen_ns + serf->swim.config.probe_interval_ns >= contest->start_ns) {
        rf_serf_notice(serf, RF_NOTICE_NAME_KEPT, serf->swim.self->link.name, NULL, NULL);
    } else {
        struct rf_output output = {.type = RF_OUTPUT_NAME_LOST,
                                   .name = serf->swim.self->name,
                                   .name_size = serf->swim.self->link.name.size,
                                   .address = serf->swim.self->address};
        (void)rf_outbox_put(&serf->swim.out, &output); /* the conflict will show again */
    }
}
