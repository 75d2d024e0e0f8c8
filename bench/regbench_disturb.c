/* SPDX-License-Identifier: MIT
 *
 * regbench_disturb.c - a registry in quiet rounds and in disturbed ones, in turn, so that a busy
 * moment of the machine hits both.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/crowd.h"
#include "bench/peers.h"
#include "bench/regbench.h"
#include "bench/rounds.h"
#include "bench/strangers.h"
#include "bench/targets.h"
#include "bench/usage.h"

enum {
    ROUNDS_MAX = 101,
    SETTLE_MS = 1500, /* after a change of scene: connections opened, filled, or seen off */
    DISTURBANCE_SIZE = 128,
};

enum scene { QUIET, DISTURBED, SCENES_COUNT };

struct disturbance {
    const struct rf_bench_options *options;
    char text[DISTURBANCE_SIZE];
    struct rf_bench_target target;
    struct rf_bench_crowd *crowd;
    struct bench_result rounds[SCENES_COUNT][ROUNDS_MAX];
    size_t rounds_count[SCENES_COUNT];
    uint64_t closed_count; /* strangers that the server closed */
    struct rf_bench_told told;
    struct rf_error first_error;
};

static int describe(struct disturbance *disturbance, struct rf_error *err)
{
    const struct rf_bench_options *options = disturbance->options;
    const struct {
        uint64_t value;
        const char *unit;
    } kinds[] = {{options->idle, "idle"},
                 {options->deaf, "deaf"},
                 {options->trickle, "trickling"},
                 {options->watchers, "watching"},
                 {options->churn_ms, "ms churn"}};
    size_t used = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].value > 0 && used < DISTURBANCE_SIZE) {
            used += (size_t)snprintf(disturbance->text + used, DISTURBANCE_SIZE - used, "%s%llu %s",
                                     used > 0 ? " + " : "", (unsigned long long)kinds[i].value,
                                     kinds[i].unit);
        }
    }
    return used > 0
               ? 0
               : rf_error_set(err, -EINVAL,
                              "no disturbance: one of -idle, -deaf, -trickle, -watchers, -churn");
}

static void settle(void)
{
    const struct timespec pause = {.tv_sec = SETTLE_MS / 1000,
                                   .tv_nsec = SETTLE_MS % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL); /* a signal ends all of it */
}

static int start(struct disturbance *disturbance, const char *program, struct rf_error *err)
{
    const struct rf_bench_options *options = disturbance->options;
    struct rf_bench_workload_config workload = rf_bench_workload_of(options, RF_BENCH_REGISTRY);
    int code = rf_bench_workload_init(&disturbance->target.workload, &workload, err);
    if (code < 0) {
        return code;
    }
    const struct rf_bench_registry_config registry = {
        .program = program,
        .arguments = options->registry_arguments,
        .engine = rf_bench_load_of(options).engine,
        .members_count = (uint32_t)options->members,
        .replicas = (uint32_t)options->replicas,
        .cpu = options->server_cpu_number,
        .busy_poll = options->busy_poll,
    };
    return rf_bench_peer_start_registry(&disturbance->target, &registry, &disturbance->crowd, err);
}

/* What only the server knows. */
static int read_pages(struct disturbance *disturbance, struct bench_usage *usage,
                      struct rf_error *err)
{
    char text[REGFAST_ERROR_SIZE];
    struct regfast_info_list *info;
    int code = regfast_info(disturbance->target.client, &info, text, sizeof(text));
    if (code < 0) {
        return rf_error_set(err, code, "%s", text);
    }
    for (size_t i = 0; i < info->count; i++) {
        if (strcmp(info->entries[i].name, "watch_pages") == 0) {
            usage->pages_count = info->entries[i].number;
        } else if (strcmp(info->entries[i].name, "watch_bytes") == 0) {
            usage->pages_size = info->entries[i].number;
        }
    }
    regfast_info_list_free(info);
    return 0;
}

/* Usage until now, with the group's version as the count of its changes. */
static int read_usage(struct disturbance *disturbance, struct bench_usage *ret_usage,
                      struct rf_error *err)
{
    char text[REGFAST_ERROR_SIZE];
    struct regfast_group_list *groups;
    int code = rf_bench_usage_read(disturbance->target.process.pid, ret_usage, err);
    if (code < 0) {
        return code;
    }
    code = regfast_groups(disturbance->target.client, &groups, text, sizeof(text));
    if (code < 0) {
        return rf_error_set(err, code, "%s", text);
    }
    for (size_t i = 0; i < groups->count; i++) {
        if (strcmp(groups->groups[i].name, disturbance->options->group) == 0) {
            ret_usage->changes_count = groups->groups[i].version;
        }
    }
    regfast_group_list_free(groups);
    return read_pages(disturbance, ret_usage, err);
}

/* While members come and go only answers of the version of before are compared: to make each new
 * ring here, too, would take the processor time that is to be measured. */
