/* SPDX-License-Identifier: MIT
 *
 * lists.c - the calls of regfast.h whose answers are lists: read page by page, handed out in one
 * allocation.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "core/catalog.h"

enum {
    RESTARTS_MAX = 8, /* a group that changes within every few pages would be read for ever */
};

/* Entries of all pages as they came, one after the other: the iterators of wire.h read them. */
struct pages {
    uint8_t *data;
    size_t size;
    size_t capacity;
    uint32_t count;
    uint64_t version;
    uint64_t digest;
};

/* What pages of members and of groups have in common. */
struct page {
    uint64_t version;
    uint64_t digest;
    bool more;
    uint16_t count;
    struct rf_wire_cursor entries;
    struct rf_wire_bytes first; /* name in the first entry */
    struct rf_wire_bytes last;
};

/* How to read one kind of list. `group` is NULL for groups. */
struct kind {
    size_t (*encode)(uint8_t *out, size_t out_size, const char *group, struct rf_wire_bytes after);
    int (*decode)(struct rf_wire_bytes payload, struct page *ret_page, struct rf_error *err);
    uint32_t count_max; /* no registry holds more: bounds what a lying one makes us hold */
};

static int append(struct pages *pages, const void *data, size_t size)
{
    if (size > pages->capacity - pages->size) {
        size_t capacity = 2 * (pages->size + size);
        uint8_t *grown = realloc(pages->data, capacity);
        if (grown == NULL) {
            return -ENOMEM;
        }
        pages->data = grown;
        pages->capacity = capacity;
    }
    if (size > 0) {
        memcpy(pages->data + pages->size, data, size);
    }
    pages->size += size;
    return 0;
}

/* A request for one page. */
struct page_call {
    struct rf_call call;
    const struct kind *kind;
    const struct regfast_client *client;
    struct pages *pages;
    uint64_t serial;             /* of the connection that the pages are from; 0: none yet */
    bool is_changed;             /* since the page before */
    bool more;                   /* pages */
    char last[RF_NAME_SIZE_MAX]; /* name that this page comes after */
    size_t last_size;
};

/* Keeps a page. */
static int take_page(struct rf_call *call, const uint8_t *payload, size_t size,
                     struct rf_error *err)
{
    struct page_call *asked = (struct page_call *)call;
    struct pages *pages = asked->pages;
    struct page page;
    int code = asked->kind->decode((struct rf_wire_bytes){payload, size}, &page, err);
    if (code < 0) {
        return code;
    }
    /* Versions of two registries, or of one before and after a restart, say nothing. */
    asked->is_changed = asked->serial != 0 &&
                        (asked->serial != asked->client->serial || page.version != pages->version);
    if (asked->is_changed) {
        return 0;
    }
    asked->serial = asked->client->serial;
    if (page.count > 0 &&
        rf_wire_bytes_compare(page.first, (struct rf_wire_bytes){asked->last, asked->last_size}) <=
            0) {
        return rf_error_set(err, RF_EMALFORMED, "a page begins before where it was asked for");
    }
    if (page.count > asked->kind->count_max - pages->count) {
        return rf_error_set(err, RF_EMALFORMED, "more than %u entries", asked->kind->count_max);
    }
    code = append(pages, page.entries.at, (size_t)(payload + size - page.entries.at));
    if (code < 0) {
        return rf_error_set(err, code, "no memory for a list of %zu bytes", pages->size);
    }
    if (page.count > 0) {
        memcpy(asked->last, page.last.data, page.last.size);
        asked->last_size = page.last.size;
    }
    asked->more = page.more;
    pages->count += page.count;
    pages->version = page.version;
    pages->digest = page.digest;
    return 0;
}

/* Reads all pages at one version. Returns 1 if it changed in between. */
static int read_once(struct regfast_client *client, const struct kind *kind, const char *group,
                     uint64_t deadline_ns, struct pages *pages, struct rf_error *err)
{
    struct page_call asked = {.kind = kind, .client = client, .pages = pages, .more = true};
    pages->size = 0;
    pages->count = 0;
    while (asked.more) {
        asked.call =
            (struct rf_call){.frame = client->out, .take = take_page, .deadline_ns = deadline_ns};
        asked.call.frame_size = kind->encode(client->out, sizeof(client->out), group,
                                             (struct rf_wire_bytes){asked.last, asked.last_size});
        int code = rf_client_call(client, &asked.call, err);
        if (code < 0 || asked.is_changed) {
            return code < 0 ? code : 1;
        }
    }
    return 0;
}

