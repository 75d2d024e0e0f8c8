/* SPDX-License-Identifier: MIT
 *
 * receiver.h - datagrams from a socket, many with one system call.
 *
 * Packets of a flood cost mostly the call that fetches them, so a batch is fetched at a time. The
 * buffers are for the largest datagram there is; pages that are never written are never there.
 *
 * Threads: the gossip thread's.
 */
#ifndef RF_GOSSIP_RECEIVER_H
#define RF_GOSSIP_RECEIVER_H

#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/error.h"
#include "gossip/packet.h"

enum { RF_RECEIVER_BATCH = 64 };

struct rf_datagram {
    struct rf_address from;
    const uint8_t *data; /* valid until the next fetch */
    size_t size;
};

struct rf_receiver; /* private to receiver.c */

/* Errors: -ENOMEM. */
RF_NODISCARD int rf_receiver_new(struct rf_receiver **ret_receiver, struct rf_error *err);
void rf_receiver_free(struct rf_receiver *receiver); /* NULL is allowed */

/*
 * Fetches what waits in the socket, at most RF_RECEIVER_BATCH, without blocking. Returns how many;
 * fewer than the batch: no more are there. Errors: -errno of the socket, never -EAGAIN.
 */
int rf_receiver_fetch(struct rf_receiver *receiver, int fd);

/* The datagram `index` of the last fetch. */
struct rf_datagram rf_receiver_datagram(const struct rf_receiver *receiver, int index);

/* How many datagrams the system dropped because the socket's buffer was full; 0 if it cannot say.
 */
uint32_t rf_receiver_lost_count(int fd);

#endif
