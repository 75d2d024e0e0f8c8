/* SPDX-License-Identifier: MIT
 *
 * test_binary.c - what the server's protocol machine answers to each request, good or bad, however
 * its bytes arrive.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "net/binary.h"
#include "net/detect.h"
#include "tests/support/sample_catalog.h"

enum {
    STREAM_SIZE = 256 * 1024,
    REPLIES_SIZE = 4 * 1024 * 1024,
    SMALL_ROOM = 16 * 1024, /* for tests of thousands of conversations */
};

static struct rf_catalog *catalog;
static struct rf_server_counters counters;
static const struct rf_server_counters *const counters_of_workers[] = {&counters};
static struct rf_histogram latency;
static const struct rf_histogram *const latencies_of_workers[] = {&latency};
static const struct rf_info_source info = {
    .program_version = "1.2.3",
    .node_id = "node-1",
    .engine = "epoll",
    .engine_reason = "asked for",
    .started_ns = 1000000000,
    .connections_max = 10,
    .workers_count = 1,
    .counters = counters_of_workers,
    .latencies = latencies_of_workers,
};

/* A growing stream of requests. */
struct stream {
    uint8_t data[STREAM_SIZE];
    size_t size;
    uint32_t requests_count;
};

/* What a connection has replied, all of it. */
struct replies {
    uint8_t data[REPLIES_SIZE];
    size_t size;
    enum rf_binary_status status; /* of the last feed */
};

static struct stream stream;
static struct replies replies;
static struct replies other_replies;

static struct rf_wire_bytes bytes(const char *text)
{
    return (struct rf_wire_bytes){text, strlen(text)};
}

static void stream_start(void)
{
    memset(&stream, 0, sizeof(stream));
    memcpy(stream.data, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    stream.size = RF_WIRE_PREFACE_SIZE;
}

static uint8_t *stream_at(void)
{
    return stream.data + stream.size;
}

static size_t stream_room(void)
{
    return sizeof(stream.data) - stream.size;
}

static void stream_added(size_t size)
{
    assert_true(size > 0);
    stream.size += size;
    stream.requests_count++;
}

static void add_match(const char *group, const char *key)
{
    stream_added(rf_wire_match_request_encode(stream_at(), stream_room(), stream.requests_count,
                                              bytes(group), bytes(key)));
}

static void add_match_many(const char *group, size_t count)
{
    static char texts[RF_WIRE_KEYS_MAX][16];
    struct rf_wire_bytes keys[RF_WIRE_KEYS_MAX];
    for (size_t i = 0; i < count; i++) {
        snprintf(texts[i], sizeof(texts[i]), "key-%zu", i);
        keys[i] = bytes(texts[i]);
    }
    stream_added(rf_wire_match_many_request_encode(
        stream_at(), stream_room(), stream.requests_count, bytes(group), keys, count));
}

static void add_owners(const char *group, const char *key, size_t count)
{
    stream_added(rf_wire_owners_request_encode(stream_at(), stream_room(), stream.requests_count,
                                               bytes(group), bytes(key), count));
}

static void add_members(const char *group, const char *after)
{
    stream_added(rf_wire_members_request_encode(stream_at(), stream_room(), stream.requests_count,
                                                bytes(group), bytes(after)));
}

static void add_groups(const char *after)
{
    stream_added(rf_wire_groups_request_encode(stream_at(), stream_room(), stream.requests_count,
                                               bytes(after)));
}

static void add_info(void)
{
    stream_added(rf_wire_info_request_encode(stream_at(), stream_room(), stream.requests_count));
}

static void add_frame(uint8_t op, const char *payload)
{
    stream_added(rf_wire_frame_encode(stream_at(), stream_room(), (enum rf_wire_op)op, RF_WIRE_OK,
                                      stream.requests_count, bytes(payload)));
}

static void add_watch(const char *group, uint64_t instance, uint64_t version)
{
    const struct rf_wire_watch_request request = {bytes(group), instance, version};
    stream_added(
        rf_wire_watch_request_encode(stream_at(), stream_room(), stream.requests_count, &request));
}

/* One request of each kind, of each outcome that goes on. */
static void add_everything(void)
{
    add_match("web", "alice");
    add_match("web", "");
    add_match("nobody", "alice");
    add_match("gone", "alice");
    add_match_many("web", 100);
    add_match_many("gone", 2);
    add_match_many("big", 300);
    add_owners("web", "alice", 2);
    add_owners("web", "alice", 50);
    add_owners("nobody", "alice", 50);
    add_members("web", "");
    add_members("web", "web-1");
    add_members("gone", "");
    add_members("nobody", "");
    add_members("big", "");
    add_groups("");
    add_groups("gone");
    add_groups("zzz");
    add_watch("web", 17, 42);
    add_frame(RF_WIRE_PING, "hello");
    add_frame(RF_WIRE_PING, "");
    add_frame(77, "what is this");
    add_info();
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "user-%d", i);
        add_match(i % 10 == 9 ? "big" : "web", key);
    }
}

