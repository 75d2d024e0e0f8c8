/* SPDX-License-Identifier: MIT */
#include "client/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"

enum {
    HEARTBEAT_NS = 1000,
    STREAM_SIZE = 64 * 1024,
};

static struct rf_session session;
static struct rf_error err;
static uint64_t now_ns;
static char tokens[64]; /* their addresses */

/* What the registry sends. */
static uint8_t stream[STREAM_SIZE];
static size_t stream_size;

static int setup(void **state)
{
    (void)state;
    now_ns = 1000000;
    stream_size = 0;
    rf_session_init(&session, HEARTBEAT_NS);
    return rf_session_begin(&session, now_ns, &err);
}

static int teardown(void **state)
{
    (void)state;
    rf_session_fini(&session);
    return 0;
}

/* ---- the registry ---- */

static void put_match(uint32_t id)
{
    const struct rf_wire_owner owner = {{"web-1", 5}, {"10.0.0.1:80", 11}};
    stream_size +=
        rf_wire_match_reply_encode(stream + stream_size, STREAM_SIZE - stream_size, id, 7, &owner);
}

static void put_frame(enum rf_wire_op op, uint32_t id, const void *payload, size_t size)
{
    stream_size += rf_wire_frame_encode(stream + stream_size, STREAM_SIZE - stream_size, op,
                                        RF_WIRE_OK, id, (struct rf_wire_bytes){payload, size});
}

static void put_error(enum rf_wire_op op, enum rf_wire_status status, uint32_t id, const char *text)
{
    stream_size += rf_wire_error_encode(stream + stream_size, STREAM_SIZE - stream_size,
                                        (uint8_t)op, status, id, text);
}

static void put_info(uint32_t id, const char *name, const char *value)
{
    struct rf_wire_list list;
    assert_int_equal(
        rf_wire_info_reply_begin(&list, stream + stream_size, STREAM_SIZE - stream_size, id), 0);
    assert_int_equal(rf_wire_info_reply_add_u64(&list, "version", 3), 0);
    assert_int_equal(rf_wire_info_reply_add_text(&list, name, value), 0);
    stream_size += rf_wire_list_end(&list, false);
}

static void put_told(uint32_t id)
{
    const struct rf_wire_watch_head head = {.instance = 1, .version = 1, .is_whole = true};
    struct rf_wire_list list;
    assert_int_equal(rf_wire_watch_reply_begin(&list, stream + stream_size,
                                               STREAM_SIZE - stream_size, id, &head),
                     0);
    stream_size += rf_wire_list_end(&list, false);
}

/* Gives the session `size` bytes of it. */
static void receive(const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t room_size;
        uint8_t *room = rf_session_room(&session, &room_size);
        size_t taken = size < room_size ? size : room_size;
        memcpy(room, data, taken);
        rf_session_received(&session, taken);
        data += taken;
        size -= taken;
    }
}

static void receive_all(void)
{
    receive(stream, stream_size);
    stream_size = 0;
}

/* ---- the client ---- */

static void ask(enum rf_wire_op op, void *token)
{
    uint8_t frame[64];
    size_t size = op == RF_WIRE_MATCH ? rf_wire_match_request_encode(frame, sizeof(frame), 99,
                                                                     (struct rf_wire_bytes){"w", 1},
                                                                     (struct rf_wire_bytes){"k", 1})
                                      : rf_wire_frame_encode(frame, sizeof(frame), op, RF_WIRE_OK,
                                                             99, (struct rf_wire_bytes){NULL, 0});
    assert_int_equal(rf_session_request(&session, frame, size, token, &err), 0);
}

static int watch(void *token)
{
    const struct rf_wire_watch_request request = {.group = {"web", 3}, .instance = 5, .version = 6};
    return rf_session_watch(&session, now_ns, &request, token, &err);
}

static int next(struct rf_session_event *event)
{
    return rf_session_next(&session, now_ns, event, &err);
}

