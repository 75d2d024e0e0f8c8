/* SPDX-License-Identifier: MIT
 *
 * regbench_load.c - regbench load, ceiling, members and respond.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/crowd.h"
#include "bench/process.h"
#include "bench/regbench.h"
#include "bench/respond.h"
#include "bench/targets.h"

/* Measures one point of `server` and prints it. */
static int measure_and_print(struct rf_bench_context *context, const struct rf_bench_target *target)
{
    struct bench_result result = {0};
    struct rf_error first_error = {0};
    struct rf_error err = {0};
    struct rf_bench_load_config config = rf_bench_load_of(&context->options);
    int code = rf_bench_target_measure(target, &config, context->options.check, &result,
                                       &first_error, &err);
    if (code < 0) {
        return rf_bench_fail(&err);
    }
    code = rf_bench_print(context, &result, 1, &first_error);
    rf_bench_result_fini(&result);
    return code;
}

int rf_bench_command_load(struct rf_bench_context *context)
{
    const struct rf_bench_options *options = &context->options;
    bool is_registry = strcmp(options->protocol, "registry") == 0;
    struct rf_bench_target target = {.engine = NULL};
    struct rf_error err = {0};
    (void)snprintf(target.server, sizeof(target.server), "%s", options->server);
    struct rf_bench_workload_config workload =
        rf_bench_workload_of(options, is_registry ? RF_BENCH_REGISTRY : RF_BENCH_CEILING);
    int code = rf_bench_workload_init(&target.workload, &workload, &err);
    if (code == 0) {
        code = rf_bench_target_prepare(&target, options->check, &err);
    }
    code = code < 0 ? rf_bench_fail(&err) : measure_and_print(context, &target);
    rf_bench_target_fini(&target);
    return code;
}

int rf_bench_command_ceiling(struct rf_bench_context *context)
{
    const struct rf_bench_options *options = &context->options;
    struct rf_bench_target target = {0};
    struct rf_error err = {0};
    struct rf_bench_load_config config = rf_bench_load_of(options);
    struct rf_bench_workload_config workload = rf_bench_workload_of(options, RF_BENCH_CEILING);
    int code = rf_bench_workload_init(&target.workload, &workload, &err);
    if (code == 0) {
        code = rf_bench_target_start_ceiling(&target, config.engine, config.connections,
                                             options->busy_poll, options->server_cpu_number, &err);
    }
    if (code == 0) {
        code = rf_bench_target_prepare(&target, options->check, &err);
    }
    code = code < 0 ? rf_bench_fail(&err) : measure_and_print(context, &target);
    rf_bench_target_fini(&target);
    return code;
}

int rf_bench_command_members(struct rf_bench_context *context)
{
    const struct rf_bench_options *options = &context->options;
    struct rf_bench_crowd *crowd;
    struct rf_error err = {0};
    const struct rf_bench_crowd_config config = {
        .registry = options->gossip,
        .group = options->group,
        .members_count = (uint32_t)options->members,
        .replicas = (uint32_t)options->replicas,
        .churn_ns = options->churn_ms * 1000000,
    };
    int code = rf_bench_crowd_new(&config, &crowd, &err);
    if (code < 0) {
        return rf_bench_fail(&err);
    }
    (void)printf("members=%u group=%s\n", config.members_count, config.group);
    if (fflush(stdout) != 0) {
        (void)rf_error_set(&err, -EIO, "cannot print that they are there");
        rf_bench_crowd_free(crowd);
        return rf_bench_fail(&err);
    }
    while (true) {
        (void)pause(); /* until a signal ends the process */
    }
}

int rf_bench_command_respond(struct rf_bench_context *context)
{
    const struct rf_bench_options *options = &context->options;
    struct rf_error err = {0};
    int code = options->server_cpu_number == RF_BENCH_NO_CPU
                   ? 0
                   : rf_bench_pin((uint32_t)options->server_cpu_number, &err);
    if (code == 0) {
        const struct rf_bench_respond_config config = {
            .listen = options->listen,
            .engine = strcmp(options->io, "epoll") == 0 ? RF_BENCH_EPOLL : RF_BENCH_URING,
            .connections = (uint32_t)options->connections,
            .request_size = (uint32_t)options->request_size,
            .keys_per_request = (uint32_t)options->match_many,
            .busy_poll = options->busy_poll,
        };
        code = rf_bench_respond(&config, &err);
    }
    (void)code; /* it ends with an error only */
    return rf_bench_fail(&err);
}
