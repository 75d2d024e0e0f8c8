/* SPDX-License-Identifier: MIT
 *
 * serf.h - a node of a Serf cluster as a pure machine: what the driver talks to.
 *
 * It owns a SWIM machine (swim.h) and adds Serf's own: Lamport clocks, intents, member states,
 * graceful leave, reaping, reconnecting, name conflicts, and forwarding of events and queries.
 *
 * Every function below that takes the time is an input: it may make outputs. After each input call
 * rf_serf_next until it returns false, do what the outputs say, and see to it that rf_serf_tick is
 * called no later than rf_serf_deadline_ns. The time is a monotonic clock in ns (> 0) that never
 * goes back. The machine has no socket, clock, thread or log. Equal configuration, seed and inputs
 * give equal outputs, byte for byte.
 *
 * Messages come in as rf_packet_next and rf_stream_parser_message give them, and go out as
 * rf_packet_seal and rf_stream_seal take them: all envelopes (label, encryption, CRC, compression)
 * are the driver's.
 *
 * Memory: grows with members and queues up to the limits in the configuration; what does not fit
 *         is dropped and counted, as if lost on the way.
 * Threads: none; one caller at a time.
 */
#ifndef RF_GOSSIP_SERF_H
#define RF_GOSSIP_SERF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/error.h"
#include "gossip/output.h"
#include "gossip/snapshot.h"
#include "gossip/stream.h"
#include "gossip/swim.h"

enum {
    RF_SERF_MEMBERS_MAX = 262144,      /* remembered, alive or not: as many as core's catalog */
    RF_SERF_INTENTS_MAX = 16384,       /* names with an intent but no member; kept for 5 minutes */
    RF_SERF_EVENT_SLOTS = 512,         /* serf's EventBuffer and QueryBuffer */
    RF_SERF_EVENT_BYTES_MAX = 1 << 20, /* recent user events kept for push/pull: 512 of 2 KiB */
    RF_SERF_JOIN_ADDRESSES_MAX = 16,   /* tried at the same time by one join */
    RF_SERF_SLOT_EVENTS_MAX = 256,     /* user events, or queries, of one Lamport time */
    RF_SERF_VOTERS_MAX = 1024, /* answers counted in a contest for our name: more add nothing */
    RF_SERF_ASKS_MAX = 4,      /* queries of our own in flight: people ask, one or two at once */
    RF_SERF_KEY_REQUESTS_MAX = 16,      /* not done yet: each waits for a disk; more are refused */
    RF_SERF_RELAY_FACTOR_MAX = 5,       /* of a query of ours: members that relay each answer */
    RF_SERF_FILTER_EXPR_SIZE_MAX = 256, /* longer regular expressions are not tried: no match */
};

enum rf_serf_status { /* as on the wire */
                      RF_SERF_NONE,
                      RF_SERF_ALIVE,
                      RF_SERF_LEAVING, /* has announced that it leaves, and still answers */
                      RF_SERF_LEFT,
                      RF_SERF_FAILED,
};

/* "none", "alive", "leaving", "left", "failed". */
const char *rf_serf_status_name(enum rf_serf_status status);

struct rf_serf_config {
    struct rf_swim_config swim; /* name, address, metadata, timing: see swim.h */
    uint64_t broadcast_timeout_ns;
    uint64_t leave_propagate_ns;
    uint64_t reap_interval_ns;
    uint64_t reconnect_interval_ns;
    uint64_t reconnect_timeout_ns; /* a failed member is forgotten after it */
    uint64_t tombstone_timeout_ns; /* a left member is forgotten after it */
    uint64_t recent_intent_ns;
    size_t members_max;
    size_t intents_max;
    bool is_encrypted; /* the driver has keys: key queries become RF_OUTPUT_KEY_REQUEST; without it
                          the machine answers them */
    /*
     * What this node knew before it was restarted; NULL: nothing. Clocks go on, the incarnation
     * too if the name is still the same, and the members it knew become contacts, which are called
     * like failed members until they are members again. Borrowed for rf_serf_new.
     */
    const struct rf_snapshot *restore;
};

/* A profile's constants and the default limits, Vsn 01 05 02 02 05 04; set name, address and
 * metadata afterwards (config->swim.name and so on). */
void rf_serf_config_init(struct rf_serf_config *config, enum rf_swim_profile profile);

struct rf_serf; /* private to serf*.c */

