/* SPDX-License-Identifier: MIT
 *
 * main.c - the registry: wires gossip, publisher thread and server, and waits for signals.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/standard_fds.h"
#include "gossip/gossip.h"
#include "net/server.h"
#include "tools/registry/admin_commands.h"
#include "tools/registry/config.h"
#include "tools/registry/counters.h"
#include "tools/registry/publisher_thread.h"

enum {
    EXIT_START = 1, /* a port in use, io_uring missing under -io uring, out of memory */
    EXIT_USAGE = 2,
    EXIT_FORCED = 1,    /* a second signal: not all that was asked is done */
    EXIT_NAME_LOST = 1, /* the cluster gives this node's name to another one */

    SIGNALS_APART_MS = 100,     /* timeout(1), for one, signals a process and at once its group */
    STOP_TIMEOUT_MS = 5 * 1000, /* a reader that takes no reply for so long will not take it */
};

#define REGISTRY_GROUP "registry-group"

struct registry {
    struct rf_registry_config config;
    struct rf_log log;
    struct rf_publisher_thread *publisher;
    struct rf_server *server;
    struct rf_gossip *gossip;
    struct rf_data_dir data_dir;               /* open if one is wanted */
    struct rf_admin *admin;                    /* NULL: none is wanted */
    char advertised[RF_REGISTRY_ADDRESS_SIZE]; /* to clients */
    bool is_guessed;                           /* that address is the first private one */
};

/* A connection costs a descriptor; many systems start a service with 1024 and allow it far more. */
static void raise_descriptor_limit(const struct rf_log *log)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            rf_log(log, RF_LOG_WARN, "descriptor limit not raised to %llu: %s",
                   (unsigned long long)limit.rlim_max, strerror(errno));
        }
    }
}

static int start_server(struct registry *registry, struct rf_error *err)
{
    const struct rf_registry_config *config = &registry->config;
    /* What the server says at its start is in log_started too, and must not stand before the one
     * line of an error. */
    struct rf_log log = registry->log;
    log.level_max = log.level_max == RF_LOG_INFO ? RF_LOG_WARN : log.level_max;
    const struct rf_server_config server_config = {
        .addr = config->addr,
        .io = config->io,
        .workers = config->workers,
        .busy_poll_us = config->busy_poll_us,
        .connections_max = config->connections_max,
        .buffers_size_max = config->buffers_size_max,
        .detect_timeout_ms = config->detect_timeout_ms,
        .stall_timeout_ms = config->stall_timeout_ms,
        .idle_timeout_ms = config->idle_timeout_ms,
        .publisher = rf_publisher_thread_publisher(registry->publisher),
        .log = log,
        .version = RF_VERSION,
        .node_id = config->id,
        .counters = {rf_publisher_thread_counters(registry->publisher),
                     rf_publisher_thread_gossip_counters(registry->publisher)},
    };
    int ret = rf_server_start(&server_config, &registry->server, err);
    if (ret < 0) {
        return ret;
    }
    return rf_registry_config_advertised(config, rf_server_port(registry->server),
                                         registry->advertised, &registry->is_guessed, err);
}

static void notify_server(void *context)
{
    rf_server_notify(context);
}

static int start_gossip(struct registry *registry, struct rf_error *err)
{
    const struct rf_registry_config *config = &registry->config;
    const struct rf_gossip_tag tags[] = {
        {"group", REGISTRY_GROUP},
        {"addr", registry->advertised},
    };
    const struct rf_gossip_key key = {config->key, config->key_size};
    const struct rf_gossip_config gossip_config = {
        .keys = &key,
        .keys_count = config->key_size > 0 ? 1 : 0,
        .keyring_file = config->keyring_file,
        .label = config->label,
        .name = config->id,
        .bind = config->bind,
        .advertise = config->bind_advertise,
        .tags = tags,
        .tags_count = sizeof(tags) / sizeof(tags[0]),
        .seeds = config->seeds,
        .seeds_count = config->seeds_count,
        .profile = config->profile,
        .settings = config->settings,
        .data_dir = config->data_dir != NULL ? &registry->data_dir : NULL,
        .log = registry->log,
        .has_consumer = true,
    };
    int ret = rf_gossip_start(&gossip_config, &registry->gossip, err);
    if (ret < 0) {
        return ret;
    }
    rf_publisher_thread_set_notify(registry->publisher, notify_server, registry->server);
    return rf_publisher_thread_start(registry->publisher, registry->gossip, err);
}

