/* SPDX-License-Identifier: MIT
 *
 * top.c - regctl top: what registries do, looked at again and again.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/entries.h"
#include "tools/regctl/regctl.h"
#include "tools/regctl/sample.h"
#include "tools/regctl/screen.h"
#include "tools/regctl/table.h"

enum { REGISTRIES_MAX = 16 /* as many as a client of the library takes */ };

#define NS_PER_S UINT64_C(1000000000)

struct registry {
    char *server; /* owned */
    struct regfast_client *client;
    struct regctl_sample *last; /* owned, as the next one; the one before */
    struct regctl_sample *now;
    unsigned samples_count; /* how many of both there are */
    int code;               /* of asking now */
    char error[REGFAST_ERROR_SIZE];
    bool has_rates;
    struct regctl_rates rates;
    pthread_t thread;
    bool has_thread;
};

struct top {
    const struct regctl_options *options;
    struct regctl_screen screen;
    struct registry *registries;
    size_t registries_count;
    bool is_live; /* draws on a terminal */
    bool is_once;
};

/* ---- asking ---- */

static void *ask(void *context)
{
    struct registry *registry = context;
    struct regfast_info_list *list;
    uint64_t before_ns = rf_regctl_now_ns();
    registry->has_rates = false;
    registry->code =
        regfast_info(registry->client, &list, registry->error, sizeof(registry->error));
    if (registry->code < 0) {
        return NULL;
    }
    struct regctl_sample *oldest = registry->last;
    registry->last = registry->now;
    registry->now = oldest;
    rf_regctl_sample_read(list, before_ns / 2 + rf_regctl_now_ns() / 2, registry->now);
    regfast_info_list_free(list);
    registry->samples_count += registry->samples_count < 2 ? 1 : 0;
    registry->has_rates = registry->samples_count == 2 &&
                          rf_regctl_rates(registry->last, registry->now, &registry->rates);
    return NULL;
}

/* All at once: one that does not answer keeps nobody waiting but for its time-out. */
static void ask_all(struct top *top)
{
    for (size_t i = 1; i < top->registries_count; i++) {
        struct registry *registry = &top->registries[i];
        registry->has_thread = pthread_create(&registry->thread, NULL, ask, registry) == 0;
    }
    for (size_t i = 0; i < top->registries_count; i++) {
        struct registry *registry = &top->registries[i];
        if (registry->has_thread) {
            (void)pthread_join(registry->thread, NULL); /* cannot fail for a thread of ours */
        } else {
            (void)ask(registry); /* returns nothing */
        }
        registry->has_thread = false;
    }
}

static size_t count_answers(const struct top *top)
{
    size_t count = 0;
    for (size_t i = 0; i < top->registries_count; i++) {
        count += top->registries[i].code == 0 ? 1 : 0;
    }
    return count;
}

/* ---- for people ---- */

static void add_time(struct regctl_table *table, const struct regctl_rates *rates, uint64_t time_ns)
{
    if (rates->requests_measured > 0) {
        rf_regctl_table_add(table, "%.1f", (double)time_ns / 1000);
    } else {
        rf_regctl_table_add(table, "-");
    }
}

static void add_blanks(struct regctl_table *table, size_t count)
{
    while (count-- > 0) {
        rf_regctl_table_add(table, "-");
    }
}

static void add_registry(struct regctl_table *table, const struct registry *registry)
{
    const struct regctl_sample *now = registry->now;
    const struct regctl_rates *rates = &registry->rates;
    rf_regctl_table_add(table, "%s", registry->server);
    if (registry->code < 0) {
        rf_regctl_table_add(table, "no answer");
        add_blanks(table, table->columns - 2);
        return;
    }
    rf_regctl_table_add(table, "%s", now->node);
    rf_regctl_table_add(table, "%s", now->engine);
    if (registry->has_rates) {
        rf_regctl_table_add(table, "%.0f", rates->sum.lookups_per_s);
        rf_regctl_table_add(table, "%.0f", rates->sum.requests_per_s);
        add_time(table, rates, rates->p50_ns);
        add_time(table, rates, rates->p99_ns);
        add_time(table, rates, rates->p999_ns);
        rf_regctl_table_add(table, "%" PRIu64, rates->changes);
    } else {
        add_blanks(table, 6);
    }
    const uint64_t numbers[] = {now->groups, now->members, now->alive, now->sum.connections,
                                now->sum.watches};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        rf_regctl_table_add(table, "%" PRIu64, numbers[i]);
    }
}

