/* SPDX-License-Identifier: MIT
 *
 * test_sim_storm.c - restart storms: every node ends and starts again with nothing of its past, and
 * the others still know it with a higher incarnation, other tags, dead or left. And pauses: a
 * node that did not run blames nobody for it. RF_SIM_SEED=<n> runs that seed of the storms.
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

static const uint64_t default_seeds[] = {1, 2, 3, 20261123, 0xfeedfacecafe};

enum { HEAL_S = 60 }; /* from the last restart until all views are right */

struct storm {
    size_t nodes_count;
    uint64_t spread_ns;   /* restarts begin at random within this time */
    uint64_t downtime_ns; /* each node is down for up to this time */
    uint32_t loss_percent;
    uint32_t leave_percent; /* of the nodes that leave gracefully instead of ending */
    bool is_total;          /* all are down for a moment, so that nobody remembers */
};

/* When a node ends and starts; joins until it works, as the driver's joiner does. */
struct restart {
    uint64_t end_ns;
    uint64_t start_ns;
    bool leaves;
    bool has_ended;
    bool has_started;
    uint64_t join_at_ns;
    uint32_t tries;
    uint32_t joins_done_before;
};

enum { NODES_MAX = 128 };

static struct restart restarts[NODES_MAX];

static void plan(struct rf_sim *sim, const struct storm *storm)
{
    for (size_t i = 0; i < storm->nodes_count; i++) {
        bool leaves = rf_random_below(&sim->random, 100) < storm->leave_percent;
        uint64_t end_ns = sim->now_ns + rf_random_below(&sim->random, storm->spread_ns + 1);
        uint64_t down_ns = rf_random_below(&sim->random, storm->downtime_ns + 1);
        restarts[i] = (struct restart){
            .end_ns = end_ns,
            .start_ns = (storm->is_total ? sim->now_ns + storm->spread_ns : end_ns) +
                        (leaves ? 6 * RF_SIM_S : 0) + down_ns,
            .leaves = leaves,
        };
    }
}

static void join_someone(struct rf_sim *sim, size_t index)
{
    struct restart *restart = &restarts[index];
    size_t seed_index = rf_random_below(&sim->random, 3); /* three are the seeds of all */
    seed_index = seed_index == index ? (index + 1) % 3 : seed_index;
    restart->joins_done_before = sim->nodes[index].joins_done;
    rf_sim_join(sim, index, seed_index);
    /* 1, 2, 4 ... 30 s, as gossip/joiner.c */
    uint64_t pause_s = UINT64_C(1) << (restart->tries < 5 ? restart->tries : 5);
    restart->tries++;
    restart->join_at_ns = sim->now_ns + pause_s * RF_SIM_S;
}

/* Returns whether every node has started again. */
static bool restart_step(struct rf_sim *sim, size_t nodes_count)
{
    bool is_done = true;
    for (size_t i = 0; i < nodes_count; i++) {
        struct restart *restart = &restarts[i];
        if (!restart->has_ended && restart->end_ns <= sim->now_ns) {
            restart->has_ended = true;
            if (restart->leaves) {
                rf_sim_leave(sim, i);
            } else {
                rf_sim_kill(sim, i);
            }
        }
        if (!restart->has_started && restart->start_ns <= sim->now_ns) {
            if (sim->nodes[i].serf != NULL) {
                rf_sim_kill(sim, i);
            }
            rf_sim_start_node(sim, i, sim->nodes[i].name);
            restart->has_started = true;
            join_someone(sim, i);
        } else if (restart->has_started && restart->join_at_ns <= sim->now_ns &&
                   (sim->nodes[i].joins_done == restart->joins_done_before ||
                    rf_serf_alive_count(sim->nodes[i].serf) == 1)) {
            join_someone(sim, i);
        }
        is_done = is_done && restart->has_started;
    }
    return is_done;
}

static void print_stuck(const struct rf_sim *sim)
{
    int lines = 0;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        for (size_t k = 0; k < sim->nodes_count && lines < 20; k++) {
            enum rf_serf_status status = rf_sim_status(sim, i, k);
            if (status != RF_SERF_ALIVE) {
                printf("%s sees %s %s\n", sim->nodes[i].name, sim->nodes[k].name,
                       rf_serf_status_name(status));
                lines++;
            }
        }
    }
}

