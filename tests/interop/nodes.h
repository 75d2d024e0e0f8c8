/* SPDX-License-Identifier: MIT
 *
 * nodes.h - our own gossip nodes in the test's process, for scenarios that read as prose.
 */
#ifndef RF_TESTS_INTEROP_NODES_H
#define RF_TESTS_INTEROP_NODES_H

#include <stdbool.h>
#include <stddef.h>

#include "gossip/gossip.h"

struct node {
    struct rf_gossip *gossip;
    char name[64];
    char address[64]; /* HOST:PORT of its sockets */
};

/* A configuration for NAME on this test's host with any port, profile local, logging to NAME.log.
 * Lifetime: static, the next 8 calls'. */
struct rf_gossip_config *node_config(const char *name);

/* Starts it, which must succeed. */
struct node node_start(const struct rf_gossip_config *config);

/* Starts NAME, which joins `seed` (NULL: nobody). */
struct node node_start_at(const char *name, const char *seed);

/* Ends it without a word, as if killed. */
void node_kill(struct node *node);
/* Leaves, then ends. */
void node_leave(struct node *node);

/* Whether `node` has NAME in that state. */
bool node_sees(const struct node *node, const char *name, enum rf_member_state state);
/* ... with the tag at that value; NULL: without the tag. */
bool node_sees_tag(const struct node *node, const char *name, const char *tag, const char *value);
size_t node_members_count(const struct node *node);
struct rf_gossip_status node_status(const struct node *node);

#define COUNTER(node, counter) rf_counter_get(&rf_gossip_counters((node)->gossip)->counter)

#endif
