/* SPDX-License-Identifier: MIT */
#include "client/client.h"
#include "client/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    CONNECT_TIMEOUT_MS_DEFAULT = 1000,
    CALL_TIMEOUT_MS_DEFAULT = 3000,
    HEARTBEAT_MS_DEFAULT = 2000,
};

static const uint64_t ns_per_ms = 1000000;

static_assert((int)REGFAST_EMALFORMED == (int)RF_EMALFORMED, "public codes are the internal ones");
static_assert((int)REGFAST_EVERSION == (int)RF_EVERSION, "as above");
static_assert((int)REGFAST_ELIMIT == (int)RF_ELIMIT, "as above");
static_assert((int)REGFAST_ENOTFOUND == (int)RF_ENOTFOUND, "as above");
static_assert((int)REGFAST_EUNAVAILABLE == (int)RF_EUNAVAILABLE, "as above");
static_assert((int)REGFAST_EUNSUPPORTED == (int)RF_EUNSUPPORTED, "as above");
static_assert((int)REGFAST_ERROR_SIZE == (int)RF_ERROR_TEXT_SIZE, "an errbuf holds any text");
static_assert((int)REGFAST_NAME_SIZE == (int)RF_NAME_SIZE_MAX + 1, "an owner holds any name");
static_assert((int)REGFAST_OWNERS_MAX == (int)RF_WIRE_OWNERS_MAX, "as above");
static_assert((int)REGFAST_KEY_SIZE_MAX ==
                  RF_WIRE_REQUEST_SIZE_MAX - RF_WIRE_HEADER_SIZE - 1 - RF_NAME_SIZE_MAX - 2 - 2,
              "a key of the largest size fits MATCH_MANY with the longest group name");

const char *regfast_strerror(int code)
{
    return rf_strerror(code);
}

const char *regfast_version(void)
{
    return RF_VERSION;
}

const char *regfast_member_state_name(enum regfast_member_state state)
{
    return (unsigned)state < (unsigned)RF_MEMBER_STATES_COUNT
               ? rf_member_state_name((enum rf_member_state)state)
               : "unknown";
}

int rf_client_report(int code, const struct rf_error *err, char *errbuf, size_t errbuf_size)
{
    if (code < 0 && errbuf != NULL && errbuf_size > 0) {
        (void)snprintf(errbuf, errbuf_size, "%s",
                       err->text[0] != '\0' ? err->text : rf_strerror(code));
    }
    return code;
}

/* ---- arguments ---- */

int rf_client_check(const struct regfast_client *client, const void *ret, struct rf_error *err)
{
    if (client == NULL) {
        return rf_error_set(err, -EINVAL, "the client is NULL");
    }
    if (ret == NULL) {
        return rf_error_set(err, -EINVAL, "the place for the answer is NULL");
    }
    return 0;
}

int rf_client_check_group(const char *group, struct rf_error *err)
{
    size_t size = group == NULL ? 0 : strnlen(group, RF_NAME_SIZE_MAX + 1);
    if (size < 1 || size > RF_NAME_SIZE_MAX) {
        return rf_error_set(err, -EINVAL, "group name %s: allowed 1..%d bytes",
                            group == NULL ? "NULL"
                            : size == 0   ? "of 0 bytes"
                                          : "is too long",
                            RF_NAME_SIZE_MAX);
    }
    return 0;
}

int rf_client_check_key(const void *key, size_t key_size, struct rf_error *err)
{
    if (key == NULL && key_size > 0) {
        return rf_error_set(err, -EINVAL, "the key is NULL, its size is %zu", key_size);
    }
    if (key_size > REGFAST_KEY_SIZE_MAX) {
        return rf_error_set(err, -EINVAL, "key of %zu bytes: allowed 0..%d", key_size,
                            REGFAST_KEY_SIZE_MAX);
    }
    return 0;
}

int rf_client_read_options(void *known, size_t known_size, size_t older_size, const void *options,
                           size_t size, struct rf_error *err)
{
    if (size < known_size && (size != older_size || older_size == 0)) {
        return rf_error_set(err, -EINVAL, "options of size %zu: at least %zu expected", size,
                            older_size > 0 ? older_size : known_size);
    }
    const uint8_t *bytes = options;
    for (size_t i = known_size; i < size; i++) {
        if (bytes[i] != 0) {
            return rf_error_set(err, -EINVAL,
                                "options of size %zu: set beyond the %zu bytes that this library "
                                "knows",
                                size, known_size);
        }
    }
    memcpy(known, options, size < known_size ? size : known_size);
    return 0;
}

