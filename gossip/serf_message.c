/* SPDX-License-Identifier: MIT */
#include "gossip/serf_message.h"

#include <stddef.h>

#include "core/assert.h"

static const char *const type_names[] = {
    [RF_SERF_LEAVE] = "leave",
    [RF_SERF_JOIN] = "join",
    [RF_SERF_PUSH_PULL] = "pushPull",
    [RF_SERF_USER_EVENT] = "userEvent",
    [RF_SERF_QUERY] = "query",
    [RF_SERF_QUERY_RESPONSE] = "queryResponse",
    [RF_SERF_CONFLICT_RESPONSE] = "conflictResponse",
    [RF_SERF_KEY_REQUEST] = "keyRequest",
    [RF_SERF_KEY_RESPONSE] = "keyResponse",
    [RF_SERF_RELAY] = "relay",
};

const char *rf_serf_type_name(uint8_t type)
{
    return type < sizeof(type_names) / sizeof(type_names[0]) ? type_names[type] : NULL;
}

/* ---- the tables: wire name, kind, declared position ---- */

#define NAME_SIZE_MAX RF_GOSSIP_NAME_SIZE_MAX
#define TABLE(array, type)                                        \
    {                                                             \
        (array), sizeof(array) / sizeof((array)[0]), sizeof(type) \
    }

static const struct rf_field leave_fields[] = {
    {"LTime", RF_FIELD_U64, 0, false, offsetof(struct rf_serf_leave, ltime), 0, NULL},
    {"Node", RF_FIELD_STRING, 1, false, offsetof(struct rf_serf_leave, node), NAME_SIZE_MAX, NULL},
    {"Prune", RF_FIELD_BOOL, 2, false, offsetof(struct rf_serf_leave, prune), 0, NULL},
};

static const struct rf_field join_fields[] = {
    {"LTime", RF_FIELD_U64, 0, false, offsetof(struct rf_serf_join, ltime), 0, NULL},
    {"Node", RF_FIELD_STRING, 1, false, offsetof(struct rf_serf_join, node), NAME_SIZE_MAX, NULL},
};

static const struct rf_field push_pull_fields[] = {
    {"EventLTime", RF_FIELD_U64, 3, false, offsetof(struct rf_serf_push_pull, event_ltime), 0,
     NULL},
    {"Events", RF_FIELD_ARRAY, 4, false, offsetof(struct rf_serf_push_pull, events), 0, NULL},
    {"LTime", RF_FIELD_U64, 0, false, offsetof(struct rf_serf_push_pull, ltime), 0, NULL},
    {"LeftMembers", RF_FIELD_ARRAY, 2, false, offsetof(struct rf_serf_push_pull, left_members), 0,
     NULL},
    {"QueryLTime", RF_FIELD_U64, 5, false, offsetof(struct rf_serf_push_pull, query_ltime), 0,
     NULL},
    {"StatusLTimes", RF_FIELD_MAP, 1, false, offsetof(struct rf_serf_push_pull, status_ltimes), 0,
     NULL},
};

static const struct rf_field user_event_fields[] = {
    {"CC", RF_FIELD_BOOL, 3, false, offsetof(struct rf_serf_user_event, cc), 0, NULL},
    {"LTime", RF_FIELD_U64, 0, false, offsetof(struct rf_serf_user_event, ltime), 0, NULL},
    {"Name", RF_FIELD_STRING, 1, false, offsetof(struct rf_serf_user_event, name), 0, NULL},
    {"Payload", RF_FIELD_BYTES, 2, false, offsetof(struct rf_serf_user_event, payload), 0, NULL},
};

