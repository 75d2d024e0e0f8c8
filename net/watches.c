/* SPDX-License-Identifier: MIT */
#include "net/watches.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "net/watch_page.h"
#include "net/worker.h"

enum { GROUPS_SIZE_FIRST = 64, NS_PER_MS = 1000000 };

#define VERSION_ANOTHER UINT64_MAX /* of no group, nor of one that is absent */

struct rf_watch {
    struct rf_watch_cursor cursor;
    struct rf_connection *connection;
    struct rf_watched *group;
    uint32_t request_id;
    bool is_due;
    struct rf_watch *due_next, *due_previous;
    struct rf_watch *group_next, *group_previous;
    struct rf_watch *connection_next;
};

/* A group that somebody watches, whether or not it exists. */
struct rf_watched {
    struct rf_watched *hash_next;
    struct rf_watched *look_next, *look_previous; /* of all, in the order of a look */
    struct rf_watch *watches;
    uint64_t version;   /* of the last update that began; 0: absent; or VERSION_ANOTHER */
    uint64_t told_ns;   /* when that was */
    uint64_t window_ns; /* from then on */
    /* The last update that fit one page, to be copied: what it began and ended with. */
    struct rf_watch_cursor page_before, page_after;
    uint8_t *page;
    size_t page_size;
    size_t name_size;
    char name[];
};

void rf_watches_init(struct rf_watches *watches)
{
    *watches = (struct rf_watches){.window_ns = UINT64_MAX};
}

void rf_watches_fini(struct rf_watches *watches)
{
    RF_ASSERT(watches->count == 0 && watches->groups_count == 0);
    free(watches->groups);
    watches->groups = NULL;
}

/* ---- groups by name ---- */

static struct rf_watched **bucket_of(const struct rf_watches *watches, const void *name,
                                     size_t name_size)
{
    return &watches->groups[rf_placement_hash(RF_PLACEMENT_V1, name, name_size) &
                            (watches->groups_size - 1)];
}

static struct rf_watched *find_watched(const struct rf_watches *watches, struct rf_wire_bytes name)
{
    if (watches->groups_size == 0) {
        return NULL;
    }
    struct rf_watched *watched = *bucket_of(watches, name.data, name.size);
    while (watched != NULL &&
           (watched->name_size != name.size || memcmp(watched->name, name.data, name.size) != 0)) {
        watched = watched->hash_next;
    }
    return watched;
}

/* Without memory the table stays as it is: false. */
static bool resize_table(struct rf_watches *watches, size_t size)
{
    struct rf_watched **groups = calloc(size, sizeof(groups[0]));
    if (groups == NULL) {
        return false;
    }
    struct rf_watched **before = watches->groups;
    size_t before_size = watches->groups_size;
    watches->groups = groups;
    watches->groups_size = size;
    for (size_t i = 0; i < before_size; i++) {
        struct rf_watched *next = NULL;
        for (struct rf_watched *watched = before[i]; watched != NULL; watched = next) {
            next = watched->hash_next;
            struct rf_watched **bucket = bucket_of(watches, watched->name, watched->name_size);
            watched->hash_next = *bucket;
            *bucket = watched;
        }
    }
    free(before);
    return true;
}

/* Keeps the chains short. Without memory they get longer; without any table: false. */
static bool grow_table(struct rf_watches *watches)
{
    if (watches->groups_count < watches->groups_size) {
        return true;
    }
    return resize_table(watches, watches->groups_size == 0 ? (size_t)GROUPS_SIZE_FIRST
                                                           : 2 * watches->groups_size) ||
           watches->groups_size > 0;
}

/* It is not to stay as large as it ever was. */
static void shrink_table(struct rf_watches *watches)
{
    if (watches->groups_size > GROUPS_SIZE_FIRST &&
        watches->groups_count < watches->groups_size / 8) {
        (void)resize_table(watches, watches->groups_size / 2); /* or the next time */
    }
}

static struct rf_watched *make_watched(struct rf_watches *watches, struct rf_wire_bytes name)
{
    struct rf_watched *watched = find_watched(watches, name);
    if (watched != NULL) {
        return watched;
    }
    watched = calloc(1, sizeof(*watched) + name.size);
    if (watched == NULL || !grow_table(watches)) {
        free(watched);
        return NULL;
    }
    watched->name_size = name.size;
    memcpy(watched->name, name.data, name.size);
    struct rf_watched **bucket = bucket_of(watches, name.data, name.size);
    watched->hash_next = *bucket;
    *bucket = watched;
    watched->look_previous = watches->look_last;
    *(watches->look_last == NULL ? &watches->look_first : &watches->look_last->look_next) = watched;
    watches->look_last = watched;
    watches->groups_count++;
    return watched;
}

