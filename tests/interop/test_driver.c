/* SPDX-License-Identifier: MIT
 *
 * Our own nodes on real sockets: what the driver promises in gossip/gossip.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/random.h"
#include "fixture.h"
#include "gossip/message.h"
#include "nodes.h"

static const uint8_t key_a[32] = "0123456789abcdef0123456789abcdef";
static const uint8_t key_b[32] = "fedcba9876543210fedcba9876543210";

/* ---- members ---- */

SCENARIO(two_nodes_see_each_other_and_their_tags)
{
    struct node a = node_start_at("a", NULL);
    struct rf_gossip_config *config = node_config("b");
    const struct rf_gossip_tag tags[] = {{"group", "web"}, {"addr", "10.0.0.1:80"}};
    const char *seed = a.address;
    config->tags = tags;
    config->tags_count = 2;
    config->seeds = &seed;
    config->seeds_count = 1;
    struct node b = node_start(config);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_soon(node_sees(&b, "a", RF_MEMBER_ALIVE));
    assert_true(node_sees_tag(&a, "b", "addr", "10.0.0.1:80"));
    assert_true(node_sees_tag(&b, "b", "group", "web"));
    assert_true(node_sees_tag(&a, "b", "replicas", NULL));
    assert_soon(node_status(&b).joined); /* it may hear of a before it has a's reply */
    assert_int_equal(node_status(&a).alive_count, 2);
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(changed_tags_reach_the_others)
{
    struct node a = node_start_at("a", NULL);
    struct node b = node_start_at("b", a.address);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    const struct rf_gossip_tag tags[] = {{"replicas", "17"}};
    assert_int_equal(rf_gossip_set_tags(b.gossip, tags, 1, NULL), 0);
    assert_soon(node_sees_tag(&a, "b", "replicas", "17"));
    assert_int_equal(rf_gossip_set_tags(b.gossip, NULL, 0, NULL), 0);
    assert_soon(node_sees_tag(&a, "b", "replicas", NULL));
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_node_that_leaves_is_seen_as_left)
{
    struct node a = node_start_at("a", NULL);
    struct node b = node_start_at("b", a.address);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_int_equal(rf_gossip_leave(b.gossip, 15000), 0);
    assert_soon(node_sees(&a, "b", RF_MEMBER_LEFT));
    assert_true(node_status(&b).left);
    assert_int_equal(rf_gossip_leave(b.gossip, 0), 0);
    struct rf_error err = {0};
    assert_int_equal(rf_gossip_set_tags(b.gossip, NULL, 0, &err), -ESHUTDOWN);
    assert_string_equal(err.text, "gossip: the node has left");
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_node_alone_leaves_without_waiting_for_others)
{
    struct node a = node_start_at("a", NULL);
    uint64_t start_ms = now_ms();
    assert_int_equal(rf_gossip_leave(a.gossip, 15000), 0);
    assert_in_range(now_ms() - start_ms, 0, 5000);
    node_kill(&a);
}

SCENARIO(a_leave_that_takes_longer_than_the_caller_waits_goes_on)
{
    struct node a = node_start_at("a", NULL);
    struct node b = node_start_at("b", a.address);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_int_equal(rf_gossip_leave(b.gossip, 0), -ETIMEDOUT);
    assert_int_equal(rf_gossip_leave(b.gossip, 15000), 0);
    assert_soon(node_sees(&a, "b", RF_MEMBER_LEFT));
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_node_that_dies_without_a_word_fails_and_may_come_back)
{
    struct node a = node_start_at("a", NULL);
    struct node b = node_start_at("b", a.address);
    char address[64];
    snprintf(address, sizeof(address), "%s", b.address);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    node_kill(&b);
    assert_eventually(node_sees(&a, "b", RF_MEMBER_FAILED));
    struct rf_gossip_config *config = node_config("b");
    const char *seed = a.address;
    config->bind = address;
    config->seeds = &seed;
    config->seeds_count = 1;
    b = node_start(config);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_node_restarted_without_its_memory_is_told_by_who_probes_it)
{
    struct node a = node_start_at("a", NULL);
    struct node b = node_start_at("b", a.address);
    struct node c = node_start_at("c", a.address);
    char address[64];
    snprintf(address, sizeof(address), "%s", a.address);
    assert_soon(node_members_count(&b) == 3 && node_members_count(&c) == 3);
    node_kill(&a);
    struct rf_gossip_config *config = node_config("a");
    config->bind = address;
    a = node_start(config); /* before anybody has missed it, and without a seed */
    assert_soon(node_members_count(&a) == 3);
    node_kill(&c);
    node_kill(&b);
    node_kill(&a);
}

/* ---- IPv6 ---- */

static struct rf_gossip_config *bound_to(const char *name, const char *bind, const char *advertise,
                                         const char **seed)
{
    struct rf_gossip_config *config = node_config(name);
    config->bind = bind;
    config->advertise = advertise;
    config->seeds = seed;
    config->seeds_count = *seed == NULL ? 0 : 1;
    return config;
}

SCENARIO(nodes_on_ipv6_see_each_other)
{
    const char *seed = NULL;
    struct node a = node_start(bound_to("a", "[::1]:0", NULL, &seed));
    seed = a.address;
    struct node b = node_start(bound_to("b", "[::1]:0", NULL, &seed));
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_soon(COUNTER(&a, packets_received) >= 3 && COUNTER(&b, packets_received) >= 3);
    assert_int_equal(COUNTER(&a, packet_send_errors) + COUNTER(&b, packet_send_errors), 0);
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_node_bound_to_every_ipv6_address_talks_ipv4_too)
{
    const char *seed = NULL;
    struct node a = node_start(bound_to("a", "[::]:0", "127.0.0.1", &seed));
    char text[RF_ADDRESS_TEXT_SIZE];
    seed = rf_address_format(rf_gossip_advertised(a.gossip), text);
    struct node b = node_start(bound_to("b", "127.0.0.1:0", NULL, &seed));
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_soon(COUNTER(&a, packets_received) >= 3 && COUNTER(&b, packets_received) >= 3);
    assert_int_equal(COUNTER(&a, packet_send_errors) + COUNTER(&b, packet_send_errors), 0);
    assert_true(node_sees(&b, "a", RF_MEMBER_ALIVE));
    node_kill(&b);
    node_kill(&a);
}

/* Ends the program with 77 where the system has no IPv6. */
static void need_ipv6(void)
{
    const struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&sin6, sizeof(sin6)) < 0) {
        printf("skipped: the system has no IPv6 loopback address: %s\n", strerror(errno));
        exit(77);
    }
    close(fd);
}

