/* SPDX-License-Identifier: MIT
 *
 * loads.h - how many requests are under way at each member, counted in this process.
 *
 * A member's cell outlives snapshots, and the member itself while requests are under way. Its word
 * is twice the count, plus 1 while the member is not in the ring; the total is that of the members
 * in the ring. Who changes a word learns from the old one whether to change the total too, so that
 * it comes out right whatever happens at once.
 *
 * Threads: rf_load_add and rf_load_subtract are anybody's; the rest is the writer's.
 */
#ifndef RF_CLIENT_LOADS_H
#define RF_CLIENT_LOADS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/catalog.h"

struct rf_load_cell {
    alignas(64) _Atomic(uint64_t) word;
    uint64_t round; /* the writer's: of the last publication with the member in its ring */
    char id[];
};

struct rf_loads {
    /* At least the sum of the cells of members in the ring: raised before a cell, lowered after. */
    alignas(64) _Atomic(uint64_t) total;
    alignas(64) struct rf_load_cell **cells; /* by id */
    size_t count;
    uint64_t round;
};

/* The cells after a publication, made before it. */
struct rf_loads_next {
    struct rf_load_cell **cells;
    size_t count;
};

void rf_loads_init(struct rf_loads *loads);
void rf_loads_fini(struct rf_loads *loads);

/*
 * Finds or makes a cell for each member of `group` (NULL: nobody) in the ring: ret_by_slot is
 * [slots of its ring].
 * Errors: -ENOMEM; nothing has changed.
 */
RF_NODISCARD int rf_loads_prepare(struct rf_loads *loads, const struct rf_group *group,
                                  struct rf_load_cell **ret_by_slot,
                                  struct rf_loads_next *ret_next);

/* Throws away what was prepared. */
void rf_loads_discard(struct rf_loads_next *next);

/* Before the publication: members that come are counted. */
void rf_loads_enter(struct rf_loads *loads, const struct rf_group *group,
                    struct rf_load_cell *const *by_slot, const struct rf_loads_next *next);

/* After it: those that are gone are not any more. */
void rf_loads_leave(struct rf_loads *loads);

/* When no reader sees an older snapshot: frees the cells of who is gone and has no requests. */
void rf_loads_sweep(struct rf_loads *loads);

static inline uint64_t rf_load_count(const struct rf_load_cell *cell)
{
    return atomic_load_explicit(&cell->word, memory_order_relaxed) >> 1;
}

/* Adds a request if the cell has as many as the caller has seen; the total has it already. */
bool rf_load_add(struct rf_loads *loads, struct rf_load_cell *cell, uint64_t count_seen);

void rf_load_subtract(struct rf_loads *loads, struct rf_load_cell *cell);

#endif
