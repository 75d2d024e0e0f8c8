/* SPDX-License-Identifier: MIT */
#include "tests/support/serf_dump.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "gossip/compress.h"
#include "gossip/coordinate.h"
#include "gossip/tags.h"

enum { PATH_SIZE = 256 };

/* ---- values ---- */

static void put_text(FILE *out, struct rf_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '\\') {
            fputs("\\\\", out);
        } else if (byte < 0x20 || byte > 0x7e) {
            fprintf(out, "\\x%02x", byte);
        } else {
            fputc(byte, out);
        }
    }
}

static void put_string(FILE *out, const char *path, const char *field, struct rf_slice value)
{
    fprintf(out, "%s.%s=s:", path, field);
    put_text(out, value);
    fputc('\n', out);
}

static void put_raw(FILE *out, const char *path, struct rf_slice value)
{
    if (value.data == NULL) {
        fprintf(out, "%s=nil\n", path);
        return;
    }
    fprintf(out, "%s=b:", path);
    for (size_t i = 0; i < value.size; i++) {
        fprintf(out, "%02x", value.data[i]);
    }
    fputc('\n', out);
}

static void put_bytes(FILE *out, const char *path, const char *field, struct rf_slice value)
{
    char full[PATH_SIZE];
    snprintf(full, sizeof(full), "%s.%s", path, field);
    put_raw(out, full, value);
}

static void put_ip(FILE *out, const char *path, const char *field, const struct rf_address *address)
{
    put_bytes(out, path, field,
              rf_slice(address->ip_size == 0 ? NULL : address->ip, address->ip_size));
}

static void put_uint(FILE *out, const char *path, const char *field, uint64_t value)
{
    fprintf(out, "%s.%s=%" PRIu64 "\n", path, field, value);
}

static void put_bool(FILE *out, const char *path, const char *field, bool value)
{
    fprintf(out, "%s.%s=%s\n", path, field, value ? "true" : "false");
}

static void put_double(FILE *out, const char *path, const char *field, double value)
{
    fprintf(out, "%s.%s=f:%.17g\n", path, field, value);
}

/* ---- lists ---- */

static void put_names(FILE *out, const char *path, const char *field, struct rf_slice encoded)
{
    if (encoded.data == NULL) {
        fprintf(out, "%s.%s=nil\n", path, field);
        return;
    }
    struct rf_cursor cursor = rf_cursor_array(encoded);
    fprintf(out, "%s.%s.len=%u\n", path, field, cursor.left);
    struct rf_slice name;
    for (int i = 0; rf_cursor_next_raw(&cursor, &name); i++) {
        fprintf(out, "%s.%s[%d]=s:", path, field, i);
        put_text(out, name);
        fputc('\n', out);
    }
}

static void put_string_map(FILE *out, const char *path, struct rf_slice encoded)
{
    if (encoded.data == NULL || encoded.data[0] == 0xc0) {
        fprintf(out, "%s=nil\n", path);
        return;
    }
    struct rf_cursor cursor = rf_cursor_map(encoded);
    fprintf(out, "%s.len=%u\n", path, cursor.left);
    struct rf_slice key;
    struct rf_slice value;
    while (rf_cursor_next_pair(&cursor, &key, &value)) {
        fprintf(out, "%s{", path);
        put_text(out, key);
        fputs("}=s:", out);
        put_text(out, value);
        fputc('\n', out);
    }
}

/* ---- memberlist ---- */

int serf_dump_tags(FILE *out, const char *path, struct rf_slice meta)
{
    int rc = rf_tags_check(meta);
    if (rc < 0) {
        return rc;
    }
    struct rf_tags_cursor cursor = rf_tags_begin(meta);
    if (cursor.is_role) {
        struct rf_tag tag;
        while (rf_tags_next(&cursor, &tag)) {
            put_text(out, tag.name);
            fputs("=s:", out);
            put_text(out, tag.value);
            fputc('\n', out);
        }
        return 0;
    }
    put_string_map(out, path, rf_slice_after(meta, 1));
    return 0;
}

