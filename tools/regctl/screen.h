/* SPDX-License-Identifier: MIT
 *
 * screen.h - waiting for what ends a command that goes on and on; and, if it draws, a terminal that
 * is drawn on in place, and left as it was.
 */
#ifndef RF_TOOLS_REGCTL_SCREEN_H
#define RF_TOOLS_REGCTL_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

enum regctl_screen_event {
    REGCTL_SCREEN_TIME,   /* the time has come */
    REGCTL_SCREEN_RESIZE, /* draw again */
    REGCTL_SCREEN_INPUT,  /* there is something on the other descriptor */
    REGCTL_SCREEN_END,    /* q, Ctrl-C, a signal to end, or nobody reads standard output */
};

struct regctl_screen {
    int signals_fd;
    bool is_open;        /* private: it is drawn on */
    bool has_keyboard;   /* private */
    struct termios mode; /* private: as it was */
};

/*
 * Waits for signals from now on, and draws if `draws`. Before threads are started, which must not
 * get these signals. Standard output should be a terminal then; keys are read if standard input is.
 * Returns 0 or a negative errno: then there is nothing to close.
 */
int rf_regctl_screen_open(struct regctl_screen *screen, bool draws);

/* Leaves the terminal as it was. Twice is as good as once. */
void rf_regctl_screen_close(struct regctl_screen *screen);

/* Shows the lines of `text`, each cut at the terminal's width, as many as it has. */
void rf_regctl_screen_draw(const struct regctl_screen *screen, const char *text);

/* Waits until `deadline_ns` of the monotonic clock, or for what comes before. `other_fd` is waited
 * for too; -1: none. */
enum regctl_screen_event rf_regctl_screen_wait(struct regctl_screen *screen, uint64_t deadline_ns,
                                               int other_fd);

uint64_t rf_regctl_now_ns(void);

#endif
