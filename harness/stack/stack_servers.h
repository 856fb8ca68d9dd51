/* How PostgreSQL, Redis and Kafka are brought up: data from templates, command line, a probe that
 * speaks the protocol. The probes take a port, so that status may ask a running stack. Thread: a
 * task or main; probes block until their deadline. */
#ifndef STACK_SERVERS_H
#define STACK_SERVERS_H

#include "stack_world.h"

extern const struct stack_ops stack_postgres;
extern const struct stack_ops stack_redis;
extern const struct stack_ops stack_kafka;

/* 0 when the server answers: SELECT 1, PING, Metadata with a broker. Errors: BV_E_TIMEOUT,
 * BV_E_UNAVAILABLE with its words. */
BV_MUST_CHECK int stack_probe_postgres(uint16_t port, int64_t deadline_ms, struct bv_error *error);
BV_MUST_CHECK int stack_probe_redis(uint16_t port, int64_t deadline_ms, struct bv_error *error);
BV_MUST_CHECK int stack_probe_kafka(uint16_t port, int64_t deadline_ms, struct bv_error *error);

/* Template key, for doctor. */
int stack_kafka_template_key(const struct stack_world *world, char out[96], struct bv_error *error);

#endif