static int put_meta(FILE *out, const char *path, struct rf_slice meta)
{
    put_bytes(out, path, "Meta", meta);
    if (meta.size == 0 || meta.data[0] != 0xff) {
        return 0;
    }
    char full[PATH_SIZE];
    snprintf(full, sizeof(full), "%s.Meta.tags", path);
    return serf_dump_tags(out, full, meta);
}

int serf_dump_ack_payload(FILE *out, const char *path, struct rf_slice payload)
{
    put_bytes(out, path, "Payload", payload);
    struct rf_coordinate coordinate;
    if (rf_coordinate_decode(payload, &coordinate) < 0) {
        return 0;
    }
    char coord[PATH_SIZE];
    snprintf(coord, sizeof(coord), "%s.Payload.coord", path);
    fprintf(out, "%s.Payload.pingVersion=%d\n", path, payload.data[0]);
    put_double(out, coord, "Adjustment", coordinate.adjustment);
    put_double(out, coord, "Error", coordinate.error);
    put_double(out, coord, "Height", coordinate.height);
    fprintf(out, "%s.Vec.len=%d\n", coord, RF_COORDINATE_DIMENSION);
    for (int i = 0; i < RF_COORDINATE_DIMENSION; i++) {
        fprintf(out, "%s.Vec[%d]=f:%.17g\n", coord, i, coordinate.vec[i]);
    }
    return 0;
}

static void put_source(FILE *out, const char *path, const struct rf_address *source,
                       struct rf_slice source_node)
{
    if (source->ip_size > 0) {
        put_ip(out, path, "SourceAddr", source);
    }
    if (source_node.size > 0) {
        put_string(out, path, "SourceNode", source_node);
    }
    if (source->port > 0) {
        put_uint(out, path, "SourcePort", source->port);
    }
}

static void put_ping(FILE *out, const char *path, const struct rf_ping *ping)
{
    put_string(out, path, "Node", ping->node);
    put_uint(out, path, "SeqNo", ping->seq_no);
    put_source(out, path, &ping->source, ping->source_node);
}

static void put_indirect_ping(FILE *out, const char *path, const struct rf_indirect_ping *ping)
{
    put_bool(out, path, "Nack", ping->nack);
    put_string(out, path, "Node", ping->node);
    put_uint(out, path, "Port", ping->target.port);
    put_uint(out, path, "SeqNo", ping->seq_no);
    put_source(out, path, &ping->source, ping->source_node);
    put_ip(out, path, "Target", &ping->target);
}

static void put_accusation(FILE *out, const char *path, struct rf_slice from, uint32_t incarnation,
                           struct rf_slice node)
{
    put_string(out, path, "From", from);
    put_uint(out, path, "Incarnation", incarnation);
    put_string(out, path, "Node", node);
}

static int put_alive(FILE *out, const char *path, const struct rf_alive *alive)
{
    put_ip(out, path, "Addr", &alive->address);
    put_uint(out, path, "Incarnation", alive->incarnation);
    int rc = put_meta(out, path, alive->meta);
    put_string(out, path, "Node", alive->node);
    put_uint(out, path, "Port", alive->address.port);
    put_bytes(out, path, "Vsn", rf_slice(alive->vsn, sizeof(alive->vsn)));
    return rc;
}

static int put_user(FILE *out, const char *path, struct rf_slice body)
{
    struct rf_serf_message message;
    if (rf_serf_message_decode(body, &message) < 0) {
        put_bytes(out, path, "body", body);
        return 0;
    }
    return serf_dump_serf(out, path, body);
}

static int put_compress(FILE *out, const char *path, const struct rf_compress *compress)
{
    int size = rf_compress_inflate(compress, NULL, RF_PACKET_PLAIN_MAX);
    if (size < 0) {
        return size;
    }
    uint8_t *plain = malloc((size_t)size);
    if (plain == NULL || rf_compress_inflate(compress, plain, (size_t)size) != size) {
        abort();
    }
    put_uint(out, path, "Algo", compress->algo);
    put_uint(out, path, "BufLen", compress->buf.size);
    put_uint(out, path, "plainLen", (uint64_t)size);
    char inner[PATH_SIZE];
    snprintf(inner, sizeof(inner), "%s.inner", path);
    int rc = serf_dump_message(out, inner, rf_slice(plain, (size_t)size));
    free(plain);
    return rc;
}

