/* SPDX-License-Identifier: MIT */
#include "tools/registry/publisher_thread.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/catalog.h"
#include "core/random.h"
#include "tests/programs/fake_gossip.h"

enum {
    WAIT_MS = 20 * 1000,
    READERS_COUNT = 3,
    CHURN_MEMBERS_COUNT = 40,
    CHURN_EVENTS_COUNT = 4000,
};

struct fixture {
    struct rf_gossip *gossip;
    struct rf_publisher_thread *thread;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    const struct rf_log silent = {.write = NULL};
    const struct rf_guard_config no_guard = {.flap_hold_ns = 0}; /* rings follow each event */
    assert_non_null(fixture);
    fixture->gossip = fake_gossip_new();
    assert_int_equal(
        rf_publisher_thread_new(RF_PLACEMENT_V1, &no_guard, &silent, &fixture->thread, NULL), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    rf_publisher_thread_free(fixture->thread);
    fake_gossip_free(fixture->gossip);
    free(fixture);
    return 0;
}

static struct rf_reader *new_reader(struct fixture *fixture)
{
    struct rf_reader *reader = calloc(1, sizeof(*reader));
    assert_non_null(reader);
    assert_int_equal(rf_reader_init(reader, rf_publisher_thread_publisher(fixture->thread)), 0);
    return reader;
}

static void free_reader(struct rf_reader *reader)
{
    rf_reader_fini(reader);
    free(reader);
}

/* Waits until group "web" has so many members in its ring. */
static void wait_for_alive(struct rf_reader *reader, size_t count)
{
    for (int ms = 0; ms < WAIT_MS; ms++) {
        const struct rf_catalog *catalog = rf_catalog_of(rf_reader_enter(reader));
        const struct rf_group *group = rf_catalog_group(catalog, "web", 3);
        const size_t alive_count = group == NULL ? 0 : group->alive_count;
        rf_reader_leave(reader);
        if (alive_count == count) {
            return;
        }
        (void)usleep(1000);
    }
    fail_msg("group web has not got %zu members in its ring within %d ms", count, WAIT_MS);
}

static void publisher_thread_begins_with_an_empty_catalog(void **state)
{
    struct rf_reader *reader = new_reader(*state);
    const struct rf_catalog *catalog = rf_catalog_of(rf_reader_enter(reader));
    assert_int_equal(catalog->version, 1);
    assert_int_equal(catalog->groups_count, 0);
    rf_reader_leave(reader);
    free_reader(reader);
}

static void publisher_thread_publishes_what_events_say(void **state)
{
    struct fixture *fixture = *state;
    struct rf_reader *reader = new_reader(fixture);
    assert_int_equal(rf_publisher_thread_start(fixture->thread, fixture->gossip, NULL), 0);
    fake_gossip_push(fixture->gossip, RF_GOSSIP_EVENT_MEMBER, 0, RF_MEMBER_ALIVE);
    fake_gossip_push(fixture->gossip, RF_GOSSIP_EVENT_MEMBER, 1, RF_MEMBER_ALIVE);
    fake_gossip_push(fixture->gossip, RF_GOSSIP_EVENT_MEMBER, 2, RF_MEMBER_LEAVING);
    wait_for_alive(reader, 3);
    fake_gossip_push(fixture->gossip, RF_GOSSIP_EVENT_MEMBER, 0, RF_MEMBER_FAILED);
    wait_for_alive(reader, 2);
    fake_gossip_push(fixture->gossip, RF_GOSSIP_EVENT_FORGOT, 1, RF_MEMBER_ALIVE);
    wait_for_alive(reader, 1);
    fake_gossip_push_resync(fixture->gossip, 100);
    wait_for_alive(reader, 100);
    fake_gossip_push_resync(fixture->gossip, 5);
    wait_for_alive(reader, 5);
    free_reader(reader);
}

static void publisher_thread_leaves_its_last_catalog_when_stopped(void **state)
{
    struct fixture *fixture = *state;
    struct rf_reader *reader = new_reader(fixture);
    assert_int_equal(rf_publisher_thread_start(fixture->thread, fixture->gossip, NULL), 0);
    fake_gossip_push_resync(fixture->gossip, 7);
    wait_for_alive(reader, 7);
    rf_publisher_thread_stop(fixture->thread);
    fake_gossip_push_resync(fixture->gossip, 1);
    wait_for_alive(reader, 7);
    free_reader(reader);
}

struct churn_reader {
    struct fixture *fixture;
    atomic_bool *is_done;
    uint64_t seed;
    uint64_t lookups_count;
    bool has_failed;
};

/* A catalog is whole: whoever owns a key is a member of the group, in its ring, with its own addr.
 */
static bool owner_is_whole(const struct rf_group *group, uint64_t hash)
{
    const struct rf_member *owner = rf_group_owner(group, hash);
    return owner == NULL
               ? group->alive_count == 0
               : owner >= group->members && owner < group->members + group->members_count &&
                     rf_member_is_in_ring(owner->state) && owner->id[0] == 'm' &&
                     strncmp(owner->id + 1, owner->addr + 1, strlen(owner->id) - 1) == 0;
}

static void *read_under_churn(void *context)
{
    struct churn_reader *churn = context;
    struct rf_random random = {churn->seed};
    struct rf_reader *reader = new_reader(churn->fixture);
    uint64_t version = 0;
    while (!atomic_load(churn->is_done) && !churn->has_failed) {
        const struct rf_catalog *catalog = rf_catalog_of(rf_reader_enter(reader));
        const struct rf_group *group = rf_catalog_group(catalog, "web", 3);
        churn->has_failed = catalog->version < version;
        version = catalog->version;
        for (int i = 0; i < 64 && group != NULL && !churn->has_failed; i++) {
            churn->has_failed = !owner_is_whole(group, rf_random_next(&random));
            churn->lookups_count++;
        }
        rf_reader_leave(reader);
    }
    free_reader(reader);
    return NULL;
}

static void publisher_thread_shows_readers_whole_catalogs_under_churn(void **state)
{
    struct fixture *fixture = *state;
    struct churn_reader readers[READERS_COUNT];
    pthread_t threads[READERS_COUNT];
    atomic_bool is_done = false;
    const uint64_t seed = 20240611;
    struct rf_random random = {seed};
    print_message("seed %llu\n", (unsigned long long)seed);
    assert_int_equal(rf_publisher_thread_start(fixture->thread, fixture->gossip, NULL), 0);
    for (int i = 0; i < READERS_COUNT; i++) {
        readers[i] = (struct churn_reader){
            .fixture = fixture, .is_done = &is_done, .seed = seed + (uint64_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, read_under_churn, &readers[i]), 0);
    }
    for (int i = 0; i < CHURN_EVENTS_COUNT; i++) {
        const unsigned number = (unsigned)rf_random_below(&random, CHURN_MEMBERS_COUNT);
        const enum rf_member_state member_state =
            (enum rf_member_state)rf_random_below(&random, RF_MEMBER_FAILED + 1);
        const bool is_forgotten = rf_random_below(&random, 8) == 0;
        fake_gossip_push(fixture->gossip,
                         is_forgotten ? RF_GOSSIP_EVENT_FORGOT : RF_GOSSIP_EVENT_MEMBER, number,
                         member_state);
        (void)usleep(100); /* else the thread takes them all in a few steps */
    }
    fake_gossip_push_resync(fixture->gossip, 3);
    struct rf_reader *reader = new_reader(fixture);
    wait_for_alive(reader, 3);
    free_reader(reader);
    atomic_store(&is_done, true);
    for (int i = 0; i < READERS_COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(readers[i].has_failed);
        assert_true(readers[i].lookups_count > 0);
    }
}

static atomic_bool is_memory_short;
static atomic_uint complaints;

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return atomic_load(&is_memory_short) ? NULL : __real_aligned_alloc(alignment, size);
}

