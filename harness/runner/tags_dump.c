/* Tag expressions for tags_agreement.py. Each line of stdin is an expression, then tags, separated
 * by tabs; each line of stdout is "1", "0" or "refused". */
#include "tags.h"

#include <stdio.h>
#include <stdlib.h>

enum { TAGS_MAX = 32, ARENA_BYTES_MAX = 1 << 20 };

static const char *judge(char *line)
{
    struct bv_bytes tags[TAGS_MAX];
    size_t count = 0;
    struct bv_arena *arena = NULL;
    const struct tag_expression *expression = NULL;
    struct bv_error error = {0};
    char *rest = line;
    struct bv_bytes text = bv_bytes_of(strsep(&rest, "\t"));
    for (char *tag; count < TAGS_MAX && (tag = strsep(&rest, "\t"));)
        tags[count++] = bv_bytes_of(tag);
    if (bv_arena_open(ARENA_BYTES_MAX, &arena) < 0)
        exit(2);
    int rc = tag_expression_parse(arena, text, &expression, &error);
    const char *verdict = rc < 0                                          ? "refused"
                          : tag_expression_holds(expression, tags, count) ? "1"
                                                                          : "0";
    bv_arena_close(&arena);
    return verdict;
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t size; (size = getline(&line, &capacity, stdin)) > 0;) {
        line[size - 1] = '\0';
        puts(judge(line));
    }
    free(line);
    return 0;
}
