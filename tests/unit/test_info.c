/* SPDX-License-Identifier: MIT
 *
 * The reply to INFO where all is as large as it may be; what it says is in test_binary.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/info.h"

static struct rf_server_counters counters;
static struct rf_histogram latency;
static struct rf_counter others[RF_INFO_OTHERS_MAX];
static struct rf_counter_info others_info[RF_INFO_OTHERS_MAX];

static void fill(struct rf_counter *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rf_counter_set(&values[i], UINT64_MAX / (2 * RF_WORKERS_MAX)); /* sums have 20 digits */
    }
}

static void info_of_as_many_workers_as_there_may_be_fits_its_room(void **state)
{
    (void)state;
    static const struct rf_server_counters *counters_of_workers[RF_WORKERS_MAX];
    static const struct rf_histogram *latencies_of_workers[RF_WORKERS_MAX];
    char text[RF_INFO_TEXT_SIZE_MAX + 2];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 0; i < RF_WORKERS_MAX; i++) {
        counters_of_workers[i] = &counters;
        latencies_of_workers[i] = &latency;
    }
    fill((struct rf_counter *)&counters, RF_SERVER_COUNTERS_COUNT);
    fill(latency.buckets, RF_HISTOGRAM_BUCKETS_COUNT);
    fill(others, RF_INFO_OTHERS_MAX);
    for (size_t i = 0; i < RF_INFO_OTHERS_MAX; i++) {
        others_info[i].name = "a_counter_with_32_bytes_for_name";
    }
    const struct rf_info_source source = {
        .program_version = text,
        .node_id = text,
        .engine = text,
        .engine_reason = text,
        .workers_count = RF_WORKERS_MAX,
        .counters = counters_of_workers,
        .latencies = latencies_of_workers,
        .others = {{others_info, others, RF_INFO_OTHERS_MAX}},
    };
    const struct rf_catalog catalog = {.placement = RF_PLACEMENT_V1};
    size_t room = rf_info_reply_size_max(&source);
    assert_true(room <= RF_WIRE_REPLY_SIZE_MAX);
    uint8_t *reply = malloc(room);
    assert_non_null(reply);
    size_t size = rf_info_reply_encode(reply, room, 1, &source, &catalog, 0);
    assert_true(size > 0 && size <= room);
    struct rf_wire_info_reply decoded;
    assert_int_equal(rf_wire_info_reply_decode(reply + RF_WIRE_HEADER_SIZE,
                                               size - RF_WIRE_HEADER_SIZE, &decoded, NULL),
                     0);
    size_t workers = 0;
    struct rf_wire_info entry;
    while (rf_wire_info_next(&decoded.entries, &entry)) {
        workers += entry.name.size > 7 && memcmp(entry.name.data, "worker_", 7) == 0 ? 1 : 0;
    }
    assert_int_equal(workers, RF_WORKERS_MAX);
    assert_int_equal(rf_info_reply_encode(reply, size - 1, 1, &source, &catalog, 0), 0);
    free(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_of_as_many_workers_as_there_may_be_fits_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
