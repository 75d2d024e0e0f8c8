/* SPDX-License-Identifier: MIT
 *
 * watch.c - prints what becomes of a group, a line for each time that it changes:
 *
 *     watch 10.0.0.1:9800,10.0.0.2:9800 web 10
 *
 * It ends when nothing has changed for so many seconds. Shown in regfast_watch(3).
 */
#include <errno.h>
#include <inttypes.h>
#include <regfast.h>
#include <stdio.h>
#include <stdlib.h>

static int print_members(struct regfast_watch *watch)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_member_list *list;
    struct regfast_watch_status status = {.size = sizeof(status)};
    int code = regfast_watch_members(watch, &list, error, sizeof(error));
    if (code < 0) {
        fprintf(stderr, "watch: %s\n", error);
        return code;
    }
    regfast_watch_status(watch, &status);
    printf("%s, update %" PRIu64 ":", status.server, status.updates);
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_member *member = &list->members[i];
        printf(" %s %s", member->id, regfast_member_state_name(member->state));
    }
    printf("\n");
    fflush(stdout);
    regfast_member_list_free(list);
    return 0;
}

int main(int argc, char **argv)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_client *client;
    struct regfast_watch *watch;
    struct regfast_watch_status status = {.size = sizeof(status)};
    if (argc != 4) {
        fprintf(stderr, "usage: watch REGISTRIES GROUP SECONDS\n");
        return 2;
    }
    uint32_t timeout_ms = (uint32_t)strtoul(argv[3], NULL, 10) * 1000;
    int code = regfast_open(argv[1], NULL, &client, error, sizeof(error));
    if (code < 0) {
        fprintf(stderr, "watch: %s\n", error);
        return 1;
    }
    code = regfast_watch(client, argv[2], &watch, error, sizeof(error));
    while (code == 0) {
        code = regfast_watch_wait(watch, status.updates, timeout_ms, error, sizeof(error));
        if (code == 0) {
            regfast_watch_status(watch, &status);
            code = print_members(watch);
        }
    }
    int is_failed = code != -ETIMEDOUT || status.state == REGFAST_WATCH_EMPTY;
    if (is_failed) {
        fprintf(stderr, "watch: %s\n", error);
    }
    regfast_close(client); /* the watch too */
    return is_failed;
}
