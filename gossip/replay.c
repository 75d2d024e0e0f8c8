/* SPDX-License-Identifier: MIT
 */
#include "gossip/replay.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/name_table.h"

void rf_replay_init(struct rf_replay *replay, size_t entries_max, uint64_t seed)
{
    RF_ASSERT(entries_max > 0 && (entries_max & (entries_max - 1)) == 0);
    *replay = (struct rf_replay){.entries_max = entries_max, .seed = seed};
}

void rf_replay_fini(struct rf_replay *replay)
{
    free(replay->sets[0]);
    free(replay->sets[1]);
    *replay = (struct rf_replay){0};
}

static bool allocate(struct rf_replay *replay)
{
    for (int i = 0; i < 2; i++) {
        if (replay->sets[i] == NULL) {
            replay->sets[i] = calloc(2 * replay->entries_max, sizeof(uint64_t));
        }
    }
    return replay->sets[0] != NULL && replay->sets[1] != NULL;
}

/* Where the fingerprint is, or the free slot where it would be: sets are at most half full. */
static uint64_t *find(const struct rf_replay *replay, int set, uint64_t fingerprint)
{
    size_t mask = 2 * replay->entries_max - 1;
    size_t slot = fingerprint & mask;
    while (replay->sets[set][slot] != 0 && replay->sets[set][slot] != fingerprint) {
        slot = (slot + 1) & mask;
    }
    return &replay->sets[set][slot];
}

bool rf_replay_is_new(struct rf_replay *replay, const uint8_t nonce[RF_NONCE_SIZE])
{
    if (!allocate(replay)) {
        return true;
    }
    uint64_t fingerprint = rf_name_hash(replay->seed, rf_slice(nonce, RF_NONCE_SIZE));
    fingerprint = fingerprint == 0 ? 1 : fingerprint;
    if (*find(replay, 1 - replay->newer, fingerprint) == fingerprint ||
        *find(replay, replay->newer, fingerprint) == fingerprint) {
        return false;
    }
    if (replay->counts[replay->newer] == replay->entries_max) {
        replay->newer = 1 - replay->newer;
        replay->counts[replay->newer] = 0;
        memset(replay->sets[replay->newer], 0, 2 * replay->entries_max * sizeof(uint64_t));
    }
    *find(replay, replay->newer, fingerprint) = fingerprint;
    replay->counts[replay->newer]++;
    return true;
}