static const struct rf_field query_fields[] = {
    {"Addr", RF_FIELD_IP, 2, false, offsetof(struct rf_serf_query, address), 0, NULL},
    {"Filters", RF_FIELD_ARRAY, 5, false, offsetof(struct rf_serf_query, filters), 0, NULL},
    {"Flags", RF_FIELD_U32, 6, false, offsetof(struct rf_serf_query, flags), 0, NULL},
    {"ID", RF_FIELD_U32, 1, false, offsetof(struct rf_serf_query, id), 0, NULL},
    {"LTime", RF_FIELD_U64, 0, false, offsetof(struct rf_serf_query, ltime), 0, NULL},
    {"Name", RF_FIELD_STRING, 9, false, offsetof(struct rf_serf_query, name), 0, NULL},
    {"Payload", RF_FIELD_BYTES, 10, false, offsetof(struct rf_serf_query, payload), 0, NULL},
    {"Port", RF_FIELD_U16, 3, false, offsetof(struct rf_serf_query, address.port), 0, NULL},
    {"RelayFactor", RF_FIELD_U8, 7, false, offsetof(struct rf_serf_query, relay_factor), 0, NULL},
    {"SourceNode", RF_FIELD_STRING, 4, false, offsetof(struct rf_serf_query, source_node),
     NAME_SIZE_MAX, NULL},
    {"Timeout", RF_FIELD_I64, 8, false, offsetof(struct rf_serf_query, timeout_ns), 0, NULL},
};

static const struct rf_field query_response_fields[] = {
    {"Flags", RF_FIELD_U32, 3, false, offsetof(struct rf_serf_query_response, flags), 0, NULL},
    {"From", RF_FIELD_STRING, 2, false, offsetof(struct rf_serf_query_response, from),
     NAME_SIZE_MAX, NULL},
    {"ID", RF_FIELD_U32, 1, false, offsetof(struct rf_serf_query_response, id), 0, NULL},
    {"LTime", RF_FIELD_U64, 0, false, offsetof(struct rf_serf_query_response, ltime), 0, NULL},
    {"Payload", RF_FIELD_BYTES, 4, false, offsetof(struct rf_serf_query_response, payload), 0,
     NULL},
};

static const struct rf_field member_fields[] = {
    {"Addr", RF_FIELD_IP, 1, false, offsetof(struct rf_serf_member, address), 0, NULL},
    {"DelegateCur", RF_FIELD_U8, 10, false, offsetof(struct rf_serf_member, delegate_cur), 0, NULL},
    {"DelegateMax", RF_FIELD_U8, 9, false, offsetof(struct rf_serf_member, delegate_max), 0, NULL},
    {"DelegateMin", RF_FIELD_U8, 8, false, offsetof(struct rf_serf_member, delegate_min), 0, NULL},
    {"Name", RF_FIELD_STRING, 0, false, offsetof(struct rf_serf_member, name), NAME_SIZE_MAX, NULL},
    {"Port", RF_FIELD_U16, 2, false, offsetof(struct rf_serf_member, address.port), 0, NULL},
    {"ProtocolCur", RF_FIELD_U8, 7, false, offsetof(struct rf_serf_member, protocol_cur), 0, NULL},
    {"ProtocolMax", RF_FIELD_U8, 6, false, offsetof(struct rf_serf_member, protocol_max), 0, NULL},
    {"ProtocolMin", RF_FIELD_U8, 5, false, offsetof(struct rf_serf_member, protocol_min), 0, NULL},
    {"Status", RF_FIELD_I64, 4, false, offsetof(struct rf_serf_member, status), 0, NULL},
    {"Tags", RF_FIELD_MAP, 3, false, offsetof(struct rf_serf_member, tags), 0, NULL},
};

static const struct rf_field key_request_fields[] = {
    {"Key", RF_FIELD_BYTES, 0, false, offsetof(struct rf_serf_key_request, key), 0, NULL},
};

static const struct rf_field key_response_fields[] = {
    {"Keys", RF_FIELD_ARRAY, 2, false, offsetof(struct rf_serf_key_response, keys), 0, NULL},
    {"Message", RF_FIELD_STRING, 1, false, offsetof(struct rf_serf_key_response, message), 0, NULL},
    {"PrimaryKey", RF_FIELD_STRING, 3, false, offsetof(struct rf_serf_key_response, primary_key), 0,
     NULL},
    {"Result", RF_FIELD_BOOL, 0, false, offsetof(struct rf_serf_key_response, result), 0, NULL},
};

