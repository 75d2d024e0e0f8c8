/* SPDX-License-Identifier: MIT
 *
 * What a stranger with sockets can do to a node: the limits of gossip/README.md, from outside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"
#include "gossip/message.h"
#include "gossip/packet.h"
#include "gossip/serf.h"
#include "gossip/serf_message.h"
#include "gossip/stream.h"
#include "nodes.h"
#include "tests/support/listener.h"

static const uint8_t key_bytes[32] = "0123456789abcdef0123456789abcdef";

/* Connected to the node, from 127.`net`.0.1; 0: from wherever the system likes. */
static int stranger_from(const struct node *node, int type, uint8_t net)
{
    struct sockaddr_storage sockaddr;
    socklen_t size = rf_address_to_sockaddr(rf_gossip_bound(node->gossip), &sockaddr);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (net != 0) {
        struct sockaddr_in own = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(0x7f000001u | (uint32_t)net << 16)};
        assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
    }
    assert_int_equal(connect(fd, (struct sockaddr *)&sockaddr, size), 0);
    return fd;
}

/* Everything that comes back within the time, put together; returns its size. */
static size_t answers(int fd, uint8_t *ret, size_t ret_size_max, int timeout_ms)
{
    size_t size = 0;
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    while (size < ret_size_max && poll(&poll_fd, 1, timeout_ms) == 1) {
        ssize_t got = recv(fd, ret + size, ret_size_max - size, 0);
        if (got <= 0) {
            break;
        }
        size += (size_t)got;
    }
    return size;
}

/* ---- one address among others ---- */

SCENARIO(one_address_cannot_take_every_place_for_streams)
{
    struct rf_gossip_config *config = node_config("a");
    config->profile = RF_GOSSIP_LAN; /* 10 s for a stream: none of them ends by time */
    struct node a = node_start(config);
    enum { FLOOD = 2 * RF_GOSSIP_ADDRESS_STREAMS_MAX };
    int fds[FLOOD];
    for (int i = 0; i < FLOOD; i++) {
        fds[i] = stranger_from(&a, SOCK_STREAM, 77);
        (void)!send(fds[i], "\x06", 1, MSG_NOSIGNAL);
    }
    assert_soon(COUNTER(&a, streams_refused_address) == FLOOD / 2);
    assert_int_equal(COUNTER(&a, streams), RF_GOSSIP_ADDRESS_STREAMS_MAX);
    struct node b = node_start_at("b", a.address); /* from another address */
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    for (int i = 0; i < FLOOD; i++) {
        close(fds[i]);
    }
    node_kill(&b);
    node_kill(&a);
}

/* Several streams that are always about to be whole. */
SCENARIO(one_address_cannot_hold_all_memory_for_streams)
{
    struct rf_gossip_config *config = node_config("a");
    config->profile = RF_GOSSIP_LAN;
    struct node a = node_start(config);
    static uint8_t bytes[1 << 20];
    static const uint8_t header[] = "\x06\x83\xa4"
                                    "Join"
                                    "\xc2\xa5"
                                    "Nodes"
                                    "\x00\xac"
                                    "UserStateLen"
                                    "\xce\x01\x3f\x00\x00"; /* 20.9 MB */
    enum { STREAMS = 8, EACH = 12 << 20 };
    int fds[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
        fds[i] = stranger_from(&a, SOCK_STREAM, 77);
        (void)!send(fds[i], header, sizeof(header) - 1, MSG_NOSIGNAL);
        for (size_t sent = 0; sent < EACH; sent += sizeof(bytes)) {
            if (send(fds[i], bytes, sizeof(bytes), MSG_NOSIGNAL) < 0) {
                break; /* the node has had enough */
            }
            assert_true(COUNTER(&a, stream_bytes) <= RF_GOSSIP_ADDRESS_STREAM_BYTES_MAX);
        }
    }
    assert_soon(COUNTER(&a, streams_refused_address) >= 1);
    assert_in_range(COUNTER(&a, stream_bytes), 8 << 20, RF_GOSSIP_ADDRESS_STREAM_BYTES_MAX);
    assert_in_range(COUNTER(&a, stream_bytes_peak), 8 << 20, RF_GOSSIP_STREAM_BYTES_MAX);
    struct node b = node_start_at("b", a.address);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    for (int i = 0; i < STREAMS; i++) {
        close(fds[i]);
    }
    node_kill(&b);
    node_kill(&a);
}

/* ---- answers ---- */

