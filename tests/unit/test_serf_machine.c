/* SPDX-License-Identifier: MIT
 *
 * test_serf_machine.c - the Serf machine, one test for each numbered rule of 19 to 27.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/serf_private.h"

#define S UINT64_C(1000000000)

static struct rf_serf *serf;
static uint64_t now_ns;
static const struct rf_address anywhere = {.ip = {10, 0, 0, 250}, .ip_size = 4, .port = 1};

static struct rf_address address_of(const char *name)
{
    return (struct rf_address){.ip = {10, 0, 0, (uint8_t)name[0]}, .ip_size = 4, .port = 7946};
}

static int setup(void **state)
{
    (void)state;
    static const uint8_t meta[] = {0xff, 0x82, 0xa5, 'g', 'r', 'o', 'u', 'p',  0xa3, 'w', 'e',
                                   'b',  0xa5, 'p',  'a', 'r', 'e', 'n', 0xa2, 'w',  ')'};
    struct rf_serf_config config;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = "me";
    config.swim.address = address_of("m");
    config.swim.meta = meta;
    config.swim.meta_size = sizeof(meta);
    config.intents_max = 4;
    now_ns = S;
    return rf_serf_new(&config, 9, now_ns, &serf, NULL);
}

static int teardown(void **state)
{
    (void)state;
    rf_serf_free(serf);
    return 0;
}

/* Forgets the outputs up to now, and returns how many were of that type. */
static size_t drain(enum rf_output_type type)
{
    size_t count = 0;
    struct rf_output output;
    while (rf_serf_next(serf, &output)) {
        count += output.type == type;
    }
    rf_serf_check(serf);
    return count;
}

/* Lets time pass as a driver does, tick by tick; returns how many outputs were of that type. */
static size_t wait_until(uint64_t until_ns, enum rf_output_type type)
{
    size_t count = 0;
    while (rf_serf_deadline_ns(serf) <= until_ns) {
        uint64_t deadline_ns = rf_serf_deadline_ns(serf);
        now_ns = deadline_ns > now_ns ? deadline_ns : now_ns;
        rf_serf_tick(serf, now_ns);
        count += drain(type);
    }
    now_ns = until_ns;
    return count;
}

static void hear_node(const struct rf_message *message)
{
    uint8_t bytes[1024];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(message, &packer) > 0);
    rf_serf_receive(serf, now_ns, &anywhere, bytes, packer.size);
    (void)drain(RF_OUTPUT_PACKET);
}

