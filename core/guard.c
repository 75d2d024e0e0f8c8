/* SPDX-License-Identifier: MIT */
#include "core/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/assert.h"

enum { BUCKETS_FIRST = 64 };

#define MINUS_ONE UINT64_MAX

struct guard_link {
    struct guard_link *next; /* NULL: in no list */
    struct guard_link *prev;
};

struct guard_group;

struct guard_member {
    struct guard_member *hash_next;
    uint64_t hash;
    struct guard_group *group;
    struct guard_link in_group;
    struct guard_link waiting; /* in guard->waiting: there is a deadline */
    struct guard_link failed;  /* in group->failed, in the order of failed_ns */
    struct guard_link changed; /* in guard->changed: for rf_guard_next */

    enum rf_member_state said;  /* by gossip */
    enum rf_member_state state; /* for the roster */
    bool is_from_failure;       /* not in the ring, and the last thing before was a failure */
    bool has_failed_from_ring;  /* the last failure took it out: protection puts it back */
    bool is_kept_by_group;      /* failed in its group's protection, or just before it */
    uint64_t failed_ns;         /* last failure */
    uint64_t back_ns;           /* alive since, after a failure */
    uint64_t change_ns[2];      /* last changes of the ring for failures, later first; 0: none */
    uint64_t deadline_ns;
    uint64_t generation;
    char id[];
};

struct guard_group {
    struct guard_group *hash_next;
    uint64_t hash;
    struct guard_link members;
    struct guard_link failed; /* of the last minute, and perhaps older ones at its head */
    size_t members_count;
    size_t failed_count;
    size_t alive_count;       /* said to be */
    size_t ring_count;        /* in the ring */
    size_t protected_count;   /* of these failed, for whatever reason they are kept */
    size_t kept_count;        /* of these protected as members of this group, not for flapping */
    uint64_t protect_ends_ns; /* 0: not protected */
    char name[];
};

struct rf_guard {
    struct rf_guard_config config;
    struct guard_member **buckets;
    size_t buckets_count; /* a power of two */
    size_t members_count;
    struct guard_group **group_buckets;
    size_t group_buckets_count;
    size_t groups_count;
    struct guard_link waiting;
    struct guard_link changed;
    uint64_t deadline_ns; /* no later than any member's */
    uint64_t generation;
    struct rf_guard_stats stats;
};

/* ---- lists ---- */

#define MEMBER_OF(link, field) \
    ((struct guard_member *)(void *)((char *)(link)-offsetof(struct guard_member, field)))

static void list_init(struct guard_link *list)
{
    list->next = list->prev = list;
}