static atomic_bool are_texts_short; /* members cannot be put */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return atomic_load(&are_texts_short) ? NULL : __real_malloc(size);
}

static void count_complaint(void *context, enum rf_log_level level, const char *line)
{
    (void)context;
    (void)level;
    atomic_fetch_add(&complaints, strstr(line, "catalog not made") != NULL);
}

static void publisher_thread_without_memory_tries_again_when_it_says(void **state)
{
    (void)state;
    enum { EVENTS_COUNT = 60 };
    struct fixture fixture = {.gossip = fake_gossip_new()};
    const struct rf_log log = {.level_max = RF_LOG_ERROR, .write = count_complaint};
    const struct rf_guard_config no_guard = {.flap_hold_ns = 0};
    assert_int_equal(
        rf_publisher_thread_new(RF_PLACEMENT_V1, &no_guard, &log, &fixture.thread, NULL), 0);
    struct rf_reader *reader = new_reader(&fixture);
    assert_int_equal(rf_publisher_thread_start(fixture.thread, fixture.gossip, NULL), 0);
    atomic_store(&is_memory_short, true);
    for (unsigned i = 0; i < EVENTS_COUNT; i++) {
        fake_gossip_push(fixture.gossip, RF_GOSSIP_EVENT_MEMBER, i, RF_MEMBER_ALIVE);
        (void)usleep(5000);
    }
    for (int ms = 0; ms < WAIT_MS && atomic_load(&complaints) == 0; ms++) {
        (void)usleep(1000); /* the thread may not have had its turn yet */
    }
    atomic_store(&is_memory_short, false);
    assert_in_range(atomic_load(&complaints), 1, EVENTS_COUNT / 4); /* one a second */
    wait_for_alive(reader, EVENTS_COUNT);
    free_reader(reader);
    rf_publisher_thread_free(fixture.thread);
    fake_gossip_free(fixture.gossip);
}

