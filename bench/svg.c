/* SPDX-License-Identifier: MIT */
#include "bench/svg.h"

#include <math.h>

/*
 * Colours that people with any usual kind of colour blindness tell apart ("Points of view: Color
 * blindness", Nature Methods 8, 2011), without its yellow, which a white page swallows, and with a
 * grey. Marker and dashes differ too, so that a grey print is enough: 24 curves are unlike each
 * other.
 */
static const char *const colours[] = {"#000000", "#d55e00", "#0072b2", "#009e73",
                                      "#cc79a7", "#e69f00", "#56b4e9", "#777777"};
static const char *const dashes[] = {"none", "7 3", "2 3"};
enum { COLOURS = 8, MARKERS = 4, DASHES = 3 };

double rf_svg_place(const struct rf_svg_scale *scale, double value)
{
    return scale->from +
           log10(value / scale->low) / log10(scale->high / scale->low) * (scale->to - scale->from);
}

/* Of 1, 2 and 5 times powers of ten, the greatest not above `value`, which is above 0. A little
 * more than the value, for what log10 and pow are off. */
double rf_svg_nice_below(double value)
{
    const double power = pow(10, floor(log10(value * 1.000001)));
    const double digit = value * 1.000001 / power;
    return power * (digit >= 5 ? 5 : digit >= 2 ? 2 : 1);
}

double rf_svg_nice_after(double nice)
{
    const double power = pow(10, floor(log10(nice * 1.000001)));
    const double digit = nice * 1.000001 / power;
    return digit >= 5 ? power * 10 : digit >= 2 ? power * 5 : power * 2;
}

void rf_svg_widen(struct rf_svg_range *range, double value)
{
    if (range->high <= 0) {
        range->low = range->high = value;
    }
    range->low = value < range->low ? value : range->low;
    range->high = value > range->high ? value : range->high;
}

/* ---- drawing ---- */

static void put_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        default:
            (void)fputc(*text, out);
        }
    }
}

void rf_svg_text(FILE *out, double x, double y, enum rf_svg_anchor anchor, const char *kind,
                 const char *text)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    (void)fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y,
                  anchors[anchor], kind);
    put_escaped(out, text);
    (void)fputs("</text>\n", out);
}

void rf_svg_line(FILE *out, const char *kind, double x1, double y1, double x2, double y2)
{
    (void)fprintf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                  kind, x1, y1, x2, y2);
}

void rf_svg_marker(FILE *out, size_t series, double x, double y)
{
    static const char *const shapes[MARKERS] = {
        "m-3.5,0a3.5,3.5 0 1 0 7,0a3.5,3.5 0 1 0 -7,0z",
        "m-3,-3h6v6h-6z",
        "m0,-4.5l4.5,4.5l-4.5,4.5l-4.5,-4.5z",
        "m0,-4l4,7h-8z",
    };
    (void)fprintf(out, "<path fill=\"%s\" d=\"M%.1f,%.1f%s\"/>\n", colours[series % COLOURS], x, y,
                  shapes[series % MARKERS]);
}

/* Points follow; end_curve ends it. */
void rf_svg_curve_begin(FILE *out, size_t series)
{
    (void)fprintf(out, "<polyline class=\"curve\" stroke=\"%s\" stroke-dasharray=\"%s\" points=\"",
                  colours[series % COLOURS], dashes[series / MARKERS % DASHES]);
}

void rf_svg_point(FILE *out, double x, double y)
{
    (void)fprintf(out, "%.1f,%.1f ", x, y);
}

void rf_svg_curve_end(FILE *out)
{
    (void)fputs("\"/>\n", out);
}
