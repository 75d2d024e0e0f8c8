/* SPDX-License-Identifier: MIT
 *
 * gossip.h - this process as a node of a Serf cluster: the driver's public face.
 *
 * rf_gossip_start binds the sockets and starts one thread that runs the Serf machine (serf.h). It
 * joins through its seeds, keeps trying them for ever, and tells one consumer thread about members
 * through a bounded queue. The thread waits for nothing but its own sockets: names are resolved
 * elsewhere, a slow consumer loses no information (it is given the whole list instead), and
 * callers of the functions below wait for the thread, never the thread for them.
 */
#ifndef RF_GOSSIP_GOSSIP_H
#define RF_GOSSIP_GOSSIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/counters.h"
#include "core/error.h"
#include "core/log.h"
#include "core/member.h"
#include "gossip/data_dir.h"
#include "gossip/settings.h"

enum {
    RF_GOSSIP_PORT_DEFAULT = 7370,     /* of a registry; that of a serf agent is 7946 */
    RF_GOSSIP_OWN_NAME_SIZE_MAX = 128, /* what Go peers that validate names accept */
    RF_GOSSIP_META_SIZE_MAX = 512,     /* encoded tags: memberlist's MetaMaxSize */
    RF_GOSSIP_LABEL_SIZE_MAX = 255,    /* one length byte */
    RF_GOSSIP_SEEDS_MAX = 64,          /* more are not needed to find one that is up */
    RF_GOSSIP_KEYS_MAX = 16,           /* a rollover needs two; each is tried on each packet */
    RF_GOSSIP_EVENTS_MAX = 4096,       /* queued for the consumer; then it gets the whole list */
    RF_GOSSIP_STREAMS_MAX = 128,       /* at a time: memberlist's limit on push/pulls */
    RF_GOSSIP_STREAM_BYTES_MAX = 64 << 20, /* held by all streams together at any moment, with what
                                              is being decrypted and decompressed */
    /* Of one address, for IPv6 of one network of 64 bits, which is what one customer has. */
    RF_GOSSIP_ADDRESS_STREAMS_MAX = 32, /* accepted: a quarter, and all of 32 nodes behind it */
    RF_GOSSIP_ADDRESS_STREAM_BYTES_MAX = 48 << 20,  /* the largest state there can be, packed and
                                                       unpacked; what is left serves thousands */
    RF_GOSSIP_KEYS_TIMEOUT_MS_MAX = 10 * 60 * 1000, /* of rf_gossip_keys_ask */
    RF_GOSSIP_KEYS_RELAYS_MAX = 5,
    RF_GOSSIP_KEYS_TOLD_MAX = 256, /* different keys in a report; further ones are not told */
    RF_GOSSIP_KEY_TEXT_SIZE = 45,  /* base64 of 32 bytes, and a NUL */
};

struct rf_gossip_tag {
    const char *name;
    const char *value;
};

struct rf_gossip_key {
    const uint8_t *bytes;
    size_t size; /* 16, 24 or 32: AES-128, -192, -256 */
};

/* Everything is copied by rf_gossip_start; zeroed fields are the defaults. */
struct rf_gossip_config {
    const char *name;      /* of the node, unique in the cluster: 1..128 of [A-Za-z0-9.-] */
    const char *bind;      /* "HOST:PORT", ":PORT"; port 0: one that is free for UDP and TCP */
    const char *advertise; /* what others are told: "HOST:PORT", "HOST", ":PORT"; NULL: as bind.
                            * Without a port, or with port 0: the bound one. An empty or wildcard
                            * host: the machine's first private address, and the log says which. */
    const struct rf_gossip_tag *tags; /* names unique; RF_GOSSIP_META_SIZE_MAX when encoded */
    size_t tags_count;
    /*
     * "HOST:PORT" each. All are tried at start, then again with growing, jittered pauses until one
     * has let us join; whenever this node finds itself alone it starts over. A host name is
     * resolved anew for each attempt. Without a port: RF_GOSSIP_PORT_DEFAULT. Seeds that are this
     * node are ignored.
     */
    const char *const *seeds;
    size_t seeds_count;
    enum rf_gossip_profile profile;
    struct rf_gossip_settings settings; /* what differs from the profile */
    const struct rf_gossip_key *keys;   /* the first encrypts, all decrypt; none: plain text */
    size_t keys_count;
    /*
     * Where the keys are instead: a file as serf writes it (keyring_file.h), which must be there
     * and readable by its owner alone. What the cluster changes about the keys is written back to
     * it before it takes effect. As with serf not together with `keys`. NULL: none.
     */
    const char *keyring_file;
    const char *label; /* the cluster's label; NULL or empty: none */
    /*
     * Where members, clocks and the incarnation are kept over a restart; NULL: nowhere. Members of
     * an earlier run are called until they are members again, also after a graceful leave.
     * Borrowed for the node's life; nobody else writes there.
     */
    const struct rf_data_dir *data_dir;
    struct rf_log log; /* called on the gossip thread and on others */
    bool has_consumer; /* events are queued for rf_gossip_event_next; else they are not made */
};

