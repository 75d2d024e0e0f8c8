/* SPDX-License-Identifier: MIT
 *
 * schedule.h - open loop: when each request should be sent, whatever became of those before it.
 *
 * Request `number` of all is due at number / rate seconds after the start. A latency is measured
 * from then: a server that stands still for a second delays all requests that were due in it, and
 * each of them counts ("How NOT to Measure Latency", G. Tene, 2013: coordinated omission).
 */
#ifndef RF_BENCH_SCHEDULE_H
#define RF_BENCH_SCHEDULE_H

#include <stdint.h>

enum { RF_BENCH_RATE_MAX = 1000 * 1000 * 1000 }; /* requests a second: one a nanosecond */

/* The requests of one thread: each `stride`th of all, from `first` on. */
struct rf_bench_schedule {
    uint64_t start_ns;
    uint64_t rate; /* of all threads: 1..RF_BENCH_RATE_MAX */
    uint64_t first;
    uint64_t stride; /* >= 1 */
};

/* When the thread's request `index` is due. Exact for 500 years. */
static inline uint64_t rf_bench_due_ns(const struct rf_bench_schedule *schedule, uint64_t index)
{
    uint64_t number = schedule->first + index * schedule->stride;
    return schedule->start_ns + number / schedule->rate * 1000000000 +
           number % schedule->rate * 1000000000 / schedule->rate;
}

#endif
