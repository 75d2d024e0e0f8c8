/* SPDX-License-Identifier: MIT
 *
 * watch.c - regctl watch: a line for each change of a group, from now on.
 *
 * The library keeps what is known of the group, whichever registry tells it; each time that it has
 * been told something, that is compared with what was known before. So another registry, or one
 * that was started anew, makes no lines where it knows the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "tools/regctl/regctl.h"
#include "tools/regctl/screen.h"

enum {
    NS_PER_MS = 1000000,
    TIME_SIZE = 32,
};

struct watcher {
    const struct regctl_options *options;
    const char *group;
    struct regfast_client *client;
    struct regfast_watch *watch;
    struct regfast_member_list *known; /* NULL: nothing yet */
    uint64_t updates_seen;
    uint64_t refused_seen;
    bool is_refusing; /* said, and no update since */
    uint32_t state;   /* enum regfast_watch_state: what was said last */
    struct regctl_screen screen;
};

/* ---- saying ---- */

static void format_time(char ret_text[TIME_SIZE])
{
    struct timespec now;
    struct tm parts;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    size_t size = strftime(ret_text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &parts));
    (void)snprintf(ret_text + size, TIME_SIZE - size, ".%03ldZ", now.tv_nsec / NS_PER_MS);
}

static json_t *json_member(const struct regfast_member *member)
{
    return json_pack(
        "{s:o, s:o, s:I, s:s}", "id", rf_regctl_json_text(member->id, strlen(member->id)), "addr",
        rf_regctl_json_text(member->addr, strlen(member->addr)), "replicas",
        (json_int_t)member->replicas, "state", regfast_member_state_name(member->state));
}

/* `was` is NULL for a member that was not known. */
static int print_change(const struct watcher *watcher, const struct regfast_watch_status *status,
                        const char *change, const struct regfast_member *member,
                        const struct regfast_member *was)
{
    char text[TIME_SIZE];
    format_time(text);
    if (!watcher->options->json) {
        printf("%s\t%s\t%s\t%s\t%" PRIu32 "\t%s\n", text, change, member->id, member->addr,
               member->replicas, regfast_member_state_name(member->state));
        return REGCTL_OK;
    }
    return rf_regctl_print_json(
        json_pack("{s:s, s:s, s:o, s:s, s:I, s:o, s:o}", "time", text, "change", change, "group",
                  rf_regctl_json_text(watcher->group, strlen(watcher->group)), "server",
                  status->server, "version", (json_int_t)status->version, "member",
                  json_member(member), "was", was != NULL ? json_member(was) : json_null()));
}

/* What is known may have become old, or new again. */
static int print_state(const struct watcher *watcher, const struct regfast_watch_status *status,
                       const char *state, const char *why)
{
    char text[TIME_SIZE];
    if (watcher->options->json) {
        format_time(text);
        return rf_regctl_print_json(json_pack(
            "{s:s, s:s, s:o, s:s, s:I, s:o}", "time", text, "change", state, "group",
            rf_regctl_json_text(watcher->group, strlen(watcher->group)), "server", status->server,
            "age_ms", (json_int_t)status->age_ms, "why", rf_regctl_json_text(why, strlen(why))));
    }
    (void)fflush(stdout); /* what was printed before comes before */
    (void)fprintf(stderr, "regctl: watch '%s': %s%s%s\n", watcher->group, state,
                  why[0] != '\0' ? ": " : "", why); /* standard error is all there is */
    return REGCTL_OK;
}

/* ---- comparing ---- */

static bool is_equal(const struct regfast_member *a, const struct regfast_member *b)
{
    return strcmp(a->addr, b->addr) == 0 && a->replicas == b->replicas && a->state == b->state;
}

/* Both are by id. */
static int print_changes(const struct watcher *watcher, const struct regfast_watch_status *status,
                         const struct regfast_member_list *before,
                         const struct regfast_member_list *after)
{
    static const struct regfast_member nobody;
    const struct regfast_member *olds = before != NULL ? before->members : &nobody;
    size_t old_count = before != NULL ? before->count : 0;
    size_t new_count = after->count;
    size_t old_at = 0;
    size_t new_at = 0;
    int code = REGCTL_OK;
    while (code == REGCTL_OK && (old_at < old_count || new_at < new_count)) {
        const struct regfast_member *was = &olds[old_at]; /* or the end, as the next one */
        const struct regfast_member *is = &after->members[new_at];
        int order = old_at == old_count ? 1 : new_at == new_count ? -1 : strcmp(was->id, is->id);
        if (order < 0) {
            code = print_change(watcher, status, "forgotten", was, was);
        } else if (order > 0) {
            code = print_change(watcher, status, before == NULL ? "present" : "new", is, NULL);
        } else if (!is_equal(was, is)) {
            code = print_change(watcher, status, "changed", is, was);
        }
        old_at += order <= 0 ? 1 : 0;
        new_at += order >= 0 ? 1 : 0;
    }
    return code;
}

