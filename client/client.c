/* SPDX-License-Identifier: MIT */
#include "client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

enum {
    SERVER_PORT_DEFAULT = 9800, /* of the registry program */
    CONNECT_TIMEOUT_MS_DEFAULT = 1000,
    CALL_TIMEOUT_MS_DEFAULT = 3000,
    ADDRESSES_MAX = 4, /* tried of one name */
    ATTEMPTS_MAX = 2,
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

int rf_client_check_options(const void *options, size_t size, size_t size_known,
                            struct rf_error *err)
{
    if (size < size_known) { /* with the first field that is added, smaller ones are right too */
        return rf_error_set(err, -EINVAL, "options of size %zu: at least %zu expected", size,
                            size_known);
    }
    const uint8_t *bytes = options;
    for (size_t i = size_known; i < size; i++) {
        if (bytes[i] != 0) {
            return rf_error_set(err, -EINVAL,
                                "options of size %zu: set beyond the %zu bytes that this library "
                                "knows",
                                size, size_known);
        }
    }
    return 0;
}

/* Copies the options, and fills in what is unset. */
static int read_options(const struct regfast_options *options, struct regfast_options *ret,
                        struct rf_error *err)
{
    struct regfast_options known = {0};
    if (options != NULL) {
        int code = rf_client_check_options(options, options->size, sizeof(known), err);
        if (code < 0) {
            return code;
        }
        known = *options;
    }
    if (known.connect_timeout_ms == 0) {
        known.connect_timeout_ms = CONNECT_TIMEOUT_MS_DEFAULT;
    }
    if (known.call_timeout_ms == 0) {
        known.call_timeout_ms = CALL_TIMEOUT_MS_DEFAULT;
    }
    *ret = known;
    return 0;
}

static int read_registries(const char *text, struct regfast_client *client, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    if (text == NULL || text[0] == '\0') {
        return rf_error_set(err, -EINVAL, "no registry given: expected HOST:PORT,...");
    }
    for (;;) {
        size_t size = strcspn(text, ",");
        if (client->registries_count == RF_CLIENT_REGISTRIES_MAX) {
            return rf_error_set(err, -EINVAL, "more than %d registries", RF_CLIENT_REGISTRIES_MAX);
        }
        struct rf_registry *registry = &client->registries[client->registries_count++];
        if (size >= sizeof(registry->text)) {
            return rf_error_set(err, -EINVAL, "registry %s: %zu bytes, allowed %zu",
                                rf_text_quote(text, quoted), size, sizeof(registry->text) - 1);
        }
        memcpy(registry->text, text, size);
        registry->text[size] = '\0';
        int code =
            rf_host_port_parse(registry->text, SERVER_PORT_DEFAULT, &registry->host_port, err);
        if (code < 0) {
            return rf_error_prefix(err, code, "registry");
        }
        if (text[size] == '\0') {
            return 0;
        }
        text += size + 1;
    }
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
        client = calloc(1, sizeof(*client));
        code = client != NULL ? 0 : rf_error_set(&err, -ENOMEM, "no memory for a client");
    }
    if (code == 0) {
        rf_link_init(&client->link);
        client->server = "";
        client->connect_timeout_ns = known.connect_timeout_ms * ns_per_ms;
        client->call_timeout_ns = known.call_timeout_ms * ns_per_ms;
        code = read_registries(registries, client, &err);
    }
    if (code < 0) {
        free(client);
        return rf_client_report(code, &err, errbuf, errbuf_size);
    }
    *ret_client = client;
    return 0;
}

void regfast_close(struct regfast_client *client)
{
    if (client != NULL) {
        rf_link_fini(&client->link);
        free(client);
    }
}

const char *regfast_server(const struct regfast_client *client)
{
    return client != NULL ? client->server : "";
}

/* ---- a round trip ---- */

uint64_t rf_client_deadline_ns(const struct regfast_client *client)
{
    return rf_client_now_ns() + client->call_timeout_ns;
}

/* Our own process lacks something: no other registry can help. */
static bool is_local(int code)
{
    return code == -EMFILE || code == -ENFILE || code == -ENOBUFS || code == -ENOMEM;
}

/* The registry is gone, or wants to be: another one can help, or the same once more. */
static bool is_lost(int code)
{
    return code == RF_EUNAVAILABLE ||
           (code > RF_EMALFORMED && code != -EREMOTEIO && !is_local(code));
}

/* When to give up one registry of several, so that one that hangs leaves time for another. */
static uint64_t turn_deadline_ns(uint64_t deadline_ns, bool has_another)
{
    uint64_t now_ns = rf_client_now_ns();
    return has_another && now_ns < deadline_ns ? now_ns + (deadline_ns - now_ns) / 2 : deadline_ns;
}

