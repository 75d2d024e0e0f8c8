/* SPDX-License-Identifier: MIT
 *
 * histogram.h - how long things took: counts of latencies in nanoseconds, in fixed memory.
 *
 * Buckets are log-linear: each power of two is cut into 128 of equal width, so a bucket is never
 * wider than 1/128 of the values in it, and below 256 ns each value has its own. What is read back
 * is the upper end of a bucket: never below the exact figure, and at most 1/128 (0.8 %) above it.
 * A mean, of bucket centres, is off by at most 1/256 either way. Minimum and maximum are exact.
 * A running sum would give an exact mean, but it costs the hot path an addition and wraps within
 * weeks on a busy server.
 *
 * An all-zero struct is an empty histogram. Each has one writer; any thread may read it meanwhile,
 * best by merging it into one of its own: each value it then sees is one that there was, though a
 * latency recorded at that moment may be in the buckets and not yet in the maximum, or the reverse.
 */
#ifndef RF_CORE_HISTOGRAM_H
#define RF_CORE_HISTOGRAM_H

#include <stdint.h>

#include "core/counters.h"

enum {
    RF_HISTOGRAM_SUBBITS = 7,     /* 2^7 buckets for each power of two */
    RF_HISTOGRAM_RANGE_BITS = 36, /* buckets end at 2^36 ns, 69 s: longer than any timeout */
    RF_HISTOGRAM_BUCKETS_COUNT = (RF_HISTOGRAM_RANGE_BITS - RF_HISTOGRAM_SUBBITS + 1)
                                 << RF_HISTOGRAM_SUBBITS,
    RF_HISTOGRAM_PPM = 1000 * 1000, /* quantiles are in millionths: 999900 is the 99.99th */
};

/* The largest value that has a bucket. Larger ones are counted apart, in `over_range`, and read
 * back as the maximum. */
#define RF_HISTOGRAM_VALUE_MAX ((UINT64_C(1) << RF_HISTOGRAM_RANGE_BITS) - 1)

/* About 30 KiB. Cache-line aligned, so that no two threads' histograms share a line: allocate with
 * aligned_alloc or embed. */
struct rf_histogram {
    _Alignas(64) struct rf_counter max_ns;
    struct rf_counter min_complement; /* UINT64_MAX - minimum: so that 0 means none yet */
    struct rf_counter over_range;     /* values above RF_HISTOGRAM_VALUE_MAX */
    struct rf_counter buckets[RF_HISTOGRAM_BUCKETS_COUNT];
};

/* The bucket of `value_ns`, which is at most RF_HISTOGRAM_VALUE_MAX. */
static inline uint32_t rf_histogram_index(uint64_t value_ns)
{
    const uint64_t linear = UINT64_C(1) << RF_HISTOGRAM_SUBBITS; /* hides the zero from clz */
    const uint32_t shift = 63 - RF_HISTOGRAM_SUBBITS - (uint32_t)__builtin_clzll(value_ns | linear);
    return (shift << RF_HISTOGRAM_SUBBITS) + (uint32_t)(value_ns >> shift);
}

/*
 * Records `count` times (at least once) that something took `value_ns`; all the requests of a batch
 * can be recorded at once.
 *
 * Threads: the owner. Cost: some twenty instructions, one cache line beside the head's; no lock.
 */
static inline void rf_histogram_add(struct rf_histogram *histogram, uint64_t value_ns,
                                    uint64_t count)
{
    if (value_ns > rf_counter_get(&histogram->max_ns)) {
        rf_counter_set(&histogram->max_ns, value_ns);
    }
    if (UINT64_MAX - value_ns > rf_counter_get(&histogram->min_complement)) {
        rf_counter_set(&histogram->min_complement, UINT64_MAX - value_ns);
    }
    if (value_ns > RF_HISTOGRAM_VALUE_MAX) {
        rf_counter_add(&histogram->over_range, count);
    } else {
        rf_counter_add(&histogram->buckets[rf_histogram_index(value_ns)], count);
    }
}

/* Records one. As rf_histogram_add. */
static inline void rf_histogram_record(struct rf_histogram *histogram, uint64_t value_ns)
{
    rf_histogram_add(histogram, value_ns, 1);
}

/* Forgets all, as after a warm-up. Threads: the owner. */
void rf_histogram_clear(struct rf_histogram *histogram);

/* Adds what is in `from`: `into` is then as if it had recorded all of both. Threads: the owner of
 * `into`; the owner of `from` may record meanwhile. */
void rf_histogram_merge(struct rf_histogram *into, const struct rf_histogram *from);

/* How many were recorded, those over the range included. Threads: any. Cost: a read of all buckets,
 * as all below. */
uint64_t rf_histogram_count(const struct rf_histogram *histogram);

/* Exact; 0 if empty. Threads: any. Cost: one load. */
uint64_t rf_histogram_min_ns(const struct rf_histogram *histogram);
uint64_t rf_histogram_max_ns(const struct rf_histogram *histogram);

/* 0 if empty. Values over the range count as RF_HISTOGRAM_VALUE_MAX: the true mean is then higher.
 * Threads: any. */
uint64_t rf_histogram_mean_ns(const struct rf_histogram *histogram);

/* The smallest value of a bucket. */
uint64_t rf_histogram_bucket_low_ns(uint32_t index);

/* Which of `count` sorted values, from 1 on, a quantile is: see below. 1 if there is none. */
uint64_t rf_histogram_rank(uint64_t count, uint32_t ppm);

/*
 * The latency that `ppm` millionths (0..RF_HISTOGRAM_PPM) of all do not exceed: of the sorted
 * values the one at rank ceil(count * ppm / 10^6), from 1 and at least the first, or up to 1/128
 * above it but not above the maximum. RF_HISTOGRAM_PPM gives the maximum itself; 0 if empty.
 *
 * Threads: any.
 */
uint64_t rf_histogram_quantile_ns(const struct rf_histogram *histogram, uint32_t ppm);

#endif
