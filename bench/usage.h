/* SPDX-License-Identifier: MIT
 *
 * usage.h - what a server's process takes of the machine, as /proc tells.
 */
#ifndef RF_BENCH_USAGE_H
#define RF_BENCH_USAGE_H

#include <sys/types.h>

#include "bench/result.h"
#include "core/error.h"

/*
 * Reads the usage of process `pid` until now; the counts that only the server knows, of changes and
 * pages, are left 0. The sizes of the
 * kernel's memory are the whole machine's: what a server adds to them is the difference of two
 * readings, with the clients' ends of its connections in it. Errors: there is no such process, or
 * it is not ours to look at. Cost:   some files; the kernel walks through the process's pages.
 */
RF_NODISCARD int rf_bench_usage_read(pid_t pid, struct bench_usage *ret_usage,
                                     struct rf_error *err);

/* What was added from `before` to `after`: times and counts; the sizes are those of `after`. */
struct bench_usage rf_bench_usage_since(const struct bench_usage *before,
                                        const struct bench_usage *after);

#endif
