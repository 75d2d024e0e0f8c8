/* SPDX-License-Identifier: MIT */
#include "gossip/keyring_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/base64.h"
#include "core/text.h"

enum {
    KEY_TEXT_SIZE = RF_BASE64_SIZE(RF_KEY_SIZE_MAX),
    STRING_SIZE_MAX = 2 * KEY_TEXT_SIZE, /* longer ones are no keys; cut ones are told by length */
    TEXT_SIZE_MAX = RF_KEYS_MAX * (KEY_TEXT_SIZE + 8) + 8, /* quotes, comma, indent, new line */
};

/* ---- reading ---- */

struct reader {
    const char *at;
    const char *end;
    unsigned line;
    unsigned entry; /* of the array, from 1 */
};

static int refuse(const struct reader *reader, struct rf_error *err, const char *what)
{
    if (reader->entry > 0) {
        return rf_error_set(err, -EINVAL, "line %u: entry %u: %s", reader->line, reader->entry,
                            what);
    }
    return rf_error_set(err, -EINVAL,
                        "line %u: %s, expected a JSON array of keys: [\"<base64>\", ...], the "
                        "primary one first",
                        reader->line, what);
}

/* Skips white space. Returns the character that is then next, or -1 at the end. */
static int peek(struct reader *reader)
{
    while (reader->at < reader->end && memchr(" \t\r\n", *reader->at, 4) != NULL) {
        reader->line += *reader->at == '\n';
        reader->at++;
    }
    return reader->at < reader->end ? (unsigned char)*reader->at : -1;
}

/* Base64 needs no escapes, but some programs write '/' as '\/', or '+' as '\u002b'. Returns the
 * character, or -1. */
static int unescape(struct reader *reader)
{
    char kind = reader->at < reader->end ? *reader->at++ : '\0';
    if (kind == '/') {
        return '/';
    }
    if (kind != 'u' || reader->end - reader->at < 4) {
        return -1;
    }
    int value = 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *digit = memchr(digits, *reader->at++, sizeof(digits) - 1);
        if (digit == NULL) {
            return -1;
        }
        int index = (int)(digit - digits);
        value = value * 16 + (index < 16 ? index : index - 6);
    }
    return value > 0 && value < 0x80 ? value : -1;
}

/* The string whose quote is next. Returns its length, which may be above STRING_SIZE_MAX: then it
 * is not all there. */
static int read_string(struct reader *reader, char string[STRING_SIZE_MAX], struct rf_error *err)
{
    size_t size = 0;
    reader->at++;
    for (;;) {
        int character = reader->at < reader->end ? (unsigned char)*reader->at++ : -1;
        if (character == '"') {
            return (int)size; /* a file is at most RF_KEYRING_FILE_SIZE_MAX bytes, or 2 GiB */
        }
        if (character == '\\') {
            character = unescape(reader);
        }
        if (character < 0x20) {
            return refuse(reader, err,
                          reader->at == reader->end ? "the file ends inside of it"
                                                    : "a string with what no key has");
        }
        if (size < STRING_SIZE_MAX) {
            string[size] = (char)character;
        }
        size += size < INT_MAX;
    }
}

static int read_key(struct reader *reader, struct rf_keyring *keyring, struct rf_error *err)
{
    char string[STRING_SIZE_MAX];
    uint8_t key[RF_KEY_SIZE_MAX];
    int size = read_string(reader, string, err);
    if (size < 0) {
        return size;
    }
    int code =
        rf_key_parse(string, size <= STRING_SIZE_MAX ? (size_t)size : STRING_SIZE_MAX, key, err);
    if (code >= 0) {
        code = rf_keyring_add(keyring, rf_slice(key, (size_t)code), err);
    }
    OPENSSL_cleanse(string, sizeof(string));
    OPENSSL_cleanse(key, sizeof(key));
    if (code < 0) {
        return rf_error_prefix(err, code, "line %u: entry %u", reader->line, reader->entry);
    }
    return 0;
}

