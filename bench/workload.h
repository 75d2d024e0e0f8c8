/* SPDX-License-Identifier: MIT
 *
 * workload.h - what is asked: the keys, in which order, and the requests as bytes, all made before
 * the run. While it runs, a send is a slice of `requests`.
 *
 * Request `position` asks for the keys draws[position * keys_per_request] and on. All requests are
 * of one size: keys are 16 bytes, "key:000000000000" and on. A connection goes through the requests
 * in order, from a place of its own, and begins again at the end.
 */
#ifndef RF_BENCH_WORKLOAD_H
#define RF_BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum {
    RF_BENCH_KEY_SIZE = 16,
    RF_BENCH_KEYS_MAX = 16 * 1000 * 1000, /* distinct ones: 0.5 GiB of requests */
    RF_BENCH_UNIFORM_DRAWS_MIN = 4096,    /* so that a connection seldom begins again */
    RF_BENCH_ZIPF_DRAWS_MIN = 1 << 16,    /* so that what is rare comes at all */
};

enum rf_bench_protocol {
    RF_BENCH_REGISTRY,  /* core/WIRE.md: MATCH or MATCH_MANY */
    RF_BENCH_CEILING,   /* the same, but the responder's bytes do not depend on the request */
    RF_BENCH_REDIS,     /* RESP: GET */
    RF_BENCH_MEMCACHED, /* meta get: mg KEY v */
};

/* "registry", "ceiling", "redis", "memcached". */
const char *rf_bench_protocol_name(enum rf_bench_protocol protocol);

struct rf_bench_workload_config {
    enum rf_bench_protocol protocol;
    const char *group;         /* 1..RF_NAME_SIZE_MAX bytes; not for redis and memcached */
    uint32_t keys_count;       /* distinct keys: 1..RF_BENCH_KEYS_MAX */
    uint32_t keys_per_request; /* 1: MATCH, more: MATCH_MANY; 1 for redis and memcached */
    double zipf_exponent;      /* above 0: key i is drawn in proportion to 1 / (i + 1)^exponent;
                                  0: uniform: all keys in a random order, again and again */
    uint64_t seed;
};

struct rf_bench_workload {
    struct rf_bench_workload_config config;
    uint32_t requests_count;
    uint32_t request_size; /* bytes of each */
    uint8_t *requests;
    uint32_t *draws; /* requests_count * keys_per_request key numbers */
};

/*
 * Ownership: config->group is borrowed. Ended by rf_bench_workload_fini.
 * Errors:    -EINVAL a count out of range, or keys that do not fit a request; -ENOMEM.
 */
RF_NODISCARD int rf_bench_workload_init(struct rf_bench_workload *workload,
                                        const struct rf_bench_workload_config *config,
                                        struct rf_error *err);
void rf_bench_workload_fini(struct rf_bench_workload *workload);

/* The text of key `number`: RF_BENCH_KEY_SIZE bytes, no NUL. */
void rf_bench_key(uint32_t number, char ret_key[RF_BENCH_KEY_SIZE]);

/* ---- distributions ---- */

/*
 * Fills `draws` with numbers below `keys_count` that follow Zipf's law, from a table of cumulated
 * weights: exact, and the time is spent before the run. Errors: -ENOMEM.
 */
RF_NODISCARD int rf_bench_draw_zipf(uint32_t *draws, size_t draws_count, uint32_t keys_count,
                                    double exponent, uint64_t seed, struct rf_error *err);

/* Random orders of all numbers below `keys_count`, one after the other. */
void rf_bench_draw_uniform(uint32_t *draws, size_t draws_count, uint32_t keys_count, uint64_t seed);

#endif