static void
publisher_thread_without_memory_for_a_member_asks_for_the_list_once_a_second(void **state)
{
    enum { EVENTS_COUNT = 60 };
    struct fixture *fixture = *state;
    struct rf_reader *reader = new_reader(fixture);
    assert_int_equal(rf_publisher_thread_start(fixture->thread, fixture->gossip, NULL), 0);
    atomic_store(&are_texts_short, true);
    for (unsigned i = 0; i < EVENTS_COUNT; i++) {
        fake_gossip_push(fixture->gossip, RF_GOSSIP_EVENT_MEMBER, i, RF_MEMBER_ALIVE);
        (void)usleep(5000);
    }
    for (int ms = 0; ms < WAIT_MS && fake_gossip_lists_asked(fixture->gossip) == 0; ms++) {
        (void)usleep(1000);
    }
    atomic_store(&are_texts_short, false);
    assert_in_range(fake_gossip_lists_asked(fixture->gossip), 1, EVENTS_COUNT / 4);
    for (int ms = 0; ms < WAIT_MS && fake_gossip_lists_asked(fixture->gossip) < 3; ms++) {
        (void)usleep(1000); /* it is not given up */
    }
    assert_true(fake_gossip_lists_asked(fixture->gossip) >= 3);
    fake_gossip_push_resync(fixture->gossip, EVENTS_COUNT);
    wait_for_alive(reader, EVENTS_COUNT);
    free_reader(reader);
}

/* One more than a ring can have, of whom then one leaves. The list is not to be had. */
static void publisher_thread_asks_for_the_list_when_there_may_be_room_but_seldom(void **state)
{
    enum { EVENTS_COUNT = 100, EVENT_INTERVAL_US = 25 * 1000 };
    struct fixture *fixture = *state;
    assert_int_equal(rf_publisher_thread_start(fixture->thread, fixture->gossip, NULL), 0);
    fake_gossip_push_resync(fixture->gossip, RF_RING_SLOTS_MAX + 1);
    fake_gossip_push(fixture->gossip, RF_GOSSIP_EVENT_MEMBER, 0, RF_MEMBER_LEFT);
    for (int ms = 0; ms < WAIT_MS && fake_gossip_lists_asked(fixture->gossip) == 0; ms++) {
        (void)usleep(1000);
    }
    for (unsigned i = 0; i < EVENTS_COUNT; i++) {
        fake_gossip_push(fixture->gossip, RF_GOSSIP_EVENT_MEMBER, 0, RF_MEMBER_LEFT);
        (void)usleep(EVENT_INTERVAL_US);
    }
    assert_in_range(fake_gossip_lists_asked(fixture->gossip), 1, 2); /* one in ten seconds */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(publisher_thread_begins_with_an_empty_catalog, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(publisher_thread_publishes_what_events_say, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(publisher_thread_leaves_its_last_catalog_when_stopped,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(publisher_thread_shows_readers_whole_catalogs_under_churn,
                                        setup, teardown),
        cmocka_unit_test(publisher_thread_without_memory_tries_again_when_it_says),
        cmocka_unit_test_setup_teardown(
            publisher_thread_without_memory_for_a_member_asks_for_the_list_once_a_second, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            publisher_thread_asks_for_the_list_when_there_may_be_room_but_seldom, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
