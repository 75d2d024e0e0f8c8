/* SPDX-License-Identifier: MIT
 *
 * bench_results.h - results as regbench could have measured them, for tests of what is made of
 * them.
 */
#ifndef RF_TESTS_BENCH_RESULTS_H
#define RF_TESTS_BENCH_RESULTS_H

#include <stdlib.h>
#include <string.h>

#include "bench/report.h"
#include "core/histogram.h"
#include "core/random.h"

enum { BENCH_SAMPLES_MAX = 32 };

struct bench_samples {
    struct rf_bench_environment environment;
    struct bench_result results[BENCH_SAMPLES_MAX];
    struct rf_histogram *latencies; /* [BENCH_SAMPLES_MAX] */
    struct rf_bench_report report;
};

/* False: out of memory. */
static inline bool bench_samples_init(struct bench_samples *samples)
{
    memset(samples, 0, sizeof(*samples));
    samples->latencies = aligned_alloc(_Alignof(struct rf_histogram),
                                       BENCH_SAMPLES_MAX * sizeof(struct rf_histogram));
    if (samples->latencies == NULL) {
        return false;
    }
    memset(samples->latencies, 0, BENCH_SAMPLES_MAX * sizeof(struct rf_histogram));
    samples->environment = (struct rf_bench_environment){.cpu = "Some CPU <3 & more",
                                                         .kernel = "Linux 6.1",
                                                         .compiler = "gcc 12.2.0",
                                                         .flags = "Release -O2",
                                                         .cpus_online = 2,
                                                         .cpus_usable = 2,
                                                         .cores_usable = 2,
                                                         .is_virtual = true,
                                                         .is_optimized = true,
                                                         .load_average = 0.04,
                                                         .cpus_busy = 0.01,
                                                         .steal = 0.001,
                                                         .pinning = "server CPU 0, client CPU 1"};
    samples->report = (struct rf_bench_report){.command = "regbench compare --rounds 5 > 'a & b'",
                                               .environment = &samples->environment,
                                               .results = samples->results};
    return true;
}

static inline void bench_samples_fini(struct bench_samples *samples)
{
    free(samples->latencies);
}

/* The next result: closed loop, one thread, no request yet. There is room for BENCH_SAMPLES_MAX. */
static inline struct bench_result *bench_samples_add(struct bench_samples *samples,
                                                     const char *name, const char *engine,
                                                     uint32_t connections, uint32_t depth,
                                                     double requests_per_second)
{
    const size_t i = samples->report.results_count++;
    samples->results[i] =
        (struct bench_result){.name = name,
                              .engine = engine,
                              .client_engine = engine != NULL ? engine : "uring",
                              .connections = connections,
                              .depth = depth,
                              .threads = 1,
                              .keys_per_request = 1,
                              .rounds = 5,
                              .duration_ns = 2000000000,
                              .requests = (uint64_t)(requests_per_second * 2),
                              .requests_per_second = requests_per_second,
                              .requests_per_second_min = requests_per_second * 0.97,
                              .requests_per_second_max = requests_per_second * 1.02,
                              .latencies = &samples->latencies[i]};
    return &samples->results[i];
}

/* Latencies about `base_ns`, one in a thousand of them twenty times as long. */
static inline void bench_samples_record(struct bench_result *result, uint64_t base_ns,
                                        uint64_t count)
{
    struct rf_random random = {.state = base_ns};
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t jitter = rf_random_below(&random, 1 + base_ns / 2);
        const uint64_t factor = rf_random_below(&random, 1000) == 0 ? 20 : 1;
        rf_histogram_record(result->latencies, (base_ns + jitter) * factor);
    }
}

/* As of a small `regbench compare`: five servers under five loads, two of them in an open loop too.
 */
static inline void bench_samples_fill(struct bench_samples *samples)
{
    static const struct {
        const char *name, *engine;
        double share; /* of the ceiling's throughput */
    } servers[] = {{"ceiling", "uring", 1},
                   {"registry", "uring", 0.93},
                   {"ceiling", "epoll", 0.94},
                   {"registry", "epoll", 0.85},
                   {"redis", NULL, 0.11}};
    static const struct {
        uint32_t connections, depth;
        double ceiling;
    } loads[] = {{1, 1, 17e3}, {8, 1, 180e3}, {8, 16, 4.1e6}, {8, 64, 13.9e6}, {64, 64, 15.8e6}};
    for (size_t l = 0; l < sizeof(loads) / sizeof(loads[0]); l++) {
        for (size_t s = 0; s < sizeof(servers) / sizeof(servers[0]); s++) {
            const double throughput = loads[l].ceiling * servers[s].share;
            struct bench_result *result =
                bench_samples_add(samples, servers[s].name, servers[s].engine, loads[l].connections,
                                  loads[l].depth, throughput);
            const double in_flight = (double)loads[l].connections * loads[l].depth;
            bench_samples_record(result, (uint64_t)(in_flight / throughput * 1e9), 20000);
        }
    }
    for (size_t s = 0; s < 2; s++) {
        struct bench_result *result =
            bench_samples_add(samples, servers[s].name, servers[s].engine, 8, 64, 200e3);
        result->rate = 200e3;
        bench_samples_record(result, 20000 + 3000 * s, 20000);
    }
}

#endif
