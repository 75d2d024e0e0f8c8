/* SPDX-License-Identifier: MIT
 *
 * fuzz_wire.c - the binary protocol: the first byte says whose decoder reads the rest, a server's
 * (even) or a client's (odd). What is taken must be written again byte for byte.
 */
#include <stdlib.h>

#include "tests/support/wire_roundtrip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    size_t frame_size = size - 1;
    uint8_t *frame = malloc(frame_size > 0 ? frame_size : 1); /* exact: reads past it are seen */
    if (frame == NULL) {
        abort();
    }
    memcpy(frame, data + 1, frame_size);
    if (wire_roundtrip(frame, frame_size, (data[0] & 1) != 0) == WIRE_ROUNDTRIP_DIFFERS) {
        abort();
    }
    struct rf_error err;
    int code = rf_wire_preface_check(frame, frame_size, &err);
    if (code == 0 && memcmp(frame, rf_wire_preface, RF_WIRE_PREFACE_SIZE) != 0) {
        abort();
    }
    free(frame);
    return 0;
}
