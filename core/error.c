/* SPDX-License-Identifier: MIT */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/assert.h"

int rf_error_set_text(struct rf_error *err, int code, const char *format, ...)
{
    RF_ASSERT(code < 0);
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof(err->text), format,
                        args); /* a cut text is still a text */
        va_end(args);
    }
    return code;
}

int rf_error_prefix_text(struct rf_error *err, int code, const char *format, ...)
{
    RF_ASSERT(code < 0);
    if (err != NULL) {
        char text[RF_ERROR_TEXT_SIZE];
        va_list args;
        va_start(args, format);
        int used = vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        if (used >= 0 && (size_t)used < sizeof(text)) {
            (void)snprintf(text + used, sizeof(text) - (size_t)used, ": %s", err->text);
        }
        memcpy(err->text, text, sizeof(text));
        err->code = code;
    }
    return code;
}

const char *rf_strerror(int code)
{
    switch (code) {
    case 0:
        return "success";
    case RF_EMALFORMED:
        return "malformed message";
    case RF_EMORE:
        return "message is cut";
    case RF_EVERSION:
        return "version not spoken";
    case RF_ELIMIT:
        return "limit reached";
    case RF_EAUTH:
        return "not authenticated";
    case RF_ENOTFOUND:
        return "not found";
    case RF_EUNAVAILABLE:
        return "unavailable";
    case RF_EUNSUPPORTED:
        return "operation not supported by the peer";
    case RF_EDIGEST:
        return "digests differ";
    default:
        break;
    }
    /* strerrordesc_np is thread-safe and its texts are static, unlike strerror's. */
    const char *text = code < 0 ? strerrordesc_np(-code) : NULL;
    return text != NULL ? text : "unknown error";
}
