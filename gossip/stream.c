/* SPDX-License-Identifier: MIT */
#include "gossip/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/compress.h"

/*
 * One buffer holds what has arrived. When a layer is whole, what was inside of it takes the place
 * of the buffer, and nothing is still to come. Each state looks at the bytes from `offset` on; it
 * moves on for good, or stays and waits for more.
 */
enum state {
    STATE_LABEL,
    STATE_FIRST_BYTE, /* encrypted or not? */
    STATE_FRAME,
    STATE_TYPE, /* compressed or not? */
    STATE_COMPRESS_OPEN,
    STATE_COMPRESS_FIELDS,
    STATE_INFLATE,
    STATE_HEADER,
    STATE_NODES,
    STATE_TAIL, /* user state, or user message */
    STATE_DONE,
    STATE_REFUSED,
};

enum {
    FRAME_HEADER_SIZE = RF_STREAM_FRAME_HEADER_SIZE,
    LAYERS_SIZE_MAX = RF_LABEL_OVERHEAD + RF_LABEL_SIZE_MAX + FRAME_HEADER_SIZE +
                      RF_COMPRESS_OVERHEAD_MAX + RF_MSGPACK_FIELDS_MAX * RF_STREAM_FIELD_MAX,
    CAPACITY_MIN = 512,
};

void rf_stream_parser_init(struct rf_stream_parser *parser, const struct rf_envelope *envelope,
                           enum rf_stream_role role)
{
    *parser = (struct rf_stream_parser){
        .envelope = envelope, .role = role, .state = STATE_LABEL, .memory_max = SIZE_MAX};
}

void rf_stream_parser_fini(struct rf_stream_parser *parser)
{
    free(parser->bytes);
    parser->bytes = NULL;
    parser->bytes_size = 0;
    parser->bytes_capacity = 0;
}

static int refuse(struct rf_stream_parser *parser, enum rf_stream_refusal refusal, int code)
{
    parser->state = STATE_REFUSED;
    parser->refusal = refusal;
    parser->code = code;
    return code;
}

/* Memory for `size` bytes beside what is held. NULL: RF_ELIMIT or -ENOMEM in *ret_code. */
static uint8_t *allocate(struct rf_stream_parser *parser, size_t size, int *ret_code)
{
    size_t held_size = parser->bytes_capacity + size;
    if (held_size > parser->memory_max) {
        *ret_code = RF_ELIMIT;
        return NULL;
    }
    parser->memory_peak = held_size > parser->memory_peak ? held_size : parser->memory_peak;
    uint8_t *bytes = malloc(size);
    *ret_code = bytes == NULL ? -ENOMEM : 0;
    return bytes;
}

/* No room is our trouble, not the peer's fault: nothing is said. */
static int no_room(struct rf_stream_parser *parser, int code)
{
    return refuse(parser, RF_STREAM_REFUSAL_SILENT, code);
}

static int malformed(struct rf_stream_parser *parser, int code)
{
    return refuse(parser, code == -ENOMEM ? RF_STREAM_REFUSAL_SILENT : RF_STREAM_REFUSAL_MALFORMED,
                  code);
}

/* The message, as far as it is there. */
static struct rf_slice message_bytes(const struct rf_stream_parser *parser)
{
    return rf_slice(parser->bytes + parser->start, parser->bytes_size - parser->start);
}

/*
 * A value is cut: waits for more, unless nothing is to come, or what is there is more than such a
 * value may have.
 */
static int wait_for_field(struct rf_stream_parser *parser)
{
    size_t left = message_bytes(parser).size - parser->offset;
    if (parser->is_whole || left > RF_STREAM_FIELD_MAX) {
        return malformed(parser, RF_EMALFORMED);
    }
    return 0;
}

/* Moves on behind a value that was read, unless it is larger than one may be; so that a message is
 * taken or refused however it was cut. */
static int accept_field(struct rf_stream_parser *parser, const struct rf_unpacker *unpacker)
{
    if (unpacker->offset - parser->offset > RF_STREAM_FIELD_MAX) {
        return RF_EMALFORMED;
    }
    parser->offset = unpacker->offset;
    return 0;
}

/* Puts `inside` (taken) in the place of what has arrived. */
static void replace_bytes(struct rf_stream_parser *parser, uint8_t *inside, size_t size)
{
    free(parser->bytes);
    parser->bytes = inside;
    parser->bytes_size = size;
    parser->bytes_capacity = size;
    parser->start = 0;
    parser->offset = 0;
    parser->is_whole = true;
}

/* ---- layers: each step returns 1 to go on, 0 to wait, or an error ---- */

