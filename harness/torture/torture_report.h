/* What came out of it: for people a table of crash points and one of promises, for programs one
 * JSON object. Thread: main. */
#ifndef TORTURE_REPORT_H
#define TORTURE_REPORT_H

#include "torture_check.h"
#include "torture_rounds.h"

struct torture_report { /* all borrowed */
    const struct torture_target *targets;
    size_t target_count;
    uint32_t rounds;
    const struct torture_finding *findings; /* torture_check_count */
    size_t orders, moves, payments, deliveries, events;
    int64_t took_ms;
};
/* Every crash point was hit in every round and no promise was broken. */
bool torture_report_green(const struct torture_report *report);
void torture_report_print(const struct torture_report *report); /* on stdout */
/* Errors: BV_E_TOO_LARGE. */
BV_MUST_CHECK int torture_report_json(const struct torture_report *report, struct bv_buf *buf);

#endif