static void run_storm(struct rf_sim *sim, const struct storm *storm)
{
    rf_sim_start(sim, storm->nodes_count);
    for (size_t i = 1; i < storm->nodes_count; i++) {
        rf_sim_join(sim, i, 0);
    }
    rf_sim_run(sim, 20 * RF_SIM_S);
    for (int round = 0; round < 3; round++) { /* incarnations above that of a fresh start */
        for (size_t i = 0; i < storm->nodes_count; i++) {
            rf_sim_set_meta(sim, i, round % 2 == 0 ? "before" : "earlier");
        }
        rf_sim_run(sim, 5 * RF_SIM_S);
    }
    assert_true(rf_sim_run_until(sim, rf_sim_is_converged, 60 * RF_SIM_S));
    sim->network.loss_ppm = storm->loss_percent * RF_SIM_PERCENT;
    plan(sim, storm);
    while (!restart_step(sim, storm->nodes_count)) {
        rf_sim_run(sim, 100 * RF_SIM_MS);
    }
    uint64_t start_ns = sim->now_ns;
    while (sim->now_ns < start_ns + HEAL_S * RF_SIM_S && !rf_sim_is_converged(sim)) {
        rf_sim_run(sim, 100 * RF_SIM_MS);
        (void)restart_step(sim, storm->nodes_count);
    }
    printf("healed %.1f s after the last restart\n",
           (double)(sim->now_ns - start_ns) / (double)RF_SIM_S);
    if (!rf_sim_is_converged(sim)) {
        print_stuck(sim);
    }
    assert_true(rf_sim_is_converged(sim));
    rf_sim_run(sim, 90 * RF_SIM_S); /* and it stays so */
    assert_true(rf_sim_is_converged(sim));
    for (size_t i = 0; i < storm->nodes_count; i++) {
        struct rf_serf_member_view member;
        for (size_t k = 0; k < storm->nodes_count; k++) {
            const char *name = sim->nodes[k].name;
            assert_true(rf_serf_member_find(sim->nodes[i].serf, name, strlen(name), &member));
            assert_true(member.meta_size > strlen("earlier")); /* as it started, not as before */
        }
    }
}

static void for_seeds(const char *name, const struct storm *storm)
{
    const char *chosen = getenv("RF_SIM_SEED");
    size_t count = chosen != NULL ? 1 : sizeof(default_seeds) / sizeof(default_seeds[0]);
    for (size_t i = 0; i < count; i++) {
        struct rf_sim sim;
        rf_sim_init(&sim, chosen != NULL ? strtoull(chosen, NULL, 0) : default_seeds[i]);
        printf("%s: seed %llu\n", name, (unsigned long long)sim.seed);
        (void)fflush(stdout); /* a lost line is no failure of the test */
        run_storm(&sim, storm);
        rf_sim_fini(&sim);
    }
}

static void all_restarted_within_seconds_are_alive_everywhere_again(void **state)
{
    (void)state;
    for_seeds(__func__, &(struct storm){.nodes_count = 32,
                                        .spread_ns = 5 * RF_SIM_S,
                                        .downtime_ns = 3 * RF_SIM_S,
                                        .loss_percent = 5});
}

static void all_restarted_after_being_declared_dead_are_alive_everywhere_again(void **state)
{
    (void)state;
    for_seeds(__func__, &(struct storm){.nodes_count = 32,
                                        .spread_ns = 20 * RF_SIM_S,
                                        .downtime_ns = 60 * RF_SIM_S});
}

static void a_cluster_that_was_down_as_a_whole_comes_back(void **state)
{
    (void)state;
    for_seeds(__func__, &(struct storm){.nodes_count = 32,
                                        .spread_ns = 1 * RF_SIM_S,
                                        .downtime_ns = 10 * RF_SIM_S,
                                        .is_total = true});
}

