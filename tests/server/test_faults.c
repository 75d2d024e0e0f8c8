/* SPDX-License-Identifier: MIT
 *
 * Operations that fail, of each kind and in each way: replies are right, or the connection ends;
 * none is lost but with its connection, and when the trouble is over all is as before.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>

#include "tests/server/faulty_kernel.h"
#include "tests/support/test_server.h"

enum {
    SMALL_SIZE = RF_WIRE_HEADER_SIZE + 8,
    LARGE_SIZE = RF_WIRE_HEADER_SIZE + RF_WIRE_PING_SIZE_MAX,
    SMALL_WINDOW = 256,          /* small requests in flight */
    SEND_BUFFER_SIZE = 8 * 1024, /* so that many sends find too little room */
    RECEIVE_AT_ONCE = 16 * 1024,
    STUCK_MS = 3, /* no room to send for so long: the server has paused */
};

static struct test_server server;

static int prepare(void **state)
{
    (void)state;
    memset(&server, 0, sizeof(server));
    atomic_store(&faults.send_buffer_size, SEND_BUFFER_SIZE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    faults_choose(FAULT_NONE, 0, 0);
    test_server_end(&server);
    return 0;
}

/* ---- a client that checks every byte, and connects again when its connection ends ---- */

struct client {
    pthread_t thread;
    size_t frame_size;
    uint32_t window; /* requests in flight; UINT32_MAX: it reads only when it cannot send */
    uint32_t goal;   /* replies, of all its connections together */
    uint32_t answered;
    uint32_t connections;
    bool is_wrong;
    bool is_late;
};

/* A ping; its reply is the same bytes. */
static void put_frame(uint8_t *frame, size_t size, uint32_t id)
{
    static const uint8_t filler[LARGE_SIZE] = {1, 2, 3};
    (void)rf_wire_frame_encode(
        frame, size, RF_WIRE_PING, RF_WIRE_OK, id,
        (struct rf_wire_bytes){(const char *)filler, size - RF_WIRE_HEADER_SIZE});
    rf_store_le64(frame + RF_WIRE_HEADER_SIZE, (uint64_t)id * 0x0101010101010101);
}

struct stream { /* where in an endless row of frames */
    uint8_t frame[LARGE_SIZE];
    size_t at;
    uint32_t id;
};

static void stream_begin(struct stream *stream, size_t frame_size)
{
    stream->at = 0;
    stream->id = 0;
    put_frame(stream->frame, frame_size, 0);
}

static void stream_advance(struct stream *stream, size_t frame_size, size_t count)
{
    stream->at += count;
    if (stream->at == frame_size) {
        stream->at = 0;
        put_frame(stream->frame, frame_size, ++stream->id);
    }
}

struct conversation {
    struct stream out, in;
    uint8_t data[RECEIVE_AT_ONCE];
};

/* Sends as much as there is room for. 1: there is more to send; 0: no; -1: the connection ended. */
static int send_some(const struct client *client, struct conversation *talk, int fd)
{
    enum { BATCH_SIZE = 64 * SMALL_SIZE };
    while (talk->out.id - talk->in.id < client->window) {
        uint8_t batch[BATCH_SIZE];
        const uint8_t *data = talk->out.frame + talk->out.at;
        size_t size = client->frame_size - talk->out.at;
        if (talk->out.at == 0 && client->frame_size == SMALL_SIZE) { /* merged */
            uint32_t count = client->window - (talk->out.id - talk->in.id);
            count = count > 64 ? 64 : count;
            for (uint32_t i = 0; i < count; i++) {
                put_frame(batch + (size_t)i * SMALL_SIZE, SMALL_SIZE, talk->out.id + i);
            }
            data = batch;
            size = (size_t)count * SMALL_SIZE;
        }
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            return errno == EAGAIN ? 1 : -1;
        }
        for (size_t left = (size_t)sent; left > 0;) {
            size_t part = client->frame_size - talk->out.at;
            part = part < left ? part : left;
            stream_advance(&talk->out, client->frame_size, part);
            left -= part;
        }
    }
    return 0;
}

