/* SPDX-License-Identifier: MIT
 *
 * demo_service.c - the least that a service does to be found: it registers by libregfast and stays
 * until SIGTERM or SIGINT. tools/demo starts several.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/regfast.h"

enum { LEAVE_TIMEOUT_MS = 12 * 1000 };

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: demo-service GROUP ID ADDR REGISTRIES BIND\n");
        return 2;
    }
    sigset_t signals;
    (void)sigemptyset(&signals); /* these cannot fail for valid signals */
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);

    char error[REGFAST_ERROR_SIZE];
    struct regfast_registration *registration;
    const struct regfast_register_options options = {
        .size = sizeof(options),
        .group = argv[1],
        .id = argv[2],
        .addr = argv[3],
        .registries = argv[4],
        .bind = argv[5],
    };
    if (regfast_register(&options, &registration, error, sizeof(error)) < 0) {
        fprintf(stderr, "demo-service: %s\n", error);
        return 1;
    }
    int signal_number;
    (void)sigwait(&signals, &signal_number); /* cannot fail for a valid set */
    int code = regfast_leave(registration, LEAVE_TIMEOUT_MS);
    if (code < 0) {
        fprintf(stderr, "demo-service: leaving: %s\n", regfast_strerror(code));
    }
    regfast_registration_free(registration);
    return code < 0 ? 1 : EXIT_SUCCESS;
}
