/* SPDX-License-Identifier: MIT
 *
 * vivaldi.h - network coordinates: where a node is in a space whose distances are round-trip times.
 *
 * Each node keeps a coordinate of its own and moves it a little with every round trip to another
 * whose coordinate it hears. From two coordinates the time between their nodes can be told, though
 * they may never have spoken to each other. Eight dimensions, a height for the link that a node is
 * behind, and an adjustment for what the space cannot express.
 * Methods: "Vivaldi: A Decentralized Network Coordinate System", SIGCOMM 2004, with the latency
 * filter and gravity of "Network Coordinates in the Wild", NSDI 2007, and the adjustment of "On
 * Suitability of Euclidean Embedding for Host-Based Network Coordinate Systems", ToN 2010; the
 * constants and the order of steps are serf's (rule 25), so that all nodes of a cluster agree.
 *
 * What others say is looked at first and taken only if it can be: see rf_coordinate_is_sane. Who
 * lies within those bounds can still make the estimates wrong, and nothing else depends on them.
 *
 * Pure: no clock, thread or global; random numbers come from the caller.
 */
#ifndef RF_GOSSIP_VIVALDI_H
#define RF_GOSSIP_VIVALDI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/random.h"
#include "gossip/coordinate.h"

enum {
    RF_VIVALDI_WINDOW = 20,          /* samples of the adjustment */
    RF_VIVALDI_FILTER = 3,           /* round trips of one node, of which the median counts */
    RF_VIVALDI_RTT_S_MAX = 10,       /* longer ones are no round trips */
    RF_VIVALDI_COORDINATE_S_MAX = 10 /* of any component: as the longest round trip */
};

#define RF_VIVALDI_ERROR_MAX 1.5     /* also that of a new coordinate; no unit */
#define RF_VIVALDI_HEIGHT_MIN_S 1e-5 /* likewise */

/* What is kept of another node. Zeroed: nothing yet. */
struct rf_vivaldi_peer {
    struct rf_coordinate coordinate; /* the last one heard */
    double rtts_s[RF_VIVALDI_FILTER];
    uint8_t rtts_count; /* 0: `coordinate` means nothing */
    uint8_t rtts_next;
};

struct rf_vivaldi {
    struct rf_coordinate self;
    double window_s[RF_VIVALDI_WINDOW]; /* what the space lacked of the last round trips */
    size_t window_next;
    uint64_t updates_count;
    uint64_t resets_count; /* began anew, because the result could not be */
};

void rf_vivaldi_init(struct rf_vivaldi *vivaldi);

/*
 * Whether a coordinate can be one: every number finite, none larger than
 * RF_VIVALDI_COORDINATE_S_MAX, error within 0..RF_VIVALDI_ERROR_MAX, height not negative.
 */
bool rf_coordinate_is_sane(const struct rf_coordinate *coordinate);

/*
 * A round trip to a node took `rtt_ns`, and its coordinate was `other`. Both are kept in `peer`.
 * Errors: -EINVAL `other` is not sane; -ERANGE more than RF_VIVALDI_RTT_S_MAX. Nothing is changed.
 * Cost: no allocation, some hundred floating-point operations.
 */
RF_NODISCARD int rf_vivaldi_update(struct rf_vivaldi *vivaldi, struct rf_random *random,
                                   struct rf_vivaldi_peer *peer, const struct rf_coordinate *other,
                                   uint64_t rtt_ns);

/* The round-trip time between two nodes, as their coordinates tell it: seconds, above 0. */
double rf_coordinate_distance_s(const struct rf_coordinate *a, const struct rf_coordinate *b);

/* A coordinate where every node begins: the origin, with the largest error. */
struct rf_coordinate rf_coordinate_new(void);

#endif