static int step_label(struct rf_stream_parser *parser)
{
    const uint8_t *bytes = parser->bytes;
    size_t size = 0;
    if (bytes[0] == RF_MESSAGE_HAS_LABEL) {
        if (parser->bytes_size < RF_LABEL_OVERHEAD) {
            return 0;
        }
        size = bytes[1];
        if (size == 0 || parser->role != RF_STREAM_REQUEST) {
            return refuse(parser, RF_STREAM_REFUSAL_SILENT, RF_EMALFORMED);
        }
        if (parser->bytes_size < RF_LABEL_OVERHEAD + size) {
            return 0;
        }
        parser->has_label = true;
        parser->start = RF_LABEL_OVERHEAD + size;
    }
    const struct rf_envelope *envelope = parser->envelope;
    bool is_expected = parser->role == RF_STREAM_REQUEST && !envelope->skip_label_check;
    struct rf_slice expected = is_expected ? envelope->label : rf_slice(NULL, 0);
    if (!rf_slice_equal(rf_slice(bytes + parser->start - size, size), expected)) {
        return refuse(parser, RF_STREAM_REFUSAL_SILENT, RF_EAUTH);
    }
    parser->state = STATE_FIRST_BYTE;
    return 1;
}

static int step_first_byte(struct rf_stream_parser *parser)
{
    struct rf_slice bytes = message_bytes(parser);
    if (bytes.size == 0) {
        return 0;
    }
    struct rf_keyring *keyring = parser->envelope->keyring;
    if (bytes.data[0] == RF_MESSAGE_ENCRYPT) {
        if (rf_keyring_count(keyring) == 0) {
            return refuse(parser, RF_STREAM_REFUSAL_NO_KEYS, RF_EAUTH);
        }
        parser->state = STATE_FRAME;
        return 1;
    }
    if (rf_keyring_verifies_incoming(keyring)) {
        return refuse(parser, RF_STREAM_REFUSAL_NOT_ENCRYPTED, RF_EAUTH);
    }
    parser->state = STATE_TYPE;
    return 1;
}

static int step_frame(struct rf_stream_parser *parser)
{
    struct rf_slice bytes = message_bytes(parser);
    if (bytes.size < FRAME_HEADER_SIZE) {
        return 0;
    }
    const uint8_t *size = bytes.data + 1;
    uint32_t frame_size =
        (uint32_t)size[0] << 24 | (uint32_t)size[1] << 16 | (uint32_t)size[2] << 8 | size[3];
    if (frame_size > RF_STREAM_FRAME_MAX) {
        return malformed(parser, RF_ELIMIT);
    }
    parser->bytes_wanted = parser->start + FRAME_HEADER_SIZE + frame_size;
    if (bytes.size < FRAME_HEADER_SIZE + frame_size) {
        return 0;
    }
    if (frame_size == 0) {
        return malformed(parser, RF_EMALFORMED);
    }
    int code;
    uint8_t *plain = allocate(parser, frame_size, &code);
    if (plain == NULL) {
        return no_room(parser, code);
    }
    struct rf_slice blob = rf_slice(bytes.data + FRAME_HEADER_SIZE, frame_size);
    struct rf_crypt_data data = {.first = rf_slice(bytes.data, FRAME_HEADER_SIZE),
                                 .second = parser->envelope->label};
    int rc = rf_crypt_open(parser->envelope->keyring, blob, data, plain);
    if (rc <= 0) {
        free(plain);
        return rc == RF_EAUTH ? refuse(parser, RF_STREAM_REFUSAL_WRONG_KEY, rc)
                              : malformed(parser, rc == 0 ? RF_EMALFORMED : rc);
    }
    parser->is_encrypted = true;
    parser->frame_size = frame_size;
    parser->crypt_version = blob.data[0];
    memcpy(parser->nonce, blob.data + 1, RF_NONCE_SIZE);
    parser->plain_size = (size_t)rc;
    replace_bytes(parser, plain, (size_t)rc);
    parser->state = STATE_TYPE;
    return 1;
}

static int step_type(struct rf_stream_parser *parser)
{
    if (message_bytes(parser).data[0] == RF_MESSAGE_COMPRESS) {
        parser->offset = 1;
        parser->state = STATE_COMPRESS_OPEN;
    } else {
        parser->state = STATE_HEADER;
    }
    return 1;
}

/* A reader that stands at the offset. */
static struct rf_unpacker unpacker_at_offset(const struct rf_stream_parser *parser)
{
    struct rf_unpacker unpacker = rf_unpacker(message_bytes(parser));
    unpacker.offset = parser->offset;
    return unpacker;
}

