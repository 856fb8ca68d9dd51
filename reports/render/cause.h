/* Where the causal chain of a red scenario breaks: the hop between two parties at which the
 * platform stopped doing what the story says, told from the failed step, the messages and the
 * spans. Evidence first: the earliest message that breaks its contract or an invariant names the
 * hop; else the red step does, by what its actor received and what others saw of the same key.
 * Invariant: what is said is in the results; nothing is guessed where they are silent. Thread: one
 * owner at a time. */
#ifndef BV_CAUSE_H
#define BV_CAUSE_H

#include "records.h"

/* X(name, word): the word is the kind for the page's script and for tests */
#define CAUSE_LIST(X)                                                                              \
    X(CAUSE_NONE, "none")           /* nothing beyond the step's own words */                      \
    X(CAUSE_LAB, "lab")             /* the lab itself, not the platform */                         \
    X(CAUSE_UNTRACED, "untraced")   /* a message without traceparent */                            \
    X(CAUSE_UNSIGNED, "unsigned")   /* a delivery without a signature, or with a bad one */        \
    X(CAUSE_DUPLICATE, "duplicate") /* one effect came twice */                                    \
    X(CAUSE_MISSING, "missing")     /* a message that never came */                                \
    X(CAUSE_CONTRACT, "contract")   /* a message of the wrong form */                              \
    X(CAUSE_ANSWER, "answer")       /* a request was answered otherwise than expected */
enum cause_kind {
#define BV_X_(name, word) name,
    CAUSE_LIST(BV_X_)
#undef BV_X_
        CAUSE_KINDS,
};
const char *cause_word(enum cause_kind kind);

enum { CAUSE_FACTS = 5 };
struct cause_fact {
    const char *name;     /* "Last seen" */
    struct bv_bytes text; /* arena of the report */
    int64_t message;      /* the one that it is about, 0: none */
};

struct cause {
    enum cause_kind kind;
    struct bv_bytes hop;        /* "order → Kafka ecommerce.orders"; empty: unknown */
    struct bv_bytes sentence;   /* what happened there */
    const struct bv_json *step; /* the first red one, NULL: the scenario is red for a message */
    size_t step_number;         /* 1 is the first, 0: no step */
    int64_t from;               /* message before the break, 0: none */
    int64_t to;                 /* message that shows it, 0: it is the one that is missing */
    struct bv_bytes actor;      /* at whom it was seen, or missed */
    struct bv_bytes expected;   /* of a missing message, short: its type */
    int64_t us;                 /* when it was seen, or given up */
    struct cause_fact facts[CAUSE_FACTS];
    size_t fact_count;
};

/* Effect:    memory of report->arena only.
 * Ownership: *ret_cause lives as long as the report.
 * Outcomes:  none; a green scenario, and one that nothing is known of, is CAUSE_NONE with what
 *            members are known. Errors: none.
 * Thread:    owner. */
void cause_find(const struct report *report,
                const struct report_scenario *scenario,
                struct cause *ret_cause);

#endif
