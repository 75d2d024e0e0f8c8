/* SPDX-License-Identifier: MIT */
#include "tests/support/go_peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/error.h"
#include "gossip/coordinate.h"
#include "gossip/message.h"
#include "gossip/msgpack.h"
#include "gossip/name_table.h"
#include "gossip/serf_message.h"

enum { META_MAX = 512, PARTS_MAX = 127, NEST_MAX = 4 };

/* Near the end of 32 bits a Go node wraps when it refutes, and is gone for good. */
#define INCARNATION_NEAR_THE_END (UINT32_MAX - (1u << 20))

/* ---- one struct: a map of named values, which is how we write each ---- */

struct record {
    struct rf_unpacker start; /* at the first key */
    uint32_t count;
    size_t end; /* of the map in the bytes */
};

static bool record_open(struct rf_slice bytes, struct record *ret)
{
    struct rf_unpacker unpacker = rf_unpacker(bytes);
    if (rf_unpack_map(&unpacker, &ret->count) != 0) {
        return false;
    }
    ret->start = unpacker;
    unpacker.offset = 0;
    if (rf_unpack_skip(&unpacker) != 0) {
        return false;
    }
    ret->end = unpacker.offset;
    return true;
}

/* A reader that stands at the value of `name`; false: there is no such field. */
static bool field(const struct record *record, const char *name, struct rf_unpacker *ret)
{
    struct rf_unpacker unpacker = record->start;
    for (uint32_t i = 0; i < record->count; i++) {
        struct rf_slice key;
        if (rf_unpack_raw(&unpacker, 64, &key) != 0) {
            return false;
        }
        if (rf_slice_equal_text(key, name)) {
            *ret = unpacker;
            return true;
        }
        if (rf_unpack_skip(&unpacker) != 0) {
            return false;
        }
    }
    return false;
}

static bool field_raw(const struct record *record, const char *name, struct rf_slice *ret)
{
    struct rf_unpacker unpacker;
    return field(record, name, &unpacker) && rf_unpack_raw(&unpacker, SIZE_MAX, ret) == 0;
}

static bool field_uint(const struct record *record, const char *name, uint64_t *ret)
{
    struct rf_unpacker unpacker;
    return field(record, name, &unpacker) && rf_unpack_uint(&unpacker, UINT64_MAX, ret) == 0;
}

/* ---- memberlist ---- */

static const char *dies_of_vsn(const struct record *record)
{
    struct rf_slice vsn;
    if (!field_raw(record, "Vsn", &vsn) || vsn.size == 0) {
        return "no version vector: stored as zeros, after which no push/pull is merged";
    }
    if (vsn.size != RF_VSN_SIZE) {
        return "a version vector that is not of 6 bytes: index out of range";
    }
    const uint8_t *v = vsn.data;
    if (v[0] == 0 || v[0] > v[2] || v[2] > v[1] || v[3] > v[5] || v[5] > v[4]) {
        return "a version vector out of order: no push/pull is merged any more";
    }
    const uint8_t *ours = rf_vsn_ours;
    if (v[0] > ours[2] || ours[2] > v[1] || v[3] > ours[5] || ours[5] > v[4]) {
        return "versions that ours do not agree with: no push/pull is merged any more";
    }
    return NULL;
}

static const char *dies_of_incarnation(const struct record *record)
{
    uint64_t incarnation;
    if (!field_uint(record, "Incarnation", &incarnation) || incarnation > UINT32_MAX) {
        return "no incarnation";
    }
    return incarnation > INCARNATION_NEAR_THE_END ? "an incarnation that cannot be refuted" : NULL;
}

/* The same place in another form is a name conflict to peers, which compare bytes. */
static const char *dies_of_address(struct go_peer_view *view, struct rf_slice name,
                                   const struct rf_address *address)
{
    if (view == NULL) {
        return NULL;
    }
    uint64_t hash = rf_name_hash(1, name);
    size_t i = 0;
    while (i < view->count && view->names[i] != hash) {
        i++;
    }
    if (i < view->count) {
        struct rf_address before = rf_address_unmapped(&view->addresses[i]);
        struct rf_address now = rf_address_unmapped(address);
        if (rf_address_equal(&before, &now) && view->addresses[i].ip_size != address->ip_size) {
            return "a known address in another form: a name conflict for ever";
        }
    } else if (view->count < GO_PEER_NAMES_MAX) {
        view->names[view->count++] = hash;
    } else {
        return NULL;
    }
    view->addresses[i] = *address;
    return NULL;
}

