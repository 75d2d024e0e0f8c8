/* SPDX-License-Identifier: MIT
 *
 * wire_roundtrip.h - decodes one frame of the binary protocol as a server or client would, walks
 * through all that it says, and encodes it again.
 *
 * The protocol has one way to say a thing, so what a decoder takes must come out of the encoder
 * byte for byte: a check that needs no second implementation, for tests and fuzzers.
 */
#ifndef RF_TESTS_SUPPORT_WIRE_ROUNDTRIP_H
#define RF_TESTS_SUPPORT_WIRE_ROUNDTRIP_H

#include <stdlib.h>

#include "core/wire.h"

/* Not to be taken for any code of a decoder. */
enum { WIRE_ROUNDTRIP_DIFFERS = 1 };

static inline bool wire_same(const uint8_t *frame, size_t size, const uint8_t *again,
                             size_t again_size)
{
    return size == again_size && memcmp(frame, again, size) == 0;
}

/* Bytes that the decoder has let through must all be readable. */
static inline unsigned wire_touch(struct rf_wire_bytes bytes)
{
    unsigned sum = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        sum += ((const uint8_t *)bytes.data)[i];
    }
    return sum;
}

/* Encodes the request at `frame` again; returns the size, 0 if it differs in size, or a code. */
static inline long wire_request_again(const struct rf_wire_header *header, const uint8_t *payload,
                                      uint8_t *out, size_t out_size)
{
    struct rf_error err;
    size_t size = header->payload_size;
    uint32_t id = header->request_id;
    int code;
    switch (header->op) {
    case RF_WIRE_MATCH: {
        struct rf_wire_match_request request;
        code = rf_wire_match_request_decode(payload, size, &request, &err);
        return code < 0 ? code
                        : (long)rf_wire_match_request_encode(out, out_size, id, request.group,
                                                             request.key);
    }
    case RF_WIRE_MATCH_MANY: {
        struct rf_wire_match_many_request request;
        struct rf_wire_bytes keys[RF_WIRE_KEYS_MAX];
        code = rf_wire_match_many_request_decode(payload, size, &request, &err);
        if (code < 0) {
            return code;
        }
        size_t count = 0;
        while (rf_wire_keys_next(&request.keys, &keys[count])) {
            (void)wire_touch(keys[count++]);
        }
        return (long)rf_wire_match_many_request_encode(out, out_size, id, request.group, keys,
                                                       count);
    }
    case RF_WIRE_OWNERS: {
        struct rf_wire_owners_request request;
        code = rf_wire_owners_request_decode(payload, size, &request, &err);
        return code < 0 ? code
                        : (long)rf_wire_owners_request_encode(out, out_size, id, request.group,
                                                              request.key, request.count);
    }
    case RF_WIRE_MEMBERS: {
        struct rf_wire_members_request request;
        code = rf_wire_members_request_decode(payload, size, &request, &err);
        return code < 0 ? code
                        : (long)rf_wire_members_request_encode(out, out_size, id, request.group,
                                                               request.after);
    }
    case RF_WIRE_GROUPS: {
        struct rf_wire_bytes after;
        code = rf_wire_groups_request_decode(payload, size, &after, &err);
        return code < 0 ? code : (long)rf_wire_groups_request_encode(out, out_size, id, after);
    }
    case RF_WIRE_INFO:
        code = rf_wire_info_request_decode(size, &err);
        return code < 0 ? code : (long)rf_wire_info_request_encode(out, out_size, id);
    case RF_WIRE_PING:
        code = rf_wire_ping_request_decode(size, &err);
        return code < 0 ? code
                        : (long)rf_wire_frame_encode(out, out_size, RF_WIRE_PING, RF_WIRE_OK, id,
                                                     (struct rf_wire_bytes){payload, size});
    case RF_WIRE_WATCH: {
        struct rf_wire_watch_request request;
        code = rf_wire_watch_request_decode(payload, size, &request, &err);
        return code < 0 ? code : (long)rf_wire_watch_request_encode(out, out_size, id, &request);
    }
    default:
        return RF_EUNSUPPORTED;
    }
}

