/* SPDX-License-Identifier: MIT */
#include "bench/crowd.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/io.h"
#include "bench/load.h"
#include "core/address.h"
#include "core/member.h"
#include "gossip/message.h"
#include "gossip/msgpack.h"
#include "gossip/packet.h"
#include "gossip/tags.h"

enum {
    NODE_SIZE_MAX = 1024, /* of a node state: name, meta, numbers */
    SYNC_TIMEOUT_S = 10,  /* of each read and write of the push/pull */
    LONG_AGO = 1,         /* first incarnation */
};

struct crowd_member {
    char id[RF_BENCH_MEMBER_TEXT_SIZE], addr[RF_BENCH_MEMBER_TEXT_SIZE];
    uint32_t incarnation;
};

struct rf_bench_crowd {
    struct crowd_member *members;
    struct rf_bench_member *public_members; /* borrow from `members` */
    uint32_t count;
    uint32_t replicas;
    char group[RF_NAME_SIZE_MAX + 1];
    _Atomic(uint64_t) churn_ns;
    _Atomic(uint64_t) changed_ns;
    _Atomic(bool) is_stopping;
    uint32_t churn_next; /* who leaves next */
    bool is_one_away;    /* the one before has left, and joins first */
    int fd;              /* UDP: the address of all members */
    int wake_fd;         /* to look at the two above */
    struct rf_address address, registry;
    pthread_t thread;
    bool has_thread;
    struct rf_packet packet;
    uint8_t datagram[RF_PACKET_SIZE_MAX];
};

void rf_bench_member_text(uint32_t number, char ret_id[RF_BENCH_MEMBER_TEXT_SIZE],
                          char ret_addr[RF_BENCH_MEMBER_TEXT_SIZE])
{
    (void)snprintf(ret_id, RF_BENCH_MEMBER_TEXT_SIZE, "instance-%03u", number);
    (void)snprintf(ret_addr, RF_BENCH_MEMBER_TEXT_SIZE, "10.20.%u.%u:80", 30 + number / 100,
                   100 + number % 100);
}

/* ---- what the members say ---- */

static struct rf_slice encode_meta(const struct rf_bench_crowd *crowd, uint32_t number,
                                   uint8_t meta[RF_META_SIZE_MAX])
{
    char replicas[16];
    (void)snprintf(replicas, sizeof(replicas), "%u", crowd->replicas);
    const struct rf_tag tags[] = {
        {rf_slice_text("group"), rf_slice_text(crowd->group)},
        {rf_slice_text("addr"), rf_slice_text(crowd->members[number].addr)},
        {rf_slice_text("replicas"), rf_slice_text(replicas)},
    };
    struct rf_packer packer = rf_packer(meta, RF_META_SIZE_MAX);
    int size = rf_tags_encode(tags, sizeof(tags) / sizeof(tags[0]), &packer);
    return rf_slice(meta, size > 0 ? (size_t)size : 0);
}

static int pack_nodes(const struct rf_bench_crowd *crowd, struct rf_packer *packer)
{
    const struct rf_push_pull_header header = {.nodes_count = crowd->count, .join = true};
    int code = rf_push_pull_header_encode(&header, packer);
    for (uint32_t i = 0; code >= 0 && i < crowd->count; i++) {
        uint8_t meta[RF_META_SIZE_MAX];
        struct rf_push_node_state state = {
            .name = rf_slice_text(crowd->members[i].id),
            .address = crowd->address,
            .meta = encode_meta(crowd, i, meta),
            .incarnation = crowd->members[i].incarnation,
            .state = RF_NODE_ALIVE,
        };
        memcpy(state.vsn, rf_vsn_ours, sizeof(state.vsn));
        code = rf_push_node_state_encode(&state, packer);
    }
    return code < 0 ? code : 0;
}

static int send_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return -errno;
        }
        sent = sent < 0 ? 0 : sent; /* a stopped process that goes on is told so */
        data += sent;
        size -= (size_t)sent;
    }
    return 0;
}