/* Who asked to watch what, as told to the caller. */
static struct rf_wire_watch_request watched;
static char watched_name[RF_NAME_SIZE_MAX + 1];
static uint32_t watched_id;
static unsigned watched_count;
static int watch_code; /* what the caller says of it */

static int note_watch(void *watcher, const struct rf_wire_watch_request *request,
                      uint32_t request_id, struct rf_error *err)
{
    assert_ptr_equal(watcher, &watched);
    memcpy(watched_name, request->group.data, request->group.size);
    watched_name[request->group.size] = '\0';
    watched = *request;
    watched_id = request_id;
    watched_count++;
    return watch_code < 0 ? rf_error_set(err, watch_code, "no more watches") : 0;
}

/*
 * Plays a connection: input in pieces of `piece` bytes, kept by the caller as the contract says,
 * output in a buffer of `room` bytes, or as large as asked for. Stops when the machine closes.
 */
static void converse(struct replies *out, const uint8_t *data, size_t size, size_t piece,
                     size_t room)
{
    struct rf_binary binary = {0};
    const struct rf_binary_context context = {
        .catalog = catalog,
        .info = &info,
        .counters = &counters,
        .now_ns = 3500000000,
        .watch = note_watch,
        .watcher = &watched,
    };
    watched_count = 0;
    memset(&counters, 0, sizeof(counters));
    out->size = 0;
    out->status = RF_BINARY_MORE;
    size_t begin = 0;
    size_t end = 0;
    while (end < size && out->status != RF_BINARY_CLOSE) {
        end = size - end < piece ? size : end + piece;
        size_t room_now = room;
        do {
            struct rf_binary_result result;
            /* Exactly as large as said, so that the sanitizer sees a byte too far. */
            uint8_t *in = malloc(end - begin + 1);
            uint8_t *reply = malloc(room_now);
            assert_non_null(in);
            assert_non_null(reply);
            memcpy(in, data + begin, end - begin);
            out->status =
                rf_binary_feed(&binary, &context, in, end - begin, reply, room_now, &result);
            assert_true(result.consumed <= end - begin && result.written <= room_now);
            assert_true(out->size + result.written <= sizeof(out->data));
            memcpy(out->data + out->size, reply, result.written);
            out->size += result.written;
            begin += result.consumed;
            free(in);
            free(reply);
            if (out->status == RF_BINARY_ROOM) {
                assert_true(result.need <= RF_BINARY_ROOM_MAX);
                room_now = result.need;
            } else if (out->status == RF_BINARY_MORE) {
                assert_true(result.need > end - begin && result.need <= RF_BINARY_NEED_MAX);
            }
        } while (out->status == RF_BINARY_ROOM);
    }
}

static void converse_whole(void)
{
    converse(&replies, stream.data, stream.size, stream.size, REPLIES_SIZE);
}

/* The replies one by one: the payload of the next. */
static const uint8_t *next_reply(size_t *at, struct rf_wire_header *ret_header)
{
    assert_true(replies.size - *at >= RF_WIRE_HEADER_SIZE);
    *ret_header = rf_wire_header_load(replies.data + *at);
    const uint8_t *payload = replies.data + *at + RF_WIRE_HEADER_SIZE;
    *at += RF_WIRE_HEADER_SIZE + ret_header->payload_size;
    assert_true(*at <= replies.size);
    return payload;
}

/* The only reply, of the given status. */
static const uint8_t *only_reply(enum rf_wire_status status, size_t *ret_size)
{
    size_t at = 0;
    struct rf_wire_header header;
    const uint8_t *payload = next_reply(&at, &header);
    assert_int_equal(at, replies.size);
    assert_int_equal(header.status, status);
    *ret_size = header.payload_size;
    return payload;
}

static const struct rf_group *group_named(const char *name)
{
    return rf_catalog_group(catalog, name, strlen(name));
}

