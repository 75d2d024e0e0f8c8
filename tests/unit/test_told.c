/* SPDX-License-Identifier: MIT */
#include "bench/told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"

enum { STREAM_MAX = 4096, WATCHERS = 3 };

#define MS UINT64_C(1000000)

struct stream {
    uint8_t bytes[STREAM_MAX];
    size_t size;
};

/* A page of an update, with a member or two. */
static void append_page(struct stream *stream, uint64_t version, bool more)
{
    const struct rf_wire_watch_head head = {.instance = 7, .version = version};
    const struct rf_wire_member member = {{{"web-1", 5}, {"10.0.0.1:80", 11}}, 5, RF_MEMBER_ALIVE};
    struct rf_wire_list list;
    uint8_t *at = stream->bytes + stream->size;
    assert_int_equal(rf_wire_watch_reply_begin(&list, at, STREAM_MAX - stream->size, 1, &head), 0);
    for (uint64_t i = 0; i < version % 3; i++) {
        assert_int_equal(rf_wire_watch_reply_add_member(&list, &member), 0);
    }
    stream->size += rf_wire_list_end(&list, more);
}

static void receive(struct rf_bench_told *told, uint32_t watcher, uint64_t version, uint64_t now_ns,
                    uint64_t changed_ns)
{
    struct stream stream = {.size = 0};
    append_page(&stream, version, false);
    rf_bench_told_receive(told, watcher, stream.bytes, stream.size, now_ns, changed_ns);
}

static void a_change_ends_with_the_last_watcher(void **state)
{
    (void)state;
    struct rf_bench_told told;
    assert_int_equal(rf_bench_told_init(&told, WATCHERS, NULL), 0);
    for (uint32_t i = 0; i < WATCHERS; i++) {
        receive(&told, i, 10, MS, 0); /* what there is, when they begin */
    }
    rf_bench_told_count(&told, true);
    receive(&told, 2, 11, 103 * MS, 100 * MS);
    receive(&told, 0, 11, 104 * MS, 100 * MS);
    assert_int_equal(rf_bench_told_result(&told).changes_count, 0);
    receive(&told, 1, 11, 108 * MS, 100 * MS);
    struct bench_told result = rf_bench_told_result(&told);
    assert_int_equal(result.watchers_count, WATCHERS);
    assert_int_equal(result.changes_count, 1);
    assert_int_equal(result.max_ns, 8 * MS);
    receive(&told, 0, 12, 201 * MS, 200 * MS);
    receive(&told, 0, 13, 251 * MS, 250 * MS); /* before all were told the one before */
    receive(&told, 1, 13, 252 * MS, 250 * MS);
    receive(&told, 2, 13, 253 * MS, 250 * MS);
    result = rf_bench_told_result(&told);
    assert_int_equal(result.changes_count, 2);
    assert_int_equal(result.merged_count, 1);
    assert_int_equal(result.max_ns, 8 * MS);
    rf_bench_told_count(&told, false);
    receive(&told, 0, 14, 900 * MS, 300 * MS);
    rf_bench_told_count(&told, true);
    receive(&told, 1, 14, 900 * MS, 300 * MS); /* of what was changed while nothing counted */
    receive(&told, 2, 14, 900 * MS, 300 * MS);
    result = rf_bench_told_result(&told);
    assert_int_equal(result.changes_count, 2);
    assert_int_equal(result.merged_count, 1);
    rf_bench_told_fini(&told);
}

static void updates_are_found_however_they_are_cut(void **state)
{
    (void)state;
    struct stream stream = {.size = 0};
    for (uint64_t version = 1; version <= 30; version++) {
        append_page(&stream, version, version % 5 == 0); /* of an update that goes on */
        if (version % 5 == 0) {
            append_page(&stream, version, false);
        }
        /* Shorter than the head of an update, and empty. */
        const size_t size =
            rf_wire_error_encode(stream.bytes + stream.size, STREAM_MAX - stream.size,
                                 RF_WIRE_WATCH, RF_WIRE_TOO_LARGE, 1, "no");
        stream.size += size;
        stream.size +=
            rf_wire_frame_encode(stream.bytes + stream.size, STREAM_MAX - stream.size, RF_WIRE_PING,
                                 RF_WIRE_OK, 2, (struct rf_wire_bytes){"", 0});
    }
    struct rf_random random = {.state = 1};
    for (int i = 0; i < 200; i++) {
        struct rf_bench_told told;
        assert_int_equal(rf_bench_told_init(&told, 1, NULL), 0);
        rf_bench_told_count(&told, true);
        for (size_t at = 0; at < stream.size;) {
            size_t size = 1 + rf_random_below(&random, i % 2 == 0 ? 5 : 400);
            size = size < stream.size - at ? size : stream.size - at;
            rf_bench_told_receive(&told, 0, stream.bytes + at, size, MS, 0);
            at += size;
        }
        const struct bench_told result = rf_bench_told_result(&told);
        assert_int_equal(result.changes_count, 30);
        assert_int_equal(result.merged_count, 0);
        assert_int_equal(told.errors, 60);
        rf_bench_told_fini(&told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_ends_with_the_last_watcher),
        cmocka_unit_test(updates_are_found_however_they_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
