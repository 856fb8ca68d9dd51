#include "scenario_options.h"

#include "bv/config.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    OPT_CHECK,
    OPT_STEPS,
    OPT_TAGS,
    OPT_STACK,
    OPT_KEEP,
    OPT_JSON,
    OPT_OUT,
    OPT_COLOUR,
    OPT_HELP
};
static const struct {
    const char *name;
    const char *value;
    const char *help;
} flags[] = {
    {"--check",      NULL,   "resolve every actor, verb, probe, variable and contract, start nothing"            },
    {"--steps",      NULL,   "print the grammar of steps"                                                        },
    {"--tags",
     "TAGS",                 "only scenarios with these tags: \"@step-1\", \"@step-1 or @step-2\", \"not @slow\""},
    {"--stack",      "NAME", "use a stack that runs (bv up), instead of an own one"                              },
    {"--keep-stack", NULL,   "leave the stack running afterwards, under the name of the run"                     },
    {"--json",       NULL,   "print one JSON object at the end instead of progress"                              },
    {"--out",        "DIR",  "folder of results instead of reports/out/RUN"                                      },
    {"--no-color",   NULL,   "no colours"                                                                        },
    {"--help",       NULL,   "this text"                                                                         },
};

static void print_help(void)
{
    printf("bv scenario [OPTIONS] STORY[:LINE]...\n\nRuns stories (scenarios/STORY.feature, or a "
           "file) on real servers and writes a "
           "report.\nExit status: 0 all passed, 1 a check failed, 2 the lab itself failed.\n\n");
    for (size_t i = 0; i < BV_COUNT(flags); i++) {
        char left[48];
        snprintf(left,
                 sizeof left,
                 "%s%s%s",
                 flags[i].name,
                 flags[i].value ? " " : "",
                 flags[i].value ? flags[i].value : "");
        printf("  %-16s  %s\n", left, flags[i].help);
    }
}

static int set_flag(struct scenario_options *options, size_t flag, const char *value)
{
    switch (flag) {
    case OPT_CHECK:
        options->check = true;
        break;
    case OPT_STEPS:
        options->steps = true;
        break;
    case OPT_TAGS:
        options->tags = value;
        break;
    case OPT_STACK:
        options->stack = value;
        break;
    case OPT_KEEP:
        options->keep_stack = true;
        break;
    case OPT_JSON:
        options->json = true;
        break;
    case OPT_OUT:
        options->out = value;
        break;
    case OPT_COLOUR:
        setenv("NO_COLOR", "1", 1);
        break;
    default:
        print_help();
        return SCENARIO_HELPED;
    }
    return 0;
}

static int
read_flag(struct scenario_options *options, int argc, char **argv, int *at, struct bv_error *error)
{
    const char *names[BV_COUNT(flags)];
    size_t size = strcspn(argv[*at], "=");
    for (size_t i = 0; i < BV_COUNT(flags); i++) {
        names[i] = flags[i].name;
        if (strlen(flags[i].name) != size || strncmp(argv[*at], flags[i].name, size) != 0)
            continue;
        const char *value = argv[*at][size] == '=' ? argv[*at] + size + 1 : NULL;
        if (!flags[i].value && value)
            return bv_fail(error, BV_E_INVALID, "%s takes no value", flags[i].name);
        if (flags[i].value && !value && *at + 1 == argc)
            return bv_fail(
                error, BV_E_INVALID, "%s needs a value: %s", flags[i].name, flags[i].value);
        if (flags[i].value && !value)
            value = argv[++*at];
        return set_flag(options, i, value);
    }
    const char *near = bv_nearest(argv[*at], names, BV_COUNT(names));
    return bv_fail(error,
                   BV_E_INVALID,
                   "unknown option %.60s%s%s%s",
                   argv[*at],
                   near ? ": did you mean " : "",
                   near ? near : "",
                   near ? "?" : "");
}

int scenario_options_read(struct scenario_options *options,
                          int argc,
                          char **argv,
                          struct bv_error *error)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1]) {
            int rc = read_flag(options, argc, argv, &i, error);
            if (rc != 0)
                return rc;
        } else if (options->operand_count == SCENARIO_FILES_MAX) {
            return bv_fail(error, BV_E_LIMIT, "at most %d stories at once", SCENARIO_FILES_MAX);
        } else {
            options->operands[options->operand_count++] = argv[i];
        }
    }
    if (!options->operand_count && !options->steps)
        return bv_fail(error,
                       BV_E_INVALID,
                       "which story? for example: bv scenario order-flow (bv scenario --help)");
    return 0;
}
