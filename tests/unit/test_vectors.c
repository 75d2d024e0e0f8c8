/* SPDX-License-Identifier: MIT
 *
 * test_vectors.c - every recorded message decodes to its dump, is written back byte for byte where
 * it is one of ours to write, or is refused where it has to be.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/compress.h"
#include "gossip/coordinate.h"
#include "gossip/serf_message.h"
#include "gossip/tags.h"
#include "tests/support/serf_dump.h"
#include "tests/support/vectors.h"

/* Of the folder, plaintexts and replies included; a file that is missing or new shows here. */
enum { VECTORS_COUNT = 221 };

enum { OUTPUT_SIZE = 1 << 20 };

static struct rf_packet packet;
static struct rf_lzw_workspace workspace;
static uint8_t output[OUTPUT_SIZE];

static struct rf_slice bytes_of(const struct vector *vector)
{
    return rf_slice(vector->data, vector->size);
}

static void assert_bytes(const struct vector *vector, const uint8_t *data, int size)
{
    if (size < 0 || (size_t)size != vector->size || memcmp(data, vector->data, vector->size) != 0) {
        fail_msg("%s: written back as %d bytes, recorded %zu bytes, or others", vector->name, size,
                 vector->size);
    }
}

/* Ends a dump and compares it with the recorded one. */
static void assert_dump(const struct vector *vector, int rc, FILE *out, char **text)
{
    fclose(out);
    if (rc < 0) {
        fail_msg("%s: refused with %d (%s)", vector->name, rc, rf_strerror(rc));
    }
    if (vector->dump == NULL || strcmp(*text, vector->dump) != 0) {
        print_error("%s\n--- recorded\n%.3000s\n--- ours\n%.3000s\n", vector->name,
                    vector->dump == NULL ? "(no dump)" : vector->dump, *text);
        fail_msg("%s: another dump", vector->name);
    }
    free(*text);
    *text = NULL;
}

/* ---- writing back ---- */

/* codec 2 writes signed integers of 128 and more in another form, which we read but never write. */
static bool is_codec2(const struct vector *vector)
{
    return vector_has(vector, "codec2") || vector_has(vector, "query-serf0102") ||
           vector_has(vector, "query-filters-serf0102") || vector_has(vector, "relay-serf0102") ||
           vector_has(vector, "use-key-serf0102") || vector_has(vector, "join-request-serf0102") ||
           strcmp(vector->name, "live-stream-pushpull-periodic") == 0;
}

static int rewrite_serf(struct rf_slice bytes, struct rf_packer *packer)
{
    struct rf_serf_message message;
    int rc = rf_serf_message_decode(bytes, &message);
    return rc < 0 ? rc : rf_serf_message_encode(&message, packer);
}

/* Decodes and encodes one message, and all in it. */
static int rewrite_message(struct rf_slice bytes, struct rf_packer *packer);

static int rewrite_compound(struct rf_slice bytes, struct rf_packer *packer)
{
    enum { PART_SIZE_MAX = 4096, PARTS_MAX = 16 };
    static uint8_t parts_data[PARTS_MAX][PART_SIZE_MAX];
    struct rf_slice parts[PARTS_MAX];
    size_t count = 0;
    struct rf_compound compound;
    int rc = rf_compound_open(bytes, &compound);
    if (rc < 0) {
        return rc;
    }
    struct rf_slice part;
    while (rf_compound_next(&compound, &part)) {
        assert_true(count < PARTS_MAX);
        struct rf_packer part_packer = rf_packer(parts_data[count], PART_SIZE_MAX);
        rc = rewrite_message(part, &part_packer);
        if (rc < 0) {
            return rc;
        }
        parts[count++] = rf_packer_slice(&part_packer);
    }
    return rf_compound_encode(parts, count, packer);
}

