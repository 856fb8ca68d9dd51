/* What happened at a hop, told: each fills the hop, the sentence, the facts and the messages of
 * look->cause, for one rule of cause.c. Internal to cause. Ownership: texts in the arena of the
 * report. Outcomes, errors: none. Thread: owner. */
#ifndef BV_CAUSE_TELL_H
#define BV_CAUSE_TELL_H

#include "cause_graph.h"

/* What a rule found. */
struct evidence {
    const struct bv_json *message; /* the one that shows it */
    const struct bv_json
        *before;           /* its twin, or the request that it should have followed; or NULL */
    struct bv_bytes topic; /* of Kafka, where a record is missing */
};
typedef void cause_teller(struct look *look, const struct evidence *found);

cause_teller tell_lab;               /* the lab itself could not do the step */
cause_teller tell_untraced;          /* message: arrived without traceparent */
cause_teller tell_unsigned;          /* message: a delivery without a good signature */
cause_teller tell_duplicate;         /* message: the second arrival of before */
cause_teller tell_gap;               /* message: follows one that never came */
cause_teller tell_contract;          /* message: of the wrong form */
cause_teller tell_lost_behind_kafka; /* message: the record that the step's actor never heard of */
cause_teller tell_lost_before_kafka; /* before: asked for it, or NULL; topic: has no record of it */
cause_teller tell_answer;            /* message: answers before, but not as expected */

#endif
