/* SPDX-License-Identifier: MIT
 *
 * plot.h - a picture of a report: an SVG that needs nothing but a browser.
 */
#ifndef RF_BENCH_PLOT_H
#define RF_BENCH_PLOT_H

#include "bench/report.h"

/*
 * Draws small panels that share colours and one legend: for each load the latency at each
 * percentile, on a log scale of 1 / (1 - p) where 99, 99.9 and 99.99 are as far apart; and for each
 * number of connections, closed loops only, the throughput against the depth. A curve ends where
 * the number of requests does not support the next percentile.
 *
 * Errors: -EIO; -EINVAL there is no result to draw.
 */
RF_NODISCARD int rf_bench_plot_svg(const struct rf_bench_report *report, FILE *out,
                                   struct rf_error *err);

#endif
