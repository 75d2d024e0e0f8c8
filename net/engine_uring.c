/* SPDX-License-Identifier: MIT
 *
 * The io_uring engine. What the worker asks for is kept as bits in the socket, and its socket in a
 * list, until the next wait makes submission entries of them: so a full submission queue is a
 * matter of submitting once more, never an error, and a pause followed by a resume costs nothing.
 *
 * A send that nobody waits for is quiet: it must take everything at once or fail, and only a
 * failure makes a completion. So the wait that submits it ends with the next request instead of
 * with the send. When the kernel has taken all entries and shown all completions, what has not
 * failed has succeeded.
 *
 * Accept and receive are multishot where the kernel can: one entry arms them for life. Received
 * bytes land in buffers of one ring for the worker, so a connection that is idle has none.
 */
#include "net/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"
#include "net/uring.h"

enum {
    ENTRIES_COUNT = 512, /* operations of one submission; more take more than one */
    /* Quiet sends that may keep their buffers until something else happens, 1 MiB; with more the
     * wait that submits them does not block. */
    QUIET_HELD_MAX = 16,
    NO_BUFFER = -1,
};

enum {                           /* socket->state */
       STATE_RECEIVING = 1 << 0, /* wanted by the worker */
       STATE_ARMED = 1 << 1,     /* a receive is with the kernel */
       STATE_ENDED = 1 << 2,     /* 0 or an error was received */
       STATE_CLOSED = 1 << 3,
       STATE_SENDING = 1 << 4,
       STATE_CANCELLING = 1 << 5, /* the armed receive is being cancelled */
       STATE_QUIET = 1 << 6,      /* nobody waits for the send */
       STATE_FAILED = 1 << 7,     /* a quiet send did: due_result */
};

enum { /* socket->todo */
       TODO_RECEIVE = 1 << 0,
       TODO_CANCEL = 1 << 1,
       TODO_SEND = 1 << 2,
       TODO_LISTED = 1 << 3, /* in engine->todo */
};

/* Low bits of an entry's user data: whose completion it is; the rest is the socket. */
enum tag { TAG_RECEIVE, TAG_SEND, TAG_CANCEL, TAG_ACCEPT, TAG_WAKE, TAG_MASK = 7 };
static_assert(_Alignof(struct rf_engine_socket) > TAG_MASK, "low bits of its address are free");

struct engine {
    struct rf_engine base; /* first */
    struct io_uring ring;
    struct rf_uring_buffers buffers;
    unsigned features;
    int listener_fd;
    bool is_accept_wanted;
    bool is_accept_armed;
    bool is_wake_armed;
    uint64_t wakes;                /* the eventfd is read into this */
    int buffer;                    /* of the event that was given out, or NO_BUFFER */
    unsigned ready_left;           /* completions of this wait */
    struct rf_engine_socket *todo; /* oldest first */
    struct rf_engine_socket **todo_end;
    struct rf_engine_socket *due;   /* closed: RF_EVENT_CLOSED */
    struct rf_engine_socket *quiet; /* sends submitted quietly */
    unsigned quiet_count;
    bool is_quiet_done; /* the kernel has worked off all of them */
};

static struct engine *engine_of(struct rf_engine *base)
{
    return (struct engine *)base;
}

static void uring_free(struct rf_engine *base)
{
    struct engine *engine = engine_of(base);
    RF_ASSERT(engine->todo == NULL && engine->due == NULL && engine->quiet == NULL);
    if (engine->ring.ring_fd >= 0) {
        io_uring_queue_exit(&engine->ring);
    }
    rf_uring_buffers_fini(&engine->buffers);
    if (engine->base.wake_fd >= 0) {
        (void)close(engine->base.wake_fd);
    }
    free(engine);
}

static void uring_accept_start(struct rf_engine *base)
{
    struct engine *engine = engine_of(base);
    RF_ASSERT(engine->listener_fd >= 0);
    engine->is_accept_wanted = true;
}

/* ---- what is to be submitted ---- */

static void todo_add(struct engine *engine, struct rf_engine_socket *socket, uint8_t bit)
{
    socket->todo |= bit;
    if ((socket->todo & TODO_LISTED) == 0) {
        socket->todo |= TODO_LISTED;
        socket->todo_next = NULL;
        *engine->todo_end = socket;
        engine->todo_end = &socket->todo_next;
    }
}

static void uring_open(struct rf_engine *base, struct rf_engine_socket *socket, int fd)
{
    socket->fd = fd;
    socket->state = STATE_RECEIVING;
    todo_add(engine_of(base), socket, TODO_RECEIVE);
}

