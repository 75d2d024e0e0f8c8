/* SPDX-License-Identifier: MIT
 *
 * complete.c - regctl complete: what may stand where the cursor is. The scripts of the shells
 * (completion/) ask this, so commands and options are said once, in commands.c.
 *
 * Prints a candidate a line, with a tab and a description behind it where there is one. A line that
 * is a tab and "files" stands for the names of files. Nothing that is wrong is said: the prompt is
 * no place for it.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/regctl/commands.h"

enum {
    ASK_TIMEOUT_MS = 300, /* somebody waits at a prompt */
    WORD_SIZE = 64,       /* of a word in a command's usage */
};

/* What the words before the cursor say. */
struct line {
    const struct regctl_command *command; /* NULL: none yet */
    const struct rf_option *open_option;  /* its value is next; NULL: none */
    const char *server;
    const char *group;   /* the first argument after the command */
    int arguments_count; /* after the command */
    bool has_command;    /* known or not */
    bool has_options_ended;
};

static bool is_prefix(const char *prefix, const char *text)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- reading ---- */

/* The option that `word` names up to its end or '=', or NULL. */
static const struct rf_option *find_option(const char *word)
{
    const char *name = word + (word[1] == '-' ? 2 : 1);
    size_t size = strcspn(name, "=");
    for (size_t i = 0; i < rf_regctl_option_table.count; i++) {
        const struct rf_option *option = &rf_regctl_option_table.table[i];
        if (strlen(option->name) == size && memcmp(option->name, name, size) == 0) {
            return option;
        }
    }
    return NULL;
}

static void read_value(struct line *line, const struct rf_option *option, const char *value)
{
    if (strcmp(option->name, "s") == 0) {
        line->server = value;
    }
}

static void read_word(struct line *line, const char *word)
{
    if (line->open_option != NULL) {
        read_value(line, line->open_option, word);
        line->open_option = NULL;
    } else if (!line->has_options_ended && strcmp(word, "--") == 0) {
        line->has_options_ended = true;
    } else if (!line->has_options_ended && word[0] == '-' && word[1] != '\0') {
        const struct rf_option *option = find_option(word);
        const char *value = strchr(word, '=');
        if (option != NULL && value != NULL) {
            read_value(line, option, value + 1);
        } else if (option != NULL && option->type != RF_OPTION_FLAG) {
            line->open_option = option;
        }
    } else if (!line->has_command) {
        line->has_command = true;
        line->command = rf_regctl_find_command(word);
    } else if (line->arguments_count++ == 0) {
        line->group = word;
    }
}

/* ---- candidates ---- */

/* The first sentence of a text tells enough. */
static void print_described(const char *dashes, const char *name, const char *help)
{
    const char *end = strpbrk(help, ".:;");
    printf("%s%s\t%.*s\n", dashes, name, (int)(end != NULL ? end - help : (long)strlen(help)),
           help); /* main looks at the stream's error flag */
}

static void print_commands(const char *prefix)
{
    for (size_t i = 0; i < rf_regctl_commands_count; i++) {
        if (is_prefix(prefix, rf_regctl_commands[i].name)) {
            print_described("", rf_regctl_commands[i].name, rf_regctl_commands[i].help);
        }
    }
}

/* With as many dashes as were typed, and two if it was none or both. */
static void print_options(const struct line *line, const char *word)
{
    const char *dashes = word[0] == '-' && word[1] != '\0' && word[1] != '-' ? "-" : "--";
    const char *prefix = word + strspn(word, "-");
    uint32_t scope = line->command != NULL ? line->command->scope : UINT32_MAX;
    for (size_t i = 0; i < rf_regctl_option_table.count; i++) {
        const struct rf_option *option = &rf_regctl_option_table.table[i];
        if ((option->scope == 0 || (option->scope & scope) != 0) &&
            is_prefix(prefix, option->name)) {
            print_described(dashes, option->name, option->help);
        }
    }
}

static struct regfast_client *open_client(const struct line *line)
{
    const struct regfast_options options = {
        .size = sizeof(options),
        .connect_timeout_ms = ASK_TIMEOUT_MS,
        .call_timeout_ms = ASK_TIMEOUT_MS,
        .in_order = 1,
    };
    struct regfast_client *client;
    return regfast_open(line->server, &options, &client, NULL, 0) == 0 ? client : NULL;
}

