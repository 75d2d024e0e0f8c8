/* SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/output.h"

enum { ITEMS_MIN = 16, BYTES_MIN = 4096 };

/*
 * The byte area moves when it grows, so items hold offsets in their pointer fields until they are
 * handed out: base + offset is computed then.
 */
struct rf_outbox_item {
    struct rf_output output;
    size_t bytes_offset;
    size_t name_offset;
    size_t text_offset;
};

void rf_outbox_init(struct rf_outbox *outbox)
{
    *outbox = (struct rf_outbox){0};
}

void rf_outbox_fini(struct rf_outbox *outbox)
{
    free(outbox->items);
    free(outbox->bytes);
    *outbox = (struct rf_outbox){0};
}

void rf_outbox_clear(struct rf_outbox *outbox)
{
    outbox->count = 0;
    outbox->next = 0;
    outbox->bytes_size = 0;
    outbox->is_lost = false;
    if (outbox->bytes_capacity + outbox->capacity * sizeof(outbox->items[0]) >
        RF_OUTBOX_KEEP_SIZE) {
        rf_outbox_fini(outbox);
    }
}

static bool reserve_item(struct rf_outbox *outbox)
{
    if (outbox->count < outbox->capacity) {
        return true;
    }
    size_t capacity = outbox->capacity == 0 ? ITEMS_MIN : 2 * outbox->capacity;
    if (capacity > RF_OUTBOX_ITEMS_MAX) {
        return false;
    }
    struct rf_outbox_item *items = realloc(outbox->items, capacity * sizeof(items[0]));
    if (items == NULL) {
        return false;
    }
    outbox->items = items;
    outbox->capacity = capacity;
    return true;
}

static bool reserve_bytes(struct rf_outbox *outbox, size_t size)
{
    size_t needed = outbox->bytes_size + size;
    size_t capacity = outbox->bytes_capacity == 0 ? BYTES_MIN : outbox->bytes_capacity;
    while (capacity < needed) {
        capacity *= 2;
    }
    if (capacity > RF_OUTBOX_BYTES_MAX) {
        return false;
    }
    if (capacity != outbox->bytes_capacity) {
        uint8_t *bytes = realloc(outbox->bytes, capacity);
        if (bytes == NULL) {
            return false;
        }
        outbox->bytes = bytes;
        outbox->bytes_capacity = capacity;
    }
    return true;
}

/* Copies and ends with a NUL, which names and texts have anyway. */
static size_t append(struct rf_outbox *outbox, const void *data, size_t size)
{
    size_t offset = outbox->bytes_size;
    if (size > 0) {
        memcpy(outbox->bytes + offset, data, size);
    }
    outbox->bytes[offset + size] = 0;
    outbox->bytes_size += size + 1;
    return offset;
}

bool rf_outbox_put(struct rf_outbox *outbox, const struct rf_output *output)
{
    size_t text_size = output->text == NULL ? 0 : strlen(output->text);
    if (!reserve_item(outbox) ||
        !reserve_bytes(outbox, output->bytes_size + output->name_size + text_size + 3)) {
        outbox->is_lost = true;
        return false;
    }
    struct rf_outbox_item *item = &outbox->items[outbox->count++];
    *item = (struct rf_outbox_item){.output = *output};
    item->bytes_offset = append(outbox, output->bytes, output->bytes_size);
    item->name_offset = append(outbox, output->name, output->name_size);
    item->text_offset = append(outbox, output->text, text_size);
    return true;
}

bool rf_outbox_next(struct rf_outbox *outbox, struct rf_output *ret_output)
{
    if (outbox->next == outbox->count) {
        if (!outbox->is_lost) {
            return false;
        }
        outbox->is_lost = false;
        *ret_output = (struct rf_output){.type = RF_OUTPUT_RESYNC};
        return true;
    }
    const struct rf_outbox_item *item = &outbox->items[outbox->next++];
    RF_ASSERT(item->text_offset < outbox->bytes_size);
    *ret_output = item->output;
    ret_output->bytes = outbox->bytes + item->bytes_offset;
    ret_output->name = (const char *)outbox->bytes + item->name_offset;
    ret_output->text =
        item->output.text == NULL ? NULL : (const char *)outbox->bytes + item->text_offset;
    return true;
}
