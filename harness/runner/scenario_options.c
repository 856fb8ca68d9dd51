#include "scenario_options.h"

#include "crew.h"
#include "seed.h"

#include "bv/config.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    OPT_CHECK,
    OPT_DRY_RUN,
    OPT_STEPS,
    OPT_TAGS,
    OPT_JOBS,
    OPT_ORDER,
    OPT_SEED,
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
    char letter; /* "-j", 0: none */
} flags[] = {
    {"--check",
     NULL,                    "is the story right: every actor, verb, probe, variable and contract exists; runs nothing",
     0                                                                                                                       },
    {"--dry-run",
     NULL,                    "what would run: servers, scenarios in their order, every step resolved; writes nothing",
     0                                                                                                                       },
    {"--steps",      NULL,    "print the grammar of steps",                                                               0  },
    {"--tags",       "TAGS",  "only scenarios whose tags hold: \"@step-1 and not (@slow or @live)\"",                     0  },
    {"--jobs",       "N",     "-j N: that many scenarios at the same time, 1 to 64; 1 when left out",                     'j'},
    {"--order",      "ORDER", "defined: as written; random: drawn from the seed",                                         0  },
    {"--seed",
     "N",                     "everything random comes from it: ${run}, ${uuid}, order; a new one is drawn and printed when "
     "left out",                                                                                                 0  },
    {"--stack",      "NAME",  "use a stack that runs (bv up), instead of an own one",                                     0  },
    {"--keep-stack", NULL,    "leave the stack running afterwards, under the name of the run",                            0  },
    {"--json",       NULL,    "print one JSON object at the end instead of progress",                                     0  },
    {"--out",        "DIR",   "folder of results instead of reports/out/RUN",                                             0  },
    {"--no-color",   NULL,    "no colours",                                                                               0  },
    {"--help",       NULL,    "this text",                                                                                0  },
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
    printf("\nThe same seed gives a fresh stack the same ${run}, so it repeats a run. A stack that "
           "keeps "
           "running remembers\nwhat ran: with --stack the seed repeats the order alone, and ${run} "
           "stays "
           "new.\nScenarios that share a barrier run at the same time, whatever --jobs says.\n"
           "BREAK=NAME in the environment plants a bug in the services (a build with PRESET=dev): "
           "scenarios/README.md.\n");
}

static const char *const orders[] = {[SCENARIO_DEFINED] = "defined", [SCENARIO_RANDOM] = "random"};

const char *scenario_order_word(enum scenario_order order)
{
    return orders[order];
}

static int set_number(const char *name,
                      const char *text,
                      int64_t min,
                      int64_t max,
                      int64_t *out,
                      struct bv_error *error)
{
    if (bv_bytes_int64(bv_bytes_of(text), min, max, out) == 0)
        return 0;
    return bv_fail(error,
                   BV_E_INVALID,
                   "%s is a number from %lld to %lld, not \"%.40s\"",
                   name,
                   (long long)min,
                   (long long)max,
                   text);
}

static int set_order(enum scenario_order *out, const char *text, struct bv_error *error)
{
    for (size_t i = 0; i < BV_COUNT(orders); i++) {
        if (strcmp(orders[i], text) == 0) {
            *out = (enum scenario_order)i;
            return 0;
        }
    }
    const char *near = bv_nearest(text, orders, BV_COUNT(orders));
    return bv_fail(error,
                   BV_E_INVALID,
                   "--order is defined or random, not \"%.40s\"%s%s%s",
                   text,
                   near ? ": did you mean " : "",
                   near ? near : "",
                   near ? "?" : "");
}

static int
set_flag(struct scenario_options *options, size_t flag, const char *value, struct bv_error *error)
{
    switch (flag) {
    case OPT_CHECK:
        options->check = true;
        break;
    case OPT_DRY_RUN:
        options->dry_run = true;
        break;
    case OPT_JOBS:
        return set_number("--jobs", value, 1, CREW_JOBS_MAX, &options->jobs, error);
    case OPT_ORDER:
        return set_order(&options->order, value, error);
    case OPT_SEED:
        return set_number("--seed", value, 0, SEED_MAX, &options->seed, error);
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
        if (!value[0])
            return bv_fail(error, BV_E_INVALID, "--out needs the name of a folder");
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
        const char *after =
            flags[i].letter && argv[*at][1] == flags[i].letter ? argv[*at] + 2 : NULL;
        bool letter = after && (!*after || (*after >= '0' && *after <= '9')); /* -j 8, -j8 */
        if (!letter &&
            (strlen(flags[i].name) != size || strncmp(argv[*at], flags[i].name, size) != 0))
            continue;
        const char *value = argv[*at][size] == '=' ? argv[*at] + size + 1 : NULL;
        if (letter)
            value = *after ? after : NULL;
        if (!flags[i].value && value)
            return bv_fail(error, BV_E_INVALID, "%s takes no value", flags[i].name);
        if (flags[i].value && !value && *at + 1 == argc)
            return bv_fail(
                error, BV_E_INVALID, "%s needs a value: %s", flags[i].name, flags[i].value);
        if (flags[i].value && !value)
            value = argv[++*at];
        return set_flag(options, i, value, error);
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
    options->jobs = 1;
    options->seed = -1;
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
