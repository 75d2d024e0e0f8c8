/* SPDX-License-Identifier: MIT
 *
 * Watching groups on real sockets: what is told, to how many, how often, and what it can cost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/resource.h>

#include "core/digest.h"
#include "net/watches.h"
#include "tests/support/test_server.h"

static struct test_server server;
static struct rf_roster *roster;
static uint8_t payload[RF_WIRE_PAGE_SIZE_MAX];

static void publish(void)
{
    rf_publish(&server.publisher, &sample_commit(roster)->published);
    (void)rf_publisher_reclaim(&server.publisher);
    rf_server_notify(server.server);
}

static int start(void **state)
{
    (void)state;
    memset(&server, 0, sizeof(server));
    test_server_start(&server);
    roster = sample_roster();
    publish();
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_server_end(&server);
    rf_roster_free(roster);
    return 0;
}

/* The version that a change makes. */
static uint64_t change(const char *id, uint32_t replicas)
{
    sample_put(roster, "web", id, "10.0.0.9:80", replicas, RF_MEMBER_ALIVE);
    publish();
    return rf_catalog_of(rf_publisher_current(&server.publisher))->version;
}

static const struct rf_group *group_now(const char *name)
{
    return rf_catalog_group(rf_catalog_of(rf_publisher_current(&server.publisher)), name,
                            strlen(name));
}

static void send_watch(int fd, const char *group, uint32_t id, uint64_t instance, uint64_t version)
{
    uint8_t frame[512];
    const struct rf_wire_watch_request request = {{group, strlen(group)}, instance, version};
    test_send(fd, frame, rf_wire_watch_request_encode(frame, sizeof(frame), id, &request));
}

static int connect_watch(const char *group, uint64_t instance, uint64_t version)
{
    int fd = test_connect(&server);
    send_watch(fd, group, 1, instance, version);
    return fd;
}

/* The next page, of watch `id`. */
static struct rf_wire_watch_reply take_page(int fd, uint32_t id)
{
    struct rf_wire_header header;
    struct rf_wire_watch_reply reply;
    assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
    assert_int_equal(header.op, RF_WIRE_WATCH);
    assert_int_equal(header.status, RF_WIRE_OK);
    assert_int_equal(header.request_id, id);
    assert_int_equal(rf_wire_watch_reply_decode(payload, header.payload_size, &reply, NULL), 0);
    return reply;
}

/* Pages until an update of that version is complete. Returns how many updates. */
static unsigned take_until(int fd, uint32_t id, uint64_t version)
{
    unsigned count = 0;
    for (;;) {
        struct rf_wire_watch_reply reply = take_page(fd, id);
        count += !reply.more;
        assert_true(reply.head.version <= version);
        if (!reply.more && reply.head.version == version) {
            return count;
        }
    }
}

/* The sum of the digests of the members on a page. */
static uint64_t page_digest(const struct rf_wire_watch_reply *reply, const char *group)
{
    uint64_t sum = 0;
    struct rf_wire_cursor changes = reply->changes;
    struct rf_wire_change change_of;
    while (rf_wire_watch_next(&changes, &change_of)) {
        char id[RF_NAME_SIZE_MAX + 1] = {0};
        char addr[RF_NAME_SIZE_MAX + 1] = {0};
        const struct rf_wire_member *member = &change_of.member;
        assert_false(change_of.is_forgotten);
        memcpy(id, member->owner.id.data, member->owner.id.size);
        memcpy(addr, member->owner.addr.data, member->owner.addr.size);
        const struct rf_member as_member = {
            .id = id, .group = group, .addr = addr, .replicas = member->replicas};
        sum += member->state <= RF_MEMBER_LEAVING ? rf_digest_member(&as_member) : 0;
    }
    return sum;
}

