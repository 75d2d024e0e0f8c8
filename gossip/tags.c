/* SPDX-License-Identifier: MIT */
#include "gossip/tags.h"

#include "core/assert.h"
#include "gossip/message.h"

enum { TAGS_MAGIC = 0xff };

static bool has_map(struct rf_slice meta)
{
    return meta.size > 0 && meta.data[0] == TAGS_MAGIC;
}

int rf_tags_encode(const struct rf_tag *tags, size_t tags_count, struct rf_packer *packer)
{
    RF_ASSERT(tags_count <= UINT32_MAX);
    size_t start = packer->size;
    rf_pack_byte(packer, TAGS_MAGIC);
    rf_pack_map(packer, (uint32_t)tags_count);
    for (size_t i = 0; i < tags_count; i++) {
        rf_pack_raw(packer, tags[i].name);
        rf_pack_raw(packer, tags[i].value);
    }
    int size = rf_packer_end(packer, start);
    if (size > RF_META_SIZE_MAX) {
        packer->size = start;
        return RF_ELIMIT;
    }
    return size;
}

int rf_tags_check(struct rf_slice meta)
{
    if (!has_map(meta)) {
        return 0;
    }
    struct rf_unpacker unpacker = rf_unpacker(rf_slice_after(meta, 1));
    uint32_t count;
    if (rf_unpack_map(&unpacker, &count) < 0) {
        return RF_EMALFORMED;
    }
    for (uint32_t i = 0; i < 2 * count; i++) {
        struct rf_slice text;
        if (rf_unpack_raw(&unpacker, SIZE_MAX, &text) < 0) {
            return RF_EMALFORMED;
        }
    }
    return 0;
}

struct rf_tags_cursor rf_tags_begin(struct rf_slice meta)
{
    if (!has_map(meta)) {
        return (struct rf_tags_cursor){.role = meta, .is_role = true};
    }
    return (struct rf_tags_cursor){.map = rf_cursor_map(rf_slice_after(meta, 1))};
}

bool rf_tags_next(struct rf_tags_cursor *cursor, struct rf_tag *ret_tag)
{
    if (cursor->is_role) {
        cursor->is_role = false;
        *ret_tag = (struct rf_tag){.name = rf_slice_text("role"), .value = cursor->role};
        return true;
    }
    struct rf_tag tag;
    if (!rf_cursor_next_pair(&cursor->map, &tag.name, &tag.value)) {
        return false;
    }
    *ret_tag = tag;
    return true;
}

bool rf_tags_find(struct rf_slice meta, struct rf_slice name, struct rf_slice *ret_value)
{
    struct rf_tags_cursor cursor = rf_tags_begin(meta);
    struct rf_tag tag;
    bool is_found = false;
    while (rf_tags_next(&cursor, &tag)) {
        if (rf_slice_equal(tag.name, name)) {
            *ret_value = tag.value;
            is_found = true;
        }
    }
    return is_found;
}
