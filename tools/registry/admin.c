/* SPDX-License-Identifier: MIT */
#include "tools/registry/admin.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/text.h"
#include "tools/registry/admin_socket.h"

enum {
    ACCEPT_PAUSE_MS = 1000, /* without descriptors or memory: their owners need some time */
    FD_STOP = 0,
    FD_LISTEN = 1,
    FD_FIRST = 2, /* of the connections */
};

struct connection {
    int fd; /* -1: free */
    uint64_t deadline_ms;
    size_t used;                       /* of `line` */
    char line[RF_ADMIN_LINE_SIZE_MAX]; /* what was read and not handled yet */
    char *reply;                       /* NULL: none waits */
    size_t reply_size;
    size_t reply_sent;
    bool is_last; /* close when the reply is written */
};

struct rf_admin {
    struct rf_admin_config config;
    struct rf_admin_socket socket;
    void *context;
    int stop_fd;
    pthread_t thread;
    bool has_thread;
    uint64_t accept_at_ms; /* the listener is not looked at before */
    struct connection connections[RF_ADMIN_CONNECTIONS_MAX];
};

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- requests and replies ---- */

/* The four that a client can tell apart; regctl exits with 1, 2, 3 or 4 for them. */
static const char *code_name(int code)
{
    switch (code) {
    case -EINVAL:
        return "invalid";
    case RF_ENOTFOUND:
    case -ENODATA:
        return "not-found";
    case RF_EUNAVAILABLE:
    case -ETIMEDOUT:
    case -ESHUTDOWN:
        return "unavailable";
    default:
        return "failed";
    }
}

/* A JSON string of a text that may hold any bytes. */
static json_t *json_text(const char *text)
{
    json_t *string = json_string(text);
    return string != NULL ? string : json_string("(text that is no UTF-8)");
}

static json_t *error_object(int code, const struct rf_error *err)
{
    return json_pack("{s:{s:s, s:o}}", "error", "code", code_name(code), "text",
                     json_text(err->text[0] != '\0' ? err->text : rf_strerror(code)));
}

static const struct rf_admin_command *find_command(const struct rf_admin_config *config,
                                                   const char *name)
{
    for (size_t i = 0; i < config->commands_count; i++) {
        if (strcmp(config->commands[i].name, name) == 0) {
            return &config->commands[i];
        }
    }
    return NULL;
}

static int unknown_command(const struct rf_admin_config *config, const char *name,
                           struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    char known[RF_ERROR_TEXT_SIZE / 2] = "";
    for (size_t i = 0, used = 0; i < config->commands_count && used < sizeof(known); i++) {
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "",
                                 config->commands[i].name);
    }
    return rf_error_set(err, -EINVAL, "unknown command %s; known are: %s",
                        rf_text_quote(name, quoted), known);
}

static int run_command(const struct rf_admin *admin, const struct connection *connection,
                       json_t *request, json_t **ret_result, struct rf_error *err)
{
    const struct rf_admin_config *config = &admin->config;
    const char *name = json_string_value(json_object_get(request, "command"));
    if (name == NULL) {
        return rf_error_set(err, -EINVAL, "request: no string 'command' in it");
    }
    const struct rf_admin_command *command = find_command(config, name);
    if (command == NULL) {
        return unknown_command(config, name, err);
    }
    int code = command->run(admin->context, request, ret_result, err);
    rf_text_clean(err->text);
    struct ucred peer = {0};
    socklen_t peer_size = sizeof(peer);
    (void)getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size); /* or zeroes */
    rf_log(&config->log, command->is_change ? RF_LOG_INFO : RF_LOG_DEBUG,
           "admin command=%s uid=%ld pid=%ld result=%s%s%s%s", command->name, (long)peer.uid,
           (long)peer.pid, code < 0 ? code_name(code) : "ok", code < 0 ? " error=\"" : "",
           code < 0 ? err->text : "", code < 0 ? "\"" : "");
    return code;
}

/* The reply to a line, which has `size` bytes without its newline. */
static json_t *handle_line(const struct rf_admin *admin, const struct connection *connection,
                           const char *line, size_t size)
{
    struct rf_error err = {0};
    json_error_t json_error;
    json_t *result = NULL;
    int code;
    json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, &json_error);
    if (!json_is_object(request)) {
        code = rf_error_set(&err, -EINVAL, "request: %s",
                            request != NULL ? "no JSON object" : json_error.text);
    } else {
        code = run_command(admin, connection, request, &result, &err);
    }
    json_decref(request);
    if (code >= 0 && result == NULL) {
        code = rf_error_set(&err, -ENOMEM, "no memory for the result");
    }
    return code < 0 ? error_object(code, &err) : json_pack("{s:o}", "result", result);
}

/* ---- connections ---- */

static void connection_close(struct connection *connection)
{
    (void)close(connection->fd); /* the client has its reply or wants none */
    connection->fd = -1;
    free(connection->reply);
    connection->reply = NULL;
    connection->used = 0;
}

