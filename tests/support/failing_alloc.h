/* SPDX-License-Identifier: MIT
 *
 * failing_alloc.h - lets one chosen allocation fail. For tests named test_*_nomem.c, which are
 * linked with --wrap for the allocators below; included once, by the test itself. Only calls from
 * our own libraries are counted, not those from inside shared ones.
 */
#ifndef RF_TESTS_FAILING_ALLOC_H
#define RF_TESTS_FAILING_ALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **ret, size_t alignment, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret, size_t alignment, size_t size);

/* The thread's allocation with this number, counted down from now on, fails; 0: none. */
static _Thread_local size_t failing_alloc_in;

static bool failing_alloc_is_now(void)
{
    return failing_alloc_in > 0 && --failing_alloc_in == 0;
}

void *__wrap_malloc(size_t size)
{
    return failing_alloc_is_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return failing_alloc_is_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *pointer, size_t size)
{
    return failing_alloc_is_now() ? NULL : __real_realloc(pointer, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return failing_alloc_is_now() ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **ret, size_t alignment, size_t size)
{
    return failing_alloc_is_now() ? ENOMEM : __real_posix_memalign(ret, alignment, size);
}

#endif
