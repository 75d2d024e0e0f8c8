/* SPDX-License-Identifier: MIT */
#include "gossip/streams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"

/*
 * A stream may read and write at once: a peer that refuses our request says so while we still send.
 * After a reply was written we shut our side and wait for the peer to close (LINGER), since closing
 * with unread bytes would reset the connection and take the reply away from the peer.
 */
enum stream_state {
    STATE_FREE,
    STATE_CONNECT, /* connected when writable */
    STATE_ACTIVE,  /* `output` is written, then (or meanwhile) `parser` is fed */
    STATE_HANDED,  /* the message is with the caller */
    STATE_REPLY,   /* `output` is written, nothing is read */
    STATE_LINGER,  /* what comes is dropped, until the end */
};

struct stream {
    enum stream_state state;
    int fd;
    uint32_t generation; /* of the slot: tells a late event for its former owner */
    uint32_t interest;   /* what epoll watches */
    bool is_accepted;
    struct rf_address peer;
    struct rf_address site; /* what its limits are shared by */
    uint64_t exchange_id;
    struct rf_stream_parser parser;
    bool has_message;  /* the parser has a whole message */
    bool has_received; /* something, if only a byte */
    uint8_t *output;   /* owned: sealed */
    size_t output_size;
    size_t output_sent;
    size_t accounted_size; /* its part of streams->buffered_size */
};

struct rf_streams {
    struct rf_streams_config config;
    size_t accepted_count;
    size_t own_count;
    size_t buffered_size;
    size_t peak_size; /* the most there ever was, with what was held for a moment */
    uint64_t deadlines_ns[RF_STREAM_SLOTS]; /* apart, so that looking for the next is cheap */
    struct stream slots[RF_STREAM_SLOTS];
    uint8_t read_buffer[RF_STREAM_READ_SIZE];
};

int rf_streams_new(const struct rf_streams_config *config, struct rf_streams **ret_streams,
                   struct rf_error *err)
{
    struct rf_streams *streams = calloc(1, sizeof(*streams));
    if (streams == NULL) {
        return rf_error_set(err, -ENOMEM, "gossip: memory for %d streams", RF_STREAM_SLOTS);
    }
    streams->config = *config;
    for (int slot = 0; slot < RF_STREAM_SLOTS; slot++) {
        streams->deadlines_ns[slot] = UINT64_MAX;
    }
    *ret_streams = streams;
    return 0;
}

void rf_streams_free(struct rf_streams *streams)
{
    if (streams == NULL) {
        return;
    }
    for (int slot = 0; slot < RF_STREAM_SLOTS; slot++) {
        if (streams->slots[slot].state != STATE_FREE) {
            rf_streams_close(streams, slot);
        }
    }
    free(streams);
}

/* ---- bookkeeping ---- */

/* What a site has: accepted streams, and bytes of all its streams. */
static void site_measure(const struct rf_streams *streams, const struct rf_address *site,
                         size_t *ret_accepted_count, size_t *ret_size)
{
    *ret_accepted_count = 0;
    *ret_size = 0;
    for (int slot = 0; slot < RF_STREAM_SLOTS; slot++) {
        const struct stream *stream = &streams->slots[slot];
        if (stream->state != STATE_FREE && rf_address_equal(&stream->site, site)) {
            *ret_accepted_count += stream->is_accepted;
            *ret_size += stream->accounted_size;
        }
    }
}

/* What a stream may come to hold beside what it holds, by its site's limit and by that of all. */
static size_t room_for(const struct rf_streams *streams, const struct stream *stream,
                       bool *ret_is_site)
{
    size_t accepted_count;
    size_t site_size;
    site_measure(streams, &stream->site, &accepted_count, &site_size);
    size_t site_room = RF_GOSSIP_ADDRESS_STREAM_BYTES_MAX - site_size;
    size_t room = RF_GOSSIP_STREAM_BYTES_MAX - streams->buffered_size;
    *ret_is_site = site_room < room;
    return site_room < room ? site_room : room;
}

