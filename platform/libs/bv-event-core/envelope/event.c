#include "bv/event.h"

#include <stdio.h>

struct wire {
    struct bv_bytes id, type, occurred_at, producer, trace_id, correlation_id, schema_version,
        tenant, key;
    const struct bv_json *payload;
};

#define STRING(name, member, min, max)                                                             \
    {                                                                                              \
        name, offsetof(struct wire, member), BV_FIELD_STRING, true, min, max                       \
    }
static const struct bv_field wire_fields[] = {
    STRING("eventId", id, 36, 36),
    STRING("eventType", type, 1, BV_EVENT_TYPE_BYTES_MAX),
    STRING("occurredAt", occurred_at, 20, 30),
    STRING("producer", producer, 1, 63),
    STRING("traceId", trace_id, 32, 32),
    STRING("correlationId", correlation_id, 1, BV_EVENT_KEY_BYTES_MAX),
    STRING("schemaVersion", schema_version, 1, 16),
    STRING("tenantId", tenant, 1, 63),
    STRING("partitionKey", key, 1, BV_EVENT_KEY_BYTES_MAX),
    {"payload", offsetof(struct wire, payload), BV_FIELD_JSON, true, 0, 0},
};

static bool lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool lower_hex(struct bv_bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!digit(text.data[i]) && !(text.data[i] >= 'a' && text.data[i] <= 'f'))
            return false;
    }
    return true;
}

/* One word of a type name: [a-z][a-z0-9_]*; *at moves past it. */
static bool type_word(struct bv_bytes type, size_t *at)
{
    size_t i = *at;
    if (i >= type.size || !lower(type.data[i]))
        return false;
    while (i < type.size && (lower(type.data[i]) || digit(type.data[i]) || type.data[i] == '_'))
        i++;
    *at = i;
    return true;
}

bool bv_event_type_valid(struct bv_bytes type)
{
    if (type.size > BV_EVENT_TYPE_BYTES_MAX)
        return false;
    size_t at = 0;
    for (int word = 0; word < 3; word++) {
        if (!type_word(type, &at) || at >= type.size || type.data[at++] != '.')
            return false;
    }
    if (at + 2 > type.size || type.data[at] != 'v' || type.data[at + 1] == '0')
        return false;
    for (at++; at < type.size; at++) {
        if (!digit(type.data[at]))
            return false;
    }
    return true;
}

static bool name_valid(struct bv_bytes name, bool digit_first)
{
    if (name.size == 0 || name.size > 63 ||
        !(lower(name.data[0]) || (digit_first && digit(name.data[0]))))
        return false;
    for (size_t i = 1; i < name.size; i++) {
        if (!lower(name.data[i]) && !digit(name.data[i]) && name.data[i] != '-')
            return false;
    }
    return true;
}

bool bv_event_name_valid(struct bv_bytes producer)
{
    return name_valid(producer, false);
}

static bool id_present(const struct bv_uuid *id)
{
    static const struct bv_uuid none;
    return memcmp(id, &none, sizeof none) != 0;
}

void bv_event_stamp(const struct bv_env *env, struct bv_event *event)
{
    if (!id_present(&event->id))
        event->id = bv_uuid_v7(env);
    if (event->occurred_at_us == 0)
        event->occurred_at_us = bv_wall_us(env) / 1000 * 1000;
    if (event->schema_version.size == 0)
        event->schema_version = BV_BYTES("1.0");
    if (event->tenant.size == 0)
        event->tenant = BV_BYTES("default");
    if (!bv_trace_present(&event->trace))
        event->trace = bv_trace_child(env, NULL, 0);
}

static bool encodable(const struct bv_event *event)
{
    return bv_uuid_v7_ms(event->id) >= 0 && event->occurred_at_us > 0 &&
           bv_event_type_valid(event->type) && bv_event_name_valid(event->producer) &&
           name_valid(event->tenant, true) && bv_trace_present(&event->trace) &&
           bv_bytes_equal(event->schema_version, BV_BYTES("1.0")) &&
           event->correlation_id.size <= BV_EVENT_KEY_BYTES_MAX && event->partition_key.size >= 1 &&
           event->partition_key.size <= BV_EVENT_KEY_BYTES_MAX &&
           (event->payload || event->payload_text.size);
}

