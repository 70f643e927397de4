/* Searches a file of bodies with the rules in vectorscan's block mode and prints the CPU time
 * of each pass. Usage: vectorscan RULES BODIES PASSES starts|ends */
#include <hs/hs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_RULES = 256, MAX_LINE = 4096 };

static void fail(const char *what) {
    fprintf(stderr, "vectorscan: %s\n", what);
    exit(1);
}

static uint64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int count(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                 void *matches) {
    (void)id, (void)from, (void)to, (void)flags;
    ++*(uint64_t *)matches;
    return 0;
}

/* Long repetitions are too much for it when it has to remember where they began. */
static int can_tell_starts(const char *expression, unsigned flags) {
    hs_database_t *database = NULL;
    hs_compile_error_t *error = NULL;
    if (hs_compile(expression, flags | HS_FLAG_SOM_LEFTMOST, HS_MODE_BLOCK, NULL, &database,
                   &error) == HS_SUCCESS) {
        hs_free_database(database);
        return 1;
    }
    hs_free_compile_error(error);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 5) fail("usage: vectorscan RULES BODIES PASSES starts|ends");
    int starts = strcmp(argv[4], "starts") == 0;

    char *expressions[MAX_RULES];
    unsigned flags[MAX_RULES], ids[MAX_RULES], rules = 0;
    FILE *file = fopen(argv[1], "r");
    if (!file) fail("cannot read the rules");
    char line[MAX_LINE];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (!line[0] || line[0] == '#') continue;
        char *fold = strchr(line, '\t');
        char *regex = fold ? strchr(fold + 1, '\t') : NULL;
        if (!regex || rules == MAX_RULES) fail("a line of the rules is not understood");
        expressions[rules] = strdup(regex + 1);
        flags[rules] = fold[1] == 'i' ? HS_FLAG_CASELESS : 0;
        if (starts && can_tell_starts(expressions[rules], flags[rules]))
            flags[rules] |= HS_FLAG_SOM_LEFTMOST;
        ids[rules] = rules;
        rules++;
    }
    fclose(file);

    hs_database_t *database = NULL;
    hs_compile_error_t *error = NULL;
    if (hs_compile_multi((const char *const *)expressions, flags, ids, rules, HS_MODE_BLOCK, NULL,
                         &database, &error) != HS_SUCCESS) {
        fprintf(stderr, "rule %d: ", error->expression);
        fail(error->message);
    }
    hs_scratch_t *scratch = NULL;
    if (hs_alloc_scratch(database, &scratch) != HS_SUCCESS) fail("no scratch space");

    /* Bodies, each after its length in four bytes, little-endian. */
    file = fopen(argv[2], "rb");
    if (!file) fail("cannot read the bodies");
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(size);
    if (!bytes || fread(bytes, 1, size, file) != size) fail("cannot read the bodies");

    for (int pass = 0; pass < atoi(argv[3]); pass++) {
        uint64_t matches = 0, total = 0, before = cpu_ns();
        for (size_t at = 0; at + 4 <= size;) {
            uint32_t length = bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 |
                              (uint32_t)bytes[at + 3] << 24;
            if (hs_scan(database, (char *)bytes + at + 4, length, 0, scratch, count, &matches) !=
                HS_SUCCESS)
                fail("the search failed");
            at += 4 + length;
            total += length;
        }
        printf("%llu %llu %llu\n", (unsigned long long)total,
               (unsigned long long)(cpu_ns() - before), (unsigned long long)matches);
    }
}
