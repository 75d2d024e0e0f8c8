/* SPDX-License-Identifier: MIT
 *
 * info.c - asks the first registry that answers within five seconds what it says of itself:
 *
 *     info 10.0.0.1:9800,10.0.0.2:9800
 *
 * Shown in regfast_open(3), regfast_info(3), regfast_strerror(3).
 */
#include <errno.h>
#include <inttypes.h>
#include <regfast.h>
#include <stdio.h>
#include <stdlib.h>

/* The text says where and why; the code, what kind of failure it is. */
static void fail(int code, const char *error)
{
    fprintf(stderr, "info: %s\n", error);
    if (code == -ETIMEDOUT || code == REGFAST_EUNAVAILABLE) {
        fprintf(stderr, "info: %s: try again later\n", regfast_strerror(code));
    }
    exit(1);
}

int main(int argc, char **argv)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_client *client;
    struct regfast_info_list *list;
    uint64_t time_ns;
    const struct regfast_options options = {
        .size = sizeof(options),
        .connect_timeout_ms = 2000,
        .call_timeout_ms = 5000,
    };
    if (argc != 2) {
        fprintf(stderr, "usage: info REGISTRIES\n");
        return 2;
    }
    int code = regfast_open(argv[1], &options, &client, error, sizeof(error));
    if (code < 0) {
        fail(code, error);
    }
    code = regfast_info(client, &list, error, sizeof(error));
    if (code < 0) {
        fail(code, error);
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_info *entry = &list->entries[i];
        if (entry->type == REGFAST_INFO_TEXT) {
            printf("%s: %s\n", entry->name, entry->text);
        } else {
            printf("%s: %" PRIu64 "\n", entry->name, entry->number);
        }
    }
    regfast_info_list_free(list);
    code = regfast_ping(client, &time_ns, error, sizeof(error));
    if (code < 0) {
        fail(code, error);
    }
    printf("%s answers within %" PRIu64 " us\n", regfast_server(client), time_ns / 1000);
    regfast_close(client);
    return 0;
}
