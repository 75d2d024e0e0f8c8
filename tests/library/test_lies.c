/* SPDX-License-Identifier: MIT
 *
 * test_lies.c - libregfast against servers that are slow, gone, wrong or hostile: always an error
 * that says so, in time, never a crash.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/regfast.h"
#include "core/wire.h"
#include "tests/support/listener.h"
#include "tests/support/served.h"

enum {
    OUT_SIZE = 4096,
    PATIENCE_MS = 60 * 1000,  /* a call's where it is answered */
    CALL_TIMEOUT_MS = 1000,   /* where it is not */
    SHARED_TIMEOUT_MS = 6000, /* where half of it goes to another registry, which answers */
    POLL_MS = 20,
    HANG = 0,             /* a liar's reply of no bytes: it says nothing more */
    CLOSE_AFTER = 1 << 30 /* added to the size of a reply: closes once it is sent */
};

/* Writes what the server answers to a request, and returns its size. `index` counts requests. */
typedef int lie(unsigned index, const struct rf_wire_header *request, uint8_t *out);

struct liar {
    lie *tell;
    int listener;
    char addr[32];
    pthread_t thread;
    atomic_bool is_done;
    atomic_uint accepted_count;
    unsigned requests_count;
};

static struct liar liar;
static struct regfast_client *client;
static char error[REGFAST_ERROR_SIZE];

/* Reads that many bytes; false: the connection or the test has ended. */
static bool read_all(int fd, uint8_t *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        struct pollfd entry = {.fd = fd, .events = POLLIN};
        if (atomic_load(&liar.is_done)) {
            return false;
        }
        if (poll(&entry, 1, POLL_MS) > 0) {
            ssize_t count = recv(fd, data + done, size - done, 0);
            if (count <= 0) {
                return false;
            }
            done += (size_t)count;
        }
    }
    return true;
}

static void converse(int fd)
{
    static uint8_t in[RF_WIRE_REQUEST_SIZE_MAX];
    static uint8_t out[OUT_SIZE];
    if (!read_all(fd, in, RF_WIRE_PREFACE_SIZE)) {
        return;
    }
    while (read_all(fd, in, RF_WIRE_HEADER_SIZE)) {
        struct rf_wire_header request = rf_wire_header_load(in);
        if (!read_all(fd, in + RF_WIRE_HEADER_SIZE, request.payload_size)) {
            return;
        }
        int size = liar.tell(liar.requests_count++, &request, out);
        ssize_t sent = send(fd, out, (size_t)(size & ~CLOSE_AFTER), MSG_NOSIGNAL);
        if (sent < 0 || (size & CLOSE_AFTER) != 0) {
            return;
        }
    }
}

static void *serve(void *unused)
{
    (void)unused;
    while (!atomic_load(&liar.is_done)) {
        struct pollfd entry = {.fd = liar.listener, .events = POLLIN};
        if (poll(&entry, 1, POLL_MS) > 0) {
            int fd = accept(liar.listener, NULL, NULL);
            atomic_fetch_add(&liar.accepted_count, 1);
            converse(fd);
            close(fd);
        }
    }
    return NULL;
}

static void open_client(const char *registries, uint32_t call_timeout_ms)
{
    const struct regfast_options options = {
        .size = sizeof(options), .call_timeout_ms = call_timeout_ms, .in_order = 1};
    assert_int_equal(regfast_open(registries, &options, &client, error, sizeof(error)), 0);
}

static void start_with(lie *tell, uint32_t call_timeout_ms)
{
    uint16_t port;
    liar.tell = tell;
    liar.requests_count = 0;
    atomic_store(&liar.is_done, false);
    atomic_store(&liar.accepted_count, 0);
    liar.listener = listen_on_loopback(&port);
    snprintf(liar.addr, sizeof(liar.addr), "127.0.0.1:%u", port);
    assert_int_equal(pthread_create(&liar.thread, NULL, serve, NULL), 0);
    open_client(liar.addr, call_timeout_ms);
}

static void start(lie *tell)
{
    start_with(tell, PATIENCE_MS);
}

static void stop(void)
{
    regfast_close(client);
    atomic_store(&liar.is_done, true);
    assert_int_equal(pthread_join(liar.thread, NULL), 0);
    close(liar.listener);
}

static int ask(void)
{
    struct regfast_owner owner;
    return regfast_match(client, "web", "k", 1, &owner, error, sizeof(error));
}

