/* SPDX-License-Identifier: MIT
 *
 * test_serf_keys.c - the Serf machine and keys: what the cluster asks of us (rule 23.1), and what
 * we ask of the cluster (rule 22.6).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/keyring.h"
#include "gossip/serf_private.h"

#define S UINT64_C(1000000000)

static struct rf_serf *serf;
static uint64_t now_ns;
static const char *own_name = "me";

static struct rf_address address_of(const char *name)
{
    return (struct rf_address){.ip = {10, 0, 0, (uint8_t)name[0]}, .ip_size = 4, .port = 7946};
}

static int start(bool is_encrypted)
{
    struct rf_serf_config config;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = own_name;
    config.swim.address = address_of("m");
    config.is_encrypted = is_encrypted;
    now_ns = S;
    return rf_serf_new(&config, 9, now_ns, &serf, NULL);
}

static int setup(void **state)
{
    (void)state;
    own_name = "me";
    return start(true);
}

static int setup_plain(void **state)
{
    (void)state;
    own_name = "me";
    return start(false);
}

static int setup_long_name(void **state)
{
    (void)state;
    static char name[RF_SWIM_OWN_NAME_SIZE_MAX + 1];
    memset(name, 'm', RF_SWIM_OWN_NAME_SIZE_MAX);
    own_name = name;
    return start(true);
}

static int teardown(void **state)
{
    (void)state;
    rf_serf_check(serf);
    rf_serf_free(serf);
    return 0;
}

/* ---- what came out ---- */

/* The outputs of one input that matter here; bytes are copied. */
static struct {
    struct rf_output items[64];
    uint8_t bytes[64][1500];
    size_t count;
} seen;

static bool matters(const struct rf_output *output)
{
    return output->type == RF_OUTPUT_KEY_REQUEST || output->type == RF_OUTPUT_ANSWER ||
           output->type == RF_OUTPUT_ASK_DONE ||
           (output->type == RF_OUTPUT_PACKET && output->address.ip[3] == 'q');
}

static void look(void)
{
    struct rf_output output;
    seen.count = 0;
    while (rf_serf_next(serf, &output)) {
        if (matters(&output)) {
            assert_true(seen.count < 64 && output.bytes_size <= 1500);
            memcpy(seen.bytes[seen.count], output.bytes, output.bytes_size);
            output.bytes = seen.bytes[seen.count];
            seen.items[seen.count++] = output;
        }
    }
    rf_serf_check(serf);
}

static size_t seen_count(enum rf_output_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < seen.count; i++) {
        count += seen.items[i].type == type;
    }
    return count;
}

static const struct rf_output *seen_first(enum rf_output_type type)
{
    size_t i = 0;
    while (i < seen.count && seen.items[i].type != type) {
        i++;
    }
    if (i == seen.count) {
        fail_msg("no output of type %d", type);
    }
    return &seen.items[i];
}

/* ---- what goes in ---- */

static void deliver(const struct rf_serf_message *message)
{
    uint8_t bytes[2048];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    rf_pack_byte(&packer, RF_MESSAGE_USER);
    assert_true(rf_serf_message_encode(message, &packer) > 0);
    struct rf_address from = address_of("q");
    rf_serf_receive(serf, now_ns, &from, bytes, packer.size);
    look();
}

static void hear_alive(const char *name)
{
    struct rf_message message = {
        .type = RF_MESSAGE_ALIVE,
        .alive = {.incarnation = 1, .node = rf_slice_text(name), .address = address_of(name)}};
    uint8_t bytes[512];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_address from = address_of(name);
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    assert_true(rf_message_encode(&message, &packer) > 0);
    rf_serf_receive(serf, now_ns, &from, bytes, packer.size);
    look();
}

static const uint8_t key_16[16] = "0123456789abcdef";

/* Only members are answered. */
static void meet_the_asker(void)
{
    if (rf_serf_member(serf, rf_slice_text("q")) == NULL) {
        hear_alive("q");
    }
}

static void key_query(const char *name, uint32_t id, struct rf_slice key)
{
    meet_the_asker();
    uint8_t payload[64];
    struct rf_packer packer = rf_packer(payload, sizeof(payload));
    const struct rf_serf_message request = {.type = RF_SERF_KEY_REQUEST, .key_request = {key}};
    assert_true(rf_serf_message_encode(&request, &packer) > 0);
    const struct rf_serf_message query = {.type = RF_SERF_QUERY,
                                          .query = {.ltime = 3,
                                                    .id = id,
                                                    .address = address_of("q"),
                                                    .source_node = rf_slice_text("q"),
                                                    .name = rf_slice_text(name),
                                                    .payload = rf_packer_slice(&packer)}};
    deliver(&query);
}

