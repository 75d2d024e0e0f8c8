/* SPDX-License-Identifier: MIT */
#include "core/catalog.h"

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

#include "core/digest.h"

static struct rf_roster *make_roster(void)
{
    struct rf_roster *roster = NULL;
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    return roster;
}

static int put(struct rf_roster *roster, const char *group, const char *id, const char *addr,
               uint32_t replicas, enum rf_member_state state)
{
    const struct rf_member member = {
        .id = id, .group = group, .addr = addr, .replicas = replicas, .state = state};
    return rf_roster_put(roster, &member, NULL);
}

static int put_alive(struct rf_roster *roster, const char *group, const char *id)
{
    return put(roster, group, id, "10.0.0.1:80", 10, RF_MEMBER_ALIVE);
}

/* NULL if nothing changed. */
static struct rf_catalog *commit(struct rf_roster *roster)
{
    struct rf_catalog *catalog = NULL;
    struct rf_error err = {0};
    if (rf_roster_commit(roster, &catalog, &err) != 0) {
        fail_msg("%s", err.text);
    }
    if (catalog != NULL) {
        rf_catalog_check(catalog);
    }
    return catalog;
}

static const struct rf_group *group_of(const struct rf_catalog *catalog, const char *name)
{
    return rf_catalog_group(catalog, name, strlen(name));
}

static const char *owner_id(const struct rf_group *group, uint64_t hash)
{
    const struct rf_member *owner = rf_group_owner(group, hash);
    return owner == NULL ? "(nobody)" : owner->id;
}

/* "web: a b(left); db: c", each group's members in order. */
static const char *show(const struct rf_catalog *catalog, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < catalog->groups_count; i++) {
        const struct rf_group *group = catalog->groups[i];
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s:", i == 0 ? "" : "; ", group->name);
        for (size_t j = 0; j < group->members_count; j++) {
            const struct rf_member *member = &group->members[j];
            const bool is_alive = member->state == RF_MEMBER_ALIVE;
            used += (size_t)snprintf(
                text + used, size - used, " %s%s%s%s", member->id, is_alive ? "" : "(",
                is_alive ? "" : rf_member_state_name(member->state), is_alive ? "" : ")");
            assert_true(used < size);
        }
    }
    return text;
}

static void the_first_commit_makes_a_catalog_even_if_it_is_empty(void **state)
{
    (void)state;
    struct rf_roster *roster = make_roster();
    struct rf_catalog *catalog = commit(roster);
    assert_non_null(catalog);
    assert_int_equal(catalog->version, 1);
    assert_int_equal(catalog->groups_count, 0);
    assert_int_equal(catalog->digest, rf_digest_catalog(RF_PLACEMENT_V1, 0));
    assert_null(group_of(catalog, "web"));
    assert_null(commit(roster));
    rf_catalog_free(catalog);
    rf_catalog_free(NULL);
    rf_roster_free(roster);
    rf_roster_free(NULL);
}

static void members_come_sorted_in_sorted_groups(void **state)
{
    (void)state;
    char text[200];
    struct rf_roster *roster = make_roster();
    assert_int_equal(put_alive(roster, "web", "b"), 1);
    assert_int_equal(put_alive(roster, "db", "z"), 1);
    assert_int_equal(put_alive(roster, "web", "a"), 1);
    assert_int_equal(put(roster, "web", "c", "h:1", 1, RF_MEMBER_LEFT), 1);
    assert_int_equal(put(roster, "db", "y", "h:1", 1, RF_MEMBER_LEAVING), 1);
    struct rf_catalog *first = commit(roster);
    assert_string_equal(show(first, text, sizeof(text)), "db: y(leaving) z; web: a b c(left)");
    assert_int_equal(first->members_count, 5);
    assert_int_equal(first->alive_count, 4);
    assert_int_equal(put_alive(roster, "web", "bb"), 1);
    assert_int_equal(put_alive(roster, "web", "0"), 1);
    assert_int_equal(rf_roster_remove(roster, "b"), 1);
    assert_int_equal(rf_roster_remove(roster, "b"), 0);
    struct rf_catalog *second = commit(roster);
    assert_string_equal(show(second, text, sizeof(text)), "db: y(leaving) z; web: 0 a bb c(left)");
    assert_string_equal(show(first, text, sizeof(text)), "db: y(leaving) z; web: a b c(left)");
    rf_catalog_free(first);
    rf_roster_free(roster); /* catalogs live on */
    rf_catalog_check(second);
    rf_catalog_free(second);
}

