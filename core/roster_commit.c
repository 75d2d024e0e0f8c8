/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/digest.h"
#include "core/roster_private.h"

/*
 * A commit first makes everything that can fail, beside what is there: for each touched group the
 * sorted entries, the ring and the block, then the catalog. Only then does it change the roster,
 * and nothing of that can fail. A group that there was no memory for stays as it was, so that one
 * large group does not keep all others from changing; a failure of the rest throws the new parts
 * away.
 */

static int compare_entries(const void *a, const void *b)
{
    const struct rf_roster_entry *const *entry_a = a;
    const struct rf_roster_entry *const *entry_b = b;
    return strcmp((*entry_a)->id, (*entry_b)->id);
}

/* The members of a group now, sorted by id: what is left of those before, merged with the fresh. */
static struct rf_roster_entry **collect_entries(const struct rf_roster_group *group)
{
    struct rf_roster_entry **entries = calloc(group->members_count, sizeof(entries[0]));
    struct rf_roster_entry **fresh = calloc(group->fresh_count + 1, sizeof(fresh[0]));
    if (entries == NULL || fresh == NULL) {
        free(entries);
        free(fresh);
        return NULL;
    }
    size_t fresh_count = 0;
    for (struct rf_roster_entry *entry = group->fresh; entry != NULL; entry = entry->fresh_next) {
        fresh[fresh_count++] = entry;
    }
    RF_ASSERT(fresh_count == group->fresh_count);
    qsort(fresh, fresh_count, sizeof(fresh[0]), compare_entries);
    size_t count = 0;
    size_t fresh_at = 0;
    for (size_t i = 0; i < group->entries_count; i++) {
        struct rf_roster_entry *kept = group->entries[i];
        if (!kept->is_gone) {
            while (fresh_at < fresh_count && strcmp(fresh[fresh_at]->id, kept->id) < 0) {
                entries[count++] = fresh[fresh_at++];
            }
            entries[count++] = kept;
        }
    }
    while (fresh_at < fresh_count) {
        entries[count++] = fresh[fresh_at++];
    }
    RF_ASSERT(count == group->members_count);
    free(fresh);
    return entries;
}

/* ---- rings ---- */

/* What the next ring of a group has less and more than the last one. */
struct ring_change {
    uint16_t *removed_slots;
    size_t removed_count;
    struct rf_ring_member *added;
    uint16_t *added_slots;
    size_t added_count;
};

static bool leaves_ring(const struct rf_roster_entry *entry)
{
    return entry->in_ring && (entry->is_gone || !rf_member_is_in_ring(entry->state) ||
                              entry->replicas != entry->ring_replicas);
}

static bool enters_ring(const struct rf_roster_entry *entry)
{
    return rf_member_is_in_ring(entry->state) &&
           (!entry->in_ring || entry->replicas != entry->ring_replicas);
}

static void ring_change_fini(struct ring_change *change)
{
    free(change->removed_slots);
    free(change->added);
    free(change->added_slots);
}

static int ring_change_init(struct ring_change *change, const struct rf_roster_group *group)
{
    *change = (struct ring_change){
        .removed_slots = calloc(group->entries_count + 1, sizeof(change->removed_slots[0])),
        .added = calloc(group->members_count + 1, sizeof(change->added[0])),
        .added_slots = calloc(group->members_count + 1, sizeof(change->added_slots[0])),
    };
    if (change->removed_slots == NULL || change->added == NULL || change->added_slots == NULL) {
        ring_change_fini(change);
        return -ENOMEM;
    }
    for (size_t i = 0; i < group->entries_count; i++) {
        if (leaves_ring(group->entries[i])) {
            change->removed_slots[change->removed_count++] = group->entries[i]->slot;
        }
    }
    for (size_t i = 0; i < group->members_count; i++) {
        const struct rf_roster_entry *entry = group->next_entries[i];
        if (enters_ring(entry)) {
            change->added[change->added_count++] =
                (struct rf_ring_member){.id = entry->id, .replicas = entry->replicas};
        }
    }
    return 0;
}