static int rewrite_compress(const struct rf_compress *compress, struct rf_packer *packer)
{
    static uint8_t plain[RF_PACKET_PLAIN_MAX];
    static uint8_t again[RF_PACKET_PLAIN_MAX];
    int size = rf_compress_inflate(compress, plain, sizeof(plain));
    if (size < 0) {
        return size;
    }
    struct rf_packer inner = rf_packer(again, sizeof(again));
    int rc = rewrite_message(rf_slice(plain, (size_t)size), &inner);
    if (rc < 0) {
        return rc;
    }
    rc = rf_compress_encode(&workspace, rf_packer_slice(&inner), packer->data, packer->size_max);
    packer->size = rc < 0 ? 0 : (size_t)rc;
    return rc;
}

static int rewrite_message(struct rf_slice bytes, struct rf_packer *packer)
{
    if (bytes.data[0] == RF_MESSAGE_COMPOUND) {
        return rewrite_compound(bytes, packer);
    }
    struct rf_message message;
    int rc = rf_message_decode(bytes, &message);
    if (rc < 0) {
        return rc;
    }
    if (message.type == RF_MESSAGE_COMPRESS) {
        return rewrite_compress(&message.compress, packer);
    }
    struct rf_serf_message serf;
    if (message.type == RF_MESSAGE_USER && rf_serf_message_decode(message.user, &serf) == 0) {
        rf_pack_byte(packer, RF_MESSAGE_USER);
        rc = rf_serf_message_encode(&serf, packer);
        return rc < 0 ? rc : rc + 1;
    }
    return rf_message_encode(&message, packer);
}

/* A serf push/pull body, walked with the cursors and written again. */
static int rewrite_push_pull(struct rf_slice bytes, struct rf_packer *packer)
{
    struct rf_serf_message message;
    int rc = rf_serf_message_decode(bytes, &message);
    if (rc < 0) {
        return rc;
    }
    const struct rf_serf_push_pull *push_pull = &message.push_pull;
    struct rf_cursor slots = rf_cursor_array(push_pull->events);
    struct rf_serf_push_pull_writer writer;
    rf_serf_push_pull_begin(&writer, packer, push_pull->ltime, push_pull->event_ltime,
                            push_pull->query_ltime, slots.count);
    struct rf_serf_event_slot slot;
    uint32_t next = 0;
    uint32_t index;
    struct rf_slice name;
    struct rf_slice payload;
    while (rf_serf_next_event_slot(&slots, &slot, &index)) {
        for (; next < index; next++) {
            rf_serf_push_pull_slot_nil(&writer);
        }
        next++;
        struct rf_cursor events = rf_cursor_array(slot.events);
        rf_serf_push_pull_slot(&writer, slot.ltime, events.count);
        while (rf_serf_next_event(&events, &name, &payload)) {
            rf_serf_push_pull_event(&writer, name, payload);
        }
    }
    for (; next < slots.count; next++) {
        rf_serf_push_pull_slot_nil(&writer);
    }
    struct rf_cursor left = rf_cursor_array(push_pull->left_members);
    rf_serf_push_pull_left_members(&writer, left.count);
    while (rf_cursor_next_raw(&left, &name)) {
        rf_serf_push_pull_left_member(&writer, name);
    }
    struct rf_cursor status = rf_cursor_map(push_pull->status_ltimes);
    rf_serf_push_pull_status_ltimes(&writer, status.count);
    uint64_t ltime;
    while (rf_cursor_next_uint(&status, &name, &ltime)) {
        rf_serf_push_pull_status_ltime(&writer, name, ltime);
    }
    return rf_serf_push_pull_end(&writer);
}

/* ---- families ---- */

static void message_vectors_decode_to_their_dumps_and_back(void **state)
{
    (void)state;
    int count = 0;
    for (struct vector *at = NULL; (at = vectors_next("msg-", at)) != NULL; count++) {
        char *text;
        size_t size;
        FILE *out = open_memstream(&text, &size);
        assert_dump(at, serf_dump_message(out, "m", bytes_of(at)), out, &text);
        struct rf_packer packer = rf_packer(output, sizeof(output));
        int rc = rewrite_message(bytes_of(at), &packer);
        if (vector_has(at, "compound-truncated")) {
            assert_true(rc > 0); /* three of four parts */
        } else {
            assert_bytes(at, output, rc);
        }
    }
    assert_int_equal(count, 22);
}

