/* SPDX-License-Identifier: MIT
 *
 * error.h - how a cold path says what went wrong.
 *
 * What can fail returns int: 0 (or a count), or a negative code: -errno, or one of the RF_E...
 * below for what only regfast can say (they start at -5000, since the kernel's end at -4095).
 * Cold paths also take a `struct rf_error *`, which may be NULL, and leave a text in it that names
 * the thing, its value and what would be right.
 */
#ifndef RF_CORE_ERROR_H
#define RF_CORE_ERROR_H

#include <stddef.h>

#define RF_NODISCARD __attribute__((warn_unused_result))
#define RF_PRINTF(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))

enum {
    RF_EMALFORMED = -5000,   /* bytes that are not what the protocol says */
    RF_EMORE = -5001,        /* a message is cut: more bytes are needed to decide */
    RF_EVERSION = -5002,     /* a peer speaks a version that we do not */
    RF_ELIMIT = -5003,       /* a limit of ours is reached; the text names it */
    RF_EAUTH = -5004,        /* no key opens it, or it should have been encrypted */
    RF_ENOTFOUND = -5005,    /* no such group, or it has no members */
    RF_EUNAVAILABLE = -5006, /* no registry answered, or it is shutting down */
    RF_EUNSUPPORTED = -5007, /* the peer does not know this operation */
    RF_EDIGEST = -5008,      /* what was told is not what the digest says */
};

enum { RF_ERROR_TEXT_SIZE = 256 };

struct rf_error {
    int code;                      /* 0: none yet */
    char text[RF_ERROR_TEXT_SIZE]; /* NUL-terminated, cut if longer, no newline */
};

/*
 * Sets `err` (may be NULL) and returns `code`, which is negative, so that `return
 * rf_error_set(...)` reads well: rf_error_set(err, -EINVAL, "port %u: allowed 1..65535", port).
 */
#define rf_error_set(...) rf_error_is_negative(rf_error_set_text(__VA_ARGS__))

/* Puts "<prefix>: " before the text in `err` (may be NULL) and returns `code`, which is negative.
 */
#define rf_error_prefix(...) rf_error_is_negative(rf_error_prefix_text(__VA_ARGS__))

/* What the two are made of. */
int rf_error_set_text(struct rf_error *err, int code, const char *format, ...) RF_PRINTF(3, 4);
int rf_error_prefix_text(struct rf_error *err, int code, const char *format, ...) RF_PRINTF(3, 4);

/* Compilers and analyzers must see that what failed is not 0: they take what a failed call leaves
 * alone for unset otherwise. */
static inline int rf_error_is_negative(int code)
{
    if (code >= 0) {
        __builtin_unreachable(); /* asserted by the two above */
    }
    return code;
}

/* A short text for a code of this project or a negative errno. Threads: any; static storage or
 * thread-local, valid until the thread's next call. */
const char *rf_strerror(int code);

#endif
