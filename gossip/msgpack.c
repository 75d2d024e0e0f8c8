/* SPDX-License-Identifier: MIT */
#include "gossip/msgpack.h"

#include <errno.h>

#include "core/address.h"
#include "core/assert.h"

/* ---- writing ---- */

void rf_pack_bytes(struct rf_packer *packer, struct rf_slice bytes)
{
    if (packer->is_full || bytes.size > packer->size_max - packer->size) {
        packer->is_full = true;
        return;
    }
    if (packer->data != NULL && bytes.size > 0) {
        memcpy(packer->data + packer->size, bytes.data, bytes.size);
    }
    packer->size += bytes.size;
}

void rf_pack_byte(struct rf_packer *packer, uint8_t byte)
{
    rf_pack_bytes(packer, rf_slice(&byte, 1));
}

/* `form`, then the lowest `width` bytes of `value`, the highest of them first. */
static void pack_form(struct rf_packer *packer, uint8_t form, uint64_t value, int width)
{
    uint8_t bytes[9] = {form};
    for (int i = 1; i <= width; i++) {
        bytes[i] = (uint8_t)(value >> (8 * (width - i)));
    }
    rf_pack_bytes(packer, rf_slice(bytes, 1 + (size_t)width));
}

void rf_pack_nil(struct rf_packer *packer)
{
    rf_pack_byte(packer, 0xc0);
}

void rf_pack_bool(struct rf_packer *packer, bool value)
{
    rf_pack_byte(packer, value ? 0xc3 : 0xc2);
}

void rf_pack_uint(struct rf_packer *packer, uint64_t value)
{
    if (value < 0x80) {
        rf_pack_byte(packer, (uint8_t)value);
    } else if (value <= UINT8_MAX) {
        pack_form(packer, 0xcc, value, 1);
    } else if (value <= UINT16_MAX) {
        pack_form(packer, 0xcd, value, 2);
    } else if (value <= UINT32_MAX) {
        pack_form(packer, 0xce, value, 4);
    } else {
        pack_form(packer, 0xcf, value, 8);
    }
}

void rf_pack_double(struct rf_packer *packer, double value)
{
    uint64_t bits;
    static_assert(sizeof(bits) == sizeof(value), "IEEE 754 double");
    memcpy(&bits, &value, sizeof(bits));
    pack_form(packer, 0xcb, bits, 8);
}

void rf_pack_raw_header(struct rf_packer *packer, uint32_t size)
{
    if (size < 32) {
        rf_pack_byte(packer, (uint8_t)(0xa0 | size));
    } else if (size <= UINT16_MAX) {
        pack_form(packer, 0xda, size, 2);
    } else {
        pack_form(packer, 0xdb, size, 4);
    }
}

void rf_pack_raw(struct rf_packer *packer, struct rf_slice value)
{
    RF_ASSERT(value.size <= UINT32_MAX);
    rf_pack_raw_header(packer, (uint32_t)value.size);
    rf_pack_bytes(packer, value);
}

static void pack_count(struct rf_packer *packer, uint32_t count, uint8_t fix, uint8_t form16)
{
    if (count < 16) {
        rf_pack_byte(packer, (uint8_t)(fix | count));
    } else if (count <= UINT16_MAX) {
        pack_form(packer, form16, count, 2);
    } else {
        pack_form(packer, (uint8_t)(form16 + 1), count, 4);
    }
}

void rf_pack_array(struct rf_packer *packer, uint32_t count)
{
    pack_count(packer, count, 0x90, 0xdc);
}

void rf_pack_map(struct rf_packer *packer, uint32_t count)
{
    pack_count(packer, count, 0x80, 0xde);
}

int rf_packer_end(struct rf_packer *packer, size_t start)
{
    RF_ASSERT(start <= packer->size);
    size_t size = packer->size - start;
    if (packer->is_full || size > INT32_MAX) {
        packer->size = start;
        packer->is_full = false;
        return -ENOBUFS;
    }
    return (int)size;
}

