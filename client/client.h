/* SPDX-License-Identifier: MIT
 *
 * client.h - what the calls of regfast.h share: a client, its requests, and what drives them.
 *
 * A client has one connection at a time. Whoever holds the client drives it: a call that waits, the
 * program's event loop, or the library's thread. All of them do the same: rf_client_turn does what
 * can be done now, rf_client_receive what has come. Where the library has a thread, calls let go of
 * the client while they wait, so that those of several threads are under way together.
 */
#ifndef RF_CLIENT_CLIENT_H
#define RF_CLIENT_CLIENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/background.h"
#include "client/link.h"
#include "client/regfast.h"
#include "client/registries.h"
#include "client/session.h"
#include "core/address.h"
#include "core/error.h"
#include "core/wire.h"

enum {
    RF_CALL_ATTEMPTS_MAX = 2, /* sent to, not counting registries that cannot be reached */
};

/*
 * One request until it is answered. Embedded in what knows where the answer goes.
 */
struct rf_call {
    struct rf_call *previous, *next;
    pthread_cond_t *waiter; /* to be signalled when it is done; NULL: nobody waits for it so */
    const uint8_t *frame;   /* borrowed until it is done */
    size_t frame_size;
    /* Decodes the payload of an RF_WIRE_OK reply, which is gone afterwards. */
    int (*take)(struct rf_call *call, const uint8_t *payload, size_t size, struct rf_error *err);
    uint64_t deadline_ns; /* of the call */
    uint64_t turn_ns;     /* of this registry's turn */
    uint64_t sent_ns;
    size_t misses;     /* registries that could not be reached */
    uint32_t attempts; /* that were lost */
    bool is_sent;      /* on the connection that is up */
    bool is_done;
    bool is_submitted;   /* goes into the list of those done */
    int code;            /* when done */
    struct rf_error err; /* as above; set if code < 0 */
};

struct rf_calls {
    struct rf_call *first, *last;
    size_t count;
};

/* What was submitted and has not been taken (submit.c). */
struct rf_submissions {
    size_t count;
    size_t size;           /* of their requests */
    struct rf_call *taken; /* the last one that was: its text is still the caller's */
};

/* What it watches (watch.c). */
struct rf_client_watches {
    struct regfast_watch *first;
    size_t count;
    struct regfast_watch *discovery; /* of the registries' group; NULL: none */
    bool is_told_late;               /* no memory for the registries that it knows */
    enum rf_placement placement;     /* of the registry of the connection */
    bool is_incomplete;              /* one could not be asked for on this connection */
};

struct regfast_client {
    pid_t process; /* that opened it, or drove it last */
    uint64_t call_timeout_ns;
    struct rf_link link;
    struct rf_session session;
    struct rf_registries registries;
    struct rf_registry *registry; /* of the link; NULL if that is closed */
    uint64_t turn_ns;             /* when to give up connecting though nobody calls */
    uint64_t up_ns;               /* since when the link is up; 0: it is not */
    uint64_t serial;              /* counts connections: answers of two may differ in version */
    struct rf_calls calls;        /* under way, in the order in which they came */
    uint64_t calls_turn_ns;       /* no turn of them ends before */
    struct rf_calls done;         /* submitted ones that can be taken */
    struct rf_submissions submissions;
    struct rf_client_watches watches;
    struct rf_error failure;               /* why the last connection was lost; code 0: it is up */
    struct rf_background *background;      /* NULL: none */
    bool is_changed;                       /* something that is watched, since others were told */
    char server[RF_REGISTRY_TEXT_SIZE];    /* of the last answer */
    uint8_t out[RF_WIRE_REQUEST_SIZE_MAX]; /* the request of a call that waits */
};

/* ---- driving (drive.c) ---- */

void rf_calls_append(struct rf_calls *calls, struct rf_call *call);
void rf_calls_remove(struct rf_calls *calls, struct rf_call *call);

/* Does what can be done now: ends what is too late, connects, sends. */
void rf_client_turn(struct regfast_client *client);

/* Waits until something comes, but no longer than until `until_ns` or the next deadline. */
void rf_client_wait(struct regfast_client *client, uint64_t until_ns);

/* Takes what has come. */
void rf_client_receive(struct regfast_client *client);

/* When rf_client_turn has something to do though nothing comes: 0 now, UINT64_MAX never. */
uint64_t rf_client_next_ns(const struct regfast_client *client);

/* All of these, without waiting. */
void rf_client_process(struct regfast_client *client);

/* A deadline as poll takes it. */
int rf_client_timeout_ms(uint64_t deadline_ns);

/* Sends a call, now or once there is a connection. The caller has set frame, take, deadline_ns and
 * is_submitted, the rest is 0. */
void rf_client_start(struct regfast_client *client, struct rf_call *call);

/* Starts a call and drives the client until it is done; with a thread of the library's, others have
 * the client meanwhile. Errors: what regfast.h promises. */
RF_NODISCARD int rf_client_call(struct regfast_client *client, struct rf_call *call,
                                struct rf_error *err);

/* The link was closed behind our back: calls under way wait for another. */
void rf_client_forget(struct regfast_client *client);

/* Takes over a socket that is connected to the next registry. Errors: as rf_link_adopt. */
RF_NODISCARD int rf_client_adopt(struct regfast_client *client, int fd, struct rf_error *err);

/* ---- submitted calls (submit.c) ---- */

/* Forgets them all, done or not. */
void rf_client_drop_submissions(struct regfast_client *client);

/* ---- for all calls (client.c) ---- */

/* When a call that begins now must have ended. */
uint64_t rf_client_deadline_ns(const struct regfast_client *client);

/*
 * The client is the caller's until rf_client_leave.
 * Errors: -ETIMEDOUT other threads had it all the time; in a child of the process that opened it,
 *         -EINVAL it has a thread, and those of rf_link_after_fork.
 */
RF_NODISCARD int rf_client_enter(struct regfast_client *client, uint64_t deadline_ns,
                                 struct rf_error *err);
void rf_client_leave(struct regfast_client *client);

/* Checks of arguments. Errors: -EINVAL. */
RF_NODISCARD int rf_client_check(const struct regfast_client *client, const void *ret,
                                 struct rf_error *err);
RF_NODISCARD int rf_client_check_group(const char *group, struct rf_error *err);
RF_NODISCARD int rf_client_check_key(const void *key, size_t key_size, struct rf_error *err);

/*
 * Copies an option struct of a program, which says that it has `size` bytes, to `known`, which is
 * zeroed and has the `known_size` bytes of this library's. `older_size` is what it had before it
 * grew (0: it has not); what a newer program's has beyond must be unset.
 */
RF_NODISCARD int rf_client_read_options(void *known, size_t known_size, size_t older_size,
                                        const void *options, size_t size, struct rf_error *err);

/* Gives the caller the text of a negative `code`, and returns it. */
int rf_client_report(int code, const struct rf_error *err, char *errbuf, size_t errbuf_size);

#endif