/*
 * The compress message is read field by field, since its Buf is the whole stream, and may come
 * before Algo.
 */
static int step_compress_open(struct rf_stream_parser *parser)
{
    struct rf_unpacker unpacker = unpacker_at_offset(parser);
    parser->fields_are_named = true;
    int rc = rf_unpack_map(&unpacker, &parser->fields_left);
    if (rc == RF_EMALFORMED) {
        parser->fields_are_named = false;
        rc = rf_unpack_array(&unpacker, &parser->fields_left);
    }
    if (rc == RF_EMORE) {
        return wait_for_field(parser);
    }
    if (rc < 0 || parser->fields_left > RF_MSGPACK_FIELDS_MAX) {
        return malformed(parser, RF_EMALFORMED);
    }
    if (!parser->fields_are_named && parser->fields_left != 2) {
        return malformed(parser, RF_EMALFORMED);
    }
    parser->offset = unpacker.offset;
    parser->state = STATE_COMPRESS_FIELDS;
    return 1;
}

static int read_compress_field(struct rf_stream_parser *parser, struct rf_unpacker *unpacker)
{
    /* As an array: Algo, Buf. */
    struct rf_slice name = rf_slice_text(parser->fields_left == 2 ? "Algo" : "Buf");
    if (parser->fields_are_named) {
        int rc = rf_unpack_raw(unpacker, RF_STREAM_FIELD_MAX, &name);
        if (rc < 0) {
            return rc;
        }
    }
    if (rf_slice_equal_text(name, "Algo")) {
        return rf_unpack_uint(unpacker, UINT8_MAX, &parser->algo);
    }
    if (!rf_slice_equal_text(name, "Buf")) {
        return rf_unpack_skip(unpacker);
    }
    struct rf_slice buf;
    int rc = rf_unpack_raw(unpacker, RF_STREAM_PLAIN_MAX, &buf);
    if (rc == 0) {
        parser->buf_size = buf.size;
        parser->buf_offset = unpacker->offset - buf.size;
    } else if (rc == RF_EMORE && !parser->is_whole) {
        return 1; /* however long: it is the only field that may be */
    }
    if (rc == 0) {
        parser->offset = unpacker->offset;
    }
    return rc;
}

static int step_compress_fields(struct rf_stream_parser *parser)
{
    while (parser->fields_left > 0) {
        struct rf_unpacker unpacker = unpacker_at_offset(parser);
        int rc = read_compress_field(parser, &unpacker);
        if (rc == 1) {
            return 0;
        }
        if (rc == RF_EMORE) {
            return wait_for_field(parser);
        }
        rc = rc < 0 ? rc : accept_field(parser, &unpacker);
        if (rc < 0) {
            return malformed(parser, rc);
        }
        parser->fields_left--;
    }
    parser->state = STATE_INFLATE;
    return 1;
}

/* Work in proportion to what was sent: else 24 KB would have us unpack 32 MiB, again and again. */
static size_t inflated_max(size_t packed_size)
{
    size_t size_max = packed_size * RF_STREAM_RATIO_MAX;
    size_max = size_max > RF_STREAM_RATIO_FREE_SIZE ? size_max : RF_STREAM_RATIO_FREE_SIZE;
    return size_max < RF_STREAM_PLAIN_MAX ? size_max : RF_STREAM_PLAIN_MAX;
}

static int step_inflate(struct rf_stream_parser *parser)
{
    struct rf_slice bytes = message_bytes(parser);
    struct rf_compress compress = {
        .algo = (uint8_t)parser->algo,
        .buf = rf_slice(bytes.data + parser->buf_offset, parser->buf_size),
    };
    int size = rf_compress_inflate(&compress, NULL, inflated_max(parser->buf_size));
    if (size < 0) {
        return malformed(parser, size);
    }
    int code;
    uint8_t *inflated = allocate(parser, (size_t)size, &code);
    if (inflated == NULL) {
        return no_room(parser, code);
    }
    int inflated_size = rf_compress_inflate(&compress, inflated, (size_t)size);
    RF_ASSERT(inflated_size == size);
    if (!parser->is_encrypted) {
        parser->plain_size = parser->offset;
    }
    parser->is_compressed = true;
    parser->compressed_size = parser->buf_size;
    parser->inflated_size = (size_t)size;
    replace_bytes(parser, inflated, (size_t)size);
    parser->state = STATE_HEADER;
    return 1;
}

/* ---- the message ---- */

