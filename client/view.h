/* SPDX-License-Identifier: MIT
 *
 * view.h - what readers of a replica see: one state of a group, immutable, with the answers made
 * beforehand.
 */
#ifndef RF_CLIENT_VIEW_H
#define RF_CLIENT_VIEW_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/loads.h"
#include "core/catalog.h"
#include "core/hazard.h"

enum { RF_VIEW_TEXT_SIZE = 32 };

/* An answer as it is copied out: two moves of one known size, without a branch on lengths. */
struct rf_view_owner {
    alignas(64) char id[RF_VIEW_TEXT_SIZE]; /* NULs to the end */
    char addr[RF_VIEW_TEXT_SIZE];           /* the same; [31] is not NUL: one of the two is too
                                               long, see by_slot of the group */
};

static_assert(sizeof(struct rf_view_owner) == 64, "an answer is a cache line");

enum rf_view_kind {
    RF_VIEW_UNKNOWN, /* nothing is known yet */
    RF_VIEW_EMPTY,   /* nobody is in the ring */
    RF_VIEW_V1,      /* a ring of that placement */
    RF_VIEW_CRC32,
};

struct rf_shared_catalog; /* private to view.c */

/* The first line is all that a lookup needs of it; it is unusual unless it has a ring of placement
 * v1 and only short answers. */
struct rf_view {
    alignas(64) struct rf_hazard_value hazard;
    const struct rf_ring *ring;         /* NULL: nobody */
    const struct rf_view_owner *owners; /* by slot */
    uint64_t version;                   /* of the group, on the registry that told it */
    enum rf_view_kind kind;

    const struct rf_group *group;      /* NULL: nobody is known */
    struct rf_load_cell *const *cells; /* by slot */
    uint64_t instance;
    struct rf_shared_catalog *shared;
    uint8_t *has_left; /* by slot; the writer's own: who is told to have left since */
    size_t size;       /* of the allocation */
};

/* The published value as a view. */
static inline struct rf_view *rf_view_of(struct rf_hazard_value *value)
{
    return (void *)value; /* its first member */
}

/* A view of nothing. NULL: no memory. */
struct rf_view *rf_view_new_unknown(void);

/* What a view is made of. */
struct rf_view_source {
    const char *group;
    uint64_t instance;
    uint64_t version;
    /* A catalog that was just committed, or NULL: that of `before`, which may still be in use. */
    struct rf_catalog *catalog;
    const struct rf_view *before;
};

/*
 * Takes source->catalog if it succeeds. Cells are found or made in `loads`.
 * Errors: -ENOMEM; nothing has changed.
 */
RF_NODISCARD int rf_view_new(const struct rf_view_source *source, struct rf_loads *loads,
                             struct rf_view **ret_view, struct rf_loads_next *ret_next);

#endif
