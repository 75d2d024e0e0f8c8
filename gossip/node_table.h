/* SPDX-License-Identifier: MIT
 *
 * node_table.h - the nodes that the SWIM machine knows (rule 10), by name and as a list from
 * which some are picked at random.
 */
#ifndef RF_GOSSIP_NODE_TABLE_H
#define RF_GOSSIP_NODE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/random.h"
#include "gossip/address_index.h"
#include "gossip/message.h"
#include "gossip/name_table.h"
#include "gossip/suspicion.h"

struct rf_node {
    struct rf_name_link link; /* first; the name, NUL-terminated, lies behind the struct */
    size_t list_index;
    struct rf_address address; /* as announced, never normalised; rf_node_table_set_address */
    struct rf_address_link address_link;
    uint8_t *meta; /* own copy, as announced; NULL when empty */
    uint16_t meta_size;
    uint8_t vsn[RF_VSN_SIZE];
    uint32_t incarnation;
    enum rf_node_state_type state;
    uint64_t state_change_ns;
    struct rf_suspicion *suspicion; /* runs while suspect, else NULL */
    uint64_t claim_at_ns;           /* not before is looked again whose the name is */
    uint64_t conflict_ns;           /* of the last input in which its name was at two addresses */
    uint64_t told_ns;               /* of the last in which it was told something alone */
    char name[];
};

static inline struct rf_node *rf_node_of(struct rf_name_link *link)
{
    return (struct rf_node *)link;
}

struct rf_node_table {
    struct rf_name_table names;
    struct rf_address_index addresses;
    struct rf_node **list; /* n entries in any state, this node included */
    size_t count;
    size_t capacity;
    size_t count_max;
    size_t state_counts[4]; /* by enum rf_node_state_type */
    uint64_t version;       /* changes whenever another set of nodes is alive or suspect */
};

void rf_node_table_init(struct rf_node_table *table, size_t count_max, uint64_t seed);
void rf_node_table_fini(struct rf_node_table *table);

struct rf_node *rf_node_table_find(const struct rf_node_table *table, struct rf_slice name);

/* All changes of address go through here. The new one is not empty. */
void rf_node_table_set_address(struct rf_node_table *table, struct rf_node *node,
                               const struct rf_address *address);

/* Whether a node of the table, in whatever state, is at that address. */
bool rf_node_table_has_address(const struct rf_node_table *table, const struct rf_address *address);

/*
 * Adds a node that is dead with incarnation 0, swapped into a random place of the list (10.1.4).
 * Returns NULL with *ret_code RF_ELIMIT (count_max is reached) or -ENOMEM.
 */
struct rf_node *rf_node_table_add(struct rf_node_table *table, struct rf_slice name,
                                  struct rf_random *random, int *ret_code);

/* Takes a node out and frees it. The last of the list takes its place. */
void rf_node_table_remove(struct rf_node_table *table, struct rf_node *node);

/* All changes of state go through here, which keeps the counts. */
void rf_node_table_set_state(struct rf_node_table *table, struct rf_node *node,
                             enum rf_node_state_type state, uint64_t now_ns);

/* Replaces the metadata. False: out of memory, the old one is kept. */
bool rf_node_set_meta(struct rf_node *node, struct rf_slice meta);

/*
 * Picks up to `picks_max` different nodes by at most 3 n draws, of those for which `is_wanted`
 * holds. Returns how many.
 */
size_t rf_node_table_pick(const struct rf_node_table *table, struct rf_random *random,
                          bool (*is_wanted)(const struct rf_node *node, const void *context),
                          const void *context, struct rf_node **ret_picks, size_t picks_max);

/* Asserts that list, names and counts agree. O(n). */
void rf_node_table_check(const struct rf_node_table *table);

#endif
