/* SPDX-License-Identifier: MIT
 *
 * counters.h - all that a registry counts, and what each number means: `registry -counters`.
 */
#ifndef RF_TOOLS_REGISTRY_COUNTERS_H
#define RF_TOOLS_REGISTRY_COUNTERS_H

#include <stdio.h>

/* NAME, KIND, UNIT and MEANING of each counter with tabs between, in the order of INFO. */
void rf_registry_print_counters(FILE *stream);

#endif
