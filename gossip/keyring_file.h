/* SPDX-License-Identifier: MIT
 *
 * keyring_file.h - the keys of a ring in a file, as serf keeps them: a JSON array of base64
 * strings, the primary key first.
 *
 * The keys open the whole cluster's gossip, so only the file's owner may read it. It is replaced as
 * a whole: whatever happens, the file is the one before or the one after.
 */
#ifndef RF_GOSSIP_KEYRING_FILE_H
#define RF_GOSSIP_KEYRING_FILE_H

#include <stddef.h>

#include "core/error.h"
#include "gossip/keyring.h"

enum {
    RF_KEYRING_FILE_SIZE_MAX = 16 * 1024 /* of a file that is read: RF_KEYS_MAX keys with a lot
                                            of white space */
};

/*
 * Adds the keys of a file's text to an empty ring; keys that are there twice count once.
 * Errors: -EINVAL not a JSON array of strings, or no key in it: the text names line and entry;
 *         RF_ELIMIT more than RF_KEYS_MAX keys; -ENOMEM. The ring may hold some keys then.
 */
RF_NODISCARD int rf_keyring_file_parse(struct rf_slice text, struct rf_keyring *keyring,
                                       struct rf_error *err);

/*
 * Reads `path`. Ownership: the caller frees *ret_keyring.
 * Errors: as rf_keyring_file_parse; -EACCES others than the owner may read or write it; -EINVAL no
 *         ordinary file; RF_ELIMIT above RF_KEYRING_FILE_SIZE_MAX; -errno of the system.
 *         The text names the file and says what would be right, but never a key.
 */
RF_NODISCARD int rf_keyring_file_load(const char *path, struct rf_keyring **ret_keyring,
                                      struct rf_error *err);

/*
 * Replaces `path`, or the file that it links to, which need not be there: a new file of mode 0600
 * is written beside it as NAME.tmp, forced to the disk, and renamed. Blocks as long as the disk
 * takes. One writer at a time. Errors: -errno. Unless the very last step failed, forcing the
 * renaming to the disk, the file is as it was.
 */
RF_NODISCARD int rf_keyring_file_save(const char *path, const struct rf_keyring *keyring,
                                      struct rf_error *err);

/* Creates `path` with `keyring` in it; one that is there stays. Errors: -EEXIST; -errno. */
RF_NODISCARD int rf_keyring_file_create(const char *path, const struct rf_keyring *keyring,
                                        struct rf_error *err);

#endif
