/* SPDX-License-Identifier: MIT
 *
 * local_feed.h - a group for localbench: what a registry would tell of it, and go on telling.
 */
#ifndef RF_BENCH_LOCAL_FEED_H
#define RF_BENCH_LOCAL_FEED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/local_driver.h"
#include "core/ring.h"

struct local_feed {
    struct local_driver *driver;
    uint32_t members_count;
    uint32_t replicas;
    uint32_t interval_ms; /* of updates */
    struct rf_ring *ring; /* of the same members, for the bare lookup; does not change */

    uint64_t version;
    uint64_t digest;
    uint8_t *frame; /* a page */
    pthread_t thread;
    atomic_bool is_over;
    _Atomic(uint64_t) updates_count; /* while it runs */
    _Atomic(uint64_t) updates_ns;    /* taken by them */
    int code;                        /* of the thread */
    struct rf_error err;
};

/* Makes the members, and tells the driver all of them. Ended by local_feed_fini, also after a
 * failure. */
RF_NODISCARD int local_feed_init(struct local_feed *feed, uint32_t members_count, uint32_t replicas,
                                 uint32_t interval_ms, struct rf_error *err);
void local_feed_fini(struct local_feed *feed);

/* From now on, each interval, a member leaves or comes back, in a thread of its own. */
RF_NODISCARD int local_feed_start(struct local_feed *feed, struct rf_error *err);

/* Until now. Errors: what an update ended with. */
RF_NODISCARD int local_feed_stop(struct local_feed *feed, struct rf_error *err);

#endif