static void watcher_is_told_at_once_and_then_what_changes(void **state)
{
    (void)state;
    int fd = connect_watch("web", 0, 0);
    struct rf_wire_watch_reply reply = take_page(fd, 1);
    assert_true(reply.head.is_whole && !reply.more);
    assert_int_equal(reply.count, SAMPLE_WEB_COUNT);
    assert_true(reply.head.digest == group_now("web")->digest);
    assert_true(reply.head.digest == page_digest(&reply, "web"));
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t version = change("web-9", 50 + i);
        reply = take_page(fd, 1);
        assert_false(reply.head.is_whole);
        assert_int_equal(reply.count, 1);
        assert_int_equal(reply.head.version, version);
        assert_true(reply.head.digest == group_now("web")->digest);
    }
    assert_int_equal(rf_roster_remove(roster, "web-9"), 1);
    publish();
    reply = take_page(fd, 1);
    struct rf_wire_change gone;
    assert_int_equal(reply.count, 1);
    assert_true(rf_wire_watch_next(&reply.changes, &gone));
    assert_true(gone.is_forgotten);
    close(fd);
    assert_true(test_info(&server, "watch_pages") >= 5);
    assert_true(test_info(&server, "watch_bytes") > 0);
    assert_int_equal(test_info(&server, "requests_watch"), 1);
}

static void watcher_of_a_group_that_does_not_exist_is_told_when_it_does(void **state)
{
    (void)state;
    int fd = connect_watch("new", 0, 0);
    struct rf_wire_watch_reply reply = take_page(fd, 1);
    assert_true(reply.head.is_whole && reply.head.digest == 0 && reply.count == 0);
    sample_put(roster, "new", "new-1", "10.0.2.1:80", 1, RF_MEMBER_ALIVE);
    publish();
    reply = take_page(fd, 1);
    assert_true(reply.head.is_whole && reply.count == 1);
    assert_int_equal(rf_roster_remove(roster, "new-1"), 1);
    publish();
    reply = take_page(fd, 1);
    assert_true(reply.head.is_whole && reply.head.digest == 0 && reply.count == 0);
    close(fd);
}

static bool page_is_absent(const struct rf_wire_watch_reply *reply)
{
    return reply->head.is_whole && reply->head.digest == 0 && reply->count == 0;
}

/* Its end may be the first change since somebody watches. */
static void group_that_ends_is_told_to_who_came_since_it_is_there(void **state)
{
    (void)state;
    sample_put(roster, "new", "new-1", "10.0.2.1:80", 1, RF_MEMBER_ALIVE);
    publish();
    int fd = connect_watch("new", 0, 0);
    assert_int_equal(take_page(fd, 1).count, 1);
    assert_int_equal(rf_roster_remove(roster, "new-1"), 1);
    publish();
    struct rf_wire_watch_reply reply = take_page(fd, 1);
    assert_true(page_is_absent(&reply));
    /* It comes and goes within a window, and one begins to watch in between. */
    sample_put(roster, "new", "new-1", "10.0.2.1:80", 1, RF_MEMBER_ALIVE);
    publish();
    int late_fd = connect_watch("new", 0, 0);
    assert_int_equal(take_page(late_fd, 1).count, 1);
    assert_int_equal(rf_roster_remove(roster, "new-1"), 1);
    publish();
    reply = take_page(late_fd, 1);
    assert_true(page_is_absent(&reply));
    close(late_fd);
    close(fd);
}

static void large_group_comes_in_pages(void **state)
{
    (void)state;
    int fd = connect_watch("big", 0, 0);
    uint64_t digest = 0;
    unsigned count = 0;
    struct rf_wire_watch_reply reply;
    do {
        reply = take_page(fd, 1);
        assert_int_equal(reply.head.is_whole, count == 0);
        digest += page_digest(&reply, "big");
        count += reply.count;
    } while (reply.more);
    assert_int_equal(count, SAMPLE_BIG_COUNT);
    assert_true(digest == reply.head.digest);
    close(fd);
}

static uint64_t processor_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* How many updates depends on the time that this takes; a change each 5 ms is told seldom. */
static void changes_that_come_close_together_are_told_together(void **state)
{
    (void)state;
    enum { CHANGES = 100 };
    int fd = connect_watch("web", 0, 0);
    (void)take_page(fd, 1);
    uint64_t version = 0;
    for (uint32_t i = 0; i < CHANGES; i++) {
        version = change("web-9", 1 + i);
        test_sleep_ms(5);
    }
    assert_true(take_until(fd, 1, version) < CHANGES / 2);
    /* A window that ends without anybody who watches is no reason to wake up. */
    version = change("web-9", 500);
    version = change("web-9", 501);
    test_sleep_ms(20);
    close(fd);
    test_sleep_ms(RF_WATCH_WINDOW_MS_MAX + 100);
    uint64_t before_ns = processor_ns();
    test_sleep_ms(400);
    assert_true(processor_ns() - before_ns < 40000000);
}

