/* SPDX-License-Identifier: MIT
 *
 * watch.h - what scenarios with faults share: some members are bad, and it is counted who is
 * declared failed where; and joins that are tried again, as the driver's joiner does.
 */
#ifndef RF_TESTS_SIM_WATCH_H
#define RF_TESTS_SIM_WATCH_H

#include "tests/sim/sim.h"

/* Deaths are member outputs FAILED about members whose process has not ended. */
struct rf_watch {
    bool *is_bad; /* by index */
    size_t count; /* of nodes */
    size_t bad_count;
    uint64_t deaths;
    uint64_t healthy_deaths;            /* of these of members that are not bad */
    uint64_t healthy_deaths_at_healthy; /* and at such ones too */
};

/* Picks bad members among those that there are, and counts from now on through sim->on_member. */
void rf_watch_begin(struct rf_watch *watch, struct rf_sim *sim, size_t bad_count);
void rf_watch_end(struct rf_watch *watch, struct rf_sim *sim);

/* A function for on_member that does more calls this first. */
void rf_watch_member(struct rf_watch *watch, const struct rf_sim *sim, size_t observer,
                     const struct rf_output *output);

/*
 * Node context->index joins through one of the first `seeds_count` nodes, now, and after 1, 2, 4
 * ... 30 s again while that has not worked or it sees nobody else (gossip/joiner.c).
 */
struct rf_joining {
    size_t index;
    size_t seeds_count; /* at least 2 if this node is one of them */
    uint32_t tries;     /* 0 at first */
    uint32_t generation;
    uint32_t joins_done; /* before */
};

void rf_joining_step(struct rf_sim *sim, void *joining);

#endif
