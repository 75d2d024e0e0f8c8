/* SPDX-License-Identifier: MIT
 *
 * serf_members.c - members, their states and the intents that move them (rule 19), reaping and
 * reconnecting (rules 27.1, 27.2).
 */
#include <stdlib.h>

#include "core/assert.h"
#include "gossip/serf_private.h"

enum { LIST_MIN = 16 };

#define RESYNC_PAUSE_NS UINT64_C(1000000000) /* after memory was short */

const char *rf_serf_status_name(enum rf_serf_status status)
{
    switch (status) {
    case RF_SERF_NONE:
        return "none";
    case RF_SERF_ALIVE:
        return "alive";
    case RF_SERF_LEAVING:
        return "leaving";
    case RF_SERF_LEFT:
        return "left";
    case RF_SERF_FAILED:
        return "failed";
    }
    return "unknown";
}

/* ---- the table of members ---- */

struct rf_member_entry *rf_serf_member(const struct rf_serf *serf, struct rf_slice name)
{
    return (struct rf_member_entry *)rf_name_table_find(&serf->members, name);
}

static bool is_self(const struct rf_serf *serf, struct rf_slice name)
{
    return rf_slice_equal(serf->swim.self->link.name, name);
}

static void emit(struct rf_serf *serf, const struct rf_member_entry *member,
                 enum rf_member_change change)
{
    struct rf_output output = {.type = RF_OUTPUT_MEMBER,
                               .address = member->address,
                               .bytes = member->meta,
                               .bytes_size = member->meta_size,
                               .name = member->name,
                               .name_size = member->link.name.size,
                               .change = change,
                               .status = (uint8_t)member->status,
                               .status_ltime = member->status_ltime};
    (void)rf_outbox_put(&serf->swim.out, &output); /* lost: a resync follows */
}

static void set_status(struct rf_serf *serf, struct rf_member_entry *member,
                       enum rf_serf_status status)
{
    serf->status_counts[member->status]--;
    member->status = status;
    member->is_returning = false;
    if (status == RF_SERF_LEAVING) {
        member->leaving_ns = serf->now_ns;
    }
    serf->status_counts[status]++;
}

/*
 * What the SWIM machine knows of a node could not be taken over, and it would not say it again: all
 * is compared in a while. Returns false.
 */
static bool lacks_memory(struct rf_serf *serf)
{
    serf->stats.serf_dropped_memory++;
    serf->resync_at_ns = serf->now_ns + RESYNC_PAUSE_NS;
    return false;
}

/* Takes what the SWIM machine knows of a node. False: out of memory, the member is as before. */
static bool take_node(struct rf_serf *serf, struct rf_member_entry *member,
                      const struct rf_node *node)
{
    uint8_t *meta = NULL;
    if (node->meta_size > 0) {
        meta = malloc(node->meta_size);
        if (meta == NULL) {
            return lacks_memory(serf);
        }
        memcpy(meta, node->meta, node->meta_size);
    }
    free(member->meta);
    member->meta = meta;
    member->meta_size = node->meta_size;
    member->address = node->address;
    memcpy(member->vsn, node->vsn, RF_VSN_SIZE);
    return true;
}

static void member_free(struct rf_member_entry *member)
{
    free(member->meta);
    free(member->peer);
    free(member);
}

static bool list_reserve(void ***list, size_t count, size_t *capacity)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity == 0 ? LIST_MIN : 2 * *capacity;
    void **grown = realloc(*list, wanted * sizeof(grown[0]));
    if (grown == NULL) {
        return false;
    }
    *list = grown;
    *capacity = wanted;
    return true;
}

static void erase(struct rf_serf *serf, struct rf_member_entry *member)
{
    size_t last = serf->members.count - 1;
    serf->members_list[member->list_index] = serf->members_list[last];
    serf->members_list[member->list_index]->list_index = member->list_index;
    rf_name_table_remove(&serf->members, &member->link);
    serf->status_counts[member->status]--;
    serf->swim.user_members_count = serf->members.count;
    serf->stats.reaped++;
    emit(serf, member, RF_MEMBER_CHANGE_REAP);
    member_free(member);
}

/* Makes room in a full table: of some members at random that are gone, the longest gone one goes.
 */