static void hear_alive(const char *name, uint32_t incarnation)
{
    struct rf_message message = {.type = RF_MESSAGE_ALIVE,
                                 .alive = {.incarnation = incarnation,
                                           .node = rf_slice_text(name),
                                           .address = address_of(name)}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    hear_node(&message);
}

static void hear_dead(const char *name, const char *from)
{
    struct rf_message message = {.type = RF_MESSAGE_DEAD,
                                 .dead = {50, rf_slice_text(name), rf_slice_text(from)}};
    hear_node(&message);
}

static void deliver(const struct rf_serf_message *message)
{
    uint8_t bytes[2048] = {RF_MESSAGE_USER};
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    rf_pack_byte(&packer, RF_MESSAGE_USER);
    assert_true(rf_serf_message_encode(message, &packer) > 0);
    rf_serf_receive(serf, now_ns, &anywhere, bytes, packer.size);
}

static void hear_intent(bool is_leave, const char *name, uint64_t ltime)
{
    struct rf_serf_message message = {.type = is_leave ? RF_SERF_LEAVE : RF_SERF_JOIN};
    if (is_leave) {
        message.leave = (struct rf_serf_leave){.ltime = ltime, .node = rf_slice_text(name)};
    } else {
        message.join = (struct rf_serf_join){.ltime = ltime, .node = rf_slice_text(name)};
    }
    deliver(&message);
    (void)drain(RF_OUTPUT_PACKET);
}

static enum rf_serf_status status(const char *name)
{
    const struct rf_member_entry *member = rf_serf_member(serf, rf_slice_text(name));
    return member == NULL ? RF_SERF_NONE : member->status;
}

static size_t queued(int queue_index)
{
    return serf->swim.user_queues[queue_index].count;
}

/* ---- 19 ---- */

static void clocks_follow_what_they_see_and_never_wrap(void **state)
{
    (void)state;
    uint64_t clock = 1;
    rf_clock_witness(&clock, 0);
    assert_int_equal(clock, 1);
    rf_clock_witness(&clock, 1);
    assert_int_equal(clock, 2);
    rf_clock_witness(&clock, 40);
    assert_int_equal(clock, 41);
    rf_clock_witness(&clock, UINT64_MAX);
    rf_clock_increment(&clock);
    assert_true(clock == UINT64_MAX);
}

static void absurd_times_do_not_move_a_clock(void **state)
{
    (void)state;
    hear_intent(false, "a", UINT64_MAX);
    assert_int_equal(serf->member_time, 1);
    assert_int_equal(serf->stats.serf_dropped_absurd, 1);
    hear_intent(false, "a", INT64_MAX);
    assert_true(serf->member_time == UINT64_C(1) << 63);
    hear_intent(false, "b", (UINT64_C(1) << 63) + 10); /* small steps go on */
    assert_true(serf->member_time == (UINT64_C(1) << 63) + 11);
}

static void member_transitions_are_those_of_serf(void **state)
{
    (void)state;
    enum step { ALIVE, ALIVE_AGAIN, DEAD, LEFT, JOIN_INTENT, LEAVE_INTENT };
    static const struct {
        const char *what;
        enum step steps[4];
        size_t count;
        enum rf_serf_status expected;
    } cases[] = {
        {"join", {ALIVE}, 1, RF_SERF_ALIVE},
        {"death without an intent", {ALIVE, DEAD}, 2, RF_SERF_FAILED},
        {"a dead message of its own is not enough", {ALIVE, LEFT}, 2, RF_SERF_FAILED},
        {"intent, then death", {ALIVE, LEAVE_INTENT, DEAD}, 3, RF_SERF_LEFT},
        {"death, then intent", {ALIVE, DEAD, LEAVE_INTENT}, 3, RF_SERF_LEFT},
        {"intent alone", {ALIVE, LEAVE_INTENT}, 2, RF_SERF_LEAVING},
        {"a newer join takes it back", {ALIVE, LEAVE_INTENT, JOIN_INTENT}, 3, RF_SERF_ALIVE},
        {"intent before the node is known", {LEAVE_INTENT, ALIVE}, 2, RF_SERF_LEAVING},
        {"join before the node is known", {JOIN_INTENT, ALIVE}, 2, RF_SERF_ALIVE},
        {"back from failed", {ALIVE, DEAD, ALIVE_AGAIN}, 3, RF_SERF_ALIVE},
        {"back from left", {ALIVE, LEAVE_INTENT, DEAD, ALIVE_AGAIN}, 4, RF_SERF_ALIVE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[3] = {(char)('A' + (char)i), 'x', 0};
        for (size_t k = 0; k < cases[i].count; k++) {
            uint64_t ltime = 10 + k;
            switch (cases[i].steps[k]) {
            case ALIVE:
                hear_alive(name, 1);
                break;
            case ALIVE_AGAIN:
                hear_alive(name, 60);
                break;
            case DEAD:
                hear_dead(name, "z");
                break;
            case LEFT:
                hear_dead(name, name);
                break;
            case JOIN_INTENT:
            case LEAVE_INTENT:
                hear_intent(cases[i].steps[k] == LEAVE_INTENT, name, ltime);
                break;
            }
        }
        if (status(name) != cases[i].expected) {
            fail_msg("%s: %s, expected %s", cases[i].what, rf_serf_status_name(status(name)),
                     rf_serf_status_name(cases[i].expected));
        }
    }
}

static void intents_that_are_not_newer_are_ignored_and_not_passed_on(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_intent(false, "a", 5);
    assert_int_equal(queued(RF_QUEUE_INTENTS), 1);
    hear_intent(false, "a", 5);
    hear_intent(true, "a", 5);
    assert_int_equal(queued(RF_QUEUE_INTENTS), 1);
    assert_int_equal(status("a"), RF_SERF_ALIVE);
    hear_intent(true, "unknown", 5);
    hear_intent(true, "unknown", 4);
    assert_int_equal(queued(RF_QUEUE_INTENTS), 2);
    assert_int_equal(serf->member_time, 6);
}

static void a_leave_intent_about_us_is_refuted(void **state)
{
    (void)state;
    hear_intent(true, "me", 30);
    assert_int_equal(status("me"), RF_SERF_ALIVE);
    assert_int_equal(queued(RF_QUEUE_INTENTS), 1); /* our join, not their leave */
    assert_true(rf_serf_member(serf, rf_slice_text("me"))->status_ltime > 30);
}

static void recent_intents_are_bounded_and_expire(void **state)
{
    (void)state;
    static const char *const names[] = {"n1", "n2", "n3", "n4", "n5"};
    for (size_t i = 0; i < 5; i++) {
        hear_intent(true, names[i], 9);
    }
    assert_int_equal(serf->intents.count, 4);
    assert_int_equal(serf->stats.serf_dropped_limit, 1);
    size_t notices = wait_until(now_ns + 316 * S, RF_OUTPUT_NOTICE); /* reaped every 15 s */
    assert_int_equal(notices, 1);                                    /* that a limit was hit */
    assert_int_equal(serf->intents.count, 0);
    assert_int_equal(wait_until(now_ns + 61 * S, RF_OUTPUT_NOTICE), 0);
}

static void force_leave_with_prune_forgets_a_failed_member(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_dead("a", "z");
    struct rf_serf_message message = {
        .type = RF_SERF_LEAVE, .leave = {.ltime = 9, .node = rf_slice_text("a"), .prune = true}};
    deliver(&message);
    assert_int_equal(drain(RF_OUTPUT_MEMBER), 2); /* left, then reaped */
    assert_int_equal(status("a"), RF_SERF_NONE);
}

/* A push/pull that outruns gossip raises the time of a leave to that of the prune that follows. */
static void a_prune_of_the_time_of_the_leave_that_is_known_counts(void **state)
{
    (void)state;
    struct rf_serf_message message = {
        .type = RF_SERF_LEAVE, .leave = {.ltime = 9, .node = rf_slice_text("a"), .prune = true}};
    hear_alive("a", 1);
    hear_intent(true, "a", 9);
    deliver(&message);
    assert_int_equal(status("a"), RF_SERF_LEAVING); /* it may have sent that leave itself */
    hear_dead("a", "z");
    assert_int_equal(status("a"), RF_SERF_LEFT);
    message.leave.ltime = 8;
    deliver(&message);
    assert_int_equal(status("a"), RF_SERF_LEFT);
    message.leave.ltime = 9;
    deliver(&message);
    assert_int_equal(status("a"), RF_SERF_NONE);

    hear_alive("b", 1);
    hear_dead("b", "z");
    hear_intent(true, "b", 20);
    hear_intent(false, "b", 21); /* it is about to be back */
    message.leave = (struct rf_serf_leave){.ltime = 21, .node = rf_slice_text("b"), .prune = true};
    deliver(&message);
    assert_int_equal(status("b"), RF_SERF_LEFT);
}

/* It does not make us forget ourselves, so each copy that comes would count again. */
static void a_prune_of_the_time_of_our_own_leave_is_not_passed_on(void **state)
{
    (void)state;
    hear_alive("a", 1);
    assert_int_equal(rf_serf_leave(serf, now_ns, NULL), 0);
    for (uint64_t end_ns = now_ns + 20 * S; status("me") != RF_SERF_LEFT && now_ns < end_ns;) {
        (void)wait_until(now_ns + S / 10, RF_OUTPUT_PACKET);
    }
    assert_int_equal(status("me"), RF_SERF_LEFT);
    struct rf_serf_message message = {
        .type = RF_SERF_LEAVE,
        .leave = {.ltime = rf_serf_member(serf, rf_slice_text("me"))->status_ltime,
                  .node = rf_slice_text("me"),
                  .prune = true}};
    size_t before = queued(RF_QUEUE_INTENTS);
    deliver(&message);
    assert_int_equal(queued(RF_QUEUE_INTENTS), before);
}

/* ---- 21, 22, 23 ---- */

static void hear_event(uint64_t ltime, const char *name)
{
    struct rf_serf_message message = {.type = RF_SERF_USER_EVENT,
                                      .user_event = {.ltime = ltime, .name = rf_slice_text(name)}};
    deliver(&message);
    (void)drain(RF_OUTPUT_PACKET);
}

static void user_events_are_passed_on_once(void **state)
{
    (void)state;
    hear_event(7, "deploy");
    hear_event(7, "deploy");
    assert_int_equal(queued(RF_QUEUE_EVENTS), 1);
    hear_event(7, "restart");
    assert_int_equal(queued(RF_QUEUE_EVENTS), 2);
    assert_int_equal(serf->event_time, 8);
    hear_event(2000, "later");
    hear_event(2001 - 513, "too old");
    assert_int_equal(queued(RF_QUEUE_EVENTS), 3);
    assert_int_equal(serf->stats.serf_dropped_old, 1);
}

/* More than a mebibyte, at the times 2..250. */
static void hear_large_events(void)
{
    static uint8_t payload[900];
    for (uint64_t i = 0; i < 5 * 249; i++) {
        payload[0] = (uint8_t)(i % 5);
        struct rf_serf_message message = {
            .type = RF_SERF_USER_EVENT,
            .user_event = {.ltime = 2 + i / 5,
                           .name = rf_slice_text("large"),
                           .payload = rf_slice(payload, sizeof(payload))}};
        deliver(&message);
        (void)drain(RF_OUTPUT_PACKET);
    }
}

static void user_events_forgotten_for_want_of_room_are_not_new_again(void **state)
{
    (void)state;
    hear_event(1, "small");
    hear_large_events();
    assert_true(serf->stats.serf_dropped_limit > 0);
    size_t before = queued(RF_QUEUE_EVENTS);
    hear_event(1, "small");
    assert_int_equal(queued(RF_QUEUE_EVENTS), before);
    assert_int_equal(serf->stats.serf_dropped_old, 1);
    hear_event(250, "small");
    assert_int_equal(queued(RF_QUEUE_EVENTS), before + 1);
}

static struct rf_serf_query query_of(const char *name, uint32_t id)
{
    return (struct rf_serf_query){.ltime = 3,
                                  .id = id,
                                  .address = address_of("q"),
                                  .source_node = rf_slice_text("q"),
                                  .name = rf_slice_text(name)};
}

/* Asks, and returns how many packets went to the asker, a member; the last response is in *ret. */
static size_t ask(const struct rf_serf_query *query, struct rf_serf_query_response *ret)
{
    static uint8_t bytes[2048];
    hear_alive("q", 1);
    struct rf_serf_message message = {.type = RF_SERF_QUERY, .query = *query};
    deliver(&message);
    size_t count = 0;
    struct rf_output output;
    while (rf_serf_next(serf, &output)) {
        if (output.type == RF_OUTPUT_PACKET && output.address.ip[3] == 'q') {
            memcpy(bytes, output.bytes, output.bytes_size);
            assert_int_equal(bytes[0], RF_MESSAGE_USER);
            struct rf_slice body = rf_slice(bytes + 1, output.bytes_size - 1);
            assert_int_equal(rf_serf_message_decode(body, &message), 0);
            *ret = message.query_response;
            count++;
        }
    }
    return count;
}

static void queries_are_acked_on_request_and_passed_on_once(void **state)
{
    (void)state;
    struct rf_serf_query_response response;
    struct rf_serf_query query = query_of("deploy", 1);
    assert_int_equal(ask(&query, &response), 0);
    assert_int_equal(queued(RF_QUEUE_QUERIES), 1);
    assert_int_equal(ask(&query, &response), 0);
    assert_int_equal(queued(RF_QUEUE_QUERIES), 1);
    query.id = 2;
    query.flags = RF_SERF_QUERY_ACK | RF_SERF_QUERY_NO_BROADCAST;
    assert_int_equal(ask(&query, &response), 1);
    assert_int_equal(response.flags, RF_SERF_RESPONSE_ACK);
    assert_int_equal(response.id, 2);
    assert_int_equal(queued(RF_QUEUE_QUERIES), 1);
    assert_int_equal(serf->query_time, 4);
}

static bool tag_filter_matches(const char *tag, const char *expr)
{
    uint8_t filter[512];
    uint8_t filters[600];
    struct rf_packer packer = rf_packer(filter, sizeof(filter));
    struct rf_serf_filter value = {
        .type = RF_SERF_FILTER_TAG, .tag = rf_slice_text(tag), .expr = rf_slice_text(expr)};
    assert_true(rf_serf_filter_encode(&value, &packer) > 0);
    struct rf_slice one = rf_packer_slice(&packer);
    struct rf_packer list = rf_packer(filters, sizeof(filters));
    assert_true(rf_pack_raws(&list, &one, 1) > 0);
    const struct rf_node *self = serf->swim.self;
    return rf_serf_filters_match(rf_packer_slice(&list), self->link.name,
                                 rf_slice(self->meta, self->meta_size));
}

static void tag_filters_match_by_regular_expression_and_doubts_do_not(void **state)
{
    (void)state;
    static const struct {
        const char *tag;
        const char *expr;
        bool is_match;
    } cases[] = {{"group", "web", true},
                 {"group", "^w.b$", true},
                 {"group", "db", false},
                 {"group", "w[a-e]+b", true},
                 {"group", "(db|web)", true},
                 {"absent", "^$", true},
                 {"group", "", true},
                 {"group", "\\w+", false},
                 {"group", "(?i)WEB", false},
                 {"group", "w{1}eb", false},
                 {"group", "*web", false},
                 {"group", "e**", false},
                 {"group", "[[:alpha:]]", false},
                 {"group", "(web", false},
                 {"group", "w[^)]b", true},
                 {"group", "^(we)+(b)+$", true},
                 {"group", "[^\\w]", false}, /* RE2: anything but letters */
                 {"paren", "w)", false},     /* POSIX: as it stands there */
                 {"paren", "w[)]", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (tag_filter_matches(cases[i].tag, cases[i].expr) != cases[i].is_match) {
            fail_msg("tag %s, expression %s", cases[i].tag, cases[i].expr);
        }
    }
}

/* Of an expression of groups inside each other, each repeated; NUL-terminated. */
static void nest(char ret_expr[RF_SERF_FILTER_EXPR_SIZE_MAX + 1], size_t depth, const char *end)
{
    ret_expr[0] = '\0';
    for (size_t i = 0; i < depth; i++) {
        strcat(ret_expr, "(");
    }
    strcat(ret_expr, "w");
    for (size_t i = 0; i < depth; i++) {
        strcat(ret_expr, end);
    }
}

/* Each level doubles what regcomp makes of it: a third of these would already take all memory. */
static void tag_filters_that_would_take_for_ever_do_not_match(void **state)
{
    (void)state;
    char expr[RF_SERF_FILTER_EXPR_SIZE_MAX + 1];
    nest(expr, 18, ")+");
    assert_false(tag_filter_matches("group", expr)); /* a moment, but a match without a budget */
    nest(expr, 80, ")+");
    assert_false(tag_filter_matches("group", expr));
    nest(expr, 80, ")*");
    assert_false(tag_filter_matches("group", expr));
}

static void a_query_with_endless_filters_is_not_for_us(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    uint8_t filter[64];
    struct rf_packer packer = rf_packer(filter, sizeof(filter));
    struct rf_serf_filter value = {
        .type = RF_SERF_FILTER_TAG, .tag = rf_slice_text("group"), .expr = rf_slice_text("web")};
    assert_true(rf_serf_filter_encode(&value, &packer) > 0);
    struct rf_slice filters[100];
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        filters[i] = rf_packer_slice(&packer);
    }
    struct rf_packer list = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_pack_raws(&list, filters, 10) > 0);
    struct rf_slice me = serf->swim.self->link.name;
    struct rf_slice meta = rf_slice(serf->swim.self->meta, serf->swim.self->meta_size);
    assert_true(rf_serf_filters_match(rf_packer_slice(&list), me, meta));
    list = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_pack_raws(&list, filters, 100) > 0);
    assert_false(rf_serf_filters_match(rf_packer_slice(&list), me, meta));
}

