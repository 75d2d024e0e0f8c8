/* SPDX-License-Identifier: MIT */
#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/text.h"

enum { LINE_SIZE = 1024 }; /* longer lines are cut: a name and an address of 255 bytes each fit */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void rf_log(const struct rf_log *log, enum rf_log_level level, const char *format, ...)
{
    if (log->write == NULL || level > log->level_max) {
        return;
    }
    char line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args); /* a cut line is still a line */
    va_end(args);
    rf_text_clean(line); /* others' texts may be in it, and must not make lines of their own */
    log->write(log->context, level, line);
}

const char *rf_log_level_name(enum rf_log_level level)
{
    return level_names[level];
}

int rf_log_level_parse(const char *name, enum rf_log_level *ret_level, struct rf_error *err)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum rf_log_level)i;
            return 0;
        }
    }
    return rf_error_set(err, -EINVAL, "log level '%s': allowed are error, warn, info, debug", name);
}

static void write_stderr(void *context, enum rf_log_level level, const char *line)
{
    (void)context; /* standard error needs none */
    struct timespec now;
    struct tm parts;
    char text[LINE_SIZE + 64];
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    (void)gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    used += (size_t)snprintf(text + used, sizeof(text) - used, ".%03ldZ %s %s\n",
                             now.tv_nsec / 1000000, rf_log_level_name(level), line);
    ssize_t written = write(STDERR_FILENO, text, used);
    (void)written; /* a closed standard error must not stop the program */
}

struct rf_log rf_log_stderr(enum rf_log_level level_max)
{
    return (struct rf_log){.level_max = level_max, .write = write_stderr};
}