static const struct rf_member *owner_named(const char *group, const char *key)
{
    return rf_group_owner(group_named(group),
                          rf_placement_hash(catalog->placement, key, strlen(key)));
}

static void assert_owner(const struct rf_wire_owner *owner, const struct rf_member *member)
{
    assert_int_equal(owner->id.size, strlen(member->id));
    assert_memory_equal(owner->id.data, member->id, owner->id.size);
    assert_int_equal(owner->addr.size, strlen(member->addr));
    assert_memory_equal(owner->addr.data, member->addr, owner->addr.size);
}

static void binary_match_names_the_owner_and_the_group_version(void **state)
{
    (void)state;
    stream_start();
    add_match("web", "alice");
    converse_whole();
    size_t size;
    struct rf_wire_match_reply reply;
    const uint8_t *payload = only_reply(RF_WIRE_OK, &size);
    assert_int_equal(rf_wire_match_reply_decode(payload, size, &reply, NULL), 0);
    assert_int_equal(reply.version, group_named("web")->version);
    assert_owner(&reply.owner, owner_named("web", "alice"));
    assert_int_equal(rf_counter_get(&counters.requests_match), 1);
    assert_int_equal(rf_counter_get(&counters.keys_matched), 1);
}

static void binary_match_without_an_owner_is_not_found(void **state)
{
    (void)state;
    const char *const groups[] = {"nobody", "gone", "we", "webb"};
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        stream_start();
        add_match(groups[i], "alice");
        converse_whole();
        size_t size;
        (void)only_reply(RF_WIRE_NOT_FOUND, &size);
        assert_int_equal(replies.status, RF_BINARY_MORE);
        assert_int_equal(rf_counter_get(&counters.replies_not_found), 1);
    }
}

/* Runs of equal names, of all sizes: short owners and long ones, groups that share a beginning,
 * more than are answered at once. */
static void binary_runs_of_matches_answer_each_from_its_group(void **state)
{
    (void)state;
    static const char *const groups[] = {"web", "big", "web", "wex", "gone"};
    enum { COUNT = 1000 };
    const char *names[COUNT];
    char keys[COUNT][16];
    struct rf_random random = {7};
    stream_start();
    for (size_t i = 0; i < COUNT;) {
        const char *name = groups[rf_random_below(&random, sizeof(groups) / sizeof(groups[0]))];
        size_t run = 1 + rf_random_below(&random, 2 * RF_BINARY_MATCHES_MAX + 10);
        for (; run > 0 && i < COUNT; run--, i++) {
            names[i] = name;
            snprintf(keys[i], sizeof(keys[i]), "key-%zu", i);
            add_match(name, keys[i]);
        }
    }
    converse_whole();
    size_t at = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        struct rf_wire_header header;
        struct rf_wire_match_reply reply;
        const uint8_t *payload = next_reply(&at, &header);
        assert_int_equal(header.request_id, i);
        assert_int_equal(header.op, RF_WIRE_MATCH);
        const struct rf_group *group = group_named(names[i]);
        if (group == NULL || group->ring == NULL) {
            assert_int_equal(header.status, RF_WIRE_NOT_FOUND);
            continue;
        }
        assert_int_equal(header.status, RF_WIRE_OK);
        assert_int_equal(rf_wire_match_reply_decode(payload, header.payload_size, &reply, NULL), 0);
        assert_owner(&reply.owner, owner_named(names[i], keys[i]));
    }
    assert_int_equal(at, replies.size);
    assert_int_equal(rf_counter_get(&counters.requests_match), COUNT);
}

static void binary_match_many_answers_keys_in_their_order(void **state)
{
    (void)state;
    stream_start();
    add_match_many("web", RF_WIRE_KEYS_MAX);
    converse_whole();
    size_t size;
    struct rf_wire_owners_reply reply;
    const uint8_t *payload = only_reply(RF_WIRE_OK, &size);
    assert_int_equal(rf_wire_owners_reply_decode(payload, size, &reply, NULL), 0);
    assert_int_equal(reply.count, RF_WIRE_KEYS_MAX);
    for (int i = 0; i < RF_WIRE_KEYS_MAX; i++) {
        char key[16];
        struct rf_wire_owner owner;
        snprintf(key, sizeof(key), "key-%d", i);
        assert_true(rf_wire_owners_next(&reply.owners, &owner));
        assert_owner(&owner, owner_named("web", key));
    }
    assert_int_equal(rf_counter_get(&counters.keys_matched), RF_WIRE_KEYS_MAX);
}