static bool evict(struct rf_serf *serf)
{
    enum { DRAWS = 64 };
    struct rf_member_entry *oldest = NULL;
    for (int i = 0; i < DRAWS; i++) {
        size_t index = rf_random_below(&serf->swim.random, serf->members.count);
        struct rf_member_entry *member = serf->members_list[index];
        bool is_gone = member->status == RF_SERF_LEFT || member->status == RF_SERF_FAILED;
        if (is_gone && !is_self(serf, member->link.name) &&
            (oldest == NULL || member->leave_ns < oldest->leave_ns)) {
            oldest = member;
        }
    }
    serf->stats.serf_dropped_limit++;
    if (oldest != NULL) {
        erase(serf, oldest);
    }
    return oldest != NULL;
}

static struct rf_member_entry *member_add(struct rf_serf *serf, const struct rf_node *node)
{
    if (serf->members.count >= serf->config.members_max && !evict(serf)) {
        return NULL;
    }
    struct rf_slice name = node->link.name;
    struct rf_member_entry *member = calloc(1, sizeof(*member) + name.size + 1);
    void **list = (void **)serf->members_list;
    bool has_room = list_reserve(&list, serf->members.count, &serf->members_capacity);
    serf->members_list = (struct rf_member_entry **)list;
    if (member == NULL || !has_room || !take_node(serf, member, node)) {
        goto fail;
    }
    memcpy(member->name, name.data, name.size);
    member->link.name = rf_slice(member->name, name.size);
    member->status = RF_SERF_ALIVE;
    member->prune_at_ns = UINT64_MAX;
    if (!rf_name_table_insert(&serf->members, &member->link)) {
        goto fail;
    }
    rf_contacts_remove(&serf->contacts, name);
    member->list_index = serf->members.count - 1;
    serf->members_list[member->list_index] = member;
    serf->status_counts[RF_SERF_ALIVE]++;
    serf->swim.user_members_count = serf->members.count;
    return member;
fail:
    (void)lacks_memory(serf);
    if (member != NULL) {
        member_free(member);
    }
    return NULL;
}

/* ---- recent intents (19.3) ---- */

static void intent_remove(struct rf_serf *serf, struct rf_intent *intent)
{
    size_t last = serf->intents.count - 1;
    serf->intents_list[intent->list_index] = serf->intents_list[last];
    serf->intents_list[intent->list_index]->list_index = intent->list_index;
    rf_name_table_remove(&serf->intents, &intent->link);
    free(intent);
}

static struct rf_intent *intent_add(struct rf_serf *serf, struct rf_slice name)
{
    if (serf->intents.count >= serf->config.intents_max) {
        serf->stats.serf_dropped_limit++;
        return NULL;
    }
    void **list = (void **)serf->intents_list;
    bool has_room = list_reserve(&list, serf->intents.count, &serf->intents_capacity);
    serf->intents_list = (struct rf_intent **)list;
    struct rf_intent *intent = has_room ? calloc(1, sizeof(*intent) + name.size + 1) : NULL;
    if (intent == NULL) {
        serf->stats.serf_dropped_memory++;
        return NULL;
    }
    memcpy(intent->name, name.data, name.size);
    intent->link.name = rf_slice(intent->name, name.size);
    if (!rf_name_table_insert(&serf->intents, &intent->link)) {
        serf->stats.serf_dropped_memory++;
        free(intent);
        return NULL;
    }
    intent->list_index = serf->intents.count - 1;
    serf->intents_list[intent->list_index] = intent;
    return intent;
}

/* Returns whether something changed. */
static bool intent_upsert(struct rf_serf *serf, struct rf_slice name, bool is_leave, uint64_t ltime)
{
    struct rf_intent *intent = (struct rf_intent *)rf_name_table_find(&serf->intents, name);
    if (intent != NULL && ltime <= intent->ltime) {
        return false;
    }
    if (intent == NULL) {
        intent = intent_add(serf, name);
    }
    if (intent == NULL) {
        return false;
    }
    intent->is_leave = is_leave;
    intent->ltime = ltime;
    intent->at_ns = serf->now_ns;
    return true;
}

/* ---- what the SWIM machine tells (19.4) ---- */