/* *ret_shared is NULL if nobody is in the ring, else referred to once more. */
static int make_ring(const struct rf_roster *roster, const struct rf_roster_group *group,
                     struct ring_change *change, struct rf_shared_ring **ret_shared,
                     struct rf_error *err)
{
    struct rf_shared_ring *before = group->committed == NULL ? NULL : group->committed->shared;
    if (group->alive_count == 0) {
        *ret_shared = NULL;
        return 0;
    }
    if (change->removed_count == 0 && change->added_count == 0) {
        *ret_shared = rf_shared_ring_ref(before);
        return 0;
    }
    struct rf_shared_ring *shared = calloc(1, sizeof(*shared));
    if (shared == NULL) {
        return rf_error_set(err, -ENOMEM, "ring of %zu members", group->alive_count);
    }
    int code;
    if (before == NULL || change->removed_count == rf_ring_members_count(before->ring)) {
        code = rf_ring_build(roster->placement, change->added, change->added_count, &shared->ring,
                             err);
        for (size_t i = 0; i < change->added_count; i++) {
            change->added_slots[i] = (uint16_t)i;
        }
    } else {
        code = rf_ring_update(before->ring, change->removed_slots, change->removed_count,
                              change->added, change->added_count, change->added_slots,
                              &shared->ring, err);
    }
    if (code != 0) {
        free(shared);
        return code;
    }
    shared->refs = 1;
    *ret_shared = shared;
    return 0;
}

/* ---- what was forgotten ---- */

struct forgotten {
    struct rf_forgotten list[RF_FORGOTTEN_MAX]; /* the youngest; ids are borrowed */
    size_t count;
    uint64_t since; /* as rf_group.since */
};

static void forget(struct forgotten *forgotten, const char *id, uint64_t version)
{
    if (forgotten->count == RF_FORGOTTEN_MAX) {
        forgotten->since = forgotten->list[0].version;
        forgotten->count--;
        memmove(&forgotten->list[0], &forgotten->list[1],
                forgotten->count * sizeof(forgotten->list[0]));
    }
    forgotten->list[forgotten->count++] = (struct rf_forgotten){.id = id, .version = version};
}

/* What the next commit will say was forgotten. */
static void collect_forgotten(const struct rf_roster *roster, const struct rf_roster_group *group,
                              struct forgotten *forgotten)
{
    const uint64_t version = roster->version + 1;
    *forgotten = (struct forgotten){.since = version};
    if (group->committed == NULL) {
        return;
    }
    const struct rf_group *before = &group->committed->group;
    forgotten->since = before->since;
    for (size_t i = 0; i < before->forgotten_count; i++) {
        forget(forgotten, before->forgotten[i].id, before->forgotten[i].version);
    }
    for (size_t i = 0; i < group->entries_count; i++) {
        if (group->entries[i]->is_gone) {
            forget(forgotten, group->entries[i]->id, version);
        }
    }
}

/* ---- groups ---- */

static size_t strings_size(const struct rf_roster_group *group, const struct forgotten *forgotten)
{
    size_t size = group->name_size + 1;
    for (size_t i = 0; i < group->members_count; i++) {
        size += strlen(group->next_entries[i]->id) + 1 + strlen(group->next_entries[i]->addr) + 1;
    }
    for (size_t i = 0; i < forgotten->count; i++) {
        size += strlen(forgotten->list[i].id) + 1;
    }
    return size;
}

static const char *copy_text(char **at, const char *text)
{
    char *copy = *at;
    *at = stpcpy(copy, text) + 1;
    return copy;
}

static void fill_block(struct rf_group_block *block, const struct rf_roster_group *group,
                       const struct ring_change *change, const struct forgotten *forgotten,
                       size_t slots_count)
{
    struct rf_wire_owner_short *owners = (struct rf_wire_owner_short *)(block + 1);
    struct rf_wire_owner_short *entries = owners + slots_count;
    struct rf_member *members = (struct rf_member *)(entries + slots_count);
    const struct rf_member **by_slot = (const struct rf_member **)(members + group->members_count);
    uint64_t *changed = (uint64_t *)(by_slot + slots_count);
    struct rf_forgotten *list = (struct rf_forgotten *)(changed + group->members_count);
    char *strings = (char *)(list + forgotten->count);
    size_t added_at = 0;
    memset(owners, 0, 2 * slots_count * sizeof(owners[0])); /* the entries too */
    memset(by_slot, 0, slots_count * sizeof(by_slot[0]));
    block->group.name = copy_text(&strings, group->name);
    for (size_t i = 0; i < group->members_count; i++) {
        const struct rf_roster_entry *entry = group->next_entries[i];
        members[i] = (struct rf_member){
            .id = copy_text(&strings, entry->id),
            .group = block->group.name,
            .addr = copy_text(&strings, entry->addr),
            .replicas = entry->replicas,
            .state = entry->state,
        };
        changed[i] = entry->changed;
        if (rf_member_is_in_ring(entry->state)) {
            const uint16_t slot =
                enters_ring(entry) ? change->added_slots[added_at++] : entry->slot;
            RF_ASSERT(slot < slots_count && by_slot[slot] == NULL);
            by_slot[slot] = &members[i];
            rf_wire_owner_short_init(&owners[slot], members[i].id, members[i].addr);
            rf_wire_entry_short_init(&entries[slot], members[i].id, members[i].addr);
        }
    }
    for (size_t i = 0; i < forgotten->count; i++) {
        list[i] = (struct rf_forgotten){.id = copy_text(&strings, forgotten->list[i].id),
                                        .version = forgotten->list[i].version};
    }
    RF_ASSERT(added_at == change->added_count && strings <= (char *)block + block->size);
    block->group.members = members;
    block->group.by_slot = by_slot;
    block->group.owners = owners;
    block->group.entries = entries;
    block->group.changed = changed;
    block->group.forgotten = list;
}

