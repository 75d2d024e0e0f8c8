/* SPDX-License-Identifier: MIT
 *
 * lzw.h - the compression of memberlist: LZW, least significant bit first, 8-bit literals, codes
 * of 9 to 12 bits, as Go's compress/lzw writes it.
 *
 * "A Technique for High-Performance Data Compression", Computer 17(6), 1984. The encoder gives the
 * very bytes of the reference, so equal messages give equal packets.
 */
#ifndef RF_GOSSIP_LZW_H
#define RF_GOSSIP_LZW_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "gossip/slice.h"

enum { RF_LZW_TABLE_SIZE = 8192 /* a power of two, over twice the 3837 entries it can hold */ };

/* The encoder's dictionary, too large for a stack of unknown size: caller's storage, any content.
 * Not shared between threads. */
struct rf_lzw_workspace {
    uint32_t table[RF_LZW_TABLE_SIZE];
};

/* The most that `size` bytes can become: 12 bits for each, the clear codes, begin and end. */
size_t rf_lzw_encoded_size_max(size_t size);

/*
 * Compresses. Returns the size. Errors: -ENOBUFS it is more than `ret_size_max`, which is the way
 * to ask for "only if shorter"; the output is then undefined.
 */
RF_NODISCARD int rf_lzw_encode(struct rf_lzw_workspace *workspace, struct rf_slice input,
                               uint8_t *ret_output, size_t ret_size_max);

/*
 * Decompresses to at most `ret_size_max` (below INT32_MAX) bytes. With ret_output == NULL only
 * measures, so that the caller can reserve what is needed and no more.
 *
 * Returns the size. Errors: RF_EMALFORMED a code that cannot be, or no end code; RF_ELIMIT more
 *         than `ret_size_max`.
 * Cost:   32 KiB of stack; time in proportion to the output.
 */
RF_NODISCARD int rf_lzw_decode(struct rf_slice input, uint8_t *ret_output, size_t ret_size_max);

#endif
