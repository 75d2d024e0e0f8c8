/* SPDX-License-Identifier: MIT
 *
 * test_wire.c - the frames of the binary protocol: encoded, decoded, cut, broken, to the byte.
 */
#include "core/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/random.h"
#include "tests/support/wire_roundtrip.h"

enum { VECTORS_MAX = 64, VECTOR_SIZE_MAX = 1024, VECTOR_NAME_SIZE = 64 };

/* A block of the document: ```vector NAME, lines of hex with comments, ``` */
struct vector {
    char name[VECTOR_NAME_SIZE];
    size_t size;
    bool is_used;
    uint8_t bytes[VECTOR_SIZE_MAX];
};

static struct vector vectors[VECTORS_MAX];
static size_t vectors_count;

static const char web[] = "web";
static const struct rf_wire_bytes group = {web, 3};

static struct rf_wire_bytes text(const char *string)
{
    return (struct rf_wire_bytes){string, strlen(string)};
}

static void assert_text(struct rf_wire_bytes bytes, const char *expected)
{
    assert_int_equal(bytes.size, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.size);
}

static void read_bytes(struct vector *vector, char *line)
{
    line[strcspn(line, "#\n")] = '\0';
    for (char *hex = strtok(line, " "); hex != NULL; hex = strtok(NULL, " ")) {
        char *end;
        unsigned long byte = strtoul(hex, &end, 16);
        assert_true(end == hex + 2 && *end == '\0' && vector->size < VECTOR_SIZE_MAX);
        vector->bytes[vector->size++] = (uint8_t)byte;
    }
}

static int read_document(void **state)
{
    (void)state;
    char line[512];
    struct vector *vector = NULL;
    FILE *file = fopen(RF_TESTS_DIR "/../core/WIRE.md", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "```", 3) != 0) {
            if (vector != NULL) {
                read_bytes(vector, line);
            }
        } else if (sscanf(line, "```vector %63s", vectors[vectors_count].name) == 1) {
            vector = &vectors[vectors_count++];
            assert_true(vectors_count < VECTORS_MAX);
        } else {
            vector = NULL;
        }
    }
    (void)fclose(file); /* was read only */
    return 0;
}

static struct vector *find(const char *name)
{
    for (size_t i = 0; i < vectors_count; i++) {
        if (strcmp(vectors[i].name, name) == 0) {
            vectors[i].is_used = true;
            return &vectors[i];
        }
    }
    fail_msg("no vector '%s' in the document", name);
    return NULL;
}

static bool is_reply(const struct vector *vector)
{
    return strstr(vector->name, ".reply") != NULL;
}

/* The payload of a vector; checks its header. */
static const uint8_t *open_frame(const struct vector *vector, enum rf_wire_op op,
                                 enum rf_wire_status status, uint32_t request_id, size_t *ret_size)
{
    assert_true(vector->size >= RF_WIRE_HEADER_SIZE);
    struct rf_wire_header header = rf_wire_header_load(vector->bytes);
    assert_int_equal(header.payload_size, vector->size - RF_WIRE_HEADER_SIZE);
    assert_int_equal(header.op, op);
    assert_int_equal(header.status, status);
    assert_int_equal(header.reserved, 0);
    assert_int_equal(header.request_id, request_id);
    *ret_size = header.payload_size;
    return vector->bytes + RF_WIRE_HEADER_SIZE;
}

/* `size` bytes in `out` are the vector's. */
static void assert_frame(const struct vector *vector, const uint8_t *out, size_t size)
{
    assert_int_equal(size, vector->size);
    assert_memory_equal(out, vector->bytes, size);
}