static int connect_registry(struct regfast_client *client, const struct rf_registry *registry,
                            uint64_t deadline_ns, struct rf_error *err)
{
    struct rf_address addresses[ADDRESSES_MAX];
    int count = rf_host_port_resolve(&registry->host_port, addresses, ADDRESSES_MAX, err);
    int code = count < 0 ? count : -EHOSTUNREACH;
    for (int i = 0; i < count; i++) {
        uint64_t connect_ns = rf_client_now_ns() + client->connect_timeout_ns;
        code = rf_link_open(&client->link, &addresses[i],
                            connect_ns < deadline_ns ? connect_ns : deadline_ns, err);
        if (code == 0 || is_local(code)) {
            break;
        }
    }
    return code < 0 ? rf_error_prefix(err, code, "%s", registry->text) : 0;
}

int rf_client_connect(struct regfast_client *client, uint64_t deadline_ns, struct rf_error *err)
{
    int code = 0;
    for (size_t i = 0; i < client->registries_count; i++) {
        code =
            connect_registry(client, &client->registries[client->current],
                             turn_deadline_ns(deadline_ns, i + 1 < client->registries_count), err);
        if (code == 0) {
            client->serial++;
            return 0;
        }
        if (is_local(code)) {
            return code;
        }
        client->current = (client->current + 1) % client->registries_count;
        if (rf_client_now_ns() >= deadline_ns) {
            code = -ETIMEDOUT;
            break;
        }
        code = RF_EUNAVAILABLE;
    }
    if (client->registries_count > 1) {
        return rf_error_prefix(err, code, "no registry answers; the last");
    }
    err->code = code;
    return code;
}

/* The code and text of an error reply. */
static int read_error(const struct rf_wire_header *header, const uint8_t *payload,
                      struct rf_error *err)
{
    char text[RF_WIRE_ERROR_TEXT_SIZE_MAX + 1];
    size_t size = header->payload_size < sizeof(text) ? header->payload_size : sizeof(text) - 1;
    int code = rf_wire_code_of(header->status);
    for (size_t i = 0; i < size; i++) { /* it ends up in terminals and logs */
        text[i] = (char)(payload[i] < 0x20 || payload[i] == 0x7f ? '?' : payload[i]);
    }
    text[size] = '\0';
    if (header->op == RF_WIRE_NONE && code == RF_EUNSUPPORTED) {
        code = RF_EVERSION;
    }
    return rf_error_set(err, code, "%s", size > 0 ? text : rf_wire_status_name(header->status));
}

static int exchange(struct regfast_client *client, size_t frame_size, uint64_t deadline_ns,
                    struct rf_wire_bytes *ret_payload, struct rf_error *err)
{
    struct rf_wire_header header;
    const uint8_t *payload;
    const char *server = client->registries[client->current].text;
    int code = rf_link_call(&client->link, rf_client_request(client), frame_size, deadline_ns,
                            &header, &payload, err);
    if (code < 0) {
        return rf_error_prefix(err, code, "%s", server);
    }
    client->server = server;
    if (header.status != RF_WIRE_OK) {
        code = read_error(&header, payload, err);
        if (code == RF_EMALFORMED || code == RF_EUNAVAILABLE || header.op == RF_WIRE_NONE) {
            rf_link_close(&client->link); /* so does the server */
        }
        return rf_error_prefix(err, code, "%s", server);
    }
    *ret_payload = (struct rf_wire_bytes){payload, header.payload_size};
    return 0;
}

int rf_client_call(struct regfast_client *client, size_t frame_size, uint64_t deadline_ns,
                   struct rf_wire_bytes *ret_payload, struct rf_error *err)
{
    RF_ASSERT(frame_size >= RF_WIRE_HEADER_SIZE);
    int code = 0;
    client->request_id++;
    for (int attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
        if (!rf_link_is_open(&client->link)) {
            code = rf_client_connect(client, deadline_ns, err);
            if (code < 0) {
                return code; /* all have been tried */
            }
        }
        bool has_another = attempt < ATTEMPTS_MAX && client->registries_count > 1;
        code = exchange(client, frame_size, turn_deadline_ns(deadline_ns, has_another), ret_payload,
                        err);
        if (code == 0 || !is_lost(code)) {
            return code;
        }
        client->current = (client->current + 1) % client->registries_count;
        if (rf_client_now_ns() >= deadline_ns) {
            break;
        }
    }
    err->code = code == -ETIMEDOUT ? code : RF_EUNAVAILABLE;
    return err->code;
}

int rf_client_refuse(struct regfast_client *client, int code, struct rf_error *err)
{
    rf_link_close(&client->link);
    return rf_error_prefix(err, code, "%s", client->server);
}

int rf_client_in_group(int code, const char *group, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    return code == RF_ENOTFOUND
               ? rf_error_prefix(err, code, "group %s", rf_text_quote(group, quoted))
               : code;
}