static void a_query_for_others_is_only_passed_on(void **state)
{
    (void)state;
    static const uint8_t filters[] = {0x91, 0xa7, 0, 0x91, 0xa4, 'o', 't', 'h', 'r'};
    struct rf_serf_query_response response;
    struct rf_serf_query query = query_of("deploy", 1);
    query.flags = RF_SERF_QUERY_ACK;
    query.filters = rf_slice(filters, sizeof(filters));
    assert_int_equal(ask(&query, &response), 0);
    assert_int_equal(queued(RF_QUEUE_QUERIES), 1);
    assert_int_equal(serf->stats.queries_matched, 0);
}

static void queries_that_end_go_peers_are_not_passed_on(void **state)
{
    (void)state;
    static const uint8_t empty_raw[] = {0x91, 0xa0};
    static const uint8_t nil[] = {0x92, 0xa2, 0, 0x90, 0xc0};
    struct rf_serf_query_response response;
    struct rf_serf_query query = query_of("deploy", 1);
    query.filters = rf_slice(empty_raw, sizeof(empty_raw));
    (void)ask(&query, &response);
    query.filters = rf_slice(nil, sizeof(nil));
    (void)ask(&query, &response);
    static const char *const names[] = {"_serf_install-key", "_serf_use-key", "_serf_remove-key"};
    for (uint32_t i = 0; i < 3; i++) {
        query = query_of(names[i], 2 + i);
        assert_int_equal(ask(&query, &response), 0);
    }
    assert_int_equal(queued(RF_QUEUE_QUERIES), 0);
    assert_int_equal(serf->stats.serf_dropped_malformed, 5);
}

