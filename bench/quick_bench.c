/* SPDX-License-Identifier: MIT */
#include "bench/quick_bench.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, MMAP_THRESHOLD = 1024 * 1024 };

json_t *rf_bench_quick_number(double value)
{
    return isnan(value) ? json_null() : json_real(value);
}

/* Returns -1, or what the program is to exit with now. */
static int read_options(const struct rf_bench_quick *bench, int argc, char **argv,
                        struct rf_bench_quick_options *ret_options)
{
    static const struct option options[] = {{"quick", no_argument, NULL, 'q'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {0}};
    struct rf_bench_quick_options found = {.has_progress = isatty(STDERR_FILENO) == 1};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'q':
            found.is_quick = true;
            break;
        case 'j':
            found.is_json = true;
            break;
        case 'h':
            (void)fputs(bench->usage, stdout); /* the stream's error flag tells, here and below */
            return 0;
        case 'v':
            (void)printf("%s %s\n", bench->program, RF_VERSION);
            return 0;
        default: /* getopt_long has said what is wrong */
            (void)fprintf(stderr, "%s: try --help\n", bench->program);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "%s: '%s': no arguments are taken, try --help\n", bench->program,
                      argv[optind]);
        return EXIT_USAGE;
    }
    *ret_options = found;
    return -1;
}

static int print_json(const struct rf_bench_quick *bench, json_t *array,
                      const struct rf_bench_environment *env)
{
    json_t *root = json_pack("{s:s, s:o, s:s, s:O}", "version", RF_VERSION, "environment",
                             rf_bench_environment_json(env), bench->about, bench->about_value(),
                             "results", array);
    int code =
        root == NULL ? -1 : json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    return code != 0 || printf("\n") < 0 ? -EIO : 0;
}

static int measure_all(const struct rf_bench_quick *bench,
                       const struct rf_bench_quick_options *options, struct rf_error *err)
{
    struct rf_bench_environment env;
    rf_bench_environment_begin(&env, "", RF_BENCH_WATCH_USUAL_MS);
    json_t *array = json_array();
    if (array == NULL) {
        return rf_error_set(err, -ENOMEM, "results: out of memory");
    }
    if (!options->is_json) {
        bench->print_heading(&env);
    }
    const size_t sets_count = options->is_quick ? bench->quick_sets_count : bench->sets_count;
    int code = 0;
    for (size_t set = 0; code == 0 && set < sets_count; set++) {
        code = bench->measure(options, set, array, err);
        (void)fflush(stdout); /* a set takes long: show each when it is done */
    }
    rf_bench_environment_end(&env, "");
    if (code == 0 && options->is_json && print_json(bench, array, &env) < 0) {
        code = rf_error_set(err, -EIO, "standard output: cannot write");
    }
    json_decref(array);
    return code;
}

static int run(const struct rf_bench_quick *bench, int argc, char **argv)
{
    struct rf_bench_quick_options options;
    int status = read_options(bench, argc, argv, &options);
    if (status >= 0) {
        return status;
    }
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    (void)mallopt(M_TRIM_THRESHOLD, MMAP_THRESHOLD);
    struct rf_error err = {0};
    if (measure_all(bench, &options, &err) < 0) {
        (void)fprintf(stderr, "%s: %s\n", bench->program, err.text);
        return EXIT_FAILED;
    }
    return 0;
}

int rf_bench_quick_main(const struct rf_bench_quick *bench, int argc, char **argv)
{
    int status = run(bench, argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && status == 0) {
        (void)fprintf(stderr, "%s: standard output: cannot write\n", bench->program);
        return EXIT_FAILED;
    }
    return status;
}
