/* SPDX-License-Identifier: MIT */
#include "gossip/packet.h"

#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "core/crc32.h"
#include "gossip/compress.h"

/* ---- opening ---- */

/* Takes the label header off `*bytes`, if there is one. */
static int take_label(struct rf_packet *packet, struct rf_slice *bytes)
{
    packet->label = rf_slice(NULL, 0);
    if (bytes->data[0] != RF_MESSAGE_HAS_LABEL) {
        return 0;
    }
    if (bytes->size < RF_LABEL_OVERHEAD || bytes->data[1] == 0 ||
        bytes->data[1] > bytes->size - RF_LABEL_OVERHEAD) {
        return RF_EMALFORMED;
    }
    packet->label = rf_slice(bytes->data + RF_LABEL_OVERHEAD, bytes->data[1]);
    *bytes = rf_slice_after(*bytes, RF_LABEL_OVERHEAD + packet->label.size);
    return 0;
}

static int decrypt(struct rf_packet *packet, const struct rf_envelope *envelope,
                   struct rf_slice *bytes)
{
    packet->is_encrypted = false;
    if (rf_keyring_count(envelope->keyring) == 0) {
        return 0;
    }
    int size = rf_crypt_open(envelope->keyring, *bytes,
                             (struct rf_crypt_data){.first = envelope->label}, packet->plain);
    if (size < 0) {
        return rf_keyring_verifies_incoming(envelope->keyring) ? size : 0;
    }
    packet->is_encrypted = true;
    packet->crypt_version = bytes->data[0];
    memcpy(packet->nonce, bytes->data + 1, RF_NONCE_SIZE);
    *bytes = rf_slice(packet->plain, (size_t)size);
    return 0;
}

static int take_crc(struct rf_packet *packet, struct rf_slice *bytes)
{
    packet->has_crc = bytes->size >= RF_CRC_HEADER_SIZE && bytes->data[0] == RF_MESSAGE_HAS_CRC;
    if (!packet->has_crc) {
        return 0;
    }
    packet->crc = (uint32_t)bytes->data[1] << 24 | (uint32_t)bytes->data[2] << 16 |
                  (uint32_t)bytes->data[3] << 8 | bytes->data[4];
    *bytes = rf_slice_after(*bytes, RF_CRC_HEADER_SIZE);
    return rf_crc32(bytes->data, bytes->size) == packet->crc ? 0 : RF_EMALFORMED;
}

int rf_packet_open(struct rf_packet *packet, const struct rf_envelope *envelope,
                   const uint8_t *data, size_t size)
{
    packet->dropped_count = 0;
    packet->dropped_code = 0;
    packet->open_count = 0;
    packet->has_message = false;
    packet->inflated_size = 0;
    if (size == 0 || size > RF_PACKET_SIZE_MAX) {
        return RF_EMALFORMED;
    }
    struct rf_slice bytes = rf_slice(data, size);
    int rc = take_label(packet, &bytes);
    if (rc < 0) {
        return rc;
    }
    struct rf_slice expected = envelope->skip_label_check ? rf_slice(NULL, 0) : envelope->label;
    if (!rf_slice_equal(packet->label, expected)) {
        return RF_EAUTH;
    }
    rc = decrypt(packet, envelope, &bytes);
    if (rc < 0) {
        return rc;
    }
    packet->plain_size = bytes.size;
    rc = take_crc(packet, &bytes);
    if (rc < 0) {
        return rc;
    }
    if (bytes.size == 0) {
        return RF_EMALFORMED;
    }
    packet->message = bytes;
    packet->has_message = true;
    return 0;
}

static void drop(struct rf_packet *packet, uint32_t count, int code)
{
    packet->dropped_count += count;
    packet->dropped_code = code;
}

/* Work in proportion to what was sent: else a flood of 200 bytes each would unpack a thousandfold.
 */
static size_t inflated_max(size_t packed_size)
{
    size_t size_max = packed_size * RF_PACKET_RATIO_MAX;
    return size_max > RF_PACKET_RATIO_FREE_SIZE ? size_max : RF_PACKET_RATIO_FREE_SIZE;
}

/*
 * Replaces a compress message by what is in it. One that fails uses up the room for all others, so
 * that a packet of many bad ones costs no more work than RF_PACKET_PLAIN_MAX bytes.
 */
static int inflate(struct rf_packet *packet, struct rf_slice *message)
{
    struct rf_message compress;
    int rc = rf_message_decode(*message, &compress);
    if (rc < 0) {
        return rc;
    }
    uint8_t *output = packet->inflated + packet->inflated_size;
    size_t size_max = inflated_max(compress.compress.buf.size);
    size_t left = sizeof(packet->inflated) - packet->inflated_size;
    rc = rf_compress_inflate(&compress.compress, output, size_max < left ? size_max : left);
    if (rc < 0) {
        packet->inflated_size = sizeof(packet->inflated);
        return rc;
    }
    packet->inflated_size += (size_t)rc;
    *message = rf_slice(output, (size_t)rc);
    return 0;
}

static bool is_packet_type(uint8_t type)
{
    return type <= RF_MESSAGE_DEAD || type == RF_MESSAGE_USER || type == RF_MESSAGE_NACK;
}

/*
 * Returns 1 if *message (unwrapped as need be) is one to deliver, 0 if it was a compound, which is
 * open now, or an error code if it is to be dropped.
 */
