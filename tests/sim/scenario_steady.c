/* SPDX-License-Identifier: MIT
 *
 * scenario_steady.c - a cluster at rest in which ten members crash, spread over the time. What a
 * node sends is counted as it is on the wire, compressed as the driver does; headers of IP, UDP and
 * TCP are not.
 */
#include "core/assert.h"
#include "tests/sim/scenarios.h"

enum { CRASHES = 10 };

static void crash(struct rf_sim *sim, void *context)
{
    (void)context;
    size_t index = rf_random_below(&sim->random, sim->nodes_count);
    while (sim->nodes[index].serf == NULL) {
        index = (index + 1) % sim->nodes_count;
    }
    rf_sim_kill(sim, index);
}

void rf_scenario_steady(struct rf_run *run)
{
    enum { STEPS = 20 };
    struct rf_samples rates = {0};
    double packets = 0;
    double stream_bytes = 0;
    double false_deaths = 0;
    double equal_after_s = 0;
    for (size_t i = 0; i < run->seeds; i++) {
        struct rf_sim sim;
        rf_run_begin(run, &sim, rf_run_seed(run, i));
        rf_sim_use_codec(&sim, false);
        rf_run_formed(&sim, run->members);
        struct rf_sim_traffic before = rf_sim_traffic(&sim);
        size_t crashes = run->members > 2 * CRASHES ? CRASHES : 0;
        for (size_t k = 0; k < crashes; k++) {
            rf_sim_at(&sim, sim.now_ns + run->duration_ns * k / CRASHES, crash, NULL);
        }
        for (size_t k = 0; k < STEPS; k++) {
            rf_run_progress(run, i, run->seeds, "%zu%%", 100 * k / STEPS);
            rf_sim_run(&sim, run->duration_ns / STEPS);
        }
        struct rf_sim_traffic after = rf_sim_traffic(&sim);
        double node_s = (double)run->members * (double)run->duration_ns / (double)RF_SIM_S;
        double packet_bytes = (double)(after.packet_bytes - before.packet_bytes);
        stream_bytes += (double)(after.stream_bytes - before.stream_bytes) / node_s;
        packets += (double)(after.packets - before.packets) / node_s;
        rf_samples_add(&rates, (packet_bytes + (double)(after.stream_bytes - before.stream_bytes)) /
                                   node_s);
        double healed_s = rf_run_heal(&sim, 300 * RF_SIM_S);
        equal_after_s = healed_s > equal_after_s ? healed_s : equal_after_s;
        for (size_t k = 0; k < sim.nodes_count; k++) {
            if (sim.nodes[k].serf != NULL) {
                double failed = (double)sim.nodes[k].changes[RF_MEMBER_CHANGE_FAILED];
                false_deaths += failed > (double)crashes ? failed - (double)crashes : 0;
            }
        }
        rf_run_end(run, &sim);
    }
    double seeds = (double)run->seeds;
    rf_run_at_most(run, rf_samples_percentile(&rates, 100), "B/s", 1000,
                   "sent by a node of %zu, mean over nodes, worst seed", run->members);
    rf_run_figure(run, stream_bytes / seeds, "B/s", "of it push/pulls");
    rf_run_figure(run, packets / seeds, "1/s", "packets sent by a node");
    rf_run_at_most(run, false_deaths, "", 0, "members declared dead that were not");
    rf_run_at_most(run, equal_after_s, "s", 300, "then equal views after");
    rf_samples_fini(&rates);
}
