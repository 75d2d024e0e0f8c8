/* SPDX-License-Identifier: MIT
 *
 * member_list.h - makes the member lists and events of gossip.h from the machine's members.
 *
 * Each is one allocation, so that it is freed as one, on whatever thread.
 */
#ifndef RF_GOSSIP_MEMBER_LIST_H
#define RF_GOSSIP_MEMBER_LIST_H

#include "gossip/gossip.h"
#include "gossip/serf.h"

/* Serf's status as others know it. */
enum rf_member_state rf_member_state_of(enum rf_serf_status status);

/* All members. NULL: no memory. */
struct rf_gossip_members *rf_member_list_new(const struct rf_serf *serf);

/* An event about one member. NULL: no memory. */
struct rf_gossip_event *rf_member_event_new(enum rf_gossip_event_kind kind,
                                            const struct rf_serf_member_view *member);

/* RF_GOSSIP_EVENT_RESYNC with all members. NULL: no memory. */
struct rf_gossip_event *rf_member_event_resync_new(const struct rf_serf *serf);

/* RF_GOSSIP_EVENT_NAME_LOST. NULL: no memory. */
struct rf_gossip_event *rf_member_event_name_lost_new(void);

#endif
