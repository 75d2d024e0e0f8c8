/* SPDX-License-Identifier: MIT */
#include "gossip/driver.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "gossip/member_list.h"

enum {
    EVENTS_MAX = 8,   /* of one epoll_wait: each may be a push/pull, and time must have its turn */
    ACCEPTS_MAX = 16, /* likewise */
    /* Read before time has its turn: all that a receive buffer holds (4 MiB, as the kernel counts,
     * of 768 bytes at least), or all that has come while this process was stopped. */
    BATCHES_DUE_MAX = 8192 / RF_RECEIVER_BATCH,
};

#define DUE_MAX_NS UINT64_C(100000000) /* what reading them may take: a fifth of a probe's time */
#define LOST_EVERY_NS UINT64_C(1000000000) /* looks at the system's count of lost packets */

#define ACCEPT_PAUSE_NS UINT64_C(100000000) /* without descriptors: their owners need some time */
#define RESYNC_PAUSE_NS UINT64_C(100000000) /* without memory: likewise */

/* What an event of epoll is about, beside the slots of streams. */
#define KEY_UDP UINT64_MAX
#define KEY_TCP (UINT64_MAX - 1)
#define KEY_WAKE (UINT64_MAX - 2)

/* Of the monotonic clocks the one that goes on while the machine is suspended: that is lateness. */
uint64_t rf_driver_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + 1;
}

/* ---- outputs ---- */

/* The form that our socket takes: one that is bound to an IPv6 address wants IPv4 ones mapped. */
static socklen_t destination(const struct rf_gossip *gossip, const struct rf_address *address,
                             struct sockaddr_storage *ret)
{
    bool is_v6_socket = gossip->bound.ip_size == 16;
    socklen_t size = rf_address_to_sockaddr(address, ret);
    if (!is_v6_socket || ret->ss_family != AF_INET) {
        return size;
    }
    struct sockaddr_in sin;
    memcpy(&sin, ret, sizeof(sin));
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = sin.sin_port};
    mapped.sin6_addr.s6_addr[10] = 0xff;
    mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.sin6_addr.s6_addr[12], &sin.sin_addr, 4);
    memcpy(ret, &mapped, sizeof(mapped));
    return sizeof(mapped);
}

static void send_failed(struct rf_gossip *gossip, const struct rf_address *address, int code)
{
    char text[RF_ADDRESS_TEXT_SIZE];
    rf_counter_add(&gossip->counters.packet_send_errors, 1);
    rf_driver_log(gossip, RF_TOPIC_SEND_FAILED, RF_LOG_INFO, "send_failed address=%s error=\"%s\"",
                  rf_address_format(address, text), rf_strerror(code));
}

static void packet_send(struct rf_gossip *gossip, const struct rf_output *output)
{
    struct rf_packet_options options = {.compress = true, .crc = output->with_crc};
    int size = rf_packet_seal(&gossip->envelope, &options, &gossip->workspace,
                              rf_slice(output->bytes, output->bytes_size), gossip->sealed,
                              sizeof(gossip->sealed));
    if (size < 0) {
        send_failed(gossip, &output->address, size);
        return;
    }
    struct sockaddr_storage sockaddr;
    socklen_t sockaddr_size = destination(gossip, &output->address, &sockaddr);
    ssize_t sent;
    do {
        sent = sendto(gossip->sockets.udp_fd, gossip->sealed, (size_t)size, 0,
                      (const struct sockaddr *)&sockaddr, sockaddr_size);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        send_failed(gossip, &output->address, -errno);
        return;
    }
    rf_counter_add(&gossip->counters.packets_sent, 1);
    rf_counter_add(&gossip->counters.packet_bytes_sent, (uint64_t)size);
}

static void exchange_begin(struct rf_gossip *gossip, uint64_t now_ns,
                           const struct rf_output *output)
{
    struct rf_stream_result result = rf_streams_connect(gossip->streams, now_ns, output);
    if (result.type != RF_STREAM_RESULT_NONE) {
        RF_ASSERT(gossip->failures_count < RF_SWIM_EXCHANGES_MAX);
        gossip->failures[gossip->failures_count++] =
            (struct rf_driver_failure){result.exchange_id, result.code, result.text};
    }
}

static void event_put(struct rf_gossip *gossip, struct rf_gossip_event *event)
{
    rf_counter_add(&gossip->counters.events, 1);
    rf_events_put(&gossip->events, event);
}

