/* SPDX-License-Identifier: MIT */
#include "core/options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/address.h"
#include "core/assert.h"
#include "core/entries.h"
#include "core/text.h"

enum {
    PRINT_WIDTH = 80,
    PRINT_INDENT = 8,         /* of the help text, which begins on a line of its own */
    HOST_PORT_SIZE_MAX = 300, /* the longest host, brackets, colon, port and some zeros */
    DISPLAY_NAME_SIZE = 64,
};

int rf_options_parse_number(const char *name, const char *text, uint64_t min, uint64_t max,
                            uint64_t *ret_number, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    uint64_t number = 0;
    bool is_too_large = false;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0') {
        return rf_error_set(err, -EINVAL, "%s %s: not a number, allowed %" PRIu64 "..%" PRIu64,
                            name, rf_text_quote(text, quoted), min, max);
    }
    for (const char *at = text; *at != '\0'; at++) {
        unsigned digit = (unsigned)(*at - '0');
        is_too_large = is_too_large || number > (UINT64_MAX - digit) / 10;
        number = number * 10 + digit;
    }
    if (is_too_large || number < min || number > max) {
        return rf_error_set(err, -EINVAL, "%s %s: allowed %" PRIu64 "..%" PRIu64, name,
                            rf_text_quote(text, quoted), min, max);
    }
    *ret_number = number;
    return 0;
}

/* What stands where a port would: after the last colon, unless that is within brackets. */
static const char *port_of(const char *text)
{
    const char *bracket = strrchr(text, ']');
    const char *colon = strrchr(bracket != NULL ? bracket : text, ':');
    return colon != NULL ? colon + 1 : NULL;
}

/* `code` and `err` are what the parser said; a bad port is said with its range. */
static int refuse_address(const char *name, const char *text, uint16_t port_min, int code,
                          struct rf_error *err)
{
    const char *port = port_of(text);
    uint64_t number;
    if (port != NULL &&
        rf_options_parse_number(name, port, port_min, UINT16_MAX, &number, NULL) < 0) {
        char quoted[RF_QUOTE_SIZE];
        return rf_error_set(err, code, "port %s in %s: allowed %d..%d", rf_text_quote(port, quoted),
                            name, port_min, UINT16_MAX);
    }
    return rf_error_prefix(err, code, "%s", name);
}

int rf_options_check_host_port(const char *name, const char *text, uint16_t port_default,
                               struct rf_error *err)
{
    struct rf_host_port host_port;
    int code = rf_host_port_parse(text, port_default, &host_port, err);
    return code == 0 ? 0 : refuse_address(name, text, 1, code, err);
}

static int check_bind(const char *name, const char *text, uint16_t port_default,
                      struct rf_error *err)
{
    struct rf_host_port host_port;
    int code = rf_host_port_parse_bind(text, port_default, &host_port, err);
    return code == 0 ? 0 : refuse_address(name, text, 0, code, err);
}

static int check_host_ports(const char *name, const char *text, uint16_t port_default,
                            struct rf_error *err)
{
    struct rf_entries entries = rf_entries(text);
    const char *entry;
    size_t size;
    int code;
    while ((code = rf_entries_next(&entries, &entry, &size, err)) == 1) {
        char one[HOST_PORT_SIZE_MAX];
        if (size >= sizeof(one)) {
            return rf_error_set(err, -EINVAL, "%s: address of %zu bytes, allowed 1..%zu", name,
                                size, sizeof(one) - 1);
        }
        memcpy(one, entry, size);
        one[size] = '\0';
        code = rf_options_check_host_port(name, one, port_default, err);
        if (code < 0) {
            return code;
        }
    }
    return code < 0 ? rf_error_prefix(err, code, "%s", name) : 0;
}

static int set_flag(const struct rf_option *option, const char *value, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    if (value == NULL || strcmp(value, "true") == 0) {
        *option->flag = true;
    } else if (strcmp(value, "false") == 0) {
        *option->flag = false;
    } else {
        return rf_error_set(err, -EINVAL, "-%s=%s: allowed are true and false", option->name,
                            rf_text_quote(value, quoted));
    }
    return 0;
}

static int set_choice(const struct rf_option *option, const char *value, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    char allowed[RF_ERROR_TEXT_SIZE];
    size_t used = 0;
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], value) == 0) {
            *option->text = value;
            return 0;
        }
        used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s", i == 0 ? "" : ", ",
                                 option->choices[i]);
        RF_ASSERT(used < sizeof(allowed));
    }
    return rf_error_set(err, -EINVAL, "-%s %s: allowed are %s", option->name,
                        rf_text_quote(value, quoted), allowed);
}

static int check_text(const struct rf_option *option, const char *value, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    if (value[0] == '\0') {
        return rf_error_set(err, -EINVAL, "-%s '': empty, expected %s", option->name,
                            option->value_name);
    }
    if (!rf_text_is_clean(value)) {
        return rf_error_set(err, -EINVAL, "-%s %s: has control characters", option->name,
                            rf_text_quote(value, quoted));
    }
    return 0;
}