static int open_data_dir(struct registry *registry, struct rf_error *err)
{
    registry->data_dir = (struct rf_data_dir){.fd = -1, .lock_fd = -1};
    return registry->config.data_dir == NULL
               ? 0
               : rf_data_dir_open(registry->config.data_dir, &registry->data_dir, err);
}

static int open_admin(struct registry *registry, struct rf_error *err)
{
    if (registry->config.admin == NULL) {
        return 0;
    }
    const struct rf_admin_config admin_config = {
        .path = registry->config.admin,
        .commands = rf_admin_commands,
        .commands_count = rf_admin_commands_count,
        .log = registry->log,
    };
    return rf_admin_new(&admin_config, &registry->admin, err);
}

/* The server first: its port, where any will do, is in the tags that gossip starts with. And gossip
 * after all that may be refused: what does not start has joined nobody. */
static int start(struct registry *registry, struct rf_error *err)
{
    int ret = open_data_dir(registry, err);
    if (ret == 0) {
        ret = rf_publisher_thread_new(registry->config.placement, &registry->config.guard,
                                      &registry->log, &registry->publisher, err);
    }
    if (ret == 0) {
        ret = start_server(registry, err);
    }
    if (ret == 0) {
        ret = open_admin(registry, err);
    }
    if (ret == 0) {
        ret = start_gossip(registry, err);
    }
    if (ret == 0 && registry->admin != NULL) {
        ret = rf_admin_start(registry->admin, registry->gossip, err);
    }
    return ret;
}

/* A drop-in replacement of a registry without keys has to start without: so it only says it. */
static void warn_insecure(const struct registry *registry)
{
    const struct rf_registry_config *config = &registry->config;
    const struct rf_address *bound = rf_gossip_bound(registry->gossip);
    if (config->key_size > 0 || config->keyring_file != NULL || config->insecure_gossip ||
        rf_address_is_loopback(bound)) {
        return;
    }
    char text[RF_ADDRESS_TEXT_SIZE];
    rf_log(&registry->log, RF_LOG_WARN,
           "insecure_gossip bind=%s text=\"gossip is not encrypted: whoever reaches this address "
           "can change the cluster. Set -encrypt or -keyring-file on every node, or "
           "-insecure-gossip if this is meant\"",
           rf_address_format(bound, text));
}

static void reload(const struct registry *registry)
{
    struct rf_error err = {0};
    if (registry->config.keyring_file == NULL) {
        rf_log(&registry->log, RF_LOG_INFO,
               "signal=SIGHUP: nothing to reload, there is no -keyring-file and options are read "
               "at start only");
        return;
    }
    int code = rf_gossip_keys_reload(registry->gossip, &err);
    if (code < 0) {
        rf_log(&registry->log, RF_LOG_ERROR, "signal=SIGHUP: the keys stay as they are%s: %s",
               code == -ETIMEDOUT ? " until their file can be read" : "", err.text);
    } else {
        rf_log(&registry->log, RF_LOG_INFO, "signal=SIGHUP: keyring file read");
    }
}

static void log_started(const struct registry *registry)
{
    warn_insecure(registry);
    const struct rf_registry_config *config = &registry->config;
    if (registry->is_guessed) {
        rf_log(&registry->log, RF_LOG_INFO,
               "advertise=%s is the machine's first private address; -advertise sets another",
               registry->advertised);
    }
    char bound[RF_ADDRESS_TEXT_SIZE];
    char advertised[RF_ADDRESS_TEXT_SIZE];
    rf_log(&registry->log, RF_LOG_INFO,
           "started version=%s id=%s addr=%s port=%u advertise=%s bind=%s bind_advertise=%s "
           "registries=%zu placement=%s engine=%s engine_reason=\"%s\" workers=%u",
           RF_VERSION, config->id, config->addr, rf_server_port(registry->server),
           registry->advertised, rf_address_format(rf_gossip_bound(registry->gossip), bound),
           rf_address_format(rf_gossip_advertised(registry->gossip), advertised),
           config->seeds_count, rf_placement_name(config->placement),
           rf_server_engine_name(registry->server), rf_server_engine_reason(registry->server),
           rf_server_workers_count(registry->server));
}

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t first_signal_ms; /* set before the handler is */

static void exit_at_once(int signal_number)
{
    (void)signal_number; /* any of them is enough */
    if (monotonic_ms() - first_signal_ms < SIGNALS_APART_MS) {
        return;
    }
    static const char text[] = "second signal: exit at once\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)written; /* nobody may be reading */
    _exit(EXIT_FORCED);
}

