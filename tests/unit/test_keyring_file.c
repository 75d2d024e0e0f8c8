/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gossip/keyring_file.h"

#define KEY_16 "MDEyMzQ1Njc4OWFiY2RlZg==" /* 0123456789abcdef */
#define KEY_24 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
#define KEY_32 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

static char folder[] = "/tmp/regfast-keyring-XXXXXX";
static char path[64];
static char temporary[72];

static int setup(void **state)
{
    (void)state;
    strcpy(strrchr(folder, '-'), "-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/keys", folder);
    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(temporary);
    return rmdir(folder); /* fails if anything else was left there */
}

static void write_file(const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static struct rf_keyring *ring_of(const char *const *keys)
{
    struct rf_keyring *keyring;
    assert_int_equal(rf_keyring_new(&keyring, NULL), 0);
    for (; *keys != NULL; keys++) {
        assert_int_equal(rf_keyring_add(keyring, rf_slice_text(*keys), NULL), 0);
    }
    return keyring;
}

#define RING(...) ring_of((const char *const[]){__VA_ARGS__, NULL})

/* Parses, and returns the number of keys or the error. */
static int parse(const char *text, struct rf_keyring **ret_keyring, struct rf_error *err)
{
    assert_int_equal(rf_keyring_new(ret_keyring, NULL), 0);
    int code = rf_keyring_file_parse(rf_slice_text(text), *ret_keyring, err);
    return code < 0 ? code : (int)rf_keyring_count(*ret_keyring);
}

static void keys_of_every_size_are_read_in_order(void **state)
{
    (void)state;
    struct rf_keyring *keyring;
    assert_int_equal(
        parse("[\n  \"" KEY_32 "\",\n  \"" KEY_16 "\",\n  \"" KEY_24 "\"\n]", &keyring, NULL), 3);
    assert_int_equal(rf_keyring_key(keyring, 0).size, 32);
    assert_int_equal(rf_keyring_key(keyring, 1).size, 16);
    assert_int_equal(rf_keyring_key(keyring, 2).size, 24);
    assert_memory_equal(rf_keyring_key(keyring, 1).data, "0123456789abcdef", 16);
    rf_keyring_free(keyring);
}

static void a_key_that_is_there_twice_counts_once(void **state)
{
    (void)state;
    struct rf_keyring *keyring;
    assert_int_equal(parse("[\"" KEY_16 "\",\"" KEY_24 "\",\"" KEY_16 "\"]", &keyring, NULL), 2);
    rf_keyring_free(keyring);
}

static void escapes_that_some_writers_use_are_understood(void **state)
{
    (void)state;
    struct rf_keyring *keyring;
    /* 16 bytes of 0xff, whose base64 is full of slashes */
    assert_int_equal(parse("[\"\\/\\/\\u002f\\u002F/////////////////w=\\u003d\"]", &keyring, NULL),
                     1);
    assert_int_equal(rf_keyring_key(keyring, 0).data[15], 0xff);
    rf_keyring_free(keyring);
}

static void what_is_wrong_is_named_with_line_and_entry(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"", "line 1: it is empty, expected a JSON array of keys"},
        {" \n\n ", "line 3: no array, expected"},
        {"null", "no array"},
        {"{\"a\": 1}", "no array"},
        {"\"" KEY_16 "\"", "no array"},
        {"[]", "line 1: no key in it"},
        {"[\n]", "line 2: no key in it"},
        {"[", "line 1: entry 1: the file ends before it"},
        {"[\"" KEY_16, "entry 1: the file ends inside of it"},
        {"[\"" KEY_16 "\"", "entry 1: the file ends behind it"},
        {"[\"" KEY_16 "\",", "entry 2: the file ends before it"},
        {"[\"" KEY_16 "\",]", "entry 2: no string, expected a key in double quotes"},
        {"[\"" KEY_16 "\" \"" KEY_24 "\"]", "entry 1: expected ',' or ']' behind it"},
        {"[\"" KEY_16 "\"]]", "something behind the array"},
        {"[\"" KEY_16 "\"] []", "something behind the array"},
        {"[7]", "entry 1: no string"},
        {"[null]", "entry 1: no string"},
        {"[\"" KEY_16 "\",\n\"\"]",
         "line 2: entry 2: key of 0 characters, expected base64 of 16, 24 or 32 bytes"},
        {"[\"Zm9vYmFy\"]", "entry 1: key of 8 characters, expected base64 of 16, 24 or 32 bytes"},
        {"[\"not base64 at all\"]", "entry 1: key of 17 characters that is not base64"},
        {"[\"" KEY_32 KEY_32 KEY_32 "\"]", "entry 1: key of 88 characters"},
        {"[\"a\nb\"]", "entry 1: a string with what no key has"},
        {"[\"\\x\"]", "entry 1: a string with what no key has"},
        {"[\"\\u00\"]", "entry 1: "},
        {"[\"\\u0000\"]", "entry 1: a string with what no key has"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rf_error err = {0};
        struct rf_keyring *keyring;
        assert_int_equal(parse(cases[i].text, &keyring, &err), -EINVAL);
        if (strstr(err.text, cases[i].expected) == NULL) {
            fail_msg("case %zu: \"%s\", expected \"%s\"", i, err.text, cases[i].expected);
        }
        assert_null(strstr(err.text, "MDEy")); /* never a key */
        rf_keyring_free(keyring);
    }
}

