/* SPDX-License-Identifier: MIT
 *
 * result.h - what one measurement of regbench found: the load generator makes it, the report
 * prints it.
 */
#ifndef RF_BENCH_RESULT_H
#define RF_BENCH_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/histogram.h"

/* What a server's process cost in a round. All 0: not looked at. */
struct bench_usage {
    uint64_t resident_size;  /* of the process, at the end */
    uint64_t sockets_size;   /* in buffers of TCP sockets, of all processes, at the end */
    uint64_t objects_size;   /* kernel's own, as sockets and tables, of all processes, at the end */
    uint64_t cpu_ns;         /* of all threads, in the round */
    uint64_t publisher_ns;   /* of the one that makes new rings */
    uint64_t switches_count; /* times that a thread went to sleep */
    uint64_t changes_count;  /* versions of the group */
    uint64_t pages_count;    /* of updates for watchers, in the round */
    uint64_t pages_size;     /* their bytes */
};

/* How long watchers waited to hear of changes, in all rounds. */
struct bench_told {
    uint32_t watchers_count;         /* 0: nobody watched */
    uint64_t changes_count;          /* told to all of them */
    uint64_t merged_count;           /* not told to all before the next one was */
    uint64_t p50_ns, p99_ns, max_ns; /* from the change to the last watcher that had it */
};

/*
 * One point: a server under one shape of load. Where several rounds were run, all that is measured
 * is of one of them, the round whose requests_per_second is the median, so that the figures of a
 * row belong together; the errors are those of all rounds.
 */
struct bench_result {
    const char *name;          /* "ceiling", "registry", "redis", "memcached"; static */
    const char *engine;        /* the server's: "uring", "epoll"; NULL: it has no choice; static */
    const char *client_engine; /* the generator's: "uring", "epoll"; static */
    bool busy_poll;            /* server and generator spin instead of blocking */
    uint32_t connections;      /* of all threads together */
    uint32_t depth;            /* requests in flight on each connection */
    uint32_t threads;          /* of the generator */
    uint32_t keys_per_request; /* 1: single matches */
    uint32_t rounds;
    double rate;                /* open loop: intended requests a second; 0: closed loop */
    uint64_t duration_ns;       /* of the round, without its warm-up */
    uint64_t requests;          /* measured; of an open loop those due in the round, late or not */
    double requests_per_second; /* answered in the round, median; keys: times keys_per_request */
    double requests_per_second_min, requests_per_second_max; /* of the rounds */
    uint64_t bytes_sent, bytes_received;                     /* in the round */
    uint64_t checked; /* answers compared with the local ring, in all rounds */
    uint64_t skipped; /* answers that could not be: the group changed meanwhile */
    uint64_t errors;  /* error replies, wrong answers, lost connections, in all rounds */
    double ratio;     /* of requests_per_second to that of the ceiling of the same shape and engine;
                         0: no ceiling was measured */

    const char *disturbance; /* beside the load, as "10000 idle"; NULL: nothing; borrowed */
    struct bench_usage usage;
    struct bench_told told;

    /* Nanoseconds from the send of a request, in an open loop from when it should have been sent,
     * to its reply. Owned by whoever made the result; never NULL. */
    struct rf_histogram *latencies;
};

#endif
