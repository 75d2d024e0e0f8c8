/* SPDX-License-Identifier: MIT
 *
 * What one peer, or many, can cost: readers that do not read, too many connections, no descriptors
 * left, time that passes without a byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/support/test_server.h"

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

/* Asks for far more than sockets hold, and reads nothing. Returns how many bytes it could send. */
static size_t ask_without_reading(int fd)
{
    uint8_t frame[1024];
    size_t size = rf_wire_members_request_encode(
        frame, sizeof(frame), 1, (struct rf_wire_bytes){"big", 3}, (struct rf_wire_bytes){"", 0});
    while (size * 2 <= sizeof(frame)) {
        memcpy(frame + size, frame, size);
        size *= 2;
    }
    size_t total = 0;
    uint64_t quiet_ms = test_now_ms() + 300;
    while (test_now_ms() < quiet_ms && total < (64U << 20)) {
        ssize_t sent = send(fd, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            total += (size_t)sent;
            quiet_ms = test_now_ms() + 300;
        } else if (errno != EAGAIN) {
            break;
        } else {
            test_sleep_ms(1);
        }
    }
    return total;
}

/* Every 20 bytes ask for 64 KiB. The server stops reading, so the sender's socket fills up. */
static void server_bounds_what_a_slow_reader_costs_and_closes_it(void **state)
{
    (void)state;
    server.config.stall_timeout_ms = 1500;
    server.config.workers = 1;
    test_server_start(&server);
    int fd = test_try_connect(&server, 4096);
    assert_true(fd >= 0);
    test_send(fd, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    size_t sent = ask_without_reading(fd);
    /* What the kernel holds for the two ends, and what the server keeps. */
    assert_true(sent < (32U << 20));
    assert_true(test_info(&server, "bytes_received") < (4U << 20));
    assert_true(test_info_reaches(&server, "connections_closed_slow", 1));
    int other = test_connect(&server);
    assert_int_equal(test_match(other, "web", "alice"), RF_WIRE_OK);
    close(other);
    close(fd);
}

/* Sends requests 0..count - 1 for the members of "big"; 400 of them at most. */
static void ask_for_members(int fd, uint32_t count)
{
    static uint8_t requests[400 * 64];
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        size += rf_wire_members_request_encode(requests + size, sizeof(requests) - size, i,
                                               (struct rf_wire_bytes){"big", 3},
                                               (struct rf_wire_bytes){"", 0});
    }
    test_send(fd, requests, size);
}

/* A reader that is slow but reads gets everything, in order. */
static void server_pauses_for_a_slow_reader_and_goes_on(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    test_server_start(&server);
    int fd = test_try_connect(&server, 4096);
    assert_true(fd >= 0);
    test_send(fd, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    static uint8_t payload[RF_WIRE_PAGE_SIZE_MAX];
    ask_for_members(fd, COUNT);
    test_sleep_ms(100);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct rf_wire_header header;
        assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
        assert_int_equal(header.request_id, i);
        assert_int_equal(header.status, RF_WIRE_OK);
        if (i % 100 == 0) {
            test_sleep_ms(20);
        }
    }
    close(fd);
}