/* What the last packet to q answers. */
static struct rf_serf_key_response answered(void)
{
    const struct rf_output *packet = seen_first(RF_OUTPUT_PACKET);
    struct rf_serf_message message;
    assert_true(packet->bytes_size <= 1 + RF_QUERY_RESPONSE_SIZE_MAX);
    assert_int_equal(packet->bytes[0], RF_MESSAGE_USER);
    assert_int_equal(
        rf_serf_message_decode(rf_slice(packet->bytes + 1, packet->bytes_size - 1), &message), 0);
    assert_int_equal(message.type, RF_SERF_QUERY_RESPONSE);
    assert_int_equal(message.query_response.flags, 0);
    assert_int_equal(rf_serf_message_decode(message.query_response.payload, &message), 0);
    assert_int_equal(message.type, RF_SERF_KEY_RESPONSE);
    return message.key_response;
}

static void assert_text(struct rf_slice text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

/* ---- 23.1 ---- */

static void each_change_is_asked_of_the_driver_and_its_answer_sent(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum rf_key_op op;
    } cases[] = {{"_serf_install-key", RF_KEY_INSTALL},
                 {"_serf_use-key", RF_KEY_USE},
                 {"_serf_remove-key", RF_KEY_REMOVE}};
    for (uint32_t i = 0; i < 3; i++) {
        key_query(cases[i].name, i, rf_slice(key_16, 16));
        assert_int_equal(seen.count, 1); /* no answer yet */
        const struct rf_output *request = seen_first(RF_OUTPUT_KEY_REQUEST);
        assert_int_equal(request->key_op, cases[i].op);
        assert_int_equal(request->bytes_size, 16);
        assert_memory_equal(request->bytes, key_16, 16);
        struct rf_serf_key_result result = {.is_done = true};
        rf_serf_key_done(serf, now_ns += S, request->request_id, &result);
        look();
        assert_int_equal(seen.count, 1);
        assert_true(answered().result);
        assert_int_equal(answered().message.size, 0);
    }
}

static void what_the_driver_could_not_do_is_answered_with_its_words(void **state)
{
    (void)state;
    key_query("_serf_remove-key", 1, rf_slice(key_16, 16));
    uint64_t id = seen_first(RF_OUTPUT_KEY_REQUEST)->request_id;
    struct rf_serf_key_result result = {.is_done = false, .message = "the disk is full"};
    rf_serf_key_done(serf, now_ns, id, &result);
    look();
    assert_false(answered().result);
    assert_text(answered().message, "the disk is full");
}

