/* SPDX-License-Identifier: MIT
 *
 * test_snapshot.c - the records of a snapshot, whole and damaged, and machines restored from them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/crc32.h"
#include "gossip/serf_private.h"

#define S UINT64_C(1000000000)
#define HOUR (3600 * S)

static struct rf_address address_of(const char *name)
{
    return (struct rf_address){.ip = {10, 0, 0, (uint8_t)name[0]}, .ip_size = 4, .port = 7946};
}

/* ---- records ---- */

struct file {
    uint8_t bytes[4096];
    size_t size;
    size_t ends[16]; /* of each record */
    size_t records_count;
};

static void added(struct file *file, size_t size)
{
    file->size += size;
    file->ends[file->records_count++] = file->size;
}

/* One record of each kind, and two members with either size of ip. */
static void sample(struct file *file)
{
    *file = (struct file){0};
    struct rf_snapshot_clocks clocks = {11, 22, 33};
    struct rf_address a = address_of("a");
    struct rf_address b = {.ip = {0x20, 1, 0xd, 0xb8, [15] = 9}, .ip_size = 16, .port = 1};
    added(file, rf_snapshot_put_self(file->bytes, rf_slice_text("me"), 7));
    added(file, rf_snapshot_put_clocks(file->bytes + file->size, &clocks));
    added(file, rf_snapshot_put_member(file->bytes + file->size, rf_slice_text("a"), &a, true));
    added(file, rf_snapshot_put_member(file->bytes + file->size, rf_slice_text("b"), &b, false));
    added(file, rf_snapshot_put_forget(file->bytes + file->size, rf_slice_text("a")));
    clocks.member_time = 12;
    added(file, rf_snapshot_put_clocks(file->bytes + file->size, &clocks));
}

static void snapshot_gives_back_what_was_put(void **state)
{
    (void)state;
    struct file file;
    struct rf_snapshot snapshot;
    sample(&file);
    rf_snapshot_init(&snapshot, 1);
    assert_int_equal(rf_snapshot_read(&snapshot, rf_slice(file.bytes, file.size)), 0);
    assert_string_equal(snapshot.name, "me");
    assert_int_equal(snapshot.incarnation, 7);
    assert_int_equal(snapshot.clocks.member_time, 12);
    assert_int_equal(snapshot.clocks.event_time, 22);
    assert_int_equal(snapshot.clocks.query_time, 33);
    assert_int_equal(snapshot.contacts.count, 1); /* "a" was forgotten again */
    const struct rf_contact *b = rf_contacts_find(&snapshot.contacts, rf_slice_text("b"));
    assert_non_null(b);
    assert_false(b->was_alive);
    assert_int_equal(b->address.port, 1);
    assert_int_equal(b->address.ip_size, 16);
    assert_int_equal(b->address.ip[15], 9);
    assert_int_equal(snapshot.records_count, 6);
    assert_int_equal(snapshot.skipped_size, 0);
    rf_snapshot_fini(&snapshot);
}

static void snapshot_has_the_bytes_that_the_header_says(void **state)
{
    (void)state;
    uint8_t record[RF_SNAPSHOT_RECORD_SIZE_MAX];
    struct rf_address address = {.ip = {127, 0, 0, 1}, .ip_size = 4, .port = 0x1f0a};
    const uint8_t head[] = {0xd7, 3, 10, 0, 1, 0x0a, 0x1f, 4, 127, 0, 0, 1, 'n', '1'};
    size_t size = rf_snapshot_put_member(record, rf_slice_text("n1"), &address, true);
    assert_int_equal(size, sizeof(head) + 4);
    assert_memory_equal(record, head, sizeof(head));
}