static int put_compound(FILE *out, const char *path, struct rf_slice bytes)
{
    struct rf_compound compound;
    int rc = rf_compound_open(bytes, &compound);
    if (rc < 0) {
        return rc;
    }
    fprintf(out, "%s.type=compound\n", path);
    put_uint(out, path, "count", compound.count);
    struct rf_slice part;
    for (int i = 0; rf_compound_next(&compound, &part); i++) {
        char inner[PATH_SIZE];
        snprintf(inner, sizeof(inner), "%s[%d]", path, i);
        rc = serf_dump_message(out, inner, part);
        if (rc < 0) {
            return rc;
        }
    }
    if (rf_compound_left(&compound) > 0) {
        put_uint(out, path, "truncated", rf_compound_left(&compound));
    }
    return 0;
}

int serf_dump_message(FILE *out, const char *path, struct rf_slice bytes)
{
    if (bytes.size > 0 && bytes.data[0] == RF_MESSAGE_COMPOUND) {
        return put_compound(out, path, bytes);
    }
    struct rf_message message;
    int rc = rf_message_decode(bytes, &message);
    if (rc < 0) {
        return rc;
    }
    fprintf(out, "%s.type=%s\n", path, rf_message_type_name(bytes.data[0]));
    switch (message.type) {
    case RF_MESSAGE_PING:
        put_ping(out, path, &message.ping);
        break;
    case RF_MESSAGE_INDIRECT_PING:
        put_indirect_ping(out, path, &message.indirect_ping);
        break;
    case RF_MESSAGE_ACK:
        rc = serf_dump_ack_payload(out, path, message.ack.payload);
        put_uint(out, path, "SeqNo", message.ack.seq_no);
        break;
    case RF_MESSAGE_SUSPECT:
        put_accusation(out, path, message.suspect.from, message.suspect.incarnation,
                       message.suspect.node);
        break;
    case RF_MESSAGE_ALIVE:
        rc = put_alive(out, path, &message.alive);
        break;
    case RF_MESSAGE_DEAD:
        put_accusation(out, path, message.dead.from, message.dead.incarnation, message.dead.node);
        break;
    case RF_MESSAGE_USER:
        rc = put_user(out, path, message.user);
        break;
    case RF_MESSAGE_COMPRESS:
        rc = put_compress(out, path, &message.compress);
        break;
    case RF_MESSAGE_NACK:
        put_uint(out, path, "SeqNo", message.nack.seq_no);
        break;
    case RF_MESSAGE_ERR:
        put_string(out, path, "Error", message.err.error);
        break;
    default:
        return RF_EUNSUPPORTED;
    }
    return rc;
}

/* ---- serf ---- */

int serf_dump_filters(FILE *out, const char *path, const struct rf_slice *filters, size_t count)
{
    put_uint(out, path, "Filters.len", count);
    for (size_t i = 0; i < count; i++) {
        char full[PATH_SIZE];
        snprintf(full, sizeof(full), "%s.Filters[%zu]", path, i);
        put_raw(out, full, filters[i]);
        struct rf_serf_filter filter;
        int rc = rf_serf_filter_decode(filters[i], &filter);
        if (rc < 0) {
            return rc;
        }
        if (filter.type == RF_SERF_FILTER_NODE) {
            fprintf(out, "%s.filter=node\n", full);
            put_names(out, full, "nodes", filter.nodes);
        } else {
            fprintf(out, "%s.filter=tag\n", full);
            put_string(out, full, "Expr", filter.expr);
            put_string(out, full, "Tag", filter.tag);
        }
    }
    return 0;
}