static void check(struct client *client, struct conversation *talk, ssize_t received)
{
    for (size_t at = 0; at < (size_t)received;) {
        size_t part = client->frame_size - talk->in.at;
        part = part < (size_t)received - at ? part : (size_t)received - at;
        client->is_wrong |= memcmp(talk->data + at, talk->in.frame + talk->in.at, part) != 0;
        uint32_t before = talk->in.id;
        stream_advance(&talk->in, client->frame_size, part);
        client->answered += talk->in.id - before;
        at += part;
    }
}

/* Takes what there is. False: the connection ended. */
static bool receive_all(struct client *client, struct conversation *talk, int fd)
{
    for (;;) {
        ssize_t received = recv(fd, talk->data, sizeof(talk->data), MSG_DONTWAIT);
        if (received <= 0) {
            return received < 0 && errno == EAGAIN;
        }
        check(client, talk, received);
    }
}

/* One connection, until it ends or the goal is reached. */
static void converse(struct client *client, struct conversation *talk, uint64_t end_ms)
{
    int fd = test_try_connect(&server, client->window == UINT32_MAX ? 4096 : 0);
    if (fd < 0) {
        test_sleep_ms(1);
        return;
    }
    client->connections++;
    stream_begin(&talk->out, client->frame_size);
    stream_begin(&talk->in, client->frame_size);
    bool is_open = send(fd, rf_wire_preface, RF_WIRE_PREFACE_SIZE, MSG_NOSIGNAL) ==
                   RF_WIRE_PREFACE_SIZE; /* there is room for it */
    while (is_open && !client->is_wrong && client->answered < client->goal) {
        int more = send_some(client, talk, fd);
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (more > 0) {
            ready.events = client->window == UINT32_MAX ? POLLOUT : POLLIN | POLLOUT;
        }
        int count = poll(&ready, 1, more > 0 ? STUCK_MS : 1000);
        bool is_stuck = count == 0 && more > 0;
        is_open = more >= 0;
        if (is_open && (is_stuck || (ready.revents & (POLLIN | POLLHUP | POLLERR)) != 0)) {
            is_open = receive_all(client, talk, fd);
        }
        if (test_now_ms() > end_ms) {
            client->is_late = true;
            break;
        }
    }
    close(fd);
}

static void *run_client(void *context)
{
    struct client *client = context;
    uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS;
    struct conversation *talk = malloc(sizeof(*talk));
    while (talk != NULL && client->answered < client->goal && !client->is_wrong &&
           !client->is_late) {
        converse(client, talk, end_ms);
    }
    free(talk);
    return NULL;
}

/* Pings by the hundred, and one that asks for much and reads only when it must. Returns how many
 * connections they needed. */
static uint32_t run_clients(void)
{
    enum { CLIENTS = 4 };
    struct client clients[CLIENTS];
    uint32_t connections = 0;
    for (int i = 0; i < CLIENTS; i++) {
        bool is_large = i == 0;
        clients[i] = (struct client){
            .frame_size = is_large ? LARGE_SIZE : SMALL_SIZE,
            .window = is_large ? UINT32_MAX : SMALL_WINDOW,
            .goal = 3000,
        };
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
    }
    for (int i = 0; i < CLIENTS; i++) {
        assert_false(clients[i].is_wrong);
        assert_false(clients[i].is_late);
        assert_true(clients[i].answered >= clients[i].goal);
        connections += clients[i].connections;
    }
    return connections;
}

/* The trouble is over: new connections are answered, old ones have left nothing behind. */
static void check_recovered(void)
{
    faults_choose(FAULT_NONE, 0, 0);
    int fd = test_connect(&server);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(test_match(fd, "web", "alice"), RF_WIRE_OK);
    }
    close(fd);
    uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS;
    while (test_info(&server, "connections_open") > 1) { /* the one that asks */
        assert_true(test_now_ms() < end_ms);
        test_sleep_ms(5);
    }
    assert_int_equal(test_info(&server, "connections_closed_malformed"), 0);
    assert_int_equal(test_info(&server, "connections_closed_unknown"), 0);
}

