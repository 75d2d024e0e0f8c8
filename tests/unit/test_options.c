/* SPDX-License-Identifier: MIT */
#include "core/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SCOPE_MATCH = 1, SCOPE_REGISTER = 2, ARGUMENTS_MAX = 16 };

static const char *const engines[] = {"auto", "uring", "epoll", NULL};
static bool verbose;
static const char *server, *group, *engine, *registries, *own_address;
static uint64_t replicas;
static struct rf_option_list removed;

static const struct rf_option table[] = {
    {"v", NULL, "say more", RF_OPTION_FLAG, .flag = &verbose, .default_value = "false"},
    {"s", "HOST:PORT", "server", RF_OPTION_HOST_PORT, .text = &server, .port_default = 9800,
     .default_value = "127.0.0.1:9800"},
    {"group", "NAME", "group", RF_OPTION_TEXT, .text = &group, .scope = SCOPE_REGISTER},
    {"io", "ENGINE", "engine", RF_OPTION_CHOICE, .text = &engine, .choices = engines},
    {"replicas", "N", "weight", RF_OPTION_NUMBER, .number = &replicas, .min = 1, .max = 65535,
     .scope = SCOPE_REGISTER, .default_value = "1000"},
    {"registries", "LIST", "whom to join", RF_OPTION_HOST_PORTS, .text = &registries},
    {"bind", "HOST:PORT", "own address", RF_OPTION_BIND, .text = &own_address,
     .port_default = 7370},
    {"remove", "ID", "who goes", RF_OPTION_TEXT_LIST, .list = &removed},
};
static const struct rf_options options = {table, sizeof(table) / sizeof(table[0])};
static struct rf_error err;
static char *arguments[ARGUMENTS_MAX];
static uint64_t given;

/* Parses the words of `line`. */
static int parse(const char *line)
{
    static char words[1024];
    int argc = 0;
    arguments[argc++] = (char *)"program";
    (void)snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc < ARGUMENTS_MAX);
        arguments[argc++] = word;
    }
    group = engine = registries = NULL;
    removed.count = 0;
    err = (struct rf_error){0};
    return rf_options_parse(&options, argc, arguments, &given, &err);
}

static void refused(const char *line, const char *text)
{
    assert_int_equal(parse(line), -EINVAL);
    assert_string_equal(err.text, text);
    assert_int_equal(err.code, -EINVAL);
}

static void options_may_have_one_dash_or_two_and_stand_anywhere(void **state)
{
    (void)state;
    assert_int_equal(parse("match -s h:1 web --group=a k -v"), 3);
    assert_string_equal(arguments[0], "match");
    assert_string_equal(arguments[1], "web");
    assert_string_equal(arguments[2], "k");
    assert_string_equal(server, "h:1");
    assert_string_equal(group, "a");
    assert_true(verbose);
    assert_int_equal(given, 1 | 2 | 4);
    assert_int_equal(parse("--s=h2:2 --group b match -v=false"), 1);
    assert_string_equal(server, "h2:2");
    assert_string_equal(group, "b");
    assert_false(verbose);
}

static void options_end_at_two_dashes_and_one_dash_is_none(void **state)
{
    (void)state;
    assert_int_equal(parse("match - -- -v --s"), 4);
    assert_string_equal(arguments[1], "-");
    assert_string_equal(arguments[2], "-v");
    assert_string_equal(arguments[3], "--s");
    assert_int_equal(given, 0);
}

static void options_not_given_have_their_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse("-s x:1 -replicas 7 -v"), 0);
    assert_int_equal(parse(""), 0);
    assert_string_equal(server, "127.0.0.1:9800");
    assert_int_equal(replicas, 1000);
    assert_false(verbose);
    assert_null(engine);
    assert_int_equal(given, 0);
}

static void options_given_twice_count_the_last_time(void **state)
{
    (void)state;
    assert_int_equal(parse("-replicas 1 -replicas=2"), 0);
    assert_int_equal(replicas, 2);
}

static void options_that_make_a_list_may_be_given_again_and_again(void **state)
{
    (void)state;
    assert_int_equal(parse("-remove a match --remove=b:7 -remove a"), 1);
    assert_int_equal(removed.count, 3);
    assert_string_equal(removed.texts[0], "a");
    assert_string_equal(removed.texts[1], "b:7");
    assert_string_equal(removed.texts[2], "a");
    refused("-remove=", "-remove '': empty, expected ID");
    refused("-remove a -remove", "option -remove needs a value: ID");
    removed.count = RF_OPTION_LIST_MAX;
    static char *one_more[] = {(char *)"program", (char *)"-remove", (char *)"a"};
    assert_int_equal(rf_options_parse(&options, 3, one_more, &given, &err), -EINVAL);
    assert_string_equal(err.text, "option -remove is given more than 1000 times");
}

static void options_refuse_what_is_no_option_or_lacks_its_value(void **state)
{
    (void)state;
    refused("-x", "unknown option '-x'");
    refused("--grou=a", "unknown option '--grou=a'");
    refused("---s h", "unknown option '---s'");
    refused("-=3", "unknown option '-=3'");
    refused("match -s", "option -s needs a value: HOST:PORT");
    refused("-v=yes", "-v='yes': allowed are true and false");
    refused("-group=", "-group '': empty, expected NAME");
    refused("-group=a\x01", "-group 'a\\x01': has control characters");
}

