/* SPDX-License-Identifier: MIT
 *
 * serf_filter.c - whether a query is meant for us (rule 22.3).
 *
 * Tag filters are regular expressions in RE2 syntax; what we have is POSIX. Only expressions that
 * mean the same in both are tried: ASCII, no backslash, no (?...), no counted repetition (which
 * regcomp may expand without bound). Everything else does not match, as the answer to a doubt.
 *
 * Anyone may send a query, and nothing else is done until its filters are, so they have a budget:
 * regcomp writes (X)+ as (X)(X)*, hence 30 of them inside each other a billion times, and takes
 * time that grows with the cube of what may be left out.
 */
#include <ctype.h>
#include <regex.h>

#include "gossip/serf_private.h"

enum {
    REPEATS_MAX = 16,      /* of * + ? in an expression: some microseconds */
    GROUP_REPEATS_MAX = 2, /* of these, + behind a group: each may double what is compiled */
};

static bool is_plain_text(struct rf_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < 32 || text.data[i] > 126) {
            return false;
        }
    }
    return true;
}

/* Passes over a bracket expression that begins at `at`; 0: none that is the same in both syntaxes.
 */
static size_t skip_bracket(struct rf_slice expr, size_t at)
{
    size_t i = at + 1;
    if (i < expr.size && expr.data[i] == '^') {
        i++;
    }
    size_t first = i;
    for (; i < expr.size; i++) {
        if (expr.data[i] == '[' || expr.data[i] == '\\') {
            return 0; /* classes and collation; escapes, which POSIX has none of here */
        }
        if (expr.data[i] == ']' && i > first) {
            return i + 1;
        }
    }
    return 0;
}

static bool is_portable(struct rf_slice expr)
{
    bool can_repeat = false; /* what stands before may be followed by * + ? */
    size_t open_count = 0;   /* a ')' without its '(' is a character to POSIX only */
    size_t repeats_count = 0;
    size_t group_repeats_count = 0;
    for (size_t i = 0; i < expr.size;) {
        char c = (char)expr.data[i];
        if (c == '[') {
            i = skip_bracket(expr, i);
            if (i == 0) {
                return false;
            }
            can_repeat = true;
            continue;
        }
        bool is_repeat = c == '*' || c == '+' || c == '?';
        if (c == '\\' || c == '{' || c == '}' || c == ']' || (is_repeat && !can_repeat) ||
            (c == ')' && open_count == 0)) {
            return false;
        }
        repeats_count += is_repeat;
        group_repeats_count += c == '+' && expr.data[i - 1] == ')';
        if (repeats_count > REPEATS_MAX || group_repeats_count > GROUP_REPEATS_MAX) {
            return false;
        }
        open_count += c == '(';
        open_count -= c == ')';
        can_repeat = !is_repeat && c != '(' && c != '|' && c != '^' && c != '$';
        i++;
    }
    return true;
}

static bool tag_matches(struct rf_slice value, struct rf_slice expr)
{
    char pattern[RF_SERF_FILTER_EXPR_SIZE_MAX + 1];
    char text[RF_META_SIZE_MAX + 1];
    if (expr.size > RF_SERF_FILTER_EXPR_SIZE_MAX || value.size > RF_META_SIZE_MAX ||
        !is_plain_text(expr) || !is_plain_text(value) || !is_portable(expr)) {
        return false;
    }
    if (expr.size == 0) {
        return true;
    }
    memcpy(pattern, expr.data, expr.size);
    pattern[expr.size] = 0;
    if (value.size > 0) {
        memcpy(text, value.data, value.size);
    }
    text[value.size] = 0;
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        return false;
    }
    bool is_match = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return is_match;
}

static bool filter_matches(struct rf_slice bytes, struct rf_slice name, struct rf_slice meta)
{
    struct rf_serf_filter filter;
    if (rf_serf_filter_decode(bytes, &filter) < 0) {
        return false;
    }
    if (filter.type == RF_SERF_FILTER_TAG) {
        struct rf_slice value;
        if (!rf_tags_find(meta, filter.tag, &value)) {
            value = rf_slice("", 0);
        }
        return tag_matches(value, filter.expr);
    }
    struct rf_cursor cursor = rf_cursor_array(filter.nodes);
    struct rf_slice node;
    while (rf_cursor_next_raw(&cursor, &node)) {
        if (rf_slice_equal(node, name)) {
            return true;
        }
    }
    return false;
}

bool rf_serf_filters_match(struct rf_slice filters, struct rf_slice name, struct rf_slice meta)
{
    if (filters.size > RF_QUERY_SIZE_MAX) {
        return false; /* no peer sends such a query, so this one is to keep us busy */
    }
    struct rf_cursor cursor = rf_cursor_array(filters);
    struct rf_slice filter;
    while (rf_cursor_next_raw(&cursor, &filter)) {
        if (!filter_matches(filter, name, meta)) {
            return false;
        }
    }
    return true;
}
