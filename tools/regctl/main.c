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
#include "core/standard_fds.h"
#include "core/text.h"
#include "tools/regctl/commands.h"

enum {
    ASK_TIMEOUT_MS = 3000,
    TOP_TIMEOUT_MS = 1000,    /* keys wait meanwhile */
    ADMIN_TIMEOUT_MS = 60000, /* other nodes are told or asked meanwhile */
};

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
    case -EINVAL: /* what was given cannot be: the library says so of a name or a key */
        return REGCTL_USAGE;
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

static void print_help(const struct regctl_command *only)
{
    if (only != NULL) {
        printf("usage: regctl [OPTION]... %s%s%s\n\n", only->name,
               only->arguments[0] != '\0' ? " " : "", only->arguments);
        rf_options_print_text(only->help, 0, stdout);
        printf("\nOptions:\n");
        rf_options_print(&rf_regctl_option_table, only->scope, stdout);
        return;
    }
    printf("usage: regctl [OPTION]... COMMAND [ARGUMENT]...\n\n"
           "Asks a service registry, or registers a service.\n\nCommands:\n");
    for (size_t i = 0; i < rf_regctl_commands_count; i++) {
        printf("  %s%s%s\n", rf_regctl_commands[i].name,
               rf_regctl_commands[i].arguments[0] != '\0' ? " " : "",
               rf_regctl_commands[i].arguments);
    }
    printf("\nregctl COMMAND --help says more of each. Options may come before or after the "
           "command,\nwith one dash or two, the value after a space or '='; -- ends them.\n\n"
           "Options:\n");
    rf_options_print(&rf_regctl_option_table, UINT32_MAX, stdout);
    printf("\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 no registry answers.\n");
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
static int check_usage(const struct regctl_command *command, int arguments_count, uint64_t given)
{
    const struct rf_option *stray =
        rf_options_out_of_scope(&rf_regctl_option_table, given, command->scope);
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

static uint64_t default_timeout_ms(const struct regctl_command *command)
{
    if ((command->scope & REGCTL_SCOPE_TOP) != 0) {
        return TOP_TIMEOUT_MS;
    }
    return (command->scope & REGCTL_SCOPE_ASK) != 0 ? ASK_TIMEOUT_MS : ADMIN_TIMEOUT_MS;
}

static int run_command(const struct regctl_command *command, int arguments_count, char **arguments)
{
    struct regfast_client *client = NULL;
    if (rf_regctl_values.admin == NULL) {
        rf_regctl_values.admin = getenv("REGFAST_ADMIN");
    }
    if (rf_regctl_values.timeout_ms == 0) {
        rf_regctl_values.timeout_ms = default_timeout_ms(command);
    }
    if ((command->scope & REGCTL_SCOPE_ASK) != 0) {
        char error[REGFAST_ERROR_SIZE];
        const struct regfast_options client_options = {
            .size = sizeof(client_options),
            .call_timeout_ms = (uint32_t)rf_regctl_values.timeout_ms,
            .in_order = 1, /* who asks at a prompt wants to know whom */
        };
        int code =
            regfast_open(rf_regctl_values.server, &client_options, &client, error, sizeof(error));
        if (code < 0) {
            return rf_regctl_fail(code, "%s", error);
        }
    }
    int status = command->run(&rf_regctl_values, client, arguments_count, arguments);
    regfast_close(client);
    return status;
}

static int run(int argc, char **argv)
{
    char quoted[RF_QUOTE_SIZE];
    struct rf_error err = {0};
    uint64_t given;
    int count = rf_options_parse(&rf_regctl_option_table, argc, argv, &given, &err);
    if (count < 0) {
        return fail_usage("%s", err.text);
    }
    if (rf_regctl_values.version) {
        printf("regctl %s\n", RF_VERSION);
        return REGCTL_OK;
    }
    const struct regctl_command *command = count > 0 ? rf_regctl_find_command(argv[0]) : NULL;
    if (rf_regctl_values.help && (count == 0 || command != NULL)) {
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
    rf_standard_fds_hold();
    int status = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        int code = rf_regctl_fail(-EIO, "cannot write to standard output: %s", strerror(errno));
        return status == REGCTL_OK ? code : status;
    }
    return status;
}
