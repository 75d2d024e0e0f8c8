/* SPDX-License-Identifier: MIT
 *
 * hazard.h - one immutable value, seen by many readers, replaced by one writer, for readers that
 * count nanoseconds: entering and leaving a section are plain stores to a line of the reader's own.
 *
 * A reader says in its line which value it is about to use, and looks whether that is still the
 * current one; the writer frees what no line names ("Hazard Pointers: Safe Memory Reclamation for
 * Lock-Free Objects", IEEE TPDS 2004). Between the reader's store and its second look there must be
 * a full fence, the price of which is about that of a lookup, and which keeps the processor from
 * overlapping lookups. The writer, which is rare, pays instead: the system call membarrier runs
 * that fence on all of the process's processors. Where the kernel forbids or lacks it, readers
 * fence; the current pointer's lowest bit tells them. The bit above it is the value's own
 * (is_unusual), so that a reader in a hurry needs no look at the value to know that it must not be.
 *
 * publish.h is for readers that hold sections of many lookups; its sections cost a locked
 * instruction, and it needs no line to be scanned.
 */
#ifndef RF_CORE_HAZARD_H
#define RF_CORE_HAZARD_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/assert.h"
#include "core/error.h"

enum {
    RF_HAZARD_FENCED = 1,
    RF_HAZARD_UNUSUAL = 2,
    RF_HAZARD_TAGS = RF_HAZARD_FENCED | RF_HAZARD_UNUSUAL,
};

/* Embedded as the first member of what is published. Nothing can fail after the swap: this is all
 * that retiring needs. The owner of the value fills `free`. */
struct rf_hazard_value {
    void (*free)(struct rf_hazard_value *value); /* called by the writer */
    struct rf_hazard_value *next;                /* private: retired ones */
    bool is_kept;                                /* private: see rf_hazard_publish */
    bool is_unusual; /* rf_hazard_try_enter passes it by; set before it is published */
};

/* A reader's line: what it uses now. Lines are never given back before rf_hazard_fini, but used
 * again by the next reader. */
struct rf_hazard_line {
    alignas(64) _Atomic(uintptr_t) held; /* 0: not in a section */
    struct rf_hazard_line *next;
    atomic_bool is_taken;
    pid_t process; /* that has taken it */
};

static_assert(alignof(struct rf_hazard_value) > RF_HAZARD_TAGS, "tags are where addresses are 0");
static_assert(sizeof(struct rf_hazard_line) == 64, "a cache line of its own");

/* Caller's storage; its address must not change. One thread at a time writes. The first line is
 * what readers load in every section; it changes only with a publication. */
struct rf_hazard {
    alignas(64) _Atomic(uintptr_t) current; /* with tags */
    alignas(64) _Atomic(struct rf_hazard_line *) lines;
    struct rf_hazard_value *retired; /* not freed yet */
    size_t retired_count;
    bool is_fenced; /* membarrier is not there: readers fence */
};

/* Starts with `first` published (taken, not NULL). Tries membarrier. */
void rf_hazard_init(struct rf_hazard *hazard, struct rf_hazard_value *first);

/* For tests and benches, before any reader: as if membarrier were not there. */
void rf_hazard_force_fences(struct rf_hazard *hazard);

/*
 * Publishes `next` (taken), and frees the value before it and others retired before, as far as no
 * reader is in a section with them: at most one for each reader waits.
 *
 * If membarrier, which was there, is not any more (a process may forbid it to itself), readers
 * fence from now on. Values that were seen by readers that did not are then kept to the end: one,
 * and those that were waiting.
 */
void rf_hazard_publish(struct rf_hazard *hazard, struct rf_hazard_value *next);

/* Frees what waited for readers and does not have to any more. Returns whether some still wait.
 * Never blocks, no system call. */
bool rf_hazard_reclaim(struct rf_hazard *hazard);

/* The current value, for the writer. */
struct rf_hazard_value *rf_hazard_current(const struct rf_hazard *hazard);

/* Frees everything. No reader is in a section, and nothing is called for readers any more. (Lines
 * are not asked: in a child of fork they name what the parent's threads were about.) */
void rf_hazard_fini(struct rf_hazard *hazard);

/* A line for a reader, or NULL: no memory. Threads: any, at any time. */
struct rf_hazard_line *rf_hazard_line_take(struct rf_hazard *hazard);

/* Not in a section, but for one that a thread of the parent process was in at the fork. */
void rf_hazard_line_give(struct rf_hazard_line *line);

/* The loop of rf_hazard_enter with fences. */
struct rf_hazard_value *rf_hazard_enter_fenced(struct rf_hazard *hazard,
                                               struct rf_hazard_line *line);

/*
 * Opens a section and returns the current value, valid until rf_hazard_leave. Sections of a line do
 * not nest, and open and close in one function.
 * Threads: the line's own. No lock, system call or allocation; lock-free, as it looks again only if
 *          something was published in between.
 */
static inline struct rf_hazard_value *rf_hazard_enter(struct rf_hazard *hazard,
                                                      struct rf_hazard_line *line)
{
    uintptr_t seen = atomic_load_explicit(&hazard->current, memory_order_acquire);
    for (;;) {
        if (RF_UNLIKELY((seen & RF_HAZARD_FENCED) != 0)) {
            return rf_hazard_enter_fenced(hazard, line);
        }
        const uintptr_t value = seen & ~(uintptr_t)RF_HAZARD_TAGS;
        atomic_store_explicit(&line->held, value, memory_order_relaxed);
        /* The compiler keeps the order, membarrier makes the processor have kept it. */
        atomic_signal_fence(memory_order_seq_cst);
        const uintptr_t again = atomic_load_explicit(&hazard->current, memory_order_acquire);
        if (RF_LIKELY(again == seen)) {
            return (struct rf_hazard_value *)value;
        }
        seen = again;
    }
}

/* The same, but false, and the caller must leave, if readers have to fence, the value is unusual,
 * or something was published just now: for who has another way, so that there is no loop and no
 * call. */
static inline bool rf_hazard_try_enter(struct rf_hazard *hazard, struct rf_hazard_line *line,
                                       struct rf_hazard_value **ret_value)
{
    const uintptr_t seen = atomic_load_explicit(&hazard->current, memory_order_acquire);
    atomic_store_explicit(&line->held, seen, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* as above */
    const uintptr_t again = atomic_load_explicit(&hazard->current, memory_order_acquire);
    *ret_value = (struct rf_hazard_value *)seen;
    return RF_LIKELY((seen & RF_HAZARD_TAGS) == 0) && RF_LIKELY(again == seen);
}

/* In a section: its value. */
static inline struct rf_hazard_value *rf_hazard_held(const struct rf_hazard_line *line)
{
    return (struct rf_hazard_value *)atomic_load_explicit(&line->held, memory_order_relaxed);
}

static inline void rf_hazard_leave(struct rf_hazard_line *line)
{
    atomic_store_explicit(&line->held, 0, memory_order_release);
}

#endif
