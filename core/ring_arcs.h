/* SPDX-License-Identifier: MIT
 *
 * ring_arcs.h - how much of the circle is whose: shares of members, what moves from one ring to
 * another, and where a key lies. All is exact, from the points; nothing is sampled.
 *
 * Amounts are positions of the circle's 2^64. All of them do not fit 64 bits. The circle of crc32
 * has 2^32, each of which counts as 2^32 of these, so that shares are right there too.
 */
#ifndef RF_CORE_RING_ARCS_H
#define RF_CORE_RING_ARCS_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/ring.h"

#define RF_RING_POSITIONS ((unsigned __int128)1 << 64) /* of the whole circle */

enum { RF_RING_NOBODY = UINT16_MAX }; /* no slot of any ring */

/*
 * How much each slot owns: ret_positions[rf_ring_slots_count(ring)], 0 for free slots.
 * Cost: O(points).
 */
void rf_ring_shares(const struct rf_ring *ring, unsigned __int128 *ret_positions);

/* What the member in slot `from` of the ring before has to give to the one in slot `to` of the ring
 * after. */
struct rf_ring_move {
    unsigned __int128 positions; /* at least 1 */
    uint16_t from;               /* RF_RING_NOBODY if there was no ring before */
    uint16_t to;                 /* likewise */
};

/*
 * What moves when `before` becomes `after`: each pair once, those that move most first. Either may
 * be NULL: nobody is in that ring. Members are told by their ids; both rings have one placement.
 *
 * Ownership: *ret_moves ends by free(); untouched on failure. NULL if nothing moves.
 * Errors:    -ENOMEM.
 * Cost:      O(points of both), and 32 to 128 bytes for each pair.
 */
RF_NODISCARD int rf_ring_diff(const struct rf_ring *before, const struct rf_ring *after,
                              struct rf_ring_move **ret_moves, size_t *ret_moves_count,
                              struct rf_error *err);

/* Where a hash lies. */
struct rf_ring_place {
    uint64_t line; /* of lines_count: says how, and not who; it depends on the ring's past */
    uint64_t lines_count;
    uint64_t point;       /* the first one at or after the hash */
    uint32_t line_points; /* points of that line */
    uint32_t number;      /* which of its member's points that is; of equal ones the first */
    uint16_t residue;     /* of the hash in its line */
    uint16_t slot;        /* the owner */
};

/* Cost: hashes the owner's points again. */
void rf_ring_locate(const struct rf_ring *ring, uint64_t hash, struct rf_ring_place *ret_place);

#endif
