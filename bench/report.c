/* SPDX-License-Identifier: MIT */
#include "bench/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/histogram.h"

/* Digits of a number in JSON and CSV: 40 million a second to a hundredth, 68 s in us to 10 ns. */
#define REAL_DIGITS JSON_REAL_PRECISION(10)

/* ---- comparing ---- */

static bool is_same_load(const struct bench_result *a, const struct bench_result *b)
{
    /* Rates are as the user gave them, not computed: equal ones are equal to the bit. */
    return a->connections == b->connections && a->depth == b->depth && a->threads == b->threads &&
           a->keys_per_request == b->keys_per_request && a->busy_poll == b->busy_poll &&
           a->rate == b->rate && strcmp(a->client_engine, b->client_engine) == 0;
}

static bool is_same_engine(const struct bench_result *a, const struct bench_result *b)
{
    return a->engine != NULL && b->engine != NULL && strcmp(a->engine, b->engine) == 0;
}

static bool is_ceiling(const struct bench_result *result)
{
    return strcmp(result->name, "ceiling") == 0;
}

static bool is_registry(const struct bench_result *result)
{
    return strcmp(result->name, "registry") == 0;
}

/* A registry with what is not one, or a disturbed one with itself in quiet. */
static bool is_pair(const struct bench_result *result, const struct bench_result *other)
{
    if (!is_registry(result) || !is_same_load(result, other) || other->disturbance != NULL) {
        return false;
    }
    if (is_registry(other)) {
        return result->disturbance != NULL && is_same_engine(result, other);
    }
    return !is_ceiling(other) || is_same_engine(result, other);
}

static const char *name_of_other(const struct rf_bench_ratio *ratio)
{
    return is_registry(ratio->other) ? "quiet" : ratio->other->name;
}

static double quotient(double value, double other)
{
    return other > 0 ? value / other : 0;
}

static double quantile_quotient(const struct bench_result *result, const struct bench_result *other,
                                uint32_t ppm)
{
    return quotient((double)rf_histogram_quantile_ns(result->latencies, ppm),
                    (double)rf_histogram_quantile_ns(other->latencies, ppm));
}

bool rf_bench_report_next_ratio(const struct rf_bench_report *report, size_t *position,
                                struct rf_bench_ratio *ret_ratio)
{
    const size_t count = report->results_count;
    for (; *position < count * count; (*position)++) {
        const struct bench_result *result = &report->results[*position / count];
        const struct bench_result *other = &report->results[*position % count];
        if (is_pair(result, other)) {
            (*position)++;
            const double throughput =
                quotient(result->requests_per_second, other->requests_per_second);
            *ret_ratio = (struct rf_bench_ratio){
                .result = result,
                .other = other,
                .requests_per_second =
                    is_ceiling(other) && result->ratio > 0 ? result->ratio : throughput,
                .p50 = quantile_quotient(result, other, 500000),
                .p99 = quantile_quotient(result, other, 990000),
                .p999 = quantile_quotient(result, other, 999000),
            };
            return true;
        }
    }
    return false;
}

const char *rf_bench_report_load_text(const struct bench_result *result,
                                      char text[RF_BENCH_LOAD_TEXT_SIZE])
{
    char keys[24] = "";
    char rate[24] = "";
    char disturbance[RF_BENCH_LOAD_TEXT_SIZE] = "";
    if (result->keys_per_request > 1) {
        (void)snprintf(keys, sizeof(keys), " x %u keys", result->keys_per_request);
    }
    if (result->rate > 0) {
        (void)snprintf(rate, sizeof(rate), " at %.0f/s", result->rate);
    }
    if (result->disturbance != NULL) {
        (void)snprintf(disturbance, sizeof(disturbance), ", %s", result->disturbance);
    }
    int size = snprintf(text, RF_BENCH_LOAD_TEXT_SIZE, "%u x %u%s%s%s%s", result->connections,
                        result->depth, keys, rate, result->busy_poll ? " spin" : "", disturbance);
    (void)size; /* a text is cut where it is too long */
    return text;
}

/* ---- a table with columns as wide as they need ---- */

