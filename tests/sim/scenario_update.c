/* SPDX-License-Identifier: MIT
 *
 * scenario_update.c - one member changes its tags: when do the others know, by gossip?
 *
 * Clusters beyond WHOLE_MAX do not fit into memory. In them each member sees SEEN_MAX others at
 * random, so that gossip goes to members that are as random as before. The number of transmissions
 * follows the size of the view, so it is no larger than in a whole cluster.
 */
#include <math.h>
#include <stdio.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"

enum {
    WHOLE_MAX = 5000, /* a view costs 400 bytes for each member: 10 GB all together */
    SEEN_MAX = 1500,  /* members that each one of a larger cluster sees */
    SUBJECTS = 64,    /* of these, that all see and that change */
};

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
static void update_one(struct rf_sim *sim, size_t subjects, struct rf_samples *seconds)
{
    enum { WAIT_S = 3 }; /* above what the aims are */
    struct update update = {.subject = rf_random_below(&sim->random, subjects),
                            .at_ns = sim->now_ns,
                            .seconds = seconds};
    sim->on_member = on_member;
    sim->on_member_context = &update;
    char role[32]; /* new for sure */
    (void)snprintf(role, sizeof(role), "changed at %llu", (unsigned long long)sim->now_ns);
    rf_sim_set_meta(sim, update.subject, role);
    rf_sim_run(sim, WAIT_S * RF_SIM_S);
    sim->on_member = NULL;
    for (size_t i = update.known; i < sim->nodes_count - 1; i++) {
        rf_samples_add(seconds, (double)INFINITY);
    }
}

static void tell(struct rf_run *run, size_t members, struct rf_samples *seconds)
{
    double aim_s = members <= 128 ? 1.9 : members <= 1000 ? 2.2 : 2.5;
    char views[48] = "";
    if (members > WHOLE_MAX) {
        (void)snprintf(views, sizeof(views), ", each sees %d", SEEN_MAX);
    }
    rf_run_at_most(run, rf_samples_percentile(seconds, 99.99), "s", aim_s,
                   "n %zu%s: known by 99.99 %% of the others", members, views);
    rf_run_figure(run, rf_samples_percentile(seconds, 50), "s", "n %zu: by half", members);
    char name[48];
    (void)snprintf(name, sizeof(name), "%zu members", members);
    rf_report_distribution(&run->report, "One update", "seconds after it", name, seconds);
}

/* As rf_run_formed, without push/pulls, which would make each view whole. */
static void form_in_part(struct rf_sim *sim, size_t members)
{
    sim->config.swim.push_pull_interval_ns = 86400 * RF_SIM_S;
    rf_sim_start(sim, members);
    rf_sim_acquaint_some(sim, SUBJECTS, SEEN_MAX);
    rf_sim_run(sim, 5 * RF_SIM_S);
}

/* One cluster for all updates, each sent when the one before has been sent as often as gossip sends
 * it. */
static void run_size(struct rf_run *run, size_t members)
{
    enum { REST_S = 3 };
    struct rf_samples seconds = {0};
    struct rf_sim sim;
    rf_run_begin(run, &sim, run->seed);
    sim.checks_beliefs = members <= 4096;
    rf_run_progress(run, 0, run->seeds, "n %zu, forming", members);
    if (members > WHOLE_MAX) {
        form_in_part(&sim, members);
    } else {
        rf_run_formed(&sim, members);
    }
    for (size_t i = 0; i < run->seeds; i++) {
        rf_run_progress(run, i, run->seeds, "n %zu", members);
        rf_sim_run(&sim, REST_S * RF_SIM_S + rf_random_below(&sim.random, RF_SIM_S));
        update_one(&sim, members > WHOLE_MAX ? SUBJECTS : members, &seconds);
    }
    tell(run, members, &seconds);
    rf_samples_fini(&seconds);
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