/* A server that tells this gives that code, and this in the text; after `connections_count`. */
static void refused(lie *tell, int code, const char *text, unsigned connections_count)
{
    start(tell);
    assert_int_equal(ask(), code);
    if (strstr(error, text) == NULL || strstr(error, liar.addr) == NULL) {
        fail_msg("'%s' does not say '%s' and the server", error, text);
    }
    assert_int_equal(atomic_load(&liar.accepted_count), connections_count);
    stop();
}

static int put_owner(const struct rf_wire_header *request, uint8_t *out)
{
    struct rf_wire_owner owner = {{"web-1", 5}, {"10.0.0.1:80", 11}};
    return (int)rf_wire_match_reply_encode(out, OUT_SIZE, request->request_id, 7, &owner);
}

static int put_error(const struct rf_wire_header *request, uint8_t status, const char *text,
                     uint8_t *out)
{
    return (int)rf_wire_error_encode(out, OUT_SIZE, request->op, (enum rf_wire_status)status,
                                     request->request_id, text);
}

/* ---- lies ---- */

static int tell_html(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    (void)request;
    return sprintf((char *)out, "HTTP/1.1 400 Bad Request\r\n\r\n");
}

static int tell_oversize(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    rf_wire_header_store(out, RF_WIRE_MATCH, RF_WIRE_OK, request->request_id, UINT32_MAX);
    return RF_WIRE_HEADER_SIZE;
}

static int tell_other_id(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    struct rf_wire_header other = *request;
    other.request_id ^= 1;
    return put_owner(&other, out);
}

static int tell_other_op(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    int size = put_owner(request, out);
    (void)index;
    out[4] = RF_WIRE_PING;
    return size;
}

static int tell_reserved(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    int size = put_owner(request, out);
    (void)index;
    out[6] = 1;
    return size;
}

static int tell_too_much(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    int size = put_owner(request, out);
    out[size] = 'x';
    return size + 1;
}

static int tell_control_characters(unsigned index, const struct rf_wire_header *request,
                                   uint8_t *out)
{
    (void)index;
    struct rf_wire_owner owner = {{"web\x1b[2J", 7}, {"a", 1}};
    return (int)rf_wire_match_reply_encode(out, OUT_SIZE, request->request_id, 7, &owner);
}

static int tell_half(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    return (put_owner(request, out) / 2) | CLOSE_AFTER;
}

static int tell_goodbye(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    (void)request;
    (void)out;
    return CLOSE_AFTER;
}

static int tell_nothing(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    (void)request;
    (void)out;
    return HANG;
}

static int tell_version(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    const struct rf_wire_header none = {.op = RF_WIRE_NONE};
    (void)index;
    (void)request;
    return put_error(&none, RF_WIRE_UNSUPPORTED, "protocol version 1: spoken here is 2", out) |
           CLOSE_AFTER;
}

static int tell_shutdown(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    return put_error(request, RF_WIRE_UNAVAILABLE, "shutting down", out);
}

static int tell_internal(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    return put_error(request, RF_WIRE_INTERNAL, "bell \a and\nline", out);
}

static int tell_unknown_status(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    return put_error(request, 77, "", out);
}

static int tell_goodbye_once(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    return index == 0 ? CLOSE_AFTER : put_owner(request, out);
}

/* ---- tests ---- */

static void lies_that_are_no_reply_are_malformed_and_not_asked_again(void **state)
{
    (void)state;
    refused(tell_html, RF_EMALFORMED, "is that a regfast registry? It says 'HTTP/1.1 ", 1);
    refused(tell_html, RF_EMALFORMED, "reserved bits", 1);
    refused(tell_other_id, RF_EMALFORMED, "reply with id", 1);
    refused(tell_other_op, RF_EMALFORMED, "reply of operation 7 to one of 1", 1);
    refused(tell_reserved, RF_EMALFORMED, "reserved bits", 1);
    refused(tell_too_much, RF_EMALFORMED, "1 bytes after the reply", 1);
    refused(tell_control_characters, RF_EMALFORMED, "control characters", 1);
    refused(tell_oversize, RF_ELIMIT, "reply of 4294967307 bytes: allowed 1048576", 1);
}

static void lies_of_lost_connections_are_asked_again_once(void **state)
{
    (void)state;
    refused(tell_half, REGFAST_EUNAVAILABLE, "connection lost within a reply", 2);
    refused(tell_goodbye, REGFAST_EUNAVAILABLE, "connection lost before the reply", 2);
    refused(tell_goodbye, REGFAST_EUNAVAILABLE, "; is that the port for clients", 2);
    refused(tell_shutdown, REGFAST_EUNAVAILABLE, "shutting down", 2);
    start(tell_goodbye_once);
    assert_int_equal(ask(), 0);
    assert_int_equal(atomic_load(&liar.accepted_count), 2);
    stop();
}

