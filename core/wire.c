/* SPDX-License-Identifier: MIT */
#include "core/wire.h"

#include <errno.h>

enum {
    MATCH_MANY_HEAD_SIZE = 2, /* after the group: the count */
    OWNERS_HEAD_SIZE = 2,
    WATCH_TAIL_SIZE = 16, /* after the group: instance, version */
};

/* 'RFB' after a byte that is neither a letter (HTTP), nor 'P' of HTTP/2, nor 0x16 (TLS), so that
 * the first byte of a connection tells the protocols apart; then the version. */
const uint8_t rf_wire_preface[RF_WIRE_PREFACE_SIZE] = {0xab, 'R', 'F', 'B', RF_WIRE_VERSION};

enum { PREFACE_VERSION_OFFSET = 4 };

const char *rf_wire_status_name(uint8_t status)
{
    static const char *const names[] = {"ok",        "not found",   "malformed", "unsupported",
                                        "too large", "unavailable", "internal"};
    return status < sizeof(names) / sizeof(names[0]) ? names[status] : "unknown status";
}

enum rf_wire_status rf_wire_status_of(int code)
{
    RF_ASSERT(code <= 0);
    switch (code) {
    case 0:
        return RF_WIRE_OK;
    case RF_ENOTFOUND:
        return RF_WIRE_NOT_FOUND;
    case RF_EMALFORMED:
    case -EINVAL:
        return RF_WIRE_MALFORMED;
    case RF_EUNSUPPORTED:
    case RF_EVERSION:
        return RF_WIRE_UNSUPPORTED;
    case RF_ELIMIT:
        return RF_WIRE_TOO_LARGE;
    case RF_EUNAVAILABLE:
        return RF_WIRE_UNAVAILABLE;
    default:
        return RF_WIRE_INTERNAL;
    }
}

int rf_wire_code_of(uint8_t status)
{
    switch (status) {
    case RF_WIRE_OK:
        return 0;
    case RF_WIRE_NOT_FOUND:
        return RF_ENOTFOUND;
    case RF_WIRE_MALFORMED:
        return RF_EMALFORMED;
    case RF_WIRE_UNSUPPORTED:
        return RF_EUNSUPPORTED;
    case RF_WIRE_TOO_LARGE:
        return RF_ELIMIT;
    case RF_WIRE_UNAVAILABLE:
        return RF_EUNAVAILABLE;
    default:
        return -EREMOTEIO;
    }
}

int rf_wire_preface_check(const uint8_t *data, size_t size, struct rf_error *err)
{
    size_t name_size = size < PREFACE_VERSION_OFFSET ? size : PREFACE_VERSION_OFFSET;
    if (memcmp(data, rf_wire_preface, name_size) != 0) {
        return rf_error_set(err, RF_EMALFORMED, "not the binary protocol's preface");
    }
    if (size > PREFACE_VERSION_OFFSET && data[PREFACE_VERSION_OFFSET] != RF_WIRE_VERSION) {
        return rf_error_set(err, RF_EVERSION, "protocol version %u: spoken here is %d",
                            data[PREFACE_VERSION_OFFSET], RF_WIRE_VERSION);
    }
    size_t checked = size < RF_WIRE_PREFACE_SIZE ? size : RF_WIRE_PREFACE_SIZE;
    if (memcmp(data, rf_wire_preface, checked) != 0) {
        return rf_error_set(err, RF_EMALFORMED, "the preface does not end in three zero bytes");
    }
    return checked < RF_WIRE_PREFACE_SIZE ? RF_EMORE : 0;
}

/* ---- checks of requests ---- */

int rf_wire_refuse_request_header(const struct rf_wire_header *header, struct rf_error *err)
{
    if (header->op == RF_WIRE_NONE) {
        return rf_error_set(err, RF_EMALFORMED,
                            "operation 0 in a request: it is for replies alone");
    }
    if (header->status != 0) {
        return rf_error_set(err, RF_EMALFORMED, "status %u in a request: must be 0",
                            header->status);
    }
    if (header->reserved != 0) {
        return rf_error_set(err, RF_EMALFORMED, "reserved bits 0x%04x: must be 0",
                            header->reserved);
    }
    return rf_error_set(err, RF_ELIMIT, "request of %llu bytes: allowed %d",
                        (unsigned long long)header->payload_size + RF_WIRE_HEADER_SIZE,
                        RF_WIRE_REQUEST_SIZE_MAX);
}

