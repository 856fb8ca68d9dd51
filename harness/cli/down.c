#include "cli.h"

#include "stack.h"

#include "bv/terminal.h"

#include <stdlib.h>

enum { FLAG_NAME, FLAG_ALL };

static int stop_one(const char *name)
{
    struct cli_progress progress = {0};
    struct bv_error error = {0};
    int rc = bv_stack_stop(name, cli_progress, &progress, &error);
    if (rc < 0)
        return cli_fault(&error);
    fprintf(stderr, rc == BV_STACK_ABSENT ? "no stack '%s'\n" : "stack '%s' is down\n", name);
    return CLI_OK;
}

static int stop_all(void)
{
    static int (*const lists[])(char ***, size_t *, struct bv_error *) = {bv_stack_list,
                                                                          bv_stack_dead};
    int worst = CLI_OK;
    for (size_t l = 0; l < BV_COUNT(lists); l++) {
        char **names = NULL;
        size_t count = 0;
        struct bv_error error = {0};
        if (lists[l](&names, &count, &error) < 0)
            return cli_fault(&error);
        for (size_t i = 0; i < count; i++) {
            int status = stop_one(names[i]);
            worst = status > worst ? status : worst;
        }
        free(names);
    }
    return worst;
}

int cli_down(int argc, char **argv)
{
    struct cli_line line;
    int rc = cli_read(cli_find("down"), argc, argv, &line);
    if (rc != 0)
        return rc == CLI_HELPED ? CLI_OK : CLI_FAULT;
    if (line.operand_count) {
        bv_complain("bv down stops a whole stack: --name NAME says which");
        return CLI_FAULT;
    }
    return line.values[FLAG_ALL]
               ? stop_all()
               : stop_one(line.values[FLAG_NAME] ? line.values[FLAG_NAME] : "default");
}