static int read_pages(struct regfast_client *client, const struct kind *kind, const char *group,
                      struct pages *pages, struct rf_error *err)
{
    const uint64_t deadline_ns = rf_client_deadline_ns(client);
    int code = rf_client_enter(client, deadline_ns, err);
    if (code < 0) {
        return code;
    }
    code = 1;
    for (int i = 0; code == 1 && i < RESTARTS_MAX; i++) {
        code = read_once(client, kind, group, deadline_ns, pages, err);
    }
    if (code == 1) {
        code = rf_error_set(err, -EAGAIN, "%s: the list changed %d times while it was read",
                            client->server, RESTARTS_MAX);
    }
    rf_client_leave(client);
    return code;
}

/* Room for `count` entries after a head, then for all strings with their NULs. The head is itself
 * aligned for anything; entries hold pointers and 64-bit numbers. */
static void *allocate(size_t head_size, size_t entry_size, size_t count, size_t strings_size)
{
    return malloc(head_size + entry_size * count + strings_size);
}

static const char *put_string(char **at, struct rf_wire_bytes bytes)
{
    char *string = *at;
    if (bytes.size > 0) {
        memcpy(string, bytes.data, bytes.size);
    }
    string[bytes.size] = '\0';
    *at += bytes.size + 1;
    return string;
}

/* ---- members ---- */

static size_t encode_members(uint8_t *out, size_t out_size, const char *group,
                             struct rf_wire_bytes after)
{
    return rf_wire_members_request_encode(out, out_size, 0,
                                          (struct rf_wire_bytes){group, strlen(group)}, after);
}

static int decode_members(struct rf_wire_bytes payload, struct page *ret_page, struct rf_error *err)
{
    struct rf_wire_members_reply reply;
    int code = rf_wire_members_reply_decode(payload.data, payload.size, &reply, err);
    if (code < 0) {
        return code;
    }
    *ret_page = (struct page){reply.version, reply.digest, reply.more, reply.count,
                              reply.members, {NULL, 0},    {NULL, 0}};
    struct rf_wire_member member;
    for (struct rf_wire_cursor left = reply.members; rf_wire_members_next(&left, &member);) {
        if (ret_page->first.size == 0) {
            ret_page->first = member.owner.id;
        }
        ret_page->last = member.owner.id;
    }
    return 0;
}

static struct regfast_member_list *make_members(const struct pages *pages)
{
    /* Each string takes as many bytes as on the wire: a NUL for the size. */
    struct regfast_member_list *list =
        allocate(sizeof(*list), sizeof(struct regfast_member), pages->count, pages->size);
    if (list == NULL) {
        return NULL;
    }
    struct regfast_member *members = (struct regfast_member *)(list + 1);
    char *strings = (char *)(members + pages->count);
    struct rf_wire_cursor left = {pages->data, pages->count};
    struct rf_wire_member member;
    for (size_t i = 0; rf_wire_members_next(&left, &member); i++) {
        members[i].id = put_string(&strings, member.owner.id);
        members[i].addr = put_string(&strings, member.owner.addr);
        members[i].replicas = member.replicas;
        members[i].state = (enum regfast_member_state)member.state;
    }
    list->version = pages->version;
    list->digest = pages->digest;
    list->count = pages->count;
    list->members = members;
    return list;
}

