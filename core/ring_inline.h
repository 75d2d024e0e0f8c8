/* SPDX-License-Identifier: MIT
 *
 * ring_inline.h - one lookup, inlined into its caller: for loops over single keys.
 *
 * Answers as rf_placement_hash and rf_ring_owner do. What a lookup costs in a big ring is how few
 * instructions are between one wait for memory and the next, since the CPU overlaps the lookups of
 * as many keys as its window holds; without the two calls more of them fit (ringbench measures
 * this form). In SSE2, which every x86-64 has: AVX2 code is not inlined into functions that are not
 * AVX2 themselves, and where memory is waited for it is no faster.
 */
#ifndef RF_CORE_RING_INLINE_H
#define RF_CORE_RING_INLINE_H

#define XXH_INLINE_ALL /* a call costs as much as hashing a short key */
#include <xxhash.h>

#include "core/crc32.h"
#include "core/ring_private.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define RF_RING_HAS_X86 1
#else
#define RF_RING_HAS_X86 0
#endif

/* rf_placement_hash. */
static inline uint64_t rf_placement_hash_inline(enum rf_placement placement, const void *key,
                                                size_t key_size)
{
    if (RF_LIKELY(placement == RF_PLACEMENT_V1)) {
        return XXH3_64bits(key, key_size);
    }
    /* The running value is the complement of the crc: the form that a position wants. */
    return (uint64_t)rf_crc32_feed(UINT32_MAX, key, key_size) << 32;
}

/* How many of the fifteen residues are below `residue`: four steps of a binary search, as 15 is
 * 2^4 - 1; the compiler makes them free of branches. */
static inline unsigned rf_ring_before_scalar(const struct rf_ring_line *line, uint16_t residue)
{
    unsigned count = line->residues[7] < residue ? 8 : 0;
    count += line->residues[count + 3] < residue ? 4 : 0;
    count += line->residues[count + 1] < residue ? 2 : 0;
    count += line->residues[count] < residue ? 1 : 0;
    return count;
}

#if RF_RING_HAS_X86
/* The same. A saturating subtraction leaves zero where the point is not below; the bit set by hand
 * stands for the sixteenth lane, which is no point. */
static inline unsigned rf_ring_before_sse2(const struct rf_ring_line *line, uint16_t residue)
{
    const __m128i *halves = (const void *)line;
    __m128i key = _mm_set1_epi16((short)residue);
    __m128i low = _mm_cmpeq_epi16(_mm_subs_epu16(key, halves[0]), _mm_setzero_si128());
    __m128i high = _mm_cmpeq_epi16(_mm_subs_epu16(key, halves[1]), _mm_setzero_si128());
    unsigned mask = (unsigned)_mm_movemask_epi8(_mm_packs_epi16(low, high));
    return (unsigned)__builtin_ctz(mask | 1U << RF_RING_LINE_POINTS);
}
#endif

/* Whether a line cannot tell the owner, given how many of its points are before the residue: the
 * key's residue is that of a point, or is behind the fifteenth. */
static inline bool rf_ring_line_is_unsure(const struct rf_ring_line *line, uint16_t residue,
                                          unsigned before_count)
{
    return RF_UNLIKELY(before_count == RF_RING_LINE_POINTS ||
                       line->residues[before_count] == residue);
}

/* rf_ring_owner, if the line can tell it: for who has another way, so that there is no call here.
 */
static inline bool rf_ring_owner_of_line(const struct rf_ring *ring, uint64_t hash,
                                         uint16_t *ret_slot)
{
    uint16_t residue;
    const struct rf_ring_line *line = &ring->lines[rf_ring_line_of(ring, hash, &residue)];
#if RF_RING_HAS_X86
    unsigned before_count = rf_ring_before_sse2(line, residue);
#else
    unsigned before_count = rf_ring_before_scalar(line, residue);
#endif
    *ret_slot = line->slots[before_count];
    return !rf_ring_line_is_unsure(line, residue, before_count);
}

/* rf_ring_owner. */
static inline uint16_t rf_ring_owner_inline(const struct rf_ring *ring, uint64_t hash)
{
    uint16_t residue;
    const struct rf_ring_line *line = &ring->lines[rf_ring_line_of(ring, hash, &residue)];
#if RF_RING_HAS_X86
    unsigned before_count = rf_ring_before_sse2(line, residue);
#else
    unsigned before_count = rf_ring_before_scalar(line, residue);
#endif
    if (rf_ring_line_is_unsure(line, residue, before_count)) {
        return rf_ring_owner_exact(ring, line, hash, before_count);
    }
    return line->slots[before_count];
}

#endif
