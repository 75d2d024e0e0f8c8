/* SPDX-License-Identifier: MIT
 *
 * test_serf_nomem.c - the Serf machine when memory runs out, at each allocation in turn.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/serf_private.h"
#include "tests/support/failing_alloc.h"

#define S UINT64_C(1000000000)

static const struct rf_address here = {.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 7946};
static const struct rf_address there = {.ip = {10, 0, 0, 2}, .ip_size = 4, .port = 7946};

static struct rf_serf *start(void)
{
    struct rf_serf *serf = NULL;
    struct rf_serf_config config;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = "me";
    config.swim.address = here;
    assert_int_equal(rf_serf_new(&config, 9, S, &serf, NULL), 0);
    return serf;
}

/* What was said in packets: an intent of ours, that we are dead by our own word, and the question
 * whose our name is; and that it is not ours. */
static bool has_said_intent;
static bool has_said_dead;
static bool has_asked_for_name;
static bool has_lost_name;

static bool has_text(const struct rf_output *output, const char *text)
{
    return memmem(output->bytes, output->bytes_size, text, strlen(text)) != NULL;
}

static void take_outputs(struct rf_serf *serf)
{
    struct rf_output output;
    while (rf_serf_next(serf, &output)) {
        if (output.type == RF_OUTPUT_PACKET) {
            has_said_intent |= has_text(&output, "LTime");
            has_said_dead |= has_text(&output, "\xa4"
                                               "Node\xa2me") &&
                             has_text(&output, "\xa4"
                                               "From\xa2me");
            has_asked_for_name |= has_text(&output, "_serf_conflict");
        }
        has_lost_name |= output.type == RF_OUTPUT_NAME_LOST;
    }
    rf_serf_check(serf);
}

static void pass(struct rf_serf *serf, uint64_t until_ns)
{
    for (uint64_t now_ns; (now_ns = rf_serf_deadline_ns(serf)) <= until_ns;) {
        rf_serf_tick(serf, now_ns > serf->now_ns ? now_ns : serf->now_ns);
        take_outputs(serf);
    }
}

