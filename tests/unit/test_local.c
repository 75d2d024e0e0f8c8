/* SPDX-License-Identifier: MIT
 *
 * Readers: answers in every form, bounded loads by their definition, and many threads at once.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/replica_private.h"
#include "core/random.h"
#include "net/watch_page.h"

enum { IDS = 24, LOADS_MAX = 3000, THREADS = 4 };

static struct rf_roster *roster;
static struct rf_catalog *catalog;
static struct rf_watch_cursor cursor;
static struct rf_replica *replica;
static struct regfast_reader *reader;

static int start(void **state)
{
    (void)state;
    catalog = NULL;
    cursor = (struct rf_watch_cursor){0};
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &roster, NULL), 0);
    assert_int_equal(rf_replica_new("web", &replica, NULL), 0);
    assert_int_equal(rf_replica_reader_new(replica, &reader), 0);
    rf_replica_connected(replica, "r", RF_PLACEMENT_V1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    regfast_reader_free(reader);
    rf_replica_free(replica);
    rf_catalog_free(catalog);
    rf_roster_free(roster);
    return 0;
}

static void put(const char *id, const char *addr, uint32_t replicas, enum rf_member_state state)
{
    const struct rf_member member = {
        .id = id, .group = "web", .addr = addr, .replicas = replicas, .state = state};
    assert_true(rf_roster_put(roster, &member, NULL) >= 0);
}

static void put_number(int number, uint32_t replicas, enum rf_member_state state)
{
    char id[16];
    (void)snprintf(id, sizeof(id), "m%d", number);
    put(id, "h:1", replicas, state);
}

static const struct rf_group *group_now(void)
{
    return rf_catalog_group(catalog, "web", 3);
}

/* Tells the replica what the roster is now. */
static int tell(void)
{
    static uint8_t frame[RF_WIRE_PAGE_SIZE_MAX];
    struct rf_catalog *next = NULL;
    int code = 0;
    assert_int_equal(rf_roster_commit(roster, &next, NULL), 0);
    if (next != NULL) {
        rf_catalog_free(catalog);
        catalog = next;
    }
    while (code == 0 && rf_watch_is_behind(&cursor, group_now())) {
        struct rf_wire_watch_reply page;
        size_t size =
            rf_watch_page_encode(&cursor, group_now(), catalog, 1, 1, frame, RF_WIRE_PAGE_SIZE_MAX);
        assert_int_equal(rf_wire_watch_reply_decode(frame + RF_WIRE_HEADER_SIZE,
                                                    size - RF_WIRE_HEADER_SIZE, &page, NULL),
                         0);
        code = rf_replica_page(replica, &page, 1, NULL);
    }
    return code;
}

/* ---- answers ---- */

