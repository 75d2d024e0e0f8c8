/* SPDX-License-Identifier: MIT */
#include "bench/strangers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/io.h"
#include "bench/load.h"
#include "core/address.h"
#include "core/wire.h"

enum {
    DESCRIPTORS_SPARE =
        256,       /* of this process, and of the server's connections that are measured */
    BATCH = 64,    /* readiness events taken at once */
    TICK_MS = 1,   /* trickles are shared out over a second's ticks: no burst of them is long */
    STOP_MS = 100, /* how soon it ends, where nothing trickles */
    TICKS = 1000 / TICK_MS,
    ASKED_SIZE = 4096, /* requests of the deaf, sent over and over */
    REQUEST_SIZE_MAX = 512,
    /* Of their own ends: on another machine that memory would not be the server's, here it would
     * count against what the kernel has for all of TCP. */
    SOCKET_BUFFER_SIZE = 16 * 1024,
    FIRST_HOST = 2, /* 127.0.0.2: those that are measured have .1 */
};

enum kind { KIND_IDLE, KIND_DEAF, KIND_WATCH, KIND_TRICKLE };

struct stranger {
    int fd;
    enum kind kind;
    size_t at; /* bytes of its requests sent, modulo their size */
};

struct rf_bench_strangers {
    struct stranger *all;
    uint32_t count;
    uint32_t watch_first;   /* those from there on watch */
    uint32_t trickle_first; /* those from there on trickle */
    struct rf_address server;
    struct rf_bench_told *told;
    const struct rf_bench_crowd *crowd;
    uint8_t watch[RF_WIRE_PREFACE_SIZE + REQUEST_SIZE_MAX]; /* what a watcher says */
    size_t watch_size;
    uint8_t asked[ASKED_SIZE]; /* whole requests */
    size_t asked_size;
    int epoll_fd;
    pthread_t thread;
    bool has_thread;
    _Atomic(bool) is_stopping;
    _Atomic(uint64_t) closed_count;
};

/* ---- one connection ---- */

/* Binds those beside a loopback server to an address of their own. */
static int choose_source(const struct rf_bench_strangers *strangers, uint32_t index, int fd)
{
    struct sockaddr_storage sockaddr;
    (void)rf_address_to_sockaddr(&strangers->server, &sockaddr);
    const struct sockaddr_in *server = (const struct sockaddr_in *)&sockaddr;
    if (sockaddr.ss_family != AF_INET || ntohl(server->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET) {
        return 0;
    }
    const int on = 1; /* or the port would be taken from all addresses */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr =
        htonl(INADDR_LOOPBACK - 1 + FIRST_HOST + index / RF_BENCH_STRANGERS_PER_ADDRESS);
    return bind(fd, (const struct sockaddr *)&source, sizeof(source)) < 0 ? -errno : 0;
}

/* Returns 0 or a negative errno. */
static int open_stranger(struct rf_bench_strangers *strangers, uint32_t index)
{
    struct stranger *stranger = &strangers->all[index];
    struct sockaddr_storage sockaddr;
    socklen_t size = rf_address_to_sockaddr(&strangers->server, &sockaddr);
    int fd = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    stranger->fd = fd;
    stranger->at = 0;
    const int buffer_size = SOCKET_BUFFER_SIZE;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_size, sizeof(buffer_size));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_size, sizeof(buffer_size));
    int code = choose_source(strangers, index, fd);
    if (code == 0 && connect(fd, (const struct sockaddr *)&sockaddr, size) < 0) {
        code = -errno;
    }
    bool watches = stranger->kind == KIND_WATCH;
    if (watches) {
        rf_bench_told_restart(strangers->told, index - strangers->watch_first);
    }
    if (code == 0 &&
        send(fd, strangers->watch, watches ? strangers->watch_size : (size_t)RF_WIRE_PREFACE_SIZE,
             MSG_NOSIGNAL) < 0) {
        code = -errno;
    }
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.u32 = index};
    event.events |= stranger->kind == KIND_DEAF ? (uint32_t)EPOLLOUT : (uint32_t)EPOLLIN;
    if (code == 0 && epoll_ctl(strangers->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        code = -errno;
    }
    return code;
}

