/* SPDX-License-Identifier: MIT
 *
 * sim.h - whole clusters of Serf machines in one thread on a virtual clock.
 *
 * The machines are the real ones; only sockets, clock and network are played. Links delay, lose,
 * double, reorder and corrupt packets and are cut in one direction or both; streams are calls that
 * take their time each way, stall, are reset, and run into their deadline across a cut; nodes are
 * paused, made slow, killed, started again. Everything follows from one seed: equal seeds give
 * equal traces. After every event the node that moved is held to its invariants (sim_check.c).
 *
 * A fault of the machines ends the process by RF_ASSERT; rf_sim_init's line says with which seed.
 */
#ifndef RF_TESTS_SIM_H
#define RF_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/random.h"
#include "gossip/packet.h"
#include "gossip/serf.h"

#define RF_SIM_MS UINT64_C(1000000)
#define RF_SIM_S UINT64_C(1000000000)
#define RF_SIM_MINUTE (60 * RF_SIM_S)

enum {
    RF_SIM_NODES_MAX = 65536,   /* the index is two bytes of the address */
    RF_SIM_PERCENT = 10000,     /* in ppm */
    RF_SIM_LINK_KINDS_MAX = 32, /* different settings of links at a time */
    RF_SIM_NAME_SIZE = 32,
};

/* What happens to what is sent from one node to another. All zero: at once, and nothing is lost. */
struct rf_sim_link {
    uint64_t latency_min_ns;
    uint64_t latency_max_ns; /* uniform in between: packets overtake each other */
    uint64_t reorder_ns;     /* this much later, if so chosen */
    uint32_t reorder_ppm;
    uint32_t loss_ppm; /* streams lose segments too, which costs them time */
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm; /* of packets, and of what a stream brings one way; some bytes are others.
                             Wants an encrypted codec: in plain text what passes the checksums of
                             UDP and TCP is believed by any receiver */
    uint32_t stall_ppm;   /* of streams: silence until the deadline */
    uint32_t reset_ppm;   /* of streams */
    uint32_t mtu;         /* larger packets are lost; 0: no limit */
    bool is_cut;          /* nothing passes */
};

/* What a node sent. Bytes are those of UDP and TCP payloads. */
struct rf_sim_traffic {
    uint64_t packets;
    uint64_t packet_bytes;
    uint64_t streams; /* opened by it */
    uint64_t stream_bytes;
};

struct rf_sim_belief; /* private to sim_check.c */
struct rf_sim_event;
struct rf_sim_packet;

struct rf_sim_node {
    struct rf_serf *serf; /* NULL: not running */
    char name[RF_SIM_NAME_SIZE];
    struct rf_address address;
    uint32_t generation; /* grows with each start: late replies are for nobody */
    bool has_left;       /* RF_OUTPUT_LEFT came */
    bool has_lost_name;  /* RF_OUTPUT_NAME_LOST came */
    uint32_t joins_done; /* join results with code 0 */
    uint32_t joins_failed;
    uint64_t changes[6]; /* member outputs, by enum rf_member_change */
    struct rf_sim_traffic traffic;
    uint32_t in_loss_ppm; /* of packets and segments to it, beside what links lose */
    uint32_t out_loss_ppm;
    uint64_t service_ns; /* each input takes so long, one after the other: a slow process */

    /* private */
    uint64_t held_until_ns; /* see rf_sim_hold */
    uint64_t busy_until_ns;
    uint64_t resume_at_ns; /* paused until then; 0: not */
    uint64_t behind_ns;    /* of its clock, behind the others' */
    bool stops_clock;      /* of the pause */
    struct rf_sim_packet *backlog_first;
    struct rf_sim_packet *backlog_last;
    size_t backlog_bytes;
    uint64_t tick_at_ns; /* as in the heap of ticks */
    size_t tick_index;
    struct rf_sim_belief *beliefs;
    size_t beliefs_next;      /* where the round through all entries goes on */
    uint32_t own_incarnation; /* last seen */
    uint32_t transmit_limit;  /* the highest so far */
    size_t nodes_seen;        /* likewise */
    size_t table_count;       /* after the last event: fewer later means that some were forgotten */
};

struct rf_sim;

