/* SPDX-License-Identifier: MIT
 *
 * wire.h - the binary protocol, version 1: decoders and encoders of both sides. The definition,
 * with test vectors, is core/WIRE.md.
 *
 * Decoders check everything, copy nothing: what they return points into the payload. Encoders
 * write whole frames into the caller's buffer and never past it. Nothing here allocates, blocks or
 * keeps state; any thread may call anything.
 *
 * A server's loop over received bytes is
 *     rf_wire_preface_check            once
 *     rf_wire_header_load              12 bytes are there
 *     rf_wire_request_header_check     refused: error reply, close
 *     rf_wire_<op>_request_decode      the payload is there too
 *     rf_wire_<op>_reply_encode, or a list: rf_wire_<op>_reply_begin, _add, rf_wire_list_end
 */
#ifndef RF_CORE_WIRE_H
#define RF_CORE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/assert.h"
#include "core/bytes.h"
#include "core/error.h"
#include "core/member.h"

enum {
    RF_WIRE_VERSION = 1,
    RF_WIRE_PREFACE_SIZE = 8,
    RF_WIRE_HEADER_SIZE = 12,
    RF_WIRE_REQUEST_SIZE_MAX = 64 * 1024, /* a frame, header included: bounds what a server keeps
                                             of a slow sender */
    RF_WIRE_REPLY_SIZE_MAX = 1024 * 1024, /* a frame; the largest is MATCH_MANY: 513 KiB */
    RF_WIRE_PAGE_SIZE_MAX = 64 * 1024,    /* a frame of MEMBERS or GROUPS, as servers make them:
                                             no page holds up a worker or another connection */
    RF_WIRE_KEYS_MAX = 1024,              /* of MATCH_MANY: bounds one epoch section */
    RF_WIRE_OWNERS_MAX = 1024,            /* of OWNERS: a reply is no larger than for keys */
    RF_WIRE_PING_SIZE_MAX = 1024,         /* payload of PING */
    RF_WIRE_INFO_TEXT_SIZE_MAX = 1024,    /* a text value of INFO */
    RF_WIRE_ERROR_TEXT_SIZE_MAX = 255,    /* fits struct rf_error */
    RF_WIRE_OWNER_SIZE_MAX = 2 * (1 + RF_NAME_SIZE_MAX), /* an entry of MATCH_MANY or OWNERS */
    RF_WIRE_MATCH_REPLY_SIZE_MAX = RF_WIRE_HEADER_SIZE + 9 + 2 * RF_NAME_SIZE_MAX, /* a frame */
    RF_WIRE_OWNER_SHORT_SIZE_MAX =
        62, /* of an encoded owner: with its size it fills a cache line */
    RF_WIRE_MATCH_REPLY_SHORT_ROOM = RF_WIRE_HEADER_SIZE + 8 + RF_WIRE_OWNER_SHORT_SIZE_MAX,
};

/* Size of the largest frame of an owners reply with `count` entries: MATCH_MANY and OWNERS. */
#define RF_WIRE_OWNERS_REPLY_SIZE_MAX(count) \
    (RF_WIRE_HEADER_SIZE + 10 + (size_t)(count)*RF_WIRE_OWNER_SIZE_MAX)

static_assert(RF_WIRE_HEADER_SIZE + 10 + RF_WIRE_KEYS_MAX * RF_WIRE_OWNER_SIZE_MAX <=
                  RF_WIRE_REPLY_SIZE_MAX,
              "the largest MATCH_MANY reply is a reply");
static_assert((int)RF_WIRE_OWNERS_MAX <= (int)RF_WIRE_KEYS_MAX, "OWNERS replies are no larger");
static_assert((int)RF_WIRE_ERROR_TEXT_SIZE_MAX == (int)RF_ERROR_TEXT_SIZE - 1, "texts fit");

