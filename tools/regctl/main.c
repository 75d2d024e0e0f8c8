/* SPDX-License-Identifier: MIT
 *
 * main.c - regctl: asks a registry, or stays in the foreground as a member of a group.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/options.h"
#include "core/text.h"
#include "tools/regctl/regctl.h"

/* Scopes of options. */
enum { SCOPE_ASK = 1, SCOPE_REGISTER = 2, SCOPE_ADMIN = 4, SCOPE_FORGET = 8, SCOPE_KEYS = 16 };

enum {
    ARGUMENTS_ANY = 1 << 20, /* more than a command line holds */
    ASK_TIMEOUT_MS = 3000,
    ADMIN_TIMEOUT_MS = 60000, /* other nodes are told or asked meanwhile */
};

struct command {
    const char *name;
    const char *arguments;
    const char *help;
    regctl_run *run;
    int arguments_min;
    int arguments_max;
    uint32_t scope;
};

static const struct command commands[] = {
    {"match", "GROUP KEY...",
     "Prints KEY, ID and ADDR of the instance that has each key, with tabs between. The KEY - "
     "stands for all lines of standard input.",
     rf_regctl_match, 2, ARGUMENTS_ANY, SCOPE_ASK},
    {"owners", "GROUP KEY N",
     "Prints ID and ADDR of the first N distinct instances for a key, its owner first.",
     rf_regctl_owners, 3, 3, SCOPE_ASK},
    {"members", "GROUP",
     "Prints ID, ADDR, REPLICAS and STATE (alive, leaving, left, failed, held, "
     "protected, draining) of each member.",
     rf_regctl_members, 1, 1, SCOPE_ASK},
    {"groups", "", "Prints NAME, MEMBERS, ALIVE, VERSION and DIGEST of each group.",
     rf_regctl_groups, 0, 0, SCOPE_ASK},
    {"info", "", "Prints what the registry says of itself, NAME and VALUE a line.", rf_regctl_info,
     0, 0, SCOPE_ASK},
    {"ping", "", "Prints which registry answers, and the time of a round trip.", rf_regctl_ping, 0,
     0, SCOPE_ASK},
    {"register", "-group GROUP -id ID -addr ADDR -registries HOST:PORT,...",
     "Joins the cluster as that member, prints one line when it has joined, and leaves on SIGTERM "
     "or SIGINT; a second signal ends it at once.",
     rf_regctl_register, 0, 0, SCOPE_REGISTER},
    {"forget", "NAME",
     "Declares that a failed member has left: nobody tries to reach it any more. A member that "
     "lives refutes. Prints NAME and STATE.",
     rf_regctl_forget, 1, 1, SCOPE_ADMIN | SCOPE_FORGET},
    {"rtt", "A [B]",
     "Prints the round-trip time between two members, or between one and the registry that is "
     "asked, as their network coordinates tell it: in microseconds.",
     rf_regctl_rtt, 1, 2, SCOPE_ADMIN},
    {"keys", "list | install KEY | use KEY | remove KEY",
     "Changes the keys that encrypt the cluster's gossip, on every node: install a new one, use "
     "it, remove the old one, each when the step before has succeeded. list prints KEY, NODES that "
     "have it and NODES that encrypt with it. Exits with 0 if every node has done it.",
     rf_regctl_keys, 1, 2, SCOPE_ADMIN | SCOPE_KEYS},
};

enum { COMMANDS_COUNT = sizeof(commands) / sizeof(commands[0]) };

static struct regctl_options values;
static bool wants_help;
static bool wants_version;

static const char *const profile_choices[] = {"lan", "wan", "local", NULL};

