/* SPDX-License-Identifier: MIT */
#include "bench/report.h"

#include <errno.h>
#include <math.h>
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

typedef int print_function(const struct rf_bench_report *report, FILE *out, struct rf_error *err);

/* The caller frees it. */
static char *print(print_function *function)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    struct rf_error err = {0};
    assert_int_equal(function(&samples.report, out, &err), 0);
    assert_int_equal(fclose(out), 0);
    return text;
}

static json_t *print_and_parse(void)
{
    char *text = print(rf_bench_report_json);
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fail_msg("%s in: %s", error.text, text);
    }
    free(text);
    return root;
}

static double number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static bool is_near(double value, double expected)
{
    return fabs(value - expected) <= fabs(expected) * 1e-6;
}

/* One result of known figures: 1000 latencies of 1 to 1000 us. */
static struct bench_result *add_known(void)
{
    struct bench_result *result =
        bench_samples_add(&samples, "registry", "uring", 8, 64, 13900123.25);
    for (uint64_t i = 1; i <= 1000; i++) {
        rf_histogram_record(result->latencies, i * 1000);
    }
    result->errors = 3;
    result->checked = 900;
    result->skipped = 100;
    result->ratio = 0.934;
    return result;
}

/* ---- JSON ---- */

static void json_has_the_fields_that_were_promised(void **state)
{
    (void)state;
    (void)add_known();
    json_t *root = print_and_parse();
    assert_string_equal(json_string_value(json_object_get(root, "command")),
                        "regbench compare --rounds 5 > 'a & b'");
    assert_non_null(json_object_get(json_object_get(root, "environment"), "warnings"));
    assert_int_equal(json_array_size(json_object_get(root, "results")), 1);
    assert_int_equal(json_array_size(json_object_get(root, "ratios")), 0);
    const json_t *result = json_array_get(json_object_get(root, "results"), 0);
    assert_string_equal(json_string_value(json_object_get(result, "name")), "registry");
    assert_string_equal(json_string_value(json_object_get(result, "engine")), "uring");
    assert_int_equal(number(result, "connections"), 8);
    assert_int_equal(number(result, "depth"), 64);
    assert_int_equal(number(result, "threads"), 1);
    assert_true(is_near(number(result, "requests_per_second"), 13900123.25));
    assert_int_equal(number(result, "errors"), 3);
    assert_int_equal(number(result, "checked"), 900);
    assert_true(is_near(number(result, "ratio"), 0.934));
    assert_true(json_is_null(json_object_get(result, "rate")));
    /* Exact, or up to 1/128 above. */
    assert_true(number(result, "p50_us") >= 500 && number(result, "p50_us") <= 504);
    assert_true(number(result, "p99_us") >= 990 && number(result, "p99_us") <= 998);
    assert_true(number(result, "p999_us") >= 999 && number(result, "p999_us") <= 1000);
    assert_true(is_near(number(result, "max_us"), 1000));
    assert_true(is_near(number(result, "min_us"), 1));
    json_decref(root);
}

static void a_server_without_an_engine_has_null(void **state)
{
    (void)state;
    (void)bench_samples_add(&samples, "redis", NULL, 8, 1, 180e3);
    json_t *root = print_and_parse();
    const json_t *result = json_array_get(json_object_get(root, "results"), 0);
    assert_true(json_is_null(json_object_get(result, "engine")));
    assert_string_equal(json_string_value(json_object_get(result, "client_engine")), "uring");
    assert_true(json_is_null(json_object_get(result, "ratio")));
    assert_true(number(result, "max_us") <= 0);
    json_decref(root);
}

static void a_rate_that_is_no_number_is_null(void **state)
{
    (void)state;
    struct bench_result *result = bench_samples_add(&samples, "registry", "uring", 1, 1, 1);
    result->requests_per_second = (double)INFINITY;
    result->requests_per_second_min = (double)NAN;
    json_t *root = print_and_parse();
    const json_t *object = json_array_get(json_object_get(root, "results"), 0);
    assert_true(json_is_null(json_object_get(object, "requests_per_second")));
    assert_true(json_is_null(json_object_get(object, "requests_per_second_min")));
    json_decref(root);
}

