/* SPDX-License-Identifier: MIT */
#include "core/catalog.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/assert.h"
#include "core/catalog_private.h"
#include "core/digest.h"

static_assert(offsetof(struct rf_catalog, published) == 0, "rf_catalog_of casts");
static_assert(offsetof(struct rf_group_block, group) == 0, "groups are blocks to their owner");
static_assert(RF_MEMBERS_MAX < UINT32_MAX && RF_GROUPS_MAX < UINT32_MAX, "positions are 32 bits");

struct rf_shared_ring *rf_shared_ring_ref(struct rf_shared_ring *shared)
{
    if (shared != NULL) {
        shared->refs++;
    }
    return shared;
}

void rf_shared_ring_unref(struct rf_shared_ring *shared)
{
    if (shared != NULL && --shared->refs == 0) {
        rf_ring_free(shared->ring);
        free(shared);
    }
}

void rf_group_block_unref(struct rf_group_block *block)
{
    if (block != NULL && --block->refs == 0) {
        rf_shared_ring_unref(block->shared);
        rf_poison(block, block->size);
        free(block);
    }
}

static size_t index_size(size_t slots_count)
{
    return sizeof(struct rf_catalog_index) + slots_count * sizeof(struct rf_catalog_slot);
}

struct rf_catalog_index *rf_catalog_index_new(const struct rf_group *const *groups, size_t count)
{
    size_t slots_count = 2;
    while (slots_count < 2 * count) {
        slots_count *= 2;
    }
    struct rf_catalog_index *index = calloc(1, index_size(slots_count));
    if (index == NULL) {
        return NULL;
    }
    index->refs = 1;
    index->mask = slots_count - 1;
    for (size_t i = 0; i < count; i++) {
        const uint64_t hash = XXH3_64bits(groups[i]->name, groups[i]->name_size);
        size_t at = hash & index->mask;
        while (index->slots[at].position != 0) {
            at = (at + 1) & index->mask;
        }
        index->slots[at].tag = (uint32_t)(hash >> 32);
        index->slots[at].position = (uint32_t)i + 1;
    }
    return index;
}

void rf_catalog_index_unref(struct rf_catalog_index *index)
{
    if (index != NULL && --index->refs == 0) {
        rf_poison(index, index_size(index->mask + 1));
        free(index);
    }
}

const struct rf_group *rf_catalog_group(const struct rf_catalog *catalog, const char *name,
                                        size_t name_size)
{
    const struct rf_catalog_index *index = catalog->index;
    const uint64_t hash = XXH3_64bits(name, name_size);
    for (size_t at = hash & index->mask;; at = (at + 1) & index->mask) {
        const struct rf_catalog_slot *slot = &index->slots[at];
        if (slot->position == 0) {
            return NULL;
        }
        if (slot->tag == (uint32_t)(hash >> 32)) {
            const struct rf_group *group = catalog->groups[slot->position - 1];
            if (group->name_size == name_size && memcmp(group->name, name, name_size) == 0) {
                return group;
            }
        }
    }
}

void rf_catalog_free(struct rf_catalog *catalog)
{
    if (catalog == NULL) {
        return;
    }
    const size_t size = sizeof(*catalog) + catalog->groups_count * sizeof(catalog->groups[0]);
    for (size_t i = 0; i < catalog->groups_count; i++) {
        /* Every group of a catalog is the head of a block (asserted above). */
        rf_group_block_unref((struct rf_group_block *)(void *)catalog->groups[i]);
    }
    rf_catalog_index_unref(catalog->index);
    rf_poison(catalog, size);
    free(catalog);
}

void rf_catalog_free_published(struct rf_published *published)
{
    rf_catalog_free((struct rf_catalog *)published);
}

