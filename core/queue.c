/* SPDX-License-Identifier: MIT */
#include "core/queue.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/assert.h"

enum { LINE_SIZE = 64 };

/*
 * Not ck_ring: that copies slots by plain accesses ordered in assembly, which the thread sanitizer
 * cannot see and which cannot be told from outside without telling too much. These two indices in
 * C11 atomics are as fast, need no annotation, and every test run checks them.
 *
 * Indices count up for ever; head - tail is the number of items. Each side writes one line.
 */
struct rf_queue {
    size_t capacity;
    void **slots;

    /* The producer's line. */
    _Alignas(LINE_SIZE) _Atomic(uint64_t) head; /* items ever pushed */
    uint64_t tail_seen;

    /* The consumer's line. */
    _Alignas(LINE_SIZE) _Atomic(uint64_t) tail; /* items ever popped */
    uint64_t head_seen;
};

int rf_queue_new(size_t capacity, struct rf_queue **ret_queue, struct rf_error *err)
{
    if (capacity < 1 || capacity > RF_QUEUE_CAPACITY_MAX || (capacity & (capacity - 1)) != 0) {
        return rf_error_set(err, -EINVAL, "queue of %zu items: allowed are powers of two, 1..%d",
                            capacity, RF_QUEUE_CAPACITY_MAX);
    }
    struct rf_queue *queue = aligned_alloc(LINE_SIZE, sizeof(*queue));
    void **slots = calloc(capacity, sizeof(slots[0]));
    if (queue == NULL || slots == NULL) {
        free(queue);
        free(slots);
        return rf_error_set(err, -ENOMEM, "queue of %zu items", capacity);
    }
    *queue = (struct rf_queue){.capacity = capacity, .slots = slots};
    *ret_queue = queue;
    return 0;
}

void rf_queue_free(struct rf_queue *queue)
{
    if (queue != NULL) {
        free(queue->slots);
        free(queue);
    }
}

bool rf_queue_push(struct rf_queue *queue, void *item)
{
    RF_ASSERT(item != NULL);
    const uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    if (head - queue->tail_seen == queue->capacity) {
        queue->tail_seen = atomic_load_explicit(&queue->tail, memory_order_acquire);
        if (head - queue->tail_seen == queue->capacity) {
            return false;
        }
    }
    queue->slots[head & (queue->capacity - 1)] = item;
    atomic_store_explicit(&queue->head, head + 1, memory_order_release);
    return true;
}

void *rf_queue_pop(struct rf_queue *queue)
{
    const uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    if (tail == queue->head_seen) {
        queue->head_seen = atomic_load_explicit(&queue->head, memory_order_acquire);
        if (tail == queue->head_seen) {
            return NULL;
        }
    }
    void *item = queue->slots[tail & (queue->capacity - 1)];
    atomic_store_explicit(&queue->tail, tail + 1, memory_order_release);
    return item;
}
