/* SPDX-License-Identifier: MIT
 *
 * roster_private.h - the writer's table of members, shared by roster.c (what is so now) and
 * roster_commit.c (the next catalog).
 */
#ifndef RF_CORE_ROSTER_PRIVATE_H
#define RF_CORE_ROSTER_PRIVATE_H

#include <stdbool.h>

#include "core/catalog.h"
#include "core/catalog_private.h"

/*
 * A member. What it is now stands in the upper half; the lower half says what the ring of the last
 * commit holds of it, which is what the next ring is made from. An entry that was in the last
 * commit and is gone since stays in its group's `entries` until the next one, for its slot.
 */
struct rf_roster_entry {
    struct rf_roster_entry *hash_next;
    uint64_t hash; /* of id */
    struct rf_roster_group *group;
    char *addr;
    uint32_t replicas;
    enum rf_member_state state;
    uint64_t digest;     /* as if it were in the ring */
    uint64_t changed;    /* the version of the commit that shows its last change first */
    uint64_t generation; /* of the last rf_roster_mark before it was put last */

    bool is_gone;
    bool is_fresh; /* came after the last commit: in `fresh`, not in `entries` */
    struct rf_roster_entry *fresh_prev;
    struct rf_roster_entry *fresh_next;

    bool in_ring; /* of the last commit */
    uint16_t slot;
    uint32_t ring_replicas;

    char id[];
};

struct rf_roster_group {
    /* Now. */
    size_t members_count;
    size_t alive_count;
    uint64_t points_count;
    uint64_t digest;
    bool is_dirty; /* touched since the last commit */
    struct rf_roster_entry *fresh;
    size_t fresh_count;

    /* In the last commit. */
    struct rf_group_block *committed; /* NULL: it was not in it */
    struct rf_roster_entry **entries; /* [i] is committed->group.members[i], or gone */
    size_t entries_count;

    /* While a commit is made, else NULL. */
    struct rf_group_block *next;
    struct rf_roster_entry **next_entries;

    size_t name_size;
    char name[];
};

struct rf_roster {
    enum rf_placement placement;
    struct rf_roster_entry **buckets; /* by id */
    size_t buckets_count;             /* a power of two */
    uint64_t hash_seed;

    /* Sorted by name; those without members are kept while they were in the last commit. */
    struct rf_roster_group **groups;
    size_t groups_count;
    size_t groups_capacity;
    size_t groups_used; /* with members */

    size_t members_count;
    size_t alive_count;
    uint64_t points_count;
    uint64_t generation;

    bool is_dirty;
    uint64_t version;               /* of the last commit; 0: none yet */
    struct rf_catalog_index *index; /* of the last commit */
};

/* Frees an entry that nothing refers to any more. */
void rf_roster_entry_free(struct rf_roster_entry *entry);

/* Frees a group that is not in `groups` any more, with all its entries. */
void rf_roster_group_free(struct rf_roster_group *group);

#endif
