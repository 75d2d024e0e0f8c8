/* SPDX-License-Identifier: MIT
 *
 * sim_events.c - what is to come: a heap of events, a heap of the nodes' next ticks, and the arena
 * that packets live in. A tick is a node's one, moved in place, so none is ever stale.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "tests/sim/sim_private.h"

enum {
    HEAP_ARITY = 4,       /* half as deep as a binary one, and children share cache lines */
    CLASS_MIN_SHIFT = 7,  /* the smallest packet in the arena has 128 bytes, */
    CLASS_MAX_SHIFT = 12, /* the largest 4096; push/pulls of more are few and come from malloc */
    CLASS_LARGE = 15,
};

/* ---- the arena ---- */

static uint8_t class_of(size_t size)
{
    uint8_t shift = CLASS_MIN_SHIFT;
    while (shift <= CLASS_MAX_SHIFT && ((size_t)1 << shift) < size) {
        shift++;
    }
    return shift > CLASS_MAX_SHIFT ? CLASS_LARGE : (uint8_t)(shift - CLASS_MIN_SHIFT);
}

struct rf_sim_packet *rf_sim_packet_new(struct rf_sim *sim, const uint8_t *bytes, size_t size)
{
    size_t whole = sizeof(struct rf_sim_packet) + size;
    uint8_t size_class = class_of(whole);
    struct rf_sim_packet *packet = sim->free_packets[size_class];
    if (packet != NULL) {
        sim->free_packets[size_class] = packet->next;
    } else {
        packet =
            malloc(size_class == CLASS_LARGE ? whole : (size_t)1 << (size_class + CLASS_MIN_SHIFT));
        RF_ASSERT(packet != NULL);
    }
    memset(packet, 0, sizeof(*packet));
    packet->size_class = size_class;
    packet->size = size;
    if (size > 0) {
        memcpy(packet->bytes, bytes, size);
    }
    return packet;
}

void rf_sim_packet_free(struct rf_sim *sim, struct rf_sim_packet *packet)
{
    if (packet == NULL) {
        return;
    }
    if (packet->size_class == CLASS_LARGE) {
        free(packet);
        return;
    }
    packet->next = sim->free_packets[packet->size_class];
    sim->free_packets[packet->size_class] = packet;
}

/* ---- events ---- */

static bool is_before(const struct rf_sim_event *a, const struct rf_sim_event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

void rf_sim_push(struct rf_sim *sim, struct rf_sim_event event)
{
    event.order = sim->events_made++;
    if (sim->heap_count == sim->heap_capacity) {
        sim->heap_capacity = sim->heap_capacity == 0 ? 64 : 2 * sim->heap_capacity;
        sim->heap = realloc(sim->heap, sim->heap_capacity * sizeof(sim->heap[0]));
        RF_ASSERT(sim->heap != NULL);
    }
    size_t i = sim->heap_count++;
    while (i > 0 && is_before(&event, &sim->heap[(i - 1) / HEAP_ARITY])) {
        sim->heap[i] = sim->heap[(i - 1) / HEAP_ARITY];
        i = (i - 1) / HEAP_ARITY;
    }
    sim->heap[i] = event;
}

uint64_t rf_sim_next_ns(const struct rf_sim *sim)
{
    return sim->heap_count == 0 ? UINT64_MAX : sim->heap[0].at_ns;
}

struct rf_sim_event rf_sim_pop(struct rf_sim *sim)
{
    RF_ASSERT(sim->heap_count > 0);
    struct rf_sim_event first = sim->heap[0];
    struct rf_sim_event last = sim->heap[--sim->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = HEAP_ARITY * i + 1;
        size_t end = child + HEAP_ARITY < sim->heap_count ? child + HEAP_ARITY : sim->heap_count;
        size_t least = child;
        for (size_t k = child + 1; k < end; k++) {
            least = is_before(&sim->heap[k], &sim->heap[least]) ? k : least;
        }
        if (child >= end || !is_before(&sim->heap[least], &last)) {
            break;
        }
        sim->heap[i] = sim->heap[least];
        i = least;
    }
    if (sim->heap_count > 0) {
        sim->heap[i] = last;
    }
    return first;
}

/* ---- ticks ---- */

/* Of equal times the node with the smaller index is first: no history decides. */
static bool ticks_before(const struct rf_sim *sim, uint32_t a, uint32_t b)
{
    uint64_t a_ns = sim->nodes[a].tick_at_ns;
    uint64_t b_ns = sim->nodes[b].tick_at_ns;
    return a_ns < b_ns || (a_ns == b_ns && a < b);
}

static void tick_place(struct rf_sim *sim, size_t place, uint32_t index)
{
    sim->ticks[place] = index;
    sim->nodes[index].tick_index = place;
}

static void tick_up(struct rf_sim *sim, size_t place)
{
    uint32_t index = sim->ticks[place];
    while (place > 0 && ticks_before(sim, index, sim->ticks[(place - 1) / HEAP_ARITY])) {
        tick_place(sim, place, sim->ticks[(place - 1) / HEAP_ARITY]);
        place = (place - 1) / HEAP_ARITY;
    }
    tick_place(sim, place, index);
}

static void tick_down(struct rf_sim *sim, size_t place)
{
    uint32_t index = sim->ticks[place];
    for (;;) {
        size_t child = HEAP_ARITY * place + 1;
        size_t end = child + HEAP_ARITY < sim->ticks_count ? child + HEAP_ARITY : sim->ticks_count;
        size_t least = child;
        for (size_t k = child + 1; k < end; k++) {
            least = ticks_before(sim, sim->ticks[k], sim->ticks[least]) ? k : least;
        }
        if (child >= end || !ticks_before(sim, sim->ticks[least], index)) {
            break;
        }
        tick_place(sim, place, sim->ticks[least]);
        place = least;
    }
    tick_place(sim, place, index);
}

void rf_sim_tick_add(struct rf_sim *sim, uint32_t index)
{
    sim->nodes[index].tick_at_ns = UINT64_MAX;
    tick_place(sim, sim->ticks_count++, index);
}

void rf_sim_tick_set(struct rf_sim *sim, uint32_t index, uint64_t at_ns)
{
    struct rf_sim_node *node = &sim->nodes[index];
    if (node->tick_at_ns == at_ns) {
        return;
    }
    bool is_earlier = at_ns < node->tick_at_ns;
    node->tick_at_ns = at_ns;
    if (is_earlier) {
        tick_up(sim, node->tick_index);
    } else {
        tick_down(sim, node->tick_index);
    }
}

void rf_sim_events_fini(struct rf_sim *sim)
{
    while (sim->heap_count > 0) {
        struct rf_sim_event event = rf_sim_pop(sim);
        if (event.type <= RF_SIM_EVENT_REPLY) {
            rf_sim_packet_free(sim, event.packet);
        }
    }
    for (size_t i = 0; i < sizeof(sim->free_packets) / sizeof(sim->free_packets[0]); i++) {
        while (sim->free_packets[i] != NULL) {
            struct rf_sim_packet *packet = sim->free_packets[i];
            sim->free_packets[i] = packet->next;
            free(packet);
        }
    }
    free(sim->heap);
    free(sim->ticks);
}