static void uring_receive_pause(struct rf_engine *base, struct rf_engine_socket *socket)
{
    socket->state &= (uint8_t)~STATE_RECEIVING;
    socket->todo &= (uint8_t)~TODO_RECEIVE;
    if ((socket->state & (STATE_ARMED | STATE_CANCELLING)) == STATE_ARMED) {
        todo_add(engine_of(base), socket, TODO_CANCEL);
    }
}

static void receive_rearm(struct engine *engine, struct rf_engine_socket *socket)
{
    const uint8_t bits = STATE_RECEIVING | STATE_ARMED | STATE_ENDED | STATE_CLOSED;
    if ((socket->state & bits) == STATE_RECEIVING) {
        todo_add(engine, socket, TODO_RECEIVE);
    }
}

static void uring_receive_resume(struct rf_engine *base, struct rf_engine_socket *socket)
{
    socket->state |= STATE_RECEIVING;
    socket->todo &= (uint8_t)~TODO_CANCEL; /* not submitted yet: then there is no need */
    receive_rearm(engine_of(base), socket);
}

static int uring_send(struct rf_engine *base, struct rf_engine_socket *socket, const uint8_t *data,
                      size_t size, bool is_awaited)
{
    struct engine *engine = engine_of(base);
    RF_ASSERT(size >= 1 && size <= INT32_MAX && (socket->state & STATE_SENDING) == 0);
    socket->state |= STATE_SENDING;
    if (!is_awaited && (engine->features & RF_ENGINE_QUIET_SEND) != 0) {
        socket->state |= STATE_QUIET;
    }
    socket->send_data = data;
    socket->send_size = size;
    todo_add(engine, socket, TODO_SEND);
    return 0;
}

/* Ends what has been closed once neither the kernel nor the todo list knows it. */
static void finish_close(struct engine *engine, struct rf_engine_socket *socket)
{
    if (socket->inflight == 0 && (socket->todo & TODO_LISTED) == 0) {
        (void)close(socket->fd); /* errors say nothing useful */
        socket->fd = -1;
        socket->due_next = engine->due;
        engine->due = socket;
    }
}

static void uring_close(struct rf_engine *base, struct rf_engine_socket *socket)
{
    RF_ASSERT((socket->state & STATE_CLOSED) == 0);
    socket->state |= STATE_CLOSED;
    socket->todo &= TODO_LISTED; /* nothing of it is worth submitting; the list is left by wait */
    if (socket->inflight > 0) {
        (void)shutdown(socket->fd, SHUT_RDWR); /* completes what is with the kernel */
    }
    finish_close(engine_of(base), socket);
}

/* A submission entry, or NULL if the kernel takes no more for now. */
static struct io_uring_sqe *get_entry(struct engine *engine)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);
    if (sqe == NULL && io_uring_submit(&engine->ring) > 0) {
        sqe = io_uring_get_sqe(&engine->ring);
    }
    return sqe;
}

static void tag(struct io_uring_sqe *sqe, void *pointer, enum tag kind)
{
    io_uring_sqe_set_data64(sqe, (uintptr_t)pointer | kind);
}

static bool submit_receive(struct engine *engine, struct rf_engine_socket *socket)
{
    struct io_uring_sqe *sqe = get_entry(engine);
    if (sqe == NULL) {
        return false;
    }
    if ((engine->features & RF_ENGINE_MULTISHOT_RECEIVE) != 0) {
        io_uring_prep_recv_multishot(sqe, socket->fd, NULL, 0, 0);
    } else {
        io_uring_prep_recv(sqe, socket->fd, NULL, engine->buffers.size, 0);
    }
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    tag(sqe, socket, TAG_RECEIVE);
    socket->state |= STATE_ARMED;
    socket->inflight++;
    return true;
}

static bool submit_cancel(struct engine *engine, struct rf_engine_socket *socket)
{
    struct io_uring_sqe *sqe = get_entry(engine);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_cancel64(sqe, (uintptr_t)socket | TAG_RECEIVE, 0);
    tag(sqe, socket, TAG_CANCEL);
    socket->state |= STATE_CANCELLING;
    socket->inflight++;
    return true;
}

static bool submit_send(struct engine *engine, struct rf_engine_socket *socket)
{
    struct io_uring_sqe *sqe = get_entry(engine);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_send(sqe, socket->fd, socket->send_data, socket->send_size, MSG_NOSIGNAL);
    if ((socket->state & STATE_QUIET) != 0) {
        /* WAITALL: taking less is a failure; DONTWAIT: decided within the submission. */
        sqe->msg_flags |= MSG_WAITALL | MSG_DONTWAIT;
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        socket->quiet_next = engine->quiet;
        engine->quiet = socket;
        engine->quiet_count++;
    }
    tag(sqe, socket, TAG_SEND);
    socket->inflight++;
    return true;
}