static void more_keys_than_a_ring_has_are_refused(void **state)
{
    (void)state;
    char text[64 * (RF_KEYS_MAX + 1)] = "[";
    for (int i = 0; i <= RF_KEYS_MAX; i++) {
        char entry[64];
        snprintf(entry, sizeof(entry), "%s\"MDEyMzQ1Njc4OWFiY2Rl%c%c==\"", i == 0 ? "" : ",",
                 'A' + i, 'A');
        strcat(text, entry);
    }
    strcat(text, "]");
    struct rf_error err = {0};
    struct rf_keyring *keyring;
    assert_int_equal(parse(text, &keyring, &err), RF_ELIMIT);
    assert_non_null(strstr(err.text, "entry 17: key ring: 16 keys already"));
    rf_keyring_free(keyring);
}

static void what_is_saved_is_what_is_loaded_and_only_for_its_owner(void **state)
{
    (void)state;
    struct rf_keyring *keyring =
        RING("0123456789abcdef", "0123456789abcdef01234567", "0123456789abcdef0123456789abcdef");
    mode_t before = umask(0);
    assert_int_equal(rf_keyring_file_save(path, keyring, NULL), 0);
    umask(before);
    struct stat stat_of;
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 07777, 0600);
    struct rf_keyring *loaded;
    assert_int_equal(rf_keyring_file_load(path, &loaded, NULL), 0);
    assert_int_equal(rf_keyring_count(loaded), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(rf_slice_equal(rf_keyring_key(keyring, i), rf_keyring_key(loaded, i)));
    }
    rf_keyring_free(loaded);
    rf_keyring_free(keyring);
}

static void the_text_is_the_one_that_serf_writes(void **state)
{
    (void)state;
    struct rf_keyring *keyring = RING("0123456789abcdef", "0123456789abcdef01234567");
    assert_int_equal(rf_keyring_file_save(path, keyring, NULL), 0);
    char text[256] = "";
    int fd = open(path, O_RDONLY);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    assert_string_equal(text, "[\n  \"" KEY_16 "\",\n  \"" KEY_24 "\"\n]\n");
    rf_keyring_free(keyring);
}

/* Loads, which must fail so; the error names the file. */
static void assert_refused(int code, const char *expected)
{
    struct rf_error err = {0};
    struct rf_keyring *keyring;
    assert_int_equal(rf_keyring_file_load(path, &keyring, &err), code);
    if (strstr(err.text, expected) == NULL || strstr(err.text, path) == NULL) {
        fail_msg("\"%s\", expected \"%s\" and \"%s\"", err.text, expected, path);
    }
}

static void a_file_that_others_may_read_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0644, 0660, 0602, 0610, 0666};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        char expected[64];
        write_file("[\"" KEY_16 "\"]", modes[i]);
        snprintf(expected, sizeof(expected), "mode %04o lets others at it, expected 0600",
                 modes[i]);
        assert_refused(-EACCES, expected);
    }
    struct rf_keyring *keyring;
    write_file("[\"" KEY_16 "\"]", 0400);
    assert_int_equal(rf_keyring_file_load(path, &keyring, NULL), 0);
    rf_keyring_free(keyring);
}

