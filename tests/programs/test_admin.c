/* SPDX-License-Identifier: MIT
 *
 * test_admin.c - the admin socket with commands of its own: what clients may do to it, and what
 * becomes of its file.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/registry/admin.h"
#include "tools/registry/admin_socket.h"

enum { REPLY_SIZE_MAX = 512, LARGE_SIZE = 4 << 20 };

static char directory[] = "/tmp/test_admin.XXXXXX";
static char socket_path[64];

/* ---- commands ---- */

static int echo(void *context, json_t *request, json_t **ret_result, struct rf_error *err)
{
    const char *text = json_string_value(json_object_get(request, "text"));
    assert_non_null(context);
    if (text == NULL) {
        return rf_error_set(err, -EINVAL, "echo: no text");
    }
    *ret_result = json_pack("{s:s}", "text", text);
    return 0;
}

/* Answers with a text that no socket's buffer holds. */
static int large(void *context, json_t *request, json_t **ret_result, struct rf_error *err)
{
    (void)context;
    (void)request;
    (void)err;
    char *text = malloc(LARGE_SIZE + 1);
    assert_non_null(text);
    memset(text, 'x', LARGE_SIZE);
    text[LARGE_SIZE] = '\0';
    *ret_result = json_pack("{s:s}", "text", text);
    free(text);
    return 0;
}

static int fail_as_told(void *context, json_t *request, json_t **ret_result, struct rf_error *err)
{
    (void)context;
    (void)ret_result;
    int code = (int)json_integer_value(json_object_get(request, "code"));
    return rf_error_set(err, code, "fail: with %d\n", code);
}

static const struct rf_admin_command commands[] = {
    {"echo", echo, false}, {"large", large, false}, {"fail", fail_as_told, true}};

static struct rf_admin *start_with(uint32_t idle_ms, uint32_t write_ms)
{
    static int context;
    struct rf_admin *admin = NULL;
    const struct rf_admin_config config = {.path = socket_path,
                                           .commands = commands,
                                           .commands_count = 3,
                                           .idle_ms = idle_ms,
                                           .write_ms = write_ms};
    struct rf_error err = {0};
    assert_int_equal(rf_admin_new(&config, &admin, &err), 0);
    assert_int_equal(rf_admin_start(admin, &context, &err), 0);
    return admin;
}

static struct rf_admin *start(void)
{
    return start_with(0, 0);
}

/* ---- a client ---- */

static int client_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    const struct timeval patience = {.tv_sec = 20};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void client_send(int fd, const char *bytes)
{
    ssize_t size = (ssize_t)strlen(bytes);
    assert_true(size == 0 || send(fd, bytes, (size_t)size, MSG_NOSIGNAL) == size);
}

/* The next line without its newline; "" at the end. */
static void client_receive(int fd, char ret_line[REPLY_SIZE_MAX])
{
    size_t used = 0;
    while (used < REPLY_SIZE_MAX - 1 && recv(fd, ret_line + used, 1, 0) == 1 &&
           ret_line[used] != '\n') {
        used++;
    }
    ret_line[used] = '\0';
}

static void assert_asked(int fd, const char *request, const char *reply)
{
    char line[REPLY_SIZE_MAX];
    client_send(fd, request);
    client_receive(fd, line);
    assert_string_equal(line, reply);
}

static void assert_closed(int fd)
{
    char byte;
    ssize_t size = recv(fd, &byte, 1, 0);
    assert_true(size == 0 || (size < 0 && errno == ECONNRESET));
    close(fd);
}

/* ---- requests ---- */

static void admin_answers_each_line_in_order(void **state)
{
    (void)state;
    struct rf_admin *admin = start();
    int fd = client_open();
    assert_asked(fd,
                 "{\"command\": \"echo\", \"text\": \"a\"}\n{\"command\":\"echo\",\"text\":\"b\"}",
                 "{\"result\":{\"text\":\"a\"}}");
    assert_asked(fd, "\n", "{\"result\":{\"text\":\"b\"}}");
    close(fd);
    rf_admin_free(admin);
}

