/* SPDX-License-Identifier: MIT
 *
 * verify.c - regctl verify: whether all registries know the same.
 *
 * What most of them say is taken for right, and of as many the one that is first in the list: no
 * registry is special. Equal digests of catalogs mean equal answers; where they differ, the digests
 * of the groups tell where. A change may be under way, so they are asked again for a moment.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/assert.h"
#include "tools/regctl/regctl.h"
#include "tools/regctl/screen.h"
#include "tools/regctl/table.h"

enum {
    ASK_AGAIN_MS = 200,
    THREADS_MAX = 64, /* registries that are asked at once */
};

#define REGISTRY_GROUP "registry-group" /* in which each registry is a member */
#define NS_PER_MS UINT64_C(1000000)

struct registry {
    const struct regfast_member *member;
    struct regfast_client *client;
    struct regfast_group_list *groups; /* NULL: it has not answered */
    char placement[16];
    char error[REGFAST_ERROR_SIZE];
    bool differs;
    pthread_t thread;
    bool has_thread;
};

struct check {
    const struct regctl_options *options;
    struct regfast_member_list *list;
    struct registry *registries;
    size_t count;
    const struct registry *reference; /* one of those that most agree with; NULL: nobody answers */
    size_t differ_count;
    size_t silent_count;
};

/* ---- asking ---- */

static void read_placement(struct registry *registry)
{
    struct regfast_info_list *list;
    registry->placement[0] = '\0';
    int code = regfast_info(registry->client, &list, registry->error, sizeof(registry->error));
    if (code < 0) {
        regfast_group_list_free(registry->groups);
        registry->groups = NULL;
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_info *entry = &list->entries[i];
        if (entry->type == REGFAST_INFO_TEXT && strcmp(entry->name, "placement") == 0) {
            (void)snprintf(registry->placement, sizeof(registry->placement), "%s", entry->text);
        }
    }
    regfast_info_list_free(list);
}

static void *ask(void *context)
{
    struct registry *registry = context;
    regfast_group_list_free(registry->groups);
    registry->groups = NULL;
    if (registry->client == NULL) { /* its address is none, and `error` says so */
        return NULL;
    }
    struct regfast_group_list *groups;
    int code = regfast_groups(registry->client, &groups, registry->error, sizeof(registry->error));
    if (code == 0) {
        registry->groups = groups;
        read_placement(registry);
    }
    return NULL;
}

/* Many at once, so that those that do not answer cost one time-out and not one each; it also makes
 * the answers nearly of one moment. */
static void ask_all(struct check *check)
{
    for (size_t first = 0; first < check->count; first += THREADS_MAX) {
        size_t end = check->count - first < THREADS_MAX ? check->count : first + THREADS_MAX;
        for (size_t i = first; i < end; i++) {
            struct registry *registry = &check->registries[i];
            registry->has_thread = pthread_create(&registry->thread, NULL, ask, registry) == 0;
        }
        for (size_t i = first; i < end; i++) {
            if (check->registries[i].has_thread) {
                (void)pthread_join(check->registries[i].thread, NULL); /* cannot fail for ours */
            } else {
                (void)ask(&check->registries[i]); /* returns nothing */
            }
        }
    }
}

/* ---- comparing ---- */

static size_t count_equal(const struct check *check, uint64_t digest)
{
    size_t count = 0;
    for (size_t i = 0; i < check->count; i++) {
        const struct regfast_group_list *groups = check->registries[i].groups;
        count += groups != NULL && groups->digest == digest ? 1 : 0;
    }
    return count;
}

static void compare(struct check *check)
{
    size_t most = 0;
    check->reference = NULL;
    check->differ_count = 0;
    check->silent_count = 0;
    for (size_t i = 0; i < check->count; i++) {
        const struct registry *registry = &check->registries[i];
        if (registry->groups == NULL) {
            check->silent_count++;
            continue;
        }
        size_t count = count_equal(check, registry->groups->digest);
        if (count > most) {
            most = count;
            check->reference = registry;
        }
    }
    for (size_t i = 0; i < check->count; i++) {
        struct registry *registry = &check->registries[i];
        registry->differs = registry->groups != NULL &&
                            registry->groups->digest != check->reference->groups->digest;
        check->differ_count += registry->differs ? 1 : 0;
    }
}

