/* SPDX-License-Identifier: MIT
 */
#include "tests/sim/ring_watch.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

#define TICK_NS RF_SIM_S

struct rf_ring_pair {
    bool is_in;
    struct rf_ring_changes changes;
    uint64_t at_ns[RF_RING_CHANGES_MAX]; /* of the last changes, the latest first; 0: none */
};

static const char group[] = "web"; /* of all nodes of the simulator */

static void set_state(struct rf_ring_watch *watch, const struct rf_sim *sim, size_t observer,
                      size_t subject, enum rf_member_state state)
{
    struct rf_ring_pair *pair = &watch->pairs[observer * watch->count + subject];
    bool is_in = rf_member_is_in_ring(state);
    if (is_in == pair->is_in) {
        return;
    }
    pair->is_in = is_in;
    pair->changes.all++;
    pair->changes.removals += !is_in;
    memmove(&pair->at_ns[1], &pair->at_ns[0], sizeof(pair->at_ns) - sizeof(pair->at_ns[0]));
    pair->at_ns[0] = sim->now_ns;
    uint32_t in_window = 0;
    for (size_t i = 0; i < RF_RING_CHANGES_MAX && pair->at_ns[i] != 0; i++) {
        in_window += sim->now_ns - pair->at_ns[i] < RF_RING_WINDOW_NS;
    }
    if (in_window > pair->changes.window_max) {
        pair->changes.window_max = in_window;
    }
}

static void take_decisions(struct rf_ring_watch *watch, const struct rf_sim *sim, size_t observer)
{
    const char *id;
    enum rf_member_state state;
    while (rf_guard_next(watch->guards[observer], &id, &state)) {
        size_t subject = rf_sim_index(sim, id, strlen(id));
        RF_ASSERT(subject < watch->count);
        set_state(watch, sim, observer, subject, state);
    }
}

static enum rf_member_state said(enum rf_serf_status status)
{
    switch (status) {
    case RF_SERF_ALIVE:
        return RF_MEMBER_ALIVE;
    case RF_SERF_LEAVING:
        return RF_MEMBER_LEAVING;
    case RF_SERF_LEFT:
        return RF_MEMBER_LEFT;
    case RF_SERF_NONE:
    case RF_SERF_FAILED:
        break;
    }
    return RF_MEMBER_FAILED;
}

static void put(struct rf_ring_watch *watch, const struct rf_sim *sim, size_t observer,
                size_t subject, enum rf_serf_status status)
{
    enum rf_member_state state;
    int code = rf_guard_put(watch->guards[observer], sim->now_ns, sim->nodes[subject].name, group,
                            said(status), &state);
    RF_ASSERT(code == 0);
    set_state(watch, sim, observer, subject, state);
    take_decisions(watch, sim, observer);
}

void rf_ring_watch_member(struct rf_ring_watch *watch, const struct rf_sim *sim, size_t observer,
                          const struct rf_output *output)
{
    size_t subject = rf_sim_index(sim, output->name, output->name_size);
    RF_ASSERT(observer < watch->count && subject < watch->count);
    if (output->change == RF_MEMBER_CHANGE_REAP) {
        rf_guard_forget(watch->guards[observer], sim->now_ns, sim->nodes[subject].name);
        set_state(watch, sim, observer, subject, RF_MEMBER_LEFT);
        take_decisions(watch, sim, observer);
        return;
    }
    put(watch, sim, observer, subject, (enum rf_serf_status)output->status);
}

static void tick(struct rf_sim *sim, void *context)
{
    struct rf_ring_watch *watch = context;
    for (size_t i = 0; i < watch->count; i++) {
        rf_guard_tick(watch->guards[i], sim->now_ns);
        take_decisions(watch, sim, i);
    }
    if (watch->count > 0) { /* else it has ended */
        rf_sim_at(sim, sim->now_ns + TICK_NS, tick, watch);
    }
}

void rf_ring_watch_begin(struct rf_ring_watch *watch, struct rf_sim *sim)
{
    static const struct rf_guard_config config = {.flap_hold_ns = RF_GUARD_FLAP_HOLD_NS,
                                                  .protect_ratio = RF_GUARD_PROTECT_RATIO,
                                                  .protect_min = RF_GUARD_PROTECT_MIN};
    *watch = (struct rf_ring_watch){.count = sim->nodes_count};
    watch->guards = calloc(watch->count, sizeof(watch->guards[0]));
    watch->pairs = calloc(watch->count * watch->count, sizeof(watch->pairs[0]));
    RF_ASSERT(watch->guards != NULL && watch->pairs != NULL);
    for (size_t observer = 0; observer < watch->count; observer++) {
        int code = rf_guard_new(&config, &watch->guards[observer], NULL);
        RF_ASSERT(code == 0);
        for (size_t subject = 0; subject < watch->count; subject++) {
            enum rf_serf_status status = rf_sim_status(sim, observer, subject);
            if (status != RF_SERF_NONE) {
                put(watch, sim, observer, subject, status);
                struct rf_ring_pair *pair = &watch->pairs[observer * watch->count + subject];
                *pair = (struct rf_ring_pair){.is_in = pair->is_in}; /* that was no change */
            }
        }
    }
    rf_sim_at(sim, sim->now_ns + TICK_NS, tick, watch);
}

void rf_ring_watch_end(struct rf_ring_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        rf_guard_free(watch->guards[i]);
    }
    free(watch->guards);
    free(watch->pairs);
    *watch = (struct rf_ring_watch){0};
}

struct rf_ring_changes rf_ring_watch_changes(const struct rf_ring_watch *watch, size_t observer,
                                             size_t subject)
{
    return watch->pairs[observer * watch->count + subject].changes;
}
