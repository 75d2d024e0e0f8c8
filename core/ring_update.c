/* SPDX-License-Identifier: MIT
 *
 * ring_update.c - the ring after a change of membership, made from the one before.
 *
 * The number of lines stays, so a point that stays keeps its line, and only lines with an added or
 * removed point, or just before one, differ from the old ones. The walk goes from the last line to
 * the first: what follows a line is then written before it, and the owner that follows is known,
 * but for the last line, which is mended at the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ring_private.h"

enum {
    /* The mean points of a line at which the ring gets another number of lines, in quarters: below,
     * it takes more than 21 bytes a point; above, more than one line in ten is over-full. */
    MEAN_QUARTERS_MIN = 25,
    MEAN_QUARTERS_MAX = 44,
    /* Of the old points or the new ones, as a divisor: where more change, about every line does,
     * and building anew is faster than to sort and merge. */
    CHANGED_SHARE_MAX = 8,
};

/* What is to change, worked out before the new ring is made. */
struct change {
    const struct rf_ring *old;
    struct rf_ring_member
        *members; /* the next ring's, [slots_count]; those added borrow their id */
    size_t slots_count;
    uint16_t *added_slots;
    uint64_t is_removed[RF_RING_SLOTS_MAX / 64 + 1]; /* a bit for each slot of `old` */
};

static bool change_removes(const struct change *change, uint16_t slot)
{
    return (change->is_removed[slot / 64] >> slot % 64 & 1) != 0;
}

static void change_fini(struct change *change)
{
    free(change->members);
    free(change->added_slots);
}

/* Gives each added member the lowest slot that is free. */
static void assign_slots(struct change *change, const struct rf_ring_member *added,
                         size_t added_count)
{
    size_t slot = 0;
    for (size_t i = 0; i < added_count; i++, slot++) {
        while (change->members[slot].id != NULL) {
            slot++;
        }
        change->members[slot] = added[i];
        change->added_slots[i] = (uint16_t)slot;
        if (slot >= change->slots_count) {
            change->slots_count = slot + 1;
        }
    }
    while (change->slots_count > 0 && change->members[change->slots_count - 1].id == NULL) {
        change->slots_count--;
    }
}

/* Works out who is in the next ring and in which slot. */
static int change_members(struct change *change, const uint16_t *removed_slots,
                          size_t removed_count, const struct rf_ring_member *added,
                          size_t added_count, struct rf_error *err)
{
    const struct rf_ring *old = change->old;
    RF_ASSERT(removed_count <= old->members_count);
    RF_ASSERT(removed_count < old->members_count || added_count > 0);
    size_t kept_count = old->members_count - removed_count;
    if (added_count > RF_RING_SLOTS_MAX - kept_count) {
        return rf_error_set(err, -ERANGE, "%zu members added to %zu: allowed are 1..%d together",
                            added_count, kept_count, RF_RING_SLOTS_MAX);
    }
    /* As many free slots as are added, whichever are free now; + 1: no request for nothing. */
    size_t room = old->slots_count + added_count;
    change->members = calloc(room, sizeof(change->members[0]));
    change->added_slots = malloc((added_count + 1) * sizeof(change->added_slots[0]));
    if (change->members == NULL || change->added_slots == NULL) {
        return rf_error_set(err, -ENOMEM, "ring of %zu members: out of memory",
                            kept_count + added_count);
    }
    memcpy(change->members, old->members, old->slots_count * sizeof(change->members[0]));
    change->slots_count = old->slots_count;
    for (size_t i = 0; i < removed_count; i++) {
        uint16_t slot = removed_slots[i];
        RF_ASSERT(slot < old->slots_count && change->members[slot].id != NULL);
        change->members[slot] = (struct rf_ring_member){0};
        change->is_removed[slot / 64] |= (uint64_t)1 << slot % 64;
    }
    assign_slots(change, added, added_count);
    return 0;
}

static size_t sum_replicas(const struct rf_ring_member *members, const uint16_t *slots,
                           size_t slots_count)
{
    size_t sum = 0;
    for (size_t i = 0; i < slots_count; i++) {
        sum += members[slots[i]].replicas;
    }
    return sum;
}

