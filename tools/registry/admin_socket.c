/* SPDX-License-Identifier: MIT */
#include "tools/registry/admin_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/assert.h"

enum {
    BACKLOG = 16,
    LOCK_TRIES_MAX = 100, /* each is lost only to a process that removes its lock just then */
};

#define LOCK_SUFFIX ".lock"

struct lock_path {
    char text[RF_ADMIN_PATH_SIZE_MAX + sizeof(LOCK_SUFFIX)];
};

static struct lock_path lock_path_of(const char *path)
{
    struct lock_path lock_path;
    (void)snprintf(lock_path.text, sizeof(lock_path.text), "%s" LOCK_SUFFIX, path);
    return lock_path;
}

static int fail(struct rf_error *err, const char *path, const char *what)
{
    int code = -errno;
    return rf_error_set(err, code, "admin socket '%s': %s: %s", path, what, strerror(-code));
}

static int fail_in_use(struct rf_error *err, const char *path)
{
    return rf_error_set(err, -EADDRINUSE,
                        "admin socket '%s': another process serves it; stop that one or choose "
                        "another path with -admin",
                        path);
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

/* ---- the lock ---- */

static bool is_file_at(int fd, const char *path)
{
    struct stat opened;
    struct stat named;
    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* Returns the descriptor that holds the lock. */
static int lock(const char *path, struct rf_error *err)
{
    struct lock_path lock_path = lock_path_of(path);
    for (int i = 0; i < LOCK_TRIES_MAX; i++) {
        int fd = open(lock_path.text, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
            return fail(err, lock_path.text, "cannot open");
        }
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            int code = errno == EWOULDBLOCK ? fail_in_use(err, path)
                                            : fail(err, lock_path.text, "cannot lock");
            (void)close(fd); /* nothing was written */
            return code;
        }
        if (is_file_at(fd, lock_path.text)) {
            return fd;
        }
        (void)close(fd); /* whose file it was has removed it meanwhile: again, with a new one */
    }
    return rf_error_set(err, -EAGAIN, "admin socket '%s': other processes take and leave it", path);
}

static void unlock(int lock_fd, const char *path)
{
    struct lock_path lock_path = lock_path_of(path);
    if (is_file_at(lock_fd, lock_path.text)) {
        (void)unlink(lock_path.text); /* left behind it harms nobody */
    }
    (void)close(lock_fd); /* nothing was written */
}

/* ---- the socket ---- */

/* Removes what a killed process has left; the lock is held. */
static int remove_stale(const char *path, struct rf_error *err)
{
    struct stat status;
    if (lstat(path, &status) < 0) {
        return errno == ENOENT ? 0 : fail(err, path, "cannot look at it");
    }
    if (!S_ISSOCK(status.st_mode)) {
        return rf_error_set(err, -EEXIST,
                            "admin socket '%s': there is something that is no socket; remove it "
                            "or choose another path with -admin",
                            path);
    }
    /* Not only registries make sockets: whoever answers at this one keeps it. */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(err, path, "socket");
    }
    struct sockaddr_un address = address_of(path);
    bool is_served =
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno != ECONNREFUSED;
    (void)close(fd); /* nothing was written */
    if (is_served) {
        return fail_in_use(err, path);
    }
    return unlink(path) < 0 ? fail(err, path, "cannot remove the old one") : 0;
}

static int listen_at(struct rf_admin_socket *admin_socket, struct rf_error *err)
{
    const char *path = admin_socket->path;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(err, path, "socket");
    }
    struct sockaddr_un address = address_of(path);
    struct stat status;
    /* The file gets its mode from the unbound socket. The umask would do it too, but is the whole
     * process's, whose other threads may make files just now. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        lstat(path, &status) < 0 || listen(fd, BACKLOG) < 0) {
        int code = fail(err, path, "cannot listen");
        (void)close(fd); /* nothing was written */
        return code;
    }
    admin_socket->fd = fd;
    admin_socket->device = status.st_dev;
    admin_socket->inode = status.st_ino;
    return 0;
}

int rf_admin_socket_open(const char *path, struct rf_admin_socket *ret_socket, struct rf_error *err)
{
    size_t size = strlen(path);
    if (size == 0) {
        return rf_error_set(err, -EINVAL, "admin socket: its path is empty");
    }
    if (size > RF_ADMIN_PATH_SIZE_MAX) {
        return rf_error_set(err, -ENAMETOOLONG,
                            "admin socket '%.64s...': path of %zu bytes, allowed are %d (what a "
                            "socket's address holds); choose a shorter one with -admin",
                            path, size, (int)RF_ADMIN_PATH_SIZE_MAX);
    }
    struct rf_admin_socket made = {.fd = -1};
    memcpy(made.path, path, size + 1);
    made.lock_fd = lock(path, err);
    if (made.lock_fd < 0) {
        return made.lock_fd;
    }
    int code = remove_stale(path, err);
    if (code == 0) {
        code = listen_at(&made, err);
    }
    if (code < 0) {
        unlock(made.lock_fd, path);
        return code;
    }
    *ret_socket = made;
    return 0;
}

void rf_admin_socket_close(struct rf_admin_socket *admin_socket)
{
    struct stat status;
    if (lstat(admin_socket->path, &status) == 0 && status.st_dev == admin_socket->device &&
        status.st_ino == admin_socket->inode) {
        (void)unlink(admin_socket->path); /* left behind it is replaced by the next start */
    }
    (void)close(admin_socket->fd); /* a listener has nothing to lose */
    unlock(admin_socket->lock_fd, admin_socket->path);
}
