/* SPDX-License-Identifier: MIT
 *
 * listener.h - for tests that are the other end of a connection themselves. Include it after
 * cmocka.h.
 */
#ifndef RF_TESTS_SUPPORT_LISTENER_H
#define RF_TESTS_SUPPORT_LISTENER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/* Listens on a free TCP port of 127.0.0.1. Returns the descriptor. */
static inline int listen_on_loopback(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return listener;
}

#endif