static inline long wire_owners_again(const struct rf_wire_header *header, const uint8_t *payload,
                                     uint8_t *out, size_t out_size)
{
    struct rf_wire_owners_reply reply;
    struct rf_wire_list list;
    struct rf_wire_owner owner;
    int code = rf_wire_owners_reply_decode(payload, header->payload_size, &reply, NULL);
    if (code == 0) {
        code = rf_wire_owners_reply_begin(&list, out, out_size, (enum rf_wire_op)header->op,
                                          header->request_id, reply.version);
    }
    while (code == 0 && rf_wire_owners_next(&reply.owners, &owner)) {
        code = rf_wire_owners_reply_add(&list, &owner);
    }
    return code < 0 ? code : (long)rf_wire_list_end(&list, false);
}

static inline long wire_members_again(const struct rf_wire_header *header, const uint8_t *payload,
                                      uint8_t *out, size_t out_size)
{
    struct rf_wire_members_reply reply;
    struct rf_wire_list list;
    struct rf_wire_member member;
    int code = rf_wire_members_reply_decode(payload, header->payload_size, &reply, NULL);
    if (code == 0) {
        code = rf_wire_members_reply_begin(&list, out, out_size, header->request_id, reply.version,
                                           reply.digest);
    }
    while (code == 0 && rf_wire_members_next(&reply.members, &member)) {
        code = rf_wire_members_reply_add(&list, &member);
    }
    return code < 0 ? code : (long)rf_wire_list_end(&list, reply.more);
}

static inline long wire_groups_again(const struct rf_wire_header *header, const uint8_t *payload,
                                     uint8_t *out, size_t out_size)
{
    struct rf_wire_groups_reply reply;
    struct rf_wire_list list;
    struct rf_wire_group group;
    int code = rf_wire_groups_reply_decode(payload, header->payload_size, &reply, NULL);
    if (code == 0) {
        code = rf_wire_groups_reply_begin(&list, out, out_size, header->request_id, reply.version,
                                          reply.digest);
    }
    while (code == 0 && rf_wire_groups_next(&reply.groups, &group)) {
        code = rf_wire_groups_reply_add(&list, &group);
    }
    return code < 0 ? code : (long)rf_wire_list_end(&list, reply.more);
}

/* The writer takes C strings, which the reader's views are not. */
static inline const char *wire_text(struct rf_wire_bytes bytes, char *text)
{
    if (bytes.size > 0) {
        memcpy(text, bytes.data, bytes.size);
    }
    text[bytes.size] = '\0';
    return text;
}

static inline long wire_info_again(const struct rf_wire_header *header, const uint8_t *payload,
                                   uint8_t *out, size_t out_size)
{
    struct rf_wire_info_reply reply;
    struct rf_wire_list list;
    struct rf_wire_info info;
    int code = rf_wire_info_reply_decode(payload, header->payload_size, &reply, NULL);
    if (code == 0) {
        code = rf_wire_info_reply_begin(&list, out, out_size, header->request_id);
    }
    while (code == 0 && rf_wire_info_next(&reply.entries, &info)) {
        char name[RF_NAME_SIZE_MAX + 1];
        char text[RF_WIRE_INFO_TEXT_SIZE_MAX + 1];
        (void)wire_touch(info.value);
        if (info.type == RF_WIRE_INFO_TEXT) {
            code = rf_wire_info_reply_add_text(&list, wire_text(info.name, name),
                                               wire_text(info.value, text));
        } else if (info.type == RF_WIRE_INFO_U64) {
            code = rf_wire_info_reply_add_u64(&list, wire_text(info.name, name),
                                              rf_load_le64(info.value.data));
        } else {
            return RF_EUNSUPPORTED; /* taken, but ours to skip: no encoder writes it */
        }
    }
    return code < 0 ? code : (long)rf_wire_list_end(&list, false);
}

