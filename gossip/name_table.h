/* SPDX-License-Identifier: MIT
 *
 * name_table.h - finds things by name: a chained hash table whose links are embedded in the things.
 *
 * Names come from the network, so the hash is seeded: nobody outside can aim for one chain. The
 * table never orders anything, and so it cannot make a run depend on addresses.
 */
#ifndef RF_GOSSIP_NAME_TABLE_H
#define RF_GOSSIP_NAME_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gossip/slice.h"

/* First in the thing it belongs to. */
struct rf_name_link {
    struct rf_name_link *next;
    uint64_t hash;
    struct rf_slice name; /* borrowed from the thing */
};

struct rf_name_table {
    struct rf_name_link **buckets; /* a power of two of them; NULL before the first insert */
    size_t buckets_count;
    size_t count;
    uint64_t seed;
};

/* The hash the tables use, for those who need only a fingerprint of a name. */
uint64_t rf_name_hash(uint64_t seed, struct rf_slice name);

void rf_name_table_init(struct rf_name_table *table, uint64_t seed);
void rf_name_table_fini(struct rf_name_table *table); /* the things stay */

/* The thing of that name, or NULL. */
struct rf_name_link *rf_name_table_find(const struct rf_name_table *table, struct rf_slice name);

/* Inserts a thing whose link->name is set and not in the table. False: out of memory. */
bool rf_name_table_insert(struct rf_name_table *table, struct rf_name_link *link);

/* Removes a thing that is in the table. */
void rf_name_table_remove(struct rf_name_table *table, struct rf_name_link *link);

#endif
