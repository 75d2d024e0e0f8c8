/* SPDX-License-Identifier: MIT */
#include "bench/plot.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "bench/svg.h"
#include "core/histogram.h"

/* All in pixels. A panel with its axes; two beside each other are as wide as a page shows well. */
enum {
    MARGIN = 16,
    COLUMNS = 2,
    PANEL_WIDTH = 480,
    PANEL_HEIGHT = 320,
    AREA_LEFT = 68, /* the area of the curves within a panel: room for ticks and titles */
    AREA_TOP = 34,
    AREA_WIDTH = 392,
    AREA_HEIGHT = 228,
    WIDTH = 2 * MARGIN + COLUMNS * PANEL_WIDTH,
    LINE_HEIGHT = 20,
    LEGEND_WIDTH = 240, /* of one entry */
    LEGEND_COLUMNS = (WIDTH - 2 * MARGIN) / LEGEND_WIDTH,
    LABEL_DISTANCE_MIN = 26, /* between ticks of the depth axis that both get a number */
};

enum {
    NOTE_SIZE = 160, /* as much as fits into a line of the page */
    LABEL_SIZE = RF_BENCH_LOAD_TEXT_SIZE + 64,
    POINTS_PER_DECADE = 12,
    DECADES = 5, /* to the 99.999th percentile */
};

/* ---- which curve, which panel ---- */

static bool is_equal_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* A series is one server under one kind of load; it has the same colour in all panels. */
static bool is_same_series(const struct bench_result *a, const struct bench_result *b)
{
    return is_equal_text(a->name, b->name) && is_equal_text(a->engine, b->engine) &&
           is_equal_text(a->client_engine, b->client_engine) && a->busy_poll == b->busy_poll &&
           a->keys_per_request == b->keys_per_request &&
           is_equal_text(a->disturbance, b->disturbance);
}

static bool is_open_loop(const struct bench_result *result)
{
    return result->rate > 0;
}

typedef bool same_function(const struct bench_result *a, const struct bench_result *b);

static bool is_same_latency_panel(const struct bench_result *a, const struct bench_result *b)
{
    return a->connections == b->connections && a->depth == b->depth && a->threads == b->threads &&
           a->rate == b->rate;
}

/* Open loops have the throughput that was asked for, or less: there is no curve to show. */
static bool is_same_throughput_panel(const struct bench_result *a, const struct bench_result *b)
{
    return a->connections == b->connections && a->threads == b->threads && !is_open_loop(a) &&
           !is_open_loop(b);
}

/* Whether result `i` is the first of its kind: a series or a panel begins with it. */
static bool is_first(const struct rf_bench_report *report, size_t i, same_function *is_same)
{
    for (size_t j = 0; j < i; j++) {
        if (is_same(&report->results[j], &report->results[i])) {
            return false;
        }
    }
    return is_same(&report->results[i], &report->results[i]);
}

static size_t count_kinds(const struct rf_bench_report *report, size_t end, same_function *is_same)
{
    size_t count = 0;
    for (size_t i = 0; i < end; i++) {
        count += is_first(report, i, is_same);
    }
    return count;
}

static size_t series_index(const struct rf_bench_report *report, const struct bench_result *result)
{
    size_t first = 0;
    while (!is_same_series(&report->results[first], result)) {
        first++;
    }
    return count_kinds(report, first, is_same_series);
}

/* ---- scales ---- */

/* The vertical axis: from a nice value to a nice value, upwards. */
static struct rf_svg_scale vertical_scale(const struct rf_svg_range *range, double top)
{
    struct rf_svg_scale scale = {
        .low = rf_svg_nice_below(range->low), .from = top + AREA_HEIGHT, .to = top};
    for (scale.high = rf_svg_nice_after(scale.low); scale.high < range->high;) {
        scale.high = rf_svg_nice_after(scale.high);
    }
    return scale;
}

/* ---- drawing ---- */

typedef void format_function(double value, char *text, size_t size);

