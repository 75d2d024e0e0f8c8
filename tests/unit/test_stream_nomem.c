/* SPDX-License-Identifier: MIT
 *
 * test_stream_nomem.c - streams and key rings when memory runs out, at each allocation in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/failing_alloc.h"
#include "tests/support/vectors.h"

static int feed_in_pieces(struct rf_stream_parser *parser, const struct vector *vector)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < vector->size; at += 100) {
        size_t left = vector->size - at;
        rc = rf_stream_parser_feed(parser, vector->data + at, left < 100 ? left : 100);
    }
    return rc;
}

static void streams_without_memory_are_closed_without_a_word(void **state)
{
    (void)state;
    struct vector *vector = vectors_find("stream-pushpull-200nodes");
    struct vector *layered = vectors_find("stream-pushpull-label-compressed-enc-v1");
    struct vector *cases[] = {vector, layered};
    for (size_t i = 0; i < 2; i++) {
        struct cluster cluster;
        cluster_init_for(&cluster, cases[i]);
        size_t failed_count = 0;
        for (int rc = 0; rc != 1; failed_count++) {
            struct rf_stream_parser parser;
            rf_stream_parser_init(&parser, &cluster.envelope, RF_STREAM_REQUEST);
            failing_alloc_in = failed_count + 1;
            rc = feed_in_pieces(&parser, cases[i]);
            failing_alloc_in = 0;
            if (rc != 1) {
                assert_int_equal(rc, -ENOMEM);
                assert_int_equal(parser.refusal, RF_STREAM_REFUSAL_SILENT);
                assert_int_equal(rf_stream_parser_feed(&parser, cases[i]->data, 1), -ENOMEM);
            }
            rf_stream_parser_fini(&parser);
        }
        /* Bytes (once or more), the decrypted and the unpacked message. */
        assert_true(failed_count > 3);
        cluster_fini(&cluster);
    }
    vectors_free();
}

static void keyring_without_memory_says_so(void **state)
{
    (void)state;
    struct rf_keyring *keyring = NULL;
    struct rf_error err = {0};
    failing_alloc_in = 1;
    assert_int_equal(rf_keyring_new(&keyring, &err), -ENOMEM);
    failing_alloc_in = 0;
    assert_null(keyring);
    assert_int_equal(err.code, -ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_without_memory_are_closed_without_a_word),
        cmocka_unit_test(keyring_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
