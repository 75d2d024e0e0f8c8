/* SPDX-License-Identifier: MIT
 *
 * scenarios.c - the list of scenarios; each is in a file of its own.
 */
#include "tests/sim/scenarios.h"

const struct rf_scenario rf_scenarios[] = {
    {"steady", "ten crashes among members at rest: what a node sends, and how fast this runs",
     rf_scenario_steady, 1000, 1, 600},
};

const size_t rf_scenarios_count = sizeof(rf_scenarios) / sizeof(rf_scenarios[0]);
