/* SPDX-License-Identifier: MIT
 *
 * test_watching.c - watches of libregfast against real servers that change, end and come back, and
 * against some that only pretend to be there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/client.h"
#include "client/regfast.h"
#include "client/watch.h"
#include "core/wire.h"
#include "tests/support/listener.h"
#include "tests/support/served_io.h"

enum {
    HEARTBEAT_MS = 400, /* two of them must do for an answer of a busy machine */
    KEYS_COUNT = 200,
};

static struct served first, second;
static struct regfast_client *client;
static struct regfast_watch *watch;
static char error[REGFAST_ERROR_SIZE];

static void open_client(const char *registries, bool background, bool discover)
{
    const struct regfast_options options = {.size = sizeof(options),
                                            .background = background,
                                            .in_order = 1,
                                            .discover = discover,
                                            .heartbeat_ms = HEARTBEAT_MS};
    assert_int_equal(regfast_open(registries, &options, &client, error, sizeof(error)), 0);
    assert_int_equal(regfast_watch(client, "web", &watch, error, sizeof(error)), 0);
}

static void open_client_of_both(bool background)
{
    char registries[80];
    (void)snprintf(registries, sizeof(registries), "%s,%s", first.addr, second.addr);
    open_client(registries, background, false);
}

static struct regfast_watch_status status(void)
{
    struct regfast_watch_status now = {.size = sizeof(now)};
    assert_int_equal(regfast_watch_status(watch, &now), 0);
    return now;
}

/* Drives the client, or lets its thread do it, until the status is so. */
static void eventually(bool (*is_so)(const struct regfast_watch_status *status))
{
    uint64_t end_ms = served_now_ms() + PATIENCE_MS;
    for (;;) {
        struct regfast_watch_status now = status();
        if (is_so(&now)) {
            return;
        }
        if (served_now_ms() > end_ms) {
            fail_msg("state %u, updates %llu, refused %llu, full copies %llu, of '%s'", now.state,
                     (unsigned long long)now.updates, (unsigned long long)now.refused,
                     (unsigned long long)now.full_copies, now.server);
        }
        (void)regfast_watch_wait(watch, now.updates, 10, error, sizeof(error));
    }
}

static bool is_live(const struct regfast_watch_status *now)
{
    return now->state == REGFAST_WATCH_LIVE;
}

static bool is_stale(const struct regfast_watch_status *now)
{
    return now->state == REGFAST_WATCH_STALE;
}

static bool is_live_at_second(const struct regfast_watch_status *now)
{
    return is_live(now) && strcmp(now->server, second.addr) == 0;
}

static bool has_five_alive(const struct regfast_watch_status *now)
{
    return now->alive_count == 5;
}

static bool has_refused(const struct regfast_watch_status *now)
{
    return now->refused > 0;
}

/* The answers given here are those of the registry's own catalog. */
static void answers_as(struct served *served)
{
    struct regfast_reader *reader;
    struct regfast_owner owner;
    assert_int_equal(regfast_reader_new(watch, &reader), 0);
    for (int i = 0; i < KEYS_COUNT; i++) {
        assert_int_equal(regfast_local_match(reader, &i, sizeof(i), &owner), 0);
        assert_string_equal(owner.id, served_owner(served, "web", &i, sizeof(i)));
    }
    regfast_reader_free(reader);
}

static uint64_t info_number(const char *name)
{
    struct regfast_info_list *list;
    uint64_t number = UINT64_MAX;
    assert_int_equal(regfast_info(client, &list, error, sizeof(error)), 0);
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->entries[i].name, name) == 0) {
            number = list->entries[i].number;
        }
    }
    regfast_info_list_free(list);
    return number;
}

static void put_two_more(struct served *served)
{
    served_put(served, "web", "web-5", "10.0.0.5:80", 500, RF_MEMBER_ALIVE);
    served_put(served, "web", "web-6", "10.0.0.6:80", 100, RF_MEMBER_ALIVE);
    served_publish(served);
}

/* ---- tests ---- */