static int put_encoded_filters(FILE *out, const char *path, struct rf_slice encoded)
{
    if (encoded.data == NULL) {
        fprintf(out, "%s.Filters=nil\n", path);
        return 0;
    }
    enum { FILTERS_MAX = 16 };
    struct rf_slice filters[FILTERS_MAX];
    size_t count = 0;
    struct rf_cursor cursor = rf_cursor_array(encoded);
    while (count < FILTERS_MAX && rf_cursor_next_raw(&cursor, &filters[count])) {
        count++;
    }
    return serf_dump_filters(out, path, filters, count);
}

/* A payload that is itself a message: of key and conflict queries. */
static int put_payload(FILE *out, const char *path, struct rf_slice payload)
{
    put_bytes(out, path, "Payload", payload);
    struct rf_serf_message message;
    if (payload.size == 0 || payload.data[0] < RF_SERF_CONFLICT_RESPONSE ||
        payload.data[0] > RF_SERF_KEY_RESPONSE || rf_serf_message_decode(payload, &message) < 0) {
        return 0;
    }
    char full[PATH_SIZE];
    snprintf(full, sizeof(full), "%s.Payload.msg", path);
    return serf_dump_serf(out, full, payload);
}

static int put_query(FILE *out, const char *path, const struct rf_serf_query *query)
{
    put_ip(out, path, "Addr", &query->address);
    int rc = put_encoded_filters(out, path, query->filters);
    put_uint(out, path, "Flags", query->flags);
    put_uint(out, path, "ID", query->id);
    put_uint(out, path, "LTime", query->ltime);
    put_string(out, path, "Name", query->name);
    rc = rc < 0 ? rc : put_payload(out, path, query->payload);
    put_uint(out, path, "Port", query->address.port);
    put_uint(out, path, "RelayFactor", query->relay_factor);
    put_string(out, path, "SourceNode", query->source_node);
    put_uint(out, path, "Timeout", query->timeout_ns);
    return rc;
}

static void put_member(FILE *out, const char *path, const struct rf_serf_member *member)
{
    if (member->is_nil) {
        fprintf(out, "%s=nil\n", path);
        return;
    }
    put_ip(out, path, "Addr", &member->address);
    put_uint(out, path, "DelegateCur", member->delegate_cur);
    put_uint(out, path, "DelegateMax", member->delegate_max);
    put_uint(out, path, "DelegateMin", member->delegate_min);
    put_string(out, path, "Name", member->name);
    put_uint(out, path, "Port", member->address.port);
    put_uint(out, path, "ProtocolCur", member->protocol_cur);
    put_uint(out, path, "ProtocolMax", member->protocol_max);
    put_uint(out, path, "ProtocolMin", member->protocol_min);
    put_uint(out, path, "Status", member->status);
    char tags[PATH_SIZE];
    snprintf(tags, sizeof(tags), "%s.Tags", path);
    put_string_map(out, tags, member->tags);
}

static void put_event_slots(FILE *out, const char *path, struct rf_slice encoded)
{
    if (encoded.data == NULL) {
        fprintf(out, "%s.Events=nil\n", path);
        return;
    }
    struct rf_cursor slots = rf_cursor_array(encoded);
    fprintf(out, "%s.Events.len=%u\n", path, slots.count);
    struct rf_serf_event_slot slot;
    uint32_t index;
    while (rf_serf_next_event_slot(&slots, &slot, &index)) {
        struct rf_cursor events = rf_cursor_array(slot.events);
        char full[PATH_SIZE];
        snprintf(full, sizeof(full), "%s.Events[%u]", path, index);
        fprintf(out, "%s.Events.len=%u\n", full, events.count);
        struct rf_slice name;
        struct rf_slice payload;
        for (int i = 0; rf_serf_next_event(&events, &name, &payload); i++) {
            char event[PATH_SIZE + 32];
            snprintf(event, sizeof(event), "%s.Events[%d]", full, i);
            put_string(out, event, "Name", name);
            put_bytes(out, event, "Payload", payload);
        }
        put_uint(out, full, "LTime", slot.ltime);
    }
}

