/* SPDX-License-Identifier: MIT
 *
 * ring_reference.h - the definition of core/RING.md, word by word, as slow as it may be: a sorted
 * array that every form and history of a ring is held to. It shares no code with core/ring*.c; the
 * crc is done bit by bit, and its rule is the greatest point not above, without complements.
 */
#ifndef RF_TESTS_RING_REFERENCE_H
#define RF_TESTS_RING_REFERENCE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/ring.h"

struct reference_point {
    uint64_t hash; /* v1: of the point; crc32: the crc itself */
    const char *id;
};

struct reference {
    enum rf_placement placement;
    struct reference_point *points; /* by hash, then by id */
    size_t points_count;
    size_t members_count;
};

static inline uint32_t reference_crc32(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
        }
    }
    return ~crc;
}

static inline uint64_t reference_point_hash(enum rf_placement placement, const char *id, uint32_t i)
{
    if (placement == RF_PLACEMENT_V1) {
        uint64_t base = XXH3_64bits(id, strlen(id));
        unsigned char input[16];
        for (int at = 0; at < 8; at++) {
            input[at] = (unsigned char)(base >> 8 * at);
            input[8 + at] = (unsigned char)((uint64_t)i >> 8 * at);
        }
        return XXH3_64bits(input, sizeof(input));
    }
    char text[600];
    int size = snprintf(text, sizeof(text), "%u%s", i, id);
    assert(size > 0 && (size_t)size < sizeof(text));
    return reference_crc32(text, (size_t)size);
}

static inline int reference_compare(const void *a, const void *b)
{
    const struct reference_point *x = a;
    const struct reference_point *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    size_t x_size = strlen(x->id);
    size_t y_size = strlen(y->id);
    int order = memcmp(x->id, y->id, x_size < y_size ? x_size : y_size);
    return order != 0 ? order : (x_size > y_size) - (x_size < y_size);
}

/* Borrows the ids. */
static inline struct reference reference_new(enum rf_placement placement,
                                             const struct rf_ring_member *members, size_t count)
{
    struct reference reference = {.placement = placement, .members_count = count};
    for (size_t i = 0; i < count; i++) {
        reference.points_count += members[i].replicas;
    }
    reference.points = malloc(reference.points_count * sizeof(reference.points[0]));
    assert(reference.points != NULL);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t point = 0; point < members[i].replicas; point++) {
            reference.points[at++] = (struct reference_point){
                .hash = reference_point_hash(placement, members[i].id, point), .id = members[i].id};
        }
    }
    qsort(reference.points, reference.points_count, sizeof(reference.points[0]), reference_compare);
    return reference;
}

static inline void reference_free(struct reference *reference)
{
    free(reference->points);
}

/* What a lookup takes, back to what the definition speaks of. */
static inline uint64_t reference_hash_of(const struct reference *reference, uint64_t hash)
{
    return reference->placement == RF_PLACEMENT_V1 ? hash : (uint32_t) ~(hash >> 32);
}

/* Index of the first point not below `hash`; points_count if there is none. */
static inline size_t reference_lower_bound(const struct reference *reference, uint64_t hash)
{
    size_t low = 0;
    size_t high = reference->points_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reference->points[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The owner's point; of equal ones the first. `hash` is as lookups take it. */
static inline size_t reference_owner_index(const struct reference *reference, uint64_t hash)
{
    uint64_t wanted = reference_hash_of(reference, hash);
    size_t at = reference_lower_bound(reference, wanted);
    if (reference->placement == RF_PLACEMENT_V1) {
        return at < reference->points_count ? at : 0;
    }
    if (at < reference->points_count && reference->points[at].hash == wanted) {
        return at;
    }
    at = (at > 0 ? at : reference->points_count) - 1;
    return reference_lower_bound(reference, reference->points[at].hash);
}

static inline const char *reference_owner(const struct reference *reference, uint64_t hash)
{
    return reference->points[reference_owner_index(reference, hash)].id;
}

/* The first distinct ids round the ring: upwards for v1; downwards, but among equal points still
 * by id, for crc32. */
static inline size_t reference_owners(const struct reference *reference, uint64_t hash,
                                      size_t count, const char **ret_ids)
{
    size_t found = 0;
    size_t at = reference_owner_index(reference, hash);
    for (size_t walked = 0; walked < reference->points_count && found < count; walked++) {
        bool is_new = true;
        for (size_t i = 0; i < found; i++) {
            is_new = is_new && strcmp(ret_ids[i], reference->points[at].id) != 0;
        }
        if (is_new) {
            ret_ids[found++] = reference->points[at].id;
        }
        size_t next = at + 1 < reference->points_count ? at + 1 : 0;
        if (reference->placement == RF_PLACEMENT_CRC32 &&
            (next == 0 || reference->points[next].hash != reference->points[at].hash)) {
            size_t first = reference_lower_bound(reference, reference->points[at].hash);
            size_t before = (first > 0 ? first : reference->points_count) - 1;
            next = reference_lower_bound(reference, reference->points[before].hash);
        }
        at = next;
    }
    return found;
}

#endif