static void wire_document_preface_is_ours(void **state)
{
    (void)state;
    const struct vector *vector = find("preface");
    assert_int_equal(vector->size, RF_WIRE_PREFACE_SIZE);
    assert_memory_equal(vector->bytes, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    assert_int_equal(rf_wire_preface_check(vector->bytes, vector->size, NULL), 0);

    /* What a server says to version 2. */
    struct rf_error err;
    uint8_t other[RF_WIRE_PREFACE_SIZE];
    uint8_t out[VECTOR_SIZE_MAX];
    memcpy(other, rf_wire_preface, sizeof(other));
    other[4] = 2;
    assert_int_equal(rf_wire_preface_check(other, sizeof(other), &err), RF_EVERSION);
    size_t size = rf_wire_error_encode(out, sizeof(out), RF_WIRE_NONE,
                                       rf_wire_status_of(RF_EVERSION), 0, err.text);
    assert_frame(find("version.reply"), out, size);
}

static void wire_document_match_is_read_and_written(void **state)
{
    (void)state;
    uint8_t out[VECTOR_SIZE_MAX];
    size_t size;
    const struct vector *vector = find("match.request");
    assert_int_equal(vector->size, 32);
    struct rf_wire_match_request request;
    const uint8_t *payload = open_frame(vector, RF_WIRE_MATCH, RF_WIRE_OK, 1, &size);
    assert_int_equal(rf_wire_match_request_decode(payload, size, &request, NULL), 0);
    assert_text(request.group, "web");
    assert_text(request.key, "user:0123456789a");
    assert_frame(vector, out,
                 rf_wire_match_request_encode(out, sizeof(out), 1, group, request.key));

    vector = find("match.empty_key.request");
    payload = open_frame(vector, RF_WIRE_MATCH, RF_WIRE_OK, UINT32_MAX, &size);
    assert_int_equal(rf_wire_match_request_decode(payload, size, &request, NULL), 0);
    assert_text(request.group, "w");
    assert_int_equal(request.key.size, 0);
    struct rf_wire_bytes none = {NULL, 0};
    assert_frame(vector, out,
                 rf_wire_match_request_encode(out, sizeof(out), UINT32_MAX, text("w"), none));

    vector = find("match.reply");
    struct rf_wire_match_reply reply;
    payload = open_frame(vector, RF_WIRE_MATCH, RF_WIRE_OK, 1, &size);
    assert_int_equal(rf_wire_match_reply_decode(payload, size, &reply, NULL), 0);
    assert_int_equal(reply.version, 42);
    assert_text(reply.owner.id, "web-1");
    assert_text(reply.owner.addr, "10.0.0.1:80");
    struct rf_wire_owner owner = {text("web-1"), text("10.0.0.1:80")};
    assert_frame(vector, out, rf_wire_match_reply_encode(out, sizeof(out), 1, 42, &owner));

    vector = find("not_found.reply");
    payload = open_frame(vector, RF_WIRE_MATCH, RF_WIRE_NOT_FOUND, 8, &size);
    assert_text((struct rf_wire_bytes){payload, size}, "no group 'wbe'");
    assert_frame(vector, out,
                 rf_wire_error_encode(out, sizeof(out), RF_WIRE_MATCH,
                                      rf_wire_status_of(RF_ENOTFOUND), 8, "no group 'wbe'"));
}

static void wire_document_match_many_is_read_and_written(void **state)
{
    (void)state;
    uint8_t out[VECTOR_SIZE_MAX];
    size_t size;
    const struct vector *vector = find("match_many.request");
    const struct rf_wire_bytes keys[] = {{"alice", 5}, {NULL, 0}, {"\0\xff", 2}};
    struct rf_wire_match_many_request request;
    const uint8_t *payload = open_frame(vector, RF_WIRE_MATCH_MANY, RF_WIRE_OK, 2, &size);
    assert_int_equal(rf_wire_match_many_request_decode(payload, size, &request, NULL), 0);
    assert_text(request.group, "web");
    assert_int_equal(request.count, 3);
    struct rf_wire_bytes key;
    for (size_t i = 0; i < 3; i++) {
        assert_true(rf_wire_keys_next(&request.keys, &key));
        assert_int_equal(rf_wire_bytes_compare(key, keys[i]), 0);
    }
    assert_false(rf_wire_keys_next(&request.keys, &key));
    assert_frame(vector, out,
                 rf_wire_match_many_request_encode(out, sizeof(out), 2, group, keys, 3));

    vector = find("match_many.reply");
    static const char *const ids[] = {"web-1", "web-2", "web-1"};
    static const char *const addrs[] = {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80"};
    struct rf_wire_owners_reply reply;
    struct rf_wire_owner owner;
    struct rf_wire_list list;
    payload = open_frame(vector, RF_WIRE_MATCH_MANY, RF_WIRE_OK, 2, &size);
    assert_int_equal(rf_wire_owners_reply_decode(payload, size, &reply, NULL), 0);
    assert_int_equal(reply.version, 42);
    assert_int_equal(reply.count, 3);
    assert_int_equal(rf_wire_owners_reply_begin(&list, out, sizeof(out), RF_WIRE_MATCH_MANY, 2, 42),
                     0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(rf_wire_owners_next(&reply.owners, &owner));
        assert_text(owner.id, ids[i]);
        assert_text(owner.addr, addrs[i]);
        owner = (struct rf_wire_owner){text(ids[i]), text(addrs[i])};
        assert_int_equal(rf_wire_owners_reply_add(&list, &owner), 0);
    }
    assert_false(rf_wire_owners_next(&reply.owners, &owner));
    assert_frame(vector, out, rf_wire_list_end(&list, false));
}

static void wire_document_owners_is_read_and_written(void **state)
{
    (void)state;
    uint8_t out[VECTOR_SIZE_MAX];
    size_t size;
    const struct vector *vector = find("owners.request");
    struct rf_wire_owners_request request;
    const uint8_t *payload = open_frame(vector, RF_WIRE_OWNERS, RF_WIRE_OK, 3, &size);
    assert_int_equal(rf_wire_owners_request_decode(payload, size, &request, NULL), 0);
    assert_text(request.group, "web");
    assert_text(request.key, "alice");
    assert_int_equal(request.count, 2);
    assert_frame(vector, out,
                 rf_wire_owners_request_encode(out, sizeof(out), 3, group, text("alice"), 2));

    vector = find("owners.reply");
    struct rf_wire_owners_reply reply;
    struct rf_wire_list list;
    payload = open_frame(vector, RF_WIRE_OWNERS, RF_WIRE_OK, 3, &size);
    assert_int_equal(rf_wire_owners_reply_decode(payload, size, &reply, NULL), 0);
    assert_int_equal(reply.count, 2);
    struct rf_wire_owner first = {text("web-1"), text("10.0.0.1:80")};
    struct rf_wire_owner second = {text("web-2"), text("10.0.0.2:80")};
    assert_int_equal(rf_wire_owners_reply_begin(&list, out, sizeof(out), RF_WIRE_OWNERS, 3, 42), 0);
    assert_int_equal(rf_wire_owners_reply_add(&list, &first), 0);
    assert_int_equal(rf_wire_owners_reply_add(&list, &second), 0);
    assert_frame(vector, out, rf_wire_list_end(&list, false));
}

static void wire_document_members_is_read_and_written(void **state)
{
    (void)state;
    uint8_t out[VECTOR_SIZE_MAX];
    size_t size;
    const struct vector *vector = find("members.request");
    struct rf_wire_members_request request;
    const uint8_t *payload = open_frame(vector, RF_WIRE_MEMBERS, RF_WIRE_OK, 4, &size);
    assert_int_equal(rf_wire_members_request_decode(payload, size, &request, NULL), 0);
    assert_text(request.group, "web");
    assert_text(request.after, "web-1");
    assert_frame(vector, out,
                 rf_wire_members_request_encode(out, sizeof(out), 4, group, text("web-1")));

    vector = find("members.reply");
    const struct rf_wire_member members[] = {
        {{text("web-2"), text("10.0.0.2:80")}, 1000, RF_MEMBER_ALIVE},
        {{text("web-3"), text("[::1]:80")}, 65535, RF_MEMBER_FAILED},
    };
    struct rf_wire_members_reply reply;
    struct rf_wire_member member;
    struct rf_wire_list list;
    payload = open_frame(vector, RF_WIRE_MEMBERS, RF_WIRE_OK, 4, &size);
    assert_int_equal(rf_wire_members_reply_decode(payload, size, &reply, NULL), 0);
    assert_int_equal(reply.version, 42);
    assert_int_equal(reply.digest, 0x0123456789abcdef);
    assert_true(reply.more);
    assert_int_equal(reply.count, 2);
    assert_int_equal(
        rf_wire_members_reply_begin(&list, out, sizeof(out), 4, 42, 0x0123456789abcdef), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_true(rf_wire_members_next(&reply.members, &member));
        assert_int_equal(rf_wire_bytes_compare(member.owner.id, members[i].owner.id), 0);
        assert_int_equal(rf_wire_bytes_compare(member.owner.addr, members[i].owner.addr), 0);
        assert_int_equal(member.replicas, members[i].replicas);
        assert_int_equal(member.state, members[i].state);
        assert_int_equal(rf_wire_members_reply_add(&list, &members[i]), 0);
    }
    assert_false(rf_wire_members_next(&reply.members, &member));
    assert_frame(vector, out, rf_wire_list_end(&list, true));
}

static void a_weight_of_nothing_is_taken_of_members_out_of_the_ring_only(void **state)
{
    (void)state;
    for (int i = 0; i < RF_MEMBER_STATES_COUNT; i++) {
        uint8_t out[VECTOR_SIZE_MAX];
        struct rf_wire_member member = {
            {text("web-2"), text("10.0.0.2:80")}, 1, (enum rf_member_state)i};
        struct rf_wire_members_reply reply;
        struct rf_wire_list list;
        assert_int_equal(rf_wire_members_reply_begin(&list, out, sizeof(out), 4, 42, 1), 0);
        assert_int_equal(rf_wire_members_reply_add(&list, &member), 0);
        const size_t size = rf_wire_list_end(&list, false);
        rf_store_le16(&out[size - 3], 0); /* its replicas, before its state */
        const int code = rf_wire_members_reply_decode(out + RF_WIRE_HEADER_SIZE,
                                                      size - RF_WIRE_HEADER_SIZE, &reply, NULL);
        assert_int_equal(code, rf_member_is_in_ring(member.state) ? RF_EMALFORMED : 0);
    }
}

static void wire_document_watch_is_read_and_written(void **state)
{
    (void)state;
    uint8_t out[VECTOR_SIZE_MAX];
    size_t size;
    const struct vector *vector = find("watch.request");
    struct rf_wire_watch_request request;
    const uint8_t *payload = open_frame(vector, RF_WIRE_WATCH, RF_WIRE_OK, 8, &size);
    assert_int_equal(rf_wire_watch_request_decode(payload, size, &request, NULL), 0);
    assert_text(request.group, "web");
    assert_int_equal(request.instance, 0xcafebabe);
    assert_int_equal(request.version, 41);
    assert_frame(vector, out, rf_wire_watch_request_encode(out, sizeof(out), 8, &request));

    vector = find("watch.reply");
    const struct rf_wire_watch_head head = {
        .instance = 0xcafebabe, .version = 42, .digest = 0x0123456789abcdef};
    const struct rf_wire_member member = {
        {text("web-2"), text("10.0.0.2:80")}, 1000, RF_MEMBER_ALIVE};
    struct rf_wire_watch_reply reply;
    struct rf_wire_change change;
    struct rf_wire_list list;
    payload = open_frame(vector, RF_WIRE_WATCH, RF_WIRE_OK, 8, &size);
    assert_int_equal(rf_wire_watch_reply_decode(payload, size, &reply, NULL), 0);
    assert_int_equal(reply.head.instance, head.instance);
    assert_int_equal(reply.head.version, head.version);
    assert_int_equal(reply.head.digest, head.digest);
    assert_false(reply.head.is_whole);
    assert_false(reply.more);
    assert_int_equal(reply.count, 2);
    assert_true(rf_wire_watch_next(&reply.changes, &change));
    assert_true(change.is_forgotten);
    assert_text(change.member.owner.id, "web-1");
    assert_true(rf_wire_watch_next(&reply.changes, &change));
    assert_false(change.is_forgotten);
    assert_text(change.member.owner.id, "web-2");
    assert_text(change.member.owner.addr, "10.0.0.2:80");
    assert_int_equal(change.member.replicas, 1000);
    assert_int_equal(change.member.state, RF_MEMBER_ALIVE);
    assert_false(rf_wire_watch_next(&reply.changes, &change));
    assert_int_equal(rf_wire_watch_reply_begin(&list, out, sizeof(out), 8, &head), 0);
    assert_int_equal(rf_wire_watch_reply_add_forgotten(&list, text("web-1")), 0);
    assert_int_equal(rf_wire_watch_reply_add_member(&list, &member), 0);
    assert_frame(vector, out, rf_wire_list_end(&list, false));
}

static void wire_document_groups_is_read_and_written(void **state)
{
    (void)state;
    uint8_t out[VECTOR_SIZE_MAX];
    size_t size;
    const struct vector *vector = find("groups.request");
    struct rf_wire_bytes after;
    const uint8_t *payload = open_frame(vector, RF_WIRE_GROUPS, RF_WIRE_OK, 5, &size);
    assert_int_equal(rf_wire_groups_request_decode(payload, size, &after, NULL), 0);
    assert_int_equal(after.size, 0);
    assert_frame(vector, out, rf_wire_groups_request_encode(out, sizeof(out), 5, text("")));

    vector = find("groups.reply");
    const struct rf_wire_group groups[] = {
        {text("registry-group"), 3, 3, 7, 1},
        {text("web"), 5, 4, 42, 0x0123456789abcdef},
    };
    struct rf_wire_groups_reply reply;
    struct rf_wire_group entry;
    struct rf_wire_list list;
    payload = open_frame(vector, RF_WIRE_GROUPS, RF_WIRE_OK, 5, &size);
    assert_int_equal(rf_wire_groups_reply_decode(payload, size, &reply, NULL), 0);
    assert_int_equal(reply.version, 43);
    assert_true(reply.digest == 0xfedcba9876543210);
    assert_false(reply.more);
    assert_int_equal(rf_wire_groups_reply_begin(&list, out, sizeof(out), 5, 43, 0xfedcba9876543210),
                     0);
    for (size_t i = 0; i < 2; i++) {
        assert_true(rf_wire_groups_next(&reply.groups, &entry));
        assert_int_equal(rf_wire_bytes_compare(entry.name, groups[i].name), 0);
        assert_int_equal(entry.members_count, groups[i].members_count);
        assert_int_equal(entry.alive_count, groups[i].alive_count);
        assert_int_equal(entry.version, groups[i].version);
        assert_int_equal(entry.digest, groups[i].digest);
        assert_int_equal(rf_wire_groups_reply_add(&list, &groups[i]), 0);
    }
    assert_false(rf_wire_groups_next(&reply.groups, &entry));
    assert_frame(vector, out, rf_wire_list_end(&list, false));
}

static void wire_document_info_and_ping_are_read_and_written(void **state)
{
    (void)state;
    uint8_t out[VECTOR_SIZE_MAX];
    size_t size;
    (void)open_frame(find("info.request"), RF_WIRE_INFO, RF_WIRE_OK, 6, &size);
    assert_int_equal(rf_wire_info_request_decode(size, NULL), 0);
    assert_frame(find("info.request"), out, rf_wire_info_request_encode(out, sizeof(out), 6));

    const struct vector *vector = find("info.reply");
    struct rf_wire_info_reply reply;
    struct rf_wire_info entry;
    struct rf_wire_list list;
    const uint8_t *payload = open_frame(vector, RF_WIRE_INFO, RF_WIRE_OK, 6, &size);
    assert_int_equal(rf_wire_info_reply_decode(payload, size, &reply, NULL), 0);
    assert_true(rf_wire_info_next(&reply.entries, &entry));
    assert_text(entry.name, "engine");
    assert_int_equal(entry.type, RF_WIRE_INFO_TEXT);
    assert_text(entry.value, "epoll");
    assert_true(rf_wire_info_next(&reply.entries, &entry));
    assert_text(entry.name, "members");
    assert_int_equal(entry.type, RF_WIRE_INFO_U64);
    assert_int_equal(rf_load_le64(entry.value.data), 300);
    assert_false(rf_wire_info_next(&reply.entries, &entry));
    assert_int_equal(rf_wire_info_reply_begin(&list, out, sizeof(out), 6), 0);
    assert_int_equal(rf_wire_info_reply_add_text(&list, "engine", "epoll"), 0);
    assert_int_equal(rf_wire_info_reply_add_u64(&list, "members", 300), 0);
    assert_frame(vector, out, rf_wire_list_end(&list, false));

    static const char *const pings[] = {"ping.request", "ping.reply"};
    for (size_t i = 0; i < 2; i++) {
        payload = open_frame(find(pings[i]), RF_WIRE_PING, RF_WIRE_OK, 7, &size);
        assert_int_equal(rf_wire_ping_request_decode(size, NULL), 0);
        assert_text((struct rf_wire_bytes){payload, size}, "hello");
        assert_frame(
            find(pings[i]), out,
            rf_wire_frame_encode(out, sizeof(out), RF_WIRE_PING, RF_WIRE_OK, 7, text("hello")));
    }
}

/* Runs after the ones above. */
static void wire_document_has_no_vector_that_nobody_checks(void **state)
{
    (void)state;
    assert_true(vectors_count > 0);
    for (size_t i = 0; i < vectors_count; i++) {
        if (!vectors[i].is_used) {
            fail_msg("vector '%s' is checked by no test", vectors[i].name);
        }
    }
}

/* In a block of its exact size, so that reading past it is seen. */
static int roundtrip_exact(const uint8_t *frame, size_t size, bool reply)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, frame, size);
    int code = wire_roundtrip(copy, size, reply);
    free(copy);
    return code;
}

