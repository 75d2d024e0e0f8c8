/* SPDX-License-Identifier: MIT
 *
 * text.h - strings that others sent: whether they may be kept, and how to show those that may not.
 */
#ifndef RF_CORE_TEXT_H
#define RF_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum {
    RF_QUOTE_SIZE = 64, /* enough to recognise a text by; an error text holds three of them */
};

/* Whether there are no bytes below 0x20 and no 0x7f: nothing that could forge a line of a log. */
bool rf_text_is_clean(const char *text);

/* Makes it so: replaces such bytes by '?'. */
void rf_text_clean(char *text);

/*
 * Puts `text` between single quotes into `quoted`: control characters and the quote and backslash
 * become \xNN, and what does not fit becomes "...". Returns `quoted`. NULL gives "(none)".
 */
const char *rf_text_quote(const char *text, char quoted[RF_QUOTE_SIZE]);

#endif
