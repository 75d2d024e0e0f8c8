/* SPDX-License-Identifier: MIT
 *
 * streams.h - the TCP side of a gossip node: one exchange of messages on each connection.
 *
 * Everything is non-blocking. A stream lives in a slot; what comes of readiness or time is at most
 * one result, which the caller passes to the machine:
 *
 *   accepted:  read one message -> MESSAGE -> rf_streams_reply, or rf_streams_close
 *   connected: connect, write the request, read the reply -> DONE -> rf_streams_close
 *
 * Bounds: accepted streams, own exchanges, time for each, and the bytes that all buffer together.
 * Threads: the gossip thread's.
 */
#ifndef RF_GOSSIP_STREAMS_H
#define RF_GOSSIP_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/error.h"
#include "gossip/gossip.h"
#include "gossip/output.h"
#include "gossip/packet.h"
#include "gossip/replay.h"
#include "gossip/stream.h"
#include "gossip/swim.h"

enum {
    RF_STREAM_SLOTS = RF_GOSSIP_STREAMS_MAX + RF_SWIM_EXCHANGES_MAX,
    RF_STREAM_READ_SIZE = 64 << 10, /* of one read */
    RF_STREAM_READS_MAX = 4,        /* in a row, then others have their turn */
};

struct rf_streams; /* private to streams.c */

struct rf_streams_config {
    int epoll_fd;                       /* streams are added to it with the key of their slot */
    const struct rf_envelope *envelope; /* borrowed, as are the next two */
    struct rf_lzw_workspace *workspace;
    struct rf_gossip_counters *counters;
    struct rf_replay *replay; /* nonces of streams */
    uint64_t timeout_ns;      /* of an accepted stream */
};

enum rf_stream_result_type {
    RF_STREAM_RESULT_NONE,
    RF_STREAM_RESULT_MESSAGE, /* an accepted stream has its message: reply or close */
    RF_STREAM_RESULT_DONE,    /* an exchange has ended: report `code`, `text`, `message`, close */
    RF_STREAM_RESULT_REJECT,  /* what an accepted stream brought was refused: for the log; it is
                                 answered and closed by itself */
};

struct rf_stream_result {
    enum rf_stream_result_type type;
    int slot;
    struct rf_address peer;
    uint64_t exchange_id;
    int code;
    const char *text;                        /* static, or NULL */
    const struct rf_stream_message *message; /* valid until the stream is closed; NULL: none */
};

/* Errors: -ENOMEM. */
RF_NODISCARD int rf_streams_new(const struct rf_streams_config *config,
                                struct rf_streams **ret_streams, struct rf_error *err);
void rf_streams_free(struct rf_streams *streams); /* closes all; NULL is allowed */

/* Takes a connection that was accepted (non-blocking, close-on-exec), or closes it: too many. */
void rf_streams_accept(struct rf_streams *streams, uint64_t now_ns, int fd,
                       const struct rf_address *peer);

/* Starts an RF_OUTPUT_EXCHANGE. A failure to do so is a result DONE with slot -1. */
struct rf_stream_result rf_streams_connect(struct rf_streams *streams, uint64_t now_ns,
                                           const struct rf_output *output);

/* epoll says `events` for the key `slot | generation << 32`; a stale key does nothing. */
struct rf_stream_result rf_streams_ready(struct rf_streams *streams, uint64_t now_ns, uint64_t key,
                                         uint32_t events);

/* Ends one stream whose time is up; call again until the type is NONE. */
struct rf_stream_result rf_streams_expire(struct rf_streams *streams, uint64_t now_ns);
uint64_t rf_streams_deadline_ns(const struct rf_streams *streams); /* UINT64_MAX: none */

/* Writes a reply and closes once the peer has it. */
void rf_streams_reply(struct rf_streams *streams, int slot, const uint8_t *bytes, size_t size);
void rf_streams_close(struct rf_streams *streams, int slot); /* -1 is allowed */

#endif
