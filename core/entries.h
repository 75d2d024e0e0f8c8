/* SPDX-License-Identifier: MIT
 *
 * entries.h - the entries of "A,B,C", as options have them. Spaces around one are not of it.
 */
#ifndef RF_CORE_ENTRIES_H
#define RF_CORE_ENTRIES_H

#include <stddef.h>

#include "core/error.h"

struct rf_entries {
    const char *list; /* borrowed */
    const char *rest; /* NULL: none is left */
    size_t count;     /* that were taken */
};

/* Those of `list`, of which there is at least one, even if that is empty. */
struct rf_entries rf_entries(const char *list);

/*
 * Takes the next one: *ret_entry points into the list and has *ret_size bytes, without a NUL.
 * Returns 1, or 0: none is left.
 *
 * Errors: -EINVAL the entry is empty: "a,,b", or a comma too many at either end.
 */
RF_NODISCARD int rf_entries_next(struct rf_entries *entries, const char **ret_entry,
                                 size_t *ret_size, struct rf_error *err);

/*
 * Cuts `list` into its entries, at most `max`: ret_entries[0..] point into it.
 * Returns how many there are.
 *
 * Errors: as above; RF_ELIMIT there are more. The list is cut all the same.
 */
RF_NODISCARD int rf_entries_split(char *list, size_t max, const char **ret_entries,
                                  struct rf_error *err);

#endif
