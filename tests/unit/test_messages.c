/* SPDX-License-Identifier: MIT
 *
 * test_messages.c - the msgpack profile and the messages made of it: every form that a peer may
 * send, and the limits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/message.h"
#include "gossip/serf_message.h"
#include "gossip/tags.h"

static uint8_t output[8192];

/* A literal, with its NULs and without the last one. */
#define BYTES(literal) rf_slice((literal), sizeof(literal) - 1)

static int decode_ping(struct rf_slice body, struct rf_ping *ret_ping)
{
    uint8_t bytes[512] = {RF_MESSAGE_PING};
    memcpy(bytes + 1, body.data, body.size);
    struct rf_message message;
    int rc = rf_message_decode(rf_slice(bytes, 1 + body.size), &message);
    if (rc == 0) {
        *ret_ping = message.ping;
        ret_ping->node = rf_slice(NULL, message.ping.node.size); /* `bytes` is ours */
    }
    return rc;
}

static void integers_are_taken_in_every_form_and_written_in_the_shortest(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        uint64_t value;
    } forms[] = {
        {"\x05", 1, 5},
        {"\xcc\x05", 2, 5},
        {"\xcd\x00\x05", 3, 5},
        {"\xce\x00\x00\x00\x05", 5, 5},
        {"\xcf\x00\x00\x00\x00\x00\x00\x00\x05", 9, 5},
        {"\xd0\x05", 2, 5},
        {"\xd1\x1f\x0a", 3, 7946},
        {"\xd2\x7f\xff\xff\xff", 5, INT32_MAX},
        {"\xd3\x00\x00\x00\x00\xff\xff\xff\xff", 9, UINT32_MAX},
        {"\xc0", 1, 0},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct rf_unpacker unpacker = rf_unpacker(rf_slice(forms[i].bytes, forms[i].size));
        uint64_t value = 99;
        assert_int_equal(rf_unpack_uint(&unpacker, UINT64_MAX, &value), 0);
        assert_int_equal(value, forms[i].value);
        assert_int_equal(rf_unpacker_left(&unpacker), 0);
        for (size_t cut = 0; cut < forms[i].size; cut++) {
            unpacker = rf_unpacker(rf_slice(forms[i].bytes, cut));
            assert_int_equal(rf_unpack_uint(&unpacker, UINT64_MAX, &value), RF_EMORE);
            assert_int_equal(unpacker.offset, 0);
        }
    }
    static const struct {
        uint64_t value;
        size_t size;
    } sizes[] = {{0, 1},     {127, 1},   {128, 2},        {255, 2},        {256, 3},
                 {65535, 3}, {65536, 5}, {UINT32_MAX, 5}, {1ull << 32, 9}, {UINT64_MAX, 9}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct rf_packer packer = rf_packer(output, sizeof(output));
        rf_pack_uint(&packer, sizes[i].value);
        assert_int_equal(packer.size, sizes[i].size);
        struct rf_unpacker unpacker = rf_unpacker(rf_packer_slice(&packer));
        uint64_t value;
        assert_int_equal(rf_unpack_uint(&unpacker, UINT64_MAX, &value), 0);
        assert_true(value == sizes[i].value);
    }
}

static void integers_that_are_negative_too_wide_or_none_are_refused(void **state)
{
    (void)state;
    struct rf_ping ping;
    assert_int_equal(decode_ping(BYTES("\x81\xa5SeqNo\xff"), &ping), RF_EMALFORMED);
    assert_int_equal(decode_ping(BYTES("\x81\xa5SeqNo\xd1\xff\xff"), &ping), RF_EMALFORMED);
    assert_int_equal(decode_ping(BYTES("\x81\xa5SeqNo\xcb\x3f\xf0\0\0\0\0\0\0"), &ping),
                     RF_EMALFORMED);
    assert_int_equal(decode_ping(BYTES("\x81\xa5SeqNo\xa1\x35"), &ping), RF_EMALFORMED);
    assert_int_equal(decode_ping(BYTES("\x81\xa5SeqNo\xcf\0\0\0\x01\0\0\0\0"), &ping), RF_ELIMIT);
    assert_int_equal(decode_ping(BYTES("\x81\xaaSourcePort\xce\0\x01\0\0"), &ping), RF_ELIMIT);
    assert_int_equal(decode_ping(BYTES("\x81\xa5SeqNo\xc1"), &ping), RF_EMALFORMED);
}

