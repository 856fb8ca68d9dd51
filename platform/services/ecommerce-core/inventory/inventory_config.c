#include "inventory_config.h"

#define AT(member) offsetof(struct inventory_config, member)

/* clang-format off */
const struct bv_option inventory_options[INVENTORY_OPTION_COUNT] = {
    {"pg-url",         AT(pg_url),          BV_OPT_TEXT,     NULL,   1,  1024,    BV_SECRET_VALUE, "",   "PostgreSQL database of this service."},
    {"kafka-brokers",  AT(kafka_brokers),   BV_OPT_TEXT,     NULL,   1,  1024,    BV_PUBLIC,       "",   "Kafka bootstrap servers."},
    {"grpc-port",      AT(grpc_port),       BV_OPT_INT,      "0",    0,  65535,   BV_PUBLIC,       "",   "Port of the gRPC API; 0: any free one."},
    {"calls-max",      AT(calls_max),       BV_OPT_INT,      "8192", 1,  1000000, BV_PUBLIC,       "",   "gRPC calls at once; further ones get RESOURCE_EXHAUSTED."},
    {"queue-max",      AT(queue_max),       BV_OPT_INT,      "4096", 1,  1000000, BV_PUBLIC,       "",   "Operations that may wait for a group commit; further ones get RESOURCE_EXHAUSTED."},
    {"watchers-max",   AT(watchers_max),    BV_OPT_INT,      "256",  1,  4096,    BV_PUBLIC,       "",   "Watch streams at once."},
    {"pg-connections", AT(pg_connections),  BV_OPT_INT,      "3",    1,  16,      BV_PUBLIC,       "",   "Pipelined database connections."},
    {"call-timeout",   AT(call_timeout_ms), BV_OPT_DURATION, "5s",   10, 60000,   BV_PUBLIC,       "ms", "Deadline of a database call."},
};
/* clang-format on */
