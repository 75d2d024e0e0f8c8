/* SPDX-License-Identifier: MIT
 *
 * What operators do to a cluster of our nodes and of serf agents: members that failed are
 * forgotten, round-trip times told, names contested. Arguments: the programs registry and regctl.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "gossip/serf.h"
#include "nodes.h"

/* Some probes, 4 to 24 s of suspicion, and its spreading; the rest for a busy machine. */
enum { FAILURE_MS = 90000 };

static const char *registry_program;
static const char *regctl_program;

static struct agent agent_at(const char *name, const char *seed)
{
    char join[96];
    snprintf(join, sizeof(join), "-join=%s", seed);
    return agent_start(name, ARGUMENTS(join));
}

/* LAN on both sides: each message is sent four times, which in clusters of three misses nobody. */
static struct node node_at(const char *name, const char *seed)
{
    struct rf_gossip_config *config = node_config(name);
    config->profile = RF_GOSSIP_LAN;
    config->seeds = &seed;
    config->seeds_count = seed == NULL ? 0 : 1;
    return node_start(config);
}

/* ---- forgetting ---- */

static enum rf_member_state forget(const struct node *node, const char *name)
{
    struct rf_gossip_forgotten forgotten = {0};
    struct rf_error err = {0};
    if (rf_gossip_forget(node->gossip, name, false, &forgotten, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_true(forgotten.is_known);
    return forgotten.state;
}

static void forget_and_prune(const struct node *node, const char *name)
{
    struct rf_gossip_forgotten forgotten = {.is_known = true};
    struct rf_error err = {0};
    if (rf_gossip_forget(node->gossip, name, true, &forgotten, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_false(forgotten.is_known);
}

SCENARIO(an_agent_that_failed_and_is_forgotten_here_has_left_everywhere)
{
    struct node node = node_at("node", NULL);
    struct agent witness = agent_at("witness", node.address);
    struct agent agent = agent_at("agent", node.address);
    assert_soon(agent_sees(&witness, "agent", "alive"));
    agent_kill(&agent);
    assert_within_ms(FAILURE_MS, agent_sees(&witness, "agent", "failed"));
    assert_soon(node_sees(&node, "agent", RF_MEMBER_FAILED));
    assert_int_equal(forget(&node, "agent"), RF_MEMBER_LEFT);
    assert_soon(agent_sees(&witness, "agent", "left"));

    /* Each push/pull makes its time older for the agent, and none of ours follows. */
    for (int i = 0; i < 5; i++) {
        free(agent_run(&witness, ARGUMENTS("join", node.address)));
    }
    forget_and_prune(&node, "agent");
    assert_soon(!agent_sees(&witness, "agent", NULL));
    free(agent_run(&witness, ARGUMENTS("join", node.address)));
    sleep_ms(1000);
    assert_false(agent_sees(&witness, "agent", NULL)); /* nobody brings it back */
    assert_int_equal(node_members_count(&node), 2);
    node_kill(&node);
}

SCENARIO(a_failed_agent_that_is_pruned_here_is_gone_everywhere_in_one_step)
{
    struct node node = node_at("node", NULL);
    struct agent witness = agent_at("witness", node.address);
    struct agent agent = agent_at("agent", node.address);
    assert_soon(agent_sees(&witness, "agent", "alive"));
    agent_kill(&agent);
    assert_within_ms(FAILURE_MS, agent_sees(&witness, "agent", "failed"));
    assert_soon(node_sees(&node, "agent", RF_MEMBER_FAILED));
    forget_and_prune(&node, "agent");
    assert_soon(!agent_sees(&witness, "agent", NULL));
    agent_restart(&agent, ARGUMENTS("-join", witness.address));
    assert_soon(agent_sees(&witness, "agent", "alive")); /* and may come back */
    assert_soon(node_sees(&node, "agent", RF_MEMBER_ALIVE));
    node_kill(&node);
}

SCENARIO(our_node_that_failed_is_forced_out_and_pruned_by_an_agent)
{
    struct node node = node_at("node", NULL);
    struct node gone = node_at("gone", node.address);
    struct agent agent = agent_at("agent", node.address);
    assert_soon(agent_sees(&agent, "gone", "alive"));
    node_kill(&gone);
    assert_within_ms(FAILURE_MS, agent_sees(&agent, "gone", "failed"));
    assert_soon(node_sees(&node, "gone", RF_MEMBER_FAILED));
    free(agent_run(&agent, ARGUMENTS("force-leave", "gone")));
    assert_soon(node_sees(&node, "gone", RF_MEMBER_LEFT));
    free(agent_run(&agent, ARGUMENTS("force-leave", "-prune", "gone")));
    assert_soon(node_members_count(&node) == 2);
    node_kill(&node);
}

SCENARIO(who_lives_refutes_that_it_has_left)
{
    struct node node = node_at("node", NULL);
    struct agent agent = agent_at("agent", node.address);
    struct agent witness = agent_at("witness", node.address);
    assert_soon(agent_sees(&witness, "agent", "alive"));
    assert_int_equal(forget(&node, "agent"), RF_MEMBER_ALIVE);
    assert_soon(agent_sees(&witness, "agent", "alive"));

    free(agent_run(&agent, ARGUMENTS("force-leave", "node")));
    assert_soon(agent_sees(&agent, "node", "alive"));
    assert_soon(agent_sees(&witness, "node", "alive"));
    struct rf_serf_stats stats;
    assert_int_equal(rf_gossip_get_serf_stats(node.gossip, &stats), 0);
    assert_int_equal(stats.refuted_leaves, 1);
    node_kill(&node);
}

SCENARIO(what_cannot_be_forgotten_is_said)
{
    struct node node = node_at("node", NULL);
    struct agent agent = agent_at("agent", node.address);
    assert_soon(node_sees(&node, "agent", RF_MEMBER_ALIVE));
    struct rf_gossip_forgotten forgotten;
    struct rf_error err = {0};
    assert_int_equal(rf_gossip_forget(node.gossip, "nobody", false, &forgotten, &err),
                     RF_ENOTFOUND);
    assert_string_equal(err.text, "no member 'nobody'");
    assert_int_equal(rf_gossip_forget(node.gossip, "node", false, &forgotten, &err), -EINVAL);
    assert_int_equal(rf_gossip_forget(node.gossip, "agent", true, &forgotten, &err), -EINVAL);
    assert_int_equal(rf_gossip_forget(node.gossip, "", true, &forgotten, &err), RF_ENOTFOUND);
    assert_true(agent_sees(&agent, "agent", "alive"));
    /* And what an agent says of a name that nobody has changes nothing. */
    free(agent_run(&agent, ARGUMENTS("force-leave", "nobody")));
    sleep_ms(1000);
    assert_int_equal(node_members_count(&node), 2);
    assert_int_equal(rf_gossip_leave(node.gossip, 15000), 0);
    assert_int_equal(rf_gossip_forget(node.gossip, "agent", false, &forgotten, &err), -ESHUTDOWN);
    node_kill(&node);
}

/* ---- round-trip times ---- */

static bool agent_tells_rtt(const struct agent *agent, const char *a, const char *b)
{
    char rpc[96];
    char *output = NULL;
    snprintf(rpc, sizeof(rpc), "-rpc-addr=%s", agent->rpc);
    int status = run(10000, &output, ARGUMENTS("serf", "rtt", rpc, a, b));
    double ms = -1;
    const char *number = status == 0 ? strstr(output, "rtt: ") : NULL;
    bool is_told = number != NULL && sscanf(number, "rtt: %lf ms", &ms) == 1;
    if (is_told && !(ms > 0 && ms < 1000)) {
        fail_msg("%s", output);
    }
    free(output);
    return is_told;
}

static bool node_tells_rtt(const struct node *node, const char *a, const char *b)
{
    uint64_t rtt_ns = 0;
    if (rf_gossip_rtt(node->gossip, a, b, &rtt_ns, NULL) < 0) {
        return false;
    }
    assert_in_range(rtt_ns, 1, 1000000000);
    return true;
}

SCENARIO(agents_tell_round_trips_to_our_node_and_it_tells_theirs)
{
    struct node node = node_at("node", NULL);
    struct agent one = agent_at("one", node.address);
    struct agent two = agent_at("two", node.address);
    assert_eventually(agent_tells_rtt(&one, "one", "node"));
    assert_eventually(agent_tells_rtt(&one, "two", "node"));
    assert_eventually(agent_tells_rtt(&two, "node", "two"));
    assert_eventually(node_tells_rtt(&node, "one", NULL));
    assert_eventually(node_tells_rtt(&node, "two", "one"));
    assert_true(node_tells_rtt(&node, "node", "one"));
    struct rf_error err = {0};
    uint64_t rtt_ns;
    assert_int_equal(rf_gossip_rtt(node.gossip, "one", "nobody", &rtt_ns, &err), RF_ENOTFOUND);
    assert_string_equal(err.text, "no member 'nobody'");
    struct rf_serf_stats stats;
    assert_int_equal(rf_gossip_get_serf_stats(node.gossip, &stats), 0);
    assert_true(stats.coordinate_updates > 0);
    assert_int_equal(stats.coordinates_refused + stats.coordinate_resets, 0);
    assert_int_equal(agent_warnings_count(&one) + agent_warnings_count(&two), 0);
    node_kill(&node);
}

/* ---- names ---- */

SCENARIO(an_agent_that_takes_our_nodes_name_gives_up)
{
    struct node node = node_at("node", NULL);
    struct node owner = node_at("owner", node.address);
    struct agent agent = agent_at("agent", node.address);
    assert_soon(agent_sees(&agent, "owner", "alive"));
    char join[96];
    snprintf(join, sizeof(join), "-join=%s", node.address);
    char bind[96];
    char rpc[96];
    snprintf(bind, sizeof(bind), "-bind=%s:%u", fixture_host(), fixture_port());
    snprintf(rpc, sizeof(rpc), "-rpc-addr=%s:%u", fixture_host(), fixture_port());
    struct process *impostor =
        process_start("impostor", ARGUMENTS("serf", "agent", "-node=owner", bind, rpc, join));
    assert_eventually(log_count("impostor", "minority in name conflict resolution") > 0);
    assert_false(node_status(&owner).name_lost);
    assert_true(agent_sees(&agent, "owner", "alive"));
    assert_true(node_sees(&node, "owner", RF_MEMBER_ALIVE));
    process_kill(impostor);
    node_kill(&owner);
    node_kill(&node);
}

SCENARIO(of_two_nodes_of_ours_with_one_name_the_newcomer_gives_up)
{
    struct node node = node_at("node", NULL);
    struct node owner = node_at("owner", node.address);
    struct agent agent = agent_at("agent", node.address);
    assert_soon(agent_sees(&agent, "owner", "alive"));
    struct node impostor = node_at("owner", agent.address);
    assert_eventually(node_status(&impostor).name_lost);
    assert_false(node_status(&owner).name_lost);
    assert_true(agent_sees(&agent, "owner", "alive"));
    assert_true(node_sees(&node, "owner", RF_MEMBER_ALIVE));
    node_kill(&impostor);
    node_kill(&owner);
    node_kill(&node);
}

/* ---- relays ---- */

static struct rf_serf_stats stats_of(const struct node *node)
{
    struct rf_serf_stats stats = {0};
    assert_int_equal(rf_gossip_get_serf_stats(node->gossip, &stats), 0);
    return stats;
}

SCENARIO(answers_are_relayed_by_agents_through_us_and_by_us_through_agents)
{
    struct node node = node_at("node", NULL);
    struct node other = node_at("other", node.address);
    struct agent one = agent_at("one", node.address);
    struct agent two = agent_at("two", node.address);
    assert_soon(agent_members_count(&one, "alive") == 4);
    assert_soon(agent_members_count(&two, "alive") == 4);
    assert_soon(node_members_count(&other) == 4);
    /* Of four members each answers straight and through the three others, whoever asks among them:
     * three relays a query for each of us. They are drawn in 12 draws of four, which leaves one out
     * in 3 % of cases, so it takes a few queries to be sure of most of them. */
    char *output;
    for (int i = 0; i < 3; i++) {
        output = agent_run(&one, ARGUMENTS("query", "-relay-factor=3", "whatever", "payload"));
        assert_contains(output, "Total Acks: 4");
        free(output);
    }
    assert_soon(stats_of(&node).relays_received >= 5);
    assert_soon(stats_of(&other).relays_received >= 5);
    output = agent_run(&two, ARGUMENTS("query", "-relay-factor=4", "whatever", "payload"));
    assert_contains(output, "Total Acks: 4"); /* relayed by nobody: it takes five members */
    free(output);
    assert_int_equal(stats_of(&node).serf_dropped_malformed, 0);
    assert_int_equal(stats_of(&other).serf_dropped_malformed, 0);
    assert_int_equal(agent_warnings_count(&one) + agent_warnings_count(&two), 0);
    node_kill(&other);
    node_kill(&node);
}

/* ---- the programs ---- */

static void assert_regctl(const char *admin, int status, const char *text,
                          const char *const *arguments)
{
    const char *all[FIXTURE_ARGUMENTS_MAX] = {regctl_program, "-admin", admin};
    size_t count = 3;
    for (; *arguments != NULL; arguments++) {
        all[count++] = *arguments;
    }
    char *output = NULL;
    int got = run(30000, &output, all);
    if (got != status) {
        fail_msg("regctl %s: exit status %d, wanted %d: %s", all[3], got, status, output);
    }
    assert_contains(output, text);
    free(output);
}

SCENARIO(regctl_forgets_and_tells_round_trips_through_the_admin_socket)
{
    char admin[FIXTURE_TEXT_SIZE];
    char bind[64];
    char addr[64];
    snprintf(admin, sizeof(admin), "%s", fixture_path("admin.sock"));
    snprintf(bind, sizeof(bind), "%s:%u", fixture_host(), fixture_port());
    snprintf(addr, sizeof(addr), "%s:0", fixture_host());
    assert_regctl(admin, 4, "no registry serves it", ARGUMENTS("rtt", "agent"));
    struct process *registry =
        process_start("registry", ARGUMENTS(registry_program, "-id", "registry", "-bind", bind,
                                            "-addr", addr, "-workers", "1", "-admin", admin));
    assert_soon(log_count("registry", " started ") == 1);
    struct agent agent = agent_at("agent", bind);
    struct agent witness = agent_at("witness", bind);
    assert_soon(agent_sees(&agent, "witness", "alive"));
    assert_regctl(admin, 1, "member 'agent' is alive and has refuted",
                  ARGUMENTS("forget", "agent"));
    assert_regctl(admin, 2, "member 'agent' is alive", ARGUMENTS("forget", "--prune", "agent"));
    assert_regctl(admin, 3, "no member 'nobody'", ARGUMENTS("forget", "nobody"));
    assert_regctl(admin, 0, "nobody\tforgotten\n", ARGUMENTS("forget", "-prune", "nobody"));
    assert_regctl(admin, 3, "no member 'nobody'", ARGUMENTS("rtt", "nobody", "agent"));
    assert_eventually(agent_tells_rtt(&agent, "agent", "registry"));
    const char *const rtt[] = {regctl_program, "-admin", admin, "rtt", "agent", "witness", NULL};
    assert_eventually(run(30000, NULL, rtt) == 0); /* both have been probed */
    assert_regctl(admin, 0, " us\n", ARGUMENTS("rtt", "agent"));
    assert_regctl(admin, 0, "\"rtt_ns\":", ARGUMENTS("--json", "rtt", "agent", "witness"));

    agent_kill(&agent);
    assert_within_ms(FAILURE_MS, log_count("registry", "member_failed name='agent'") == 1);
    assert_regctl(admin, 0, "agent\tleft\n", ARGUMENTS("forget", "agent"));
    assert_soon(agent_sees(&witness, "agent", "left"));
    assert_regctl(admin, 0, "{\"name\":\"agent\",\"state\":\"forgotten\"}",
                  ARGUMENTS("forget", "agent", "--prune", "--json"));
    assert_soon(!agent_sees(&witness, "agent", NULL));
    process_signal(registry, 15);
    assert_int_equal(process_wait(registry, 20000), 0);
    assert_int_not_equal(access(admin, F_OK), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest forgetting[] = {
        scenario_test(an_agent_that_failed_and_is_forgotten_here_has_left_everywhere),
        scenario_test(a_failed_agent_that_is_pruned_here_is_gone_everywhere_in_one_step),
        scenario_test(our_node_that_failed_is_forced_out_and_pruned_by_an_agent),
        scenario_test(who_lives_refutes_that_it_has_left),
        scenario_test(what_cannot_be_forgotten_is_said),
    };
    const struct CMUnitTest rest[] = {
        scenario_test(agents_tell_round_trips_to_our_node_and_it_tells_theirs),
        scenario_test(an_agent_that_takes_our_nodes_name_gives_up),
        scenario_test(of_two_nodes_of_ours_with_one_name_the_newcomer_gives_up),
        scenario_test(answers_are_relayed_by_agents_through_us_and_by_us_through_agents),
        scenario_test(regctl_forgets_and_tells_round_trips_through_the_admin_socket),
    };
    fixture_need_serf();
    if (argc != 4) {
        fprintf(stderr, "usage: test_operators forget|rest REGISTRY REGCTL\n");
        return 2;
    }
    registry_program = argv[2];
    regctl_program = argv[3];
    return strcmp(argv[1], "forget") == 0 ? cmocka_run_group_tests(forgetting, NULL, NULL)
                                          : cmocka_run_group_tests(rest, NULL, NULL);
}
