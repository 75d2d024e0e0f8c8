/* SPDX-License-Identifier: MIT */
#include "gossip/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Shared by the one who asks and the thread that resolves; the last of the two frees it. `is_done`
 * publishes everything below it.
 */
struct rf_lookup {
    struct rf_host_port host_port;
    int event_fd; /* our own duplicate: the number cannot come to mean another file; -1: literal */
    atomic_int refs;
    atomic_bool is_done;
    int result; /* count, or a negative code */
    struct rf_error err;
    struct rf_address addresses[RF_LOOKUP_ADDRESSES_MAX];
};

static void lookup_unref(struct rf_lookup *lookup)
{
    if (atomic_fetch_sub_explicit(&lookup->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (lookup->event_fd >= 0) {
        close(lookup->event_fd);
    }
    free(lookup);
}

static bool parse_literal(const struct rf_host_port *host_port, struct rf_address *ret_address)
{
    struct rf_address address = {.port = host_port->port};
    if (inet_pton(AF_INET, host_port->host, address.ip) == 1) {
        address.ip_size = 4;
    } else if (inet_pton(AF_INET6, host_port->host, address.ip) == 1) {
        address.ip_size = 16;
    } else {
        return false;
    }
    *ret_address = address;
    return true;
}

static void *resolve(void *context)
{
    struct rf_lookup *lookup = context;
    lookup->result = rf_host_port_resolve(&lookup->host_port, lookup->addresses,
                                          RF_LOOKUP_ADDRESSES_MAX, &lookup->err);
    atomic_store_explicit(&lookup->is_done, true, memory_order_release);
    uint64_t one = 1;
    (void)!write(lookup->event_fd, &one, sizeof(one)); /* fails only when it is readable already */
    lookup_unref(lookup);
    return NULL;
}

/* A detached thread that takes no signals: they are the program's business. */
static int thread_start(struct rf_lookup *lookup)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, resolve, lookup);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

int rf_lookup_start(const struct rf_host_port *host_port, int event_fd,
                    struct rf_lookup **ret_lookup, struct rf_error *err)
{
    struct rf_lookup *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL) {
        return rf_error_set(err, -ENOMEM, "lookup of %s", host_port->host);
    }
    lookup->host_port = *host_port;
    lookup->event_fd = -1;
    atomic_init(&lookup->refs, 1);
    if (parse_literal(host_port, &lookup->addresses[0])) {
        lookup->result = 1;
        atomic_init(&lookup->is_done, true);
        *ret_lookup = lookup;
        return 0;
    }

    lookup->event_fd = fcntl(event_fd, F_DUPFD_CLOEXEC, 0);
    if (lookup->event_fd < 0) {
        int code = -errno;
        lookup_unref(lookup);
        return rf_error_set(err, code, "lookup of %s: no descriptor: %s", host_port->host,
                            rf_strerror(code));
    }
    atomic_store_explicit(&lookup->refs, 2, memory_order_relaxed);
    int code = thread_start(lookup);
    if (code < 0) {
        atomic_store_explicit(&lookup->refs, 1, memory_order_relaxed);
        lookup_unref(lookup);
        return rf_error_set(err, code, "lookup of %s: no thread: %s", host_port->host,
                            rf_strerror(code));
    }
    *ret_lookup = lookup;
    return 0;
}

int rf_lookup_take(struct rf_lookup *lookup, struct rf_address addresses[RF_LOOKUP_ADDRESSES_MAX],
                   struct rf_error *err)
{
    if (!atomic_load_explicit(&lookup->is_done, memory_order_acquire)) {
        return -EINPROGRESS;
    }
    if (lookup->result < 0) {
        return rf_error_set(err, lookup->result, "%s", lookup->err.text);
    }
    memcpy(addresses, lookup->addresses, (size_t)lookup->result * sizeof(addresses[0]));
    return lookup->result;
}

void rf_lookup_free(struct rf_lookup *lookup)
{
    if (lookup != NULL) {
        lookup_unref(lookup);
    }
}
