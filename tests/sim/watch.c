/* SPDX-License-Identifier: MIT
 */
#include "tests/sim/watch.h"

#include <stdlib.h>

#include "core/assert.h"

void rf_watch_member(struct rf_watch *watch, const struct rf_sim *sim, size_t observer,
                     const struct rf_output *output)
{
    size_t subject = rf_sim_index(sim, output->name, output->name_size);
    if (output->change != RF_MEMBER_CHANGE_FAILED || subject >= watch->count ||
        sim->nodes[subject].serf == NULL) {
        return;
    }
    watch->deaths++;
    watch->healthy_deaths += !watch->is_bad[subject];
    watch->healthy_deaths_at_healthy += !watch->is_bad[subject] && !watch->is_bad[observer];
}

static void on_member(struct rf_sim *sim, size_t observer, const struct rf_output *output,
                      void *context)
{
    rf_watch_member(context, sim, observer, output);
}

void rf_watch_begin(struct rf_watch *watch, struct rf_sim *sim, size_t bad_count)
{
    RF_ASSERT(bad_count <= sim->nodes_count);
    *watch = (struct rf_watch){.count = sim->nodes_count, .bad_count = bad_count};
    watch->is_bad = calloc(watch->count, sizeof(watch->is_bad[0]));
    RF_ASSERT(watch->is_bad != NULL);
    for (size_t i = 0; i < bad_count; i++) {
        size_t index = rf_random_below(&sim->random, watch->count);
        while (watch->is_bad[index]) {
            index = (index + 1) % watch->count;
        }
        watch->is_bad[index] = true;
    }
    sim->on_member = on_member;
    sim->on_member_context = watch;
}

void rf_watch_end(struct rf_watch *watch, struct rf_sim *sim)
{
    sim->on_member = NULL;
    free(watch->is_bad);
    watch->is_bad = NULL;
}

void rf_joining_step(struct rf_sim *sim, void *context)
{
    enum { PAUSE_MAX_S = 30 };
    struct rf_joining *joining = context;
    struct rf_sim_node *node = &sim->nodes[joining->index];
    if (node->serf == NULL || (joining->tries > 0 && node->generation != joining->generation)) {
        return; /* the process that wanted to join is gone */
    }
    if (joining->tries > 0 && node->joins_done > joining->joins_done &&
        rf_serf_alive_count(node->serf) > 1) {
        return;
    }
    size_t seed = rf_random_below(&sim->random, joining->seeds_count);
    seed = seed == joining->index ? (seed + 1) % joining->seeds_count : seed;
    RF_ASSERT(seed != joining->index);
    joining->generation = node->generation;
    joining->joins_done = node->joins_done;
    rf_sim_join(sim, joining->index, seed);
    uint64_t pause_s = joining->tries < 5 ? UINT64_C(1) << joining->tries : PAUSE_MAX_S;
    joining->tries++;
    rf_sim_at(sim, sim->now_ns + pause_s * RF_SIM_S, rf_joining_step, joining);
}
