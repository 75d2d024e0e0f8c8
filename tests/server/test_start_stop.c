/* SPDX-License-Identifier: MIT
 *
 * Starting: the port, the engine and why that one. Stopping: no reply is lost.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "net/listener.h"
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

/* ---- stopping ---- */

/* What has reached the server when it is stopped is answered, whole, and then comes an end, no
 * reset. */
static void server_stop_answers_all_that_had_been_received(void **state)
{
    (void)state;
    enum { CONNECTIONS = 8, COUNT = 500 }; /* 38 KB each: the sockets hold all of it */
    int fds[CONNECTIONS];
    uint8_t frame[RF_WIRE_HEADER_SIZE + 64];
    uint8_t payload[64] = {0};
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = test_connect(&server);
    }
    for (uint32_t j = 0; j < COUNT; j++) {
        size_t size = rf_wire_frame_encode(frame, sizeof(frame), RF_WIRE_PING, RF_WIRE_OK, j,
                                           (struct rf_wire_bytes){payload, sizeof(payload)});
        for (int i = 0; i < CONNECTIONS; i++) {
            test_send(fds[i], frame, size);
        }
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        test_wait_received(fds[i]);
    }
    assert_int_equal(rf_server_stop(server.server, TEST_TIMEOUT_MS), 0);
    for (int i = 0; i < CONNECTIONS; i++) {
        for (uint32_t j = 0; j < COUNT; j++) {
            struct rf_wire_header header;
            assert_true(test_receive_reply(fds[i], &header, payload, sizeof(payload)));
            assert_int_equal(header.request_id, j);
        }
        assert_true(test_is_ended(fds[i]));
        close(fds[i]);
    }
}

struct load {
    const struct test_server *server;
    _Atomic(unsigned) answered;
    _Atomic(bool) is_sent_after; /* the stop had begun when the last request was sent */
    _Atomic(bool) *is_stopping;
    bool is_lost; /* a request of before the stop had no reply */
};

/* One request after the other until the server ends the connection. */
static void *ask_until_closed(void *context)
{
    struct load *load = context;
    int fd = test_connect(load->server);
    for (;;) {
        bool was_stopping = atomic_load(load->is_stopping);
        if (test_match(fd, "web", "alice") != RF_WIRE_OK) {
            load->is_lost = !was_stopping && !atomic_load(load->is_stopping);
            break;
        }
        atomic_fetch_add(&load->answered, 1);
    }
    close(fd);
    return NULL;
}

