/* SPDX-License-Identifier: MIT
 *
 * standard_fds.h - descriptors 0, 1 and 2 of a program that is started without some of them.
 */
#ifndef RF_CORE_STANDARD_FDS_H
#define RF_CORE_STANDARD_FDS_H

/*
 * Opens those of the three that are closed, so that no file or socket gets such a number and then
 * what is said on standard output or standard error. Reading and writing them fails with EBADF, as
 * if they were closed still.
 *
 * Threads: before any other is started, and before the program opens anything.
 */
void rf_standard_fds_hold(void);

#endif
