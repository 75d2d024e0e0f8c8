/* SPDX-License-Identifier: MIT
 *
 * swim.h - membership and failure detection as memberlist does it: a pure machine.
 *
 * "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002,
 * with memberlist's additions (push/pull, and "Lifeguard: Local Health Awareness for More Accurate
 * Failure Detection", DSN-W 2018). The rules are numbered as in gossip/README.md.
 *
 * Inputs come with the time, a monotonic clock in ns that never goes back. What is to be done is
 * collected in `out` (for the driver) and `up` (for the machine above): drain both after each call.
 * Messages come in after label, encryption and CRC were dealt with, and go out before that.
 *
 * Memory: allocated as nodes appear, bounded by the limits in the configuration. When an
 *         allocation fails the message that needed it is dropped and counted, as if lost.
 * Threads: none; one caller at a time.
 */
#ifndef RF_GOSSIP_SWIM_H
#define RF_GOSSIP_SWIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/error.h"
#include "core/random.h"
#include "gossip/broadcast.h"
#include "gossip/message.h"
#include "gossip/node_table.h"
#include "gossip/output.h"

enum {
    RF_SWIM_NODES_MAX = 65536,  /* default: a quarter of the members a registry remembers */
    RF_SWIM_RELAYS_MAX = 512,   /* indirect pings in flight: 3 helpers a probe, 500 ms each */
    RF_SWIM_EXCHANGES_MAX = 64, /* own streams in flight: joins, push/pull, TCP ping, reconnect */
    RF_SWIM_USER_QUEUES = 3,    /* intents, queries, events of the machine above */
    RF_SWIM_USER_QUEUE_MAX = 4096, /* serf's MaxQueueDepth */
};

enum rf_swim_profile {
    RF_SWIM_LAN,   /* one site */
    RF_SWIM_WAN,   /* across sites: slower, more patient */
    RF_SWIM_LOCAL, /* one machine: faster */
};

struct rf_swim_config {
    const char *name;          /* copied: 1..128 of [A-Za-z0-9.-] */
    struct rf_address address; /* what others are told: 4-byte form for IPv4; port > 0 */
    const uint8_t *meta;       /* copied; encoded tags, at most RF_META_SIZE_MAX */
    size_t meta_size;
    uint8_t vsn[RF_VSN_SIZE];
    /* timing and fan-out: rf_swim_config_init sets a profile's values */
    uint64_t tcp_timeout_ns;
    uint64_t probe_interval_ns;
    uint64_t probe_timeout_ns;
    uint64_t gossip_interval_ns;
    uint64_t push_pull_interval_ns;
    uint64_t gossip_to_the_dead_ns;
    uint64_t dead_node_reclaim_ns; /* 0: a dead node's name is never given to another address */
    uint32_t indirect_checks;
    uint32_t retransmit_mult;
    uint32_t suspicion_mult;
    uint32_t suspicion_max_timeout_mult;
    uint32_t awareness_max; /* exclusive: the score stays below */
    uint32_t gossip_nodes;
    bool tcp_pings;
    /* sizes */
    size_t packet_size;     /* budget for compounds */
    size_t packet_overhead; /* of label (2 + length) and encryption (29), 0 without */
    size_t nodes_max;       /* more are not let in, and counted */
    size_t queue_max;       /* messages about nodes waiting to be gossiped */
};

/* The profile's constants and the default limits; name, address and metadata stay empty. */
void rf_swim_config_init(struct rf_swim_config *config, enum rf_swim_profile profile);

/* name, unit, meaning. Counters unless the meaning starts with "now:". */
#define RF_SWIM_STATS(X)                                                                        \
    X(pings_received, "messages", "pings received")                                             \
    X(indirect_pings_received, "messages", "requests to ping another node")                     \
    X(acks_received, "messages", "acks received")                                               \
    X(nacks_received, "messages", "nacks received")                                             \
    X(alives_received, "messages", "alive messages received")                                   \
    X(suspects_received, "messages", "suspect messages received")                               \
    X(deads_received, "messages", "dead messages received")                                     \
    X(users_received, "messages", "user messages received")                                     \
    X(packets_sent, "packets", "packets sent")                                                  \
    X(dropped_malformed, "messages", "dropped: not what the protocol says")                     \
    X(dropped_unknown, "messages", "dropped: unknown type, or one that is not for packets")     \
    X(dropped_version, "messages", "dropped: version vector that would block push/pulls")       \
    X(dropped_absurd, "messages", "dropped: an incarnation that jumps near the end of 32 bits") \
    X(dropped_nodes_max, "messages", "dropped: the node table is full")                         \
    X(dropped_relays_max, "messages", "indirect pings dropped: too many in flight")             \
    X(dropped_memory, "messages", "dropped: out of memory")                                     \
    X(broadcasts_dropped, "messages", "not gossiped: queue full, or larger than a packet")      \
    X(probes, "probes", "probes started")                                                       \
    X(probes_failed, "probes", "probes without any answer")                                     \
    X(probes_indirect, "probes", "probes answered only through another node")                   \
    X(probes_tcp, "probes", "probes answered only by TCP")                                      \
    X(suspicions, "suspicions", "nodes that became suspect")                                    \
    X(suspicions_fired, "suspicions", "suspicions that ended in a death")                       \
    X(refutations, "refutations", "accusations against us that we refuted")                     \
    X(conflicts, "conflicts", "messages that give a known name another address")                \
    X(push_pulls, "exchanges", "push/pulls that were merged")                                   \
    X(push_pulls_refused, "exchanges", "push/pulls not merged: versions do not agree")          \
    X(push_pulls_failed, "exchanges", "push/pulls opened by us that failed")                    \
    X(nodes, "nodes", "now: nodes in the table, this one included")                             \
    X(nodes_alive, "nodes", "now: of these alive")                                              \
    X(nodes_suspect, "nodes", "now: of these suspect")                                          \
    X(queue_depth, "messages", "now: messages about nodes waiting to be gossiped")              \
    X(awareness_score, "points", "now: 0 healthy .. 7; probes get slower by this factor")

struct rf_swim_stats {
#define RF_SWIM_STATS_FIELD(name, unit, meaning) uint64_t name;
    RF_SWIM_STATS(RF_SWIM_STATS_FIELD)
#undef RF_SWIM_STATS_FIELD
};

#endif
