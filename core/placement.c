/* SPDX-License-Identifier: MIT
 *
 * placement.c - where keys and the points of members lie: the only part of a ring that other
 * languages must copy bit by bit. The definition is core/RING.md.
 *
 * A position is 64 bits and the owner is always the first point at or after the key. The Go
 * registry's rule, the greatest point not above the key, becomes that one when every crc is
 * replaced by its complement; the complement is the upper half of the position, so that the
 * multiplication in ring_private.h spreads 32-bit values over all lines.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "core/ring_inline.h"

static void points_v1(const char *id, uint32_t first, size_t count, uint64_t *ret_points)
{
    uint64_t input[2] = {htole64(XXH3_64bits(id, strlen(id))), 0};
    for (size_t i = 0; i < count; i++) {
        input[1] = htole64(first + i);
        ret_points[i] = XXH3_64bits(input, sizeof(input));
    }
}

/* The digits of `number`, most significant first, without leading zeros; returns their count. */
static size_t format_decimal(uint32_t number, char ret_digits[10])
{
    size_t digits_count = 1;
    for (uint32_t rest = number; rest >= 10; rest /= 10) {
        digits_count++;
    }
    for (size_t i = digits_count; i-- > 0; number /= 10) {
        ret_digits[i] = (char)('0' + number % 10);
    }
    return digits_count;
}

/* The running value is the complement of the crc: the form that a position wants. */
static void points_crc32(const char *id, uint32_t first, size_t count, uint64_t *ret_points)
{
    size_t id_size = strlen(id);
    for (size_t i = 0; i < count; i++) {
        char digits[10];
        size_t digits_count = format_decimal(first + (uint32_t)i, digits);
        uint32_t running = rf_crc32_feed(UINT32_MAX, digits, digits_count);
        ret_points[i] = (uint64_t)rf_crc32_feed(running, id, id_size) << 32;
    }
}

void rf_placement_points(enum rf_placement placement, const char *id, uint32_t first, size_t count,
                         uint64_t *ret_points)
{
    switch (placement) {
    case RF_PLACEMENT_V1:
        points_v1(id, first, count, ret_points);
        return;
    case RF_PLACEMENT_CRC32:
        points_crc32(id, first, count, ret_points);
        return;
    }
    RF_ASSERT(!"a placement");
}

uint64_t rf_placement_hash(enum rf_placement placement, const void *key, size_t key_size)
{
    return rf_placement_hash_inline(placement, key, key_size);
}

static const char *const placement_names[] = {"v1", "crc32"};

const char *rf_placement_name(enum rf_placement placement)
{
    return placement_names[placement];
}

int rf_placement_parse(const char *name, enum rf_placement *ret_placement, struct rf_error *err)
{
    for (size_t i = 0; i < sizeof(placement_names) / sizeof(placement_names[0]); i++) {
        if (strcmp(name, placement_names[i]) == 0) {
            *ret_placement = (enum rf_placement)i;
            return 0;
        }
    }
    return rf_error_set(err, -EINVAL, "placement '%s': allowed are v1, crc32", name);
}
