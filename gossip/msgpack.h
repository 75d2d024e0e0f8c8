/* SPDX-License-Identifier: MIT
 *
 * msgpack.h - the msgpack profile of memberlist and serf: read without copying, write canonically.
 *
 * By hand, since no library at hand writes what peers expect or reads as we need it. Strings and
 * byte strings have one common "raw" form of the msgpack of 2012: no str8 (d9), no bin (c4..c6).
 * Debian's libmsgpack-c writes str8 for strings of 32..255 bytes and cannot be told not to, and its
 * unpacker builds a tree of heap objects, where the codec wants slices borrowed from the packet, a
 * cap on depth and counts checked before anything is reserved.
 *
 * Messages are described by tables of fields, from which one reader and one writer work.
 */
#ifndef RF_GOSSIP_MSGPACK_H
#define RF_GOSSIP_MSGPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "gossip/slice.h"

enum {
    RF_MSGPACK_DEPTH_MAX = 16,  /* nesting; the deepest message (serf's Events) has 5 levels */
    RF_MSGPACK_FIELDS_MAX = 64, /* of a struct; the largest has 12, the rest is for newer peers */
};

/* ---- writing ---- */

/*
 * A bounded writer. With data == NULL it only counts: a second pass then has a buffer of the right
 * size. What does not fit is dropped and sets `is_full`; everything after it is dropped too.
 */
struct rf_packer {
    uint8_t *data; /* borrowed */
    size_t size;   /* bytes written (or counted) so far */
    size_t size_max;
    bool is_full;
};

static inline struct rf_packer rf_packer(void *data, size_t size_max)
{
    return (struct rf_packer){.data = data, .size_max = size_max};
}

static inline struct rf_packer rf_packer_counting(void)
{
    return (struct rf_packer){.size_max = SIZE_MAX};
}

static inline struct rf_slice rf_packer_slice(const struct rf_packer *packer)
{
    return rf_slice(packer->data, packer->size);
}

void rf_pack_nil(struct rf_packer *packer);
void rf_pack_bool(struct rf_packer *packer, bool value);
void rf_pack_uint(struct rf_packer *packer, uint64_t value);
void rf_pack_double(struct rf_packer *packer, double value);
void rf_pack_raw(struct rf_packer *packer, struct rf_slice value); /* absent is written as empty */
void rf_pack_raw_header(struct rf_packer *packer, uint32_t size);  /* `size` bytes must follow */
void rf_pack_array(struct rf_packer *packer, uint32_t count);      /* `count` values must follow */
void rf_pack_map(struct rf_packer *packer, uint32_t count);        /* `count` pairs must follow */
void rf_pack_bytes(struct rf_packer *packer, struct rf_slice bytes); /* as they are */
void rf_pack_byte(struct rf_packer *packer, uint8_t byte);

/*
 * Ends one encoding that began when packer->size was `start`: returns how many bytes it has, or
 * -ENOBUFS if they did not fit, and then takes them back, so that the packer is as before it.
 */
RF_NODISCARD int rf_packer_end(struct rf_packer *packer, size_t start);

/* ---- reading ---- */

/*
 * A reader over bytes. Every read function returns 0, or
 *   RF_EMORE       the input ends inside the value; the reader stays where it was;
 *   RF_EMALFORMED  not of that kind, nested too deep, or no msgpack;
 *   RF_ELIMIT      of that kind, but above a limit; the reader stands behind the value.
 * nil is taken for any kind and gives zero, false or the absent slice, as the peers do.
 */
struct rf_unpacker {
    const uint8_t *data; /* borrowed */
    size_t size;
    size_t offset; /* of the next byte to read */
};

static inline struct rf_unpacker rf_unpacker(struct rf_slice slice)
{
    return (struct rf_unpacker){.data = slice.data, .size = slice.size};
}

static inline size_t rf_unpacker_left(const struct rf_unpacker *unpacker)
{
    return unpacker->size - unpacker->offset;
}

/* Every legal form of an integer from 0 to `limit`, signed forms included. */
RF_NODISCARD int rf_unpack_uint(struct rf_unpacker *unpacker, uint64_t limit, uint64_t *ret_value);
RF_NODISCARD int rf_unpack_bool(struct rf_unpacker *unpacker, bool *ret_value);
RF_NODISCARD int rf_unpack_double(struct rf_unpacker *unpacker, double *ret_value);
/* raw, str8 or bin of at most `size_max` bytes; borrowed from the input. */
RF_NODISCARD int rf_unpack_raw(struct rf_unpacker *unpacker, size_t size_max,
                               struct rf_slice *ret_value);