/* Whether a node of ours may have this name. Errors: -EINVAL, the text says why not. */
RF_NODISCARD int rf_gossip_name_check(const char *name, struct rf_error *err);

struct rf_gossip; /* private to the driver */

/*
 * Checks the configuration, binds, and starts the thread. Does not wait for a join.
 *
 * Ownership: the caller ends *ret_gossip with rf_gossip_free; untouched on failure.
 * Errors:    -EINVAL a bad name, address, tag, key, label or setting, or both keys and a keyring
 * file; those of reading that file (keyring_file.h); RF_ELIMIT a limit above, the text gives size
 * and limit; -EADDRINUSE "gossip: 127.0.0.1:7370 is in use (udp): stop the program that uses it, or
 * choose another with -bind"; other -errno of the sockets. Host names in `bind` and `advertise` are
 * resolved here, so this may block for seconds.
 */
RF_NODISCARD int rf_gossip_start(const struct rf_gossip_config *config,
                                 struct rf_gossip **ret_gossip, struct rf_error *err);

/*
 * Leaves the cluster gracefully: tells the others, waits until that had time to spread, and stops
 * answering. Returns 0 when done, also if it had left before; then only rf_gossip_free is of use.
 * Errors: -ETIMEDOUT not done within `timeout_ms`; the leave goes on, and waiting again is allowed.
 * Threads: any. Blocks the caller.
 */
RF_NODISCARD int rf_gossip_leave(struct rf_gossip *gossip, uint32_t timeout_ms);

/*
 * Ends the thread at once, closes the sockets and frees everything; NULL is allowed. Without
 * rf_gossip_leave before it the others see this node fail. No other call may be running, and
 * events and member lists got from it are freed before or after, as the caller likes.
 */
void rf_gossip_free(struct rf_gossip *gossip);

/*
 * Replaces the tags and announces them.
 * Errors: as rf_gossip_start for tags; -ESHUTDOWN the node has left; -ETIMEDOUT. Threads: any.
 */
RF_NODISCARD int rf_gossip_set_tags(struct rf_gossip *gossip, const struct rf_gossip_tag *tags,
                                    size_t tags_count, struct rf_error *err);

/* Where the sockets are bound and what others are told. Constant; lifetime: the node's. */
const struct rf_address *rf_gossip_bound(const struct rf_gossip *gossip);
const struct rf_address *rf_gossip_advertised(const struct rf_gossip *gossip);

/* ---- members ---- */

/*
 * A member of the cluster as this node sees it, this node included. Strings are NUL-terminated; a
 * NUL byte inside a received name or value is shown as byte 1, so that it is refused as a control
 * character and cuts nothing off.
 */
struct rf_gossip_member {
    const char *name;
    struct rf_address address;
    enum rf_member_state state;
    const struct rf_gossip_tag *tags; /* as received, in any order */
    size_t tags_count;
};

/* The value of a tag, or NULL: rf_gossip_member_tag(member, "group"). Lifetime: the member's. */
const char *rf_gossip_member_tag(const struct rf_gossip_member *member, const char *name);

struct rf_gossip_members {
    size_t count;
    const struct rf_gossip_member *items; /* in no order; those left or failed are among them */
};

/*
 * The whole member list, as the gossip thread sees it now.
 * Ownership: the caller frees *ret_members. Errors: -ENOMEM; -ETIMEDOUT.
 * Threads: any; waits for the gossip thread, usually well under a millisecond.
 */
