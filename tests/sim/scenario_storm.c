/* SPDX-License-Identifier: MIT
 *
 * scenario_storm.c - every process ends and starts again with its incarnation lost, while others
 * remember a higher one: when are all views equal?
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
    SEEDS_OF_ALL = 3, /* members that all join through */
    OLD_UPDATES_MAX = 5,
};

struct storm {
    const char *name;
    uint64_t spread_ns;   /* processes end at random within this time */
    uint64_t downtime_ns; /* and are down for up to this time */
    uint32_t loss_percent;
};

static const struct storm storms[] = {
    {"at once", RF_SIM_S / 10, RF_SIM_S, 0},
    {"within 10 s, down up to 5 s", 10 * RF_SIM_S, 5 * RF_SIM_S, 0},
    {"within 60 s, down up to 30 s", 60 * RF_SIM_S, 30 * RF_SIM_S, 0},
    {"within 10 s, down up to 5 s, 10 % loss", 10 * RF_SIM_S, 5 * RF_SIM_S, 10},
};
enum { STORMS = sizeof(storms) / sizeof(storms[0]) };

static void end_process(struct rf_sim *sim, void *context)
{
    rf_sim_kill(sim, ((const struct rf_joining *)context)->index);
}

static void start_process(struct rf_sim *sim, void *context)
{
    struct rf_joining *joining = context;
    rf_sim_start_node(sim, joining->index, sim->nodes[joining->index].name);
    rf_joining_step(sim, joining);
}

/* Members have changed before, and differently often: their next life begins far behind. */
static void grow_old(struct rf_sim *sim)
{
    for (size_t i = 0; i < sim->nodes_count; i++) {
        for (uint64_t k = rf_random_below(&sim->random, OLD_UPDATES_MAX + 1); k > 0; k--) {
            char role[32];
            (void)snprintf(role, sizeof(role), "life %llu", (unsigned long long)k);
            rf_sim_set_meta(sim, i, role);
        }
    }
    rf_sim_run(sim, 10 * RF_SIM_S);
}

static double run_one(struct rf_run *run, size_t i, const struct storm *storm)
{
    struct rf_sim sim;
    rf_run_begin(run, &sim, rf_run_seed(run, i));
    rf_run_formed(&sim, run->members);
    grow_old(&sim);
    struct rf_joining *joinings = calloc(run->members, sizeof(*joinings));
    RF_ASSERT(joinings != NULL);
    uint64_t last_ns = sim.now_ns;
    for (size_t k = 0; k < run->members; k++) {
        uint64_t end_ns = sim.now_ns + rf_random_below(&sim.random, storm->spread_ns);
        uint64_t start_ns = end_ns + 1 + rf_random_below(&sim.random, storm->downtime_ns);
        joinings[k] = (struct rf_joining){.index = k, .seeds_count = SEEDS_OF_ALL};
        rf_sim_at(&sim, end_ns, end_process, &joinings[k]);
        rf_sim_at(&sim, start_ns, start_process, &joinings[k]);
        last_ns = start_ns > last_ns ? start_ns : last_ns;
    }
    sim.network.loss_ppm = storm->loss_percent * RF_SIM_PERCENT;
    rf_sim_run(&sim, last_ns - sim.now_ns);
    bool is_healed = rf_sim_run_until(&sim, rf_sim_is_converged, HEAL_LIMIT_S * RF_SIM_S);
    double healed_s = (double)(sim.now_ns - last_ns) / (double)RF_SIM_S;
    rf_sim_run(&sim, 60 * RF_SIM_S); /* deaths of former lives may come late */
    double again_s = rf_run_heal(&sim, HEAL_LIMIT_S * RF_SIM_S);
    free(joinings);
    rf_run_end(run, &sim);
    return is_healed && again_s == 0 ? healed_s : (double)INFINITY;
}

void rf_scenario_storm(struct rf_run *run)
{
    size_t stuck = 0;
    for (size_t k = 0; k < STORMS; k++) {
        struct rf_samples seconds = {0};
        for (size_t i = 0; i < run->seeds; i++) {
            rf_run_progress(run, k * run->seeds + i, STORMS * run->seeds, "%s", storms[k].name);
            double healed_s = run_one(run, i, &storms[k]);
            stuck += isinf(healed_s);
            rf_samples_add(&seconds, healed_s);
        }
        rf_run_at_most(run, rf_samples_percentile(&seconds, 100), "s", HEAL_AIM_S,
                       "%s: equal views after the last start, worst", storms[k].name);
        rf_run_figure(run, rf_samples_percentile(&seconds, 50), "s", "median");
        rf_report_distribution(&run->report, "After a restart storm",
                               "seconds until views are equal", storms[k].name, &seconds);
        rf_samples_fini(&seconds);
    }
    rf_run_at_most(run, (double)stuck, "", 0,
                   "runs in which views did not become, and stay, equal");
}
