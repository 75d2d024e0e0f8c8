/* SPDX-License-Identifier: MIT
 *
 * plot.c - the curves of a report as an SVG: a panel for each title, one colour for each name.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "bench/svg.h"
#include "tests/sim/report.h"

/* In pixels. */
enum {
    MARGIN = 16,
    WIDTH = 720,
    LINE_HEIGHT = 20,
    HEAD_HEIGHT = 3 * LINE_HEIGHT,
    AREA_LEFT = MARGIN + 70,
    AREA_WIDTH = WIDTH - AREA_LEFT - MARGIN,
    AREA_HEIGHT = 280,
    ABOVE_AREA = 40,
    BELOW_AREA = 64,
    TICKS = 8, /* about so many on an axis */
};

struct axis {
    struct rf_svg_scale scale; /* as of svg.h if is_log, else linear */
    bool is_log;
};

static double place(const struct axis *axis, double value)
{
    const struct rf_svg_scale *scale = &axis->scale;
    return axis->is_log ? rf_svg_place(scale, value)
                        : scale->from + (value - scale->low) / (scale->high - scale->low) *
                                            (scale->to - scale->from);
}

static double step_of(const struct axis *axis)
{
    return rf_svg_nice_below((axis->scale.high - axis->scale.low) / TICKS * 2);
}

/* From 0, or from a nice number, to one. */
static struct axis axis_of(double low, double high, bool is_log, double from, double to)
{
    struct axis axis = {.scale = {.from = from, .to = to}, .is_log = is_log && low > 0};
    if (axis.is_log) {
        axis.scale.low = rf_svg_nice_below(low);
        axis.scale.high = rf_svg_nice_after(rf_svg_nice_below(high));
    } else {
        axis.scale.high = high > 0 ? high : 1;
        double step = step_of(&axis);
        axis.scale.low = low < 0 ? floor(low / step) * step : 0;
        axis.scale.high = ceil(axis.scale.high / step - 1e-9) * step;
    }
    return axis;
}

static double next_tick(const struct axis *axis, double tick)
{
    return axis->is_log ? rf_svg_nice_after(tick) : tick + step_of(axis);
}

static void put_axes(FILE *out, const struct axis *x, const struct axis *y, double top,
                     const struct rf_curve *titles)
{
    char text[32];
    for (double tick = x->scale.low; tick <= x->scale.high * 1.0001; tick = next_tick(x, tick)) {
        (void)snprintf(text, sizeof(text), "%g", tick);
        rf_svg_line(out, "grid", place(x, tick), top, place(x, tick), top + AREA_HEIGHT);
        rf_svg_text(out, place(x, tick), top + AREA_HEIGHT + 18, RF_SVG_MIDDLE, "tick", text);
    }
    for (double tick = y->scale.low; tick <= y->scale.high * 1.0001; tick = next_tick(y, tick)) {
        (void)snprintf(text, sizeof(text), "%g", tick);
        rf_svg_line(out, "grid", AREA_LEFT, place(y, tick), AREA_LEFT + AREA_WIDTH, place(y, tick));
        rf_svg_text(out, AREA_LEFT - 6, place(y, tick) + 4, RF_SVG_END, "tick", text);
    }
    rf_svg_text(out, AREA_LEFT, top - 22, RF_SVG_START, "panel", titles->panel);
    rf_svg_text(out, AREA_LEFT, top - 6, RF_SVG_START, "axis", titles->y_title);
    rf_svg_text(out, AREA_LEFT + AREA_WIDTH / 2.0, top + AREA_HEIGHT + 36, RF_SVG_MIDDLE, "axis",
                titles->x_title);
}

static bool is_same_panel(const struct rf_curve *a, const struct rf_curve *b)
{
    return strcmp(a->panel, b->panel) == 0;
}

static void widen(double range[2], double value, bool is_first)
{
    range[0] = is_first || value < range[0] ? value : range[0];
    range[1] = is_first || value > range[1] ? value : range[1];
}