static void all_forms_answer_as_the_ring_does_for_keys_and_names_of_any_size(void **state)
{
    (void)state;
    enum { KEYS = 300, KEY_SIZE = 300 };
    static uint8_t bytes[KEYS][KEY_SIZE];
    static struct regfast_key keys[KEYS];
    static struct regfast_owner owners[KEYS];
    struct rf_random random = {.state = 7};
    char id[RF_NAME_SIZE_MAX + 1];
    char addr[RF_NAME_SIZE_MAX + 1];
    for (int size = 1; size <= RF_NAME_SIZE_MAX; size += size < 34 ? 1 : 17) {
        memset(id, 'a' + size % 26, (size_t)size);
        memset(addr, 'A' + size % 26, (size_t)(RF_NAME_SIZE_MAX + 1 - size));
        id[size] = '\0';
        addr[RF_NAME_SIZE_MAX + 1 - size] = '\0';
        put(id, addr, 20, RF_MEMBER_ALIVE);
        memset(addr, 'b', (size_t)size);
        addr[size] = '\0';
        id[0] = 'x';
        put(id, addr, 20, RF_MEMBER_ALIVE);
    }
    assert_int_equal(tell(), 1);
    for (size_t i = 0; i < KEYS; i++) {
        for (size_t j = 0; j < KEY_SIZE; j++) {
            bytes[i][j] = (uint8_t)rf_random_next(&random);
        }
        keys[i] = (struct regfast_key){bytes[i], i};
    }
    keys[0].data = NULL; /* a key of no bytes */
    assert_int_equal(regfast_local_match_many(reader, keys, KEYS, owners), 0);
    for (size_t i = 0; i < KEYS; i++) {
        struct regfast_owner owner;
        struct regfast_owner some[3];
        const uint64_t hash = rf_placement_hash(RF_PLACEMENT_V1, keys[i].data, keys[i].size);
        const struct rf_member *wanted =
            group_now()->by_slot[rf_ring_owner(group_now()->ring, hash)];
        uint16_t slots[3];
        assert_int_equal(regfast_local_match(reader, keys[i].data, keys[i].size, &owner), 0);
        assert_string_equal(owner.id, wanted->id);
        assert_string_equal(owner.addr, wanted->addr);
        assert_int_equal(owner.version, group_now()->version);
        assert_string_equal(owners[i].id, wanted->id);
        assert_string_equal(owners[i].addr, wanted->addr);
        assert_int_equal(owners[i].version, group_now()->version);
        assert_int_equal(rf_ring_owners(group_now()->ring, hash, 3, slots), 3);
        assert_int_equal(regfast_local_owners(reader, keys[i].data, keys[i].size, 3, some), 3);
        for (int j = 0; j < 3; j++) {
            assert_string_equal(some[j].id, group_now()->by_slot[slots[j]]->id);
            assert_string_equal(some[j].addr, group_now()->by_slot[slots[j]]->addr);
        }
    }
}

static void arguments_that_are_none_are_refused(void **state)
{
    (void)state;
    struct regfast_owner owner;
    struct regfast_load load = {0};
    const struct regfast_key bad = {NULL, 1};
    const size_t too_large = REGFAST_KEY_SIZE_MAX + 1;
    static const char key[REGFAST_KEY_SIZE_MAX + 1];
    put_number(1, 1, RF_MEMBER_ALIVE);
    assert_int_equal(tell(), 1);
    assert_int_equal(regfast_local_match(NULL, "k", 1, &owner), -EINVAL);
    assert_int_equal(regfast_local_match(reader, NULL, 1, &owner), -EINVAL);
    assert_int_equal(regfast_local_match(reader, "k", 1, NULL), -EINVAL);
    assert_int_equal(regfast_local_match(reader, key, too_large, &owner), -EINVAL);
    assert_int_equal(regfast_local_match(reader, key, too_large - 1, &owner), 0);
    assert_int_equal(regfast_local_match(reader, key, SIZE_MAX, &owner), -EINVAL);
    assert_int_equal(regfast_local_match(reader, NULL, 0, &owner), 0);
    assert_int_equal(regfast_local_match_many(NULL, &bad, 0, &owner), -EINVAL);
    assert_int_equal(regfast_local_match_many(reader, &bad, 1, &owner), -EINVAL);
    assert_int_equal(regfast_local_match_many(reader, NULL, 1, &owner), -EINVAL);
    assert_int_equal(regfast_local_match_many(reader, NULL, 0, NULL), 0);
    assert_int_equal(regfast_local_owners(reader, "k", 1, 0, &owner), -EINVAL);
    assert_int_equal(regfast_local_owners(reader, "k", 1, REGFAST_OWNERS_MAX + 1, &owner), -EINVAL);
    assert_int_equal(regfast_local_owners(reader, "k", 1, 1, &owner), 1);
    const double factors[] = {1, 0.5, -2, (double)NAN, (double)INFINITY};
    for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
        assert_int_equal(regfast_match_bounded(reader, "k", 1, factors[i], &owner, &load), -EINVAL);
    }
    assert_int_equal(regfast_match_bounded(reader, "k", 1, 0, &owner, NULL), -EINVAL);
    assert_int_equal(regfast_match_bounded(NULL, "k", 1, 0, &owner, &load), -EINVAL);
    regfast_load_done(reader, &load); /* never began */
    regfast_load_done(NULL, &load);
    regfast_load_done(reader, NULL);
    regfast_reader_free(NULL);
}

