/* SPDX-License-Identifier: MIT
 *
 * commands.c - the tables of commands and options: parsing, --help and completion come from them.
 */
#include "tools/regctl/commands.h"

#include <string.h>

enum { ARGUMENTS_ANY = 1 << 20 /* more than a command line holds */ };

const struct regctl_command rf_regctl_commands[] = {
    {"match", "GROUP KEY...",
     "Prints KEY, ID and ADDR of the instance that has each key, with tabs between. The KEY - "
     "stands for all lines of standard input, so also for the key - itself.",
     rf_regctl_match, 2, ARGUMENTS_ANY, REGCTL_SCOPE_ASK},
    {"owners", "GROUP KEY N",
     "Prints ID and ADDR of the first N distinct instances for a key, its owner first.",
     rf_regctl_owners, 3, 3, REGCTL_SCOPE_ASK},
    {"members", "GROUP",
     "Prints ID, ADDR, REPLICAS and STATE (alive, leaving, left, failed, held, "
     "protected, draining) of each member.",
     rf_regctl_members, 1, 1, REGCTL_SCOPE_ASK},
    {"groups", "", "Prints NAME, MEMBERS, ALIVE, VERSION and DIGEST of each group.",
     rf_regctl_groups, 0, 0, REGCTL_SCOPE_ASK},
    {"info", "",
     "Prints what the registry says of itself, NAME and VALUE a line. registry -counters explains "
     "the counters.",
     rf_regctl_info, 0, 0, REGCTL_SCOPE_ASK},
    {"ping", "", "Prints which registry answers, and the time of a round trip.", rf_regctl_ping, 0,
     0, REGCTL_SCOPE_ASK},
    {"explain", "GROUP KEY",
     "Prints why a key is whose: its hash, its line of the ring, the point that owns it, the owner "
     "and the next ones, the first of whom takes the key over if the owner goes, and the share of "
     "keys of each member. All is computed here, from the group's members, and compared with what "
     "the registry answers: if that is something else, explain fails.",
     rf_regctl_explain, 2, 2, REGCTL_SCOPE_ASK},
    {"what-if", "GROUP [-remove ID]... [-add ID[:REPLICAS]]... [-weight ID=N]...",
     "Prints what the change would do: how many keys move, from whom to whom, and the shares "
     "before "
     "and after. They are exact, from the points of both rings. Nothing is changed.",
     rf_regctl_what_if, 1, 1, REGCTL_SCOPE_ASK | REGCTL_SCOPE_WHAT_IF},
    {"watch", "GROUP",
     "Prints TIME, CHANGE (present, new, changed, forgotten), ID, ADDR, REPLICAS and STATE: a line "
     "for each member there is, then for each change, until a signal ends it. When no registry "
     "answers it says so on standard error, tries on, and goes on from there. With -json an object "
     "a "
     "line, those that tell of registries too.",
     rf_regctl_watch, 1, 1, REGCTL_SCOPE_ASK},
    {"verify", "",
     "Asks every registry, by the members of registry-group that the one of -s knows, for its "
     "digests, and prints who agrees "
     "with the most of them, who differs, in which group, and who does not answer. Exits with 0 if "
     "all agree, 1 if some differ, 4 if some do not answer.",
     rf_regctl_verify, 0, 0, REGCTL_SCOPE_ASK | REGCTL_SCOPE_VERIFY},
    {"top", "",
     "Shows what each registry of -s does: lookups and requests a second, how long requests take "
     "inside it, changes, groups and members, and of a single one its workers. q or Ctrl-C ends "
     "it. "
     "Where standard output is no terminal it is shown once; with -json an object each interval.",
     rf_regctl_top, 0, 0, REGCTL_SCOPE_ASK | REGCTL_SCOPE_TOP},
    {"register", "-group GROUP -id ID -addr ADDR -registries HOST:PORT,...",
     "Joins the cluster as that member, prints one line when it has joined, and leaves on SIGTERM "
     "or SIGINT; a second signal ends it at once. Whether the id is another node's already is "
     "voted "
     "about then: it may end with an error some seconds later.",
     rf_regctl_register, 0, 0, REGCTL_SCOPE_REGISTER},
    {"forget", "NAME",
     "Declares that a failed member has left: nobody tries to reach it any more. A member that "
     "lives refutes. Prints NAME and STATE.",
     rf_regctl_forget, 1, 1, REGCTL_SCOPE_ADMIN | REGCTL_SCOPE_FORGET},
    {"rtt", "A [B]",
     "Prints the round-trip time between two members, or between one and the registry that is "
     "asked, as their network coordinates tell it: in microseconds.",
     rf_regctl_rtt, 1, 2, REGCTL_SCOPE_ADMIN},
    {"keys", "list | install KEY | use KEY | remove KEY",
     "Changes the keys that encrypt the cluster's gossip, on every node: install a new one, use "
     "it, remove the old one, each when the step before has succeeded. list prints KEY, NODES that "
     "have it and NODES that encrypt with it. Exits with 0 if every node has done it.",
     rf_regctl_keys, 1, 2, REGCTL_SCOPE_ADMIN | REGCTL_SCOPE_KEYS},
    {"complete", "-- WORD...",
     "Prints what may stand in place of the last WORD, which may be empty, after the others: for "
     "the completion of shells.",
     rf_regctl_complete, 1, ARGUMENTS_ANY, REGCTL_SCOPE_COMPLETE},
};

