/* SPDX-License-Identifier: MIT
 *
 * regbench.h - what the commands of regbench share: the command line, and the output.
 */
#ifndef RF_BENCH_REGBENCH_H
#define RF_BENCH_REGBENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/environment.h"
#include "bench/load.h"
#include "bench/result.h"
#include "core/error.h"

/* Exit codes. */
enum {
    RF_BENCH_OK = 0,
    RF_BENCH_FAILED = 1, /* nothing was measured, or there were errors in what was */
    RF_BENCH_USAGE = 2,
    RF_BENCH_UNAVAILABLE = 4, /* no server, as regctl has it */
};

/* As given, and checked but for the grid. */
struct rf_bench_options {
    const char *server, *listen, *group, *distribution, *io, *cpu, *server_cpu, *grid, *registry,
        *registry_arguments, *gossip, *plot, *protocol;
    uint64_t connections, depth, threads, keys, match_many, rate, seed, rounds, members, replicas,
        request_size, churn_ms, idle, deaf, trickle, watchers;
    uint64_t warmup_ns, duration_ns;
    double zipf_exponent; /* 0: uniform */
    bool busy_poll, check, peers, json, csv, help, version;
    uint32_t cpus[RF_BENCH_CPUS_MAX]; /* of --cpu */
    uint32_t cpus_count;
    int server_cpu_number; /* RF_BENCH_NO_CPU: none */
};

/* Everything a command needs to run and to report. */
struct rf_bench_context {
    struct rf_bench_options options;
    char command[1024]; /* as it was called */
    struct rf_bench_environment environment;
};

/* Commands: each prints its report and returns an exit code. */
int rf_bench_command_load(struct rf_bench_context *context);
int rf_bench_command_ceiling(struct rf_bench_context *context);
int rf_bench_command_compare(struct rf_bench_context *context);
int rf_bench_command_disturb(struct rf_bench_context *context);
int rf_bench_command_members(struct rf_bench_context *context);
int rf_bench_command_respond(struct rf_bench_context *context);

/* The path of the registry's program: as -registry has it, else the one beside this program.
 * Errors: there is none. */
enum { RF_BENCH_PATH_SIZE = 4096 };
RF_NODISCARD int rf_bench_find_registry(const struct rf_bench_options *options,
                                        char ret_path[RF_BENCH_PATH_SIZE], struct rf_error *err);

/* One line on standard error; returns the exit code that fits. */
int rf_bench_fail(const struct rf_error *err);

/* Prints results as the options say. Returns an exit code: RF_BENCH_FAILED if one of them has
 * errors, of which `first_error` is told. */
int rf_bench_print(struct rf_bench_context *context, const struct bench_result *results,
                   size_t count, const struct rf_error *first_error);

/* What the options say of the load: a workload's and the generator's configuration. */
struct rf_bench_workload_config rf_bench_workload_of(const struct rf_bench_options *options,
                                                     enum rf_bench_protocol protocol);
struct rf_bench_load_config rf_bench_load_of(const struct rf_bench_options *options);

#endif