/* ---- keys and labels ---- */

static struct rf_gossip_config *keyed(const char *name, const struct rf_gossip_key *keys,
                                      size_t keys_count, const char *label, const char **seed)
{
    struct rf_gossip_config *config = node_config(name);
    config->keys = keys;
    config->keys_count = keys_count;
    config->label = label;
    config->seeds = seed;
    config->seeds_count = *seed == NULL ? 0 : 1;
    return config;
}

SCENARIO(only_nodes_with_the_key_get_into_an_encrypted_cluster)
{
    const struct rf_gossip_key both[] = {{key_a, 32}, {key_b, 32}};
    const struct rf_gossip_key second[] = {{key_b, 32}};
    const char *seed = NULL;
    struct node a = node_start(keyed("a", both, 2, NULL, &seed));
    seed = a.address;
    struct node b = node_start(keyed("b", both, 2, NULL, &seed));
    struct node plain = node_start(keyed("plain", NULL, 0, NULL, &seed));
    struct node wrong = node_start(keyed("wrong", second, 1, NULL, &seed));
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_soon(COUNTER(&a, streams_rejected) >= 1);
    assert_soon(node_status(&plain).join_error[0] != '\0');
    /* Its own packets are opened by the second key; the reply, sealed with the first, is not. */
    assert_soon(node_status(&wrong).join_error[0] != '\0');
    assert_false(node_sees(&a, "plain", RF_MEMBER_ALIVE));
    assert_false(node_status(&plain).joined);
    assert_false(node_status(&wrong).joined);
    node_kill(&wrong);
    node_kill(&plain);
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(clusters_with_other_labels_do_not_mix)
{
    const char *seed = NULL;
    const struct rf_gossip_key keys[] = {{key_a, 16}};
    struct node a = node_start(keyed("a", keys, 1, "blue", &seed));
    seed = a.address;
    struct node b = node_start(keyed("b", keys, 1, "blue", &seed));
    struct node green = node_start(keyed("green", keys, 1, "green", &seed));
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_soon(node_status(&green).join_error[0] != '\0');
    assert_false(node_status(&green).joined);
    node_kill(&green);
    node_kill(&b);
    node_kill(&a);
}

/* ---- seeds ---- */

SCENARIO(a_seed_that_comes_up_later_is_joined)
{
    char address[64];
    snprintf(address, sizeof(address), "%s:%u", fixture_host(), fixture_port());
    struct node b = node_start_at("b", address);
    assert_soon(log_count("b", "join_failed") >= 2);
    assert_true(node_status(&b).join_rounds_count >= 2);
    assert_soon(strstr(node_status(&b).join_error, address) != NULL); /* a round begins without */
    assert_int_equal(log_count("b", "warn join_failed"), 1);
    struct rf_gossip_config *config = node_config("a");
    config->bind = address;
    struct node a = node_start(config);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_soon(node_status(&b).join_error[0] == '\0');
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_node_that_finds_itself_alone_joins_its_seeds_again)
{
    struct node a = node_start_at("a", NULL);
    struct node b = node_start_at("b", a.address);
    char address[64];
    snprintf(address, sizeof(address), "%s", a.address);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    node_leave(&a); /* b does not reconnect to who has left */
    assert_soon(node_sees(&b, "a", RF_MEMBER_LEFT));
    struct rf_gossip_config *config = node_config("a");
    config->bind = address;
    a = node_start(config);
    assert_eventually(node_sees(&a, "b", RF_MEMBER_ALIVE));
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_seed_may_be_a_host_name)
{
    struct rf_gossip_config *config = node_config("a");
    config->bind = "127.0.0.1:0";
    struct node a = node_start(config);
    char seed[64];
    snprintf(seed, sizeof(seed), "localhost:%u", rf_gossip_bound(a.gossip)->port);
    struct node b = node_start_at("b", seed);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_int_equal(log_count("b", "warn"), 0); /* ::1 refuses, which does not matter */
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_seed_that_is_the_node_itself_is_passed_over)
{
    char address[64];
    snprintf(address, sizeof(address), "%s:%u", fixture_host(), fixture_port());
    struct rf_gossip_config *config = node_config("a");
    const char *seed = address;
    config->bind = address;
    config->seeds = &seed;
    config->seeds_count = 1;
    struct node a = node_start(config);
    assert_soon(node_status(&a).join_rounds_count >= 1);
    assert_soon(node_status(&a).join_error[0] != '\0');
    assert_string_equal(node_status(&a).join_error, "every seed is this node itself");
    assert_int_equal(COUNTER(&a, streams_connected), 0);
    assert_int_equal(log_count("a", "warn"), 0);
    node_kill(&a);
}

/* ---- configuration ---- */

static void assert_refused(const struct rf_gossip_config *config, int code, const char *text)
{
    struct rf_gossip *gossip = NULL;
    struct rf_error err = {0};
    assert_int_equal(rf_gossip_start(config, &gossip, &err), code);
    assert_null(gossip);
    assert_string_equal(err.text, text);
}

SCENARIO(a_port_in_use_is_named_with_its_protocol)
{
    struct node a = node_start_at("a", NULL);
    struct rf_gossip_config *config = node_config("b");
    config->bind = a.address;
    char text[256];
    snprintf(text, sizeof(text),
             "gossip: %s is in use (udp): stop the program that uses it, or choose another bind "
             "address",
             a.address);
    assert_refused(config, -EADDRINUSE, text);
    node_kill(&a);

    uint16_t port = fixture_port();
    char address[64];
    snprintf(address, sizeof(address), "%s:%u", fixture_host(), port);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, fixture_host(), &sin.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(listen(fd, 1), 0);
    config->bind = address;
    snprintf(text, sizeof(text),
             "gossip: %s is in use (tcp): stop the program that uses it, or choose another bind "
             "address",
             address);
    assert_refused(config, -EADDRINUSE, text);
    close(fd);
}

SCENARIO(a_bad_configuration_is_refused_with_what_would_be_right)
{
    struct rf_gossip_config *config = node_config("a");
    const struct rf_gossip_config good = *config;

    config->name = "";
    assert_refused(config, -EINVAL, "gossip: no node name, expected 1..128 of A-Z a-z 0-9 . -");
    config->name = "a_b";
    assert_refused(config, -EINVAL,
                   "gossip: node name 'a_b': other characters than A-Z a-z 0-9 . -");
    *config = good;
    config->bind = "192.0.2.1:7370";
    assert_refused(config, -EADDRNOTAVAIL,
                   "gossip: 192.0.2.1:7370 is no address of this machine (udp): bind to one that "
                   "it has, or to :7370 for all");
    config->bind = "127.0.0.1:x";
    assert_refused(config, -EINVAL,
                   "gossip: bind: address '127.0.0.1:x': port 'x': allowed 0..65535");
    config->bind = NULL;
    assert_refused(config, -EINVAL, "gossip: bind: gossip: no address to bind, expected HOST:PORT");
    *config = good;
    config->advertise = "10.0.0.1:99999";
    assert_refused(config, -EINVAL,
                   "gossip: advertise: address '10.0.0.1:99999': port '99999': allowed 0..65535");
    *config = good;
    const struct rf_gossip_key short_key = {key_a, 15};
    config->keys = &short_key;
    config->keys_count = 1;
    struct rf_gossip *gossip = NULL;
    struct rf_error err = {0};
    assert_int_equal(rf_gossip_start(config, &gossip, &err), -EINVAL);
    assert_non_null(strstr(err.text, "gossip: key 1: "));
    *config = good;
    const char *seed = "10.0.0.1:0";
    config->seeds = &seed;
    config->seeds_count = 1;
    assert_refused(config, -EINVAL,
                   "gossip: seed to join: address '10.0.0.1:0': port '0': allowed 1..65535");
    *config = good;
    char label[300];
    memset(label, 'l', 256);
    label[256] = '\0';
    config->label = label;
    assert_refused(config, -EINVAL, "gossip: label of 256 bytes, allowed 0..255");
}

SCENARIO(tags_beyond_their_limit_are_refused_and_the_old_ones_stay)
{
    struct node a = node_start_at("a", NULL);
    const struct rf_gossip_tag small[] = {{"group", "web"}};
    assert_int_equal(rf_gossip_set_tags(a.gossip, small, 1, NULL), 0);

    char value[600];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    const struct rf_gossip_tag large[] = {{"group", value}};
    struct rf_error err = {0};
    assert_int_equal(rf_gossip_set_tags(a.gossip, large, 1, &err), RF_ELIMIT);
    assert_string_equal(err.text, "gossip: tags: names and values of 604 bytes do not fit into the "
                                  "allowed 512 bytes, encoded");
    const struct rf_gossip_tag twice[] = {{"group", "a"}, {"group", "b"}};
    assert_int_equal(rf_gossip_set_tags(a.gossip, twice, 2, &err), -EINVAL);
    assert_string_equal(err.text, "gossip: tag 'group' is there twice");
    assert_true(node_sees_tag(&a, "a", "group", "web"));
    node_kill(&a);
}

SCENARIO(the_first_private_address_stands_for_an_empty_host)
{
    struct rf_gossip_config *config = node_config("a");
    config->bind = ":0";
    struct node a = node_start(config);
    const struct rf_address *advertised = rf_gossip_advertised(a.gossip);
    struct rf_address expected;
    rf_address_first_private(&expected);
    expected.port = rf_gossip_bound(a.gossip)->port;
    assert_true(rf_address_equal(advertised, &expected));
    assert_int_equal(log_count("a", "advertise_chosen"), 1);
    node_kill(&a);
}

/* ---- what strangers send ---- */

static int stranger(const struct node *node, int type)
{
    struct sockaddr_storage sockaddr;
    socklen_t size = rf_address_to_sockaddr(rf_gossip_bound(node->gossip), &sockaddr);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sockaddr, size), 0);
    return fd;
}

