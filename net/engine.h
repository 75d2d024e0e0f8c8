/* SPDX-License-Identifier: MIT
 *
 * engine.h - what a worker needs of the operating system: accept, receive, send, wake, wait.
 *
 * Two engines behind one interface: io_uring (engine_uring.c) and epoll (engine_epoll.c), both
 * complete. A worker pulls completions:
 *
 *     rf_engine_wait(engine, timeout)         submits what was asked for; the only call that waits
 *     while (rf_engine_next(engine, &event))  what happened
 *
 * No call runs the worker's code from inside, so nothing re-enters. An engine belongs to the
 * thread that made it; only rf_engine_wake may come from others. Calls on sockets cannot fail:
 * what goes wrong arrives as an event.
 */
#ifndef RF_NET_ENGINE_H
#define RF_NET_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum {
    /* One received buffer: some 200 requests. A batch is what one buffer holds, so it bounds how
     * long an epoch section and the wait of the other connections can get. */
    RF_ENGINE_BUFFER_SIZE = 8 * 1024,
    /* Of io_uring, for each worker, 2 MiB in all: as many sockets can have bytes waiting before
     * the engine has to ask again. A power of two. */
    RF_ENGINE_BUFFERS_COUNT = 256,
    RF_ENGINE_BATCH_MAX = 256, /* readiness events of epoll, taken at once */
    /* Connections that one wake of epoll accepts, so that a storm of them cannot starve the rest.
     */
    RF_ENGINE_ACCEPTS_MAX = 64,
};

enum rf_engine_kind { RF_ENGINE_URING, RF_ENGINE_EPOLL };

/* What io_uring may lack on older kernels; without it the engine works, with more system calls or
 * more entries. All else that it needs must be there, or the engine is not. */
enum rf_engine_feature {
    RF_ENGINE_DEFER_TASKRUN = 1 << 0, /* completions are made when we wait, not in between */
    RF_ENGINE_MULTISHOT_ACCEPT = 1 << 1,
    RF_ENGINE_MULTISHOT_RECEIVE = 1 << 2,
    RF_ENGINE_QUIET_SEND = 1 << 3, /* a send that succeeds at once needs no completion */
    RF_ENGINE_FEATURES_ALL = (1 << 4) - 1,
};

/*
 * A connected socket, embedded in a connection, 8-byte aligned. Zeroed before rf_engine_open; all
 * fields are the engine's, `fd` may be read.
 * Lifetime: from rf_engine_open to the RF_EVENT_CLOSED event.
 */
struct rf_engine_socket {
    int fd;
    uint8_t state;    /* engine's bits */
    uint8_t todo;     /* uring: operations to submit */
    uint8_t inflight; /* uring: operations that the kernel has */
    const uint8_t *send_data;
    size_t send_size;
    struct rf_engine_socket *todo_next;  /* uring: of those with something to submit */
    struct rf_engine_socket *due_next;   /* of those with an event that needs no kernel */
    struct rf_engine_socket *quiet_next; /* uring: of those whose send was submitted quietly */
    int due_result;
};

enum rf_event_kind {
    RF_EVENT_ACCEPTED,      /* result: the new descriptor, now the worker's */
    RF_EVENT_ACCEPT_FAILED, /* result: negative errno, as -EMFILE; accepting has stopped */
    RF_EVENT_RECEIVED,      /* result: > 0 bytes at data; 0: the peer has closed its half; negative
                               errno. After 0 or an error nothing more is received. */
    RF_EVENT_SENT,          /* result: > 0 bytes that were taken, or a negative errno */
    RF_EVENT_CLOSED,        /* the kernel has forgotten the socket: its memory may go */
    RF_EVENT_WOKEN,
};

struct rf_event {
    enum rf_event_kind kind;
    int result;
    struct rf_engine_socket *socket;
    const uint8_t *data; /* RECEIVED: borrowed until the next call of rf_engine_next */
};

struct rf_engine;

struct rf_engine_ops { /* one table for each engine */
    void (*free)(struct rf_engine *engine);
    void (*accept_start)(struct rf_engine *engine);
    void (*open)(struct rf_engine *engine, struct rf_engine_socket *socket, int fd);
    void (*receive_pause)(struct rf_engine *engine, struct rf_engine_socket *socket);
    void (*receive_resume)(struct rf_engine *engine, struct rf_engine_socket *socket);
    int (*send)(struct rf_engine *engine, struct rf_engine_socket *socket, const uint8_t *data,
                size_t size, bool is_awaited);
    void (*close)(struct rf_engine *engine, struct rf_engine_socket *socket);
    int (*wait)(struct rf_engine *engine, uint64_t timeout_ns);
    bool (*next)(struct rf_engine *engine, struct rf_event *ret_event);
};

