/* SPDX-License-Identifier: MIT
 *
 * guard.h - which of gossip's members are in rings: a pure machine between gossip and the roster.
 *
 * Gossip says who is alive and who has failed. Rings follow it, except that
 *
 * - a member that fails again and again does not move its keys each time (flap hold). One that
 * comes back from a failure is *held* out of its ring until it has been alive for a tenth of the
 * hold time, and nobody changes a ring more than twice within a hold time for that: who would leave
 * it a third time stays until the time is over, *protected*; who would enter it stays held.
 * - when more than a given part of a group fails within one minute, that is more likely our network
 *   than theirs: those members stay in the ring, or are put back, *protected*, and so are those
 * that fail while there are any. This ends for each when it is alive again, has left (an operator
 * can say so), is forgotten, or after RF_GUARD_PROTECTED_MAX_NS.
 *
 * A graceful leave always counts at once, and so does the return from one; draining is the same. A
 * group that would have nobody alive in its ring takes its held members: there are no keys to move
 * from anybody who answers.
 * core/CATALOG.md says more.
 *
 * Inputs come with the time, a monotonic clock in ns that never goes back. After each input (put,
 * forget, sweep, tick) call rf_guard_next until it returns false: those are the members whose place
 * has changed beside the one that was put. Equal inputs give equal outputs.
 *
 * Memory: one block for each member, as many as the caller puts; members are forgotten by
 *         rf_guard_forget or rf_guard_sweep.
 * Threads: none; one caller at a time.
 */
#ifndef RF_CORE_GUARD_H
#define RF_CORE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/member.h"

#define RF_GUARD_FLAP_HOLD_NS UINT64_C(600000000000)      /* default */
#define RF_GUARD_PROTECT_WINDOW_NS UINT64_C(60000000000)  /* failures that count together */
#define RF_GUARD_PROTECTED_MAX_NS UINT64_C(3600000000000) /* longer than cuts that heal */

enum {
    RF_GUARD_SETTLE_PART = 10, /* of the hold time: alive for so long after a failure */
    RF_GUARD_RATIO_WHOLE = 1000000,
    RF_GUARD_PROTECT_RATIO = RF_GUARD_RATIO_WHOLE / 2, /* default */
    RF_GUARD_PROTECT_MIN = 8,                          /* default */
};

struct rf_guard_config {
    uint64_t flap_hold_ns;  /* 0: rings follow each failure and return at once */
    uint32_t protect_ratio; /* in millionths; more than this part must fail; 0: never protect */
    uint32_t protect_min;   /* members alive before: smaller groups are never protected */
};

struct rf_guard_stats {
    uint64_t members_held;      /* now */
    uint64_t members_protected; /* now */
    uint64_t groups_protected;  /* now: groups that lost too many at once */
    uint64_t returns_held;      /* returns that did not enter a ring at once */
    uint64_t failures_kept;     /* failures that did not leave a ring: any reason */
    uint64_t protections;       /* times that a group became protected */
};

/*
 * "0.5", "1", ".25": a protect_ratio, with six digits after the point at most.
 * Errors: -EINVAL, the text says what would be right.
 */
RF_NODISCARD int rf_guard_ratio_parse(const char *text, uint32_t *ret_millionths,
                                      struct rf_error *err);

struct rf_guard; /* private to guard.c */

/* Ownership: the caller ends *ret_guard with rf_guard_free. Errors: -ENOMEM. */
RF_NODISCARD int rf_guard_new(const struct rf_guard_config *config, struct rf_guard **ret_guard,
                              struct rf_error *err);
void rf_guard_free(struct rf_guard *guard); /* NULL is allowed */

/*
 * What gossip says of a member: `id` and `group` as rf_member_check wants them, `state` as
 * rf_member_from_tags gives it. Gives the state for the roster, which is `state`, RF_MEMBER_HELD or
 * RF_MEMBER_PROTECTED. A member that changes its group begins anew.
 * Errors: -ENOMEM: nothing has changed; use `state` as it is, or put it again later.
 */
RF_NODISCARD int rf_guard_put(struct rf_guard *guard, uint64_t now_ns, const char *id,
                              const char *group, enum rf_member_state state,
                              enum rf_member_state *ret_state);

/* The member is gone, or offers no service any more. Unknown ones are ignored. */
void rf_guard_forget(struct rf_guard *guard, uint64_t now_ns, const char *id);

/* As rf_roster_mark and rf_roster_sweep: forgets those that were not put in between. */
void rf_guard_mark(struct rf_guard *guard);
void rf_guard_sweep(struct rf_guard *guard, uint64_t now_ns);

void rf_guard_tick(struct rf_guard *guard, uint64_t now_ns);
uint64_t rf_guard_deadline_ns(const struct rf_guard *guard); /* tick then; UINT64_MAX: never */

/* A member whose state for the roster is another one now. Lifetime of *ret_id: the next input's. */
bool rf_guard_next(struct rf_guard *guard, const char **ret_id, enum rf_member_state *ret_state);

void rf_guard_get_stats(const struct rf_guard *guard, struct rf_guard_stats *ret_stats);

/* Asserts every invariant. O(members): for tests and debug builds. */
void rf_guard_check(const struct rf_guard *guard);

#endif
