#include "cli.h"

#include "stack.h"

#include "bv/fs.h"
#include "bv/terminal.h"

#include <errno.h>
#include <unistd.h>

int cli_become(const char *name, int argc, char **argv)
{
    char folder[BV_PATH_MAX], program[BV_PATH_MAX];
    char *words[CLI_OPERANDS_MAX + 2];
    struct bv_error error = {0};
    if (bv_stack_bin_dir(folder, sizeof folder, &error) < 0 ||
        bv_path(program, &error, "%s/%s", folder, name) < 0)
        return cli_fault(&error);
    if (argc > CLI_OPERANDS_MAX) {
        bv_complain("more than %d words", CLI_OPERANDS_MAX);
        return CLI_FAULT;
    }
    words[0] = program;
    for (int i = 0; i < argc; i++)
        words[i + 1] = argv[i];
    words[argc + 1] = NULL;
    execv(program, words);
    bv_complain("cannot run %s: %s (make build)", program, strerror(errno));
    return CLI_FAULT;
}

int cli_infra(int argc, char **argv)
{
    return cli_become("infra-service", argc, argv);
}