enum { CELL_SIZE = RF_BENCH_LOAD_TEXT_SIZE, COLUMNS_MAX = 16 };

struct table {
    char (*cells)[CELL_SIZE]; /* [rows_max * columns] */
    size_t rows_max, columns;
    size_t left; /* so many columns from the first are aligned to the left, being names */
    size_t rows;
};

static int table_init(struct table *table, size_t rows_max, const char *const *headings,
                      size_t columns, size_t left)
{
    *table = (struct table){.rows_max = rows_max + 1, .columns = columns, .left = left, .rows = 1};
    table->cells = calloc(table->rows_max * columns, sizeof(table->cells[0]));
    if (table->cells == NULL) {
        return -ENOMEM;
    }
    for (size_t c = 0; c < columns; c++) {
        (void)snprintf(table->cells[c], CELL_SIZE, "%s", headings[c]);
    }
    return 0;
}

static void table_fini(struct table *table)
{
    free(table->cells);
}

static char *table_cell(const struct table *table, size_t row, size_t column)
{
    return table->cells[row * table->columns + column];
}

static void table_print(const struct table *table, FILE *out)
{
    int widths[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        const int width = (int)strlen(table->cells[i]);
        int *widest = &widths[i % table->columns];
        *widest = width > *widest ? width : *widest;
    }
    for (size_t r = 0; r < table->rows; r++) {
        for (size_t c = 0; c < table->columns; c++) {
            (void)fprintf(out, c < table->left ? "%s%-*s" : "%s%*s", c == 0 ? "" : "  ", widths[c],
                          table_cell(table, r, c));
        }
        (void)fputc('\n', out);
    }
}

/* 13900123 as "13 900 123". */
static void put_grouped(char *cell, double value)
{
    char digits[CELL_SIZE / 2];
    const int length = snprintf(digits, sizeof(digits), "%.0f", value);
    size_t at = 0;
    for (int i = 0; i < length && at + 2 < CELL_SIZE; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            cell[at++] = ' ';
        }
        cell[at++] = digits[i];
    }
    cell[at] = '\0';
}

static void put_ratio(char *cell, double ratio)
{
    (void)snprintf(cell, CELL_SIZE, ratio > 0 ? "%.2f" : "-", ratio);
}

static void put_us(char *cell, uint64_t ns)
{
    (void)snprintf(cell, CELL_SIZE, "%.1f", (double)ns / 1000);
}

static void put_name(char *cell, const char *name)
{
    (void)snprintf(cell, CELL_SIZE, "%s", name == NULL ? "-" : name);
}

/* How far the rounds lie apart, over their median. */
static double range_of(const struct bench_result *result)
{
    return quotient(result->requests_per_second_max - result->requests_per_second_min,
                    result->requests_per_second);
}

/* One round alone tells nothing. */
static void put_range(char *cell, const struct bench_result *result)
{
    (void)snprintf(cell, CELL_SIZE, result->rounds > 1 ? "%.1f" : "-", 100 * range_of(result));
}

/* What the environment cannot know beforehand: whether it stayed quiet. */
static void print_unsteady(const struct rf_bench_report *report, FILE *out)
{
    static const double steady = 0.2; /* a quiet machine's rounds are within some percent */
    size_t count = 0;
    double worst = 0;
    for (size_t i = 0; i < report->results_count; i++) {
        const double range = range_of(&report->results[i]);
        count += range > steady;
        worst = range > worst ? range : worst;
    }
    if (count > 0) {
        (void)fprintf(out,
                      "warning  rounds of %zu of %zu rows lie more than 20 %% apart, %.0f %% at "
                      "worst: the machine was not quiet\n",
                      count, report->results_count, worst * 100);
    }
}

