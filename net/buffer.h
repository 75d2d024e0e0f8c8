/* SPDX-License-Identifier: MIT
 *
 * buffer.h - the buffers that connections hold while bytes wait: a worker's pool of them.
 *
 * Four sizes: small, for the beginning of a request that came cut; medium, for what a receive or
 * two brought to a connection that cannot answer now; large, for replies; and as large as asked
 * for, for a reply or input that is larger. A connection has none while nothing waits. All that the
 * pool has given out stays below one limit.
 */
#ifndef RF_NET_BUFFER_H
#define RF_NET_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RF_BUFFER_SMALL_SIZE = 4 * 1024, /* with its head: a page */
    RF_BUFFER_MEDIUM_SIZE = 20 * 1024,
    RF_BUFFER_LARGE_SIZE = 64 * 1024 + 64, /* with its head: the largest page of a list */
    RF_BUFFER_CLASSES_COUNT = 3,           /* of these sizes */
    RF_BUFFERS_SPARE_MAX = 64,             /* of each class, kept for the next: 6 MiB a worker */
};

/* Bytes [begin, end) of data are in use. */
struct rf_buffer {
    struct rf_buffer *next; /* private: spare ones */
    uint32_t size_max;      /* of data */
    uint32_t begin;
    uint32_t end;
    uint8_t data[];
};

/* One thread's. Zeroed but for size_max: an empty pool. */
struct rf_buffer_pool {
    uint64_t size_max; /* bytes given out, at most */
    uint64_t size;     /* bytes given out */
    struct rf_buffer *spare[RF_BUFFER_CLASSES_COUNT];
    unsigned spare_count[RF_BUFFER_CLASSES_COUNT];
};

/* An empty buffer for at least `size` bytes, >= 1. NULL: the limit is reached, or no memory. */
struct rf_buffer *rf_buffer_get(struct rf_buffer_pool *pool, size_t size);

/* Gives a buffer back; NULL is allowed. */
void rf_buffer_put(struct rf_buffer_pool *pool, struct rf_buffer *buffer);

/*
 * Appends to *buffer (NULL: none yet), which moves into a larger one if it must. Returns whether
 * there was memory; if not, nothing has changed.
 */
bool rf_buffer_append(struct rf_buffer_pool *pool, struct rf_buffer **buffer, const uint8_t *data,
                      size_t size);

/* Frees the spare ones; all others must be back. */
void rf_buffer_pool_fini(struct rf_buffer_pool *pool);

/* Whether more than half is given out: then those that wait for a peer should ask for no more. */
static inline bool rf_buffer_pool_is_scarce(const struct rf_buffer_pool *pool)
{
    return pool->size > pool->size_max / 2;
}

/* Whether more than three quarters are: then those that wait for a peer get no more. */
static inline bool rf_buffer_pool_is_short(const struct rf_buffer_pool *pool)
{
    return pool->size > pool->size_max / 4 * 3;
}

static inline size_t rf_buffer_used(const struct rf_buffer *buffer)
{
    return buffer == NULL ? 0 : buffer->end - buffer->begin;
}

static inline size_t rf_buffer_room(const struct rf_buffer *buffer)
{
    return buffer->size_max - buffer->end;
}

#endif