void rf_serf_on_join(struct rf_serf *serf, const struct rf_node *node)
{
    struct rf_member_entry *member = rf_serf_member(serf, node->link.name);
    if (member != NULL) {
        if (!take_node(serf, member, node)) {
            return;
        }
        set_status(serf, member, RF_SERF_ALIVE);
        member->leave_ns = 0;
        member->prune_at_ns = UINT64_MAX;
        emit(serf, member, RF_MEMBER_CHANGE_JOIN);
        return;
    }
    member = member_add(serf, node);
    if (member == NULL) {
        return;
    }
    struct rf_intent *intent =
        (struct rf_intent *)rf_name_table_find(&serf->intents, node->link.name);
    if (intent != NULL) {
        member->status_ltime = intent->ltime;
        if (intent->is_leave) {
            set_status(serf, member, RF_SERF_LEAVING);
        }
        intent_remove(serf, intent);
    }
    emit(serf, member, RF_MEMBER_CHANGE_JOIN);
}

void rf_serf_on_update(struct rf_serf *serf, const struct rf_node *node)
{
    struct rf_member_entry *member = rf_serf_member(serf, node->link.name);
    if (member != NULL && take_node(serf, member, node)) {
        emit(serf, member, RF_MEMBER_CHANGE_UPDATE);
    }
}

void rf_serf_on_leave(struct rf_serf *serf, struct rf_slice name)
{
    struct rf_member_entry *member = rf_serf_member(serf, name);
    if (member == NULL) {
        return;
    }
    if (member->status == RF_SERF_LEAVING) {
        set_status(serf, member, RF_SERF_LEFT);
        member->leave_ns = serf->now_ns;
        emit(serf, member, RF_MEMBER_CHANGE_LEAVE);
    } else if (member->status == RF_SERF_ALIVE) {
        set_status(serf, member, RF_SERF_FAILED);
        member->leave_ns = serf->now_ns;
        emit(serf, member, RF_MEMBER_CHANGE_FAILED);
    }
}

static bool is_as_told(const struct rf_member_entry *member, const struct rf_node *node)
{
    return rf_slice_equal(rf_slice(member->meta, member->meta_size),
                          rf_slice(node->meta, node->meta_size)) &&
           rf_address_equal(&member->address, &node->address) &&
           memcmp(member->vsn, node->vsn, RF_VSN_SIZE) == 0;
}

/* Something the SWIM machine told was lost for want of memory: compare all it knows. */
void rf_serf_resync_nodes(struct rf_serf *serf)
{
    for (size_t i = 0; i < serf->swim.nodes.count; i++) {
        const struct rf_node *node = serf->swim.nodes.list[i];
        bool is_here = node->state == RF_NODE_ALIVE || node->state == RF_NODE_SUSPECT;
        const struct rf_member_entry *member = rf_serf_member(serf, node->link.name);
        bool was_here = member != NULL &&
                        (member->status == RF_SERF_ALIVE || member->status == RF_SERF_LEAVING);
        if (is_here && was_here) {
            if (!is_as_told(member, node)) {
                rf_serf_on_update(serf, node);
            }
        } else if (is_here) {
            rf_serf_on_join(serf, node);
        } else if (was_here) {
            rf_serf_on_leave(serf, node->link.name);
        }
    }
}

/* ---- intents (19.4) ---- */

static bool witness(struct rf_serf *serf, uint64_t ltime, struct rf_slice name)
{
    if (name.size == 0 || name.size > RF_GOSSIP_NAME_SIZE_MAX) {
        serf->stats.serf_dropped_malformed++;
        return false;
    }
    if (rf_ltime_is_absurd(serf->member_time, ltime)) {
        serf->stats.serf_dropped_absurd++;
        return false;
    }
    rf_clock_witness(&serf->member_time, ltime);
    return true;
}

bool rf_serf_join_intent(struct rf_serf *serf, uint64_t ltime, struct rf_slice name)
{
    if (!witness(serf, ltime, name)) {
        return false;
    }
    struct rf_member_entry *member = rf_serf_member(serf, name);
    if (member == NULL) {
        return intent_upsert(serf, name, false, ltime);
    }
    if (ltime <= member->status_ltime) {
        return false;
    }
    member->status_ltime = ltime;
    member->is_returning = member->status == RF_SERF_LEFT;
    bool is_own_leave = is_self(serf, name) && serf->leave_step != RF_LEAVE_NOT;
    if (member->status == RF_SERF_LEAVING && !is_own_leave) {
        set_status(serf, member, RF_SERF_ALIVE);
        member->prune_at_ns = UINT64_MAX;
        emit(serf, member, RF_MEMBER_CHANGE_STATUS);
    }
    return true;
}

