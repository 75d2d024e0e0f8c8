/* SPDX-License-Identifier: MIT
 *
 * broadcast.h - messages waiting to be spread by gossip, fewest transmissions first (rule 14.1).
 *
 * Kept as one array sorted by (transmissions, larger first, newer first), so that filling a packet
 * is one pass of binary searches. Insertion moves pointers: 32 KiB for a full queue of 4096, about
 * a microsecond; memberlist's tree would cost a cache miss a level.
 */
#ifndef RF_GOSSIP_BROADCAST_H
#define RF_GOSSIP_BROADCAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gossip/name_table.h"
#include "gossip/slice.h"

/* Whom to tell that a message is finished: sent often enough, replaced or dropped. */
enum rf_broadcast_notice {
    RF_BROADCAST_QUIET = 0,
    RF_BROADCAST_LEAVE = 1 << 0,
    RF_BROADCAST_FORGET = 1 << 1,
};

struct rf_broadcast; /* private */

struct rf_broadcast_queue {
    struct rf_broadcast **items; /* sorted, see above */
    size_t count;
    size_t capacity;
    size_t count_max;           /* beyond it the most transmitted is dropped */
    size_t size_max;            /* a larger message would never fit a packet: it is not queued */
    struct rf_name_table names; /* of named messages */
    uint64_t next_id;
    uint32_t finished; /* bits of rf_broadcast_notice that were reached and not yet taken */
    uint64_t dropped;  /* messages that were pruned, too large, or for which memory was short */
};

/* What one take may do. */
struct rf_broadcast_limits {
    size_t bytes;            /* to fill, overheads included */
    size_t overhead;         /* of each message */
    size_t count;            /* messages at most */
    uint32_t transmit_limit; /* a message is finished when it has been sent this often */
};

/* Where taken messages are copied to, one after the other. */
struct rf_broadcast_sink {
    uint8_t *bytes; /* borrowed; room for limits.bytes more than bytes_size */
    size_t bytes_size;
    uint16_t *sizes; /* borrowed; room for limits.count more than count */
    size_t count;
    int prefix; /* put before each message if >= 0: the type byte of a user message */
};

/* Nothing is allocated before the first message. `seed` makes name hashes hard to guess. */
void rf_broadcast_init(struct rf_broadcast_queue *queue, size_t count_max, size_t size_max,
                       uint64_t seed);
void rf_broadcast_fini(struct rf_broadcast_queue *queue);

/*
 * Queues a copy of `message`. With a name (not empty) it replaces the queued one of that name,
 * which counts as finished. Returns whether it is queued; if not it is counted in `dropped`. One
 * that is too large counts as finished; one that memory was short for does not: it may be queued
 * again.
 */
bool rf_broadcast_queue(struct rf_broadcast_queue *queue, struct rf_slice name,
                        struct rf_slice message, enum rf_broadcast_notice notice);

/*
 * Copies messages into `sink` until nothing more fits: fewest transmissions first, of those the
 * largest that fits, of those the newest; none twice. Returns the bytes used of limits->bytes.
 */
size_t rf_broadcast_take(struct rf_broadcast_queue *queue, const struct rf_broadcast_limits *limits,
                         struct rf_broadcast_sink *sink);

/* Whether such a message has been finished since the last call with that bit. */
bool rf_broadcast_finished(struct rf_broadcast_queue *queue, enum rf_broadcast_notice notice);

/* retransmit_mult x ceil(log10(n + 1)). */
uint32_t rf_broadcast_transmit_limit(uint32_t retransmit_mult, size_t n);

/* How often the message that was sent most often has been sent; 0: none is queued. O(1). */
uint32_t rf_broadcast_transmits_max(const struct rf_broadcast_queue *queue);

/* Asserts order, bounds and names. O(count). */
void rf_broadcast_check(const struct rf_broadcast_queue *queue);

#endif
