/* SPDX-License-Identifier: MIT
 *
 * test_joiner.c - rounds of joining, with addresses that need no lookup.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/joiner.h"

#define S UINT64_C(1000000000)

static struct rf_gossip_counters counters;
static const struct rf_log no_log = {0};
static const struct rf_address own = {.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 7946};

static struct rf_serf *serf_new(void)
{
    struct rf_serf_config config;
    struct rf_serf *serf = NULL;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = "me";
    config.swim.address = (struct rf_address){.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 7946};
    assert_int_equal(rf_serf_new(&config, 7, S, &serf, NULL), 0);
    return serf;
}

static void a_join_whose_result_was_lost_is_tried_again(void **state)
{
    (void)state;
    const char *seed = "10.0.0.2:7946";
    struct rf_serf *serf = serf_new();
    struct rf_joiner joiner;
    assert_int_equal(rf_joiner_init(&joiner, &seed, 1, NULL), 0);
    rf_joiner_begin(&joiner, S, &own, &own, -1, &no_log, &counters, serf, 7);
    rf_joiner_tick(&joiner, S, serf);
    assert_int_equal(joiner.seeds[0].state, RF_SEED_JOINING);
    assert_int_equal(rf_joiner_deadline_ns(&joiner), UINT64_MAX); /* the result is waited for */
    rf_joiner_lost(&joiner, S, serf);
    assert_int_equal(joiner.seeds[0].state, RF_SEED_IDLE);
    assert_string_equal(joiner.error, "10.0.0.2:7946: out of memory");
    assert_in_range(rf_joiner_deadline_ns(&joiner), S + 1, 3 * S);
    rf_joiner_tick(&joiner, 3 * S, serf);
    assert_int_equal(joiner.rounds_count, 2);
    rf_joiner_fini(&joiner);
    rf_serf_free(serf);
}

/* ---- those that were known before a restart ---- */

/* A node that was restarted and knew so many others. */
static struct rf_serf *serf_restored(unsigned known_count)
{
    struct rf_snapshot snapshot;
    rf_snapshot_init(&snapshot, 1);
    for (unsigned i = 0; i < known_count; i++) {
        struct rf_address address = {.ip = {10, 0, 1, (uint8_t)i}, .ip_size = 4, .port = 7946};
        char name[16];
        (void)snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(rf_contacts_put(&snapshot.contacts, rf_slice_text(name), &address, true),
                         0);
    }
    struct rf_serf_config config;
    struct rf_serf *serf = NULL;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = "me";
    config.swim.address = own;
    config.restore = &snapshot;
    assert_int_equal(rf_serf_new(&config, 7, S, &serf, NULL), 0);
    rf_snapshot_fini(&snapshot);
    return serf;
}

/* Ends every exchange that is asked for, by `code`; which were called is marked. Returns how many.
 */
static size_t answer(struct rf_joiner *joiner, struct rf_serf *serf, uint64_t now_ns, int code,
                     bool called[256])
{
    size_t count = 0;
    struct rf_output output;
    uint64_t ids[RF_SWIM_EXCHANGES_MAX];
    while (rf_serf_next(serf, &output)) {
        if (output.type == RF_OUTPUT_EXCHANGE) {
            called[output.address.ip[3]] = true;
            ids[count++] = output.exchange_id;
        }
    }
    for (size_t i = 0; i < count; i++) {
        rf_serf_exchange_done(serf, now_ns, ids[i], code, NULL, NULL);
        while (rf_serf_next(serf, &output)) {
            if (output.type == RF_OUTPUT_JOIN_RESULT) {
                rf_joiner_result(joiner, now_ns, serf, &output);
            }
        }
    }
    return count;
}

