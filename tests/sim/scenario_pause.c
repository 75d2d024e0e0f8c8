/* SPDX-License-Identifier: MIT
 *
 * scenario_pause.c - one, some or half of the processes are stopped for 1 to 300 s and go on: whom
 * do they declare failed on waking, and when are all views equal? In every other seed the clocks
 * stand still too, as those of a virtual machine may.
 */
#include <math.h>
#include <stdio.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/watch.h"

enum { HEAL_LIMIT_S = 300, HEAL_AIM_S = 60 };

static const uint64_t pauses_s[] = {1, 3, 10, 30, 100, 300};
enum { PAUSES = sizeof(pauses_s) / sizeof(pauses_s[0]) };

struct account {
    uint64_t deaths_by_woken; /* of members that were not paused, at those that were */
    uint64_t healthy_deaths;  /* of members that were not paused, anywhere */
    size_t not_healed;
    struct rf_samples seconds[PAUSES];
    struct rf_samples all;
};

static void run_one(struct rf_run *run, size_t i, size_t paused, size_t k, struct account *account)
{
    struct rf_sim sim;
    rf_run_begin(run, &sim, rf_run_seed(run, i));
    rf_run_formed(&sim, run->members);
    rf_sim_run(&sim, rf_random_below(&sim.random, 10 * RF_SIM_S));
    struct rf_watch watch;
    rf_watch_begin(&watch, &sim, paused);
    for (size_t node = 0; node < watch.count; node++) {
        if (watch.is_bad[node]) {
            rf_sim_pause(&sim, node, pauses_s[k] * RF_SIM_S, i % 2 == 1);
        }
    }
    rf_sim_run(&sim, pauses_s[k] * RF_SIM_S);
    double healed_s = rf_run_heal(&sim, HEAL_LIMIT_S * RF_SIM_S);
    /* What a woken one suspects falsely would be dead by now. */
    rf_sim_run(&sim, 60 * RF_SIM_S);
    double again_s = rf_run_heal(&sim, HEAL_LIMIT_S * RF_SIM_S);
    account->not_healed += isinf(healed_s) || again_s > 0;
    account->deaths_by_woken += watch.healthy_deaths - watch.healthy_deaths_at_healthy;
    account->healthy_deaths += watch.healthy_deaths;
    rf_samples_add(&account->seconds[k], healed_s);
    rf_samples_add(&account->all, healed_s);
    rf_watch_end(&watch, &sim);
    rf_run_end(run, &sim);
}

void rf_scenario_pause(struct rf_run *run)
{
    size_t groups[] = {1, run->members / 8 > 1 ? run->members / 8 : 2, run->members / 2};
    enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };
    struct account account = {0};
    for (size_t k = 0; k < PAUSES; k++) {
        for (size_t group = 0; group < GROUPS; group++) {
            for (size_t i = 0; i < run->seeds; i++) {
                rf_run_progress(run, (k * GROUPS + group) * run->seeds + i,
                                PAUSES * GROUPS * run->seeds, "%zu paused", groups[group]);
                run_one(run, i, groups[group], k, &account);
            }
        }
    }
    rf_run_at_most(run, (double)account.deaths_by_woken, "", 0,
                   "members that ran declared failed by one that woke");
    rf_run_at_most(run, (double)account.healthy_deaths, "", 0, "by any member");
    rf_run_at_most(run, (double)account.not_healed, "", 0,
                   "runs in which views did not become, and stay, equal");
    rf_run_at_most(run, rf_samples_percentile(&account.all, 100), "s", HEAL_AIM_S,
                   "equal views after waking, worst");
    for (size_t k = 0; k < PAUSES; k++) {
        rf_run_figure(run, rf_samples_percentile(&account.seconds[k], 100), "s",
                      "after a pause of %llu s, worst of %zu", (unsigned long long)pauses_s[k],
                      account.seconds[k].count);
        rf_samples_fini(&account.seconds[k]);
    }
    rf_report_distribution(&run->report, "After a pause", "seconds until views are equal",
                           "all pauses", &account.all);
    rf_samples_fini(&account.all);
}