const size_t rf_regctl_commands_count = sizeof(rf_regctl_commands) / sizeof(rf_regctl_commands[0]);

struct regctl_options rf_regctl_values;

static const char *const profile_choices[] = {"lan", "wan", "local", NULL};

static const struct rf_option table[] = {
    {"s", "HOST:PORT,...", "Registries to ask, by their client addresses: the first that answers.",
     RF_OPTION_HOST_PORTS, .port_default = 9800, .scope = REGCTL_SCOPE_ASK,
     .default_value = "127.0.0.1:9800", .text = &rf_regctl_values.server},
    {"timeout", "MS",
     "Time for an answer, in milliseconds. (default 3000; 1000 for top; 60000 for what goes "
     "through "
     "-admin)",
     RF_OPTION_NUMBER, .min = 1, .max = 3600000, .scope = REGCTL_SCOPE_ASK | REGCTL_SCOPE_ADMIN,
     .number = &rf_regctl_values.timeout_ms},
    {"admin", "PATH",
     "Admin socket of a registry, as it was started with. (default: REGFAST_ADMIN in the "
     "environment)",
     RF_OPTION_TEXT, .scope = REGCTL_SCOPE_ADMIN, .text = &rf_regctl_values.admin},
    {"prune", NULL, "Forget the member at once, instead of in 24 hours.", RF_OPTION_FLAG,
     .scope = REGCTL_SCOPE_FORGET, .flag = &rf_regctl_values.prune},
    {"group", "GROUP", "The group to join.", RF_OPTION_TEXT, .scope = REGCTL_SCOPE_REGISTER,
     .text = &rf_regctl_values.group},
    {"id", "ID", "The member's name, unique in the cluster.", RF_OPTION_TEXT,
     .scope = REGCTL_SCOPE_REGISTER, .text = &rf_regctl_values.id},
    {"addr", "HOST:PORT", "What clients are given.", RF_OPTION_HOST_PORT,
     .scope = REGCTL_SCOPE_REGISTER, .text = &rf_regctl_values.addr},
    {"registries", "HOST:PORT,...",
     "Gossip addresses of members of the cluster to join, which are tried until one answers.",
     RF_OPTION_HOST_PORTS, .port_default = 7370, .scope = REGCTL_SCOPE_REGISTER,
     .text = &rf_regctl_values.registries},
    {"bind", "HOST:PORT", "Own gossip address, UDP and TCP; port 0: any free one. (default :0)",
     RF_OPTION_BIND, .port_default = 7370, .scope = REGCTL_SCOPE_REGISTER,
     .text = &rf_regctl_values.bind},
    {"bind-advertise", "HOST:PORT", "Gossip address that others are told. (default: as -bind)",
     RF_OPTION_HOST_PORT, .port_default = 7370, .scope = REGCTL_SCOPE_REGISTER,
     .text = &rf_regctl_values.bind_advertise},
    {"encrypt", "KEY", "The cluster's key for gossip, base64 of 16, 24 or 32 bytes.",
     RF_OPTION_TEXT, .scope = REGCTL_SCOPE_REGISTER, .text = &rf_regctl_values.encrypt},
    {"keyring-file", "FILE",
     "The cluster's keys for gossip, as serf writes them; mode 0600. Not together with -encrypt.",
     RF_OPTION_TEXT, .scope = REGCTL_SCOPE_REGISTER, .text = &rf_regctl_values.keyring_file},
    {"label", "NAME", "The cluster's label.", RF_OPTION_TEXT, .scope = REGCTL_SCOPE_REGISTER,
     .text = &rf_regctl_values.label},
    {"profile", "PROFILE", "Timing of the gossip, as of the registries: lan, wan or local.",
     RF_OPTION_CHOICE, .choices = profile_choices, .scope = REGCTL_SCOPE_REGISTER,
     .default_value = "lan", .text = &rf_regctl_values.profile},
    {"relay", "N", "Other nodes that pass each answer on too, in case one is lost.",
     RF_OPTION_NUMBER, .max = 5, .scope = REGCTL_SCOPE_KEYS, .default_value = "0",
     .number = &rf_regctl_values.relay},
    {"drain", "MS",
     "When a signal comes, take no new keys for so long before leaving: what is under way ends "
     "meanwhile. 0: leave at once.",
     RF_OPTION_NUMBER, .max = 24 * 3600 * 1000, .scope = REGCTL_SCOPE_REGISTER,
     .default_value = "0", .number = &rf_regctl_values.drain_ms},
    {"replicas", "N", "Weight: points in the ring.", RF_OPTION_NUMBER, .min = 1, .max = 65535,
     .scope = REGCTL_SCOPE_REGISTER, .default_value = "1000", .number = &rf_regctl_values.replicas},
    {"wait", "SECONDS",
     "As long as some differ or do not answer, ask all again for so long: a change may be under "
     "way.",
     RF_OPTION_NUMBER, .max = 3600, .scope = REGCTL_SCOPE_VERIFY, .default_value = "5",
     .number = &rf_regctl_values.wait_s},
    {"interval", "SECONDS", "Time between two looks.", RF_OPTION_NUMBER, .min = 1, .max = 3600,
     .scope = REGCTL_SCOPE_TOP, .default_value = "1", .number = &rf_regctl_values.interval_s},
    {"once", NULL, "Show one interval and end.", RF_OPTION_FLAG, .scope = REGCTL_SCOPE_TOP,
     .flag = &rf_regctl_values.once},
    {"remove", "ID", "A member that goes; may be repeated.", RF_OPTION_TEXT_LIST,
     .scope = REGCTL_SCOPE_WHAT_IF, .list = &rf_regctl_values.remove},
    {"add", "ID[:REPLICAS]",
     "A member that comes, without REPLICAS with those it had, or 1000; may be repeated.",
     RF_OPTION_TEXT_LIST, .scope = REGCTL_SCOPE_WHAT_IF, .list = &rf_regctl_values.add},
    {"weight", "ID=N", "A member that has N replicas then; may be repeated.", RF_OPTION_TEXT_LIST,
     .scope = REGCTL_SCOPE_WHAT_IF, .list = &rf_regctl_values.weight},
    {"json", NULL, "Print JSON.", RF_OPTION_FLAG, .flag = &rf_regctl_values.json},
    {"help", NULL, "Print this text, or that of a command.", RF_OPTION_FLAG,
     .flag = &rf_regctl_values.help},
    {"h", NULL, "As -help.", RF_OPTION_FLAG, .flag = &rf_regctl_values.help},
    {"version", NULL, "Print the program's version.", RF_OPTION_FLAG,
     .flag = &rf_regctl_values.version},
};

const struct rf_options rf_regctl_option_table = {table, sizeof(table) / sizeof(table[0])};

const struct regctl_command *rf_regctl_find_command(const char *name)
{
    for (size_t i = 0; i < rf_regctl_commands_count; i++) {
        if (strcmp(rf_regctl_commands[i].name, name) == 0) {
            return &rf_regctl_commands[i];
        }
    }
    return NULL;
}
