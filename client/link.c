/* SPDX-License-Identifier: MIT */
#include "client/link.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    REPLY_CAPACITY_FIRST = 4096, /* most replies fit, and a page is the least worth having */
};

static const uint64_t ns_per_ms = 1000000;

uint64_t rf_client_now_ns(void)
{
    struct timespec now;
    int code = clock_gettime(CLOCK_MONOTONIC, &now);
    RF_ASSERT(code == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void rf_link_init(struct rf_link *link)
{
    *link = (struct rf_link){.fd = -1};
}

bool rf_link_is_open(const struct rf_link *link)
{
    return link->fd >= 0 && link->process == getpid();
}

void rf_link_close(struct rf_link *link)
{
    if (link->fd >= 0) {
        (void)close(link->fd); /* nothing is unsent that anybody waits for */
        link->fd = -1;
    }
}

void rf_link_fini(struct rf_link *link)
{
    rf_link_close(link);
    free(link->reply);
    rf_link_init(link);
}

/* Waits for `events`. Returns 0, also on a broken connection: the call that follows says how. */
static int wait_for(int fd, short events, uint64_t deadline_ns)
{
    for (;;) {
        uint64_t now_ns = rf_client_now_ns();
        if (now_ns >= deadline_ns) {
            return -ETIMEDOUT;
        }
        /* Rounded up: not to spin through the last millisecond. */
        uint64_t left_ms = (deadline_ns - now_ns + ns_per_ms - 1) / ns_per_ms;
        struct pollfd entry = {.fd = fd, .events = events};
        int count = poll(&entry, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms);
        if (count > 0) {
            return 0;
        }
        if (count < 0 && errno != EINTR) {
            return -errno;
        }
    }
}

static int finish_connect(int fd, uint64_t deadline_ns)
{
    int code = wait_for(fd, POLLOUT, deadline_ns);
    if (code < 0) {
        return code;
    }
    int status = 0;
    socklen_t status_size = sizeof(status);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &status_size) < 0) {
        return -errno;
    }
    return -status;
}

int rf_link_open(struct rf_link *link, const struct rf_address *address, uint64_t deadline_ns,
                 struct rf_error *err)
{
    struct sockaddr_storage peer;
    socklen_t peer_size = rf_address_to_sockaddr(address, &peer);
    rf_link_close(link);
    int fd = socket(peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        int code = -errno;
        return rf_error_set(err, code, "socket: %s", rf_strerror(code));
    }
    int code = 0;
    if (connect(fd, (const struct sockaddr *)&peer, peer_size) < 0) {
        /* Interrupted, it goes on in the background just as when it is in progress. */
        code = errno == EINPROGRESS || errno == EINTR ? finish_connect(fd, deadline_ns) : -errno;
    }
    if (code < 0) {
        (void)close(fd); /* never was connected */
        return code == -ETIMEDOUT
                   ? rf_error_set(err, code, "no connection in time")
                   : rf_error_set(err, code, "cannot connect: %s", rf_strerror(code));
    }
    rf_link_adopt(link, fd);
    return 0;
}

