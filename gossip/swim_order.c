/* SPDX-License-Identifier: MIT
 *
 * swim_order.c - whom to probe when (rule 11). Ours, not memberlist's, which walks a list that each
 * node shuffles for itself: then nobody at all probes a node for t intervals with probability e^-t,
 * and one crash in a hundred goes unnoticed for 4.6 of them.
 *
 * Here the nodes take turns. All stand in a circle, ordered by a hash of their names that is the
 * same for all, and in interval k each probes the one that stands d(k) places further on. So each
 * is probed by exactly one other in each interval, if all see the same members and agree on k,
 * which is the wall clock's time divided by the interval. Where they do not agree the turns are as
 * random as the shuffled lists were; nothing else depends on the clock.
 *
 * In n - 1 intervals, a round, d takes every value from 1 to n - 1 once: as in "SWIM", DSN 2002,
 * section 4.3, a pair meets again after at most 2n - 3 intervals. d goes in steps that change with
 * each round, so that a node that skips every other probe does not skip the same ones for ever.
 */
#include <stdlib.h>

#include "core/assert.h"
#include "gossip/swim_private.h"

/* Where in the circle a node stands. */
struct rf_swim_place {
    uint64_t hash;
    struct rf_node *node;
};

enum { NAME_HASH_SEED = 0x7377696d /* any that all agree on */ };

static bool stands(const struct rf_node *node)
{
    return node->state == RF_NODE_ALIVE || node->state == RF_NODE_SUSPECT;
}

static int compare(const void *a, const void *b)
{
    const struct rf_swim_place *left = a;
    const struct rf_swim_place *right = b;
    if (left->hash != right->hash) {
        return left->hash < right->hash ? -1 : 1;
    }
    /* equal hashes: by name, which all see alike too */
    struct rf_slice left_name = left->node->link.name;
    struct rf_slice right_name = right->node->link.name;
    size_t size = left_name.size < right_name.size ? left_name.size : right_name.size;
    int order = memcmp(left_name.data, right_name.data, size);
    return order != 0 ? order : left_name.size < right_name.size ? -1 : 1;
}

/* Brings the circle up to date. False: out of memory, or we do not stand in it. */
static bool refresh(struct rf_swim_order *order, const struct rf_node_table *table,
                    const struct rf_node *self)
{
    if (order->version == table->version && order->count > 0) {
        return true;
    }
    size_t count = table->state_counts[RF_NODE_ALIVE] + table->state_counts[RF_NODE_SUSPECT];
    if (count > order->capacity) {
        struct rf_swim_place *places = realloc(order->places, 2 * count * sizeof(places[0]));
        if (places == NULL) {
            return false;
        }
        order->places = places;
        order->capacity = 2 * count;
    }
    order->count = 0;
    for (size_t i = 0; i < table->count; i++) {
        struct rf_node *node = table->list[i];
        if (stands(node)) {
            order->places[order->count++] =
                (struct rf_swim_place){rf_name_hash(NAME_HASH_SEED, node->link.name), node};
        }
    }
    RF_ASSERT(order->count == count);
    if (!stands(self)) { /* we are leaving */
        order->count = 0;
        return false;
    }
    qsort(order->places, count, sizeof(order->places[0]), compare);
    order->self_index = 0;
    while (order->places[order->self_index].node != self) {
        order->self_index++;
    }
    order->version = table->version;
    return true;
}

static uint64_t mix(uint64_t value)
{
    struct rf_random random = {.state = value};
    return rf_random_next(&random);
}

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* d(k): over a round, `others` intervals, a permutation of 1 .. others. */
static uint64_t distance(uint64_t interval, uint64_t others)
{
    uint64_t hash = mix(interval / others);
    uint64_t step = 1 + hash % others;
    while (greatest_common_divisor(step, others) != 1) {
        step = step % others + 1;
    }
    uint64_t start = mix(hash) % others;
    return 1 + (start + interval % others * step) % others;
}

struct rf_node *rf_swim_order_target(struct rf_swim *swim, uint64_t now_ns)
{
    struct rf_swim_order *order = &swim->order;
    uint64_t interval = (now_ns + order->clock_offset_ns) / swim->config.probe_interval_ns;
    uint64_t round = interval / swim->nodes.count;
    if (round != order->round) {
        order->round = round;
        rf_swim_purge(swim, now_ns); /* 10.6 */
    }
    if (!refresh(order, &swim->nodes, swim->self) || order->count < 2) {
        return NULL;
    }
    uint64_t place = order->self_index + distance(interval, order->count - 1);
    struct rf_node *node = order->places[place % order->count].node;
    RF_ASSERT(node != swim->self && stands(node));
    return node;
}

void rf_swim_order_fini(struct rf_swim_order *order)
{
    free(order->places);
    *order = (struct rf_swim_order){0};
}
