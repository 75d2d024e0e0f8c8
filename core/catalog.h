/* SPDX-License-Identifier: MIT
 *
 * catalog.h - all groups and their members at one moment: what the publisher publishes and the
 * workers read. Immutable; groups that did not change are shared with the catalog before.
 *
 * The roster is the writer's side: a mutable table of members from which the next catalog is
 * committed. One thread (the publisher) owns the roster and frees retired catalogs: what catalogs
 * share is counted without atomics. Versions, digests and lifetimes are explained in
 * core/CATALOG.md.
 */
#ifndef RF_CORE_CATALOG_H
#define RF_CORE_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/member.h"
#include "core/publish.h"
#include "core/ring.h"
#include "core/wire.h"

enum {
    RF_GROUPS_MAX = 65536,   /* bounds the name table; a group costs at least one gossip member */
    RF_MEMBERS_MAX = 262144, /* of all groups, remembered ones included: four full rings */
    RF_POINTS_MAX = 4 * RF_RING_POINTS_MAX, /* of all rings: four full ones, about 5 GiB */
    /* Forgotten ids that a group remembers. All of them fit a page of the binary protocol; who
     * missed more is given the whole list. */
    RF_FORGOTTEN_MAX = 128,
};

/* A member that is not remembered any more; it may have come back since. */
struct rf_forgotten {
    const char *id;
    uint64_t version; /* in which it was gone */
};

/* One group at one moment. */
struct rf_group {
    const char *name;
    size_t name_size; /* bytes, without the NUL */
    uint64_t version; /* of the catalog in which it last changed, on this node */
    uint64_t digest;  /* order-independent, of its members in the ring: equal on all nodes */
    const struct rf_ring *ring;      /* NULL: no member is in the ring */
    const struct rf_member *members; /* sorted by id; those left or failed are among them */
    size_t members_count;
    size_t alive_count;                     /* in the ring */
    const struct rf_member *const *by_slot; /* slot of the ring -> member; NULL for free slots */
    /* slot -> its member, encoded for replies to MATCH, and for the lists of the others; size 0 for
     * free slots and for members too long */
    const struct rf_wire_owner_short *owners;
    const struct rf_wire_owner_short *entries;
    /* What has changed after version v, for v >= since: the members whose `changed` is greater
     * than v, and the forgotten ones whose `version` is. */
    uint64_t since;
    const uint64_t *changed;              /* [i]: the version in which members[i] last changed */
    const struct rf_forgotten *forgotten; /* by version, ascending */
    size_t forgotten_count;
};

struct rf_catalog {
    struct rf_published published; /* first: a catalog is what is published */
    uint64_t version;              /* counts up on this node, from 1 */
    uint64_t digest; /* of placement and all members in rings: equal digests mean equal answers */
    enum rf_placement placement;
    const struct rf_group *const *groups; /* sorted by name */
    size_t groups_count;
    size_t members_count; /* all groups, remembered ones included */
    size_t alive_count;
    struct rf_catalog_index *index; /* private: name -> group */
};

/* The group of that name, or NULL. Lifetime: the epoch section's. Never allocates or blocks. */
const struct rf_group *rf_catalog_group(const struct rf_catalog *catalog, const char *name,
                                        size_t name_size);

/* The member that owns `hash`, or NULL if the group has none in its ring. */
static inline const struct rf_member *rf_group_owner(const struct rf_group *group, uint64_t hash)
{
    return group->ring == NULL ? NULL : group->by_slot[rf_ring_owner(group->ring, hash)];
}

/* The published value as a catalog. */
static inline const struct rf_catalog *rf_catalog_of(const struct rf_published *published)
{
    return (const struct rf_catalog *)published;
}

/* Frees a catalog that was never published; NULL is allowed. Threads: the writer's. */
void rf_catalog_free(struct rf_catalog *catalog);

/* Asserts every invariant of `catalog`, digests included, but not those of its rings. O(members):
 * for tests and debug builds. Threads: any, in a section. */
void rf_catalog_check(const struct rf_catalog *catalog);
void rf_group_check(const struct rf_group *group, enum rf_placement placement);

struct rf_roster; /* private to roster.c */

RF_NODISCARD int rf_roster_new(enum rf_placement placement, struct rf_roster **ret_roster,
                               struct rf_error *err);
void rf_roster_free(struct rf_roster *roster); /* catalogs live on */

/*
 * Inserts or replaces the member of that id, in whatever group it was. Strings are copied.
 * Returns 1 if something changed, 0 if it was so already.
 * Errors: RF_ELIMIT a limit above, or the ring's; -EINVAL a member that rf_member_check refuses;
 *         -ENOMEM. The roster is as before: a member that was known stays what it was.
 */
RF_NODISCARD int rf_roster_put(struct rf_roster *roster, const struct rf_member *member,
                               struct rf_error *err);

/*
 * Gives the member of that id another state. Returns 1 if something changed, 0 if it was so already
 * or there is no such member. Errors: RF_ELIMIT as rf_roster_put; the roster is as before.
 */
RF_NODISCARD int rf_roster_set_state(struct rf_roster *roster, const char *id,
                                     enum rf_member_state state, struct rf_error *err);

/* Forgets the member of that id. Returns 1 if there was one, else 0. */
int rf_roster_remove(struct rf_roster *roster, const char *id);

/* Members in it, remembered ones included. */
size_t rf_roster_members_count(const struct rf_roster *roster);

/* The member of that id, in whatever state. False if there is none. Lifetime: until the roster
 * changes. */
bool rf_roster_find(const struct rf_roster *roster, const char *id, struct rf_member *ret_member);

/* What the next commit will say of a group; zeros if nobody is in it. */
struct rf_roster_sums {
    uint64_t digest;
    size_t members_count;
    size_t alive_count; /* in the ring */
};

struct rf_roster_sums rf_roster_sums(const struct rf_roster *roster, const char *group);

/*
 * For resync: forgets every member that no rf_roster_put has named since rf_roster_mark; one that
 * was refused for a limit or for want of memory has named it too. rf_roster_sweep returns how many
 * were forgotten.
 */
void rf_roster_mark(struct rf_roster *roster);
size_t rf_roster_sweep(struct rf_roster *roster);

/*
 * Makes the next catalog: groups touched since the last commit are rebuilt, the others shared. The
 * ring of a touched group is updated from the one before if a member or a weight in it changed,
 * and shared if only addresses or states did. *ret_catalog is NULL if nothing changed. The first
 * commit always makes one. Returns 0; or 1 if there was no memory for some of the touched groups,
 * the last of which `err` names: they are in the catalog as they were before, and their changes
 * stay pending.
 *
 * Ownership: the caller owns it and hands it to rf_publish. It may outlive the roster.
 * Errors:    -ENOMEM no catalog; all changes stay pending, a later commit may succeed.
 * Cost:      O(groups), plus O(members) and a copy of the ring for each touched group.
 */
RF_NODISCARD int rf_roster_commit(struct rf_roster *roster, struct rf_catalog **ret_catalog,
                                  struct rf_error *err);

/* Gives back the memory that freed rings have left for the next ones: see rf_ring_free. To be
 * called when there has been no change for RF_ROSTER_TRIM_AFTER_MS, so that none wants it. */
enum { RF_ROSTER_TRIM_AFTER_MS = 1000 };
void rf_roster_trim(struct rf_roster *roster);

#endif
