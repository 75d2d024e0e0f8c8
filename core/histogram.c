/* SPDX-License-Identifier: MIT */
#include "core/histogram.h"

#include <stdbool.h>

#include "core/assert.h"

/* Bucket i, with shift = max(i / 128 - 1, 0), holds the 2^shift values from (i - shift * 128) <<
 * shift on. */
static uint32_t bucket_shift(uint32_t index)
{
    const uint32_t power = index >> RF_HISTOGRAM_SUBBITS;
    return power == 0 ? 0 : power - 1;
}

uint64_t rf_histogram_bucket_low_ns(uint32_t index)
{
    const uint32_t shift = bucket_shift(index);
    return (uint64_t)(index - (shift << RF_HISTOGRAM_SUBBITS)) << shift;
}

static uint64_t bucket_high(uint32_t index)
{
    return rf_histogram_bucket_low_ns(index) + (UINT64_C(1) << bucket_shift(index)) - 1;
}

void rf_histogram_clear(struct rf_histogram *histogram)
{
    rf_counter_set(&histogram->max_ns, 0);
    rf_counter_set(&histogram->min_complement, 0);
    rf_counter_set(&histogram->over_range, 0);
    for (uint32_t i = 0; i < RF_HISTOGRAM_BUCKETS_COUNT; i++) {
        rf_counter_set(&histogram->buckets[i], 0);
    }
}

static void raise_to(struct rf_counter *counter, uint64_t value)
{
    if (value > rf_counter_get(counter)) {
        rf_counter_set(counter, value);
    }
}

void rf_histogram_merge(struct rf_histogram *into, const struct rf_histogram *from)
{
    raise_to(&into->max_ns, rf_counter_get(&from->max_ns));
    raise_to(&into->min_complement, rf_counter_get(&from->min_complement));
    rf_counter_add(&into->over_range, rf_counter_get(&from->over_range));
    for (uint32_t i = 0; i < RF_HISTOGRAM_BUCKETS_COUNT; i++) {
        const uint64_t count = rf_counter_get(&from->buckets[i]);
        if (count > 0) { /* most are empty: no need to dirty the line */
            rf_counter_add(&into->buckets[i], count);
        }
    }
}

uint64_t rf_histogram_count(const struct rf_histogram *histogram)
{
    uint64_t count = rf_counter_get(&histogram->over_range);
    for (uint32_t i = 0; i < RF_HISTOGRAM_BUCKETS_COUNT; i++) {
        count += rf_counter_get(&histogram->buckets[i]);
    }
    return count;
}

uint64_t rf_histogram_min_ns(const struct rf_histogram *histogram)
{
    const uint64_t complement = rf_counter_get(&histogram->min_complement);
    return complement == 0 ? 0 : UINT64_MAX - complement;
}

uint64_t rf_histogram_max_ns(const struct rf_histogram *histogram)
{
    return rf_counter_get(&histogram->max_ns);
}

uint64_t rf_histogram_mean_ns(const struct rf_histogram *histogram)
{
    /* The mean moves by its difference to each bucket, so nothing overflows however many there are;
     * a double's 53 bits are far finer than a bucket. */
    double mean = 0;
    double count = 0;
    for (uint32_t i = 0; i <= RF_HISTOGRAM_BUCKETS_COUNT; i++) {
        const bool is_over = i == RF_HISTOGRAM_BUCKETS_COUNT;
        const uint64_t here =
            rf_counter_get(is_over ? &histogram->over_range : &histogram->buckets[i]);
        if (here > 0) {
            const double centre =
                is_over ? (double)RF_HISTOGRAM_VALUE_MAX
                        : ((double)rf_histogram_bucket_low_ns(i) + (double)bucket_high(i)) / 2;
            count += (double)here;
            mean += (centre - mean) * ((double)here / count);
        }
    }
    return (uint64_t)(mean + 0.5);
}

/* ceil(count * ppm / 10^6), in two parts that cannot overflow. */
uint64_t rf_histogram_rank(uint64_t count, uint32_t ppm)
{
    uint64_t rank = count / RF_HISTOGRAM_PPM * ppm +
                    (count % RF_HISTOGRAM_PPM * ppm + RF_HISTOGRAM_PPM - 1) / RF_HISTOGRAM_PPM;
    return rank == 0 ? 1 : rank;
}

uint64_t rf_histogram_quantile_ns(const struct rf_histogram *histogram, uint32_t ppm)
{
    RF_ASSERT(ppm <= RF_HISTOGRAM_PPM);
    const uint64_t max_ns = rf_histogram_max_ns(histogram);
    if (ppm == RF_HISTOGRAM_PPM) {
        return max_ns;
    }
    const uint64_t rank = rf_histogram_rank(rf_histogram_count(histogram), ppm);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < RF_HISTOGRAM_BUCKETS_COUNT; i++) {
        seen += rf_counter_get(&histogram->buckets[i]);
        if (seen >= rank) {
            const uint64_t high = bucket_high(i);
            return high < max_ns ? high : max_ns;
        }
    }
    return max_ns; /* over the range, or empty */
}
