/* SPDX-License-Identifier: MIT */
#include "core/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static struct rf_address address_of(const char *ip, uint16_t port)
{
    struct rf_address address = {.port = port};
    if (inet_pton(AF_INET, ip, address.ip) == 1) {
        address.ip_size = 4;
    } else {
        assert_int_equal(inet_pton(AF_INET6, ip, address.ip), 1);
        address.ip_size = 16;
    }
    return address;
}

static void addresses_format_as_host_and_port(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        uint16_t port;
        const char *text;
    } cases[] = {
        {"10.0.0.1", 80, "10.0.0.1:80"},
        {"255.255.255.255", 65535, "255.255.255.255:65535"},
        {"::1", 80, "[::1]:80"},
        {"::ffff:10.0.0.1", 0, "[::ffff:10.0.0.1]:0"},
        {"2001:db8:1111:2222:3333:4444:5555:6666", 65535,
         "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"},
    };
    char text[RF_ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct rf_address address = address_of(cases[i].ip, cases[i].port);
        assert_string_equal(rf_address_format(&address, text), cases[i].text);
    }
    const struct rf_address none = {.port = 80};
    assert_string_equal(rf_address_format(&none, text), "-");
    const struct rf_address absurd = {.ip_size = 7};
    assert_string_equal(rf_address_format(&absurd, text), "-");
}

static void mapped_and_plain_ipv4_are_different_values(void **state)
{
    (void)state;
    struct rf_address plain = address_of("10.0.0.1", 80);
    const struct rf_address mapped = address_of("::ffff:10.0.0.1", 80);
    struct rf_address other = plain;
    assert_true(rf_address_equal(&plain, &other));
    assert_false(rf_address_equal(&plain, &mapped));
    other.port = 81;
    assert_false(rf_address_equal(&plain, &other));
    plain.ip[9] = 0xaa; /* bytes past ip_size do not count */
    other = address_of("10.0.0.1", 80);
    assert_true(rf_address_equal(&plain, &other));
}

static void sockaddr_round_trip_keeps_the_address(void **state)
{
    (void)state;
    static const char *const ips[] = {"10.1.2.3", "::1", "2001:db8::7"};
    for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++) {
        const struct rf_address address = address_of(ips[i], 7370);
        struct sockaddr_storage storage;
        struct rf_address back;
        assert_true(rf_address_to_sockaddr(&address, &storage) > 0);
        rf_address_from_sockaddr((const struct sockaddr *)&storage, &back);
        assert_true(rf_address_equal(&address, &back));
    }
    const struct rf_address mapped = address_of("::ffff:10.1.2.3", 80);
    struct sockaddr_storage storage;
    assert_int_equal(rf_address_to_sockaddr(&mapped, &storage), sizeof(struct sockaddr_in));
    assert_int_equal(storage.ss_family, AF_INET);
    const struct rf_address none = {0};
    assert_int_equal(rf_address_to_sockaddr(&none, &storage), 0);
    const struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct rf_address back = mapped;
    rf_address_from_sockaddr((const struct sockaddr *)&un, &back);
    assert_int_equal(back.ip_size, 0);
}

static void private_and_wildcard_addresses_are_told_in_both_forms(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        bool is_private;
        bool is_wildcard;
    } cases[] = {
        {"10.0.0.0", true, false},       {"10.255.255.255", true, false},
        {"11.0.0.0", false, false},      {"172.15.255.255", false, false},
        {"172.16.0.0", true, false},     {"172.31.255.255", true, false},
        {"172.32.0.0", false, false},    {"192.168.0.1", true, false},
        {"192.169.0.1", false, false},   {"127.0.0.1", false, false},
        {"0.0.0.0", false, true},        {"::", false, true},
        {"::1", false, false},           {"::ffff:10.0.0.1", true, false},
        {"::ffff:0.0.0.0", false, true}, {"fd00::1", false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct rf_address address = address_of(cases[i].ip, 0);
        assert_int_equal(rf_address_is_private(&address), cases[i].is_private);
        assert_int_equal(rf_address_is_wildcard(&address), cases[i].is_wildcard);
    }
}

