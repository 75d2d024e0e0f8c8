/* SPDX-License-Identifier: MIT
 *
 * worker.h - one thread of the server, with its listener, engine, connections and buffers.
 * Private to net: what worker.c (the thread and its loop) and connection.c (what happens to one
 * connection) share.
 */
#ifndef RF_NET_WORKER_H
#define RF_NET_WORKER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/histogram.h"
#include "core/log.h"
#include "core/publish.h"
#include "core/server_counters.h"
#include "net/binary.h"
#include "net/buffer.h"
#include "net/engine.h"
#include "net/info.h"
#include "net/spin.h"
#include "net/watches.h"

enum {
    /* After its last reply and our half's close, the peer has this long to close its own. Closing
     * at once could destroy replies that it has not read yet. */
    RF_LINGER_TIMEOUT_MS = 1000,
    /* Accepting again after there were no descriptors or memory: soon enough for a client that
     * waits in the backlog, too seldom to cost anything. */
    RF_ACCEPT_PAUSE_MS = 100,
    /* Input kept while the output is full; beyond it receiving pauses. As much as one request, so
     * that a whole one is there when the output has room. */
    RF_INPUT_HELD_MAX = 64 * 1024,
    /* The same where buffers have become short: who would need more is closed. Two receives. */
    RF_INPUT_HELD_SHORT_MAX = 16 * 1024,
    /* How often, in the time that a reader may take nothing, the kernel is asked whether it has. */
    RF_STALL_LOOKS = 4,
    /* While buffers are short, requests that are cut are looked at so often: a few milliseconds of
     * a second with 65536 connections. */
    RF_CUT_LOOK_MS = 1000,
    /* The same line is logged at most so often for each worker, however often it happens. */
    RF_LOG_PAUSE_MS = 10 * 1000,
};

enum rf_timer_kind {
    RF_TIMER_NONE,
    RF_TIMER_DETECT,
    RF_TIMER_IDLE,
    RF_TIMER_STALL,
    RF_TIMER_LINGER,
    RF_TIMER_KINDS_COUNT,
};

enum rf_connection_phase {
    RF_CONNECTION_DETECTING,
    RF_CONNECTION_SERVING,
    RF_CONNECTION_DRAINING,  /* no more requests; waits until replies are sent */
    RF_CONNECTION_LINGERING, /* our half is closed, waits for the peer's */
    RF_CONNECTION_CLOSED,    /* waits for RF_EVENT_CLOSED */
};

struct rf_connection {
    struct rf_engine_socket socket; /* first */
    struct rf_binary binary;
    uint8_t phase;
    uint8_t timer;           /* enum rf_timer_kind: the list it is in */
    bool is_blocked;         /* the next reply does not fit until a send completes */
    bool is_paused;          /* receiving is paused */
    bool is_peer_done;       /* the peer has closed its half */
    bool is_dirty;           /* in the list of those to flush */
    bool is_gone;            /* RF_EVENT_CLOSED came while it was dirty */
    uint8_t stall_looks;     /* since a byte was taken, while one is waited for */
    bool is_watch_late;      /* a watch was due when the last send was over, and is not told yet */
    uint32_t need;           /* bytes of `input` without which there is nothing to do */
    uint32_t received;       /* bytes so far, modulo 2^32 */
    uint32_t taken;          /* bytes that the peer had taken at the last look, modulo 2^32 */
    uint32_t drain_left;     /* while stopping: bytes that had been received and must be answered */
    uint64_t active_ns;      /* last time that bytes came */
    uint64_t cut_ns;         /* since when `input` is the beginning of a request; 0: it is not */
    uint64_t deadline_ns;    /* of the timer */
    struct rf_buffer *input; /* of a cut request, or what waits while blocked */
    struct rf_buffer *filling; /* replies that come next */
    struct rf_buffer *sending; /* replies that the engine has */
    struct rf_connection *timer_next, *timer_previous;
    struct rf_connection *all_next, *all_previous;
    struct rf_connection *dirty_next;
    struct rf_watch *watches;
    uint32_t watches_count;
};

static_assert(sizeof(struct rf_connection) <= 256, "an idle connection costs next to nothing");

/* Connections in the order of their deadlines: all of a kind wait equally long, so the newest is
 * always the last. */
struct rf_timer_list {
    struct rf_connection *first, *last;
    uint64_t timeout_ns; /* 0: this kind is off */
};

enum rf_stop { RF_STOP_NO, RF_STOP_DRAIN };

