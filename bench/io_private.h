/* SPDX-License-Identifier: MIT
 *
 * io_private.h - what the two engines behind io.h share.
 */
#ifndef RF_BENCH_IO_PRIVATE_H
#define RF_BENCH_IO_PRIVATE_H

#include <liburing.h>
#include <sys/epoll.h>

#include "bench/io.h"

enum {
    RF_BENCH_EPOLL_EVENTS = 256,        /* of one round */
    RF_BENCH_EPOLL_BUFFER = 256 * 1024, /* one for all: it stays in the cache */
    RF_BENCH_URING_BUFFER = 32 * 1024, /* 256 replies of 48 bytes and room: one batch, one buffer */
    RF_BENCH_URING_BUFFERS_MIN = 8,    /* as few as will do: they are used in turn, and each is */
    RF_BENCH_URING_BUFFERS_MAX = 256,  /* cold after a turn */
};

struct rf_bench_socket {
    int fd; /* -1: none */
    bool is_sending;
    bool is_closed;
    const uint8_t *out;
    size_t out_size;
};

struct rf_bench_uring {
    struct io_uring ring;
    bool has_ring;
    unsigned ready; /* completions of this round that are left */
    struct io_uring_buf_ring *buffer_ring;
    uint8_t *buffers;
    unsigned buffers_count; /* a power of two */
    int held;               /* buffer that the caller reads; -1: none */
};

struct rf_bench_epoll {
    int fd;
    int ready, at; /* events of this round, and the next one */
    uint8_t *buffer;
    struct epoll_event events[RF_BENCH_EPOLL_EVENTS];
};

struct rf_bench_io {
    enum rf_bench_engine engine;
    bool busy_poll;
    uint32_t sockets_max;
    struct rf_bench_socket *sockets;
    struct rf_bench_uring uring;
    struct rf_bench_epoll epoll;
};

RF_NODISCARD int rf_bench_uring_init(struct rf_bench_io *io, struct rf_error *err);
void rf_bench_uring_fini(struct rf_bench_io *io);
RF_NODISCARD int rf_bench_uring_add(struct rf_bench_io *io, uint32_t index, struct rf_error *err);
void rf_bench_uring_send(struct rf_bench_io *io, uint32_t index);
RF_NODISCARD int rf_bench_uring_wait(struct rf_bench_io *io, uint64_t timeout_ns);
bool rf_bench_uring_next(struct rf_bench_io *io, struct rf_bench_event *ret_event);

RF_NODISCARD int rf_bench_epoll_init(struct rf_bench_io *io, struct rf_error *err);
void rf_bench_epoll_fini(struct rf_bench_io *io);
RF_NODISCARD int rf_bench_epoll_add(struct rf_bench_io *io, uint32_t index, struct rf_error *err);
void rf_bench_epoll_send(struct rf_bench_io *io, uint32_t index);
RF_NODISCARD int rf_bench_epoll_wait(struct rf_bench_io *io, uint64_t timeout_ns);
bool rf_bench_epoll_next(struct rf_bench_io *io, struct rf_bench_event *ret_event);

#endif
