/* SPDX-License-Identifier: MIT
 *
 * event_loop.c - asks for many keys at once from an event loop, which has other things to wait for
 * too:
 *
 *     event_loop 10.0.0.1:9800,10.0.0.2:9800 web alice bob carol
 *
 * Shown in regfast_fd(3).
 */
#include <poll.h>
#include <regfast.h>
#include <stdio.h>
#include <string.h>

enum { KEYS_MAX = 100 };

int main(int argc, char **argv)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_client *client;
    struct regfast_owner owners[KEYS_MAX];
    struct regfast_completion done;
    int failed = 0;
    if (argc < 4 || argc - 3 > KEYS_MAX) {
        fprintf(stderr, "usage: event_loop REGISTRIES GROUP KEY..., at most %d keys\n", KEYS_MAX);
        return 2;
    }
    int left = argc - 3;
    int code = regfast_open(argv[1], NULL, &client, error, sizeof(error));
    if (code < 0) {
        fprintf(stderr, "event_loop: %s\n", error);
        return 1;
    }
    for (int i = 0; i < left && code == 0; i++) {
        const char *key = argv[3 + i];
        code = regfast_submit_match(client, argv[2], key, strlen(key), &owners[i], &argv[3 + i],
                                    error, sizeof(error));
    }
    while (code >= 0 && left > 0) {
        /* Sockets and timers of the program's own belong here too. */
        struct pollfd entry = {.fd = regfast_fd(client), .events = POLLIN};
        poll(&entry, 1, regfast_timeout_ms(client));
        code = regfast_process(client, error, sizeof(error));
        while (code >= 0 && regfast_next(client, &done) == 1) {
            char **key = done.user;
            const struct regfast_owner *owner = &owners[key - &argv[3]];
            if (done.code < 0) {
                fprintf(stderr, "event_loop: %s: %s\n", *key, done.error);
                failed = 1;
            } else {
                printf("%s: %s at %s\n", *key, owner->id, owner->addr);
            }
            left--;
        }
    }
    if (code < 0) {
        fprintf(stderr, "event_loop: %s\n", error);
    }
    regfast_close(client);
    return code < 0 || failed;
}