static void count_refused(struct rf_streams *streams, bool is_site)
{
    rf_counter_add(&streams->config.counters->streams_refused, 1);
    rf_counter_add(&streams->config.counters->streams_refused_address, is_site);
}

/* `size`: what was held for a moment beside what others hold. */
static void note_peak(struct rf_streams *streams, const struct stream *stream, size_t size)
{
    size_t held_size = streams->buffered_size - stream->accounted_size + size;
    RF_ASSERT(held_size <= RF_GOSSIP_STREAM_BYTES_MAX);
    if (held_size > streams->peak_size) {
        streams->peak_size = held_size;
        rf_counter_set(&streams->config.counters->stream_bytes_peak, held_size);
    }
}

static void account(struct rf_streams *streams, struct stream *stream)
{
    size_t size = rf_stream_parser_memory_size(&stream->parser) + stream->output_size;
    streams->buffered_size += size - stream->accounted_size;
    stream->accounted_size = size;
    rf_counter_set(&streams->config.counters->stream_bytes, streams->buffered_size);
}

static int find_free_slot(const struct rf_streams *streams)
{
    for (int slot = 0; slot < RF_STREAM_SLOTS; slot++) {
        if (streams->slots[slot].state == STATE_FREE) {
            return slot;
        }
    }
    return -1;
}

static void watch(struct rf_streams *streams, int slot, uint32_t events)
{
    struct stream *stream = &streams->slots[slot];
    if (stream->interest == events) {
        return;
    }
    struct epoll_event event = {
        .events = events,
        .data.u64 = (uint64_t)slot | (uint64_t)stream->generation << 32,
    };
    /* Changing what is watched cannot fail: the descriptor is there and ours. */
    int code = epoll_ctl(streams->config.epoll_fd, EPOLL_CTL_MOD, stream->fd, &event);
    RF_ASSERT(code == 0);
    stream->interest = events;
}