/* Takes `shared` if it succeeds. */
static struct rf_group_block *make_block(const struct rf_roster *roster,
                                         const struct rf_roster_group *group,
                                         const struct ring_change *change,
                                         struct rf_shared_ring *shared)
{
    const size_t line_size = _Alignof(struct rf_group_block);
    const size_t slots_count = shared == NULL ? 0 : rf_ring_slots_count(shared->ring);
    struct forgotten forgotten;
    collect_forgotten(roster, group, &forgotten);
    size_t size =
        sizeof(struct rf_group_block) +
        group->members_count * (sizeof(struct rf_member) + sizeof(uint64_t)) +
        slots_count * (2 * sizeof(struct rf_wire_owner_short) + sizeof(struct rf_member *)) +
        forgotten.count * sizeof(struct rf_forgotten) + strings_size(group, &forgotten);
    size = (size + line_size - 1) / line_size * line_size;
    struct rf_group_block *block = aligned_alloc(line_size, size);
    if (block == NULL) {
        return NULL;
    }
    *block = (struct rf_group_block){
        .refs = 1,
        .size = size,
        .shared = shared,
        .group =
            {
                .name_size = group->name_size,
                .version = roster->version + 1,
                .digest = group->digest,
                .ring = shared == NULL ? NULL : shared->ring,
                .members_count = group->members_count,
                .alive_count = group->alive_count,
                .since = forgotten.since,
                .forgotten_count = forgotten.count,
            },
    };
    fill_block(block, group, change, &forgotten, slots_count);
    RF_DEBUG_CHECK(rf_group_check(&block->group, roster->placement));
    return block;
}

static void discard_group(struct rf_roster_group *group)
{
    rf_group_block_unref(group->next);
    free(group->next_entries);
    group->next = NULL;
    group->next_entries = NULL;
}

/* Makes group->next and group->next_entries; on failure neither. */
static int prepare_group(const struct rf_roster *roster, struct rf_roster_group *group,
                         struct rf_error *err)
{
    struct ring_change change;
    struct rf_shared_ring *shared = NULL;
    group->next_entries = collect_entries(group);
    if (group->next_entries == NULL) {
        return rf_error_set(err, -ENOMEM, "group '%s' of %zu members", group->name,
                            group->members_count);
    }
    int code = ring_change_init(&change, group);
    if (code != 0) {
        discard_group(group);
        return rf_error_set(err, code, "group '%s' of %zu members", group->name,
                            group->members_count);
    }
    code = make_ring(roster, group, &change, &shared, err);
    if (code != 0) {
        code = rf_error_prefix(err, code, "group '%s'", group->name);
    } else {
        group->next = make_block(roster, group, &change, shared);
        if (group->next == NULL) {
            rf_shared_ring_unref(shared);
            code = rf_error_set(err, -ENOMEM, "group '%s' of %zu members", group->name,
                                group->members_count);
        }
    }
    ring_change_fini(&change);
    if (code != 0) {
        discard_group(group);
    }
    return code;
}

/* The roster takes over what was made for a group with members. Cannot fail. */
static void accept_group(struct rf_roster_group *group)
{
    const struct rf_group *next = &group->next->group;
    for (size_t i = 0; i < group->entries_count; i++) {
        if (group->entries[i]->is_gone) {
            rf_roster_entry_free(group->entries[i]);
        }
    }
    for (size_t i = 0; i < group->members_count; i++) {
        struct rf_roster_entry *entry = group->next_entries[i];
        entry->is_fresh = false;
        entry->fresh_prev = NULL;
        entry->fresh_next = NULL;
        entry->in_ring = false;
    }
    const size_t slots_count = next->ring == NULL ? 0 : rf_ring_slots_count(next->ring);
    for (size_t slot = 0; slot < slots_count; slot++) {
        if (next->by_slot[slot] != NULL) {
            struct rf_roster_entry *entry =
                group->next_entries[next->by_slot[slot] - next->members];
            entry->in_ring = true;
            entry->slot = (uint16_t)slot;
            entry->ring_replicas = entry->replicas;
        }
    }
    rf_group_block_unref(group->committed);
    free(group->entries);
    group->committed = group->next;
    group->entries = group->next_entries;
    group->entries_count = group->members_count;
    group->next = NULL;
    group->next_entries = NULL;
    group->fresh = NULL;
    group->fresh_count = 0;
    group->is_dirty = false;
}