/* Makes entries of the todo list. False: there is more than the kernel takes now. */
static bool submit_todo(struct engine *engine)
{
    while (engine->todo != NULL) {
        struct rf_engine_socket *socket = engine->todo;
        if ((socket->todo & TODO_CANCEL) != 0) {
            bool is_armed = (socket->state & (STATE_ARMED | STATE_CANCELLING)) == STATE_ARMED;
            if (is_armed && !submit_cancel(engine, socket)) {
                return false;
            }
            socket->todo &= (uint8_t)~TODO_CANCEL;
        }
        if ((socket->todo & TODO_RECEIVE) != 0) {
            bool is_armed = (socket->state & STATE_ARMED) != 0;
            if (!is_armed && !submit_receive(engine, socket)) {
                return false;
            }
            socket->todo &= (uint8_t)~TODO_RECEIVE;
        }
        if ((socket->todo & TODO_SEND) != 0) {
            if (!submit_send(engine, socket)) {
                return false;
            }
            socket->todo &= (uint8_t)~TODO_SEND;
        }
        engine->todo = socket->todo_next;
        if (engine->todo == NULL) {
            engine->todo_end = &engine->todo;
        }
        socket->todo = 0;
        if ((socket->state & STATE_CLOSED) != 0) {
            finish_close(engine, socket);
        }
    }
    return true;
}

/* The listener and the eventfd. */
static bool submit_standing(struct engine *engine)
{
    if (!engine->is_wake_armed) {
        struct io_uring_sqe *sqe = get_entry(engine);
        if (sqe == NULL) {
            return false;
        }
        io_uring_prep_read(sqe, engine->base.wake_fd, &engine->wakes, sizeof(engine->wakes), 0);
        tag(sqe, NULL, TAG_WAKE);
        engine->is_wake_armed = true;
    }
    if (engine->is_accept_wanted && !engine->is_accept_armed) {
        struct io_uring_sqe *sqe = get_entry(engine);
        if (sqe == NULL) {
            return false;
        }
        /* Not SOCK_NONBLOCK: io_uring then would report EAGAIN instead of waiting. */
        if ((engine->features & RF_ENGINE_MULTISHOT_ACCEPT) != 0) {
            io_uring_prep_multishot_accept(sqe, engine->listener_fd, NULL, NULL, SOCK_CLOEXEC);
        } else {
            io_uring_prep_accept(sqe, engine->listener_fd, NULL, NULL, SOCK_CLOEXEC);
        }
        tag(sqe, NULL, TAG_ACCEPT);
        engine->is_accept_armed = true;
    }
    return true;
}

static void recycle(struct engine *engine)
{
    if (engine->buffer != NO_BUFFER) {
        rf_uring_buffers_recycle(&engine->buffers, (unsigned)engine->buffer);
        engine->buffer = NO_BUFFER;
    }
}

/* Submits, and takes what has completed. With deferred task work the kernel says by a flag whether
 * there is something that only a system call would show. */
static int submit_and_look(struct io_uring *ring)
{
    unsigned flags = IO_URING_READ_ONCE(*ring->sq.kflags);
    if (io_uring_sq_ready(ring) == 0 &&
        (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) == 0) {
        return 0;
    }
    return io_uring_submit_and_get_events(ring);
}

static int uring_wait(struct rf_engine *base, uint64_t timeout_ns)
{
    struct engine *engine = engine_of(base);
    RF_ASSERT(engine->ready_left == 0);
    recycle(engine);
    bool is_all = submit_standing(engine);
    is_all = submit_todo(engine) && is_all;
    if (!is_all || engine->due != NULL || engine->quiet_count > QUIET_HELD_MAX) {
        timeout_ns = 0;
    }
    int code;
    if (timeout_ns == 0) {
        code = submit_and_look(&engine->ring);
    } else if (timeout_ns == UINT64_MAX) {
        code = io_uring_submit_and_wait(&engine->ring, 1);
    } else {
        struct io_uring_cqe *cqe;
        struct __kernel_timespec timeout = {.tv_sec = (long long)(timeout_ns / 1000000000),
                                            .tv_nsec = (long long)(timeout_ns % 1000000000)};
        code = io_uring_submit_and_wait_timeout(&engine->ring, &cqe, 1, &timeout, NULL);
    }
    /* EAGAIN, EBUSY: the kernel is short of memory or wants completions taken first; what was not
     * submitted stays in the queue. */
    if (code < 0 && code != -ETIME && code != -EINTR && code != -EAGAIN && code != -EBUSY) {
        return code;
    }
    /* Only these: without DEFER_TASKRUN more come in all the time, and they can wait. */
    engine->ready_left = io_uring_cq_ready(&engine->ring);
    engine->is_quiet_done =
        io_uring_sq_ready(&engine->ring) == 0 &&
        (IO_URING_READ_ONCE(*engine->ring.sq.kflags) & IORING_SQ_CQ_OVERFLOW) == 0;
    return engine->ready_left > 0 || engine->due != NULL || engine->quiet_count > QUIET_HELD_MAX;
}