/* Clients under each of the errors, again and again until it has happened at least once. */
static void run_with_faults(enum fault_operation operation, const int *errors, size_t count,
                            unsigned per_mille)
{
    test_server_start(&server);
    for (size_t i = 0; i < count; i++) {
        uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS;
        uint32_t connections = 0;
        faults_choose(operation, errors[i], per_mille);
        do {
            atomic_store(&faults.is_cancel_due, operation != FAULT_SHORT_SEND);
            connections += run_clients();
        } while (atomic_load(&faults.injected) == 0 && test_now_ms() < end_ms);
        printf("  %s: %u faults, all cancelled %u times, %u connections\n", strerror(errors[i]),
               atomic_load(&faults.injected), atomic_load(&faults.cancelled), connections);
        assert_true(atomic_load(&faults.injected) > 0);
        check_recovered();
    }
    assert_int_equal(rf_server_stop(server.server, TEST_TIMEOUT_MS), 0);
}

/* All that an operation on a socket may be refused with; ECANCELED of io_uring. */
static const int all_errors[] = {ECANCELED, ENOBUFS, EAGAIN, EINTR, ENOMEM, ECONNRESET};
enum { ALL_COUNT = sizeof(all_errors) / sizeof(all_errors[0]) };

/* ---- tests ---- */

static void accepts_that_fail_are_repeated(void **state)
{
    (void)state;
    run_with_faults(FAULT_ACCEPT, all_errors, ALL_COUNT, 500);
    const int more_errors[] = {EMFILE, ENFILE, ECONNABORTED, EPROTO};
    test_server_end(&server);
    (void)prepare(NULL);
    run_with_faults(FAULT_ACCEPT, more_errors, 4, 500);
}

static void receives_that_fail_are_repeated_or_end_the_connection(void **state)
{
    (void)state;
    run_with_faults(FAULT_RECEIVE, all_errors, ALL_COUNT,
                    test_io == RF_IO_URING && test_features_off == 0 ? 200 : 20);
}

static void sends_that_fail_are_repeated_or_end_the_connection(void **state)
{
    (void)state;
    run_with_faults(FAULT_SEND, all_errors, ALL_COUNT, 20);
}

static void quiet_sends_that_fail_are_repeated_or_end_the_connection(void **state)
{
    (void)state;
    if (test_io == RF_IO_URING && test_features_off == 0) {
        run_with_faults(FAULT_QUIET_SEND, all_errors, ALL_COUNT, 50);
    } else {
        test_server_start(&server); /* this engine has none */
    }
}

static void sends_that_take_less_go_on_where_they_ended(void **state)
{
    (void)state;
    const int none[] = {0};
    run_with_faults(FAULT_SHORT_SEND, none, 1, 700);
    test_server_end(&server);
    (void)prepare(NULL);
    atomic_store(&faults.send_buffer_size, 0); /* the kernel's usual ones: all of a send fits */
    run_with_faults(FAULT_SHORT_SEND, none, 1, 700);
}

static void buffers_of_the_kernel_that_are_small_cost_no_connection(void **state)
{
    (void)state;
    atomic_store(&faults.send_buffer_size, 1); /* the least there is */
    test_server_start(&server);
    assert_int_equal(run_clients(), 4);
}

/* Who is woken in vain, or not at all by a read that failed, still sees that it shall stop. */
static void wakes_that_fail_do_not_keep_the_server_from_stopping(void **state)
{
    (void)state;
    const int errors[] = {ECANCELED, ENOBUFS, EAGAIN, EINTR, ENOMEM};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        (void)prepare(NULL);
        test_server_start(&server);
        faults_choose(FAULT_WAKE, errors[i], 500);
        (void)run_clients();
        uint64_t start_ms = test_now_ms();
        assert_int_equal(rf_server_stop(server.server, TEST_TIMEOUT_MS), 0);
        assert_true(test_now_ms() - start_ms < TEST_TIMEOUT_MS / 2);
        assert_true(atomic_load(&faults.injected) > 0 || test_io == RF_IO_EPOLL);
        faults_choose(FAULT_NONE, 0, 0);
        if (i + 1 < sizeof(errors) / sizeof(errors[0])) {
            test_server_end(&server);
        }
    }
}