/* Every member change at every node, as it happens. Must not call inputs of the simulator. */
typedef void rf_sim_member_function(struct rf_sim *sim, size_t observer,
                                    const struct rf_output *output, void *context);

/* Something that a scenario does at a moment; any call is allowed. */
typedef void rf_sim_call_function(struct rf_sim *sim, void *context);

struct rf_sim {
    uint64_t seed;
    struct rf_random random;
    uint64_t now_ns;
    uint64_t start_ns;            /* of the run: now_ns - start_ns have passed */
    uint64_t trace;               /* hash of everything that happened */
    uint64_t events;              /* handled */
    struct rf_sim_link network;   /* every link that has no setting of its own */
    struct rf_serf_config config; /* of nodes started from now on, but for name, address, meta */
    uint64_t clock_error_ns;      /* wall clocks are off by up to so much, each way */
    bool checks_beliefs;          /* off: saves 8 bytes for each pair of nodes */
    rf_sim_member_function *on_member; /* NULL: none */
    void *on_member_context;

    struct rf_sim_node *nodes;
    size_t nodes_count;
    struct rf_sim_traffic lost; /* packets, and their bytes, that no node got */
    uint64_t corrupted;         /* packets and messages of streams that came with other bytes */
    uint64_t believed;          /* of these that the codec took all the same */

    /* private */
    size_t nodes_capacity;
    struct rf_sim_event *heap;
    size_t heap_count;
    size_t heap_capacity;
    uint64_t events_made;
    uint32_t *ticks; /* a heap of nodes by tick_at_ns */
    size_t ticks_count;
    struct rf_sim_packet *free_packets[16]; /* by size class */
    struct rf_sim_link link_kinds[RF_SIM_LINK_KINDS_MAX];
    size_t link_kinds_count;
    uint8_t *links; /* [from * nodes_capacity + to]: 0 as `network`, else a kind + 1; NULL: none */
    bool uses_codec;
    struct rf_envelope envelope;
    struct rf_lzw_workspace *workspace;
    struct rf_packet *packet; /* for taking packets apart */
};

/* Starts empty at time 1 s with a fast, perfect network, LAN defaults, and no name printed. */
void rf_sim_init(struct rf_sim *sim, uint64_t seed);
void rf_sim_fini(struct rf_sim *sim);

/*
 * Everything goes through the whole codec, as between real nodes: compression and CRCs, and if
 * `is_encrypted` a label and AES-256-GCM of version 1. Without this call messages travel as they
 * are, which is faster and tells the same of the machines. Call before nodes are started.
 */
void rf_sim_use_codec(struct rf_sim *sim, bool is_encrypted);

/* ---- nodes ---- */

/* Adds nodes "node-<index>" at 10.0.x.y:7946, tags group=web addr replicas=10, each alone. */
void rf_sim_start(struct rf_sim *sim, size_t count);

/* Starts node `index`, which is not running, with incarnation 1, under the given name. */
void rf_sim_start_node(struct rf_sim *sim, size_t index, const char *name);

/*
 * Makes all that run know all that run, as if they had been together for long: as they are told by
 * one push/pull, and nothing is left to be gossiped. For clusters too large to form in time.
 */
void rf_sim_acquaint(struct rf_sim *sim);

/* Likewise, but each knows only the first `common_count` of all, and others at random up to
 * `known_max`: for clusters that do not fit into memory. All run. */
void rf_sim_acquaint_some(struct rf_sim *sim, size_t common_count, size_t known_max);

/* Ends it without a word. */
void rf_sim_kill(struct rf_sim *sim, size_t index);

/* Ends it, and starts it again under its name with incarnation 1 and nothing known. */
void rf_sim_restart(struct rf_sim *sim, size_t index);

/*
 * Stops its process for so long: packets wait in its socket buffer (2 MiB, then they are lost),
 * streams in the kernel, timers fire when it goes on, all late. Paused twice: until the later end.
 * With `stops_clock` its clock stands still too, as that of a virtual machine may.
 */
void rf_sim_pause(struct rf_sim *sim, size_t index, uint64_t duration_ns, bool stops_clock);
bool rf_sim_is_paused(const struct rf_sim *sim, size_t index);

