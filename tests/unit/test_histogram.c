/* SPDX-License-Identifier: MIT */
#include "core/histogram.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"

enum { SAMPLES = 50 * 1000 };

static struct rf_histogram histogram, other; /* 30 KiB each */

static uint64_t low_of(uint32_t index)
{
    const uint32_t shift = index < 256 ? 0 : index / 128 - 1;
    return (uint64_t)(index - shift * 128) << shift;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* ---- distributions: the n-th sample ---- */

static double uniform01(struct rf_random *random)
{
    return ((double)(rf_random_next(random) >> 11) + 0.5) / 9007199254740992.0; /* 2^53 */
}

static uint64_t sample_uniform(struct rf_random *random)
{
    return rf_random_below(random, 1000 * 1000);
}

static uint64_t sample_exponential(struct rf_random *random)
{
    return (uint64_t)(-20000.0 * log(uniform01(random)));
}

/* Most are fast, one in a hundred waits for a timer: what a scheduler does. */
static uint64_t sample_bimodal(struct rf_random *random)
{
    return rf_random_below(random, 100) == 0 ? 4000000 + rf_random_below(random, 4000000)
                                             : 7000 + rf_random_below(random, 500);
}

/* Every magnitude of the range alike. */
static uint64_t sample_log_uniform(struct rf_random *random)
{
    return (uint64_t)exp(uniform01(random) * RF_HISTOGRAM_RANGE_BITS * log(2.0));
}

static uint64_t sample_pareto(struct rf_random *random)
{
    return (uint64_t)(50.0 * pow(uniform01(random), -1.2));
}

static uint64_t sample_small(struct rf_random *random)
{
    return rf_random_below(random, 256);
}

static uint64_t sample_constant(struct rf_random *random)
{
    (void)random;
    return 123457;
}

static uint64_t (*const distributions[])(struct rf_random *) = {
    sample_uniform, sample_exponential, sample_bimodal,  sample_log_uniform,
    sample_pareto,  sample_small,       sample_constant,
};
enum { DISTRIBUTIONS = sizeof(distributions) / sizeof(distributions[0]) };

static const uint32_t quantiles[] = {0,      1,      10000,  100000, 250000, 500000,  750000,
                                     900000, 990000, 999000, 999900, 999990, 1000000, 333333};

/* ---- tests ---- */

static void a_zeroed_histogram_is_empty(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    assert_int_equal(rf_histogram_count(&histogram), 0);
    assert_int_equal(rf_histogram_min_ns(&histogram), 0);
    assert_int_equal(rf_histogram_max_ns(&histogram), 0);
    assert_int_equal(rf_histogram_mean_ns(&histogram), 0);
    for (size_t q = 0; q < sizeof(quantiles) / sizeof(quantiles[0]); q++) {
        assert_int_equal(rf_histogram_quantile_ns(&histogram, quantiles[q]), 0);
    }
}

static void every_bucket_begins_where_the_one_before_ends(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < RF_HISTOGRAM_BUCKETS_COUNT; i++) {
        assert_int_equal(rf_histogram_index(low_of(i)), i);
        if (i > 0) {
            assert_int_equal(rf_histogram_index(low_of(i) - 1), i - 1);
            /* No wider than 1/128 of its least value. */
            assert_true((low_of(i) - low_of(i - 1) - 1) * 128 <= low_of(i - 1));
        }
    }
    assert_int_equal(rf_histogram_index(RF_HISTOGRAM_VALUE_MAX), RF_HISTOGRAM_BUCKETS_COUNT - 1);
}