static void structs_are_taken_in_every_form(void **state)
{
    (void)state;
    struct rf_ping ping;
    /* In another order, with unknown fields of every kind, and what follows is ignored. */
    assert_int_equal(decode_ping(BYTES("\x88\xa1"
                                       "a\x93\xc3\x81\xa1x\x90\xd8"
                                       "0123456789abcdef0"
                                       "\xa1"
                                       "b\xc7\x02\x01zz\xa1"
                                       "c\xcb\0\0\0\0\0\0\0\0\xa1"
                                       "d\xd4\x01z\xa1"
                                       "e\xc0\xa1"
                                       "f\xc6\0\0\0\x01z\xa5SeqNo\x07\xa4Node\xd9\x01n"
                                       "trailing"),
                                 &ping),
                     0);
    assert_int_equal(ping.seq_no, 7);
    assert_int_equal(ping.node.size, 1);
    /* As an array in declared order, shorter and longer than the struct. */
    assert_int_equal(decode_ping(BYTES("\x91\x07"), &ping), 0);
    assert_int_equal(ping.seq_no, 7);
    assert_int_equal(
        decode_ping(BYTES("\x97\x07\xa1n\xa4\x7f\0\0\x01\xcd\x1f\x0a\xa1s\xc0\x90"), &ping), 0);
    assert_int_equal(ping.source.port, 7946);
    assert_int_equal(ping.source.ip_size, 4);
    /* With map16, nil fields, and the last of two equal keys. */
    assert_int_equal(decode_ping(BYTES("\xde\0\x03\xa5SeqNo\x07\xa5SeqNo\x08\xa4Node\xc0"), &ping),
                     0);
    assert_int_equal(ping.seq_no, 8);
    assert_int_equal(ping.node.size, 0);
    /* A name in the wrong case is an unknown field. */
    assert_int_equal(decode_ping(BYTES("\x81\xa5seqno\x07"), &ping), 0);
    assert_int_equal(ping.seq_no, 0);
    /* Neither map nor array; a key that is no string; more entries than there are bytes. */
    assert_int_equal(decode_ping(BYTES("\x07"), &ping), RF_EMALFORMED);
    assert_int_equal(decode_ping(BYTES("\xc0"), &ping), RF_EMALFORMED);
    assert_int_equal(decode_ping(BYTES("\x81\x07\x07"), &ping), RF_EMALFORMED);
    assert_int_equal(decode_ping(BYTES("\xdf\xff\xff\xff\xff\xa1"), &ping), RF_EMALFORMED);
}

static void nesting_is_taken_to_its_limit_and_no_deeper(void **state)
{
    (void)state;
    for (int depth = 1; depth <= RF_MSGPACK_DEPTH_MAX + 2; depth++) {
        uint8_t bytes[64];
        memset(bytes, 0x91, (size_t)depth);
        bytes[depth] = 0x07;
        struct rf_unpacker unpacker = rf_unpacker(rf_slice(bytes, (size_t)depth + 1));
        assert_int_equal(rf_unpack_skip(&unpacker),
                         depth <= RF_MSGPACK_DEPTH_MAX ? 0 : RF_EMALFORMED);
    }
}

static void structs_with_too_many_fields_are_refused(void **state)
{
    (void)state;
    for (uint32_t count = RF_MSGPACK_FIELDS_MAX; count <= RF_MSGPACK_FIELDS_MAX + 1; count++) {
        struct rf_packer packer = rf_packer(output, sizeof(output));
        rf_pack_byte(&packer, RF_MESSAGE_NACK);
        rf_pack_map(&packer, count);
        for (uint32_t i = 0; i < count; i++) {
            rf_pack_raw(&packer, rf_slice_text("x"));
            rf_pack_nil(&packer);
        }
        struct rf_message message;
        assert_int_equal(rf_message_decode(rf_packer_slice(&packer), &message),
                         count <= RF_MSGPACK_FIELDS_MAX ? 0 : RF_EMALFORMED);
    }
}

static struct rf_message alive_named(const char *name)
{
    return (struct rf_message){
        .type = RF_MESSAGE_ALIVE,
        .alive = {.incarnation = 1,
                  .node = rf_slice_text(name),
                  .address = {.ip = {127, 0, 0, 1}, .ip_size = 4, .port = 7946},
                  .vsn = {1, 5, 2, 2, 5, 4}},
    };
}

static int recode(const struct rf_message *message)
{
    struct rf_packer packer = rf_packer(output, sizeof(output));
    struct rf_message decoded;
    assert_true(rf_message_encode(message, &packer) > 0);
    return rf_message_decode(rf_packer_slice(&packer), &decoded);
}

