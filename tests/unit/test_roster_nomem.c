/* SPDX-License-Identifier: MIT */
#include "core/catalog.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/queue.h"
#include "tests/support/failing_alloc.h"

static void check_code(int code)
{
    assert_true(code >= 0 || code == -ENOMEM);
}

/* Does the same whatever fails: what did not work is tried once more. */
static void put_again(struct rf_roster *roster, const char *group, uint32_t id_number,
                      uint32_t replicas, const char *addr)
{
    char id[16];
    (void)snprintf(id, sizeof(id), "%u", id_number);
    const struct rf_member member = {
        .id = id, .group = group, .addr = addr, .replicas = replicas, .state = RF_MEMBER_ALIVE};
    const size_t count = rf_roster_members_count(roster);
    int code = rf_roster_put(roster, &member, NULL);
    check_code(code);
    if (code < 0) {
        assert_int_equal(rf_roster_members_count(roster), count);
        code = rf_roster_put(roster, &member, NULL);
    }
    assert_int_equal(code, 1);
}

/* *versions_count counts those of them that were made without what there was no memory for. */
static struct rf_catalog *commit_again(struct rf_roster *roster, uint64_t *versions_count)
{
    struct rf_catalog *catalog = NULL;
    struct rf_error err = {0};
    int code = rf_roster_commit(roster, &catalog, &err);
    check_code(code);
    if (code != 0) {
        assert_true((catalog == NULL) == (code < 0));
        assert_int_equal(err.code, -ENOMEM);
        assert_true(strlen(err.text) > 0);
        if (catalog != NULL) {
            rf_catalog_check(catalog);
            rf_catalog_free(catalog);
            catalog = NULL;
            (*versions_count)++;
        }
        code = rf_roster_commit(roster, &catalog, NULL);
    }
    (*versions_count)++;
    assert_int_equal(code, 0);
    assert_non_null(catalog);
    rf_catalog_check(catalog);
    return catalog;
}

/* Grows every table, and has every kind of change in a commit. Returns the last digest. */
static uint64_t run_scenario(void)
{
    struct rf_roster *roster = NULL;
    int code = rf_roster_new(RF_PLACEMENT_V1, &roster, NULL);
    check_code(code);
    if (code < 0) {
        assert_null(roster);
        assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    }
    for (uint32_t i = 0; i < 150; i++) {
        char group[16];
        (void)snprintf(group, sizeof(group), "g%u", i % 20);
        put_again(roster, group, i, 1 + i % 3, "h:1");
    }
    uint64_t versions_count = 0;
    struct rf_catalog *first = commit_again(roster, &versions_count);
    put_again(roster, "g1", 1, 1 + 1 % 3, "h:2"); /* address only */
    put_again(roster, "g2", 2, 9, "h:1");         /* weight */
    put_again(roster, "g3", 4, 1, "h:1");         /* moves */
    put_again(roster, "new", 1000, 5, "h:1");     /* new group */
    assert_int_equal(rf_roster_remove(roster, "5"), 1);
    struct rf_catalog *second = commit_again(roster, &versions_count);
    assert_true(second->digest != first->digest);
    assert_int_equal(second->version, versions_count);
    rf_catalog_check(first);
    const uint64_t digest = second->digest;
    rf_catalog_free(first);
    rf_catalog_free(second);
    rf_roster_free(roster);
    return digest;
}

static void any_allocation_may_fail_and_the_change_is_only_later(void **state)
{
    (void)state;
    failing_alloc_in = 0;
    const uint64_t digest = run_scenario();
    size_t count = 0;
    bool has_failed = true;
    while (has_failed) {
        failing_alloc_in = ++count;
        assert_int_equal(run_scenario(), digest);
        has_failed = failing_alloc_in == 0;
    }
    failing_alloc_in = 0;
    print_message("%zu allocations failed in turn\n", count - 1);
    assert_true(count > 200);
}

static void put_alive(struct rf_roster *roster, const char *group, const char *id, const char *addr)
{
    const struct rf_member member = {
        .id = id, .group = group, .addr = addr, .replicas = 10, .state = RF_MEMBER_ALIVE};
    assert_int_equal(rf_roster_put(roster, &member, NULL), 1);
}

static const struct rf_group *group_in(const struct rf_catalog *catalog, const char *name)
{
    return rf_catalog_group(catalog, name, strlen(name));
}