/* Sends the push/pull and reads the registry's, which tells that ours was taken, to its end. */
static int synchronize(const struct rf_bench_crowd *crowd, const char *registry,
                       struct rf_error *err)
{
    size_t size_max = (size_t)crowd->count * NODE_SIZE_MAX + NODE_SIZE_MAX;
    uint8_t *bytes = malloc(size_max);
    if (bytes == NULL) {
        return rf_error_set(err, -ENOMEM, "%u members: out of memory", crowd->count);
    }
    struct rf_packer packer = rf_packer(bytes, size_max);
    int code = pack_nodes(crowd, &packer);
    if (code < 0) {
        free(bytes);
        return rf_error_set(err, code, "members do not fit a message: %s", rf_strerror(code));
    }
    int fd = rf_bench_connect(registry, err);
    if (fd < 0) {
        free(bytes);
        return rf_error_prefix(err, fd, "registry's gossip");
    }
    const struct timeval timeout = {.tv_sec = SYNC_TIMEOUT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)); /* cannot fail */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    code = send_all(fd, bytes, packer.size);
    size_t received = 0;
    while (code == 0) {
        ssize_t size = recv(fd, bytes, size_max, 0);
        if (size == 0) {
            break;
        }
        code = size < 0 && errno != EINTR ? -errno : 0;
        received += size > 0 ? (size_t)size : 0;
    }
    (void)close(fd);
    free(bytes);
    if (code == 0 && received == 0) {
        code = -ECONNRESET;
    }
    return code < 0
               ? rf_error_set(err, code, "registry's gossip at %s: %s", registry, rf_strerror(code))
               : 0;
}

/* ---- the thread ---- */

static void send_message(const struct rf_bench_crowd *crowd, const struct rf_message *message,
                         const struct rf_address *to)
{
    uint8_t bytes[NODE_SIZE_MAX];
    struct sockaddr_storage sockaddr;
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    if (rf_message_encode(message, &packer) > 0) {
        socklen_t size = rf_address_to_sockaddr(to, &sockaddr);
        /* A lost datagram is asked for again, or the next change comes. */
        (void)sendto(crowd->fd, bytes, packer.size, MSG_DONTWAIT,
                     (const struct sockaddr *)&sockaddr, size);
    }
}

static void answer(struct rf_bench_crowd *crowd)
{
    static const struct rf_envelope plain;
    struct sockaddr_storage sockaddr;
    socklen_t sockaddr_size = sizeof(sockaddr);
    ssize_t size = recvfrom(crowd->fd, crowd->datagram, sizeof(crowd->datagram), MSG_DONTWAIT,
                            (struct sockaddr *)&sockaddr, &sockaddr_size);
    if (size <= 0 || rf_packet_open(&crowd->packet, &plain, crowd->datagram, (size_t)size) < 0) {
        return;
    }
    struct rf_address from;
    rf_address_from_sockaddr((const struct sockaddr *)&sockaddr, &from);
    struct rf_slice bytes;
    while (rf_packet_next(&crowd->packet, &bytes)) {
        struct rf_message message;
        if (rf_message_decode(bytes, &message) == 0 && message.type == RF_MESSAGE_PING) {
            const struct rf_message ack = {.type = RF_MESSAGE_ACK,
                                           .ack = {.seq_no = message.ping.seq_no}};
            bool has_source = message.ping.source.ip_size > 0 && message.ping.source.port > 0;
            send_message(crowd, &ack, has_source ? &message.ping.source : &from);
        }
    }
}

/* One leaves, or the one that left joins: in turn. */
static void change(struct rf_bench_crowd *crowd)
{
    struct crowd_member *member = &crowd->members[crowd->churn_next];
    struct rf_slice name = rf_slice_text(member->id);
    atomic_store(&crowd->changed_ns, rf_bench_now_ns());
    if (!crowd->is_one_away) {
        const struct rf_message dead = {
            .type = RF_MESSAGE_DEAD,
            .dead = {.incarnation = member->incarnation, .node = name, .from = name},
        };
        send_message(crowd, &dead, &crowd->registry);
    } else {
        uint8_t meta[RF_META_SIZE_MAX];
        member->incarnation++;
        struct rf_message alive = {
            .type = RF_MESSAGE_ALIVE,
            .alive = {.incarnation = member->incarnation,
                      .node = name,
                      .address = crowd->address,
                      .meta = encode_meta(crowd, crowd->churn_next, meta)},
        };
        memcpy(alive.alive.vsn, rf_vsn_ours, sizeof(alive.alive.vsn));
        send_message(crowd, &alive, &crowd->registry);
        crowd->churn_next = crowd->churn_next + 1 == crowd->count ? 0 : crowd->churn_next + 1;
    }
    crowd->is_one_away = !crowd->is_one_away;
}

