/* SPDX-License-Identifier: MIT
 *
 * scenarios.c - the list of scenarios; each is in a file of its own.
 */
#include "tests/sim/scenarios.h"

const struct rf_scenario rf_scenarios[] = {
    {"steady", "ten crashes among members at rest: what a node sends, and how fast this runs",
     rf_scenario_steady, 1000, 1, 600},
    {"crash", "one crash: how long until it is declared and until all know", rf_scenario_crash, 128,
     100, 0},
    {"update", "one change of tags: how long until all know, also with 10 % and 50 % loss",
     rf_scenario_update, 1000, 20, 0},
    {"bootstrap", "all start at once and join through one: how long until all see all",
     rf_scenario_bootstrap, 1000, 3, 120},
    {"cuts", "every one-way cut of small clusters: what it does, and that it heals",
     rf_scenario_cuts, 7, 1, 90},
};

const size_t rf_scenarios_count = sizeof(rf_scenarios) / sizeof(rf_scenarios[0]);
