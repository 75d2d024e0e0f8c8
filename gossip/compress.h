/* SPDX-License-Identifier: MIT
 *
 * compress.h - the compress message, which wraps another message in packets and streams.
 */
#ifndef RF_GOSSIP_COMPRESS_H
#define RF_GOSSIP_COMPRESS_H

#include "core/error.h"
#include "gossip/lzw.h"
#include "gossip/message.h"
#include "gossip/slice.h"

enum {
    RF_COMPRESS_ALGO_LZW = 0,
    RF_COMPRESS_OVERHEAD_MAX = 12 + 5, /* type, map, keys and Algo; the header of the raw */
};

/*
 * Writes the compress message of `message`. Returns its size.
 * Errors: -ENOBUFS it is above `ret_size_max`.
 */
RF_NODISCARD int rf_compress_encode(struct rf_lzw_workspace *workspace, struct rf_slice message,
                                    uint8_t *ret_output, size_t ret_size_max);

/*
 * The message inside. As rf_lzw_decode, NULL measures; besides its errors RF_EUNSUPPORTED another
 * algorithm, and RF_EMALFORMED an empty message, which would kill a Go peer.
 */
RF_NODISCARD int rf_compress_inflate(const struct rf_compress *compress, uint8_t *ret_output,
                                     size_t ret_size_max);

#endif
