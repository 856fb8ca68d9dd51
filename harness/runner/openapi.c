#include "openapi.h"

#include <stdio.h>
#include <yaml.h>

enum { DEPTH_MAX = 60 };

/* ---- YAML to JSON ---- */

static bool is_one_of(struct bv_bytes text, const char *const *words)
{
    for (; *words; words++)
        if (bv_bytes_equal(text, bv_bytes_of(*words)))
            return true;
    return false;
}

static bool number_text(struct bv_bytes text)
{
    size_t i = text.size && text.data[0] == '-' ? 1 : 0;
    size_t digits = 0;
    size_t dots = 0;
    if (i < text.size && text.data[i] == '.')
        return false;
    if (i + 1 < text.size && text.data[i] == '0' && text.data[i + 1] != '.')
        return false;
    for (; i < text.size; i++) {
        digits += text.data[i] >= '0' && text.data[i] <= '9';
        dots += text.data[i] == '.';
        if (!strchr("0123456789.", text.data[i]))
            return false;
    }
    return digits && dots <= 1 && text.data[text.size - 1] != '.';
}

static void write_scalar(struct bv_json_writer *w, const yaml_event_t *event)
{
    static const char *const nulls[] = {"", "~", "null", NULL};
    static const char *const trues[] = {"true", NULL};
    static const char *const falses[] = {"false", NULL};
    struct bv_bytes text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && is_one_of(text, nulls))
        bv_jw_null(w);
    else if (plain && (is_one_of(text, trues) || is_one_of(text, falses)))
        bv_jw_bool(w, text.data[0] == 't');
    else if (plain && number_text(text))
        bv_jw_raw(w, text);
    else
        bv_jw_string(w, text);
}

/* One event; *depth counts open containers, keys[] says whether a mapping waits for a key. */
static int on_event(struct bv_json_writer *w,
                    const yaml_event_t *event,
                    int *depth,
                    char *keys,
                    struct bv_error *error)
{
    bool value = *depth == 0 || keys[*depth] != 'k';
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        if (value)
            write_scalar(w, event);
        else
            bv_jw_key_bytes(w,
                            (struct bv_bytes){(const char *)event->data.scalar.value,
                                              event->data.scalar.length});
        break;
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        if (!value || *depth + 1 >= DEPTH_MAX)
            return bv_fail(error,
                           BV_E_INVALID,
                           "line %zu: nested too deep, or a key that is no text",
                           event->start_mark.line + 1);
        if (keys[*depth] == 'v')
            keys[*depth] = 'k';
        keys[++*depth] = event->type == YAML_MAPPING_START_EVENT ? 'k' : 's';
        if (event->type == YAML_MAPPING_START_EVENT)
            bv_jw_object(w);
        else
            bv_jw_array(w);
        return 0;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        bv_jw_end(w);
        --*depth;
        return 0;
    case YAML_ALIAS_EVENT:
        return bv_fail(
            error, BV_E_INVALID, "line %zu: aliases are not used here", event->start_mark.line + 1);
    default:
        return 0;
    }
    if (keys[*depth] == 'k')
        keys[*depth] = 'v';
    else if (keys[*depth] == 'v')
        keys[*depth] = 'k';
    return 0;
}

