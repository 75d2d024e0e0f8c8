/* SPDX-License-Identifier: MIT
 *
 * swim_late.c - when this node itself was late, and how it catches up. Ours, not memberlist's.
 *
 * A process that was stopped for 20 s finds all of its timers due at once, and would declare
 * everybody dead that it happened to suspect, though it was not there to hear their refutation.
 * Time in which this node did not run tells nothing about others. So it is noticed, at the first
 * input after it, and all that waits for others waits that much longer.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/assert.h"
#include "gossip/swim_private.h"

#define NS_PER_MS UINT64_C(1000000)

/*
 * Pauses of the series, in thirtieths of the push/pull interval: 1, 3 and 7 s from its beginning in
 * a LAN. The later ones are for large clusters that all start at once: each push/pull triples the
 * number of those that know everybody, so thousands need eight or nine of them. They come only if
 * the number of nodes has changed since the one before, or one of the last two met another number:
 * who lacks a node that few know of yet hears nothing new from others that lack it too, and there
 * are some that lack the very same ones.
 */
static const uint64_t catch_up_pauses[] = {0, 1, 2, 4, 4, 3, 3, 3, 3, 3};
enum {
    CATCH_UP_UNIT = 30,
    CATCH_UP_ALWAYS = 4,
    CATCH_UP_STEPS = sizeof(catch_up_pauses) / sizeof(catch_up_pauses[0])
};

/* ---- catching up ---- */

/* A fifth more or less, at random: nodes that start together shall not all call together. */
static uint64_t catch_up_at_ns(struct rf_swim *swim, uint64_t now_ns, uint32_t step)
{
    uint64_t pause_ns = swim->config.push_pull_interval_ns / CATCH_UP_UNIT * catch_up_pauses[step];
    return now_ns + pause_ns - pause_ns / 5 + rf_random_below(&swim->random, 2 * pause_ns / 5 + 1);
}

void rf_swim_catch_up(struct rf_swim *swim, uint64_t now_ns, bool is_at_once)
{
    if (swim->is_leaving || swim->catch_up_at_ns != UINT64_MAX) {
        return;
    }
    swim->catch_up_step = is_at_once ? 0 : 1;
    swim->catch_up_at_ns = catch_up_at_ns(swim, now_ns, swim->catch_up_step);
}

void rf_swim_catch_up_tick(struct rf_swim *swim, uint64_t now_ns)
{
    if (swim->catch_up_at_ns > now_ns) {
        return;
    }
    if (swim->catch_up_step >= CATCH_UP_ALWAYS && swim->catch_up_nodes == swim->nodes.count &&
        swim->catch_up_doubts == 0) {
        swim->catch_up_at_ns = UINT64_MAX;
        return;
    }
    swim->catch_up_nodes = swim->nodes.count;
    swim->catch_up_doubts -= swim->catch_up_doubts > 0;
    struct rf_node *partner = NULL;
    if (!swim->is_leaving &&
        rf_node_table_pick(&swim->nodes, &swim->random, rf_node_is_alive_other, swim->self,
                           &partner, 1) == 1 &&
        rf_swim_push_pull(swim, now_ns, &partner->address, RF_EXCHANGE_PERIODIC, 0) != 0) {
        swim->stats.push_pulls_early++; /* with all streams in use the next one will do */
    }
    swim->catch_up_step++;
    swim->catch_up_at_ns = swim->catch_up_step == CATCH_UP_STEPS
                               ? UINT64_MAX
                               : catch_up_at_ns(swim, now_ns, swim->catch_up_step);
}

/* ---- lateness ---- */

/* The time since something was due, of that in which there was no input either. */
static uint64_t lateness_ns(const struct rf_swim *swim, uint64_t now_ns)
{
    uint64_t due_ns = rf_swim_deadline_ns(swim);
    due_ns = due_ns > swim->seen_ns ? due_ns : swim->seen_ns;
    return now_ns > due_ns ? now_ns - due_ns : 0;
}

static void tell_people(struct rf_swim *swim, uint64_t late_ns)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "nothing was done for %" PRIu64 " ms", late_ns / NS_PER_MS);
    rf_swim_notice(swim, RF_NOTICE_LATE, swim->self, text);
}

/*
 * The probe goes on with the time that it had left, suspects likewise. After a long pause suspects
 * get the shortest time that a suspicion takes, even if theirs was about to end: their refutation
 * may have been dropped by a full socket, and the push/pull that follows tells it.
 */
static void make_up_for(struct rf_swim *swim, uint64_t now_ns, uint64_t late_ns)
{
    struct rf_suspicion_params params =
        rf_suspicion_params(swim->config.suspicion_mult, swim->config.suspicion_max_timeout_mult,
                            swim->config.probe_interval_ns, swim->nodes.count);
    uint64_t grace_ns = late_ns < params.min_ns ? late_ns : params.min_ns;
    rf_swim_suspicions_shift(swim, late_ns, now_ns + grace_ns);
    if (swim->probe.is_active) {
        swim->probe.start_ns += late_ns;
        swim->probe.timeout_ns += late_ns;
        swim->probe.expiry_ns += late_ns;
    }
    rf_swim_claims_shift(swim, late_ns);
    for (size_t i = 0; i < RF_SWIM_EXCHANGES_MAX; i++) {
        if (swim->exchanges[i].purpose != RF_EXCHANGE_NONE) {
            swim->exchanges[i].deadline_ns += late_ns;
        }
    }
    if (swim->leave_deadline_ns != UINT64_MAX) {
        swim->leave_deadline_ns += late_ns;
    }
    rf_swim_awareness_add(swim, 1 + (int64_t)(late_ns / swim->config.probe_interval_ns));
    swim->stats.pauses++;
    swim->stats.pauses_ms += late_ns / NS_PER_MS;
    if (late_ns >= swim->config.probe_interval_ns) {
        tell_people(swim, late_ns);
    }
    /* In less nobody can have died, ourselves included, and what was said waits in the socket. */
    if (late_ns >= params.min_ns) {
        rf_swim_catch_up(swim, now_ns, true);
    }
}

uint64_t rf_swim_time(struct rf_swim *swim, uint64_t now_ns)
{
    RF_ASSERT(now_ns >= swim->seen_ns);
    uint64_t bound_ns = swim->config.late_bound_ns;
    uint64_t late_ns = 0;
    if (bound_ns > 0 && now_ns - swim->seen_ns > bound_ns) {
        late_ns = lateness_ns(swim, now_ns);
        late_ns = late_ns > bound_ns ? late_ns : 0;
    }
    if (late_ns > 0) {
        make_up_for(swim, now_ns, late_ns);
    }
    swim->seen_ns = now_ns;
    return late_ns;
}