static void leaving_and_returning_in_numbers_leaves_nobody_behind(void **state)
{
    (void)state;
    for_seeds(__func__, &(struct storm){.nodes_count = 32,
                                        .spread_ns = 10 * RF_SIM_S,
                                        .downtime_ns = 10 * RF_SIM_S,
                                        .loss_percent = 5,
                                        .leave_percent = 50});
}

static void a_storm_over_a_large_cluster_heals_too(void **state)
{
    (void)state;
    for_seeds(__func__, &(struct storm){.nodes_count = 96,
                                        .spread_ns = 30 * RF_SIM_S,
                                        .downtime_ns = 5 * RF_SIM_S});
}

/* ---- pauses ---- */

static uint64_t deaths_by_the_paused;

/* Of a node that runs: who was paused is right to be declared dead. */
static void count_deaths(struct rf_sim *sim, size_t observer, const struct rf_output *output,
                         void *context)
{
    (void)context;
    size_t subject = rf_sim_index(sim, output->name, output->name_size);
    deaths_by_the_paused +=
        output->change == RF_MEMBER_CHANGE_FAILED && observer == 0 && subject != observer;
}

static void pause_one(uint64_t seed, size_t nodes_count, uint64_t duration_ns)
{
    struct rf_sim sim;
    rf_sim_init(&sim, seed);
    printf("pause of %llu s among %zu: seed %llu\n", (unsigned long long)(duration_ns / RF_SIM_S),
           nodes_count, (unsigned long long)seed);
    (void)fflush(stdout); /* a lost line is no failure of the test */
    rf_sim_start(&sim, nodes_count);
    for (size_t i = 1; i < nodes_count; i++) {
        rf_sim_join(&sim, i, 0);
    }
    rf_sim_run(&sim, 10 * RF_SIM_S + rf_random_below(&sim.random, RF_SIM_S));
    deaths_by_the_paused = 0;
    sim.on_member = count_deaths;
    /* It hears nothing until it suspects somebody, who has only a moment left when it is stopped;
     * and what is said meanwhile is lost, as to a machine that is paused. */
    sim.nodes[0].in_loss_ppm = 100 * RF_SIM_PERCENT;
    const struct rf_swim *swim = &sim.nodes[0].serf->swim;
    while (swim->suspects_count == 0 ||
           swim->suspects[0]->suspicion->deadline_ns > sim.now_ns + 100 * RF_SIM_MS) {
        rf_sim_run(&sim, 10 * RF_SIM_MS);
        assert_int_equal(deaths_by_the_paused, 0);
    }
    rf_sim_pause(&sim, 0, duration_ns, false);
    rf_sim_run(&sim, duration_ns - 1);
    sim.nodes[0].in_loss_ppm = 0;
    rf_sim_run(&sim, 1);
    uint64_t woken_ns = sim.now_ns;
    assert_true(rf_sim_run_until(&sim, rf_sim_is_converged, 60 * RF_SIM_S));
    printf("all alive %.1f s after it woke\n", (double)(sim.now_ns - woken_ns) / (double)RF_SIM_S);
    rf_sim_run(&sim, 60 * RF_SIM_S);
    assert_true(rf_sim_is_converged(&sim));
    assert_int_equal(deaths_by_the_paused, 0);
    rf_sim_fini(&sim);
}

static void who_wakes_after_a_pause_declares_nobody_dead(void **state)
{
    (void)state;
    static const uint64_t durations_s[] = {1, 2, 5, 20, 60, 300};
    for (size_t i = 0; i < sizeof(durations_s) / sizeof(durations_s[0]); i++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            pause_one(seed, 5, durations_s[i] * RF_SIM_S);
        }
        pause_one(4, 40, durations_s[i] * RF_SIM_S);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_restarted_within_seconds_are_alive_everywhere_again),
        cmocka_unit_test(all_restarted_after_being_declared_dead_are_alive_everywhere_again),
        cmocka_unit_test(a_cluster_that_was_down_as_a_whole_comes_back),
        cmocka_unit_test(leaving_and_returning_in_numbers_leaves_nobody_behind),
        cmocka_unit_test(a_storm_over_a_large_cluster_heals_too),
        cmocka_unit_test(who_wakes_after_a_pause_declares_nobody_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