/* What the envelope held, uncompressed, for sealing it again. */
static struct rf_slice packet_plain(bool *ret_is_compressed)
{
    static uint8_t plain[RF_PACKET_PLAIN_MAX];
    struct rf_message message;
    *ret_is_compressed = packet.message.data[0] == RF_MESSAGE_COMPRESS;
    if (!*ret_is_compressed) {
        return packet.message;
    }
    assert_int_equal(rf_message_decode(packet.message, &message), 0);
    int size = rf_compress_inflate(&message.compress, plain, sizeof(plain));
    assert_true(size > 0);
    return rf_slice(plain, (size_t)size);
}

static void assert_packet(const struct vector *vector)
{
    struct cluster cluster;
    cluster_init_for(&cluster, vector);
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int rc = serf_dump_packet(out, &cluster.envelope, &packet, bytes_of(vector));
    assert_dump(vector, rc, out, &text);

    bool is_compressed;
    struct rf_slice plain = packet_plain(&is_compressed);
    struct rf_packer packer = rf_packer(output, sizeof(output));
    rc = rewrite_message(plain, &packer);
    assert_true(rc > 0);
    bool is_equal = rf_slice_equal(plain, rf_packer_slice(&packer));
    if (is_equal == is_codec2(vector)) {
        fail_msg("%s: content written back %s", vector->name, is_equal ? "equal" : "otherwise");
    }
    static uint8_t sealed[RF_PACKET_SIZE_MAX];
    struct rf_packet_options options = {
        .compress = is_compressed,
        .crc = packet.has_crc,
        .use_version_0 = packet.is_encrypted && packet.crypt_version == 0,
        .nonce = packet.nonce,
    };
    rc = rf_packet_seal(&cluster.envelope, &options, &workspace, plain, sealed, sizeof(sealed));
    assert_bytes(vector, sealed, rc);
    /* Asked to compress what does not get shorter, the sender leaves it. */
    if (!is_compressed && vector_has(vector, "packet-")) {
        options.compress = true;
        rc = rf_packet_seal(&cluster.envelope, &options, &workspace, plain, sealed, sizeof(sealed));
        assert_bytes(vector, sealed, rc);
    }
    cluster_fini(&cluster);
}

static void packet_vectors_open_to_their_dumps_and_seal_to_their_bytes(void **state)
{
    (void)state;
    int count = 0;
    for (struct vector *at = NULL; (at = vectors_next("packet-", at)) != NULL; count++) {
        assert_packet(at);
    }
    assert_int_equal(count, 14);
}

static void live_packet_vectors_open_to_their_dumps_and_seal_to_their_bytes(void **state)
{
    (void)state;
    int count = 0;
    for (struct vector *at = NULL; (at = vectors_next("live-", at)) != NULL;) {
        if (!vector_has(at, "live-stream-")) {
            assert_packet(at);
            count++;
        }
    }
    assert_int_equal(count, 55);
}

/* The message of a stream, encoded again from what was decoded. */
static int rewrite_stream(const struct rf_stream_message *message, struct rf_packer *packer)
{
    if (message->type == RF_MESSAGE_USER) {
        return rf_user_msg_encode(message->user, packer);
    }
    if (message->type != RF_MESSAGE_PUSH_PULL) {
        struct rf_message small = {.type = message->type};
        if (message->type == RF_MESSAGE_PING) {
            small.ping = message->ping;
        } else if (message->type == RF_MESSAGE_ACK) {
            small.ack = message->ack;
        } else {
            small.err = message->err;
        }
        return rf_message_encode(&small, packer);
    }
    int rc = rf_push_pull_header_encode(&message->push_pull.header, packer);
    struct rf_unpacker nodes = rf_unpacker(message->push_pull.nodes);
    struct rf_push_node_state node;
    uint64_t count = 0;
    while (rc >= 0 && rf_stream_next_node(&nodes, &node, NULL)) {
        rc = rf_push_node_state_encode(&node, packer);
        count++;
    }
    assert_int_equal(count, message->push_pull.header.nodes_count);
    struct rf_slice user_state = message->push_pull.user_state;
    if (rc >= 0 && user_state.size > 0 && user_state.data[0] == RF_SERF_PUSH_PULL) {
        rc = rewrite_push_pull(user_state, packer);
    } else if (rc >= 0) {
        rf_pack_bytes(packer, user_state);
    }
    return rc < 0 ? rc : rf_packer_end(packer, 0);
}