static void untouched_groups_are_shared_and_keep_their_version(void **state)
{
    (void)state;
    struct rf_roster *roster = make_roster();
    assert_int_equal(put_alive(roster, "web", "a"), 1);
    assert_int_equal(put_alive(roster, "db", "b"), 1);
    struct rf_catalog *first = commit(roster);
    assert_int_equal(put_alive(roster, "web", "c"), 1);
    struct rf_catalog *second = commit(roster);
    assert_ptr_equal(group_of(first, "db"), group_of(second, "db"));
    assert_ptr_not_equal(group_of(first, "web"), group_of(second, "web"));
    assert_int_equal(group_of(second, "db")->version, 1);
    assert_int_equal(group_of(second, "web")->version, 2);
    assert_int_equal(second->version, 2);
    rf_catalog_free(second); /* in any order */
    rf_catalog_check(first);
    rf_catalog_free(first);
    rf_roster_free(roster);
}

static void an_address_change_keeps_the_ring_but_not_version_and_digest(void **state)
{
    (void)state;
    struct rf_roster *roster = make_roster();
    assert_int_equal(put(roster, "web", "a", "h:1", 10, RF_MEMBER_ALIVE), 1);
    assert_int_equal(put(roster, "web", "b", "h:2", 10, RF_MEMBER_ALIVE), 1);
    struct rf_catalog *first = commit(roster);
    assert_int_equal(put(roster, "web", "a", "h:3", 10, RF_MEMBER_ALIVE), 1);
    struct rf_catalog *second = commit(roster);
    const struct rf_group *before = group_of(first, "web");
    const struct rf_group *after = group_of(second, "web");
    assert_ptr_equal(before->ring, after->ring);
    assert_int_equal(after->version, 2);
    assert_true(before->digest != after->digest);
    assert_true(first->digest != second->digest);
    assert_string_equal(after->members[0].addr, "h:3");
    assert_string_equal(before->members[0].addr, "h:1");
    for (uint64_t hash = 0; hash < 1000; hash++) {
        assert_string_equal(owner_id(before, hash << 54), owner_id(after, hash << 54));
    }
    assert_int_equal(put(roster, "web", "a", "h:1", 10, RF_MEMBER_ALIVE), 1);
    struct rf_catalog *third = commit(roster);
    assert_int_equal(third->digest, first->digest);
    assert_int_equal(third->version, 3);
    rf_catalog_free(first);
    rf_catalog_free(second);
    rf_catalog_check(third); /* the ring is still its */
    rf_catalog_free(third);
    rf_roster_free(roster);
}