static void only_answers_are_relayed(void **state)
{
    (void)state;
    struct rf_serf_message message = {.type = RF_SERF_RELAY,
                                      .relay = {.dest = address_of("q"),
                                                .dest_name = rf_slice_text("q"),
                                                .message = rf_slice_text("\x04query")}};
    deliver(&message);
    assert_int_equal(drain(RF_OUTPUT_PACKET), 0);
    assert_int_equal(serf->stats.serf_dropped_malformed, 1);
}

static void key_queries_are_answered_that_there_is_no_keyring(void **state)
{
    (void)state;
    struct rf_serf_query_response response;
    struct rf_serf_query query = query_of("_serf_install-key", 1);
    query.payload = rf_slice_text("\x07\x81\xa3Key\xa1k");
    assert_int_equal(ask(&query, &response), 1);
    struct rf_serf_message message;
    assert_int_equal(rf_serf_message_decode(response.payload, &message), 0);
    assert_int_equal(message.type, RF_SERF_KEY_RESPONSE);
    assert_false(message.key_response.result);
    assert_true(message.key_response.message.size > 0);
}

static void conflict_queries_are_answered_with_the_member(void **state)
{
    (void)state;
    hear_alive("a", 1);
    struct rf_serf_query_response response;
    struct rf_serf_message message;
    struct rf_serf_query query = query_of("_serf_conflict", 1);
    query.payload = rf_slice_text("a");
    assert_int_equal(ask(&query, &response), 1);
    assert_int_equal(rf_serf_message_decode(response.payload, &message), 0);
    assert_int_equal(message.type, RF_SERF_CONFLICT_RESPONSE);
    assert_false(message.member.is_nil);
    assert_int_equal(message.member.address.ip[3], 'a');
    query = query_of("_serf_conflict", 2);
    query.payload = rf_slice_text("nobody");
    assert_int_equal(ask(&query, &response), 1);
    assert_int_equal(rf_serf_message_decode(response.payload, &message), 0);
    assert_true(message.member.is_nil);
    query = query_of("_serf_conflict", 3);
    query.payload = rf_slice_text("me");
    assert_int_equal(ask(&query, &response), 0);
}

