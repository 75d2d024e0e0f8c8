/* SPDX-License-Identifier: MIT */
#include "client/link.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/listener.h"

static struct rf_link link_;
static struct rf_error err;

/* As an event loop does: it polls the set, and only then the link is asked. */
static void connect_link(const struct rf_host_port *host_port)
{
    struct pollfd entry = {.fd = link_.epoll_fd, .events = POLLIN};
    assert_int_equal(rf_link_start(&link_, host_port, &err), 0);
    int code;
    while ((code = rf_link_step(&link_, rf_client_now_ns(), &err)) == 0) {
        assert_int_equal(poll(&entry, 1, -1), 1);
    }
    assert_int_equal(code, 1);
}

static void link_of_a_child_sends_though_that_of_its_parent_was_full(void **state)
{
    (void)state;
    static const uint8_t data[64 * 1024];
    struct rf_host_port host_port = {.host = "127.0.0.1"};
    int fds[2];
    assert_int_equal(rf_link_init(&link_, UINT64_C(60000000000), &err), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(rf_link_adopt(&link_, fds[0], &err), 0);
    while (rf_link_send(&link_, data, sizeof(data)) > 0) {
    }
    assert_true(link_.is_waiting_to_send);
    assert_int_equal(rf_link_after_fork(&link_, &err), 0);
    int listener = listen_on_loopback(&host_port.port);
    connect_link(&host_port);
    assert_int_equal(rf_link_send(&link_, data, 1), 1);
    rf_link_fini(&link_);
    (void)close(listener);
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_of_a_child_sends_though_that_of_its_parent_was_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
