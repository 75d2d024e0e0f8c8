/* SPDX-License-Identifier: MIT
 *
 * msgpack_struct.c - structs by table: one reader and one writer for every message.
 */
#include "core/address.h"
#include "core/assert.h"
#include "gossip/msgpack.h"

enum { VSN_SIZE = 6 };

/* Of the C type behind a field of an integer. */
static size_t uint_size(const struct rf_field *field)
{
    static const uint8_t sizes[] = {
        [RF_FIELD_U8] = 1,  [RF_FIELD_U16] = 2, [RF_FIELD_U32] = 4,
        [RF_FIELD_U64] = 8, [RF_FIELD_I64] = 8,
    };
    RF_ASSERT(field->kind <= RF_FIELD_I64);
    return sizes[field->kind];
}

static uint64_t uint_get(const struct rf_field *field, const void *at)
{
    switch (uint_size(field)) {
    case 1:
        return *(const uint8_t *)at;
    case 2:
        return *(const uint16_t *)at;
    case 4:
        return *(const uint32_t *)at;
    default:
        return *(const uint64_t *)at;
    }
}

static void uint_set(const struct rf_field *field, void *at, uint64_t value)
{
    switch (uint_size(field)) {
    case 1:
        *(uint8_t *)at = (uint8_t)value;
        break;
    case 2:
        *(uint16_t *)at = (uint16_t)value;
        break;
    case 4:
        *(uint32_t *)at = (uint32_t)value;
        break;
    default:
        *(uint64_t *)at = value;
        break;
    }
}

static uint64_t uint_max(const struct rf_field *field)
{
    return field->kind == RF_FIELD_I64 ? INT64_MAX : UINT64_MAX >> (64 - 8 * uint_size(field));
}

/* ---- writing ---- */

/* Of the kinds that occur with omit_empty. */
static bool is_empty(const struct rf_field *field, const void *at)
{
    if (field->kind == RF_FIELD_STRING) {
        return ((const struct rf_slice *)at)->size == 0;
    }
    if (field->kind == RF_FIELD_IP) {
        return ((const struct rf_address *)at)->ip_size == 0;
    }
    return uint_get(field, at) == 0;
}

static void pack_encoded(struct rf_packer *packer, const struct rf_slice *encoded)
{
    if (encoded->data == NULL) {
        rf_pack_nil(packer);
    } else {
        rf_pack_bytes(packer, *encoded);
    }
}

static void pack_field(struct rf_packer *packer, const struct rf_field *field, const void *at)
{
    const struct rf_slice *slice = at;
    const struct rf_address *address = at;
    switch ((enum rf_field_kind)field->kind) {
    case RF_FIELD_U8:
    case RF_FIELD_U16:
    case RF_FIELD_U32:
    case RF_FIELD_U64:
    case RF_FIELD_I64:
        rf_pack_uint(packer, uint_get(field, at));
        break;
    case RF_FIELD_BOOL:
        rf_pack_bool(packer, *(const bool *)at);
        break;
    case RF_FIELD_DOUBLE:
        rf_pack_double(packer, *(const double *)at);
        break;
    case RF_FIELD_STRING:
        rf_pack_raw(packer, *slice);
        break;
    case RF_FIELD_BYTES:
        if (slice->data == NULL) {
            rf_pack_nil(packer);
        } else {
            rf_pack_raw(packer, *slice);
        }
        break;
    case RF_FIELD_IP:
        if (address->ip_size == 0) {
            rf_pack_nil(packer);
        } else {
            rf_pack_raw(packer, rf_slice(address->ip, address->ip_size));
        }
        break;
    case RF_FIELD_VSN:
        rf_pack_raw(packer, rf_slice(at, VSN_SIZE));
        break;
    case RF_FIELD_ARRAY:
    case RF_FIELD_MAP:
        pack_encoded(packer, slice);
        break;
    case RF_FIELD_STRUCT:
        rf_pack_struct(packer, field->nested, at);
        break;
    }
}

void rf_pack_struct(struct rf_packer *packer, const struct rf_fields *fields, const void *value)
{
    const uint8_t *bytes = value;
    uint32_t count = 0;
    for (size_t i = 0; i < fields->count; i++) {
        const struct rf_field *field = &fields->fields[i];
        count += !field->omit_empty || !is_empty(field, bytes + field->offset);
    }
    rf_pack_map(packer, count);
    for (size_t i = 0; i < fields->count; i++) {
        const struct rf_field *field = &fields->fields[i];
        if (field->omit_empty && is_empty(field, bytes + field->offset)) {
            continue;
        }
        rf_pack_raw(packer, rf_slice_text(field->name));
        pack_field(packer, field, bytes + field->offset);
    }
}

/* ---- reading ---- */

static int unpack_ip(struct rf_unpacker *unpacker, struct rf_address *ret_address)
{
    struct rf_slice ip;
    int rc = rf_unpack_raw(unpacker, sizeof(ret_address->ip), &ip);
    if (rc < 0) {
        return rc;
    }
    if (ip.size != 0 && ip.size != 4 && ip.size != 16) {
        return RF_ELIMIT;
    }
    /* Not the whole struct: the port beside it is another field. */
    if (ip.size > 0) {
        memcpy(ret_address->ip, ip.data, ip.size);
    }
    ret_address->ip_size = (uint8_t)ip.size;
    return 0;
}

