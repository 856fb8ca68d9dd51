/* From the topic to the store: reads order events, batches what arrives together, hands on what was
 * committed. At least once, idempotent effect: the event id goes into the inbox in the transaction
 * of its effect; versions of an order that are known are dropped. Thread: loop. */
#ifndef NOTIFICATION_EVENTS_H
#define NOTIFICATION_EVENTS_H

#include "bv/consumer.h"
#include "notification_store.h"

/* Reads one event of ecommerce.orders.
 * Ownership: everything lives in arena or in event.
 * Errors:    BV_E_UNPROCESSABLE with the member, BV_E_TOO_LARGE. */
BV_MUST_CHECK int notification_event_read(struct bv_arena *arena,
                                          const struct bv_event *event,
                                          const struct bv_trace *trace,
                                          struct notification_event *ret_event,
                                          struct bv_error *error);

struct notification_intake;
struct notification_intake_config {
    int64_t batch_max; /* events of one transaction */
};
struct notification_intake_events { /* after commit, in order of the batch; sequence is given out
                                       already */
    void (*committed)(void *argument, const struct notification_event *event, int64_t sequence);
    void (*deliveries)(void *argument); /* some were added */
    void *argument;
};
/* A batch is what arrived while the last one was committing. One that fails for good is tried event
 * by event, so that only the bad one fails. Errors: BV_E_NOMEM. */
BV_MUST_CHECK int notification_intake_open(struct bv_loop *loop,
                                           const struct notification_intake_config *config,
                                           struct notification_store *store,
                                           struct bv_metrics *metrics,
                                           const struct notification_intake_events *events,
                                           struct notification_intake **ret_intake);
/* Takes one event; done(argument, ...) follows once, when it is committed or failed, or with
 * BV_E_CANCELLED at close. event and what it points to are borrowed until then. BV_E_NOMEM: done
 * does not follow. */
typedef void notification_intake_done(void *argument, int rc, const struct bv_error *error);
BV_MUST_CHECK int notification_intake_add(struct notification_intake *intake,
                                          const struct notification_event *event,
                                          notification_intake_done *done,
                                          void *argument);
/* Before the store is released, after its calls have ended. */
void notification_intake_close(struct notification_intake **intake);

/* The rows of a bv_consumer whose context is the intake. */
extern const struct bv_consumer_row notification_consumer_rows[NOTIFICATION_TYPE_COUNT];

#endif
