/* SPDX-License-Identifier: MIT */
#include "tools/registry/publisher_thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/catalog.h"
#include "tools/registry/gossip_metrics.h"
#include "tools/registry/intake.h"

enum {
    RECLAIM_INTERVAL_MS = 5,  /* readers leave their sections within microseconds */
    RETRY_INTERVAL_MS = 1000, /* memory was short */
    ROOM_INTERVAL_MS = 10000, /* members were refused for a limit */
    METRICS_INTERVAL_MS = 1000,

    /* A publication follows after so many events at the latest, however fast more arrive: as many
     * as gossip queues. */
    EVENTS_PER_CATALOG_MAX = RF_GOSSIP_EVENTS_MAX,
};

struct rf_publisher_thread {
    struct rf_publisher publisher;
    struct rf_intake intake;
    struct rf_gossip_metrics metrics;
    uint64_t metrics_at_ns;   /* when they are copied again */
    struct rf_gossip *gossip; /* borrowed; NULL: not running */
    pthread_t thread;
    int stop_fd;
    pthread_mutex_t notify_lock; /* held while notify runs, once for each catalog */
    void (*notify)(void *context);
    void *notify_context;
    bool is_incomplete;    /* memory was short: the whole list is wanted */
    uint64_t list_at_ns;   /* it is not taken before */
    uint64_t room_at_ns;   /* nor is it to look whether there is room now */
    bool is_commit_wanted; /* the roster may have changes that are not in a catalog */
    uint64_t commit_at_ns; /* memory was short: no catalog is tried before */
    bool is_retired;       /* a retired catalog waits for its readers */
    uint64_t trim_at_ns;   /* 0: nothing was published since the last time */
};

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + 1;
}

static void take_whole_list(struct rf_publisher_thread *thread)
{
    struct rf_gossip_members *members = NULL;
    uint64_t now_ns = monotonic_ns();
    uint64_t list_at_ns = thread->is_incomplete ? thread->list_at_ns : thread->room_at_ns;
    if (now_ns < list_at_ns) {
        return;
    }
    thread->list_at_ns = now_ns + RETRY_INTERVAL_MS * UINT64_C(1000000);
    thread->room_at_ns = now_ns + ROOM_INTERVAL_MS * UINT64_C(1000000);
    if (rf_gossip_members(thread->gossip, &members) < 0) {
        return; /* it is tried again */
    }
    thread->is_incomplete =
        !rf_intake_apply(&thread->intake, monotonic_ns(), RF_GOSSIP_EVENT_RESYNC, members);
    thread->is_commit_wanted = true;
    rf_gossip_members_free(members);
}

static void take_events(struct rf_publisher_thread *thread)
{
    for (int i = 0; i < EVENTS_PER_CATALOG_MAX; i++) {
        struct rf_gossip_event *event = rf_gossip_event_next(thread->gossip);
        if (event == NULL) {
            return;
        }
        if (!rf_intake_apply(&thread->intake, monotonic_ns(), event->kind, &event->members)) {
            thread->is_incomplete = true;
        } else if (event->kind == RF_GOSSIP_EVENT_RESYNC) {
            thread->is_incomplete = false;
        }
        if (event->kind == RF_GOSSIP_EVENT_NAME_LOST) {
            (void)kill(getpid(), RF_SIGNAL_NAME_LOST); /* one may always signal oneself */
        }
        thread->is_commit_wanted = true;
        rf_gossip_event_free(event);
    }
}

static void publish_catalog(struct rf_publisher_thread *thread)
{
    struct rf_error err = {0};
    struct rf_catalog *catalog = NULL;
    const struct rf_log *log = &thread->intake.log;
    int ret = rf_roster_commit(thread->intake.roster, &catalog, &err);
    if (ret != 0) {
        rf_log(log, RF_LOG_ERROR, "catalog not %s, tried again in %d ms reason=\"%s\"",
               ret < 0 ? "made" : "complete", RETRY_INTERVAL_MS, err.text);
        thread->commit_at_ns = monotonic_ns() + RETRY_INTERVAL_MS * UINT64_C(1000000);
    }
    thread->is_commit_wanted = ret != 0;
    if (catalog == NULL) {
        return;
    }
    rf_log(log, RF_LOG_DEBUG,
           "catalog version=%llu digest=%016llx groups=%zu members=%zu alive=%zu",
           (unsigned long long)catalog->version, (unsigned long long)catalog->digest,
           catalog->groups_count, catalog->members_count, catalog->alive_count);
    rf_publish(&thread->publisher, &catalog->published);
    thread->is_retired = true;
    thread->trim_at_ns = monotonic_ns() + RF_ROSTER_TRIM_AFTER_MS * UINT64_C(1000000);
    (void)pthread_mutex_lock(&thread->notify_lock); /* cannot fail: it is not held here */
    if (thread->notify != NULL) {
        thread->notify(thread->notify_context);
    }
    (void)pthread_mutex_unlock(&thread->notify_lock);
}

static void copy_metrics(struct rf_publisher_thread *thread)
{
    uint64_t now_ns = monotonic_ns();
    if (now_ns >= thread->metrics_at_ns) {
        thread->metrics_at_ns = now_ns + METRICS_INTERVAL_MS * UINT64_C(1000000);
        rf_gossip_metrics_copy(&thread->metrics, thread->gossip);
    }
}

static void trim(struct rf_publisher_thread *thread)
{
    if (thread->trim_at_ns != 0 && !thread->is_retired && monotonic_ns() >= thread->trim_at_ns) {
        thread->trim_at_ns = 0;
        rf_roster_trim(thread->intake.roster);
    }
}

