/* SPDX-License-Identifier: MIT
 *
 * keyring.h - the keys of an encrypted cluster, in order: the first, primary, one encrypts, any
 * may decrypt, so that keys can be changed while the cluster runs.
 *
 * Threads: one at a time; also opening and sealing (crypt.h) uses the cipher contexts kept here.
 */
#ifndef RF_GOSSIP_KEYRING_H
#define RF_GOSSIP_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "gossip/slice.h"

enum {
    RF_KEY_SIZE_MAX = 32, /* AES-256; 16 and 24 bytes are the other two */
    RF_KEYS_MAX = 16,     /* every key is tried on what opens with none: bounds that work */
};

struct rf_keyring;

/* An empty ring, which neither encrypts nor decrypts; both verify switches on. Errors: -ENOMEM. */
RF_NODISCARD int rf_keyring_new(struct rf_keyring **ret_keyring, struct rf_error *err);
void rf_keyring_free(struct rf_keyring *keyring); /* wipes the keys; NULL is allowed */

/*
 * Adds a key (copied) at the end; the first becomes primary. One that is there already changes
 * nothing. Errors: -EINVAL not 16, 24 or 32 bytes; RF_ELIMIT RF_KEYS_MAX keys; -ENOMEM.
 */
RF_NODISCARD int rf_keyring_add(struct rf_keyring *keyring, struct rf_slice key,
                                struct rf_error *err);

/* Makes a key of the ring the primary one. Errors: -ENOENT it is not in the ring. */
RF_NODISCARD int rf_keyring_use(struct rf_keyring *keyring, struct rf_slice key,
                                struct rf_error *err);

/* Removes a key; one that is not there changes nothing. Errors: -EBUSY it is the primary key. */
RF_NODISCARD int rf_keyring_remove(struct rf_keyring *keyring, struct rf_slice key,
                                   struct rf_error *err);

/* A ring with the same keys and switches. Errors: -ENOMEM. */
RF_NODISCARD int rf_keyring_copy(const struct rf_keyring *keyring, struct rf_keyring **ret_copy,
                                 struct rf_error *err);

/* Exchanges all that two rings hold: a change that was prepared in a copy takes effect at once, for
 * everybody who borrows the ring. */
void rf_keyring_swap(struct rf_keyring *a, struct rf_keyring *b);

/* NULL counts as an empty ring. */
size_t rf_keyring_count(const struct rf_keyring *keyring);

/* The key at `index` < count; 0 is the primary. Borrowed until the ring changes. */
struct rf_slice rf_keyring_key(const struct rf_keyring *keyring, size_t index);

/*
 * For bringing encryption into a running cluster: with incoming off, plaintext is taken too; with
 * outgoing off, plaintext is sent although there are keys.
 */
void rf_keyring_set_verify(struct rf_keyring *keyring, bool incoming, bool outgoing);

/* Whether what comes in must be encrypted; whether what goes out is to be. NULL: neither. */
bool rf_keyring_verifies_incoming(const struct rf_keyring *keyring);
bool rf_keyring_encrypts_outgoing(const struct rf_keyring *keyring);

/* ---- keys as text ---- */

/*
 * Reads a key as people write it, base64 of 16, 24 or 32 bytes. `ret_key` has room for
 * RF_KEY_SIZE_MAX bytes. Returns its size. Errors: -EINVAL; the text says what is wrong with it,
 * but never the key.
 */
RF_NODISCARD int rf_key_parse(const char *text, size_t text_size, uint8_t *ret_key,
                              struct rf_error *err);

#endif
