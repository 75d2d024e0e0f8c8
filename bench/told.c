/* SPDX-License-Identifier: MIT */
#include "bench/told.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"

enum {
    VERSION_AT = RF_WIRE_HEADER_SIZE + 8, /* after the instance */
    MORE_AT = RF_BENCH_TOLD_HEAD_SIZE - 1,
};

int rf_bench_told_init(struct rf_bench_told *told, uint32_t watchers_count, struct rf_error *err)
{
    *told = (struct rf_bench_told){.watchers_count = watchers_count, .told_count = watchers_count};
    told->watchers = calloc(watchers_count + 1, sizeof(told->watchers[0]));
    told->times = aligned_alloc(_Alignof(struct rf_histogram), sizeof(*told->times));
    if (told->watchers == NULL || told->times == NULL) {
        rf_bench_told_fini(told);
        return rf_error_set(err, -ENOMEM, "%u watchers: out of memory", watchers_count);
    }
    rf_histogram_clear(told->times);
    return 0;
}

void rf_bench_told_fini(struct rf_bench_told *told)
{
    free(told->watchers);
    free(told->times);
    told->watchers = NULL;
    told->times = NULL;
}

void rf_bench_told_count(struct rf_bench_told *told, bool is_counting)
{
    atomic_store(&told->is_counting, is_counting);
}

void rf_bench_told_restart(struct rf_bench_told *told, uint32_t watcher)
{
    told->watchers[watcher] = (struct rf_bench_told_watcher){0};
}

/* A watcher has all of an update. */
static void on_update(struct rf_bench_told *told, uint64_t version, uint64_t now_ns,
                      uint64_t changed_ns)
{
    if (!atomic_load(&told->is_counting)) {
        told->version = version > told->version ? version : told->version;
        told->told_count = told->watchers_count;
        return;
    }
    if (version > told->version) {
        told->merged += told->told_count < told->watchers_count;
        told->version = version;
        told->changed_ns = changed_ns;
        told->told_count = 0;
    }
    /* One that was told before counting began, or catches up with what is merged, is no news. */
    if (version < told->version || told->told_count == told->watchers_count) {
        return;
    }
    told->told_count++;
    if (told->told_count == told->watchers_count) {
        rf_histogram_record(told->times, now_ns > told->changed_ns ? now_ns - told->changed_ns : 0);
    }
}

/* The head of a frame is there, as much as it has: how much of the frame is to be skipped. */
static void take_head(struct rf_bench_told *told, struct rf_bench_told_watcher *watcher,
                      uint64_t now_ns, uint64_t changed_ns)
{
    const struct rf_wire_header header = rf_wire_header_load(watcher->head);
    const uint32_t begun = watcher->head_size - RF_WIRE_HEADER_SIZE;
    watcher->left = header.payload_size > begun ? header.payload_size - begun : 0;
    watcher->head_size = 0;
    if (header.op != RF_WIRE_WATCH || header.status != RF_WIRE_OK ||
        begun < RF_BENCH_TOLD_HEAD_SIZE - RF_WIRE_HEADER_SIZE) {
        told->errors++;
    } else if (watcher->head[MORE_AT] == 0) {
        on_update(told, rf_load_le64(watcher->head + VERSION_AT), now_ns, changed_ns);
    }
}

void rf_bench_told_receive(struct rf_bench_told *told, uint32_t index, const uint8_t *data,
                           size_t size, uint64_t now_ns, uint64_t changed_ns)
{
    struct rf_bench_told_watcher *watcher = &told->watchers[index];
    while (size > 0) {
        size_t part = size < watcher->left ? size : watcher->left;
        watcher->left -= (uint32_t)part;
        data += part;
        size -= part;
        if (size == 0) {
            break;
        }
        /* An error reply may be shorter than the head of an update. */
        size_t want = RF_WIRE_HEADER_SIZE;
        if (watcher->head_size >= RF_WIRE_HEADER_SIZE) {
            want += rf_load_le32(watcher->head);
            want = want < RF_BENCH_TOLD_HEAD_SIZE ? want : RF_BENCH_TOLD_HEAD_SIZE;
        }
        part = want - watcher->head_size;
        part = size < part ? size : part;
        memcpy(watcher->head + watcher->head_size, data, part);
        watcher->head_size += (uint8_t)part;
        data += part;
        size -= part;
        bool is_whole_header =
            watcher->head_size == RF_WIRE_HEADER_SIZE && want == RF_WIRE_HEADER_SIZE;
        if (watcher->head_size == want && !(is_whole_header && rf_load_le32(watcher->head) > 0)) {
            take_head(told, watcher, now_ns, changed_ns);
        }
    }
}

struct bench_told rf_bench_told_result(const struct rf_bench_told *told)
{
    return (struct bench_told){
        .watchers_count = told->watchers_count,
        .changes_count = rf_histogram_count(told->times),
        .merged_count = told->merged,
        .p50_ns = rf_histogram_quantile_ns(told->times, 500000),
        .p99_ns = rf_histogram_quantile_ns(told->times, 990000),
        .max_ns = rf_histogram_max_ns(told->times),
    };
}
