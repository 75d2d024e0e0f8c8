/* SPDX-License-Identifier: MIT
 *
 * rounds.h - several measurements of one thing, of which the median counts.
 */
#ifndef RF_BENCH_ROUNDS_H
#define RF_BENCH_ROUNDS_H

#include <stddef.h>

#include "bench/result.h"

/*
 * The round of the median requests a second, with the range and the sums of all. `count` is at
 * least 1.
 * Ownership: takes all rounds, and reorders them; the result is the caller's to end.
 */
struct bench_result rf_bench_rounds_median(struct bench_result *rounds, size_t count);

#endif
