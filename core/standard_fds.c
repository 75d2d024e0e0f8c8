/* SPDX-License-Identifier: MIT */
#include "core/standard_fds.h"

#include <fcntl.h>
#include <unistd.h>

void rf_standard_fds_hold(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            /* Gets that number, the lowest that is free; the wrong way round, so that a program
             * whose output nobody can have fails. Without /dev/null all stays as it is. */
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        }
    }
}
