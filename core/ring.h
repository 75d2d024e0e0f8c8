/* SPDX-License-Identifier: MIT
 *
 * ring.h - consistent-hash ring: which member owns a key. The definition is core/RING.md.
 *
 * A ring is an immutable value: built once, published inside a catalog, read by every worker
 * without a lock, retired as a whole. New membership is a new ring, usually made from the old one
 * by rf_ring_update. A lookup touches one cache line.
 *
 * Members are named by slot: a small number that a member keeps as long as it is in the ring and
 * its successors by rf_ring_update, so that lines can be copied unchanged. Slots say nothing about
 * order and differ between nodes; ids decide ties.
 * Method: "Consistent Hashing and Random Trees", STOC 1997, section 4; the layout is our own, see
 * core/RING.md.
 */
#ifndef RF_CORE_RING_H
#define RF_CORE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum {
    RF_RING_SLOTS_MAX = 65535,             /* members of one ring: a slot is 16 bits */
    RF_RING_POINTS_MAX = 64 * 1024 * 1024, /* of one ring, in all: about 1.2 GiB */
};

enum rf_placement {
    RF_PLACEMENT_V1,    /* XXH3, the first point at or after the hash */
    RF_PLACEMENT_CRC32, /* as the Go registry: the greatest point not above the hash */
};

struct rf_ring; /* private to ring*.c */

struct rf_ring_member {
    const char *id;    /* unique in the ring, NUL-terminated, not empty */
    uint32_t replicas; /* 1..RF_REPLICAS_MAX */
};

/* "v1", "crc32"; parse: -EINVAL names what is allowed. */
const char *rf_placement_name(enum rf_placement placement);
RF_NODISCARD int rf_placement_parse(const char *name, enum rf_placement *ret_placement,
                                    struct rf_error *err);

/* The hash of a key, as the lookups below want it. For crc32 it is the complement of the crc in the
 * upper 32 bits: in this form the first point at or after the hash owns it, as in v1. */
uint64_t rf_placement_hash(enum rf_placement placement, const void *key, size_t key_size);

/* The points `first`..`first` + `count` - 1 of a member, in the same form, in no order. */
void rf_placement_points(enum rf_placement placement, const char *id, uint32_t first, size_t count,
                         uint64_t *ret_points);

/*
 * Builds the ring of `members`, in any order, of which there is at least one; member i gets slot i.
 *
 * Ownership: ids are copied. The caller owns *ret_ring, ended by rf_ring_free; untouched on
 *            failure.
 * Errors:    -ERANGE too many members or points, or replicas out of range; -EEXIST an id twice;
 *            -ENOMEM.
 * Cost:      O(P) for P points, plus the sort of each line: not hot-path.
 */
RF_NODISCARD int rf_ring_build(enum rf_placement placement, const struct rf_ring_member *members,
                               size_t members_count, struct rf_ring **ret_ring,
                               struct rf_error *err);

/*
 * Makes the ring that has neither the members in `removed_slots` nor lacks those in `added`, by
 * copying the lines and patching those that change; it is rebuilt when the mean leaves 6 1/4..11
 * points a line, or when so much changes that this is faster. At least one member must remain.
 * `ring` is not changed. A member whose weight changes is removed and added. ret_slots[i]
 * (added_count of them, may be NULL if there are none) is the slot of added[i]; slots of the others
 * are kept, also by a rebuild.
 *
 * Errors: as rf_ring_build; a removed slot that is not in use is the caller's mistake.
 * Cost:   one copy of the ring and O(points added and removed).
 */
RF_NODISCARD int rf_ring_update(const struct rf_ring *ring, const uint16_t *removed_slots,
                                size_t removed_count, const struct rf_ring_member *added,
                                size_t added_count, uint16_t *ret_slots, struct rf_ring **ret_ring,
                                struct rf_error *err);

/*
 * The slot of the owner of `hash`.
 * Threads: any, as long as the ring lives. Cannot fail, allocate or block.
 * Cost:    one cache line; in one lookup of about 700 the points themselves too.
 */
uint16_t rf_ring_owner(const struct rf_ring *ring, uint64_t hash);

/* The same for many: lines are prefetched ahead, so it is faster from about 4 on. */
void rf_ring_owner_batch(const struct rf_ring *ring, const uint64_t *hashes, size_t count,
                         uint16_t *ret_slots);

/* Starts loading the line that `hash` will need. */
void rf_ring_prefetch(const struct rf_ring *ring, uint64_t hash);

/*
 * The first `count` distinct members at and after `hash`, the owner first. Returns how many there
 * are: `count`, or the number of members if that is less.
 * Cost: at most 64 points for each that is wanted are walked over; who has not been met by then is
 *       found by hashing its points again, which are few. From 1024 such members on, all points.
 */
size_t rf_ring_owners(const struct rf_ring *ring, uint64_t hash, size_t count, uint16_t *ret_slots);

/*
 * The first member at and after `hash` that `accepts`, which is asked with `user` and a slot,
 * perhaps several times of one. Returns whether there is one. Cost: a step of at most 4096 over
 * points, then, if it met none, who else is accepted is found by hashing the points of all such
 * members.
 */
bool rf_ring_owner_where(const struct rf_ring *ring, uint64_t hash,
                         bool (*accepts)(void *user, uint16_t slot), void *user,
                         uint16_t *ret_slot);

enum rf_placement rf_ring_placement(const struct rf_ring *ring);
size_t rf_ring_members_count(const struct rf_ring *ring);
size_t rf_ring_points_count(const struct rf_ring *ring);
size_t rf_ring_slots_count(const struct rf_ring *ring); /* slots are below this; some may be free */
size_t rf_ring_size(const struct rf_ring *ring);        /* bytes of memory, all told */

/* The member in a slot, or NULL if it is free. Lifetime: the ring's. */
const struct rf_ring_member *rf_ring_member(const struct rf_ring *ring, uint16_t slot);

/* How a line is searched. Answers are equal; a ring takes the last one that the CPU can run. */
enum rf_ring_form { RF_RING_SCALAR, RF_RING_SSE2, RF_RING_AVX2 };

/* "scalar", "sse2", "avx2". */
const char *rf_ring_form_name(enum rf_ring_form form);
enum rf_ring_form rf_ring_form_best(void);
enum rf_ring_form rf_ring_form(const struct rf_ring *ring);

/* For tests and benches, before other threads see `ring`: makes it use `form`. False, and nothing
 * changes, if this CPU or build has it not. */
RF_NODISCARD bool rf_ring_force_form(struct rf_ring *ring, enum rf_ring_form form);

/*
 * Frees a ring that no thread can see; NULL is allowed. While there are rings that were made from
 * it, or it from them, the block of a large one (from 4 MiB on) is kept for the next of them; one
 * block at most, until rf_ring_trim.
 * Threads: such rings are made, freed and trimmed by one thread at a time.
 */
void rf_ring_free(struct rf_ring *ring);
void rf_ring_trim(const struct rf_ring *ring);

/* Asserts every invariant of `ring`. O(P): for tests and debug builds. */
void rf_ring_check(const struct rf_ring *ring);

#endif