static void assert_stream(const struct vector *vector)
{
    struct cluster cluster;
    cluster_init_for(&cluster, vector);
    struct rf_stream_parser parser;
    rf_stream_parser_init(&parser, &cluster.envelope, vector_role(vector));
    int rc = rf_stream_parser_feed(&parser, vector->data, vector->size);
    if (rc != 1) {
        fail_msg("%s: fed whole, parser says %d", vector->name, rc);
    }
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_dump(vector, serf_dump_stream(out, &parser), out, &text);

    struct rf_packer packer = rf_packer(output, sizeof(output));
    assert_true(rewrite_stream(rf_stream_parser_message(&parser), &packer) > 0);
    struct rf_stream_options options = {
        .is_reply = !parser.has_label,
        .compress = parser.is_compressed,
        .use_version_0 = parser.is_encrypted && parser.crypt_version == 0,
        .nonce = parser.nonce,
    };
    size_t sealed_size_max = rf_stream_sealed_size_max(&cluster.envelope, &options, packer.size);
    uint8_t *sealed = malloc(sealed_size_max);
    assert_non_null(sealed);
    rc = rf_stream_seal(&cluster.envelope, &options, &workspace, rf_packer_slice(&packer), sealed,
                        sealed_size_max);
    if (is_codec2(vector)) {
        assert_true(rc > 0);
        assert_false(rf_slice_equal(bytes_of(vector), rf_slice(sealed, (size_t)rc)));
    } else {
        assert_bytes(vector, sealed, rc);
    }
    free(sealed);
    rf_stream_parser_fini(&parser);
    cluster_fini(&cluster);
}

static void stream_vectors_parse_to_their_dumps_and_seal_to_their_bytes(void **state)
{
    (void)state;
    int count = 0;
    for (struct vector *at = NULL; (at = vectors_next("stream-", at)) != NULL; count++) {
        assert_stream(at);
    }
    assert_int_equal(count, 19);
}

static void live_stream_vectors_parse_to_their_dumps_and_seal_to_their_bytes(void **state)
{
    (void)state;
    int count = 0;
    for (struct vector *at = NULL; (at = vectors_next("live-stream-", at)) != NULL; count++) {
        assert_stream(at);
    }
    assert_int_equal(count, 18);
}

static int rewrite_tags(struct rf_slice meta, struct rf_packer *packer)
{
    struct rf_tag tags[16];
    size_t count = 0;
    struct rf_tags_cursor cursor = rf_tags_begin(meta);
    while (rf_tags_next(&cursor, &tags[count])) {
        count++;
    }
    return rf_tags_encode(tags, count, packer);
}

static int rewrite_filter(struct rf_slice bytes, struct rf_packer *packer)
{
    struct rf_serf_filter filter;
    int rc = rf_serf_filter_decode(bytes, &filter);
    return rc < 0 ? rc : rf_serf_filter_encode(&filter, packer);
}

static int rewrite_coordinate(struct rf_slice bytes, struct rf_packer *packer)
{
    struct rf_coordinate coordinate;
    int rc = rf_coordinate_decode(bytes, &coordinate);
    return rc < 0 ? rc : rf_coordinate_encode(&coordinate, packer);
}

