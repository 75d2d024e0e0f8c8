/* SPDX-License-Identifier: MIT */
#include "net/watch_page.h"

#include <string.h>

#include "core/assert.h"

/* All forgotten ids go into the first page, with room to spare. */
enum { FORGOTTEN_SIZE_MAX = RF_FORGOTTEN_MAX * (2 + RF_NAME_SIZE_MAX) };
static_assert(RF_WIRE_HEADER_SIZE + 28 + FORGOTTEN_SIZE_MAX + 1 + RF_WIRE_OWNER_SIZE_MAX + 3 <=
                  RF_WIRE_PAGE_SIZE_MAX,
              "a page gets beyond the forgotten ones");

static struct rf_wire_bytes bytes_of(const char *text)
{
    return (struct rf_wire_bytes){text, strlen(text)};
}

/* Begins a list of what is new since `base`. */
static void begin_list(struct rf_watch_cursor *cursor, const struct rf_group *group, uint64_t base)
{
    cursor->is_under_way = true;
    cursor->is_absent = false;
    cursor->base = base;
    cursor->target = group->version;
    cursor->after_size = 0;
}

/* Whether the changes after `version` are all known. */
static bool knows_since(const struct rf_group *group, uint64_t version)
{
    return version >= group->since && version <= group->version;
}

/* Decides what the next page begins with. Returns whether that page is `whole`. */
static bool choose_list(struct rf_watch_cursor *cursor, const struct rf_group *group)
{
    if (cursor->is_under_way && knows_since(group, cursor->target)) {
        return false;
    }
    /* An update that cannot be ended, since what happened after its first page is not known any
     * more, leaves the watcher with a part of something. */
    bool is_whole =
        cursor->is_under_way || cursor->is_absent || !knows_since(group, cursor->version);
    begin_list(cursor, group, is_whole ? 0 : cursor->version);
    return is_whole;
}

static int add_forgotten(struct rf_wire_list *list, const struct rf_group *group, uint64_t base)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < group->forgotten_count; i++) {
        if (group->forgotten[i].version > base) {
            code = rf_wire_watch_reply_add_forgotten(list, bytes_of(group->forgotten[i].id));
        }
    }
    return code;
}

/* The position of the first member that the list has not told yet. */
static size_t next_member(const struct rf_watch_cursor *cursor, const struct rf_group *group)
{
    const struct rf_wire_bytes after = {cursor->after, cursor->after_size};
    size_t low = 0;
    size_t high = cursor->after_size == 0 ? 0 : group->members_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rf_wire_bytes_compare(bytes_of(group->members[middle].id), after) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Adds members until the list is through (0) or the page is full (-ENOBUFS). */
static int add_members(struct rf_watch_cursor *cursor, struct rf_wire_list *list,
                       const struct rf_group *group)
{
    int code = 0;
    for (size_t i = next_member(cursor, group); i < group->members_count; i++) {
        const struct rf_member *member = &group->members[i];
        const struct rf_wire_member entry = {
            .owner = {bytes_of(member->id), bytes_of(member->addr)},
            .replicas = (uint16_t)member->replicas,
            .state = member->state};
        if (group->changed[i] <= cursor->base) {
            continue;
        }
        code = rf_wire_watch_reply_add_member(list, &entry);
        if (code < 0) {
            break;
        }
        cursor->after_size = (uint8_t)entry.owner.id.size;
        memcpy(cursor->after, entry.owner.id.data, entry.owner.id.size);
    }
    return code;
}

/* Adds the list from where it is, and then what has changed since it began. */
static int add_changes(struct rf_watch_cursor *cursor, struct rf_wire_list *list,
                       const struct rf_group *group)
{
    for (;;) {
        int code = 0;
        if (cursor->base > 0 && cursor->after_size == 0) {
            code = add_forgotten(list, group, cursor->base);
        }
        if (code == 0) {
            code = add_members(cursor, list, group);
        }
        if (code < 0) {
            return code;
        }
        if (cursor->target == group->version) {
            cursor->is_under_way = false;
            cursor->version = cursor->target;
            return 0;
        }
        begin_list(cursor, group, cursor->target);
    }
}

static size_t encode_absent(struct rf_watch_cursor *cursor, const struct rf_catalog *catalog,
                            uint64_t instance, uint32_t request_id, uint8_t *out, size_t out_size)
{
    struct rf_wire_list list;
    const struct rf_wire_watch_head head = {
        .instance = instance, .version = catalog->version, .is_whole = true};
    if (rf_wire_watch_reply_begin(&list, out, out_size, request_id, &head) < 0) {
        return 0;
    }
    *cursor =
        (struct rf_watch_cursor){.version = catalog->version, .is_absent = true, .is_told = true};
    return rf_wire_list_end(&list, false);
}

size_t rf_watch_page_encode(struct rf_watch_cursor *cursor, const struct rf_group *group,
                            const struct rf_catalog *catalog, uint64_t instance,
                            uint32_t request_id, uint8_t *out, size_t out_size)
{
    RF_ASSERT(rf_watch_is_behind(cursor, group));
    const size_t room = out_size < RF_WIRE_PAGE_SIZE_MAX ? out_size : RF_WIRE_PAGE_SIZE_MAX;
    if (group == NULL) {
        return encode_absent(cursor, catalog, instance, request_id, out, room);
    }
    const struct rf_watch_cursor before = *cursor;
    const struct rf_wire_watch_head head = {.instance = instance,
                                            .version = group->version,
                                            .digest = group->digest,
                                            .is_whole = choose_list(cursor, group)};
    struct rf_wire_list list;
    int code = rf_wire_watch_reply_begin(&list, out, room, request_id, &head);
    if (code == 0) {
        code = add_changes(cursor, &list, group);
    }
    if (code < 0 && room < RF_WIRE_PAGE_SIZE_MAX) { /* pages are not made by the room that happens
                                                       to be left */
        *cursor = before;
        return 0;
    }
    cursor->is_told = true;
    return rf_wire_list_end(&list, cursor->is_under_way);
}
