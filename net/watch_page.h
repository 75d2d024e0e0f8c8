/* SPDX-License-Identifier: MIT
 *
 * watch_page.h - what a watcher does not know yet, as pages of WATCH (core/WIRE.md): a pure
 * machine.
 *
 * A watcher is where it is, and whatever the group is now brings it up to date: so nothing is
 * queued for it, however slowly it reads. While the pages of one update are on their way the group
 * may change; then the members that come later in the list are told as they are by then, and at the
 * end of the list, in the same update and if there is room on the same page, what changed since
 * its first page. So an update ends, however often the group changes between two pages.
 */
#ifndef RF_NET_WATCH_PAGE_H
#define RF_NET_WATCH_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/catalog.h"
#include "core/wire.h"

struct rf_watch_cursor { /* zeroed: knows nothing */
    uint64_t version;    /* of the group, as the watcher knows it; 0: it knows nothing */
    bool is_absent;      /* it knows that there is no such group */
    bool is_told;        /* something was told since it began to watch */
    bool is_under_way;   /* an update has begun; the rest is of that one */
    uint64_t base;       /* the changes after this version are told; 0: everything is */
    uint64_t target;     /* the version of the group when the list began */
    uint8_t after_size;  /* the last id that was told of the list; 0: none yet */
    char after[RF_NAME_SIZE_MAX];
};

/* Whether there is something to tell: who begins to watch is told, even if nothing has changed.
 * `group` is NULL if it does not exist. */
static inline bool rf_watch_is_behind(const struct rf_watch_cursor *cursor,
                                      const struct rf_group *group)
{
    if (cursor->is_under_way || !cursor->is_told) {
        return true;
    }
    return group == NULL ? !cursor->is_absent
                         : cursor->is_absent || cursor->version != group->version;
}

/*
 * Writes the next page of what the watcher, which is behind, does not know. Returns the size of the
 * frame, or 0 if it needs more room: RF_WIRE_PAGE_SIZE_MAX is always enough, and a page is
 * never larger; the cursor is then as before. Afterwards `is_under_way` tells whether more pages
 * follow.
 */
size_t rf_watch_page_encode(struct rf_watch_cursor *cursor, const struct rf_group *group,
                            const struct rf_catalog *catalog, uint64_t instance,
                            uint32_t request_id, uint8_t *out, size_t out_size);

#endif
