/* SPDX-License-Identifier: MIT
 *
 * ring.c - building a ring, and what it says about itself. Its memory is ring_memory.c, looking up
 * ring_lookup.c, making one ring from another ring_update.c.
 */
#include "core/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/member.h"
#include "core/ring_private.h"

enum {
    CHUNK_POINTS = 256,      /* hashed at a time, on the stack */
    INSERTION_SORT_MAX = 32, /* points; about where a heap gets faster */
};

static_assert((uint64_t)RF_RING_POINTS_MAX <= UINT32_MAX, "offsets are 32 bits");
static_assert(RF_RING_SLOTS_MAX <= UINT16_MAX, "a slot is 16 bits");

uint64_t rf_ring_lines_for(size_t points_count)
{
    size_t lines_count = (points_count + RF_RING_MEAN_POINTS / 2) / RF_RING_MEAN_POINTS;
    return lines_count > 0 ? lines_count : 1;
}

int rf_ring_count_points(const struct rf_ring_member *members, size_t slots_count,
                         size_t *ret_points_count, struct rf_error *err)
{
    if (slots_count > RF_RING_SLOTS_MAX) {
        return rf_error_set(err, -ERANGE, "ring of %zu members: allowed are 1..%d", slots_count,
                            RF_RING_SLOTS_MAX);
    }
    size_t points_count = 0;
    for (size_t slot = 0; slot < slots_count; slot++) {
        const struct rf_ring_member *member = &members[slot];
        if (member->id == NULL) {
            continue;
        }
        RF_ASSERT(member->id[0] != '\0');
        if (member->replicas < 1 || member->replicas > RF_REPLICAS_MAX) {
            return rf_error_set(err, -ERANGE, "member '%s': %u replicas, allowed are 1..%d",
                                member->id, member->replicas, RF_REPLICAS_MAX);
        }
        points_count += member->replicas; /* below 2^32: see the limits */
    }
    if (points_count > RF_RING_POINTS_MAX) {
        return rf_error_set(err, -ERANGE, "ring of %zu points: allowed are 1..%d", points_count,
                            RF_RING_POINTS_MAX);
    }
    *ret_points_count = points_count;
    return 0;
}

/* ---- order ---- */

bool rf_ring_point_is_before(const struct rf_ring_member *members, uint64_t hash_a, uint16_t slot_a,
                             uint64_t hash_b, uint16_t slot_b)
{
    if (RF_LIKELY(hash_a != hash_b)) {
        return hash_a < hash_b;
    }
    /* strcmp is memcmp, then length: ids hold no NUL, and it compares bytes as unsigned. */
    return slot_a != slot_b && strcmp(members[slot_a].id, members[slot_b].id) < 0;
}

/* Lets the point at `root` sink to its place in the heap of `count` points, the last on top. */
static void heap_sink(const struct rf_ring_member *members, uint64_t *hashes, uint16_t *slots,
                      size_t root, size_t count)
{
    uint64_t hash = hashes[root];
    uint16_t slot = slots[root];
    for (size_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count && rf_ring_point_is_before(members, hashes[child], slots[child],
                                                         hashes[child + 1], slots[child + 1])) {
            child++;
        }
        if (!rf_ring_point_is_before(members, hash, slot, hashes[child], slots[child])) {
            break;
        }
        hashes[root] = hashes[child];
        slots[root] = slots[child];
        root = child;
    }
    hashes[root] = hash;
    slots[root] = slot;
}

static void heap_sort(const struct rf_ring_member *members, uint64_t *hashes, uint16_t *slots,
                      size_t count)
{
    for (size_t i = count / 2; i-- > 0;) {
        heap_sink(members, hashes, slots, i, count);
    }
    for (size_t end = count; end-- > 1;) {
        uint64_t hash = hashes[0];
        uint16_t slot = slots[0];
        hashes[0] = hashes[end];
        slots[0] = slots[end];
        hashes[end] = hash;
        slots[end] = slot;
        heap_sink(members, hashes, slots, 0, end);
    }
}

/* Lines are short, so insertion does; but ids are anybody's choice, and it takes little work to
 * find ids whose points fall into one line: those get a bound of n log n, and no allocation. */
void rf_ring_points_sort(const struct rf_ring_member *members, uint64_t *hashes, uint16_t *slots,
                         size_t count)
{
    if (count > INSERTION_SORT_MAX) {
        heap_sort(members, hashes, slots, count);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        uint64_t hash = hashes[i];
        uint16_t slot = slots[i];
        size_t at = i;
        for (;
             at > 0 && rf_ring_point_is_before(members, hash, slot, hashes[at - 1], slots[at - 1]);
             at--) {
            hashes[at] = hashes[at - 1];
            slots[at] = slots[at - 1];
        }
        hashes[at] = hash;
        slots[at] = slot;
    }
}

