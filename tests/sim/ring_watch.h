/* SPDX-License-Identifier: MIT
 *
 * ring_watch.h - how often members enter and leave rings, if each node were a registry: what gossip
 * says of members there goes through core/guard.h with the registry's defaults, as in
 * tools/registry/intake.c. Guards are ticked once a second, which is as often as the registry
 * looks.
 */
#ifndef RF_TESTS_SIM_RING_WATCH_H
#define RF_TESTS_SIM_RING_WATCH_H

#include "core/guard.h"
#include "tests/sim/sim.h"

#define RF_RING_WINDOW_NS (600 * RF_SIM_S) /* any ten minutes: changes in them count together */

enum { RF_RING_CHANGES_MAX = 8 /* counted of one member in a window; more count as so many */ };

struct rf_ring_pair; /* private: what becomes of one member in the ring of one observer */

struct rf_ring_watch {
    size_t count;               /* of nodes */
    struct rf_guard **guards;   /* by observer */
    struct rf_ring_pair *pairs; /* [observer * count + subject] */
};

/* From now on, when all are in the rings of those that know them. `watch` outlives the simulation.
 */
void rf_ring_watch_begin(struct rf_ring_watch *watch, struct rf_sim *sim);
void rf_ring_watch_end(struct rf_ring_watch *watch);

/* To be called by the scenario's on_member. */
void rf_ring_watch_member(struct rf_ring_watch *watch, const struct rf_sim *sim, size_t observer,
                          const struct rf_output *output);

/* Changes of one pair: the most in any window; all, from the beginning; those out of the ring. */
struct rf_ring_changes {
    uint32_t window_max;
    uint32_t all;
    uint32_t removals;
};

struct rf_ring_changes rf_ring_watch_changes(const struct rf_ring_watch *watch, size_t observer,
                                             size_t subject);

#endif
