/* SPDX-License-Identifier: MIT
 *
 * regbench_compare.c - the ceiling, registries and their peers, one after the other, in rounds.
 *
 * All servers are started once and frozen but for the one that is measured. A round measures each
 * of them at one point, so that a busy moment of the machine hits them alike; the median round
 * counts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/crowd.h"
#include "bench/peers.h"
#include "bench/regbench.h"
#include "bench/rounds.h"
#include "bench/targets.h"

enum {
    POINTS_MAX = 16,
    SUBJECTS_MAX = 6, /* ceiling and registry with two engines, redis, memcached */
    ROUNDS_MAX = 101,
};

struct point {
    uint32_t connections, depth;
};

struct subject {
    enum rf_bench_protocol protocol;
    enum rf_bench_engine engine; /* of the generator, and of a server that can choose */
    struct rf_bench_target target;
    struct rf_bench_crowd *crowd;           /* of a registry */
    struct bench_result rounds[ROUNDS_MAX]; /* at the point being measured */
};

struct comparison {
    struct rf_bench_context *context;
    const struct rf_bench_options *options;
    struct point points[POINTS_MAX];
    size_t points_count;
    struct subject subjects[SUBJECTS_MAX];
    size_t subjects_count;
    char registry[RF_BENCH_PATH_SIZE];
    struct bench_result results[POINTS_MAX * SUBJECTS_MAX];
    size_t results_count;
    struct rf_error first_error;
};

/* ---- what to compare ---- */

/* A number at the front of *at, which moves behind it; 0: none, or more than `max`. */
static uint32_t take_number(const char **at, uint32_t max)
{
    uint32_t number = 0;
    for (; **at >= '0' && **at <= '9' && number <= max; (*at)++) {
        number = number * 10 + (uint32_t)(**at - '0');
    }
    return number <= max ? number : 0;
}

static int parse_grid(struct comparison *comparison, struct rf_error *err)
{
    const char *at = comparison->options->grid;
    do {
        const char *start = at;
        uint32_t connections = take_number(&at, RF_BENCH_CONNECTIONS_MAX);
        bool has_x = *at == 'x';
        at += has_x ? 1 : 0;
        uint32_t depth = take_number(&at, RF_BENCH_DEPTH_MAX);
        if (!has_x || connections == 0 || depth == 0 || (*at != ',' && *at != '\0')) {
            return rf_error_set(err, -EINVAL,
                                "option -grid: '%.40s': allowed are points as 8x64, connections x "
                                "depth, with commas between",
                                start);
        }
        if (comparison->points_count == POINTS_MAX) {
            return rf_error_set(err, -EINVAL, "option -grid: allowed are %d points", POINTS_MAX);
        }
        if (connections < comparison->options->threads) {
            return rf_error_set(err, -EINVAL, "option -grid: %u connections for %u threads",
                                connections, (unsigned)comparison->options->threads);
        }
        comparison->points[comparison->points_count++] = (struct point){connections, depth};
    } while (*at++ == ',');
    return 0;
}

static void add(struct comparison *comparison, enum rf_bench_protocol protocol,
                enum rf_bench_engine engine)
{
    struct subject *subject = &comparison->subjects[comparison->subjects_count++];
    subject->protocol = protocol;
    subject->engine = engine;
}

static bool has_uring(void)
{
    struct rf_bench_io *io = NULL;
    struct rf_error err = {0};
    int code = rf_bench_io_new(RF_BENCH_URING, 1, false, &io, &err);
    rf_bench_io_free(io);
    if (code < 0) {
        (void)fprintf(stderr, "regbench: without io_uring: %s\n", err.text);
    }
    return code == 0;
}

