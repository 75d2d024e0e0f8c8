/* SPDX-License-Identifier: MIT */
#include "bench/peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"

enum {
    LEARN_MS = 30 * 1000, /* for a registry to know all members: 1000 x 1000 take about a second */
    LEARN_POLL_NS = 5 * 1000 * 1000,
    ARGUMENTS_MAX = 32,
    DESCRIPTORS_SPARE = 128, /* what a server opens beside its connections */
    BUSY_POLL_USEC = 1000,
    STORE_BATCH = 64,     /* keys stored together */
    STORE_SIZE_MAX = 256, /* of one command that stores: key, id and addr, and some words */
};

/* ---- registries ---- */

static int learn(struct rf_bench_target *target, uint32_t members_count, struct rf_error *err)
{
    uint64_t deadline_ns = rf_bench_now_ns() + LEARN_MS * UINT64_C(1000000);
    const char *group = target->workload.config.group;
    uint32_t alive_count = 0;
    while (rf_bench_now_ns() < deadline_ns) {
        char text[REGFAST_ERROR_SIZE];
        struct regfast_group_list *groups;
        int code = regfast_groups(target->client, &groups, text, sizeof(text));
        if (code < 0) {
            return rf_error_set(err, code, "%s", text);
        }
        for (size_t i = 0; i < groups->count; i++) {
            if (strcmp(groups->groups[i].name, group) == 0) {
                alive_count = groups->groups[i].alive_count;
            }
        }
        regfast_group_list_free(groups);
        if (alive_count == members_count) {
            return 0;
        }
        const struct timespec pause = {.tv_nsec = LEARN_POLL_NS};
        (void)nanosleep(&pause, NULL); /* a signal makes it short */
    }
    return rf_error_set(err, -ETIMEDOUT, "it knows %u of %u members after %d s", alive_count,
                        members_count, LEARN_MS / 1000);
}

static int start_registry(struct rf_bench_target *target,
                          const struct rf_bench_registry_config *config, char *ret_gossip,
                          size_t gossip_size, struct rf_error *err)
{
    char arguments[512];
    char id[32];
    char engine[8];
    char program[1024];
    (void)snprintf(program, sizeof(program), "%s", config->program);
    (void)snprintf(engine, sizeof(engine), "%s", rf_bench_engine_name(config->engine));
    (void)snprintf(id, sizeof(id), "bench-%s", engine);
    (void)snprintf(arguments, sizeof(arguments), "%s",
                   config->arguments != NULL ? config->arguments : "");
    char any[] = "127.0.0.1:0", addr_option[] = "-addr", bind_option[] = "-bind";
    char workers_option[] = "-workers", one[] = "1", id_option[] = "-id", io_option[] = "-io";
    char *argv[ARGUMENTS_MAX + 1] = {program, addr_option, any, bind_option, any,   workers_option,
                                     one,     id_option,   id,  io_option,   engine};
    size_t count = 11;
    char spin_option[] = "-busy-poll", spin[16];
    (void)snprintf(spin, sizeof(spin), "%d", config->busy_poll ? BUSY_POLL_USEC : 0);
    argv[count++] = spin_option;
    argv[count++] = spin;
    /* Members of the crowd that change fail, in gossip's words, and are to be back at once. */
    char hold_option[] = "-flap-hold", zero[] = "0";
    argv[count++] = hold_option;
    argv[count++] = zero;
    char *rest = arguments;
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        if (*word != '\0' && count < ARGUMENTS_MAX) {
            argv[count++] = word;
        }
    }
    int code = rf_bench_process_start(&target->process, argv, config->cpu, err);
    char port[16] = "";
    if (code == 0) {
        code = rf_bench_process_wait_value(&target->process, "port", port, sizeof(port), err);
    }
    if (code == 0) {
        code = rf_bench_process_wait_value(&target->process, "bind", ret_gossip, gossip_size, err);
    }
    (void)snprintf(target->server, sizeof(target->server), "127.0.0.1:%s", port);
    return code;
}

