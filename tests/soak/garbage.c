/* SPDX-License-Identifier: MIT
 *
 * garbage.c - datagrams that mean nothing, as many as can be sent, at one node of a cluster of ours
 * and real serf agents. Nobody may be declared dead, by anybody; prints what was sent, received
 * and lost.
 *
 *   garbage [SECONDS [PACKETS_PER_SECOND [KEYED]]]
 *
 * By default short and slow enough for every run; by hand: garbage 30 100000. KEYED, any text: the
 * cluster is encrypted. Exit code 77: there is no serf agent on this machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/random.h"
#include "gossip/compress.h"
#include "gossip/serf.h"
#include "tests/interop/fixture.h"
#include "tests/interop/nodes.h"

enum {
    NODES = 4, /* of ours; the first is the victim */
    AGENTS = 2,
    POOL = 1024, /* different datagrams */
    BATCH = 64,
    SIZE_MAX_BYTES = 300,
};

static unsigned seconds = 3;
static unsigned packets_per_second = 20000;
static bool is_keyed;

static const uint8_t key_bytes[32] = "regfast interop key of 32 bytes!";
#define KEY_TEXT "cmVnZmFzdCBpbnRlcm9wIGtleSBvZiAzMiBieXRlcyE="

struct sender {
    int fd;
    struct mmsghdr headers[POOL];
    struct iovec parts[POOL];
    uint8_t bytes[POOL][SIZE_MAX_BYTES];
    atomic_bool is_done;
    uint64_t sent;
    uint64_t refused; /* by the system */
};

/* Zeros, as compressed as they can be. Returns the size. */
static size_t bomb_make(uint8_t bytes[SIZE_MAX_BYTES])
{
    static struct rf_lzw_workspace workspace;
    static const uint8_t zeros[24 << 10];
    int size =
        rf_compress_encode(&workspace, rf_slice(zeros, sizeof(zeros)), bytes, SIZE_MAX_BYTES);
    assert_true(size > 0);
    return (size_t)size;
}

/* Random bytes; half of them begin as a message of some type, so that decoders have to look, and
 * one in 64 is a bomb. */
static void pool_fill(struct sender *sender, uint64_t seed)
{
    struct rf_random random = {.state = seed};
    for (int i = 0; i < POOL; i++) {
        size_t size = 1 + rf_random_below(&random, SIZE_MAX_BYTES);
        for (size_t j = 0; j < size; j++) {
            sender->bytes[i][j] = (uint8_t)rf_random_next(&random);
        }
        if (i % 2 == 0) {
            sender->bytes[i][0] = (uint8_t)rf_random_below(&random, 14);
        }
        if (i % 64 == 1) {
            size = bomb_make(sender->bytes[i]);
        }
        sender->parts[i] = (struct iovec){sender->bytes[i], size};
        sender->headers[i] =
            (struct mmsghdr){.msg_hdr = {.msg_iov = &sender->parts[i], .msg_iovlen = 1}};
    }
}

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* What is behind is caught up with, at most a tenth of a second of it. */
static void *send_garbage(void *context)
{
    struct sender *sender = context;
    uint64_t at_us = now_us();
    uint64_t due = 0; /* in millionths of a packet */
    for (unsigned next = 0; !atomic_load(&sender->is_done);) {
        uint64_t passed_us = now_us() - at_us;
        at_us += passed_us;
        due += passed_us * packets_per_second;
        uint64_t due_max = (uint64_t)packets_per_second * 100000;
        due = due < due_max ? due : due_max;
        if (due < (uint64_t)BATCH * 1000000) {
            usleep(200);
            continue;
        }
        int count = sendmmsg(sender->fd, &sender->headers[next], BATCH, 0);
        sender->sent += count > 0 ? (uint64_t)count : 0;
        sender->refused += count > 0 ? (uint64_t)(BATCH - count) : BATCH;
        due -= (uint64_t)BATCH * 1000000;
        next = (next + BATCH) % POOL;
    }
    return NULL;
}

static struct node node_of_ours(const char *name, const char *seed)
{
    static const struct rf_gossip_key keys[] = {{key_bytes, sizeof(key_bytes)}};
    struct rf_gossip_config *config = node_config(name);
    config->profile = RF_GOSSIP_LAN;
    config->keys = is_keyed ? keys : NULL;
    config->keys_count = is_keyed ? 1 : 0;
    config->seeds = &seed;
    config->seeds_count = seed == NULL ? 0 : 1;
    return node_start(config);
}

static struct agent agent_beside(const char *name, const char *seed)
{
    char join[96];
    snprintf(join, sizeof(join), "-join=%s", seed);
    return is_keyed ? agent_start(name, ARGUMENTS("-encrypt=" KEY_TEXT, join))
                    : agent_start(name, ARGUMENTS(join));
}

struct cluster {
    struct node nodes[NODES];
    struct agent agents[AGENTS];
};

