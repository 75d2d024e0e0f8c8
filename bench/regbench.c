/* SPDX-License-Identifier: MIT
 *
 * regbench - load and latency: of a registry, of the machine's ceiling, of its peers.
 */
#include "bench/regbench.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/crowd.h"
#include "bench/plot.h"
#include "bench/process.h"
#include "bench/report.h"
#include "bench/schedule.h"
#include "bench/strangers.h"
#include "core/address.h"
#include "core/options.h"
#include "core/standard_fds.h"
#include "core/wire.h"

/* Scopes of options. */
enum {
    LOAD = 1,
    CEILING = 2,
    COMPARE = 4,
    RESPOND = 8,
    MEMBERS = 16,
    DISTURB = 32,
    RUNS = LOAD | CEILING | COMPARE | DISTURB
};

enum { REGISTRY_PORT = 9800, GOSSIP_PORT = 7370 };

typedef int run_command(struct rf_bench_context *context);

static const struct command {
    const char *name;
    const char *help;
    run_command *run;
    uint32_t scope;
} commands[] = {
    {"load",
     "Sends requests to a registry, and compares each answer with a ring that it builds itself "
     "from the group's members.",
     rf_bench_command_load, LOAD},
    {"ceiling",
     "The same against a responder of its own, which answers without looking: what this machine "
     "can do.",
     rf_bench_command_ceiling, CEILING},
    {"compare",
     "Ceiling, registry with each engine, and, if they are installed, redis-server (GET) and "
     "memcached (meta get), each at every point of a grid, in rounds, of which the median counts. "
     "Starts all of them on free ports of 127.0.0.1, and ends them.",
     rf_bench_command_compare, COMPARE},
    {"disturb",
     "A registry in quiet rounds and in disturbed ones, in turn: beside idle connections, ones "
     "that never read, ones that send a byte a second, ones that watch the group, or while members "
     "come and go. Starts it on free ports of 127.0.0.1, and ends it.",
     rf_bench_command_disturb, DISTURB},
    {"members",
     "Makes a group of many members known to a registry and answers its probes for all of them, "
     "from one thread, until it is ended: for load on a registry of one's own.",
     rf_bench_command_members, MEMBERS},
    {"respond", "That responder by itself, for a generator elsewhere.", rf_bench_command_respond,
     RESPOND},
};

enum { COMMANDS_COUNT = sizeof(commands) / sizeof(commands[0]) };

static struct rf_bench_options values;
static struct {
    const char *warmup, *duration;
} texts;

static const char *const io_choices[] = {"uring", "epoll", NULL};
static const char *const protocol_choices[] = {"registry", "ceiling", NULL};