int rf_pack_raws(struct rf_packer *packer, const struct rf_slice *values, size_t count)
{
    RF_ASSERT(count <= UINT32_MAX);
    size_t start = packer->size;
    rf_pack_array(packer, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        rf_pack_raw(packer, values[i]);
    }
    return rf_packer_end(packer, start);
}

/* ---- reading ---- */

/*
 * What the first byte of a value says: how many bytes of number follow it, and what they count.
 * One table of forms serves typed reading and skipping.
 */
enum form_kind {
    FORM_NIL,
    FORM_BOOL,
    FORM_UINT,
    FORM_INT,
    FORM_FLOAT,
    FORM_RAW,
    FORM_ARRAY,
    FORM_MAP,
    FORM_EXT
};

struct form {
    enum form_kind kind;
    uint64_t value; /* the number, or the count, or the size; of FORM_INT: as two's complement */
    size_t size;    /* of the form itself, without what it counts */
};

static uint64_t big_endian(const uint8_t *data, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

/* Forms c0..df: kind and bytes that follow. Of ext, one byte more, its type, belongs to the data.
 */
static const struct {
    uint8_t kind;
    uint8_t width;
} forms[32] = {
    {FORM_NIL, 0},   {FORM_EXT, 255}, {FORM_BOOL, 0}, {FORM_BOOL, 0}, /* c0..c3; c1 is no form */
    {FORM_RAW, 1},   {FORM_RAW, 2},   {FORM_RAW, 4},                  /* bin */
    {FORM_EXT, 1},   {FORM_EXT, 2},   {FORM_EXT, 4},                  /* ext */
    {FORM_FLOAT, 4}, {FORM_FLOAT, 8},                                 /* ca, cb */
    {FORM_UINT, 1},  {FORM_UINT, 2},  {FORM_UINT, 4}, {FORM_UINT, 8}, /* cc..cf */
    {FORM_INT, 1},   {FORM_INT, 2},   {FORM_INT, 4},  {FORM_INT, 8},  /* d0..d3 */
    {FORM_EXT, 0},   {FORM_EXT, 0},   {FORM_EXT, 0},  {FORM_EXT, 0},  {FORM_EXT, 0}, /* fixext */
    {FORM_RAW, 1},   {FORM_RAW, 2},   {FORM_RAW, 4},                                 /* str */
    {FORM_ARRAY, 2}, {FORM_ARRAY, 4}, {FORM_MAP, 2},  {FORM_MAP, 4},                 /* dc..df */
};

static struct form form_fixed(uint8_t first)
{
    if (first < 0x80) {
        return (struct form){FORM_UINT, first, 1};
    }
    if (first < 0x90) {
        return (struct form){FORM_MAP, first & 0x0f, 1};
    }
    if (first < 0xa0) {
        return (struct form){FORM_ARRAY, first & 0x0f, 1};
    }
    if (first < 0xc0) {
        return (struct form){FORM_RAW, first & 0x1f, 1};
    }
    return (struct form){FORM_INT, UINT64_MAX - (0xff - first), 1}; /* e0..ff: -32..-1 */
}

static int form_read(const struct rf_unpacker *unpacker, struct form *ret_form)
{
    size_t left = rf_unpacker_left(unpacker);
    if (left == 0) {
        return RF_EMORE;
    }
    const uint8_t *data = unpacker->data + unpacker->offset;
    if (data[0] < 0xc0 || data[0] >= 0xe0) {
        *ret_form = form_fixed(data[0]);
        return 0;
    }
    size_t width = forms[data[0] - 0xc0].width;
    if (width == 255) {
        return RF_EMALFORMED;
    }
    if (left < 1 + width) {
        return RF_EMORE;
    }
    struct form form = {forms[data[0] - 0xc0].kind, big_endian(data + 1, width), 1 + width};
    if (form.kind == FORM_INT && width < 8 && form.value >> (8 * width - 1) != 0) {
        form.value |= UINT64_MAX << (8 * width); /* sign */
    } else if (form.kind == FORM_BOOL) {
        form.value = data[0] & 1;
    } else if (form.kind == FORM_EXT) {
        form.value = 1 + (width == 0 ? (uint64_t)1 << (data[0] - 0xd4) : form.value);
    }
    *ret_form = form;
    return 0;
}

/* Reads a form of `kind`; nil gives `*ret_form` with kind FORM_NIL and is passed. */
static int form_expect(struct rf_unpacker *unpacker, enum form_kind kind, struct form *ret_form)
{
    int rc = form_read(unpacker, ret_form);
    if (rc < 0) {
        return rc;
    }
    if (ret_form->kind == FORM_NIL) {
        unpacker->offset += ret_form->size;
        ret_form->value = 0;
        return 0;
    }
    return ret_form->kind == kind ? 0 : RF_EMALFORMED;
}

int rf_unpack_uint(struct rf_unpacker *unpacker, uint64_t limit, uint64_t *ret_value)
{
    struct form form;
    int rc = form_read(unpacker, &form);
    if (rc < 0) {
        return rc;
    }
    if (form.kind == FORM_NIL) {
        form.value = 0;
    } else if (form.kind == FORM_INT) {
        if (form.value > INT64_MAX) {
            return RF_EMALFORMED; /* negative */
        }
    } else if (form.kind != FORM_UINT) {
        return RF_EMALFORMED;
    }
    unpacker->offset += form.size;
    if (form.value > limit) {
        return RF_ELIMIT;
    }
    *ret_value = form.value;
    return 0;
}

int rf_unpack_bool(struct rf_unpacker *unpacker, bool *ret_value)
{
    struct form form;
    int rc = form_read(unpacker, &form);
    if (rc < 0) {
        return rc;
    }
    if (form.kind == FORM_NIL) {
        form.value = 0;
    } else if (form.kind != FORM_BOOL && (form.kind != FORM_UINT || form.value > 1)) {
        return RF_EMALFORMED;
    }
    unpacker->offset += form.size;
    *ret_value = form.value != 0;
    return 0;
}

int rf_unpack_double(struct rf_unpacker *unpacker, double *ret_value)
{
    struct form form;
    int rc = form_expect(unpacker, FORM_FLOAT, &form);
    if (rc < 0) {
        return rc;
    }
    if (form.kind == FORM_NIL) {
        *ret_value = 0;
        return 0;
    }
    unpacker->offset += form.size;
    if (form.size == 5) {
        uint32_t bits = (uint32_t)form.value;
        float value;
        memcpy(&value, &bits, sizeof(value));
        *ret_value = (double)value;
    } else {
        memcpy(ret_value, &form.value, sizeof(*ret_value));
    }
    return 0;
}

int rf_unpack_raw(struct rf_unpacker *unpacker, size_t size_max, struct rf_slice *ret_value)
{
    struct form form;
    int rc = form_expect(unpacker, FORM_RAW, &form);
    if (rc < 0) {
        return rc;
    }
    if (form.kind == FORM_NIL) {
        *ret_value = rf_slice(NULL, 0);
        return 0;
    }
    if (form.value > rf_unpacker_left(unpacker) - form.size) {
        return RF_EMORE;
    }
    const uint8_t *data = unpacker->data + unpacker->offset + form.size;
    unpacker->offset += form.size + form.value;
    if (form.value > size_max) {
        return RF_ELIMIT;
    }
    *ret_value = rf_slice(data, form.value);
    return 0;
}

/* Opens an array or a map, whose entries have at least `entry_size_min` bytes each. */
static int unpack_count(struct rf_unpacker *unpacker, enum form_kind kind, size_t entry_size_min,
                        uint32_t *ret_count)
{
    struct form form;
    int rc = form_expect(unpacker, kind, &form);
    if (rc < 0) {
        return rc;
    }
    if (form.kind != FORM_NIL) {
        if (form.value * entry_size_min > rf_unpacker_left(unpacker) - form.size) {
            return RF_EMORE;
        }
        unpacker->offset += form.size;
    }
    *ret_count = (uint32_t)form.value;
    return 0;
}

int rf_unpack_array(struct rf_unpacker *unpacker, uint32_t *ret_count)
{
    return unpack_count(unpacker, FORM_ARRAY, 1, ret_count);
}

int rf_unpack_map(struct rf_unpacker *unpacker, uint32_t *ret_count)
{
    return unpack_count(unpacker, FORM_MAP, 2, ret_count);
}

bool rf_unpack_is_nil(const struct rf_unpacker *unpacker)
{
    return rf_unpacker_left(unpacker) > 0 && unpacker->data[unpacker->offset] == 0xc0;
}

int rf_unpack_skip(struct rf_unpacker *unpacker)
{
    struct rf_unpacker at = *unpacker;
    uint64_t left[RF_MSGPACK_DEPTH_MAX + 1]; /* values to pass on each level */
    int depth = 0;
    left[0] = 1;
    while (depth >= 0) {
        if (left[depth] == 0) {
            depth--;
            continue;
        }
        left[depth]--;
        struct form form;
        int rc = form_read(&at, &form);
        if (rc < 0) {
            return rc;
        }
        at.offset += form.size;
        if (form.kind == FORM_RAW || form.kind == FORM_EXT) {
            if (form.value > rf_unpacker_left(&at)) {
                return RF_EMORE;
            }
            at.offset += form.value;
        } else if (form.kind == FORM_ARRAY || form.kind == FORM_MAP) {
            uint64_t count = form.value * (form.kind == FORM_MAP ? 2 : 1);
            if (depth == RF_MSGPACK_DEPTH_MAX) {
                return RF_EMALFORMED;
            }
            if (count > rf_unpacker_left(&at)) {
                return RF_EMORE;
            }
            left[++depth] = count;
        }
    }
    *unpacker = at;
    return 0;
}

/* ---- lists ---- */

static struct rf_cursor cursor_open(struct rf_slice encoded, bool is_map)
{
    struct rf_cursor cursor = {.unpacker = rf_unpacker(encoded)};
    uint32_t count = 0;
    int rc = is_map ? rf_unpack_map(&cursor.unpacker, &count)
                    : rf_unpack_array(&cursor.unpacker, &count);
    cursor.count = rc < 0 ? 0 : count;
    cursor.left = cursor.count;
    return cursor;
}

struct rf_cursor rf_cursor_array(struct rf_slice encoded)
{
    return cursor_open(encoded, false);
}

struct rf_cursor rf_cursor_map(struct rf_slice encoded)
{
    return cursor_open(encoded, true);
}

bool rf_cursor_next_raw(struct rf_cursor *cursor, struct rf_slice *ret_value)
{
    struct rf_slice value;
    if (cursor->left == 0 || rf_unpack_raw(&cursor->unpacker, SIZE_MAX, &value) < 0) {
        cursor->left = 0;
        return false;
    }
    cursor->left--;
    *ret_value = value;
    return true;
}

bool rf_cursor_next_pair(struct rf_cursor *cursor, struct rf_slice *ret_key,
                         struct rf_slice *ret_value)
{
    struct rf_slice key;
    struct rf_slice value;
    if (cursor->left == 0 || rf_unpack_raw(&cursor->unpacker, SIZE_MAX, &key) < 0 ||
        rf_unpack_raw(&cursor->unpacker, SIZE_MAX, &value) < 0) {
        cursor->left = 0;
        return false;
    }
    cursor->left--;
    *ret_key = key;
    *ret_value = value;
    return true;
}

bool rf_cursor_next_uint(struct rf_cursor *cursor, struct rf_slice *ret_key, uint64_t *ret_value)
{
    struct rf_slice key;
    uint64_t value;
    if (cursor->left == 0 || rf_unpack_raw(&cursor->unpacker, SIZE_MAX, &key) < 0 ||
        rf_unpack_uint(&cursor->unpacker, UINT64_MAX, &value) < 0) {
        cursor->left = 0;
        return false;
    }
    cursor->left--;
    *ret_key = key;
    *ret_value = value;
    return true;
}
