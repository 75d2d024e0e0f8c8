/* SPDX-License-Identifier: MIT
 *
 * commands.h - which commands and options there are.
 */
#ifndef RF_TOOLS_REGCTL_COMMANDS_H
#define RF_TOOLS_REGCTL_COMMANDS_H

#include <stddef.h>
#include <stdint.h>

#include "core/options.h"
#include "tools/regctl/regctl.h"

/* Scopes of options. */
enum {
    REGCTL_SCOPE_ASK = 1, /* commands of this scope are given a client */
    REGCTL_SCOPE_REGISTER = 2,
    REGCTL_SCOPE_ADMIN = 4,
    REGCTL_SCOPE_FORGET = 8,
    REGCTL_SCOPE_KEYS = 16,
    REGCTL_SCOPE_WHAT_IF = 32,
    REGCTL_SCOPE_VERIFY = 64,
    REGCTL_SCOPE_TOP = 128,
    REGCTL_SCOPE_COMPLETE = 256, /* has no options of its own */
};

struct regctl_command {
    const char *name;
    const char *arguments; /* as --help says them, "" if there are none */
    const char *help;
    regctl_run *run;
    int arguments_min;
    int arguments_max;
    uint32_t scope;
};

extern const struct regctl_command rf_regctl_commands[];
extern const size_t rf_regctl_commands_count;

/* Every option; what was given goes to rf_regctl_values. */
extern const struct rf_options rf_regctl_option_table;
extern struct regctl_options rf_regctl_values;

/* NULL: there is no such command. */
const struct regctl_command *rf_regctl_find_command(const char *name);

#endif
