/* SPDX-License-Identifier: MIT
 *
 * slice.h - bytes that somebody else owns: how decoded strings and payloads are handed around
 * without a copy. Not NUL-terminated, and may hold any byte.
 */
#ifndef RF_GOSSIP_SLICE_H
#define RF_GOSSIP_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* data == NULL (then size is 0) means absent or nil where a protocol tells that from empty. */
struct rf_slice {
    const uint8_t *data;
    size_t size;
};

static inline struct rf_slice rf_slice(const void *data, size_t size)
{
    return (struct rf_slice){.data = data, .size = size};
}

/* The bytes of a NUL-terminated string, without the NUL; NULL gives the absent slice. */
static inline struct rf_slice rf_slice_text(const char *text)
{
    return rf_slice(text, text == NULL ? 0 : strlen(text));
}

/* Equal bytes; absent and empty are equal. */
static inline bool rf_slice_equal(struct rf_slice a, struct rf_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool rf_slice_equal_text(struct rf_slice a, const char *text)
{
    return rf_slice_equal(a, rf_slice_text(text));
}

/* What follows the first `size` bytes; `size` is at most a.size. */
static inline struct rf_slice rf_slice_after(struct rf_slice a, size_t size)
{
    return rf_slice(a.data + size, a.size - size);
}

#endif
