/* SPDX-License-Identifier: MIT */
#include "gossip/contacts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/message.h"

enum { LIST_MIN = 16 };

void rf_contacts_init(struct rf_contacts *contacts, uint64_t seed)
{
    *contacts = (struct rf_contacts){0};
    rf_name_table_init(&contacts->names, seed);
}

void rf_contacts_clear(struct rf_contacts *contacts)
{
    uint64_t seed = contacts->names.seed;
    rf_contacts_fini(contacts);
    rf_contacts_init(contacts, seed);
}

void rf_contacts_fini(struct rf_contacts *contacts)
{
    for (size_t i = 0; i < contacts->count; i++) {
        free(contacts->list[i]);
    }
    free(contacts->list);
    rf_name_table_fini(&contacts->names);
    *contacts = (struct rf_contacts){0};
}

struct rf_contact *rf_contacts_find(const struct rf_contacts *contacts, struct rf_slice name)
{
    return (struct rf_contact *)rf_name_table_find(&contacts->names, name);
}

static bool list_reserve(struct rf_contacts *contacts)
{
    if (contacts->count < contacts->capacity) {
        return true;
    }
    size_t capacity = contacts->capacity == 0 ? LIST_MIN : 2 * contacts->capacity;
    struct rf_contact **list = realloc(contacts->list, capacity * sizeof(list[0]));
    if (list == NULL) {
        return false;
    }
    contacts->list = list;
    contacts->capacity = capacity;
    return true;
}

static struct rf_contact *contact_add(struct rf_contacts *contacts, struct rf_slice name)
{
    struct rf_contact *contact =
        list_reserve(contacts) ? calloc(1, sizeof(*contact) + name.size + 1) : NULL;
    if (contact == NULL) {
        return NULL;
    }
    memcpy(contact->name, name.data, name.size);
    contact->link.name = rf_slice(contact->name, name.size);
    if (!rf_name_table_insert(&contacts->names, &contact->link)) {
        free(contact);
        return NULL;
    }
    contact->list_index = contacts->count;
    contacts->list[contacts->count++] = contact;
    return contact;
}

int rf_contacts_put(struct rf_contacts *contacts, struct rf_slice name,
                    const struct rf_address *address, bool was_alive)
{
    RF_ASSERT(name.size > 0 && name.size <= RF_GOSSIP_NAME_SIZE_MAX);
    struct rf_contact *contact = rf_contacts_find(contacts, name);
    if (contact == NULL && contacts->count >= RF_CONTACTS_MAX) {
        return RF_ELIMIT;
    }
    if (contact == NULL) {
        contact = contact_add(contacts, name);
    }
    if (contact == NULL) {
        return -ENOMEM;
    }
    contact->address = *address;
    contact->was_alive = was_alive;
    return 0;
}

void rf_contacts_remove(struct rf_contacts *contacts, struct rf_slice name)
{
    struct rf_contact *contact = rf_contacts_find(contacts, name);
    if (contact == NULL) {
        return;
    }
    rf_name_table_remove(&contacts->names, &contact->link);
    struct rf_contact *last = contacts->list[--contacts->count];
    contacts->list[contact->list_index] = last;
    last->list_index = contact->list_index;
    free(contact);
}

static void swap(struct rf_contacts *contacts, size_t a, size_t b)
{
    struct rf_contact *contact = contacts->list[a];
    contacts->list[a] = contacts->list[b];
    contacts->list[b] = contact;
    contacts->list[a]->list_index = a;
    contacts->list[b]->list_index = b;
}

void rf_contacts_shuffle(struct rf_contacts *contacts, struct rf_random *random)
{
    for (size_t i = contacts->count; i > 1; i--) {
        swap(contacts, i - 1, rf_random_below(random, i));
    }
    size_t alive_count = 0;
    for (size_t i = 0; i < contacts->count; i++) {
        if (contacts->list[i]->was_alive) {
            swap(contacts, i, alive_count++);
        }
    }
}

void rf_contacts_check(const struct rf_contacts *contacts)
{
    RF_ASSERT(contacts->count == contacts->names.count && contacts->count <= RF_CONTACTS_MAX);
    for (size_t i = 0; i < contacts->count; i++) {
        RF_ASSERT(contacts->list[i]->list_index == i);
        RF_ASSERT(rf_contacts_find(contacts, contacts->list[i]->link.name) == contacts->list[i]);
    }
}