SCENARIO(garbage_packets_are_counted_and_change_nothing)
{
    struct node a = node_start_at("a", NULL);
    struct node b = node_start_at("b", a.address);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    uint64_t seed = now_ms();
    printf("seed %llu\n", (unsigned long long)seed);
    struct rf_random random = {seed};
    int fd = stranger(&a, SOCK_DGRAM);
    uint64_t before = COUNTER(&a, packets_received);
    const uint64_t end_ms = now_ms() + FIXTURE_EVENTUALLY_MS;
    for (int i = 0;
         i < 5000 || (COUNTER(&a, packets_received) < before + 1000 && now_ms() < end_ms); i++) {
        uint8_t bytes[1500];
        size_t size = rf_random_below(&random, sizeof(bytes) + 1);
        for (size_t j = 0; j < size; j++) {
            bytes[j] = (uint8_t)rf_random_next(&random);
        }
        if (size > 0 && i % 2 == 0) {
            bytes[0] = (uint8_t)rf_random_below(&random, 14); /* a type there is */
        }
        (void)!send(fd, bytes, size, 0); /* full buffers may drop some */
        if (i % 100 == 0) {
            sleep_ms(1);
        }
    }
    close(fd);
    assert_soon(COUNTER(&a, packets_received) >= before + 1000);
    sleep_ms(1500); /* a probe later */
    assert_true(node_sees(&a, "b", RF_MEMBER_ALIVE));
    assert_true(node_sees(&b, "a", RF_MEMBER_ALIVE));
    assert_int_equal(node_members_count(&a), 2);
    assert_in_range(log_count("a", "packet_rejected"), 0, 2);
    node_kill(&b);
    node_kill(&a);
}