SCENARIO(a_stranger_gets_no_more_bytes_than_it_sent)
{
    struct node a = node_start_at("a", NULL);
    struct node b = node_start_at("b", a.address); /* so that there is gossip to ride on acks */
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    const struct rf_gossip_tag tags[] = {{"group", "something that is worth telling"}};
    assert_int_equal(rf_gossip_set_tags(a.gossip, tags, 1, NULL), 0);
    static const uint8_t small[] = {0x00, 0x81, 0xa5, 'S', 'e', 'q', 'N', 'o', 0x01};
    uint8_t bytes[256];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_message ping = {.type = RF_MESSAGE_PING,
                              .ping = {.seq_no = 7,
                                       .node = rf_slice_text("a"),
                                       .source = {.ip = {127, 0, 0, 9}, .ip_size = 4, .port = 9},
                                       .source_node = rf_slice_text("stranger")}};
    assert_true(rf_message_encode(&ping, &packer) > 0);
    uint8_t answer[65536];
    int small_fd = stranger_from(&a, SOCK_DGRAM, 77);
    int fd = stranger_from(&a, SOCK_DGRAM, 77);
    assert_int_equal(send(small_fd, small, sizeof(small), 0), sizeof(small));
    assert_int_equal(send(fd, bytes, packer.size, 0), packer.size);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    /* By then the first one was taken, too. */
    assert_int_equal(poll(&poll_fd, 1, FIXTURE_EVENTUALLY_MS), 1);
    assert_in_range(answers(fd, answer, sizeof(answer), 300), 1, packer.size);
    assert_int_equal(answer[0], RF_MESSAGE_ACK);
    assert_in_range(answers(small_fd, answer, sizeof(answer), 300), 0, sizeof(small));
    close(small_fd);
    close(fd);
    node_kill(&b);
    node_kill(&a);
}

/* ---- replays ---- */

struct sealed {
    struct rf_keyring *keyring;
    struct rf_envelope envelope;
    struct rf_lzw_workspace workspace;
    uint8_t bytes[2048];
    size_t size;
};

static struct node node_with_key(struct sealed *sealed)
{
    const struct rf_gossip_key keys[] = {{key_bytes, sizeof(key_bytes)}};
    struct rf_gossip_config *config = node_config("a");
    config->keys = keys;
    config->keys_count = 1;
    assert_int_equal(rf_keyring_new(&sealed->keyring, NULL), 0);
    assert_int_equal(rf_keyring_add(sealed->keyring, rf_slice(key_bytes, sizeof(key_bytes)), NULL),
                     0);
    sealed->envelope = (struct rf_envelope){.keyring = sealed->keyring};
    return node_start(config);
}

SCENARIO(a_packet_that_is_sent_again_is_dropped)
{
    static struct sealed sealed;
    struct node a = node_with_key(&sealed);
    uint8_t message[128];
    struct rf_packer packer = rf_packer(message, sizeof(message));
    struct rf_message ping = {.type = RF_MESSAGE_PING,
                              .ping = {.seq_no = 7,
                                       .node = rf_slice_text("a"),
                                       .source_node = rf_slice_text("somebody")}};
    assert_true(rf_message_encode(&ping, &packer) > 0);
    struct rf_packet_options options = {.compress = false};
    int size = rf_packet_seal(&sealed.envelope, &options, &sealed.workspace,
                              rf_packer_slice(&packer), sealed.bytes, sizeof(sealed.bytes));
    assert_true(size > 0);
    int fd = stranger_from(&a, SOCK_DGRAM, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(send(fd, sealed.bytes, (size_t)size, 0), size);
    }
    assert_soon(COUNTER(&a, packets_replayed) == 4);
    sealed.bytes[0] ^= 1; /* the version is not authenticated: as version 0 it is no other packet */
    assert_int_equal(send(fd, sealed.bytes, (size_t)size, 0), size);
    size = rf_packet_seal(&sealed.envelope, &options, &sealed.workspace, rf_packer_slice(&packer),
                          sealed.bytes, sizeof(sealed.bytes));
    assert_int_equal(send(fd, sealed.bytes, (size_t)size, 0), size); /* the same, sealed anew */
    assert_soon(COUNTER(&a, packets_received) == 7);
    struct rf_serf_stats stats;
    assert_int_equal(rf_gossip_get_serf_stats(a.gossip, &stats), 0);
    assert_int_equal(stats.swim.pings_received, 2);
    close(fd);
    rf_keyring_free(sealed.keyring);
    node_kill(&a);
}