static void a_relay_is_sent_on_to_its_destination(void **state)
{
    (void)state;
    struct rf_serf_message message = {.type = RF_SERF_RELAY,
                                      .relay = {.dest = address_of("q"),
                                                .dest_name = rf_slice_text("q"),
                                                .message = rf_slice_text("\x05payload")}};
    hear_alive("q", 1);
    deliver(&message);
    struct rf_output output;
    assert_true(rf_serf_next(serf, &output));
    while (output.type != RF_OUTPUT_PACKET) {
        assert_true(rf_serf_next(serf, &output));
    }
    assert_int_equal(output.address.ip[3], 'q');
    assert_int_equal(output.bytes_size, 9);
    assert_memory_equal(output.bytes, "\x08\x05payload", 9);
}

/* ---- 26, 27 ---- */

static void members_that_failed_are_reaped_after_a_day(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_dead("a", "z");
    now_ns += 86400 * S;
    rf_serf_tick(serf, now_ns);
    assert_int_equal(status("a"), RF_SERF_FAILED);
    now_ns += 16 * S;
    rf_serf_tick(serf, now_ns);
    assert_int_equal(status("a"), RF_SERF_FAILED); /* who is alone forgets nobody */
    hear_alive("b", 1);
    now_ns += 16 * S;
    rf_serf_tick(serf, now_ns);
    assert_int_equal(status("a"), RF_SERF_NONE);
    assert_int_equal(serf->stats.reaped, 1);
}

static void tombstones_are_reaped_after_a_day(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_alive("b", 1);
    hear_intent(true, "a", 7);
    hear_dead("a", "a");
    assert_int_equal(status("a"), RF_SERF_LEFT);
    now_ns += 86400 * S;
    rf_serf_tick(serf, now_ns);
    assert_int_equal(status("a"), RF_SERF_LEFT);
    hear_alive("b", 2); /* who is alone forgets nobody */
    now_ns += 16 * S;
    rf_serf_tick(serf, now_ns);
    assert_int_equal(status("a"), RF_SERF_NONE);
    struct rf_serf_stats stats;
    rf_serf_get_stats(serf, &stats);
    assert_int_equal(stats.members_left, 0);
    assert_int_equal(stats.reaped, 1);
}