static void binary_owners_are_distinct_and_begin_with_the_owner(void **state)
{
    (void)state;
    stream_start();
    add_owners("web", "alice", 50);
    converse_whole();
    size_t size;
    struct rf_wire_owners_reply reply;
    struct rf_wire_owner owners[SAMPLE_WEB_COUNT];
    const uint8_t *payload = only_reply(RF_WIRE_OK, &size);
    assert_int_equal(rf_wire_owners_reply_decode(payload, size, &reply, NULL), 0);
    assert_int_equal(reply.count, SAMPLE_WEB_COUNT); /* all there are */
    for (int i = 0; i < SAMPLE_WEB_COUNT; i++) {
        assert_true(rf_wire_owners_next(&reply.owners, &owners[i]));
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(rf_wire_bytes_compare(owners[i].id, owners[j].id), 0);
        }
    }
    assert_owner(&owners[0], owner_named("web", "alice"));
}

static void binary_members_come_in_pages_and_all_of_them(void **state)
{
    (void)state;
    const struct rf_group *group = group_named("big");
    char after[SAMPLE_BIG_NAME_SIZE + 1] = "";
    size_t seen = 0;
    unsigned pages_count = 0;
    bool more = true;
    while (more) {
        stream_start();
        add_members("big", after);
        converse_whole();
        size_t size;
        struct rf_wire_members_reply reply;
        struct rf_wire_member member;
        const uint8_t *payload = only_reply(RF_WIRE_OK, &size);
        assert_true(size + RF_WIRE_HEADER_SIZE <= RF_WIRE_PAGE_SIZE_MAX);
        assert_int_equal(rf_wire_members_reply_decode(payload, size, &reply, NULL), 0);
        assert_int_equal(reply.version, group->version);
        assert_int_equal(reply.digest, group->digest);
        while (rf_wire_members_next(&reply.members, &member)) {
            assert_owner(&member.owner, &group->members[seen]);
            assert_int_equal(member.replicas, group->members[seen].replicas);
            assert_int_equal(member.state, group->members[seen].state);
            seen++;
        }
        assert_true(seen > 0);
        strcpy(after, group->members[seen - 1].id);
        more = reply.more;
        pages_count++;
    }
    assert_int_equal(seen, SAMPLE_BIG_COUNT);
    assert_int_equal(pages_count, 3);
}

static void binary_groups_say_what_each_holds(void **state)
{
    (void)state;
    stream_start();
    add_groups("");
    converse_whole();
    size_t size;
    struct rf_wire_groups_reply reply;
    struct rf_wire_group group;
    const uint8_t *payload = only_reply(RF_WIRE_OK, &size);
    assert_int_equal(rf_wire_groups_reply_decode(payload, size, &reply, NULL), 0);
    assert_int_equal(reply.version, catalog->version);
    assert_int_equal(reply.digest, catalog->digest);
    assert_int_equal(reply.count, 3);
    assert_false(reply.more);
    for (size_t i = 0; i < 3; i++) {
        assert_true(rf_wire_groups_next(&reply.groups, &group));
        assert_int_equal(group.name.size, strlen(catalog->groups[i]->name));
        assert_memory_equal(group.name.data, catalog->groups[i]->name, group.name.size);
        assert_int_equal(group.members_count, catalog->groups[i]->members_count);
        assert_int_equal(group.alive_count, catalog->groups[i]->alive_count);
        assert_int_equal(group.digest, catalog->groups[i]->digest);
    }
}

static bool find_info(struct rf_wire_cursor entries, const char *name, struct rf_wire_info *ret)
{
    while (rf_wire_info_next(&entries, ret)) {
        if (ret->name.size == strlen(name) && memcmp(ret->name.data, name, strlen(name)) == 0) {
            return true;
        }
    }
    return false;
}

