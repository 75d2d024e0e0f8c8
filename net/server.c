/* SPDX-License-Identifier: MIT */
#include "net/server.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/assert.h"
#include "net/engine.h"
#include "net/listener.h"
#include "net/worker.h"

enum { CACHE_LINE_SIZE = 64 };

struct rf_server {
    struct rf_log log;
    char *version;
    char *node_id;
    enum rf_engine_kind engine_kind;
    unsigned engine_features;
    char engine_reason[RF_ERROR_TEXT_SIZE];
    uint16_t port;
    unsigned workers_count;
    unsigned started_count; /* the first so many run */
    int *listener_fds;      /* workers_count; -1: closed */
    struct rf_worker *workers;
    const struct rf_server_counters **counters; /* one for each worker */
    const struct rf_histogram **latencies;      /* likewise */
    struct rf_info_source info;
};

static const char *const io_names[] = {"auto", "uring", "epoll"};

const char *rf_io_name(enum rf_io io)
{
    RF_ASSERT((size_t)io < sizeof(io_names) / sizeof(io_names[0]));
    return io_names[io];
}

int rf_io_parse(const char *name, enum rf_io *ret_io, struct rf_error *err)
{
    for (size_t i = 0; i < sizeof(io_names) / sizeof(io_names[0]); i++) {
        if (strcmp(name, io_names[i]) == 0) {
            *ret_io = (enum rf_io)i;
            return 0;
        }
    }
    return rf_error_set(err, -EINVAL, "io '%.32s': allowed are auto, uring, epoll", name);
}

int rf_busy_poll_parse(const char *text, uint32_t *ret_busy_poll_us, struct rf_error *err)
{
    if (strcmp(text, "adaptive") == 0) {
        *ret_busy_poll_us = RF_BUSY_POLL_ADAPTIVE;
        return 0;
    }
    size_t digits = strspn(text, "0123456789");
    unsigned long us =
        digits >= 1 && digits <= 7 && text[digits] == '\0' ? strtoul(text, NULL, 10) : ULONG_MAX;
    if (us > RF_BUSY_POLL_US_MAX) {
        return rf_error_set(err, -EINVAL,
                            "busy poll '%.32s': allowed are adaptive and microseconds, 0..%d", text,
                            RF_BUSY_POLL_US_MAX);
    }
    *ret_busy_poll_us = (uint32_t)us;
    return 0;
}

/* ---- which engine ---- */

/* Whether `code` says that io_uring is not there, rather than that something has run out. */
static bool is_uring_missing(int code)
{
    return code == -ENOSYS || code == -EPERM || code == -EACCES || code == -EINVAL;
}

static int refuse_uring(int code, struct rf_error *err)
{
    (void)rf_error_prefix(err, code, "io_uring is not available");
    if (err == NULL) {
        return code;
    }
    const char *hint = "choose -io epoll";
    if (code == -EPERM || code == -EACCES) {
        hint = "allow it (seccomp profile, sysctl kernel.io_uring_disabled) or choose -io epoll";
    } else if (code == -ENOSYS || code == -EINVAL) {
        hint = "a kernel of 5.19 or newer has it, or choose -io epoll";
    }
    struct rf_error before = *err;
    return rf_error_set(err, code, "%s; %s", before.text, hint);
}

static void describe_features(struct rf_server *server)
{
    static const char *const names[] = {"deferred task work", "multishot accept",
                                        "multishot receive", "quiet sends"};
    size_t size = sizeof(server->engine_reason);
    int used = snprintf(server->engine_reason, size, "io_uring is available");
    const char *separator = ", without ";
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((server->engine_features & 1U << i) == 0) {
            used += snprintf(server->engine_reason + used, size - (size_t)used, "%s%s", separator,
                             names[i]);
            separator = ", ";
        }
    }
}

static int choose_engine(struct rf_server *server, const struct rf_server_config *config,
                         struct rf_error *err)
{
    server->engine_kind = RF_ENGINE_EPOLL;
    if (config->io == RF_IO_EPOLL) {
        (void)snprintf(server->engine_reason, sizeof(server->engine_reason), "asked for");
        return 0;
    }
    struct rf_error why = {0};
    int code = rf_engine_uring_probe(config->io_features_off, &server->engine_features, &why);
    if (code == 0) {
        server->engine_kind = RF_ENGINE_URING;
        describe_features(server);
        return 0;
    }
    if (config->io == RF_IO_AUTO && is_uring_missing(code)) {
        (void)snprintf(server->engine_reason, sizeof(server->engine_reason), "%s", why.text);
        return 0;
    }
    (void)rf_error_set(err, code, "%s", why.text);
    return is_uring_missing(code) ? refuse_uring(code, err) : code;
}

