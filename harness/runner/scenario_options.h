/* The command line of `bv scenario`. Thread: main. */
#ifndef BV_SCENARIO_OPTIONS_H
#define BV_SCENARIO_OPTIONS_H

#include "bv/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { SCENARIO_FILES_MAX = 16 };
enum scenario_order { SCENARIO_DEFINED, SCENARIO_RANDOM };
struct scenario_options {
    bool check;
    bool steps;
    bool dry_run;
    bool keep_stack;
    bool json;
    int64_t jobs; /* 1..CREW_JOBS_MAX */
    enum scenario_order order;
    int64_t seed; /* 0..SEED_MAX; -1: none was given */
    const char *tags;
    const char *stack;
    const char *out;
    const char *operands[SCENARIO_FILES_MAX];
    size_t operand_count;
};
const char *scenario_order_word(enum scenario_order order);

/* Effect:   fills options from argv, whose texts it borrows; --no-color sets NO_COLOR; --help
 * prints. Outcomes: SCENARIO_HELPED: there is nothing more to do. Errors:   BV_E_INVALID with the
 * nearest known option or word, or the range; BV_E_LIMIT for too many stories. */
#define SCENARIO_HELPED 1
BV_MUST_CHECK int scenario_options_read(struct scenario_options *options,
                                        int argc,
                                        char **argv,
                                        struct bv_error *error);

#endif