/* Some bytes at a time, so few that the kernel does not report room within the time to stall. */
static void server_waits_for_a_reader_that_takes_bytes_however_few(void **state)
{
    (void)state;
    enum { COUNT = 40, STALL_MS = 2000 };
    server.config.stall_timeout_ms = STALL_MS;
    test_server_start(&server);
    int fd = test_try_connect(&server, 4096);
    assert_true(fd >= 0);
    test_send(fd, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    ask_for_members(fd, COUNT);
    uint8_t head[RF_WIRE_HEADER_SIZE];
    static uint8_t payload[RF_WIRE_PAGE_SIZE_MAX];
    assert_true(test_receive(fd, head, sizeof(head)));
    struct rf_wire_header header = rf_wire_header_load(head);
    assert_true(header.payload_size <= sizeof(payload));
    size_t got = 0;
    for (uint64_t end_ms = test_now_ms() + (uint64_t)3 * STALL_MS; test_now_ms() < end_ms;) {
        size_t part = header.payload_size - got < 200 ? header.payload_size - got : 200;
        assert_true(test_receive(fd, payload + got, part)); /* 10 KB/s at most */
        got += part;
        test_sleep_ms(20);
    }
    assert_true(test_receive(fd, payload + got, header.payload_size - got));
    for (uint32_t i = 1; i < COUNT; i++) {
        assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
        assert_int_equal(header.request_id, i);
    }
    close(fd);
}

/* Read without a connection, for which there may be no room. */
static const struct rf_server_counters *counters_of_first(void)
{
    return rf_server_counters(server.server, 0);
}

static bool first_counts(const struct rf_counter *counter, uint64_t value)
{
    uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS;
    while (rf_counter_get(counter) < value && test_now_ms() < end_ms) {
        test_sleep_ms(5);
    }
    return rf_counter_get(counter) >= value;
}

static void server_refuses_connections_over_its_limit(void **state)
{
    (void)state;
    enum { LIMIT = 20 };
    server.config.connections_max = LIMIT;
    server.config.workers = 1; /* then the limit is exact */
    test_server_start(&server);
    int fds[LIMIT];
    for (int i = 0; i < LIMIT; i++) {
        fds[i] = test_connect(&server);
        assert_int_equal(test_match(fds[i], "web", "alice"), RF_WIRE_OK);
    }
    for (int i = 0; i < 10; i++) {
        int fd = test_try_connect(&server, 0);
        uint8_t byte;
        assert_true(fd >= 0);
        assert_false(test_receive(fd, &byte, 1));
        close(fd);
    }
    for (int i = 0; i < LIMIT; i++) {
        assert_int_equal(test_match(fds[i], "web", "bob"), RF_WIRE_OK);
    }
    close(fds[0]);
    int again = -1;
    for (uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS; test_now_ms() < end_ms;) {
        again = test_connect(&server);
        if (test_match(again, "web", "alice") == RF_WIRE_OK) {
            break;
        }
        close(again);
        test_sleep_ms(10);
    }
    assert_int_equal(test_match(again, "web", "bob"), RF_WIRE_OK);
    close(again);
    assert_true(rf_counter_get(&counters_of_first()->connections_refused) >= 10);
    for (int i = 1; i < LIMIT; i++) {
        close(fds[i]);
    }
}

/* Small frames in large buffers: everybody's memory has one limit. */
static void server_closes_who_needs_buffers_beyond_their_limit(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    server.config.buffers_size_max = 1; /* the least it can be: 8 MiB */
    server.config.workers = 1;
    test_server_start(&server);
    int fds[COUNT];
    static uint8_t start[60000];
    rf_wire_header_store(start, RF_WIRE_MATCH, RF_WIRE_OK, 1, 65000);
    for (int i = 0; i < COUNT; i++) { /* each keeps 64 KiB of a request that never ends */
        fds[i] = test_connect(&server);
        (void)send(fds[i], start, sizeof(start), MSG_NOSIGNAL);
    }
    assert_true(first_counts(&counters_of_first()->connections_closed_memory, 1));
    for (int i = 0; i < COUNT / 2; i++) {
        close(fds[i]);
    }
    for (int i = COUNT / 2; i < COUNT; i++) {
        close(fds[i]);
    }
}

/* Whose request does not go on keeps its buffer while there are enough, and no longer. */
static void server_takes_short_buffers_from_requests_that_never_end(void **state)
{
    (void)state;
    enum { COUNT = 400, STALL_MS = 300, LOOK_MS = 1000 /* of the server, between two */ };
    server.config.buffers_size_max = 1; /* the least it can be: 8 MiB */
    server.config.stall_timeout_ms = STALL_MS;
    server.config.workers = 1;
    test_server_start(&server);
    int fds[COUNT];
    static uint8_t start[60000]; /* a MATCH: its key is what there is */
    static const uint8_t group[] = {3, 'w', 'e', 'b'};
    rf_wire_header_store(start, RF_WIRE_MATCH, RF_WIRE_OK, 1, sizeof(start) - RF_WIRE_HEADER_SIZE);
    memcpy(start + RF_WIRE_HEADER_SIZE, group, sizeof(group));
    int patient = test_connect(&server);
    test_send(patient, start, sizeof(start) / 2);
    test_sleep_ms(2 * STALL_MS + LOOK_MS);
    test_send(patient, start + sizeof(start) / 2, sizeof(start) - sizeof(start) / 2);
    struct rf_wire_header header;
    uint8_t payload[256];
    assert_true(test_receive_reply(patient, &header, payload, sizeof(payload)));
    assert_int_equal(header.status, RF_WIRE_OK);
    close(patient);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = test_connect(&server);
        size_t size = i < COUNT / 2 ? sizeof(start) - 1 : 100; /* what no large one fits in */
        (void)send(fds[i], start, size, MSG_NOSIGNAL);
    }
    int status = -1;
    uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS / 4;
    while (status != RF_WIRE_OK && test_now_ms() < end_ms) {
        int other = test_connect(&server);
        status = test_match(other, "web", "alice");
        close(other);
        test_sleep_ms(10);
    }
    assert_int_equal(status, RF_WIRE_OK);
    for (int i = 0; i < COUNT; i++) {
        close(fds[i]);
    }
}