/* Several watches and requests on one connection, the same group twice: each is told all, and each
 * request answered, in order. */
static void watches_and_requests_share_a_connection(void **state)
{
    (void)state;
    enum { ROUNDS = 200, PIPELINED = 20 };
    const char *const groups[] = {"web", "web", "gone", "nobody"};
    bool is_told[4] = {false, false, false, false};
    uint64_t seen = 0;
    uint64_t version = 0;
    int fd = test_connect(&server);
    for (uint32_t i = 0; i < 4; i++) {
        send_watch(fd, groups[i], 1000000 + i, 0, 0);
    }
    uint32_t asked = 0;
    uint32_t answered = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t frame[64];
        for (int i = 0; i < PIPELINED; i++) {
            test_send(fd, frame,
                      rf_wire_match_request_encode(frame, sizeof(frame), asked++,
                                                   (struct rf_wire_bytes){"web", 3},
                                                   (struct rf_wire_bytes){"alice", 5}));
        }
        if (round % 50 == 10) {
            version = change("web-9", 1 + (uint32_t)round);
        }
        while (answered < asked) {
            struct rf_wire_header header;
            assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
            assert_int_equal(header.status, RF_WIRE_OK);
            if (header.op == RF_WIRE_MATCH) {
                assert_int_equal(header.request_id, answered);
                answered++;
                continue;
            }
            struct rf_wire_watch_reply reply;
            assert_int_equal(header.op, RF_WIRE_WATCH);
            assert_in_range(header.request_id, 1000000, 1000003);
            assert_int_equal(rf_wire_watch_reply_decode(payload, header.payload_size, &reply, NULL),
                             0);
            is_told[header.request_id - 1000000] = true;
            seen = reply.head.version > seen ? reply.head.version : seen;
        }
    }
    for (int watch = 0; watch < 2 && seen < version;) { /* the last change, for both */
        struct rf_wire_header header;
        struct rf_wire_watch_reply reply;
        assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
        assert_int_equal(rf_wire_watch_reply_decode(payload, header.payload_size, &reply, NULL), 0);
        watch += reply.head.version == version;
    }
    for (int i = 0; i < 4; i++) {
        assert_true(is_told[i]);
    }
    close(fd);
}

/* So many requests are under way all the time that their replies take every room there is. */
static void watcher_that_asks_without_a_pause_is_told(void **state)
{
    (void)state;
    enum { AHEAD = 200, CHANGES = 3, REPLIES_MAX = 20000 };
    const struct rf_wire_bytes none = {"", 0};
    uint8_t ask[64];
    size_t ask_size =
        rf_wire_members_request_encode(ask, sizeof(ask), 7, (struct rf_wire_bytes){"big", 3}, none);
    int fd = test_connect(&server);
    for (int i = 0; i < AHEAD; i++) {
        test_send(fd, ask, ask_size);
    }
    send_watch(fd, "web", 1, 0, 0);
    send_watch(fd, "big", 2, 0, 0);
    unsigned changes = 0;
    unsigned replies = 0;
    bool has_big = false;
    while (changes < CHANGES || !has_big) {
        struct rf_wire_header header;
        struct rf_wire_watch_reply reply;
        assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
        if (header.op == RF_WIRE_MEMBERS) {
            assert_true(++replies < REPLIES_MAX);
            test_send(fd, ask, ask_size);
            continue;
        }
        assert_int_equal(header.op, RF_WIRE_WATCH);
        assert_int_equal(rf_wire_watch_reply_decode(payload, header.payload_size, &reply, NULL), 0);
        has_big = has_big || (header.request_id == 2 && !reply.more);
        if (header.request_id == 1 && changes < CHANGES) {
            assert_true(reply.head.digest == group_now("web")->digest);
            (void)change("web-9", 1 + changes++);
        }
    }
    close(fd);
}

