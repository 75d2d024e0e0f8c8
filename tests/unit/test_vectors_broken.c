/* SPDX-License-Identifier: MIT
 *
 * test_vectors_broken.c - every truncation and every corruption of one byte of each recorded
 * message: refused or taken, but without a crash, a leak or a read past the end, which the address
 * sanitizer sees since each input lies in memory of exactly its size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/coordinate.h"
#include "gossip/lzw.h"
#include "gossip/serf_message.h"
#include "gossip/tags.h"
#include "tests/support/vectors.h"

enum {
    ALL_VALUES_SIZE_MAX = 128, /* up to here every byte takes all 255 other values */
    ALL_BITS_SIZE_MAX = 1500,  /* up to here every bit is flipped, and more; above one bit a byte */
};

static struct rf_packet packet;

static void walk_serf(struct rf_slice bytes)
{
    struct rf_serf_message message;
    if (rf_serf_message_decode(bytes, &message) < 0) {
        return;
    }
    struct rf_slice name;
    struct rf_slice value;
    if (message.type == RF_SERF_PUSH_PULL) {
        struct rf_cursor slots = rf_cursor_array(message.push_pull.events);
        struct rf_serf_event_slot slot;
        while (rf_serf_next_event_slot(&slots, &slot, NULL)) {
            struct rf_cursor events = rf_cursor_array(slot.events);
            while (rf_serf_next_event(&events, &name, &value)) {
                assert_true(value.size <= bytes.size);
            }
        }
    } else if (message.type == RF_SERF_QUERY) {
        struct rf_cursor filters = rf_cursor_array(message.query.filters);
        while (rf_cursor_next_raw(&filters, &value)) {
            struct rf_serf_filter filter;
            (void)!rf_serf_filter_decode(value, &filter);
        }
    }
}

static void walk_message(struct rf_slice bytes)
{
    struct rf_message message;
    if (rf_message_decode(bytes, &message) < 0) {
        return;
    }
    struct rf_tag tag;
    struct rf_coordinate coordinate;
    if (message.type == RF_MESSAGE_ALIVE) {
        struct rf_tags_cursor tags = rf_tags_begin(message.alive.meta);
        while (rf_tags_next(&tags, &tag)) {
            assert_true(tag.name.size <= RF_META_SIZE_MAX);
        }
    } else if (message.type == RF_MESSAGE_ACK) {
        (void)!rf_coordinate_decode(message.ack.payload, &coordinate);
    } else if (message.type == RF_MESSAGE_USER) {
        walk_serf(message.user);
    }
}

static void take_packet(const struct rf_envelope *envelope, enum rf_stream_role role,
                        struct rf_slice bytes)
{
    (void)role;
    struct rf_slice message;
    (void)!rf_packet_open(&packet, envelope, bytes.data, bytes.size);
    while (rf_packet_next(&packet, &message)) {
        walk_message(message);
    }
}

static void take_stream(const struct rf_envelope *envelope, enum rf_stream_role role,
                        struct rf_slice bytes)
{
    struct rf_stream_parser parser;
    rf_stream_parser_init(&parser, envelope, role);
    if (rf_stream_parser_feed(&parser, bytes.data, bytes.size) == 1) {
        const struct rf_stream_message *message = rf_stream_parser_message(&parser);
        if (message->type == RF_MESSAGE_PUSH_PULL) {
            struct rf_unpacker nodes = rf_unpacker(message->push_pull.nodes);
            struct rf_push_node_state node;
            while (rf_stream_next_node(&nodes, &node, NULL)) {
                assert_true(node.name.size <= RF_GOSSIP_NAME_SIZE_MAX);
            }
            walk_serf(message->push_pull.user_state);
        }
    }
    rf_stream_parser_fini(&parser);
}

/* A message, or a part of one, as whatever it may be. */
static void take_bare(const struct rf_envelope *envelope, enum rf_stream_role role,
                      struct rf_slice bytes)
{
    (void)envelope;
    (void)role;
    struct rf_tag tag;
    struct rf_tags_cursor tags = rf_tags_begin(bytes);
    while (rf_tags_next(&tags, &tag)) {
        assert_true(tag.value.size <= bytes.size);
    }
    struct rf_coordinate coordinate;
    (void)!rf_coordinate_decode(bytes, &coordinate);
    struct rf_serf_filter filter;
    (void)!rf_serf_filter_decode(bytes, &filter);
    walk_serf(bytes);
}