/* Those that do not read get less as buffers get scarce, so that others find some. None of them
 * asks for more than is kept of it then. */
static void server_keeps_buffers_for_those_that_read(void **state)
{
    (void)state;
    enum { COUNT = 60, ASKED_SIZE = 16 * 1024 }; /* with two replies each: 8.5 MiB */
    server.config.buffers_size_max = 1;          /* the least it can be: 8 MiB */
    server.config.workers = 1;
    test_server_start(&server);
    int fds[COUNT];
    static uint8_t asked[ASKED_SIZE];
    size_t size = rf_wire_members_request_encode(
        asked, sizeof(asked), 1, (struct rf_wire_bytes){"big", 3}, (struct rf_wire_bytes){"", 0});
    while (size * 2 <= sizeof(asked)) {
        memcpy(asked + size, asked, size);
        size *= 2;
    }
    for (int i = 0; i < COUNT; i++) {
        fds[i] = test_try_connect(&server, 4096);
        assert_true(fds[i] >= 0);
        test_send(fds[i], rf_wire_preface, RF_WIRE_PREFACE_SIZE);
        test_send(fds[i], asked, size);
    }
    uint64_t received;
    do { /* until nothing is taken any more, of none of them */
        received = rf_counter_get(&counters_of_first()->bytes_received);
        test_sleep_ms(300);
    } while (rf_counter_get(&counters_of_first()->bytes_received) != received);
    int other = test_connect(&server);
    assert_int_equal(test_match(other, "web", "alice"), RF_WIRE_OK);
    close(other);
    assert_int_equal(test_info(&server, "connections_closed_memory"), 0);
    for (int i = 0; i < COUNT; i++) {
        close(fds[i]);
    }
}

static void server_closes_idle_connections_where_told_to(void **state)
{
    (void)state;
    enum { IDLE_MS = 1500 };
    server.config.idle_timeout_ms = IDLE_MS;
    test_server_start(&server);
    int fd = test_connect(&server);
    uint64_t end_ms = test_now_ms() + IDLE_MS + IDLE_MS / 2;
    while (test_now_ms() < end_ms) { /* not as long as something is asked */
        assert_int_equal(test_match(fd, "web", "alice"), RF_WIRE_OK);
        test_sleep_ms(20);
    }
    uint8_t byte;
    assert_false(test_receive(fd, &byte, 1));
    close(fd);
    assert_true(test_info_reaches(&server, "connections_closed_idle", 1));
}

/* In a process of its own, which ends when `end` does. Its port goes to `port`. */
static void serve_elsewhere(int port, int end)
{
    char byte;
    test_server_start(&server);
    const uint16_t number = rf_server_port(server.server);
    bool is_told = write(port, &number, sizeof(number)) == (ssize_t)sizeof(number);
    (void)!read(end, &byte, 1);
    test_server_end(&server);
    _exit(is_told ? 0 : 1);
}

static int connect_port(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval timeout = {TEST_TIMEOUT_MS / 1000, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    test_send(fd, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    return fd;
}

/* All before any is answered: one by one it takes long enough to be idle, on a busy machine. */
static void send_to_all(const int *fds, int count, const uint8_t *frame, size_t size)
{
    for (int i = 0; i < count; i++) {
        test_send(fds[i], frame, size);
    }
}

static void receive_of_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        struct rf_wire_header header;
        uint8_t payload[256];
        assert_true(test_receive_reply(fds[i], &header, payload, sizeof(payload)));
        assert_int_equal(header.request_id, 7);
        assert_int_equal(header.status, RF_WIRE_OK);
    }
}