/* ---- start ---- */

static unsigned usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        return (unsigned)CPU_COUNT(&set);
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more cores than a cpu_set_t has */
    return online < 1 ? 1 : (unsigned)online;
}

static int check_config(const struct rf_server_config *config, struct rf_error *err)
{
    RF_ASSERT(config->publisher != NULL && config->addr != NULL);
    if (config->workers > RF_WORKERS_MAX) {
        return rf_error_set(err, -EINVAL, "%u workers, allowed 1..%d", config->workers,
                            RF_WORKERS_MAX);
    }
    if (config->busy_poll_us != RF_BUSY_POLL_ADAPTIVE &&
        config->busy_poll_us > RF_BUSY_POLL_US_MAX) {
        return rf_error_set(err, -EINVAL, "busy poll of %u us, allowed 0..%d", config->busy_poll_us,
                            RF_BUSY_POLL_US_MAX);
    }
    if (config->connections_max > RF_CONNECTIONS_MAX) {
        return rf_error_set(err, -EINVAL, "%u connections at most, allowed 1..%d",
                            config->connections_max, RF_CONNECTIONS_MAX);
    }
    return 0;
}

static char *copy_text(const char *text)
{
    return strdup(text == NULL ? "" : text);
}

/* Memory for `count` workers, all zero. */
static int reserve(struct rf_server *server, const struct rf_server_config *config, unsigned count)
{
    static_assert(sizeof(struct rf_worker) % CACHE_LINE_SIZE == 0, "no two share a line");
    server->workers = aligned_alloc(CACHE_LINE_SIZE, count * sizeof(struct rf_worker));
    server->counters = calloc(count, sizeof(const struct rf_server_counters *));
    server->latencies = calloc(count, sizeof(const struct rf_histogram *));
    server->listener_fds = calloc(count, sizeof(int));
    server->version = copy_text(config->version);
    server->node_id = copy_text(config->node_id);
    if (server->workers == NULL || server->counters == NULL || server->latencies == NULL ||
        server->listener_fds == NULL || server->version == NULL || server->node_id == NULL) {
        return -ENOMEM;
    }
    memset(server->workers, 0, count * sizeof(struct rf_worker));
    for (unsigned i = 0; i < count; i++) {
        server->counters[i] = &server->workers[i].counters;
        server->latencies[i] = &server->workers[i].latency;
        server->listener_fds[i] = -1;
    }
    server->workers_count = count;
    return 0;
}

static void set_info(struct rf_server *server, uint32_t connections_max,
                     const struct rf_counters_view others[RF_SERVER_VIEWS_MAX])
{
    server->info = (struct rf_info_source){
        .program_version = server->version,
        .node_id = server->node_id,
        .instance = server->info.instance,
        .engine = rf_engine_kind_name(server->engine_kind),
        .engine_reason = server->engine_reason,
        .started_ns = rf_monotonic_ns(),
        .connections_max = connections_max,
        .workers_count = server->workers_count,
        .counters = server->counters,
        .latencies = server->latencies,
    };
    size_t count = 0;
    for (int i = 0; i < RF_SERVER_VIEWS_MAX; i++) {
        server->info.others[i] = others[i];
        count += others[i].count;
    }
    RF_ASSERT(count <= RF_INFO_OTHERS_MAX);
}

static uint32_t or_default(uint32_t value, uint32_t default_value)
{
    return value == 0 ? default_value : value;
}

static int start_workers(struct rf_server *server, const struct rf_server_config *config,
                         struct rf_error *err)
{
    uint64_t buffers_size_max =
        config->buffers_size_max == 0 ? RF_BUFFERS_SIZE_MAX_DEFAULT : config->buffers_size_max;
    buffers_size_max /= server->workers_count;
    if (buffers_size_max < RF_BUFFERS_SIZE_MAX_LEAST) {
        buffers_size_max = RF_BUFFERS_SIZE_MAX_LEAST;
    }
    struct rf_worker_config worker_config = {
        .engine_kind = server->engine_kind,
        .engine_features = server->engine_features,
        .engine_buffers_count =
            config->io_buffers_count == 0 ? RF_ENGINE_BUFFERS_COUNT : config->io_buffers_count,
        .publisher = config->publisher,
        .info = &server->info,
        .log = &server->log,
        .connections_max = or_default(config->connections_max, RF_CONNECTIONS_MAX_DEFAULT),
        .busy_poll_us = config->busy_poll_us,
        .detect_timeout_ms = or_default(config->detect_timeout_ms, RF_DETECT_TIMEOUT_MS_DEFAULT),
        .stall_timeout_ms = or_default(config->stall_timeout_ms, RF_STALL_TIMEOUT_MS_DEFAULT),
        .idle_timeout_ms = config->idle_timeout_ms,
        .buffers_size_max = buffers_size_max,
    };
    set_info(server, worker_config.connections_max, config->counters);
    for (unsigned i = 0; i < server->workers_count; i++) {
        worker_config.index = i;
        worker_config.listener_fd = server->listener_fds[i];
        int code = rf_worker_start(&server->workers[i], &worker_config, err);
        if (code == -EMFILE || code == -ENFILE) {
            struct rf_error before = err == NULL ? (struct rf_error){0} : *err;
            return rf_error_set(err, code, "%s; raise the limit of open files", before.text);
        }
        if (code < 0) {
            return code;
        }
        server->started_count++;
    }
    return 0;
}

