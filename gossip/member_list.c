/* SPDX-License-Identifier: MIT */
#include "gossip/member_list.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/tags.h"

/* Sizes of the parts of a block: header, members, tags, text, in this order. */
struct measure {
    size_t members_count;
    size_t tags_count;
    size_t text_size;
};

/* Where the next of each part goes. */
struct writer {
    struct rf_gossip_member *members;
    struct rf_gossip_tag *tags;
    char *text;
};

static_assert(sizeof(struct rf_gossip_event) % _Alignof(struct rf_gossip_member) == 0, "aligned");
static_assert(sizeof(struct rf_gossip_members) % _Alignof(struct rf_gossip_member) == 0, "aligned");
static_assert(sizeof(struct rf_gossip_member) % _Alignof(struct rf_gossip_tag) == 0, "aligned");

static struct rf_slice meta_of(const struct rf_serf_member_view *member)
{
    return rf_slice(member->meta, member->meta_size);
}

static void measure_member(struct measure *measure, const struct rf_serf_member_view *member)
{
    measure->members_count++;
    measure->text_size += member->name_size + 1;
    struct rf_tags_cursor cursor = rf_tags_begin(meta_of(member));
    struct rf_tag tag;
    while (rf_tags_next(&cursor, &tag)) {
        measure->tags_count++;
        measure->text_size += tag.name.size + 1 + tag.value.size + 1;
    }
}

/* A NUL inside becomes 1: whoever checks for control characters finds it, and nothing is cut. */
static const char *write_text(struct writer *writer, struct rf_slice text)
{
    char *start = writer->text;
    for (size_t i = 0; i < text.size; i++) {
        start[i] = text.data[i] == 0 ? '\1' : (char)text.data[i];
    }
    start[text.size] = '\0';
    writer->text += text.size + 1;
    return start;
}

enum rf_member_state rf_member_state_of(enum rf_serf_status status)
{
    switch (status) {
    case RF_SERF_ALIVE:
        return RF_MEMBER_ALIVE;
    case RF_SERF_LEAVING:
        return RF_MEMBER_LEAVING;
    case RF_SERF_LEFT:
        return RF_MEMBER_LEFT;
    case RF_SERF_NONE: /* never seen alive */
    case RF_SERF_FAILED:
        return RF_MEMBER_FAILED;
    }
    return RF_MEMBER_FAILED;
}

static void write_member(struct writer *writer, const struct rf_serf_member_view *member)
{
    struct rf_gossip_tag *tags = writer->tags;
    size_t tags_count = 0;
    struct rf_tags_cursor cursor = rf_tags_begin(meta_of(member));
    struct rf_tag tag;
    while (rf_tags_next(&cursor, &tag)) {
        tags[tags_count].name = write_text(writer, tag.name);
        tags[tags_count].value = write_text(writer, tag.value);
        tags_count++;
    }
    writer->tags += tags_count;
    *writer->members++ = (struct rf_gossip_member){
        .name = write_text(writer, rf_slice(member->name, member->name_size)),
        .address = member->address,
        .state = rf_member_state_of(member->status),
        .tags = tags,
        .tags_count = tags_count,
    };
}

/* Allocates header and parts; points `ret_writer` at the parts. */
static void *block_new(size_t header_size, const struct measure *measure, struct writer *ret_writer)
{
    size_t members_size = measure->members_count * sizeof(struct rf_gossip_member);
    size_t tags_size = measure->tags_count * sizeof(struct rf_gossip_tag);
    char *block = malloc(header_size + members_size + tags_size + measure->text_size);
    if (block != NULL) {
        char *at = block + header_size;
        ret_writer->members = (void *)at;
        ret_writer->tags = (void *)(at + members_size);
        ret_writer->text = at + members_size + tags_size;
    }
    return block;
}

/* A block whose members are all that the machine knows. */
static void *block_of_all(size_t header_size, const struct rf_serf *serf,
                          struct rf_gossip_members *ret_members)
{
    struct measure measure = {0};
    struct rf_serf_member_view member;
    size_t cursor = 0;
    while (rf_serf_member_next(serf, &cursor, &member)) {
        measure_member(&measure, &member);
    }
    struct writer writer = {0};
    void *block = block_new(header_size, &measure, &writer);
    if (block == NULL) {
        return NULL;
    }
    *ret_members = (struct rf_gossip_members){measure.members_count, writer.members};
    cursor = 0;
    while (rf_serf_member_next(serf, &cursor, &member)) {
        write_member(&writer, &member);
    }
    RF_ASSERT(writer.members == ret_members->items + ret_members->count);
    return block;
}

struct rf_gossip_members *rf_member_list_new(const struct rf_serf *serf)
{
    struct rf_gossip_members members;
    struct rf_gossip_members *list = block_of_all(sizeof(*list), serf, &members);
    if (list != NULL) {
        *list = members;
    }
    return list;
}

struct rf_gossip_event *rf_member_event_resync_new(const struct rf_serf *serf)
{
    struct rf_gossip_members members;
    struct rf_gossip_event *event = block_of_all(sizeof(*event), serf, &members);
    if (event != NULL) {
        *event = (struct rf_gossip_event){RF_GOSSIP_EVENT_RESYNC, members};
    }
    return event;
}

struct rf_gossip_event *rf_member_event_new(enum rf_gossip_event_kind kind,
                                            const struct rf_serf_member_view *member)
{
    struct measure measure = {0};
    measure_member(&measure, member);
    struct writer writer = {0};
    struct rf_gossip_event *event = block_new(sizeof(*event), &measure, &writer);
    if (event != NULL) {
        *event = (struct rf_gossip_event){kind, {1, writer.members}};
        write_member(&writer, member);
    }
    return event;
}

struct rf_gossip_event *rf_member_event_name_lost_new(void)
{
    struct rf_gossip_event *event = calloc(1, sizeof(*event));
    if (event != NULL) {
        event->kind = RF_GOSSIP_EVENT_NAME_LOST;
    }
    return event;
}

const char *rf_gossip_member_tag(const struct rf_gossip_member *member, const char *name)
{
    /* Of equal names the last counts, as in the map that Go peers make of them. */
    for (size_t i = member->tags_count; i > 0; i--) {
        if (strcmp(member->tags[i - 1].name, name) == 0) {
            return member->tags[i - 1].value;
        }
    }
    return NULL;
}

void rf_gossip_members_free(struct rf_gossip_members *members)
{
    free(members);
}

void rf_gossip_event_free(struct rf_gossip_event *event)
{
    free(event);
}
