/* SPDX-License-Identifier: MIT */
#include "client/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/replica.h"
#include "core/text.h"

enum {
    /* Heartbeats that may be missing before what is known counts as stale: a reply may be late. */
    STALE_HEARTBEATS = 2,
};

/* Registries are members of it (tools/registry), with the address for clients. */
#define REGISTRIES_GROUP "registry-group"

static const uint64_t ns_per_ms = 1000000;

struct regfast_watch {
    struct regfast_watch *next;
    struct regfast_client *client;
    struct rf_replica *replica;
    bool is_begun; /* asked for on the connection that is up */
    char group[RF_NAME_SIZE_MAX + 1];
};

/* ---- on a connection ---- */

static int begin(struct regfast_watch *watch, uint64_t now_ns, struct rf_error *err)
{
    struct regfast_client *client = watch->client;
    struct rf_wire_watch_request request = {.group = {watch->group, strlen(watch->group)}};
    rf_replica_resume(watch->replica, &request.instance, &request.version);
    int code = rf_session_watch(&client->session, now_ns, &request, watch, err);
    if (code < 0) {
        return code;
    }
    watch->is_begun = true;
    if (client->session.is_placement_known) {
        rf_replica_connected(watch->replica, client->registry->text, client->watches.placement);
    }
    return 0;
}

int rf_client_watches_begin(struct regfast_client *client, uint64_t now_ns, struct rf_error *err)
{
    int code = 0;
    for (struct regfast_watch *watch = client->watches.first; watch != NULL && code == 0;
         watch = watch->next) {
        code = begin(watch, now_ns, err);
    }
    return code;
}

void rf_client_watches_lost(struct regfast_client *client)
{
    for (struct regfast_watch *watch = client->watches.first; watch != NULL; watch = watch->next) {
        if (watch->is_begun) {
            rf_replica_disconnected(watch->replica);
            watch->is_begun = false;
        }
    }
}

static void placed(struct regfast_client *client, enum rf_placement placement)
{
    client->watches.placement = placement;
    for (struct regfast_watch *watch = client->watches.first; watch != NULL; watch = watch->next) {
        if (watch->is_begun) {
            rf_replica_connected(watch->replica, client->registry->text, placement);
        }
    }
}

/* Whether clients can be sent to a member of the registries' group. */
static bool answers(enum regfast_member_state state)
{
    return state == REGFAST_MEMBER_ALIVE || state == REGFAST_MEMBER_HELD ||
           state == REGFAST_MEMBER_PROTECTED;
}

static void tell_registries(struct regfast_client *client, const struct regfast_member_list *list)
{
    rf_registries_told_begin(&client->registries);
    for (size_t i = 0; i < list->count; i++) {
        if (answers(list->members[i].state)) {
            rf_registries_told_add(&client->registries, list->members[i].addr);
        }
    }
    client->registry = rf_registries_told_end(&client->registries, client->registry);
}

/* The registries' group has changed. Without memory it is taken with the next heartbeat. */
static void take_registries(struct regfast_client *client)
{
    struct regfast_member_list *list;
    client->watches.is_told_late =
        rf_replica_members(client->watches.discovery->replica, &list, NULL) < 0;
    if (client->watches.is_told_late) {
        return;
    }
    tell_registries(client, list);
    tell_registries(client, list); /* those for whom there was no room until others had gone */
    regfast_member_list_free(list);
}

/* Something else is known of the group than before. */
static void know(struct regfast_watch *watch)
{
    watch->client->is_changed = true;
    if (watch == watch->client->watches.discovery) {
        take_registries(watch->client);
    }
}

static int told(struct regfast_watch *watch, const struct rf_session_event *event, uint64_t now_ns,
                struct rf_error *err)
{
    struct regfast_client *client = watch->client;
    struct rf_wire_watch_reply page;
    if (event->header.status != RF_WIRE_OK) {
        return rf_session_read_error(&event->header, event->payload, err);
    }
    int code = rf_wire_watch_reply_decode(event->payload, event->header.payload_size, &page, err);
    if (code == 0) {
        code = rf_replica_page(watch->replica, &page, now_ns, err);
    }
    if (code == 1) {
        know(watch);
    }
    if (code >= 0) {
        return 0;
    }
    client->is_changed = true;
    if (code == RF_EUNAVAILABLE) {
        /* It knows less than we do: nobody else may know more, but somebody may. */
        return rf_registries_doubt(&client->registries, client->registry, now_ns) ? code : 0;
    }
    return code;
}

