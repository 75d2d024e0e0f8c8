/* SPDX-License-Identifier: MIT */
#include "core/text.h"

#include <stdio.h>
#include <string.h>

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

bool rf_text_is_clean(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (is_control((unsigned char)*c)) {
            return false;
        }
    }
    return true;
}

void rf_text_clean(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        *c = is_control((unsigned char)*c) ? '?' : *c;
    }
}

const char *rf_text_quote(const char *text, char quoted[RF_QUOTE_SIZE])
{
    static const char end[] = "...'";
    if (text == NULL) {
        return strcpy(quoted, "(none)");
    }
    size_t used = 0;
    quoted[used++] = '\'';
    for (const char *c = text; *c != '\0'; c++) {
        const unsigned char byte = (unsigned char)*c;
        const bool is_escaped = is_control(byte) || byte == '\'' || byte == '\\';
        if (used + (is_escaped ? 4 : 1) + sizeof(end) > RF_QUOTE_SIZE) {
            memcpy(quoted + used, end, sizeof(end));
            return quoted;
        }
        if (is_escaped) {
            used += (size_t)snprintf(quoted + used, RF_QUOTE_SIZE - used, "\\x%02x", byte);
        } else {
            quoted[used++] = *c;
        }
    }
    quoted[used++] = '\'';
    quoted[used] = '\0';
    return quoted;
}
