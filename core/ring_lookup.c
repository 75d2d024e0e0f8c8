/* SPDX-License-Identifier: MIT
 *
 * ring_lookup.c - from hash to owner. One cache line answers all but about one lookup in 700.
 *
 * A form of search counts the points of a line that are before the residue of the key. Points
 * ascend, so that is the place of the first lane that is not, which needs no instruction beyond
 * the form's own. The choice of form is a field of the ring, hence in a register or a line that is
 * needed anyway, and a branch that is always predicted; a pointer to a function would be an
 * indirect call.
 */
#include <errno.h>
#include <string.h>

#include "core/ring_inline.h"

enum {
    /* Lines on their way. The level 1 cache can await fewer, but prefetches queue at the next
     * level: of 8 to 64, the last was fastest on a ring larger than the caches and no slower on
     * others. */
    BATCH_AHEAD = 64,
};

/* ---- exact ---- */

size_t rf_ring_first_point(const struct rf_ring *ring, uint64_t hash)
{
    uint16_t residue;
    uint64_t k = rf_ring_line_of(ring, hash, &residue);
    size_t first = ring->offsets[k];
    size_t count = ring->offsets[k + 1] - first;
    while (count > 0) { /* a line may hold any number of points: halve it */
        size_t half = count / 2;
        if (ring->hashes[first + half] < hash) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first < ring->points_count ? first : 0;
}

uint16_t rf_ring_owner_exact(const struct rf_ring *ring, const struct rf_ring_line *line,
                             uint64_t hash, unsigned before_count)
{
    if (before_count == RF_RING_LINE_POINTS && line->points_count == RF_RING_LINE_POINTS) {
        return line->slots[RF_RING_LINE_POINTS];
    }
    return ring->slots[rf_ring_first_point(ring, hash)];
}

/* ---- the forms ---- */

#if RF_RING_HAS_X86
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline unsigned rf_ring_before_avx2(const struct rf_ring_line *line, uint16_t residue)
{
    __m256i points = _mm256_load_si256((const void *)line);
    __m256i key = _mm256_set1_epi16((short)residue);
    __m256i is_not_below =
        _mm256_cmpeq_epi16(_mm256_subs_epu16(key, points), _mm256_setzero_si256());
    unsigned mask = (unsigned)_mm256_movemask_epi8(is_not_below); /* two bits a lane */
    return (unsigned)__builtin_ctz(mask | 1U << 2 * RF_RING_LINE_POINTS) / 2;
}
#endif

/* One lookup and a batch in each form, as a form's instructions must be inlined to be worth it. */
#define DEFINE_FORM(form, target)                                                              \
    target static inline uint16_t owner_##form(const struct rf_ring *ring, uint64_t hash)      \
    {                                                                                          \
        uint16_t residue;                                                                      \
        const struct rf_ring_line *line = &ring->lines[rf_ring_line_of(ring, hash, &residue)]; \
        unsigned before_count = rf_ring_before_##form(line, residue);                          \
        if (rf_ring_line_is_unsure(line, residue, before_count)) {                             \
            return rf_ring_owner_exact(ring, line, hash, before_count);                        \
        }                                                                                      \
        return line->slots[before_count];                                                      \
    }                                                                                          \
                                                                                               \
    target static void batch_##form(const struct rf_ring *ring, const uint64_t *hashes,        \
                                    size_t count, uint16_t *ret_slots)                         \
    {                                                                                          \
        size_t ahead = count < BATCH_AHEAD ? count : BATCH_AHEAD;                              \
        for (size_t i = 0; i < ahead; i++) {                                                   \
            rf_ring_prefetch(ring, hashes[i]);                                                 \
        }                                                                                      \
        for (size_t i = 0; i < count - ahead; i++) {                                           \
            rf_ring_prefetch(ring, hashes[i + ahead]);                                         \
            ret_slots[i] = owner_##form(ring, hashes[i]);                                      \
        }                                                                                      \
        for (size_t i = count - ahead; i < count; i++) {                                       \
            ret_slots[i] = owner_##form(ring, hashes[i]);                                      \
        }                                                                                      \
    }

/* ---- public ---- */

inline void rf_ring_prefetch(const struct rf_ring *ring, uint64_t hash)
{
    uint16_t residue;
    __builtin_prefetch(&ring->lines[rf_ring_line_of(ring, hash, &residue)]);
}

DEFINE_FORM(scalar, )
#if RF_RING_HAS_X86
DEFINE_FORM(sse2, )
DEFINE_FORM(avx2, AVX2)
#endif

uint16_t rf_ring_owner(const struct rf_ring *ring, uint64_t hash)
{
#if RF_RING_HAS_X86
    if (RF_LIKELY(ring->form == RF_RING_AVX2)) {
        return owner_avx2(ring, hash);
    }
    if (ring->form == RF_RING_SSE2) {
        return owner_sse2(ring, hash);
    }
#endif
    return owner_scalar(ring, hash);
}

void rf_ring_owner_batch(const struct rf_ring *ring, const uint64_t *hashes, size_t count,
                         uint16_t *ret_slots)
{
#if RF_RING_HAS_X86
    if (ring->form == RF_RING_AVX2) {
        batch_avx2(ring, hashes, count, ret_slots);
        return;
    }
    if (ring->form == RF_RING_SSE2) {
        batch_sse2(ring, hashes, count, ret_slots);
        return;
    }
#endif
    batch_scalar(ring, hashes, count, ret_slots);
}

/* ---- forms ---- */

static bool has_form(enum rf_ring_form form)
{
    switch (form) {
    case RF_RING_SCALAR:
        return true;
#if RF_RING_HAS_X86
    case RF_RING_SSE2:
        return true; /* every x86-64 has it */
    case RF_RING_AVX2:
        return __builtin_cpu_supports("avx2"); /* and the kernel saves its registers */
#else
    case RF_RING_SSE2:
    case RF_RING_AVX2:
        return false;
#endif
    }
    return false;
}

enum rf_ring_form rf_ring_form_best(void)
{
    return has_form(RF_RING_AVX2)   ? RF_RING_AVX2
           : has_form(RF_RING_SSE2) ? RF_RING_SSE2
                                    : RF_RING_SCALAR;
}

const char *rf_ring_form_name(enum rf_ring_form form)
{
    static const char *const names[] = {"scalar", "sse2", "avx2"};
    return names[form];
}

enum rf_ring_form rf_ring_form(const struct rf_ring *ring)
{
    return ring->form;
}

bool rf_ring_force_form(struct rf_ring *ring, enum rf_ring_form form)
{
    if (!has_form(form)) {
        return false;
    }
    ring->form = form;
    return true;
}
