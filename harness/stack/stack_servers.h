/* How PostgreSQL, Redis and Kafka are brought up: data from templates, command line; the
 * probes are in server_clients.h. Thread: a task or main. */
#ifndef STACK_SERVERS_H
#define STACK_SERVERS_H

#include "server_clients.h"
#include "stack_world.h"

extern const struct stack_ops stack_postgres;
extern const struct stack_ops stack_redis;
extern const struct stack_ops stack_kafka;

/* Template key, for doctor. */
int stack_kafka_template_key(const struct stack_world *world, char out[96], struct bv_error *error);

#endif