/* The next thing is of this type, and about that. */
static void comes(enum rf_session_event_type type, const void *token)
{
    struct rf_session_event event;
    int code = next(&event);
    if (code != 1) {
        fail_msg("code %d: %s", code, err.text);
    }
    assert_int_equal(event.type, type);
    assert_ptr_equal(event.token, token);
}

static void nothing_comes(void)
{
    struct rf_session_event event;
    assert_int_equal(next(&event), 0);
}

static void fails(int code, const char *text)
{
    struct rf_session_event event;
    assert_int_equal(next(&event), code);
    if (strstr(err.text, text) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, text);
    }
}

/* Takes the next frame of the output. */
static struct rf_wire_header sent(void)
{
    size_t size;
    const uint8_t *out = rf_session_output(&session, &size);
    assert_true(size >= RF_WIRE_HEADER_SIZE);
    struct rf_wire_header header = rf_wire_header_load(out);
    assert_true(size >= RF_WIRE_HEADER_SIZE + header.payload_size);
    rf_session_sent(&session, RF_WIRE_HEADER_SIZE + header.payload_size);
    return header;
}

static void sent_preface(void)
{
    size_t size;
    const uint8_t *out = rf_session_output(&session, &size);
    assert_true(size >= RF_WIRE_PREFACE_SIZE);
    assert_memory_equal(out, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    rf_session_sent(&session, RF_WIRE_PREFACE_SIZE);
}

static void nothing_is_sent(void)
{
    size_t size;
    assert_null(rf_session_output(&session, &size));
    assert_int_equal(size, 0);
}

/* ---- tests ---- */

static void session_numbers_requests_after_the_preface(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        ask(i % 2 == 0 ? RF_WIRE_MATCH : RF_WIRE_PING, &tokens[i]);
    }
    sent_preface();
    for (uint32_t i = 0; i < 40; i++) {
        struct rf_wire_header header = sent();
        assert_int_equal(header.op, i % 2 == 0 ? RF_WIRE_MATCH : RF_WIRE_PING);
        assert_int_equal(header.request_id, i);
    }
    nothing_is_sent();
}

static void session_replies_come_in_order_however_they_are_cut(void **state)
{
    for (size_t step = 1; step < 120; step += 7) {
        assert_int_equal(rf_session_begin(&session, now_ns, &err), 0);
        for (int i = 0; i < 20; i++) {
            ask(RF_WIRE_MATCH, &tokens[i]);
            put_match((uint32_t)i);
        }
        int count = 0;
        for (size_t at = 0; at < stream_size; at += step) {
            struct rf_session_event event;
            int code;
            receive(stream + at, step < stream_size - at ? step : stream_size - at);
            while ((code = next(&event)) == 1) {
                struct rf_wire_match_reply reply;
                assert_ptr_equal(event.token, &tokens[count++]);
                assert_int_equal(rf_wire_match_reply_decode(
                                     event.payload, event.header.payload_size, &reply, &err),
                                 0);
            }
            assert_int_equal(code, 0);
        }
        assert_int_equal(count, 20);
        assert_false(rf_session_is_within_reply(&session));
        stream_size = 0;
    }
    (void)state;
}

static void session_drops_replies_to_what_was_forgotten(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        ask(RF_WIRE_MATCH, &tokens[i]);
        put_match(i);
    }
    rf_session_forget(&session, &tokens[0]);
    rf_session_forget(&session, &tokens[2]);
    rf_session_forget(&session, &tokens[3]); /* which was never asked */
    receive_all();
    comes(RF_SESSION_REPLY, &tokens[1]);
    nothing_comes();
    ask(RF_WIRE_MATCH, &tokens[0]);
    put_match(3);
    receive_all();
    comes(RF_SESSION_REPLY, &tokens[0]);
}

