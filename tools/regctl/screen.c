/* SPDX-License-Identifier: MIT
 *
 * screen.c - by the control sequences of ECMA-48 and xterm, which every terminal of today knows:
 * terminfo would add a library for five of them.
 */
#include "tools/regctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum {
    NS_PER_MS = 1000000,
    KEY_CTRL_C = 3,
    KEY_CTRL_Z = 26,
    WAIT_MS_MAX = 3600 * 1000,
    COLUMNS_DEFAULT = 80, /* of a terminal that does not know its size */
    LINES_DEFAULT = 24,
};

uint64_t rf_regctl_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The other screen, without a cursor. Keys come one by one, those that are signals too. */
static void begin_drawing(struct regctl_screen *screen)
{
    screen->is_open = true;
    screen->has_keyboard = tcgetattr(STDIN_FILENO, &screen->mode) == 0;
    if (screen->has_keyboard) {
        struct termios mode = screen->mode;
        mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
        mode.c_cc[VMIN] = 0;
        mode.c_cc[VTIME] = 0;
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &mode); /* else keys need a line's end, and show */
    }
    (void)fputs("\x1b[?1049h\x1b[?25l", stdout); /* main looks at the stream's error flag */
    (void)fflush(stdout);
}

static void end_drawing(struct regctl_screen *screen)
{
    if (!screen->is_open) {
        return;
    }
    (void)fputs("\x1b[?25h\x1b[?1049l", stdout); /* as above */
    (void)fflush(stdout);
    if (screen->has_keyboard) {
        /* What was typed ahead is kept, for the shell. If it fails nothing else can be done. */
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &screen->mode);
    }
    screen->is_open = false;
}

int rf_regctl_screen_open(struct regctl_screen *screen, bool draws)
{
    sigset_t signals;
    (void)sigemptyset(&signals); /* cannot fail, as those that follow */
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGWINCH);
    *screen = (struct regctl_screen){.signals_fd = signalfd(-1, &signals, SFD_CLOEXEC)};
    if (screen->signals_fd < 0) {
        return -errno;
    }
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    if (draws) {
        begin_drawing(screen);
    }
    return 0;
}

void rf_regctl_screen_close(struct regctl_screen *screen)
{
    end_drawing(screen);
    if (screen->signals_fd >= 0) {
        (void)close(screen->signals_fd); /* was only read */
        screen->signals_fd = -1;
    }
}

/* The bytes of the line's first `columns` characters of UTF-8. */
static size_t cut(const char *line, size_t size, size_t columns)
{
    size_t at = 0;
    for (size_t count = 0; at < size; at++) {
        if (((unsigned char)line[at] & 0xc0) != 0x80 && count++ == columns) {
            break;
        }
    }
    return at;
}

void rf_regctl_screen_draw(const struct regctl_screen *screen, const char *text)
{
    if (!screen->is_open) {
        return;
    }
    struct winsize size = {0};
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size); /* left 0 if unknown */
    size_t columns = size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
    size_t lines = size.ws_row > 0 ? size.ws_row : LINES_DEFAULT;
    (void)fputs("\x1b[H", stdout); /* main looks at the stream's error flag */
    for (size_t i = 0; i < lines && *text != '\0'; i++) {
        size_t line_size = strcspn(text, "\n");
        /* No line feed after the last one: the screen would scroll. */
        printf("%s%.*s\x1b[K", i == 0 ? "" : "\r\n", (int)cut(text, line_size, columns), text);
        text += line_size + (text[line_size] == '\n' ? 1 : 0);
    }
    (void)fputs("\x1b[J", stdout);
    (void)fflush(stdout);
}

/* Stops as a program does that leaves Ctrl-Z to the terminal, and goes on drawing afterwards. */
static void suspend(struct regctl_screen *screen)
{
    end_drawing(screen);
    (void)raise(SIGTSTP);
    begin_drawing(screen);
}

/* What the keys that were pressed ask for; REGCTL_SCREEN_TIME: nothing. */
static enum regctl_screen_event read_keys(struct regctl_screen *screen)
{
    char keys[64];
    ssize_t size = read(STDIN_FILENO, keys, sizeof(keys));
    if (size == 0 || (size < 0 && errno != EINTR && errno != EAGAIN)) {
        screen->has_keyboard = false; /* the terminal is gone; SIGHUP says so too */
        return REGCTL_SCREEN_END;
    }
    enum regctl_screen_event event = REGCTL_SCREEN_TIME;
    for (ssize_t i = 0; i < size && event != REGCTL_SCREEN_END; i++) {
        if (keys[i] == 'q' || keys[i] == KEY_CTRL_C) {
            event = REGCTL_SCREEN_END;
        } else if (keys[i] == KEY_CTRL_Z) {
            suspend(screen);
            event = REGCTL_SCREEN_RESIZE;
        }
    }
    return event;
}

static enum regctl_screen_event read_signal(struct regctl_screen *screen)
{
    struct signalfd_siginfo signal;
    ssize_t size = read(screen->signals_fd, &signal, sizeof(signal));
    return size == (ssize_t)sizeof(signal) && signal.ssi_signo == SIGWINCH ? REGCTL_SCREEN_RESIZE
                                                                           : REGCTL_SCREEN_END;
}

enum regctl_screen_event rf_regctl_screen_wait(struct regctl_screen *screen, uint64_t deadline_ns,
                                               int other_fd)
{
    for (;;) {
        uint64_t now_ns = rf_regctl_now_ns();
        uint64_t left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns) / NS_PER_MS + 1 : 0;
        struct pollfd fds[] = {
            {.fd = screen->signals_fd, .events = POLLIN},
            {.fd = screen->is_open && screen->has_keyboard ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = other_fd, .events = POLLIN},
            {.fd = STDOUT_FILENO}}; /* only what comes unasked: its reader has gone */
        int ready = poll(fds, 4, (int)(left_ms < WAIT_MS_MAX ? left_ms : WAIT_MS_MAX));
        enum regctl_screen_event event = REGCTL_SCREEN_TIME;
        if (ready > 0 && fds[3].revents != 0) {
            event = REGCTL_SCREEN_END;
        } else if (ready > 0 && fds[0].revents != 0) {
            event = read_signal(screen);
        } else if (ready > 0 && fds[1].revents != 0) {
            event = read_keys(screen);
        } else if (ready > 0 && fds[2].revents != 0) {
            event = REGCTL_SCREEN_INPUT;
        }
        if (event != REGCTL_SCREEN_TIME || now_ns >= deadline_ns) {
            return event;
        }
    }
}
