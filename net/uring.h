/* SPDX-License-Identifier: MIT
 *
 * uring.h - what the io_uring engine and its probe share: making a ring, and its received buffers.
 */
#ifndef RF_NET_URING_H
#define RF_NET_URING_H

#include <liburing.h>

#include "core/error.h"

/* Buffers that the kernel takes for what it receives, and gets back by rf_uring_buffers_recycle. */
struct rf_uring_buffers {
    struct io_uring_buf_ring *ring; /* page-aligned, shared with the kernel */
    uint8_t *data;                  /* count x size */
    unsigned count;                 /* a power of two */
    unsigned size;
};

/*
 * Makes a ring. `features`: enum rf_engine_feature bits, of which RF_ENGINE_DEFER_TASKRUN counts.
 * Ownership: ended by io_uring_queue_exit. Errors: negative errno of io_uring_setup.
 */
RF_NODISCARD int rf_uring_init(struct io_uring *ring, unsigned entries, unsigned features);

/* Registers `count` buffers as group 0. Errors: -ENOMEM; -EINVAL the kernel has no buffer rings. */
RF_NODISCARD int rf_uring_buffers_init(struct rf_uring_buffers *buffers, struct io_uring *ring,
                                       unsigned count, unsigned size);

/* After io_uring_queue_exit of its ring. A zeroed one is allowed. */
void rf_uring_buffers_fini(struct rf_uring_buffers *buffers);

static inline uint8_t *rf_uring_buffer(const struct rf_uring_buffers *buffers, unsigned id)
{
    return buffers->data + (size_t)id * buffers->size;
}

/* Gives buffer `id` back to the kernel. */
static inline void rf_uring_buffers_recycle(struct rf_uring_buffers *buffers, unsigned id)
{
    io_uring_buf_ring_add(buffers->ring, rf_uring_buffer(buffers, id), buffers->size,
                          (unsigned short)id, io_uring_buf_ring_mask(buffers->count), 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
}

#endif
