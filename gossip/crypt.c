/* SPDX-License-Identifier: MIT */
#include "gossip/crypt.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/keyring_private.h"

enum { PAD_SIZE = 16, NONCE_OFFSET = 1, TEXT_OFFSET = 1 + RF_NONCE_SIZE };

static size_t padded_size(size_t plain_size)
{
    return plain_size + PAD_SIZE - plain_size % PAD_SIZE;
}

size_t rf_crypt_sealed_size(int version, size_t plain_size)
{
    return RF_CRYPT_OVERHEAD +
           (version == RF_CRYPT_VERSION_PADDED ? padded_size(plain_size) : plain_size);
}

/* Feeds the additional data to a context whose nonce is set. */
static bool update_data(EVP_CIPHER_CTX *context, struct rf_crypt_data data)
{
    int unused;
    return (data.first.size == 0 ||
            EVP_CipherUpdate(context, NULL, &unused, data.first.data, (int)data.first.size) == 1) &&
           (data.second.size == 0 ||
            EVP_CipherUpdate(context, NULL, &unused, data.second.data, (int)data.second.size) == 1);
}

/* ---- opening ---- */

static bool open_with(EVP_CIPHER_CTX *context, struct rf_slice blob, struct rf_crypt_data data,
                      uint8_t *ret_plain)
{
    /* OpenSSL takes the tag by a pointer that is not const. */
    uint8_t tag[RF_TAG_SIZE];
    size_t text_size = blob.size - RF_CRYPT_OVERHEAD;
    memcpy(tag, blob.data + TEXT_OFFSET + text_size, sizeof(tag));
    int size = 0;
    int rest = 0;
    uint8_t end[PAD_SIZE];
    return EVP_DecryptInit_ex(context, NULL, NULL, NULL, blob.data + NONCE_OFFSET) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, RF_TAG_SIZE, tag) == 1 &&
           update_data(context, data) &&
           (text_size == 0 || EVP_DecryptUpdate(context, ret_plain, &size, blob.data + TEXT_OFFSET,
                                                (int)text_size) == 1) &&
           EVP_DecryptFinal_ex(context, end, &rest) == 1;
}

static int unpad(const uint8_t *plain, size_t size)
{
    uint8_t pad = size == 0 ? 0 : plain[size - 1];
    if (pad < 1 || pad > PAD_SIZE || pad > size) {
        return RF_EMALFORMED;
    }
    for (size_t i = size - pad; i < size; i++) {
        if (plain[i] != pad) {
            return RF_EMALFORMED;
        }
    }
    return (int)(size - pad);
}

int rf_crypt_open(struct rf_keyring *keyring, struct rf_slice blob, struct rf_crypt_data data,
                  uint8_t *ret_plain)
{
    RF_ASSERT(blob.size <= INT32_MAX);
    if (blob.size == 0) {
        return RF_EMALFORMED;
    }
    uint8_t version = blob.data[0];
    if (version > RF_CRYPT_VERSION) {
        return RF_EVERSION;
    }
    size_t size_min =
        version == RF_CRYPT_VERSION_PADDED ? RF_CRYPT_OVERHEAD_PADDED_MAX : RF_CRYPT_OVERHEAD;
    if (blob.size < size_min) {
        return RF_EMALFORMED;
    }
    for (size_t i = 0; i < rf_keyring_count(keyring); i++) {
        if (open_with(keyring->entries[i].open, blob, data, ret_plain)) {
            size_t size = blob.size - RF_CRYPT_OVERHEAD;
            return version == RF_CRYPT_VERSION_PADDED ? unpad(ret_plain, size) : (int)size;
        }
    }
    return RF_EAUTH;
}

/* ---- sealing ---- */

static bool seal_with(EVP_CIPHER_CTX *context, uint8_t *blob, size_t text_size,
                      struct rf_crypt_data data)
{
    int size = 0;
    int rest = 0;
    uint8_t *text = blob + TEXT_OFFSET;
    return EVP_EncryptInit_ex(context, NULL, NULL, NULL, blob + NONCE_OFFSET) == 1 &&
           update_data(context, data) &&
           (text_size == 0 || EVP_EncryptUpdate(context, text, &size, text, (int)text_size) == 1) &&
           EVP_EncryptFinal_ex(context, text + size, &rest) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, RF_TAG_SIZE, text + text_size) == 1;
}

int rf_crypt_seal(struct rf_keyring *keyring, int version, const uint8_t *nonce,
                  struct rf_slice plain, struct rf_crypt_data data, uint8_t *ret_blob,
                  size_t ret_blob_size_max)
{
    RF_ASSERT(rf_keyring_count(keyring) > 0);
    RF_ASSERT(version == RF_CRYPT_VERSION_PADDED || version == RF_CRYPT_VERSION);
    RF_ASSERT(plain.size <= INT32_MAX / 2);
    size_t sealed_size = rf_crypt_sealed_size(version, plain.size);
    if (sealed_size > ret_blob_size_max) {
        return -ENOBUFS;
    }
    if (plain.size > 0) {
        memmove(ret_blob + TEXT_OFFSET, plain.data, plain.size);
    }
    ret_blob[0] = (uint8_t)version;
    size_t text_size = plain.size;
    if (version == RF_CRYPT_VERSION_PADDED) {
        text_size = padded_size(plain.size);
        memset(ret_blob + TEXT_OFFSET + plain.size, (int)(text_size - plain.size),
               text_size - plain.size);
    }
    if (nonce != NULL) {
        memcpy(ret_blob + NONCE_OFFSET, nonce, RF_NONCE_SIZE);
    } else if (RAND_bytes(ret_blob + NONCE_OFFSET, RF_NONCE_SIZE) != 1) {
        return -EIO;
    }
    if (!seal_with(keyring->entries[0].seal, ret_blob, text_size, data)) {
        return -EIO;
    }
    return (int)sealed_size;
}
