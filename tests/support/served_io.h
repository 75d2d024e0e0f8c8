/* SPDX-License-Identifier: MIT
 *
 * served_io.h - for tests of clients whose argument, "uring" or "epoll", is the servers' engine.
 */
#ifndef RF_TESTS_SUPPORT_SERVED_IO_H
#define RF_TESTS_SUPPORT_SERVED_IO_H

#include <time.h>

#include "tests/support/served.h"

enum {
    PATIENCE_MS = 60 * 1000, /* for what takes milliseconds: only a hang gets here */
};

static enum rf_io served_io;

/* Exits with 77 where the engine is not to be had. */
static inline void served_choose_io(int argc, char **argv)
{
    static struct served served;
    struct rf_error err;
    if (argc != 2 || rf_io_parse(argv[1], &served_io, &err) < 0) {
        fprintf(stderr, "usage: %s uring|epoll\n", argv[0]);
        exit(2);
    }
    int code = served_start(&served, NULL, served_io, &err);
    if (code < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(served_io == RF_IO_URING ? 77 : 1); /* this kernel or container has no io_uring */
    }
    served_stop(&served);
}

/* Starts a registry with the standard members; `addr` NULL: on a free port. */
static inline void served_begin(struct served *served, const char *addr)
{
    struct rf_error err;
    served_check(served_start(served, addr, served_io, &err), &err);
    served_put_standard(served);
    served_publish(served);
}

static inline uint64_t served_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void served_sleep_ms(unsigned ms)
{
    const struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/* What its catalog itself says. */
static inline const char *served_owner(struct served *served, const char *group, const void *key,
                                       size_t key_size)
{
    const struct rf_catalog *catalog = rf_catalog_of(rf_publisher_current(&served->publisher));
    const struct rf_group *found = rf_catalog_group(catalog, group, strlen(group));
    const struct rf_member *owner =
        found == NULL ? NULL
                      : rf_group_owner(found, rf_placement_hash(catalog->placement, key, key_size));
    return owner != NULL ? owner->id : "nobody";
}

#endif