static void binary_info_has_facts_and_counters(void **state)
{
    (void)state;
    rf_histogram_add(&latency, 1500, 3); /* before: nothing of this test's own is counted yet */
    stream_start();
    add_match("web", "alice");
    add_info();
    converse_whole();
    size_t at = 0;
    struct rf_wire_header header;
    (void)next_reply(&at, &header);
    const uint8_t *payload = next_reply(&at, &header);
    struct rf_wire_info_reply reply;
    struct rf_wire_info entry;
    char digest[17];
    snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)catalog->digest);
    assert_int_equal(rf_wire_info_reply_decode(payload, header.payload_size, &reply, NULL), 0);
    const char *const texts[][2] = {{"program_version", "1.2.3"},
                                    {"digest", digest},
                                    {"engine", "epoll"},
                                    {"engine_reason", "asked for"},
                                    {"placement", "v1"},
                                    {"node", "node-1"},
                                    {"worker_0", "requests=1 keys=1 batches=0 connections=0 "
                                                 "watches=0 received=0 sent=0 blocked=0"},
                                    {"latency_from_1024_ns", "0 0 0 3 0 0 0 0"}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(find_info(reply.entries, texts[i][0], &entry));
        assert_int_equal(entry.type, RF_WIRE_INFO_TEXT);
        assert_int_equal(entry.value.size, strlen(texts[i][1]));
        assert_memory_equal(entry.value.data, texts[i][1], entry.value.size);
    }
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"version", catalog->version},
                   {"groups", 3},
                   {"members", 404},
                   {"alive", 403},
                   {"workers", 1},
                   {"uptime_ms", 2500},
                   {"requests_match", 1},
                   {"requests_info", 0}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_true(find_info(reply.entries, numbers[i].name, &entry));
        assert_int_equal(entry.type, RF_WIRE_INFO_U64);
        assert_int_equal(rf_load_le64(entry.value.data), numbers[i].value);
    }
    assert_false(find_info(reply.entries, "worker_1", &entry));
    assert_false(find_info(reply.entries, "latency_from_0_ns", &entry));
    rf_histogram_clear(&latency);
}

static void binary_ping_comes_back(void **state)
{
    (void)state;
    stream_start();
    add_frame(RF_WIRE_PING, "hello");
    converse_whole();
    size_t size;
    const uint8_t *payload = only_reply(RF_WIRE_OK, &size);
    assert_int_equal(size, 5);
    assert_memory_equal(payload, "hello", 5);
}

static void binary_watch_is_noted_once_and_has_no_reply_of_the_machine(void **state)
{
    (void)state;
    stream_start();
    add_watch("web", 17, 42);
    add_frame(RF_WIRE_PING, "");
    for (size_t room = 1; room < 600; room += 13) { /* who has no room may not note it twice */
        converse(&replies, stream.data, stream.size, stream.size, room);
        size_t size;
        (void)only_reply(RF_WIRE_OK, &size); /* the PING's */
        assert_int_equal(watched_count, 1);
    }
    assert_string_equal(watched_name, "web");
    assert_int_equal(watched.instance, 17);
    assert_int_equal(watched.version, 42);
    assert_int_equal(watched_id, 0);
    assert_int_equal(rf_counter_get(&counters.requests_watch), 1);
}

static void binary_watch_that_is_refused_says_why_and_the_connection_goes_on(void **state)
{
    (void)state;
    const int codes[] = {RF_ELIMIT, -ENOMEM};
    const enum rf_wire_status statuses[] = {RF_WIRE_TOO_LARGE, RF_WIRE_INTERNAL};
    for (int i = 0; i < 2; i++) {
        stream_start();
        add_watch("web", 0, 0);
        add_frame(RF_WIRE_PING, "");
        watch_code = codes[i];
        converse(&replies, stream.data, stream.size, stream.size, 1);
        watch_code = 0;
        assert_int_equal(watched_count, 1);
        assert_int_equal(rf_counter_get(&counters.replies_limit), i == 0);
        size_t at = 0;
        struct rf_wire_header header;
        const uint8_t *text = next_reply(&at, &header);
        assert_int_equal(header.op, RF_WIRE_WATCH);
        assert_int_equal(header.status, statuses[i]);
        assert_memory_equal(text, "no more watches", header.payload_size);
        (void)next_reply(&at, &header);
        assert_int_equal(header.op, RF_WIRE_PING);
        assert_int_equal(replies.status, RF_BINARY_MORE);
    }
}

static void binary_watch_that_is_malformed_is_not_noted_and_closes(void **state)
{
    (void)state;
    stream_start();
    add_frame(RF_WIRE_WATCH, "\003web and not the right size");
    add_watch("web", 0, 0);
    converse_whole();
    size_t size;
    (void)only_reply(RF_WIRE_MALFORMED, &size);
    assert_int_equal(watched_count, 0);
    assert_int_equal(replies.status, RF_BINARY_CLOSE);
}