/* Changes what is due. Returns when the next change is, UINT64_MAX: none. */
static uint64_t change_if_due(struct rf_bench_crowd *crowd, uint64_t change_ns)
{
    uint64_t churn_ns = atomic_load(&crowd->churn_ns);
    uint64_t now_ns = rf_bench_now_ns();
    if (churn_ns == 0) {
        if (crowd->is_one_away) {
            change(crowd);
        }
        return UINT64_MAX;
    }
    if (change_ns == UINT64_MAX) {
        return now_ns + churn_ns;
    }
    if (now_ns < change_ns) {
        return change_ns;
    }
    change(crowd);
    return change_ns + churn_ns;
}

static void *run(void *argument)
{
    struct rf_bench_crowd *crowd = argument;
    struct pollfd fds[] = {{.fd = crowd->fd, .events = POLLIN},
                           {.fd = crowd->wake_fd, .events = POLLIN}};
    uint64_t change_ns = UINT64_MAX;
    while (!atomic_load(&crowd->is_stopping)) {
        change_ns = change_if_due(crowd, change_ns);
        uint64_t now_ns = rf_bench_now_ns();
        uint64_t left_ns = change_ns > now_ns ? change_ns - now_ns : 0;
        const struct timespec timeout = {.tv_sec = (time_t)(left_ns / 1000000000),
                                         .tv_nsec = (long)(left_ns % 1000000000)};
        if (ppoll(fds, 2, change_ns != UINT64_MAX ? &timeout : NULL, NULL) <= 0) {
            continue;
        }
        if ((fds[0].revents & POLLIN) != 0) {
            answer(crowd);
        }
        if ((fds[1].revents & POLLIN) != 0) {
            uint64_t count;
            ssize_t size = read(crowd->wake_fd, &count, sizeof(count));
            (void)size; /* there is something, and nobody else reads it */
        }
    }
    return NULL;
}

/* ---- begin and end ---- */