/* From here on a signal is not waited for, since main is busy leaving. The others stay blocked. */
static void let_second_signal_end(void)
{
    sigset_t signals;
    (void)sigemptyset(&signals); /* these cannot fail for valid signals */
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    struct sigaction action = {.sa_handler = exit_at_once, .sa_flags = SA_RESTART};
    first_signal_ms = monotonic_ms();
    (void)sigaction(SIGTERM, &action, NULL); /* cannot fail for a valid signal */
    (void)sigaction(SIGINT, &action, NULL);
    (void)pthread_sigmask(SIG_UNBLOCK, &signals, NULL); /* cannot fail for a valid set */
}

/* Anybody may send that signal: gossip knows. */
static bool has_lost_name(const struct registry *registry)
{
    struct rf_gossip_status status;
    return rf_gossip_get_status(registry->gossip, &status) == 0 && status.name_lost;
}

/* Returns the exit status. */
static int wait_for_end(const struct registry *registry, const sigset_t *signals)
{
    for (;;) {
        int signal_number = 0;
        int code = sigwait(signals, &signal_number);
        RF_ASSERT(code == 0);
        if (signal_number == SIGTERM || signal_number == SIGINT) {
            rf_log(&registry->log, RF_LOG_INFO, "stopping signal=%s",
                   signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
            return EXIT_SUCCESS;
        }
        if (signal_number == RF_SIGNAL_NAME_LOST && has_lost_name(registry)) {
            rf_log(&registry->log, RF_LOG_INFO,
                   "stopping reason=\"without its name this node gets no news\"");
            return EXIT_NAME_LOST;
        }
        if (signal_number == SIGHUP) {
            reload(registry);
        }
    }
}

static void leave(struct registry *registry)
{
    const uint32_t timeout_ms =
        rf_gossip_settings_leave_ms(&registry->config.settings, registry->config.profile);
    if (rf_gossip_leave(registry->gossip, timeout_ms) < 0) {
        rf_log(&registry->log, RF_LOG_WARN,
               "not left within %u ms: others may see this node as failed", timeout_ms);
    }
    rf_publisher_thread_set_notify(registry->publisher, NULL, NULL);
    unsigned dropped = rf_server_stop(registry->server, STOP_TIMEOUT_MS);
    if (dropped > 0) {
        rf_log(&registry->log, RF_LOG_WARN,
               "%u connections dropped: their replies were not read within %d ms", dropped,
               STOP_TIMEOUT_MS);
    }
    rf_log(&registry->log, RF_LOG_INFO, "stopped");
}

/* Each of them accepts NULL; gossip outlives its consumer and who asks it, the publisher its
 * readers, the folder who writes there. */
static void fini(struct registry *registry)
{
    rf_admin_free(registry->admin);
    if (registry->publisher != NULL) {
        rf_publisher_thread_set_notify(registry->publisher, NULL, NULL);
    }
    rf_server_free(registry->server);
    if (registry->publisher != NULL) {
        rf_publisher_thread_stop(registry->publisher);
    }
    rf_gossip_free(registry->gossip);
    rf_publisher_thread_free(registry->publisher);
    rf_data_dir_close(&registry->data_dir);
    rf_registry_config_fini(&registry->config);
}

static int run(struct registry *registry)
{
    /* Blocked before any thread starts, so that all inherit it and sigwait gets them. */
    sigset_t signals;
    (void)sigemptyset(&signals); /* these cannot fail for valid signals */
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, RF_SIGNAL_NAME_LOST);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is as a full disk: an error of write */

    registry->log = rf_log_stderr(registry->config.log_level);
    raise_descriptor_limit(&registry->log);
    struct rf_error err = {0};
    if (start(registry, &err) < 0) {
        fprintf(stderr, "registry: %s\n", err.text);
        return EXIT_START;
    }
    log_started(registry);
    int code = wait_for_end(registry, &signals);
    let_second_signal_end();
    leave(registry);
    return code;
}

/* What was asked for is printed, or not. */
static int end_printing(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "registry: cannot write to standard output: %s\n", strerror(errno));
    return EXIT_START;
}

int main(int argc, char **argv)
{
    static struct registry registry;
    struct rf_error err = {0};
    rf_standard_fds_hold();
    if (rf_registry_config_init(&registry.config, argc, argv, &err) < 0) {
        fprintf(stderr, "registry: %s; see registry --help\n", err.text);
        return EXIT_USAGE;
    }
    if (registry.config.help) {
        rf_registry_config_print_help(stdout);
        return end_printing();
    }
    if (registry.config.version) {
        puts("registry " RF_VERSION);
        return end_printing();
    }
    if (registry.config.counters) {
        rf_registry_print_counters(stdout);
        return end_printing();
    }
    int code = run(&registry);
    fini(&registry);
    return code;
}