static void drop_watched(struct rf_watches *watches, struct rf_watched *watched)
{
    struct rf_watched **at = bucket_of(watches, watched->name, watched->name_size);
    while (*at != watched) {
        at = &(*at)->hash_next;
    }
    *at = watched->hash_next;
    struct rf_watched *next = watched->look_next;
    struct rf_watched *previous = watched->look_previous;
    *(previous == NULL ? &watches->look_first : &previous->look_next) = next;
    *(next == NULL ? &watches->look_last : &next->look_previous) = previous;
    if (watches->look_at == watched) {
        watches->look_at = next;
    }
    watches->groups_count--;
    free(watched->page);
    free(watched);
    shrink_table(watches);
}

/* ---- who is told next ---- */

static void make_due(struct rf_watches *watches, struct rf_watch *watch)
{
    if (watch->is_due) {
        return;
    }
    watch->is_due = true;
    watch->due_next = NULL;
    watch->due_previous = watches->due_last;
    *(watches->due_last == NULL ? &watches->due_first : &watches->due_last->due_next) = watch;
    watches->due_last = watch;
}

static void undo_due(struct rf_watches *watches, struct rf_watch *watch)
{
    if (!watch->is_due) {
        return;
    }
    struct rf_watch *next = watch->due_next;
    struct rf_watch *previous = watch->due_previous;
    *(previous == NULL ? &watches->due_first : &previous->due_next) = next;
    *(next == NULL ? &watches->due_last : &next->due_previous) = previous;
    watch->is_due = false;
}

/* ---- start and end ---- */

int rf_watch_start(struct rf_worker *worker, struct rf_connection *connection,
                   const struct rf_wire_watch_request *request, uint32_t request_id,
                   struct rf_error *err)
{
    struct rf_watches *watches = &worker->watches;
    if (connection->watches_count == RF_WATCHES_CONNECTION_MAX) {
        return rf_error_set(err, RF_ELIMIT, "%d watches on this connection, the most",
                            RF_WATCHES_CONNECTION_MAX);
    }
    if (watches->count == RF_WATCHES_WORKER_MAX) {
        return rf_error_set(err, RF_ELIMIT, "the server has %d watches here, the most",
                            RF_WATCHES_WORKER_MAX);
    }
    struct rf_watch *watch = calloc(1, sizeof(*watch));
    struct rf_watched *watched = watch == NULL ? NULL : make_watched(watches, request->group);
    if (watched == NULL) {
        free(watch);
        return rf_error_set(err, -ENOMEM, "no memory for one more watch");
    }
    watch->connection = connection;
    watch->group = watched;
    watch->request_id = request_id;
    if (request->instance == worker->config.info->instance) {
        watch->cursor.version = request->version;
    }
    watch->group_next = watched->watches;
    if (watched->watches != NULL) {
        watched->watches->group_previous = watch;
    }
    watched->watches = watch;
    watch->connection_next = connection->watches;
    connection->watches = watch;
    connection->watches_count++;
    watches->count++;
    /* Before the catalog is looked at: who publishes after that sees that there is a watcher. */
    atomic_store_explicit(&worker->has_watches, true, memory_order_seq_cst);
    rf_counter_add(&worker->counters.watches_open, 1);
    make_due(watches, watch);
    return 0;
}

void rf_watches_end(struct rf_worker *worker, struct rf_connection *connection)
{
    struct rf_watches *watches = &worker->watches;
    struct rf_watch *next = NULL;
    for (struct rf_watch *watch = connection->watches; watch != NULL; watch = next) {
        struct rf_watched *watched = watch->group;
        next = watch->connection_next;
        undo_due(watches, watch);
        if (watches->look_watch == watch) {
            watches->look_watch = watch->group_next;
        }
        *(watch->group_previous == NULL ? &watched->watches : &watch->group_previous->group_next) =
            watch->group_next;
        if (watch->group_next != NULL) {
            watch->group_next->group_previous = watch->group_previous;
        }
        if (watched->watches == NULL) {
            drop_watched(watches, watched);
        }
        free(watch);
        watches->count--;
        rf_counter_subtract(&worker->counters.watches_open, 1);
    }
    connection->watches = NULL;
    connection->watches_count = 0;
    if (watches->count == 0) {
        atomic_store_explicit(&worker->has_watches, false, memory_order_relaxed);
    }
}

