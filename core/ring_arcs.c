/* SPDX-License-Identifier: MIT
 *
 * ring_arcs.c - walks over the points of one ring, or of two at once.
 *
 * An arc is what lies behind one point up to and including the next: all of it has one owner. The
 * points of two rings together cut the circle into arcs that have one owner in each.
 */
#include "core/ring_arcs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/ring_private.h"

enum {
    PAIRS_CAPACITY_MIN = 64,
    CHUNK_POINTS = 256, /* hashed at a time, on the stack */
};

/* Pairs and how much moves, in a hash table that is never more than half full. */
struct pairs {
    struct rf_ring_move *moves; /* [capacity]; positions == 0: free */
    size_t capacity;            /* a power of two */
    size_t count;
};

/* ---- pairs ---- */

static size_t find_pair(const struct pairs *pairs, uint16_t from, uint16_t to)
{
    /* Fibonacci hashing: the upper bits of the product are those that all lower ones reach. */
    uint64_t key = (uint64_t)from << 16 | to;
    size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (pairs->capacity - 1);
    while (pairs->moves[at].positions != 0 &&
           (pairs->moves[at].from != from || pairs->moves[at].to != to)) {
        at = (at + 1) & (pairs->capacity - 1);
    }
    return at;
}

static bool grow_pairs(struct pairs *pairs)
{
    struct pairs larger = {.capacity = pairs->capacity == 0 ? (size_t)PAIRS_CAPACITY_MIN
                                                            : 2 * pairs->capacity,
                           .count = pairs->count};
    larger.moves = calloc(larger.capacity, sizeof(larger.moves[0]));
    if (larger.moves == NULL) {
        return false;
    }
    for (size_t i = 0; i < pairs->capacity; i++) {
        if (pairs->moves[i].positions != 0) {
            larger.moves[find_pair(&larger, pairs->moves[i].from, pairs->moves[i].to)] =
                pairs->moves[i];
        }
    }
    free(pairs->moves);
    *pairs = larger;
    return true;
}

static bool add_to_pair(struct pairs *pairs, uint16_t from, uint16_t to,
                        unsigned __int128 positions)
{
    if (2 * (pairs->count + 1) > pairs->capacity && !grow_pairs(pairs)) {
        return false;
    }
    struct rf_ring_move *move = &pairs->moves[find_pair(pairs, from, to)];
    pairs->count += move->positions == 0 ? 1 : 0;
    move->from = from;
    move->to = to;
    move->positions += positions;
    return true;
}

static int compare_moves(const void *a, const void *b)
{
    const struct rf_ring_move *x = a;
    const struct rf_ring_move *y = b;
    if (x->positions != y->positions) {
        return x->positions > y->positions ? -1 : 1;
    }
    return x->from != y->from ? (int)x->from - y->from : (int)x->to - y->to;
}

/* The used ones to the front, in order. */
static void sort_pairs(struct pairs *pairs)
{
    size_t used = 0;
    for (size_t i = 0; i < pairs->capacity; i++) {
        if (pairs->moves[i].positions != 0) {
            pairs->moves[used++] = pairs->moves[i];
        }
    }
    RF_ASSERT(used == pairs->count);
    if (used > 0) {
        qsort(pairs->moves, used, sizeof(pairs->moves[0]), compare_moves);
    }
}

/* ---- who is who ---- */