static void alive_beyond_a_limit_is_refused(void **state)
{
    (void)state;
    static char name[RF_GOSSIP_NAME_SIZE_MAX + 2];
    static uint8_t meta[RF_META_SIZE_MAX + 1];
    memset(name, 'n', RF_GOSSIP_NAME_SIZE_MAX);
    struct rf_message message = alive_named(name);
    message.alive.meta = rf_slice(meta, RF_META_SIZE_MAX);
    assert_int_equal(recode(&message), 0);
    message.alive.meta.size++;
    assert_int_equal(recode(&message), RF_ELIMIT);
    name[RF_GOSSIP_NAME_SIZE_MAX] = 'n';
    message = alive_named(name);
    assert_int_equal(recode(&message), RF_ELIMIT);
    message = alive_named("");
    assert_int_equal(recode(&message), RF_ELIMIT);
    static const uint8_t ip_sizes[] = {0, 1, 3, 5, 15};
    for (size_t i = 0; i < sizeof(ip_sizes); i++) {
        message = alive_named("n");
        message.alive.address.ip_size = ip_sizes[i];
        assert_int_equal(recode(&message), RF_ELIMIT);
    }
    message = alive_named("n");
    message.alive.address.ip_size = 16;
    assert_int_equal(recode(&message), 0);
}

static void versions_out_of_order_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t vsn[RF_VSN_SIZE];
        bool is_valid;
    } cases[] = {
        {{1, 5, 2, 2, 5, 4}, true},  {{1, 5, 2, 0, 0, 0}, true},  {{1, 5, 1, 2, 5, 5}, true},
        {{0, 5, 2, 2, 5, 4}, false}, {{1, 0, 2, 2, 5, 4}, false}, {{3, 2, 2, 2, 5, 4}, false},
        {{1, 5, 6, 2, 5, 4}, false}, {{1, 5, 0, 2, 5, 4}, false}, {{1, 5, 2, 2, 5, 6}, false},
        {{1, 5, 2, 2, 5, 1}, false}, {{1, 5, 2, 5, 2, 3}, false}, {{0, 0, 0, 0, 0, 0}, false},
    };
    assert_true(rf_vsn_is_valid(rf_vsn_ours));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rf_message message = alive_named("n");
        memcpy(message.alive.vsn, cases[i].vsn, RF_VSN_SIZE);
        assert_int_equal(rf_vsn_is_valid(cases[i].vsn), cases[i].is_valid);
        assert_int_equal(recode(&message), cases[i].is_valid ? 0 : RF_ELIMIT);
    }
    /* Of any other length it would end a Go peer. */
    for (size_t size = 0; size <= 8; size++) {
        struct rf_packer packer = rf_packer(output, sizeof(output));
        rf_pack_bytes(&packer, BYTES("\x04\x83\xa4Node\xa1n\xa4"
                                     "Addr\xa4\x7f\0\0\x01\xa3Vsn"));
        rf_pack_raw(&packer, rf_slice("\x01\x05\x02\x02\x05\x04\0\0", size));
        struct rf_message message;
        assert_int_equal(rf_message_decode(rf_packer_slice(&packer), &message),
                         size == RF_VSN_SIZE ? 0 : RF_ELIMIT);
    }
}

static void encoding_without_room_leaves_the_packer_as_it_was(void **state)
{
    (void)state;
    struct rf_message message = alive_named("node");
    struct rf_packer counting = rf_packer_counting();
    int size = rf_message_encode(&message, &counting);
    assert_true(size > 0 && counting.size == (size_t)size);
    for (size_t room = 0; room < (size_t)size; room++) {
        uint8_t *exact = malloc(room + 1);
        assert_non_null(exact);
        struct rf_packer packer = rf_packer(exact, room + 1);
        rf_pack_byte(&packer, 0x2a);
        assert_int_equal(rf_message_encode(&message, &packer), -ENOBUFS);
        assert_int_equal(packer.size, 1);
        assert_false(packer.is_full);
        free(exact);
    }
}

/* ---- serf ---- */

static void filters_that_cannot_be_read_do_not_spoil_their_query(void **state)
{
    (void)state;
    const struct rf_slice filters[] = {rf_slice("", 0), BYTES("\x02\x90"), BYTES("\x00\x07"),
                                       BYTES("\x00\x92\xa1"), BYTES("\x01\x81\xa3Tag\xa1r")};
    static const int codes[] = {RF_EMALFORMED, RF_EUNSUPPORTED, RF_EMALFORMED, RF_EMALFORMED, 0};
    uint8_t list[128];
    struct rf_packer list_packer = rf_packer(list, sizeof(list));
    assert_true(rf_pack_raws(&list_packer, filters, 5) > 0);
    struct rf_serf_message query = {
        .type = RF_SERF_QUERY,
        .query = {.name = rf_slice_text("q"), .filters = rf_packer_slice(&list_packer)}};
    struct rf_packer packer = rf_packer(output, sizeof(output));
    assert_true(rf_serf_message_encode(&query, &packer) > 0);
    struct rf_serf_message decoded;
    assert_int_equal(rf_serf_message_decode(rf_packer_slice(&packer), &decoded), 0);
    struct rf_cursor cursor = rf_cursor_array(decoded.query.filters);
    struct rf_slice bytes;
    for (int i = 0; i < 5; i++) {
        struct rf_serf_filter filter;
        assert_true(rf_cursor_next_raw(&cursor, &bytes));
        assert_int_equal(rf_serf_filter_decode(bytes, &filter), codes[i]);
    }
    assert_false(rf_cursor_next_raw(&cursor, &bytes));
}

