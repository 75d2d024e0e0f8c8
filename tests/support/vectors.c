/* SPDX-License-Identifier: MIT */
#include "tests/support/vectors.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS_DIR RF_TESTS_DIR "/vectors/serf"
static const char label[] = "cluster-one";

static struct vector *vectors;
static size_t vectors_count;

static void require(bool condition, const char *what, const char *name)
{
    if (!condition) {
        fprintf(stderr, "vectors: %s: %s\n", name, what);
        exit(1);
    }
}

static char *read_text(const char *name, const char *suffix)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s%s", VECTORS_DIR, name, suffix);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return NULL;
    }
    char *text = NULL;
    size_t capacity = 0;
    if (getdelim(&text, &capacity, '\0', file) < 0) {
        text[0] = '\0'; /* an empty file */
    }
    fclose(file);
    return text;
}

static int digit(char character)
{
    return isdigit((unsigned char)character) ? character - '0' : character - 'a' + 10;
}

static void load(struct vector *vector, const char *file_name)
{
    *vector = (struct vector){0};
    snprintf(vector->name, sizeof(vector->name), "%.*s", (int)strlen(file_name) - 4, file_name);
    char *text = read_text(vector->name, ".hex");
    require(text != NULL, "cannot be read", vector->name);
    vector->data = malloc(strlen(text) / 2 + 1);
    require(vector->data != NULL, "no memory", vector->name);
    size_t digits_count = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (isspace((unsigned char)*at)) {
            continue;
        }
        require(isxdigit((unsigned char)*at) && !isupper((unsigned char)*at), "no hex", file_name);
        uint8_t *byte = &vector->data[digits_count / 2];
        *byte = (uint8_t)(digits_count % 2 == 0 ? digit(*at) << 4 : *byte | digit(*at));
        digits_count++;
    }
    require(digits_count % 2 == 0, "half a byte", file_name);
    vector->size = digits_count / 2;
    free(text);
    vector->dump = read_text(vector->name, ".dec");
}

static int is_hex_file(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 4 && strcmp(entry->d_name + size - 4, ".hex") == 0;
}

struct vector *vectors_all(size_t *ret_count)
{
    if (vectors == NULL) {
        struct dirent **entries;
        int count = scandir(VECTORS_DIR, &entries, is_hex_file, alphasort);
        require(count > 0, "no such folder, or no vectors", VECTORS_DIR);
        vectors = calloc((size_t)count, sizeof(vectors[0]));
        require(vectors != NULL, "no memory", VECTORS_DIR);
        vectors_count = (size_t)count;
        for (int i = 0; i < count; i++) {
            load(&vectors[i], entries[i]->d_name);
            free(entries[i]);
        }
        free(entries);
    }
    *ret_count = vectors_count;
    return vectors;
}

void vectors_free(void)
{
    for (size_t i = 0; i < vectors_count; i++) {
        free(vectors[i].data);
        free(vectors[i].dump);
    }
    free(vectors);
    vectors = NULL;
    vectors_count = 0;
}

struct vector *vectors_find(const char *name)
{
    size_t count;
    struct vector *all = vectors_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i].name, name) == 0) {
            return &all[i];
        }
    }
    require(false, "no such vector", name);
    return NULL;
}

struct vector *vectors_next(const char *prefix, struct vector *previous)
{
    size_t count;
    struct vector *all = vectors_all(&count);
    struct vector *at = previous == NULL ? all : previous + 1;
    for (; at < all + count; at++) {
        if (strncmp(at->name, prefix, strlen(prefix)) != 0) {
            continue;
        }
        at->is_used = true;
        if (!vector_has(at, ".plain")) {
            return at;
        }
    }
    return NULL;
}

bool vector_has(const struct vector *vector, const char *part)
{
    return strstr(vector->name, part) != NULL;
}

struct rf_slice vectors_key(const char *name)
{
    static const struct {
        const char *name;
        const char *key;
    } keys[] = {
        {"K16", "0123456789abcdef"},
        {"K24", "0123456789abcdefGHIJKLMN"},
        {"K32", "0123456789abcdef0123456789ABCDEF"},
        {"K16B", "fedcba9876543210"},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(keys[i].name, name) == 0) {
            return rf_slice_text(keys[i].key);
        }
    }
    require(false, "no such key", name);
    return rf_slice(NULL, 0);
}

/* Which key opens an encrypted vector; K32 unless listed. */
static const char *key_of(const struct vector *vector)
{
    static const struct {
        const char *name;
        const char *key;
    } exceptions[] = {
        {"packet-enc-v1-key24", "K24"},
        {"stream-ping-compressed-enc-v1", "K16"},
        {"stream-pushpull-enc-v0", "K16"},
        {"stream-pushpull-enc-v1", "K16"},
        {"live-enc-query-use-key-serf0102", "K16B"},
        {"live-enc-query-remove-key", "K16B"},
        {"live-enc-key-response-error", "K16B"},
        {"live-enc-ping-after-key-change", "K16B"},
        {"live-enc-v0-ping", "K16"},
        {"live-enc-v0-gossip", "K16"},
        {"live-enc-v0-dead-leave", "K16"},
        {"live-stream-enc-v0-join-request", "K16"},
        {"live-stream-enc-v0-join-reply", "K16"},
    };
    if (!vector_has(vector, "-enc-") && !vector_has(vector, "neg-stream-plain-to-enc") &&
        !vector_has(vector, "neg-stream-wrong-key")) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
        if (strcmp(exceptions[i].name, vector->name) == 0) {
            return exceptions[i].key;
        }
    }
    return vector_has(vector, "key16") ? "K16" : "K32";
}

void cluster_init(struct cluster *cluster, const char *key, bool has_label)
{
    *cluster = (struct cluster){0};
    if (key != NULL) {
        int rc = rf_keyring_new(&cluster->envelope.keyring, NULL);
        require(rc == 0, "no key ring", key);
        rc = rf_keyring_add(cluster->envelope.keyring, vectors_key(key), NULL);
        require(rc == 0, "key refused", key);
    }
    if (has_label) {
        cluster->envelope.label = rf_slice_text(label);
    }
}

void cluster_init_for(struct cluster *cluster, const struct vector *vector)
{
    /* Negative ones are sent to a node without a label. */
    bool has_label = vector_has(vector, "-label") && strncmp(vector->name, "neg-", 4) != 0;
    cluster_init(cluster, key_of(vector), has_label);
}

void cluster_fini(struct cluster *cluster)
{
    rf_keyring_free(cluster->envelope.keyring);
}

enum rf_stream_role vector_role(const struct vector *vector)
{
    if (vector_has(vector, "stream-ack") || vector_has(vector, "ping-ack")) {
        return RF_STREAM_REPLY_PING;
    }
    return vector_has(vector, "reply") || vector_has(vector, "stream-err")
               ? RF_STREAM_REPLY_PUSH_PULL
               : RF_STREAM_REQUEST;
}
