/* SPDX-License-Identifier: MIT */
#include "core/catalog.h"

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
#include "core/random.h"
#include "tests/support/ring_reference.h"

enum { IDS_COUNT = 40, GROUPS_COUNT = 5, HELD_COUNT = 4 };

static const char *const group_names[GROUPS_COUNT] = {"a", "aa", "b", "web", "z"};

/* What a roster must be equal to: an array, and which groups were touched since the last commit. */
struct model {
    struct model_member {
        bool is_there;
        bool is_named; /* since the mark */
        char id[8];
        int group;
        char addr[16];
        uint32_t replicas;
        enum rf_member_state state;
    } members[IDS_COUNT];
    bool is_touched[GROUPS_COUNT];
    bool is_changed;
    uint64_t version;
    const struct rf_group *groups[GROUPS_COUNT]; /* of the last catalog */
};

struct held {
    struct rf_catalog *catalog;
    uint64_t version;
    uint64_t digest;
};

static struct rf_member member_of(const struct model_member *member)
{
    return (struct rf_member){.id = member->id,
                              .group = group_names[member->group],
                              .addr = member->addr,
                              .replicas = member->replicas,
                              .state = member->state};
}

static void touch(struct model *model, int group)
{
    model->is_touched[group] = true;
    model->is_changed = true;
}

static void model_put(struct model *model, struct rf_roster *roster, struct rf_random *random)
{
    struct model_member *member = &model->members[rf_random_below(random, IDS_COUNT)];
    struct model_member next = *member;
    if (!member->is_there || rf_random_below(random, 4) == 0) {
        next.group = (int)rf_random_below(random, GROUPS_COUNT);
    }
    if (!member->is_there || rf_random_below(random, 2) == 0) {
        (void)snprintf(next.addr, sizeof(next.addr), "h:%u", (unsigned)rf_random_below(random, 3));
    }
    if (!member->is_there || rf_random_below(random, 2) == 0) {
        next.replicas = (uint32_t)rf_random_below(random, 8) + 1;
    }
    next.state = (enum rf_member_state)rf_random_below(random, 4);
    next.is_there = true;
    next.is_named = true;
    const bool is_equal = member->is_there && next.group == member->group &&
                          next.replicas == member->replicas && next.state == member->state &&
                          strcmp(next.addr, member->addr) == 0;
    const struct rf_member wanted = member_of(&next);
    assert_int_equal(rf_roster_put(roster, &wanted, NULL), !is_equal);
    if (!is_equal) {
        if (member->is_there) {
            touch(model, member->group);
        }
        touch(model, next.group);
    }
    *member = next;
}

static void model_forget(struct model *model, struct model_member *member)
{
    touch(model, member->group);
    member->is_there = false;
}

static void model_remove(struct model *model, struct rf_roster *roster, struct rf_random *random)
{
    struct model_member *member = &model->members[rf_random_below(random, IDS_COUNT)];
    assert_int_equal(rf_roster_remove(roster, member->id), member->is_there);
    if (member->is_there) {
        model_forget(model, member);
    }
}

static void model_resync(struct model *model, struct rf_roster *roster, struct rf_random *random)
{
    rf_roster_mark(roster);
    for (int i = 0; i < IDS_COUNT; i++) {
        model->members[i].is_named = false;
    }
    for (int i = 0; i < 2 * IDS_COUNT; i++) {
        model_put(model, roster, random);
    }
    size_t swept_count = 0;
    for (int i = 0; i < IDS_COUNT; i++) {
        if (model->members[i].is_there && !model->members[i].is_named) {
            model_forget(model, &model->members[i]);
            swept_count++;
        }
    }
    assert_int_equal(rf_roster_sweep(roster), swept_count);
}

/* Members of a model are in the order of their ids. */
static void check_group(const struct model *model, int group_index, const struct rf_group *group,
                        enum rf_placement placement, struct rf_random *random)
{
    struct rf_ring_member in_ring[IDS_COUNT];
    size_t in_ring_count = 0;
    size_t count = 0;
    for (int i = 0; i < IDS_COUNT; i++) {
        const struct model_member *wanted = &model->members[i];
        if (!wanted->is_there || wanted->group != group_index) {
            continue;
        }
        assert_non_null(group);
        assert_true(count < group->members_count);
        const struct rf_member *member = &group->members[count++];
        assert_string_equal(member->id, wanted->id);
        assert_string_equal(member->group, group_names[group_index]);
        assert_string_equal(member->addr, wanted->addr);
        assert_int_equal(member->replicas, wanted->replicas);
        assert_int_equal(member->state, wanted->state);
        if (wanted->state == RF_MEMBER_ALIVE || wanted->state == RF_MEMBER_LEAVING) {
            in_ring[in_ring_count++] =
                (struct rf_ring_member){.id = wanted->id, .replicas = wanted->replicas};
        }
    }
    if (count == 0) {
        assert_null(group);
        return;
    }
    assert_int_equal(group->members_count, count);
    assert_int_equal(group->alive_count, in_ring_count);
    if (in_ring_count == 0) {
        assert_null(rf_group_owner(group, 1));
        return;
    }
    struct reference reference = reference_new(placement, in_ring, in_ring_count);
    for (int i = 0; i < 5; i++) {
        const uint64_t key = rf_random_next(random);
        const uint64_t hash = rf_placement_hash(placement, &key, sizeof(key));
        const struct rf_member *owner = rf_group_owner(group, hash);
        assert_non_null(owner);
        assert_string_equal(owner->id, reference_owner(&reference, hash));
    }
    reference_free(&reference);
}

