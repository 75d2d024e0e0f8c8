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

static void refuse(struct rf_intake *intake, const char *id, const struct rf_error *err)
{
    rf_counter_add(&intake->counters.members_refused, 1);
    (void)rf_roster_remove(intake->roster, id); /* it may not have been there */
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

/* Returns false if memory was short. */
static bool put(struct rf_intake *intake, const struct rf_gossip_member *node)
{
    struct rf_error err = {0};
    struct rf_member member;
    bool capped = false;
    const char *replicas = rf_gossip_member_tag(node, "replicas");
    int ret = rf_member_from_tags(node->name, rf_gossip_member_tag(node, "group"),
                                  rf_gossip_member_tag(node, "addr"), replicas, node->state,
                                  &member, &capped, &err);
    if (ret == -ENOENT) {
        (void)rf_roster_remove(intake->roster, node->name); /* it may have had a group before */
        return true;
    }
    if (ret == 0) {
        ret = rf_roster_put(intake->roster, &member, &err);
    }
    if (ret == -ENOMEM) {
        return false;
    }
    if (ret < 0) {
        refuse(intake, node->name, &err);
    } else if (capped) {
        note_capped(intake, node->name, replicas);
    }
    return true;
}

bool rf_intake_apply(struct rf_intake *intake, enum rf_gossip_event_kind kind,
                     const struct rf_gossip_members *members)
{
    if (kind == RF_GOSSIP_EVENT_FORGOT) {
        for (size_t i = 0; i < members->count; i++) {
            (void)rf_roster_remove(intake->roster, members->items[i].name);
        }
        return true;
    }
    if (kind == RF_GOSSIP_EVENT_RESYNC) {
        rf_roster_mark(intake->roster);
    }
    bool complete = true;
    for (size_t i = 0; i < members->count; i++) {
        complete = put(intake, &members->items[i]) && complete;
    }
    /* A member that memory was short for keeps its old place until the next resync. */
    if (kind == RF_GOSSIP_EVENT_RESYNC && complete) {
        (void)rf_roster_sweep(intake->roster);
    }
    return complete;
}
