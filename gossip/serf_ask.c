/* SPDX-License-Identifier: MIT
 *
 * serf_ask.c - queries of our own (rule 22.6): who has answered, and when to stop waiting.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/assert.h"
#include "gossip/serf_private.h"

enum { HEARD_CAPACITY_MIN = 64, ASK_GOES_ON = 1 };

/* Told apart from the answer of the same name by this. */
#define ACK_MARK UINT64_C(0x5bd1e9955bd1e995)

/* ---- who was heard ---- */

/* The place of a hash in the set, or the free one where it belongs. */
static uint64_t *heard_find(const struct rf_ask *ask, uint64_t hash)
{
    size_t i = (size_t)hash & (ask->heard_capacity - 1);
    while (ask->heard[i] != 0 && ask->heard[i] != hash) {
        i = (i + 1) & (ask->heard_capacity - 1);
    }
    return &ask->heard[i];
}

static bool heard_grow(struct rf_ask *ask)
{
    struct rf_ask grown = *ask;
    grown.heard_capacity = ask->heard_capacity == 0 ? HEARD_CAPACITY_MIN : 2 * ask->heard_capacity;
    grown.heard = calloc(grown.heard_capacity, sizeof(grown.heard[0]));
    if (grown.heard == NULL) {
        return false;
    }
    for (size_t i = 0; i < ask->heard_capacity; i++) {
        if (ask->heard[i] != 0) {
            *heard_find(&grown, ask->heard[i]) = ask->heard[i];
        }
    }
    free(ask->heard);
    *ask = grown;
    return true;
}

/* Whether this is the first answer, or acknowledgement, of that name. */
static bool is_news(struct rf_serf *serf, struct rf_ask *ask, struct rf_slice from, bool is_ack)
{
    uint64_t hash = rf_name_hash(serf->members.seed, from) ^ (is_ack ? ACK_MARK : 0);
    hash += hash == 0;
    /* Names come and go in the table while we wait; twice as many as it holds is enough for all. */
    if (ask->heard_count >= 4 * serf->config.swim.nodes_max) {
        serf->stats.serf_dropped_limit++;
        return false;
    }
    if (2 * (ask->heard_count + 1) > ask->heard_capacity && !heard_grow(ask)) {
        serf->stats.serf_dropped_memory++;
        return false;
    }
    uint64_t *place = heard_find(ask, hash);
    if (*place != 0) {
        return false;
    }
    *place = hash;
    ask->heard_count++;
    return true;
}

/* ---- asking ---- */

static struct rf_ask *find(struct rf_serf *serf, uint64_t ltime, uint32_t query_id)
{
    for (size_t i = 0; i < RF_SERF_ASKS_MAX; i++) {
        struct rf_ask *ask = &serf->asks[i];
        if (ask->id != 0 && ask->ltime == ltime && ask->query_id == query_id) {
            return ask;
        }
    }
    return NULL;
}

static struct rf_ask *find_free(struct rf_serf *serf)
{
    for (size_t i = 0; i < RF_SERF_ASKS_MAX; i++) {
        if (serf->asks[i].id == 0) {
            return &serf->asks[i];
        }
    }
    return NULL;
}

bool rf_serf_is_asking(const struct rf_serf *serf, uint64_t ltime, uint32_t query_id)
{
    return find((struct rf_serf *)serf, ltime, query_id) != NULL;
}

size_t rf_serf_askable_count(const struct rf_serf *serf)
{
    const size_t *counts = serf->swim.nodes.state_counts;
    return counts[RF_NODE_ALIVE] + counts[RF_NODE_SUSPECT];
}

/* Makes the query's message; returns its size. */
static int encode(const struct rf_serf *serf, const struct rf_serf_question *question,
                  const struct rf_ask *ask, struct rf_serf_message *ret_message,
                  struct rf_packer *packer)
{
    *ret_message = (struct rf_serf_message){.type = RF_SERF_QUERY,
                                            .query = {.ltime = ask->ltime,
                                                      .id = ask->query_id,
                                                      .address = serf->swim.self->address,
                                                      .source_node = serf->swim.self->link.name,
                                                      .flags = RF_SERF_QUERY_ACK,
                                                      .relay_factor = question->relay_factor,
                                                      .timeout_ns = ask->deadline_ns - serf->now_ns,
                                                      .name = rf_slice_text(question->name),
                                                      .payload = question->payload}};
    return rf_serf_message_encode(ret_message, packer);
}

static int check(struct rf_serf *serf, const struct rf_serf_question *question,
                 struct rf_error *err)
{
    if (serf->leave_step != RF_LEAVE_NOT) {
        return rf_error_set(err, -ESHUTDOWN, "query: this node is leaving");
    }
    if (question->relay_factor > RF_SERF_RELAY_FACTOR_MAX) {
        return rf_error_set(err, -EINVAL, "query: relay factor %u, allowed 0..%d",
                            question->relay_factor, RF_SERF_RELAY_FACTOR_MAX);
    }
    if (find_free(serf) == NULL) {
        return rf_error_set(err, RF_ELIMIT, "query: %d are in flight already, try again later",
                            RF_SERF_ASKS_MAX);
    }
    return 0;
}