static void watch_knows_what_the_registry_knows_and_what_changes(void **state)
{
    (void)state;
    struct regfast_member_list *list = NULL;
    struct regfast_member_list *asked;
    served_begin(&first, NULL);
    open_client(first.addr, false, false);
    assert_int_equal(status().state, REGFAST_WATCH_EMPTY);
    assert_int_equal(regfast_watch_members(watch, &list, error, sizeof(error)), -EAGAIN);
    assert_int_equal(regfast_watch_wait(watch, 0, PATIENCE_MS, error, sizeof(error)), 0);
    answers_as(&first);
    assert_int_equal(regfast_watch_members(watch, &list, error, sizeof(error)), 0);
    assert_int_equal(regfast_members(client, "web", &asked, error, sizeof(error)), 0);
    assert_int_equal(list->count, asked->count);
    assert_int_equal(list->version, asked->version);
    assert_int_equal(list->digest, asked->digest);
    for (size_t i = 0; i < list->count; i++) {
        assert_string_equal(list->members[i].id, asked->members[i].id);
        assert_int_equal(list->members[i].state, asked->members[i].state);
    }
    regfast_member_list_free(list);
    regfast_member_list_free(asked);
    assert_string_equal(status().server, first.addr);
    assert_int_equal(status().full_copies, 0);

    put_two_more(&first);
    eventually(has_five_alive);
    answers_as(&first);
    assert_int_equal(regfast_watch_wait(watch, status().updates, 1, error, sizeof(error)),
                     -ETIMEDOUT);
    assert_string_equal(error, "watch of group 'web': no update in time");
    regfast_close(client); /* the watch too */
    served_stop(&first);
}

static void watch_is_kept_current_by_calls_and_by_an_event_loop(void **state)
{
    (void)state;
    struct regfast_owner owner;
    served_begin(&first, NULL);
    open_client(first.addr, false, false);
    uint64_t end_ms = served_now_ms() + PATIENCE_MS;
    while (status().state != REGFAST_WATCH_LIVE) {
        assert_int_equal(regfast_match(client, "web", "k", 1, &owner, error, sizeof(error)), 0);
        assert_true(served_now_ms() < end_ms);
    }
    put_two_more(&first);
    while (status().alive_count != 5) {
        struct pollfd entry = {.fd = regfast_fd(client), .events = POLLIN};
        assert_true(poll(&entry, 1, regfast_timeout_ms(client)) >= 0);
        assert_int_equal(regfast_process(client, error, sizeof(error)), 0);
        assert_true(served_now_ms() < end_ms);
    }
    regfast_watch_close(watch);
    regfast_close(client);
    served_stop(&first);
}

/* What came while nobody looked was in time. */
static void watch_outlives_a_program_that_looks_late(void **state)
{
    (void)state;
    enum { SLOW_HEARTBEAT_MS = 400 };
    const struct regfast_options options = {.size = sizeof(options),
                                            .heartbeat_ms = SLOW_HEARTBEAT_MS};
    served_begin(&first, NULL);
    assert_int_equal(regfast_open(first.addr, &options, &client, error, sizeof(error)), 0);
    assert_int_equal(regfast_watch(client, "web", &watch, error, sizeof(error)), 0);
    assert_int_equal(regfast_watch_wait(watch, 0, PATIENCE_MS, error, sizeof(error)), 0);
    for (int i = 0; i < 2; i++) {
        served_sleep_ms(5 * SLOW_HEARTBEAT_MS);
        assert_int_equal(regfast_process(client, error, sizeof(error)), 0); /* sends a heartbeat */
    }
    assert_int_equal(info_number("connections_accepted"), 1);
    regfast_close(client);
    served_stop(&first);
}

static void watch_goes_on_with_another_registry_when_its_own_ends(void **state)
{
    (void)state;
    served_begin(&first, NULL);
    served_begin(&second, NULL);
    open_client_of_both(true);
    assert_int_equal(regfast_watch_wait(watch, 0, PATIENCE_MS, error, sizeof(error)), 0);
    assert_string_equal(status().server, first.addr);
    put_two_more(&second);
    served_stop(&first);
    eventually(has_five_alive);
    assert_string_equal(status().server, second.addr);
    answers_as(&second);
    regfast_close(client);
    served_stop(&second);
}

