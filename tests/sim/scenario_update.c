/* SPDX-License-Identifier: MIT
 *
 * scenario_update.c - one member changes its tags: when do the others know, by gossip?
 *
 * Under loss the aim is the epidemic of "SWIM", DSN 2002, section 4.1: with contact rate beta the
 * part reached after t rounds is 1 / (1 + (n - 1) e^(-beta t)). A round is a gossip interval, beta
 * the fan-out times the part of packets that arrive. SWIM, memberlist and we end the epidemic after
 * L = 4 ceil(log10(n + 1)) transmissions by each member, which by the same reasoning misses a part
 * of e^(-L (1 - loss)), so what is to be reached in that time is the smaller of 99.99 % and the
 * rest.
 */
#include <math.h>
#include <stdio.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"

struct update {
    size_t subject;
    uint64_t at_ns;
    struct rf_samples *seconds;
    size_t known;
};

static void on_member(struct rf_sim *sim, size_t observer, const struct rf_output *output,
                      void *context)
{
    struct update *update = context;
    if (output->change == RF_MEMBER_CHANGE_UPDATE && observer != update->subject &&
        rf_sim_index(sim, output->name, output->name_size) == update->subject) {
        rf_samples_add(update->seconds, (double)(sim->now_ns - update->at_ns) / (double)RF_SIM_S);
        update->known++;
    }
}

/* Adds for each other member when it knew; INFINITY: not in time, which leaves it to a push/pull.
 */
static void run_one(struct rf_run *run, size_t members, uint32_t loss_ppm, uint64_t seed,
                    struct rf_samples *seconds)
{
    enum { WAIT_S = 10 };
    struct rf_sim sim;
    rf_run_begin(run, &sim, seed);
    sim.checks_beliefs = members <= 4096;
    rf_run_formed(&sim, members);
    rf_sim_run(&sim, rf_random_below(&sim.random, 2 * RF_SIM_S));
    sim.network.loss_ppm = loss_ppm;
    struct update update = {
        .subject = rf_random_below(&sim.random, members), .at_ns = sim.now_ns, .seconds = seconds};
    sim.on_member = on_member;
    sim.on_member_context = &update;
    rf_sim_set_meta(&sim, update.subject, "changed");
    rf_sim_run(&sim, WAIT_S * RF_SIM_S);
    for (size_t i = update.known; i < members - 1; i++) {
        rf_samples_add(seconds, (double)INFINITY);
    }
    rf_run_end(run, &sim);
}

static void run_many(struct rf_run *run, size_t members, uint32_t loss_percent, double aim_s)
{
    enum { FANOUT = 3 };
    static const double interval_s = 0.2;
    struct rf_samples seconds = {0};
    size_t seeds = members > 2000 ? (run->seeds + 9) / 10 : run->seeds; /* as many observers */
    for (size_t i = 0; i < seeds; i++) {
        rf_run_progress(run, i, seeds, "updates among %zu, %u %% loss", members, loss_percent);
        run_one(run, members, loss_percent * RF_SIM_PERCENT, rf_run_seed(run, i), &seconds);
    }
    double part = 0.9999;
    double arrives = 1 - loss_percent / 100.0;
    if (loss_percent > 0) {
        double missed = exp(-(double)rf_broadcast_transmit_limit(4, members) * arrives);
        part = 1 - missed < part ? 1 - missed : part;
        aim_s = log((double)(members - 1) * part / (1 - part)) / (FANOUT * arrives) * interval_s;
    }
    rf_run_at_most(run, rf_samples_percentile(&seconds, 100 * part), "s", aim_s,
                   "n %zu, %u %% loss: known by %.4g %% of the others", members, loss_percent,
                   100 * part);
    rf_run_figure(run, rf_samples_percentile(&seconds, 50), "s", "n %zu, %u %% loss: by half",
                  members, loss_percent);
    char name[48];
    (void)snprintf(name, sizeof(name), "%zu members, %u %% loss", members, loss_percent);
    rf_report_distribution(&run->report, "One update", "seconds after it", name, &seconds);
    rf_samples_fini(&seconds);
}

void rf_scenario_update(struct rf_run *run)
{
    static const size_t sizes[] = {128, 1000};
    static const uint32_t losses_percent[] = {0, 10, 50};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t members = run->has_members ? run->members : sizes[i];
        for (size_t k = 0; k < sizeof(losses_percent) / sizeof(losses_percent[0]); k++) {
            double aim_s = members <= 128 ? 1.9 : members <= 1000 ? 2.2 : 2.5;
            run_many(run, members, losses_percent[k], aim_s);
        }
        if (run->has_members) {
            break;
        }
    }
}