RF_NODISCARD int rf_gossip_members(struct rf_gossip *gossip,
                                   struct rf_gossip_members **ret_members);
void rf_gossip_members_free(struct rf_gossip_members *members);

/* ---- events, for one consumer thread ---- */

enum rf_gossip_event_kind {
    RF_GOSSIP_EVENT_MEMBER,    /* items[0] is new, or its state, address or tags changed */
    RF_GOSSIP_EVENT_FORGOT,    /* items[0] is no longer remembered (reaped or pruned) */
    RF_GOSSIP_EVENT_RESYNC,    /* these are all members; whoever is not among them is forgotten */
    RF_GOSSIP_EVENT_NAME_LOST, /* another node owns our name (the cluster's vote): this node has
                                  closed its sockets; the program should end, saying so */
};

struct rf_gossip_event {
    enum rf_gossip_event_kind kind;
    struct rf_gossip_members members; /* of MEMBER and FORGOT one, of NAME_LOST none */
};

/*
 * A descriptor that polls readable while rf_gossip_event_next may have something to give. Do not
 * read it. Lifetime: the node's. For a node that was started without a consumer: -1.
 */
int rf_gossip_event_fd(const struct rf_gossip *gossip);

/*
 * Takes the next event; NULL: none is there now, wait for the descriptor. When the queue was full
 * (or memory was short) what was missed is made good by one RESYNC event in its place; the first
 * event of all is the MEMBER event of this node itself.
 *
 * Ownership: the caller ends it with rf_gossip_event_free.
 * Threads:   one, always the same. Never blocks.
 */
struct rf_gossip_event *rf_gossip_event_next(struct rf_gossip *gossip);
void rf_gossip_event_free(struct rf_gossip_event *event);

/* What became of a member that was to be forgotten. */
struct rf_gossip_forgotten {
    bool is_known;              /* false: it is no longer remembered here */
    enum rf_member_state state; /* if it is: LEFT; LEAVING until it is found dead; ALIVE: it lives
                                 * and has refuted */
};

/*
 * Declares that a failed member has left, as serf's force-leave: left at once on every node, and
 * nobody tries to reach it any more. With `prune` it is forgotten at once; since gossip may miss a
 * node, that may be said again of a member that is not known here any more.
 *
 * Returns 0 when the others have been told, which takes half a second in a small LAN cluster, and
 * a member that lives has had time to refute.
 * Errors: RF_ENOTFOUND no member of that name, without `prune`; -EINVAL it is this node, or alive
 * and to be pruned; -ESHUTDOWN this node has left or is leaving; -EBUSY another is being forgotten;
 *         -ETIMEDOUT it is done here, but was not spread within the time that Serf gives it;
 *         -ENOMEM likewise, if it had begun.
 * Threads: any. Blocks the caller for at most 15 s.
 */
RF_NODISCARD int rf_gossip_forget(struct rf_gossip *gossip, const char *name, bool prune,
                                  struct rf_gossip_forgotten *ret_forgotten, struct rf_error *err);

/*
 * The round-trip time between two members as their network coordinates tell it (vivaldi.h), in ns;
 * `b` NULL: between `a` and this node. The two need never have met.
 * Errors: RF_ENOTFOUND no member of that name; -ENODATA it has not answered a probe of this node
 *         with a coordinate yet; -ETIMEDOUT; -ENOMEM. Threads: any.
 */
RF_NODISCARD int rf_gossip_rtt(struct rf_gossip *gossip, const char *a, const char *b,
                               uint64_t *ret_rtt_ns, struct rf_error *err);

/* ---- keys ---- */

/* Of the cluster. Changing the key that encrypts: install the new one, use it, remove the old one,
 * each only when the step before has succeeded on every node. */
enum rf_gossip_keys_op {
    RF_GOSSIP_KEYS_LIST,    /* tells which keys there are */
    RF_GOSSIP_KEYS_INSTALL, /* takes a key in, for decrypting */
    RF_GOSSIP_KEYS_USE,     /* makes an installed key the one that encrypts */
    RF_GOSSIP_KEYS_REMOVE,  /* of a key that is not in use */
};

