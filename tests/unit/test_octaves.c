/* SPDX-License-Identifier: MIT */
#include "core/octaves.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"

static struct rf_histogram histogram; /* 30 KiB */
static struct rf_octaves octaves;

static int start_empty(void **state)
{
    (void)state;
    rf_histogram_clear(&histogram);
    octaves = (struct rf_octaves){0};
    return 0;
}

/* Every magnitude alike. */
static void record_some(struct rf_random *random, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t power = rf_random_below(random, RF_HISTOGRAM_RANGE_BITS + 1);
        rf_histogram_record(&histogram, rf_random_below(random, UINT64_C(1) << power));
    }
}

static void octaves_of_nothing_are_empty(void **state)
{
    (void)state;
    rf_octaves_add(&octaves, &histogram);
    assert_int_equal(rf_octaves_total(&octaves), 0);
    assert_int_equal(rf_octaves_quantile_ns(&octaves, 990000), 0);
}

static void octaves_count_each_value_in_its_eighth(void **state)
{
    (void)state;
    static const struct {
        uint64_t value_ns;
        unsigned octave, part;
    } cases[] = {
        {0, 0, 0},          {7, 0, 7},    {8, 1, 0},
        {15, 1, 7},         {16, 2, 0},   {17, 2, 0},
        {18, 2, 1},         {1023, 7, 7}, {1024, 8, 0},
        {1024 + 128, 8, 1}, {2047, 8, 7}, {RF_HISTOGRAM_VALUE_MAX, RF_OCTAVES_COUNT - 1, 7}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)start_empty(NULL);
        rf_histogram_record(&histogram, cases[i].value_ns);
        rf_octaves_add(&octaves, &histogram);
        assert_int_equal(rf_octaves_total(&octaves), 1);
        assert_int_equal(octaves.counts[cases[i].octave][cases[i].part], 1);
        assert_in_range(cases[i].value_ns, rf_octave_low_ns(cases[i].octave),
                        rf_octave_low_ns(cases[i].octave + 1) - 1);
    }
}

static void octaves_quantiles_are_those_of_the_histogram_or_an_eighth_above(void **state)
{
    (void)state;
    static const uint32_t ppms[] = {0, 1, 10000, 500000, 900000, 990000, 999000, RF_HISTOGRAM_PPM};
    struct rf_random random = {.state = 7};
    for (size_t count = 1; count < 3000; count = count * 3 + 1) {
        (void)start_empty(NULL);
        record_some(&random, count);
        rf_octaves_add(&octaves, &histogram);
        assert_int_equal(rf_octaves_total(&octaves), count);
        for (size_t i = 0; i < sizeof(ppms) / sizeof(ppms[0]); i++) {
            uint64_t exact = rf_histogram_quantile_ns(&histogram, ppms[i]);
            uint64_t told = rf_octaves_quantile_ns(&octaves, ppms[i]);
            /* The histogram's own figure is up to 1/128 above. */
            assert_true(told >= exact - exact / 128 && told <= exact + exact / 8);
        }
    }
}

/* The server's counters go on from the start; who asks twice sees the time in between alone. */
static void octaves_subtracted_tell_of_the_time_in_between(void **state)
{
    (void)state;
    struct rf_octaves earlier = {0};
    for (int i = 0; i < 1000; i++) {
        rf_histogram_record(&histogram, 5000000);
    }
    rf_octaves_add(&earlier, &histogram);
    for (int i = 0; i < 100; i++) {
        rf_histogram_record(&histogram, 1000);
    }
    rf_octaves_add(&octaves, &histogram);
    assert_true(rf_octaves_quantile_ns(&octaves, 500000) > 4000000);
    rf_octaves_subtract(&octaves, &earlier);
    assert_int_equal(rf_octaves_total(&octaves), 100);
    assert_int_equal(rf_octaves_quantile_ns(&octaves, 999000), 1023);
    rf_octaves_subtract(&octaves, &earlier);
    assert_int_equal(rf_octaves_total(&octaves), 100); /* what has shrunk is 0, not 2^64 */
}

static void octaves_told_as_text_are_read_as_they_were(void **state)
{
    (void)state;
    struct rf_octaves again = {0};
    char text[RF_OCTAVE_TEXT_SIZE];
    struct rf_random random = {.state = 11};
    record_some(&random, 2000);
    rf_octaves_add(&octaves, &histogram);
    for (unsigned part = 0; part < RF_OCTAVE_PARTS; part++) {
        octaves.counts[3][part] = UINT64_MAX / RF_OCTAVE_PARTS;
    }
    for (unsigned octave = 0; octave < RF_OCTAVES_COUNT; octave++) {
        (void)rf_octave_format(&octaves, octave, text);
        assert_int_equal(rf_octave_parse(&again, rf_octave_low_ns(octave), text), 0);
    }
    assert_memory_equal(&again, &octaves, sizeof(again));
    octaves = (struct rf_octaves){.counts[1] = {0, 3, 12, 0, 0, 0, 0, UINT64_MAX - 15}};
    assert_int_equal(rf_octave_format(&octaves, 1, text), UINT64_MAX);
    assert_string_equal(text, "0 3 12 0 0 0 0 18446744073709551600");
}

static void octaves_refuse_what_is_no_octave(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "1",
                                        "1 2 3 4 5 6 7",
                                        "1 2 3 4 5 6 7 8 9",
                                        "1 2 3 4 5 6 7 8 ",
                                        " 1 2 3 4 5 6 7 8",
                                        "1 2 3 4 5 6 7 x",
                                        "1  3 4 5 6 7 8",
                                        "1 2 3 4 5 6 7 -8",
                                        "1,2 3 4 5 6 7 8 9",
                                        "0 0 0 0 0 0 0 18446744073709551616",
                                        "0 0 0 0 0 0 0 99999999999999999999"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(rf_octave_parse(&octaves, 1024, texts[i]), -EINVAL);
    }
    assert_int_equal(rf_octave_parse(&octaves, 1023, "1 2 3 4 5 6 7 8"), -EINVAL);
    assert_int_equal(rf_octave_parse(&octaves, RF_HISTOGRAM_VALUE_MAX + 1, "1 2 3 4 5 6 7 8"),
                     -EINVAL);
    assert_int_equal(rf_octaves_total(&octaves), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(octaves_of_nothing_are_empty, start_empty),
        cmocka_unit_test_setup(octaves_count_each_value_in_its_eighth, start_empty),
        cmocka_unit_test_setup(octaves_quantiles_are_those_of_the_histogram_or_an_eighth_above,
                               start_empty),
        cmocka_unit_test_setup(octaves_subtracted_tell_of_the_time_in_between, start_empty),
        cmocka_unit_test_setup(octaves_told_as_text_are_read_as_they_were, start_empty),
        cmocka_unit_test_setup(octaves_refuse_what_is_no_octave, start_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