static void serf_vectors_decode_to_their_dumps_and_back(void **state)
{
    (void)state;
    int count = 0;
    for (struct vector *at = NULL; (at = vectors_next("serf-", at)) != NULL; count++) {
        struct rf_slice bytes = bytes_of(at);
        struct rf_packer packer = rf_packer(output, sizeof(output));
        char *text;
        size_t size;
        FILE *out = open_memstream(&text, &size);
        int dump_rc;
        int rc;
        if (vector_has(at, "-coordinate")) {
            dump_rc = serf_dump_ack_payload(out, "ack", bytes);
            rc = rewrite_coordinate(bytes, &packer);
        } else if (vector_has(at, "-filter-")) {
            dump_rc = serf_dump_filters(out, "q", &bytes, 1);
            rc = rewrite_filter(bytes, &packer);
        } else if (vector_has(at, "-tags-")) {
            dump_rc = serf_dump_tags(out, "tags", bytes);
            rc = rewrite_tags(bytes, &packer);
        } else {
            dump_rc = serf_dump_serf(out, "m", bytes);
            rc = vector_has(at, "-pushpull") ? rewrite_push_pull(bytes, &packer)
                                             : rewrite_serf(bytes, &packer);
        }
        assert_dump(at, dump_rc, out, &text);
        assert_true(rc > 0);
        /* A bare role becomes a map when we write it. */
        if (is_codec2(at) || vector_has(at, "proto2")) {
            assert_false(rf_slice_equal(bytes, rf_packer_slice(&packer)));
        } else {
            assert_bytes(at, output, rc);
        }
    }
    assert_int_equal(count, 33);
}

/* codec 1 and codec 2 write the same content: the dumps agree, but for a nil tag map. */
static void codec2_vectors_have_the_content_of_their_codec1_twins(void **state)
{
    (void)state;
    size_t all_count;
    struct vector *all = vectors_all(&all_count);
    int count = 0;
    for (size_t i = 0; i < all_count; i++) {
        if (!vector_has(&all[i], "-codec2")) {
            continue;
        }
        char name[96];
        snprintf(name, sizeof(name), "%.*s", (int)strlen(all[i].name) - 7, all[i].name);
        struct vector *twin = vectors_find(name);
        assert_int_not_equal(memcmp(all[i].data, twin->data, twin->size), 0);
        if (vector_has(twin, "nilmap")) {
            struct rf_slice value;
            assert_false(rf_tags_find(bytes_of(&all[i]), rf_slice_text("role"), &value));
            assert_false(rf_tags_find(bytes_of(twin), rf_slice_text("role"), &value));
        } else {
            assert_string_equal(all[i].dump, twin->dump);
        }
        count++;
    }
    assert_int_equal(count, 6);
}

static void lzw_vectors_compress_and_decompress_to_the_byte(void **state)
{
    (void)state;
    int count = 0;
    for (struct vector *at = NULL; (at = vectors_next("lzw-", at)) != NULL; count++) {
        char name[128];
        snprintf(name, sizeof(name), "%s.plain", at->name);
        const struct vector *plain = vectors_find(name);
        int rc = rf_lzw_decode(bytes_of(at), output, sizeof(output));
        assert_bytes(plain, output, rc);
        assert_int_equal(rf_lzw_decode(bytes_of(at), NULL, plain->size), plain->size);
        rc = rf_lzw_encode(&workspace, bytes_of(plain), output, sizeof(output));
        assert_bytes(at, output, rc);
        assert_true(at->size <= rf_lzw_encoded_size_max(plain->size));
        /* Exactly enough room, and one byte less. */
        assert_int_equal(rf_lzw_encode(&workspace, bytes_of(plain), output, at->size), at->size);
        assert_int_equal(rf_lzw_encode(&workspace, bytes_of(plain), output, at->size - 1),
                         -ENOBUFS);
        if (plain->size > 0) {
            assert_int_equal(rf_lzw_decode(bytes_of(at), output, plain->size - 1), RF_ELIMIT);
        }
    }
    assert_int_equal(count, 15);
}

/* ---- what must be refused ---- */

