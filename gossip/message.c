/* SPDX-License-Identifier: MIT */
#include "gossip/message.h"

#include <errno.h>
#include <stddef.h>

#include "core/assert.h"

const uint8_t rf_vsn_ours[RF_VSN_SIZE] = {1, 5, 2, 2, 5, 4};

static const char *const type_names[] = {
    [RF_MESSAGE_PING] = "ping",
    [RF_MESSAGE_INDIRECT_PING] = "indirectPing",
    [RF_MESSAGE_ACK] = "ack",
    [RF_MESSAGE_SUSPECT] = "suspect",
    [RF_MESSAGE_ALIVE] = "alive",
    [RF_MESSAGE_DEAD] = "dead",
    [RF_MESSAGE_PUSH_PULL] = "pushPull",
    [RF_MESSAGE_COMPOUND] = "compound",
    [RF_MESSAGE_USER] = "user",
    [RF_MESSAGE_COMPRESS] = "compress",
    [RF_MESSAGE_ENCRYPT] = "encrypt",
    [RF_MESSAGE_NACK] = "nack",
    [RF_MESSAGE_HAS_CRC] = "hasCrc",
    [RF_MESSAGE_ERR] = "err",
};

const char *rf_message_type_name(uint8_t type)
{
    if (type == RF_MESSAGE_HAS_LABEL) {
        return "hasLabel";
    }
    return type < sizeof(type_names) / sizeof(type_names[0]) ? type_names[type] : NULL;
}

bool rf_vsn_is_valid(const uint8_t vsn[RF_VSN_SIZE])
{
    return vsn[RF_VSN_PMIN] > 0 && vsn[RF_VSN_PMAX] > 0 && vsn[RF_VSN_PMIN] <= vsn[RF_VSN_PCUR] &&
           vsn[RF_VSN_PCUR] <= vsn[RF_VSN_PMAX] && vsn[RF_VSN_DMIN] <= vsn[RF_VSN_DCUR] &&
           vsn[RF_VSN_DCUR] <= vsn[RF_VSN_DMAX];
}

/* ---- the tables: wire name, kind, declared position ---- */

#define NAME_SIZE_MAX RF_GOSSIP_NAME_SIZE_MAX

static const struct rf_field ping_fields[] = {
    {"Node", RF_FIELD_STRING, 1, false, offsetof(struct rf_ping, node), NAME_SIZE_MAX, NULL},
    {"SeqNo", RF_FIELD_U32, 0, false, offsetof(struct rf_ping, seq_no), 0, NULL},
    {"SourceAddr", RF_FIELD_IP, 2, true, offsetof(struct rf_ping, source), 0, NULL},
    {"SourceNode", RF_FIELD_STRING, 4, true, offsetof(struct rf_ping, source_node), NAME_SIZE_MAX,
     NULL},
    {"SourcePort", RF_FIELD_U16, 3, true, offsetof(struct rf_ping, source.port), 0, NULL},
};

static const struct rf_field indirect_ping_fields[] = {
    {"Nack", RF_FIELD_BOOL, 4, false, offsetof(struct rf_indirect_ping, nack), 0, NULL},
    {"Node", RF_FIELD_STRING, 3, false, offsetof(struct rf_indirect_ping, node), NAME_SIZE_MAX,
     NULL},
    {"Port", RF_FIELD_U16, 2, false, offsetof(struct rf_indirect_ping, target.port), 0, NULL},
    {"SeqNo", RF_FIELD_U32, 0, false, offsetof(struct rf_indirect_ping, seq_no), 0, NULL},
    {"SourceAddr", RF_FIELD_IP, 5, true, offsetof(struct rf_indirect_ping, source), 0, NULL},
    {"SourceNode", RF_FIELD_STRING, 7, true, offsetof(struct rf_indirect_ping, source_node),
     NAME_SIZE_MAX, NULL},
    {"SourcePort", RF_FIELD_U16, 6, true, offsetof(struct rf_indirect_ping, source.port), 0, NULL},
    {"Target", RF_FIELD_IP, 1, false, offsetof(struct rf_indirect_ping, target), 0, NULL},
};