static bool is_expected_type(enum rf_stream_role role, uint8_t type)
{
    switch (role) {
    case RF_STREAM_REQUEST:
        return type == RF_MESSAGE_PUSH_PULL || type == RF_MESSAGE_USER || type == RF_MESSAGE_PING;
    case RF_STREAM_REPLY_PUSH_PULL:
        return type == RF_MESSAGE_PUSH_PULL || type == RF_MESSAGE_ERR;
    case RF_STREAM_REPLY_PING:
        return type == RF_MESSAGE_ACK;
    }
    return false;
}

/* Whether what a header announces can be there at all. */
static bool is_plausible(const struct rf_stream_parser *parser, uint64_t nodes_count,
                         uint64_t tail_size)
{
    size_t room = parser->is_whole ? message_bytes(parser).size - parser->offset
                                   : (size_t)RF_STREAM_PLAIN_MAX;
    return nodes_count * RF_STREAM_NODE_SIZE_MIN + tail_size <= room;
}

static int read_push_pull_header(struct rf_stream_parser *parser, struct rf_unpacker *unpacker)
{
    struct rf_push_pull_header *header = &parser->message.push_pull.header;
    int rc = rf_push_pull_header_decode(unpacker, header);
    if (rc < 0) {
        return rc;
    }
    rc = accept_field(parser, unpacker);
    if (rc < 0) {
        return rc;
    }
    parser->nodes_offset = unpacker->offset;
    parser->nodes_left = (uint32_t)header->nodes_count;
    parser->state = STATE_NODES;
    return is_plausible(parser, header->nodes_count, header->user_state_size) ? 0 : RF_EMALFORMED;
}

static int read_user_header(struct rf_stream_parser *parser, struct rf_unpacker *unpacker)
{
    int rc = rf_user_msg_header_decode(unpacker, &parser->user_header);
    if (rc < 0) {
        return rc;
    }
    rc = accept_field(parser, unpacker);
    if (rc < 0) {
        return rc;
    }
    parser->state = STATE_TAIL;
    return is_plausible(parser, 0, parser->user_header.size) ? 0 : RF_EMALFORMED;
}

/* Ping, ack, err: a type and one struct. */
static int read_small_message(struct rf_stream_parser *parser, struct rf_unpacker *unpacker)
{
    int rc = rf_unpack_skip(unpacker);
    rc = rc < 0 ? rc : accept_field(parser, unpacker);
    if (rc < 0) {
        return rc;
    }
    struct rf_message message;
    rc = rf_message_decode(rf_slice(unpacker->data, unpacker->offset), &message);
    if (rc < 0) {
        return rc;
    }
    if (message.type == RF_MESSAGE_PING) {
        parser->message.ping = message.ping;
    } else if (message.type == RF_MESSAGE_ACK) {
        parser->message.ack = message.ack;
    } else {
        parser->message.err = message.err;
    }
    parser->state = STATE_DONE;
    return 0;
}

static int step_header(struct rf_stream_parser *parser)
{
    uint8_t type = message_bytes(parser).data[0];
    if (!is_expected_type(parser->role, type)) {
        return refuse(parser, RF_STREAM_REFUSAL_SILENT, RF_EUNSUPPORTED);
    }
    parser->message.type = type;
    parser->offset = 1;
    struct rf_unpacker unpacker = unpacker_at_offset(parser);
    int rc;
    if (type == RF_MESSAGE_PUSH_PULL) {
        rc = read_push_pull_header(parser, &unpacker);
    } else if (type == RF_MESSAGE_USER) {
        rc = read_user_header(parser, &unpacker);
    } else {
        rc = read_small_message(parser, &unpacker);
    }
    if (rc == RF_EMORE) {
        return wait_for_field(parser);
    }
    return rc < 0 ? malformed(parser, rc) : 1;
}

static int step_nodes(struct rf_stream_parser *parser)
{
    while (parser->nodes_left > 0) {
        struct rf_unpacker unpacker = unpacker_at_offset(parser);
        struct rf_push_node_state state;
        int rc = rf_push_node_state_decode(&unpacker, &state);
        if (rc == RF_EMORE) {
            return wait_for_field(parser);
        }
        /* Above a limit: rf_stream_next_node will pass over it. */
        if (rc == 0 || rc == RF_ELIMIT) {
            rc = accept_field(parser, &unpacker);
        }
        if (rc < 0) {
            return malformed(parser, rc);
        }
        parser->nodes_left--;
    }
    parser->state = STATE_TAIL;
    return 1;
}

