/* SPDX-License-Identifier: MIT
 *
 * service.c - a web service that is a member of a group for as long as it runs:
 *
 *     service web web-1 10.0.3.7:8080 10.0.0.1:7370,10.0.0.2:7370
 *
 * It serves first and registers then, so that nobody is sent to it in vain. With port 0 it takes a
 * port that is free. SIGTERM and SIGINT end it: it leaves the group, then stops.
 *
 * Shown in regfast_register(3).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <regfast.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    LEAVE_TIMEOUT_MS = 12 * 1000,
    REQUEST_TIMEOUT_S = 2, /* who is slower is hung up on: this service serves one at a time */
    REQUEST_SIZE_MAX = 8192,
    HOST_SIZE = 200,
};

/* Listens on "HOST:PORT" and writes there which one it is, of which PORT may have been 0. */
static int listen_on(const char *text, char *ret_addr, size_t addr_size)
{
    char host[HOST_SIZE];
    char port[NI_MAXSERV];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon - text >= HOST_SIZE) {
        fprintf(stderr, "service: '%s': expected HOST:PORT\n", text);
        return -1;
    }
    size_t is_bracketed = text[0] == '[' && colon[-1] == ']'; /* [::1]:80 */
    snprintf(host, sizeof(host), "%.*s", (int)((size_t)(colon - text) - 2 * is_bracketed),
             text + is_bracketed);
    struct addrinfo *found;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int code = getaddrinfo(host[0] != '\0' ? host : NULL, colon + 1, &hints, &found);
    if (code != 0) {
        fprintf(stderr, "service: %s: %s\n", text, gai_strerror(code));
        return -1;
    }
    struct sockaddr_storage own;
    socklen_t own_size = sizeof(own);
    const int on = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &own_size) < 0 ||
        getnameinfo((struct sockaddr *)&own, own_size, NULL, 0, port, sizeof(port),
                    NI_NUMERICSERV) != 0) {
        fprintf(stderr, "service: cannot listen on %s: %s\n", text, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        fd = -1;
    } else {
        snprintf(ret_addr, addr_size, "%.*s:%s", (int)(colon - text), text, port);
    }
    freeaddrinfo(found);
    return fd;
}

/* Reads a request up to its empty line and answers with `body`. */
static void answer(int fd, const char *body)
{
    char request[REQUEST_SIZE_MAX + 1];
    char reply[512];
    size_t size = 0;
    const struct timeval timeout = {.tv_sec = REQUEST_TIMEOUT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    request[0] = '\0';
    while (strstr(request, "\r\n\r\n") == NULL && size < REQUEST_SIZE_MAX) {
        ssize_t got = recv(fd, request + size, REQUEST_SIZE_MAX - size, 0);
        if (got <= 0) {
            return;
        }
        size += (size_t)got;
        request[size] = '\0';
    }
    int length = snprintf(reply, sizeof(reply),
                          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                          "Connection: close\r\n\r\n%s",
                          strlen(body), body);
    if (send(fd, reply, (size_t)length, MSG_NOSIGNAL) == length) {
        (void)shutdown(fd, SHUT_WR); /* the client may be gone: nothing to be done about it */
    }
}

/* Answers until a signal comes. */
static void serve(int listener, int signals, const char *body)
{
    struct pollfd polled[] = {{.fd = listener, .events = POLLIN},
                              {.fd = signals, .events = POLLIN}};
    while (polled[1].revents == 0) {
        if (poll(polled, 2, -1) > 0 && polled[0].revents != 0) {
            int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0) {
                answer(fd, body);
                close(fd);
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: service GROUP ID HOST:PORT REGISTRIES [BIND]\n");
        return 2;
    }
    /* Before the registration, whose thread is to inherit this. */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);

    char addr[REGFAST_NAME_SIZE];
    int listener = listen_on(argv[3], addr, sizeof(addr));
    if (signals < 0 || listener < 0) {
        return 1;
    }
    char error[REGFAST_ERROR_SIZE];
    struct regfast_registration *registration;
    const struct regfast_register_options options = {
        .size = sizeof(options),
        .group = argv[1],
        .id = argv[2],
        .addr = addr,
        .registries = argv[4],
        .bind = argc == 6 ? argv[5] : NULL,
    };
    if (regfast_register(&options, &registration, error, sizeof(error)) < 0) {
        fprintf(stderr, "service: %s\n", error);
        return 1;
    }
    printf("%s of %s serves on %s\n", argv[2], argv[1], regfast_registration_addr(registration));
    fflush(stdout);

    char body[2 * REGFAST_NAME_SIZE];
    snprintf(body, sizeof(body), "%s of %s\n", argv[2], argv[1]);
    serve(listener, signals, body);

    int code = regfast_leave(registration, LEAVE_TIMEOUT_MS);
    if (code < 0) {
        fprintf(stderr, "service: leaving: %s\n", regfast_strerror(code));
    }
    regfast_registration_free(registration);
    close(listener);
    close(signals);
    return code < 0;
}