int rf_ring_refuse_twins(const struct rf_ring *ring, size_t first, size_t end, struct rf_error *err)
{
    for (size_t i = first + 1; i < end; i++) {
        if (RF_UNLIKELY(ring->hashes[i] == ring->hashes[i - 1]) &&
            ring->slots[i] != ring->slots[i - 1] &&
            strcmp(ring->members[ring->slots[i]].id, ring->members[ring->slots[i - 1]].id) == 0) {
            return rf_error_set(err, -EEXIST, "member '%s' twice: an id is unique in its ring",
                                ring->members[ring->slots[i]].id);
        }
    }
    return 0;
}

/* ---- filling ---- */

void rf_ring_line_make(const struct rf_ring *ring, uint64_t k, struct rf_ring_line *ret_line)
{
    size_t first = ring->offsets[k];
    size_t end = ring->offsets[k + 1];
    size_t count = end - first;
    size_t in_line = count < RF_RING_LINE_POINTS ? count : RF_RING_LINE_POINTS;
    for (size_t i = 0; i < in_line; i++) {
        (void)rf_ring_line_of(ring, ring->hashes[first + i], &ret_line->residues[i]);
        ret_line->slots[i] = ring->slots[first + i];
    }
    size_t next = first + in_line;
    uint16_t follower = ring->slots[next < ring->points_count ? next : 0];
    for (size_t i = in_line; i < RF_RING_LINE_POINTS; i++) {
        ret_line->residues[i] = UINT16_MAX;
        ret_line->slots[i] = follower;
    }
    ret_line->slots[RF_RING_LINE_POINTS] = follower;
    ret_line->points_count = (uint16_t)(count < UINT16_MAX ? count : UINT16_MAX);
}

/* Hashes the points of all members in turn; counts them by line, or places them by line. */
static void distribute(struct rf_ring *ring, bool is_counting)
{
    uint32_t *offsets = (uint32_t *)ring->offsets;
    uint64_t *hashes = (uint64_t *)ring->hashes;
    uint16_t *slots = (uint16_t *)ring->slots;
    for (size_t slot = 0; slot < ring->slots_count; slot++) {
        const struct rf_ring_member *member = &ring->members[slot];
        for (uint32_t done = 0; member->id != NULL && done < member->replicas;) {
            uint64_t chunk[CHUNK_POINTS];
            uint32_t left = member->replicas - done;
            uint32_t count = left < CHUNK_POINTS ? left : CHUNK_POINTS;
            rf_placement_points(ring->placement, member->id, done, count, chunk);
            for (uint32_t i = 0; i < count; i++) {
                uint16_t residue;
                uint64_t k = rf_ring_line_of(ring, chunk[i], &residue);
                if (is_counting) {
                    offsets[k + 1]++;
                } else {
                    uint32_t at = offsets[k]++;
                    hashes[at] = chunk[i];
                    slots[at] = (uint16_t)slot;
                }
            }
            done += count;
        }
    }
}

/* Points are hashed twice, to count and to place: that is cheaper than to keep and sort them, and
 * a build needs no memory beside the ring. */
int rf_ring_fill(struct rf_ring *ring, struct rf_error *err)
{
    uint32_t *offsets = (uint32_t *)ring->offsets;
    memset(offsets, 0, (ring->lines_count + 1) * sizeof(offsets[0]));
    distribute(ring, true);
    for (uint64_t k = 0; k < ring->lines_count; k++) {
        offsets[k + 1] += offsets[k];
    }
    RF_ASSERT(offsets[ring->lines_count] == ring->points_count);
    distribute(ring, false);
    /* Placing has moved each offset on to the next one's start. */
    memmove(offsets + 1, offsets, ring->lines_count * sizeof(offsets[0]));
    offsets[0] = 0;
    for (uint64_t k = 0; k < ring->lines_count; k++) {
        rf_ring_points_sort(ring->members, (uint64_t *)ring->hashes + offsets[k],
                            (uint16_t *)ring->slots + offsets[k], offsets[k + 1] - offsets[k]);
        int code = rf_ring_refuse_twins(ring, offsets[k], offsets[k + 1], err);
        if (code < 0) {
            return code;
        }
    }
    struct rf_ring_line *lines = (struct rf_ring_line *)ring->lines;
    for (uint64_t k = 0; k < ring->lines_count; k++) {
        rf_ring_line_make(ring, k, &lines[k]);
    }
    return 0;
}

