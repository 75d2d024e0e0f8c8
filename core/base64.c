/* SPDX-License-Identifier: MIT */
#include "core/base64.h"

#include <errno.h>
#include <limits.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void rf_base64_encode(const void *data, size_t size, char *ret_text)
{
    const uint8_t *bytes = data;
    size_t used = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t count = size - i < 3 ? size - i : 3;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        bits |= count > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        bits |= count > 2 ? bytes[i + 2] : 0;
        ret_text[used++] = alphabet[bits >> 18];
        ret_text[used++] = alphabet[bits >> 12 & 63];
        ret_text[used++] = count > 1 ? alphabet[bits >> 6 & 63] : '=';
        ret_text[used++] = count > 2 ? alphabet[bits & 63] : '=';
    }
    ret_text[used] = '\0';
}

/* 0..63, or -1. */
static int value_of(char character)
{
    if (character >= 'A' && character <= 'Z') {
        return character - 'A';
    }
    if (character >= 'a' && character <= 'z') {
        return character - 'a' + 26;
    }
    if (character >= '0' && character <= '9') {
        return character - '0' + 52;
    }
    return character == '+' ? 62 : character == '/' ? 63 : -1;
}

int rf_base64_decode(const char *text, size_t text_size, void *ret_data, size_t ret_size_max)
{
    uint8_t *bytes = ret_data;
    if (text_size % 4 != 0 || text_size / 4 > INT_MAX / 3) {
        return -EINVAL;
    }
    size_t padding = 0;
    while (padding < 2 && padding < text_size && text[text_size - 1 - padding] == '=') {
        padding++;
    }
    size_t size = text_size / 4 * 3 - padding;
    if (size > ret_size_max) {
        return -ENOBUFS;
    }
    uint32_t bits = 0;
    size_t used = 0;
    for (size_t i = 0; i < text_size; i++) {
        int value = i < text_size - padding ? value_of(text[i]) : 0;
        if (value < 0) {
            return -EINVAL;
        }
        bits = bits << 6 | (uint32_t)value;
        for (int shift = 16; i % 4 == 3 && shift >= 0 && used < size; shift -= 8) {
            bytes[used++] = (uint8_t)(bits >> shift);
        }
    }
    return (int)size;
}