static struct rf_catalog *model_commit(struct model *model, struct rf_roster *roster,
                                       enum rf_placement placement, struct rf_random *random)
{
    struct rf_catalog *catalog = NULL;
    size_t groups_count = 0;
    assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
    if (!model->is_changed) {
        assert_null(catalog);
        return NULL;
    }
    assert_non_null(catalog);
    assert_int_equal(catalog->version, ++model->version);
    rf_catalog_check(catalog);
    for (int i = 0; i < GROUPS_COUNT; i++) {
        const struct rf_group *group =
            rf_catalog_group(catalog, group_names[i], strlen(group_names[i]));
        groups_count += group != NULL;
        check_group(model, i, group, placement, random);
        if (!model->is_touched[i]) {
            assert_ptr_equal(group, model->groups[i]);
        } else if (group != NULL) {
            assert_int_equal(group->version, model->version);
        }
        model->groups[i] = group;
        model->is_touched[i] = false;
    }
    assert_int_equal(catalog->groups_count, groups_count);
    model->is_changed = false;
    return catalog;
}

static void run_model(enum rf_placement placement, uint64_t seed)
{
    struct rf_random random = {seed};
    struct model model = {.is_changed = true};
    struct held held[HELD_COUNT] = {{0}};
    struct rf_roster *roster = NULL;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < IDS_COUNT; i++) {
        (void)snprintf(model.members[i].id, sizeof(model.members[i].id), "m%02d", i);
    }
    assert_int_equal(rf_roster_new(placement, &roster, NULL), 0);
    for (int step = 0; step < 8000; step++) {
        const uint64_t what = rf_random_below(&random, 100);
        if (what < 40) {
            model_put(&model, roster, &random);
        } else if (what < 70) {
            model_remove(&model, roster, &random);
        } else if (what < 71) {
            model_resync(&model, roster, &random);
        } else {
            struct rf_catalog *catalog = model_commit(&model, roster, placement, &random);
            struct held *slot = &held[rf_random_below(&random, HELD_COUNT)];
            if (catalog != NULL) { /* an older one ends, others stay as they were */
                if (slot->catalog != NULL) {
                    rf_catalog_check(slot->catalog);
                    assert_int_equal(slot->catalog->version, slot->version);
                    assert_int_equal(slot->catalog->digest, slot->digest);
                }
                rf_catalog_free(slot->catalog);
                *slot = (struct held){catalog, catalog->version, catalog->digest};
            }
        }
        size_t count = 0;
        for (int i = 0; i < IDS_COUNT; i++) {
            count += model.members[i].is_there;
        }
        assert_int_equal(rf_roster_members_count(roster), count);
    }
    rf_roster_free(roster);
    for (int i = 0; i < HELD_COUNT; i++) {
        rf_catalog_free(held[i].catalog);
    }
}

static void random_changes_agree_with_a_plain_array(void **state)
{
    (void)state;
    run_model(RF_PLACEMENT_V1, 1);
    run_model(RF_PLACEMENT_V1, 20261123);
    run_model(RF_PLACEMENT_CRC32, 3);
}

/* ---- order ---- */

static void put_number(struct rf_roster *roster, uint32_t number, const char *addr)
{
    char id[16];
    const struct rf_member member = {.id = id,
                                     .group = group_names[number % GROUPS_COUNT],
                                     .addr = addr,
                                     .replicas = number % 17 + 1,
                                     .state = RF_MEMBER_ALIVE};
    (void)snprintf(id, sizeof(id), "%u", number);
    assert_true(rf_roster_put(roster, &member, NULL) >= 0);
}

