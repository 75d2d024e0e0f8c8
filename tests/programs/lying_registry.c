/* SPDX-License-Identifier: MIT
 *
 * lying_registry - says that a group has two members, and gives every key to the first, then to
 * the second. Prints "port=N", serves connections one after the other until it is ended.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/wire.h"

enum { VERSION = 3 };

static const struct rf_wire_member members[] = {
    {{{"one", 3}, {"10.0.0.1:80", 11}}, 100, RF_MEMBER_ALIVE},
    {{{"two", 3}, {"10.0.0.2:80", 11}}, 100, RF_MEMBER_ALIVE},
};

static size_t answer(const struct rf_wire_header *header, uint8_t *out, size_t size)
{
    struct rf_wire_list list;
    int code;
    if (header->op == RF_WIRE_MATCH) {
        return rf_wire_match_reply_encode(out, size, header->request_id, VERSION,
                                          &members[0].owner);
    }
    if (header->op == RF_WIRE_INFO) {
        code = rf_wire_info_reply_begin(&list, out, size, header->request_id);
        RF_ASSERT(code == 0);
        code = rf_wire_info_reply_add_text(&list, "placement", "v1");
    } else if (header->op == RF_WIRE_OWNERS) {
        code = rf_wire_owners_reply_begin(&list, out, size, RF_WIRE_OWNERS, header->request_id,
                                          VERSION);
        for (size_t i = 0; code == 0 && i < 2; i++) {
            code = rf_wire_owners_reply_add(&list, &members[i].owner);
        }
    } else {
        RF_ASSERT(header->op == RF_WIRE_MEMBERS);
        code = rf_wire_members_reply_begin(&list, out, size, header->request_id, VERSION, 1);
        for (size_t i = 0; code == 0 && i < 2; i++) {
            code = rf_wire_members_reply_add(&list, &members[i]);
        }
    }
    RF_ASSERT(code == 0);
    return rf_wire_list_end(&list, false);
}

static bool read_all(int fd, uint8_t *data, size_t size)
{
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static void serve(int fd)
{
    uint8_t bytes[RF_WIRE_REQUEST_SIZE_MAX];
    uint8_t reply[1024];
    if (!read_all(fd, bytes, RF_WIRE_PREFACE_SIZE)) {
        return;
    }
    while (read_all(fd, bytes, RF_WIRE_HEADER_SIZE)) {
        struct rf_wire_header header = rf_wire_header_load(bytes);
        RF_ASSERT(header.payload_size <= sizeof(bytes));
        if (header.payload_size > 0 && !read_all(fd, bytes, header.payload_size)) {
            return;
        }
        size_t size = answer(&header, reply, sizeof(reply));
        if (send(fd, reply, size, MSG_NOSIGNAL) != (ssize_t)size) {
            return;
        }
    }
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    (void)signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    RF_ASSERT(listener >= 0);
    int code = bind(listener, (const struct sockaddr *)&address, size);
    RF_ASSERT(code == 0);
    code = listen(listener, 16);
    RF_ASSERT(code == 0);
    code = getsockname(listener, (struct sockaddr *)&address, &size);
    RF_ASSERT(code == 0);
    (void)printf("port=%u\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    while (true) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        RF_ASSERT(fd >= 0);
        if (fork() == 0) { /* the one that asks for members stays connected */
            serve(fd);
            _exit(0);
        }
        (void)close(fd);
    }
}
