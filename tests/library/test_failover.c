/* SPDX-License-Identifier: MIT
 *
 * test_failover.c - calls of libregfast while registries come and go: those that wait, those that
 * are submitted, from several threads, and in child processes.
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/regfast.h"
#include "tests/support/listener.h"
#include "tests/support/served_io.h"

enum {
    REGISTRIES_COUNT = 3,
    RESTARTS_COUNT = 12,
    RESTART_MS = 50,
    SUBMITTED_COUNT = 2000,
    THREADS_COUNT = 4,
    CALLS_COUNT = 300, /* of a thread */
};

static struct served registries[REGISTRIES_COUNT];
static struct served truth; /* knows the same, and stays: what is right is asked of its catalog */
static char all[REGISTRIES_COUNT * 40];
static struct regfast_client *client;
static char error[REGFAST_ERROR_SIZE];

static void open_client(const struct regfast_options *options)
{
    all[0] = '\0';
    served_begin(&truth, NULL);
    for (int i = 0; i < REGISTRIES_COUNT; i++) {
        served_begin(&registries[i], NULL);
        (void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i > 0 ? "," : "",
                       registries[i].addr);
    }
    assert_int_equal(regfast_open(all, options, &client, error, sizeof(error)), 0);
}

static void close_client(void)
{
    regfast_close(client);
    for (int i = 0; i < REGISTRIES_COUNT; i++) {
        served_stop(&registries[i]);
    }
    served_stop(&truth);
}

static void match_is_right(const void *key, size_t key_size)
{
    struct regfast_owner owner;
    if (regfast_match(client, "web", key, key_size, &owner, error, sizeof(error)) < 0) {
        fail_msg("%s", error);
    }
    assert_string_equal(owner.id, served_owner(&truth, "web", key, key_size));
}

/* The index of the registry that answered last. */
static int current(void)
{
    for (int i = 0; i < REGISTRIES_COUNT; i++) {
        if (strcmp(regfast_server(client), registries[i].addr) == 0) {
            return i;
        }
    }
    fail_msg("'%s' is none of %s", regfast_server(client), all);
    return -1;
}

/* ---- calls that wait ---- */

static void call_after_its_registry_ended_is_answered_by_another(void **state)
{
    (void)state;
    open_client(NULL);
    for (int i = 0; i < RESTARTS_COUNT; i++) {
        match_is_right(&i, sizeof(i));
        struct served *used = &registries[current()];
        served_stop(used);
        uint64_t begin_ms = served_now_ms();
        match_is_right(&i, sizeof(i));
        assert_true(served_now_ms() - begin_ms < PATIENCE_MS);
        served_begin(used, used->addr);
    }
    close_client();
}

struct restarts {
    pthread_t thread;
    atomic_bool is_done;
};

/* One after the other ends and comes back. */
static void *restart(void *context)
{
    struct restarts *restarts = context;
    for (int i = 0; i < RESTARTS_COUNT; i++) {
        struct served *served = &registries[i % REGISTRIES_COUNT];
        served_stop(served);
        served_sleep_ms(RESTART_MS);
        served_begin(served, served->addr);
        served_sleep_ms(RESTART_MS);
    }
    atomic_store(&restarts->is_done, true);
    return NULL;
}

static void calls_during_rolling_restarts_are_all_answered(void **state)
{
    (void)state;
    struct restarts restarts = {.is_done = false};
    unsigned long long calls = 0;
    open_client(NULL);
    assert_int_equal(pthread_create(&restarts.thread, NULL, restart, &restarts), 0);
    while (!atomic_load(&restarts.is_done)) {
        struct regfast_owner owner;
        int code =
            regfast_match(client, "web", &calls, sizeof(calls), &owner, error, sizeof(error));
        if (code < 0 && code != REGFAST_ENOTFOUND) { /* one that has just started has no members */
            fail_msg("call %llu: %s", calls, error);
        }
        calls++;
    }
    assert_int_equal(pthread_join(restarts.thread, NULL), 0);
    assert_true(calls > RESTARTS_COUNT);
    close_client();
}

