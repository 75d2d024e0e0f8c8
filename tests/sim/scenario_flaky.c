/* SPDX-License-Identifier: MIT
 *
 * scenario_flaky.c - one member in a hundred has a bad network: which healthy members are
 * declared failed, and how often do the views of the bad ones change? The faults are those of
 * "Stable and Consistent Membership at Scale with Rapid", ATC 2018, section 7.
 */
#include <math.h>
#include <stdlib.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/watch.h"

enum { HEAL_LIMIT_S = 600, PERIOD_S = 20, BAD_LOSS_PERCENT = 80, STEPS = 20 };

struct flaky {
    struct rf_watch watch;
    uint32_t *changes; /* [bad member * nodes + observer]: into and out of its ring */
    size_t *places;    /* by node: which of the bad ones it is */
    uint64_t end_ns;
    bool is_in; /* the loss is of what comes to them, else of what they send */
    bool is_on;
};

static void on_member(struct rf_sim *sim, size_t observer, const struct rf_output *output,
                      void *context)
{
    struct flaky *flaky = context;
    rf_watch_member(&flaky->watch, sim, observer, output);
    size_t subject = rf_sim_index(sim, output->name, output->name_size);
    bool changes_ring = output->change == RF_MEMBER_CHANGE_JOIN ||
                        output->change == RF_MEMBER_CHANGE_FAILED ||
                        output->change == RF_MEMBER_CHANGE_LEAVE;
    if (changes_ring && subject < flaky->watch.count && flaky->watch.is_bad[subject] &&
        !flaky->watch.is_bad[observer]) {
        flaky->changes[flaky->places[subject] * flaky->watch.count + observer]++;
    }
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

struct sums {
    uint64_t healthy_deaths_at_healthy;
    uint64_t healthy_deaths;
    uint64_t changes;
    uint32_t changes_max;
    size_t pairs;
    double healed_s;
};

static void count_changes(const struct flaky *flaky, struct sums *sums)
{
    const struct rf_watch *watch = &flaky->watch;
    for (size_t i = 0; i < watch->bad_count * watch->count; i++) {
        if (!watch->is_bad[i % watch->count]) {
            sums->changes += flaky->changes[i];
            sums->changes_max =
                flaky->changes[i] > sums->changes_max ? flaky->changes[i] : sums->changes_max;
            sums->pairs++;
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
    flaky.changes = calloc(flaky.watch.bad_count * flaky.watch.count, sizeof(flaky.changes[0]));
    flaky.places = calloc(flaky.watch.count, sizeof(flaky.places[0]));
    RF_ASSERT(flaky.changes != NULL && flaky.places != NULL);
    for (size_t k = 0, place = 0; k < flaky.watch.count; k++) {
        flaky.places[k] = flaky.watch.is_bad[k] ? place++ : 0;
    }
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
    count_changes(&flaky, sums);
    sums->healed_s = fmax(sums->healed_s, rf_run_heal(&sim, HEAL_LIMIT_S * RF_SIM_S));
    rf_watch_end(&flaky.watch, &sim);
    free(flaky.changes);
    free(flaky.places);
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
    rf_run_figure(run, (double)sums.changes / (double)sums.pairs, "",
                  "%s: membership changes of a bad member at a healthy one, mean", where);
    rf_run_figure(run, sums.changes_max, "", "%s: most", where);
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