/* 200000 as "200 k". */
static void format_count(double value, char *text, size_t size)
{
    if (value >= 0.999e9) {
        (void)snprintf(text, size, "%g G", value / 1e9);
    } else if (value >= 0.999e6) {
        (void)snprintf(text, size, "%g M", value / 1e6);
    } else if (value >= 0.999e3) {
        (void)snprintf(text, size, "%g k", value / 1e3);
    } else {
        (void)snprintf(text, size, "%g", value);
    }
}

/* Microseconds: 2000 as "2 ms". */
static void format_time(double us, char *text, size_t size)
{
    if (us >= 0.999e6) {
        (void)snprintf(text, size, "%g s", us / 1e6);
    } else if (us >= 0.999e3) {
        (void)snprintf(text, size, "%g ms", us / 1e3);
    } else if (us >= 0.999) {
        (void)snprintf(text, size, "%g \xc2\xb5s", us);
    } else {
        (void)snprintf(text, size, "%g ns", us * 1e3);
    }
}

/* Grid and numbers of the vertical axis, at 1, 2 and 5, or over many decades at 1 alone. */
static void put_vertical_axis(FILE *out, double left, const struct rf_svg_scale *scale,
                              const char *title, format_function *format)
{
    const bool is_long = scale->high / scale->low > 2000;
    double next = scale->low;
    while (next < scale->high * 1.001) {
        const double tick = next;
        const double decade = log10(tick);
        next = rf_svg_nice_after(tick);
        if (is_long && fabs(decade - round(decade)) > 0.01) {
            continue;
        }
        char number[32];
        format(tick, number, sizeof(number));
        rf_svg_line(out, "grid", left, rf_svg_place(scale, tick), left + AREA_WIDTH,
                    rf_svg_place(scale, tick));
        rf_svg_text(out, left - 6, rf_svg_place(scale, tick) + 4, RF_SVG_END, "tick", number);
    }
    const double x = left - 52;
    const double y = (scale->from + scale->to) / 2;
    (void)fprintf(out,
                  "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" class=\"axis\" "
                  "transform=\"rotate(-90 %.1f %.1f)\">%s</text>\n",
                  x, y, x, y, title);
}

static void put_frame(FILE *out, double left, double top, const char *title, const char *x_title)
{
    (void)fprintf(out, "<rect class=\"frame\" x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\"/>\n",
                  left, top, AREA_WIDTH, AREA_HEIGHT);
    rf_svg_text(out, left, top - 10, RF_SVG_START, "panel", title);
    rf_svg_text(out, left + AREA_WIDTH / 2.0, top + AREA_HEIGHT + 38, RF_SVG_MIDDLE, "axis",
                x_title);
}

/* ---- the latency panel ---- */

/* At 1 / (1 - p) = `inverse`, in us; at least 1 ns, since 0 is nowhere on a log scale. */
static double latency_us(const struct bench_result *result, double inverse)
{
    const double ppm = RF_HISTOGRAM_PPM * (1 - 1 / inverse);
    const uint64_t ns = rf_histogram_quantile_ns(result->latencies, (uint32_t)(ppm + 0.5));
    return (double)(ns > 0 ? ns : 1) / 1000;
}

static double inverse_of(int step)
{
    return pow(10, (double)step / POINTS_PER_DECADE);
}

/* How many steps of the horizontal axis the number of samples supports: at the last one, one sample
 * is slower. */
static int count_steps(uint64_t samples)
{
    int steps = 0;
    while (steps <= DECADES * POINTS_PER_DECADE &&
           inverse_of(steps) <= (double)samples * 1.000001) {
        steps++;
    }
    return steps;
}

static void put_percentile_axis(FILE *out, const struct rf_svg_scale *scale, double top)
{
    static const struct {
        double inverse;
        const char *percentile;
    } ticks[] = {{1, "0"},      {2, "50"},      {10, "90"},     {100, "99"},
                 {1e3, "99.9"}, {1e4, "99.99"}, {1e5, "99.999"}};
    for (size_t i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
        const double x = rf_svg_place(scale, ticks[i].inverse);
        rf_svg_line(out, "grid", x, top, x, top + AREA_HEIGHT);
        rf_svg_text(out, x, top + AREA_HEIGHT + 18, RF_SVG_MIDDLE, "tick", ticks[i].percentile);
    }
}

