/* SPDX-License-Identifier: MIT */
#include "gossip/snapshot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "gossip/disk_thread.h"

#define FILE_NAME "members.snapshot"
#define TEMPORARY_NAME "members.snapshot.new"

enum { PAUSE_MIN_MS = 1000, PAUSE_MAX_MS = 30000 };

struct rf_snapshot_file {
    int dir_fd;               /* its own: see rf_snapshot_file_close */
    const struct rf_log *log; /* the owner's, as are the counters */
    struct rf_gossip_counters *counters;
    struct rf_disk_thread thread;
    struct rf_snapshot_batch *last; /* to be written at the end; before stop_wanted */
    /* between threads */
    sem_t wake;
    atomic_bool stop_wanted;
    atomic_bool wants_whole;
    _Atomic(struct rf_snapshot_batch *) slot;
    /* the writing thread's */
    int fd; /* -1: there is no file to append to */
    uint64_t size;
    uint64_t whole_size; /* when it was last written as a whole */
    bool is_failing;     /* nothing but a whole one is written */
    uint32_t pause_ms;   /* after the next failure */
    uint64_t retry_ms;   /* when a whole one is asked for */
};

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct rf_snapshot_batch *rf_snapshot_batch_new(uint8_t *bytes, size_t size, bool is_whole)
{
    struct rf_snapshot_batch *batch = bytes == NULL ? NULL : malloc(sizeof(*batch));
    if (batch == NULL) {
        free(bytes);
        return NULL;
    }
    *batch = (struct rf_snapshot_batch){.is_whole = is_whole, .size = size, .bytes = bytes};
    return batch;
}

void rf_snapshot_batch_free(struct rf_snapshot_batch *batch)
{
    if (batch != NULL) {
        free(batch->bytes);
        free(batch);
    }
}

/* ---- writing ---- */

static int write_all(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, bytes, size, (off_t)offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return written < 0 ? -errno : -EIO;
        }
        bytes += written;
        size -= (size_t)written;
        offset += (uint64_t)written;
    }
    return 0;
}

static int append(struct rf_snapshot_file *file, const struct rf_snapshot_batch *batch)
{
    int code = write_all(file->fd, batch->bytes, batch->size, file->size);
    if (code < 0) {
        int undone = ftruncate(file->fd, (off_t)file->size);
        (void)undone; /* a record that is cut is passed over by readers */
        return code;
    }
    file->size += batch->size;
    return 0;
}

static int write_temporary(const struct rf_snapshot_file *file, int fd,
                           const struct rf_snapshot_batch *batch)
{
    int code = write_all(fd, batch->bytes, batch->size, 0);
    if (code == 0 && fsync(fd) < 0) {
        code = -errno;
    }
    if (code == 0 && renameat(file->dir_fd, TEMPORARY_NAME, file->dir_fd, FILE_NAME) < 0) {
        code = -errno;
    }
    return code;
}