static const struct rf_option table[] = {
    {"s", "HOST:PORT", "The registry's client address.", RF_OPTION_HOST_PORT,
     .port_default = REGISTRY_PORT, .scope = LOAD, .default_value = "127.0.0.1:9800",
     .text = &values.server},
    {"protocol", "NAME",
     "What the server is: a registry, or a ceiling for `regbench respond` with the same numbers.",
     RF_OPTION_CHOICE, .choices = protocol_choices, .scope = LOAD, .default_value = "registry",
     .text = &values.protocol},
    {"listen", "HOST:PORT", "Where to respond; port 0: any free one, which it prints.",
     RF_OPTION_BIND, .scope = RESPOND, .default_value = "127.0.0.1:0", .text = &values.listen},
    {"connections", "N", "Connections of all threads together.", RF_OPTION_NUMBER, .min = 1,
     .max = RF_BENCH_CONNECTIONS_MAX, .scope = LOAD | CEILING | DISTURB | RESPOND,
     .default_value = "8", .number = &values.connections},
    {"depth", "N", "Requests in flight on each connection; with --rate, at most.", RF_OPTION_NUMBER,
     .min = 1, .max = RF_BENCH_DEPTH_MAX, .scope = LOAD | CEILING | DISTURB, .default_value = "64",
     .number = &values.depth},
    {"threads", "N", "Threads of the generator; connections are shared out among them.",
     RF_OPTION_NUMBER, .min = 1, .max = RF_BENCH_THREADS_MAX, .scope = RUNS, .default_value = "1",
     .number = &values.threads},
    {"group", "GROUP", "The group of all requests, or of all members.", RF_OPTION_TEXT,
     .scope = RUNS | MEMBERS, .default_value = "web", .text = &values.group},
    {"keys", "N", "Distinct keys of 16 bytes.", RF_OPTION_NUMBER, .min = 1,
     .max = RF_BENCH_KEYS_MAX, .scope = RUNS, .default_value = "10000", .number = &values.keys},
    {"distribution", "NAME",
     "How keys are drawn: uniform, or zipf:EXPONENT, key i in proportion to 1 / i^EXPONENT; zipf "
     "is zipf:0.99.",
     RF_OPTION_TEXT, .scope = RUNS, .default_value = "uniform", .text = &values.distribution},
    {"match-many", "K", "Keys of each request; 1: single matches.", RF_OPTION_NUMBER, .min = 1,
     .max = RF_WIRE_KEYS_MAX, .scope = RUNS | RESPOND, .default_value = "1",
     .number = &values.match_many},
    {"rate", "R",
     "Open loop: requests a second of all connections, each due at its time, from which its "
     "latency is measured; 0: closed loop, the next is sent when one is answered.",
     RF_OPTION_NUMBER, .max = RF_BENCH_RATE_MAX, .scope = RUNS, .default_value = "0",
     .number = &values.rate},
    {"warmup", "SECONDS", "Load before the measurement.", RF_OPTION_TEXT, .scope = RUNS,
     .default_value = "0.5", .text = &texts.warmup},
    {"duration", "SECONDS", "Length of the measurement.", RF_OPTION_TEXT, .scope = RUNS,
     .default_value = "2", .text = &texts.duration},
    {"io", "ENGINE", "The generator's engine, and the responder's: uring or epoll.",
     RF_OPTION_CHOICE, .choices = io_choices, .scope = LOAD | CEILING | DISTURB | RESPOND,
     .default_value = "uring", .text = &values.io},
    {"busy-poll", NULL, "Spin instead of blocking.", RF_OPTION_FLAG, .flag = &values.busy_poll},
    {"cpu", "LIST",
     "CPUs for the generator's threads in turn, as 1 or 1,3; none: not pinned. Without it, beside "
     "a server that regbench starts on CPU 0, the others.",
     RF_OPTION_TEXT, .scope = RUNS, .text = &values.cpu},
    {"server-cpu", "CPU",
     "CPU for a server that regbench starts; none: not pinned. Without it: 0, if there are two.",
     RF_OPTION_TEXT, .scope = CEILING | COMPARE | DISTURB | RESPOND, .text = &values.server_cpu},
    {"grid", "CxD,...", "Points to compare at: connections x depth.", RF_OPTION_TEXT,
     .scope = COMPARE, .default_value = "1x1,8x1,8x16,8x64,64x64,8x256", .text = &values.grid},
    {"rounds", "N", "Rounds at each point, an odd number for a median.", RF_OPTION_NUMBER, .min = 1,
     .max = 101, .scope = COMPARE | DISTURB, .default_value = "5", .number = &values.rounds},
    {"registry", "PATH", "The registry's program. Without it: the one beside regbench.",
     RF_OPTION_TEXT, .scope = COMPARE | DISTURB, .text = &values.registry},
    {"registry-args", "ARGUMENTS", "More arguments for the registry, with blanks between.",
     RF_OPTION_TEXT, .scope = COMPARE | DISTURB, .text = &values.registry_arguments},
    {"peers", NULL, "Compare with redis and memcached; --peers=false: do not.", RF_OPTION_FLAG,
     .scope = COMPARE, .default_value = "true", .flag = &values.peers},
    {"members", "N", "Members of the group.", RF_OPTION_NUMBER, .min = 1,
     .max = RF_BENCH_MEMBERS_MAX, .scope = COMPARE | MEMBERS | DISTURB, .default_value = "100",
     .number = &values.members},
    {"replicas", "N", "Points of each member in the ring.", RF_OPTION_NUMBER, .min = 1,
     .max = RF_REPLICAS_MAX, .scope = COMPARE | MEMBERS | DISTURB, .default_value = "1000",
     .number = &values.replicas},
    {"gossip", "HOST:PORT", "The registry's gossip address.", RF_OPTION_HOST_PORT,
     .port_default = GOSSIP_PORT, .scope = MEMBERS, .default_value = "127.0.0.1:7370",
     .text = &values.gossip},
    {"churn", "MS",
     "So often a member goes, without a leave, or the one that has gone comes back; 0: the group "
     "stays.",
     RF_OPTION_NUMBER, .max = 3600000, .scope = MEMBERS | DISTURB, .default_value = "0",
     .number = &values.churn_ms},
    {"idle", "N", "Connections that say nothing.", RF_OPTION_NUMBER, .max = RF_BENCH_STRANGERS_MAX,
     .scope = DISTURB, .default_value = "0", .number = &values.idle},
    {"deaf", "N", "Connections that ask for as much as is taken from them, and read nothing.",
     RF_OPTION_NUMBER, .max = RF_BENCH_STRANGERS_MAX, .scope = DISTURB, .default_value = "0",
     .number = &values.deaf},
    {"watchers", "N",
     "Connections that watch the group; with -churn, how long each change takes until the last of "
     "them has it.",
     RF_OPTION_NUMBER, .max = RF_BENCH_STRANGERS_MAX, .scope = DISTURB, .default_value = "0",
     .number = &values.watchers},
    {"trickle", "N", "Connections that send one byte of a request a second.", RF_OPTION_NUMBER,
     .max = RF_BENCH_STRANGERS_MAX, .scope = DISTURB, .default_value = "0",
     .number = &values.trickle},
    {"request-size", "BYTES", "Of each request.", RF_OPTION_NUMBER, .min = 1,
     .max = RF_WIRE_REQUEST_SIZE_MAX, .scope = RESPOND, .default_value = "32",
     .number = &values.request_size},
    {"check", NULL, "Compare each answer with the local ring; --check=false: do not.",
     RF_OPTION_FLAG, .scope = RUNS, .default_value = "true", .flag = &values.check},
    {"seed", "N", "Of the order of keys.", RF_OPTION_NUMBER, .max = UINT64_MAX, .scope = RUNS,
     .default_value = "1", .number = &values.seed},
    {"json", NULL, "Print JSON.", RF_OPTION_FLAG, .scope = RUNS, .flag = &values.json},
    {"csv", NULL, "Print comma-separated values.", RF_OPTION_FLAG, .scope = RUNS,
     .flag = &values.csv},
    {"plot", "FILE", "Write a picture too, SVG.", RF_OPTION_TEXT, .scope = RUNS,
     .text = &values.plot},
    {"help", NULL, "Print this text, or that of a command.", RF_OPTION_FLAG, .flag = &values.help},
    {"version", NULL, "Print the program's version.", RF_OPTION_FLAG, .flag = &values.version},
};

