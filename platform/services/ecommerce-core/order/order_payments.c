#include "order_events.h"
#include "order_service.h"
#include <stdio.h>

static const struct bv_backoff retry = {
    "order-payments", BV_BACKOFF_EXPONENTIAL_FULL_JITTER, 50, 5000, 12};

static void moved(void *argument, int rc, const struct order *order, const struct bv_error *error)
{
    struct bv_consumer_event *under_way = argument;
    struct bv_error detail = {0};
    (void)order;
    if (rc == ORDER_TOO_EARLY) /* the reservation is being committed: the payment waits for it */
        rc = bv_fail(&detail, BV_E_CONFLICT, "the order is still PENDING");
    else if (rc == ORDER_REFUSED || rc == ORDER_SEEN) /* paid twice, or told twice: nothing to do */
        rc = 0;
    else if (rc == BV_E_NOT_FOUND)
        rc = bv_fail(&detail, BV_E_UNPROCESSABLE, "the payment names an order that does not exist");
    bv_consumer_done(under_way, rc, detail.code ? &detail : error);
}

static void on_payment(struct order_service *service,
                       struct bv_consumer_event *under_way,
                       const struct bv_event *event,
                       enum order_event on)
{
    struct bv_error error = {0};
    struct order_payment payment;
    struct bv_uuid uuid;
    char order_id[BV_UUID_TEXT_SIZE], event_id[BV_UUID_TEXT_SIZE];
    int rc = order_payment_decode(event->payload, &payment, &error);
    if (rc == 0 && bv_uuid_parse(payment.order_id, &uuid) < 0)
        rc = bv_fail(&error, BV_E_UNPROCESSABLE, "orderId is no UUID");
    if (rc == 0) {
        bv_uuid_format(uuid, order_id);
        bv_uuid_format(event->id, event_id);
        struct order_move move = {
            .tenant = event->tenant,
            .order_id = bv_bytes_of(order_id),
            .correlation_id = event->correlation_id,
            .on = on,
            .reason = on == ORDER_ON_PAYMENT_DECLINED ? payment.reason : BV_BYTES_NONE,
            .inbox_event_id = bv_bytes_of(event_id),
            .amount_minor = on == ORDER_ON_PAYMENT_AUTHORIZED ? payment.amount_minor : -1,
            .currency = payment.currency,
            .trace = *bv_consumer_trace(under_way)};
        rc = order_saga_move(service->saga, &move, moved, under_way);
    }
    if (rc < 0)
        bv_consumer_done(under_way, rc, &error);
}

static void authorized(void *context,
                       struct bv_consumer_event *under_way,
                       const struct bv_event *event,
                       const struct bv_record *record)
{
    (void)record;
    on_payment(context, under_way, event, ORDER_ON_PAYMENT_AUTHORIZED);
}

static void declined(void *context,
                     struct bv_consumer_event *under_way,
                     const struct bv_event *event,
                     const struct bv_record *record)
{
    (void)record;
    on_payment(context, under_way, event, ORDER_ON_PAYMENT_DECLINED);
}

int order_payments_open(struct order_service *service)
{
    static const char *const topics[] = {"ecommerce.payments", NULL};
    static const struct bv_consumer_row rows[] = {
        {"ecommerce.payment.authorized.v1", authorized},
        {"ecommerce.payment.declined.v1",   declined  },
    };
    struct bv_consumer_config config = {.group = "order",
                                        .topics = topics,
                                        .rows = rows,
                                        .row_count = BV_COUNT(rows),
                                        .retry = &retry,
                                        .prefetch = 64,
                                        .parked = service->parked};
    return bv_consumer_open(bv_service_loop(service->frame),
                            service->bus,
                            &config,
                            bv_service_log(service->frame),
                            bv_service_metrics(service->frame),
                            bv_service_spans(service->frame),
                            service,
                            &service->payments);
}