enum rf_wire_op {
    RF_WIRE_NONE = 0, /* of errors about the connection, which is closed; never of a request */
    RF_WIRE_MATCH = 1,
    RF_WIRE_MATCH_MANY = 2,
    RF_WIRE_OWNERS = 3,
    RF_WIRE_MEMBERS = 4,
    RF_WIRE_GROUPS = 5,
    RF_WIRE_INFO = 6,
    RF_WIRE_PING = 7,
    RF_WIRE_WATCH = 8,
};

enum rf_wire_status {
    RF_WIRE_OK = 0,
    RF_WIRE_NOT_FOUND = 1,   /* no such group, or nothing in its ring */
    RF_WIRE_MALFORMED = 2,   /* not what WIRE.md says; the server closes after this reply */
    RF_WIRE_UNSUPPORTED = 3, /* unknown operation; the connection goes on */
    RF_WIRE_TOO_LARGE = 4,   /* a limit, the text names it; closes only if the frame is too large */
    RF_WIRE_UNAVAILABLE = 5, /* shutting down: ask another registry */
    RF_WIRE_INTERNAL = 6,    /* the server's own fault, as no memory; the connection goes on */
};

struct rf_wire_header {
    uint32_t payload_size;
    uint8_t op;        /* enum rf_wire_op, or one we do not know */
    uint8_t status;    /* enum rf_wire_status; 0 in requests */
    uint16_t reserved; /* 0 */
    uint32_t request_id;
};

/* Borrowed bytes, not NUL-terminated. */
struct rf_wire_bytes {
    const void *data;
    size_t size;
};

/* What is left of a list that a decoder has checked. */
struct rf_wire_cursor {
    const uint8_t *at;
    uint32_t left; /* entries */
};

/* ---- codes ---- */

/* "ok", "not found", ...; "unknown status". */
const char *rf_wire_status_name(uint8_t status);

/* The status that tells `code`, 0 or a negative one, to a client: RF_EMALFORMED and -EINVAL are
 * MALFORMED, RF_ELIMIT is TOO_LARGE, what no client can mend is INTERNAL. No errno goes on the
 * wire. */
enum rf_wire_status rf_wire_status_of(int code);

/* The reverse: 0 or RF_E...; -EREMOTEIO for INTERNAL and for statuses we do not know. */
int rf_wire_code_of(uint8_t status);

/* ---- preface ---- */

/* What a client sends first. */
extern const uint8_t rf_wire_preface[RF_WIRE_PREFACE_SIZE];

/*
 * Looks at the first bytes of a connection; `size` may be less than the preface.
 * Errors: RF_EMORE right so far; RF_EMALFORMED another protocol: close without a word (or let
 *         that protocol have the bytes); RF_EVERSION ours, of another version: reply with
 *         RF_WIRE_NONE, RF_WIRE_UNSUPPORTED, request id 0 and the text in `err`, close.
 */
RF_NODISCARD int rf_wire_preface_check(const uint8_t *data, size_t size, struct rf_error *err);

/* ---- header ---- */

static inline struct rf_wire_header rf_wire_header_load(const uint8_t data[RF_WIRE_HEADER_SIZE])
{
    return (struct rf_wire_header){
        .payload_size = rf_load_le32(data),
        .op = data[4],
        .status = data[5],
        .reserved = rf_load_le16(data + 6),
        .request_id = rf_load_le32(data + 8),
    };
}

static inline void rf_wire_header_store(uint8_t data[RF_WIRE_HEADER_SIZE], enum rf_wire_op op,
                                        enum rf_wire_status status, uint32_t request_id,
                                        size_t payload_size)
{
    rf_store_le32(data, (uint32_t)payload_size);
    data[4] = (uint8_t)op;
    data[5] = (uint8_t)status;
    rf_store_le16(data + 6, 0);
    rf_store_le32(data + 8, request_id);
}

/* The cold halves of the checks below: name what is wrong. */
int rf_wire_refuse_request_header(const struct rf_wire_header *header, struct rf_error *err);
int rf_wire_refuse_group(const uint8_t *payload, size_t size, struct rf_error *err);

