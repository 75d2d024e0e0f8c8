/* SPDX-License-Identifier: MIT
 *
 * session.h - one connection to a registry as a machine: bytes in, replies out; requests in, bytes
 * out. No socket and no clock; the definition of the bytes is core/WIRE.md.
 *
 * Requests are pipelined, and answered in their order; what is told about watched groups comes in
 * between. While something is watched the registry is asked what it is (its placement is part of
 * every answer) and then, heartbeat by heartbeat, whether it is still there.
 *
 * The driver's loop:
 *     rf_session_room, recv, rf_session_received     the socket has bytes
 *     rf_session_next                                until it returns 0
 *     rf_session_tick                                at rf_session_deadline_ns, if not before
 *     rf_session_output, send, rf_session_sent       until there is nothing
 * A negative code of one of these says that the connection is of no use any more: close it,
 * and rf_session_begin with another.
 */
#ifndef RF_CLIENT_SESSION_H
#define RF_CLIENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/ring.h"
#include "core/wire.h"

enum {
    RF_SESSION_WATCHES_MAX = 256, /* of one connection, ended ones included: the registry's limit */
};

struct rf_session_expected {
    void *token; /* NULL: forgotten */
    uint32_t request_id;
    uint8_t op;
};

/* Caller's storage; private to session.c. */
struct rf_session {
    uint64_t heartbeat_ns;
    uint8_t *out; /* out_sent..out_size is to be sent */
    size_t out_sent, out_size, out_capacity;
    uint8_t *in; /* in_at..in_size is to be read */
    size_t in_at, in_size, in_capacity;
    struct rf_session_expected *expected; /* ring of requests in flight */
    size_t expected_first, expected_count, expected_capacity;
    void *watches[RF_SESSION_WATCHES_MAX]; /* token by request id; NULL: ended, or none yet */
    uint32_t watches_begun;                /* the next one's request id */
    uint32_t watches_count;                /* that have not ended */
    uint32_t request_id;                   /* the next one's */
    bool is_info_asked;
    bool is_placement_known;
    bool is_asked;     /* a heartbeat, or INFO, is in flight */
    uint64_t asked_ns; /* when, or when the last one was answered */
    uint64_t heard_ns; /* when the last frame came */
    bool has_heard;    /* one came */
};

enum rf_session_event_type {
    RF_SESSION_REPLY,     /* to a request: token, header, payload */
    RF_SESSION_TOLD,      /* about a watched group: token, header, payload */
    RF_SESSION_PLACEMENT, /* the registry's; comes before the first RF_SESSION_TOLD */
    RF_SESSION_HEARD,     /* a heartbeat was answered */
};

struct rf_session_event {
    enum rf_session_event_type type;
    void *token;
    struct rf_wire_header header;
    const uint8_t *payload; /* borrowed until the next call */
    enum rf_placement placement;
};

void rf_session_init(struct rf_session *session, uint64_t heartbeat_ns);
void rf_session_fini(struct rf_session *session);

/* A new connection: forgets everything about the last one. Errors: -ENOMEM. */
RF_NODISCARD int rf_session_begin(struct rf_session *session, uint64_t now_ns,
                                  struct rf_error *err);

/*
 * Sends a request, which is copied; its request id is set. `token`, which is not NULL, comes back
 * with the reply.
 * Errors: -ENOMEM, and the request is not sent.
 */
RF_NODISCARD int rf_session_request(struct rf_session *session, const uint8_t *frame,
                                    size_t frame_size, void *token, struct rf_error *err);

/* Nobody waits for the reply to it any more: it is dropped when it comes. */
void rf_session_forget(struct rf_session *session, const void *token);

/* Watches a group from now on. Errors: RF_ELIMIT this connection has had its watches, only another
 * one can have more; -ENOMEM. */
RF_NODISCARD int rf_session_watch(struct rf_session *session, uint64_t now_ns,
                                  const struct rf_wire_watch_request *request, void *token,
                                  struct rf_error *err);

/* What comes about it is dropped from now on: the protocol has no other end. */
void rf_session_unwatch(struct rf_session *session, const void *token);

/* Where received bytes go: at least one. */
uint8_t *rf_session_room(struct rf_session *session, size_t *ret_size);
void rf_session_received(struct rf_session *session, size_t size);

/*
 * The next thing that has come. Returns 1, or 0: there is nothing more.
 * Errors: RF_EMALFORMED, RF_ELIMIT what came is not as agreed; what the registry says of the whole
 *         connection, as RF_EVERSION; -ENOMEM. The event's type is RF_SESSION_REPLY, or that of
 *         what the session itself has asked, if the answer to that is of no use.
 */
RF_NODISCARD int rf_session_next(struct rf_session *session, uint64_t now_ns,
                                 struct rf_session_event *ret_event, struct rf_error *err);

/* Bytes to be sent; *ret_size 0: none. */
const uint8_t *rf_session_output(const struct rf_session *session, size_t *ret_size);
void rf_session_sent(struct rf_session *session, size_t size);

/* Heartbeats. Errors: -ETIMEDOUT the last one has not been answered; -ENOMEM. */
RF_NODISCARD int rf_session_tick(struct rf_session *session, uint64_t now_ns, struct rf_error *err);

/* When the next tick has something to do; UINT64_MAX: never. */
uint64_t rf_session_deadline_ns(const struct rf_session *session);

/* Whether a part of a frame has come. */
bool rf_session_is_within_reply(const struct rf_session *session);

/* The code and text of a reply whose status is not RF_WIRE_OK. */
int rf_session_read_error(const struct rf_wire_header *header, const uint8_t *payload,
                          struct rf_error *err);

#endif