static void binary_unknown_operation_is_answered_and_the_connection_goes_on(void **state)
{
    (void)state;
    stream_start();
    add_frame(200, "?");
    add_frame(255, "");
    add_frame(RF_WIRE_PING, "");
    converse_whole();
    size_t at = 0;
    struct rf_wire_header header;
    (void)next_reply(&at, &header);
    assert_int_equal(header.status, RF_WIRE_UNSUPPORTED);
    assert_int_equal(header.op, 200);
    (void)next_reply(&at, &header);
    assert_int_equal(header.status, RF_WIRE_UNSUPPORTED);
    (void)next_reply(&at, &header);
    assert_int_equal(header.op, RF_WIRE_PING);
    assert_int_equal(header.status, RF_WIRE_OK);
    assert_int_equal(header.request_id, 2);
    assert_int_equal(rf_counter_get(&counters.replies_unsupported), 2);
}

/* The request is answered with MALFORMED after the replies before it; nothing after it counts. */
static void binary_malformed_request_is_answered_and_closes(void **state)
{
    (void)state;
    stream_start();
    add_match("web", "alice");
    add_frame(RF_WIRE_INFO, "INFO has no payload");
    add_match("web", "bob");
    converse_whole();
    assert_int_equal(replies.status, RF_BINARY_CLOSE);
    size_t at = 0;
    struct rf_wire_header header;
    (void)next_reply(&at, &header);
    assert_int_equal(header.status, RF_WIRE_OK);
    (void)next_reply(&at, &header);
    assert_int_equal(header.status, RF_WIRE_MALFORMED);
    assert_int_equal(header.request_id, 1);
    assert_int_equal(at, replies.size);
    assert_int_equal(rf_counter_get(&counters.replies_malformed), 1);
}

/* Else the reply would say that it answers no request. */
static void binary_request_of_operation_none_is_malformed_and_closes(void **state)
{
    (void)state;
    stream_start();
    add_frame(RF_WIRE_NONE, "");
    add_match("web", "bob");
    converse_whole();
    assert_int_equal(replies.status, RF_BINARY_CLOSE);
    size_t at = 0;
    struct rf_wire_header header;
    (void)next_reply(&at, &header);
    assert_int_equal(header.op, RF_WIRE_NONE);
    assert_int_equal(header.status, RF_WIRE_MALFORMED);
    assert_int_equal(at, replies.size);
}

static void binary_malformed_match_among_good_ones_closes_in_its_turn(void **state)
{
    (void)state;
    stream_start();
    for (int i = 0; i < 5; i++) {
        add_match("web", "alice");
    }
    add_frame(RF_WIRE_MATCH, ""); /* no group */
    converse_whole();
    assert_int_equal(replies.status, RF_BINARY_CLOSE);
    size_t at = 0;
    struct rf_wire_header header;
    for (uint32_t i = 0; i < 6; i++) {
        (void)next_reply(&at, &header);
        assert_int_equal(header.request_id, i);
        assert_int_equal(header.status, i < 5 ? RF_WIRE_OK : RF_WIRE_MALFORMED);
    }
    assert_int_equal(at, replies.size);
}

/* Keys are answered by and by: what the good ones got must not show. */
static void binary_malformed_key_behind_many_good_ones_gets_one_reply(void **state)
{
    (void)state;
    const size_t count = 200;
    for (int wrong = 0; wrong < 2; wrong++) {
        for (int group = 0; group < 3; group++) {
            static const char *const names[] = {"web", "big", "nobody"};
            stream_start();
            add_match_many(names[group], count);
            uint8_t *count_at =
                stream.data + RF_WIRE_PREFACE_SIZE + RF_WIRE_HEADER_SIZE + 1 + strlen(names[group]);
            /* One key more than there are; or one less, so that bytes follow the last. */
            rf_store_le16(count_at, (uint16_t)(wrong == 0 ? count + 1 : count - 1));
            converse_whole();
            assert_int_equal(replies.status, RF_BINARY_CLOSE);
            size_t size;
            const uint8_t *text = only_reply(RF_WIRE_MALFORMED, &size);
            const char *expected =
                wrong == 0 ? "key 200 of 201 is cut" : "9 bytes after the last key";
            assert_int_equal(size, strlen(expected));
            assert_memory_equal(text, expected, size);
            assert_int_equal(rf_counter_get(&counters.keys_matched), 0);
        }
    }
}

