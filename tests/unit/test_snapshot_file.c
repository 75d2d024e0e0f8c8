/* SPDX-License-Identifier: MIT
 *
 * test_snapshot_file.c - the folder, the file and its thread, on a real file system.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "gossip/snapshot_file.h"

static char path[64];
static struct rf_data_dir dir;
static struct rf_gossip_counters counters;
static const struct rf_log no_log = {0};
static struct rf_snapshot loaded;
static struct rf_snapshot_file *file;

static void open_file(void)
{
    memset(&counters, 0, sizeof(counters));
    assert_int_equal(rf_snapshot_file_open(&dir, &no_log, &counters, 1, &loaded, &file, NULL), 0);
}

static void close_file(struct rf_snapshot_batch *last)
{
    rf_snapshot_file_close(file, last);
    rf_snapshot_fini(&loaded);
    file = NULL;
}

static int setup(void **state)
{
    (void)state;
    strcpy(path, "/tmp/rf-snapshot-XXXXXX");
    if (mkdtemp(path) == NULL || rf_data_dir_open(path, &dir, NULL) < 0) {
        return -1;
    }
    open_file();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    const char *const names[] = {"lock", "members.snapshot", "members.snapshot.new"};
    if (file != NULL) {
        close_file(NULL);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)unlinkat(dir.fd, names[i], 0);
    }
    rf_data_dir_close(&dir);
    return rmdir(path);
}

/* A batch of `count` members, from "n<first>" on. */
static struct rf_snapshot_batch *members(unsigned first, unsigned count, bool is_whole)
{
    const struct rf_address address = {.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 7946};
    uint8_t *bytes = malloc((size_t)count * RF_SNAPSHOT_RECORD_SIZE_MAX + 1);
    size_t size = 0;
    for (unsigned i = first; i < first + count; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%u", i);
        size += rf_snapshot_put_member(bytes + size, rf_slice_text(name), &address, true);
    }
    return rf_snapshot_batch_new(bytes, size, is_whole);
}

/* Whether a counter reaches a value within ten seconds. */
static bool reaches(const struct rf_counter *counter, uint64_t value)
{
    const struct timespec step = {.tv_nsec = 1000000};
    for (int i = 0; i < 10000 && rf_counter_get(counter) < value; i++) {
        (void)nanosleep(&step, NULL);
    }
    return rf_counter_get(counter) >= value;
}

static void what_was_given_is_read_at_the_next_start(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(loaded.records_count, 0);
    assert_true(rf_snapshot_file_wants_whole(file)); /* first of all */
    rf_snapshot_file_give(file, members(0, 3, true));
    assert_false(rf_snapshot_file_wants_whole(file));
    assert_true(reaches(&counters.snapshot_wholes, 1));
    assert_true(rf_snapshot_file_has_room(file));
    rf_snapshot_file_give(file, members(3, 2, false));
    close_file(members(5, 1, false));
    assert_int_equal(fstatat(dir.fd, "members.snapshot", &status, 0), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(faccessat(dir.fd, "members.snapshot.new", F_OK, 0), -1);
    open_file();
    assert_int_equal(loaded.contacts.count, 6);
    assert_int_equal(loaded.skipped_size, 0);
}

static void a_file_that_has_doubled_is_written_anew(void **state)
{
    (void)state;
    uint64_t writes = 0;
    rf_snapshot_file_give(file, members(0, 10, true));
    assert_true(reaches(&counters.snapshot_wholes, 1));
    while (!rf_snapshot_file_wants_whole(file)) {
        rf_snapshot_file_give(file, members(0, 500, false));
        assert_true(reaches(&counters.snapshot_writes, ++writes));
        assert_true(writes < 100);
    }
    assert_in_range(rf_counter_get(&counters.snapshot_size), RF_SNAPSHOT_COMPACT_SIZE,
                    RF_SNAPSHOT_COMPACT_SIZE + RF_SNAPSHOT_BATCH_SIZE);
    rf_snapshot_file_give(file, members(0, 10, true));
    assert_true(reaches(&counters.snapshot_wholes, 2));
    close_file(NULL);
    open_file();
    assert_int_equal(loaded.contacts.count, 10);
    assert_int_equal(loaded.records_count, 10);
}

static void no_room_is_counted_and_a_whole_one_follows_when_there_is(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    rf_snapshot_file_give(file, members(0, 3, true));
    assert_true(reaches(&counters.snapshot_wholes, 1));
    const struct rlimit small = {.rlim_cur = 100, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    rf_snapshot_file_give(file, members(3, 3, false));
    bool has_failed = reaches(&counters.snapshot_errors, 1);
    bool wants_soon = rf_snapshot_file_wants_whole(file); /* after a pause, not at once */
    rf_snapshot_file_give(file, members(6, 1, false));    /* is passed over */
    const struct timespec step = {.tv_nsec = 10000000};
    for (int i = 0; i < 500 && !rf_snapshot_file_wants_whole(file); i++) {
        (void)nanosleep(&step, NULL);
    }
    rf_snapshot_file_give(file, members(0, 7, true));
    bool has_failed_again = reaches(&counters.snapshot_errors, 2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(has_failed && has_failed_again);
    assert_false(wants_soon);
    assert_int_equal(rf_counter_get(&counters.snapshot_writes), 0);
    assert_int_equal(faccessat(dir.fd, "members.snapshot.new", F_OK, 0), -1);
    close_file(members(7, 1, false)); /* at the end no more than before can be written */

    open_file();
    assert_int_equal(loaded.contacts.count, 3); /* the old file is whole */
    assert_int_equal(loaded.skipped_size, 0);
    rf_snapshot_file_give(file, members(0, 7, true));
    assert_true(reaches(&counters.snapshot_wholes, 1));
}

static void what_is_behind_the_largest_size_is_not_read(void **state)
{
    (void)state;
    rf_snapshot_file_give(file, members(0, 3, true));
    close_file(NULL);
    int fd = openat(dir.fd, "members.snapshot", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0); /* a hole takes no room */
    close(fd);
    open_file();
    assert_int_equal(loaded.contacts.count, 3);
    assert_in_range(loaded.skipped_size, 1, RF_SNAPSHOT_SIZE_MAX);
}

static void a_folder_is_of_one_holder_and_names_its_process(void **state)
{
    (void)state;
    struct rf_data_dir other;
    struct rf_error err = {0};
    char expected[128];
    (void)snprintf(expected, sizeof(expected),
                   "folder '%s' is in use by process %ld: give each its own", path, (long)getpid());
    assert_int_equal(rf_data_dir_open(path, &other, &err), -EBUSY);
    assert_string_equal(err.text, expected);
    assert_int_equal(rf_data_dir_open("/nowhere/at/all", &other, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
    assert_true(rf_data_dir_open("/dev/null", &other, &err) < 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_given_is_read_at_the_next_start),
        CASE(a_file_that_has_doubled_is_written_anew),
        CASE(no_room_is_counted_and_a_whole_one_follows_when_there_is),
        CASE(what_is_behind_the_largest_size_is_not_read),
        CASE(a_folder_is_of_one_holder_and_names_its_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