static void a_command_of_any_bytes_is_valid_json(void **state)
{
    (void)state;
    (void)add_known();
    samples.report.command = "regbench --plot \xff\x01\"x\\\n";
    json_t *root = print_and_parse();
    assert_string_equal(json_string_value(json_object_get(root, "command")),
                        "regbench --plot ?\?\"x\\?");
    json_decref(root);
}

static void json_without_results_has_empty_arrays(void **state)
{
    (void)state;
    json_t *root = print_and_parse();
    assert_int_equal(json_array_size(json_object_get(root, "results")), 0);
    assert_true(json_is_array(json_object_get(root, "ratios")));
    json_decref(root);
}

/* ---- CSV ---- */

static size_t count_fields(const char *line)
{
    size_t count = 1;
    for (; *line != '\0' && *line != '\n'; line++) {
        count += *line == ',';
    }
    return count;
}

static void csv_has_one_line_of_names_and_one_for_each_result(void **state)
{
    (void)state;
    (void)add_known();
    (void)bench_samples_add(&samples, "redis", NULL, 8, 1, 180e3);
    char *text = print(rf_bench_report_csv);
    const char *first = strchr(text, '\n') + 1;
    const char *second = strchr(first, '\n') + 1;
    assert_int_equal(strncmp(text, "name,engine,connections,depth,threads,", 38), 0);
    assert_int_equal(strncmp(first, "registry,uring,8,64,1,", 22), 0);
    assert_int_equal(strncmp(second, "redis,,8,1,1,", 13), 0);
    assert_int_equal(count_fields(text), count_fields(first));
    assert_int_equal(count_fields(text), count_fields(second));
    assert_non_null(strstr(first, ",13900123.25,"));
    assert_string_equal(strchr(second, '\n'), "\n");

    /* As many names as a result has in JSON. */
    json_t *root = print_and_parse();
    assert_int_equal(count_fields(text),
                     json_object_size(json_array_get(json_object_get(root, "results"), 0)));
    json_decref(root);
    free(text);
}

static void csv_without_results_is_empty(void **state)
{
    (void)state;
    char *text = print(rf_bench_report_csv);
    assert_string_equal(text, "");
    free(text);
}

/* ---- ratios ---- */

static size_t count_ratios(struct rf_bench_ratio *ret_last)
{
    size_t count = 0;
    for (size_t position = 0; rf_bench_report_next_ratio(&samples.report, &position, ret_last);) {
        count++;
    }
    return count;
}

static void a_registry_is_compared_with_its_engines_ceiling_and_all_peers(void **state)
{
    (void)state;
    bench_samples_fill(&samples);
    struct rf_bench_ratio ratio;
    /* Of five loads: uring over its ceiling and redis, whose generator is of uring too; epoll over
     * its ceiling. And one in the open loop. */
    assert_int_equal(count_ratios(&ratio), 5 * 3 + 1);
    for (size_t position = 0; rf_bench_report_next_ratio(&samples.report, &position, &ratio);) {
        assert_string_equal(ratio.result->name, "registry");
        assert_string_not_equal(ratio.other->name, "registry");
        assert_int_equal(ratio.result->depth, ratio.other->depth);
        assert_int_equal(ratio.result->connections, ratio.other->connections);
        assert_string_equal(ratio.result->client_engine, ratio.other->client_engine);
        assert_true(is_near(ratio.result->rate, ratio.other->rate));
    }
}