static void leaving_keeps_ring_and_digest_left_and_failed_do_not(void **state)
{
    (void)state;
    struct rf_roster *roster = make_roster();
    assert_int_equal(put_alive(roster, "web", "a"), 1);
    assert_int_equal(put_alive(roster, "web", "b"), 1);
    struct rf_catalog *catalogs[6] = {commit(roster)};
    static const enum rf_member_state states[] = {RF_MEMBER_LEAVING, RF_MEMBER_LEFT,
                                                  RF_MEMBER_FAILED, RF_MEMBER_ALIVE};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(put(roster, "web", "a", "10.0.0.1:80", 10, states[i]), 1);
        catalogs[i + 1] = commit(roster);
        assert_int_equal(catalogs[i + 1]->members_count, 2);
    }
    const struct rf_group *groups[5];
    for (int i = 0; i < 5; i++) {
        groups[i] = group_of(catalogs[i], "web");
    }
    assert_ptr_equal(groups[1]->ring, groups[0]->ring);
    assert_int_equal(groups[1]->digest, groups[0]->digest);
    assert_int_equal(groups[2]->alive_count, 1);
    assert_true(groups[2]->digest != groups[0]->digest);
    for (uint64_t hash = 0; hash < 100; hash++) {
        assert_string_equal(owner_id(groups[2], hash << 57), "b");
    }
    assert_ptr_equal(groups[3]->ring, groups[2]->ring);
    assert_int_equal(groups[3]->digest, groups[2]->digest);
    assert_int_equal(groups[4]->digest, groups[0]->digest);
    assert_int_equal(put(roster, "web", "a", "10.0.0.1:80", 10, RF_MEMBER_FAILED), 1);
    assert_int_equal(put(roster, "web", "b", "10.0.0.1:80", 10, RF_MEMBER_LEFT), 1);
    catalogs[5] = commit(roster);
    const struct rf_group *empty = group_of(catalogs[5], "web");
    assert_null(empty->ring);
    assert_null(rf_group_owner(empty, 0));
    assert_int_equal(empty->digest, 0);
    assert_int_equal(empty->members_count, 2);
    assert_int_equal(catalogs[5]->digest, rf_digest_catalog(RF_PLACEMENT_V1, 0));
    for (int i = 0; i < 6; i++) {
        rf_catalog_free(catalogs[i]);
    }
    rf_roster_free(roster);
}

static void nothing_changed_makes_no_catalog(void **state)
{
    (void)state;
    struct rf_roster *roster = make_roster();
    assert_int_equal(put_alive(roster, "web", "a"), 1);
    struct rf_catalog *first = commit(roster);
    assert_int_equal(put_alive(roster, "web", "a"), 0);
    assert_int_equal(rf_roster_remove(roster, "nobody"), 0);
    assert_null(commit(roster));
    rf_catalog_free(first);
    rf_roster_free(roster);
}

static void a_member_that_moves_is_in_one_group_only(void **state)
{
    (void)state;
    char text[200];
    struct rf_roster *roster = make_roster();
    assert_int_equal(put_alive(roster, "web", "a"), 1);
    assert_int_equal(put_alive(roster, "web", "b"), 1);
    struct rf_catalog *first = commit(roster);
    assert_int_equal(put_alive(roster, "db", "a"), 1);
    struct rf_catalog *second = commit(roster);
    assert_string_equal(show(second, text, sizeof(text)), "db: a; web: b");
    assert_int_equal(put_alive(roster, "db", "b"), 1);
    struct rf_catalog *third = commit(roster);
    assert_string_equal(show(third, text, sizeof(text)), "db: a b");
    assert_null(group_of(third, "web"));
    assert_int_equal(put_alive(roster, "x", "a"), 1); /* there and back before a commit */
    assert_int_equal(put_alive(roster, "db", "a"), 1);
    struct rf_catalog *fourth = commit(roster);
    assert_string_equal(show(fourth, text, sizeof(text)), "db: a b");
    assert_int_equal(fourth->digest, third->digest);
    rf_catalog_free(first);
    rf_catalog_free(second);
    rf_catalog_free(third);
    rf_catalog_free(fourth);
    rf_roster_free(roster);
}