static void watch_answers_while_every_registry_is_gone_and_goes_on_when_one_is_back(void **state)
{
    (void)state;
    struct regfast_reader *reader;
    struct regfast_owner before;
    struct regfast_owner after;
    served_begin(&first, NULL);
    open_client(first.addr, true, false);
    eventually(is_live);
    assert_int_equal(regfast_reader_new(watch, &reader), 0);
    assert_int_equal(regfast_local_match(reader, "k", 1, &before), 0);
    served_stop(&first);
    eventually(is_stale);
    assert_int_equal(regfast_local_match(reader, "k", 1, &after), 0);
    assert_string_equal(after.id, before.id);
    assert_int_equal(regfast_watch_wait(watch, status().updates, 100, error, sizeof(error)),
                     -ETIMEDOUT);
    assert_non_null(strstr(error, "the last failure"));
    served_begin(&first, first.addr);
    eventually(is_live);
    put_two_more(&first);
    eventually(has_five_alive);
    answers_as(&first);
    regfast_reader_free(reader);
    regfast_close(client);
    served_stop(&first);
}

/* The second one has just started and has not heard of anybody. */
static void watch_is_not_emptied_by_a_registry_that_knows_less(void **state)
{
    (void)state;
    struct rf_error err;
    struct regfast_reader *reader;
    struct regfast_owner owner;
    served_begin(&first, NULL);
    served_check(served_start(&second, NULL, served_io, &err), &err);
    open_client_of_both(true);
    eventually(is_live);
    assert_int_equal(regfast_reader_new(watch, &reader), 0);
    served_stop(&first);
    eventually(has_refused);
    assert_int_equal(status().state, REGFAST_WATCH_STALE);
    assert_int_equal(regfast_local_match(reader, "k", 1, &owner), 0);
    assert_int_equal(regfast_watch_wait(watch, status().updates, 1, error, sizeof(error)),
                     -ETIMEDOUT);
    char expected[REGFAST_ERROR_SIZE];
    (void)snprintf(expected, sizeof(expected),
                   "watch of group 'web': no update in time; not applied: %s: group 'web' has "
                   "nobody in its ring, and who was has not left",
                   second.addr);
    assert_string_equal(error, expected);
    served_put_standard(&second);
    served_publish(&second);
    eventually(is_live_at_second);
    answers_as(&second);
    regfast_reader_free(reader);
    regfast_close(client);
    served_stop(&second);
}

/* The end of the minute is the reply to a heartbeat: nothing is told then. */
static void watch_says_that_a_doubted_registry_is_believed(void **state)
{
    (void)state;
    const struct rf_session_event heard = {.type = RF_SESSION_HEARD};
    const uint64_t minute_ns = 61 * UINT64_C(1000000000);
    struct rf_error err;
    served_begin(&first, NULL);
    open_client(first.addr, false, false);
    eventually(is_live);
    served_stop(&first);
    served_check(served_start(&first, first.addr, served_io, &err), &err);
    served_put(&first, "web", "web-9", "a:1", 1, RF_MEMBER_ALIVE);
    served_publish(&first);
    uint64_t end_ms = served_now_ms() + PATIENCE_MS;
    do {
        assert_int_equal(regfast_watch_wait(watch, 1, 10, error, sizeof(error)), -ETIMEDOUT);
        assert_true(served_now_ms() < end_ms);
    } while (strstr(error, "is hardly known there") == NULL);
    client->is_changed = false;
    assert_int_equal(rf_client_watches_event(client, &heard, rf_client_now_ns() + minute_ns, &err),
                     0);
    assert_int_equal(status().updates, 2);
    assert_true(client->is_changed);
    answers_as(&first);
    regfast_close(client);
    served_stop(&first);
}

static void *wait_shortly(void *context)
{
    (void)regfast_watch_wait(watch, status().updates, 400, NULL, 0);
    return context;
}