static void member_changed(struct rf_gossip *gossip, const struct rf_output *output)
{
    rf_driver_log_member(gossip, output);
    rf_driver_snapshot_member(gossip, output);
    if (output->change == RF_MEMBER_CHANGE_LEAVE || output->change == RF_MEMBER_CHANGE_FAILED ||
        output->change == RF_MEMBER_CHANGE_REAP) {
        rf_joiner_gone(&gossip->joiner, rf_driver_now_ns(), &output->address);
    } else if (output->change == RF_MEMBER_CHANGE_JOIN) {
        rf_joiner_back(&gossip->joiner, &output->address);
    }
    if (!gossip->has_consumer) {
        return;
    }
    struct rf_serf_member_view member = {
        .name = output->name,
        .name_size = output->name_size,
        .address = output->address,
        .meta = output->bytes,
        .meta_size = output->bytes_size,
        .status = (enum rf_serf_status)output->status,
    };
    event_put(gossip,
              rf_member_event_new(output->change == RF_MEMBER_CHANGE_REAP ? RF_GOSSIP_EVENT_FORGOT
                                                                          : RF_GOSSIP_EVENT_MEMBER,
                                  &member));
}

static void name_lost(struct rf_gossip *gossip)
{
    rf_log(&gossip->log, RF_LOG_ERROR,
           "name_lost name=%s text=\"the cluster gives this name to another node: start with "
           "another name\"",
           gossip->name);
    gossip->has_lost_name = true;
    gossip->close_wanted = true;
    if (gossip->has_consumer) {
        event_put(gossip, rf_member_event_name_lost_new());
    }
}

static void output_do(struct rf_gossip *gossip, uint64_t now_ns, const struct rf_output *output)
{
    switch (output->type) {
    case RF_OUTPUT_PACKET:
        packet_send(gossip, output);
        break;
    case RF_OUTPUT_EXCHANGE:
        exchange_begin(gossip, now_ns, output);
        break;
    case RF_OUTPUT_MEMBER:
        member_changed(gossip, output);
        break;
    case RF_OUTPUT_JOIN_RESULT:
        rf_joiner_result(&gossip->joiner, now_ns, gossip->serf, output);
        break;
    case RF_OUTPUT_LEFT:
        rf_log(&gossip->log, RF_LOG_INFO, "left name=%s", gossip->name);
        gossip->has_left = true;
        gossip->close_wanted = true;
        break;
    case RF_OUTPUT_NAME_LOST:
        name_lost(gossip);
        break;
    case RF_OUTPUT_NOTICE:
        rf_driver_log_notice(gossip, output);
        break;
    case RF_OUTPUT_KEY_REQUEST:
        rf_driver_key_request(gossip, now_ns, output);
        break;
    case RF_OUTPUT_ANSWER:
        rf_driver_ask_answer(gossip, output);
        break;
    case RF_OUTPUT_ASK_DONE:
        rf_driver_ask_done(gossip, output);
        break;
    case RF_OUTPUT_RESYNC:
        rf_joiner_lost(&gossip->joiner, now_ns, gossip->serf);
        rf_driver_snapshot_lost(gossip);
        if (gossip->has_consumer) {
            event_put(gossip, NULL);
        }
        break;
    case RF_OUTPUT_NODE_JOIN: /* between the machines */
    case RF_OUTPUT_NODE_LEAVE:
    case RF_OUTPUT_NODE_UPDATE:
    case RF_OUTPUT_NODE_CONFLICT:
    case RF_OUTPUT_NODE_ACK:
    case RF_OUTPUT_USER_MESSAGE:
    case RF_OUTPUT_SWIM_LEFT:
    case RF_OUTPUT_PUSH_PULL_OPEN:
        RF_ASSERT(!"an output that is not for the driver");
        break;
    }
}

/* Leaves the network; the member list stays for those who ask. */
static void node_close(struct rf_gossip *gossip)
{
    gossip->close_wanted = false;
    gossip->is_open = false;
    rf_streams_free(gossip->streams);
    gossip->streams = NULL;
    rf_gossip_sockets_close(&gossip->sockets);
    gossip->accept_resume_ns = UINT64_MAX;
    rf_driver_keys_close(gossip);
    rf_driver_asks_close(gossip);
    sem_post(&gossip->left);
}

