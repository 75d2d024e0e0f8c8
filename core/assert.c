/* SPDX-License-Identifier: MIT */
#include "core/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void rf_assert_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}
