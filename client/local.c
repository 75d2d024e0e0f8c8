/* SPDX-License-Identifier: MIT
 *
 * local.c - answers from the ring in this process: the calls of regfast.h that a reader makes.
 *
 * A lookup in a large ring waits for memory, and costs what the processor can overlap: as many keys
 * as fit its window. So the path is short, without a fence, and what it copies is prepared by
 * view.c.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/replica_private.h"
#include "core/ring_inline.h"

enum {
    BATCH = 64,          /* keys looked for at once: as far as rf_ring_owner_batch prefetches */
    KEY_SIZE_SHORT = 16, /* up to which XXH3 is some instructions */
};

struct regfast_reader {
    struct rf_replica *replica;
    struct rf_hazard_line *line;
};

int rf_replica_reader_new(struct rf_replica *replica, struct regfast_reader **ret_reader)
{
    struct regfast_reader *reader = malloc(sizeof(*reader));
    struct rf_hazard_line *line = reader == NULL ? NULL : rf_hazard_line_take(&replica->hazard);
    if (line == NULL) {
        free(reader);
        return -ENOMEM;
    }
    *reader = (struct regfast_reader){replica, line};
    *ret_reader = reader;
    return 0;
}

void regfast_reader_free(struct regfast_reader *reader)
{
    if (reader != NULL) {
        rf_hazard_line_give(reader->line);
        free(reader);
    }
}

static inline const struct rf_view *enter(const struct regfast_reader *reader)
{
    return rf_view_of(rf_hazard_enter(&reader->replica->hazard, reader->line));
}

/* Why a view has no answers. */
static int code_of(const struct rf_view *view)
{
    return view->kind == RF_VIEW_UNKNOWN ? -EAGAIN
           : view->kind == RF_VIEW_EMPTY ? (int)REGFAST_ENOTFOUND
                                         : 0;
}

static inline bool is_bad_key(const void *key, size_t key_size)
{
    return key_size > REGFAST_KEY_SIZE_MAX || (key == NULL && key_size > 0);
}

/* ---- answers ---- */

__attribute__((noinline, cold)) static void copy_long(const struct rf_view *view, uint16_t slot,
                                                      struct regfast_owner *ret_owner)
{
    const struct rf_member *member = view->group->by_slot[slot];
    memcpy(ret_owner->id, member->id, strlen(member->id) + 1);
    memcpy(ret_owner->addr, member->addr, strlen(member->addr) + 1);
}

static inline void copy_short(const struct rf_view *view, uint16_t slot,
                              struct regfast_owner *ret_owner)
{
    const struct rf_view_owner *owner = &view->owners[slot];
    ret_owner->version = view->version;
    memcpy(ret_owner->id, owner->id, sizeof(owner->id));
    memcpy(ret_owner->addr, owner->addr, sizeof(owner->addr));
}

static inline void copy_owner(const struct rf_view *view, uint16_t slot,
                              struct regfast_owner *ret_owner)
{
    copy_short(view, slot, ret_owner);
    if (RF_UNLIKELY(view->owners[slot].addr[RF_VIEW_TEXT_SIZE - 1] != '\0')) {
        copy_long(view, slot, ret_owner);
    }
}

__attribute__((noinline)) static uint64_t hash_any(const struct rf_view *view, const void *key,
                                                   size_t key_size)
{
    return rf_placement_hash_inline(view->kind == RF_VIEW_V1 ? RF_PLACEMENT_V1 : RF_PLACEMENT_CRC32,
                                    key, key_size);
}

/* Whatever the view and the key. */
__attribute__((noinline)) static int match_any(struct regfast_reader *reader, const void *key,
                                               size_t key_size, struct regfast_owner *ret_owner)
{
    if (reader == NULL || ret_owner == NULL || is_bad_key(key, key_size)) {
        return -EINVAL;
    }
    const struct rf_view *view = enter(reader);
    const int code = code_of(view);
    if (code == 0) {
        copy_owner(view, rf_ring_owner_inline(view->ring, hash_any(view, key, key_size)),
                   ret_owner);
    }
    rf_hazard_leave(reader->line);
    return code;
}

