/* SPDX-License-Identifier: MIT
 *
 * Pages of a watch, applied as WIRE.md says, make what the group is, whatever happens between two.
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
#include "core/digest.h"
#include "core/random.h"
#include "net/watch_page.h"

enum {
    IDS = 600,
    ID_SIZE = 180, /* so that all of them need several pages */
    STEPS = 4000,
    INSTANCE = 99,
    REQUEST_ID = 5,
};

/* What somebody who reads the pages knows, by id number. */
struct told {
    bool is_known[IDS];
    uint32_t replicas[IDS];
    enum rf_member_state state[IDS];
};

struct watcher {
    struct told told;
    struct rf_wire_watch_head head; /* of the last page */
    bool is_more;
    struct rf_watch_cursor cursor;
    unsigned updates, wholes, restarts, pages;
};

static struct rf_roster *roster;
static struct rf_catalog *catalog;
static struct watcher watcher;

static int start(void **state)
{
    (void)state;
    catalog = NULL;
    memset(&watcher, 0, sizeof(watcher));
    return rf_roster_new(RF_PLACEMENT_V1, &roster, NULL);
}

static int stop(void **state)
{
    (void)state;
    rf_catalog_free(catalog);
    rf_roster_free(roster);
    return 0;
}

static void id_of(int number, char id[ID_SIZE + 1])
{
    (void)snprintf(id, ID_SIZE + 1, "m%0*d", ID_SIZE - 1, number);
}

static int number_of(struct rf_wire_bytes id)
{
    char text[ID_SIZE + 1] = {0};
    assert_int_equal(id.size, ID_SIZE);
    memcpy(text, id.data, id.size);
    return (int)strtol(text + 1, NULL, 10);
}

static void put(int number, uint32_t replicas, enum rf_member_state state)
{
    char id[ID_SIZE + 1];
    id_of(number, id);
    const struct rf_member member = {
        .id = id, .group = "web", .addr = "10.0.0.1:80", .replicas = replicas, .state = state};
    assert_true(rf_roster_put(roster, &member, NULL) >= 0);
}

static void forget(int number)
{
    char id[ID_SIZE + 1];
    id_of(number, id);
    (void)rf_roster_remove(roster, id);
}

static void commit(void)
{
    struct rf_catalog *next = NULL;
    assert_int_equal(rf_roster_commit(roster, &next, NULL), 0);
    if (next != NULL) {
        rf_catalog_free(catalog);
        catalog = next;
    }
}

static const struct rf_group *group_now(void)
{
    return rf_catalog_group(catalog, "web", 3);
}

static bool is_behind(void)
{
    return rf_watch_is_behind(&watcher.cursor, group_now());
}

/* The digest of what is told, as a client makes it. */
static uint64_t digest_of(const struct told *told)
{
    uint64_t sum = 0;
    for (int i = 0; i < IDS; i++) {
        if (told->is_known[i] &&
            (told->state[i] == RF_MEMBER_ALIVE || told->state[i] == RF_MEMBER_LEAVING)) {
            char id[ID_SIZE + 1];
            id_of(i, id);
            const struct rf_member member = {
                .id = id, .group = "web", .addr = "10.0.0.1:80", .replicas = told->replicas[i]};
            sum += rf_digest_member(&member);
        }
    }
    return sum;
}

static void assert_told_everything(void)
{
    static struct told truth;
    memset(&truth, 0, sizeof(truth));
    const struct rf_group *group = group_now();
    for (size_t i = 0; group != NULL && i < group->members_count; i++) {
        const struct rf_member *member = &group->members[i];
        int number = number_of((struct rf_wire_bytes){member->id, strlen(member->id)});
        truth.is_known[number] = true;
        truth.replicas[number] = member->replicas;
        truth.state[number] = member->state;
    }
    for (int i = 0; i < IDS; i++) {
        assert_int_equal(watcher.told.is_known[i], truth.is_known[i]);
        assert_int_equal(watcher.told.replicas[i], truth.replicas[i]);
        assert_int_equal(watcher.told.state[i], truth.state[i]);
    }
    assert_int_equal(watcher.head.version, group == NULL ? catalog->version : group->version);
    assert_true(watcher.head.digest == (group == NULL ? 0 : group->digest));
    assert_true(watcher.head.digest == digest_of(&watcher.told));
}

