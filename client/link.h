/* SPDX-License-Identifier: MIT
 *
 * link.h - one TCP connection to a registry: a request goes out, its reply comes in, each
 * step within a deadline. Non-blocking socket and poll; no signal, no global.
 *
 * Deadlines are of CLOCK_MONOTONIC, in nanoseconds. After any error the connection is closed.
 */
#ifndef RF_CLIENT_LINK_H
#define RF_CLIENT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/address.h"
#include "core/error.h"
#include "core/wire.h"

struct rf_link {
    int fd;        /* -1: closed */
    pid_t process; /* that opened it */
    bool is_preface_sent;
    uint8_t *reply; /* the last one, header included; kept for the next */
    size_t reply_capacity;
};

uint64_t rf_client_now_ns(void);

/* A closed connection in the caller's storage. */
void rf_link_init(struct rf_link *link);

/*
 * Errors: -errno of socket or connect; -ETIMEDOUT.
 */
RF_NODISCARD int rf_link_open(struct rf_link *link, const struct rf_address *address,
                              uint64_t deadline_ns, struct rf_error *err);

/* Takes over a connected stream socket, which becomes non-blocking. */
void rf_link_adopt(struct rf_link *link, int fd);

/* Not in a child of the process that opened it: each would get the other's replies. */
bool rf_link_is_open(const struct rf_link *link);

void rf_link_close(struct rf_link *link);

/* Closes and frees the reply. */
void rf_link_fini(struct rf_link *link);

/*
 * Sends a request and receives its reply. `frame` must have RF_WIRE_PREFACE_SIZE writable bytes
 * before it: a fresh connection's first request goes out together with the preface.
 *
 * *ret_payload is valid until the next call; *ret_header has op and id of the request, but for a
 * reply of operation RF_WIRE_NONE, which is an error's.
 *
 * Errors: -ETIMEDOUT; -ECONNRESET and other -errno: the connection is lost; RF_EMALFORMED what
 *         came is no reply to this request; RF_ELIMIT it is larger than any; -ENOMEM.
 */
RF_NODISCARD int rf_link_call(struct rf_link *link, uint8_t *frame, size_t frame_size,
                              uint64_t deadline_ns, struct rf_wire_header *ret_header,
                              const uint8_t **ret_payload, struct rf_error *err);

#endif