static void clients_begin_with_any_registry_or_in_order(void **state)
{
    (void)state;
    enum { CLIENTS_COUNT = 64 };
    unsigned begun[REGISTRIES_COUNT] = {0};
    const struct regfast_options options = {.size = sizeof(options), .in_order = 1};
    open_client(&options);
    for (int i = 0; i < CLIENTS_COUNT; i++) {
        match_is_right("k", 1);
        assert_int_equal(current(), 0);
        regfast_close(client);
        assert_int_equal(regfast_open(all, &options, &client, error, sizeof(error)), 0);
    }
    for (int i = 0; i < CLIENTS_COUNT; i++) {
        regfast_close(client);
        assert_int_equal(regfast_open(all, NULL, &client, error, sizeof(error)), 0);
        match_is_right("k", 1);
        begun[current()]++;
    }
    for (int i = 0; i < REGISTRIES_COUNT; i++) {
        assert_true(begun[i] > 0); /* once in 10^11 runs it is not */
    }
    close_client();
}

/* Of the two addresses that the name may have, nobody may listen on one. */
static void registries_are_found_by_name_and_those_without_address_are_passed_over(void **state)
{
    (void)state;
    char by_name[80];
    const struct regfast_options options = {.size = sizeof(options), .in_order = 1};
    open_client(NULL);
    regfast_close(client);
    struct served local;
    served_begin(&local, "127.0.0.1:0");
    (void)snprintf(by_name, sizeof(by_name), "localhost%s", strchr(local.addr, ':'));
    assert_int_equal(regfast_open(by_name, &options, &client, error, sizeof(error)), 0);
    match_is_right("k", 1);
    assert_string_equal(regfast_server(client), by_name);
    regfast_close(client);
    served_stop(&local);
    (void)snprintf(by_name, sizeof(by_name), "nowhere.invalid:1,%s", registries[0].addr);
    assert_int_equal(regfast_open(by_name, &options, &client, error, sizeof(error)), 0);
    match_is_right("k", 1);
    close_client();
    struct regfast_owner owner;
    assert_int_equal(regfast_open("nowhere.invalid:1", NULL, &client, error, sizeof(error)), 0);
    assert_true(regfast_match(client, "web", "k", 1, &owner, error, sizeof(error)) < 0);
    assert_memory_equal(error, "nowhere.invalid:1: ", 19);
    regfast_close(client);
}