/* ---- bounded loads ---- */

struct request {
    struct regfast_load load;
    int number; /* of its member */
};

/* The definition, counted beside. */
static uint64_t loads[IDS];
static struct request requests[LOADS_MAX];
static size_t requests_count;

static int number_of(const char *id)
{
    return (int)strtol(id + 1, NULL, 10);
}

static uint64_t sum_of_loads(void)
{
    uint64_t sum = 0;
    const struct rf_group *group = group_now();
    for (size_t i = 0; i < group->members_count; i++) {
        sum += rf_member_is_in_ring(group->members[i].state)
                   ? loads[number_of(group->members[i].id)]
                   : 0;
    }
    return sum;
}

/* Who gets the key: the first one round the ring who has room. */
static int wanted_of(uint64_t key, double factor)
{
    uint16_t slots[IDS];
    const struct rf_group *group = group_now();
    const uint64_t hash = rf_placement_hash(RF_PLACEMENT_V1, &key, sizeof(key));
    const size_t count = rf_ring_owners(group->ring, hash, IDS, slots);
    const double each =
        factor * (double)(sum_of_loads() + 1) / (double)rf_ring_points_count(group->ring);
    for (size_t i = 0; i < count; i++) {
        const struct rf_member *member = group->by_slot[slots[i]];
        if ((double)loads[number_of(member->id)] < each * member->replicas) {
            return number_of(member->id);
        }
    }
    fail_msg("nobody has room");
    return -1;
}

static void begin(uint64_t key, double factor)
{
    struct regfast_owner owner;
    struct request *request = &requests[requests_count];
    const int wanted = wanted_of(key, factor);
    assert_int_equal(
        regfast_match_bounded(reader, &key, sizeof(key), factor, &owner, &request->load), 0);
    request->number = number_of(owner.id);
    assert_int_equal(request->number, wanted);
    requests_count++;
    loads[wanted]++;
    const struct rf_group *group = group_now();
    struct rf_member member = {0};
    assert_true(rf_roster_find(roster, owner.id, &member));
    const double share = (double)member.replicas / (double)rf_ring_points_count(group->ring);
    assert_true((double)loads[wanted] <=
                ceil(factor * (double)sum_of_loads() * share * (1 + 1e-12)));
}

static void end(size_t i)
{
    loads[requests[i].number]--;
    regfast_load_done(reader, &requests[i].load);
    regfast_load_done(reader, &requests[i].load); /* once more does nothing */
    requests[i] = requests[--requests_count];
}

static void assert_nothing_is_under_way(void)
{
    assert_int_equal(atomic_load(&replica->loads.total), 0);
    for (size_t i = 0; i < replica->loads.count; i++) {
        assert_int_equal(rf_load_count(replica->loads.cells[i]), 0);
    }
}

static void change_members(struct rf_random *random)
{
    const int number = 1 + (int)rf_random_below(random, IDS - 1); /* 0 stays */
    const uint32_t replicas = 1 + (uint32_t)rf_random_below(random, 40);
    switch (rf_random_below(random, 4)) {
    case 0:
        put_number(number, replicas, RF_MEMBER_LEFT);
        break;
    case 1: {
        char id[16];
        (void)snprintf(id, sizeof(id), "m%d", number);
        (void)rf_roster_remove(roster, id);
        break;
    }
    default:
        put_number(number, rf_random_below(random, 8) == 0 ? 3000 : replicas, RF_MEMBER_ALIVE);
        break;
    }
    assert_true(tell() >= 0);
}

