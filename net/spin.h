/* SPDX-License-Identifier: MIT
 *
 * spin.h - how long a worker polls before it blocks.
 *
 * To be woken costs tens of microseconds, to find bytes while polling less than one; but polling
 * takes a core. Adaptive: only as long as requests come so closely that most waits are shorter than
 * what waking up costs. A pure machine: the worker tells how long it waited for requests.
 */
#ifndef RF_NET_SPIN_H
#define RF_NET_SPIN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    /* Polling at most so long, and only while the mean wait is shorter: about what a blocking
     * request and its reply take between two processes (57 us measured), and as much again for
     * slower machines. One client that waits for each reply makes a worker poll; one request in a
     * hundred microseconds does not. */
    RF_SPIN_ADAPTIVE_NS = 100 * 1000,
    /* A longer wait counts as this: one of them is enough to end polling, some ten short ones to
     * begin again. */
    RF_SPIN_GAP_NS_MAX = 1000 * 1000,
    RF_SPIN_WEIGHT = 8, /* of what was so far against one wait: the mean is of about so many */
};

struct rf_spin {
    bool is_adaptive;
    uint64_t limit_ns; /* 0: never */
    uint64_t gap_ns;   /* adaptive: the mean wait */
};

/* `busy_poll_us`: as in struct rf_server_config. */
void rf_spin_init(struct rf_spin *spin, uint32_t busy_poll_us);

/* How long after the last request to poll for the next one; 0: block at once. */
static inline uint64_t rf_spin_ns(const struct rf_spin *spin)
{
    return spin->gap_ns <= RF_SPIN_ADAPTIVE_NS ? spin->limit_ns : 0;
}

/* Requests have come, `gap_ns` after those before were answered. */
void rf_spin_waited(struct rf_spin *spin, uint64_t gap_ns);

/* Lets the core's other thread have what polling would take. */
static inline void rf_spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" : : : "memory"); /* `yield` is nothing on most of them */
#endif
}

#endif
