/* SPDX-License-Identifier: MIT
 *
 * octaves.h - a histogram (core/histogram.h) in few numbers, to be told to others.
 *
 * Values are counted by octaves, which double: octave 0 is 0..7 ns, octave 1 is 8..15, octave 2 is
 * 16..31 and so on. Each has eight equal parts, so what is read back is at most 1/8 above the exact
 * figure. Counts only grow: the difference of two tells of the time between them.
 */
#ifndef RF_CORE_OCTAVES_H
#define RF_CORE_OCTAVES_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/histogram.h"

enum {
    RF_OCTAVE_PARTS = 8,
    RF_OCTAVES_COUNT = RF_HISTOGRAM_RANGE_BITS - 2, /* the last one ends where histograms do */
    RF_OCTAVE_TEXT_SIZE = RF_OCTAVE_PARTS * 21,     /* 20 digits and a space each; the NUL */
};

/* All-zero: empty. */
struct rf_octaves {
    uint64_t counts[RF_OCTAVES_COUNT][RF_OCTAVE_PARTS];
};

/* Adds what is in a histogram, but for values over its range. Threads: any. */
void rf_octaves_add(struct rf_octaves *octaves, const struct rf_histogram *histogram);

/* Takes away what was there earlier. A count that has shrunk, which cannot be, becomes 0. */
void rf_octaves_subtract(struct rf_octaves *octaves, const struct rf_octaves *earlier);

uint64_t rf_octaves_total(const struct rf_octaves *octaves);

/* As rf_histogram_quantile_ns, but up to 1/8 above; the end of a part. 0 if empty. */
uint64_t rf_octaves_quantile_ns(const struct rf_octaves *octaves, uint32_t ppm);

/* The smallest value of an octave: 0, 8, 16, 32, ... */
uint64_t rf_octave_low_ns(unsigned octave);

/* Writes the eight counts, decimal, with spaces between: "0 3 12 0 0 0 0 1". Returns their sum. */
uint64_t rf_octave_format(const struct rf_octaves *octaves, unsigned octave,
                          char ret_text[RF_OCTAVE_TEXT_SIZE]);

/* Reads what rf_octave_format has written into the octave whose smallest value is `low_ns`.
 * Errors: -EINVAL no such octave, or not eight numbers of 64 bits; nothing is changed. */
RF_NODISCARD int rf_octave_parse(struct rf_octaves *octaves, uint64_t low_ns, const char *text);

#endif
