/* SPDX-License-Identifier: MIT
 *
 * sanitizer.h - RF_HAS_TSAN: whether the thread sanitizer watches, which must be told what it
 * cannot see, or given what it can. RF_ASAN_FORBID, RF_ASAN_ALLOW: tell the address sanitizer that
 * memory must not be touched from now on, or may be again; without it they do nothing.
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

#if defined(__SANITIZE_ADDRESS__)
#define RF_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RF_HAS_ASAN 1
#endif
#endif
#ifndef RF_HAS_ASAN
#define RF_HAS_ASAN 0
#endif

#if RF_HAS_ASAN
#include <sanitizer/asan_interface.h>
#define RF_ASAN_FORBID(memory, size) ASAN_POISON_MEMORY_REGION(memory, size)
#define RF_ASAN_ALLOW(memory, size) ASAN_UNPOISON_MEMORY_REGION(memory, size)
#else
#define RF_ASAN_FORBID(memory, size) ((void)(memory), (void)(size))
#define RF_ASAN_ALLOW(memory, size) ((void)(memory), (void)(size))
#endif

#endif
