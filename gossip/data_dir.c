/* SPDX-License-Identifier: MIT */
#include "gossip/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/text.h"

enum { PID_TEXT_SIZE = 24 };

static int refuse(const char *path, int code, const char *what, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    return rf_error_set(err, code, "folder %s: %s: %s", rf_text_quote(path, quoted), what,
                        rf_strerror(code));
}

/* Who holds the lock has written its process id before we could see it held; but who has just
 * started may be about to. */
static int refuse_locked(const char *path, int lock_fd, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    char pid[PID_TEXT_SIZE] = "";
    ssize_t size = pread(lock_fd, pid, sizeof(pid) - 1, 0);
    pid[size > 0 ? size : 0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    return rf_error_set(err, -EBUSY, "folder %s is in use by process %s: give each its own",
                        rf_text_quote(path, quoted), pid[0] != '\0' ? pid : "(not known)");
}

static int lock(const char *path, int dir_fd, int *ret_lock_fd, struct rf_error *err)
{
    int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return refuse(path, -errno, "lock", err);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int code =
            errno == EWOULDBLOCK ? refuse_locked(path, fd, err) : refuse(path, -errno, "lock", err);
        close(fd);
        return code;
    }
    char pid[PID_TEXT_SIZE];
    int size = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    /* Only for the error text above: on a full disk the lock is as good without. */
    bool is_written = ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)size, 0) == size;
    (void)is_written;
    *ret_lock_fd = fd;
    return 0;
}

int rf_data_dir_open(const char *path, struct rf_data_dir *ret_dir, struct rf_error *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        return refuse(path, -errno, "cannot be made", err);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return refuse(path, -errno, "cannot be opened", err);
    }
    int lock_fd;
    int code = lock(path, fd, &lock_fd, err);
    if (code < 0) {
        close(fd);
        return code;
    }
    *ret_dir = (struct rf_data_dir){.fd = fd, .lock_fd = lock_fd};
    return 0;
}

void rf_data_dir_close(struct rf_data_dir *dir)
{
    if (dir->fd >= 0) {
        close(dir->lock_fd);
        close(dir->fd);
    }
    *dir = (struct rf_data_dir){.fd = -1, .lock_fd = -1};
}
