/* SPDX-License-Identifier: MIT
 *
 * peers.h - the servers that regbench compare starts on loopback and measures: registries, redis,
 * memcached. All hold the same: for each key its owner among the same members.
 */
#ifndef RF_BENCH_PEERS_H
#define RF_BENCH_PEERS_H

#include <stdbool.h>

#include "bench/crowd.h"
#include "bench/targets.h"
#include "core/error.h"

struct rf_bench_registry_config {
    const char *program;   /* path */
    const char *arguments; /* more of them, with blanks between; NULL: none */
    enum rf_bench_engine engine;
    uint32_t members_count, replicas;
    int cpu;        /* RF_BENCH_NO_CPU: any */
    bool busy_poll; /* as long as the registry can */
};

/*
 * Starts a registry with one worker and a group of so many members, and waits until it answers for
 * all of them. target->workload is set by the caller, and names the group.
 * Either way target and *ret_crowd (NULL, or as it was, on failure) are to be ended.
 */
RF_NODISCARD int rf_bench_peer_start_registry(struct rf_bench_target *target,
                                              const struct rf_bench_registry_config *config,
                                              struct rf_bench_crowd **ret_crowd,
                                              struct rf_error *err);

/* Whether there is such a program in PATH. */
bool rf_bench_peer_is_installed(enum rf_bench_protocol protocol);

/* How it is called, for the report: "redis-server --save '' ..., GET"; static. */
const char *rf_bench_peer_how(enum rf_bench_protocol protocol);

/*
 * Starts redis-server or memcached, as workload.config.protocol says, makes the truth of the
 * members of a crowd and stores for each key what a registry would answer.
 */
RF_NODISCARD int rf_bench_peer_start_store(struct rf_bench_target *target, uint32_t members_count,
                                           uint32_t replicas, int cpu, struct rf_error *err);

#endif
