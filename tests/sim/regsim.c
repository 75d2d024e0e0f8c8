/* SPDX-License-Identifier: MIT
 *
 * regsim - runs scenarios of the simulator and holds them to their aims.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/environment.h"
#include "core/options.h"
#include "core/standard_fds.h"
#include "tests/sim/scenario.h"

enum {
    EXIT_FAILED = 1, /* an aim was missed, or the report could not be written */
    EXIT_USAGE = 2,
    COMMAND_SIZE = 1024,
};

enum { SEEDS_MAX = 1000000, DURATION_MAX_S = 366 * 86400 };

struct arguments {
    const char *scenario;
    const char *plot;
    uint64_t members, seeds, seed, duration_s;
    bool is_list, is_json, is_quiet, is_help, is_version;
};

static struct arguments arguments;

static const struct rf_option table[] = {
    {.name = "scenario",
     .value_name = "NAME",
     .help = "What to run; --list tells the names.",
     .type = RF_OPTION_TEXT,
     .text = &arguments.scenario},
    {.name = "members",
     .value_name = "N",
     .help = "Nodes of the cluster; by default as --list tells, several sizes for some.",
     .type = RF_OPTION_NUMBER,
     .min = 2,
     .max = RF_SIM_NODES_MAX,
     .number = &arguments.members},
    {.name = "seeds",
     .value_name = "N",
     .help = "How many runs, each from a seed of its own.",
     .type = RF_OPTION_NUMBER,
     .min = 1,
     .max = SEEDS_MAX,
     .number = &arguments.seeds},
    {.name = "seed",
     .value_name = "S",
     .help = "The first seed; the others follow. Equal seeds give equal runs.",
     .type = RF_OPTION_NUMBER,
     .min = 0,
     .max = INT64_MAX,
     .default_value = "1",
     .number = &arguments.seed},
    {.name = "duration",
     .value_name = "S",
     .help = "Virtual seconds of each run, where the scenario has a choice.",
     .type = RF_OPTION_NUMBER,
     .min = 1,
     .max = DURATION_MAX_S,
     .number = &arguments.duration_s},
    {.name = "json",
     .help = "One JSON object instead of a table.",
     .type = RF_OPTION_FLAG,
     .flag = &arguments.is_json},
    {.name = "plot",
     .value_name = "FILE.svg",
     .help = "Draws the figures into this file too.",
     .type = RF_OPTION_TEXT,
     .text = &arguments.plot},
    {.name = "quiet",
     .help = "No progress line, also on a terminal.",
     .type = RF_OPTION_FLAG,
     .flag = &arguments.is_quiet},
    {.name = "list",
     .help = "The scenarios, what they show and their defaults.",
     .type = RF_OPTION_FLAG,
     .flag = &arguments.is_list},
    {.name = "help", .help = "This text.", .type = RF_OPTION_FLAG, .flag = &arguments.is_help},
    {.name = "version",
     .help = "The version.",
     .type = RF_OPTION_FLAG,
     .flag = &arguments.is_version},
};

static const struct rf_options options = {table, sizeof(table) / sizeof(table[0])};

static int usage(const char *text)
{
    (void)fprintf(stderr, "regsim: %s\n", text);
    return EXIT_USAGE;
}

/* What was asked for is printed, or not. */
static int end_printing(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return 0;
    }
    (void)fputs("regsim: standard output: cannot write\n", stderr);
    return EXIT_FAILED;
}

static int help(void)
{
    (void)puts("usage: regsim --scenario NAME [OPTION]...\n"
               "       regsim --list\n\n"
               "Runs clusters of the real gossip machines on a virtual clock and holds what it\n"
               "finds to the aims of the scenario.\n");
    rf_options_print(&options, UINT32_MAX, stdout);
    (void)puts(
        "\nExit status: 0 every aim is met, 1 one is missed or the report cannot be written,\n"
        "2 wrong usage. A broken invariant of a machine ends the program by SIGABRT.");
    return end_printing();
}

static int list(void)
{
    for (size_t i = 0; i < rf_scenarios_count; i++) {
        const struct rf_scenario *scenario = &rf_scenarios[i];
        (void)printf("%s\n", scenario->name);
        rf_options_print_text(scenario->what, 4, stdout);
        (void)printf("    ");
        if (scenario->members > 0) {
            (void)printf("--members %zu ", scenario->members);
        }
        if (scenario->seeds > 0) {
            (void)printf("--seeds %zu ", scenario->seeds);
        }
        if (scenario->duration_s > 0) {
            (void)printf("--duration %" PRIu64, scenario->duration_s);
        }
        (void)puts("");
    }
    return end_printing();
}

/* As JSON and a picture can have it, whatever the name of a file is. */
static void join_arguments(int argc, char **argv, char command[COMMAND_SIZE])
{
    char text[COMMAND_SIZE] = "regsim";
    size_t size = strlen(text);
    for (int i = 1; i < argc && size < COMMAND_SIZE; i++) {
        int added = snprintf(text + size, COMMAND_SIZE - size, " %s", argv[i]);
        size += added > 0 ? (size_t)added : 0;
    }
    (void)rf_bench_plain_text(text, command, COMMAND_SIZE);
}

