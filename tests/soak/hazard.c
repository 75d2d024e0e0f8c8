/* SPDX-License-Identifier: MIT
 *
 * hazard.c - readers on all cores against a writer that publishes without a rest (core/hazard.h).
 *
 * A value is 64 words that are one number, odd while it lives; who frees it writes other words over
 * it first, and keeps the memory, so that a reader which is still there sees that and does not
 * crash. Readers come and go.
 *
 *   hazard [--seconds N] [--readers N] [--fences] [--fault]
 *
 * --fences takes the way of kernels without membarrier. With --fault readers now and then leave
 * before they read, which must be noticed: it shows that the checks can fail. Exit status: 0; 1
 * something was wrong; 2 a bad option.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/hazard.h"

enum {
    WORDS = 64,
    READERS_MAX = 64,
    VALUES = 256, /* used again in turn: as malloc does, and worse */
    SECTIONS_OF_LINE = 10000,
    FAULT_EVERY = 64,
};

struct value {
    struct rf_hazard_value hazard;
    bool is_free; /* the writer's */
    volatile uint64_t words[WORDS];
};

static struct rf_hazard hazard;
static struct value values[VALUES];
static atomic_bool is_over;
static bool is_fault;
static _Atomic(uint64_t) sections_count;

static void free_value(struct rf_hazard_value *freed)
{
    struct value *value = (struct value *)freed;
    for (size_t i = 0; i < WORDS; i++) {
        value->words[i] = 2 * i;
    }
    value->is_free = true;
}

static void check(const struct value *value)
{
    const uint64_t number = value->words[0];
    for (size_t i = 0; i < WORDS; i++) {
        const uint64_t word = value->words[i];
        if (word != number || (word & 1) == 0) {
            (void)fprintf(stderr, "hazard: word %zu is %llu, word 0 was %llu\n", i,
                          (unsigned long long)word, (unsigned long long)number);
            _exit(1); /* other threads are running: nothing is torn down under them */
        }
    }
}

static void sleep_a_moment(void)
{
    const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
    (void)nanosleep(&moment, NULL); /* early is harmless */
}

static void *run_reader(void *unused)
{
    (void)unused;
    uint64_t count = 0;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        struct rf_hazard_line *line = rf_hazard_line_take(&hazard);
        if (line == NULL) {
            (void)fprintf(stderr, "hazard: no memory for a reader\n");
            _exit(1);
        }
        for (int i = 0; i < SECTIONS_OF_LINE; i++, count++) {
            const struct value *value = (const struct value *)rf_hazard_enter(&hazard, line);
            if (is_fault && count % FAULT_EVERY == 0) {
                rf_hazard_leave(line);
                sleep_a_moment(); /* the writer goes on meanwhile */
            }
            check(value);
            rf_hazard_leave(line);
        }
        rf_hazard_line_give(line);
    }
    atomic_fetch_add(&sections_count, count);
    return NULL;
}

static struct value *take_free(uint64_t number)
{
    static size_t at;
    for (size_t tries = 0; tries < VALUES; tries++) {
        struct value *value = &values[at++ % VALUES];
        if (value->is_free) {
            value->hazard.free = free_value;
            value->is_free = false;
            for (size_t i = 0; i < WORDS; i++) {
                value->words[i] = 2 * number + 1;
            }
            return value;
        }
    }
    (void)fprintf(stderr, "hazard: %zu values wait for readers, more than there are readers\n",
                  hazard.retired_count);
    _exit(1);
}

static uint64_t run_writer(unsigned seconds)
{
    const time_t end = time(NULL) + (time_t)seconds;
    uint64_t count = 0;
    while (time(NULL) < end) {
        for (int i = 0; i < 100; i++) {
            rf_hazard_publish(&hazard, &take_free(count++)->hazard);
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", required_argument, NULL, 's'},
        {"readers", required_argument, NULL, 'r'},
        {"fences", no_argument, NULL, 'F'},
        {"fault", no_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    unsigned seconds = 30;
    unsigned readers_count = 2;
    bool is_fenced = false;
    pthread_t threads[READERS_MAX];
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            seconds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            readers_count = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'F':
            is_fenced = true;
            break;
        case 'f':
            is_fault = true;
            break;
        default:
            return 2;
        }
    }
    if (readers_count < 1 || readers_count > READERS_MAX) {
        (void)fprintf(stderr, "hazard: --readers: allowed are 1..%d\n", READERS_MAX);
        return 2;
    }
    for (size_t i = 0; i < VALUES; i++) {
        values[i].is_free = true;
    }
    rf_hazard_init(&hazard, &take_free(0)->hazard);
    if (is_fenced) {
        rf_hazard_force_fences(&hazard);
    }
    for (unsigned i = 0; i < readers_count; i++) {
        if (pthread_create(&threads[i], NULL, run_reader, NULL) != 0) {
            (void)fprintf(stderr, "hazard: cannot start reader %u of %u\n", i + 1, readers_count);
            _exit(1);
        }
    }
    const uint64_t published_count = run_writer(seconds);
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < readers_count; i++) {
        (void)pthread_join(threads[i], NULL); /* they only end by returning */
    }
    rf_hazard_fini(&hazard);
    (void)printf("%llu publications, %llu sections, readers fence: %s\n",
                 (unsigned long long)published_count,
                 (unsigned long long)atomic_load(&sections_count), hazard.is_fenced ? "yes" : "no");
    return 0;
}
