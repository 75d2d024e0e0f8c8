/* SPDX-License-Identifier: MIT
 *
 * replay.h - which nonces were seen: an encrypted message that comes a second time is a replay, or
 * a duplicate that the network made, and either may be dropped.
 *
 * Two sets of fixed size; when the newer one is full the older one is emptied and becomes the
 * newer. So the last `entries_max` nonces are always known, and at most twice as many. What was
 * recorded before that and is sent again is taken: Serf's messages have no time in them by which to
 * tell, but incarnations and Lamport times make old news ineffective.
 *
 * Only nonces of messages that a key has opened belong here: others could be made up by anybody.
 * Nonces are kept as fingerprints of 64 bits under a seed; two that agree by chance, which with
 * 131 072 of them happens once in 10^14 messages, cost one message.
 */
#ifndef RF_GOSSIP_REPLAY_H
#define RF_GOSSIP_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gossip/crypt.h"

enum {
    RF_REPLAY_PACKETS_MAX = 65536, /* 2 MiB for both sets: an hour of an ordinary node, and seconds
                                      of one that gets 10 000 packets in each */
    RF_REPLAY_STREAMS_MAX = 4096,  /* 128 KiB: a day of push/pulls */
};

struct rf_replay {
    uint64_t *sets[2]; /* 2 * entries_max slots each, 0: free; NULL before the first nonce */
    size_t counts[2];
    int newer;
    size_t entries_max;
    uint64_t seed;
};

/* `entries_max` is a power of two. No memory yet. */
void rf_replay_init(struct rf_replay *replay, size_t entries_max, uint64_t seed);
void rf_replay_fini(struct rf_replay *replay); /* allowed if zeroed */

/* Remembers the nonce. False: it was there already. Without memory everything is new. O(1). */
bool rf_replay_is_new(struct rf_replay *replay, const uint8_t nonce[RF_NONCE_SIZE]);

#endif
