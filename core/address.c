/* SPDX-License-Identifier: MIT */
#include "core/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"

enum { IPV4_SIZE = 4, IPV6_SIZE = 16, PORT_MAX = 65535 };

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff}; /* RFC 4291, 2.5.5.2 */

/* The four bytes of an IPv4 address in either form, or NULL. */
static const uint8_t *ipv4_of(const struct rf_address *address)
{
    if (address->ip_size == IPV4_SIZE) {
        return address->ip;
    }
    if (address->ip_size == IPV6_SIZE &&
        memcmp(address->ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        return address->ip + sizeof(mapped_prefix);
    }
    return NULL;
}

bool rf_address_equal(const struct rf_address *a, const struct rf_address *b)
{
    return a->ip_size == b->ip_size && a->port == b->port && memcmp(a->ip, b->ip, a->ip_size) == 0;
}

struct rf_address rf_address_unmapped(const struct rf_address *address)
{
    const uint8_t *ipv4 = ipv4_of(address);
    struct rf_address unmapped = {.port = address->port};
    unmapped.ip_size = ipv4 != NULL ? IPV4_SIZE : address->ip_size;
    memcpy(unmapped.ip, ipv4 != NULL ? ipv4 : address->ip, unmapped.ip_size);
    return unmapped;
}

struct rf_address rf_address_site(const struct rf_address *address)
{
    struct rf_address site = rf_address_unmapped(address);
    if (site.ip_size == IPV6_SIZE) {
        memset(site.ip + IPV6_SIZE / 2, 0, IPV6_SIZE / 2);
    }
    site.port = 0;
    return site;
}

const char *rf_address_format(const struct rf_address *address, char text[RF_ADDRESS_TEXT_SIZE])
{
    char ip[INET6_ADDRSTRLEN];
    if (address->ip_size == IPV4_SIZE && inet_ntop(AF_INET, address->ip, ip, sizeof(ip)) != NULL) {
        (void)snprintf(text, RF_ADDRESS_TEXT_SIZE, "%s:%u", ip, address->port);
    } else if (address->ip_size == IPV6_SIZE &&
               inet_ntop(AF_INET6, address->ip, ip, sizeof(ip)) != NULL) {
        (void)snprintf(text, RF_ADDRESS_TEXT_SIZE, "[%s]:%u", ip, address->port);
    } else {
        (void)snprintf(text, RF_ADDRESS_TEXT_SIZE, "-");
    }
    return text;
}

bool rf_address_is_private(const struct rf_address *address)
{
    const uint8_t *ip = ipv4_of(address);
    return ip != NULL && (ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
                          (ip[0] == 192 && ip[1] == 168));
}

bool rf_address_is_wildcard(const struct rf_address *address)
{
    static const uint8_t zeros[IPV6_SIZE];
    const uint8_t *ipv4 = ipv4_of(address);
    return ipv4 != NULL
               ? memcmp(ipv4, zeros, IPV4_SIZE) == 0
               : address->ip_size == IPV6_SIZE && memcmp(address->ip, zeros, IPV6_SIZE) == 0;
}

socklen_t rf_address_to_sockaddr(const struct rf_address *address, struct sockaddr_storage *ret)
{
    const uint8_t *ipv4 = ipv4_of(address);
    memset(ret, 0, sizeof(*ret));
    if (ipv4 != NULL) {
        struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&sin.sin_addr, ipv4, IPV4_SIZE);
        memcpy(ret, &sin, sizeof(sin));
        return sizeof(sin);
    }
    if (address->ip_size == IPV6_SIZE) {
        struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
        memcpy(&sin6.sin6_addr, address->ip, IPV6_SIZE);
        memcpy(ret, &sin6, sizeof(sin6));
        return sizeof(sin6);
    }
    return 0;
}

