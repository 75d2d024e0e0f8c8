/* SPDX-License-Identifier: MIT
 *
 * report.h - what a scenario found: rows of figures, with an aim beside those that have one, and
 * curves for a picture.
 */
#ifndef RF_TESTS_SIM_REPORT_H
#define RF_TESTS_SIM_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

enum { RF_REPORT_TEXT_SIZE = 96 };

/* ---- samples ---- */

struct rf_samples {
    double *values;
    size_t count;
    size_t capacity;
    bool is_sorted;
};

void rf_samples_add(struct rf_samples *samples, double value);
void rf_samples_fini(struct rf_samples *samples);

/* The smallest value that `percent` of the samples do not exceed (nearest rank): 50 the median, 100
 * the greatest. Samples that never came count with INFINITY. NAN: there is none. Sorts. */
double rf_samples_percentile(struct rf_samples *samples, double percent);
double rf_samples_mean(const struct rf_samples *samples); /* NAN: there is none */

/* ---- rows ---- */

enum rf_aim {
    RF_AIM_NONE,
    RF_AIM_AT_MOST,
    RF_AIM_AT_LEAST,
};

struct rf_row {
    char what[RF_REPORT_TEXT_SIZE];
    char unit[16];
    double value; /* INFINITY: never */
    enum rf_aim aim;
    double bound;
};

/* Whether the figure is as it should be; those without an aim are. */
bool rf_row_passes(const struct rf_row *row);

/* ---- curves ---- */

struct rf_point {
    double x, y;
};

struct rf_curve {
    char panel[RF_REPORT_TEXT_SIZE]; /* curves of one panel share axes */
    char x_title[RF_REPORT_TEXT_SIZE];
    char y_title[RF_REPORT_TEXT_SIZE];
    char name[RF_REPORT_TEXT_SIZE];
    bool is_log; /* both axes; of the panel: its first curve's counts */
    struct rf_point *points;
    size_t points_count;
    size_t points_capacity;
};

struct rf_report {
    struct rf_row *rows;
    size_t rows_count;
    size_t rows_capacity;
    struct rf_curve *curves;
    size_t curves_count;
    size_t curves_capacity;
};

void rf_report_fini(struct rf_report *report);

/* Memory blocks that all samples and reports hold: these outlive the simulations they are about. */
int64_t rf_report_blocks_held(void);

/* A figure; `format` says what it is. */
__attribute__((format(printf, 6, 7))) void rf_report_row(struct rf_report *report, double value,
                                                         const char *unit, enum rf_aim aim,
                                                         double bound, const char *format, ...);

/* A new curve, to be filled by rf_curve_add; valid until the next one is made. */
struct rf_curve *rf_report_curve(struct rf_report *report, const char *panel, const char *x_title,
                                 const char *y_title, bool is_log, const char *name);
void rf_curve_add(struct rf_curve *curve, double x, double y);

/* The part of the samples, in percent, that each value is not below, as a curve. Sorts. */
void rf_report_distribution(struct rf_report *report, const char *panel, const char *x_title,
                            const char *name, struct rf_samples *samples);

bool rf_report_passes(const struct rf_report *report);

/* What surrounds the rows. */
struct rf_report_head {
    const char *scenario;
    const char *what;
    const char *command; /* as it was called */
    uint64_t seed;       /* the first */
    uint64_t seeds;
    double virtual_s; /* all runs together */
    double node_hours;
    double processor_s;
    uint64_t events;
    uint64_t trace; /* of all runs, in order */
};

/* Errors: -EIO. */
RF_NODISCARD int rf_report_print(const struct rf_report *report, const struct rf_report_head *head,
                                 FILE *out, struct rf_error *err);
/* One object: version, scenario, command, seed, seeds, virtual_s, node_hours, processor_s, speed,
 * events, trace, pass, rows[{what, value (null: never), unit, aim, bound, pass}]. Errors: -EIO,
 * -ENOMEM. */
RF_NODISCARD int rf_report_json(const struct rf_report *report, const struct rf_report_head *head,
                                FILE *out, struct rf_error *err);
/* plot.c. Errors: -EIO; -EINVAL there is no curve. */
RF_NODISCARD int rf_report_svg(const struct rf_report *report, const struct rf_report_head *head,
                               FILE *out, struct rf_error *err);

#endif
