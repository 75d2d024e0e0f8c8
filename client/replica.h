/* SPDX-License-Identifier: MIT
 *
 * replica.h - one group as a registry has told it, and the answers that this process gives from it.
 *
 * The writer's side takes the pages of WATCH (core/WIRE.md) in order. What they make is published
 * all at once, and only if it has the digest that the registry said. Two things are apart: what was
 * *told*, which follows the pages, and what is *published*, which readers see. They differ while an
 * update is on its way, and after one that would leave nobody in the ring although those in it
 * have not left: such a one is refused, and the published state stays. So is, for a minute, the
 * update of another registry that has never heard of most of them: it has just started.
 *
 * Threads: one at a time writes (rf_replica_connected and what follows it); status, members and
 *          readers are anybody's.
 * Memory:  what a roster's limits allow (core/catalog.h), twice while an update is published.
 */
#ifndef RF_CLIENT_REPLICA_H
#define RF_CLIENT_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include "client/regfast.h"
#include "core/error.h"
#include "core/ring.h"
#include "core/wire.h"

struct rf_replica;

/* `group` has 1..RF_NAME_SIZE_MAX bytes, and is copied. Errors: -ENOMEM. */
RF_NODISCARD int rf_replica_new(const char *group, struct rf_replica **ret_replica,
                                struct rf_error *err);

/* No reader is left. NULL is allowed. */
void rf_replica_free(struct rf_replica *replica);

/* A new connection is up, to a registry that is called `server` and places keys so. What was half
 * told is void. */
void rf_replica_connected(struct rf_replica *replica, const char *server,
                          enum rf_placement placement);

/* It is lost, or given up. */
void rf_replica_disconnected(struct rf_replica *replica);

/* What to ask WATCH for, once connected. */
void rf_replica_resume(const struct rf_replica *replica, uint64_t *ret_instance,
                       uint64_t *ret_version);

/*
 * One page. Returns 1 if an update is complete, and what is published is what the registry knows; 0
 * if more pages follow.
 *
 * Errors: RF_EUNAVAILABLE the registry does not know those who are in the ring, and nobody else, or
 *         for a minute hardly any of them: a complete update that is refused. The connection is
 * good, but another registry may know more. With all others the connection is of no use, and pages
 * that still come are refused: RF_EMALFORMED; RF_EDIGEST what was told has another digest, all is
 * asked for anew; RF_ELIMIT more than a roster holds; -ENOMEM. What is published stays.
 */
RF_NODISCARD int rf_replica_page(struct rf_replica *replica, const struct rf_wire_watch_reply *page,
                                 uint64_t now_ns, struct rf_error *err);

/* The registry has replied to a PING on this connection: what it told is current. Also frees what
 * waited for readers. Returns whether an update was published that had been refused. */
bool rf_replica_heard(struct rf_replica *replica, uint64_t now_ns);

/* Why the last update was refused, and whose it was; "": it was not. Threads: the writer. Borrowed
 * until the next page. */
const char *rf_replica_refusal(const struct rf_replica *replica);

/* All but `size` of the status. It is stale if nothing was proved for `stale_after_ns`, or while
 * the last update was refused. */
void rf_replica_status(struct rf_replica *replica, uint64_t now_ns, uint64_t stale_after_ns,
                       struct regfast_watch_status *ret_status);

/* What is published, for regfast_member_list_free. Errors: -EAGAIN nothing yet; -ENOMEM. */
RF_NODISCARD int rf_replica_members(struct rf_replica *replica,
                                    struct regfast_member_list **ret_list, struct rf_error *err);

/* regfast_reader_new. Errors: -ENOMEM. */
RF_NODISCARD int rf_replica_reader_new(struct rf_replica *replica,
                                       struct regfast_reader **ret_reader);

#endif
