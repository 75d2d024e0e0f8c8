/* SPDX-License-Identifier: MIT
 *
 * The table of groups that are watched on a worker, and looks at it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/catalog.h"
#include "net/watches.h"
#include "net/worker.h"

enum { CONNECTIONS = 64, GROUPS = CONNECTIONS * RF_WATCHES_CONNECTION_MAX, NS_PER_MS = 1000000 };

static struct rf_worker worker;
static struct rf_connection connections[CONNECTIONS];
static struct rf_publisher publisher;
static struct rf_roster *roster;
static unsigned told[GROUPS]; /* by request id: replies since told_nothing */

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

/* ---- looks ---- */

static void publish(void)
{
    struct rf_catalog *catalog = NULL;
    assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
    assert_non_null(catalog);
    rf_publish(&publisher, &catalog->published);
    (void)rf_publisher_reclaim(&publisher);
    rf_watches_look(&worker);
}

static void change_group(unsigned number, bool is_there, const char *addr)
{
    char id[32];
    char name[32];
    (void)snprintf(id, sizeof(id), "member-%u", number);
    (void)snprintf(name, sizeof(name), "group-%u", number);
    const struct rf_member member = {
        .id = id, .group = name, .addr = addr, .replicas = 1, .state = RF_MEMBER_ALIVE};
    int code = is_there ? rf_roster_put(roster, &member, NULL) : rf_roster_remove(roster, id);
    assert_int_equal(code, 1);
}

/* What connections would send is counted. */
static void read_replies(void)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct rf_buffer *out = connections[i].filling;
        while (rf_buffer_used(out) > 0) {
            const struct rf_wire_header header = rf_wire_header_load(out->data + out->begin);
            told[header.request_id]++;
            out->begin += RF_WIRE_HEADER_SIZE + header.payload_size;
        }
        if (out != NULL) {
            out->begin = out->end = 0;
        }
    }
}

static void told_nothing(void)
{
    memset(told, 0, sizeof(told));
}

/* One round of the worker. Returns whether the next one has something to do at once. */
static bool run_round(void)
{
    rf_watches_tell(&worker);
    read_replies();
    return rf_watches_deadline_ns(&worker) <= worker.now_ns;
}

static unsigned run_rounds(void)
{
    unsigned count = 1;
    while (run_round()) {
        count++;
    }
    return count;
}

static void pass_ms(unsigned ms)
{
    worker.now_ns += (uint64_t)ms * NS_PER_MS;
}

/* All groups are watched, none of them is there, and who watches knows that. */
static int start(void **state)
{
    (void)state;
    static const struct rf_info_source info = {.instance = 1};
    struct rf_catalog *first = NULL;
    memset(&worker, 0, sizeof(worker));
    memset(connections, 0, sizeof(connections));
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    assert_int_equal(rf_roster_commit(roster, &first, NULL), 0);
    rf_publisher_init(&publisher, &first->published);
    assert_int_equal(rf_reader_init(&worker.reader, &publisher), 0);
    worker.config.info = &info;
    worker.pool.size_max = UINT64_MAX;
    worker.dirty_end = &worker.dirty;
    worker.now_ns = 1000 * (uint64_t)NS_PER_MS;
    rf_watches_init(&worker.watches);
    for (unsigned i = 0; i < GROUPS; i++) {
        connections[i / RF_WATCHES_CONNECTION_MAX].phase = RF_CONNECTION_SERVING;
        watch(&connections[i / RF_WATCHES_CONNECTION_MAX], i);
    }
    told_nothing();
    (void)run_rounds();
    for (unsigned i = 0; i < GROUPS; i++) {
        assert_int_equal(told[i], 1);
    }
    told_nothing();
    pass_ms(1000);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        rf_watches_end(&worker, &connections[i]);
        rf_buffer_put(&worker.pool, connections[i].filling);
    }
    rf_watches_fini(&worker.watches);
    rf_buffer_pool_fini(&worker.pool);
    rf_reader_fini(&worker.reader);
    rf_roster_free(roster);
    rf_publisher_fini(&publisher);
    return 0;
}

static void look_over_many_groups_takes_as_many_rounds(void **state)
{
    (void)state;
    assert_false(run_round());
    change_group(7, true, "a");
    publish();
    assert_in_range(run_rounds(), GROUPS / RF_WATCH_LOOK_ROUND_MAX,
                    2 * (GROUPS / RF_WATCH_LOOK_ROUND_MAX));
    for (unsigned i = 0; i < GROUPS; i++) {
        assert_int_equal(told[i], i == 7 ? 1 : 0);
    }
}