static int add_to_list(const struct rf_option *option, const char *value, struct rf_error *err)
{
    int code = check_text(option, value, err);
    if (code == 0 && option->list->count == RF_OPTION_LIST_MAX) {
        code = rf_error_set(err, -EINVAL, "option -%s is given more than %d times", option->name,
                            RF_OPTION_LIST_MAX);
    }
    if (code == 0) {
        option->list->texts[option->list->count++] = value;
    }
    return code;
}

/* `value` is NULL for a flag without one only. */
static int set(const struct rf_option *option, const char *value, struct rf_error *err)
{
    char name[DISPLAY_NAME_SIZE];
    int code = 0;
    (void)snprintf(name, sizeof(name), "-%s", option->name); /* our own names are short */
    switch (option->type) {
    case RF_OPTION_FLAG:
        return set_flag(option, value, err);
    case RF_OPTION_NUMBER:
        return rf_options_parse_number(name, value, option->min, option->max, option->number, err);
    case RF_OPTION_CHOICE:
        return set_choice(option, value, err);
    case RF_OPTION_TEXT_LIST:
        return add_to_list(option, value, err);
    case RF_OPTION_TEXT:
        code = check_text(option, value, err);
        break;
    case RF_OPTION_HOST_PORT:
        code = rf_options_check_host_port(name, value, option->port_default, err);
        break;
    case RF_OPTION_BIND:
        code = check_bind(name, value, option->port_default, err);
        break;
    case RF_OPTION_HOST_PORTS:
        code = check_host_ports(name, value, option->port_default, err);
        break;
    }
    if (code == 0) {
        *option->text = value;
    }
    return code;
}

/* The index of the option named by the first `size` bytes of `name`, or the table's count. */
static size_t find(const struct rf_options *options, const char *name, size_t size)
{
    size_t i = 0;
    while (i < options->count && (strlen(options->table[i].name) != size ||
                                  memcmp(options->table[i].name, name, size) != 0)) {
        i++;
    }
    return i;
}

static void set_defaults(const struct rf_options *options)
{
    RF_ASSERT(options->count <= RF_OPTIONS_MAX);
    for (size_t i = 0; i < options->count; i++) {
        const struct rf_option *option = &options->table[i];
        if (option->default_value != NULL) {
            int code = set(option, option->default_value, NULL);
            RF_ASSERT(code == 0);
        }
    }
}

int rf_options_parse(const struct rf_options *options, int argc, char **argv, uint64_t *ret_given,
                     struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    uint64_t given = 0;
    int kept = 0;
    bool has_ended = false;
    set_defaults(options);
    for (int i = 1; i < argc; i++) {
        if (has_ended || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[kept++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            has_ended = true;
            continue;
        }
        const char *argument = argv[i];
        const char *name = argument + (argument[1] == '-' ? 2 : 1);
        size_t name_size = strcspn(name, "=");
        size_t index = find(options, name, name_size);
        if (index == options->count) {
            return rf_error_set(err, -EINVAL, "unknown option %s", rf_text_quote(argument, quoted));
        }
        const struct rf_option *option = &options->table[index];
        const char *value = name[name_size] == '=' ? name + name_size + 1 : NULL;
        if (value == NULL && option->type != RF_OPTION_FLAG) {
            if (++i == argc) {
                return rf_error_set(err, -EINVAL, "option -%s needs a value: %s", option->name,
                                    option->value_name);
            }
            value = argv[i];
        }
        int code = set(option, value, err);
        if (code < 0) {
            return code;
        }
        given |= UINT64_C(1) << index;
    }
    *ret_given = given;
    return kept;
}

const struct rf_option *rf_options_out_of_scope(const struct rf_options *options, uint64_t given,
                                                uint32_t scope)
{
    for (size_t i = 0; i < options->count; i++) {
        const struct rf_option *option = &options->table[i];
        if ((given >> i & 1) != 0 && option->scope != 0 && (option->scope & scope) == 0) {
            return option;
        }
    }
    return NULL;
}

void rf_options_print_text(const char *text, int indent, FILE *stream)
{
    int column = 0;
    while (*text != '\0') {
        int size = (int)strcspn(text, " ");
        if (column != 0 && column + 1 + size > PRINT_WIDTH) {
            (void)fputc('\n', stream); /* the stream's error flag tells */
            column = 0;
        }
        if (column == 0) {
            column = fprintf(stream, "%*s%.*s", indent, "", size, text);
        } else {
            column += fprintf(stream, " %.*s", size, text);
        }
        text += size;
        text += strspn(text, " ");
    }
    (void)fputc('\n', stream);
}

static void print_option(const struct rf_option *option, FILE *stream)
{
    char text[1024];
    (void)fprintf(stream, "  -%s%s%s\n", option->name, option->value_name != NULL ? " " : "",
                  option->value_name != NULL ? option->value_name : "");
    if (option->default_value != NULL) {
        (void)snprintf(text, sizeof(text), "%s (default %s)", option->help, option->default_value);
    } else {
        (void)snprintf(text, sizeof(text), "%s", option->help);
    }
    rf_options_print_text(text, PRINT_INDENT, stream);
}

void rf_options_print(const struct rf_options *options, uint32_t scope, FILE *stream)
{
    for (size_t i = 0; i < options->count; i++) {
        const struct rf_option *option = &options->table[i];
        if (option->scope == 0 || (option->scope & scope) != 0) {
            print_option(option, stream);
        }
    }
}
