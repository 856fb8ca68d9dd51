/* The verdict: each check is one query over a service's database and the lab's facts (copied into
 * temporary tables beside it) that returns one row per broken promise. Invariant: a check that
 * could not run is a fault, never green. Thread: main; blocks. */
#ifndef TORTURE_CHECK_H
#define TORTURE_CHECK_H

#include "torture_facts.h"

enum torture_kind { /* how a promise was broken */
                    TORTURE_LOST,
                    TORTURE_DOUBLED,
                    TORTURE_UNBALANCED, /* stock */
                    TORTURE_STRANGE,
                    TORTURE_KIND_COUNT
};
const char *torture_kind_name(enum torture_kind kind);

enum torture_database {
    TORTURE_ORDERS,
    TORTURE_INVENTORY,
    TORTURE_NOTIFICATION,
    TORTURE_DATABASES
};
enum { TORTURE_EXAMPLES = 3, TORTURE_EXAMPLE_BYTES = 160 };
struct torture_check { /* row of the table */
    const char *promise;
    enum torture_kind kind;
    enum torture_database database;
    const char *sql; /* subject (an order id where there is one), detail */
};
extern const struct torture_check torture_checks[];
extern const size_t torture_check_count;
struct torture_finding {
    int64_t violations;
    char examples[TORTURE_EXAMPLES][TORTURE_EXAMPLE_BYTES];
};

struct torture_judge;
/* Connects to the three databases. Errors: BV_E_UNAVAILABLE. */
BV_MUST_CHECK int torture_judge_open(const char *const urls[TORTURE_DATABASES],
                                     struct torture_judge **ret_judge,
                                     struct bv_error *error);
void torture_judge_close(struct torture_judge **judge);
/* Puts the stock of the load there: levels and the ledger rows that explain them. */
BV_MUST_CHECK int torture_judge_stock(struct torture_judge *judge, struct bv_error *error);
/* Work that the services have still to do: PENDING orders, stock tasks, outbox rows, deliveries. */
BV_MUST_CHECK int torture_judge_undone(struct torture_judge *judge,
                                       int64_t ret_undone[TORTURE_DATABASES],
                                       struct bv_error *error);
/* Notes the states of all orders as facts, copies the facts and runs every check. blame is called
 * for each violation with its subject. Ranges: ret_findings has torture_check_count rows. Errors:
 * BV_E_UNAVAILABLE, BV_E_INTERNAL (a query was refused). */
BV_MUST_CHECK int torture_judge_all(struct torture_judge *judge,
                                    struct torture_facts *facts,
                                    void (*blame)(void *argument,
                                                  const struct torture_check *check,
                                                  struct bv_bytes subject),
                                    void *argument,
                                    struct torture_finding *ret_findings,
                                    struct bv_error *error);

#endif