/* Sends bytes on a stream; waits until the node closes; returns how many bytes it answered. */
static size_t stream_answer(const struct node *node, const void *bytes, size_t size)
{
    int fd = stranger(node, SOCK_STREAM);
    (void)!send(fd, bytes, size, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    size_t answered = 0;
    uint8_t answer[4096];
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    while (poll(&poll_fd, 1, 5000) == 1) {
        ssize_t got = recv(fd, answer, sizeof(answer), 0);
        if (got <= 0) {
            close(fd);
            return answered;
        }
        answered += (size_t)got;
    }
    fail_msg("the stream stays open");
    return 0;
}

SCENARIO(malformed_streams_are_ended_and_counted)
{
    struct node a = node_start_at("a", NULL);
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\xff", 1},                 /* unknown type */
        {"\x06\xc1", 2},             /* push/pull without a map */
        {"\x0a\xff\xff\xff\xff", 5}, /* encrypted: no keys, and too long */
        {"\xf4\x00", 2},             /* label of no bytes */
        {"\xf4\x01x\x06", 4},        /* label that is not ours */
        {"\x09\x82\xa4"
         "Algo"
         "\x01\xa3"
         "Buf\xa0",
         13}, /* compressed by an unknown method */
        {"GET / HTTP/1.1\r\n\r\n", 18},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)stream_answer(&a, cases[i].bytes, cases[i].size);
    }
    assert_soon(COUNTER(&a, streams_rejected) >= 6);
    assert_soon(COUNTER(&a, streams) == 0 && COUNTER(&a, stream_bytes) == 0);
    assert_in_range(log_count("a", "stream_rejected"), 1, 1);
    struct node b = node_start_at("b", a.address);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_stream_that_brings_nothing_is_closed_in_time)
{
    struct node a = node_start_at("a", NULL); /* profile local: 1 s */
    uint64_t start_ms = now_ms();
    int silent = stranger(&a, SOCK_STREAM);
    int dripping = stranger(&a, SOCK_STREAM);
    assert_soon(COUNTER(&a, streams_accepted) == 2);
    while (COUNTER(&a, streams) > 0 && now_ms() < start_ms + FIXTURE_EVENTUALLY_MS) {
        (void)!send(dripping, "\x06", 1, MSG_NOSIGNAL);
        sleep_ms(100);
    }
    assert_in_range(now_ms() - start_ms, 500, FIXTURE_EVENTUALLY_MS / 3);
    assert_true(COUNTER(&a, streams_timed_out) >= 1);
    close(silent);
    close(dripping);
    node_kill(&a);
}

