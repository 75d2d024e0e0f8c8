/* SPDX-License-Identifier: MIT */
#include "bench/workload.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/schedule.h"
#include "core/wire.h"

enum { DRAWS = 200 * 1000 };

static const struct rf_bench_workload_config usual = {
    .protocol = RF_BENCH_REGISTRY,
    .group = "web",
    .keys_count = 1000,
    .keys_per_request = 1,
    .seed = 7,
};

static void uniform_draws_are_whole_orders_of_all_keys(void **state)
{
    (void)state;
    enum { KEYS = 100 };
    uint32_t draws[KEYS * 3 + 40];
    size_t count = sizeof(draws) / sizeof(draws[0]);
    rf_bench_draw_uniform(draws, count, KEYS, 3);
    for (size_t first = 0; first < count; first += KEYS) {
        unsigned seen[KEYS] = {0};
        size_t end = first + KEYS < count ? first + KEYS : count;
        for (size_t i = first; i < end; i++) {
            assert_in_range(draws[i], 0, KEYS - 1);
            assert_int_equal(++seen[draws[i]], 1);
        }
    }
    assert_memory_not_equal(draws, draws + KEYS, KEYS * sizeof(draws[0]));
}

static void one_key_is_drawn_again_and_again(void **state)
{
    (void)state;
    uint32_t draws[5] = {9, 9, 9, 9, 9};
    rf_bench_draw_uniform(draws, 5, 1, 1);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(draws[i], 0);
    }
    assert_int_equal(rf_bench_draw_zipf(draws, 5, 1, 0.99, 1, NULL), 0);
    assert_int_equal(draws[4], 0);
}

/* Each share against the exact law, within 5 standard deviations of what chance makes of it. */
static void zipf_draws_follow_the_law(void **state)
{
    (void)state;
    enum { KEYS = 50 };
    static uint32_t draws[DRAWS];
    const double exponents[] = {0.5, 0.99, 2.0};
    for (size_t e = 0; e < sizeof(exponents) / sizeof(exponents[0]); e++) {
        double counts[KEYS] = {0};
        double sum = 0;
        assert_int_equal(rf_bench_draw_zipf(draws, DRAWS, KEYS, exponents[e], 11, NULL), 0);
        for (size_t i = 0; i < DRAWS; i++) {
            assert_in_range(draws[i], 0, KEYS - 1);
            counts[draws[i]]++;
        }
        for (int i = 0; i < KEYS; i++) {
            sum += pow(i + 1, -exponents[e]);
        }
        for (int i = 0; i < KEYS; i++) {
            double share = pow(i + 1, -exponents[e]) / sum;
            double deviation = sqrt(DRAWS * share * (1 - share));
            assert_true(fabs(counts[i] - DRAWS * share) < 5 * deviation);
        }
    }
}

static void equal_seeds_give_equal_workloads(void **state)
{
    (void)state;
    struct rf_bench_workload a;
    struct rf_bench_workload b;
    struct rf_bench_workload c;
    struct rf_bench_workload_config other = usual;
    other.seed++;
    assert_int_equal(rf_bench_workload_init(&a, &usual, NULL), 0);
    assert_int_equal(rf_bench_workload_init(&b, &usual, NULL), 0);
    assert_int_equal(rf_bench_workload_init(&c, &other, NULL), 0);
    size_t size = (size_t)a.requests_count * a.request_size;
    assert_memory_equal(a.requests, b.requests, size);
    assert_memory_not_equal(a.requests, c.requests, size);
    rf_bench_workload_fini(&a);
    rf_bench_workload_fini(&b);
    rf_bench_workload_fini(&c);
}

static void requests_are_frames_of_one_size_with_their_position_as_id(void **state)
{
    (void)state;
    struct rf_bench_workload workload;
    assert_int_equal(rf_bench_workload_init(&workload, &usual, NULL), 0);
    assert_int_equal(workload.request_size, 32); /* group of 3 bytes, key of 16 */
    assert_true(workload.requests_count >= usual.keys_count);
    for (uint32_t i = 0; i < workload.requests_count; i++) {
        const uint8_t *frame = workload.requests + (size_t)i * workload.request_size;
        struct rf_wire_header header = rf_wire_header_load(frame);
        struct rf_wire_match_request request;
        char key[RF_BENCH_KEY_SIZE];
        assert_int_equal(header.op, RF_WIRE_MATCH);
        assert_int_equal(header.request_id, i);
        assert_int_equal(header.payload_size + RF_WIRE_HEADER_SIZE, workload.request_size);
        assert_int_equal(rf_wire_match_request_decode(frame + RF_WIRE_HEADER_SIZE,
                                                      header.payload_size, &request, NULL),
                         0);
        rf_bench_key(workload.draws[i], key);
        assert_int_equal(request.key.size, sizeof(key));
        assert_memory_equal(request.key.data, key, sizeof(key));
    }
    rf_bench_workload_fini(&workload);
}

