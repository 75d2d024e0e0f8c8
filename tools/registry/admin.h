/* SPDX-License-Identifier: MIT
 *
 * admin.h - the admin socket: where who may open a file of the registry's owner may change the
 * cluster. One JSON object a line each way; ADMIN.md has the protocol.
 *
 * One thread of its own serves it, and does one command after the other: a command may wait, for
 * gossip or for the answers of other nodes, and nothing but other administrators waits with it.
 */
#ifndef RF_TOOLS_REGISTRY_ADMIN_H
#define RF_TOOLS_REGISTRY_ADMIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/log.h"

enum {
    RF_ADMIN_LINE_SIZE_MAX = 4096, /* of a request: names and a key are far shorter */
    RF_ADMIN_CONNECTIONS_MAX = 16, /* people and their scripts; one more is told so */
    RF_ADMIN_IDLE_MS = 60 * 1000,  /* without a whole request, then the connection is closed */
    RF_ADMIN_WRITE_MS = 10 * 1000, /* for a reply to be read */
};

/*
 * Does a command. `request` is the whole object, borrowed; json_unpack_ex with "!" names what is
 * wrong in it. `context` is that of rf_admin_start. Returns 0 and an object in *ret_result, which
 * the caller takes, or a negative code and a text that begins with the command's name; the code
 * decides what the client is told (ADMIN.md).
 * Threads: the admin thread's. May wait, for at most some seconds: the program's end waits for it.
 */
typedef int rf_admin_run(void *context, json_t *request, json_t **ret_result, struct rf_error *err);

struct rf_admin_command {
    const char *name;
    rf_admin_run *run;
    bool is_change; /* of the cluster: logged at level info, the others at level debug */
};

struct rf_admin_config {
    const char *path;                        /* of the socket; copied */
    const struct rf_admin_command *commands; /* borrowed */
    size_t commands_count;
    struct rf_log log;
    uint32_t idle_ms;  /* 0: RF_ADMIN_IDLE_MS */
    uint32_t write_ms; /* 0: RF_ADMIN_WRITE_MS */
};

struct rf_admin; /* private */

/*
 * Opens the socket. Who connects waits until rf_admin_start.
 * Ownership: the caller ends *ret_admin with rf_admin_free; untouched on failure.
 * Errors:    as rf_admin_socket_open; -ENOMEM; -EMFILE.
 */
RF_NODISCARD int rf_admin_new(const struct rf_admin_config *config, struct rf_admin **ret_admin,
                              struct rf_error *err);

/* Starts the thread. `context` is borrowed until rf_admin_free. Errors: -EAGAIN no more threads. */
RF_NODISCARD int rf_admin_start(struct rf_admin *admin, void *context, struct rf_error *err);

/* Removes the socket, waits for a command that is being done, and frees everything. NULL is
 * allowed. */
void rf_admin_free(struct rf_admin *admin);

/* Whether a string of a request may be a name: not empty, and without control characters. Errors:
 * -EINVAL "forget: name '' is empty". */
RF_NODISCARD int rf_admin_check_text(const char *command, const char *what, const char *text,
                                     struct rf_error *err);

#endif