/* ---- catalogs ---- */

/* What the next catalog has of a group; NULL: nothing. A touched group that memory was short for is
 * as it was. */
static const struct rf_group_block *next_block(const struct rf_roster_group *group)
{
    if (group->members_count == 0) {
        return NULL;
    }
    return group->next != NULL ? group->next : group->committed;
}

/* Refers to nothing yet, so that it can be thrown away by free. */
static struct rf_catalog *make_catalog(const struct rf_roster *roster)
{
    const struct rf_group **groups = NULL;
    struct rf_catalog *catalog = malloc(sizeof(*catalog) + roster->groups_used * sizeof(groups[0]));
    if (catalog == NULL) {
        return NULL;
    }
    groups = (const struct rf_group **)(catalog + 1);
    uint64_t groups_sum = 0;
    size_t count = 0;
    size_t members_count = 0;
    size_t alive_count = 0;
    bool is_renamed = roster->index == NULL;
    for (size_t i = 0; i < roster->groups_count; i++) {
        const struct rf_group_block *block = next_block(roster->groups[i]);
        is_renamed |= (block == NULL) != (roster->groups[i]->committed == NULL);
        if (block != NULL) {
            groups[count++] = &block->group;
            groups_sum += block->group.digest;
            members_count += block->group.members_count;
            alive_count += block->group.alive_count;
        }
    }
    RF_ASSERT(count <= roster->groups_used);
    *catalog = (struct rf_catalog){
        .published = {.free = rf_catalog_free_published},
        .version = roster->version + 1,
        .digest = rf_digest_catalog(roster->placement, groups_sum),
        .placement = roster->placement,
        .groups = groups,
        .groups_count = count,
        .members_count = members_count,
        .alive_count = alive_count,
        .index = is_renamed ? rf_catalog_index_new(groups, count) : roster->index,
    };
    if (catalog->index == NULL) {
        free(catalog);
        return NULL;
    }
    return catalog;
}

/* The roster takes over all that was made; groups that were not stay touched. Cannot fail. */
static void accept_catalog(struct rf_roster *roster, struct rf_catalog *catalog)
{
    if (catalog->index != roster->index) {
        rf_catalog_index_unref(roster->index);
        roster->index = catalog->index; /* made with one reference: the roster's */
    }
    catalog->index->refs++;
    size_t kept_count = 0;
    roster->is_dirty = false;
    for (size_t i = 0; i < roster->groups_count; i++) {
        struct rf_roster_group *group = roster->groups[i];
        if (group->members_count == 0) {
            rf_roster_group_free(group);
            continue;
        }
        if (group->next != NULL) {
            accept_group(group);
        }
        if (group->committed != NULL) {
            group->committed->refs++;
        }
        roster->is_dirty |= group->is_dirty;
        roster->groups[kept_count++] = group;
    }
    RF_ASSERT(kept_count == roster->groups_used);
    roster->groups_count = kept_count;
    roster->version = catalog->version;
}

/* Prepares every touched group, as far as there is memory. Returns 0, 1 if some of what has changed
 * is not prepared, or the code if nothing is. */
static int prepare_groups(const struct rf_roster *roster, struct rf_error *err)
{
    bool is_any_ready = false;
    int code = 0;
    for (size_t i = 0; i < roster->groups_count; i++) {
        struct rf_roster_group *group = roster->groups[i];
        if (group->is_dirty) {
            int ret = group->members_count > 0 ? prepare_group(roster, group, err) : 0;
            is_any_ready |= ret == 0;
            code = ret != 0 ? ret : code;
        }
    }
    return code != 0 && is_any_ready ? 1 : code;
}

int rf_roster_commit(struct rf_roster *roster, struct rf_catalog **ret_catalog,
                     struct rf_error *err)
{
    struct rf_catalog *catalog = NULL;
    if (!roster->is_dirty) {
        *ret_catalog = NULL;
        return 0;
    }
    int code = prepare_groups(roster, err);
    if (code >= 0) {
        catalog = make_catalog(roster);
        if (catalog == NULL) {
            code = rf_error_set(err, -ENOMEM, "catalog of %zu groups", roster->groups_used);
        }
    }
    if (code < 0) {
        for (size_t i = 0; i < roster->groups_count; i++) {
            discard_group(roster->groups[i]);
        }
        return code;
    }
    accept_catalog(roster, catalog);
    *ret_catalog = catalog;
    return code;
}

void rf_roster_trim(struct rf_roster *roster)
{
    for (size_t i = 0; i < roster->groups_count; i++) {
        const struct rf_group_block *committed = roster->groups[i]->committed;
        if (committed != NULL && committed->shared != NULL) {
            rf_ring_trim(committed->shared->ring);
        }
    }
}
