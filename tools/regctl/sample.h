/* SPDX-License-Identifier: MIT
 *
 * sample.h - what a registry has counted until a moment, and what that says of the time since an
 * earlier one. Rates are differences of counters that only grow.
 */
#ifndef RF_TOOLS_REGCTL_SAMPLE_H
#define RF_TOOLS_REGCTL_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/regfast.h"
#include "core/octaves.h"

enum {
    REGCTL_WORKERS_MAX = 256, /* a server has no more */
    REGCTL_SAMPLE_TEXT_SIZE = 64,
};

/* As `worker_N` of INFO has them. */
struct regctl_worker_sample {
    uint64_t requests;
    uint64_t keys; /* looked up */
    uint64_t batches;
    uint64_t connections; /* open now */
    uint64_t watches;     /* likewise */
    uint64_t received;    /* bytes */
    uint64_t sent;        /* bytes */
    uint64_t blocked;     /* waits that gave up the core */
};

struct regctl_sample {
    uint64_t taken_ns; /* of the monotonic clock */
    char node[REGCTL_SAMPLE_TEXT_SIZE];
    char instance[REGCTL_SAMPLE_TEXT_SIZE]; /* another one: all counters began anew */
    char engine[REGCTL_SAMPLE_TEXT_SIZE];
    uint64_t uptime_ms;
    uint64_t version; /* of the catalog: one more with each change */
    uint64_t groups, members, alive;
    struct rf_octaves latency;
    struct regctl_worker_sample sum; /* of all workers */
    struct regctl_worker_sample workers[REGCTL_WORKERS_MAX];
    unsigned workers_count;
};

/* What the registry has said. What it has not said is 0 or empty. */
void rf_regctl_sample_read(const struct regfast_info_list *list, uint64_t taken_ns,
                           struct regctl_sample *ret_sample);

struct regctl_worker_rates {
    double lookups_per_s;
    double requests_per_s;
    double requests_per_batch; /* 0 without batches */
    double received_per_s;     /* bytes */
    double sent_per_s;         /* bytes */
    double blocked_per_s;
};

struct regctl_rates {
    double seconds;
    uint64_t changes; /* of the catalog, in that time */
    uint64_t requests_measured;
    uint64_t p50_ns, p99_ns, p999_ns; /* of these; 0 without any */
    struct regctl_worker_rates sum;
    struct regctl_worker_rates workers[REGCTL_WORKERS_MAX];
};

/* False: they tell nothing, as the registry was started anew in between, or no time has passed. */
bool rf_regctl_rates(const struct regctl_sample *earlier, const struct regctl_sample *later,
                     struct regctl_rates *ret_rates);

#endif
