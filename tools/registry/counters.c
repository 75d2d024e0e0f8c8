/* SPDX-License-Identifier: MIT */
#include "tools/registry/counters.h"

#include "core/server_counters.h"
#include "tools/registry/gossip_metrics.h"
#include "tools/registry/intake.h"

/* The caller looks at the stream's error flag. */
static void print_rows(FILE *stream, const struct rf_counter_info *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(stream, "%s\t%s\t%s\t%s\n", rows[i].name,
                      rows[i].kind == RF_COUNTER_GAUGE ? "now" : "total", rows[i].unit,
                      rows[i].meaning);
    }
}

void rf_registry_print_counters(FILE *stream)
{
    static struct rf_gossip_metrics metrics; /* some 10 KiB, and has the names */
    rf_gossip_metrics_init(&metrics);
    print_rows(stream, rf_intake_counters_info, RF_INTAKE_COUNTERS_COUNT);
    print_rows(stream, metrics.info, RF_GOSSIP_METRICS_COUNT);
    print_rows(stream, rf_server_counters_info, RF_SERVER_COUNTERS_COUNT);
}
