/* SPDX-License-Identifier: MIT */
#include "gossip/keyring.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/base64.h"
#include "gossip/keyring_private.h"

int rf_keyring_new(struct rf_keyring **ret_keyring, struct rf_error *err)
{
    struct rf_keyring *keyring = calloc(1, sizeof(*keyring));
    if (keyring == NULL) {
        return rf_error_set(err, -ENOMEM, "key ring");
    }
    keyring->verify_incoming = true;
    keyring->verify_outgoing = true;
    *ret_keyring = keyring;
    return 0;
}

static void entry_fini(struct rf_keyring_entry *entry)
{
    EVP_CIPHER_CTX_free(entry->seal);
    EVP_CIPHER_CTX_free(entry->open);
    OPENSSL_cleanse(entry, sizeof(*entry));
}

void rf_keyring_free(struct rf_keyring *keyring)
{
    if (keyring == NULL) {
        return;
    }
    for (size_t i = 0; i < keyring->count; i++) {
        entry_fini(&keyring->entries[i]);
    }
    free(keyring);
}

/* Returns the position of a key, or the number of keys. */
static size_t find(const struct rf_keyring *keyring, struct rf_slice key)
{
    size_t i = 0;
    while (i < keyring->count && !rf_slice_equal(rf_keyring_key(keyring, i), key)) {
        i++;
    }
    return i;
}

static const EVP_CIPHER *cipher_for(size_t key_size)
{
    switch (key_size) {
    case 16:
        return EVP_aes_128_gcm();
    case 24:
        return EVP_aes_192_gcm();
    case 32:
        return EVP_aes_256_gcm();
    default:
        return NULL;
    }
}

/* GCM's own nonce size is the 12 bytes of memberlist, so there is nothing else to set. */
static int entry_init(struct rf_keyring_entry *entry, struct rf_slice key)
{
    const EVP_CIPHER *cipher = cipher_for(key.size);
    *entry = (struct rf_keyring_entry){
        .seal = EVP_CIPHER_CTX_new(), .open = EVP_CIPHER_CTX_new(), .key_size = key.size};
    memcpy(entry->key, key.data, key.size);
    if (entry->seal == NULL || entry->open == NULL ||
        EVP_EncryptInit_ex(entry->seal, cipher, NULL, entry->key, NULL) != 1 ||
        EVP_DecryptInit_ex(entry->open, cipher, NULL, entry->key, NULL) != 1) {
        entry_fini(entry);
        return -ENOMEM;
    }
    return 0;
}

int rf_keyring_add(struct rf_keyring *keyring, struct rf_slice key, struct rf_error *err)
{
    if (cipher_for(key.size) == NULL) {
        return rf_error_set(err, -EINVAL, "key of %zu bytes, allowed 16, 24 or 32", key.size);
    }
    if (find(keyring, key) < keyring->count) {
        return 0;
    }
    if (keyring->count == RF_KEYS_MAX) {
        return rf_error_set(err, RF_ELIMIT, "key ring: %d keys already, remove one first",
                            RF_KEYS_MAX);
    }
    if (entry_init(&keyring->entries[keyring->count], key) < 0) {
        return rf_error_set(err, -ENOMEM, "AES context of a key of %zu bytes", key.size);
    }
    keyring->count++;
    return 0;
}

int rf_keyring_use(struct rf_keyring *keyring, struct rf_slice key, struct rf_error *err)
{
    size_t at = find(keyring, key);
    if (at == keyring->count) {
        return rf_error_set(err, -ENOENT, "the key is not in the ring of %zu, install it first",
                            keyring->count);
    }
    struct rf_keyring_entry entry = keyring->entries[at];
    memmove(&keyring->entries[1], &keyring->entries[0], at * sizeof(entry));
    keyring->entries[0] = entry;
    OPENSSL_cleanse(&entry, sizeof(entry));
    return 0;
}

int rf_keyring_remove(struct rf_keyring *keyring, struct rf_slice key, struct rf_error *err)
{
    size_t at = find(keyring, key);
    if (at == keyring->count) {
        return 0;
    }
    if (at == 0) {
        return rf_error_set(err, -EBUSY, "the key is the primary one, use another first");
    }
    entry_fini(&keyring->entries[at]);
    keyring->count--;
    memmove(&keyring->entries[at], &keyring->entries[at + 1],
            (keyring->count - at) * sizeof(keyring->entries[0]));
    OPENSSL_cleanse(&keyring->entries[keyring->count], sizeof(keyring->entries[0]));
    return 0;
}

int rf_keyring_copy(const struct rf_keyring *keyring, struct rf_keyring **ret_copy,
                    struct rf_error *err)
{
    struct rf_keyring *copy;
    int code = rf_keyring_new(&copy, err);
    if (code < 0) {
        return code;
    }
    for (size_t i = 0; code == 0 && i < keyring->count; i++) {
        code = rf_keyring_add(copy, rf_keyring_key(keyring, i), err);
    }
    if (code < 0) {
        rf_keyring_free(copy);
        return code;
    }
    copy->verify_incoming = keyring->verify_incoming;
    copy->verify_outgoing = keyring->verify_outgoing;
    *ret_copy = copy;
    return 0;
}

void rf_keyring_swap(struct rf_keyring *a, struct rf_keyring *b)
{
    struct rf_keyring kept = *a;
    *a = *b;
    *b = kept;
    OPENSSL_cleanse(&kept, sizeof(kept));
}

size_t rf_keyring_count(const struct rf_keyring *keyring)
{
    return keyring == NULL ? 0 : keyring->count;
}

struct rf_slice rf_keyring_key(const struct rf_keyring *keyring, size_t index)
{
    RF_ASSERT(index < keyring->count);
    return rf_slice(keyring->entries[index].key, keyring->entries[index].key_size);
}

void rf_keyring_set_verify(struct rf_keyring *keyring, bool incoming, bool outgoing)
{
    keyring->verify_incoming = incoming;
    keyring->verify_outgoing = outgoing;
}

bool rf_keyring_verifies_incoming(const struct rf_keyring *keyring)
{
    return rf_keyring_count(keyring) > 0 && keyring->verify_incoming;
}

bool rf_keyring_encrypts_outgoing(const struct rf_keyring *keyring)
{
    return rf_keyring_count(keyring) > 0 && keyring->verify_outgoing;
}

/* ---- keys as text ---- */

int rf_key_parse(const char *text, size_t text_size, uint8_t *ret_key, struct rf_error *err)
{
    uint8_t key[RF_BASE64_SIZE(RF_KEY_SIZE_MAX) / 4 * 3];
    int size = rf_base64_decode(text, text_size, key, sizeof(key));
    if (size == -EINVAL) {
        return rf_error_set(
            err, -EINVAL,
            "key of %zu characters that is not base64, expected base64 of 16, 24 or "
            "32 bytes",
            text_size);
    }
    if (size < 0 || cipher_for((size_t)size) == NULL) {
        OPENSSL_cleanse(key, sizeof(key));
        return rf_error_set(err, -EINVAL,
                            "key of %zu characters, expected base64 of 16, 24 or 32 bytes: 24, 32 "
                            "or 44 characters",
                            text_size);
    }
    memcpy(ret_key, key, (size_t)size);
    OPENSSL_cleanse(key, sizeof(key));
    return size;
}