struct rf_worker_config {
    enum rf_engine_kind engine_kind;
    unsigned engine_features;
    unsigned engine_buffers_count;
    unsigned index;
    int listener_fd; /* the server's */
    struct rf_publisher *publisher;
    const struct rf_info_source *info;
    const struct rf_log *log;
    uint32_t connections_max; /* of all workers */
    uint32_t busy_poll_us;
    uint32_t detect_timeout_ms;
    uint32_t stall_timeout_ms;
    uint32_t idle_timeout_ms;
    uint64_t buffers_size_max; /* of this worker */
};

struct rf_worker {
    struct rf_server_counters counters; /* first: cache-line aligned */
    struct rf_histogram latency;        /* of requests: from the end of the wait that brought one to
                                           when its reply was handed to the engine */
    struct rf_worker_config config;

    /* The loop's own. */
    struct rf_engine *engine;
    bool is_ended; /* in order: its engine is freed by the join, since a wake may still be coming */
    struct rf_reader reader;
    struct rf_buffer_pool pool;
    struct rf_connection *all;
    struct rf_connection *dirty, **dirty_end;
    struct rf_timer_list timers[RF_TIMER_KINDS_COUNT];
    uint64_t now_ns;      /* when the last wait ended */
    uint64_t answered_ns; /* when the last requests were answered */
    struct rf_spin spin;
    struct rf_watches watches;
    size_t batch_answered; /* requests of the batch under way */
    size_t round_answered; /* of the round under way */
    uint64_t accept_at_ns; /* UINT64_MAX: accepting, or stopping */
    uint64_t log_at_ns;    /* no accept trouble is logged before */
    uint64_t cut_look_ns;  /* no look at cut requests before */
    bool is_stopping;
    bool has_accepted; /* since the start of this round */

    /* Between the server's thread and this one. */
    pthread_t thread;
    sem_t started; /* start_code and start_error are set */
    int start_code;
    struct rf_error start_error;
    _Atomic(int) stop; /* enum rf_stop */
    _Atomic(bool) has_watches;
    _Atomic(uint64_t) stop_deadline_ns;
    _Atomic(unsigned) dropped_count;
};

/* ---- worker.c ---- */

/*
 * Starts a thread and waits until it serves. `worker` is zeroed, cache-line aligned.
 * Errors: those of the engine and of threads. Then there is nothing to join.
 */
RF_NODISCARD int rf_worker_start(struct rf_worker *worker, const struct rf_worker_config *config,
                                 struct rf_error *err);

/* Asks a worker to stop as rf_server_stop says, until `deadline_ns` of the monotonic clock. */
void rf_worker_stop(struct rf_worker *worker, uint64_t deadline_ns);

/* Something was published. Threads: any, until rf_worker_stop. */
void rf_worker_notify(struct rf_worker *worker);

/* Waits until it has. Returns how many connections were dropped with replies waiting. */
unsigned rf_worker_join(struct rf_worker *worker);

uint64_t rf_monotonic_ns(void);

/* ---- connection.c: all on the worker's thread ---- */

/* Takes over a descriptor, or closes it where there is no memory. */
void rf_connection_open(struct rf_worker *worker, int fd);

void rf_connection_received(struct rf_worker *worker, struct rf_connection *connection,
                            const struct rf_event *event);
void rf_connection_sent(struct rf_worker *worker, struct rf_connection *connection, int result);
void rf_connection_closed(struct rf_worker *worker, struct rf_connection *connection);

/* What a watcher is to be told goes into a buffer with `need` bytes of room; NULL: not now, but as
 * soon as all that it was told before is sent, or never, since the connection has ended. Then the
 * bytes that were written count. */
struct rf_buffer *rf_connection_room(struct rf_worker *worker, struct rf_connection *connection,
                                     size_t need);
void rf_connection_wrote(struct rf_worker *worker, struct rf_connection *connection, size_t size);

/* Sends what the events of a round have put into outputs: one send for each connection. */
void rf_connections_flush(struct rf_worker *worker);

/* Closes those whose deadline is over, and, if buffers are short, whose requests do not go on. */
void rf_connections_expire(struct rf_worker *worker);

/* The earliest deadline, UINT64_MAX: none. */
uint64_t rf_connections_deadline_ns(const struct rf_worker *worker);

/* Begins to end all connections: each answers what it had received until now. */
void rf_connections_drain(struct rf_worker *worker);

/* Closes all. Returns how many had replies waiting. */
unsigned rf_connections_drop(struct rf_worker *worker);

/* Shows all peers the end, without the engine, which has failed; nothing is freed. */
void rf_connections_shut(struct rf_worker *worker);

#endif