int rf_wire_refuse_group(const uint8_t *payload, size_t size, struct rf_error *err)
{
    if (size == 0) {
        return rf_error_set(err, RF_EMALFORMED, "no payload");
    }
    if (payload[0] == 0) {
        return rf_error_set(err, RF_EMALFORMED, "empty group name");
    }
    return rf_error_set(err, RF_EMALFORMED, "group name of %u bytes, %zu are there", payload[0],
                        size - 1);
}

/* Splits a payload that begins with a group name. */
static int split_group(const uint8_t *payload, size_t size, struct rf_wire_match_request *ret,
                       struct rf_error *err)
{
    return rf_wire_match_request_decode(payload, size, ret, err);
}

static int check_count(unsigned count, unsigned count_max, const char *what, struct rf_error *err)
{
    if (count == 0) {
        return rf_error_set(err, RF_EMALFORMED, "0 %s: allowed 1..%u", what, count_max);
    }
    if (count > count_max) {
        return rf_error_set(err, RF_ELIMIT, "%u %s: allowed 1..%u", count, what, count_max);
    }
    return 0;
}

int rf_wire_match_many_head_decode(const uint8_t *payload, size_t size,
                                   struct rf_wire_match_many_request *ret, struct rf_error *err)
{
    struct rf_wire_match_request head;
    int code = split_group(payload, size, &head, err);
    if (code < 0) {
        return code;
    }
    if (head.key.size < MATCH_MANY_HEAD_SIZE) {
        return rf_error_set(err, RF_EMALFORMED, "no key count");
    }
    const uint8_t *at = head.key.data;
    uint16_t count = rf_load_le16(at);
    code = check_count(count, RF_WIRE_KEYS_MAX, "keys", err);
    if (code < 0) {
        return code;
    }
    ret->group = head.group;
    ret->count = count;
    ret->keys = (struct rf_wire_cursor){at + MATCH_MANY_HEAD_SIZE, count};
    ret->keys_end = at + head.key.size;
    return 0;
}

int rf_wire_match_many_request_decode(const uint8_t *payload, size_t size,
                                      struct rf_wire_match_many_request *ret, struct rf_error *err)
{
    struct rf_wire_match_many_request many;
    struct rf_wire_bytes key;
    int code = rf_wire_match_many_head_decode(payload, size, &many, err);
    if (code < 0) {
        return code;
    }
    struct rf_wire_cursor keys = many.keys;
    while (keys.left > 0) {
        if (!rf_wire_keys_take(&keys, many.keys_end, &key)) {
            return rf_error_set(err, RF_EMALFORMED, "key %u of %u is cut", many.count - keys.left,
                                many.count);
        }
    }
    if (keys.at != many.keys_end) {
        return rf_error_set(err, RF_EMALFORMED, "%td bytes after the last key",
                            many.keys_end - keys.at);
    }
    *ret = many;
    return 0;
}

int rf_wire_owners_request_decode(const uint8_t *payload, size_t size,
                                  struct rf_wire_owners_request *ret, struct rf_error *err)
{
    struct rf_wire_match_request head;
    int code = split_group(payload, size, &head, err);
    if (code < 0) {
        return code;
    }
    if (head.key.size < OWNERS_HEAD_SIZE) {
        return rf_error_set(err, RF_EMALFORMED, "no count of owners");
    }
    const uint8_t *at = head.key.data;
    uint16_t count = rf_load_le16(at);
    code = check_count(count, RF_WIRE_OWNERS_MAX, "owners", err);
    if (code < 0) {
        return code;
    }
    ret->group = head.group;
    ret->key = (struct rf_wire_bytes){at + OWNERS_HEAD_SIZE, head.key.size - OWNERS_HEAD_SIZE};
    ret->count = count;
    return 0;
}

/* A cursor, which is all that is left of a payload. */
static int decode_after(const uint8_t *payload, size_t size, struct rf_wire_bytes *ret_after,
                        struct rf_error *err)
{
    if (size == 0) {
        return rf_error_set(err, RF_EMALFORMED, "no cursor");
    }
    if (size != (size_t)payload[0] + 1) {
        return rf_error_set(err, RF_EMALFORMED, "cursor of %u bytes, %zu are there", payload[0],
                            size - 1);
    }
    *ret_after = (struct rf_wire_bytes){payload + 1, payload[0]};
    return 0;
}

