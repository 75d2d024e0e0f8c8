/* SPDX-License-Identifier: MIT
 *
 * ring_baseline.h - the two usual ways to find the owner of a key, to measure ours against: a
 * binary search over the sorted points, and an index of buckets with a scan from there. Both are
 * made as well as we can: what they are compared in is the method.
 */
#ifndef RF_BENCH_RING_BASELINE_H
#define RF_BENCH_RING_BASELINE_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/ring.h"

struct baseline {
    /* Binary search reads the hashes only, hence two arrays: 10 bytes a point. */
    uint64_t *hashes; /* ascending */
    uint16_t *owners;
    size_t points_count;
    /* The scan wants hash and owner in one cache line, hence pairs; the last one, that stops every
     * scan, is the first point once more, with the greatest hash. */
    struct baseline_pair {
        uint64_t hash;
        uint16_t owner;
    } * pairs;
    uint32_t *starts; /* [2^bits]: first pair at or after the bucket's first hash */
    unsigned shift;   /* 64 - bits; a bucket has one to two points on average */
};

/* Memory in huge pages where a ring would have it, so that pages are no difference; ended by free.
 */
void *baseline_alloc(size_t size);

/*
 * Sorts all points of `members`, whose indices are the owners. Ended by baseline_fini.
 * Errors: -ENOMEM.
 */
RF_NODISCARD int baseline_init(struct baseline *baseline, const struct rf_ring_member *members,
                               size_t members_count, struct rf_error *err);
void baseline_fini(struct baseline *baseline);

size_t baseline_binary_size(const struct baseline *baseline);
size_t baseline_index_size(const struct baseline *baseline);

/* The greatest share of the circle that a member has, over the mean share: exact, by arc length. */
RF_NODISCARD int baseline_max_over_mean(const struct baseline *baseline, size_t members_count,
                                        double *ret_ratio, struct rf_error *err);

/* A lower bound that halves a length and moves the start by a conditional move: nothing for the
 * branch predictor to miss, so that neighbouring lookups overlap. */
static inline uint16_t baseline_binary(const struct baseline *baseline, uint64_t hash)
{
    const uint64_t *base = baseline->hashes;
    size_t count = baseline->points_count;
    while (count > 1) {
        size_t half = count / 2;
        base = base[half - 1] < hash ? base + half : base;
        count -= half;
    }
    size_t at = (size_t)(base - baseline->hashes) + (*base < hash);
    return baseline->owners[at < baseline->points_count ? at : 0];
}

static inline uint16_t baseline_index(const struct baseline *baseline, uint64_t hash)
{
    const struct baseline_pair *pair = baseline->pairs + baseline->starts[hash >> baseline->shift];
    while (pair->hash < hash) {
        pair++;
    }
    return pair->owner;
}

#endif
