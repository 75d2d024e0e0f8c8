/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/replica_private.h"
#include "core/assert.h"
#include "core/text.h"

static const uint64_t ns_per_ms = 1000000;

/* How long a registry that knows few of those in the ring is taken for one that has just started:
 * twice what Serf needs to find a member again that it has lost, half a minute. */
static const uint64_t doubt_ns = 60 * UINT64_C(1000000000);

int rf_replica_new(const char *group, struct rf_replica **ret_replica, struct rf_error *err)
{
    RF_ASSERT(group[0] != '\0' && strlen(group) <= RF_NAME_SIZE_MAX);
    struct rf_replica *replica = aligned_alloc(alignof(struct rf_replica), sizeof(*replica));
    struct rf_view *view = rf_view_new_unknown();
    if (replica == NULL || view == NULL) {
        free(replica);
        free(view);
        return rf_error_set(err, -ENOMEM, "no memory for a watch");
    }
    memset(replica, 0, sizeof(*replica));
    rf_hazard_init(&replica->hazard, &view->hazard);
    rf_loads_init(&replica->loads);
    strcpy(replica->group, group);
    replica->is_void = true;
    (void)pthread_mutex_init(&replica->mutex, NULL); /* cannot fail without attributes */
    *ret_replica = replica;
    return 0;
}

void rf_replica_free(struct rf_replica *replica)
{
    if (replica == NULL) {
        return;
    }
    rf_hazard_fini(&replica->hazard);
    rf_loads_fini(&replica->loads);
    rf_roster_free(replica->roster);
    rf_catalog_free(replica->committed);
    (void)pthread_mutex_destroy(&replica->mutex);
    free(replica);
}

/* ---- connections ---- */

static void forget_told(struct rf_replica *replica)
{
    rf_roster_free(replica->roster);
    replica->roster = NULL;
    replica->instance = 0;
    replica->version = 0;
}

/*
 * What was half told is void. Of changes nothing needs to be undone: those that come on the
 * next connection, since the last complete update, name every member again that was changed since.
 * A whole that is not complete has taken members away and left others, and only another whole
 * mends that.
 */
static void drop_half(struct rf_replica *replica)
{
    if (replica->is_under_way && replica->is_whole) {
        replica->instance = 0;
        replica->version = 0;
    }
    replica->is_under_way = false;
    replica->is_current = false;
}

void rf_replica_connected(struct rf_replica *replica, const char *server,
                          enum rf_placement placement)
{
    drop_half(replica);
    replica->is_void = false;
    (void)snprintf(replica->server, sizeof(replica->server), "%s", server);
    if (replica->roster != NULL && replica->placement != placement) {
        forget_told(replica); /* its ring is of no use for the next one */
    }
    replica->placement = placement;
}

void rf_replica_disconnected(struct rf_replica *replica)
{
    drop_half(replica);
    replica->is_void = true;
}

void rf_replica_resume(const struct rf_replica *replica, uint64_t *ret_instance,
                       uint64_t *ret_version)
{
    *ret_instance = replica->instance;
    *ret_version = replica->version;
}

/* ---- what is told ---- */

static int begin_update(struct rf_replica *replica, const struct rf_wire_watch_head *head,
                        struct rf_error *err)
{
    if (head->is_whole) {
        if (replica->roster == NULL) {
            int code = rf_roster_new(replica->placement, &replica->roster, err);
            if (code < 0) {
                return code;
            }
        }
        rf_roster_mark(replica->roster);
    } else if (replica->instance == 0 || head->instance != replica->instance) {
        return rf_error_set(err, RF_EMALFORMED, "changes to what instance %llx knew: it was %llx",
                            (unsigned long long)head->instance,
                            (unsigned long long)replica->instance);
    } else if (head->version < replica->version) {
        return rf_error_set(err, RF_EMALFORMED, "version %llu after version %llu",
                            (unsigned long long)head->version,
                            (unsigned long long)replica->version);
    }
    replica->is_under_way = true;
    replica->is_whole = head->is_whole;
    replica->instance_under_way = head->instance;
    return 0;
}

static const char *copy_name(char name[RF_NAME_SIZE_MAX + 1], struct rf_wire_bytes bytes)
{
    RF_ASSERT(bytes.size <= RF_NAME_SIZE_MAX);
    memcpy(name, bytes.data, bytes.size);
    name[bytes.size] = '\0';
    return name;
}