/* Copies the options, and fills in what is unset. */
static int read_options(const struct regfast_options *options, struct regfast_options *ret,
                        struct rf_error *err)
{
    struct regfast_options known = {0};
    if (options != NULL) {
        int code = rf_client_read_options(&known, sizeof(known),
                                          offsetof(struct regfast_options, background), options,
                                          options->size, err);
        if (code < 0) {
            return code;
        }
    }
    if (known.background > 1 || known.in_order > 1 || known.discover > 1) {
        return rf_error_set(err, -EINVAL, "option %s %u: allowed 0, 1",
                            known.background > 1 ? "background"
                            : known.in_order > 1 ? "in_order"
                                                 : "discover",
                            known.background > 1 ? known.background
                            : known.in_order > 1 ? known.in_order
                                                 : known.discover);
    }
    if (known.connect_timeout_ms == 0) {
        known.connect_timeout_ms = CONNECT_TIMEOUT_MS_DEFAULT;
    }
    if (known.call_timeout_ms == 0) {
        known.call_timeout_ms = CALL_TIMEOUT_MS_DEFAULT;
    }
    if (known.heartbeat_ms == 0) {
        known.heartbeat_ms = HEARTBEAT_MS_DEFAULT;
    }
    *ret = known;
    return 0;
}

/* Not the same for two clients. */
static uint64_t make_seed(const struct regfast_client *client)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed)) {
        seed = rf_client_now_ns() ^ (uintptr_t)client ^ (uint64_t)getpid() << 32;
    }
    return seed;
}

static int client_init(struct regfast_client *client, const char *registries,
                       const struct regfast_options *options, struct rf_error *err)
{
    client->process = getpid();
    client->call_timeout_ns = options->call_timeout_ms * ns_per_ms;
    rf_session_init(&client->session, options->heartbeat_ms * ns_per_ms);
    int code = rf_link_init(&client->link, options->connect_timeout_ms * ns_per_ms, err);
    if (code == 0) {
        code = rf_registries_init(&client->registries, registries, options->in_order == 1,
                                  make_seed(client), err);
    }
    if (code == 0 && options->discover == 1) {
        code = rf_client_discover(client, err);
    }
    if (code == 0 && options->background == 1) {
        code = rf_background_start(client, &client->background, err);
    }
    return code;
}

/* So that it can be freed, whatever it has of what client_init gives it. */
static struct regfast_client *client_new(void)
{
    struct regfast_client *client = calloc(1, sizeof(*client));
    if (client != NULL) {
        client->link = (struct rf_link){.epoll_fd = -1, .event_fd = -1, .fd = -1};
    }
    return client;
}

int regfast_open(const char *registries, const struct regfast_options *options,
                 struct regfast_client **ret_client, char *errbuf, size_t errbuf_size)
{
    struct rf_error err = {0};
    struct regfast_options known;
    struct regfast_client *client = NULL;
    int code = 0;
    if (ret_client == NULL) {
        code = rf_error_set(&err, -EINVAL, "the place for the client is NULL");
    }
    if (code == 0) {
        code = read_options(options, &known, &err);
    }
    if (code == 0) {
        client = client_new();
        code = client != NULL ? 0 : rf_error_set(&err, -ENOMEM, "no memory for a client");
    }
    if (code == 0) {
        code = client_init(client, registries, &known, &err);
    }
    if (code < 0) {
        regfast_close(client);
        return rf_client_report(code, &err, errbuf, errbuf_size);
    }
    *ret_client = client;
    return 0;
}

void regfast_close(struct regfast_client *client)
{
    if (client == NULL) {
        return;
    }
    const bool is_parents = client->process != getpid();
    if (is_parents) {
        rf_link_drop(&client->link);
    }
    if (client->background != NULL) {
        if (is_parents) {
            /* The thread was anywhere when the process was copied: nothing but the numbers of
             * descriptors is sure to be whole. */
            return;
        }
        rf_background_stop(client->background);
    }
    rf_client_watches_free(client);
    rf_client_drop_submissions(client);
    rf_link_fini(&client->link);
    rf_session_fini(&client->session);
    free(client);
}

const char *regfast_server(const struct regfast_client *client)
{
    return client != NULL ? client->server : "";
}

/* ---- holding a client ---- */

/* In a child of the process that had it, each goes on with a connection of its own. */
static int go_on_in_child(struct regfast_client *client, struct rf_error *err)
{
    int code = rf_link_after_fork(&client->link, err);
    if (code == 0) {
        client->process = getpid();
        rf_client_forget(client);
    }
    return code;
}

uint64_t rf_client_deadline_ns(const struct regfast_client *client)
{
    return rf_client_now_ns() + client->call_timeout_ns;
}

int rf_client_enter(struct regfast_client *client, uint64_t deadline_ns, struct rf_error *err)
{
    if (client->process != getpid()) {
        return client->background == NULL
                   ? go_on_in_child(client, err)
                   : rf_error_set(err, -EINVAL,
                                  "a client with a thread is of the process that opened it");
    }
    if (client->background != NULL && rf_background_enter(client->background, deadline_ns) < 0) {
        return rf_error_set(err, -ETIMEDOUT, "other threads used the client all the time");
    }
    return 0;
}

void rf_client_leave(struct regfast_client *client)
{
    if (client->background != NULL) {
        rf_background_leave(client->background);
    }
}
