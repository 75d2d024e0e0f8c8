/* SPDX-License-Identifier: MIT
 *
 * own_names.c - functions of a user's program that happen to be called as some of the library do:
 * neither meets the other, with the shared library nor with the static one.
 */
#include <stdlib.h>

const char *rf_strerror(int code);
int rf_error_set_text(void);
int rf_host_port_parse(void);
int rf_link_call(void);

const char *rf_strerror(int code)
{
    (void)code;
    abort();
}

int rf_error_set_text(void)
{
    abort();
}

int rf_host_port_parse(void)
{
    abort();
}

int rf_link_call(void)
{
    abort();
}
