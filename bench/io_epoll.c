/* SPDX-License-Identifier: MIT
 *
 * io_epoll.c - level-triggered: one receive for each ready socket and round, sends at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/io_private.h"

int rf_bench_epoll_init(struct rf_bench_io *io, struct rf_error *err)
{
    struct rf_bench_epoll *epoll = &io->epoll;
    epoll->buffer = malloc(RF_BENCH_EPOLL_BUFFER);
    if (epoll->buffer == NULL) {
        return rf_error_set(err, -ENOMEM, "buffer of %d bytes: out of memory",
                            RF_BENCH_EPOLL_BUFFER);
    }
    epoll->fd = epoll_create1(EPOLL_CLOEXEC);
    return epoll->fd < 0 ? rf_error_set(err, -errno, "epoll: %s", rf_strerror(-errno)) : 0;
}

void rf_bench_epoll_fini(struct rf_bench_io *io)
{
    if (io->epoll.fd >= 0) {
        (void)close(io->epoll.fd); /* nothing to lose */
    }
    free(io->epoll.buffer);
}

int rf_bench_epoll_add(struct rf_bench_io *io, uint32_t index, struct rf_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (epoll_ctl(io->epoll.fd, EPOLL_CTL_ADD, io->sockets[index].fd, &event) < 0) {
        return rf_error_set(err, -errno, "epoll: socket %u: %s", index, rf_strerror(-errno));
    }
    return 0;
}

static void watch(struct rf_bench_io *io, uint32_t index, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = index};
    /* A watched socket can only be changed in vain if it is gone, which the next event tells. */
    (void)epoll_ctl(io->epoll.fd, EPOLL_CTL_MOD, io->sockets[index].fd, &event);
}

/* Whether all is sent, or never will be: a lost connection is told by the next receive. */
static bool send_rest(struct rf_bench_socket *socket)
{
    ssize_t sent = send(socket->fd, socket->out, socket->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        return errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM;
    }
    socket->out += sent;
    socket->out_size -= (size_t)sent;
    return socket->out_size == 0;
}

void rf_bench_epoll_send(struct rf_bench_io *io, uint32_t index)
{
    if (send_rest(&io->sockets[index])) {
        io->sockets[index].is_sending = false;
    } else {
        watch(io, index, EPOLLIN | EPOLLOUT);
    }
}

int rf_bench_epoll_wait(struct rf_bench_io *io, uint64_t timeout_ns)
{
    struct rf_bench_epoll *epoll = &io->epoll;
    uint64_t start_ns = io->busy_poll && timeout_ns > 0 ? rf_bench_now_ns() : 0;
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                               .tv_nsec = (long)(timeout_ns % 1000000000)};
    epoll->at = 0;
    do {
        if (io->busy_poll || timeout_ns == 0 || timeout_ns == UINT64_MAX) {
            epoll->ready = epoll_wait(epoll->fd, epoll->events, RF_BENCH_EPOLL_EVENTS,
                                      io->busy_poll || timeout_ns == 0 ? 0 : -1);
        } else {
            epoll->ready =
                epoll_pwait2(epoll->fd, epoll->events, RF_BENCH_EPOLL_EVENTS, &timeout, NULL);
        }
    } while (epoll->ready == 0 && io->busy_poll && timeout_ns > 0 &&
             rf_bench_now_ns() - start_ns < timeout_ns);
    if (epoll->ready < 0) {
        int code = -errno;
        epoll->ready = 0;
        return code == -EINTR ? 0 : code;
    }
    return 0;
}

static void close_socket(struct rf_bench_io *io, uint32_t index, int code,
                         struct rf_bench_event *ret_event)
{
    struct rf_bench_socket *socket = &io->sockets[index];
    (void)epoll_ctl(io->epoll.fd, EPOLL_CTL_DEL, socket->fd, NULL); /* it is watched */
    socket->is_closed = true;
    socket->is_sending = false;
    ret_event->type = RF_BENCH_CLOSED;
    ret_event->code = code;
}

static bool receive(struct rf_bench_io *io, uint32_t index, struct rf_bench_event *ret_event)
{
    ssize_t size =
        recv(io->sockets[index].fd, io->epoll.buffer, RF_BENCH_EPOLL_BUFFER, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (size <= 0) {
        close_socket(io, index, size < 0 ? -errno : 0, ret_event);
        return true;
    }
    ret_event->type = RF_BENCH_RECEIVED;
    ret_event->data = io->epoll.buffer;
    ret_event->size = (size_t)size;
    return true;
}

bool rf_bench_epoll_next(struct rf_bench_io *io, struct rf_bench_event *ret_event)
{
    struct rf_bench_epoll *epoll = &io->epoll;
    while (epoll->at < epoll->ready) {
        struct epoll_event *event = &epoll->events[epoll->at];
        uint32_t index = event->data.u32;
        struct rf_bench_socket *socket = &io->sockets[index];
        ret_event->index = index;
        if ((event->events & EPOLLOUT) != 0 && socket->is_sending) {
            event->events &= ~(uint32_t)EPOLLOUT;
            if (send_rest(socket)) {
                socket->is_sending = false;
                watch(io, index, EPOLLIN);
                ret_event->type = RF_BENCH_SENT;
                return true;
            }
        }
        epoll->at++;
        bool wants_receive = (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
        if (wants_receive && !socket->is_closed && receive(io, index, ret_event)) {
            return true;
        }
    }
    return false;
}