static void what_is_no_file_of_keys_is_refused(void **state)
{
    (void)state;
    assert_refused(-ENOENT, "create it, mode 0600");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(-EINVAL, "not an ordinary file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* does not wait for a writer */
    assert_refused(-EINVAL, "not an ordinary file");
    assert_int_equal(unlink(path), 0);
    write_file("", 0600);
    assert_refused(-EINVAL, "line 1: it is empty");
    write_file("[\"" KEY_16 "\",\n\"MDEy", 0600);
    assert_refused(-EINVAL, "line 2: entry 2: the file ends inside of it");
    char *large = malloc(RF_KEYRING_FILE_SIZE_MAX + 2);
    memset(large, ' ', RF_KEYRING_FILE_SIZE_MAX + 1);
    large[RF_KEYRING_FILE_SIZE_MAX + 1] = '\0';
    write_file(large, 0600);
    free(large);
    assert_refused(RF_ELIMIT, "more than the allowed 16384 bytes");
}

/* A file system that is full says so in the middle of a write; so does this limit. */
static void a_disk_that_is_full_leaves_the_file_as_it_was(void **state)
{
    (void)state;
    write_file("[\"" KEY_16 "\"]", 0600);
    struct rf_keyring *keyring = RING("0123456789abcdef01234567");
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t limit = 0; limit < 38; limit++) {
        const struct rlimit small = {limit, before.rlim_max};
        struct rf_error err = {0};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        int code = rf_keyring_file_save(path, keyring, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(code, -EFBIG);
        assert_non_null(strstr(err.text, "keys': not written: "));
        assert_int_not_equal(access(temporary, F_OK), 0);
        struct rf_keyring *loaded;
        assert_int_equal(rf_keyring_file_load(path, &loaded, NULL), 0);
        assert_int_equal(rf_keyring_key(loaded, 0).size, 16);
        rf_keyring_free(loaded);
    }
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(rf_keyring_file_save(path, keyring, NULL), 0);
    rf_keyring_free(keyring);
}

static void a_folder_that_is_gone_is_an_error_that_names_the_file(void **state)
{
    (void)state;
    struct rf_error err = {0};
    struct rf_keyring *keyring = RING("0123456789abcdef01234567");
    assert_int_equal(rf_keyring_file_save("/nowhere/at/all/keys", keyring, &err), -ENOENT);
    assert_non_null(strstr(err.text, "keyring file '/nowhere/at/all/keys': not written: "));
    rf_keyring_free(keyring);
}

static void what_an_earlier_end_left_behind_is_in_nobodys_way(void **state)
{
    (void)state;
    struct rf_keyring *keyring = RING("0123456789abcdef01234567");
    int fd = open(temporary, O_WRONLY | O_CREAT, 0644);
    assert_int_equal(write(fd, "half of a", 9), 9);
    close(fd);
    assert_int_equal(rf_keyring_file_save(path, keyring, NULL), 0);
    struct rf_keyring *loaded;
    assert_int_equal(rf_keyring_file_load(path, &loaded, NULL), 0);
    rf_keyring_free(loaded);
    rf_keyring_free(keyring);
}

static void a_link_stays_one_and_its_file_is_replaced(void **state)
{
    (void)state;
    char target[80];
    struct stat stat_of;
    snprintf(target, sizeof(target), "%s/target", folder);
    struct rf_keyring *keyring = RING("0123456789abcdef01234567");
    assert_int_equal(rf_keyring_file_create(target, keyring, NULL), 0);
    assert_int_equal(symlink("target", path), 0);
    assert_int_equal(rf_keyring_use(keyring, rf_slice_text("0123456789abcdef01234567"), NULL), 0);
    assert_int_equal(rf_keyring_add(keyring, rf_slice_text("0123456789abcdef"), NULL), 0);
    assert_int_equal(rf_keyring_file_save(path, keyring, NULL), 0);
    assert_int_equal(lstat(path, &stat_of), 0);
    assert_true(S_ISLNK(stat_of.st_mode));
    struct rf_keyring *loaded;
    assert_int_equal(rf_keyring_file_load(target, &loaded, NULL), 0);
    assert_int_equal(rf_keyring_count(loaded), 2);
    rf_keyring_free(loaded);
    rf_keyring_free(keyring);
    unlink(target);
}

static void a_file_that_is_there_is_not_created_over(void **state)
{
    (void)state;
    struct rf_error err = {0};
    struct rf_keyring *keyring = RING("0123456789abcdef01234567");
    assert_int_equal(rf_keyring_file_create(path, keyring, NULL), 0);
    assert_int_equal(rf_keyring_file_create(path, keyring, &err), -EEXIST);
    assert_non_null(strstr(err.text, "not created: "));
    rf_keyring_free(keyring);
}

static void a_copy_changes_alone_until_it_is_swapped_in(void **state)
{
    (void)state;
    struct rf_keyring *keyring = RING("0123456789abcdef");
    struct rf_keyring *copy;
    rf_keyring_set_verify(keyring, false, true);
    assert_int_equal(rf_keyring_copy(keyring, &copy, NULL), 0);
    assert_false(rf_keyring_verifies_incoming(copy));
    assert_int_equal(rf_keyring_add(copy, rf_slice_text("0123456789abcdef01234567"), NULL), 0);
    assert_int_equal(rf_keyring_count(keyring), 1);
    rf_keyring_swap(keyring, copy);
    assert_int_equal(rf_keyring_count(keyring), 2);
    assert_int_equal(rf_keyring_count(copy), 1);
    rf_keyring_free(copy);
    rf_keyring_free(keyring);
}

#define file_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_every_size_are_read_in_order),
        cmocka_unit_test(a_key_that_is_there_twice_counts_once),
        cmocka_unit_test(escapes_that_some_writers_use_are_understood),
        cmocka_unit_test(what_is_wrong_is_named_with_line_and_entry),
        cmocka_unit_test(more_keys_than_a_ring_has_are_refused),
        file_test(what_is_saved_is_what_is_loaded_and_only_for_its_owner),
        file_test(the_text_is_the_one_that_serf_writes),
        file_test(a_file_that_others_may_read_is_refused),
        file_test(what_is_no_file_of_keys_is_refused),
        file_test(a_disk_that_is_full_leaves_the_file_as_it_was),
        cmocka_unit_test(a_folder_that_is_gone_is_an_error_that_names_the_file),
        file_test(what_an_earlier_end_left_behind_is_in_nobodys_way),
        file_test(a_link_stays_one_and_its_file_is_replaced),
        file_test(a_file_that_is_there_is_not_created_over),
        cmocka_unit_test(a_copy_changes_alone_until_it_is_swapped_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