static void wire_frames_cut_anywhere_wait_for_the_rest(void **state)
{
    (void)state;
    for (size_t i = 0; i < vectors_count; i++) {
        const struct vector *vector = &vectors[i];
        if (strcmp(vector->name, "preface") == 0) {
            continue;
        }
        assert_int_equal(roundtrip_exact(vector->bytes, vector->size, is_reply(vector)), 0);
        for (size_t size = 0; size < vector->size; size++) {
            assert_int_equal(roundtrip_exact(vector->bytes, size, is_reply(vector)), RF_EMORE);
        }
    }
}

static void wire_payloads_cut_anywhere_are_refused_or_another_message(void **state)
{
    (void)state;
    size_t refused = 0;
    for (size_t i = 0; i < vectors_count; i++) {
        struct vector cut = vectors[i];
        if (strcmp(cut.name, "preface") == 0) {
            continue;
        }
        while (cut.size > RF_WIRE_HEADER_SIZE) {
            cut.size--;
            rf_store_le32(cut.bytes, (uint32_t)(cut.size - RF_WIRE_HEADER_SIZE));
            int code = roundtrip_exact(cut.bytes, cut.size, is_reply(&cut));
            assert_int_not_equal(code, WIRE_ROUNDTRIP_DIFFERS);
            refused += code < 0;
            /* Lists say their count: no shorter payload will do. */
            bool is_list = cut.bytes[4] == RF_WIRE_MATCH_MANY || cut.bytes[4] == RF_WIRE_MEMBERS ||
                           cut.bytes[4] == RF_WIRE_GROUPS ||
                           (cut.bytes[4] == RF_WIRE_INFO && is_reply(&cut));
            assert_true(!is_list || code == RF_EMALFORMED);
        }
    }
    assert_true(refused > 0);
}

