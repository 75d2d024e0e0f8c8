/* SPDX-License-Identifier: MIT */
#include "client/link.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"

uint64_t rf_client_now_ns(void)
{
    struct timespec now;
    int code = clock_gettime(CLOCK_MONOTONIC, &now);
    RF_ASSERT(code == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool rf_link_is_local(int code)
{
    return code == -EMFILE || code == -ENFILE || code == -ENOBUFS || code == -ENOMEM;
}

/* ---- the epoll set ---- */

/* Both descriptors, or neither. */
static int open_descriptors(int *ret_epoll_fd, int *ret_event_fd, struct rf_error *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    int code = 0;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll_fd < 0 || event_fd < 0) {
        code = -errno;
    } else {
        event.data.fd = event_fd;
        code = epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) < 0 ? -errno : 0;
    }
    if (code < 0) {
        if (epoll_fd >= 0) {
            (void)close(epoll_fd); /* nothing is in it */
        }
        if (event_fd >= 0) {
            (void)close(event_fd); /* as above */
        }
        return rf_error_set(err, code, "no descriptor for a client: %s", rf_strerror(code));
    }
    *ret_epoll_fd = epoll_fd;
    *ret_event_fd = event_fd;
    return 0;
}

int rf_link_init(struct rf_link *link, uint64_t connect_timeout_ns, struct rf_error *err)
{
    *link = (struct rf_link){
        .epoll_fd = -1, .event_fd = -1, .fd = -1, .connect_timeout_ns = connect_timeout_ns};
    return open_descriptors(&link->epoll_fd, &link->event_fd, err);
}

void rf_link_fini(struct rf_link *link)
{
    rf_link_close(link);
    if (link->epoll_fd >= 0) {
        (void)close(link->epoll_fd); /* nobody waits for it any more */
        (void)close(link->event_fd); /* as above */
        link->epoll_fd = -1;
        link->event_fd = -1;
    }
}

void rf_link_drop(struct rf_link *link)
{
    if (link->fd >= 0) {
        (void)close(link->fd); /* the parent has it still */
    }
    (void)close(link->epoll_fd); /* as above */
    (void)close(link->event_fd); /* as above */
    link->fd = -1;
    link->epoll_fd = -1;
    link->event_fd = -1;
}

int rf_link_after_fork(struct rf_link *link, struct rf_error *err)
{
    int epoll_fd;
    int event_fd;
    int code = open_descriptors(&epoll_fd, &event_fd, err);
    if (code < 0) {
        return code;
    }
    if (link->fd >= 0) {
        (void)close(link->fd); /* not taken out of the set: that is the parent's too */
        link->fd = -1;
    }
    link->lookup = NULL; /* its thread is the parent's, and would never let it go */
    link->state = RF_LINK_CLOSED;
    link->is_readable = false;
    link->is_waiting_to_send = false;
    if (dup3(event_fd, link->event_fd, O_CLOEXEC) < 0 ||
        dup3(epoll_fd, link->epoll_fd, O_CLOEXEC) < 0) {
        code = -errno;
        (void)rf_error_set(err, code, "no descriptor for a client: %s", rf_strerror(code));
    }
    (void)close(epoll_fd); /* the duplicate is kept */
    (void)close(event_fd); /* as above */
    return code;
}

static int add_socket(struct rf_link *link, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = link->fd};
    return epoll_ctl(link->epoll_fd, EPOLL_CTL_ADD, link->fd, &event) < 0 ? -errno : 0;
}

static void change_socket(struct rf_link *link, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = link->fd};
    int code = epoll_ctl(link->epoll_fd, EPOLL_CTL_MOD, link->fd, &event);
    RF_ASSERT(code == 0); /* it is in the set, and changing takes no memory */
}

void rf_link_wait(struct rf_link *link, int timeout_ms)
{
    enum { EVENTS_MAX = 2 };
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(link->epoll_fd, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < count; i++) { /* interrupted by a signal: nothing */
        if (events[i].data.fd == link->event_fd) {
            uint64_t value;
            (void)!read(link->event_fd, &value, sizeof(value)); /* fails if another was faster */
        } else {
            link->is_readable = link->is_readable || (events[i].events & ~(uint32_t)EPOLLOUT) != 0;
            if ((events[i].events & EPOLLOUT) != 0 && link->is_waiting_to_send) {
                link->is_waiting_to_send = false;
                change_socket(link, EPOLLIN);
            }
        }
    }
}

void rf_link_wake(const struct rf_link *link)
{
    const uint64_t one = 1;
    (void)!write(link->event_fd, &one, sizeof(one)); /* fails only when it is readable already */
}

/* ---- connecting ---- */

/* A child process may have the socket still: as long as it has, the set would tell of it, and the
 * registry would serve it. */
static void close_socket(struct rf_link *link)
{
    if (link->fd >= 0) {
        (void)epoll_ctl(link->epoll_fd, EPOLL_CTL_DEL, link->fd, NULL); /* it may not be in it */
        (void)shutdown(link->fd, SHUT_RDWR);                            /* or not connected */
        (void)close(link->fd); /* nothing is unsent that anybody waits for */
        link->fd = -1;
    }
}

