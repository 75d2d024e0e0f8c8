/* SPDX-License-Identifier: MIT
 *
 * scenarios.h - the functions of scenarios.c's list.
 */
#ifndef RF_TESTS_SIM_SCENARIOS_H
#define RF_TESTS_SIM_SCENARIOS_H

#include "tests/sim/scenario.h"

void rf_scenario_steady(struct rf_run *run);
void rf_scenario_crash(struct rf_run *run);
void rf_scenario_update(struct rf_run *run);
void rf_scenario_epidemic(struct rf_run *run);
void rf_scenario_bootstrap(struct rf_run *run);
void rf_scenario_cuts(struct rf_run *run);
void rf_scenario_lossy(struct rf_run *run);
void rf_scenario_pause(struct rf_run *run);
void rf_scenario_storm(struct rf_run *run);
void rf_scenario_restart(struct rf_run *run);
void rf_scenario_corrupt(struct rf_run *run);
void rf_scenario_partition(struct rf_run *run);
void rf_scenario_flaky(struct rf_run *run);
void rf_scenario_lossy_few(struct rf_run *run);
void rf_scenario_lifeguard(struct rf_run *run);
void rf_scenario_stopped(struct rf_run *run);
void rf_scenario_slow16(struct rf_run *run);

#endif
