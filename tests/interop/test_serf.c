/* SPDX-License-Identifier: MIT
 *
 * Our nodes among real serf agents. The argument names the part to run: see main.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "gossip/serf.h"
#include "nodes.h"

/* Where `-encrypt` wants base64. */
static const uint8_t key[32] = "regfast interop key of 32 bytes!";
#define KEY_TEXT "cmVnZmFzdCBpbnRlcm9wIGtleSBvZiAzMiBieXRlcyE="

static struct node lan_node(const char *name, const char *seed)
{
    struct rf_gossip_config *config = node_config(name);
    static const struct rf_gossip_tag tags[] = {
        {"group", "web"}, {"addr", "10.0.0.9:90"}, {"replicas", "100"}};
    config->profile = RF_GOSSIP_LAN;
    config->seeds = &seed;
    config->seeds_count = seed == NULL ? 0 : 1;
    config->tags = tags;
    config->tags_count = 3;
    return node_start(config);
}

static struct agent agent_at(const char *name, const char *seed)
{
    char join[96];
    snprintf(join, sizeof(join), "-join=%s", seed);
    return agent_start(name, ARGUMENTS("-tag", "group=web", "-tag", "addr=10.0.0.1:80", join));
}

/* ---- joining ---- */

SCENARIO(an_agent_that_joins_our_node_is_seen_with_its_tags_and_sees_us_with_ours)
{
    struct node node = lan_node("node", NULL);
    struct agent agent = agent_at("agent", node.address);
    assert_soon(node_sees_tag(&node, "agent", "addr", "10.0.0.1:80"));
    assert_soon(agent_sees_tag(&agent, "node", "addr", "10.0.0.9:90"));
    assert_true(agent_sees(&agent, "node", "alive"));
    assert_true(agent_sees_tag(&agent, "node", "group", "web"));
    assert_true(agent_sees_tag(&agent, "node", "replicas", "100"));
    node_kill(&node);
}

SCENARIO(our_node_that_joins_one_agent_learns_of_all)
{
    struct agent first = agent_start("first", NO_ARGUMENTS);
    struct agent second = agent_at("second", first.address);
    assert_soon(agent_sees(&first, "second", "alive"));
    struct node node = lan_node("node", second.address);
    assert_soon(node_sees(&node, "first", RF_MEMBER_ALIVE));
    assert_true(node_sees(&node, "second", RF_MEMBER_ALIVE));
    assert_soon(agent_sees(&first, "node", "alive"));
    assert_soon(agent_sees_tag(&second, "node", "group", "web"));
    node_kill(&node);
}

static uint64_t push_pulls_count(const struct node *node)
{
    struct rf_serf_stats stats = {0};
    assert_int_equal(rf_gossip_get_serf_stats(node->gossip, &stats), 0);
    return stats.swim.push_pulls;
}

/* A push/pull would bring them too, soon after a join: so until one was brought without. */
SCENARIO(tags_that_change_on_either_side_reach_the_other)
{
    enum { CHANGES_MAX = 5 };
    struct node node = lan_node("node", NULL);
    struct agent agent = agent_at("agent", node.address);
    char value[32] = "";
    char change[64];
    uint64_t before;
    int i = 0;
    assert_soon(node_sees(&node, "agent", RF_MEMBER_ALIVE));
    do {
        assert_true(i < CHANGES_MAX);
        snprintf(value, sizeof(value), "10.0.0.2:%d", i++);
        snprintf(change, sizeof(change), "addr=%s", value);
        before = push_pulls_count(&node);
        free(agent_run(&agent, ARGUMENTS("tags", "-set", change)));
        assert_soon(node_sees_tag(&node, "agent", "addr", value));
    } while (push_pulls_count(&node) != before);
    free(agent_run(&agent, ARGUMENTS("tags", "-delete", "group")));
    assert_soon(node_sees_tag(&node, "agent", "group", NULL));
    const struct rf_gossip_tag tags[] = {{"group", value}};
    i = 0;
    do {
        assert_true(i < CHANGES_MAX);
        snprintf(value, sizeof(value), "db-%d", i++);
        before = push_pulls_count(&node);
        assert_int_equal(rf_gossip_set_tags(node.gossip, tags, 1, NULL), 0);
        assert_soon(agent_sees_tag(&agent, "node", "group", value));
    } while (push_pulls_count(&node) != before);
    node_kill(&node);
}

