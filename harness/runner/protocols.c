#include "protocols.h"

#include "grpc_calls.h"
#include "kafka_actor.h"
#include "postgres_actor.h"
#include "redis_actor.h"
#include "rest_actor.h"
#include "sse_client.h"
#include "webhook_actor.h"
#include "websocket_client.h"

const struct bv_protocol *const runner_protocols[] = {
    &bv_protocol_rest,
    &bv_protocol_grpc,
    &bv_protocol_websocket,
    &bv_protocol_sse,
    &bv_protocol_kafka,
    &bv_protocol_webhook,
    &bv_protocol_postgres,
    &bv_protocol_redis,
};
const size_t runner_protocol_count = BV_COUNT(runner_protocols);
