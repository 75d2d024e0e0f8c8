/* SPDX-License-Identifier: MIT
 *
 * quick_bench.h - what benches of sets that nobody chooses have in common, ringbench and
 * localbench: their command line, the order of things, and the JSON around their results.
 */
#ifndef RF_BENCH_QUICK_BENCH_H
#define RF_BENCH_QUICK_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "bench/environment.h"
#include "core/error.h"

struct rf_bench_quick_options {
    bool is_quick;     /* --quick */
    bool is_json;      /* --json */
    bool has_progress; /* standard error is a terminal */
};

struct rf_bench_quick {
    const char *program;
    const char *usage;
    size_t sets_count;       /* of a full run */
    size_t quick_sets_count; /* with --quick */
    const char *about;       /* a name in the JSON, of what is measured */
    const char *(*about_value)(void);
    void (*print_heading)(const struct rf_bench_environment *env);
    /* Measures set number `set`, and prints it, or with --json appends to `array`.
     * Errors: -ENOMEM; of the measurement. */
    int (*measure)(const struct rf_bench_quick_options *options, size_t set, json_t *array,
                   struct rf_error *err);
};

/*
 * The main of such a bench: reads --quick, --json, --help and --version, measures, prints.
 * Lets malloc give out memory of 1 MiB and more anew each time: it learns from what was freed, and
 * whether a ring's copy is new memory would depend on what came before.
 * Returns the program's exit code: 0 done, 1 failed, 2 wrong usage.
 */
int rf_bench_quick_main(const struct rf_bench_quick *bench, int argc, char **argv);

/* null for NAN. */
json_t *rf_bench_quick_number(double value);

#endif