static void put_push_pull(FILE *out, const char *path, const struct rf_serf_push_pull *push_pull)
{
    put_uint(out, path, "EventLTime", push_pull->event_ltime);
    put_event_slots(out, path, push_pull->events);
    put_uint(out, path, "LTime", push_pull->ltime);
    put_names(out, path, "LeftMembers", push_pull->left_members);
    put_uint(out, path, "QueryLTime", push_pull->query_ltime);
    struct rf_cursor cursor = rf_cursor_map(push_pull->status_ltimes);
    fprintf(out, "%s.StatusLTimes.len=%u\n", path, cursor.count);
    struct rf_slice name;
    uint64_t ltime;
    while (rf_cursor_next_uint(&cursor, &name, &ltime)) {
        fprintf(out, "%s.StatusLTimes{", path);
        put_text(out, name);
        fprintf(out, "}=%" PRIu64 "\n", ltime);
    }
}

static int put_relay(FILE *out, const char *path, const struct rf_serf_relay *relay)
{
    put_ip(out, path, "DestAddr.IP", &relay->dest);
    put_uint(out, path, "DestAddr.Port", relay->dest.port);
    put_string(out, path, "DestAddr.Zone", relay->zone);
    put_string(out, path, "DestName", relay->dest_name);
    char inner[PATH_SIZE];
    snprintf(inner, sizeof(inner), "%s.inner", path);
    return serf_dump_serf(out, inner, relay->message);
}

int serf_dump_serf(FILE *out, const char *path, struct rf_slice bytes)
{
    struct rf_serf_message message;
    int rc = rf_serf_message_decode(bytes, &message);
    if (rc < 0) {
        return rc;
    }
    fprintf(out, "%s.serf=%s\n", path, rf_serf_type_name(bytes.data[0]));
    switch (message.type) {
    case RF_SERF_LEAVE:
        put_uint(out, path, "LTime", message.leave.ltime);
        put_string(out, path, "Node", message.leave.node);
        put_bool(out, path, "Prune", message.leave.prune);
        break;
    case RF_SERF_JOIN:
        put_uint(out, path, "LTime", message.join.ltime);
        put_string(out, path, "Node", message.join.node);
        break;
    case RF_SERF_PUSH_PULL:
        put_push_pull(out, path, &message.push_pull);
        break;
    case RF_SERF_USER_EVENT:
        put_bool(out, path, "CC", message.user_event.cc);
        put_uint(out, path, "LTime", message.user_event.ltime);
        put_string(out, path, "Name", message.user_event.name);
        put_bytes(out, path, "Payload", message.user_event.payload);
        break;
    case RF_SERF_QUERY:
        rc = put_query(out, path, &message.query);
        break;
    case RF_SERF_QUERY_RESPONSE:
        put_uint(out, path, "Flags", message.query_response.flags);
        put_string(out, path, "From", message.query_response.from);
        put_uint(out, path, "ID", message.query_response.id);
        put_uint(out, path, "LTime", message.query_response.ltime);
        rc = put_payload(out, path, message.query_response.payload);
        break;
    case RF_SERF_CONFLICT_RESPONSE:
        put_member(out, path, &message.member);
        break;
    case RF_SERF_KEY_REQUEST:
        put_bytes(out, path, "Key", message.key_request.key);
        break;
    case RF_SERF_KEY_RESPONSE:
        put_names(out, path, "Keys", message.key_response.keys);
        put_string(out, path, "Message", message.key_response.message);
        put_string(out, path, "PrimaryKey", message.key_response.primary_key);
        put_bool(out, path, "Result", message.key_response.result);
        break;
    case RF_SERF_RELAY:
        rc = put_relay(out, path, &message.relay);
        break;
    }
    return rc;
}

/* ---- envelopes ---- */

static void put_label(FILE *out, struct rf_slice label)
{
    fputs("label=", out);
    put_text(out, label);
    fputc('\n', out);
}

