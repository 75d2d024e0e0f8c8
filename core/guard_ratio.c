/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "core/guard.h"
#include "core/text.h"

int rf_guard_ratio_parse(const char *text, uint32_t *ret_millionths, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    uint64_t value = 0;
    size_t digits = 0;
    size_t decimals = 0;
    bool has_point = false;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '.' && !has_point) {
            has_point = true;
            continue;
        }
        if (*at < '0' || *at > '9') {
            goto refuse;
        }
        value = value * 10 + (uint64_t)(*at - '0');
        digits++;
        decimals += has_point;
        if (decimals > 6 || value > RF_GUARD_RATIO_WHOLE) {
            goto refuse;
        }
    }
    for (size_t i = decimals; i < 6; i++) {
        value *= 10;
    }
    if (digits > 0 && value <= RF_GUARD_RATIO_WHOLE) {
        *ret_millionths = (uint32_t)value;
        return 0;
    }
refuse:
    return rf_error_set(err, -EINVAL, "%s is no ratio: expected 0 to 1, like 0.5",
                        rf_text_quote(text, quoted));
}