int openapi_from_yaml(struct bv_buf *json, struct bv_bytes yaml, struct bv_error *error)
{
    yaml_parser_t parser;
    yaml_event_t event;
    char keys[DEPTH_MAX + 1] = "";
    int depth = 0;
    struct bv_json_writer w = bv_json_writer(json);
    if (!yaml_parser_initialize(&parser))
        return BV_E_NOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml.data, yaml.size);
    int rc = 0;
    size_t documents = 0;
    for (bool end = false; rc == 0 && !end;) {
        if (!yaml_parser_parse(&parser, &event)) {
            rc = bv_fail(error,
                         BV_E_INVALID,
                         "line %zu: %s",
                         parser.problem_mark.line + 1,
                         parser.problem ? parser.problem : "no YAML");
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        documents += event.type == YAML_DOCUMENT_START_EVENT;
        rc = documents == (end ? 0 : 2) ? bv_fail(error,
                                                  BV_E_INVALID,
                                                  "line %zu: one document is expected",
                                                  event.start_mark.line + 1)
                                        : on_event(&w, &event, &depth, keys, error);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return rc == 0 && json->failed ? bv_fail(error, BV_E_TOO_LARGE, "the file is too large") : rc;
}

/* ---- schemas ---- */

const struct bv_json *openapi_follow(const struct bv_json *openapi, const struct bv_json *node)
{
    for (int i = 0; i < 8; i++) {
        struct bv_bytes ref = bv_json_string(bv_json_get(node, "$ref"));
        if (!ref.size)
            return node;
        if (ref.data[0] != '#')
            return NULL;
        node = bv_json_pointer(openapi, (struct bv_bytes){ref.data + 1, ref.size - 1});
    }
    return NULL;
}

static bool names_schemas(struct bv_bytes key)
{
    return bv_bytes_equal(key, BV_BYTES("properties")) || bv_bytes_equal(key, BV_BYTES("$defs"));
}

/* Copies a schema: "#/components/schemas/X" becomes "#/$defs/X", annotations of OpenAPI go. names:
 * the members are names of schemas, not keywords. */
static void write_schema(struct bv_json_writer *w, const struct bv_json *node, bool names)
{
    static const char *const annotations[] = {"example",
                                              "examples",
                                              "description",
                                              "title",
                                              "default",
                                              "deprecated",
                                              "readOnly",
                                              "writeOnly",
                                              "xml",
                                              "externalDocs",
                                              "discriminator",
                                              NULL};
    static const char prefix[] = "#/components/schemas/";
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    switch (bv_json_type(node)) {
    case BV_JSON_OBJECT:
        bv_jw_object(w);
        for (struct bv_json_iter it = bv_json_iter(node); bv_json_next(&it);) {
            struct bv_bytes ref = bv_json_string(it.value);
            if (!names &&
                (is_one_of(it.key, annotations) || bv_bytes_starts(it.key, BV_BYTES("x-"))))
                continue;
            bv_jw_key_bytes(w, it.key);
            if (!names && bv_bytes_equal(it.key, BV_BYTES("$ref")) &&
                bv_bytes_starts(ref, bv_bytes_of(prefix))) {
                bv_buf_reset(&text);
                (void)bv_buf_format(&text, "#/$defs/%s", ref.data + sizeof prefix - 1);
                bv_jw_string(w, bv_buf_view(&text));
            } else {
                write_schema(w, it.value, !names && names_schemas(it.key));
            }
        }
        bv_jw_end(w);
        break;
    case BV_JSON_ARRAY:
        bv_jw_array(w);
        for (struct bv_json_iter it = bv_json_iter(node); bv_json_next(&it);)
            write_schema(w, it.value, false);
        bv_jw_end(w);
        break;
    default:
        (void)bv_json_write(&text, node);
        bv_jw_raw(w, bv_buf_view(&text));
    }
}

static const struct bv_json *json_schema_of(const struct bv_json *body)
{
    for (struct bv_json_iter it = bv_json_iter(bv_json_get(body, "content")); bv_json_next(&it);)
        if (memmem(it.key.data, it.key.size, "json", 4))
            return bv_json_get(it.value, "schema");
    return NULL;
}

static void write_body(struct bv_json_writer *w,
                       struct bv_bytes operation,
                       struct bv_bytes part,
                       const struct bv_json *body)
{
    char name[160];
    const struct bv_json *schema = json_schema_of(body);
    if (!schema)
        return;
    snprintf(name, sizeof name, "%.*s.%.*s", BV_ARG(operation), BV_ARG(part));
    bv_jw_key(w, name);
    write_schema(w, schema, false);
}

static void
write_operation(struct bv_json_writer *w, const struct bv_json *openapi, const struct bv_json *node)
{
    struct bv_bytes id = bv_json_string(bv_json_get(node, "operationId"));
    if (!id.size)
        return;
    write_body(
        w, id, BV_BYTES("request"), openapi_follow(openapi, bv_json_get(node, "requestBody")));
    for (struct bv_json_iter it = bv_json_iter(bv_json_get(node, "responses")); bv_json_next(&it);)
        write_body(w, id, it.key, openapi_follow(openapi, it.value));
}

int openapi_schemas(struct bv_buf *schema, const struct bv_json *openapi, struct bv_error *error)
{
    struct bv_json_writer w = bv_json_writer(schema);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
    bv_jw_key(&w, "$defs");
    bv_jw_object(&w);
    const struct bv_json *components = bv_json_get(openapi, "components");
    for (struct bv_json_iter it = bv_json_iter(bv_json_get(components, "schemas"));
         bv_json_next(&it);) {
        bv_jw_key_bytes(&w, it.key);
        write_schema(&w, it.value, false);
    }
    for (struct bv_json_iter path = bv_json_iter(bv_json_get(openapi, "paths"));
         bv_json_next(&path);)
        for (struct bv_json_iter it = bv_json_iter(path.value); bv_json_next(&it);)
            if (bv_json_type(it.value) == BV_JSON_OBJECT)
                write_operation(&w, openapi, it.value);
    bv_jw_end(&w);
    bv_jw_end(&w);
    return schema->failed ? bv_fail(error, BV_E_TOO_LARGE, "the schemas are too large") : 0;
}
