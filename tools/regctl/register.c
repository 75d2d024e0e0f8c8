/* SPDX-License-Identifier: MIT
 *
 * register.c - regctl register: a member for as long as this process runs.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/regctl/regctl.h"

enum {
    LOOK_MS = 100,       /* how late the join is seen */
    PATIENCE_LOOKS = 20, /* then it is said that there is no join yet, once */
    /* Serf gives its two announcements 5 s each to spread at the most, and the end 1 s. */
    LEAVE_TIMEOUT_MS = 12 * 1000,
};

static int check_required(const struct regctl_options *options)
{
    const struct {
        const char *name;
        const char *value;
    } required[] = {{"group", options->group},
                    {"id", options->id},
                    {"addr", options->addr},
                    {"registries", options->registries}};
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (required[i].value == NULL) {
            (void)rf_regctl_fail(-EINVAL, "register: -%s is missing; see regctl register --help",
                                 required[i].name);
            return REGCTL_USAGE;
        }
    }
    return REGCTL_OK;
}

static void print_joined(const struct regfast_registration *registration,
                         const struct regctl_options *options)
{
    const char *addr = regfast_registration_addr(registration);
    if (options->json) {
        (void)rf_regctl_print_json(
            json_pack("{s:b, s:o, s:o, s:o}", "joined", 1, "group",
                      rf_regctl_json_text(options->group, strlen(options->group)), "id",
                      rf_regctl_json_text(options->id, strlen(options->id)), "addr",
                      rf_regctl_json_text(addr, strlen(addr)))); /* has said why not */
    } else {
        printf("joined group '%s' as '%s' for %s\n", options->group, options->id, addr);
    }
    (void)fflush(stdout); /* who waits for this line reads a pipe; main looks at the error flag */
}

/*
 * Says when it has joined, and why it has not when that takes long, until a signal comes or the
 * registration ends by itself.
 */
static int stay(struct regfast_registration *registration, const struct regctl_options *options,
                const sigset_t *signals)
{
    const struct timespec step = {.tv_nsec = LOOK_MS * 1000000L};
    bool has_joined = false;
    for (unsigned looks = 0;; looks++) {
        char error[REGFAST_ERROR_SIZE];
        int code = regfast_registration_wait(registration, 0, error, sizeof(error));
        if (code < 0 && code != -ETIMEDOUT) {
            return rf_regctl_fail(code, "register '%s': %s", options->id, error);
        }
        if (code == 0 && !has_joined) {
            has_joined = true;
            print_joined(registration, options);
        } else if (code < 0 && !has_joined && looks == PATIENCE_LOOKS) {
            (void)fprintf(stderr, "regctl: register '%s': %s; trying on\n", options->id, error);
        }
        if (sigtimedwait(signals, NULL, &step) > 0) {
            return REGCTL_OK;
        }
    }
}

int rf_regctl_register(const struct regctl_options *options, struct regfast_client *client,
                       int arguments_count, char **arguments)
{
    (void)client;          /* is NULL */
    (void)arguments_count; /* is 0 */
    (void)arguments;
    int status = check_required(options);
    if (status != REGCTL_OK) {
        return status;
    }
    /* Before the library starts its thread, which inherits it. */
    sigset_t signals;
    (void)sigemptyset(&signals); /* cannot fail, as those that follow */
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);

    char error[REGFAST_ERROR_SIZE];
    struct regfast_registration *registration;
    const struct regfast_register_options register_options = {
        .size = sizeof(register_options),
        .id = options->id,
        .group = options->group,
        .addr = options->addr,
        .registries = options->registries,
        .bind = options->bind,
        .bind_advertise = options->bind_advertise,
        .replicas = (uint32_t)options->replicas,
        .encrypt = options->encrypt,
        .keyring_file = options->keyring_file,
        .label = options->label,
        .profile = options->profile,
    };
    int code = regfast_register(&register_options, &registration, error, sizeof(error));
    if (code < 0) {
        return rf_regctl_fail(code, "%s", error);
    }
    status = stay(registration, options, &signals);
    (void)sigprocmask(SIG_UNBLOCK, &signals, NULL); /* a second one ends us at once */
    code = options->drain_ms > 0
               ? regfast_drain(registration, (uint32_t)options->drain_ms, LEAVE_TIMEOUT_MS)
               : regfast_leave(registration, LEAVE_TIMEOUT_MS);
    regfast_registration_free(registration);
    if (code < 0) {
        (void)rf_regctl_fail(code, "left, but not everybody may know: %s", regfast_strerror(code));
        return REGCTL_FAILED; /* whatever the code: nobody was asked */
    }
    return status;
}
