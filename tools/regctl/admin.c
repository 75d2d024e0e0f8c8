/* SPDX-License-Identifier: MIT
 *
 * admin.c - regctl's side of the admin socket (tools/registry/ADMIN.md).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tools/regctl/regctl.h"

enum {
    /* Far above the longest reply, of a node for each member of a large cluster. */
    REPLY_SIZE_MAX = 64 << 20,
    READ_SIZE = 16 << 10,
};

struct reply {
    char *bytes;
    size_t used;
    size_t capacity;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits for `events`. Returns 0 or a negative code. */
static int wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = now_ms();
        struct pollfd pollfd = {.fd = fd, .events = events};
        int ready = now >= deadline_ms ? 0 : poll(&pollfd, 1, (int)(deadline_ms - now));
        if (ready > 0) {
            return 0;
        }
        if (ready == 0) {
            return -ETIMEDOUT;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

/* The kernel keeps who connects waiting while the registry has a command to do and others wait
 * already. */
static int connect_within(int fd, const struct sockaddr_un *address, uint64_t timeout_ms)
{
    const struct timeval timeout = {.tv_sec = (time_t)(timeout_ms / 1000),
                                    .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0) {
        return -errno;
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
    return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_socket(const char *path, uint64_t timeout_ms, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int code = connect_within(fd, &address, timeout_ms);
    if (code < 0) {
        (void)close(fd); /* nothing was written */
        return code;
    }
    *ret_fd = fd;
    return 0;
}

static int send_all(int fd, const char *bytes, size_t size, uint64_t deadline_ms)
{
    for (size_t sent = 0; sent < size;) {
        int code = wait_for(fd, POLLOUT, deadline_ms);
        if (code < 0) {
            return code;
        }
        ssize_t part = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);
        if (part < 0 && errno != EINTR && errno != EAGAIN) {
            return -errno;
        }
        sent += part > 0 ? (size_t)part : 0;
    }
    return 0;
}

static int reserve(struct reply *reply)
{
    if (reply->capacity - reply->used >= READ_SIZE) {
        return 0;
    }
    size_t capacity = 2 * reply->capacity + READ_SIZE;
    char *grown = capacity > REPLY_SIZE_MAX ? NULL : realloc(reply->bytes, capacity);
    if (grown == NULL) {
        return -ENOMEM;
    }
    reply->bytes = grown;
    reply->capacity = capacity;
    return 0;
}

/* Reads to the end of a line. */
static int receive_line(int fd, struct reply *reply, uint64_t deadline_ms)
{
    for (;;) {
        int code = reserve(reply);
        code = code < 0 ? code : wait_for(fd, POLLIN, deadline_ms);
        if (code < 0) {
            return code;
        }
        ssize_t part = recv(fd, reply->bytes + reply->used, READ_SIZE, 0);
        if (part == 0) {
            return -ECONNRESET;
        }
        if (part < 0 && errno != EINTR && errno != EAGAIN) {
            return -errno;
        }
        size_t before = reply->used;
        reply->used += part > 0 ? (size_t)part : 0;
        if (memchr(reply->bytes + before, '\n', reply->used - before) != NULL) {
            return 0;
        }
    }
}

static int exchange(const char *path, const char *line, uint64_t timeout_ms, struct reply *reply)
{
    uint64_t deadline_ms = now_ms() + timeout_ms;
    int fd;
    int code = open_socket(path, timeout_ms, &fd);
    if (code < 0) {
        return code;
    }
    code = send_all(fd, line, strlen(line), deadline_ms);
    code = code < 0 ? code : send_all(fd, "\n", 1, deadline_ms);
    code = code < 0 ? code : receive_line(fd, reply, deadline_ms);
    (void)close(fd); /* all is read */
    return code;
}

static int fail_exchange(const struct regctl_options *options, int code)
{
    const char *path = options->admin;
    switch (code) {
    case -ETIMEDOUT:
        return rf_regctl_fail(code, "admin socket '%s': no reply within %llu ms", path,
                              (unsigned long long)options->timeout_ms);
    case -ENOENT:
    case -ECONNREFUSED:
        return rf_regctl_fail(REGFAST_EUNAVAILABLE,
                              "admin socket '%s': no registry serves it (%s); -admin PATH as the "
                              "registry was started with",
                              path, strerror(-code));
    default:
        return rf_regctl_fail(code, "admin socket '%s': %s", path, strerror(-code));
    }
}

static int fail_reply(const json_t *reply)
{
    const json_t *error = json_object_get(reply, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *text = json_string_value(json_object_get(error, "text"));
    int status = rf_regctl_fail(-EIO, "%s", text != NULL ? text : "a reply that has no error text");
    const struct {
        const char *code;
        int status;
    } statuses[] = {{"invalid", REGCTL_USAGE},
                    {"not-found", REGCTL_NOT_FOUND},
                    {"unavailable", REGCTL_UNAVAILABLE}};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]) && code != NULL; i++) {
        status = strcmp(code, statuses[i].code) == 0 ? statuses[i].status : status;
    }
    return status;
}

int rf_regctl_admin_ask(const struct regctl_options *options, json_t *request, json_t **ret_result)
{
    if (options->admin == NULL) {
        json_decref(request);
        (void)rf_regctl_fail(-EINVAL,
                             "this goes through a registry's admin socket: -admin PATH, or "
                             "REGFAST_ADMIN in the environment");
        return REGCTL_USAGE;
    }
    char *line = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
    json_decref(request);
    struct reply bytes = {0};
    int code = line == NULL ? -ENOMEM : exchange(options->admin, line, options->timeout_ms, &bytes);
    free(line);
    json_error_t json_error;
    json_t *reply = code < 0
                        ? NULL
                        : json_loadb(bytes.bytes, bytes.used,
                                     JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &json_error);
    free(bytes.bytes);
    if (code < 0) {
        return fail_exchange(options, code);
    }
    json_t *result = json_object_get(reply, "result");
    int status = REGCTL_OK;
    if (json_is_object(result)) {
        *ret_result = json_incref(result);
    } else if (reply == NULL) {
        status = rf_regctl_fail(-EIO, "admin socket '%s': a reply that is no JSON: %s",
                                options->admin, json_error.text);
    } else {
        status = fail_reply(reply);
    }
    json_decref(reply);
    return status;
}
