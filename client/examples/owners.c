/* SPDX-License-Identifier: MIT
 *
 * owners.c - where the data of each key belongs: on the instance that has the key, and a copy on
 * the one that has it when that one is gone:
 *
 *     owners 10.0.0.1:9800 db alice bob
 *
 * Shown in regfast_match(3).
 */
#include <regfast.h>
#include <stdio.h>
#include <string.h>

enum { KEYS_MAX = 100 };

int main(int argc, char **argv)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_client *client;
    struct regfast_key keys[KEYS_MAX];
    struct regfast_owner first[KEYS_MAX];
    struct regfast_owner places[2];
    if (argc < 4 || argc - 3 > KEYS_MAX) {
        fprintf(stderr, "usage: owners REGISTRIES GROUP KEY..., at most %d keys\n", KEYS_MAX);
        return 2;
    }
    const char *group = argv[2];
    size_t count = (size_t)(argc - 3);
    for (size_t i = 0; i < count; i++) {
        keys[i].data = argv[3 + i];
        keys[i].size = strlen(argv[3 + i]);
    }
    if (regfast_open(argv[1], NULL, &client, error, sizeof(error)) < 0) {
        fprintf(stderr, "owners: %s\n", error);
        return 1;
    }
    /* All keys in one round trip. */
    int code = regfast_match_many(client, group, keys, count, first, error, sizeof(error));
    for (size_t i = 0; i < count && code >= 0; i++) {
        printf("%s: %s at %s", argv[3 + i], first[i].id, first[i].addr);
        code = regfast_owners(client, group, keys[i].data, keys[i].size, 2, places, error,
                              sizeof(error));
        if (code == 2) {
            printf(", a copy on %s at %s", places[1].id, places[1].addr);
        }
        printf("\n");
    }
    if (code < 0) {
        fprintf(stderr, "owners: %s\n", error);
    }
    regfast_close(client);
    return code < 0;
}
