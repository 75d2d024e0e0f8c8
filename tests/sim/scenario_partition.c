/* SPDX-License-Identifier: MIT
 *
 * scenario_partition.c - the network falls into halves for 1 s to 30 min and heals: when are all
 * views equal?
 */
#include <math.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"

static const uint64_t cuts_s[] = {1, 10, 60, 300, 1800};
enum { CUTS = sizeof(cuts_s) / sizeof(cuts_s[0]), HEAL_LIMIT_S = 300 };

void rf_scenario_partition(struct rf_run *run)
{
    struct rf_samples all = {0};
    size_t not_healed = 0;
    for (size_t k = 0; k < CUTS; k++) {
        struct rf_samples seconds = {0};
        for (size_t i = 0; i < run->seeds; i++) {
            rf_run_progress(run, k * run->seeds + i, CUTS * run->seeds, "partitions of %llu s",
                            (unsigned long long)cuts_s[k]);
            struct rf_sim sim;
            rf_run_begin(run, &sim, rf_run_seed(run, i));
            rf_run_formed(&sim, run->members);
            rf_sim_run(&sim, rf_random_below(&sim.random, 10 * RF_SIM_S));
            rf_sim_partition(&sim, run->members / 2, true, true);
            rf_sim_run(&sim, cuts_s[k] * RF_SIM_S);
            double healed_s = rf_run_heal(&sim, HEAL_LIMIT_S * RF_SIM_S);
            rf_sim_run(&sim, 60 * RF_SIM_S); /* what is believed of before may come up again */
            double again_s = rf_run_heal(&sim, HEAL_LIMIT_S * RF_SIM_S);
            not_healed += isinf(healed_s) || again_s > 0;
            rf_samples_add(&seconds, healed_s);
            rf_samples_add(&all, healed_s);
            rf_run_end(run, &sim);
        }
        rf_run_figure(run, rf_samples_percentile(&seconds, 50), "s",
                      "after a partition of %llu s: equal views, median",
                      (unsigned long long)cuts_s[k]);
        rf_run_figure(run, rf_samples_percentile(&seconds, 100), "s", "worst of %zu",
                      seconds.count);
        rf_samples_fini(&seconds);
    }
    rf_run_at_most(run, (double)not_healed, "", 0,
                   "runs in which views did not become, and stay, equal");
    rf_run_at_most(run, rf_samples_percentile(&all, 100), "s", HEAL_LIMIT_S,
                   "equal views after healing, worst");
    rf_report_distribution(&run->report, "After a partition", "seconds until views are equal",
                           "all partitions", &all);
    rf_samples_fini(&all);
}