struct rf_engine {
    const struct rf_engine_ops *ops;
    int wake_fd;              /* an eventfd */
    uint64_t exhausted_count; /* receives that ended because every shared buffer was given out */
};

/* "uring", "epoll". */
const char *rf_engine_kind_name(enum rf_engine_kind kind);

/*
 * Tries, on the running system, what io_uring would be used for: *ret_features are the
 * enum rf_engine_feature bits that work and are not in `features_off`.
 * Errors: -ENOSYS, -EPERM, -EACCES, -EINVAL: io_uring is not there, or lacks what the engine cannot
 *         do without; -ENOMEM, -EMFILE, ...: it is, and there is not enough of something.
 * Cost:   some dozen system calls.
 */
RF_NODISCARD int rf_engine_uring_probe(unsigned features_off, unsigned *ret_features,
                                       struct rf_error *err);

/*
 * Makes an engine whose sockets come from `listener_fd`, a listening socket, or -1 for none. The
 * calling thread is the one that uses it. `features` are as probed; `buffers_count` is that of the
 * ring of buffers, a power of two.
 * Ownership: the listener stays the caller's and outlives the engine's accepting. The caller owns
 *            *ret_engine.
 * Errors:    as above; -ENOMEM, -EMFILE.
 */
RF_NODISCARD int rf_engine_uring_new(int listener_fd, unsigned features, unsigned buffers_count,
                                     struct rf_engine **ret_engine, struct rf_error *err);
RF_NODISCARD int rf_engine_epoll_new(int listener_fd, struct rf_engine **ret_engine,
                                     struct rf_error *err);

/* Frees an engine whose sockets have all been closed (RF_EVENT_CLOSED seen). NULL is allowed. */
static inline void rf_engine_free(struct rf_engine *engine)
{
    if (engine != NULL) {
        engine->ops->free(engine);
    }
}

/* Accepts until RF_EVENT_ACCEPT_FAILED; call it again after that, not before. To end
 * accepting, shut the listener down: that arrives as a failure, too. */
static inline void rf_engine_accept_start(struct rf_engine *engine)
{
    engine->ops->accept_start(engine);
}

/* Takes over an accepted descriptor and starts to receive. */
static inline void rf_engine_open(struct rf_engine *engine, struct rf_engine_socket *socket, int fd)
{
    engine->ops->open(engine, socket, fd);
}

/* Receives no more until resumed; what was under way may still arrive. */
static inline void rf_engine_receive_pause(struct rf_engine *engine,
                                           struct rf_engine_socket *socket)
{
    engine->ops->receive_pause(engine, socket);
}

static inline void rf_engine_receive_resume(struct rf_engine *engine,
                                            struct rf_engine_socket *socket)
{
    engine->ops->receive_resume(engine, socket);
}

/*
 * Sends; one at a time for each socket. Returns how many bytes were taken at once, > 0, or 0:
 * RF_EVENT_SENT will say; `data` is borrowed until then (or RF_EVENT_CLOSED). Unless `is_awaited`
 * no wait ends for that event alone if all was sent: it may come with the next one.
 */
static inline int rf_engine_send(struct rf_engine *engine, struct rf_engine_socket *socket,
                                 const uint8_t *data, size_t size, bool is_awaited)
{
    return engine->ops->send(engine, socket, data, size, is_awaited);
}

/* Closes. The one event of this socket that still comes is RF_EVENT_CLOSED. */
static inline void rf_engine_close(struct rf_engine *engine, struct rf_engine_socket *socket)
{
    engine->ops->close(engine, socket);
}

/*
 * Waits for an event, at most `timeout_ns` (UINT64_MAX: no limit; may be rounded up to 1 ms). 0
 * only looks, and may be called in a loop: io_uring needs a system call for it only if there is
 * something to submit or to take.
 * Returns 1 if rf_engine_next has something, 0 if not: a time-out, a signal. Errors: the engine is
 * broken, end the worker.
 */
RF_NODISCARD static inline int rf_engine_wait(struct rf_engine *engine, uint64_t timeout_ns)
{
    return engine->ops->wait(engine, timeout_ns);
}

/* The next event of those that the last wait found; false: wait again. */
static inline bool rf_engine_next(struct rf_engine *engine, struct rf_event *ret_event)
{
    return engine->ops->next(engine, ret_event);
}

/* Makes the engine's thread see RF_EVENT_WOKEN. Threads: any. */
void rf_engine_wake(struct rf_engine *engine);

#endif
