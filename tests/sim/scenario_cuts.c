/* SPDX-License-Identifier: MIT
 *
 * scenario_cuts.c - exhaustive: for every n up to --members, every way to cut the links from some
 * members to all others in one direction, and every single link in one direction, each for as long
 * as a death takes to be forgotten; then all must see all again.
 */
#include <math.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"

struct account {
    size_t cuts;
    size_t not_healed;
    size_t false_deaths; /* beyond a single cut link, which others can make up for */
    struct rf_samples seconds;
};

static void cut_set(struct rf_sim *sim, size_t members, unsigned set)
{
    for (size_t from = 0; from < members; from++) {
        for (size_t to = 0; to < members; to++) {
            bool is_from = (set >> from & 1) != 0;
            bool is_to = (set >> to & 1) != 0;
            if (is_from && !is_to) {
                rf_sim_cut(sim, from, to, true);
            }
        }
    }
}

static struct rf_sim *formed(struct rf_run *run, struct rf_sim *sim, size_t members, uint64_t seed)
{
    rf_run_begin(run, sim, seed);
    rf_run_formed(sim, members);
    return sim;
}

static uint64_t failed_count(const struct rf_sim *sim)
{
    uint64_t count = 0;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        count += sim->nodes[i].changes[RF_MEMBER_CHANGE_FAILED];
    }
    return count;
}

static void finish(struct rf_run *run, struct rf_sim *sim, struct account *account)
{
    enum { HEAL_S = 300 };
    double healed_s = rf_run_heal(sim, HEAL_S * RF_SIM_S);
    account->cuts++;
    account->not_healed += isinf(healed_s);
    rf_samples_add(&account->seconds, healed_s);
    rf_run_end(run, sim);
}

static void cut_sets(struct rf_run *run, size_t members, uint64_t seed, struct account *account)
{
    for (unsigned set = 1; set + 1 < 1U << members; set++) {
        struct rf_sim sim;
        cut_set(formed(run, &sim, members, seed + set), members, set);
        rf_sim_run(&sim, run->duration_ns);
        finish(run, &sim, account);
    }
}

static void cut_links(struct rf_run *run, size_t members, uint64_t seed, struct account *account)
{
    for (size_t from = 0; from < members; from++) {
        for (size_t to = 0; to < members; to++) {
            if (from == to) {
                continue;
            }
            struct rf_sim sim;
            rf_sim_cut(formed(run, &sim, members, seed + from * members + to), from, to, true);
            rf_sim_run(&sim, run->duration_ns);
            account->false_deaths += members >= 3 ? failed_count(&sim) : 0;
            finish(run, &sim, account);
        }
    }
}

void rf_scenario_cuts(struct rf_run *run)
{
    struct account account = {0};
    for (size_t i = 0; i < run->seeds; i++) {
        for (size_t members = 2; members <= run->members; members++) {
            rf_run_progress(run, i, run->seeds, "n %zu, %zu cuts", members, account.cuts);
            uint64_t seed = rf_run_seed(run, i) << 16;
            cut_sets(run, members, seed, &account);
            cut_links(run, members, seed + (1U << 12), &account);
        }
    }
    rf_run_figure(run, (double)account.cuts, "", "one-way cuts, n 2..%zu", run->members);
    rf_run_at_most(run, (double)account.not_healed, "", 0, "of them not healed to equal views");
    rf_run_at_most(run, (double)account.false_deaths, "", 0,
                   "members declared failed for a single cut link, n >= 3");
    rf_run_figure(run, rf_samples_percentile(&account.seconds, 50), "s", "equal views, median");
    rf_run_figure(run, rf_samples_percentile(&account.seconds, 100), "s", "equal views, worst");
    rf_report_distribution(&run->report, "After a one-way cut", "seconds until views are equal",
                           "all cuts", &account.seconds);
    rf_samples_fini(&account.seconds);
}
