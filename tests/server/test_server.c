/* SPDX-License-Identifier: MIT
 *
 * The server as its clients meet it: answers, order, limits, and how connections end.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/random.h"
#include "tests/support/test_server.h"

static struct test_server server;

static int start_default(void **state)
{
    (void)state;
    memset(&server, 0, sizeof(server));
    test_server_start(&server);
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_server_end(&server);
    return 0;
}

static size_t ping_frame(uint8_t *out, size_t out_size, uint32_t request_id, size_t payload_size)
{
    static const uint8_t zeros[RF_WIRE_PING_SIZE_MAX];
    return rf_wire_frame_encode(out, out_size, RF_WIRE_PING, RF_WIRE_OK, request_id,
                                (struct rf_wire_bytes){zeros, payload_size});
}

static void server_answers_on_the_engine_that_was_asked_for(void **state)
{
    (void)state;
    assert_string_equal(rf_server_engine_name(server.server),
                        test_io == RF_IO_EPOLL ? "epoll" : "uring");
    assert_int_equal(rf_server_workers_count(server.server), 2);
    int fd = test_connect(&server);
    assert_int_equal(test_match(fd, "web", "alice"), RF_WIRE_OK);
    assert_int_equal(test_match(fd, "nobody", "alice"), RF_WIRE_NOT_FOUND);
    close(fd);
}

struct sender {
    int fd;
    const uint8_t *data;
    size_t size;
    uint64_t seed;
};

/* Sends in pieces of any size, which the kernel delivers as it likes. */
static void *send_in_pieces(void *context)
{
    struct sender *sender = context;
    struct rf_random random = {sender->seed};
    size_t at = 0;
    while (at < sender->size) {
        size_t piece = 1 + rf_random_below(&random, rf_random_below(&random, 4) == 0 ? 20000 : 60);
        piece = piece > sender->size - at ? sender->size - at : piece;
        test_send(sender->fd, sender->data + at, piece);
        at += piece;
    }
    return NULL;
}

/* Requests of changing kinds; the reply to each comes in order, with its id. */
static void server_answers_thousands_of_pipelined_requests_in_order(void **state)
{
    (void)state;
    enum { COUNT = 20000, SIZE = COUNT * 64 };
    uint8_t *data = malloc(SIZE);
    uint8_t *payload = malloc(RF_WIRE_REPLY_SIZE_MAX);
    assert_non_null(data);
    assert_non_null(payload);
    size_t size = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        char key[32];
        snprintf(key, sizeof(key), "user-%u", i);
        struct rf_wire_bytes key_bytes = {key, strlen(key)};
        struct rf_wire_bytes group = {i % 100 == 0 ? "big" : "web", 3};
        if (i % 1000 == 7) {
            size += rf_wire_members_request_encode(data + size, SIZE - size, i, group,
                                                   (struct rf_wire_bytes){"", 0});
        } else if (i % 50 == 3) {
            size += rf_wire_owners_request_encode(data + size, SIZE - size, i, group, key_bytes, 3);
        } else {
            size += rf_wire_match_request_encode(data + size, SIZE - size, i, group, key_bytes);
        }
    }
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    int fd = test_connect(&server);
    struct sender sender = {.fd = fd, .data = data, .size = size, .seed = seed};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_in_pieces, &sender), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct rf_wire_header header;
        assert_true(test_receive_reply(fd, &header, payload, RF_WIRE_REPLY_SIZE_MAX));
        assert_int_equal(header.request_id, i);
        assert_int_equal(header.status, RF_WIRE_OK);
    }
    pthread_join(thread, NULL);
    close(fd);
    free(payload);
    free(data);
}

static void server_waits_for_requests_that_come_byte_by_byte(void **state)
{
    (void)state;
    uint8_t frame[256];
    memcpy(frame, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    size_t size = RF_WIRE_PREFACE_SIZE;
    for (uint32_t i = 0; i < 3; i++) {
        size += rf_wire_match_request_encode(frame + size, sizeof(frame) - size, i,
                                             (struct rf_wire_bytes){"web", 3},
                                             (struct rf_wire_bytes){"alice", 5});
    }
    int fd = test_try_connect(&server, 0);
    assert_true(fd >= 0);
    for (size_t i = 0; i < size; i++) {
        test_send(fd, frame + i, 1);
        test_sleep_ms(1);
    }
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t payload[1024];
        struct rf_wire_header header;
        assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
        assert_int_equal(header.request_id, i);
    }
    close(fd);
}

