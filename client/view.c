/* SPDX-License-Identifier: MIT */
#include "client/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

static_assert(offsetof(struct rf_view, hazard) == 0, "a view is what is published");
static_assert(offsetof(struct rf_view, kind) + sizeof(enum rf_view_kind) <= 64,
              "a lookup reads one line of a view");

/* One state may be told by several registries, each with a version of its own. The count is a plain
 * number: only the writer makes and frees views. */
struct rf_shared_catalog {
    struct rf_catalog *catalog;
    size_t refs;
};

static void shared_unref(struct rf_shared_catalog *shared)
{
    if (shared != NULL && --shared->refs == 0) {
        rf_catalog_free(shared->catalog);
        free(shared);
    }
}

static void free_view(struct rf_hazard_value *value)
{
    struct rf_view *view = rf_view_of(value);
    shared_unref(view->shared);
    rf_poison(view, view->size);
    free(view);
}

static struct rf_view *allocate(size_t slots_count)
{
    const size_t line_size = alignof(struct rf_view);
    size_t size = sizeof(struct rf_view) +
                  slots_count * (sizeof(struct rf_view_owner) + sizeof(struct rf_load_cell *) + 1);
    size = (size + line_size - 1) / line_size * line_size;
    struct rf_view *view = aligned_alloc(line_size, size);
    if (view != NULL) {
        struct rf_view_owner *owners = (struct rf_view_owner *)(view + 1);
        struct rf_load_cell **cells = (struct rf_load_cell **)(owners + slots_count);
        uint8_t *has_left = (uint8_t *)(cells + slots_count);
        memset(has_left, 0, slots_count);
        *view = (struct rf_view){
            .hazard = {.free = free_view},
            .owners = owners,
            .cells = cells,
            .has_left = has_left,
            .size = size,
        };
    }
    return view;
}

struct rf_view *rf_view_new_unknown(void)
{
    struct rf_view *view = allocate(0); /* RF_VIEW_UNKNOWN is 0 */
    if (view != NULL) {
        view->hazard.is_unusual = true;
    }
    return view;
}

/* Returns whether it is short. */
static bool fill_owner(struct rf_view_owner *owner, const struct rf_member *member)
{
    const size_t id_size = strlen(member->id);
    const size_t addr_size = strlen(member->addr);
    memset(owner, 0, sizeof(*owner));
    if (id_size < RF_VIEW_TEXT_SIZE && addr_size < RF_VIEW_TEXT_SIZE) {
        memcpy(owner->id, member->id, id_size);
        memcpy(owner->addr, member->addr, addr_size);
        return true;
    }
    owner->addr[RF_VIEW_TEXT_SIZE - 1] = 1;
    return false;
}

static struct rf_shared_catalog *share(const struct rf_view_source *source)
{
    struct rf_shared_catalog *shared = source->before->shared;
    if (source->catalog != NULL) {
        shared = malloc(sizeof(*shared));
        if (shared == NULL) {
            return NULL;
        }
        *shared = (struct rf_shared_catalog){.catalog = source->catalog};
    }
    RF_ASSERT(shared != NULL); /* the first commit always makes a catalog */
    shared->refs++;
    return shared;
}

/* Undoes share: the catalog is the caller's again. */
static void unshare(const struct rf_view_source *source, struct rf_shared_catalog *shared)
{
    if (shared != NULL && source->catalog != NULL) {
        free(shared);
    } else {
        shared_unref(shared);
    }
}

int rf_view_new(const struct rf_view_source *source, struct rf_loads *loads,
                struct rf_view **ret_view, struct rf_loads_next *ret_next)
{
    struct rf_shared_catalog *shared = share(source);
    if (shared == NULL) {
        return -ENOMEM;
    }
    const struct rf_catalog *catalog = shared->catalog;
    const struct rf_group *group = rf_catalog_group(catalog, source->group, strlen(source->group));
    const struct rf_ring *ring = group == NULL ? NULL : group->ring;
    const size_t slots_count = ring == NULL ? 0 : rf_ring_slots_count(ring);
    struct rf_view *view = allocate(slots_count);
    int code = view == NULL
                   ? -ENOMEM
                   : rf_loads_prepare(loads, group, (struct rf_load_cell **)view->cells, ret_next);
    if (code < 0) {
        free(view);
        unshare(source, shared);
        return code;
    }
    bool is_short = true;
    for (size_t slot = 0; slot < slots_count; slot++) {
        struct rf_view_owner *owner = (struct rf_view_owner *)&view->owners[slot];
        if (group->by_slot[slot] != NULL) {
            is_short &= fill_owner(owner, group->by_slot[slot]);
        } else {
            memset(owner, 0, sizeof(*owner)); /* a free slot, which no key has */
        }
    }
    view->ring = ring;
    view->version = source->version;
    view->kind = ring == NULL                                 ? RF_VIEW_EMPTY
                 : rf_ring_placement(ring) == RF_PLACEMENT_V1 ? RF_VIEW_V1
                                                              : RF_VIEW_CRC32;
    view->hazard.is_unusual = view->kind != RF_VIEW_V1 || !is_short;
    view->group = group;
    view->instance = source->instance;
    view->shared = shared;
    *ret_view = view;
    return 0;
}