int rf_bench_peer_start_registry(struct rf_bench_target *target,
                                 const struct rf_bench_registry_config *config,
                                 struct rf_bench_crowd **ret_crowd, struct rf_error *err)
{
    char gossip[64];
    int code = start_registry(target, config, gossip, sizeof(gossip), err);
    if (code < 0) {
        return rf_error_prefix(err, code, "%s", config->program);
    }
    const struct rf_bench_crowd_config crowd = {
        .registry = gossip,
        .group = target->workload.config.group,
        .members_count = config->members_count,
        .replicas = config->replicas,
    };
    code = rf_bench_crowd_new(&crowd, ret_crowd, err);
    char text[REGFAST_ERROR_SIZE];
    if (code == 0) {
        code = regfast_open(target->server, NULL, &target->client, text, sizeof(text));
        code = code < 0 ? rf_error_set(err, code, "%s", text) : 0;
    }
    if (code == 0) {
        code = learn(target, config->members_count, err);
    }
    if (code == 0) {
        code = rf_bench_target_prepare(target, true, err);
    }
    return code < 0 ? rf_error_prefix(err, code, "%s", config->program) : 0;
}

/* ---- redis and memcached ---- */

static const char *program_of(enum rf_bench_protocol protocol)
{
    return protocol == RF_BENCH_REDIS ? "redis-server" : "memcached";
}

bool rf_bench_peer_is_installed(enum rf_bench_protocol protocol)
{
    const char *path = getenv("PATH");
    for (const char *at = path; at != NULL && *at != '\0';) {
        char file[4096];
        size_t size = strcspn(at, ":");
        (void)snprintf(file, sizeof(file), "%.*s/%s", (int)size, at, program_of(protocol));
        if (access(file, X_OK) == 0) {
            return true;
        }
        at += size + (at[size] == ':' ? 1 : 0);
    }
    return false;
}

const char *rf_bench_peer_how(enum rf_bench_protocol protocol)
{
    return protocol == RF_BENCH_REDIS
               ? "redis-server --save '' --appendonly no: GET of 16-byte keys, RESP2, one thread"
               : "memcached -t 1 -U 0: meta get, mg KEY v, of 16-byte keys, text protocol, one "
                 "thread";
}

/* memcached refuses to start with more than the system's limit allows. */
static unsigned store_connections(void)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit); /* cannot fail with this one */
    unsigned most = RF_BENCH_CONNECTIONS_MAX;
    if (limit.rlim_cur < most + DESCRIPTORS_SPARE) {
        most = limit.rlim_cur > 2 * DESCRIPTORS_SPARE ? (unsigned)limit.rlim_cur - DESCRIPTORS_SPARE
                                                      : DESCRIPTORS_SPARE;
    }
    return most;
}

static int start_store(struct rf_bench_target *target, int cpu, struct rf_error *err)
{
    enum rf_bench_protocol protocol = target->workload.config.protocol;
    int port = rf_bench_free_port(err);
    if (port < 0) {
        return port;
    }
    char text[16];
    char redis[] = "redis-server", redis_port[] = "--port", redis_bind[] = "--bind";
    char host[] = "127.0.0.1", save[] = "--save", nothing[] = "", append[] = "--appendonly";
    char no[] = "no", memcached[] = "memcached", listen[] = "-l", memcached_port[] = "-p";
    char threads[] = "-t", one[] = "1", udp[] = "-U", zero[] = "0", memory[] = "-m";
    char size[] = "1024", connections[] = "-c", many[16], user[] = "-u", root[] = "root";
    (void)snprintf(text, sizeof(text), "%d", port);
    (void)snprintf(many, sizeof(many), "%u", store_connections());
    char *const redis_argv[] = {redis, redis_port, text,   redis_bind, host,
                                save,  nothing,    append, no,         NULL};
    char *const memcached_argv[] = {memcached, listen,
                                    host,      memcached_port,
                                    text,      threads,
                                    one,       udp,
                                    zero,      memory,
                                    size,      connections,
                                    many,      geteuid() == 0 ? user : NULL,
                                    root,      NULL};
    int code = rf_bench_process_start(
        &target->process, protocol == RF_BENCH_REDIS ? redis_argv : memcached_argv, cpu, err);
    (void)snprintf(target->server, sizeof(target->server), "127.0.0.1:%d", port);
    return code < 0 ? code : rf_bench_process_wait_server(&target->process, target->server, err);
}