SCENARIO(a_flood_of_streams_is_bounded_and_passes)
{
    struct rf_gossip_config *config = node_config("a");
    config->profile = RF_GOSSIP_LAN; /* 10 s for a stream: none of them ends by time */
    struct node a = node_start(config);
    enum { FLOOD = 3 * RF_GOSSIP_STREAMS_MAX };
    int fds[FLOOD];
    for (int i = 0; i < FLOOD; i++) {
        fds[i] = stranger(&a, SOCK_STREAM);
    }
    assert_soon(COUNTER(&a, streams_refused) >= FLOOD / 3);
    assert_true(COUNTER(&a, streams) <= RF_GOSSIP_STREAMS_MAX);
    for (int i = 0; i < FLOOD; i++) {
        close(fds[i]);
    }
    assert_soon(COUNTER(&a, streams) == 0);
    struct node b = node_start_at("b", a.address);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    node_kill(&b);
    node_kill(&a);
}

/* Bytes announced by a header are not reserved, and what is sent counts once for all streams. */
SCENARIO(streams_together_buffer_no_more_than_their_limit)
{
    struct rf_gossip_config *config = node_config("a");
    config->profile = RF_GOSSIP_LAN; /* 10 s for a stream: none of them ends by time */
    struct node a = node_start(config);
    static uint8_t bytes[1 << 20];
    static const uint8_t header[] = "\x06\x83\xa4"
                                    "Join"
                                    "\xc2\xa5"
                                    "Nodes"
                                    "\x00\xac"
                                    "UserStateLen"
                                    "\xce\x01\x3f\x00\x00"; /* 20.9 MB */
    enum { STREAMS = 12, EACH = 8 << 20 };
    int fds[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
        fds[i] = stranger(&a, SOCK_STREAM);
        assert_int_equal(send(fds[i], header, sizeof(header) - 1, 0), sizeof(header) - 1);
        for (size_t sent = 0; sent < EACH; sent += sizeof(bytes)) {
            if (send(fds[i], bytes, sizeof(bytes), MSG_NOSIGNAL) < 0) {
                break; /* the node has had enough */
            }
            assert_true(COUNTER(&a, stream_bytes) <= RF_GOSSIP_STREAM_BYTES_MAX);
        }
    }
    assert_soon(COUNTER(&a, streams_refused) >= 1);
    for (int i = 0; i < STREAMS; i++) {
        close(fds[i]);
    }
    assert_soon(COUNTER(&a, stream_bytes) == 0);
    node_kill(&a);
}

