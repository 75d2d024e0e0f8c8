/* SPDX-License-Identifier: MIT
 *
 * message.h - memberlist's messages: structs, decode, encode. Names are those of memberlist's
 * net.go.
 *
 * Decoded slices are borrowed from the input and live as long as it does. Encoders write the one
 * canonical form (ascending keys, shortest integers, raw strings), so equal values give equal
 * bytes. Nothing here allocates, and any thread may call it.
 */
#ifndef RF_GOSSIP_MESSAGE_H
#define RF_GOSSIP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/address.h"
#include "core/error.h"
#include "gossip/msgpack.h"
#include "gossip/slice.h"

enum {
    RF_GOSSIP_NAME_SIZE_MAX = 255, /* of a node name we take; peers that validate take 128 */
    RF_META_SIZE_MAX = 512, /* memberlist's MetaMaxSize: a peer aborts rather than send more */
    RF_VSN_SIZE = 6,
    RF_COMPOUND_PARTS_MAX = 127, /* written; below memberlist 0.2.4 peers misread 128 and more */
    RF_PUSH_PULL_NODES_MAX = 1048576,          /* memberlist 0.6.0 refuses more */
    RF_USER_STATE_SIZE_MAX = 20 * 1024 * 1024, /* likewise, and for user messages on streams */
};

enum rf_message_type {
    RF_MESSAGE_PING = 0,
    RF_MESSAGE_INDIRECT_PING = 1,
    RF_MESSAGE_ACK = 2,
    RF_MESSAGE_SUSPECT = 3,
    RF_MESSAGE_ALIVE = 4,
    RF_MESSAGE_DEAD = 5,
    RF_MESSAGE_PUSH_PULL = 6, /* streams only */
    RF_MESSAGE_COMPOUND = 7,
    RF_MESSAGE_USER = 8,
    RF_MESSAGE_COMPRESS = 9,
    RF_MESSAGE_ENCRYPT = 10, /* framing of streams only */
    RF_MESSAGE_NACK = 11,
    RF_MESSAGE_HAS_CRC = 12, /* envelope of packets only */
    RF_MESSAGE_ERR = 13,     /* reply on streams only */
    RF_MESSAGE_HAS_LABEL = 244,
};

/* "ping", "indirectPing", ...; NULL for a type that is none of the above. */
const char *rf_message_type_name(uint8_t type);

/* ---- version vector ---- */

/* Positions in a Vsn: lowest, highest and spoken version of memberlist (P) and of serf (D). */
enum { RF_VSN_PMIN, RF_VSN_PMAX, RF_VSN_PCUR, RF_VSN_DMIN, RF_VSN_DMAX, RF_VSN_DCUR };

/* What we announce: memberlist 1..5 speaking 2, serf 2..5 speaking 4, which suits every serf. */
extern const uint8_t rf_vsn_ours[RF_VSN_SIZE];

/*
 * PMin and PMax above 0, each range in order, each spoken version inside its range. One node with
 * another Vsn in a member table blocks every push/pull of the cluster, so none may get in.
 */
bool rf_vsn_is_valid(const uint8_t vsn[RF_VSN_SIZE]);

/* ---- messages ---- */

struct rf_ping {
    uint32_t seq_no;
    struct rf_slice node;     /* whom it is for; empty: whoever gets it */
    struct rf_address source; /* where the ack goes; no ip or port 0: to the packet's source */
    struct rf_slice source_node;
};

struct rf_indirect_ping {
    uint32_t seq_no;
    struct rf_address target; /* port 0: our own bind port */
    struct rf_slice node;
    bool nack; /* say so when the target does not answer */
    struct rf_address source;
    struct rf_slice source_node;
};

struct rf_ack {
    uint32_t seq_no;
    struct rf_slice payload; /* absent, or serf's coordinate (coordinate.h) */
};

struct rf_nack {
    uint32_t seq_no;
};

struct rf_suspect {
    uint32_t incarnation;
    struct rf_slice node;
    struct rf_slice from;
};

struct rf_alive {
    uint32_t incarnation;
    struct rf_slice node;      /* not empty; any bytes, as all names here */
    struct rf_address address; /* ip of 4 or 16 bytes, kept as sent */
    struct rf_slice meta;      /* at most RF_META_SIZE_MAX; kept as sent */
    uint8_t vsn[RF_VSN_SIZE];  /* valid: rf_vsn_is_valid */
};

struct rf_dead {
    uint32_t incarnation;
    struct rf_slice node;
    struct rf_slice from; /* equal to node: it left */
};

