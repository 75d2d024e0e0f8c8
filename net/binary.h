/* SPDX-License-Identifier: MIT
 *
 * binary.h - the server's side of a binary connection (core/WIRE.md): bytes in, replies out.
 *
 * A pure machine. It keeps no bytes: what it could not consume the caller gives again with what
 * came after it. So the state of an idle connection is two flags, and requests are answered from
 * the buffer in which they were received, straight into the one from which they are sent.
 */
#ifndef RF_NET_BINARY_H
#define RF_NET_BINARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/catalog.h"
#include "core/server_counters.h"
#include "core/wire.h"
#include "net/info.h"

enum {
    /* Free output that is always enough for the next reply. */
    RF_BINARY_ROOM_MAX = RF_WIRE_REPLY_SIZE_MAX,
    /* Input that always holds a whole request. */
    RF_BINARY_NEED_MAX = RF_WIRE_REQUEST_SIZE_MAX,
    /* MATCH requests parsed, hashed and prefetched before the first of them is answered: enough
     * to hide the latency of memory, few enough to stay in registers' reach. */
    RF_BINARY_MATCHES_MAX = 64,
};

struct rf_binary { /* zeroed: a new connection */
    bool is_preface_seen;
    bool is_closed; /* RF_BINARY_CLOSE was returned */
};

/* What requests are answered from; of one batch, inside one epoch section. */
struct rf_binary_context {
    const struct rf_catalog *catalog;
    const struct rf_info_source *info;
    struct rf_server_counters *counters; /* the worker's own */
    uint64_t now_ns;
    /* Takes note of a watch, whose updates the caller sends. Returns 0, RF_ELIMIT, -ENOMEM. */
    int (*watch)(void *watcher, const struct rf_wire_watch_request *request, uint32_t request_id,
                 struct rf_error *err);
    void *watcher;
};

enum rf_binary_status {
    RF_BINARY_MORE,  /* every whole request is answered; `need` bytes of input, those not consumed
                        included, must be there before there is more to do */
    RF_BINARY_ROOM,  /* the next reply does not fit; it will if `need` bytes of output are free */
    RF_BINARY_CLOSE, /* send what is written, then close; further input is of no use */
};

struct rf_binary_result {
    size_t consumed; /* of the input */
    size_t written;  /* of the output, whole replies */
    size_t answered; /* requests; a malformed one, which ends the connection, does not count */
    size_t need;     /* see the status; <= RF_BINARY_NEED_MAX, or <= RF_BINARY_ROOM_MAX */
};

/*
 * Answers the requests in `in`, in order, into `out`. How input is cut into calls does not
 * change the replies.
 *
 * Ownership: everything is borrowed for the call.
 * Cost:      no allocation, lock or system call. Bounded by the sizes of both buffers.
 */
enum rf_binary_status rf_binary_feed(struct rf_binary *binary,
                                     const struct rf_binary_context *context, const uint8_t *in,
                                     size_t in_size, uint8_t *out, size_t out_size,
                                     struct rf_binary_result *ret_result);

#endif
