/* SPDX-License-Identifier: MIT
 *
 * scenario_corrupt.c - links change bytes of packets and streams, double and reorder packets, while
 * members join, change, crash and come back, all encrypted and labelled; then the links heal. What
 * was changed must be refused, and the rest must not be worse than loss.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/watch.h"

enum {
    HEAL_LIMIT_S = 300,
    HEAL_AIM_S = 60,
    FORM_LIMIT_S = 300,
    SEEDS_OF_ALL = 3,
    CRASH_EVERY_S = 20,
    DOWN_MAX_S = 10,
    LOSS_BORNE = 10, /* percent: with more loss than that a false death is no surprise */
};

struct account {
    struct rf_samples formed_s;
    struct rf_samples healed_s;
    uint64_t corrupted;
    uint64_t believed;
    uint64_t deaths;
    size_t not_healed;
};

static void change_one(struct rf_sim *sim)
{
    char role[32];
    size_t index = rf_random_below(&sim->random, sim->nodes_count);
    if (sim->nodes[index].serf != NULL) {
        (void)snprintf(role, sizeof(role), "at %llu", (unsigned long long)sim->now_ns);
        rf_sim_set_meta(sim, index, role);
    }
}

static void start_again(struct rf_sim *sim, void *context)
{
    struct rf_joining *joining = context;
    rf_sim_start_node(sim, joining->index, sim->nodes[joining->index].name);
    rf_joining_step(sim, joining);
}

static void crash_one(struct rf_sim *sim, struct rf_watch *watch, struct rf_joining *joinings)
{
    size_t index = SEEDS_OF_ALL + rf_random_below(&sim->random, sim->nodes_count - SEEDS_OF_ALL);
    if (sim->nodes[index].serf == NULL) {
        return;
    }
    rf_sim_kill(sim, index);
    watch->is_bad[index] = true; /* its former lives may be declared failed late */
    joinings[index] = (struct rf_joining){.index = index, .seeds_count = SEEDS_OF_ALL};
    rf_sim_at(sim, sim->now_ns + 1 + rf_random_below(&sim->random, DOWN_MAX_S * RF_SIM_S),
              start_again, &joinings[index]);
}

static void be_bad(struct rf_sim *sim, uint32_t corrupt_percent)
{
    sim->network.corrupt_ppm = corrupt_percent * RF_SIM_PERCENT;
    sim->network.duplicate_ppm = 5 * RF_SIM_PERCENT;
    sim->network.reorder_ppm = 5 * RF_SIM_PERCENT;
    sim->network.reorder_ns = 50 * RF_SIM_MS;
}

static void run_one(struct rf_run *run, size_t i, uint32_t corrupt_percent, struct account *account)
{
    struct rf_sim sim;
    rf_run_begin(run, &sim, rf_run_seed(run, i));
    rf_sim_use_codec(&sim, true);
    rf_sim_start(&sim, run->members);
    be_bad(&sim, corrupt_percent);
    struct rf_watch watch;
    rf_watch_begin(&watch, &sim, 0);
    uint64_t start_ns = sim.now_ns;
    struct rf_joining *joinings = calloc(run->members, sizeof(*joinings));
    RF_ASSERT(joinings != NULL);
    for (size_t k = 0; k < run->members; k++) {
        joinings[k] = (struct rf_joining){.index = k, .seeds_count = SEEDS_OF_ALL};
        rf_sim_at(&sim, start_ns + rf_random_below(&sim.random, RF_SIM_S), rf_joining_step,
                  &joinings[k]);
    }
    bool is_formed = rf_sim_run_until(&sim, rf_sim_is_converged, FORM_LIMIT_S * RF_SIM_S);
    rf_samples_add(&account->formed_s, is_formed
                                           ? (double)(sim.now_ns - start_ns) / (double)RF_SIM_S
                                           : (double)INFINITY);
    for (uint64_t end_ns = sim.now_ns + run->duration_ns; sim.now_ns < end_ns;) {
        change_one(&sim);
        crash_one(&sim, &watch, joinings);
        rf_sim_run(&sim, CRASH_EVERY_S * RF_SIM_S);
    }
    double healed_s = rf_run_heal(&sim, HEAL_LIMIT_S * RF_SIM_S);
    rf_samples_add(&account->healed_s, healed_s);
    account->not_healed += isinf(healed_s);
    account->deaths += watch.healthy_deaths;
    account->corrupted += sim.corrupted;
    account->believed += sim.believed;
    rf_watch_end(&watch, &sim);
    free(joinings);
    rf_run_end(run, &sim);
}

void rf_scenario_corrupt(struct rf_run *run)
{
    static const uint32_t percents[] = {1, 10, 25};
    enum { PERCENTS = sizeof(percents) / sizeof(percents[0]) };
    struct account all = {0};
    for (size_t k = 0; k < PERCENTS; k++) {
        struct account account = {0};
        for (size_t i = 0; i < run->seeds; i++) {
            rf_run_progress(run, k * run->seeds + i, PERCENTS * run->seeds, "%u %%", percents[k]);
            run_one(run, i, percents[k], &account);
        }
        rf_run_figure(run, rf_samples_percentile(&account.formed_s, 100), "s",
                      "%u %% changed: all %zu see all, worst of %zu", percents[k], run->members,
                      run->seeds);
        if (percents[k] <= LOSS_BORNE) {
            rf_run_at_most(run, (double)account.deaths, "", 0,
                           "%u %%: members declared failed that never crashed", percents[k]);
        } else {
            rf_run_figure(run, (double)account.deaths, "",
                          "%u %%: members declared failed that never crashed", percents[k]);
        }
        rf_run_at_most(run, rf_samples_percentile(&account.healed_s, 100), "s", HEAL_AIM_S,
                       "%u %%: then equal views after, worst", percents[k]);
        rf_samples_fini(&account.formed_s);
        rf_samples_fini(&account.healed_s);
        all.corrupted += account.corrupted;
        all.believed += account.believed;
        all.not_healed += account.not_healed;
    }
    rf_run_figure(run, (double)all.corrupted, "", "packets and streams with other bytes");
    rf_run_at_most(run, (double)all.believed, "", 0, "of them believed");
    rf_run_at_most(run, (double)all.not_healed, "", 0, "runs that did not end in equal views");
}