static void a_group_without_memory_does_not_keep_others_from_changing(void **state)
{
    (void)state;
    struct rf_roster *roster = NULL;
    struct rf_catalog *catalogs[4] = {NULL};
    struct rf_error err = {0};
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    put_alive(roster, "a", "a-1", "h:1");
    put_alive(roster, "b", "b-1", "h:1");
    put_alive(roster, "c", "c-1", "h:1");
    assert_int_equal(rf_roster_commit(roster, &catalogs[0], NULL), 0);

    put_alive(roster, "a", "a-2", "h:2");
    put_alive(roster, "a", "b-1", "h:2"); /* moves to where there is no memory */
    put_alive(roster, "c", "c-1", "h:2");
    put_alive(roster, "a-new", "n", "h:2");
    failing_alloc_in = 1; /* the first of the group that is the first by name */
    assert_int_equal(rf_roster_commit(roster, &catalogs[1], &err), 1);
    failing_alloc_in = 0;
    assert_int_equal(err.code, -ENOMEM);
    assert_non_null(strstr(err.text, "'a'"));
    rf_catalog_check(catalogs[1]);
    assert_ptr_equal(group_in(catalogs[1], "a"), group_in(catalogs[0], "a"));
    assert_null(group_in(catalogs[1], "b"));
    assert_int_equal(group_in(catalogs[1], "c")->version, 2);
    assert_non_null(group_in(catalogs[1], "a-new"));
    assert_int_equal(catalogs[1]->members_count, 3);

    assert_int_equal(rf_roster_commit(roster, &catalogs[2], NULL), 0);
    rf_catalog_check(catalogs[2]);
    assert_int_equal(group_in(catalogs[2], "a")->version, 3);
    assert_int_equal(group_in(catalogs[2], "a")->alive_count, 3);
    assert_int_equal(group_in(catalogs[2], "a")->since,
                     1); /* who knows version 1 is told a delta */
    assert_int_equal(group_in(catalogs[2], "a")->changed[0], 1);
    assert_true(group_in(catalogs[2], "a")->changed[1] > 1);
    assert_ptr_equal(group_in(catalogs[2], "c"), group_in(catalogs[1], "c"));
    assert_int_equal(catalogs[2]->members_count, 5);

    /* Alone it is an error, and a group that never was in a catalog may go before it is. */
    put_alive(roster, "0", "z", "h:3");
    failing_alloc_in = 1;
    assert_int_equal(rf_roster_commit(roster, &catalogs[3], NULL), -ENOMEM);
    put_alive(roster, "c", "c-2", "h:3");
    failing_alloc_in = 1;
    assert_int_equal(rf_roster_commit(roster, &catalogs[3], NULL), 1);
    failing_alloc_in = 0;
    rf_catalog_check(catalogs[3]);
    assert_null(group_in(catalogs[3], "0"));
    assert_int_equal(rf_roster_remove(roster, "z"), 1);
    struct rf_catalog *none = NULL;
    assert_int_equal(rf_roster_commit(roster, &none, NULL), 0);
    if (none != NULL) {
        rf_catalog_check(none);
        assert_true(none->digest == catalogs[3]->digest);
    }
    rf_catalog_free(none);
    for (size_t i = 0; i < 4; i++) {
        rf_catalog_free(catalogs[i]);
    }
    rf_roster_free(roster);
}

/* One more commit, after a small change to a large ring; returns how many allocations it made. */
static size_t count_allocations(struct rf_roster *roster, uint32_t replicas,
                                struct rf_catalog **ret_catalog)
{
    enum { MANY = 1000 };
    const struct rf_member small = {
        .id = "small", .group = "g", .addr = "h:1", .replicas = replicas};
    assert_int_equal(rf_roster_put(roster, &small, NULL), 1);
    failing_alloc_in = MANY;
    assert_int_equal(rf_roster_commit(roster, ret_catalog, NULL), 0);
    const size_t count = MANY - failing_alloc_in;
    failing_alloc_in = 0;
    return count;
}

static void the_memory_of_a_ring_is_kept_for_the_next_until_it_is_trimmed(void **state)
{
    (void)state;
    struct rf_roster *roster = NULL;
    struct rf_catalog *catalogs[4] = {NULL};
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    for (uint32_t i = 0; i < 4; i++) {
        put_again(roster, "g", i, 60000, "h:1");
    }
    (void)count_allocations(roster, 10, &catalogs[0]);
    const size_t all = count_allocations(roster, 11, &catalogs[1]);
    rf_catalog_free(catalogs[0]);
    assert_int_equal(count_allocations(roster, 12, &catalogs[2]), all - 1);
    rf_catalog_free(catalogs[1]);
    rf_roster_trim(roster);
    assert_int_equal(count_allocations(roster, 13, &catalogs[3]), all);
    rf_catalog_free(catalogs[2]);
    rf_roster_free(roster);
    rf_catalog_free(catalogs[3]);
}

static void a_reader_without_memory_is_not_registered(void **state)
{
    (void)state;
    struct rf_roster *roster = NULL;
    struct rf_catalog *catalog = NULL;
    struct rf_publisher publisher;
    struct rf_reader reader = {0};
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
    rf_publisher_init(&publisher, &catalog->published);
    failing_alloc_in = 1;
    assert_int_equal(rf_reader_init(&reader, &publisher), -ENOMEM);
    assert_null(reader.record);
    assert_int_equal(rf_reader_init(&reader, &publisher), 0);
    rf_reader_fini(&reader);
    failing_alloc_in = 1; /* the record is used again: nothing to fail */
    assert_int_equal(rf_reader_init(&reader, &publisher), 0);
    failing_alloc_in = 0;
    rf_reader_fini(&reader);
    rf_publisher_fini(&publisher);
    rf_roster_free(roster);
}

static void a_queue_without_memory_is_not_made(void **state)
{
    (void)state;
    for (size_t i = 1; i <= 2; i++) {
        struct rf_queue *queue = NULL;
        failing_alloc_in = i;
        assert_int_equal(rf_queue_new(8, &queue, NULL), -ENOMEM);
        assert_null(queue);
    }
    failing_alloc_in = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail_and_the_change_is_only_later),
        cmocka_unit_test(a_group_without_memory_does_not_keep_others_from_changing),
        cmocka_unit_test(the_memory_of_a_ring_is_kept_for_the_next_until_it_is_trimmed),
        cmocka_unit_test(a_reader_without_memory_is_not_registered),
        cmocka_unit_test(a_queue_without_memory_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
