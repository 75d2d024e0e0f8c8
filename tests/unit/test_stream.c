/* SPDX-License-Identifier: MIT
 *
 * test_stream.c - the parser of streams: bytes in any pieces, limits, and memory that follows what
 * has arrived.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/compress.h"
#include "gossip/stream.h"
#include "tests/support/vectors.h"

static const struct rf_envelope plain_envelope;

static int feed(struct rf_stream_parser *parser, const struct rf_envelope *envelope,
                enum rf_stream_role role, const uint8_t *data, size_t size, size_t piece)
{
    rf_stream_parser_init(parser, envelope, role);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < size; at += piece) {
        rc = rf_stream_parser_feed(parser, data + at, piece < size - at ? piece : size - at);
    }
    return rc;
}

/* The verdict on a request to a node without key and label, whole; and in bytes the same. */
static int verdict(const struct rf_packer *request)
{
    struct rf_stream_parser parser;
    assert_false(request->is_full);
    int whole = feed(&parser, &plain_envelope, RF_STREAM_REQUEST, request->data, request->size,
                     request->size);
    rf_stream_parser_fini(&parser);
    int bytes = feed(&parser, &plain_envelope, RF_STREAM_REQUEST, request->data, request->size, 1);
    rf_stream_parser_fini(&parser);
    assert_int_equal(whole < 0, bytes < 0);
    assert_int_equal(whole == 1, bytes == 1);
    return whole;
}

static bool is_good_stream(const struct vector *vector)
{
    return vector_has(vector, "stream-") &&
           (vector_has(vector, ".reply") || strncmp(vector->name, "neg-", 4) != 0);
}

static void streams_fed_byte_by_byte_end_with_their_last_byte(void **state)
{
    (void)state;
    int count = 0;
    for (struct vector *at = NULL; (at = vectors_next("", at)) != NULL;) {
        if (!is_good_stream(at)) {
            continue;
        }
        struct cluster cluster;
        cluster_init_for(&cluster, at);
        struct rf_stream_parser parser;
        rf_stream_parser_init(&parser, &cluster.envelope, vector_role(at));
        for (size_t i = 0; i < at->size; i++) {
            int rc = rf_stream_parser_feed(&parser, at->data + i, 1);
            if (rc != (i + 1 == at->size)) {
                fail_msg("%s: %d after %zu of %zu bytes", at->name, rc, i + 1, at->size);
            }
        }
        rf_stream_parser_fini(&parser);
        cluster_fini(&cluster);
        count++;
    }
    assert_int_equal(count, 19 + 18 + 3);
}

static void streams_cut_anywhere_ask_for_more_and_go_on_with_the_rest(void **state)
{
    (void)state;
    for (struct vector *at = NULL; (at = vectors_next("", at)) != NULL;) {
        if (!is_good_stream(at)) {
            continue;
        }
        struct cluster cluster;
        cluster_init_for(&cluster, at);
        /* Every length; of the two that are large, every 13th. */
        for (size_t cut = 1; cut<at->size; cut += at->size> 4096 ? 13 : 1) {
            struct rf_stream_parser parser;
            rf_stream_parser_init(&parser, &cluster.envelope, vector_role(at));
            assert_int_equal(rf_stream_parser_feed(&parser, at->data, cut), 0);
            assert_int_equal(rf_stream_parser_feed(&parser, at->data + cut, at->size - cut), 1);
            rf_stream_parser_fini(&parser);
        }
        cluster_fini(&cluster);
    }
    vectors_free();
}

static void bytes_behind_the_message_are_ignored(void **state)
{
    (void)state;
    uint8_t data[64];
    struct rf_packer packer = rf_packer(data, sizeof(data));
    assert_true(rf_user_msg_encode(rf_slice_text("hello"), &packer) > 0);
    rf_pack_bytes(&packer, rf_slice_text("and more"));
    struct rf_stream_parser parser;
    rf_stream_parser_init(&parser, &plain_envelope, RF_STREAM_REQUEST);
    assert_int_equal(rf_stream_parser_feed(&parser, data, packer.size), 1);
    assert_int_equal(rf_stream_parser_feed(&parser, data, packer.size), 1);
    assert_true(rf_slice_equal_text(rf_stream_parser_message(&parser)->user, "hello"));
    rf_stream_parser_fini(&parser);
    rf_stream_parser_fini(&parser);
}

