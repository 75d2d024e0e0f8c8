/* SPDX-License-Identifier: MIT
 *
 * match.c - regctl match: keys from the command line and from standard input, in batches, so that
 * any number of lines takes bounded memory (but with --json, whose document is printed whole).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/regctl/regctl.h"

enum { BATCH_MAX = 4096 }; /* keys: some requests' worth */

struct batch {
    const char *group;
    struct regfast_client *client;
    json_t *matches; /* NULL without --json */
    size_t count;
    struct regfast_key keys[BATCH_MAX]; /* data is owned */
    struct regfast_owner owners[BATCH_MAX];
};

static void print_match(struct batch *batch, size_t index)
{
    const struct regfast_key *key = &batch->keys[index];
    const struct regfast_owner *owner = &batch->owners[index];
    if (batch->matches == NULL) {
        (void)fwrite(key->data, 1, key->size, stdout); /* main looks at the stream's error flag */
        printf("\t%s\t%s\n", owner->id, owner->addr);
        return;
    }
    (void)json_array_append_new(batch->matches,
                                json_pack("{s:o, s:o, s:o, s:I}", "key",
                                          rf_regctl_json_text(key->data, key->size), "id",
                                          rf_regctl_json_text(owner->id, strlen(owner->id)), "addr",
                                          rf_regctl_json_text(owner->addr, strlen(owner->addr)),
                                          "version", (json_int_t)owner->version));
}

static void drop_keys(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        free((void *)batch->keys[i].data); /* a copy of add_key's, const for the library */
    }
    batch->count = 0;
}

/* Asks for the keys of the batch and prints the answers. */
static int flush(struct batch *batch)
{
    char error[REGFAST_ERROR_SIZE];
    int code = regfast_match_many(batch->client, batch->group, batch->keys, batch->count,
                                  batch->owners, error, sizeof(error));
    for (size_t i = 0; code == 0 && i < batch->count; i++) {
        print_match(batch, i);
    }
    drop_keys(batch);
    if (code == 0 && ferror(stdout) != 0) { /* standard input may have no end */
        return REGCTL_FAILED;               /* main says it */
    }
    return code < 0 ? rf_regctl_fail(code, "%s", error) : REGCTL_OK;
}

static int add_key(struct batch *batch, const char *key, size_t size)
{
    if (size > REGFAST_KEY_SIZE_MAX) {
        return rf_regctl_fail(-EINVAL, "key of %zu bytes: allowed 0..%d", size,
                              REGFAST_KEY_SIZE_MAX);
    }
    char *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for a key of %zu bytes", size);
    }
    memcpy(copy, key, size);
    batch->keys[batch->count++] = (struct regfast_key){copy, size};
    return batch->count == BATCH_MAX ? flush(batch) : REGCTL_OK;
}

/* Each line is a key, also an empty one. Of one that is too long for a key only the size is kept.
 */
static int add_lines(struct batch *batch)
{
    char *line = malloc(REGFAST_KEY_SIZE_MAX);
    if (line == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for a line of standard input");
    }
    size_t size = 0;
    int status = REGCTL_OK;
    int byte = 0;
    while (status == REGCTL_OK && (byte = getc_unlocked(stdin)) != EOF) {
        if (byte == '\n') {
            status = add_key(batch, line, size);
            size = 0;
        } else {
            if (size < REGFAST_KEY_SIZE_MAX) {
                line[size] = (char)byte;
            }
            size++;
        }
    }
    if (status == REGCTL_OK && ferror(stdin)) {
        status = rf_regctl_fail(-EIO, "cannot read standard input: %s", strerror(errno));
    } else if (status == REGCTL_OK && size > 0) {
        status = add_key(batch, line, size); /* the last line's end may be missing */
    }
    free(line);
    return status;
}

static int match_all(struct batch *batch, int keys_count, char **keys)
{
    int status = REGCTL_OK;
    for (int i = 0; status == REGCTL_OK && i < keys_count; i++) {
        status =
            strcmp(keys[i], "-") == 0 ? add_lines(batch) : add_key(batch, keys[i], strlen(keys[i]));
    }
    return status == REGCTL_OK ? flush(batch) : status;
}

int rf_regctl_match(const struct regctl_options *options, struct regfast_client *client,
                    int arguments_count, char **arguments)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for %d keys", BATCH_MAX);
    }
    batch->client = client;
    batch->group = arguments[0];
    batch->matches = options->json ? json_array() : NULL;
    int status = match_all(batch, arguments_count - 1, arguments + 1);
    if (status == REGCTL_OK && options->json) {
        status = rf_regctl_print_json(json_pack(
            "{s:o, s:O}", "group", rf_regctl_json_text(batch->group, strlen(batch->group)),
            "matches", batch->matches));
    }
    drop_keys(batch);
    json_decref(batch->matches);
    free(batch);
    return status;
}
