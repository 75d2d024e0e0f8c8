/* SPDX-License-Identifier: MIT */
#include "core/octaves.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/assert.h"

enum { PART_BITS = 3 };

static_assert(1 << PART_BITS == RF_OCTAVE_PARTS, "an octave's parts are told by these bits");
static_assert((int)RF_HISTOGRAM_SUBBITS >= (int)PART_BITS, "no bucket lies in two parts");

static void add(struct rf_octaves *octaves, uint64_t value_ns, uint64_t count)
{
    if (value_ns < RF_OCTAVE_PARTS) {
        octaves->counts[0][value_ns] += count;
        return;
    }
    unsigned power = 63 - (unsigned)__builtin_clzll(value_ns);
    octaves
        ->counts[power - PART_BITS + 1][value_ns >> (power - PART_BITS) & (RF_OCTAVE_PARTS - 1)] +=
        count;
}

void rf_octaves_add(struct rf_octaves *octaves, const struct rf_histogram *histogram)
{
    for (uint32_t i = 0; i < RF_HISTOGRAM_BUCKETS_COUNT; i++) {
        const uint64_t count = rf_counter_get(&histogram->buckets[i]);
        if (count > 0) {
            add(octaves, rf_histogram_bucket_low_ns(i), count);
        }
    }
}

void rf_octaves_subtract(struct rf_octaves *octaves, const struct rf_octaves *earlier)
{
    for (unsigned octave = 0; octave < RF_OCTAVES_COUNT; octave++) {
        for (unsigned part = 0; part < RF_OCTAVE_PARTS; part++) {
            uint64_t *count = &octaves->counts[octave][part];
            uint64_t before = earlier->counts[octave][part];
            *count = *count > before ? *count - before : 0;
        }
    }
}

uint64_t rf_octaves_total(const struct rf_octaves *octaves)
{
    uint64_t total = 0;
    for (unsigned octave = 0; octave < RF_OCTAVES_COUNT; octave++) {
        for (unsigned part = 0; part < RF_OCTAVE_PARTS; part++) {
            total += octaves->counts[octave][part];
        }
    }
    return total;
}

uint64_t rf_octave_low_ns(unsigned octave)
{
    return octave == 0 ? 0 : (uint64_t)RF_OCTAVE_PARTS << (octave - 1);
}

/* The largest value of a part. */
static uint64_t part_high_ns(unsigned octave, unsigned part)
{
    uint64_t width = octave == 0 ? 1 : UINT64_C(1) << (octave - 1);
    return rf_octave_low_ns(octave) + (part + 1) * width - 1;
}

uint64_t rf_octaves_quantile_ns(const struct rf_octaves *octaves, uint32_t ppm)
{
    RF_ASSERT(ppm <= RF_HISTOGRAM_PPM);
    const uint64_t rank = rf_histogram_rank(rf_octaves_total(octaves), ppm);
    uint64_t seen = 0;
    for (unsigned octave = 0; octave < RF_OCTAVES_COUNT; octave++) {
        for (unsigned part = 0; part < RF_OCTAVE_PARTS; part++) {
            seen += octaves->counts[octave][part];
            if (seen >= rank) {
                return part_high_ns(octave, part);
            }
        }
    }
    return 0; /* empty */
}

uint64_t rf_octave_format(const struct rf_octaves *octaves, unsigned octave,
                          char ret_text[RF_OCTAVE_TEXT_SIZE])
{
    uint64_t total = 0;
    size_t used = 0;
    for (unsigned part = 0; part < RF_OCTAVE_PARTS; part++) {
        uint64_t count = octaves->counts[octave][part];
        int size = snprintf(ret_text + used, RF_OCTAVE_TEXT_SIZE - used, "%s%" PRIu64,
                            part == 0 ? "" : " ", count);
        RF_ASSERT(size > 0 && (size_t)size < RF_OCTAVE_TEXT_SIZE - used);
        used += (size_t)size;
        total += count;
    }
    return total;
}

/* A decimal number of 64 bits at *at, which is moved behind it. */
static bool parse_count(const char **at, uint64_t *ret_count)
{
    uint64_t count = 0;
    const char *digit = *at;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        if (__builtin_mul_overflow(count, (uint64_t)10, &count) ||
            __builtin_add_overflow(count, (uint64_t)(*digit - '0'), &count)) {
            return false;
        }
    }
    bool has_digits = digit > *at;
    *at = digit;
    *ret_count = count;
    return has_digits;
}

int rf_octave_parse(struct rf_octaves *octaves, uint64_t low_ns, const char *text)
{
    uint64_t counts[RF_OCTAVE_PARTS];
    unsigned octave = 0;
    while (octave < RF_OCTAVES_COUNT && rf_octave_low_ns(octave) != low_ns) {
        octave++;
    }
    if (octave == RF_OCTAVES_COUNT) {
        return -EINVAL;
    }
    for (unsigned part = 0; part < RF_OCTAVE_PARTS; part++) {
        if (!parse_count(&text, &counts[part]) ||
            *text++ != (part + 1 < RF_OCTAVE_PARTS ? ' ' : '\0')) {
            return -EINVAL;
        }
    }
    memcpy(octaves->counts[octave], counts, sizeof(counts));
    return 0;
}
