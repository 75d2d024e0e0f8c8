/* SPDX-License-Identifier: MIT
 *
 * coordinate.h - serf's network coordinate, as the payload of an ack carries it. The codec only:
 * a node that keeps no coordinate sends no payload, and never a made-up one.
 */
#ifndef RF_GOSSIP_COORDINATE_H
#define RF_GOSSIP_COORDINATE_H

#include "core/error.h"
#include "gossip/msgpack.h"
#include "gossip/slice.h"

enum {
    RF_COORDINATE_DIMENSION = 8, /* of serf's Vivaldi space; another one is refused */
    RF_SERF_PING_VERSION = 1,    /* first byte of the payload */
};

/* Seconds. */
struct rf_coordinate {
    double vec[RF_COORDINATE_DIMENSION];
    double error;
    double adjustment;
    double height;
};

/*
 * Decodes the payload of an ack. Errors: RF_EMALFORMED, also for an infinite or undefined number;
 * RF_EVERSION another ping version; RF_ELIMIT another dimension. To be ignored then.
 */
RF_NODISCARD int rf_coordinate_decode(struct rf_slice payload,
                                      struct rf_coordinate *ret_coordinate);

/* Appends the payload. Returns its size or -ENOBUFS. */
RF_NODISCARD int rf_coordinate_encode(const struct rf_coordinate *coordinate,
                                      struct rf_packer *packer);

#endif
