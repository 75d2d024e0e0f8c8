/* SPDX-License-Identifier: MIT
 *
 * strangers.h - connections to a registry beside those that are measured: idle ones, ones that ask
 * and never read, ones that send a byte a second, ones that watch a group. One thread keeps them
 * all, and connects again for those that the server closes.
 */
#ifndef RF_BENCH_STRANGERS_H
#define RF_BENCH_STRANGERS_H

#include <stdint.h>

#include "bench/crowd.h"
#include "bench/told.h"
#include "core/error.h"

enum {
    RF_BENCH_STRANGERS_MAX = 60 * 1000, /* of each kind */
    /* Connections from one address of loopback; more come from the next, 127.0.0.3 and so on, since
     * the ports of one are some 28 000, and all who connect share them. */
    RF_BENCH_STRANGERS_PER_ADDRESS = 5000,
};

struct rf_bench_strangers;

struct rf_bench_strangers_config {
    const char *server; /* "HOST:PORT" */
    const char *group;  /* whose members are asked for and watched */
    uint32_t idle, deaf, trickle;
    struct rf_bench_told *told;         /* what its watchers receive; NULL: nobody watches */
    const struct rf_bench_crowd *crowd; /* that makes the changes that they are told */
};

/*
 * Connects all of them, and starts the thread. The deaf ones go on sending after that, until
 * nothing is taken from them any more.
 * Ownership: all is borrowed; `told` is the thread's. Ended by rf_bench_strangers_free.
 * Errors:    -EMFILE the limit of open files is too low: the text has what is needed; no server.
 */
RF_NODISCARD int rf_bench_strangers_new(const struct rf_bench_strangers_config *config,
                                        struct rf_bench_strangers **ret_strangers,
                                        struct rf_error *err);

/* How many connections the server has closed until now. Threads: any. */
uint64_t rf_bench_strangers_closed(const struct rf_bench_strangers *strangers);

/* Resets all connections. NULL is allowed. */
void rf_bench_strangers_free(struct rf_bench_strangers *strangers);

#endif