static void check_slots(const struct rf_group *group)
{
    size_t used_count = 0;
    for (size_t slot = 0; slot < rf_ring_slots_count(group->ring); slot++) {
        const struct rf_ring_member *in_ring = rf_ring_member(group->ring, (uint16_t)slot);
        const struct rf_member *member = group->by_slot[slot];
        struct rf_wire_owner_short owner = {0};
        struct rf_wire_owner_short entry = {0};
        RF_ASSERT((in_ring == NULL) == (member == NULL));
        if (member != NULL) {
            RF_ASSERT(member >= group->members && member < group->members + group->members_count);
            RF_ASSERT(strcmp(member->id, in_ring->id) == 0);
            RF_ASSERT(member->replicas == in_ring->replicas);
            RF_ASSERT(rf_member_is_in_ring(member->state));
            rf_wire_owner_short_init(&owner, member->id, member->addr);
            rf_wire_entry_short_init(&entry, member->id, member->addr);
            used_count++;
        }
        RF_ASSERT(memcmp(&owner, &group->owners[slot], sizeof(owner)) == 0);
        RF_ASSERT(memcmp(&entry, &group->entries[slot], sizeof(entry)) == 0);
    }
    RF_ASSERT(used_count == group->alive_count);
    RF_ASSERT(rf_ring_members_count(group->ring) == group->alive_count);
}

/* What deltas are made from (rf_group.since). */
static void check_changes(const struct rf_group *group)
{
    uint64_t newest = 0;
    RF_ASSERT(group->since >= 1 && group->since <= group->version);
    RF_ASSERT(group->forgotten_count <= RF_FORGOTTEN_MAX);
    for (size_t i = 0; i < group->members_count; i++) {
        newest = group->changed[i] > newest ? group->changed[i] : newest;
    }
    for (size_t i = 0; i < group->forgotten_count; i++) {
        RF_ASSERT(i == 0 || group->forgotten[i - 1].version <= group->forgotten[i].version);
        newest = group->forgotten[i].version > newest ? group->forgotten[i].version : newest;
    }
    RF_ASSERT(newest <= group->version); /* who came and went between commits left no trace */
}

void rf_group_check(const struct rf_group *group, enum rf_placement placement)
{
    check_changes(group);
    uint64_t digest = 0;
    size_t alive_count = 0;
    RF_ASSERT(group->members_count >= 1);
    RF_ASSERT(strlen(group->name) == group->name_size);
    for (size_t i = 0; i < group->members_count; i++) {
        const struct rf_member *member = &group->members[i];
        RF_ASSERT(rf_member_check(member, NULL) == 0);
        RF_ASSERT(member->group == group->name);
        RF_ASSERT(i == 0 || strcmp(member[-1].id, member->id) < 0);
        if (rf_member_is_in_ring(member->state)) {
            digest += rf_digest_member(member);
            alive_count++;
        }
    }
    RF_ASSERT(digest == group->digest);
    RF_ASSERT(alive_count == group->alive_count);
    RF_ASSERT((group->ring == NULL) == (alive_count == 0));
    if (group->ring != NULL) {
        RF_ASSERT(rf_ring_placement(group->ring) == placement);
        check_slots(group);
    }
}

void rf_catalog_check(const struct rf_catalog *catalog)
{
    uint64_t groups_sum = 0;
    size_t members_count = 0;
    size_t alive_count = 0;
    RF_ASSERT(catalog->version >= 1);
    for (size_t i = 0; i < catalog->groups_count; i++) {
        const struct rf_group *group = catalog->groups[i];
        RF_ASSERT(i == 0 || strcmp(catalog->groups[i - 1]->name, group->name) < 0);
        RF_ASSERT(group->version >= 1 && group->version <= catalog->version);
        RF_ASSERT(rf_catalog_group(catalog, group->name, group->name_size) == group);
        rf_group_check(group, catalog->placement);
        groups_sum += group->digest;
        members_count += group->members_count;
        alive_count += group->alive_count;
    }
    RF_ASSERT(rf_digest_catalog(catalog->placement, groups_sum) == catalog->digest);
    RF_ASSERT(members_count == catalog->members_count);
    RF_ASSERT(alive_count == catalog->alive_count);
}