static void a_list_tells_every_key_as_base64_and_the_primary_one(void **state)
{
    (void)state;
    key_query("_serf_list-keys", 1, rf_slice(NULL, 0));
    uint64_t id = seen_first(RF_OUTPUT_KEY_REQUEST)->request_id;
    assert_int_equal(seen_first(RF_OUTPUT_KEY_REQUEST)->key_op, RF_KEY_LIST);
    const struct rf_slice keys[] = {rf_slice(key_16, 16),
                                    rf_slice_text("0123456789abcdef01234567")};
    struct rf_serf_key_result result = {.is_done = true, .keys = keys, .keys_count = 2};
    rf_serf_key_done(serf, now_ns, id, &result);
    look();
    struct rf_serf_key_response response = answered();
    assert_true(response.result);
    assert_text(response.primary_key, "MDEyMzQ1Njc4OWFiY2RlZg==");
    struct rf_cursor cursor = rf_cursor_array(response.keys);
    struct rf_slice key;
    assert_true(rf_cursor_next_raw(&cursor, &key));
    assert_text(key, "MDEyMzQ1Njc4OWFiY2RlZg==");
    assert_true(rf_cursor_next_raw(&cursor, &key));
    assert_text(key, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3");
    assert_false(rf_cursor_next_raw(&cursor, &key));
}

static void a_list_of_as_many_keys_as_there_can_be_fits_into_an_answer(void **state)
{
    (void)state; /* a node with the longest name, and a query with the largest numbers */
    static uint8_t bytes[RF_KEYS_MAX][RF_KEY_SIZE_MAX];
    struct rf_slice keys[RF_KEYS_MAX];
    for (size_t i = 0; i < RF_KEYS_MAX; i++) {
        memset(bytes[i], (int)i, sizeof(bytes[i]));
        keys[i] = rf_slice(bytes[i], sizeof(bytes[i]));
    }
    const struct rf_serf_message query = {.type = RF_SERF_QUERY,
                                          .query = {.ltime = UINT64_C(1) << 62,
                                                    .id = UINT32_MAX,
                                                    .address = address_of("q"),
                                                    .source_node = rf_slice_text("q"),
                                                    .name = rf_slice_text("_serf_list-keys")}};
    meet_the_asker();
    deliver(&query);
    struct rf_serf_key_result result = {.is_done = true, .keys = keys, .keys_count = RF_KEYS_MAX};
    rf_serf_key_done(serf, now_ns, seen_first(RF_OUTPUT_KEY_REQUEST)->request_id, &result);
    look();
    struct rf_serf_key_response response = answered();
    assert_true(response.result);
    assert_int_equal(rf_cursor_array(response.keys).count, RF_KEYS_MAX);
    assert_int_equal(seen_first(RF_OUTPUT_PACKET)->bytes_size, 1 + 264 + RF_KEYS_MAX * 47);
}

static void without_encryption_the_machine_answers_by_itself(void **state)
{
    (void)state;
    key_query("_serf_use-key", 1, rf_slice(key_16, 16));
    assert_int_equal(seen_count(RF_OUTPUT_KEY_REQUEST), 0);
    assert_false(answered().result);
    assert_text(answered().message, "No keyring to modify (encryption not enabled)");
    key_query("_serf_list-keys", 2, rf_slice(NULL, 0));
    assert_false(answered().result);
    assert_text(answered().message, "Keyring is empty (encryption not enabled)");
}

static void a_query_without_a_key_request_in_it_is_answered_as_failed(void **state)
{
    (void)state;
    const struct rf_serf_message query = {.type = RF_SERF_QUERY,
                                          .query = {.ltime = 3,
                                                    .id = 1,
                                                    .address = address_of("q"),
                                                    .source_node = rf_slice_text("q"),
                                                    .name = rf_slice_text("_serf_use-key"),
                                                    .payload = rf_slice_text("\x07garbage")}};
    meet_the_asker();
    deliver(&query);
    assert_int_equal(seen_count(RF_OUTPUT_KEY_REQUEST), 0);
    assert_false(answered().result);
}

static void requests_beyond_the_limit_are_refused_and_places_come_back(void **state)
{
    (void)state;
    uint64_t ids[RF_SERF_KEY_REQUESTS_MAX];
    for (uint32_t i = 0; i < RF_SERF_KEY_REQUESTS_MAX; i++) {
        key_query("_serf_install-key", i, rf_slice(key_16, 16));
        ids[i] = seen_first(RF_OUTPUT_KEY_REQUEST)->request_id;
    }
    key_query("_serf_install-key", 100, rf_slice(key_16, 16));
    assert_int_equal(seen_count(RF_OUTPUT_KEY_REQUEST), 0);
    assert_false(answered().result);
    assert_text(answered().message, "Too many key requests at once, try again");
    struct rf_serf_key_result result = {.is_done = true};
    rf_serf_key_done(serf, now_ns, ids[5], &result); /* in any order */
    look();
    key_query("_serf_install-key", 101, rf_slice(key_16, 16));
    assert_int_equal(seen_count(RF_OUTPUT_KEY_REQUEST), 1);
}

static void a_repeated_query_asks_for_nothing_again(void **state)
{
    (void)state;
    key_query("_serf_install-key", 1, rf_slice(key_16, 16));
    assert_int_equal(seen_count(RF_OUTPUT_KEY_REQUEST), 1);
    key_query("_serf_install-key", 1, rf_slice(key_16, 16));
    assert_int_equal(seen.count, 0);
}

/* ---- 22.6 ---- */

static uint64_t ask_list(uint8_t relay_factor)
{
    uint8_t payload[8];
    struct rf_packer packer = rf_packer(payload, sizeof(payload));
    const struct rf_serf_message request = {.type = RF_SERF_KEY_REQUEST};
    assert_true(rf_serf_message_encode(&request, &packer) > 0);
    const struct rf_serf_question question = {.name = "_serf_list-keys",
                                              .payload = rf_packer_slice(&packer),
                                              .relay_factor = relay_factor};
    uint64_t id = 0;
    assert_int_equal(rf_serf_ask(serf, now_ns, &question, &id, NULL), 0);
    look();
    return id;
}

static void answer(uint64_t ask_id, const char *from, bool is_ack)
{
    const struct rf_ask *ask = NULL;
    for (size_t i = 0; i < RF_SERF_ASKS_MAX; i++) {
        ask = serf->asks[i].id == ask_id ? &serf->asks[i] : ask;
    }
    static uint64_t ltime;
    static uint32_t query_id;
    ltime = ask != NULL ? ask->ltime : ltime; /* over: the last one's, for what comes too late */
    query_id = ask != NULL ? ask->query_id : query_id;
    const struct rf_serf_message message = {
        .type = RF_SERF_QUERY_RESPONSE,
        .query_response = {.ltime = ltime,
                           .id = query_id,
                           .from = rf_slice_text(from),
                           .flags = is_ack ? RF_SERF_RESPONSE_ACK : 0,
                           .payload = rf_slice_text(is_ack ? NULL : "words")}};
    deliver(&message);
}

static void alone_we_answer_ourselves_without_the_network(void **state)
{
    (void)state;
    uint64_t id = ask_list(0);
    assert_int_equal(seen_count(RF_OUTPUT_ANSWER), 1); /* our acknowledgement */
    assert_true(seen_first(RF_OUTPUT_ANSWER)->is_ack);
    struct rf_slice key = rf_slice(key_16, 16);
    struct rf_serf_key_result result = {.is_done = true, .keys = &key, .keys_count = 1};
    rf_serf_key_done(serf, now_ns, seen_first(RF_OUTPUT_KEY_REQUEST)->request_id, &result);
    look();
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.items[0].type, RF_OUTPUT_ANSWER);
    assert_int_equal(seen.items[0].bytes[0], RF_SERF_KEY_RESPONSE);
    assert_string_equal(own_name, "me");
    assert_int_equal(seen.items[1].type, RF_OUTPUT_ASK_DONE);
    assert_int_equal(seen.items[1].ask_id, id);
    assert_int_equal(seen.items[1].code, 0);
}

