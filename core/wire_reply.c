/* SPDX-License-Identifier: MIT
 *
 * wire_reply.c - the replies of wire.h: lists written by a server, everything read by a client.
 */
#include <errno.h>

#include "core/wire.h"

enum {
    OWNERS_HEAD_SIZE = 8 + 2,          /* version, count */
    MEMBERS_HEAD_SIZE = 8 + 8 + 1 + 2, /* version, digest, more, count */
    GROUPS_HEAD_SIZE = 8 + 8 + 1 + 2,
    INFO_HEAD_SIZE = 2,                  /* count */
    WATCH_HEAD_SIZE = 3 * 8 + 1 + 1 + 2, /* instance, version, digest, whole, more, count */
    MEMBER_TAIL_SIZE = 3,                /* replicas, state */
    GROUP_TAIL_SIZE = 24,                /* members, alive, version, digest */
    INFO_VALUE_HEAD_SIZE = 3,            /* type, size */
};

/* The first byte of a change. */
enum { CHANGE_MEMBER = 0, CHANGE_FORGOTTEN = 1 };

int rf_wire_bytes_compare(struct rf_wire_bytes a, struct rf_wire_bytes b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

int rf_wire_reply_header_check(const struct rf_wire_header *header, struct rf_error *err)
{
    if (header->reserved != 0) {
        return rf_error_set(err, RF_EMALFORMED, "reserved bits 0x%04x in a reply: must be 0",
                            header->reserved);
    }
    if (header->payload_size > RF_WIRE_REPLY_SIZE_MAX - RF_WIRE_HEADER_SIZE) {
        return rf_error_set(err, RF_ELIMIT, "reply of %llu bytes: allowed %d",
                            (unsigned long long)header->payload_size + RF_WIRE_HEADER_SIZE,
                            RF_WIRE_REPLY_SIZE_MAX);
    }
    return 0;
}

/* id and addr, each with its size in a byte before it; that of addr only if `has_addr_size`. */
static void encode_short(struct rf_wire_owner_short *owner, const char *id, const char *addr,
                         bool has_addr_size)
{
    size_t id_size = strlen(id);
    size_t addr_size = strlen(addr);
    *owner = (struct rf_wire_owner_short){0};
    size_t size = 1 + id_size + has_addr_size + addr_size;
    if (size <= sizeof(owner->bytes)) {
        owner->size = (uint16_t)size;
        owner->bytes[0] = (uint8_t)id_size;
        memcpy(owner->bytes + 1, id, id_size);
        if (has_addr_size) {
            owner->bytes[1 + id_size] = (uint8_t)addr_size;
        }
        memcpy(owner->bytes + size - addr_size, addr, addr_size);
    }
}

void rf_wire_owner_short_init(struct rf_wire_owner_short *owner, const char *id, const char *addr)
{
    encode_short(owner, id, addr, false);
}

void rf_wire_entry_short_init(struct rf_wire_owner_short *entry, const char *id, const char *addr)
{
    encode_short(entry, id, addr, true);
}

/* ---- writing lists ---- */

/* Sets up a list whose head ends with its count, and before that, in a page, the flag. */
static int begin(struct rf_wire_list *list, uint8_t *out, size_t out_size, enum rf_wire_op op,
                 uint32_t request_id, size_t head_size, bool has_more, uint32_t count_max)
{
    size_t size = RF_WIRE_HEADER_SIZE + head_size;
    size_t size_max = out_size < RF_WIRE_REPLY_SIZE_MAX ? out_size : RF_WIRE_REPLY_SIZE_MAX;
    if (size > size_max) {
        return -ENOBUFS;
    }
    /* The payload's size is patched at the end. */
    rf_wire_header_store(out, op, RF_WIRE_OK, request_id, 0);
    *list = (struct rf_wire_list){
        .frame = out,
        .size = size,
        .size_max = size_max,
        .count_offset = size - 2,
        .more_offset = has_more ? size - 3 : 0,
        .count_max = count_max,
    };
    return 0;
}

int rf_wire_owners_reply_begin(struct rf_wire_list *list, uint8_t *out, size_t out_size,
                               enum rf_wire_op op, uint32_t request_id, uint64_t version)
{
    RF_ASSERT(op == RF_WIRE_MATCH_MANY || op == RF_WIRE_OWNERS);
    int code =
        begin(list, out, out_size, op, request_id, OWNERS_HEAD_SIZE, false, RF_WIRE_KEYS_MAX);
    if (code == 0) {
        rf_store_le64(out + RF_WIRE_HEADER_SIZE, version);
    }
    return code;
}

int rf_wire_members_reply_begin(struct rf_wire_list *list, uint8_t *out, size_t out_size,
                                uint32_t request_id, uint64_t version, uint64_t digest)
{
    int code = begin(list, out, out_size, RF_WIRE_MEMBERS, request_id, MEMBERS_HEAD_SIZE, true,
                     UINT16_MAX);
    if (code == 0) {
        rf_store_le64(out + RF_WIRE_HEADER_SIZE, version);
        rf_store_le64(out + RF_WIRE_HEADER_SIZE + 8, digest);
    }
    return code;
}

int rf_wire_groups_reply_begin(struct rf_wire_list *list, uint8_t *out, size_t out_size,
                               uint32_t request_id, uint64_t version, uint64_t digest)
{
    int code =
        begin(list, out, out_size, RF_WIRE_GROUPS, request_id, GROUPS_HEAD_SIZE, true, UINT16_MAX);
    if (code == 0) {
        rf_store_le64(out + RF_WIRE_HEADER_SIZE, version);
        rf_store_le64(out + RF_WIRE_HEADER_SIZE + 8, digest);
    }
    return code;
}

int rf_wire_info_reply_begin(struct rf_wire_list *list, uint8_t *out, size_t out_size,
                             uint32_t request_id)
{
    return begin(list, out, out_size, RF_WIRE_INFO, request_id, INFO_HEAD_SIZE, false, UINT16_MAX);
}

int rf_wire_watch_reply_begin(struct rf_wire_list *list, uint8_t *out, size_t out_size,
                              uint32_t request_id, const struct rf_wire_watch_head *head)
{
    int code =
        begin(list, out, out_size, RF_WIRE_WATCH, request_id, WATCH_HEAD_SIZE, true, UINT16_MAX);
    if (code == 0) {
        uint8_t *at = out + RF_WIRE_HEADER_SIZE;
        rf_store_le64(at, head->instance);
        rf_store_le64(at + 8, head->version);
        rf_store_le64(at + 16, head->digest);
        at[24] = head->is_whole;
    }
    return code;
}

/* Room for one more entry of that size, or NULL. */
static uint8_t *grow(struct rf_wire_list *list, size_t entry_size)
{
    if (list->count == list->count_max || entry_size > list->size_max - list->size) {
        return NULL;
    }
    uint8_t *at = list->frame + list->size;
    list->size += entry_size;
    list->count++;
    return at;
}

static uint8_t *put_name(uint8_t *at, struct rf_wire_bytes name)
{
    RF_ASSERT(name.size - 1 < RF_NAME_SIZE_MAX);
    at[0] = (uint8_t)name.size;
    memcpy(at + 1, name.data, name.size);
    return at + 1 + name.size;
}

int rf_wire_owners_reply_add(struct rf_wire_list *list, const struct rf_wire_owner *owner)
{
    uint8_t *at = grow(list, 2 + owner->id.size + owner->addr.size);
    if (at == NULL) {
        return -ENOBUFS;
    }
    (void)put_name(put_name(at, owner->id), owner->addr); /* the end is known */
    return 0;
}

static size_t member_size(const struct rf_wire_member *member)
{
    return 2 + member->owner.id.size + member->owner.addr.size + MEMBER_TAIL_SIZE;
}

static void put_member(uint8_t *at, const struct rf_wire_member *member)
{
    RF_ASSERT(member->replicas >= 1 || !rf_member_is_in_ring(member->state));
    at = put_name(put_name(at, member->owner.id), member->owner.addr);
    rf_store_le16(at, member->replicas);
    at[2] = (uint8_t)member->state;
}

int rf_wire_members_reply_add(struct rf_wire_list *list, const struct rf_wire_member *member)
{
    uint8_t *at = grow(list, member_size(member));
    if (at == NULL) {
        return -ENOBUFS;
    }
    put_member(at, member);
    return 0;
}

int rf_wire_watch_reply_add_member(struct rf_wire_list *list, const struct rf_wire_member *member)
{
    uint8_t *at = grow(list, 1 + member_size(member));
    if (at == NULL) {
        return -ENOBUFS;
    }
    at[0] = CHANGE_MEMBER;
    put_member(at + 1, member);
    return 0;
}

int rf_wire_watch_reply_add_forgotten(struct rf_wire_list *list, struct rf_wire_bytes id)
{
    uint8_t *at = grow(list, 2 + id.size);
    if (at == NULL) {
        return -ENOBUFS;
    }
    at[0] = CHANGE_FORGOTTEN;
    (void)put_name(at + 1, id);
    return 0;
}

int rf_wire_groups_reply_add(struct rf_wire_list *list, const struct rf_wire_group *group)
{
    uint8_t *at = grow(list, 1 + group->name.size + GROUP_TAIL_SIZE);
    if (at == NULL) {
        return -ENOBUFS;
    }
    at = put_name(at, group->name);
    rf_store_le32(at, group->members_count);
    rf_store_le32(at + 4, group->alive_count);
    rf_store_le64(at + 8, group->version);
    rf_store_le64(at + 16, group->digest);
    return 0;
}

static int add_info(struct rf_wire_list *list, const char *name, enum rf_wire_info_type type,
                    const void *value, size_t value_size)
{
    size_t name_size = strlen(name);
    uint8_t *at = grow(list, 1 + name_size + INFO_VALUE_HEAD_SIZE + value_size);
    if (at == NULL) {
        return -ENOBUFS;
    }
    at = put_name(at, (struct rf_wire_bytes){name, name_size});
    at[0] = (uint8_t)type;
    rf_store_le16(at + 1, (uint16_t)value_size);
    memcpy(at + INFO_VALUE_HEAD_SIZE, value, value_size);
    return 0;
}

int rf_wire_info_reply_add_text(struct rf_wire_list *list, const char *name, const char *text)
{
    size_t size = strnlen(text, RF_WIRE_INFO_TEXT_SIZE_MAX);
    return add_info(list, name, RF_WIRE_INFO_TEXT, text, size);
}

int rf_wire_info_reply_add_u64(struct rf_wire_list *list, const char *name, uint64_t value)
{
    uint8_t bytes[8];
    rf_store_le64(bytes, value);
    return add_info(list, name, RF_WIRE_INFO_U64, bytes, sizeof(bytes));
}

size_t rf_wire_list_end(struct rf_wire_list *list, bool more)
{
    RF_ASSERT(list->more_offset != 0 || !more);
    rf_store_le32(list->frame, (uint32_t)(list->size - RF_WIRE_HEADER_SIZE));
    rf_store_le16(list->frame + list->count_offset, (uint16_t)list->count);
    if (list->more_offset != 0) {
        list->frame[list->more_offset] = more;
    }
    return list->size;
}

/* ---- reading ---- */

/* What is left of a payload. */
struct input {
    const uint8_t *at;
    const uint8_t *end;
};

/* Texts end up in terminals and C strings. Of UTF-8 and what else there may be nothing is known. */
static bool is_clean(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] < 0x20 || text[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Takes a name of 1..255 clean bytes. */
static bool take_name(struct input *input, struct rf_wire_bytes *ret_name)
{
    if (input->at == input->end || *input->at == 0 || input->end - input->at - 1 < *input->at ||
        !is_clean(input->at + 1, *input->at)) {
        return false;
    }
    *ret_name = (struct rf_wire_bytes){input->at + 1, *input->at};
    input->at += 1 + ret_name->size;
    return true;
}

static bool take_owner(struct input *input, struct rf_wire_owner *ret)
{
    return take_name(input, &ret->id) && take_name(input, &ret->addr);
}

static bool take_member(struct input *input, struct rf_wire_member *ret)
{
    if (!take_owner(input, &ret->owner) || input->end - input->at < MEMBER_TAIL_SIZE ||
        input->at[2] >= (uint8_t)RF_MEMBER_STATES_COUNT) {
        return false;
    }
    ret->replicas = rf_load_le16(input->at);
    ret->state = (enum rf_member_state)input->at[2];
    input->at += MEMBER_TAIL_SIZE;
    return ret->replicas >= 1 || !rf_member_is_in_ring(ret->state);
}

static bool take_change(struct input *input, struct rf_wire_change *ret)
{
    if (input->at == input->end || *input->at > CHANGE_FORGOTTEN) {
        return false;
    }
    *ret = (struct rf_wire_change){.is_forgotten = *input->at++ == CHANGE_FORGOTTEN};
    return ret->is_forgotten ? take_name(input, &ret->member.owner.id)
                             : take_member(input, &ret->member);
}

static bool take_group(struct input *input, struct rf_wire_group *ret)
{
    if (!take_name(input, &ret->name) || input->end - input->at < GROUP_TAIL_SIZE) {
        return false;
    }
    ret->members_count = rf_load_le32(input->at);
    ret->alive_count = rf_load_le32(input->at + 4);
    ret->version = rf_load_le64(input->at + 8);
    ret->digest = rf_load_le64(input->at + 16);
    input->at += GROUP_TAIL_SIZE;
    return ret->alive_count <= ret->members_count;
}

static bool take_info(struct input *input, struct rf_wire_info *ret)
{
    if (!take_name(input, &ret->name) || input->end - input->at < INFO_VALUE_HEAD_SIZE) {
        return false;
    }
    ret->type = input->at[0];
    ret->value.size = rf_load_le16(input->at + 1);
    input->at += INFO_VALUE_HEAD_SIZE;
    if ((size_t)(input->end - input->at) < ret->value.size) {
        return false;
    }
    ret->value.data = input->at;
    input->at += ret->value.size;
    switch (ret->type) {
    case RF_WIRE_INFO_TEXT:
        return ret->value.size <= RF_WIRE_INFO_TEXT_SIZE_MAX &&
               is_clean(ret->value.data, ret->value.size);
    case RF_WIRE_INFO_U64:
        return ret->value.size == 8;
    default:
        return true;
    }
}

static int refuse_entry(const char *what, unsigned index, unsigned count, struct rf_error *err)
{
    return rf_error_set(err, RF_EMALFORMED, "%s %u of %u is cut or out of range", what, index,
                        count);
}

static int refuse_head(const char *what, size_t size, struct rf_error *err)
{
    return rf_error_set(err, RF_EMALFORMED, "%s reply of %zu bytes is cut", what, size);
}

static int check_end(const struct input *input, struct rf_error *err)
{
    if (input->at != input->end) {
        return rf_error_set(err, RF_EMALFORMED, "%td bytes after the last entry",
                            input->end - input->at);
    }
    return 0;
}

/* The flag and the count that end the head of a page. */
static int check_page(uint8_t more, unsigned count, struct rf_error *err)
{
    if (more > 1) {
        return rf_error_set(err, RF_EMALFORMED, "flag 'more' is %u: must be 0 or 1", more);
    }
    if (more == 1 && count == 0) {
        return rf_error_set(err, RF_EMALFORMED, "an empty page says that there is more");
    }
    return 0;
}

int rf_wire_match_reply_decode(const uint8_t *payload, size_t size, struct rf_wire_match_reply *ret,
                               struct rf_error *err)
{
    if (size < 8) {
        return refuse_head("match", size, err);
    }
    struct input input = {payload + 8, payload + size};
    struct rf_wire_owner owner;
    if (!take_name(&input, &owner.id)) {
        return rf_error_set(err, RF_EMALFORMED, "the id is cut, empty or has control characters");
    }
    owner.addr = (struct rf_wire_bytes){input.at, (size_t)(input.end - input.at)};
    if (owner.addr.size < 1 || owner.addr.size > RF_NAME_SIZE_MAX ||
        !is_clean(owner.addr.data, owner.addr.size)) {
        return rf_error_set(err, RF_EMALFORMED, "address of %zu bytes: 1..%d clean ones expected",
                            owner.addr.size, RF_NAME_SIZE_MAX);
    }
    ret->version = rf_load_le64(payload);
    ret->owner = owner;
    return 0;
}

int rf_wire_owners_reply_decode(const uint8_t *payload, size_t size,
                                struct rf_wire_owners_reply *ret, struct rf_error *err)
{
    if (size < OWNERS_HEAD_SIZE) {
        return refuse_head("owners", size, err);
    }
    struct input input = {payload + OWNERS_HEAD_SIZE, payload + size};
    uint16_t count = rf_load_le16(payload + 8);
    if (count < 1 || count > RF_WIRE_KEYS_MAX) {
        return rf_error_set(err, RF_EMALFORMED, "%u owners: allowed 1..%d", count,
                            RF_WIRE_KEYS_MAX);
    }
    for (unsigned i = 0; i < count; i++) {
        struct rf_wire_owner owner;
        if (!take_owner(&input, &owner)) {
            return refuse_entry("owner", i, count, err);
        }
    }
    int code = check_end(&input, err);
    if (code == 0) {
        ret->version = rf_load_le64(payload);
        ret->count = count;
        ret->owners = (struct rf_wire_cursor){payload + OWNERS_HEAD_SIZE, count};
    }
    return code;
}

int rf_wire_members_reply_decode(const uint8_t *payload, size_t size,
                                 struct rf_wire_members_reply *ret, struct rf_error *err)
{
    if (size < MEMBERS_HEAD_SIZE) {
        return refuse_head("members", size, err);
    }
    struct input input = {payload + MEMBERS_HEAD_SIZE, payload + size};
    uint16_t count = rf_load_le16(payload + 17);
    int code = check_page(payload[16], count, err);
    struct rf_wire_bytes before = {NULL, 0};
    for (unsigned i = 0; code == 0 && i < count; i++) {
        struct rf_wire_member member;
        if (!take_member(&input, &member)) {
            return refuse_entry("member", i, count, err);
        }
        if (rf_wire_bytes_compare(before, member.owner.id) >= 0) {
            return rf_error_set(err, RF_EMALFORMED, "member %u of %u is out of order", i, count);
        }
        before = member.owner.id;
    }
    if (code == 0) {
        code = check_end(&input, err);
    }
    if (code == 0) {
        ret->version = rf_load_le64(payload);
        ret->digest = rf_load_le64(payload + 8);
        ret->more = payload[16] != 0;
        ret->count = count;
        ret->members = (struct rf_wire_cursor){payload + MEMBERS_HEAD_SIZE, count};
    }
    return code;
}

int rf_wire_groups_reply_decode(const uint8_t *payload, size_t size,
                                struct rf_wire_groups_reply *ret, struct rf_error *err)
{
    if (size < GROUPS_HEAD_SIZE) {
        return refuse_head("groups", size, err);
    }
    struct input input = {payload + GROUPS_HEAD_SIZE, payload + size};
    uint16_t count = rf_load_le16(payload + 17);
    int code = check_page(payload[16], count, err);
    struct rf_wire_bytes before = {NULL, 0};
    for (unsigned i = 0; code == 0 && i < count; i++) {
        struct rf_wire_group group;
        if (!take_group(&input, &group)) {
            return refuse_entry("group", i, count, err);
        }
        if (rf_wire_bytes_compare(before, group.name) >= 0) {
            return rf_error_set(err, RF_EMALFORMED, "group %u of %u is out of order", i, count);
        }
        before = group.name;
    }
    if (code == 0) {
        code = check_end(&input, err);
    }
    if (code == 0) {
        ret->version = rf_load_le64(payload);
        ret->digest = rf_load_le64(payload + 8);
        ret->more = payload[16] != 0;
        ret->count = count;
        ret->groups = (struct rf_wire_cursor){payload + GROUPS_HEAD_SIZE, count};
    }
    return code;
}

int rf_wire_info_reply_decode(const uint8_t *payload, size_t size, struct rf_wire_info_reply *ret,
                              struct rf_error *err)
{
    if (size < INFO_HEAD_SIZE) {
        return refuse_head("info", size, err);
    }
    struct input input = {payload + INFO_HEAD_SIZE, payload + size};
    uint16_t count = rf_load_le16(payload);
    for (unsigned i = 0; i < count; i++) {
        struct rf_wire_info entry;
        if (!take_info(&input, &entry)) {
            return refuse_entry("entry", i, count, err);
        }
    }
    int code = check_end(&input, err);
    if (code == 0) {
        ret->count = count;
        ret->entries = (struct rf_wire_cursor){payload + INFO_HEAD_SIZE, count};
    }
    return code;
}

int rf_wire_watch_reply_decode(const uint8_t *payload, size_t size, struct rf_wire_watch_reply *ret,
                               struct rf_error *err)
{
    if (size < WATCH_HEAD_SIZE) {
        return refuse_head("watch", size, err);
    }
    struct input input = {payload + WATCH_HEAD_SIZE, payload + size};
    uint16_t count = rf_load_le16(payload + 26);
    if (payload[24] > 1 || payload[25] > 1) {
        return rf_error_set(err, RF_EMALFORMED, "flags 'whole' and 'more' are %u and %u: 0 or 1",
                            payload[24], payload[25]);
    }
    for (unsigned i = 0; i < count; i++) {
        struct rf_wire_change change;
        if (!take_change(&input, &change)) {
            return refuse_entry("change", i, count, err);
        }
    }
    int code = check_end(&input, err);
    if (code == 0) {
        *ret = (struct rf_wire_watch_reply){
            .head = {.instance = rf_load_le64(payload),
                     .version = rf_load_le64(payload + 8),
                     .digest = rf_load_le64(payload + 16),
                     .is_whole = payload[24] != 0},
            .more = payload[25] != 0,
            .count = count,
            .changes = {payload + WATCH_HEAD_SIZE, count},
        };
    }
    return code;
}

/* ---- iterating ----
 *
 * The decoders have checked the sizes, so these only walk. */

static struct rf_wire_bytes next_name(struct rf_wire_cursor *cursor)
{
    struct rf_wire_bytes name = {cursor->at + 1, cursor->at[0]};
    cursor->at += 1 + name.size;
    return name;
}

bool rf_wire_owners_next(struct rf_wire_cursor *owners, struct rf_wire_owner *ret_owner)
{
    if (owners->left == 0) {
        return false;
    }
    ret_owner->id = next_name(owners);
    ret_owner->addr = next_name(owners);
    owners->left--;
    return true;
}

bool rf_wire_members_next(struct rf_wire_cursor *members, struct rf_wire_member *ret_member)
{
    if (!rf_wire_owners_next(members, &ret_member->owner)) {
        return false;
    }
    ret_member->replicas = rf_load_le16(members->at);
    ret_member->state = (enum rf_member_state)members->at[2];
    members->at += MEMBER_TAIL_SIZE;
    return true;
}

bool rf_wire_groups_next(struct rf_wire_cursor *groups, struct rf_wire_group *ret_group)
{
    if (groups->left == 0) {
        return false;
    }
    ret_group->name = next_name(groups);
    ret_group->members_count = rf_load_le32(groups->at);
    ret_group->alive_count = rf_load_le32(groups->at + 4);
    ret_group->version = rf_load_le64(groups->at + 8);
    ret_group->digest = rf_load_le64(groups->at + 16);
    groups->at += GROUP_TAIL_SIZE;
    groups->left--;
    return true;
}

bool rf_wire_info_next(struct rf_wire_cursor *entries, struct rf_wire_info *ret_entry)
{
    if (entries->left == 0) {
        return false;
    }
    ret_entry->name = next_name(entries);
    ret_entry->type = entries->at[0];
    ret_entry->value.size = rf_load_le16(entries->at + 1);
    ret_entry->value.data = entries->at + INFO_VALUE_HEAD_SIZE;
    entries->at += INFO_VALUE_HEAD_SIZE + ret_entry->value.size;
    entries->left--;
    return true;
}

bool rf_wire_watch_next(struct rf_wire_cursor *changes, struct rf_wire_change *ret_change)
{
    if (changes->left == 0) {
        return false;
    }
    *ret_change = (struct rf_wire_change){.is_forgotten = *changes->at++ == CHANGE_FORGOTTEN};
    if (ret_change->is_forgotten) {
        ret_change->member.owner.id = next_name(changes);
        changes->left--;
        return true;
    }
    return rf_wire_members_next(changes, &ret_change->member);
}
