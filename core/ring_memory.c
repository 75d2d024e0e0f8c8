/* SPDX-License-Identifier: MIT
 *
 * ring_memory.c - the block that a ring lies in: its layout, and where it comes from.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/publish.h"
#include "core/ring_private.h"
#include "core/sanitizer.h"

enum {
    HUGE_PAGE_SIZE = 2 * 1024 * 1024, /* of x86-64 and AArch64; elsewhere only an alignment */
    HUGE_SIZE_MIN = 2 * HUGE_PAGE_SIZE,
    UNUSED_SHARE_MAX = 16, /* as a divisor: what may be unused at the end of a large block */
};

/*
 * What rings that were made from one another share. To fill fresh memory costs twice the time that
 * it takes to copy a large ring: the kernel clears it first. So the block of the last one that was
 * freed is kept for the next.
 */
struct rf_ring_family {
    size_t rings_count;
    char *spare; /* NULL: none */
    size_t spare_size;
};

/* ---- layout ---- */

/* Where the arrays of a ring lie in its block, in bytes from its start. */
struct layout {
    size_t lines, hashes, offsets, members, slots, ids, size;
};

/* Reserves `count` items at the end of the layout; false if that overflows. */
static bool layout_add(struct layout *layout, size_t count, size_t item_size, size_t *ret_offset)
{
    size_t bytes;
    size_t aligned = (layout->size + 7) & ~(size_t)7;
    if (aligned < layout->size || __builtin_mul_overflow(count, item_size, &bytes) ||
        __builtin_add_overflow(aligned, bytes, &layout->size)) {
        return false;
    }
    *ret_offset = aligned;
    return true;
}

static bool layout_make(struct layout *layout, uint64_t lines_count, size_t points_count,
                        size_t slots_count, size_t ids_size)
{
    static_assert(sizeof(struct rf_ring) <= 2 * RF_RING_LINE_SIZE, "lines start there");
    *layout = (struct layout){.size = (size_t)2 * RF_RING_LINE_SIZE};
    return layout_add(layout, lines_count, sizeof(struct rf_ring_line), &layout->lines) &&
           layout_add(layout, points_count, sizeof(uint64_t), &layout->hashes) &&
           layout_add(layout, lines_count + 1, sizeof(uint32_t), &layout->offsets) &&
           layout_add(layout, slots_count, sizeof(struct rf_ring_member), &layout->members) &&
           layout_add(layout, points_count, sizeof(uint16_t), &layout->slots) &&
           layout_add(layout, ids_size, 1, &layout->ids);
}

/* ---- blocks ---- */

/* Large blocks have sizes that lie 1/32 to 1/16 apart, up to 2 MiB: so the spare one fits although
 * a ring is a little larger than the last, and most end with a whole huge page instead of some
 * hundred small ones. */
static size_t block_size(size_t size)
{
    size_t step = HUGE_PAGE_SIZE;
    if (size < HUGE_SIZE_MIN) {
        return size;
    }
    while (step > size / UNUSED_SHARE_MAX) {
        step /= 2;
    }
    return (size + step - 1) / step * step;
}

/* Large rings lie in huge pages if the system has any to give: a lookup then rarely misses the
 * TLB, and a new ring costs a page fault for each 2 MiB. */
static char *block_new(size_t size)
{
    const bool is_huge = size >= HUGE_SIZE_MIN;
    void *block = NULL;
    if (posix_memalign(&block, is_huge ? HUGE_PAGE_SIZE : RF_RING_LINE_SIZE, size) != 0) {
        return NULL;
    }
    if (is_huge) {
        (void)madvise(block, size, MADV_HUGEPAGE); /* it is as right without */
    }
    return block;
}

static void drop_spare(struct rf_ring_family *family)
{
    if (family->spare != NULL) {
        RF_ASAN_ALLOW(family->spare, family->spare_size);
        free(family->spare);
        family->spare = NULL;
    }
}

