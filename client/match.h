/* SPDX-License-Identifier: MIT
 *
 * match.h - requests whose answers are owners, for calls that wait and for those that do not.
 */
#ifndef RF_CLIENT_MATCH_H
#define RF_CLIENT_MATCH_H

#include "client/client.h"

struct rf_match_call {
    struct rf_call call;
    struct regfast_owner *owner;
};

struct rf_owners_call {
    struct rf_call call;
    struct regfast_owner *owners;
    size_t count_min, count_max; /* that a right answer has */
};

/* For rf_call.take, of calls that are embedded in the above. The second returns how many there are.
 */
int rf_match_take(struct rf_call *call, const uint8_t *payload, size_t size, struct rf_error *err);
int rf_owners_take(struct rf_call *call, const uint8_t *payload, size_t size, struct rf_error *err);

/* Checks of the arguments of a call about many keys; without keys there need be no place for their
 * owners, as an empty vector has none. Errors: -EINVAL names the key. */
RF_NODISCARD int rf_match_check_many(const struct regfast_client *client, const char *group,
                                     const struct regfast_key *keys, size_t keys_count,
                                     const struct regfast_owner *owners, struct rf_error *err);

/* How many of the keys fit one request, and these as the encoder wants them: there is room for
 * RF_WIRE_KEYS_MAX. */
size_t rf_match_take_keys(const struct regfast_key *keys, size_t keys_count, size_t group_size,
                          struct rf_wire_bytes *ret_keys);

#endif
