/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "net/buffer.h"

static void buffer_is_at_least_as_large_as_asked_for(void **state)
{
    (void)state;
    struct rf_buffer_pool pool = {.size_max = 16U << 20};
    const size_t sizes[] = {1, 100, 4000, 4096, 5000, 65536, 65600, 100000, 1 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct rf_buffer *buffer = rf_buffer_get(&pool, sizes[i]);
        assert_non_null(buffer);
        assert_true(rf_buffer_room(buffer) >= sizes[i]);
        assert_int_equal(rf_buffer_used(buffer), 0);
        memset(buffer->data, 0xaa, buffer->size_max);
        rf_buffer_put(&pool, buffer);
        assert_int_equal(pool.size, 0);
    }
    rf_buffer_pool_fini(&pool);
}

static void buffer_that_was_given_back_is_used_again(void **state)
{
    (void)state;
    struct rf_buffer_pool pool = {.size_max = 1U << 20};
    struct rf_buffer *first = rf_buffer_get(&pool, 10);
    assert_non_null(first);
    first->end = 10;
    rf_buffer_put(&pool, first);
    assert_ptr_equal(rf_buffer_get(&pool, 20), first);
    assert_int_equal(rf_buffer_used(first), 0);
    rf_buffer_put(&pool, first);
    rf_buffer_pool_fini(&pool);
}

static void buffer_pool_gives_no_more_than_its_limit(void **state)
{
    (void)state;
    enum { LIMIT = 10 * RF_BUFFER_LARGE_SIZE };
    struct rf_buffer_pool pool = {.size_max = LIMIT};
    struct rf_buffer *buffers[11];
    for (int i = 0; i < 10; i++) {
        buffers[i] = rf_buffer_get(&pool, RF_BUFFER_LARGE_SIZE / 2);
        assert_non_null(buffers[i]);
    }
    assert_null(rf_buffer_get(&pool, 1));
    rf_buffer_put(&pool, buffers[9]);
    assert_null(rf_buffer_get(&pool, RF_BUFFER_LARGE_SIZE));
    buffers[9] = rf_buffer_get(&pool, 1);
    assert_non_null(buffers[9]);
    for (int i = 0; i < 10; i++) {
        rf_buffer_put(&pool, buffers[i]);
    }
    assert_true(pool.size == 0);
    rf_buffer_pool_fini(&pool);
}

static void buffer_keeps_what_is_appended_in_order(void **state)
{
    (void)state;
    enum { SIZE = 200000 };
    static uint8_t data[SIZE];
    for (size_t i = 0; i < SIZE; i++) {
        data[i] = (uint8_t)(i * 7 + i / 256);
    }
    struct rf_buffer_pool pool = {.size_max = 4U << 20};
    struct rf_buffer *buffer = NULL;
    struct rf_random random = {42};
    size_t appended = 0;
    size_t taken = 0;
    while (taken < SIZE) {
        size_t piece = rf_random_below(&random, 3000);
        piece = piece > SIZE - appended ? SIZE - appended : piece;
        if (piece > 0) {
            assert_true(rf_buffer_append(&pool, &buffer, data + appended, piece));
        }
        appended += piece;
        size_t part = rf_random_below(&random, rf_buffer_used(buffer) + 1);
        part = appended == SIZE ? rf_buffer_used(buffer) : part;
        if (part > 0) {
            assert_memory_equal(buffer->data + buffer->begin, data + taken, part);
            buffer->begin += (uint32_t)part;
        }
        taken += part;
    }
    rf_buffer_put(&pool, buffer);
    rf_buffer_pool_fini(&pool);
}

static void buffer_append_over_the_limit_changes_nothing(void **state)
{
    (void)state;
    static const uint8_t data[100000] = {1, 2, 3};
    struct rf_buffer_pool pool = {.size_max = 2 * RF_BUFFER_SMALL_SIZE};
    struct rf_buffer *buffer = NULL;
    assert_true(rf_buffer_append(&pool, &buffer, data, 1000));
    struct rf_buffer *before = buffer;
    assert_false(rf_buffer_append(&pool, &buffer, data, sizeof(data)));
    assert_ptr_equal(buffer, before);
    assert_int_equal(rf_buffer_used(buffer), 1000);
    assert_memory_equal(buffer->data, data, 1000);
    rf_buffer_put(&pool, buffer);
    rf_buffer_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_is_at_least_as_large_as_asked_for),
        cmocka_unit_test(buffer_that_was_given_back_is_used_again),
        cmocka_unit_test(buffer_pool_gives_no_more_than_its_limit),
        cmocka_unit_test(buffer_keeps_what_is_appended_in_order),
        cmocka_unit_test(buffer_append_over_the_limit_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
