/* SPDX-License-Identifier: MIT
 *
 * watches.h - who watches which group on a worker, and when they are told.
 *
 * Whoever publishes wakes the workers that have watchers (rf_server_notify); a worker compares the
 * versions of the groups that are watched, and tells each of their watchers, so many in a round
 * that requests do not wait for them. An update of one page that many watchers need is encoded once
 * and copied. A connection whose last page is still being sent waits for that, and is then told
 * what is so by then.
 */
#ifndef RF_NET_WATCHES_H
#define RF_NET_WATCHES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/wire.h"

enum {
    RF_WATCHES_CONNECTION_MAX = 256, /* of one connection: some 100 KiB */
    RF_WATCHES_WORKER_MAX = 262144,  /* of one worker: some 100 MiB */
    RF_WATCH_WINDOW_MS_MIN = 50,     /* between two updates of a group */
    RF_WATCH_WINDOW_MS_MAX = 1000,   /* while changes do not stop */
    RF_WATCH_PAGES_ROUND_MAX = 16,   /* written in one round: some 100 us if they are small */
    /* After a look at the groups that are watched, pause so long for each: a tenth of the time
     * goes into looking at most, however many are watched and however often somebody publishes. */
    RF_WATCH_LOOK_NS = 1000,
    /* Groups that are looked at, and watchers found to be told, in one round: some 100 us. The look
     * goes on in the next one. */
    RF_WATCH_LOOK_ROUND_MAX = 1024,
};

struct rf_worker;
struct rf_connection;
struct rf_watch;
struct rf_watched;

/* Of one worker; zeroed: nobody watches. */
struct rf_watches {
    struct rf_watched **groups; /* hash table by name */
    size_t groups_size;         /* of the table, a power of two */
    size_t groups_count;
    size_t count; /* of watches */
    /* Those to be told next, in order. */
    struct rf_watch *due_first, *due_last;
    /* The earliest end of a window that something waits for; UINT64_MAX: none. */
    uint64_t window_ns;
    uint64_t look_ns; /* no look before */
    /* All groups. While a look is under way: the next of them, and the next watcher of the one
     * before it, which has changed. */
    struct rf_watched *look_first, *look_last;
    struct rf_watched *look_at;
    struct rf_watch *look_watch;
};

void rf_watches_init(struct rf_watches *watches);
void rf_watches_fini(struct rf_watches *watches); /* all watches have ended */

/*
 * A client watches a group from now on; it is told at the end of this round.
 * Errors: RF_ELIMIT a limit above; -ENOMEM.
 */
RF_NODISCARD int rf_watch_start(struct rf_worker *worker, struct rf_connection *connection,
                                const struct rf_wire_watch_request *request, uint32_t request_id,
                                struct rf_error *err);

/* Ends all watches of a connection. */
void rf_watches_end(struct rf_worker *worker, struct rf_connection *connection);

/* Everything that this connection was told is sent: what it does not know yet may follow. */
void rf_watches_resume(struct rf_worker *worker, struct rf_connection *connection);

/*
 * A send is over, and nothing else is being sent. If a watch of this connection was due already
 * when the one before was over, and replies have taken all the room since, it is told a page now,
 * before them: who asks without a pause is told, too.
 */
void rf_watches_insist(struct rf_worker *worker, struct rf_connection *connection);

/* Somebody has published: rf_watches_tell looks what that changes, as soon as it may. */
void rf_watches_look(struct rf_worker *worker);

/* Tells those that are due, up to RF_WATCH_PAGES_ROUND_MAX. Call once in a round, before outputs
 * are flushed. */
void rf_watches_tell(struct rf_worker *worker);

/* When rf_watches_tell has something to do next: 0 at once, UINT64_MAX: not until something
 * happens. */
uint64_t rf_watches_deadline_ns(const struct rf_worker *worker);

#endif