static const struct rf_field ack_fields[] = {
    {"Payload", RF_FIELD_BYTES, 1, false, offsetof(struct rf_ack, payload), 0, NULL},
    {"SeqNo", RF_FIELD_U32, 0, false, offsetof(struct rf_ack, seq_no), 0, NULL},
};

static const struct rf_field nack_fields[] = {
    {"SeqNo", RF_FIELD_U32, 0, false, offsetof(struct rf_nack, seq_no), 0, NULL},
};

static const struct rf_field suspect_fields[] = {
    {"From", RF_FIELD_STRING, 2, false, offsetof(struct rf_suspect, from), NAME_SIZE_MAX, NULL},
    {"Incarnation", RF_FIELD_U32, 0, false, offsetof(struct rf_suspect, incarnation), 0, NULL},
    {"Node", RF_FIELD_STRING, 1, false, offsetof(struct rf_suspect, node), NAME_SIZE_MAX, NULL},
};

static const struct rf_field alive_fields[] = {
    {"Addr", RF_FIELD_IP, 2, false, offsetof(struct rf_alive, address), 0, NULL},
    {"Incarnation", RF_FIELD_U32, 0, false, offsetof(struct rf_alive, incarnation), 0, NULL},
    {"Meta", RF_FIELD_BYTES, 4, false, offsetof(struct rf_alive, meta), RF_META_SIZE_MAX, NULL},
    {"Node", RF_FIELD_STRING, 1, false, offsetof(struct rf_alive, node), NAME_SIZE_MAX, NULL},
    {"Port", RF_FIELD_U16, 3, false, offsetof(struct rf_alive, address.port), 0, NULL},
    {"Vsn", RF_FIELD_VSN, 5, false, offsetof(struct rf_alive, vsn), 0, NULL},
};

static const struct rf_field dead_fields[] = {
    {"From", RF_FIELD_STRING, 2, false, offsetof(struct rf_dead, from), NAME_SIZE_MAX, NULL},
    {"Incarnation", RF_FIELD_U32, 0, false, offsetof(struct rf_dead, incarnation), 0, NULL},
    {"Node", RF_FIELD_STRING, 1, false, offsetof(struct rf_dead, node), NAME_SIZE_MAX, NULL},
};

static const struct rf_field compress_fields[] = {
    {"Algo", RF_FIELD_U8, 0, false, offsetof(struct rf_compress, algo), 0, NULL},
    {"Buf", RF_FIELD_BYTES, 1, false, offsetof(struct rf_compress, buf), 0, NULL},
};

static const struct rf_field err_fields[] = {
    {"Error", RF_FIELD_STRING, 0, false, offsetof(struct rf_err, error), 0, NULL},
};

static const struct rf_field push_pull_header_fields[] = {
    {"Join", RF_FIELD_BOOL, 2, false, offsetof(struct rf_push_pull_header, join), 0, NULL},
    {"Nodes", RF_FIELD_I64, 0, false, offsetof(struct rf_push_pull_header, nodes_count), 0, NULL},
    {"UserStateLen", RF_FIELD_I64, 1, false, offsetof(struct rf_push_pull_header, user_state_size),
     0, NULL},
};

static const struct rf_field push_node_state_fields[] = {
    {"Addr", RF_FIELD_IP, 1, false, offsetof(struct rf_push_node_state, address), 0, NULL},
    {"Incarnation", RF_FIELD_U32, 4, false, offsetof(struct rf_push_node_state, incarnation), 0,
     NULL},
    {"Meta", RF_FIELD_BYTES, 3, false, offsetof(struct rf_push_node_state, meta), RF_META_SIZE_MAX,
     NULL},
    {"Name", RF_FIELD_STRING, 0, false, offsetof(struct rf_push_node_state, name), NAME_SIZE_MAX,
     NULL},
    {"Port", RF_FIELD_U16, 2, false, offsetof(struct rf_push_node_state, address.port), 0, NULL},
    {"State", RF_FIELD_U32, 5, false, offsetof(struct rf_push_node_state, state), 0, NULL},
    {"Vsn", RF_FIELD_VSN, 6, false, offsetof(struct rf_push_node_state, vsn), 0, NULL},
};

