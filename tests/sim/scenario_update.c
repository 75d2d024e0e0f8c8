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
static void update_one(struct rf_sim *sim, struct rf_samples *seconds)
{
    enum { WAIT_S = 3 }; /* above what the aims are */
    struct update update = {.subject = rf_random_below(&sim->random, sim->nodes_count),
                            .at_ns = sim->now_ns,
                            .seconds = seconds};
    sim->on_member = on_member;
    sim->on_member_context = &update;
    char role[32]; /* new for sure */
    (void)snprintf(role, sizeof(role), "changed at %llu", (unsigned long long)sim->now_ns);
    rf_sim_set_meta(sim, update.subject, role);
    rf_sim_run(sim, WAIT_S * RF_SIM_S);
    sim->on_member = NULL;
    sim->network.loss_ppm = 0;
    for (size_t i = update.known; i < sim->nodes_count - 1; i++) {
        rf_samples_add(seconds, (double)INFINITY);
    }
}

/* What is to be reached, in percent, and in which time. */
struct wanted {
    double percent;
    double seconds;
};

static struct wanted wanted(size_t members, uint32_t loss_percent)
{
    enum { FANOUT = 3 };
    static const double interval_s = 0.2;
    struct wanted wanted = {99.99, members <= 128 ? 1.9 : members <= 1000 ? 2.2 : 2.5};
    if (loss_percent > 0) {
        double arrives = 1 - loss_percent / 100.0;
        double missed = exp(-(double)rf_broadcast_transmit_limit(4, members) * arrives);
        double part = fmin(0.9999, 1 - missed);
        wanted.percent = 100 * part;
        wanted.seconds =
            log((double)(members - 1) * part / (1 - part)) / (FANOUT * arrives) * interval_s;
    }
    return wanted;
}

static void tell(struct rf_run *run, size_t members, uint32_t loss_percent,
                 struct rf_samples *seconds)
{
    struct wanted aim = wanted(members, loss_percent);
    rf_run_at_most(run, rf_samples_percentile(seconds, aim.percent), "s", aim.seconds,
                   "n %zu, %u %% loss: known by %.4g %% of the others", members, loss_percent,
                   aim.percent);
    rf_run_figure(run, rf_samples_percentile(seconds, 50), "s", "n %zu, %u %% loss: by half",
                  members, loss_percent);
    char name[48];
    (void)snprintf(name, sizeof(name), "%zu members, %u %% loss", members, loss_percent);
    rf_report_distribution(&run->report, "One update", "seconds after it", name, seconds);
}

/* One cluster for all updates, with time to recover from the suspicions that loss makes: half a
 * second for each percent. */
static void run_size(struct rf_run *run, size_t members)
{
    static const uint32_t losses_percent[] = {0, 10, 50};
    enum { LOSSES = sizeof(losses_percent) / sizeof(losses_percent[0]) };
    struct rf_samples seconds[LOSSES] = {{0}};
    struct rf_sim sim;
    rf_run_begin(run, &sim, run->seed);
    sim.checks_beliefs = members <= 4096;
    rf_run_progress(run, 0, run->seeds, "n %zu, forming", members);
    rf_run_formed(&sim, members);
    for (size_t k = 0; k < LOSSES; k++) {
        for (size_t i = 0; i < run->seeds; i++) {
            rf_run_progress(run, i, run->seeds, "n %zu, %u %% loss", members, losses_percent[k]);
            rf_sim_run(&sim, rf_random_below(&sim.random, RF_SIM_S));
            sim.network.loss_ppm = losses_percent[k] * RF_SIM_PERCENT;
            update_one(&sim, &seconds[k]);
            rf_sim_run(&sim, losses_percent[k] * RF_SIM_S / 2);
        }
        tell(run, members, losses_percent[k], &seconds[k]);
        rf_samples_fini(&seconds[k]);
    }
    rf_run_end(run, &sim);
}

void rf_scenario_update(struct rf_run *run)
{
    static const size_t sizes[] = {128, 1000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        run_size(run, run->has_members ? run->members : sizes[i]);
        if (run->has_members) {
            break;
        }
    }
}