static int open_sockets(struct rf_bench_crowd *crowd, const char *registry, struct rf_error *err)
{
    struct rf_host_port host_port;
    int code = rf_host_port_parse(registry, 0, &host_port, err);
    if (code == 0) {
        code = rf_host_port_resolve(&host_port, &crowd->registry, 1, err);
    }
    if (code < 0) {
        return code;
    }
    /* Its own address is the one from which the registry is reached. */
    struct sockaddr_storage sockaddr;
    socklen_t size = rf_address_to_sockaddr(&crowd->registry, &sockaddr);
    const struct sockaddr *any = (const struct sockaddr *)&sockaddr;
    int probe = socket(sockaddr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    crowd->fd = socket(sockaddr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    crowd->wake_fd = eventfd(0, EFD_CLOEXEC);
    bool is_open = probe >= 0 && crowd->fd >= 0 && crowd->wake_fd >= 0 &&
                   connect(probe, any, size) == 0 &&
                   getsockname(probe, (struct sockaddr *)&sockaddr, &size) == 0;
    if (is_open) {
        rf_address_from_sockaddr(any, &crowd->address);
        crowd->address.port = 0;
        size = rf_address_to_sockaddr(&crowd->address, &sockaddr);
        is_open = bind(crowd->fd, any, size) == 0 &&
                  getsockname(crowd->fd, (struct sockaddr *)&sockaddr, &size) == 0;
        rf_address_from_sockaddr(any, &crowd->address);
    }
    code = is_open ? 0 : rf_error_set(err, -errno, "members' address: %s", rf_strerror(-errno));
    if (probe >= 0) {
        (void)close(probe);
    }
    return code;
}

static int make_members(struct rf_bench_crowd *crowd, struct rf_error *err)
{
    crowd->members = calloc(crowd->count, sizeof(*crowd->members));
    crowd->public_members = calloc(crowd->count, sizeof(*crowd->public_members));
    if (crowd->members == NULL || crowd->public_members == NULL) {
        return rf_error_set(err, -ENOMEM, "%u members: out of memory", crowd->count);
    }
    for (uint32_t i = 0; i < crowd->count; i++) {
        struct crowd_member *member = &crowd->members[i];
        rf_bench_member_text(i, member->id, member->addr);
        member->incarnation = LONG_AGO;
        crowd->public_members[i] =
            (struct rf_bench_member){member->id, member->addr, crowd->replicas};
    }
    return 0;
}

static int check(const struct rf_bench_crowd_config *config, struct rf_error *err)
{
    if (config->members_count < 1 || config->members_count > RF_BENCH_MEMBERS_MAX) {
        return rf_error_set(err, -EINVAL, "%u members, allowed 1..%d", config->members_count,
                            RF_BENCH_MEMBERS_MAX);
    }
    if (config->replicas < 1 || config->replicas > RF_REPLICAS_MAX) {
        return rf_error_set(err, -EINVAL, "%u replicas, allowed 1..%d", config->replicas,
                            RF_REPLICAS_MAX);
    }
    return 0;
}

int rf_bench_crowd_new(const struct rf_bench_crowd_config *config,
                       struct rf_bench_crowd **ret_crowd, struct rf_error *err)
{
    int code = check(config, err);
    if (code < 0) {
        return code;
    }
    struct rf_bench_crowd *crowd = calloc(1, sizeof(*crowd));
    if (crowd == NULL) {
        return rf_error_set(err, -ENOMEM, "members: out of memory");
    }
    crowd->fd = crowd->wake_fd = -1;
    crowd->count = config->members_count;
    crowd->replicas = config->replicas;
    atomic_init(&crowd->churn_ns, config->churn_ns);
    (void)snprintf(crowd->group, sizeof(crowd->group), "%s", config->group);
    code = make_members(crowd, err);
    if (code == 0) {
        code = open_sockets(crowd, config->registry, err);
    }
    if (code == 0) {
        code = -pthread_create(&crowd->thread, NULL, run, crowd);
        crowd->has_thread = code == 0;
        if (code < 0) {
            (void)rf_error_set(err, code, "members' thread: %s", rf_strerror(code));
        }
    }
    if (code == 0) {
        code = synchronize(crowd, config->registry, err);
    }
    if (code < 0) {
        rf_bench_crowd_free(crowd);
        return code;
    }
    *ret_crowd = crowd;
    return 0;
}

static void wake(const struct rf_bench_crowd *crowd)
{
    const uint64_t one = 1;
    ssize_t written = write(crowd->wake_fd, &one, sizeof(one));
    (void)written; /* an eventfd that few count up takes it */
}

void rf_bench_crowd_churn(struct rf_bench_crowd *crowd, uint64_t churn_ns)
{
    atomic_store(&crowd->churn_ns, churn_ns);
    wake(crowd);
}

uint64_t rf_bench_crowd_changed_ns(const struct rf_bench_crowd *crowd)
{
    return atomic_load(&crowd->changed_ns);
}

void rf_bench_crowd_free(struct rf_bench_crowd *crowd)
{
    if (crowd == NULL) {
        return;
    }
    if (crowd->has_thread) {
        atomic_store(&crowd->is_stopping, true);
        wake(crowd);
        (void)pthread_join(crowd->thread, NULL);
    }
    if (crowd->fd >= 0) {
        (void)close(crowd->fd);
    }
    if (crowd->wake_fd >= 0) {
        (void)close(crowd->wake_fd);
    }
    free(crowd->members);
    free(crowd->public_members);
    free(crowd);
}

const struct rf_bench_member *rf_bench_crowd_members(const struct rf_bench_crowd *crowd)
{
    return crowd->public_members;
}
