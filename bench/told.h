/* SPDX-License-Identifier: MIT
 *
 * told.h - how long it takes until all watchers of a group have been told of a change: a pure
 * machine, which is given what each of them receives.
 *
 * An update is known by its version, which counts up: with the first watcher that has all of an
 * update of a higher version a change begins, with the last one it is told to all. What was not
 * told to all by then, since updates followed too closely, counts as merged.
 */
#ifndef RF_BENCH_TOLD_H
#define RF_BENCH_TOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/result.h"
#include "core/error.h"
#include "core/histogram.h"
#include "core/wire.h"

enum { RF_BENCH_TOLD_HEAD_SIZE = RF_WIRE_HEADER_SIZE + 8 + 8 + 8 + 1 + 1 }; /* up to `more` */

/* Where one watcher is in what it receives. */
struct rf_bench_told_watcher {
    uint8_t head[RF_BENCH_TOLD_HEAD_SIZE];
    uint8_t head_size;
    uint32_t left; /* of the frame, after the head */
};

struct rf_bench_told {
    struct rf_bench_told_watcher *watchers;
    uint32_t watchers_count;
    _Atomic(bool) is_counting;
    uint64_t version;    /* of the latest update */
    uint32_t told_count; /* watchers that have it */
    uint64_t changed_ns; /* when that was changed */
    uint64_t merged;
    uint64_t errors; /* replies that are no update */
    struct rf_histogram *times;
};

/* Ownership: ends by rf_bench_told_fini. Errors: -ENOMEM. */
RF_NODISCARD int rf_bench_told_init(struct rf_bench_told *told, uint32_t watchers_count,
                                    struct rf_error *err);
void rf_bench_told_fini(struct rf_bench_told *told); /* a zeroed one is allowed */

/* From now on changes count, or not: what is told meanwhile is known, and no news later.
 * Threads: any. */
void rf_bench_told_count(struct rf_bench_told *told, bool is_counting);

/* A watcher's connection begins anew. */
void rf_bench_told_restart(struct rf_bench_told *told, uint32_t watcher);

/* Bytes that a watcher has received; `changed_ns` is when the last change was made. */
void rf_bench_told_receive(struct rf_bench_told *told, uint32_t watcher, const uint8_t *data,
                           size_t size, uint64_t now_ns, uint64_t changed_ns);

/* What it came to. */
struct bench_told rf_bench_told_result(const struct rf_bench_told *told);

#endif