/* 26.3: at once if it is gone, else when the leave will have spread. */
static void prune(struct rf_serf *serf, struct rf_member_entry *member)
{
    if (is_self(serf, member->link.name)) {
        return; /* we forget the others when we are gone, not ourselves */
    }
    if (member->status == RF_SERF_LEFT || member->status == RF_SERF_FAILED) {
        erase(serf, member);
    } else {
        member->prune_at_ns =
            serf->now_ns + serf->config.broadcast_timeout_ns + serf->config.leave_propagate_ns;
    }
}

static bool leave_member(struct rf_serf *serf, struct rf_member_entry *member)
{
    switch (member->status) {
    case RF_SERF_ALIVE:
        set_status(serf, member, RF_SERF_LEAVING);
        emit(serf, member, RF_MEMBER_CHANGE_STATUS);
        return true;
    case RF_SERF_FAILED:
        set_status(serf, member, RF_SERF_LEFT);
        emit(serf, member, RF_MEMBER_CHANGE_LEAVE);
        return true;
    case RF_SERF_LEAVING:
    case RF_SERF_LEFT:
        return true;
    case RF_SERF_NONE:
        break;
    }
    return false;
}

/*
 * Of a member that has left a prune counts from the time of its leave on, not only after it: a
 * push/pull that brings a leave before gossip does raises its time by one (20.2), to that of the
 * next intent of the operator who then prunes. Not of ourselves: we are not erased, and would pass
 * on each copy that comes.
 */
static bool is_late_prune(const struct rf_serf *serf, const struct rf_member_entry *member,
                          uint64_t ltime, bool has_prune)
{
    return has_prune && ltime == member->status_ltime && rf_member_entry_has_left(member) &&
           !is_self(serf, member->link.name);
}

bool rf_serf_leave_intent(struct rf_serf *serf, uint64_t ltime, struct rf_slice name,
                          bool has_prune)
{
    if (!witness(serf, ltime, name)) {
        return false;
    }
    struct rf_member_entry *member = rf_serf_member(serf, name);
    if (member == NULL) {
        rf_contacts_remove(&serf->contacts, name); /* it left while we were away */
        return intent_upsert(serf, name, true, ltime);
    }
    if (ltime <= member->status_ltime && !is_late_prune(serf, member, ltime, has_prune)) {
        return false;
    }
    if (is_self(serf, name) && serf->leave_step == RF_LEAVE_NOT) {
        serf->stats.refuted_leaves++;
        rf_serf_announce_join(serf);
        return false;
    }
    member->status_ltime = ltime;
    member->is_returning = false;
    bool is_rebroadcast = leave_member(serf, member);
    if (has_prune) {
        prune(serf, member);
    }
    return is_rebroadcast;
}

/*
 * One later than the reference, which takes the clock as it is: push/pulls carry a leave of time t
 * as one of t + 1 (rule 20.2), which is what the clock of those who saw it says. A join of that
 * same time would lose the tie, and we would be "leaving" there for good.
 */
void rf_serf_announce_join(struct rf_serf *serf)
{
    rf_clock_increment(&serf->member_time);
    uint64_t ltime = serf->member_time;
    struct rf_slice name = serf->swim.self->link.name;
    rf_clock_witness(&serf->member_time, ltime);
    (void)rf_serf_join_intent(serf, ltime, name); /* broadcast in any case */
    rf_serf_spread_own_intent(serf);
}

/* ---- 27.1, 27.2 ---- */

static bool is_reapable(const struct rf_serf *serf, const struct rf_member_entry *member)
{
    if (is_self(serf, member->link.name)) {
        return false;
    }
    uint64_t gone_ns = serf->now_ns - member->leave_ns;
    switch (member->status) {
    case RF_SERF_FAILED:
        /* Who sees nobody may be the one that is cut off, and forgets nobody whom it could call. */
        return (gone_ns > serf->config.reconnect_timeout_ns && !rf_serf_is_alone(serf)) ||
               member->prune_at_ns <= serf->now_ns;
    case RF_SERF_LEFT:
        return gone_ns > serf->config.tombstone_timeout_ns || member->prune_at_ns <= serf->now_ns;
    case RF_SERF_LEAVING:
        return member->prune_at_ns <= serf->now_ns;
    case RF_SERF_NONE:
    case RF_SERF_ALIVE:
        break;
    }
    return false;
}