static void bounded_match_is_the_first_with_room_whoever_comes_and_goes(void **state)
{
    (void)state;
    const double factors[] = {1.0000001, 1.05, 1.25, 2, 1e9};
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct rf_random random = {.state = seed};
        const double factor = factors[seed - 1];
        for (int i = 0; i < IDS; i++) {
            put_number(i, 1 + (uint32_t)rf_random_below(&random, 40), RF_MEMBER_ALIVE);
        }
        assert_true(tell() >= 0);
        for (int step = 0; step < 3000; step++) {
            if (rf_random_below(&random, 50) == 0) {
                change_members(&random);
            }
            /* It grows and shrinks in waves. */
            const bool grows = rf_random_below(&random, 10) < (step / 500 % 2 == 0 ? 8 : 3);
            if (grows && requests_count < LOADS_MAX) {
                /* Many ask for one key. */
                begin(rf_random_below(&random, rf_random_below(&random, 2) == 0 ? 3 : 100000),
                      factor);
            } else if (requests_count > 0) {
                end(rf_random_below(&random, requests_count));
            }
        }
        while (requests_count > 0) {
            end(requests_count - 1);
        }
        assert_nothing_is_under_way();
    }
    assert_true(replica->loads.count <= IDS);
}

static void key_stays_where_it_is_while_loads_are_light(void **state)
{
    (void)state;
    for (int i = 0; i < IDS; i++) {
        put_number(i, 100, RF_MEMBER_ALIVE);
    }
    assert_int_equal(tell(), 1);
    for (uint64_t key = 0; key < 1000; key++) {
        struct regfast_owner bare;
        struct regfast_owner owner;
        struct regfast_load load;
        assert_int_equal(regfast_local_match(reader, &key, sizeof(key), &bare), 0);
        assert_int_equal(regfast_match_bounded(reader, &key, sizeof(key), 0, &owner, &load), 0);
        assert_string_equal(owner.id, bare.id);
        assert_string_equal(owner.addr, bare.addr);
        assert_int_equal(owner.version, bare.version);
        regfast_load_done(reader, &load);
    }
    assert_nothing_is_under_way();
}

static void one_member_gets_all_and_one_light_one_among_heavy_is_found(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    static struct regfast_load held[MANY];
    struct regfast_owner owner;
    put_number(0, 60000, RF_MEMBER_ALIVE);
    assert_int_equal(tell(), 1);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(regfast_match_bounded(reader, "k", 1, 1.0001, &owner, &held[i]), 0);
        assert_string_equal(owner.id, "m0");
    }
    /* All have as much as their weight allows, but for one of a single point, far away. */
    put_number(1, 1, RF_MEMBER_ALIVE);
    assert_int_equal(tell(), 1);
    struct regfast_load load;
    for (uint64_t key = 0; key < 20; key++) {
        assert_int_equal(regfast_match_bounded(reader, &key, sizeof(key), 1.00001, &owner, &load),
                         0);
        const double room = 1.00001 * (MANY + 1) * 60000 / 60001;
        assert_string_equal(owner.id, MANY < room ? "m0" : "m1");
        regfast_load_done(reader, &load);
    }
    for (int i = 0; i < MANY; i++) {
        regfast_load_done(reader, &held[i]);
    }
    assert_nothing_is_under_way();
}

static void member_far_away_with_room_is_found_when_all_near_ones_are_full(void **state)
{
    (void)state;
    enum { HEAVY = 3, MANY = 300 };
    static struct regfast_load held[MANY];
    struct regfast_owner owner;
    for (int i = 0; i < HEAVY; i++) {
        put_number(i, 20000, RF_MEMBER_ALIVE);
    }
    assert_int_equal(tell(), 1);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(regfast_match_bounded(reader, &i, sizeof(i), 1.0001, &owner, &held[i]), 0);
        loads[number_of(owner.id)]++;
    }
    put_number(HEAVY, 2, RF_MEMBER_ALIVE); /* 2 points of 60002 */
    put_number(HEAVY + 1, 1, RF_MEMBER_ALIVE);
    assert_int_equal(tell(), 1);
    for (int i = 0; i < HEAVY; i++) { /* and more than is left for them */
        put_number(i, 19000 + (uint32_t)i, RF_MEMBER_ALIVE);
    }
    assert_int_equal(tell(), 1);
    for (uint64_t key = 0; key < 50; key++) {
        struct regfast_load load;
        const int wanted = wanted_of(key, 1.0000001);
        assert_int_equal(regfast_match_bounded(reader, &key, sizeof(key), 1.0000001, &owner, &load),
                         0);
        assert_int_equal(number_of(owner.id), wanted);
        regfast_load_done(reader, &load);
    }
    for (int i = 0; i < MANY; i++) {
        regfast_load_done(reader, &held[i]);
    }
    memset(loads, 0, sizeof(loads));
    assert_nothing_is_under_way();
}