SCENARIO(without_descriptors_it_waits_and_goes_on)
{
    struct node a = node_start_at("a", NULL);
    int waiting[3];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < 3; i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    int highest = dup(waiting[2]);
    close(highest);
    struct rlimit none = {.rlim_cur = (rlim_t)highest, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct sockaddr_storage sockaddr;
    socklen_t size = rf_address_to_sockaddr(rf_gossip_bound(a.gossip), &sockaddr);
    for (int i = 0; i < 3; i++) {
        (void)!connect(waiting[i], (struct sockaddr *)&sockaddr, size);
    }
    uint64_t deadline_ms = now_ms() + FIXTURE_EVENTUALLY_MS;
    while (COUNTER(&a, accept_errors) < 2 && now_ms() < deadline_ms) {
        sleep_ms(10);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0); /* first: checks need descriptors */
    assert_in_range(COUNTER(&a, accept_errors), 2, 40);
    assert_soon(COUNTER(&a, streams_accepted) == 3);
    for (int i = 0; i < 3; i++) {
        close(waiting[i]);
    }
    node_kill(&a);
}

/* ---- the consumer ---- */

static struct rf_gossip_event *event_wait(const struct node *node, int timeout_ms)
{
    uint64_t deadline_ms = now_ms() + (uint64_t)timeout_ms;
    for (;;) {
        struct rf_gossip_event *event = rf_gossip_event_next(node->gossip);
        if (event != NULL || now_ms() >= deadline_ms) {
            return event;
        }
        struct pollfd poll_fd = {.fd = rf_gossip_event_fd(node->gossip), .events = POLLIN};
        (void)poll(&poll_fd, 1, (int)(deadline_ms - now_ms()));
    }
}

static void assert_event(const struct node *node, const char *name, enum rf_member_state member)
{
    struct rf_gossip_event *event = event_wait(node, FIXTURE_EVENTUALLY_MS);
    assert_non_null(event);
    assert_int_equal(event->kind, RF_GOSSIP_EVENT_MEMBER);
    assert_int_equal(event->members.count, 1);
    assert_string_equal(event->members.items[0].name, name);
    assert_int_equal(event->members.items[0].state, member);
    rf_gossip_event_free(event);
}

SCENARIO(the_consumer_hears_of_members_in_order)
{
    struct rf_gossip_config *config = node_config("a");
    config->has_consumer = true;
    struct node a = node_start(config);
    assert_event(&a, "a", RF_MEMBER_ALIVE);
    struct node b = node_start_at("b", a.address);
    assert_event(&a, "b", RF_MEMBER_ALIVE);
    const struct rf_gossip_tag tags[] = {{"group", "web"}};
    assert_int_equal(rf_gossip_set_tags(b.gossip, tags, 1, NULL), 0);
    struct rf_gossip_event *event = event_wait(&a, FIXTURE_EVENTUALLY_MS);
    assert_non_null(event);
    assert_string_equal(rf_gossip_member_tag(&event->members.items[0], "group"), "web");
    assert_null(rf_gossip_member_tag(&event->members.items[0], "addr"));
    rf_gossip_event_free(event);
    node_leave(&b);
    assert_event(&a, "b", RF_MEMBER_LEAVING);
    assert_event(&a, "b", RF_MEMBER_LEFT);
    assert_null(event_wait(&a, 0));
    node_kill(&a);
}

SCENARIO(a_consumer_that_falls_behind_is_given_the_whole_list)
{
    struct rf_gossip_config *config = node_config("a");
    config->has_consumer = true;
    struct node a = node_start(config);
    enum { CHANGES = RF_GOSSIP_EVENTS_MAX + 500 };
    char value[16];
    const struct rf_gossip_tag tags[] = {{"n", value}};
    for (int i = 1; i <= CHANGES; i++) {
        snprintf(value, sizeof(value), "%d", i);
        assert_int_equal(rf_gossip_set_tags(a.gossip, tags, 1, NULL), 0);
    }
    int members_count = 0;
    int resyncs_count = 0;
    char last[16] = "";
    struct rf_gossip_event *event;
    while ((event = event_wait(&a, resyncs_count == 0 ? FIXTURE_EVENTUALLY_MS : 300)) != NULL) {
        const char *tag = rf_gossip_member_tag(&event->members.items[0], "n");
        snprintf(last, sizeof(last), "%s", tag == NULL ? "" : tag);
        members_count += event->kind == RF_GOSSIP_EVENT_MEMBER;
        resyncs_count += event->kind == RF_GOSSIP_EVENT_RESYNC;
        rf_gossip_event_free(event);
    }
    assert_int_equal(members_count, RF_GOSSIP_EVENTS_MAX);
    assert_int_equal(resyncs_count, 1);
    assert_string_equal(last, value);
    /* What happens afterwards comes one by one again. */
    assert_int_equal(rf_gossip_set_tags(a.gossip, NULL, 0, NULL), 0);
    assert_event(&a, "a", RF_MEMBER_ALIVE);
    node_kill(&a);
}

/* Somebody else, who is there, says that NAME is his. Returns his socket. */
static int claim_name(const struct node *node, const char *name)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t place_size = sizeof(place);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&place, place_size), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&place, &place_size), 0);
    uint8_t bytes[256];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_message alive = {
        .type = RF_MESSAGE_ALIVE,
        .alive = {.incarnation = 9,
                  .node = rf_slice_text(name),
                  .address = {.ip = {127, 0, 0, 1}, .ip_size = 4, .port = ntohs(place.sin_port)}}};
    memcpy(alive.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    int size = rf_message_encode(&alive, &packer);
    assert_true(size > 0);
    int fd = stranger(node, SOCK_DGRAM);
    assert_int_equal(send(fd, bytes, (size_t)size, 0), size);
    close(fd);
    return listener;
}