static void binary_frame_too_large_is_refused_by_its_header_alone(void **state)
{
    (void)state;
    stream_start();
    rf_wire_header_store(stream_at(), RF_WIRE_MATCH, RF_WIRE_OK, 9, RF_WIRE_REQUEST_SIZE_MAX);
    stream.size += RF_WIRE_HEADER_SIZE;
    converse_whole();
    assert_int_equal(replies.status, RF_BINARY_CLOSE);
    size_t size;
    (void)only_reply(RF_WIRE_TOO_LARGE, &size);
    assert_int_equal(rf_counter_get(&counters.replies_limit), 1);
}

static void binary_count_over_its_limit_is_refused_and_the_connection_goes_on(void **state)
{
    (void)state;
    /* A right request whose count is made wrong, wherever the layout has it. */
    stream_start();
    add_owners("web", "k", 1);
    uint8_t *payload = stream.data + RF_WIRE_PREFACE_SIZE + RF_WIRE_HEADER_SIZE;
    size_t size = stream.size - RF_WIRE_PREFACE_SIZE - RF_WIRE_HEADER_SIZE;
    struct rf_wire_owners_request request;
    unsigned changed_count = 0;
    for (size_t i = 0; i + 1 < size && changed_count == 0; i++) {
        uint16_t before = rf_load_le16(payload + i);
        rf_store_le16(payload + i, RF_WIRE_OWNERS_MAX + 1);
        if (rf_wire_owners_request_decode(payload, size, &request, NULL) == RF_ELIMIT) {
            changed_count++;
        } else {
            rf_store_le16(payload + i, before);
        }
    }
    assert_int_equal(changed_count, 1);
    add_frame(RF_WIRE_PING, "");
    converse_whole();
    size_t at = 0;
    struct rf_wire_header header;
    (void)next_reply(&at, &header);
    assert_int_equal(header.status, RF_WIRE_TOO_LARGE);
    (void)next_reply(&at, &header);
    assert_int_equal(header.op, RF_WIRE_PING);
    assert_int_equal(replies.status, RF_BINARY_MORE);
}

static void binary_other_version_is_told_and_closed(void **state)
{
    (void)state;
    stream_start();
    stream.data[4] = RF_WIRE_VERSION + 1;
    add_match("web", "alice");
    converse_whole();
    assert_int_equal(replies.status, RF_BINARY_CLOSE);
    size_t size;
    (void)only_reply(RF_WIRE_UNSUPPORTED, &size);
}

static void binary_other_protocol_is_closed_without_a_word(void **state)
{
    (void)state;
    const char *http = "GET / HTTP/1.1\r\n\r\n";
    converse(&replies, (const uint8_t *)http, strlen(http), strlen(http), 1024);
    assert_int_equal(replies.status, RF_BINARY_CLOSE);
    assert_int_equal(replies.size, 0);
}

static void detect_decides_as_soon_as_bytes_allow(void **state)
{
    (void)state;
    for (size_t size = 0; size < RF_WIRE_PREFACE_SIZE; size++) {
        assert_int_equal(rf_detect(rf_wire_preface, size), RF_PROTOCOL_UNDECIDED);
    }
    assert_int_equal(rf_detect(rf_wire_preface, RF_WIRE_PREFACE_SIZE), RF_PROTOCOL_BINARY);
    assert_int_equal(rf_detect((const uint8_t *)"G", 1), RF_PROTOCOL_UNKNOWN);
    uint8_t other[RF_WIRE_PREFACE_SIZE];
    memcpy(other, rf_wire_preface, sizeof(other));
    other[4]++;
    assert_int_equal(rf_detect(other, sizeof(other)), RF_PROTOCOL_BINARY);
}

/* ---- how bytes are cut must not matter ---- */

static void assert_same_replies(void)
{
    assert_int_equal(other_replies.size, replies.size);
    assert_memory_equal(other_replies.data, replies.data, replies.size);
    assert_int_equal(other_replies.status, replies.status);
}

static void binary_byte_by_byte_equals_all_at_once(void **state)
{
    (void)state;
    stream_start();
    add_everything();
    converse_whole();
    assert_true(replies.size > 150000);
    size_t at = 0;
    for (uint32_t i = 0; i < stream.requests_count; i++) {
        if (i == watched_id) { /* whose replies are not the machine's */
            continue;
        }
        struct rf_wire_header header;
        (void)next_reply(&at, &header);
        assert_int_equal(header.request_id, i);
    }
    assert_int_equal(at, replies.size);
    const size_t pieces[] = {1, 2, 7, 12, 13, 100, 1000, 4096};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        converse(&other_replies, stream.data, stream.size, pieces[i], REPLIES_SIZE);
        assert_same_replies();
    }
}

