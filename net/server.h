/* SPDX-License-Identifier: MIT
 *
 * server.h - the TCP server that answers clients from the published catalog.
 *
 * One port for every protocol: a connection's first bytes say which it speaks. One worker thread
 * per usable core, each with its own listening socket (SO_REUSEPORT), engine, connections and
 * buffers; workers share nothing that they write. How a worker lives, and the table of
 * limits, is in net/README.md.
 */
#ifndef RF_NET_SERVER_H
#define RF_NET_SERVER_H

#include <stdint.h>

#include "core/counters.h"
#include "core/error.h"
#include "core/log.h"
#include "core/publish.h"
#include "core/server_counters.h"

enum {
    RF_WORKERS_MAX = 256, /* threads; more cores than this gain nothing for one port */

    /* Connections of one server, all workers together: 65536 idle ones are some 16 MiB, and one
     * descriptor each is what a service may have on common systems. */
    RF_CONNECTIONS_MAX_DEFAULT = 65536,
    RF_CONNECTIONS_MAX = 4 * 1024 * 1024,

    /* A connection has to say which protocol it speaks in this time: one that says nothing cannot
     * be told from a scan. */
    RF_DETECT_TIMEOUT_MS_DEFAULT = 30 * 1000,
    /* A reader that took no byte for this long while replies wait is closed. */
    RF_STALL_TIMEOUT_MS_DEFAULT = 10 * 1000,
};

/* Bytes of input and output buffers of all connections together: what slow readers and senders can
 * cost at most. One of them costs no more than some 2 MiB, and usually 128 KiB (net/README.md). */
#define RF_BUFFERS_SIZE_MAX_DEFAULT ((uint64_t)1 << 30)
#define RF_BUFFERS_SIZE_MAX_LEAST ((uint64_t)8 << 20) /* of each worker: some of the largest */

/* Busy polling (net/spin.h): how long a worker polls before it blocks. */
#define RF_BUSY_POLL_ADAPTIVE UINT32_MAX /* only while requests come closely enough to pay */
enum { RF_BUSY_POLL_US_MAX = 1000 * 1000 };

/* "adaptive", or microseconds 0..RF_BUSY_POLL_US_MAX. Errors: -EINVAL names what is allowed. */
RF_NODISCARD int rf_busy_poll_parse(const char *text, uint32_t *ret_busy_poll_us,
                                    struct rf_error *err);

/* How the workers do their input and output. */
enum rf_io {
    RF_IO_AUTO,  /* io_uring, or epoll where the system has or allows no io_uring */
    RF_IO_URING, /* io_uring, or an error */
    RF_IO_EPOLL,
};

/* "auto", "uring", "epoll"; parse: -EINVAL names what is allowed. */
const char *rf_io_name(enum rf_io io);
RF_NODISCARD int rf_io_parse(const char *name, enum rf_io *ret_io, struct rf_error *err);

enum { RF_SERVER_VIEWS_MAX = 4 }; /* tables of what the rest of the program counts */

struct rf_server_config {
    const char *addr; /* "HOST:PORT"; an empty host: every IPv4 address; port 0: any free one */
    enum rf_io io;
    unsigned workers; /* 0: one per core that this process may use (sched_getaffinity) */

    uint32_t busy_poll_us; /* 0: never; or RF_BUSY_POLL_ADAPTIVE */

    /* 0 means the default above. */
    uint32_t connections_max;
    uint64_t buffers_size_max; /* bytes */
    uint32_t detect_timeout_ms;
    uint32_t stall_timeout_ms;
    uint32_t idle_timeout_ms; /* a connection without a byte for so long is closed; 0: never */

    struct rf_publisher *publisher; /* of catalogs (core/catalog.h); outlives the server */
    struct rf_log log;              /* copied; what its context points to outlives the server */

    const char *version; /* of the program, for `info`: "0.1.0" */
    const char *node_id; /* of this node, for `info` */
    /* What the rest of the program counts, for `info`: RF_INFO_OTHERS_MAX at most all told, with
     * names of at most 32 bytes. The counters and the tables outlive the server. */
    struct rf_counters_view counters[RF_SERVER_VIEWS_MAX];

    unsigned io_features_off;  /* for tests: enum rf_engine_feature bits to take for missing */
    unsigned io_buffers_count; /* for tests: of each io_uring worker, a power of two; 0: enough */
};

struct rf_server; /* private to server.c */

/*
 * Opens the port and starts the workers; connections are answered when this returns.
 *
 * Ownership: strings in `config` are copied. The caller owns *ret_server: rf_server_stop, then
 *            rf_server_free.
 * Threads:   one thread calls the functions of a server. Workers block every signal.
 * Errors:    -EINVAL a bad address or a value out of range; -EADDRINUSE, -EACCES,
 *            -EADDRNOTAVAIL the port cannot be had; -EHOSTUNREACH the host's name has no address;
 *            with RF_IO_URING -ENOSYS, -EPERM, -EACCES, -EINVAL io_uring is not there; -ENOMEM,
 *            -EMFILE. The text names the value and says what to do.
 * Cost:      may block for seconds to resolve a host name.
 */
RF_NODISCARD int rf_server_start(const struct rf_server_config *config,
                                 struct rf_server **ret_server, struct rf_error *err);

/* The port that it listens on, also where the configuration said 0. */
uint16_t rf_server_port(const struct rf_server *server);

/* "uring" or "epoll"; and why that one, for logs and `info`. Lifetime: the server's. */
const char *rf_server_engine_name(const struct rf_server *server);
const char *rf_server_engine_reason(const struct rf_server *server);

unsigned rf_server_workers_count(const struct rf_server *server);

/* What worker `index` counts. Lifetime: the server's. Threads: any may read. */
const struct rf_server_counters *rf_server_counters(const struct rf_server *server, unsigned index);

/* Tells the workers that something was published, for those who watch. Threads: any; not together
 * with, or after, rf_server_stop. Never blocks. */
void rf_server_notify(struct rf_server *server);

/*
 * Stops accepting, answers every request that had been received when it was called, hands over the
 * replies, closes, and ends the workers. Replies are not cut: the server closes its half and
 * waits until the peer has closed too. Stopping again does nothing.
 *
 * Returns how many connections had to be dropped at `timeout_ms` with replies still waiting for
 * their reader; 0 if all went well.
 * Cost: blocks, at most `timeout_ms` and some scheduling.
 */
unsigned rf_server_stop(struct rf_server *server, unsigned timeout_ms);

/* Frees a server; stops it at once if it runs. NULL is allowed. */
void rf_server_free(struct rf_server *server);

#endif
