/* SPDX-License-Identifier: MIT
 *
 * events.h - the way of member events from the gossip thread to the consumer's.
 *
 * A bounded queue, and beside it one place for a whole member list. When the queue is full the
 * gossip thread stops queueing; the consumer, having emptied the queue, asks for the list; the
 * gossip thread puts it into its place and queues what happens from then on. So the list comes
 * after all that it contains and before all that it lacks, and neither thread waits for the other.
 */
#ifndef RF_GOSSIP_EVENTS_H
#define RF_GOSSIP_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/error.h"
#include "core/queue.h"
#include "gossip/gossip.h"

struct rf_events {
    struct rf_queue *queue;
    int event_fd; /* readable: the consumer has something to look at */
    /* producer */
    bool has_news; /* not announced by event_fd yet */
    /* consumer */
    bool awaits_list;
    /* both */
    atomic_bool is_overflown; /* set by the producer: the queue gets nothing more until the list */
    atomic_bool list_wanted;  /* set by the consumer */
    _Atomic(struct rf_gossip_event *) list;
};

/* Errors: -ENOMEM, -EMFILE. Ends by fini, also after a failure. */
RF_NODISCARD int rf_events_init(struct rf_events *events, struct rf_error *err);
void rf_events_fini(struct rf_events *events); /* both threads are done; frees what was not taken */

/* ---- the producer's ---- */

/* Queues `event` (taken). NULL says that it could not be made: then the list makes it good. */
void rf_events_put(struct rf_events *events, struct rf_gossip_event *event);

/* Whether rf_events_put_list is due. */
bool rf_events_wants_list(const struct rf_events *events);

/* Answers with the whole list (taken), to be called only when it is wanted. */
void rf_events_put_list(struct rf_events *events, struct rf_gossip_event *event);

/* Tells the consumer, if there is news. Once for a batch, since it is a system call. */
void rf_events_announce(struct rf_events *events);

/* ---- the consumer's ---- */

/*
 * The next event, or NULL. *ret_asks is set if the gossip thread has to be woken, since the list
 * was asked for just now.
 */
struct rf_gossip_event *rf_events_take(struct rf_events *events, bool *ret_asks);

#endif
