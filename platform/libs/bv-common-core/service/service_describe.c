/* --describe: what the lab reads of a service before it runs it. */
#include "service_private.h"

static const char *const method_names[BV_METHOD_COUNT] = {
    [BV_GET] = "GET",
    [BV_HEAD] = "HEAD",
    [BV_POST] = "POST",
    [BV_PUT] = "PUT",
    [BV_PATCH] = "PATCH",
    [BV_DELETE] = "DELETE",
    [BV_OPTIONS] = "OPTIONS",
};

static const char *const type_names[] = {
    [BV_OPT_TEXT] = "text",
    [BV_OPT_INT] = "integer",
    [BV_OPT_SWITCH] = "switch",
    [BV_OPT_DURATION] = "duration",
    [BV_OPT_SIZE] = "size",
};

static void text_or_null(struct bv_json_writer *w, const char *key, const char *text)
{
    bv_jw_key(w, key);
    if (text)
        bv_jw_text(w, text);
    else
        bv_jw_null(w);
}

static void describe_routes(struct bv_json_writer *w, const struct bv_service_spec *spec)
{
    bv_jw_key(w, "routes");
    bv_jw_array(w);
    for (size_t i = 0; i < spec->route_count; i++) {
        const struct bv_http_route *route = &spec->routes[i];
        bv_jw_object(w);
        bv_jw_kv_text(w, "method", method_names[route->method]);
        bv_jw_kv_text(w, "path", route->path);
        text_or_null(w, "operationId", route->operation_id);
        text_or_null(w, "scope", route->scope);
        bv_jw_kv_int(w, "bodyBytesMax", (int64_t)route->body_bytes_max);
        bv_jw_end(w);
    }
    bv_jw_end(w);
}

static void describe_environment(struct bv_json_writer *w, const char *key)
{
    char name[72] = "BV_";
    size_t size = 3;
    for (; *key && size + 1 < sizeof(name); key++)
        name[size++] = *key == '-'                  ? '_'
                       : *key >= 'a' && *key <= 'z' ? (char)(*key - 'a' + 'A')
                                                    : *key;
    bv_jw_kv_string(w, "environment", (struct bv_bytes){name, size});
}

static void describe_option(struct bv_json_writer *w, const struct bv_option *option)
{
    bool secret = option->secrecy == BV_SECRET_VALUE;
    bv_jw_object(w);
    bv_jw_kv_text(w, "key", option->key);
    describe_environment(w, option->key);
    bv_jw_kv_text(w, "type", type_names[option->type]);
    bv_jw_kv_bool(w, "required", option->fallback == NULL);
    text_or_null(w, "default", secret ? NULL : option->fallback);
    if (option->type != BV_OPT_SWITCH) {
        bv_jw_kv_int(w, "min", option->min);
        bv_jw_kv_int(w, "max", option->max);
    }
    bv_jw_kv_text(w, "unit", option->unit ? option->unit : "");
    bv_jw_kv_bool(w, "secret", secret);
    bv_jw_kv_text(w, "help", option->help);
    bv_jw_end(w);
}

static void describe_options(struct bv_json_writer *w, const struct bv_service_spec *spec)
{
    bv_jw_key(w, "options");
    bv_jw_array(w);
    for (size_t i = 0; i < service_common_option_count; i++)
        describe_option(w, &service_common_options[i]);
    for (size_t i = 0; i < spec->option_count; i++)
        describe_option(w, &spec->options[i]);
    bv_jw_end(w);
}

static void describe_topics(struct bv_json_writer *w, const char *key, const char *const *topics)
{
    bv_jw_key(w, key);
    bv_jw_array(w);
    for (; topics && *topics; topics++)
        bv_jw_text(w, *topics);
    bv_jw_end(w);
}

int service_describe(const struct bv_service_spec *spec, struct bv_buf *buf)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    bv_jw_kv_text(&w, "name", spec->name);
    bv_jw_kv_text(&w, "purpose", spec->purpose);
    describe_routes(&w, spec);
    describe_options(&w, spec);
    describe_topics(&w, "topicsIn", spec->topics_in);
    describe_topics(&w, "topicsOut", spec->topics_out);
    bv_jw_end(&w);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}
