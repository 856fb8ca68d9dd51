/* Stands in for the scenario runner where that is not part of the build. */
#include "cli.h"

#include "bv/terminal.h"

int cli_scenario(int argc, char **argv)
{
    (void)argc, (void)argv;
    bv_complain("this build has no scenario runner");
    return CLI_FAULT;
}