static void apply(const struct rf_wire_watch_reply *page)
{
    struct rf_wire_cursor changes = page->changes;
    struct rf_wire_change change;
    if (page->head.is_whole) {
        watcher.wholes++;
        watcher.restarts += watcher.is_more;
        memset(&watcher.told, 0, sizeof(watcher.told));
    }
    while (rf_wire_watch_next(&changes, &change)) {
        int number = number_of(change.member.owner.id);
        watcher.told.is_known[number] = !change.is_forgotten;
        watcher.told.replicas[number] = change.is_forgotten ? 0 : change.member.replicas;
        watcher.told.state[number] = change.is_forgotten ? RF_MEMBER_ALIVE : change.member.state;
    }
    watcher.head = page->head;
    watcher.is_more = page->more;
    watcher.pages++;
}

/* The next page into a buffer of `room` bytes. Returns the number of changes on it, -1: no room. */
static int take_page(size_t room)
{
    struct rf_wire_watch_reply page;
    const struct rf_watch_cursor before = watcher.cursor;
    uint8_t *frame = malloc(room + 1); /* exactly, for the sanitizer */
    assert_non_null(frame);
    size_t size = rf_watch_page_encode(&watcher.cursor, group_now(), catalog, INSTANCE, REQUEST_ID,
                                       frame, room);
    if (size == 0) {
        assert_true(room < RF_WIRE_PAGE_SIZE_MAX);
        assert_memory_equal(&watcher.cursor, &before, sizeof(before));
        free(frame);
        return -1;
    }
    assert_true(size <= room && size <= RF_WIRE_PAGE_SIZE_MAX);
    struct rf_wire_header header = rf_wire_header_load(frame);
    assert_int_equal(header.op, RF_WIRE_WATCH);
    assert_int_equal(header.status, RF_WIRE_OK);
    assert_int_equal(header.request_id, REQUEST_ID);
    assert_int_equal(header.payload_size, size - RF_WIRE_HEADER_SIZE);
    assert_int_equal(
        rf_wire_watch_reply_decode(frame + RF_WIRE_HEADER_SIZE, header.payload_size, &page, NULL),
        0);
    assert_int_equal(page.head.instance, INSTANCE);
    assert_int_equal(page.more, watcher.cursor.is_under_way);
    apply(&page);
    free(frame);
    if (!watcher.is_more) {
        watcher.updates++;
        assert_told_everything();
        assert_false(is_behind());
    }
    return page.count;
}

static int take_update(void)
{
    int count = 0;
    do {
        int page_count = take_page(RF_WIRE_PAGE_SIZE_MAX);
        assert_true(page_count >= 0);
        count += page_count;
    } while (watcher.is_more);
    return count;
}

static void change_something(struct rf_random *random)
{
    switch (rf_random_below(random, 400)) {
    case 0: /* all of them go */
        for (int i = 0; i < IDS; i++) {
            forget(i);
        }
        return;
    case 1: /* more than a group remembers */
    case 2:
        for (int i = 0; i < 2 * RF_FORGOTTEN_MAX; i++) {
            forget((int)rf_random_below(random, IDS));
        }
        return;
    case 3: /* and all come */
    case 4:
    case 5:
        for (int i = 0; i < IDS; i++) {
            put(i, 1, RF_MEMBER_ALIVE);
        }
        return;
    default:
        break;
    }
    int number = (int)rf_random_below(random, IDS);
    if (rf_random_below(random, 4) == 0) {
        forget(number);
    } else {
        put(number, 1 + (uint32_t)rf_random_below(random, 3),
            (enum rf_member_state)rf_random_below(random, 4));
    }
}

static void complete_updates_make_what_the_group_is_whatever_happens_between_pages(void **state)
{
    (void)state;
    const uint64_t seed = 20261123;
    struct rf_random random = {.state = seed};
    printf("seed %llu\n", (unsigned long long)seed);
    commit();
    unsigned no_room = 0;
    for (int step = 0; step < STEPS; step++) {
        if (rf_random_below(&random, 2) == 0) {
            for (uint64_t n = 1 + rf_random_below(&random, 6); n > 0; n--) {
                change_something(&random);
            }
            commit();
        }
        if (is_behind() && rf_random_below(&random, 3) > 0) {
            size_t room = rf_random_below(&random, 2) == 0 ? (size_t)RF_WIRE_PAGE_SIZE_MAX
                                                           : (size_t)rf_random_below(&random, 1000);
            no_room += take_page(room) < 0;
        }
        if (rf_random_below(&random, 100) == 0 && watcher.updates > 0 && !watcher.is_more) {
            watcher.cursor = (struct rf_watch_cursor){.version = watcher.head.version};
            assert_true(is_behind()); /* it comes again, with what it knows */
        }
    }
    printf("%u updates, %u pages, %u whole, %u begun again, %u without room\n", watcher.updates,
           watcher.pages, watcher.wholes, watcher.restarts, no_room);
    assert_true(watcher.updates > 100 && watcher.pages > watcher.updates);
    assert_true(watcher.wholes > 5 && watcher.wholes < watcher.updates);
    assert_true(watcher.restarts > 0 && no_room > 0);
}

