/* SPDX-License-Identifier: MIT
 *
 * swim_appeal.c - accusations reach the accused, and its answer the accuser. Ours, not
 * memberlist's, which leaves both to gossip.
 *
 * A node whose network loses most of what it sends suspects others all the time, nobody hears of
 * it, so nobody refutes, and the death that it declares in the end may get through. And who missed
 * the one refutation by gossip waits for a push/pull, while the suspect, asked again, ignores an
 * accusation that it has refuted. So an accuser tells the suspect once in each probe interval, and
 * whoever is accused answers the accuser alone, also if it has answered before.
 */
#include "core/assert.h"
#include "gossip/swim_private.h"

enum { APPEALS_MAX = 4 }; /* in each interval: of a node that suspects everybody it is the fault */

void rf_swim_appeals(struct rf_swim *swim)
{
    if (swim->suspects_count == 0) {
        return;
    }
    uint64_t self_hash = rf_name_hash(swim->nodes.names.seed, swim->self->link.name);
    size_t first = rf_random_below(&swim->random, swim->suspects_count);
    int sent = 0;
    for (size_t i = 0; i < swim->suspects_count && sent < APPEALS_MAX; i++) {
        const struct rf_node *node = swim->suspects[(first + i) % swim->suspects_count];
        if (!rf_suspicion_has_accuser(node->suspicion, self_hash)) {
            continue;
        }
        struct rf_message message = {.type = RF_MESSAGE_SUSPECT,
                                     .suspect = {.incarnation = node->incarnation,
                                                 .node = node->link.name,
                                                 .from = swim->self->link.name}};
        rf_swim_send_alone(swim, &node->address, &message);
        swim->stats.appeals++;
        sent++;
    }
}

void rf_swim_answer_accuser(struct rf_swim *swim, uint64_t now_ns, struct rf_slice accuser)
{
    const struct rf_node *self = swim->self;
    struct rf_node *node = rf_node_table_find(&swim->nodes, accuser);
    if (node == NULL || node == self || self->state != RF_NODE_ALIVE ||
        !rf_swim_is_first(&node->told_ns, now_ns)) {
        return;
    }
    struct rf_message message = {.type = RF_MESSAGE_ALIVE,
                                 .alive = {.incarnation = self->incarnation,
                                           .node = self->link.name,
                                           .address = self->address,
                                           .meta = rf_slice(self->meta, self->meta_size)}};
    memcpy(message.alive.vsn, self->vsn, RF_VSN_SIZE);
    rf_swim_send_alone(swim, &node->address, &message);
}
