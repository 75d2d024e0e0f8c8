/* SPDX-License-Identifier: MIT
 *
 * watch.h - the groups that a client watches: asked for on each connection, and what is told about
 * them handed to their replicas. One of them may be the library's own, of the registries.
 */
#ifndef RF_CLIENT_WATCH_H
#define RF_CLIENT_WATCH_H

#include <stdint.h>

#include "client/client.h"

/* The connection is up: asks for all groups. Errors: as rf_session_watch. */
RF_NODISCARD int rf_client_watches_begin(struct regfast_client *client, uint64_t now_ns,
                                         struct rf_error *err);

/* The connection is lost. */
void rf_client_watches_lost(struct regfast_client *client);

/*
 * What the session says of watches. Errors: the connection is of no use any more.
 */
RF_NODISCARD int rf_client_watches_event(struct regfast_client *client,
                                         const struct rf_session_event *event, uint64_t now_ns,
                                         struct rf_error *err);

/* Watches the registries' own group, whose members become registries of the client.
 * Errors: -ENOMEM. */
RF_NODISCARD int rf_client_discover(struct regfast_client *client, struct rf_error *err);

/* Ends all watches. */
void rf_client_watches_free(struct regfast_client *client);

#endif
