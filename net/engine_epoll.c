/* SPDX-License-Identifier: MIT
 *
 * The epoll engine. Level-triggered: a socket that still has bytes after one receive is reported
 * again by the next wait, so that no connection can hold up the others and no state about what was
 * left has to be kept. All sockets receive into one buffer, which stays in the cache, since an
 * event's bytes are borrowed only until the next event.
 */
#include "net/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"

enum {
    STATE_RECEIVING = 1 << 0, /* wanted by the worker */
    STATE_SENDING = 1 << 1,   /* waits for room; send_data and send_size are set */
    STATE_ENDED = 1 << 2,     /* 0 or an error was received */
    STATE_CLOSED = 1 << 3,
    STATE_DUE = 1 << 4, /* in the list of due events */
};

struct engine {
    struct rf_engine base; /* first */
    int epoll_fd;
    int listener_fd;
    int accept_error;      /* negative: RF_EVENT_ACCEPT_FAILED is due */
    unsigned accepts_left; /* of this wait */
    int ready_count;
    int ready_index;              /* the entry being worked off, its bits are cleared one by one */
    struct rf_engine_socket *due; /* RF_EVENT_CLOSED, or a receive that failed */
    struct epoll_event ready[RF_ENGINE_BATCH_MAX];
    uint8_t buffer[RF_ENGINE_BUFFER_SIZE];
};

static struct engine *engine_of(struct rf_engine *base)
{
    return (struct engine *)base;
}

/* The listener and the eventfd are known by the addresses of these fields. */
static void *tag_listener(struct engine *engine)
{
    return &engine->listener_fd;
}

static void *tag_wake(struct engine *engine)
{
    return &engine->base.wake_fd;
}

static void epoll_free(struct rf_engine *base)
{
    struct engine *engine = engine_of(base);
    RF_ASSERT(engine->due == NULL);
    if (engine->epoll_fd >= 0) {
        (void)close(engine->epoll_fd);
    }
    if (engine->base.wake_fd >= 0) {
        (void)close(engine->base.wake_fd);
    }
    free(engine);
}

static void epoll_accept_start(struct rf_engine *base)
{
    struct engine *engine = engine_of(base);
    RF_ASSERT(engine->listener_fd >= 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag_listener(engine)};
    if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, engine->listener_fd, &event) < 0) {
        engine->accept_error = -errno; /* ENOMEM, or the user's limit of watches */
    }
}

static void due_add(struct engine *engine, struct rf_engine_socket *socket, int result)
{
    if ((socket->state & STATE_DUE) == 0) {
        socket->state |= STATE_DUE;
        socket->due_next = engine->due;
        engine->due = socket;
    }
    socket->due_result = result;
}

static int watch(struct engine *engine, struct rf_engine_socket *socket, int operation)
{
    uint32_t events = 0;
    if ((socket->state & STATE_RECEIVING) != 0 && (socket->state & STATE_ENDED) == 0) {
        events |= EPOLLIN;
    }
    if ((socket->state & STATE_SENDING) != 0) {
        events |= EPOLLOUT;
    }
    if (events == 0) {
        /* The kernel reports a hang-up whatever we ask for; to be told once is enough. */
        events = EPOLLET;
    }
    struct epoll_event event = {.events = events, .data.ptr = socket};
    return epoll_ctl(engine->epoll_fd, operation, socket->fd, &event) < 0 ? -errno : 0;
}

/* Changing what is watched needs no memory, so it cannot fail. */
static void rewatch(struct engine *engine, struct rf_engine_socket *socket)
{
    int error = watch(engine, socket, EPOLL_CTL_MOD);
    RF_ASSERT(error == 0 || (socket->state & STATE_DUE) != 0);
}

static void epoll_open(struct rf_engine *base, struct rf_engine_socket *socket, int fd)
{
    struct engine *engine = engine_of(base);
    socket->fd = fd;
    socket->state = STATE_RECEIVING;
    int error = watch(engine, socket, EPOLL_CTL_ADD);
    if (error < 0) {
        socket->state |= STATE_ENDED;
        due_add(engine, socket, error);
    }
}

static void epoll_receive_pause(struct rf_engine *base, struct rf_engine_socket *socket)
{
    if ((socket->state & STATE_RECEIVING) != 0) {
        socket->state &= (uint8_t)~STATE_RECEIVING;
        rewatch(engine_of(base), socket);
    }
}

