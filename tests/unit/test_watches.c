/* SPDX-License-Identifier: MIT
 *
 * The table of groups that are watched on a worker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/watches.h"
#include "net/worker.h"

enum { CONNECTIONS = 64 };

static struct rf_worker worker;
static struct rf_connection connections[CONNECTIONS];

static void watch(struct rf_connection *connection, unsigned number)
{
    char name[32];
    int size = snprintf(name, sizeof(name), "group-%u", number);
    const struct rf_wire_watch_request request = {.group = {name, (size_t)size}};
    assert_int_equal(rf_watch_start(&worker, connection, &request, number, NULL), 0);
}

static void table_of_watched_groups_is_as_large_as_they_are_many(void **state)
{
    (void)state;
    static const struct rf_info_source info = {.instance = 1};
    worker.config.info = &info;
    rf_watches_init(&worker.watches);
    for (unsigned i = 0; i < CONNECTIONS * RF_WATCHES_CONNECTION_MAX; i++) {
        watch(&connections[i / RF_WATCHES_CONNECTION_MAX], i);
    }
    const struct rf_watches *watches = &worker.watches;
    assert_int_equal(watches->groups_count, CONNECTIONS * RF_WATCHES_CONNECTION_MAX);
    assert_in_range(watches->groups_size, watches->groups_count, 2 * watches->groups_count);
    for (unsigned i = 1; i < CONNECTIONS; i++) {
        rf_watches_end(&worker, &connections[i]);
    }
    assert_int_equal(watches->groups_count, RF_WATCHES_CONNECTION_MAX);
    /* A look passes each place of it, whoever watches or does not any more. */
    assert_in_range(watches->groups_size, watches->groups_count, 8 * watches->groups_count);
    watch(&connections[1], 0); /* it is there: the first connection's */
    assert_int_equal(watches->groups_count, RF_WATCHES_CONNECTION_MAX);
    rf_watches_end(&worker, &connections[0]);
    assert_int_equal(watches->groups_count, 1);
    rf_watches_end(&worker, &connections[1]);
    rf_watches_fini(&worker.watches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_watched_groups_is_as_large_as_they_are_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
