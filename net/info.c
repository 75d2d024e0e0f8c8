/* SPDX-License-Identifier: MIT */
#include "net/info.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/assert.h"
#include "core/octaves.h"
#include "core/ring.h"

enum { WORKER_TEXT_SIZE = 288 /* eight numbers of 20 digits, with their names */ };

/* 12 texts, 20 numbers and the octaves, with names of at most 32 bytes, besides the counters. */
static_assert(RF_WIRE_HEADER_SIZE + 2 + 12 * (36 + RF_INFO_TEXT_SIZE_MAX) +
                      RF_OCTAVES_COUNT * (36 + RF_OCTAVE_TEXT_SIZE) +
                      (20 + RF_SERVER_COUNTERS_COUNT + RF_INFO_OTHERS_MAX) * (36 + 8) <=
                  RF_INFO_REPLY_SIZE_MAX,
              "every row fits");
static_assert(1 + 10 + 3 + WORKER_TEXT_SIZE <= RF_INFO_WORKER_SIZE_MAX, "worker_255");
static_assert(RF_INFO_REPLY_SIZE_MAX + RF_WORKERS_MAX * RF_INFO_WORKER_SIZE_MAX <=
                  RF_WIRE_REPLY_SIZE_MAX,
              "all workers fit a reply");

/* A reply being written: after the first row that does not fit nothing is added. */
struct rows {
    struct rf_wire_list list;
    int code;
};

static void add_text(struct rows *rows, const char *name, const char *text)
{
    if (rows->code == 0) {
        char cut[RF_INFO_TEXT_SIZE_MAX + 1];
        size_t size = strnlen(text, RF_INFO_TEXT_SIZE_MAX);
        memcpy(cut, text, size);
        cut[size] = '\0';
        rows->code = rf_wire_info_reply_add_text(&rows->list, name, cut);
    }
}

static void add_u64(struct rows *rows, const char *name, uint64_t value)
{
    if (rows->code == 0) {
        rows->code = rf_wire_info_reply_add_u64(&rows->list, name, value);
    }
}

static void add_others(struct rows *rows, const struct rf_counters_view *others)
{
    uint64_t values[RF_INFO_OTHERS_MAX] = {0};
    rf_counters_add_to(others->counters, others->count, values);
    for (size_t i = 0; i < others->count; i++) {
        add_u64(rows, others->info[i].name, values[i]);
    }
}

static void add_counters(struct rows *rows, const struct rf_info_source *source)
{
    uint64_t sums[RF_SERVER_COUNTERS_COUNT] = {0};
    for (unsigned i = 0; i < source->workers_count; i++) {
        rf_counters_add_to(source->counters[i], RF_SERVER_COUNTERS_COUNT, sums);
    }
    for (size_t i = 0; i < RF_SERVER_COUNTERS_COUNT; i++) {
        add_u64(rows, rf_server_counters_info[i].name, sums[i]);
    }
}

/* 30 KiB of stack; a worker's thread has megabytes. */
static void add_latency(struct rows *rows, const struct rf_info_source *source)
{
    struct rf_histogram sum = {0};
    for (unsigned i = 0; i < source->workers_count; i++) {
        rf_histogram_merge(&sum, source->latencies[i]);
    }
    add_u64(rows, "latency_count", rf_histogram_count(&sum));
    add_u64(rows, "latency_p50_ns", rf_histogram_quantile_ns(&sum, 500000));
    add_u64(rows, "latency_p99_ns", rf_histogram_quantile_ns(&sum, 990000));
    add_u64(rows, "latency_p999_ns", rf_histogram_quantile_ns(&sum, 999000));
    add_u64(rows, "latency_max_ns", rf_histogram_max_ns(&sum));
    struct rf_octaves octaves = {0};
    rf_octaves_add(&octaves, &sum);
    for (unsigned octave = 0; octave < RF_OCTAVES_COUNT; octave++) {
        char name[40];
        char text[RF_OCTAVE_TEXT_SIZE];
        (void)snprintf(name, sizeof(name), "latency_from_%" PRIu64 "_ns",
                       rf_octave_low_ns(octave)); /* 11 digits at most */
        if (rf_octave_format(&octaves, octave, text) > 0) {
            add_text(rows, name, text);
        }
    }
}

static uint64_t count_requests(const struct rf_server_counters *counters)
{
    return rf_counter_get(&counters->requests_match) +
           rf_counter_get(&counters->requests_match_many) +
           rf_counter_get(&counters->requests_owners) +
           rf_counter_get(&counters->requests_members) +
           rf_counter_get(&counters->requests_groups) + rf_counter_get(&counters->requests_info) +
           rf_counter_get(&counters->requests_ping) + rf_counter_get(&counters->requests_watch);
}

/* One line for each, as there may be many. */
static void add_workers(struct rows *rows, const struct rf_info_source *source)
{
    for (unsigned i = 0; i < source->workers_count; i++) {
        const struct rf_server_counters *counters = source->counters[i];
        char name[16];
        char text[WORKER_TEXT_SIZE];
        (void)snprintf(name, sizeof(name), "worker_%u", i);
        int size = snprintf(
            text, sizeof(text),
            "requests=%" PRIu64 " keys=%" PRIu64 " batches=%" PRIu64 " connections=%" PRIu64
            " watches=%" PRIu64 " received=%" PRIu64 " sent=%" PRIu64 " blocked=%" PRIu64,
            count_requests(counters), rf_counter_get(&counters->keys_matched),
            rf_counter_get(&counters->batches), rf_counter_get(&counters->connections_open),
            rf_counter_get(&counters->watches_open), rf_counter_get(&counters->bytes_received),
            rf_counter_get(&counters->bytes_sent), rf_counter_get(&counters->waits_blocked));
        RF_ASSERT(size > 0 && (size_t)size < sizeof(text));
        add_text(rows, name, text);
    }
}

size_t rf_info_reply_size_max(const struct rf_info_source *source)
{
    return RF_INFO_REPLY_SIZE_MAX + (size_t)source->workers_count * RF_INFO_WORKER_SIZE_MAX;
}

size_t rf_info_reply_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                            const struct rf_info_source *source, const struct rf_catalog *catalog,
                            uint64_t now_ns)
{
    struct rows rows;
    rows.code = rf_wire_info_reply_begin(&rows.list, out, out_size, request_id);
    char digest[17];
    (void)snprintf(digest, sizeof(digest), "%016" PRIx64, catalog->digest);
    add_text(&rows, "program_version", source->program_version);
    add_text(&rows, "node", source->node_id);
    char instance[17];
    (void)snprintf(instance, sizeof(instance), "%016" PRIx64, source->instance);
    add_text(&rows, "instance", instance);
    add_u64(&rows, "version", catalog->version);
    add_text(&rows, "digest", digest);
    add_text(&rows, "placement", rf_placement_name(catalog->placement));
    add_u64(&rows, "groups", catalog->groups_count);
    add_u64(&rows, "members", catalog->members_count);
    add_u64(&rows, "alive", catalog->alive_count);
    add_text(&rows, "engine", source->engine);
    add_text(&rows, "engine_reason", source->engine_reason);
    add_u64(&rows, "workers", source->workers_count);
    add_u64(&rows, "connections_max", source->connections_max);
    add_u64(&rows, "uptime_ms", (now_ns - source->started_ns) / 1000000);
    for (int i = 0; i < RF_SERVER_VIEWS_MAX; i++) {
        add_others(&rows, &source->others[i]);
    }
    add_counters(&rows, source);
    add_latency(&rows, source);
    add_workers(&rows, source);
    return rows.code == 0 ? rf_wire_list_end(&rows.list, false) : 0;
}