/* Every member of the large group gets other replicas: 160 KB to be told. */
static void change_big(uint32_t replicas)
{
    static struct {
        char id[SAMPLE_BIG_NAME_SIZE + 1], addr[SAMPLE_BIG_NAME_SIZE + 1];
    } names[SAMPLE_BIG_COUNT];
    const struct rf_group *group = group_now("big");
    for (int i = 0; i < SAMPLE_BIG_COUNT; i++) {
        (void)snprintf(names[i].id, sizeof(names[i].id), "%s", group->members[i].id);
        (void)snprintf(names[i].addr, sizeof(names[i].addr), "%s", group->members[i].addr);
    }
    for (int i = 0; i < SAMPLE_BIG_COUNT; i++) {
        sample_put(roster, "big", names[i].id, names[i].addr, replicas, RF_MEMBER_ALIVE);
    }
    publish();
}

/* Who reads nothing costs what the sockets hold and two buffers, not 16 MB for each change; and is
 * then told the latest, by each watch. */
static void slow_reader_is_told_the_latest_and_costs_little(void **state)
{
    (void)state;
    enum { WATCHES = 100, ROUNDS = 20 };
    bool is_latest[WATCHES] = {false};
    int fd = test_try_connect(&server, 4096);
    assert_true(fd >= 0);
    test_send(fd, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
    for (uint32_t i = 0; i < WATCHES; i++) {
        send_watch(fd, "big", i, 0, 0);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        change_big(20 + round);
        test_sleep_ms(60);
    }
    assert_true(test_info(&server, "watch_bytes") < (10U << 20));
    const uint64_t version = group_now("big")->version;
    for (unsigned latest = 0; latest < WATCHES;) {
        struct rf_wire_header header;
        struct rf_wire_watch_reply reply;
        assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
        assert_in_range(header.request_id, 0, WATCHES - 1);
        assert_int_equal(rf_wire_watch_reply_decode(payload, header.payload_size, &reply, NULL), 0);
        if (!reply.more && reply.head.version == version) {
            assert_false(is_latest[header.request_id]);
            is_latest[header.request_id] = true;
            latest++;
        }
    }
    assert_true(test_info(&server, "watch_bytes") < WATCHES * 3 * 160000ULL);
    close(fd);
}

static void many_watchers_are_all_told_from_one_page(void **state)
{
    (void)state;
    enum { WATCHERS = 1000 };
    static int fds[WATCHERS];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit); /* both ends are this process's */
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < WATCHERS; i++) {
        fds[i] = connect_watch("web", 0, 0);
    }
    for (int i = 0; i < WATCHERS; i++) {
        (void)take_page(fds[i], 1);
    }
    assert_int_equal(test_info(&server, "watches_open"), WATCHERS);
    uint64_t copied = test_info(&server, "watch_pages_copied");
    uint64_t version = change("web-9", 77);
    for (int i = 0; i < WATCHERS; i++) {
        struct rf_wire_watch_reply reply = take_page(fds[i], 1);
        assert_int_equal(reply.head.version, version);
        assert_int_equal(reply.count, 1);
    }
    /* All but one of each worker. */
    assert_true(test_info(&server, "watch_pages_copied") - copied >= WATCHERS - 2);
    for (int i = 0; i < WATCHERS; i++) {
        close(fds[i]);
    }
    uint64_t end_ms = test_now_ms() + TEST_TIMEOUT_MS;
    while (test_info(&server, "watches_open") > 0) {
        assert_true(test_now_ms() < end_ms);
        test_sleep_ms(10);
    }
}

static void connection_has_so_many_watches_and_no_more(void **state)
{
    (void)state;
    int fd = test_connect(&server);
    for (uint32_t i = 0; i < RF_WATCHES_CONNECTION_MAX; i++) {
        send_watch(fd, "web", 1, 0, 0);
        (void)take_page(fd, 1);
    }
    send_watch(fd, "web", 2, 0, 0);
    struct rf_wire_header header;
    assert_true(test_receive_reply(fd, &header, payload, sizeof(payload)));
    assert_int_equal(header.request_id, 2);
    assert_int_equal(header.status, RF_WIRE_TOO_LARGE);
    assert_int_equal(test_match(fd, "web", "alice"), RF_WIRE_OK); /* it goes on */
    uint64_t version = change("web-9", 5);
    for (int i = 0; i < RF_WATCHES_CONNECTION_MAX; i++) {
        assert_int_equal(take_page(fd, 1).head.version, version);
    }
    close(fd);
}