SCENARIO(agents_without_compression_are_understood)
{
    struct node node = lan_node("node", NULL);
    char join[96];
    snprintf(join, sizeof(join), "-join=%s", node.address);
    struct agent agent = agent_start("agent", ARGUMENTS("-disable-compression", join));
    assert_soon(node_sees(&node, "agent", RF_MEMBER_ALIVE));
    assert_soon(agent_sees(&agent, "node", "alive"));
    node_kill(&node);
}

SCENARIO(an_agent_bound_to_every_address_is_no_stranger)
{
    struct node node = lan_node("node", NULL);
    char join[96];
    char bind[96];
    char advertise[96];
    snprintf(join, sizeof(join), "-join=%s", node.address);
    uint16_t port = fixture_port_of_all();
    snprintf(bind, sizeof(bind), "-bind=0.0.0.0:%u", port);
    snprintf(advertise, sizeof(advertise), "-advertise=%s:%u", fixture_host(), port);
    struct agent agent = agent_start("agent", ARGUMENTS(bind, advertise, "-tag", "x=1", join));
    assert_soon(node_sees_tag(&node, "agent", "x", "1"));
    assert_soon(agent_sees(&agent, "node", "alive"));
    sleep_ms(3000); /* probes both ways */
    assert_true(node_sees(&node, "agent", RF_MEMBER_ALIVE));
    assert_true(agent_sees(&agent, "node", "alive"));
    assert_int_equal(agent_warnings_count(&agent), 0);
    assert_int_equal(log_count("node", " warn "), 0);
    node_kill(&node);
}

/* ---- leaving and failing ---- */

SCENARIO(who_leaves_on_either_side_is_left_for_the_other)
{
    struct node node = lan_node("node", NULL);
    struct agent agent = agent_at("agent", node.address);
    struct agent witness = agent_at("witness", node.address);
    assert_soon(agent_members_count(&witness, "alive") == 3);
    agent_stop_gracefully(&agent);
    assert_soon(node_sees(&node, "agent", RF_MEMBER_LEFT));
    assert_int_equal(rf_gossip_leave(node.gossip, 15000), 0);
    assert_soon(agent_sees(&witness, "node", "left"));
    node_kill(&node);
    assert_int_equal(agent_warnings_count(&witness), 0);
}

SCENARIO(who_is_killed_on_either_side_fails_for_the_other_and_may_come_back)
{
    struct node node = lan_node("node", NULL);
    struct agent agent = agent_at("agent", node.address);
    struct agent witness = agent_at("witness", node.address);
    assert_soon(agent_members_count(&witness, "alive") == 3);
    assert_soon(node_sees(&node, "agent", RF_MEMBER_ALIVE));
    agent_kill(&agent);
    assert_within_ms(failure_bound_ms(3), node_sees(&node, "agent", RF_MEMBER_FAILED));
    char join[96];
    snprintf(join, sizeof(join), "-join=%s", node.address);
    agent_restart(&agent, ARGUMENTS("-tag", "addr=10.0.0.3:80", join));
    assert_soon(node_sees(&node, "agent", RF_MEMBER_ALIVE));
    assert_true(node_sees_tag(&node, "agent", "addr", "10.0.0.3:80"));

    char address[64];
    snprintf(address, sizeof(address), "%s", node.address);
    node_kill(&node);
    assert_within_ms(failure_bound_ms(3), agent_sees(&witness, "node", "failed"));
    struct rf_gossip_config *config = node_config("node");
    const char *seed = agent.address;
    config->profile = RF_GOSSIP_LAN;
    config->bind = address;
    config->seeds = &seed;
    config->seeds_count = 1;
    node = node_start(config);
    assert_soon(agent_sees(&witness, "node", "alive"));
    node_kill(&node);
}

