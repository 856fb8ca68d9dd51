#include "bv/grpc.h"
#include "bv/json.h"
#include "pb_fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void pb_json_name(const char *name, char *out)
{
    size_t size = 0;
    bool upper = false;
    for (; *name && size < PB_NAME_SIZE - 1; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        out[size++] = upper && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
        upper = false;
    }
    out[size] = '\0';
}

size_t pb_value_size(ProtobufCType type)
{
    static const size_t sizes[] = {
        [PROTOBUF_C_TYPE_INT32] = 4,
        [PROTOBUF_C_TYPE_SINT32] = 4,
        [PROTOBUF_C_TYPE_SFIXED32] = 4,
        [PROTOBUF_C_TYPE_INT64] = 8,
        [PROTOBUF_C_TYPE_SINT64] = 8,
        [PROTOBUF_C_TYPE_SFIXED64] = 8,
        [PROTOBUF_C_TYPE_UINT32] = 4,
        [PROTOBUF_C_TYPE_FIXED32] = 4,
        [PROTOBUF_C_TYPE_UINT64] = 8,
        [PROTOBUF_C_TYPE_FIXED64] = 8,
        [PROTOBUF_C_TYPE_FLOAT] = sizeof(float),
        [PROTOBUF_C_TYPE_DOUBLE] = sizeof(double),
        [PROTOBUF_C_TYPE_BOOL] = sizeof(protobuf_c_boolean),
        [PROTOBUF_C_TYPE_ENUM] = sizeof(int),
        [PROTOBUF_C_TYPE_STRING] = sizeof(char *),
        [PROTOBUF_C_TYPE_BYTES] = sizeof(ProtobufCBinaryData),
        [PROTOBUF_C_TYPE_MESSAGE] = sizeof(ProtobufCMessage *),
    };
    return sizes[type];
}

static int write_message(struct bv_json_writer *w, const ProtobufCMessage *message);

static void write_real(struct bv_json_writer *w, double number)
{
    if (isnan(number))
        bv_jw_text(w, "NaN");
    else if (isinf(number))
        bv_jw_text(w, number > 0 ? "Infinity" : "-Infinity");
    else
        bv_jw_real(w, number);
}

/* The shortest decimal that reads back as the same float, not as the double it widens to. */
static void write_float(struct bv_json_writer *w, float number)
{
    char text[32];
    for (int digits = 6; digits <= 9 && isfinite(number); digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)number);
        if (strtof(text, NULL) == number) {
            bv_jw_raw(w, bv_bytes_of(text));
            return;
        }
    }
    write_real(w, (double)number);
}

static void write_natural(struct bv_json_writer *w, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    bv_jw_text(w, text);
}

static void write_integer(struct bv_json_writer *w, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)number);
    bv_jw_text(w, text);
}

static void write_enum(struct bv_json_writer *w, const ProtobufCEnumDescriptor *type, int number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    if (value)
        bv_jw_text(w, value->name);
    else
        bv_jw_int(w, number);
}

static int write_bytes(struct bv_json_writer *w, const ProtobufCBinaryData *data)
{
    char *text = malloc(bv_base64_size(data->len) + 1);
    if (!text)
        return BV_E_NOMEM;
    size_t size = data->len ? bv_base64_encode(data->data, data->len, text) : 0;
    bv_jw_string(w, (struct bv_bytes){text, size});
    free(text);
    return 0;
}

static int
write_value(struct bv_json_writer *w, const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        bv_jw_int(w, *(const int32_t *)at);
        return 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        write_integer(w, *(const int64_t *)at);
        return 0;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        bv_jw_int(w, *(const uint32_t *)at);
        return 0;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        write_natural(w, *(const uint64_t *)at);
        return 0;
    case PROTOBUF_C_TYPE_FLOAT:
        write_float(w, *(const float *)at);
        return 0;
    case PROTOBUF_C_TYPE_DOUBLE:
        write_real(w, *(const double *)at);
        return 0;
    case PROTOBUF_C_TYPE_BOOL:
        bv_jw_bool(w, *(const protobuf_c_boolean *)at != 0);
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(w, field->descriptor, *(const int *)at);
        return 0;
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)at;
        bv_jw_text(w, text ? text : "");
        return 0;
    }
    case PROTOBUF_C_TYPE_BYTES:
        return write_bytes(w, at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return write_message(w, *(ProtobufCMessage *const *)at);
    }
    return BV_E_INTERNAL;
}

static bool field_present(const ProtobufCFieldDescriptor *field, const char *message)
{
    if (pb_in_oneof(field))
        return *(const uint32_t *)(const void *)(message + field->quantifier_offset) == field->id;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return true;
    if (pb_has_flag(field))
        return *(const protobuf_c_boolean *)(const void *)(message + field->quantifier_offset) != 0;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE ||
        (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type == PROTOBUF_C_TYPE_STRING))
        return *(void *const *)(const void *)(message + field->offset) != NULL;
    return true;
}

static int
write_field(struct bv_json_writer *w, const ProtobufCFieldDescriptor *field, const char *message)
{
    char name[PB_NAME_SIZE];
    pb_json_name(field->name, name);
    bv_jw_key(w, name);
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return write_value(w, field, message + field->offset);
    size_t count = *(const size_t *)(const void *)(message + field->quantifier_offset);
    const char *values = *(const char *const *)(const void *)(message + field->offset);
    if (w->depth + 1 >= BV_JSON_DEPTH_MAX)
        return BV_E_UNPROCESSABLE;
    bv_jw_array(w);
    for (size_t i = 0; i < count; i++)
        BV_TRY(write_value(w, field, values + i * pb_value_size(field->type)));
    bv_jw_end(w);
    return 0;
}

static int write_message(struct bv_json_writer *w, const ProtobufCMessage *message)
{
    if (w->depth + 1 >= BV_JSON_DEPTH_MAX)
        return BV_E_UNPROCESSABLE;
    bv_jw_object(w);
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field_present(field, (const char *)message))
            BV_TRY(write_field(w, field, (const char *)message));
    }
    bv_jw_end(w);
    return 0;
}

int bv_pb_to_json(struct bv_buf *buf, const ProtobufCMessage *message)
{
    struct bv_json_writer writer = bv_json_writer(buf);
    BV_TRY(write_message(&writer, message));
    return buf->failed ? BV_E_TOO_LARGE : 0;
}