/*
 * Whether a server may go on with a frame, before its payload has arrived.
 * Errors: RF_EMALFORMED operation 0, status or reserved bits; RF_ELIMIT the frame is too large.
 *         Either way: error reply with the header's op and request id, then close.
 */
RF_NODISCARD static inline int rf_wire_request_header_check(const struct rf_wire_header *header,
                                                            struct rf_error *err)
{
    if (RF_UNLIKELY(header->op == RF_WIRE_NONE || (header->status | header->reserved) != 0 ||
                    header->payload_size > RF_WIRE_REQUEST_SIZE_MAX - RF_WIRE_HEADER_SIZE)) {
        return rf_wire_refuse_request_header(header, err);
    }
    return 0;
}

/* The client's counterpart. Errors: RF_EMALFORMED reserved bits; RF_ELIMIT the frame is larger
 * than any reply. The connection is of no use any more. */
RF_NODISCARD int rf_wire_reply_header_check(const struct rf_wire_header *header,
                                            struct rf_error *err);

/* ---- requests: decoders ----
 *
 * All return 0, or RF_EMALFORMED (reply, then close) or RF_ELIMIT (a count above its limit: reply,
 * the connection goes on). `err` may be NULL; its text is what the error reply says. */

struct rf_wire_match_request {
    struct rf_wire_bytes group; /* 1..RF_NAME_SIZE_MAX bytes of any value */
    struct rf_wire_bytes key;   /* may be empty */
};

RF_NODISCARD static inline int rf_wire_match_request_decode(const uint8_t *payload, size_t size,
                                                            struct rf_wire_match_request *ret,
                                                            struct rf_error *err)
{
    if (RF_UNLIKELY(size < 2 || payload[0] == 0 || (size_t)payload[0] + 1 > size)) {
        return rf_wire_refuse_group(payload, size, err);
    }
    size_t group_size = payload[0];
    ret->group = (struct rf_wire_bytes){payload + 1, group_size};
    ret->key = (struct rf_wire_bytes){payload + 1 + group_size, size - 1 - group_size};
    return 0;
}

struct rf_wire_match_many_request {
    struct rf_wire_bytes group;
    uint16_t count; /* 1..RF_WIRE_KEYS_MAX */
    struct rf_wire_cursor keys;
    const uint8_t *keys_end; /* of the payload: where the last key must end */
};

/* Checks all but the keys: for who checks them while taking them by rf_wire_keys_take. */
RF_NODISCARD int rf_wire_match_many_head_decode(const uint8_t *payload, size_t size,
                                                struct rf_wire_match_many_request *ret,
                                                struct rf_error *err);

/* Checks all keys, so that iterating cannot fail. */
RF_NODISCARD int rf_wire_match_many_request_decode(const uint8_t *payload, size_t size,
                                                   struct rf_wire_match_many_request *ret,
                                                   struct rf_error *err);

/* The next key, false after the last. */
static inline bool rf_wire_keys_next(struct rf_wire_cursor *keys, struct rf_wire_bytes *ret_key)
{
    if (keys->left == 0) {
        return false;
    }
    size_t size = rf_load_le16(keys->at);
    *ret_key = (struct rf_wire_bytes){keys->at + 2, size};
    keys->at += 2 + size;
    keys->left--;
    return true;
}

/* The next key, checked; false if it is cut. There is one left. */
static inline bool rf_wire_keys_take(struct rf_wire_cursor *keys, const uint8_t *end,
                                     struct rf_wire_bytes *ret_key)
{
    if (RF_UNLIKELY(end - keys->at < 2 || end - keys->at - 2 < rf_load_le16(keys->at))) {
        return false;
    }
    return rf_wire_keys_next(keys, ret_key);
}

struct rf_wire_owners_request {
    struct rf_wire_bytes group;
    struct rf_wire_bytes key;
    uint16_t count; /* how many owners: 1..RF_WIRE_OWNERS_MAX */
};