static int measure(struct disturbance *disturbance, enum scene scene, struct rf_error *err)
{
    const struct rf_bench_options *options = disturbance->options;
    struct rf_bench_target target = disturbance->target;
    struct rf_bench_load_config config = rf_bench_load_of(options);
    struct bench_result *result = &disturbance->rounds[scene][disturbance->rounds_count[scene]];
    struct bench_usage before;
    struct bench_usage after;
    if (scene == DISTURBED && options->churn_ms > 0) {
        target.client = NULL;
    }
    int code = read_usage(disturbance, &before, err);
    if (code == 0) {
        code = rf_bench_target_measure(&target, &config, options->check, result,
                                       &disturbance->first_error, err);
    }
    if (code < 0) {
        return code;
    }
    disturbance->rounds_count[scene]++;
    code = read_usage(disturbance, &after, err);
    if (code == 0) {
        result->disturbance = scene == DISTURBED ? disturbance->text : NULL;
        result->usage = rf_bench_usage_since(&before, &after);
    }
    return code;
}

static int measure_quiet(struct disturbance *disturbance, struct rf_error *err)
{
    rf_bench_truth_free(disturbance->target.truth);
    disturbance->target.truth = NULL;
    int code = rf_bench_target_prepare(&disturbance->target, disturbance->options->check, err);
    return code < 0 ? code : measure(disturbance, QUIET, err);
}

static int measure_disturbed(struct disturbance *disturbance, struct rf_error *err)
{
    const struct rf_bench_options *options = disturbance->options;
    const struct rf_bench_strangers_config config = {
        .server = disturbance->target.server,
        .group = options->group,
        .idle = (uint32_t)options->idle,
        .deaf = (uint32_t)options->deaf,
        .trickle = (uint32_t)options->trickle,
        .told = options->watchers > 0 ? &disturbance->told : NULL,
        .crowd = disturbance->crowd,
    };
    struct rf_bench_strangers *strangers;
    int code = rf_bench_strangers_new(&config, &strangers, err);
    if (code < 0) {
        return code;
    }
    settle();
    rf_bench_told_count(&disturbance->told, true);
    rf_bench_crowd_churn(disturbance->crowd, options->churn_ms * 1000000);
    code = measure(disturbance, DISTURBED, err);
    rf_bench_told_count(&disturbance->told, false);
    rf_bench_crowd_churn(disturbance->crowd, 0);
    disturbance->closed_count += rf_bench_strangers_closed(strangers);
    rf_bench_strangers_free(strangers);
    settle();
    return code;
}

static int run(struct disturbance *disturbance, const char *program, struct rf_error *err)
{
    int code =
        rf_bench_told_init(&disturbance->told, (uint32_t)disturbance->options->watchers, err);
    if (code == 0) {
        code = start(disturbance, program, err);
    }
    if (code == 0) {
        settle();
    }
    for (uint64_t i = 0; code == 0 && i < disturbance->options->rounds; i++) {
        code = measure_quiet(disturbance, err);
        if (code == 0) {
            code = measure_disturbed(disturbance, err);
        }
    }
    return code;
}

static int print(struct rf_bench_context *context, struct disturbance *disturbance)
{
    struct bench_result results[SCENES_COUNT];
    for (int scene = QUIET; scene < SCENES_COUNT; scene++) {
        results[scene] =
            rf_bench_rounds_median(disturbance->rounds[scene], disturbance->rounds_count[scene]);
        disturbance->rounds_count[scene] = 0;
    }
    results[DISTURBED].told = rf_bench_told_result(&disturbance->told);
    int code = rf_bench_print(context, results, SCENES_COUNT, &disturbance->first_error);
    for (int scene = QUIET; scene < SCENES_COUNT; scene++) {
        rf_bench_result_fini(&results[scene]);
    }
    if (disturbance->closed_count > 0) {
        (void)fprintf(stderr, "regbench: the server closed %llu of the connections that disturb\n",
                      (unsigned long long)disturbance->closed_count);
    }
    if (disturbance->told.errors > 0) {
        (void)fprintf(stderr, "regbench: watchers were sent %llu replies that are no update\n",
                      (unsigned long long)disturbance->told.errors);
    }
    return code;
}

int rf_bench_command_disturb(struct rf_bench_context *context)
{
    struct rf_error err = {0};
    char program[RF_BENCH_PATH_SIZE];
    struct disturbance *disturbance = calloc(1, sizeof(*disturbance));
    if (disturbance == NULL) {
        (void)rf_error_set(&err, -ENOMEM, "out of memory");
        return rf_bench_fail(&err);
    }
    disturbance->options = &context->options;
    disturbance->target.process.log_fd = -1;
    if (describe(disturbance, &err) < 0) {
        free(disturbance);
        (void)rf_bench_fail(&err);
        return RF_BENCH_USAGE;
    }
    int code = rf_bench_find_registry(&context->options, program, &err);
    if (code == 0) {
        code = run(disturbance, program, &err);
    }
    code = code < 0 ? rf_bench_fail(&err) : print(context, disturbance);
    for (int scene = QUIET; scene < SCENES_COUNT; scene++) {
        for (size_t i = 0; i < disturbance->rounds_count[scene]; i++) {
            rf_bench_result_fini(&disturbance->rounds[scene][i]);
        }
    }
    rf_bench_target_fini(&disturbance->target);
    rf_bench_crowd_free(disturbance->crowd);
    rf_bench_told_fini(&disturbance->told);
    free(disturbance);
    return code;
}
