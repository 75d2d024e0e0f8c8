/* SPDX-License-Identifier: MIT
 *
 * table.h - columns for people: each as wide as its widest cell.
 */
#ifndef RF_TOOLS_REGCTL_TABLE_H
#define RF_TOOLS_REGCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

/* An all-zero one with `columns` set is an empty table. */
struct regctl_table {
    size_t columns;  /* at most 32 */
    uint32_t right;  /* bit i: column i is flush right, as numbers are */
    char **cells;    /* private: row by row */
    size_t count;    /* of cells; read only */
    size_t capacity; /* private */
    bool has_failed; /* private: there was no memory for a cell */
};

/* Adds the next cell: those of the first row, then those of the second. Columns are told apart by
 * two spaces; a cell may be empty. */
void rf_regctl_table_add(struct regctl_table *table, const char *format, ...) RF_PRINTF(2, 3);

/* Prints whole rows, and empties the table. False: there was no memory, and nothing is printed. */
RF_NODISCARD bool rf_regctl_table_print(struct regctl_table *table, FILE *stream);

#endif