static int apply_change(struct rf_replica *replica, const struct rf_wire_change *change,
                        struct rf_error *err)
{
    char id[RF_NAME_SIZE_MAX + 1];
    char addr[RF_NAME_SIZE_MAX + 1];
    (void)copy_name(id, change->member.owner.id);
    if (change->is_forgotten) {
        (void)rf_roster_remove(replica->roster, id); /* it may be unknown */
        return 0;
    }
    const struct rf_member member = {
        .id = id,
        .group = replica->group,
        .addr = copy_name(addr, change->member.owner.addr),
        .replicas = change->member.replicas,
        .state = change->member.state,
    };
    int code = rf_roster_put(replica->roster, &member, err);
    if (code == RF_ELIMIT && replica->is_whole && rf_roster_sweep(replica->roster) > 0) {
        /* Those known before may have stood in its way, and are void. Usually they are kept until
         * the end, so that who is told again keeps its slot. */
        code = rf_roster_put(replica->roster, &member, err);
    }
    return code == -EINVAL ? RF_EMALFORMED : code;
}

/* ---- what is published ---- */

/*
 * Whether all who are in the published ring have left, or drain, as far as was told since. Only
 * asked while nobody is in the ring that was told: who is not known any more counts as what it was
 * last.
 */
static bool have_all_left(struct rf_replica *replica, const struct rf_view *view)
{
    bool have_all = true;
    for (size_t slot = 0; slot < rf_ring_slots_count(view->ring); slot++) {
        struct rf_member told;
        if (view->group->by_slot[slot] == NULL) {
            continue;
        }
        if (rf_roster_find(replica->roster, view->group->by_slot[slot]->id, &told)) {
            /* Who drains wants no keys: it says so itself. */
            view->has_left[slot] = told.state == RF_MEMBER_LEFT || told.state == RF_MEMBER_DRAINING;
        }
        have_all &= view->has_left[slot] != 0;
    }
    return have_all;
}

static void note_proof(struct rf_replica *replica, uint64_t now_ns)
{
    replica->refusal[0] = '\0';
    replica->proved_ns = now_ns;
    (void)snprintf(replica->status.server, sizeof(replica->status.server), "%s", replica->server);
}

static void swap_view(struct rf_replica *replica, struct rf_view *view, uint64_t now_ns)
{
    (void)pthread_mutex_lock(&replica->mutex);
    rf_hazard_publish(&replica->hazard, &view->hazard);
    replica->status.version = view->version;
    replica->status.digest = view->group == NULL ? 0 : view->group->digest;
    replica->status.members_count = view->group == NULL ? 0 : view->group->members_count;
    replica->status.alive_count = view->group == NULL ? 0 : view->group->alive_count;
    replica->status.updates++;
    note_proof(replica, now_ns);
    (void)pthread_mutex_unlock(&replica->mutex);
}

/* The next catalog to show, or NULL: the one that is shown. One that could not be shown for want of
 * memory waits in the replica, as the roster does not make it again. */
static int commit(struct rf_replica *replica, struct rf_error *err)
{
    struct rf_catalog *catalog = NULL;
    int code = rf_roster_commit(replica->roster, &catalog, err);
    if (code == 0 && catalog != NULL) {
        rf_catalog_free(replica->committed);
        replica->committed = catalog;
    }
    return code;
}

static int publish(struct rf_replica *replica, uint64_t now_ns, struct rf_error *err)
{
    const struct rf_view *before = rf_replica_view(replica);
    struct rf_view *view = NULL;
    struct rf_loads_next next;
    int code = commit(replica, err);
    if (code < 0) {
        return code;
    }
    if (replica->committed == NULL && before->instance == replica->instance &&
        before->version == replica->version) { /* nothing has changed */
        (void)pthread_mutex_lock(&replica->mutex);
        note_proof(replica, now_ns);
        (void)pthread_mutex_unlock(&replica->mutex);
        return 0;
    }
    const struct rf_view_source source = {.group = replica->group,
                                          .instance = replica->instance,
                                          .version = replica->version,
                                          .catalog = replica->committed,
                                          .before = before};
    code = rf_view_new(&source, &replica->loads, &view, &next);
    if (code < 0) {
        return rf_error_set(err, code, "no memory for a state of group '%s'", replica->group);
    }
    replica->committed = NULL;
    rf_loads_enter(&replica->loads, view->group, view->cells, &next);
    swap_view(replica, view, now_ns);
    rf_loads_leave(&replica->loads);
    replica->trim_at_ns = now_ns + RF_ROSTER_TRIM_AFTER_MS * UINT64_C(1000000);
    if (replica->hazard.retired_count == 0) {
        rf_loads_sweep(&replica->loads);
    }
    return 0;
}

