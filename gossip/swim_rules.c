/* SPDX-License-Identifier: MIT
 *
 * swim_rules.c - what the node table learns from alive, suspect and dead messages (rule 10), and
 * the timers of suspects (rule 12). The numbers in the comments are those of gossip/README.md.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/assert.h"
#include "gossip/swim_private.h"

enum { GONE_LATELY = 2 }; /* times gossip_to_the_dead_ns: as long as the dead are told of it */

/* ---- the heap of suspects ---- */

static bool fires_before(const struct rf_node *a, const struct rf_node *b)
{
    return a->suspicion->deadline_ns < b->suspicion->deadline_ns;
}

static void heap_place(struct rf_swim *swim, size_t index, struct rf_node *node)
{
    swim->suspects[index] = node;
    node->suspicion->heap_index = index;
}

static void heap_up(struct rf_swim *swim, size_t index)
{
    struct rf_node *node = swim->suspects[index];
    while (index > 0 && fires_before(node, swim->suspects[(index - 1) / 2])) {
        heap_place(swim, index, swim->suspects[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_place(swim, index, node);
}

static void heap_down(struct rf_swim *swim, size_t index)
{
    struct rf_node *node = swim->suspects[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < swim->suspects_count &&
            fires_before(swim->suspects[child + 1], swim->suspects[child])) {
            child++;
        }
        if (child >= swim->suspects_count || !fires_before(swim->suspects[child], node)) {
            break;
        }
        heap_place(swim, index, swim->suspects[child]);
        index = child;
    }
    heap_place(swim, index, node);
}

static bool heap_reserve(struct rf_swim *swim)
{
    if (swim->suspects_count < swim->suspects_capacity) {
        return true;
    }
    size_t capacity = swim->suspects_capacity == 0 ? 8 : 2 * swim->suspects_capacity;
    struct rf_node **suspects = realloc(swim->suspects, capacity * sizeof(suspects[0]));
    if (suspects == NULL) {
        return false;
    }
    swim->suspects = suspects;
    swim->suspects_capacity = capacity;
    return true;
}

static void suspicion_drop(struct rf_swim *swim, struct rf_node *node)
{
    if (node->suspicion == NULL) {
        return;
    }
    size_t index = node->suspicion->heap_index;
    RF_ASSERT(swim->suspects[index] == node);
    struct rf_node *last = swim->suspects[--swim->suspects_count];
    if (last != node) {
        heap_place(swim, index, last);
        heap_up(swim, index);
        heap_down(swim, last->suspicion->heap_index);
    }
    free(node->suspicion);
    node->suspicion = NULL;
}

/* ---- helpers ---- */

bool rf_swim_is_self(const struct rf_swim *swim, struct rf_slice name)
{
    return rf_slice_equal(swim->self->link.name, name);
}

static uint64_t accuser_hash(const struct rf_swim *swim, struct rf_slice from)
{
    return rf_name_hash(swim->nodes.names.seed, from);
}

void rf_swim_awareness_add(struct rf_swim *swim, int64_t add)
{
    int64_t score = (int64_t)swim->awareness + add;
    int64_t highest = (int64_t)swim->config.awareness_max - 1;
    swim->awareness = (uint32_t)(score < 0 ? 0 : score > highest ? highest : score);
}

/* Queues what is new about a node. Nobody but us can say again what is new about us, so that is not
 * given up for want of memory; of others it is counted in the queue. */
static void queue_news(struct rf_swim *swim, const struct rf_node *node,
                       const struct rf_message *message, enum rf_broadcast_notice notice)
{
    uint8_t bytes[RF_SWIM_MESSAGE_SIZE_MAX];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    int size = rf_message_encode(message, &packer);
    RF_ASSERT(size > 0); /* two names of 255, Meta of 512 and field names are below the buffer */
    bool is_queued =
        rf_broadcast_queue(&swim->queue, node->link.name, rf_packer_slice(&packer), notice);
    if (node == swim->self) {
        swim->is_untold = !is_queued;
    }
}

static void queue_alive(struct rf_swim *swim, const struct rf_node *node)
{
    struct rf_message message = {.type = RF_MESSAGE_ALIVE,
                                 .alive = {.incarnation = node->incarnation,
                                           .node = node->link.name,
                                           .address = node->address,
                                           .meta = rf_slice(node->meta, node->meta_size)}};
    memcpy(message.alive.vsn, node->vsn, RF_VSN_SIZE);
    queue_news(swim, node, &message, RF_BROADCAST_QUIET);
}

static void queue_dead(struct rf_swim *swim, const struct rf_node *node, struct rf_slice from)
{
    struct rf_message message = {
        .type = RF_MESSAGE_DEAD,
        .dead = {.incarnation = node->incarnation, .node = node->link.name, .from = from}};
    queue_news(swim, node, &message, node == swim->self ? RF_BROADCAST_LEAVE : RF_BROADCAST_QUIET);
}

void rf_swim_tell_untold(struct rf_swim *swim)
{
    if (swim->is_untold && swim->is_leaving) {
        queue_dead(swim, swim->self, swim->self->link.name);
    } else if (swim->is_untold) {
        queue_alive(swim, swim->self);
    }
}

static bool is_absurd(struct rf_swim *swim, uint32_t known, uint32_t incarnation)
{
    bool result = incarnation >= RF_SWIM_INCARNATION_TRUSTED && incarnation > known &&
                  incarnation - known > RF_SWIM_INCARNATION_STEP_MAX;
    if (result) {
        swim->stats.dropped_absurd++;
    }
    return result;
}

/* 10.4. At the very end of 32 bits the incarnation stays where it is rather than wrap. */
void rf_swim_outbid(struct rf_swim *swim, uint32_t accused)
{
    uint32_t incarnation = swim->incarnation == UINT32_MAX ? UINT32_MAX : swim->incarnation + 1;
    if (incarnation <= accused) {
        incarnation = accused == UINT32_MAX ? UINT32_MAX : accused + 1;
    }
    swim->incarnation = incarnation;
    swim->self->incarnation = incarnation;
    queue_alive(swim, swim->self);
}

static void refute(struct rf_swim *swim, uint32_t accused)
{
    rf_swim_outbid(swim, accused);
    swim->stats.refutations++;
    rf_swim_awareness_add(swim, 1);
    rf_swim_notice(swim, RF_NOTICE_REFUTE, swim->self, NULL);
}

/* ---- 10.1 alive ---- */

/* Both ways: such a node would fail the check of 9.1 for ever, and with it every push/pull. */
static bool vsn_suits(const uint8_t ours[RF_VSN_SIZE], const uint8_t theirs[RF_VSN_SIZE])
{
    return rf_vsn_is_valid(theirs) && theirs[RF_VSN_PMIN] <= ours[RF_VSN_PCUR] &&
           ours[RF_VSN_PCUR] <= theirs[RF_VSN_PMAX] && ours[RF_VSN_PMIN] <= theirs[RF_VSN_PCUR] &&
           theirs[RF_VSN_PCUR] <= ours[RF_VSN_PMAX] && theirs[RF_VSN_DMIN] <= ours[RF_VSN_DCUR] &&
           ours[RF_VSN_DCUR] <= theirs[RF_VSN_DMAX] && ours[RF_VSN_DMIN] <= theirs[RF_VSN_DCUR] &&
           theirs[RF_VSN_DCUR] <= ours[RF_VSN_DMAX];
}

/* 10.1.4. An alive of incarnation 0 is never accepted, so it makes no entry either. */
static struct rf_node *node_add(struct rf_swim *swim, const struct rf_alive *alive)
{
    if (alive->incarnation == 0) {
        return NULL;
    }
    int code = 0;
    struct rf_node *node = rf_node_table_add(&swim->nodes, alive->node, &swim->random, &code);
    if (node == NULL) {
        if (code == RF_ELIMIT) {
            swim->stats.dropped_nodes_max++;
        } else {
            swim->stats.dropped_memory++;
        }
        return NULL;
    }
    rf_node_table_set_address(&swim->nodes, node, &alive->address);
    /* Even if memory runs out before the rest is taken: no other may stand in a push/pull. */
    memcpy(node->vsn, alive->vsn, RF_VSN_SIZE);
    return node;
}

/*
 * 10.1.5: whether this node's name may move to another address. A dead one's may from when it might
 * be forgotten on (10.6): when a round ends, which are minutes in a large cluster, is chance.
 */
static bool is_reclaimable(const struct rf_swim *swim, const struct rf_node *node, uint64_t now_ns)
{
    uint64_t after_ns = swim->config.gossip_to_the_dead_ns;
    if (swim->config.dead_node_reclaim_ns > 0 && swim->config.dead_node_reclaim_ns < after_ns) {
        after_ns = swim->config.dead_node_reclaim_ns;
    }
    return node->state == RF_NODE_LEFT ||
           (node->state == RF_NODE_DEAD && now_ns - node->state_change_ns > after_ns);
}

static void report_conflict(struct rf_swim *swim, uint64_t now_ns, struct rf_node *node,
                            const struct rf_address *other)
{
    swim->stats.conflicts++;
    if (!rf_swim_is_first(&node->conflict_ns, now_ns)) {
        return;
    }
    struct rf_output output = {.type = RF_OUTPUT_NODE_CONFLICT,
                               .address = *other,
                               .name = node->name,
                               .name_size = node->link.name.size};
    (void)rf_outbox_put(&swim->up, &output); /* a lost one comes again with the next alive */
}

/* Nodes other than us that are there. */
static size_t others_count(const struct rf_swim *swim)
{
    return swim->nodes.state_counts[RF_NODE_ALIVE] + swim->nodes.state_counts[RF_NODE_SUSPECT] -
           (swim->self->state == RF_NODE_ALIVE);
}

/* 10.1.8, the second half, and 10.1.9. */
void rf_swim_accept(struct rf_swim *swim, uint64_t now_ns, struct rf_node *node,
                    const struct rf_alive *alive)
{
    bool is_updated = !rf_slice_equal(rf_slice(node->meta, node->meta_size), alive->meta) ||
                      !rf_address_equal(&node->address, &alive->address);
    if (!rf_node_set_meta(node, alive->meta)) {
        swim->stats.dropped_memory++;
        return;
    }
    suspicion_drop(swim, node); /* 10.1.7 */
    node->incarnation = alive->incarnation;
    rf_node_table_set_address(&swim->nodes, node, &alive->address);
    memcpy(node->vsn, alive->vsn, RF_VSN_SIZE);
    enum rf_node_state_type old_state = node->state;
    if (node != swim->self && others_count(swim) == 0) {
        rf_swim_catch_up(swim, now_ns, false); /* we were alone, and are no longer */
    }
    if (old_state != RF_NODE_ALIVE) {
        rf_node_table_set_state(&swim->nodes, node, RF_NODE_ALIVE, now_ns);
    }
    queue_alive(swim, node);
    if (old_state == RF_NODE_DEAD || old_state == RF_NODE_LEFT) {
        rf_swim_up_node(swim, RF_OUTPUT_NODE_JOIN, node);
    } else if (is_updated) {
        rf_swim_up_node(swim, RF_OUTPUT_NODE_UPDATE, node);
    }
}

/*
 * Ours, not memberlist's. A node that starts again begins with incarnation 1; if the one it joined
 * through has forgotten its death and we have not, its alive is old to us, and we would see it dead
 * until some push/pull. So it is told, alone, what we believe of it: it refutes with a higher
 * incarnation at once. To a node that is truly dead this is a lost packet, one for each late alive.
 */
static void tell_the_dead(struct rf_swim *swim, uint64_t now_ns, struct rf_node *node)
{
    struct rf_message message = {
        .type = RF_MESSAGE_DEAD,
        .dead = {.incarnation = node->incarnation,
                 .node = node->link.name,
                 .from = node->state == RF_NODE_LEFT ? node->link.name : swim->self->link.name}};
    if (node != swim->self && rf_swim_is_first(&node->told_ns, now_ns)) {
        rf_swim_send_alone(swim, &node->address, &message);
    }
}

/*
 * Ours too. Gossip misses a node now and then, and one that missed a refutation sees the other dead
 * until some push/pull, which is minutes in a large cluster, or until both sides of a cut happen to
 * call each other. So with each probe interval one of those that went lately is told of it. The
 * list is searched from a random place: of few that are gone each has its turn soon.
 */
void rf_swim_tell_one_dead(struct rf_swim *swim, uint64_t now_ns)
{
    const struct rf_node_table *table = &swim->nodes;
    if (table->state_counts[RF_NODE_DEAD] + table->state_counts[RF_NODE_LEFT] == 0 ||
        swim->is_leaving) {
        return;
    }
    size_t start = rf_random_below(&swim->random, table->count);
    for (size_t i = 0; i < table->count; i++) {
        struct rf_node *node = table->list[(start + i) % table->count];
        bool is_gone = node->state == RF_NODE_DEAD || node->state == RF_NODE_LEFT;
        if (is_gone &&
            now_ns - node->state_change_ns <= GONE_LATELY * swim->config.gossip_to_the_dead_ns) {
            tell_the_dead(swim, now_ns, node);
            return;
        }
    }
}

/*
 * Ours. Somebody says of a node what only the node itself can make believable, so we call it: what
 * it answers is its word. Few calls, and never all streams: anybody can say such things.
 */
static void ask_itself(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *address)
{
    if (swim->ask_at_ns > now_ns || swim->exchanges_count >= RF_SWIM_EXCHANGES_MAX / 4 ||
        swim->is_leaving) {
        return; /* it will be said again */
    }
    swim->ask_at_ns = now_ns + swim->config.gossip_interval_ns;
    (void)rf_swim_push_pull(swim, now_ns, address, RF_EXCHANGE_PERIODIC, 0);
}

void rf_swim_alive(struct rf_swim *swim, uint64_t now_ns, const struct rf_alive *received,
                   bool is_bootstrap)
{
    struct rf_alive alive = *received;
    bool is_self = rf_swim_is_self(swim, alive.node);
    if (is_self && swim->is_leaving) { /* 10.1.1 */
        return;
    }
    if (!is_self && !vsn_suits(swim->config.vsn, alive.vsn)) { /* 10.1.2 */
        swim->stats.dropped_version++;
        return;
    }
    if (alive.address.port == 0) { /* 10.1.3 */
        alive.address.port = swim->config.address.port;
    }
    struct rf_node *node = rf_node_table_find(&swim->nodes, alive.node);
    /* Its own word, over a connection to its address that we made, counts: whom somebody has had
     * refute a forged accusation just below the limit would else be dead for all others, for ever.
     */
    bool is_its_word = rf_address_equal(&alive.address, &swim->speaker);
    if (!is_its_word && is_absurd(swim, node == NULL ? 0 : node->incarnation, alive.incarnation)) {
        if (!is_self && (node == NULL || rf_address_equal(&node->address, &alive.address))) {
            ask_itself(swim, now_ns, &alive.address);
        }
        return;
    }
    if (node == NULL) { /* 10.1.4 */
        node = node_add(swim, &alive);
        if (node == NULL) {
            return;
        }
    }
    bool is_reclaimed = false;
    if (!rf_address_equal(&node->address, &alive.address)) { /* 10.1.5 */
        is_reclaimed = is_reclaimable(swim, node, now_ns);
        if (!is_reclaimed) {
            report_conflict(swim, now_ns, node, &alive.address);
            rf_swim_claim(swim, now_ns, node, &alive);
            return;
        }
    }
    /* At the end of 32 bits there is no refutation any more but to answer who calls. */
    bool is_at_end = !is_self && node->state != RF_NODE_ALIVE && node->incarnation == UINT32_MAX &&
                     alive.incarnation == UINT32_MAX;
    bool is_old = is_self ? alive.incarnation < node->incarnation
                          : alive.incarnation <= node->incarnation && !is_reclaimed &&
                                !(is_at_end && is_its_word);
    if (is_old && is_at_end) {
        ask_itself(swim, now_ns, &node->address);
    }
    if (is_old) { /* 10.1.6 */
        if (node->state == RF_NODE_DEAD || node->state == RF_NODE_LEFT) {
            tell_the_dead(swim, now_ns, node);
        }
        return;
    }
    if (is_self && !is_bootstrap) { /* 10.1.8 */
        bool is_ours = alive.incarnation == node->incarnation &&
                       rf_slice_equal(alive.meta, rf_slice(node->meta, node->meta_size)) &&
                       memcmp(alive.vsn, node->vsn, RF_VSN_SIZE) == 0;
        if (!is_ours) {
            refute(swim, alive.incarnation);
        }
        return;
    }
    rf_swim_accept(swim, now_ns, node, &alive);
}

/* ---- 10.2 suspect ---- */

static void suspicion_start(struct rf_swim *swim, uint64_t now_ns, struct rf_node *node,
                            struct rf_slice from)
{
    struct rf_suspicion *suspicion = malloc(sizeof(*suspicion));
    if (suspicion == NULL || !heap_reserve(swim)) {
        free(suspicion);
        swim->stats.dropped_memory++;
        return; /* it stays alive until the next suspect message */
    }
    struct rf_suspicion_params params =
        rf_suspicion_params(swim->config.suspicion_mult, swim->config.suspicion_max_timeout_mult,
                            swim->config.probe_interval_ns, swim->nodes.count);
    rf_suspicion_start(suspicion, &params, now_ns, accuser_hash(swim, from));
    node->suspicion = suspicion;
    rf_node_table_set_state(&swim->nodes, node, RF_NODE_SUSPECT, now_ns);
    swim->suspects[swim->suspects_count] = node;
    heap_up(swim, swim->suspects_count++);
    swim->stats.suspicions++;
    rf_swim_notice(swim, RF_NOTICE_SUSPECT, node, NULL);
}

/*
 * Ours: a confirmation that came so late that the time is over leaves one gossip interval. It may
 * have waited together with the refutation, which is next.
 */
static void keep_open(const struct rf_swim *swim, uint64_t now_ns, struct rf_suspicion *suspicion,
                      uint64_t old_deadline_ns)
{
    uint64_t open_ns = now_ns + swim->config.gossip_interval_ns;
    open_ns = open_ns < old_deadline_ns ? open_ns : old_deadline_ns;
    suspicion->deadline_ns = suspicion->deadline_ns > open_ns ? suspicion->deadline_ns : open_ns;
}

void rf_swim_suspect(struct rf_swim *swim, uint64_t now_ns, const struct rf_suspect *suspect)
{
    struct rf_node *node = rf_node_table_find(&swim->nodes, suspect->node);
    if (node == NULL || suspect->incarnation < node->incarnation) { /* 10.2.1 */
        if (node == swim->self) {
            rf_swim_answer_accuser(swim, now_ns, suspect->from);
        }
        return;
    }
    if (is_absurd(swim, node->incarnation, suspect->incarnation)) {
        return;
    }
    struct rf_message message = {.type = RF_MESSAGE_SUSPECT, .suspect = *suspect};
    if (node->suspicion != NULL) { /* 10.2.2 */
        uint64_t deadline_ns = node->suspicion->deadline_ns;
        if (rf_suspicion_confirm(node->suspicion, accuser_hash(swim, suspect->from))) {
            keep_open(swim, now_ns, node->suspicion, deadline_ns);
            heap_up(swim, node->suspicion->heap_index); /* deadlines only come nearer */
            queue_news(swim, node, &message, RF_BROADCAST_QUIET);
        }
        return;
    }
    if (node->state != RF_NODE_ALIVE) { /* 10.2.3 */
        return;
    }
    if (node == swim->self) { /* 10.2.4 */
        refute(swim, suspect->incarnation);
        rf_swim_answer_accuser(swim, now_ns, suspect->from);
        return;
    }
    suspicion_start(swim, now_ns, node, suspect->from); /* 10.2.5 */
    if (node->state == RF_NODE_SUSPECT) {
        node->incarnation = suspect->incarnation;
        queue_news(swim, node, &message, RF_BROADCAST_QUIET);
    }
}

/* Rule 12, the end: whoever has not refuted in time is dead. */
void rf_swim_suspicions_tick(struct rf_swim *swim, uint64_t now_ns)
{
    while (swim->suspects_count > 0 && swim->suspects[0]->suspicion->deadline_ns <= now_ns) {
        struct rf_node *node = swim->suspects[0];
        struct rf_dead dead = {.incarnation = node->incarnation,
                               .node = node->link.name,
                               .from = swim->self->link.name};
        swim->stats.suspicions_fired++;
        rf_swim_dead(swim, now_ns, &dead);
        RF_ASSERT(node->suspicion == NULL);
    }
}

void rf_swim_suspicions_shift(struct rf_swim *swim, uint64_t late_ns, uint64_t floor_ns)
{
    for (size_t i = 0; i < swim->suspects_count; i++) {
        rf_suspicion_shift(swim->suspects[i]->suspicion, late_ns, floor_ns);
    }
    for (size_t i = 1; i < swim->suspects_count; i++) {
        heap_up(swim, i); /* floors of several pauses may have changed the order */
    }
}

/* ---- 10.3 dead ---- */

static void tell_who_declared(struct rf_swim *swim, const struct rf_node *node,
                              struct rf_slice from)
{
    char by[RF_GOSSIP_NAME_SIZE_MAX + 1];
    size_t size = from.size < sizeof(by) ? from.size : sizeof(by) - 1;
    if (size > 0) {
        memcpy(by, from.data, size);
    }
    by[size] = '\0';
    rf_swim_notice(swim, RF_NOTICE_DEAD, node, by);
}

void rf_swim_dead(struct rf_swim *swim, uint64_t now_ns, const struct rf_dead *dead)
{
    struct rf_node *node = rf_node_table_find(&swim->nodes, dead->node);
    if (node == NULL || dead->incarnation < node->incarnation) { /* 10.3.1 */
        return;
    }
    if (is_absurd(swim, node->incarnation, dead->incarnation)) {
        return;
    }
    if (node->state == RF_NODE_DEAD || node->state == RF_NODE_LEFT) { /* 10.3.3 */
        return;
    }
    if (node == swim->self && !swim->is_leaving) { /* 10.3.4 */
        refute(swim, dead->incarnation);
        return;
    }
    suspicion_drop(swim, node);            /* 10.3.2 */
    node->incarnation = dead->incarnation; /* 10.3.5 */
    queue_dead(swim, node, dead->from);
    bool has_left = rf_slice_equal(dead->from, dead->node);
    rf_node_table_set_state(&swim->nodes, node, has_left ? RF_NODE_LEFT : RF_NODE_DEAD, now_ns);
    if (!has_left) {
        tell_who_declared(swim, node, dead->from);
    }
    rf_swim_up_node(swim, RF_OUTPUT_NODE_LEAVE, node);
}

/* ---- 10.6 forgetting ---- */

void rf_swim_purge(struct rf_swim *swim, uint64_t now_ns)
{
    for (size_t i = swim->nodes.count; i-- > 0;) {
        struct rf_node *node = swim->nodes.list[i];
        bool is_gone = node->state == RF_NODE_DEAD || node->state == RF_NODE_LEFT;
        if (is_gone && node != swim->self &&
            now_ns - node->state_change_ns > swim->config.gossip_to_the_dead_ns) {
            rf_node_table_remove(&swim->nodes, node);
        }
    }
}