static void add_result(struct table *table, const struct bench_result *result)
{
    const size_t row = table->rows++;
    size_t c = 0;
    put_name(table_cell(table, row, c++), result->name);
    put_name(table_cell(table, row, c++), result->engine);
    put_name(table_cell(table, row, c++), result->client_engine);
    (void)rf_bench_report_load_text(result, table_cell(table, row, c++));
    (void)snprintf(table_cell(table, row, c++), CELL_SIZE, "%u", result->threads);
    put_grouped(table_cell(table, row, c++), result->requests_per_second);
    put_range(table_cell(table, row, c++), result);
    put_us(table_cell(table, row, c++), rf_histogram_quantile_ns(result->latencies, 500000));
    put_us(table_cell(table, row, c++), rf_histogram_quantile_ns(result->latencies, 990000));
    put_us(table_cell(table, row, c++), rf_histogram_quantile_ns(result->latencies, 999000));
    put_us(table_cell(table, row, c++), rf_histogram_max_ns(result->latencies));
    put_grouped(table_cell(table, row, c++), (double)result->errors);
    put_ratio(table_cell(table, row, c++), result->ratio);
}

static int print_results(const struct rf_bench_report *report, FILE *out)
{
    static const char *const headings[] = {
        "server", "engine", "client",   "load",   "threads", "requests/s", "range %",
        "p50 us", "p99 us", "p99.9 us", "max us", "errors",  "of ceiling",
    };
    struct table table;
    const int code = table_init(&table, report->results_count, headings,
                                sizeof(headings) / sizeof(headings[0]), 4);
    if (code < 0) {
        return code;
    }
    uint64_t checked = 0;
    uint64_t skipped = 0;
    for (size_t i = 0; i < report->results_count; i++) {
        add_result(&table, &report->results[i]);
        checked += report->results[i].checked;
        skipped += report->results[i].skipped;
    }
    table_print(&table, out);
    table_fini(&table);
    (void)fprintf(out, "checked  %llu answers; %llu more could not be\n",
                  (unsigned long long)checked, (unsigned long long)skipped);
    print_unsteady(report, out);
    return 0;
}

static void add_ratio(struct table *table, const struct rf_bench_ratio *ratio)
{
    const size_t row = table->rows++;
    size_t c = 0;
    put_name(table_cell(table, row, c++), ratio->result->name);
    put_name(table_cell(table, row, c++), ratio->result->engine);
    put_name(table_cell(table, row, c++), name_of_other(ratio));
    (void)rf_bench_report_load_text(ratio->result, table_cell(table, row, c++));
    put_ratio(table_cell(table, row, c++), ratio->requests_per_second);
    put_ratio(table_cell(table, row, c++), ratio->p50);
    put_ratio(table_cell(table, row, c++), ratio->p99);
    put_ratio(table_cell(table, row, c++), ratio->p999);
}

static int print_ratios(const struct rf_bench_report *report, FILE *out)
{
    static const char *const headings[] = {
        "server", "engine", "over", "load", "requests/s", "p50", "p99", "p99.9",
    };
    struct rf_bench_ratio ratio;
    size_t count = 0;
    for (size_t position = 0; rf_bench_report_next_ratio(report, &position, &ratio);) {
        count++;
    }
    if (count == 0) {
        return 0;
    }
    struct table table;
    const int code = table_init(&table, count, headings, sizeof(headings) / sizeof(headings[0]), 4);
    if (code < 0) {
        return code;
    }
    for (size_t position = 0; rf_bench_report_next_ratio(report, &position, &ratio);) {
        add_ratio(&table, &ratio);
    }
    (void)fputc('\n', out);
    table_print(&table, out);
    table_fini(&table);
    return 0;
}

/* ---- what the server's process took ---- */

static void put_mib(char *cell, uint64_t size)
{
    (void)snprintf(cell, CELL_SIZE, "%.1f", (double)size / (1024 * 1024));
}

static double change_us(const struct bench_usage *usage)
{
    return usage->changes_count == 0
               ? 0
               : (double)usage->publisher_ns / 1e3 / (double)usage->changes_count;
}

static void add_usage(struct table *table, const struct bench_result *result)
{
    const struct bench_usage *usage = &result->usage;
    const size_t row = table->rows++;
    size_t c = 0;
    put_name(table_cell(table, row, c++), result->engine);
    (void)rf_bench_report_load_text(result, table_cell(table, row, c++));
    put_mib(table_cell(table, row, c++), usage->resident_size);
    put_mib(table_cell(table, row, c++), usage->sockets_size);
    put_mib(table_cell(table, row, c++), usage->objects_size);
    (void)snprintf(table_cell(table, row, c++), CELL_SIZE, "%.3f", (double)usage->cpu_ns / 1e9);
    put_grouped(table_cell(table, row, c++), (double)usage->switches_count);
    put_grouped(table_cell(table, row, c++), (double)usage->changes_count);
    put_grouped(table_cell(table, row, c++), change_us(usage));
}

