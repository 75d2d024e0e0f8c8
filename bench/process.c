/* SPDX-License-Identifier: MIT */
#include "bench/process.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/io.h"
#include "bench/load.h"

enum {
    START_MS = 30 * 1000, /* it takes 10 ms; what shares the machine may hold it up */
    POLL_NS = 5 * 1000 * 1000,
    STOP_MS = 500,        /* to end on SIGTERM: they hold nothing that would be lost */
    LOG_READ = 16 * 1024, /* of its output: the beginning, in which it says where it listens */
    LINE_SIZE = 201,      /* of its last line, in an error */
    EXIT_NOT_RUN = 127,   /* as shells have it */
};

static void pause_briefly(void)
{
    const struct timespec time = {.tv_nsec = POLL_NS};
    (void)nanosleep(&time, NULL); /* a signal makes it short */
}

/* In the child: only what may be done after a fork of a program with threads. */
static void run_child(char *const argv[], int cpu, int log_fd, pid_t parent)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* cannot fail with a signal */
    if (getppid() != parent) {
        _exit(EXIT_NOT_RUN); /* it has died before that */
    }
    if (cpu >= 0 && cpu < CPU_SETSIZE) {
        CPU_SET((unsigned)cpu, &set);
        (void)sched_setaffinity(0, sizeof(set), &set); /* checked by the caller */
    }
    if (dup2(log_fd, STDOUT_FILENO) >= 0 && dup2(log_fd, STDERR_FILENO) >= 0) {
        (void)execvp(argv[0], argv);
        (void)dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    }
    _exit(EXIT_NOT_RUN);
}

int rf_bench_process_start(struct rf_bench_process *process, char *const argv[], int cpu,
                           struct rf_error *err)
{
    cpu_set_t usable;
    if (cpu >= 0 && (sched_getaffinity(getpid(), sizeof(usable), &usable) < 0 ||
                     cpu >= CPU_SETSIZE || !CPU_ISSET((unsigned)cpu, &usable))) {
        return rf_error_set(err, -EINVAL, "CPU %d: not one that this process may use", cpu);
    }
    /* Appended to, since its threads write at once: the offset of a memfd, unlike that of a file
     * that was opened, is not locked for a write, and one line would overwrite another. */
    int log_fd = memfd_create("output", MFD_CLOEXEC);
    if (log_fd < 0) {
        return rf_error_set(err, -errno, "output of %s: %s", argv[0], rf_strerror(-errno));
    }
    (void)fcntl(log_fd, F_SETFL, O_APPEND); /* it always may */
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        run_child(argv, cpu, log_fd, parent);
    }
    if (pid < 0) {
        int code = rf_error_set(err, -errno, "start %s: %s", argv[0], rf_strerror(-errno));
        (void)close(log_fd);
        return code;
    }
    *process = (struct rf_bench_process){pid, log_fd};
    return 0;
}

static bool has_ended(struct rf_bench_process *process)
{
    if (process->pid != 0 && waitpid(process->pid, NULL, WNOHANG) == process->pid) {
        process->pid = 0;
    }
    return process->pid == 0;
}

static void read_log(const struct rf_bench_process *process, char text[LOG_READ + 1])
{
    ssize_t size = pread(process->log_fd, text, LOG_READ, 0);
    text[size > 0 ? size : 0] = '\0';
    for (ssize_t i = 0; i < size; i++) {
        text[i] = text[i] == '\0' ? ' ' : text[i];
    }
}

static void last_line(const struct rf_bench_process *process, char ret_line[LINE_SIZE])
{
    char text[LOG_READ + 1];
    read_log(process, text);
    size_t end = strlen(text);
    while (end > 0 && text[end - 1] == '\n') {
        text[--end] = '\0';
    }
    const char *line = strrchr(text, '\n');
    (void)snprintf(ret_line, LINE_SIZE, "%s", line != NULL ? line + 1 : text);
}

static int fail_ended(const struct rf_bench_process *process, struct rf_error *err)
{
    char line[LINE_SIZE];
    last_line(process, line);
    return rf_error_set(err, -ECHILD, "it has ended: %s", line);
}