static void watch_is_waited_for_no_longer_while_another_thread_has_the_client(void **state)
{
    (void)state;
    pthread_t thread;
    struct timespec end;
    served_begin(&first, NULL);
    open_client(first.addr, true, false);
    eventually(is_live);
    assert_int_equal(pthread_create(&thread, NULL, wait_shortly, NULL), 0);
    served_sleep_ms(100); /* it waits */
    assert_int_equal(rf_client_enter(client, UINT64_MAX, NULL), 0);
    assert_int_equal(regfast_watch_wait(watch, 0, 0, error, sizeof(error)), 0); /* is known */
    assert_int_equal(regfast_watch_wait(watch, 1, 1, error, sizeof(error)), -ETIMEDOUT);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 10;
    int code = pthread_timedjoin_np(thread, NULL, &end);
    rf_client_leave(client);
    assert_int_equal(code, 0);
    regfast_close(client);
    served_stop(&first);
}

static void watch_of_a_group_that_is_not_there_knows_that_and_when_it_comes(void **state)
{
    (void)state;
    struct regfast_reader *reader;
    struct regfast_owner owner;
    served_begin(&first, NULL);
    open_client(first.addr, false, false);
    regfast_watch_close(watch);
    assert_int_equal(regfast_watch(client, "later", &watch, error, sizeof(error)), 0);
    eventually(is_live);
    assert_int_equal(regfast_reader_new(watch, &reader), 0);
    assert_int_equal(regfast_local_match(reader, "k", 1, &owner), REGFAST_ENOTFOUND);
    uint64_t updates = status().updates;
    served_put(&first, "later", "l-1", "10.1.0.1:80", 10, RF_MEMBER_ALIVE);
    served_publish(&first);
    assert_int_equal(regfast_watch_wait(watch, updates, PATIENCE_MS, error, sizeof(error)), 0);
    assert_int_equal(regfast_local_match(reader, "k", 1, &owner), 0);
    assert_string_equal(owner.id, "l-1");
    regfast_reader_free(reader);
    regfast_close(client);
    served_stop(&first);
}

/* A connection can have 256 watches, ended ones included; a client, 256 at a time. */
static void watches_are_256_at_a_time_and_any_number_in_turn(void **state)
{
    (void)state;
    static struct regfast_watch *watches[REGFAST_WATCHES_MAX];
    struct regfast_watch *one_more = NULL;
    char group[16];
    served_begin(&first, NULL);
    open_client(first.addr, true, false);
    for (int i = 0; i < 2 * REGFAST_WATCHES_MAX; i++) {
        regfast_watch_close(watch);
        assert_int_equal(regfast_watch(client, "web", &watch, error, sizeof(error)), 0);
        if (i % 64 == 0) {
            assert_int_equal(regfast_watch_wait(watch, 0, PATIENCE_MS, error, sizeof(error)), 0);
        }
    }
    assert_int_equal(regfast_watch_wait(watch, 0, PATIENCE_MS, error, sizeof(error)), 0);
    answers_as(&first);
    for (int i = 1; i < REGFAST_WATCHES_MAX; i++) {
        (void)snprintf(group, sizeof(group), "group-%d", i);
        assert_int_equal(regfast_watch(client, group, &watches[i], error, sizeof(error)), 0);
    }
    assert_int_equal(regfast_watch(client, "more", &one_more, error, sizeof(error)),
                     REGFAST_ELIMIT);
    assert_string_equal(error, "a client watches 256 groups at most");
    assert_null(one_more);
    for (int i = 1; i < REGFAST_WATCHES_MAX; i++) {
        assert_int_equal(regfast_watch_wait(watches[i], 0, PATIENCE_MS, error, sizeof(error)), 0);
    }
    regfast_close(client);
    served_stop(&first);
}

