/* SPDX-License-Identifier: MIT
 *
 * scenario_slow.c - some members stall again and again: how many healthy ones are declared failed?
 *
 * The experiment is that of "Lifeguard: Local Health Awareness for More Accurate Failure
 * Detection", DSN-W 2018, section V: C of 128 members do nothing for a time D, run for a time I,
 * and so on for two minutes. FP are deaths of healthy members that any member reports, FP- those
 * that healthy ones report. There the stalls of all C are simultaneous; here they are in every
 * other seed, and begin each at its own moment in the others. I takes turns with the seeds too.
 *
 * What it is held against is this machine without Lifeguard: no awareness of itself, suspicions of
 * a fixed length, late timers that fire. Three things cannot be switched off: a suspect hears of
 * its suspicion with the ping, confirmations are gossiped, and members take turns to probe. They
 * help the plain machine, so that the comparison is the harder one.
 */
#include <math.h>
#include <stdlib.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/watch.h"

enum { HEAL_LIMIT_S = 300 };

static const uint64_t intervals_ms[] = {64, 1024, 16384};
enum { INTERVALS = sizeof(intervals_ms) / sizeof(intervals_ms[0]) };

struct stall {
    size_t index;
    uint64_t duration_ns;
    uint64_t interval_ns;
    uint64_t end_ns;
    bool is_process;
};

static void stall(struct rf_sim *sim, void *context)
{
    struct stall *stall_of = context;
    if (sim->now_ns >= stall_of->end_ns) {
        return;
    }
    if (stall_of->is_process) {
        rf_sim_pause(sim, stall_of->index, stall_of->duration_ns, false);
    } else {
        rf_sim_hold(sim, stall_of->index, stall_of->duration_ns);
    }
    rf_sim_at(sim, sim->now_ns + stall_of->duration_ns + stall_of->interval_ns, stall, stall_of);
}

static void be_plain(struct rf_swim_config *config)
{
    config->awareness_max = 1;
    config->suspicion_max_timeout_mult = 1;
    config->late_bound_ns = 0;
}

struct cell {
    size_t slow_count;
    uint64_t stall_ns;
    bool is_process; /* the whole process stops; else it blocks in sends and receives only */
    bool is_plain;
};

struct outcome {
    double deaths;         /* of healthy members, at any */
    double deaths_healthy; /* at healthy ones */
    double packets;
    double bytes;
    double not_healed;
};

static void begin_stalls(struct rf_sim *sim, const struct rf_watch *watch, const struct cell *cell,
                         size_t turn, uint64_t end_ns, struct stall *stalls)
{
    uint64_t interval_ns = intervals_ms[turn % INTERVALS] * RF_SIM_MS;
    bool is_together = turn / INTERVALS % 2 == 0;
    size_t count = 0;
    for (size_t i = 0; i < watch->count; i++) {
        if (watch->is_bad[i]) {
            uint64_t phase_ns =
                is_together ? 0 : rf_random_below(&sim->random, cell->stall_ns + interval_ns);
            stalls[count] =
                (struct stall){i, cell->stall_ns, interval_ns, end_ns, cell->is_process};
            rf_sim_at(sim, sim->now_ns + phase_ns, stall, &stalls[count]);
            count++;
        }
    }
}

static struct outcome run_one(struct rf_run *run, size_t i, const struct cell *cell)
{
    struct rf_sim sim;
    rf_run_begin(run, &sim, rf_run_seed(run, i));
    if (cell->is_plain) {
        be_plain(&sim.config.swim);
    }
    rf_run_formed(&sim, run->members);
    rf_sim_run(&sim, rf_random_below(&sim.random, 10 * RF_SIM_S));
    struct rf_watch watch;
    rf_watch_begin(&watch, &sim, cell->slow_count);
    struct stall *stalls = calloc(cell->slow_count, sizeof(*stalls));
    RF_ASSERT(stalls != NULL);
    begin_stalls(&sim, &watch, cell, i, sim.now_ns + run->duration_ns, stalls);
    struct rf_sim_traffic before = rf_sim_traffic(&sim);
    rf_sim_run(&sim, run->duration_ns);
    struct rf_sim_traffic after = rf_sim_traffic(&sim);
    struct outcome outcome = {
        .packets = (double)(after.packets - before.packets),
        .bytes = (double)(after.packet_bytes - before.packet_bytes + after.stream_bytes -
                          before.stream_bytes),
    };
    outcome.not_healed = isinf(rf_run_heal(&sim, HEAL_LIMIT_S * RF_SIM_S));
    outcome.deaths = (double)watch.healthy_deaths;
    outcome.deaths_healthy = (double)watch.healthy_deaths_at_healthy;
    rf_watch_end(&watch, &sim);
    free(stalls);
    rf_run_end(run, &sim);
    return outcome;
}

