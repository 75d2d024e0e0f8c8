/* SPDX-License-Identifier: MIT
 *
 * report.h - what was measured, for people (a table), for programs (JSON) and for spreadsheets
 * (CSV). The picture is plot.h's.
 */
#ifndef RF_BENCH_REPORT_H
#define RF_BENCH_REPORT_H

#include <stdio.h>

#include "bench/environment.h"
#include "bench/result.h"
#include "core/error.h"

enum { RF_BENCH_COMMAND_SIZE = 1024 }; /* of a command as it is shown; what is longer is cut */

/* All borrowed. */
struct rf_bench_report {
    const char *command; /* as it was called, so that a reader can repeat it */
    const struct rf_bench_environment *environment;
    const struct bench_result *results; /* [results_count], in the order to be shown */
    size_t results_count;
};

/*
 * How one result compares with another of the same load: each figure of `result` over that of
 * `other`. 0 where there is none (the other's is 0).
 */
struct rf_bench_ratio {
    const struct bench_result *result, *other; /* borrowed */
    double requests_per_second, p50, p99, p999;
};

/*
 * Finds the next pair to compare, from *position on (0 at first): each "registry" with the ceiling
 * of its engine, with each peer (any other name), and a disturbed one with itself undisturbed,
 * where connections, depth, threads, keys of a request, rate, spinning and the generator's engine
 * are equal. Returns false when there is none left. The throughput over that of a ceiling is the
 * result's own `ratio` where it has one.
 */
bool rf_bench_report_next_ratio(const struct rf_bench_report *report, size_t *position,
                                struct rf_bench_ratio *ret_ratio);

/* The load of `result` as a short text: "8 x 64" is connections x depth, then " x 64 keys", " at
 * 200000/s" (open loop), " spin", ", 10000 idle" (disturbance). Returns `text`. */
enum { RF_BENCH_LOAD_TEXT_SIZE = 160 };
const char *rf_bench_report_load_text(const struct bench_result *result,
                                      char text[RF_BENCH_LOAD_TEXT_SIZE]);

/* Where and how, the warnings, a row for each result, a row for each ratio. Errors: -EIO, -ENOMEM.
 */
RF_NODISCARD int rf_bench_report_table(const struct rf_bench_report *report, FILE *out,
                                       struct rf_error *err);

/*
 * One object: version, command, environment, results, ratios. A result has name, engine (or null),
 * connections, depth, threads, requests_per_second, p50_us, p99_us, p999_us, max_us, errors, and
 * the rest of struct bench_result. Errors: -EIO, -ENOMEM.
 */
RF_NODISCARD int rf_bench_report_json(const struct rf_bench_report *report, FILE *out,
                                      struct rf_error *err);

/* A line of names, then one for each result, with the fields of the JSON; nothing at all
 * without results. Errors: -EIO, -ENOMEM. */
RF_NODISCARD int rf_bench_report_csv(const struct rf_bench_report *report, FILE *out,
                                     struct rf_error *err);

#endif