SCENARIO(a_consumer_that_falls_behind_still_hears_that_the_name_is_lost)
{
    struct rf_gossip_config *config = node_config("a");
    config->has_consumer = true;
    struct node a = node_start(config);
    enum { CHANGES = RF_GOSSIP_EVENTS_MAX + 10 };
    char value[16];
    const struct rf_gossip_tag tags[] = {{"n", value}};
    for (int i = 1; i <= CHANGES; i++) {
        snprintf(value, sizeof(value), "%d", i);
        assert_int_equal(rf_gossip_set_tags(a.gossip, tags, 1, NULL), 0);
    }
    int rival = claim_name(&a, "a");
    assert_soon(node_status(&a).name_lost); /* there is nobody to vote for us */
    enum rf_gossip_event_kind last = RF_GOSSIP_EVENT_MEMBER;
    struct rf_gossip_event *event;
    while ((event = event_wait(
                &a, last == RF_GOSSIP_EVENT_NAME_LOST ? 300 : FIXTURE_EVENTUALLY_MS)) != NULL) {
        last = event->kind;
        rf_gossip_event_free(event);
    }
    assert_int_equal(last, RF_GOSSIP_EVENT_NAME_LOST);
    close(rival);
    node_kill(&a);
}

struct reader {
    struct node *node;
    const char *goal; /* the last value that there will be */
    char last[16];
    size_t resyncs_count;
    atomic_bool has_all;
    atomic_bool is_done;
};

static void *read_slowly(void *context)
{
    struct reader *reader = context;
    while (!atomic_load(&reader->is_done)) {
        struct rf_gossip_event *event = event_wait(reader->node, 50);
        if (event == NULL) {
            continue;
        }
        const char *tag = rf_gossip_member_tag(&event->members.items[0], "n");
        long before = strtol(reader->last, NULL, 10);
        snprintf(reader->last, sizeof(reader->last), "%s", tag == NULL ? "0" : tag);
        /* Never back in time, whatever way the news took. */
        if (strtol(reader->last, NULL, 10) < before) {
            snprintf(reader->last, sizeof(reader->last), "back");
            atomic_store(&reader->has_all, true);
            return NULL;
        }
        atomic_store(&reader->has_all, strcmp(reader->last, reader->goal) == 0);
        reader->resyncs_count += event->kind == RF_GOSSIP_EVENT_RESYNC;
        if (event->kind == RF_GOSSIP_EVENT_RESYNC) {
            sleep_ms(20);
        }
        rf_gossip_event_free(event);
    }
    return NULL;
}