static void options_of_older_programs_are_taken_and_nonsense_is_not(void **state)
{
    (void)state;
    struct regfast_options options = {.size = 16, .background = 77}; /* beyond what it says */
    assert_int_equal(regfast_open("h:1", &options, &client, error, sizeof(error)), 0);
    regfast_close(client);
    options.size = sizeof(options);
    assert_int_equal(regfast_open("h:1", &options, &client, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "option background 77: allowed 0, 1");
    for (size_t size = 0; size < sizeof(options); size++) {
        options.size = size;
        options.background = 0;
        if (size != 16) {
            assert_int_equal(regfast_open("h:1", &options, &client, error, sizeof(error)), -EINVAL);
        }
    }
}

/* ---- submitted ---- */

static struct regfast_owner owners[SUBMITTED_COUNT];
static bool is_told[SUBMITTED_COUNT];

static void submit_all(void)
{
    memset(is_told, 0, sizeof(is_told));
    for (int i = 0; i < SUBMITTED_COUNT; i++) {
        assert_int_equal(regfast_submit_match(client, "web", &i, sizeof(i), &owners[i], &is_told[i],
                                              error, sizeof(error)),
                         0);
    }
}

/* Drives the client from an event loop until that many are done, each once and rightly. */
static void take(int count)
{
    uint64_t end_ms = served_now_ms() + PATIENCE_MS;
    while (count > 0) {
        struct regfast_completion done;
        struct pollfd entry = {.fd = regfast_fd(client), .events = POLLIN};
        assert_true(served_now_ms() < end_ms);
        assert_true(poll(&entry, 1, regfast_timeout_ms(client)) >= 0);
        int waiting = regfast_process(client, error, sizeof(error));
        assert_true(waiting >= 0);
        for (int i = 0; i < waiting; i++) {
            assert_int_equal(regfast_next(client, &done), 1);
            if (done.code < 0) {
                fail_msg("%s", done.error);
            }
            assert_string_equal(done.error, "");
            int index = (int)((bool *)done.user - is_told);
            assert_false(is_told[index]);
            is_told[index] = true;
            assert_string_equal(owners[index].id,
                                served_owner(&truth, "web", &index, sizeof(index)));
            count--;
        }
    }
    struct regfast_completion none;
    assert_int_equal(regfast_next(client, &none), 0);
}

static void submitted_requests_are_each_answered_once(void **state)
{
    (void)state;
    open_client(NULL);
    submit_all();
    take(SUBMITTED_COUNT);
    match_is_right("k", 1);
    close_client();
}

static void submitted_requests_go_elsewhere_when_their_registry_ends(void **state)
{
    (void)state;
    open_client(NULL);
    match_is_right("k", 1);
    struct served *used = &registries[current()];
    submit_all();
    assert_true(regfast_process(client, error, sizeof(error)) >= 0); /* sent, not all answered */
    served_stop(used);
    take(SUBMITTED_COUNT);
    served_begin(used, used->addr);
    close_client();
}

/* As regfast_match_many, which then returns 0 whether there is a registry or not. */
static void submitted_without_keys_is_done_at_once(void **state)
{
    (void)state;
    struct regfast_completion done;
    assert_int_equal(regfast_open("127.0.0.1:1", NULL, &client, error, sizeof(error)), 0);
    assert_int_equal(regfast_match_many(client, "web", NULL, 0, owners, error, sizeof(error)), 0);
    assert_int_equal(
        regfast_submit_match_many(client, "web", NULL, 0, NULL, owners, error, sizeof(error)), 0);
    assert_int_equal(regfast_timeout_ms(client), 0);
    assert_int_equal(regfast_process(client, error, sizeof(error)), 1);
    assert_int_equal(regfast_next(client, &done), 1);
    assert_ptr_equal(done.user, owners);
    assert_int_equal(done.code, 0);
    assert_string_equal(done.error, "");
    assert_int_equal(regfast_next(client, &done), 0);
    regfast_close(client);
}

static void submitted_requests_mix_with_calls_that_wait(void **state)
{
    (void)state;
    enum { KEYS_COUNT = 3 };
    struct regfast_owner many[KEYS_COUNT];
    const struct regfast_key keys[KEYS_COUNT] = {{"a", 1}, {"b", 1}, {NULL, 0}};
    struct regfast_completion done;
    open_client(NULL);
    assert_int_equal(regfast_submit_match_many(client, "web", keys, KEYS_COUNT, many, many, error,
                                               sizeof(error)),
                     0);
    assert_int_equal(
        regfast_submit_match(client, "nowhere", "k", 1, &owners[0], owners, error, sizeof(error)),
        0);
    match_is_right("k", 1); /* answered in order, so the others are too */
    assert_int_equal(regfast_timeout_ms(client), 0);
    assert_int_equal(regfast_process(client, error, sizeof(error)), 2);
    assert_int_equal(regfast_next(client, &done), 1);
    assert_ptr_equal(done.user, many);
    assert_int_equal(done.code, 0);
    for (int i = 0; i < KEYS_COUNT; i++) {
        assert_string_equal(many[i].id, served_owner(&truth, "web", keys[i].data, keys[i].size));
    }
    assert_int_equal(regfast_next(client, &done), 1);
    assert_ptr_equal(done.user, owners);
    assert_int_equal(done.code, REGFAST_ENOTFOUND);
    char expected[64];
    int size = snprintf(expected, sizeof(expected),
                        "group 'nowhere': %.*s:", (int)strcspn(registries[0].addr, ":"),
                        registries[0].addr);
    assert_memory_equal(done.error, expected, (size_t)size);
    close_client();
}

static void submitted_requests_are_bounded_and_may_be_abandoned(void **state)
{
    (void)state;
    static const char key[60 * 1000];
    int count = 0;
    open_client(NULL);
    while (regfast_submit_match(client, "web", &count, sizeof(count), &owners[0], NULL, error,
                                sizeof(error)) == 0) {
        count++;
    }
    assert_int_equal(count, REGFAST_SUBMITTED_MAX);
    assert_int_equal(
        regfast_submit_match(client, "web", "k", 1, &owners[0], NULL, error, sizeof(error)),
        -EAGAIN);
    assert_non_null(strstr(error, "4096 requests"));
    regfast_close(client);
    assert_int_equal(regfast_open(all, NULL, &client, error, sizeof(error)), 0);
    for (count = 0; regfast_submit_match(client, "web", key, sizeof(key), &owners[0], NULL, error,
                                         sizeof(error)) == 0;) {
        count++;
    }
    assert_int_equal(count, 16 * 1024 * 1024 / (sizeof(key) + 16));
    close_client();
}

static void submitted_requests_that_nobody_answers_say_why(void **state)
{
    (void)state;
    struct regfast_completion done;
    assert_int_equal(regfast_open("127.0.0.1:1", NULL, &client, error, sizeof(error)), 0);
    assert_int_equal(
        regfast_submit_match(client, "web", "k", 1, &owners[0], NULL, error, sizeof(error)), 0);
    while (regfast_process(client, error, sizeof(error)) == 0) {
        struct pollfd entry = {.fd = regfast_fd(client), .events = POLLIN};
        assert_true(poll(&entry, 1, regfast_timeout_ms(client)) >= 0);
    }
    assert_int_equal(regfast_next(client, &done), 1);
    assert_int_equal(done.code, REGFAST_EUNAVAILABLE);
    assert_string_equal(done.error, "127.0.0.1:1: cannot connect: Connection refused");
    regfast_close(client);
}

static void submitting_misused_says_so(void **state)
{
    (void)state;
    static const struct regfast_key large[] = {{all, 60 * 1000}, {all, 60 * 1000}};
    struct regfast_completion done;
    struct regfast_key keys[1025] = {{NULL, 0}};
    assert_int_equal(regfast_open("127.0.0.1:1", NULL, &client, error, sizeof(error)), 0);
    assert_int_equal(regfast_submit_match(NULL, "web", "k", 1, owners, NULL, error, sizeof(error)),
                     -EINVAL);
    assert_int_equal(regfast_submit_match(client, NULL, "k", 1, owners, NULL, NULL, 0), -EINVAL);
    assert_int_equal(regfast_submit_match(client, "web", NULL, 1, owners, NULL, NULL, 0), -EINVAL);
    assert_int_equal(regfast_submit_match(client, "web", "k", 1, NULL, NULL, NULL, 0), -EINVAL);
    assert_int_equal(regfast_submit_match_many(client, "web", keys, 1, NULL, NULL, NULL, 0),
                     -EINVAL);
    assert_int_equal(
        regfast_submit_match_many(client, "web", keys, 1025, owners, NULL, error, sizeof(error)),
        REGFAST_ELIMIT);
    assert_string_equal(error, "1025 keys: the first 1024 of them fill a request");
    assert_int_equal(
        regfast_submit_match_many(client, "web", large, 2, owners, NULL, error, sizeof(error)),
        REGFAST_ELIMIT);
    assert_int_equal(regfast_next(NULL, &done), -EINVAL);
    assert_int_equal(regfast_next(client, NULL), -EINVAL);
    assert_int_equal(regfast_next(client, &done), 0);
    assert_int_equal(regfast_fd(NULL), -EINVAL);
    assert_int_equal(regfast_timeout_ms(NULL), -1);
    assert_int_equal(regfast_timeout_ms(client), -1);
    assert_int_equal(regfast_process(NULL, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "the client is NULL");
    regfast_close(client);
}

/* ---- threads ---- */

static void *call_often(void *context)
{
    char text[REGFAST_ERROR_SIZE];
    for (int i = 0; i < CALLS_COUNT; i++) {
        struct regfast_owner owner;
        int code = regfast_match(client, "web", &i, sizeof(i), &owner, text, sizeof(text));
        if (code < 0) {
            fprintf(stderr, "%s\n", text);
            return context;
        }
    }
    return NULL;
}

static void client_with_a_thread_is_called_from_several(void **state)
{
    (void)state;
    pthread_t threads[THREADS_COUNT];
    struct regfast_watch *watch;
    struct regfast_watch_status status = {.size = sizeof(status)};
    const struct regfast_options options = {
        .size = sizeof(options), .background = 1, .call_timeout_ms = PATIENCE_MS};
    open_client(&options);
    assert_int_equal(regfast_watch(client, "web", &watch, error, sizeof(error)), 0);
    for (int i = 0; i < THREADS_COUNT; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, client), 0);
    }
    uint64_t updates = 0;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(regfast_watch_wait(watch, updates, PATIENCE_MS, error, sizeof(error)), 0);
        assert_int_equal(regfast_watch_status(watch, &status), 0);
        updates = status.updates;
        for (int j = 0; j < REGISTRIES_COUNT; j++) {
            served_put(&registries[j], "web", "web-9", i % 2 == 0 ? "a:1" : "b:1", 1,
                       RF_MEMBER_ALIVE);
            served_publish(&registries[j]);
        }
    }
    for (int i = 0; i < THREADS_COUNT; i++) {
        void *failed = client;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    close_client();
}

