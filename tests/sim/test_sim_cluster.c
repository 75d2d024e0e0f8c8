/* SPDX-License-Identifier: MIT
 *
 * test_sim_cluster.c - what a cluster promises, on a virtual clock. RF_SIM_SEED=<n> runs that seed
 * instead of the list below.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/serf_private.h"
#include "tests/sim/sim.h"

static const uint64_t default_seeds[] = {1, 20260702, 0xfeedfacecafe};

static void init(struct rf_sim *sim, const char *name, uint64_t seed)
{
    rf_sim_init(sim, seed);
    printf("%s: seed %llu\n", name, (unsigned long long)seed);
    (void)fflush(stdout); /* a lost line is no failure of the test */
}

/* Runs `scenario` with each seed, and wants all memory back. */
static void for_seeds(const char *name, void (*scenario)(struct rf_sim *sim))
{
    const char *chosen = getenv("RF_SIM_SEED");
    int64_t blocks_before = rf_sim_blocks_held();
    size_t count = chosen != NULL ? 1 : sizeof(default_seeds) / sizeof(default_seeds[0]);
    struct rf_sim *sim = malloc(sizeof(*sim));
    assert_non_null(sim);
    for (size_t i = 0; i < count; i++) {
        init(sim, name, chosen != NULL ? strtoull(chosen, NULL, 0) : default_seeds[i]);
        scenario(sim);
        rf_sim_fini(sim);
    }
    free(sim);
    assert_int_equal(rf_sim_blocks_held(), blocks_before);
}

#define FOR_SEEDS(scenario) for_seeds(#scenario, scenario)

/* Gossip reaches nearly everybody within `quick_ns`; push/pulls, of which every node makes one in
 * 30 s (60 s above 32 nodes), repair the rest. */
static void assert_converges(struct rf_sim *sim, uint64_t quick_ns)
{
    assert_true(rf_sim_run_until(sim, rf_sim_is_nearly_converged, quick_ns));
    assert_true(rf_sim_run_until(sim, rf_sim_is_converged, 180 * RF_SIM_S));
}

static void start_joined(struct rf_sim *sim, size_t count)
{
    rf_sim_start(sim, count);
    for (size_t i = 1; i < count; i++) {
        rf_sim_join(sim, i, 0);
    }
    assert_converges(sim, 5 * RF_SIM_S);
}

/* The longest a death takes: to be probed, to outlive the suspicion, to be told. */
static uint64_t detection_bound_ns(size_t n)
{
    struct rf_suspicion_params params = rf_suspicion_params(4, 6, RF_SIM_S, n);
    return params.max_ns + 15 * RF_SIM_S;
}

static void five_join(struct rf_sim *sim)
{
    start_joined(sim, 5);
    assert_int_equal(sim->nodes[4].joins_done, 1);
    rf_sim_run(sim, 60 * RF_SIM_S);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(sim->nodes[i].changes[RF_MEMBER_CHANGE_JOIN], 5);
        assert_int_equal(sim->nodes[i].changes[RF_MEMBER_CHANGE_FAILED], 0);
    }
}

static void members_that_join_through_one_seed_all_see_each_other(void **state)
{
    (void)state;
    FOR_SEEDS(five_join);
}

static void sixty_four_join(struct rf_sim *sim)
{
    start_joined(sim, 64);
    rf_sim_run(sim, 60 * RF_SIM_S);
    assert_true(rf_sim_is_converged(sim));
}

static void a_cluster_of_64_forms_through_one_seed(void **state)
{
    (void)state;
    FOR_SEEDS(sixty_four_join);
}