static int poll_timeout_ms(const struct rf_publisher_thread *thread)
{
    if (thread->is_retired) {
        return RECLAIM_INTERVAL_MS;
    }
    /* Members whose time outside a ring is over wait up to as long, which is little beside it. */
    return thread->is_incomplete || thread->is_commit_wanted ? RETRY_INTERVAL_MS
                                                             : METRICS_INTERVAL_MS;
}

static void *run(void *context)
{
    struct rf_publisher_thread *thread = context;
    struct pollfd fds[] = {
        {.fd = rf_gossip_event_fd(thread->gossip), .events = POLLIN},
        {.fd = thread->stop_fd, .events = POLLIN},
    };
    for (;;) {
        int ready = poll(fds, 2, poll_timeout_ms(thread));
        RF_ASSERT(ready >= 0 || errno == EINTR || errno == ENOMEM);
        if (ready > 0 && (fds[1].revents & POLLIN) != 0) {
            return NULL;
        }
        take_events(thread);
        copy_metrics(thread);
        if (thread->is_incomplete || thread->intake.wants_list) {
            take_whole_list(thread);
        }
        if (rf_intake_tick(&thread->intake, monotonic_ns())) {
            thread->is_commit_wanted = true;
        }
        if (thread->is_commit_wanted && monotonic_ns() >= thread->commit_at_ns) {
            publish_catalog(thread);
        }
        thread->is_retired = rf_publisher_reclaim(&thread->publisher);
        trim(thread);
    }
}

int rf_publisher_thread_new(enum rf_placement placement, const struct rf_guard_config *guard_config,
                            const struct rf_log *log, struct rf_publisher_thread **ret_thread,
                            struct rf_error *err)
{
    /* The catalog's readers rely on cache-line alignment of what ck embeds. */
    struct rf_publisher_thread *thread = NULL;
    if (posix_memalign((void **)&thread, 64, sizeof(*thread)) != 0) {
        return rf_error_set(err, -ENOMEM, "publisher: out of memory");
    }
    memset(thread, 0, sizeof(*thread));
    thread->intake.log = *log;
    rf_gossip_metrics_init(&thread->metrics);
    (void)pthread_mutex_init(&thread->notify_lock, NULL); /* cannot fail with default attributes */
    struct rf_catalog *first = NULL;
    int ret;
    thread->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (thread->stop_fd < 0) {
        ret = rf_error_set(err, -errno, "publisher: eventfd: %s", strerror(errno));
        goto fail;
    }
    ret = rf_roster_new(placement, &thread->intake.roster, err);
    if (ret < 0) {
        goto fail;
    }
    ret = rf_guard_new(guard_config, &thread->intake.guard, err);
    if (ret < 0) {
        goto fail;
    }
    ret = rf_roster_commit(thread->intake.roster, &first, err);
    if (ret < 0) {
        goto fail;
    }
    RF_ASSERT(first != NULL);
    rf_publisher_init(&thread->publisher, &first->published);
    *ret_thread = thread;
    return 0;

fail:
    rf_roster_free(thread->intake.roster);
    rf_guard_free(thread->intake.guard);
    if (thread->stop_fd >= 0) {
        (void)close(thread->stop_fd); /* an eventfd has nothing to lose */
    }
    free(thread);
    return ret;
}

struct rf_counters_view rf_publisher_thread_counters(const struct rf_publisher_thread *thread)
{
    return (struct rf_counters_view){.info = rf_intake_counters_info,
                                     .counters = &thread->intake.counters,
                                     .count = RF_INTAKE_COUNTERS_COUNT};
}

struct rf_counters_view
rf_publisher_thread_gossip_counters(const struct rf_publisher_thread *thread)
{
    return rf_gossip_metrics_view(&thread->metrics);
}

struct rf_publisher *rf_publisher_thread_publisher(struct rf_publisher_thread *thread)
{
    return &thread->publisher;
}

void rf_publisher_thread_set_notify(struct rf_publisher_thread *thread,
                                    void (*notify)(void *context), void *context)
{
    (void)pthread_mutex_lock(&thread->notify_lock);
    thread->notify = notify;
    thread->notify_context = context;
    (void)pthread_mutex_unlock(&thread->notify_lock);
}

int rf_publisher_thread_start(struct rf_publisher_thread *thread, struct rf_gossip *gossip,
                              struct rf_error *err)
{
    RF_ASSERT(thread->gossip == NULL);
    thread->gossip = gossip;
    int code = pthread_create(&thread->thread, NULL, run, thread);
    if (code != 0) {
        thread->gossip = NULL;
        return rf_error_set(err, -code, "publisher thread: %s", strerror(code));
    }
    (void)pthread_setname_np(thread->thread, "rf-publisher"); /* only a name */
    return 0;
}

void rf_publisher_thread_stop(struct rf_publisher_thread *thread)
{
    if (thread->gossip == NULL) {
        return;
    }
    int ret = eventfd_write(thread->stop_fd, 1);
    RF_ASSERT(ret == 0);
    ret = pthread_join(thread->thread, NULL);
    RF_ASSERT(ret == 0);
    thread->gossip = NULL;
}

void rf_publisher_thread_free(struct rf_publisher_thread *thread)
{
    if (thread == NULL) {
        return;
    }
    rf_publisher_thread_stop(thread);
    rf_publisher_fini(&thread->publisher);
    rf_roster_free(thread->intake.roster);
    (void)pthread_mutex_destroy(&thread->notify_lock);
    rf_guard_free(thread->intake.guard);
    (void)close(thread->stop_fd); /* an eventfd has nothing to lose */
    free(thread);
}