/* Goes on, in the section, where the line of the ring could not tell the owner. */
__attribute__((noinline, cold)) static int match_exact(struct regfast_reader *reader, uint64_t hash,
                                                       struct regfast_owner *ret_owner)
{
    const struct rf_view *view = rf_view_of(rf_hazard_held(reader->line));
    copy_owner(view, rf_ring_owner(view->ring, hash), ret_owner);
    rf_hazard_leave(reader->line);
    return 0;
}

/*
 * The usual case: a key of 1 to 16 bytes, readers that do not fence, a view that is as usual, a
 * line that can tell. All else leaves by a jump, so that there is no call in it and no register
 * to be saved: each instruction less lets the processor look further ahead, to where the next
 * lookup begins to wait for its memory. (flatten: the hash is inlined, and of it only what keys of
 * that size need.)
 */
__attribute__((flatten)) int regfast_local_match(struct regfast_reader *reader, const void *key,
                                                 size_t key_size, struct regfast_owner *ret_owner)
{
    struct rf_hazard_value *value;
    uint16_t slot;
    if (RF_UNLIKELY(key_size - 1 >= KEY_SIZE_SHORT)) {
        return match_any(reader, key, key_size, ret_owner);
    }
    if (RF_UNLIKELY(reader == NULL || key == NULL || ret_owner == NULL)) {
        return -EINVAL;
    }
    if (!rf_hazard_try_enter(&reader->replica->hazard, reader->line, &value)) {
        rf_hazard_leave(reader->line);
        return match_any(reader, key, key_size, ret_owner);
    }
    const struct rf_view *view = rf_view_of(value);
    const uint64_t hash = XXH3_64bits(key, key_size);
    if (RF_UNLIKELY(!rf_ring_owner_of_line(view->ring, hash, &slot))) {
        return match_exact(reader, hash, ret_owner);
    }
    copy_short(view, slot, ret_owner);
    rf_hazard_leave(reader->line);
    return 0;
}

/* Up to BATCH of them. (flatten: as above.) */
__attribute__((flatten)) static int match_batch(const struct rf_view *view,
                                                const struct regfast_key *keys, size_t count,
                                                struct regfast_owner *ret_owners)
{
    uint64_t hashes[BATCH];
    uint16_t slots[BATCH];
    for (size_t i = 0; i < count; i++) {
        const void *key = keys[i].data;
        const size_t key_size = keys[i].size;
        if (RF_LIKELY(view->kind == RF_VIEW_V1 && key != NULL && key_size - 1 < KEY_SIZE_SHORT)) {
            hashes[i] = XXH3_64bits(key, key_size);
        } else if (is_bad_key(key, key_size)) {
            return -EINVAL;
        } else {
            hashes[i] = hash_any(view, key, key_size);
        }
    }
    rf_ring_owner_batch(view->ring, hashes, count, slots);
    for (size_t i = 0; i < count; i++) {
        copy_owner(view, slots[i], &ret_owners[i]);
    }
    return 0;
}

int regfast_local_match_many(struct regfast_reader *reader, const struct regfast_key *keys,
                             size_t keys_count, struct regfast_owner *ret_owners)
{
    if (reader == NULL || (keys_count > 0 && (keys == NULL || ret_owners == NULL))) {
        return -EINVAL;
    }
    const struct rf_view *view = enter(reader);
    int code = code_of(view);
    for (size_t done = 0; code == 0 && done < keys_count; done += BATCH) {
        const size_t left = keys_count - done;
        code = match_batch(view, keys + done, left < BATCH ? left : BATCH, ret_owners + done);
    }
    rf_hazard_leave(reader->line);
    return code;
}

