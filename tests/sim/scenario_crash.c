/* SPDX-License-Identifier: MIT
 *
 * scenario_crash.c - one member of a cluster at rest crashes: when does the first other one declare
 * it failed, and when do all know?
 */
#include <math.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"

struct crash {
    size_t victim;
    uint64_t at_ns;
    size_t known;      /* others that declared it failed */
    uint64_t first_ns; /* after the crash */
    uint64_t last_ns;
    size_t others_failed; /* declared failed, anywhere, and running */
};

static void on_member(struct rf_sim *sim, size_t observer, const struct rf_output *output,
                      void *context)
{
    struct crash *crash = context;
    (void)observer;
    if (output->change != RF_MEMBER_CHANGE_FAILED) {
        return;
    }
    if (rf_sim_index(sim, output->name, output->name_size) != crash->victim) {
        crash->others_failed++;
        return;
    }
    crash->last_ns = sim->now_ns - crash->at_ns;
    crash->first_ns = crash->known == 0 ? crash->last_ns : crash->first_ns;
    crash->known++;
}

static struct crash run_one(struct rf_run *run, uint64_t seed)
{
    struct rf_sim sim;
    rf_run_begin(run, &sim, seed);
    rf_run_formed(&sim, run->members);
    /* at rest: at any moment of the probes' later rounds */
    uint64_t round_ns = run->members * sim.config.swim.probe_interval_ns;
    rf_sim_run(&sim, round_ns + rf_random_below(&sim.random, round_ns));
    struct crash crash = {.victim = rf_random_below(&sim.random, run->members),
                          .at_ns = sim.now_ns};
    sim.on_member = on_member;
    sim.on_member_context = &crash;
    rf_sim_kill(&sim, crash.victim);
    for (int i = 0; i < 120 && crash.known < run->members - 1; i++) {
        rf_sim_run(&sim, RF_SIM_S);
    }
    (void)rf_sim_checkpoint(&sim);
    rf_run_end(run, &sim);
    return crash;
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)RF_SIM_S;
}

void rf_scenario_crash(struct rf_run *run)
{
    struct rf_samples first = {0};
    struct rf_samples all = {0};
    double others_failed = 0;
    for (size_t i = 0; i < run->seeds; i++) {
        rf_run_progress(run, i, run->seeds, "crashes");
        struct crash crash = run_one(run, rf_run_seed(run, i));
        rf_samples_add(&first, crash.known > 0 ? seconds(crash.first_ns) : (double)INFINITY);
        rf_samples_add(&all,
                       crash.known == run->members - 1 ? seconds(crash.last_ns) : (double)INFINITY);
        others_failed += (double)crash.others_failed;
    }
    /* The aims are for 128; the time of a suspicion grows with the logarithm of the members. */
    double scale = run->members <= 10 ? 1 / log10(128) : log10((double)run->members) / log10(128);
    double suspicion_s = 4 * log10(128);
    double more_s = suspicion_s * (scale - 1);
    rf_run_at_most(run, rf_samples_percentile(&first, 50), "s", 10.4 + more_s,
                   "first declared failed, median");
    rf_run_at_most(run, rf_samples_percentile(&first, 99), "s", 11.9 + more_s,
                   "first declared failed, 99 %%");
    rf_run_at_most(run, rf_samples_percentile(&all, 50), "s", 10.7 + more_s,
                   "known by all %zu others, median", run->members - 1);
    rf_run_at_most(run, rf_samples_percentile(&all, 99), "s", 12.2 + more_s,
                   "known by all %zu others, 99 %%", run->members - 1);
    rf_run_at_most(run, others_failed, "", 0, "declared failed while running");
    rf_report_distribution(&run->report, "One crash", "seconds after it", "first", &first);
    rf_report_distribution(&run->report, "One crash", "seconds after it", "known by all", &all);
    rf_samples_fini(&first);
    rf_samples_fini(&all);
}
