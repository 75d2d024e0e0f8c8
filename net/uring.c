/* SPDX-License-Identifier: MIT */
#include "net/uring.h"

#include <errno.h>
#include <sys/mman.h>

#include "core/assert.h"
#include "net/engine.h"

enum { CQES_PER_SQE = 4 }; /* multishot operations complete more often than they are asked for */

int rf_uring_init(struct io_uring *ring, unsigned entries, unsigned features)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = entries * CQES_PER_SQE,
    };
    if ((features & RF_ENGINE_DEFER_TASKRUN) != 0) {
        params.flags |=
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    }
    int code = io_uring_queue_init_params(entries, ring, &params);
    if (code < 0) {
        return code;
    }
    /* Completions are never dropped, and waiting takes a timeout (Linux 5.5, 5.11). */
    const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
    if ((ring->features & needed) != needed) {
        io_uring_queue_exit(ring);
        return -EINVAL;
    }
    return 0;
}

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static size_t ring_size(unsigned count)
{
    return count * sizeof(struct io_uring_buf);
}

int rf_uring_buffers_init(struct rf_uring_buffers *buffers, struct io_uring *ring, unsigned count,
                          unsigned size)
{
    RF_ASSERT(count >= 1 && (count & (count - 1)) == 0);
    *buffers = (struct rf_uring_buffers){.count = count, .size = size};
    buffers->ring = map(ring_size(count));
    buffers->data = map((size_t)count * size);
    if (buffers->ring == NULL || buffers->data == NULL) {
        rf_uring_buffers_fini(buffers);
        return -ENOMEM;
    }
    io_uring_buf_ring_init(buffers->ring);
    for (unsigned i = 0; i < count; i++) {
        rf_uring_buffers_recycle(buffers, i);
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)buffers->ring,
        .ring_entries = count,
        .bgid = 0,
    };
    int code = io_uring_register_buf_ring(ring, &registration, 0);
    if (code < 0) {
        rf_uring_buffers_fini(buffers);
    }
    return code;
}

void rf_uring_buffers_fini(struct rf_uring_buffers *buffers)
{
    if (buffers->ring != NULL) {
        (void)munmap(buffers->ring, ring_size(buffers->count));
    }
    if (buffers->data != NULL) {
        (void)munmap(buffers->data, (size_t)buffers->count * buffers->size);
    }
    *buffers = (struct rf_uring_buffers){0};
}