/*
 * Makes a node that is alone. The first outputs are the member event of the node itself.
 *
 * Ownership: name and metadata are copied; the caller ends *ret_serf with rf_serf_free.
 * Errors:    -EINVAL a name, address, metadata or timing that is out of range; -ENOMEM.
 */
RF_NODISCARD int rf_serf_new(const struct rf_serf_config *config, uint64_t seed, uint64_t now_ns,
                             struct rf_serf **ret_serf, struct rf_error *err);
void rf_serf_free(struct rf_serf *serf); /* NULL is allowed */

/*
 * The messages that follow, until the next call, came in one datagram of `size` bytes: its sender
 * gets no more than that in return, unless it is a member. Not an input. Without it each message
 * counts as a packet of its own.
 */
void rf_serf_packet_begin(struct rf_serf *serf, size_t size);

/*
 * A message of a packet arrived: type byte and body, one that rf_packet_next gave; call once for
 * each, draining outputs in between or after the last. Anything else is dropped and counted.
 * `data` is borrowed for the call; `from` is the packet's source.
 */
void rf_serf_receive(struct rf_serf *serf, uint64_t now_ns, const struct rf_address *from,
                     const uint8_t *data, size_t size);

/* Time has passed. Harmless when nothing is due. */
void rf_serf_tick(struct rf_serf *serf, uint64_t now_ns);

/* Tick no later than then; UINT64_MAX: never. */
uint64_t rf_serf_deadline_ns(const struct rf_serf *serf);

/* The next output, in order; false: all are done. Its pointers stay valid until the next input. */
bool rf_serf_next(struct rf_serf *serf, struct rf_output *ret_output);

/* ---- streams ---- */

/*
 * The first message of an accepted stream was read whole. If a reply is due returns true and gives
 * its plain bytes, borrowed until the next input; the stream is closed after it was written, and at
 * once without one. Outputs (members and so on) follow as after any input.
 */
bool rf_serf_accept(struct rf_serf *serf, uint64_t now_ns, const struct rf_address *from,
                    const struct rf_stream_message *message, const uint8_t **ret_reply,
                    size_t *ret_reply_size);

/*
 * How an exchange (RF_OUTPUT_EXCHANGE) ended: `code` 0 and the reply, or a negative code (such as
 * -ECONNREFUSED, -ETIMEDOUT, RF_EMALFORMED), `reply` NULL and a `text` that may be NULL. Report
 * each exchange once; one that is unknown or past its deadline is ignored, since the machine keeps
 * the deadline too.
 */
void rf_serf_exchange_done(struct rf_serf *serf, uint64_t now_ns, uint64_t exchange_id, int code,
                           const char *text, const struct rf_stream_message *reply);

/* ---- local calls ---- */

/*
 * Joins through `addresses`, all tried at once. Each ends in an RF_OUTPUT_JOIN_RESULT with
 * *ret_join_id; one success means we are in.
 * Errors: -EINVAL no address or one without port; RF_ELIMIT more than RF_SERF_JOIN_ADDRESSES_MAX,
 *         or too many exchanges are in flight; -ESHUTDOWN we are leaving.
 */
RF_NODISCARD int rf_serf_join(struct rf_serf *serf, uint64_t now_ns,
                              const struct rf_address *addresses, size_t addresses_count,
                              uint64_t *ret_join_id, struct rf_error *err);

/*
 * Leaves gracefully: the others are told, which takes 1 to 12 s (2 to 3 s in a small LAN cluster),
 * during which the node must go on receiving, ticking and sending; then RF_OUTPUT_LEFT.
 * Errors: -EALREADY leaving already; 0 again once it has left.
 */
RF_NODISCARD int rf_serf_leave(struct rf_serf *serf, uint64_t now_ns, struct rf_error *err);

/*
 * Replaces the metadata (encoded tags, see tags.h) and announces it. Equal bytes: nothing.
 * Errors: -EINVAL longer than RF_META_SIZE_MAX; -ESHUTDOWN we are leaving; -ENOMEM.
 */
RF_NODISCARD int rf_serf_set_meta(struct rf_serf *serf, uint64_t now_ns, const uint8_t *meta,
                                  size_t meta_size, struct rf_error *err);

/* ---- network coordinates: vivaldi.h ---- */

/*
 * The round-trip time between two members as their coordinates tell it, in ns; `b` NULL: to this
 * node. They need never have met: each must have answered a probe of this node once.
 * Errors: RF_ENOTFOUND no such member; -ENODATA nothing was heard of its coordinate.
 */
