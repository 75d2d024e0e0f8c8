/* SPDX-License-Identifier: MIT
 *
 * serf_message.h - serf's messages, which are the bodies of memberlist's user messages, and the
 * user state of a push/pull.
 *
 * As in message.h: slices are borrowed from the input, encoders are canonical, nothing allocates,
 * any thread may call. Lists (filters, keys, tags, events) stay encoded inside a decoded message
 * and are walked with cursors; decoding has checked them, so a walk sees every entry.
 */
#ifndef RF_GOSSIP_SERF_MESSAGE_H
#define RF_GOSSIP_SERF_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/address.h"
#include "core/error.h"
#include "gossip/message.h"
#include "gossip/msgpack.h"
#include "gossip/slice.h"

enum {
    RF_USER_EVENT_SIZE_MAX = 512,       /* serf's UserEventSizeLimit: of what we originate */
    RF_USER_EVENT_SIZE_HARD_MAX = 9216, /* serf's UserEventSizeLimit can be set up to this */
    RF_QUERY_SIZE_MAX = 1024,           /* serf's QuerySizeLimit: of what we originate */
    RF_QUERY_RESPONSE_SIZE_MAX = 1024,  /* serf's QueryResponseSizeLimit, relay header included */
};

enum rf_serf_type {
    RF_SERF_LEAVE = 0,
    RF_SERF_JOIN = 1,
    RF_SERF_PUSH_PULL = 2, /* only as the user state of a push/pull */
    RF_SERF_USER_EVENT = 3,
    RF_SERF_QUERY = 4,
    RF_SERF_QUERY_RESPONSE = 5,
    RF_SERF_CONFLICT_RESPONSE = 6, /* only as the payload of a query response */
    RF_SERF_KEY_REQUEST = 7,       /* only as the payload of a query */
    RF_SERF_KEY_RESPONSE = 8,      /* only as the payload of a query response */
    RF_SERF_RELAY = 9,
};

/* "leave", "join", ...; NULL for a type that is none of the above. */
const char *rf_serf_type_name(uint8_t type);

struct rf_serf_leave {
    uint64_t ltime;
    struct rf_slice node;
    bool prune;
};

struct rf_serf_join {
    uint64_t ltime;
    struct rf_slice node;
};

/* Decoded only; written by the rf_serf_push_pull_... functions below. */
struct rf_serf_push_pull {
    uint64_t ltime;
    uint64_t event_ltime;
    uint64_t query_ltime;
    struct rf_slice status_ltimes; /* map of name to LTime: rf_cursor_map, rf_cursor_next_uint */
    struct rf_slice left_members;  /* array of names: rf_cursor_array, rf_cursor_next_raw */
    struct rf_slice events;        /* array: rf_cursor_array, rf_serf_next_event_slot */
};

struct rf_serf_user_event {
    uint64_t ltime;
    struct rf_slice name;
    struct rf_slice payload; /* absent and empty are equal */
    bool cc;                 /* may be coalesced with others of its name */
};

enum {
    RF_SERF_QUERY_ACK = 1u << 0,          /* Flags: the receiver is to acknowledge */
    RF_SERF_QUERY_NO_BROADCAST = 1u << 1, /* Flags: not to be gossiped on */
    RF_SERF_RESPONSE_ACK = 1u << 0,       /* Flags of a response: it is the acknowledgement */
};

struct rf_serf_query {
    uint64_t ltime;
    uint32_t id;
    struct rf_address address; /* where responses go */
    struct rf_slice source_node;
    struct rf_slice filters; /* encoded array of raws; absent or empty: everybody */
    uint32_t flags;
    uint8_t relay_factor;
    uint64_t timeout_ns;
    struct rf_slice name;
    struct rf_slice payload;
};

struct rf_serf_query_response {
    uint64_t ltime;
    uint32_t id;
    struct rf_slice from;
    uint32_t flags;
    struct rf_slice payload;
};

/* The member that a conflict response names. */
struct rf_serf_member {
    bool is_nil; /* the answering node knows no such member; everything else is zero */
    struct rf_slice name;
    struct rf_address address;
    struct rf_slice tags; /* encoded map: rf_cursor_map, rf_cursor_next_pair */
    uint64_t status;      /* serf's: 0 none, 1 alive, 2 leaving, 3 left, 4 failed */
    uint8_t protocol_min;
    uint8_t protocol_max;
    uint8_t protocol_cur;
    uint8_t delegate_min;
    uint8_t delegate_max;
    uint8_t delegate_cur;
};

struct rf_serf_key_request {
    struct rf_slice key;
};

struct rf_serf_key_response {
    bool result;
    struct rf_slice message;
    struct rf_slice keys; /* encoded array of base64 texts, or absent */
    struct rf_slice primary_key;
};

struct rf_serf_relay {
    struct rf_address dest; /* where `message` is to be sent */
    struct rf_slice zone;   /* of an IPv6 destination; always empty */
    struct rf_slice dest_name;
    struct rf_slice message; /* a complete serf message, passed on as it is */
};

