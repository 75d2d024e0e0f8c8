/* SPDX-License-Identifier: MIT
 *
 * Holds the code to the vectors of core/RING.md, which other languages are held to as well.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ring.h"

enum { LINE_SIZE = 512, KEY_SIZE = 256, MEMBERS_MAX = 16 };

/* The set that `owners` lines speak of. */
struct named_set {
    char name[32];
    char text[LINE_SIZE]; /* the ids are in here */
    struct rf_ring *ring;
};

struct counts {
    size_t hashes, points, sets, owners;
};

static enum rf_placement parse_placement(const char *word)
{
    enum rf_placement placement;
    assert_int_equal(rf_placement_parse(word, &placement, NULL), 0);
    return placement;
}

/* "text", or "c"*n for n times that byte; returns the size. */
static size_t parse_key(const char *word, char ret_key[KEY_SIZE])
{
    const char *end = strrchr(word, '"');
    assert_true(word[0] == '"' && end != NULL && end > word);
    size_t size = (size_t)(end - word) - 1;
    if (end[1] == '*') {
        size = strtoul(end + 2, NULL, 10);
        assert_in_range(size, 1, KEY_SIZE);
        memset(ret_key, word[1], size);
    } else {
        memcpy(ret_key, word + 1, size);
    }
    return size;
}

/* The hash as RING.md writes it, as lookups take it. */
static uint64_t parse_hash(enum rf_placement placement, const char *word)
{
    char *end;
    uint64_t value = strtoull(word, &end, 16);
    assert_int_equal(*end, '\0');
    assert_int_equal(strlen(word), placement == RF_PLACEMENT_V1 ? 16 : 8);
    return placement == RF_PLACEMENT_V1 ? value : (uint64_t)(uint32_t)~value << 32;
}

static const char *next_word(char **rest)
{
    const char *word = strsep(rest, " ");
    assert_non_null(word);
    return word;
}

static void check_hash(char *rest)
{
    char key[KEY_SIZE];
    enum rf_placement placement = parse_placement(next_word(&rest));
    size_t size = parse_key(next_word(&rest), key);
    assert_int_equal(rf_placement_hash(placement, key, size),
                     parse_hash(placement, next_word(&rest)));
}

static void check_point(char *rest)
{
    char id[KEY_SIZE];
    enum rf_placement placement = parse_placement(next_word(&rest));
    id[parse_key(next_word(&rest), id)] = '\0';
    uint32_t number = (uint32_t)strtoul(next_word(&rest), NULL, 10);
    uint64_t expected = parse_hash(placement, next_word(&rest));
    uint64_t points[3];
    rf_placement_points(placement, id, number, 1, points);
    assert_int_equal(points[0], expected);
    if (number >= 2) { /* the same in the midst of others */
        rf_placement_points(placement, id, number - 2, 3, points);
        assert_int_equal(points[2], expected);
    }
}

static void make_set(struct named_set *set, char *rest)
{
    struct rf_ring_member members[MEMBERS_MAX];
    size_t count = 0;
    rf_ring_free(set->ring);
    (void)snprintf(set->text, sizeof(set->text), "%s", rest);
    rest = set->text;
    (void)snprintf(set->name, sizeof(set->name), "%s", next_word(&rest));
    enum rf_placement placement = parse_placement(next_word(&rest));
    while (rest != NULL) {
        char *member = strsep(&rest, " ");
        char *replicas = strrchr(member, '=');
        assert_non_null(replicas);
        *replicas = '\0';
        assert_true(count < MEMBERS_MAX);
        members[count++] = (struct rf_ring_member){
            .id = member, .replicas = (uint32_t)strtoul(replicas + 1, NULL, 10)};
    }
    assert_int_equal(rf_ring_build(placement, members, count, &set->ring, NULL), 0);
    rf_ring_check(set->ring);
}

static void check_owners(const struct named_set *set, char *rest)
{
    char key[KEY_SIZE];
    uint16_t slots[MEMBERS_MAX];
    assert_string_equal(next_word(&rest), set->name);
    enum rf_placement placement = rf_ring_placement(set->ring);
    size_t size = parse_key(next_word(&rest), key);
    uint64_t hash = rf_placement_hash(placement, key, size);
    assert_int_equal(hash, parse_hash(placement, next_word(&rest)));
    size_t count = rf_ring_owners(set->ring, hash, MEMBERS_MAX, slots);
    assert_int_equal(count, rf_ring_members_count(set->ring));
    assert_int_equal(slots[0], rf_ring_owner(set->ring, hash));
    size_t at = 0;
    while (rest != NULL) {
        assert_true(at < count);
        assert_string_equal(rf_ring_member(set->ring, slots[at++])->id, next_word(&rest));
    }
    assert_true(at >= 1);
}

static void placement_gives_the_vectors_of_the_document(void **state)
{
    (void)state;
    FILE *file = fopen(RF_TESTS_DIR "/../core/RING.md", "re");
    assert_non_null(file);
    struct named_set set = {0};
    struct counts counts = {0};
    char line[LINE_SIZE];
    bool is_in_vectors = false;
    while (fgets(line, sizeof(line), file) != NULL) {
        assert_non_null(strchr(line, '\n'));
        line[strcspn(line, "\n")] = '\0';
        char *rest = line;
        if (strncmp(line, "```", 3) == 0) {
            is_in_vectors = strcmp(line, "```vectors") == 0;
        } else if (is_in_vectors && line[0] != '\0') {
            const char *kind = next_word(&rest);
            if (strcmp(kind, "hash") == 0) {
                check_hash(rest);
                counts.hashes++;
            } else if (strcmp(kind, "point") == 0) {
                check_point(rest);
                counts.points++;
            } else if (strcmp(kind, "set") == 0) {
                make_set(&set, rest);
                counts.sets++;
            } else {
                assert_string_equal(kind, "owners");
                check_owners(&set, rest);
                counts.owners++;
            }
        }
    }
    assert_int_equal(fclose(file), 0);
    rf_ring_free(set.ring);
    /* A document that lost its vectors must not pass. */
    assert_int_equal(counts.hashes, 28);
    assert_int_equal(counts.points, 36);
    assert_int_equal(counts.sets, 7);
    assert_int_equal(counts.owners, 72);
}

static void placement_is_named_and_parsed(void **state)
{
    (void)state;
    struct rf_error err = {0};
    enum rf_placement placement = RF_PLACEMENT_V1;
    assert_string_equal(rf_placement_name(RF_PLACEMENT_V1), "v1");
    assert_string_equal(rf_placement_name(RF_PLACEMENT_CRC32), "crc32");
    assert_int_equal(rf_placement_parse("crc32", &placement, &err), 0);
    assert_int_equal(placement, RF_PLACEMENT_CRC32);
    assert_int_equal(rf_placement_parse("CRC32", &placement, &err), -EINVAL);
    assert_string_equal(err.text, "placement 'CRC32': allowed are v1, crc32");
    assert_int_equal(placement, RF_PLACEMENT_CRC32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placement_gives_the_vectors_of_the_document),
        cmocka_unit_test(placement_is_named_and_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