RF_NODISCARD int rf_wire_owners_request_decode(const uint8_t *payload, size_t size,
                                               struct rf_wire_owners_request *ret,
                                               struct rf_error *err);

struct rf_wire_members_request {
    struct rf_wire_bytes group;
    struct rf_wire_bytes after; /* members whose id is greater; empty: from the start */
};

RF_NODISCARD int rf_wire_members_request_decode(const uint8_t *payload, size_t size,
                                                struct rf_wire_members_request *ret,
                                                struct rf_error *err);

/* GROUPS: *ret_after is the name after which to go on, empty: from the start. */
RF_NODISCARD int rf_wire_groups_request_decode(const uint8_t *payload, size_t size,
                                               struct rf_wire_bytes *ret_after,
                                               struct rf_error *err);

/* INFO has no payload. */
RF_NODISCARD int rf_wire_info_request_decode(size_t size, struct rf_error *err);

/* PING has any payload up to its limit; the reply is rf_wire_frame_encode with the same. */
RF_NODISCARD int rf_wire_ping_request_decode(size_t size, struct rf_error *err);

struct rf_wire_watch_request {
    struct rf_wire_bytes group;
    uint64_t instance; /* of the server that the version is of; 0: nothing is known */
    uint64_t version;  /* of the group, as last told by that server */
};

RF_NODISCARD int rf_wire_watch_request_decode(const uint8_t *payload, size_t size,
                                              struct rf_wire_watch_request *ret,
                                              struct rf_error *err);

/* ---- requests: encoders ----
 *
 * Each returns the size of the frame, or 0 if it does not fit `out_size` or is larger than
 * RF_WIRE_REQUEST_SIZE_MAX. Names of the wrong size (group: 1..RF_NAME_SIZE_MAX, after:
 * 0..RF_NAME_SIZE_MAX) and counts out of range are the caller's mistake. */

size_t rf_wire_match_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                    struct rf_wire_bytes group, struct rf_wire_bytes key);
size_t rf_wire_match_many_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                         struct rf_wire_bytes group,
                                         const struct rf_wire_bytes *keys, size_t keys_count);
size_t rf_wire_owners_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                     struct rf_wire_bytes group, struct rf_wire_bytes key,
                                     size_t count);
size_t rf_wire_members_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                      struct rf_wire_bytes group, struct rf_wire_bytes after);
size_t rf_wire_groups_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                     struct rf_wire_bytes after);
size_t rf_wire_info_request_encode(uint8_t *out, size_t out_size, uint32_t request_id);
size_t rf_wire_watch_request_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                    const struct rf_wire_watch_request *request);

/* ---- any frame ---- */

/* A frame of a payload as it is: PING both ways. Returns its size, or 0 if it does not fit. */
size_t rf_wire_frame_encode(uint8_t *out, size_t out_size, enum rf_wire_op op,
                            enum rf_wire_status status, uint32_t request_id,
                            struct rf_wire_bytes payload);

/* An error reply of at most RF_WIRE_HEADER_SIZE + RF_WIRE_ERROR_TEXT_SIZE_MAX bytes. `op` is the
 * request's, known or not; `text` is cut at the limit. Returns its size, or 0 if it does not fit.
 */
size_t rf_wire_error_encode(uint8_t *out, size_t out_size, uint8_t op, enum rf_wire_status status,
                            uint32_t request_id, const char *text);

/* ---- replies: encoders ---- */

struct rf_wire_owner {
    struct rf_wire_bytes id;   /* 1..RF_NAME_SIZE_MAX bytes */
    struct rf_wire_bytes addr; /* 1..RF_NAME_SIZE_MAX bytes */
};

struct rf_wire_member {
    struct rf_wire_owner owner;
    uint16_t replicas; /* 1..RF_REPLICAS_MAX; out of the ring also 0 */
    enum rf_member_state state;
};

struct rf_wire_group {
    struct rf_wire_bytes name;
    uint32_t members_count; /* remembered ones included */
    uint32_t alive_count;   /* in the ring */
    uint64_t version;
    uint64_t digest;
};