/* Opens an array or map. RF_EMORE if the bytes left cannot hold `*ret_count` entries. */
RF_NODISCARD int rf_unpack_array(struct rf_unpacker *unpacker, uint32_t *ret_count);
RF_NODISCARD int rf_unpack_map(struct rf_unpacker *unpacker, uint32_t *ret_count);
/* Passes over one value of any kind, nested ones included. */
RF_NODISCARD int rf_unpack_skip(struct rf_unpacker *unpacker);
/* Whether the next value is nil; false at the end of the input. */
bool rf_unpack_is_nil(const struct rf_unpacker *unpacker);

/* ---- structs ---- */

enum rf_field_kind {
    RF_FIELD_U8,     /* uint8_t */
    RF_FIELD_U16,    /* uint16_t */
    RF_FIELD_U32,    /* uint32_t */
    RF_FIELD_U64,    /* uint64_t */
    RF_FIELD_I64,    /* uint64_t, at most INT64_MAX: a signed field of the peers, never negative */
    RF_FIELD_BOOL,   /* bool */
    RF_FIELD_DOUBLE, /* double */
    RF_FIELD_STRING, /* struct rf_slice of at most `limit` bytes; absent is written as empty */
    RF_FIELD_BYTES,  /* the same; absent is written as nil */
    RF_FIELD_IP,     /* struct rf_address: its ip, of 4 or 16 bytes, or 0 (written as nil) */
    RF_FIELD_VSN,    /* uint8_t[6]: exactly 6 bytes, or RF_ELIMIT */
    RF_FIELD_ARRAY,  /* struct rf_slice: the encoded array, absent for nil */
    RF_FIELD_MAP,    /* struct rf_slice: the encoded map, absent for nil */
    RF_FIELD_STRUCT, /* a nested struct, described by `nested` */
};

struct rf_fields;

struct rf_field {
    const char *name;
    uint8_t kind;     /* enum rf_field_kind */
    uint8_t declared; /* position when a peer sends the struct as an array */
    bool omit_empty;  /* not written when zero or empty */
    uint16_t offset;  /* in the C struct */
    uint32_t limit;   /* STRING and BYTES: bytes; 0: as many as there are */
    const struct rf_fields *nested;
};

/* The fields of one struct in ascending order of their names, which is the order on the wire. */
struct rf_fields {
    const struct rf_field *fields;
    size_t count;
    size_t struct_size; /* of the C struct */
};

/* Writes `value` as a map. Fits or not: see rf_packer_end. */
void rf_pack_struct(struct rf_packer *packer, const struct rf_fields *fields, const void *value);

/*
 * Reads a map, an array in declared order, or nil (all zero) into `ret_value`, which is zeroed
 * first. Unknown fields are passed over, the last of equal keys wins, missing fields are zero.
 *
 * Errors: as the reader's; with RF_ELIMIT the struct has been read to its end, but is not to be
 * used.
 */
RF_NODISCARD int rf_unpack_struct(struct rf_unpacker *unpacker, const struct rf_fields *fields,
                                  void *ret_value);

/* ---- lists of strings and maps of strings, as messages hold them encoded ---- */

/* Walks an encoded array or map; made by rf_cursor_array, rf_cursor_map. */
struct rf_cursor {
    struct rf_unpacker unpacker;
    uint32_t count; /* entries, all told */
    uint32_t left;  /* entries to come */
};

/* Absent, malformed or another kind: an empty walk. */
struct rf_cursor rf_cursor_array(struct rf_slice encoded);
struct rf_cursor rf_cursor_map(struct rf_slice encoded);

/* The next element of an array of raws. False at the end, or at the first that is none. */
bool rf_cursor_next_raw(struct rf_cursor *cursor, struct rf_slice *ret_value);
/* The next pair of a map of raws. */
bool rf_cursor_next_pair(struct rf_cursor *cursor, struct rf_slice *ret_key,
                         struct rf_slice *ret_value);
/* The next pair of a map of integers. */
bool rf_cursor_next_uint(struct rf_cursor *cursor, struct rf_slice *ret_key, uint64_t *ret_value);

/* Writes an array of raws: Filters, Keys, LeftMembers. Returns its size or -ENOBUFS. */
RF_NODISCARD int rf_pack_raws(struct rf_packer *packer, const struct rf_slice *values,
                              size_t count);

#endif
