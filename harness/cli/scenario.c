#include "cli.h"

int bv_scenario_main(int argc,
                     char **argv); /* of bv-runner: argv[0] is "scenario"; exit status as cli.h */

int cli_scenario(int argc, char **argv)
{
    return bv_scenario_main(argc, argv);
}
