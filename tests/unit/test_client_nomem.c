/* SPDX-License-Identifier: MIT
 *
 * test_client_nomem.c - libregfast when there is no memory: each allocation of a scenario fails in
 * turn. What fails says so and changes nothing, or is tried again later; in the end all is there.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/client.h"
#include "client/regfast.h"
#include "tests/support/failing_alloc.h"
#include "tests/support/served.h"

enum {
    SCENARIO_MAX = 100000, /* allocations: far more than there are */
    TRIES_MAX = 10,        /* of a call, of which one fails */
    WAIT_MS = 60 * 1000,
    HEARTBEAT_MS = 20,
};

static struct served served;
static char error[REGFAST_ERROR_SIZE];

static bool is_nomem(int code)
{
    if (code == -ENOMEM) {
        assert_true(error[0] != '\0');
    }
    /* A connection that cannot be had for want of memory is one that is lost. */
    return code == -ENOMEM || code == REGFAST_EUNAVAILABLE;
}

/* Repeats a call that has failed for want of memory. */
#define AGAIN(call)                                               \
    do {                                                          \
        int code_ = (call);                                       \
        for (int i_ = 0; i_ < TRIES_MAX && code_ < 0; i_++) {     \
            if (!is_nomem(code_)) {                               \
                fail_msg("%s: code %d: %s", #call, code_, error); \
            }                                                     \
            code_ = (call);                                       \
        }                                                         \
        assert_int_equal(code_, 0);                               \
    } while (0)

static void take_submitted(struct regfast_client *client, struct regfast_owner *owner)
{
    struct regfast_completion done = {.code = -EINPROGRESS};
    AGAIN(regfast_submit_match(client, "web", "k", 1, owner, owner, error, sizeof(error)));
    while (regfast_next(client, &done) == 0) {
        struct pollfd entry = {.fd = regfast_fd(client), .events = POLLIN};
        (void)poll(&entry, 1, regfast_timeout_ms(client));
        assert_true(regfast_process(client, error, sizeof(error)) >= 0);
    }
    assert_ptr_equal(done.user, owner);
    assert_true(done.code == 0 || is_nomem(done.code));
}

/* Returns whether the one allocation that should fail has been reached. The server is in this
 * process too, but has threads of its own. */
static bool run_scenario(size_t failing)
{
    const struct regfast_options options = {.size = sizeof(options), .discover = 1};
    struct regfast_client *client = NULL;
    struct regfast_watch *watch = NULL;
    struct regfast_owner owner;
    struct regfast_member_list *members;
    struct regfast_group_list *groups;
    struct regfast_info_list *info;
    failing_alloc_in = failing;
    AGAIN(regfast_open(served.addr, &options, &client, error, sizeof(error)));
    AGAIN(regfast_match(client, "web", "k", 1, &owner, error, sizeof(error)));
    AGAIN(regfast_watch(client, "web", &watch, error, sizeof(error)));
    if (regfast_watch_wait(watch, 0, WAIT_MS, error, sizeof(error)) < 0) {
        fail_msg("%s", error);
    }
    AGAIN(regfast_members(client, "web", &members, error, sizeof(error)));
    regfast_member_list_free(members);
    AGAIN(regfast_groups(client, &groups, error, sizeof(error)));
    regfast_group_list_free(groups);
    AGAIN(regfast_info(client, &info, error, sizeof(error)));
    regfast_info_list_free(info);
    take_submitted(client, &owner);
    AGAIN(regfast_watch_members(watch, &members, error, sizeof(error)));
    assert_int_equal(members->count, 4);
    regfast_member_list_free(members);
    regfast_watch_close(watch);
    regfast_close(client);
    bool is_reached = failing_alloc_in == 0;
    failing_alloc_in = 0;
    return is_reached;
}

static void client_survives_the_failure_of_any_allocation(void **state)
{
    (void)state;
    struct rf_error err;
    size_t failing = 1;
    failing_alloc_in = 0;
    served_check(served_start(&served, NULL, RF_IO_EPOLL, &err), &err);
    served_put_standard(&served);
    served_publish(&served);
    while (run_scenario(failing)) {
        failing++;
        assert_true(failing < SCENARIO_MAX);
    }
    assert_true(failing > 20); /* it has counted */
    served_stop(&served);
}

/* A client that discovers knows both registries in the end. Returns as run_scenario. */
static bool discover_both(size_t failing)
{
    const struct regfast_options options = {
        .size = sizeof(options), .discover = 1, .heartbeat_ms = HEARTBEAT_MS};
    struct regfast_client *client = NULL;
    failing_alloc_in = failing;
    AGAIN(regfast_open(served.addr, &options, &client, error, sizeof(error)));
    for (int i = 0; i < WAIT_MS / HEARTBEAT_MS && client->registries.count < 2; i++) {
        struct pollfd entry = {.fd = regfast_fd(client), .events = POLLIN};
        (void)poll(&entry, 1, HEARTBEAT_MS);
        assert_true(regfast_process(client, error, sizeof(error)) >= 0);
    }
    assert_int_equal(client->registries.count, 2);
    regfast_close(client);
    bool is_reached = failing_alloc_in == 0;
    failing_alloc_in = 0;
    return is_reached;
}

static void registries_are_discovered_when_there_is_memory_again(void **state)
{
    (void)state;
    struct rf_error err;
    size_t failing = 1;
    failing_alloc_in = 0;
    served_check(served_start(&served, NULL, RF_IO_EPOLL, &err), &err);
    served_put(&served, "registry-group", "r1", served.addr, 1, RF_MEMBER_ALIVE);
    served_put(&served, "registry-group", "r2", "127.0.0.1:1", 1, RF_MEMBER_ALIVE);
    served_publish(&served);
    while (discover_both(failing)) {
        failing++;
        assert_true(failing < SCENARIO_MAX);
    }
    assert_true(failing > 10);
    served_stop(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_survives_the_failure_of_any_allocation),
        cmocka_unit_test(registries_are_discovered_when_there_is_memory_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