static void join_nobody(struct rf_sim *sim)
{
    rf_sim_start(sim, 2);
    rf_sim_kill(sim, 1);
    rf_sim_join(sim, 0, 1);
    rf_sim_run(sim, RF_SIM_S);
    assert_int_equal(sim->nodes[0].joins_failed, 1); /* refused */
    rf_sim_start_node(sim, 1, "node-1");
    rf_sim_partition(sim, 1, true, true);
    rf_sim_join(sim, 0, 1);
    rf_sim_run(sim, 9 * RF_SIM_S);
    assert_int_equal(sim->nodes[0].joins_failed, 1);
    rf_sim_run(sim, 2 * RF_SIM_S);
    assert_int_equal(sim->nodes[0].joins_failed, 2); /* timed out */
    assert_int_equal(sim->nodes[0].joins_done, 0);
}

static void a_join_that_nobody_answers_is_reported(void **state)
{
    (void)state;
    FOR_SEEDS(join_nobody);
}

static void kill_one(struct rf_sim *sim)
{
    start_joined(sim, 30);
    rf_sim_run(sim, 10 * RF_SIM_S);
    rf_sim_kill(sim, 7);
    assert_converges(sim, detection_bound_ns(30));
    assert_int_equal(rf_sim_seen_as(sim, 7, RF_SERF_FAILED), 29);
}

static void a_killed_member_fails_everywhere_within_the_suspicion_bound(void **state)
{
    (void)state;
    FOR_SEEDS(kill_one);
}

static void lose_packets(struct rf_sim *sim)
{
    start_joined(sim, 30);
    sim->network.loss_ppm = 15 * RF_SIM_PERCENT;
    sim->network.duplicate_ppm = 5 * RF_SIM_PERCENT;
    sim->network.latency_max_ns = 100 * RF_SIM_MS;
    rf_sim_run(sim, 120 * RF_SIM_S);
    sim->network.loss_ppm = 0;
    assert_converges(sim, 60 * RF_SIM_S);
    rf_sim_run(sim, 30 * RF_SIM_S);
    assert_true(rf_sim_is_converged(sim));
}

static void loss_and_reordering_leave_no_false_deaths(void **state)
{
    (void)state;
    FOR_SEEDS(lose_packets);
}

static void partition(struct rf_sim *sim)
{
    start_joined(sim, 12);
    rf_sim_partition(sim, 4, true, true);
    rf_sim_run(sim, 90 * RF_SIM_S); /* longer than the dead are gossiped to */
    assert_int_equal(rf_sim_seen_as(sim, 0, RF_SERF_FAILED), 8);
    assert_int_equal(rf_sim_seen_as(sim, 11, RF_SERF_FAILED), 4);
    rf_sim_partition(sim, 4, true, false);
    assert_true(rf_sim_run_until(sim, rf_sim_is_converged, 180 * RF_SIM_S));
}

static void the_sides_of_a_partition_find_each_other_again(void **state)
{
    (void)state;
    FOR_SEEDS(partition);
}

static void one_way(struct rf_sim *sim)
{
    start_joined(sim, 10);
    rf_sim_partition(sim, 1, false, true); /* node 0 hears all and reaches nobody */
    rf_sim_run(sim, detection_bound_ns(10));
    assert_int_equal(rf_sim_seen_as(sim, 0, RF_SERF_FAILED), 9);
    for (size_t i = 2; i < 10; i++) {
        assert_int_equal(rf_sim_status(sim, 1, i), RF_SERF_ALIVE);
    }
    rf_sim_partition(sim, 1, false, false);
    assert_true(rf_sim_run_until(sim, rf_sim_is_converged, 180 * RF_SIM_S));
}

static void a_node_that_cannot_send_fails_alone_and_comes_back(void **state)
{
    (void)state;
    FOR_SEEDS(one_way);
}

static void one_link(struct rf_sim *sim)
{
    start_joined(sim, 8);
    rf_sim_cut(sim, 2, 5, true);
    rf_sim_cut(sim, 5, 2, true);
    rf_sim_run(sim, 90 * RF_SIM_S);
    assert_true(rf_sim_is_converged(sim));
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(sim->nodes[i].changes[RF_MEMBER_CHANGE_FAILED], 0);
    }
    assert_true(sim->nodes[2].serf->swim.stats.probes_indirect > 0);
}

