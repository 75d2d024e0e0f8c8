/* SPDX-License-Identifier: MIT
 *
 * serve.c - serve auto|uring|epoll: a server with the standard catalog of served.h, on a free port.
 * Prints HOST:PORT, and ends with its standard input.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/support/served.h"

int main(int argc, char **argv)
{
    static struct served served;
    struct rf_error err;
    enum rf_io io;
    char byte;
    if (argc != 2 || rf_io_parse(argv[1], &io, &err) < 0) {
        fprintf(stderr, "usage: serve auto|uring|epoll\n");
        return 2;
    }
    if (served_start(&served, "127.0.0.1:0", io, &err) < 0) {
        fprintf(stderr, "serve: %s\n", err.text);
        return 1;
    }
    served_put_standard(&served);
    served_publish(&served);
    printf("%s\n", served.addr);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    served_stop(&served);
    return 0;
}