/* All points of the members in `slots`, sorted. Ended by points_fini, also after a failure. */
static int points_make(struct rf_ring_points *points, enum rf_placement placement,
                       const struct rf_ring_member *members, const uint16_t *slots,
                       size_t slots_count, struct rf_error *err)
{
    points->count = sum_replicas(members, slots, slots_count);
    if (points->count == 0) {
        return 0;
    }
    points->hashes = malloc(points->count * sizeof(points->hashes[0]));
    points->slots = malloc(points->count * sizeof(points->slots[0]));
    if (points->hashes == NULL || points->slots == NULL) {
        return rf_error_set(err, -ENOMEM, "change of %zu points: out of memory", points->count);
    }
    size_t at = 0;
    for (size_t i = 0; i < slots_count; i++) {
        const struct rf_ring_member *member = &members[slots[i]];
        rf_placement_points(placement, member->id, 0, member->replicas, points->hashes + at);
        for (size_t end = at + member->replicas; at < end; at++) {
            points->slots[at] = slots[i];
        }
    }
    rf_ring_points_sort(members, points->hashes, points->slots, points->count);
    return 0;
}

static void points_fini(struct rf_ring_points *points)
{
    free(points->hashes);
    free(points->slots);
}

/* ---- the walk ---- */

/* The line of the last of the first `count` points, or -1. */
static int64_t last_line(const struct rf_ring *ring, const struct rf_ring_points *points,
                         size_t count)
{
    uint16_t residue;
    RF_ASSERT(count <= points->count);
    return count == 0 ? -1 : (int64_t)rf_ring_line_of(ring, points->hashes[count - 1], &residue);
}

/* How many of the first `count` points are in line k, given that none is behind it. */
static size_t count_in_line(const struct rf_ring *ring, const struct rf_ring_points *points,
                            size_t count, int64_t k)
{
    size_t in_line = 0;
    while (in_line < count && last_line(ring, points, count - in_line) == k) {
        in_line++;
    }
    return in_line;
}

/* Copies the points of lines [from, to), to end where those of line `to` start. */
static void copy_points(struct rf_ring *ring, const struct rf_ring *old, uint64_t from, uint64_t to)
{
    uint32_t *offsets = (uint32_t *)ring->offsets;
    uint32_t shift = offsets[to] - old->offsets[to]; /* modulo 2^32 */
    for (uint64_t k = from; k < to; k++) {
        offsets[k] = old->offsets[k] + shift;
    }
    size_t first = old->offsets[from];
    size_t count = old->offsets[to] - first;
    memcpy((uint64_t *)ring->hashes + offsets[from], old->hashes + first,
           count * sizeof(ring->hashes[0]));
    memcpy((uint16_t *)ring->slots + offsets[from], old->slots + first,
           count * sizeof(ring->slots[0]));
}

/* Merges what stays of line k with `added` from index `first` to `end`, exclusive, to the cold
 * arrays. */
static void merge_line(struct rf_ring *ring, const struct change *change, uint64_t k,
                       size_t removed_count, const struct rf_ring_points *added, size_t first,
                       size_t end)
{
    const struct rf_ring *old = change->old;
    uint32_t *offsets = (uint32_t *)ring->offsets;
    uint64_t *hashes = (uint64_t *)ring->hashes;
    uint16_t *slots = (uint16_t *)ring->slots;
    size_t old_end = old->offsets[k + 1];
    size_t count = old_end - old->offsets[k] - removed_count + (end - first);
    RF_ASSERT(count <= offsets[k + 1]);
    size_t at = offsets[k] = offsets[k + 1] - (uint32_t)count;
    for (size_t i = old->offsets[k]; i < old_end; i++) {
        if (change_removes(change, old->slots[i])) {
            continue;
        }
        while (first < end &&
               rf_ring_point_is_before(ring->members, added->hashes[first], added->slots[first],
                                       old->hashes[i], old->slots[i])) {
            hashes[at] = added->hashes[first];
            slots[at++] = added->slots[first++];
        }
        hashes[at] = old->hashes[i];
        slots[at++] = old->slots[i];
    }
    for (; first < end; first++) {
        hashes[at] = added->hashes[first];
        slots[at++] = added->slots[first];
    }
    RF_ASSERT(at == offsets[k + 1]);
}

/* Makes anew the lines before `k` whose follower is the first point of line k, or behind it: the
 * line before it, and, while they are empty, those before that; `from` is the first to look at. */
static void mend_before(struct rf_ring *ring, uint64_t from, uint64_t k)
{
    while (k-- > from) {
        rf_ring_line_make(ring, k, (struct rf_ring_line *)&ring->lines[k]);
        if (ring->lines[k].points_count > 0) {
            break;
        }
    }
}

