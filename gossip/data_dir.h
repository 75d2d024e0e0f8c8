/* SPDX-License-Identifier: MIT
 *
 * data_dir.h - the folder in which a node keeps what outlives it; of one process at a time.
 */
#ifndef RF_GOSSIP_DATA_DIR_H
#define RF_GOSSIP_DATA_DIR_H

#include "core/error.h"

struct rf_data_dir {
    int fd;      /* of the folder, for openat and fsync */
    int lock_fd; /* holds the lock for as long as it is open */
};

/*
 * Opens the folder, which is made (mode 0700) if only its last part is missing, and locks it: its
 * file "lock" has the process id. The lock ends with the process, however that ends.
 * Ownership: ends by rf_data_dir_close. Errors: -EBUSY "folder '/x' is in use by process 123";
 *            other -errno; the text names the folder.
 */
RF_NODISCARD int rf_data_dir_open(const char *path, struct rf_data_dir *ret_dir,
                                  struct rf_error *err);
void rf_data_dir_close(struct rf_data_dir *dir);

#endif