/* How a process is that lets others wait: in /proc's letter, R running, S sleeping, D on a disk. */
static char state_of(pid_t pid)
{
    char path[32];
    char text[256] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t size = read(fd, text, sizeof(text) - 1);
        text[size > 0 ? size : 0] = '\0';
        (void)close(fd);
    }
    const char *name_end = strrchr(text, ')'); /* the name may have spaces, and be whatever */
    return name_end != NULL && name_end[1] == ' ' ? name_end[2] : '?';
}

static int fail_silent(const struct rf_bench_process *process, const char *name,
                       struct rf_error *err)
{
    char line[LINE_SIZE];
    last_line(process, line);
    return rf_error_set(err, -ETIMEDOUT,
                        "it has not said its %s in %d ms: process %d is in state %c, its last line "
                        "is \"%s\"",
                        name, START_MS, process->pid, state_of(process->pid), line);
}

/* The text after "name=" at the beginning of a word, or NULL. */
static const char *find_value(const char *text, const char *name)
{
    size_t name_size = strlen(name);
    for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name)) {
        if (at[name_size] == '=' && (at == text || at[-1] == ' ' || at[-1] == '\n') &&
            strpbrk(at, " \n") != NULL) {
            return at + name_size + 1;
        }
    }
    return NULL;
}

int rf_bench_process_wait_value(struct rf_bench_process *process, const char *name, char *ret_value,
                                size_t size, struct rf_error *err)
{
    uint64_t deadline_ns = rf_bench_now_ns() + START_MS * UINT64_C(1000000);
    while (true) {
        bool is_over = has_ended(process); /* first: what it wrote before counts */
        char text[LOG_READ + 1];
        read_log(process, text);
        const char *value = find_value(text, name);
        if (value != NULL) {
            size_t value_size = strcspn(value, " \n");
            (void)snprintf(ret_value, size, "%.*s", (int)value_size, value);
            return 0;
        }
        if (is_over) {
            return fail_ended(process, err);
        }
        if (rf_bench_now_ns() >= deadline_ns) {
            return fail_silent(process, name, err);
        }
        pause_briefly();
    }
}

int rf_bench_process_wait_server(struct rf_bench_process *process, const char *server,
                                 struct rf_error *err)
{
    uint64_t deadline_ns = rf_bench_now_ns() + START_MS * UINT64_C(1000000);
    while (true) {
        int fd = rf_bench_connect(server, err);
        if (fd >= 0) {
            (void)close(fd);
            return 0;
        }
        if (has_ended(process)) {
            return fail_ended(process, err);
        }
        if (rf_bench_now_ns() >= deadline_ns) {
            return rf_error_prefix(err, -ETIMEDOUT, "no answer in %d ms", START_MS);
        }
        pause_briefly();
    }
}

static void tell(const struct rf_bench_process *process, int signal)
{
    if (process->pid != 0) {
        (void)kill(process->pid, signal); /* it is ours and not waited for: it is there */
    }
}

void rf_bench_process_freeze(const struct rf_bench_process *process)
{
    tell(process, SIGSTOP);
}

void rf_bench_process_thaw(const struct rf_bench_process *process)
{
    tell(process, SIGCONT);
}

void rf_bench_process_stop(struct rf_bench_process *process)
{
    if (process->pid != 0) {
        uint64_t deadline_ns = rf_bench_now_ns() + STOP_MS * UINT64_C(1000000);
        tell(process, SIGTERM);
        tell(process, SIGCONT); /* it may be frozen */
        while (!has_ended(process) && rf_bench_now_ns() < deadline_ns) {
            pause_briefly();
        }
        if (process->pid != 0) {
            tell(process, SIGKILL);
            (void)waitpid(process->pid, NULL, 0); /* cannot take long */
            process->pid = 0;
        }
        (void)close(process->log_fd);
    } else if (process->log_fd > 0) {
        (void)close(process->log_fd); /* it has ended by itself */
    }
    *process = (struct rf_bench_process){.log_fd = -1};
}

int rf_bench_free_port(struct rf_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int code = 0;
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        code = rf_error_set(err, -errno, "a free port: %s", rf_strerror(-errno));
    }
    if (fd >= 0) {
        (void)close(fd); /* free again, for the server */
    }
    return code < 0 ? code : ntohs(address.sin_port);
}