RF_NODISCARD int rf_serf_rtt(const struct rf_serf *serf, const char *a, const char *b,
                             uint64_t *ret_rtt_ns, struct rf_error *err);

/* ---- over restarts: snapshot.h ---- */

/*
 * All that is to be remembered, as the records of a whole snapshot: the node itself, its clocks,
 * members that are alive or have failed, and contacts; RF_CONTACTS_MAX of them, the alive first.
 * Ownership: the caller frees *ret_bytes. Errors: -ENOMEM. Cost: O(members).
 */
RF_NODISCARD int rf_serf_snapshot(const struct rf_serf *serf, uint8_t **ret_bytes,
                                  size_t *ret_size);

/* The clocks as they are now, and the incarnation: what changes without a member event. */
void rf_serf_get_clocks(const struct rf_serf *serf, struct rf_snapshot_clocks *ret_clocks,
                        uint32_t *ret_incarnation);

/*
 * Whom to call in order to find the cluster again: contacts, each once before any comes again and
 * those that were alive first, then some of the failed members. Returns how many; *ret_is_last says
 * that none is left that was not given since the round began, and begins another.
 */
size_t rf_serf_rejoin_pick(struct rf_serf *serf, struct rf_address *ret_addresses,
                           size_t addresses_max, bool *ret_is_last);

/* How many there are to be called: contacts and failed members. */
size_t rf_serf_rejoin_count(const struct rf_serf *serf);

/*
 * Declares that a failed member has left (serf's force-leave): left at once, here and everywhere,
 * and nobody tries to reach it any more. With `prune` it is forgotten too. A member that leaves
 * just now is as left when it is gone. One that is alive refutes, and is alive again.
 *
 * The others are told by gossip; rf_serf_forget_state says how far that is. Gossip may miss one of
 * them, so a member that is not known here any more may be pruned once more.
 * Errors: RF_ENOTFOUND no such member, without `prune`; -EINVAL it is this node, or alive and to be
 * pruned: Serf's own agents would erase it from their lists although it lives; -ESHUTDOWN we are
 * leaving; -EBUSY another is being spread; -ENOMEM it is done here, but the others are not told.
 */
RF_NODISCARD int rf_serf_forget(struct rf_serf *serf, uint64_t now_ns, const char *name, bool prune,
                                struct rf_error *err);

enum rf_serf_forget_state {
    RF_SERF_FORGET_SPREAD,    /* the last one was sent to as many as gossip sends it to */
    RF_SERF_FORGET_SPREADING, /* not yet */
    RF_SERF_FORGET_LATE,      /* it was not within broadcast_timeout_ns; it may still be */
};

enum rf_serf_forget_state rf_serf_forget_state(const struct rf_serf *serf);
/* ---- queries of our own (rule 22.6) ---- */

struct rf_serf_question {
    const char *name;        /* "_serf_list-keys" */
    struct rf_slice payload; /* borrowed for the call */
    uint64_t timeout_ns;  /* 0: serf's, by the number of members: 3.2 s up to 9 of them on a LAN */
    uint8_t relay_factor; /* so many members pass each answer on too, so that one lost packet does
                             not lose it; 0: none, at most RF_SERF_RELAY_FACTOR_MAX */
};

/*
 * Asks all members, this one included. Each one's acknowledgement and answer is an RF_OUTPUT_ANSWER
 * with *ret_ask_id, once; then RF_OUTPUT_ASK_DONE comes: when as many have answered as were alive
 * or suspect at the start, or when the time is up. Errors: RF_ELIMIT RF_SERF_ASKS_MAX are in
 * flight, or it is larger than RF_QUERY_SIZE_MAX; -EINVAL relay_factor; -ESHUTDOWN we are leaving;
 * -ENOMEM.
 */
RF_NODISCARD int rf_serf_ask(struct rf_serf *serf, uint64_t now_ns,
                             const struct rf_serf_question *question, uint64_t *ret_ask_id,
                             struct rf_error *err);

/* How many nodes an ask that starts now would wait for: alive or suspect, this one included. */
size_t rf_serf_askable_count(const struct rf_serf *serf);

struct rf_serf_key_result {
    bool is_done;        /* else `message` says why not */
    const char *message; /* for people; NULL: none */
    /* Of RF_KEY_LIST: the keys themselves, the primary one first. */
    const struct rf_slice *keys;
    size_t keys_count;
};

/*
 * What has become of an RF_OUTPUT_KEY_REQUEST; each gets one, however late. It is answered to
 * whoever asked; of a list as many keys as a packet carries. Everything is borrowed for the call.
 */
