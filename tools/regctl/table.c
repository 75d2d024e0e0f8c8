/* SPDX-License-Identifier: MIT */
#include "tools/regctl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

enum { COLUMNS_MAX = 32, CELLS_MIN = 64 };

static bool reserve(struct regctl_table *table)
{
    if (table->count < table->capacity) {
        return true;
    }
    size_t capacity = table->capacity == 0 ? (size_t)CELLS_MIN : 2 * table->capacity;
    char **cells = reallocarray(table->cells, capacity, sizeof(cells[0]));
    if (cells == NULL) {
        return false;
    }
    table->cells = cells;
    table->capacity = capacity;
    return true;
}

void rf_regctl_table_add(struct regctl_table *table, const char *format, ...)
{
    va_list args;
    char *cell;
    va_start(args, format);
    if (reserve(table) && vasprintf(&cell, format, args) >= 0) {
        table->cells[table->count++] = cell;
    } else {
        table->has_failed = true;
    }
    va_end(args);
}

/* Characters of UTF-8: bytes that continue none. Right but for wide and combining ones. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    }
    return width;
}

static void print_spaces(size_t count, FILE *stream)
{
    while (count-- > 0) {
        (void)fputc(' ', stream); /* the stream's error flag tells */
    }
}

static void print_row(const struct regctl_table *table, char *const *cells, const size_t *widths,
                      FILE *stream)
{
    size_t owed = 0; /* spaces before the next thing that is printed: no line ends with them */
    for (size_t i = 0; i < table->columns; i++) {
        size_t gap = widths[i] - width_of(cells[i]);
        bool is_right = (table->right >> i & 1) != 0;
        owed += is_right ? gap : 0;
        if (cells[i][0] != '\0') {
            print_spaces(owed, stream);
            (void)fputs(cells[i], stream);
            owed = 0;
        }
        owed += is_right ? 2 : gap + 2;
    }
    (void)fputc('\n', stream);
}

bool rf_regctl_table_print(struct regctl_table *table, FILE *stream)
{
    RF_ASSERT(table->columns >= 1 && table->columns <= COLUMNS_MAX);
    RF_ASSERT(table->has_failed || table->count % table->columns == 0);
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->count; i++) {
        size_t width = width_of(table->cells[i]);
        size_t *widest = &widths[i % table->columns];
        *widest = width > *widest ? width : *widest;
    }
    for (size_t i = 0; !table->has_failed && i < table->count; i += table->columns) {
        print_row(table, table->cells + i, widths, stream);
    }
    for (size_t i = 0; i < table->count; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
    bool is_printed = !table->has_failed;
    *table = (struct regctl_table){.columns = table->columns, .right = table->right};
    return is_printed;
}
