/* SPDX-License-Identifier: MIT */
#include "bench/ring_baseline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE_SIZE = 2 * 1024 * 1024, CACHE_LINE_SIZE = 64 };

void *baseline_alloc(size_t size)
{
    bool is_huge = size >= (size_t)2 * HUGE_PAGE_SIZE;
    void *block = NULL;
    if (posix_memalign(&block, is_huge ? HUGE_PAGE_SIZE : CACHE_LINE_SIZE, size) != 0) {
        return NULL;
    }
    if (is_huge) {
        (void)madvise(block, size, MADV_HUGEPAGE); /* a ring asks no harder */
    }
    return block;
}

/* By hash, then by index: 64-bit points of different members are equal in no set measured here. */
static int compare_pairs(const void *a, const void *b)
{
    const struct baseline_pair *x = a;
    const struct baseline_pair *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return (x->owner > y->owner) - (x->owner < y->owner);
}

static void fill_starts(struct baseline *baseline)
{
    size_t at = 0;
    size_t buckets_count = (size_t)1 << (64 - baseline->shift);
    for (size_t bucket = 0; bucket < buckets_count; bucket++) {
        uint64_t first_hash = (uint64_t)bucket << baseline->shift;
        while (at < baseline->points_count && baseline->pairs[at].hash < first_hash) {
            at++;
        }
        baseline->starts[bucket] = (uint32_t)at;
    }
}

static int place_points(struct baseline *baseline, const struct rf_ring_member *members,
                        size_t members_count)
{
    size_t at = 0;
    for (size_t i = 0; i < members_count; i++) {
        uint64_t *points = malloc(members[i].replicas * sizeof(points[0]));
        if (points == NULL) {
            return -ENOMEM;
        }
        rf_placement_points(RF_PLACEMENT_V1, members[i].id, 0, members[i].replicas, points);
        for (uint32_t point = 0; point < members[i].replicas; point++) {
            baseline->pairs[at++] =
                (struct baseline_pair){.hash = points[point], .owner = (uint16_t)i};
        }
        free(points);
    }
    return 0;
}

int baseline_init(struct baseline *baseline, const struct rf_ring_member *members,
                  size_t members_count, struct rf_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < members_count; i++) {
        count += members[i].replicas;
    }
    unsigned bits = 1;
    while (((size_t)1 << (bits + 1)) <= count) {
        bits++;
    }
    *baseline = (struct baseline){
        .hashes = baseline_alloc(count * sizeof(baseline->hashes[0])),
        .owners = baseline_alloc(count * sizeof(baseline->owners[0])),
        .points_count = count,
        .pairs = baseline_alloc((count + 1) * sizeof(baseline->pairs[0])),
        .starts = baseline_alloc(((size_t)1 << bits) * sizeof(baseline->starts[0])),
        .shift = 64 - bits,
    };
    if (baseline->hashes == NULL || baseline->owners == NULL || baseline->pairs == NULL ||
        baseline->starts == NULL || place_points(baseline, members, members_count) < 0) {
        baseline_fini(baseline);
        return rf_error_set(err, -ENOMEM, "%zu points to compare with: out of memory", count);
    }
    qsort(baseline->pairs, count, sizeof(baseline->pairs[0]), compare_pairs);
    baseline->pairs[count] =
        (struct baseline_pair){.hash = UINT64_MAX, .owner = baseline->pairs[0].owner};
    for (size_t i = 0; i < count; i++) {
        baseline->hashes[i] = baseline->pairs[i].hash;
        baseline->owners[i] = baseline->pairs[i].owner;
    }
    fill_starts(baseline);
    return 0;
}

void baseline_fini(struct baseline *baseline)
{
    free(baseline->hashes);
    free(baseline->owners);
    free(baseline->pairs);
    free(baseline->starts);
    *baseline = (struct baseline){0};
}

size_t baseline_binary_size(const struct baseline *baseline)
{
    return baseline->points_count * (sizeof(baseline->hashes[0]) + sizeof(baseline->owners[0]));
}

size_t baseline_index_size(const struct baseline *baseline)
{
    return (baseline->points_count + 1) * sizeof(baseline->pairs[0]) +
           ((size_t)1 << (64 - baseline->shift)) * sizeof(baseline->starts[0]);
}

int baseline_max_over_mean(const struct baseline *baseline, size_t members_count, double *ret_ratio,
                           struct rf_error *err)
{
    double *shares = calloc(members_count, sizeof(shares[0]));
    if (shares == NULL) {
        return rf_error_set(err, -ENOMEM, "shares of %zu members: out of memory", members_count);
    }
    uint64_t before = baseline->hashes[baseline->points_count - 1];
    double max = 0;
    for (size_t i = 0; i < baseline->points_count; i++) {
        double arc = (double)(baseline->hashes[i] - before) * 0x1p-64; /* wraps as the circle */
        before = baseline->hashes[i];
        shares[baseline->owners[i]] += arc;
    }
    for (size_t i = 0; i < members_count; i++) {
        max = shares[i] > max ? shares[i] : max;
    }
    free(shares);
    *ret_ratio = max * (double)members_count;
    return 0;
}
