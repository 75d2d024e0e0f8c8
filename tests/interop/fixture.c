/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    FIXTURE_ENDS_MAX = 4,
    QUIET_MS = 60000,
    QUIET_LOOK_MS = 5000,
    QUIET_SETTLE_MS = 20000, /* until what a starved process has brought about is over */
    QUIET_MINUTES_MAX = 3,
    STARVED_MS = 300, /* serf's time for the answer to a probe is 500 ms */
};

static struct {
    char directory[64];
    char host[32];
    uint16_t port;
    bool has_passed;
    void (*ends[FIXTURE_ENDS_MAX])(void);
    size_t ends_count;
    struct process processes[FIXTURE_PROCESSES_MAX];
    size_t processes_count;
} fixture;

uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void sleep_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&pause, &pause) < 0 && errno == EINTR) {
    }
}

static bool is_program(const char *name)
{
    const char *path = getenv("PATH");
    char *copy = strdup(path == NULL ? "/usr/bin:/bin" : path);
    bool is_found = false;
    char *save = NULL;
    for (char *part = strtok_r(copy, ":", &save); part != NULL; part = strtok_r(NULL, ":", &save)) {
        char file[512];
        snprintf(file, sizeof(file), "%s/%s", part, name);
        is_found = is_found || access(file, X_OK) == 0;
    }
    free(copy);
    return is_found;
}

void fixture_need_serf(void)
{
    if (!is_program("serf")) {
        printf("skipped: the program `serf` is not installed (Debian package serf)\n");
        exit(77);
    }
}

void fixture_passed(void)
{
    fixture.has_passed = true;
}

void fixture_at_end(void (*end)(void))
{
    for (size_t i = 0; i < fixture.ends_count; i++) {
        if (fixture.ends[i] == end) {
            return;
        }
    }
    if (fixture.ends_count == FIXTURE_ENDS_MAX) {
        fail_msg("more than %d things to end", FIXTURE_ENDS_MAX);
    }
    fixture.ends[fixture.ends_count++] = end;
}

int fixture_begin(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    const char *temporary = getenv("TMPDIR");
    snprintf(fixture.directory, sizeof(fixture.directory), "%s/regfast-XXXXXX",
             temporary == NULL || strlen(temporary) > 40 ? "/tmp" : temporary);
    if (mkdtemp(fixture.directory) == NULL) {
        perror(fixture.directory);
        return -1;
    }
    /* An address of our own: other tests' ports cannot be in the way, nor their gossip. */
    unsigned pid = (unsigned)getpid();
    snprintf(fixture.host, sizeof(fixture.host), "127.%u.%u.%u", 1 + (pid >> 15) % 250,
             1 + (pid >> 7) % 250, 1 + pid % 128);
    fixture.port = 7000;
    return 0;
}

static void log_print(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return;
    }
    fprintf(stderr, "---- %s\n", strrchr(path, '/') + 1);
    char line[1024];
    while (fgets(line, sizeof(line), file) != NULL) {
        fputs(line, stderr);
    }
    fclose(file);
}

int fixture_end(void **state)
{
    (void)state;
    while (fixture.ends_count > 0) {
        fixture.ends[--fixture.ends_count]();
    }
    for (size_t i = 0; i < fixture.processes_count; i++) {
        if (fixture.processes[i].pid != 0) {
            process_kill(&fixture.processes[i]);
        }
    }
    DIR *directory = opendir(fixture.directory);
    if (directory == NULL) {
        return -1;
    }
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        const char *path = fixture_path(entry->d_name);
        size_t length = strlen(path);
        if (!fixture.has_passed && length > 4 && strcmp(path + length - 4, ".log") == 0) {
            log_print(path);
        }
        unlink(path);
    }
    closedir(directory);
    rmdir(fixture.directory);
    return 0;
}

const char *fixture_host(void)
{
    return fixture.host;
}

static bool is_port_free(const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    int types[] = {SOCK_DGRAM, SOCK_STREAM};
    bool is_free = true;
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_INET, types[i] | SOCK_CLOEXEC, 0);
        is_free =
            is_free && fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
        close(fd);
    }
    return is_free;
}

uint16_t fixture_port(void)
{
    /* Below the ephemeral range, so that no outgoing connection takes it meanwhile. */
    for (int i = 0; i < 1000; i++) {
        if (is_port_free(fixture.host, ++fixture.port)) {
            return fixture.port;
        }
    }
    fail_msg("no free port on %s", fixture.host);
    return 0;
}

