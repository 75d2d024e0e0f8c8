/* SPDX-License-Identifier: MIT */
#include "gossip/compress.h"

#include <errno.h>
#include <string.h>

#include "core/assert.h"

/* Type, map of two, "Algo": 0, "Buf": the raw follows. */
static const uint8_t head[] = {RF_MESSAGE_COMPRESS,  0x82, 0xa4, 'A', 'l', 'g', 'o',
                               RF_COMPRESS_ALGO_LZW, 0xa3, 'B',  'u', 'f'};
static_assert(sizeof(head) + 5 == RF_COMPRESS_OVERHEAD_MAX, "the raw's header is 5 bytes at most");

int rf_compress_encode(struct rf_lzw_workspace *workspace, struct rf_slice message,
                       uint8_t *ret_output, size_t ret_size_max)
{
    /* Compressed where it would lie with the shortest header, and moved up if that is longer. */
    size_t shortest = sizeof(head) + 1;
    if (ret_size_max < shortest) {
        return -ENOBUFS;
    }
    int size = rf_lzw_encode(workspace, message, ret_output + shortest, ret_size_max - shortest);
    if (size < 0) {
        return size;
    }
    uint8_t raw_header[5];
    struct rf_packer packer = rf_packer(raw_header, sizeof(raw_header));
    rf_pack_raw_header(&packer, (uint32_t)size);
    size_t start = sizeof(head) + packer.size;
    if ((size_t)size > ret_size_max - start) {
        return -ENOBUFS;
    }
    memmove(ret_output + start, ret_output + shortest, (size_t)size);
    memcpy(ret_output, head, sizeof(head));
    memcpy(ret_output + sizeof(head), raw_header, packer.size);
    return (int)start + size;
}

int rf_compress_inflate(const struct rf_compress *compress, uint8_t *ret_output,
                        size_t ret_size_max)
{
    if (compress->algo != RF_COMPRESS_ALGO_LZW) {
        return RF_EUNSUPPORTED;
    }
    int size = rf_lzw_decode(compress->buf, ret_output, ret_size_max);
    return size == 0 ? RF_EMALFORMED : size;
}
