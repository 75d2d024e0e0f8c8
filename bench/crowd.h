/* SPDX-License-Identifier: MIT
 *
 * crowd.h - many members of a group from one thread: what a registry that is measured has to know.
 *
 * Real members are a gossip node each, and a hundred of those beside the server and the generator
 * would be measured with them. A crowd is one UDP socket that all its members give as their
 * address: it introduces them in one push/pull, then answers the registry's probes, about one a
 * second, and says nothing else. For rings that change it lets members leave and join again.
 */
#ifndef RF_BENCH_CROWD_H
#define RF_BENCH_CROWD_H

#include <stddef.h>
#include <stdint.h>

#include "bench/truth.h"
#include "core/error.h"

enum { RF_BENCH_MEMBERS_MAX = 10 * 1000 };

struct rf_bench_crowd;

struct rf_bench_crowd_config {
    const char *registry; /* its gossip address, "HOST:PORT" */
    const char *group;
    uint32_t members_count; /* 1..RF_BENCH_MEMBERS_MAX */
    uint32_t replicas;      /* of each */
    uint64_t churn_ns;      /* so often one leaves, or the one that left joins again; 0: never */
};

/*
 * Introduces the members, and starts the thread that answers for them. The registry knows them when
 * this returns, though its workers may not yet: the catalog is published a moment later.
 * Ownership: strings are copied. Ended by rf_bench_crowd_free.
 * Errors:    -EINVAL a count out of range, an address; no registry there.
 */
RF_NODISCARD int rf_bench_crowd_new(const struct rf_bench_crowd_config *config,
                                    struct rf_bench_crowd **ret_crowd, struct rf_error *err);

/* From now on so often one leaves or joins; 0: never, and whoever is away comes back. */
void rf_bench_crowd_churn(struct rf_bench_crowd *crowd, uint64_t churn_ns);

/* When the last change was sent, by rf_bench_now_ns; 0: there was none. Threads: any. */
uint64_t rf_bench_crowd_changed_ns(const struct rf_bench_crowd *crowd);

/* The members vanish; a registry that goes on finds them failed. NULL is allowed. */
void rf_bench_crowd_free(struct rf_bench_crowd *crowd);

/* The members, as the registry has them while none has left. Lifetime: the crowd's. */
const struct rf_bench_member *rf_bench_crowd_members(const struct rf_bench_crowd *crowd);

enum { RF_BENCH_MEMBER_TEXT_SIZE = 24 };

/* Id and addr of member `number`: of the first hundred 12 and 15 bytes, so that a reply has 48. */
void rf_bench_member_text(uint32_t number, char ret_id[RF_BENCH_MEMBER_TEXT_SIZE],
                          char ret_addr[RF_BENCH_MEMBER_TEXT_SIZE]);

#endif
