/* SPDX-License-Identifier: MIT
 *
 * address_index.h - which nodes are at an address: a chained hash table whose links are embedded in
 * the nodes. An IPv4 address and its mapped form are one place here.
 *
 * Addresses come from the network, so the hash is seeded. Several nodes may claim one address.
 */
#ifndef RF_GOSSIP_ADDRESS_INDEX_H
#define RF_GOSSIP_ADDRESS_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"

/* Part of the thing that is found; what is in it is the index's while the thing is there. */
struct rf_address_link {
    struct rf_address_link *next;
    struct rf_address place; /* unmapped; no address while it is not in an index */
};

struct rf_address_index {
    struct rf_address_link **buckets; /* a power of two of them; NULL before the first reserve */
    size_t buckets_count;
    size_t count;
    uint64_t seed;
};

void rf_address_index_init(struct rf_address_index *index, uint64_t seed);
void rf_address_index_fini(struct rf_address_index *index); /* the things stay */

/* Makes room for one more thing. False: out of memory. */
bool rf_address_index_reserve(struct rf_address_index *index);

/* Puts a thing, for which room was reserved, where `address` says; from wherever it was before. */
void rf_address_index_move(struct rf_address_index *index, struct rf_address_link *link,
                           const struct rf_address *address);

/* Takes a thing out; allowed if it is not in. */
void rf_address_index_remove(struct rf_address_index *index, struct rf_address_link *link);

/* Whether somebody is at that address. */
bool rf_address_index_has(const struct rf_address_index *index, const struct rf_address *address);

#endif
