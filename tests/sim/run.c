/* SPDX-License-Identifier: MIT
 *
 * run.c - what scenarios share: seeds, beginning and end of a simulation, progress, healing.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/assert.h"
#include "tests/sim/scenario.h"

const struct rf_scenario *rf_scenario_find(const char *name)
{
    for (size_t i = 0; i < rf_scenarios_count; i++) {
        if (strcmp(rf_scenarios[i].name, name) == 0) {
            return &rf_scenarios[i];
        }
    }
    return NULL;
}

uint64_t rf_run_seed(const struct rf_run *run, size_t i)
{
    return run->seed + i;
}

/* Of machines and simulator, without what is kept for the report. */
static int64_t blocks_held(void)
{
    return rf_sim_blocks_held() - rf_report_blocks_held();
}

void rf_run_begin(struct rf_run *run, struct rf_sim *sim, uint64_t seed)
{
    run->blocks = blocks_held();
    rf_sim_init(sim, seed);
}

void rf_run_end(struct rf_run *run, struct rf_sim *sim)
{
    double virtual_s = (double)(sim->now_ns - sim->start_ns) / (double)RF_SIM_S;
    run->virtual_s += virtual_s;
    run->node_hours += virtual_s * (double)sim->nodes_count / 3600;
    run->events += sim->events;
    run->trace = (run->trace ^ sim->trace) * UINT64_C(0x9e3779b97f4a7c15);
    run->trace ^= run->trace >> 29;
    rf_sim_fini(sim);
    RF_ASSERT(blocks_held() == run->blocks);
}

void rf_run_progress(const struct rf_run *run, size_t done, size_t all, const char *format, ...)
{
    if (!run->has_progress) {
        return;
    }
    char text[128];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)fprintf(stderr, "\r\033[K%s: %zu/%zu %s", run->scenario->name, done, all, text);
    (void)fflush(stderr); /* only for people */
}

void rf_run_formed(struct rf_sim *sim, size_t count)
{
    rf_sim_start(sim, count);
    rf_sim_acquaint(sim);
    rf_sim_run(sim, 5 * RF_SIM_S); /* probes are under way everywhere */
}

static bool is_equal(const struct rf_sim *sim)
{
    for (size_t i = 0; i < sim->nodes_count; i++) {
        if (rf_sim_is_paused(sim, i)) {
            return false;
        }
    }
    return rf_sim_is_converged(sim);
}

double rf_run_heal(struct rf_sim *sim, uint64_t limit_ns)
{
    rf_sim_heal(sim);
    uint64_t start_ns = sim->now_ns;
    bool is_healed = rf_sim_run_until(sim, is_equal, limit_ns);
    size_t views = rf_sim_checkpoint(sim);
    RF_ASSERT(!is_healed || views <= 1);
    return is_healed ? (double)(sim->now_ns - start_ns) / (double)RF_SIM_S : (double)INFINITY;
}
