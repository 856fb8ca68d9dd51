#include "stack_table.h"

#include "stack_servers.h"
#include "stack_services.h"
#include "bv/config.h"

#include <signal.h>

static const struct stack_variable auth_variables[] = {
    {"BV_PG_URL",             STACK_PG,     "auth"                 },
    {"BV_ISSUER",             STACK_URL,    "auth"                 },
    {"BV_DEMO_PASSWORD",      STACK_SECRET, "BV_DEMO_PASSWORD"     },
    {"BV_DEMO_CLIENT_SECRET", STACK_SECRET, "BV_DEMO_CLIENT_SECRET"},
};
static const struct stack_variable product_variables[] = {
    {"BV_PG_URL",        STACK_PG,    "product"},
    {"BV_REDIS_URL",     STACK_REDIS, NULL     },
    {"BV_KAFKA_BROKERS", STACK_KAFKA, NULL     },
    {"BV_AUTH_URL",      STACK_URL,   "auth"   },
};
static const struct stack_variable inventory_variables[] = {
    {"BV_PG_URL",        STACK_PG,        "inventory"},
    {"BV_KAFKA_BROKERS", STACK_KAFKA,     NULL       },
    {"BV_GRPC_PORT",     STACK_GRPC_PORT, NULL       },
};
static const struct stack_variable order_variables[] = {
    {"BV_PG_URL",         STACK_PG,        "orders"   },
    {"BV_KAFKA_BROKERS",  STACK_KAFKA,     NULL       },
    {"BV_INVENTORY_ADDR", STACK_GRPC_ADDR, "inventory"},
    {"BV_PRODUCT_URL",    STACK_URL,       "product"  },
    {"BV_AUTH_URL",       STACK_URL,       "auth"     },
};
static const struct stack_variable notification_variables[] = {
    {"BV_PG_URL",        STACK_PG,    "notification"},
    {"BV_KAFKA_BROKERS", STACK_KAFKA, NULL          },
    {"BV_AUTH_URL",      STACK_URL,   "auth"        },
};

const struct stack_variable stack_common_variables[] = {
    {"BV_HOST",      STACK_TEXT,      "127.0.0.1"},
    {"BV_HTTP_PORT", STACK_HTTP_PORT, NULL       },
    {"BV_LOG_LEVEL", STACK_LOG_LEVEL, NULL       },
    {"BV_OTLP_URL",  STACK_OTLP,      NULL       },
    {"BV_DRAIN_MS",  STACK_TEXT,      "2000"     },
};
const size_t stack_common_variable_count = BV_COUNT(stack_common_variables);

/* A service may be stopped for as long as it drains, then a little; the data of servers is thrown
 * away with the stack. */
const struct stack_row stack_rows[] = {
    {.name = "postgres",
     .kind = BV_STACK_SERVER,
     .fixed = {17432},
     .memory_mb = 60,
     .disk_mb = 80,
     .stop_signal = SIGINT,
     .stop_ms = 3000,
     .ops = &stack_postgres},
    {.name = "redis",
     .kind = BV_STACK_SERVER,
     .fixed = {17379},
     .memory_mb = 15,
     .disk_mb = 1,
     .stop_signal = SIGTERM,
     .stop_ms = 2000,
     .ops = &stack_redis},
    {.name = "kafka",
     .kind = BV_STACK_SERVER,
     .fixed = {17092, 17093},
     .memory_mb = 190,
     .disk_mb = 30,
     .stop_signal = SIGTERM,
     .stop_ms = 3000,
     .ops = &stack_kafka},
    {.name = "auth",
     .kind = BV_STACK_SERVICE,
     .gates = {"postgres"},
     .database = "auth",
     .fixed = {17001},
     .memory_mb = 30,
     .disk_mb = 1,
     .stop_signal = SIGTERM,
     .stop_ms = 4000,
     .variables = auth_variables,
     .variable_count = BV_COUNT(auth_variables),
     .ops = &stack_service},
    {.name = "product",
     .kind = BV_STACK_SERVICE,
     .gates = {"postgres", "redis", "kafka"},
     .peers = {"auth"},
     .database = "product",
     .fixed = {17002},
     .memory_mb = 30,
     .disk_mb = 1,
     .stop_signal = SIGTERM,
     .stop_ms = 4000,
     .variables = product_variables,
     .variable_count = BV_COUNT(product_variables),
     .ops = &stack_service},
    {.name = "inventory",
     .kind = BV_STACK_SERVICE,
     .gates = {"postgres", "kafka"},
     .database = "inventory",
     .fixed = {17003, 17103},
     .memory_mb = 40,
     .disk_mb = 1,
     .stop_signal = SIGTERM,
     .stop_ms = 4000,
     .variables = inventory_variables,
     .variable_count = BV_COUNT(inventory_variables),
     .ops = &stack_service},
    {.name = "order",
     .kind = BV_STACK_SERVICE,
     .gates = {"postgres", "kafka"},
     .peers = {"inventory", "product", "auth"},
     .database = "orders",
     .fixed = {17004},
     .memory_mb = 40,
     .disk_mb = 1,
     .stop_signal = SIGTERM,
     .stop_ms = 4000,
     .variables = order_variables,
     .variable_count = BV_COUNT(order_variables),
     .ops = &stack_service},
    {.name = "notification",
     .kind = BV_STACK_SERVICE,
     .gates = {"postgres", "kafka"},
     .peers = {"auth"},
     .database = "notification",
     .fixed = {17005},
     .memory_mb = 30,
     .disk_mb = 1,
     .stop_signal = SIGTERM,
     .stop_ms = 4000,
     .variables = notification_variables,
     .variable_count = BV_COUNT(notification_variables),
     .ops = &stack_service},
};
const size_t stack_row_count = BV_COUNT(stack_rows);

