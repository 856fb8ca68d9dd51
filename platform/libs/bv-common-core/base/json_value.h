/* struct bv_json is a yyjson value under another name; private to the JSON files. Thread: any. */
#ifndef BV_JSON_VALUE_H
#define BV_JSON_VALUE_H

#include "bv/json.h"

#include <yyjson.h>

static inline yyjson_val *bv_json_raw(const struct bv_json *value)
{
    return (yyjson_val *)(uintptr_t)value;
}

static inline const struct bv_json *bv_json_of(const yyjson_val *value)
{
    return (const struct bv_json *)value;
}

#endif
