/* SPDX-License-Identifier: MIT
 *
 * fuzz_lzw.c - the input as compressed bytes, and as bytes to compress.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/lzw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PLAIN_MAX = 1 << 18 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t plain[PLAIN_MAX];
    static struct rf_lzw_workspace workspace;
    struct rf_slice input = rf_slice(data, size);

    /* Measuring and decoding agree; exactly enough room is enough, less is not. */
    int plain_size = rf_lzw_decode(input, plain, sizeof(plain));
    RF_ASSERT(rf_lzw_decode(input, NULL, sizeof(plain)) == plain_size);
    if (plain_size > 0) {
        uint8_t *exact = malloc((size_t)plain_size);
        RF_ASSERT(exact != NULL);
        RF_ASSERT(rf_lzw_decode(input, exact, (size_t)plain_size) == plain_size);
        RF_ASSERT(memcmp(exact, plain, (size_t)plain_size) == 0);
        RF_ASSERT(rf_lzw_decode(input, exact, (size_t)plain_size - 1) == RF_ELIMIT);
        free(exact);
    }

    /* Whatever is compressed comes back. */
    size_t encoded_size_max = rf_lzw_encoded_size_max(size);
    uint8_t *encoded = malloc(encoded_size_max);
    uint8_t *again = malloc(size + 1);
    RF_ASSERT(encoded != NULL && again != NULL);
    int encoded_size = rf_lzw_encode(&workspace, input, encoded, encoded_size_max);
    RF_ASSERT(encoded_size > 0);
    int again_size = rf_lzw_decode(rf_slice(encoded, (size_t)encoded_size), again, size + 1);
    RF_ASSERT(again_size >= 0 && (size_t)again_size == size);
    RF_ASSERT(size == 0 || memcmp(again, data, size) == 0);
    free(again);
    free(encoded);
    return 0;
}