static int print_usage(const struct rf_bench_report *report, FILE *out)
{
    static const char *const headings[] = {
        "engine",   "load",    "server MiB",          "TCP MiB", "kernel MiB", "CPU s",
        "switches", "changes", "publisher us/change",
    };
    size_t count = 0;
    for (size_t i = 0; i < report->results_count; i++) {
        count += report->results[i].usage.resident_size > 0;
    }
    if (count == 0) {
        return 0;
    }
    struct table table;
    const int code = table_init(&table, count, headings, sizeof(headings) / sizeof(headings[0]), 2);
    if (code < 0) {
        return code;
    }
    for (size_t i = 0; i < report->results_count; i++) {
        if (report->results[i].usage.resident_size > 0) {
            add_usage(&table, &report->results[i]);
        }
    }
    (void)fputc('\n', out);
    table_print(&table, out);
    table_fini(&table);
    return 0;
}

/* ---- how soon watchers were told ---- */

static void put_ms(char *cell, uint64_t ns)
{
    (void)snprintf(cell, CELL_SIZE, "%.1f", (double)ns / 1e6);
}

static void add_told(struct table *table, const struct bench_result *result)
{
    const struct bench_told *told = &result->told;
    const size_t row = table->rows++;
    size_t c = 0;
    put_name(table_cell(table, row, c++), result->engine);
    put_grouped(table_cell(table, row, c++), told->watchers_count);
    put_grouped(table_cell(table, row, c++), (double)told->changes_count);
    put_grouped(table_cell(table, row, c++), (double)told->merged_count);
    put_ms(table_cell(table, row, c++), told->p50_ns);
    put_ms(table_cell(table, row, c++), told->p99_ns);
    put_ms(table_cell(table, row, c++), told->max_ns);
    put_grouped(table_cell(table, row, c++), (double)result->usage.pages_count);
    put_grouped(table_cell(table, row, c++), (double)result->usage.pages_size);
}

static int print_told(const struct rf_bench_report *report, FILE *out)
{
    static const char *const headings[] = {
        "engine", "watchers", "told to all", "merged", "p50 ms",
        "p99 ms", "max ms",   "pages",       "bytes",
    };
    size_t count = 0;
    for (size_t i = 0; i < report->results_count; i++) {
        count += report->results[i].told.watchers_count > 0;
    }
    if (count == 0) {
        return 0;
    }
    struct table table;
    const int code = table_init(&table, count, headings, sizeof(headings) / sizeof(headings[0]), 1);
    if (code < 0) {
        return code;
    }
    for (size_t i = 0; i < report->results_count; i++) {
        if (report->results[i].told.watchers_count > 0) {
            add_told(&table, &report->results[i]);
        }
    }
    (void)fputc('\n', out);
    table_print(&table, out);
    table_fini(&table);
    return 0;
}

/* ---- output ---- */

static int finish(FILE *out, int code, struct rf_error *err)
{
    if (code == -ENOMEM) {
        return rf_error_set(err, code, "report: out of memory");
    }
    if (code < 0 || fflush(out) != 0 || ferror(out)) {
        return rf_error_set(err, -EIO, "report: cannot write");
    }
    return 0;
}

int rf_bench_report_table(const struct rf_bench_report *report, FILE *out, struct rf_error *err)
{
    char command[RF_BENCH_COMMAND_SIZE];
    (void)fprintf(out, "command  %s\n",
                  rf_bench_plain_text(report->command, command, sizeof(command)));
    rf_bench_environment_print(report->environment, out);
    (void)fputc('\n', out);
    int code = print_results(report, out);
    if (code == 0) {
        code = print_ratios(report, out);
    }
    if (code == 0) {
        code = print_usage(report, out);
    }
    if (code == 0) {
        code = print_told(report, out);
    }
    return finish(out, code, err);
}