static void a_cut_file_costs_only_the_record_that_is_cut(void **state)
{
    (void)state;
    struct file file;
    sample(&file);
    for (size_t cut = 0; cut <= file.size; cut++) {
        struct rf_snapshot snapshot;
        size_t whole_count = 0;
        while (whole_count < file.records_count && file.ends[whole_count] <= cut) {
            whole_count++;
        }
        uint8_t *copy = malloc(cut + 1); /* so that a byte too far is seen */
        memcpy(copy, file.bytes, cut);
        rf_snapshot_init(&snapshot, cut);
        assert_int_equal(rf_snapshot_read(&snapshot, rf_slice(copy, cut)), 0);
        assert_int_equal(snapshot.records_count, whole_count);
        assert_int_equal(snapshot.skipped_size,
                         cut - (whole_count == 0 ? 0 : file.ends[whole_count - 1]));
        assert_int_equal(snapshot.incarnation, whole_count >= 1 ? 7 : 0);
        assert_int_equal(snapshot.contacts.count, (size_t)(whole_count == 3 || whole_count >= 5) +
                                                      2 * (size_t)(whole_count == 4));
        rf_snapshot_fini(&snapshot);
        free(copy);
    }
}

static void a_flipped_bit_costs_only_the_record_it_is_in(void **state)
{
    (void)state;
    struct file file;
    sample(&file);
    for (size_t bit = 0; bit < 8 * file.size; bit++) {
        struct rf_snapshot snapshot;
        file.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        rf_snapshot_init(&snapshot, bit);
        assert_int_equal(rf_snapshot_read(&snapshot, rf_slice(file.bytes, file.size)), 0);
        assert_int_equal(snapshot.records_count, file.records_count - 1);
        size_t hit = 0;
        while (file.ends[hit] <= bit / 8) {
            hit++;
        }
        size_t start = hit == 0 ? 0 : file.ends[hit - 1];
        assert_int_equal(snapshot.skipped_size, file.ends[hit] - start);
        assert_int_equal(snapshot.clocks.member_time, hit == 5 ? 11 : 12);
        file.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        rf_snapshot_fini(&snapshot);
    }
}

static void a_record_that_makes_no_sense_is_passed_over(void **state)
{
    (void)state;
    struct rf_snapshot snapshot;
    struct rf_address address = address_of("a");
    uint8_t bytes[3 * RF_SNAPSHOT_RECORD_SIZE_MAX];
    size_t size = rf_snapshot_put_forget(bytes, rf_slice_text("a name that is not there"));
    bytes[1] = 77; /* of a program to come */
    size -= 4;
    uint32_t crc = rf_crc32(bytes, size);
    memcpy(bytes + size, &crc, 4); /* little-endian, as all machines that run this */
    size += 4;
    size += rf_snapshot_put_member(bytes + size, rf_slice_text("a"), &address, true);
    rf_snapshot_init(&snapshot, 1);
    assert_int_equal(rf_snapshot_read(&snapshot, rf_slice(bytes, size)), 0);
    assert_int_equal(snapshot.records_count, 2);
    assert_int_equal(snapshot.skipped_size, 0);
    assert_int_equal(snapshot.contacts.count, 1);
    rf_snapshot_fini(&snapshot);
}

static void no_more_than_the_allowed_members_are_read(void **state)
{
    (void)state;
    struct rf_snapshot snapshot;
    struct rf_address address = address_of("a");
    rf_snapshot_init(&snapshot, 1);
    for (unsigned i = 0; i < RF_CONTACTS_MAX + 3; i++) {
        uint8_t record[RF_SNAPSHOT_RECORD_SIZE_MAX];
        char name[16];
        (void)snprintf(name, sizeof(name), "n%u", i);
        size_t size = rf_snapshot_put_member(record, rf_slice_text(name), &address, true);
        assert_int_equal(rf_snapshot_read(&snapshot, rf_slice(record, size)), 0);
    }
    assert_int_equal(snapshot.contacts.count, RF_CONTACTS_MAX);
    assert_int_equal(snapshot.dropped_count, 3);
    rf_contacts_check(&snapshot.contacts);
    rf_snapshot_fini(&snapshot);
}

/* ---- machines ---- */

static const struct rf_address anywhere = {.ip = {10, 0, 0, 250}, .ip_size = 4, .port = 1};
static struct rf_snapshot saved;

