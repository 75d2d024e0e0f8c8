/* SPDX-License-Identifier: MIT
 *
 * bounded.c - a thousand requests for one key are under way at once: prints how many each instance
 * of the group has been given, which is no more than its share and a quarter.
 *
 *     bounded 10.0.0.1:9800,10.0.0.2:9800 web alice
 *
 * Shown in regfast_match_bounded(3).
 */
#include <regfast.h>
#include <stdio.h>
#include <string.h>

enum {
    REQUESTS_COUNT = 1000,
    WAIT_MS = 5000,
};

static struct regfast_load loads[REQUESTS_COUNT];
static struct regfast_owner owners[REQUESTS_COUNT];

static int ask(struct regfast_reader *reader, const char *key)
{
    int code = 0;
    int under_way = 0;
    for (; under_way < REQUESTS_COUNT && code == 0; under_way += code == 0) {
        /* The request would be sent to owners[under_way].addr now. */
        code = regfast_match_bounded(reader, key, strlen(key), 0, &owners[under_way],
                                     &loads[under_way]);
    }
    for (int i = 0; i < under_way; i++) {
        int count = 0;
        int is_first = 1;
        for (int j = 0; j < under_way; j++) {
            int is_same = strcmp(owners[i].id, owners[j].id) == 0;
            count += is_same;
            is_first = is_first && (j >= i || !is_same);
        }
        if (is_first) {
            printf("%s: %d\n", owners[i].id, count);
        }
    }
    for (int i = 0; i < under_way; i++) {
        regfast_load_done(reader, &loads[i]); /* when the answer is there, or has failed */
    }
    return code;
}

int main(int argc, char **argv)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_client *client;
    struct regfast_watch *watch;
    struct regfast_reader *reader;
    const struct regfast_options options = {.size = sizeof(options), .background = 1};
    if (argc != 4) {
        fprintf(stderr, "usage: bounded REGISTRIES GROUP KEY\n");
        return 2;
    }
    if (regfast_open(argv[1], &options, &client, error, sizeof(error)) < 0) {
        fprintf(stderr, "bounded: %s\n", error);
        return 1;
    }
    int code = regfast_watch(client, argv[2], &watch, error, sizeof(error));
    if (code == 0) {
        code = regfast_watch_wait(watch, 0, WAIT_MS, error, sizeof(error));
    }
    if (code < 0) {
        fprintf(stderr, "bounded: %s\n", error);
        regfast_close(client); /* the watch too */
        return 1;
    }
    code = regfast_reader_new(watch, &reader);
    if (code == 0) {
        code = ask(reader, argv[3]);
        regfast_reader_free(reader);
    }
    if (code < 0) {
        fprintf(stderr, "bounded: %s\n", regfast_strerror(code));
    }
    regfast_close(client);
    return code < 0;
}
