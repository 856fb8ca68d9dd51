/* What both directions of the JSON mapping know of protobuf-c fields.
 * Thread: any (no state). */
#ifndef BV_PB_FIELDS_H
#define BV_PB_FIELDS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#define PB_NAME_SIZE 128
/* order_id -> orderId, into out[PB_NAME_SIZE]; longer names are cut.
 * Source: protoc's ToJsonName. */
void pb_json_name(const char *name, char *out);
size_t pb_value_size(ProtobufCType type); /* of one value in a struct or array */
static inline bool pb_in_oneof(const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}
/* Optional fields of proto2 that carry a has_ flag: all but strings and messages, which are NULL
 * when unset. */
static inline bool pb_has_flag(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_OPTIONAL && !pb_in_oneof(field) &&
           field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE;
}

#endif
