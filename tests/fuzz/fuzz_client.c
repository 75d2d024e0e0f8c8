/* SPDX-License-Identifier: MIT
 *
 * fuzz_client.c - libregfast's calls against a registry that says anything: the first byte chooses
 * the call, the rest is all that the registry ever sends. A client's first request has id 0, the
 * next ones count up.
 *
 * What a call gives out must be well-formed: strings that end, lists in order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"

enum {
    OWNERS_COUNT = 3,
    INPUT_SIZE_MAX = 64 * 1024, /* a socket takes that much without a reader */
    TIMEOUT_MS = 1000,          /* never waited for: the registry has hung up */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_owner(const struct regfast_owner *owner)
{
    require(memchr(owner->id, '\0', sizeof(owner->id)) != NULL && owner->id[0] != '\0');
    require(memchr(owner->addr, '\0', sizeof(owner->addr)) != NULL && owner->addr[0] != '\0');
}

static void call_owners(struct regfast_client *client, bool is_match_many, char *error)
{
    static const struct regfast_key keys[OWNERS_COUNT] = {{"a", 1}, {"b", 1}, {NULL, 0}};
    struct regfast_owner *owners = calloc(OWNERS_COUNT, sizeof(*owners));
    require(owners != NULL);
    int code = is_match_many ? regfast_match_many(client, "web", keys, OWNERS_COUNT, owners, error,
                                                  REGFAST_ERROR_SIZE)
                             : regfast_owners(client, "web", "k", 1, OWNERS_COUNT, owners, error,
                                              REGFAST_ERROR_SIZE);
    require(code <= OWNERS_COUNT);
    int count = is_match_many && code == 0 ? OWNERS_COUNT : code;
    for (int i = 0; i < count; i++) {
        check_owner(&owners[i]);
    }
    free(owners);
}

static void call_members(struct regfast_client *client, char *error)
{
    struct regfast_member_list *list = NULL;
    if (regfast_members(client, "web", &list, error, REGFAST_ERROR_SIZE) < 0) {
        require(list == NULL);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        require(list->members[i].addr[0] != '\0' && list->members[i].replicas > 0);
        require(i == 0 || strcmp(list->members[i - 1].id, list->members[i].id) < 0);
    }
    regfast_member_list_free(list);
}

static void call_groups(struct regfast_client *client, char *error)
{
    struct regfast_group_list *list = NULL;
    if (regfast_groups(client, &list, error, REGFAST_ERROR_SIZE) < 0) {
        require(list == NULL);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        require(list->groups[i].alive_count <= list->groups[i].members_count);
        require(i == 0 || strcmp(list->groups[i - 1].name, list->groups[i].name) < 0);
    }
    regfast_group_list_free(list);
}

static void call_info(struct regfast_client *client, char *error)
{
    struct regfast_info_list *list = NULL;
    if (regfast_info(client, &list, error, REGFAST_ERROR_SIZE) < 0) {
        require(list == NULL);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_info *entry = &list->entries[i];
        require(entry->name[0] != '\0');
        require((entry->type == REGFAST_INFO_TEXT) == (entry->text != NULL));
        require(entry->text == NULL || strlen(entry->text) <= RF_WIRE_INFO_TEXT_SIZE_MAX);
    }
    regfast_info_list_free(list);
}

/* What is known was proved: the digest that the registry said is that of the members. */
static void call_watch(struct regfast_client *client, char *error)
{
    struct regfast_watch *watch;
    struct regfast_reader *reader;
    struct regfast_member_list *list;
    struct regfast_owner owner;
    struct regfast_watch_status status = {.size = sizeof(status)};
    require(regfast_watch(client, "web", &watch, error, REGFAST_ERROR_SIZE) == 0);
    int code = regfast_watch_wait(watch, 0, 1, error, REGFAST_ERROR_SIZE);
    require(code == 0 || code == -ETIMEDOUT);
    require(regfast_watch_status(watch, &status) == 0);
    require((status.state == REGFAST_WATCH_EMPTY) == (status.updates == 0));
    require(regfast_reader_new(watch, &reader) == 0);
    code = regfast_local_match(reader, "k", 1, &owner);
    require((code == 0) == (status.alive_count > 0));
    if (code == 0) {
        check_owner(&owner);
    }
    regfast_reader_free(reader);
    if (regfast_watch_members(watch, &list, error, REGFAST_ERROR_SIZE) == 0) {
        require(list->count == status.members_count && list->digest == status.digest);
        regfast_member_list_free(list);
    }
    regfast_watch_close(watch);
}

static void call(struct regfast_client *client, unsigned which)
{
    char error[REGFAST_ERROR_SIZE];
    struct regfast_owner owner;
    switch (which % 8) {
    case 0:
        if (regfast_match(client, "web", "k", 1, &owner, error, sizeof(error)) == 0) {
            check_owner(&owner);
        }
        break;
    case 1:
    case 2:
        call_owners(client, which % 8 == 1, error);
        break;
    case 3:
        call_members(client, error);
        break;
    case 4:
        call_groups(client, error);
        break;
    case 5:
        call_info(client, error);
        break;
    case 6:
        (void)regfast_ping(client, NULL, error, sizeof(error)); /* the reply may be right */
        break;
    default:
        call_watch(client, error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_SIZE_MAX) {
        return 0;
    }
    int fds[2];
    const struct regfast_options options = {
        .size = sizeof(options), .connect_timeout_ms = TIMEOUT_MS, .call_timeout_ms = TIMEOUT_MS};
    struct regfast_client *client;
    /* Nobody listens on that port: the retry ends at once. */
    require(regfast_open("127.0.0.1:1", &options, &client, NULL, 0) == 0);
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    require(send(fds[1], data + 1, size - 1, MSG_DONTWAIT) == (ssize_t)size - 1);
    require(shutdown(fds[1], SHUT_WR) == 0);
    require(rf_client_adopt(client, fds[0], NULL) == 0);
    call(client, data[0]);
    regfast_close(client);
    (void)close(fds[1]); /* what the client sent is dropped */
    return 0;
}
