/* SPDX-License-Identifier: MIT
 *
 * targets.h - a server to be measured: where it listens, what is asked of it, what is right, and,
 * if regbench has started it, its process.
 */
#ifndef RF_BENCH_TARGETS_H
#define RF_BENCH_TARGETS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/load.h"
#include "bench/process.h"
#include "bench/result.h"
#include "bench/truth.h"
#include "bench/workload.h"
#include "client/regfast.h"
#include "core/error.h"

enum { RF_BENCH_SERVER_SIZE = 300 /* longest host, brackets, port */ };

/* A zeroed one can be ended. */
struct rf_bench_target {
    char server[RF_BENCH_SERVER_SIZE]; /* "HOST:PORT" */
    const char *engine;                /* the server's; NULL: no choice, or not ours to know */
    struct rf_bench_workload workload;
    struct rf_bench_truth *truth;  /* NULL: unchecked */
    struct regfast_client *client; /* of a registry, to follow its group */
    struct rf_bench_process process;
};

/* Starts this program's `respond` for the workload and so many connections.
 * Errors: those of starting it. Either way ended by rf_bench_target_fini. */
RF_NODISCARD int rf_bench_target_start_ceiling(struct rf_bench_target *target,
                                               enum rf_bench_engine engine, uint32_t connections,
                                               bool busy_poll, int cpu, struct rf_error *err);

/* With server and workload set: connects to a registry to know its engine, and makes the truth if
 * answers are to be checked. Errors: no registry, no group. */
RF_NODISCARD int rf_bench_target_prepare(struct rf_bench_target *target, bool check,
                                         struct rf_error *err);

/* One run of the load. `config` is completed by the target's own; the result too. */
RF_NODISCARD int rf_bench_target_measure(const struct rf_bench_target *target,
                                         struct rf_bench_load_config *config, bool check,
                                         struct bench_result *ret_result,
                                         struct rf_error *ret_first_error, struct rf_error *err);

void rf_bench_target_fini(struct rf_bench_target *target);

#endif
