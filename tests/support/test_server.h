/* SPDX-License-Identifier: MIT
 *
 * test_server.h - a server on a free port of 127.0.0.1 with a sample catalog, and a plain blocking
 * client for it. The engine is the program's argument: "uring", "uring-plain", "epoll".
 */
#ifndef RF_TESTS_SUPPORT_TEST_SERVER_H
#define RF_TESTS_SUPPORT_TEST_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/publish.h"
#include "core/wire.h"
#include "net/engine.h"
#include "net/server.h"
#include "tests/support/sample_catalog.h"

enum {
    TEST_TIMEOUT_MS = 60 * 1000, /* for what takes milliseconds: only a hang gets here */
};

struct test_server {
    struct rf_publisher publisher;
    struct rf_server_config config;
    struct rf_server *server;
};

static enum rf_io test_io;
static unsigned test_features_off;

/* Exits with 77 where the engine is not to be had. */
static inline void test_choose_engine(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "epoll";
    if (strcmp(name, "epoll") == 0) {
        test_io = RF_IO_EPOLL;
        return;
    }
    test_io = RF_IO_URING;
    test_features_off = strcmp(name, "uring-plain") == 0 ? RF_ENGINE_FEATURES_ALL : 0;
    unsigned features;
    struct rf_error err;
    if (rf_engine_uring_probe(test_features_off, &features, &err) < 0) {
        printf("skipped: %s\n", err.text);
        exit(77);
    }
}

static inline uint64_t test_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void test_sleep_ms(unsigned ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

static inline void test_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    abort();
}

/* Runs what changes the whole process in a child; returns its exit code. */
static inline int test_in_child(int (*run)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        _exit(run());
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        test_fail("a child of the test");
    }
    return WEXITSTATUS(status);
}

/* Set what differs from the defaults in `server->config` before; `workers` is 2 unless set. */
static inline void test_server_start(struct test_server *server)
{
    struct rf_error err;
    rf_publisher_init(&server->publisher, &sample_catalog()->published);
    server->config.addr = "127.0.0.1:0";
    server->config.io = test_io;
    server->config.io_features_off = test_features_off;
    server->config.workers = server->config.workers == 0 ? 2 : server->config.workers;
    server->config.publisher = &server->publisher;
    server->config.version = "test";
    server->config.node_id = "node-1";
    if (rf_server_start(&server->config, &server->server, &err) < 0) {
        fprintf(stderr, "server: %s\n", err.text);
        abort();
    }
}

static inline void test_server_end(struct test_server *server)
{
    rf_server_free(server->server);
    rf_publisher_fini(&server->publisher);
}

/* A connected socket, or -1 with errno. `receive_size` > 0: of the receive buffer. */
static inline int test_try_connect(const struct test_server *server, int receive_size)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(rf_server_port(server->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    struct timeval timeout = {TEST_TIMEOUT_MS / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (receive_size > 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_size, sizeof(receive_size));
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static inline void test_send(int fd, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            test_fail("send");
        }
        at += sent;
        size -= (size_t)sent;
    }
}

/* Waits until the server's kernel has acknowledged all that was sent: it is received by then.
 * Before that it may still be this end's, waiting for an acknowledgement (Nagle) or for a softirq.
 */
static inline void test_wait_received(int fd)
{
    int waiting = 1;
    uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS;
    while (ioctl(fd, TIOCOUTQ, &waiting) == 0 && waiting > 0) {
        if (test_now_ms() > end_ms) {
            test_fail("bytes are not acknowledged");
        }
        test_sleep_ms(1);
    }
}

/* A connection that has sent its preface. */
static inline int test_connect(const struct test_server *server)
{
    int fd = test_try_connect(server, 0);
    if (fd < 0) {
        test_fail("connect");
    }
    test_send(fd, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    return fd;
}

/* Receives exactly `size` bytes; false: the peer closed or reset before. */
static inline bool test_receive(int fd, void *data, size_t size)
{
    uint8_t *at = data;
    while (size > 0) {
        ssize_t received = recv(fd, at, size, 0);
        if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            test_fail("no bytes came");
        }
        if (received <= 0) {
            return false;
        }
        at += received;
        size -= (size_t)received;
    }
    return true;
}

/* The next reply's header; its payload, at most `size_max` bytes, into `payload`. */
static inline bool test_receive_reply(int fd, struct rf_wire_header *ret_header, void *payload,
                                      size_t size_max)
{
    uint8_t header[RF_WIRE_HEADER_SIZE];
    if (!test_receive(fd, header, sizeof(header))) {
        return false;
    }
    *ret_header = rf_wire_header_load(header);
    if (ret_header->payload_size > size_max) {
        fprintf(stderr, "a reply of %u bytes\n", ret_header->payload_size);
        abort();
    }
    return test_receive(fd, payload, ret_header->payload_size);
}

/* Whether the peer has ended the connection in good order: no byte, no reset. */
static inline bool test_is_ended(int fd)
{
    uint8_t byte;
    ssize_t received = recv(fd, &byte, 1, 0);
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        test_fail("the connection did not end");
    }
    return received == 0;
}

/* One MATCH and its reply; returns the status, -1: no reply. */
static inline int test_match(int fd, const char *group, const char *key)
{
    uint8_t frame[1024];
    uint8_t payload[1024];
    struct rf_wire_header header;
    size_t size = rf_wire_match_request_encode(frame, sizeof(frame), 7,
                                               (struct rf_wire_bytes){group, strlen(group)},
                                               (struct rf_wire_bytes){key, strlen(key)});
    if (send(fd, frame, size, MSG_NOSIGNAL) != (ssize_t)size ||
        !test_receive_reply(fd, &header, payload, sizeof(payload))) {
        return -1;
    }
    return header.status;
}

/* A number that INFO tells, asked on a connection of its own. */
static inline uint64_t test_info(const struct test_server *server, const char *name)
{
    static uint8_t payload[RF_WIRE_PAGE_SIZE_MAX];
    uint8_t frame[64];
    struct rf_wire_header header;
    struct rf_wire_info_reply reply;
    struct rf_wire_info entry;
    int fd = test_connect(server);
    test_send(fd, frame, rf_wire_info_request_encode(frame, sizeof(frame), 1));
    if (!test_receive_reply(fd, &header, payload, sizeof(payload)) ||
        rf_wire_info_reply_decode(payload, header.payload_size, &reply, NULL) < 0) {
        test_fail("info");
    }
    close(fd);
    while (rf_wire_info_next(&reply.entries, &entry)) {
        if (entry.name.size == strlen(name) && memcmp(entry.name.data, name, strlen(name)) == 0) {
            return rf_load_le64(entry.value.data);
        }
    }
    fprintf(stderr, "info has no %s\n", name);
    abort();
}

/* Waits until a number of INFO is at least `value`. */
static inline bool test_info_reaches(const struct test_server *server, const char *name,
                                     uint64_t value)
{
    uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS;
    while (test_info(server, name) < value) {
        if (test_now_ms() > end_ms) {
            return false;
        }
        test_sleep_ms(10);
    }
    return true;
}

#endif