static void write_envelope(struct bv_buf *buf, const struct bv_event *event)
{
    char id[BV_UUID_TEXT_SIZE], at[BV_TIME_TEXT_SIZE], trace[33];
    bv_uuid_format(event->id, id);
    bv_time_format(event->occurred_at_us, at);
    bv_trace_id_format(&event->trace, trace);
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "eventId", id);
    bv_jw_kv_string(&w, "eventType", event->type);
    bv_jw_kv_text(&w, "occurredAt", at);
    bv_jw_kv_string(&w, "producer", event->producer);
    bv_jw_kv_text(&w, "traceId", trace);
    bv_jw_kv_string(&w,
                    "correlationId",
                    event->correlation_id.size ? event->correlation_id : bv_bytes_of(trace));
    bv_jw_key(&w, "payload");
    if (event->payload_text.size) {
        bv_jw_raw(&w, event->payload_text);
    } else {
        struct bv_buf payload = {.max = BV_EVENT_BYTES_MAX};
        if (bv_json_write(&payload, event->payload) < 0)
            buf->failed = true;
        bv_jw_raw(&w, bv_buf_view(&payload));
        bv_buf_release(&payload);
    }
    bv_jw_kv_string(&w, "schemaVersion", event->schema_version);
    bv_jw_kv_string(&w, "tenantId", event->tenant);
    bv_jw_kv_string(&w, "partitionKey", event->partition_key);
    bv_jw_end(&w);
}

int bv_event_encode(struct bv_buf *buf, const struct bv_event *event)
{
    if (!encodable(event))
        return BV_E_INVALID;
    size_t before = buf->size;
    bool failed_before = buf->failed;
    write_envelope(buf, event);
    if (!buf->failed && buf->size - before <= BV_EVENT_BYTES_MAX)
        return 0;
    buf->size = before;
    buf->failed = failed_before;
    return BV_E_TOO_LARGE;
}

static int refuse(struct bv_error *error, const char *member, const char *what)
{
    int rc = bv_fail(error, BV_E_UNPROCESSABLE, "%s %s", member, what);
    if (error && error->pointer[0] == '\0')
        snprintf(error->pointer, sizeof error->pointer, "/%s", member);
    return rc;
}

static int check_shapes(const struct wire *wire, struct bv_event *event, struct bv_error *error)
{
    if (bv_uuid_parse(wire->id, &event->id) < 0 || bv_uuid_v7_ms(event->id) < 0)
        return refuse(error, "eventId", "is no UUID version 7");
    for (size_t i = 0; i < wire->id.size; i++) {
        if (wire->id.data[i] >= 'A' && wire->id.data[i] <= 'F')
            return refuse(error, "eventId", "is not in lower case");
    }
    if (!bv_event_type_valid(wire->type))
        return refuse(error, "eventType", "is not domain.aggregate.fact.vN");
    if (wire->occurred_at.data[wire->occurred_at.size - 1] != 'Z' ||
        bv_time_parse(wire->occurred_at, &event->occurred_at_us) < 0)
        return refuse(error, "occurredAt", "is no RFC 3339 time in UTC");
    if (!bv_event_name_valid(wire->producer))
        return refuse(error, "producer", "is no service name");
    if (!lower_hex(wire->trace_id) ||
        bv_hex_decode(wire->trace_id, event->trace.trace_id, 16) < 0 ||
        !bv_trace_present(&event->trace))
        return refuse(error, "traceId", "is no W3C trace id");
    if (!bv_bytes_equal(wire->schema_version, BV_BYTES("1.0")))
        return refuse(error, "schemaVersion", "is not 1.0");
    if (!name_valid(wire->tenant, true))
        return refuse(error, "tenantId", "is no tenant name");
    if (bv_json_type(wire->payload) != BV_JSON_OBJECT)
        return refuse(error, "payload", "is no object");
    return 0;
}

int bv_event_decode(struct bv_arena *arena,
                    struct bv_bytes text,
                    struct bv_event *ret_event,
                    struct bv_error *error)
{
    if (text.size > BV_EVENT_BYTES_MAX)
        return bv_fail(error,
                       BV_E_TOO_LARGE,
                       "an envelope has at most %d bytes, this one %zu",
                       BV_EVENT_BYTES_MAX,
                       text.size);
    const struct bv_json *root = NULL;
    BV_TRY(bv_json_parse(arena, text, &root, error));
    if (bv_json_type(root) != BV_JSON_OBJECT)
        return bv_fail(error, BV_E_UNPROCESSABLE, "the envelope is no object");
    struct wire wire = {0};
    BV_TRY(bv_json_decode(root, wire_fields, BV_COUNT(wire_fields), BV_STRICT, &wire, error));
    struct bv_event event = {
        .type = wire.type,
        .producer = wire.producer,
        .correlation_id = wire.correlation_id,
        .schema_version = wire.schema_version,
        .tenant = wire.tenant,
        .partition_key = wire.key,
        .payload = wire.payload,
        .envelope = root,
    };
    BV_TRY(check_shapes(&wire, &event, error));
    *ret_event = event;
    return 0;
}
