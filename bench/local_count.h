/* SPDX-License-Identifier: MIT
 *
 * local_count.h - counts the system calls and the allocations of one thread.
 *
 * Allocations by the program's own malloc and its kin, which the shared libraries call too. System
 * calls by a seccomp filter of the thread, under which each one becomes a signal: nothing is missed
 * or sampled, and a loop that makes none runs as fast as ever. What the vDSO answers is none.
 */
#ifndef RF_BENCH_LOCAL_COUNT_H
#define RF_BENCH_LOCAL_COUNT_H

#include <stdbool.h>
#include <stdint.h>

struct local_counts {
    bool is_counted; /* not where there is no seccomp, nor in a sanitizer's build */
    uint64_t system_calls;
    uint64_t allocations;
};

/*
 * Calls `run` with `user` in a new thread, and counts what it does. Before that, it must count a
 * system call and an allocation that are made on purpose; aborts if not.
 */
struct local_counts local_count(void (*run)(void *user), void *user);

#endif