static void wire_frames_with_one_byte_changed_are_refused_or_another_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < vectors_count; i++) {
        if (strcmp(vectors[i].name, "preface") == 0) {
            continue;
        }
        struct vector bad = vectors[i];
        for (size_t at = 0; at < bad.size; at++) {
            for (unsigned change = 1; change < 256; change++) {
                bad.bytes[at] = (uint8_t)(vectors[i].bytes[at] ^ change);
                int code = roundtrip_exact(bad.bytes, bad.size, is_reply(&bad));
                assert_int_not_equal(code, WIRE_ROUNDTRIP_DIFFERS);
                bool must_fail = at < 4 || at == 6 || at == 7 || (at == 5 && !is_reply(&bad));
                assert_true(!must_fail || code < 0);
            }
            bad.bytes[at] = vectors[i].bytes[at];
        }
    }
}

static void wire_preface_is_told_from_other_protocols_at_the_first_byte(void **state)
{
    (void)state;
    struct rf_error err;
    static const char *const others[] = {"G", "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n", "\x16"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(rf_wire_preface_check((const uint8_t *)others[i], strlen(others[i]), &err),
                         RF_EMALFORMED);
    }
    for (size_t size = 1; size < RF_WIRE_PREFACE_SIZE; size++) {
        assert_int_equal(rf_wire_preface_check(rf_wire_preface, size, &err), RF_EMORE);
    }
    for (size_t at = 0; at < RF_WIRE_PREFACE_SIZE; at++) {
        uint8_t bad[RF_WIRE_PREFACE_SIZE];
        memcpy(bad, rf_wire_preface, sizeof(bad));
        bad[at] ^= 0x40;
        int expected = at == 4 ? RF_EVERSION : RF_EMALFORMED;
        for (size_t size = at + 1; size <= sizeof(bad); size++) {
            assert_int_equal(rf_wire_preface_check(bad, size, &err), expected);
        }
    }
}