static void a_cut_link_between_two_fails_nobody(void **state)
{
    (void)state;
    FOR_SEEDS(one_link);
}

static void leave(struct rf_sim *sim)
{
    start_joined(sim, 10);
    rf_sim_run(sim, 5 * RF_SIM_S);
    uint64_t start_ns = sim->now_ns;
    rf_sim_leave(sim, 3);
    assert_int_equal(rf_sim_status(sim, 3, 3), RF_SERF_LEAVING);
    while (!sim->nodes[3].has_left && sim->now_ns < start_ns + 20 * RF_SIM_S) {
        rf_sim_run(sim, 50 * RF_SIM_MS);
    }
    assert_true(sim->nodes[3].has_left);
    assert_true(sim->now_ns < start_ns + 6 * RF_SIM_S);
    assert_int_equal(rf_sim_status(sim, 3, 3), RF_SERF_LEFT);
    rf_sim_kill(sim, 3);
    assert_true(rf_sim_seen_as(sim, 3, RF_SERF_LEFT) >= 8);
    rf_sim_run(sim, 120 * RF_SIM_S);
    assert_int_equal(rf_sim_seen_as(sim, 3, RF_SERF_LEFT), 9);
}

static void a_graceful_leave_is_seen_as_left_everywhere(void **state)
{
    (void)state;
    FOR_SEEDS(leave);
}

static void leave_alone(struct rf_sim *sim)
{
    rf_sim_start(sim, 1);
    rf_sim_leave(sim, 0);
    rf_sim_run(sim, 1200 * RF_SIM_MS);
    assert_true(sim->nodes[0].has_left);
    assert_int_equal(rf_serf_leave(sim->nodes[0].serf, sim->now_ns, NULL), 0);
}

static void a_node_that_is_alone_leaves_in_a_second(void **state)
{
    (void)state;
    FOR_SEEDS(leave_alone);
}

static void leave_and_return(struct rf_sim *sim)
{
    start_joined(sim, 6);
    rf_sim_leave(sim, 2);
    rf_sim_run(sim, 15 * RF_SIM_S);
    rf_sim_kill(sim, 2);
    rf_sim_start_node(sim, 2, "node-2");
    rf_sim_join(sim, 2, 4);
    assert_converges(sim, 5 * RF_SIM_S);
    rf_sim_run(sim, 40 * RF_SIM_S);
    assert_true(rf_sim_is_converged(sim));
    rf_sim_kill(sim, 2); /* and a failure after that is a failure, not a late leave */
    assert_converges(sim, detection_bound_ns(6));
    assert_int_equal(rf_sim_seen_as(sim, 2, RF_SERF_FAILED), 5);
}

static void a_member_that_left_may_return(void **state)
{
    (void)state;
    FOR_SEEDS(leave_and_return);
}

static void restart(struct rf_sim *sim)
{
    start_joined(sim, 10);
    rf_sim_set_meta(sim, 4, "db"); /* raises its incarnation above that of a fresh start */
    rf_sim_run(sim, 5 * RF_SIM_S);
    rf_sim_kill(sim, 4);
    rf_sim_start_node(sim, 4, "node-4");
    rf_sim_join(sim, 4, 0);
    assert_converges(sim, 5 * RF_SIM_S);
    rf_sim_kill(sim, 4); /* now long enough to be declared dead */
    rf_sim_run(sim, detection_bound_ns(10));
    assert_int_equal(rf_sim_seen_as(sim, 4, RF_SERF_FAILED), 9);
    rf_sim_start_node(sim, 4, "node-4");
    rf_sim_join(sim, 4, 0);
    assert_converges(sim, 5 * RF_SIM_S);
    rf_sim_run(sim, 60 * RF_SIM_S);
    assert_true(rf_sim_is_converged(sim));
}

static void a_restarted_member_overtakes_its_own_past(void **state)
{
    (void)state;
    FOR_SEEDS(restart);
}