static int take_update(struct watcher *watcher, const struct regfast_watch_status *status)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_member_list *list;
    int code = regfast_watch_members(watcher->watch, &list, error, sizeof(error));
    if (code < 0) {
        return rf_regctl_fail(code, "watch '%s': %s", watcher->group, error);
    }
    code = print_changes(watcher, status, watcher->known, list);
    regfast_member_list_free(watcher->known);
    watcher->known = list;
    watcher->updates_seen = status->updates;
    watcher->is_refusing = false;
    return code;
}

/* The library keeps a group that would be empty by failures alone. It is told so again and again.
 */
static int take_refusal(struct watcher *watcher, const struct regfast_watch_status *status)
{
    bool is_new = status->refused != watcher->refused_seen && !watcher->is_refusing;
    watcher->refused_seen = status->refused;
    if (!is_new) {
        return REGCTL_OK;
    }
    watcher->is_refusing = true;
    return print_state(watcher, status, "refused",
                       "nobody would be left in the ring, although those in it have not left; what "
                       "was known is kept");
}

static int take_state(struct watcher *watcher, const struct regfast_watch_status *status,
                      bool is_patience_over)
{
    char error[REGFAST_ERROR_SIZE] = "";
    bool was_told = watcher->state == REGFAST_WATCH_STALE;
    bool is_stale = status->state == REGFAST_WATCH_STALE ||
                    (status->state == REGFAST_WATCH_EMPTY && is_patience_over);
    if (is_stale == was_told) {
        return REGCTL_OK;
    }
    if (is_stale) {
        int code = regfast_watch_wait(watcher->watch, status->updates, 0, error, sizeof(error));
        watcher->state = REGFAST_WATCH_STALE;
        return code == 0 ? REGCTL_OK : print_state(watcher, status, "stale", error);
    }
    watcher->state = status->state;
    return status->state == REGFAST_WATCH_LIVE
               ? print_state(watcher, status, "live", status->server)
               : REGCTL_OK;
}

/* ---- the command ---- */

/* Until somebody ends it. */
static int run(struct watcher *watcher)
{
    char error[REGFAST_ERROR_SIZE];
    uint64_t patience_ns = rf_regctl_now_ns() + watcher->options->timeout_ms * NS_PER_MS;
    int status = REGCTL_OK;
    while (status == REGCTL_OK && ferror(stdout) == 0) {
        struct regfast_watch_status known = {.size = sizeof(known)};
        int code = regfast_process(watcher->client, error, sizeof(error));
        code = code < 0 ? code : regfast_watch_status(watcher->watch, &known);
        if (code < 0) {
            return rf_regctl_fail(code, "watch '%s': %s", watcher->group, regfast_strerror(code));
        }
        if (known.updates != watcher->updates_seen) {
            status = take_update(watcher, &known);
        }
        status = status == REGCTL_OK ? take_refusal(watcher, &known) : status;
        uint64_t now_ns = rf_regctl_now_ns();
        status = status == REGCTL_OK ? take_state(watcher, &known, now_ns >= patience_ns) : status;
        (void)fflush(stdout); /* who reads a pipe waits for it; main looks at the error flag */
        /* Looks at the age now and then, whatever the library has to do. */
        int timeout_ms = regfast_timeout_ms(watcher->client);
        uint64_t wait_ms = timeout_ms < 0 || timeout_ms > 500 ? 500 : (uint64_t)timeout_ms;
        if (rf_regctl_screen_wait(&watcher->screen, now_ns + wait_ms * NS_PER_MS,
                                  regfast_fd(watcher->client)) == REGCTL_SCREEN_END) {
            return status;
        }
    }
    return status;
}

int rf_regctl_watch(const struct regctl_options *options, struct regfast_client *client,
                    int arguments_count, char **arguments)
{
    (void)arguments_count; /* is 1 */
    char error[REGFAST_ERROR_SIZE];
    struct watcher watcher = {.options = options, .group = arguments[0], .client = client};
    int code = rf_regctl_screen_open(&watcher.screen, false);
    if (code < 0) {
        return rf_regctl_fail(code, "cannot wait for signals: %s", strerror(-code));
    }
    code = regfast_watch(client, watcher.group, &watcher.watch, error, sizeof(error));
    int status = code < 0 ? rf_regctl_fail(code, "watch: %s", error) : run(&watcher);
    regfast_watch_close(watcher.watch);
    regfast_member_list_free(watcher.known);
    rf_regctl_screen_close(&watcher.screen);
    return status;
}