static void choose_subjects(struct comparison *comparison)
{
    const struct rf_bench_options *options = comparison->options;
    bool is_uring = has_uring();
    for (int protocol = RF_BENCH_CEILING; protocol >= RF_BENCH_REGISTRY; protocol--) {
        if (is_uring) {
            add(comparison, (enum rf_bench_protocol)protocol, RF_BENCH_URING);
        }
        add(comparison, (enum rf_bench_protocol)protocol, RF_BENCH_EPOLL);
    }
    /* They have no frames of many keys that would compare, and do not spin. */
    bool has_peers = options->peers && options->match_many == 1 && !options->busy_poll;
    for (int protocol = RF_BENCH_REDIS; has_peers && protocol <= RF_BENCH_MEMCACHED; protocol++) {
        if (rf_bench_peer_is_installed((enum rf_bench_protocol)protocol)) {
            add(comparison, (enum rf_bench_protocol)protocol,
                is_uring ? RF_BENCH_URING : RF_BENCH_EPOLL);
        } else {
            (void)fprintf(stderr, "regbench: without %s: not installed\n",
                          rf_bench_protocol_name((enum rf_bench_protocol)protocol));
        }
    }
}

/* ---- servers ---- */

static int start_ceiling(struct comparison *comparison, struct subject *subject,
                         const struct point *point, struct rf_error *err)
{
    const struct rf_bench_options *options = comparison->options;
    int code = rf_bench_target_start_ceiling(&subject->target, subject->engine, point->connections,
                                             options->busy_poll, options->server_cpu_number, err);
    rf_bench_process_freeze(&subject->target.process);
    return code;
}

static int start_server(struct comparison *comparison, struct subject *subject,
                        struct rf_error *err)
{
    const struct rf_bench_options *options = comparison->options;
    struct rf_bench_workload_config config = rf_bench_workload_of(options, subject->protocol);
    int code = rf_bench_workload_init(&subject->target.workload, &config, err);
    if (code < 0) {
        return code;
    }
    if (subject->protocol == RF_BENCH_CEILING) {
        return rf_bench_target_prepare(&subject->target, true, err);
    }
    if (subject->protocol == RF_BENCH_REGISTRY) {
        const struct rf_bench_registry_config registry = {
            .program = comparison->registry,
            .arguments = options->registry_arguments,
            .engine = subject->engine,
            .members_count = (uint32_t)options->members,
            .replicas = (uint32_t)options->replicas,
            .cpu = options->server_cpu_number,
            .busy_poll = options->busy_poll,
        };
        code = rf_bench_peer_start_registry(&subject->target, &registry, &subject->crowd, err);
    } else {
        code =
            rf_bench_peer_start_store(&subject->target, (uint32_t)options->members,
                                      (uint32_t)options->replicas, options->server_cpu_number, err);
        (void)fprintf(stderr, "regbench: %s\n", rf_bench_peer_how(subject->protocol));
    }
    rf_bench_process_freeze(&subject->target.process);
    return code;
}

static int start_servers(struct comparison *comparison, struct rf_error *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < comparison->subjects_count; i++) {
        code = start_server(comparison, &comparison->subjects[i], err);
    }
    return code;
}

/* ---- measuring ---- */

static int measure(struct comparison *comparison, struct subject *subject,
                   const struct point *point, size_t round, struct rf_error *err)
{
    struct rf_bench_load_config config = rf_bench_load_of(comparison->options);
    config.engine = subject->engine;
    config.connections = point->connections;
    config.depth = point->depth;
    if (config.progress != NULL) {
        (void)fprintf(
            config.progress, "\r\033[K%u x %u, round %zu of %u: %s %s", point->connections,
            point->depth, round + 1, (unsigned)comparison->options->rounds,
            rf_bench_protocol_name(subject->protocol), rf_bench_engine_name(subject->engine));
        (void)fflush(config.progress);
        config.progress = NULL;
    }
    rf_bench_process_thaw(&subject->target.process);
    int code = rf_bench_target_measure(&subject->target, &config, comparison->options->check,
                                       &subject->rounds[round], &comparison->first_error, err);
    rf_bench_process_freeze(&subject->target.process);
    return code < 0 ? rf_error_prefix(err, code, "%s, %u x %u",
                                      rf_bench_protocol_name(subject->protocol), point->connections,
                                      point->depth)
                    : 0;
}