SCENARIO(a_stream_that_is_sent_again_is_closed)
{
    static struct sealed sealed;
    struct node a = node_with_key(&sealed);
    uint8_t message[128];
    struct rf_packer packer = rf_packer(message, sizeof(message));
    struct rf_message ping = {.type = RF_MESSAGE_PING,
                              .ping = {.seq_no = 7, .node = rf_slice_text("a")}};
    assert_true(rf_message_encode(&ping, &packer) > 0);
    struct rf_stream_options options = {.compress = true};
    int size = rf_stream_seal(&sealed.envelope, &options, &sealed.workspace,
                              rf_packer_slice(&packer), sealed.bytes, sizeof(sealed.bytes));
    assert_true(size > 0);
    uint8_t answer[256];
    for (int i = 0; i < 3; i++) {
        int fd = stranger_from(&a, SOCK_STREAM, 0);
        assert_int_equal(send(fd, sealed.bytes, (size_t)size, 0), size);
        size_t answer_size = answers(fd, answer, sizeof(answer), FIXTURE_EVENTUALLY_MS);
        assert_true((answer_size > 0) == (i == 0));
        close(fd);
    }
    assert_int_equal(COUNTER(&a, streams_replayed), 2);
    rf_keyring_free(sealed.keyring);
    node_kill(&a);
}

/* ---- the end of 32 and of 64 bits ---- */

static void forge(const struct node *node, const struct rf_message *message)
{
    uint8_t bytes[512];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(message, &packer) > 0);
    int fd = stranger_from(node, SOCK_DGRAM, 0);
    assert_int_equal(send(fd, bytes, packer.size, 0), packer.size);
    close(fd);
}

static void forge_serf(const struct node *node, const struct rf_serf_message *message)
{
    uint8_t bytes[512];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    rf_pack_byte(&packer, RF_MESSAGE_USER);
    assert_true(rf_serf_message_encode(message, &packer) > 0);
    int fd = stranger_from(node, SOCK_DGRAM, 0);
    assert_int_equal(send(fd, bytes, packer.size, 0), packer.size);
    close(fd);
}