/* Takes the reply; without memory for it the connection ends. */
static void reply_set(struct connection *connection, uint32_t write_ms, json_t *reply)
{
    char *text = reply == NULL ? NULL : json_dumps(reply, JSON_COMPACT);
    json_decref(reply);
    size_t size = text == NULL ? 0 : strlen(text);
    char *bytes = text == NULL ? NULL : malloc(size + 1);
    if (bytes == NULL) {
        free(text);
        connection_close(connection);
        return;
    }
    memcpy(bytes, text, size);
    bytes[size] = '\n';
    free(text);
    connection->reply = bytes;
    connection->reply_size = size + 1;
    connection->reply_sent = 0;
    connection->deadline_ms = now_ms() + write_ms;
}

static void reply_error(struct connection *connection, int code, const char *format, ...)
    RF_PRINTF(3, 4);

static void reply_error(struct connection *connection, int code, const char *format, ...)
{
    struct rf_error err = {.code = code};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err.text, sizeof(err.text), format, args); /* a cut text is still a text */
    va_end(args);
    connection->is_last = true;
    reply_set(connection, RF_ADMIN_WRITE_MS, error_object(code, &err));
}

/* Writes what there is room for. */
static void reply_write(struct connection *connection, uint32_t idle_ms)
{
    while (connection->reply != NULL) {
        ssize_t sent =
            send(connection->fd, connection->reply + connection->reply_sent,
                 connection->reply_size - connection->reply_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno == EAGAIN) {
            return;
        }
        if (sent < 0) {
            connection_close(connection); /* the client has gone */
            return;
        }
        connection->reply_sent += (size_t)sent;
        if (connection->reply_sent == connection->reply_size) {
            free(connection->reply);
            connection->reply = NULL;
            connection->deadline_ms = now_ms() + idle_ms;
        }
    }
    if (connection->is_last) {
        connection_close(connection);
    }
}

/* Handles the lines that are there, one after the other, each when the reply before is written. */
static void lines_handle(const struct rf_admin *admin, struct connection *connection)
{
    while (connection->fd >= 0 && connection->reply == NULL) {
        char *end = memchr(connection->line, '\n', connection->used);
        if (end == NULL && connection->used == sizeof(connection->line)) {
            reply_error(connection, -EINVAL, "request: a line of more than %d bytes",
                        RF_ADMIN_LINE_SIZE_MAX - 1);
        } else if (end == NULL) {
            return;
        } else {
            size_t size = (size_t)(end - connection->line);
            json_t *reply = handle_line(admin, connection, connection->line, size);
            connection->used -= size + 1;
            memmove(connection->line, end + 1, connection->used);
            reply_set(connection, admin->config.write_ms, reply);
        }
        if (connection->fd >= 0) {
            reply_write(connection, admin->config.idle_ms);
        }
    }
}

static void connection_read(const struct rf_admin *admin, struct connection *connection)
{
    ssize_t size = recv(connection->fd, connection->line + connection->used,
                        sizeof(connection->line) - connection->used, MSG_DONTWAIT);
    if (size > 0) {
        connection->used += (size_t)size;
        lines_handle(admin, connection);
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        connection_close(connection);
    }
}

static void connection_ready(const struct rf_admin *admin, struct connection *connection)
{
    if (connection->reply == NULL) {
        connection_read(admin, connection);
        return;
    }
    reply_write(connection, admin->config.idle_ms);
    lines_handle(admin, connection);
}

static void connection_refuse(int fd)
{
    struct connection connection = {.fd = fd};
    reply_error(&connection, RF_EUNAVAILABLE, "%d connections are open, allowed are no more",
                RF_ADMIN_CONNECTIONS_MAX);
    if (connection.fd >= 0) {
        reply_write(&connection,
                    RF_ADMIN_IDLE_MS); /* fits into an empty socket's buffer, and closes it then */
    }
    if (connection.fd >= 0) {
        connection_close(&connection);
    }
}

static struct connection *free_connection(struct rf_admin *admin)
{
    for (size_t i = 0; i < RF_ADMIN_CONNECTIONS_MAX; i++) {
        if (admin->connections[i].fd < 0) {
            return &admin->connections[i];
        }
    }
    return NULL;
}

static void listener_ready(struct rf_admin *admin)
{
    int fd = accept4(admin->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            admin->accept_at_ms = now_ms() + ACCEPT_PAUSE_MS;
        }
        return; /* others are about a client that has gone */
    }
    struct connection *connection = free_connection(admin);
    if (connection == NULL) {
        connection_refuse(fd);
        return;
    }
    connection->fd = fd;
    connection->used = 0;
    connection->is_last = false;
    connection->deadline_ms = now_ms() + admin->config.idle_ms;
}

/* ---- the thread ---- */

