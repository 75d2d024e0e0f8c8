/* SPDX-License-Identifier: MIT
 *
 * joiner.h - keeps trying the seeds until each has let us join, all of them again whenever we are
 * alone, and with them those whom we knew before a restart, or who failed.
 *
 * A round tries all seeds, each resolved anew, and some of those we knew: 3, then 6, 12, 16 for as
 * long as there is no success. A round without success is followed by a pause that doubles from one
 * second to half a minute, with jitter, so that a cluster that starts at once does not knock in
 * step; it does not double before each one we knew was tried once. After a success, seeds that have
 * never worked are tried on at the longest pause: else a cluster that started in two parts would
 * stay so. Those that have gone since are tried from the shortest pause on: a registry that comes
 * back without its memory is told by us who there is.
 * Threads: the gossip thread's. Never blocks: names are resolved by resolver.h.
 */
#ifndef RF_GOSSIP_JOINER_H
#define RF_GOSSIP_JOINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/error.h"
#include "core/log.h"
#include "core/random.h"
#include "gossip/gossip.h"
#include "gossip/output.h"
#include "gossip/resolver.h"
#include "gossip/serf.h"

#define RF_JOIN_PAUSE_MIN_NS UINT64_C(1000000000)
#define RF_JOIN_PAUSE_MAX_NS UINT64_C(30000000000) /* serf's retry interval */

enum {
    /* Of those we knew, in the first round and in any: one that is up is enough, and each costs
     * both sides a whole state. */
    RF_JOIN_KNOWN_MIN = 3,
    RF_JOIN_KNOWN_MAX = RF_SERF_JOIN_ADDRESSES_MAX,
};

enum rf_seed_state {
    RF_SEED_IDLE, /* done for this round */
    RF_SEED_RESOLVING,
    RF_SEED_JOINING,
};

struct rf_seed {
    struct rf_host_port host_port;
    enum rf_seed_state state;
    bool is_failing;  /* it failed the last time: was logged, is not again */
    bool has_success; /* one of its addresses has let us join, in this round */
    bool is_joined;   /* it has let us join, and has not gone since */
    struct rf_lookup *lookup;
    uint64_t join_id;
    struct rf_address joined; /* the address that has let us join */
};

/* Those we knew: contacts and failed members of the machine. */
struct rf_joiner_known {
    bool is_joining; /* results are waited for */
    bool is_failing; /* as of a seed */
    bool has_success;
    bool is_exhausted; /* each was tried once */
    size_t count_max;  /* of the next round */
    uint64_t join_id;
};

struct rf_joiner {
    struct rf_seed *seeds; /* owned */
    size_t seeds_count;
    struct rf_joiner_known known;
    int wake_fd;              /* written to when a name was resolved */
    struct rf_address own[2]; /* advertised, bound: not to be joined */
    const struct rf_log *log; /* borrowed */
    struct rf_gossip_counters *counters;
    struct rf_random random;
    bool is_in_round;
    bool has_success;          /* in this round */
    bool is_settled;           /* a round has succeeded, and we were not alone since */
    uint64_t next_ns;          /* of the next round; UINT64_MAX: none is due */
    uint64_t pause_ns;         /* after the next failure, before jitter */
    uint64_t settled_pause_ns; /* likewise, once settled */
    uint64_t rounds_count;
    char error[RF_ERROR_TEXT_SIZE]; /* of the last round; empty: it succeeded */
};

/* Copies the seeds. Errors: -EINVAL names the seed; RF_ELIMIT; -ENOMEM. Ends by fini in any case.
 */
RF_NODISCARD int rf_joiner_init(struct rf_joiner *joiner, const char *const *seeds,
                                size_t seeds_count, struct rf_error *err);
void rf_joiner_fini(struct rf_joiner *joiner);

/* Sets what was not known at init, and makes the first round due if there is anybody to try. */
void rf_joiner_begin(struct rf_joiner *joiner, uint64_t now_ns, const struct rf_address *advertised,
                     const struct rf_address *bound, int wake_fd, const struct rf_log *log,
                     struct rf_gossip_counters *counters, const struct rf_serf *serf,
                     uint64_t seed);

/* Does what is due: starts rounds, takes resolved names, joins. After each wake and deadline. */
void rf_joiner_tick(struct rf_joiner *joiner, uint64_t now_ns, struct rf_serf *serf);

/* An RF_OUTPUT_JOIN_RESULT came. */
void rf_joiner_result(struct rf_joiner *joiner, uint64_t now_ns, const struct rf_serf *serf,
                      const struct rf_output *output);

/* A member at that address has failed or left, or was forgotten: if it is a seed, it is to be tried
 * again. */
void rf_joiner_gone(struct rf_joiner *joiner, uint64_t now_ns, const struct rf_address *address);

/* It is there again, whoever has found it. */
void rf_joiner_back(struct rf_joiner *joiner, const struct rf_address *address);

/* Results, and who has gone, may have been lost for want of memory: gives up what still waits for a
 * result, and looks which seeds are not there. */
void rf_joiner_lost(struct rf_joiner *joiner, uint64_t now_ns, const struct rf_serf *serf);

uint64_t rf_joiner_deadline_ns(const struct rf_joiner *joiner); /* UINT64_MAX: none */

#endif
