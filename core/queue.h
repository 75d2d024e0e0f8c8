/* SPDX-License-Identifier: MIT
 *
 * queue.h - a bounded queue of pointers from one thread to another.
 *
 * Neither side ever waits. When the queue is full the item is not taken, and the producer knows.
 * Method: Lamport's single-producer single-consumer ring ("Specifying Concurrent Program
 * Modules", TOPLAS 1983), each side keeping the other's index as it last saw it.
 */
#ifndef RF_CORE_QUEUE_H
#define RF_CORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

enum { RF_QUEUE_CAPACITY_MAX = 1 << 20 }; /* 8 MiB of pointers; a longer queue only hides a stall */

struct rf_queue; /* private to queue.c */

/*
 * An empty queue for `capacity` items: a power of two, 1..RF_QUEUE_CAPACITY_MAX.
 * Errors: -EINVAL another capacity; -ENOMEM. *ret_queue is untouched then.
 */
RF_NODISCARD int rf_queue_new(size_t capacity, struct rf_queue **ret_queue, struct rf_error *err);

/* Both sides must have stopped. Items still in it are the caller's: pop them first. NULL: nothing.
 */
void rf_queue_free(struct rf_queue *queue);

/*
 * Appends `item` (not NULL), and everything written to it before is seen by who pops it. Returns
 * false if the queue is full: the item stays the caller's. Threads: the producer.
 */
bool rf_queue_push(struct rf_queue *queue, void *item);

/* Takes the oldest item, or NULL if there is none. Threads: the consumer. */
void *rf_queue_pop(struct rf_queue *queue);

#endif
