/* SPDX-License-Identifier: MIT
 *
 * io.h - connected sockets driven by io_uring or by epoll, with as little as can be done: what the
 * load generator and the responder of the ceiling have in common.
 *
 * It is not the server's engine (net/engine.h) on purpose: the ceiling is what the machine can do,
 * so it must not get slower when the server does. No accepting, no timers, no pausing.
 *
 * One thread makes it, uses it and frees it. A round is rf_bench_io_wait, then rf_bench_io_next
 * until it says false, then the sends that came of it: the next wait hands them to the kernel in
 * one call (io_uring), or they are made at once (epoll).
 */
#ifndef RF_BENCH_IO_H
#define RF_BENCH_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum rf_bench_engine { RF_BENCH_URING, RF_BENCH_EPOLL };

/* "uring", "epoll". */
const char *rf_bench_engine_name(enum rf_bench_engine engine);

enum rf_bench_event_type {
    RF_BENCH_RECEIVED, /* data, size: borrowed until the next call of rf_bench_io_next */
    RF_BENCH_SENT,     /* all that was given to a send that had to wait; not one for each send */
    RF_BENCH_CLOSED,   /* code 0: by the peer; or a negative errno. The last event of its socket,
                          after which it is not sending */
};

struct rf_bench_event {
    enum rf_bench_event_type type;
    uint32_t index; /* of the socket */
    const uint8_t *data;
    size_t size;
    int code;
};

struct rf_bench_io;

/*
 * Makes one for sockets 0 .. sockets_max - 1. `busy_poll`: waiting spins and never blocks.
 * Ownership: ended by rf_bench_io_free.
 * Errors: -ENOMEM, -EMFILE; what io_uring_setup says where there is none, with a text.
 */
RF_NODISCARD int rf_bench_io_new(enum rf_bench_engine engine, uint32_t sockets_max, bool busy_poll,
                                 struct rf_bench_io **ret_io, struct rf_error *err);

/* Closes the sockets too. NULL is allowed. */
void rf_bench_io_free(struct rf_bench_io *io);

/* Starts receiving on a connected socket. Ownership: `fd` is taken, also on failure. */
RF_NODISCARD int rf_bench_io_add(struct rf_bench_io *io, uint32_t index, int fd,
                                 struct rf_error *err);

/* Whether a send is under way: then the next one waits for RF_BENCH_SENT. */
bool rf_bench_io_is_sending(const struct rf_bench_io *io, uint32_t index);

/* Sends all of `data`, which stays as it is until rf_bench_io_is_sending says no. On a socket that
 * is closed nothing happens. */
void rf_bench_io_send(struct rf_bench_io *io, uint32_t index, const void *data, size_t size);

/* Waits for events, at most `timeout_ns`; 0: looks only; UINT64_MAX: without limit. Returns 0, also
 * if a signal or the time-out ended it. Errors: negative errno of the kernel: no way to go on. */
RF_NODISCARD int rf_bench_io_wait(struct rf_bench_io *io, uint64_t timeout_ns);

/* The next event of the round, false after the last. */
bool rf_bench_io_next(struct rf_bench_io *io, struct rf_bench_event *ret_event);

/* CLOCK_MONOTONIC. */
uint64_t rf_bench_now_ns(void);

#endif