static void lengths_reserve_no_memory(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_init(&cluster, "K32", false);
    /* A frame of 20 MiB; a user message of 20 MiB; a push/pull of a million nodes. */
    static const uint8_t frame[] = {0x0a, 0x01, 0x40, 0x00, 0x00, 0x01};
    static const uint8_t user[] = "\x08\x81\xaaUserMsgLen\xce\x01\x40\x00\x00";
    static const uint8_t nodes[] = "\x06\x82\xa5Nodes\xce\x00\x10\x00\x00\xacUserStateLen\x00";
    static const uint8_t compress[] = "\x09\x82\xa4"
                                      "Algo\x00\xa3"
                                      "Buf\xdb\x01\x40\x00\x00";
    const struct rf_slice inputs[] = {
        rf_slice(frame, sizeof(frame)), rf_slice(user, sizeof(user) - 1),
        rf_slice(nodes, sizeof(nodes) - 1), rf_slice(compress, sizeof(compress) - 1)};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct rf_stream_parser parser;
        rf_stream_parser_init(&parser, i == 0 ? &cluster.envelope : &plain_envelope,
                              RF_STREAM_REQUEST);
        assert_int_equal(rf_stream_parser_feed(&parser, inputs[i].data, inputs[i].size), 0);
        assert_true(rf_stream_parser_memory_size(&parser) <= 512);
        rf_stream_parser_fini(&parser);
    }
    cluster_fini(&cluster);
}

static void lengths_above_their_limits_are_refused_at_once(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_init(&cluster, "K32", false);
    struct rf_stream_parser parser;
    static const uint8_t frame[] = {0x0a, 0x01, 0x40, 0x00, 0x01};
    assert_int_equal(feed(&parser, &cluster.envelope, RF_STREAM_REQUEST, frame, sizeof(frame), 1),
                     RF_ELIMIT);
    assert_int_equal(parser.refusal, RF_STREAM_REFUSAL_MALFORMED);
    rf_stream_parser_fini(&parser);
    cluster_fini(&cluster);

    uint8_t data[64];
    const struct rf_push_pull_header headers[] = {
        {.nodes_count = RF_PUSH_PULL_NODES_MAX + 1},
        {.user_state_size = RF_USER_STATE_SIZE_MAX + 1},
        {.nodes_count = INT64_MAX},
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct rf_packer packer = rf_packer(data, sizeof(data));
        assert_true(rf_push_pull_header_encode(&headers[i], &packer) > 0);
        assert_int_equal(verdict(&packer), RF_ELIMIT);
    }
    static const uint8_t negative[] = "\x06\x81\xa5Nodes\xff";
    struct rf_packer packer = rf_packer(data, sizeof(data));
    rf_pack_bytes(&packer, rf_slice(negative, sizeof(negative) - 1));
    assert_int_equal(verdict(&packer), RF_EMALFORMED);
}

static void more_nodes_than_the_bytes_can_hold_are_refused(void **state)
{
    (void)state;
    struct rf_lzw_workspace workspace;
    uint8_t data[64];
    uint8_t wrapped[128];
    struct rf_push_pull_header header = {.nodes_count = 100};
    struct rf_packer packer = rf_packer(data, sizeof(data));
    assert_true(rf_push_pull_header_encode(&header, &packer) > 0);
    assert_int_equal(verdict(&packer), 0); /* may still come */
    int size = rf_compress_encode(&workspace, rf_packer_slice(&packer), wrapped, sizeof(wrapped));
    assert_true(size > 0);
    struct rf_packer compressed = rf_packer(wrapped, sizeof(wrapped));
    compressed.size = (size_t)size;
    assert_int_equal(verdict(&compressed), RF_EMALFORMED); /* all is there */
}