static void group_with_many_watchers_takes_several_rounds_to_look_at(void **state)
{
    (void)state;
    static struct rf_connection many[4 * RF_WATCH_LOOK_ROUND_MAX];
    for (unsigned i = 0; i < 4 * RF_WATCH_LOOK_ROUND_MAX; i++) {
        watch(&many[i], 3);
    }
    (void)run_rounds();
    for (unsigned i = 0; i < 4 * RF_WATCH_LOOK_ROUND_MAX; i += 2) {
        rf_watches_end(&worker, &many[i]);
    }
    pass_ms(1000);
    change_group(3, true, "a");
    publish();
    told_nothing();
    assert_true(run_round()); /* it is at those watchers now, one of whom ends */
    for (unsigned i = 4 * RF_WATCH_LOOK_ROUND_MAX; i-- > 0;) {
        rf_watches_end(&worker, &many[i]);
    }
    (void)run_rounds();
    assert_int_equal(told[3], 1);
}

static void what_is_published_during_a_look_is_told_once(void **state)
{
    (void)state;
    const unsigned numbers[] = {0, 1, 2000, 9000, GROUPS - 1};
    const size_t count = sizeof(numbers) / sizeof(numbers[0]);
    for (unsigned rounds = 0; rounds < GROUPS / RF_WATCH_LOOK_ROUND_MAX + 2; rounds++) {
        const char *addr = rounds % 2 == 0 ? "b" : "c";
        change_group(5000, rounds % 2 == 0, "a"); /* makes it look */
        publish();
        for (unsigned i = 0; i < rounds; i++) {
            (void)run_round();
        }
        told_nothing();
        for (size_t i = 0; i < count; i++) {
            change_group(numbers[i], true, addr);
        }
        publish();
        pass_ms(GROUPS * RF_WATCH_LOOK_NS / NS_PER_MS + 1); /* the next look may begin */
        (void)run_rounds();
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(told[numbers[i]], 1);
        }
        pass_ms(3000); /* all windows are over */
        (void)run_rounds();
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(told[numbers[i]], 1);
        }
    }
}

static void group_that_ends_during_a_look_is_told_to_have_ended(void **state)
{
    (void)state;
    const unsigned numbers[] = {0, 1, 2000, 9000, GROUPS - 1};
    const size_t count = sizeof(numbers) / sizeof(numbers[0]);
    for (unsigned rounds = 0; rounds < GROUPS / RF_WATCH_LOOK_ROUND_MAX + 2; rounds++) {
        for (size_t i = 0; i < count; i++) {
            change_group(numbers[i], true, "a");
        }
        publish();
        (void)run_rounds();
        pass_ms(3000);
        (void)run_rounds();
        change_group(5000, rounds % 2 == 0, "a");
        publish();
        for (unsigned i = 0; i < rounds; i++) {
            (void)run_round();
        }
        told_nothing();
        for (size_t i = 0; i < count; i++) {
            change_group(numbers[i], false, NULL);
        }
        publish();
        pass_ms(GROUPS * RF_WATCH_LOOK_NS / NS_PER_MS + 1);
        (void)run_rounds();
        pass_ms(3000);
        (void)run_rounds();
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(told[numbers[i]], 1);
        }
    }
}

static void watches_may_begin_and_end_during_a_look(void **state)
{
    (void)state;
    change_group(9000, true, "a");
    publish();
    (void)run_round();
    for (unsigned i = 0; i < CONNECTIONS; i++) { /* all but the one with 9000, the table shrinks */
        if (i != 9000 / RF_WATCHES_CONNECTION_MAX) {
            rf_watches_end(&worker, &connections[i]);
        }
    }
    (void)run_round();
    for (unsigned i = 0; i < 8 * RF_WATCHES_CONNECTION_MAX; i++) {
        watch(&connections[i / RF_WATCHES_CONNECTION_MAX], i);
    }
    (void)run_rounds();
    assert_int_equal(told[9000], 1);
    assert_int_equal(told[8 * RF_WATCHES_CONNECTION_MAX - 1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_watched_groups_is_as_large_as_they_are_many),
        cmocka_unit_test_setup_teardown(look_over_many_groups_takes_as_many_rounds, start, stop),
        cmocka_unit_test_setup_teardown(group_with_many_watchers_takes_several_rounds_to_look_at,
                                        start, stop),
        cmocka_unit_test_setup_teardown(what_is_published_during_a_look_is_told_once, start, stop),
        cmocka_unit_test_setup_teardown(group_that_ends_during_a_look_is_told_to_have_ended, start,
                                        stop),
        cmocka_unit_test_setup_teardown(watches_may_begin_and_end_during_a_look, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
