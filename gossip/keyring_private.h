/* SPDX-License-Identifier: MIT
 *
 * keyring_private.h - what keyring.c and crypt.c share.
 */
#ifndef RF_GOSSIP_KEYRING_PRIVATE_H
#define RF_GOSSIP_KEYRING_PRIVATE_H

#include <openssl/evp.h>

#include "gossip/keyring.h"

struct rf_keyring_entry {
    EVP_CIPHER_CTX *seal; /* owned; the key schedule is made once, a packet only sets the nonce */
    EVP_CIPHER_CTX *open;
    uint8_t key[RF_KEY_SIZE_MAX];
    size_t key_size;
};

struct rf_keyring {
    struct rf_keyring_entry entries[RF_KEYS_MAX]; /* the primary first */
    size_t count;
    bool verify_incoming;
    bool verify_outgoing;
};

#endif
