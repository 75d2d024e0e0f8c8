/* SPDX-License-Identifier: MIT
 *
 * environment.h - where figures were measured: the machine, the kernel, the build, and what else
 * was going on, with a warning for each thing that makes figures hard to compare or to believe.
 */
#ifndef RF_BENCH_ENVIRONMENT_H
#define RF_BENCH_ENVIRONMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

enum {
    RF_BENCH_WARNINGS_MAX = 12,   /* more than there are kinds */
    RF_BENCH_WARNING_SIZE = 192,  /* bytes, NUL included */
    RF_BENCH_PINNING_SIZE = 192,  /* two lists of CPUs */
    RF_BENCH_WATCH_USUAL_MS = 250 /* 25 scheduler ticks of 10 ms a CPU: 4 % of one CPU shows */
};

/* Sums over all CPUs since boot, in scheduler ticks. */
struct rf_bench_cpu_time {
    uint64_t all, busy, stolen; /* busy includes stolen */
};

struct rf_bench_environment {
    char cpu[128];         /* model */
    char kernel[128];      /* "Linux 6.18.1" */
    const char *compiler;  /* "gcc 12.2.0"; static */
    const char *flags;     /* "Release -O2 -fcf-protection"; static */
    unsigned cpus_online;  /* of the machine */
    unsigned cpus_usable;  /* by this process, as it was when begin was called */
    unsigned cores_usable; /* those that are threads of one core counted once */
    double cpus_quota;     /* CPUs' worth of time that a cgroup grants; 0: no such limit */
    bool is_virtual;       /* a hypervisor shows itself */
    bool is_optimized;     /* not a debug or sanitizer build */
    char governor[32];     /* of frequency scaling; "": there is none to be seen */
    char huge_pages[16];   /* transparent ones: "always", "madvise", "never"; "": unknown */
    double load_average;   /* of the last minute, before the run; below 0: unknown */
    double cpus_busy;      /* mean number of CPUs busy just before the run; below 0: not watched */
    double steal;          /* share of all CPU time during the run that the host took; below 0:
                              not known */
    struct rf_bench_cpu_time started; /* at the start of the run */

    /* What the program pinned where: "server CPU 0, client CPU 1". "none" after begin; the program
     * puts its own text here. */
    char pinning[RF_BENCH_PINNING_SIZE];
};

/* Copies `text`, cut to `size` - 1 bytes, with '?' for all but printable ASCII: for texts that go
 * where not every byte may (JSON, SVG). Returns `ret_text`. */
const char *rf_bench_plain_text(const char *text, char *ret_text, size_t size);

/*
 * Looks at the machine, then watches for `watch_ms` (0: not at all) how busy it is without us, and
 * begins to count stolen time. Call it before threads are pinned and servers started. What cannot
 * be read stays unknown: that is no error.
 *
 * `root` goes before the paths of all files: "" for the machine's own.
 * Cost: some files, and `watch_ms` asleep.
 */
void rf_bench_environment_begin(struct rf_bench_environment *env, const char *root,
                                unsigned watch_ms);

/* Ends the run: settles `steal`. May be called again, for the run until then. */
void rf_bench_environment_end(struct rf_bench_environment *env, const char *root);

/* Puts a text for each thing to warn of into `ret_texts` and returns how many. No newlines. */
size_t rf_bench_environment_warnings(const struct rf_bench_environment *env,
                                     char ret_texts[RF_BENCH_WARNINGS_MAX][RF_BENCH_WARNING_SIZE]);

/* For people: some lines of a name, blanks and a value; warnings last. The caller looks at the
 * stream's error state. */
void rf_bench_environment_print(const struct rf_bench_environment *env, FILE *out);

/* A new object with a field for each of the above (null: unknown) and `warnings`, an array of
 * strings. The caller owns it. NULL: out of memory. */
json_t *rf_bench_environment_json(const struct rf_bench_environment *env);

#endif
