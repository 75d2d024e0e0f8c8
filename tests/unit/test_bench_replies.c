/* SPDX-License-Identifier: MIT */
#include "bench/replies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes.h"
#include "core/wire.h"

enum { REPLIES = 40, STREAM_MAX = 256 * 1024, VERSION = 42 };

static const struct rf_bench_member members[] = {
    {"a", "10.0.0.1:80", 50},
    {"instance-002", "10.0.0.2:8080", 100},
    {"a-much-longer-name-of-a-member.example", "[2001:db8::1]:65535", 70},
};

enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

/* A workload with its truth, and right replies to its first requests as one stream. */
struct fixture {
    struct rf_bench_workload workload;
    struct rf_bench_truth *truth;
    uint8_t stream[STREAM_MAX];
    size_t size;
    size_t ends[REPLIES]; /* of each reply */
    uint32_t position;
    struct rf_bench_tally tally;
    struct rf_error err;
};

/* Who has the draw, found anew. */
static const struct rf_bench_member *owner_of(uint32_t draw)
{
    struct rf_ring_member ring_members[MEMBERS];
    struct rf_ring *ring;
    char key[RF_BENCH_KEY_SIZE];
    for (size_t i = 0; i < MEMBERS; i++) {
        ring_members[i] = (struct rf_ring_member){members[i].id, members[i].replicas};
    }
    assert_int_equal(rf_ring_build(RF_PLACEMENT_V1, ring_members, MEMBERS, &ring, NULL), 0);
    rf_bench_key(draw, key);
    uint16_t slot = rf_ring_owner(ring, rf_placement_hash(RF_PLACEMENT_V1, key, sizeof(key)));
    rf_ring_free(ring);
    return &members[slot];
}

static struct rf_wire_owner wire_owner(const struct rf_bench_member *member)
{
    return (struct rf_wire_owner){.id = {member->id, strlen(member->id)},
                                  .addr = {member->addr, strlen(member->addr)}};
}

static void append_reply(struct fixture *fixture, uint32_t position, uint64_t version)
{
    const struct rf_bench_workload_config *config = &fixture->workload.config;
    const uint32_t *draws = fixture->workload.draws + (size_t)position * config->keys_per_request;
    uint8_t *at = fixture->stream + fixture->size;
    size_t room = STREAM_MAX - fixture->size;
    struct rf_wire_owner owner = wire_owner(owner_of(draws[0]));
    char value[600];
    (void)snprintf(value, sizeof(value), "%s%s", owner_of(draws[0])->id, owner_of(draws[0])->addr);
    if (config->protocol == RF_BENCH_REDIS) {
        fixture->size += (size_t)sprintf((char *)at, "$%zu\r\n%s\r\n", strlen(value), value);
    } else if (config->protocol == RF_BENCH_MEMCACHED) {
        fixture->size += (size_t)sprintf((char *)at, "VA %zu\r\n%s\r\n", strlen(value), value);
    } else if (config->keys_per_request == 1) {
        fixture->size += rf_wire_match_reply_encode(at, room, position, version, &owner);
    } else {
        struct rf_wire_list list;
        assert_int_equal(
            rf_wire_owners_reply_begin(&list, at, room, RF_WIRE_MATCH_MANY, position, version), 0);
        for (uint32_t i = 0; i < config->keys_per_request; i++) {
            owner = wire_owner(owner_of(draws[i]));
            assert_int_equal(rf_wire_owners_reply_add(&list, &owner), 0);
        }
        fixture->size += rf_wire_list_end(&list, false);
    }
}

static struct fixture *fixture_new(enum rf_bench_protocol protocol, uint32_t keys_per_request)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    const struct rf_bench_workload_config config = {.protocol = protocol,
                                                    .group = "web",
                                                    .keys_count = 500,
                                                    .keys_per_request = keys_per_request};
    assert_int_equal(rf_bench_workload_init(&fixture->workload, &config, NULL), 0);
    assert_int_equal(rf_bench_truth_build(&fixture->workload, RF_PLACEMENT_V1, VERSION, members,
                                          MEMBERS, &fixture->truth, NULL),
                     0);
    for (uint32_t i = 0; i < REPLIES; i++) {
        append_reply(fixture, i, VERSION);
        fixture->ends[i] = fixture->size;
    }
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    rf_bench_truth_free(fixture->truth);
    rf_bench_workload_fini(&fixture->workload);
    free(fixture);
}

