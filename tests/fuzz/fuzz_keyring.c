/* SPDX-License-Identifier: MIT
 *
 * fuzz_keyring.c - the input as a keyring file. What is taken must be whole and, written and read
 * again, the same; what is refused says why, without giving a key away.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/base64.h"
#include "gossip/keyring_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The simplest file with these keys. */
static size_t format(const struct rf_keyring *keyring, char *text)
{
    size_t used = 0;
    for (size_t i = 0; i < rf_keyring_count(keyring); i++) {
        struct rf_slice key = rf_keyring_key(keyring, i);
        text[used++] = i == 0 ? '[' : ',';
        text[used++] = '"';
        rf_base64_encode(key.data, key.size, text + used);
        used += strlen(text + used);
        text[used++] = '"';
    }
    text[used++] = ']';
    return used;
}

static void check_again(const struct rf_keyring *keyring)
{
    char text[RF_KEYS_MAX * 48 + 2];
    struct rf_keyring *again;
    size_t size = format(keyring, text);
    int code = rf_keyring_new(&again, NULL);
    RF_ASSERT(code == 0);
    code = rf_keyring_file_parse(rf_slice(text, size), again, NULL);
    RF_ASSERT(code == 0);
    RF_ASSERT(rf_keyring_count(again) == rf_keyring_count(keyring));
    for (size_t i = 0; i < rf_keyring_count(keyring); i++) {
        RF_ASSERT(rf_slice_equal(rf_keyring_key(again, i), rf_keyring_key(keyring, i)));
    }
    rf_keyring_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rf_keyring *keyring;
    struct rf_error err = {0};
    /* A copy of just this size: reading behind its end is seen. */
    uint8_t *text = malloc(size + (size == 0));
    int code = rf_keyring_new(&keyring, NULL);
    RF_ASSERT(text != NULL && code == 0);
    if (size > 0) {
        memcpy(text, data, size);
    }
    code = rf_keyring_file_parse(rf_slice(text, size), keyring, &err);
    free(text);
    if (code == 0) {
        size_t count = rf_keyring_count(keyring);
        RF_ASSERT(count >= 1 && count <= RF_KEYS_MAX);
        check_again(keyring);
    } else {
        RF_ASSERT(code == -EINVAL || code == RF_ELIMIT);
        RF_ASSERT(strncmp(err.text, "line ", 5) == 0);
    }
    rf_keyring_free(keyring);
    return 0;
}
