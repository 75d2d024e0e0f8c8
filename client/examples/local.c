/* SPDX-License-Identifier: MIT
 *
 * local.c - four threads ask for a million keys each, without the network, while a thread of the
 * library keeps what they ask current:
 *
 *     local 10.0.0.1:9800,10.0.0.2:9800 web
 *
 * Shown in regfast_local_match(3).
 */
#include <pthread.h>
#include <regfast.h>
#include <stdio.h>

enum {
    THREADS_COUNT = 4,
    KEYS_COUNT = 1000 * 1000,
    WAIT_MS = 5000,
};

struct asker {
    pthread_t thread;
    struct regfast_watch *watch;
    int code;
};

static void *ask(void *argument)
{
    struct asker *asker = argument;
    struct regfast_reader *reader; /* one for each thread */
    struct regfast_owner owner;
    asker->code = regfast_reader_new(asker->watch, &reader);
    if (asker->code < 0) {
        return NULL;
    }
    for (int i = 0; i < KEYS_COUNT && asker->code == 0; i++) {
        asker->code = regfast_local_match(reader, &i, sizeof(i), &owner);
    }
    regfast_reader_free(reader);
    return NULL;
}

static int run(struct regfast_watch *watch)
{
    struct asker askers[THREADS_COUNT];
    int code = 0;
    int count = 0;
    for (; count < THREADS_COUNT; count++) {
        askers[count] = (struct asker){.watch = watch};
        if (pthread_create(&askers[count].thread, NULL, ask, &askers[count]) != 0) {
            break;
        }
    }
    for (int i = 0; i < count; i++) {
        pthread_join(askers[i].thread, NULL);
        code = askers[i].code < 0 ? askers[i].code : code;
    }
    return count < THREADS_COUNT && code == 0 ? -1 : code;
}

int main(int argc, char **argv)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_client *client;
    struct regfast_watch *watch;
    const struct regfast_options options = {.size = sizeof(options), .background = 1};
    if (argc != 3) {
        fprintf(stderr, "usage: local REGISTRIES GROUP\n");
        return 2;
    }
    if (regfast_open(argv[1], &options, &client, error, sizeof(error)) < 0) {
        fprintf(stderr, "local: %s\n", error);
        return 1;
    }
    int code = regfast_watch(client, argv[2], &watch, error, sizeof(error));
    if (code == 0) {
        code = regfast_watch_wait(watch, 0, WAIT_MS, error, sizeof(error));
    }
    if (code < 0) {
        fprintf(stderr, "local: %s\n", error);
    } else {
        code = run(watch);
        if (code < 0) {
            fprintf(stderr, "local: %s\n", regfast_strerror(code));
        } else {
            printf("%d threads had %d answers each\n", THREADS_COUNT, KEYS_COUNT);
        }
    }
    regfast_close(client); /* the watch too */
    return code < 0;
}
