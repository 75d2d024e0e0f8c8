/* SPDX-License-Identifier: MIT
 *
 * served.h - a real server (net/server.h) on a free loopback port, over a catalog that the test
 * makes: for tests of clients.
 */
#ifndef RF_TESTS_SUPPORT_SERVED_H
#define RF_TESTS_SUPPORT_SERVED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/catalog.h"
#include "net/server.h"

struct served {
    struct rf_roster *roster;
    struct rf_publisher publisher;
    struct rf_server *server;
    char addr[32]; /* HOST:PORT */
};

static inline void served_check(int code, const struct rf_error *err)
{
    if (code < 0) {
        fprintf(stderr, "served: %s\n", err->text);
        abort();
    }
}

static inline void served_put(struct served *served, const char *group, const char *id,
                              const char *addr, uint32_t replicas, enum rf_member_state state)
{
    struct rf_error err;
    struct rf_member member = {
        .id = id, .group = group, .addr = addr, .replicas = replicas, .state = state};
    served_check(rf_roster_put(served->roster, &member, &err), &err);
}

static inline void served_free_catalogs(struct served *served)
{
    (void)rf_publisher_reclaim(&served->publisher); /* what is still read is freed later */
}

/* Publishes what was put. */
static inline void served_publish(struct served *served)
{
    struct rf_error err;
    struct rf_catalog *catalog;
    served_check(rf_roster_commit(served->roster, &catalog, &err), &err);
    if (catalog != NULL) {
        rf_publish(&served->publisher, &catalog->published);
        rf_server_notify(served->server);
        served_free_catalogs(served);
    }
}

/* web: web-1 .. web-3 alive, web-4 failed; gone: all left; an empty catalog comes before. */
static inline void served_put_standard(struct served *served)
{
    served_put(served, "web", "web-1", "10.0.0.1:80", 100, RF_MEMBER_ALIVE);
    served_put(served, "web", "web-2", "10.0.0.2:80", 100, RF_MEMBER_ALIVE);
    served_put(served, "web", "web-3", "10.0.0.3:80", 300, RF_MEMBER_LEAVING);
    served_put(served, "web", "web-4", "10.0.0.4:80", 100, RF_MEMBER_FAILED);
    served_put(served, "gone", "gone-1", "10.0.1.1:80", 1000, RF_MEMBER_LEFT);
}

/*
 * Starts a server on `addr` over an empty catalog. NULL: on a free port of a loopback address of
 * this process's own, where nobody else takes the port while the server is away. Returns 0 or the
 * code of rf_server_start, which may be that there is no io_uring.
 */
static inline int served_start(struct served *served, const char *addr, enum rf_io io,
                               struct rf_error *err)
{
    struct rf_catalog *catalog;
    char own[sizeof(served->addr)];
    unsigned pid = (unsigned)getpid();
    (void)snprintf(own, sizeof(own), "127.2.%u.%u:0", pid >> 8 & 255, pid & 255);
    addr = addr == NULL ? own : addr;
    served_check(rf_roster_new(RF_PLACEMENT_V1, &served->roster, err), err);
    served_check(rf_roster_commit(served->roster, &catalog, err), err);
    rf_publisher_init(&served->publisher, &catalog->published);
    const struct rf_server_config config = {
        .addr = addr,
        .io = io,
        .workers = 1,
        .publisher = &served->publisher,
        .version = RF_VERSION,
        .node_id = "served",
    };
    int code = rf_server_start(&config, &served->server, err);
    if (code < 0) {
        rf_publisher_fini(&served->publisher);
        rf_roster_free(served->roster);
        return code;
    }
    char host[sizeof(served->addr)]; /* `addr` may be served->addr itself */
    (void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(addr, ":"), addr);
    (void)snprintf(served->addr, sizeof(served->addr), "%s:%u", host,
                   rf_server_port(served->server));
    return 0;
}

static inline void served_stop(struct served *served)
{
    rf_server_free(served->server);
    rf_publisher_fini(&served->publisher);
    rf_roster_free(served->roster);
}

#endif