static const struct rf_option table[] = {
    {"s", "HOST:PORT,...", "Registries to ask, by their client addresses: the first that answers.",
     RF_OPTION_HOST_PORTS, .port_default = 9800, .scope = SCOPE_ASK,
     .default_value = "127.0.0.1:9800", .text = &values.server},
    {"timeout", "MS",
     "Time for an answer, in milliseconds. (default 3000; 60000 for what goes through -admin)",
     RF_OPTION_NUMBER, .min = 1, .max = 3600000, .scope = SCOPE_ASK | SCOPE_ADMIN,
     .number = &values.timeout_ms},
    {"admin", "PATH",
     "Admin socket of a registry, as it was started with. (default: REGFAST_ADMIN in the "
     "environment)",
     RF_OPTION_TEXT, .scope = SCOPE_ADMIN, .text = &values.admin},
    {"prune", NULL, "Forget the member at once, instead of in 24 hours.", RF_OPTION_FLAG,
     .scope = SCOPE_FORGET, .flag = &values.prune},
    {"group", "GROUP", "The group to join.", RF_OPTION_TEXT, .scope = SCOPE_REGISTER,
     .text = &values.group},
    {"id", "ID", "The member's name, unique in the cluster.", RF_OPTION_TEXT,
     .scope = SCOPE_REGISTER, .text = &values.id},
    {"addr", "HOST:PORT", "What clients are given.", RF_OPTION_HOST_PORT, .scope = SCOPE_REGISTER,
     .text = &values.addr},
    {"registries", "HOST:PORT,...",
     "Gossip addresses of members of the cluster to join, which are tried until one answers.",
     RF_OPTION_HOST_PORTS, .port_default = 7370, .scope = SCOPE_REGISTER,
     .text = &values.registries},
    {"bind", "HOST:PORT", "Own gossip address, UDP and TCP; port 0: any free one. (default :0)",
     RF_OPTION_BIND, .port_default = 7370, .scope = SCOPE_REGISTER, .text = &values.bind},
    {"bind-advertise", "HOST:PORT", "Gossip address that others are told. (default: as -bind)",
     RF_OPTION_HOST_PORT, .port_default = 7370, .scope = SCOPE_REGISTER,
     .text = &values.bind_advertise},
    {"encrypt", "KEY", "The cluster's key for gossip, base64 of 16, 24 or 32 bytes.",
     RF_OPTION_TEXT, .scope = SCOPE_REGISTER, .text = &values.encrypt},
    {"keyring-file", "FILE",
     "The cluster's keys for gossip, as serf writes them; mode 0600. Not together with -encrypt.",
     RF_OPTION_TEXT, .scope = SCOPE_REGISTER, .text = &values.keyring_file},
    {"label", "NAME", "The cluster's label.", RF_OPTION_TEXT, .scope = SCOPE_REGISTER,
     .text = &values.label},
    {"profile", "PROFILE", "Timing of the gossip, as of the registries: lan, wan or local.",
     RF_OPTION_CHOICE, .choices = profile_choices, .scope = SCOPE_REGISTER, .default_value = "lan",
     .text = &values.profile},
    {"relay", "N", "Other nodes that pass each answer on too, in case one is lost.",
     RF_OPTION_NUMBER, .max = 5, .scope = SCOPE_KEYS, .default_value = "0",
     .number = &values.relay},
    {"drain", "MS",
     "When a signal comes, take no new keys for so long before leaving: what is under way ends "
     "meanwhile. 0: leave at once.",
     RF_OPTION_NUMBER, .max = 24 * 3600 * 1000, .scope = SCOPE_REGISTER, .default_value = "0",
     .number = &values.drain_ms},
    {"replicas", "N", "Weight: points in the ring.", RF_OPTION_NUMBER, .min = 1, .max = 65535,
     .scope = SCOPE_REGISTER, .default_value = "1000", .number = &values.replicas},
    {"json", NULL, "Print JSON.", RF_OPTION_FLAG, .flag = &values.json},
    {"help", NULL, "Print this text, or that of a command.", RF_OPTION_FLAG, .flag = &wants_help},
    {"h", NULL, "As -help.", RF_OPTION_FLAG, .flag = &wants_help},
    {"version", NULL, "Print the program's version.", RF_OPTION_FLAG, .flag = &wants_version},
};

static const struct rf_options options = {table, sizeof(table) / sizeof(table[0])};

/* ---- what the commands share ---- */

int rf_regctl_fail(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fflush(stdout); /* what was printed before comes before */
    (void)fputs("regctl: ", stderr);
    (void)vfprintf(stderr, format, args); /* standard error is all there is to say it on */
    (void)fputc('\n', stderr);
    va_end(args);
    switch (code) {
    case REGFAST_ENOTFOUND:
        return REGCTL_NOT_FOUND;
    case REGFAST_EUNAVAILABLE:
    case -ETIMEDOUT:
        return REGCTL_UNAVAILABLE;
    default:
        return REGCTL_FAILED;
    }
}

json_t *rf_regctl_json_text(const void *text, size_t size)
{
    static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
    json_t *string = json_stringn(text, size);
    char *again = string == NULL ? malloc(3 * size + 1) : NULL;
    if (again == NULL) {
        return string;
    }
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = ((const unsigned char *)text)[i];
        if (byte < 0x80) {
            again[used++] = (char)byte;
        } else {
            memcpy(again + used, replacement, 3);
            used += 3;
        }
    }
    string = json_stringn(again, used);
    free(again);
    return string;
}

json_t *rf_regctl_json_digest(uint64_t digest)
{
    return json_sprintf("%016" PRIx64, digest);
}