static ptrdiff_t read_stream(struct fixture *fixture, const uint8_t *data, size_t size,
                             uint64_t in_flight)
{
    /* A copy of its own size, so that the sanitizer sees a read past it. */
    uint8_t *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy + 1, data, size);
    ptrdiff_t used =
        rf_bench_replies_read(&fixture->workload, fixture->truth, &fixture->position, in_flight,
                              copy + 1, size, &fixture->tally, &fixture->err);
    free(copy);
    return used;
}

static const struct {
    enum rf_bench_protocol protocol;
    uint32_t keys_per_request;
} kinds[] = {
    {RF_BENCH_REGISTRY, 1}, {RF_BENCH_REGISTRY, 5}, {RF_BENCH_REDIS, 1}, {RF_BENCH_MEMCACHED, 1}};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void right_replies_are_all_checked(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct fixture *fixture = fixture_new(kinds[kind].protocol, kinds[kind].keys_per_request);
        assert_int_equal(read_stream(fixture, fixture->stream, fixture->size, REPLIES),
                         fixture->size);
        assert_int_equal(fixture->tally.answered, REPLIES);
        assert_int_equal(fixture->tally.checked, REPLIES * kinds[kind].keys_per_request);
        assert_int_equal(fixture->tally.wrong + fixture->tally.refused + fixture->tally.skipped, 0);
        assert_int_equal(fixture->position, REPLIES);
        fixture_free(fixture);
    }
}

static void replies_may_be_cut_anywhere(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct fixture *fixture = fixture_new(kinds[kind].protocol, kinds[kind].keys_per_request);
        for (size_t cut = 0; cut <= fixture->ends[2]; cut++) {
            size_t whole = cut == fixture->ends[2]   ? 3
                           : cut >= fixture->ends[1] ? 2
                           : cut >= fixture->ends[0] ? 1
                                                     : 0;
            size_t end = whole == 0 ? 0 : fixture->ends[whole - 1];
            fixture->position = 0;
            memset(&fixture->tally, 0, sizeof(fixture->tally));
            assert_int_equal(read_stream(fixture, fixture->stream, cut, REPLIES), end);
            assert_int_equal(fixture->position, whole);
            size_t rest = fixture->size - end;
            assert_int_equal(read_stream(fixture, fixture->stream + end, rest, REPLIES - whole),
                             rest);
            assert_int_equal(fixture->tally.answered, REPLIES);
            assert_int_equal(fixture->tally.checked, REPLIES * kinds[kind].keys_per_request);
            assert_int_equal(fixture->tally.wrong, 0);
        }
        fixture_free(fixture);
    }
}

/* Every byte of a reply counts: one that is another is a wrong answer, another version, a refusal
 * or no reply at all, and never a right one. */
static void no_changed_byte_passes(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct fixture *fixture = fixture_new(kinds[kind].protocol, kinds[kind].keys_per_request);
        for (size_t i = 0; i < fixture->ends[0]; i++) {
            fixture->position = 0;
            memset(&fixture->tally, 0, sizeof(fixture->tally));
            fixture->stream[i] ^= 1;
            ptrdiff_t used = read_stream(fixture, fixture->stream, fixture->ends[0], 1);
            assert_true(used <= 0 || fixture->tally.checked == 0);
            assert_true(used < 0 || (used == 0 && fixture->tally.answered == 0) ||
                        fixture->tally.wrong + fixture->tally.refused +
                                fixture->tally.skipped / kinds[kind].keys_per_request ==
                            1);
            fixture->stream[i] ^= 1;
        }
        fixture_free(fixture);
    }
}

static void another_owner_is_a_wrong_answer_and_the_next_is_right(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(RF_BENCH_REGISTRY, 1);
    const struct rf_bench_member *right = owner_of(fixture->workload.draws[0]);
    struct rf_wire_owner wrong = wire_owner(right == &members[0] ? &members[1] : &members[0]);
    uint8_t reply[256];
    size_t size = rf_wire_match_reply_encode(reply, sizeof(reply), 0, VERSION, &wrong);
    assert_int_equal(read_stream(fixture, reply, size, REPLIES), size);
    assert_int_equal(fixture->tally.wrong, 1);
    assert_non_null(strstr(fixture->tally.first_error.text, "local ring"));
    size_t rest = fixture->ends[1] - fixture->ends[0];
    assert_int_equal(read_stream(fixture, fixture->stream + fixture->ends[0], rest, 1), rest);
    assert_int_equal(fixture->tally.checked, 1);
    fixture_free(fixture);
}

