/* SPDX-License-Identifier: MIT
 *
 * digest.h - 64-bit digests that tell whether two nodes, or a node and a client, hold the same
 * members. The definition, with test vectors, is in core/CATALOG.md. They detect differences; they
 * do not resist somebody who looks for collisions.
 */
#ifndef RF_CORE_DIGEST_H
#define RF_CORE_DIGEST_H

#include <stdint.h>

#include "core/member.h"
#include "core/ring.h"

/* Of one member. A group's digest is the sum, modulo 2^64, over its members in the ring; 0 if there
 * are none. `member` is as rf_member_check wants it; its state does not count. */
uint64_t rf_digest_member(const struct rf_member *member);

/* Of a catalog, from the sum of its groups' digests. */
uint64_t rf_digest_catalog(enum rf_placement placement, uint64_t groups_sum);

#endif