int rf_serf_ask(struct rf_serf *serf, uint64_t now_ns, const struct rf_serf_question *question,
                uint64_t *ret_ask_id, struct rf_error *err)
{
    int code = check(serf, question, err);
    if (code < 0) {
        return code;
    }
    rf_serf_begin(serf, now_ns);
    uint64_t timeout_ns =
        question->timeout_ns != 0 ? question->timeout_ns : rf_serf_query_timeout_ns(serf);
    struct rf_ask ask = {.id = serf->ask_id + 1,
                         .ltime = serf->query_time,
                         .query_id = (uint32_t)rf_random_below(&serf->swim.random, 1u << 31),
                         .deadline_ns = now_ns + timeout_ns,
                         .expected_count = rf_serf_askable_count(serf),
                         .code = ASK_GOES_ON};
    uint8_t bytes[RF_QUERY_SIZE_MAX];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_serf_message message;
    if (encode(serf, question, &ask, &message, &packer) < 0) {
        rf_serf_end(serf);
        return rf_error_set(err, RF_ELIMIT, "query '%s': more than the allowed %d bytes",
                            question->name, RF_QUERY_SIZE_MAX);
    }
    if (!heard_grow(&ask)) {
        rf_serf_end(serf);
        return rf_error_set(err, -ENOMEM, "query '%s': out of memory", question->name);
    }
    serf->ask_id = ask.id;
    struct rf_ask *place = find_free(serf);
    RF_ASSERT(place != NULL); /* checked above */
    *place = ask;             /* before our own answer comes */
    (void)rf_serf_on_query(serf, &message.query, rf_packer_slice(&packer));
    /* not passed on for want of memory: nobody answers, which is told */
    rf_serf_end(serf);
    *ret_ask_id = ask.id;
    return 0;
}

/* ---- answers ---- */

/* Its end may find no memory, and is tried again with the next input. */
static void end(struct rf_serf *serf, struct rf_ask *ask)
{
    struct rf_output output = {.type = RF_OUTPUT_ASK_DONE, .ask_id = ask->id, .code = ask->code};
    if (rf_outbox_put(&serf->swim.out, &output)) {
        free(ask->heard);
        *ask = (struct rf_ask){0};
    } else {
        ask->deadline_ns = serf->now_ns + 1;
    }
}

bool rf_serf_on_answer(struct rf_serf *serf, const struct rf_serf_query_response *response)
{
    struct rf_ask *ask = find(serf, response->ltime, response->id);
    if (ask == NULL) {
        return false;
    }
    const struct rf_node *node = rf_node_table_find(&serf->swim.nodes, response->from);
    bool is_ack = (response->flags & RF_SERF_RESPONSE_ACK) != 0;
    if (node == NULL) { /* whom nobody has told us of, nobody has asked */
        serf->stats.serf_dropped_unknown++;
        return true;
    }
    if (ask->code != ASK_GOES_ON || !is_news(serf, ask, response->from, is_ack)) {
        return true;
    }
    struct rf_output output = {.type = RF_OUTPUT_ANSWER,
                               .ask_id = ask->id,
                               .is_ack = is_ack,
                               .name = node->name,
                               .name_size = node->link.name.size,
                               .bytes = response->payload.data,
                               .bytes_size = response->payload.size};
    (void)rf_outbox_put(&serf->swim.out, &output); /* lost: as if on the way */
    ask->answers_count += !is_ack;
    if (ask->answers_count >= ask->expected_count) {
        ask->code = 0;
        end(serf, ask);
    }
    return true;
}

void rf_serf_asks_tick(struct rf_serf *serf)
{
    for (size_t i = 0; i < RF_SERF_ASKS_MAX; i++) {
        struct rf_ask *ask = &serf->asks[i];
        if (ask->id != 0 && serf->now_ns >= ask->deadline_ns) {
            ask->code = ask->code == ASK_GOES_ON ? -ETIMEDOUT : ask->code;
            end(serf, ask);
        }
    }
}

uint64_t rf_serf_asks_deadline_ns(const struct rf_serf *serf)
{
    uint64_t deadline_ns = UINT64_MAX;
    for (size_t i = 0; i < RF_SERF_ASKS_MAX; i++) {
        const struct rf_ask *ask = &serf->asks[i];
        if (ask->id != 0 && ask->deadline_ns < deadline_ns) {
            deadline_ns = ask->deadline_ns;
        }
    }
    return deadline_ns;
}

void rf_serf_asks_fini(struct rf_serf *serf)
{
    for (size_t i = 0; i < RF_SERF_ASKS_MAX; i++) {
        free(serf->asks[i].heard);
    }
}

void rf_serf_asks_check(const struct rf_serf *serf)
{
    for (size_t i = 0; i < RF_SERF_ASKS_MAX; i++) {
        const struct rf_ask *ask = &serf->asks[i];
        RF_ASSERT((ask->heard != NULL) == (ask->id != 0));
        RF_ASSERT(ask->id <= serf->ask_id);
        RF_ASSERT(2 * ask->heard_count <= ask->heard_capacity);
        RF_ASSERT(ask->answers_count <= ask->heard_count);
    }
}