static void list_add(struct guard_link *list, struct guard_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

static void list_remove(struct guard_link *link)
{
    if (link->next != NULL) {
        link->prev->next = link->next;
        link->next->prev = link->prev;
        link->next = link->prev = NULL;
    }
}

static bool list_is_empty(const struct guard_link *list)
{
    return list->next == list;
}

/* ---- tables ---- */

static uint64_t hash_of(const char *text)
{
    return XXH3_64bits(text, strlen(text));
}

static struct guard_member *find_member(const struct rf_guard *guard, const char *id)
{
    uint64_t hash = hash_of(id);
    struct guard_member *member = guard->buckets[hash & (guard->buckets_count - 1)];
    while (member != NULL && (member->hash != hash || strcmp(member->id, id) != 0)) {
        member = member->hash_next;
    }
    return member;
}

static struct guard_group *find_group(const struct rf_guard *guard, const char *name)
{
    uint64_t hash = hash_of(name);
    struct guard_group *group = guard->group_buckets[hash & (guard->group_buckets_count - 1)];
    while (group != NULL && (group->hash != hash || strcmp(group->name, name) != 0)) {
        group = group->hash_next;
    }
    return group;
}

/* Without memory for more buckets the chains get longer. */
static void grow_members(struct rf_guard *guard)
{
    size_t count = 2 * guard->buckets_count;
    struct guard_member **buckets =
        guard->members_count < guard->buckets_count ? NULL : calloc(count, sizeof(buckets[0]));
    for (size_t i = 0; i < guard->buckets_count && buckets != NULL; i++) {
        struct guard_member *next = NULL;
        for (struct guard_member *member = guard->buckets[i]; member != NULL; member = next) {
            next = member->hash_next;
            member->hash_next = buckets[member->hash & (count - 1)];
            buckets[member->hash & (count - 1)] = member;
        }
    }
    if (buckets != NULL) {
        free(guard->buckets);
        guard->buckets = buckets;
        guard->buckets_count = count;
    }
}

static void grow_groups(struct rf_guard *guard)
{
    size_t count = 2 * guard->group_buckets_count;
    struct guard_group **buckets =
        guard->groups_count < guard->group_buckets_count ? NULL : calloc(count, sizeof(buckets[0]));
    for (size_t i = 0; i < guard->group_buckets_count && buckets != NULL; i++) {
        struct guard_group *next = NULL;
        for (struct guard_group *group = guard->group_buckets[i]; group != NULL; group = next) {
            next = group->hash_next;
            group->hash_next = buckets[group->hash & (count - 1)];
            buckets[group->hash & (count - 1)] = group;
        }
    }
    if (buckets != NULL) {
        free(guard->group_buckets);
        guard->group_buckets = buckets;
        guard->group_buckets_count = count;
    }
}

static struct guard_group *add_group(struct rf_guard *guard, const char *name)
{
    size_t size = strlen(name) + 1;
    struct guard_group *group = calloc(1, sizeof(*group) + size);
    if (group == NULL) {
        return NULL;
    }
    memcpy(group->name, name, size);
    group->hash = hash_of(name);
    list_init(&group->members);
    list_init(&group->failed);
    grow_groups(guard);
    struct guard_group **bucket =
        &guard->group_buckets[group->hash & (guard->group_buckets_count - 1)];
    group->hash_next = *bucket;
    *bucket = group;
    guard->groups_count++;
    return group;
}

static struct guard_member *add_member(struct rf_guard *guard, const char *id, const char *name)
{
    size_t size = strlen(id) + 1;
    struct guard_member *member = calloc(1, sizeof(*member) + size);
    struct guard_group *group = member == NULL ? NULL : find_group(guard, name);
    if (member != NULL && group == NULL) {
        group = add_group(guard, name);
    }
    if (group == NULL) {
        free(member);
        return NULL;
    }
    memcpy(member->id, id, size);
    member->hash = hash_of(id);
    member->group = group;
    /* Until it is put: out of the ring, as one that has left, which may enter at once. */
    member->said = member->state = RF_MEMBER_LEFT;
    member->deadline_ns = UINT64_MAX;
    grow_members(guard);
    struct guard_member **bucket = &guard->buckets[member->hash & (guard->buckets_count - 1)];
    member->hash_next = *bucket;
    *bucket = member;
    guard->members_count++;
    group->members_count++;
    list_add(&group->members, &member->in_group);
    return member;
}

static void unset_failed(struct guard_member *member)
{
    if (member->failed.next != NULL) {
        list_remove(&member->failed);
        member->group->failed_count--;
    }
}

/* `add` is one, or minus one. */
static void count_state(struct rf_guard *guard, const struct guard_member *member, uint64_t add)
{
    guard->stats.members_held += member->state == RF_MEMBER_HELD ? add : 0;
    guard->stats.members_protected += member->state == RF_MEMBER_PROTECTED ? add : 0;
    member->group->protected_count += member->state == RF_MEMBER_PROTECTED ? (size_t)add : 0;
    member->group->kept_count +=
        member->state == RF_MEMBER_PROTECTED && member->is_kept_by_group ? (size_t)add : 0;
    member->group->ring_count += rf_member_is_in_ring(member->state) ? (size_t)add : 0;
}

static void set_kept(struct rf_guard *guard, struct guard_member *member, bool is_kept)
{
    count_state(guard, member, MINUS_ONE);
    member->is_kept_by_group = is_kept;
    count_state(guard, member, 1);
}

static void end_protection(struct rf_guard *guard, struct guard_group *group)
{
    guard->stats.groups_protected -= group->protect_ends_ns != 0;
    group->protect_ends_ns = 0;
    while (!list_is_empty(&group->failed)) {
        unset_failed(MEMBER_OF(group->failed.next, failed)); /* they have had their effect */
    }
}

static void remove_member(struct rf_guard *guard, struct guard_member *member)
{
    struct guard_group *group = member->group;
    struct guard_member **at = &guard->buckets[member->hash & (guard->buckets_count - 1)];
    while (*at != member) {
        at = &(*at)->hash_next;
    }
    *at = member->hash_next;
    unset_failed(member);
    list_remove(&member->in_group);
    list_remove(&member->waiting);
    list_remove(&member->changed);
    count_state(guard, member, MINUS_ONE);
    group->alive_count -= rf_member_is_in_ring(member->said);
    guard->members_count--;
    free(member);
    if (--group->members_count == 0) {
        end_protection(guard, group);
        struct guard_group **place =
            &guard->group_buckets[group->hash & (guard->group_buckets_count - 1)];
        while (*place != group) {
            place = &(*place)->hash_next;
        }
        *place = group->hash_next;
        guard->groups_count--;
        free(group);
    }
}

/* ---- where a member belongs ---- */

/* When a member may change its ring again, having done so twice within the hold time. */
static uint64_t may_change_ns(const struct rf_guard *guard, const struct guard_member *member)
{
    return member->change_ns[1] == 0 ? 0 : member->change_ns[1] + guard->config.flap_hold_ns;
}

static void wait_until(struct rf_guard *guard, struct guard_member *member, uint64_t deadline_ns)
{
    member->deadline_ns = deadline_ns;
    list_remove(&member->waiting);
    if (deadline_ns != UINT64_MAX) {
        list_add(&guard->waiting, &member->waiting);
        guard->deadline_ns = deadline_ns < guard->deadline_ns ? deadline_ns : guard->deadline_ns;
    }
}

static void set_state(struct rf_guard *guard, uint64_t now_ns, struct guard_member *member,
                      enum rf_member_state state)
{
    if (state == member->state) {
        return;
    }
    bool was_in_ring = rf_member_is_in_ring(member->state);
    bool is_in_ring = rf_member_is_in_ring(state);
    if (was_in_ring != is_in_ring) {
        /* Joining and leaving gracefully are no faults. */
        if (member->said == RF_MEMBER_FAILED || member->is_from_failure) {
            member->change_ns[1] = member->change_ns[0];
            member->change_ns[0] = now_ns;
        }
        if (is_in_ring) {
            member->is_from_failure = false;
            member->has_failed_from_ring = false;
        }
    }
    guard->stats.returns_held += state == RF_MEMBER_HELD;
    guard->stats.failures_kept += state == RF_MEMBER_PROTECTED;
    count_state(guard, member, MINUS_ONE);
    member->state = state;
    count_state(guard, member, 1);
    if (member->changed.next == NULL) {
        list_add(&guard->changed, &member->changed);
    }
}

/* Nobody in the ring is alive: a new one takes keys only from who does not answer. */
static bool is_ring_dead(const struct guard_group *group)
{
    return group->ring_count == group->protected_count;
}

static void settle_alive(struct rf_guard *guard, uint64_t now_ns, struct guard_member *member)
{
    uint64_t enter_ns = 0;
    if (!rf_member_is_in_ring(member->state) && member->is_from_failure &&
        !is_ring_dead(member->group)) {
        uint64_t settled_ns = member->back_ns + guard->config.flap_hold_ns / RF_GUARD_SETTLE_PART;
        enter_ns = may_change_ns(guard, member);
        enter_ns = settled_ns > enter_ns ? settled_ns : enter_ns;
    }
    bool waits = guard->config.flap_hold_ns > 0 && enter_ns > now_ns;
    set_state(guard, now_ns, member, waits ? RF_MEMBER_HELD : member->said);
    wait_until(guard, member, waits ? enter_ns : UINT64_MAX);
}

static void settle_failed(struct rf_guard *guard, uint64_t now_ns, struct guard_member *member)
{
    set_kept(guard, member, member->is_kept_by_group && member->group->protect_ends_ns > now_ns);
    uint64_t out_ns = member->is_kept_by_group ? member->group->protect_ends_ns : 0;
    /* The only one in the ring moves no keys: that there is nobody is the better answer. */
    if (guard->config.flap_hold_ns > 0 && member->group->ring_count > 1 &&
        may_change_ns(guard, member) > out_ns) {
        out_ns = may_change_ns(guard, member);
    }
    bool stays = rf_member_is_in_ring(member->state) && out_ns > now_ns;
    if (!stays && rf_member_is_in_ring(member->state)) {
        member->is_from_failure = true;
        member->has_failed_from_ring = true;
    }
    set_state(guard, now_ns, member, stays ? RF_MEMBER_PROTECTED : RF_MEMBER_FAILED);
    wait_until(guard, member, stays ? out_ns : UINT64_MAX);
}

static void settle(struct rf_guard *guard, uint64_t now_ns, struct guard_member *member)
{
    switch (member->said) {
    case RF_MEMBER_ALIVE:
    case RF_MEMBER_LEAVING:
        settle_alive(guard, now_ns, member);
        break;
    case RF_MEMBER_FAILED:
        settle_failed(guard, now_ns, member);
        break;
    case RF_MEMBER_LEFT:
    case RF_MEMBER_DRAINING:
        member->is_from_failure = false;
        member->has_failed_from_ring = false;
        set_state(guard, now_ns, member, member->said);
        wait_until(guard, member, UINT64_MAX);
        break;
    case RF_MEMBER_HELD:
    case RF_MEMBER_PROTECTED:
        RF_ASSERT(!"gossip says no such thing");
        break;
    }
}

/* ---- groups ---- */

/* Its held members enter a ring in which nobody is alive. */
static void fill_dead_ring(struct rf_guard *guard, uint64_t now_ns, struct guard_group *group)
{
    if (!is_ring_dead(group) || group->alive_count == 0) {
        return;
    }
    for (struct guard_link *link = group->members.next; link != &group->members;
         link = link->next) {
        struct guard_member *member = MEMBER_OF(link, in_group);
        if (member->state == RF_MEMBER_HELD) {
            set_state(guard, now_ns, member, member->said);
            wait_until(guard, member, UINT64_MAX);
        }
    }
}

/* Puts back those whose failure within the last minute has moved keys: a change like any other. */
static void protect_members(struct rf_guard *guard, uint64_t now_ns, struct guard_group *group)
{
    for (struct guard_link *link = group->failed.next; link != &group->failed; link = link->next) {
        struct guard_member *member = MEMBER_OF(link, failed);
        if (member->said == RF_MEMBER_FAILED && member->has_failed_from_ring &&
            !rf_member_is_in_ring(member->state)) {
            set_state(guard, now_ns, member, RF_MEMBER_PROTECTED);
        }
        set_kept(guard, member, true);
        settle(guard, now_ns, member);
    }
}

/* Before a failure is noted, which may be the first of the next one. */
static void end_expired_protection(struct rf_guard *guard, uint64_t now_ns,
                                   struct guard_group *group)
{
    if (group->protect_ends_ns != 0 && group->protect_ends_ns <= now_ns) {
        end_protection(guard, group);
    }
}

/* Begins the protection of a group after a change in it, or goes on with it. */
static void guard_group(struct rf_guard *guard, uint64_t now_ns, struct guard_group *group)
{
    while (!list_is_empty(&group->failed)) {
        struct guard_member *oldest = MEMBER_OF(group->failed.next, failed);
        if (now_ns - oldest->failed_ns <= RF_GUARD_PROTECT_WINDOW_NS) {
            break;
        }
        unset_failed(oldest);
    }
    if (group->protect_ends_ns != 0) {
        return;
    }
    uint64_t before_count = group->alive_count + group->failed_count;
    if (guard->config.protect_ratio == 0 || before_count < guard->config.protect_min ||
        group->failed_count * (uint64_t)RF_GUARD_RATIO_WHOLE <=
            before_count * guard->config.protect_ratio) {
        return;
    }
    group->protect_ends_ns = now_ns + RF_GUARD_PROTECTED_MAX_NS;
    guard->stats.groups_protected++;
    guard->stats.protections++;
    protect_members(guard, now_ns, group);
}

/* With the last one that is back, has left or is forgotten the group is as any other. */
static void unguard_group(struct rf_guard *guard, struct guard_group *group)
{
    if (group->protect_ends_ns != 0 && group->kept_count == 0) {
        end_protection(guard, group);
    }
}

/* ---- inputs ---- */

int rf_guard_new(const struct rf_guard_config *config, struct rf_guard **ret_guard,
                 struct rf_error *err)
{
    RF_ASSERT(config->protect_ratio <= RF_GUARD_RATIO_WHOLE);
    struct rf_guard *guard = calloc(1, sizeof(*guard));
    struct guard_member **buckets = calloc(BUCKETS_FIRST, sizeof(buckets[0]));
    struct guard_group **group_buckets = calloc(BUCKETS_FIRST, sizeof(group_buckets[0]));
    if (guard == NULL || buckets == NULL || group_buckets == NULL) {
        free(guard);
        free(buckets);
        free(group_buckets);
        return rf_error_set(err, -ENOMEM, "guard of rings");
    }
    guard->config = *config;
    guard->buckets = buckets;
    guard->buckets_count = BUCKETS_FIRST;
    guard->group_buckets = group_buckets;
    guard->group_buckets_count = BUCKETS_FIRST;
    guard->deadline_ns = UINT64_MAX;
    list_init(&guard->waiting);
    list_init(&guard->changed);
    *ret_guard = guard;
    return 0;
}

void rf_guard_free(struct rf_guard *guard)
{
    if (guard == NULL) {
        return;
    }
    for (size_t i = 0; i < guard->buckets_count; i++) {
        while (guard->buckets[i] != NULL) {
            remove_member(guard, guard->buckets[i]);
        }
    }
    free(guard->buckets);
    free(guard->group_buckets);
    free(guard);
}

static void forget(struct rf_guard *guard, uint64_t now_ns, struct guard_member *member)
{
    struct guard_group *group = member->group;
    bool is_last = group->members_count == 1;
    remove_member(guard, member);
    if (!is_last) {
        unguard_group(guard, group);
        fill_dead_ring(guard, now_ns, group);
    }
}

/* What gossip says now; the first time that it says so of a member is no change. */
static void take_said(struct guard_member *member, uint64_t now_ns, enum rf_member_state state,
                      bool is_new)
{
    struct guard_group *group = member->group;
    bool was_alive = rf_member_is_in_ring(member->said);
    bool is_alive = rf_member_is_in_ring(state);
    group->alive_count += (size_t)is_alive - (size_t)was_alive;
    if (was_alive && state == RF_MEMBER_FAILED) {
        member->failed_ns = now_ns;
        unset_failed(member);
        list_add(&group->failed, &member->failed);
        group->failed_count++;
    } else if (state != RF_MEMBER_FAILED) {
        unset_failed(member);
    }
    if (!was_alive && is_alive) {
        member->back_ns = now_ns;
        member->has_failed_from_ring = false;
    }
    member->is_from_failure = member->is_from_failure || (is_new && state == RF_MEMBER_FAILED);
    member->said = state;
}

int rf_guard_put(struct rf_guard *guard, uint64_t now_ns, const char *id, const char *group,
                 enum rf_member_state state, enum rf_member_state *ret_state)
{
    RF_ASSERT(state <= RF_MEMBER_FAILED || state == RF_MEMBER_DRAINING);
    struct guard_member *before = find_member(guard, id);
    struct guard_member *member = before;
    bool is_new = before == NULL || strcmp(before->group->name, group) != 0;
    if (is_new) {
        member = add_member(guard, id, group);
        if (member == NULL) {
            return -ENOMEM;
        }
    }
    if (is_new && before != NULL) {
        forget(guard, now_ns, before);
    }
    member->generation = guard->generation;
    if (is_new || member->said != state) {
        end_expired_protection(guard, now_ns, member->group);
        take_said(member, now_ns, state, is_new);
        guard_group(guard, now_ns, member->group);
        set_kept(guard, member,
                 state == RF_MEMBER_FAILED && member->group->protect_ends_ns > now_ns);
        settle(guard, now_ns, member);
        unguard_group(guard, member->group);
        fill_dead_ring(guard, now_ns, member->group);
    }
    list_remove(&member->changed); /* told here */
    *ret_state = member->state;
    return 0;
}

void rf_guard_forget(struct rf_guard *guard, uint64_t now_ns, const char *id)
{
    struct guard_member *member = find_member(guard, id);
    if (member != NULL) {
        forget(guard, now_ns, member);
    }
}

void rf_guard_mark(struct rf_guard *guard)
{
    guard->generation++;
}

void rf_guard_sweep(struct rf_guard *guard, uint64_t now_ns)
{
    for (size_t i = 0; i < guard->buckets_count; i++) {
        struct guard_member *next = NULL;
        for (struct guard_member *member = guard->buckets[i]; member != NULL; member = next) {
            next = member->hash_next;
            if (member->generation != guard->generation) {
                forget(guard, now_ns, member);
            }
        }
    }
}

void rf_guard_tick(struct rf_guard *guard, uint64_t now_ns)
{
    if (guard->deadline_ns > now_ns) {
        return;
    }
    guard->deadline_ns = UINT64_MAX;
    struct guard_link due; /* settling may put a member back among those that wait */
    list_init(&due);
    struct guard_link *next = NULL;
    for (struct guard_link *link = guard->waiting.next; link != &guard->waiting; link = next) {
        next = link->next;
        struct guard_member *member = MEMBER_OF(link, waiting);
        if (member->deadline_ns <= now_ns) {
            list_remove(link);
            list_add(&due, link);
        } else if (member->deadline_ns < guard->deadline_ns) {
            guard->deadline_ns = member->deadline_ns;
        }
    }
    while (!list_is_empty(&due)) {
        struct guard_member *member = MEMBER_OF(due.next, waiting);
        list_remove(&member->waiting);
        settle(guard, now_ns, member);
        unguard_group(guard, member->group);
        fill_dead_ring(guard, now_ns, member->group);
    }
}

uint64_t rf_guard_deadline_ns(const struct rf_guard *guard)
{
    return guard->deadline_ns;
}

bool rf_guard_next(struct rf_guard *guard, const char **ret_id, enum rf_member_state *ret_state)
{
    if (list_is_empty(&guard->changed)) {
        return false;
    }
    struct guard_member *member = MEMBER_OF(guard->changed.next, changed);
    list_remove(&member->changed);
    *ret_id = member->id;
    *ret_state = member->state;
    return true;
}

void rf_guard_get_stats(const struct rf_guard *guard, struct rf_guard_stats *ret_stats)
{
    *ret_stats = guard->stats;
}

void rf_guard_check(const struct rf_guard *guard)
{
    size_t members_count = 0;
    size_t groups_count = 0;
    uint64_t held = 0;
    uint64_t protected = 0;
    uint64_t groups_protected = 0;
    for (size_t i = 0; i < guard->group_buckets_count; i++) {
        for (const struct guard_group *group = guard->group_buckets[i]; group != NULL;
             group = group->hash_next) {
            size_t in_ring = 0;
            size_t alive = 0;
            size_t failed = 0;
            size_t kept = 0;
            size_t kept_failed = 0;
            for (struct guard_link *link = group->members.next; link != &group->members;
                 link = link->next) {
                const struct guard_member *member = MEMBER_OF(link, in_group);
                RF_ASSERT(member->group == group && find_member(guard, member->id) == member);
                RF_ASSERT(
                    member->state == member->said ||
                    (member->state == RF_MEMBER_HELD && rf_member_is_in_ring(member->said)) ||
                    (member->state == RF_MEMBER_PROTECTED && member->said == RF_MEMBER_FAILED));
                RF_ASSERT((member->deadline_ns == UINT64_MAX) == (member->waiting.next == NULL));
                RF_ASSERT(member->deadline_ns >= guard->deadline_ns);
                in_ring += rf_member_is_in_ring(member->state);
                alive += rf_member_is_in_ring(member->said);
                failed += member->failed.next != NULL;
                kept += member->state == RF_MEMBER_PROTECTED && member->is_kept_by_group;
                kept_failed += member->state == RF_MEMBER_PROTECTED;
                held += member->state == RF_MEMBER_HELD;
                members_count++;
            }
            RF_ASSERT(in_ring == group->ring_count && alive == group->alive_count);
            RF_ASSERT(failed == group->failed_count && kept == group->kept_count);
            RF_ASSERT(kept_failed == group->protected_count);
            RF_ASSERT(in_ring > kept_failed || alive == 0);
            protected += kept_failed;
            groups_protected += group->protect_ends_ns != 0;
            groups_count++;
        }
    }
    RF_ASSERT(members_count == guard->members_count && groups_count == guard->groups_count);
    RF_ASSERT(held == guard->stats.members_held && protected == guard->stats.members_protected);
    RF_ASSERT(groups_protected == guard->stats.groups_protected);
}