static const struct regfast_group *find_group(const struct registry *registry, const char *name)
{
    size_t low = 0;
    size_t high = registry->groups->count;
    while (low < high) { /* they are by name */
        size_t middle = low + (high - low) / 2;
        const struct regfast_group *group = &registry->groups->groups[middle];
        int order = strcmp(group->name, name);
        if (order == 0) {
            return group;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

/* 0 also for a group that it does not know: a group without anybody in its ring answers as none. */
static uint64_t digest_of(const struct registry *registry, const char *name)
{
    const struct regfast_group *group = find_group(registry, name);
    return group != NULL ? group->digest : 0;
}

/* ---- printing ---- */

typedef void on_difference(void *context, const struct registry *registry, const char *what,
                           uint64_t digest, uint64_t others_digest);

/* Calls for each group of which a registry that differs says something else than the most. There
 * are none if only its placement is another one. */
static void each_difference(const struct check *check, on_difference *tell, void *context)
{
    const struct registry *most = check->reference;
    if (check->differ_count == 0) {
        return;
    }
    RF_ASSERT(most != NULL && most->groups != NULL); /* from whom others differ */
    for (size_t i = 0; i < check->count; i++) {
        const struct registry *registry = &check->registries[i];
        RF_ASSERT(!registry->differs || registry->groups != NULL);
        for (size_t at = 0; registry->differs && at < registry->groups->count; at++) {
            const struct regfast_group *group = &registry->groups->groups[at];
            uint64_t digest = digest_of(most, group->name);
            if (digest != group->digest) {
                tell(context, registry, group->name, group->digest, digest);
            }
        }
        for (size_t at = 0; registry->differs && at < most->groups->count; at++) {
            const struct regfast_group *group = &most->groups->groups[at];
            if (group->digest != 0 && find_group(registry, group->name) == NULL) {
                tell(context, registry, group->name, 0, group->digest);
            }
        }
    }
}

static const char *verdict_of(const struct registry *registry)
{
    if (registry->groups == NULL) {
        return "no answer";
    }
    return registry->differs ? "differs" : "agrees";
}

static void add_difference(void *context, const struct registry *registry, const char *what,
                           uint64_t digest, uint64_t others_digest)
{
    struct regctl_table *table = context;
    if (table->count == 0) {
        static const char *const titles[] = {"REGISTRY", "GROUP", "DIGEST", "DIGEST OF THE MOST"};
        for (size_t i = 0; i < table->columns; i++) {
            rf_regctl_table_add(table, "%s", titles[i]);
        }
        (void)putchar('\n'); /* main looks at the stream's error flag */
    }
    rf_regctl_table_add(table, "%s", registry->member->id);
    rf_regctl_table_add(table, "%s", what);
    rf_regctl_table_add(table, "%016" PRIx64, digest);
    rf_regctl_table_add(table, "%016" PRIx64, others_digest);
}

static bool print_differences(const struct check *check)
{
    struct regctl_table table = {.columns = 4};
    each_difference(check, add_difference, &table);
    return rf_regctl_table_print(&table, stdout);
}

static int print_text(const struct check *check)
{
    struct regctl_table table = {.columns = 7, .right = 1U << 3};
    static const char *const titles[] = {"REGISTRY",  "ADDR",   "STATE",  "VERSION",
                                         "PLACEMENT", "DIGEST", "VERDICT"};
    for (size_t i = 0; i < table.columns; i++) {
        rf_regctl_table_add(&table, "%s", titles[i]);
    }
    for (size_t i = 0; i < check->count; i++) {
        const struct registry *registry = &check->registries[i];
        rf_regctl_table_add(&table, "%s", registry->member->id);
        rf_regctl_table_add(&table, "%s", registry->member->addr);
        rf_regctl_table_add(&table, "%s", regfast_member_state_name(registry->member->state));
        if (registry->groups != NULL) {
            rf_regctl_table_add(&table, "%" PRIu64, registry->groups->version);
            rf_regctl_table_add(&table, "%s", registry->placement);
            rf_regctl_table_add(&table, "%016" PRIx64, registry->groups->digest);
        } else {
            rf_regctl_table_add(&table, "-");
            rf_regctl_table_add(&table, "-");
            rf_regctl_table_add(&table, "-");
        }
        rf_regctl_table_add(&table, "%s", verdict_of(registry));
    }
    bool is_printed = rf_regctl_table_print(&table, stdout) &&
                      (check->differ_count == 0 || print_differences(check));
    return is_printed
               ? REGCTL_OK
               : rf_regctl_fail(-ENOMEM, "no memory for a table of %zu registries", check->count);
}

static json_t *json_name(const char *name)
{
    return rf_regctl_json_text(name, strlen(name));
}

static void append_difference(void *context, const struct registry *registry, const char *what,
                              uint64_t digest, uint64_t others_digest)
{
    json_t *list = context;
    (void)json_array_append_new(
        list, json_pack("{s:o, s:o, s:o, s:o}", "registry", json_name(registry->member->id),
                        "group", json_name(what), "digest", rf_regctl_json_digest(digest),
                        "digest_of_the_most", rf_regctl_json_digest(others_digest)));
}

static json_t *json_registry(const struct registry *registry)
{
    const struct regfast_member *member = registry->member;
    json_t *object = json_pack(
        "{s:o, s:o, s:s, s:s}", "id", json_name(member->id), "addr", json_name(member->addr),
        "state", regfast_member_state_name(member->state), "verdict", verdict_of(registry));
    if (object != NULL && registry->groups != NULL) {
        (void)json_object_set_new(object, "version",
                                  json_integer((json_int_t)registry->groups->version));
        (void)json_object_set_new(object, "placement", json_name(registry->placement));
        (void)json_object_set_new(object, "digest",
                                  rf_regctl_json_digest(registry->groups->digest));
    } else if (object != NULL) {
        (void)json_object_set_new(object, "error", json_name(registry->error));
    }
    return object;
}

static int print_json(const struct check *check)
{
    json_t *registries = json_array();
    json_t *differences = json_array();
    for (size_t i = 0; i < check->count; i++) {
        (void)json_array_append_new(registries, json_registry(&check->registries[i]));
    }
    each_difference(check, append_difference, differences);
    return rf_regctl_print_json(
        json_pack("{s:b, s:I, s:I, s:I, s:o, s:o}", "equal",
                  check->differ_count == 0 && check->silent_count == 0, "agree",
                  (json_int_t)(check->count - check->differ_count - check->silent_count), "differ",
                  (json_int_t)check->differ_count, "unavailable", (json_int_t)check->silent_count,
                  "registries", registries, "differences", differences));
}

/* ---- the command ---- */

/* Those that have left are none any more; those that failed should answer, or be forgotten. */
static int open_registries(struct check *check)
{
    const struct regfast_options client_options = {
        .size = sizeof(client_options),
        .call_timeout_ms = (uint32_t)check->options->timeout_ms,
    };
    check->registries = calloc(check->list->count + 1, sizeof(check->registries[0]));
    if (check->registries == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for %zu registries", check->list->count);
    }
    for (size_t i = 0; i < check->list->count; i++) {
        const struct regfast_member *member = &check->list->members[i];
        if (member->state == REGFAST_MEMBER_LEFT) {
            continue;
        }
        struct registry *registry = &check->registries[check->count++];
        registry->member = member;
        if (regfast_open(member->addr, &client_options, &registry->client, registry->error,
                         sizeof(registry->error)) < 0) {
            registry->client = NULL; /* what it advertises is no address: it cannot be asked */
        }
    }
    return REGCTL_OK;
}

static void close_registries(struct check *check)
{
    for (size_t i = 0; i < check->count; i++) {
        regfast_group_list_free(check->registries[i].groups);
        regfast_close(check->registries[i].client);
    }
    free(check->registries);
    check->registries = NULL;
    check->count = 0;
    regfast_member_list_free(check->list);
    check->list = NULL;
}

/* Asks who there is, and all of them. */
static int check_once(struct check *check, struct regfast_client *client)
{
    char error[REGFAST_ERROR_SIZE];
    close_registries(check);
    int code = regfast_members(client, REGISTRY_GROUP, &check->list, error, sizeof(error));
    if (code < 0) {
        return rf_regctl_fail(code, "%s", error);
    }
    int status = open_registries(check);
    if (status == REGCTL_OK) {
        ask_all(check);
        compare(check);
    }
    return status;
}

static int fail_check(const struct check *check)
{
    if (check->differ_count > 0) {
        return rf_regctl_fail(-EIO, "verify: %zu of %zu registries differ from the most",
                              check->differ_count, check->count);
    }
    for (size_t i = 0; i < check->count; i++) {
        const struct registry *registry = &check->registries[i];
        if (registry->groups == NULL) {
            return rf_regctl_fail(
                REGFAST_EUNAVAILABLE, "verify: %zu of %zu registries do not answer: '%s': %s",
                check->silent_count, check->count, registry->member->id, registry->error);
        }
    }
    return REGCTL_OK;
}

int rf_regctl_verify(const struct regctl_options *options, struct regfast_client *client,
                     int arguments_count, char **arguments)
{
    (void)arguments_count; /* is 0 */
    (void)arguments;
    const struct timespec pause = {.tv_nsec = (long)(ASK_AGAIN_MS * NS_PER_MS)};
    uint64_t end_ns = rf_regctl_now_ns() + options->wait_s * 1000 * NS_PER_MS;
    struct check check = {.options = options};
    int status = check_once(&check, client);
    while (status == REGCTL_OK && check.differ_count + check.silent_count > 0 &&
           rf_regctl_now_ns() < end_ns) {
        (void)nanosleep(&pause, NULL); /* shorter after a signal is as well */
        status = check_once(&check, client);
    }
    if (status == REGCTL_OK) {
        status = options->json ? print_json(&check) : print_text(&check);
    }
    status = status == REGCTL_OK ? fail_check(&check) : status;
    close_registries(&check);
    return status;
}
