/* SPDX-License-Identifier: MIT
 *
 * go_peer.h - what ends a Go peer, or poisons it for good, and must not leave us: an oracle that
 * looks at every message that the machines make. It reads the bytes again, as a peer would, and
 * does not ask the code that wrote them.
 */
#ifndef RF_TESTS_GO_PEER_H
#define RF_TESTS_GO_PEER_H

#include <stdint.h>

#include "core/address.h"
#include "gossip/slice.h"

enum { GO_PEER_NAMES_MAX = 256 };

/* The addresses that a peer was told of, by name. Zeroed: none. */
struct go_peer_view {
    uint64_t names[GO_PEER_NAMES_MAX]; /* hashes */
    struct rf_address addresses[GO_PEER_NAMES_MAX];
    size_t count;
};

/*
 * A message as it goes into a packet (RF_OUTPUT_PACKET), compounds included, or the whole of one as
 * it goes into a stream (RF_OUTPUT_EXCHANGE, replies). `view` may be NULL.
 * Returns NULL: the peer lives; else what it dies of, or suffers from.
 */
const char *go_peer_dies_of_packet(struct go_peer_view *view, struct rf_slice message);
const char *go_peer_dies_of_stream(struct go_peer_view *view, struct rf_slice message);

/* Prints what it dies of with the bytes, and aborts. */
void go_peer_must_survive_packet(struct go_peer_view *view, const uint8_t *bytes, size_t size);
void go_peer_must_survive_stream(struct go_peer_view *view, const uint8_t *bytes, size_t size);

#endif
