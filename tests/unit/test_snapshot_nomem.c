/* SPDX-License-Identifier: MIT
 *
 * test_snapshot_nomem.c - the snapshot is not given up for want of memory.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gossip/snapshot_file.h"
#include "tests/support/failing_alloc.h"

static const struct rf_log no_log = {0};
static struct rf_data_dir dir;
static struct rf_gossip_counters counters;

/* A whole snapshot. */
static struct rf_snapshot_batch *one_member(void)
{
    const struct rf_address address = {.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 7946};
    uint8_t *bytes = malloc(RF_SNAPSHOT_RECORD_SIZE_MAX);
    size_t size = rf_snapshot_put_member(bytes, rf_slice_text("a"), &address, true);
    return rf_snapshot_batch_new(bytes, size, true);
}

static void what_there_is_no_memory_to_read_is_not_taken_for_nothing(void **state)
{
    (void)state;
    char path[] = "/tmp/rf-snapshot-XXXXXX";
    struct rf_snapshot loaded;
    struct rf_snapshot_file *file = NULL;
    assert_non_null(mkdtemp(path));
    assert_int_equal(rf_data_dir_open(path, &dir, NULL), 0);
    assert_int_equal(rf_snapshot_file_open(&dir, &no_log, &counters, 1, &loaded, &file, NULL), 0);
    rf_snapshot_file_close(file, one_member());
    rf_snapshot_fini(&loaded);
    bool has_failed = true;
    for (size_t number = 1; has_failed; number++) {
        failing_alloc_in = number;
        int code = rf_snapshot_file_open(&dir, &no_log, &counters, 1, &loaded, &file, NULL);
        has_failed = failing_alloc_in == 0;
        failing_alloc_in = 0;
        if (code == 0) {
            assert_int_equal(loaded.contacts.count, 1);
            rf_snapshot_file_close(file, NULL);
            rf_snapshot_fini(&loaded);
        } else {
            assert_int_equal(code, -ENOMEM);
        }
    }
    assert_int_equal(unlinkat(dir.fd, "members.snapshot", 0), 0);
    (void)unlinkat(dir.fd, "lock", 0);
    rf_data_dir_close(&dir);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_there_is_no_memory_to_read_is_not_taken_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
