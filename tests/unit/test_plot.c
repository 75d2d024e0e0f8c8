/* SPDX-License-Identifier: MIT */
#include "bench/plot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/bench_results.h"

static struct bench_samples samples;

static int begin(void **state)
{
    (void)state;
    return bench_samples_init(&samples) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    bench_samples_fini(&samples);
    return 0;
}

/* The caller frees it. */
static char *draw(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    struct rf_error err = {0};
    assert_int_equal(rf_bench_plot_svg(&samples.report, out, &err), 0);
    assert_int_equal(fclose(out), 0);
    return text;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) {
        count++;
    }
    return count;
}

/* By a parser that is not ours. It also looks for coordinates that are no numbers or off the page.
 */
static void expect_well_formed(const char *svg)
{
    static const char program[] =
        "python3 -c '\n"
        "import re, sys, xml.etree.ElementTree as tree\n"
        "root = tree.parse(sys.stdin).getroot()\n"
        "width, height = float(root.get(\"width\")), float(root.get(\"height\"))\n"
        "assert root.tag.endswith(\"}svg\"), root.tag\n"
        "for e in root.iter():\n"
        "    for x in (\"x\", \"x1\", \"x2\"):\n"
        "        assert 0 <= float(e.get(x, 0)) <= width, e.attrib\n"
        "    for y in (\"y\", \"y1\", \"y2\"):\n"
        "        assert 0 <= float(e.get(y, 0)) <= height, e.attrib\n"
        "    for point in e.get(\"points\", \"\").split():\n"
        "        x, y = map(float, point.split(\",\"))\n"
        "        assert 0 <= x <= width and 0 <= y <= height, point\n"
        "'";
    FILE *parser = popen(program, "we");
    assert_non_null(parser);
    assert_true(fputs(svg, parser) >= 0);
    assert_int_equal(pclose(parser), 0);
}

static void a_comparison_is_well_formed_and_on_the_page(void **state)
{
    (void)state;
    bench_samples_fill(&samples);
    char *svg = draw();
    expect_well_formed(svg);
    /* Three numbers of connections, five closed loads, an open one. */
    assert_int_equal(count_of(svg, ">Throughput: "), 3);
    assert_int_equal(count_of(svg, ">Latency: "), 6);
    assert_int_equal(count_of(svg, "class=\"legend\""), 5);
    /* Five entries, five series in each of three panels, five in five, and two. */
    assert_int_equal(count_of(svg, "<polyline"), 5 + 15 + 25 + 2);
    assert_non_null(strstr(svg, ">Latency: 8 x 64 in flight, 200000 requests/s<"));
    assert_non_null(strstr(svg, "Some CPU &lt;3 &amp; more"));
    assert_non_null(strstr(svg, "&gt; 'a &amp; b'"));
    free(svg);
}

static void a_point_stands_as_high_as_its_throughput(void **state)
{
    (void)state;
    /* The axis goes from 100 k to 10 M: 1 M is in the middle, and so is depth 16 of 4 to 64. */
    (void)bench_samples_add(&samples, "registry", "uring", 8, 64, 10e6);
    (void)bench_samples_add(&samples, "registry", "uring", 8, 4, 100e3);
    (void)bench_samples_add(&samples, "registry", "uring", 8, 16, 1e6);
    char *svg = draw();
    const char *curve = strstr(strstr(svg, ">Throughput: "), "<polyline");
    assert_non_null(curve);
    double x[3] = {0};
    double y[3] = {0};
    const char *points = strstr(curve, "points=\"");
    assert_non_null(points);
    /* Sorted by depth, though they came in another order. */
    char *at = NULL;
    points += strlen("points=\"");
    for (int i = 0; i < 3; i++) {
        x[i] = strtod(points, &at);
        assert_int_equal(*at, ',');
        y[i] = strtod(at + 1, &at);
        points = at;
    }
    assert_true(x[0] < x[1] && x[1] < x[2] && y[0] > y[1] && y[1] > y[2]);
    assert_true((x[0] + x[2]) / 2 - x[1] < 0.11 && x[1] - (x[0] + x[2]) / 2 < 0.11);
    assert_true((y[0] + y[2]) / 2 - y[1] < 0.11 && y[1] - (y[0] + y[2]) / 2 < 0.11);
    free(svg);
}

static void a_curve_ends_where_its_samples_do(void **state)
{
    (void)state;
    bench_samples_record(bench_samples_add(&samples, "registry", "uring", 1, 1, 1e5), 1000, 999);
    char *svg = draw();
    /* Markers: the legend's, the throughput's, the 50th, the 90th, the 99th, but not the 99.9th. */
    assert_int_equal(count_of(svg, "<path"), 1 + 1 + 3);
    free(svg);
    bench_samples_record(&samples.results[0], 1000, 1);
    svg = draw();
    assert_int_equal(count_of(svg, "<path"), 1 + 1 + 4);
    free(svg);
}