/* By a reset: nothing lingers, on no side. */
static void close_stranger(struct stranger *stranger)
{
    if (stranger->fd >= 0) {
        const struct linger at_once = {.l_onoff = 1};
        (void)setsockopt(stranger->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        (void)close(stranger->fd);
        stranger->fd = -1;
    }
}

/* Sends `size` bytes of its requests at most. False: all that is taken for now. */
static bool send_some(const struct rf_bench_strangers *strangers, struct stranger *stranger,
                      size_t size)
{
    size_t left = strangers->asked_size - stranger->at;
    ssize_t sent = send(stranger->fd, strangers->asked + stranger->at, size < left ? size : left,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        stranger->at = (stranger->at + (size_t)sent) % strangers->asked_size;
    }
    return sent > 0;
}

/* What a watcher is told is looked at, all else is dropped. */
static void receive(struct rf_bench_strangers *strangers, uint32_t index)
{
    const struct stranger *stranger = &strangers->all[index];
    uint8_t data[16 * 1024];
    ssize_t size = sizeof(data);
    while (size == (ssize_t)sizeof(data)) {
        size = recv(stranger->fd, data, sizeof(data), MSG_DONTWAIT);
        if (size > 0 && stranger->kind == KIND_WATCH) {
            rf_bench_told_receive(strangers->told, index - strangers->watch_first, data,
                                  (size_t)size, rf_bench_now_ns(),
                                  rf_bench_crowd_changed_ns(strangers->crowd));
        }
    }
}

/* ---- the thread ---- */

static void on_event(struct rf_bench_strangers *strangers, const struct epoll_event *event)
{
    struct stranger *stranger = &strangers->all[event->data.u32];
    if ((event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        atomic_fetch_add(&strangers->closed_count, 1);
        close_stranger(stranger);
        if (open_stranger(strangers, event->data.u32) < 0) {
            close_stranger(stranger); /* one less */
        }
        return;
    }
    if ((event->events & EPOLLIN) != 0) {
        receive(strangers, event->data.u32);
    }
    if ((event->events & EPOLLOUT) != 0) {
        while (send_some(strangers, stranger, ASKED_SIZE)) {
        }
    }
}

/* One byte for each trickle whose turn it is. */
static void trickle(struct rf_bench_strangers *strangers, uint32_t tick)
{
    for (uint32_t i = strangers->trickle_first + tick % TICKS; i < strangers->count; i += TICKS) {
        if (strangers->all[i].fd >= 0) {
            (void)send_some(strangers, &strangers->all[i], 1);
        }
    }
}

static void *run(void *argument)
{
    struct rf_bench_strangers *strangers = argument;
    struct epoll_event events[BATCH];
    uint64_t tick_ns = rf_bench_now_ns();
    uint32_t tick = 0;
    const int timeout_ms = strangers->trickle_first < strangers->count ? TICK_MS : STOP_MS;
    while (!atomic_load(&strangers->is_stopping)) {
        int count = epoll_wait(strangers->epoll_fd, events, BATCH, timeout_ms);
        for (int i = 0; i < count; i++) {
            on_event(strangers, &events[i]);
        }
        if (rf_bench_now_ns() >= tick_ns) {
            tick_ns += (uint64_t)TICK_MS * 1000000;
            trickle(strangers, tick++);
        }
    }
    return NULL;
}

/* ---- begin and end ---- */

static int check_descriptors(uint32_t count, struct rf_error *err)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit); /* cannot fail with this one */
    if (limit.rlim_cur < count + DESCRIPTORS_SPARE) {
        return rf_error_set(err, -EMFILE,
                            "%u connections more need a limit of %u open files, it is %llu: raise "
                            "it (ulimit -n), here and for the server",
                            count, count + DESCRIPTORS_SPARE, (unsigned long long)limit.rlim_cur);
    }
    return 0;
}

static void fill_asked(struct rf_bench_strangers *strangers, const char *group)
{
    uint8_t request[REQUEST_SIZE_MAX];
    size_t size = rf_wire_members_request_encode(request, sizeof(request), 1,
                                                 (struct rf_wire_bytes){group, strlen(group)},
                                                 (struct rf_wire_bytes){"", 0});
    while (size > 0 && strangers->asked_size + size <= ASKED_SIZE) {
        memcpy(strangers->asked + strangers->asked_size, request, size);
        strangers->asked_size += size;
    }
}