static void admin_names_what_is_wrong_with_a_request_and_goes_on(void **state)
{
    (void)state;
    struct rf_admin *admin = start();
    int fd = client_open();
    assert_asked(fd, "[]\n",
                 "{\"error\":{\"code\":\"invalid\",\"text\":\"request: no JSON object\"}}");
    assert_asked(fd, "{}\n",
                 "{\"error\":{\"code\":\"invalid\",\"text\":\"request: no string 'command' in "
                 "it\"}}");
    assert_asked(fd, "{\"command\":7}\n",
                 "{\"error\":{\"code\":\"invalid\",\"text\":\"request: no string 'command' in "
                 "it\"}}");
    assert_asked(fd, "{\"command\":\"no\\u0001'such\"}\n",
                 "{\"error\":{\"code\":\"invalid\",\"text\":\"unknown command "
                 "'no\\\\x01\\\\x27such'; known are: echo, large, fail\"}}");
    assert_asked(fd, "{\"command\":\"echo\"}\n",
                 "{\"error\":{\"code\":\"invalid\",\"text\":\"echo: no text\"}}");
    char line[REPLY_SIZE_MAX];
    client_send(fd, "{\"command\":\"echo\",\"command\":\"echo\"}\n");
    client_receive(fd, line);
    assert_non_null(strstr(line, "\"invalid\""));
    client_send(fd, "\xff\n");
    client_receive(fd, line);
    assert_non_null(strstr(line, "\"invalid\""));
    assert_asked(fd, "{\"command\":\"echo\",\"text\":\"still here\"}\n",
                 "{\"result\":{\"text\":\"still here\"}}");
    close(fd);
    rf_admin_free(admin);
}

static void admin_tells_the_kinds_of_failure_apart(void **state)
{
    (void)state;
    const struct {
        int code;
        const char *name;
    } kinds[] = {
        {-EINVAL, "invalid"},        {RF_ENOTFOUND, "not-found"}, {RF_EUNAVAILABLE, "unavailable"},
        {-ETIMEDOUT, "unavailable"}, {-ESHUTDOWN, "unavailable"}, {-EBUSY, "failed"}};
    struct rf_admin *admin = start();
    int fd = client_open();
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char request[REPLY_SIZE_MAX];
        char reply[REPLY_SIZE_MAX];
        snprintf(request, sizeof(request), "{\"command\":\"fail\",\"code\":%d}\n", kinds[i].code);
        snprintf(reply, sizeof(reply), "{\"error\":{\"code\":\"%s\",\"text\":\"fail: with %d?\"}}",
                 kinds[i].name, kinds[i].code);
        assert_asked(fd, request, reply);
    }
    close(fd);
    rf_admin_free(admin);
}

static void admin_closes_after_a_line_that_is_too_long(void **state)
{
    (void)state;
    struct rf_admin *admin = start();
    int fd = client_open();
    char bytes[RF_ADMIN_LINE_SIZE_MAX + 1];
    memset(bytes, ' ', sizeof(bytes));
    bytes[RF_ADMIN_LINE_SIZE_MAX] = '\0';
    assert_asked(fd, bytes,
                 "{\"error\":{\"code\":\"invalid\",\"text\":\"request: a line of more than 4095 "
                 "bytes\"}}");
    assert_closed(fd);
    rf_admin_free(admin);
}

static void admin_outlives_clients_that_go_at_any_moment(void **state)
{
    (void)state;
    struct rf_admin *admin = start();
    for (int i = 0; i < 64; i++) {
        int fd = client_open();
        static const char *const parts[] = {"", "{", "{\"command\":\"echo\",\"text\":\"a\"}\n",
                                            "{\"command\":\"large\"}\n"};
        client_send(fd, parts[i % 4]);
        close(fd);
    }
    int fd = client_open();
    assert_asked(fd, "{\"command\":\"echo\",\"text\":\"a\"}\n", "{\"result\":{\"text\":\"a\"}}");
    close(fd);
    rf_admin_free(admin);
}

static void admin_writes_a_reply_larger_than_any_buffer_while_others_are_served(void **state)
{
    (void)state;
    struct rf_admin *admin = start();
    int slow = client_open();
    client_send(slow, "{\"command\":\"large\"}\n{\"command\":\"echo\",\"text\":\"after\"}\n");
    int other = client_open();
    assert_asked(other, "{\"command\":\"echo\",\"text\":\"a\"}\n", "{\"result\":{\"text\":\"a\"}}");
    static char bytes[LARGE_SIZE];
    size_t left = LARGE_SIZE + strlen("{\"result\":{\"text\":\"\"}}\n");
    while (left > 0) {
        ssize_t size = recv(slow, bytes, left < sizeof(bytes) ? left : sizeof(bytes), 0);
        assert_true(size > 0);
        left -= (size_t)size;
    }
    assert_asked(slow, "", "{\"result\":{\"text\":\"after\"}}");
    close(slow);
    close(other);
    rf_admin_free(admin);
}