static void hear_alive_of(struct rf_serf *serf, const char *name, uint32_t incarnation,
                          const char *meta)
{
    uint8_t bytes[256];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_message message = {.type = RF_MESSAGE_ALIVE,
                                 .alive = {.incarnation = incarnation,
                                           .node = rf_slice_text(name),
                                           .address = there,
                                           .meta = rf_slice_text(meta)}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    assert_true(rf_message_encode(&message, &packer) > 0);
    rf_serf_receive(serf, serf->now_ns, &there, bytes, packer.size);
}

static void hear_alive(struct rf_serf *serf, uint32_t incarnation, const char *meta)
{
    hear_alive_of(serf, "a", incarnation, meta);
}

static void hear_dead(struct rf_serf *serf, const char *name)
{
    uint8_t bytes[256];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_message message = {
        .type = RF_MESSAGE_DEAD,
        .dead = {.incarnation = 1, .node = rf_slice_text(name), .from = rf_slice_text("z")}};
    assert_true(rf_message_encode(&message, &packer) > 0);
    rf_serf_receive(serf, serf->now_ns, &there, bytes, packer.size);
}

/* Gossip comes more than once, and what is heard again is no news to the SWIM machine. */
static void what_a_node_says_is_known_of_the_member_when_there_is_memory_again(void **state)
{
    (void)state;
    for (uint32_t known = 0; known <= 1; known++) {
        bool has_failed = true;
        for (size_t number = 1; has_failed; number++) {
            struct rf_serf *serf = start();
            if (known > 0) {
                hear_alive(serf, known, "old");
            }
            take_outputs(serf);
            failing_alloc_in = number;
            hear_alive(serf, known + 1, "new");
            has_failed = failing_alloc_in == 0;
            failing_alloc_in = 0;
            take_outputs(serf);
            hear_alive(serf, known + 1, "new");
            pass(serf, serf->now_ns + 2 * S);
            struct rf_serf_member_view member;
            assert_true(rf_serf_member_find(serf, "a", 1, &member));
            assert_int_equal(member.status, RF_SERF_ALIVE);
            assert_int_equal(member.meta_size, 3);
            assert_memory_equal(member.meta, "new", 3);
            rf_serf_free(serf);
        }
    }
}

static size_t make_state(uint8_t *bytes, size_t size)
{
    struct rf_packer packer = rf_packer(bytes, size);
    struct rf_serf_push_pull_writer writer;
    rf_serf_push_pull_begin(&writer, &packer, 40, 1, 1, 0);
    rf_serf_push_pull_left_members(&writer, 1);
    rf_serf_push_pull_left_member(&writer, rf_slice_text("a"));
    rf_serf_push_pull_status_ltimes(&writer, 1);
    rf_serf_push_pull_status_ltime(&writer, rf_slice_text("a"), 9);
    assert_true(rf_serf_push_pull_end(&writer) > 0);
    return packer.size;
}

static void who_has_left_elsewhere_is_never_taken_for_one_that_joins(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct rf_slice body = rf_slice(bytes, make_state(bytes, sizeof(bytes)));
    struct rf_stream_message message = {.type = RF_MESSAGE_PUSH_PULL,
                                        .push_pull = {.user_state = body}};
    bool has_failed = true;
    for (size_t number = 1; has_failed; number++) {
        struct rf_serf *serf = start();
        const uint8_t *reply = NULL;
        size_t reply_size = 0;
        take_outputs(serf);
        failing_alloc_in = number;
        (void)rf_serf_accept(serf, serf->now_ns, &there, &message, &reply, &reply_size);
        has_failed = failing_alloc_in == 0;
        failing_alloc_in = 0;
        const struct rf_intent *intent =
            (struct rf_intent *)rf_name_table_find(&serf->intents, rf_slice_text("a"));
        assert_true(intent == NULL ? has_failed : intent->is_leave);
        rf_serf_free(serf);
    }
}

static void hear_leave(struct rf_serf *serf, const char *name)
{
    uint8_t bytes[256] = {RF_MESSAGE_USER};
    struct rf_packer packer = rf_packer(bytes + 1, sizeof(bytes) - 1);
    struct rf_serf_message message = {
        .type = RF_SERF_LEAVE, .leave = {.ltime = 9, .node = rf_slice_text(name), .prune = true}};
    assert_true(rf_serf_message_encode(&message, &packer) > 0);
    rf_serf_receive(serf, serf->now_ns, &there, bytes, 1 + packer.size);
}

static struct rf_serf *start_with_another(void)
{
    struct rf_serf *serf = start();
    hear_alive(serf, 1, "old");
    pass(serf, 3 * S); /* all that is news is told */
    has_said_intent = false;
    has_said_dead = false;
    has_asked_for_name = false;
    has_lost_name = false;
    return serf;
}

/* Who is told to prune us does so, if it does not hear of us within six seconds. */
static void that_we_are_here_is_said_against_a_leave_when_there_is_memory_again(void **state)
{
    (void)state;
    bool has_failed = true;
    for (size_t number = 1; has_failed; number++) {
        struct rf_serf *serf = start_with_another();
        failing_alloc_in = number;
        hear_leave(serf, "me");
        has_failed = failing_alloc_in == 0;
        failing_alloc_in = 0;
        take_outputs(serf);
        assert_true(serf->stats.refuted_leaves == 1 || has_failed); /* gossip says it again */
        if (serf->stats.refuted_leaves == 1) {
            pass(serf, serf->now_ns + 2 * S);
            assert_true(has_said_intent);
        }
        rf_serf_free(serf);
    }
}

static void who_leaves_says_so_when_there_is_memory_again(void **state)
{
    (void)state;
    for (int step = 0; step <= 1; step++) {
        bool has_failed = true;
        for (size_t number = 1; has_failed; number++) {
            struct rf_serf *serf = start_with_another();
            failing_alloc_in = step == 0 ? number : 0;
            assert_int_equal(rf_serf_leave(serf, serf->now_ns, NULL), 0);
            while (step == 1 && serf->leave_step == RF_LEAVE_INTENT) {
                take_outputs(serf);
                failing_alloc_in = number;
                rf_serf_tick(serf, rf_serf_deadline_ns(serf));
            }
            has_failed = failing_alloc_in == 0;
            failing_alloc_in = 0;
            take_outputs(serf);
            pass(serf, serf->now_ns + 20 * S);
            assert_int_equal(serf->leave_step, RF_LEAVE_DONE);
            assert_true(has_said_intent && has_said_dead);
            rf_serf_free(serf);
        }
    }
}

static void who_has_another_forgotten_hears_if_the_others_are_not_told(void **state)
{
    (void)state;
    bool has_failed = true;
    for (size_t number = 1; has_failed; number++) {
        struct rf_serf *serf = start_with_another();
        hear_dead(serf, "a");
        hear_alive_of(serf, "b", 1, "");
        pass(serf, 6 * S);
        has_said_intent = false;
        failing_alloc_in = number;
        int code = rf_serf_forget(serf, serf->now_ns, "a", true, NULL);
        has_failed = failing_alloc_in == 0;
        failing_alloc_in = 0;
        take_outputs(serf);
        if (code != 0) {
            assert_int_equal(code, -ENOMEM);
            assert_int_equal(rf_serf_forget_state(serf), RF_SERF_FORGET_SPREAD);
            assert_int_equal(rf_serf_forget(serf, serf->now_ns, "a", true, NULL), 0);
        }
        pass(serf, serf->now_ns + 2 * S);
        assert_true(has_said_intent);
        rf_serf_free(serf);
    }
}

/* Nobody can have answered a question that was not asked. */
static void a_name_is_not_lost_by_a_vote_that_there_was_no_memory_to_call(void **state)
{
    (void)state;
    bool has_failed = true;
    for (size_t number = 1; has_failed; number++) {
        struct rf_serf *serf = start_with_another();
        failing_alloc_in = number;
        hear_alive_of(serf, "me", 1, "");
        has_failed = failing_alloc_in == 0;
        failing_alloc_in = 0;
        take_outputs(serf);
        pass(serf, serf->now_ns + 10 * S);
        assert_true(has_asked_for_name || !has_lost_name);
        assert_true(has_lost_name || has_failed);
        has_lost_name = false;
        hear_alive_of(serf, "me", 1, "");
        take_outputs(serf);
        pass(serf, serf->now_ns + 10 * S);
        assert_true(has_asked_for_name && has_lost_name); /* nobody has answered */
        rf_serf_free(serf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_node_says_is_known_of_the_member_when_there_is_memory_again),
        cmocka_unit_test(who_has_left_elsewhere_is_never_taken_for_one_that_joins),
        cmocka_unit_test(that_we_are_here_is_said_against_a_leave_when_there_is_memory_again),
        cmocka_unit_test(who_leaves_says_so_when_there_is_memory_again),
        cmocka_unit_test(who_has_another_forgotten_hears_if_the_others_are_not_told),
        cmocka_unit_test(a_name_is_not_lost_by_a_vote_that_there_was_no_memory_to_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
