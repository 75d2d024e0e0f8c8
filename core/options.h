/* SPDX-License-Identifier: MIT
 *
 * options.h - the command line of our programs: one table from which parsing, exact errors and
 * --help come.
 *
 * An option is written -name or --name; its value is the next argument or follows '='. Options and
 * other arguments may come in any order; "--" ends the options, "-" is no option. A flag may be
 * given =true or =false, an option twice: the last counts, unless it makes a list. So does Go's
 * flag package, but that it stops at the first argument that is no option.
 */
#ifndef RF_CORE_OPTIONS_H
#define RF_CORE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

enum {
    RF_OPTIONS_MAX = 64,       /* of one table: they are told by bits */
    RF_OPTION_LIST_MAX = 1000, /* times that one option may be given: 8 KiB */
};

enum rf_option_type {
    RF_OPTION_FLAG,       /* `flag` */
    RF_OPTION_TEXT,       /* `text`: at least one byte, no control characters */
    RF_OPTION_TEXT_LIST,  /* `list`: the same, one more each time that it is given */
    RF_OPTION_NUMBER,     /* `number`: decimal, min..max */
    RF_OPTION_CHOICE,     /* `text`: one of `choices` */
    RF_OPTION_HOST_PORT,  /* `text`: what rf_host_port_parse takes, checked and left as it is */
    RF_OPTION_BIND,       /* `text`: the same with port 0 allowed: any free one */
    RF_OPTION_HOST_PORTS, /* `text`: the same, one or more with commas between */
};

/* Empty before the command line is parsed. */
struct rf_option_list {
    const char *texts[RF_OPTION_LIST_MAX]; /* [count], borrowed arguments, in their order */
    size_t count;
};

struct rf_option {
    const char *name;       /* without dashes */
    const char *value_name; /* in --help, as "HOST:PORT"; NULL for flags */
    const char *help;       /* one sentence or some, without a line break */
    enum rf_option_type type;
    uint16_t port_default;      /* HOST_PORT(S): may be left out then; 0: it may not */
    uint32_t scope;             /* bits the program gives a meaning, as commands; 0: all */
    uint64_t min, max;          /* inclusive */
    const char *const *choices; /* ends with NULL */
    const char *default_value;  /* what the command line would say; NULL: the value stays unset */
    bool *flag;                 /* where the value goes: the one that `type` names */
    const char **text;          /* borrows the argument */
    uint64_t *number;
    struct rf_option_list *list; /* has no default_value */
};

struct rf_options {
    const struct rf_option *table;
    size_t count; /* at most RF_OPTIONS_MAX */
};

/*
 * Sets every value to its default, then reads argv[1] and on. The arguments that are no options
 * are moved to the front of `argv`, in order: argv[0] .. argv[n - 1] is what this returns n for.
 * Bit i of *ret_given is set if table[i] was given.
 *
 * Errors: -EINVAL: "unknown option '-x'", "option -n: 'abc': not a number, allowed 1..65535",
 *         "port '99999' in -s: allowed 1..65535", ... A mistake in the table's own defaults ends
 *         the process.
 */
RF_NODISCARD int rf_options_parse(const struct rf_options *options, int argc, char **argv,
                                  uint64_t *ret_given, struct rf_error *err);

/* The first option in `given` whose scope has none of the bits in `scope`, or NULL. */
const struct rf_option *rf_options_out_of_scope(const struct rf_options *options, uint64_t given,
                                                uint32_t scope);

/* Prints the options of that scope (UINT32_MAX: all), with defaults, at most 80 columns wide. */
void rf_options_print(const struct rf_options *options, uint32_t scope, FILE *stream);

/* Prints a text at an indent, its lines broken at spaces. */
void rf_options_print_text(const char *text, int indent, FILE *stream);

/* One value by itself, as the table's types check it. `name` is said in the error: "port '0' in
 * NAME: allowed 1..65535". */
RF_NODISCARD int rf_options_check_host_port(const char *name, const char *text,
                                            uint16_t port_default, struct rf_error *err);
RF_NODISCARD int rf_options_parse_number(const char *name, const char *text, uint64_t min,
                                         uint64_t max, uint64_t *ret_number, struct rf_error *err);

#endif