enum rf_wire_info_type {
    RF_WIRE_INFO_TEXT = 0,
    RF_WIRE_INFO_U64 = 1,
};

struct rf_wire_info {
    struct rf_wire_bytes name;  /* lower case, digits, '_' */
    uint8_t type;               /* enum rf_wire_info_type; clients skip the ones they do not know */
    struct rf_wire_bytes value; /* as on the wire: a text, or 8 bytes little-endian */
};

/* Returns the size of the frame, or 0 if it does not fit `out_size`: at most
 * RF_WIRE_MATCH_REPLY_SIZE_MAX. */
static inline size_t rf_wire_match_reply_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                                                uint64_t version, const struct rf_wire_owner *owner)
{
    size_t id_size = owner->id.size;
    size_t addr_size = owner->addr.size;
    RF_ASSERT(id_size - 1 < RF_NAME_SIZE_MAX && addr_size - 1 < RF_NAME_SIZE_MAX);
    size_t payload_size = 9 + id_size + addr_size;
    if (RF_UNLIKELY(out_size < RF_WIRE_HEADER_SIZE + payload_size)) {
        return 0;
    }
    rf_wire_header_store(out, RF_WIRE_MATCH, RF_WIRE_OK, request_id, payload_size);
    rf_store_le64(out + RF_WIRE_HEADER_SIZE, version);
    out[RF_WIRE_HEADER_SIZE + 8] = (uint8_t)id_size;
    memcpy(out + RF_WIRE_HEADER_SIZE + 9, owner->id.data, id_size);
    memcpy(out + RF_WIRE_HEADER_SIZE + 9 + id_size, owner->addr.data, addr_size);
    return RF_WIRE_HEADER_SIZE + payload_size;
}

/* An owner encoded once for many replies: what follows the version in those to MATCH (the size of
 * its id in a byte, id, addr), or an entry of those to MATCH_MANY and OWNERS (and the size of addr
 * before that). */
struct rf_wire_owner_short {
    _Alignas(64) uint16_t size;                  /* of bytes; 0: it does not fit */
    uint8_t bytes[RF_WIRE_OWNER_SHORT_SIZE_MAX]; /* zeros from `size` on */
};

static_assert(sizeof(struct rf_wire_owner_short) == 64, "an owner is a cache line");

/* Encodes an owner with an id and an address of 1..RF_NAME_SIZE_MAX bytes for MATCH. */
void rf_wire_owner_short_init(struct rf_wire_owner_short *owner, const char *id, const char *addr);

/* The same for the lists of MATCH_MANY and OWNERS. */
void rf_wire_entry_short_init(struct rf_wire_owner_short *entry, const char *id, const char *addr);

/* As rf_wire_match_reply_encode, of an owner that fits. There is room for
 * RF_WIRE_MATCH_REPLY_SHORT_ROOM bytes; those after the frame are overwritten too: copies of one
 * known size are a few moves, without a branch. */
static inline size_t rf_wire_match_reply_short(uint8_t *out, uint32_t request_id, uint64_t version,
                                               const struct rf_wire_owner_short *owner)
{
    const size_t payload_size = 8 + (size_t)owner->size;
    rf_store_le64(out, (uint64_t)RF_WIRE_MATCH << 32 | payload_size); /* status, reserved: 0 */
    rf_store_le32(out + 8, request_id);
    rf_store_le64(out + RF_WIRE_HEADER_SIZE, version);
    memcpy(out + RF_WIRE_HEADER_SIZE + 8, owner->bytes, sizeof(owner->bytes));
    return RF_WIRE_HEADER_SIZE + payload_size;
}

/* A reply with a list, being written. Caller's storage; private to the functions below. */
struct rf_wire_list {
    uint8_t *frame;
    size_t size;     /* written so far, header included */
    size_t size_max; /* of the caller's buffer */
    size_t count_offset;
    size_t more_offset; /* 0: this list has no such flag */
    uint32_t count;
    uint32_t count_max;
};

