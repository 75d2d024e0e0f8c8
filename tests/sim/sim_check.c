/* SPDX-License-Identifier: MIT
 *
 * sim_check.c - what must hold after every event, at a cost that does not grow with the cluster.
 *
 * Beliefs of a node about one incarnation of another go from alive to gone and never back, and
 * incarnations never fall. An input can change the entries that its message names (looked at before
 * and after), those that a member output names, and after a push/pull any (all are looked at).
 * Besides, entries are looked at in turn, so that nothing stays unseen for long.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "tests/sim/sim_private.h"

enum {
    TURN_EVERY = 8,     /* events: each look is two cache misses in a large cluster */
    SOUND_EVERY = 4096, /* events between checks of a whole machine, which are O(members) */
};

/* What one node believes of another. */
struct rf_sim_belief {
    uint32_t incarnation;
    bool is_known;
    bool is_gone; /* dead or left in that incarnation */
};

void rf_sim_beliefs_reset(struct rf_sim_node *node)
{
    free(node->beliefs); /* made anew when there is something to believe */
    node->beliefs = NULL;
    node->beliefs_next = 0;
    node->own_incarnation = 0;
    node->transmit_limit = 0;
    node->nodes_seen = 0;
    node->table_count = 0;
}

static bool reserve(struct rf_sim *sim, struct rf_sim_node *node)
{
    if (sim->checks_beliefs && node->beliefs == NULL) {
        node->beliefs = calloc(sim->nodes_capacity, sizeof(struct rf_sim_belief));
        RF_ASSERT(node->beliefs != NULL);
    }
    return sim->checks_beliefs;
}

static void check_entry(const struct rf_sim *sim, struct rf_sim_node *node,
                        const struct rf_node *other)
{
    size_t subject = rf_sim_index(sim, other->name, other->link.name.size);
    if (subject == RF_SIM_NODES_MAX) {
        return; /* a name that packets made up */
    }
    struct rf_sim_belief *belief = &node->beliefs[subject];
    bool is_gone = other->state == RF_NODE_DEAD || other->state == RF_NODE_LEFT;
    bool is_where_it_was = rf_address_equal(&other->address, &sim->nodes[subject].address);
    if (belief->is_known && is_where_it_was) { /* else its name was taken over */
        RF_ASSERT(other->incarnation >= belief->incarnation);
        RF_ASSERT(!belief->is_gone || is_gone || other->incarnation > belief->incarnation);
    }
    belief->is_known = is_where_it_was;
    belief->incarnation = other->incarnation;
    belief->is_gone = is_gone;
}

static void check_by_name(struct rf_sim *sim, uint32_t index, struct rf_slice name)
{
    struct rf_sim_node *node = &sim->nodes[index];
    if (!reserve(sim, node) || node->serf == NULL) {
        return;
    }
    const struct rf_node *other = rf_node_table_find(&node->serf->swim.nodes, name);
    if (other != NULL) {
        check_entry(sim, node, other);
        return;
    }
    size_t subject = rf_sim_index(sim, (const char *)name.data, name.size);
    if (subject < sim->nodes_count) {
        node->beliefs[subject].is_known = false; /* forgotten: it may come back as it was */
    }
}

void rf_sim_check_name(struct rf_sim *sim, uint32_t index, struct rf_slice name)
{
    check_by_name(sim, index, name);
}

/* The node that a message of the three kinds is about. */
static bool is_about(struct rf_slice bytes, struct rf_slice *ret_name)
{
    struct rf_message message;
    if (bytes.size == 0 || bytes.data[0] < RF_MESSAGE_SUSPECT || bytes.data[0] > RF_MESSAGE_DEAD ||
        rf_message_decode(bytes, &message) < 0) {
        return false;
    }
    *ret_name = message.type == RF_MESSAGE_SUSPECT ? message.suspect.node
                : message.type == RF_MESSAGE_ALIVE ? message.alive.node
                                                   : message.dead.node;
    return true;
}

void rf_sim_check_before(struct rf_sim *sim, uint32_t index, struct rf_slice message)
{
    struct rf_slice name;
    if (sim->checks_beliefs && is_about(message, &name)) {
        check_by_name(sim, index, name);
    }
}

void rf_sim_check_after(struct rf_sim *sim, uint32_t index, struct rf_slice message)
{
    rf_sim_check_before(sim, index, message);
}

void rf_sim_check_all(struct rf_sim *sim, uint32_t index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    const struct rf_node_table *table = &node->serf->swim.nodes;
    for (size_t i = 0; i < table->count && reserve(sim, node); i++) {
        check_entry(sim, node, table->list[i]);
    }
}

/* Transmissions stay below the limit, which grows with the cluster: the highest so far counts. */
static void check_queues(struct rf_sim_node *node)
{
    const struct rf_swim *swim = &node->serf->swim;
    if (swim->nodes.count > node->nodes_seen || swim->user_members_count > node->nodes_seen) {
        node->nodes_seen = swim->nodes.count > swim->user_members_count ? swim->nodes.count
                                                                        : swim->user_members_count;
        node->transmit_limit =
            rf_broadcast_transmit_limit(swim->config.retransmit_mult, node->nodes_seen);
    }
    RF_ASSERT(swim->queue.count <= swim->queue.count_max);
    RF_ASSERT(rf_broadcast_transmits_max(&swim->queue) < node->transmit_limit);
    for (size_t i = 0; i < RF_SWIM_USER_QUEUES; i++) {
        const struct rf_broadcast_queue *queue = &swim->user_queues[i];
        RF_ASSERT(queue->count <= queue->count_max);
        RF_ASSERT(rf_broadcast_transmits_max(queue) < node->transmit_limit);
    }
    RF_ASSERT(swim->nodes.count <= swim->config.nodes_max);
    RF_ASSERT(swim->relays_count <= RF_SWIM_RELAYS_MAX);
    RF_ASSERT(swim->exchanges_count <= RF_SWIM_EXCHANGES_MAX);
    RF_ASSERT(swim->up.count == 0 && !swim->out.is_lost);
}

void rf_sim_check_node(struct rf_sim *sim, uint32_t index)
{
    struct rf_sim_node *node = &sim->nodes[index];
    const struct rf_swim *swim = &node->serf->swim;
    RF_ASSERT(swim->incarnation >= node->own_incarnation);
    node->own_incarnation = swim->incarnation;
    check_queues(node);
    if (swim->nodes.count < node->table_count && node->beliefs != NULL) {
        memset(node->beliefs, 0, sim->nodes_capacity * sizeof(struct rf_sim_belief));
        rf_sim_check_all(sim, index); /* some were forgotten, and may come back as they were */
    }
    node->table_count = swim->nodes.count;
    if (sim->events % TURN_EVERY == 0 && reserve(sim, node)) {
        node->beliefs_next =
            node->beliefs_next + 1 < swim->nodes.count ? node->beliefs_next + 1 : 0;
        check_entry(sim, node, swim->nodes.list[node->beliefs_next]);
    }
    if (sim->events % SOUND_EVERY == 0) {
        rf_serf_check(node->serf);
    }
}