/* More of them than the server takes notice of at once when it goes on. */
static void server_that_was_stopped_closes_nobody_who_asked_meanwhile(void **state)
{
    (void)state;
    enum { COUNT = 700, IDLE_MS = 5000 };
    static int fds[COUNT];
    int port_pipe[2];
    int end_pipe[2];
    uint16_t port = 0;
    server.config.idle_timeout_ms = IDLE_MS;
    server.config.workers = 1;
    assert_int_equal(pipe2(port_pipe, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end_pipe, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(end_pipe[1]);
        serve_elsewhere(port_pipe[1], end_pipe[0]);
    }
    assert_int_equal(read(port_pipe[0], &port, sizeof(port)), sizeof(port));
    for (int i = 0; i < COUNT; i++) {
        fds[i] = connect_port(port);
    }
    uint8_t frame[64];
    size_t size =
        rf_wire_match_request_encode(frame, sizeof(frame), 7, (struct rf_wire_bytes){"web", 3},
                                     (struct rf_wire_bytes){"alice", 5});
    send_to_all(fds, COUNT, frame, size);
    receive_of_all(fds, COUNT); /* all are served */
    int status = 0;
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    test_sleep_ms(IDLE_MS + 500);
    send_to_all(fds, COUNT, frame, size);
    assert_int_equal(kill(child, SIGCONT), 0);
    receive_of_all(fds, COUNT);
    for (int i = 0; i < COUNT; i++) {
        close(fds[i]);
    }
    close(end_pipe[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(end_pipe[0]);
    close(port_pipe[0]);
    close(port_pipe[1]);
}

static void server_closes_who_does_not_name_a_protocol_in_time(void **state)
{
    (void)state;
    server.config.detect_timeout_ms = 200;
    test_server_start(&server);
    int silent = test_try_connect(&server, 0);
    int slow = test_try_connect(&server, 0);
    assert_true(silent >= 0 && slow >= 0);
    test_send(slow, rf_wire_preface, RF_WIRE_PREFACE_SIZE - 1); /* more bytes win no more time */
    uint8_t byte;
    assert_false(test_receive(silent, &byte, 1));
    assert_false(test_receive(slow, &byte, 1));
    close(silent);
    close(slow);
    assert_true(test_info_reaches(&server, "connections_closed_idle", 2));
}

/* Waits of all workers. They are read without a connection, which would be an event. */
static uint64_t waits(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < rf_server_workers_count(server.server); i++) {
        const struct rf_server_counters *counters = rf_server_counters(server.server, i);
        sum += rf_counter_get(&counters->waits_spun) + rf_counter_get(&counters->waits_blocked);
    }
    return sum;
}

static uint64_t thread_switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw);
}

/* Whatever the busy poll: a second without requests costs no wait, so no system call either. */
static void server_sleeps_while_nobody_asks(void **state)
{
    (void)state;
    const uint32_t busy_polls_us[] = {0, 50, RF_BUSY_POLL_ADAPTIVE};
    for (size_t i = 0; i < sizeof(busy_polls_us) / sizeof(busy_polls_us[0]); i++) {
        memset(&server, 0, sizeof(server));
        server.config.busy_poll_us = busy_polls_us[i];
        test_server_start(&server);
        int fd = test_connect(&server);
        for (int k = 0; k < 200; k++) {
            assert_int_equal(test_match(fd, "web", "alice"), RF_WIRE_OK);
        }
        assert_true(test_info(&server, "waits_blocked") + test_info(&server, "waits_spun") > 0);
        if (busy_polls_us[i] == 0) {
            assert_int_equal(test_info(&server, "waits_spun"), 0);
        }
        uint64_t waits_before;
        uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS;
        do { /* until the last of those connections is seen off */
            assert_true(test_now_ms() < end_ms);
            waits_before = waits();
            test_sleep_ms(100);
        } while (waits() != waits_before);
        uint64_t switches_before = thread_switches();
        test_sleep_ms(1000);
        assert_int_equal(waits(), waits_before);
        /* This thread's sleep, and what the sanitizers' own threads do. */
        assert_true(thread_switches() - switches_before < 100);
        for (int k = 0; k < 2; k++) { /* between two there was a wait that began after the first */
            assert_int_equal(test_match(fd, "web", "alice"), RF_WIRE_OK);
        }
        assert_true(waits() > waits_before);
        close(fd);
        if (i + 1 < sizeof(busy_polls_us) / sizeof(busy_polls_us[0])) {
            test_server_end(&server);
        }
    }
}

