/* SPDX-License-Identifier: MIT
 *
 * replica_private.h - a replica, for replica.c (its writer) and local.c (its readers).
 */
#ifndef RF_CLIENT_REPLICA_PRIVATE_H
#define RF_CLIENT_REPLICA_PRIVATE_H

#include <pthread.h>

#include "client/loads.h"
#include "client/replica.h"
#include "client/view.h"
#include "core/catalog.h"
#include "core/hazard.h"

struct rf_replica {
    struct rf_hazard hazard; /* of views: first, for the readers */
    struct rf_loads loads;

    /* The writer's. */
    char group[RF_NAME_SIZE_MAX + 1];
    char server[sizeof(((struct regfast_watch_status *)NULL)->server)]; /* of the connection */
    enum rf_placement placement;
    struct rf_roster *roster; /* what was told; NULL: to be begun anew */
    uint64_t trim_at_ns;      /* 0: it was trimmed since the last change */
    uint64_t instance;        /* of the last complete update; 0: the next one is whole */
    uint64_t version;
    bool is_void;      /* no connection, or one that is of no use: pages are refused */
    bool is_under_way; /* an update has begun */
    bool is_whole;     /* that one is */
    uint64_t instance_under_way;
    uint64_t doubt_until_ns;      /* updates of a registry that knows few are refused; 0: none is */
    bool is_current;              /* an update was complete on this connection, and not refused */
    struct rf_catalog *committed; /* not published yet, for want of memory; usually NULL */

    /* For status and members. The writer takes the lock to change any of it, and `hazard`. */
    pthread_mutex_t mutex;
    struct regfast_watch_status status; /* but for its age and state */
    uint64_t proved_ns;                 /* when a registry last proved it */
    char refusal[RF_ERROR_TEXT_SIZE];   /* why the last update was refused, or "" */
};

/* Which view is published. */
static inline const struct rf_view *rf_replica_view(const struct rf_replica *replica)
{
    return rf_view_of(rf_hazard_current(&replica->hazard));
}

#endif
