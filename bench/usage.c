/* SPDX-License-Identifier: MIT */
#include "bench/usage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_SIZE = 16 * 1024, PATH_SIZE = 320 };

/* False: it is not there, or empty. */
static bool read_text(const char *path, char text[TEXT_SIZE])
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t size = fread(text, 1, TEXT_SIZE - 1, file);
    text[size] = '\0';
    (void)fclose(file); /* only read */
    return size > 0;
}

/* The number behind `name`, 0: there is none. */
static uint64_t number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

/* Adds what one thread has used. One that has just ended has used nothing more. */
static void add_thread(const char *directory, const char *thread, struct bench_usage *usage)
{
    char path[PATH_SIZE];
    char text[TEXT_SIZE];
    (void)snprintf(path, sizeof(path), "%s/%s/schedstat", directory, thread);
    if (!read_text(path, text)) {
        return;
    }
    uint64_t cpu_ns = strtoull(text, NULL, 10); /* the first of three numbers */
    usage->cpu_ns += cpu_ns;
    (void)snprintf(path, sizeof(path), "%s/%s/comm", directory, thread);
    if (read_text(path, text) && strcmp(text, "rf-publisher\n") == 0) {
        usage->publisher_ns += cpu_ns;
    }
    (void)snprintf(path, sizeof(path), "%s/%s/status", directory, thread);
    if (read_text(path, text)) {
        usage->switches_count += number_after(text, "\nvoluntary_ctxt_switches:");
    }
}

int rf_bench_usage_read(pid_t pid, struct bench_usage *ret_usage, struct rf_error *err)
{
    struct bench_usage usage = {0};
    char path[PATH_SIZE];
    char text[TEXT_SIZE];
    (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    if (!read_text(path, text)) {
        return rf_error_set(err, -errno, "%s: %s", path, rf_strerror(-errno));
    }
    usage.resident_size = number_after(text, "\nRss:") * 1024;
    if (read_text("/proc/net/sockstat", text)) {
        const char *tcp = strstr(text, "TCP:");
        uint64_t pages = tcp == NULL ? 0 : number_after(tcp, " mem ");
        usage.sockets_size = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    }
    if (read_text("/proc/meminfo", text)) {
        usage.objects_size = number_after(text, "\nSUnreclaim:") * 1024;
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    if (threads == NULL) {
        return rf_error_set(err, -errno, "%s: %s", path, rf_strerror(-errno));
    }
    for (const struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        if (entry->d_name[0] != '.') {
            add_thread(path, entry->d_name, &usage);
        }
    }
    (void)closedir(threads);
    *ret_usage = usage;
    return 0;
}

static uint64_t difference(uint64_t before, uint64_t after)
{
    return after > before ? after - before : 0;
}

struct bench_usage rf_bench_usage_since(const struct bench_usage *before,
                                        const struct bench_usage *after)
{
    struct bench_usage since = *after;
    since.cpu_ns = difference(before->cpu_ns, after->cpu_ns);
    since.publisher_ns = difference(before->publisher_ns, after->publisher_ns);
    since.switches_count = difference(before->switches_count, after->switches_count);
    since.changes_count = difference(before->changes_count, after->changes_count);
    since.pages_count = difference(before->pages_count, after->pages_count);
    since.pages_size = difference(before->pages_size, after->pages_size);
    return since;
}