static const struct rf_options options = {table, sizeof(table) / sizeof(table[0])};

/* ---- what the table cannot check ---- */

/* Digits and a point, as other numbers: no blank, sign or exponent. Returns -1 if it is none. */
static double parse_decimal(const char *text)
{
    char *end;
    const double number = strtod(text, &end);
    return end != text && *end == '\0' && strspn(text, "0123456789.") == strlen(text) ? number : -1;
}

static int parse_seconds(const char *name, const char *text, bool can_be_zero, uint64_t *ret_ns,
                         struct rf_error *err)
{
    const double seconds = parse_decimal(text);
    if (!(seconds >= 0 && seconds <= 86400) ||
        (seconds * 1000 < 1 && !(can_be_zero && seconds <= 0))) {
        return rf_error_set(err, -EINVAL, "option -%s: '%.40s': allowed are seconds, %s86400", name,
                            text, can_be_zero ? "0 or 0.001.." : "0.001..");
    }
    *ret_ns = (uint64_t)(seconds * 1e9);
    return 0;
}

static int parse_distribution(const char *text, double *ret_exponent, struct rf_error *err)
{
    static const double usual = 0.99; /* YCSB's: "Benchmarking Cloud Serving Systems", 2010 */
    if (strcmp(text, "uniform") == 0) {
        *ret_exponent = 0;
        return 0;
    }
    if (strcmp(text, "zipf") == 0) {
        *ret_exponent = usual;
        return 0;
    }
    const double exponent = strncmp(text, "zipf:", 5) == 0 ? parse_decimal(text + 5) : -1;
    if (!(exponent > 0 && exponent <= 10)) {
        return rf_error_set(err, -EINVAL,
                            "option -distribution: '%.40s': allowed are uniform, zipf and "
                            "zipf:EXPONENT, above 0 and up to 10",
                            text);
    }
    *ret_exponent = exponent;
    return 0;
}

