/* SPDX-License-Identifier: MIT
 *
 * What a group says has changed since a version brings any earlier view of it up to date.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/catalog.h"
#include "core/random.h"

enum { IDS = 12, VIEWS = 200, STEPS = 3000 };

/* A group as somebody saw it: what each id was, NULL for unknown ones. */
struct view {
    uint64_t version;
    bool is_known[IDS];
    uint32_t replicas[IDS];
    enum rf_member_state state[IDS];
};

static int number_of(const char *id)
{
    return (int)strtol(id + 1, NULL, 10);
}

static struct view view_of(const struct rf_group *group)
{
    struct view view = {.version = group->version};
    for (size_t i = 0; i < group->members_count; i++) {
        int number = number_of(group->members[i].id);
        view.is_known[number] = true;
        view.replicas[number] = group->members[i].replicas;
        view.state[number] = group->members[i].state;
    }
    return view;
}

static void bring_up_to_date(struct view *view, const struct rf_group *group)
{
    assert_true(view->version >= group->since);
    for (size_t i = 0; i < group->forgotten_count; i++) {
        if (group->forgotten[i].version > view->version) {
            int number = number_of(group->forgotten[i].id);
            view->is_known[number] = false;
            view->replicas[number] = 0;
            view->state[number] = RF_MEMBER_ALIVE;
        }
    }
    for (size_t i = 0; i < group->members_count; i++) {
        if (group->changed[i] > view->version) {
            int number = number_of(group->members[i].id);
            view->is_known[number] = true;
            view->replicas[number] = group->members[i].replicas;
            view->state[number] = group->members[i].state;
        }
    }
    view->version = group->version;
}

static void change_something(struct rf_roster *roster, struct rf_random *random)
{
    char id[16];
    (void)snprintf(id, sizeof(id), "m%u", (unsigned)rf_random_below(random, IDS));
    if (rf_random_below(random, 3) == 0) {
        (void)rf_roster_remove(roster, id);
        return;
    }
    /* Sometimes in another group, which is as good as gone for the one that is looked at. */
    const struct rf_member member = {
        .id = id,
        .group = rf_random_below(random, 8) == 0 ? "db" : "web",
        .addr = "10.0.0.1:80",
        .replicas = 1 + (uint32_t)rf_random_below(random, 3),
        .state = (enum rf_member_state)rf_random_below(random, 4),
    };
    assert_true(rf_roster_put(roster, &member, NULL) >= 0);
}

/* Returns how many views were old enough to be brought up to date. */
static size_t check_views(struct view *views, const size_t *count, const struct rf_group *group)
{
    size_t usable = 0;
    const struct view now = view_of(group);
    for (size_t i = 0; i < *count && i < VIEWS; i++) {
        if (views[i].version >= group->since) {
            struct view view = views[i];
            bring_up_to_date(&view, group);
            assert_memory_equal(&view, &now, sizeof(view));
            usable++;
        }
    }
    views[(*count) % VIEWS] = now;
    return usable;
}

static void what_has_changed_brings_any_earlier_view_up_to_date(void **state)
{
    (void)state;
    struct rf_random random = {.state = 20261123};
    struct rf_roster *roster = NULL;
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    struct view *views = calloc(VIEWS, sizeof(views[0]));
    assert_non_null(views);
    size_t count = 0;
    size_t usable = 0;
    for (int step = 0; step < STEPS; step++) {
        for (uint64_t n = 1 + rf_random_below(&random, 4); n > 0; n--) {
            change_something(roster, &random);
        }
        struct rf_catalog *catalog = NULL;
        assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
        const struct rf_group *group =
            catalog == NULL ? NULL : rf_catalog_group(catalog, "web", strlen("web"));
        if (group != NULL) {
            rf_catalog_check(catalog);
            usable += check_views(views, &count, group);
            count++;
        }
        rf_catalog_free(catalog);
    }
    assert_true(usable > STEPS); /* of each group's past a good part was usable */
    free(views);
    rf_roster_free(roster);
}

static void put(struct rf_roster *roster, const char *id)
{
    const struct rf_member member = {
        .id = id, .group = "web", .addr = "10.0.0.1:80", .replicas = 1, .state = RF_MEMBER_ALIVE};
    assert_int_equal(rf_roster_put(roster, &member, NULL), 1);
}

static struct rf_catalog *commit(struct rf_roster *roster)
{
    struct rf_catalog *catalog = NULL;
    assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
    assert_non_null(catalog);
    rf_catalog_check(catalog);
    return catalog;
}

static void a_group_remembers_so_many_forgotten_members_and_no_more(void **state)
{
    (void)state;
    struct rf_roster *roster = NULL;
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    put(roster, "stays");
    struct rf_catalog *catalog = commit(roster);
    assert_int_equal(rf_catalog_group(catalog, "web", 3)->since, 1);
    for (int i = 0; i < RF_FORGOTTEN_MAX + 2; i++) { /* two versions each: 2 and 3, 4 and 5 ... */
        rf_catalog_free(catalog);
        put(roster, "goes");
        rf_catalog_free(commit(roster));
        assert_int_equal(rf_roster_remove(roster, "goes"), 1);
        catalog = commit(roster);
        const struct rf_group *group = rf_catalog_group(catalog, "web", 3);
        bool is_full = i >= RF_FORGOTTEN_MAX;
        assert_int_equal(group->forgotten_count, is_full ? RF_FORGOTTEN_MAX : i + 1);
        assert_int_equal(group->since, is_full ? 3 + 2 * (i - RF_FORGOTTEN_MAX) : 1);
    }
    rf_catalog_free(catalog);
    rf_roster_free(roster);
}

static void more_forgotten_at_once_than_fit_leave_nothing_to_go_on_from(void **state)
{
    (void)state;
    struct rf_roster *roster = NULL;
    char id[16];
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    put(roster, "stays");
    for (int i = 0; i < RF_FORGOTTEN_MAX + 1; i++) {
        (void)snprintf(id, sizeof(id), "m%d", i);
        put(roster, id);
    }
    rf_catalog_free(commit(roster));
    for (int i = 0; i < RF_FORGOTTEN_MAX + 1; i++) {
        (void)snprintf(id, sizeof(id), "m%d", i);
        assert_int_equal(rf_roster_remove(roster, id), 1);
    }
    struct rf_catalog *catalog = commit(roster);
    assert_int_equal(rf_catalog_group(catalog, "web", 3)->since, 2);
    rf_catalog_free(catalog);
    rf_roster_free(roster);
}

static void a_group_that_came_back_has_no_past(void **state)
{
    (void)state;
    struct rf_roster *roster = NULL;
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    put(roster, "a");
    rf_catalog_free(commit(roster));
    assert_int_equal(rf_roster_remove(roster, "a"), 1);
    rf_catalog_free(commit(roster));
    put(roster, "b");
    struct rf_catalog *catalog = commit(roster);
    assert_int_equal(rf_catalog_group(catalog, "web", 3)->since, 3);
    assert_int_equal(rf_catalog_group(catalog, "web", 3)->forgotten_count, 0);
    rf_catalog_free(catalog);
    rf_roster_free(roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_changed_brings_any_earlier_view_up_to_date),
        cmocka_unit_test(a_group_remembers_so_many_forgotten_members_and_no_more),
        cmocka_unit_test(more_forgotten_at_once_than_fit_leave_nothing_to_go_on_from),
        cmocka_unit_test(a_group_that_came_back_has_no_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
