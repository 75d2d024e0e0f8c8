/* SPDX-License-Identifier: MIT
 *
 * stream.h - one message on a TCP connection: push/pull, user message, ping, ack or error.
 *
 * Nobody half-closes, so the end of a message is found from its content. The parser takes bytes as
 * they come and says when the message is whole. Its memory grows with what has really arrived (and
 * with what that decompresses to, measured first); a length field alone reserves nothing.
 */
#ifndef RF_GOSSIP_STREAM_H
#define RF_GOSSIP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "gossip/message.h"
#include "gossip/packet.h"
#include "gossip/slice.h"

enum {
    RF_STREAM_FRAME_HEADER_SIZE = 5,        /* type and length of an encrypted frame */
    RF_STREAM_FRAME_MAX = 20 * 1024 * 1024, /* of an encrypted frame: memberlist's limit */
    RF_STREAM_PLAIN_MAX = 32 * 1024 * 1024, /* of a plain message, after decompression: the user
                                               state's limit, and room for 100 000 nodes */
    RF_STREAM_RATIO_FREE_SIZE = 1 << 20, /* what any compress message may unpack to; more only if */
    RF_STREAM_RATIO_MAX = 64,            /* it is so many times its size: states shrink by 3 to 20,
                                            LZW of one byte repeated by 1365 */
    RF_STREAM_FIELD_MAX = 4096,  /* of one header, node state or field that must be whole to be
                                    read: names, Meta and unknown fields of newer peers fit */
    RF_STREAM_NODE_SIZE_MIN = 8, /* no node state that we take is shorter than its Vsn */
};

/* What may arrive depends on why we read. */
enum rf_stream_role {
    RF_STREAM_REQUEST,         /* we accepted: push/pull, user, ping; with the label header */
    RF_STREAM_REPLY_PUSH_PULL, /* we sent a push/pull: push/pull or err; no label header */
    RF_STREAM_REPLY_PING,      /* we sent a ping: ack; no label header */
};

/* Why a stream was refused, and what the peer is told. */
enum rf_stream_refusal {
    RF_STREAM_REFUSAL_NONE,
    RF_STREAM_REFUSAL_SILENT, /* wrong label, unknown type, no memory: close without a reply */
    RF_STREAM_REFUSAL_NOT_ENCRYPTED, /* plaintext where we have keys */
    RF_STREAM_REFUSAL_NO_KEYS,       /* encrypted, and we have no keys */
    RF_STREAM_REFUSAL_WRONG_KEY,     /* none of our keys opens it */
    RF_STREAM_REFUSAL_MALFORMED,
};

/* A whole message; slices are valid until rf_stream_parser_fini. */
struct rf_stream_message {
    enum rf_message_type type; /* push/pull, user, ping, ack, err */
    union {
        struct {
            struct rf_push_pull_header header;
            struct rf_slice nodes;      /* for rf_stream_next_node */
            struct rf_slice user_state; /* empty: none */
        } push_pull;
        struct rf_slice user;
        struct rf_ping ping;
        struct rf_ack ack;
        struct rf_err err;
    };
};

struct rf_stream_parser {
    /* What the layers were; for counters, traces and tests. */
    bool has_label;
    bool is_encrypted;
    bool is_compressed;
    uint8_t crypt_version;
    uint8_t nonce[RF_NONCE_SIZE];
    uint32_t frame_size; /* of the encrypted blob */
    size_t plain_size;   /* behind encryption */
    size_t compressed_size;
    size_t inflated_size;
    enum rf_stream_refusal refusal;
    size_t memory_max;  /* what it may hold at any moment, a layer and what is inside of it
                           together; more is refused. Set by the user before a feed; as
                           initialised: no limit */
    size_t memory_peak; /* the most that it has held at a moment, or was refused */

    /* private */
    const struct rf_envelope *envelope;
    enum rf_stream_role role;
    uint8_t state;
    int code;       /* of the refusal */
    uint8_t *bytes; /* owned: what has arrived, later what was inside of it */
    size_t bytes_size;
    size_t bytes_capacity;
    size_t bytes_wanted; /* as soon as that is known: no more are needed; else 0 */
    size_t start;        /* of the message in `bytes` */
    bool is_whole;       /* nothing of the message is still to come */
    size_t offset;       /* in the message: what is before it has been looked at */
    size_t nodes_offset;
    uint32_t nodes_left;
    uint32_t fields_left; /* of the compress message */
    bool fields_are_named;
    uint64_t algo;
    size_t buf_offset; /* in the message */
    size_t buf_size;
    struct rf_user_msg_header user_header;
    struct rf_stream_message message;
};

/* Borrows `envelope` until fini. No memory yet. */
void rf_stream_parser_init(struct rf_stream_parser *parser, const struct rf_envelope *envelope,
                           enum rf_stream_role role);
void rf_stream_parser_fini(struct rf_stream_parser *parser); /* frees; twice is allowed */

/* Bytes of memory that it holds, all told: what has arrived, or what was inside of it. */
static inline size_t rf_stream_parser_memory_size(const struct rf_stream_parser *parser)
{
    return parser->bytes_capacity;
}

/*
 * Takes the next bytes, which are copied. Bytes behind the end of the message are ignored.
 *
 * Returns 1 the message is whole (rf_stream_parser_message), 0 more is needed.
 * Errors: RF_EMALFORMED, RF_EAUTH, RF_EVERSION, RF_ELIMIT, RF_EUNSUPPORTED: parser->refusal says
 *         what to answer; -ENOMEM. The connection is over; further calls return the same.
 * Cost:   in proportion to the bytes; what is cut is looked at again from its last whole field.
 */
RF_NODISCARD int rf_stream_parser_feed(struct rf_stream_parser *parser, const uint8_t *data,
                                       size_t size);

/* The message, after feed returned 1. */
const struct rf_stream_message *rf_stream_parser_message(const struct rf_stream_parser *parser);

/*
 * What the connecting side is to read in an err message, or NULL: close without a word. Only for
 * RF_STREAM_REQUEST.
 */
const char *rf_stream_refusal_text(enum rf_stream_refusal refusal);

/*
 * Takes the next node of a push/pull that is whole. Entries that break a limit (name, Meta, address
 * or version vector) are passed over and counted in *ret_dropped (may be NULL). False at the end.
 */
bool rf_stream_next_node(struct rf_unpacker *nodes, struct rf_push_node_state *ret_node,
                         uint32_t *ret_dropped);

/* ---- sealing ---- */

struct rf_stream_options {
    bool is_reply;        /* the accepting side writes no label header */
    bool compress;        /* always, as the reference does, even if it grows */
    bool use_version_0;   /* of encryption: for tests */
    const uint8_t *nonce; /* for tests; NULL: random */
};

/* The most that rf_stream_seal can write for a message of `size` bytes. */
size_t rf_stream_sealed_size_max(const struct rf_envelope *envelope,
                                 const struct rf_stream_options *options, size_t size);

/*
 * Puts a message (type byte and all) into its layers. `ret_data` must not overlap `message`.
 *
 * Returns the size. Errors: -ENOBUFS it is above `ret_size_max`; RF_ELIMIT the encrypted frame
 * would be above RF_STREAM_FRAME_MAX; -EIO encryption failed.
 */
RF_NODISCARD int rf_stream_seal(const struct rf_envelope *envelope,
                                const struct rf_stream_options *options,
                                struct rf_lzw_workspace *workspace, struct rf_slice message,
                                uint8_t *ret_data, size_t ret_size_max);

#endif