/* ---- telling ---- */

static const struct rf_group *group_of(const struct rf_catalog *catalog,
                                       const struct rf_watched *watched)
{
    return rf_catalog_group(catalog, watched->name, watched->name_size);
}

void rf_watches_resume(struct rf_worker *worker, struct rf_connection *connection)
{
    for (struct rf_watch *watch = connection->watches; watch != NULL;
         watch = watch->connection_next) {
        const uint64_t known = watch->cursor.is_absent ? 0 : watch->cursor.version;
        if (watch->cursor.is_under_way || !watch->cursor.is_told ||
            known != watch->group->version) {
            make_due(&worker->watches, watch);
        }
    }
}

/* A window is as long as the last one and twice, while the group changes as soon as it is over. */
static void begin_window(struct rf_watched *watched, uint64_t now_ns)
{
    const uint64_t window_min_ns = (uint64_t)RF_WATCH_WINDOW_MS_MIN * NS_PER_MS;
    const uint64_t window_max_ns = (uint64_t)RF_WATCH_WINDOW_MS_MAX * NS_PER_MS;
    if (watched->window_ns == 0 || now_ns - watched->told_ns >= 2 * watched->window_ns) {
        watched->window_ns = window_min_ns;
    } else {
        watched->window_ns =
            2 * watched->window_ns < window_max_ns ? 2 * watched->window_ns : window_max_ns;
    }
    watched->told_ns = now_ns;
}

/* Whether its watchers are to be told. */
static bool look_at_group(struct rf_worker *worker, const struct rf_catalog *catalog,
                          struct rf_watched *watched)
{
    struct rf_watches *watches = &worker->watches;
    const struct rf_group *group = group_of(catalog, watched);
    const uint64_t version = group == NULL ? 0 : group->version;
    if (version == watched->version) {
        return false;
    }
    const uint64_t end_ns = watched->told_ns + watched->window_ns;
    if (worker->now_ns < end_ns) {
        watches->window_ns = end_ns < watches->window_ns ? end_ns : watches->window_ns;
        return false;
    }
    begin_window(watched, worker->now_ns);
    watched->version = version;
    return true;
}

void rf_watches_look(struct rf_worker *worker)
{
    struct rf_watches *watches = &worker->watches;
    if (watches->look_ns < watches->window_ns) {
        watches->window_ns = watches->look_ns;
    }
}

static bool is_looking(const struct rf_watches *watches)
{
    return watches->look_at != NULL || watches->look_watch != NULL;
}

/* Goes on with a look. What is published meanwhile is looked for by the next one. */
static void look(struct rf_worker *worker)
{
    struct rf_watches *watches = &worker->watches;
    const struct rf_catalog *catalog = rf_catalog_of(rf_reader_enter(&worker->reader));
    for (int i = 0; i < RF_WATCH_LOOK_ROUND_MAX && is_looking(watches); i++) {
        if (watches->look_watch != NULL) {
            make_due(watches, watches->look_watch);
            watches->look_watch = watches->look_watch->group_next;
        } else {
            struct rf_watched *watched = watches->look_at;
            watches->look_at = watched->look_next;
            watches->look_watch = look_at_group(worker, catalog, watched) ? watched->watches : NULL;
        }
    }
    rf_reader_leave(&worker->reader);
}

/* Whether the update that was kept is what this watcher needs, too. */
static bool fits_page(const struct rf_watched *watched, const struct rf_watch *watch,
                      const struct rf_group *group)
{
    return watched->page != NULL && !watch->cursor.is_under_way && group != NULL &&
           watched->page_after.version == group->version && !watched->page_after.is_absent &&
           watched->page_before.version == watch->cursor.version &&
           watched->page_before.is_absent == watch->cursor.is_absent;
}

static void keep_page(struct rf_watched *watched, const struct rf_watch_cursor *before,
                      const struct rf_watch_cursor *after, const uint8_t *frame, size_t size)
{
    uint8_t *page = realloc(watched->page, size);
    if (page == NULL) { /* it is encoded again, then */
        free(watched->page);
    } else {
        memcpy(page, frame, size);
        watched->page_before = *before;
        watched->page_after = *after;
    }
    watched->page = page;
    watched->page_size = size;
}

