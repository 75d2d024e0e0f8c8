/* SPDX-License-Identifier: MIT */
#include "tests/programs/fake_gossip.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/assert.h"

enum { TEXT_SIZE = 16, TAGS_COUNT = 3 };

struct fake_member {
    char name[TEXT_SIZE];
    char addr[TEXT_SIZE];
    struct rf_gossip_tag tags[TAGS_COUNT];
};

/* What rf_gossip_event_next gives, and what it needs. */
struct fake_event {
    struct rf_gossip_event event; /* first: the one is found by the other */
    struct fake_event *next;
    struct rf_gossip_member *items;
    struct fake_member *members;
};

struct rf_gossip {
    pthread_mutex_t mutex;
    struct fake_event *first;
    struct fake_event **last;
    unsigned lists_asked;
    int fd;
};

struct rf_gossip *fake_gossip_new(void)
{
    struct rf_gossip *gossip = calloc(1, sizeof(*gossip));
    RF_ASSERT(gossip != NULL);
    gossip->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    RF_ASSERT(gossip->fd >= 0);
    (void)pthread_mutex_init(&gossip->mutex, NULL); /* cannot fail on Linux */
    gossip->last = &gossip->first;
    return gossip;
}

void fake_gossip_free(struct rf_gossip *gossip)
{
    struct rf_gossip_event *event;
    while ((event = rf_gossip_event_next(gossip)) != NULL) {
        rf_gossip_event_free(event);
    }
    (void)close(gossip->fd);
    (void)pthread_mutex_destroy(&gossip->mutex);
    free(gossip);
}

/* Members first..first+count-1. */
static void push(struct rf_gossip *gossip, enum rf_gossip_event_kind kind, unsigned first,
                 unsigned count, enum rf_member_state state)
{
    struct fake_event *fake = calloc(1, sizeof(*fake));
    RF_ASSERT(fake != NULL);
    fake->items = calloc(count, sizeof(*fake->items));
    fake->members = calloc(count, sizeof(*fake->members));
    RF_ASSERT(fake->items != NULL && fake->members != NULL);
    for (unsigned i = 0; i < count; i++) {
        struct fake_member *member = &fake->members[i];
        (void)snprintf(member->name, TEXT_SIZE, "m%u", first + i);
        (void)snprintf(member->addr, TEXT_SIZE, "h%u:80", first + i);
        member->tags[0] = (struct rf_gossip_tag){"group", "web"};
        member->tags[1] = (struct rf_gossip_tag){"addr", member->addr};
        member->tags[2] = (struct rf_gossip_tag){"replicas", "20"};
        fake->items[i] = (struct rf_gossip_member){
            .name = member->name, .state = state, .tags = member->tags, .tags_count = TAGS_COUNT};
    }
    fake->event = (struct rf_gossip_event){.kind = kind, .members = {count, fake->items}};

    (void)pthread_mutex_lock(&gossip->mutex);
    *gossip->last = fake;
    gossip->last = &fake->next;
    (void)pthread_mutex_unlock(&gossip->mutex);
    (void)eventfd_write(gossip->fd, 1);
}

void fake_gossip_push(struct rf_gossip *gossip, enum rf_gossip_event_kind kind, unsigned number,
                      enum rf_member_state state)
{
    push(gossip, kind, number, 1, state);
}

void fake_gossip_push_resync(struct rf_gossip *gossip, unsigned count)
{
    push(gossip, RF_GOSSIP_EVENT_RESYNC, 0, count, RF_MEMBER_ALIVE);
}

int rf_gossip_event_fd(const struct rf_gossip *gossip)
{
    return gossip->fd;
}

struct rf_gossip_event *rf_gossip_event_next(struct rf_gossip *gossip)
{
    eventfd_t count;
    (void)pthread_mutex_lock(&gossip->mutex);
    struct fake_event *fake = gossip->first;
    if (fake == NULL) {
        (void)eventfd_read(gossip->fd, &count);
    } else {
        gossip->first = fake->next;
        if (gossip->first == NULL) {
            gossip->last = &gossip->first;
        }
    }
    (void)pthread_mutex_unlock(&gossip->mutex);
    return fake == NULL ? NULL : &fake->event;
}

void rf_gossip_event_free(struct rf_gossip_event *event)
{
    struct fake_event *fake = (struct fake_event *)event;
    free(fake->items);
    free(fake->members);
    free(fake);
}

const char *rf_gossip_member_tag(const struct rf_gossip_member *member, const char *name)
{
    for (size_t i = 0; i < member->tags_count; i++) {
        if (strcmp(member->tags[i].name, name) == 0) {
            return member->tags[i].value;
        }
    }
    return NULL;
}

/* The list is asked for only when memory was short: then it is for this, too. */
int rf_gossip_members(struct rf_gossip *gossip, struct rf_gossip_members **ret_members)
{
    (void)ret_members;
    (void)pthread_mutex_lock(&gossip->mutex);
    gossip->lists_asked++;
    (void)pthread_mutex_unlock(&gossip->mutex);
    return -ENOMEM;
}

unsigned fake_gossip_lists_asked(struct rf_gossip *gossip)
{
    (void)pthread_mutex_lock(&gossip->mutex);
    unsigned count = gossip->lists_asked;
    (void)pthread_mutex_unlock(&gossip->mutex);
    return count;
}

void rf_gossip_members_free(struct rf_gossip_members *members)
{
    (void)members;
}

/* ---- what it counts: nothing ---- */

RF_COUNTERS_INFO(rf_gossip_counters_info, RF_GOSSIP_COUNTERS);

const struct rf_gossip_counters *rf_gossip_counters(const struct rf_gossip *gossip)
{
    (void)gossip;
    static const struct rf_gossip_counters none;
    return &none;
}

int rf_gossip_get_serf_stats(struct rf_gossip *gossip, struct rf_serf_stats *ret_stats)
{
    (void)gossip;
    (void)ret_stats;
    return -ETIMEDOUT;
}