/* Offsets of the nested address are in struct rf_serf_relay, which it is a view of. */
static const struct rf_field relay_address_fields[] = {
    {"IP", RF_FIELD_IP, 0, false, offsetof(struct rf_serf_relay, dest), 0, NULL},
    {"Port", RF_FIELD_U16, 1, false, offsetof(struct rf_serf_relay, dest.port), 0, NULL},
    {"Zone", RF_FIELD_STRING, 2, false, offsetof(struct rf_serf_relay, zone), 0, NULL},
};
static_assert(offsetof(struct rf_serf_relay, dest) == 0 &&
                  offsetof(struct rf_serf_relay, zone) < offsetof(struct rf_serf_relay, dest_name),
              "reading the nested address zeroes the fields up to dest_name, and no others");
static const struct rf_fields relay_address_table = {relay_address_fields, 3,
                                                     offsetof(struct rf_serf_relay, dest_name)};

static const struct rf_field relay_fields[] = {
    {"DestAddr", RF_FIELD_STRUCT, 0, false, 0, 0, &relay_address_table},
    {"DestName", RF_FIELD_STRING, 1, false, offsetof(struct rf_serf_relay, dest_name),
     NAME_SIZE_MAX, NULL},
};

static const struct rf_field slot_fields[] = {
    {"Events", RF_FIELD_ARRAY, 1, false, offsetof(struct rf_serf_event_slot, events), 0, NULL},
    {"LTime", RF_FIELD_U64, 0, false, offsetof(struct rf_serf_event_slot, ltime), 0, NULL},
};
static const struct rf_fields slot_table = TABLE(slot_fields, struct rf_serf_event_slot);

struct event {
    struct rf_slice name;
    struct rf_slice payload;
};
static const struct rf_field event_fields[] = {
    {"Name", RF_FIELD_STRING, 0, false, offsetof(struct event, name), 0, NULL},
    {"Payload", RF_FIELD_BYTES, 1, false, offsetof(struct event, payload), 0, NULL},
};
static const struct rf_fields event_table = TABLE(event_fields, struct event);

static const struct rf_field filter_tag_fields[] = {
    {"Expr", RF_FIELD_STRING, 1, false, offsetof(struct rf_serf_filter, expr), 0, NULL},
    {"Tag", RF_FIELD_STRING, 0, false, offsetof(struct rf_serf_filter, tag), 0, NULL},
};
static const struct rf_fields filter_tag_table = TABLE(filter_tag_fields, struct rf_serf_filter);

static const struct rf_fields message_fields[] = {
    [RF_SERF_LEAVE] = TABLE(leave_fields, struct rf_serf_leave),
    [RF_SERF_JOIN] = TABLE(join_fields, struct rf_serf_join),
    [RF_SERF_PUSH_PULL] = TABLE(push_pull_fields, struct rf_serf_push_pull),
    [RF_SERF_USER_EVENT] = TABLE(user_event_fields, struct rf_serf_user_event),
    [RF_SERF_QUERY] = TABLE(query_fields, struct rf_serf_query),
    [RF_SERF_QUERY_RESPONSE] = TABLE(query_response_fields, struct rf_serf_query_response),
    [RF_SERF_CONFLICT_RESPONSE] = TABLE(member_fields, struct rf_serf_member),
    [RF_SERF_KEY_REQUEST] = TABLE(key_request_fields, struct rf_serf_key_request),
    [RF_SERF_KEY_RESPONSE] = TABLE(key_response_fields, struct rf_serf_key_response),
    [RF_SERF_RELAY] = TABLE(relay_fields, struct rf_serf_relay),
};

/* ---- decoding ---- */

/* Whether every entry can be walked: a cursor that stops early has lost some. */
static int check_raws(struct rf_slice encoded)
{
    struct rf_cursor cursor = rf_cursor_array(encoded);
    uint32_t count = cursor.left;
    struct rf_slice item;
    while (rf_cursor_next_raw(&cursor, &item)) {
        count--;
    }
    return count == 0 ? 0 : RF_EMALFORMED;
}