static void wire_limits_are_named_and_told_from_malformed(void **state)
{
    (void)state;
    struct rf_error err;
    struct rf_wire_header header = {.payload_size = RF_WIRE_REQUEST_SIZE_MAX - 12, .op = 1};
    assert_int_equal(rf_wire_request_header_check(&header, &err), 0);
    header.payload_size++;
    assert_int_equal(rf_wire_request_header_check(&header, &err), RF_ELIMIT);
    assert_string_equal(err.text, "request of 65537 bytes: allowed 65536");
    header = (struct rf_wire_header){.op = RF_WIRE_NONE};
    assert_int_equal(rf_wire_request_header_check(&header, &err), RF_EMALFORMED);
    assert_string_equal(err.text, "operation 0 in a request: it is for replies alone");
    header.payload_size = RF_WIRE_REPLY_SIZE_MAX - 12;
    assert_int_equal(rf_wire_reply_header_check(&header, &err), 0);
    header.payload_size = UINT32_MAX;
    assert_int_equal(rf_wire_reply_header_check(&header, &err), RF_ELIMIT);
    assert_string_equal(err.text, "reply of 4294967307 bytes: allowed 1048576");

    struct rf_wire_owners_request owners;
    struct rf_wire_match_many_request many;
    const uint8_t too_many[] = {1, 'g', 1, 4};
    const uint8_t none[] = {1, 'g', 0, 0};
    assert_int_equal(rf_wire_owners_request_decode(too_many, 4, &owners, &err), RF_ELIMIT);
    assert_string_equal(err.text, "1025 owners: allowed 1..1024");
    assert_int_equal(rf_wire_match_many_request_decode(too_many, 4, &many, &err), RF_ELIMIT);
    assert_string_equal(err.text, "1025 keys: allowed 1..1024");
    assert_int_equal(rf_wire_owners_request_decode(none, 4, &owners, &err), RF_EMALFORMED);
    assert_int_equal(rf_wire_match_many_request_decode(none, 4, &many, &err), RF_EMALFORMED);
    assert_int_equal(rf_wire_ping_request_decode(RF_WIRE_PING_SIZE_MAX, &err), 0);
    assert_int_equal(rf_wire_ping_request_decode(RF_WIRE_PING_SIZE_MAX + 1, &err), RF_ELIMIT);
    assert_int_equal(rf_wire_info_request_decode(1, &err), RF_EMALFORMED);
}

