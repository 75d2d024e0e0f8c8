/* SPDX-License-Identifier: MIT
 *
 * sanitizer.h - RF_HAS_TSAN: whether the thread sanitizer watches, which must be told what it
 * cannot see, or given what it can.
 */
#ifndef RF_CORE_SANITIZER_H
#define RF_CORE_SANITIZER_H

#if defined(__SANITIZE_THREAD__)
#define RF_HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RF_HAS_TSAN 1
#endif
#endif
#ifndef RF_HAS_TSAN
#define RF_HAS_TSAN 0
#endif

#endif