static void watch_discovers_registries_and_uses_them(void **state)
{
    (void)state;
    served_begin(&first, NULL);
    served_begin(&second, NULL);
    served_put(&first, "registry-group", "r1", first.addr, 1, RF_MEMBER_ALIVE);
    served_put(&first, "registry-group", "r2", second.addr, 1, RF_MEMBER_ALIVE);
    served_put(&first, "registry-group", "r3", "no address", 1, RF_MEMBER_ALIVE);
    served_put(&first, "registry-group", "r4", "127.0.0.1:1", 1, RF_MEMBER_FAILED);
    served_publish(&first);
    open_client(first.addr, true, true);
    eventually(is_live);
    /* The order in which two watches are told is the registry's. */
    struct regfast_watch *registries;
    assert_int_equal(regfast_watch(client, "registry-group", &registries, error, sizeof(error)), 0);
    assert_int_equal(regfast_watch_wait(registries, 0, PATIENCE_MS, error, sizeof(error)), 0);
    served_stop(&first);
    eventually(is_live_at_second);
    struct regfast_owner owner;
    assert_int_equal(regfast_match(client, "web", "k", 1, &owner, error, sizeof(error)), 0);
    assert_string_equal(regfast_server(client), second.addr);
    regfast_close(client);
    served_stop(&second);
}

enum { OTHERS_COUNT = RF_REGISTRIES_MAX - 1 }; /* beside the one that is given */

static void put_others(char first_letter, uint16_t port, enum rf_member_state member_state)
{
    for (int i = 0; i < OTHERS_COUNT; i++) {
        char id[16];
        char addr[32];
        (void)snprintf(id, sizeof(id), "%c-%d", first_letter, i);
        (void)snprintf(addr, sizeof(addr), "127.0.0.1:%d", port + i);
        served_put(&first, "registry-group", id, addr, 1, member_state);
    }
}

static void watch_discovers_registries_that_replace_as_many(void **state)
{
    (void)state;
    served_begin(&first, NULL);
    put_others('a', 1, RF_MEMBER_ALIVE);
    served_publish(&first);
    open_client(first.addr, false, true);
    eventually(is_live);
    uint64_t end_ms = served_now_ms() + PATIENCE_MS;
    while (client->registries.count < 1 + OTHERS_COUNT && served_now_ms() < end_ms) {
        (void)regfast_watch_wait(watch, 1, 10, error, sizeof(error));
    }
    assert_int_equal(client->registries.count, 1 + OTHERS_COUNT);
    put_others('a', 1, RF_MEMBER_LEFT);
    put_others('b', 101, RF_MEMBER_ALIVE);
    served_publish(&first);
    const struct rf_registry *second_one = &client->registries.entries[1];
    while (second_one->host_port.port < 101 && client->registries.count > 1 &&
           served_now_ms() < end_ms) {
        (void)regfast_watch_wait(watch, 1, 10, error, sizeof(error));
    }
    assert_int_equal(client->registries.count, 1 + OTHERS_COUNT);
    for (size_t i = 1; i < client->registries.count; i++) {
        assert_true(client->registries.entries[i].host_port.port > 100);
    }
    regfast_close(client);
    served_stop(&first);
}

/* ---- registries that only pretend ---- */

/* What a pretender does with a connection. */
enum manner { SILENT, TRICKLES, TELLS_ONCE, TELLS_HALF, TELLS_WRONG, SPEAKS_HTTP };

struct pretender {
    enum manner manner;
    int listener;
    char addr[32];
    pthread_t thread;
    atomic_bool is_done;
    atomic_uint accepted_count;
};