static void add(struct outcome *sum, const struct outcome *outcome)
{
    sum->deaths += outcome->deaths;
    sum->deaths_healthy += outcome->deaths_healthy;
    sum->packets += outcome->packets;
    sum->bytes += outcome->bytes;
    sum->not_healed += outcome->not_healed;
}

/* In percent. 0 of 0 is 0. */
static double part(double of_ours, double of_plain)
{
    return of_ours > 0 ? 100 * of_ours / of_plain : 0;
}

/* ---- the grid ---- */

static const size_t slow_counts[] = {1, 2, 4, 8, 16, 32};
static const uint64_t stalls_ms[] = {128, 512, 2048, 8192, 32768};
enum {
    SLOW_COUNTS = sizeof(slow_counts) / sizeof(slow_counts[0]),
    STALLS = sizeof(stalls_ms) / sizeof(stalls_ms[0]),
};

struct grid {
    struct outcome plain;
    struct outcome ours;
    double deaths_at_one; /* ours, with one slow member */
};

static void run_row(struct rf_run *run, size_t row, bool is_process, struct grid *grid)
{
    struct outcome sums[2] = {{0}};
    for (size_t k = 0; k < STALLS; k++) {
        for (size_t i = 0; i < run->seeds; i++) {
            rf_run_progress(run, (row * STALLS + k) * run->seeds + i,
                            SLOW_COUNTS * STALLS * run->seeds, "%zu slow, stalls of %.3f s",
                            slow_counts[row], (double)stalls_ms[k] / 1000);
            for (int is_plain = 0; is_plain < 2; is_plain++) {
                struct cell cell = {slow_counts[row], stalls_ms[k] * RF_SIM_MS, is_process,
                                    is_plain != 0};
                struct outcome outcome = run_one(run, i, &cell);
                add(&sums[is_plain], &outcome);
            }
        }
    }
    rf_run_figure(run, sums[0].deaths, "", "%zu slow: FP (plain SWIM %.0f)", slow_counts[row],
                  sums[1].deaths);
    rf_run_figure(run, sums[0].deaths_healthy, "", "%zu slow: FP at healthy (plain SWIM %.0f)",
                  slow_counts[row], sums[1].deaths_healthy);
    grid->deaths_at_one += slow_counts[row] == 1 ? sums[0].deaths : 0;
    add(&grid->ours, &sums[0]);
    add(&grid->plain, &sums[1]);
}

static void run_grid(struct rf_run *run, bool is_process, const char *kind)
{
    struct grid grid = {0};
    for (size_t row = 0; row < SLOW_COUNTS; row++) {
        if (slow_counts[row] <= run->members / 4) {
            run_row(run, row, is_process, &grid);
        }
    }
    rf_run_at_most(run, part(grid.ours.deaths, grid.plain.deaths), "%", 1,
                   "%s: healthy members declared failed, of plain SWIM", kind);
    rf_run_at_most(run, part(grid.ours.deaths_healthy, grid.plain.deaths_healthy), "%", 1,
                   "%s: of these at healthy members", kind);
    rf_run_at_most(run, grid.deaths_at_one, "", 0, "%s: with one slow member", kind);
    rf_run_at_most(run, part(grid.ours.packets, grid.plain.packets), "%", 110,
                   "%s: packets, of plain SWIM", kind);
    rf_run_figure(run, part(grid.ours.bytes, grid.plain.bytes), "%", "%s: bytes, of plain SWIM",
                  kind);
    rf_run_at_most(run, grid.ours.not_healed, "", 0, "%s: runs that did not end in equal views",
                   kind);
}

void rf_scenario_lifeguard(struct rf_run *run)
{
    run_grid(run, false, "blocked I/O");
}

void rf_scenario_stopped(struct rf_run *run)
{
    run_grid(run, true, "stopped processes");
}

/* ---- one point of it, often ---- */

static void run_often(struct rf_run *run, bool is_process, const char *kind)
{
    struct cell cell = {
        .slow_count = run->members / 8, .stall_ns = 8192 * RF_SIM_MS, .is_process = is_process};
    double clean = 0;
    struct outcome sum = {0};
    for (size_t i = 0; i < run->seeds; i++) {
        rf_run_progress(run, i, run->seeds, "%s", kind);
        struct outcome outcome = run_one(run, i, &cell);
        clean += outcome.deaths_healthy == 0;
        add(&sum, &outcome);
    }
    rf_run_at_least(run, 100 * clean / (double)run->seeds, "%", 95,
                    "%s: runs without a healthy member failed at another, %zu of %zu slow", kind,
                    cell.slow_count, run->members);
    rf_run_figure(run, sum.deaths, "", "%s: healthy members declared failed, at any", kind);
    rf_run_figure(run, sum.deaths_healthy, "", "%s: of these at healthy members", kind);
    rf_run_at_most(run, sum.not_healed, "", 0, "%s: runs that did not end in equal views", kind);
}

void rf_scenario_slow16(struct rf_run *run)
{
    run_often(run, false, "blocked I/O");
    run_often(run, true, "stopped processes");
}
