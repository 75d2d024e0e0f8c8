/* SPDX-License-Identifier: MIT
 *
 * service.c - a web service that is a member of a group for as long as it runs:
 *
 *     service web web-1 10.0.3.7:8080 10.0.0.1:7370,10.0.0.2:7370
 *
 * It serves before it registers, so that nobody is sent to it in vain, with port 0 on a port that
 * is free. SIGTERM and SIGINT end it: it goes on serving until its keys have others, and leaves.
 *
 * Shown in regfast_register(3).
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <regfast.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    DRAIN_MS = 1500, /* clients hear within about a second that others have its keys */
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
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
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

struct service {
    int listener;
    char body[2 * REGFAST_NAME_SIZE];
};

/* A thread: answers until the listener is shut down. */
static void *serve(void *argument)
{
    const struct service *service = argument;
    int fd;
    while ((fd = accept(service->listener, NULL, NULL)) >= 0 || errno != EINVAL) {
        if (fd >= 0) {
            answer(fd, service->body);
            close(fd);
        }
    }
    return NULL;
}

/* Is a member of the group from here until a signal of `set` comes. */
static int be_member(const struct regfast_register_options *options, const sigset_t *set)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_registration *registration;
    int signal_number;
    int code = regfast_register(options, &registration, error, sizeof(error));
    if (code < 0) {
        fprintf(stderr, "service: %s\n", error);
        return code;
    }
    printf("%s of %s serves on %s\n", options->id, options->group,
           regfast_registration_addr(registration));
    fflush(stdout);
    sigwait(set, &signal_number);
    code = regfast_drain(registration, DRAIN_MS, LEAVE_TIMEOUT_MS);
    if (code < 0) {
        fprintf(stderr, "service: leaving: %s\n", regfast_strerror(code));
    }
    regfast_registration_free(registration);
    return code;
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: service GROUP ID HOST:PORT REGISTRIES [BIND]\n");
        return 2;
    }
    /* Before there are threads, which inherit it. */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);

    char addr[REGFAST_NAME_SIZE];
    struct service service;
    pthread_t thread;
    service.listener = listen_on(argv[3], addr, sizeof(addr));
    if (service.listener < 0) {
        return 1;
    }
    snprintf(service.body, sizeof(service.body), "%s of %s\n", argv[2], argv[1]);
    int code = pthread_create(&thread, NULL, serve, &service);
    if (code != 0) {
        fprintf(stderr, "service: cannot start a thread: %s\n", strerror(code));
        return 1;
    }
    const struct regfast_register_options options = {
        .size = sizeof(options),
        .group = argv[1],
        .id = argv[2],
        .addr = addr,
        .registries = argv[4],
        .bind = argc == 6 ? argv[5] : NULL,
    };
    code = be_member(&options, &set);
    shutdown(service.listener, SHUT_RD); /* ends the thread's wait */
    pthread_join(thread, NULL);
    close(service.listener);
    return code < 0;
}