static void pretend_send(int fd, const uint8_t *data, size_t size)
{
    (void)!send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Answers INFO and tells of one member: all of it, half of it, or with a digest that is not its. */
static void pretend_to_tell(int fd, enum manner manner)
{
    uint8_t out[1024];
    struct rf_wire_list list;
    const struct rf_wire_watch_head head = {
        .instance = 7, .version = 1, .digest = 42, .is_whole = true};
    const struct rf_wire_member member = {{{"web-1", 5}, {"a:1", 3}}, 1, RF_MEMBER_ALIVE};
    if (rf_wire_info_reply_begin(&list, out, sizeof(out), 0) < 0 ||
        rf_wire_info_reply_add_text(&list, "placement", "v1") < 0) {
        abort();
    }
    pretend_send(fd, out, rf_wire_list_end(&list, false));
    struct rf_wire_watch_head empty = head;
    empty.digest = 0;
    if (rf_wire_watch_reply_begin(&list, out, sizeof(out), 0,
                                  manner == TELLS_ONCE ? &empty : &head) < 0 ||
        (manner != TELLS_ONCE && rf_wire_watch_reply_add_member(&list, &member) < 0)) {
        abort();
    }
    pretend_send(fd, out, rf_wire_list_end(&list, manner == TELLS_HALF));
}

static void pretend(struct pretender *pretender, int fd)
{
    static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    uint8_t in[4096];
    bool has_spoken = false;
    while (!atomic_load(&pretender->is_done)) {
        struct pollfd entry = {.fd = fd, .events = POLLIN};
        if (poll(&entry, 1, 10) > 0 && recv(fd, in, sizeof(in), 0) <= 0) {
            return;
        }
        if (pretender->manner == TRICKLES) { /* of a frame that never ends */
            const uint8_t byte = 0;
            const uint8_t frame[] = {0, 1, 0, 0, RF_WIRE_INFO, 0, 0, 0, 0, 0, 0, 0};
            pretend_send(fd, has_spoken ? &byte : frame, has_spoken ? 1 : sizeof(frame));
        } else if (pretender->manner == SPEAKS_HTTP && !has_spoken) {
            pretend_send(fd, (const uint8_t *)http, sizeof(http) - 1);
        } else if (pretender->manner != SILENT && !has_spoken) {
            pretend_to_tell(fd, pretender->manner);
        }
        has_spoken = true;
    }
}

static void *run_pretender(void *context)
{
    struct pretender *pretender = context;
    while (!atomic_load(&pretender->is_done)) {
        struct pollfd entry = {.fd = pretender->listener, .events = POLLIN};
        if (poll(&entry, 1, 10) > 0) {
            int fd = accept(pretender->listener, NULL, NULL);
            atomic_fetch_add(&pretender->accepted_count, 1);
            pretend(pretender, fd);
            close(fd);
        }
    }
    return NULL;
}

static void pretender_start(struct pretender *pretender, enum manner manner)
{
    uint16_t port;
    pretender->manner = manner;
    atomic_store(&pretender->is_done, false);
    atomic_store(&pretender->accepted_count, 0);
    pretender->listener = listen_on_loopback(&port);
    (void)snprintf(pretender->addr, sizeof(pretender->addr), "127.0.0.1:%u", port);
    assert_int_equal(pthread_create(&pretender->thread, NULL, run_pretender, pretender), 0);
}

static void pretender_stop(struct pretender *pretender)
{
    atomic_store(&pretender->is_done, true);
    assert_int_equal(pthread_join(pretender->thread, NULL), 0);
    close(pretender->listener);
}

/* The client tries the pretender first, and ends up with a registry that is one. */
static void leaves_one_that(enum manner manner)
{
    static struct pretender pretender;
    char registries[80];
    pretender_start(&pretender, manner);
    served_begin(&second, NULL);
    (void)snprintf(registries, sizeof(registries), "%s,%s", pretender.addr, second.addr);
    open_client(registries, false, false);
    eventually(is_live_at_second);
    answers_as(&second);
    assert_true(atomic_load(&pretender.accepted_count) > 0);
    regfast_close(client);
    served_stop(&second);
    pretender_stop(&pretender);
}

static void watch_leaves_a_registry_that_accepts_and_says_nothing(void **state)
{
    (void)state;
    leaves_one_that(SILENT);
}

static void watch_leaves_a_registry_that_trickles(void **state)
{
    (void)state;
    leaves_one_that(TRICKLES);
}

static void watch_leaves_a_registry_that_falls_silent(void **state)
{
    (void)state;
    leaves_one_that(TELLS_ONCE);
}

static void watch_leaves_a_registry_that_tells_half(void **state)
{
    (void)state;
    leaves_one_that(TELLS_HALF);
}

static void watch_leaves_a_registry_whose_digest_is_wrong_and_counts_it(void **state)
{
    (void)state;
    static struct pretender pretender;
    leaves_one_that(TELLS_WRONG);
    pretender_start(&pretender, TELLS_WRONG);
    open_client(pretender.addr, false, false);
    uint64_t end_ms = served_now_ms() + PATIENCE_MS;
    do {
        assert_int_equal(regfast_watch_wait(watch, 0, 500, error, sizeof(error)), -ETIMEDOUT);
        assert_true(served_now_ms() < end_ms);
    } while (strstr(error, "digest") == NULL);
    assert_true(status().full_copies > 0);
    /* Not as often as the processor can: it rests longer and longer. */
    assert_true(atomic_load(&pretender.accepted_count) < 100);
    regfast_close(client);
    pretender_stop(&pretender);
}

static void watch_leaves_a_server_that_is_no_registry(void **state)
{
    (void)state;
    leaves_one_that(SPEAKS_HTTP);
}

static void watch_misused_says_so(void **state)
{
    (void)state;
    struct regfast_watch *none = NULL;
    struct regfast_reader *reader;
    struct regfast_member_list *list;
    struct regfast_watch_status now = {.size = sizeof(now)};
    assert_int_equal(regfast_open("127.0.0.1:1", NULL, &client, error, sizeof(error)), 0);
    assert_int_equal(regfast_watch(NULL, "web", &none, error, sizeof(error)), -EINVAL);
    assert_int_equal(regfast_watch(client, NULL, &none, error, sizeof(error)), -EINVAL);
    assert_int_equal(regfast_watch(client, "", &none, error, sizeof(error)), -EINVAL);
    assert_int_equal(regfast_watch(client, "web", NULL, error, sizeof(error)), -EINVAL);
    assert_null(none);
    assert_int_equal(regfast_watch_wait(NULL, 0, 1, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "the watch is NULL");
    assert_int_equal(regfast_watch_status(NULL, &now), -EINVAL);
    assert_int_equal(regfast_watch_members(NULL, &list, error, sizeof(error)), -EINVAL);
    assert_int_equal(regfast_reader_new(NULL, &reader), -EINVAL);
    regfast_watch_close(NULL);
    assert_int_equal(regfast_watch(client, "web", &watch, error, sizeof(error)), 0);
    now.size = 1;
    assert_int_equal(regfast_watch_status(watch, &now), -EINVAL);
    assert_int_equal(regfast_watch_wait(watch, 0, 100, error, sizeof(error)), -ETIMEDOUT);
    assert_non_null(strstr(error, "127.0.0.1:1: cannot connect: Connection refused"));
    regfast_close(client);
}

int main(int argc, char **argv)
{
    served_choose_io(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watch_knows_what_the_registry_knows_and_what_changes),
        cmocka_unit_test(watch_is_kept_current_by_calls_and_by_an_event_loop),
        cmocka_unit_test(watch_outlives_a_program_that_looks_late),
        cmocka_unit_test(watch_goes_on_with_another_registry_when_its_own_ends),
        cmocka_unit_test(watch_answers_while_every_registry_is_gone_and_goes_on_when_one_is_back),
        cmocka_unit_test(watch_is_not_emptied_by_a_registry_that_knows_less),
        cmocka_unit_test(watch_says_that_a_doubted_registry_is_believed),
        cmocka_unit_test(watch_is_waited_for_no_longer_while_another_thread_has_the_client),
        cmocka_unit_test(watch_of_a_group_that_is_not_there_knows_that_and_when_it_comes),
        cmocka_unit_test(watches_are_256_at_a_time_and_any_number_in_turn),
        cmocka_unit_test(watch_discovers_registries_and_uses_them),
        cmocka_unit_test(watch_discovers_registries_that_replace_as_many),
        cmocka_unit_test(watch_leaves_a_registry_that_accepts_and_says_nothing),
        cmocka_unit_test(watch_leaves_a_registry_that_trickles),
        cmocka_unit_test(watch_leaves_a_registry_that_falls_silent),
        cmocka_unit_test(watch_leaves_a_registry_that_tells_half),
        cmocka_unit_test(watch_leaves_a_registry_whose_digest_is_wrong_and_counts_it),
        cmocka_unit_test(watch_leaves_a_server_that_is_no_registry),
        cmocka_unit_test(watch_misused_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