int rf_regctl_print_json(json_t *document)
{
    if (document == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for the answer as JSON");
    }
    int code = json_dumpf(document, stdout, JSON_COMPACT);
    json_decref(document);
    if (code < 0) {
        return rf_regctl_fail(-EIO, "cannot print the answer as JSON");
    }
    (void)putchar('\n'); /* main looks at the stream's error flag */
    return REGCTL_OK;
}

/* ---- command line ---- */

static void print_help(const struct command *only)
{
    if (only != NULL) {
        printf("usage: regctl [OPTION]... %s%s%s\n\n", only->name,
               only->arguments[0] != '\0' ? " " : "", only->arguments);
        rf_options_print_text(only->help, 0, stdout);
        printf("\nOptions:\n");
        rf_options_print(&options, only->scope, stdout);
        return;
    }
    printf("usage: regctl [OPTION]... COMMAND [ARGUMENT]...\n\n"
           "Asks a service registry, or registers a service.\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        printf("  %s%s%s\n", commands[i].name, commands[i].arguments[0] != '\0' ? " " : "",
               commands[i].arguments);
    }
    printf("\nregctl COMMAND --help says more of each. Options may come before or after the "
           "command,\nwith one dash or two, the value after a space or '='; -- ends them.\n\n"
           "Options:\n");
    rf_options_print(&options, UINT32_MAX, stdout);
    printf("\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 no registry answers.\n");
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static int fail_usage(const char *format, ...) RF_PRINTF(1, 2);

static int fail_usage(const char *format, ...)
{
    char text[RF_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* a cut text is still a text */
    va_end(args);
    (void)rf_regctl_fail(-EINVAL, "%s", text);
    return REGCTL_USAGE;
}

/* Whether the command can be run with what was given. */
static int check_usage(const struct command *command, int arguments_count, uint64_t given)
{
    const struct rf_option *stray = rf_options_out_of_scope(&options, given, command->scope);
    if (stray != NULL) {
        return fail_usage("option -%s is not for '%s'; see regctl %s --help", stray->name,
                          command->name, command->name);
    }
    if (arguments_count < command->arguments_min || arguments_count > command->arguments_max) {
        return fail_usage("%s: %d argument%s, expected %s; see regctl %s --help", command->name,
                          arguments_count, arguments_count == 1 ? "" : "s",
                          command->arguments_max > 0 ? command->arguments : "none", command->name);
    }
    return REGCTL_OK;
}

static int run_command(const struct command *command, int arguments_count, char **arguments)
{
    struct regfast_client *client = NULL;
    if (values.admin == NULL) {
        values.admin = getenv("REGFAST_ADMIN");
    }
    if (values.timeout_ms == 0) {
        values.timeout_ms = (command->scope & SCOPE_ASK) != 0 ? ASK_TIMEOUT_MS : ADMIN_TIMEOUT_MS;
    }
    if ((command->scope & SCOPE_ASK) != 0) {
        char error[REGFAST_ERROR_SIZE];
        const struct regfast_options client_options = {
            .size = sizeof(client_options),
            .call_timeout_ms = (uint32_t)values.timeout_ms,
            .in_order = 1, /* who asks at a prompt wants to know whom */
        };
        int code = regfast_open(values.server, &client_options, &client, error, sizeof(error));
        if (code < 0) {
            return rf_regctl_fail(code, "%s", error);
        }
    }
    int status = command->run(&values, client, arguments_count, arguments);
    regfast_close(client);
    return status;
}

static int run(int argc, char **argv)
{
    char quoted[RF_QUOTE_SIZE];
    struct rf_error err = {0};
    uint64_t given;
    int count = rf_options_parse(&options, argc, argv, &given, &err);
    if (count < 0) {
        return fail_usage("%s", err.text);
    }
    if (wants_version) {
        printf("regctl %s\n", RF_VERSION);
        return REGCTL_OK;
    }
    const struct command *command = count > 0 ? find_command(argv[0]) : NULL;
    if (wants_help && (count == 0 || command != NULL)) {
        print_help(command);
        return REGCTL_OK;
    }
    if (count == 0) {
        return fail_usage("no command; see regctl --help");
    }
    if (command == NULL) {
        return fail_usage("unknown command %s; see regctl --help", rf_text_quote(argv[0], quoted));
    }
    int status = check_usage(command, count - 1, given);
    return status != REGCTL_OK ? status : run_command(command, count - 1, argv + 1);
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        int code = rf_regctl_fail(-EIO, "cannot write to standard output: %s", strerror(errno));
        return status == REGCTL_OK ? code : status;
    }
    return status;
}
