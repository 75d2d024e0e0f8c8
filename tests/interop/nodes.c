/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nodes.h"

#include <stdio.h>
#include <string.h>

#include "fixture.h"

enum { RUNNING_MAX = 128 };

struct rf_gossip_config *node_config(const char *name)
{
    static struct rf_gossip_config configs[8];
    static char names[8][64];
    static char binds[8][64];
    static int next;
    int i = next++ % 8;
    snprintf(names[i], sizeof(names[i]), "%s", name);
    snprintf(binds[i], sizeof(binds[i]), "%s:0", fixture_host());
    configs[i] = (struct rf_gossip_config){
        .name = names[i],
        .bind = binds[i],
        .profile = RF_GOSSIP_LOCAL,
        .log = fixture_log(name),
    };
    return &configs[i];
}

/* Those that a scenario which failed has left behind: their threads would go on in the next. */
static struct rf_gossip *running[RUNNING_MAX];

static void end_all(void)
{
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        rf_gossip_free(running[i]);
        running[i] = NULL;
    }
}

static void replace(const struct rf_gossip *before, struct rf_gossip *after)
{
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        if (running[i] == before) {
            running[i] = after;
            return;
        }
    }
    fail_msg("more than %d nodes at once", RUNNING_MAX);
}

struct node node_start(const struct rf_gossip_config *config)
{
    fixture_at_end(end_all);
    struct node node = {0};
    struct rf_error err = {0};
    snprintf(node.name, sizeof(node.name), "%s", config->name);
    if (rf_gossip_start(config, &node.gossip, &err) < 0) {
        fail_msg("node %s: %s", config->name, err.text);
    }
    replace(NULL, node.gossip);
    char text[RF_ADDRESS_TEXT_SIZE];
    snprintf(node.address, sizeof(node.address), "%s",
             rf_address_format(rf_gossip_bound(node.gossip), text));
    return node;
}

struct node node_start_at(const char *name, const char *seed)
{
    struct rf_gossip_config *config = node_config(name);
    config->seeds = &seed;
    config->seeds_count = seed == NULL ? 0 : 1;
    struct node node = node_start(config);
    config->seeds = NULL;
    config->seeds_count = 0;
    return node;
}

void node_kill(struct node *node)
{
    if (node->gossip != NULL) {
        replace(node->gossip, NULL);
    }
    rf_gossip_free(node->gossip);
    node->gossip = NULL;
}

void node_leave(struct node *node)
{
    assert_int_equal(rf_gossip_leave(node->gossip, 15000), 0);
    node_kill(node);
}

static bool sees(const struct node *node, const char *name, bool any_state,
                 enum rf_member_state state, const char *tag, const char *value)
{
    struct rf_gossip_members *members = NULL;
    assert_int_equal(rf_gossip_members(node->gossip, &members), 0);
    bool is_seen = false;
    for (size_t i = 0; i < members->count; i++) {
        const struct rf_gossip_member *member = &members->items[i];
        if (strcmp(member->name, name) != 0) {
            continue;
        }
        is_seen = any_state || member->state == state;
        if (tag != NULL) {
            const char *found = rf_gossip_member_tag(member, tag);
            is_seen = is_seen &&
                      (found == NULL || value == NULL ? found == value : strcmp(found, value) == 0);
        }
    }
    rf_gossip_members_free(members);
    return is_seen;
}

bool node_sees(const struct node *node, const char *name, enum rf_member_state state)
{
    return sees(node, name, false, state, NULL, NULL);
}

bool node_sees_tag(const struct node *node, const char *name, const char *tag, const char *value)
{
    return sees(node, name, true, RF_MEMBER_ALIVE, tag, value);
}

size_t node_members_count(const struct node *node)
{
    return node_status(node).members_count;
}

struct rf_gossip_status node_status(const struct node *node)
{
    struct rf_gossip_status status;
    assert_int_equal(rf_gossip_get_status(node->gossip, &status), 0);
    return status;
}
