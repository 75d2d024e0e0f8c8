/* SPDX-License-Identifier: MIT
 *
 * assert.h - our own mistakes end the process at the place where they show.
 *
 * RF_ASSERT stays on in release builds: preconditions, what was just computed, states that cannot
 * be. Never on input. RF_DEBUG_CHECK runs a whole-structure check in debug builds (-DRF_DEBUG).
 */
#ifndef RF_CORE_ASSERT_H
#define RF_CORE_ASSERT_H

#include <assert.h> /* static_assert */

#define RF_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define RF_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#define RF_ASSERT(condition)                                  \
    do {                                                      \
        if (RF_UNLIKELY(!(condition))) {                      \
            rf_assert_failed(#condition, __FILE__, __LINE__); \
        }                                                     \
    } while (0)

#ifdef RF_DEBUG
#define RF_DEBUG_CHECK(call) (call)
#else
#define RF_DEBUG_CHECK(call) ((void)0)
#endif

_Noreturn void rf_assert_failed(const char *condition, const char *file, int line);

#endif