static void another_version_is_skipped_and_told(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < 2; kind++) {
        struct fixture *fixture = fixture_new(kinds[kind].protocol, kinds[kind].keys_per_request);
        fixture->size = 0;
        append_reply(fixture, 0, VERSION + 1);
        assert_int_equal(read_stream(fixture, fixture->stream, fixture->size, 1), fixture->size);
        assert_int_equal(fixture->tally.skipped, kinds[kind].keys_per_request);
        assert_int_equal(fixture->tally.newest_version, VERSION + 1);
        assert_int_equal(fixture->tally.wrong, 0);
        fixture_free(fixture);
    }
}

/* After a change most keys are where they were, some have moved: neither can be checked. */
static void moved_keys_of_another_version_are_skipped(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(RF_BENCH_REGISTRY, 1);
    const struct rf_wire_owner owner = {.id = {"new", 3}, .addr = {"[::1]:9", 7}};
    fixture->size = 0;
    append_reply(fixture, 0, VERSION);
    append_reply(fixture, 1, VERSION + 1);
    fixture->size += rf_wire_match_reply_encode(fixture->stream + fixture->size,
                                                STREAM_MAX - fixture->size, 2, VERSION + 1, &owner);
    append_reply(fixture, 3, VERSION + 2);
    append_reply(fixture, 4, VERSION);
    assert_int_equal(read_stream(fixture, fixture->stream, fixture->size, 5), fixture->size);
    assert_int_equal(fixture->tally.answered, 5);
    assert_int_equal(fixture->tally.checked, 2);
    assert_int_equal(fixture->tally.skipped, 3);
    assert_int_equal(fixture->tally.newest_version, VERSION + 2);
    assert_int_equal(fixture->tally.wrong, 0);
    fixture_free(fixture);
}

static void refusals_are_errors_with_their_text(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(RF_BENCH_REGISTRY, 1);
    uint8_t reply[512];
    size_t size = rf_wire_error_encode(reply, sizeof(reply), RF_WIRE_MATCH, RF_WIRE_NOT_FOUND, 0,
                                       "no such group");
    assert_int_equal(read_stream(fixture, reply, size, 1), size);
    assert_int_equal(fixture->tally.refused, 1);
    assert_non_null(strstr(fixture->tally.first_error.text, "no such group"));
    fixture_free(fixture);

    static const struct {
        enum rf_bench_protocol protocol;
        const char *text;
    } texts[] = {
        {RF_BENCH_REDIS, "$-1\r\n"},
        {RF_BENCH_REDIS, "-LOADING Redis is loading\r\n"},
        {RF_BENCH_MEMCACHED, "EN\r\n"},
        {RF_BENCH_MEMCACHED, "SERVER_ERROR out of memory\r\n"},
        {RF_BENCH_MEMCACHED, "CLIENT_ERROR bad\r\n"},
        {RF_BENCH_MEMCACHED, "ERROR\r\n"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        fixture = fixture_new(texts[i].protocol, 1);
        size = strlen(texts[i].text);
        for (size_t cut = 0; cut < size; cut++) {
            assert_int_equal(read_stream(fixture, (const uint8_t *)texts[i].text, cut, 1), 0);
        }
        assert_int_equal(read_stream(fixture, (const uint8_t *)texts[i].text, size, 1), size);
        assert_int_equal(fixture->tally.refused, 1);
        assert_int_equal(fixture->position, 1);
        fixture_free(fixture);
    }
}

static void what_is_no_reply_ends_the_connection(void **state)
{
    (void)state;
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0};
    static const char *const not_redis[] = {"+OK\r\n", "HTTP/1.1 400\r\n", "*1\r\n"};
    static const char *const not_memcached[] = {"VALUE a 0 1\r\n", "$3\r\nabc\r\n", "\r\n"};
    struct fixture *fixture = fixture_new(RF_BENCH_REGISTRY, 1);
    assert_int_equal(read_stream(fixture, huge, sizeof(huge), 1), RF_EMALFORMED);
    fixture_free(fixture);
    for (size_t i = 0; i < 3; i++) {
        fixture = fixture_new(RF_BENCH_REDIS, 1);
        assert_int_equal(
            read_stream(fixture, (const uint8_t *)not_redis[i], strlen(not_redis[i]), 1),
            RF_EMALFORMED);
        fixture_free(fixture);
        fixture = fixture_new(RF_BENCH_MEMCACHED, 1);
        assert_int_equal(
            read_stream(fixture, (const uint8_t *)not_memcached[i], strlen(not_memcached[i]), 1),
            RF_EMALFORMED);
        fixture_free(fixture);
    }
}

