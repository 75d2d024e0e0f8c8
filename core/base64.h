/* SPDX-License-Identifier: MIT
 *
 * base64.h - bytes as text and back, in the standard alphabet with padding (RFC 4648, section 4):
 * how keys are written on command lines and in files.
 */
#ifndef RF_CORE_BASE64_H
#define RF_CORE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* Characters of the text of `size` bytes, without a NUL. A constant, for arrays. */
#define RF_BASE64_SIZE(size) (((size) + 2) / 3 * 4)

/* Writes RF_BASE64_SIZE(size) characters and a NUL to `ret_text`. */
void rf_base64_encode(const void *data, size_t size, char *ret_text);

/*
 * Reads a text of `text_size` characters. Like Go's decoder it lets the bits that padding leaves
 * over be anything; unlike it, no line breaks.
 *
 * Returns the number of bytes; `ret_data` may be written to on failure too. Errors: -EINVAL not
 * base64; -ENOBUFS more than `ret_size_max` bytes.
 */
RF_NODISCARD int rf_base64_decode(const char *text, size_t text_size, void *ret_data,
                                  size_t ret_size_max);

#endif
