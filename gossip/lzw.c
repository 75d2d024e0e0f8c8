/* SPDX-License-Identifier: MIT */
#include "gossip/lzw.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/assert.h"

enum {
    CODE_CLEAR = 256,
    CODE_END = 257,
    CODES_COUNT = 4096,
    CODE_LAST = CODES_COUNT - 1,
    WIDTH_MIN = 9,
    WIDTH_MAX = 12,
};

/* ---- encoder ---- */

/*
 * The dictionary maps (code of a string, next byte) to the code of the longer string. An entry is
 * that 20-bit pair and the 12-bit code in one word; 0 is a free place, since no entry has code 0.
 */
static_assert((RF_LZW_TABLE_SIZE & (RF_LZW_TABLE_SIZE - 1)) == 0, "probing wraps by mask");

static uint32_t *place_of(uint32_t *table, uint32_t pair)
{
    uint32_t place = (pair * 0x9e3779b1u) >> 19; /* golden ratio, upper 13 bits */
    static_assert(RF_LZW_TABLE_SIZE == 1 << 13, "hash of 13 bits");
    while (table[place] != 0 && table[place] >> 12 != pair) {
        place = (place + 1) & (RF_LZW_TABLE_SIZE - 1);
    }
    return &table[place];
}

struct encoder {
    uint8_t *output;
    size_t size;
    size_t size_max;
    uint64_t bits; /* not written yet, the oldest lowest */
    unsigned bits_count;
    unsigned width;
    uint32_t top;
    bool is_full;
};

static void put_byte(struct encoder *encoder)
{
    if (encoder->size == encoder->size_max) {
        encoder->is_full = true;
    } else {
        encoder->output[encoder->size++] = (uint8_t)encoder->bits;
    }
    encoder->bits >>= 8;
}

static void put_code(struct encoder *encoder, uint32_t code)
{
    encoder->bits |= (uint64_t)code << encoder->bits_count;
    encoder->bits_count += encoder->width;
    while (encoder->bits_count >= 8) {
        put_byte(encoder);
        encoder->bits_count -= 8;
    }
}

/* After each code of a string: the decoder defines an entry then. True if the dictionary is full
 * and a clear code was put. */
static bool step(struct encoder *encoder)
{
    encoder->top++;
    if (encoder->top == 1u << encoder->width) {
        encoder->width++;
    }
    if (encoder->top < CODE_LAST) {
        return false;
    }
    put_code(encoder, CODE_CLEAR);
    encoder->width = WIDTH_MIN;
    encoder->top = CODE_END;
    return true;
}

size_t rf_lzw_encoded_size_max(size_t size)
{
    /* A dictionary is full after 3837 codes at least: a clear code for each. Then begin and end. */
    return (size * WIDTH_MAX + (size / 3837 + 2) * WIDTH_MAX) / 8 + 2;
}

int rf_lzw_encode(struct rf_lzw_workspace *workspace, struct rf_slice input, uint8_t *ret_output,
                  size_t ret_size_max)
{
    RF_ASSERT(ret_size_max <= INT32_MAX);
    uint32_t *table = workspace->table;
    memset(table, 0, sizeof(workspace->table));
    struct encoder encoder = {
        .output = ret_output, .size_max = ret_size_max, .width = WIDTH_MIN, .top = CODE_END};
    put_code(&encoder, CODE_CLEAR);

    uint32_t string = input.size > 0 ? input.data[0] : 0;
    for (size_t i = 1; i < input.size && !encoder.is_full; i++) {
        uint32_t pair = string << 8 | input.data[i];
        uint32_t *place = place_of(table, pair);
        if (*place != 0) {
            string = *place & CODE_LAST;
            continue;
        }
        put_code(&encoder, string);
        if (step(&encoder)) {
            memset(table, 0, sizeof(workspace->table));
        } else {
            *place = pair << 12 | encoder.top;
        }
        string = input.data[i];
    }
    if (input.size > 0) {
        put_code(&encoder, string);
        (void)step(&encoder); /* the dictionary is not used any more */
    }
    put_code(&encoder, CODE_END);
    if (encoder.bits_count > 0) {
        put_byte(&encoder);
    }
    return encoder.is_full ? -ENOBUFS : (int)encoder.size;
}

/* ---- decoder ---- */

/*
 * The string of a dictionary entry is that of the code before it and one byte more, and these lie
 * side by side in the output: an entry is a place in what has been put out already.
 */
struct entry {
    uint32_t start;
    uint32_t size;
};

struct decoder {
    struct entry entries[CODES_COUNT];
    uint8_t *output; /* NULL: measure only */
    size_t size;
    size_t size_max;
    uint32_t top;
    unsigned width;
    struct entry prev; /* string of the code before; size 0: none */
};

static int put_string(struct decoder *decoder, uint32_t code)
{
    struct entry string = {.size = 1};
    if (code >= CODE_CLEAR) {
        string = code == decoder->top && decoder->prev.size > 0
                     ? (struct entry){decoder->prev.start, decoder->prev.size + 1}
                     : decoder->entries[code];
    }
    if (string.size > decoder->size_max - decoder->size) {
        return RF_ELIMIT;
    }
    if (decoder->output != NULL) {
        uint8_t *to = decoder->output + decoder->size;
        if (code < CODE_CLEAR) {
            *to = (uint8_t)code;
        } else {
            /* Forward and by bytes: the string of `top` ends with the byte that is put first. */
            const uint8_t *from = decoder->output + string.start;
            for (uint32_t i = 0; i < string.size; i++) {
                to[i] = from[i];
            }
        }
    }
    if (decoder->prev.size > 0) {
        decoder->entries[decoder->top] =
            (struct entry){decoder->prev.start, decoder->prev.size + 1};
    }
    decoder->prev = (struct entry){(uint32_t)decoder->size, string.size};
    decoder->size += string.size;
    return 0;
}

static void clear(struct decoder *decoder)
{
    decoder->width = WIDTH_MIN;
    decoder->top = CODE_END;
    decoder->prev = (struct entry){0};
}

static int put_code_string(struct decoder *decoder, uint32_t code)
{
    if (code > decoder->top) {
        return RF_EMALFORMED;
    }
    int rc = put_string(decoder, code);
    if (rc < 0) {
        return rc;
    }
    decoder->top++;
    if (decoder->top == 1u << decoder->width) {
        if (decoder->width == WIDTH_MAX) {
            decoder->prev.size = 0; /* full, and frozen until a clear code */
            decoder->top = CODE_LAST;
        } else {
            decoder->width++;
        }
    }
    return 0;
}

int rf_lzw_decode(struct rf_slice input, uint8_t *ret_output, size_t ret_size_max)
{
    RF_ASSERT(ret_size_max < INT32_MAX);
    struct decoder decoder;
    decoder.output = ret_output;
    decoder.size = 0;
    decoder.size_max = ret_size_max;
    clear(&decoder);

    uint32_t bits = 0;
    unsigned bits_count = 0;
    for (size_t i = 0; i < input.size; i++) {
        bits |= (uint32_t)input.data[i] << bits_count;
        bits_count += 8;
        if (bits_count < decoder.width) {
            continue;
        }
        uint32_t code = bits & ((1u << decoder.width) - 1);
        bits >>= decoder.width;
        bits_count -= decoder.width;
        if (code == CODE_END) {
            return (int)decoder.size;
        }
        if (code == CODE_CLEAR) {
            clear(&decoder);
            continue;
        }
        int rc = put_code_string(&decoder, code);
        if (rc < 0) {
            return rc;
        }
    }
    return RF_EMALFORMED; /* no end code */
}