static void the_known_are_called_without_any_seed_more_of_them_each_round(void **state)
{
    (void)state;
    struct rf_serf *serf = serf_restored(40);
    struct rf_joiner joiner;
    bool called[256] = {false};
    const size_t expected[] = {3, 6, 12, 16, 3};
    uint64_t now_ns = S;
    assert_int_equal(rf_joiner_init(&joiner, NULL, 0, NULL), 0);
    rf_joiner_begin(&joiner, S, &own, &own, -1, &no_log, &counters, serf, 7);
    for (size_t i = 0; i < 5; i++) {
        assert_true(rf_joiner_deadline_ns(&joiner) <= now_ns);
        rf_joiner_tick(&joiner, now_ns, serf);
        assert_int_equal(answer(&joiner, serf, now_ns, -ECONNREFUSED, called), expected[i]);
        uint64_t pause_ns = rf_joiner_deadline_ns(&joiner) - now_ns;
        assert_in_range(pause_ns, S * 3 / 4, S * 5 / 4); /* until each was tried once */
        now_ns += pause_ns;
    }
    for (unsigned i = 0; i < 40; i++) {
        assert_true(called[i]);
    }
    for (size_t i = 0; i < 8; i++) { /* for ever, at longer and longer pauses */
        rf_joiner_tick(&joiner, now_ns, serf);
        assert_true(answer(&joiner, serf, now_ns, -ECONNREFUSED, called) > 0);
        now_ns = rf_joiner_deadline_ns(&joiner);
    }
    rf_joiner_tick(&joiner, now_ns, serf);
    (void)answer(&joiner, serf, now_ns, -ECONNREFUSED, called);
    assert_in_range(rf_joiner_deadline_ns(&joiner) - now_ns, 22 * S, 38 * S);
    assert_non_null(strstr(joiner.error, "10.0.1."));
    rf_joiner_fini(&joiner);
    rf_serf_free(serf);
}

static void hear_alive(struct rf_serf *serf, uint64_t now_ns, const char *name, uint8_t last)
{
    uint8_t bytes[512];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_message message = {
        .type = RF_MESSAGE_ALIVE,
        .alive = {.incarnation = 1,
                  .node = rf_slice_text(name),
                  .address = {.ip = {10, 0, 1, last}, .ip_size = 4, .port = 7946}}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    assert_true(rf_message_encode(&message, &packer) > 0);
    rf_serf_receive(serf, now_ns, &own, bytes, packer.size);
}

static void hear_dead(struct rf_serf *serf, uint64_t now_ns, const char *name)
{
    uint8_t bytes[512];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_message message = {
        .type = RF_MESSAGE_DEAD,
        .dead = {.incarnation = 1, .node = rf_slice_text(name), .from = rf_slice_text("z")}};
    assert_true(rf_message_encode(&message, &packer) > 0);
    rf_serf_receive(serf, now_ns, &own, bytes, packer.size);
}

/* A result as the machine gives it. */
static struct rf_output result_of(uint64_t join_id, uint8_t last, int code)
{
    return (struct rf_output){
        .type = RF_OUTPUT_JOIN_RESULT,
        .join_id = join_id,
        .code = code,
        .address = {.ip = {10, 0, 1, last}, .ip_size = 4, .port = 7946},
    };
}

static void seeds_that_have_not_worked_are_tried_on_after_others_did(void **state)
{
    (void)state;
    const char *seeds[] = {"10.0.1.1:7946", "10.0.1.2:7946"};
    struct rf_serf *serf = serf_new();
    struct rf_joiner joiner;
    struct rf_output output;
    assert_int_equal(rf_joiner_init(&joiner, seeds, 2, NULL), 0);
    rf_joiner_begin(&joiner, S, &own, &own, -1, &no_log, &counters, serf, 7);
    rf_joiner_tick(&joiner, S, serf);
    hear_alive(serf, S, "n1", 1);
    output = result_of(joiner.seeds[0].join_id, 1, 0);
    rf_joiner_result(&joiner, S, serf, &output);
    output = result_of(joiner.seeds[1].join_id, 2, -ECONNREFUSED);
    rf_joiner_result(&joiner, S, serf, &output);
    assert_true(joiner.is_settled);
    uint64_t next_ns = rf_joiner_deadline_ns(&joiner);
    assert_in_range(next_ns - S, 22 * S, 38 * S);

    rf_joiner_tick(&joiner, next_ns, serf);
    assert_int_equal(joiner.seeds[0].state, RF_SEED_IDLE); /* it has worked */
    assert_int_equal(joiner.seeds[1].state, RF_SEED_JOINING);
    output = result_of(joiner.seeds[1].join_id, 2, 0);
    rf_joiner_result(&joiner, next_ns, serf, &output);
    assert_int_equal(rf_joiner_deadline_ns(&joiner), UINT64_MAX); /* all have */

    const struct rf_address first = {.ip = {10, 0, 1, 1}, .ip_size = 4, .port = 7946};
    static const struct {
        uint64_t min, max;
    } pauses_ms[] = {{750, 1250}, {750, 1250}, {1500, 2500}, {3000, 5000}};
    rf_joiner_gone(&joiner, next_ns, &first); /* soon, then less and less often */
    for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
        uint64_t pause_ns = rf_joiner_deadline_ns(&joiner) - next_ns;
        assert_in_range(pause_ns, pauses_ms[i].min * S / 1000, pauses_ms[i].max * S / 1000);
        next_ns += pause_ns;
        rf_joiner_tick(&joiner, next_ns, serf);
        assert_int_equal(joiner.seeds[0].state, RF_SEED_JOINING);
        assert_int_equal(joiner.seeds[1].state, RF_SEED_IDLE);
        output = result_of(joiner.seeds[0].join_id, 1, -ECONNREFUSED);
        rf_joiner_result(&joiner, next_ns, serf, &output);
    }
    rf_joiner_back(&joiner, &first); /* somebody else has found it */
    rf_joiner_tick(&joiner, rf_joiner_deadline_ns(&joiner), serf);
    assert_int_equal(joiner.seeds[0].state, RF_SEED_IDLE);
    assert_int_equal(rf_joiner_deadline_ns(&joiner), UINT64_MAX);
    rf_joiner_fini(&joiner);
    rf_serf_free(serf);
}

