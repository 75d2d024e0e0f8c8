/* SPDX-License-Identifier: MIT */
#include "gossip/coordinate.h"

#include <math.h>
#include <stddef.h>

struct wire_coordinate {
    double adjustment;
    double error;
    double height;
    struct rf_slice vec;
};

static const struct rf_field coordinate_fields[] = {
    {"Adjustment", RF_FIELD_DOUBLE, 2, false, offsetof(struct wire_coordinate, adjustment), 0,
     NULL},
    {"Error", RF_FIELD_DOUBLE, 1, false, offsetof(struct wire_coordinate, error), 0, NULL},
    {"Height", RF_FIELD_DOUBLE, 3, false, offsetof(struct wire_coordinate, height), 0, NULL},
    {"Vec", RF_FIELD_ARRAY, 0, false, offsetof(struct wire_coordinate, vec), 0, NULL},
};
static const struct rf_fields coordinate_table = {coordinate_fields, 4,
                                                  sizeof(struct wire_coordinate)};

int rf_coordinate_decode(struct rf_slice payload, struct rf_coordinate *ret_coordinate)
{
    if (payload.size == 0) {
        return RF_EMALFORMED;
    }
    if (payload.data[0] != RF_SERF_PING_VERSION) {
        return RF_EVERSION;
    }
    struct rf_unpacker unpacker = rf_unpacker(rf_slice_after(payload, 1));
    struct wire_coordinate wire;
    if (rf_unpack_is_nil(&unpacker) || rf_unpack_struct(&unpacker, &coordinate_table, &wire) < 0) {
        return RF_EMALFORMED;
    }
    struct rf_coordinate coordinate = {
        .error = wire.error, .adjustment = wire.adjustment, .height = wire.height};
    struct rf_cursor vec = rf_cursor_array(wire.vec);
    if (vec.left != RF_COORDINATE_DIMENSION) {
        return RF_ELIMIT;
    }
    bool is_finite = isfinite(wire.error) && isfinite(wire.adjustment) && isfinite(wire.height);
    for (int i = 0; i < RF_COORDINATE_DIMENSION; i++) {
        if (rf_unpack_double(&vec.unpacker, &coordinate.vec[i]) < 0) {
            return RF_EMALFORMED;
        }
        is_finite = is_finite && isfinite(coordinate.vec[i]);
    }
    if (!is_finite) {
        return RF_EMALFORMED;
    }
    *ret_coordinate = coordinate;
    return 0;
}

int rf_coordinate_encode(const struct rf_coordinate *coordinate, struct rf_packer *packer)
{
    uint8_t encoded[1 + RF_COORDINATE_DIMENSION * 9];
    struct rf_packer vec = rf_packer(encoded, sizeof(encoded));
    rf_pack_array(&vec, RF_COORDINATE_DIMENSION);
    for (int i = 0; i < RF_COORDINATE_DIMENSION; i++) {
        rf_pack_double(&vec, coordinate->vec[i]);
    }
    struct wire_coordinate wire = {.adjustment = coordinate->adjustment,
                                   .error = coordinate->error,
                                   .height = coordinate->height,
                                   .vec = rf_packer_slice(&vec)};
    size_t start = packer->size;
    rf_pack_byte(packer, RF_SERF_PING_VERSION);
    rf_pack_struct(packer, &coordinate_table, &wire);
    return rf_packer_end(packer, start);
}