/* The old file is whole until the new one is, and then gone at once. */
static int replace(struct rf_snapshot_file *file, const struct rf_snapshot_batch *batch)
{
    int fd = openat(file->dir_fd, TEMPORARY_NAME,
                    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    int code = write_temporary(file, fd, batch);
    if (code < 0) {
        close(fd);
        (void)unlinkat(file->dir_fd, TEMPORARY_NAME, 0); /* else the next one truncates it */
        return code;
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
    file->fd = fd;
    file->size = batch->size;
    file->whole_size = batch->size;
    return fsync(file->dir_fd) < 0 ? -errno : 0;
}

static void failed(struct rf_snapshot_file *file, int code)
{
    rf_counter_add(&file->counters->snapshot_errors, 1);
    rf_log(file->log, file->is_failing ? RF_LOG_DEBUG : RF_LOG_WARN,
           "snapshot_failed file=%s error=\"%s\" next=\"a whole one, when there is room again\"",
           FILE_NAME, rf_strerror(code));
    file->is_failing = true;
    file->retry_ms = now_ms() + file->pause_ms;
    file->pause_ms = 2 * file->pause_ms < PAUSE_MAX_MS ? 2 * file->pause_ms : PAUSE_MAX_MS;
}

static void succeeded(struct rf_snapshot_file *file)
{
    if (file->is_failing) {
        rf_log(file->log, RF_LOG_INFO, "snapshot_resumed file=%s size=%llu", FILE_NAME,
               (unsigned long long)file->size);
    }
    file->is_failing = false;
    file->pause_ms = PAUSE_MIN_MS;
    rf_counter_set(&file->counters->snapshot_size, file->size);
    uint64_t limit = 2 * file->whole_size;
    if (file->size > (limit > RF_SNAPSHOT_COMPACT_SIZE ? limit : RF_SNAPSHOT_COMPACT_SIZE)) {
        atomic_store_explicit(&file->wants_whole, true, memory_order_relaxed);
    }
}

static void batch_write(struct rf_snapshot_file *file, const struct rf_snapshot_batch *batch)
{
    if (!batch->is_whole && (file->is_failing || file->fd < 0)) {
        return; /* the whole one that is asked for will have it */
    }
    int code = batch->is_whole ? replace(file, batch) : append(file, batch);
    if (!rf_disk_thread_lock_owner(&file->thread)) {
        return; /* nobody cares any more */
    }
    if (code < 0) {
        failed(file, code);
    } else {
        rf_counter_add(batch->is_whole ? &file->counters->snapshot_wholes
                                       : &file->counters->snapshot_writes,
                       1);
        succeeded(file);
    }
    rf_disk_thread_unlock_owner(&file->thread);
}

static void file_free(struct rf_snapshot_file *file)
{
    rf_snapshot_batch_free(atomic_load_explicit(&file->slot, memory_order_acquire));
    rf_snapshot_batch_free(file->last);
    if (file->fd >= 0) {
        close(file->fd);
    }
    close(file->dir_fd);
    sem_destroy(&file->wake);
    rf_disk_thread_fini(&file->thread);
    free(file);
}

/* Until something is given, or a whole one is to be asked for. */
static void wait_for_work(struct rf_snapshot_file *file)
{
    if (!file->is_failing || file->retry_ms == UINT64_MAX) {
        while (sem_wait(&file->wake) < 0 && errno == EINTR) {
        }
        return;
    }
    const struct timespec until = {.tv_sec = (time_t)(file->retry_ms / 1000),
                                   .tv_nsec = (long)(file->retry_ms % 1000) * 1000000};
    while (sem_clockwait(&file->wake, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR) {
    }
    if (now_ms() >= file->retry_ms) {
        file->retry_ms = UINT64_MAX; /* asked */
        atomic_store_explicit(&file->wants_whole, true, memory_order_relaxed);
    }
}

static void *run(void *context)
{
    struct rf_snapshot_file *file = context;
    for (;;) {
        bool is_last = atomic_load_explicit(&file->stop_wanted, memory_order_acquire);
        struct rf_snapshot_batch *batch =
            atomic_exchange_explicit(&file->slot, NULL, memory_order_acq_rel);
        if (batch == NULL && is_last) {
            batch = file->last;
            file->last = NULL;
        }
        if (batch != NULL) {
            batch_write(file, batch);
            rf_snapshot_batch_free(batch);
        }
        bool is_abandoned = !rf_disk_thread_lock_owner(&file->thread);
        if (!is_abandoned) {
            rf_disk_thread_unlock_owner(&file->thread);
        }
        if (is_abandoned || (batch == NULL && is_last)) {
            if (rf_disk_thread_was_abandoned_at_end(&file->thread)) {
                file_free(file);
            }
            return NULL;
        }
        if (batch == NULL) {
            wait_for_work(file);
        }
    }
}

/* ---- what the gossip thread does ---- */

bool rf_snapshot_file_has_room(const struct rf_snapshot_file *file)
{
    return atomic_load_explicit(&file->slot, memory_order_acquire) == NULL;
}

bool rf_snapshot_file_wants_whole(const struct rf_snapshot_file *file)
{
    return atomic_load_explicit(&file->wants_whole, memory_order_relaxed);
}

void rf_snapshot_file_give(struct rf_snapshot_file *file, struct rf_snapshot_batch *batch)
{
    if (batch->is_whole) { /* before it is seen: what is asked for from then on is another */
        atomic_store_explicit(&file->wants_whole, false, memory_order_relaxed);
    }
    struct rf_snapshot_batch *before =
        atomic_exchange_explicit(&file->slot, batch, memory_order_acq_rel);
    RF_ASSERT(before == NULL);
    sem_post(&file->wake);
}

/* ---- reading ---- */

/* Up to what a snapshot may have. Returns 0, or -errno with what was read before. */
static int read_all(int fd, uint8_t **ret_bytes, size_t *ret_size)
{
    struct stat status;
    *ret_bytes = NULL;
    *ret_size = 0;
    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    if (!S_ISREG(status.st_mode)) {
        return -EINVAL;
    }
    size_t wanted = status.st_size < RF_SNAPSHOT_SIZE_MAX ? (size_t)status.st_size
                                                          : (size_t)RF_SNAPSHOT_SIZE_MAX;
    *ret_bytes = malloc(wanted + 1);
    if (*ret_bytes == NULL) {
        return -ENOMEM;
    }
    while (*ret_size < wanted) {
        ssize_t size = pread(fd, *ret_bytes + *ret_size, wanted - *ret_size, (off_t)*ret_size);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return -errno;
        }
        if (size == 0) {
            break;
        }
        *ret_size += (size_t)size;
    }
    return 0;
}

static void tell_loaded(const struct rf_snapshot_file *file, const struct rf_snapshot *snapshot,
                        size_t size, int code)
{
    if (code < 0) {
        rf_log(file->log, RF_LOG_WARN, "snapshot_unreadable file=%s error=\"%s\"", FILE_NAME,
               rf_strerror(code));
    } else if (snapshot->skipped_size > 0) {
        rf_log(file->log, RF_LOG_WARN, "snapshot_damaged file=%s skipped_bytes=%zu", FILE_NAME,
               snapshot->skipped_size);
    }
    rf_log(file->log, RF_LOG_INFO,
           "snapshot_read file=%s size=%zu records=%zu members=%zu incarnation=%u time=%llu",
           FILE_NAME, size, snapshot->records_count, snapshot->contacts.count,
           snapshot->incarnation, (unsigned long long)snapshot->clocks.member_time);
}

/* What is damaged is passed over. What we had no memory or descriptor for is sound, and would be
 * written over. */
static int load(const struct rf_snapshot_file *file, struct rf_snapshot *snapshot,
                struct rf_error *err)
{
    int fd = openat(file->dir_fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        return 0;
    }
    uint8_t *bytes = NULL;
    size_t size = 0;
    int code = fd < 0 ? -errno : read_all(fd, &bytes, &size);
    if (bytes != NULL) {
        int ret = rf_snapshot_read(snapshot, rf_slice(bytes, size));
        code = ret < 0 ? ret : code;
    }
    free(bytes);
    if (fd >= 0) {
        close(fd);
    }
    if (code == -ENOMEM || code == -EMFILE || code == -ENFILE) {
        return rf_error_set(err, code, "snapshot %s: %s", FILE_NAME, rf_strerror(code));
    }
    tell_loaded(file, snapshot, size, code);
    return 0;
}

/* ---- life ---- */

int rf_snapshot_file_open(const struct rf_data_dir *dir, const struct rf_log *log,
                          struct rf_gossip_counters *counters, uint64_t seed,
                          struct rf_snapshot *ret_snapshot, struct rf_snapshot_file **ret_file,
                          struct rf_error *err)
{
    struct rf_snapshot_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return rf_error_set(err, -ENOMEM, "memory for the snapshot");
    }
    file->dir_fd = fcntl(dir->fd, F_DUPFD_CLOEXEC, 0);
    if (file->dir_fd < 0) {
        int code = -errno;
        free(file);
        return rf_error_set(err, code, "a descriptor for the snapshot: %s", rf_strerror(code));
    }
    file->log = log;
    file->counters = counters;
    file->fd = -1;
    file->pause_ms = PAUSE_MIN_MS;
    file->retry_ms = UINT64_MAX;
    atomic_init(&file->wants_whole, true); /* so that each start ends with a sound and small file */
    sem_init(&file->wake, 0, 0);
    rf_snapshot_init(ret_snapshot, seed);
    int code = load(file, ret_snapshot, err);
    if (code < 0) {
        goto fail;
    }
    code = rf_disk_thread_start(&file->thread, "rf-snapshot", run, file);
    if (code < 0) {
        (void)rf_error_set(err, code, "no thread for the snapshot: %s", rf_strerror(code));
        goto fail;
    }
    *ret_file = file;
    return 0;
fail:
    rf_snapshot_fini(ret_snapshot);
    close(file->dir_fd);
    sem_destroy(&file->wake);
    free(file);
    return code;
}

void rf_snapshot_file_close(struct rf_snapshot_file *file, struct rf_snapshot_batch *last)
{
    if (file == NULL) {
        rf_snapshot_batch_free(last);
        return;
    }
    file->last = last;
    atomic_store_explicit(&file->stop_wanted, true, memory_order_release);
    sem_post(&file->wake);
    const struct rf_log *log = file->log;
    if (rf_disk_thread_end(&file->thread)) {
        file_free(file);
    } else {
        rf_log(
            log, RF_LOG_WARN,
            "snapshot_abandoned file=%s error=\"the disk has not answered for %d s: what was not "
            "written is lost\"",
            FILE_NAME, RF_DISK_PATIENCE_MS / 1000);
    }
}
