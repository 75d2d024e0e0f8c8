/* SPDX-License-Identifier: MIT */
#include "gossip/sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A port that is free for UDP is rarely taken for TCP: this many in a row means a real fault. */
enum { PORT_TRIES_MAX = 64 };

static int describe(struct rf_error *err, int error, const struct rf_address *address,
                    const char *protocol)
{
    char text[RF_ADDRESS_TEXT_SIZE];
    rf_address_format(address, text);
    switch (error) {
    case EADDRINUSE:
        return rf_error_set(err, -error,
                            "gossip: %s is in use (%s): stop the program that uses it, or choose "
                            "another bind address",
                            text, protocol);
    case EADDRNOTAVAIL:
        return rf_error_set(err, -error,
                            "gossip: %s is no address of this machine (%s): bind to one that it "
                            "has, or to :%u for all",
                            text, protocol, (unsigned)address->port);
    case EACCES:
        return rf_error_set(err, -error,
                            "gossip: not allowed to bind %s (%s): ports below 1024 need "
                            "CAP_NET_BIND_SERVICE, choose a higher one",
                            text, protocol);
    default:
        return rf_error_set(err, -error, "gossip: cannot bind %s (%s): %s", text, protocol,
                            rf_strerror(-error));
    }
}

static int open_bound(const struct rf_address *address, int type, int *ret_fd)
{
    struct sockaddr_storage sockaddr;
    socklen_t size = rf_address_to_sockaddr(address, &sockaddr);
    int fd = socket(sockaddr.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    int one = 1;
    /* Only for TCP, where it lets a restart ignore TIME_WAIT; two UDP sockets would share a port.
     */
    if (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0) {
        goto fail;
    }
    int zero = 0;
    /* "[::]" is every address, IPv4 ones too, whatever the system's default is. */
    if (sockaddr.ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) < 0) {
        goto fail;
    }
    if (bind(fd, (struct sockaddr *)&sockaddr, size) < 0) {
        goto fail;
    }
    if (type == SOCK_STREAM && listen(fd, RF_TCP_BACKLOG) < 0) {
        goto fail;
    }
    *ret_fd = fd;
    return 0;

fail:;
    int error = errno;
    close(fd);
    return error;
}

static int grow_buffer(int fd)
{
    int wanted = RF_UDP_BUFFER_SIZE;
    /* Beyond the system's limit for everybody, if we may (CAP_NET_ADMIN). */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof(wanted)) < 0) {
        for (int size = wanted; size >= 4096; size /= 2) {
            if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0) {
                break;
            }
        }
    }
    int granted = 0;
    socklen_t granted_size = sizeof(granted);
    (void)getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &granted_size); /* for the log only */
    return granted;
}

/* One try. Sets *ret_protocol to what failed. */
static int open_pair(const struct rf_address *bind_to, struct rf_gossip_sockets *sockets,
                     struct rf_address *ret_address, const char **ret_protocol)
{
    *ret_address = *bind_to;
    *ret_protocol = "udp";
    int error = open_bound(bind_to, SOCK_DGRAM, &sockets->udp_fd);
    if (error != 0) {
        return error;
    }
    struct sockaddr_storage sockaddr;
    socklen_t size = sizeof(sockaddr);
    if (getsockname(sockets->udp_fd, (struct sockaddr *)&sockaddr, &size) < 0) {
        error = errno;
        goto fail;
    }
    rf_address_from_sockaddr((const struct sockaddr *)&sockaddr, ret_address);
    *ret_protocol = "tcp";
    error = open_bound(ret_address, SOCK_STREAM, &sockets->tcp_fd);
    if (error == 0) {
        return 0;
    }

fail:
    close(sockets->udp_fd);
    return error;
}

int rf_gossip_sockets_open(const struct rf_address *bind, struct rf_gossip_sockets *ret_sockets,
                           struct rf_error *err)
{
    struct rf_gossip_sockets sockets = {.udp_fd = -1, .tcp_fd = -1};
    const char *protocol = "udp";
    int error = 0;
    for (int i = 0; i < PORT_TRIES_MAX; i++) {
        error = open_pair(bind, &sockets, &sockets.bound, &protocol);
        if (error != EADDRINUSE || bind->port != 0) {
            break;
        }
    }
    if (error != 0) {
        return describe(err, error, &sockets.bound, protocol);
    }
    sockets.udp_buffer_size = grow_buffer(sockets.udp_fd);
    *ret_sockets = sockets;
    return 0;
}

void rf_gossip_sockets_close(struct rf_gossip_sockets *sockets)
{
    if (sockets->udp_fd >= 0) {
        close(sockets->udp_fd);
        sockets->udp_fd = -1;
    }
    if (sockets->tcp_fd >= 0) {
        close(sockets->tcp_fd);
        sockets->tcp_fd = -1;
    }
}
