/* SPDX-License-Identifier: MIT
 *
 * replies.h - reads what a server answers, in each of the three protocols, and compares it with the
 * truth. Pure: bytes in, counts out.
 *
 * A right answer is found by comparing its bytes: some ten instructions. Only what differs is
 * looked at more closely: another version of the group, an error, a wrong answer, or bytes that
 * are no reply at all.
 */
#ifndef RF_BENCH_REPLIES_H
#define RF_BENCH_REPLIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/truth.h"
#include "bench/workload.h"
#include "core/error.h"

/* What came so far. */
struct rf_bench_tally {
    uint64_t answered; /* replies of any kind */
    uint64_t checked;  /* keys whose answer was compared with the truth */
    uint64_t skipped;  /* keys whose answer is of another version of the group */
    uint64_t refused;  /* error replies, and redis' and memcached's misses */
    uint64_t wrong;    /* replies with another request id, another answer, another number of them */
    uint64_t newest_version;     /* of the replies that were skipped; 0: none */
    struct rf_error first_error; /* text of the first refused or wrong one */
};

/*
 * Reads the whole replies at the front of `data`, which answer the requests from *position on, at
 * most `in_flight` of them. `truth` NULL: nothing is compared but request ids.
 *
 * Returns how many bytes these were; the rest is the beginning of a reply. *position has moved.
 * Errors: RF_EMALFORMED these bytes are no reply, or one to a request that was not made; the
 *         connection is of no use any more.
 */
RF_NODISCARD ptrdiff_t rf_bench_replies_read(const struct rf_bench_workload *workload,
                                             const struct rf_bench_truth *truth, uint32_t *position,
                                             uint64_t in_flight, const uint8_t *data, size_t size,
                                             struct rf_bench_tally *tally, struct rf_error *err);

#endif