static bool print_registries(const struct top *top, FILE *stream)
{
    static const char *const titles[] = {
        "REGISTRY", "NODE",    "ENGINE", "LOOKUPS/s", "REQUESTS/s", "P50 us",      "P99 us",
        "P99.9 us", "CHANGES", "GROUPS", "MEMBERS",   "IN RING",    "CONNECTIONS", "WATCHES"};
    struct regctl_table table = {.columns = sizeof(titles) / sizeof(titles[0]),
                                 .right = UINT32_MAX << 3};
    for (size_t i = 0; i < table.columns; i++) {
        rf_regctl_table_add(&table, "%s", titles[i]);
    }
    for (size_t i = 0; i < top->registries_count; i++) {
        add_registry(&table, &top->registries[i]);
    }
    if (!rf_regctl_table_print(&table, stream)) {
        return false;
    }
    for (size_t i = 0; i < top->registries_count; i++) {
        if (top->registries[i].code < 0) {
            (void)fprintf(stream, "%s\n", top->registries[i].error); /* its error flag tells */
        }
    }
    return true;
}

static bool print_workers(const struct registry *registry, FILE *stream)
{
    static const char *const titles[] = {"WORKER",         "LOOKUPS/s",   "REQUESTS/s",
                                         "REQUESTS/BATCH", "MB/s IN",     "MB/s OUT",
                                         "SLEEPS/s",       "CONNECTIONS", "WATCHES"};
    struct regctl_table table = {.columns = sizeof(titles) / sizeof(titles[0]),
                                 .right = UINT32_MAX};
    for (size_t i = 0; i < table.columns; i++) {
        rf_regctl_table_add(&table, "%s", titles[i]);
    }
    for (unsigned i = 0; i < registry->now->workers_count; i++) {
        const struct regctl_worker_rates *rates = &registry->rates.workers[i];
        rf_regctl_table_add(&table, "%u", i);
        rf_regctl_table_add(&table, "%.0f", rates->lookups_per_s);
        rf_regctl_table_add(&table, "%.0f", rates->requests_per_s);
        rf_regctl_table_add(&table, "%.1f", rates->requests_per_batch);
        rf_regctl_table_add(&table, "%.2f", rates->received_per_s / 1e6);
        rf_regctl_table_add(&table, "%.2f", rates->sent_per_s / 1e6);
        rf_regctl_table_add(&table, "%.0f", rates->blocked_per_s);
        rf_regctl_table_add(&table, "%" PRIu64, registry->now->workers[i].connections);
        rf_regctl_table_add(&table, "%" PRIu64, registry->now->workers[i].watches);
    }
    (void)fputc('\n', stream); /* its error flag tells */
    return rf_regctl_table_print(&table, stream);
}

/* Of one registry its workers too. */
static bool print_text(const struct top *top, FILE *stream)
{
    const struct registry *first = &top->registries[0];
    if (!print_registries(top, stream)) {
        return false;
    }
    if (top->registries_count > 1 || !first->has_rates || first->now->workers_count == 0) {
        return true;
    }
    return print_workers(first, stream);
}

/* ---- for programs ---- */

