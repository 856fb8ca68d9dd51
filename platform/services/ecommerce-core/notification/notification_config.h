/* Options of the notification service. */
#ifndef NOTIFICATION_CONFIG_H
#define NOTIFICATION_CONFIG_H

#include "bv/config.h"

struct notification_config {
    const char *pg_url;
    const char *kafka_brokers;
    const char *auth_url;
    int64_t pg_connections;
    int64_t intake_batch_max; /* events of one transaction */
    int64_t live_keep_count;  /* messages kept per user */
    int64_t live_keep_ms;
    int64_t live_queue_bytes; /* output waiting for one client */
    int64_t live_clients_per_user;
    int64_t live_heartbeat_ms;
    int64_t orders_keep_ms; /* of the snapshot */
    int64_t webhook_backoff_base_ms;
    int64_t webhook_attempts; /* tries in all */
    int64_t webhook_timeout_ms;
    int64_t webhook_concurrency;      /* attempts under way in all */
    int64_t webhook_concurrency_each; /* and per subscription */
    int64_t webhooks_per_owner;
    bool webhook_allow_private;
    int64_t delivery_keep_ms; /* finished ones, in the log */
    int64_t inbox_keep_ms;
};
#define NOTIFICATION_OPTION_COUNT 20
extern const struct bv_option notification_options[NOTIFICATION_OPTION_COUNT];

#endif