static int unwrap(struct rf_packet *packet, int level, struct rf_slice *message)
{
    for (;; level++) {
        if (message->size == 0) {
            return RF_EMALFORMED;
        }
        uint8_t type = message->data[0];
        bool is_compound = type == RF_MESSAGE_COMPOUND;
        if (!is_compound && type != RF_MESSAGE_COMPRESS) {
            return is_packet_type(type) ? 1 : RF_EUNSUPPORTED;
        }
        if (level == RF_PACKET_DEPTH_MAX) {
            return RF_ELIMIT;
        }
        if (is_compound) {
            int rc = rf_compound_open(*message, &packet->open[packet->open_count]);
            if (rc < 0) {
                return rc;
            }
            packet->levels[packet->open_count] = level + 1;
            packet->open_count++;
            return 0;
        }
        int rc = inflate(packet, message);
        if (rc < 0) {
            return rc;
        }
    }
}

bool rf_packet_next(struct rf_packet *packet, struct rf_slice *ret_message)
{
    while (packet->has_message || packet->open_count > 0) {
        struct rf_slice message = packet->message;
        int level = 0;
        if (!packet->has_message) {
            struct rf_compound *compound = &packet->open[packet->open_count - 1];
            level = packet->levels[packet->open_count - 1];
            if (!rf_compound_next(compound, &message)) {
                size_t lost_count = rf_compound_left(compound);
                if (lost_count > 0) {
                    drop(packet, (uint32_t)lost_count, RF_EMALFORMED);
                }
                packet->open_count--;
                continue;
            }
        }
        packet->has_message = false;
        int rc = unwrap(packet, level, &message);
        if (rc < 0) {
            drop(packet, 1, rc);
        } else if (rc == 1) {
            *ret_message = message;
            return true;
        }
    }
    return false;
}

/* ---- sealing ---- */

static size_t label_size(const struct rf_envelope *envelope)
{
    RF_ASSERT(envelope->label.size <= RF_LABEL_SIZE_MAX);
    return envelope->label.size == 0 ? 0 : RF_LABEL_OVERHEAD + envelope->label.size;
}

size_t rf_packet_overhead(const struct rf_envelope *envelope)
{
    return label_size(envelope) +
           (rf_keyring_encrypts_outgoing(envelope->keyring) ? RF_CRYPT_OVERHEAD : 0);
}

static void put_crc(uint8_t *at, size_t message_size)
{
    uint32_t crc = rf_crc32(at + RF_CRC_HEADER_SIZE, message_size);
    at[0] = RF_MESSAGE_HAS_CRC;
    for (int i = 1; i < RF_CRC_HEADER_SIZE; i++) {
        at[i] = (uint8_t)(crc >> (8 * (4 - i)));
    }
}

/* Writes the message, compressed if that is asked for and shorter. Returns its size. */
static int put_message(bool compress, struct rf_lzw_workspace *workspace, struct rf_slice message,
                       uint8_t *ret_data, size_t ret_size_max)
{
    if (compress) {
        size_t room = message.size - 1 < ret_size_max ? message.size - 1 : ret_size_max;
        int size = rf_compress_encode(workspace, message, ret_data, room);
        if (size >= 0) {
            return size;
        }
    }
    if (message.size > ret_size_max) {
        return -ENOBUFS;
    }
    memcpy(ret_data, message.data, message.size);
    return (int)message.size;
}

int rf_packet_seal(const struct rf_envelope *envelope, const struct rf_packet_options *options,
                   struct rf_lzw_workspace *workspace, struct rf_slice message, uint8_t *ret_data,
                   size_t ret_size_max)
{
    RF_ASSERT(message.size > 0);
    bool encrypt = rf_keyring_encrypts_outgoing(envelope->keyring);
    int version = options->use_version_0 ? RF_CRYPT_VERSION_PADDED : RF_CRYPT_VERSION;
    size_t blob_start = label_size(envelope);
    size_t plain_start = blob_start + (encrypt ? 1 + RF_NONCE_SIZE : 0);
    size_t message_start = plain_start + (options->crc ? RF_CRC_HEADER_SIZE : 0);
    if (message_start > ret_size_max) {
        return -ENOBUFS;
    }
    int rc = put_message(options->compress, workspace, message, ret_data + message_start,
                         ret_size_max - message_start);
    if (rc < 0) {
        return rc;
    }
    size_t plain_size = message_start - plain_start + (size_t)rc;
    if (options->crc) {
        put_crc(ret_data + plain_start, (size_t)rc);
    }
    size_t size = plain_start + plain_size;
    if (encrypt) {
        rc = rf_crypt_seal(envelope->keyring, version, options->nonce,
                           rf_slice(ret_data + plain_start, plain_size),
                           (struct rf_crypt_data){.first = envelope->label}, ret_data + blob_start,
                           ret_size_max - blob_start);
        if (rc < 0) {
            return rc;
        }
        size = blob_start + (size_t)rc;
    }
    if (blob_start > 0) {
        ret_data[0] = RF_MESSAGE_HAS_LABEL;
        ret_data[1] = (uint8_t)envelope->label.size;
        memcpy(ret_data + RF_LABEL_OVERHEAD, envelope->label.data, envelope->label.size);
    }
    return (int)size;
}