static void load_of_a_member_that_left_counts_again_when_it_is_back(void **state)
{
    (void)state;
    struct regfast_owner owner;
    struct regfast_load load;
    put_number(1, 1, RF_MEMBER_ALIVE);
    assert_int_equal(tell(), 1);
    assert_int_equal(regfast_match_bounded(reader, "k", 1, 0, &owner, &load), 0);
    put_number(1, 1, RF_MEMBER_LEFT);
    put_number(2, 1, RF_MEMBER_ALIVE);
    assert_int_equal(tell(), 1);
    assert_int_equal(atomic_load(&replica->loads.total), 0);
    assert_int_equal(replica->loads.count, 2);
    put_number(1, 1, RF_MEMBER_ALIVE);
    assert_int_equal(tell(), 1);
    assert_int_equal(atomic_load(&replica->loads.total), 1);
    put_number(1, 1, RF_MEMBER_LEFT);
    assert_int_equal(tell(), 1);
    regfast_load_done(reader, &load);
    put_number(3, 1, RF_MEMBER_ALIVE);
    assert_int_equal(tell(), 1);
    assert_int_equal(replica->loads.count, 2); /* nothing is remembered of it */
    assert_nothing_is_under_way();
}

static void nobody_to_ask_counts_nothing(void **state)
{
    (void)state;
    struct regfast_owner owner;
    struct regfast_load load = {0};
    assert_int_equal(regfast_match_bounded(reader, "k", 1, 0, &owner, &load), -EAGAIN);
    assert_int_equal(tell(), 1);
    assert_int_equal(regfast_match_bounded(reader, "k", 1, 0, &owner, &load), REGFAST_ENOTFOUND);
    assert_int_equal(regfast_local_match(reader, "k", 1, &owner), REGFAST_ENOTFOUND);
    assert_int_equal(regfast_local_owners(reader, "k", 1, 1, &owner), REGFAST_ENOTFOUND);
    regfast_load_done(reader, &load);
    assert_nothing_is_under_way();
}

/* ---- threads ---- */

static atomic_bool is_over;
static _Atomic(uint64_t) taken[IDS];

/* Its own readers, now and then a new one; ends requests of which it has several. */
static void *run_requests(void *argument)
{
    enum { HELD = 16 };
    struct rf_random random = {.state = (uint64_t)(uintptr_t)argument};
    struct regfast_load held[HELD] = {0};
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        struct regfast_reader *own = NULL;
        if (rf_replica_reader_new(replica, &own) != 0) {
            abort();
        }
        for (int i = 0; i < 1000; i++) {
            struct regfast_owner owner;
            const uint64_t key = rf_random_below(&random, 1000);
            struct regfast_load *load = &held[rf_random_below(&random, HELD)];
            regfast_load_done(own, load);
            if (regfast_match_bounded(own, &key, sizeof(key), 1.01, &owner, load) != 0 ||
                owner.id[0] != 'm' || strcmp(owner.addr, "h:1") != 0 ||
                regfast_local_match(own, &key, sizeof(key), &owner) != 0 || owner.id[0] != 'm' ||
                strcmp(owner.addr, "h:1") != 0) {
                abort();
            }
        }
        struct regfast_watch_status status = {.size = sizeof(status)};
        struct regfast_member_list *list = NULL;
        rf_replica_status(replica, 1, 1, &status);
        if (rf_replica_members(replica, &list, NULL) != 0 || list->count < 1 ||
            status.version > list->version) {
            abort();
        }
        regfast_member_list_free(list);
        for (size_t i = 0; i < HELD && rf_random_below(&random, 4) == 0; i++) {
            regfast_load_done(own, &held[i]);
        }
        regfast_reader_free(own);
    }
    struct regfast_reader *last = NULL;
    if (rf_replica_reader_new(replica, &last) != 0) {
        abort();
    }
    for (size_t i = 0; i < HELD; i++) {
        regfast_load_done(last, &held[i]);
    }
    regfast_reader_free(last);
    return NULL;
}

