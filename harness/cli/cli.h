/* The frame of `bv`: a table of commands, how they read their options, and their exit status.
 * Invariant: 0 all well, 1 a check of the platform failed (or the command run by exec did), 2 the
 * lab itself failed, with one sentence on stderr. Thread: main. */
#ifndef BV_CLI_H
#define BV_CLI_H

#include "bv/config.h"
#include "bv/error.h"

enum { CLI_OK = 0, CLI_RED = 1, CLI_FAULT = 2 };

struct cli_flag {      /* one option of a command, for parsing, help and completion */
    const char *name;  /* "--name" */
    char letter;       /* 'f' for -f, 0: none */
    const char *value; /* "NAME" when it takes one, NULL: a switch */
    const char *help;
};
enum cli_words {
    CLI_WORDS_NONE, /* it takes no operands: cli_read refuses them */
    CLI_WORDS_OWN,  /* nothing; the command judges them itself */
    CLI_WORDS_PARTS,
    CLI_WORDS_COMMANDS,
    CLI_WORDS_FILES
};
struct cli_manual {
    const char *usage;            /* after "bv NAME" */
    const struct cli_flag *flags; /* NULL: none */
    size_t flag_count;
    const char *details;     /* paragraphs for `bv help NAME`, NULL: none */
    enum cli_words words;    /* what completion offers as operands */
    void (*more_help)(void); /* prints tables after the options, NULL: none */
    bool own_help;           /* `bv help NAME` runs the command with --help */
};
struct cli_command {
    const char *name;
    const char *summary;               /* one line */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit status */
    const struct cli_manual *manual;
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;
const struct cli_command *cli_find(const char *name); /* NULL when unknown */

/* What a command line said. */
enum { CLI_OPERANDS_MAX = 64, CLI_FLAGS_MAX = 16 };
struct cli_line {
    const char *values[CLI_FLAGS_MAX]; /* by index of the flag: its value, "" for a given switch,
                                          NULL when absent */
    const char *operands[CLI_OPERANDS_MAX];
    size_t operand_count;
    char **rest; /* after "--", NULL-terminated; NULL when there was none */
};
/* Reads argv by the command's flags. Outcomes: CLI_HELPED when --help was asked and printed.
 * Errors: BV_E_INVALID, said on stderr with the nearest known flag. */
#define CLI_HELPED 1
BV_MUST_CHECK int
cli_read(const struct cli_command *command, int argc, char **argv, struct cli_line *ret_line);
void cli_help(const struct cli_command *command);

/* Says error on stderr; returns CLI_FAULT. */
int cli_fault(const struct bv_error *error);

int cli_up(int argc, char **argv);
int cli_down(int argc, char **argv);
int cli_restart(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_logs(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_exec(int argc, char **argv);
int cli_completion(int argc, char **argv);
int cli_help_command(int argc, char **argv);
int cli_scenario(int argc, char **argv); /* the runner, or a word that it was not built */
int cli_infra(int argc,
              char **argv); /* replaces the process by infra-service with the same words */
int cli_torture(int argc, char **argv); /* likewise by bv-torture, without the command's name */
int cli_failpoints(int argc, char **argv);
/* Replaces the process by a program beside bv. Returns only when that fails: CLI_FAULT. */
int cli_become(const char *name, int argc, char **argv);
void cli_up_help(void);

/* ---- shared by commands that start stacks ---- */

struct bv_stack_spec;
struct bv_stack_event;
/* Splits a comma list into out (texts are cut out of list, which stays alive); returns the count,
 * at most max. */
size_t cli_split(char *list, const char **out, size_t max);
/* Says on stderr what the parts will need and whether the machine has it. Errors: BV_E_INVALID for
 * an unknown part. */
BV_MUST_CHECK int cli_announce(const struct bv_stack_spec *spec, struct bv_error *error);
/* Prints one progress line per event worth one; argument is a struct cli_progress. */
struct cli_progress {
    char failed_part[32]; /* of the first failure */
};
void cli_progress(void *argument, const struct bv_stack_event *event);
/* After a failed boot: the last lines of the failed part's log. */
void cli_show_failure(const char *stack_name, const struct cli_progress *progress);
/* Ctrl-C and SIGTERM set this flag from then on. */
const volatile int *cli_catch_interrupts(void);

#endif
