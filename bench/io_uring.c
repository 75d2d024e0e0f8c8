/* SPDX-License-Identifier: MIT
 *
 * io_uring.c - one ring: multishot receives into provided buffers, one send a batch, and one system
 * call a round that submits the sends of the round before and waits.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "bench/io_private.h"
#include "core/assert.h"

enum { OP_RECEIVE = 0, OP_SEND = 1 }; /* the lowest bit of user_data; the socket is above */

enum { SPINS_BETWEEN_CLOCKS = 32 };

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void buffer_give(struct rf_bench_uring *uring, unsigned id)
{
    io_uring_buf_ring_add(uring->buffer_ring, uring->buffers + (size_t)id * RF_BENCH_URING_BUFFER,
                          RF_BENCH_URING_BUFFER, (unsigned short)id,
                          io_uring_buf_ring_mask(uring->buffers_count), 0);
    io_uring_buf_ring_advance(uring->buffer_ring, 1);
}

static int init_buffers(struct rf_bench_uring *uring, uint32_t sockets_max)
{
    uring->buffers_count = RF_BENCH_URING_BUFFERS_MIN;
    while (uring->buffers_count < 2 * sockets_max &&
           uring->buffers_count < RF_BENCH_URING_BUFFERS_MAX) {
        uring->buffers_count *= 2;
    }
    uring->buffer_ring = map(uring->buffers_count * sizeof(struct io_uring_buf));
    uring->buffers = map((size_t)uring->buffers_count * RF_BENCH_URING_BUFFER);
    if (uring->buffer_ring == NULL || uring->buffers == NULL) {
        return -ENOMEM;
    }
    io_uring_buf_ring_init(uring->buffer_ring);
    for (unsigned i = 0; i < uring->buffers_count; i++) {
        buffer_give(uring, i);
    }
    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)uring->buffer_ring,
                                            .ring_entries = uring->buffers_count};
    return io_uring_register_buf_ring(&uring->ring, &registration, 0);
}

int rf_bench_uring_init(struct rf_bench_io *io, struct rf_error *err)
{
    struct rf_bench_uring *uring = &io->uring;
    unsigned entries = 2 * io->sockets_max; /* a receive and a send for each */
    struct io_uring_params params = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SINGLE_ISSUER |
                 IORING_SETUP_DEFER_TASKRUN | (io->busy_poll ? IORING_SETUP_TASKRUN_FLAG : 0),
        .cq_entries = 4 * entries,
    };
    int code = io_uring_queue_init_params(entries, &uring->ring, &params);
    if (code < 0) {
        return rf_error_set(err, code, "io_uring: %s; try --io epoll", rf_strerror(code));
    }
    uring->has_ring = true;
    code = init_buffers(uring, io->sockets_max);
    if (code == 0) {
        code = io_uring_register_files_sparse(&uring->ring, io->sockets_max);
    }
    if (code < 0) {
        return rf_error_set(err, code, "io_uring: %u buffers and %u files: %s; try --io epoll",
                            uring->buffers_count, io->sockets_max, rf_strerror(code));
    }
    (void)io_uring_register_ring_fd(&uring->ring); /* saves a look-up, is not needed */
    return 0;
}

void rf_bench_uring_fini(struct rf_bench_io *io)
{
    struct rf_bench_uring *uring = &io->uring;
    if (uring->has_ring) {
        io_uring_queue_exit(&uring->ring);
    }
    if (uring->buffer_ring != NULL) {
        (void)munmap(uring->buffer_ring, uring->buffers_count * sizeof(struct io_uring_buf));
    }
    if (uring->buffers != NULL) {
        (void)munmap(uring->buffers, (size_t)uring->buffers_count * RF_BENCH_URING_BUFFER);
    }
}

/* There is room for a receive and a send of each socket, but receives that end are armed again
 * before the round's submissions have gone. */
static struct io_uring_sqe *get_entry(struct rf_bench_uring *uring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    if (entry == NULL) {
        (void)io_uring_submit(&uring->ring); /* what fails leaves the queue full: asserted below */
        entry = io_uring_get_sqe(&uring->ring);
    }
    RF_ASSERT(entry != NULL);
    return entry;
}

