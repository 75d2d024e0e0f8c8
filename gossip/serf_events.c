/* SPDX-License-Identifier: MIT
 *
 * serf_events.c - which user events and queries were seen already (rules 21, 22.1). Events are kept
 * whole, since push/pulls carry them to those who missed them; of queries only the ids.
 */
#include <stdlib.h>

#include "core/assert.h"
#include "gossip/serf_private.h"

/* ---- user events ---- */

static size_t event_size(const struct rf_event *event)
{
    return sizeof(*event) + event->name_size + event->payload_size;
}

static void slot_clear(struct rf_serf *serf, struct rf_event_slot *slot)
{
    while (slot->first != NULL) {
        struct rf_event *event = slot->first;
        slot->first = event->next;
        serf->event_bytes -= event_size(event);
        free(event);
    }
    slot->count = 0;
}

/*
 * Frees the oldest slots until `size` more bytes are allowed. What they held is still being
 * gossiped, and would be news again each time it comes: from now on it is too old.
 */
static void make_room(struct rf_serf *serf, size_t size)
{
    while (serf->event_bytes + size > RF_SERF_EVENT_BYTES_MAX && serf->event_bytes > 0) {
        struct rf_event_slot *oldest = NULL;
        for (size_t i = 0; i < RF_SERF_EVENT_SLOTS; i++) {
            struct rf_event_slot *slot = &serf->event_slots[i];
            if (slot->first != NULL && (oldest == NULL || slot->ltime < oldest->ltime)) {
                oldest = slot;
            }
        }
        RF_ASSERT(oldest != NULL);
        slot_clear(serf, oldest);
        serf->event_time_min = oldest->ltime + 1;
        serf->stats.serf_dropped_limit++;
    }
}

static bool has_event(const struct rf_event_slot *slot, struct rf_slice name,
                      struct rf_slice payload)
{
    for (const struct rf_event *event = slot->first; event != NULL; event = event->next) {
        if (rf_slice_equal(rf_slice(event->bytes, event->name_size), name) &&
            rf_slice_equal(rf_slice(event->bytes + event->name_size, event->payload_size),
                           payload)) {
            return true;
        }
    }
    return false;
}

/* Whether a time is older than what the buffers reach back to. */
static bool is_too_old(uint64_t clock, uint64_t ltime)
{
    return clock > RF_SERF_EVENT_SLOTS && ltime < clock - RF_SERF_EVENT_SLOTS;
}

static struct rf_event *event_make(struct rf_slice name, struct rf_slice payload)
{
    struct rf_event *event = malloc(sizeof(*event) + name.size + payload.size);
    if (event == NULL) {
        return NULL;
    }
    *event =
        (struct rf_event){.name_size = (uint32_t)name.size, .payload_size = (uint32_t)payload.size};
    if (name.size > 0) {
        memcpy(event->bytes, name.data, name.size);
    }
    if (payload.size > 0) {
        memcpy(event->bytes + name.size, payload.data, payload.size);
    }
    return event;
}

bool rf_serf_event_new(struct rf_serf *serf, uint64_t ltime, struct rf_slice name,
                       struct rf_slice payload)
{
    if (rf_ltime_is_absurd(serf->event_time, ltime)) {
        serf->stats.serf_dropped_absurd++;
        return false;
    }
    rf_clock_witness(&serf->event_time, ltime);
    if (ltime < serf->event_time_min || is_too_old(serf->event_time, ltime)) {
        serf->stats.serf_dropped_old++;
        return false;
    }
    if (name.size + payload.size > RF_USER_EVENT_SIZE_HARD_MAX) {
        serf->stats.serf_dropped_limit++;
        return false;
    }
    if (serf->event_slots == NULL) {
        serf->event_slots = calloc(RF_SERF_EVENT_SLOTS, sizeof(serf->event_slots[0]));
    }
    struct rf_event *event = serf->event_slots == NULL ? NULL : event_make(name, payload);
    if (event == NULL) {
        serf->stats.serf_dropped_memory++;
        return false;
    }
    struct rf_event_slot *slot = &serf->event_slots[ltime % RF_SERF_EVENT_SLOTS];
    if (slot->ltime != ltime) {
        slot_clear(serf, slot);
        slot->ltime = ltime;
    }
    if (has_event(slot, name, payload)) {
        serf->stats.repeats++;
        free(event);
        return false;
    }
    if (slot->count >= RF_SERF_SLOT_EVENTS_MAX) {
        serf->stats.serf_dropped_limit++;
        free(event);
        return false;
    }
    make_room(serf, event_size(event));
    event->next = slot->first;
    slot->first = event;
    slot->count++;
    serf->event_bytes += event_size(event);
    return true;
}