static int parse_cpus(const char *text, struct rf_error *err)
{
    for (const char *at = text; at != NULL;) {
        uint64_t cpu;
        char one[24];
        size_t size = strcspn(at, ",");
        (void)snprintf(one, sizeof(one), "%.*s", (int)(size < 20 ? size : 20), at);
        int code = rf_options_parse_number("cpu", one, 0, CPU_SETSIZE - 1, &cpu, err);
        if (code < 0) {
            return code;
        }
        if (values.cpus_count == RF_BENCH_CPUS_MAX) {
            return rf_error_set(err, -EINVAL, "option -cpu: allowed are %d", RF_BENCH_CPUS_MAX);
        }
        values.cpus[values.cpus_count++] = (uint32_t)cpu;
        at = at[size] == ',' ? at + size + 1 : NULL;
    }
    return 0;
}

/* Server and client on CPUs of their own, where they are both ours to place and there are two. */
static int set_cpus(uint32_t scope, struct rf_error *err)
{
    cpu_set_t usable;
    bool has_two = sched_getaffinity(0, sizeof(usable), &usable) == 0 && CPU_ISSET(0, &usable) &&
                   CPU_ISSET(1, &usable);
    bool is_placed = (scope & (CEILING | COMPARE | DISTURB)) != 0 && has_two;
    values.server_cpu_number = is_placed ? 0 : RF_BENCH_NO_CPU;
    if (values.server_cpu != NULL && strcmp(values.server_cpu, "none") == 0) {
        values.server_cpu_number = RF_BENCH_NO_CPU;
    } else if (values.server_cpu != NULL) {
        uint64_t cpu;
        int code =
            rf_options_parse_number("server-cpu", values.server_cpu, 0, CPU_SETSIZE - 1, &cpu, err);
        if (code < 0) {
            return code;
        }
        values.server_cpu_number = (int)cpu;
    }
    if (values.cpu != NULL) {
        return strcmp(values.cpu, "none") == 0 ? 0 : parse_cpus(values.cpu, err);
    }
    for (uint32_t cpu = 0; is_placed && cpu < CPU_SETSIZE && values.cpus_count < values.threads;
         cpu++) {
        if (CPU_ISSET(cpu, &usable) && (int)cpu != values.server_cpu_number) {
            values.cpus[values.cpus_count++] = cpu;
        }
    }
    return 0;
}

/* The port that may be left out. */
static int complete_address(const char **address, uint16_t port_default,
                            char ret_text[RF_HOST_SIZE_MAX + 16], struct rf_error *err)
{
    struct rf_host_port parsed;
    int code = rf_host_port_parse(*address, port_default, &parsed, err);
    if (code == 0) {
        bool is_v6 = strchr(parsed.host, ':') != NULL;
        (void)snprintf(ret_text, RF_HOST_SIZE_MAX + 16, "%s%s%s:%u", is_v6 ? "[" : "", parsed.host,
                       is_v6 ? "]" : "", parsed.port);
        *address = ret_text;
    }
    return code;
}

static int check_addresses(struct rf_error *err)
{
    static char server[RF_HOST_SIZE_MAX + 16];
    static char gossip[RF_HOST_SIZE_MAX + 16];
    int code = complete_address(&values.server, REGISTRY_PORT, server, err);
    return code < 0 ? code : complete_address(&values.gossip, GOSSIP_PORT, gossip, err);
}

static int check_values(uint32_t scope, struct rf_error *err)
{
    int code = parse_seconds("warmup", texts.warmup, true, &values.warmup_ns, err);
    if (code == 0) {
        code = parse_seconds("duration", texts.duration, false, &values.duration_ns, err);
    }
    if (code == 0) {
        code = parse_distribution(values.distribution, &values.zipf_exponent, err);
    }
    if (code == 0) {
        code = set_cpus(scope, err);
    }
    if (code == 0) {
        code = check_addresses(err);
    }
    if (code == 0 && values.json && values.csv) {
        code = rf_error_set(err, -EINVAL, "options -json and -csv: one of them");
    }
    return code;
}

/* ---- what commands share ---- */

