/* SPDX-License-Identifier: MIT
 *
 * listener.h - the listening sockets of one port, one for each worker.
 */
#ifndef RF_NET_LISTENER_H
#define RF_NET_LISTENER_H

#include <stdint.h>

#include "core/error.h"

enum {
    /* Connections that wait to be accepted, for each worker; the system may allow fewer
     * (net.core.somaxconn, 4096 by default). */
    RF_LISTENER_BACKLOG = 4096,
    /* A peer that vanished without a word is found by keep-alive probes: after 60 s of silence
     * every 10 s, six times, the connection is closed after two minutes. */
    RF_LISTENER_KEEPALIVE_IDLE_S = 60,
    RF_LISTENER_KEEPALIVE_INTERVAL_S = 10,
    RF_LISTENER_KEEPALIVE_PROBES = 6,
    /* Bytes that the kernel holds for a peer whose window is full. Without it they grow to 4 MiB
     * (net.ipv4.tcp_wmem) for each one that does not read, and some hundred of those exhaust what
     * the machine has for all of its TCP. */
    RF_LISTENER_UNSENT_MAX = 64 * 1024,
    /* So long is waited for a port that is in use: the kernel closes what an io_uring has some
     * time after its process has ended, if that was killed, and who restarts it is faster. */
    RF_LISTENER_IN_USE_MS = 1000,
    RF_LISTENER_RETRY_MS = 10,
};

/*
 * Opens `count` sockets on "HOST:PORT"; the kernel spreads connections over them. They share
 * the port with each other, never with another process, not even with one that would share it.
 *
 * Ownership: descriptors are the caller's; -1 where there is none.
 * Errors:    -EINVAL, -EHOSTUNREACH the address; -EADDRINUSE, -EACCES, ...: "cannot listen on ...".
 * Cost:      may block to resolve a host name, and for RF_LISTENER_IN_USE_MS if the port is in use.
 */
RF_NODISCARD int rf_listeners_open(const char *addr, int *fds, unsigned count, uint16_t *ret_port,
                                   struct rf_error *err);

#endif