static int refuse(struct rf_replica *replica, const char *why, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    replica->is_current = false;
    (void)pthread_mutex_lock(&replica->mutex);
    (void)snprintf(replica->refusal, sizeof(replica->refusal), "%s: group %s %s", replica->server,
                   rf_text_quote(replica->group, quoted), why);
    replica->status.refused++;
    (void)pthread_mutex_unlock(&replica->mutex);
    return rf_error_set(err, RF_EUNAVAILABLE, "%s", replica->refusal);
}

/* Whether the registry, which is not the one that told the published state, has never heard of more
 * than half of those in the ring. */
static bool knows_few(const struct rf_replica *replica, const struct rf_view *view)
{
    size_t known_count = 0;
    size_t unknown_count = 0;
    for (size_t slot = 0; slot < rf_ring_slots_count(view->ring); slot++) {
        struct rf_member told;
        if (view->group->by_slot[slot] != NULL) {
            bool is_known = rf_roster_find(replica->roster, view->group->by_slot[slot]->id, &told);
            known_count += is_known;
            unknown_count += !is_known;
        }
    }
    return replica->instance != view->instance && unknown_count > known_count;
}

/* What was told is complete, and has the digest that the registry said: publishes it, unless there
 * is reason to doubt that the registry knows the group. */
static int judge(struct rf_replica *replica, uint64_t now_ns, struct rf_error *err)
{
    const struct rf_view *view = rf_replica_view(replica);
    if (view->ring != NULL && rf_roster_sums(replica->roster, replica->group).alive_count == 0 &&
        !have_all_left(replica, view)) {
        return refuse(replica, "has nobody in its ring, and who was has not left", err);
    }
    if (view->ring != NULL && knows_few(replica, view)) {
        replica->doubt_until_ns =
            replica->doubt_until_ns == 0 ? now_ns + doubt_ns : replica->doubt_until_ns;
        if (now_ns < replica->doubt_until_ns) {
            return refuse(replica, "is hardly known there: most of its ring neither stay nor left",
                          err);
        }
    }
    int code = publish(replica, now_ns, err);
    if (code == 0) {
        replica->is_current = true;
        replica->doubt_until_ns = 0;
    }
    return code;
}

static void trim(struct rf_replica *replica, uint64_t now_ns)
{
    if (replica->trim_at_ns != 0 && now_ns >= replica->trim_at_ns && replica->roster != NULL) {
        replica->trim_at_ns = 0;
        rf_roster_trim(replica->roster);
    }
}

bool rf_replica_heard(struct rf_replica *replica, uint64_t now_ns)
{
    bool is_published = false;
    if (replica->doubt_until_ns != 0 && now_ns >= replica->doubt_until_ns && !replica->is_void &&
        !replica->is_under_way && replica->instance != 0) {
        is_published = judge(replica, now_ns, NULL) == 0; /* without memory: the next time */
    }
    if (replica->is_current && !replica->is_under_way) {
        (void)pthread_mutex_lock(&replica->mutex);
        replica->proved_ns = now_ns;
        (void)pthread_mutex_unlock(&replica->mutex);
    }
    if (!rf_hazard_reclaim(&replica->hazard)) {
        rf_loads_sweep(&replica->loads);
        trim(replica, now_ns);
    }
    return is_published;
}

static int refuse_digest(struct rf_replica *replica, uint64_t told, uint64_t made,
                         struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    forget_told(replica);
    (void)pthread_mutex_lock(&replica->mutex);
    replica->status.full_copies++;
    (void)pthread_mutex_unlock(&replica->mutex);
    return rf_error_set(err, RF_EDIGEST, "%s: group %s: digest %016llx, its members give %016llx",
                        replica->server, rf_text_quote(replica->group, quoted),
                        (unsigned long long)told, (unsigned long long)made);
}

static int end_update(struct rf_replica *replica, const struct rf_wire_watch_head *head,
                      uint64_t now_ns, struct rf_error *err)
{
    if (replica->is_whole) {
        (void)rf_roster_sweep(replica->roster); /* those that were not told again */
    }
    const struct rf_roster_sums sums = rf_roster_sums(replica->roster, replica->group);
    replica->is_under_way = false;
    if (sums.digest != head->digest) {
        return refuse_digest(replica, head->digest, sums.digest, err);
    }
    replica->instance = head->instance;
    replica->version = head->version;
    int code = judge(replica, now_ns, err);
    return code < 0 ? code : 1;
}

