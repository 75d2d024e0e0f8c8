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
    {"update", "one change of tags: how long until all know", rf_scenario_update, 1000, 20, 0},
    {"epidemic", "one change of tags while 10 % or 50 % are lost, against the analysis of SWIM",
     rf_scenario_epidemic, 1000, 200, 0},
    {"bootstrap", "all start at once and join through one: how long until all see all",
     rf_scenario_bootstrap, 1000, 3, 120},
    {"cuts", "every one-way cut of small clusters: what it does, and that it heals",
     rf_scenario_cuts, 7, 1, 90},
    {"lossy", "10 % loss while all join, and then for a day: nobody is declared failed",
     rf_scenario_lossy, 17, 1, 86400},
    {"pause", "processes are stopped for 1 to 300 s: nobody is declared failed by one that wakes",
     rf_scenario_pause, 64, 10, 0},
    {"storm", "every process starts again, its incarnation lost: how long until views are equal",
     rf_scenario_storm, 128, 20, 0},
    {"restart", "processes start again with a snapshot and no seed: how long until views are equal",
     rf_scenario_restart, 64, 10, 0},
    {"corrupt", "links change bytes of encrypted packets and streams: who believes them, who fails",
     rf_scenario_corrupt, 32, 5, 300},
    {"partition", "halves for 1 s to 30 min: how long until views are equal again",
     rf_scenario_partition, 64, 10, 0},
    {"flaky", "20 s on, 20 s off one-way loss at 1 % of the members: who is removed, how often",
     rf_scenario_flaky, 1000, 1, 1200},
    {"lossy-few", "80 % one-way loss at 1 % of the members: who is removed, how often",
     rf_scenario_lossy_few, 1000, 1, 1200},
    {"lifeguard", "1 to 32 members stall again and again: false deaths, against plain SWIM",
     rf_scenario_lifeguard, 128, 6, 120},
    {"stopped", "1 to 32 processes are stopped again and again: false deaths, against plain SWIM",
     rf_scenario_stopped, 128, 6, 120},
    {"slow16", "an eighth of all stalls for 8.2 s again and again: runs without false deaths",
     rf_scenario_slow16, 128, 100, 120},
};

const size_t rf_scenarios_count = sizeof(rf_scenarios) / sizeof(rf_scenarios[0]);
