/* SPDX-License-Identifier: MIT
 *
 * ask.c - the commands that ask a registry once: owners, members, groups, info, ping.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/options.h"
#include "tools/regctl/regctl.h"

static json_t *json_name(const char *name)
{
    return rf_regctl_json_text(name, strlen(name));
}

/* ---- owners ---- */

static int print_owners(const struct regctl_options *options, char **arguments,
                        const struct regfast_owner *owners, int count)
{
    if (!options->json) {
        for (int i = 0; i < count; i++) {
            printf("%s\t%s\n", owners[i].id, owners[i].addr);
        }
        return REGCTL_OK;
    }
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        (void)json_array_append_new(list, json_pack("{s:o, s:o}", "id", json_name(owners[i].id),
                                                    "addr", json_name(owners[i].addr)));
    }
    return rf_regctl_print_json(json_pack("{s:o, s:o, s:I, s:o}", "group", json_name(arguments[0]),
                                          "key", json_name(arguments[1]), "version",
                                          (json_int_t)owners[0].version, "owners", list));
}

int rf_regctl_owners(const struct regctl_options *options, struct regfast_client *client,
                     int arguments_count, char **arguments)
{
    (void)arguments_count; /* is 3 */
    struct rf_error err;
    uint64_t count;
    if (rf_options_parse_number("N", arguments[2], 1, REGFAST_OWNERS_MAX, &count, &err) < 0) {
        (void)rf_regctl_fail(-EINVAL, "owners: %s", err.text);
        return REGCTL_USAGE;
    }
    char error[REGFAST_ERROR_SIZE] = "no memory";
    struct regfast_owner *owners = calloc(count, sizeof(*owners));
    int got = owners == NULL
                  ? -ENOMEM
                  : regfast_owners(client, arguments[0], arguments[1], strlen(arguments[1]), count,
                                   owners, error, sizeof(error));
    int status =
        got < 0 ? rf_regctl_fail(got, "%s", error) : print_owners(options, arguments, owners, got);
    free(owners);
    return status;
}

/* ---- members ---- */

static int print_members(const struct regctl_options *options, const char *group,
                         const struct regfast_member_list *list)
{
    json_t *members = options->json ? json_array() : NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_member *member = &list->members[i];
        const char *state = regfast_member_state_name(member->state);
        if (!options->json) {
            printf("%s\t%s\t%" PRIu32 "\t%s\n", member->id, member->addr, member->replicas, state);
            continue;
        }
        (void)json_array_append_new(members,
                                    json_pack("{s:o, s:o, s:I, s:s}", "id", json_name(member->id),
                                              "addr", json_name(member->addr), "replicas",
                                              (json_int_t)member->replicas, "state", state));
    }
    if (!options->json) {
        return REGCTL_OK;
    }
    return rf_regctl_print_json(json_pack("{s:o, s:I, s:o, s:o}", "group", json_name(group),
                                          "version", (json_int_t)list->version, "digest",
                                          rf_regctl_json_digest(list->digest), "members", members));
}

int rf_regctl_members(const struct regctl_options *options, struct regfast_client *client,
                      int arguments_count, char **arguments)
{
    (void)arguments_count; /* is 1 */
    char error[REGFAST_ERROR_SIZE];
    struct regfast_member_list *list;
    int code = regfast_members(client, arguments[0], &list, error, sizeof(error));
    if (code < 0) {
        return rf_regctl_fail(code, "%s", error);
    }
    int status = print_members(options, arguments[0], list);
    regfast_member_list_free(list);
    return status;
}

/* ---- groups ---- */

static int print_groups(const struct regctl_options *options, const struct regfast_group_list *list)
{
    json_t *groups = options->json ? json_array() : NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_group *group = &list->groups[i];
        if (!options->json) {
            printf("%s\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu64 "\t%016" PRIx64 "\n", group->name,
                   group->members_count, group->alive_count, group->version, group->digest);
            continue;
        }
        (void)json_array_append_new(
            groups, json_pack("{s:o, s:I, s:I, s:I, s:o}", "name", json_name(group->name),
                              "members", (json_int_t)group->members_count, "alive",
                              (json_int_t)group->alive_count, "version", (json_int_t)group->version,
                              "digest", rf_regctl_json_digest(group->digest)));
    }
    if (!options->json) {
        return REGCTL_OK;
    }
    return rf_regctl_print_json(json_pack("{s:I, s:o, s:o}", "version", (json_int_t)list->version,
                                          "digest", rf_regctl_json_digest(list->digest), "groups",
                                          groups));
}

int rf_regctl_groups(const struct regctl_options *options, struct regfast_client *client,
                     int arguments_count, char **arguments)
{
    (void)arguments_count; /* is 0 */
    (void)arguments;
    char error[REGFAST_ERROR_SIZE];
    struct regfast_group_list *list;
    int code = regfast_groups(client, &list, error, sizeof(error));
    if (code < 0) {
        return rf_regctl_fail(code, "%s", error);
    }
    int status = print_groups(options, list);
    regfast_group_list_free(list);
    return status;
}

/* ---- info ---- */

static int print_info(const struct regctl_options *options, const struct regfast_info_list *list)
{
    json_t *object = options->json ? json_object() : NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_info *entry = &list->entries[i];
        bool is_text = entry->type == REGFAST_INFO_TEXT;
        if (options->json) {
            (void)json_object_set_new(object, entry->name,
                                      is_text ? json_name(entry->text)
                                              : json_integer((json_int_t)entry->number));
        } else if (is_text) {
            printf("%s\t%s\n", entry->name, entry->text);
        } else {
            printf("%s\t%" PRIu64 "\n", entry->name, entry->number);
        }
    }
    return options->json ? rf_regctl_print_json(object) : REGCTL_OK;
}

int rf_regctl_info(const struct regctl_options *options, struct regfast_client *client,
                   int arguments_count, char **arguments)
{
    (void)arguments_count; /* is 0 */
    (void)arguments;
    char error[REGFAST_ERROR_SIZE];
    struct regfast_info_list *list;
    int code = regfast_info(client, &list, error, sizeof(error));
    if (code < 0) {
        return rf_regctl_fail(code, "%s", error);
    }
    int status = print_info(options, list);
    regfast_info_list_free(list);
    return status;
}

/* ---- ping ---- */

int rf_regctl_ping(const struct regctl_options *options, struct regfast_client *client,
                   int arguments_count, char **arguments)
{
    (void)arguments_count; /* is 0 */
    (void)arguments;
    char error[REGFAST_ERROR_SIZE];
    uint64_t time_ns;
    int code = regfast_ping(client, &time_ns, error, sizeof(error));
    if (code < 0) {
        return rf_regctl_fail(code, "%s", error);
    }
    if (options->json) {
        return rf_regctl_print_json(json_pack("{s:s, s:I}", "server", regfast_server(client),
                                              "time_ns", (json_int_t)time_ns));
    }
    printf("%s\t%" PRIu64 " us\n", regfast_server(client), time_ns / 1000);
    return REGCTL_OK;
}