static void group_that_vanishes_and_comes_back_is_told_whole(void **state)
{
    (void)state;
    commit();
    assert_int_equal(take_update(), 0); /* it does not exist: that is told, too */
    assert_true(watcher.head.is_whole);
    put(1, 1, RF_MEMBER_ALIVE);
    commit();
    assert_int_equal(take_update(), 1);
    assert_true(watcher.head.is_whole);
    forget(1);
    commit();
    assert_int_equal(take_update(), 0);
    assert_true(watcher.head.is_whole);
    assert_true(watcher.head.digest == 0);
    put(2, 1, RF_MEMBER_ALIVE);
    commit();
    assert_int_equal(take_update(), 1);
    assert_true(watcher.head.is_whole);
    forget(2); /* between two looks, unseen */
    commit();
    put(3, 1, RF_MEMBER_ALIVE);
    commit();
    assert_int_equal(take_update(), 1);
    assert_true(watcher.head.is_whole);
}

static void watch_goes_on_from_a_version_that_is_known(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        put(i, 1, RF_MEMBER_ALIVE);
    }
    commit();
    assert_int_equal(take_update(), 10);
    watcher.cursor = (struct rf_watch_cursor){.version = watcher.head.version};
    assert_int_equal(take_update(), 0); /* nothing has changed: that is told once */
    assert_false(watcher.head.is_whole);
    put(3, 2, RF_MEMBER_ALIVE);
    forget(4);
    commit();
    watcher.cursor = (struct rf_watch_cursor){.version = watcher.head.version};
    assert_int_equal(take_update(), 2);
    assert_false(watcher.head.is_whole);
}

static void watch_from_a_version_unknown_or_too_old_is_told_whole(void **state)
{
    (void)state;
    for (int i = 0; i < RF_FORGOTTEN_MAX + 2; i++) {
        put(i, 1, RF_MEMBER_ALIVE);
    }
    commit();
    const uint64_t version = catalog->version;
    for (int i = 0; i < RF_FORGOTTEN_MAX + 1; i++) {
        forget(i);
    }
    commit();
    assert_true(version < group_now()->since);
    watcher.cursor = (struct rf_watch_cursor){.version = version};
    assert_int_equal(take_update(), 1);
    assert_true(watcher.head.is_whole);
    watcher.cursor = (struct rf_watch_cursor){.version = catalog->version + 1};
    assert_int_equal(take_update(), 1); /* nobody can know that one */
    assert_true(watcher.head.is_whole);
}

static void whole_update_begins_again_if_its_end_cannot_be_told(void **state)
{
    (void)state;
    for (int i = 0; i < IDS; i++) {
        put(i, 1, RF_MEMBER_ALIVE);
    }
    commit();
    assert_true(take_page(RF_WIRE_PAGE_SIZE_MAX) > 0);
    assert_true(watcher.is_more);
    for (int i = 0; i < RF_FORGOTTEN_MAX + 1; i++) {
        forget(i);
    }
    commit();
    assert_true(take_page(RF_WIRE_PAGE_SIZE_MAX) > 0);
    assert_true(watcher.head.is_whole);
    (void)take_update();
    assert_int_equal(watcher.wholes, 2);
    assert_int_equal(watcher.restarts, 1);
    assert_int_equal(watcher.updates, 1);
}

/* Else somebody who needs a second for each page would never be told a whole. */
static void update_ends_though_the_group_changes_before_each_page(void **state)
{
    (void)state;
    for (int i = 0; i < IDS; i++) {
        put(i, 1, RF_MEMBER_ALIVE);
    }
    commit();
    unsigned pages = 0;
    do {
        put((int)(pages % IDS), 2 + pages, RF_MEMBER_ALIVE);
        commit();
        assert_true(take_page(RF_WIRE_PAGE_SIZE_MAX) > 0);
        pages++;
        assert_true(pages < 10);
    } while (watcher.is_more);
    assert_int_equal(watcher.wholes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            complete_updates_make_what_the_group_is_whatever_happens_between_pages, start, stop),
        cmocka_unit_test_setup_teardown(group_that_vanishes_and_comes_back_is_told_whole, start,
                                        stop),
        cmocka_unit_test_setup_teardown(watch_goes_on_from_a_version_that_is_known, start, stop),
        cmocka_unit_test_setup_teardown(watch_from_a_version_unknown_or_too_old_is_told_whole,
                                        start, stop),
        cmocka_unit_test_setup_teardown(whole_update_begins_again_if_its_end_cannot_be_told, start,
                                        stop),
        cmocka_unit_test_setup_teardown(update_ends_though_the_group_changes_before_each_page,
                                        start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