static void client_with_a_thread_completes_what_was_submitted(void **state)
{
    (void)state;
    const struct regfast_options options = {.size = sizeof(options), .background = 1};
    open_client(&options);
    submit_all();
    take(SUBMITTED_COUNT);
    close_client();
}

/* ---- child processes ---- */

/* Runs `body` in a child; its result is the child's. */
static int in_child(int (*body)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        _exit(body());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static struct regfast_watch *inherited;

static int use_in_child(void)
{
    struct regfast_owner owner;
    struct regfast_watch_status before = {.size = sizeof(before)};
    struct pollfd entry = {.fd = regfast_fd(client), .events = POLLIN};
    int code = regfast_match(client, "web", "k", 1, &owner, NULL, 0);
    (void)regfast_watch_status(inherited, &before);
    for (int i = 0; i < SUBMITTED_COUNT && code == 0; i++) {
        code = regfast_submit_match(client, "web", &i, sizeof(i), &owners[i], NULL, NULL, 0);
    }
    for (int left = SUBMITTED_COUNT; left > 0 && code >= 0;) {
        struct regfast_completion done;
        (void)poll(&entry, 1, regfast_timeout_ms(client));
        code = regfast_process(client, NULL, 0);
        while (code >= 0 && regfast_next(client, &done) == 1) {
            code = done.code;
            left--;
        }
    }
    if (code == 0) {
        code = before.state == REGFAST_WATCH_LIVE ? 0 : -1;
    }
    regfast_watch_close(inherited);
    regfast_close(client);
    return code < 0 ? 1 : 0;
}

static int close_in_child(void)
{
    regfast_watch_close(inherited);
    regfast_close(client);
    return 0;
}

static int close_unused_in_child(void)
{
    regfast_close(client);
    return 0;
}

static void client_goes_on_in_parent_and_child(void **state)
{
    (void)state;
    struct regfast_watch_status status = {.size = sizeof(status)};
    open_client(NULL);
    assert_int_equal(regfast_watch(client, "web", &inherited, error, sizeof(error)), 0);
    assert_int_equal(regfast_watch_wait(inherited, 0, PATIENCE_MS, error, sizeof(error)), 0);
    assert_int_equal(in_child(use_in_child), 0);
    assert_int_equal(in_child(close_in_child), 0);
    assert_int_equal(in_child(close_unused_in_child), 0);
    match_is_right("k", 1);
    served_put(&registries[current()], "web", "web-9", "a:1", 1, RF_MEMBER_ALIVE);
    served_publish(&registries[current()]);
    assert_int_equal(regfast_watch_wait(inherited, 1, PATIENCE_MS, error, sizeof(error)), 0);
    assert_int_equal(regfast_watch_status(inherited, &status), 0);
    assert_int_equal(status.updates, 2); /* on the same connection: nothing was told again */
    close_client();
}

/* A child that does nothing with the client, until the pipe's other end is closed. */
static pid_t start_idle_child(const int ends[2], int listener, int accepted)
{
    pid_t child = fork();
    if (child == 0) {
        char unused;
        (void)close(ends[1]);
        (void)close(listener);
        (void)close(accepted);
        _exit((int)read(ends[0], &unused, 1));
    }
    return child;
}

static void end_idle_child(pid_t child, const int ends[2])
{
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Opens the client on a registry of the test's own, with one request sent. Returns its end of the
 * connection; *ret_listener listens still. */
static int open_client_of_test(struct regfast_owner *owner, int *ret_listener)
{
    uint16_t port;
    int listener = listen_on_loopback(&port);
    (void)snprintf(all, sizeof(all), "127.0.0.1:%u", port);
    assert_int_equal(regfast_open(all, NULL, &client, error, sizeof(error)), 0);
    assert_int_equal(regfast_submit_match(client, "web", "k", 1, owner, NULL, NULL, 0), 0);
    assert_int_equal(regfast_process(client, error, sizeof(error)), 0);
    int accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    *ret_listener = listener;
    return accepted;
}

static void client_is_quiet_about_a_connection_that_only_a_child_has_still(void **state)
{
    (void)state;
    struct regfast_owner owner;
    struct regfast_completion done;
    int listener;
    int accepted = open_client_of_test(&owner, &listener);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = start_idle_child(ends, listener, accepted);
    (void)close(listener);
    (void)close(accepted);
    struct pollfd entry = {.fd = regfast_fd(client), .events = POLLIN};
    while (regfast_next(client, &done) == 0) {
        (void)poll(&entry, 1, regfast_timeout_ms(client));
        assert_true(regfast_process(client, error, sizeof(error)) >= 0);
    }
    assert_int_equal(done.code, REGFAST_EUNAVAILABLE);
    assert_int_equal(regfast_timeout_ms(client), -1);
    assert_int_equal(poll(&entry, 1, 0), 0);
    regfast_close(client);
    end_idle_child(child, ends);
}

static void registry_hears_of_the_end_of_a_connection_that_a_child_has_still(void **state)
{
    (void)state;
    struct regfast_owner owner;
    int listener;
    int accepted = open_client_of_test(&owner, &listener);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = start_idle_child(ends, listener, accepted);
    regfast_close(client);
    char bytes[64];
    ssize_t size = 1;
    while (size > 0) { /* what was asked, and then the end */
        struct pollfd entry = {.fd = accepted, .events = POLLIN};
        assert_int_equal(poll(&entry, 1, PATIENCE_MS), 1);
        size = read(accepted, bytes, sizeof(bytes));
    }
    assert_int_equal(size, 0);
    (void)close(listener);
    (void)close(accepted);
    end_idle_child(child, ends);
}

static int refuse_in_child(void)
{
    struct regfast_owner owner;
    struct regfast_watch *none;
    int code = regfast_match(client, "web", "k", 1, &owner, error, sizeof(error));
    bool is_refused = code == -EINVAL && strstr(error, "of the process that opened it") != NULL &&
                      regfast_watch(client, "web", &none, NULL, 0) == -EINVAL &&
                      regfast_process(client, NULL, 0) == -EINVAL;
    regfast_watch_close(inherited);
    regfast_close(client);
    return is_refused ? 0 : 1;
}

static void client_with_a_thread_stays_with_its_process(void **state)
{
    (void)state;
    const struct regfast_options options = {.size = sizeof(options), .background = 1};
    open_client(&options);
    assert_int_equal(regfast_watch(client, "web", &inherited, error, sizeof(error)), 0);
    assert_int_equal(regfast_watch_wait(inherited, 0, PATIENCE_MS, error, sizeof(error)), 0);
    assert_int_equal(in_child(refuse_in_child), 0);
    match_is_right("k", 1);
    close_client();
}

int main(int argc, char **argv)
{
    served_choose_io(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_after_its_registry_ended_is_answered_by_another),
        cmocka_unit_test(calls_during_rolling_restarts_are_all_answered),
        cmocka_unit_test(clients_begin_with_any_registry_or_in_order),
        cmocka_unit_test(registries_are_found_by_name_and_those_without_address_are_passed_over),
        cmocka_unit_test(options_of_older_programs_are_taken_and_nonsense_is_not),
        cmocka_unit_test(submitted_requests_are_each_answered_once),
        cmocka_unit_test(submitted_requests_go_elsewhere_when_their_registry_ends),
        cmocka_unit_test(submitted_requests_mix_with_calls_that_wait),
        cmocka_unit_test(submitted_without_keys_is_done_at_once),
        cmocka_unit_test(submitted_requests_are_bounded_and_may_be_abandoned),
        cmocka_unit_test(submitted_requests_that_nobody_answers_say_why),
        cmocka_unit_test(submitting_misused_says_so),
        cmocka_unit_test(client_with_a_thread_is_called_from_several),
        cmocka_unit_test(client_with_a_thread_completes_what_was_submitted),
        cmocka_unit_test(client_goes_on_in_parent_and_child),
        cmocka_unit_test(client_is_quiet_about_a_connection_that_only_a_child_has_still),
        cmocka_unit_test(registry_hears_of_the_end_of_a_connection_that_a_child_has_still),
        cmocka_unit_test(client_with_a_thread_stays_with_its_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