static void server_stop_under_load_ends_and_loses_no_reply(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    static struct load loads[THREADS];
    static _Atomic(bool) is_stopping;
    pthread_t threads[THREADS];
    memset(loads, 0, sizeof(loads));
    atomic_store(&is_stopping, false);
    for (int i = 0; i < THREADS; i++) {
        loads[i].server = &server;
        loads[i].is_stopping = &is_stopping;
        assert_int_equal(pthread_create(&threads[i], NULL, ask_until_closed, &loads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        while (atomic_load(&loads[i].answered) < 50) {
            test_sleep_ms(1);
        }
    }
    atomic_store(&is_stopping, true);
    assert_int_equal(rf_server_stop(server.server, TEST_TIMEOUT_MS), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(loads[i].is_lost);
    }
    assert_int_equal(test_try_connect(&server, 0), -1); /* the port is closed */
    assert_int_equal(errno, ECONNREFUSED);
}

static void server_stop_serves_who_waited_to_be_accepted(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    int fds[COUNT];
    uint8_t frame[256];
    memcpy(frame, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    size_t size = RF_WIRE_PREFACE_SIZE;
    size += rf_wire_match_request_encode(frame + size, sizeof(frame) - size, 1,
                                         (struct rf_wire_bytes){"web", 3},
                                         (struct rf_wire_bytes){"alice", 5});
    for (int i = 0; i < COUNT; i++) {
        fds[i] = test_try_connect(&server, 0);
        assert_true(fds[i] >= 0);
        test_send(fds[i], frame, size);
    }
    for (int i = 0; i < COUNT; i++) {
        test_wait_received(fds[i]);
    }
    assert_int_equal(rf_server_stop(server.server, TEST_TIMEOUT_MS), 0);
    for (int i = 0; i < COUNT; i++) {
        struct rf_wire_header header;
        uint8_t payload[1024];
        assert_true(test_receive_reply(fds[i], &header, payload, sizeof(payload)));
        assert_int_equal(header.status, RF_WIRE_OK);
        assert_true(test_is_ended(fds[i]));
        close(fds[i]);
    }
}

static void server_stop_drops_who_does_not_read_at_the_time_limit(void **state)
{
    (void)state;
    int fd = test_try_connect(&server, 4096);
    assert_true(fd >= 0);
    test_send(fd, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    uint8_t frame[64];
    size_t size = rf_wire_members_request_encode(
        frame, sizeof(frame), 1, (struct rf_wire_bytes){"big", 3}, (struct rf_wire_bytes){"", 0});
    for (int i = 0; i < 500; i++) {
        test_send(fd, frame, size);
    }
    test_wait_received(fd);
    int idle = test_connect(&server);
    assert_int_equal(test_match(idle, "web", "alice"), RF_WIRE_OK);
    uint64_t begin_ms = test_now_ms();
    assert_int_equal(rf_server_stop(server.server, 2000), 1);
    assert_true(test_now_ms() - begin_ms < TEST_TIMEOUT_MS);
    assert_int_equal(rf_server_stop(server.server, 500), 0); /* again: nothing */
    assert_true(test_is_ended(idle));
    close(idle);
    close(fd);
}

/* ---- the port ---- */

static int start_on(const char *addr, struct rf_error *err)
{
    struct rf_server_config config = server.config;
    struct rf_server *other = NULL;
    config.addr = addr;
    int code = rf_server_start(&config, &other, err);
    rf_server_free(other);
    return code;
}

static void server_refuses_a_port_in_use_even_by_its_like(void **state)
{
    (void)state;
    struct rf_error err;
    char addr[32];
    char text[128];
    snprintf(addr, sizeof(addr), "127.0.0.1:%u", rf_server_port(server.server));
    assert_int_equal(start_on(addr, &err), -EADDRINUSE);
    snprintf(text, sizeof(text),
             "cannot listen on %s: Address already in use; another registry, or choose -addr",
             addr);
    assert_string_equal(err.text, text);
    /* And it is free again once the server is gone. */
    int fd = test_connect(&server);
    assert_int_equal(test_match(fd, "web", "alice"), RF_WIRE_OK);
    (void)rf_server_stop(server.server, 0);
    assert_int_equal(start_on(addr, &err), 0);
    close(fd);
}

static void server_refuses_bad_addresses_and_says_why(void **state)
{
    (void)state;
    struct rf_error err;
    const char *const addrs[] = {"127.0.0.1:99999", "127.0.0.1:x", "nonsense", "[::1:80",
                                 "1.2.3.4:"};
    for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        assert_int_equal(start_on(addrs[i], &err), -EINVAL);
        assert_non_null(strstr(err.text, "cannot listen"));
    }
    assert_int_equal(start_on("192.0.2.1:0", &err), -EADDRNOTAVAIL);
    assert_non_null(strstr(err.text, "192.0.2.1:0"));
    server.config.workers = RF_WORKERS_MAX + 1;
    assert_int_equal(start_on("127.0.0.1:0", &err), -EINVAL);
    server.config.workers = 1;
    server.config.connections_max = RF_CONNECTIONS_MAX + 1;
    assert_int_equal(start_on("127.0.0.1:0", &err), -EINVAL);
    server.config.connections_max = 0;
}

static unsigned descriptors_count(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* Wherever in its start the server runs out of descriptors. */
static void server_that_cannot_start_whole_leaves_nothing_open(void **state)
{
    (void)state;
    struct rf_error err;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    server.config.workers = 4;
    unsigned before = descriptors_count();
    unsigned failed_count = 0;
    int code = -EMFILE;
    for (unsigned more = 0; code == -EMFILE && more < 64; more++) {
        const struct rlimit short_limit = {.rlim_cur = before + more, .rlim_max = limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &short_limit), 0);
        code = start_on("127.0.0.1:0", &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(descriptors_count(), before);
        if (code == -EMFILE && strstr(err.text, "worker") != NULL) {
            assert_non_null(strstr(err.text, "raise the limit of open files"));
            failed_count++;
        }
    }
    server.config.workers = 1;
    assert_int_equal(code, 0);
    assert_in_range(failed_count, 4, 64); /* each worker was one that failed */
}

/* The first listener starts alone; it must share like the others all the same. */
static void listeners_all_get_connections(void **state)
{
    (void)state;
    enum { LISTENERS = 3, COUNT = 200 };
    int fds[LISTENERS];
    int clients[COUNT];
    unsigned accepted[LISTENERS] = {0};
    struct rf_error err;
    uint16_t port;
    assert_int_equal(rf_listeners_open("127.0.0.1:0", fds, LISTENERS, &port, &err), 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < COUNT; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&address, sizeof(address)), 0);
    }
    for (unsigned left = COUNT; left > 0;) { /* some may take a moment to get there */
        struct pollfd ready[LISTENERS];
        for (int i = 0; i < LISTENERS; i++) {
            ready[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        }
        assert_true(poll(ready, LISTENERS, TEST_TIMEOUT_MS) > 0);
        for (int i = 0; i < LISTENERS; i++) {
            if (ready[i].revents != 0) {
                int fd = accept(fds[i], NULL, NULL);
                assert_true(fd >= 0);
                close(fd);
                accepted[i]++;
                left--;
            }
        }
    }
    for (int i = 0; i < COUNT; i++) {
        close(clients[i]);
    }
    for (int i = 0; i < LISTENERS; i++) {
        assert_true(accepted[i] > COUNT / LISTENERS / 4);
        close(fds[i]);
    }
    assert_int_equal(accepted[0] + accepted[1] + accepted[2], COUNT);
}

/* ---- the engine ---- */

static void forbid_io_uring(int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        perror("seccomp");
        _exit(77);
    }
}

/* What a server does where io_uring_setup fails with `error`: 0 as expected. */
static int start_without_io_uring(int error)
{
    bool is_missing = error == EPERM || error == ENOSYS || error == EACCES;
    struct rf_error err = {0};
    forbid_io_uring(error);
    memset(&server, 0, sizeof(server));
    rf_publisher_init(&server.publisher, &sample_catalog()->published);
    struct rf_server_config config = {
        .addr = "127.0.0.1:0", .io = RF_IO_URING, .workers = 1, .publisher = &server.publisher};
    if (rf_server_start(&config, &server.server, &err) != -error ||
        strstr(err.text, strerror(error)) == NULL ||
        (is_missing && strstr(err.text, "-io epoll") == NULL)) {
        fprintf(stderr, "uring: %s\n", err.text);
        return 1;
    }
    config.io = RF_IO_AUTO;
    int code = rf_server_start(&config, &server.server, &err);
    if (!is_missing) {
        return code == -error ? 0 : 2;
    }
    if (code < 0 || strcmp(rf_server_engine_name(server.server), "epoll") != 0 ||
        strstr(rf_server_engine_reason(server.server), strerror(error)) == NULL) {
        fprintf(stderr, "auto: %s\n", err.text);
        return 3;
    }
    int fd = test_connect(&server);
    if (test_match(fd, "web", "alice") != RF_WIRE_OK) {
        return 4;
    }
    close(fd);
    test_server_end(&server);
    return 0;
}

static void server_without_io_uring_falls_back_or_says_what_to_do(void **state)
{
    (void)state;
    const int errors[] = {EPERM, ENOSYS, EACCES, ENOMEM, EMFILE};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            _exit(start_without_io_uring(errors[i]));
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77) {
            printf("skipped: no seccomp filters\n");
            exit(77);
        }
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void io_names_parse_to_themselves(void **state)
{
    (void)state;
    const enum rf_io all[] = {RF_IO_AUTO, RF_IO_URING, RF_IO_EPOLL};
    struct rf_error err;
    enum rf_io io;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rf_io_parse(rf_io_name(all[i]), &io, &err), 0);
        assert_int_equal(io, all[i]);
    }
    assert_int_equal(rf_io_parse("kqueue", &io, &err), -EINVAL);
    assert_string_equal(err.text, "io 'kqueue': allowed are auto, uring, epoll");
}

int main(int argc, char **argv)
{
    test_choose_engine(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_without_io_uring_falls_back_or_says_what_to_do),
        cmocka_unit_test(io_names_parse_to_themselves),
        cmocka_unit_test(listeners_all_get_connections),
        cmocka_unit_test_setup_teardown(server_stop_answers_all_that_had_been_received,
                                        start_default, end),
        cmocka_unit_test_setup_teardown(server_stop_under_load_ends_and_loses_no_reply,
                                        start_default, end),
        cmocka_unit_test_setup_teardown(server_stop_serves_who_waited_to_be_accepted, start_default,
                                        end),
        cmocka_unit_test_setup_teardown(server_stop_drops_who_does_not_read_at_the_time_limit,
                                        start_default, end),
        cmocka_unit_test_setup_teardown(server_refuses_a_port_in_use_even_by_its_like,
                                        start_default, end),
        cmocka_unit_test_setup_teardown(server_refuses_bad_addresses_and_says_why, start_default,
                                        end),
        cmocka_unit_test_setup_teardown(server_that_cannot_start_whole_leaves_nothing_open,
                                        start_default, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