/* Everything that could be said of "b" with a number that nothing is above. */
static void forge_ends(const struct node *node, const struct rf_address *address_of_b)
{
    struct rf_slice b = rf_slice_text("b");
    struct rf_message alive = {
        .type = RF_MESSAGE_ALIVE,
        .alive = {.incarnation = UINT32_MAX, .node = b, .address = *address_of_b}};
    memcpy(alive.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    forge(node, &alive);
    struct rf_message suspect = {.type = RF_MESSAGE_SUSPECT,
                                 .suspect = {UINT32_MAX, b, rf_slice_text("x")}};
    forge(node, &suspect);
    struct rf_message dead = {.type = RF_MESSAGE_DEAD, .dead = {UINT32_MAX, b, rf_slice_text("x")}};
    forge(node, &dead);
    dead.dead.from = b; /* as if it had left */
    forge(node, &dead);
    struct rf_serf_message leave = {.type = RF_SERF_LEAVE,
                                    .leave = {.ltime = UINT64_MAX, .node = b}};
    forge_serf(node, &leave);
    struct rf_serf_message join = {.type = RF_SERF_JOIN, .join = {.ltime = UINT64_MAX, .node = b}};
    forge_serf(node, &join);
    struct rf_serf_message event = {
        .type = RF_SERF_USER_EVENT,
        .user_event = {.ltime = UINT64_MAX, .name = rf_slice_text("deploy")}};
    forge_serf(node, &event);
}

SCENARIO(numbers_at_their_end_freeze_nobody_out_at_a_real_agent)
{
    struct rf_gossip_config *config = node_config("a");
    config->profile = RF_GOSSIP_LAN;
    struct node a = node_start(config);
    config = node_config("b");
    config->profile = RF_GOSSIP_LAN;
    const char *seed = a.address;
    config->seeds = &seed;
    config->seeds_count = 1;
    struct node b = node_start(config);
    char join[96];
    snprintf(join, sizeof(join), "-join=%s", a.address);
    struct agent agent = agent_start("agent", ARGUMENTS(join));
    assert_soon(agent_members_count(&agent, "alive") == 3);
    assert_soon(node_status(&a).alive_count == 3 && node_status(&b).alive_count == 3);
    forge_ends(&a, rf_gossip_bound(b.gossip));
    forge_ends(&b, rf_gossip_bound(b.gossip)); /* and to itself */
    sleep_ms(3000);                            /* what was taken would have been gossiped */
    assert_int_equal(agent_members_count(&agent, "alive"), 3);
    assert_true(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_int_equal(log_count("agent", "EventMemberFailed"), 0);
    struct rf_serf_stats stats = {0};
    assert_int_equal(rf_gossip_get_serf_stats(a.gossip, &stats), 0);
    assert_true(stats.swim.dropped_absurd >= 4 && stats.serf_dropped_absurd >= 3);
    assert_true(stats.member_time < 1000 && stats.event_time < 1000);
    /* It is still heard: its news is newer than what was forged. */
    const struct rf_gossip_tag tags[] = {{"group", "after"}};
    assert_int_equal(rf_gossip_set_tags(b.gossip, tags, 1, NULL), 0);
    assert_soon(agent_sees_tag(&agent, "b", "group", "after"));
    node_leave(&b);
    assert_soon(agent_sees(&agent, "b", "left"));
    node_kill(&a);
}

/* ---- more streams at once than there are places ---- */

enum { NAMES = 50, GUESSES = 4, PARTS_MAX = 255 };

/* Everywhere, where no stream can be opened: the system says so at once. */
static const struct rf_address nowhere[2] = {
    {.ip = {255, 255, 255, 255}, .ip_size = 4, .port = 7946},
    {.ip = {255, 255, 255, 255}, .ip_size = 4, .port = 7947},
};

struct compound {
    uint8_t parts[32768];
    uint16_t sizes[PARTS_MAX];
    size_t size;
    size_t count;
};

static void compound_add(struct compound *compound, const struct rf_message *message)
{
    struct rf_packer packer =
        rf_packer(compound->parts + compound->size, sizeof(compound->parts) - compound->size);
    int size = rf_message_encode(message, &packer);
    assert_true(size > 0);
    compound->sizes[compound->count++] = (uint16_t)size;
    compound->size += (size_t)size;
}

static void compound_send(const struct node *node, const struct compound *compound)
{
    uint8_t bytes[sizeof(*compound)] = {RF_MESSAGE_COMPOUND, (uint8_t)compound->count};
    size_t size = 2;
    for (size_t i = 0; i < compound->count; i++) {
        bytes[size++] = (uint8_t)(compound->sizes[i] >> 8);
        bytes[size++] = (uint8_t)compound->sizes[i];
    }
    memcpy(bytes + size, compound->parts, compound->size);
    int fd = stranger_from(node, SOCK_DGRAM, 0);
    assert_true(send(fd, bytes, size + compound->size, 0) > 0);
    close(fd);
}

/* Names that are claimed, and acks, by numbers that can be guessed, that end the claims. */
static void compound_names(struct compound *compound, const struct rf_address places[2],
                           uint32_t incarnation, uint32_t guesses)
{
    *compound = (struct compound){0};
    for (uint32_t i = 0; i < NAMES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", i);
        struct rf_message alive = {.type = RF_MESSAGE_ALIVE,
                                   .alive = {.incarnation = incarnation,
                                             .node = rf_slice_text(name),
                                             .address = places[incarnation - 1]}};
        memcpy(alive.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
        compound_add(compound, &alive);
        for (uint32_t guess = 0; guess < guesses; guess++) {
            struct rf_message ack = {.type = RF_MESSAGE_ACK, .ack = {.seq_no = 1 + i + guess}};
            compound_add(compound, &ack);
        }
    }
}

/* A node that has heard of the names at the first place, and then at the second. */
static struct node node_with_claims(const struct rf_address places[2])
{
    static struct compound compound;
    struct rf_gossip_config *config = node_config("a");
    config->profile = RF_GOSSIP_LAN;
    struct node node = node_start(config);
    struct rf_serf_stats stats = {0};
    compound_names(&compound, places, 1, 0);
    compound_send(&node, &compound);
    compound_names(&compound, places, 2, GUESSES);
    compound_send(&node, &compound);
    assert_soon(rf_gossip_get_serf_stats(node.gossip, &stats) == 0 &&
                2 * stats.swim.claims > RF_SWIM_EXCHANGES_MAX);
    return node;
}

SCENARIO(a_packet_that_opens_more_streams_than_there_are_places_is_survived)
{
    struct node a = node_with_claims(nowhere);
    node_kill(&a);
}

SCENARIO(a_packet_that_opens_many_streams_takes_no_place_of_others)
{
    struct rf_address silent[2];
    int listeners[2];
    for (int i = 0; i < 2; i++) {
        silent[i] = (struct rf_address){.ip = {127, 0, 0, 1}, .ip_size = 4};
        listeners[i] = listen_on_loopback(&silent[i].port);
    }
    struct node a = node_with_claims(silent);
    assert_true(COUNTER(&a, streams) <= RF_SWIM_EXCHANGES_MAX);
    node_kill(&a);
    close(listeners[0]);
    close(listeners[1]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest among_agents[] = {
        scenario_test(numbers_at_their_end_freeze_nobody_out_at_a_real_agent),
    };
    const struct CMUnitTest tests[] = {
        scenario_test(one_address_cannot_take_every_place_for_streams),
        scenario_test(one_address_cannot_hold_all_memory_for_streams),
        scenario_test(a_stranger_gets_no_more_bytes_than_it_sent),
        scenario_test(a_packet_that_is_sent_again_is_dropped),
        scenario_test(a_stream_that_is_sent_again_is_closed),
        scenario_test(a_packet_that_opens_more_streams_than_there_are_places_is_survived),
        scenario_test(a_packet_that_opens_many_streams_takes_no_place_of_others),
    };
    if (argc > 1 && strcmp(argv[1], "agents") == 0) {
        fixture_need_serf();
        return cmocka_run_group_tests(among_agents, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
