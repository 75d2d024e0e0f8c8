/* SPDX-License-Identifier: MIT
 *
 * lookups_truth.h - what the registries of the soak of lookups have answered, by registry and
 * version, and whether other answers are the same.
 *
 * A thread for each registry reads its members all the time and keeps who was in the ring. Answers
 * to be checked are kept for a while before that, since they may be there first. A registry counts
 * versions anew each time it is begun, so the run counts too.
 */
#ifndef RF_TESTS_SOAK_LOOKUPS_TRUTH_H
#define RF_TESTS_SOAK_LOOKUPS_TRUTH_H

#include <stdint.h>

enum { ANSWERS_MAX = 64 };

/* Owners of the keys first_key, first_key + 1 ..., each 8 bytes as this machine has them. */
struct answers {
    int registry;
    uint64_t version;
    /* The registry said so between these, by now_ms. */
    uint64_t said_after_ms, said_before_ms;
    uint64_t first_key;
    uint8_t owners[ANSWERS_MAX];
};

struct truth_counts {
    uint64_t versions; /* that registries were seen to have */
    uint64_t equal;    /* answers */
    uint64_t wrong;
    uint64_t unknown; /* nobody has seen that version */
};

void truth_begin(void);
/* Copies. Waits while there are too many to be checked. Threads: any. */
void truth_check(const struct answers *answers);
/* Checks what is left. */
struct truth_counts truth_end(void);

#endif
