/* SPDX-License-Identifier: MIT
 *
 * stuck_disk.c - runs a program as on a file system that hangs: fsync() never returns. Its calls
 * are handed to a listener, which the program inherits and never reads. Exit code 77: the kernel
 * has no such listeners.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: stuck_disk PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    long fd = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (fd == 0) {
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                     &program);
    }
    if (fd < 0 || fcntl((int)fd, F_SETFD, 0) < 0) {
        printf("skipped: the kernel has no seccomp listeners: %s\n", strerror(errno));
        return 77;
    }
    (void)execv(argv[1], argv + 1); /* returns only if it fails */
    fprintf(stderr, "stuck_disk: %s: %s\n", argv[1], strerror(errno));
    return 2;
}