void rf_link_close(struct rf_link *link)
{
    rf_lookup_free(link->lookup);
    link->lookup = NULL;
    close_socket(link);
    link->state = RF_LINK_CLOSED;
    link->is_readable = false;
    link->is_waiting_to_send = false;
}

int rf_link_start(struct rf_link *link, const struct rf_host_port *host_port, struct rf_error *err)
{
    RF_ASSERT(link->state == RF_LINK_CLOSED);
    int code = rf_lookup_start(host_port, link->event_fd, &link->lookup, err);
    if (code == 0) {
        link->state = RF_LINK_RESOLVING;
    }
    return code;
}

/* Returns 1 if it is connected already, 0 if it will be known later. */
static int connect_address(struct rf_link *link, const struct rf_address *address)
{
    struct sockaddr_storage peer;
    socklen_t peer_size = rf_address_to_sockaddr(address, &peer);
    link->fd = socket(peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) {
        return -errno;
    }
    int on = 1; /* without it requests still arrive, some later */
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int code = connect(link->fd, (const struct sockaddr *)&peer, peer_size) == 0 ? 1 : -errno;
    /* Interrupted, it goes on in the background just as when it is in progress. */
    if (code == 1 || code == -EINPROGRESS || code == -EINTR) {
        int added = add_socket(link, code == 1 ? EPOLLIN : EPOLLIN | EPOLLOUT);
        code = added < 0 ? added : code == 1;
    }
    return code;
}

/* Returns 1 if it is connected, 0 if that is not known yet. */
static int finish_connect(struct rf_link *link)
{
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof(peer);
    int status = 0;
    socklen_t status_size = sizeof(status);
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &status, &status_size) < 0) {
        return -errno;
    }
    if (status != 0) {
        return -status;
    }
    if (getpeername(link->fd, (struct sockaddr *)&peer, &peer_size) < 0) {
        return errno == ENOTCONN ? 0 : -errno;
    }
    change_socket(link, EPOLLIN);
    return 1;
}

/* Tries address after address. */
static int step_connecting(struct rf_link *link, uint64_t now_ns, struct rf_error *err)
{
    for (;;) {
        int code;
        if (link->fd < 0) {
            link->address_deadline_ns = now_ns + link->connect_timeout_ns;
            code = connect_address(link, &link->addresses[link->address_index]);
        } else {
            code = finish_connect(link);
            code = code == 0 && now_ns >= link->address_deadline_ns ? -ETIMEDOUT : code;
        }
        if (code == 1) {
            link->state = RF_LINK_UP;
        }
        if (code >= 0) {
            return code;
        }
        close_socket(link);
        if (++link->address_index == link->addresses_count || rf_link_is_local(code)) {
            rf_link_close(link);
            return code == -ETIMEDOUT
                       ? rf_error_set(err, code, "no connection in time")
                       : rf_error_set(err, code, "cannot connect: %s", rf_strerror(code));
        }
    }
}

int rf_link_step(struct rf_link *link, uint64_t now_ns, struct rf_error *err)
{
    if (link->state == RF_LINK_RESOLVING) {
        int code = rf_lookup_take(link->lookup, link->addresses, err);
        if (code == -EINPROGRESS) {
            return 0;
        }
        rf_lookup_free(link->lookup);
        link->lookup = NULL;
        if (code < 0) {
            rf_link_close(link);
            return code;
        }
        link->addresses_count = code;
        link->address_index = 0;
        link->state = RF_LINK_CONNECTING;
    }
    return link->state == RF_LINK_CONNECTING ? step_connecting(link, now_ns, err)
                                             : link->state == RF_LINK_UP;
}

uint64_t rf_link_deadline_ns(const struct rf_link *link)
{
    return link->state == RF_LINK_CONNECTING ? link->address_deadline_ns : UINT64_MAX;
}

int rf_link_adopt(struct rf_link *link, int fd, struct rf_error *err)
{
    RF_ASSERT(link->state == RF_LINK_CLOSED);
    int flags = fcntl(fd, F_GETFL);
    RF_ASSERT(flags >= 0);
    int code = fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    RF_ASSERT(code == 0);
    link->fd = fd;
    code = add_socket(link, EPOLLIN);
    if (code < 0) {
        rf_link_close(link);
        return rf_error_set(err, code, "epoll: %s", rf_strerror(code));
    }
    link->state = RF_LINK_UP;
    return 0;
}

/* ---- bytes ---- */

ssize_t rf_link_receive(struct rf_link *link, uint8_t *data, size_t size)
{
    ssize_t count = recv(link->fd, data, size, MSG_DONTWAIT);
    if (count == 0) {
        return -ECONNRESET;
    }
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
        return -errno;
    }
    link->is_readable = count == (ssize_t)size; /* less: there was no more */
    return count < 0 ? 0 : count;
}

ssize_t rf_link_send(struct rf_link *link, const uint8_t *data, size_t size)
{
    if (link->is_waiting_to_send) {
        return 0;
    }
    ssize_t count = send(link->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
        return -errno;
    }
    if (count < (ssize_t)size) {
        link->is_waiting_to_send = true;
        change_socket(link, EPOLLIN | EPOLLOUT);
    }
    return count < 0 ? 0 : count;
}
