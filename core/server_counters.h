/* SPDX-License-Identifier: MIT
 *
 * server_counters.h - what a server's worker counts. One struct for each worker.
 */
#ifndef RF_CORE_SERVER_COUNTERS_H
#define RF_CORE_SERVER_COUNTERS_H

#include "core/counters.h"

/* X(kind, name, unit, meaning) */
#define RF_SERVER_COUNTERS(X)                                                                      \
    X(TOTAL, connections_accepted, "connections", "connections accepted")                          \
    X(GAUGE, connections_open, "connections", "connections open now")                              \
    X(TOTAL, connections_refused, "connections", "connections refused at a limit")                 \
    X(TOTAL, connections_closed_by_peer, "connections", "connections ended by the peer")           \
    X(TOTAL, connections_closed_malformed, "connections",                                          \
      "connections closed for malformed bytes")                                                    \
    X(TOTAL, connections_closed_slow, "connections", "connections closed for not reading replies") \
    X(TOTAL, connections_closed_idle, "connections", "connections closed for being idle")          \
    X(TOTAL, connections_closed_unknown, "connections",                                            \
      "connections closed because their first bytes are no protocol of ours")                      \
    X(TOTAL, connections_closed_memory, "connections",                                             \
      "connections closed because buffers are at their limit")                                     \
    X(TOTAL, accept_errors, "errors", "accepts that failed: descriptors, memory")                  \
    X(TOTAL, io_errors, "errors", "receives and sends that failed")                                \
    X(TOTAL, buffers_exhausted, "receives", "receives repeated for want of a shared buffer")       \
    X(TOTAL, bytes_received, "bytes", "bytes received from clients")                               \
    X(TOTAL, bytes_sent, "bytes", "bytes sent to clients")                                         \
    X(TOTAL, requests_match, "requests", "match requests")                                         \
    X(TOTAL, requests_match_many, "requests", "match-many requests")                               \
    X(TOTAL, requests_owners, "requests", "owners requests")                                       \
    X(TOTAL, requests_members, "requests", "members requests")                                     \
    X(TOTAL, requests_groups, "requests", "groups requests")                                       \
    X(TOTAL, requests_info, "requests", "info requests")                                           \
    X(TOTAL, requests_ping, "requests", "ping requests")                                           \
    X(TOTAL, requests_watch, "requests", "watch requests")                                         \
    X(TOTAL, keys_matched, "keys", "keys that an owner was looked up for")                         \
    X(TOTAL, replies_not_found, "replies", "replies: no such group, or nobody in its ring")        \
    X(TOTAL, replies_malformed, "replies", "replies: malformed request")                           \
    X(TOTAL, replies_limit, "replies", "replies: a limit of the request")                          \
    X(TOTAL, replies_unsupported, "replies", "replies: unknown operation")                         \
    X(TOTAL, replies_unavailable, "replies", "replies: shutting down")                             \
    X(GAUGE, watches_open, "watches", "watches of groups now")                                     \
    X(TOTAL, watch_pages, "pages", "pages that watchers were sent")                                \
    X(TOTAL, watch_pages_copied, "pages", "of these copied from the one for another watcher")      \
    X(TOTAL, watch_bytes, "bytes", "of these pages")                                               \
    X(TOTAL, sends, "sends", "times that replies were handed to the kernel")                       \
    X(TOTAL, batches, "batches", "batches of requests, one epoch section each")                    \
    X(TOTAL, batches_of_0, "batches", "batches without a whole request")                           \
    X(TOTAL, batches_of_1, "batches", "batches of 1 request")                                      \
    X(TOTAL, batches_of_2, "batches", "batches of 2 and 3 requests")                               \
    X(TOTAL, batches_of_4, "batches", "batches of 4 to 15 requests")                               \
    X(TOTAL, batches_of_16, "batches", "batches of 16 to 63 requests")                             \
    X(TOTAL, batches_of_64, "batches", "batches of 64 to 255 requests")                            \
    X(TOTAL, batches_of_256, "batches", "batches of 256 requests or more")                         \
    X(TOTAL, waits_blocked, "waits", "waits that gave up the core until there was something")      \
    X(TOTAL, waits_spun, "waits", "waits that began by polling")                                   \
    X(TOTAL, waits_spun_hit, "waits", "waits that found something by polling")

RF_COUNTERS_STRUCT(rf_server_counters, RF_SERVER_COUNTERS);

enum { RF_SERVER_COUNTERS_COUNT = RF_COUNTERS_COUNT(RF_SERVER_COUNTERS) };

extern const struct rf_counter_info rf_server_counters_info[RF_SERVER_COUNTERS_COUNT];

#endif
