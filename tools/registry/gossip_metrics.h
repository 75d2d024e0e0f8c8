/* SPDX-License-Identifier: MIT
 *
 * gossip_metrics.h - what the gossip thread and its machines count, copied to where a server reads
 * it: names with the prefix of their table, gossip_, swim_ or serf_.
 */
#ifndef RF_TOOLS_REGISTRY_GOSSIP_METRICS_H
#define RF_TOOLS_REGISTRY_GOSSIP_METRICS_H

#include "core/counters.h"
#include "gossip/gossip.h"
#include "gossip/serf.h"

#define RF_STAT_ONE(name, unit, meaning) +1

enum {
    RF_GOSSIP_METRICS_COUNT =
        RF_GOSSIP_COUNTERS_COUNT + (0 RF_SWIM_STATS(RF_STAT_ONE)) + (0 RF_SERF_STATS(RF_STAT_ONE)),
    RF_GOSSIP_METRIC_NAME_SIZE = 32 + 1,
};

struct rf_gossip_metrics {
    struct rf_counter values[RF_GOSSIP_METRICS_COUNT];
    struct rf_counter_info info[RF_GOSSIP_METRICS_COUNT]; /* constant once initialised */
    char names[RF_GOSSIP_METRICS_COUNT][RF_GOSSIP_METRIC_NAME_SIZE];
};

/* All zero, with their names. `metrics` stays where it is. */
void rf_gossip_metrics_init(struct rf_gossip_metrics *metrics);

/* Copies what is counted now; without an answer of the gossip thread the machines' stay as they
 * were. Threads: one; waits for the gossip thread as rf_gossip_members does. */
void rf_gossip_metrics_copy(struct rf_gossip_metrics *metrics, struct rf_gossip *gossip);

/* Borrowed. Threads: any may read. */
struct rf_counters_view rf_gossip_metrics_view(const struct rf_gossip_metrics *metrics);

#endif
