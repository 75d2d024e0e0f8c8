/* SPDX-License-Identifier: MIT
 *
 * ring_private.h - the layout of a ring, for ring*.c, ring_inline.h and nobody else. Why it is so:
 * core/RING.md.
 */
#ifndef RF_CORE_RING_PRIVATE_H
#define RF_CORE_RING_PRIVATE_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "core/assert.h"
#include "core/ring.h"

enum {
    RF_RING_LINE_SIZE = 64,   /* a cache line of every CPU we run on */
    RF_RING_LINE_POINTS = 15, /* that fit in a line */
    RF_RING_MEAN_POINTS = 8,  /* of a line, as built: 5 to 12 were tried, 8 is near the best */
};

/*
 * The points of one of lines_count equal parts of the circle. Points beyond the fifteenth are not
 * in the line: who lies behind the fifteenth is sent to the cold arrays.
 */
struct rf_ring_line {
    alignas(RF_RING_LINE_SIZE) uint16_t residues[RF_RING_LINE_POINTS]; /* ascending; then
                                                                          UINT16_MAX */
    uint16_t points_count; /* of this part of the circle; UINT16_MAX: that or more */
    /* [i]: owner of keys behind residue i - 1 and at or before residue i. Those of absent points
     * are the owner that follows the line, so slots[0] answers for an empty line too. */
    uint16_t slots[RF_RING_LINE_POINTS + 1];
};

static_assert(sizeof(struct rf_ring_line) == RF_RING_LINE_SIZE, "a line is a cache line");

struct rf_ring_family; /* private to ring_memory.c */

/*
 * One block of memory: this, then the arrays. Points are ordered by hash, then by id of the member
 * (memcmp, then length), and those of line k are hashes[offsets[k]] up to hashes[offsets[k + 1]],
 * exclusive. `hashes`, `slots` and `offsets` are the cold arrays.
 */
struct rf_ring {
    const struct rf_ring_line *lines;
    uint64_t lines_count;
    enum rf_ring_form form;
    enum rf_placement placement;
    const uint32_t *offsets; /* [lines_count + 1] */
    const uint64_t *hashes;  /* [points_count] */
    const uint16_t *slots;   /* [points_count] */
    size_t points_count;
    const struct rf_ring_member *members; /* [slots_count]; id == NULL: free */
    size_t members_count;
    size_t slots_count;
    struct rf_ring_family *family; /* shared with the rings that this was made from, or from it */
    size_t size;                   /* of the block */
};

/* Sorted points that do not make a ring: those that an update adds or removes. */
struct rf_ring_points {
    uint64_t *hashes;
    uint16_t *slots;
    size_t count;
};

/* The line of a position, and how far into it: the 16 bits after those that tell the line. */
static inline uint64_t rf_ring_line_of(const struct rf_ring *ring, uint64_t hash,
                                       uint16_t *ret_residue)
{
    unsigned __int128 product = (unsigned __int128)hash * ring->lines_count;
    *ret_residue = (uint16_t)((uint64_t)product >> 48);
    return (uint64_t)(product >> 64);
}

/* The owner where the line cannot tell it: see rf_ring_line_is_unsure. */
__attribute__((noinline, cold)) uint16_t rf_ring_owner_exact(const struct rf_ring *ring,
                                                             const struct rf_ring_line *line,
                                                             uint64_t hash, unsigned before_count);

/* The index of the first point at or after `hash`, wrapping; from the cold arrays. */
size_t rf_ring_first_point(const struct rf_ring *ring, uint64_t hash);

/* Whether point (hash_a, slot_a) is before (hash_b, slot_b): by hash, then by id. */
bool rf_ring_point_is_before(const struct rf_ring_member *members, uint64_t hash_a, uint16_t slot_a,
                             uint64_t hash_b, uint16_t slot_b);

void rf_ring_points_sort(const struct rf_ring_member *members, uint64_t *hashes, uint16_t *slots,
                         size_t count);

/*
 * A ring with its members and room for their points, nothing placed yet. `members` is
 * [slots_count], free slots have no id; ids are copied. `kin` is the ring that it is made from, or
 * NULL. Errors: -ERANGE, -ENOMEM.
 */
RF_NODISCARD int rf_ring_new(enum rf_placement placement, const struct rf_ring_member *members,
                             size_t slots_count, uint64_t lines_count, const struct rf_ring *kin,
                             struct rf_ring **ret_ring, struct rf_error *err);

/* Places all points of all members. Errors: -EEXIST. */
RF_NODISCARD int rf_ring_fill(struct rf_ring *ring, struct rf_error *err);

/* Sums up replicas. Errors: -ERANGE too many members or points, or replicas out of range. */
RF_NODISCARD int rf_ring_count_points(const struct rf_ring_member *members, size_t slots_count,
                                      size_t *ret_points_count, struct rf_error *err);

uint64_t rf_ring_lines_for(size_t points_count);

/* -EEXIST if two members have one id, which shows as equal points: points [first, end) only. */
RF_NODISCARD int rf_ring_refuse_twins(const struct rf_ring *ring, size_t first, size_t end,
                                      struct rf_error *err);

/* Line k as the cold arrays say it must be. Its neighbours' points must be placed. */
void rf_ring_line_make(const struct rf_ring *ring, uint64_t k, struct rf_ring_line *ret_line);

#endif
