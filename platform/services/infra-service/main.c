#include <stdio.h>
#include <string.h>

#include "bv/error.h"

#include "infra_migrate.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the name; returns the exit status */
    const char *help;
} commands[] = {
    {"migrate", infra_migrate_main, "create databases when missing and apply their migrations"},
};

static void print_usage(FILE *out)
{
    fprintf(out,
            "infra-service: chores of the platform's data.\n\nusage: infra-service COMMAND "
            "[OPTIONS], or infra-service COMMAND --help\n\n");
    for (size_t i = 0; i < BV_COUNT(commands); i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\nexit status: 0 done, 1 refused or failed, 2 could not be tried\n");
}

int main(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_usage(stdout);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < BV_COUNT(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argc >= 2)
        fprintf(stderr, "infra-service: unknown command \"%s\".\n", argv[1]);
    else
        print_usage(stderr);
    return 2;
}
