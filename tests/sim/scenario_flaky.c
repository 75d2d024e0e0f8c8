/* SPDX-License-Identifier: MIT
 *
 * scenario_flaky.c - one member in a hundred has a bad network: which healthy members are
 * declared failed, and how often do the bad ones enter and leave rings? The faults are those of
 * "Stable and Consistent Membership at Scale with Rapid", ATC 2018, section 7.
 */
#include <math.h>

#include "tests/sim/ring_watch.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/watch.h"

enum { HEAL_LIMIT_S = 600, PERIOD_S = 20, BAD_LOSS_PERCENT = 80, STEPS = 20 };

struct flaky {
    struct rf_watch watch;
    struct rf_ring_watch rings;
    uint64_t
        changes; /* of bad members at healthy ones, as gossip says: failed, left, alive again */
    uint64_t end_ns;
    bool is_in; /* the loss is of what comes to them, else of what they send */
    bool is_on;
};

static void on_member(struct rf_sim *sim, size_t observer, const struct rf_output *output,
                      void *context)
{
    struct flaky *flaky = context;
    rf_watch_member(&flaky->watch, sim, observer, output);
    rf_ring_watch_member(&flaky->rings, sim, observer, output);
    size_t subject = rf_sim_index(sim, output->name, output->name_size);
    bool is_change = output->change == RF_MEMBER_CHANGE_JOIN ||
                     output->change == RF_MEMBER_CHANGE_FAILED ||
                     output->change == RF_MEMBER_CHANGE_LEAVE;
    flaky->changes += is_change && flaky->watch.is_bad[subject] && !flaky->watch.is_bad[observer];
}

static void set_loss(struct rf_sim *sim, const struct flaky *flaky, uint32_t percent)
{
    for (size_t i = 0; i < flaky->watch.count; i++) {
        if (flaky->watch.is_bad[i]) {
            uint32_t loss_ppm = percent * RF_SIM_PERCENT;
            sim->nodes[i].in_loss_ppm = flaky->is_in ? loss_ppm : 0;
            sim->nodes[i].out_loss_ppm = flaky->is_in ? 0 : loss_ppm;
        }
    }
}

static void toggle(struct rf_sim *sim, void *context)
{
    struct flaky *flaky = context;
    if (sim->now_ns < flaky->end_ns) {
        flaky->is_on = !flaky->is_on;
        set_loss(sim, flaky, flaky->is_on ? 100 : 0);
        rf_sim_at(sim, sim->now_ns + PERIOD_S * RF_SIM_S, toggle, flaky);
    }
}

/* At healthy members, over all runs. */
struct sums {
    uint64_t healthy_deaths_at_healthy;
    uint64_t healthy_deaths;
    uint64_t changes;
    size_t bad_pairs; /* (observer, bad member) */
    uint64_t ring_changes;
    uint32_t ring_changes_max; /* in a window */
    uint64_t healthy_removals;
    double healed_s;
};

static void count_ring_changes(const struct flaky *flaky, struct sums *sums)
{
    const struct rf_watch *watch = &flaky->watch;
    for (size_t observer = 0; observer < watch->count; observer++) {
        for (size_t subject = 0; subject < watch->count; subject++) {
            struct rf_ring_changes changes =
                rf_ring_watch_changes(&flaky->rings, observer, subject);
            if (watch->is_bad[observer] || observer == subject) {
                continue;
            }
            if (!watch->is_bad[subject]) {
                sums->healthy_removals += changes.removals;
                continue;
            }
            sums->bad_pairs++;
            sums->ring_changes += changes.all;
            if (changes.window_max > sums->ring_changes_max) {
                sums->ring_changes_max = changes.window_max;
            }
        }
    }
}

static void run_one(struct rf_run *run, size_t i, bool toggles, bool is_in, struct sums *sums)
{
    struct rf_sim sim;
    rf_run_begin(run, &sim, rf_run_seed(run, i));
    rf_run_formed(&sim, run->members);
    struct flaky flaky = {.is_in = is_in, .end_ns = sim.now_ns + run->duration_ns};
    rf_watch_begin(&flaky.watch, &sim, run->members >= 100 ? run->members / 100 : 1);
    rf_ring_watch_begin(&flaky.rings, &sim);
    sim.on_member = on_member;
    sim.on_member_context = &flaky;
    if (toggles) {
        toggle(&sim, &flaky);
    } else {
        set_loss(&sim, &flaky, BAD_LOSS_PERCENT);
    }
    for (size_t k = 0; k < STEPS; k++) {
        rf_run_progress(run, i, run->seeds, "loss of what %s, %zu%%",
                        is_in ? "comes in" : "goes out", 100 * k / STEPS);
        rf_sim_run(&sim, run->duration_ns / STEPS);
    }
    sums->healthy_deaths += flaky.watch.healthy_deaths;
    sums->healthy_deaths_at_healthy += flaky.watch.healthy_deaths_at_healthy;
    sums->changes += flaky.changes;
    sums->healed_s = fmax(sums->healed_s, rf_run_heal(&sim, HEAL_LIMIT_S * RF_SIM_S));
    count_ring_changes(&flaky, sums);
    rf_ring_watch_end(&flaky.rings);
    rf_watch_end(&flaky.watch, &sim);
    rf_run_end(run, &sim);
}

static void run_direction(struct rf_run *run, bool toggles, bool is_in)
{
    struct sums sums = {0};
    for (size_t i = 0; i < run->seeds; i++) {
        run_one(run, i, toggles, is_in, &sums);
    }
    const char *where = is_in ? "loss in" : "loss out";
    rf_run_at_most(run, (double)sums.healthy_deaths_at_healthy, "", 0,
                   "%s: healthy members declared failed at healthy ones", where);
    rf_run_figure(run, (double)(sums.healthy_deaths - sums.healthy_deaths_at_healthy), "",
                  "%s: at bad ones", where);
    rf_run_at_most(run, (double)sums.healthy_removals, "", 0,
                   "%s: healthy members removed from rings at healthy ones", where);
    rf_run_at_most(run, sums.ring_changes_max, "", 2,
                   "%s: ring changes of a bad member in ten minutes, most", where);
    rf_run_figure(run, (double)sums.ring_changes / (double)sums.bad_pairs, "",
                  "%s: of one at one registry, mean of the whole run", where);
    rf_run_figure(run, (double)sums.changes / (double)sums.bad_pairs, "",
                  "%s: membership changes, likewise", where);
    rf_run_at_most(run, sums.healed_s, "s", HEAL_LIMIT_S, "%s: then equal views after, worst",
                   where);
}

void rf_scenario_flaky(struct rf_run *run)
{
    run_direction(run, true, true);
    run_direction(run, true, false);
}

void rf_scenario_lossy_few(struct rf_run *run)
{
    run_direction(run, false, false);
    run_direction(run, false, true);
}
