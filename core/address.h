/* SPDX-License-Identifier: MIT
 *
 * address.h - an IP address with a port, and its text forms.
 *
 * The bytes are kept as they came: an IPv4 address in 4 bytes and the same one in its mapped
 * 16-byte form are different values, since Serf peers compare byte for byte.
 */
#ifndef RF_CORE_ADDRESS_H
#define RF_CORE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/error.h"

enum {
    RF_HOST_SIZE_MAX = 255,         /* longest DNS name */
    RF_ADDRESS_TEXT_SIZE = 46 + 10, /* INET6_ADDRSTRLEN, brackets, colon, port */
};

struct rf_address {
    uint8_t ip[16];
    uint8_t ip_size; /* 4 or 16; 0: no address */
    uint16_t port;
};

bool rf_address_equal(const struct rf_address *a, const struct rf_address *b);

/* The same place in its shortest form: a mapped IPv4 address becomes one of 4 bytes. For finding
 * who is where; what others announced is passed on as it came. */
struct rf_address rf_address_unmapped(const struct rf_address *address);

/* Those who share one owner, as far as an address tells: an IPv4 address in either form, or an IPv6
 * network of 64 bits, which is the least that one gets. Without a port. */
struct rf_address rf_address_site(const struct rf_address *address);

/* "10.0.0.1:80", "[::1]:80"; "-" for no address. Returns `text`. */
const char *rf_address_format(const struct rf_address *address, char text[RF_ADDRESS_TEXT_SIZE]);

/* 10/8, 172.16/12, 192.168/16 (RFC 1918), also in mapped form. */
bool rf_address_is_private(const struct rf_address *address);

/* 0.0.0.0 or ::, which say "every interface" and cannot be advertised. */
bool rf_address_is_wildcard(const struct rf_address *address);

/*
 * To and from what the system calls take. A mapped IPv4 address becomes a sockaddr_in; what is not
 * AF_INET or AF_INET6 becomes no address, and no address gives size 0, which the calls refuse.
 */
socklen_t rf_address_to_sockaddr(const struct rf_address *address, struct sockaddr_storage *ret);
void rf_address_from_sockaddr(const struct sockaddr *sockaddr, struct rf_address *ret_address);

struct rf_host_port {
    char host[RF_HOST_SIZE_MAX + 1]; /* without brackets; empty: any */
    uint16_t port;
};

/*
 * Splits "HOST:PORT", ":PORT", "[V6]:PORT"; with `default_port` > 0 also "HOST" and "[V6]".
 * Errors: -EINVAL; the text quotes `text` and says which part is wrong, and what would be right.
 */
RF_NODISCARD int rf_host_port_parse(const char *text, uint16_t default_port,
                                    struct rf_host_port *ret, struct rf_error *err);

/* The same for an address to bind, where port 0 is allowed too: any that is free. */
RF_NODISCARD int rf_host_port_parse_bind(const char *text, uint16_t default_port,
                                         struct rf_host_port *ret, struct rf_error *err);

/* Whether a host says "every interface": it is empty, or a wildcard address in any of its forms. */
bool rf_host_is_any(const char *host);

/*
 * Resolves to at most `addresses_max` addresses by getaddrinfo: it may block for seconds, so never
 * on the gossip or a worker thread. An empty host gives 0.0.0.0.
 * Returns the count, >= 1. Errors: -EHOSTUNREACH with the resolver's words.
 */
RF_NODISCARD int rf_host_port_resolve(const struct rf_host_port *host_port,
                                      struct rf_address *addresses, int addresses_max,
                                      struct rf_error *err);

/* Whether an address reaches no other machine: 127.0.0.0/8, ::1, also in the mapped form. */
bool rf_address_is_loopback(const struct rf_address *address);

/*
 * The machine's first private IPv4 address (RFC 1918) of an interface that is up, else its first
 * other one that is not loopback, else 127.0.0.1; port 0. This is what an empty or wildcard host in
 * an advertised address becomes.
 */
void rf_address_first_private(struct rf_address *ret_address);

#endif
