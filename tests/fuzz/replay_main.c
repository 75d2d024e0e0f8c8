/* SPDX-License-Identifier: MIT
 *
 * replay_main.c - runs a fuzz target over files, as an ordinary test of every build.
 *
 * replay_<thing> [--write DIR] PATH...   each PATH a file or a folder, whose files are taken in the
 * order of their names. A file called NAME.hex holds hexadecimal text: its bytes are what counts.
 * With --write, the inputs are also written to DIR as they are, for libFuzzer to start from.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *write_dir;
static size_t replayed_count;

static void fail(const char *what, const char *path)
{
    perror(path);
    fprintf(stderr, "replay: %s '%s'\n", what, path);
    exit(1);
}

static int hex_digit(int character)
{
    return isdigit(character) ? character - '0' : tolower(character) - 'a' + 10;
}

/* In place. White space has no meaning. */
static size_t unhex(uint8_t *data, size_t size, const char *path)
{
    size_t digits_count = 0;
    for (size_t i = 0; i < size; i++) {
        if (isspace(data[i])) {
            continue;
        }
        if (!isxdigit(data[i])) {
            fail("no hexadecimal text:", path);
        }
        int digit = hex_digit(data[i]);
        uint8_t *byte = &data[digits_count / 2];
        *byte = (uint8_t)(digits_count % 2 == 0 ? digit << 4 : *byte | digit);
        digits_count++;
    }
    if (digits_count % 2 != 0) {
        fail("an odd number of digits in", path);
    }
    return digits_count / 2;
}

static void write_input(const char *name, const uint8_t *data, size_t size)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", write_dir, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        fail("cannot write", path);
    }
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        fail("cannot open", path);
    }
    size_t size = (size_t)status.st_size;
    /* Exactly as large as the input, so that the address sanitizer sees a read past its end. */
    uint8_t *text = malloc(size > 0 ? size : 1);
    if (text == NULL || fread(text, 1, size, file) != size) {
        fail("cannot read", path);
    }
    fclose(file);
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(name, '.');
    if (dot != NULL && strcmp(dot, ".hex") == 0) {
        size = unhex(text, size, path);
    }
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL) {
        fail("no memory for", path);
    }
    memcpy(data, text, size);
    free(text);
    if (write_dir != NULL) {
        write_input(name, data, size);
    }
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed_count++;
}

static int is_candidate(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    /* Notes and dumps beside the inputs. */
    return entry->d_name[0] != '.' &&
           (dot == NULL || (strcmp(dot, ".dec") != 0 && strcmp(dot, ".md") != 0));
}

static void replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        fail("cannot find", path);
    }
    if (!S_ISDIR(status.st_mode)) {
        replay_file(path);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, is_candidate, alphasort);
    if (count < 0) {
        fail("cannot list", path);
    }
    for (int i = 0; i < count; i++) {
        char child[4096];
        snprintf(child, sizeof(child), "%s/%s", path, entries[i]->d_name);
        replay(child);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--write") == 0) {
        write_dir = argv[2];
        first = 3;
    }
    for (int i = first; i < argc; i++) {
        replay(argv[i]);
    }
    printf("replayed %zu inputs\n", replayed_count);
    /* Without inputs the test would pass whatever the code does. */
    return replayed_count > 0 ? 0 : 1;
}