static bool is_nearly_known_as_cache(const struct rf_sim *sim)
{
    size_t count = 0;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        struct rf_serf_member_view member;
        count += rf_serf_member_find(sim->nodes[i].serf, "node-9", 6, &member) &&
                 member.meta_size == 5 && memcmp(member.meta, "cache", 5) == 0;
    }
    return count + 1 >= sim->nodes_count;
}

static void update(struct rf_sim *sim)
{
    start_joined(sim, 30);
    rf_sim_set_meta(sim, 9, "cache");
    assert_true(rf_sim_run_until(sim, is_nearly_known_as_cache, 5 * RF_SIM_S));
    assert_true(rf_sim_is_converged(sim));
}

static void changed_tags_reach_everybody(void **state)
{
    (void)state;
    FOR_SEEDS(update);
}

static void events_spread(struct rf_sim *sim)
{
    static const uint8_t event[] = {RF_MESSAGE_USER,
                                    3,
                                    0x84,
                                    0xa2,
                                    'C',
                                    'C',
                                    0xc2,
                                    0xa5,
                                    'L',
                                    'T',
                                    'i',
                                    'm',
                                    'e',
                                    9,
                                    0xa4,
                                    'N',
                                    'a',
                                    'm',
                                    'e',
                                    0xa3,
                                    'd',
                                    'e',
                                    'p',
                                    0xa7,
                                    'P',
                                    'a',
                                    'y',
                                    'l',
                                    'o',
                                    'a',
                                    'd',
                                    0xa1,
                                    '1'};
    start_joined(sim, 20);
    rf_sim_inject(sim, 3, event, sizeof(event));
    rf_sim_run(sim, 5 * RF_SIM_S);
    for (size_t i = 0; i < 20; i++) {
        const struct rf_serf *serf = sim->nodes[i].serf;
        assert_int_equal(serf->event_time, 10);
        assert_non_null(serf->event_slots);
        assert_int_equal(serf->event_slots[9].count, 1);
    }
    rf_sim_start(sim, 1); /* who comes later learns of it by push/pull */
    rf_sim_join(sim, 20, 0);
    rf_sim_run(sim, RF_SIM_S);
    assert_int_equal(sim->nodes[20].serf->event_time, 10);
    assert_int_equal(sim->nodes[20].serf->event_slots[9].count, 1);
}

static void user_events_reach_everybody_once_and_newcomers_too(void **state)
{
    (void)state;
    FOR_SEEDS(events_spread);
}

static void same_name(struct rf_sim *sim)
{
    start_joined(sim, 8);
    rf_sim_run(sim, 5 * RF_SIM_S);
    rf_sim_kill(sim, 7);
    rf_sim_start_node(sim, 7, "node-2");
    rf_sim_join(sim, 7, 0);
    rf_sim_run(sim, 30 * RF_SIM_S);
    assert_true(sim->nodes[7].has_lost_name);
    assert_false(sim->nodes[2].has_lost_name);
}

static void of_two_nodes_with_one_name_the_newcomer_gives_way(void **state)
{
    (void)state;
    FOR_SEEDS(same_name);
}

static void driven_up(struct rf_sim *sim)
{
    start_joined(sim, 20);
    rf_sim_run(sim, 10 * RF_SIM_S);
    uint8_t bytes[64];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_message message = {.type = RF_MESSAGE_SUSPECT,
                                 .suspect = {.incarnation = INT32_MAX,
                                             .node = rf_slice_text("node-2"),
                                             .from = rf_slice_text("node-3")}};
    assert_true(rf_message_encode(&message, &packer) > 0);
    rf_sim_inject(sim, 2, bytes, packer.size); /* to itself alone: no other knows why it outbids */
    assert_true(sim->nodes[2].serf->swim.incarnation > INT32_MAX);
    rf_sim_run(sim, 5 * RF_SIM_S);
    for (size_t i = 0; i < 20; i++) {
        const struct rf_node *node =
            rf_node_table_find(&sim->nodes[i].serf->swim.nodes, rf_slice_text("node-2"));
        assert_int_equal(node->incarnation, sim->nodes[2].serf->swim.incarnation);
    }
    rf_sim_start(sim, 1); /* nor does who comes later */
    rf_sim_join(sim, 20, 0);
    rf_sim_run(sim, 10 * RF_SIM_S);
    assert_int_equal(rf_sim_status(sim, 20, 2), RF_SERF_ALIVE);
    assert_int_equal(rf_sim_seen_as(sim, 2, RF_SERF_ALIVE), 20);
}