static void session_makes_room_for_large_replies_only_when_they_come(void **state)
{
    (void)state;
    static uint8_t payload[40 * 1024];
    ask(RF_WIRE_PING, &tokens[0]);
    put_frame(RF_WIRE_PING, 0, payload, sizeof(payload));
    receive(stream, RF_WIRE_HEADER_SIZE);
    nothing_comes();
    assert_true(rf_session_is_within_reply(&session));
    for (size_t at = RF_WIRE_HEADER_SIZE; at < stream_size; at++) {
        nothing_comes();
        receive(stream + at, 1);
    }
    comes(RF_SESSION_REPLY, &tokens[0]);
    nothing_comes();
}

static void begin_again(void)
{
    stream_size = 0;
    assert_int_equal(rf_session_begin(&session, now_ns, &err), 0);
}

static void session_refuses_what_is_no_reply(void **state)
{
    (void)state;
    ask(RF_WIRE_MATCH, &tokens[0]);
    put_match(1);
    receive_all();
    fails(RF_EMALFORMED, "reply with id 1 to request 0");

    begin_again();
    ask(RF_WIRE_PING, &tokens[0]);
    put_match(0);
    receive_all();
    fails(RF_EMALFORMED, "reply of operation 1 to one of 7");

    begin_again();
    put_match(0);
    receive_all();
    fails(RF_EMALFORMED, "nobody asked");

    begin_again();
    ask(RF_WIRE_MATCH, &tokens[0]);
    put_match(0);
    stream[stream_size++] = 'x';
    receive_all();
    fails(RF_EMALFORMED, "1 bytes after the reply");

    begin_again();
    ask(RF_WIRE_MATCH, &tokens[0]);
    put_match(0);
    stream[6] = 1;
    receive_all();
    fails(RF_EMALFORMED, "reserved");

    begin_again();
    ask(RF_WIRE_MATCH, &tokens[0]);
    put_match(0);
    memset(stream, 0xff, 4);
    receive_all();
    fails(RF_ELIMIT, "allowed 1048576");

    begin_again();
    ask(RF_WIRE_MATCH, &tokens[0]);
    put_told(0);
    receive_all();
    fails(RF_EMALFORMED, "reply of operation 8 to one of 1");
}

static void session_ends_at_an_error_about_the_whole_connection(void **state)
{
    (void)state;
    ask(RF_WIRE_MATCH, &tokens[0]);
    put_error(RF_WIRE_NONE, RF_WIRE_UNSUPPORTED, 0, "protocol version 1: spoken here is 2");
    receive_all();
    fails(RF_EVERSION, "spoken here is 2");
    assert_int_equal(rf_session_begin(&session, now_ns, &err), 0);
    put_error(RF_WIRE_NONE, RF_WIRE_UNAVAILABLE, 0, "bell \a");
    receive_all();
    fails(RF_EUNAVAILABLE, "bell ?");
}

static void session_asks_the_placement_once_and_before_it_watches(void **state)
{
    (void)state;
    assert_int_equal(watch(&tokens[0]), 0);
    assert_int_equal(watch(&tokens[1]), 0);
    sent_preface();
    assert_int_equal(sent().op, RF_WIRE_INFO);
    for (uint32_t i = 0; i < 2; i++) {
        struct rf_wire_header header = sent();
        assert_int_equal(header.op, RF_WIRE_WATCH);
        assert_int_equal(header.request_id, i);
    }
    nothing_is_sent();
    put_info(0, "placement", "crc32");
    put_told(1);
    put_told(0);
    receive_all();
    struct rf_session_event event;
    assert_int_equal(next(&event), 1);
    assert_int_equal(event.type, RF_SESSION_PLACEMENT);
    assert_int_equal(event.placement, RF_PLACEMENT_CRC32);
    comes(RF_SESSION_TOLD, &tokens[1]);
    comes(RF_SESSION_TOLD, &tokens[0]);
    nothing_comes();
}