/* In a child, whose limit of descriptors can be as low as the test wants. */
static int run_out_of_descriptors(void)
{
    enum { EXTRA = 60, SPARE = 30 /* for the server itself, and some connections */ };
    int fds[EXTRA];
    for (int i = 0; i < EXTRA; i++) { /* the clients' sockets first: they are of this process too */
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    struct rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    /* Before the server starts: io_uring takes the limit of when it is told to accept. */
    struct rlimit low = {.rlim_cur = (rlim_t)fds[EXTRA - 1] + SPARE, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
    server.config.workers = 1;
    test_server_start(&server);
    int first = test_connect(&server);
    if (test_match(first, "web", "alice") != RF_WIRE_OK) {
        return 1;
    }
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(rf_server_port(server.server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < EXTRA; i++) {
        if (connect(fds[i], (struct sockaddr *)&address, sizeof(address)) < 0) {
            return 2;
        }
    }
    struct timespec cpu_before;
    struct timespec cpu_after;
    test_sleep_ms(100);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_before);
    test_sleep_ms(1000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_after);
    double busy_s = (double)(cpu_after.tv_sec - cpu_before.tv_sec) +
                    (double)(cpu_after.tv_nsec - cpu_before.tv_nsec) / 1e9;
    if (busy_s > 0.5) { /* a loop that spins takes all of it */
        fprintf(stderr, "%f s of processor time in one second\n", busy_s);
        return 3;
    }
    if (test_match(first, "web", "bob") != RF_WIRE_OK) { /* those that there are go on */
        return 4;
    }
    setrlimit(RLIMIT_NOFILE, &before);
    for (int i = 0; i < EXTRA; i++) { /* and all others are served when there are descriptors */
        struct timeval timeout = {TEST_TIMEOUT_MS / 1000, 0};
        setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        test_send(fds[i], rf_wire_preface, RF_WIRE_PREFACE_SIZE);
        if (test_match(fds[i], "web", "alice") != RF_WIRE_OK) {
            return 5;
        }
        close(fds[i]);
    }
    if (test_info(&server, "accept_errors") < 1) {
        return 6;
    }
    close(first);
    test_server_end(&server);
    return 0;
}

static void server_without_descriptors_waits_and_then_accepts_again(void **state)
{
    (void)state;
    assert_int_equal(test_in_child(run_out_of_descriptors), 0);
}

int main(int argc, char **argv)
{
    test_choose_engine(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(server_without_descriptors_waits_and_then_accepts_again, prepare),
        cmocka_unit_test_setup_teardown(server_bounds_what_a_slow_reader_costs_and_closes_it,
                                        prepare, end),
        cmocka_unit_test_setup_teardown(server_pauses_for_a_slow_reader_and_goes_on, prepare, end),
        cmocka_unit_test_setup_teardown(server_waits_for_a_reader_that_takes_bytes_however_few,
                                        prepare, end),
        cmocka_unit_test_setup_teardown(server_refuses_connections_over_its_limit, prepare, end),
        cmocka_unit_test_setup_teardown(server_closes_who_needs_buffers_beyond_their_limit, prepare,
                                        end),
        cmocka_unit_test_setup_teardown(server_takes_short_buffers_from_requests_that_never_end,
                                        prepare, end),
        cmocka_unit_test_setup_teardown(server_keeps_buffers_for_those_that_read, prepare, end),
        cmocka_unit_test_setup_teardown(server_closes_idle_connections_where_told_to, prepare, end),
        cmocka_unit_test_setup(server_that_was_stopped_closes_nobody_who_asked_meanwhile, prepare),
        cmocka_unit_test_setup_teardown(server_closes_who_does_not_name_a_protocol_in_time, prepare,
                                        end),
        cmocka_unit_test_setup_teardown(server_sleeps_while_nobody_asks, prepare, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