SCENARIO(a_failed_agent_that_an_operator_forces_out_has_left)
{
    struct node node = lan_node("node", NULL);
    struct agent agent = agent_at("agent", node.address);
    struct agent witness = agent_at("witness", node.address);
    assert_soon(node_sees(&node, "agent", RF_MEMBER_ALIVE));
    agent_kill(&agent);
    assert_within_ms(failure_bound_ms(3), agent_sees(&witness, "agent", "failed"));
    assert_soon(node_sees(&node, "agent", RF_MEMBER_FAILED));
    free(agent_run(&witness, ARGUMENTS("force-leave", "agent")));
    assert_soon(node_sees(&node, "agent", RF_MEMBER_LEFT));
    free(agent_run(&witness, ARGUMENTS("force-leave", "-prune", "agent")));
    assert_soon(node_members_count(&node) == 2);
    node_kill(&node);
}

SCENARIO(of_two_nodes_with_one_name_the_newcomer_gives_up)
{
    struct agent first = agent_start("first", NO_ARGUMENTS);
    struct agent second = agent_at("second", first.address);
    struct agent third = agent_at("third", first.address);
    assert_soon(agent_members_count(&third, "alive") == 3);
    struct rf_gossip_config *config = node_config("second"); /* the name is taken */
    const char *seed = first.address;
    config->log = fixture_log("impostor");
    config->profile = RF_GOSSIP_LAN;
    config->seeds = &seed;
    config->seeds_count = 1;
    struct node impostor = node_start(config);
    assert_eventually(node_status(&impostor).name_lost);
    assert_int_equal(log_count("impostor", "error name_lost"), 1);
    assert_true(agent_sees(&third, "second", "alive"));
    assert_true(process_is_running(second.process));
    node_kill(&impostor);
}

/* ---- events, queries, keys ---- */

SCENARIO(events_pass_and_queries_are_acknowledged)
{
    struct node node = lan_node("node", NULL);
    struct agent first = agent_at("first", node.address);
    struct agent second = agent_at("second", node.address);
    assert_soon(agent_members_count(&first, "alive") == 3);
    assert_soon(agent_members_count(&second, "alive") == 3);
    free(agent_run(&first, ARGUMENTS("event", "deploy", "v1")));
    assert_soon(log_count("second", "user-event: deploy") >= 1);
    struct rf_serf_stats stats = {0};
    assert_int_equal(rf_gossip_get_serf_stats(node.gossip, &stats), 0);
    assert_true(stats.events_received >= 1);

    char *output = agent_run(&first, ARGUMENTS("reachability", "-verbose"));
    assert_contains(output, "node");
    assert_contains(output, "Successfully contacted all live nodes");
    free(output);
    output = agent_run(&first, ARGUMENTS("query", "-timeout=2s", "uptime"));
    assert_contains(output, "Ack from 'node'");
    free(output);
    assert_int_equal(agent_warnings_count(&first) + agent_warnings_count(&second), 0);
    node_kill(&node);
}

SCENARIO(an_encrypted_cluster_of_agents_takes_us_in)
{
    struct rf_gossip_config *config = node_config("node");
    const struct rf_gossip_key keys[] = {{key, sizeof(key)}};
    config->profile = RF_GOSSIP_LAN;
    config->keys = keys;
    config->keys_count = 1;
    struct node node = node_start(config);
    char join[96];
    snprintf(join, sizeof(join), "-join=%s", node.address);
    struct agent agent = agent_start("agent", ARGUMENTS("-encrypt=" KEY_TEXT, join));
    assert_soon(node_sees(&node, "agent", RF_MEMBER_ALIVE));
    assert_soon(agent_sees(&agent, "node", "alive"));
    sleep_ms(3000); /* some probes */
    assert_true(agent_sees(&agent, "node", "alive"));
    assert_int_equal(agent_warnings_count(&agent), 0);

    /* An operator's command ends, whatever we answer to it. */
    char rpc[96];
    snprintf(rpc, sizeof(rpc), "-rpc-addr=%s", agent.rpc);
    assert_int_not_equal(run(20000, NULL, ARGUMENTS("serf", "keys", "-list", rpc)), -1);

    /* Without the key the agent is turned away, and told why. */
    char *output = NULL;
    char bind[96];
    snprintf(bind, sizeof(bind), "-bind=%s:%u", fixture_host(), fixture_port());
    snprintf(rpc, sizeof(rpc), "-rpc-addr=%s:%u", fixture_host(), fixture_port());
    int status = run(20000, &output, ARGUMENTS("serf", "agent", "-node=plain", bind, rpc, join));
    assert_int_not_equal(status, 0);
    assert_contains(output, "encrypt");
    free(output);
    node_kill(&node);
}

