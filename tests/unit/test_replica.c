/* SPDX-License-Identifier: MIT
 *
 * What a replica publishes is what a registry knew, whatever is lost, cut or changed on the way.
 */
#include "client/replica.h"

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
#include "net/watch_page.h"

enum {
    IDS = 1000, /* all of them take several pages */
    SERVERS = 3,
    STEPS = 10000,
    KEYS = 20,
    STALE_MS = 4000,
};

static const uint64_t ms = 1000000;

/* A registry, as far as its watchers see it. */
struct server {
    struct rf_roster *roster;
    struct rf_catalog *catalog;
    uint64_t instance;
};

static struct server servers[SERVERS];
static struct server *connected; /* NULL: to none */
static struct rf_watch_cursor cursor;
static struct rf_wire_watch_reply page_left; /* what of a page has not been delivered */
static bool has_page_left;
static struct rf_replica *replica;
static struct regfast_reader *reader;
static uint64_t now_ns;
static uint64_t instances;
static enum rf_placement placement;

/* ---- registries ---- */

static const struct rf_group *group_of(const struct server *server)
{
    return rf_catalog_group(server->catalog, "web", 3);
}

static void commit(struct server *server)
{
    struct rf_catalog *next = NULL;
    assert_int_equal(rf_roster_commit(server->roster, &next, NULL), 0);
    if (next != NULL) {
        rf_catalog_free(server->catalog);
        server->catalog = next;
    }
}

static void start_server(struct server *server)
{
    server->instance = ++instances;
    server->catalog = NULL;
    assert_int_equal(rf_roster_new(placement, &server->roster, NULL), 0);
    commit(server);
}

static void stop_server(struct server *server)
{
    rf_catalog_free(server->catalog);
    rf_roster_free(server->roster);
}

static void id_of(int number, char id[RF_NAME_SIZE_MAX + 1])
{
    /* Some are long, so that pages are full, and so that answers do not fit a line. */
    (void)snprintf(id, RF_NAME_SIZE_MAX + 1, "m%0*d", number % 3 == 0 ? 200 : 4, number);
}

static void put(struct server *server, int number, uint32_t replicas, enum rf_member_state state)
{
    char id[RF_NAME_SIZE_MAX + 1];
    char addr[64];
    id_of(number, id);
    replicas = state == RF_MEMBER_DRAINING ? 0 : replicas;
    (void)snprintf(addr, sizeof(addr), "10.0.0.%d:80%s", number,
                   number % 5 == 0 ? ".and.so.on.and.so.on.and.so.on" : "");
    const struct rf_member member = {
        .id = id, .group = "web", .addr = addr, .replicas = replicas, .state = state};
    assert_true(rf_roster_put(server->roster, &member, NULL) >= 0);
}

static void forget(struct server *server, int number)
{
    char id[RF_NAME_SIZE_MAX + 1];
    id_of(number, id);
    (void)rf_roster_remove(server->roster, id);
}

/* ---- the connection ---- */

static void disconnect(void)
{
    if (connected != NULL) {
        rf_replica_disconnected(replica);
        connected = NULL;
        has_page_left = false;
    }
}

static void connect_to(struct server *server)
{
    uint64_t instance;
    uint64_t version;
    char name[16];
    disconnect();
    (void)snprintf(name, sizeof(name), "server-%d", (int)(server - servers));
    rf_replica_connected(replica, name, placement);
    rf_replica_resume(replica, &instance, &version);
    assert_true((instance == 0) == (version == 0));
    cursor = (struct rf_watch_cursor){.version = instance == server->instance ? version : 0};
    connected = server;
}

/* The next page of what the replica does not know, decoded from `frame`. False: there is none. */
static bool next_page(uint8_t frame[RF_WIRE_PAGE_SIZE_MAX], struct rf_wire_watch_reply *ret_page)
{
    if (!rf_watch_is_behind(&cursor, group_of(connected))) {
        return false;
    }
    size_t size = rf_watch_page_encode(&cursor, group_of(connected), connected->catalog,
                                       connected->instance, 1, frame, RF_WIRE_PAGE_SIZE_MAX);
    assert_true(size > 0);
    assert_int_equal(rf_wire_watch_reply_decode(frame + RF_WIRE_HEADER_SIZE,
                                                size - RF_WIRE_HEADER_SIZE, ret_page, NULL),
                     0);
    return true;
}

