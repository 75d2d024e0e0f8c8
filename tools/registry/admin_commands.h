/* SPDX-License-Identifier: MIT
 *
 * admin_commands.h - what may be asked at the registry's admin socket. One table: a new command is
 * a row in admin_commands.c, a section in ADMIN.md and a command of regctl.
 */
#ifndef RF_TOOLS_REGISTRY_ADMIN_COMMANDS_H
#define RF_TOOLS_REGISTRY_ADMIN_COMMANDS_H

#include "tools/registry/admin.h"

/* Their context is the node: a struct rf_gossip. */
extern const struct rf_admin_command rf_admin_commands[];
extern const size_t rf_admin_commands_count;

rf_admin_run rf_admin_keys; /* admin_keys.c */

#endif
