#include "bv/event_service.h"

#define QUEUE_MAX 100000
#define LINGER_MS 1

int bv_service_events_open(struct bv_service *frame,
                           const char *client_id,
                           const char *brokers,
                           const char *pg_url,
                           struct bv_bus **ret_bus,
                           struct bv_outbox_relay **ret_relay)
{
    struct bv_loop *loop = bv_service_loop(frame);
    struct bv_log *log = bv_service_log(frame);
    struct bv_metrics *metrics = bv_service_metrics(frame);
    const struct bv_kafka_config kafka = {.brokers = brokers,
                                          .client_id = client_id,
                                          .instance = bv_service_common(frame)->instance,
                                          .queue_max = QUEUE_MAX,
                                          .linger_ms = LINGER_MS};
    BV_TRY(bv_kafka_open(loop, &kafka, log, metrics, ret_bus));
    if (!pg_url)
        return 0;
    const struct bv_outbox_config outbox = {.conninfo = pg_url};
    return bv_outbox_relay_open(
        loop, &outbox, *ret_bus, log, metrics, bv_service_spans(frame), ret_relay);
}