static void an_ask_ends_when_all_have_answered(void **state)
{
    (void)state;
    hear_alive("a");
    hear_alive("b");
    assert_int_equal(rf_serf_askable_count(serf), 3);
    uint64_t id = ask_list(0); /* unencrypted: our own answer is in */
    assert_int_equal(seen_count(RF_OUTPUT_ANSWER), 2);
    answer(id, "a", true);
    assert_true(seen_first(RF_OUTPUT_ANSWER)->is_ack);
    answer(id, "a", false);
    assert_int_equal(seen.count, 1);
    assert_false(seen.items[0].is_ack);
    assert_int_equal(seen.items[0].bytes_size, 5);
    answer(id, "a", false); /* again, as relays bring it */
    assert_int_equal(seen.count, 0);
    answer(id, "stranger", false);
    assert_int_equal(seen.count, 0);
    answer(id, "b", false);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.items[1].type, RF_OUTPUT_ASK_DONE);
    assert_int_equal(seen.items[1].code, 0);
    answer(id, "b", true); /* too late for anybody */
    assert_int_equal(seen.count, 0);
}

static void an_ask_ends_when_its_time_is_up(void **state)
{
    (void)state;
    hear_alive("a");
    uint64_t id = ask_list(0);
    uint64_t deadline_ns = rf_serf_asks_deadline_ns(serf);
    assert_int_equal(deadline_ns - now_ns, 16 * S / 5); /* 200 ms x 16 */
    assert_true(rf_serf_deadline_ns(serf) <= deadline_ns);
    now_ns = deadline_ns - 1;
    rf_serf_tick(serf, now_ns);
    look();
    assert_int_equal(seen_count(RF_OUTPUT_ASK_DONE), 0);
    now_ns = deadline_ns;
    rf_serf_tick(serf, now_ns);
    look();
    assert_int_equal(seen_count(RF_OUTPUT_ASK_DONE), 1);
    assert_int_equal(seen_first(RF_OUTPUT_ASK_DONE)->ask_id, id);
    assert_int_equal(seen_first(RF_OUTPUT_ASK_DONE)->code, -ETIMEDOUT);
    assert_int_equal(rf_serf_asks_deadline_ns(serf), UINT64_MAX);
}

static void a_query_of_ours_says_where_to_answer_and_wants_acknowledgements(void **state)
{
    (void)state;
    hear_alive("a");
    (void)ask_list(2);
    const struct rf_broadcast_queue *queue = &serf->swim.user_queues[RF_QUEUE_QUERIES];
    assert_int_equal(queue->count, 1);
    /* It goes out with the next packets. */
    struct rf_output output;
    bool is_out = false;
    for (int i = 0; i < 20 && !is_out; i++) {
        now_ns += S / 5;
        rf_serf_tick(serf, now_ns);
        while (rf_serf_next(serf, &output)) {
            is_out =
                is_out || memmem(output.bytes, output.bytes_size, "_serf_list-keys", 15) != NULL;
        }
    }
    assert_true(is_out);
}