static void epoll_receive_resume(struct rf_engine *base, struct rf_engine_socket *socket)
{
    if ((socket->state & STATE_RECEIVING) == 0) {
        socket->state |= STATE_RECEIVING;
        rewatch(engine_of(base), socket);
    }
}

static int send_once(struct rf_engine_socket *socket, const uint8_t *data, size_t size)
{
    ssize_t sent;
    do {
        sent = send(socket->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : (int)sent;
}

static int epoll_send(struct rf_engine *base, struct rf_engine_socket *socket, const uint8_t *data,
                      size_t size, bool is_awaited)
{
    (void)is_awaited; /* what is not taken at once is always awaited */
    RF_ASSERT(size >= 1 && size <= INT32_MAX && (socket->state & STATE_SENDING) == 0);
    int sent = send_once(socket, data, size);
    if (sent > 0) {
        return sent;
    }
    /* No room; or an error, which the socket reports as ready to send: then the event says it. */
    socket->send_data = data;
    socket->send_size = size;
    socket->state |= STATE_SENDING;
    rewatch(engine_of(base), socket);
    return 0;
}

static void epoll_close(struct rf_engine *base, struct rf_engine_socket *socket)
{
    RF_ASSERT((socket->state & STATE_CLOSED) == 0);
    socket->state |= STATE_CLOSED; /* entries of this wait that name it are passed over */
    (void)close(socket->fd);       /* leaves the epoll set by that; errors say nothing useful */
    socket->fd = -1;
    due_add(engine_of(base), socket, 0);
}

static int epoll_wait_ready(struct rf_engine *base, uint64_t timeout_ns)
{
    struct engine *engine = engine_of(base);
    RF_ASSERT(engine->ready_index == engine->ready_count);
    int timeout_ms = -1;
    if (engine->due != NULL || engine->accept_error != 0) {
        timeout_ms = 0;
    } else if (timeout_ns != UINT64_MAX) {
        uint64_t rounded_ms = (timeout_ns + 999999) / 1000000;
        timeout_ms = rounded_ms > INT32_MAX ? INT32_MAX : (int)rounded_ms;
    }
    int count = epoll_wait(engine->epoll_fd, engine->ready, RF_ENGINE_BATCH_MAX, timeout_ms);
    if (count < 0 && errno != EINTR) {
        return -errno;
    }
    engine->ready_index = 0;
    engine->ready_count = count < 0 ? 0 : count;
    engine->accepts_left = RF_ENGINE_ACCEPTS_MAX;
    return count > 0 || engine->due != NULL || engine->accept_error != 0;
}

static bool next_due(struct engine *engine, struct rf_event *ret_event)
{
    if (engine->accept_error != 0) {
        *ret_event =
            (struct rf_event){.kind = RF_EVENT_ACCEPT_FAILED, .result = engine->accept_error};
        engine->accept_error = 0;
        return true;
    }
    struct rf_engine_socket *socket = engine->due;
    if (socket == NULL) {
        return false;
    }
    engine->due = socket->due_next;
    socket->state &= (uint8_t)~STATE_DUE;
    bool is_closed = (socket->state & STATE_CLOSED) != 0;
    *ret_event = (struct rf_event){.kind = is_closed ? RF_EVENT_CLOSED : RF_EVENT_RECEIVED,
                                   .result = socket->due_result,
                                   .socket = socket};
    return true;
}

static bool next_wake(struct engine *engine, struct rf_event *ret_event)
{
    uint64_t wakes;
    engine->ready_index++;
    if (read(engine->base.wake_fd, &wakes, sizeof(wakes)) != (ssize_t)sizeof(wakes)) {
        return false;
    }
    *ret_event = (struct rf_event){.kind = RF_EVENT_WOKEN};
    return true;
}

static bool next_accepted(struct engine *engine, struct rf_event *ret_event)
{
    while (engine->accepts_left > 0) {
        engine->accepts_left--;
        int fd = accept4(engine->listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            *ret_event = (struct rf_event){.kind = RF_EVENT_ACCEPTED, .result = fd};
            return true;
        }
        if (errno == EAGAIN) {
            break;
        }
        /* A connection that was gone before we took it is no failure of ours. */
        if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO) {
            int error = -errno;
            engine->ready_index++;
            (void)epoll_ctl(engine->epoll_fd, EPOLL_CTL_DEL, engine->listener_fd, NULL);
            *ret_event = (struct rf_event){.kind = RF_EVENT_ACCEPT_FAILED, .result = error};
            return true;
        }
    }
    engine->ready_index++;
    return false;
}

static bool next_received(struct engine *engine, struct rf_engine_socket *socket,
                          struct rf_event *ret_event)
{
    ssize_t size = recv(socket->fd, engine->buffer, sizeof(engine->buffer), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    *ret_event = (struct rf_event){.kind = RF_EVENT_RECEIVED,
                                   .result = size < 0 ? -errno : (int)size,
                                   .socket = socket,
                                   .data = engine->buffer};
    if (size <= 0) {
        socket->state |= STATE_ENDED;
        rewatch(engine, socket);
    }
    return true;
}

static bool next_sent(struct engine *engine, struct rf_engine_socket *socket,
                      struct rf_event *ret_event)
{
    int sent = send_once(socket, socket->send_data, socket->send_size);
    if (sent == -EAGAIN) {
        return false;
    }
    *ret_event = (struct rf_event){.kind = RF_EVENT_SENT, .result = sent, .socket = socket};
    socket->state &= (uint8_t)~STATE_SENDING;
    rewatch(engine, socket);
    return true;
}

/* One entry may mean two events: bytes, and room to send. */
static bool next_of_socket(struct engine *engine, struct epoll_event *entry,
                           struct rf_event *ret_event)
{
    struct rf_engine_socket *socket = entry->data.ptr;
    const uint32_t hangup = EPOLLHUP | EPOLLERR;
    if ((entry->events & (EPOLLIN | hangup)) != 0 && (entry->events & EPOLLRDHUP) == 0) {
        entry->events |= EPOLLRDHUP; /* our mark that the receiving half was looked at */
        bool is_wanted =
            (socket->state & (STATE_RECEIVING | STATE_ENDED | STATE_CLOSED)) == STATE_RECEIVING;
        if (is_wanted && next_received(engine, socket, ret_event)) {
            return true;
        }
    }
    engine->ready_index++;
    bool is_sending = (socket->state & (STATE_SENDING | STATE_CLOSED)) == STATE_SENDING;
    return is_sending && (entry->events & (EPOLLOUT | hangup)) != 0 &&
           next_sent(engine, socket, ret_event);
}

static bool epoll_next(struct rf_engine *base, struct rf_event *ret_event)
{
    struct engine *engine = engine_of(base);
    while (engine->ready_index < engine->ready_count) {
        struct epoll_event *entry = &engine->ready[engine->ready_index];
        bool is_event;
        if (entry->data.ptr == tag_wake(engine)) {
            is_event = next_wake(engine, ret_event);
        } else if (entry->data.ptr == tag_listener(engine)) {
            is_event = next_accepted(engine, ret_event);
        } else {
            is_event = next_of_socket(engine, entry, ret_event);
        }
        if (is_event) {
            return true;
        }
    }
    /* Last, so that no entry of this wait can name a socket whose memory has gone. */
    return next_due(engine, ret_event);
}

static const struct rf_engine_ops epoll_ops = {
    .free = epoll_free,
    .accept_start = epoll_accept_start,
    .open = epoll_open,
    .receive_pause = epoll_receive_pause,
    .receive_resume = epoll_receive_resume,
    .send = epoll_send,
    .close = epoll_close,
    .wait = epoll_wait_ready,
    .next = epoll_next,
};

int rf_engine_epoll_new(int listener_fd, struct rf_engine **ret_engine, struct rf_error *err)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return rf_error_set(err, -ENOMEM, "epoll engine of %zu bytes", sizeof(*engine));
    }
    *engine = (struct engine){
        .base = {.ops = &epoll_ops, .wake_fd = -1}, .epoll_fd = -1, .listener_fd = listener_fd};
    int code;
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (engine->epoll_fd < 0) {
        code = rf_error_set(err, -errno, "epoll_create1: %s", strerror(errno));
        goto fail;
    }
    engine->base.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->base.wake_fd < 0) {
        code = rf_error_set(err, -errno, "eventfd: %s", strerror(errno));
        goto fail;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag_wake(engine)};
    if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, engine->base.wake_fd, &event) < 0) {
        code = rf_error_set(err, -errno, "epoll_ctl: %s", strerror(errno));
        goto fail;
    }
    /* A connection may be gone between the report and the accept, which must not block then. */
    if (listener_fd >= 0 && fcntl(listener_fd, F_SETFL, O_NONBLOCK) < 0) {
        code = rf_error_set(err, -errno, "fcntl: %s", strerror(errno));
        goto fail;
    }
    *ret_engine = &engine->base;
    return 0;
fail:
    epoll_free(&engine->base);
    return code;
}