static int take_page(struct rf_replica *replica, const struct rf_wire_watch_reply *page,
                     uint64_t now_ns, struct rf_error *err)
{
    struct rf_wire_cursor changes = page->changes;
    struct rf_wire_change change;
    int code = 0;
    if (replica->is_void) {
        return rf_error_set(err, RF_EMALFORMED, "a page on a connection that was given up");
    }
    if (!replica->is_under_way || page->head.is_whole) {
        code = begin_update(replica, &page->head, err);
    } else if (page->head.instance != replica->instance_under_way) {
        code = rf_error_set(err, RF_EMALFORMED, "another instance within an update");
    }
    while (code >= 0 && rf_wire_watch_next(&changes, &change)) {
        code = apply_change(replica, &change, err);
    }
    if (code < 0) {
        return code;
    }
    return page->more ? 0 : end_update(replica, &page->head, now_ns, err);
}

int rf_replica_page(struct rf_replica *replica, const struct rf_wire_watch_reply *page,
                    uint64_t now_ns, struct rf_error *err)
{
    int code = take_page(replica, page, now_ns, err);
    if (code < 0 && code != RF_EUNAVAILABLE) {
        rf_replica_disconnected(replica);
    }
    return code;
}

const char *rf_replica_refusal(const struct rf_replica *replica)
{
    return replica->refusal;
}

/* ---- for any thread ---- */

void rf_replica_status(struct rf_replica *replica, uint64_t now_ns, uint64_t stale_after_ns,
                       struct regfast_watch_status *ret_status)
{
    const size_t size = ret_status->size;
    (void)pthread_mutex_lock(&replica->mutex);
    const uint64_t age_ns = now_ns > replica->proved_ns ? now_ns - replica->proved_ns : 0;
    *ret_status = replica->status;
    ret_status->size = size;
    if (rf_replica_view(replica)->kind == RF_VIEW_UNKNOWN) {
        ret_status->state = REGFAST_WATCH_EMPTY;
    } else {
        bool is_stale = replica->refusal[0] != '\0' || age_ns > stale_after_ns;
        ret_status->state = is_stale ? REGFAST_WATCH_STALE : REGFAST_WATCH_LIVE;
        ret_status->age_ms = age_ns / ns_per_ms;
    }
    (void)pthread_mutex_unlock(&replica->mutex);
}

static size_t list_strings_size(const struct rf_group *group)
{
    size_t size = 0;
    for (size_t i = 0; group != NULL && i < group->members_count; i++) {
        size += strlen(group->members[i].id) + 1 + strlen(group->members[i].addr) + 1;
    }
    return size;
}

static const char *put_string(char **at, const char *text)
{
    char *string = *at;
    *at = stpcpy(string, text) + 1;
    return string;
}

static struct regfast_member_list *make_list(const struct rf_view *view)
{
    const struct rf_group *group = view->group;
    const size_t count = group == NULL ? 0 : group->members_count;
    struct regfast_member_list *list =
        malloc(sizeof(*list) + count * sizeof(list->members[0]) + list_strings_size(group));
    if (list == NULL) {
        return NULL;
    }
    struct regfast_member *members = (struct regfast_member *)(list + 1);
    char *strings = (char *)(members + count);
    for (size_t i = 0; i < count; i++) {
        members[i].id = put_string(&strings, group->members[i].id);
        members[i].addr = put_string(&strings, group->members[i].addr);
        members[i].replicas = group->members[i].replicas;
        members[i].state = (enum regfast_member_state)group->members[i].state;
    }
    list->version = view->version;
    list->digest = group == NULL ? 0 : group->digest;
    list->count = count;
    list->members = members;
    return list;
}

int rf_replica_members(struct rf_replica *replica, struct regfast_member_list **ret_list,
                       struct rf_error *err)
{
    /* The lock keeps the writer from retiring the view. */
    (void)pthread_mutex_lock(&replica->mutex);
    const struct rf_view *view = rf_replica_view(replica);
    const bool is_known = view->kind != RF_VIEW_UNKNOWN;
    struct regfast_member_list *list = is_known ? make_list(view) : NULL;
    (void)pthread_mutex_unlock(&replica->mutex);
    if (list == NULL) {
        return is_known ? rf_error_set(err, -ENOMEM, "no memory for the members of a group")
                        : rf_error_set(err, -EAGAIN, "nothing is known of group '%s' yet",
                                       replica->group);
    }
    *ret_list = list;
    return 0;
}