static inline long wire_watch_again(const struct rf_wire_header *header, const uint8_t *payload,
                                    uint8_t *out, size_t out_size)
{
    struct rf_wire_watch_reply reply;
    struct rf_wire_list list;
    struct rf_wire_change change;
    int code = rf_wire_watch_reply_decode(payload, header->payload_size, &reply, NULL);
    if (code == 0) {
        code = rf_wire_watch_reply_begin(&list, out, out_size, header->request_id, &reply.head);
    }
    while (code == 0 && rf_wire_watch_next(&reply.changes, &change)) {
        code = change.is_forgotten
                   ? rf_wire_watch_reply_add_forgotten(&list, change.member.owner.id)
                   : rf_wire_watch_reply_add_member(&list, &change.member);
    }
    return code < 0 ? code : (long)rf_wire_list_end(&list, reply.more);
}

static inline long wire_reply_again(const struct rf_wire_header *header, const uint8_t *payload,
                                    uint8_t *out, size_t out_size)
{
    struct rf_wire_bytes bytes = {payload, header->payload_size};
    if (header->status != RF_WIRE_OK || header->op == RF_WIRE_PING) {
        (void)wire_touch(bytes);
        return (long)rf_wire_frame_encode(out, out_size, (enum rf_wire_op)header->op,
                                          (enum rf_wire_status)header->status, header->request_id,
                                          bytes);
    }
    switch (header->op) {
    case RF_WIRE_MATCH: {
        struct rf_wire_match_reply reply;
        int code = rf_wire_match_reply_decode(payload, header->payload_size, &reply, NULL);
        return code < 0 ? code
                        : (long)rf_wire_match_reply_encode(out, out_size, header->request_id,
                                                           reply.version, &reply.owner);
    }
    case RF_WIRE_MATCH_MANY:
    case RF_WIRE_OWNERS:
        return wire_owners_again(header, payload, out, out_size);
    case RF_WIRE_MEMBERS:
        return wire_members_again(header, payload, out, out_size);
    case RF_WIRE_GROUPS:
        return wire_groups_again(header, payload, out, out_size);
    case RF_WIRE_INFO:
        return wire_info_again(header, payload, out, out_size);
    case RF_WIRE_WATCH:
        return wire_watch_again(header, payload, out, out_size);
    default:
        return RF_EUNSUPPORTED;
    }
}

/*
 * Returns 0 if `frame` is one whole frame that comes out again as it went in, the decoder's
 * negative code if it is refused (RF_EMORE: it is cut), WIRE_ROUNDTRIP_DIFFERS if the decoder took
 * what the encoder does not write.
 */
static inline int wire_roundtrip(const uint8_t *frame, size_t size, bool is_reply)
{
    if (size < RF_WIRE_HEADER_SIZE) {
        return RF_EMORE;
    }
    struct rf_error err;
    struct rf_wire_header header = rf_wire_header_load(frame);
    int code = is_reply ? rf_wire_reply_header_check(&header, &err)
                        : rf_wire_request_header_check(&header, &err);
    if (code < 0) {
        return code;
    }
    if (size - RF_WIRE_HEADER_SIZE < header.payload_size) {
        return RF_EMORE;
    }
    if (size - RF_WIRE_HEADER_SIZE > header.payload_size) {
        return RF_EMALFORMED; /* the next frame begins in what should be this one */
    }
    uint8_t *out = malloc(size);
    if (out == NULL) {
        abort();
    }
    const uint8_t *payload = frame + RF_WIRE_HEADER_SIZE;
    long again = is_reply ? wire_reply_again(&header, payload, out, size)
                          : wire_request_again(&header, payload, out, size);
    if (again < 0) {
        code = (int)again;
    } else {
        code = wire_same(frame, size, out, (size_t)again) ? 0 : WIRE_ROUNDTRIP_DIFFERS;
    }
    free(out);
    return code;
}

#endif
