/* SPDX-License-Identifier: MIT
 *
 * scenario_lossy.c - everybody joins through one member while a tenth of all packets and segments
 * is lost, and then lives with it for a day: who is declared failed?
 */
#include <math.h>
#include <stdlib.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/watch.h"

enum { LOSS_PERCENT = 10, FORM_LIMIT_S = 300, STEPS = 24 };

struct account {
    struct rf_samples seconds;
    uint64_t deaths;
    uint64_t suspicions;
    size_t not_healed;
};

static void run_one(struct rf_run *run, size_t i, struct account *account)
{
    struct rf_sim sim;
    rf_run_begin(run, &sim, rf_run_seed(run, i));
    rf_sim_start(&sim, run->members);
    sim.network.loss_ppm = LOSS_PERCENT * RF_SIM_PERCENT;
    struct rf_watch watch;
    rf_watch_begin(&watch, &sim, 0);
    uint64_t start_ns = sim.now_ns;
    struct rf_joining *joinings = calloc(run->members, sizeof(*joinings));
    RF_ASSERT(joinings != NULL);
    for (size_t k = 1; k < run->members; k++) {
        /* the first is the only one that they know */
        joinings[k] = (struct rf_joining){.index = k, .seeds_count = 1};
        rf_sim_at(&sim, start_ns + rf_random_below(&sim.random, RF_SIM_S / 10), rf_joining_step,
                  &joinings[k]);
    }
    bool is_formed = rf_sim_run_until(&sim, rf_sim_is_converged, FORM_LIMIT_S * RF_SIM_S);
    rf_samples_add(&account->seconds, is_formed ? (double)(sim.now_ns - start_ns) / (double)RF_SIM_S
                                                : (double)INFINITY);
    for (size_t k = 0; k < STEPS; k++) {
        rf_run_progress(run, i, run->seeds, "%zu%% of the time", 100 * k / STEPS);
        rf_sim_run(&sim, run->duration_ns / STEPS);
    }
    account->deaths += watch.deaths;
    account->suspicions += RF_SIM_SUM(&sim, swim.suspicions);
    account->not_healed += isinf(rf_run_heal(&sim, FORM_LIMIT_S * RF_SIM_S));
    rf_watch_end(&watch, &sim);
    free(joinings);
    rf_run_end(run, &sim);
}

void rf_scenario_lossy(struct rf_run *run)
{
    struct account account = {0};
    for (size_t i = 0; i < run->seeds; i++) {
        run_one(run, i, &account);
    }
    rf_run_at_most(run, rf_samples_percentile(&account.seconds, 100), "s", 30,
                   "%d %% loss: all %zu see all, worst of %zu", LOSS_PERCENT, run->members,
                   run->seeds);
    rf_run_figure(run, (double)run->seeds * (double)run->duration_ns / 3600e9, "h",
                  "then, all runs together");
    rf_run_at_most(run, (double)account.deaths, "", 0,
                   "members declared failed that were not, at any member");
    rf_run_figure(run, (double)account.suspicions, "", "suspicions, at any member");
    rf_run_at_most(run, (double)account.not_healed, "", 0, "runs that did not end in equal views");
    rf_samples_fini(&account.seconds);
}