int rf_bench_find_registry(const struct rf_bench_options *given, char ret_path[RF_BENCH_PATH_SIZE],
                           struct rf_error *err)
{
    if (given->registry != NULL) {
        (void)snprintf(ret_path, RF_BENCH_PATH_SIZE, "%s", given->registry);
    } else {
        ssize_t size =
            readlink("/proc/self/exe", ret_path, RF_BENCH_PATH_SIZE - sizeof("registry"));
        ret_path[size > 0 ? size : 0] = '\0';
        char *slash = strrchr(ret_path, '/');
        (void)strcpy(slash != NULL ? slash + 1 : ret_path, "registry");
    }
    if (access(ret_path, X_OK) < 0) {
        return rf_error_set(err, -errno, "%.200s: %s; say where it is by -registry", ret_path,
                            rf_strerror(-errno));
    }
    return 0;
}

int rf_bench_fail(const struct rf_error *err)
{
    (void)fflush(stdout); /* what was printed before comes before */
    (void)fprintf(stderr, "regbench: %s\n", err->text);
    switch (err->code) {
    case -ECONNREFUSED:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -ETIMEDOUT:
    case RF_EUNAVAILABLE:
        return RF_BENCH_UNAVAILABLE;
    default:
        return RF_BENCH_FAILED;
    }
}

struct rf_bench_workload_config rf_bench_workload_of(const struct rf_bench_options *given,
                                                     enum rf_bench_protocol protocol)
{
    return (struct rf_bench_workload_config){
        .protocol = protocol,
        .group = given->group,
        .keys_count = (uint32_t)given->keys,
        .keys_per_request = (uint32_t)given->match_many,
        .zipf_exponent = given->zipf_exponent,
        .seed = given->seed,
    };
}

struct rf_bench_load_config rf_bench_load_of(const struct rf_bench_options *given)
{
    struct rf_bench_load_config config = {
        .engine =
            given->io != NULL && strcmp(given->io, "epoll") == 0 ? RF_BENCH_EPOLL : RF_BENCH_URING,
        .connections = (uint32_t)given->connections,
        .depth = (uint32_t)given->depth,
        .threads = (uint32_t)given->threads,
        .rate = given->rate,
        .warmup_ns = given->warmup_ns,
        .duration_ns = given->duration_ns,
        .busy_poll = given->busy_poll,
        .cpus_count = given->cpus_count,
        .progress = isatty(STDERR_FILENO) ? stderr : NULL,
    };
    memcpy(config.cpus, given->cpus, sizeof(config.cpus));
    return config;
}

static void describe_pinning(struct rf_bench_context *context, char *out, size_t size)
{
    const struct rf_bench_options *given = &context->options;
    size_t used = 0;
    if (given->server_cpu_number != RF_BENCH_NO_CPU) {
        used = (size_t)snprintf(out, size, "server CPU %d", given->server_cpu_number);
    }
    for (uint32_t i = 0; i < given->cpus_count && used < size; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%u",
                                 i > 0      ? ","
                                 : used > 0 ? ", client CPU "
                                            : "client CPU ",
                                 given->cpus[i]);
    }
}

static int print_plot(const struct rf_bench_context *context, const struct rf_bench_report *report,
                      struct rf_error *err)
{
    const char *path = context->options.plot;
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return rf_error_set(err, -errno, "%s: %s", path, rf_strerror(-errno));
    }
    int code = rf_bench_plot_svg(report, file, err);
    if (fclose(file) != 0 && code == 0) {
        code = rf_error_set(err, -errno, "%s: %s", path, rf_strerror(-errno));
    }
    return code;
}

int rf_bench_print(struct rf_bench_context *context, const struct bench_result *results,
                   size_t count, const struct rf_error *first_error)
{
    struct rf_error err = {0};
    rf_bench_environment_end(&context->environment, "");
    describe_pinning(context, context->environment.pinning, sizeof(context->environment.pinning));
    const struct rf_bench_report report = {context->command, &context->environment, results, count};
    int code = context->options.json  ? rf_bench_report_json(&report, stdout, &err)
               : context->options.csv ? rf_bench_report_csv(&report, stdout, &err)
                                      : rf_bench_report_table(&report, stdout, &err);
    if (code == 0 && context->options.plot != NULL) {
        code = print_plot(context, &report, &err);
    }
    if (code < 0) {
        return rf_bench_fail(&err);
    }
    uint64_t errors = 0;
    uint64_t requests = 0;
    for (size_t i = 0; i < count; i++) {
        errors += results[i].errors;
        requests += results[i].requests;
    }
    if (errors == 0 && requests == 0) {
        (void)rf_error_set(&err, -EIO,
                           "no request was answered while it was measured: a longer -duration may "
                           "help, or a machine with less to do");
        return rf_bench_fail(&err);
    }
    if (errors > 0) {
        (void)rf_error_set(&err, -EIO, "%llu requests, %llu errors%s%s",
                           (unsigned long long)requests, (unsigned long long)errors,
                           first_error->code != 0 ? ", the first: " : "", first_error->text);
        return rf_bench_fail(&err);
    }
    return RF_BENCH_OK;
}

