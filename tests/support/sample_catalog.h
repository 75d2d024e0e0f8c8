/* SPDX-License-Identifier: MIT
 *
 * sample_catalog.h - a catalog to answer from: a group of three, one whose lists need several
 * pages, and one that nobody is left in.
 */
#ifndef RF_TESTS_SUPPORT_SAMPLE_CATALOG_H
#define RF_TESTS_SUPPORT_SAMPLE_CATALOG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/catalog.h"

enum {
    SAMPLE_WEB_COUNT = 3,
    SAMPLE_BIG_COUNT = 400, /* with ids and addresses of 200 bytes: 160 KB, three pages */
    SAMPLE_BIG_NAME_SIZE = 200,
};

static inline void sample_put(struct rf_roster *roster, const char *group, const char *id,
                              const char *addr, uint32_t replicas, enum rf_member_state state)
{
    struct rf_error err;
    const struct rf_member member = {
        .id = id, .group = group, .addr = addr, .replicas = replicas, .state = state};
    if (rf_roster_put(roster, &member, &err) < 0) {
        fprintf(stderr, "sample: %s\n", err.text);
        abort();
    }
}

static inline struct rf_roster *sample_roster(void)
{
    struct rf_error err;
    struct rf_roster *roster;
    if (rf_roster_new(RF_PLACEMENT_V1, &roster, &err) < 0) {
        abort();
    }
    for (int i = 1; i <= SAMPLE_WEB_COUNT; i++) {
        char id[32];
        char addr[32];
        snprintf(id, sizeof(id), "web-%d", i);
        snprintf(addr, sizeof(addr), "10.0.0.%d:80", i);
        sample_put(roster, "web", id, addr, 100, RF_MEMBER_ALIVE);
    }
    for (int i = 0; i < SAMPLE_BIG_COUNT; i++) {
        char id[SAMPLE_BIG_NAME_SIZE + 1];
        char addr[SAMPLE_BIG_NAME_SIZE + 1];
        snprintf(id, sizeof(id), "big-%03d-%0*d", i, SAMPLE_BIG_NAME_SIZE - 8, i);
        snprintf(addr, sizeof(addr), "%0*d:80", SAMPLE_BIG_NAME_SIZE - 3, i);
        sample_put(roster, "big", id, addr, 10, RF_MEMBER_ALIVE);
    }
    sample_put(roster, "gone", "gone-1", "10.0.1.1:80", 10, RF_MEMBER_FAILED);
    return roster;
}

static inline struct rf_catalog *sample_commit(struct rf_roster *roster)
{
    struct rf_error err;
    struct rf_catalog *catalog;
    if (rf_roster_commit(roster, &catalog, &err) < 0 || catalog == NULL) {
        fprintf(stderr, "sample: no catalog\n");
        abort();
    }
    return catalog;
}

static inline struct rf_catalog *sample_catalog(void)
{
    struct rf_roster *roster = sample_roster();
    struct rf_catalog *catalog = sample_commit(roster);
    rf_roster_free(roster);
    return catalog;
}

static inline void sample_catalog_free(struct rf_catalog *catalog)
{
    catalog->published.free(&catalog->published);
}

#endif