void rf_driver_outputs(struct rf_gossip *gossip, uint64_t now_ns)
{
    struct rf_output output;
    do {
        /* The machine has no more exchanges in flight than there is room for failures, but what one
         * packet says may have it open more than that, one after the other. */
        while (gossip->failures_count < RF_SWIM_EXCHANGES_MAX &&
               rf_serf_next(gossip->serf, &output)) {
            output_do(gossip, now_ns, &output);
        }
        if (gossip->failures_count > 0) {
            const struct rf_driver_failure failure = gossip->failures[--gossip->failures_count];
            rf_serf_exchange_done(gossip->serf, now_ns, failure.exchange_id, failure.code,
                                  failure.text, NULL);
            continue;
        }
        break;
    } while (true);
    if (gossip->close_wanted) {
        node_close(gossip);
    }
}

/* ---- inputs ---- */

static void packet_handle(struct rf_gossip *gossip, uint64_t now_ns,
                          const struct rf_datagram *datagram)
{
    const struct rf_address *from = &datagram->from;
    size_t size = datagram->size;
    struct rf_gossip_counters *counters = &gossip->counters;
    rf_counter_add(&counters->packets_received, 1);
    rf_counter_add(&counters->packet_bytes_received, size);
    int code = rf_packet_open(&gossip->packet, &gossip->envelope, datagram->data, size);
    if (code < 0) {
        char text[RF_ADDRESS_TEXT_SIZE];
        rf_counter_add(&counters->packets_rejected, 1);
        rf_driver_log(gossip, RF_TOPIC_PACKET_REJECTED, RF_LOG_WARN,
                      "packet_rejected from=%s size=%zu error=\"%s\"",
                      rf_address_format(from, text), size, rf_strerror(code));
        return;
    }
    if (gossip->packet.is_encrypted &&
        !rf_replay_is_new(&gossip->packets_replay, gossip->packet.nonce)) {
        rf_counter_add(&counters->packets_replayed, 1);
        return;
    }
    rf_serf_packet_begin(gossip->serf, size);
    struct rf_slice message;
    while (rf_packet_next(&gossip->packet, &message)) {
        rf_serf_receive(gossip->serf, now_ns, from, message.data, message.size);
    }
    rf_counter_add(&counters->packet_parts_rejected, gossip->packet.dropped_count);
    rf_driver_outputs(gossip, now_ns);
}

/* One batch, then streams and time have their turn. Returns whether more may be there. */
static bool udp_ready(struct rf_gossip *gossip)
{
    int count = rf_receiver_fetch(gossip->receiver, gossip->sockets.udp_fd);
    if (count < 0) {
        rf_driver_log(gossip, RF_TOPIC_RECEIVE_FAILED, RF_LOG_WARN, "receive_failed error=\"%s\"",
                      rf_strerror(count));
        return false;
    }
    uint64_t now_ns = rf_driver_now_ns();
    for (int i = 0; i < count && gossip->is_open; i++) {
        struct rf_datagram datagram = rf_receiver_datagram(gossip->receiver, i);
        packet_handle(gossip, now_ns, &datagram);
    }
    return count == RF_RECEIVER_BATCH && gossip->is_open;
}

/* An ack that waits in the socket is in time, however late we are, and however much garbage waits
 * before it. */
static void udp_catch_up(struct rf_gossip *gossip)
{
    uint64_t end_ns = rf_driver_now_ns() + DUE_MAX_NS;
    for (int i = 0; i < BATCHES_DUE_MAX; i++) {
        if (!udp_ready(gossip) || rf_driver_now_ns() >= end_ns) {
            return;
        }
    }
}

static void listener_watch(struct rf_gossip *gossip, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = KEY_TCP};
    int code = epoll_ctl(gossip->epoll_fd, EPOLL_CTL_MOD, gossip->sockets.tcp_fd, &event);
    RF_ASSERT(code == 0);
}

/* Without descriptors or memory the listener stays readable: it is left alone for a while, since
 * looking at it at once again would only burn the processor that others need to close theirs. */
static void accept_failed(struct rf_gossip *gossip, uint64_t now_ns, int error)
{
    rf_counter_add(&gossip->counters.accept_errors, 1);
    rf_driver_log(gossip, RF_TOPIC_ACCEPT_FAILED, RF_LOG_WARN,
                  "accept_failed error=\"%s\" next=\"again in 100 ms\"", rf_strerror(-error));
    listener_watch(gossip, 0);
    gossip->accept_resume_ns = now_ns + ACCEPT_PAUSE_NS;
}