uint16_t fixture_port_of_all(void)
{
    /* Other tests' ports, on addresses of their own, are in the way: far from where they begin. */
    uint16_t port = (uint16_t)(20000 + (unsigned)getpid() % 100 * 100);
    for (int i = 0; i < 100; i++) {
        if (is_port_free("0.0.0.0", ++port)) {
            return port;
        }
    }
    fail_msg("no port is free on every address");
    return 0;
}

const char *fixture_path(const char *name)
{
    static char paths[8][FIXTURE_TEXT_SIZE];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, FIXTURE_TEXT_SIZE, "%s/%.100s", fixture.directory, name);
    return path;
}

static void log_write(void *context, enum rf_log_level level, const char *line)
{
    FILE *file = fopen(context, "ae");
    if (file != NULL) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        fprintf(file, "%lld.%03ld %s %s\n", (long long)now.tv_sec, now.tv_nsec / 1000000,
                rf_log_level_name(level), line);
        fclose(file);
    }
}

struct rf_log fixture_log(const char *name)
{
    /* The driver's thread may log until it is freed; the process is short. */
    static char paths[64][FIXTURE_TEXT_SIZE];
    static int next;
    char *path = paths[next++ % 64];
    char file[96];
    snprintf(file, sizeof(file), "%s.log", name);
    snprintf(path, FIXTURE_TEXT_SIZE, "%s", fixture_path(file));
    return (struct rf_log){.level_max = RF_LOG_DEBUG, .write = log_write, .context = path};
}

/* ---- processes ---- */