static json_t *json_worker(const struct regctl_worker_sample *now,
                           const struct regctl_worker_rates *rates)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}", "lookups_per_s",
                     rates->lookups_per_s, "requests_per_s", rates->requests_per_s,
                     "requests_per_batch", rates->requests_per_batch, "received_per_s",
                     rates->received_per_s, "sent_per_s", rates->sent_per_s, "sleeps_per_s",
                     rates->blocked_per_s, "connections", (json_int_t)now->connections, "watches",
                     (json_int_t)now->watches);
}

static json_t *json_latency(const struct regctl_rates *rates)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "requests", (json_int_t)rates->requests_measured,
                     "p50_ns", (json_int_t)rates->p50_ns, "p99_ns", (json_int_t)rates->p99_ns,
                     "p999_ns", (json_int_t)rates->p999_ns);
}

static json_t *json_interval(const struct registry *registry)
{
    const struct regctl_rates *rates = &registry->rates;
    json_t *workers = json_array();
    for (unsigned i = 0; i < registry->now->workers_count; i++) {
        (void)json_array_append_new(workers,
                                    json_worker(&registry->now->workers[i], &rates->workers[i]));
    }
    return json_pack("{s:f, s:I, s:o, s:o, s:o}", "seconds", rates->seconds, "changes",
                     (json_int_t)rates->changes, "latency", json_latency(rates), "all",
                     json_worker(&registry->now->sum, &rates->sum), "workers", workers);
}

/* "interval" is null where there is none: since a start of the registry, or of ours. */
static json_t *json_registry(const struct registry *registry)
{
    const struct regctl_sample *now = registry->now;
    if (registry->code < 0) {
        return json_pack("{s:o, s:b, s:o}", "server",
                         rf_regctl_json_text(registry->server, strlen(registry->server)), "answers",
                         0, "error", rf_regctl_json_text(registry->error, strlen(registry->error)));
    }
    return json_pack("{s:s, s:b, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o}", "server",
                     registry->server, "answers", 1, "node",
                     rf_regctl_json_text(now->node, strlen(now->node)), "engine",
                     rf_regctl_json_text(now->engine, strlen(now->engine)), "uptime_ms",
                     (json_int_t)now->uptime_ms, "version", (json_int_t)now->version, "groups",
                     (json_int_t)now->groups, "members", (json_int_t)now->members, "in_ring",
                     (json_int_t)now->alive, "interval",
                     registry->has_rates ? json_interval(registry) : json_null());
}

static int print_json(const struct top *top)
{
    char text[32];
    struct tm parts;
    time_t now = time(NULL);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    json_t *registries = json_array();
    for (size_t i = 0; i < top->registries_count; i++) {
        (void)json_array_append_new(registries, json_registry(&top->registries[i]));
    }
    int status =
        rf_regctl_print_json(json_pack("{s:s, s:o}", "time", text, "registries", registries));
    (void)fflush(stdout); /* one object each time, also into a pipe; main looks at the error flag */
    return status;
}

/* ---- running ---- */

static int draw(const struct top *top)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for a screen");
    }
    char clock[16];
    struct tm parts;
    time_t now = time(NULL);
    (void)strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &parts));
    (void)fprintf(stream, "regctl top  %s  every %" PRIu64 " s  q ends\n\n", clock,
                  top->options->interval_s); /* fclose tells */
    bool is_printed = print_text(top, stream);
    is_printed = fclose(stream) == 0 && is_printed;
    if (is_printed) {
        rf_regctl_screen_draw(&top->screen, text);
    }
    free(text);
    return is_printed ? REGCTL_OK : rf_regctl_fail(-ENOMEM, "no memory for a screen");
}

static int show(const struct top *top)
{
    if (top->options->json) {
        return print_json(top);
    }
    if (top->is_live) {
        return draw(top);
    }
    return print_text(top, stdout) ? REGCTL_OK : rf_regctl_fail(-ENOMEM, "no memory for a table");
}