static void quantiles_are_within_the_bound_of_the_sorted_samples(void **state)
{
    (void)state;
    uint64_t *samples = malloc(SAMPLES * sizeof(samples[0]));
    assert_non_null(samples);
    for (int d = 0; d < DISTRIBUTIONS; d++) {
        struct rf_random random = {.state = 0x5eed + (uint64_t)d};
        rf_histogram_clear(&histogram);
        double sum = 0;
        for (size_t i = 0; i < SAMPLES; i++) {
            samples[i] = distributions[d](&random);
            assert_true(samples[i] <= RF_HISTOGRAM_VALUE_MAX);
            rf_histogram_record(&histogram, samples[i]);
            sum += (double)samples[i];
        }
        qsort(samples, SAMPLES, sizeof(samples[0]), compare);

        assert_int_equal(rf_histogram_count(&histogram), SAMPLES);
        assert_int_equal(rf_histogram_min_ns(&histogram), samples[0]);
        assert_int_equal(rf_histogram_max_ns(&histogram), samples[SAMPLES - 1]);
        const double mean = sum / SAMPLES;
        assert_true(fabs((double)rf_histogram_mean_ns(&histogram) - mean) <= mean / 256 + 1);
        for (size_t q = 0; q < sizeof(quantiles) / sizeof(quantiles[0]); q++) {
            uint64_t rank = ((uint64_t)SAMPLES * quantiles[q] + 999999) / 1000000;
            rank = rank == 0 ? 1 : rank;
            const uint64_t exact = samples[rank - 1];
            const uint64_t read = rf_histogram_quantile_ns(&histogram, quantiles[q]);
            if (read < exact || read - exact > exact / 128) {
                fail_msg("distribution %d, %u ppm: %llu, exact %llu", d, quantiles[q],
                         (unsigned long long)read, (unsigned long long)exact);
            }
        }
    }
    free(samples);
}

static void values_below_256_are_read_back_exactly(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 256; value++) {
        rf_histogram_clear(&histogram);
        rf_histogram_record(&histogram, value);
        rf_histogram_record(&histogram, 1000); /* else the maximum would cap it */
        assert_int_equal(rf_histogram_quantile_ns(&histogram, 500000), value);
        assert_int_equal(rf_histogram_min_ns(&histogram), value);
    }
}

static void a_quantile_never_exceeds_the_maximum(void **state)
{
    (void)state;
    rf_histogram_clear(&histogram);
    rf_histogram_record(&histogram, 1 << 20); /* the least of a bucket that is 8192 wide */
    assert_int_equal(rf_histogram_quantile_ns(&histogram, 500000), 1 << 20);
    rf_histogram_record(&histogram, 1 << 21);
    assert_int_equal(rf_histogram_quantile_ns(&histogram, 500000), (1 << 20) + 8191);
    assert_int_equal(rf_histogram_quantile_ns(&histogram, 999900), 1 << 21);
}

static void a_rank_is_not_lost_to_rounding(void **state)
{
    (void)state;
    /* 1000 values: 999 fast ones and a slow one. The 99.9th is still fast, anything above is not.
     */
    rf_histogram_clear(&histogram);
    rf_histogram_add(&histogram, 100, 999);
    rf_histogram_record(&histogram, 200);
    assert_int_equal(rf_histogram_quantile_ns(&histogram, 999000), 100);
    assert_int_equal(rf_histogram_quantile_ns(&histogram, 999001), 200);
}

static void counts_near_2_to_the_64_do_not_overflow_a_rank(void **state)
{
    (void)state;
    rf_histogram_clear(&histogram);
    rf_histogram_add(&histogram, 10, UINT64_MAX / 4 * 3);
    rf_histogram_add(&histogram, 20, UINT64_MAX / 4);
    assert_int_equal(rf_histogram_quantile_ns(&histogram, 740000), 10);
    assert_int_equal(rf_histogram_quantile_ns(&histogram, 760000), 20);
    assert_in_range(rf_histogram_mean_ns(&histogram), 12, 13);
}