static void put_latency_curve(FILE *out, const struct bench_result *result, size_t series,
                              const struct rf_svg_scale *x_scale,
                              const struct rf_svg_scale *y_scale)
{
    static const double marked[] = {2, 10, 100, 1e3, 1e4, 1e5};
    const uint64_t samples = rf_histogram_count(result->latencies);
    const int steps = count_steps(samples);
    rf_svg_curve_begin(out, series);
    for (int step = 0; step < steps; step++) {
        const double inverse = inverse_of(step);
        rf_svg_point(out, rf_svg_place(x_scale, inverse),
                     rf_svg_place(y_scale, latency_us(result, inverse)));
    }
    rf_svg_curve_end(out);
    for (size_t i = 0; i < sizeof(marked) / sizeof(marked[0]); i++) {
        if (marked[i] <= (double)samples) {
            rf_svg_marker(out, series, rf_svg_place(x_scale, marked[i]),
                          rf_svg_place(y_scale, latency_us(result, marked[i])));
        }
    }
}

static void put_latency_panel(FILE *out, const struct rf_bench_report *report,
                              const struct bench_result *first, double left, double top)
{
    struct rf_svg_range range = {0};
    for (size_t i = 0; i < report->results_count; i++) {
        const struct bench_result *result = &report->results[i];
        const int steps = count_steps(rf_histogram_count(result->latencies));
        if (is_same_latency_panel(first, result) && steps > 0) {
            rf_svg_widen(&range, latency_us(result, 1));
            rf_svg_widen(&range, latency_us(result, inverse_of(steps - 1)));
        }
    }
    char title[128];
    char rate[48] = "";
    if (is_open_loop(first)) {
        (void)snprintf(rate, sizeof(rate), ", %.0f requests/s", first->rate);
    }
    (void)snprintf(title, sizeof(title), "Latency: %u x %u in flight%s", first->connections,
                   first->depth, rate);
    put_frame(out, left, top, title, "percentile of requests, %");
    if (range.high <= 0) {
        rf_svg_text(out, left + AREA_WIDTH / 2.0, top + AREA_HEIGHT / 2.0, RF_SVG_MIDDLE, "axis",
                    "nothing was answered");
        return;
    }
    const struct rf_svg_scale y_scale = vertical_scale(&range, top);
    const struct rf_svg_scale x_scale = {
        .low = 1, .high = pow(10, DECADES), .from = left, .to = left + AREA_WIDTH};
    put_vertical_axis(out, left, &y_scale, "latency", format_time);
    put_percentile_axis(out, &x_scale, top);
    for (size_t i = 0; i < report->results_count; i++) {
        const struct bench_result *result = &report->results[i];
        if (is_same_latency_panel(first, result)) {
            put_latency_curve(out, result, series_index(report, result), &x_scale, &y_scale);
        }
    }
}

/* ---- the throughput panel ---- */

/* Of the results in the panel of `first` with at least one request a second, and of its series too
 * if `is_series`, the one that comes after `last` (NULL: the first) by depth; NULL at the end. */
static const struct bench_result *next_by_depth(const struct rf_bench_report *report,
                                                const struct bench_result *first, bool is_series,
                                                const struct bench_result *last)
{
    const struct bench_result *next = NULL;
    for (size_t i = 0; i < report->results_count; i++) {
        const struct bench_result *result = &report->results[i];
        const bool is_after =
            last == NULL || result->depth > last->depth ||
            (result->depth == last->depth && result > last); /* both in report->results */
        if (is_after && is_same_throughput_panel(first, result) &&
            result->requests_per_second >= 1 && (!is_series || is_same_series(first, result)) &&
            (next == NULL || result->depth < next->depth)) {
            next = result;
        }
    }
    return next;
}