struct rf_compress {
    uint8_t algo; /* 0: LZW */
    struct rf_slice buf;
};

struct rf_err {
    struct rf_slice error;
};

/* A message of one of the types ping, indirectPing, ack, suspect, alive, dead, user, compress,
 * nack, err. */
struct rf_message {
    enum rf_message_type type;
    union {
        struct rf_ping ping;
        struct rf_indirect_ping indirect_ping;
        struct rf_ack ack;
        struct rf_nack nack;
        struct rf_suspect suspect;
        struct rf_alive alive;
        struct rf_dead dead;
        struct rf_slice user; /* in a packet: all bytes behind the type */
        struct rf_compress compress;
        struct rf_err err;
    };
};

/*
 * Decodes one whole message: type byte and body. Bytes behind the body are ignored, as peers do.
 *
 * Errors: RF_EMALFORMED cut, or not what the type says; RF_ELIMIT a name, Meta, address or version
 *         vector that we do not take; RF_EUNSUPPORTED a type that is not in the list above. The
 *         message is to be dropped; *ret_message is then undefined.
 */
RF_NODISCARD int rf_message_decode(struct rf_slice bytes, struct rf_message *ret_message);

/*
 * Appends the message, type byte included. Returns its size.
 * Errors: -ENOBUFS it does not fit; the packer is as before.
 */
RF_NODISCARD int rf_message_encode(const struct rf_message *message, struct rf_packer *packer);

/* ---- compound ---- */

/*
 * Appends a compound of `count` messages, 1..RF_COMPOUND_PARTS_MAX, each of at most 65535 bytes.
 * Returns its size, which is 2 + 2 * count + the parts. Errors: -ENOBUFS.
 */
RF_NODISCARD int rf_compound_encode(const struct rf_slice *parts, size_t count,
                                    struct rf_packer *packer);

struct rf_compound {
    struct rf_slice sizes; /* two bytes each, of the parts to come */
    struct rf_slice parts; /* what is left of them */
    uint8_t count;         /* as announced */
};

/* Opens a compound message, type byte included. Errors: RF_EMALFORMED no or a cut length table. */
RF_NODISCARD int rf_compound_open(struct rf_slice bytes, struct rf_compound *ret_compound);

/*
 * Takes the next part. False at the end, and at the first part that is cut: then
 * rf_compound_left() says how many are lost.
 */
bool rf_compound_next(struct rf_compound *compound, struct rf_slice *ret_part);
static inline size_t rf_compound_left(const struct rf_compound *compound)
{
    return compound->sizes.size / 2;
}

/* ---- what streams are made of; stream.h puts it together ---- */

enum rf_node_state_type {
    RF_NODE_ALIVE = 0,
    RF_NODE_SUSPECT = 1,
    RF_NODE_DEAD = 2,
    RF_NODE_LEFT = 3,
};

struct rf_push_pull_header {
    uint64_t nodes_count;
    uint64_t user_state_size; /* bytes behind the nodes; 0: no user state */
    bool join;
};

struct rf_push_node_state {
    struct rf_slice name;
    struct rf_address address; /* port 0: our own bind port */
    struct rf_slice meta;
    uint32_t incarnation;
    uint32_t state; /* enum rf_node_state_type; entries with other values are to be ignored */
    uint8_t vsn[RF_VSN_SIZE];
};

struct rf_user_msg_header {
    uint64_t size;
};

/* Appends type byte and header; the node states and the user state are to follow. */
RF_NODISCARD int rf_push_pull_header_encode(const struct rf_push_pull_header *header,
                                            struct rf_packer *packer);
RF_NODISCARD int rf_push_node_state_encode(const struct rf_push_node_state *state,
                                           struct rf_packer *packer);
/* Appends a whole user message for a stream: type byte, header, body. */
RF_NODISCARD int rf_user_msg_encode(struct rf_slice body, struct rf_packer *packer);

/*
 * Reads a header behind its type byte, or a node state. Errors: as rf_unpack_struct; RF_ELIMIT for
 * a header means to refuse the stream; for a node state, to pass over that entry and go on.
 */
RF_NODISCARD int rf_push_pull_header_decode(struct rf_unpacker *unpacker,
                                            struct rf_push_pull_header *ret_header);
RF_NODISCARD int rf_push_node_state_decode(struct rf_unpacker *unpacker,
                                           struct rf_push_node_state *ret_state);
RF_NODISCARD int rf_user_msg_header_decode(struct rf_unpacker *unpacker,
                                           struct rf_user_msg_header *ret_header);

#endif