static const struct rf_field user_msg_header_fields[] = {
    {"UserMsgLen", RF_FIELD_I64, 0, false, offsetof(struct rf_user_msg_header, size), 0, NULL},
};

#define TABLE(array, type)                                        \
    {                                                             \
        (array), sizeof(array) / sizeof((array)[0]), sizeof(type) \
    }

static const struct rf_fields message_fields[] = {
    [RF_MESSAGE_PING] = TABLE(ping_fields, struct rf_ping),
    [RF_MESSAGE_INDIRECT_PING] = TABLE(indirect_ping_fields, struct rf_indirect_ping),
    [RF_MESSAGE_ACK] = TABLE(ack_fields, struct rf_ack),
    [RF_MESSAGE_SUSPECT] = TABLE(suspect_fields, struct rf_suspect),
    [RF_MESSAGE_ALIVE] = TABLE(alive_fields, struct rf_alive),
    [RF_MESSAGE_DEAD] = TABLE(dead_fields, struct rf_dead),
    [RF_MESSAGE_COMPRESS] = TABLE(compress_fields, struct rf_compress),
    [RF_MESSAGE_NACK] = TABLE(nack_fields, struct rf_nack),
    [RF_MESSAGE_ERR] = TABLE(err_fields, struct rf_err),
};
static const struct rf_fields push_pull_header_table =
    TABLE(push_pull_header_fields, struct rf_push_pull_header);
static const struct rf_fields push_node_state_table =
    TABLE(push_node_state_fields, struct rf_push_node_state);
static const struct rf_fields user_msg_header_table =
    TABLE(user_msg_header_fields, struct rf_user_msg_header);

/* The table of a type, or NULL for one that is not a struct or has its own functions. */
static const struct rf_fields *fields_of(uint8_t type)
{
    if (type >= sizeof(message_fields) / sizeof(message_fields[0]) ||
        message_fields[type].fields == NULL) {
        return NULL;
    }
    return &message_fields[type];
}

/* ---- messages ---- */

/* What the types alone do not say. */
static int check_message(const struct rf_message *message)
{
    if (message->type == RF_MESSAGE_ALIVE) {
        const struct rf_alive *alive = &message->alive;
        if (alive->node.size == 0 || alive->address.ip_size == 0 || !rf_vsn_is_valid(alive->vsn)) {
            return RF_ELIMIT;
        }
    }
    return 0;
}

int rf_message_decode(struct rf_slice bytes, struct rf_message *ret_message)
{
    if (bytes.size == 0) {
        return RF_EMALFORMED;
    }
    ret_message->type = bytes.data[0];
    struct rf_unpacker unpacker = rf_unpacker(rf_slice_after(bytes, 1));
    if (ret_message->type == RF_MESSAGE_USER) {
        ret_message->user = rf_slice_after(bytes, 1);
        return 0;
    }
    const struct rf_fields *fields = fields_of(bytes.data[0]);
    if (fields == NULL) {
        return RF_EUNSUPPORTED;
    }
    if (rf_unpack_is_nil(&unpacker)) {
        return RF_EMALFORMED; /* a message of zeros: nobody means that */
    }
    /* All members of the union start at the same place. */
    int rc = rf_unpack_struct(&unpacker, fields, &ret_message->ping);
    if (rc == RF_EMORE) {
        return RF_EMALFORMED; /* a packet is whole, or lost */
    }
    return rc < 0 ? rc : check_message(ret_message);
}

int rf_message_encode(const struct rf_message *message, struct rf_packer *packer)
{
    size_t start = packer->size;
    rf_pack_byte(packer, (uint8_t)message->type);
    if (message->type == RF_MESSAGE_USER) {
        rf_pack_bytes(packer, message->user);
    } else {
        const struct rf_fields *fields = fields_of((uint8_t)message->type);
        RF_ASSERT(fields != NULL);
        rf_pack_struct(packer, fields, &message->ping);
    }
    return rf_packer_end(packer, start);
}

/* ---- compound ---- */

