#include "stack.h"
#include "stack_world.h"

#include <stdio.h>
#include <string.h>

enum { HEAD_BYTES = 8192 }; /* of a log: a server says its version before anything else */

/* What stands before the version, in the log of the server. */
static const struct said {
    const char *part;
    const char *before;
} said[] = {
    {"postgres", "starting PostgreSQL "},
    {"redis",    "Redis version="      },
};

static void take(const char *from, char ret_version[BV_STACK_VERSION_BYTES])
{
    size_t size = strcspn(from, " ,\r\n");
    if (size < BV_STACK_VERSION_BYTES)
        snprintf(ret_version, BV_STACK_VERSION_BYTES, "%.*s", (int)size, from);
}

static void look(const char *path, const char *before, char ret_version[BV_STACK_VERSION_BYTES])
{
    char head[HEAD_BYTES + 1];
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    head[fread(head, 1, HEAD_BYTES, file)] = '\0';
    fclose(file);
    const char *at = strstr(head, before);
    if (at)
        take(at + strlen(before), ret_version);
}

void bv_stack_version(const struct bv_stack_part *part, char ret_version[BV_STACK_VERSION_BYTES])
{
    ret_version[0] = '\0';
    if (strcmp(part->name, "kafka") == 0) /* its log is silent; the jars are pinned by this name */
        take(strchr(STACK_KAFKA_DEPS, '-') + 1, ret_version);
    for (size_t i = 0; i < BV_COUNT(said); i++)
        if (strcmp(part->name, said[i].part) == 0 && part->log)
            look(part->log, said[i].before, ret_version);
}