void rf_address_from_sockaddr(const struct sockaddr *sockaddr, struct rf_address *ret_address)
{
    struct rf_address address = {0};
    if (sockaddr->sa_family == AF_INET) {
        struct sockaddr_in sin;
        memcpy(&sin, sockaddr, sizeof(sin));
        memcpy(address.ip, &sin.sin_addr, IPV4_SIZE);
        address.ip_size = IPV4_SIZE;
        address.port = ntohs(sin.sin_port);
    } else if (sockaddr->sa_family == AF_INET6) {
        struct sockaddr_in6 sin6;
        memcpy(&sin6, sockaddr, sizeof(sin6));
        memcpy(address.ip, &sin6.sin6_addr, IPV6_SIZE);
        address.ip_size = IPV6_SIZE;
        address.port = ntohs(sin6.sin6_port);
    }
    *ret_address = address;
}

/* What is between "[...]" or before the colon, and what follows it. */
struct parts {
    const char *host;
    size_t host_size;
    const char *port; /* NULL: none given */
    bool is_bracketed;
};

static int split(const char *text, struct parts *ret, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    struct parts parts = {.host = text, .host_size = strlen(text)};
    const char *colon = strchr(text, ':');
    if (text[0] == '[') {
        const char *bracket = strchr(text, ']');
        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':')) {
            return rf_error_set(err, -EINVAL, "address %s: expected [IPV6]:PORT",
                                rf_text_quote(text, quoted));
        }
        parts.is_bracketed = true;
        parts.host = text + 1;
        parts.host_size = (size_t)(bracket - parts.host);
        parts.port = bracket[1] == ':' ? bracket + 2 : NULL;
    } else if (colon != NULL) {
        if (strchr(colon + 1, ':') != NULL) {
            return rf_error_set(err, -EINVAL,
                                "address %s: an IPv6 address goes in brackets: [IPV6]:PORT",
                                rf_text_quote(text, quoted));
        }
        parts.host_size = (size_t)(colon - text);
        parts.port = colon + 1;
    }
    *ret = parts;
    return 0;
}

static int parse_port(const char *text, const char *port, unsigned port_min, uint16_t *ret_port,
                      struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    char port_quoted[RF_QUOTE_SIZE];
    unsigned value = 0;
    const char *c = port;
    for (; *c >= '0' && *c <= '9' && value <= PORT_MAX; c++) {
        value = value * 10 + (unsigned)(*c - '0');
    }
    if (*c != '\0' || c == port || value < port_min || value > PORT_MAX) {
        return rf_error_set(err, -EINVAL, "address %s: port %s: allowed %u..%d",
                            rf_text_quote(text, quoted), rf_text_quote(port, port_quoted), port_min,
                            PORT_MAX);
    }
    *ret_port = (uint16_t)value;
    return 0;
}

static int check_host(const char *text, const struct parts *parts, const char *host,
                      struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    struct in6_addr in6;
    if (parts->is_bracketed && inet_pton(AF_INET6, host, &in6) != 1) {
        return rf_error_set(err, -EINVAL, "address %s: what is in the brackets is no IPv6 address",
                            rf_text_quote(text, quoted));
    }
    if (!rf_text_is_clean(host) || strpbrk(host, " []/@") != NULL) {
        return rf_error_set(err, -EINVAL,
                            "address %s: the host has characters that no host name has",
                            rf_text_quote(text, quoted));
    }
    return 0;
}

static int parse(const char *text, uint16_t default_port, unsigned port_min,
                 struct rf_host_port *ret, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    struct parts parts = {0}; /* gcc -O2 cannot see that rf_error_set returns its code */
    struct rf_host_port host_port = {.port = default_port};
    int code = split(text, &parts, err);
    if (code != 0) {
        return code;
    }
    if (parts.port == NULL && (default_port == 0 || text[0] == '\0')) {
        return rf_error_set(err, -EINVAL, "address %s: no port, expected HOST:PORT or [IPV6]:PORT",
                            rf_text_quote(text, quoted));
    }
    if (parts.host_size > RF_HOST_SIZE_MAX) {
        return rf_error_set(err, -EINVAL, "address %s: host of %zu bytes, allowed 0..%d",
                            rf_text_quote(text, quoted), parts.host_size, RF_HOST_SIZE_MAX);
    }
    memcpy(host_port.host, parts.host, parts.host_size);
    code = check_host(text, &parts, host_port.host, err);
    if (code == 0 && parts.port != NULL) {
        code = parse_port(text, parts.port, port_min, &host_port.port, err);
    }
    if (code == 0) {
        *ret = host_port;
    }
    return code;
}

