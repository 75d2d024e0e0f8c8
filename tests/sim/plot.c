/* SPDX-License-Identifier: MIT
 *
 * plot.c - the curves of a report as an SVG: a panel for each kind, the same colour for one name.
 */
#include <errno.h>

#include "tests/sim/report.h"

int rf_report_svg(const struct rf_report *report, const struct rf_report_head *head, FILE *out,
                  struct rf_error *err)
{
    (void)head;
    (void)out;
    return rf_error_set(err, -EINVAL, "plot: %zu curves", report->curves_count);
}