/* Fills `ring`, which has as many lines as the old one. Errors: -EEXIST. */
static int walk(struct rf_ring *ring, const struct change *change,
                const struct rf_ring_points *removed, const struct rf_ring_points *added,
                struct rf_error *err)
{
    size_t removed_left = removed->count;
    size_t added_left = added->count;
    uint64_t to = ring->lines_count; /* lines from here on are done */
    /* All at once, those that change too: so large a memcpy does not go through the caches. */
    memcpy((struct rf_ring_line *)ring->lines, change->old->lines, to * sizeof(ring->lines[0]));
    ((uint32_t *)ring->offsets)[to] = (uint32_t)ring->points_count;
    ((uint16_t *)ring->slots)[0] = 0; /* read as the last line's follower before it is known */
    while (removed_left > 0 || added_left > 0) {
        int64_t removed_line = last_line(ring, removed, removed_left);
        int64_t added_line = last_line(ring, added, added_left);
        int64_t line = removed_line > added_line ? removed_line : added_line;
        uint64_t k = (uint64_t)line;
        copy_points(ring, change->old, k + 1, to);
        mend_before(ring, k + 1, to);
        size_t removed_count = count_in_line(ring, removed, removed_left, line);
        size_t added_count = count_in_line(ring, added, added_left, line);
        removed_left -= removed_count;
        added_left -= added_count;
        merge_line(ring, change, k, removed_count, added, added_left, added_left + added_count);
        int code = rf_ring_refuse_twins(ring, ring->offsets[k], ring->offsets[k + 1], err);
        if (code < 0) {
            return code;
        }
        rf_ring_line_make(ring, k, (struct rf_ring_line *)&ring->lines[k]);
        to = k;
    }
    copy_points(ring, change->old, 0, to);
    mend_before(ring, 0, to);
    RF_ASSERT(ring->offsets[0] == 0);
    mend_before(ring, 0, ring->lines_count); /* now that the first point of all is known */
    return 0;
}

/* ---- */

/* Whether the lines of the old ring are still a good number, and few of them change. */
static bool is_worth_patching(const struct change *change, size_t points_count,
                              size_t changed_count)
{
    const struct rf_ring *old = change->old;
    size_t quarters = 4 * points_count;
    /* One line is right for whatever fits in it, however little that is. */
    bool is_enough = quarters >= MEAN_QUARTERS_MIN * old->lines_count || old->lines_count == 1;
    return is_enough && quarters <= MEAN_QUARTERS_MAX * old->lines_count &&
           changed_count <= old->points_count / CHANGED_SHARE_MAX &&
           changed_count <= points_count / CHANGED_SHARE_MAX;
}

static int patch(const struct change *change, const uint16_t *removed_slots, size_t removed_count,
                 size_t added_count, struct rf_ring **ret_ring, struct rf_error *err)
{
    const struct rf_ring *old = change->old;
    struct rf_ring_points removed = {0};
    struct rf_ring_points added = {0};
    int code =
        points_make(&removed, old->placement, old->members, removed_slots, removed_count, err);
    if (code == 0) {
        code = points_make(&added, old->placement, change->members, change->added_slots,
                           added_count, err);
    }
    if (code == 0) {
        code = rf_ring_new(old->placement, change->members, change->slots_count, old->lines_count,
                           old, ret_ring, err);
    }
    if (code == 0) {
        code = walk(*ret_ring, change, &removed, &added, err);
    }
    points_fini(&removed);
    points_fini(&added);
    return code;
}

int rf_ring_update(const struct rf_ring *ring, const uint16_t *removed_slots, size_t removed_count,
                   const struct rf_ring_member *added, size_t added_count, uint16_t *ret_slots,
                   struct rf_ring **ret_ring, struct rf_error *err)
{
    struct change change = {.old = ring};
    struct rf_ring *next = NULL;
    size_t points_count;
    int code = change_members(&change, removed_slots, removed_count, added, added_count, err);
    if (code == 0) {
        code = rf_ring_count_points(change.members, change.slots_count, &points_count, err);
    }
    if (code == 0) {
        size_t changed_count = sum_replicas(ring->members, removed_slots, removed_count) +
                               sum_replicas(change.members, change.added_slots, added_count);
        if (is_worth_patching(&change, points_count, changed_count)) {
            code = patch(&change, removed_slots, removed_count, added_count, &next, err);
        } else {
            code = rf_ring_new(ring->placement, change.members, change.slots_count,
                               rf_ring_lines_for(points_count), ring, &next, err);
            if (code == 0) {
                code = rf_ring_fill(next, err);
            }
        }
    }
    if (code == 0) {
        next->form = ring->form;
        RF_DEBUG_CHECK(rf_ring_check(next));
        if (added_count > 0) {
            memcpy(ret_slots, change.added_slots, added_count * sizeof(ret_slots[0]));
        }
        *ret_ring = next;
    } else {
        rf_ring_free(next);
    }
    change_fini(&change);
    return code;
}