static void host_and_port_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t default_port;
        const char *host;
        uint16_t port;
    } cases[] = {
        {"10.0.0.1:80", 0, "10.0.0.1", 80},
        {":7370", 0, "", 7370},
        {"[::1]:80", 0, "::1", 80},
        {"db-1.example:65535", 99, "db-1.example", 65535},
        {"localhost", 9800, "localhost", 9800},
        {"[fe80::2]", 9800, "fe80::2", 9800},
        {"h:00080", 0, "h", 80},
        {":1", 9800, "", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rf_host_port host_port;
        assert_int_equal(rf_host_port_parse(cases[i].text, cases[i].default_port, &host_port, NULL),
                         0);
        assert_string_equal(host_port.host, cases[i].host);
        assert_int_equal(host_port.port, cases[i].port);
    }
}

static void a_port_to_bind_may_be_zero_but_not_absent(void **state)
{
    (void)state;
    struct rf_host_port host_port;
    assert_int_equal(rf_host_port_parse_bind("127.0.0.1:0", 0, &host_port, NULL), 0);
    assert_string_equal(host_port.host, "127.0.0.1");
    assert_int_equal(host_port.port, 0);
    struct rf_error err = {0};
    assert_int_equal(rf_host_port_parse_bind("h:", 0, &host_port, &err), -EINVAL);
    assert_string_equal(err.text, "address 'h:': port '': allowed 0..65535");
}

static void host_and_port_refusals_say_which_part_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t default_port;
        const char *error;
    } cases[] = {
        {"h:99999", 0, "address 'h:99999': port '99999': allowed 1..65535"},
        {"h:0", 0, "address 'h:0': port '0': allowed 1..65535"},
        {"h:", 9800, "address 'h:': port '': allowed 1..65535"},
        {"h:-1", 0, "address 'h:-1': port '-1': allowed 1..65535"},
        {"h:80x", 0, "address 'h:80x': port '80x': allowed 1..65535"},
        {"h:4294967376", 0, "address 'h:4294967376': port '4294967376': allowed 1..65535"},
        {"", 9800, "address '': no port, expected HOST:PORT or [IPV6]:PORT"},
        {"h", 0, "address 'h': no port, expected HOST:PORT or [IPV6]:PORT"},
        {"[::1]", 0, "address '[::1]': no port, expected HOST:PORT or [IPV6]:PORT"},
        {"::1:80", 0, "address '::1:80': an IPv6 address goes in brackets: [IPV6]:PORT"},
        {"[::1", 0, "address '[::1': expected [IPV6]:PORT"},
        {"[::1]80", 0, "address '[::1]80': expected [IPV6]:PORT"},
        {"[]:80", 0, "address '[]:80': what is in the brackets is no IPv6 address"},
        {"[h]:80", 0, "address '[h]:80': what is in the brackets is no IPv6 address"},
        {"a b:80", 0, "address 'a b:80': the host has characters that no host name has"},
        {"a\nb:80", 0, "address 'a\\x0ab:80': the host has characters that no host name has"},
        {"http//h:80", 0, "address 'http//h:80': the host has characters that no host name has"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rf_host_port host_port = {.port = 4711};
        struct rf_error err = {0};
        assert_int_equal(rf_host_port_parse(cases[i].text, cases[i].default_port, &host_port, &err),
                         -EINVAL);
        assert_string_equal(err.text, cases[i].error);
        assert_int_equal(host_port.port, 4711);
    }
}

static void hosts_up_to_the_longest_dns_name_are_taken(void **state)
{
    (void)state;
    char text[RF_HOST_SIZE_MAX + 8];
    struct rf_host_port host_port;
    memset(text, 'h', RF_HOST_SIZE_MAX + 1);
    strcpy(text + RF_HOST_SIZE_MAX, ":80");
    assert_int_equal(rf_host_port_parse(text, 0, &host_port, NULL), 0);
    assert_int_equal(strlen(host_port.host), RF_HOST_SIZE_MAX);
    text[RF_HOST_SIZE_MAX] = 'h';
    strcpy(text + RF_HOST_SIZE_MAX + 1, ":80");
    assert_int_equal(rf_host_port_parse(text, 0, &host_port, NULL), -EINVAL);
}