static void sweep_forgets_who_was_not_named_since_the_mark(void **state)
{
    (void)state;
    char text[200];
    struct rf_roster *roster = make_roster();
    for (const char *ids = "abcdefgh"; *ids != '\0'; ids++) {
        const char id[2] = {*ids, '\0'};
        assert_int_equal(put_alive(roster, *ids < 'e' ? "web" : "db", id), 1);
    }
    struct rf_catalog *first = commit(roster);
    rf_roster_mark(roster);
    assert_int_equal(put_alive(roster, "web", "b"), 0); /* as it was: named all the same */
    assert_int_equal(put_alive(roster, "web", "f"), 1); /* moved */
    assert_int_equal(put_alive(roster, "web", "x"), 1); /* new */
    /* Not fit to be a member: names nobody. */
    assert_int_equal(put(roster, "web", "c", "h:1", 0, RF_MEMBER_ALIVE), -EINVAL);
    assert_int_equal(rf_roster_sweep(roster), 6);
    assert_int_equal(rf_roster_members_count(roster), 3);
    struct rf_catalog *second = commit(roster);
    assert_string_equal(show(second, text, sizeof(text)), "web: b f x");
    assert_int_equal(rf_roster_sweep(roster), 0);
    rf_roster_mark(roster);
    assert_int_equal(rf_roster_sweep(roster), 3);
    struct rf_catalog *third = commit(roster);
    assert_int_equal(third->groups_count, 0);
    rf_catalog_free(first);
    rf_catalog_free(second);
    rf_catalog_free(third);
    rf_roster_free(roster);
}

static void group_names_are_found_by_size_not_by_nul(void **state)
{
    (void)state;
    struct rf_roster *roster = make_roster();
    assert_int_equal(put_alive(roster, "web", "a"), 1);
    struct rf_catalog *catalog = commit(roster);
    assert_non_null(rf_catalog_group(catalog, "web-and-more", 3));
    assert_null(rf_catalog_group(catalog, "web-and-more", 4));
    assert_null(rf_catalog_group(catalog, "web", 2));
    assert_null(rf_catalog_group(catalog, "", 0));
    rf_catalog_free(catalog);
    rf_roster_free(roster);
}

static void bad_members_are_refused_and_nobody_else_is(void **state)
{
    (void)state;
    char text[200];
    struct rf_roster *roster = make_roster();
    struct rf_error err = {0};
    assert_int_equal(put_alive(roster, "web", "a"), 1);
    assert_int_equal(put(roster, "web", "", "h:1", 1, RF_MEMBER_ALIVE), -EINVAL);
    assert_int_equal(put(roster, "we\nb", "b", "h:1", 1, RF_MEMBER_ALIVE), -EINVAL);
    assert_int_equal(put(roster, "web", "b", "", 1, RF_MEMBER_ALIVE), -EINVAL);
    assert_int_equal(put(roster, "web", "b", "h:1", 0, RF_MEMBER_ALIVE), -EINVAL);
    const struct rf_member heavy = {
        .id = "b", .group = "web", .addr = "h:1", .replicas = RF_REPLICAS_MAX + 1};
    assert_int_equal(rf_roster_put(roster, &heavy, &err), -EINVAL);
    assert_string_equal(err.text, "member 'b': replicas 65536: allowed 1..65535");
    struct rf_catalog *catalog = commit(roster);
    assert_string_equal(show(catalog, text, sizeof(text)), "web: a");
    rf_catalog_free(catalog);
    rf_roster_free(roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_commit_makes_a_catalog_even_if_it_is_empty),
        cmocka_unit_test(members_come_sorted_in_sorted_groups),
        cmocka_unit_test(untouched_groups_are_shared_and_keep_their_version),
        cmocka_unit_test(an_address_change_keeps_the_ring_but_not_version_and_digest),
        cmocka_unit_test(leaving_keeps_ring_and_digest_left_and_failed_do_not),
        cmocka_unit_test(nothing_changed_makes_no_catalog),
        cmocka_unit_test(a_member_that_moves_is_in_one_group_only),
        cmocka_unit_test(sweep_forgets_who_was_not_named_since_the_mark),
        cmocka_unit_test(group_names_are_found_by_size_not_by_nul),
        cmocka_unit_test(bad_members_are_refused_and_nobody_else_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