static void admin_tells_one_client_too_many(void **state)
{
    (void)state;
    struct rf_admin *admin = start();
    int fds[RF_ADMIN_CONNECTIONS_MAX];
    for (int i = 0; i < RF_ADMIN_CONNECTIONS_MAX; i++) {
        fds[i] = client_open();
        assert_asked(fds[i], "{\"command\":\"echo\",\"text\":\"a\"}\n",
                     "{\"result\":{\"text\":\"a\"}}");
    }
    int fd = client_open();
    assert_asked(fd, "",
                 "{\"error\":{\"code\":\"unavailable\",\"text\":\"16 connections are open, allowed "
                 "are no more\"}}");
    assert_closed(fd);
    close(fds[3]);
    /* Its place is free as soon as the thread has seen the end. */
    char line[REPLY_SIZE_MAX] = "";
    for (int i = 0; i < 2000 && strstr(line, "result") == NULL; i++) {
        usleep(10000);
        fd = client_open();
        (void)!send(fd, "{\"command\":\"echo\",\"text\":\"a\"}\n", 31, MSG_NOSIGNAL);
        client_receive(fd, line);
        close(fd);
    }
    assert_string_equal(line, "{\"result\":{\"text\":\"a\"}}");
    for (int i = 0; i < RF_ADMIN_CONNECTIONS_MAX; i++) {
        if (i != 3) {
            close(fds[i]);
        }
    }
    rf_admin_free(admin);
}

static void admin_closes_clients_that_neither_ask_nor_read(void **state)
{
    (void)state;
    struct rf_admin *admin = start_with(1000, 50); /* time enough to ask for something */
    int silent = client_open();
    int half = client_open();
    client_send(half, "{\"command\":");
    assert_closed(silent);
    assert_closed(half);
    int slow = client_open();
    client_send(slow, "{\"command\":\"large\"}\n");
    struct pollfd end = {.fd = slow, .events = POLLRDHUP};
    assert_int_equal(poll(&end, 1, 30000), 1);
    static char bytes[LARGE_SIZE];
    size_t total = 0;
    ssize_t size;
    while ((size = recv(slow, bytes, sizeof(bytes), 0)) > 0) {
        total += (size_t)size;
    }
    assert_true(total < LARGE_SIZE); /* what the buffer held, then the end */
    close(slow);
    rf_admin_free(admin);
}

/* ---- the file ---- */

static void admin_socket_is_its_owners_and_goes_with_it(void **state)
{
    (void)state;
    mode_t before = umask(0);
    struct rf_admin *admin = start();
    umask(before);
    struct stat status;
    assert_int_equal(lstat(socket_path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 07777, 0600);
    int fd = client_open();
    rf_admin_free(admin);
    assert_closed(fd);
    assert_int_equal(rmdir(directory), 0); /* neither socket nor lock is in it */
    assert_int_equal(mkdir(directory, 0700), 0);
}

static void admin_socket_that_is_served_is_refused(void **state)
{
    (void)state;
    struct rf_admin *admin = start();
    struct rf_admin_socket second;
    struct rf_error err = {0};
    assert_int_equal(rf_admin_socket_open(socket_path, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "another process serves it"));
    int fd = client_open();
    assert_asked(fd, "{\"command\":\"echo\",\"text\":\"a\"}\n", "{\"result\":{\"text\":\"a\"}}");
    close(fd);
    rf_admin_free(admin);
}

static void admin_socket_of_another_program_is_left_alone(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    struct rf_admin_socket second;
    struct rf_error err = {0};
    assert_int_equal(rf_admin_socket_open(socket_path, &second, &err), -EADDRINUSE);
    close(fd);
    assert_int_equal(unlink(socket_path), 0);
}

static void admin_socket_of_a_killed_process_is_replaced(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* also if the test ends early */
        struct rf_admin_socket killed;
        char byte = rf_admin_socket_open(socket_path, &killed, NULL) == 0 ? 'y' : 'n';
        (void)!write(ready[1], &byte, 1);
        pause();
        _exit(1);
    }
    char byte = 'n';
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(access(socket_path, F_OK), 0);
    struct rf_admin *admin = start();
    int fd = client_open();
    assert_asked(fd, "{\"command\":\"echo\",\"text\":\"a\"}\n", "{\"result\":{\"text\":\"a\"}}");
    close(fd);
    rf_admin_free(admin);
}

