/* SPDX-License-Identifier: MIT
 *
 * test_gossip_metrics.c - the counters of gossip under the names by which `regctl info` has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/server_counters.h"
#include "net/info.h"
#include "tools/registry/gossip_metrics.h"
#include "tools/registry/intake.h"

static struct rf_gossip_metrics metrics;

static const struct rf_counter_info *find(const char *name)
{
    struct rf_counters_view view = rf_gossip_metrics_view(&metrics);
    for (size_t i = 0; i < view.count; i++) {
        if (strcmp(view.info[i].name, name) == 0) {
            return &view.info[i];
        }
    }
    return NULL;
}

static void every_bounded_queue_and_buffer_shows_its_depth(void **state)
{
    (void)state;
    static const char *const gauges[] = {"swim_nodes",
                                         "swim_queue_depth",
                                         "swim_relays",
                                         "swim_exchanges",
                                         "serf_members",
                                         "serf_intents",
                                         "serf_event_bytes",
                                         "serf_intent_queue_depth",
                                         "serf_query_queue_depth",
                                         "serf_queries_kept",
                                         "serf_event_queue_depth",
                                         "gossip_streams",
                                         "gossip_stream_bytes"};
    rf_gossip_metrics_init(&metrics);
    for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        const struct rf_counter_info *row = find(gauges[i]);
        if (row == NULL || row->kind != RF_COUNTER_GAUGE) {
            fail_msg("%s", gauges[i]);
        }
    }
    const struct rf_counter_info *total = find("swim_strangers_refused");
    assert_true(total != NULL && total->kind == RF_COUNTER_TOTAL);
    assert_non_null(find("serf_dropped_limit")); /* not serf_serf_... */
}

static void names_are_there_once_and_all_fit_into_an_info_reply(void **state)
{
    (void)state;
    rf_gossip_metrics_init(&metrics);
    struct rf_counters_view view = rf_gossip_metrics_view(&metrics);
    for (size_t i = 0; i < view.count; i++) {
        assert_ptr_equal(find(view.info[i].name), &view.info[i]);
        for (size_t j = 0; j < RF_SERVER_COUNTERS_COUNT; j++) {
            assert_string_not_equal(view.info[i].name, rf_server_counters_info[j].name);
        }
    }
    assert_true(view.count + RF_INTAKE_COUNTERS_COUNT <= RF_INFO_OTHERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bounded_queue_and_buffer_shows_its_depth),
        cmocka_unit_test(names_are_there_once_and_all_fit_into_an_info_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
