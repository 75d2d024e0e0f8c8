/* SPDX-License-Identifier: MIT
 *
 * process.h - the servers that regbench starts itself: on loopback, on one CPU, ended with it.
 */
#ifndef RF_BENCH_PROCESS_H
#define RF_BENCH_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

#include "core/error.h"

enum { RF_BENCH_NO_CPU = -1 };

struct rf_bench_process {
    pid_t pid;  /* 0: none */
    int log_fd; /* what it has written to standard output and error; -1: none */
};

/*
 * Starts argv[0], found by PATH if it has no slash; argv ends with NULL. It dies with the calling
 * thread at the latest.
 * Ownership: ended by rf_bench_process_stop.
 * Errors:    -errno of what could not be done; that there is no such program shows when it is
 *            waited for.
 */
RF_NODISCARD int rf_bench_process_start(struct rf_bench_process *process, char *const argv[],
                                        int cpu, struct rf_error *err);

/*
 * Waits until a line of its output has " name=value" or begins so, and copies the value.
 * Errors: -ETIMEDOUT after half a minute; -ECHILD it has ended. The text has its last line.
 */
RF_NODISCARD int rf_bench_process_wait_value(struct rf_bench_process *process, const char *name,
                                             char *ret_value, size_t size, struct rf_error *err);

/* Waits until something accepts connections at "HOST:PORT". Errors: as above. */
RF_NODISCARD int rf_bench_process_wait_server(struct rf_bench_process *process, const char *server,
                                              struct rf_error *err);

/* Stops it in its tracks, or lets it go on: who is not measured takes no CPU, even if it spins. */
void rf_bench_process_freeze(const struct rf_bench_process *process);
void rf_bench_process_thaw(const struct rf_bench_process *process);

/* SIGTERM, then after some seconds SIGKILL; waits. A zeroed or stopped one is allowed. */
void rf_bench_process_stop(struct rf_bench_process *process);

/* A TCP port of 127.0.0.1 that is free now. Errors: of bind. */
RF_NODISCARD int rf_bench_free_port(struct rf_error *err);

#endif
