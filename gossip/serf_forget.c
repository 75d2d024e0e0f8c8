/* SPDX-License-Identifier: MIT
 *
 * serf_forget.c - declaring on behalf of a member that failed that it has left (rule 26.2).
 */
#include <errno.h>

#include "core/text.h"
#include "gossip/serf_private.h"

enum { LTIME_MARGIN = 64 }; /* see intent_ltime */

static int check_target(const struct rf_serf *serf, struct rf_slice name, bool prune,
                        struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    const struct rf_member_entry *member = rf_serf_member(serf, name);
    (void)rf_text_quote((const char *)name.data, quoted);
    if (name.size == 0 || name.size > RF_GOSSIP_NAME_SIZE_MAX) {
        return rf_error_set(err, RF_ENOTFOUND, "no member has a name of %zu bytes", name.size);
    }
    if (member == NULL && !prune) {
        return rf_error_set(err, RF_ENOTFOUND, "no member %s", quoted);
    }
    if (rf_slice_equal(name, serf->swim.self->link.name)) {
        return rf_error_set(
            err, -EINVAL, "member %s is this node itself, which leaves when it is stopped", quoted);
    }
    if (prune && member != NULL && member->status == RF_SERF_ALIVE) {
        return rf_error_set(err, -EINVAL,
                            "member %s is alive: pruned, it would be missing from every Serf "
                            "agent's list for as long as it lives; stop it first, or go without "
                            "prune",
                            quoted);
    }
    if (serf->leave_step != RF_LEAVE_NOT) {
        return rf_error_set(err, -ESHUTDOWN, "this node is leaving");
    }
    if (serf->forget_until_ns != UINT64_MAX) {
        return rf_error_set(err, -EBUSY, "another member is being forgotten just now");
    }
    return 0;
}

/*
 * Later than the clock, which is what the reference takes. Ours may lag behind: a join intent that
 * gossip did not bring has a time that we have not seen, and the times of members that have left
 * grow by one with each push/pull among Serf's own agents (rule 20.2). Whoever knows of such a time
 * would ignore an intent with ours. Push/pulls keep the lag to a few steps.
 */
static uint64_t intent_ltime(const struct rf_serf *serf)
{
    uint64_t ltime = serf->member_time;
    return ltime <= UINT64_MAX - LTIME_MARGIN ? ltime + LTIME_MARGIN : ltime;
}

int rf_serf_forget(struct rf_serf *serf, uint64_t now_ns, const char *name, bool prune,
                   struct rf_error *err)
{
    struct rf_slice target = rf_slice_text(name);
    int code = check_target(serf, target, prune, err);
    if (code < 0) {
        return code;
    }
    rf_serf_begin(serf, now_ns);
    uint64_t ltime = intent_ltime(serf);
    rf_clock_witness(&serf->member_time, ltime);
    struct rf_serf_message message = {.type = RF_SERF_LEAVE,
                                      .leave = {.ltime = ltime, .node = target, .prune = prune}};
    (void)rf_serf_leave_intent(serf, ltime, target, prune); /* broadcast here, with a notice */
    if (rf_serf_others_alive(serf) > 0) {
        /* One before that was late may have been spread since: that was not this one. */
        (void)rf_broadcast_finished(&serf->swim.user_queues[RF_QUEUE_INTENTS], RF_BROADCAST_FORGET);
        if (!rf_serf_queue_intent(serf, &message, RF_BROADCAST_FORGET)) {
            char quoted[RF_QUOTE_SIZE];
            rf_serf_end(serf);
            return rf_error_set(err, -ENOMEM,
                                "member %s: done here, but there is no memory to tell the others",
                                rf_text_quote(name, quoted));
        }
        serf->forget_until_ns = now_ns + serf->config.broadcast_timeout_ns;
    }
    serf->is_forget_late = false;
    serf->stats.forgets++;
    rf_serf_end(serf);
    return 0;
}

void rf_serf_forget_step(struct rf_serf *serf)
{
    if (serf->forget_until_ns == UINT64_MAX) {
        return;
    }
    if (rf_broadcast_finished(&serf->swim.user_queues[RF_QUEUE_INTENTS], RF_BROADCAST_FORGET)) {
        serf->forget_until_ns = UINT64_MAX;
        serf->is_forget_late = false;
    } else if (serf->forget_until_ns <= serf->now_ns) {
        serf->forget_until_ns = UINT64_MAX;
        serf->is_forget_late = true;
    }
}

enum rf_serf_forget_state rf_serf_forget_state(const struct rf_serf *serf)
{
    if (serf->forget_until_ns != UINT64_MAX) {
        return RF_SERF_FORGET_SPREADING;
    }
    return serf->is_forget_late ? RF_SERF_FORGET_LATE : RF_SERF_FORGET_SPREAD;
}