static void a_line_without_end_ends_the_connection(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(RF_BENCH_REDIS, 1);
    uint8_t line[4096];
    memset(line, 'x', sizeof(line));
    line[0] = '-';
    assert_int_equal(read_stream(fixture, line, sizeof(line), 1), RF_EMALFORMED);
    fixture_free(fixture);
}

static void a_reply_that_nobody_asked_for_ends_the_connection(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct fixture *fixture = fixture_new(kinds[kind].protocol, kinds[kind].keys_per_request);
        assert_int_equal(read_stream(fixture, fixture->stream, fixture->ends[1], 1), RF_EMALFORMED);
        fixture_free(fixture);
    }
}

static void unchecked_replies_are_counted_and_their_ids_compared(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(RF_BENCH_REGISTRY, 1);
    rf_bench_truth_free(fixture->truth);
    fixture->truth = NULL;
    rf_store_le32(fixture->stream + fixture->ends[0] + 8, 77); /* the second's request id */
    assert_int_equal(read_stream(fixture, fixture->stream, fixture->size, REPLIES), fixture->size);
    assert_int_equal(fixture->tally.answered, REPLIES);
    assert_int_equal(fixture->tally.checked, 0);
    assert_int_equal(fixture->tally.wrong, 1);
    fixture_free(fixture);
}

static void positions_begin_again_at_the_end(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(RF_BENCH_REGISTRY, 1);
    uint32_t last = fixture->workload.requests_count - 1;
    fixture->size = 0;
    append_reply(fixture, last, VERSION);
    append_reply(fixture, 0, VERSION);
    fixture->position = last;
    assert_int_equal(read_stream(fixture, fixture->stream, fixture->size, 2), fixture->size);
    assert_int_equal(fixture->tally.checked, 2);
    assert_int_equal(fixture->position, 1);
    fixture_free(fixture);
}

static void the_ceiling_gives_everybody_the_same_bytes(void **state)
{
    (void)state;
    for (uint32_t keys = 1; keys <= 64; keys += 63) {
        struct fixture *fixture = fixture_new(RF_BENCH_CEILING, keys);
        uint8_t *reply = fixture->stream;
        rf_bench_truth_free(fixture->truth);
        assert_int_equal(rf_bench_truth_build(&fixture->workload, RF_PLACEMENT_V1,
                                              RF_BENCH_CEILING_VERSION, &rf_bench_ceiling_member, 1,
                                              &fixture->truth, NULL),
                         0);
        size_t size = rf_bench_ceiling_reply(reply, STREAM_MAX, keys);
        if (keys == 1) {
            assert_int_equal(size, 48);
        }
        for (int i = 0; i < 3; i++) {
            assert_int_equal(read_stream(fixture, reply, size, 3), size);
        }
        assert_int_equal(fixture->tally.checked, 3 * keys);
        assert_int_equal(fixture->tally.wrong, 0);
        fixture_free(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_replies_are_all_checked),
        cmocka_unit_test(replies_may_be_cut_anywhere),
        cmocka_unit_test(no_changed_byte_passes),
        cmocka_unit_test(another_owner_is_a_wrong_answer_and_the_next_is_right),
        cmocka_unit_test(another_version_is_skipped_and_told),
        cmocka_unit_test(moved_keys_of_another_version_are_skipped),
        cmocka_unit_test(refusals_are_errors_with_their_text),
        cmocka_unit_test(what_is_no_reply_ends_the_connection),
        cmocka_unit_test(a_line_without_end_ends_the_connection),
        cmocka_unit_test(a_reply_that_nobody_asked_for_ends_the_connection),
        cmocka_unit_test(unchecked_replies_are_counted_and_their_ids_compared),
        cmocka_unit_test(positions_begin_again_at_the_end),
        cmocka_unit_test(the_ceiling_gives_everybody_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