/* Puts a connection into a free slot, closes it if there is none. Returns the slot or -1. */
static int slot_take(struct rf_streams *streams, int fd, enum stream_state state, uint32_t events)
{
    int slot = find_free_slot(streams);
    if (slot < 0) {
        close(fd);
        return -1;
    }
    struct stream *stream = &streams->slots[slot];
    uint32_t generation = stream->generation + 1;
    *stream =
        (struct stream){.state = state, .fd = fd, .generation = generation, .interest = events};
    struct epoll_event event = {
        .events = events,
        .data.u64 = (uint64_t)slot | (uint64_t)generation << 32,
    };
    if (epoll_ctl(streams->config.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        stream->state = STATE_FREE;
        close(fd);
        return -1;
    }
    rf_counter_add(&streams->config.counters->streams, 1);
    return slot;
}

void rf_streams_close(struct rf_streams *streams, int slot)
{
    if (slot < 0) {
        return;
    }
    struct stream *stream = &streams->slots[slot];
    RF_ASSERT(stream->state != STATE_FREE);
    close(stream->fd); /* leaves epoll by itself: the descriptor was never duplicated */
    rf_stream_parser_fini(&stream->parser);
    free(stream->output);
    streams->buffered_size -= stream->accounted_size;
    streams->accepted_count -= stream->is_accepted;
    streams->own_count -= !stream->is_accepted;
    streams->deadlines_ns[slot] = UINT64_MAX;
    *stream = (struct stream){.state = STATE_FREE, .generation = stream->generation};
    rf_counter_subtract(&streams->config.counters->streams, 1);
    rf_counter_set(&streams->config.counters->stream_bytes, streams->buffered_size);
}

/* Seals a message into the stream's output. */
static int output_set(struct rf_streams *streams, struct stream *stream, const uint8_t *bytes,
                      size_t size)
{
    struct rf_stream_options options = {.is_reply = stream->is_accepted, .compress = true};
    size_t size_max = rf_stream_sealed_size_max(streams->config.envelope, &options, size);
    bool is_site;
    if (size_max > room_for(streams, stream, &is_site)) {
        return RF_ELIMIT;
    }
    note_peak(streams, stream, stream->accounted_size + size_max);
    uint8_t *output = malloc(size_max);
    if (output == NULL) {
        return -ENOMEM;
    }
    int sealed = rf_stream_seal(streams->config.envelope, &options, streams->config.workspace,
                                rf_slice(bytes, size), output, size_max);
    if (sealed < 0) {
        free(output);
        return sealed;
    }
    uint8_t *shrunk = realloc(output, (size_t)sealed); /* what is accounted is what is held */
    stream->output = shrunk == NULL ? output : shrunk;
    stream->output_size = (size_t)sealed;
    stream->output_sent = 0;
    account(streams, stream);
    return 0;
}

/* ---- results ---- */

static const struct rf_stream_result no_result = {.type = RF_STREAM_RESULT_NONE, .slot = -1};

static struct rf_stream_result done(const struct rf_streams *streams, int slot, int code,
                                    const char *text)
{
    const struct stream *stream = &streams->slots[slot];
    return (struct rf_stream_result){
        .type = RF_STREAM_RESULT_DONE,
        .slot = slot,
        .peer = stream->peer,
        .exchange_id = stream->exchange_id,
        .code = code,
        .text = text,
        .message = code == 0 ? rf_stream_parser_message(&stream->parser) : NULL,
    };
}

/* The network or the peer ended the stream: an exchange has a result, an accepted one just ends. */
static struct rf_stream_result fail(struct rf_streams *streams, int slot, int code,
                                    const char *text)
{
    rf_counter_add(&streams->config.counters->streams_failed, 1);
    if (streams->slots[slot].is_accepted) {
        rf_streams_close(streams, slot);
        return no_result;
    }
    streams->slots[slot].state = STATE_HANDED;
    return done(streams, slot, code, text);
}

/* ---- writing ---- */

/* Writes what it can. Returns 0, or a negative code. */
static int flush(struct rf_streams *streams, int slot)
{
    struct stream *stream = &streams->slots[slot];
    while (stream->output_sent < stream->output_size) {
        ssize_t sent = send(stream->fd, stream->output + stream->output_sent,
                            stream->output_size - stream->output_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return errno == EAGAIN ? 0 : -errno;
        }
        stream->output_sent += (size_t)sent;
        rf_counter_add(&streams->config.counters->stream_bytes_sent, (uint64_t)sent);
    }
    return 0;
}

/* Goes on with a reply: writes, then shuts our side. */
static void reply_advance(struct rf_streams *streams, int slot)
{
    struct stream *stream = &streams->slots[slot];
    if (flush(streams, slot) < 0) {
        rf_counter_add(&streams->config.counters->streams_failed, 1);
        rf_streams_close(streams, slot);
        return;
    }
    if (stream->output_sent < stream->output_size) {
        watch(streams, slot, EPOLLOUT);
        return;
    }
    stream->state = STATE_LINGER;
    (void)shutdown(stream->fd, SHUT_WR); /* fails if the peer is gone: then reading tells */
    watch(streams, slot, EPOLLIN);
}

void rf_streams_reply(struct rf_streams *streams, int slot, const uint8_t *bytes, size_t size)
{
    struct stream *stream = &streams->slots[slot];
    RF_ASSERT(stream->state == STATE_HANDED && stream->is_accepted);
    rf_stream_parser_fini(&stream->parser);
    account(streams, stream);
    if (output_set(streams, stream, bytes, size) < 0) {
        count_refused(streams, false);
        rf_streams_close(streams, slot);
        return;
    }
    stream->state = STATE_REPLY;
    reply_advance(streams, slot);
}

/* Tells the peer why its message is refused, if it is to be told. */
static struct rf_stream_result reject(struct rf_streams *streams, int slot, int code)
{
    struct stream *stream = &streams->slots[slot];
    const char *text = rf_stream_refusal_text(stream->parser.refusal);
    struct rf_stream_result result = {.type = RF_STREAM_RESULT_REJECT,
                                      .slot = -1,
                                      .peer = stream->peer,
                                      .code = code,
                                      .text = text};
    rf_counter_add(&streams->config.counters->streams_rejected, 1);
    uint8_t bytes[512];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_message message = {.type = RF_MESSAGE_ERR, .err.error = rf_slice_text(text)};
    stream->state = STATE_HANDED;
    if (text != NULL && rf_message_encode(&message, &packer) > 0) {
        rf_streams_reply(streams, slot, bytes, packer.size);
    } else {
        rf_streams_close(streams, slot);
    }
    return result;
}

/* ---- reading ---- */

/* What is wrong with an answer. Where one is refused for its keys, so that somebody mends them. */
static const char *refused_answer_text(enum rf_stream_refusal refusal)
{
    switch (refusal) {
    case RF_STREAM_REFUSAL_NOT_ENCRYPTED:
        return "the peer's answer is not encrypted, and this node has keys";
    case RF_STREAM_REFUSAL_NO_KEYS:
        return "the peer's answer is encrypted, and this node has no key";
    case RF_STREAM_REFUSAL_WRONG_KEY:
        return "no key of this node opens the peer's answer";
    case RF_STREAM_REFUSAL_NONE:
    case RF_STREAM_REFUSAL_SILENT:
    case RF_STREAM_REFUSAL_MALFORMED:
        break;
    }
    return "the peer's answer is not what the protocol says";
}

/* A peer says nothing to another label, so that strangers learn nothing. */
static const char *cut_answer_text(const struct stream *stream)
{
    return stream->has_received ? "the peer closed before its message was whole"
                                : "the peer closed without an answer: is its label another one?";
}

static struct rf_stream_result refuse(struct rf_streams *streams, int slot, int code)
{
    if (streams->slots[slot].is_accepted) {
        return reject(streams, slot, code);
    }
    rf_counter_add(&streams->config.counters->streams_rejected, 1);
    streams->slots[slot].state = STATE_HANDED;
    return done(streams, slot, code, refused_answer_text(streams->slots[slot].parser.refusal));
}

static struct rf_stream_result feed(struct rf_streams *streams, int slot, size_t size)
{
    struct stream *stream = &streams->slots[slot];
    struct rf_stream_parser *parser = &stream->parser;
    bool is_site;
    parser->memory_max = stream->accounted_size + room_for(streams, stream, &is_site) -
                         stream->output_size; /* the output is held beside it */
    parser->memory_peak = 0;
    int code = rf_stream_parser_feed(parser, streams->read_buffer, size);
    note_peak(streams, stream, parser->memory_peak + stream->output_size);
    account(streams, stream);
    if (code == RF_ELIMIT && parser->refusal == RF_STREAM_REFUSAL_SILENT) {
        count_refused(streams, is_site);
        return fail(streams, slot, code, "too many bytes are held by streams");
    }
    if (code < 0) {
        return refuse(streams, slot, code);
    }
    if (code == 1 && parser->is_encrypted &&
        !rf_replay_is_new(streams->config.replay, parser->nonce)) {
        rf_counter_add(&streams->config.counters->streams_replayed, 1);
        return fail(streams, slot, RF_EAUTH, "the answer is an old one, sent again");
    }
    if (code == 0) {
        return no_result;
    }
    stream->state = STATE_HANDED;
    watch(streams, slot, 0);
    if (!stream->is_accepted) {
        return done(streams, slot, 0, NULL);
    }
    return (struct rf_stream_result){
        .type = RF_STREAM_RESULT_MESSAGE,
        .slot = slot,
        .peer = stream->peer,
        .message = rf_stream_parser_message(&stream->parser),
    };
}

static struct rf_stream_result read_message(struct rf_streams *streams, int slot)
{
    struct stream *stream = &streams->slots[slot];
    for (int i = 0; i < RF_STREAM_READS_MAX; i++) {
        ssize_t size = recv(stream->fd, streams->read_buffer, RF_STREAM_READ_SIZE, 0);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            if (errno == EAGAIN) {
                return no_result;
            }
            return fail(streams, slot, -errno,
                        errno == ECONNRESET ? cut_answer_text(stream)
                                            : "reading the answer failed");
        }
        if (size == 0) {
            return fail(streams, slot, -ECONNRESET, cut_answer_text(stream));
        }
        stream->has_received = true;
        rf_counter_add(&streams->config.counters->stream_bytes_received, (uint64_t)size);
        struct rf_stream_result result = feed(streams, slot, (size_t)size);
        if (stream->state != STATE_ACTIVE) {
            return result;
        }
    }
    return no_result;
}

