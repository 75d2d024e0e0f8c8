/* SPDX-License-Identifier: MIT
 *
 * Whatever allocation fails: what is published stays, and the next connection mends it.
 */
#include "client/replica.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/digest.h"
#include "tests/support/failing_alloc.h"

enum { INSTANCE = 5, MEMBERS = 40 };

/* What a registry knows: members 0..count-1 but for one, all of the same weight. */
struct truth {
    int count;
    int without; /* -1: nobody */
    uint64_t version;
};

static struct rf_replica *replica;
static struct regfast_reader *reader;

static void describe(int number, char id[16], struct rf_member *ret_member)
{
    (void)snprintf(id, 16, "m%d", number);
    *ret_member = (struct rf_member){.id = id, .group = "web", .addr = "h:1", .replicas = 5};
}

/* The whole, in two pages. */
static int tell(const struct truth *truth)
{
    uint64_t digest = 0;
    int code = 0;
    char id[16];
    struct rf_member member;
    for (int i = 0; i < truth->count; i++) {
        describe(i, id, &member);
        digest += i == truth->without ? 0 : rf_digest_member(&member);
    }
    for (int part = 0; part < 2 && code == 0; part++) {
        static uint8_t frame[RF_WIRE_PAGE_SIZE_MAX];
        struct rf_wire_list list;
        struct rf_wire_watch_reply page;
        const struct rf_wire_watch_head head = {.instance = INSTANCE,
                                                .version = truth->version,
                                                .digest = digest,
                                                .is_whole = part == 0};
        assert_int_equal(rf_wire_watch_reply_begin(&list, frame, sizeof(frame), 1, &head), 0);
        for (int i = part; i < truth->count; i += 2) {
            describe(i, id, &member);
            const struct rf_wire_member entry = {
                .owner = {{id, strlen(id)}, {member.addr, strlen(member.addr)}}, .replicas = 5};
            if (i != truth->without) {
                assert_int_equal(rf_wire_watch_reply_add_member(&list, &entry), 0);
            }
        }
        size_t size = rf_wire_list_end(&list, part == 0);
        assert_int_equal(rf_wire_watch_reply_decode(frame + RF_WIRE_HEADER_SIZE,
                                                    size - RF_WIRE_HEADER_SIZE, &page, NULL),
                         0);
        code = rf_replica_page(replica, &page, 1, NULL);
    }
    return code;
}

static void assert_published(const struct truth *truth)
{
    struct regfast_watch_status status = {.size = sizeof(status)};
    rf_replica_status(replica, 1, 1, &status);
    assert_int_equal(status.version, truth == NULL ? 0 : truth->version);
    struct regfast_owner owner;
    int code = regfast_local_match(reader, "k", 1, &owner);
    if (truth == NULL) {
        assert_int_equal(code, -EAGAIN);
    } else {
        assert_int_equal(code, 0);
        assert_int_equal(owner.version, truth->version);
        assert_int_equal(status.alive_count, truth->count - (truth->without >= 0));
    }
}

/* Tells until it has worked, on a new connection each time. */
static void tell_again(const struct truth *before, const struct truth *truth)
{
    for (int tries = 0;; tries++) {
        rf_replica_connected(replica, "r", RF_PLACEMENT_V1);
        int code = tell(truth);
        if (code == 1) {
            return;
        }
        assert_int_equal(code, -ENOMEM);
        assert_int_equal(tries, 0);
        assert_published(before);
        rf_replica_disconnected(replica);
    }
}

static void run_scenario(void)
{
    const struct truth first = {MEMBERS / 2, -1, 1};
    const struct truth second = {MEMBERS, 3, 2}; /* one goes, many come */
    const struct truth third = {MEMBERS, 3, 3};  /* the same, of another version */
    struct regfast_member_list *list = NULL;
    struct regfast_load load = {0};
    struct regfast_owner owner;
    int code = rf_replica_new("web", &replica, NULL);
    if (code < 0) {
        assert_int_equal(code, -ENOMEM);
        assert_int_equal(rf_replica_new("web", &replica, NULL), 0);
    }
    code = rf_replica_reader_new(replica, &reader);
    if (code < 0) {
        assert_int_equal(code, -ENOMEM);
        assert_int_equal(rf_replica_reader_new(replica, &reader), 0);
    }
    tell_again(NULL, &first);
    assert_published(&first);
    assert_int_equal(regfast_match_bounded(reader, "k", 1, 0, &owner, &load), 0);
    tell_again(&first, &second);
    assert_published(&second);
    tell_again(&second, &third);
    assert_published(&third);
    regfast_load_done(reader, &load);
    code = rf_replica_members(replica, &list, NULL);
    if (code < 0) {
        assert_int_equal(code, -ENOMEM);
        assert_int_equal(rf_replica_members(replica, &list, NULL), 0);
    }
    assert_int_equal(list->count, MEMBERS - 1);
    regfast_member_list_free(list);
    regfast_reader_free(reader);
    rf_replica_free(replica);
}

static void any_allocation_may_fail_and_what_is_published_stays(void **state)
{
    (void)state;
    size_t count = 0;
    bool has_failed = true;
    while (has_failed) {
        failing_alloc_in = ++count;
        run_scenario();
        has_failed = failing_alloc_in == 0;
    }
    failing_alloc_in = 0;
    print_message("%zu allocations failed in turn\n", count - 1);
    assert_true(count > 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail_and_what_is_published_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
