/* SPDX-License-Identifier: MIT
 *
 * fake_gossip.h - gossip/gossip.h's events from a test instead of a network: linked in place of the
 * driver.
 */
#ifndef RF_TESTS_PROGRAMS_FAKE_GOSSIP_H
#define RF_TESTS_PROGRAMS_FAKE_GOSSIP_H

#include "gossip/gossip.h"

struct rf_gossip *fake_gossip_new(void);
void fake_gossip_free(struct rf_gossip *gossip);

/* Queues an event about member `number`: id "m<number>", group "web", addr "h<number>:80". */
void fake_gossip_push(struct rf_gossip *gossip, enum rf_gossip_event_kind kind, unsigned number,
                      enum rf_member_state state);

/* Queues the whole list: members 0..count-1, all alive. */
void fake_gossip_push_resync(struct rf_gossip *gossip, unsigned count);

/* How often the list was asked for, which is not to be had. */
unsigned fake_gossip_lists_asked(struct rf_gossip *gossip);

#endif