static int compare_members(const void *a, const void *b)
{
    const struct rf_ring_member *const *x = a;
    const struct rf_ring_member *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

/* The members by id; NULL: no memory. */
static const struct rf_ring_member **sort_members(const struct rf_ring *ring)
{
    const struct rf_ring_member **members = malloc(ring->members_count * sizeof(const void *));
    size_t count = 0;
    for (size_t slot = 0; members != NULL && slot < ring->slots_count; slot++) {
        if (ring->members[slot].id != NULL) {
            members[count++] = &ring->members[slot];
        }
    }
    if (members != NULL) {
        qsort(members, count, sizeof(const void *), compare_members);
    }
    return members;
}

/* Fills ret_slots[slot after] with that member's slot before, or RF_RING_NOBODY. */
static bool map_slots(const struct rf_ring *before, const struct rf_ring *after,
                      uint16_t *ret_slots)
{
    const struct rf_ring_member **olds = sort_members(before);
    const struct rf_ring_member **news = sort_members(after);
    bool has_memory = olds != NULL && news != NULL;
    size_t old_at = 0;
    for (size_t i = 0; has_memory && i < after->members_count; i++) {
        while (old_at < before->members_count && strcmp(olds[old_at]->id, news[i]->id) < 0) {
            old_at++;
        }
        bool is_same = old_at < before->members_count && strcmp(olds[old_at]->id, news[i]->id) == 0;
        ret_slots[news[i] - after->members] =
            is_same ? (uint16_t)(olds[old_at] - before->members) : (uint16_t)RF_RING_NOBODY;
    }
    free((void *)olds);
    free((void *)news);
    return has_memory;
}

/* ---- walking ---- */

/* A place among the points of a ring, which may be absent. */
struct walk {
    const struct rf_ring *ring;
    size_t at;
};

static bool is_at_end(const struct walk *walk)
{
    return walk->ring == NULL || walk->at == walk->ring->points_count;
}

static uint16_t owner_at(const struct walk *walk)
{
    if (walk->ring == NULL) {
        return RF_RING_NOBODY;
    }
    return walk->ring->slots[is_at_end(walk) ? 0 : walk->at];
}

static void pass(struct walk *walk, uint64_t position)
{
    while (!is_at_end(walk) && walk->ring->hashes[walk->at] == position) {
        walk->at++;
    }
}

/* The next point of either. */
static uint64_t next_position(const struct walk *a, const struct walk *b)
{
    uint64_t in_a = is_at_end(a) ? UINT64_MAX : a->ring->hashes[a->at];
    uint64_t in_b = is_at_end(b) ? UINT64_MAX : b->ring->hashes[b->at];
    return in_a < in_b ? in_a : in_b;
}

static uint64_t last_position(const struct rf_ring *a, const struct rf_ring *b)
{
    uint64_t in_a = a == NULL ? 0 : a->hashes[a->points_count - 1];
    uint64_t in_b = b == NULL ? 0 : b->hashes[b->points_count - 1];
    return in_a > in_b ? in_a : in_b;
}

/* The first arc begins behind the last point; where that is the only position, it is the circle. */
static unsigned __int128 arc_size(uint64_t previous, uint64_t position)
{
    return position == previous ? RF_RING_POSITIONS : (unsigned __int128)(position - previous);
}

/* Adds up what differs. `same` tells for each slot after which one it was before. */
static bool find_moves(const struct rf_ring *before, const struct rf_ring *after,
                       const uint16_t *same, struct pairs *pairs)
{
    struct walk old_walk = {before, 0};
    struct walk new_walk = {after, 0};
    uint64_t previous = last_position(before, after);
    while (!is_at_end(&old_walk) || !is_at_end(&new_walk)) {
        uint64_t position = next_position(&old_walk, &new_walk);
        uint16_t from = owner_at(&old_walk);
        uint16_t to = owner_at(&new_walk);
        uint16_t was = to == RF_RING_NOBODY || same == NULL ? (uint16_t)RF_RING_NOBODY : same[to];
        if ((was != from || from == RF_RING_NOBODY) &&
            !add_to_pair(pairs, from, to, arc_size(previous, position))) {
            return false;
        }
        pass(&old_walk, position);
        pass(&new_walk, position);
        previous = position;
    }
    return true;
}

/* ---- public ---- */

void rf_ring_shares(const struct rf_ring *ring, unsigned __int128 *ret_positions)
{
    memset(ret_positions, 0, ring->slots_count * sizeof(ret_positions[0]));
    struct walk walk = {ring, 0};
    uint64_t previous = last_position(ring, NULL);
    while (!is_at_end(&walk)) {
        uint64_t position = ring->hashes[walk.at];
        ret_positions[owner_at(&walk)] += arc_size(previous, position);
        pass(&walk, position);
        previous = position;
    }
}

int rf_ring_diff(const struct rf_ring *before, const struct rf_ring *after,
                 struct rf_ring_move **ret_moves, size_t *ret_moves_count, struct rf_error *err)
{
    RF_ASSERT(before == NULL || after == NULL || before->placement == after->placement);
    struct pairs pairs = {0};
    uint16_t *same = NULL;
    bool has_memory = true;
    if (before != NULL && after != NULL) {
        same = malloc(after->slots_count * sizeof(same[0]));
        has_memory = same != NULL && map_slots(before, after, same);
    }
    has_memory = has_memory && find_moves(before, after, same, &pairs);
    free(same);
    if (!has_memory) {
        free(pairs.moves);
        return rf_error_set(err, -ENOMEM, "difference of two rings: out of memory");
    }
    sort_pairs(&pairs);
    *ret_moves = pairs.moves;
    *ret_moves_count = pairs.count;
    return 0;
}

/* Which of a member's points lies there. */
static uint32_t number_of(const struct rf_ring *ring, uint16_t slot, uint64_t point)
{
    const struct rf_ring_member *member = &ring->members[slot];
    for (uint32_t first = 0; first < member->replicas; first += CHUNK_POINTS) {
        uint64_t chunk[CHUNK_POINTS];
        uint32_t left = member->replicas - first;
        uint32_t count = left < CHUNK_POINTS ? left : CHUNK_POINTS;
        rf_placement_points(ring->placement, member->id, first, count, chunk);
        for (uint32_t i = 0; i < count; i++) {
            if (chunk[i] == point) {
                return first + i;
            }
        }
    }
    RF_ASSERT(!"a point of this member");
    return 0;
}

void rf_ring_locate(const struct rf_ring *ring, uint64_t hash, struct rf_ring_place *ret_place)
{
    size_t first = rf_ring_first_point(ring, hash);
    struct rf_ring_place place = {
        .lines_count = ring->lines_count,
        .point = ring->hashes[first],
        .slot = ring->slots[first],
    };
    place.line = rf_ring_line_of(ring, hash, &place.residue);
    place.line_points = ring->offsets[place.line + 1] - ring->offsets[place.line];
    place.number = number_of(ring, place.slot, place.point);
    RF_ASSERT(place.slot == rf_ring_owner(ring, hash));
    *ret_place = place;
}