const struct stack_row stack_database_row = {.name = "database",
                                             .kind = BV_STACK_DATABASE,
                                             .gates = {"postgres"},
                                             .stop_signal = SIGTERM,
                                             .stop_ms = 2000,
                                             .ops = &stack_migration};

const struct stack_topic stack_topics[] = {
    {"ecommerce.orders",       4},
    {"ecommerce.stock",        4},
    {"ecommerce.payments",     4},
    {"ecommerce.products",     4},
    {"ecommerce.orders.dlq",   1},
    {"ecommerce.stock.dlq",    1},
    {"ecommerce.payments.dlq", 1},
    {"ecommerce.products.dlq", 1},
};
const size_t stack_topic_count = BV_COUNT(stack_topics);

const struct stack_row *stack_row_find(const char *name)
{
    for (size_t i = 0; i < stack_row_count; i++)
        if (strcmp(stack_rows[i].name, name) == 0)
            return &stack_rows[i];
    return NULL;
}

/* ---- needs ---- */

static void mark(bool *taken, const struct stack_row *row)
{
    size_t index = (size_t)(row - stack_rows);
    if (taken[index])
        return;
    taken[index] = true;
    for (size_t i = 0; i < STACK_GATES_MAX && row->gates[i]; i++)
        mark(taken, stack_row_find(row->gates[i]));
    for (size_t i = 0; i < STACK_PEERS_MAX && row->peers[i]; i++)
        mark(taken, stack_row_find(row->peers[i]));
}

static int unknown(const char *word, struct bv_error *error)
{
    const char *names[BV_STACK_UNITS_MAX];
    for (size_t i = 0; i < stack_row_count; i++)
        names[i] = stack_rows[i].name;
    const char *near = bv_nearest(word, names, stack_row_count);
    return bv_fail(error,
                   BV_E_INVALID,
                   "no server or service '%.40s'%s%s%s",
                   word,
                   near ? ": did you mean '" : " (bv help up lists them)",
                   near ? near : "",
                   near ? "'?" : "");
}

int bv_stack_resolve(const char *const *wanted,
                     size_t wanted_count,
                     struct bv_stack_needs *ret_needs,
                     struct bv_error *error)
{
    bool taken[BV_STACK_UNITS_MAX] = {false};
    for (size_t i = 0; i < wanted_count; i++) {
        const struct stack_row *row = stack_row_find(wanted[i]);
        if (!row)
            return unknown(wanted[i], error);
        mark(taken, row);
    }
    struct bv_stack_needs needs = {0};
    for (size_t i = 0; i < stack_row_count; i++) {
        const struct stack_row *row = &stack_rows[i];
        if (wanted_count > 0 && !taken[i])
            continue;
        needs.names[needs.count++] = row->name;
        needs.memory_mb += row->memory_mb;
        needs.disk_mb += row->disk_mb;
        needs.ports += (row->fixed[0] != 0) + (row->fixed[1] != 0);
    }
    *ret_needs = needs;
    return 0;
}

size_t bv_stack_choice_count(void)
{
    return stack_row_count;
}

struct bv_stack_choice bv_stack_choice(size_t index)
{
    const struct stack_row *row = &stack_rows[index];
    return (struct bv_stack_choice){row->name,
                                    row->kind,
                                    row->fixed[0],
                                    row->kind == BV_STACK_SERVICE ? row->fixed[1] : 0,
                                    row->memory_mb,
                                    row->disk_mb};
}
