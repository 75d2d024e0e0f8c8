/* SPDX-License-Identifier: MIT
 *
 * output.h - what the gossip machines ask of their driver, in the order in which it is to be done.
 *
 * Outputs and the bytes they point to are collected while an input is handled and handed out one by
 * one afterwards. The same list, filled by the SWIM machine for the Serf machine above it, carries
 * what happened to nodes; the driver never sees those.
 */
#ifndef RF_GOSSIP_OUTPUT_H
#define RF_GOSSIP_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"

enum rf_output_type {
    /* for the driver */
    RF_OUTPUT_PACKET,      /* send `bytes` to `address` in one datagram */
    RF_OUTPUT_EXCHANGE,    /* connect to `address`, write `bytes`, wait for `expect` */
    RF_OUTPUT_MEMBER,      /* a member changed: `change`, `status`, `name`, `address`, `bytes` */
    RF_OUTPUT_JOIN_RESULT, /* one address of a join is done: `code`, `text`, `pending_count` */
    RF_OUTPUT_LEFT,        /* the graceful leave is complete: the sockets may be closed */
    RF_OUTPUT_NAME_LOST,   /* another node owns our name: shut down now, without a leave */
    RF_OUTPUT_NOTICE,      /* worth a line in the log: `notice`, `name`, `address`, `text` */
    RF_OUTPUT_RESYNC,      /* outputs were lost for want of memory: read the whole member list */
    RF_OUTPUT_KEY_REQUEST, /* change or list our keys: `key_op`, `bytes` the key, `name` who asks;
                              then rf_serf_key_done with `request_id` */
    RF_OUTPUT_ANSWER,      /* `name` has answered our query `ask_id`: `bytes`, or `is_ack` */
    RF_OUTPUT_ASK_DONE,    /* our query `ask_id` is over: `code` 0 all have answered, -ETIMEDOUT */
    /* from the SWIM machine to the one above it */
    RF_OUTPUT_NODE_JOIN,
    RF_OUTPUT_NODE_LEAVE,
    RF_OUTPUT_NODE_UPDATE,
    RF_OUTPUT_NODE_CONFLICT,
    RF_OUTPUT_NODE_ACK, /* to a probe, in time and direct: `rtt_ns`, `bytes`: the ack's payload */
    RF_OUTPUT_USER_MESSAGE,   /* `bytes`: the body of a user message, without its type byte */
    RF_OUTPUT_SWIM_LEFT,      /* the dead message about ourselves has been spread, or time is up */
    RF_OUTPUT_PUSH_PULL_OPEN, /* a push/pull is due with `address`: `exchange_id`, `join` */
};

/* Which reply ends an exchange. */
enum rf_exchange_expect {
    RF_EXPECT_PUSH_PULL, /* a push/pull, or an err message */
    RF_EXPECT_ACK,       /* an ack */
};

/* What happened to a member. Its status after the change is in `status`. */
enum rf_member_change {
    RF_MEMBER_CHANGE_JOIN,   /* new, or back: alive (or leaving, by an intent known before) */
    RF_MEMBER_CHANGE_STATUS, /* alive -> leaving, or leaving -> alive: still in the ring */
    RF_MEMBER_CHANGE_UPDATE, /* address, metadata or versions */
    RF_MEMBER_CHANGE_LEAVE,  /* left gracefully, or failed and then declared to have left */
    RF_MEMBER_CHANGE_FAILED, /* declared dead */
    RF_MEMBER_CHANGE_REAP,   /* forgotten */
};

enum rf_notice {
    RF_NOTICE_CONFLICT,       /* a node claims a known name with another address */
    RF_NOTICE_NAME_CONTEST,   /* a node claims our name: we ask the others whose it is */
    RF_NOTICE_NAME_KEPT,      /* they say another's, and nobody is left there */
    RF_NOTICE_MOVED,          /* a name has moved to another address */
    RF_NOTICE_UDP_BROKEN,     /* a node answers pings by TCP only: UDP to it is broken */
    RF_NOTICE_REFUTE,         /* we were suspected or declared dead, and have answered */
    RF_NOTICE_SUSPECT,        /* a node is suspected, by us or by others */
    RF_NOTICE_DEAD,           /* a node is declared dead: by `text` */
    RF_NOTICE_PUSH_PULL_FAIL, /* a periodic push/pull or a reconnect failed; `text` says why */
    RF_NOTICE_LATE,           /* this node did nothing for a time: `text` says for how long */
    RF_NOTICE_LIMIT,          /* limits of ours turned something away in the last minute: `text` */
};

/* What is to be done with a key. */
enum rf_key_op {
    RF_KEY_LIST,
    RF_KEY_INSTALL, /* takes it in, for decrypting */
    RF_KEY_USE,     /* makes it the primary one, which encrypts */
    RF_KEY_REMOVE,
};

struct rf_output {
    enum rf_output_type type;
    struct rf_address address;
    const uint8_t *bytes; /* packet, first stream message, user message or metadata */
    size_t bytes_size;
    const char *name; /* of the node concerned, NUL-terminated; may hold any other byte */
    size_t name_size; /* without the NUL; a name may contain NUL bytes of its own */
    const char *text; /* for people; NULL: none */
    /* packet */
    bool with_crc;   /* put the CRC header before it (after compression) */
    uint64_t rtt_ns; /* ack */
    /* exchange, push/pull */
    uint64_t exchange_id;
    enum rf_exchange_expect expect;
    uint64_t deadline_ns; /* report a timeout then */
    bool join;
    /* member */
    enum rf_member_change change;
    uint8_t status; /* enum rf_serf_status */
    uint64_t status_ltime;
    /* join result */
    uint64_t join_id;
    int code;               /* 0, or a negative code */
    uint32_t pending_count; /* addresses of this join that are not done yet */
    /* notice */
    enum rf_notice notice;
    /* key request */
    enum rf_key_op key_op;
    uint64_t request_id;
    /* answer, end of a query of ours */
    uint64_t ask_id;
    bool is_ack;
};

/*
 * A list of outputs with the bytes they refer to. Grows on demand and shrinks when it was drained
 * after a burst (a push/pull may bring tens of thousands of members at once).
 */
struct rf_outbox {
    struct rf_outbox_item *items; /* private */
    size_t count;
    size_t capacity;
    size_t next; /* first that was not handed out */
    uint8_t *bytes;
    size_t bytes_size;
    size_t bytes_capacity;
    bool is_lost; /* something did not fit: a resync follows the others */
};

enum {
    RF_OUTBOX_ITEMS_MAX = 1 << 20,   /* several changes of every member that may be remembered */
    RF_OUTBOX_BYTES_MAX = 512 << 20, /* names and metadata of those, and one full push/pull */
    RF_OUTBOX_KEEP_SIZE = 64 << 10,  /* memory kept after a drain: an ordinary input's outputs */
};

void rf_outbox_init(struct rf_outbox *outbox);
void rf_outbox_fini(struct rf_outbox *outbox);

/* Forgets what was handed out, and all else with it. Gives memory back after a burst. */
void rf_outbox_clear(struct rf_outbox *outbox);

/*
 * Appends a copy of `output`; name, bytes and text are copied too. What does not fit marks the
 * outbox as lossy. Returns whether it fitted.
 */
bool rf_outbox_put(struct rf_outbox *outbox, const struct rf_output *output);

/*
 * The next output; false: none is left. Its pointers stay valid until the next put or clear.
 */
bool rf_outbox_next(struct rf_outbox *outbox, struct rf_output *ret_output);

#endif
