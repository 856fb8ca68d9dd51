/* Bus and outbox relay of a service, wired to its frame. Thread: loop, at init. */
#ifndef BV_EVENT_SERVICE_H
#define BV_EVENT_SERVICE_H

#include "bv/outbox.h"
#include "bv/service.h"

/* Kafka with the platform's settings; with pg_url also the relay of that database's outbox.
 * Ownership: *ret_bus and *ret_relay (NULL without pg_url, may be passed as NULL then) are the
 * caller's: close consumers, relay, bus in this order. Errors:    as bv_kafka_open and
 * bv_outbox_relay_open. */
BV_MUST_CHECK int bv_service_events_open(struct bv_service *frame,
                                         const char *client_id,
                                         const char *brokers,
                                         const char *pg_url,
                                         struct bv_bus **ret_bus,
                                         struct bv_outbox_relay **ret_relay);

#endif