static void wire_replies_that_could_mislead_a_client_are_refused(void **state)
{
    (void)state;
    struct rf_error err;
    struct rf_wire_match_reply match;
    const uint8_t escape[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 'a', '\x1b'};
    assert_int_equal(rf_wire_match_reply_decode(escape, sizeof(escape), &match, &err),
                     RF_EMALFORMED);

    /* Members out of order, or twice, or an empty page with more to come: paging would not end. */
    struct rf_wire_members_reply page;
    struct rf_wire_list list;
    uint8_t out[256];
    static const char *const ids[][2] = {{"b", "a"}, {"a", "a"}, {"ab", "a"}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rf_wire_members_reply_begin(&list, out, sizeof(out), 1, 1, 1), 0);
        for (size_t j = 0; j < 2; j++) {
            struct rf_wire_member member = {{text(ids[i][j]), text("x")}, 1, RF_MEMBER_LEFT};
            assert_int_equal(rf_wire_members_reply_add(&list, &member), 0);
        }
        size_t size = rf_wire_list_end(&list, false);
        assert_int_equal(rf_wire_members_reply_decode(out + 12, size - 12, &page, &err),
                         RF_EMALFORMED);
        assert_string_equal(err.text, "member 1 of 2 is out of order");
    }
    assert_int_equal(rf_wire_members_reply_begin(&list, out, sizeof(out), 1, 1, 1), 0);
    size_t size = rf_wire_list_end(&list, true);
    assert_int_equal(rf_wire_members_reply_decode(out + 12, size - 12, &page, &err), RF_EMALFORMED);
    struct rf_wire_groups_reply groups;
    struct rf_wire_group more_alive = {text("g"), 1, 2, 1, 1};
    assert_int_equal(rf_wire_groups_reply_begin(&list, out, sizeof(out), 1, 1, 1), 0);
    assert_int_equal(rf_wire_groups_reply_add(&list, &more_alive), 0);
    size = rf_wire_list_end(&list, false);
    assert_int_equal(rf_wire_groups_reply_decode(out + 12, size - 12, &groups, &err),
                     RF_EMALFORMED);
}

static void wire_info_entries_of_unknown_type_can_be_skipped(void **state)
{
    (void)state;
    const uint8_t payload[] = {2, 0, 1, 'a', 9, 3, 0, 1, 2, 3, 1, 'b', 0, 1, 0, 'x'};
    struct rf_wire_info_reply reply;
    struct rf_wire_info entry;
    assert_int_equal(rf_wire_info_reply_decode(payload, sizeof(payload), &reply, NULL), 0);
    assert_true(rf_wire_info_next(&reply.entries, &entry));
    assert_int_equal(entry.type, 9);
    assert_true(rf_wire_info_next(&reply.entries, &entry));
    assert_text(entry.name, "b");
    assert_text(entry.value, "x");
}

static void wire_encoders_stop_at_the_end_of_their_buffer(void **state)
{
    (void)state;
    for (size_t i = 0; i < vectors_count; i++) {
        const struct vector *vector = &vectors[i];
        if (strcmp(vector->name, "preface") == 0) {
            continue;
        }
        struct rf_wire_header header = rf_wire_header_load(vector->bytes);
        for (size_t size = 0; size < vector->size; size++) {
            uint8_t *out = malloc(size > 0 ? size : 1); /* exact: writing past it is seen */
            assert_non_null(out);
            const uint8_t *payload = vector->bytes + RF_WIRE_HEADER_SIZE;
            long again = is_reply(vector) ? wire_reply_again(&header, payload, out, size)
                                          : wire_request_again(&header, payload, out, size);
            assert_true(again == 0 || again == -ENOBUFS);
            free(out);
        }
    }
}