static void options_numbers_are_decimal_and_within_their_range(void **state)
{
    (void)state;
    assert_int_equal(parse("-replicas 65535"), 0);
    assert_int_equal(replicas, 65535);
    refused("-replicas 0", "-replicas '0': allowed 1..65535");
    refused("-replicas 65536", "-replicas '65536': allowed 1..65535");
    refused("-replicas 18446744073709551617", "-replicas '18446744073709551617': allowed 1..65535");
    refused("-replicas -1", "-replicas '-1': not a number, allowed 1..65535");
    refused("-replicas=", "-replicas '': not a number, allowed 1..65535");
    refused("-replicas 1k", "-replicas '1k': not a number, allowed 1..65535");
    assert_int_equal(replicas, 1000); /* the default; nothing of what was refused */
}

static void options_choices_are_named_when_none_fits(void **state)
{
    (void)state;
    assert_int_equal(parse("-io epoll"), 0);
    assert_string_equal(engine, "epoll");
    refused("-io kqueue", "-io 'kqueue': allowed are auto, uring, epoll");
}

static void options_addresses_are_checked_and_left_as_written(void **state)
{
    (void)state;
    static const char *const good[] = {"h:1", ":65535", "[::1]:80", "10.0.0.1:1", "h", "[::1]"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "-s %s", good[i]);
        assert_int_equal(parse(line), 0);
        assert_string_equal(server, good[i]);
    }
    refused("-s 127.0.0.1:99999", "port '99999' in -s: allowed 1..65535");
    refused("-s h:0", "port '0' in -s: allowed 1..65535");
    refused("-s h:", "port '' in -s: allowed 1..65535");
    refused("-s [::1]:x", "port 'x' in -s: allowed 1..65535");
    assert_int_equal(parse("-s ::1:80"), -EINVAL);
    assert_memory_equal(err.text, "-s: ", 4);
    assert_int_equal(parse("-s="), -EINVAL);
}

static void options_address_lists_are_checked_one_by_one(void **state)
{
    (void)state;
    assert_int_equal(parse("-registries a:1,[::1]:2,c:3"), 0);
    assert_string_equal(registries, "a:1,[::1]:2,c:3");
    refused("-registries a:1,b:0", "port '0' in -registries: allowed 1..65535");
    assert_int_equal(parse("-registries a"), -EINVAL); /* no default port */
    assert_int_equal(parse("-registries a:1,,b:2"), -EINVAL);
    assert_int_equal(parse("-registries a:1,"), -EINVAL);
    char line[512] = "-registries ";
    memset(line + strlen(line), 'x', 400);
    refused(line, "-registries: address of 400 bytes, allowed 1..299");
}

static void options_addresses_to_bind_may_have_port_0(void **state)
{
    (void)state;
    assert_int_equal(parse("-bind 127.0.0.1:0"), 0);
    assert_string_equal(own_address, "127.0.0.1:0");
    assert_int_equal(parse("-bind :7370"), 0);
    refused("-bind :65536", "port '65536' in -bind: allowed 0..65535");
}

static void options_know_the_commands_they_are_for(void **state)
{
    (void)state;
    assert_int_equal(parse("-s h:1 -group a"), 0);
    assert_null(rf_options_out_of_scope(&options, given, SCOPE_REGISTER));
    assert_string_equal(rf_options_out_of_scope(&options, given, SCOPE_MATCH)->name, "group");
}

static void options_help_names_values_and_defaults_within_80_columns(void **state)
{
    (void)state;
    static const struct rf_option long_help[] = {
        {"s", "HOST:PORT",
         "A sentence that is longer than the eighty columns which a line of help may have at most.",
         RF_OPTION_HOST_PORT, .text = &server, .default_value = "h:1"},
    };
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    rf_options_print(&(struct rf_options){long_help, 1}, UINT32_MAX, stream);
    rf_options_print(&options, SCOPE_MATCH, stream);
    assert_int_equal(fclose(stream), 0);
    assert_non_null(strstr(text, "  -s HOST:PORT\n        A sentence"));
    assert_non_null(strstr(text, "(default h:1)\n"));
    assert_non_null(strstr(text, "  -v\n"));
    assert_null(strstr(text, "-group"));
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 80);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_have_one_dash_or_two_and_stand_anywhere),
        cmocka_unit_test(options_end_at_two_dashes_and_one_dash_is_none),
        cmocka_unit_test(options_not_given_have_their_defaults),
        cmocka_unit_test(options_given_twice_count_the_last_time),
        cmocka_unit_test(options_that_make_a_list_may_be_given_again_and_again),
        cmocka_unit_test(options_refuse_what_is_no_option_or_lacks_its_value),
        cmocka_unit_test(options_numbers_are_decimal_and_within_their_range),
        cmocka_unit_test(options_choices_are_named_when_none_fits),
        cmocka_unit_test(options_addresses_are_checked_and_left_as_written),
        cmocka_unit_test(options_address_lists_are_checked_one_by_one),
        cmocka_unit_test(options_addresses_to_bind_may_have_port_0),
        cmocka_unit_test(options_know_the_commands_they_are_for),
        cmocka_unit_test(options_help_names_values_and_defaults_within_80_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