static void arm_receive(struct rf_bench_io *io, uint32_t index)
{
    struct io_uring_sqe *entry = get_entry(&io->uring);
    io_uring_prep_recv_multishot(entry, (int)index, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
    entry->buf_group = 0;
    io_uring_sqe_set_data64(entry, ((uint64_t)index << 1) | OP_RECEIVE);
}

int rf_bench_uring_add(struct rf_bench_io *io, uint32_t index, struct rf_error *err)
{
    int code = io_uring_register_files_update(&io->uring.ring, index, &io->sockets[index].fd, 1);
    if (code < 0) {
        return rf_error_set(err, code, "io_uring: file of socket %u: %s", index, rf_strerror(code));
    }
    arm_receive(io, index);
    return 0;
}

void rf_bench_uring_send(struct rf_bench_io *io, uint32_t index)
{
    const struct rf_bench_socket *socket = &io->sockets[index];
    struct io_uring_sqe *entry = get_entry(&io->uring);
    io_uring_prep_send(entry, (int)index, socket->out, socket->out_size,
                       MSG_NOSIGNAL | MSG_WAITALL);
    entry->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(entry, ((uint64_t)index << 1) | OP_SEND);
}

static bool has_work_to_run(struct io_uring *ring)
{
    return (__atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED) &
            (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/* Looks at shared memory only; the kernel is entered when it says that there is something. */
static int spin(struct rf_bench_uring *uring, uint64_t timeout_ns)
{
    int code = io_uring_submit_and_get_events(&uring->ring);
    if (code < 0 && code != -EINTR) {
        return code;
    }
    uint64_t start_ns = timeout_ns == 0 ? 0 : rf_bench_now_ns();
    while (io_uring_cq_ready(&uring->ring) == 0) {
        for (int i = 0; i < SPINS_BETWEEN_CLOCKS && !has_work_to_run(&uring->ring); i++) {
            __builtin_ia32_pause();
        }
        if (has_work_to_run(&uring->ring)) {
            code = io_uring_get_events(&uring->ring);
            if (code < 0 && code != -EINTR) {
                return code;
            }
        }
        /* Also after that: the kernel may leave the flag set though there is no work any more. */
        if (timeout_ns == 0 || rf_bench_now_ns() - start_ns >= timeout_ns) {
            break;
        }
    }
    return 0;
}

static int block(struct rf_bench_uring *uring, uint64_t timeout_ns)
{
    struct io_uring_cqe *first;
    struct __kernel_timespec timeout = {.tv_sec = (long long)(timeout_ns / 1000000000),
                                        .tv_nsec = (long long)(timeout_ns % 1000000000)};
    int code = timeout_ns == 0
                   ? io_uring_submit_and_get_events(&uring->ring)
                   : io_uring_submit_and_wait_timeout(
                         &uring->ring, &first, 1, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
    return code < 0 && code != -ETIME && code != -EINTR && code != -EAGAIN ? code : 0;
}

int rf_bench_uring_wait(struct rf_bench_io *io, uint64_t timeout_ns)
{
    struct rf_bench_uring *uring = &io->uring;
    int code = io->busy_poll ? spin(uring, timeout_ns) : block(uring, timeout_ns);
    uring->ready = io_uring_cq_ready(&uring->ring); /* what comes later is of the next round */
    return code;
}

static bool close_socket(struct rf_bench_socket *socket, int code, struct rf_bench_event *ret_event)
{
    if (socket->is_closed) {
        return false;
    }
    socket->is_closed = true;
    socket->is_sending = false;
    ret_event->type = RF_BENCH_CLOSED;
    ret_event->code = code;
    return true;
}

static bool on_send(struct rf_bench_io *io, uint32_t index, int result,
                    struct rf_bench_event *ret_event)
{
    struct rf_bench_socket *socket = &io->sockets[index];
    if (result < 0) {
        return close_socket(socket, result, ret_event);
    }
    if ((size_t)result < socket->out_size) {
        socket->out += result;
        socket->out_size -= (size_t)result;
        rf_bench_uring_send(io, index);
        return false;
    }
    socket->is_sending = false;
    ret_event->type = RF_BENCH_SENT;
    return !socket->is_closed;
}

static bool on_receive(struct rf_bench_io *io, uint32_t index, int result, unsigned flags,
                       struct rf_bench_event *ret_event)
{
    struct rf_bench_socket *socket = &io->sockets[index];
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
        io->uring.held = (int)(flags >> IORING_CQE_BUFFER_SHIFT);
    }
    bool is_over = result == 0 || (result < 0 && result != -ENOBUFS);
    if (is_over) {
        return close_socket(socket, result, ret_event);
    }
    if ((flags & IORING_CQE_F_MORE) == 0 && !socket->is_closed) {
        arm_receive(io, index);
    }
    if (result < 0 || socket->is_closed) {
        return false;
    }
    ret_event->type = RF_BENCH_RECEIVED;
    ret_event->data = io->uring.buffers + (size_t)io->uring.held * RF_BENCH_URING_BUFFER;
    ret_event->size = (size_t)result;
    return true;
}

bool rf_bench_uring_next(struct rf_bench_io *io, struct rf_bench_event *ret_event)
{
    struct rf_bench_uring *uring = &io->uring;
    bool is_event = false;
    while (!is_event) {
        if (uring->held >= 0) {
            buffer_give(uring, (unsigned)uring->held);
            uring->held = -1;
        }
        struct io_uring_cqe *cqe;
        if (uring->ready == 0 || io_uring_peek_cqe(&uring->ring, &cqe) != 0) {
            return false;
        }
        uring->ready--;
        uint32_t index = (uint32_t)(cqe->user_data >> 1);
        int result = cqe->res;
        unsigned flags = cqe->flags;
        bool is_send = (cqe->user_data & 1) == OP_SEND;
        io_uring_cqe_seen(&uring->ring, cqe);
        ret_event->index = index;
        is_event = is_send ? on_send(io, index, result, ret_event)
                           : on_receive(io, index, result, flags, ret_event);
    }
    return true;
}