/* Where a negative packet is stopped. */
enum stage { STAGE_OPEN, STAGE_UNWRAP, STAGE_DECODE, STAGE_SERF };

static void assert_refused(const struct vector *vector, const char *key, enum stage stage, int code)
{
    struct cluster cluster;
    cluster_init(&cluster, key, false);
    int rc = rf_packet_open(&packet, &cluster.envelope, vector->data, vector->size);
    struct rf_slice bytes;
    if (rc == 0) {
        assert_true(stage > STAGE_OPEN);
        bool is_delivered = rf_packet_next(&packet, &bytes);
        assert_int_equal(is_delivered, stage > STAGE_UNWRAP);
        rc = packet.dropped_code;
        struct rf_message message;
        if (is_delivered) {
            rc = rf_message_decode(bytes, &message);
            assert_int_equal(rc == 0, stage == STAGE_SERF);
            assert_false(rf_packet_next(&packet, &bytes));
        }
        struct rf_serf_message serf;
        if (stage == STAGE_SERF) {
            rc = rf_serf_message_decode(message.user, &serf);
        }
    } else {
        assert_int_equal(stage, STAGE_OPEN);
        assert_false(rf_packet_next(&packet, &bytes));
    }
    if (rc != code) {
        fail_msg("%s: %d, expected %d", vector->name, rc, code);
    }
    cluster_fini(&cluster);
}

static void negative_packets_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *key;
        enum stage stage;
        int code;
    } cases[] = {
        {"neg-crc-mismatch", NULL, STAGE_OPEN, RF_EMALFORMED},
        {"neg-crc-header-only-4", NULL, STAGE_UNWRAP, RF_EUNSUPPORTED},
        {"neg-label-zero-length", NULL, STAGE_OPEN, RF_EMALFORMED},
        {"neg-label-truncated", NULL, STAGE_OPEN, RF_EMALFORMED},
        {"neg-label-unexpected", NULL, STAGE_OPEN, RF_EAUTH},
        {"neg-unknown-type", NULL, STAGE_UNWRAP, RF_EUNSUPPORTED},
        {"neg-type-pushpull-in-packet", NULL, STAGE_UNWRAP, RF_EUNSUPPORTED},
        {"neg-compound-len-table-truncated", NULL, STAGE_UNWRAP, RF_EMALFORMED},
        {"neg-compound-empty", NULL, STAGE_UNWRAP, RF_EMALFORMED},
        {"neg-ping-truncated", NULL, STAGE_DECODE, RF_EMALFORMED},
        {"neg-ping-not-a-map", NULL, STAGE_DECODE, RF_EMALFORMED},
        {"neg-compress-unknown-algo", NULL, STAGE_UNWRAP, RF_EUNSUPPORTED},
        {"neg-compress-no-eof", NULL, STAGE_UNWRAP, RF_EMALFORMED},
        {"neg-compress-bad-code", NULL, STAGE_UNWRAP, RF_EMALFORMED},
        {"neg-compress-empty-plaintext", NULL, STAGE_UNWRAP, RF_EMALFORMED},
        {"neg-user-serf-unknown-type", NULL, STAGE_SERF, RF_EUNSUPPORTED},
        {"neg-enc-plain-packet", "K32", STAGE_OPEN, RF_EAUTH},
        {"neg-enc-wrong-key", "K32", STAGE_OPEN, RF_EAUTH},
        {"neg-enc-version-2", "K32", STAGE_OPEN, RF_EVERSION},
        {"neg-enc-too-short", "K32", STAGE_OPEN, RF_EMALFORMED},
        {"neg-enc-tag-flipped", "K32", STAGE_OPEN, RF_EAUTH},
        {"neg-enc-aad-mismatch", "K32", STAGE_OPEN, RF_EAUTH},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vector *vector = vectors_find(cases[i].name);
        vector->is_used = true;
        assert_refused(vector, cases[i].key, cases[i].stage, cases[i].code);
    }
}

