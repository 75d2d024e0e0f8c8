/* SPDX-License-Identifier: MIT
 *
 * truth.h - which answer is right: for each request of a workload the bytes of its reply, made from
 * the ring of the group's members that this process has built itself.
 *
 * A truth is of one version of the group and never changes; a group that changes gets a new one.
 */
#ifndef RF_BENCH_TRUTH_H
#define RF_BENCH_TRUTH_H

#include <stddef.h>
#include <stdint.h>

#include "bench/workload.h"
#include "client/regfast.h"
#include "core/error.h"
#include "core/ring.h"

enum { RF_BENCH_REPLY_SIZE_MIN = 8 }; /* of a right one: what the comparison below loads at once */

/* The right reply to a request of one key that the member in a slot has, request id 0. Of many
 * keys: the bytes of its entry. */
struct rf_bench_answer {
    const uint8_t *bytes;
    uint32_t size;
};

struct rf_bench_truth {
    uint64_t version;                /* of the group; 0: replies have none */
    const uint16_t *slots;           /* by draw */
    struct rf_bench_answer *answers; /* by slot */
    uint32_t answers_count;
    uint32_t keys_per_request;
    uint32_t id_mask; /* UINT32_MAX, or 0 where replies do not repeat the request's id */
    void *memory;     /* what the pointers above point into; private */
};

/* Who might answer. Not a copy: the ids and addrs are the caller's. */
struct rf_bench_member {
    const char *id;
    const char *addr;
    uint32_t replicas;
};

/*
 * Makes the truth of `members`, all of which are in the ring. For RF_BENCH_CEILING the first
 * member has all keys: its replies do not depend on the request.
 * Ownership: nothing is borrowed; ended by rf_bench_truth_free.
 * Errors:    of rf_ring_build; -ENOMEM.
 */
RF_NODISCARD int rf_bench_truth_build(const struct rf_bench_workload *workload,
                                      enum rf_placement placement, uint64_t version,
                                      const struct rf_bench_member *members, size_t members_count,
                                      struct rf_bench_truth **ret_truth, struct rf_error *err);

/* Asks the registry for the workload's group and its placement. Errors: those of regfast_members;
 * RF_ENOTFOUND the group has nobody in its ring. */
RF_NODISCARD int rf_bench_truth_fetch(const struct rf_bench_workload *workload,
                                      struct regfast_client *client,
                                      struct rf_bench_truth **ret_truth, struct rf_error *err);

/* NULL is allowed. */
void rf_bench_truth_free(struct rf_bench_truth *truth);

/* ---- the ceiling ---- */

/* Who gives all answers of the ceiling: 27 bytes of id and addr, a reply of 48. */
extern const struct rf_bench_member rf_bench_ceiling_member;

enum { RF_BENCH_CEILING_VERSION = 1 };

/* The reply that the ceiling gives to every request of so many keys, with request id 0. Returns its
 * size, or 0 if it does not fit. */
size_t rf_bench_ceiling_reply(uint8_t *out, size_t out_size, uint32_t keys_per_request);

#endif