/* Writes the next page of a watch, or the same one as for others. Returns its size, 0: no room. */
static size_t write_page(struct rf_worker *worker, struct rf_watch *watch,
                         const struct rf_catalog *catalog, uint8_t *out, size_t room)
{
    struct rf_watched *watched = watch->group;
    const struct rf_group *group = group_of(catalog, watched);
    if (fits_page(watched, watch, group)) {
        if (room < watched->page_size) {
            return 0;
        }
        memcpy(out, watched->page, watched->page_size);
        rf_store_le32(out + 8, watch->request_id);
        watch->cursor = watched->page_after;
        rf_counter_add(&worker->counters.watch_pages_copied, 1);
        return watched->page_size;
    }
    const struct rf_watch_cursor before = watch->cursor;
    size_t size = rf_watch_page_encode(&watch->cursor, group, catalog,
                                       worker->config.info->instance, watch->request_id, out, room);
    const bool is_shared = watched->watches->group_next != NULL;
    if (size > 0 && is_shared && group != NULL && !before.is_under_way &&
        !watch->cursor.is_under_way) {
        keep_page(watched, &before, &watch->cursor, out, size);
    }
    return size;
}

static void tell(struct rf_worker *worker, struct rf_watch *watch, const struct rf_catalog *catalog)
{
    struct rf_connection *connection = watch->connection;
    if (!rf_watch_is_behind(&watch->cursor, group_of(catalog, watch->group))) {
        return;
    }
    size_t need = 1;
    for (;;) {
        struct rf_buffer *out = rf_connection_room(worker, connection, need);
        if (out == NULL) { /* it comes back by rf_watches_resume, or has ended */
            return;
        }
        size_t size = write_page(worker, watch, catalog, out->data + out->end, rf_buffer_room(out));
        if (size > 0) {
            rf_connection_wrote(worker, connection, size);
            connection->is_watch_late = false;
            if (!watch->cursor.is_absent && watch->group->version == 0) {
                /* It knows a group that the last look has not seen, whose end, before the next
                 * one, would look as if nothing had happened. */
                watch->group->version = VERSION_ANOTHER;
            }
            rf_counter_add(&worker->counters.watch_pages, 1);
            rf_counter_add(&worker->counters.watch_bytes, size);
            return;
        }
        RF_ASSERT(need < RF_WIRE_PAGE_SIZE_MAX);
        need = RF_WIRE_PAGE_SIZE_MAX;
    }
}

/* The first watch of a connection that is due becomes the last one. NULL: none is. */
static struct rf_watch *take_due(struct rf_connection *connection)
{
    struct rf_watch **at = &connection->watches;
    while (*at != NULL && !(*at)->is_due) {
        at = &(*at)->connection_next;
    }
    struct rf_watch *watch = *at;
    if (watch != NULL) {
        *at = watch->connection_next;
        while (*at != NULL) {
            at = &(*at)->connection_next;
        }
        *at = watch;
        watch->connection_next = NULL;
    }
    return watch;
}

void rf_watches_insist(struct rf_worker *worker, struct rf_connection *connection)
{
    struct rf_watch *watch = take_due(connection);
    if (watch == NULL || !connection->is_watch_late) {
        connection->is_watch_late = watch != NULL;
        return;
    }
    connection->is_watch_late = false;
    undo_due(&worker->watches, watch);
    tell(worker, watch, rf_catalog_of(rf_reader_enter(&worker->reader)));
    rf_reader_leave(&worker->reader);
}

void rf_watches_tell(struct rf_worker *worker)
{
    struct rf_watches *watches = &worker->watches;
    if (!is_looking(watches) && watches->window_ns <= worker->now_ns) {
        watches->window_ns = UINT64_MAX;
        watches->look_ns = worker->now_ns + watches->groups_count * RF_WATCH_LOOK_NS;
        watches->look_at = watches->look_first;
    }
    if (is_looking(watches)) {
        look(worker);
    }
    if (watches->due_first == NULL) {
        return;
    }
    const struct rf_catalog *catalog = rf_catalog_of(rf_reader_enter(&worker->reader));
    for (int i = 0; i < RF_WATCH_PAGES_ROUND_MAX && watches->due_first != NULL; i++) {
        struct rf_watch *watch = watches->due_first;
        undo_due(watches, watch);
        tell(worker, watch, catalog);
    }
    rf_reader_leave(&worker->reader);
}

uint64_t rf_watches_deadline_ns(const struct rf_worker *worker)
{
    const struct rf_watches *watches = &worker->watches;
    return watches->due_first != NULL || is_looking(watches) ? 0 : watches->window_ns;
}
