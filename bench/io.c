/* SPDX-License-Identifier: MIT */
#include "bench/io.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/io_private.h"
#include "core/assert.h"

const char *rf_bench_engine_name(enum rf_bench_engine engine)
{
    return engine == RF_BENCH_URING ? "uring" : "epoll";
}

uint64_t rf_bench_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int rf_bench_io_new(enum rf_bench_engine engine, uint32_t sockets_max, bool busy_poll,
                    struct rf_bench_io **ret_io, struct rf_error *err)
{
    RF_ASSERT(sockets_max >= 1);
    struct rf_bench_io *io = calloc(1, sizeof(*io));
    struct rf_bench_socket *sockets = calloc(sockets_max, sizeof(*sockets));
    if (io == NULL || sockets == NULL) {
        free(io);
        free(sockets);
        return rf_error_set(err, -ENOMEM, "%u sockets: out of memory", sockets_max);
    }
    *io = (struct rf_bench_io){.engine = engine,
                               .busy_poll = busy_poll,
                               .sockets_max = sockets_max,
                               .sockets = sockets,
                               .uring = {.held = -1},
                               .epoll = {.fd = -1}};
    for (uint32_t i = 0; i < sockets_max; i++) {
        sockets[i].fd = -1;
    }
    int code =
        engine == RF_BENCH_URING ? rf_bench_uring_init(io, err) : rf_bench_epoll_init(io, err);
    if (code < 0) {
        rf_bench_io_free(io);
        return code;
    }
    *ret_io = io;
    return 0;
}

void rf_bench_io_free(struct rf_bench_io *io)
{
    if (io == NULL) {
        return;
    }
    rf_bench_uring_fini(io); /* before the sockets: the kernel lets go of their memory */
    rf_bench_epoll_fini(io);
    for (uint32_t i = 0; i < io->sockets_max; i++) {
        if (io->sockets[i].fd >= 0) {
            (void)close(io->sockets[i].fd); /* nothing to lose */
        }
    }
    free(io->sockets);
    free(io);
}

int rf_bench_io_add(struct rf_bench_io *io, uint32_t index, int fd, struct rf_error *err)
{
    RF_ASSERT(index < io->sockets_max && io->sockets[index].fd < 0);
    io->sockets[index].fd = fd;
    return io->engine == RF_BENCH_URING ? rf_bench_uring_add(io, index, err)
                                        : rf_bench_epoll_add(io, index, err);
}

bool rf_bench_io_is_sending(const struct rf_bench_io *io, uint32_t index)
{
    return io->sockets[index].is_sending;
}

void rf_bench_io_send(struct rf_bench_io *io, uint32_t index, const void *data, size_t size)
{
    struct rf_bench_socket *socket = &io->sockets[index];
    RF_ASSERT(!socket->is_sending);
    if (socket->is_closed || size == 0) {
        return;
    }
    socket->is_sending = true;
    socket->out = data;
    socket->out_size = size;
    if (io->engine == RF_BENCH_URING) {
        rf_bench_uring_send(io, index);
    } else {
        rf_bench_epoll_send(io, index);
    }
}

int rf_bench_io_wait(struct rf_bench_io *io, uint64_t timeout_ns)
{
    return io->engine == RF_BENCH_URING ? rf_bench_uring_wait(io, timeout_ns)
                                        : rf_bench_epoll_wait(io, timeout_ns);
}

bool rf_bench_io_next(struct rf_bench_io *io, struct rf_bench_event *ret_event)
{
    return io->engine == RF_BENCH_URING ? rf_bench_uring_next(io, ret_event)
                                        : rf_bench_epoll_next(io, ret_event);
}
