/* SPDX-License-Identifier: MIT
 *
 * keys.c - regctl keys: the keys of an encrypted cluster, on all of its nodes.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tools/regctl/regctl.h"

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "?";
}

/* Each key on standard output; each node that has something to say on standard error. */
static void print(const json_t *result)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(result, "keys"), i, item)
    {
        printf("%s\t%" PRId64 "\t%" PRId64 "\n", text_of(item, "key"), number_of(item, "nodes"),
               number_of(item, "primary"));
    }
    json_array_foreach(json_object_get(result, "nodes"), i, item)
    {
        const char *state = text_of(item, "state");
        const char *message = text_of(item, "message");
        if (strcmp(state, "done") != 0 || message[0] != '\0') {
            (void)rf_regctl_fail(-EIO, "node '%s': %s%s%s", text_of(item, "name"), state,
                                 message[0] != '\0' ? ": " : "", message);
        }
    }
}

int rf_regctl_keys(const struct regctl_options *options, struct regfast_client *client,
                   int arguments_count, char **arguments)
{
    (void)client; /* is NULL */
    bool is_list = strcmp(arguments[0], "list") == 0;
    if ((arguments_count == 1) != is_list) {
        (void)rf_regctl_fail(-EINVAL, "keys: expected list, or install, use or remove and a KEY");
        return REGCTL_USAGE;
    }
    json_t *request = json_pack("{s:s, s:o, s:I}", "command", "keys", "operation",
                                rf_regctl_json_text(arguments[0], strlen(arguments[0])), "relay",
                                (json_int_t)options->relay);
    if (request != NULL && !is_list) {
        (void)json_object_set_new(request, "key",
                                  rf_regctl_json_text(arguments[1], strlen(arguments[1])));
    }
    json_t *result = NULL;
    int status = rf_regctl_admin_ask(options, request, &result);
    if (status != REGCTL_OK) {
        return status;
    }
    int64_t nodes = number_of(result, "nodes_count");
    int64_t answers = number_of(result, "answers_count");
    int64_t errors = number_of(result, "errors_count");
    if (!options->json) {
        print(result);
        json_decref(result);
    } else {
        status = rf_regctl_print_json(result);
    }
    if (errors > 0 || answers < nodes) {
        return rf_regctl_fail(-EIO,
                              "keys %s: of %" PRId64 " nodes %" PRId64 " have answered, %" PRId64
                              " of them that it failed",
                              arguments[0], nodes, answers, errors);
    }
    return status;
}