static void cancels_that_fail_are_repeated(void **state)
{
    (void)state;
    /* A receive that takes once is never armed when its socket is paused. */
    if (test_io == RF_IO_URING && test_features_off == 0) {
        run_with_faults(FAULT_CANCEL, all_errors, ALL_COUNT, 500);
    } else {
        test_server_start(&server); /* this engine has none */
    }
}

static void sockets_that_cannot_be_watched_end(void **state)
{
    (void)state;
    const int errors[] = {ENOMEM, ENOSPC};
    if (test_io == RF_IO_EPOLL) {
        run_with_faults(FAULT_WATCH, errors, 2, 500);
    } else {
        test_server_start(&server); /* this engine does not watch */
    }
}

static void waits_that_fail_are_repeated(void **state)
{
    (void)state;
    const int uring_errors[] = {EAGAIN, EBUSY, EINTR};
    const int epoll_errors[] = {EINTR};
    if (test_io == RF_IO_URING) {
        run_with_faults(FAULT_WAIT, uring_errors, 3, 300);
    } else {
        run_with_faults(FAULT_WAIT, epoll_errors, 1, 300);
    }
}

static void closes_that_fail_have_closed(void **state)
{
    (void)state;
    const int errors[] = {EINTR, EIO};
    run_with_faults(FAULT_CLOSE, errors, 2, 500);
}

static void memory_that_is_not_there_costs_the_connection_only(void **state)
{
    (void)state;
    const int errors[] = {ENOMEM};
    run_with_faults(FAULT_ALLOCATE, errors, 1, 100);
}

/* In a child: what a worker leaves behind in the kernel's hands cannot be freed. */
static int lose_the_engine(void)
{
    server.config.workers = 1;
    test_server_start(&server);
    int fd = test_connect(&server);
    if (test_match(fd, "web", "alice") != RF_WIRE_OK) {
        return 1;
    }
    int idle_fd = test_connect(&server);
    faults_choose(FAULT_WAIT, EBADF, 1000);
    (void)test_match(fd, "web", "alice"); /* wakes it up */
    uint8_t byte;
    if (test_receive(fd, &byte, 1) || test_receive(idle_fd, &byte, 1)) {
        return 2;
    }
    if (test_try_connect(&server, 0) >= 0) {
        return 3;
    }
    (void)rf_server_stop(server.server, 1000);
    return 0;
}

static void worker_that_cannot_go_on_ends_its_connections(void **state)
{
    (void)state;
    assert_int_equal(test_in_child(lose_the_engine), 0);
}

int main(int argc, char **argv)
{
    test_choose_engine(argc, argv);
    if (test_io == RF_IO_URING && !faults_work_with_uring()) {
        printf("skipped: no IORING_NOP_INJECT_RESULT (Linux 6.10)\n");
        return 77;
    }
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, prepare, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(worker_that_cannot_go_on_ends_its_connections, prepare),
        WITH_SERVER(accepts_that_fail_are_repeated),
        WITH_SERVER(receives_that_fail_are_repeated_or_end_the_connection),
        WITH_SERVER(sends_that_fail_are_repeated_or_end_the_connection),
        WITH_SERVER(quiet_sends_that_fail_are_repeated_or_end_the_connection),
        WITH_SERVER(sends_that_take_less_go_on_where_they_ended),
        WITH_SERVER(buffers_of_the_kernel_that_are_small_cost_no_connection),
        WITH_SERVER(wakes_that_fail_do_not_keep_the_server_from_stopping),
        WITH_SERVER(cancels_that_fail_are_repeated),
        WITH_SERVER(sockets_that_cannot_be_watched_end),
        WITH_SERVER(waits_that_fail_are_repeated),
        WITH_SERVER(closes_that_fail_have_closed),
        WITH_SERVER(memory_that_is_not_there_costs_the_connection_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