static void pack_u16(struct rf_packer *packer, size_t value)
{
    RF_ASSERT(value <= UINT16_MAX);
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    rf_pack_bytes(packer, rf_slice(bytes, sizeof(bytes)));
}

int rf_compound_encode(const struct rf_slice *parts, size_t count, struct rf_packer *packer)
{
    RF_ASSERT(count >= 1 && count <= RF_COMPOUND_PARTS_MAX);
    size_t start = packer->size;
    rf_pack_byte(packer, RF_MESSAGE_COMPOUND);
    rf_pack_byte(packer, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        pack_u16(packer, parts[i].size);
    }
    for (size_t i = 0; i < count; i++) {
        rf_pack_bytes(packer, parts[i]);
    }
    return rf_packer_end(packer, start);
}

int rf_compound_open(struct rf_slice bytes, struct rf_compound *ret_compound)
{
    if (bytes.size < 2 || bytes.data[0] != RF_MESSAGE_COMPOUND) {
        return RF_EMALFORMED;
    }
    size_t sizes_size = 2 * (size_t)bytes.data[1];
    if (sizes_size > bytes.size - 2) {
        return RF_EMALFORMED;
    }
    *ret_compound = (struct rf_compound){
        .sizes = rf_slice(bytes.data + 2, sizes_size),
        .parts = rf_slice_after(bytes, 2 + sizes_size),
        .count = bytes.data[1],
    };
    return 0;
}

bool rf_compound_next(struct rf_compound *compound, struct rf_slice *ret_part)
{
    if (compound->sizes.size == 0) {
        return false;
    }
    size_t size = (size_t)compound->sizes.data[0] << 8 | compound->sizes.data[1];
    if (size > compound->parts.size) {
        return false;
    }
    *ret_part = rf_slice(compound->parts.data, size);
    compound->sizes = rf_slice_after(compound->sizes, 2);
    compound->parts = rf_slice_after(compound->parts, size);
    return true;
}

/* ---- streams ---- */

int rf_push_pull_header_encode(const struct rf_push_pull_header *header, struct rf_packer *packer)
{
    size_t start = packer->size;
    rf_pack_byte(packer, RF_MESSAGE_PUSH_PULL);
    rf_pack_struct(packer, &push_pull_header_table, header);
    return rf_packer_end(packer, start);
}

int rf_push_node_state_encode(const struct rf_push_node_state *state, struct rf_packer *packer)
{
    size_t start = packer->size;
    rf_pack_struct(packer, &push_node_state_table, state);
    return rf_packer_end(packer, start);
}

int rf_user_msg_encode(struct rf_slice body, struct rf_packer *packer)
{
    size_t start = packer->size;
    struct rf_user_msg_header header = {.size = body.size};
    rf_pack_byte(packer, RF_MESSAGE_USER);
    rf_pack_struct(packer, &user_msg_header_table, &header);
    rf_pack_bytes(packer, body);
    return rf_packer_end(packer, start);
}

int rf_push_pull_header_decode(struct rf_unpacker *unpacker, struct rf_push_pull_header *ret_header)
{
    int rc = rf_unpack_struct(unpacker, &push_pull_header_table, ret_header);
    if (rc == 0 && (ret_header->nodes_count > RF_PUSH_PULL_NODES_MAX ||
                    ret_header->user_state_size > RF_USER_STATE_SIZE_MAX)) {
        return RF_ELIMIT;
    }
    return rc;
}

int rf_push_node_state_decode(struct rf_unpacker *unpacker, struct rf_push_node_state *ret_state)
{
    int rc = rf_unpack_struct(unpacker, &push_node_state_table, ret_state);
    if (rc == 0 && (ret_state->name.size == 0 || ret_state->address.ip_size == 0 ||
                    !rf_vsn_is_valid(ret_state->vsn))) {
        return RF_ELIMIT;
    }
    return rc;
}

int rf_user_msg_header_decode(struct rf_unpacker *unpacker, struct rf_user_msg_header *ret_header)
{
    int rc = rf_unpack_struct(unpacker, &user_msg_header_table, ret_header);
    return rc == 0 && ret_header->size > RF_USER_STATE_SIZE_MAX ? RF_ELIMIT : rc;
}
