/* SPDX-License-Identifier: MIT
 *
 * test_replay.c - nonces that were seen are known for as long as promised, in bounded memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/replay.h"

enum { ENTRIES = 1024 };

static bool see(struct rf_replay *replay, uint64_t number)
{
    uint8_t nonce[RF_NONCE_SIZE] = {0};
    memcpy(nonce, &number, sizeof(number));
    return rf_replay_is_new(replay, nonce);
}

static void a_nonce_is_new_once(void **state)
{
    (void)state;
    struct rf_replay replay;
    rf_replay_init(&replay, ENTRIES, 7);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        assert_true(see(&replay, i));
        assert_false(see(&replay, i));
    }
    rf_replay_fini(&replay);
}

static void the_last_nonces_are_always_known(void **state)
{
    (void)state;
    struct rf_replay replay;
    rf_replay_init(&replay, ENTRIES, 7);
    for (uint64_t i = 0; i < 10 * ENTRIES; i++) {
        assert_true(see(&replay, i));
        uint64_t oldest = i < ENTRIES ? 0 : i - ENTRIES + 1;
        assert_false(see(&replay, oldest));
        assert_false(see(&replay, oldest + (i - oldest) / 2));
    }
    rf_replay_fini(&replay);
}

static void what_is_twice_as_old_is_forgotten_and_memory_stays(void **state)
{
    (void)state;
    struct rf_replay replay;
    rf_replay_init(&replay, ENTRIES, 7);
    for (uint64_t i = 0; i < 100 * ENTRIES; i++) {
        assert_true(see(&replay, i));
        assert_true(replay.counts[0] <= ENTRIES && replay.counts[1] <= ENTRIES);
    }
    assert_true(see(&replay, 0));
    rf_replay_fini(&replay);
    rf_replay_fini(&replay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nonce_is_new_once),
        cmocka_unit_test(the_last_nonces_are_always_known),
        cmocka_unit_test(what_is_twice_as_old_is_forgotten_and_memory_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
