/* SPDX-License-Identifier: MIT
 *
 * forget.c - regctl forget: a member that failed counts as left, or is forgotten.
 */
#include <string.h>

#include "tools/regctl/regctl.h"

int rf_regctl_forget(const struct regctl_options *options, struct regfast_client *client,
                     int arguments_count, char **arguments)
{
    (void)client;          /* is NULL */
    (void)arguments_count; /* is 1 */
    json_t *result = NULL;
    json_t *request =
        json_pack("{s:s, s:o, s:b}", "command", "forget", "name",
                  rf_regctl_json_text(arguments[0], strlen(arguments[0])), "prune", options->prune);
    int status = rf_regctl_admin_ask(options, request, &result);
    if (status != REGCTL_OK) {
        return status;
    }
    if (options->json) {
        return rf_regctl_print_json(result);
    }
    const char *state = json_string_value(json_object_get(result, "state"));
    printf("%s\t%s\n", arguments[0], state != NULL ? state : "?");
    json_decref(result);
    return REGCTL_OK;
}
