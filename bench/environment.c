/* SPDX-License-Identifier: MIT */
#include "bench/environment.h"

#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
    /* The first CPU's entry of cpuinfo, whose flags take 1.5 KiB; nothing else read is longer. */
    FILE_TEXT_SIZE = 8192,
    FILE_PATH_SIZE = 512, /* a cgroup's name may be 255 bytes, and paths are rarely deep */
};

/* What shows in figures: a tenth of a CPU is 5 % of a machine of two, half a percent of stolen time
 * is what the 99th percentile begins to see. */
static const double busy_worth_telling = 0.1;
static const double steal_worth_telling = 0.005;

const char *rf_bench_plain_text(const char *text, char *ret_text, size_t size)
{
    size_t length = 0;
    for (; text[length] != '\0' && length + 1 < size; length++) {
        const char c = text[length];
        ret_text[length] = (char)(c >= ' ' && c <= '~' ? c : '?');
    }
    ret_text[length] = '\0';
    return ret_text;
}

/* ---- reading ---- */

/* The start of a file; false if it cannot be read, or is empty. */
static bool read_text(const char *root, const char *path, char ret_text[FILE_TEXT_SIZE])
{
    char full[FILE_PATH_SIZE];
    const int length = snprintf(full, sizeof(full), "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof(full)) {
        return false;
    }
    FILE *file = fopen(full, "re");
    if (file == NULL) {
        return false;
    }
    const size_t size = fread(ret_text, 1, FILE_TEXT_SIZE - 1, file);
    ret_text[size] = '\0';
    (void)fclose(file); /* only read */
    return size > 0;
}

/* The value of the line `name : value`, its end replaced by NUL; NULL if there is none. */
static char *find_value(char *text, const char *name)
{
    const size_t length = strlen(name);
    for (char *line = text; line != NULL;) {
        char *end = strchr(line, '\n');
        char *colon = strchr(line, ':');
        if (strncmp(line, name, length) == 0 && colon != NULL && (end == NULL || colon < end) &&
            line + length + strspn(line + length, " \t") == colon) {
            if (end != NULL) {
                *end = '\0';
            }
            return colon + 1 + strspn(colon + 1, " \t");
        }
        line = end == NULL ? NULL : end + 1;
    }
    return NULL;
}

static bool has_word(const char *text, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += length) {
        const bool is_start = at == text || at[-1] == ' ';
        if (is_start && (at[length] == ' ' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

static void read_cpu(struct rf_bench_environment *env, const char *root)
{
    char text[FILE_TEXT_SIZE];
    struct utsname names;
    const bool has_names = uname(&names) == 0;
    (void)snprintf(env->kernel, sizeof(env->kernel), "unknown kernel");
    (void)snprintf(env->cpu, sizeof(env->cpu), "unknown CPU");
    if (has_names) {
        (void)snprintf(env->kernel, sizeof(env->kernel), "%.32s %.80s", names.sysname,
                       names.release);
        (void)snprintf(env->cpu, sizeof(env->cpu), "%.32s CPU", names.machine);
    }
    env->is_virtual = read_text(root, "/sys/hypervisor/type", text);
    if (!read_text(root, "/proc/cpuinfo", text)) {
        return;
    }
    /* The flags come after the model, and finding a value cuts the text behind it. */
    const char *flags = find_value(text, "flags");
    env->is_virtual = env->is_virtual || (flags != NULL && has_word(flags, "hypervisor"));
    const char *model = find_value(text, "model name"); /* not on every architecture */
    if (model != NULL) {
        (void)rf_bench_plain_text(model, env->cpu, sizeof(env->cpu));
    }
}

/* The CPU that stands for the core that `cpu` is a thread of: the first of them. */
static unsigned core_of(const char *root, unsigned cpu)
{
    char path[96];
    char text[FILE_TEXT_SIZE];
    (void)snprintf(path, sizeof(path),
                   "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
    if (!read_text(root, path, text)) {
        return cpu;
    }
    char *end = NULL;
    const unsigned long first = strtoul(text, &end, 10);
    return end == text || first >= CPU_SETSIZE ? cpu : (unsigned)first;
}

static void count_cpus(struct rf_bench_environment *env, const char *root)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    env->cpus_online = online < 1 ? 1 : (unsigned)online;
    cpu_set_t usable, cores;
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof(usable), &usable) < 0) { /* more CPUs than the set holds */
        env->cpus_usable = env->cpus_online;
        env->cores_usable = env->cpus_online;
        return;
    }
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &usable)) {
            CPU_SET(core_of(root, cpu), &cores);
        }
    }
    env->cpus_usable = (unsigned)CPU_COUNT(&usable);
    env->cores_usable = (unsigned)CPU_COUNT(&cores);
}

/* "200000 100000" is 2 CPUs' worth, "max 100000" no limit. */
static double parse_quota(const char *text)
{
    char *end = NULL;
    const double quota = strtod(text, &end);
    if (end == text) {
        return 0;
    }
    const double period = strtod(end, NULL);
    return quota > 0 && period > 0 ? quota / period : 0;
}