static void lies_of_servers_are_told_from_the_client(void **state)
{
    (void)state;
    refused(tell_version, REGFAST_EVERSION, "protocol version 1: spoken here is 2", 1);
    refused(tell_internal, -EREMOTEIO, "bell ? and?line", 1);
    refused(tell_unknown_status, -EREMOTEIO, "unknown status", 1);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Answers calls, but not what it is, which is asked for a watch. */
static int tell_owners_only(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    switch (request->op) {
    case RF_WIRE_MATCH:
        return put_owner(request, out);
    case RF_WIRE_INFO:
        return put_error(request, RF_WIRE_INTERNAL, "no memory", out);
    default:
        return HANG;
    }
}

static void lies_about_what_is_watched_are_nothing_against_calls(void **state)
{
    (void)state;
    struct regfast_watch *watch;
    start(tell_owners_only);
    assert_int_equal(ask(), 0);
    assert_int_equal(regfast_watch(client, "web", &watch, error, sizeof(error)), 0);
    if (ask() < 0) {
        fail_msg("%s", error);
    }
    assert_int_equal(atomic_load(&liar.accepted_count), 2);
    assert_int_equal(regfast_watch_wait(watch, 0, 1, error, sizeof(error)), -ETIMEDOUT);
    assert_non_null(strstr(error, "no memory"));
    stop();
}

static void lies_of_silence_end_at_the_time_out(void **state)
{
    (void)state;
    start_with(tell_nothing, CALL_TIMEOUT_MS);
    uint64_t begin_ms = now_ms();
    assert_int_equal(ask(), -ETIMEDOUT);
    assert_true(now_ms() - begin_ms >= CALL_TIMEOUT_MS);
    assert_non_null(strstr(error, "no reply in time"));
    stop();
}

static void lies_of_silence_leave_each_submitted_request_its_time(void **state)
{
    (void)state;
    enum { COUNT = 4, APART_MS = CALL_TIMEOUT_MS / 5 };
    struct regfast_owner owner;
    struct regfast_completion done;
    uint64_t begin_ms[COUNT];
    start_with(tell_nothing, CALL_TIMEOUT_MS);
    for (size_t i = 0; i < COUNT; i++) {
        begin_ms[i] = now_ms();
        assert_int_equal(
            regfast_submit_match(client, "web", "k", 1, &owner, &begin_ms[i], error, sizeof(error)),
            0);
        for (uint64_t end_ms = now_ms() + APART_MS; now_ms() < end_ms;) {
            assert_true(regfast_process(client, error, sizeof(error)) >= 0);
        }
    }
    for (size_t left = COUNT; left > 0;) {
        struct pollfd entry = {.fd = regfast_fd(client), .events = POLLIN};
        (void)poll(&entry, 1, regfast_timeout_ms(client));
        assert_true(regfast_process(client, error, sizeof(error)) >= 0);
        for (; regfast_next(client, &done) == 1; left--) {
            assert_int_equal(done.code, -ETIMEDOUT);
            assert_non_null(strstr(done.error, "no reply in time"));
            assert_true(now_ms() - *(uint64_t *)done.user >= CALL_TIMEOUT_MS);
        }
    }
    assert_in_range(liar.accepted_count, 1, 3); /* and not one connection for each */
    stop();
}

static void lies_of_silence_to_heartbeats_are_no_time_out_of_a_call(void **state)
{
    (void)state;
    const struct regfast_options options = {
        .size = sizeof(options), .call_timeout_ms = 60 * 1000, .heartbeat_ms = 20};
    struct regfast_watch *watch;
    start(tell_nothing);
    regfast_close(client);
    assert_int_equal(regfast_open(liar.addr, &options, &client, error, sizeof(error)), 0);
    assert_int_equal(regfast_watch(client, "web", &watch, error, sizeof(error)), 0);
    assert_int_equal(ask(), REGFAST_EUNAVAILABLE);
    assert_non_null(strstr(error, "no answer to a heartbeat"));
    stop();
}

static atomic_bool has_asked;

static void *ask_from_thread(void *unused)
{
    struct regfast_owner owner;
    int code = regfast_match(client, "web", "k", 1, &owner, NULL, 0);
    atomic_store(&has_asked, true);
    return code < 0 ? unused : client;
}

static void lies_of_silence_to_one_thread_keep_no_other_from_the_client(void **state)
{
    (void)state;
    const struct regfast_options options = {
        .size = sizeof(options), .call_timeout_ms = 60 * 1000, .background = 1};
    struct regfast_owner owner;
    struct regfast_completion done;
    struct regfast_watch *watch;
    pthread_t thread;
    void *answered;
    start(tell_nothing);
    regfast_close(client);
    assert_int_equal(regfast_open(liar.addr, &options, &client, error, sizeof(error)), 0);
    atomic_store(&has_asked, false);
    assert_int_equal(pthread_create(&thread, NULL, ask_from_thread, NULL), 0);
    while (atomic_load(&liar.accepted_count) == 0) {
        (void)poll(NULL, 0, 1);
    }
    (void)poll(NULL, 0, POLL_MS); /* it waits for its reply by now */
    assert_int_equal(regfast_process(client, error, sizeof(error)), 0);
    assert_true(regfast_timeout_ms(client) > 0);
    assert_int_equal(regfast_next(client, &done), 0);
    assert_int_equal(
        regfast_submit_match(client, "web", "k", 1, &owner, NULL, error, sizeof(error)), 0);
    assert_int_equal(regfast_watch(client, "web", &watch, error, sizeof(error)), 0);
    regfast_watch_close(watch);
    assert_false(atomic_load(&has_asked));
    atomic_store(&liar.is_done, true);
    assert_int_equal(pthread_join(liar.thread, NULL), 0);
    close(liar.listener);
    assert_int_equal(pthread_join(thread, &answered), 0);
    assert_null(answered);
    regfast_close(client);
}

/* A client of that registry and of a real one, in this order, is answered by the second. */
static void answered_by_another_than(const char *registry)
{
    static struct served served;
    struct rf_error err;
    char registries[80];
    assert_int_equal(served_start(&served, NULL, RF_IO_EPOLL, &err), 0);
    served_put_standard(&served);
    served_publish(&served);
    snprintf(registries, sizeof(registries), "%s,%s", registry, served.addr);
    regfast_close(client);
    open_client(registries, SHARED_TIMEOUT_MS);
    if (ask() < 0) {
        fail_msg("%s", error);
    }
    assert_string_equal(regfast_server(client), served.addr);
    served_stop(&served);
}

static void lies_of_silence_leave_time_for_another_registry(void **state)
{
    (void)state;
    start(tell_nothing);
    answered_by_another_than(liar.addr);
    stop();
}

/* A listener whose queue is full drops what asks for a connection, as a dead machine does. */
static void lies_of_a_machine_that_is_gone_leave_time_for_another_registry(void **state)
{
    (void)state;
    enum { QUEUE_MAX = 16, CONNECT_MS = 200 };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    int queued[QUEUE_MAX];
    size_t count = 0;
    for (bool is_full = false; !is_full;) {
        assert_true(count < QUEUE_MAX);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct pollfd entry = {.fd = fd, .events = POLLOUT};
        (void)connect(fd, (struct sockaddr *)&address, size);
        is_full = poll(&entry, 1, CONNECT_MS) == 0;
        queued[count++] = fd;
    }
    char addr[32];
    snprintf(addr, sizeof(addr), "127.0.0.1:%u", ntohs(address.sin_port));
    client = NULL;
    answered_by_another_than(addr);
    regfast_close(client);
    while (count > 0) {
        close(queued[--count]);
    }
    close(listener);
}

static int tell_two_owners(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    struct rf_wire_list list;
    struct rf_wire_owner owner = {{"web-1", 5}, {"a", 1}};
    (void)index;
    if (rf_wire_owners_reply_begin(&list, out, OUT_SIZE, (enum rf_wire_op)request->op,
                                   request->request_id, 1) < 0 ||
        rf_wire_owners_reply_add(&list, &owner) < 0 ||
        rf_wire_owners_reply_add(&list, &owner) < 0) {
        abort();
    }
    return (int)rf_wire_list_end(&list, false);
}

static void lies_about_the_number_of_owners_do_not_overrun_the_answer(void **state)
{
    (void)state;
    const struct regfast_key keys[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    struct regfast_owner *owner = malloc(sizeof(*owner)); /* one: writing a second is seen */
    struct regfast_owner owners[3];
    assert_non_null(owner);
    start(tell_two_owners);
    assert_int_equal(regfast_match_many(client, "web", keys, 1, owner, error, sizeof(error)),
                     RF_EMALFORMED);
    assert_int_equal(regfast_match_many(client, "web", keys, 3, owners, error, sizeof(error)),
                     RF_EMALFORMED);
    assert_int_equal(regfast_owners(client, "web", "k", 1, 1, owner, error, sizeof(error)),
                     RF_EMALFORMED);
    assert_int_equal(regfast_owners(client, "web", "k", 1, 3, owners, error, sizeof(error)), 2);
    stop();
    free(owner);
}

/* One page of one member. */
static int put_page(const struct rf_wire_header *request, uint64_t version, const char *id,
                    uint8_t *out)
{
    struct rf_wire_list list;
    struct rf_wire_member member = {{{id, strlen(id)}, {"a", 1}}, 1, RF_MEMBER_ALIVE};
    if (rf_wire_members_reply_begin(&list, out, OUT_SIZE, request->request_id, version, 1) < 0 ||
        rf_wire_members_reply_add(&list, &member) < 0) {
        abort();
    }
    return (int)rf_wire_list_end(&list, true);
}

static int tell_same_page(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    (void)index;
    return put_page(request, 1, "b", out);
}

static int tell_new_versions(unsigned index, const struct rf_wire_header *request, uint8_t *out)
{
    return put_page(request, index, (index & 1) != 0 ? "b" : "a", out);
}

static void lies_in_pages_do_not_make_a_client_read_for_ever(void **state)
{
    (void)state;
    struct regfast_member_list *list = NULL;
    start(tell_same_page);
    assert_int_equal(regfast_members(client, "web", &list, error, sizeof(error)), RF_EMALFORMED);
    assert_non_null(strstr(error, "begins before"));
    stop();
    start(tell_new_versions);
    assert_int_equal(regfast_members(client, "web", &list, error, sizeof(error)), -EAGAIN);
    assert_non_null(strstr(error, "changed 8 times"));
    stop();
    assert_null(list);
}

static void lies_in_options_and_registries_are_refused(void **state)
{
    (void)state;
    struct regfast_client *none = NULL;
    struct regfast_options options = {.size = sizeof(options) - 1};
    assert_int_equal(regfast_open("h:1", &options, &none, error, sizeof(error)), -EINVAL);
    struct {
        struct regfast_options known;
        uint64_t later;
    } larger = {.known.size = sizeof(larger)};
    assert_int_equal(regfast_open("h:1", &larger.known, &none, error, sizeof(error)), 0);
    regfast_close(none);
    none = NULL;
    larger.later = 1;
    assert_int_equal(regfast_open("h:1", &larger.known, &none, error, sizeof(error)), -EINVAL);
    static const char *const bad[] = {NULL, "", "h:0", "h:65536", "h:1,", ",h:1", "::1:9800"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(regfast_open(bad[i], NULL, &none, error, sizeof(error)), -EINVAL);
        assert_true(error[0] != '\0');
    }
    assert_int_equal(
        regfast_open("1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h", NULL, &none, error, sizeof(error)),
        -EINVAL);
    assert_string_equal(error, "more than 16 registries");
    assert_int_equal(regfast_open("h:1,,h:2", NULL, &none, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "registries: entry 2 of 'h:1,,h:2' is empty");
    assert_null(none);
    regfast_close(NULL);
    assert_string_equal(regfast_server(NULL), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_that_are_no_reply_are_malformed_and_not_asked_again),
        cmocka_unit_test(lies_of_lost_connections_are_asked_again_once),
        cmocka_unit_test(lies_of_servers_are_told_from_the_client),
        cmocka_unit_test(lies_about_what_is_watched_are_nothing_against_calls),
        cmocka_unit_test(lies_of_silence_end_at_the_time_out),
        cmocka_unit_test(lies_of_silence_leave_each_submitted_request_its_time),
        cmocka_unit_test(lies_of_silence_to_heartbeats_are_no_time_out_of_a_call),
        cmocka_unit_test(lies_of_silence_to_one_thread_keep_no_other_from_the_client),
        cmocka_unit_test(lies_of_silence_leave_time_for_another_registry),
        cmocka_unit_test(lies_of_a_machine_that_is_gone_leave_time_for_another_registry),
        cmocka_unit_test(lies_about_the_number_of_owners_do_not_overrun_the_answer),
        cmocka_unit_test(lies_in_pages_do_not_make_a_client_read_for_ever),
        cmocka_unit_test(lies_in_options_and_registries_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
