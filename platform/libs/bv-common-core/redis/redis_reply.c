#include <hiredis.h>

#include "redis_internal.h"

static const redisReply *raw(const struct bv_redis_reply *reply)
{
    return (const redisReply *)reply;
}

enum bv_redis_type bv_redis_type(const struct bv_redis_reply *reply)
{
    switch (raw(reply)->type) {
    case REDIS_REPLY_STRING:
        return BV_REDIS_STRING;
    case REDIS_REPLY_ARRAY:
        return BV_REDIS_ARRAY;
    case REDIS_REPLY_INTEGER:
        return BV_REDIS_INT;
    case REDIS_REPLY_STATUS:
        return BV_REDIS_STATUS;
    case REDIS_REPLY_ERROR:
        return BV_REDIS_ERROR;
    default:
        return BV_REDIS_NIL;
    }
}

struct bv_bytes bv_redis_bytes(const struct bv_redis_reply *reply)
{
    enum bv_redis_type type = bv_redis_type(reply);
    if (type != BV_REDIS_STRING && type != BV_REDIS_STATUS && type != BV_REDIS_ERROR)
        return BV_BYTES_NONE;
    return (struct bv_bytes){raw(reply)->str, (size_t)raw(reply)->len};
}

int64_t bv_redis_int(const struct bv_redis_reply *reply)
{
    return bv_redis_type(reply) == BV_REDIS_INT ? raw(reply)->integer : 0;
}

size_t bv_redis_size(const struct bv_redis_reply *reply)
{
    return bv_redis_type(reply) == BV_REDIS_ARRAY ? raw(reply)->elements : 0;
}

const struct bv_redis_reply *bv_redis_at(const struct bv_redis_reply *reply, size_t index)
{
    return index < bv_redis_size(reply) ? (const struct bv_redis_reply *)raw(reply)->element[index]
                                        : NULL;
}
