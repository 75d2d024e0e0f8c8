/* SPDX-License-Identifier: MIT
 *
 * background.h - a client that several threads use: one of them at a time holds it, and a thread of
 * the library's drives it when nobody does. Nobody waits for a registry while holding it.
 */
#ifndef RF_CLIENT_BACKGROUND_H
#define RF_CLIENT_BACKGROUND_H

#include <pthread.h>
#include <stdint.h>

#include "core/error.h"

struct regfast_client;
struct rf_background;

/* Starts the client's thread. Errors: -ENOMEM; -EAGAIN no thread could be made. */
RF_NODISCARD int rf_background_start(struct regfast_client *client,
                                     struct rf_background **ret_background, struct rf_error *err);

/* Ends it; nobody else uses the client. */
void rf_background_stop(struct rf_background *background);

/* The client is the caller's until rf_background_leave. Errors: -ETIMEDOUT. */
RF_NODISCARD int rf_background_enter(struct rf_background *background, uint64_t deadline_ns);
void rf_background_leave(struct rf_background *background);

/* For rf_background_wait. */
void rf_background_condition_init(pthread_cond_t *condition);

/* Leaves, waits until `condition` is signalled by who holds the client, or until `deadline_ns`, and
 * enters again, however long that takes. May return early. */
void rf_background_wait(struct rf_background *background, pthread_cond_t *condition,
                        uint64_t deadline_ns);

/* Leaves, waits until something that is watched has changed or time is up, and enters again. May
 * return early. Errors: -ETIMEDOUT another thread has the client, which is not the caller's then.
 */
RF_NODISCARD int rf_background_wait_changed(struct rf_background *background, uint64_t deadline_ns);

#endif