static void pack_key(struct rf_packer *packer, const char *key)
{
    rf_pack_raw(packer, rf_slice_text(key));
}

/* A user message of three bytes, compressed, with `filler` bytes in an unknown field, Buf first. */
static void pack_compress(struct rf_packer *packer, size_t filler_size)
{
    static const uint8_t filler[RF_STREAM_FIELD_MAX];
    static struct rf_lzw_workspace workspace;
    uint8_t plain[32];
    uint8_t buf[64];
    struct rf_packer inner = rf_packer(plain, sizeof(plain));
    assert_true(rf_user_msg_encode(rf_slice_text("abc"), &inner) > 0);
    int size = rf_lzw_encode(&workspace, rf_packer_slice(&inner), buf, sizeof(buf));
    assert_true(size > 0);
    rf_pack_byte(packer, RF_MESSAGE_COMPRESS);
    rf_pack_map(packer, 3);
    pack_key(packer, "Buf");
    rf_pack_raw(packer, rf_slice(buf, (size_t)size));
    pack_key(packer, "Future");
    rf_pack_array(packer, 2);
    rf_pack_nil(packer);
    rf_pack_raw(packer, rf_slice(filler, filler_size));
    pack_key(packer, "Algo");
    rf_pack_uint(packer, 0);
}

static void compress_takes_its_fields_in_any_order_and_unknown_ones(void **state)
{
    (void)state;
    static uint8_t data[2 * RF_STREAM_FIELD_MAX];
    struct rf_packer packer = rf_packer(data, sizeof(data));
    pack_compress(&packer, 100);
    assert_int_equal(verdict(&packer), 1);
    /* An unknown field that is larger than any field may be, whole or in pieces. */
    packer = rf_packer(data, sizeof(data));
    pack_compress(&packer, RF_STREAM_FIELD_MAX);
    assert_int_equal(verdict(&packer), RF_EMALFORMED);
    /* As an array, in declared order: Algo, Buf (the LZW of nothing). */
    static const uint8_t empty[] = {0x09, 0x92, 0x00, 0xa3, 0x00, 0x03, 0x02};
    packer = rf_packer(data, sizeof(data));
    rf_pack_bytes(&packer, rf_slice(empty, sizeof(empty)));
    assert_int_equal(verdict(&packer), RF_EMALFORMED); /* it would kill a Go peer */
}

static void compressed_bombs_are_refused_without_unpacking_them(void **state)
{
    (void)state;
    /* Runs of one byte: the string of each code is one longer. */
    static struct rf_lzw_workspace workspace;
    size_t size = (size_t)RF_STREAM_PLAIN_MAX + 1;
    uint8_t *zeros = calloc(1, size);
    size_t out_size = size / 64;
    uint8_t *out = malloc(out_size);
    assert_non_null(zeros);
    assert_non_null(out);
    int rc = rf_compress_encode(&workspace, rf_slice(zeros, size), out, out_size);
    assert_true(rc > 0);
    struct rf_stream_parser parser;
    int code = feed(&parser, &plain_envelope, RF_STREAM_REQUEST, out, (size_t)rc, 65536);
    assert_int_equal(code, RF_ELIMIT);
    assert_true(rf_stream_parser_memory_size(&parser) <= 2 * (size_t)rc);
    rf_stream_parser_fini(&parser);
    free(out);
    free(zeros);
}