static void a_seed_whose_end_was_lost_is_tried_again(void **state)
{
    (void)state;
    const char *seeds[] = {"10.0.1.1:7946", "10.0.1.2:7946", "10.0.0.1:7946"};
    struct rf_serf *serf = serf_new();
    struct rf_joiner joiner;
    assert_int_equal(rf_joiner_init(&joiner, seeds, 3, NULL), 0);
    rf_joiner_begin(&joiner, S, &own, &own, -1, &no_log, &counters, serf, 7);
    rf_joiner_tick(&joiner, S, serf);
    for (uint8_t i = 0; i < 2; i++) {
        struct rf_output output = result_of(joiner.seeds[i].join_id, 1 + i, 0);
        hear_alive(serf, S, seeds[i], 1 + i);
        rf_joiner_result(&joiner, S, serf, &output);
    }
    assert_int_equal(rf_joiner_deadline_ns(&joiner), UINT64_MAX); /* all have worked */
    rf_joiner_lost(&joiner, S, serf);
    assert_int_equal(rf_joiner_deadline_ns(&joiner), UINT64_MAX); /* and are there */
    hear_dead(serf, S, seeds[1]);
    rf_joiner_lost(&joiner, S, serf);
    assert_in_range(rf_joiner_deadline_ns(&joiner), S + 1, 3 * S);
    rf_joiner_tick(&joiner, 3 * S, serf);
    assert_int_equal(joiner.seeds[0].state, RF_SEED_IDLE);
    assert_int_equal(joiner.seeds[1].state, RF_SEED_JOINING);
    assert_int_equal(joiner.seeds[2].state, RF_SEED_IDLE); /* it is this node */
    rf_joiner_fini(&joiner);
    rf_serf_free(serf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_whose_result_was_lost_is_tried_again),
        cmocka_unit_test(the_known_are_called_without_any_seed_more_of_them_each_round),
        cmocka_unit_test(seeds_that_have_not_worked_are_tried_on_after_others_did),
        cmocka_unit_test(a_seed_whose_end_was_lost_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