void rf_link_adopt(struct rf_link *link, int fd)
{
    int on = 1;
    rf_link_close(link);
    int flags = fcntl(fd, F_GETFL);
    RF_ASSERT(flags >= 0);
    int code = fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    RF_ASSERT(code == 0);
    /* Of use for TCP only; without it requests still arrive, some later. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    link->fd = fd;
    link->process = getpid();
    link->is_preface_sent = false;
}

static int send_all(int fd, const uint8_t *data, size_t size, uint64_t deadline_ns)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent >= 0) {
            data += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            int code = wait_for(fd, POLLOUT, deadline_ns);
            if (code < 0) {
                return code;
            }
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* Makes room for `size` bytes of reply. */
static int reserve(struct rf_link *link, size_t size)
{
    if (size <= link->reply_capacity) {
        return 0;
    }
    uint8_t *reply = realloc(link->reply, size);
    if (reply == NULL) {
        return -ENOMEM;
    }
    link->reply = reply;
    link->reply_capacity = size;
    return 0;
}

/* Receives until there are `size` bytes, or more if they came along. */
static int receive(struct rf_link *link, size_t *received, size_t size, uint64_t deadline_ns)
{
    while (*received < size) {
        int code = wait_for(link->fd, POLLIN, deadline_ns);
        if (code < 0) {
            return code;
        }
        ssize_t count =
            recv(link->fd, link->reply + *received, link->reply_capacity - *received, 0);
        if (count > 0) {
            *received += (size_t)count;
        } else if (count == 0) {
            return -ECONNRESET;
        } else if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static int describe_lost(int code, size_t received, struct rf_error *err)
{
    if (code == -ETIMEDOUT) {
        return rf_error_set(err, code, "no reply in time");
    }
    if (code == -ENOMEM) {
        return rf_error_set(err, code, "no memory for the reply");
    }
    return rf_error_set(err, code,
                        received > 0 ? "connection lost within a reply: %s"
                                     : "connection lost before the reply: %s",
                        rf_strerror(code));
}

/* Whether a reply is one to this request, or about the whole connection. */
static int check_reply(const struct rf_wire_header *header, const struct rf_wire_header *request,
                       struct rf_error *err)
{
    int code = rf_wire_reply_header_check(header, err);
    if (code < 0) {
        return code;
    }
    if (header->op == RF_WIRE_NONE && header->status != RF_WIRE_OK) {
        return 0;
    }
    if (header->op != request->op) {
        return rf_error_set(err, RF_EMALFORMED, "reply of operation %u to one of %u", header->op,
                            request->op);
    }
    if (header->request_id != request->request_id) {
        return rf_error_set(err, RF_EMALFORMED, "reply with id %u to request %u",
                            header->request_id, request->request_id);
    }
    return 0;
}

static int receive_reply(struct rf_link *link, const struct rf_wire_header *request,
                         uint64_t deadline_ns, struct rf_wire_header *ret_header,
                         struct rf_error *err)
{
    size_t received = 0;
    int code = reserve(link, REPLY_CAPACITY_FIRST);
    if (code == 0) {
        code = receive(link, &received, RF_WIRE_HEADER_SIZE, deadline_ns);
    }
    if (code < 0) {
        return describe_lost(code, received, err);
    }
    struct rf_wire_header header = rf_wire_header_load(link->reply);
    code = check_reply(&header, request, err);
    if (code < 0) {
        return code;
    }
    size_t size = RF_WIRE_HEADER_SIZE + (size_t)header.payload_size;
    code = reserve(link, size);
    if (code == 0) {
        code = receive(link, &received, size, deadline_ns);
    }
    if (code < 0) {
        return describe_lost(code, received, err);
    }
    if (received > size) {
        return rf_error_set(err, RF_EMALFORMED, "%zu bytes after the reply", received - size);
    }
    *ret_header = header;
    return 0;
}

int rf_link_call(struct rf_link *link, uint8_t *frame, size_t frame_size, uint64_t deadline_ns,
                 struct rf_wire_header *ret_header, const uint8_t **ret_payload,
                 struct rf_error *err)
{
    RF_ASSERT(link->fd >= 0 && frame_size >= RF_WIRE_HEADER_SIZE);
    struct rf_wire_header request = rf_wire_header_load(frame);
    const uint8_t *data = frame;
    size_t size = frame_size;
    if (!link->is_preface_sent) {
        memcpy(frame - RF_WIRE_PREFACE_SIZE, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
        data -= RF_WIRE_PREFACE_SIZE;
        size += RF_WIRE_PREFACE_SIZE;
        link->is_preface_sent = true;
    }
    int code = send_all(link->fd, data, size, deadline_ns);
    if (code < 0) {
        (void)rf_error_set(err, code, "cannot send: %s", rf_strerror(code));
    } else {
        code = receive_reply(link, &request, deadline_ns, ret_header, err);
    }
    if (code < 0) {
        rf_link_close(link);
        return code;
    }
    *ret_payload = link->reply + RF_WIRE_HEADER_SIZE;
    return 0;
}