/* The same 200 members by another way: other order, detours, commits between. */
static struct rf_catalog *arrive(struct rf_random *random)
{
    enum { COUNT = 200 };
    uint32_t order[COUNT];
    struct rf_roster *roster = NULL;
    struct rf_catalog *catalog = NULL;
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t j = (uint32_t)rf_random_below(random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        char id[16];
        const uint32_t extra = COUNT + (uint32_t)rf_random_below(random, 50);
        put_number(roster, extra, "10.9.9.9:1");
        put_number(roster, order[i], i % 3 == 0 ? "10.0.0.7:7" : "10.0.0.1:80");
        if (rf_random_below(random, 4) == 0) {
            assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
            rf_catalog_free(catalog);
        }
        (void)snprintf(id, sizeof(id), "%u", extra);
        assert_int_equal(rf_roster_remove(roster, id), 1);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        put_number(roster, i, "10.0.0.1:80");
    }
    assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
    assert_non_null(catalog);
    rf_catalog_check(catalog);
    rf_roster_free(roster);
    return catalog;
}

static void any_order_of_arrival_gives_equal_digests_and_answers(void **state)
{
    (void)state;
    struct rf_random random = {20261123};
    struct rf_catalog *first = arrive(&random);
    for (int round = 0; round < 10; round++) {
        struct rf_catalog *other = arrive(&random);
        assert_int_equal(other->digest, first->digest);
        assert_int_equal(other->groups_count, first->groups_count);
        for (size_t i = 0; i < first->groups_count; i++) {
            assert_int_equal(other->groups[i]->digest, first->groups[i]->digest);
            for (int j = 0; j < 200; j++) {
                const uint64_t hash = rf_random_next(&random);
                const struct rf_member *a = rf_group_owner(first->groups[i], hash);
                const struct rf_member *b = rf_group_owner(other->groups[i], hash);
                assert_true(a != NULL && b != NULL && strcmp(a->id, b->id) == 0);
            }
        }
        rf_catalog_free(other);
    }
    rf_catalog_free(first);
}

/* ---- limits ---- */

static int put(struct rf_roster *roster, const char *group, const char *id, uint32_t replicas,
               enum rf_member_state state, struct rf_error *err)
{
    const struct rf_member member = {
        .id = id, .group = group, .addr = "h:1", .replicas = replicas, .state = state};
    return rf_roster_put(roster, &member, err);
}

/* Members "<first>".."<first + count - 1>". */
static void put_many(struct rf_roster *roster, const char *group, uint32_t first, uint32_t count,
                     uint32_t replicas, enum rf_member_state state)
{
    for (uint32_t i = first; i < first + count; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        assert_int_equal(put(roster, group, id, replicas, state, NULL), 1);
    }
}

static struct rf_roster *make_roster(void)
{
    struct rf_roster *roster = NULL;
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    return roster;
}

static void a_full_ring_refuses_one_member_more_and_stays_as_it_was(void **state)
{
    (void)state;
    struct rf_roster *roster = make_roster();
    struct rf_catalog *catalog = NULL;
    struct rf_error err = {0};
    put_many(roster, "web", 0, RF_RING_SLOTS_MAX, 1, RF_MEMBER_ALIVE);
    assert_int_equal(put(roster, "web", "more", 1, RF_MEMBER_ALIVE, &err), RF_ELIMIT);
    assert_string_equal(err.text,
                        "member 'more': group 'web' has 65535 members in its ring, the most");
    assert_int_equal(put(roster, "web", "more", 1, RF_MEMBER_LEFT, NULL), 1);
    assert_int_equal(put(roster, "web", "more", 1, RF_MEMBER_ALIVE, NULL), RF_ELIMIT);
    assert_int_equal(put(roster, "web", "7", 2, RF_MEMBER_ALIVE, NULL), 1); /* one of them may */
    assert_int_equal(put(roster, "db", "another", 1, RF_MEMBER_ALIVE, NULL), 1);
    assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
    assert_int_equal(catalog->alive_count, RF_RING_SLOTS_MAX + 1);
    rf_catalog_free(catalog);
    /* A slot that gets free is used again in the same commit. */
    assert_int_equal(put(roster, "web", "9", 1, RF_MEMBER_FAILED, NULL), 1);
    assert_int_equal(put(roster, "web", "more", 1, RF_MEMBER_ALIVE, NULL), 1);
    assert_int_equal(rf_roster_commit(roster, &catalog, &err), 0);
    rf_catalog_check(catalog);
    rf_catalog_free(catalog);
    rf_roster_free(roster);
}

