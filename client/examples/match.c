/* SPDX-License-Identifier: MIT
 *
 * match.c - prints which instance of a group has each key:
 *
 *     match 10.0.0.1:9800,10.0.0.2:9800 web alice bob
 *
 * Shown in regfast(3).
 */
#include <regfast.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_client *client;
    struct regfast_owner owner;
    if (argc < 4) {
        fprintf(stderr, "usage: match REGISTRIES GROUP KEY...\n");
        return 2;
    }
    int code = regfast_open(argv[1], NULL, &client, error, sizeof(error));
    if (code < 0) {
        fprintf(stderr, "match: %s\n", error);
        return 1;
    }
    for (int i = 3; i < argc && code == 0; i++) {
        code =
            regfast_match(client, argv[2], argv[i], strlen(argv[i]), &owner, error, sizeof(error));
        if (code == 0) {
            printf("%s: %s at %s\n", argv[i], owner.id, owner.addr);
        }
    }
    if (code == REGFAST_ENOTFOUND) {
        printf("nobody serves %s now\n", argv[2]);
    } else if (code < 0) {
        fprintf(stderr, "match: %s\n", error);
    }
    regfast_close(client);
    return code < 0;
}
