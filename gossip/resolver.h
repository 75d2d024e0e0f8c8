/* SPDX-License-Identifier: MIT
 *
 * resolver.h - turns "HOST:PORT" into addresses without making the gossip thread wait.
 *
 * getaddrinfo blocks, for many seconds where a name server is down, and cannot be cancelled. So
 * each name gets a short-lived thread of its own: one dead name delays no other, and a lookup that
 * nobody wants any more is left to end by itself. Literal addresses take no thread.
 */
#ifndef RF_GOSSIP_RESOLVER_H
#define RF_GOSSIP_RESOLVER_H

#include "core/address.h"
#include "core/error.h"

enum {
    RF_LOOKUP_ADDRESSES_MAX = 8, /* of one name: what a round-robin name usually has */
};

struct rf_lookup; /* private to resolver.c */

/*
 * Starts to resolve. When the answer is there, `event_fd` (an eventfd; duplicated, so that it may
 * be closed before) is written to.
 *
 * Ownership: the caller ends *ret_lookup with rf_lookup_free.
 * Errors:    -ENOMEM, -EAGAIN no thread could be made, -EMFILE no descriptor.
 * Threads:   start, take and free on one thread. None of them blocks.
 */
RF_NODISCARD int rf_lookup_start(const struct rf_host_port *host_port, int event_fd,
                                 struct rf_lookup **ret_lookup, struct rf_error *err);

/*
 * The answer: how many addresses there are, 1..RF_LOOKUP_ADDRESSES_MAX.
 * Errors: -EINPROGRESS not there yet; what rf_host_port_resolve said.
 */
RF_NODISCARD int rf_lookup_take(struct rf_lookup *lookup,
                                struct rf_address addresses[RF_LOOKUP_ADDRESSES_MAX],
                                struct rf_error *err);

/* Ends a lookup, done or not; NULL is allowed. */
void rf_lookup_free(struct rf_lookup *lookup);

#endif