static void values_over_the_range_are_counted_and_read_as_the_maximum(void **state)
{
    (void)state;
    rf_histogram_clear(&histogram);
    rf_histogram_record(&histogram, RF_HISTOGRAM_VALUE_MAX);
    assert_int_equal(rf_counter_get(&histogram.over_range), 0);
    rf_histogram_record(&histogram, RF_HISTOGRAM_VALUE_MAX + 1);
    rf_histogram_record(&histogram, UINT64_MAX); /* a difference taken the wrong way round */
    assert_int_equal(rf_counter_get(&histogram.over_range), 2);
    assert_int_equal(rf_histogram_count(&histogram), 3);
    assert_int_equal(rf_histogram_quantile_ns(&histogram, 333333), RF_HISTOGRAM_VALUE_MAX);
    assert_true(rf_histogram_quantile_ns(&histogram, 500000) == UINT64_MAX);
    assert_true(rf_histogram_max_ns(&histogram) == UINT64_MAX);
    assert_in_range(rf_histogram_mean_ns(&histogram), RF_HISTOGRAM_VALUE_MAX / 256 * 255,
                    RF_HISTOGRAM_VALUE_MAX);
}

static void a_batch_counts_as_so_many_single_ones(void **state)
{
    (void)state;
    rf_histogram_clear(&histogram);
    rf_histogram_clear(&other);
    rf_histogram_add(&histogram, 5000, 64);
    for (int i = 0; i < 64; i++) {
        rf_histogram_record(&other, 5000);
    }
    assert_memory_equal(&histogram, &other, sizeof(histogram));
}

static void a_merge_equals_the_union(void **state)
{
    (void)state;
    static struct rf_histogram whole;
    for (int d = 0; d < DISTRIBUTIONS; d++) {
        struct rf_random random = {.state = 0xabc + (uint64_t)d};
        rf_histogram_clear(&histogram);
        rf_histogram_clear(&other);
        rf_histogram_clear(&whole);
        for (int i = 0; i < 1000; i++) {
            const uint64_t mine = distributions[d](&random);
            const uint64_t theirs = distributions[(d + 1) % DISTRIBUTIONS](&random) << (i % 8);
            rf_histogram_record(&histogram, mine);
            rf_histogram_record(&other, theirs); /* some of them over the range */
            rf_histogram_record(&whole, mine);
            rf_histogram_record(&whole, theirs);
        }
        rf_histogram_merge(&histogram, &other);
        assert_memory_equal(&histogram, &whole, sizeof(whole));
    }
}

static void merging_an_empty_one_changes_nothing_either_way(void **state)
{
    (void)state;
    static struct rf_histogram empty;
    rf_histogram_clear(&histogram);
    rf_histogram_record(&histogram, 77);
    memcpy(&other, &histogram, sizeof(other));
    rf_histogram_merge(&histogram, &empty);
    assert_memory_equal(&histogram, &other, sizeof(other));
    rf_histogram_clear(&other);
    rf_histogram_merge(&other, &histogram);
    assert_memory_equal(&histogram, &other, sizeof(other));
    assert_int_equal(rf_histogram_min_ns(&other), 77);
}

static void a_cleared_one_is_as_new(void **state)
{
    (void)state;
    static const struct rf_histogram empty;
    rf_histogram_record(&histogram, 1);
    rf_histogram_record(&histogram, UINT64_MAX);
    rf_histogram_clear(&histogram);
    assert_memory_equal(&histogram, &empty, sizeof(empty));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_histogram_is_empty),
        cmocka_unit_test(every_bucket_begins_where_the_one_before_ends),
        cmocka_unit_test(quantiles_are_within_the_bound_of_the_sorted_samples),
        cmocka_unit_test(values_below_256_are_read_back_exactly),
        cmocka_unit_test(a_quantile_never_exceeds_the_maximum),
        cmocka_unit_test(a_rank_is_not_lost_to_rounding),
        cmocka_unit_test(counts_near_2_to_the_64_do_not_overflow_a_rank),
        cmocka_unit_test(values_over_the_range_are_counted_and_read_as_the_maximum),
        cmocka_unit_test(a_batch_counts_as_so_many_single_ones),
        cmocka_unit_test(a_merge_equals_the_union),
        cmocka_unit_test(merging_an_empty_one_changes_nothing_either_way),
        cmocka_unit_test(a_cleared_one_is_as_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