int rf_client_watches_event(struct regfast_client *client, const struct rf_session_event *event,
                            uint64_t now_ns, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    struct regfast_watch *watch = event->token;
    int code = 0;
    switch (event->type) {
    case RF_SESSION_REPLY:
        RF_ASSERT(!"about a watch");
        break;
    case RF_SESSION_TOLD:
        code = told(watch, event, now_ns, err);
        if (code < 0) {
            (void)rf_error_prefix(err, code, "watch of group %s",
                                  rf_text_quote(watch->group, quoted));
        }
        break;
    case RF_SESSION_PLACEMENT:
        placed(client, event->placement);
        break;
    case RF_SESSION_HEARD:
        for (watch = client->watches.first; watch != NULL; watch = watch->next) {
            if (rf_replica_heard(watch->replica, now_ns)) {
                know(watch);
            }
        }
        if (client->watches.is_told_late) {
            take_registries(client);
        }
        break;
    }
    return code;
}

/* ---- beginning and ending ---- */

static int watch_new(struct regfast_client *client, const char *group,
                     struct regfast_watch **ret_watch, struct rf_error *err)
{
    if (client->watches.count == REGFAST_WATCHES_MAX) {
        return rf_error_set(err, RF_ELIMIT, "a client watches %d groups at most",
                            REGFAST_WATCHES_MAX);
    }
    struct regfast_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return rf_error_set(err, -ENOMEM, "no memory for a watch");
    }
    int code = rf_replica_new(group, &watch->replica, err);
    if (code < 0) {
        free(watch);
        return code;
    }
    watch->client = client;
    strcpy(watch->group, group);
    watch->next = client->watches.first;
    client->watches.first = watch;
    client->watches.count++;
    if (client->up_ns != 0) {
        struct rf_error unused;
        uint64_t now_ns = rf_client_now_ns();
        if (begin(watch, now_ns, &unused) < 0) {
            client->watches.is_incomplete = true; /* with a new connection, then */
        }
    }
    *ret_watch = watch;
    return 0;
}

static void watch_free(struct regfast_watch *watch)
{
    rf_replica_free(watch->replica);
    free(watch);
}

int rf_client_discover(struct regfast_client *client, struct rf_error *err)
{
    return watch_new(client, REGISTRIES_GROUP, &client->watches.discovery, err);
}

void rf_client_watches_free(struct regfast_client *client)
{
    struct regfast_watch *next;
    for (struct regfast_watch *watch = client->watches.first; watch != NULL; watch = next) {
        next = watch->next;
        watch_free(watch);
    }
    client->watches = (struct rf_client_watches){0};
}