/* The least of what our cgroup and those above it grant. */
static double read_quota(const char *root)
{
    char text[FILE_TEXT_SIZE];
    char group[FILE_PATH_SIZE] = "/";
    double least = 0;
    if (read_text(root, "/proc/self/cgroup", text)) {
        const char *line = strstr(text, "0::/");
        if (line != NULL && (line == text || line[-1] == '\n')) {
            (void)snprintf(group, sizeof(group), "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
        }
    }
    for (;;) {
        char path[FILE_PATH_SIZE + 32];
        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", group);
        const double quota = read_text(root, path, text) ? parse_quota(text) : 0;
        if (quota > 0 && (!(least > 0) || quota < least)) {
            least = quota;
        }
        char *slash = strrchr(group, '/');
        if (slash == NULL) {
            return least;
        }
        *slash = '\0';
    }
}

static void read_settings(struct rf_bench_environment *env, const char *root)
{
    char text[FILE_TEXT_SIZE];
    if (read_text(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", text)) {
        text[strcspn(text, "\n")] = '\0';
        (void)rf_bench_plain_text(text, env->governor, sizeof(env->governor));
    }
    /* "always [madvise] never": the brackets choose. */
    if (read_text(root, "/sys/kernel/mm/transparent_hugepage/enabled", text)) {
        const char *chosen = strchr(text, '[');
        if (chosen != NULL) {
            (void)snprintf(env->huge_pages, sizeof(env->huge_pages), "%.*s",
                           (int)strcspn(chosen + 1, "]\n"), chosen + 1);
        }
    }
    env->load_average = -1;
    if (read_text(root, "/proc/loadavg", text)) {
        char *end = NULL;
        const double load = strtod(text, &end);
        env->load_average = end == text ? -1 : load;
    }
}

/* The first line of /proc/stat: "cpu" user nice system idle iowait irq softirq steal, then guests,
 * which are in user and nice already. False if it cannot be read. */
static bool read_cpu_time(const char *root, struct rf_bench_cpu_time *ret_time)
{
    enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, KINDS };
    char text[FILE_TEXT_SIZE];
    uint64_t ticks[KINDS];
    if (!read_text(root, "/proc/stat", text) || strncmp(text, "cpu ", 4) != 0) {
        return false;
    }
    char *at = text + 4;
    struct rf_bench_cpu_time time = {0};
    for (int i = 0; i < KINDS; i++) {
        char *end = NULL;
        ticks[i] = strtoull(at, &end, 10);
        if (end == at) {
            return false;
        }
        at = end;
        time.all += ticks[i];
    }
    time.busy = time.all - ticks[IDLE] - ticks[IOWAIT];
    time.stolen = ticks[STEAL];
    *ret_time = time;
    return true;
}

static void watch(struct rf_bench_environment *env, const char *root, unsigned watch_ms)
{
    struct rf_bench_cpu_time before;
    env->cpus_busy = -1;
    if (watch_ms > 0 && read_cpu_time(root, &before)) {
        const struct timespec pause = {.tv_sec = watch_ms / 1000,
                                       .tv_nsec = (long)(watch_ms % 1000) * 1000000};
        (void)nanosleep(&pause, NULL); /* a signal shortens it, which does no harm */
        struct rf_bench_cpu_time after;
        if (read_cpu_time(root, &after) && after.all > before.all) {
            env->cpus_busy = (double)(after.busy - before.busy) / (double)(after.all - before.all) *
                             env->cpus_online;
        }
    }
}

void rf_bench_environment_begin(struct rf_bench_environment *env, const char *root,
                                unsigned watch_ms)
{
    *env = (struct rf_bench_environment){.pinning = "none", .steal = -1};
#if defined(__clang__)
    env->compiler = "clang " __clang_version__;
#else
    env->compiler = "gcc " __VERSION__;
#endif
    env->flags = BENCH_FLAGS; /* with the next from CMakeLists.txt */
    env->is_optimized = BENCH_IS_OPTIMIZED;
    read_cpu(env, root);
    count_cpus(env, root);
    env->cpus_quota = read_quota(root);
    read_settings(env, root);
    watch(env, root, watch_ms);
    if (!read_cpu_time(root, &env->started)) {
        env->started = (struct rf_bench_cpu_time){0};
    }
}

void rf_bench_environment_end(struct rf_bench_environment *env, const char *root)
{
    struct rf_bench_cpu_time now;
    env->steal = -1;
    if (env->started.all > 0 && read_cpu_time(root, &now) && now.all > env->started.all &&
        now.stolen >= env->started.stolen) {
        env->steal =
            (double)(now.stolen - env->started.stolen) / (double)(now.all - env->started.all);
    }
}

/* ---- warnings ---- */

struct warnings {
    char (*texts)[RF_BENCH_WARNING_SIZE];
    size_t count;
};

static void warn(struct warnings *warnings, const char *format, ...) RF_PRINTF(2, 3);

static void warn(struct warnings *warnings, const char *format, ...)
{
    if (warnings->count < RF_BENCH_WARNINGS_MAX) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(warnings->texts[warnings->count++], RF_BENCH_WARNING_SIZE, format,
                        arguments);
        va_end(arguments);
    }
}