static void requests_of_many_threads_are_counted_rightly_while_members_change(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct rf_random random = {.state = 3};
    put_number(0, 10, RF_MEMBER_ALIVE);
    assert_int_equal(tell(), 1);
    atomic_store(&is_over, false);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, run_requests, (void *)(uintptr_t)(i + 1)), 0);
    }
    for (int step = 0; step < 500; step++) {
        change_members(&random);
        rf_replica_heard(replica, (uint64_t)step);
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    assert_nothing_is_under_way();
    assert_false(rf_hazard_reclaim(&replica->hazard));
    assert_int_equal(replica->hazard.retired_count, 0);
}

static void *run_begins(void *argument)
{
    struct rf_random random = {.state = (uint64_t)(uintptr_t)argument};
    struct regfast_reader *own = NULL;
    if (rf_replica_reader_new(replica, &own) != 0) {
        abort();
    }
    for (int i = 0; i < 3000; i++) {
        struct regfast_owner owner;
        struct regfast_load load;
        const uint64_t key = rf_random_below(&random, 3);
        if (regfast_match_bounded(own, &key, sizeof(key), 1.1, &owner, &load) != 0) {
            abort();
        }
        atomic_fetch_add(&taken[number_of(owner.id)], 1);
    }
    regfast_reader_free(own);
    return NULL;
}

/* While requests only begin, capacities only grow: so in the end nobody has more than by all. */
static void nobody_is_over_its_capacity_however_many_threads_ask(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint64_t replicas_sum = 0;
    uint64_t sum = 0;
    for (int i = 0; i < IDS; i++) {
        put_number(i, 1 + (uint32_t)i, RF_MEMBER_ALIVE);
        replicas_sum += 1 + (uint64_t)i;
        atomic_store(&taken[i], 0);
    }
    assert_int_equal(tell(), 1);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_begins, (void *)(uintptr_t)(i + 1)),
                         0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < IDS; i++) {
        sum += atomic_load(&taken[i]);
    }
    assert_int_equal(sum, THREADS * 3000);
    assert_int_equal(atomic_load(&replica->loads.total), sum);
    for (int i = 0; i < IDS; i++) {
        const double capacity = ceil(1.1 * (double)sum * (1 + i) / (double)replicas_sum);
        assert_true((double)atomic_load(&taken[i]) <= capacity);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            all_forms_answer_as_the_ring_does_for_keys_and_names_of_any_size, start, stop),
        cmocka_unit_test_setup_teardown(arguments_that_are_none_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(bounded_match_is_the_first_with_room_whoever_comes_and_goes,
                                        start, stop),
        cmocka_unit_test_setup_teardown(key_stays_where_it_is_while_loads_are_light, start, stop),
        cmocka_unit_test_setup_teardown(one_member_gets_all_and_one_light_one_among_heavy_is_found,
                                        start, stop),
        cmocka_unit_test_setup_teardown(
            member_far_away_with_room_is_found_when_all_near_ones_are_full, start, stop),
        cmocka_unit_test_setup_teardown(load_of_a_member_that_left_counts_again_when_it_is_back,
                                        start, stop),
        cmocka_unit_test_setup_teardown(nobody_to_ask_counts_nothing, start, stop),
        cmocka_unit_test_setup_teardown(
            requests_of_many_threads_are_counted_rightly_while_members_change, start, stop),
        cmocka_unit_test_setup_teardown(nobody_is_over_its_capacity_however_many_threads_ask, start,
                                        stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