void rf_serf_key_done(struct rf_serf *serf, uint64_t now_ns, uint64_t request_id,
                      const struct rf_serf_key_result *result);

/* ---- state ---- */

struct rf_serf_member_view {
    const char *name; /* NUL-terminated */
    size_t name_size;
    struct rf_address address;
    const uint8_t *meta; /* raw: ff and a map, or a bare role; read with tags.h */
    size_t meta_size;
    uint8_t vsn[RF_VSN_SIZE];
    enum rf_serf_status status;
    uint64_t status_ltime;
};

/*
 * Visits every member, this node included, in no order: start with *cursor = 0, ends with false.
 * Lifetime: pointers are valid until the next input. O(1) a step.
 */
bool rf_serf_member_next(const struct rf_serf *serf, size_t *cursor,
                         struct rf_serf_member_view *ret_member);

/* The member of that name; false: none. */
bool rf_serf_member_find(const struct rf_serf *serf, const char *name, size_t name_size,
                         struct rf_serf_member_view *ret_member);

size_t rf_serf_members_count(const struct rf_serf *serf); /* remembered ones included */
size_t rf_serf_alive_count(const struct rf_serf *serf);   /* alive or leaving, this node included */

/* name, unit, meaning. Counters unless the meaning starts with "now:". */
#define RF_SERF_STATS(X)                                                                  \
    X(intents_received, "messages", "join and leave intents received")                    \
    X(events_received, "messages", "user events received, repeats included")              \
    X(queries_received, "messages", "queries received, repeats included")                 \
    X(responses_received, "messages", "query responses received")                         \
    X(relays_received, "messages", "responses forwarded for others")                      \
    X(repeats, "messages", "events and queries that were known already")                  \
    X(queries_matched, "queries", "queries that were meant for this node too")            \
    X(serf_dropped_malformed, "messages", "dropped: not what the protocol says")          \
    X(serf_dropped_unknown, "messages", "dropped: unknown type, or not valid there")      \
    X(serf_dropped_absurd, "messages", "dropped: a Lamport time that jumps near the end") \
    X(serf_dropped_old, "messages", "events and queries dropped: too old")                \
    X(serf_dropped_limit, "messages", "dropped: a buffer of ours is full")                \
    X(serf_dropped_memory, "messages", "dropped: out of memory")                          \
    X(refuted_leaves, "intents", "leave intents about us that we refuted")                \
    X(joins_done, "joins", "addresses through which we joined")                           \
    X(reconnects, "exchanges", "reconnects to failed members tried")                      \
    X(reaped, "members", "members forgotten")                                             \
    X(forgets, "intents", "members declared to have left, by our operators")              \
    X(coordinate_updates, "acks", "round trips that moved our network coordinate")        \
    X(coordinate_resets, "events", "times that our network coordinate began anew")        \
    X(coordinates_refused, "acks", "acks whose network coordinate cannot be one")         \
    X(members, "members", "now: members remembered, this one included")                   \
    X(members_failed, "members", "now: of these failed")                                  \
    X(members_left, "members", "now: of these left")                                      \
    X(contacts, "nodes", "now: nodes of a snapshot that are no members again yet")        \
    X(intents, "intents", "now: recent intents of unknown names")                         \
    X(intent_queue_depth, "messages", "now: intents waiting to be gossiped")              \
    X(query_queue_depth, "messages", "now: queries waiting to be gossiped")               \
    X(event_queue_depth, "messages", "now: user events waiting to be gossiped")           \
    X(event_bytes, "bytes", "now: recent user events kept for push/pulls and repeats")    \
    X(queries_kept, "queries", "now: recent queries kept to know repeats")                \
    X(member_time, "ticks", "now: Lamport clock of member states")                        \
    X(event_time, "ticks", "now: Lamport clock of user events")                           \
    X(query_time, "ticks", "now: Lamport clock of queries")

struct rf_serf_stats {
    struct rf_swim_stats swim;
#define RF_SERF_STATS_FIELD(name, unit, meaning) uint64_t name;
    RF_SERF_STATS(RF_SERF_STATS_FIELD)
#undef RF_SERF_STATS_FIELD
};

void rf_serf_get_stats(const struct rf_serf *serf, struct rf_serf_stats *ret_stats);

/* Asserts every invariant. O(members): for tests and debug builds. */
void rf_serf_check(const struct rf_serf *serf);

#endif
