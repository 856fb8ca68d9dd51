/* The notification service: live order status (WebSocket, SSE) and signed webhooks. Everything here
 * lives on the loop thread. */
#ifndef NOTIFICATION_SERVICE_H
#define NOTIFICATION_SERVICE_H

#include "bv/bus.h"
#include "bv/consumer.h"
#include "bv/guard.h"
#include "bv/parked.h"
#include "bv/service.h"
#include "notification_config.h"
#include "notification_events.h"
#include "notification_hub.h"
#include "notification_listen.h"
#include "notification_sender.h"
#include "notification_store.h"

struct notification_service {
    struct bv_service *frame;                 /* borrowed */
    const struct notification_config *config; /* borrowed */
    struct bv_guard *guard;                   /* owned, as all below, in order of making */
    struct bv_pg *pg;
    struct notification_store *store;
    struct notification_hub *hub;
    struct notification_sender *sender;
    struct notification_intake *intake;
    struct notification_listen *listen;
    struct bv_parked_store *parked;
    struct bv_bus *bus;
    struct bv_consumer *consumer;
    struct bv_timer *sweep;
};
extern const struct bv_service_spec notification_spec;

/* notification_api.c; context of the handlers: struct notification_service. */
#define NOTIFICATION_ROUTE_COUNT 7
extern const struct bv_http_route notification_routes[NOTIFICATION_ROUTE_COUNT];

#endif