/* A run of no time has no rate, and JSON no infinity. */
static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *positive_or_null(double value)
{
    return isfinite(value) && value > 0 ? json_real(value) : json_null();
}

static json_t *name_or_null(const char *name)
{
    return name == NULL ? json_null() : json_string(name);
}

static json_t *us(uint64_t ns)
{
    return json_real((double)ns / 1000);
}

/* Takes `values`, which with a NULL in it, by want of memory, is NULL itself. */
static int add_all(json_t *object, json_t *values)
{
    const int code = values == NULL ? -1 : json_object_update(object, values);
    json_decref(values);
    return code;
}

/* What was done, in the order in which CSV has its columns. */
static json_t *load_json(const struct bench_result *result)
{
    return json_pack("{s:s, s:o, s:i, s:i, s:i, s:i, s:s, s:b, s:o, s:o}", "name", result->name,
                     "engine", name_or_null(result->engine), "connections",
                     (int)result->connections, "depth", (int)result->depth, "threads",
                     (int)result->threads, "keys_per_request", (int)result->keys_per_request,
                     "client_engine", result->client_engine, "busy_poll", (int)result->busy_poll,
                     "rate", positive_or_null(result->rate), "disturbance",
                     name_or_null(result->disturbance));
}

static json_t *counts_json(const struct bench_result *result)
{
    return json_pack("{s:o, s:o, s:o, s:i, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
                     "requests_per_second", number_or_null(result->requests_per_second),
                     "requests_per_second_min", number_or_null(result->requests_per_second_min),
                     "requests_per_second_max", number_or_null(result->requests_per_second_max),
                     "rounds", (int)result->rounds, "duration_s", (double)result->duration_ns / 1e9,
                     "requests", (json_int_t)result->requests, "bytes_sent",
                     (json_int_t)result->bytes_sent, "bytes_received",
                     (json_int_t)result->bytes_received, "checked", (json_int_t)result->checked,
                     "skipped", (json_int_t)result->skipped, "errors", (json_int_t)result->errors,
                     "ratio", positive_or_null(result->ratio));
}

static json_t *latencies_json(const struct rf_histogram *latencies)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "min_us",
                     us(rf_histogram_min_ns(latencies)), "mean_us",
                     us(rf_histogram_mean_ns(latencies)), "p50_us",
                     us(rf_histogram_quantile_ns(latencies, 500000)), "p90_us",
                     us(rf_histogram_quantile_ns(latencies, 900000)), "p99_us",
                     us(rf_histogram_quantile_ns(latencies, 990000)), "p999_us",
                     us(rf_histogram_quantile_ns(latencies, 999000)), "p9999_us",
                     us(rf_histogram_quantile_ns(latencies, 999900)), "max_us",
                     us(rf_histogram_max_ns(latencies)));
}

static json_t *usage_json(const struct bench_usage *usage)
{
    bool is_known = usage->resident_size > 0;
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "server_kib",
        is_known ? json_integer((json_int_t)(usage->resident_size / 1024)) : json_null(), "tcp_kib",
        is_known ? json_integer((json_int_t)(usage->sockets_size / 1024)) : json_null(),
        "kernel_kib",
        is_known ? json_integer((json_int_t)(usage->objects_size / 1024)) : json_null(),
        "server_cpu_s", is_known ? json_real((double)usage->cpu_ns / 1e9) : json_null(),
        "server_switches", is_known ? json_integer((json_int_t)usage->switches_count) : json_null(),
        "changes", is_known ? json_integer((json_int_t)usage->changes_count) : json_null(),
        "publisher_us_per_change", positive_or_null(change_us(usage)));
}