SCENARIO(news_never_go_back_in_time_under_overload)
{
    struct rf_gossip_config *config = node_config("a");
    config->has_consumer = true;
    config->log.level_max = RF_LOG_WARN;
    struct node a = node_start(config);
    enum { CHANGES = 3 * RF_GOSSIP_EVENTS_MAX };
    char value[16];
    char goal[16];
    snprintf(goal, sizeof(goal), "%d", CHANGES);
    const struct rf_gossip_tag tags[] = {{"n", value}};
    struct reader reader = {.node = &a, .goal = goal, .last = "0"};
    pthread_t thread;
    for (int i = 1; i <= CHANGES; i++) {
        snprintf(value, sizeof(value), "%d", i);
        assert_int_equal(rf_gossip_set_tags(a.gossip, tags, 1, NULL), 0);
        if (i == RF_GOSSIP_EVENTS_MAX + 10) {
            assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
        }
    }
    uint64_t deadline_ms = now_ms() + FIXTURE_EVENTUALLY_MS;
    while (!atomic_load(&reader.has_all) && now_ms() < deadline_ms) {
        sleep_ms(20);
    }
    sleep_ms(500); /* nothing older follows */
    atomic_store(&reader.is_done, true);
    pthread_join(thread, NULL);
    assert_string_equal(reader.last, value);
    assert_true(reader.resyncs_count >= 1);
    node_kill(&a);
}

/* ---- callers ---- */

static void *call_all(void *context)
{
    struct node *node = context;
    for (int i = 0; i < 200; i++) {
        struct rf_gossip_status status;
        struct rf_gossip_members *members = NULL;
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        const struct rf_gossip_tag tags[] = {{"n", value}};
        if (rf_gossip_get_status(node->gossip, &status) < 0 ||
            rf_gossip_members(node->gossip, &members) < 0 ||
            rf_gossip_set_tags(node->gossip, tags, 1, NULL) < 0) {
            static char failure[] = "a call failed";
            return failure;
        }
        rf_gossip_members_free(members);
    }
    return NULL;
}

SCENARIO(many_threads_may_call_at_once)
{
    struct node a = node_start_at("a", NULL);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_all, &a), 0);
    }
    for (int i = 0; i < 8; i++) {
        void *failure = NULL;
        pthread_join(threads[i], &failure);
        assert_null(failure);
    }
    assert_true(node_sees_tag(&a, "a", "n", "199"));
    node_kill(&a);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest ipv6[] = {
        scenario_test(nodes_on_ipv6_see_each_other),
        scenario_test(a_node_bound_to_every_ipv6_address_talks_ipv4_too),
    };
    const struct CMUnitTest tests[] = {
        scenario_test(two_nodes_see_each_other_and_their_tags),
        scenario_test(changed_tags_reach_the_others),
        scenario_test(a_node_that_leaves_is_seen_as_left),
        scenario_test(a_node_alone_leaves_without_waiting_for_others),
        scenario_test(a_leave_that_takes_longer_than_the_caller_waits_goes_on),
        scenario_test(a_node_that_dies_without_a_word_fails_and_may_come_back),
        scenario_test(a_node_restarted_without_its_memory_is_told_by_who_probes_it),
        scenario_test(only_nodes_with_the_key_get_into_an_encrypted_cluster),
        scenario_test(clusters_with_other_labels_do_not_mix),
        scenario_test(a_seed_that_comes_up_later_is_joined),
        scenario_test(a_node_that_finds_itself_alone_joins_its_seeds_again),
        scenario_test(a_seed_may_be_a_host_name),
        scenario_test(a_seed_that_is_the_node_itself_is_passed_over),
        scenario_test(a_port_in_use_is_named_with_its_protocol),
        scenario_test(a_bad_configuration_is_refused_with_what_would_be_right),
        scenario_test(tags_beyond_their_limit_are_refused_and_the_old_ones_stay),
        scenario_test(the_first_private_address_stands_for_an_empty_host),
        scenario_test(garbage_packets_are_counted_and_change_nothing),
        scenario_test(malformed_streams_are_ended_and_counted),
        scenario_test(a_stream_that_brings_nothing_is_closed_in_time),
        scenario_test(a_flood_of_streams_is_bounded_and_passes),
        scenario_test(streams_together_buffer_no_more_than_their_limit),
        scenario_test(without_descriptors_it_waits_and_goes_on),
        scenario_test(the_consumer_hears_of_members_in_order),
        scenario_test(a_consumer_that_falls_behind_is_given_the_whole_list),
        scenario_test(a_consumer_that_falls_behind_still_hears_that_the_name_is_lost),
        scenario_test(news_never_go_back_in_time_under_overload),
        scenario_test(many_threads_may_call_at_once),
    };
    if (argc > 1 && strcmp(argv[1], "ipv6") == 0) {
        need_ipv6();
        return cmocka_run_group_tests(ipv6, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