int rf_wire_members_request_decode(const uint8_t *payload, size_t size,
                                   struct rf_wire_members_request *ret, struct rf_error *err)
{
    struct rf_wire_match_request head;
    struct rf_wire_bytes after;
    int code = split_group(payload, size, &head, err);
    if (code == 0) {
        code = decode_after(head.key.data, head.key.size, &after, err);
    }
    if (code == 0) {
        ret->group = head.group;
        ret->after = after;
    }
    return code;
}

int rf_wire_groups_request_decode(const uint8_t *payload, size_t size,
                                  struct rf_wire_bytes *ret_after, struct rf_error *err)
{
    return decode_after(payload, size, ret_after, err);
}

int rf_wire_info_request_decode(size_t size, struct rf_error *err)
{
    if (size != 0) {
        return rf_error_set(err, RF_EMALFORMED, "%zu bytes of payload: info has none", size);
    }
    return 0;
}

int rf_wire_ping_request_decode(size_t size, struct rf_error *err)
{
    if (size > RF_WIRE_PING_SIZE_MAX) {
        return rf_error_set(err, RF_ELIMIT, "ping of %zu bytes: allowed 0..%d", size,
                            RF_WIRE_PING_SIZE_MAX);
    }
    return 0;
}

int rf_wire_watch_request_decode(const uint8_t *payload, size_t size,
                                 struct rf_wire_watch_request *ret, struct rf_error *err)
{
    struct rf_wire_match_request head;
    int code = split_group(payload, size, &head, err);
    if (code < 0) {
        return code;
    }
    if (head.key.size != WATCH_TAIL_SIZE) {
        return rf_error_set(err, RF_EMALFORMED, "%zu bytes after the group: must be %d",
                            head.key.size, WATCH_TAIL_SIZE);
    }
    const uint8_t *tail = head.key.data;
    *ret = (struct rf_wire_watch_request){
        .group = head.group, .instance = rf_load_le64(tail), .version = rf_load_le64(tail + 8)};
    return 0;
}

/* ---- encoding of requests ---- */

/* Where the payload goes, or NULL if the frame is too large. */
static uint8_t *begin(uint8_t *out, size_t out_size, size_t frame_size_max, enum rf_wire_op op,
                      uint32_t request_id, size_t payload_size)
{
    size_t size_max = out_size < frame_size_max ? out_size : frame_size_max;
    if (size_max < RF_WIRE_HEADER_SIZE || payload_size > size_max - RF_WIRE_HEADER_SIZE) {
        return NULL;
    }
    rf_wire_header_store(out, op, RF_WIRE_OK, request_id, payload_size);
    return out + RF_WIRE_HEADER_SIZE;
}

static uint8_t *put(uint8_t *at, struct rf_wire_bytes bytes)
{
    if (bytes.size > 0) { /* data may be NULL then */
        memcpy(at, bytes.data, bytes.size);
    }
    return at + bytes.size;
}

static uint8_t *put_name(uint8_t *at, struct rf_wire_bytes name)
{
    *at = (uint8_t)name.size;
    return put(at + 1, name);
}

static void assert_group(struct rf_wire_bytes group)
{
    RF_ASSERT(group.size >= 1 && group.size <= RF_NAME_SIZE_MAX);
}

size_t rf_wire_match_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                    struct rf_wire_bytes group, struct rf_wire_bytes key)
{
    assert_group(group);
    if (key.size > RF_WIRE_REQUEST_SIZE_MAX) {
        return 0;
    }
    uint8_t *at = begin(out, out_size, RF_WIRE_REQUEST_SIZE_MAX, RF_WIRE_MATCH, request_id,
                        1 + group.size + key.size);
    if (at == NULL) {
        return 0;
    }
    at = put(put_name(at, group), key);
    return (size_t)(at - out);
}

