/* SPDX-License-Identifier: MIT
 *
 * info.h - what the INFO operation says of a node: who it is, what it publishes, what it counted.
 */
#ifndef RF_NET_INFO_H
#define RF_NET_INFO_H

#include <stdint.h>

#include "core/catalog.h"
#include "core/histogram.h"
#include "core/server_counters.h"
#include "core/wire.h"
#include "net/server.h"

enum {
    /* A frame with every row at its longest: texts are cut at RF_INFO_TEXT_SIZE_MAX. */
    RF_INFO_REPLY_SIZE_MAX = 32 * 1024,
    RF_INFO_WORKER_SIZE_MAX = 320, /* and this for each worker */
    RF_INFO_TEXT_SIZE_MAX = 512,   /* a reason or a node's id; both are shorter in practice */
    RF_INFO_OTHERS_MAX = 256,      /* counters of others: room for twice what there is */
};

/* Facts that do not change while a server runs. Borrowed strings. */
struct rf_info_source {
    const char *program_version;
    const char *node_id;
    const char *engine;
    const char *engine_reason;
    uint64_t instance; /* of this start, at random, not 0: versions are counted anew by each */
    uint64_t started_ns;
    uint64_t connections_max;
    unsigned workers_count;
    const struct rf_server_counters *const *counters;    /* one for each worker */
    const struct rf_histogram *const *latencies;         /* likewise: of requests, in the server */
    struct rf_counters_view others[RF_SERVER_VIEWS_MAX]; /* of the rest of the program */
};

/* The most bytes that a reply may need. */
size_t rf_info_reply_size_max(const struct rf_info_source *source);

/*
 * Writes the reply. Returns the size of the frame, or 0 if it does not fit `out_size`, which
 * rf_info_reply_size_max always does.
 * Threads: any; counters are read while their workers count.
 * Cost:    a read of all counters, 30 KiB for each worker: some microseconds each.
 */
size_t rf_info_reply_encode(uint8_t *out, size_t out_size, uint32_t request_id,
                            const struct rf_info_source *source, const struct rf_catalog *catalog,
                            uint64_t now_ns);

#endif
