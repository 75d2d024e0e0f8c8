/* SPDX-License-Identifier: MIT
 *
 * snapshot.h - what a node remembers of its cluster over a restart, and the records it is kept in.
 *
 * A snapshot is a row of records, each with its own CRC; later ones overrule earlier ones, so a
 * file of them is kept by appending, and made small again by writing a whole one anew. A record
 * that is cut or flipped is passed over byte by byte until the next sound one: damage costs the
 * records it is in and none beside. Nothing here can make a node wrong, only slower to find the
 * others.
 *
 *     marker d7 | type u8 | payload size u16 | payload | CRC-32 of all before u32 (little-endian)
 *
 *     1 self    incarnation u32, name
 *     2 clocks  member, event and query time, u64 each
 *     3 member  1 alive or 0 failed u8, port u16, ip size (4 or 16) u8, ip, name
 *     4 forget  name
 *
 * Records of other types are passed over, so that an older program can read what a newer one wrote.
 *
 * Pure: no file, clock or thread. Machines are restored by rf_serf_config.restore (serf.h).
 */
#ifndef RF_GOSSIP_SNAPSHOT_H
#define RF_GOSSIP_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "gossip/contacts.h"
#include "gossip/message.h"

enum {
    /* head, the longest payload (a member with 16 bytes of ip), CRC */
    RF_SNAPSHOT_RECORD_SIZE_MAX = 4 + 20 + RF_GOSSIP_NAME_SIZE_MAX + 4,
    /* What is read at most: twice a whole snapshot of RF_CONTACTS_MAX, and what follows it. */
    RF_SNAPSHOT_SIZE_MAX = 64 << 20,
};

/* Lamport times as of serf.h; 0: not known. */
struct rf_snapshot_clocks {
    uint64_t member_time;
    uint64_t event_time;
    uint64_t query_time;
};

struct rf_snapshot {
    char name[RF_GOSSIP_NAME_SIZE_MAX + 1]; /* of the node that wrote it; empty: not known */
    uint32_t incarnation;                   /* the last one that node used; 0: not known */
    struct rf_snapshot_clocks clocks;
    struct rf_contacts contacts; /* members that were alive or had failed; not the node itself */
    size_t records_count;        /* sound ones */
    size_t skipped_size;         /* bytes that were in none */
    size_t dropped_count;        /* members beyond RF_CONTACTS_MAX */
};

/* Empty: nothing is known. Ends by fini. */
void rf_snapshot_init(struct rf_snapshot *snapshot, uint64_t seed);
void rf_snapshot_fini(struct rf_snapshot *snapshot);

/*
 * Applies the records in `bytes`, in order; any bytes will do. More is taken of no more than
 * RF_CONTACTS_MAX members. Borrowed for the call.
 * Errors: -ENOMEM: what came before is applied. Cost: O(size).
 */
RF_NODISCARD int rf_snapshot_read(struct rf_snapshot *snapshot, struct rf_slice bytes);

/*
 * Each writes one record to `at` and returns its size. Names are 1..RF_GOSSIP_NAME_SIZE_MAX bytes,
 * addresses have an ip and a port.
 */
size_t rf_snapshot_put_self(uint8_t at[RF_SNAPSHOT_RECORD_SIZE_MAX], struct rf_slice name,
                            uint32_t incarnation);
size_t rf_snapshot_put_clocks(uint8_t at[RF_SNAPSHOT_RECORD_SIZE_MAX],
                              const struct rf_snapshot_clocks *clocks);
size_t rf_snapshot_put_member(uint8_t at[RF_SNAPSHOT_RECORD_SIZE_MAX], struct rf_slice name,
                              const struct rf_address *address, bool is_alive);
size_t rf_snapshot_put_forget(uint8_t at[RF_SNAPSHOT_RECORD_SIZE_MAX], struct rf_slice name);

#endif