static void binary_output_in_any_room_equals_all_at_once(void **state)
{
    (void)state;
    stream_start();
    add_everything();
    converse_whole();
    const size_t rooms[] = {1, 16, 100, 531, 5000, 65535, 65536, 100000};
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        converse(&other_replies, stream.data, stream.size, stream.size, rooms[i]);
        assert_same_replies();
    }
}

static void binary_cut_anywhere_answers_what_was_whole(void **state)
{
    (void)state;
    stream_start();
    add_everything();
    converse_whole();
    for (size_t size = 0; size < stream.size; size++) {
        if (size > 2000 && size % 17 != 0) {
            continue; /* the keys of a batch look all alike */
        }
        converse(&other_replies, stream.data, size, size, SMALL_ROOM);
        assert_int_equal(other_replies.status, RF_BINARY_MORE);
        assert_true(other_replies.size <= replies.size);
        assert_memory_equal(other_replies.data, replies.data, other_replies.size);
    }
}

/* Whatever one wrong byte makes of a stream, replies stay well formed and the machine ends. */
static void binary_one_wrong_byte_anywhere_does_no_harm(void **state)
{
    (void)state;
    stream_start();
    add_match("web", "alice");
    add_match_many("web", 3);
    add_owners("web", "alice", 2);
    add_members("web", "web-1");
    add_groups("gone");
    add_frame(RF_WIRE_PING, "hello");
    add_info();
    add_match("web", "bob");
    const uint8_t masks[] = {0x01, 0x02, 0x08, 0x10, 0x40, 0x80, 0xff, 0x55};
    for (size_t i = 0; i < stream.size; i++) {
        for (size_t j = 0; j < sizeof(masks); j++) {
            stream.data[i] ^= masks[j];
            converse(&replies, stream.data, stream.size, stream.size, SMALL_ROOM);
            size_t at = 0;
            while (at < replies.size) {
                struct rf_wire_header header;
                (void)next_reply(&at, &header);
                assert_true(header.status <= RF_WIRE_INTERNAL);
            }
            stream.data[i] ^= masks[j];
        }
    }
}

static int set_up(void **state)
{
    (void)state;
    catalog = sample_catalog();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sample_catalog_free(catalog);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_match_names_the_owner_and_the_group_version),
        cmocka_unit_test(binary_match_without_an_owner_is_not_found),
        cmocka_unit_test(binary_runs_of_matches_answer_each_from_its_group),
        cmocka_unit_test(binary_match_many_answers_keys_in_their_order),
        cmocka_unit_test(binary_owners_are_distinct_and_begin_with_the_owner),
        cmocka_unit_test(binary_members_come_in_pages_and_all_of_them),
        cmocka_unit_test(binary_groups_say_what_each_holds),
        cmocka_unit_test(binary_info_has_facts_and_counters),
        cmocka_unit_test(binary_ping_comes_back),
        cmocka_unit_test(binary_watch_is_noted_once_and_has_no_reply_of_the_machine),
        cmocka_unit_test(binary_watch_that_is_refused_says_why_and_the_connection_goes_on),
        cmocka_unit_test(binary_watch_that_is_malformed_is_not_noted_and_closes),
        cmocka_unit_test(binary_unknown_operation_is_answered_and_the_connection_goes_on),
        cmocka_unit_test(binary_malformed_request_is_answered_and_closes),
        cmocka_unit_test(binary_request_of_operation_none_is_malformed_and_closes),
        cmocka_unit_test(binary_malformed_match_among_good_ones_closes_in_its_turn),
        cmocka_unit_test(binary_malformed_key_behind_many_good_ones_gets_one_reply),
        cmocka_unit_test(binary_frame_too_large_is_refused_by_its_header_alone),
        cmocka_unit_test(binary_count_over_its_limit_is_refused_and_the_connection_goes_on),
        cmocka_unit_test(binary_other_version_is_told_and_closed),
        cmocka_unit_test(binary_other_protocol_is_closed_without_a_word),
        cmocka_unit_test(detect_decides_as_soon_as_bytes_allow),
        cmocka_unit_test(binary_byte_by_byte_equals_all_at_once),
        cmocka_unit_test(binary_output_in_any_room_equals_all_at_once),
        cmocka_unit_test(binary_cut_anywhere_answers_what_was_whole),
        cmocka_unit_test(binary_one_wrong_byte_anywhere_does_no_harm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
