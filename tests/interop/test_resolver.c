/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gossip/resolver.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void a_literal_address_is_there_at_once(void **state)
{
    (void)state;
    struct rf_host_port host_port = {.host = "127.0.0.9", .port = 7370};
    struct rf_lookup *lookup = NULL;
    assert_int_equal(rf_lookup_start(&host_port, -1, &lookup, NULL), 0);
    struct rf_address addresses[RF_LOOKUP_ADDRESSES_MAX];
    assert_int_equal(rf_lookup_take(lookup, addresses, NULL), 1);
    char text[RF_ADDRESS_TEXT_SIZE];
    assert_string_equal(rf_address_format(&addresses[0], text), "127.0.0.9:7370");
    rf_lookup_free(lookup);
}

static void a_literal_v6_address_is_there_at_once(void **state)
{
    (void)state;
    struct rf_host_port host_port = {.host = "::1", .port = 1};
    struct rf_lookup *lookup = NULL;
    assert_int_equal(rf_lookup_start(&host_port, -1, &lookup, NULL), 0);
    struct rf_address addresses[RF_LOOKUP_ADDRESSES_MAX];
    assert_int_equal(rf_lookup_take(lookup, addresses, NULL), 1);
    assert_int_equal(addresses[0].ip_size, 16);
    rf_lookup_free(lookup);
}

/* Waits for the descriptor and takes what came; the system's resolver decides how long. */
static int resolve(const char *host, struct rf_address *addresses, struct rf_error *err)
{
    struct rf_host_port host_port = {.port = 7370};
    strcpy(host_port.host, host);
    int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(event_fd >= 0);
    struct rf_lookup *lookup = NULL;
    assert_int_equal(rf_lookup_start(&host_port, event_fd, &lookup, err), 0);
    struct pollfd poll_fd = {.fd = event_fd, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, 30000), 1);
    int result = rf_lookup_take(lookup, addresses, err);
    rf_lookup_free(lookup);
    close(event_fd);
    return result;
}

static void a_name_is_resolved_on_another_thread(void **state)
{
    (void)state;
    struct rf_address addresses[RF_LOOKUP_ADDRESSES_MAX];
    struct rf_error err = {0};
    assert_true(resolve("localhost", addresses, &err) >= 1);
    assert_int_equal(addresses[0].port, 7370);
}

static void an_unknown_name_is_an_error_that_names_it(void **state)
{
    (void)state;
    struct rf_address addresses[RF_LOOKUP_ADDRESSES_MAX];
    struct rf_error err = {0};
    /* A label of 64 letters is not allowed in DNS: no server is asked. */
    char name[80];
    memset(name, 'a', 64);
    strcpy(name + 64, ".invalid");
    assert_true(resolve(name, addresses, &err) < 0);
    assert_non_null(strstr(err.text, "aaaa"));
}

static void a_lookup_that_nobody_wants_ends_by_itself(void **state)
{
    (void)state;
    struct rf_host_port host_port = {.host = "localhost", .port = 7370};
    int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct rf_lookup *lookup = NULL;
    assert_int_equal(rf_lookup_start(&host_port, event_fd, &lookup, NULL), 0);
    int watch_fd = dup(event_fd);
    close(event_fd);
    rf_lookup_free(lookup);
    /* The thread still writes to its own duplicate: then it is at its end, and frees. */
    struct pollfd poll_fd = {.fd = watch_fd, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, 30000), 1);
    close(watch_fd);
}

static void no_descriptor_is_an_error(void **state)
{
    (void)state;
    struct rf_host_port host_port = {.host = "localhost", .port = 7370};
    struct rf_lookup *lookup = NULL;
    struct rf_error err = {0};
    assert_int_equal(rf_lookup_start(&host_port, -1, &lookup, &err), -EBADF);
    assert_null(lookup);
    assert_non_null(strstr(err.text, "localhost"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_address_is_there_at_once),
        cmocka_unit_test(a_literal_v6_address_is_there_at_once),
        cmocka_unit_test(a_name_is_resolved_on_another_thread),
        cmocka_unit_test(an_unknown_name_is_an_error_that_names_it),
        cmocka_unit_test(a_lookup_that_nobody_wants_ends_by_itself),
        cmocka_unit_test(no_descriptor_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