static void watches_with(const char *name, const char *value, const char *text)
{
    assert_int_equal(rf_session_begin(&session, now_ns, &err), 0);
    assert_int_equal(watch(&tokens[0]), 0);
    put_info(0, name, value);
    receive_all();
    fails(RF_EMALFORMED, text);
}

static void session_needs_a_placement_that_it_knows(void **state)
{
    (void)state;
    watches_with("engine", "epoll", "does not say its placement");
    watches_with("placement", "v9", "the registry says: placement 'v9'");
    assert_int_equal(rf_session_begin(&session, now_ns, &err), 0);
    assert_int_equal(watch(&tokens[0]), 0);
    put_told(0);
    receive_all();
    fails(RF_EMALFORMED, "before what was asked first");
    assert_int_equal(rf_session_begin(&session, now_ns, &err), 0);
    assert_int_equal(watch(&tokens[0]), 0);
    put_error(RF_WIRE_INFO, RF_WIRE_INTERNAL, 0, "no memory");
    receive_all();
    fails(-EREMOTEIO, "no memory");
}

static void session_tells_of_watches_between_replies_until_they_end(void **state)
{
    (void)state;
    assert_int_equal(watch(&tokens[0]), 0);
    assert_int_equal(watch(&tokens[1]), 0);
    put_info(0, "placement", "v1");
    ask(RF_WIRE_MATCH, &tokens[2]);
    ask(RF_WIRE_MATCH, &tokens[3]);
    put_match(1);
    put_told(0);
    put_told(1);
    put_match(2);
    put_told(0);
    receive_all();
    comes(RF_SESSION_PLACEMENT, NULL);
    comes(RF_SESSION_REPLY, &tokens[2]);
    comes(RF_SESSION_TOLD, &tokens[0]);
    rf_session_unwatch(&session, &tokens[1]);
    comes(RF_SESSION_REPLY, &tokens[3]); /* nobody wants to know of the other */
    comes(RF_SESSION_TOLD, &tokens[0]);
    nothing_comes();
    put_told(2);
    receive_all();
    fails(RF_EMALFORMED, "told of watch 2: there are 2");
}

static void session_has_so_many_watches_and_no_more(void **state)
{
    (void)state;
    for (int i = 0; i < RF_SESSION_WATCHES_MAX; i++) {
        assert_int_equal(watch(&tokens[0]), 0);
        rf_session_unwatch(&session, &tokens[0]);
    }
    assert_int_equal(watch(&tokens[0]), RF_ELIMIT);
    assert_int_equal(rf_session_begin(&session, now_ns, &err), 0);
    assert_int_equal(watch(&tokens[0]), 0);
}

static void session_heartbeats_only_while_it_watches(void **state)
{
    (void)state;
    assert_true(rf_session_deadline_ns(&session) == UINT64_MAX);
    assert_int_equal(watch(&tokens[0]), 0);
    put_info(0, "placement", "v1");
    receive_all();
    comes(RF_SESSION_PLACEMENT, NULL);
    sent_preface();
    (void)sent();
    (void)sent();
    assert_true(rf_session_deadline_ns(&session) == now_ns + HEARTBEAT_NS);
    now_ns += HEARTBEAT_NS - 1;
    assert_int_equal(rf_session_tick(&session, now_ns, &err), 0);
    nothing_is_sent();
    now_ns += 1;
    assert_int_equal(rf_session_tick(&session, now_ns, &err), 0);
    assert_int_equal(sent().op, RF_WIRE_PING);
    put_frame(RF_WIRE_PING, 1, NULL, 0);
    receive_all();
    comes(RF_SESSION_HEARD, NULL);
    assert_true(rf_session_deadline_ns(&session) == now_ns + HEARTBEAT_NS);
    rf_session_unwatch(&session, &tokens[0]);
    assert_true(rf_session_deadline_ns(&session) == UINT64_MAX);
}