static void failed_members_are_called_again(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_dead("a", "z");
    now_ns += 30 * S;
    rf_serf_tick(serf, now_ns);
    assert_int_equal(drain(RF_OUTPUT_EXCHANGE), 1);
    assert_int_equal(serf->stats.reconnects, 1);
}

static void what_a_peer_says_makes_no_line_of_its_own(void **state)
{
    (void)state;
    struct rf_address address = address_of("a");
    uint64_t join_id;
    assert_int_equal(rf_serf_join(serf, now_ns, &address, 1, &join_id, NULL), 0);
    struct rf_output output = {0};
    while (output.type != RF_OUTPUT_EXCHANGE) {
        assert_true(rf_serf_next(serf, &output));
    }
    uint64_t exchange_id = output.exchange_id;
    (void)drain(RF_OUTPUT_PACKET);
    const struct rf_stream_message reply = {.type = RF_MESSAGE_ERR,
                                            .err.error = rf_slice_text("no\nerror: forged")};
    rf_serf_exchange_done(serf, now_ns, exchange_id, 0, NULL, &reply);
    while (output.type != RF_OUTPUT_JOIN_RESULT) {
        assert_true(rf_serf_next(serf, &output));
    }
    assert_string_equal(output.text, "the peer answered: no?error: forged");
}