static void a_member_driven_to_an_absurd_incarnation_is_heard_at_once(void **state)
{
    (void)state;
    FOR_SEEDS(driven_up);
}

/* Whether all but nodes 2 and 19 have node-2 alive at the address of that node. */
static bool is_node_2_at(const struct rf_sim *sim, size_t index)
{
    for (size_t i = 0; i < sim->nodes_count; i++) {
        struct rf_serf_member_view member;
        if (sim->nodes[i].serf == NULL || i == 2 || i == 19) {
            continue;
        }
        if (!rf_serf_member_find(sim->nodes[i].serf, "node-2", 6, &member) ||
            member.status != RF_SERF_ALIVE ||
            !rf_address_equal(&member.address, &sim->nodes[index].address)) {
            return false;
        }
    }
    return true;
}

static bool is_node_2_at_19(const struct rf_sim *sim)
{
    return is_node_2_at(sim, 19);
}

/* Twenty nodes, of which the last leaves its address to another node-2. */
static void start_node_2_again(struct rf_sim *sim)
{
    rf_sim_start_node(sim, 19, "node-2");
    rf_sim_join(sim, 19, 0);
}

static void start_twenty(struct rf_sim *sim)
{
    start_joined(sim, 20);
    rf_sim_run(sim, 5 * RF_SIM_S);
    rf_sim_kill(sim, 19);
    rf_sim_run(sim, 60 * RF_SIM_S); /* its own death is over */
}

static void killed_and_elsewhere(struct rf_sim *sim)
{
    start_twenty(sim);
    sim->network.loss_ppm = 2 * RF_SIM_PERCENT;
    rf_sim_kill(sim, 2);
    start_node_2_again(sim);
    assert_true(rf_sim_run_until(sim, is_node_2_at_19, 20 * RF_SIM_S));
    rf_sim_run(sim, 120 * RF_SIM_S);
    assert_true(is_node_2_at(sim, 19));
    assert_false(sim->nodes[19].has_lost_name);
}

static void a_member_that_is_killed_and_started_elsewhere_keeps_its_name(void **state)
{
    (void)state;
    FOR_SEEDS(killed_and_elsewhere);
}

static void stopped_and_claimed(struct rf_sim *sim)
{
    start_twenty(sim);
    rf_sim_pause(sim, 2, 4 * RF_SIM_S, false); /* its machine still accepts connections */
    start_node_2_again(sim);
    for (int i = 0; i < 40; i++) {
        rf_sim_run(sim, RF_SIM_S);
        assert_true(is_node_2_at(sim, 2));
    }
    assert_true(sim->nodes[19].has_lost_name);
    assert_false(sim->nodes[2].has_lost_name);
}

static void a_member_that_is_stopped_keeps_its_name(void **state)
{
    (void)state;
    FOR_SEEDS(stopped_and_claimed);
}

static void silent_and_claimed(struct rf_sim *sim)
{
    start_twenty(sim);
    for (size_t i = 0; i < 20; i++) {
        if (i != 2) {
            rf_sim_cut(sim, 2, i, true);
            rf_sim_cut(sim, i, 2, true);
        }
    }
    start_node_2_again(sim);
    rf_sim_run(sim, 30 * RF_SIM_S);
    for (size_t i = 0; i < 19; i++) {
        struct rf_serf_member_view member;
        assert_true(rf_serf_member_find(sim->nodes[i].serf, "node-2", 6, &member));
        assert_true(rf_address_equal(&member.address, &sim->nodes[2].address));
    }
}

