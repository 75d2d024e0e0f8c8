/* SPDX-License-Identifier: MIT
 *
 * config.h - the command line of registry: the Go registry's options and our own.
 */
#ifndef RF_TOOLS_REGISTRY_CONFIG_H
#define RF_TOOLS_REGISTRY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/address.h"
#include "core/error.h"
#include "core/guard.h"
#include "core/log.h"
#include "core/ring.h"
#include "gossip/gossip.h"
#include "net/server.h"

enum {
    RF_REGISTRY_ADDRESS_SIZE = RF_HOST_SIZE_MAX + sizeof("[]:65535"),
};

struct rf_registry_config {
    bool help;     /* nothing else counts */
    bool version;  /* likewise */
    bool counters; /* likewise */

    char id[RF_GOSSIP_OWN_NAME_SIZE_MAX + 1];
    const char *bind;           /* gossip, UDP and TCP */
    const char *bind_advertise; /* NULL: as bind */
    const char *addr;           /* for clients; it has a port */
    char *addr_text;            /* owned; NULL if -addr had one */
    const char *advertise;      /* NULL: as addr */
    char *seeds_text;           /* owned; the seeds point into it */
    const char *seeds[RF_GOSSIP_SEEDS_MAX];
    size_t seeds_count;
    const char *admin;        /* path of the admin socket; NULL: none */
    uint8_t key[32];          /* of gossip */
    size_t key_size;          /* 0: none, or in the file */
    const char *keyring_file; /* NULL: none */
    const char *label;        /* NULL: none */
    bool insecure_gossip;     /* no warning that it is not encrypted */
    char *admin_text;         /* owned; NULL if the path is not made of data_dir */
    const char *data_dir;     /* NULL: nothing is kept */
    enum rf_gossip_profile profile;
    struct rf_gossip_settings settings;
    enum rf_io io;
    /* As in struct rf_server_config. */
    unsigned workers;
    uint32_t busy_poll_us;
    uint32_t connections_max;
    uint64_t buffers_size_max;
    uint32_t detect_timeout_ms;
    uint32_t stall_timeout_ms;
    uint32_t idle_timeout_ms;
    enum rf_placement placement;
    struct rf_guard_config guard;
    enum rf_log_level log_level;
};

/*
 * Reads the command line. `argv` is borrowed for the life of the configuration.
 * Errors: -EINVAL a wrong option or argument; RF_ELIMIT too many registries; -ENOMEM.
 * Threads: none may run yet.
 */
RF_NODISCARD int rf_registry_config_init(struct rf_registry_config *config, int argc, char **argv,
                                         struct rf_error *err);
void rf_registry_config_fini(struct rf_registry_config *config);

/* What --help prints. */
void rf_registry_config_print_help(FILE *stream);

/*
 * The address that clients are told, of -advertise or else -addr. Without a port, or with port 0:
 * `port`, which is the bound one. An empty or wildcard host: the machine's first private address;
 * *ret_guessed says so.
 * Errors: -EINVAL as rf_host_port_parse.
 */
RF_NODISCARD int rf_registry_config_advertised(const struct rf_registry_config *config,
                                               uint16_t port,
                                               char ret_text[RF_REGISTRY_ADDRESS_SIZE],
                                               bool *ret_guessed, struct rf_error *err);

#endif