static void server_sends_a_reply_larger_than_its_buffers(void **state)
{
    (void)state;
    enum { SIZE = 64 * 1024 };
    uint8_t *frame = malloc(SIZE);
    uint8_t *payload = malloc(RF_WIRE_REPLY_SIZE_MAX);
    struct rf_wire_bytes keys[RF_WIRE_KEYS_MAX];
    assert_non_null(frame);
    assert_non_null(payload);
    for (size_t i = 0; i < RF_WIRE_KEYS_MAX; i++) {
        keys[i] = (struct rf_wire_bytes){"0123456789abcdef", i % 16 + 1};
    }
    int fd = test_connect(&server);
    for (uint32_t i = 0; i < 5; i++) {
        size_t size = rf_wire_match_many_request_encode(
            frame, SIZE, i, (struct rf_wire_bytes){"big", 3}, keys, RF_WIRE_KEYS_MAX);
        test_send(fd, frame, size);
    }
    for (uint32_t i = 0; i < 5; i++) {
        struct rf_wire_header header;
        struct rf_wire_owners_reply reply;
        assert_true(test_receive_reply(fd, &header, payload, RF_WIRE_REPLY_SIZE_MAX));
        assert_int_equal(header.request_id, i);
        assert_true(header.payload_size > 400000);
        assert_int_equal(rf_wire_owners_reply_decode(payload, header.payload_size, &reply, NULL),
                         0);
        assert_int_equal(reply.count, RF_WIRE_KEYS_MAX);
    }
    close(fd);
    free(payload);
    free(frame);
}

static void server_serves_many_connections_at_once(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = test_connect(&server);
    }
    for (int round = 0; round < 3; round++) {
        uint8_t frame[64];
        size_t size = ping_frame(frame, sizeof(frame), (uint32_t)round, 8);
        for (int i = 0; i < COUNT; i++) {
            test_send(fds[i], frame, size);
        }
        for (int i = 0; i < COUNT; i++) {
            uint8_t payload[64];
            struct rf_wire_header header;
            assert_true(test_receive_reply(fds[i], &header, payload, sizeof(payload)));
            assert_int_equal(header.request_id, round);
        }
    }
    assert_int_equal(test_info(&server, "connections_open"), COUNT + 1);
    for (int i = 0; i < COUNT; i++) {
        close(fds[i]);
    }
}

static void server_replies_to_a_half_closed_peer_then_closes(void **state)
{
    (void)state;
    int fd = test_connect(&server);
    uint8_t frame[RF_WIRE_HEADER_SIZE + 1024];
    size_t size = ping_frame(frame, sizeof(frame), 1, 1024);
    for (int i = 0; i < 1000; i++) {
        test_send(fd, frame, size);
    }
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 1000; i++) {
        uint8_t payload[1024];
        struct rf_wire_header header;
        assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
    }
    assert_true(test_is_ended(fd));
    close(fd);
}

static void server_tells_what_is_malformed_then_closes(void **state)
{
    (void)state;
    int fd = test_connect(&server);
    uint8_t frame[64];
    uint8_t payload[1024];
    struct rf_wire_header header;
    size_t size = rf_wire_frame_encode(frame, sizeof(frame), RF_WIRE_INFO, RF_WIRE_OK, 5,
                                       (struct rf_wire_bytes){"x", 1});
    test_send(fd, frame, size);
    /* More, which the server must read and drop: closing with unread bytes would be a reset, and
     * could destroy the error reply. */
    static const uint8_t rest[200000];
    test_send(fd, rest, sizeof(rest));
    assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
    assert_int_equal(header.status, RF_WIRE_MALFORMED);
    assert_int_equal(header.request_id, 5);
    assert_true(test_is_ended(fd));
    close(fd);
    assert_int_equal(test_info(&server, "connections_closed_malformed"), 1);
}

