/* SPDX-License-Identifier: MIT
 *
 * scenario.h - what regsim can run. A scenario is a function in a file of its own, scenario_*.c,
 * and a line in scenarios.c. It runs its simulations one after the other, each from a seed of its
 * own, and puts figures with their aims into run->report.
 */
#ifndef RF_TESTS_SIM_SCENARIO_H
#define RF_TESTS_SIM_SCENARIO_H

#include "tests/sim/report.h"
#include "tests/sim/sim.h"

struct rf_run;

struct rf_scenario {
    const char *name; /* of a-z and - */
    const char *what; /* a sentence */
    void (*run)(struct rf_run *run);
    /* What --members, --seeds and --duration are if not given; 0: that option means nothing here.
     */
    size_t members;
    size_t seeds;
    uint64_t duration_s;
};

extern const struct rf_scenario rf_scenarios[];
extern const size_t rf_scenarios_count;

const struct rf_scenario *rf_scenario_find(const char *name); /* NULL: none */

struct rf_run {
    const struct rf_scenario *scenario;
    size_t members;
    bool has_members; /* --members was given: scenarios of several sizes run that one only */
    size_t seeds;
    uint64_t seed; /* the first; the others follow */
    uint64_t duration_ns;
    bool has_progress;
    struct rf_report report;
    /* sums over all simulations, kept by rf_run_end */
    double virtual_s;
    double node_hours;
    uint64_t events;
    uint64_t trace;
    int64_t blocks; /* held when the simulation began */
};

/* The seed of simulation `i` of the run. */
uint64_t rf_run_seed(const struct rf_run *run, size_t i);

/* Starts a simulation with that seed (LAN defaults, fast and perfect network). */
void rf_run_begin(struct rf_run *run, struct rf_sim *sim, uint64_t seed);

/* Ends it: sums up, frees, and asserts that all memory came back; what a scenario allocates for
 * itself between the two, it frees between them, but for samples and the report. */
void rf_run_end(struct rf_run *run, struct rf_sim *sim);

/* A line on the terminal, in place of the one before: "done/all text". */
__attribute__((format(printf, 4, 5))) void rf_run_progress(const struct rf_run *run, size_t done,
                                                           size_t all, const char *format, ...);

/* Figures: "what" is formatted. */
#define rf_run_figure(run, value, unit, ...) \
    rf_report_row(&(run)->report, value, unit, RF_AIM_NONE, 0, __VA_ARGS__)
#define rf_run_at_most(run, value, unit, bound, ...) \
    rf_report_row(&(run)->report, value, unit, RF_AIM_AT_MOST, bound, __VA_ARGS__)
#define rf_run_at_least(run, value, unit, bound, ...) \
    rf_report_row(&(run)->report, value, unit, RF_AIM_AT_LEAST, bound, __VA_ARGS__)

/* ---- what many scenarios begin or end with ---- */

/* `count` nodes that have known each other for a while, their timers at random phases. */
void rf_run_formed(struct rf_sim *sim, size_t count);

/*
 * The healing phase: faults end, pauses too, and all views must become equal. Returns the seconds
 * it took, INFINITY: not within `limit_ns`. Ends with a checkpoint.
 */
double rf_run_heal(struct rf_sim *sim, uint64_t limit_ns);

#endif