int rf_ring_build(enum rf_placement placement, const struct rf_ring_member *members,
                  size_t members_count, struct rf_ring **ret_ring, struct rf_error *err)
{
    RF_ASSERT(members_count >= 1);
    size_t points_count;
    struct rf_ring *ring = NULL;
    int code = rf_ring_count_points(members, members_count, &points_count, err);
    if (code == 0) {
        code = rf_ring_new(placement, members, members_count, rf_ring_lines_for(points_count), NULL,
                           &ring, err);
    }
    if (code == 0) {
        code = rf_ring_fill(ring, err);
    }
    if (code < 0) {
        rf_ring_free(ring);
        return code;
    }
    RF_DEBUG_CHECK(rf_ring_check(ring));
    *ret_ring = ring;
    return 0;
}

/* ---- what it says about itself ---- */

enum rf_placement rf_ring_placement(const struct rf_ring *ring)
{
    return ring->placement;
}

size_t rf_ring_members_count(const struct rf_ring *ring)
{
    return ring->members_count;
}

size_t rf_ring_points_count(const struct rf_ring *ring)
{
    return ring->points_count;
}

size_t rf_ring_slots_count(const struct rf_ring *ring)
{
    return ring->slots_count;
}

size_t rf_ring_size(const struct rf_ring *ring)
{
    return ring->size;
}

const struct rf_ring_member *rf_ring_member(const struct rf_ring *ring, uint16_t slot)
{
    return slot < ring->slots_count && ring->members[slot].id != NULL ? &ring->members[slot] : NULL;
}

/* Asserts that every point of a member is where a search finds it. */
static void check_member(const struct rf_ring *ring, uint16_t slot)
{
    const struct rf_ring_member *member = &ring->members[slot];
    RF_ASSERT(member->id[0] != '\0');
    RF_ASSERT(member->replicas >= 1 && member->replicas <= RF_REPLICAS_MAX);
    for (uint32_t i = 0; i < member->replicas; i++) {
        uint64_t hash;
        rf_placement_points(ring->placement, member->id, i, 1, &hash);
        size_t at = rf_ring_first_point(ring, hash);
        while (at < ring->points_count && ring->hashes[at] == hash && ring->slots[at] != slot) {
            at++;
        }
        RF_ASSERT(at < ring->points_count && ring->hashes[at] == hash && ring->slots[at] == slot);
    }
}

static void check_line(const struct rf_ring *ring, uint64_t k)
{
    RF_ASSERT(ring->offsets[k] <= ring->offsets[k + 1]);
    for (size_t i = ring->offsets[k]; i < ring->offsets[k + 1]; i++) {
        uint16_t residue;
        RF_ASSERT(rf_ring_line_of(ring, ring->hashes[i], &residue) == k);
        RF_ASSERT(rf_ring_member(ring, ring->slots[i]) != NULL);
        RF_ASSERT(i == 0 || !rf_ring_point_is_before(ring->members, ring->hashes[i], ring->slots[i],
                                                     ring->hashes[i - 1], ring->slots[i - 1]));
    }
    struct rf_ring_line line;
    rf_ring_line_make(ring, k, &line);
    RF_ASSERT(memcmp(&line, &ring->lines[k], sizeof(line)) == 0);
}

void rf_ring_check(const struct rf_ring *ring)
{
    RF_ASSERT((uintptr_t)ring->lines % RF_RING_LINE_SIZE == 0);
    RF_ASSERT(ring->lines_count >= 1 && ring->points_count >= 1);
    RF_ASSERT(ring->points_count <= RF_RING_POINTS_MAX && ring->slots_count <= RF_RING_SLOTS_MAX);
    RF_ASSERT(ring->offsets[0] == 0 && ring->offsets[ring->lines_count] == ring->points_count);
    for (uint64_t k = 0; k < ring->lines_count; k++) {
        check_line(ring, k);
    }
    size_t members_count = 0;
    size_t points_count = 0;
    for (size_t slot = 0; slot < ring->slots_count; slot++) {
        if (ring->members[slot].id != NULL) {
            check_member(ring, (uint16_t)slot);
            members_count++;
            points_count += ring->members[slot].replicas;
        }
    }
    RF_ASSERT(members_count == ring->members_count && points_count == ring->points_count);
}