static void different_loads_are_never_compared(void **state)
{
    (void)state;
    struct rf_bench_ratio ratio;
    (void)bench_samples_add(&samples, "ceiling", "uring", 8, 64, 10e6);
    struct bench_result *result = bench_samples_add(&samples, "registry", "uring", 8, 64, 9e6);
    assert_int_equal(count_ratios(&ratio), 1);
    const struct bench_result same = *result;
    result->connections = 9;
    assert_int_equal(count_ratios(&ratio), 0);
    *result = same;
    result->depth = 63;
    assert_int_equal(count_ratios(&ratio), 0);
    *result = same;
    result->threads = 2;
    assert_int_equal(count_ratios(&ratio), 0);
    *result = same;
    result->keys_per_request = 64;
    assert_int_equal(count_ratios(&ratio), 0);
    *result = same;
    result->busy_poll = true;
    assert_int_equal(count_ratios(&ratio), 0);
    *result = same;
    result->rate = 1;
    assert_int_equal(count_ratios(&ratio), 0);
    *result = same;
    result->engine = "epoll";
    assert_int_equal(count_ratios(&ratio), 0);
    *result = same;
    result->client_engine = "epoll";
    assert_int_equal(count_ratios(&ratio), 0);
}

static void ratios_are_of_throughput_and_of_each_quantile(void **state)
{
    (void)state;
    struct rf_bench_ratio ratio;
    struct bench_result *ceiling = bench_samples_add(&samples, "ceiling", "uring", 1, 1, 200);
    struct bench_result *result = bench_samples_add(&samples, "registry", "uring", 1, 1, 100);
    rf_histogram_add(ceiling->latencies, 100, 989);
    rf_histogram_add(ceiling->latencies, 120, 11);
    rf_histogram_add(result->latencies, 150, 989);
    rf_histogram_add(result->latencies, 240, 11);
    assert_int_equal(count_ratios(&ratio), 1);
    assert_true(is_near(ratio.requests_per_second, 0.5));
    assert_true(is_near(ratio.p50, 1.5));
    assert_true(is_near(ratio.p99, 2));
    assert_true(is_near(ratio.p999, 2));
    /* The measured ratio, of rounds that took turns, counts before that of the medians. */
    result->ratio = 0.6;
    assert_int_equal(count_ratios(&ratio), 1);
    assert_true(is_near(ratio.requests_per_second, 0.6));
    /* It is to the ceiling only. */
    ceiling->name = "memcached";
    assert_int_equal(count_ratios(&ratio), 1);
    assert_true(is_near(ratio.requests_per_second, 0.5));
}

static void nothing_measured_has_no_ratio(void **state)
{
    (void)state;
    struct rf_bench_ratio ratio;
    (void)bench_samples_add(&samples, "ceiling", "uring", 1, 1, 0);
    (void)bench_samples_add(&samples, "registry", "uring", 1, 1, 0);
    assert_int_equal(count_ratios(&ratio), 1);
    assert_true(ratio.requests_per_second <= 0 && ratio.p50 <= 0 && ratio.p99 <= 0);
    json_t *root = print_and_parse();
    const json_t *object = json_array_get(json_object_get(root, "ratios"), 0);
    assert_true(json_is_null(json_object_get(object, "requests_per_second")));
    assert_string_equal(json_string_value(json_object_get(object, "over")), "ceiling");
    json_decref(root);
}

/* ---- the table ---- */

static void the_table_is_for_people(void **state)
{
    (void)state;
    (void)add_known();
    (void)bench_samples_add(&samples, "redis", NULL, 8, 64, 1.5e6);
    char *text = print(rf_bench_report_table);
    assert_non_null(strstr(text, "command  regbench compare --rounds 5 > 'a & b'\n"));
    assert_non_null(strstr(text, "\nwarning  a virtual machine"));
    assert_non_null(strstr(text, "\nchecked  900 answers; 100 more could not be\n"));
    static const char row[] = "\nregistry  uring   uring   8 x 64        1  13 900 123      5.0   "
                              "501.8   991.2     999.4  1000.0       3        0.93\n";
    assert_non_null(strstr(text, row));
    assert_non_null(
        strstr(text, "\nregistry  uring   redis  8 x 64        9.27    -    -      -\n"));
    free(text);
}

static void one_round_has_no_range(void **state)
{
    (void)state;
    add_known()->rounds = 1;
    char *text = print(rf_bench_report_table);
    assert_non_null(strstr(text, " 13 900 123        -   501.8"));
    free(text);
}