/* Returns how long to wait for the first deadline, -1: for ever. */
static int poll_timeout_ms(const struct rf_admin *admin)
{
    uint64_t now = now_ms();
    uint64_t next_ms = admin->accept_at_ms > now ? admin->accept_at_ms : UINT64_MAX;
    for (size_t i = 0; i < RF_ADMIN_CONNECTIONS_MAX; i++) {
        const struct connection *connection = &admin->connections[i];
        if (connection->fd >= 0 && connection->deadline_ms < next_ms) {
            next_ms = connection->deadline_ms;
        }
    }
    if (next_ms == UINT64_MAX) {
        return -1;
    }
    return next_ms <= now ? 0 : (int)(next_ms - now);
}

/* Who is overdue but has written meanwhile has waited for us, not we for them. */
static void connections_serve(struct rf_admin *admin, const struct pollfd *fds)
{
    uint64_t polled_ms = now_ms();
    for (size_t i = 0; i < RF_ADMIN_CONNECTIONS_MAX; i++) {
        struct connection *connection = &admin->connections[i];
        if (connection->fd < 0) {
            continue;
        }
        if (fds[i].revents != 0) {
            connection_ready(admin, connection);
        } else if (connection->deadline_ms <= polled_ms) {
            connection_close(connection);
        }
    }
}

static void *serve(void *context)
{
    struct rf_admin *admin = context;
    (void)pthread_setname_np(pthread_self(), "rf-admin"); /* for people */
    for (;;) {
        struct pollfd fds[FD_FIRST + RF_ADMIN_CONNECTIONS_MAX] = {
            [FD_STOP] = {.fd = admin->stop_fd, .events = POLLIN},
            [FD_LISTEN] = {.fd = admin->accept_at_ms > now_ms() ? -1 : admin->socket.fd,
                           .events = POLLIN}};
        for (size_t i = 0; i < RF_ADMIN_CONNECTIONS_MAX; i++) {
            const struct connection *connection = &admin->connections[i];
            fds[FD_FIRST + i] = (struct pollfd){
                .fd = connection->fd, .events = connection->reply == NULL ? POLLIN : POLLOUT};
        }
        int ready = poll(fds, sizeof(fds) / sizeof(fds[0]), poll_timeout_ms(admin));
        if (ready < 0) {
            RF_ASSERT(errno == EINTR || errno == ENOMEM);
            continue;
        }
        if (fds[FD_STOP].revents != 0) {
            return NULL;
        }
        connections_serve(admin, fds + FD_FIRST);
        if (fds[FD_LISTEN].revents != 0) {
            listener_ready(admin);
        }
    }
}

int rf_admin_new(const struct rf_admin_config *config, struct rf_admin **ret_admin,
                 struct rf_error *err)
{
    struct rf_admin *admin = calloc(1, sizeof(*admin));
    if (admin == NULL) {
        return rf_error_set(err, -ENOMEM, "admin socket: out of memory");
    }
    admin->config = *config;
    admin->config.path = NULL; /* the socket has a copy */
    if (config->idle_ms == 0) {
        admin->config.idle_ms = RF_ADMIN_IDLE_MS;
    }
    if (config->write_ms == 0) {
        admin->config.write_ms = RF_ADMIN_WRITE_MS;
    }
    for (size_t i = 0; i < RF_ADMIN_CONNECTIONS_MAX; i++) {
        admin->connections[i].fd = -1;
    }
    admin->stop_fd = eventfd(0, EFD_CLOEXEC);
    int code = admin->stop_fd < 0
                   ? rf_error_set(err, -errno, "admin socket: eventfd: %s", strerror(errno))
                   : rf_admin_socket_open(config->path, &admin->socket, err);
    if (code < 0) {
        if (admin->stop_fd >= 0) {
            (void)close(admin->stop_fd); /* an eventfd has nothing to lose */
        }
        free(admin);
        return code;
    }
    *ret_admin = admin;
    return 0;
}

int rf_admin_start(struct rf_admin *admin, void *context, struct rf_error *err)
{
    RF_ASSERT(!admin->has_thread);
    admin->context = context;
    int code = pthread_create(&admin->thread, NULL, serve, admin);
    if (code != 0) {
        return rf_error_set(err, -code, "admin thread: %s", strerror(code));
    }
    admin->has_thread = true;
    return 0;
}

void rf_admin_free(struct rf_admin *admin)
{
    if (admin == NULL) {
        return;
    }
    if (admin->has_thread) {
        int code = eventfd_write(admin->stop_fd, 1);
        RF_ASSERT(code == 0);
        code = pthread_join(admin->thread, NULL);
        RF_ASSERT(code == 0);
    }
    rf_admin_socket_close(&admin->socket);
    for (size_t i = 0; i < RF_ADMIN_CONNECTIONS_MAX; i++) {
        if (admin->connections[i].fd >= 0) {
            connection_close(&admin->connections[i]);
        }
    }
    (void)close(admin->stop_fd); /* an eventfd has nothing to lose */
    free(admin);
}

int rf_admin_check_text(const char *command, const char *what, const char *text,
                        struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    if (text[0] == '\0' || !rf_text_is_clean(text)) {
        return rf_error_set(err, -EINVAL, "%s: %s %s is %s", command, what,
                            rf_text_quote(text, quoted),
                            text[0] == '\0' ? "empty" : "not without control characters");
    }
    return 0;
}
