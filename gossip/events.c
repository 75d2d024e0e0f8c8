/* SPDX-License-Identifier: MIT */
#include "gossip/events.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/assert.h"

int rf_events_init(struct rf_events *events, struct rf_error *err)
{
    *events = (struct rf_events){.event_fd = -1};
    int code = rf_queue_new(RF_GOSSIP_EVENTS_MAX, &events->queue, err);
    if (code < 0) {
        return code;
    }
    events->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (events->event_fd < 0) {
        code = -errno;
        return rf_error_set(err, code, "gossip: no descriptor for events: %s", rf_strerror(code));
    }
    return 0;
}

void rf_events_fini(struct rf_events *events)
{
    if (events->queue != NULL) {
        struct rf_gossip_event *event;
        while ((event = rf_queue_pop(events->queue)) != NULL) {
            rf_gossip_event_free(event);
        }
        rf_queue_free(events->queue);
        events->queue = NULL;
    }
    rf_gossip_event_free(atomic_exchange(&events->list, NULL));
    if (events->event_fd >= 0) {
        close(events->event_fd);
        events->event_fd = -1;
    }
}

void rf_events_put(struct rf_events *events, struct rf_gossip_event *event)
{
    events->has_news = true;
    if (event != NULL && !atomic_load_explicit(&events->is_overflown, memory_order_relaxed) &&
        rf_queue_push(events->queue, event)) {
        return;
    }
    rf_gossip_event_free(event);
    /* Release: a consumer that sees it sees all that was queued before, so can empty the queue. */
    atomic_store_explicit(&events->is_overflown, true, memory_order_release);
}

bool rf_events_wants_list(const struct rf_events *events)
{
    return atomic_load_explicit(&events->list_wanted, memory_order_acquire);
}

void rf_events_put_list(struct rf_events *events, struct rf_gossip_event *event)
{
    RF_ASSERT(rf_events_wants_list(events));
    atomic_store_explicit(&events->list_wanted, false, memory_order_relaxed);
    atomic_store_explicit(&events->is_overflown, false, memory_order_relaxed);
    struct rf_gossip_event *before =
        atomic_exchange_explicit(&events->list, event, memory_order_acq_rel);
    RF_ASSERT(before == NULL);
    events->has_news = true;
}

void rf_events_announce(struct rf_events *events)
{
    if (events->has_news) {
        events->has_news = false;
        uint64_t one = 1;
        (void)!write(events->event_fd, &one, sizeof(one)); /* fails only if readable already */
    }
}

static struct rf_gossip_event *take(struct rf_events *events, bool *ret_asks)
{
    if (events->awaits_list) {
        /* Whatever is queued meanwhile is younger than the list: the list goes first. */
        struct rf_gossip_event *list =
            atomic_exchange_explicit(&events->list, NULL, memory_order_acquire);
        events->awaits_list = list == NULL;
        return list;
    }
    /* Asked before popping: what is seen as overflown gets no more items, so empty stays empty. */
    bool is_overflown = atomic_load_explicit(&events->is_overflown, memory_order_acquire);
    struct rf_gossip_event *event = rf_queue_pop(events->queue);
    if (event == NULL && is_overflown) {
        events->awaits_list = true;
        atomic_store_explicit(&events->list_wanted, true, memory_order_release);
        *ret_asks = true;
    }
    return event;
}

struct rf_gossip_event *rf_events_take(struct rf_events *events, bool *ret_asks)
{
    struct rf_gossip_event *event = take(events, ret_asks);
    if (event == NULL) {
        /* Quiet the descriptor, then look again: what came in between would else go unnoticed. */
        uint64_t count;
        (void)!read(events->event_fd, &count, sizeof(count)); /* fails only if it is quiet */
        event = take(events, ret_asks);
    }
    return event;
}
