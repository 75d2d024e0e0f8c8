/* SPDX-License-Identifier: MIT */
#include "core/digest.h"

#include <string.h>
#include <xxhash.h>

#include "core/assert.h"

enum {
    FIELD_SIZE_MAX = 1 + RF_NAME_SIZE_MAX,
    MEMBER_SIZE_MAX = 3 * FIELD_SIZE_MAX + 4,
};

/* Length first, so that no two lists of fields give the same bytes. */
static uint8_t *put_text(uint8_t *at, const char *text)
{
    const size_t size = strlen(text);
    RF_ASSERT(size <= RF_NAME_SIZE_MAX);
    *at++ = (uint8_t)size;
    memcpy(at, text, size);
    return at + size;
}

static uint8_t *put_u(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        *at++ = (uint8_t)(value >> (8 * i));
    }
    return at;
}

uint64_t rf_digest_member(const struct rf_member *member)
{
    uint8_t bytes[MEMBER_SIZE_MAX];
    uint8_t *at = put_text(bytes, member->group);
    at = put_text(at, member->id);
    at = put_text(at, member->addr);
    at = put_u(at, member->replicas, 4);
    return XXH3_64bits(bytes, (size_t)(at - bytes));
}

uint64_t rf_digest_catalog(enum rf_placement placement, uint64_t groups_sum)
{
    uint8_t bytes[8 + FIELD_SIZE_MAX];
    uint8_t *at = put_u(bytes, groups_sum, 8);
    at = put_text(at, rf_placement_name(placement));
    return XXH3_64bits(bytes, (size_t)(at - bytes));
}