int regfast_members(struct regfast_client *client, const char *group,
                    struct regfast_member_list **ret_list, char *errbuf, size_t errbuf_size)
{
    static const struct kind kind = {encode_members, decode_members, RF_MEMBERS_MAX};
    struct rf_error err = {0};
    struct pages pages = {0};
    int code = rf_client_check(client, ret_list, &err);
    if (code == 0) {
        code = rf_client_check_group(group, &err);
    }
    if (code == 0) {
        code = read_pages(client, &kind, group, &pages, &err);
    }
    if (code == 0) {
        struct regfast_member_list *list = make_members(&pages);
        if (list != NULL) {
            *ret_list = list;
        } else {
            code = rf_error_set(&err, -ENOMEM, "no memory for %u members", pages.count);
        }
    }
    free(pages.data);
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

void regfast_member_list_free(struct regfast_member_list *list)
{
    free(list);
}

/* ---- groups ---- */

static size_t encode_groups(uint8_t *out, size_t out_size, const char *group,
                            struct rf_wire_bytes after)
{
    (void)group; /* all of them */
    return rf_wire_groups_request_encode(out, out_size, 0, after);
}

static int decode_groups(struct rf_wire_bytes payload, struct page *ret_page, struct rf_error *err)
{
    struct rf_wire_groups_reply reply;
    int code = rf_wire_groups_reply_decode(payload.data, payload.size, &reply, err);
    if (code < 0) {
        return code;
    }
    *ret_page = (struct page){reply.version, reply.digest, reply.more, reply.count,
                              reply.groups,  {NULL, 0},    {NULL, 0}};
    struct rf_wire_group group;
    for (struct rf_wire_cursor left = reply.groups; rf_wire_groups_next(&left, &group);) {
        if (ret_page->first.size == 0) {
            ret_page->first = group.name;
        }
        ret_page->last = group.name;
    }
    return 0;
}

static struct regfast_group_list *make_groups(const struct pages *pages)
{
    struct regfast_group_list *list =
        allocate(sizeof(*list), sizeof(struct regfast_group), pages->count, pages->size);
    if (list == NULL) {
        return NULL;
    }
    struct regfast_group *groups = (struct regfast_group *)(list + 1);
    char *strings = (char *)(groups + pages->count);
    struct rf_wire_cursor left = {pages->data, pages->count};
    struct rf_wire_group group;
    for (size_t i = 0; rf_wire_groups_next(&left, &group); i++) {
        groups[i].name = put_string(&strings, group.name);
        groups[i].members_count = group.members_count;
        groups[i].alive_count = group.alive_count;
        groups[i].version = group.version;
        groups[i].digest = group.digest;
    }
    list->version = pages->version;
    list->digest = pages->digest;
    list->count = pages->count;
    list->groups = groups;
    return list;
}

int regfast_groups(struct regfast_client *client, struct regfast_group_list **ret_list,
                   char *errbuf, size_t errbuf_size)
{
    static const struct kind kind = {encode_groups, decode_groups, RF_GROUPS_MAX};
    struct rf_error err = {0};
    struct pages pages = {0};
    int code = rf_client_check(client, ret_list, &err);
    if (code == 0) {
        code = read_pages(client, &kind, NULL, &pages, &err);
    }
    if (code == 0) {
        struct regfast_group_list *list = make_groups(&pages);
        if (list != NULL) {
            *ret_list = list;
        } else {
            code = rf_error_set(&err, -ENOMEM, "no memory for %u groups", pages.count);
        }
    }
    free(pages.data);
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

void regfast_group_list_free(struct regfast_group_list *list)
{
    free(list);
}

/* ---- info ---- */

/* Entries of types that we do not know are left out. */
static struct regfast_info_list *make_info(const struct rf_wire_info_reply *reply,
                                           size_t payload_size)
{
    struct regfast_info_list *list =
        allocate(sizeof(*list), sizeof(struct regfast_info), reply->count, payload_size);
    if (list == NULL) {
        return NULL;
    }
    struct regfast_info *entries = (struct regfast_info *)(list + 1);
    char *strings = (char *)(entries + reply->count);
    struct rf_wire_cursor left = reply->entries;
    struct rf_wire_info info;
    size_t count = 0;
    while (rf_wire_info_next(&left, &info)) {
        if (info.type == RF_WIRE_INFO_TEXT) {
            const char *name = put_string(&strings, info.name);
            entries[count++] =
                (struct regfast_info){name, REGFAST_INFO_TEXT, put_string(&strings, info.value), 0};
        } else if (info.type == RF_WIRE_INFO_U64) {
            entries[count++] =
                (struct regfast_info){put_string(&strings, info.name), REGFAST_INFO_U64, NULL,
                                      rf_load_le64(info.value.data)};
        }
    }
    list->count = count;
    list->entries = entries;
    return list;
}

struct info_call {
    struct rf_call call;
    struct regfast_info_list *list;
};

static int take_info(struct rf_call *call, const uint8_t *payload, size_t size,
                     struct rf_error *err)
{
    struct rf_wire_info_reply reply;
    int code = rf_wire_info_reply_decode(payload, size, &reply, err);
    if (code < 0) {
        return code;
    }
    struct regfast_info_list *list = make_info(&reply, size);
    if (list == NULL) {
        return rf_error_set(err, -ENOMEM, "no memory for %u entries", reply.count);
    }
    ((struct info_call *)call)->list = list;
    return 0;
}

static int info(struct regfast_client *client, struct regfast_info_list **ret_list,
                struct rf_error *err)
{
    struct info_call info = {.call = {.frame = client->out,
                                      .take = take_info,
                                      .deadline_ns = rf_client_deadline_ns(client)}};
    int code = rf_client_enter(client, info.call.deadline_ns, err);
    if (code < 0) {
        return code;
    }
    info.call.frame_size = rf_wire_info_request_encode(client->out, sizeof(client->out), 0);
    code = rf_client_call(client, &info.call, err);
    rf_client_leave(client);
    if (code == 0) {
        *ret_list = info.list;
    }
    return code;
}

int regfast_info(struct regfast_client *client, struct regfast_info_list **ret_list, char *errbuf,
                 size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = rf_client_check(client, ret_list, &err);
    if (code == 0) {
        code = info(client, ret_list, &err);
    }
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

void regfast_info_list_free(struct regfast_info_list *list)
{
    free(list);
}