static void put_curve(FILE *out, const struct rf_curve *curve, size_t series, const struct axis *x,
                      const struct axis *y, double legend_y)
{
    rf_svg_curve_begin(out, series);
    for (size_t i = 0; i < curve->points_count; i++) {
        rf_svg_point(out, place(x, curve->points[i].x), place(y, curve->points[i].y));
    }
    rf_svg_curve_end(out);
    double left = AREA_LEFT + AREA_WIDTH - 220;
    rf_svg_curve_begin(out, series);
    rf_svg_point(out, left, legend_y);
    rf_svg_point(out, left + 30, legend_y);
    rf_svg_curve_end(out);
    rf_svg_text(out, left + 38, legend_y + 4, RF_SVG_START, "legend", curve->name);
}

static void put_panel(FILE *out, const struct rf_report *report, size_t first, double top)
{
    const struct rf_curve *titles = &report->curves[first];
    double xs[2] = {0, 0};
    double ys[2] = {0, 0};
    bool is_empty = true;
    for (size_t i = first; i < report->curves_count; i++) {
        const struct rf_curve *curve = &report->curves[i];
        for (size_t k = 0; k < curve->points_count && is_same_panel(curve, titles); k++) {
            widen(xs, curve->points[k].x, is_empty);
            widen(ys, curve->points[k].y, is_empty);
            is_empty = false;
        }
    }
    struct axis x = axis_of(xs[0], xs[1], titles->is_log, AREA_LEFT, AREA_LEFT + AREA_WIDTH);
    struct axis y = axis_of(ys[0], ys[1], titles->is_log, top + AREA_HEIGHT, top);
    put_axes(out, &x, &y, top, titles);
    size_t series = 0;
    for (size_t i = first; i < report->curves_count; i++) {
        if (is_same_panel(&report->curves[i], titles)) {
            put_curve(out, &report->curves[i], series, &x, &y,
                      top + AREA_HEIGHT - 16 - 18 * (double)series);
            series++;
        }
    }
}

static bool begins_panel(const struct rf_report *report, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (is_same_panel(&report->curves[i], &report->curves[index])) {
            return false;
        }
    }
    return true;
}

static void put_head(FILE *out, const struct rf_report_head *head, double height)
{
    char title[RF_REPORT_TEXT_SIZE];
    (void)snprintf(title, sizeof(title), "regfast %s: %s", RF_VERSION, head->scenario);
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
                  "viewBox=\"0 0 %d %.0f\" role=\"img\">\n<title>regsim: %s</title>\n"
                  "<style>text{font-family:sans-serif;fill:#222}.head{font-size:14px;"
                  "font-weight:bold}.note{font-size:12px;fill:#555}.panel{font-size:13px;"
                  "font-weight:bold}.axis,.legend{font-size:12px}.tick{font-size:11px}"
                  ".grid{stroke:#ddd}.curve{fill:none;stroke-width:1.8}</style>\n"
                  "<rect width=\"%d\" height=\"%.0f\" fill=\"#ffffff\"/>\n",
                  WIDTH, height, WIDTH, height, head->scenario, WIDTH, height);
    rf_svg_text(out, MARGIN, MARGIN + 12, RF_SVG_START, "head", title);
    rf_svg_text(out, MARGIN, MARGIN + 12 + LINE_HEIGHT, RF_SVG_START, "note", head->command);
}

int rf_report_svg(const struct rf_report *report, const struct rf_report_head *head, FILE *out,
                  struct rf_error *err)
{
    size_t panels = 0;
    for (size_t i = 0; i < report->curves_count; i++) {
        panels += begins_panel(report, i);
    }
    if (panels == 0) {
        return rf_error_set(err, -EINVAL, "--plot: scenario '%s' has nothing to draw",
                            head->scenario);
    }
    double panel_height = ABOVE_AREA + AREA_HEIGHT + BELOW_AREA;
    put_head(out, head, HEAD_HEIGHT + (double)panels * panel_height);
    double top = HEAD_HEIGHT + ABOVE_AREA;
    for (size_t i = 0; i < report->curves_count; i++) {
        if (begins_panel(report, i)) {
            put_panel(out, report, i, top);
            top += panel_height;
        }
    }
    (void)fputs("</svg>\n", out);
    return fflush(out) != 0 || ferror(out) ? rf_error_set(err, -EIO, "--plot: cannot write") : 0;
}