/* ---- queries ---- */

static bool ids_reserve(struct rf_query_slot *slot)
{
    if (slot->count < slot->capacity) {
        return true;
    }
    uint32_t capacity = slot->capacity == 0 ? 4 : 2 * slot->capacity;
    uint32_t *ids = realloc(slot->ids, capacity * sizeof(ids[0]));
    if (ids == NULL) {
        return false;
    }
    slot->ids = ids;
    slot->capacity = capacity;
    return true;
}

size_t rf_serf_queries_kept(const struct rf_serf *serf)
{
    size_t count = 0;
    for (size_t i = 0; serf->query_slots != NULL && i < RF_SERF_EVENT_SLOTS; i++) {
        count += serf->query_slots[i].count;
    }
    return count;
}

bool rf_serf_query_new(struct rf_serf *serf, uint64_t ltime, uint32_t id)
{
    if (rf_ltime_is_absurd(serf->query_time, ltime)) {
        serf->stats.serf_dropped_absurd++;
        return false;
    }
    rf_clock_witness(&serf->query_time, ltime);
    if (ltime < serf->query_time_min || is_too_old(serf->query_time, ltime)) {
        serf->stats.serf_dropped_old++;
        return false;
    }
    if (serf->query_slots == NULL) {
        serf->query_slots = calloc(RF_SERF_EVENT_SLOTS, sizeof(serf->query_slots[0]));
    }
    if (serf->query_slots == NULL) {
        serf->stats.serf_dropped_memory++;
        return false;
    }
    struct rf_query_slot *slot = &serf->query_slots[ltime % RF_SERF_EVENT_SLOTS];
    if (slot->ltime != ltime) {
        slot->ltime = ltime;
        slot->count = 0;
    }
    for (uint32_t i = 0; i < slot->count; i++) {
        if (slot->ids[i] == id) {
            serf->stats.repeats++;
            return false;
        }
    }
    if (slot->count >= RF_SERF_SLOT_EVENTS_MAX) {
        serf->stats.serf_dropped_limit++;
        return false;
    }
    if (!ids_reserve(slot)) {
        serf->stats.serf_dropped_memory++;
        return false;
    }
    slot->ids[slot->count++] = id;
    return true;
}

void rf_serf_events_fini(struct rf_serf *serf)
{
    for (size_t i = 0; i < RF_SERF_EVENT_SLOTS; i++) {
        if (serf->event_slots != NULL) {
            slot_clear(serf, &serf->event_slots[i]);
        }
        if (serf->query_slots != NULL) {
            free(serf->query_slots[i].ids);
        }
    }
    free(serf->event_slots);
    free(serf->query_slots);
}

void rf_serf_events_check(const struct rf_serf *serf)
{
    size_t bytes = 0;
    for (size_t i = 0; i < RF_SERF_EVENT_SLOTS && serf->event_slots != NULL; i++) {
        const struct rf_event_slot *slot = &serf->event_slots[i];
        uint32_t count = 0;
        for (const struct rf_event *event = slot->first; event != NULL; event = event->next) {
            bytes += event_size(event);
            count++;
        }
        RF_ASSERT(count == slot->count && count <= RF_SERF_SLOT_EVENTS_MAX);
        RF_ASSERT(count == 0 || slot->ltime % RF_SERF_EVENT_SLOTS == i);
        RF_ASSERT(count == 0 || slot->ltime <= serf->event_time);
    }
    RF_ASSERT(bytes == serf->event_bytes);
    RF_ASSERT(bytes <= RF_SERF_EVENT_BYTES_MAX);
    for (size_t i = 0; i < RF_SERF_EVENT_SLOTS && serf->query_slots != NULL; i++) {
        RF_ASSERT(serf->query_slots[i].count <= RF_SERF_SLOT_EVENTS_MAX);
    }
}