int rf_host_port_parse(const char *text, uint16_t default_port, struct rf_host_port *ret,
                       struct rf_error *err)
{
    return parse(text, default_port, 1, ret, err);
}

int rf_host_port_parse_bind(const char *text, uint16_t default_port, struct rf_host_port *ret,
                            struct rf_error *err)
{
    return parse(text, default_port, 0, ret, err);
}

bool rf_host_is_any(const char *host)
{
    struct rf_address address = {0};
    if (inet_pton(AF_INET, host, address.ip) == 1) {
        address.ip_size = IPV4_SIZE;
    } else if (inet_pton(AF_INET6, host, address.ip) == 1) {
        address.ip_size = IPV6_SIZE;
    }
    return host[0] == '\0' || rf_address_is_wildcard(&address);
}

int rf_host_port_resolve(const struct rf_host_port *host_port, struct rf_address *addresses,
                         int addresses_max, struct rf_error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (host_port->host[0] == '\0') {
        addresses[0] = (struct rf_address){.ip_size = IPV4_SIZE, .port = host_port->port};
        return 1;
    }
    const int status = getaddrinfo(host_port->host, NULL, &hints, &list);
    char quoted[RF_QUOTE_SIZE];
    if (status != 0) {
        const char *why = status == EAI_SYSTEM ? rf_strerror(-errno) : gai_strerror(status);
        return rf_error_set(err, -EHOSTUNREACH, "host %s: %s",
                            rf_text_quote(host_port->host, quoted), why);
    }
    int count = 0;
    for (const struct addrinfo *info = list; info != NULL && count < addresses_max;
         info = info->ai_next) {
        struct rf_address address;
        rf_address_from_sockaddr(info->ai_addr, &address);
        if (address.ip_size > 0) {
            address.port = host_port->port;
            addresses[count++] = address;
        }
    }
    freeaddrinfo(list);
    if (count == 0) {
        return rf_error_set(err, -EHOSTUNREACH, "host %s: no IPv4 or IPv6 address",
                            rf_text_quote(host_port->host, quoted));
    }
    return count;
}

void rf_address_first_private(struct rf_address *ret_address)
{
    struct ifaddrs *list = NULL;
    struct rf_address other = {.ip = {127, 0, 0, 1}, .ip_size = IPV4_SIZE};
    bool has_other = false;
    if (getifaddrs(&list) != 0) {
        list = NULL; /* as if there were no interfaces: loopback always answers */
    }
    for (const struct ifaddrs *at = list; at != NULL; at = at->ifa_next) {
        if (at->ifa_addr == NULL || at->ifa_addr->sa_family != AF_INET ||
            (at->ifa_flags & IFF_UP) == 0 || (at->ifa_flags & IFF_LOOPBACK) != 0) {
            continue;
        }
        struct rf_address address;
        rf_address_from_sockaddr(at->ifa_addr, &address);
        address.port = 0;
        if (rf_address_is_private(&address)) {
            other = address;
            break;
        }
        if (!has_other) {
            other = address;
            has_other = true;
        }
    }
    if (list != NULL) {
        freeifaddrs(list);
    }
    *ret_address = other;
}

bool rf_address_is_loopback(const struct rf_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t one[16] = {[15] = 1};
    if (address->ip_size == 16) {
        return memcmp(address->ip, one, sizeof(one)) == 0 ||
               (memcmp(address->ip, mapped, sizeof(mapped)) == 0 && address->ip[12] == 127);
    }
    return address->ip_size == 4 && address->ip[0] == 127;
}
