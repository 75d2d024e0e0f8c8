/* SPDX-License-Identifier: MIT
 *
 * list.c - prints all groups with their members:
 *
 *     list 10.0.0.1:9800
 *
 * Shown in regfast_groups(3), regfast_members(3).
 */
#include <inttypes.h>
#include <regfast.h>
#include <stdio.h>

static int print_members(struct regfast_client *client, const char *group)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_member_list *list;
    int code = regfast_members(client, group, &list, error, sizeof(error));
    if (code == REGFAST_ENOTFOUND) {
        return 0; /* gone since the groups were listed */
    }
    if (code < 0) {
        fprintf(stderr, "list: %s\n", error);
        return code;
    }
    printf("%s, version %" PRIu64 "\n", group, list->version);
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_member *member = &list->members[i];
        printf("    %s at %s, weight %" PRIu32 ", %s\n", member->id, member->addr, member->replicas,
               regfast_member_state_name(member->state));
    }
    regfast_member_list_free(list);
    return 0;
}

int main(int argc, char **argv)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_client *client;
    struct regfast_group_list *list;
    if (argc != 2) {
        fprintf(stderr, "usage: list REGISTRIES\n");
        return 2;
    }
    if (regfast_open(argv[1], NULL, &client, error, sizeof(error)) < 0) {
        fprintf(stderr, "list: %s\n", error);
        return 1;
    }
    int code = regfast_groups(client, &list, error, sizeof(error));
    if (code < 0) {
        fprintf(stderr, "list: %s\n", error);
    } else {
        for (size_t i = 0; i < list->count && code == 0; i++) {
            code = print_members(client, list->groups[i].name);
        }
        regfast_group_list_free(list);
    }
    regfast_close(client);
    return code < 0;
}
