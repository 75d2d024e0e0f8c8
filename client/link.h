/* SPDX-License-Identifier: MIT
 *
 * link.h - a socket to one registry at a time: resolves its name, connects, sends and receives,
 * and never waits but in rf_link_wait. Everything it waits for is in one epoll set, which
 * somebody else's event loop can poll.
 *
 * Deadlines are of CLOCK_MONOTONIC, in nanoseconds.
 */
#ifndef RF_CLIENT_LINK_H
#define RF_CLIENT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/address.h"
#include "core/error.h"
#include "gossip/resolver.h"

enum rf_link_state {
    RF_LINK_CLOSED,
    RF_LINK_RESOLVING,
    RF_LINK_CONNECTING,
    RF_LINK_UP,
};

struct rf_link {
    enum rf_link_state state;
    int epoll_fd; /* its number stays the same, in a child process too */
    int event_fd; /* a name is resolved, or rf_link_wake */
    int fd;       /* -1: none */
    bool is_readable;
    bool is_waiting_to_send; /* the socket's buffer is full */
    uint64_t connect_timeout_ns;
    uint64_t address_deadline_ns; /* of connecting to the current address */
    struct rf_lookup *lookup;
    struct rf_address addresses[RF_LOOKUP_ADDRESSES_MAX];
    int addresses_count;
    int address_index;
};

uint64_t rf_client_now_ns(void);

/* Whether a code says that our own process lacks something: no other address can help. */
bool rf_link_is_local(int code);

/* Errors: -EMFILE, -ENFILE, -ENOMEM. */
RF_NODISCARD int rf_link_init(struct rf_link *link, uint64_t connect_timeout_ns,
                              struct rf_error *err);
void rf_link_fini(struct rf_link *link);

/* In a child of the process that had it, which may have been in the middle of anything: closes the
 * child's descriptors. The epoll set is the parent's too, and is left as it is. */
void rf_link_drop(struct rf_link *link);

/* In a child of the process that had it: the connection and the epoll set are the parent's, the
 * child gets new ones under the same numbers. Errors: as rf_link_init. */
RF_NODISCARD int rf_link_after_fork(struct rf_link *link, struct rf_error *err);

/* Begins to resolve and connect; rf_link_step goes on. Errors: as rf_lookup_start; it is closed. */
RF_NODISCARD int rf_link_start(struct rf_link *link, const struct rf_host_port *host_port,
                               struct rf_error *err);

/* Returns 1 once it is up, 0 while it is not. Errors: it is closed: every address has failed, and
 * this is the last one's failure. */
RF_NODISCARD int rf_link_step(struct rf_link *link, uint64_t now_ns, struct rf_error *err);

/* When rf_link_step has something to do though nothing happens; UINT64_MAX: never. */
uint64_t rf_link_deadline_ns(const struct rf_link *link);

/* Takes over a connected stream socket. Errors: -ENOMEM, -ENOSPC of epoll; `fd` is closed. */
RF_NODISCARD int rf_link_adopt(struct rf_link *link, int fd, struct rf_error *err);

void rf_link_close(struct rf_link *link);

/* How many bytes were received; 0: none are there. Errors: -ECONNRESET also if the peer has closed
 * in good order; other -errno. */
RF_NODISCARD ssize_t rf_link_receive(struct rf_link *link, uint8_t *data, size_t size);

/* How many bytes were sent; 0: none for now. Errors: -errno. */
RF_NODISCARD ssize_t rf_link_send(struct rf_link *link, const uint8_t *data, size_t size);

/* Waits until something has happened: then is_readable says whether there is something to receive.
 * May return earlier. `timeout_ms` is as for poll. */
void rf_link_wait(struct rf_link *link, int timeout_ms);

/* Makes somebody who waits for the epoll set look again. Threads: any. */
void rf_link_wake(const struct rf_link *link);

#endif
