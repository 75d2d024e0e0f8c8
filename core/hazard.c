/* SPDX-License-Identifier: MIT */
#include "core/hazard.h"

#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/sanitizer.h"

/*
 * Why a value that no line names may be freed. The writer has swapped the pointer and then run a
 * fence on each processor of the process. A reader whose store of the old value came before that
 * fence is seen by the scan after it. One whose store came later looks again later still, finds
 * the new value, and tries with that. In between, between store and second look, both are true.
 * A reader that fences by itself does the same with its own fence instead.
 *
 * The tag travels with the pointer: who sees a tagged pointer fences. So the choice can change
 * at a publication, and needs no second word that might be seen too early or too late.
 */

static struct rf_hazard_value *value_of(uintptr_t word)
{
    return (struct rf_hazard_value *)(word & ~(uintptr_t)RF_HAZARD_TAGS);
}

static bool fence_all(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* Registering is the process's, and doing it again does no harm; a child may have to. */
static bool register_fences(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           fence_all();
}

static uintptr_t word_of(const struct rf_hazard *hazard, const struct rf_hazard_value *value)
{
    return (uintptr_t)value | (hazard->is_fenced ? RF_HAZARD_FENCED : 0) |
           (value->is_unusual ? RF_HAZARD_UNUSUAL : 0);
}

static void store_current(struct rf_hazard *hazard, struct rf_hazard_value *value)
{
    atomic_store_explicit(&hazard->current, word_of(hazard, value), memory_order_seq_cst);
}

void rf_hazard_init(struct rf_hazard *hazard, struct rf_hazard_value *first)
{
    RF_ASSERT(first != NULL && first->free != NULL);
    /* The thread sanitizer knows nothing of membarrier; atomics with fences it understands. */
    hazard->is_fenced = RF_HAS_TSAN || !register_fences();
    hazard->retired = NULL;
    hazard->retired_count = 0;
    first->next = NULL;
    first->is_kept = false;
    atomic_init(&hazard->lines, NULL);
    atomic_init(&hazard->current, word_of(hazard, first));
}

void rf_hazard_force_fences(struct rf_hazard *hazard)
{
    RF_ASSERT(atomic_load_explicit(&hazard->lines, memory_order_relaxed) == NULL);
    hazard->is_fenced = true;
    store_current(hazard, rf_hazard_current(hazard));
}

struct rf_hazard_value *rf_hazard_current(const struct rf_hazard *hazard)
{
    return value_of(atomic_load_explicit(&hazard->current, memory_order_relaxed));
}

/* membarrier has failed after it worked. Who has seen any of these may have done so unseen. */
static void begin_fencing(struct rf_hazard *hazard)
{
    struct rf_hazard_value *current = rf_hazard_current(hazard);
    hazard->is_fenced = true;
    store_current(hazard, current);
    current->is_kept = true;
    for (struct rf_hazard_value *value = hazard->retired; value != NULL; value = value->next) {
        value->is_kept = true;
    }
}

void rf_hazard_publish(struct rf_hazard *hazard, struct rf_hazard_value *next)
{
    struct rf_hazard_value *before = rf_hazard_current(hazard);
    RF_ASSERT(next != NULL && next->free != NULL && next != before);
    next->next = NULL;
    next->is_kept = false;
    store_current(hazard, next);
    before->next = hazard->retired;
    hazard->retired = before;
    hazard->retired_count++;
    if (!hazard->is_fenced && !fence_all() && !register_fences()) {
        begin_fencing(hazard);
    }
    (void)rf_hazard_reclaim(hazard); /* what waits does so until the next time */
}

static bool is_held(const struct rf_hazard *hazard, const struct rf_hazard_value *value)
{
    for (const struct rf_hazard_line *line =
             atomic_load_explicit(&hazard->lines, memory_order_seq_cst);
         line != NULL; line = line->next) {
        if (atomic_load_explicit(&line->held, memory_order_seq_cst) == (uintptr_t)value) {
            return true;
        }
    }
    return false;
}

bool rf_hazard_reclaim(struct rf_hazard *hazard)
{
    bool is_waiting = false;
    for (struct rf_hazard_value **at = &hazard->retired; *at != NULL;) {
        struct rf_hazard_value *value = *at;
        if (value->is_kept || is_held(hazard, value)) {
            is_waiting |= !value->is_kept;
            at = &value->next;
        } else {
            *at = value->next;
            hazard->retired_count--;
            value->free(value);
        }
    }
    return is_waiting;
}

static void free_all(struct rf_hazard_value *value)
{
    struct rf_hazard_value *next = NULL;
    for (; value != NULL; value = next) {
        next = value->next;
        value->free(value);
    }
}

void rf_hazard_fini(struct rf_hazard *hazard)
{
    struct rf_hazard_line *next = NULL;
    for (struct rf_hazard_line *line = atomic_load_explicit(&hazard->lines, memory_order_acquire);
         line != NULL; line = next) {
        next = line->next;
        /* What its last section read comes before what is freed. */
        (void)atomic_load_explicit(&line->held, memory_order_acquire);
        free(line);
    }
    free_all(hazard->retired);
    free_all(rf_hazard_current(hazard));
    atomic_store_explicit(&hazard->current, 0, memory_order_relaxed);
}

/* ---- readers ---- */

struct rf_hazard_line *rf_hazard_line_take(struct rf_hazard *hazard)
{
    struct rf_hazard_line *line = atomic_load_explicit(&hazard->lines, memory_order_acquire);
    for (; line != NULL; line = line->next) {
        if (!atomic_load_explicit(&line->is_taken, memory_order_relaxed) &&
            !atomic_exchange_explicit(&line->is_taken, true, memory_order_acquire)) {
            line->process = getpid();
            return line;
        }
    }
    line = aligned_alloc(alignof(struct rf_hazard_line), sizeof(*line));
    if (line == NULL) {
        return NULL;
    }
    atomic_init(&line->held, 0);
    atomic_init(&line->is_taken, true);
    line->process = getpid();
    line->next = atomic_load_explicit(&hazard->lines, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&hazard->lines, &line->next, line,
                                                  memory_order_seq_cst, memory_order_relaxed)) {
    }
    return line;
}

void rf_hazard_line_give(struct rf_hazard_line *line)
{
    if (line->process != getpid()) { /* it may name what a thread of the parent was about */
        atomic_store_explicit(&line->held, 0, memory_order_release);
    }
    RF_ASSERT(atomic_load_explicit(&line->held, memory_order_relaxed) == 0);
    atomic_store_explicit(&line->is_taken, false, memory_order_release);
}

struct rf_hazard_value *rf_hazard_enter_fenced(struct rf_hazard *hazard,
                                               struct rf_hazard_line *line)
{
    uintptr_t seen = atomic_load_explicit(&hazard->current, memory_order_seq_cst);
    for (;;) {
        atomic_store_explicit(&line->held, (uintptr_t)value_of(seen), memory_order_seq_cst);
        const uintptr_t again = atomic_load_explicit(&hazard->current, memory_order_seq_cst);
        if (value_of(again) == value_of(seen)) {
            return value_of(seen);
        }
        seen = again;
    }
}