static void take_lzw(const struct rf_envelope *envelope, enum rf_stream_role role,
                     struct rf_slice bytes)
{
    (void)envelope;
    (void)role;
    static uint8_t plain[16384];
    int size = rf_lzw_decode(bytes, plain, sizeof(plain));
    assert_int_equal(rf_lzw_decode(bytes, NULL, sizeof(plain)), size);
}

typedef void take_function(const struct rf_envelope *envelope, enum rf_stream_role role,
                           struct rf_slice bytes);

static uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    return copy;
}

static void break_vector(const struct vector *vector, take_function *take)
{
    struct cluster cluster;
    cluster_init_for(&cluster, vector);
    enum rf_stream_role role = vector_role(vector);
    for (size_t size = 0; size < vector->size; size++) {
        uint8_t *cut = exact_copy(vector->data, size);
        take(&cluster.envelope, role, rf_slice(cut, size));
        free(cut);
    }
    uint8_t *copy = exact_copy(vector->data, vector->size);
    for (size_t i = 0; i < vector->size; i++) {
        uint8_t right = copy[i];
        int step = vector->size <= ALL_VALUES_SIZE_MAX ? 1 : 0;
        for (int value = 1; step == 1 && value < 256; value++) {
            copy[i] = (uint8_t)(right ^ value);
            take(&cluster.envelope, role, rf_slice(copy, vector->size));
        }
        for (int bit = 0; step == 0 && bit < 8; bit++) {
            if (vector->size <= ALL_BITS_SIZE_MAX || (size_t)bit == i % 8) {
                copy[i] = (uint8_t)(right ^ 1 << bit);
                take(&cluster.envelope, role, rf_slice(copy, vector->size));
            }
        }
        /* nil, the widest raw, array and map, and the extremes */
        static const uint8_t values[] = {0x00, 0xff, 0xc0, 0xdb, 0xdd, 0xdf};
        for (size_t j = 0; step == 0 && vector->size <= ALL_BITS_SIZE_MAX && j < sizeof(values);
             j++) {
            copy[i] = values[j];
            take(&cluster.envelope, role, rf_slice(copy, vector->size));
        }
        copy[i] = right;
    }
    free(copy);
    cluster_fini(&cluster);
}

static void break_all(const char *prefix, bool is_stream, take_function *take)
{
    for (struct vector *at = NULL; (at = vectors_next(prefix, at)) != NULL;) {
        if (vector_has(at, "stream-") == is_stream) {
            break_vector(at, take);
        }
    }
}

static void broken_messages_do_no_harm(void **state)
{
    (void)state;
    break_all("msg-", false, take_packet);
}

static void broken_packets_do_no_harm(void **state)
{
    (void)state;
    break_all("packet-", false, take_packet);
    break_all("live-", false, take_packet);
    break_all("neg-", false, take_packet);
}

static void broken_streams_do_no_harm(void **state)
{
    (void)state;
    break_all("stream-", true, take_stream);
    break_all("live-stream-", true, take_stream);
    break_all("neg-stream-", true, take_stream);
}

static void broken_serf_messages_do_no_harm(void **state)
{
    (void)state;
    break_all("serf-", false, take_bare);
}

static void broken_lzw_does_no_harm(void **state)
{
    (void)state;
    break_all("lzw-", false, take_lzw);
}

static void every_vector_has_been_broken(void **state)
{
    (void)state;
    size_t count;
    struct vector *all = vectors_all(&count);
    for (size_t i = 0; i < count; i++) {
        assert_true(all[i].is_used);
    }
    vectors_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_messages_do_no_harm),
        cmocka_unit_test(broken_packets_do_no_harm),
        cmocka_unit_test(broken_streams_do_no_harm),
        cmocka_unit_test(broken_serf_messages_do_no_harm),
        cmocka_unit_test(broken_lzw_does_no_harm),
        cmocka_unit_test(every_vector_has_been_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