/* The spare one, if it is large enough for *size and not too large, which then is its size. */
static char *take_spare(struct rf_ring_family *family, size_t *size)
{
    char *block = family->spare;
    if (block == NULL || family->spare_size < *size ||
        family->spare_size - *size > *size / UNUSED_SHARE_MAX) {
        drop_spare(family);
        return NULL;
    }
    *size = family->spare_size;
    RF_ASAN_ALLOW(block, *size);
    family->spare = NULL;
    return block;
}

static void keep_spare(struct rf_ring_family *family, char *block, size_t size)
{
    drop_spare(family);
    family->spare = block;
    family->spare_size = size;
    RF_ASAN_FORBID(block, size); /* as if it were freed */
}

/* ---- rings ---- */

/* The sum of the ids with their NULs; false if that overflows. */
static bool sum_ids(const struct rf_ring_member *members, size_t slots_count, size_t *ret_size)
{
    size_t size = 0;
    for (size_t slot = 0; slot < slots_count; slot++) {
        if (members[slot].id != NULL &&
            __builtin_add_overflow(size, strlen(members[slot].id) + 1, &size)) {
            return false;
        }
    }
    *ret_size = size;
    return true;
}

static void copy_members(struct rf_ring *ring, const struct rf_ring_member *members, char *ids)
{
    struct rf_ring_member *copies = (struct rf_ring_member *)ring->members;
    for (size_t slot = 0; slot < ring->slots_count; slot++) {
        copies[slot] = (struct rf_ring_member){0};
        if (members[slot].id != NULL) {
            copies[slot] = (struct rf_ring_member){.id = ids, .replicas = members[slot].replicas};
            ids = stpcpy(ids, members[slot].id) + 1;
            ring->members_count++;
        }
    }
}

int rf_ring_new(enum rf_placement placement, const struct rf_ring_member *members,
                size_t slots_count, uint64_t lines_count, const struct rf_ring *kin,
                struct rf_ring **ret_ring, struct rf_error *err)
{
    size_t points_count = 0;
    int code = rf_ring_count_points(members, slots_count, &points_count, err);
    if (code < 0) {
        return code;
    }
    RF_ASSERT(points_count >= 1);
    struct layout layout;
    size_t ids_size;
    size_t size = 0;
    char *block = NULL;
    struct rf_ring_family *family = kin != NULL ? kin->family : calloc(1, sizeof(*family));
    if (family != NULL && sum_ids(members, slots_count, &ids_size) &&
        layout_make(&layout, lines_count, points_count, slots_count, ids_size)) {
        size = block_size(layout.size);
        block = take_spare(family, &size);
        block = block == NULL ? block_new(size) : block;
    }
    if (block == NULL) {
        if (kin == NULL) {
            free(family);
        }
        return rf_error_set(err, -ENOMEM, "ring of %zu points: out of memory", points_count);
    }
    struct rf_ring *ring = (struct rf_ring *)(void *)block;
    *ring = (struct rf_ring){
        .lines = (void *)(block + layout.lines),
        .lines_count = lines_count,
        .form = rf_ring_form_best(),
        .placement = placement,
        .offsets = (void *)(block + layout.offsets),
        .hashes = (void *)(block + layout.hashes),
        .slots = (void *)(block + layout.slots),
        .points_count = points_count,
        .members = (void *)(block + layout.members),
        .slots_count = slots_count,
        .family = family,
        .size = size,
    };
    family->rings_count++;
    copy_members(ring, members, block + layout.ids);
    *ret_ring = ring;
    return 0;
}

void rf_ring_free(struct rf_ring *ring)
{
    if (ring == NULL) {
        return;
    }
    struct rf_ring_family *family = ring->family;
    const size_t size = ring->size;
    rf_poison(ring, size); /* readers of a catalog see it until the grace period ends */
    if (size >= HUGE_SIZE_MIN && family->rings_count > 1) {
        keep_spare(family, (char *)ring, size);
    } else {
        free(ring);
    }
    if (--family->rings_count == 0) {
        drop_spare(family);
        free(family);
    }
}

void rf_ring_trim(const struct rf_ring *ring)
{
    drop_spare(ring->family);
}
