/* SPDX-License-Identifier: MIT
 *
 * rtt.c - regctl rtt: the round-trip time between two members, from their network coordinates.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/regctl/regctl.h"

int rf_regctl_rtt(const struct regctl_options *options, struct regfast_client *client,
                  int arguments_count, char **arguments)
{
    (void)client; /* is NULL */
    json_t *result = NULL;
    json_t *request = json_pack("{s:s, s:o}", "command", "rtt", "a",
                                rf_regctl_json_text(arguments[0], strlen(arguments[0])));
    if (request != NULL && arguments_count > 1) {
        (void)json_object_set_new(request, "b",
                                  rf_regctl_json_text(arguments[1], strlen(arguments[1])));
    }
    int status = rf_regctl_admin_ask(options, request, &result);
    if (status != REGCTL_OK) {
        return status;
    }
    if (options->json) {
        return rf_regctl_print_json(result);
    }
    int64_t rtt_ns = json_integer_value(json_object_get(result, "rtt_ns"));
    printf("%" PRId64 ".%03" PRId64 " us\n", rtt_ns / 1000, rtt_ns % 1000);
    json_decref(result);
    return REGCTL_OK;
}
