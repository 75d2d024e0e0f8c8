/* SPDX-License-Identifier: MIT
 *
 * client.h - what the calls of regfast.h share: a client, and one round trip with its retry.
 */
#ifndef RF_CLIENT_CLIENT_H
#define RF_CLIENT_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "client/link.h"
#include "client/regfast.h"
#include "core/address.h"
#include "core/error.h"
#include "core/wire.h"

enum {
    RF_CLIENT_REGISTRIES_MAX = 16, /* enough for any cluster; bounds the time of one call */
    RF_CLIENT_SERVER_SIZE = RF_HOST_SIZE_MAX + 16, /* host, brackets, colon, port, NUL */
};

struct rf_registry {
    struct rf_host_port host_port;
    char text[RF_CLIENT_SERVER_SIZE]; /* "HOST:PORT", as it was given */
};

struct regfast_client {
    struct rf_link link;
    size_t current;     /* registry of the connection, or the next to try */
    const char *server; /* of the last answer */
    uint64_t connect_timeout_ns;
    uint64_t call_timeout_ns;
    uint64_t serial; /* counts connections: answers of two may differ in version */
    uint32_t request_id;
    size_t registries_count;
    struct rf_registry registries[RF_CLIENT_REGISTRIES_MAX];
    /* The request, behind room for the preface: see rf_link_call. */
    uint8_t out[RF_WIRE_PREFACE_SIZE + RF_WIRE_REQUEST_SIZE_MAX];
};

/* Where the next request is encoded: RF_WIRE_REQUEST_SIZE_MAX bytes, id `request_id`. */
static inline uint8_t *rf_client_request(struct regfast_client *client)
{
    return client->out + RF_WIRE_PREFACE_SIZE;
}

/* When a call that begins now must have ended. */
uint64_t rf_client_deadline_ns(const struct regfast_client *client);

/* Connects to the first registry that answers, beginning with the current one. */
RF_NODISCARD int rf_client_connect(struct regfast_client *client, uint64_t deadline_ns,
                                   struct rf_error *err);

/*
 * Sends the frame at rf_client_request and receives the reply: connects if need be, tries once
 * more if the connection is lost.
 * *ret_payload is that of an RF_WIRE_OK reply, valid until the next call.
 *
 * Errors: what regfast.h promises.
 */
RF_NODISCARD int rf_client_call(struct regfast_client *client, size_t frame_size,
                                uint64_t deadline_ns, struct rf_wire_bytes *ret_payload,
                                struct rf_error *err);

/* A reply that the decoder has refused: closes the connection, since nothing that comes after it
 * can be trusted, and returns `code`. */
int rf_client_refuse(struct regfast_client *client, int code, struct rf_error *err);

/* Names the group in a text that says that it was not found; returns `code`, whatever it is. */
int rf_client_in_group(int code, const char *group, struct rf_error *err);

/* Checks of arguments. Errors: -EINVAL. */
RF_NODISCARD int rf_client_check(const struct regfast_client *client, const void *ret,
                                 struct rf_error *err);
RF_NODISCARD int rf_client_check_group(const char *group, struct rf_error *err);

/* Whether an option struct, which the caller says has `size` bytes, is one that this library can
 * take, of which it knows `size_known` bytes: what is beyond must be unset. */
RF_NODISCARD int rf_client_check_options(const void *options, size_t size, size_t size_known,
                                         struct rf_error *err);
RF_NODISCARD int rf_client_check_key(const void *key, size_t key_size, struct rf_error *err);

/* Gives the caller the text of a negative `code`, and returns it. */
int rf_client_report(int code, const struct rf_error *err, char *errbuf, size_t errbuf_size);

#endif
