/* SPDX-License-Identifier: MIT
 *
 * crypt.h - one encrypted blob of memberlist: version, nonce, AES-GCM ciphertext, tag.
 *
 * Version 1 holds the plaintext as it is. Version 0, of memberlist protocol 1, pads it to a
 * multiple of 16 bytes as PKCS#7 does. We send 1 and take both. The padding is inside what the tag
 * authenticates, but a peer with the key may still be broken, or hostile: taken at its word, its
 * last byte could cut more bytes than there are, so it is checked, which the Go reference omits.
 */
#ifndef RF_GOSSIP_CRYPT_H
#define RF_GOSSIP_CRYPT_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "gossip/keyring.h"
#include "gossip/slice.h"

enum {
    RF_NONCE_SIZE = 12,
    RF_TAG_SIZE = 16,
    RF_CRYPT_VERSION_PADDED = 0,
    RF_CRYPT_VERSION = 1,
    RF_CRYPT_OVERHEAD = 1 + RF_NONCE_SIZE + RF_TAG_SIZE,   /* of version 1 */
    RF_CRYPT_OVERHEAD_PADDED_MAX = RF_CRYPT_OVERHEAD + 16, /* of version 0 */
};

/* Authenticated but not part of the blob: up to two pieces, in this order. */
struct rf_crypt_data {
    struct rf_slice first;
    struct rf_slice second;
};

/* Size of the blob of `plain_size` bytes. */
size_t rf_crypt_sealed_size(int version, size_t plain_size);

/*
 * Opens `blob` into `ret_plain`, which has room for blob.size bytes and does not overlap it: a try
 * with the wrong key would destroy the ciphertext for the next one.
 *
 * Returns the size of the plaintext. Errors: RF_EMALFORMED too short, or bad padding; RF_EVERSION
 *         neither version 0 nor 1; RF_EAUTH no key of the ring opens it, or there is none.
 */
RF_NODISCARD int rf_crypt_open(struct rf_keyring *keyring, struct rf_slice blob,
                               struct rf_crypt_data data, uint8_t *ret_plain);

/*
 * Seals with the primary key. `plain` may lie in the output, at ret_blob + 1 + RF_NONCE_SIZE, where
 * its ciphertext goes. `nonce` is RF_NONCE_SIZE bytes, or NULL for random ones: always NULL but in
 * tests, since one nonce used twice gives the key away.
 *
 * Returns rf_crypt_sealed_size(). Errors: -ENOBUFS it is above `ret_blob_size_max`; -EIO no
 *         randomness, or the cipher failed.
 */
RF_NODISCARD int rf_crypt_seal(struct rf_keyring *keyring, int version, const uint8_t *nonce,
                               struct rf_slice plain, struct rf_crypt_data data, uint8_t *ret_blob,
                               size_t ret_blob_size_max);

#endif