/* ---- a quiet minute ---- */

struct quiet_cluster {
    const struct node *nodes[2];
    const struct agent *agents[3];
};

static struct quiet_look look_at_quiet_cluster(void *context)
{
    const struct quiet_cluster *cluster = context;
    struct quiet_look look = {.is_whole = true};
    for (int i = 0; i < 3; i++) {
        look.is_whole &= agent_members_count(cluster->agents[i], "alive") == 5;
        look.complaints += agent_warnings_count(cluster->agents[i]);
    }
    for (int i = 0; i < 2; i++) {
        const struct node *node = cluster->nodes[i];
        struct rf_serf_stats stats = {0};
        assert_int_equal(rf_gossip_get_serf_stats(node->gossip, &stats), 0);
        look.is_whole &= node_status(node).alive_count == 5;
        look.complaints += log_count(node->name, " warn ") + log_count(node->name, " error ") +
                           stats.swim.probes_failed + stats.swim.suspicions;
    }
    return look;
}

SCENARIO(a_cluster_of_both_is_quiet_for_a_minute)
{
    struct node one = lan_node("one", NULL);
    struct node two = lan_node("two", one.address);
    struct agent first = agent_at("first", one.address);
    struct agent second = agent_at("second", two.address);
    struct agent third = agent_at("third", first.address);
    const struct agent *agents[] = {&first, &second, &third};
    for (int i = 0; i < 3; i++) {
        assert_eventually(agent_members_count(agents[i], "alive") == 5);
    }
    struct quiet_cluster cluster = {.nodes = {&one, &two}, .agents = {&first, &second, &third}};
    assert_quiet_minute(look_at_quiet_cluster, &cluster);
    assert_int_equal(COUNTER(&one, packets_rejected) + COUNTER(&two, packets_rejected), 0);
    assert_int_equal(COUNTER(&one, packet_parts_rejected), 0);
    struct rf_serf_stats stats = {0};
    assert_int_equal(rf_gossip_get_serf_stats(one.gossip, &stats), 0);
    assert_int_equal(stats.swim.dropped_malformed + stats.serf_dropped_malformed, 0);
    node_kill(&two);
    node_kill(&one);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest join[] = {
        scenario_test(an_agent_that_joins_our_node_is_seen_with_its_tags_and_sees_us_with_ours),
        scenario_test(our_node_that_joins_one_agent_learns_of_all),
        scenario_test(tags_that_change_on_either_side_reach_the_other),
        scenario_test(agents_without_compression_are_understood),
        scenario_test(an_agent_bound_to_every_address_is_no_stranger),
    };
    const struct CMUnitTest leave[] = {
        scenario_test(who_leaves_on_either_side_is_left_for_the_other),
        scenario_test(who_is_killed_on_either_side_fails_for_the_other_and_may_come_back),
        scenario_test(a_failed_agent_that_an_operator_forces_out_has_left),
        scenario_test(of_two_nodes_with_one_name_the_newcomer_gives_up),
    };
    const struct CMUnitTest query[] = {
        scenario_test(events_pass_and_queries_are_acknowledged),
        scenario_test(an_encrypted_cluster_of_agents_takes_us_in),
    };
    const struct CMUnitTest quiet[] = {
        scenario_test(a_cluster_of_both_is_quiet_for_a_minute),
    };
    fixture_need_serf();
    const char *part = argc > 1 ? argv[1] : "join";
    if (strcmp(part, "leave") == 0) {
        return cmocka_run_group_tests(leave, NULL, NULL);
    }
    if (strcmp(part, "query") == 0) {
        return cmocka_run_group_tests(query, NULL, NULL);
    }
    if (strcmp(part, "quiet") == 0) {
        return cmocka_run_group_tests(quiet, NULL, NULL);
    }
    return cmocka_run_group_tests(join, NULL, NULL);
}
