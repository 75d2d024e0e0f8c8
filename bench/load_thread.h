/* SPDX-License-Identifier: MIT
 *
 * load_thread.h - one thread of the load generator: its connections, its loop, its counts.
 */
#ifndef RF_BENCH_LOAD_THREAD_H
#define RF_BENCH_LOAD_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "bench/load.h"
#include "bench/replies.h"
#include "core/histogram.h"

/* What threads that have set up wait for. */
enum rf_bench_gate {
    RF_BENCH_GATE_CLOSED,
    RF_BENCH_GATE_OPEN,    /* the times are set: go */
    RF_BENCH_GATE_ABANDON, /* one of them could not set up: end */
};

/* What the threads and the one that started them share. */
struct rf_bench_shared {
    const struct rf_bench_load_config *config;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* the two below */
    uint32_t ready_count;   /* threads that have set up, or could not */
    enum rf_bench_gate gate;
    uint64_t start_ns, measure_ns, stop_ns;
    _Atomic(const struct rf_bench_truth *) truth;
    _Atomic(uint32_t) ended_count; /* threads that have: all, if the server is gone */
};

struct rf_bench_counts {
    uint64_t requests; /* whose latency counts */
    uint64_t answered; /* meanwhile; in an open loop others, if the server does not keep up */
    uint64_t bytes_sent, bytes_received;
};

struct rf_bench_thread {
    struct rf_bench_shared *shared;
    uint32_t index;
    pthread_t id;
    int *fds; /* of its connections: taken */
    uint32_t connections_count;

    /* Read by the others while it runs. */
    _Alignas(64) _Atomic(uint64_t) answered;
    _Atomic(const struct rf_bench_truth *) truth_in_use;
    _Atomic(uint64_t) newest_version; /* seen in replies that could not be checked */

    /* Valid after the thread has ended. */
    _Alignas(64) struct rf_histogram latencies;
    struct rf_bench_counts counts; /* while it measured */
    struct rf_bench_tally tally;   /* of all */
    uint64_t lost;                 /* requests without a reply */
    uint64_t lost_connections;     /* also such as had nothing in flight */
    struct rf_error lost_error;    /* why */
    int code;                      /* negative: could not run; text in err */
    struct rf_error err;
};

/* The thread's function; `argument` is a struct rf_bench_thread. */
void *rf_bench_thread_run(void *argument);

#endif
