#include "cli.h"

#include "bv/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const struct cli_flag up_flags[] = {
    {"--name",         0, "NAME",    "name of the stack (default: default); several may run side by side"},
    {"--fixed-ports",  0, NULL,      "use the documented ports instead of random free ones"              },
    {"--durable",      0, NULL,      "PostgreSQL with fsync, for benchmarks and durability tests"        },
    {"--json",         0, NULL,      "print stack.json on stdout instead of the table"                   },
    {"--bin-dir",      0, "DIR",     "where the services' programs are (default: beside bv)"             },
    {"--otlp-url",     0, "URL",     "send traces to this OTLP/HTTP collector"                           },
    {"--log-level",    0, "LEVEL",   "debug, info, warn or error (default: info)"                        },
    {"--set",          0, "LIST",    "options of services: order.BV_SWEEP_AGE=1s,all.BV_ACCESS_LOG=0"    },
    {"--boot-seconds", 0, "SECONDS", "give up after this time (default: 120)"                            },
    {"--restart",      0, NULL,      "start a service that ends again, at once"                          },
};
static const struct cli_flag down_flags[] = {
    {"--name", 0, "NAME", "which stack (default: default)"                   },
    {"--all",  0, NULL,   "every stack of this user, and what dead ones left"},
};
static const struct cli_flag restart_flags[] = {
    {"--name", 0, "NAME", "which stack (default: default)"        },
    {"--kill", 0, NULL,   "end it with SIGKILL instead of SIGTERM"},
};
static const struct cli_flag status_flags[] = {
    {"--name", 0, "NAME", "which stack (default: default)" },
    {"--json", 0, NULL,   "print JSON instead of the table"},
};
static const struct cli_flag logs_flags[] = {
    {"--name",   0,   "NAME",  "which stack (default: default)"                        },
    {"--follow", 'f', NULL,    "go on with new lines until Ctrl-C"                     },
    {"--lines",  'n', "COUNT", "begin with the last COUNT lines (default: 200, 0: all)"},
};
static const struct cli_flag exec_flags[] = {
    {"--servers",   0,   "LIST",  "comma-separated: postgres,redis,kafka"                         },
    {"--services",  0,   "LIST",  "comma-separated: auth,product,inventory,order,notification"    },
    {"--durable",   0,   NULL,    "PostgreSQL with fsync"                                         },
    {"--bin-dir",   0,   "DIR",   "where the services' programs are (default: beside bv)"         },
    {"--log-level", 0,   "LEVEL", "debug, info, warn or error (default: info)"                    },
    {"--set",       0,   "LIST",  "options of services: order.BV_SWEEP_AGE=1s,all.BV_ACCESS_LOG=0"},
    {"--quiet",     'q', NULL,    "say nothing unless something fails"                            },
};

static const char exec_details[] =
    "Starts a stack of its own, runs CMD with the stack's variables in its environment and stops\n"
    "the stack. Nothing given means all servers and no service. Exit status: that of CMD (128+n\n"
    "for signal n), or 2 when the stack could not be started. Variables: BV_TEST_PG_URL\n"
    "BV_TEST_REDIS_URL BV_TEST_KAFKA_BROKERS BV_STACK_JSON BV_<SERVICE>_URL BV_<SERVICE>_ADDR\n"
    "BV_<SERVICE>_PG_URL BV_ISSUER BV_DEMO_PASSWORD BV_DEMO_CLIENT_SECRET.\n";
static const char up_details[] =
    "Starts the named servers and services with all they need, or everything, and returns when\n"
    "all are ready. The processes stay until `bv down`. Environment files: RUN/env/*.env, mode\n"
    "0600.\n";