/* What is inside counts with what it is in, and what would be too much is never held. */
static void streams_hold_no_more_than_they_may(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_init(&cluster, "K32", false);
    static struct rf_lzw_workspace workspace;
    enum { BODY = 300000 };
    uint8_t *message = malloc(BODY + 64);
    uint8_t *sealed = malloc(2 * BODY);
    uint8_t *body = calloc(1, BODY);
    assert_true(message != NULL && sealed != NULL && body != NULL);
    for (size_t i = 0; i < BODY; i++) {
        body[i] = (uint8_t)(i * i / 77);
    }
    struct rf_packer packer = rf_packer(message, BODY + 64);
    assert_true(rf_user_msg_encode(rf_slice(body, BODY), &packer) > 0);
    struct rf_stream_options options = {.compress = true};
    int size = rf_stream_seal(&cluster.envelope, &options, &workspace, rf_packer_slice(&packer),
                              sealed, 2 * BODY);
    assert_true(size > 0);
    size_t needed = 0;
    for (size_t memory_max = 16384; needed == 0; memory_max += 16384) {
        struct rf_stream_parser parser;
        rf_stream_parser_init(&parser, &cluster.envelope, RF_STREAM_REQUEST);
        parser.memory_max = memory_max;
        int code = 0;
        for (int at = 0; at < size && code == 0; at += 4096) {
            int step = size - at < 4096 ? size - at : 4096;
            code = rf_stream_parser_feed(&parser, sealed + at, (size_t)step);
            assert_true(parser.memory_peak <= memory_max);
        }
        if (code == 1) {
            needed = parser.memory_peak;
            assert_true(needed >= packer.size + parser.plain_size); /* both at a time */
        } else {
            assert_int_equal(code, RF_ELIMIT);
            assert_int_equal(parser.refusal, RF_STREAM_REFUSAL_SILENT);
        }
        rf_stream_parser_fini(&parser);
    }
    assert_true(needed <= 3 * packer.size + (size_t)size);
    free(body);
    free(sealed);
    free(message);
    cluster_fini(&cluster);
}

/* 2 MiB of zeros in 2 KiB: below every limit of size, and far above what states compress to. */
static void streams_are_not_unpacked_beyond_a_ratio(void **state)
{
    (void)state;
    static struct rf_lzw_workspace workspace;
    static const size_t sizes[] = {RF_STREAM_RATIO_FREE_SIZE / 2, 2 * RF_STREAM_RATIO_FREE_SIZE};
    for (size_t i = 0; i < 2; i++) {
        uint8_t *zeros = calloc(1, sizes[i]);
        uint8_t *out = malloc(65536);
        assert_true(zeros != NULL && out != NULL);
        struct rf_packer packer = rf_packer(zeros, sizes[i]);
        rf_pack_byte(&packer, RF_MESSAGE_USER);
        int rc = rf_compress_encode(&workspace, rf_slice(zeros, sizes[i]), out, 65536);
        assert_true(rc > 0);
        struct rf_stream_parser parser;
        int code = feed(&parser, &plain_envelope, RF_STREAM_REQUEST, out, (size_t)rc, 65536);
        assert_int_equal(code, i == 0 ? RF_EMALFORMED : RF_ELIMIT);
        assert_int_equal(parser.inflated_size, i == 0 ? sizes[0] : 0);
        rf_stream_parser_fini(&parser);
        free(out);
        free(zeros);
    }
}

static struct rf_push_node_state node_named(const char *name)
{
    return (struct rf_push_node_state){
        .name = rf_slice_text(name),
        .address = {.ip = {127, 0, 0, 1}, .ip_size = 4, .port = 7946},
        .incarnation = 1,
        .vsn = {1, 5, 2, 2, 5, 4},
    };
}

