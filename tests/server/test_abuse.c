/* SPDX-License-Identifier: MIT
 *
 * Load that the kernel cuts, refuses or breaks off: replies are right, or the connection ends.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/test_server.h"

enum { WINDOW = 256 /* requests in flight */, REQUEST_SIZE = RF_WIRE_HEADER_SIZE + 8 };

static struct test_server server;

static int prepare(void **state)
{
    (void)state;
    memset(&server, 0, sizeof(server));
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_server_end(&server);
    return 0;
}

/* A client that keeps WINDOW pings in flight and checks every byte that comes back. */
struct client {
    pthread_t thread;
    uint32_t requests_max; /* 0: until the server ends the connection */
    _Atomic(uint32_t) answered;
    bool is_wrong; /* a reply was not the next one, or was cut by an end in good order */
};

static void put_request(uint8_t *out, uint32_t id)
{
    uint8_t payload[8];
    rf_store_le64(payload, (uint64_t)id * 0x0101010101010101);
    (void)rf_wire_frame_encode(out, REQUEST_SIZE, RF_WIRE_PING, RF_WIRE_OK, id,
                               (struct rf_wire_bytes){payload, sizeof(payload)});
}

/* Sends requests [first, first + count). False: the server has gone. */
static bool send_requests(int fd, uint32_t first, uint32_t count)
{
    uint8_t frames[WINDOW * REQUEST_SIZE];
    for (uint32_t i = 0; i < count; i++) {
        put_request(frames + (size_t)i * REQUEST_SIZE, first + i);
    }
    size_t size = (size_t)count * REQUEST_SIZE;
    for (size_t at = 0; at < size;) {
        ssize_t sent = send(fd, frames + at, size - at, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += (size_t)sent;
    }
    return true;
}

/* A ping's reply is its request. Returns how many whole replies `data` begins with. */
static uint32_t check_replies(struct client *client, const uint8_t *data, size_t size,
                              uint32_t first)
{
    uint32_t count = 0;
    for (; size >= REQUEST_SIZE; data += REQUEST_SIZE, size -= REQUEST_SIZE, count++) {
        uint8_t expected[REQUEST_SIZE];
        put_request(expected, first + count);
        client->is_wrong |= memcmp(data, expected, REQUEST_SIZE) != 0;
    }
    return count;
}

static void *run_client(void *context)
{
    struct client *client = context;
    uint8_t data[16 * 1024];
    size_t held = 0;
    uint32_t answered = 0;
    int fd = test_connect(&server);
    bool is_open = send_requests(fd, 0, WINDOW);
    while (client->requests_max == 0 || answered < client->requests_max) {
        ssize_t received = recv(fd, data + held, sizeof(data) - held, 0);
        if (received <= 0) {
            client->is_wrong |= received == 0 && held > 0; /* a reset may cut, an end may not */
            client->is_wrong |= client->requests_max != 0;
            break;
        }
        held += (size_t)received;
        uint32_t count = check_replies(client, data, held, answered);
        held -= (size_t)count * REQUEST_SIZE;
        memmove(data, data + (size_t)count * REQUEST_SIZE, held);
        for (uint32_t left = count, first = answered + WINDOW; left > 0 && is_open;) {
            uint32_t part = left < WINDOW ? left : WINDOW;
            is_open = send_requests(fd, first, part);
            first += part;
            left -= part;
        }
        answered += count;
        atomic_store(&client->answered, answered);
    }
    close(fd);
    return NULL;
}

static void start_clients(struct client *clients, int count, uint32_t requests_max)
{
    for (int i = 0; i < count; i++) {
        clients[i] = (struct client){.requests_max = requests_max};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
}

static void join_clients(struct client *clients, int count)
{
    for (int i = 0; i < count; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_false(clients[i].is_wrong);
    }
}

/* One buffer for all of them: most receives find none, and are repeated. */
static void server_with_too_few_buffers_answers_everything(void **state)
{
    (void)state;
    enum { CLIENTS = 8 };
    server.config.io_buffers_count = 1;
    server.config.workers = 1;
    test_server_start(&server);
    struct client clients[CLIENTS];
    start_clients(clients, CLIENTS, 20000);
    join_clients(clients, CLIENTS);
    if (test_io == RF_IO_URING) {
        assert_true(test_info(&server, "buffers_exhausted") > 0);
    }
}

static void server_answers_one_request_beside_clients_with_256_in_flight(void **state)
{
    (void)state;
    enum { CLIENTS = 3, COUNT = 300 };
    server.config.workers = 1;
    test_server_start(&server);
    struct client clients[CLIENTS];
    start_clients(clients, CLIENTS, 0);
    for (int i = 0; i < CLIENTS; i++) {
        while (atomic_load(&clients[i].answered) < 10 * WINDOW) {
            test_sleep_ms(1);
        }
    }
    int fd = test_connect(&server);
    uint32_t before = atomic_load(&clients[0].answered);
    for (int i = 0; i < COUNT; i++) { /* starved it would not come back */
        assert_int_equal(test_match(fd, "web", "alice"), RF_WIRE_OK);
    }
    assert_true(atomic_load(&clients[0].answered) > before); /* nor are they, by it */
    close(fd);
    (void)rf_server_stop(server.server, TEST_TIMEOUT_MS);
    join_clients(clients, CLIENTS);
}

/* What was received is answered in order and whole, with hundreds of requests in flight; then
 * comes the end. */
static void server_stop_in_mid_load_tears_no_reply(void **state)
{
    (void)state;
    enum { CLIENTS = 4 };
    test_server_start(&server);
    struct client clients[CLIENTS];
    start_clients(clients, CLIENTS, 0);
    for (int i = 0; i < CLIENTS; i++) {
        while (atomic_load(&clients[i].answered) < 10 * WINDOW) {
            test_sleep_ms(1);
        }
    }
    assert_int_equal(rf_server_stop(server.server, TEST_TIMEOUT_MS), 0);
    join_clients(clients, CLIENTS);
}

static void reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

/* Before, within and after each of preface, a request that is answered, and one that is not. */
static void server_survives_a_reset_at_every_byte(void **state)
{
    (void)state;
    server.config.workers = 1;
    test_server_start(&server);
    uint8_t stream[RF_WIRE_PREFACE_SIZE + 2 * REQUEST_SIZE];
    memcpy(stream, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    put_request(stream + RF_WIRE_PREFACE_SIZE, 1);
    put_request(stream + RF_WIRE_PREFACE_SIZE + REQUEST_SIZE, 2);
    for (size_t cut = 0; cut <= sizeof(stream); cut++) {
        for (int is_received = 0; is_received < 2; is_received++) {
            int fd = test_try_connect(&server, 0);
            assert_true(fd >= 0);
            test_send(fd, stream, cut);
            if (is_received != 0) {
                test_wait_received(fd);
            }
            reset(fd); /* replies are unread, or not yet sent */
        }
    }
    uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS;
    uint64_t open_count;
    do { /* 1: the one that asks */
        test_sleep_ms(10);
        open_count = test_info(&server, "connections_open");
    } while (open_count > 1 && test_now_ms() < end_ms);
    assert_int_equal(open_count, 1);
    assert_int_equal(test_info(&server, "connections_closed_malformed"), 0);
}

int main(int argc, char **argv)
{
    test_choose_engine(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(server_with_too_few_buffers_answers_everything, prepare,
                                        end),
        cmocka_unit_test_setup_teardown(
            server_answers_one_request_beside_clients_with_256_in_flight, prepare, end),
        cmocka_unit_test_setup_teardown(server_stop_in_mid_load_tears_no_reply, prepare, end),
        cmocka_unit_test_setup_teardown(server_survives_a_reset_at_every_byte, prepare, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