static void rounds_that_lie_far_apart_are_warned_of(void **state)
{
    (void)state;
    struct bench_result *result = add_known();
    result->requests_per_second_min = result->requests_per_second * 0.9;
    result->requests_per_second_max = result->requests_per_second * 1.09;
    char *text = print(rf_bench_report_table);
    assert_null(strstr(text, "not quiet"));
    free(text);
    result->requests_per_second_max = result->requests_per_second * 1.4;
    (void)bench_samples_add(&samples, "redis", NULL, 8, 64, 1.5e6);
    text = print(rf_bench_report_table);
    assert_non_null(strstr(text,
                           "\nwarning  rounds of 1 of 2 rows lie more than 20 % apart, 50 % at "
                           "worst: the machine was not quiet\n"));
    free(text);
}

static void rows_of_a_table_are_equally_long(void **state)
{
    (void)state;
    bench_samples_fill(&samples);
    struct bench_result *wide = &samples.results[0];
    wide->errors = UINT64_MAX;
    wide->requests_per_second = 1e15;
    wide->keys_per_request = UINT32_MAX;
    wide->busy_poll = true;
    char *text = print(rf_bench_report_table);
    size_t rows = 0;
    size_t length = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "server ", 7) == 0) {
            length = strlen(line); /* a table begins */
        } else if (length > 0 && strncmp(line, "checked", 7) != 0 &&
                   strncmp(line, "warning", 7) != 0) {
            assert_int_equal(strlen(line), length);
            rows++;
        }
    }
    assert_int_equal(rows, samples.report.results_count + 15);
    free(text);
}

static void a_load_is_named_by_all_that_is_unusual(void **state)
{
    (void)state;
    char text[RF_BENCH_LOAD_TEXT_SIZE];
    struct bench_result *result = bench_samples_add(&samples, "registry", "uring", 8, 64, 1);
    assert_string_equal(rf_bench_report_load_text(result, text), "8 x 64");
    result->keys_per_request = 32;
    assert_string_equal(rf_bench_report_load_text(result, text), "8 x 64 x 32 keys");
    result->rate = 200000;
    result->busy_poll = true;
    assert_string_equal(rf_bench_report_load_text(result, text),
                        "8 x 64 x 32 keys at 200000/s spin");
}

static void a_full_disk_is_an_error_in_every_form(void **state)
{
    (void)state;
    bench_samples_fill(&samples);
    print_function *const functions[] = {rf_bench_report_table, rf_bench_report_json,
                                         rf_bench_report_csv};
    for (size_t i = 0; i < 3; i++) {
        struct rf_error err = {0};
        FILE *out = fopen("/dev/full", "we");
        assert_non_null(out);
        assert_int_equal(functions[i](&samples.report, out, &err), -EIO);
        assert_non_null(strstr(err.text, "cannot write"));
        (void)fclose(out); /* fails again */
    }
}

int main(void)
{
#define REPORT_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        REPORT_TEST(json_has_the_fields_that_were_promised),
        REPORT_TEST(a_server_without_an_engine_has_null),
        REPORT_TEST(a_rate_that_is_no_number_is_null),
        REPORT_TEST(a_command_of_any_bytes_is_valid_json),
        REPORT_TEST(json_without_results_has_empty_arrays),
        REPORT_TEST(csv_has_one_line_of_names_and_one_for_each_result),
        REPORT_TEST(csv_without_results_is_empty),
        REPORT_TEST(a_registry_is_compared_with_its_engines_ceiling_and_all_peers),
        REPORT_TEST(different_loads_are_never_compared),
        REPORT_TEST(ratios_are_of_throughput_and_of_each_quantile),
        REPORT_TEST(nothing_measured_has_no_ratio),
        REPORT_TEST(the_table_is_for_people),
        REPORT_TEST(one_round_has_no_range),
        REPORT_TEST(rounds_that_lie_far_apart_are_warned_of),
        REPORT_TEST(rows_of_a_table_are_equally_long),
        REPORT_TEST(a_load_is_named_by_all_that_is_unusual),
        REPORT_TEST(a_full_disk_is_an_error_in_every_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