static void watch_resumes_only_where_its_version_was_counted(void **state)
{
    (void)state;
    int fd = connect_watch("web", 0, 0);
    struct rf_wire_watch_head head = take_page(fd, 1).head;
    close(fd);
    fd = connect_watch("web", head.instance, head.version);
    struct rf_wire_watch_reply reply = take_page(fd, 1); /* nothing new: that is said */
    assert_true(!reply.head.is_whole && reply.count == 0 && reply.head.version == head.version);
    close(fd);
    uint64_t version = change("web-9", 5);
    fd = connect_watch("web", head.instance, head.version);
    reply = take_page(fd, 1);
    assert_true(!reply.head.is_whole && reply.count == 1 && reply.head.version == version);
    close(fd);
    fd = connect_watch("web", head.instance + 2, head.version);
    reply = take_page(fd, 1);
    assert_true(reply.head.is_whole && reply.count == SAMPLE_WEB_COUNT + 1);
    close(fd);
}

static void watch_ends_when_the_client_ends_its_half(void **state)
{
    (void)state;
    int fd = connect_watch("web", 0, 0);
    (void)take_page(fd, 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(test_is_ended(fd));
    assert_int_equal(test_info(&server, "watches_open"), 0);
    close(fd);
    (void)change("web-9", 5);
}

static void server_stop_ends_watches_in_good_order(void **state)
{
    (void)state;
    enum { WATCHERS = 20 };
    int fds[WATCHERS];
    for (int i = 0; i < WATCHERS; i++) {
        fds[i] = connect_watch(i % 2 == 0 ? "web" : "nobody", 0, 0);
        (void)take_page(fds[i], 1);
    }
    sample_put(roster, "web", "web-9", "10.0.0.9:80", 7, RF_MEMBER_ALIVE);
    publish();
    assert_int_equal(rf_server_stop(server.server, TEST_TIMEOUT_MS), 0);
    for (int i = 0; i < WATCHERS; i++) {
        uint8_t rest[4096]; /* perhaps of the last change */
        ssize_t size;
        while ((size = recv(fds[i], rest, sizeof(rest), 0)) > 0) {
        }
        assert_int_equal(size, 0);
        close(fds[i]);
    }
}

/* Watches come and go while somebody publishes all the time: nobody misses the last change. */
static void watch_that_begins_during_a_change_misses_nothing(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        int fd = connect_watch("web", 0, 0);
        uint64_t version = change("web-9", 1 + i);
        (void)take_until(fd, 1, version);
        close(fd);
    }
}

#define WATCH_TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(int argc, char **argv)
{
    test_choose_engine(argc, argv);
    const struct CMUnitTest tests[] = {
        WATCH_TEST(watcher_is_told_at_once_and_then_what_changes),
        WATCH_TEST(watcher_of_a_group_that_does_not_exist_is_told_when_it_does),
        WATCH_TEST(group_that_ends_is_told_to_who_came_since_it_is_there),
        WATCH_TEST(large_group_comes_in_pages),
        WATCH_TEST(changes_that_come_close_together_are_told_together),
        WATCH_TEST(watches_and_requests_share_a_connection),
        WATCH_TEST(watcher_that_asks_without_a_pause_is_told),
        WATCH_TEST(slow_reader_is_told_the_latest_and_costs_little),
        WATCH_TEST(many_watchers_are_all_told_from_one_page),
        WATCH_TEST(connection_has_so_many_watches_and_no_more),
        WATCH_TEST(watch_resumes_only_where_its_version_was_counted),
        WATCH_TEST(watch_ends_when_the_client_ends_its_half),
        WATCH_TEST(server_stop_ends_watches_in_good_order),
        WATCH_TEST(watch_that_begins_during_a_change_misses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