/* Delivers at most `count_max` changes of a page, as a page of its own: a registry may cut an
 * update where it likes. */
static int take_page(uint32_t count_max)
{
    static uint8_t frame[RF_WIRE_PAGE_SIZE_MAX];
    if (!has_page_left && !next_page(frame, &page_left)) {
        return 0;
    }
    struct rf_wire_watch_reply page = page_left;
    struct rf_wire_change change;
    has_page_left = page.changes.left > count_max;
    if (has_page_left) {
        page.changes.left = count_max;
        page.count = (uint16_t)count_max;
        page.more = true;
        page_left.head.is_whole = false;
        page_left.count = (uint16_t)(page_left.count - count_max);
        for (uint32_t i = 0; i < count_max; i++) {
            assert_true(rf_wire_watch_next(&page_left.changes, &change));
        }
    }
    return rf_replica_page(replica, &page, now_ns, NULL);
}

/* Pages until an update is complete. */
static int take_update(void)
{
    int code;
    do {
        code = take_page(UINT32_MAX);
    } while (code == 0 && rf_watch_is_behind(&cursor, group_of(connected)));
    return code;
}

/* ---- what is published ---- */

static struct regfast_watch_status status_now(void)
{
    struct regfast_watch_status status = {.size = sizeof(status)};
    rf_replica_status(replica, now_ns, STALE_MS * ms, &status);
    assert_int_equal(status.size, sizeof(status));
    return status;
}

static void assert_answers(const struct rf_group *group, uint64_t version)
{
    for (uint64_t key = 0; key < KEYS; key++) {
        struct regfast_owner owner;
        const uint64_t hash = rf_placement_hash(placement, &key, sizeof(key));
        const struct rf_member *wanted = group == NULL ? NULL : rf_group_owner(group, hash);
        int code = regfast_local_match(reader, &key, sizeof(key), &owner);
        if (wanted == NULL) {
            assert_int_equal(code, REGFAST_ENOTFOUND);
        } else {
            assert_int_equal(code, 0);
            assert_string_equal(owner.id, wanted->id);
            assert_string_equal(owner.addr, wanted->addr);
            assert_int_equal(owner.version, version);
        }
    }
}

static void assert_published(const struct server *server)
{
    const struct rf_group *group = group_of(server);
    const uint64_t version = group == NULL ? server->catalog->version : group->version;
    const struct regfast_watch_status status = status_now();
    assert_int_equal(status.version, version);
    assert_true(status.digest == (group == NULL ? 0 : group->digest));
    assert_int_equal(status.members_count, group == NULL ? 0 : group->members_count);
    assert_int_equal(status.alive_count, group == NULL ? 0 : group->alive_count);
    assert_int_equal(status.state, REGFAST_WATCH_LIVE);
    assert_int_equal(status.age_ms, 0);
    assert_int_equal(status.server[7] - '0', server - servers);

    struct regfast_member_list *list = NULL;
    assert_int_equal(rf_replica_members(replica, &list, NULL), 0);
    assert_int_equal(list->version, version);
    assert_int_equal(list->count, status.members_count);
    for (size_t i = 0; group != NULL && i < list->count; i++) {
        assert_string_equal(list->members[i].id, group->members[i].id);
        assert_string_equal(list->members[i].addr, group->members[i].addr);
        assert_int_equal(list->members[i].replicas, group->members[i].replicas);
        assert_int_equal(list->members[i].state, group->members[i].state);
    }
    regfast_member_list_free(list);
    assert_answers(group, version);
}

static void start_with(enum rf_placement with)
{
    placement = with;
    now_ns = 1;
    instances = 0;
    connected = NULL;
    has_page_left = false;
    for (int i = 0; i < SERVERS; i++) {
        start_server(&servers[i]);
    }
    assert_int_equal(rf_replica_new("web", &replica, NULL), 0);
    assert_int_equal(rf_replica_reader_new(replica, &reader), 0);
}

