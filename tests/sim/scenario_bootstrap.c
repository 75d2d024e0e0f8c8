/* SPDX-License-Identifier: MIT
 *
 * scenario_bootstrap.c - all members start at about the same time and join through one of them:
 * when does everybody see everybody?
 */
#include <math.h>
#include <stdio.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"

static void join_first(struct rf_sim *sim, void *context)
{
    size_t index = (size_t)((struct rf_sim_node *)context - sim->nodes);
    rf_sim_join(sim, index, 0);
}

static bool all_see_all(const struct rf_sim *sim)
{
    for (size_t i = 0; i < sim->nodes_count; i++) {
        if (rf_serf_alive_count(sim->nodes[i].serf) != sim->nodes_count) {
            return false;
        }
    }
    return true;
}

static double run_one(struct rf_run *run, size_t members, uint64_t seed, uint64_t *ret_bytes_max)
{
    struct rf_sim sim;
    rf_run_begin(run, &sim, seed);
    rf_sim_start(&sim, members);
    uint64_t start_ns = sim.now_ns;
    for (size_t i = 1; i < members; i++) {
        rf_sim_at(&sim, start_ns + rf_random_below(&sim.random, RF_SIM_S / 10), join_first,
                  &sim.nodes[i]);
    }
    bool is_done = rf_sim_run_until(&sim, all_see_all, run->duration_ns);
    double spent_s = (double)(sim.now_ns - start_ns) / (double)RF_SIM_S;
    for (size_t i = 0; i < members; i++) {
        const struct rf_sim_traffic *traffic = &sim.nodes[i].traffic;
        uint64_t bytes = traffic->packet_bytes + traffic->stream_bytes;
        *ret_bytes_max = bytes > *ret_bytes_max ? bytes : *ret_bytes_max;
    }
    if (is_done) {
        size_t views = rf_sim_checkpoint(&sim);
        RF_ASSERT(views == 1);
    }
    rf_run_end(run, &sim);
    return is_done ? spent_s : (double)INFINITY;
}

void rf_scenario_bootstrap(struct rf_run *run)
{
    static const size_t sizes[] = {1000, 2000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t members = run->has_members ? run->members : sizes[i];
        struct rf_samples seconds = {0};
        uint64_t bytes_max = 0;
        for (size_t k = 0; k < run->seeds; k++) {
            rf_run_progress(run, k, run->seeds, "starts of %zu", members);
            rf_samples_add(&seconds, run_one(run, members, rf_run_seed(run, k), &bytes_max));
        }
        rf_run_at_most(run, rf_samples_percentile(&seconds, 100), "s", members <= 1000 ? 20 : 30,
                       "n %zu: all see all, worst of %zu", members, run->seeds);
        rf_run_figure(run, rf_samples_percentile(&seconds, 50), "s", "n %zu: median", members);
        rf_run_figure(run, (double)bytes_max / 1e6, "MB", "n %zu: sent by the busiest node",
                      members);
        rf_samples_fini(&seconds);
        if (run->has_members) {
            break;
        }
    }
}