static int step_tail(struct rf_stream_parser *parser)
{
    struct rf_stream_message *message = &parser->message;
    bool is_user = message->type == RF_MESSAGE_USER;
    size_t size = is_user ? parser->user_header.size : message->push_pull.header.user_state_size;
    struct rf_slice bytes = message_bytes(parser);
    if (bytes.size - parser->offset < size) {
        return parser->is_whole ? malformed(parser, RF_EMALFORMED) : 0;
    }
    struct rf_slice tail = rf_slice(bytes.data + parser->offset, size);
    if (is_user) {
        message->user = tail;
    } else {
        message->push_pull.nodes =
            rf_slice(bytes.data + parser->nodes_offset, parser->offset - parser->nodes_offset);
        message->push_pull.user_state = tail;
    }
    parser->offset += size;
    parser->state = STATE_DONE;
    return 1;
}

static int step(struct rf_stream_parser *parser)
{
    switch ((enum state)parser->state) {
    case STATE_LABEL:
        return step_label(parser);
    case STATE_FIRST_BYTE:
        return step_first_byte(parser);
    case STATE_FRAME:
        return step_frame(parser);
    case STATE_TYPE:
        return step_type(parser);
    case STATE_COMPRESS_OPEN:
        return step_compress_open(parser);
    case STATE_COMPRESS_FIELDS:
        return step_compress_fields(parser);
    case STATE_INFLATE:
        return step_inflate(parser);
    case STATE_HEADER:
        return step_header(parser);
    case STATE_NODES:
        return step_nodes(parser);
    case STATE_TAIL:
        return step_tail(parser);
    case STATE_DONE:
    case STATE_REFUSED:
        break;
    }
    RF_ASSERT(!"a state with something to do");
    return 0;
}

static int append(struct rf_stream_parser *parser, const uint8_t *data, size_t size)
{
    if (size > parser->bytes_capacity - parser->bytes_size) {
        /* Doubled at most: memory stays in proportion to what has arrived. */
        size_t capacity = 2 * parser->bytes_capacity;
        size_t needed = parser->bytes_size + size;
        if (parser->bytes_wanted != 0 && capacity > parser->bytes_wanted) {
            capacity = parser->bytes_wanted;
        }
        capacity = capacity < needed ? needed : capacity;
        capacity = capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity;
        int code;
        uint8_t *bytes = allocate(parser, capacity, &code);
        if (bytes == NULL) {
            return code;
        }
        if (parser->bytes_size > 0) {
            memcpy(bytes, parser->bytes, parser->bytes_size);
        }
        free(parser->bytes);
        parser->bytes = bytes;
        parser->bytes_capacity = capacity;
    }
    memcpy(parser->bytes + parser->bytes_size, data, size);
    parser->bytes_size += size;
    return 0;
}

int rf_stream_parser_feed(struct rf_stream_parser *parser, const uint8_t *data, size_t size)
{
    if (parser->state == STATE_REFUSED) {
        return parser->code;
    }
    if (parser->state == STATE_DONE) {
        return 1;
    }
    if (size == 0) {
        return 0;
    }
    int rc = append(parser, data, size);
    if (rc < 0) {
        return no_room(parser, rc);
    }
    do {
        rc = step(parser);
    } while (rc == 1 && parser->state != STATE_DONE);
    if (rc == 0 && parser->bytes_size > RF_STREAM_PLAIN_MAX + LAYERS_SIZE_MAX) {
        return malformed(parser, RF_ELIMIT);
    }
    return rc;
}

const struct rf_stream_message *rf_stream_parser_message(const struct rf_stream_parser *parser)
{
    RF_ASSERT(parser->state == STATE_DONE);
    return &parser->message;
}

const char *rf_stream_refusal_text(enum rf_stream_refusal refusal)
{
    switch (refusal) {
    case RF_STREAM_REFUSAL_NONE:
    case RF_STREAM_REFUSAL_SILENT:
        return NULL;
    case RF_STREAM_REFUSAL_NOT_ENCRYPTED:
        return "Encryption is configured but remote state is not encrypted";
    case RF_STREAM_REFUSAL_NO_KEYS:
        return "Remote state is encrypted and encryption is not configured";
    case RF_STREAM_REFUSAL_WRONG_KEY:
        return "No installed keys could decrypt the message";
    case RF_STREAM_REFUSAL_MALFORMED:
        return "Malformed message, or above a limit";
    }
    return NULL;
}

bool rf_stream_next_node(struct rf_unpacker *nodes, struct rf_push_node_state *ret_node,
                         uint32_t *ret_dropped)
{
    while (rf_unpacker_left(nodes) > 0) {
        struct rf_push_node_state node;
        int rc = rf_push_node_state_decode(nodes, &node);
        if (rc == 0) {
            *ret_node = node;
            return true;
        }
        if (rc != RF_ELIMIT) {
            return false;
        }
        if (ret_dropped != NULL) {
            (*ret_dropped)++;
        }
    }
    return false;
}