int serf_dump_packet(FILE *out, const struct rf_envelope *envelope, struct rf_packet *packet,
                     struct rf_slice bytes)
{
    int rc = rf_packet_open(packet, envelope, bytes.data, bytes.size);
    if (rc < 0) {
        return rc;
    }
    if (packet->label.size > 0) {
        put_label(out, packet->label);
    }
    if (packet->is_encrypted) {
        fprintf(out, "enc.version=%d\n", packet->crypt_version);
        put_raw(out, "enc.nonce", rf_slice(packet->nonce, sizeof(packet->nonce)));
        fprintf(out, "enc.plainLen=%zu\n", packet->plain_size);
    }
    if (packet->has_crc) {
        fprintf(out, "crc=%08x\n", packet->crc);
    }
    return serf_dump_message(out, "m", packet->message);
}

static int put_stream_push_pull(FILE *out, const struct rf_stream_message *message)
{
    put_bool(out, "m.header", "Join", message->push_pull.header.join);
    put_uint(out, "m.header", "Nodes", message->push_pull.header.nodes_count);
    put_uint(out, "m.header", "UserStateLen", message->push_pull.header.user_state_size);
    struct rf_unpacker nodes = rf_unpacker(message->push_pull.nodes);
    struct rf_push_node_state node;
    for (int i = 0; rf_stream_next_node(&nodes, &node, NULL); i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof(path), "m.nodes[%d]", i);
        put_ip(out, path, "Addr", &node.address);
        put_uint(out, path, "Incarnation", node.incarnation);
        int rc = put_meta(out, path, node.meta);
        if (rc < 0) {
            return rc;
        }
        put_string(out, path, "Name", node.name);
        put_uint(out, path, "Port", node.address.port);
        put_uint(out, path, "State", node.state);
        put_bytes(out, path, "Vsn", rf_slice(node.vsn, sizeof(node.vsn)));
    }
    struct rf_slice user_state = message->push_pull.user_state;
    if (user_state.size == 0) {
        return 0;
    }
    struct rf_serf_message serf;
    if (user_state.data[0] != RF_SERF_PUSH_PULL || rf_serf_message_decode(user_state, &serf) < 0) {
        put_raw(out, "m.user", user_state);
        return 0;
    }
    return serf_dump_serf(out, "m.user", user_state);
}

int serf_dump_stream(FILE *out, const struct rf_stream_parser *parser)
{
    if (parser->has_label) {
        put_label(out, parser->envelope->label);
    }
    if (parser->is_encrypted) {
        fprintf(out, "enc.length=%u\n", parser->frame_size);
        fprintf(out, "enc.version=%d\n", parser->crypt_version);
        put_raw(out, "enc.nonce", rf_slice(parser->nonce, sizeof(parser->nonce)));
        fprintf(out, "enc.plainLen=%zu\n", parser->plain_size);
    }
    if (parser->is_compressed) {
        fprintf(out, "compress.Algo=0\ncompress.BufLen=%zu\ncompress.plainLen=%zu\n",
                parser->compressed_size, parser->inflated_size);
    }
    const struct rf_stream_message *message = rf_stream_parser_message(parser);
    fprintf(out, "m.type=%s\n", rf_message_type_name((uint8_t)message->type));
    switch (message->type) {
    case RF_MESSAGE_PUSH_PULL:
        return put_stream_push_pull(out, message);
    case RF_MESSAGE_USER:
        put_uint(out, "m.header", "UserMsgLen", message->user.size);
        put_raw(out, "m.user", message->user);
        return 0;
    case RF_MESSAGE_PING:
        put_ping(out, "m", &message->ping);
        return 0;
    case RF_MESSAGE_ACK:
        put_bytes(out, "m", "Payload", message->ack.payload);
        put_uint(out, "m", "SeqNo", message->ack.seq_no);
        return 0;
    case RF_MESSAGE_ERR:
        put_string(out, "m", "Error", message->err.error);
        return 0;
    default:
        return RF_EUNSUPPORTED;
    }
}