size_t rf_wire_match_many_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                         struct rf_wire_bytes group,
                                         const struct rf_wire_bytes *keys, size_t keys_count)
{
    assert_group(group);
    RF_ASSERT(keys_count >= 1 && keys_count <= RF_WIRE_KEYS_MAX);
    size_t payload_size = 1 + group.size + MATCH_MANY_HEAD_SIZE;
    for (size_t i = 0; i < keys_count; i++) {
        if (keys[i].size > UINT16_MAX) {
            return 0;
        }
        payload_size += 2 + keys[i].size;
    }
    uint8_t *at = begin(out, out_size, RF_WIRE_REQUEST_SIZE_MAX, RF_WIRE_MATCH_MANY, request_id,
                        payload_size);
    if (at == NULL) {
        return 0;
    }
    at = put_name(at, group);
    rf_store_le16(at, (uint16_t)keys_count);
    at += MATCH_MANY_HEAD_SIZE;
    for (size_t i = 0; i < keys_count; i++) {
        rf_store_le16(at, (uint16_t)keys[i].size);
        at = put(at + 2, keys[i]);
    }
    return (size_t)(at - out);
}

size_t rf_wire_owners_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                     struct rf_wire_bytes group, struct rf_wire_bytes key,
                                     size_t count)
{
    assert_group(group);
    RF_ASSERT(count >= 1 && count <= RF_WIRE_OWNERS_MAX);
    if (key.size > RF_WIRE_REQUEST_SIZE_MAX) {
        return 0;
    }
    uint8_t *at = begin(out, out_size, RF_WIRE_REQUEST_SIZE_MAX, RF_WIRE_OWNERS, request_id,
                        1 + group.size + OWNERS_HEAD_SIZE + key.size);
    if (at == NULL) {
        return 0;
    }
    at = put_name(at, group);
    rf_store_le16(at, (uint16_t)count);
    at = put(at + OWNERS_HEAD_SIZE, key);
    return (size_t)(at - out);
}

size_t rf_wire_members_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                      struct rf_wire_bytes group, struct rf_wire_bytes after)
{
    assert_group(group);
    RF_ASSERT(after.size <= RF_NAME_SIZE_MAX);
    uint8_t *at = begin(out, out_size, RF_WIRE_REQUEST_SIZE_MAX, RF_WIRE_MEMBERS, request_id,
                        2 + group.size + after.size);
    if (at == NULL) {
        return 0;
    }
    at = put_name(put_name(at, group), after);
    return (size_t)(at - out);
}

size_t rf_wire_groups_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                     struct rf_wire_bytes after)
{
    RF_ASSERT(after.size <= RF_NAME_SIZE_MAX);
    uint8_t *at =
        begin(out, out_size, RF_WIRE_REQUEST_SIZE_MAX, RF_WIRE_GROUPS, request_id, 1 + after.size);
    if (at == NULL) {
        return 0;
    }
    at = put_name(at, after);
    return (size_t)(at - out);
}

size_t rf_wire_info_request_encode(uint8_t *out, size_t out_size, uint32_t request_id)
{
    uint8_t *at = begin(out, out_size, RF_WIRE_REQUEST_SIZE_MAX, RF_WIRE_INFO, request_id, 0);
    return at == NULL ? 0 : RF_WIRE_HEADER_SIZE;
}

size_t rf_wire_watch_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                    const struct rf_wire_watch_request *request)
{
    assert_group(request->group);
    uint8_t *at = begin(out, out_size, RF_WIRE_REQUEST_SIZE_MAX, RF_WIRE_WATCH, request_id,
                        1 + request->group.size + WATCH_TAIL_SIZE);
    if (at == NULL) {
        return 0;
    }
    at = put_name(at, request->group);
    rf_store_le64(at, request->instance);
    rf_store_le64(at + 8, request->version);
    return (size_t)(at + WATCH_TAIL_SIZE - out);
}

size_t rf_wire_frame_encode(uint8_t *out, size_t out_size, enum rf_wire_op op,
                            enum rf_wire_status status, uint32_t request_id,
                            struct rf_wire_bytes payload)
{
    uint8_t *at = begin(out, out_size, RF_WIRE_REPLY_SIZE_MAX, op, request_id, payload.size);
    if (at == NULL) {
        return 0;
    }
    rf_wire_header_store(out, op, status, request_id, payload.size);
    at = put(at, payload);
    return (size_t)(at - out);
}

size_t rf_wire_error_encode(uint8_t *out, size_t out_size, uint8_t op, enum rf_wire_status status,
                            uint32_t request_id, const char *text)
{
    RF_ASSERT(status != RF_WIRE_OK);
    struct rf_wire_bytes payload = {text, strnlen(text, RF_WIRE_ERROR_TEXT_SIZE_MAX)};
    return rf_wire_frame_encode(out, out_size, (enum rf_wire_op)op, status, request_id, payload);
}