static void admin_socket_never_replaces_what_is_no_socket(void **state)
{
    (void)state;
    FILE *file = fopen(socket_path, "w");
    assert_non_null(file);
    fclose(file);
    struct rf_admin_socket admin_socket;
    struct rf_error err = {0};
    assert_int_equal(rf_admin_socket_open(socket_path, &admin_socket, &err), -EEXIST);
    assert_non_null(strstr(err.text, "no socket"));
    assert_int_equal(unlink(socket_path), 0);
}

static void admin_socket_that_was_replaced_is_not_removed(void **state)
{
    (void)state;
    struct rf_admin *admin = start();
    assert_int_equal(unlink(socket_path), 0);
    FILE *file = fopen(socket_path, "w");
    assert_non_null(file);
    fclose(file);
    rf_admin_free(admin);
    assert_int_equal(unlink(socket_path), 0);
}

static void admin_socket_names_the_limit_of_a_path(void **state)
{
    (void)state;
    char path[RF_ADMIN_PATH_SIZE_MAX + 2];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    struct rf_admin_socket admin_socket;
    struct rf_error err = {0};
    assert_int_equal(rf_admin_socket_open(path, &admin_socket, &err), -ENAMETOOLONG);
    assert_non_null(strstr(err.text, "path of 108 bytes, allowed are 107"));
    assert_int_equal(rf_admin_socket_open("", &admin_socket, &err), -EINVAL);
    assert_int_equal(rf_admin_socket_open("/nonexistent/a.sock", &admin_socket, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/a.sock"));
}

/* Many at once, of which exactly one may win: the file is there already, left by a killed one. */
static void *open_one(void *context)
{
    struct rf_admin_socket *admin_socket = context;
    if (rf_admin_socket_open(socket_path, admin_socket, NULL) < 0) {
        admin_socket->fd = -1;
    }
    return NULL;
}

static void admin_socket_goes_to_one_of_many_that_start_at_once(void **state)
{
    (void)state;
    enum { ROUNDS = 50, THREADS = 4 };
    for (int round = 0; round < ROUNDS; round++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
        int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
        close(stale);
        struct rf_admin_socket sockets[THREADS];
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, open_one, &sockets[i]), 0);
        }
        int winners = 0;
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            winners += sockets[i].fd >= 0;
        }
        assert_int_equal(winners, 1);
        for (int i = 0; i < THREADS; i++) {
            if (sockets[i].fd >= 0) {
                rf_admin_socket_close(&sockets[i]);
            }
        }
        assert_int_not_equal(access(socket_path, F_OK), 0);
    }
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    snprintf(socket_path, sizeof(socket_path), "%s/admin.sock", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(socket_path);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(admin_answers_each_line_in_order),
        cmocka_unit_test(admin_names_what_is_wrong_with_a_request_and_goes_on),
        cmocka_unit_test(admin_tells_the_kinds_of_failure_apart),
        cmocka_unit_test(admin_closes_after_a_line_that_is_too_long),
        cmocka_unit_test(admin_outlives_clients_that_go_at_any_moment),
        cmocka_unit_test(admin_writes_a_reply_larger_than_any_buffer_while_others_are_served),
        cmocka_unit_test(admin_tells_one_client_too_many),
        cmocka_unit_test(admin_closes_clients_that_neither_ask_nor_read),
        cmocka_unit_test(admin_socket_is_its_owners_and_goes_with_it),
        cmocka_unit_test(admin_socket_that_is_served_is_refused),
        cmocka_unit_test(admin_socket_of_another_program_is_left_alone),
        cmocka_unit_test(admin_socket_of_a_killed_process_is_replaced),
        cmocka_unit_test(admin_socket_never_replaces_what_is_no_socket),
        cmocka_unit_test(admin_socket_that_was_replaced_is_not_removed),
        cmocka_unit_test(admin_socket_names_the_limit_of_a_path),
        cmocka_unit_test(admin_socket_goes_to_one_of_many_that_start_at_once),
    };
    return cmocka_run_group_tests_name("admin", tests, set_up, tear_down);
}
