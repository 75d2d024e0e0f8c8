/* SPDX-License-Identifier: MIT
 *
 * regctl.h - what the commands of regctl share: the options, how an answer is printed, and how a
 * failure becomes one line and an exit code.
 */
#ifndef RF_TOOLS_REGCTL_REGCTL_H
#define RF_TOOLS_REGCTL_REGCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/regfast.h"
#include "core/error.h"
#include "core/options.h"

/* Exit codes. */
enum {
    REGCTL_OK = 0,
    REGCTL_FAILED = 1,
    REGCTL_USAGE = 2,
    REGCTL_NOT_FOUND = 3,   /* no such group, or nobody in it who could answer */
    REGCTL_UNAVAILABLE = 4, /* no registry answers in time */
};

struct regctl_options {
    const char *server;  /* HOST:PORT,... */
    uint64_t timeout_ms; /* 0 until a command's own default is put here */
    const char *admin;   /* path of a registry's admin socket; NULL: none is known */
    bool json;
    bool help;
    bool version;
    /* Of register. NULL, 0: not given. */
    const char *group;
    const char *id;
    const char *addr;
    const char *registries;
    const char *bind;
    const char *bind_advertise;
    uint64_t replicas;
    uint64_t drain_ms;
    const char *encrypt;
    const char *keyring_file;
    const char *label;
    const char *profile;
    /* Of keys. */
    uint64_t relay;
    /* Of forget. */
    bool prune;
    /* Of verify. */
    uint64_t wait_s;
    /* Of top. */
    uint64_t interval_s;
    bool once;
    /* Of what-if. */
    struct rf_option_list remove;
    struct rf_option_list add;
    struct rf_option_list weight;
};

/* A command's function. `client` is for those that ask, else NULL; `arguments` are those after the
 * command's name. Returns an exit code, and has printed why if it is not REGCTL_OK. */
typedef int regctl_run(const struct regctl_options *options, struct regfast_client *client,
                       int arguments_count, char **arguments);

regctl_run rf_regctl_match, rf_regctl_owners, rf_regctl_members, rf_regctl_groups, rf_regctl_info,
    rf_regctl_ping, rf_regctl_explain, rf_regctl_what_if, rf_regctl_verify, rf_regctl_top,
    rf_regctl_complete, rf_regctl_watch, rf_regctl_register, rf_regctl_forget, rf_regctl_rtt,
    rf_regctl_keys;

/*
 * Sends a request to the admin socket and waits for its result. Takes `request` (NULL: there was no
 * memory for it). Returns REGCTL_OK and an object in *ret_result, which the caller ends, or another
 * exit code, and has printed why.
 */
int rf_regctl_admin_ask(const struct regctl_options *options, json_t *request, json_t **ret_result);

/* Prints "regctl: <text>" to standard error and returns the exit code for `code`. */
int rf_regctl_fail(int code, const char *format, ...) RF_PRINTF(2, 3);

/* A JSON string of any bytes: those that are not UTF-8 become U+FFFD. */
json_t *rf_regctl_json_text(const void *text, size_t size);

/* 16 hexadecimal digits: JSON's numbers may be doubles, which lose the low bits of a digest. */
json_t *rf_regctl_json_digest(uint64_t digest);

/* Prints the document on one line and frees it; NULL: there was no memory for it. */
int rf_regctl_print_json(json_t *document);

#endif
