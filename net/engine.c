/* SPDX-License-Identifier: MIT */
#include "net/engine.h"

#include <errno.h>
#include <unistd.h>

#include "core/assert.h"

const char *rf_engine_kind_name(enum rf_engine_kind kind)
{
    switch (kind) {
    case RF_ENGINE_URING:
        return "uring";
    case RF_ENGINE_EPOLL:
        return "epoll";
    }
    RF_ASSERT(!"an engine kind");
    return "";
}

void rf_engine_wake(struct rf_engine *engine)
{
    uint64_t one = 1;
    ssize_t written;
    do {
        written = write(engine->wake_fd, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
    /* An eventfd takes it, or is so full of wakes that one more says nothing new. */
    RF_ASSERT(written == (ssize_t)sizeof(one) || errno == EAGAIN);
}
