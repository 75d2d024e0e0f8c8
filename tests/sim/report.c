/* SPDX-License-Identifier: MIT
 */
#include "tests/sim/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

static int64_t blocks_held;

int64_t rf_report_blocks_held(void)
{
    return blocks_held;
}

static void release(void *array)
{
    blocks_held -= array != NULL;
    free(array);
}

/* Room for one more element; programs of tests end without memory. */
static void *grown(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity == 0 ? 16 : 2 * *capacity;
    blocks_held += array == NULL;
    array = realloc(array, *capacity * size);
    RF_ASSERT(array != NULL);
    return array;
}

/* ---- samples ---- */

void rf_samples_add(struct rf_samples *samples, double value)
{
    samples->values =
        grown(samples->values, samples->count, &samples->capacity, sizeof(samples->values[0]));
    samples->values[samples->count++] = value;
    samples->is_sorted = false;
}

void rf_samples_fini(struct rf_samples *samples)
{
    release(samples->values);
    *samples = (struct rf_samples){0};
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static void sort(struct rf_samples *samples)
{
    if (!samples->is_sorted && samples->count > 0) {
        qsort(samples->values, samples->count, sizeof(samples->values[0]), compare);
        samples->is_sorted = true;
    }
}

double rf_samples_percentile(struct rf_samples *samples, double percent)
{
    if (samples->count == 0) {
        return (double)NAN;
    }
    sort(samples);
    double rank = ceil(percent / 100 * (double)samples->count - 1e-9);
    size_t index = rank < 1 ? 0 : (size_t)rank - 1;
    return samples->values[index < samples->count ? index : samples->count - 1];
}

double rf_samples_mean(const struct rf_samples *samples)
{
    double sum = 0;
    for (size_t i = 0; i < samples->count; i++) {
        sum += samples->values[i];
    }
    return samples->count == 0 ? (double)NAN : sum / (double)samples->count;
}

/* ---- rows and curves ---- */

bool rf_row_passes(const struct rf_row *row)
{
    return row->aim == RF_AIM_NONE ||
           (row->aim == RF_AIM_AT_MOST ? row->value <= row->bound : row->value >= row->bound);
}

void rf_report_fini(struct rf_report *report)
{
    for (size_t i = 0; i < report->curves_count; i++) {
        release(report->curves[i].points);
    }
    release(report->curves);
    release(report->rows);
    *report = (struct rf_report){0};
}

void rf_report_row(struct rf_report *report, double value, const char *unit, enum rf_aim aim,
                   double bound, const char *format, ...)
{
    report->rows =
        grown(report->rows, report->rows_count, &report->rows_capacity, sizeof(report->rows[0]));
    struct rf_row *row = &report->rows[report->rows_count++];
    *row = (struct rf_row){.value = value, .aim = aim, .bound = bound};
    (void)snprintf(row->unit, sizeof(row->unit), "%s", unit);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(row->what, sizeof(row->what), format, args);
    va_end(args);
}

struct rf_curve *rf_report_curve(struct rf_report *report, const char *panel, const char *x_title,
                                 const char *y_title, bool is_log, const char *name)
{
    report->curves = grown(report->curves, report->curves_count, &report->curves_capacity,
                           sizeof(report->curves[0]));
    struct rf_curve *curve = &report->curves[report->curves_count++];
    *curve = (struct rf_curve){.is_log = is_log};
    (void)snprintf(curve->panel, sizeof(curve->panel), "%s", panel);
    (void)snprintf(curve->x_title, sizeof(curve->x_title), "%s", x_title);
    (void)snprintf(curve->y_title, sizeof(curve->y_title), "%s", y_title);
    (void)snprintf(curve->name, sizeof(curve->name), "%s", name);
    return curve;
}

void rf_curve_add(struct rf_curve *curve, double x, double y)
{
    curve->points = grown(curve->points, curve->points_count, &curve->points_capacity,
                          sizeof(curve->points[0]));
    curve->points[curve->points_count++] = (struct rf_point){x, y};
}

void rf_report_distribution(struct rf_report *report, const char *panel, const char *x_title,
                            const char *name, struct rf_samples *samples)
{
    enum { STEPS = 200 };
    struct rf_curve *curve = rf_report_curve(report, panel, x_title, "% not later", false, name);
    for (int i = 0; i <= STEPS && samples->count > 0; i++) {
        double percent = 100.0 * i / STEPS;
        double value = rf_samples_percentile(samples, percent);
        if (isfinite(value)) {
            rf_curve_add(curve, value, percent);
        }
    }
}

bool rf_report_passes(const struct rf_report *report)
{
    for (size_t i = 0; i < report->rows_count; i++) {
        if (!rf_row_passes(&report->rows[i])) {
            return false;
        }
    }
    return true;
}

/* ---- for people ---- */

static void put_value(FILE *out, int width, double value)
{
    if (isnan(value)) {
        (void)fprintf(out, "%*s", width, "-");
    } else if (isinf(value)) {
        (void)fprintf(out, "%*s", width, "never");
    } else if (fabs(value) >= 1000 || floor(value) == value) {
        (void)fprintf(out, "%*.0f", width, value);
    } else if (fabs(value) >= 0.1) {
        (void)fprintf(out, "%*.2f", width, value);
    } else {
        (void)fprintf(out, "%*.2g", width, value);
    }
}

static void put_row(FILE *out, const struct rf_row *row)
{
    (void)fprintf(out, "%-64s ", row->what);
    put_value(out, 10, row->value);
    (void)fprintf(out, " %-8s", row->unit);
    if (row->aim != RF_AIM_NONE) {
        (void)fprintf(out, " %s ", row->aim == RF_AIM_AT_MOST ? "<=" : ">=");
        put_value(out, 8, row->bound);
        (void)fprintf(out, "  %s", rf_row_passes(row) ? "PASS" : "FAIL");
    }
    (void)fputc('\n', out);
}

static int finish(FILE *out, struct rf_error *err)
{
    return fflush(out) != 0 || ferror(out) ? rf_error_set(err, -EIO, "report: cannot write") : 0;
}

static double speed(const struct rf_report_head *head)
{
    return head->processor_s > 0 ? head->virtual_s / head->processor_s : 0;
}

int rf_report_print(const struct rf_report *report, const struct rf_report_head *head, FILE *out,
                    struct rf_error *err)
{
    (void)fprintf(out, "%s: %s\n", head->scenario, head->what);
    (void)fprintf(out, "seeds %llu..%llu, trace %016llx\n", (unsigned long long)head->seed,
                  (unsigned long long)(head->seed + head->seeds - 1),
                  (unsigned long long)head->trace);
    for (size_t i = 0; i < report->rows_count; i++) {
        put_row(out, &report->rows[i]);
    }
    (void)fprintf(out,
                  "%.4g virtual s (%.3g node hours) in %.3g s of one processor: %.4g times as "
                  "fast; %.3g events\n",
                  head->virtual_s, head->node_hours, head->processor_s, speed(head),
                  (double)head->events);
    (void)fprintf(out, "%s\n", rf_report_passes(report) ? "PASS" : "FAIL");
    return finish(out, err);
}

/* ---- for programs ---- */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *rows_json(const struct rf_report *report)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < report->rows_count && rows != NULL; i++) {
        const struct rf_row *row = &report->rows[i];
        const char *aim = row->aim == RF_AIM_AT_MOST    ? "at most"
                          : row->aim == RF_AIM_AT_LEAST ? "at least"
                                                        : "none";
        json_t *object = json_pack("{ss so ss ss so sb}", "what", row->what, "value",
                                   number(row->value), "unit", row->unit, "aim", aim, "bound",
                                   row->aim == RF_AIM_NONE ? json_null() : number(row->bound),
                                   "pass", rf_row_passes(row));
        if (object == NULL || json_array_append_new(rows, object) < 0) {
            json_decref(rows);
            return NULL;
        }
    }
    return rows;
}

int rf_report_json(const struct rf_report *report, const struct rf_report_head *head, FILE *out,
                   struct rf_error *err)
{
    char trace[24];
    (void)snprintf(trace, sizeof(trace), "%016llx", (unsigned long long)head->trace);
    json_t *rows = rows_json(report);
    json_t *object =
        rows == NULL
            ? NULL
            : json_pack("{ss ss ss sI sI sf sf sf sf sI ss sb so}", "version", RF_VERSION,
                        "scenario", head->scenario, "command", head->command, "seed",
                        (json_int_t)head->seed, "seeds", (json_int_t)head->seeds, "virtual_s",
                        head->virtual_s, "node_hours", head->node_hours, "processor_s",
                        head->processor_s, "speed", speed(head), "events", (json_int_t)head->events,
                        "trace", trace, "pass", rf_report_passes(report), "rows", rows);
    if (object == NULL) {
        return rf_error_set(err, -ENOMEM, "report: no memory");
    }
    int code = json_dumpf(object, out, JSON_INDENT(2)) < 0 || fputc('\n', out) == EOF;
    json_decref(object);
    return code != 0 ? rf_error_set(err, -EIO, "report: cannot write") : finish(out, err);
}