/* ---- what has completed ---- */

static bool on_accept(struct engine *engine, int result, unsigned flags, struct rf_event *ret_event)
{
    engine->is_accept_armed = (flags & IORING_CQE_F_MORE) != 0;
    if (result >= 0) {
        *ret_event = (struct rf_event){.kind = RF_EVENT_ACCEPTED, .result = result};
        return true;
    }
    /* A connection that was gone before we took it is no failure of ours. */
    if (result == -ECONNABORTED || result == -EINTR || result == -EPROTO || result == -EAGAIN) {
        return false;
    }
    engine->is_accept_wanted = false;
    *ret_event = (struct rf_event){.kind = RF_EVENT_ACCEPT_FAILED, .result = result};
    return true;
}

static bool on_receive(struct engine *engine, struct rf_engine_socket *socket, int result,
                       unsigned flags, struct rf_event *ret_event)
{
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
        engine->buffer = (int)(flags >> IORING_CQE_BUFFER_SHIFT);
    }
    if ((flags & IORING_CQE_F_MORE) == 0) {
        socket->state &= (uint8_t) ~(STATE_ARMED | STATE_CANCELLING);
        socket->inflight--;
    }
    if ((socket->state & STATE_CLOSED) != 0) {
        finish_close(engine, socket);
        return false;
    }
    /* ENOBUFS: every buffer was given out; they are all back before the next wait. */
    if (result == -ENOBUFS) {
        engine->base.exhausted_count++;
    }
    if (result == -ENOBUFS || result == -ECANCELED || result == -EINTR || result == -EAGAIN) {
        receive_rearm(engine, socket);
        return false;
    }
    if (result <= 0) {
        socket->state |= STATE_ENDED;
    }
    receive_rearm(engine, socket);
    *ret_event = (struct rf_event){.kind = RF_EVENT_RECEIVED, .result = result, .socket = socket};
    if (result > 0) {
        RF_ASSERT(engine->buffer != NO_BUFFER);
        ret_event->data = rf_uring_buffer(&engine->buffers, (unsigned)engine->buffer);
    }
    return true;
}

/* The end of a send, by its completion or, of a quiet one, without. */
static bool finish_send(struct engine *engine, struct rf_engine_socket *socket, int result,
                        struct rf_event *ret_event)
{
    socket->inflight--;
    socket->state &= (uint8_t) ~(STATE_QUIET | STATE_FAILED);
    if ((socket->state & STATE_CLOSED) != 0) {
        finish_close(engine, socket);
        return false;
    }
    if (result == -EINTR || result == -EAGAIN) {
        todo_add(engine, socket, TODO_SEND);
        return false;
    }
    socket->state &= (uint8_t)~STATE_SENDING;
    *ret_event = (struct rf_event){.kind = RF_EVENT_SENT, .result = result, .socket = socket};
    return true;
}

static bool on_send(struct engine *engine, struct rf_engine_socket *socket, int result,
                    struct rf_event *ret_event)
{
    if ((socket->state & STATE_QUIET) != 0) { /* it is in that list, and ends there */
        socket->state |= STATE_FAILED;
        socket->due_result = result;
        return false;
    }
    return finish_send(engine, socket, result, ret_event);
}

/* The next quiet send that has an event. One that failed for want of room is sent once more, in the
 * ordinary way. */
static bool next_quiet(struct engine *engine, struct rf_event *ret_event)
{
    while (engine->quiet != NULL && engine->is_quiet_done) {
        struct rf_engine_socket *socket = engine->quiet;
        engine->quiet = socket->quiet_next;
        engine->quiet_count--;
        int result =
            (socket->state & STATE_FAILED) != 0 ? socket->due_result : (int)socket->send_size;
        if (finish_send(engine, socket, result, ret_event)) {
            return true;
        }
    }
    return false;
}

