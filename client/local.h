/* SPDX-License-Identifier: MIT
 *
 * local.h - what regfast.h says of watches and readers once there are watches: laid out as it is.
 */
#ifndef RF_CLIENT_LOCAL_H
#define RF_CLIENT_LOCAL_H

#include "client/regfast.h"

/* ---- regfast_watch: know a group as it changes ---- */

struct regfast_watch;

enum regfast_watch_state {
    REGFAST_WATCH_EMPTY = 0, /* nothing is known yet */
    REGFAST_WATCH_LIVE = 1,  /* what is known is what a registry knew a moment ago */
    REGFAST_WATCH_STALE = 2, /* no registry has proved for a while that it still is so */
};

/* What a watch knows, and how far it is to be trusted. */
struct regfast_watch_status {
    size_t size;            /* sizeof(struct regfast_watch_status), set by the caller */
    uint32_t state;         /* enum regfast_watch_state */
    uint64_t version;       /* of the group on `server`, as in struct regfast_owner */
    uint64_t digest;        /* of the local state, and what the registry said of its own */
    uint64_t age_ms;        /* since a registry has proved that this is what it knows */
    uint64_t updates;       /* times that the local state was replaced, whatever the registry */
    uint64_t full_copies;   /* times that all was taken anew, as a digest was not equal */
    uint64_t refused;       /* updates not applied: nobody would have been left in the ring although
                               those in it had not left */
    uint64_t members_count; /* remembered ones included */
    uint64_t alive_count;   /* get keys */
    char server[REGFAST_NAME_SIZE + 16]; /* the registry that told it, "" before the first */
};

/* ---- regfast_local_match: the instance that has a key, without asking anybody ---- */

/*
 * A thread's hold on a watch: asks the ring that the watch keeps in this process. The answers are
 * those that the registry would give at the version that they name, without a lock, an allocation
 * or a system call, and go on when all registries are gone; regfast_watch_status says how fresh
 * they are. A watch that has known somebody in the ring goes on answering with them until
 * others are there or they have left.
 *
 * Threads: may be made and freed at any time, by any thread, and is used by one at a time. Cheap: a
 *          cache line, which the watch keeps for the next reader.
 */
struct regfast_reader;

/* NULL is allowed. */
REGFAST_API void regfast_reader_free(struct regfast_reader *reader);

/*
 * The instance that has the key.
 * Errors: REGFAST_ENOTFOUND nobody is in the ring; -EAGAIN nothing is known yet; -EINVAL an
 * argument is NULL, or the key is larger than REGFAST_KEY_SIZE_MAX.
 */
REGFAST_API int regfast_local_match(struct regfast_reader *reader, const void *key, size_t key_size,
                                    struct regfast_owner *ret_owner);

/* The same for many, all of one version, and faster from some keys on: they are looked for at once.
 * On failure ret_owners is undefined. */
REGFAST_API int regfast_local_match_many(struct regfast_reader *reader,
                                         const struct regfast_key *keys, size_t keys_count,
                                         struct regfast_owner *ret_owners);

/* As regfast_owners: returns how many there are, at most `count`, 1..REGFAST_OWNERS_MAX. */
REGFAST_API int regfast_local_owners(struct regfast_reader *reader, const void *key,
                                     size_t key_size, size_t count,
                                     struct regfast_owner *ret_owners);

/* A request under way, in the caller's storage. All zero: none. */
struct regfast_load {
    void *opaque[2];
};

/*
 * Consistent hashing with bounded loads: the first instance at and after the key's place in the
 * ring that has fewer requests under way than its share of all, times `factor`; requests under way
 * are those that this process began here and has not ended by regfast_load_done, on all readers of
 * the watch. No instance is given more than ceil(factor * (requests under way, this one included) *
 * its part of the weight), so that a key that everybody asks for does not drown its owner, and most
 * keys still go where regfast_local_match sends them.
 *
 * `factor` is above 1; 0 is 1.25. The nearer to 1, the more even and the more keys go elsewhere.
 * Errors: as regfast_local_match; -EINVAL a factor that is none. *ret_load is as before.
 * Method: "Consistent Hashing with Bounded Loads", 2017.
 */
REGFAST_API int regfast_match_bounded(struct regfast_reader *reader, const void *key,
                                      size_t key_size, double factor,
                                      struct regfast_owner *ret_owner,
                                      struct regfast_load *ret_load);

/* The request has ended, well or not; the instance may have left meanwhile. By any reader of the
 * same watch. A load that has ended, or never began, does nothing. */
REGFAST_API void regfast_load_done(struct regfast_reader *reader, struct regfast_load *load);

#endif
