/* SPDX-License-Identifier: MIT
 *
 * fuzz_address.c - what rf_host_port_parse takes, it takes again when written out, as the same;
 * what it refuses, it refuses with a text that is one clean line.
 *
 * Input: two bytes of default port, then the text.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/assert.h"
#include "core/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const uint16_t default_port = (uint16_t)(data[0] | data[1] << 8);
    char *text = malloc(size - 1); /* exactly as large as the text */
    RF_ASSERT(text != NULL);
    memcpy(text, data + 2, size - 2);
    text[size - 2] = '\0';
    struct rf_host_port host_port = {.port = 0};
    struct rf_error err = {0};
    if (rf_host_port_parse(text, default_port, &host_port, &err) != 0) {
        RF_ASSERT(err.code == -EINVAL && err.text[0] != '\0' && rf_text_is_clean(err.text));
    } else {
        char written[RF_HOST_SIZE_MAX + 16];
        const bool is_ipv6 = strchr(host_port.host, ':') != NULL;
        RF_ASSERT(host_port.port >= 1 && rf_text_is_clean(host_port.host));
        (void)snprintf(written, sizeof(written), "%s%s%s:%u", is_ipv6 ? "[" : "", host_port.host,
                       is_ipv6 ? "]" : "", host_port.port);
        struct rf_host_port again = {.port = 0};
        const int code = rf_host_port_parse(written, 0, &again, NULL);
        RF_ASSERT(code == 0 && again.port == host_port.port);
        RF_ASSERT(strcmp(again.host, host_port.host) == 0);
    }
    free(text);
    return 0;
}