static void a_member_that_is_cut_off_keeps_its_name_as_long_as_with_serf(void **state)
{
    (void)state;
    FOR_SEEDS(silent_and_claimed);
}

static void churn(struct rf_sim *sim)
{
    start_joined(sim, 16);
    sim->network.loss_ppm = 5 * RF_SIM_PERCENT;
    for (int round = 0; round < 12; round++) {
        size_t index = 1 + rf_random_below(&sim->random, 15);
        if (sim->nodes[index].serf == NULL) {
            rf_sim_start_node(sim, index, sim->nodes[index].name);
            rf_sim_join(sim, index, 0);
        } else if (round % 3 == 2) {
            rf_sim_leave(sim, index);
            rf_sim_run(sim, 14 * RF_SIM_S);
            assert_true(sim->nodes[index].has_left);
            rf_sim_kill(sim, index);
        } else {
            rf_sim_kill(sim, index);
        }
        rf_sim_run(sim, rf_random_below(&sim->random, 15 * RF_SIM_S));
    }
    sim->network.loss_ppm = 0;
    assert_converges(sim, 120 * RF_SIM_S);
}

static void a_cluster_under_churn_comes_to_rest(void **state)
{
    (void)state;
    FOR_SEEDS(churn);
}

static uint64_t traces[2];
static size_t traces_count;

static void record_trace(struct rf_sim *sim)
{
    churn(sim);
    traces[traces_count++ % 2] = sim->trace;
}

static void equal_seeds_give_equal_runs(void **state)
{
    (void)state;
    struct rf_sim *sim = malloc(sizeof(*sim));
    assert_non_null(sim);
    for (int i = 0; i < 2; i++) {
        init(sim, "equal runs", 77);
        record_trace(sim);
        rf_sim_fini(sim);
    }
    assert_true(traces[0] == traces[1]);
    init(sim, "another run", 78);
    record_trace(sim);
    rf_sim_fini(sim);
    assert_true(traces[0] != traces[1]);
    free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_that_join_through_one_seed_all_see_each_other),
        cmocka_unit_test(a_cluster_of_64_forms_through_one_seed),
        cmocka_unit_test(a_join_that_nobody_answers_is_reported),
        cmocka_unit_test(a_killed_member_fails_everywhere_within_the_suspicion_bound),
        cmocka_unit_test(loss_and_reordering_leave_no_false_deaths),
        cmocka_unit_test(the_sides_of_a_partition_find_each_other_again),
        cmocka_unit_test(a_node_that_cannot_send_fails_alone_and_comes_back),
        cmocka_unit_test(a_cut_link_between_two_fails_nobody),
        cmocka_unit_test(a_graceful_leave_is_seen_as_left_everywhere),
        cmocka_unit_test(a_node_that_is_alone_leaves_in_a_second),
        cmocka_unit_test(a_member_that_left_may_return),
        cmocka_unit_test(a_restarted_member_overtakes_its_own_past),
        cmocka_unit_test(changed_tags_reach_everybody),
        cmocka_unit_test(user_events_reach_everybody_once_and_newcomers_too),
        cmocka_unit_test(of_two_nodes_with_one_name_the_newcomer_gives_way),
        cmocka_unit_test(a_member_driven_to_an_absurd_incarnation_is_heard_at_once),
        cmocka_unit_test(a_member_that_is_killed_and_started_elsewhere_keeps_its_name),
        cmocka_unit_test(a_member_that_is_stopped_keeps_its_name),
        cmocka_unit_test(a_member_that_is_cut_off_keeps_its_name_as_long_as_with_serf),
        cmocka_unit_test(a_cluster_under_churn_comes_to_rest),
        cmocka_unit_test(equal_seeds_give_equal_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