static void nothing_answered_is_said_in_the_panel(void **state)
{
    (void)state;
    (void)bench_samples_add(&samples, "registry", "epoll", 8, 64, 0);
    char *svg = draw();
    expect_well_formed(svg);
    assert_int_equal(count_of(svg, "nothing was answered"), 2);
    assert_int_equal(count_of(svg, "nan"), 0);
    assert_int_equal(count_of(svg, "inf"), 0);
    free(svg);
}

static void extremes_stay_on_the_page(void **state)
{
    (void)state;
    struct bench_result *result =
        bench_samples_add(&samples, "registry", "uring", UINT32_MAX, UINT32_MAX, 1);
    rf_histogram_record(result->latencies, 0);
    rf_histogram_record(result->latencies, UINT64_MAX);
    result = bench_samples_add(&samples, "ceiling", "uring", UINT32_MAX, 1, 1e12);
    rf_histogram_record(result->latencies, 5);
    result->keys_per_request = UINT32_MAX;
    result->busy_poll = true;
    result = bench_samples_add(&samples, "ceiling", "uring", 1, 1, 1e12);
    result->rate = 1e300;
    rf_histogram_record(result->latencies, 5);
    memset(samples.environment.cpu, '&', sizeof(samples.environment.cpu) - 1);
    samples.report.command = "\x01\xff<!-- \"'";
    char *svg = draw();
    expect_well_formed(svg);
    assert_int_equal(count_of(svg, "nan"), 0);
    free(svg);
}

static void every_series_looks_different(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 24; i++) {
        bench_samples_add(&samples, "registry", "uring", 1, 1, 1e5 + i)->keys_per_request = i + 1;
    }
    char *svg = draw();
    /* The legend comes first: colour and dashes of each entry. */
    char styles[24][128];
    const char *at = svg;
    for (int i = 0; i < 24; i++) {
        at = strstr(at, "<polyline");
        assert_non_null(at);
        (void)snprintf(styles[i], sizeof(styles[i]), "%.*s", (int)strcspn(at, "p") + 70, at);
        *strstr(styles[i], " points") = '\0';
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(styles[i], styles[j]);
        }
        at++;
    }
    free(svg);
}

static void a_disturbed_series_is_another_one_and_says_so(void **state)
{
    (void)state;
    (void)bench_samples_add(&samples, "registry", "uring", 8, 64, 2e6);
    bench_samples_add(&samples, "registry", "uring", 8, 64, 1e6)->disturbance = "10000 idle";
    char *svg = draw();
    expect_well_formed(svg);
    assert_int_equal(count_of(svg, "class=\"legend\""), 2);
    assert_int_equal(count_of(svg, ">registry uring<"), 1);
    assert_int_equal(count_of(svg, ">registry uring, 10000 idle<"), 1);
    free(svg);
}

static void no_results_are_refused(void **state)
{
    (void)state;
    struct rf_error err = {0};
    FILE *out = fopen("/dev/null", "we");
    assert_non_null(out);
    assert_int_equal(rf_bench_plot_svg(&samples.report, out, &err), -EINVAL);
    assert_non_null(strstr(err.text, "0 results"));
    assert_int_equal(fclose(out), 0);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    bench_samples_fill(&samples);
    struct rf_error err = {0};
    FILE *out = fopen("/dev/full", "we");
    assert_non_null(out);
    assert_int_equal(rf_bench_plot_svg(&samples.report, out, &err), -EIO);
    (void)fclose(out); /* fails again */
}

int main(int argc, char **argv)
{
    if (argc == 2 && begin(NULL) == 0) { /* test_plot FILE draws it there, to be looked at */
        bench_samples_fill(&samples);
        FILE *out = fopen(argv[1], "we");
        const bool is_drawn = out != NULL && rf_bench_plot_svg(&samples.report, out, NULL) == 0;
        return out == NULL || fclose(out) != 0 || !is_drawn || end(NULL) != 0;
    }
#define DRAWING_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        DRAWING_TEST(a_comparison_is_well_formed_and_on_the_page),
        DRAWING_TEST(a_point_stands_as_high_as_its_throughput),
        DRAWING_TEST(a_curve_ends_where_its_samples_do),
        DRAWING_TEST(nothing_answered_is_said_in_the_panel),
        DRAWING_TEST(extremes_stay_on_the_page),
        DRAWING_TEST(every_series_looks_different),
        DRAWING_TEST(a_disturbed_series_is_another_one_and_says_so),
        DRAWING_TEST(no_results_are_refused),
        DRAWING_TEST(a_full_disk_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
