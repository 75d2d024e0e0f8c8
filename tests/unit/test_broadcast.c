/* SPDX-License-Identifier: MIT
 *
 * test_broadcast.c - the queue of rule 14.1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/broadcast.h"

static uint8_t taken_bytes[4096];
static uint16_t taken_sizes[255];

/* Takes and returns the messages as text, separated by spaces. */
static const char *take(struct rf_broadcast_queue *queue, size_t bytes, uint32_t transmit_limit)
{
    static char text[4096];
    struct rf_broadcast_sink sink = {.bytes = taken_bytes, .sizes = taken_sizes, .prefix = -1};
    struct rf_broadcast_limits limits = {
        .bytes = bytes, .overhead = 2, .count = 127, .transmit_limit = transmit_limit};
    size_t used = rf_broadcast_take(queue, &limits, &sink);
    assert_true(used <= bytes);
    assert_int_equal(used, sink.bytes_size + 2 * sink.count);
    size_t at = 0;
    size_t length = 0;
    for (size_t i = 0; i < sink.count; i++) {
        memcpy(text + length, taken_bytes + at, taken_sizes[i]);
        length += taken_sizes[i];
        at += taken_sizes[i];
        text[length++] = ' ';
    }
    text[length > 0 ? length - 1 : 0] = 0;
    rf_broadcast_check(queue);
    return text;
}

static bool put(struct rf_broadcast_queue *queue, const char *name, const char *message)
{
    bool is_queued =
        rf_broadcast_queue(queue, rf_slice_text(name), rf_slice_text(message), RF_BROADCAST_QUIET);
    rf_broadcast_check(queue);
    return is_queued;
}

static void broadcast_takes_the_least_sent_first(void **state)
{
    (void)state;
    struct rf_broadcast_queue queue;
    rf_broadcast_init(&queue, 8, 100, 1);
    put(&queue, "", "old");
    assert_string_equal(take(&queue, 100, 9), "old");
    put(&queue, "", "new");
    assert_string_equal(take(&queue, 5, 9), "new");
    put(&queue, "", "x");
    assert_string_equal(take(&queue, 100, 9), "x new old");
    rf_broadcast_fini(&queue);
}

static void broadcast_takes_the_largest_that_fits_and_of_equals_the_newest(void **state)
{
    (void)state;
    struct rf_broadcast_queue queue;
    rf_broadcast_init(&queue, 8, 100, 1);
    put(&queue, "", "aaaa");
    put(&queue, "", "bb");
    put(&queue, "", "cccccccc");
    put(&queue, "", "dd");
    assert_string_equal(take(&queue, 14, 9), "cccccccc dd"); /* 10 + 4 */
    assert_string_equal(take(&queue, 7, 9), "aaaa");
    assert_string_equal(take(&queue, 11, 9),
                        "bb aaaa"); /* least sent, then what fits of the next */
    assert_string_equal(take(&queue, 2, 9), "");
    rf_broadcast_fini(&queue);
}

static void broadcast_is_finished_when_sent_often_enough(void **state)
{
    (void)state;
    struct rf_broadcast_queue queue;
    rf_broadcast_init(&queue, 8, 100, 1);
    assert_true(
        rf_broadcast_queue(&queue, rf_slice_text("n"), rf_slice_text("bye"), RF_BROADCAST_LEAVE));
    for (int i = 0; i < 3; i++) {
        assert_false(rf_broadcast_finished(&queue, RF_BROADCAST_LEAVE));
        assert_string_equal(take(&queue, 100, 3), "bye");
    }
    assert_true(rf_broadcast_finished(&queue, RF_BROADCAST_LEAVE));
    assert_false(rf_broadcast_finished(&queue, RF_BROADCAST_LEAVE));
    assert_int_equal(queue.count, 0);
    rf_broadcast_fini(&queue);
}

static void broadcast_of_a_name_replaces_the_one_before(void **state)
{
    (void)state;
    struct rf_broadcast_queue queue;
    rf_broadcast_init(&queue, 8, 100, 1);
    assert_true(
        rf_broadcast_queue(&queue, rf_slice_text("n"), rf_slice_text("alive"), RF_BROADCAST_LEAVE));
    put(&queue, "m", "other");
    put(&queue, "n", "dead");
    assert_true(rf_broadcast_finished(&queue, RF_BROADCAST_LEAVE));
    assert_int_equal(queue.count, 2);
    assert_string_equal(take(&queue, 100, 1), "other dead");
    assert_int_equal(queue.names.count, 0);
    rf_broadcast_fini(&queue);
}

static void broadcast_drops_the_most_sent_when_full(void **state)
{
    (void)state;
    struct rf_broadcast_queue queue;
    rf_broadcast_init(&queue, 2, 100, 1);
    put(&queue, "", "first");
    assert_string_equal(take(&queue, 100, 9), "first");
    put(&queue, "", "second");
    put(&queue, "", "third");
    assert_int_equal(queue.count, 2);
    assert_int_equal(queue.dropped, 1);
    assert_string_equal(take(&queue, 100, 9), "second third");
    rf_broadcast_fini(&queue);
}

static void broadcast_that_never_fits_is_not_queued_and_counts_as_finished(void **state)
{
    (void)state;
    struct rf_broadcast_queue queue;
    rf_broadcast_init(&queue, 2, 4, 1);
    assert_false(
        rf_broadcast_queue(&queue, rf_slice(NULL, 0), rf_slice_text("12345"), RF_BROADCAST_LEAVE));
    assert_true(rf_broadcast_finished(&queue, RF_BROADCAST_LEAVE));
    assert_int_equal(queue.dropped, 1);
    assert_true(put(&queue, "", "1234"));
    rf_broadcast_fini(&queue);
}

static void broadcast_takes_no_more_than_the_count_allows(void **state)
{
    (void)state;
    struct rf_broadcast_queue queue;
    rf_broadcast_init(&queue, 200, 4, 1);
    for (int i = 0; i < 200; i++) {
        put(&queue, "", "x");
    }
    struct rf_broadcast_sink sink = {.bytes = taken_bytes, .sizes = taken_sizes, .prefix = 8};
    struct rf_broadcast_limits limits = {
        .bytes = 4000, .overhead = 3, .count = 127, .transmit_limit = 4};
    assert_int_equal(rf_broadcast_take(&queue, &limits, &sink), 127 * 4);
    assert_int_equal(sink.count, 127);
    assert_int_equal(taken_sizes[0], 2); /* with its prefix */
    assert_int_equal(taken_bytes[0], 8);
    rf_broadcast_check(&queue);
    rf_broadcast_fini(&queue);
}

static void broadcast_limit_grows_with_the_digits_of_the_cluster(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        uint32_t limit;
    } cases[] = {{0, 0}, {1, 4}, {9, 4}, {10, 8}, {99, 8}, {100, 12}, {999, 12}, {1000, 16}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(rf_broadcast_transmit_limit(4, cases[i].n), cases[i].limit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcast_takes_the_least_sent_first),
        cmocka_unit_test(broadcast_takes_the_largest_that_fits_and_of_equals_the_newest),
        cmocka_unit_test(broadcast_is_finished_when_sent_often_enough),
        cmocka_unit_test(broadcast_of_a_name_replaces_the_one_before),
        cmocka_unit_test(broadcast_drops_the_most_sent_when_full),
        cmocka_unit_test(broadcast_that_never_fits_is_not_queued_and_counts_as_finished),
        cmocka_unit_test(broadcast_takes_no_more_than_the_count_allows),
        cmocka_unit_test(broadcast_limit_grows_with_the_digits_of_the_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
