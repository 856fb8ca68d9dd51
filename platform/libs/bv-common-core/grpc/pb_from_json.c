/* JSON to protobuf-c. A message struct is filled through the offsets of its descriptor:
 *
 *     singular   value at offset (message: pointer, NULL when unset)
 *     repeated   count at quantifier_offset, array pointer at offset
 *     oneof      number of the set field at quantifier_offset, value at offset, shared
 */
#include "bv/grpc.h"
#include "bv/json.h"
#include "pb_fields.h"

#include <math.h>
#include <stdio.h>

struct pb_reader {
    struct bv_arena *arena;
    struct bv_error *error;
    char pointer[64]; /* where we are; cut when deep */
    unsigned depth;
};

static int read_message(struct pb_reader *r,
                        const ProtobufCMessageDescriptor *type,
                        const struct bv_json *value,
                        ProtobufCMessage **ret_message);

static int refuse(struct pb_reader *r, const char *what)
{
    int rc = bv_fail(
        r->error, BV_E_UNPROCESSABLE, "%s: %s", r->pointer[0] ? r->pointer : "the message", what);
    if (r->error)
        snprintf(r->error->pointer, sizeof r->error->pointer, "%s", r->pointer);
    return rc;
}

/* Extends the pointer and returns the length to go back to. */
static size_t pointer_push(struct pb_reader *r, struct bv_bytes part)
{
    size_t size = strlen(r->pointer);
    snprintf(r->pointer + size, sizeof r->pointer - size, "/%.*s", BV_ARG(part));
    return size;
}

static void pointer_pop(struct pb_reader *r, size_t size)
{
    r->pointer[size] = '\0';
}

/* ---- scalars ---- */

static int read_signed(
    struct pb_reader *r, const struct bv_json *value, int64_t min, int64_t max, int64_t *ret_number)
{
    if (bv_json_type(value) == BV_JSON_STRING)
        return bv_bytes_int64(bv_json_string(value), min, max, ret_number) < 0
                   ? refuse(r, "not an integer in range")
                   : 0;
    if (bv_json_type(value) == BV_JSON_INT) {
        int64_t number = bv_json_int(value, INT64_MIN);
        if (number >= min && number <= max &&
            (number != INT64_MIN || bv_json_int(value, 0) == INT64_MIN)) {
            *ret_number = number;
            return 0;
        }
        return refuse(r, "integer out of range");
    }
    double real = bv_json_real(value, NAN); /* 3.0 is an integer in the mapping */
    if (bv_json_type(value) == BV_JSON_REAL && real == floor(real) &&
        fabs(real) <= 9007199254740992.0 && real >= (double)min && real <= (double)max) {
        *ret_number = (int64_t)real;
        return 0;
    }
    return refuse(r, "not an integer in range");
}

static int
read_unsigned(struct pb_reader *r, const struct bv_json *value, uint64_t max, uint64_t *ret_number)
{
    struct bv_bytes text = bv_json_string(value);
    if (bv_json_type(value) != BV_JSON_STRING) {
        int64_t number = 0;
        int64_t signed_max = max > INT64_MAX ? INT64_MAX : (int64_t)max;
        BV_TRY(read_signed(r, value, 0, signed_max, &number));
        *ret_number = (uint64_t)number;
        return 0;
    }
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return refuse(r, "not an unsigned integer in range");
        number = number * 10 + digit;
    }
    if (text.size == 0 || number > max)
        return refuse(r, "not an unsigned integer in range");
    *ret_number = number;
    return 0;
}

static int read_real(struct pb_reader *r, const struct bv_json *value, double *ret_number)
{
    static const struct {
        struct bv_bytes word;
        double number;
    } words[] = {
        {{"NaN", 3},       (double)NAN      },
        {{"Infinity", 8},  (double)INFINITY },
        {{"-Infinity", 9}, -(double)INFINITY},
    };
    enum bv_json_type type = bv_json_type(value);
    if (type == BV_JSON_INT || type == BV_JSON_REAL) {
        *ret_number = bv_json_real(value, 0);
        return 0;
    }
    for (size_t i = 0; i < BV_COUNT(words) && type == BV_JSON_STRING; i++)
        if (bv_bytes_equal(bv_json_string(value), words[i].word)) {
            *ret_number = words[i].number;
            return 0;
        }
    return refuse(r, "not a number");
}

static int read_enum(struct pb_reader *r,
                     const ProtobufCEnumDescriptor *type,
                     const struct bv_json *value,
                     int *ret_number)
{
    if (bv_json_type(value) == BV_JSON_STRING) {
        const ProtobufCEnumValue *found =
            protobuf_c_enum_descriptor_get_value_by_name(type, bv_json_string(value).data);
        if (!found)
            return refuse(r, "no such name in the enum");
        *ret_number = found->value;
        return 0;
    }
    int64_t number = 0;
    BV_TRY(read_signed(r, value, INT32_MIN, INT32_MAX, &number));
    *ret_number = (int)number;
    return 0;
}

static int
read_bytes(struct pb_reader *r, const struct bv_json *value, ProtobufCBinaryData *ret_data)
{
    struct bv_bytes text = bv_json_string(value);
    if (bv_json_type(value) != BV_JSON_STRING)
        return refuse(r, "not a base64 string");
    uint8_t *data = bv_arena_alloc(r->arena, text.size + 1);
    if (!data)
        return BV_E_NOMEM;
    size_t size = 0;
    int rc = bv_base64_decode(text, data, &size);
    if (rc < 0) {
        while (text.size > 0 && text.data[text.size - 1] == '=')
            text.size--;
        rc = bv_base64url_decode(text, data, &size);
    }
    if (rc < 0)
        return refuse(r, "not base64");
    *ret_data = (ProtobufCBinaryData){size, data};
    return 0;
}

