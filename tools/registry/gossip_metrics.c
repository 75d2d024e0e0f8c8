/* SPDX-License-Identifier: MIT */
#include "tools/registry/gossip_metrics.h"

#include <stdio.h>
#include <string.h>

#include "core/assert.h"

/* The machines' tables say which of their rows are gauges by how the meaning begins. */
#define STAT_ROW(name, unit, meaning) {#name, unit, meaning, RF_COUNTER_TOTAL},
static const struct rf_counter_info swim_info[] = {RF_SWIM_STATS(STAT_ROW)};
static const struct rf_counter_info serf_info[] = {RF_SERF_STATS(STAT_ROW)};

/* Returns the index behind the table's rows. */
static size_t add_rows(struct rf_gossip_metrics *metrics, size_t index, const char *prefix,
                       const struct rf_counter_info *rows, size_t count)
{
    size_t prefix_size = strlen(prefix);
    for (size_t i = 0; i < count; i++, index++) {
        bool has_prefix = strncmp(rows[i].name, prefix, prefix_size) == 0;
        int size = snprintf(metrics->names[index], RF_GOSSIP_METRIC_NAME_SIZE, "%s%s",
                            has_prefix ? "" : prefix, rows[i].name);
        RF_ASSERT(size > 0 && size < RF_GOSSIP_METRIC_NAME_SIZE);
        metrics->info[index] = rows[i];
        metrics->info[index].name = metrics->names[index];
        if (strncmp(rows[i].meaning, "now:", 4) == 0) {
            metrics->info[index].kind = RF_COUNTER_GAUGE;
        }
    }
    return index;
}

void rf_gossip_metrics_init(struct rf_gossip_metrics *metrics)
{
    memset(metrics, 0, sizeof(*metrics));
    size_t index =
        add_rows(metrics, 0, "gossip_", rf_gossip_counters_info, RF_GOSSIP_COUNTERS_COUNT);
    index = add_rows(metrics, index, "swim_", swim_info, sizeof(swim_info) / sizeof(swim_info[0]));
    index = add_rows(metrics, index, "serf_", serf_info, sizeof(serf_info) / sizeof(serf_info[0]));
    RF_ASSERT(index == RF_GOSSIP_METRICS_COUNT);
}

void rf_gossip_metrics_copy(struct rf_gossip_metrics *metrics, struct rf_gossip *gossip)
{
    uint64_t driver[RF_GOSSIP_COUNTERS_COUNT] = {0};
    rf_counters_add_to(rf_gossip_counters(gossip), RF_GOSSIP_COUNTERS_COUNT, driver);
    size_t index = 0;
    for (; index < RF_GOSSIP_COUNTERS_COUNT; index++) {
        rf_counter_set(&metrics->values[index], driver[index]);
    }
    struct rf_serf_stats stats;
    if (rf_gossip_get_serf_stats(gossip, &stats) < 0) {
        return;
    }
#define COPY_SWIM(name, unit, meaning) rf_counter_set(&metrics->values[index++], stats.swim.name);
#define COPY_SERF(name, unit, meaning) rf_counter_set(&metrics->values[index++], stats.name);
    RF_SWIM_STATS(COPY_SWIM)
    RF_SERF_STATS(COPY_SERF)
#undef COPY_SWIM
#undef COPY_SERF
    RF_ASSERT(index == RF_GOSSIP_METRICS_COUNT);
}

struct rf_counters_view rf_gossip_metrics_view(const struct rf_gossip_metrics *metrics)
{
    return (struct rf_counters_view){
        .info = metrics->info, .counters = metrics->values, .count = RF_GOSSIP_METRICS_COUNT};
}
