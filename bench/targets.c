/* SPDX-License-Identifier: MIT */
#include "bench/targets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_SIZE = 24 };

int rf_bench_target_start_ceiling(struct rf_bench_target *target, enum rf_bench_engine engine,
                                  uint32_t connections, bool busy_poll, int cpu,
                                  struct rf_error *err)
{
    char program[] = "/proc/self/exe";
    char command[] = "respond";
    char io_option[] = "--io", connections_option[] = "--connections";
    char size_option[] = "--request-size", keys_option[] = "--match-many";
    char spin_option[32];
    char connections_text[NUMBER_SIZE], size_text[NUMBER_SIZE], keys_text[NUMBER_SIZE];
    char io_text[NUMBER_SIZE], port[NUMBER_SIZE];
    (void)snprintf(io_text, sizeof(io_text), "%s", rf_bench_engine_name(engine));
    (void)snprintf(connections_text, sizeof(connections_text), "%u", connections);
    (void)snprintf(size_text, sizeof(size_text), "%u", target->workload.request_size);
    (void)snprintf(keys_text, sizeof(keys_text), "%u", target->workload.config.keys_per_request);
    (void)snprintf(spin_option, sizeof(spin_option), "--busy-poll=%s",
                   busy_poll ? "true" : "false");
    char *const argv[] = {program,          command,     io_option, io_text,     connections_option,
                          connections_text, size_option, size_text, keys_option, keys_text,
                          spin_option,      NULL};
    int code = rf_bench_process_start(&target->process, argv, cpu, err);
    if (code == 0) {
        code = rf_bench_process_wait_value(&target->process, "port", port, sizeof(port), err);
    }
    if (code < 0) {
        return rf_error_prefix(err, code, "responder");
    }
    target->engine = rf_bench_engine_name(engine);
    (void)snprintf(target->server, sizeof(target->server), "127.0.0.1:%s", port);
    return 0;
}

/* Its name must be one that stays: of the few there are. */
static const char *known_engine(const char *name)
{
    for (enum rf_bench_engine engine = RF_BENCH_URING; engine <= RF_BENCH_EPOLL; engine++) {
        if (strcmp(name, rf_bench_engine_name(engine)) == 0) {
            return rf_bench_engine_name(engine);
        }
    }
    return NULL;
}

static int ask_engine(struct rf_bench_target *target, struct rf_error *err)
{
    char text[REGFAST_ERROR_SIZE];
    struct regfast_info_list *info;
    int code = regfast_info(target->client, &info, text, sizeof(text));
    if (code < 0) {
        return rf_error_set(err, code, "%s", text);
    }
    for (size_t i = 0; i < info->count; i++) {
        const struct regfast_info *entry = &info->entries[i];
        if (strcmp(entry->name, "engine") == 0 && entry->type == REGFAST_INFO_TEXT) {
            target->engine = known_engine(entry->text);
        }
    }
    regfast_info_list_free(info);
    return 0;
}

int rf_bench_target_prepare(struct rf_bench_target *target, bool check, struct rf_error *err)
{
    if (target->workload.config.protocol != RF_BENCH_REGISTRY) {
        return check ? rf_bench_truth_build(&target->workload, RF_PLACEMENT_V1,
                                            RF_BENCH_CEILING_VERSION, &rf_bench_ceiling_member, 1,
                                            &target->truth, err)
                     : 0;
    }
    char text[REGFAST_ERROR_SIZE];
    int code = target->client != NULL
                   ? 0
                   : regfast_open(target->server, NULL, &target->client, text, sizeof(text));
    if (code < 0) {
        return rf_error_set(err, code, "%s", text);
    }
    code = ask_engine(target, err);
    if (code == 0 && check) {
        code = rf_bench_truth_fetch(&target->workload, target->client, &target->truth, err);
    }
    return code;
}

int rf_bench_target_measure(const struct rf_bench_target *target,
                            struct rf_bench_load_config *config, bool check,
                            struct bench_result *ret_result, struct rf_error *ret_first_error,
                            struct rf_error *err)
{
    config->server = target->server;
    config->workload = &target->workload;
    config->truth = check ? target->truth : NULL;
    config->client = target->client;
    int code = rf_bench_load_run(config, ret_result, ret_first_error, err);
    if (code == 0) {
        ret_result->name = rf_bench_protocol_name(target->workload.config.protocol);
        ret_result->engine = target->engine;
    }
    return code;
}

void rf_bench_target_fini(struct rf_bench_target *target)
{
    rf_bench_process_stop(&target->process);
    rf_bench_truth_free(target->truth);
    regfast_close(target->client);
    rf_bench_workload_fini(&target->workload);
    *target = (struct rf_bench_target){.process = {.log_fd = -1}};
}
