/* SPDX-License-Identifier: MIT
 *
 * fuzz_serf_message.c - the input as a serf message, a Meta, a filter and a coordinate: walked to
 * the end, and encoded again to what decodes to the same.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/coordinate.h"
#include "gossip/serf_message.h"
#include "gossip/tags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A cursor over what was decoded sees every entry. */
static void walk_raws(struct rf_slice encoded)
{
    struct rf_cursor cursor = rf_cursor_array(encoded);
    uint32_t count = 0;
    struct rf_slice item;
    while (rf_cursor_next_raw(&cursor, &item)) {
        struct rf_serf_filter filter;
        (void)!rf_serf_filter_decode(item, &filter);
        count++;
    }
    RF_ASSERT(count == cursor.count);
}

static void walk_push_pull(const struct rf_serf_push_pull *push_pull)
{
    walk_raws(push_pull->left_members);
    struct rf_cursor status = rf_cursor_map(push_pull->status_ltimes);
    struct rf_slice name;
    struct rf_slice payload;
    uint64_t ltime;
    uint32_t count = 0;
    while (rf_cursor_next_uint(&status, &name, &ltime)) {
        count++;
    }
    RF_ASSERT(count == status.count);
    struct rf_cursor slots = rf_cursor_array(push_pull->events);
    struct rf_serf_event_slot slot;
    uint32_t index;
    while (rf_serf_next_event_slot(&slots, &slot, &index)) {
        RF_ASSERT(index < slots.count);
        struct rf_cursor events = rf_cursor_array(slot.events);
        count = 0;
        while (rf_serf_next_event(&events, &name, &payload)) {
            count++;
        }
        RF_ASSERT(count == events.count);
    }
}

static void walk_tags(struct rf_slice meta)
{
    struct rf_tags_cursor cursor = rf_tags_begin(meta);
    struct rf_tag tag;
    bool is_valid = rf_tags_check(meta) == 0;
    while (rf_tags_next(&cursor, &tag)) {
        struct rf_slice value;
        RF_ASSERT(!is_valid || rf_tags_find(meta, tag.name, &value));
    }
}

static void encode_again(const struct rf_serf_message *message, size_t size)
{
    size_t size_max = size + 256; /* all keys of a struct that came as an array */
    uint8_t *encoded = malloc(size_max);
    uint8_t *again = malloc(size_max);
    RF_ASSERT(encoded != NULL && again != NULL);
    struct rf_packer packer = rf_packer(encoded, size_max);
    int encoded_size = rf_serf_message_encode(message, &packer);
    RF_ASSERT(encoded_size > 0);
    struct rf_serf_message decoded;
    RF_ASSERT(rf_serf_message_decode(rf_packer_slice(&packer), &decoded) == 0);
    packer = rf_packer(again, size_max);
    RF_ASSERT(rf_serf_message_encode(&decoded, &packer) == encoded_size);
    RF_ASSERT(memcmp(encoded, again, (size_t)encoded_size) == 0);
    free(again);
    free(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rf_slice bytes = rf_slice(data, size);
    walk_tags(bytes);
    struct rf_coordinate coordinate;
    (void)!rf_coordinate_decode(bytes, &coordinate);
    struct rf_serf_filter filter;
    if (rf_serf_filter_decode(bytes, &filter) == 0) {
        walk_raws(filter.nodes);
    }
    struct rf_serf_message message;
    if (rf_serf_message_decode(bytes, &message) < 0) {
        return 0;
    }
    if (message.type == RF_SERF_PUSH_PULL) {
        walk_push_pull(&message.push_pull);
        return 0;
    }
    if (message.type == RF_SERF_QUERY) {
        walk_raws(message.query.filters);
    }
    encode_again(&message, size);
    return 0;
}