/*
 * Begins a reply at `out`. Every reply begins with -ENOBUFS instead of 0 if not even an empty list
 * fits: 32 bytes are enough for any. For a page of MEMBERS or GROUPS let `out_size` be at most
 * RF_WIRE_PAGE_SIZE_MAX and add until -ENOBUFS; for an owners reply (`op` is RF_WIRE_MATCH_MANY or
 * RF_WIRE_OWNERS) RF_WIRE_OWNERS_REPLY_SIZE_MAX is always enough.
 */
RF_NODISCARD int rf_wire_owners_reply_begin(struct rf_wire_list *list, uint8_t *out,
                                            size_t out_size, enum rf_wire_op op,
                                            uint32_t request_id, uint64_t version);
RF_NODISCARD int rf_wire_members_reply_begin(struct rf_wire_list *list, uint8_t *out,
                                             size_t out_size, uint32_t request_id, uint64_t version,
                                             uint64_t digest);
RF_NODISCARD int rf_wire_groups_reply_begin(struct rf_wire_list *list, uint8_t *out,
                                            size_t out_size, uint32_t request_id, uint64_t version,
                                            uint64_t digest);
RF_NODISCARD int rf_wire_info_reply_begin(struct rf_wire_list *list, uint8_t *out, size_t out_size,
                                          uint32_t request_id);

/* What heads each page of what a watcher is told. */
struct rf_wire_watch_head {
    uint64_t instance; /* of the server: another one counts versions anew */
    uint64_t version;  /* of the group; those of the last page hold for what all pages make */
    uint64_t digest;
    bool is_whole; /* what was known before is void: all members follow */
};

RF_NODISCARD int rf_wire_watch_reply_begin(struct rf_wire_list *list, uint8_t *out, size_t out_size,
                                           uint32_t request_id,
                                           const struct rf_wire_watch_head *head);

/* Appends one entry. Errors: -ENOBUFS it does not fit, the list is as before. */
RF_NODISCARD int rf_wire_owners_reply_add(struct rf_wire_list *list,
                                          const struct rf_wire_owner *owner);
RF_NODISCARD int rf_wire_members_reply_add(struct rf_wire_list *list,
                                           const struct rf_wire_member *member);
RF_NODISCARD int rf_wire_groups_reply_add(struct rf_wire_list *list,
                                          const struct rf_wire_group *group);
RF_NODISCARD int rf_wire_info_reply_add_text(struct rf_wire_list *list, const char *name,
                                             const char *text);
RF_NODISCARD int rf_wire_info_reply_add_u64(struct rf_wire_list *list, const char *name,
                                            uint64_t value);
RF_NODISCARD int rf_wire_watch_reply_add_member(struct rf_wire_list *list,
                                                const struct rf_wire_member *member);
RF_NODISCARD int rf_wire_watch_reply_add_forgotten(struct rf_wire_list *list,
                                                   struct rf_wire_bytes id);

/*
 * Appends entries[slots[0]], entries[slots[1]], ... of rf_wire_entry_short_init to an owners reply.
 * Returns how many, less than `count` before one that does not fit its cache line, or that might
 * not fit the room: rf_wire_owners_reply_add knows. Copies of one known size are a few moves,
 * without a branch; they overwrite what follows the list, within its room.
 */
static inline size_t rf_wire_owners_reply_add_short(struct rf_wire_list *list,
                                                    const struct rf_wire_owner_short *entries,
                                                    const uint16_t *slots, size_t count)
{
    RF_ASSERT(count <= list->count_max - list->count);
    uint8_t *at = list->frame + list->size;
    const uint8_t *end = list->frame + list->size_max;
    size_t i = 0;
    for (; i < count && end - at >= RF_WIRE_OWNER_SHORT_SIZE_MAX; i++) {
        const struct rf_wire_owner_short *entry = &entries[slots[i]];
        if (RF_UNLIKELY(entry->size == 0)) {
            break;
        }
        memcpy(at, entry->bytes, sizeof(entry->bytes));
        at += entry->size;
    }
    list->size = (size_t)(at - list->frame);
    list->count += (uint32_t)i;
    return i;
}

