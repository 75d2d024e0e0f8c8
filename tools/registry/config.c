/* SPDX-License-Identifier: MIT */
#include "tools/registry/config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/catalog.h"
#include "core/entries.h"
#include "core/member.h"
#include "core/options.h"
#include "core/text.h"
#include "gossip/keyring.h"

enum {
    CLIENT_PORT = 9800,
    MIB_MAX = 1024 * 1024,             /* 1 TiB: more is a slip of the hand */
    TIMEOUT_MS_MAX = 24 * 3600 * 1000, /* a day */
    FLAP_HOLD_S_MAX = 24 * 3600,       /* likewise */
    ID_HOST_SIZE_MAX =
        RF_GOSSIP_OWN_NAME_SIZE_MAX - sizeof("-4294967295"), /* port or pid follows */
};

/* What the table below writes to; one command line in a process. */
static struct {
    bool help;
    bool version;
    bool counters;
    const char *id;
    const char *bind;
    const char *bind_advertise;
    const char *addr;
    const char *advertise;
    const char *registries;
    const char *admin;
    const char *encrypt;
    const char *keyring_file;
    const char *label;
    bool insecure_gossip;
    const char *data_dir;
    const char *profile;
    uint64_t settings[RF_GOSSIP_SETTINGS_COUNT];
    const char *io;
    uint64_t workers;
    const char *busy_poll;
    uint64_t connections;
    uint64_t buffers_mib;
    uint64_t first_bytes_timeout_ms;
    uint64_t stall_timeout_ms;
    uint64_t idle_timeout_ms;
    const char *placement;
    uint64_t flap_hold_s;
    const char *protect;
    uint64_t protect_min;
    const char *log_level;
} values;