static void nodes_above_a_limit_are_passed_over_and_the_others_stay(void **state)
{
    (void)state;
    static char long_name[RF_GOSSIP_NAME_SIZE_MAX + 2];
    memset(long_name, 'n', RF_GOSSIP_NAME_SIZE_MAX + 1);
    static uint8_t long_meta[RF_META_SIZE_MAX + 1];
    enum { NODES = 6 };
    struct rf_push_node_state nodes[NODES];
    for (int i = 0; i < NODES; i++) {
        nodes[i] = node_named(i % 2 == 0 ? "good" : "bad");
    }
    nodes[1].name = rf_slice_text(long_name);
    nodes[3].meta = rf_slice(long_meta, sizeof(long_meta));
    nodes[5].vsn[0] = 0;
    uint8_t data[4096];
    struct rf_packer packer = rf_packer(data, sizeof(data));
    struct rf_push_pull_header header = {.nodes_count = NODES, .user_state_size = 3, .join = true};
    assert_true(rf_push_pull_header_encode(&header, &packer) > 0);
    for (int i = 0; i < NODES; i++) {
        assert_true(rf_push_node_state_encode(&nodes[i], &packer) > 0);
    }
    rf_pack_bytes(&packer, rf_slice_text("abc"));
    struct rf_stream_parser parser;
    assert_int_equal(feed(&parser, &plain_envelope, RF_STREAM_REQUEST, data, packer.size, 10), 1);
    const struct rf_stream_message *message = rf_stream_parser_message(&parser);
    assert_true(rf_slice_equal_text(message->push_pull.user_state, "abc"));
    struct rf_unpacker list = rf_unpacker(message->push_pull.nodes);
    struct rf_push_node_state node;
    uint32_t dropped_count = 0;
    int count = 0;
    while (rf_stream_next_node(&list, &node, &dropped_count)) {
        assert_true(rf_slice_equal_text(node.name, "good"));
        count++;
    }
    assert_int_equal(count, 3);
    assert_int_equal(dropped_count, 3);
    rf_stream_parser_fini(&parser);
}

static void only_the_types_of_the_role_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *vector;
        int verdicts[3]; /* of request, reply to push/pull, reply to ping */
    } cases[] = {
        {"stream-pushpull-plain", {1, 1, RF_EUNSUPPORTED}},
        {"stream-user", {1, RF_EUNSUPPORTED, RF_EUNSUPPORTED}},
        {"stream-ping", {1, RF_EUNSUPPORTED, RF_EUNSUPPORTED}},
        {"stream-ack", {RF_EUNSUPPORTED, RF_EUNSUPPORTED, 1}},
        {"stream-err", {RF_EUNSUPPORTED, 1, RF_EUNSUPPORTED}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vector *vector = vectors_find(cases[i].vector);
        for (int role = RF_STREAM_REQUEST; role <= RF_STREAM_REPLY_PING; role++) {
            struct rf_stream_parser parser;
            assert_int_equal(feed(&parser, &plain_envelope, (enum rf_stream_role)role, vector->data,
                                  vector->size, vector->size),
                             cases[i].verdicts[role]);
            rf_stream_parser_fini(&parser);
        }
    }
    vectors_free();
}

static void labels_are_for_requests_and_must_be_ours(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_init(&cluster, NULL, true);
    static struct rf_lzw_workspace workspace;
    struct rf_stream_options options = {0};
    uint8_t message[32];
    uint8_t data[128];
    struct rf_packer packer = rf_packer(message, sizeof(message));
    assert_true(rf_user_msg_encode(rf_slice_text("abc"), &packer) > 0);
    int size = rf_stream_seal(&cluster.envelope, &options, &workspace, rf_packer_slice(&packer),
                              data, sizeof(data));
    assert_true(size > 0);
    struct rf_stream_parser parser;
    assert_int_equal(feed(&parser, &cluster.envelope, RF_STREAM_REQUEST, data, (size_t)size, 1), 1);
    rf_stream_parser_fini(&parser);
    assert_int_equal(feed(&parser, &plain_envelope, RF_STREAM_REQUEST, data, (size_t)size, 1),
                     RF_EAUTH);
    assert_int_equal(parser.refusal, RF_STREAM_REFUSAL_SILENT);
    rf_stream_parser_fini(&parser);
    assert_int_equal(
        feed(&parser, &cluster.envelope, RF_STREAM_REPLY_PUSH_PULL, data, (size_t)size, 1),
        RF_EMALFORMED);
    rf_stream_parser_fini(&parser);
    assert_int_equal(feed(&parser, &cluster.envelope, RF_STREAM_REQUEST, message, packer.size, 1),
                     RF_EAUTH);
    rf_stream_parser_fini(&parser);
    /* A proxy before us has removed it. */
    struct rf_envelope behind_proxy = cluster.envelope;
    behind_proxy.skip_label_check = true;
    assert_int_equal(feed(&parser, &behind_proxy, RF_STREAM_REQUEST, message, packer.size, 1), 1);
    rf_stream_parser_fini(&parser);
    cluster_fini(&cluster);
}