struct rf_serf_message {
    enum rf_serf_type type;
    union {
        struct rf_serf_leave leave;
        struct rf_serf_join join;
        struct rf_serf_push_pull push_pull;
        struct rf_serf_user_event user_event;
        struct rf_serf_query query;
        struct rf_serf_query_response query_response;
        struct rf_serf_member member; /* RF_SERF_CONFLICT_RESPONSE */
        struct rf_serf_key_request key_request;
        struct rf_serf_key_response key_response;
        struct rf_serf_relay relay;
    };
};

/*
 * Decodes one whole message of any type: type byte and body. Which types may come bare, as user
 * state or as a payload is for the caller to check.
 *
 * Errors: RF_EMALFORMED cut, or not what the type says; RF_ELIMIT a name or a number that we do
 *         not take; RF_EUNSUPPORTED unknown type. The message is to be dropped.
 */
RF_NODISCARD int rf_serf_message_decode(struct rf_slice bytes, struct rf_serf_message *ret_message);

/*
 * Appends the message, serf's type byte included, but without memberlist's 08 before it. Encoded
 * lists and maps are copied as they are. Not for RF_SERF_PUSH_PULL.
 * Returns its size. Errors: -ENOBUFS it does not fit; the packer is as before.
 */
RF_NODISCARD int rf_serf_message_encode(const struct rf_serf_message *message,
                                        struct rf_packer *packer);

/* ---- filters of a query ---- */

enum rf_serf_filter_type { RF_SERF_FILTER_NODE = 0, RF_SERF_FILTER_TAG = 1 };

struct rf_serf_filter {
    enum rf_serf_filter_type type;
    struct rf_slice nodes; /* NODE: encoded array of names */
    struct rf_slice tag;   /* TAG: its value must match `expr`, unanchored, RE2 syntax */
    struct rf_slice expr;
};

/*
 * Decodes one raw of a query's filters. Errors: RF_EMALFORMED, RF_EUNSUPPORTED: such a filter does
 * not match, and the query is passed on all the same. An empty raw kills a Go peer, and is
 * RF_EMALFORMED here.
 */
RF_NODISCARD int rf_serf_filter_decode(struct rf_slice bytes, struct rf_serf_filter *ret_filter);

/* Appends one. Returns its size or -ENOBUFS. rf_pack_raws then makes the list of them. */
RF_NODISCARD int rf_serf_filter_encode(const struct rf_serf_filter *filter,
                                       struct rf_packer *packer);

/* ---- push/pull: reading the recent events ---- */

struct rf_serf_event_slot {
    uint64_t ltime;
    struct rf_slice events; /* encoded array: rf_cursor_array, rf_serf_next_event */
};

/* The next slot that is not nil. `*ret_index` (may be NULL) is its position in the array. */
bool rf_serf_next_event_slot(struct rf_cursor *cursor, struct rf_serf_event_slot *ret_slot,
                             uint32_t *ret_index);
bool rf_serf_next_event(struct rf_cursor *cursor, struct rf_slice *ret_name,
                        struct rf_slice *ret_payload);

/* ---- push/pull: writing ---- */

/*
 * Writes a push/pull body without intermediate lists, in the order of the wire:
 *
 *   begin, slots_count times (slot, then its events) or slot_nil,
 *   left_members(count), count times left_member,
 *   status_ltimes(count), count times status_ltime, end.
 *
 * A wrong number of calls is a mistake of the caller and asserted. A packer that counts gives the
 * size first.
 */
struct rf_serf_push_pull_writer {
    struct rf_packer *packer;
    size_t start;
    uint64_t query_ltime;
    uint64_t ltime;
    uint32_t slots_left;
    uint32_t entries_left; /* of the open list */
    uint64_t slot_ltime;   /* of the open slot: its LTime follows its events on the wire */
    bool slot_is_open;
    uint8_t part; /* private: how far it is */
};

void rf_serf_push_pull_begin(struct rf_serf_push_pull_writer *writer, struct rf_packer *packer,
                             uint64_t ltime, uint64_t event_ltime, uint64_t query_ltime,
                             uint32_t slots_count);
void rf_serf_push_pull_slot_nil(struct rf_serf_push_pull_writer *writer);
void rf_serf_push_pull_slot(struct rf_serf_push_pull_writer *writer, uint64_t ltime,
                            uint32_t events_count);
void rf_serf_push_pull_event(struct rf_serf_push_pull_writer *writer, struct rf_slice name,
                             struct rf_slice payload);
void rf_serf_push_pull_left_members(struct rf_serf_push_pull_writer *writer, uint32_t count);
void rf_serf_push_pull_left_member(struct rf_serf_push_pull_writer *writer, struct rf_slice name);
void rf_serf_push_pull_status_ltimes(struct rf_serf_push_pull_writer *writer, uint32_t count);
void rf_serf_push_pull_status_ltime(struct rf_serf_push_pull_writer *writer, struct rf_slice name,
                                    uint64_t ltime);
/* Returns the size of the body. Errors: -ENOBUFS; the packer is as before begin. */
RF_NODISCARD int rf_serf_push_pull_end(struct rf_serf_push_pull_writer *writer);

#endif