static void nobody_answering_a_contest_means_that_our_name_is_lost(void **state)
{
    (void)state;
    hear_alive("a", 1);
    struct rf_message other = {
        .type = RF_MESSAGE_ALIVE,
        .alive = {.incarnation = 9, .node = rf_slice_text("me"), .address = address_of("x")}};
    memcpy(other.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    hear_node(&other);
    assert_true(serf->contest.is_running);
    assert_int_equal(wait_until(serf->contest.deadline_ns, RF_OUTPUT_NAME_LOST), 1);
}

/* The other takes a status time for that of a join: 7 would make the leave of time 7 look old. */
static void a_push_pull_does_not_outrun_a_leave_that_is_on_its_way(void **state)
{
    (void)state;
    static const uint8_t told[] = {0xa1, 'a', 6};
    hear_alive("a", 1);
    hear_intent(true, "a", 7);
    assert_int_equal(status("a"), RF_SERF_LEAVING);
    const struct rf_address peer = address_of("a");
    uint64_t join_id;
    assert_int_equal(rf_serf_join(serf, now_ns, &peer, 1, &join_id, NULL), 0);
    struct rf_output output;
    bool is_told = false;
    while (rf_serf_next(serf, &output)) {
        is_told = is_told || (output.type == RF_OUTPUT_EXCHANGE &&
                              memmem(output.bytes, output.bytes_size, told, sizeof(told)) != NULL);
    }
    assert_true(is_told);
}

/* The intent of the one that took too long is still being sent when the next begins. */
static void a_forgetting_that_was_late_does_not_end_the_next(void **state)
{
    (void)state;
    for (char name[] = "a"; name[0] <= 'k'; name[0]++) {
        hear_alive(name, 1);
    }
    assert_int_equal(rf_serf_forget(serf, now_ns, "a", false, NULL), 0);
    now_ns += 10 * S; /* paused */
    rf_serf_tick(serf, now_ns);
    assert_int_equal(rf_serf_forget_state(serf), RF_SERF_FORGET_LATE);
    (void)wait_until(now_ns + 5 * S, RF_OUTPUT_PACKET);
    assert_int_equal(queued(RF_QUEUE_INTENTS), 0);
    assert_int_equal(rf_serf_forget(serf, now_ns, "b", false, NULL), 0);
    assert_int_equal(rf_serf_forget_state(serf), RF_SERF_FORGET_SPREADING);
}

/* A node of its own, for what has two sides. */
static struct rf_serf *serf_of(const char *name)
{
    struct rf_serf_config config;
    struct rf_serf *other;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = name;
    config.swim.address = address_of(name);
    assert_int_equal(rf_serf_new(&config, 10, now_ns, &other, NULL), 0);
    return other;
}

static void parse(struct rf_stream_parser *parser, enum rf_stream_role role, const uint8_t *bytes,
                  size_t size)
{
    static const struct rf_envelope plain;
    rf_stream_parser_init(parser, &plain, role);
    assert_int_equal(rf_stream_parser_feed(parser, bytes, size), 1);
}

/* Has `other` take the push/pull that is next in our outputs, and us its answer. */
static void push_pull_with(struct rf_serf *other)
{
    struct rf_output output;
    do {
        assert_true(rf_serf_next(serf, &output));
    } while (output.type != RF_OUTPUT_EXCHANGE);
    struct rf_stream_parser request;
    struct rf_stream_parser answer;
    const uint8_t *reply;
    size_t reply_size;
    uint64_t exchange_id = output.exchange_id;
    parse(&request, RF_STREAM_REQUEST, output.bytes, output.bytes_size);
    assert_true(rf_serf_accept(other, now_ns, &anywhere, rf_stream_parser_message(&request), &reply,
                               &reply_size));
    parse(&answer, RF_STREAM_REPLY_PUSH_PULL, reply, reply_size);
    rf_serf_exchange_done(serf, now_ns, exchange_id, 0, NULL, rf_stream_parser_message(&answer));
    rf_stream_parser_fini(&request);
    rf_stream_parser_fini(&answer);
}

/* Lets us live until we have left; `other` gets the packets that are for it. */
static void leave_towards(struct rf_serf *other)
{
    static struct rf_packet packet;
    static const struct rf_envelope plain;
    bool has_left = false;
    while (!has_left) {
        struct rf_output output;
        while (rf_serf_next(serf, &output)) {
            has_left = has_left || output.type == RF_OUTPUT_LEFT;
            if (output.type != RF_OUTPUT_PACKET ||
                !rf_address_equal(&output.address, &other->swim.self->address)) {
                continue;
            }
            struct rf_slice message;
            assert_int_equal(rf_packet_open(&packet, &plain, output.bytes, output.bytes_size), 0);
            while (rf_packet_next(&packet, &message)) {
                rf_serf_receive(other, now_ns, &anywhere, message.data, message.size);
            }
        }
        rf_serf_check(serf);
        now_ns = rf_serf_deadline_ns(serf) > now_ns ? rf_serf_deadline_ns(serf) : now_ns;
        rf_serf_tick(serf, now_ns);
    }
}

/* We have left, to `other`, which is freed. */
static void ends_as_left(struct rf_serf *other)
{
    leave_towards(other);
    const struct rf_member_entry *member = rf_serf_member(other, rf_slice_text("me"));
    assert_non_null(member);
    assert_string_equal(rf_serf_status_name(member->status), "left");
    rf_serf_free(other);
}

/* The state of a peer that has nodes of its own to say nothing of. */
static void hear_state(struct rf_slice user_state)
{
    const struct rf_stream_message message = {.type = RF_MESSAGE_PUSH_PULL,
                                              .push_pull = {.user_state = user_state}};
    const uint8_t *reply;
    size_t reply_size;
    assert_true(rf_serf_accept(serf, now_ns, &anywhere, &message, &reply, &reply_size));
    (void)drain(RF_OUTPUT_PACKET);
}

/* 20 MiB of events that are all the same would else be compared for seconds. */
static void a_push_pull_brings_no_more_events_than_there_is_room_for(void **state)
{
    (void)state;
    enum { EVENTS_MAX = RF_SERF_EVENT_SLOTS * RF_SERF_SLOT_EVENTS_MAX, COUNT = EVENTS_MAX + 10 };
    static uint8_t bytes[COUNT * 32];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_serf_push_pull_writer writer;
    rf_serf_push_pull_begin(&writer, &packer, 1, 1, 1, 1);
    rf_serf_push_pull_slot(&writer, 7, COUNT);
    for (int i = 0; i < COUNT; i++) {
        rf_serf_push_pull_event(&writer, rf_slice_text("e"), rf_slice(NULL, 0));
    }
    rf_serf_push_pull_left_members(&writer, 0);
    rf_serf_push_pull_status_ltimes(&writer, 0);
    assert_true(rf_serf_push_pull_end(&writer) > 0);
    hear_state(rf_packer_slice(&packer));
    assert_int_equal(serf->stats.repeats, EVENTS_MAX - 1);
    assert_int_equal(serf->stats.serf_dropped_limit, 1);
}

/* Names that have left are collected first: 5 million of them, in 20 MiB, would take 270 MiB. */
static void a_push_pull_with_more_left_members_than_are_remembered_is_not_taken(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    uint8_t bytes[256];
    hear_alive("a", 1);
    for (uint32_t count = 3; count >= 2; count--) {
        struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
        struct rf_serf_push_pull_writer writer;
        serf->config.members_max = 2;
        rf_serf_push_pull_begin(&writer, &packer, 1, 1, 1, 0);
        rf_serf_push_pull_left_members(&writer, count);
        for (uint32_t i = 0; i < count; i++) {
            rf_serf_push_pull_left_member(&writer, rf_slice_text(names[i]));
        }
        rf_serf_push_pull_status_ltimes(&writer, 0);
        assert_true(rf_serf_push_pull_end(&writer) > 0);
        hear_state(rf_packer_slice(&packer));
        assert_int_equal(status("a"), count == 3 ? RF_SERF_ALIVE : RF_SERF_LEAVING);
        assert_int_equal(serf->stats.serf_dropped_limit, 1);
    }
}

/* Go peers take and tell names of any length: one such member must not make us deaf for the rest.
 */
static void a_push_pull_with_a_name_that_is_too_long_tells_of_the_others(void **state)
{
    (void)state;
    uint8_t bytes[2048];
    char name[RF_GOSSIP_NAME_SIZE_MAX + 1];
    memset(name, 'x', sizeof(name));
    const struct rf_slice too_long = rf_slice(name, sizeof(name));
    hear_alive("a", 1);
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_serf_push_pull_writer writer;
    rf_serf_push_pull_begin(&writer, &packer, 40, 50, 60, 0);
    rf_serf_push_pull_left_members(&writer, 2);
    rf_serf_push_pull_left_member(&writer, too_long);
    rf_serf_push_pull_left_member(&writer, rf_slice_text("a"));
    rf_serf_push_pull_status_ltimes(&writer, 2);
    rf_serf_push_pull_status_ltime(&writer, too_long, 9);
    rf_serf_push_pull_status_ltime(&writer, rf_slice_text("b"), 8);
    assert_true(rf_serf_push_pull_end(&writer) > 0);
    hear_state(rf_packer_slice(&packer));
    assert_int_equal(serf->member_time, 40);
    assert_int_equal(serf->event_time, 50);
    assert_int_equal(serf->query_time, 60);
    assert_int_equal(status("a"), RF_SERF_LEAVING);
    assert_int_equal(serf->intents.count, 1); /* b's */
    assert_int_equal(serf->stats.serf_dropped_malformed, 1);
}

/* With its join intent it would look as if it had come back, and then failed; nor does who is
 * joined know of a leave that was announced before, or knows of later ones from a former life. */
static void a_join_that_ends_while_leaving_ends_in_a_leave(void **state)
{
    (void)state;
    struct rf_serf *other = serf_of("other");
    const struct rf_address peer = address_of("other");
    uint64_t join_id;
    other->member_time = 100;
    assert_int_equal(rf_serf_join(serf, now_ns, &peer, 1, &join_id, NULL), 0);
    assert_int_equal(rf_serf_leave(serf, now_ns, NULL), 0);
    push_pull_with(other);
    ends_as_left(other);
}

static void a_further_join_that_ends_while_leaving_takes_no_leave_back(void **state)
{
    (void)state;
    struct rf_serf *other = serf_of("other");
    const struct rf_address peer = address_of("other");
    uint64_t join_id;
    assert_int_equal(rf_serf_join(serf, now_ns, &peer, 1, &join_id, NULL), 0);
    push_pull_with(other);
    assert_int_equal(rf_serf_join(serf, now_ns, &peer, 1, &join_id, NULL), 0);
    assert_int_equal(rf_serf_leave(serf, now_ns, NULL), 0);
    push_pull_with(other);
    ends_as_left(other);
}

static void leaving_refuses_what_no_longer_makes_sense(void **state)
{
    (void)state;
    struct rf_address address = address_of("a");
    uint64_t join_id;
    hear_alive("a", 1);
    assert_int_equal(rf_serf_join(serf, now_ns, &address, 0, &join_id, NULL), -EINVAL);
    assert_int_equal(rf_serf_leave(serf, now_ns, NULL), 0);
    assert_int_equal(status("me"), RF_SERF_LEAVING);
    assert_int_equal(rf_serf_leave(serf, now_ns, NULL), -EALREADY);
    assert_int_equal(rf_serf_join(serf, now_ns, &address, 1, &join_id, NULL), -ESHUTDOWN);
    assert_int_equal(rf_serf_set_meta(serf, now_ns, NULL, 0, NULL), -ESHUTDOWN);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(clocks_follow_what_they_see_and_never_wrap),
        CASE(absurd_times_do_not_move_a_clock),
        CASE(member_transitions_are_those_of_serf),
        CASE(intents_that_are_not_newer_are_ignored_and_not_passed_on),
        CASE(a_leave_intent_about_us_is_refuted),
        CASE(recent_intents_are_bounded_and_expire),
        CASE(force_leave_with_prune_forgets_a_failed_member),
        CASE(a_prune_of_the_time_of_the_leave_that_is_known_counts),
        CASE(a_prune_of_the_time_of_our_own_leave_is_not_passed_on),
        CASE(user_events_are_passed_on_once),
        CASE(user_events_forgotten_for_want_of_room_are_not_new_again),
        CASE(queries_are_acked_on_request_and_passed_on_once),
        CASE(tag_filters_match_by_regular_expression_and_doubts_do_not),
        CASE(tag_filters_that_would_take_for_ever_do_not_match),
        CASE(a_query_with_endless_filters_is_not_for_us),
        CASE(a_query_for_others_is_only_passed_on),
        CASE(queries_that_end_go_peers_are_not_passed_on),
        CASE(only_answers_are_relayed),
        CASE(key_queries_are_answered_that_there_is_no_keyring),
        CASE(conflict_queries_are_answered_with_the_member),
        CASE(a_relay_is_sent_on_to_its_destination),
        CASE(members_that_failed_are_reaped_after_a_day),
        CASE(tombstones_are_reaped_after_a_day),
        CASE(failed_members_are_called_again),
        CASE(what_a_peer_says_makes_no_line_of_its_own),
        CASE(nobody_answering_a_contest_means_that_our_name_is_lost),
        CASE(a_push_pull_does_not_outrun_a_leave_that_is_on_its_way),
        CASE(a_forgetting_that_was_late_does_not_end_the_next),
        CASE(a_push_pull_brings_no_more_events_than_there_is_room_for),
        CASE(a_push_pull_with_more_left_members_than_are_remembered_is_not_taken),
        CASE(a_push_pull_with_a_name_that_is_too_long_tells_of_the_others),
        CASE(a_join_that_ends_while_leaving_ends_in_a_leave),
        CASE(a_further_join_that_ends_while_leaving_takes_no_leave_back),
        CASE(leaving_refuses_what_no_longer_makes_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
