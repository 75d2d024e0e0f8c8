/* SPDX-License-Identifier: MIT
 */
#include "gossip/broadcast.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

struct rf_broadcast {
    struct rf_name_link link; /* first; in the table only if the name is not empty */
    uint64_t id;              /* insertion number: greater is newer */
    uint32_t transmits;
    uint32_t size;
    enum rf_broadcast_notice notice;
    uint8_t bytes[]; /* the message, then the name */
};

enum {
    ITEMS_MIN = 16,
    TAKE_MAX = 255, /* a compound's count is one byte */
};

void rf_broadcast_init(struct rf_broadcast_queue *queue, size_t count_max, size_t size_max,
                       uint64_t seed)
{
    RF_ASSERT(count_max >= 1);
    *queue = (struct rf_broadcast_queue){.count_max = count_max, .size_max = size_max};
    rf_name_table_init(&queue->names, seed);
}

void rf_broadcast_fini(struct rf_broadcast_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++) {
        free(queue->items[i]);
    }
    free(queue->items);
    rf_name_table_fini(&queue->names);
    queue->items = NULL;
    queue->count = 0;
    queue->capacity = 0;
}

/* Below zero: `a` is to be sent before `b`. */
static int compare(const struct rf_broadcast *a, const struct rf_broadcast *b)
{
    if (a->transmits != b->transmits) {
        return a->transmits < b->transmits ? -1 : 1;
    }
    if (a->size != b->size) {
        return a->size > b->size ? -1 : 1;
    }
    return a->id > b->id ? -1 : a->id < b->id;
}

