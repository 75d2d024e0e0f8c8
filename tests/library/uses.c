/* SPDX-License-Identifier: MIT
 *
 * uses.c - a user's program, valid C99 and C++11: prints the library's version if what it does
 * goes as promised without any registry.
 */
#include <regfast.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct regfast_client *client = NULL;
    struct regfast_owner owner;
    struct regfast_options options;
    char error[REGFAST_ERROR_SIZE];
    memset(&options, 0, sizeof(options));
    options.size = sizeof(options);
    options.connect_timeout_ms = 100;
    options.call_timeout_ms = 200;
    if (regfast_open("127.0.0.1:99999", &options, &client, error, sizeof(error)) == 0) {
        puts("a bad port is taken");
        return 1;
    }
    if (regfast_open("127.0.0.1:1", &options, &client, error, sizeof(error)) < 0) {
        puts(error);
        return 1;
    }
    if (regfast_match(client, "web", "k", 1, &owner, error, sizeof(error)) !=
        REGFAST_EUNAVAILABLE) {
        puts("nobody should have answered");
        return 1;
    }
    regfast_close(client);
    puts(regfast_version());
    return 0;
}