static int start(void **state)
{
    (void)state;
    start_with(RF_PLACEMENT_V1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    regfast_reader_free(reader);
    rf_replica_free(replica);
    for (int i = 0; i < SERVERS; i++) {
        stop_server(&servers[i]);
    }
    return 0;
}

/* ---- whatever happens ---- */

static void change_one(struct rf_random *random, struct server *server)
{
    const int number = (int)rf_random_below(random, IDS);
    if (rf_random_below(random, 4) == 0) {
        forget(server, number);
    } else {
        put(server, number, 1 + (uint32_t)rf_random_below(random, 3),
            (enum rf_member_state)rf_random_below(random, RF_MEMBER_STATES_COUNT));
    }
}

static void change_something(struct rf_random *random, struct server *server)
{
    const uint64_t all_states = rf_random_below(random, 6);
    switch (rf_random_below(random, 60)) {
    case 0:
        for (int i = 0; i < IDS; i++) {
            forget(server, i);
        }
        break;
    case 1: /* all who are known leave, or fail, or some and some */
    case 2:
        for (int i = 0; i < IDS; i++) {
            char id[RF_NAME_SIZE_MAX + 1];
            id_of(i, id);
            enum rf_member_state state = all_states < 2                    ? RF_MEMBER_LEFT
                                         : all_states < 4                  ? RF_MEMBER_FAILED
                                         : rf_random_below(random, 2) == 0 ? RF_MEMBER_LEFT
                                                                           : RF_MEMBER_FAILED;
            const int code = rf_roster_set_state(server->roster, id, state, NULL);
            assert_true(code >= 0 || code == -EINVAL); /* who drains has no weight to fail with */
        }
        break;
    case 3: /* more than a group remembers */
        for (int i = 0; i < RF_FORGOTTEN_MAX + 20; i++) {
            forget(server, (int)rf_random_below(random, IDS));
        }
        break;
    case 4:
        for (int i = 0; i < IDS; i++) {
            put(server, i, 1, RF_MEMBER_ALIVE);
        }
        break;
    case 5: /* a restart: it knows nothing any more */
        if (connected == server) {
            disconnect();
        }
        stop_server(server);
        start_server(server);
        break;
    default:
        for (uint64_t n = 1 + rf_random_below(random, 5); n > 0; n--) {
            change_one(random, server);
        }
        break;
    }
    commit(server);
}

/* Whom the published ring has, by number. */
struct in_ring {
    bool is_in[IDS];
    size_t count;
};

static int number_of(const char *id)
{
    return (int)strtol(id + 1, NULL, 10);
}

static void note_ring(struct in_ring *ring, const struct rf_group *group)
{
    memset(ring, 0, sizeof(*ring));
    for (size_t i = 0; group != NULL && i < group->members_count; i++) {
        if (rf_member_is_in_ring(group->members[i].state)) {
            ring->is_in[number_of(group->members[i].id)] = true;
            ring->count++;
        }
    }
}

/* How many of them a registry knows that have not said themselves that they go. */
static size_t count_not_left(const struct in_ring *ring, const struct rf_group *group)
{
    size_t count = 0;
    for (size_t i = 0; group != NULL && i < group->members_count; i++) {
        count += ring->is_in[number_of(group->members[i].id)] &&
                 group->members[i].state != RF_MEMBER_LEFT &&
                 group->members[i].state != RF_MEMBER_DRAINING;
    }
    return count;
}

/* How many of them a registry has heard of, whatever became of them. */
static size_t count_known(const struct in_ring *ring, const struct rf_group *group)
{
    size_t count = 0;
    for (size_t i = 0; group != NULL && i < group->members_count; i++) {
        count += ring->is_in[number_of(group->members[i].id)];
    }
    return count;
}

struct counts {
    unsigned updates, refused, young, empty, lost, resumed;
};

static void step(struct rf_random *random, struct in_ring *ring, struct counts *counts)
{
    now_ns += ms;
    if (rf_random_below(random, 3) == 0) {
        struct server *server = &servers[rf_random_below(random, SERVERS)];
        if (server != connected || !has_page_left) { /* else what is delivered is not what is now */
            change_something(random, server);
        }
    }
    if (connected == NULL || rf_random_below(random, 40) == 0) {
        counts->lost += cursor.is_under_way || has_page_left;
        connect_to(&servers[rf_random_below(random, SERVERS)]);
        counts->resumed += cursor.version > 0;
    }
    const uint64_t refused = status_now().refused;
    const uint64_t count_max = rf_random_below(random, 3) > 0 ? UINT32_MAX
                               : rf_random_below(random, 2)   ? rf_random_below(random, IDS)
                                                              : rf_random_below(random, 4);
    const int code = take_page((uint32_t)count_max);
    const struct rf_group *group = group_of(connected);
    const size_t alive_count = group == NULL ? 0 : group->alive_count;
    if (code == RF_EUNAVAILABLE) {
        const bool knows_few = 2 * count_known(ring, group) < ring->count;
        counts->refused++;
        counts->young += alive_count > 0;
        assert_true(alive_count == 0 || knows_few);
        assert_true(ring->count > 0);
        assert_int_equal(status_now().state, REGFAST_WATCH_STALE);
        assert_int_equal(status_now().refused, refused + 1);
        assert_int_equal(status_now().alive_count, ring->count);
        struct regfast_owner owner;
        assert_int_equal(regfast_local_match(reader, "k", 1, &owner), 0);
        assert_true(ring->is_in[number_of(owner.id)]);
    } else if (code == 1) {
        counts->updates++;
        assert_false(rf_watch_is_behind(&cursor, group));
        assert_published(connected);
        if (alive_count == 0 && ring->count > 0) {
            counts->empty++;
            assert_int_equal(count_not_left(ring, group), 0);
        }
        note_ring(ring, group);
    } else {
        assert_int_equal(code, 0);
    }
    rf_replica_heard(replica, now_ns);
}

static void published_is_what_a_registry_knew_whatever_happens(void **state)
{
    (void)state;
    const enum rf_placement placements[] = {RF_PLACEMENT_V1, RF_PLACEMENT_CRC32};
    for (int i = 0; i < 2; i++) {
        const uint64_t seed = 20261125 + (uint64_t)i;
        struct rf_random random = {.state = seed};
        struct in_ring ring = {0};
        struct counts counts = {0};
        start_with(placements[i]);
        for (int at = 0; at < STEPS; at++) {
            step(&random, &ring, &counts);
        }
        printf("seed %llu: %u updates, %u refused (%u of young ones), %u emptied the ring, %u lost "
               "half way, "
               "%u resumed\n",
               (unsigned long long)seed, counts.updates, counts.refused, counts.young, counts.empty,
               counts.lost, counts.resumed);
        assert_true(counts.updates > 200 && counts.refused > 5 && counts.young > 2 &&
                    counts.empty > 2);
        assert_true(counts.lost > 5 && counts.resumed > 5);
        assert_int_equal(status_now().full_copies, 0);
        assert_int_equal(stop(NULL), 0);
    }
}

/* ---- one by one ---- */

static void replica_that_knows_nothing_says_so(void **state)
{
    (void)state;
    struct regfast_owner owner;
    struct regfast_member_list *list = NULL;
    struct rf_error err = {0};
    assert_int_equal(regfast_local_match(reader, "k", 1, &owner), -EAGAIN);
    assert_int_equal(rf_replica_members(replica, &list, &err), -EAGAIN);
    assert_true(strstr(err.text, "web") != NULL);
    assert_int_equal(status_now().state, REGFAST_WATCH_EMPTY);
    connect_to(&servers[0]);
    assert_int_equal(regfast_local_match(reader, "k", 1, &owner), -EAGAIN);
    assert_int_equal(take_update(), 1); /* there is no such group: that is known */
    assert_published(&servers[0]);
}

static void answers_go_on_and_grow_old_when_the_registry_is_gone(void **state)
{
    (void)state;
    put(&servers[0], 1, 1, RF_MEMBER_ALIVE);
    commit(&servers[0]);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    now_ns += 100 * ms;
    assert_int_equal(status_now().age_ms, 100);
    rf_replica_heard(replica, now_ns); /* a PING's reply */
    assert_int_equal(status_now().age_ms, 0);
    disconnect();
    now_ns += (uint64_t)STALE_MS * ms;
    assert_int_equal(status_now().state, REGFAST_WATCH_LIVE);
    rf_replica_heard(replica, now_ns); /* of no connection: says nothing */
    now_ns += ms;
    assert_int_equal(status_now().state, REGFAST_WATCH_STALE);
    assert_int_equal(status_now().age_ms, STALE_MS + 1);
    assert_answers(group_of(&servers[0]), servers[0].catalog->version);
    connect_to(&servers[0]);
    rf_replica_heard(replica, now_ns); /* before it has told anything */
    assert_int_equal(status_now().state, REGFAST_WATCH_STALE);
    assert_int_equal(take_update(), 1);
    assert_int_equal(status_now().updates, 1); /* it was so already */
    assert_published(&servers[0]);
}

static void registry_that_knows_nobody_does_not_empty_the_ring(void **state)
{
    (void)state;
    put(&servers[0], 1, 1, RF_MEMBER_ALIVE);
    put(&servers[0], 2, 1, RF_MEMBER_ALIVE);
    commit(&servers[0]);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    connect_to(&servers[1]); /* fresh */
    assert_int_equal(take_update(), RF_EUNAVAILABLE);
    assert_int_equal(status_now().state, REGFAST_WATCH_STALE);
    rf_replica_heard(replica, now_ns);
    assert_int_equal(status_now().state, REGFAST_WATCH_STALE);
    assert_answers(group_of(&servers[0]), group_of(&servers[0])->version);
    put(&servers[1], 2, 1, RF_MEMBER_ALIVE); /* it learns one of them */
    commit(&servers[1]);
    assert_int_equal(take_update(), 1);
    assert_published(&servers[1]);
    put(&servers[1], 2, 1, RF_MEMBER_FAILED);
    commit(&servers[1]);
    assert_int_equal(take_update(), RF_EUNAVAILABLE);
    put(&servers[1], 2, 1, RF_MEMBER_LEFT); /* an operator knows that it will not come back */
    commit(&servers[1]);
    assert_int_equal(take_update(), 1);
    assert_published(&servers[1]);
    put(&servers[1], 2, 1, RF_MEMBER_ALIVE);
    commit(&servers[1]);
    assert_int_equal(take_update(), 1);
    put(&servers[1], 2, 1, RF_MEMBER_DRAINING); /* it wants no keys */
    commit(&servers[1]);
    assert_int_equal(take_update(), 1);
    assert_published(&servers[1]);
}

static void registry_that_has_just_started_is_doubted_for_a_minute(void **state)
{
    (void)state;
    for (int i = 1; i <= 5; i++) {
        put(&servers[0], i, 1, RF_MEMBER_ALIVE);
    }
    commit(&servers[0]);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    put(&servers[1], 6, 1, RF_MEMBER_ALIVE); /* a newcomer, and two that it has heard of */
    put(&servers[1], 1, 1, RF_MEMBER_ALIVE);
    put(&servers[1], 2, 1, RF_MEMBER_FAILED);
    commit(&servers[1]);
    connect_to(&servers[1]);
    assert_int_equal(take_update(), RF_EUNAVAILABLE);
    assert_int_equal(status_now().state, REGFAST_WATCH_STALE);
    assert_answers(group_of(&servers[0]), group_of(&servers[0])->version);

    put(&servers[1], 3, 1, RF_MEMBER_ALIVE); /* three of five are most of them */
    commit(&servers[1]);
    assert_int_equal(take_update(), 1);
    assert_int_equal(status_now().state, REGFAST_WATCH_LIVE);
    assert_published(&servers[1]);
    forget(&servers[1], 1); /* who has told what is published may tell more */
    forget(&servers[1], 3);
    commit(&servers[1]);
    assert_int_equal(take_update(), 1);
    assert_published(&servers[1]);

    put(&servers[2], 7, 1, RF_MEMBER_ALIVE); /* and who goes on to know nobody else is believed */
    commit(&servers[2]);
    connect_to(&servers[2]);
    assert_int_equal(take_update(), RF_EUNAVAILABLE);
    now_ns += 59 * UINT64_C(1000000000);
    rf_replica_heard(replica, now_ns);
    assert_int_equal(status_now().state, REGFAST_WATCH_STALE);
    now_ns += UINT64_C(1000000000);
    rf_replica_heard(replica, now_ns);
    assert_int_equal(status_now().state, REGFAST_WATCH_LIVE);
    assert_published(&servers[2]);
}

static void member_that_left_may_be_forgotten_before_the_last_one_leaves(void **state)
{
    (void)state;
    put(&servers[0], 1, 1, RF_MEMBER_ALIVE);
    put(&servers[0], 2, 1, RF_MEMBER_ALIVE);
    commit(&servers[0]);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    put(&servers[0], 1, 1, RF_MEMBER_LEFT);
    put(&servers[0], 2, 1, RF_MEMBER_FAILED);
    commit(&servers[0]);
    assert_int_equal(take_update(), RF_EUNAVAILABLE);
    forget(&servers[0], 1);
    commit(&servers[0]);
    assert_int_equal(take_update(), RF_EUNAVAILABLE);
    put(&servers[0], 2, 1, RF_MEMBER_LEFT);
    commit(&servers[0]);
    assert_int_equal(take_update(), 1);
    assert_published(&servers[0]);
}

/* ---- what should not be ---- */

static void digest_that_is_not_that_of_the_members_starts_anew(void **state)
{
    (void)state;
    static uint8_t frame[RF_WIRE_PAGE_SIZE_MAX];
    struct rf_wire_watch_reply page = {0};
    struct rf_error err = {0};
    uint64_t instance;
    uint64_t version;
    put(&servers[0], 1, 1, RF_MEMBER_ALIVE);
    commit(&servers[0]);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    put(&servers[0], 2, 1, RF_MEMBER_ALIVE);
    commit(&servers[0]);
    assert_true(next_page(frame, &page));
    page.head.digest++;
    assert_int_equal(rf_replica_page(replica, &page, now_ns, &err), RF_EDIGEST);
    assert_true(strstr(err.text, "digest") != NULL && strstr(err.text, "web") != NULL);
    assert_int_equal(status_now().full_copies, 1);
    assert_int_equal(status_now().alive_count, 1);
    page.head.digest--;
    assert_int_equal(rf_replica_page(replica, &page, now_ns, &err), RF_EMALFORMED);
    rf_replica_resume(replica, &instance, &version);
    assert_true(instance == 0 && version == 0);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    assert_published(&servers[0]);
}

/* A page that the connected registry would not send. */
static int take_odd(const struct rf_wire_watch_head *head, bool more)
{
    uint8_t frame[64];
    struct rf_wire_list list;
    struct rf_wire_watch_reply page;
    assert_int_equal(rf_wire_watch_reply_begin(&list, frame, sizeof(frame), 1, head), 0);
    size_t size = rf_wire_list_end(&list, more);
    assert_int_equal(rf_wire_watch_reply_decode(frame + RF_WIRE_HEADER_SIZE,
                                                size - RF_WIRE_HEADER_SIZE, &page, NULL),
                     0);
    return rf_replica_page(replica, &page, now_ns, NULL);
}

static void pages_that_do_not_follow_are_refused(void **state)
{
    (void)state;
    const uint64_t instance = servers[0].instance;
    connect_to(&servers[0]);
    assert_int_equal(take_odd(&(struct rf_wire_watch_head){.instance = instance}, false),
                     RF_EMALFORMED); /* changes to nothing */
    put(&servers[0], 1, 1, RF_MEMBER_ALIVE);
    commit(&servers[0]);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    struct rf_wire_watch_head head = {
        .instance = instance, .version = 1, .digest = group_of(&servers[0])->digest};
    assert_int_equal(take_odd(&head, false), RF_EMALFORMED); /* back in time */
    connect_to(&servers[0]);
    head.version = 5;
    head.instance++;
    assert_int_equal(take_odd(&head, false), RF_EMALFORMED); /* changes to what another knew */
    connect_to(&servers[0]);
    head.instance = instance;
    assert_int_equal(take_odd(&head, true), 0);
    head.instance++;
    assert_int_equal(take_odd(&head, false), RF_EMALFORMED);
    assert_int_equal(status_now().updates, 1);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    assert_published(&servers[0]);
}

static void placement_that_changes_builds_another_ring(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        put(&servers[0], i, 3, RF_MEMBER_ALIVE);
    }
    commit(&servers[0]);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    stop_server(&servers[0]);
    placement = RF_PLACEMENT_CRC32;
    start_server(&servers[0]);
    for (int i = 0; i < 20; i++) {
        put(&servers[0], i, 3, RF_MEMBER_ALIVE);
    }
    commit(&servers[0]);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    assert_published(&servers[0]);
}

