/* SPDX-License-Identifier: MIT
 *
 * admin_socket.h - the file of the admin socket: made, taken over from a process that was killed,
 * refused to a second one that lives, removed.
 *
 * Beside PATH there is PATH.lock, locked for as long as the socket is served: of two registries
 * that start at the same moment and both find a socket without a server, one would else remove the
 * other's. The kernel drops the lock with the process, however that ends.
 */
#ifndef RF_TOOLS_REGISTRY_ADMIN_SOCKET_H
#define RF_TOOLS_REGISTRY_ADMIN_SOCKET_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "core/error.h"

enum {
    /* sun_path with its NUL; a longer path cannot be connected to. */
    RF_ADMIN_PATH_SIZE_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
};

struct rf_admin_socket {
    int fd;      /* listens, does not block */
    int lock_fd; /* holds the lock */
    dev_t device;
    ino_t inode; /* of the socket's file: only that one is removed */
    char path[RF_ADMIN_PATH_SIZE_MAX + 1];
};

/*
 * Listens at `path`, which its owner alone may open (mode 0600 from the first moment). A socket
 * that nobody serves any more is replaced.
 *
 * Ownership: the caller ends *ret_socket with rf_admin_socket_close; untouched on failure.
 * Errors:    -EINVAL an empty path; -ENAMETOOLONG more than RF_ADMIN_PATH_SIZE_MAX bytes;
 *            -EADDRINUSE another process serves it; -EEXIST it is no socket; other -errno.
 */
RF_NODISCARD int rf_admin_socket_open(const char *path, struct rf_admin_socket *ret_socket,
                                      struct rf_error *err);

/* Closes the socket and removes both files, if they still are the ones that were made. */
void rf_admin_socket_close(struct rf_admin_socket *admin_socket);

#endif