static void session_gives_up_a_registry_that_is_silent(void **state)
{
    (void)state;
    assert_int_equal(watch(&tokens[0]), 0); /* INFO is the first heartbeat */
    now_ns += 2 * HEARTBEAT_NS - 1;
    assert_int_equal(rf_session_tick(&session, now_ns, &err), 0);
    put_info(0, "placement", "v1");
    receive_all();
    comes(RF_SESSION_PLACEMENT, NULL);
    now_ns += HEARTBEAT_NS;
    assert_int_equal(rf_session_tick(&session, now_ns, &err), 0);
    now_ns += 2 * HEARTBEAT_NS - 1;
    assert_int_equal(rf_session_tick(&session, now_ns, &err), 0);
    put_told(0); /* a whole frame is a sign of life, a part of one is not */
    receive_all();
    comes(RF_SESSION_TOLD, &tokens[0]);
    put_told(0);
    receive(stream, stream_size - 1);
    now_ns += 2 * HEARTBEAT_NS - 1;
    nothing_comes();
    assert_int_equal(rf_session_tick(&session, now_ns, &err), 0);
    now_ns += 1;
    assert_int_equal(rf_session_tick(&session, now_ns, &err), -ETIMEDOUT);
    assert_string_equal(err.text, "no answer to a heartbeat in time");
}

static void session_begins_anew_with_nothing_of_the_last_connection(void **state)
{
    (void)state;
    assert_int_equal(watch(&tokens[0]), 0);
    ask(RF_WIRE_MATCH, &tokens[1]);
    put_info(0, "placement", "v1");
    put_match(1);
    receive(stream, stream_size - 3);
    stream_size = 0;
    comes(RF_SESSION_PLACEMENT, NULL);
    assert_int_equal(rf_session_begin(&session, now_ns, &err), 0);
    nothing_comes();
    ask(RF_WIRE_MATCH, &tokens[2]);
    sent_preface();
    assert_int_equal(sent().request_id, 0);
    nothing_is_sent();
    put_match(0);
    receive_all();
    comes(RF_SESSION_REPLY, &tokens[2]);
    nothing_comes();
}

/* Any number of requests, whose output is sent in any pieces. */
static void session_output_is_the_same_however_it_is_sent(void **state)
{
    (void)state;
    struct rf_random random = {7};
    uint32_t asked = 0;
    uint32_t seen = 0;
    uint8_t got[64];
    size_t got_size = 0;
    sent_preface();
    for (int i = 0; i < 20000; i++) {
        if (rf_random_below(&random, 2) == 0) {
            ask(RF_WIRE_PING, &tokens[0]);
            asked++;
        }
        size_t size;
        const uint8_t *out = rf_session_output(&session, &size);
        size_t taken = rf_random_below(&random, 20);
        taken = taken < size ? taken : size;
        for (size_t j = 0; j < taken; j++) {
            got[got_size++] = out[j];
            if (got_size == RF_WIRE_HEADER_SIZE) {
                assert_int_equal(rf_wire_header_load(got).request_id, seen++);
                got_size = 0;
            }
        }
        rf_session_sent(&session, taken);
    }
    assert_true(seen > asked - 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(session_numbers_requests_after_the_preface, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(session_replies_come_in_order_however_they_are_cut, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(session_drops_replies_to_what_was_forgotten, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(session_makes_room_for_large_replies_only_when_they_come,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(session_refuses_what_is_no_reply, setup, teardown),
        cmocka_unit_test_setup_teardown(session_ends_at_an_error_about_the_whole_connection, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(session_asks_the_placement_once_and_before_it_watches,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(session_needs_a_placement_that_it_knows, setup, teardown),
        cmocka_unit_test_setup_teardown(session_tells_of_watches_between_replies_until_they_end,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(session_has_so_many_watches_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(session_heartbeats_only_while_it_watches, setup, teardown),
        cmocka_unit_test_setup_teardown(session_gives_up_a_registry_that_is_silent, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(session_begins_anew_with_nothing_of_the_last_connection,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(session_output_is_the_same_however_it_is_sent, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