/* Every size of id and address around what fits, and the greatest. */
static void wire_owner_encoded_beforehand_makes_the_same_replies(void **state)
{
    (void)state;
    char long_text[RF_NAME_SIZE_MAX + 1];
    memset(long_text, 'a', RF_NAME_SIZE_MAX);
    long_text[RF_NAME_SIZE_MAX] = '\0';
    for (size_t id_size = 1; id_size <= RF_NAME_SIZE_MAX; id_size++) {
        for (size_t addr_size = 1; addr_size <= 70; addr_size++) {
            const char *id = long_text + RF_NAME_SIZE_MAX - id_size;
            const char *addr = long_text + RF_NAME_SIZE_MAX - addr_size;
            const struct rf_wire_owner owner = {text(id), text(addr)};
            struct rf_wire_owner_short encoded;
            rf_wire_owner_short_init(&encoded, id, addr);
            size_t encoded_size = 1 + id_size + addr_size;
            if (encoded_size > RF_WIRE_OWNER_SHORT_SIZE_MAX) {
                assert_int_equal(encoded.size, 0);
                continue;
            }
            uint8_t frame[RF_WIRE_MATCH_REPLY_SIZE_MAX];
            uint8_t frame_short[RF_WIRE_MATCH_REPLY_SHORT_ROOM];
            size_t size = rf_wire_match_reply_encode(frame, sizeof(frame), 77, 88, &owner);
            assert_int_equal(rf_wire_match_reply_short(frame_short, 77, 88, &encoded), size);
            assert_memory_equal(frame_short, frame, size);
        }
    }
}

/* An entry of a list; the longest that fit, and longer ones, which are for the other function. */
static void wire_entry_encoded_beforehand_makes_the_same_lists(void **state)
{
    (void)state;
    char long_text[RF_NAME_SIZE_MAX + 1];
    memset(long_text, 'a', RF_NAME_SIZE_MAX);
    long_text[RF_NAME_SIZE_MAX] = '\0';
    const uint16_t slots[] = {1, 0, 1};
    for (size_t id_size = 1; id_size <= 70; id_size++) {
        for (size_t addr_size = 1; addr_size <= 70; addr_size++) {
            const char *id = long_text + RF_NAME_SIZE_MAX - id_size;
            const char *addr = long_text + RF_NAME_SIZE_MAX - addr_size;
            const struct rf_wire_owner owners[] = {{text("b"), text("cd")}, {text(id), text(addr)}};
            struct rf_wire_owner_short entries[2];
            rf_wire_entry_short_init(&entries[0], "b", "cd");
            rf_wire_entry_short_init(&entries[1], id, addr);
            uint8_t frame[RF_WIRE_OWNERS_REPLY_SIZE_MAX(3)];
            uint8_t frame_short[RF_WIRE_OWNERS_REPLY_SIZE_MAX(3)];
            struct rf_wire_list list;
            assert_int_equal(
                rf_wire_owners_reply_begin(&list, frame, sizeof(frame), RF_WIRE_OWNERS, 1, 2), 0);
            for (int i = 0; i < 3; i++) {
                assert_int_equal(rf_wire_owners_reply_add(&list, &owners[slots[i]]), 0);
            }
            size_t size = rf_wire_list_end(&list, false);
            /* All of it, and with less room than might be needed: then it stops, and is as far. */
            for (size_t room = size; room <= sizeof(frame_short); room++) {
                assert_int_equal(
                    rf_wire_owners_reply_begin(&list, frame_short, room, RF_WIRE_OWNERS, 1, 2), 0);
                size_t added = rf_wire_owners_reply_add_short(&list, entries, slots, 3);
                assert_true(list.size <= room && list.count == added);
                if (2 + id_size + addr_size > RF_WIRE_OWNER_SHORT_SIZE_MAX) {
                    assert_int_equal(added, 0);
                } else if (room == sizeof(frame_short)) {
                    assert_int_equal(added, 3);
                }
                for (; added < 3; added++) {
                    assert_int_equal(rf_wire_owners_reply_add(&list, &owners[slots[added]]), 0);
                }
                assert_int_equal(rf_wire_list_end(&list, false), size);
                assert_memory_equal(frame_short, frame, size);
            }
        }
    }
}

static void wire_largest_messages_fit_their_frames(void **state)
{
    (void)state;
    uint8_t *out = malloc(RF_WIRE_REPLY_SIZE_MAX);
    assert_non_null(out);
    char name[RF_NAME_SIZE_MAX];
    memset(name, 'n', sizeof(name));
    struct rf_wire_bytes longest = {name, sizeof(name)};
    struct rf_wire_owner owner = {longest, longest};
    assert_int_equal(rf_wire_match_reply_encode(out, RF_WIRE_MATCH_REPLY_SIZE_MAX, 1, 1, &owner),
                     RF_WIRE_MATCH_REPLY_SIZE_MAX);
    assert_int_equal(
        rf_wire_match_reply_encode(out, RF_WIRE_MATCH_REPLY_SIZE_MAX - 1, 1, 1, &owner), 0);

    struct rf_wire_list list;
    assert_int_equal(rf_wire_owners_reply_begin(&list, out,
                                                RF_WIRE_OWNERS_REPLY_SIZE_MAX(RF_WIRE_KEYS_MAX),
                                                RF_WIRE_MATCH_MANY, 1, 1),
                     0);
    for (int i = 0; i < RF_WIRE_KEYS_MAX; i++) {
        assert_int_equal(rf_wire_owners_reply_add(&list, &owner), 0);
    }
    size_t size = rf_wire_list_end(&list, false);
    assert_int_equal(size, RF_WIRE_OWNERS_REPLY_SIZE_MAX(RF_WIRE_KEYS_MAX));
    assert_int_equal(wire_roundtrip(out, size, true), 0);
    assert_int_equal(rf_wire_owners_reply_add(&list, &owner), -ENOBUFS);

    /* A key of the largest size, and one byte more. */
    size_t key_size_max = RF_WIRE_REQUEST_SIZE_MAX - RF_WIRE_HEADER_SIZE - 1 - sizeof(name);
    uint8_t *key = calloc(1, key_size_max + 1);
    assert_non_null(key);
    struct rf_wire_bytes bytes = {key, key_size_max};
    assert_int_equal(rf_wire_match_request_encode(out, RF_WIRE_REPLY_SIZE_MAX, 1, longest, bytes),
                     RF_WIRE_REQUEST_SIZE_MAX);
    bytes.size++;
    assert_int_equal(rf_wire_match_request_encode(out, RF_WIRE_REPLY_SIZE_MAX, 1, longest, bytes),
                     0);
    free(key);
    free(out);
}