/* An alive message, or a node of a push/pull: `name_field` is what it calls the name. */
static const char *dies_of_node(struct go_peer_view *view, const struct record *record,
                                const char *name_field)
{
    struct rf_slice name;
    struct rf_slice ip;
    struct rf_slice meta = {0};
    uint64_t port;
    if (!field_raw(record, name_field, &name) || name.size == 0) {
        return "a node without a name";
    }
    if (!field_raw(record, "Addr", &ip) || (ip.size != 4 && ip.size != 16) ||
        !field_uint(record, "Port", &port) || port > UINT16_MAX) {
        return "a node without an address";
    }
    if (!field_raw(record, "Meta", &meta) || meta.size > META_MAX) {
        return "metadata above 512 bytes: peers that pass it on abort";
    }
    struct rf_address address = {.ip_size = (uint8_t)ip.size, .port = (uint16_t)port};
    for (size_t i = 0; i < ip.size; i++) {
        address.ip[i] = ip.data[i];
    }
    const char *reason = dies_of_vsn(record);
    reason = reason == NULL ? dies_of_incarnation(record) : reason;
    return reason == NULL ? dies_of_address(view, name, &address) : reason;
}

static const char *dies_of_accusation(const struct record *record)
{
    struct rf_slice name;
    if (!field_raw(record, "Node", &name) || name.size == 0 || !field_raw(record, "From", &name)) {
        return "an accusation without names";
    }
    return dies_of_incarnation(record);
}

/* Coordinates with a NaN spread from node to node, and stay. */
static const char *dies_of_ack(const struct record *record)
{
    struct rf_slice payload = {0};
    struct rf_coordinate coordinate;
    if (field_raw(record, "Payload", &payload) && payload.size > 0 &&
        rf_coordinate_decode(payload, &coordinate) < 0) {
        return "a coordinate that is none: peers fold it into their own";
    }
    return NULL;
}

/* ---- serf ---- */

static const char *dies_of_query(const struct rf_serf_query *query)
{
    static const char *const changes[] = {"_serf_install-key", "_serf_use-key", "_serf_remove-key"};
    struct rf_cursor cursor = rf_cursor_array(query->filters);
    struct rf_slice filter;
    while (rf_cursor_next_raw(&cursor, &filter)) {
        if (filter.size == 0) {
            return "an empty filter of a query: index out of range";
        }
    }
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        if (rf_slice_equal_text(query->name, changes[i]) && query->payload.size == 0) {
            return "a change of keys without payload: index out of range";
        }
    }
    return NULL;
}

static const char *dies_of_serf(struct rf_slice bytes)
{
    struct rf_serf_message message;
    if (rf_serf_message_decode(bytes, &message) < 0) {
        return "a serf message that cannot be read";
    }
    switch (message.type) {
    case RF_SERF_LEAVE:
    case RF_SERF_JOIN:
    case RF_SERF_USER_EVENT:
    case RF_SERF_QUERY_RESPONSE:
        return NULL;
    case RF_SERF_QUERY:
        return dies_of_query(&message.query);
    case RF_SERF_RELAY:
        return dies_of_serf(message.relay.message);
    default:
        return "a serf message that is none of its own";
    }
}

/* ---- packets ---- */

static const char *dies_of_part(struct go_peer_view *view, struct rf_slice message, int depth);

/* Peers before memberlist 0.2.4 misread more than 127 parts. */
static const char *dies_of_compound(struct go_peer_view *view, struct rf_slice message, int depth)
{
    if (message.size < 2 || message.data[1] == 0 || message.data[1] > PARTS_MAX) {
        return "a compound of no parts, or of more than 127";
    }
    size_t count = message.data[1];
    size_t at = 2 + 2 * count;
    for (size_t i = 0; i < count; i++) {
        size_t size =
            at <= message.size ? (size_t)message.data[2 + 2 * i] << 8 | message.data[3 + 2 * i] : 0;
        if (size == 0 || size > message.size - at) {
            return "a compound that is cut, or has an empty part";
        }
        const char *reason = dies_of_part(view, rf_slice(message.data + at, size), depth + 1);
        if (reason != NULL) {
            return reason;
        }
        at += size;
    }
    return at == message.size ? NULL : "a compound with bytes behind its parts";
}

