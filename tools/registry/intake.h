/* SPDX-License-Identifier: MIT
 *
 * intake.h - from what gossip says about members to the roster of the next catalog.
 *
 * Whatever a node gossips, only its own place in the roster depends on it: a member whose tags make
 * no sense is left out (also if it was in before, so that the catalog depends on what is gossiped
 * now and not on history), counted, and logged once for each reason. A member without a `group` is
 * an ordinary node of the cluster that offers no service.
 */
#ifndef RF_TOOLS_REGISTRY_INTAKE_H
#define RF_TOOLS_REGISTRY_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/catalog.h"
#include "core/counters.h"
#include "core/guard.h"
#include "core/log.h"
#include "gossip/gossip.h"

enum {
    /* Remembered (member, reason) pairs that have been logged: 32 KiB. Where two fall on the same
     * place the later one wins, so at worst a line is logged again. */
    RF_INTAKE_TOLD_COUNT = 4096,
    /* Lines a minute: reasons hold what others write, so they could be new every time. What is left
     * out is told the next time that its member is announced. */
    RF_INTAKE_LINES_MAX = 60,
};

/* X(kind, name, unit, meaning) */
#define RF_INTAKE_COUNTERS(X)                                                                      \
    X(TOTAL, members_refused, "announcements",                                                     \
      "announcements of members whose tags make no sense, or for whom a limit left no room")       \
    X(TOTAL, members_capped, "announcements", "announcements of more replicas than are allowed")   \
    X(GAUGE, members_held, "members", "members alive, but not yet back in their ring (flap-hold)") \
    X(GAUGE, members_protected, "members", "members failed, but kept in their ring")               \
    X(GAUGE, groups_protected, "groups", "groups that lost too many at once (protect)")            \
    X(TOTAL, returns_held, "returns", "returns that did not enter a ring at once")                 \
    X(TOTAL, failures_kept, "failures", "failures that did not leave a ring at once")              \
    X(TOTAL, protections, "times", "times that a group lost too many at once")

RF_COUNTERS_STRUCT(rf_intake_counters, RF_INTAKE_COUNTERS);

enum { RF_INTAKE_COUNTERS_COUNT = RF_COUNTERS_COUNT(RF_INTAKE_COUNTERS) };

extern const struct rf_counter_info rf_intake_counters_info[RF_INTAKE_COUNTERS_COUNT];

/* Caller's storage, cache-line aligned, zeroed but for the first three. Threads: the publisher's;
 * the counters may be read by any. */
struct rf_intake {
    struct rf_roster *roster; /* borrowed */
    struct rf_guard *guard;   /* borrowed; NULL: rings follow gossip at once */
    struct rf_log log;
    struct rf_intake_counters counters;
    uint64_t told[RF_INTAKE_TOLD_COUNT];
    uint64_t minute;      /* of the monotonic clock */
    uint32_t lines_count; /* in it */
    bool has_no_room;     /* since the last list somebody was refused for a limit */
    bool wants_list;      /* since then something has changed: there may be room now */
};

/*
 * Brings the roster up to what the event says; nothing is committed. `now_ns` is of a monotonic
 * clock.
 *
 * Returns false if memory was short: the roster may lack a change, and an event of kind
 * RF_GOSSIP_EVENT_RESYNC with the whole list, applied later, mends it. So it does if `wants_list`
 * is set: members that there was no room for are not announced again when there is.
 */
bool rf_intake_apply(struct rf_intake *intake, uint64_t now_ns, enum rf_gossip_event_kind kind,
                     const struct rf_gossip_members *members);

/* Time has passed: members may enter their rings, or leave them. Returns whether any did. */
bool rf_intake_tick(struct rf_intake *intake, uint64_t now_ns);

/* Tick then; UINT64_MAX: never. */
uint64_t rf_intake_deadline_ns(const struct rf_intake *intake);

#endif