/* Behind the array there is nothing: two writers, or half of an older file, would show here. */
static int read_end(struct reader *reader, const struct rf_keyring *keyring, struct rf_error *err)
{
    reader->at++;
    reader->entry = 0;
    if (peek(reader) >= 0) {
        return refuse(reader, err, "something behind the array");
    }
    if (rf_keyring_count(keyring) == 0) {
        return refuse(reader, err, "no key in it");
    }
    return 0;
}

int rf_keyring_file_parse(struct rf_slice text, struct rf_keyring *keyring, struct rf_error *err)
{
    RF_ASSERT(rf_keyring_count(keyring) == 0);
    struct reader reader = {.at = (const char *)text.data, .line = 1};
    if (text.size == 0) {
        return refuse(&reader, err, "it is empty");
    }
    reader.end = reader.at + text.size;
    if (peek(&reader) != '[') {
        return refuse(&reader, err, "no array");
    }
    reader.at++;
    int next = peek(&reader);
    if (next == ']') {
        return read_end(&reader, keyring, err);
    }
    for (;;) {
        reader.entry++;
        if (next < 0) {
            return refuse(&reader, err, "the file ends before it");
        }
        if (next != '"') {
            return refuse(&reader, err, "no string, expected a key in double quotes");
        }
        int code = read_key(&reader, keyring, err);
        if (code < 0) {
            return code;
        }
        next = peek(&reader);
        if (next == ']') {
            return read_end(&reader, keyring, err);
        }
        if (next != ',') {
            return refuse(&reader, err,
                          next < 0 ? "the file ends behind it" : "expected ',' or ']' behind it");
        }
        reader.at++;
        next = peek(&reader);
    }
}

/* Whose it is, who may read it, and how large it is. */
static int check_file(int fd, struct rf_error *err)
{
    struct stat stat;
    if (fstat(fd, &stat) < 0) {
        int code = -errno;
        return rf_error_set(err, code, "%s", rf_strerror(code));
    }
    if (!S_ISREG(stat.st_mode)) {
        return rf_error_set(err, -EINVAL, "not an ordinary file");
    }
    if ((stat.st_mode & 077) != 0) {
        return rf_error_set(err, -EACCES,
                            "mode %04o lets others at it, expected 0600: make it so with chmod 600",
                            (unsigned)stat.st_mode & 07777);
    }
    return 0;
}

/* Reads to the end, and one byte more than is allowed. Returns the number of bytes. */
static int read_all(int fd, uint8_t text[RF_KEYRING_FILE_SIZE_MAX + 1], struct rf_error *err)
{
    size_t size = 0;
    for (;;) {
        ssize_t got = read(fd, text + size, RF_KEYRING_FILE_SIZE_MAX + 1 - size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int code = -errno;
            return rf_error_set(err, code, "%s", rf_strerror(code));
        }
        size += (size_t)got;
        if (size > RF_KEYRING_FILE_SIZE_MAX) {
            return rf_error_set(err, RF_ELIMIT, "more than the allowed %d bytes",
                                RF_KEYRING_FILE_SIZE_MAX);
        }
        if (got == 0) {
            return (int)size;
        }
    }
}

static int load(int fd, struct rf_keyring *keyring, struct rf_error *err)
{
    uint8_t text[RF_KEYRING_FILE_SIZE_MAX + 1];
    int code = check_file(fd, err);
    if (code < 0) {
        return code;
    }
    int size = read_all(fd, text, err);
    code = size < 0 ? size : rf_keyring_file_parse(rf_slice(text, (size_t)size), keyring, err);
    OPENSSL_cleanse(text, sizeof(text));
    return code;
}

/* Puts "keyring file 'PATH'" before the text. */
static int name_file(const char *path, int code, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    return rf_error_prefix(err, code, "keyring file %s", rf_text_quote(path, quoted));
}