static void put_depth_axis(FILE *out, const struct rf_bench_report *report,
                           const struct bench_result *first, const struct rf_svg_scale *scale,
                           double top)
{
    double last_label = -LABEL_DISTANCE_MIN;
    const struct bench_result *result = NULL;
    while ((result = next_by_depth(report, first, false, result)) != NULL) {
        const double x = rf_svg_place(scale, result->depth);
        char number[16];
        (void)snprintf(number, sizeof(number), "%u", result->depth);
        if (x - last_label >= LABEL_DISTANCE_MIN) {
            rf_svg_line(out, "grid", x, top, x, top + AREA_HEIGHT);
            rf_svg_text(out, x, top + AREA_HEIGHT + 18, RF_SVG_MIDDLE, "tick", number);
            last_label = x;
        }
    }
}

static void put_throughput_curve(FILE *out, const struct rf_bench_report *report,
                                 const struct bench_result *first,
                                 const struct rf_svg_scale *x_scale,
                                 const struct rf_svg_scale *y_scale)
{
    const size_t series = series_index(report, first);
    const struct bench_result *result = NULL;
    rf_svg_curve_begin(out, series);
    while ((result = next_by_depth(report, first, true, result)) != NULL) {
        rf_svg_point(out, rf_svg_place(x_scale, result->depth),
                     rf_svg_place(y_scale, result->requests_per_second));
    }
    rf_svg_curve_end(out);
    while ((result = next_by_depth(report, first, true, result)) != NULL) {
        rf_svg_marker(out, series, rf_svg_place(x_scale, result->depth),
                      rf_svg_place(y_scale, result->requests_per_second));
    }
}

static void put_throughput_panel(FILE *out, const struct rf_bench_report *report,
                                 const struct bench_result *first, double left, double top)
{
    struct rf_svg_range depths = {0};
    struct rf_svg_range range = {0};
    const struct bench_result *result = NULL;
    while ((result = next_by_depth(report, first, false, result)) != NULL) {
        rf_svg_widen(&depths, result->depth);
        rf_svg_widen(&range, result->requests_per_second);
    }
    char title[128];
    (void)snprintf(title, sizeof(title), "Throughput: %u connection%s", first->connections,
                   first->connections == 1 ? "" : "s");
    put_frame(out, left, top, title, "depth: requests in flight on each connection");
    if (range.high <= 0) {
        rf_svg_text(out, left + AREA_WIDTH / 2.0, top + AREA_HEIGHT / 2.0, RF_SVG_MIDDLE, "axis",
                    "nothing was answered");
        return;
    }
    const struct rf_svg_scale y_scale = vertical_scale(&range, top);
    /* Room at both sides; a single depth is in the middle. */
    const struct rf_svg_scale x_scale = {
        .low = depths.low / 1.3, .high = depths.high * 1.3, .from = left, .to = left + AREA_WIDTH};
    put_vertical_axis(out, left, &y_scale, "requests a second", format_count);
    put_depth_axis(out, report, first, &x_scale, top);
    for (size_t i = 0; i < report->results_count; i++) {
        bool is_begin = is_same_throughput_panel(first, &report->results[i]);
        for (size_t j = 0; j < i; j++) {
            is_begin = is_begin && !(is_same_throughput_panel(first, &report->results[j]) &&
                                     is_same_series(&report->results[i], &report->results[j]));
        }
        if (is_begin) {
            put_throughput_curve(out, report, &report->results[i], &x_scale, &y_scale);
        }
    }
}

/* ---- the page ---- */

static void put_legend_entry(FILE *out, const struct bench_result *result, size_t series, double x,
                             double y)
{
    rf_svg_curve_begin(out, series);
    rf_svg_point(out, x, y);
    rf_svg_point(out, x + 34, y);
    rf_svg_curve_end(out);
    rf_svg_marker(out, series, x + 17, y);
    char keys[24] = "";
    if (result->keys_per_request > 1) {
        (void)snprintf(keys, sizeof(keys), ", %u keys", result->keys_per_request);
    }
    char label[LABEL_SIZE];
    (void)snprintf(label, sizeof(label), "%s%s%s%s%s%s%s", result->name,
                   result->engine != NULL ? " " : "", result->engine != NULL ? result->engine : "",
                   result->busy_poll ? ", spinning" : "", keys,
                   result->disturbance != NULL ? ", " : "",
                   result->disturbance != NULL ? result->disturbance : "");
    rf_svg_text(out, x + 42, y + 4, RF_SVG_START, "legend", label);
}

