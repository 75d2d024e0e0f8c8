/* SPDX-License-Identifier: MIT
 *
 * ring_owners.c - the first n distinct members at and after a hash.
 *
 * Walking round the ring finds them after some points for each, unless weights are uneven: a member
 * of one point among millions may be at the very end. So the walk is bounded, and who it has not
 * met is found from their own points, of which such members have few.
 */
#include <string.h>

#include "core/member.h"
#include "core/ring_private.h"

enum {
    SCAN_MAX = 32,        /* wanted members up to which all before are compared, without a set */
    WALK_PER_MEMBER = 64, /* points; of even weights, 1024 of 1024 members take 8 for each */
    REST_MAX = 1024,      /* members found from their own points: 16 KiB of stack */
    CHUNK_POINTS = 256,   /* hashed at a time, on the stack */
    WALK_WHERE = 4096,    /* who is not met by then has few points, and is found by them */
};

struct search {
    const struct rf_ring *ring;
    uint64_t hash;
    size_t wanted; /* at most the number of members */
    size_t found;
    uint16_t *slots; /* [wanted], the first `found` of them set */
    bool has_seen;
    uint64_t seen[RF_RING_SLOTS_MAX / 64 + 1]; /* a bit for each slot, if has_seen */
};

static bool is_found(const struct search *search, uint16_t slot)
{
    if (search->has_seen) {
        return (search->seen[slot / 64] >> slot % 64 & 1) != 0;
    }
    for (size_t i = 0; i < search->found; i++) {
        if (search->slots[i] == slot) {
            return true;
        }
    }
    return false;
}

static void add_found(struct search *search, uint16_t slot)
{
    if (search->has_seen) {
        search->seen[slot / 64] |= (uint64_t)1 << slot % 64;
    }
    search->slots[search->found++] = slot;
}

/* Goes over at most `points_max` points. */
static void walk(struct search *search, size_t points_max)
{
    const struct rf_ring *ring = search->ring;
    size_t at = rf_ring_first_point(ring, search->hash);
    for (size_t i = 0; i < points_max && search->found < search->wanted; i++, at++) {
        at = at < ring->points_count ? at : 0;
        uint16_t slot = ring->slots[at];
        if (!is_found(search, slot)) {
            add_found(search, slot);
        }
    }
}

/* ---- the rest ---- */

/* A member by its first point at or after the hash. */
struct candidate {
    uint64_t distance; /* from the hash, upwards and round */
    uint16_t slot;
};

static uint64_t first_distance(const struct rf_ring *ring, uint64_t hash, uint16_t slot)
{
    const struct rf_ring_member *member = &ring->members[slot];
    uint64_t distance = UINT64_MAX;
    uint64_t points[CHUNK_POINTS];
    for (uint32_t done = 0; done < member->replicas; done += CHUNK_POINTS) {
        uint32_t left = member->replicas - done;
        uint32_t count = left < CHUNK_POINTS ? left : CHUNK_POINTS;
        rf_placement_points(ring->placement, member->id, done, count, points);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t each = points[i] - hash; /* modulo 2^64, which is going round */
            distance = each < distance ? each : distance;
        }
    }
    return distance;
}

static bool is_nearer(const struct rf_ring *ring, const struct candidate *a,
                      const struct candidate *b)
{
    return rf_ring_point_is_before(ring->members, a->distance, a->slot, b->distance, b->slot);
}

/* Keeps the nearest of those not found, in order. */
static void find_rest(struct search *search)
{
    struct candidate nearest[REST_MAX];
    size_t wanted = search->wanted - search->found;
    size_t count = 0;
    for (size_t slot = 0; slot < search->ring->slots_count; slot++) {
        if (search->ring->members[slot].id == NULL || is_found(search, (uint16_t)slot)) {
            continue;
        }
        struct candidate candidate = {first_distance(search->ring, search->hash, (uint16_t)slot),
                                      (uint16_t)slot};
        if (count == wanted && !is_nearer(search->ring, &candidate, &nearest[count - 1])) {
            continue;
        }
        size_t at = count < wanted ? count++ : count - 1;
        for (; at > 0 && is_nearer(search->ring, &candidate, &nearest[at - 1]); at--) {
            nearest[at] = nearest[at - 1];
        }
        nearest[at] = candidate;
    }
    RF_ASSERT(count == wanted);
    for (size_t i = 0; i < count; i++) {
        add_found(search, nearest[i].slot);
    }
}

size_t rf_ring_owners(const struct rf_ring *ring, uint64_t hash, size_t count, uint16_t *ret_slots)
{
    struct search search;
    search.ring = ring;
    search.hash = hash;
    search.wanted = count < ring->members_count ? count : ring->members_count;
    search.found = 0;
    search.slots = ret_slots;
    search.has_seen = search.wanted > SCAN_MAX; /* 8 KiB, not worth clearing for a few */
    if (search.has_seen) {
        memset(search.seen, 0, (ring->slots_count / 64 + 1) * sizeof(search.seen[0]));
    }
    walk(&search, search.wanted * WALK_PER_MEMBER);
    if (search.wanted - search.found > REST_MAX) {
        walk(&search, ring->points_count); /* so many members: their points are everywhere */
    }
    if (search.found < search.wanted) {
        find_rest(&search);
    }
    RF_ASSERT(search.found == search.wanted);
    return search.found;
}

/* ---- the first of some ---- */

/* The nearest of all that are accepted. */
static bool find_where(const struct rf_ring *ring, uint64_t hash,
                       bool (*accepts)(void *user, uint16_t slot), void *user, uint16_t *ret_slot)
{
    struct candidate nearest = {0};
    bool is_found = false;
    for (size_t slot = 0; slot < ring->slots_count; slot++) {
        if (ring->members[slot].id == NULL || !accepts(user, (uint16_t)slot)) {
            continue;
        }
        struct candidate candidate = {first_distance(ring, hash, (uint16_t)slot), (uint16_t)slot};
        if (!is_found || is_nearer(ring, &candidate, &nearest)) {
            nearest = candidate;
            is_found = true;
        }
    }
    if (is_found) {
        *ret_slot = nearest.slot;
    }
    return is_found;
}

bool rf_ring_owner_where(const struct rf_ring *ring, uint64_t hash,
                         bool (*accepts)(void *user, uint16_t slot), void *user, uint16_t *ret_slot)
{
    size_t at = rf_ring_first_point(ring, hash);
    size_t points_max = ring->points_count < WALK_WHERE ? ring->points_count : WALK_WHERE;
    for (size_t i = 0; i < points_max; i++, at++) {
        at = at < ring->points_count ? at : 0;
        if (accepts(user, ring->slots[at])) {
            *ret_slot = ring->slots[at];
            return true;
        }
    }
    return points_max < ring->points_count && find_where(ring, hash, accepts, user, ret_slot);
}