#define FLAGS(array) .flags = (array), .flag_count = BV_COUNT(array)
static const struct cli_manual up_manual = {
    .usage = "[SERVICE...] [OPTIONS]",
    FLAGS(up_flags),
    .details = up_details,
    .words = CLI_WORDS_PARTS,
    .more_help = cli_up_help,
};
static const struct cli_manual down_manual = {
    .usage = "[OPTIONS]",
    FLAGS(down_flags),
    .words = CLI_WORDS_OWN,
};
static const struct cli_manual restart_manual = {
    .usage = "SERVICE... [OPTIONS]",
    FLAGS(restart_flags),
    .details =
        "Ends each service, starts it again with the same ports and waits until it is ready.\n",
    .words = CLI_WORDS_PARTS,
};
static const struct cli_manual status_manual = {
    .usage = "[OPTIONS]",
    FLAGS(status_flags),
    .details = "Exit status 1 when a part is down.\n",
};
static const struct cli_manual logs_manual = {
    .usage = "[-f] [PART...]",
    FLAGS(logs_flags),
    .words = CLI_WORDS_PARTS,
};
static const struct cli_manual exec_manual = {
    .usage = "[OPTIONS] -- CMD...",
    FLAGS(exec_flags),
    .details = exec_details,
    .words = CLI_WORDS_OWN,
};
static const struct cli_manual scenario_manual = {
    .usage = "FILE... [OPTIONS]",
    .words = CLI_WORDS_FILES,
    .own_help = true,
};
static const struct cli_manual migrate_manual = {.usage = "[OPTIONS]", .own_help = true};
static const struct cli_flag failpoints_flags[] = {
    {"--json", 0, NULL, "print JSON instead of the table"},
};
static const struct cli_manual failpoints_manual = {.usage = "[OPTIONS]", FLAGS(failpoints_flags)};
static const struct cli_manual torture_manual = {.usage = "[OPTIONS]", .own_help = true};
static const struct cli_manual doctor_manual = {
    .usage = "",
    .details = "Exit status 1 when something that is needed is missing.\n",
};
static const struct cli_manual completion_manual = {
    .usage = "bash",
    .details = "Use it with: source <(bv completion bash)\n",
};
static const struct cli_manual help_manual = {.usage = "[COMMAND]", .words = CLI_WORDS_COMMANDS};
#undef FLAGS

const struct cli_command cli_commands[] = {
    {"up",         "start a stack and leave it running",           cli_up,           &up_manual        },
    {"down",       "stop a stack and remove its folder",           cli_down,         &down_manual      },
    {"restart",    "end services and start them again",            cli_restart,      &restart_manual   },
    {"status",     "processes, ports, memory, CPU and health",     cli_status,       &status_manual    },
    {"logs",       "show the logs of a stack",                     cli_logs,         &logs_manual      },
    {"exec",       "run a command beside a stack of its own",      cli_exec,         &exec_manual      },
    {"scenario",   "drive a story through the stack and report",   cli_scenario,     &scenario_manual  },
    {"migrate",    "apply migrations (infra-service migrate)",     cli_infra,        &migrate_manual   },
    {"torture",    "kill services at every crash point, check",    cli_torture,      &torture_manual   },
    {"failpoints", "list the crash points of test builds",         cli_failpoints,   &failpoints_manual},
    {"doctor",     "check what this machine needs to run a stack", cli_doctor,       &doctor_manual    },
    {"completion", "print shell completion",                       cli_completion,   &completion_manual},
    {"help",       "explain a command",                            cli_help_command, &help_manual      },
};
const size_t cli_command_count = BV_COUNT(cli_commands);

const struct cli_command *cli_find(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    return NULL;
}

static void print_overview(FILE *file)
{
    fprintf(file, "usage: bv COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < cli_command_count; i++)
        fprintf(file,
                "  %s%-10s%s  %s\n",
                bv_colour(file, BV_BOLD),
                cli_commands[i].name,
                bv_colour_end(file),
                cli_commands[i].summary);
    fprintf(file,
            "\n`bv help COMMAND` explains one. Exit status: 0 well, 1 a check failed, 2 the lab "
            "failed.\n");
}

static int unknown_command(const char *word)
{
    const char *names[32];
    assert(cli_command_count <= BV_COUNT(names));
    for (size_t i = 0; i < cli_command_count; i++)
        names[i] = cli_commands[i].name;
    const char *near = bv_nearest(word, names, cli_command_count);
    bv_complain(near ? "no command '%s': did you mean '%s'?"
                     : "no command '%s' (bv help lists them)",
                word,
                near);
    return CLI_FAULT;
}

int cli_help_command(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stdout);
        return CLI_OK;
    }
    const struct cli_command *command = cli_find(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    if (!command->manual->own_help) {
        cli_help(command);
        return CLI_OK;
    }
    char *words[] = {argv[1], "--help", NULL};
    return command->run(2, words);
}

/* A closed 0, 1 or 2 would be taken by the next socket, and what is printed would go there. */
static void open_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* What could not be printed is no success. */
static int finish(int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    bv_complain(
        "the output could not be written%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
    return status == CLI_OK ? CLI_FAULT : status;
}

int main(int argc, char **argv)
{
    open_standard_files();
    if (argc < 2) {
        print_overview(stderr);
        return CLI_FAULT;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return cli_help_command(1, argv);
    const struct cli_command *command = cli_find(argv[1]);
    return command ? finish(command->run(argc - 1, argv + 1)) : unknown_command(argv[1]);
}
