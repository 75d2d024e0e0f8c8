/* SPDX-License-Identifier: MIT
 *
 * log.h - where drivers and programs say what happened: one line, an event word, then key=value.
 *
 * Only drivers (sockets, threads) and programs log; pure modules return. The sink is the
 * caller's, so that libregfast stays silent: a sink without `write` drops every line.
 */
#ifndef RF_CORE_LOG_H
#define RF_CORE_LOG_H

#include "core/error.h"

enum rf_log_level { RF_LOG_ERROR, RF_LOG_WARN, RF_LOG_INFO, RF_LOG_DEBUG };

struct rf_log {
    enum rf_log_level level_max; /* lines above this level are not formatted */
    /* Called from any thread, one whole line without newline; NULL: nothing is logged. */
    void (*write)(void *context, enum rf_log_level level, const char *line);
    void *context;
};

/* Formats and passes on one line: rf_log(log, RF_LOG_INFO, "joined seed=%s members=%zu", ...). */
void rf_log(const struct rf_log *log, enum rf_log_level level, const char *format, ...)
    RF_PRINTF(3, 4);

/* "error", "warn", "info", "debug". */
const char *rf_log_level_name(enum rf_log_level level);

/* Parses such a name. Errors: -EINVAL, the text names what is allowed. */
RF_NODISCARD int rf_log_level_parse(const char *name, enum rf_log_level *ret_level,
                                    struct rf_error *err);

/* A sink that writes "<RFC 3339 time> <level> <line>" to standard error, in one write each. */
struct rf_log rf_log_stderr(enum rf_log_level level_max);

#endif