/* Completes the frame and returns its size. `more`: the page is not the last; false for lists that
 * have no pages. */
size_t rf_wire_list_end(struct rf_wire_list *list, bool more);

/* ---- replies: decoders ----
 *
 * Of the payload of an RF_WIRE_OK reply. All return 0 or RF_EMALFORMED, and check all entries, so
 * that iterating cannot fail: sizes, ranges, trailing bytes, names without control characters. */

struct rf_wire_match_reply {
    uint64_t version; /* of the group */
    struct rf_wire_owner owner;
};

RF_NODISCARD int rf_wire_match_reply_decode(const uint8_t *payload, size_t size,
                                            struct rf_wire_match_reply *ret, struct rf_error *err);

/* MATCH_MANY: one owner a key, in order; OWNERS: distinct ones, the owner first. */
struct rf_wire_owners_reply {
    uint64_t version; /* of the group */
    uint16_t count;   /* 1..RF_WIRE_KEYS_MAX */
    struct rf_wire_cursor owners;
};

RF_NODISCARD int rf_wire_owners_reply_decode(const uint8_t *payload, size_t size,
                                             struct rf_wire_owners_reply *ret,
                                             struct rf_error *err);
bool rf_wire_owners_next(struct rf_wire_cursor *owners, struct rf_wire_owner *ret_owner);

struct rf_wire_members_reply {
    uint64_t version; /* of the group; if it differs between pages, start again */
    uint64_t digest;  /* of the group */
    bool more;        /* ask again after the last id; never set on an empty page */
    uint16_t count;
    struct rf_wire_cursor members; /* ids strictly ascending: memcmp, then size */
};

RF_NODISCARD int rf_wire_members_reply_decode(const uint8_t *payload, size_t size,
                                              struct rf_wire_members_reply *ret,
                                              struct rf_error *err);
bool rf_wire_members_next(struct rf_wire_cursor *members, struct rf_wire_member *ret_member);

struct rf_wire_groups_reply {
    uint64_t version; /* of the catalog; if it differs between pages, start again */
    uint64_t digest;  /* of the catalog */
    bool more;
    uint16_t count;
    struct rf_wire_cursor groups; /* names strictly ascending */
};

RF_NODISCARD int rf_wire_groups_reply_decode(const uint8_t *payload, size_t size,
                                             struct rf_wire_groups_reply *ret,
                                             struct rf_error *err);
bool rf_wire_groups_next(struct rf_wire_cursor *groups, struct rf_wire_group *ret_group);

struct rf_wire_info_reply {
    uint16_t count;
    struct rf_wire_cursor entries;
};

RF_NODISCARD int rf_wire_info_reply_decode(const uint8_t *payload, size_t size,
                                           struct rf_wire_info_reply *ret, struct rf_error *err);
bool rf_wire_info_next(struct rf_wire_cursor *entries, struct rf_wire_info *ret_entry);

/* A page of what a watcher is told. */
struct rf_wire_watch_reply {
    struct rf_wire_watch_head head;
    bool more; /* the next reply of this watch goes on */
    uint16_t count;
    struct rf_wire_cursor changes;
};

/* One member that is new or has changed, or that is to be forgotten: then only its id is set. */
struct rf_wire_change {
    bool is_forgotten;
    struct rf_wire_member member;
};

RF_NODISCARD int rf_wire_watch_reply_decode(const uint8_t *payload, size_t size,
                                            struct rf_wire_watch_reply *ret, struct rf_error *err);
bool rf_wire_watch_next(struct rf_wire_cursor *changes, struct rf_wire_change *ret_change);

/* Orders names as pages do: memcmp, then size. */
int rf_wire_bytes_compare(struct rf_wire_bytes a, struct rf_wire_bytes b);

#endif
