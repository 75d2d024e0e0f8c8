/* SPDX-License-Identifier: MIT */
#include "net/detect.h"

#include "core/assert.h"
#include "core/wire.h"

static_assert((int)RF_DETECT_SIZE_MAX == (int)RF_WIRE_PREFACE_SIZE, "the preface decides");

enum rf_protocol rf_detect(const uint8_t *data, size_t size)
{
    int code = rf_wire_preface_check(data, size, NULL);
    if (code == 0 || code == RF_EVERSION) {
        return RF_PROTOCOL_BINARY;
    }
    return code == RF_EMORE ? RF_PROTOCOL_UNDECIDED : RF_PROTOCOL_UNKNOWN;
}