int regfast_watch(struct regfast_client *client, const char *group,
                  struct regfast_watch **ret_watch, char *errbuf, size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = rf_client_check(client, ret_watch, &err);
    if (code == 0) {
        code = rf_client_check_group(group, &err);
    }
    if (code == 0) {
        code = rf_client_enter(client, rf_client_deadline_ns(client), &err);
    }
    if (code == 0) {
        code = watch_new(client, group, ret_watch, &err);
        rf_client_leave(client);
    }
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

void regfast_watch_close(struct regfast_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    struct regfast_client *client = watch->client;
    if (rf_client_enter(client, UINT64_MAX, NULL) < 0) {
        return; /* in a child of the process that has the thread: all of the client is lost there */
    }
    struct regfast_watch **at = &client->watches.first;
    while (*at != watch) {
        at = &(*at)->next;
    }
    *at = watch->next;
    client->watches.count--;
    if (watch->is_begun) {
        rf_session_unwatch(&client->session, watch);
    }
    rf_client_leave(client);
    watch_free(watch);
}

/* ---- asking ---- */

static void get_status(struct regfast_watch *watch, struct regfast_watch_status *ret_status)
{
    rf_replica_status(watch->replica, rf_client_now_ns(),
                      STALE_HEARTBEATS * watch->client->session.heartbeat_ns, ret_status);
}

int regfast_watch_status(struct regfast_watch *watch, struct regfast_watch_status *ret_status)
{
    struct regfast_watch_status status = {0};
    if (watch == NULL || ret_status == NULL || ret_status->size < sizeof(status)) {
        return -EINVAL;
    }
    status.size = ret_status->size;
    get_status(watch, &status);
    memset((uint8_t *)ret_status + sizeof(status), 0, ret_status->size - sizeof(status));
    *ret_status = status;
    return 0;
}

int regfast_watch_members(struct regfast_watch *watch, struct regfast_member_list **ret_list,
                          char *errbuf, size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = 0;
    if (watch == NULL || ret_list == NULL) {
        code = rf_error_set(&err, -EINVAL, "%s is NULL",
                            watch == NULL ? "the watch" : "the place for the answer");
    }
    if (code == 0) {
        code = rf_replica_members(watch->replica, ret_list, &err);
    }
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

int regfast_reader_new(struct regfast_watch *watch, struct regfast_reader **ret_reader)
{
    return watch == NULL || ret_reader == NULL ? -EINVAL
                                               : rf_replica_reader_new(watch->replica, ret_reader);
}

static uint64_t count_updates(struct regfast_watch *watch)
{
    struct regfast_watch_status status = {.size = sizeof(status)};
    get_status(watch, &status);
    return status.updates;
}

/* Lets something happen to what is watched; the client is the caller's. Errors: -ETIMEDOUT it is
 * not any more. */
static int wait_for_change(struct regfast_client *client, uint64_t deadline_ns,
                           struct rf_error *err)
{
    if (client->background != NULL) {
        int code = rf_background_wait_changed(client->background, deadline_ns);
        return code < 0
                   ? rf_error_set(err, code, "no update in time; another thread has the client")
                   : 0;
    }
    rf_client_turn(client);
    rf_client_wait(client, deadline_ns);
    rf_client_receive(client);
    return 0;
}

/* The client is the caller's. */
static int say_why_late(const struct regfast_watch *watch, struct rf_error *err)
{
    const struct rf_error *failure = &watch->client->failure;
    const char *why = rf_replica_refusal(watch->replica);
    const char *what = "; not applied: ";
    char quoted[RF_QUOTE_SIZE];
    if (why[0] == '\0') {
        why = failure->code < 0 ? failure->text : "";
        what = failure->code < 0 ? "; the last failure: " : "";
    }
    return rf_error_set(err, -ETIMEDOUT, "watch of group %s: no update in time%s%s",
                        rf_text_quote(watch->group, quoted), what, why);
}

static int wait_for_update(struct regfast_watch *watch, uint64_t updates_seen, uint64_t deadline_ns,
                           struct rf_error *err)
{
    struct regfast_client *client = watch->client;
    int code = rf_client_enter(client, deadline_ns, err);
    bool is_late = false;
    while (code == 0 && count_updates(watch) == updates_seen && !is_late) {
        code = wait_for_change(client, deadline_ns, err);
        is_late = rf_client_now_ns() >= deadline_ns;
    }
    const bool is_changed = count_updates(watch) != updates_seen;
    if (code == 0) {
        code = is_changed ? 0 : say_why_late(watch, err);
        rf_client_leave(client);
    } else if (code == -ETIMEDOUT && is_changed) {
        code = 0; /* for which nobody needs the client */
    }
    return code;
}

int regfast_watch_wait(struct regfast_watch *watch, uint64_t updates_seen, uint32_t timeout_ms,
                       char *errbuf, size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = watch == NULL ? rf_error_set(&err, -EINVAL, "the watch is NULL")
                             : wait_for_update(watch, updates_seen,
                                               rf_client_now_ns() + timeout_ms * ns_per_ms, &err);
    return rf_client_report(code, &err, errbuf, errbuf_size);
}
