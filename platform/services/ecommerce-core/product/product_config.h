/* Options of the product service. */
#ifndef PRODUCT_CONFIG_H
#define PRODUCT_CONFIG_H

#include "bv/config.h"

struct product_config {
    const char *pg_url;
    const char *redis_url;
    const char *kafka_brokers;
    const char *auth_url;
    int64_t cache_ttl_ms;
    int64_t cache_entries;
    int64_t redis_ttl_ms;
};
#define PRODUCT_OPTION_COUNT 7
extern const struct bv_option product_options[PRODUCT_OPTION_COUNT];

#endif