/* 60 000 of one weight, then 60 000 others: together they would be more than a ring takes. */
static void whole_group_may_be_replaced_by_another_of_the_largest_size(void **state)
{
    (void)state;
    enum { MANY = 60000 };
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            char id[16];
            (void)snprintf(id, sizeof(id), "m%d", round * MANY + i);
            const struct rf_member member = {
                .id = id, .group = "web", .addr = "h:1", .replicas = 1, .state = RF_MEMBER_ALIVE};
            assert_int_equal(rf_roster_put(servers[round].roster, &member, NULL), 1);
        }
        commit(&servers[round]);
        connect_to(&servers[round]);
        if (round == 1) { /* it is doubted first */
            assert_int_equal(take_update(), RF_EUNAVAILABLE);
            now_ns += 60 * UINT64_C(1000000000);
            rf_replica_heard(replica, now_ns);
        } else {
            assert_int_equal(take_update(), 1);
        }
        assert_int_equal(status_now().alive_count, MANY);
        assert_answers(group_of(&servers[round]), group_of(&servers[round])->version);
    }
}

static void update_over_a_limit_leaves_the_old_answers(void **state)
{
    (void)state;
    put(&servers[0], 1, 1, RF_MEMBER_ALIVE);
    commit(&servers[0]);
    connect_to(&servers[0]);
    assert_int_equal(take_update(), 1);
    /* No honest registry can say so: its own roster would not take them. */
    static uint8_t frame[RF_WIRE_PAGE_SIZE_MAX];
    int code = 0;
    for (int i = 0; code == 0; i++) {
        struct rf_wire_list list;
        struct rf_wire_watch_reply page;
        const struct rf_wire_watch_head head = {.instance = 77, .version = 1, .is_whole = i == 0};
        assert_int_equal(rf_wire_watch_reply_begin(&list, frame, sizeof(frame), 1, &head), 0);
        for (int j = 0; j < 1000; j++) {
            char id[16];
            (void)snprintf(id, sizeof(id), "%d", i * 1000 + j);
            const struct rf_wire_member member = {.owner = {{id, strlen(id)}, {"h:1", 3}},
                                                  .replicas = RF_REPLICAS_MAX};
            assert_int_equal(rf_wire_watch_reply_add_member(&list, &member), 0);
        }
        size_t size = rf_wire_list_end(&list, true);
        assert_int_equal(rf_wire_watch_reply_decode(frame + RF_WIRE_HEADER_SIZE,
                                                    size - RF_WIRE_HEADER_SIZE, &page, NULL),
                         0);
        code = rf_replica_page(replica, &page, now_ns, NULL);
        assert_true(i < 300);
    }
    assert_int_equal(code, RF_ELIMIT);
    assert_answers(group_of(&servers[0]), group_of(&servers[0])->version);
    connect_to(&servers[0]);
    assert_int_equal(cursor.version, 0); /* what is half told cannot be mended by changes */
    assert_int_equal(take_update(), 1);
    assert_published(&servers[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_is_what_a_registry_knew_whatever_happens),
        cmocka_unit_test_setup_teardown(replica_that_knows_nothing_says_so, start, stop),
        cmocka_unit_test_setup_teardown(answers_go_on_and_grow_old_when_the_registry_is_gone, start,
                                        stop),
        cmocka_unit_test_setup_teardown(registry_that_knows_nobody_does_not_empty_the_ring, start,
                                        stop),
        cmocka_unit_test_setup_teardown(registry_that_has_just_started_is_doubted_for_a_minute,
                                        start, stop),
        cmocka_unit_test_setup_teardown(
            member_that_left_may_be_forgotten_before_the_last_one_leaves, start, stop),
        cmocka_unit_test_setup_teardown(digest_that_is_not_that_of_the_members_starts_anew, start,
                                        stop),
        cmocka_unit_test_setup_teardown(pages_that_do_not_follow_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(placement_that_changes_builds_another_ring, start, stop),
        cmocka_unit_test_setup_teardown(whole_group_may_be_replaced_by_another_of_the_largest_size,
                                        start, stop),
        cmocka_unit_test_setup_teardown(update_over_a_limit_leaves_the_old_answers, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