static int check_pairs(struct rf_slice encoded)
{
    struct rf_cursor cursor = rf_cursor_map(encoded);
    uint32_t count = cursor.left;
    struct rf_slice key;
    struct rf_slice value;
    while (rf_cursor_next_pair(&cursor, &key, &value)) {
        count--;
    }
    return count == 0 ? 0 : RF_EMALFORMED;
}

/* A name of a length that none has here is passed over by who takes the others: Go peers have no
 * limit for it, and one such member would else make us deaf for all that they say of others. */
static int check_status_ltimes(struct rf_slice encoded)
{
    struct rf_cursor cursor = rf_cursor_map(encoded);
    uint32_t count = cursor.left;
    struct rf_slice name;
    uint64_t ltime;
    while (rf_cursor_next_uint(&cursor, &name, &ltime)) {
        count--;
    }
    return count == 0 ? 0 : RF_EMALFORMED;
}

static int check_event_slots(struct rf_slice encoded)
{
    struct rf_cursor slots = rf_cursor_array(encoded);
    while (slots.left > 0) {
        struct rf_serf_event_slot slot;
        slots.left--;
        int rc = rf_unpack_struct(&slots.unpacker, &slot_table, &slot);
        if (rc < 0) {
            return rc;
        }
        struct rf_cursor events = rf_cursor_array(slot.events);
        while (events.left > 0) {
            struct event event;
            events.left--;
            rc = rf_unpack_struct(&events.unpacker, &event_table, &event);
            if (rc < 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* What the types alone do not say. */
static int check_message(const struct rf_serf_message *message)
{
    int rc = 0;
    switch (message->type) {
    case RF_SERF_PUSH_PULL:
        rc = check_status_ltimes(message->push_pull.status_ltimes);
        rc = rc < 0 ? rc : check_raws(message->push_pull.left_members);
        return rc < 0 ? rc : check_event_slots(message->push_pull.events);
    case RF_SERF_QUERY:
        return check_raws(message->query.filters);
    case RF_SERF_CONFLICT_RESPONSE:
        return check_pairs(message->member.tags);
    case RF_SERF_KEY_RESPONSE:
        return check_raws(message->key_response.keys);
    case RF_SERF_LEAVE:
    case RF_SERF_JOIN:
    case RF_SERF_USER_EVENT:
    case RF_SERF_QUERY_RESPONSE:
    case RF_SERF_KEY_REQUEST:
    case RF_SERF_RELAY:
        break;
    }
    return rc;
}

int rf_serf_message_decode(struct rf_slice bytes, struct rf_serf_message *ret_message)
{
    if (bytes.size == 0) {
        return RF_EMALFORMED;
    }
    uint8_t type = bytes.data[0];
    if (type >= sizeof(message_fields) / sizeof(message_fields[0])) {
        return RF_EUNSUPPORTED;
    }
    ret_message->type = type;
    struct rf_unpacker unpacker = rf_unpacker(rf_slice_after(bytes, 1));
    bool is_nil = rf_unpack_is_nil(&unpacker);
    if (is_nil && type != RF_SERF_CONFLICT_RESPONSE) {
        return RF_EMALFORMED; /* a message of zeros: nobody means that */
    }
    /* All members of the union start at the same place. */
    int rc = rf_unpack_struct(&unpacker, &message_fields[type], &ret_message->leave);
    if (rc == 0) {
        rc = check_message(ret_message);
    }
    if (rc < 0) {
        return rc == RF_EMORE ? RF_EMALFORMED : rc;
    }
    if (type == RF_SERF_CONFLICT_RESPONSE) {
        ret_message->member.is_nil = is_nil;
    } else if (type == RF_SERF_RELAY) {
        ret_message->relay.message = rf_slice_after(bytes, 1 + unpacker.offset);
    }
    return 0;
}

/* ---- encoding ---- */

int rf_serf_message_encode(const struct rf_serf_message *message, struct rf_packer *packer)
{
    RF_ASSERT((size_t)message->type < sizeof(message_fields) / sizeof(message_fields[0]));
    RF_ASSERT(message->type != RF_SERF_PUSH_PULL);
    size_t start = packer->size;
    rf_pack_byte(packer, (uint8_t)message->type);
    if (message->type == RF_SERF_CONFLICT_RESPONSE && message->member.is_nil) {
        rf_pack_nil(packer);
    } else {
        rf_pack_struct(packer, &message_fields[message->type], &message->leave);
    }
    if (message->type == RF_SERF_RELAY) {
        rf_pack_bytes(packer, message->relay.message);
    }
    return rf_packer_end(packer, start);
}

/* ---- filters ---- */

int rf_serf_filter_decode(struct rf_slice bytes, struct rf_serf_filter *ret_filter)
{
    if (bytes.size == 0) {
        return RF_EMALFORMED;
    }
    if (bytes.data[0] != RF_SERF_FILTER_NODE && bytes.data[0] != RF_SERF_FILTER_TAG) {
        return RF_EUNSUPPORTED;
    }
    struct rf_slice body = rf_slice_after(bytes, 1);
    struct rf_unpacker unpacker = rf_unpacker(body);
    struct rf_serf_filter filter = {0};
    int rc;
    if (bytes.data[0] == RF_SERF_FILTER_TAG) {
        rc = rf_unpack_struct(&unpacker, &filter_tag_table, &filter);
    } else {
        uint32_t count;
        filter.nodes = body;
        rc = rf_unpack_array(&unpacker, &count);
        rc = rc < 0 ? rc : check_raws(body);
    }
    if (rc < 0) {
        return RF_EMALFORMED;
    }
    filter.type = bytes.data[0];
    *ret_filter = filter;
    return 0;
}

int rf_serf_filter_encode(const struct rf_serf_filter *filter, struct rf_packer *packer)
{
    size_t start = packer->size;
    rf_pack_byte(packer, (uint8_t)filter->type);
    if (filter->type == RF_SERF_FILTER_TAG) {
        rf_pack_struct(packer, &filter_tag_table, filter);
    } else {
        rf_pack_bytes(packer, filter->nodes);
    }
    return rf_packer_end(packer, start);
}

/* ---- push/pull ---- */

bool rf_serf_next_event_slot(struct rf_cursor *cursor, struct rf_serf_event_slot *ret_slot,
                             uint32_t *ret_index)
{
    struct rf_unpacker *unpacker = &cursor->unpacker;
    while (cursor->left > 0) {
        uint32_t index = cursor->count - cursor->left;
        bool is_nil = rf_unpack_is_nil(unpacker);
        struct rf_serf_event_slot slot;
        if (rf_unpack_struct(unpacker, &slot_table, &slot) < 0) {
            cursor->left = 0;
            return false;
        }
        cursor->left--;
        if (is_nil) {
            continue;
        }
        *ret_slot = slot;
        if (ret_index != NULL) {
            *ret_index = index;
        }
        return true;
    }
    return false;
}

bool rf_serf_next_event(struct rf_cursor *cursor, struct rf_slice *ret_name,
                        struct rf_slice *ret_payload)
{
    struct event event;
    if (cursor->left == 0 || rf_unpack_struct(&cursor->unpacker, &event_table, &event) < 0) {
        cursor->left = 0;
        return false;
    }
    cursor->left--;
    *ret_name = event.name;
    *ret_payload = event.payload;
    return true;
}

enum push_pull_part { PART_EVENTS, PART_LEFT_MEMBERS, PART_STATUS_LTIMES };

static void pack_key(struct rf_packer *packer, const char *key)
{
    rf_pack_raw(packer, rf_slice_text(key));
}

/* Ends the open slot: its LTime comes behind its events. */
static void close_slot(struct rf_serf_push_pull_writer *writer)
{
    if (writer->slot_is_open) {
        RF_ASSERT(writer->entries_left == 0);
        pack_key(writer->packer, "LTime");
        rf_pack_uint(writer->packer, writer->slot_ltime);
        writer->slot_is_open = false;
    }
}

void rf_serf_push_pull_begin(struct rf_serf_push_pull_writer *writer, struct rf_packer *packer,
                             uint64_t ltime, uint64_t event_ltime, uint64_t query_ltime,
                             uint32_t slots_count)
{
    *writer = (struct rf_serf_push_pull_writer){
        .packer = packer,
        .start = packer->size,
        .query_ltime = query_ltime,
        .ltime = ltime,
        .slots_left = slots_count,
        .part = PART_EVENTS,
    };
    rf_pack_byte(packer, RF_SERF_PUSH_PULL);
    rf_pack_map(packer, 6);
    pack_key(packer, "EventLTime");
    rf_pack_uint(packer, event_ltime);
    pack_key(packer, "Events");
    rf_pack_array(packer, slots_count);
}

void rf_serf_push_pull_slot_nil(struct rf_serf_push_pull_writer *writer)
{
    close_slot(writer);
    RF_ASSERT(writer->part == PART_EVENTS && writer->slots_left > 0);
    writer->slots_left--;
    rf_pack_nil(writer->packer);
}

void rf_serf_push_pull_slot(struct rf_serf_push_pull_writer *writer, uint64_t ltime,
                            uint32_t events_count)
{
    close_slot(writer);
    RF_ASSERT(writer->part == PART_EVENTS && writer->slots_left > 0);
    writer->slots_left--;
    writer->slot_is_open = true;
    writer->slot_ltime = ltime;
    writer->entries_left = events_count;
    rf_pack_map(writer->packer, 2);
    pack_key(writer->packer, "Events");
    rf_pack_array(writer->packer, events_count);
}

void rf_serf_push_pull_event(struct rf_serf_push_pull_writer *writer, struct rf_slice name,
                             struct rf_slice payload)
{
    RF_ASSERT(writer->slot_is_open && writer->entries_left > 0);
    writer->entries_left--;
    struct event event = {.name = name, .payload = payload};
    rf_pack_struct(writer->packer, &event_table, &event);
}

void rf_serf_push_pull_left_members(struct rf_serf_push_pull_writer *writer, uint32_t count)
{
    close_slot(writer);
    RF_ASSERT(writer->part == PART_EVENTS && writer->slots_left == 0);
    writer->part = PART_LEFT_MEMBERS;
    writer->entries_left = count;
    pack_key(writer->packer, "LTime");
    rf_pack_uint(writer->packer, writer->ltime);
    pack_key(writer->packer, "LeftMembers");
    rf_pack_array(writer->packer, count);
}

void rf_serf_push_pull_left_member(struct rf_serf_push_pull_writer *writer, struct rf_slice name)
{
    RF_ASSERT(writer->part == PART_LEFT_MEMBERS && writer->entries_left > 0);
    writer->entries_left--;
    rf_pack_raw(writer->packer, name);
}

void rf_serf_push_pull_status_ltimes(struct rf_serf_push_pull_writer *writer, uint32_t count)
{
    RF_ASSERT(writer->part == PART_LEFT_MEMBERS && writer->entries_left == 0);
    writer->part = PART_STATUS_LTIMES;
    writer->entries_left = count;
    pack_key(writer->packer, "QueryLTime");
    rf_pack_uint(writer->packer, writer->query_ltime);
    pack_key(writer->packer, "StatusLTimes");
    rf_pack_map(writer->packer, count);
}

void rf_serf_push_pull_status_ltime(struct rf_serf_push_pull_writer *writer, struct rf_slice name,
                                    uint64_t ltime)
{
    RF_ASSERT(writer->part == PART_STATUS_LTIMES && writer->entries_left > 0);
    writer->entries_left--;
    rf_pack_raw(writer->packer, name);
    rf_pack_uint(writer->packer, ltime);
}

int rf_serf_push_pull_end(struct rf_serf_push_pull_writer *writer)
{
    RF_ASSERT(writer->part == PART_STATUS_LTIMES && writer->entries_left == 0);
    return rf_packer_end(writer->packer, writer->start);
}