int rf_keyring_file_load(const char *path, struct rf_keyring **ret_keyring, struct rf_error *err)
{
    struct rf_keyring *keyring;
    /* Not blocking: opening a FIFO would wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        int code = -errno;
        (void)rf_error_set(err, code, "%s%s", rf_strerror(code),
                           code == -ENOENT ? ": create it, mode 0600, with [\"<base64 of a key>\"]"
                                           : "");
        return name_file(path, code, err);
    }
    int code = rf_keyring_new(&keyring, err);
    if (code == 0) {
        code = load(fd, keyring, err);
        if (code < 0) {
            rf_keyring_free(keyring);
        }
    }
    close(fd);
    if (code < 0) {
        return name_file(path, code, err);
    }
    *ret_keyring = keyring;
    return 0;
}

/* ---- writing ---- */

/* As serf writes it, but for a line break at the end. Returns the size. */
static size_t format(const struct rf_keyring *keyring, char text[TEXT_SIZE_MAX])
{
    size_t used = (size_t)sprintf(text, "[");
    for (size_t i = 0; i < rf_keyring_count(keyring); i++) {
        struct rf_slice key = rf_keyring_key(keyring, i);
        used += (size_t)sprintf(text + used, "%s\n  \"", i == 0 ? "" : ",");
        rf_base64_encode(key.data, key.size, text + used);
        used += RF_BASE64_SIZE(key.size);
        text[used++] = '"';
    }
    used += (size_t)sprintf(text + used, "\n]\n");
    RF_ASSERT(used < TEXT_SIZE_MAX);
    return used;
}

static int write_all(int fd, const char *text, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t wrote = write(fd, text + done, size - done);
        if (wrote < 0 && errno != EINTR) {
            return -errno;
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* A new file of mode 0600. What an end in the middle of it, before, left there is replaced. */
static int write_new(const char *path, const struct rf_keyring *keyring, bool may_replace)
{
    if (may_replace && unlink(path) < 0 && errno != ENOENT) {
        return -errno;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    char text[TEXT_SIZE_MAX];
    int code = write_all(fd, text, format(keyring, text));
    OPENSSL_cleanse(text, sizeof(text));
    if (close(fd) < 0 && code == 0) {
        code = -errno;
    }
    if (code < 0) {
        (void)unlink(path); /* nothing to be done if that fails too */
    }
    return code;
}

/* A rename, or a new file, is on the disk only when its folder is. */
static int sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (size >= sizeof(folder)) {
        return -ENAMETOOLONG;
    }
    memcpy(folder, path, size);
    folder[size] = '\0';
    int fd = open(size == 0 ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int code = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return code;
}

static int save(const char *path, const struct rf_keyring *keyring)
{
    char temporary[PATH_MAX + sizeof(".tmp")];
    if (strlen(path) >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    (void)snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    int code = write_new(temporary, keyring, true);
    if (code < 0) {
        return code;
    }
    if (rename(temporary, path) < 0) {
        code = -errno;
        (void)unlink(temporary); /* likewise */
        return code;
    }
    return sync_folder(path);
}

int rf_keyring_file_save(const char *path, const struct rf_keyring *keyring, struct rf_error *err)
{
    /* A rename replaces a link, not what it points to. */
    char *target = realpath(path, NULL);
    int code =
        target == NULL && errno != ENOENT ? -errno : save(target == NULL ? path : target, keyring);
    free(target);
    if (code < 0) {
        (void)rf_error_set(err, code, "not written: %s", rf_strerror(code));
        return name_file(path, code, err);
    }
    return 0;
}

int rf_keyring_file_create(const char *path, const struct rf_keyring *keyring, struct rf_error *err)
{
    int code = write_new(path, keyring, false);
    if (code == 0) {
        code = sync_folder(path);
    }
    if (code < 0) {
        (void)rf_error_set(err, code, "not created: %s", rf_strerror(code));
        return name_file(path, code, err);
    }
    return 0;
}