/* Odd, so never 0. */
static int choose_instance(uint64_t *ret_instance)
{
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random)) { /* whole, if so small */
        return -errno;
    }
    *ret_instance = random | 1;
    return 0;
}

int rf_server_start(const struct rf_server_config *config, struct rf_server **ret_server,
                    struct rf_error *err)
{
    int code = check_config(config, err);
    if (code < 0) {
        return code;
    }
    struct rf_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return rf_error_set(err, -ENOMEM, "server of %zu bytes", sizeof(*server));
    }
    server->log = config->log;
    code = choose_instance(&server->info.instance);
    if (code < 0) {
        code = rf_error_set(err, code, "random number of this start: %s", strerror(-code));
        goto fail;
    }
    unsigned count = config->workers == 0 ? usable_cores() : config->workers;
    count = count > RF_WORKERS_MAX ? RF_WORKERS_MAX : count;
    code = reserve(server, config, count);
    if (code < 0) {
        code = rf_error_set(err, code, "server of %u workers: no memory", count);
        goto fail;
    }
    code = choose_engine(server, config, err);
    if (code < 0) {
        goto fail;
    }
    code = rf_listeners_open(config->addr, server->listener_fds, count, &server->port, err);
    if (code < 0) {
        goto fail;
    }
    code = start_workers(server, config, err);
    if (code < 0) {
        goto fail;
    }
    rf_log(&server->log, RF_LOG_INFO,
           "listening addr=%s port=%u workers=%u engine=%s reason=\"%s\"", config->addr,
           server->port, count, rf_server_engine_name(server), server->engine_reason);
    *ret_server = server;
    return 0;
fail:
    rf_server_free(server);
    return code;
}

uint16_t rf_server_port(const struct rf_server *server)
{
    return server->port;
}

const char *rf_server_engine_name(const struct rf_server *server)
{
    return rf_engine_kind_name(server->engine_kind);
}

const char *rf_server_engine_reason(const struct rf_server *server)
{
    return server->engine_reason;
}

unsigned rf_server_workers_count(const struct rf_server *server)
{
    return server->workers_count;
}

const struct rf_server_counters *rf_server_counters(const struct rf_server *server, unsigned index)
{
    RF_ASSERT(index < server->workers_count);
    return server->counters[index];
}

void rf_server_notify(struct rf_server *server)
{
    for (unsigned i = 0; i < server->started_count; i++) {
        rf_worker_notify(&server->workers[i]);
    }
}

/* ---- stop ---- */

unsigned rf_server_stop(struct rf_server *server, unsigned timeout_ms)
{
    uint64_t deadline_ns = rf_monotonic_ns() + (uint64_t)timeout_ms * 1000000;
    for (unsigned i = 0; i < server->started_count; i++) {
        rf_worker_stop(&server->workers[i], deadline_ns);
    }
    unsigned dropped_count = 0;
    for (unsigned i = 0; i < server->started_count; i++) {
        dropped_count += rf_worker_join(&server->workers[i]);
    }
    server->started_count = 0;
    for (unsigned i = 0; i < server->workers_count; i++) {
        if (server->listener_fds[i] >= 0) {
            (void)close(server->listener_fds[i]);
            server->listener_fds[i] = -1;
        }
    }
    return dropped_count;
}

void rf_server_free(struct rf_server *server)
{
    if (server == NULL) {
        return;
    }
    (void)rf_server_stop(server, 0); /* who wants to know how many were dropped stops before */
    free(server->workers);
    free(server->counters);
    free(server->latencies);
    free(server->listener_fds);
    free(server->version);
    free(server->node_id);
    free(server);
}