static void requests_of_many_keys_have_the_next_draws(void **state)
{
    (void)state;
    struct rf_bench_workload_config config = usual;
    struct rf_bench_workload workload;
    config.keys_per_request = 7;
    assert_int_equal(rf_bench_workload_init(&workload, &config, NULL), 0);
    for (uint32_t i = 0; i < workload.requests_count; i++) {
        const uint8_t *frame = workload.requests + (size_t)i * workload.request_size;
        struct rf_wire_match_many_request request;
        struct rf_wire_bytes key;
        char expected[RF_BENCH_KEY_SIZE];
        assert_int_equal(rf_wire_match_many_request_decode(
                             frame + RF_WIRE_HEADER_SIZE,
                             workload.request_size - RF_WIRE_HEADER_SIZE, &request, NULL),
                         0);
        assert_int_equal(request.count, 7);
        for (uint32_t k = 0; rf_wire_keys_next(&request.keys, &key); k++) {
            rf_bench_key(workload.draws[i * 7 + k], expected);
            assert_memory_equal(key.data, expected, sizeof(expected));
        }
    }
    rf_bench_workload_fini(&workload);
}

static void requests_to_peers_are_their_own_protocol(void **state)
{
    (void)state;
    struct rf_bench_workload_config config = usual;
    struct rf_bench_workload workload;
    char key[RF_BENCH_KEY_SIZE];
    config.protocol = RF_BENCH_REDIS;
    assert_int_equal(rf_bench_workload_init(&workload, &config, NULL), 0);
    rf_bench_key(workload.draws[0], key);
    assert_memory_equal(workload.requests, "*2\r\n$3\r\nGET\r\n$16\r\nkey:0000", 26);
    assert_memory_equal(workload.requests + 18, key, sizeof(key));
    assert_memory_equal(workload.requests + workload.request_size - 2, "\r\n*2", 4);
    rf_bench_workload_fini(&workload);
    config.protocol = RF_BENCH_MEMCACHED;
    assert_int_equal(rf_bench_workload_init(&workload, &config, NULL), 0);
    rf_bench_key(workload.draws[0], key);
    assert_memory_equal(workload.requests, "mg key:", 7);
    assert_memory_equal(workload.requests + 3, key, sizeof(key));
    assert_memory_equal(workload.requests + workload.request_size - 4, " v\r\nmg", 6);
    rf_bench_workload_fini(&workload);
}

static void what_cannot_be_asked_is_refused(void **state)
{
    (void)state;
    struct rf_bench_workload workload;
    struct rf_error err = {0};
    struct rf_bench_workload_config config = usual;
    config.keys_count = 0;
    assert_int_equal(rf_bench_workload_init(&workload, &config, &err), -EINVAL);
    config = usual;
    config.keys_per_request = RF_WIRE_KEYS_MAX + 1;
    assert_int_equal(rf_bench_workload_init(&workload, &config, &err), -EINVAL);
    assert_non_null(strstr(err.text, "1..1024"));
    config.keys_per_request = 2;
    config.protocol = RF_BENCH_REDIS;
    assert_int_equal(rf_bench_workload_init(&workload, &config, &err), -EINVAL);
    config = usual;
    config.group = "";
    assert_int_equal(rf_bench_workload_init(&workload, &config, &err), -EINVAL);
}

/* ---- open loop ---- */

static void requests_of_all_threads_are_due_evenly(void **state)
{
    (void)state;
    const struct rf_bench_schedule one = {1000, 200 * 1000, 0, 1};
    const struct rf_bench_schedule threads[] = {
        {1000, 200 * 1000, 0, 3}, {1000, 200 * 1000, 1, 3}, {1000, 200 * 1000, 2, 3}};
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(rf_bench_due_ns(&one, i), 1000 + i * 5000);
        assert_int_equal(rf_bench_due_ns(&threads[i % 3], i / 3), rf_bench_due_ns(&one, i));
    }
}

/* A rate that does not divide a second neither drifts nor overflows. */
static void the_schedule_does_not_drift(void **state)
{
    (void)state;
    const uint64_t rates[] = {1, 3, 7, 999983, RF_BENCH_RATE_MAX};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        const struct rf_bench_schedule schedule = {5, rates[i], 0, 1};
        const uint64_t day_s = 24 * 60 * 60;
        assert_int_equal(rf_bench_due_ns(&schedule, 0), 5);
        assert_int_equal(rf_bench_due_ns(&schedule, rates[i] * day_s), 5 + day_s * 1000000000);
        for (uint64_t number = 0; number < 1000; number++) {
            uint64_t step =
                rf_bench_due_ns(&schedule, number + 1) - rf_bench_due_ns(&schedule, number);
            assert_in_range(step, 1000000000 / rates[i], 1000000000 / rates[i] + 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_draws_are_whole_orders_of_all_keys),
        cmocka_unit_test(one_key_is_drawn_again_and_again),
        cmocka_unit_test(zipf_draws_follow_the_law),
        cmocka_unit_test(equal_seeds_give_equal_workloads),
        cmocka_unit_test(requests_are_frames_of_one_size_with_their_position_as_id),
        cmocka_unit_test(requests_of_many_keys_have_the_next_draws),
        cmocka_unit_test(requests_to_peers_are_their_own_protocol),
        cmocka_unit_test(what_cannot_be_asked_is_refused),
        cmocka_unit_test(requests_of_all_threads_are_due_evenly),
        cmocka_unit_test(the_schedule_does_not_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