static void server_closes_a_protocol_that_it_does_not_speak(void **state)
{
    (void)state;
    int fd = test_try_connect(&server, 0);
    assert_true(fd >= 0);
    test_send(fd, "SSH-2.0-x\r\n", 11);
    uint8_t byte;
    assert_false(test_receive(fd, &byte, 1));
    close(fd);
    assert_true(test_info_reaches(&server, "connections_closed_unknown", 1));
}

static void server_survives_peers_that_vanish(void **state)
{
    (void)state;
    uint8_t frame[RF_WIRE_HEADER_SIZE + 1024];
    size_t size = ping_frame(frame, sizeof(frame), 1, 1024);
    for (int i = 0; i < 200; i++) {
        int fd = test_connect(&server);
        for (int j = 0; j < i % 7; j++) {
            test_send(fd, frame, j == 3 ? size / 2 : size);
        }
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        if (i % 2 == 0) {
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        }
        close(fd);
    }
    uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS;
    uint64_t open_count;
    do {
        test_sleep_ms(10);
        open_count = test_info(&server, "connections_open");
    } while (open_count > 1 && test_now_ms() < end_ms);
    if (open_count != 1) { /* the one that asks */
        fail_msg("%llu connections are open; of %llu accepted %llu were ended by their peers, %llu "
                 "failed, %llu were malformed",
                 (unsigned long long)open_count,
                 (unsigned long long)test_info(&server, "connections_accepted"),
                 (unsigned long long)test_info(&server, "connections_closed_by_peer"),
                 (unsigned long long)test_info(&server, "io_errors"),
                 (unsigned long long)test_info(&server, "connections_closed_malformed"));
    }
}

/* Publishes while clients ask: every answer is one of a catalog that there was. */
static void *publish_often(void *context)
{
    struct test_server *of = context;
    struct rf_roster *roster = sample_roster();
    for (int i = 0; i < 300; i++) {
        char id[32];
        snprintf(id, sizeof(id), "web-%d", 4 + i % 5);
        if (rf_roster_remove(roster, id) == 0) {
            sample_put(roster, "web", id, "10.0.0.9:80", 50, RF_MEMBER_ALIVE);
        }
        rf_publish(&of->publisher, &sample_commit(roster)->published);
        (void)rf_publisher_reclaim(&of->publisher);
        test_sleep_ms(1);
    }
    while (rf_publisher_reclaim(&of->publisher)) {
        test_sleep_ms(1);
    }
    rf_roster_free(roster);
    return NULL;
}

static void server_answers_while_catalogs_change(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, publish_often, &server), 0);
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = test_connect(&server);
    }
    for (int round = 0; round < 500; round++) {
        for (int i = 0; i < 4; i++) {
            assert_int_equal(test_match(fds[i], "web", "alice"), RF_WIRE_OK);
        }
    }
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    test_choose_engine(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(server_answers_on_the_engine_that_was_asked_for,
                                        start_default, end),
        cmocka_unit_test_setup_teardown(server_answers_thousands_of_pipelined_requests_in_order,
                                        start_default, end),
        cmocka_unit_test_setup_teardown(server_waits_for_requests_that_come_byte_by_byte,
                                        start_default, end),
        cmocka_unit_test_setup_teardown(server_sends_a_reply_larger_than_its_buffers, start_default,
                                        end),
        cmocka_unit_test_setup_teardown(server_serves_many_connections_at_once, start_default, end),
        cmocka_unit_test_setup_teardown(server_replies_to_a_half_closed_peer_then_closes,
                                        start_default, end),
        cmocka_unit_test_setup_teardown(server_tells_what_is_malformed_then_closes, start_default,
                                        end),
        cmocka_unit_test_setup_teardown(server_closes_a_protocol_that_it_does_not_speak,
                                        start_default, end),
        cmocka_unit_test_setup_teardown(server_survives_peers_that_vanish, start_default, end),
        cmocka_unit_test_setup_teardown(server_answers_while_catalogs_change, start_default, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