static void reap(struct rf_serf *serf)
{
    for (size_t i = serf->members.count; i-- > 0;) {
        if (is_reapable(serf, serf->members_list[i])) {
            erase(serf, serf->members_list[i]);
        }
    }
    for (size_t i = serf->intents.count; i-- > 0;) {
        if (serf->now_ns - serf->intents_list[i]->at_ns > serf->config.recent_intent_ns) {
            intent_remove(serf, serf->intents_list[i]);
        }
    }
}

void rf_serf_members_tick(struct rf_serf *serf)
{
    if (serf->intent_at_ns <= serf->now_ns) {
        rf_serf_spread_own_intent(serf);
    }
    if (serf->resync_at_ns <= serf->now_ns) {
        serf->resync_at_ns = UINT64_MAX;
        rf_serf_resync_nodes(serf);
    }
    if (serf->reap_at_ns <= serf->now_ns) {
        serf->reap_at_ns = serf->now_ns + serf->config.reap_interval_ns;
        reap(serf);
        rf_serf_contacts_tick(serf);
    }
    if (serf->reconnect_at_ns <= serf->now_ns) {
        serf->reconnect_at_ns = serf->now_ns + serf->config.reconnect_interval_ns;
        rf_serf_reconnect(serf);
    }
}

/* ---- reading ---- */

static void view(const struct rf_member_entry *member, struct rf_serf_member_view *ret_member)
{
    *ret_member = (struct rf_serf_member_view){.name = member->name,
                                               .name_size = member->link.name.size,
                                               .address = member->address,
                                               .meta = member->meta,
                                               .meta_size = member->meta_size,
                                               .status = member->status,
                                               .status_ltime = member->status_ltime};
    memcpy(ret_member->vsn, member->vsn, RF_VSN_SIZE);
}

bool rf_serf_member_next(const struct rf_serf *serf, size_t *cursor,
                         struct rf_serf_member_view *ret_member)
{
    if (*cursor >= serf->members.count) {
        return false;
    }
    view(serf->members_list[(*cursor)++], ret_member);
    return true;
}

bool rf_serf_member_find(const struct rf_serf *serf, const char *name, size_t name_size,
                         struct rf_serf_member_view *ret_member)
{
    const struct rf_member_entry *member = rf_serf_member(serf, rf_slice(name, name_size));
    if (member == NULL) {
        return false;
    }
    view(member, ret_member);
    return true;
}

size_t rf_serf_members_count(const struct rf_serf *serf)
{
    return serf->members.count;
}

size_t rf_serf_alive_count(const struct rf_serf *serf)
{
    return serf->status_counts[RF_SERF_ALIVE] + serf->status_counts[RF_SERF_LEAVING];
}

void rf_serf_members_fini(struct rf_serf *serf)
{
    for (size_t i = 0; i < serf->members.count; i++) {
        member_free(serf->members_list[i]);
    }
    for (size_t i = 0; i < serf->intents.count; i++) {
        free(serf->intents_list[i]);
    }
    free(serf->members_list);
    free(serf->intents_list);
    rf_name_table_fini(&serf->members);
    rf_name_table_fini(&serf->intents);
}

void rf_serf_members_check(const struct rf_serf *serf)
{
    size_t counts[5] = {0};
    RF_ASSERT(serf->members.count <= serf->config.members_max);
    RF_ASSERT(serf->intents.count <= serf->config.intents_max);
    for (size_t i = 0; i < serf->members.count; i++) {
        const struct rf_member_entry *member = serf->members_list[i];
        RF_ASSERT(member->list_index == i);
        RF_ASSERT(rf_serf_member(serf, member->link.name) == member);
        RF_ASSERT(rf_name_table_find(&serf->intents, member->link.name) == NULL);
        RF_ASSERT(member->status_ltime == 0 || member->status_ltime <= serf->member_time);
        counts[member->status]++;
    }
    RF_ASSERT(memcmp(counts, serf->status_counts, sizeof(counts)) == 0);
    for (size_t i = 0; i < serf->intents.count; i++) {
        RF_ASSERT(serf->intents_list[i]->list_index == i);
    }
    RF_ASSERT(serf->swim.user_members_count == serf->members.count);
}