static _Noreturn void execute(const char *const *arguments, int output_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null_fd = open("/dev/null", O_RDONLY);
    dup2(null_fd, 0);
    dup2(output_fd, 1);
    dup2(output_fd, 2);
    execvp(arguments[0], (char *const *)arguments);
    dprintf(2, "cannot run %s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

/* Who is started again has the place that it had, so that it may be often. */
static struct process *ended_process(const char *name)
{
    for (size_t i = 0; i < fixture.processes_count; i++) {
        if (fixture.processes[i].pid == 0 && strcmp(fixture.processes[i].name, name) == 0) {
            return &fixture.processes[i];
        }
    }
    assert_true(fixture.processes_count < FIXTURE_PROCESSES_MAX);
    return &fixture.processes[fixture.processes_count++];
}

struct process *process_start(const char *name, const char *const *arguments)
{
    struct process *process = ended_process(name);
    char file[96];
    snprintf(process->name, sizeof(process->name), "%s", name);
    snprintf(file, sizeof(file), "%s.log", name);
    snprintf(process->log_path, sizeof(process->log_path), "%s", fixture_path(file));
    int output_fd = open(process->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(output_fd >= 0);
    process->pid = fork();
    if (process->pid == 0) {
        execute(arguments, output_fd);
    }
    close(output_fd);
    assert_true(process->pid > 0);
    return process;
}

void process_signal(struct process *process, int signal_number)
{
    assert_true(process->pid > 0);
    kill(process->pid, signal_number);
}

int process_wait(struct process *process, unsigned timeout_ms)
{
    uint64_t deadline_ms = now_ms() + timeout_ms;
    for (;;) {
        int status;
        if (process->pid == 0 || waitpid(process->pid, &status, WNOHANG) == process->pid) {
            bool is_exited = process->pid != 0 && WIFEXITED(status);
            process->pid = 0;
            return is_exited ? WEXITSTATUS(status) : -1;
        }
        if (now_ms() > deadline_ms) {
            return -2;
        }
        sleep_ms(5);
    }
}

void process_kill(struct process *process)
{
    process_signal(process, SIGKILL);
    process_wait(process, 10000);
}

bool process_is_running(struct process *process)
{
    return process_wait(process, 0) == -2;
}

/* Lines with `text`, but without `other` (NULL: whatever else they have). */
static size_t lines_count(const char *name, const char *text, const char *other)
{
    char file[96];
    snprintf(file, sizeof(file), "%s.log", name);
    FILE *stream = fopen(fixture_path(file), "r");
    size_t count = 0;
    char line[4096];
    while (stream != NULL && fgets(line, sizeof(line), stream) != NULL) {
        count += strstr(line, text) != NULL && (other == NULL || strstr(line, other) == NULL);
    }
    if (stream != NULL) {
        fclose(stream);
    }
    return count;
}

size_t log_count(const char *name, const char *text)
{
    return lines_count(name, text, NULL);
}

/* Reads until the end of file or the deadline; returns whether the end was reached. */
static bool read_all(int fd, uint64_t deadline_ms, char **ret_output)
{
    size_t size = 0;
    size_t capacity = 4096;
    char *output = malloc(capacity);
    assert_non_null(output);
    bool is_end = false;
    for (;;) {
        uint64_t now = now_ms();
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        if (now >= deadline_ms || poll(&poll_fd, 1, (int)(deadline_ms - now)) <= 0) {
            break;
        }
        if (capacity - size < 2) {
            capacity *= 2;
            output = realloc(output, capacity);
            assert_non_null(output);
        }
        ssize_t got = read(fd, output + size, capacity - size - 1);
        if (got <= 0) {
            is_end = got == 0;
            break;
        }
        size += (size_t)got;
    }
    output[size] = '\0';
    *ret_output = output;
    return is_end;
}

int run(unsigned timeout_ms, char **ret_output, const char *const *arguments)
{
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        execute(arguments, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    assert_true(pid > 0);
    char *output = NULL;
    bool is_end = read_all(pipe_fds[0], now_ms() + timeout_ms, &output);
    close(pipe_fds[0]);
    if (!is_end) {
        kill(pid, SIGKILL);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (ret_output != NULL) {
        *ret_output = output;
    } else {
        free(output);
    }
    return is_end && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void assert_contains(const char *output, const char *text)
{
    if (strstr(output, text) == NULL) {
        fail_msg("no '%s' in: %s", text, output);
    }
}

/* ---- agents ---- */

static bool agent_answers(const struct agent *agent)
{
    char rpc[96];
    snprintf(rpc, sizeof(rpc), "-rpc-addr=%s", agent->rpc);
    return run(5000, NULL, ARGUMENTS("serf", "info", rpc)) == 0;
}

void agent_restart(struct agent *agent, const char *const *arguments)
{
    char node[96];
    char bind[96];
    char rpc[96];
    snprintf(node, sizeof(node), "-node=%s", agent->name);
    snprintf(bind, sizeof(bind), "-bind=%s", agent->address);
    snprintf(rpc, sizeof(rpc), "-rpc-addr=%s", agent->rpc);
    const char *all[FIXTURE_ARGUMENTS_MAX] = {"serf", "agent", node, bind, rpc, "-log-level=info"};
    size_t count = 6;
    for (; *arguments != NULL; arguments++) {
        assert_true(count < FIXTURE_ARGUMENTS_MAX - 1);
        all[count++] = *arguments;
    }
    agent->process = process_start(agent->name, all);
    assert_eventually(agent_answers(agent));
}

struct agent agent_start(const char *name, const char *const *arguments)
{
    struct agent agent = {0};
    snprintf(agent.name, sizeof(agent.name), "%s", name);
    snprintf(agent.address, sizeof(agent.address), "%s:%u", fixture.host, fixture_port());
    snprintf(agent.rpc, sizeof(agent.rpc), "%s:%u", fixture.host, fixture_port());
    agent_restart(&agent, arguments);
    return agent;
}

void agent_stop_gracefully(struct agent *agent)
{
    process_signal(agent->process, SIGINT);
    assert_int_not_equal(process_wait(agent->process, 10000), -2);
}

void agent_kill(struct agent *agent)
{
    process_kill(agent->process);
}

char *agent_run(const struct agent *agent, const char *const *arguments)
{
    char rpc[96];
    snprintf(rpc, sizeof(rpc), "-rpc-addr=%s", agent->rpc);
    /* `serf` stops reading options at the first argument that is none, so ours goes before. */
    const char *all[FIXTURE_ARGUMENTS_MAX] = {"serf", arguments[0], rpc};
    size_t count = 3;
    for (size_t i = 1; arguments[i] != NULL; i++) {
        assert_true(count < FIXTURE_ARGUMENTS_MAX - 1);
        all[count++] = arguments[i];
    }
    char *output = NULL;
    int status = run(30000, &output, all);
    if (status != 0) {
        fail_msg("serf %s on %s: exit status %d: %s", arguments[0], agent->name, status, output);
    }
    return output;
}

static json_t *agent_members(const struct agent *agent)
{
    char *output = agent_run(agent, ARGUMENTS("members", "-format=json"));
    json_error_t error;
    json_t *root = json_loads(output, 0, &error);
    if (root == NULL) {
        fail_msg("serf members on %s: %s: %s", agent->name, error.text, output);
    }
    free(output);
    return root;
}

static const char *member_string(const json_t *member, const char *key)
{
    const char *value = json_string_value(json_object_get(member, key));
    return value == NULL ? "" : value;
}

static bool agent_sees_with(const struct agent *agent, const char *name, const char *state,
                            const char *tag, const char *value)
{
    json_t *root = agent_members(agent);
    bool is_seen = false;
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(root, "members"), i, member)
    {
        if (strcmp(member_string(member, "name"), name) != 0) {
            continue;
        }
        is_seen = state == NULL || strcmp(member_string(member, "status"), state) == 0;
        if (tag != NULL) {
            const json_t *tags = json_object_get(member, "tags");
            is_seen = is_seen && strcmp(member_string(tags, tag), value) == 0;
        }
    }
    json_decref(root);
    return is_seen;
}

bool agent_sees(const struct agent *agent, const char *name, const char *state)
{
    return agent_sees_with(agent, name, state, NULL, NULL);
}

bool agent_sees_tag(const struct agent *agent, const char *name, const char *tag, const char *value)
{
    return agent_sees_with(agent, name, NULL, tag, value);
}

size_t agent_members_count(const struct agent *agent, const char *state)
{
    json_t *root = agent_members(agent);
    size_t count = 0;
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(root, "members"), i, member)
    {
        count += state == NULL || strcmp(member_string(member, "status"), state) == 0;
    }
    json_decref(root);
    return count;
}

size_t agent_warnings_count(const struct agent *agent)
{
    /* Its control port complains of `serf query` and the like that end before it closes. */
    return lines_count(agent->name, "[WARN]", "agent.ipc:") +
           lines_count(agent->name, "[ERR]", "agent.ipc:");
}

unsigned failure_bound_ms(unsigned members)
{
    unsigned suspicion_ms = members < 4 ? 4000 : 24000;
    return suspicion_ms + 2 * members * 1000 + FIXTURE_SOON_MS;
}

/* ---- a quiet minute ---- */

static struct {
    pthread_t thread;
    atomic_uint late_ms; /* the latest that it woke */
    atomic_bool is_over;
} starvation;

static void *measure_starvation(void *unused)
{
    enum { STEP_MS = 20 };
    while (!atomic_load(&starvation.is_over)) {
        uint64_t due_ms = now_ms() + STEP_MS;
        sleep_ms(STEP_MS);
        uint64_t late_ms = now_ms() - due_ms;
        if (late_ms > atomic_load(&starvation.late_ms)) {
            atomic_store(&starvation.late_ms, (unsigned)late_ms);
        }
    }
    return unused;
}

static void starvation_end(void)
{
    atomic_store(&starvation.is_over, true);
    pthread_join(starvation.thread, NULL);
}

static bool is_quiet_for_a_minute(struct quiet_look (*look)(void *context), void *context,
                                  size_t complaints)
{
    uint64_t end_ms = now_ms() + QUIET_MS;
    while (now_ms() < end_ms) {
        sleep_ms(QUIET_LOOK_MS);
        struct quiet_look now = look(context);
        if (!now.is_whole || now.complaints != complaints) {
            fprintf(stderr, "not quiet: %s, %zu complaints\n", now.is_whole ? "whole" : "not whole",
                    now.complaints);
            return false;
        }
    }
    return true;
}

void assert_quiet_minute(struct quiet_look (*look)(void *context), void *context)
{
    size_t complaints = 0;
    atomic_store(&starvation.is_over, false);
    atomic_store(&starvation.late_ms, 0);
    assert_int_equal(pthread_create(&starvation.thread, NULL, measure_starvation, NULL), 0);
    fixture_at_end(starvation_end);
    for (int i = 1; !is_quiet_for_a_minute(look, context, complaints); i++) {
        unsigned late_ms = atomic_load(&starvation.late_ms);
        fprintf(stderr, "this process woke %u ms late at most\n", late_ms);
        assert_true(late_ms >= STARVED_MS);
        assert_true(i < QUIET_MINUTES_MAX);
        sleep_ms(QUIET_SETTLE_MS);
        atomic_store(&starvation.late_ms, 0);
        complaints = look(context).complaints;
    }
}