static const char *const io_choices[] = {"auto", "uring", "epoll", NULL};
static const char *const placement_choices[] = {"v1", "crc32", NULL};
/* A row of the table of gossip's settings as an option. */
#define SETTING(kind, name, option, lan, wan, local, least, most, meaning) \
    {option,                                                               \
     RF_SETTING_VALUE_##kind,                                              \
     RF_SETTING_HELP(lan, wan, local, meaning),                            \
     RF_OPTION_NUMBER,                                                     \
     .min = least,                                                         \
     .max = most,                                                          \
     .number = &values.settings[RF_SETTING_##name]},

static const char *const log_level_choices[] = {"error", "warn", "info", "debug", NULL};

static const struct rf_option table[] = {
    {.name = "id",
     .value_name = "NAME",
     .help = "Name of this node, unique in the cluster: letters, digits, '.' and '-'. "
             "Without it: the host's name and the port of -bind.",
     .type = RF_OPTION_TEXT,
     .text = &values.id},
    {.name = "bind",
     .value_name = "HOST:PORT",
     .help = "Where to gossip, UDP and TCP; an empty host is every IPv4 address, [::] every "
             "address, port 0 any free one.",
     .type = RF_OPTION_BIND,
     .port_default = RF_GOSSIP_PORT_DEFAULT,
     .default_value = ":7370",
     .text = &values.bind},
    {.name = "bind-advertise",
     .value_name = "HOST:PORT",
     .help = "The gossip address that other nodes are told. Without it: that of -bind; an empty "
             "host becomes the machine's first private address.",
     .type = RF_OPTION_BIND,
     .port_default = RF_GOSSIP_PORT_DEFAULT,
     .text = &values.bind_advertise},
    {.name = "addr",
     .value_name = "HOST:PORT",
     .help = "Where to answer clients; hosts and ports as for -bind.",
     .type = RF_OPTION_BIND,
     .port_default = CLIENT_PORT,
     .default_value = ":9800",
     .text = &values.addr},
    {.name = "advertise",
     .value_name = "HOST:PORT",
     .help = "The client address that the group registry-group lists for this node. Without it: "
             "that of -addr; an empty host becomes the machine's first private address.",
     .type = RF_OPTION_BIND,
     .port_default = CLIENT_PORT,
     .text = &values.advertise},
    {.name = "registries",
     .value_name = "HOST:PORT,...",
     .help = "Gossip addresses of some nodes of the cluster, other registries or any Serf agent; "
             "they are tried until one answers. Without it: a cluster of its own, for others to "
             "join.",
     .type = RF_OPTION_HOST_PORTS,
     .port_default = RF_GOSSIP_PORT_DEFAULT,
     .text = &values.registries},
    {.name = "encrypt",
     .value_name = "KEY",
     .help = "Encrypt gossip with this key, base64 of 16, 24 or 32 bytes, as every node of the "
             "cluster does. Others on the machine see it among the processes: better is "
             "-keyring-file.",
     .type = RF_OPTION_TEXT,
     .text = &values.encrypt},
    {.name = "keyring-file",
     .value_name = "FILE",
     .help = "Encrypt gossip with the keys in this file, a JSON array of base64 strings as serf "
             "writes it, the key that encrypts first; mode 0600. What the cluster changes about "
             "the keys is written to it; SIGHUP reads it anew. As with serf not together with "
             "-encrypt.",
     .type = RF_OPTION_TEXT,
     .text = &values.keyring_file},
    {.name = "label",
     .value_name = "NAME",
     .help = "Label of the cluster, 1..255 bytes: nodes with another one, or none, are not heard. "
             "Serf agents have none.",
     .type = RF_OPTION_TEXT,
     .text = &values.label},
    {.name = "insecure-gossip",
     .help = "Gossip without encryption is meant: do not warn of it at the start.",
     .type = RF_OPTION_FLAG,
     .flag = &values.insecure_gossip},
    {.name = "admin",
     .value_name = "PATH",
     .help = "Admin socket to make, for regctl -admin: who may open it may change the cluster. "
             "Without it: admin.sock in the folder of -data-dir, or else none.",
     .type = RF_OPTION_TEXT,
     .text = &values.admin},
    {.name = "data-dir",
     .value_name = "DIR",
     .help = "Folder, of this node alone, in which it keeps the members it knows, in order to find "
             "them again after a restart. Without it: nothing is kept.",
     .type = RF_OPTION_TEXT,
     .text = &values.data_dir},
    {.name = "io",
     .value_name = "ENGINE",
     .help = "How to serve clients: uring, epoll, or auto for io_uring where the system has and "
             "allows it.",
     .type = RF_OPTION_CHOICE,
     .choices = io_choices,
     .default_value = "auto",
     .text = &values.io},
    {.name = "workers",
     .value_name = "N",
     .help = "Threads that serve clients; 0: one for each core that this process may use.",
     .type = RF_OPTION_NUMBER,
     .max = RF_WORKERS_MAX,
     .default_value = "0",
     .number = &values.workers},
    {.name = "busy-poll",
     .value_name = "USEC",
     .help = "How long a worker polls for the next request before it sleeps: microseconds, 0 for "
             "never, or adaptive: only while requests come closely enough to pay. Polling takes a "
             "core and spares the time of waking up.",
     .type = RF_OPTION_TEXT,
     .default_value = "adaptive",
     .text = &values.busy_poll},
    {.name = "connections",
     .value_name = "N",
     .help = "Clients connected at once; more are closed as they come.",
     .type = RF_OPTION_NUMBER,
     .min = 1,
     .max = RF_CONNECTIONS_MAX,
     .default_value = "65536",
     .number = &values.connections},
    {.name = "buffers-mib",
     .value_name = "MIB",
     .help = "Memory for bytes that wait, of slow readers and senders, all of them together; who "
             "needs more is closed. At least 8 for each worker are allowed.",
     .type = RF_OPTION_NUMBER,
     .min = 1,
     .max = MIB_MAX,
     .default_value = "1024",
     .number = &values.buffers_mib},
    {.name = "first-bytes-timeout-ms",
     .value_name = "MS",
     .help = "A client that has not said which protocol it speaks by then is closed.",
     .type = RF_OPTION_NUMBER,
     .min = 1,
     .max = TIMEOUT_MS_MAX,
     .default_value = "30000",
     .number = &values.first_bytes_timeout_ms},
    {.name = "stall-timeout-ms",
     .value_name = "MS",
     .help = "A client that reads nothing for so long while replies wait is closed.",
     .type = RF_OPTION_NUMBER,
     .min = 1,
     .max = TIMEOUT_MS_MAX,
     .default_value = "10000",
     .number = &values.stall_timeout_ms},
    {.name = "idle-timeout-ms",
     .value_name = "MS",
     .help = "A client that sends nothing for so long is closed; 0: never.",
     .type = RF_OPTION_NUMBER,
     .max = TIMEOUT_MS_MAX,
     .default_value = "0",
     .number = &values.idle_timeout_ms},
    {.name = "placement",
     .value_name = "RULE",
     .help = "How keys are given to members: v1, or crc32 to answer as the Go registry does. The "
             "same on every node.",
     .type = RF_OPTION_CHOICE,
     .choices = placement_choices,
     .default_value = "v1",
     .text = &values.placement},
    {.name = "flap-hold",
     .value_name = "S",
     .help =
         "Seconds in which a member changes its ring twice at most, however often it fails. One "
         "that comes back from a failure is held out of the ring until it has been alive for a "
         "tenth of that. 0: rings follow each failure and return at once.",
     .type = RF_OPTION_NUMBER,
     .max = FLAP_HOLD_S_MAX,
     .default_value = "600",
     .number = &values.flap_hold_s},
    {.name = "protect",
     .value_name = "RATIO",
     .help = "When more than this part of a group fails within a minute, that is taken for a fault "
             "of the network: those members stay in the ring. 0 to 1; 0: never.",
     .type = RF_OPTION_TEXT,
     .default_value = "0.5",
     .text = &values.protect},
    {.name = "protect-min",
     .value_name = "N",
     .help = "Groups of fewer members are never protected: who has failed is out.",
     .type = RF_OPTION_NUMBER,
     .min = 1,
     .max = RF_MEMBERS_MAX,
     .default_value = "8",
     .number = &values.protect_min},
    {.name = "log-level",
     .value_name = "LEVEL",
     .help = "Least important lines to log, on standard error: error, warn, info or debug.",
     .type = RF_OPTION_CHOICE,
     .choices = log_level_choices,
     .default_value = "info",
     .text = &values.log_level},
    {.name = "profile",
     .value_name = "PROFILE",
     .help = "Timing of the gossip: lan for one site, wan across sites, local for one machine. All "
             "nodes of a cluster should have the same.",
     .type = RF_OPTION_CHOICE,
     .choices = rf_gossip_profile_names,
     .default_value = "lan",
     .text = &values.profile},
    RF_GOSSIP_SETTINGS(SETTING){.name = "version",
                                .help = "Print the version and exit.",
                                .type = RF_OPTION_FLAG,
                                .flag = &values.version},
    {.name = "counters",
     .help =
         "Print what each counter of regctl info means, NAME, KIND, UNIT and MEANING, and exit.",
     .type = RF_OPTION_FLAG,
     .flag = &values.counters},
    {.name = "help", .help = "Print this and exit.", .type = RF_OPTION_FLAG, .flag = &values.help},
};

static const struct rf_options options = {table, sizeof(table) / sizeof(table[0])};

/* Of a host's name only what gossip allows in a node's name. */
static void default_id(const char *bind, char ret_id[RF_GOSSIP_OWN_NAME_SIZE_MAX + 1])
{
    char host[HOST_NAME_MAX + 1] = "";
    (void)gethostname(host, sizeof(host) - 1); /* left empty if it fails */
    size_t used = 0;
    for (const char *at = host; *at != '\0' && used < ID_HOST_SIZE_MAX; at++) {
        bool is_allowed = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                          (*at >= '0' && *at <= '9') || *at == '.' || *at == '-';
        ret_id[used++] = is_allowed ? *at : '-';
    }
    if (used == 0) {
        used = (size_t)snprintf(ret_id, RF_GOSSIP_OWN_NAME_SIZE_MAX + 1, "registry");
    }
    /* Several on one machine differ by their port; one that takes any port, by its process. */
    struct rf_host_port host_port;
    unsigned number = (unsigned)getpid();
    if (rf_host_port_parse_bind(bind, RF_GOSSIP_PORT_DEFAULT, &host_port, NULL) == 0 &&
        host_port.port != 0) {
        number = host_port.port;
    }
    (void)snprintf(ret_id + used, RF_GOSSIP_OWN_NAME_SIZE_MAX + 1 - used, "-%u", number);
}

static int set_id(struct rf_registry_config *config, struct rf_error *err)
{
    if (values.id == NULL) {
        default_id(config->bind, config->id);
        return 0;
    }
    int code = rf_gossip_name_check(values.id, err);
    if (code < 0) {
        return rf_error_prefix(err, code, "option -id");
    }
    memcpy(config->id, values.id, strlen(values.id) + 1);
    return 0;
}

static int set_key(struct rf_registry_config *config, struct rf_error *err)
{
    if (values.encrypt == NULL) {
        return 0;
    }
    if (values.keyring_file != NULL) {
        return rf_error_set(err, -EINVAL,
                            "options -encrypt and -keyring-file: only one of them, the file has "
                            "all keys");
    }
    int size = rf_key_parse(values.encrypt, strlen(values.encrypt), config->key, err);
    if (size < 0) {
        return rf_error_prefix(err, size, "option -encrypt");
    }
    config->key_size = (size_t)size;
    return 0;
}

static int set_seeds(struct rf_registry_config *config, struct rf_error *err)
{
    if (values.registries == NULL) {
        return 0;
    }
    config->seeds_text = strdup(values.registries);
    if (config->seeds_text == NULL) {
        return rf_error_set(err, -ENOMEM, "option -registries: out of memory");
    }
    int count = rf_entries_split(config->seeds_text, RF_GOSSIP_SEEDS_MAX, config->seeds, err);
    if (count < 0) {
        return rf_error_prefix(err, count, "option -registries");
    }
    config->seeds_count = (size_t)count;
    return 0;
}

static void set_choices(struct rf_registry_config *config)
{
    int ret = rf_io_parse(values.io, &config->io, NULL);
    RF_ASSERT(ret == 0); /* the table has let it pass, so here and below */
    ret = rf_placement_parse(values.placement, &config->placement, NULL);
    RF_ASSERT(ret == 0);
    ret = rf_log_level_parse(values.log_level, &config->log_level, NULL);
    RF_ASSERT(ret == 0);
}

/* Which of gossip's settings were given, and whether they go together. */
static int set_gossip(struct rf_registry_config *config, uint64_t given, struct rf_error *err)
{
    int ret = rf_gossip_profile_parse(values.profile, &config->profile, NULL);
    RF_ASSERT(ret == 0);
    for (size_t i = 0; i < options.count; i++) {
        const uint64_t *number = table[i].number;
        if (number >= values.settings && number < values.settings + RF_GOSSIP_SETTINGS_COUNT &&
            (given >> i & 1) != 0) {
            rf_gossip_set(&config->settings, (enum rf_gossip_setting)(number - values.settings),
                          *number);
        }
    }
    return rf_gossip_settings_check(&config->settings, config->profile, err);
}

/* That it can be parsed with a default port the table has seen. */
static int set_addr(struct rf_registry_config *config, struct rf_error *err)
{
    struct rf_host_port host_port;
    config->addr = values.addr;
    if (rf_host_port_parse_bind(values.addr, 0, &host_port, NULL) == 0) {
        return 0;
    }
    if (asprintf(&config->addr_text, "%s:%d", values.addr, CLIENT_PORT) < 0) {
        config->addr_text = NULL;
        return rf_error_set(err, -ENOMEM, "option -addr: out of memory");
    }
    config->addr = config->addr_text;
    return 0;
}

/* Where the admin socket is unless it is said. */
static int set_admin(struct rf_registry_config *config, struct rf_error *err)
{
    config->admin = values.admin;
    if (values.admin != NULL || values.data_dir == NULL) {
        return 0;
    }
    if (asprintf(&config->admin_text, "%s/admin.sock", values.data_dir) < 0) {
        config->admin_text = NULL;
        return rf_error_set(err, -ENOMEM, "option -data-dir: out of memory");
    }
    config->admin = config->admin_text;
    return 0;
}

static int set_guard(struct rf_registry_config *config, struct rf_error *err)
{
    config->guard.flap_hold_ns = values.flap_hold_s * UINT64_C(1000000000);
    config->guard.protect_min = (uint32_t)values.protect_min;
    int ret = rf_guard_ratio_parse(values.protect, &config->guard.protect_ratio, err);
    return ret < 0 ? rf_error_prefix(err, ret, "option -protect") : 0;
}

static int set_limits(struct rf_registry_config *config, struct rf_error *err)
{
    config->workers = (unsigned)values.workers;
    config->connections_max = (uint32_t)values.connections;
    config->buffers_size_max = values.buffers_mib << 20;
    config->detect_timeout_ms = (uint32_t)values.first_bytes_timeout_ms;
    config->stall_timeout_ms = (uint32_t)values.stall_timeout_ms;
    config->idle_timeout_ms = (uint32_t)values.idle_timeout_ms;
    int ret = rf_busy_poll_parse(values.busy_poll, &config->busy_poll_us, err);
    return ret < 0 ? rf_error_prefix(err, ret, "option -busy-poll") : 0;
}

int rf_registry_config_init(struct rf_registry_config *config, int argc, char **argv,
                            struct rf_error *err)
{
    uint64_t given;
    memset(config, 0, sizeof(*config));
    memset(&values, 0, sizeof(values)); /* options without a default stay as they are */
    int ret = rf_options_parse(&options, argc, argv, &given, err);
    if (ret < 0) {
        return ret;
    }
    config->help = values.help;
    config->version = values.version;
    config->counters = values.counters;
    if (config->help || config->version || config->counters) {
        return 0;
    }
    if (ret > 0) {
        return rf_error_set(err, -EINVAL, "argument '%.64s': none is wanted, only options",
                            argv[0]);
    }
    config->bind = values.bind;
    config->bind_advertise = values.bind_advertise;
    config->advertise = values.advertise;
    config->keyring_file = values.keyring_file;
    config->label = values.label;
    config->insecure_gossip = values.insecure_gossip;
    config->data_dir = values.data_dir;
    set_choices(config);
    ret = set_addr(config, err);
    if (ret == 0) {
        ret = set_limits(config, err);
    }
    if (ret == 0) {
        ret = set_gossip(config, given, err);
    }
    if (ret == 0) {
        ret = set_admin(config, err);
    }
    if (ret == 0) {
        ret = set_guard(config, err);
    }
    if (ret == 0) {
        ret = set_id(config, err);
    }
    if (ret == 0) {
        ret = set_key(config, err);
    }
    if (ret == 0) {
        ret = set_seeds(config, err);
    }
    if (ret < 0) {
        rf_registry_config_fini(config);
    }
    return ret;
}

void rf_registry_config_fini(struct rf_registry_config *config)
{
    free(config->addr_text);
    config->addr_text = NULL;
    free(config->admin_text);
    config->admin_text = NULL;
    free(config->seeds_text);
    config->seeds_text = NULL;
    config->seeds_count = 0;
}

void rf_registry_config_print_help(FILE *stream)
{
    fputs(
        "usage: registry [OPTION]...\n\n"
        "Answers which instance of a service group a key belongs to. Services register by joining\n"
        "the gossip (Serf) with the tags group, addr and replicas.\n\n",
        stream);
    rf_options_print(&options, UINT32_MAX, stream);
    fputs(
        "\nSIGTERM or SIGINT: leave the cluster, answer what is in flight, exit 0. A second one:\n"
        "exit at once with 1. SIGHUP: read the keyring file anew. Exit codes: 1 it could not\n"
        "start, or another node has its name, 2 wrong usage.\n",
        stream);
}

int rf_registry_config_advertised(const struct rf_registry_config *config, uint16_t port,
                                  char ret_text[RF_REGISTRY_ADDRESS_SIZE], bool *ret_guessed,
                                  struct rf_error *err)
{
    struct rf_host_port host_port;
    const char *text = config->advertise != NULL ? config->advertise : config->addr;
    int ret = rf_host_port_parse_bind(text, port, &host_port, err);
    if (ret < 0) {
        return ret;
    }
    if (host_port.port == 0) {
        host_port.port = port;
    }
    *ret_guessed = rf_host_is_any(host_port.host);
    if (*ret_guessed) {
        struct rf_address address;
        rf_address_first_private(&address);
        address.port = host_port.port;
        char address_text[RF_ADDRESS_TEXT_SIZE];
        (void)snprintf(ret_text, RF_REGISTRY_ADDRESS_SIZE, "%s",
                       rf_address_format(&address, address_text));
        return 0;
    }
    bool is_ipv6 = strchr(host_port.host, ':') != NULL;
    if (strlen(host_port.host) > RF_NAME_SIZE_MAX - strlen("[]:65535")) {
        return rf_error_set(err, -EINVAL, "address to advertise: host of %zu bytes, allowed %zu",
                            strlen(host_port.host), RF_NAME_SIZE_MAX - strlen("[]:65535"));
    }
    (void)snprintf(ret_text, RF_REGISTRY_ADDRESS_SIZE, is_ipv6 ? "[%s]:%u" : "%s:%u",
                   host_port.host, host_port.port);
    return 0;
}