static void negative_streams_are_refused_and_answered_as_recorded(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *key;
        enum rf_stream_refusal refusal;
        const char *reply;
    } cases[] = {
        {"neg-stream-plain-to-encrypting", "K32", RF_STREAM_REFUSAL_NOT_ENCRYPTED,
         "neg-stream-plain-to-encrypting.reply"},
        {"neg-stream-encrypted-to-plain", NULL, RF_STREAM_REFUSAL_NO_KEYS,
         "neg-stream-encrypted-to-plain.reply"},
        {"neg-stream-wrong-key", "K32", RF_STREAM_REFUSAL_WRONG_KEY, "neg-stream-wrong-key.reply"},
        {"neg-stream-unknown-type", NULL, RF_STREAM_REFUSAL_SILENT, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vector *vector = vectors_find(cases[i].name);
        vector->is_used = true;
        struct cluster cluster;
        cluster_init(&cluster, cases[i].key, false);
        struct rf_stream_parser parser;
        rf_stream_parser_init(&parser, &cluster.envelope, RF_STREAM_REQUEST);
        int rc = rf_stream_parser_feed(&parser, vector->data, vector->size);
        assert_true(rc < 0);
        assert_int_equal(parser.refusal, cases[i].refusal);
        assert_int_equal(rf_stream_parser_feed(&parser, vector->data, vector->size), rc);
        rf_stream_parser_fini(&parser);

        const char *text = rf_stream_refusal_text(cases[i].refusal);
        assert_int_equal(text == NULL, cases[i].reply == NULL);
        if (text != NULL) {
            struct vector *reply = vectors_find(cases[i].reply);
            reply->is_used = true;
            assert_stream(reply);
            assert_non_null(strstr(reply->dump, text));
        }
        cluster_fini(&cluster);
    }
}

static void stream_ping_for_another_node_says_for_whom_it_is(void **state)
{
    (void)state;
    struct vector *vector = vectors_find("neg-stream-ping-wrong-node");
    vector->is_used = true;
    struct rf_envelope envelope = {0};
    struct rf_stream_parser parser;
    rf_stream_parser_init(&parser, &envelope, RF_STREAM_REQUEST);
    assert_int_equal(rf_stream_parser_feed(&parser, vector->data, vector->size), 1);
    const struct rf_stream_message *message = rf_stream_parser_message(&parser);
    assert_int_equal(message->type, RF_MESSAGE_PING);
    assert_true(rf_slice_equal_text(message->ping.node, "node-b"));
    rf_stream_parser_fini(&parser);
}

static void every_vector_has_been_used(void **state)
{
    (void)state;
    size_t count;
    struct vector *all = vectors_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (!all[i].is_used) {
            fail_msg("%s: no test has used it", all[i].name);
        }
    }
    assert_int_equal(count, VECTORS_COUNT);
}

static int free_vectors(void **state)
{
    (void)state;
    vectors_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_vectors_decode_to_their_dumps_and_back),
        cmocka_unit_test(packet_vectors_open_to_their_dumps_and_seal_to_their_bytes),
        cmocka_unit_test(live_packet_vectors_open_to_their_dumps_and_seal_to_their_bytes),
        cmocka_unit_test(stream_vectors_parse_to_their_dumps_and_seal_to_their_bytes),
        cmocka_unit_test(live_stream_vectors_parse_to_their_dumps_and_seal_to_their_bytes),
        cmocka_unit_test(serf_vectors_decode_to_their_dumps_and_back),
        cmocka_unit_test(codec2_vectors_have_the_content_of_their_codec1_twins),
        cmocka_unit_test(lzw_vectors_compress_and_decompress_to_the_byte),
        cmocka_unit_test(negative_packets_are_refused),
        cmocka_unit_test(negative_streams_are_refused_and_answered_as_recorded),
        cmocka_unit_test(stream_ping_for_another_node_says_for_whom_it_is),
        cmocka_unit_test(every_vector_has_been_used),
    };
    return cmocka_run_group_tests(tests, NULL, free_vectors);
}