static void on_cancel(struct engine *engine, struct rf_engine_socket *socket, int result)
{
    socket->inflight--;
    if ((socket->state & STATE_CLOSED) != 0) {
        finish_close(engine, socket);
        return;
    }
    /* 0: its last completion will come. ENOENT: it has. EALREADY: it was running just then and may
     * be armed again. */
    if (result < 0 && (socket->state & STATE_ARMED) != 0) {
        socket->state &= (uint8_t)~STATE_CANCELLING;
        if ((socket->state & STATE_RECEIVING) == 0) {
            todo_add(engine, socket, TODO_CANCEL);
        }
    }
}

static bool on_completion(struct engine *engine, uint64_t user_data, int result, unsigned flags,
                          struct rf_event *ret_event)
{
    /* The user data is a pointer that we made; no other way back than a cast. */
    struct rf_engine_socket *socket =
        (struct rf_engine_socket *)(uintptr_t)(user_data & ~(uint64_t)TAG_MASK);
    switch ((enum tag)(user_data & TAG_MASK)) {
    case TAG_RECEIVE:
        return on_receive(engine, socket, result, flags, ret_event);
    case TAG_SEND:
        return on_send(engine, socket, result, ret_event);
    case TAG_CANCEL:
        on_cancel(engine, socket, result);
        return false;
    case TAG_ACCEPT:
        return on_accept(engine, result, flags, ret_event);
    case TAG_WAKE:
        engine->is_wake_armed = false;
        *ret_event = (struct rf_event){.kind = RF_EVENT_WOKEN};
        return true;
    case TAG_MASK:
        break;
    }
    RF_ASSERT(!"a tag that we gave");
    return false;
}

static bool uring_next(struct rf_engine *base, struct rf_event *ret_event)
{
    struct engine *engine = engine_of(base);
    recycle(engine);
    while (engine->ready_left > 0) {
        struct io_uring_cq *cq = &engine->ring.cq;
        struct io_uring_cqe *cqe = &cq->cqes[*cq->khead & cq->ring_mask];
        uint64_t user_data = cqe->user_data;
        int result = cqe->res;
        unsigned flags = cqe->flags;
        io_uring_cq_advance(&engine->ring, 1);
        engine->ready_left--;
        if (on_completion(engine, user_data, result, flags, ret_event)) {
            return true;
        }
        recycle(engine);
    }
    if (next_quiet(engine, ret_event)) {
        return true;
    }
    struct rf_engine_socket *socket = engine->due;
    if (socket == NULL) {
        return false;
    }
    engine->due = socket->due_next;
    *ret_event = (struct rf_event){.kind = RF_EVENT_CLOSED, .socket = socket};
    return true;
}

static const struct rf_engine_ops uring_ops = {
    .free = uring_free,
    .accept_start = uring_accept_start,
    .open = uring_open,
    .receive_pause = uring_receive_pause,
    .receive_resume = uring_receive_resume,
    .send = uring_send,
    .close = uring_close,
    .wait = uring_wait,
    .next = uring_next,
};

int rf_engine_uring_new(int listener_fd, unsigned features, unsigned buffers_count,
                        struct rf_engine **ret_engine, struct rf_error *err)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return rf_error_set(err, -ENOMEM, "io_uring engine of %zu bytes", sizeof(*engine));
    }
    engine->base = (struct rf_engine){.ops = &uring_ops, .wake_fd = -1};
    engine->ring.ring_fd = -1;
    engine->features = features;
    engine->listener_fd = listener_fd;
    engine->buffer = NO_BUFFER;
    engine->todo_end = &engine->todo;
    struct io_uring ring;
    int code = rf_uring_init(&ring, ENTRIES_COUNT, features);
    if (code < 0) {
        code = rf_error_set(err, code, "io_uring_setup: %s", strerror(-code));
        goto fail;
    }
    engine->ring = ring;
    code = rf_uring_buffers_init(&engine->buffers, &engine->ring, buffers_count,
                                 RF_ENGINE_BUFFER_SIZE);
    if (code < 0) {
        code = rf_error_set(err, code, "io_uring buffers: %s", strerror(-code));
        goto fail;
    }
    engine->base.wake_fd = eventfd(0, EFD_CLOEXEC); /* blocking: see SOCK_NONBLOCK above */
    if (engine->base.wake_fd < 0) {
        code = rf_error_set(err, -errno, "eventfd: %s", strerror(errno));
        goto fail;
    }
    if (listener_fd >= 0 && fcntl(listener_fd, F_SETFL, 0) < 0) {
        code = rf_error_set(err, -errno, "fcntl: %s", strerror(errno));
        goto fail;
    }
    *ret_engine = &engine->base;
    return 0;
fail:
    uring_free(&engine->base);
    return code;
}