/* Drops what comes after our reply; the peer's end ends the stream. */
static void linger(struct rf_streams *streams, int slot)
{
    for (int i = 0; i < RF_STREAM_READS_MAX; i++) {
        ssize_t size = recv(streams->slots[slot].fd, streams->read_buffer, RF_STREAM_READ_SIZE, 0);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (size <= 0) {
            rf_streams_close(streams, slot);
            return;
        }
    }
}

/* ---- both ---- */

/* Reads first, so that a peer's refusal is heard even where writing on fails. */
static struct rf_stream_result active_advance(struct rf_streams *streams, int slot, uint32_t events)
{
    struct stream *stream = &streams->slots[slot];
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        struct rf_stream_result result = read_message(streams, slot);
        if (stream->state != STATE_ACTIVE) {
            return result;
        }
    }
    int code = flush(streams, slot);
    if (code < 0) {
        return fail(streams, slot, code, "writing the request failed");
    }
    bool is_written = stream->output_sent == stream->output_size;
    watch(streams, slot, is_written ? EPOLLIN : EPOLLIN | EPOLLOUT);
    return no_result;
}

static struct rf_stream_result connect_advance(struct rf_streams *streams, int slot)
{
    struct stream *stream = &streams->slots[slot];
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) {
        error = errno;
    }
    if (error != 0) {
        return fail(streams, slot, -error, NULL); /* the code says it best */
    }
    stream->state = STATE_ACTIVE;
    return active_advance(streams, slot, 0);
}