static void set_ratios(struct bench_result *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count && results[i].engine != NULL; j++) {
            if (strcmp(results[j].name, "ceiling") == 0 &&
                strcmp(results[i].name, "ceiling") != 0 &&
                strcmp(results[i].engine, results[j].engine) == 0 &&
                results[j].requests_per_second > 0) {
                results[i].ratio = results[i].requests_per_second / results[j].requests_per_second;
            }
        }
    }
}

static int measure_rounds(struct comparison *comparison, const struct point *point,
                          size_t *ret_done, struct rf_error *err)
{
    size_t count = comparison->subjects_count;
    for (size_t i = 0; i < comparison->options->rounds * count; i++, (*ret_done)++) {
        int code = measure(comparison, &comparison->subjects[i % count], point, i / count, err);
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

static int measure_point(struct comparison *comparison, const struct point *point,
                         struct rf_error *err)
{
    size_t count = comparison->subjects_count;
    int code = 0;
    for (size_t i = 0; code == 0 && i < count; i++) {
        if (comparison->subjects[i].protocol == RF_BENCH_CEILING) {
            code = start_ceiling(comparison, &comparison->subjects[i], point, err);
        }
    }
    size_t done = 0;
    if (code == 0) {
        code = measure_rounds(comparison, point, &done, err);
    }
    struct bench_result *results = comparison->results + comparison->results_count;
    for (size_t i = 0; i < count; i++) {
        struct subject *subject = &comparison->subjects[i];
        if (code == 0) {
            results[i] = rf_bench_rounds_median(subject->rounds, comparison->options->rounds);
        }
        for (size_t round = 0; code < 0 && round * count + i < done; round++) {
            rf_bench_result_fini(&subject->rounds[round]);
        }
        if (subject->protocol == RF_BENCH_CEILING) {
            rf_bench_process_stop(&subject->target.process);
        }
    }
    if (code == 0) {
        set_ratios(results, count);
        comparison->results_count += count;
    }
    return code;
}

static int run(struct comparison *comparison, struct rf_error *err)
{
    int code = start_servers(comparison, err);
    for (size_t i = 0; code == 0 && i < comparison->points_count; i++) {
        code = measure_point(comparison, &comparison->points[i], err);
    }
    if (isatty(STDERR_FILENO)) {
        (void)fputs("\r\033[K", stderr);
    }
    for (size_t i = 0; i < comparison->subjects_count; i++) {
        rf_bench_target_fini(&comparison->subjects[i].target);
        rf_bench_crowd_free(comparison->subjects[i].crowd);
    }
    return code;
}

int rf_bench_command_compare(struct rf_bench_context *context)
{
    struct rf_error err = {0};
    struct comparison *comparison = calloc(1, sizeof(*comparison));
    if (comparison == NULL) {
        (void)rf_error_set(&err, -ENOMEM, "out of memory");
        return rf_bench_fail(&err);
    }
    comparison->context = context;
    comparison->options = &context->options;
    int code = parse_grid(comparison, &err);
    if (code < 0) {
        free(comparison);
        (void)rf_bench_fail(&err);
        return RF_BENCH_USAGE;
    }
    code = rf_bench_find_registry(&context->options, comparison->registry, &err);
    if (code == 0) {
        choose_subjects(comparison);
        code = run(comparison, &err);
    }
    code = code < 0 ? rf_bench_fail(&err)
                    : rf_bench_print(context, comparison->results, comparison->results_count,
                                     &comparison->first_error);
    for (size_t i = 0; i < comparison->results_count; i++) {
        rf_bench_result_fini(&comparison->results[i]);
    }
    free(comparison);
    return code;
}