/* Until somebody ends it, or after one interval. */
static int run(struct top *top)
{
    const uint64_t interval_ns = top->options->interval_s * NS_PER_S;
    ask_all(top);
    uint64_t next_ns = rf_regctl_now_ns() + interval_ns;
    int status = top->is_live ? draw(top) : REGCTL_OK;
    while (status == REGCTL_OK && ferror(stdout) == 0) {
        switch (rf_regctl_screen_wait(&top->screen, next_ns, -1)) {
        case REGCTL_SCREEN_END:
            return REGCTL_OK;
        case REGCTL_SCREEN_INPUT: /* there is no other descriptor */
        case REGCTL_SCREEN_RESIZE:
            status = top->is_live ? draw(top) : REGCTL_OK;
            break;
        case REGCTL_SCREEN_TIME:
            ask_all(top);
            status = show(top);
            if (top->is_once && status == REGCTL_OK && count_answers(top) == 0) {
                rf_regctl_screen_close(&top->screen);
                return rf_regctl_fail(REGFAST_EUNAVAILABLE, "%s", top->registries[0].error);
            }
            if (top->is_once) {
                return status;
            }
            next_ns += interval_ns;
            if (next_ns <= rf_regctl_now_ns()) { /* somebody did not answer for longer */
                next_ns = rf_regctl_now_ns() + interval_ns;
            }
            break;
        }
    }
    return status;
}

static int open_registry(struct registry *registry, const char *server, size_t size,
                         const struct regctl_options *options)
{
    const struct regfast_options client_options = {
        .size = sizeof(client_options),
        .connect_timeout_ms = (uint32_t)options->timeout_ms,
        .call_timeout_ms = (uint32_t)options->timeout_ms,
    };
    registry->server = strndup(server, size);
    registry->last = calloc(1, sizeof(*registry->last));
    registry->now = calloc(1, sizeof(*registry->now));
    if (registry->server == NULL || registry->last == NULL || registry->now == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for what '%.*s' says", (int)size, server);
    }
    int code = regfast_open(registry->server, &client_options, &registry->client, registry->error,
                            sizeof(registry->error));
    return code < 0 ? rf_regctl_fail(code, "%s", registry->error) : REGCTL_OK;
}

/* A client for each of "HOST:PORT,...". */
static int open_registries(struct top *top)
{
    int status = REGCTL_OK;
    struct rf_entries entries = rf_entries(top->options->server); /* the table has let them pass */
    const char *at;
    size_t size;
    while (status == REGCTL_OK && rf_entries_next(&entries, &at, &size, NULL) == 1) {
        if (top->registries_count == REGISTRIES_MAX) {
            (void)rf_regctl_fail(-EINVAL, "top: more than %d registries in -s", REGISTRIES_MAX);
            return REGCTL_USAGE;
        }
        status = open_registry(&top->registries[top->registries_count++], at, size, top->options);
    }
    return status;
}

static void close_registries(struct top *top)
{
    for (size_t i = 0; i < top->registries_count; i++) {
        struct registry *registry = &top->registries[i];
        regfast_close(registry->client);
        free(registry->last);
        free(registry->now);
        free(registry->server);
    }
    free(top->registries);
}

int rf_regctl_top(const struct regctl_options *options, struct regfast_client *client,
                  int arguments_count, char **arguments)
{
    (void)client; /* each registry has its own here */
    (void)arguments_count;
    (void)arguments;
    bool is_terminal = isatty(STDOUT_FILENO) == 1;
    struct top top = {
        .options = options,
        .registries = calloc(REGISTRIES_MAX, sizeof(top.registries[0])),
        .is_once = options->once || (!is_terminal && !options->json),
        .is_live = is_terminal && !options->once && !options->json,
    };
    if (top.registries == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for registries");
    }
    int status = open_registries(&top);
    if (status == REGCTL_OK) {
        int code = rf_regctl_screen_open(&top.screen, top.is_live);
        if (code < 0) {
            status = rf_regctl_fail(code, "cannot wait for signals: %s", strerror(-code));
        } else {
            status = run(&top);
            rf_regctl_screen_close(&top.screen);
        }
    }
    close_registries(&top);
    return status;
}