struct rf_stream_result rf_streams_ready(struct rf_streams *streams, uint64_t now_ns, uint64_t key,
                                         uint32_t events)
{
    (void)now_ns; /* deadlines are set when a stream starts: progress does not renew them */
    int slot = (int)(key & UINT32_MAX);
    RF_ASSERT(slot < RF_STREAM_SLOTS);
    struct stream *stream = &streams->slots[slot];
    if (stream->generation != key >> 32) {
        return no_result;
    }
    switch (stream->state) {
    case STATE_CONNECT:
        return connect_advance(streams, slot);
    case STATE_ACTIVE:
        return active_advance(streams, slot, events);
    case STATE_REPLY:
        reply_advance(streams, slot);
        return no_result;
    case STATE_LINGER:
        linger(streams, slot);
        return no_result;
    case STATE_FREE:   /* closed by an event before, in the same batch */
    case STATE_HANDED: /* a hang-up, which writing the reply will meet */
        return no_result;
    }
    return no_result;
}

void rf_streams_accept(struct rf_streams *streams, uint64_t now_ns, int fd,
                       const struct rf_address *peer)
{
    struct rf_gossip_counters *counters = streams->config.counters;
    struct rf_address site = rf_address_site(peer);
    size_t site_count;
    size_t site_size;
    site_measure(streams, &site, &site_count, &site_size);
    bool is_site = site_count >= RF_GOSSIP_ADDRESS_STREAMS_MAX;
    if (is_site || streams->accepted_count >= RF_GOSSIP_STREAMS_MAX) {
        count_refused(streams, is_site);
        close(fd);
        return;
    }
    int slot = slot_take(streams, fd, STATE_ACTIVE, EPOLLIN);
    if (slot < 0) {
        rf_counter_add(&counters->streams_refused, 1);
        return;
    }
    struct stream *stream = &streams->slots[slot];
    stream->is_accepted = true;
    stream->peer = *peer;
    stream->site = site;
    rf_stream_parser_init(&stream->parser, streams->config.envelope, RF_STREAM_REQUEST);
    streams->accepted_count++;
    streams->deadlines_ns[slot] = now_ns + streams->config.timeout_ns;
    rf_counter_add(&counters->streams_accepted, 1);
}

