/* SPDX-License-Identifier: MIT
 *
 * counters.h - what happened, and how often: one table of name, unit and meaning, from which the
 * struct and its export are generated.
 *
 *     #define FOO_COUNTERS(X)                               \
 *         X(TOTAL, eaten, "bananas", "bananas eaten")       \
 *         X(GAUGE, held, "bananas", "bananas held just now")
 *     RF_COUNTERS_STRUCT(foo_counters, FOO_COUNTERS);       in the header: struct foo_counters
 *     RF_COUNTERS_INFO(foo_counters_info, FOO_COUNTERS);    in one .c: the rows of the table
 *
 * Each thread has a struct of its own and is the only one to write it; who wants to know adds all
 * of them up with rf_counters_add_to. A sum may be taken while others count: each value in it is
 * one that there was.
 */
#ifndef RF_CORE_COUNTERS_H
#define RF_CORE_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum rf_counter_kind {
    RF_COUNTER_TOTAL, /* only grows */
    RF_COUNTER_GAUGE, /* what is so now: grows and shrinks; the sum over the threads is meant */
};

struct rf_counter {
    _Atomic(uint64_t) value;
};

/* A row of a table. All static strings. */
struct rf_counter_info {
    const char *name; /* as the struct's field, in exports too */
    const char *unit; /* "requests", "bytes" */
    const char *meaning;
    enum rf_counter_kind kind;
};

/* Cache-line aligned, so that no two threads' counters share a line: allocate with aligned_alloc or
 * embed. */
#define RF_COUNTERS_STRUCT(struct_name, TABLE) \
    struct struct_name {                       \
        _Alignas(64) TABLE(RF_COUNTER_FIELD)   \
    }
#define RF_COUNTER_FIELD(kind, name, unit, meaning) struct rf_counter name;

#define RF_COUNTERS_INFO(array_name, TABLE) \
    const struct rf_counter_info array_name[] = {TABLE(RF_COUNTER_ROW)}
#define RF_COUNTER_ROW(kind, name, unit, meaning) {#name, unit, meaning, RF_COUNTER_##kind},

/* How many rows a table has: a constant, for arrays of sums. */
#define RF_COUNTERS_COUNT(TABLE) (0 TABLE(RF_COUNTER_ONE))
#define RF_COUNTER_ONE(kind, name, unit, meaning) +1

/* One struct of counters with the rows of its table. Borrowed. */
struct rf_counters_view {
    const struct rf_counter_info *info; /* [count] */
    const void *counters;               /* the struct */
    size_t count;
};

/* No locked instruction: there is one writer. Threads: the owner of the struct. */
static inline void rf_counter_add(struct rf_counter *counter, uint64_t amount)
{
    const uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, value + amount, memory_order_relaxed);
}

/* For gauges. */
static inline void rf_counter_subtract(struct rf_counter *counter, uint64_t amount)
{
    rf_counter_add(counter, (uint64_t)0 - amount);
}

/* For gauges of something that is counted elsewhere. */
static inline void rf_counter_set(struct rf_counter *counter, uint64_t value)
{
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

/* Threads: any. */
static inline uint64_t rf_counter_get(const struct rf_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

/*
 * Adds each of the `count` counters of one struct to sums[i], i the row of the table; `counters`
 * points to the struct, whose fields are all struct rf_counter. Threads: any.
 */
static inline void rf_counters_add_to(const void *counters, size_t count, uint64_t *sums)
{
    const struct rf_counter *fields = counters;
    for (size_t i = 0; i < count; i++) {
        sums[i] += rf_counter_get(&fields[i]);
    }
}

#endif
