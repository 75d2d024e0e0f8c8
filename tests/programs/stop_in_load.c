/* SPDX-License-Identifier: MIT
 *
 * stop_in_load HOST:PORT PID GROUP MEMBER - keeps hundreds of requests in flight on several
 * connections, sends PID a SIGTERM, and reads on to the end. Some connections have asked for more
 * than the server can send, and read nothing from then on until the server ends the others: what it
 * has of them when it stops is much. All that had been received by then, as the acknowledgements
 * tell, must be answered, in order, whole, with MEMBER for every key; then the connections must end
 * in good order. Prints how much that was. Exits with 1 and a line where it was not so.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/address.h"
#include "core/wire.h"

enum {
    CONNECTIONS = 6,
    DEAF = 2,     /* of them, the first: those that do not read for a while */
    WINDOW = 512, /* requests in flight on each */
    DEAF_WINDOW = 1000 * 1000,
    LOAD_REPLIES = 200000, /* of all, before the signal */
    DATA_SIZE = 64 * 1024,
    TIMEOUT_MS = 60 * 1000,
};

struct connection {
    int fd;
    uint64_t sent_size; /* bytes of requests; the preface not counted */
    uint64_t acked;     /* whole requests that had been received when the signal was sent */
    uint32_t answered;
    uint32_t window;
    bool is_deaf; /* neither sends nor reads */
    bool is_ended;
    size_t held;
    uint8_t data[DATA_SIZE];
};

static struct connection connections[CONNECTIONS];
static const char *group, *member;
static size_t request_size;

static void fail(const char *what, const struct connection *connection)
{
    fprintf(stderr, "stop_in_load: connection %td, %u replies: %s (errno: %s)\n",
            connection - connections, connection->answered, what, strerror(errno));
    exit(1);
}

static size_t put_request(uint8_t *out, size_t size, uint32_t id)
{
    char key[9];
    (void)snprintf(key, sizeof(key), "%08x", id);
    return rf_wire_match_request_encode(out, size, id, (struct rf_wire_bytes){group, strlen(group)},
                                        (struct rf_wire_bytes){key, 8});
}

static void open_connection(struct connection *connection, const char *server)
{
    struct rf_host_port parsed;
    struct rf_address address;
    struct rf_error err;
    struct sockaddr_storage sockaddr;
    if (rf_host_port_parse(server, 0, &parsed, &err) < 0 ||
        rf_host_port_resolve(&parsed, &address, 1, &err) < 0) {
        fail(err.text, connection);
    }
    socklen_t size = rf_address_to_sockaddr(&address, &sockaddr);
    connection->fd = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&sockaddr, size) < 0 ||
        send(connection->fd, rf_wire_preface, RF_WIRE_PREFACE_SIZE, MSG_NOSIGNAL) !=
            RF_WIRE_PREFACE_SIZE) {
        fail("connect", connection);
    }
}

/* As many as may be in flight; the last one may be cut by the kernel, anywhere. */
static void send_requests(struct connection *connection)
{
    uint8_t batch[16 * 1024];
    for (;;) {
        uint32_t id = (uint32_t)(connection->sent_size / request_size);
        size_t cut = connection->sent_size % request_size;
        size_t size = 0;
        while (id - connection->answered < connection->window &&
               size + request_size <= sizeof(batch)) {
            size += put_request(batch + size, sizeof(batch) - size, id++);
        }
        if (size <= cut) {
            return;
        }
        ssize_t sent = send(connection->fd, batch + cut, size - cut, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            return; /* no room, or the end, which receiving will see */
        }
        connection->sent_size += (uint64_t)sent;
    }
}

static size_t check_reply(struct connection *connection, const uint8_t *data, size_t size)
{
    if (size < RF_WIRE_HEADER_SIZE) {
        return 0;
    }
    struct rf_wire_header header = rf_wire_header_load(data);
    if (header.request_id != connection->answered || header.op != RF_WIRE_MATCH ||
        header.status != RF_WIRE_OK) {
        fail("not the next reply", connection);
    }
    if (size - RF_WIRE_HEADER_SIZE < header.payload_size) {
        return 0;
    }
    struct rf_wire_match_reply reply;
    if (rf_wire_match_reply_decode(data + RF_WIRE_HEADER_SIZE, header.payload_size, &reply, NULL) <
            0 ||
        reply.owner.id.size != strlen(member) ||
        memcmp(reply.owner.id.data, member, reply.owner.id.size) != 0) {
        fail("a wrong owner", connection);
    }
    connection->answered++;
    return RF_WIRE_HEADER_SIZE + header.payload_size;
}