static int unpack_vsn(struct rf_unpacker *unpacker, uint8_t ret_vsn[VSN_SIZE])
{
    struct rf_slice vsn;
    int rc = rf_unpack_raw(unpacker, VSN_SIZE, &vsn);
    if (rc < 0) {
        return rc;
    }
    if (vsn.size != VSN_SIZE) {
        return RF_ELIMIT;
    }
    memcpy(ret_vsn, vsn.data, VSN_SIZE);
    return 0;
}

static int unpack_encoded(struct rf_unpacker *unpacker, bool is_map, struct rf_slice *ret_encoded)
{
    struct rf_unpacker head = *unpacker;
    uint32_t count;
    int rc = is_map ? rf_unpack_map(&head, &count) : rf_unpack_array(&head, &count);
    if (rc < 0) {
        return rc;
    }
    bool is_nil = rf_unpack_is_nil(unpacker);
    size_t start = unpacker->offset;
    rc = rf_unpack_skip(unpacker);
    if (rc < 0) {
        return rc;
    }
    *ret_encoded =
        is_nil ? rf_slice(NULL, 0) : rf_slice(unpacker->data + start, unpacker->offset - start);
    return 0;
}

static int unpack_field(struct rf_unpacker *unpacker, const struct rf_field *field, void *at)
{
    uint64_t number = 0;
    int rc;
    switch ((enum rf_field_kind)field->kind) {
    case RF_FIELD_U8:
    case RF_FIELD_U16:
    case RF_FIELD_U32:
    case RF_FIELD_U64:
    case RF_FIELD_I64:
        rc = rf_unpack_uint(unpacker, uint_max(field), &number);
        if (rc == 0 || rc == RF_ELIMIT) {
            uint_set(field, at, number);
        }
        return rc;
    case RF_FIELD_BOOL:
        return rf_unpack_bool(unpacker, at);
    case RF_FIELD_DOUBLE:
        return rf_unpack_double(unpacker, at);
    case RF_FIELD_STRING:
    case RF_FIELD_BYTES:
        return rf_unpack_raw(unpacker, field->limit == 0 ? SIZE_MAX : field->limit, at);
    case RF_FIELD_IP:
        return unpack_ip(unpacker, at);
    case RF_FIELD_VSN:
        return unpack_vsn(unpacker, at);
    case RF_FIELD_ARRAY:
        return unpack_encoded(unpacker, false, at);
    case RF_FIELD_MAP:
        return unpack_encoded(unpacker, true, at);
    case RF_FIELD_STRUCT:
        return rf_unpack_struct(unpacker, field->nested, at);
    }
    RF_ASSERT(false);
    return RF_EMALFORMED;
}

/* Looks first at the place after the one found last, `*place`: peers write in ascending order, and
 * push/pulls of large clusters have millions of fields. */
static const struct rf_field *field_named(const struct rf_fields *fields, struct rf_slice name,
                                          size_t *place)
{
    for (size_t i = 0; i < fields->count; i++) {
        size_t at = *place + i < fields->count ? *place + i : *place + i - fields->count;
        if (rf_slice_equal_text(name, fields->fields[at].name)) {
            *place = at + 1 < fields->count ? at + 1 : 0;
            return &fields->fields[at];
        }
    }
    return NULL;
}

static const struct rf_field *field_declared(const struct rf_fields *fields, uint32_t position)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (fields->fields[i].declared == position) {
            return &fields->fields[i];
        }
    }
    return NULL;
}

/* Whether the struct comes as an array, and of how many values. */
static int open_struct(struct rf_unpacker *unpacker, bool *ret_is_array, uint32_t *ret_count)
{
    struct rf_unpacker start = *unpacker;
    *ret_is_array = false;
    int rc = rf_unpack_map(unpacker, ret_count);
    if (rc == RF_EMALFORMED) {
        *unpacker = start;
        *ret_is_array = true;
        rc = rf_unpack_array(unpacker, ret_count);
    }
    if (rc == 0 && *ret_count > RF_MSGPACK_FIELDS_MAX) {
        return RF_EMALFORMED;
    }
    return rc;
}

int rf_unpack_struct(struct rf_unpacker *unpacker, const struct rf_fields *fields, void *ret_value)
{
    struct rf_unpacker at = *unpacker;
    uint8_t *bytes = ret_value;
    memset(bytes, 0, fields->struct_size);
    bool is_array;
    uint32_t count;
    int rc = open_struct(&at, &is_array, &count);
    if (rc < 0) {
        return rc;
    }
    int result = 0;
    size_t place = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct rf_field *field;
        if (is_array) {
            field = field_declared(fields, i);
        } else {
            struct rf_slice name;
            rc = rf_unpack_raw(&at, SIZE_MAX, &name);
            if (rc < 0) {
                return rc;
            }
            field = field_named(fields, name, &place);
        }
        rc = field == NULL ? rf_unpack_skip(&at) : unpack_field(&at, field, bytes + field->offset);
        if (rc == RF_ELIMIT) {
            result = RF_ELIMIT; /* the rest is still read, so that the caller can pass over it */
        } else if (rc < 0) {
            return rc;
        }
    }
    *unpacker = at;
    return result;
}
