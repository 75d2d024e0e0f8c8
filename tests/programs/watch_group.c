/* SPDX-License-Identifier: MIT
 *
 * watch_group HOST:PORT GROUP - watches a group of a registry and prints a line for each change, as
 * it is told: "ID STATE" or "ID forgotten", with the state's number, and "update" after each
 * update. Ends with 0 when the registry ends the connection, with 1 and a line if something is
 * wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/wire.h"

static uint8_t payload[RF_WIRE_PAGE_SIZE_MAX];

static int fail(const char *what)
{
    fprintf(stderr, "watch_group: %s (errno: %s)\n", what, strerror(errno));
    return 1;
}

/* Exactly so many bytes; false: the end came first. */
static int receive(int fd, void *data, size_t size)
{
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static void print_page(const struct rf_wire_watch_reply *page)
{
    struct rf_wire_cursor changes = page->changes;
    struct rf_wire_change change;
    while (rf_wire_watch_next(&changes, &change)) {
        const struct rf_wire_bytes id = change.member.owner.id;
        if (change.is_forgotten) {
            printf("%.*s forgotten\n", (int)id.size, (const char *)id.data);
        } else {
            printf("%.*s %d\n", (int)id.size, (const char *)id.data, (int)change.member.state);
        }
    }
    if (!page->more) {
        printf("update\n");
    }
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    char *colon = argc == 3 ? strrchr(argv[1], ':') : NULL;
    if (colon == NULL) {
        return fail("wants HOST:PORT GROUP");
    }
    *colon = '\0';
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        return fail("connect");
    }
    uint8_t frame[512];
    memcpy(frame, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    const struct rf_wire_watch_request request = {.group = {argv[2], strlen(argv[2])}};
    size_t size = RF_WIRE_PREFACE_SIZE;
    size += rf_wire_watch_request_encode(frame + size, sizeof(frame) - size, 1, &request);
    if (send(fd, frame, size, MSG_NOSIGNAL) != (ssize_t)size) {
        return fail("send");
    }
    uint8_t head[RF_WIRE_HEADER_SIZE];
    while (receive(fd, head, sizeof(head))) {
        const struct rf_wire_header header = rf_wire_header_load(head);
        struct rf_wire_watch_reply page;
        if (header.op != RF_WIRE_WATCH || header.status != RF_WIRE_OK ||
            header.payload_size > sizeof(payload) || !receive(fd, payload, header.payload_size) ||
            rf_wire_watch_reply_decode(payload, header.payload_size, &page, NULL) < 0) {
            return fail("a reply that is no page of a watch");
        }
        print_page(&page);
    }
    close(fd);
    return 0;
}