struct rf_gossip_keys_request {
    enum rf_gossip_keys_op op;
    const char *key;      /* base64 of 16, 24 or 32 bytes; not for LIST */
    uint32_t timeout_ms;  /* for the answers; 0: serf's, 3.2 s up to 9 nodes, more with more */
    uint8_t relay_factor; /* other nodes that pass each answer on too, in case one is lost: 0..5 */
};

enum rf_gossip_keys_state {
    RF_GOSSIP_KEYS_DONE,      /* may have a message all the same */
    RF_GOSSIP_KEYS_FAILED,    /* `message` is the node's own word on it */
    RF_GOSSIP_KEYS_NO_RESULT, /* it got the request, and has not answered in time */
    RF_GOSSIP_KEYS_NO_ANSWER, /* not a word from it */
};

struct rf_gossip_keys_node {
    const char *name;
    enum rf_gossip_keys_state state;
    const char *message; /* empty: none */
};

struct rf_gossip_keys_key {
    char text[RF_GOSSIP_KEY_TEXT_SIZE]; /* base64 */
    uint32_t nodes_count;               /* that have it */
    uint32_t primary_count;             /* of these, that encrypt with it */
};

struct rf_gossip_keys_report {
    size_t nodes_count; /* that were alive or suspect when it began, this one included */
    const struct rf_gossip_keys_node *nodes; /* by name */
    size_t answers_count;                    /* how many of them have answered */
    size_t errors_count;                     /* of these answered that it failed */
    size_t keys_count;
    const struct rf_gossip_keys_key *keys; /* of LIST: those on most nodes first, then by text */
};

/*
 * Asks every node of the cluster, of ours and of Serf's, this one included, to do something with
 * their keys, and gathers the answers until all are there or the time is up. It has succeeded when
 * errors_count is 0 and answers_count is nodes_count. Doing it again does no harm.
 *
 * Ownership: the caller frees *ret_report; keys in it are secrets.
 * Errors:    -EINVAL the key, or another field; RF_ELIMIT 4 are in flight; -ESHUTDOWN the node has
 *            left, or does so before the end; -ENOMEM; -ETIMEDOUT the gossip thread does not
 * answer. That nodes do not answer is no error here. Threads:   any. Blocks for up to the time-out,
 * without keeping others from their calls.
 */
RF_NODISCARD int rf_gossip_keys_ask(struct rf_gossip *gossip,
                                    const struct rf_gossip_keys_request *request,
                                    struct rf_gossip_keys_report **ret_report,
                                    struct rf_error *err);
void rf_gossip_keys_report_free(struct rf_gossip_keys_report *report);

/*
 * Reads the keyring file anew, and takes its keys instead of those in use.
 * Errors: -ENOENT the node was started without one; those of reading it (keyring_file.h), and the
 *         keys stay as they are; -ESHUTDOWN, -ENOMEM; -ETIMEDOUT: the disk has not answered for
 *         some seconds, and when it does the file is read after all.
 * Threads: any. Blocks as long as the disk takes, for some seconds at most.
 */
RF_NODISCARD int rf_gossip_keys_reload(struct rf_gossip *gossip, struct rf_error *err);

/* ---- status and counters ---- */

struct rf_gossip_status {
    bool joined; /* a seed has let us join, or another node has joined us, and we are not alone */
    bool left;   /* rf_gossip_leave is done */
    bool name_lost; /* see RF_GOSSIP_EVENT_NAME_LOST */
    size_t members_count;
    size_t alive_count;                  /* alive or leaving, this node included */
    uint64_t join_rounds_count;          /* rounds through the seeds */
    char join_error[RF_ERROR_TEXT_SIZE]; /* why the last attempt failed; empty: it did not */
};

/* Errors: -ETIMEDOUT, -ENOMEM. Threads: any; waits for the gossip thread like rf_gossip_members. */
RF_NODISCARD int rf_gossip_get_status(struct rf_gossip *gossip,
                                      struct rf_gossip_status *ret_status);