int regfast_local_owners(struct regfast_reader *reader, const void *key, size_t key_size,
                         size_t count, struct regfast_owner *ret_owners)
{
    if (reader == NULL || ret_owners == NULL || is_bad_key(key, key_size) || count < 1 ||
        count > REGFAST_OWNERS_MAX) {
        return -EINVAL;
    }
    uint16_t slots[REGFAST_OWNERS_MAX];
    const struct rf_view *view = enter(reader);
    int code = code_of(view);
    if (code == 0) {
        code = (int)rf_ring_owners(view->ring, hash_any(view, key, key_size), count, slots);
        for (int i = 0; i < code; i++) {
            copy_owner(view, slots[i], &ret_owners[i]);
        }
    }
    rf_hazard_leave(reader->line);
    return code;
}

/* ---- bounded loads ---- */

static const double factor_default = 1.25;

struct bound {
    const struct rf_view *view;
    double loads_per_replica; /* a member of weight w may have fewer requests than this times w */
    uint64_t count_seen;      /* of the member that was accepted last */
};

/* A whole number is below ceil(x) if it is below x. */
static bool has_room(void *user, uint16_t slot)
{
    struct bound *bound = user;
    bound->count_seen = rf_load_count(bound->view->cells[slot]);
    return (double)bound->count_seen <
           bound->loads_per_replica * rf_ring_member(bound->view->ring, slot)->replicas;
}

/* One try: false if nobody has room, or he who had has not any more, since others are at it too. */
static bool assign(struct rf_replica *replica, const struct rf_view *view, uint64_t hash,
                   double factor, uint16_t *ret_slot)
{
    const uint64_t total = atomic_load(&replica->loads.total); /* with this one */
    struct bound bound = {
        .view = view,
        .loads_per_replica = factor * (double)total / (double)rf_ring_points_count(view->ring),
    };
    uint16_t slot = rf_ring_owner_inline(view->ring, hash);
    bool is_found = has_room(&bound, slot);
    if (!is_found && rf_ring_owner_where(view->ring, hash, has_room, &bound, &slot)) {
        is_found = has_room(&bound, slot); /* others were asked about since */
    }
    if (!is_found || !rf_load_add(&replica->loads, view->cells[slot], bound.count_seen)) {
        return false;
    }
    *ret_slot = slot;
    return true;
}

int regfast_match_bounded(struct regfast_reader *reader, const void *key, size_t key_size,
                          double factor, struct regfast_owner *ret_owner,
                          struct regfast_load *ret_load)
{
    factor = factor == 0 ? factor_default : factor;
    if (reader == NULL || ret_owner == NULL || ret_load == NULL || is_bad_key(key, key_size) ||
        !(factor > 1) || isinf(factor)) {
        return -EINVAL;
    }
    struct rf_replica *replica = reader->replica;
    int code = 0;
    bool is_assigned = false;
    (void)atomic_fetch_add(&replica->loads.total, 1); /* before the cell's: see loads.h */
    /* The capacities of all members are more than all requests, so somebody has room, unless
     * others begin and end some while this one looks round; then it looks again. Each time in the
     * view of that time, whose members the total counts. */
    while (code == 0 && !is_assigned) {
        const struct rf_view *view = enter(reader);
        code = code_of(view);
        if (code == 0) {
            uint16_t slot;
            is_assigned = assign(replica, view, hash_any(view, key, key_size), factor, &slot);
            if (is_assigned) {
                copy_owner(view, slot, ret_owner);
                *ret_load = (struct regfast_load){.opaque = {replica, view->cells[slot]}};
            }
        }
        rf_hazard_leave(reader->line);
    }
    if (code < 0) {
        (void)atomic_fetch_sub(&replica->loads.total, 1);
    }
    return code;
}

void regfast_load_done(struct regfast_reader *reader, struct regfast_load *load)
{
    if (reader != NULL && load != NULL && load->opaque[0] == reader->replica) {
        rf_load_subtract(&reader->replica->loads, load->opaque[1]);
        *load = (struct regfast_load){0};
    }
}
