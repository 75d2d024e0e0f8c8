/* SPDX-License-Identifier: MIT
 *
 * sockets.h - the UDP socket and the TCP listener of a gossip node, on one port.
 */
#ifndef RF_GOSSIP_SOCKETS_H
#define RF_GOSSIP_SOCKETS_H

#include "core/address.h"
#include "core/error.h"

enum {
    RF_UDP_BUFFER_SIZE = 2 << 20, /* memberlist's udpRecvBufSize: a burst of a large cluster */
    RF_TCP_BACKLOG = 256,         /* twice the streams served at a time */
};

struct rf_gossip_sockets {
    int udp_fd; /* non-blocking; also sends, since old peers answer to a packet's source */
    int tcp_fd; /* non-blocking, listening */
    struct rf_address bound;
    int udp_buffer_size; /* what the system granted */
};

/*
 * Binds both. Port 0 takes one that is free for both.
 * Errors: -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE...: the text says what to do.
 */
RF_NODISCARD int rf_gossip_sockets_open(const struct rf_address *bind,
                                        struct rf_gossip_sockets *ret_sockets,
                                        struct rf_error *err);

void rf_gossip_sockets_close(struct rf_gossip_sockets *sockets);

#endif
