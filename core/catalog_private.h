/* SPDX-License-Identifier: MIT
 *
 * catalog_private.h - what catalog.c and roster.c share: the parts of a catalog that several
 * catalogs refer to. The counts are plain numbers: only the writer's thread refers and frees.
 */
#ifndef RF_CORE_CATALOG_PRIVATE_H
#define RF_CORE_CATALOG_PRIVATE_H

#include "core/catalog.h"

/* A ring outlives the group for which it was made when only an address changes. */
struct rf_shared_ring {
    struct rf_ring *ring;
    size_t refs;
};

/* One allocation: this, the encoded owners and entries (first: each is a cache line), the members,
 * the slots, then the strings. */
struct rf_group_block {
    struct rf_group group;
    /* In a line of its own: every commit counts here, while readers read the lines above. */
    _Alignas(64) size_t refs;
    size_t size;                   /* bytes of the allocation, for rf_poison */
    struct rf_shared_ring *shared; /* NULL: no ring */
};

/* Name to position in rf_catalog.groups, by open addressing; shared while the names stay. */
struct rf_catalog_index {
    size_t refs;
    size_t mask; /* slots - 1; at most half of the slots are in use */
    struct rf_catalog_slot {
        uint32_t tag;      /* upper half of the name's hash: spares most comparisons */
        uint32_t position; /* + 1; 0: free */
    } slots[];
};

/* NULL is allowed in each. */
struct rf_shared_ring *rf_shared_ring_ref(struct rf_shared_ring *shared);
void rf_shared_ring_unref(struct rf_shared_ring *shared);
void rf_group_block_unref(struct rf_group_block *block);

/* An index of groups[0..count), or NULL: no memory. */
struct rf_catalog_index *rf_catalog_index_new(const struct rf_group *const *groups, size_t count);
void rf_catalog_index_unref(struct rf_catalog_index *index);

/* The callback of rf_published. */
void rf_catalog_free_published(struct rf_published *published);

#endif
