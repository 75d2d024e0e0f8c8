/* SPDX-License-Identifier: MIT */
#include "bench/rounds.h"

#include <stdlib.h>

#include "bench/load.h"
#include "core/assert.h"

static int compare_rounds(const void *a, const void *b)
{
    double x = ((const struct bench_result *)a)->requests_per_second;
    double y = ((const struct bench_result *)b)->requests_per_second;
    return (x > y) - (x < y);
}

struct bench_result rf_bench_rounds_median(struct bench_result *rounds, size_t count)
{
    RF_ASSERT(count >= 1);
    qsort(rounds, count, sizeof(rounds[0]), compare_rounds);
    struct bench_result median = rounds[count / 2];
    median.rounds = (uint32_t)count;
    median.requests_per_second_min = rounds[0].requests_per_second;
    median.requests_per_second_max = rounds[count - 1].requests_per_second;
    median.checked = median.skipped = median.errors = 0;
    for (size_t i = 0; i < count; i++) {
        median.checked += rounds[i].checked;
        median.skipped += rounds[i].skipped;
        median.errors += rounds[i].errors;
        if (i != count / 2) {
            rf_bench_result_fini(&rounds[i]);
        }
    }
    return median;
}
