/* Options of the inventory service. */
#ifndef INVENTORY_CONFIG_H
#define INVENTORY_CONFIG_H

#include "bv/config.h"

struct inventory_config {
    const char *pg_url;
    const char *kafka_brokers;
    int64_t grpc_port;
    int64_t calls_max;
    int64_t queue_max;
    int64_t watchers_max;
    int64_t pg_connections;
    int64_t call_timeout_ms;
};
#define INVENTORY_OPTION_COUNT 8
extern const struct bv_option inventory_options[INVENTORY_OPTION_COUNT];

#endif