static struct rf_serf *node_new(const char *name, const struct rf_snapshot *restore)
{
    struct rf_serf_config config;
    struct rf_serf *serf = NULL;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = name;
    config.swim.address = address_of(name);
    config.restore = restore;
    assert_int_equal(rf_serf_new(&config, 5, S, &serf, NULL), 0);
    rf_serf_check(serf);
    return serf;
}

static void drain(struct rf_serf *serf)
{
    struct rf_output output;
    while (rf_serf_next(serf, &output)) {
    }
    rf_serf_check(serf);
}

static void hear(struct rf_serf *serf, uint64_t now_ns, const struct rf_message *message)
{
    uint8_t bytes[1024];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(message, &packer) > 0);
    rf_serf_receive(serf, now_ns, &anywhere, bytes, packer.size);
    drain(serf);
}

static void hear_alive(struct rf_serf *serf, uint64_t now_ns, const char *name)
{
    struct rf_message message = {
        .type = RF_MESSAGE_ALIVE,
        .alive = {.incarnation = 1, .node = rf_slice_text(name), .address = address_of(name)}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    hear(serf, now_ns, &message);
}

static void hear_intent(struct rf_serf *serf, bool is_leave, const char *name, uint64_t ltime)
{
    struct rf_serf_message message = {.type = is_leave ? RF_SERF_LEAVE : RF_SERF_JOIN};
    if (is_leave) {
        message.leave = (struct rf_serf_leave){.ltime = ltime, .node = rf_slice_text(name)};
    } else {
        message.join = (struct rf_serf_join){.ltime = ltime, .node = rf_slice_text(name)};
    }
    uint8_t bytes[512];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    rf_pack_byte(&packer, RF_MESSAGE_USER);
    assert_true(rf_serf_message_encode(&message, &packer) > 0);
    rf_serf_receive(serf, S, &anywhere, bytes, packer.size);
    drain(serf);
}

/* Restarts: what was a node becomes a snapshot. */
static void save(struct rf_serf *serf)
{
    uint8_t *bytes;
    size_t size;
    assert_int_equal(rf_serf_snapshot(serf, &bytes, &size), 0);
    rf_snapshot_init(&saved, 1);
    assert_int_equal(rf_snapshot_read(&saved, rf_slice(bytes, size)), 0);
    assert_int_equal(saved.skipped_size, 0);
    free(bytes);
    rf_serf_free(serf);
}

static int forget_saved(void **state)
{
    (void)state;
    rf_snapshot_fini(&saved);
    return 0;
}

static void a_restored_node_goes_on_with_clocks_and_incarnation(void **state)
{
    (void)state;
    struct rf_serf *serf = node_new("me", NULL);
    hear_intent(serf, false, "other", 40);
    struct rf_message suspect = {
        .type = RF_MESSAGE_SUSPECT,
        .suspect = {5, rf_slice_text("me"), rf_slice_text("other")},
    };
    hear(serf, S, &suspect);
    assert_int_equal(serf->swim.self->incarnation, 6); /* refuted */
    save(serf);
    assert_int_equal(saved.clocks.member_time, 41);

    serf = node_new("me", &saved);
    drain(serf);
    assert_int_equal(serf->swim.self->incarnation, 7);
    assert_int_equal(serf->member_time, 41);
    rf_serf_free(serf);

    serf = node_new("you", &saved); /* another name has no past */
    assert_int_equal(serf->swim.self->incarnation, 1);
    assert_int_equal(serf->member_time, 41);
    rf_serf_free(serf);
}

static void a_restored_node_is_believed_where_it_is_remembered_dead(void **state)
{
    (void)state;
    struct rf_serf *me = node_new("me", NULL);
    save(me);
    struct rf_serf *other = node_new("other", NULL);
    hear_alive(other, S, "me");
    struct rf_message dead = {
        .type = RF_MESSAGE_DEAD,
        .dead = {1, rf_slice_text("me"), rf_slice_text("third")},
    };
    hear(other, S, &dead);
    assert_int_equal(rf_serf_alive_count(other), 1);

    me = node_new("me", &saved);
    struct rf_message alive = {.type = RF_MESSAGE_ALIVE,
                               .alive = {.incarnation = me->swim.self->incarnation,
                                         .node = rf_slice_text("me"),
                                         .address = address_of("me")}};
    memcpy(alive.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    hear(other, S, &alive);
    assert_int_equal(rf_serf_alive_count(other), 2);
    rf_serf_free(me);
    rf_serf_free(other);
}

static void an_incarnation_at_its_end_does_not_keep_a_node_from_starting(void **state)
{
    (void)state;
    rf_snapshot_init(&saved, 1);
    strcpy(saved.name, "me");
    saved.incarnation = UINT32_MAX;
    saved.clocks = (struct rf_snapshot_clocks){UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct rf_serf *serf = node_new("me", &saved);
    drain(serf);
    assert_int_equal(serf->swim.self->incarnation, UINT32_MAX - 1);
    rf_serf_free(serf);
}

static void members_alive_and_failed_are_saved_and_become_contacts(void **state)
{
    (void)state;
    struct rf_serf *serf = node_new("me", NULL);
    hear_alive(serf, S, "alive");
    hear_alive(serf, S, "failed");
    hear_alive(serf, S, "gone");
    struct rf_message dead = {
        .type = RF_MESSAGE_DEAD,
        .dead = {1, rf_slice_text("failed"), rf_slice_text("alive")},
    };
    hear(serf, S, &dead);
    hear_intent(serf, true, "gone", 9);
    dead.dead = (struct rf_dead){1, rf_slice_text("gone"), rf_slice_text("gone")};
    hear(serf, S, &dead);
    save(serf);
    assert_int_equal(saved.contacts.count, 2);
    assert_true(rf_contacts_find(&saved.contacts, rf_slice_text("alive"))->was_alive);
    assert_false(rf_contacts_find(&saved.contacts, rf_slice_text("failed"))->was_alive);

    serf = node_new("me", &saved);
    drain(serf);
    assert_int_equal(rf_serf_members_count(serf), 1); /* they are no members yet */
    struct rf_address picks[4];
    bool is_last = false;
    assert_int_equal(rf_serf_rejoin_pick(serf, picks, 1, &is_last), 1);
    assert_int_equal(picks[0].ip[3], 'a'); /* the alive first */
    assert_false(is_last);
    assert_int_equal(rf_serf_rejoin_pick(serf, picks, 4, &is_last), 1);
    assert_int_equal(picks[0].ip[3], 'f');
    assert_true(is_last);
    assert_int_equal(rf_serf_rejoin_pick(serf, picks, 4, &is_last), 2); /* and round again */

    rf_snapshot_fini(&saved);
    save(serf); /* and survive another restart without having been met */
    assert_int_equal(saved.contacts.count, 2);
}

static void a_contact_ends_as_a_member_or_by_leaving(void **state)
{
    (void)state;
    struct rf_serf *serf = node_new("me", NULL);
    hear_alive(serf, S, "a");
    hear_alive(serf, S, "b");
    save(serf);
    serf = node_new("me", &saved);
    assert_int_equal(rf_serf_rejoin_count(serf), 2);
    hear_alive(serf, S, "a");
    assert_int_equal(rf_serf_rejoin_count(serf), 1);
    hear_intent(serf, true, "b", 50);
    assert_int_equal(rf_serf_rejoin_count(serf), 0);
    rf_serf_free(serf);
}

/* How many push/pulls are opened in so many reconnect intervals. */
static size_t calls(struct rf_serf *serf, uint64_t from_ns, uint64_t until_ns)
{
    size_t count = 0;
    for (uint64_t now_ns = from_ns; now_ns < until_ns; now_ns += 15 * S) {
        struct rf_output output;
        rf_serf_tick(serf, now_ns);
        while (rf_serf_next(serf, &output)) {
            count += output.type == RF_OUTPUT_EXCHANGE && output.address.ip[3] == 'a';
        }
    }
    rf_serf_check(serf);
    return count;
}

static void contacts_are_called_and_forgotten_only_by_who_sees_others(void **state)
{
    (void)state;
    struct rf_serf *serf = node_new("me", NULL);
    hear_alive(serf, S, "a");
    save(serf);
    serf = node_new("me", &saved);
    assert_int_equal(calls(serf, S, 301 * S), 9); /* every 30 s, alone as it is */
    (void)calls(serf, 301 * S, 30 * HOUR);
    assert_int_equal(rf_serf_rejoin_count(serf), 1);
    hear_alive(serf, 30 * HOUR, "b");
    rf_serf_tick(serf, 30 * HOUR + 16 * S);
    drain(serf);
    assert_int_equal(rf_serf_rejoin_count(serf), 0);
    rf_serf_free(serf);
}

static void who_is_alone_remembers_the_failed_beyond_their_time(void **state)
{
    (void)state;
    struct rf_serf *serf = node_new("me", NULL);
    hear_alive(serf, S, "a");
    struct rf_message dead = {
        .type = RF_MESSAGE_DEAD,
        .dead = {1, rf_slice_text("a"), rf_slice_text("me")},
    };
    hear(serf, S, &dead);
    (void)calls(serf, S, 30 * HOUR);
    assert_int_equal(rf_serf_members_count(serf), 2);
    hear_alive(serf, 30 * HOUR, "b");
    rf_serf_tick(serf, 30 * HOUR + 16 * S);
    drain(serf);
    assert_false(rf_serf_member_find(serf, "a", 1, &(struct rf_serf_member_view){0}));
    rf_serf_free(serf);
}

static void what_was_seen_before_a_restart_is_not_news_after_it(void **state)
{
    (void)state;
    struct rf_serf *serf = node_new("me", NULL);
    assert_true(rf_serf_event_new(serf, 20, rf_slice_text("deploy"), rf_slice(NULL, 0)));
    assert_true(rf_serf_query_new(serf, 30, 5));
    save(serf);
    serf = node_new("me", &saved);
    assert_false(rf_serf_event_new(serf, 20, rf_slice_text("deploy"), rf_slice(NULL, 0)));
    assert_false(rf_serf_query_new(serf, 30, 5));
    assert_true(rf_serf_event_new(serf, 21, rf_slice_text("deploy"), rf_slice(NULL, 0)));
    assert_true(rf_serf_query_new(serf, 31, 5));
    rf_serf_free(serf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot_gives_back_what_was_put),
        cmocka_unit_test(snapshot_has_the_bytes_that_the_header_says),
        cmocka_unit_test(a_cut_file_costs_only_the_record_that_is_cut),
        cmocka_unit_test(a_flipped_bit_costs_only_the_record_it_is_in),
        cmocka_unit_test(a_record_that_makes_no_sense_is_passed_over),
        cmocka_unit_test(no_more_than_the_allowed_members_are_read),
        cmocka_unit_test_teardown(a_restored_node_goes_on_with_clocks_and_incarnation,
                                  forget_saved),
        cmocka_unit_test_teardown(a_restored_node_is_believed_where_it_is_remembered_dead,
                                  forget_saved),
        cmocka_unit_test_teardown(an_incarnation_at_its_end_does_not_keep_a_node_from_starting,
                                  forget_saved),
        cmocka_unit_test_teardown(members_alive_and_failed_are_saved_and_become_contacts,
                                  forget_saved),
        cmocka_unit_test_teardown(a_contact_ends_as_a_member_or_by_leaving, forget_saved),
        cmocka_unit_test_teardown(contacts_are_called_and_forgotten_only_by_who_sees_others,
                                  forget_saved),
        cmocka_unit_test(who_is_alone_remembers_the_failed_beyond_their_time),
        cmocka_unit_test_teardown(what_was_seen_before_a_restart_is_not_news_after_it,
                                  forget_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
