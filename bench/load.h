/* SPDX-License-Identifier: MIT
 *
 * load.h - the load generator: sends a workload to a server and measures the replies.
 *
 * Closed loop: every connection has `depth` requests in flight, always. Open loop: requests are due
 * at a fixed rate (schedule.h), at most `depth` are in flight on a connection, the others wait, and
 * latencies are from when they were due.
 *
 * Replies that a round of the generator received were answered when the round began; what it sends
 * was sent when its sends began. So a batch costs two looks at the clock.
 */
#ifndef RF_BENCH_LOAD_H
#define RF_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/io.h"
#include "bench/result.h"
#include "bench/truth.h"
#include "bench/workload.h"
#include "core/error.h"

enum {
    RF_BENCH_CONNECTIONS_MAX = 65536,
    RF_BENCH_DEPTH_MAX = 65536,
    RF_BENCH_THREADS_MAX = 256,
    RF_BENCH_CPUS_MAX = 256,
    RF_BENCH_DRAIN_MS = 2000, /* for the last replies; what is missing then is an error */
};

struct rf_bench_load_config {
    const char *server; /* "HOST:PORT" */
    const struct rf_bench_workload *workload;
    enum rf_bench_engine engine;
    uint32_t connections; /* 1..RF_BENCH_CONNECTIONS_MAX, at least as many as threads */
    uint32_t depth;       /* 1..RF_BENCH_DEPTH_MAX */
    uint32_t threads;     /* 1..RF_BENCH_THREADS_MAX */
    uint64_t rate;        /* requests a second; 0: closed loop */
    uint64_t warmup_ns, duration_ns;
    bool busy_poll;
    uint32_t cpus[RF_BENCH_CPUS_MAX]; /* thread i runs on cpus[i % cpus_count] */
    uint32_t cpus_count;              /* 0: wherever the kernel likes */
    /* What is right. For the registry it is fetched again when the group changes, if there is a
     * client to do so; NULL: answers are not checked. Borrowed. */
    struct rf_bench_truth *truth;
    struct regfast_client *client;
    FILE *progress; /* NULL: none */
};

/*
 * Runs it, in threads of its own, and waits. `*ret_result` gets what is measured and how; its name
 * and engine are the caller's to set. ret_result->latencies is to be freed.
 *
 * `*ret_first_error` (may be NULL) has the text of the first error of those that were counted.
 * Errors: no server, no such CPU, out of memory: nothing was measured.
 */
RF_NODISCARD int rf_bench_load_run(const struct rf_bench_load_config *config,
                                   struct bench_result *ret_result,
                                   struct rf_error *ret_first_error, struct rf_error *err);

/* Frees what it owns. */
void rf_bench_result_fini(struct bench_result *result);

/* Connects to "HOST:PORT" with TCP_NODELAY. Returns the descriptor. Errors: those of connect. */
RF_NODISCARD int rf_bench_connect(const char *server, struct rf_error *err);

/* Keeps the calling thread on one CPU. Errors: -EINVAL there is no such one for this process. */
RF_NODISCARD int rf_bench_pin(uint32_t cpu, struct rf_error *err);

#endif
