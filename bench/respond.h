/* SPDX-License-Identifier: MIT
 *
 * respond.h - the responder of the ceiling: answers each request with the same bytes, without
 * looking at it. What it does is what no server can leave out: receive, send, one system call a
 * round.
 */
#ifndef RF_BENCH_RESPOND_H
#define RF_BENCH_RESPOND_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/io.h"
#include "core/error.h"

struct rf_bench_respond_config {
    const char *listen; /* "HOST:PORT"; port 0: any free one */
    enum rf_bench_engine engine;
    uint32_t connections;  /* it accepts that many, then serves them until all are closed; and again
                              from the start */
    uint32_t request_size; /* bytes of each request: frames are told by counting */
    uint32_t keys_per_request;
    bool busy_poll;
};

/* Prints "port=N" and serves until the process is ended. Returns only with an error. */
RF_NODISCARD int rf_bench_respond(const struct rf_bench_respond_config *config,
                                  struct rf_error *err);

#endif