static void lists_with_entries_of_another_kind_are_refused(void **state)
{
    (void)state;
    const struct {
        struct rf_slice bad;
        struct rf_slice good;
    } bodies[] = {
        {BYTES("\x02\x81\xabLeftMembers\x91\x07"), BYTES("\x02\x81\xabLeftMembers\x91\xa1n")},
        {BYTES("\x02\x81\xacStatusLTimes\x81\xa1n\xa1x"),
         BYTES("\x02\x81\xacStatusLTimes\x81\xa1n\x07")},
        {BYTES("\x02\x81\xa6"
               "Events\x91\x07"),
         BYTES("\x02\x81\xa6"
               "Events\x91\xc0")},
        {BYTES("\x04\x81\xa7"
               "Filters\x91\x90"),
         BYTES("\x04\x81\xa7"
               "Filters\x91\xa0")},
        {BYTES("\x08\x81\xa4Keys\x81\xa1k\xa1v"), BYTES("\x08\x81\xa4Keys\x91\xa1k")},
        {BYTES("\x06\x81\xa4Tags\x81\xa1k\x07"), BYTES("\x06\x81\xa4Tags\x81\xa1k\xa1v")},
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct rf_serf_message message;
        assert_int_equal(rf_serf_message_decode(bodies[i].bad, &message), RF_EMALFORMED);
        assert_int_equal(rf_serf_message_decode(bodies[i].good, &message), 0);
    }
}

static void tags_are_found_and_limited_to_what_meta_holds(void **state)
{
    (void)state;
    const struct rf_tag tags[] = {{rf_slice_text("group"), rf_slice_text("web")},
                                  {rf_slice_text("addr"), rf_slice_text("10.0.0.1:80")}};
    struct rf_packer packer = rf_packer(output, sizeof(output));
    assert_true(rf_tags_encode(tags, 2, &packer) > 0);
    struct rf_slice meta = rf_packer_slice(&packer);
    struct rf_slice value;
    assert_int_equal(rf_tags_check(meta), 0);
    assert_true(rf_tags_find(meta, rf_slice_text("addr"), &value));
    assert_true(rf_slice_equal_text(value, "10.0.0.1:80"));
    assert_false(rf_tags_find(meta, rf_slice_text("replicas"), &value));
    assert_int_equal(rf_tags_check(rf_slice(meta.data, meta.size - 1)), RF_EMALFORMED);
    /* Of equal names the last. */
    assert_true(rf_tags_find(BYTES("\xff\x82\xa1k\xa1"
                                   "a\xa1k\xa1"
                                   "b"),
                             rf_slice_text("k"), &value));
    assert_true(rf_slice_equal_text(value, "b"));
    /* Protocol 2. */
    assert_true(rf_tags_find(rf_slice_text("web"), rf_slice_text("role"), &value));
    assert_true(rf_slice_equal_text(value, "web"));
    /* 512 bytes: ff, 81, a1 k, da and two bytes of length, then the value. */
    static char text[RF_META_SIZE_MAX];
    memset(text, 'v', sizeof(text) - 1);
    for (size_t size = 504; size <= 506; size++) {
        const struct rf_tag tag = {rf_slice_text("k"), rf_slice(text, size)};
        packer = rf_packer(output, sizeof(output));
        int rc = rf_tags_encode(&tag, 1, &packer);
        assert_int_equal(rc, size + 7 <= RF_META_SIZE_MAX ? (int)size + 7 : RF_ELIMIT);
        assert_int_equal(packer.size, rc > 0 ? rc : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_taken_in_every_form_and_written_in_the_shortest),
        cmocka_unit_test(integers_that_are_negative_too_wide_or_none_are_refused),
        cmocka_unit_test(structs_are_taken_in_every_form),
        cmocka_unit_test(nesting_is_taken_to_its_limit_and_no_deeper),
        cmocka_unit_test(structs_with_too_many_fields_are_refused),
        cmocka_unit_test(alive_beyond_a_limit_is_refused),
        cmocka_unit_test(versions_out_of_order_are_refused),
        cmocka_unit_test(encoding_without_room_leaves_the_packer_as_it_was),
        cmocka_unit_test(filters_that_cannot_be_read_do_not_spoil_their_query),
        cmocka_unit_test(lists_with_entries_of_another_kind_are_refused),
        cmocka_unit_test(tags_are_found_and_limited_to_what_meta_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