static void plaintext_is_taken_with_keys_only_if_incoming_is_not_verified(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_init(&cluster, "K16", false);
    uint8_t data[32];
    struct rf_packer packer = rf_packer(data, sizeof(data));
    assert_true(rf_user_msg_encode(rf_slice_text("abc"), &packer) > 0);
    struct rf_stream_parser parser;
    assert_int_equal(feed(&parser, &cluster.envelope, RF_STREAM_REQUEST, data, packer.size, 1),
                     RF_EAUTH);
    assert_int_equal(parser.refusal, RF_STREAM_REFUSAL_NOT_ENCRYPTED);
    rf_stream_parser_fini(&parser);
    rf_keyring_set_verify(cluster.envelope.keyring, false, true);
    assert_int_equal(feed(&parser, &cluster.envelope, RF_STREAM_REQUEST, data, packer.size, 1), 1);
    rf_stream_parser_fini(&parser);
    cluster_fini(&cluster);
}

static void sealing_needs_exactly_the_room_that_it_uses(void **state)
{
    (void)state;
    static struct rf_lzw_workspace workspace;
    uint8_t message[600];
    memset(message, 'm', sizeof(message));
    message[0] = RF_MESSAGE_USER;
    for (int variant = 0; variant < 16; variant++) {
        struct cluster cluster;
        cluster_init(&cluster, variant & 1 ? "K24" : NULL, (variant & 2) != 0);
        struct rf_stream_options options = {.compress = (variant & 4) != 0,
                                            .use_version_0 = (variant & 8) != 0};
        size_t size_max = rf_stream_sealed_size_max(&cluster.envelope, &options, sizeof(message));
        uint8_t *data = malloc(size_max);
        assert_non_null(data);
        int size = rf_stream_seal(&cluster.envelope, &options, &workspace,
                                  rf_slice(message, sizeof(message)), data, size_max);
        assert_true(size > 0 && (size_t)size <= size_max);
        for (size_t room = 0; room < (size_t)size; room++) {
            uint8_t *exact = malloc(room > 0 ? room : 1);
            assert_non_null(exact);
            assert_int_equal(rf_stream_seal(&cluster.envelope, &options, &workspace,
                                            rf_slice(message, sizeof(message)), exact, room),
                             -ENOBUFS);
            free(exact);
        }
        free(data);
        cluster_fini(&cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_fed_byte_by_byte_end_with_their_last_byte),
        cmocka_unit_test(streams_cut_anywhere_ask_for_more_and_go_on_with_the_rest),
        cmocka_unit_test(bytes_behind_the_message_are_ignored),
        cmocka_unit_test(lengths_reserve_no_memory),
        cmocka_unit_test(lengths_above_their_limits_are_refused_at_once),
        cmocka_unit_test(more_nodes_than_the_bytes_can_hold_are_refused),
        cmocka_unit_test(compress_takes_its_fields_in_any_order_and_unknown_ones),
        cmocka_unit_test(compressed_bombs_are_refused_without_unpacking_them),
        cmocka_unit_test(streams_hold_no_more_than_they_may),
        cmocka_unit_test(streams_are_not_unpacked_beyond_a_ratio),
        cmocka_unit_test(nodes_above_a_limit_are_passed_over_and_the_others_stay),
        cmocka_unit_test(only_the_types_of_the_role_are_taken),
        cmocka_unit_test(labels_are_for_requests_and_must_be_ours),
        cmocka_unit_test(plaintext_is_taken_with_keys_only_if_incoming_is_not_verified),
        cmocka_unit_test(sealing_needs_exactly_the_room_that_it_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