/* ---- command line ---- */

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void print_help(const struct command *only)
{
    if (only != NULL) {
        (void)printf("usage: regbench %s [OPTION]...\n\n", only->name);
        rf_options_print_text(only->help, 0, stdout);
        (void)printf("\nOptions:\n");
        rf_options_print(&options, only->scope, stdout);
        return;
    }
    (void)printf(
        "usage: regbench COMMAND [OPTION]...\n\nMeasures load and latency.\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        (void)printf("  %s\n", commands[i].name);
        rf_options_print_text(commands[i].help, 6, stdout);
    }
    (void)printf("\nOptions:\n");
    rf_options_print(&options, UINT32_MAX, stdout);
    (void)printf(
        "\nExit codes: 0 done, 1 failed, or there were errors in what was measured, 2 wrong "
        "usage,\n4 no server answers.\n");
}

static int fail_usage(const char *text)
{
    (void)fprintf(stderr, "regbench: %s\n", text);
    return RF_BENCH_USAGE;
}

/* So many connections as asked for, if the system lets us. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* what is missing shows when connecting */
    }
}

static void note_command(char *out, size_t size, int argc, char **argv)
{
    size_t used = (size_t)snprintf(out, size, "regbench");
    for (int i = 1; i < argc && used < size; i++) {
        used += (size_t)snprintf(out + used, size - used, " %s", argv[i]);
    }
}

/* Before the run: that may take minutes, and the picture is made after it. */
static int check_plot(const char *path, struct rf_error *err)
{
    FILE *file = fopen(path, "ae");
    if (file == NULL) {
        return rf_error_set(err, -errno, "%s: %s", path, rf_strerror(-errno));
    }
    (void)fclose(file); /* nothing was written */
    return 0;
}

static int end_printing(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return RF_BENCH_OK;
    }
    (void)fprintf(stderr, "regbench: standard output: cannot write\n");
    return RF_BENCH_FAILED;
}

static int run(const struct command *command, struct rf_bench_context *context)
{
    struct rf_error err = {0};
    if (check_values(command->scope, &err) < 0) {
        return fail_usage(err.text);
    }
    if (values.plot != NULL && check_plot(values.plot, &err) < 0) {
        return rf_bench_fail(&err);
    }
    context->options = values;
    raise_descriptors();
    if ((command->scope & RUNS) != 0) {
        rf_bench_environment_begin(&context->environment, "", RF_BENCH_WATCH_USUAL_MS);
    }
    return command->run(context);
}

int main(int argc, char **argv)
{
    static struct rf_bench_context context;
    struct rf_error err = {0};
    uint64_t given;
    rf_standard_fds_hold();
    note_command(context.command, sizeof(context.command), argc, argv);
    int count = rf_options_parse(&options, argc, argv, &given, &err);
    if (count < 0) {
        return fail_usage(err.text);
    }
    const struct command *command = count > 0 ? find_command(argv[0]) : NULL;
    if (values.help) {
        print_help(command);
        return end_printing();
    }
    if (values.version) {
        (void)printf("regbench %s\n", RF_VERSION);
        return end_printing();
    }
    if (command == NULL || count > 1) {
        return fail_usage(count == 0  ? "no command; see regbench --help"
                          : count > 1 ? "one command is expected; see regbench --help"
                                      : "no such command; see regbench --help");
    }
    const struct rf_option *stray = rf_options_out_of_scope(&options, given, command->scope);
    if (stray != NULL) {
        char text[128];
        (void)snprintf(text, sizeof(text), "option -%s is not for '%s'; see regbench %s --help",
                       stray->name, command->name, command->name);
        return fail_usage(text);
    }
    return run(command, &context);
}
