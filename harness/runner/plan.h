/* A feature file resolved: outlines unrolled, backgrounds put in front, every step matched against
 * the tables of the protocols. Invariant: a plan without diagnostics names only actors, verbs,
 * probes, arguments, variables, events and operations that exist; what can still fail when it runs
 * is the platform, or a value that a variable turns out to have. Pure but for contracts. Thread:
 * any. */
#ifndef BV_PLAN_H
#define BV_PLAN_H

#include "contracts.h"
#include "gherkin.h"
#include "words.h"
#include "bv/expression.h"

enum {
    PLAN_FILTERS_MAX = 8,
    PLAN_DIAGNOSTICS_MAX = 20,
    PLAN_ACTORS_MAX = 32,
    PLAN_VARIABLES_MAX = 64,
    PLAN_NEEDS_MAX = 32
};

enum plan_kind {
    PLAN_ACTOR,    /* actor NAME is PROTOCOL arguments */
    PLAN_VERB,     /* NAME VERB arguments */
    PLAN_POLL,     /* [within DURATION] NAME VERB arguments until PROBE OP VALUE [and ...] */
    PLAN_PROBE,    /* NAME PROBE OP VALUE [and PROBE OP VALUE ...] */
    PLAN_SAVE,     /* save VARIABLE from NAME PROBE */
    PLAN_RECEIVES, /* [within DURATION | never within DURATION] NAME receives ... */
    PLAN_BARRIER   /* barrier NAME [within DURATION] */
};
enum plan_wait {
    PLAN_ONCE,    /* the next match */
    PLAN_NEVER,   /* no match until the time is over */
    PLAN_EXACTLY, /* that many since the declaration, counted when the time is over */
    PLAN_ORDER    /* one match after another, one per cell */
};
/* Texts are as written: variables are replaced when the step runs. */
struct plan_argument {
    bool present;
    struct bv_bytes text;
    struct bv_pair pairs[BV_PAIRS_MAX];
    size_t pair_count;
};
struct plan_filter {
    const struct bv_probe *probe;
    struct bv_bytes argument;
    enum bv_op op;
    struct bv_bytes value;
};
struct plan_step {
    const struct gherkin_step *source; /* placeholders of outlines replaced */
    uint32_t line;
    bool background;
    enum gherkin_keyword_type type; /* And, But and * resolved to what stands before */
    enum plan_kind kind;
    const char *actor;
    const struct bv_protocol *protocol;
    const struct bv_verb *verb;
    struct plan_argument arguments[BV_ARGS_MAX];
    struct plan_filter filters[PLAN_FILTERS_MAX];
    size_t filter_count;
    enum plan_wait wait;
    int64_t within_ms;
    int64_t exactly;
    struct bv_bytes event;              /* type to receive; data NULL: any */
    struct bv_bytes key;                /* data NULL: any */
    const struct bv_probe *order_probe; /* what the cells of an ordered table are; NULL: the type */
    struct bv_bytes order_argument;
    const char *variable; /* of save */
    const char *barrier;
};
struct plan_scenario {
    const struct gherkin_scenario *source;
    const struct gherkin_rule *in_rule;      /* NULL: none */
    const struct gherkin_examples *examples; /* NULL: no outline */
    const struct gherkin_row *row;           /* of the examples */
    struct bv_bytes name;                    /* placeholders replaced */
    struct bv_bytes rule;                    /* name of its rule, empty: none */
    uint32_t line;                           /* of the scenario, or of its row of examples */
    struct bv_bytes tags[32];
    size_t tag_count;
    struct plan_step *steps;
    size_t step_count;
    bool needs_all;                    /* a gateway path is known only when it runs */
    const char *needs[PLAN_NEEDS_MAX]; /* servers and services */
    size_t need_count;
};
struct plan_diagnostic {
    uint32_t line;
    uint32_t column; /* 0: the whole line */
    char text[240];
};
struct plan {
    const char *file;
    const struct gherkin_document *document;
    struct plan_scenario *scenarios;
    size_t scenario_count;
    struct plan_diagnostic diagnostics[PLAN_DIAGNOSTICS_MAX];
    size_t diagnostic_count;
};
struct plan_tables {
    const struct bv_protocol *const *protocols;
    size_t protocol_count;
    struct contracts *contracts; /* read when a step needs them */
    /* Names that may stand after "at" besides "gateway". */
    const char *const *services;
    size_t service_count;
    const char *const *databases; /* of the stack; NULL: any name will do */
    size_t database_count;
};

/* Parses and resolves the text of file.
 * Ownership: everything in arena; file, text and tables live as long as it.
 * Outcomes:  PLAN_REFUSED: diagnostics say what is wrong, at most PLAN_DIAGNOSTICS_MAX.
 * Errors:    BV_E_NOMEM. */
#define PLAN_REFUSED 1
BV_MUST_CHECK int plan_make(struct bv_arena *arena,
                            const struct plan_tables *tables,
                            const char *file,
                            struct bv_bytes text,
                            struct plan **ret_plan);

/* Prints the grammar from the tables. */
int plan_print_grammar(struct bv_buf *buf, const struct plan_tables *tables);

#endif
