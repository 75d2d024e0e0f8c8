/* SPDX-License-Identifier: MIT
 *
 * suspicion.h - how long a suspect has to defend itself (rule 12): less, the more nodes accuse it.
 *
 * "Lifeguard: Local Health Awareness for More Accurate Failure Detection", DSN-W 2018, section
 * IV-B.
 */
#ifndef RF_GOSSIP_SUSPICION_H
#define RF_GOSSIP_SUSPICION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gossip/slice.h"

enum { RF_SUSPICION_CONFIRMATIONS_MAX = 8 }; /* k = SuspicionMult - 2, at most this */

struct rf_suspicion_params {
    uint32_t k; /* confirmations that shorten the time */
    uint64_t min_ns;
    uint64_t max_ns;
};

struct rf_suspicion {
    struct rf_suspicion_params params;
    uint64_t start_ns;
    uint64_t deadline_ns;
    uint64_t floor_ns; /* not before: see rf_suspicion_shift; 0: none */
    uint32_t confirmations;
    uint64_t
        accusers[RF_SUSPICION_CONFIRMATIONS_MAX + 1]; /* hashes of names: the set of accusers */
    size_t heap_index;                                /* place in the machine's timer heap */
};

/* k, min and max for a table of n nodes. */
struct rf_suspicion_params rf_suspicion_params(uint32_t suspicion_mult, uint32_t max_timeout_mult,
                                               uint64_t probe_interval_ns, size_t n);

/* Starts with `accuser_hash` as the first accuser. */
void rf_suspicion_start(struct rf_suspicion *suspicion, const struct rf_suspicion_params *params,
                        uint64_t now_ns, uint64_t accuser_hash);

/*
 * Counts a confirmation and moves the deadline, which may then be in the past: fire at once.
 * Returns whether it was new and still counts.
 */
bool rf_suspicion_confirm(struct rf_suspicion *suspicion, uint64_t accuser_hash);

/* Whether that node is among the accusers that count. */
bool rf_suspicion_has_accuser(const struct rf_suspicion *suspicion, uint64_t accuser_hash);

/*
 * We were late ourselves by `late_ns` (swim_late.c): the suspect has as much time left as before,
 * and until `floor_ns` at least, since what it said meanwhile may be lost. The floor of the first
 * time stays: with pause after pause nobody could die.
 */
void rf_suspicion_shift(struct rf_suspicion *suspicion, uint64_t late_ns, uint64_t floor_ns);

/* The time that c confirmations leave in all. */
uint64_t rf_suspicion_timeout_ns(const struct rf_suspicion_params *params, uint32_t confirmations);

#endif
