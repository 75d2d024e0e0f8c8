/* SPDX-License-Identifier: MIT */
#include "bench/quick_options.h"

#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

enum { MMAP_THRESHOLD = 1024 * 1024 };

int rf_bench_quick_options_read(int argc, char **argv, const char *program, const char *usage,
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
            return fputs(usage, stdout) < 0 ? RF_BENCH_EXIT_FAILED : 0;
        case 'v':
            return printf("%s %s\n", program, RF_VERSION) < 0 ? RF_BENCH_EXIT_FAILED : 0;
        default: /* getopt_long has said what is wrong */
            (void)fprintf(stderr, "%s: try --help\n", program);
            return RF_BENCH_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "%s: '%s': no arguments are taken, try --help\n", program,
                      argv[optind]);
        return RF_BENCH_EXIT_USAGE;
    }
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    (void)mallopt(M_TRIM_THRESHOLD, MMAP_THRESHOLD);
    *ret_options = found;
    return -1;
}