static int read_text(struct pb_reader *r, const struct bv_json *value, char **ret_text)
{
    struct bv_bytes text = bv_json_string(value);
    if (bv_json_type(value) != BV_JSON_STRING)
        return refuse(r, "not a string");
    if (text.size > 0 && memchr(text.data, '\0', text.size))
        return refuse(r, "a string with a NUL");
    *ret_text = bv_arena_text(r->arena, text);
    return *ret_text ? 0 : BV_E_NOMEM;
}

/* One value, written to `at`, which has room for the field's type. */
static int read_value(struct pb_reader *r,
                      const ProtobufCFieldDescriptor *field,
                      const struct bv_json *value,
                      void *at)
{
    int64_t number = 0;
    uint64_t natural = 0;
    double real = 0;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        BV_TRY(read_signed(r, value, INT32_MIN, INT32_MAX, &number));
        *(int32_t *)at = (int32_t)number;
        return 0;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return read_signed(r, value, INT64_MIN, INT64_MAX, at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        BV_TRY(read_unsigned(r, value, UINT32_MAX, &natural));
        *(uint32_t *)at = (uint32_t)natural;
        return 0;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return read_unsigned(r, value, UINT64_MAX, at);
    case PROTOBUF_C_TYPE_FLOAT:
        BV_TRY(read_real(r, value, &real));
        if (isfinite(real) && fabs(real) > 3.4028234663852886e38)
            return refuse(r, "out of the range of a float");
        *(float *)at = (float)real;
        return 0;
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_real(r, value, at);
    case PROTOBUF_C_TYPE_BOOL:
        if (bv_json_type(value) != BV_JSON_BOOL)
            return refuse(r, "not true or false");
        *(protobuf_c_boolean *)at = bv_json_bool(value, false);
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(r, field->descriptor, value, at);
    case PROTOBUF_C_TYPE_STRING:
        return read_text(r, value, at);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(r, value, at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(r, field->descriptor, value, at);
    }
    return BV_E_INTERNAL;
}

/* ---- fields ---- */

static int read_repeated(struct pb_reader *r,
                         const ProtobufCFieldDescriptor *field,
                         const struct bv_json *array,
                         char *message)
{
    if (bv_json_type(array) != BV_JSON_ARRAY)
        return refuse(r, "not an array");
    size_t count = bv_json_size(array);
    size_t size = pb_value_size(field->type);
    char *values = count ? bv_arena_alloc(r->arena, count * size) : NULL;
    if (count && !values)
        return BV_E_NOMEM;
    size_t index = 0;
    for (struct bv_json_iter it = bv_json_iter(array); bv_json_next(&it); index++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", index);
        size_t back = pointer_push(r, bv_bytes_of(number));
        if (bv_json_type(it.value) == BV_JSON_NULL)
            return refuse(r, "null in an array");
        BV_TRY(read_value(r, field, it.value, values + index * size));
        pointer_pop(r, back);
    }
    *(size_t *)(void *)(message + field->quantifier_offset) = count;
    *(void **)(void *)(message + field->offset) = values;
    return 0;
}

static int read_field(struct pb_reader *r,
                      const ProtobufCFieldDescriptor *field,
                      const struct bv_json *value,
                      char *message)
{
    if (bv_json_type(value) == BV_JSON_NULL)
        return 0;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return read_repeated(r, field, value, message);
    if (pb_in_oneof(field)) {
        uint32_t *which = (uint32_t *)(void *)(message + field->quantifier_offset);
        if (*which != 0)
            return refuse(r,
                          *which == field->id ? "given twice"
                                              : "another member of its oneof is given too");
        *which = field->id;
    } else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && pb_has_flag(field)) {
        *(protobuf_c_boolean *)(void *)(message + field->quantifier_offset) = 1;
    }
    return read_value(r, field, value, message + field->offset);
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
                                                  struct bv_bytes key)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        char name[PB_NAME_SIZE];
        pb_json_name(type->fields[i].name, name);
        if (bv_bytes_equal(key, bv_bytes_of(name)) ||
            bv_bytes_equal(key, bv_bytes_of(type->fields[i].name)))
            return &type->fields[i];
    }
    return NULL;
}

static int read_message(struct pb_reader *r,
                        const ProtobufCMessageDescriptor *type,
                        const struct bv_json *value,
                        ProtobufCMessage **ret_message)
{
    if (bv_json_type(value) != BV_JSON_OBJECT)
        return refuse(r, "not an object");
    if (r->depth == BV_JSON_DEPTH_MAX)
        return refuse(r, "nested too deep");
    ProtobufCMessage *message = bv_arena_alloc(r->arena, type->sizeof_message);
    if (!message)
        return BV_E_NOMEM;
    protobuf_c_message_init(type, message);
    r->depth++;
    for (struct bv_json_iter it = bv_json_iter(value); bv_json_next(&it);) {
        size_t back = pointer_push(r, it.key);
        const ProtobufCFieldDescriptor *field = find_field(type, it.key);
        if (!field)
            return refuse(r, "no such field");
        BV_TRY(read_field(r, field, it.value, (char *)message));
        pointer_pop(r, back);
    }
    r->depth--;
    *ret_message = message;
    return 0;
}

int bv_pb_from_json(struct bv_arena *arena,
                    const ProtobufCMessageDescriptor *type,
                    struct bv_bytes json,
                    ProtobufCMessage **ret_message,
                    struct bv_error *error)
{
    const struct bv_json *root = NULL;
    BV_TRY(bv_json_parse(arena, json, &root, error));
    struct pb_reader reader = {.arena = arena, .error = error};
    return read_message(&reader, type, root, ret_message);
}