static void tcp_ready(struct rf_gossip *gossip, uint64_t now_ns)
{
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage sockaddr;
        socklen_t size = sizeof(sockaddr);
        int fd = accept4(gossip->sockets.tcp_fd, (struct sockaddr *)&sockaddr, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct rf_address peer;
            rf_address_from_sockaddr((const struct sockaddr *)&sockaddr, &peer);
            rf_streams_accept(gossip->streams, now_ns, fd, &peer);
            continue;
        }
        if (errno == EAGAIN) {
            return;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            accept_failed(gossip, now_ns, errno);
            return;
        }
        /* Others are about a connection that has gone already. */
    }
}

static void stream_result(struct rf_gossip *gossip, uint64_t now_ns,
                          const struct rf_stream_result *result)
{
    char text[RF_ADDRESS_TEXT_SIZE];
    const uint8_t *reply = NULL;
    size_t reply_size = 0;
    switch (result->type) {
    case RF_STREAM_RESULT_NONE:
        return;
    case RF_STREAM_RESULT_MESSAGE:
        if (rf_serf_accept(gossip->serf, now_ns, &result->peer, result->message, &reply,
                           &reply_size)) {
            rf_streams_reply(gossip->streams, result->slot, reply, reply_size);
        } else {
            rf_streams_close(gossip->streams, result->slot);
        }
        break;
    case RF_STREAM_RESULT_DONE:
        rf_serf_exchange_done(gossip->serf, now_ns, result->exchange_id, result->code, result->text,
                              result->message);
        rf_streams_close(gossip->streams, result->slot);
        break;
    case RF_STREAM_RESULT_REJECT:
        rf_driver_log(gossip, RF_TOPIC_STREAM_REJECTED, RF_LOG_WARN,
                      "stream_rejected from=%s error=\"%s\"",
                      rf_address_format(&result->peer, text),
                      result->text != NULL ? result->text : rf_strerror(result->code));
        return;
    }
    rf_driver_outputs(gossip, now_ns);
}

static void event_handle(struct rf_gossip *gossip, const struct epoll_event *event)
{
    if (event->data.u64 == KEY_WAKE) {
        uint64_t count;
        (void)!read(gossip->wake_fd, &count,
                    sizeof(count)); /* what was asked is looked at anyway */
        return;
    }
    if (!gossip->is_open) {
        return; /* closed by an event before, in the same batch */
    }
    uint64_t now_ns = rf_driver_now_ns();
    if (event->data.u64 == KEY_UDP) {
        (void)udp_ready(gossip); /* what is left makes the socket ready again */
    } else if (event->data.u64 == KEY_TCP) {
        tcp_ready(gossip, now_ns);
    } else {
        struct rf_stream_result result =
            rf_streams_ready(gossip->streams, now_ns, event->data.u64, event->events);
        stream_result(gossip, now_ns, &result);
    }
}

/* ---- time ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int timeout_ms(const struct rf_gossip *gossip)
{
    uint64_t deadline_ns = gossip->resync_retry_ns;
    if (gossip->is_open) {
        deadline_ns = earlier(deadline_ns, rf_serf_deadline_ns(gossip->serf));
        deadline_ns = earlier(deadline_ns, rf_streams_deadline_ns(gossip->streams));
        deadline_ns = earlier(deadline_ns, gossip->accept_resume_ns);
        if (!gossip->is_leaving) {
            deadline_ns = earlier(deadline_ns, rf_joiner_deadline_ns(&gossip->joiner));
        }
    }
    deadline_ns = earlier(deadline_ns, rf_driver_snapshot_deadline_ns(gossip));
    uint64_t now_ns = rf_driver_now_ns();
    if (deadline_ns == UINT64_MAX) {
        return -1;
    }
    if (deadline_ns <= now_ns) {
        return 0;
    }
    uint64_t wait_ms = (deadline_ns - now_ns + 999999) / 1000000; /* up: else it would spin */
    return wait_ms < 60000 ? (int)wait_ms : 60000;
}

static void leave_begin(struct rf_gossip *gossip, uint64_t now_ns)
{
    gossip->is_leaving = true;
    rf_log(&gossip->log, RF_LOG_INFO, "leaving name=%s", gossip->name);
    struct rf_error err = {0};
    int code = rf_serf_leave(gossip->serf, now_ns, &err);
    RF_ASSERT(code == 0); /* it is asked once, and the machine leaves only when asked */
    rf_driver_outputs(gossip, now_ns);
}