static void literals_and_the_empty_host_resolve_without_a_resolver(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        const char *text;
    } cases[] = {{"127.0.0.1", "127.0.0.1:80"}, {"::1", "[::1]:80"}, {"", "0.0.0.0:80"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rf_host_port host_port = {.port = 80};
        struct rf_address addresses[4];
        char text[RF_ADDRESS_TEXT_SIZE];
        strcpy(host_port.host, cases[i].host);
        assert_int_equal(rf_host_port_resolve(&host_port, addresses, 4, NULL), 1);
        assert_string_equal(rf_address_format(&addresses[0], text), cases[i].text);
    }
}

static void a_host_that_cannot_exist_is_named(void **state)
{
    (void)state;
    struct rf_host_port host_port = {.host = "256.256.256.256:1", .port = 80};
    struct rf_address addresses[1];
    struct rf_error err = {0};
    memset(host_port.host, 'x', 100); /* no label of a name has more than 63 bytes */
    host_port.host[100] = '\0';
    assert_int_equal(rf_host_port_resolve(&host_port, addresses, 1, &err), -EHOSTUNREACH);
    assert_non_null(strstr(err.text, "host 'xxxxxxxx"));
}

static void the_first_private_address_is_an_ipv4_address_without_port(void **state)
{
    (void)state;
    struct rf_address address = {.port = 1};
    rf_address_first_private(&address);
    assert_int_equal(address.ip_size, 4);
    assert_int_equal(address.port, 0);
    assert_false(rf_address_is_wildcard(&address));
}

static struct rf_address parsed(const char *text)
{
    struct rf_host_port host_port;
    struct rf_address address = {0};
    assert_int_equal(rf_host_port_parse(text, 0, &host_port, NULL), 0);
    assert_int_equal(rf_host_port_resolve(&host_port, &address, 1, NULL), 1);
    return address;
}

static void address_site_is_an_ipv4_address_or_an_ipv6_network(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool is_one;
    } cases[] = {
        {"10.0.0.1:80", "10.0.0.1:81", true},
        {"10.0.0.1:80", "10.0.0.2:80", false},
        {"10.0.0.1:80", "[::ffff:10.0.0.1]:80", true},
        {"[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.2]:80", false},
        {"[2001:db8:1:2::1]:80", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:9", true},
        {"[2001:db8:1:2::1]:80", "[2001:db8:1:3::1]:80", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rf_address both[2] = {parsed(cases[i].a), parsed(cases[i].b)};
        struct rf_address sites[2] = {rf_address_site(&both[0]), rf_address_site(&both[1])};
        assert_int_equal(rf_address_equal(&sites[0], &sites[1]), cases[i].is_one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_format_as_host_and_port),
        cmocka_unit_test(mapped_and_plain_ipv4_are_different_values),
        cmocka_unit_test(sockaddr_round_trip_keeps_the_address),
        cmocka_unit_test(private_and_wildcard_addresses_are_told_in_both_forms),
        cmocka_unit_test(host_and_port_are_split),
        cmocka_unit_test(a_port_to_bind_may_be_zero_but_not_absent),
        cmocka_unit_test(host_and_port_refusals_say_which_part_is_wrong),
        cmocka_unit_test(hosts_up_to_the_longest_dns_name_are_taken),
        cmocka_unit_test(literals_and_the_empty_host_resolve_without_a_resolver),
        cmocka_unit_test(a_host_that_cannot_exist_is_named),
        cmocka_unit_test(the_first_private_address_is_an_ipv4_address_without_port),
        cmocka_unit_test(address_site_is_an_ipv4_address_or_an_ipv6_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
