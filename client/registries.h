/* SPDX-License-Identifier: MIT
 *
 * registries.h - the registries that a client may ask: which one is next, and when.
 *
 * The one that has not failed for longest is next, so that as many tries as there are registries
 * are one for each. Those that have not failed keep their order: as given, or by chance, so
 * that many clients spread. After each failure in a row a registry rests longer.
 */
#ifndef RF_CLIENT_REGISTRIES_H
#define RF_CLIENT_REGISTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/error.h"
#include "core/random.h"

enum {
    RF_REGISTRIES_GIVEN_MAX = 16, /* enough for any cluster; bounds the time of one call */
    RF_REGISTRIES_MAX = 32,       /* with those that were discovered */
    RF_REGISTRY_TEXT_SIZE = RF_HOST_SIZE_MAX + 16, /* host, brackets, colon, port, NUL */
    RF_REGISTRY_REST_MS_MIN = 50,                  /* after the first failure, +-50 % */
    RF_REGISTRY_DOUBT_MS = 30 * 1000,              /* it learns meanwhile */
    RF_REGISTRY_REST_MS_MAX = 2000,                /* after many */
};

struct rf_registry {
    struct rf_host_port host_port;
    char text[RF_REGISTRY_TEXT_SIZE]; /* "HOST:PORT", as it was given */
    uint64_t rank;                    /* of two that have not failed the lower one is first */
    bool is_given;                    /* by the program: stays, whoever is discovered */
    bool is_told;                     /* by the last list that was discovered */
    uint32_t failures;                /* in a row */
    uint64_t failed_ns;               /* 0: never */
    uint64_t rest_ns;                 /* until then it rests */
    uint64_t doubt_ns;                /* until then it is known to know less than others */
};

struct rf_registries {
    struct rf_random random;
    bool in_order;
    uint64_t ranked; /* the next rank, if they are in order */
    size_t count;
    struct rf_registry entries[RF_REGISTRIES_MAX];
};

/* Reads "HOST:PORT,HOST:PORT,...". Errors: -EINVAL. */
RF_NODISCARD int rf_registries_init(struct rf_registries *registries, const char *text,
                                    bool in_order, uint64_t seed, struct rf_error *err);

/*
 * Registries that were discovered: between begin and end, add each. What was discovered before and
 * is not any more goes, but for `current` (may be NULL). Bad ones, and more than there is room for
 * beside those before, are left out.
 * Returns where `current` is now.
 */
void rf_registries_told_begin(struct rf_registries *registries);
void rf_registries_told_add(struct rf_registries *registries, const char *text);
struct rf_registry *rf_registries_told_end(struct rf_registries *registries,
                                           struct rf_registry *current);

/* The one to try next. */
struct rf_registry *rf_registries_next(struct rf_registries *registries);
const struct rf_registry *rf_registries_next_const(const struct rf_registries *registries);

/* It knows less than we have been told before. Returns whether there is another one that is worth a
 * try; all having been tried, one stays with the last for a while. */
bool rf_registries_doubt(const struct rf_registries *registries, struct rf_registry *registry,
                         uint64_t now_ns);

/* It could not be reached, or its connection was lost. `up_ns` is since when it has been
 * connected, 0: it was not; having been of use for some time it begins anew with its rests. */
void rf_registries_failed(struct rf_registries *registries, struct rf_registry *registry,
                          uint64_t up_ns, uint64_t now_ns);

#endif
