/* SPDX-License-Identifier: MIT
 *
 * contacts.h - nodes by name with the address where they were last seen: what a node knows of its
 * cluster beside its members, from a snapshot, and whom it may call to find the cluster again.
 *
 * Threads: none; one caller at a time.
 */
#ifndef RF_GOSSIP_CONTACTS_H
#define RF_GOSSIP_CONTACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/random.h"
#include "gossip/name_table.h"

enum { RF_CONTACTS_MAX = 65536 /* far more than are needed to find one that is up */ };

struct rf_contact {
    struct rf_name_link link; /* first; the name, NUL-terminated, lies behind the struct */
    size_t list_index;
    struct rf_address address;
    bool was_alive; /* when it was last heard of; else it had failed */
    char name[];
};

struct rf_contacts {
    struct rf_name_table names;
    struct rf_contact **list;
    size_t count;
    size_t capacity;
};

/* `seed` is of the hash: see name_table.h. */
void rf_contacts_init(struct rf_contacts *contacts, uint64_t seed);
void rf_contacts_fini(struct rf_contacts *contacts);

struct rf_contact *rf_contacts_find(const struct rf_contacts *contacts, struct rf_slice name);

/*
 * Adds a contact, or replaces what is known of it. `name` is copied: 1..RF_GOSSIP_NAME_SIZE_MAX.
 * Errors: RF_ELIMIT there are RF_CONTACTS_MAX others; -ENOMEM. Then nothing has changed.
 */
RF_NODISCARD int rf_contacts_put(struct rf_contacts *contacts, struct rf_slice name,
                                 const struct rf_address *address, bool was_alive);

/* Forgets a contact, if there is one of that name; the last of the list takes its place. */
void rf_contacts_remove(struct rf_contacts *contacts, struct rf_slice name);
void rf_contacts_clear(struct rf_contacts *contacts);

/* Random order, but first all that were alive. */
void rf_contacts_shuffle(struct rf_contacts *contacts, struct rf_random *random);

/* Asserts that list and names agree. O(n). */
void rf_contacts_check(const struct rf_contacts *contacts);

#endif