static void wire_error_texts_are_cut_at_their_limit(void **state)
{
    (void)state;
    char long_text[400];
    uint8_t out[512];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    assert_int_equal(rf_wire_error_encode(out, sizeof(out), 99, RF_WIRE_UNSUPPORTED, 7, long_text),
                     RF_WIRE_HEADER_SIZE + RF_WIRE_ERROR_TEXT_SIZE_MAX);
    assert_int_equal(out[4], 99);
    assert_int_equal(rf_wire_error_encode(out, 100, 99, RF_WIRE_UNSUPPORTED, 7, long_text), 0);
}

static void wire_statuses_and_codes_translate_both_ways(void **state)
{
    (void)state;
    for (uint8_t status = RF_WIRE_OK; status <= RF_WIRE_UNAVAILABLE; status++) {
        assert_int_equal(rf_wire_status_of(rf_wire_code_of(status)), status);
    }
    assert_int_equal(rf_wire_code_of(RF_WIRE_INTERNAL), -EREMOTEIO);
    assert_int_equal(rf_wire_code_of(200), -EREMOTEIO);
    assert_int_equal(rf_wire_status_of(-ENOMEM), RF_WIRE_INTERNAL);
    assert_string_equal(rf_wire_status_name(RF_WIRE_INTERNAL), "internal");
    assert_string_equal(rf_wire_status_name(7), "unknown status");
}

static void wire_random_bytes_after_a_good_header_never_mislead(void **state)
{
    (void)state;
    struct rf_random random = {20261123};
    for (int i = 0; i < 20000; i++) {
        uint8_t frame[96];
        size_t size = RF_WIRE_HEADER_SIZE + rf_random_below(&random, 84);
        for (size_t at = RF_WIRE_HEADER_SIZE; at < size; at++) {
            /* Small bytes are sizes and counts that lead further in. */
            frame[at] = (uint8_t)rf_random_below(&random, (i & 1) != 0 ? 256 : 6);
        }
        rf_wire_header_store(frame, (enum rf_wire_op)rf_random_below(&random, 9), RF_WIRE_OK, 1,
                             size - RF_WIRE_HEADER_SIZE);
        assert_int_not_equal(roundtrip_exact(frame, size, false), WIRE_ROUNDTRIP_DIFFERS);
        assert_int_not_equal(roundtrip_exact(frame, size, true), WIRE_ROUNDTRIP_DIFFERS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_document_preface_is_ours),
        cmocka_unit_test(wire_document_match_is_read_and_written),
        cmocka_unit_test(wire_document_match_many_is_read_and_written),
        cmocka_unit_test(wire_document_owners_is_read_and_written),
        cmocka_unit_test(wire_document_members_is_read_and_written),
        cmocka_unit_test(wire_document_groups_is_read_and_written),
        cmocka_unit_test(a_weight_of_nothing_is_taken_of_members_out_of_the_ring_only),
        cmocka_unit_test(wire_document_watch_is_read_and_written),
        cmocka_unit_test(wire_document_info_and_ping_are_read_and_written),
        cmocka_unit_test(wire_document_has_no_vector_that_nobody_checks),
        cmocka_unit_test(wire_frames_cut_anywhere_wait_for_the_rest),
        cmocka_unit_test(wire_payloads_cut_anywhere_are_refused_or_another_message),
        cmocka_unit_test(wire_frames_with_one_byte_changed_are_refused_or_another_message),
        cmocka_unit_test(wire_preface_is_told_from_other_protocols_at_the_first_byte),
        cmocka_unit_test(wire_limits_are_named_and_told_from_malformed),
        cmocka_unit_test(wire_replies_that_could_mislead_a_client_are_refused),
        cmocka_unit_test(wire_info_entries_of_unknown_type_can_be_skipped),
        cmocka_unit_test(wire_encoders_stop_at_the_end_of_their_buffer),
        cmocka_unit_test(wire_owner_encoded_beforehand_makes_the_same_replies),
        cmocka_unit_test(wire_entry_encoded_beforehand_makes_the_same_lists),
        cmocka_unit_test(wire_largest_messages_fit_their_frames),
        cmocka_unit_test(wire_error_texts_are_cut_at_their_limit),
        cmocka_unit_test(wire_statuses_and_codes_translate_both_ways),
        cmocka_unit_test(wire_random_bytes_after_a_good_header_never_mislead),
    };
    return cmocka_run_group_tests(tests, read_document, NULL);
}