static json_t *told_json(const struct bench_result *result)
{
    const struct bench_told *told = &result->told;
    const bool is_known = told->watchers_count > 0;
    const bool was_told = told->changes_count > 0;
    return json_pack(
        "{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "watchers", (int)told->watchers_count,
        "told_to_all", is_known ? json_integer((json_int_t)told->changes_count) : json_null(),
        "merged", is_known ? json_integer((json_int_t)told->merged_count) : json_null(),
        "told_p50_us", was_told ? us(told->p50_ns) : json_null(), "told_p99_us",
        was_told ? us(told->p99_ns) : json_null(), "told_max_us",
        was_told ? us(told->max_ns) : json_null(), "watch_pages",
        is_known ? json_integer((json_int_t)result->usage.pages_count) : json_null(), "watch_bytes",
        is_known ? json_integer((json_int_t)result->usage.pages_size) : json_null());
}

/* NULL: out of memory. */
static json_t *result_json(const struct bench_result *result)
{
    json_t *object = json_object();
    if (add_all(object, load_json(result)) != 0 || add_all(object, counts_json(result)) != 0 ||
        add_all(object, latencies_json(result->latencies)) != 0 ||
        add_all(object, usage_json(&result->usage)) != 0 ||
        add_all(object, told_json(result)) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *ratio_json(const struct rf_bench_ratio *ratio)
{
    json_t *object = json_object();
    if (add_all(object, load_json(ratio->result)) != 0 ||
        add_all(object,
                json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "over", name_of_other(ratio),
                          "over_engine", name_or_null(ratio->other->engine), "requests_per_second",
                          positive_or_null(ratio->requests_per_second), "p50",
                          positive_or_null(ratio->p50), "p99", positive_or_null(ratio->p99), "p999",
                          positive_or_null(ratio->p999))) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static int fill_arrays(const struct rf_bench_report *report, json_t *results, json_t *ratios)
{
    for (size_t i = 0; i < report->results_count; i++) {
        if (json_array_append_new(results, result_json(&report->results[i])) != 0) {
            return -ENOMEM;
        }
    }
    struct rf_bench_ratio ratio;
    for (size_t position = 0; rf_bench_report_next_ratio(report, &position, &ratio);) {
        if (json_array_append_new(ratios, ratio_json(&ratio)) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

int rf_bench_report_json(const struct rf_bench_report *report, FILE *out, struct rf_error *err)
{
    char command[RF_BENCH_COMMAND_SIZE];
    json_t *results = json_array();
    json_t *ratios = json_array();
    int code = fill_arrays(report, results, ratios);
    json_t *root = json_pack("{s:s, s:s, s:o, s:O, s:O}", "version", RF_VERSION, "command",
                             rf_bench_plain_text(report->command, command, sizeof(command)),
                             "environment", rf_bench_environment_json(report->environment),
                             "results", results, "ratios", ratios);
    if (root == NULL) {
        code = -ENOMEM;
    }
    if (code == 0 &&
        (json_dumpf(root, out, JSON_INDENT(2) | REAL_DIGITS) != 0 || fputc('\n', out) == EOF)) {
        code = -EIO;
    }
    json_decref(root);
    json_decref(ratios);
    json_decref(results);
    return finish(out, code, err);
}

/* Nothing for null, a string as it is: the only strings are names of ours. */
static int print_csv_value(const json_t *value, FILE *out)
{
    if (json_is_null(value)) {
        return 0;
    }
    if (json_is_string(value)) {
        return fputs(json_string_value(value), out) < 0 ? -EIO : 0;
    }
    return json_dumpf(value, out, JSON_ENCODE_ANY | REAL_DIGITS) != 0 ? -EIO : 0;
}

static int print_csv_line(json_t *object, bool is_heading, FILE *out)
{
    const char *separator = "";
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        if (fputs(separator, out) < 0 ||
            (is_heading ? fputs(key, out) : print_csv_value(value, out)) < 0) {
            return -EIO;
        }
        separator = ",";
    }
    return fputc('\n', out) == EOF ? -EIO : 0;
}

int rf_bench_report_csv(const struct rf_bench_report *report, FILE *out, struct rf_error *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < report->results_count; i++) {
        json_t *object = result_json(&report->results[i]);
        if (object == NULL) {
            code = -ENOMEM;
        } else if (i == 0) {
            code = print_csv_line(object, true, out);
        }
        if (code == 0) {
            code = print_csv_line(object, false, out);
        }
        json_decref(object);
    }
    return finish(out, code, err);
}
