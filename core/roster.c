/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/assert.h"
#include "core/digest.h"
#include "core/roster_private.h"
#include "core/text.h"

enum { BUCKETS_COUNT_FIRST = 64, GROUPS_CAPACITY_FIRST = 16 };

int rf_roster_new(enum rf_placement placement, struct rf_roster **ret_roster, struct rf_error *err)
{
    struct rf_roster *roster = calloc(1, sizeof(*roster));
    struct rf_roster_entry **buckets = calloc(BUCKETS_COUNT_FIRST, sizeof(buckets[0]));
    if (roster == NULL || buckets == NULL) {
        free(roster);
        free(buckets);
        return rf_error_set(err, -ENOMEM, "roster");
    }
    roster->placement = placement;
    roster->buckets = buckets;
    roster->buckets_count = BUCKETS_COUNT_FIRST;
    /* Ids come from others, who shall not know which of them share a bucket. Nothing that can be
     * seen depends on it. */
    roster->hash_seed = (uint64_t)(uintptr_t)roster;
    roster->is_dirty = true; /* the first commit makes a catalog, if an empty one */
    *ret_roster = roster;
    return 0;
}

/* Not strdup: the tests that let allocations fail see ours only. */
static char *copy_text(const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

void rf_roster_entry_free(struct rf_roster_entry *entry)
{
    free(entry->addr);
    free(entry);
}

void rf_roster_group_free(struct rf_roster_group *group)
{
    for (size_t i = 0; i < group->entries_count; i++) {
        rf_roster_entry_free(group->entries[i]);
    }
    struct rf_roster_entry *next = NULL;
    for (struct rf_roster_entry *entry = group->fresh; entry != NULL; entry = next) {
        next = entry->fresh_next;
        rf_roster_entry_free(entry);
    }
    free(group->entries);
    rf_group_block_unref(group->committed);
    free(group);
}

void rf_roster_free(struct rf_roster *roster)
{
    if (roster == NULL) {
        return;
    }
    for (size_t i = 0; i < roster->groups_count; i++) {
        rf_roster_group_free(roster->groups[i]);
    }
    rf_catalog_index_unref(roster->index);
    free(roster->groups);
    free(roster->buckets);
    free(roster);
}

size_t rf_roster_members_count(const struct rf_roster *roster)
{
    return roster->members_count;
}

/* ---- entries by id ---- */

static uint64_t hash_of(const struct rf_roster *roster, const char *id)
{
    return XXH3_64bits_withSeed(id, strlen(id), roster->hash_seed);
}

static struct rf_roster_entry **bucket_of(const struct rf_roster *roster, uint64_t hash)
{
    return &roster->buckets[hash & (roster->buckets_count - 1)];
}

static struct rf_roster_entry *find_entry(const struct rf_roster *roster, const char *id)
{
    const uint64_t hash = hash_of(roster, id);
    struct rf_roster_entry *entry = *bucket_of(roster, hash);
    while (entry != NULL && (entry->hash != hash || strcmp(entry->id, id) != 0)) {
        entry = entry->hash_next;
    }
    return entry;
}

bool rf_roster_find(const struct rf_roster *roster, const char *id, struct rf_member *ret_member)
{
    const struct rf_roster_entry *entry = find_entry(roster, id);
    if (entry == NULL) {
        return false;
    }
    *ret_member = (struct rf_member){.id = entry->id,
                                     .group = entry->group->name,
                                     .addr = entry->addr,
                                     .replicas = entry->replicas,
                                     .state = entry->state};
    return true;
}

static void hash_insert(struct rf_roster *roster, struct rf_roster_entry *entry)
{
    struct rf_roster_entry **bucket = bucket_of(roster, entry->hash);
    entry->hash_next = *bucket;
    *bucket = entry;
}

static void hash_remove(struct rf_roster *roster, struct rf_roster_entry *entry)
{
    struct rf_roster_entry **at = bucket_of(roster, entry->hash);
    while (*at != entry) {
        at = &(*at)->hash_next;
    }
    *at = entry->hash_next;
}

/* Without memory for more buckets the chains get longer, and the next insertion tries again. */
static void hash_grow(struct rf_roster *roster)
{
    if (roster->members_count < roster->buckets_count) {
        return;
    }
    struct rf_roster_entry **before = roster->buckets;
    const size_t before_count = roster->buckets_count;
    struct rf_roster_entry **buckets = calloc(2 * before_count, sizeof(buckets[0]));
    if (buckets == NULL) {
        return;
    }
    roster->buckets = buckets;
    roster->buckets_count = 2 * before_count;
    for (size_t i = 0; i < before_count; i++) {
        struct rf_roster_entry *next = NULL;
        for (struct rf_roster_entry *entry = before[i]; entry != NULL; entry = next) {
            next = entry->hash_next;
            hash_insert(roster, entry);
        }
    }
    free(before);
}

/* ---- groups by name ---- */

/* The position of the group of that name, or the one where it belongs. */
static size_t group_position(const struct rf_roster *roster, const char *name)
{
    size_t low = 0;
    size_t high = roster->groups_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(roster->groups[middle]->name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct rf_roster_group *find_group(const struct rf_roster *roster, const char *name)
{
    const size_t i = group_position(roster, name);
    const bool is_there = i < roster->groups_count && strcmp(roster->groups[i]->name, name) == 0;
    return is_there ? roster->groups[i] : NULL;
}

struct rf_roster_sums rf_roster_sums(const struct rf_roster *roster, const char *group)
{
    const struct rf_roster_group *found = find_group(roster, group);
    return found == NULL ? (struct rf_roster_sums){0}
                         : (struct rf_roster_sums){.digest = found->digest,
                                                   .members_count = found->members_count,
                                                   .alive_count = found->alive_count};
}

static struct rf_roster_group *add_group(struct rf_roster *roster, const char *name)
{
    if (roster->groups_count == roster->groups_capacity) {
        const size_t capacity = roster->groups_capacity == 0 ? (size_t)GROUPS_CAPACITY_FIRST
                                                             : 2 * roster->groups_capacity;
        struct rf_roster_group **groups = realloc(roster->groups, capacity * sizeof(groups[0]));
        if (groups == NULL) {
            return NULL;
        }
        roster->groups = groups;
        roster->groups_capacity = capacity;
    }
    const size_t name_size = strlen(name);
    struct rf_roster_group *group = calloc(1, sizeof(*group) + name_size + 1);
    if (group == NULL) {
        return NULL;
    }
    group->name_size = name_size;
    memcpy(group->name, name, name_size);
    const size_t at = group_position(roster, name);
    memmove(&roster->groups[at + 1], &roster->groups[at],
            (roster->groups_count - at) * sizeof(roster->groups[0]));
    roster->groups[at] = group;
    roster->groups_count++;
    return group;
}

/* A group that no commit has seen and nobody is in need not wait for the next commit. */
static void drop_if_unused(struct rf_roster *roster, struct rf_roster_group *group)
{
    if (group->members_count > 0 || group->committed != NULL) {
        return;
    }
    const size_t at = group_position(roster, group->name);
    roster->groups_count--;
    memmove(&roster->groups[at], &roster->groups[at + 1],
            (roster->groups_count - at) * sizeof(roster->groups[0]));
    rf_roster_group_free(group);
}

/* ---- sums ---- */

static void touch(struct rf_roster *roster, struct rf_roster_group *group)
{
    group->is_dirty = true;
    roster->is_dirty = true;
}

static void sums_add(struct rf_roster *roster, struct rf_roster_entry *entry)
{
    struct rf_roster_group *group = entry->group;
    entry->changed = roster->version + 1;
    roster->groups_used += group->members_count == 0;
    group->members_count++;
    roster->members_count++;
    if (rf_member_is_in_ring(entry->state)) {
        group->alive_count++;
        roster->alive_count++;
        group->points_count += entry->replicas;
        roster->points_count += entry->replicas;
        group->digest += entry->digest;
    }
    touch(roster, group);
}

static void sums_subtract(struct rf_roster *roster, const struct rf_roster_entry *entry)
{
    struct rf_roster_group *group = entry->group;
    group->members_count--;
    roster->members_count--;
    roster->groups_used -= group->members_count == 0;
    if (rf_member_is_in_ring(entry->state)) {
        group->alive_count--;
        roster->alive_count--;
        group->points_count -= entry->replicas;
        roster->points_count -= entry->replicas;
        group->digest -= entry->digest;
    }
    touch(roster, group);
}

/* ---- changes ---- */

static int check_ring_limits(const struct rf_roster *roster, const struct rf_roster_entry *before,
                             const struct rf_roster_group *group, const struct rf_member *member,
                             struct rf_error *err)
{
    char id[RF_QUOTE_SIZE];
    char name[RF_QUOTE_SIZE];
    const bool was_in_ring = before != NULL && rf_member_is_in_ring(before->state);
    const bool was_in_group = was_in_ring && before->group == group;
    const uint64_t replicas_before = was_in_ring ? before->replicas : 0;
    const uint64_t others_count = group == NULL ? 0 : group->alive_count - was_in_group;
    const uint64_t others_points =
        group == NULL ? 0 : group->points_count - (was_in_group ? replicas_before : 0);
    if (others_count + 1 > RF_RING_SLOTS_MAX) {
        return rf_error_set(
            err, RF_ELIMIT, "member %s: group %s has %d members in its ring, the most",
            rf_text_quote(member->id, id), rf_text_quote(member->group, name), RF_RING_SLOTS_MAX);
    }
    if (others_points + member->replicas > RF_RING_POINTS_MAX) {
        return rf_error_set(
            err, RF_ELIMIT, "member %s: replicas %u: group %s has room for %llu of %d points",
            rf_text_quote(member->id, id), member->replicas, rf_text_quote(member->group, name),
            (unsigned long long)(RF_RING_POINTS_MAX - others_points), RF_RING_POINTS_MAX);
    }
    if (roster->points_count - replicas_before + member->replicas > RF_POINTS_MAX) {
        return rf_error_set(err, RF_ELIMIT,
                            "member %s: replicas %u: all groups have %d points at most",
                            rf_text_quote(member->id, id), member->replicas, RF_POINTS_MAX);
    }
    return 0;
}

static int check_limits(const struct rf_roster *roster, const struct rf_roster_entry *before,
                        const struct rf_member *member, struct rf_error *err)
{
    char id[RF_QUOTE_SIZE];
    char name[RF_QUOTE_SIZE];
    const struct rf_roster_group *group = find_group(roster, member->group);
    if (before == NULL && roster->members_count >= RF_MEMBERS_MAX) {
        return rf_error_set(err, RF_ELIMIT, "member %s: there are %d members, the most",
                            rf_text_quote(member->id, id), RF_MEMBERS_MAX);
    }
    const bool is_first = group == NULL || group->members_count == 0;
    const bool frees_one = before != NULL && before->group->members_count == 1;
    if (is_first && roster->groups_used - frees_one >= RF_GROUPS_MAX) {
        return rf_error_set(err, RF_ELIMIT, "member %s: group %s: there are %d groups, the most",
                            rf_text_quote(member->id, id), rf_text_quote(member->group, name),
                            RF_GROUPS_MAX);
    }
    return rf_member_is_in_ring(member->state)
               ? check_ring_limits(roster, before, group, member, err)
               : 0;
}

/* Allocates nothing, so that forgetting a member cannot fail. */
static void remove_entry(struct rf_roster *roster, struct rf_roster_entry *entry)
{
    struct rf_roster_group *group = entry->group;
    hash_remove(roster, entry);
    sums_subtract(roster, entry);
    if (!entry->is_fresh) {
        entry->is_gone = true;
        return;
    }
    if (entry->fresh_prev != NULL) {
        entry->fresh_prev->fresh_next = entry->fresh_next;
    } else {
        group->fresh = entry->fresh_next;
    }
    if (entry->fresh_next != NULL) {
        entry->fresh_next->fresh_prev = entry->fresh_prev;
    }
    group->fresh_count--;
    rf_roster_entry_free(entry);
    drop_if_unused(roster, group);
}

static int change_entry(struct rf_roster *roster, struct rf_roster_entry *entry,
                        const struct rf_member *member, struct rf_error *err)
{
    if (strcmp(entry->addr, member->addr) != 0) {
        char *addr = copy_text(member->addr);
        if (addr == NULL) {
            return rf_error_set(err, -ENOMEM, "address of a member");
        }
        sums_subtract(roster, entry);
        free(entry->addr);
        entry->addr = addr;
    } else {
        sums_subtract(roster, entry);
    }
    entry->replicas = member->replicas;
    entry->state = member->state;
    entry->digest = rf_digest_member(member);
    sums_add(roster, entry);
    return 1;
}

static struct rf_roster_entry *make_entry(const struct rf_roster *roster,
                                          const struct rf_member *member)
{
    const size_t id_size = strlen(member->id) + 1;
    struct rf_roster_entry *entry = calloc(1, sizeof(*entry) + id_size);
    char *addr = copy_text(member->addr);
    if (entry == NULL || addr == NULL) {
        free(entry);
        free(addr);
        return NULL;
    }
    memcpy(entry->id, member->id, id_size);
    entry->hash = hash_of(roster, member->id);
    entry->addr = addr;
    entry->replicas = member->replicas;
    entry->state = member->state;
    entry->digest = rf_digest_member(member);
    entry->generation = roster->generation;
    return entry;
}

/* `before`, if any, is the member of that id in another group. */
static int insert_entry(struct rf_roster *roster, struct rf_roster_entry *before,
                        const struct rf_member *member, struct rf_error *err)
{
    struct rf_roster_entry *entry = make_entry(roster, member);
    struct rf_roster_group *group = find_group(roster, member->group);
    if (entry != NULL && group == NULL) {
        group = add_group(roster, member->group);
    }
    if (entry == NULL || group == NULL) {
        if (entry != NULL) {
            rf_roster_entry_free(entry);
        }
        return rf_error_set(err, -ENOMEM, "one more member");
    }
    entry->group = group;
    entry->is_fresh = true;
    entry->fresh_next = group->fresh;
    if (group->fresh != NULL) {
        group->fresh->fresh_prev = entry;
    }
    group->fresh = entry;
    group->fresh_count++;
    if (before != NULL) {
        remove_entry(roster, before);
    }
    sums_add(roster, entry);
    hash_grow(roster);
    hash_insert(roster, entry);
    return 1;
}

int rf_roster_put(struct rf_roster *roster, const struct rf_member *member, struct rf_error *err)
{
    int code = rf_member_check(member, err);
    if (code != 0) {
        return code;
    }
    struct rf_roster_entry *before = find_entry(roster, member->id);
    bool is_same_group = false;
    if (before != NULL) {
        before->generation = roster->generation;
        is_same_group = strcmp(before->group->name, member->group) == 0;
        if (is_same_group && before->replicas == member->replicas &&
            before->state == member->state && strcmp(before->addr, member->addr) == 0) {
            return 0;
        }
    }
    code = check_limits(roster, before, member, err);
    if (code != 0) {
        return code;
    }
    return is_same_group ? change_entry(roster, before, member, err)
                         : insert_entry(roster, before, member, err);
}

int rf_roster_set_state(struct rf_roster *roster, const char *id, enum rf_member_state state,
                        struct rf_error *err)
{
    struct rf_roster_entry *entry = find_entry(roster, id);
    if (entry == NULL || entry->state == state) {
        return 0;
    }
    const struct rf_member member = {.id = entry->id,
                                     .group = entry->group->name,
                                     .addr = entry->addr,
                                     .replicas = entry->replicas,
                                     .state = state};
    int code = rf_member_check(&member, err); /* who drains has no weight for the ring */
    code = code != 0 ? code : check_limits(roster, entry, &member, err);
    return code != 0 ? code : change_entry(roster, entry, &member, err);
}

int rf_roster_remove(struct rf_roster *roster, const char *id)
{
    struct rf_roster_entry *entry = find_entry(roster, id);
    if (entry == NULL) {
        return 0;
    }
    remove_entry(roster, entry);
    return 1;
}

void rf_roster_mark(struct rf_roster *roster)
{
    roster->generation++;
}

size_t rf_roster_sweep(struct rf_roster *roster)
{
    size_t swept_count = 0;
    for (size_t i = 0; i < roster->buckets_count; i++) {
        struct rf_roster_entry *next = NULL;
        for (struct rf_roster_entry *entry = roster->buckets[i]; entry != NULL; entry = next) {
            next = entry->hash_next;
            if (entry->generation != roster->generation) {
                remove_entry(roster, entry);
                swept_count++;
            }
        }
    }
    return swept_count;
}
