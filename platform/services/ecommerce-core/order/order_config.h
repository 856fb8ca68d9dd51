/* Options of the order service. */
#ifndef ORDER_CONFIG_H
#define ORDER_CONFIG_H

#include "bv/config.h"

struct order_config {
    const char *pg_url;
    const char *kafka_brokers;
    const char *inventory_addr;
    const char *product_url;
    const char *auth_url;
    int64_t pg_connections;
    int64_t batches_max;
    int64_t queue_max;
    int64_t inventory_timeout_ms;
    int64_t price_ttl_ms;
    int64_t sweep_interval_ms;
    int64_t sweep_age_ms;
    int64_t key_retention_ms;
    int64_t inbox_retention_ms;
};
extern const struct bv_option order_options[];
#define ORDER_OPTION_COUNT 14

#endif
