/* SPDX-License-Identifier: MIT
 *
 * scenario_restart.c - processes end and start again with a snapshot of what they knew
 * (gossip/snapshot.h), and with no seed at all: when are all views equal? Snapshots are up to half
 * a second old, as the driver writes them, and every fourth one has come to harm.
 */
#include <math.h>
#include <stdlib.h>

#include "core/assert.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/watch.h"

enum {
    HEAL_LIMIT_S = 300,
    HEAL_AIM_S = 60,
    SNAPSHOT_AGE_MS = 500,
    KNOWN_FIRST = 3, /* gossip/joiner.h */
    DAMAGED_EVERY = 4,
    FLIPS_MAX = 4,
};

struct kind {
    const char *name;
    uint32_t percent; /* of the members */
    uint64_t spread_s;
    uint64_t down_min_s;
    uint64_t down_max_s;
    uint32_t loss_percent;
    uint32_t others_gone; /* members that end for good meanwhile */
};

static const struct kind kinds[] = {
    {"an eighth, down 1 to 5 s", 12, 10, 1, 5, 0, 0},
    {"an eighth, down 1 to 5 min", 12, 10, 60, 300, 0, 2},
    {"half, down 10 to 60 s, 10 % loss", 50, 10, 10, 60, 10, 2},
    {"all within 10 s, down 1 to 5 s", 100, 10, 1, 5, 0, 0},
    {"all at once, down 1 to 5 s, 10 % loss", 100, 0, 1, 5, 10, 0},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct process {
    size_t index;
    uint64_t restart_ns;
    struct rf_snapshot snapshot;
    bool is_damaged;
    uint32_t incarnation; /* when it ended */
    uint32_t joins_done;
    uint32_t tries;
    size_t known_max; /* whom it joins through, the next time */
};

struct account {
    size_t restarts;
    size_t not_healed;
    size_t not_newer; /* undamaged ones whose life went on below the incarnation before */
    struct rf_samples all;
};

/* ---- one process ---- */

static void damage(struct rf_sim *sim, uint8_t *bytes, size_t *size)
{
    for (uint64_t flips = 1 + rf_random_below(&sim->random, FLIPS_MAX); flips > 0; flips--) {
        bytes[rf_random_below(&sim->random, *size)] ^=
            (uint8_t)(1 + rf_random_below(&sim->random, 255));
    }
    *size -= rf_random_below(&sim->random, *size / 2);
}

static void take_snapshot(struct rf_sim *sim, void *context)
{
    struct process *process = context;
    uint8_t *bytes = NULL;
    size_t size = 0;
    int code = rf_serf_snapshot(sim->nodes[process->index].serf, &bytes, &size);
    RF_ASSERT(code == 0);
    if (process->is_damaged) {
        damage(sim, bytes, &size);
    }
    rf_snapshot_init(&process->snapshot, sim->seed);
    code = rf_snapshot_read(&process->snapshot, rf_slice(bytes, size));
    RF_ASSERT(code == 0);
    RF_ASSERT(process->is_damaged || process->snapshot.skipped_size == 0);
    free(bytes);
}

static void end_process(struct rf_sim *sim, void *context)
{
    struct process *process = context;
    struct rf_snapshot_clocks clocks;
    rf_serf_get_clocks(sim->nodes[process->index].serf, &clocks, &process->incarnation);
    rf_sim_kill(sim, process->index);
}

/* As gossip/joiner.c: 3 of those it knows, then 6, 12, 16, until it is not alone. */
static void join_step(struct rf_sim *sim, void *context)
{
    enum { PAUSE_MAX_S = 30 };
    struct process *process = context;
    const struct rf_sim_node *node = &sim->nodes[process->index];
    if (process->tries > 0 && node->joins_done > process->joins_done &&
        rf_serf_alive_count(node->serf) > 1) {
        return;
    }
    process->joins_done = node->joins_done;
    (void)rf_sim_rejoin(sim, process->index, process->known_max); /* nobody: who knows it calls */
    process->known_max = 2 * process->known_max < RF_SERF_JOIN_ADDRESSES_MAX
                             ? 2 * process->known_max
                             : RF_SERF_JOIN_ADDRESSES_MAX;
    uint64_t pause_s = process->tries < 5 ? UINT64_C(1) << process->tries : PAUSE_MAX_S;
    process->tries++;
    rf_sim_at(sim, sim->now_ns + pause_s * RF_SIM_S, join_step, process);
}

static void start_process(struct rf_sim *sim, void *context)
{
    struct process *process = context;
    sim->config.restore = &process->snapshot;
    rf_sim_start_node(sim, process->index, sim->nodes[process->index].name);
    sim->config.restore = NULL;
    join_step(sim, process);
}

/* ---- one run ---- */

/* Plans the ends and starts; returns when the last one starts. */
static uint64_t plan(struct rf_sim *sim, const struct kind *kind, const struct rf_watch *watch,
                     struct process *processes)
{
    uint64_t last_ns = sim->now_ns;
    size_t count = 0;
    for (size_t i = 0; i < watch->count; i++) {
        if (!watch->is_bad[i]) {
            continue;
        }
        uint64_t end_ns =
            sim->now_ns + RF_SIM_S + rf_random_below(&sim->random, kind->spread_s * RF_SIM_S + 1);
        uint64_t down_ns =
            kind->down_min_s * RF_SIM_S +
            rf_random_below(&sim->random, (kind->down_max_s - kind->down_min_s) * RF_SIM_S);
        struct process *process = &processes[count];
        *process = (struct process){.index = i,
                                    .is_damaged = count % DAMAGED_EVERY == DAMAGED_EVERY - 1,
                                    .restart_ns = end_ns + down_ns,
                                    .known_max = KNOWN_FIRST};
        rf_sim_at(sim, end_ns - rf_random_below(&sim->random, SNAPSHOT_AGE_MS * RF_SIM_MS),
                  take_snapshot, process);
        rf_sim_at(sim, end_ns, end_process, process);
        rf_sim_at(sim, process->restart_ns, start_process, process);
        last_ns = process->restart_ns > last_ns ? process->restart_ns : last_ns;
        count++;
    }
    return last_ns;
}

static void end_others(struct rf_sim *sim, const struct kind *kind, const struct rf_watch *watch)
{
    uint32_t left = kind->others_gone;
    for (size_t i = 0; i < watch->count && left > 0; i++) {
        if (!watch->is_bad[i] && left % 2 == 0) {
            rf_sim_kill(sim, i);
            left--;
        } else if (!watch->is_bad[i]) {
            rf_sim_leave(sim, i);
            left--;
        }
    }
}

/* Those that have left are gone for the views only when their processes have ended. */
static void end_left(struct rf_sim *sim)
{
    for (size_t i = 0; i < sim->nodes_count; i++) {
        if (sim->nodes[i].serf != NULL && sim->nodes[i].has_left) {
            rf_sim_kill(sim, i);
        }
    }
}

static void count_not_newer(const struct rf_sim *sim, const struct process *processes, size_t count,
                            struct account *account)
{
    for (size_t i = 0; i < count; i++) {
        struct rf_snapshot_clocks clocks;
        uint32_t incarnation;
        rf_serf_get_clocks(sim->nodes[processes[i].index].serf, &clocks, &incarnation);
        account->not_newer +=
            !processes[i].is_damaged && incarnation <= processes[i].snapshot.incarnation;
    }
}

static double run_one(struct rf_run *run, size_t i, const struct kind *kind,
                      struct account *account)
{
    struct rf_sim sim;
    rf_run_begin(run, &sim, rf_run_seed(run, i));
    rf_run_formed(&sim, run->members);
    rf_sim_run(&sim, rf_random_below(&sim.random, 10 * RF_SIM_S));
    size_t count = run->members * kind->percent / 100 > 0 ? run->members * kind->percent / 100 : 1;
    struct rf_watch watch;
    rf_watch_begin(&watch, &sim, count);
    struct process *processes = calloc(count, sizeof(*processes));
    RF_ASSERT(processes != NULL);
    uint64_t last_ns = plan(&sim, kind, &watch, processes);
    sim.network.loss_ppm = kind->loss_percent * RF_SIM_PERCENT;
    rf_sim_run(&sim, 5 * RF_SIM_S);
    end_others(&sim, kind, &watch);
    rf_sim_run(&sim, last_ns - sim.now_ns);
    end_left(&sim);
    uint64_t start_ns = sim.now_ns;
    bool is_healed = rf_sim_run_until(&sim, rf_sim_is_converged, HEAL_LIMIT_S * RF_SIM_S);
    double healed_s = (double)(sim.now_ns - start_ns) / (double)RF_SIM_S;
    rf_sim_run(&sim, 60 * RF_SIM_S); /* deaths of former lives may come late */
    double again_s = rf_run_heal(&sim, HEAL_LIMIT_S * RF_SIM_S);
    account->restarts += count;
    count_not_newer(&sim, processes, count, account);
    for (size_t k = 0; k < count; k++) {
        rf_snapshot_fini(&processes[k].snapshot);
    }
    free(processes);
    rf_watch_end(&watch, &sim);
    rf_run_end(run, &sim);
    return is_healed && again_s == 0 ? healed_s : (double)INFINITY;
}

void rf_scenario_restart(struct rf_run *run)
{
    struct account account = {0};
    for (size_t k = 0; k < KINDS; k++) {
        struct rf_samples seconds = {0};
        for (size_t i = 0; i < run->seeds; i++) {
            rf_run_progress(run, k * run->seeds + i, KINDS * run->seeds, "%s", kinds[k].name);
            double healed_s = run_one(run, i, &kinds[k], &account);
            account.not_healed += isinf(healed_s);
            rf_samples_add(&seconds, healed_s);
            rf_samples_add(&account.all, healed_s);
        }
        rf_run_at_most(run, rf_samples_percentile(&seconds, 100), "s", HEAL_AIM_S,
                       "%s: equal views, worst", kinds[k].name);
        rf_run_figure(run, rf_samples_percentile(&seconds, 50), "s", "median");
        rf_samples_fini(&seconds);
    }
    rf_run_figure(run, (double)account.restarts, "", "restarts in all, a quarter of them damaged");
    rf_run_at_most(run, (double)account.not_newer, "", 0,
                   "sound snapshots that did not bring a higher incarnation");
    rf_run_at_most(run, (double)account.not_healed, "", 0,
                   "runs in which views did not become, and stay, equal");
    rf_report_distribution(&run->report, "After restarts with a snapshot",
                           "seconds until views are equal", "all", &account.all);
    rf_samples_fini(&account.all);
}
