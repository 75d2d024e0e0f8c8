/* SPDX-License-Identifier: MIT
 *
 * ask.h - opening a client as the options say.
 */
#ifndef RF_TOOLS_REGCTL_ASK_H
#define RF_TOOLS_REGCTL_ASK_H

#include "tools/regctl/regctl.h"

/* Returns REGCTL_OK, or another exit code and has said why. Nothing is connected yet. */
int rf_regctl_open(const struct regctl_options *options, struct regfast_client **ret_client);

#endif
