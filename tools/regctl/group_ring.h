/* SPDX-License-Identifier: MIT
 *
 * group_ring.h - the ring of a group, built here from what a registry says of its members.
 */
#ifndef RF_TOOLS_REGCTL_GROUP_RING_H
#define RF_TOOLS_REGCTL_GROUP_RING_H

#include "core/ring.h"
#include "tools/regctl/regctl.h"

/* Ended by rf_regctl_ring_free. */
struct regctl_ring {
    const char *group; /* borrowed */
    enum rf_placement placement;
    char *server;                          /* who has said so */
    struct regfast_member_list *list;      /* all members */
    const struct regfast_member **by_slot; /* [members_count]: those in the ring, by id */
    struct rf_ring_member *members;        /* [members_count]: the same, for rings */
    size_t members_count;
    struct rf_ring *ring; /* slot i is members[i]; NULL: nobody is in it */
};

/* Asks the registry for its placement and the group's members, all of one registry. Returns an exit
 * code, and has printed why if it is not REGCTL_OK: then there is nothing to free. */
int rf_regctl_ring_load(struct regfast_client *client, const char *group,
                        struct regctl_ring *ret_ring);
void rf_regctl_ring_free(struct regctl_ring *ring);

/* The member of that id, in the ring or not; NULL: there is none. */
const struct regfast_member *rf_regctl_ring_find(const struct regctl_ring *ring, const char *id);

bool rf_regctl_is_in_ring(const struct regfast_member *member);

/* A position as the placement's definition writes it: 16 hexadecimal digits, or the 8 of a crc. */
enum { REGCTL_POSITION_SIZE = 17 };
void rf_regctl_format_position(enum rf_placement placement, uint64_t position,
                               char ret_text[REGCTL_POSITION_SIZE]);

/* Positions (core/ring_arcs.h) as a part of the circle: a number 0..1; a text of the exact number
 * in hexadecimal, at most 17 digits; per cent for people. */
double rf_regctl_share(unsigned __int128 positions);
json_t *rf_regctl_json_positions(unsigned __int128 positions);

#endif