/* kind, name, unit, meaning: see core/counters.h. */
#define RF_GOSSIP_COUNTERS(X)                                                                    \
    X(TOTAL, packets_received, "packets", "UDP packets received")                                \
    X(TOTAL, packets_sent, "packets", "UDP packets sent")                                        \
    X(TOTAL, packet_bytes_received, "bytes", "UDP payload received")                             \
    X(TOTAL, packet_bytes_sent, "bytes", "UDP payload sent")                                     \
    X(TOTAL, packets_rejected, "packets", "UDP packets that are malformed or that no key opens") \
    X(TOTAL, packets_replayed, "packets", "encrypted UDP packets that came a second time")       \
    X(TOTAL, packets_lost, "packets", "UDP packets lost: the system's receive buffer was full")  \
    X(TOTAL, packet_parts_rejected, "messages", "malformed messages inside good UDP packets")    \
    X(TOTAL, packet_send_errors, "packets", "UDP packets that the system refused to send")       \
    X(TOTAL, streams_accepted, "streams", "TCP streams accepted")                                \
    X(TOTAL, streams_connected, "streams", "TCP streams opened to others")                       \
    X(TOTAL, streams_failed, "streams", "TCP streams ended by an error of the network or peer")  \
    X(TOTAL, streams_rejected, "streams", "TCP streams that are malformed or that no key opens") \
    X(TOTAL, streams_timed_out, "streams", "TCP streams that were not done in time")             \
    X(TOTAL, streams_refused, "streams",                                                         \
      "TCP streams closed at once: too many, or too many bytes")                                 \
    X(TOTAL, streams_refused_address, "streams",                                                 \
      "of these, for what their address has already: too many, or too many bytes")               \
    X(TOTAL, streams_replayed, "streams", "encrypted TCP messages that came a second time")      \
    X(TOTAL, stream_bytes_received, "bytes", "TCP payload received")                             \
    X(TOTAL, stream_bytes_sent, "bytes", "TCP payload sent")                                     \
    X(TOTAL, accept_errors, "errors", "accepts that failed: no descriptors or no memory")        \
    X(TOTAL, join_rounds, "rounds", "rounds through the seeds")                                  \
    X(TOTAL, events, "events", "events made for the consumer")                                   \
    X(TOTAL, key_requests, "requests", "requests of the cluster about this node's keys")         \
    X(TOTAL, key_requests_failed, "requests", "of these that failed, on the disk or otherwise")  \
    X(TOTAL, resyncs, "events", "whole lists given to the consumer, its queue having been full") \
    X(TOTAL, snapshot_writes, "writes", "records appended to the snapshot's file")               \
    X(TOTAL, snapshot_wholes, "writes", "whole snapshots written")                               \
    X(TOTAL, snapshot_errors, "errors", "writes of the snapshot that failed")                    \
    X(TOTAL, snapshot_waits, "times", "records held back, the last ones being written still")    \
    X(TOTAL, snapshot_records_dropped, "records", "not appended: a whole snapshot follows")      \
    X(GAUGE, snapshot_size, "bytes", "size of the snapshot's file")                              \
    X(GAUGE, streams, "streams", "TCP streams open")                                             \
    X(GAUGE, stream_bytes, "bytes", "bytes held by TCP streams")                                 \
    X(GAUGE, stream_bytes_peak, "bytes",                                                         \
      "the most that TCP streams ever held, with what was being decrypted and decompressed")     \
    X(GAUGE, keys, "keys", "keys that open what others send; 0: the gossip is not encrypted")    \
    X(GAUGE, members, "members", "members known, this node included")                            \
    X(GAUGE, members_alive, "members", "members alive or leaving, this node included")

RF_COUNTERS_STRUCT(rf_gossip_counters, RF_GOSSIP_COUNTERS);

enum { RF_GOSSIP_COUNTERS_COUNT = RF_COUNTERS_COUNT(RF_GOSSIP_COUNTERS) };

extern const struct rf_counter_info rf_gossip_counters_info[RF_GOSSIP_COUNTERS_COUNT];

/* Lifetime: the node's. Threads: any may read. */
const struct rf_gossip_counters *rf_gossip_counters(const struct rf_gossip *gossip);

/* The machines' own counters (swim.h, serf.h). Errors: -ETIMEDOUT, -ENOMEM. Threads: any; waits for
 * the gossip thread like rf_gossip_members. */
struct rf_serf_stats;
RF_NODISCARD int rf_gossip_get_serf_stats(struct rf_gossip *gossip,
                                          struct rf_serf_stats *ret_stats);

#endif
