/* SPDX-License-Identifier: MIT
 *
 * sim_alloc.c - counts the memory blocks that machines and simulator hold, so that a run can be
 * held to giving all of them back. Linked with --wrap for the allocators below; blocks that shared
 * libraries make and free by themselves are not counted.
 */
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/sim.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
void __real_free(void *pointer);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);
void __wrap_free(void *pointer);

static int64_t blocks_held;

int64_t rf_sim_blocks_held(void)
{
    return blocks_held;
}

void *__wrap_malloc(size_t size)
{
    void *pointer = __real_malloc(size);
    blocks_held += pointer != NULL;
    return pointer;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *pointer = __real_calloc(count, size);
    blocks_held += pointer != NULL;
    return pointer;
}

void *__wrap_realloc(void *pointer, size_t size)
{
    void *grown = __real_realloc(pointer, size);
    blocks_held += pointer == NULL && grown != NULL;
    return grown;
}

void __wrap_free(void *pointer)
{
    blocks_held -= pointer != NULL;
    __real_free(pointer);
}
