#include "bv/json.h"

#include <stdio.h>

/* Writes "/name" with RFC 6901 escapes, cut to what fits. */
static void point_at(struct bv_error *error, struct bv_bytes name)
{
    if (!error || error->code != 0)
        return;
    size_t at = 0;
    error->pointer[at++] = '/';
    for (size_t i = 0; i < name.size && at + 2 < sizeof(error->pointer); i++) {
        char c = name.data[i];
        if (c == '~' || c == '/') {
            error->pointer[at++] = '~';
            c = c == '~' ? '0' : '1';
        }
        error->pointer[at++] = c;
    }
    error->pointer[at] = '\0';
}

#define refuse(error, name, ...)                                                                   \
    (point_at((error), (name)), bv_fail((error), BV_E_UNPROCESSABLE, __VA_ARGS__))

static bool ranged(const struct bv_field *field)
{
    return field->min != 0 || field->max != 0;
}

static int decode_string(const struct bv_field *field,
                         const struct bv_json *value,
                         void *slot,
                         struct bv_error *error)
{
    struct bv_bytes name = bv_bytes_of(field->name);
    if (bv_json_type(value) != BV_JSON_STRING)
        return refuse(error, name, "%s must be a string.", field->name);
    struct bv_bytes text = bv_json_string(value);
    if (ranged(field) && ((int64_t)text.size < field->min || (int64_t)text.size > field->max))
        return refuse(error,
                      name,
                      "%s must be %lld to %lld bytes long, it has %zu.",
                      field->name,
                      (long long)field->min,
                      (long long)field->max,
                      text.size);
    if (text.size > 0 && memchr(text.data, '\0', text.size))
        return refuse(error, name, "%s must not contain U+0000.", field->name);
    memcpy(slot, &text, sizeof(text));
    return 0;
}

static int decode_int64(const struct bv_field *field,
                        const struct bv_json *value,
                        void *slot,
                        struct bv_error *error)
{
    struct bv_bytes name = bv_bytes_of(field->name);
    if (bv_json_type(value) != BV_JSON_INT)
        return refuse(error, name, "%s must be an integer.", field->name);
    int64_t number = bv_json_int(value, 0);
    if (ranged(field) && (number < field->min || number > field->max))
        return refuse(error,
                      name,
                      "%s must be %lld to %lld, it is %lld.",
                      field->name,
                      (long long)field->min,
                      (long long)field->max,
                      (long long)number);
    memcpy(slot, &number, sizeof(number));
    return 0;
}

static int decode_bool(const struct bv_field *field,
                       const struct bv_json *value,
                       void *slot,
                       struct bv_error *error)
{
    if (bv_json_type(value) != BV_JSON_BOOL)
        return refuse(error, bv_bytes_of(field->name), "%s must be true or false.", field->name);
    bool truth = bv_json_bool(value, false);
    memcpy(slot, &truth, sizeof(truth));
    return 0;
}

static int decode_json(const struct bv_field *field,
                       const struct bv_json *value,
                       void *slot,
                       struct bv_error *error)
{
    (void)field;
    (void)error;
    memcpy(slot, &value, sizeof(value));
    return 0;
}

static int (*const decoders[])(const struct bv_field *field,
                               const struct bv_json *value,
                               void *slot,
                               struct bv_error *error) = {
    [BV_FIELD_STRING] = decode_string,
    [BV_FIELD_INT64] = decode_int64,
    [BV_FIELD_BOOL] = decode_bool,
    [BV_FIELD_JSON] = decode_json,
};

static bool known(struct bv_bytes name, const struct bv_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bv_bytes_equal(name, bv_bytes_of(fields[i].name)))
            return true;
    return false;
}

int bv_json_decode(const struct bv_json *object,
                   const struct bv_field *fields,
                   size_t count,
                   enum bv_strictness strictness,
                   void *target,
                   struct bv_error *error)
{
    if (bv_json_type(object) != BV_JSON_OBJECT)
        return bv_fail(error, BV_E_UNPROCESSABLE, "A JSON object is needed.");
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct bv_field *field = &fields[i];
        const struct bv_json *value = bv_json_get(object, field->name);
        if (!value && field->required)
            return refuse(error, bv_bytes_of(field->name), "%s is missing.", field->name);
        if (!value)
            continue;
        found++;
        BV_TRY(decoders[field->type](field, value, (char *)target + field->offset, error));
    }
    if (strictness == BV_LENIENT || found == bv_json_size(object))
        return 0;
    for (struct bv_json_iter it = bv_json_iter(object); bv_json_next(&it);)
        if (!known(it.key, fields, count))
            return refuse(error, it.key, "%.60s is not a known member.", it.key.data);
    return 0;
}
