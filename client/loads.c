/* SPDX-License-Identifier: MIT */
#include "client/loads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

enum { ABSENT = 1, ONE = 2 };

void rf_loads_init(struct rf_loads *loads)
{
    atomic_init(&loads->total, 0);
    loads->cells = NULL;
    loads->count = 0;
    loads->round = 1; /* cells that are in no publication yet have 0, which is none before it */
}

void rf_loads_fini(struct rf_loads *loads)
{
    for (size_t i = 0; i < loads->count; i++) {
        free(loads->cells[i]);
    }
    free(loads->cells);
}

static struct rf_load_cell *make_cell(const char *id)
{
    const size_t id_size = strlen(id) + 1;
    size_t size = offsetof(struct rf_load_cell, id) + id_size;
    size = (size + alignof(struct rf_load_cell) - 1) / alignof(struct rf_load_cell) *
           alignof(struct rf_load_cell);
    struct rf_load_cell *cell = aligned_alloc(alignof(struct rf_load_cell), size);
    if (cell != NULL) {
        atomic_init(&cell->word, ABSENT);
        cell->round = 0;
        memcpy(cell->id, id, id_size);
    }
    return cell;
}

/* Merges the members in the ring with the cells that there are, both by id. `by_member` is
 * [group->members_count]. A cell of round 0 is new. */
static int merge_cells(const struct rf_loads *loads, const struct rf_group *group,
                       struct rf_load_cell **by_member, struct rf_loads_next *next)
{
    size_t at = 0;
    for (size_t i = 0; i < group->members_count; i++) {
        const struct rf_member *member = &group->members[i];
        if (!rf_member_is_in_ring(member->state)) {
            continue;
        }
        while (at < loads->count && strcmp(loads->cells[at]->id, member->id) < 0) {
            next->cells[next->count++] = loads->cells[at++];
        }
        const bool is_known = at < loads->count && strcmp(loads->cells[at]->id, member->id) == 0;
        struct rf_load_cell *cell = is_known ? loads->cells[at++] : make_cell(member->id);
        if (cell == NULL) {
            return -ENOMEM;
        }
        next->cells[next->count++] = cell;
        by_member[i] = cell;
    }
    while (at < loads->count) {
        next->cells[next->count++] = loads->cells[at++];
    }
    return 0;
}

int rf_loads_prepare(struct rf_loads *loads, const struct rf_group *group,
                     struct rf_load_cell **ret_by_slot, struct rf_loads_next *ret_next)
{
    const struct rf_group nobody = {0};
    group = group != NULL ? group : &nobody;
    struct rf_loads_next next = {
        .cells = calloc(loads->count + group->alive_count + 1, sizeof(next.cells[0]))};
    struct rf_load_cell **by_member = calloc(group->members_count + 1, sizeof(by_member[0]));
    int code = next.cells == NULL || by_member == NULL
                   ? -ENOMEM
                   : merge_cells(loads, group, by_member, &next);
    if (code < 0) {
        rf_loads_discard(&next);
    } else {
        const size_t slots_count = group->ring == NULL ? 0 : rf_ring_slots_count(group->ring);
        for (size_t slot = 0; slot < slots_count; slot++) {
            const struct rf_member *member = group->by_slot[slot];
            ret_by_slot[slot] = member == NULL ? NULL : by_member[member - group->members];
        }
        *ret_next = next;
    }
    free(by_member);
    return code;
}

void rf_loads_discard(struct rf_loads_next *next)
{
    for (size_t i = 0; i < next->count; i++) {
        if (next->cells[i]->round == 0) { /* in no publication yet: made for this one */
            free(next->cells[i]);
        }
    }
    free(next->cells);
}

/* The total first, so that it is never too small. */
static void count_in(struct rf_loads *loads, struct rf_load_cell *cell)
{
    uint64_t word = atomic_load(&cell->word);
    for (;;) {
        RF_ASSERT((word & ABSENT) != 0);
        const uint64_t count = word / ONE;
        atomic_fetch_add(&loads->total, count);
        if (atomic_compare_exchange_strong(&cell->word, &word, word & ~(uint64_t)ABSENT)) {
            return;
        }
        atomic_fetch_sub(&loads->total, count);
    }
}

void rf_loads_enter(struct rf_loads *loads, const struct rf_group *group,
                    struct rf_load_cell *const *by_slot, const struct rf_loads_next *next)
{
    const size_t slots_count =
        group == NULL || group->ring == NULL ? 0 : rf_ring_slots_count(group->ring);
    loads->round++;
    for (size_t slot = 0; slot < slots_count; slot++) {
        struct rf_load_cell *cell = by_slot[slot];
        if (cell == NULL) {
            continue;
        }
        if (cell->round + 1 != loads->round) {
            count_in(loads, cell);
        }
        cell->round = loads->round;
    }
    free(loads->cells);
    loads->cells = next->cells;
    loads->count = next->count;
}

void rf_loads_leave(struct rf_loads *loads)
{
    for (size_t i = 0; i < loads->count; i++) {
        if (loads->cells[i]->round + 1 == loads->round) {
            const uint64_t word = atomic_fetch_or(&loads->cells[i]->word, ABSENT);
            RF_ASSERT((word & ABSENT) == 0);
            atomic_fetch_sub(&loads->total, word / ONE);
        }
    }
}

void rf_loads_sweep(struct rf_loads *loads)
{
    size_t kept_count = 0;
    for (size_t i = 0; i < loads->count; i++) {
        struct rf_load_cell *cell = loads->cells[i];
        if (atomic_load_explicit(&cell->word, memory_order_acquire) == ABSENT) {
            free(cell);
        } else {
            loads->cells[kept_count++] = cell;
        }
    }
    loads->count = kept_count;
}

/* ---- anybody's ---- */

bool rf_load_add(struct rf_loads *loads, struct rf_load_cell *cell, uint64_t count_seen)
{
    uint64_t word = atomic_load_explicit(&cell->word, memory_order_relaxed);
    while (word / ONE == count_seen) {
        if (atomic_compare_exchange_weak(&cell->word, &word, word + ONE)) {
            if ((word & ABSENT) != 0) { /* gone in between: not in the total */
                atomic_fetch_sub(&loads->total, 1);
            }
            return true;
        }
    }
    return false;
}

void rf_load_subtract(struct rf_loads *loads, struct rf_load_cell *cell)
{
    const uint64_t word = atomic_fetch_sub(&cell->word, ONE);
    if ((word & ABSENT) == 0) {
        atomic_fetch_sub(&loads->total, 1);
    }
}
