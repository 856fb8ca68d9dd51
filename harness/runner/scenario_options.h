/* The command line of `bv scenario`. Thread: main. */
#ifndef BV_SCENARIO_OPTIONS_H
#define BV_SCENARIO_OPTIONS_H

#include "bv/error.h"

#include <stdbool.h>

enum { SCENARIO_FILES_MAX = 16 };
struct scenario_options {
    bool check;
    bool steps;
    bool keep_stack;
    bool json;
    const char *tags;
    const char *stack;
    const char *out;
    const char *operands[SCENARIO_FILES_MAX];
    size_t operand_count;
};

/* Effect:   fills options from argv, whose texts it borrows; --no-color sets NO_COLOR; --help
 * prints. Outcomes: SCENARIO_HELPED: there is nothing more to do. Errors:   BV_E_INVALID with the
 * nearest known option, BV_E_LIMIT for too many stories. */
#define SCENARIO_HELPED 1
BV_MUST_CHECK int scenario_options_read(struct scenario_options *options,
                                        int argc,
                                        char **argv,
                                        struct bv_error *error);

#endif
