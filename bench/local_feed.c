/* SPDX-License-Identifier: MIT */
#include "bench/local_feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/digest.h"
#include "core/wire.h"

enum { INSTANCE = 1, ID_SIZE = 24 };

static const char group[] = "web";

static void describe(const struct local_feed *feed, uint32_t number, char id[ID_SIZE],
                     char addr[ID_SIZE], struct rf_member *ret_member)
{
    (void)snprintf(id, ID_SIZE, "web-%u.example", number);
    (void)snprintf(addr, ID_SIZE, "10.0.%u.%u:8080", number / 256, number % 256);
    *ret_member = (struct rf_member){.id = id,
                                     .group = group,
                                     .addr = addr,
                                     .replicas = feed->replicas,
                                     .state = RF_MEMBER_ALIVE};
}

static int begin_page(struct local_feed *feed, bool is_whole, struct rf_wire_list *list)
{
    const struct rf_wire_watch_head head = {.instance = INSTANCE,
                                            .version = feed->version,
                                            .digest = feed->digest,
                                            .is_whole = is_whole};
    return rf_wire_watch_reply_begin(list, feed->frame, RF_WIRE_PAGE_SIZE_MAX, 1, &head);
}

static int add_member(struct rf_wire_list *list, const struct rf_member *member)
{
    const struct rf_wire_member entry = {
        .owner = {{member->id, strlen(member->id)}, {member->addr, strlen(member->addr)}},
        .replicas = (uint16_t)member->replicas,
        .state = member->state};
    return rf_wire_watch_reply_add_member(list, &entry);
}

static int send_page(struct local_feed *feed, struct rf_wire_list *list, bool more,
                     struct rf_error *err)
{
    const size_t size = rf_wire_list_end(list, more);
    return local_driver_page(feed->driver, feed->frame + RF_WIRE_HEADER_SIZE,
                             size - RF_WIRE_HEADER_SIZE, err);
}

static int tell_all(struct local_feed *feed, struct rf_error *err)
{
    char id[ID_SIZE];
    char addr[ID_SIZE];
    struct rf_member member;
    struct rf_wire_list list;
    int code = begin_page(feed, true, &list);
    for (uint32_t i = 0; i < feed->members_count && code >= 0;) {
        describe(feed, i, id, addr, &member);
        if (add_member(&list, &member) == 0) {
            i++;
            continue;
        }
        code = send_page(feed, &list, true, err); /* the page is full */
        if (code >= 0) {
            code = begin_page(feed, false, &list);
        }
    }
    return code < 0 ? code : send_page(feed, &list, false, err);
}

static int build(struct local_feed *feed, struct rf_error *err)
{
    char(*ids)[ID_SIZE] = calloc(feed->members_count, sizeof(ids[0]));
    struct rf_ring_member *members = calloc(feed->members_count, sizeof(members[0]));
    int code = ids == NULL || members == NULL ? -ENOMEM : 0;
    for (uint32_t i = 0; code == 0 && i < feed->members_count; i++) {
        char addr[ID_SIZE];
        struct rf_member member;
        describe(feed, i, ids[i], addr, &member);
        members[i] = (struct rf_ring_member){.id = ids[i], .replicas = feed->replicas};
        feed->digest += rf_digest_member(&member);
    }
    code = code < 0
               ? rf_error_set(err, code, "%u members: out of memory", feed->members_count)
               : rf_ring_build(RF_PLACEMENT_V1, members, feed->members_count, &feed->ring, err);
    free(members);
    free(ids);
    return code;
}

int local_feed_init(struct local_feed *feed, uint32_t members_count, uint32_t replicas,
                    uint32_t interval_ms, struct rf_error *err)
{
    *feed = (struct local_feed){
        .members_count = members_count,
        .replicas = replicas,
        .interval_ms = interval_ms,
        .version = 1,
        .frame = malloc(RF_WIRE_PAGE_SIZE_MAX),
        .driver = local_driver_new(group),
    };
    if (feed->frame == NULL || feed->driver == NULL) {
        return rf_error_set(err, -ENOMEM, "%u members: out of memory", members_count);
    }
    int code = build(feed, err);
    if (code == 0) {
        code = tell_all(feed, err);
    }
    return code < 0 ? code : 0;
}

void local_feed_fini(struct local_feed *feed)
{
    local_driver_free(feed->driver);
    rf_ring_free(feed->ring);
    free(feed->frame);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Odd versions have all members, even ones lack one. */
static int tell_change(struct local_feed *feed, struct rf_error *err)
{
    char id[ID_SIZE];
    char addr[ID_SIZE];
    struct rf_member member;
    struct rf_wire_list list;
    feed->version++;
    describe(feed, (uint32_t)(feed->version / 2 % feed->members_count), id, addr, &member);
    const uint64_t digest = rf_digest_member(&member);
    if (feed->version % 2 == 0) {
        member.state = RF_MEMBER_LEFT;
        feed->digest -= digest;
    } else {
        feed->digest += digest;
    }
    int code = begin_page(feed, false, &list);
    if (code == 0) {
        code = add_member(&list, &member);
    }
    return code < 0 ? code : send_page(feed, &list, false, err);
}

static void *run(void *argument)
{
    struct local_feed *feed = argument;
    uint64_t next_ns = now_ns();
    while (!atomic_load(&feed->is_over) && feed->code >= 0) {
        const uint64_t begin_ns = now_ns();
        if (begin_ns < next_ns) {
            const struct timespec some = {.tv_nsec = 1000000};
            (void)nanosleep(&some, NULL); /* early is harmless */
            continue;
        }
        feed->code = tell_change(feed, &feed->err);
        atomic_fetch_add(&feed->updates_ns, now_ns() - begin_ns);
        atomic_fetch_add(&feed->updates_count, 1);
        next_ns += (uint64_t)feed->interval_ms * 1000000;
    }
    return NULL;
}

int local_feed_start(struct local_feed *feed, struct rf_error *err)
{
    atomic_store(&feed->is_over, false);
    int code = pthread_create(&feed->thread, NULL, run, feed);
    return code == 0 ? 0 : rf_error_set(err, -code, "cannot start a thread");
}

int local_feed_stop(struct local_feed *feed, struct rf_error *err)
{
    atomic_store(&feed->is_over, true);
    (void)pthread_join(feed->thread, NULL); /* it only ends by returning */
    if (feed->code < 0) {
        return rf_error_prefix(err == NULL ? NULL : (*err = feed->err, err), feed->code, "update");
    }
    return 0;
}
