/* SPDX-License-Identifier: MIT */
#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/address.h"
#include "core/assert.h"

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* What accepted sockets inherit, so that it is set once instead of for each connection. */
static int set_inherited(int fd)
{
    int code = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    code = code == 0 ? set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) : code;
    code =
        code == 0 ? set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, RF_LISTENER_KEEPALIVE_IDLE_S) : code;
    code = code == 0 ? set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, RF_LISTENER_KEEPALIVE_INTERVAL_S)
                     : code;
    code =
        code == 0 ? set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, RF_LISTENER_KEEPALIVE_PROBES) : code;
    return code == 0 ? set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, RF_LISTENER_UNSENT_MAX)
                     : code;
}

/*
 * A listening socket. The first one listens alone and only then is made to share the port: anyone
 * else who has it, shared or not, refuses it that, and from then on nobody else's first can
 * succeed. (Sharing from the start would let a second registry of the same user take half of
 * the connections without a word. Bound only, two could start at the same moment: SO_REUSEADDR lets
 * both bind until one listens.)
 */
static int open_listening(const struct rf_address *address, bool is_first)
{
    struct sockaddr_storage sockaddr;
    socklen_t size = rf_address_to_sockaddr(address, &sockaddr);
    int fd = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int code = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* an earlier run's may linger */
    if (code == 0 && sockaddr.ss_family == AF_INET6) {
        /* "[::]" is every address, IPv4 ones too, whatever the system's default is. */
        code = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    code = code == 0 ? set_inherited(fd) : code;
    code = code == 0 && !is_first ? set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) : code;
    if (code == 0 && (bind(fd, (const struct sockaddr *)&sockaddr, size) < 0 ||
                      listen(fd, RF_LISTENER_BACKLOG) < 0)) {
        code = -errno;
    }
    code = code == 0 && is_first ? set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) : code;
    if (code < 0) {
        (void)close(fd);
        return code;
    }
    return fd;
}

/* The first one, which may have to wait for what an earlier run has left. */
static int open_first(const struct rf_address *address)
{
    int fd = open_listening(address, true);
    for (int waited_ms = 0; fd == -EADDRINUSE && waited_ms < RF_LISTENER_IN_USE_MS;
         waited_ms += RF_LISTENER_RETRY_MS) {
        const struct timespec pause = {.tv_nsec = RF_LISTENER_RETRY_MS * 1000000L};
        (void)nanosleep(&pause, NULL); /* a signal makes it short */
        fd = open_listening(address, true);
    }
    return fd;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage sockaddr;
    socklen_t size = sizeof(sockaddr);
    struct rf_address address;
    int code = getsockname(fd, (struct sockaddr *)&sockaddr, &size);
    RF_ASSERT(code == 0);
    rf_address_from_sockaddr((const struct sockaddr *)&sockaddr, &address);
    return address.port;
}

static int refuse(int code, const char *addr, struct rf_error *err)
{
    const char *hint = "choose another -addr";
    if (code == -EADDRINUSE) {
        hint = "another registry, or choose -addr";
    } else if (code == -EADDRNOTAVAIL) {
        hint = "not an address of this machine, choose -addr";
    } else if (code == -EACCES) {
        hint = "ports below 1024 need privileges, choose -addr";
    } else if (code == -EMFILE || code == -ENFILE) {
        hint = "raise the limit of open files";
    }
    return rf_error_set(err, code, "cannot listen on %s: %s; %s", addr, strerror(-code), hint);
}

int rf_listeners_open(const char *addr, int *fds, unsigned count, uint16_t *ret_port,
                      struct rf_error *err)
{
    RF_ASSERT(count >= 1);
    struct rf_host_port host_port;
    struct rf_address address;
    int code = rf_host_port_parse_bind(addr, 0, &host_port, err);
    if (code < 0) {
        return rf_error_prefix(err, code, "cannot listen");
    }
    code = rf_host_port_resolve(&host_port, &address, 1, err);
    if (code < 0) {
        return rf_error_prefix(err, code, "cannot listen on %s", addr);
    }
    unsigned opened = 0;
    for (; opened < count; opened++) {
        int fd = opened == 0 ? open_first(&address) : open_listening(&address, false);
        if (fd < 0) {
            while (opened > 0) {
                (void)close(fds[--opened]);
                fds[opened] = -1;
            }
            return refuse(fd, addr, err);
        }
        fds[opened] = fd;
        address.port = bound_port(fd); /* where it was 0 */
    }
    *ret_port = address.port;
    return 0;
}
