/* SPDX-License-Identifier: MIT
 *
 * random.h - seeded pseudo-random numbers for machines and tests: same seed, same run.
 *
 * Method: SplitMix64 ("Fast Splittable Pseudorandom Number Generators", OOPSLA 2014). Not for
 * secrets: nonces come from the operating system.
 */
#ifndef RF_CORE_RANDOM_H
#define RF_CORE_RANDOM_H

#include <stdint.h>

struct rf_random {
    uint64_t state; /* any value is a seed */
};

static inline uint64_t rf_random_next(struct rf_random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Uniform in [0, bound), `bound` >= 1, by multiplication: a bias below bound / 2^64. */
static inline uint64_t rf_random_below(struct rf_random *random, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)rf_random_next(random) * bound) >> 64);
}

#endif
