/* SPDX-License-Identifier: MIT */
#include "core/entries.h"

#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "core/text.h"

struct rf_entries rf_entries(const char *list)
{
    return (struct rf_entries){.list = list, .rest = list};
}

int rf_entries_next(struct rf_entries *entries, const char **ret_entry, size_t *ret_size,
                    struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    if (entries->rest == NULL) {
        return 0;
    }
    const char *entry = entries->rest + strspn(entries->rest, " ");
    size_t size = strcspn(entry, ",");
    entries->rest = entry[size] == ',' ? entry + size + 1 : NULL;
    entries->count++;
    while (size > 0 && entry[size - 1] == ' ') {
        size--;
    }
    if (size == 0) {
        return rf_error_set(err, -EINVAL, "entry %zu of %s is empty", entries->count,
                            rf_text_quote(entries->list, quoted));
    }
    *ret_entry = entry;
    *ret_size = size;
    return 1;
}

int rf_entries_split(char *list, size_t max, const char **ret_entries, struct rf_error *err)
{
    struct rf_entries entries = rf_entries(list);
    char *end = NULL; /* of the entry before, which ends there once the list has been read on */
    const char *entry;
    size_t size;
    int code;
    while ((code = rf_entries_next(&entries, &entry, &size, err)) == 1) {
        if (entries.count > max) {
            return rf_error_set(err, RF_ELIMIT, "more than %zu entries", max);
        }
        if (end != NULL) {
            *end = '\0';
        }
        end = list + (entry - list) + size;
        ret_entries[entries.count - 1] = entry;
    }
    if (code < 0) {
        return code;
    }
    RF_ASSERT(end != NULL); /* even an empty list has an entry, or has failed for it */
    *end = '\0';
    return (int)entries.count;
}
