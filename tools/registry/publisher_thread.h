/* SPDX-License-Identifier: MIT
 *
 * publisher_thread.h - takes member events from gossip, makes catalogs of them, publishes them, and
 * frees the retired ones.
 *
 * Events that wait together go into one catalog. While a catalog is made, more may gather; so under
 * churn the thread makes fewer and larger steps, and never falls behind by more than one catalog
 * and a queue.
 */
#ifndef RF_TOOLS_REGISTRY_PUBLISHER_THREAD_H
#define RF_TOOLS_REGISTRY_PUBLISHER_THREAD_H

#include <signal.h>

#include "core/counters.h"
#include "core/error.h"
#include "core/guard.h"
#include "core/log.h"
#include "core/publish.h"
#include "core/ring.h"
#include "gossip/gossip.h"

/* Sent to this process when gossip says that the node's name is lost: there will be no more news,
 * so the program should end. Blocked in every thread but the one that waits for it. */
enum { RF_SIGNAL_NAME_LOST = SIGUSR1 };

struct rf_publisher_thread; /* private */

/*
 * Makes the publisher with the empty catalog; the thread is not running yet.
 * Ownership: the caller ends *ret_thread with rf_publisher_thread_free. Errors: -ENOMEM, -EMFILE.
 */
RF_NODISCARD int rf_publisher_thread_new(enum rf_placement placement,
                                         const struct rf_guard_config *guard_config,
                                         const struct rf_log *log,
                                         struct rf_publisher_thread **ret_thread,
                                         struct rf_error *err);

/* What servers read from. Lifetime: the thread's. */
struct rf_publisher *rf_publisher_thread_publisher(struct rf_publisher_thread *thread);

/* What it counts of members. Threads: any. Lifetime: the thread's. */
struct rf_counters_view rf_publisher_thread_counters(const struct rf_publisher_thread *thread);

/* What the gossip thread and its machines count, as of at most a second ago; zeros before the
 * start. Threads: any. Lifetime: the thread's. */
struct rf_counters_view
rf_publisher_thread_gossip_counters(const struct rf_publisher_thread *thread);

/*
 * After each publication `notify` is called on the publisher's thread, quickly and without
 * blocking. NULL: no more; it does not run any more when this returns. Threads: any.
 */
void rf_publisher_thread_set_notify(struct rf_publisher_thread *thread,
                                    void (*notify)(void *context), void *context);

/*
 * Starts to consume the events of `gossip`, which must outlive it and have a consumer.
 * Errors: -EAGAIN no more threads.
 */
RF_NODISCARD int rf_publisher_thread_start(struct rf_publisher_thread *thread,
                                           struct rf_gossip *gossip, struct rf_error *err);

/* Stops the thread if it runs; `gossip` may be freed then. The last catalog stays readable. */
void rf_publisher_thread_stop(struct rf_publisher_thread *thread);

/* Stops and frees; no reader may be in a section. NULL is allowed. */
void rf_publisher_thread_free(struct rf_publisher_thread *thread);

#endif
