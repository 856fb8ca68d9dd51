#include "cli.h"

#include "stack.h"

#include "bv/terminal.h"

enum { FLAG_NAME, FLAG_KILL };
enum { READY_MS_MAX = 30000 };

int cli_restart(int argc, char **argv)
{
    struct cli_line line;
    struct bv_stack *stack = NULL;
    struct bv_error error = {0};
    int rc = cli_read(cli_find("restart"), argc, argv, &line);
    if (rc != 0)
        return rc == CLI_HELPED ? CLI_OK : CLI_FAULT;
    if (line.operand_count == 0) {
        bv_complain("say which service: bv restart order");
        return CLI_FAULT;
    }
    enum bv_stack_end end = line.values[FLAG_KILL] ? BV_STACK_KILL : BV_STACK_DRAIN;
    rc = bv_stack_open(line.values[FLAG_NAME], &stack, &error);
    for (size_t i = 0; rc == 0 && i < line.operand_count; i++) {
        rc = bv_stack_restart(stack, line.operands[i], end, READY_MS_MAX, &error);
        if (rc == 0)
            printf("%s is ready again, process %d\n",
                   line.operands[i],
                   bv_stack_find(stack, line.operands[i])->pid);
    }
    bv_stack_close(&stack);
    return rc < 0 ? cli_fault(&error) : CLI_OK;
}