static const char *dies_of_part(struct go_peer_view *view, struct rf_slice message, int depth)
{
    struct record record = {0};
    if (message.size == 0 || depth > NEST_MAX) {
        return "an empty message";
    }
    uint8_t type = message.data[0];
    if (type == RF_MESSAGE_COMPOUND) {
        return dies_of_compound(view, message, depth);
    }
    if (type == RF_MESSAGE_USER) {
        return dies_of_serf(rf_slice_after(message, 1));
    }
    if (!record_open(rf_slice_after(message, 1), &record)) {
        return "a message that is no map";
    }
    switch (type) {
    case RF_MESSAGE_PING:
    case RF_MESSAGE_INDIRECT_PING:
    case RF_MESSAGE_NACK:
        return NULL;
    case RF_MESSAGE_ACK:
        return dies_of_ack(&record);
    case RF_MESSAGE_SUSPECT:
    case RF_MESSAGE_DEAD:
        return dies_of_accusation(&record);
    case RF_MESSAGE_ALIVE:
        return dies_of_node(view, &record, "Node");
    default:
        return "a type that packets do not carry";
    }
}

const char *go_peer_dies_of_packet(struct go_peer_view *view, struct rf_slice message)
{
    return dies_of_part(view, message, 0);
}

/* ---- streams ---- */

static const char *dies_of_user_state(struct rf_slice state)
{
    struct record record;
    if (state.size == 0) {
        return NULL;
    }
    if (state.data[0] != RF_SERF_PUSH_PULL || !record_open(rf_slice_after(state, 1), &record) ||
        1 + record.end != state.size) {
        return "a user state that is none of serf's";
    }
    return NULL;
}

static const char *dies_of_push_pull(struct go_peer_view *view, struct rf_slice message)
{
    struct record header;
    uint64_t nodes_count;
    uint64_t state_size;
    struct rf_slice rest = rf_slice_after(message, 1);
    if (!record_open(rest, &header) || !field_uint(&header, "Nodes", &nodes_count) ||
        !field_uint(&header, "UserStateLen", &state_size)) {
        return "a push/pull header without counts, or with negative ones: makeslice panics";
    }
    rest = rf_slice_after(rest, header.end);
    for (uint64_t i = 0; i < nodes_count; i++) {
        struct record node;
        uint64_t state;
        if (!record_open(rest, &node)) {
            return "a push/pull that has fewer nodes than it says: memory for all is reserved";
        }
        const char *reason = dies_of_node(view, &node, "Name");
        if (reason != NULL) {
            return reason;
        }
        if (!field_uint(&node, "State", &state) || state > RF_NODE_LEFT) {
            return "a node in no state";
        }
        rest = rf_slice_after(rest, node.end);
    }
    return rest.size == state_size ? dies_of_user_state(rest)
                                   : "a user state of another size than the header says";
}

const char *go_peer_dies_of_stream(struct go_peer_view *view, struct rf_slice message)
{
    struct record record;
    if (message.size == 0) {
        return "an empty message in a stream: index out of range once it was decompressed";
    }
    switch (message.data[0]) {
    case RF_MESSAGE_PUSH_PULL:
        return dies_of_push_pull(view, message);
    case RF_MESSAGE_PING:
    case RF_MESSAGE_ACK:
    case RF_MESSAGE_ERR:
        return record_open(rf_slice_after(message, 1), &record) ? NULL : "a message that is no map";
    default:
        return "a type that our streams do not carry";
    }
}

/* ---- for fuzzers and simulations ---- */

static void must_survive(const char *reason, const uint8_t *bytes, size_t size)
{
    if (reason == NULL) {
        return;
    }
    (void)fprintf(stderr, "a Go peer would die of %s:", reason);
    for (size_t i = 0; i < size; i++) {
        (void)fprintf(stderr, " %02x", bytes[i]);
    }
    (void)fprintf(stderr, "\n");
    abort();
}

void go_peer_must_survive_packet(struct go_peer_view *view, const uint8_t *bytes, size_t size)
{
    must_survive(go_peer_dies_of_packet(view, rf_slice(bytes, size)), bytes, size);
}

void go_peer_must_survive_stream(struct go_peer_view *view, const uint8_t *bytes, size_t size)
{
    must_survive(go_peer_dies_of_stream(view, rf_slice(bytes, size)), bytes, size);
}
