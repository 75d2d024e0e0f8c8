/* SPDX-License-Identifier: MIT
 *
 * scenario_epidemic.c - one member changes its tags just when the network begins to lose packets:
 * does the news spread as fast, and as far, as the analysis says?
 *
 * The analysis is that of "SWIM", DSN 2002, section 4.1: with contact rate beta the part reached
 * after t rounds is 1 / (1 + (n - 1) e^(-beta t)). A round is a gossip interval, beta the fan-out
 * times the part of packets that arrive. SWIM, memberlist and we end the epidemic when each member
 * has sent the news L = 4 ceil(log10(n + 1)) times, which by the same reasoning misses a part of
 * e^(-L (1 - loss)); so the model ends there. Push/pulls would find the rest, later.
 *
 * Each update is one of a cluster of its own, so that updates are independent and nothing is left
 * of the one before. The mean part reached is held against the model at each tenth of a second, by
 * the lower end of its confidence interval: three standard errors, which all 30 intervals together
 * keep with 96 %. So few updates cannot pass by chance, they can only fail.
 */
#include <math.h>
#include <stdio.h>

#include "core/assert.h"
#include "gossip/broadcast.h"
#include "tests/sim/scenarios.h"

enum {
    STEPS = 30, /* of STEP_NS: the model has ended by then */
    ERRORS = 3, /* standard errors */
};

#define STEP_NS (RF_SIM_S / 10)

static const double margin_percent = 0.5; /* of the members; below it nobody cares */

struct update {
    size_t subject;
    uint64_t at_ns;
    uint32_t counts[STEPS]; /* of members that heard of it in that step */
};

/* Of the parts reached, over all updates. */
struct sums {
    double updates;
    double sum[STEPS];
    double sum_of_squares[STEPS];
};

static void on_member(struct rf_sim *sim, size_t observer, const struct rf_output *output,
                      void *context)
{
    struct update *update = context;
    size_t step = (size_t)((sim->now_ns - update->at_ns) / STEP_NS);
    if (output->change == RF_MEMBER_CHANGE_UPDATE && observer != update->subject && step < STEPS &&
        rf_sim_index(sim, output->name, output->name_size) == update->subject) {
        update->counts[step]++;
    }
}

static void run_one(struct rf_run *run, size_t i, size_t members, uint32_t loss_percent,
                    struct sums *sums)
{
    struct rf_sim sim;
    rf_run_begin(run, &sim, rf_run_seed(run, i));
    rf_run_formed(&sim, members);
    rf_sim_run(&sim, rf_random_below(&sim.random, RF_SIM_S));
    struct update update = {.subject = rf_random_below(&sim.random, members), .at_ns = sim.now_ns};
    sim.on_member = on_member;
    sim.on_member_context = &update;
    sim.network.loss_ppm = loss_percent * RF_SIM_PERCENT;
    rf_sim_set_meta(&sim, update.subject, "changed");
    rf_sim_run(&sim, STEPS * STEP_NS);
    double known = 0;
    for (size_t k = 0; k < STEPS; k++) {
        known += update.counts[k];
        double part = known / (double)(members - 1);
        sums->sum[k] += part;
        sums->sum_of_squares[k] += part * part;
    }
    sums->updates++;
    rf_run_end(run, &sim);
}

static double model(size_t members, uint32_t loss_percent, double seconds)
{
    enum { FANOUT = 3, MULT = 4 };
    static const double interval_s = 0.2;
    double arrives = 1 - loss_percent / 100.0;
    double missed = exp(-(double)rf_broadcast_transmit_limit(MULT, members) * arrives);
    double part = 1 / (1 + (double)(members - 1) * exp(-FANOUT * arrives * seconds / interval_s));
    return fmin(part, 1 - missed);
}

static void tell(struct rf_run *run, size_t members, uint32_t loss_percent, const struct sums *sums)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%zu members, %u %% loss", members, loss_percent);
    struct rf_curve *curve = rf_report_curve(&run->report, "Mean part reached", "seconds",
                                             "% of the members", false, name);
    double behind = -100;
    for (size_t k = 0; k < STEPS; k++) {
        double mean = sums->sum[k] / sums->updates;
        double variance = fmax(0, sums->sum_of_squares[k] / sums->updates - mean * mean);
        double error = sums->updates > 1 ? sqrt(variance / (sums->updates - 1)) : 1;
        double seconds = (double)(k + 1) * (double)STEP_NS / (double)RF_SIM_S;
        behind =
            fmax(behind, 100 * (model(members, loss_percent, seconds) - mean + ERRORS * error));
        rf_curve_add(curve, seconds, 100 * mean);
    }
    (void)snprintf(name, sizeof(name), "%zu members, %u %% loss: model", members, loss_percent);
    curve = rf_report_curve(&run->report, "Mean part reached", "seconds", "% of the members", false,
                            name);
    for (size_t k = 0; k < STEPS; k++) {
        double seconds = (double)(k + 1) * (double)STEP_NS / (double)RF_SIM_S;
        rf_curve_add(curve, seconds, 100 * model(members, loss_percent, seconds));
    }
    rf_run_at_most(run, behind, "%", margin_percent,
                   "n %zu, %u %% loss: behind the model at any time, at most", members,
                   loss_percent);
    enum { EARLY = 4 }; /* half a second */
    rf_run_figure(run, 100 * sums->sum[EARLY] / sums->updates, "%",
                  "n %zu, %u %%: reached after 0.5 s, mean (model %.3f %%)", members, loss_percent,
                  100 * model(members, loss_percent, 0.5));
    rf_run_figure(run, 100 * (1 - sums->sum[STEPS - 1] / sums->updates), "%",
                  "n %zu, %u %%: missed after 3 s, mean (model %.2g %%)", members, loss_percent,
                  100 * (1 - model(members, loss_percent, 3)));
}

void rf_scenario_epidemic(struct rf_run *run)
{
    static const size_t sizes[] = {128, 1000};
    static const uint32_t losses_percent[] = {10, 50};
    enum { LOSSES = sizeof(losses_percent) / sizeof(losses_percent[0]) };
    size_t sizes_count = run->has_members ? 1 : sizeof(sizes) / sizeof(sizes[0]);
    for (size_t size = 0; size < sizes_count; size++) {
        size_t members = run->has_members ? run->members : sizes[size];
        for (size_t k = 0; k < LOSSES; k++) {
            struct sums sums = {0};
            for (size_t i = 0; i < run->seeds; i++) {
                rf_run_progress(run, i, run->seeds, "n %zu, %u %% loss", members,
                                losses_percent[k]);
                run_one(run, i, members, losses_percent[k], &sums);
            }
            tell(run, members, losses_percent[k], &sums);
        }
    }
}