static void asks_beyond_the_limit_or_while_leaving_are_refused(void **state)
{
    (void)state;
    hear_alive("a");
    for (int i = 0; i < RF_SERF_ASKS_MAX; i++) {
        (void)ask_list(0);
    }
    struct rf_error err = {0};
    uint64_t id;
    struct rf_serf_question question = {.name = "_serf_ping"};
    assert_int_equal(rf_serf_ask(serf, now_ns, &question, &id, &err), RF_ELIMIT);
    assert_string_equal(err.text, "query: 4 are in flight already, try again later");
    now_ns += 4 * S;
    rf_serf_tick(serf, now_ns);
    look();
    assert_int_equal(seen_count(RF_OUTPUT_ASK_DONE), RF_SERF_ASKS_MAX);
    question.relay_factor = RF_SERF_RELAY_FACTOR_MAX + 1;
    assert_int_equal(rf_serf_ask(serf, now_ns, &question, &id, &err), -EINVAL);
    question.relay_factor = 0;
    static uint8_t large[RF_QUERY_SIZE_MAX];
    question.payload = rf_slice(large, sizeof(large));
    assert_int_equal(rf_serf_ask(serf, now_ns, &question, &id, &err), RF_ELIMIT);
    question.payload = rf_slice(NULL, 0);
    assert_int_equal(rf_serf_leave(serf, now_ns, NULL), 0);
    look();
    assert_int_equal(rf_serf_ask(serf, now_ns, &question, &id, &err), -ESHUTDOWN);
}

static void answers_of_a_thousand_are_told_apart(void **state)
{
    (void)state;
    for (int i = 0; i < 999; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%03d", i);
        struct rf_message message = {
            .type = RF_MESSAGE_ALIVE,
            .alive = {.incarnation = 1,
                      .node = rf_slice_text(name),
                      .address = {.ip = {10, 1, (uint8_t)(i >> 8), (uint8_t)i},
                                  .ip_size = 4,
                                  .port = 7946}}};
        uint8_t bytes[512];
        struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
        struct rf_address from = address_of("q");
        memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
        assert_true(rf_message_encode(&message, &packer) > 0);
        rf_serf_receive(serf, now_ns, &from, bytes, packer.size);
    }
    look();
    uint64_t id = ask_list(0);
    for (int i = 0; i < 999; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%03d", i);
        answer(id, name, true);
        assert_int_equal(seen_count(RF_OUTPUT_ANSWER), 1);
        answer(id, name, false);
        assert_int_equal(seen_count(RF_OUTPUT_ANSWER), 1);
        assert_int_equal(seen_count(RF_OUTPUT_ASK_DONE), i == 998);
        answer(id, name, false);
        assert_int_equal(seen.count, 0);
        rf_serf_asks_check(serf);
    }
    assert_int_equal(rf_serf_asks_deadline_ns(serf), UINT64_MAX); /* ended by the last */
}

#define encrypted_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define plain_test(name) cmocka_unit_test_setup_teardown(name, setup_plain, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        encrypted_test(each_change_is_asked_of_the_driver_and_its_answer_sent),
        encrypted_test(what_the_driver_could_not_do_is_answered_with_its_words),
        encrypted_test(a_list_tells_every_key_as_base64_and_the_primary_one),
        cmocka_unit_test_setup_teardown(a_list_of_as_many_keys_as_there_can_be_fits_into_an_answer,
                                        setup_long_name, teardown),
        plain_test(without_encryption_the_machine_answers_by_itself),
        encrypted_test(a_query_without_a_key_request_in_it_is_answered_as_failed),
        encrypted_test(requests_beyond_the_limit_are_refused_and_places_come_back),
        encrypted_test(a_repeated_query_asks_for_nothing_again),
        encrypted_test(alone_we_answer_ourselves_without_the_network),
        plain_test(an_ask_ends_when_all_have_answered),
        plain_test(an_ask_ends_when_its_time_is_up),
        plain_test(a_query_of_ours_says_where_to_answer_and_wants_acknowledgements),
        plain_test(asks_beyond_the_limit_or_while_leaving_are_refused),
        plain_test(answers_of_a_thousand_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
