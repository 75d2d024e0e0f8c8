/* SPDX-License-Identifier: MIT
 *
 * quick_options.h - the command line of benches that have nothing to choose: ringbench, localbench.
 */
#ifndef RF_BENCH_QUICK_OPTIONS_H
#define RF_BENCH_QUICK_OPTIONS_H

#include <stdbool.h>

enum { RF_BENCH_EXIT_FAILED = 1, RF_BENCH_EXIT_USAGE = 2 };

struct rf_bench_quick_options {
    bool is_quick;     /* --quick */
    bool is_json;      /* --json */
    bool has_progress; /* standard error is a terminal */
};

/*
 * Reads --quick, --json, --help and --version, of which the last two print `usage` or the version.
 * Also lets malloc give out memory of 1 MiB and more anew each time: it learns from what was freed,
 * and whether a ring's copy is new memory would depend on what came before.
 * Returns -1, or what the program is to exit with now.
 */
int rf_bench_quick_options_read(int argc, char **argv, const char *program, const char *usage,
                                struct rf_bench_quick_options *ret_options);

#endif