static void an_absurd_weight_is_refused_where_the_points_end(void **state)
{
    (void)state;
    struct rf_roster *roster = make_roster();
    struct rf_error err = {0};
    put_many(roster, "web", 0, 1024, RF_REPLICAS_MAX, RF_MEMBER_ALIVE); /* no commit: 1.2 GiB */
    assert_int_equal(put(roster, "web", "x", 1025, RF_MEMBER_ALIVE, &err), RF_ELIMIT);
    assert_string_equal(err.text,
                        "member 'x': replicas 1025: group 'web' has room for 1024 of 67108864 "
                        "points");
    assert_int_equal(put(roster, "web", "x", 1023, RF_MEMBER_ALIVE, NULL), 1);
    assert_int_equal(put(roster, "web", "x", 1025, RF_MEMBER_ALIVE, NULL), RF_ELIMIT);
    assert_int_equal(put(roster, "web", "x", 1024, RF_MEMBER_ALIVE, NULL), 1);
    assert_int_equal(put(roster, "web", "y", 1, RF_MEMBER_ALIVE, NULL), RF_ELIMIT);
    assert_int_equal(put(roster, "web", "y", 1, RF_MEMBER_LEFT, NULL), 1);
    for (uint32_t i = 0; i < 3; i++) {
        put_many(roster, group_names[i], (i + 1) * 10000, 1024, RF_REPLICAS_MAX, RF_MEMBER_ALIVE);
    }
    assert_int_equal(put(roster, "z", "rest", 3 * 1024, RF_MEMBER_ALIVE, NULL), 1);
    assert_int_equal(put(roster, "z", "one", 1, RF_MEMBER_ALIVE, &err), RF_ELIMIT);
    assert_string_equal(err.text,
                        "member 'one': replicas 1: all groups have 268435456 points at most");
    assert_int_equal(put(roster, "z", "rest", 1, RF_MEMBER_ALIVE, NULL), 1);
    assert_int_equal(put(roster, "z", "one", 1, RF_MEMBER_ALIVE, NULL), 1);
    rf_roster_free(roster);
}

static void the_member_after_the_last_is_refused(void **state)
{
    (void)state;
    struct rf_roster *roster = make_roster();
    struct rf_catalog *catalog = NULL;
    struct rf_error err = {0};
    put_many(roster, "web", 0, RF_MEMBERS_MAX, 1, RF_MEMBER_LEFT);
    assert_int_equal(put(roster, "web", "x", 1, RF_MEMBER_LEFT, &err), RF_ELIMIT);
    assert_string_equal(err.text, "member 'x': there are 262144 members, the most");
    assert_int_equal(put(roster, "db", "0", 1, RF_MEMBER_ALIVE, NULL), 1); /* known: may change */
    assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
    assert_int_equal(catalog->members_count, RF_MEMBERS_MAX);
    rf_catalog_free(catalog);
    assert_int_equal(rf_roster_remove(roster, "1"), 1);
    assert_int_equal(put(roster, "web", "x", 1, RF_MEMBER_LEFT, NULL), 1);
    rf_roster_free(roster);
}

static void the_group_after_the_last_is_refused(void **state)
{
    (void)state;
    struct rf_roster *roster = make_roster();
    struct rf_catalog *catalog = NULL;
    struct rf_error err = {0};
    for (uint32_t i = 0; i < RF_GROUPS_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "g%u", i);
        put_many(roster, name, i, 1, 1, RF_MEMBER_LEFT);
    }
    assert_int_equal(put(roster, "more", "x", 1, RF_MEMBER_ALIVE, &err), RF_ELIMIT);
    assert_string_equal(err.text, "member 'x': group 'more': there are 65536 groups, the most");
    assert_int_equal(put(roster, "g7", "x", 1, RF_MEMBER_ALIVE, NULL), 1);
    assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
    assert_int_equal(catalog->groups_count, RF_GROUPS_MAX);
    rf_catalog_check(catalog);
    rf_catalog_free(catalog);
    assert_int_equal(put(roster, "more", "9", 1, RF_MEMBER_ALIVE, NULL), 1); /* leaves g9 empty */
    assert_int_equal(put(roster, "still", "x", 1, RF_MEMBER_ALIVE, NULL), RF_ELIMIT);
    for (uint32_t i = 0; i < RF_GROUPS_MAX; i += 2) { /* many groups end at once */
        char id[16];
        (void)snprintf(id, sizeof(id), "%u", i);
        assert_int_equal(rf_roster_remove(roster, id), 1);
    }
    assert_int_equal(rf_roster_commit(roster, &catalog, NULL), 0);
    assert_int_equal(catalog->groups_count, RF_GROUPS_MAX / 2);
    rf_catalog_check(catalog);
    rf_catalog_free(catalog);
    rf_roster_free(roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_a_plain_array),
        cmocka_unit_test(any_order_of_arrival_gives_equal_digests_and_answers),
        cmocka_unit_test(a_full_ring_refuses_one_member_more_and_stays_as_it_was),
        cmocka_unit_test(an_absurd_weight_is_refused_where_the_points_end),
        cmocka_unit_test(the_member_after_the_last_is_refused),
        cmocka_unit_test(the_group_after_the_last_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
