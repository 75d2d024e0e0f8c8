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
#include "gossip/stream.h"

enum {
    RF_SWIM_NODES_MAX = 65536,  /* default: a quarter of the members a registry remembers */
    RF_SWIM_RELAYS_MAX = 512,   /* indirect pings in flight: 3 helpers a probe, 500 ms each */
    RF_SWIM_EXCHANGES_MAX = 64, /* own streams in flight: joins, push/pull, TCP ping, reconnect */
    RF_SWIM_CALLS_BACK_MAX = 3, /* push/pulls with strangers that ping us: swim_answer.c */
    RF_SWIM_CLAIMS_MAX = 8, /* names about which is found out whose they are; two streams each */
    RF_SWIM_GOSSIP_NODES_MAX = 32,   /* and indirect checks: the profiles have 3 or 4 */
    RF_SWIM_PACKET_SIZE_MIN = 1024,  /* an alive message with full metadata must fit */
    RF_SWIM_PACKET_SIZE_MAX = 8192,  /* of packets we fill; larger ones would be fragmented often */
    RF_SWIM_DIRECT_SIZE_MAX = 9216,  /* of a user message sent on its own */
    RF_SWIM_OWN_NAME_SIZE_MAX = 128, /* what Go peers that validate names accept */
    RF_SWIM_USER_QUEUES = 3,         /* intents, queries, events of the machine above */
    RF_SWIM_USER_QUEUE_MAX = 4096,   /* serf's MaxQueueDepth */
    RF_SWIM_ACK_PAYLOAD_MAX = 192,   /* serf's coordinate has 129 bytes */
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
    uint32_t incarnation; /* the last one this name has used before; 0: none. It starts above it,
                           * so that whoever remembers its death believes it at once. */
    /* timing and fan-out: rf_swim_config_init sets a profile's values */
    uint64_t tcp_timeout_ns;
    uint64_t probe_interval_ns;
    uint64_t probe_timeout_ns;
    uint64_t gossip_interval_ns;
    uint64_t push_pull_interval_ns;
    uint64_t gossip_to_the_dead_ns;
    uint64_t dead_node_reclaim_ns; /* until its name may move; 0: gossip_to_the_dead_ns, the most */
    uint64_t late_bound_ns; /* an input that is later is our own lateness: swim_late.c; 0: never */
    uint64_t wall_ns; /* the wall clock's time at the start, from 1970 on; nodes whose clocks agree
                         take turns to probe each other; 0: unknown, turns are at random */
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

/* Whether a node of ours may have this name. Errors: -EINVAL, the text says why not. */
RF_NODISCARD int rf_swim_name_check(const char *name, struct rf_error *err);

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
    X(strangers_refused, "messages",                                                            \
      "not sent: to an address that is no member's, or more than it sent itself")               \
    X(broadcasts_dropped, "messages", "not gossiped: queue full, or larger than a packet")      \
    X(probes, "probes", "probes started")                                                       \
    X(probes_failed, "probes", "probes without any answer")                                     \
    X(probes_indirect, "probes", "probes answered late, or through another node only")          \
    X(probes_tcp, "probes", "probes answered only by TCP")                                      \
    X(suspicions, "suspicions", "nodes that became suspect")                                    \
    X(suspicions_fired, "suspicions", "suspicions that ended in a death")                       \
    X(appeals, "messages", "accusations told to the accused alone")                             \
    X(refutations, "refutations", "accusations against us that we refuted")                     \
    X(calls_back, "exchanges", "push/pulls with strangers that knew our name")                  \
    X(conflicts, "conflicts", "messages that give a known name another address")                \
    X(claims, "claims", "names about which was looked whose they are")                          \
    X(claims_dropped, "claims", "not looked at: too many at once")                              \
    X(names_moved, "claims", "names that moved, as nobody was left where they were")            \
    X(push_pulls, "exchanges", "push/pulls that were merged")                                   \
    X(push_pulls_refused, "exchanges", "push/pulls not merged: versions do not agree")          \
    X(push_pulls_failed, "exchanges", "push/pulls opened by us that failed")                    \
    X(push_pulls_early, "exchanges", "push/pulls between the periodic ones, to catch up")       \
    X(pauses, "pauses", "times that this node itself was late: what it waited for got longer")  \
    X(pauses_ms, "ms", "by how much, all together")                                             \
    X(nodes, "nodes", "now: nodes in the table, this one included")                             \
    X(nodes_alive, "nodes", "now: of these alive")                                              \
    X(nodes_suspect, "nodes", "now: of these suspect")                                          \
    X(relays, "pings", "now: pings on behalf of others that are not answered yet")              \
    X(exchanges, "exchanges", "now: streams of our own in flight")                              \
    X(queue_depth, "messages", "now: messages about nodes waiting to be gossiped")              \
    X(awareness_score, "points", "now: 0 healthy .. 7; probes get slower by this factor")

struct rf_swim_stats {
#define RF_SWIM_STATS_FIELD(name, unit, meaning) uint64_t name;
    RF_SWIM_STATS(RF_SWIM_STATS_FIELD)
#undef RF_SWIM_STATS_FIELD
};

/* ---- the machine ---- */

/* A probe in progress (rule 11); at most one. */
struct rf_swim_probe {
    bool is_active;
    bool is_indirect; /* step 4 was reached */
    bool tcp_acked;
    struct rf_node *node; /* stays in the table: it is purged between probes only */
    uint32_t seq_no;
    uint32_t incarnation; /* of the node at the start */
    uint64_t start_ns;
    uint64_t timeout_ns; /* the moment when the direct ack is late */
    uint64_t expiry_ns;  /* start + P */
    uint32_t nacks_expected;
    uint32_t nacks;
    uint64_t exchange_id; /* of the TCP ping; 0: none */
};

/* Whose turn it is to be probed: swim_order.c. */
struct rf_swim_claim; /* private to swim_claim.c */

struct rf_swim_order {
    struct rf_swim_place *places; /* those alive or suspect in the order of the circle; private */
    size_t count;
    size_t capacity;
    size_t self_index;
    uint64_t version;         /* of the node table that it was made from */
    uint64_t clock_offset_ns; /* from our time to the wall clock, modulo 2^64 */
    uint64_t round;           /* in which nodes were forgotten last */
};

/* A ping that we sent on behalf of another node. */
struct rf_swim_relay {
    uint32_t seq_no;           /* ours */
    uint32_t requester_seq_no; /* the requester's */
    struct rf_address requester;
    uint64_t deadline_ns;
    bool nack;
    bool is_open; /* no ack yet */
};

enum rf_exchange_purpose {
    RF_EXCHANGE_NONE, /* a free place */
    RF_EXCHANGE_PING,
    RF_EXCHANGE_PERIODIC,
    RF_EXCHANGE_JOIN,
    RF_EXCHANGE_RECONNECT,
};

/* A stream that we opened. */
struct rf_swim_exchange {
    uint64_t id;
    enum rf_exchange_purpose purpose;
    uint64_t join_id;
    struct rf_address address;
    uint64_t deadline_ns;
};

struct rf_swim {
    struct rf_swim_config config; /* name and meta point nowhere: see `self` */
    struct rf_random random;
    struct rf_node_table nodes;
    struct rf_node *self;
    uint32_t seq_no;                              /* last one used */
    uint32_t incarnation;                         /* last one used */
    uint32_t awareness;                           /* rule 13 */
    uint8_t ack_payload[RF_SWIM_ACK_PAYLOAD_MAX]; /* what acks to members carry */
    size_t ack_payload_size;
    bool is_untold; /* our last alive, or that we leave, could not be queued */
    bool is_leaving;
    uint64_t leave_deadline_ns; /* UINT64_MAX: not waiting */
    struct rf_broadcast_queue queue;
    struct rf_broadcast_queue user_queues[RF_SWIM_USER_QUEUES];
    size_t user_members_count; /* n of the user queues' transmit limit, kept by the layer above */
    /* timers */
    uint64_t probe_at_ns;
    uint64_t gossip_at_ns;
    uint64_t push_pull_at_ns;
    uint64_t catch_up_at_ns;  /* the next push/pull of the series; UINT64_MAX: there is none */
    uint32_t catch_up_step;   /* push/pulls of the series so far */
    size_t catch_up_nodes;    /* known at the last of them */
    uint32_t catch_up_doubts; /* push/pulls that are to follow, since one met another number */
    uint64_t seen_ns;         /* of the last input */
    uint64_t ask_at_ns;       /* not before is a node called of which somebody says absurd things */
    uint32_t calls_back_left; /* of a node that may have been restarted */
    uint64_t call_back_at_ns; /* not before is a stranger called back */
    struct rf_address speaker; /* whom we called and whose state is being merged; else no ip */
    struct rf_swim_order order;
    struct rf_swim_probe probe;
    struct rf_node **suspects; /* a heap: the earliest deadline first */
    size_t suspects_count;
    size_t suspects_capacity;
    struct rf_swim_relay
        *relays; /* a ring in order of seq_no and deadline; NULL before the first */
    size_t relays_first;
    size_t relays_count;
    struct rf_swim_claim *claims; /* RF_SWIM_CLAIMS_MAX; NULL before the first */
    uint64_t rival_gone_ns;       /* when nobody was found who else has our name; 0: never */
    struct rf_swim_exchange exchanges[RF_SWIM_EXCHANGES_MAX];
    size_t exchanges_count;
    uint64_t exchange_id; /* last one used */
    bool has_packet;      /* the driver tells where packets begin */
    size_t packet_left;   /* of the packet being handled: bytes that a stranger may still get */
    bool has_acked;       /* of it: a member has its ack, and gets no more than a stranger now */
    struct rf_outbox out; /* for the driver */
    struct rf_outbox up;  /* for the layer above */
    struct rf_swim_stats stats;
};

/*
 * Starts as a node that is alone; the join of itself is in `up`.
 * Errors: -EINVAL a name, address, metadata or timing out of range; -ENOMEM.
 */
RF_NODISCARD int rf_swim_init(struct rf_swim *swim, const struct rf_swim_config *config,
                              uint64_t seed, uint64_t now_ns, struct rf_error *err);
void rf_swim_fini(struct rf_swim *swim);

/*
 * The messages that follow, until the next call, came in one datagram of `size` bytes. Its sender
 * gets no more than that in return, unless it is a member and it is the first ack. Without this
 * each message counts as a packet of its own.
 */
void rf_swim_packet_begin(struct rf_swim *swim, size_t size);

/* One message of a packet. Borrowed for the call. */
void rf_swim_receive(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *from,
                     struct rf_slice message);
void rf_swim_tick(struct rf_swim *swim, uint64_t now_ns);
uint64_t rf_swim_deadline_ns(const struct rf_swim *swim);

/* What acks to members carry from now on: at most RF_SWIM_ACK_PAYLOAD_MAX bytes; none at first. */
void rf_swim_set_ack_payload(struct rf_swim *swim, struct rf_slice payload);

/*
 * Sends a user message of its own, without piggyback. An address that came in a message is checked
 * with rf_swim_is_member_address first.
 */
void rf_swim_send_user(struct rf_swim *swim, const struct rf_address *to, struct rf_slice body);

/*
 * Queues a user message in one of the user queues (0 is sent first). Returns whether it is queued;
 * see rf_broadcast_queue.
 */
bool rf_swim_queue_user(struct rf_swim *swim, size_t queue_index, struct rf_slice body,
                        enum rf_broadcast_notice notice);

/* ---- push/pull (rule 15) ---- */

/*
 * Registers a push/pull with `address`; RF_OUTPUT_PUSH_PULL_OPEN comes up, and the layer above adds
 * its state and opens the stream. Returns the exchange's id, or 0: RF_SWIM_EXCHANGES_MAX.
 */
uint64_t rf_swim_push_pull(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *address,
                           enum rf_exchange_purpose purpose, uint64_t join_id);

/*
 * Begins a series of push/pulls, each with some node, about 1, 3 and 7 s from now (of 30 s, else in
 * proportion), before the periodic one: after a join, say. `is_at_once`: with one more, now. Does
 * nothing while such a series goes on.
 */
void rf_swim_catch_up(struct rf_swim *swim, uint64_t now_ns, bool is_at_once);

/*
 * First thing of an input: notices if this node did nothing for long though something was due (it
 * was stopped, or its machine was paused), and makes up for it. Returns by how much it was late, 0
 * if not; the layer above moves its own timers by that. rf_swim_receive and rf_swim_tick call it
 * too.
 */
uint64_t rf_swim_time(struct rf_swim *swim, uint64_t now_ns);

/* Ends an exchange and tells what it was; false: no such one. */
bool rf_swim_exchange_take(struct rf_swim *swim, uint64_t exchange_id,
                           struct rf_swim_exchange *ret_exchange);

/* An exchange whose deadline has passed, or 0. */
uint64_t rf_swim_exchange_expired(const struct rf_swim *swim, uint64_t now_ns);

/* The TCP ping of the exchange was answered. */
void rf_swim_ping_acked(struct rf_swim *swim, uint64_t exchange_id, uint32_t seq_no);

/* A TCP ping ended so: 0 it was answered. Of interest if it was about a claim: swim_claim.c. */
void rf_swim_claims_heard(struct rf_swim *swim, uint64_t now_ns, uint64_t exchange_id, int code);

/* Appends a whole push/pull message with all nodes. Errors: -ENOBUFS. */
RF_NODISCARD int rf_swim_state_encode(const struct rf_swim *swim, bool join,
                                      struct rf_slice user_state, struct rf_packer *packer);

/*
 * Checks versions (9.1) and merges the nodes (10.5).
 * Errors: RF_EVERSION: nothing was merged; the text names the node.
 */
RF_NODISCARD int rf_swim_merge(struct rf_swim *swim, uint64_t now_ns,
                               const struct rf_stream_message *message, struct rf_error *err);

/* ---- leaving and updating (rule 16) ---- */

/* RF_OUTPUT_SWIM_LEFT comes up when the others were told, at the latest after the timeout. */
void rf_swim_leave(struct rf_swim *swim, uint64_t now_ns, uint64_t timeout_ns);

/* Replaces the metadata and announces it. Errors: -ENOMEM. */
RF_NODISCARD int rf_swim_update(struct rf_swim *swim, uint64_t now_ns, struct rf_slice meta);

/* Whether a node of the table, in whatever state, is at that address, in whatever form. */
bool rf_swim_is_member_address(const struct rf_swim *swim, const struct rf_address *address);

/* Counters and gauges. */
void rf_swim_get_stats(const struct rf_swim *swim, struct rf_swim_stats *ret_stats);

/* Asserts every invariant. O(nodes). */
void rf_swim_check(const struct rf_swim *swim);

/* A wanted function for rf_node_table_pick: alive, and not the node `context`. */
bool rf_node_is_alive_other(const struct rf_node *node, const void *context);

#endif