static size_t encode_store(enum rf_bench_protocol protocol, uint32_t number,
                           const struct rf_bench_member *member, char *out)
{
    char key[RF_BENCH_KEY_SIZE];
    rf_bench_key(number, key);
    size_t value_size = strlen(member->id) + strlen(member->addr);
    int size =
        protocol == RF_BENCH_REDIS
            ? snprintf(out, STORE_SIZE_MAX, "*3\r\n$3\r\nSET\r\n$16\r\n%.16s\r\n$%zu\r\n%s%s\r\n",
                       key, value_size, member->id, member->addr)
            : snprintf(out, STORE_SIZE_MAX, "ms %.16s %zu\r\n%s%s\r\n", key, value_size, member->id,
                       member->addr);
    RF_ASSERT(size > 0 && size < STORE_SIZE_MAX);
    return (size_t)size;
}

static int store_batch(int fd, const char *commands, size_t size, size_t count,
                       const char *expected, struct rf_error *err)
{
    char reply[STORE_BATCH * 8];
    size_t expected_size = strlen(expected);
    if (send(fd, commands, size, MSG_NOSIGNAL) != (ssize_t)size ||
        recv(fd, reply, count * expected_size, MSG_WAITALL) != (ssize_t)(count * expected_size)) {
        return rf_error_set(err, -EIO, "storing keys: the connection was lost");
    }
    for (size_t i = 0; i < count; i++) {
        if (memcmp(reply + i * expected_size, expected, expected_size) != 0) {
            return rf_error_set(err, -EIO, "storing keys: not the reply that says that it is done");
        }
    }
    return 0;
}

/* What a draw occurs twice for is stored twice: the same. */
static int store_all(const struct rf_bench_target *target, const struct rf_bench_member *members,
                     struct rf_error *err)
{
    enum rf_bench_protocol protocol = target->workload.config.protocol;
    const char *expected = protocol == RF_BENCH_REDIS ? "+OK\r\n" : "HD\r\n";
    char commands[STORE_BATCH * STORE_SIZE_MAX];
    int fd = rf_bench_connect(target->server, err);
    if (fd < 0) {
        return fd;
    }
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < target->workload.requests_count;) {
        size_t size = 0;
        size_t count = 0;
        for (; count < STORE_BATCH && i < target->workload.requests_count; count++, i++) {
            size += encode_store(protocol, target->workload.draws[i],
                                 &members[target->truth->slots[i]], commands + size);
        }
        code = store_batch(fd, commands, size, count, expected, err);
    }
    (void)close(fd);
    return code;
}

/* The members that a crowd of so many has. */
static struct rf_bench_member *make_members(uint32_t count, uint32_t replicas)
{
    char(*texts)[2][RF_BENCH_MEMBER_TEXT_SIZE];
    size_t members_size = count * sizeof(struct rf_bench_member);
    char *memory = malloc(members_size + count * sizeof(*texts));
    if (memory == NULL) {
        return NULL;
    }
    struct rf_bench_member *members = (void *)memory;
    texts = (void *)(memory + members_size);
    for (uint32_t i = 0; i < count; i++) {
        rf_bench_member_text(i, texts[i][0], texts[i][1]);
        members[i] = (struct rf_bench_member){texts[i][0], texts[i][1], replicas};
    }
    return members;
}

int rf_bench_peer_start_store(struct rf_bench_target *target, uint32_t members_count,
                              uint32_t replicas, int cpu, struct rf_error *err)
{
    struct rf_bench_member *members = make_members(members_count, replicas);
    int code = members == NULL
                   ? rf_error_set(err, -ENOMEM, "%u members: out of memory", members_count)
                   : rf_bench_truth_build(&target->workload, RF_PLACEMENT_V1, 0, members,
                                          members_count, &target->truth, err);
    if (code == 0) {
        code = start_store(target, cpu, err);
    }
    if (code == 0) {
        code = store_all(target, members, err);
    }
    free(members);
    return code < 0 ? rf_error_prefix(err, code, "%s", program_of(target->workload.config.protocol))
                    : 0;
}
