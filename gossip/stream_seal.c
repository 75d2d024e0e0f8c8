/* SPDX-License-Identifier: MIT
 *
 * stream_seal.c - the writing side of stream.h.
 */
#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/compress.h"
#include "gossip/stream.h"

static size_t label_size(const struct rf_envelope *envelope,
                         const struct rf_stream_options *options)
{
    RF_ASSERT(envelope->label.size <= RF_LABEL_SIZE_MAX);
    return options->is_reply || envelope->label.size == 0
               ? 0
               : RF_LABEL_OVERHEAD + envelope->label.size;
}

static int crypt_version(const struct rf_stream_options *options)
{
    return options->use_version_0 ? RF_CRYPT_VERSION_PADDED : RF_CRYPT_VERSION;
}

size_t rf_stream_sealed_size_max(const struct rf_envelope *envelope,
                                 const struct rf_stream_options *options, size_t size)
{
    if (options->compress) {
        size = RF_COMPRESS_OVERHEAD_MAX + rf_lzw_encoded_size_max(size);
    }
    if (rf_keyring_encrypts_outgoing(envelope->keyring)) {
        size = RF_STREAM_FRAME_HEADER_SIZE + rf_crypt_sealed_size(crypt_version(options), size);
    }
    return label_size(envelope, options) + size;
}

static int put_message(bool compress, struct rf_lzw_workspace *workspace, struct rf_slice message,
                       uint8_t *ret_data, size_t ret_size_max)
{
    if (compress) {
        return rf_compress_encode(workspace, message, ret_data, ret_size_max);
    }
    if (message.size > ret_size_max || message.size > INT32_MAX) {
        return -ENOBUFS;
    }
    memcpy(ret_data, message.data, message.size);
    return (int)message.size;
}

/* Encrypts what lies behind the places of frame header, version and nonce. */
static int seal_frame(const struct rf_envelope *envelope, const struct rf_stream_options *options,
                      size_t plain_size, uint8_t *frame, size_t frame_size_max)
{
    size_t blob_size = rf_crypt_sealed_size(crypt_version(options), plain_size);
    if (blob_size > RF_STREAM_FRAME_MAX) {
        return RF_ELIMIT;
    }
    frame[0] = RF_MESSAGE_ENCRYPT;
    for (int i = 1; i < RF_STREAM_FRAME_HEADER_SIZE; i++) {
        frame[i] = (uint8_t)(blob_size >> (8 * (4 - i)));
    }
    uint8_t *blob = frame + RF_STREAM_FRAME_HEADER_SIZE;
    struct rf_crypt_data data = {.first = rf_slice(frame, RF_STREAM_FRAME_HEADER_SIZE),
                                 .second = envelope->label};
    return rf_crypt_seal(envelope->keyring, crypt_version(options), options->nonce,
                         rf_slice(blob + 1 + RF_NONCE_SIZE, plain_size), data, blob,
                         frame_size_max - RF_STREAM_FRAME_HEADER_SIZE);
}

int rf_stream_seal(const struct rf_envelope *envelope, const struct rf_stream_options *options,
                   struct rf_lzw_workspace *workspace, struct rf_slice message, uint8_t *ret_data,
                   size_t ret_size_max)
{
    RF_ASSERT(message.size > 0);
    bool encrypt = rf_keyring_encrypts_outgoing(envelope->keyring);
    size_t frame_start = label_size(envelope, options);
    size_t plain_start =
        frame_start + (encrypt ? RF_STREAM_FRAME_HEADER_SIZE + 1 + RF_NONCE_SIZE : 0);
    if (plain_start > ret_size_max) {
        return -ENOBUFS;
    }
    int rc = put_message(options->compress, workspace, message, ret_data + plain_start,
                         ret_size_max - plain_start);
    if (rc < 0) {
        return rc;
    }
    size_t size = plain_start + (size_t)rc;
    if (encrypt) {
        rc = seal_frame(envelope, options, (size_t)rc, ret_data + frame_start,
                        ret_size_max - frame_start);
        if (rc < 0) {
            return rc;
        }
        size = frame_start + RF_STREAM_FRAME_HEADER_SIZE + (size_t)rc;
    }
    if (frame_start > 0) {
        ret_data[0] = RF_MESSAGE_HAS_LABEL;
        ret_data[1] = (uint8_t)envelope->label.size;
        memcpy(ret_data + RF_LABEL_OVERHEAD, envelope->label.data, envelope->label.size);
    }
    return (int)size;
}
