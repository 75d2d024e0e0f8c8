/* SPDX-License-Identifier: MIT
 *
 * sim.h - whole clusters of Serf machines in one thread on a virtual clock.
 *
 * The network loses, delays, doubles and reorders packets, and cuts links in one or both
 * directions; streams are calls that take a delay each way and run into their deadline across a
 * cut. Everything follows from one seed. After every step the node that moved is held to its
 * invariants, and what it believes of others is compared with what it believed before.
 */
#ifndef RF_TESTS_SIM_H
#define RF_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gossip/packet.h"
#include "gossip/serf.h"

#define RF_SIM_MS UINT64_C(1000000)
#define RF_SIM_S UINT64_C(1000000000)

enum { RF_SIM_NODES_MAX = 128 };

struct rf_sim_network {
    uint64_t latency_min_ns;
    uint64_t latency_max_ns; /* uniform in between: packets overtake each other */
    uint32_t loss_percent;
    uint32_t duplicate_percent;
};

/* What one node believes of another, to see whether it ever goes back. */
struct rf_sim_belief {
    uint64_t step; /* when it was last in the table; 0: never */
    uint32_t incarnation;
    bool is_gone; /* dead or left in that incarnation */
};

struct rf_sim_node {
    struct rf_serf *serf; /* NULL: not running */
    char name[32];
    struct rf_address address;
    uint64_t tick_at_ns; /* of the tick that is in the heap */
    uint32_t generation; /* grows with each start: late replies are for nobody */
    bool has_left;       /* RF_OUTPUT_LEFT came */
    bool has_lost_name;  /* RF_OUTPUT_NAME_LOST came */
    uint32_t joins_done; /* join results with code 0 */
    uint32_t joins_failed;
    uint64_t changes[6]; /* member outputs, by enum rf_member_change */
    struct rf_sim_belief beliefs[RF_SIM_NODES_MAX];
};

struct rf_sim_event;

struct rf_sim {
    uint64_t seed;
    struct rf_random random;
    uint64_t now_ns;
    uint64_t steps;
    uint64_t trace; /* hash of everything that happened */
    struct rf_sim_network network;
    struct rf_sim_node nodes[RF_SIM_NODES_MAX];
    size_t nodes_count;
    bool cut[RF_SIM_NODES_MAX][RF_SIM_NODES_MAX]; /* [from][to] */
    struct rf_sim_event **heap;
    size_t heap_count;
    size_t heap_capacity;
    uint64_t events_made;
    struct rf_packet *packet; /* for taking packets apart */
    uint64_t packets_sent;
};

/* Starts empty at time 1 s with a fast, perfect network, and prints the seed. */
void rf_sim_init(struct rf_sim *sim, const char *name, uint64_t seed);
void rf_sim_fini(struct rf_sim *sim);

/* Adds nodes "node-<index>" at 10.0.x.y:7946 and starts them, each alone. */
void rf_sim_start(struct rf_sim *sim, size_t count);

/* Starts node `index`, which is not running, with incarnation 1, under the given name. */
void rf_sim_start_node(struct rf_sim *sim, size_t index, const char *name);

/* Ends it without a word. */
void rf_sim_kill(struct rf_sim *sim, size_t index);

void rf_sim_join(struct rf_sim *sim, size_t index, size_t seed_index);
void rf_sim_leave(struct rf_sim *sim, size_t index);
void rf_sim_set_meta(struct rf_sim *sim, size_t index, const char *role);

/* Hands a message to a node as if it came in a packet from nowhere. */
void rf_sim_inject(struct rf_sim *sim, size_t index, const uint8_t *data, size_t size);

/* Cuts or mends the links from nodes [0, split) to the others, and back if `both`. */
void rf_sim_partition(struct rf_sim *sim, size_t split, bool both, bool is_cut);

void rf_sim_run(struct rf_sim *sim, uint64_t duration_ns);

/* Runs until `is_done` holds, which is asked every 50 ms; false: not within `limit_ns`. */
bool rf_sim_run_until(struct rf_sim *sim, bool (*is_done)(const struct rf_sim *sim),
                      uint64_t limit_ns);

/* What `observer` thinks of `subject`; RF_SERF_NONE: it knows no such member. */
enum rf_serf_status rf_sim_status(const struct rf_sim *sim, size_t observer, size_t subject);

/* How many running nodes other than `subject` see it in that status. */
size_t rf_sim_seen_as(const struct rf_sim *sim, size_t subject, enum rf_serf_status status);

/* Pairs (a, b) of which a runs and sees b alive though it is not running, or not alive though it
 * is. */
size_t rf_sim_disagreements(const struct rf_sim *sim);
bool rf_sim_is_converged(const struct rf_sim *sim); /* no disagreement */
/* What gossip alone achieves: it misses a node with probability e^-(transmit limit), 2 % in the
 * smallest clusters, 0.03 % from 10 nodes on. Push/pulls repair that. */
bool rf_sim_is_nearly_converged(const struct rf_sim *sim);

#endif
