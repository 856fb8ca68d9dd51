/* The lab's side of Kafka: it pays, it asks how far consumers are, it reads whole topics.
 * Thread: torture_kafka_pay: any; all else: main. Calls block. */
#ifndef TORTURE_KAFKA_H
#define TORTURE_KAFKA_H

#include "torture_facts.h"

struct torture_kafka;
/* Errors: BV_E_INVALID, BV_E_NOMEM. brokers and facts are borrowed. */
BV_MUST_CHECK int torture_kafka_open(const char *brokers,
                                     struct torture_facts *facts,
                                     struct torture_kafka **ret_kafka,
                                     struct bv_error *error);
void torture_kafka_close(struct torture_kafka **kafka);

struct torture_payment {
    const char *order_id;
    int64_t amount_minor;
    struct bv_bytes currency;
    bool declined;
    int copies; /* records of the same event, 1 and up */
};
/* Produces payment.authorized or payment.declined and notes it. Errors: BV_E_LIMIT, BV_E_NOMEM. */
BV_MUST_CHECK int torture_kafka_pay(struct torture_kafka *kafka,
                                    const struct torture_payment *payment);
/* Waits until every payment is acknowledged. Errors: BV_E_TIMEOUT, BV_E_IO (one was refused). */
BV_MUST_CHECK int
torture_kafka_flush(struct torture_kafka *kafka, int timeout_ms, struct bv_error *error);

/* Records of topic that group has not committed yet. Errors: BV_E_UNAVAILABLE. */
BV_MUST_CHECK int torture_kafka_lag(struct torture_kafka *kafka,
                                    const char *group,
                                    const char *topic,
                                    int64_t *ret_lag,
                                    struct bv_error *error);

/* Calls take for each record of a topic, from its beginning to its end as of the call. Errors:
 * BV_E_UNAVAILABLE, BV_E_TIMEOUT. */
struct torture_record {
    struct bv_bytes key, value;
    int32_t partition;
    int64_t offset;
};
BV_MUST_CHECK int torture_kafka_read(struct torture_kafka *kafka,
                                     const char *topic,
                                     void (*take)(void *argument,
                                                  const struct torture_record *record),
                                     void *argument,
                                     struct bv_error *error);

#endif