static void cluster_start(struct cluster *cluster)
{
    char name[16];
    for (int i = 0; i < NODES; i++) {
        snprintf(name, sizeof(name), "node-%d", i);
        cluster->nodes[i] = node_of_ours(name, i == 0 ? NULL : cluster->nodes[0].address);
    }
    for (int i = 0; i < AGENTS; i++) {
        snprintf(name, sizeof(name), "agent-%d", i);
        cluster->agents[i] = agent_beside(name, cluster->nodes[0].address);
    }
    for (int i = 0; i < NODES; i++) {
        assert_eventually(node_status(&cluster->nodes[i]).alive_count == NODES + AGENTS);
    }
    for (int i = 0; i < AGENTS; i++) {
        assert_eventually(agent_members_count(&cluster->agents[i], "alive") == NODES + AGENTS);
    }
}

/* The logs have each death, however short. */
static size_t deaths(const struct cluster *cluster)
{
    size_t count = 0;
    for (int i = 0; i < NODES; i++) {
        count += log_count(cluster->nodes[i].name, "member_failed");
    }
    for (int i = 0; i < AGENTS; i++) {
        count += log_count(cluster->agents[i].name, "EventMemberFailed");
    }
    return count;
}

static void report(const struct cluster *cluster, const struct sender *sender, uint64_t elapsed_ms)
{
    const struct node *victim = &cluster->nodes[0];
    uint64_t suspicions = 0;
    uint64_t refutations = 0;
    for (int i = 0; i < NODES; i++) {
        struct rf_serf_stats stats = {0};
        assert_int_equal(rf_gossip_get_serf_stats(cluster->nodes[i].gossip, &stats), 0);
        suspicions += stats.swim.suspicions;
        refutations += stats.swim.refutations;
    }
    printf("garbage: %llu ms, sent %llu (%llu/s), refused by the system %llu; received %llu "
           "(%llu/s), lost in the full socket %llu; suspicions %llu, refuted %llu, deaths %zu\n",
           (unsigned long long)elapsed_ms, (unsigned long long)sender->sent,
           (unsigned long long)(sender->sent * 1000 / elapsed_ms),
           (unsigned long long)sender->refused,
           (unsigned long long)COUNTER(victim, packets_received),
           (unsigned long long)(COUNTER(victim, packets_received) * 1000 / elapsed_ms),
           (unsigned long long)COUNTER(victim, packets_lost), (unsigned long long)suspicions,
           (unsigned long long)refutations, deaths(cluster));
}

SCENARIO(nobody_is_declared_dead_under_garbage)
{
    static struct cluster cluster;
    static struct sender sender;
    cluster_start(&cluster);
    uint64_t seed = now_us();
    printf("garbage: seed %llu, %u s, %u packets a second, %s\n", (unsigned long long)seed, seconds,
           packets_per_second, is_keyed ? "encrypted" : "plain");
    pool_fill(&sender, seed);
    struct sockaddr_storage sockaddr;
    socklen_t size = rf_address_to_sockaddr(rf_gossip_bound(cluster.nodes[0].gossip), &sockaddr);
    sender.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(sender.fd, (struct sockaddr *)&sockaddr, size), 0);
    pthread_t thread;
    uint64_t start_ms = now_ms();
    assert_int_equal(pthread_create(&thread, NULL, send_garbage, &sender), 0);
    sleep_ms(seconds * 1000);
    atomic_store(&sender.is_done, true);
    pthread_join(thread, NULL);
    uint64_t elapsed_ms = now_ms() - start_ms;
    close(sender.fd);
    report(&cluster, &sender, elapsed_ms);
    assert_true(sender.sent > 0 && COUNTER(&cluster.nodes[0], packets_received) > sender.sent / 4);
    assert_int_equal(deaths(&cluster), 0);
    /* A suspicion that was under way has its time to become a death. */
    sleep_ms(seconds < 10 ? 2000 : 30000);
    assert_int_equal(deaths(&cluster), 0);
    for (int i = 0; i < NODES; i++) {
        assert_int_equal(node_status(&cluster.nodes[i]).alive_count, NODES + AGENTS);
        assert_int_equal(node_members_count(&cluster.nodes[i]), NODES + AGENTS);
    }
    for (int i = 0; i < AGENTS; i++) {
        assert_int_equal(agent_members_count(&cluster.agents[i], "alive"), NODES + AGENTS);
    }
    for (int i = NODES; i-- > 0;) {
        node_kill(&cluster.nodes[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {scenario_test(nobody_is_declared_dead_under_garbage)};
    fixture_need_serf();
    seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : seconds;
    packets_per_second = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : packets_per_second;
    is_keyed = argc > 3;
    if (seconds < 1 || seconds > 86400 || packets_per_second < 1000 ||
        packets_per_second > 10000000) {
        (void)fprintf(stderr, "usage: garbage [SECONDS [PACKETS_PER_SECOND [KEYED]]], 1..86400 and "
                              "1000..10000000\n");
        return 2;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
