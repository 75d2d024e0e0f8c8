/* SPDX-License-Identifier: MIT */
#include "net/info.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/assert.h"
#include "core/ring.h"

/* 12 texts and 20 numbers, with names of at most 32 bytes, besides the counters. */
static_assert(RF_WIRE_HEADER_SIZE + 2 + 12 * (36 + RF_INFO_TEXT_SIZE_MAX) +
                      (20 + RF_SERVER_COUNTERS_COUNT + RF_INFO_OTHERS_MAX) * (36 + 8) <=
                  RF_INFO_REPLY_SIZE_MAX,
              "every row fits");

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
    return rows.code == 0 ? rf_wire_list_end(&rows.list, false) : 0;
}