static struct rf_stream_result connect_failed(const struct rf_output *output, int code,
                                              const char *text)
{
    return (struct rf_stream_result){.type = RF_STREAM_RESULT_DONE,
                                     .slot = -1,
                                     .peer = output->address,
                                     .exchange_id = output->exchange_id,
                                     .code = code,
                                     .text = text};
}

struct rf_stream_result rf_streams_connect(struct rf_streams *streams, uint64_t now_ns,
                                           const struct rf_output *output)
{
    (void)now_ns; /* the machine has set the deadline */
    struct sockaddr_storage sockaddr;
    socklen_t size = rf_address_to_sockaddr(&output->address, &sockaddr);
    if (size == 0) {
        return connect_failed(output, -EAFNOSUPPORT, "the address is neither IPv4 nor IPv6");
    }
    /* The machine has no more in flight, but those that it has given up are open until they end. */
    if (streams->own_count >= RF_SWIM_EXCHANGES_MAX) {
        return connect_failed(output, RF_ELIMIT, "too many streams");
    }
    int fd = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return connect_failed(output, -errno, "no socket");
    }
    if (connect(fd, (struct sockaddr *)&sockaddr, size) < 0 && errno != EINPROGRESS) {
        int code = -errno;
        close(fd);
        return connect_failed(output, code, NULL);
    }
    int slot = slot_take(streams, fd, STATE_CONNECT, EPOLLOUT);
    if (slot < 0) {
        return connect_failed(output, RF_ELIMIT, "too many streams");
    }
    struct stream *stream = &streams->slots[slot];
    streams->own_count++;
    stream->peer = output->address;
    stream->site = rf_address_site(&output->address);
    stream->exchange_id = output->exchange_id;
    rf_stream_parser_init(&stream->parser, streams->config.envelope,
                          output->expect == RF_EXPECT_ACK ? RF_STREAM_REPLY_PING
                                                          : RF_STREAM_REPLY_PUSH_PULL);
    streams->deadlines_ns[slot] = output->deadline_ns;
    rf_counter_add(&streams->config.counters->streams_connected, 1);
    int code = output_set(streams, stream, output->bytes, output->bytes_size);
    if (code < 0) {
        rf_streams_close(streams, slot);
        return connect_failed(output, code, "the request could not be made");
    }
    return no_result;
}

/* ---- time ---- */

struct rf_stream_result rf_streams_expire(struct rf_streams *streams, uint64_t now_ns)
{
    for (int slot = 0; slot < RF_STREAM_SLOTS; slot++) {
        if (streams->deadlines_ns[slot] > now_ns) {
            continue;
        }
        struct stream *stream = &streams->slots[slot];
        if (stream->state != STATE_LINGER) {
            rf_counter_add(&streams->config.counters->streams_timed_out, 1);
        }
        if (!stream->is_accepted) {
            streams->deadlines_ns[slot] = UINT64_MAX;
            stream->state = STATE_HANDED;
            return done(streams, slot, -ETIMEDOUT, "no answer in time");
        }
        rf_streams_close(streams, slot);
    }
    return no_result;
}

uint64_t rf_streams_deadline_ns(const struct rf_streams *streams)
{
    uint64_t deadline_ns = UINT64_MAX;
    for (int slot = 0; slot < RF_STREAM_SLOTS; slot++) {
        if (streams->deadlines_ns[slot] < deadline_ns) {
            deadline_ns = streams->deadlines_ns[slot];
        }
    }
    return deadline_ns;
}
