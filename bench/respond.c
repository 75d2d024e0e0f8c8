/* SPDX-License-Identifier: MIT */
#include "bench/respond.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/truth.h"
#include "core/address.h"
#include "core/wire.h"

enum {
    BACKLOG = 4096,
    OUTPUT_SIZE = 256 * 1024, /* replies in a row: more than any socket takes at once */
};

struct responder {
    const struct rf_bench_respond_config *config;
    struct rf_bench_io *io;
    uint8_t *output; /* the reply, again and again */
    size_t reply_size;
    size_t replies_count; /* in `output` */
    struct {
        uint64_t received; /* bytes that no reply was counted for yet */
        uint64_t owed;     /* replies to send */
        bool is_dirty;
    } * connections;
    uint32_t *dirty;
    uint32_t dirty_count, alive_count;
};

static int open_listener(const char *text, struct rf_error *err)
{
    struct rf_host_port host_port;
    struct rf_address address;
    struct sockaddr_storage sockaddr;
    int code = rf_host_port_parse_bind(text, 0, &host_port, err);
    if (code == 0) {
        code = rf_host_port_resolve(&host_port, &address, 1, err);
    }
    if (code < 0) {
        return code;
    }
    socklen_t size = rf_address_to_sockaddr(&address, &sockaddr);
    int fd = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (const struct sockaddr *)&sockaddr, size) < 0 || listen(fd, BACKLOG) < 0) {
        code = rf_error_set(err, -errno, "listen on %s: %s", text, rf_strerror(-errno));
        if (fd >= 0) {
            (void)close(fd); /* nothing to lose */
        }
        return code;
    }
    return fd;
}

/* So that it shows before anybody connects. */
static int try_engine(const struct rf_bench_respond_config *config, struct rf_error *err)
{
    struct rf_bench_io *io;
    int code = rf_bench_io_new(config->engine, config->connections, config->busy_poll, &io, err);
    if (code == 0) {
        rf_bench_io_free(io);
    }
    return code;
}

static int print_port(int listener, struct rf_error *err)
{
    struct sockaddr_storage sockaddr;
    socklen_t size = sizeof(sockaddr);
    struct rf_address address;
    if (getsockname(listener, (struct sockaddr *)&sockaddr, &size) < 0) {
        return rf_error_set(err, -errno, "own port: %s", rf_strerror(-errno));
    }
    rf_address_from_sockaddr((const struct sockaddr *)&sockaddr, &address);
    (void)printf("port=%u\n", address.port);
    return fflush(stdout) == 0 ? 0 : rf_error_set(err, -EIO, "cannot print the port");
}

static void send_owed(struct responder *responder, uint32_t index)
{
    while (responder->connections[index].owed > 0 &&
           !rf_bench_io_is_sending(responder->io, index)) {
        uint64_t count = responder->connections[index].owed;
        if (count > responder->replies_count) {
            count = responder->replies_count;
        }
        responder->connections[index].owed -= count;
        rf_bench_io_send(responder->io, index, responder->output, count * responder->reply_size);
    }
}

static void mark(struct responder *responder, uint32_t index)
{
    if (!responder->connections[index].is_dirty) {
        responder->connections[index].is_dirty = true;
        responder->dirty[responder->dirty_count++] = index;
    }
}

static void handle(struct responder *responder, const struct rf_bench_event *event)
{
    uint64_t request_size = responder->config->request_size;
    uint64_t *received = &responder->connections[event->index].received;
    switch (event->type) {
    case RF_BENCH_RECEIVED:
        *received += event->size;
        responder->connections[event->index].owed += *received / request_size;
        *received %= request_size;
        mark(responder, event->index);
        break;
    case RF_BENCH_SENT:
        mark(responder, event->index);
        break;
    case RF_BENCH_CLOSED:
        responder->connections[event->index].owed = 0;
        responder->alive_count--;
        break;
    }
}

static int serve(struct responder *responder, struct rf_error *err)
{
    while (responder->alive_count > 0) {
        int code = rf_bench_io_wait(responder->io, UINT64_MAX);
        if (code < 0) {
            return rf_error_set(err, code, "waiting: %s", rf_strerror(code));
        }
        struct rf_bench_event event;
        while (rf_bench_io_next(responder->io, &event)) {
            handle(responder, &event);
        }
        for (uint32_t i = 0; i < responder->dirty_count; i++) {
            responder->connections[responder->dirty[i]].is_dirty = false;
            send_owed(responder, responder->dirty[i]);
        }
        responder->dirty_count = 0;
    }
    return 0;
}

static int accept_all(struct responder *responder, int listener, struct rf_error *err)
{
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < responder->config->connections; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return rf_error_set(err, -errno, "accept: %s", rf_strerror(-errno));
        }
        const int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* cannot fail on TCP */
        code = rf_bench_io_add(responder->io, i, fd, err);
        responder->alive_count++;
    }
    return code;
}

static int serve_once(struct responder *responder, int listener, struct rf_error *err)
{
    const struct rf_bench_respond_config *config = responder->config;
    memset(responder->connections, 0, config->connections * sizeof(*responder->connections));
    responder->alive_count = 0;
    responder->dirty_count = 0;
    int code = rf_bench_io_new(config->engine, config->connections, config->busy_poll,
                               &responder->io, err);
    if (code < 0) {
        return code;
    }
    code = accept_all(responder, listener, err);
    if (code == 0) {
        code = serve(responder, err);
    }
    rf_bench_io_free(responder->io);
    return code;
}

static int make_output(struct responder *responder, struct rf_error *err)
{
    size_t size_max = OUTPUT_SIZE + RF_WIRE_REPLY_SIZE_MAX;
    responder->output = malloc(size_max);
    if (responder->output == NULL) {
        return rf_error_set(err, -ENOMEM, "%zu bytes of replies: out of memory", size_max);
    }
    responder->reply_size =
        rf_bench_ceiling_reply(responder->output, size_max, responder->config->keys_per_request);
    if (responder->reply_size == 0) {
        return rf_error_set(err, -EINVAL, "replies of %u keys do not fit",
                            responder->config->keys_per_request);
    }
    responder->replies_count = size_max / responder->reply_size;
    for (size_t i = 1; i < responder->replies_count; i++) {
        memcpy(responder->output + i * responder->reply_size, responder->output,
               responder->reply_size);
    }
    return 0;
}

int rf_bench_respond(const struct rf_bench_respond_config *config, struct rf_error *err)
{
    struct responder responder = {.config = config};
    if (config->connections < 1 || config->request_size < 1) {
        return rf_error_set(err, -EINVAL, "%u connections, requests of %u bytes: allowed 1..",
                            config->connections, config->request_size);
    }
    int listener = open_listener(config->listen, err);
    if (listener < 0) {
        return listener;
    }
    int code = make_output(&responder, err);
    responder.connections = calloc(config->connections, sizeof(*responder.connections));
    responder.dirty = calloc(config->connections, sizeof(*responder.dirty));
    if (code == 0 && (responder.connections == NULL || responder.dirty == NULL)) {
        code = rf_error_set(err, -ENOMEM, "%u connections: out of memory", config->connections);
    }
    if (code == 0) {
        code = try_engine(config, err);
    }
    if (code == 0) {
        code = print_port(listener, err);
    }
    while (code == 0) {
        code = serve_once(&responder, listener, err);
    }
    (void)close(listener); /* nothing to lose */
    free(responder.output);
    free(responder.connections);
    free(responder.dirty);
    return code;
}
