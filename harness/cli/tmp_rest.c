#include "cli.h"
int cli_up(int argc, char **argv){(void)argc;(void)argv;return 2;}
int cli_down(int argc, char **argv){(void)argc;(void)argv;return 2;}
int cli_status(int argc, char **argv){(void)argc;(void)argv;return 2;}
int cli_logs(int argc, char **argv){(void)argc;(void)argv;return 2;}
int cli_doctor(int argc, char **argv){(void)argc;(void)argv;return 2;}
int cli_completion(int argc, char **argv){(void)argc;(void)argv;return 2;}
void cli_up_help(void){}