static void put_head(FILE *out, const struct rf_bench_report *report, double height)
{
    char command[NOTE_SIZE];
    char machine[NOTE_SIZE];
    char build[NOTE_SIZE];
    const struct rf_bench_environment *env = report->environment;
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
                  "viewBox=\"0 0 %d %.0f\" role=\"img\">\n"
                  "<title>regbench: throughput and latency</title>\n"
                  "<style>text{font-family:sans-serif;fill:#222}.head{font-size:14px;"
                  "font-weight:bold}.note{font-size:12px;fill:#555}.panel{font-size:13px;"
                  "font-weight:bold}.axis,.legend{font-size:12px}.tick{font-size:11px}"
                  ".grid{stroke:#ddd}.frame{fill:none;stroke:#888}"
                  ".curve{fill:none;stroke-width:1.8}</style>\n"
                  "<rect width=\"%d\" height=\"%.0f\" fill=\"#ffffff\"/>\n",
                  WIDTH, height, WIDTH, height, WIDTH, height);
    rf_svg_text(out, MARGIN, MARGIN + 12, RF_SVG_START, "head",
                "regfast " RF_VERSION ": throughput and latency");
    rf_svg_text(out, MARGIN, MARGIN + 12 + LINE_HEIGHT, RF_SVG_START, "note",
                rf_bench_plain_text(report->command, command, sizeof(command)));
    (void)snprintf(machine, sizeof(machine), "%s, %u usable CPUs%s, %s; pinning: %s", env->cpu,
                   env->cpus_usable, env->is_virtual ? " (virtual)" : "", env->kernel,
                   env->pinning);
    (void)snprintf(build, sizeof(build), "%s, %s", env->compiler, env->flags);
    rf_svg_text(out, MARGIN, MARGIN + 12 + 2 * LINE_HEIGHT, RF_SVG_START, "note", machine);
    rf_svg_text(out, MARGIN, MARGIN + 12 + 3 * LINE_HEIGHT, RF_SVG_START, "note", build);
}

int rf_bench_plot_svg(const struct rf_bench_report *report, FILE *out, struct rf_error *err)
{
    const size_t count = report->results_count;
    if (count == 0) {
        return rf_error_set(err, -EINVAL, "plot: 0 results, at least 1 is needed");
    }
    const size_t panels = count_kinds(report, count, is_same_throughput_panel) +
                          count_kinds(report, count, is_same_latency_panel);
    const size_t entries = count_kinds(report, count, is_same_series);
    const size_t legend_rows = (entries + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
    const double legend_top = MARGIN + 5 * LINE_HEIGHT;
    const double panels_top = legend_top + (double)legend_rows * LINE_HEIGHT;
    const size_t panel_rows = (panels + COLUMNS - 1) / COLUMNS;
    const double height = panels_top + (double)panel_rows * PANEL_HEIGHT + MARGIN;

    put_head(out, report, height);
    size_t entry = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_first(report, i, is_same_series)) {
            const size_t row = entry / LEGEND_COLUMNS;
            put_legend_entry(out, &report->results[i], entry,
                             MARGIN + (double)(entry % LEGEND_COLUMNS) * LEGEND_WIDTH,
                             legend_top + (double)row * LINE_HEIGHT);
            entry++;
        }
    }
    size_t panel = 0;
    for (int is_latency = 0; is_latency <= 1; is_latency++) {
        for (size_t i = 0; i < count; i++) {
            if (is_first(report, i,
                         is_latency ? is_same_latency_panel : is_same_throughput_panel)) {
                const double left = MARGIN + (double)(panel % COLUMNS) * PANEL_WIDTH + AREA_LEFT;
                const size_t row = panel / COLUMNS;
                const double top = panels_top + (double)row * PANEL_HEIGHT + AREA_TOP;
                (is_latency ? put_latency_panel
                            : put_throughput_panel)(out, report, &report->results[i], left, top);
                panel++;
            }
        }
    }
    (void)fputs("</svg>\n", out);
    if (fflush(out) != 0 || ferror(out)) {
        return rf_error_set(err, -EIO, "plot: cannot write");
    }
    return 0;
}