static void warn_of_cores(const struct rf_bench_environment *env, struct warnings *warnings)
{
    if (env->cpus_usable < 2) {
        warn(warnings, "1 usable CPU, at least 2 wanted: client and server take turns on it");
    } else if (env->cores_usable < 2) {
        warn(warnings, "the %u usable CPUs are threads of one core: client and server share it",
             env->cpus_usable);
    }
    if (env->cpus_quota > 0 && env->cpus_quota < env->cpus_usable) {
        warn(warnings,
             "a cgroup grants %.2f CPUs' time of %u: the run is halted whenever it is used",
             env->cpus_quota, env->cpus_usable);
    }
}

static void warn_of_sharing(const struct rf_bench_environment *env, struct warnings *warnings)
{
    if (env->cpus_busy >= busy_worth_telling) {
        warn(warnings, "others kept %.2f of %u CPUs busy just before the run: figures are too low",
             env->cpus_busy, env->cpus_online);
    }
    if (env->steal >= steal_worth_telling) {
        warn(warnings, "the host took %.1f %% of the CPU time during the run: tails are the host's",
             env->steal * 100);
    }
    if (env->is_virtual) {
        warn(warnings, "a virtual machine: its CPUs may be shared with other guests, and wake-ups "
                       "cost more than on bare metal");
    }
}

size_t rf_bench_environment_warnings(const struct rf_bench_environment *env,
                                     char ret_texts[RF_BENCH_WARNINGS_MAX][RF_BENCH_WARNING_SIZE])
{
    struct warnings warnings = {.texts = ret_texts};
    if (!env->is_optimized) {
        warn(&warnings, "built with %s: speeds mean nothing", env->flags);
    }
    warn_of_cores(env, &warnings);
    warn_of_sharing(env, &warnings);
    if (env->governor[0] != '\0' && strcmp(env->governor, "performance") != 0) {
        warn(&warnings,
             "frequency scaling by '%s', steady is 'performance': speed depends on what "
             "ran before",
             env->governor);
    }
    if (strcmp(env->huge_pages, "never") == 0) {
        warn(&warnings, "transparent huge pages are off: lookups in large rings take longer");
    }
    return warnings.count;
}

/* ---- output ---- */

void rf_bench_environment_print(const struct rf_bench_environment *env, FILE *out)
{
    (void)fprintf(out, "machine  %s, %u CPUs, usable %u on %u core%s%s, %s\n", env->cpu,
                  env->cpus_online, env->cpus_usable, env->cores_usable,
                  env->cores_usable == 1 ? "" : "s", env->is_virtual ? ", virtual" : "",
                  env->kernel);
    (void)fprintf(out, "build    regfast %s, %s, %s\n", RF_VERSION, env->compiler, env->flags);
    (void)fprintf(out, "pinning  %s\n", env->pinning);
    (void)fprintf(out, "load     ");
    if (env->load_average >= 0) {
        (void)fprintf(out, "%.2f in the minute before", env->load_average);
    } else {
        (void)fprintf(out, "unknown in the minute before");
    }
    if (env->cpus_busy >= 0) {
        (void)fprintf(out, ", %.2f CPUs busy just before", env->cpus_busy);
    }
    if (env->steal >= 0) {
        (void)fprintf(out, ", %.1f %% stolen during the run", env->steal * 100);
    }
    (void)fprintf(out, "\n");
    char texts[RF_BENCH_WARNINGS_MAX][RF_BENCH_WARNING_SIZE];
    const size_t count = rf_bench_environment_warnings(env, texts);
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(out, "warning  %s\n", texts[i]);
    }
}

static json_t *known_or_null(double value)
{
    return value >= 0 ? json_real(value) : json_null();
}

static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

json_t *rf_bench_environment_json(const struct rf_bench_environment *env)
{
    char texts[RF_BENCH_WARNINGS_MAX][RF_BENCH_WARNING_SIZE];
    const size_t count = rf_bench_environment_warnings(env, texts);
    json_t *warnings = json_array();
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(warnings, json_string(texts[i])) != 0) {
            json_decref(warnings);
            return NULL;
        }
    }
    /* json_pack takes NULL for "o" as a failure of its own. */
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o, "
                     "s:s, s:o}",
                     "cpu", env->cpu, "kernel", env->kernel, "compiler", env->compiler, "flags",
                     env->flags, "cpus_online", (int)env->cpus_online, "cpus_usable",
                     (int)env->cpus_usable, "cores_usable", (int)env->cores_usable, "cpus_quota",
                     known_or_null(env->cpus_quota > 0 ? env->cpus_quota : -1), "is_virtual",
                     (int)env->is_virtual, "is_optimized", (int)env->is_optimized, "governor",
                     text_or_null(env->governor), "huge_pages", text_or_null(env->huge_pages),
                     "load_average", known_or_null(env->load_average), "cpus_busy",
                     known_or_null(env->cpus_busy), "steal", known_or_null(env->steal), "pinning",
                     env->pinning, "warnings", warnings);
}
