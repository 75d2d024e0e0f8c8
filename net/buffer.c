/* SPDX-License-Identifier: MIT */
#include "net/buffer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

static const size_t class_sizes[RF_BUFFER_CLASSES_COUNT] = {
    RF_BUFFER_SMALL_SIZE, RF_BUFFER_MEDIUM_SIZE, RF_BUFFER_LARGE_SIZE};

static size_t size_all(const struct rf_buffer *buffer)
{
    return sizeof(*buffer) + buffer->size_max;
}

/* The class of buffers of `size` bytes in all, RF_BUFFER_CLASSES_COUNT if there is none. */
static unsigned class_for(size_t size)
{
    unsigned i = 0;
    while (i < RF_BUFFER_CLASSES_COUNT && class_sizes[i] < size) {
        i++;
    }
    return i;
}

struct rf_buffer *rf_buffer_get(struct rf_buffer_pool *pool, size_t size)
{
    RF_ASSERT(size >= 1 && size <= UINT32_MAX - sizeof(struct rf_buffer));
    size += sizeof(struct rf_buffer);
    unsigned class = class_for(size);
    if (class < RF_BUFFER_CLASSES_COUNT) {
        size = class_sizes[class];
    }
    if (size > pool->size_max - pool->size) {
        return NULL;
    }
    struct rf_buffer *buffer = class < RF_BUFFER_CLASSES_COUNT ? pool->spare[class] : NULL;
    if (buffer != NULL) {
        pool->spare[class] = buffer->next;
        pool->spare_count[class]--;
    } else {
        buffer = malloc(size);
        if (buffer == NULL) {
            return NULL;
        }
    }
    pool->size += size;
    buffer->next = NULL;
    buffer->size_max = (uint32_t)(size - sizeof(*buffer));
    buffer->begin = 0;
    buffer->end = 0;
    return buffer;
}

void rf_buffer_put(struct rf_buffer_pool *pool, struct rf_buffer *buffer)
{
    if (buffer == NULL) {
        return;
    }
    size_t size = size_all(buffer);
    RF_ASSERT(pool->size >= size);
    pool->size -= size;
    unsigned class = class_for(size);
    if (class < RF_BUFFER_CLASSES_COUNT && class_sizes[class] == size &&
        pool->spare_count[class] < RF_BUFFERS_SPARE_MAX) {
        buffer->next = pool->spare[class];
        pool->spare[class] = buffer;
        pool->spare_count[class]++;
    } else {
        free(buffer);
    }
}

bool rf_buffer_append(struct rf_buffer_pool *pool, struct rf_buffer **buffer, const uint8_t *data,
                      size_t size)
{
    struct rf_buffer *old = *buffer;
    size_t used = rf_buffer_used(old);
    if (old == NULL || old->size_max - used < size) {
        /* Half as much again, so that many small pieces are not copied over and over. */
        size_t wanted = used + size;
        if (old != NULL && wanted < used + used / 2) {
            wanted = used + used / 2;
        }
        struct rf_buffer *larger = rf_buffer_get(pool, wanted);
        if (larger == NULL) {
            return false;
        }
        if (old != NULL) {
            memcpy(larger->data, old->data + old->begin, used);
            larger->end = (uint32_t)used;
            rf_buffer_put(pool, old);
        }
        *buffer = larger;
    } else if (rf_buffer_room(old) < size) {
        memmove(old->data, old->data + old->begin, used);
        old->begin = 0;
        old->end = (uint32_t)used;
    }
    memcpy((*buffer)->data + (*buffer)->end, data, size);
    (*buffer)->end += (uint32_t)size;
    return true;
}

void rf_buffer_pool_fini(struct rf_buffer_pool *pool)
{
    RF_ASSERT(pool->size == 0);
    for (unsigned i = 0; i < RF_BUFFER_CLASSES_COUNT; i++) {
        while (pool->spare[i] != NULL) {
            struct rf_buffer *buffer = pool->spare[i];
            pool->spare[i] = buffer->next;
            free(buffer);
        }
        pool->spare_count[i] = 0;
    }
}