/* An option that the scenario does nothing with is a mistake, not to be passed over. */
static int check_meaning(const struct rf_scenario *scenario, struct rf_error *err)
{
    const struct {
        const char *name;
        uint64_t value;
        uint64_t standard;
    } given[] = {{"members", arguments.members, scenario->members},
                 {"seeds", arguments.seeds, scenario->seeds},
                 {"duration", arguments.duration_s, scenario->duration_s}};
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        if (given[i].value > 0 && given[i].standard == 0) {
            return rf_error_set(err, -EINVAL, "--%s means nothing to scenario '%s'", given[i].name,
                                scenario->name);
        }
    }
    return 0;
}

/* Of this one thread, so that a machine that does other things too makes no difference. */
static double processor_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* cannot fail */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int plot(const struct rf_run *run, const struct rf_report_head *head, struct rf_error *err)
{
    FILE *file = fopen(arguments.plot, "w");
    if (file == NULL) {
        return rf_error_set(err, -errno, "--plot %s: %s", arguments.plot, rf_strerror(-errno));
    }
    int code = rf_report_svg(&run->report, head, file, err);
    if (fclose(file) != 0 && code == 0) {
        code = rf_error_set(err, -EIO, "--plot %s: cannot write", arguments.plot);
    }
    return code;
}

/* Before the run: that may take minutes, and the picture is made after it. */
static int check_plot(struct rf_error *err)
{
    FILE *file = fopen(arguments.plot, "a");
    if (file == NULL) {
        return rf_error_set(err, -errno, "--plot %s: %s", arguments.plot, rf_strerror(-errno));
    }
    (void)fclose(file); /* nothing was written */
    return 0;
}

static int run_scenario(const struct rf_scenario *scenario, const char *command)
{
    struct rf_error err = {0};
    if (arguments.plot != NULL && check_plot(&err) < 0) {
        (void)fprintf(stderr, "regsim: %s\n", err.text);
        return EXIT_FAILED;
    }
    struct rf_run run = {
        .scenario = scenario,
        .members = arguments.members > 0 ? arguments.members : scenario->members,
        .has_members = arguments.members > 0,
        .seeds = arguments.seeds > 0 ? arguments.seeds : scenario->seeds,
        .seed = arguments.seed,
        .duration_ns =
            RF_SIM_S * (arguments.duration_s > 0 ? arguments.duration_s : scenario->duration_s),
        .has_progress = !arguments.is_quiet && isatty(STDERR_FILENO) == 1,
    };
    double start_s = processor_s();
    scenario->run(&run);
    if (run.has_progress) {
        (void)fputs("\r\033[K", stderr);
    }
    struct rf_report_head head = {.scenario = scenario->name,
                                  .what = scenario->what,
                                  .command = command,
                                  .seed = run.seed,
                                  .seeds = run.seeds > 0 ? run.seeds : 1,
                                  .virtual_s = run.virtual_s,
                                  .node_hours = run.node_hours,
                                  .processor_s = processor_s() - start_s,
                                  .events = run.events,
                                  .trace = run.trace};
    int code = arguments.is_json ? rf_report_json(&run.report, &head, stdout, &err)
                                 : rf_report_print(&run.report, &head, stdout, &err);
    if (code == 0 && arguments.plot != NULL) {
        code = plot(&run, &head, &err);
    }
    if (code < 0) {
        (void)fprintf(stderr, "regsim: %s\n", err.text);
    }
    bool is_good = code == 0 && rf_report_passes(&run.report);
    rf_report_fini(&run.report);
    return is_good ? 0 : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    char command[COMMAND_SIZE];
    rf_standard_fds_hold();
    join_arguments(argc, argv, command);
    uint64_t given;
    struct rf_error err = {0};
    int rest = rf_options_parse(&options, argc, argv, &given, &err);
    if (rest < 0) {
        (void)fprintf(stderr, "regsim: %s; see regsim --help\n", err.text);
        return EXIT_USAGE;
    }
    if (arguments.is_help) {
        return help();
    }
    if (arguments.is_version) {
        (void)printf("regsim %s\n", RF_VERSION);
        return end_printing();
    }
    if (rest > 0) {
        (void)fprintf(stderr, "regsim: '%s': no arguments are taken; see regsim --help\n", argv[0]);
        return EXIT_USAGE;
    }
    if (arguments.is_list) {
        return list();
    }
    if (arguments.scenario == NULL) {
        return usage("no --scenario; regsim --list tells the names");
    }
    const struct rf_scenario *scenario = rf_scenario_find(arguments.scenario);
    if (scenario == NULL) {
        (void)fprintf(stderr, "regsim: --scenario '%s': unknown; regsim --list tells the names\n",
                      arguments.scenario);
        return EXIT_USAGE;
    }
    if (check_meaning(scenario, &err) < 0) {
        return usage(err.text);
    }
    return run_scenario(scenario, command);
}