static void fill_watch(struct rf_bench_strangers *strangers, const char *group)
{
    const struct rf_wire_watch_request request = {.group = {group, strlen(group)}};
    memcpy(strangers->watch, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    strangers->watch_size =
        RF_WIRE_PREFACE_SIZE + rf_wire_watch_request_encode(strangers->watch + RF_WIRE_PREFACE_SIZE,
                                                            REQUEST_SIZE_MAX, 1, &request);
}

static int connect_all(struct rf_bench_strangers *strangers,
                       const struct rf_bench_strangers_config *config, struct rf_error *err)
{
    for (uint32_t i = 0; i < strangers->count; i++) {
        strangers->all[i].kind = i < config->idle               ? KIND_IDLE
                                 : i < strangers->watch_first   ? KIND_DEAF
                                 : i < strangers->trickle_first ? KIND_WATCH
                                                                : KIND_TRICKLE;
        int code = open_stranger(strangers, i);
        if (code < 0) {
            return rf_error_set(err, code, "%s: connection %u of %u: %s", config->server, i + 1,
                                strangers->count, rf_strerror(code));
        }
    }
    return 0;
}

static int set_up(struct rf_bench_strangers *strangers,
                  const struct rf_bench_strangers_config *config, struct rf_error *err)
{
    struct rf_host_port host_port;
    int code = check_descriptors(strangers->count, err);
    if (code == 0) {
        code = rf_host_port_parse(config->server, 0, &host_port, err);
    }
    if (code == 0) {
        code = rf_host_port_resolve(&host_port, &strangers->server, 1, err);
    }
    if (code < 0) {
        return code;
    }
    fill_asked(strangers, config->group);
    fill_watch(strangers, config->group);
    strangers->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (strangers->epoll_fd < 0) {
        return rf_error_set(err, -errno, "epoll_create1: %s", rf_strerror(-errno));
    }
    code = connect_all(strangers, config, err);
    if (code == 0) {
        code = -pthread_create(&strangers->thread, NULL, run, strangers);
        strangers->has_thread = code == 0;
        code = code < 0 ? rf_error_set(err, code, "strangers' thread: %s", rf_strerror(code)) : 0;
    }
    return code;
}

int rf_bench_strangers_new(const struct rf_bench_strangers_config *config,
                           struct rf_bench_strangers **ret_strangers, struct rf_error *err)
{
    const uint32_t watchers_count = config->told != NULL ? config->told->watchers_count : 0;
    uint32_t count = config->idle + config->deaf + watchers_count + config->trickle;
    struct rf_bench_strangers *strangers = calloc(1, sizeof(*strangers));
    struct stranger *all = calloc(count + 1, sizeof(*all));
    if (strangers == NULL || all == NULL) {
        free(strangers);
        free(all);
        return rf_error_set(err, -ENOMEM, "%u connections: out of memory", count);
    }
    strangers->epoll_fd = -1;
    strangers->all = all;
    strangers->count = count;
    strangers->watch_first = config->idle + config->deaf;
    strangers->trickle_first = strangers->watch_first + watchers_count;
    strangers->told = config->told;
    strangers->crowd = config->crowd;
    for (uint32_t i = 0; i < count; i++) {
        all[i].fd = -1;
    }
    int code = set_up(strangers, config, err);
    if (code < 0) {
        rf_bench_strangers_free(strangers);
        return code;
    }
    *ret_strangers = strangers;
    return 0;
}

uint64_t rf_bench_strangers_closed(const struct rf_bench_strangers *strangers)
{
    return atomic_load(&strangers->closed_count);
}

void rf_bench_strangers_free(struct rf_bench_strangers *strangers)
{
    if (strangers == NULL) {
        return;
    }
    if (strangers->has_thread) {
        atomic_store(&strangers->is_stopping, true);
        (void)pthread_join(strangers->thread, NULL);
    }
    for (uint32_t i = 0; i < strangers->count; i++) {
        close_stranger(&strangers->all[i]);
    }
    if (strangers->epoll_fd >= 0) {
        (void)close(strangers->epoll_fd);
    }
    free(strangers->all);
    free(strangers);
}