static void receive_replies(struct connection *connection)
{
    ssize_t received = recv(connection->fd, connection->data + connection->held,
                            sizeof(connection->data) - connection->held, MSG_DONTWAIT);
    if (received < 0) {
        if (errno != EAGAIN) {
            fail("reset", connection);
        }
        return;
    }
    connection->held += (size_t)received;
    size_t at = 0;
    for (size_t part;
         (part = check_reply(connection, connection->data + at, connection->held - at)) > 0;) {
        at += part;
    }
    connection->held -= at;
    memmove(connection->data, connection->data + at, connection->held);
    if (received == 0) {
        connection->is_ended = true;
        if (connection->held > 0) {
            fail("ended within a reply", connection);
        }
        close(connection->fd);
    }
}

static void run_round(void)
{
    struct pollfd fds[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *connection = &connections[i];
        bool is_silent = connection->is_ended || connection->is_deaf;
        if (!is_silent) {
            send_requests(connection);
        }
        fds[i] = (struct pollfd){.fd = is_silent ? -1 : connection->fd, .events = POLLIN};
    }
    if (poll(fds, CONNECTIONS, TIMEOUT_MS) <= 0) {
        fail("nothing comes", &connections[0]);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        if (fds[i].revents != 0) {
            receive_replies(&connections[i]);
        }
    }
}

static uint64_t answered_count(void)
{
    uint64_t count = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        count += connections[i].answered;
    }
    return count;
}

/* What is not acknowledged may not have been received. The preface was, long before. */
static void note_acknowledged(struct connection *connection)
{
    int waiting = 0;
    if (connection->is_ended || ioctl(connection->fd, SIOCOUTQ, &waiting) < 0) {
        fail("ended before the signal", connection);
    }
    uint64_t unacked = (uint64_t)waiting;
    uint64_t acked_size = connection->sent_size > unacked ? connection->sent_size - unacked : 0;
    connection->acked = acked_size / request_size;
}

/* Sends to those that shall be deaf until nothing moves any more: the server waits for them. */
static void fill_deaf(void)
{
    enum { QUIET_ROUNDS = 50 };
    const struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};
    for (int i = 0; i < DEAF; i++) {
        connections[i].window = DEAF_WINDOW;
        connections[i].is_deaf = true;
    }
    for (int quiet = 0; quiet < QUIET_ROUNDS; quiet++) {
        for (int i = 0; i < DEAF; i++) {
            uint64_t before = connections[i].sent_size;
            send_requests(&connections[i]);
            quiet = connections[i].sent_size == before ? quiet : 0;
        }
        (void)nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: stop_in_load HOST:PORT PID GROUP MEMBER\n");
        return 2;
    }
    group = argv[3];
    member = argv[4];
    uint8_t frame[1024];
    request_size = put_request(frame, sizeof(frame), 0);
    for (int i = 0; i < CONNECTIONS; i++) {
        connections[i].window = WINDOW;
        open_connection(&connections[i], argv[1]);
    }
    while (answered_count() < LOAD_REPLIES) {
        run_round();
    }
    fill_deaf();
    uint64_t in_flight = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        note_acknowledged(&connections[i]);
        in_flight += connections[i].acked - connections[i].answered;
    }
    if (kill((pid_t)atoi(argv[2]), SIGTERM) < 0) {
        fail("kill", &connections[0]);
    }
    uint64_t before = answered_count();
    for (int left = CONNECTIONS; left > 0;) {
        run_round();
        left = 0;
        for (int i = 0; i < CONNECTIONS; i++) {
            left += !connections[i].is_ended;
        }
        for (int i = 0; i < DEAF && left == DEAF; i++) { /* the others have ended */
            connections[i].is_deaf = false;
            connections[i].window = 0; /* no more requests */
        }
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        if (connections[i].answered < connections[i].acked) {
            fail("requests that were received are unanswered", &connections[i]);
        }
    }
    printf("in_flight=%llu answered_after=%llu\n", (unsigned long long)in_flight,
           (unsigned long long)(answered_count() - before));
    return 0;
}