/*
 * Holds back for so long all that comes to it and all that it sends, while its timers run: as if
 * it blocked in each receive and send, which is how "Lifeguard", DSN-W 2018, makes members slow.
 */
void rf_sim_hold(struct rf_sim *sim, size_t index, uint64_t duration_ns);

void rf_sim_join(struct rf_sim *sim, size_t index, size_t seed_index);

/*
 * Joins through up to `count_max` of those whom it knows from before a restart (config.restore) or
 * who failed, at most RF_SERF_JOIN_ADDRESSES_MAX. Returns how many there were.
 */
size_t rf_sim_rejoin(struct rf_sim *sim, size_t index, size_t count_max);
void rf_sim_leave(struct rf_sim *sim, size_t index);
void rf_sim_set_meta(struct rf_sim *sim, size_t index, const char *role);

/* Hands a message to a node as if it came in a packet from nowhere. */
void rf_sim_inject(struct rf_sim *sim, size_t index, const uint8_t *data, size_t size);

/* ---- links ---- */

/* Sets one direction of a link; NULL: as the network again. */
void rf_sim_set_link(struct rf_sim *sim, size_t from, size_t to, const struct rf_sim_link *link);

/* Cuts one direction, or lets it be as the network again. */
void rf_sim_cut(struct rf_sim *sim, size_t from, size_t to, bool is_cut);

/* Cuts or mends the links from nodes [0, split) to the others, and back if `both`. */
void rf_sim_partition(struct rf_sim *sim, size_t split, bool both, bool is_cut);

/* All links are as the network again, which is fast and perfect; nobody is slow. Pauses go on. */
void rf_sim_heal(struct rf_sim *sim);

/* ---- time ---- */

void rf_sim_run(struct rf_sim *sim, uint64_t duration_ns);

/* Runs until `is_done` holds, which is asked every 50 ms; false: not within `limit_ns`. */
bool rf_sim_run_until(struct rf_sim *sim, bool (*is_done)(const struct rf_sim *sim),
                      uint64_t limit_ns);

/* Calls `function` at a moment not before now. */
void rf_sim_at(struct rf_sim *sim, uint64_t at_ns, rf_sim_call_function *function, void *context);

/* ---- views ---- */

/* What `observer` thinks of `subject`; RF_SERF_NONE: it knows no such member. */
enum rf_serf_status rf_sim_status(const struct rf_sim *sim, size_t observer, size_t subject);

/* How many running nodes other than `subject` see it in that status. */
size_t rf_sim_seen_as(const struct rf_sim *sim, size_t subject, enum rf_serf_status status);

/* The node of that name, "node-<index>"; RF_SIM_NODES_MAX: no such one. */
size_t rf_sim_index(const struct rf_sim *sim, const char *name, size_t name_size);

/* Pairs (a, b) of which a runs and sees b alive though it is not running, or not alive though it
 * is. */
size_t rf_sim_disagreements(const struct rf_sim *sim);
bool rf_sim_is_converged(const struct rf_sim *sim); /* no disagreement */
/* What gossip alone achieves: it misses a node with probability e^-(transmit limit), 2 % in the
 * smallest clusters, 0.03 % from 10 nodes on. Push/pulls repair that. */
bool rf_sim_is_nearly_converged(const struct rf_sim *sim);

/* The digest that a registry at that node would show of its catalog (core/digest.h). */
uint64_t rf_sim_digest(const struct rf_sim *sim, size_t index);

/*
 * Asserts that nodes with equal members in rings have equal digests and that every machine is
 * sound. Returns how many different digests the running nodes have. O(pairs of nodes).
 */
size_t rf_sim_checkpoint(const struct rf_sim *sim);

/* ---- accounts ---- */

struct rf_sim_traffic rf_sim_traffic(const struct rf_sim *sim); /* of all nodes */
size_t rf_sim_running(const struct rf_sim *sim);

/* A counter summed over the nodes that run: RF_SIM_SUM(sim, swim.refutations). */
#define RF_SIM_SUM(sim, field) rf_sim_sum(sim, offsetof(struct rf_serf_stats, field))
uint64_t rf_sim_sum(const struct rf_sim *sim, size_t stats_offset);

/* Memory blocks that this program holds and has not freed; for programs linked with rf_sim. */
int64_t rf_sim_blocks_held(void);

#endif