/* The first place from `low` on whose item is not before (transmits, size, newest). */
static size_t lower_bound(const struct rf_broadcast_queue *queue, size_t low, uint32_t transmits,
                          size_t size)
{
    size_t high = queue->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct rf_broadcast *item = queue->items[middle];
        if (item->transmits < transmits || (item->transmits == transmits && item->size > size)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static size_t position(const struct rf_broadcast_queue *queue, const struct rf_broadcast *wanted)
{
    size_t low = 0;
    size_t high = queue->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(queue->items[middle], wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void insert(struct rf_broadcast_queue *queue, struct rf_broadcast *item)
{
    size_t at = position(queue, item);
    memmove(&queue->items[at + 1], &queue->items[at],
            (queue->count - at) * sizeof(queue->items[0]));
    queue->items[at] = item;
    queue->count++;
}

static void finish(struct rf_broadcast_queue *queue, struct rf_broadcast *item)
{
    queue->finished |= (uint32_t)item->notice;
    if (item->link.name.size > 0) {
        rf_name_table_remove(&queue->names, &item->link);
    }
    free(item);
}

static void remove_at(struct rf_broadcast_queue *queue, size_t at)
{
    struct rf_broadcast *item = queue->items[at];
    queue->count--;
    memmove(&queue->items[at], &queue->items[at + 1],
            (queue->count - at) * sizeof(queue->items[0]));
    finish(queue, item);
}

static bool reserve(struct rf_broadcast_queue *queue)
{
    if (queue->count < queue->capacity) {
        return true;
    }
    size_t capacity = queue->capacity == 0 ? ITEMS_MIN : 2 * queue->capacity;
    struct rf_broadcast **items = realloc(queue->items, capacity * sizeof(items[0]));
    if (items == NULL) {
        return false;
    }
    queue->items = items;
    queue->capacity = capacity;
    return true;
}

static struct rf_broadcast *make(struct rf_broadcast_queue *queue, struct rf_slice name,
                                 struct rf_slice message, enum rf_broadcast_notice notice)
{
    struct rf_broadcast *item = malloc(sizeof(*item) + message.size + name.size);
    if (item == NULL) {
        return NULL;
    }
    *item = (struct rf_broadcast){
        .id = queue->next_id++, .size = (uint32_t)message.size, .notice = notice};
    memcpy(item->bytes, message.data, message.size);
    if (name.size > 0) {
        memcpy(item->bytes + message.size, name.data, name.size);
        item->link.name = rf_slice(item->bytes + message.size, name.size);
        if (!rf_name_table_insert(&queue->names, &item->link)) {
            free(item);
            return NULL;
        }
    }
    return item;
}

bool rf_broadcast_queue(struct rf_broadcast_queue *queue, struct rf_slice name,
                        struct rf_slice message, enum rf_broadcast_notice notice)
{
    RF_ASSERT(message.size > 0);
    struct rf_name_link *old = name.size > 0 ? rf_name_table_find(&queue->names, name) : NULL;
    if (old != NULL) {
        remove_at(queue, position(queue, (struct rf_broadcast *)old));
    }
    if (message.size > queue->size_max) {
        queue->dropped++;
        queue->finished |= (uint32_t)notice;
        return false;
    }
    struct rf_broadcast *item = NULL;
    if (reserve(queue)) {
        if (queue->count == queue->count_max) {
            queue->dropped++;
            remove_at(queue, queue->count - 1);
        }
        item = make(queue, name, message, notice);
    }
    if (item == NULL) {
        queue->dropped++;
        return false;
    }
    insert(queue, item);
    return true;
}

static void copy_out(const struct rf_broadcast *item, struct rf_broadcast_sink *sink)
{
    uint8_t *at = sink->bytes + sink->bytes_size;
    size_t size = item->size;
    if (sink->prefix >= 0) {
        *at++ = (uint8_t)sink->prefix;
        size++;
    }
    memcpy(at, item->bytes, item->size);
    sink->bytes_size += size;
    sink->sizes[sink->count++] = (uint16_t)size;
}

/* Puts what was taken from the places in `taken` (ascending) back, one transmission older. */
static void age(struct rf_broadcast_queue *queue, const size_t *taken, size_t taken_count,
                uint32_t transmit_limit)
{
    struct rf_broadcast *items[TAKE_MAX];
    for (size_t i = 0; i < taken_count; i++) {
        items[i] = queue->items[taken[i]];
    }
    size_t to = taken[0];
    for (size_t i = 0; i < taken_count; i++) {
        size_t from = taken[i] + 1;
        size_t end = i + 1 < taken_count ? taken[i + 1] : queue->count;
        memmove(&queue->items[to], &queue->items[from], (end - from) * sizeof(queue->items[0]));
        to += end - from;
    }
    queue->count = to;
    for (size_t i = 0; i < taken_count; i++) {
        if (items[i]->transmits + 1 >= transmit_limit) {
            finish(queue, items[i]);
        } else {
            items[i]->transmits++;
            insert(queue, items[i]);
        }
    }
}

size_t rf_broadcast_take(struct rf_broadcast_queue *queue, const struct rf_broadcast_limits *limits,
                         struct rf_broadcast_sink *sink)
{
    size_t taken[TAKE_MAX];
    size_t taken_count = 0;
    size_t used = 0;
    size_t at = 0;
    while (at < queue->count && taken_count < limits->count && taken_count < TAKE_MAX &&
           limits->bytes > used + limits->overhead) {
        uint32_t transmits = queue->items[at]->transmits;
        at = lower_bound(queue, at, transmits, limits->bytes - used - limits->overhead);
        /* Either the largest that fits of this count, or the first of the next count: look again.
         */
        if (at == queue->count || queue->items[at]->transmits != transmits) {
            continue;
        }
        copy_out(queue->items[at], sink);
        used += queue->items[at]->size + limits->overhead;
        taken[taken_count++] = at++;
    }
    if (taken_count > 0) {
        age(queue, taken, taken_count, limits->transmit_limit);
    }
    return used;
}

bool rf_broadcast_finished(struct rf_broadcast_queue *queue, enum rf_broadcast_notice notice)
{
    bool is_finished = (queue->finished & (uint32_t)notice) != 0;
    queue->finished &= ~(uint32_t)notice;
    return is_finished;
}

uint32_t rf_broadcast_transmit_limit(uint32_t retransmit_mult, size_t n)
{
    uint32_t digits = 0; /* ceil(log10(n + 1)) */
    for (uint64_t power = 1; power < (uint64_t)n + 1; power *= 10) {
        digits++;
    }
    return retransmit_mult * digits;
}

uint32_t rf_broadcast_transmits_max(const struct rf_broadcast_queue *queue)
{
    return queue->count == 0 ? 0 : queue->items[queue->count - 1]->transmits;
}

void rf_broadcast_check(const struct rf_broadcast_queue *queue)
{
    size_t named = 0;
    RF_ASSERT(queue->count <= queue->count_max && queue->count <= queue->capacity);
    for (size_t i = 0; i < queue->count; i++) {
        const struct rf_broadcast *item = queue->items[i];
        RF_ASSERT(i == 0 || compare(queue->items[i - 1], item) < 0);
        RF_ASSERT(item->size > 0 && item->size <= queue->size_max);
        RF_ASSERT(item->id < queue->next_id);
        if (item->link.name.size > 0) {
            named++;
            RF_ASSERT(rf_name_table_find(&queue->names, item->link.name) == &item->link);
        }
    }
    RF_ASSERT(queue->names.count == named);
}
