/* SPDX-License-Identifier: MIT
 *
 * member.h - a member of a group: one service instance.
 */
#ifndef RF_CORE_MEMBER_H
#define RF_CORE_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

enum {
    RF_NAME_SIZE_MAX = 255,     /* bytes of an id, group or address: one length byte on the wire */
    RF_REPLICAS_MAX = 65535,    /* points of a member: a ring of 65535 members counts in 32 bits */
    RF_REPLICAS_DEFAULT = 1000, /* the tag is absent: the Go registry's default */
};

enum rf_member_state {
    RF_MEMBER_ALIVE,   /* in the ring */
    RF_MEMBER_LEAVING, /* has announced that it leaves, and still answers: in the ring */
    RF_MEMBER_LEFT,    /* left gracefully: remembered, not in the ring */
    RF_MEMBER_FAILED,  /* declared dead by gossip: remembered, not in the ring */
    /* The registry's own, by guard.h; gossip says none of them. */
    RF_MEMBER_HELD,      /* alive, and not yet in the ring: it has failed lately */
    RF_MEMBER_PROTECTED, /* failed, and still in the ring */
    /* What its tags say of a member that is alive or leaving: it has no weight any more. */
    RF_MEMBER_DRAINING, /* answers what it has been given, and is given nothing new */
};

enum { RF_MEMBER_STATES_COUNT = RF_MEMBER_DRAINING + 1 };

/* Strings are NUL-terminated, 1..RF_NAME_SIZE_MAX bytes, free of control characters. */
struct rf_member {
    const char *id;
    const char *group;
    const char *addr;  /* what clients are given, verbatim: usually HOST:PORT */
    uint32_t replicas; /* weight: number of points, 1..RF_REPLICAS_MAX; out of the ring also 0 */
    enum rf_member_state state;
};

/* "alive", "leaving", "left", "failed", "held", "protected", "draining". */
const char *rf_member_state_name(enum rf_member_state state);

/* Whether keys may be given to a member in this state. */
static inline bool rf_member_is_in_ring(enum rf_member_state state)
{
    return state == RF_MEMBER_ALIVE || state == RF_MEMBER_LEAVING || state == RF_MEMBER_PROTECTED;
}

/*
 * Makes a member of the tags that a node gossips. `group`, `addr`, `replicas` are tag values or
 * NULL where the tag is absent. An absent `replicas` is RF_REPLICAS_DEFAULT, one above
 * RF_REPLICAS_MAX is capped; *ret_capped (may be NULL) says so. Who is alive or leaving with a
 * `replicas` of 0 is RF_MEMBER_DRAINING.
 *
 * Ownership: *ret_member borrows the strings.
 * Errors:    -ENOENT no group: an ordinary gossip member that offers no service, no fault;
 *            -EINVAL an id, group or addr that is absent, empty, too long or has control
 *            characters; a replicas that is no decimal number.
 */
RF_NODISCARD int rf_member_from_tags(const char *id, const char *group, const char *addr,
                                     const char *replicas, enum rf_member_state state,
                                     struct rf_member *ret_member, bool *ret_capped,
                                     struct rf_error *err);

/* Whether `member` is as the struct says. Errors: -EINVAL names the first field that is not. */
RF_NODISCARD int rf_member_check(const struct rf_member *member, struct rf_error *err);

#endif
