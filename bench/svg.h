/* SPDX-License-Identifier: MIT
 *
 * svg.h - what pictures of reports are drawn with: scales with round ends, texts, lines, curves.
 *
 * Series are numbered; each has a colour, a marker and dashes of its own, so that a grey print is
 * enough to tell 24 of them apart. Classes of texts and lines are styled by the page.
 */
#ifndef RF_BENCH_SVG_H
#define RF_BENCH_SVG_H

#include <stddef.h>
#include <stdio.h>

struct rf_svg_scale {
    double low, high; /* of the values, both above 0; the scale is logarithmic */
    double from, to;  /* the pixels where they are */
};

double rf_svg_place(const struct rf_svg_scale *scale, double value);

/* Of 1, 2 and 5 times powers of ten, the greatest not above `value`, which is above 0; and the one
 * that follows `nice`, which is such a number. */
double rf_svg_nice_below(double value);
double rf_svg_nice_after(double nice);

struct rf_svg_range {
    double low, high; /* 0, 0: empty */
};

void rf_svg_widen(struct rf_svg_range *range, double value);

enum rf_svg_anchor { RF_SVG_START, RF_SVG_MIDDLE, RF_SVG_END };

/* Texts are escaped; `kind` is a class of the page's style. */
void rf_svg_text(FILE *out, double x, double y, enum rf_svg_anchor anchor, const char *kind,
                 const char *text);
void rf_svg_line(FILE *out, const char *kind, double x1, double y1, double x2, double y2);
void rf_svg_marker(FILE *out, size_t series, double x, double y);

/* Points come between begin and end. */
void rf_svg_curve_begin(FILE *out, size_t series);
void rf_svg_point(FILE *out, double x, double y);
void rf_svg_curve_end(FILE *out);

#endif
