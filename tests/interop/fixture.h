/* SPDX-License-Identifier: MIT
 *
 * fixture.h - real programs for the interop scenarios: starts them, watches them, ends them, and
 * shows their logs when a scenario fails.
 *
 * Everything runs on a loopback address and in a temporary directory of its own, so that tests run
 * side by side. Whatever is still there at the end is killed by its process id, also if the test
 * itself dies.
 */
#ifndef RF_TESTS_INTEROP_FIXTURE_H
#define RF_TESTS_INTEROP_FIXTURE_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/log.h"

enum {
    FIXTURE_PROCESSES_MAX = 32,
    FIXTURE_ARGUMENTS_MAX = 40,
    FIXTURE_TEXT_SIZE = 192,
    FIXTURE_SOON_MS = 10000,
    FIXTURE_EVENTUALLY_MS = 60000
};

/* A program that runs beside the test. */
struct process {
    char name[64];
    pid_t pid; /* 0: not running */
    char log_path[FIXTURE_TEXT_SIZE];
};

/* A `serf agent`. */
struct agent {
    struct process *process;
    char name[64];
    char address[64]; /* HOST:PORT of its gossip */
    char rpc[64];     /* HOST:PORT for `serf ... -rpc-addr` */
};

/*
 * A test: SCENARIO(a_sentence) { ... }, listed as scenario_test(a_sentence). Around it a directory
 * and a loopback address are made; afterwards what runs is killed, the logs are printed if it
 * failed, and the directory is removed.
 */
#define SCENARIO(name)              \
    static void name##_steps(void); \
    static void name(void **state)  \
    {                               \
        (void)state;                \
        name##_steps();             \
        fixture_passed();           \
    }                               \
    static void name##_steps(void)
#define scenario_test(name) cmocka_unit_test_setup_teardown(name, fixture_begin, fixture_end)
int fixture_begin(void **state);
int fixture_end(void **state);
void fixture_passed(void);

/*
 * Called when the scenario has ended, also in the middle by a failed assertion; the last one given
 * first. What it needs must not lie on the stack of the scenario. Once for each scenario.
 */
void fixture_at_end(void (*end)(void));

/* Ends the program with 77 if `serf` is not installed. First in main. */
void fixture_need_serf(void);

/* "127.x.y.z", this test's own. */
const char *fixture_host(void);

/* A port on that address that is free now for UDP and TCP. */
uint16_t fixture_port(void);
/* The same on every address of the machine. */
uint16_t fixture_port_of_all(void);

/* A file name in the temporary directory. Lifetime: static, the next 8 calls'. */
const char *fixture_path(const char *name);

/* A sink for the driver's log: every line goes to the file NAME.log. */
struct rf_log fixture_log(const char *name);

uint64_t now_ms(void);
void sleep_ms(unsigned ms);

/* Starts a program; its output goes to NAME.log. Arguments end with NULL. */
struct process *process_start(const char *name, const char *const *arguments);
void process_signal(struct process *process, int signal_number);
/* SIGKILL, and waits: no word of farewell. */
void process_kill(struct process *process);
/* Waits; returns the exit status, or -1 if a signal ended it, or -2 if it still runs then. */
int process_wait(struct process *process, unsigned timeout_ms);
bool process_is_running(struct process *process);
/* How often `text` is in its log. */
size_t log_count(const char *name, const char *text);

/* Runs a program to its end, at most `timeout_ms`; returns its exit status (-1: killed by the
 * time limit) and its standard output and error, to be freed. Arguments end with NULL. */
int run(unsigned timeout_ms, char **ret_output, const char *const *arguments);

/*
 * Starts `serf agent` with these further arguments (NULL at the end), at log level info, and waits
 * until its RPC answers. `address` and `rpc` of a stopped agent may be used again: agent_restart.
 */
struct agent agent_start(const char *name, const char *const *arguments);
void agent_restart(struct agent *agent, const char *const *arguments);
/* As the operator's Ctrl-C: it leaves the cluster, then ends. */
void agent_stop_gracefully(struct agent *agent);
void agent_kill(struct agent *agent);
/* `serf COMMAND... -rpc-addr=...`; the exit status is asserted 0. The output is freed by the
 * caller. */
char *agent_run(const struct agent *agent, const char *const *arguments);
/* `serf members` has NAME in this state ("alive", "leaving", "left", "failed"; NULL: any). */
bool agent_sees(const struct agent *agent, const char *name, const char *state);
/* ... and the tag has that value. */
bool agent_sees_tag(const struct agent *agent, const char *name, const char *tag,
                    const char *value);
size_t agent_members_count(const struct agent *agent, const char *state);
/* Lines with [WARN] or [ERR] in its log, but for those about `serf` commands that talk to it. */
size_t agent_warnings_count(const struct agent *agent);

/*
 * Until one of so many members that is killed has failed for the others, in ms. serf-wire.md,
 * section 12: with n nodes the suspicion timer starts at 24 s, or at 4 s where nobody can confirm
 * (n < 4); before it, each of n - 1 others has its turn to be probed, a second each, and a probe
 * takes one second times the health score. And a moment (assert_soon) on top.
 */
unsigned failure_bound_ms(unsigned members);

/* What a cluster looks like at the moment. */
struct quiet_look {
    bool is_whole;     /* everybody sees everybody alive */
    size_t complaints; /* warnings and the like, since the start */
};

/*
 * Fails unless there is a minute in which each look, every five seconds, finds the cluster whole
 * and without a complaint since the start. Where it is not so, and this process itself was kept
 * from running for so long that others could not have been answered in time, another minute is
 * tried, three in all.
 */
void assert_quiet_minute(struct quiet_look (*look)(void *context), void *context);

/* Fails, showing all of `output`, unless `text` is in it. */
void assert_contains(const char *output, const char *text);

#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_ARGUMENTS ((const char *const[]){NULL})

/* Waits for `condition` and fails with its text when it has not come true in time. */
#define assert_within_ms(limit_ms, condition)                                       \
    do {                                                                            \
        uint64_t deadline_ms_ = now_ms() + (limit_ms);                              \
        while (!(condition)) {                                                      \
            if (now_ms() > deadline_ms_) {                                          \
                fail_msg("not within %u ms: %s", (unsigned)(limit_ms), #condition); \
            }                                                                       \
            sleep_ms(20);                                                           \
        }                                                                           \
    } while (0)

/* For what takes a moment, on a machine that does other things; less than between push/pulls. */
#define assert_soon(condition) assert_within_ms(FIXTURE_SOON_MS, condition)

/* For what may take a push/pull, half a minute apart: gossip, sent a few times to nodes chosen at
 * random, misses one of five or more now and then. */
#define assert_eventually(condition) assert_within_ms(FIXTURE_EVENTUALLY_MS, condition)

#endif
