/* SPDX-License-Identifier: MIT */
#include "client/registries.h"

#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "core/entries.h"
#include "core/text.h"

enum {
    SERVER_PORT_DEFAULT = 9800, /* of the registry program */
    REST_DOUBLINGS_MAX = 6,     /* 50 ms << 6 is above the limit */
};

static const uint64_t ns_per_ms = 1000000;

static int entry_init(struct rf_registry *entry, const char *text, size_t size,
                      struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    *entry = (struct rf_registry){.is_given = true};
    if (size >= sizeof(entry->text)) {
        return rf_error_set(err, -EINVAL, "registry %s: %zu bytes, allowed %zu",
                            rf_text_quote(text, quoted), size, sizeof(entry->text) - 1);
    }
    memcpy(entry->text, text, size);
    entry->text[size] = '\0';
    int code = rf_host_port_parse(entry->text, SERVER_PORT_DEFAULT, &entry->host_port, err);
    return code < 0 ? rf_error_prefix(err, code, "registry") : 0;
}

static void entry_add(struct rf_registries *registries, const struct rf_registry *from)
{
    struct rf_registry *entry = &registries->entries[registries->count++];
    *entry = *from;
    entry->rank = registries->in_order ? registries->ranked++ : rf_random_next(&registries->random);
}

int rf_registries_init(struct rf_registries *registries, const char *text, bool in_order,
                       uint64_t seed, struct rf_error *err)
{
    registries->random = (struct rf_random){seed};
    registries->in_order = in_order;
    registries->ranked = 0;
    registries->count = 0;
    if (text == NULL || text[0] == '\0') {
        return rf_error_set(err, -EINVAL, "no registry given: expected HOST:PORT,...");
    }
    struct rf_entries entries = rf_entries(text);
    const char *entry;
    size_t size;
    int code;
    while ((code = rf_entries_next(&entries, &entry, &size, err)) == 1) {
        if (registries->count == RF_REGISTRIES_GIVEN_MAX) {
            return rf_error_set(err, -EINVAL, "more than %d registries", RF_REGISTRIES_GIVEN_MAX);
        }
        struct rf_registry given;
        code = entry_init(&given, entry, size, err);
        if (code < 0) {
            return code;
        }
        entry_add(registries, &given);
    }
    return code < 0 ? rf_error_prefix(err, code, "registries") : 0;
}

void rf_registries_told_begin(struct rf_registries *registries)
{
    for (size_t i = 0; i < registries->count; i++) {
        registries->entries[i].is_told = false;
    }
}

void rf_registries_told_add(struct rf_registries *registries, const char *text)
{
    struct rf_registry told;
    if (entry_init(&told, text, strlen(text), NULL) < 0) {
        return;
    }
    for (size_t i = 0; i < registries->count; i++) {
        const struct rf_host_port *known = &registries->entries[i].host_port;
        if (known->port == told.host_port.port && strcmp(known->host, told.host_port.host) == 0) {
            registries->entries[i].is_told = true; /* if in other words: without the port, say */
            return;
        }
    }
    if (registries->count < RF_REGISTRIES_MAX) {
        told.is_given = false;
        told.is_told = true;
        entry_add(registries, &told);
    }
}

struct rf_registry *rf_registries_told_end(struct rf_registries *registries,
                                           struct rf_registry *current)
{
    struct rf_registry *ret = NULL;
    size_t count = registries->count;
    registries->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct rf_registry *from = &registries->entries[i];
        if (!from->is_given && !from->is_told && from != current) {
            continue;
        }
        struct rf_registry *to = &registries->entries[registries->count++];
        if (from == current) {
            ret = to;
        }
        if (from != to) {
            *to = *from;
        }
    }
    return ret;
}

const struct rf_registry *rf_registries_next_const(const struct rf_registries *registries)
{
    RF_ASSERT(registries->count > 0);
    const struct rf_registry *next = &registries->entries[0];
    for (size_t i = 1; i < registries->count; i++) {
        const struct rf_registry *entry = &registries->entries[i];
        if (entry->failed_ns < next->failed_ns ||
            (entry->failed_ns == next->failed_ns && entry->rank < next->rank)) {
            next = entry;
        }
    }
    return next;
}

struct rf_registry *rf_registries_next(struct rf_registries *registries)
{
    return (struct rf_registry *)rf_registries_next_const(registries);
}

bool rf_registries_doubt(const struct rf_registries *registries, struct rf_registry *registry,
                         uint64_t now_ns)
{
    registry->doubt_ns = now_ns + RF_REGISTRY_DOUBT_MS * ns_per_ms;
    for (size_t i = 0; i < registries->count; i++) {
        const struct rf_registry *other = &registries->entries[i];
        if (other != registry && other->doubt_ns <= now_ns && other->rest_ns <= now_ns) {
            return true;
        }
    }
    return false;
}

void rf_registries_failed(struct rf_registries *registries, struct rf_registry *registry,
                          uint64_t up_ns, uint64_t now_ns)
{
    if (up_ns > 0 && now_ns - up_ns >= RF_REGISTRY_REST_MS_MAX * ns_per_ms) {
        registry->failures = 0;
    }
    uint32_t doublings =
        registry->failures < REST_DOUBLINGS_MAX ? registry->failures : REST_DOUBLINGS_MAX;
    uint64_t rest_ns = (RF_REGISTRY_REST_MS_MIN * ns_per_ms) << doublings;
    if (rest_ns > RF_REGISTRY_REST_MS_MAX * ns_per_ms) {
        rest_ns = RF_REGISTRY_REST_MS_MAX * ns_per_ms;
    }
    registry->failures++;
    registry->failed_ns = now_ns;
    registry->rest_ns = now_ns + rest_ns / 2 + rf_random_below(&registries->random, rest_ns + 1);
}