static void print_groups(const struct line *line, const char *head, const char *prefix)
{
    struct regfast_client *client = open_client(line);
    struct regfast_group_list *list;
    if (client != NULL && regfast_groups(client, &list, NULL, 0) == 0) {
        for (size_t i = 0; i < list->count; i++) {
            if (is_prefix(prefix, list->groups[i].name)) {
                printf("%s%s\n", head, list->groups[i].name);
            }
        }
        regfast_group_list_free(list);
    }
    regfast_close(client);
}

static void print_members(const struct line *line, const char *head, const char *prefix)
{
    struct regfast_client *client = line->group != NULL ? open_client(line) : NULL;
    struct regfast_member_list *list;
    if (client != NULL && regfast_members(client, line->group, &list, NULL, 0) == 0) {
        for (size_t i = 0; i < list->count; i++) {
            if (is_prefix(prefix, list->members[i].id)) {
                printf("%s%s\n", head, list->members[i].id);
            }
        }
        regfast_member_list_free(list);
    }
    regfast_close(client);
}

/* What a word of a usage, "GROUP" or "FILE", stands for; `head` is what stands before it. */
static void print_kind(const struct line *line, const char *kind, const char *head,
                       const char *prefix)
{
    if (is_prefix("GROUP", kind)) {
        print_groups(line, head, prefix);
    } else if (is_prefix("ID", kind) && line->command != NULL &&
               (line->command->scope & REGCTL_SCOPE_ASK) != 0) {
        print_members(line, head, prefix);
    } else if (strcmp(kind, "FILE") == 0 || strcmp(kind, "PATH") == 0) {
        printf("\tfiles\n");
    }
}

static void print_values(const struct line *line, const struct rf_option *option, const char *head,
                         const char *prefix)
{
    for (size_t i = 0; option->choices != NULL && option->choices[i] != NULL; i++) {
        if (is_prefix(prefix, option->choices[i])) {
            printf("%s%s\n", head, option->choices[i]);
        }
    }
    if (option->value_name != NULL) {
        print_kind(line, option->value_name, head, prefix);
    }
}

/* The first words of "list | install KEY | use KEY". */
static void print_alternatives(const char *usage, const char *prefix)
{
    while (usage != NULL) {
        int size = (int)strcspn(usage, " ");
        char word[WORD_SIZE];
        (void)snprintf(word, sizeof(word), "%.*s", size, usage); /* our own are short */
        if (is_prefix(prefix, word)) {
            printf("%s\n", word);
        }
        const char *bar = strstr(usage, " | ");
        usage = bar != NULL ? bar + 3 : NULL;
    }
}

/* Arguments are told by the command's usage: "GROUP KEY...". */
static void print_arguments(const struct line *line, const char *prefix)
{
    const char *usage = line->command->arguments;
    if (strstr(usage, " | ") != NULL) {
        if (line->arguments_count == 0) {
            print_alternatives(usage, prefix);
        }
        return;
    }
    for (int i = 0; i < line->arguments_count && *usage != '\0'; i++) {
        usage += strcspn(usage, " ");
        usage += strspn(usage, " ");
    }
    char word[WORD_SIZE];
    (void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(usage, " "), usage); /* as above */
    print_kind(line, word, "", prefix);
}

static void print_candidates(const struct line *line, const char *word)
{
    const char *equals = strchr(word, '=');
    if (line->open_option != NULL) {
        print_values(line, line->open_option, "", word);
    } else if (!line->has_options_ended && word[0] == '-' && equals != NULL) {
        const struct rf_option *option = find_option(word);
        char *head = strndup(word, (size_t)(equals + 1 - word));
        if (option != NULL && head != NULL) {
            print_values(line, option, head, equals + 1);
        }
        free(head);
    } else if (!line->has_options_ended && word[0] == '-') {
        print_options(line, word);
    } else if (!line->has_command) {
        print_commands(word);
    } else if (line->command != NULL) {
        print_arguments(line, word);
    }
}

int rf_regctl_complete(const struct regctl_options *options, struct regfast_client *client,
                       int arguments_count, char **arguments)
{
    (void)options;
    (void)client; /* is NULL: which registry to ask is among the words */
    struct line line = {.server = "127.0.0.1:9800"};
    for (int i = 0; i + 1 < arguments_count; i++) {
        read_word(&line, arguments[i]);
    }
    print_candidates(&line, arguments[arguments_count - 1]);
    return REGCTL_OK;
}
