/* SPDX-License-Identifier: MIT
 *
 * queue_relay.c - one thread pushes numbered items, another pops them: all arrive, once, in order,
 * with their contents, though the queue is often full.
 *
 *   queue_relay [COUNT]
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/queue.h"

enum { CAPACITY = 64, ITEMS_COUNT = 4 * CAPACITY };

/* Written again once round, long after the consumer let go of it: more items than fit the queue. */
struct item {
    uint64_t number;
    uint64_t square; /* plain memory: the sanitizer checks that the queue orders it */
};

struct relay {
    struct rf_queue *queue;
    uint64_t count;
    struct item items[ITEMS_COUNT];
    uint64_t refusals_count;
    atomic_bool is_over;
};

static struct relay relay;

static void *produce(void *argument)
{
    (void)argument; /* there is one relay */
    for (uint64_t number = 0; number < relay.count; number++) {
        struct item *item = &relay.items[number % ITEMS_COUNT];
        item->number = number;
        item->square = number * number;
        while (!rf_queue_push(relay.queue, item)) {
            relay.refusals_count++;
            (void)sched_yield(); /* cannot fail */
        }
    }
    atomic_store(&relay.is_over, true);
    return NULL;
}

static bool consume(void)
{
    uint64_t expected = 0;
    while (expected < relay.count) {
        const bool is_over = atomic_load(&relay.is_over); /* before looking for what came last */
        const struct item *item = rf_queue_pop(relay.queue);
        if (item == NULL) {
            if (is_over) {
                (void)fprintf(stderr, "queue_relay: item %llu of %llu never came\n",
                              (unsigned long long)expected, (unsigned long long)relay.count);
                return false;
            }
            (void)sched_yield(); /* cannot fail */
            continue;
        }
        if (item->number != expected || item->square != expected * expected) {
            (void)fprintf(stderr, "queue_relay: item %llu came in place of %llu\n",
                          (unsigned long long)item->number, (unsigned long long)expected);
            return false;
        }
        expected++;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct rf_error err = {0};
    pthread_t producer;
    relay.count = argc > 1 ? strtoull(argv[1], NULL, 10) : 500000;
    if (rf_queue_new(CAPACITY, &relay.queue, &err) != 0 ||
        pthread_create(&producer, NULL, produce, NULL) != 0) {
        (void)fprintf(stderr, "queue_relay: cannot start: %s\n", err.text);
        return 1;
    }
    if (!consume()) {
        return 1; /* the producer may wait for ever: the process ends under it */
    }
    (void)pthread_join(producer, NULL); /* it only ends by returning */
    (void)printf("%llu items, %llu refused pushes\n", (unsigned long long)relay.count,
                 (unsigned long long)relay.refusals_count);
    rf_queue_free(relay.queue);
    return 0;
}
