/* Inside the plan: one step's words against the tables. */
#ifndef BV_STEP_H
#define BV_STEP_H

#include "plan.h"

struct compiler_actor {
    const char *name;
    const struct bv_protocol *protocol;
    const char *target; /* "gateway" or a service, NULL: none */
};
struct compiler {
    struct bv_arena *arena;
    const struct plan_tables *tables;
    struct plan *plan;
    struct plan_scenario *scenario;
    const struct gherkin_row *header; /* of the outline that is unrolled, NULL: none */
    const struct gherkin_row *row;
    struct compiler_actor actors[PLAN_ACTORS_MAX]; /* declared so far in this scenario */
    size_t actor_count;
    struct bv_bytes variables[PLAN_VARIABLES_MAX]; /* saved so far */
    size_t variable_count;
    /* of the step at hand */
    struct plan_step *step;
    struct word words[WORDS_MAX];
    size_t count;
    size_t at;
    size_t argument_at[BV_ARGS_MAX]; /* word of each argument */
    bool failed;
};

void compile_error(struct compiler *compiler,
                   uint32_t line,
                   uint32_t column,
                   const char *format,
                   ...) BV_PRINTF(4, 5);
/* Resolves step->source into the rest of *step; problems become diagnostics. */
void step_compile(struct compiler *compiler, struct plan_step *step);

#endif