static void time_passed(struct rf_gossip *gossip)
{
    uint64_t now_ns = rf_driver_now_ns();
    if (now_ns >= gossip->accept_resume_ns) {
        gossip->accept_resume_ns = UINT64_MAX;
        listener_watch(gossip, EPOLLIN);
    }
    if (now_ns >= rf_serf_deadline_ns(gossip->serf)) {
        udp_catch_up(gossip);
    }
    now_ns = rf_driver_now_ns();
    if (gossip->is_open && now_ns >= rf_serf_deadline_ns(gossip->serf)) {
        rf_serf_tick(gossip->serf, now_ns);
        rf_driver_outputs(gossip, now_ns);
    }
    while (gossip->is_open) {
        struct rf_stream_result result = rf_streams_expire(gossip->streams, now_ns);
        if (result.type == RF_STREAM_RESULT_NONE) {
            break;
        }
        stream_result(gossip, now_ns, &result);
    }
    if (gossip->is_open && !gossip->is_leaving) {
        rf_joiner_tick(&gossip->joiner, now_ns, gossip->serf);
        rf_driver_outputs(gossip, now_ns);
    }
    if (gossip->is_open && !gossip->is_leaving &&
        atomic_load_explicit(&gossip->leave_wanted, memory_order_acquire)) {
        leave_begin(gossip, now_ns);
    }
}

/* ---- the consumer ---- */

static void consumer_serve(struct rf_gossip *gossip)
{
    uint64_t now_ns = rf_driver_now_ns();
    if (rf_events_wants_list(&gossip->events) &&
        (gossip->resync_retry_ns == UINT64_MAX || now_ns >= gossip->resync_retry_ns)) {
        struct rf_gossip_event *list = rf_member_event_resync_new(gossip->serf);
        gossip->resync_retry_ns = list == NULL ? now_ns + RESYNC_PAUSE_NS : UINT64_MAX;
        if (list != NULL) {
            rf_counter_add(&gossip->counters.resyncs, 1);
            rf_driver_log(gossip, RF_TOPIC_RESYNC, RF_LOG_INFO, "resync members=%zu",
                          list->members.count);
            rf_events_put_list(&gossip->events, list);
            if (gossip->has_lost_name) { /* no list tells it, and it may be what did not fit */
                event_put(gossip, rf_member_event_name_lost_new());
            }
        }
    }
    rf_events_announce(&gossip->events);
}

/* ---- the thread ---- */

int rf_driver_listen(const struct rf_gossip *gossip)
{
    const struct {
        int fd;
        uint64_t key;
    } all[] = {{gossip->sockets.udp_fd, KEY_UDP},
               {gossip->sockets.tcp_fd, KEY_TCP},
               {gossip->wake_fd, KEY_WAKE}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = all[i].key};
        if (epoll_ctl(gossip->epoll_fd, EPOLL_CTL_ADD, all[i].fd, &event) < 0) {
            return -errno;
        }
    }
    return 0;
}

static void gauges_set(struct rf_gossip *gossip)
{
    uint64_t now_ns = rf_driver_now_ns();
    if (gossip->is_open && now_ns >= gossip->lost_at_ns) {
        gossip->lost_at_ns = now_ns + LOST_EVERY_NS;
        rf_counter_set(&gossip->counters.packets_lost,
                       rf_receiver_lost_count(gossip->sockets.udp_fd));
    }
    rf_counter_set(&gossip->counters.members, rf_serf_members_count(gossip->serf));
    rf_counter_set(&gossip->counters.members_alive, rf_serf_alive_count(gossip->serf));
}

void *rf_driver_run(void *context)
{
    struct rf_gossip *gossip = context;
    (void)pthread_setname_np(pthread_self(), "rf-gossip"); /* for people */
    rf_driver_outputs(gossip, rf_driver_now_ns());
    while (!atomic_load_explicit(&gossip->stop_wanted, memory_order_acquire)) {
        if (gossip->is_open) {
            time_passed(gossip);
        }
        uint64_t now_ns = rf_driver_now_ns();
        rf_driver_keys_poll(gossip, now_ns);
        rf_driver_call_handle(gossip, now_ns);
        if (gossip->has_consumer) {
            consumer_serve(gossip);
        }
        rf_driver_snapshot_tick(gossip, rf_driver_now_ns());
        gauges_set(gossip);
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(gossip->epoll_fd, events, EVENTS_MAX, timeout_ms(gossip));
        RF_ASSERT(count >= 0 || errno == EINTR);
        for (int i = 0; i < count; i++) {
            event_handle(gossip, &events[i]);
        }
    }
    return NULL;
}
