/* SPDX-License-Identifier: MIT */
#include "tools/registry/intake.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "core/text.h"

RF_COUNTERS_INFO(rf_intake_counters_info, RF_INTAKE_COUNTERS);

static bool may_log(struct rf_intake *intake)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    uint64_t minute = (uint64_t)now.tv_sec / 60;
    if (minute != intake->minute) {
        intake->minute = minute;
        intake->lines_count = 0;
    }
    return intake->lines_count < RF_INTAKE_LINES_MAX;
}

/* Whether this reason is new for this member, and a line about it is not too much. */
static bool is_news(struct rf_intake *intake, const char *id, const char *reason)
{
    uint64_t hash = XXH3_64bits_withSeed(reason, strlen(reason), XXH3_64bits(id, strlen(id)));
    uint64_t *told = &intake->told[hash % RF_INTAKE_TOLD_COUNT];
    if (*told == hash || !may_log(intake)) {
        return false;
    }
    *told = hash;
    intake->lines_count++;
    return true;
}

static void forget(struct rf_intake *intake, uint64_t now_ns, const char *id)
{
    (void)rf_roster_remove(intake->roster, id); /* it may not have been there */
    if (intake->guard != NULL) {
        rf_guard_forget(intake->guard, now_ns, id);
    }
}

static void refuse(struct rf_intake *intake, uint64_t now_ns, const char *id,
                   const struct rf_error *err)
{
    rf_counter_add(&intake->counters.members_refused, 1);
    intake->has_no_room |= err->code == RF_ELIMIT;
    forget(intake, now_ns, id);
    if (is_news(intake, id, err->text)) {
        char quoted[RF_QUOTE_SIZE];
        rf_log(&intake->log, RF_LOG_WARN, "member refused id=%s refused_count=%llu reason=\"%s\"",
               rf_text_quote(id, quoted),
               (unsigned long long)rf_counter_get(&intake->counters.members_refused), err->text);
    }
}

static void note_capped(struct rf_intake *intake, const char *id, const char *replicas)
{
    rf_counter_add(&intake->counters.members_capped, 1);
    if (is_news(intake, id, replicas)) {
        char id_quoted[RF_QUOTE_SIZE];
        char replicas_quoted[RF_QUOTE_SIZE];
        rf_log(&intake->log, RF_LOG_WARN, "member capped id=%s replicas=%s used=%d",
               rf_text_quote(id, id_quoted), rf_text_quote(replicas, replicas_quoted),
               RF_REPLICAS_MAX);
    }
}

/* Puts the state for the roster in the place of gossip's. */
static int put_guarded(struct rf_guard *guard, uint64_t now_ns, struct rf_member *member)
{
    enum rf_member_state state = member->state;
    int ret = 0;
    /* Without weight it drained before it failed, which a list does not tell: nothing to keep. */
    if (state == RF_MEMBER_FAILED && member->replicas == 0) {
        ret = rf_guard_put(guard, now_ns, member->id, member->group, RF_MEMBER_DRAINING,
                           &member->state);
    }
    return ret < 0 ? ret
                   : rf_guard_put(guard, now_ns, member->id, member->group, state, &member->state);
}

/* Returns false if memory was short. */
static bool put(struct rf_intake *intake, uint64_t now_ns, const struct rf_gossip_member *node)
{
    struct rf_error err = {0};
    struct rf_member member;
    bool capped = false;
    const char *replicas = rf_gossip_member_tag(node, "replicas");
    int ret = rf_member_from_tags(node->name, rf_gossip_member_tag(node, "group"),
                                  rf_gossip_member_tag(node, "addr"), replicas, node->state,
                                  &member, &capped, &err);
    if (ret == -ENOENT) {
        forget(intake, now_ns, node->name); /* it may have had a group before */
        return true;
    }
    if (ret == 0 && intake->guard != NULL) {
        ret = put_guarded(intake->guard, now_ns, &member);
    }
    if (ret == 0) {
        ret = rf_roster_put(intake->roster, &member, &err);
    }
    if (ret == -ENOMEM) {
        return false;
    }
    if (ret < 0) {
        refuse(intake, now_ns, node->name, &err);
    } else if (capped) {
        note_capped(intake, node->name, replicas);
    }
    return true;
}

static void copy_guard_counters(struct rf_intake *intake)
{
    struct rf_guard_stats stats;
    rf_guard_get_stats(intake->guard, &stats);
    struct rf_intake_counters *counters = &intake->counters;
    rf_counter_set(&counters->members_held, stats.members_held);
    rf_counter_set(&counters->members_protected, stats.members_protected);
    rf_counter_set(&counters->groups_protected, stats.groups_protected);
    rf_counter_set(&counters->returns_held, stats.returns_held);
    rf_counter_set(&counters->failures_kept, stats.failures_kept);
    if (rf_counter_get(&counters->protections) != stats.protections) {
        rf_counter_set(&counters->protections, stats.protections);
        rf_log(&intake->log, RF_LOG_WARN,
               "protected groups=%llu members=%llu text=\"more members of a group failed at once "
               "than -protect allows: its ring is kept; regctl forget takes a member out\"",
               (unsigned long long)stats.groups_protected,
               (unsigned long long)stats.members_protected);
    }
}

/* What the guard has decided beside what was put. Returns whether anything changed. */
static bool take_decisions(struct rf_intake *intake)
{
    if (intake->guard == NULL) {
        return false;
    }
    const char *id;
    enum rf_member_state state;
    bool is_changed = false;
    while (rf_guard_next(intake->guard, &id, &state)) {
        struct rf_error err = {0};
        int ret = rf_roster_set_state(intake->roster, id, state, &err);
        is_changed = is_changed || ret == 1;
        intake->has_no_room |= ret == RF_ELIMIT;
        if (ret < 0 && is_news(intake, id, err.text)) {
            char quoted[RF_QUOTE_SIZE];
            rf_log(&intake->log, RF_LOG_WARN, "member not in its ring id=%s reason=\"%s\"",
                   rf_text_quote(id, quoted), err.text);
        }
    }
    copy_guard_counters(intake);
    return is_changed;
}

bool rf_intake_tick(struct rf_intake *intake, uint64_t now_ns)
{
    if (intake->guard == NULL || now_ns < rf_guard_deadline_ns(intake->guard)) {
        return false;
    }
    rf_guard_tick(intake->guard, now_ns);
    intake->wants_list |= intake->has_no_room;
    return take_decisions(intake);
}

uint64_t rf_intake_deadline_ns(const struct rf_intake *intake)
{
    return intake->guard == NULL ? UINT64_MAX : rf_guard_deadline_ns(intake->guard);
}

/* Returns false if memory was short. */
static bool put_all(struct rf_intake *intake, uint64_t now_ns,
                    const struct rf_gossip_members *members)
{
    bool complete = true;
    for (size_t i = 0; i < members->count; i++) {
        complete = put(intake, now_ns, &members->items[i]) && complete;
    }
    return complete;
}

bool rf_intake_apply(struct rf_intake *intake, uint64_t now_ns, enum rf_gossip_event_kind kind,
                     const struct rf_gossip_members *members)
{
    bool is_resync = kind == RF_GOSSIP_EVENT_RESYNC;
    intake->wants_list = !is_resync && (intake->wants_list || intake->has_no_room);
    intake->has_no_room &= !is_resync;
    if (kind == RF_GOSSIP_EVENT_FORGOT) {
        for (size_t i = 0; i < members->count; i++) {
            forget(intake, now_ns, members->items[i].name);
        }
        (void)take_decisions(intake);
        return true;
    }
    if (is_resync) {
        rf_roster_mark(intake->roster);
    }
    if (is_resync && intake->guard != NULL) {
        rf_guard_mark(intake->guard);
    }
    bool complete = put_all(intake, now_ns, members);
    /* A member that memory was short for keeps its old place until the next resync. */
    if (is_resync && complete) {
        (void)rf_roster_sweep(intake->roster);
    }
    if (is_resync && complete && intake->guard != NULL) {
        rf_guard_sweep(intake->guard, now_ns);
    }
    if (is_resync && intake->has_no_room) { /* for whom there was none until others had gone */
        intake->has_no_room = false;
        complete = put_all(intake, now_ns, members) && complete;
    }
    (void)take_decisions(intake);
    return complete;
}
