#include "contracts.h"

#include "openapi.h"
#include "bv/config.h"
#include "bv/fs.h"
#include "bv/schema.h"
#include <stdarg.h>
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OPERATIONS_MAX = 512,
    SERVICES_MAX = 32,
    EVENTS_MAX = 256,
    TOPICS_MAX = 128,
    FILE_BYTES_MAX = 4 << 20,
    ARENA_BYTES_MAX = 64 << 20
};

struct contracts {
    char folder[BV_PATH_MAX];
    bool read;
    struct bv_arena *arena;
    struct bv_schemas *events; /* and what the others refer to */
    struct bv_schemas *bodies; /* one document per service */
    struct contract_operation operations[OPERATIONS_MAX];
    size_t operation_count;
    const char *services[SERVICES_MAX + 1];
    size_t service_count;
    const char *event_types[EVENTS_MAX];
    size_t event_count;
    const struct bv_json *files[SERVICES_MAX];
    const char *topics[TOPICS_MAX];
    size_t topic_count;
};

static const char *const methods[] = {"get", "head", "post", "put", "patch", "delete"};

/* ---- reading ---- */

typedef int
on_file(struct contracts *contracts, const char *folder, const char *name, struct bv_error *error);

static int each_file(struct contracts *contracts,
                     const char *root,
                     const char *part,
                     on_file *function,
                     struct bv_error *error)
{
    char folder[BV_PATH_MAX];
    BV_TRY(bv_path(folder, error, "%s/%s", root, part));
    struct dirent **names = NULL;
    int count = scandir(folder, &names, NULL, alphasort);
    if (count < 0)
        return bv_fail(error, BV_E_IO, "folder %s cannot be read", folder);
    int rc = 0;
    for (int i = 0; i < count; i++) {
        if (rc == 0 && names[i]->d_name[0] != '.')
            rc = function(contracts, folder, names[i]->d_name, error);
        free(names[i]);
    }
    free(names);
    return rc;
}

static bool ends(const char *name, const char *end)
{
    size_t size = strlen(name);
    return size > strlen(end) && strcmp(name + size - strlen(end), end) == 0;
}

static int prefixed(struct bv_error *error, const struct bv_error *inner, const char *name)
{
    return bv_fail(error, inner->code, "contracts %s: %s %s", name, inner->text, inner->pointer);
}

/* Schemas refer to each other by relative file names, so each is known under its path in
 * contracts/. */
static int add_schema(struct contracts *contracts,
                      const char *folder,
                      const char *name,
                      struct bv_error *error)
{
    if (!ends(name, ".schema.json"))
        return 0;
    char path[BV_PATH_MAX];
    char known[BV_PATH_MAX];
    struct bv_error inner = {0};
    bv_auto(bv_buf_release) struct bv_buf text = {.max = FILE_BYTES_MAX};
    BV_TRY(bv_path(path, error, "%s/%s", folder, name));
    const char *part = strrchr(folder, '/');
    BV_TRY(bv_path(known, error, "%s/%s", part ? part + 1 : folder, name));
    BV_TRY(bv_fs_read(path, &text, error));
    if (bv_schemas_add(contracts->events, bv_bytes_of(known), bv_buf_view(&text), &inner) < 0)
        return prefixed(error, &inner, known);
    struct bv_bytes type = {name, strlen(name) - strlen(".schema.json")};
    if (strstr(name, ".v") && isdigit((unsigned char)type.data[type.size - 1]) &&
        contracts->event_count < EVENTS_MAX) {
        const char *copy = bv_arena_text(contracts->arena, type);
        if (!copy)
            return BV_E_NOMEM;
        contracts->event_types[contracts->event_count++] = copy;
    }
    return 0;
}

static void
add_operations(struct contracts *contracts, const char *service, const struct bv_json *openapi)
{
    for (struct bv_json_iter path = bv_json_iter(bv_json_get(openapi, "paths"));
         bv_json_next(&path);) {
        for (size_t i = 0; i < BV_COUNT(methods); i++) {
            const struct bv_json *node = bv_json_get(path.value, methods[i]);
            if (!node || contracts->operation_count == OPERATIONS_MAX)
                continue;
            static const char *const upper[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
            contracts->operations[contracts->operation_count++] =
                (struct contract_operation){service,
                                            upper[i],
                                            path.key.data,
                                            bv_json_string(bv_json_get(node, "operationId")).data,
                                            node};
        }
    }
}

static int add_openapi(struct contracts *contracts,
                       const char *folder,
                       const char *name,
                       struct bv_error *error)
{
    if (!ends(name, ".yaml") || contracts->service_count == SERVICES_MAX)
        return 0;
    char path[BV_PATH_MAX];
    struct bv_error inner = {0};
    bv_auto(bv_buf_release) struct bv_buf yaml = {.max = FILE_BYTES_MAX};
    bv_auto(bv_buf_release) struct bv_buf json = {.max = FILE_BYTES_MAX};
    bv_auto(bv_buf_release) struct bv_buf schema = {.max = FILE_BYTES_MAX};
    BV_TRY(bv_path(path, error, "%s/%s", folder, name));
    BV_TRY(bv_fs_read(path, &yaml, error));
    const struct bv_json *openapi = NULL;
    char *service = bv_arena_text(contracts->arena, (struct bv_bytes){name, strlen(name) - 5});
    if (!service)
        return BV_E_NOMEM;
    if (openapi_from_yaml(&json, bv_buf_view(&yaml), &inner) < 0 ||
        bv_json_parse(contracts->arena, bv_buf_view(&json), &openapi, &inner) < 0 ||
        openapi_schemas(&schema, openapi, &inner) < 0 ||
        bv_schemas_add(contracts->bodies, bv_bytes_of(service), bv_buf_view(&schema), &inner) < 0)
        return prefixed(error, &inner, name);
    contracts->files[contracts->service_count] = openapi;
    contracts->services[contracts->service_count++] = service;
    add_operations(contracts, service, openapi);
    return 0;
}

/* The addresses of an AsyncAPI file that are topics: those of sockets begin with a slash. */
static int add_topics(struct contracts *contracts,
                      const char *folder,
                      const char *name,
                      struct bv_error *error)
{
    char path[BV_PATH_MAX];
    struct bv_error inner = {0};
    const struct bv_json *asyncapi = NULL;
    bv_auto(bv_buf_release) struct bv_buf yaml = {.max = FILE_BYTES_MAX};
    bv_auto(bv_buf_release) struct bv_buf json = {.max = FILE_BYTES_MAX};
    if (!ends(name, ".yaml"))
        return 0;
    BV_TRY(bv_path(path, error, "%s/%s", folder, name));
    BV_TRY(bv_fs_read(path, &yaml, error));
    if (openapi_from_yaml(&json, bv_buf_view(&yaml), &inner) < 0 ||
        bv_json_parse(contracts->arena, bv_buf_view(&json), &asyncapi, &inner) < 0)
        return prefixed(error, &inner, name);
    for (struct bv_json_iter it = bv_json_iter(bv_json_get(asyncapi, "channels"));
         bv_json_next(&it);) {
        struct bv_bytes address = bv_json_string(bv_json_get(it.value, "address"));
        if (!address.size || address.data[0] == '/' || contracts->topic_count + 2 > TOPICS_MAX)
            continue;
        const char *topic = bv_arena_text(contracts->arena, address);
        const char *dead = bv_arena_format(contracts->arena, "%.*s.dlq", BV_ARG(address));
        if (!topic || !dead)
            return BV_E_NOMEM;
        contracts->topics[contracts->topic_count++] = topic;
        contracts->topics[contracts->topic_count++] = dead;
    }
    return 0;
}

int contracts_open(const char *folder, struct contracts **ret_contracts, struct bv_error *error)
{
    struct contracts *contracts = calloc(1, sizeof *contracts);
    if (!contracts)
        return BV_E_NOMEM;
    int rc = bv_path(contracts->folder, error, "%s", folder);
    if (rc == 0)
        rc = bv_arena_open(ARENA_BYTES_MAX, &contracts->arena);
    if (rc == 0)
        rc = bv_schemas_open(&contracts->events);
    if (rc == 0)
        rc = bv_schemas_open(&contracts->bodies);
    if (rc < 0)
        contracts_close(&contracts);
    else
        *ret_contracts = contracts;
    return rc;
}

int contracts_read(struct contracts *contracts, struct bv_error *error)
{
    static const char *const parts[] = {"events", "asyncapi", "webhooks"};
    if (contracts->read)
        return 0;
    for (size_t i = 0; i < BV_COUNT(parts); i++)
        BV_TRY(each_file(contracts, contracts->folder, parts[i], add_schema, error));
    BV_TRY(each_file(contracts, contracts->folder, "asyncapi", add_topics, error));
    BV_TRY(each_file(contracts, contracts->folder, "openapi", add_openapi, error));
    BV_TRY(bv_schemas_link(contracts->events, error));
    BV_TRY(bv_schemas_link(contracts->bodies, error));
    contracts->read = true;
    return 0;
}

void contracts_close(struct contracts **contracts)
{
    if (!*contracts)
        return;
    bv_schemas_close(&(*contracts)->events);
    bv_schemas_close(&(*contracts)->bodies);
    bv_arena_close(&(*contracts)->arena);
    free(*contracts);
    *contracts = NULL;
}

/* ---- asking ---- */

static struct bv_bytes event_name(char out[200], struct bv_bytes type)
{
    int size = snprintf(
        out, 200, "events/%.*s.schema.json", (int)(type.size < 120 ? type.size : 120), type.data);
    return (struct bv_bytes){out, (size_t)size};
}

bool contracts_event(const struct contracts *contracts,
                     struct bv_bytes type,
                     const char **ret_nearest)
{
    char name[200];
    *ret_nearest = NULL;
    if (type.size && bv_schemas_has(contracts->events, event_name(name, type)))
        return true;
    char text[64];
    snprintf(text,
             sizeof text,
             "%.*s",
             (int)(type.size < 63 ? type.size : 63),
             type.size ? type.data : "");
    *ret_nearest = bv_nearest(text, contracts->event_types, contracts->event_count);
    return false;
}

bool contracts_topic(const struct contracts *contracts,
                     struct bv_bytes topic,
                     const char **ret_nearest)
{
    char text[64];
    *ret_nearest = NULL;
    for (size_t i = 0; i < contracts->topic_count; i++)
        if (bv_bytes_equal(topic, bv_bytes_of(contracts->topics[i])))
            return true;
    snprintf(text, sizeof text, "%.*s", BV_ARG(topic));
    *ret_nearest = bv_nearest(text, contracts->topics, contracts->topic_count);
    return false;
}

const char *const *contracts_services(const struct contracts *contracts)
{
    return contracts->services;
}

static struct bv_bytes next_segment(struct bv_bytes *path)
{
    const char *slash = memchr(path->data, '/', path->size);
    struct bv_bytes segment = {path->data, slash ? (size_t)(slash - path->data) : path->size};
    size_t used = segment.size + (slash ? 1 : 0);
    *path = (struct bv_bytes){path->data + used, path->size - used};
    return segment;
}

/* Length of the literal match, -1: no match. Literal segments count more than parameters. */
static int match_path(const char *pattern, struct bv_bytes path)
{
    struct bv_bytes rest = bv_bytes_of(pattern);
    int score = 0;
    const char *query = memchr(path.data, '?', path.size);
    if (query)
        path.size = (size_t)(query - path.data);
    while (rest.size || path.size) {
        struct bv_bytes wanted = next_segment(&rest);
        struct bv_bytes actual = next_segment(&path);
        bool open = memmem(actual.data, actual.size, "${", 2) != NULL;
        if (bv_bytes_equal(wanted, actual))
            score += 2;
        else if (wanted.size && actual.size && (wanted.data[0] == '{' || open))
            score += 1;
        else
            return -1;
    }
    return score;
}

const struct contract_operation *contracts_operation(const struct contracts *contracts,
                                                     const char *service,
                                                     const char *method,
                                                     struct bv_bytes path)
{
    const struct contract_operation *found = NULL;
    int best = -1;
    for (size_t i = 0; i < contracts->operation_count; i++) {
        const struct contract_operation *operation = &contracts->operations[i];
        if ((service && strcmp(service, operation->service) != 0) ||
            (strcmp(method, operation->method) != 0 &&
             !(strcmp(method, "HEAD") == 0 && strcmp(operation->method, "GET") == 0)))
            continue;
        int score = match_path(operation->path, path);
        if (score > best) {
            best = score;
            found = operation;
        }
    }
    return found;
}

const char *contracts_nearest(const struct contracts *contracts,
                              const char *service,
                              const char *method,
                              struct bv_bytes path)
{
    const char *known[OPERATIONS_MAX];
    size_t count = 0;
    char text[64];
    const char *query = path.size ? memchr(path.data, '?', path.size) : NULL;
    snprintf(text,
             sizeof text,
             "%.*s",
             query ? (int)(query - path.data) : (int)path.size,
             path.size ? path.data : "");
    for (size_t i = 0; i < contracts->operation_count; i++) {
        const struct contract_operation *operation = &contracts->operations[i];
        if ((!service || strcmp(service, operation->service) == 0) &&
            strcmp(method, operation->method) == 0 && strlen(operation->path) < sizeof text)
            known[count++] = operation->path;
    }
    return bv_nearest(text, known, count);
}

/* ---- inspecting ---- */

static void violate(struct bv_message *message, struct bv_arena *arena, const char *format, ...)
    BV_PRINTF(3, 4);
static void violate(struct bv_message *message, struct bv_arena *arena, const char *format, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    message->violation = bv_arena_copy(arena, bv_bytes_of(text));
}

static void check(const struct bv_schemas *schemas,
                  struct bv_message *message,
                  struct bv_arena *arena,
                  struct bv_bytes name)
{
    struct bv_error error = {0};
    message->contract = bv_arena_copy(arena, name);
    if (!message->json) {
        violate(message, arena, "the body is no JSON");
        return;
    }
    int rc = bv_schemas_check(schemas, name, message->json, &error);
    if (rc != 0)
        violate(message,
                arena,
                "%s%s%s",
                error.pointer,
                error.pointer[0] ? ": " : "",
                rc == BV_SCHEMA_UNKNOWN ? "there is no such contract" : error.text);
}

static struct bv_bytes field(const struct bv_message *message, const char *name)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (bv_bytes_equal_nocase(bv_bytes_of(message->fields[i].name), bv_bytes_of(name)))
            return message->fields[i].value;
    return BV_BYTES_NONE;
}

static void
inspect_event(const struct contracts *contracts, struct bv_message *message, struct bv_arena *arena)
{
    static const char *const needed[] = {"traceparent", "correlation-id", "event-type", "event-id"};
    char name[200];
    if (field(message, "dlq-reason").size || field(message, BV_KAFKA_POISON).size)
        return; /* parked, or poison of the lab: nothing may be assumed of the bytes */
    struct bv_bytes type = message->type.size
                               ? message->type
                               : bv_json_string(bv_json_get(message->json, "eventType"));
    if (!type.size) {
        violate(message, arena, "no header event-type");
        return;
    }
    check(contracts->events, message, arena, event_name(name, type));
    for (size_t i = 0; !message->violation.size && i < BV_COUNT(needed); i++)
        if (!field(message, needed[i]).size)
            violate(message, arena, "header %s is missing", needed[i]);
    if (!message->violation.size &&
        !bv_bytes_equal(bv_json_string(bv_json_get(message->json, "partitionKey")), message->key))
        violate(message, arena, "/partitionKey: differs from the record's key");
    if (!message->violation.size &&
        !bv_bytes_equal(bv_json_string(bv_json_get(message->json, "eventId")),
                        field(message, "event-id")))
        violate(message, arena, "/eventId: differs from the header event-id");
}

static const struct bv_json *
answer_node(const struct contract_operation *operation, int64_t status, char key[32])
{
    const struct bv_json *responses = bv_json_get(operation->node, "responses");
    snprintf(key, 32, "%lld", (long long)status);
    const struct bv_json *node = bv_json_get(responses, key);
    if (!node) {
        snprintf(key, 32, "%lldXX", (long long)status / 100);
        node = bv_json_get(responses, key);
    }
    if (!node) {
        snprintf(key, 32, "default");
        node = bv_json_get(responses, key);
    }
    return node;
}

/* A request may be wrong on purpose; then the answer tells. */
static void inspect_request(const struct contracts *contracts,
                            const struct contract_operation *operation,
                            struct bv_message *message,
                            struct bv_arena *arena)
{
    char name[200];
    struct bv_error error = {0};
    snprintf(name, sizeof name, "%s#/$defs/%s.request", operation->service, operation->id);
    message->contract = bv_arena_copy(arena, bv_bytes_of(name));
    if (!message->body.size && !bv_json_get(operation->node, "requestBody"))
        return;
    int rc = bv_schemas_check(contracts->bodies, bv_bytes_of(name), message->json, &error);
    if (rc == BV_SCHEMA_MISMATCH)
        message->flaw = bv_bytes_of(bv_arena_format(arena, "%s: %s", error.pointer, error.text));
}

static void
inspect_rest(const struct contracts *contracts, struct bv_message *message, struct bv_arena *arena)
{
    char method[12];
    char name[200];
    char key[32];
    const char *blank = memchr(message->type.data, ' ', message->type.size);
    if (!blank || (size_t)(blank - message->type.data) >= sizeof method)
        return;
    snprintf(method, sizeof method, "%.*s", (int)(blank - message->type.data), message->type.data);
    struct bv_bytes path = {blank + 1, message->type.size - strlen(method) - 1};
    const struct contract_operation *operation = contracts_operation(contracts, NULL, method, path);
    if (!operation || !operation->id)
        return; /* operational paths are in no contract */
    if (message->direction == BV_SENT) {
        inspect_request(contracts, operation, message, arena);
        return;
    }
    const struct bv_json *node = answer_node(operation, message->status, key);
    snprintf(name, sizeof name, "%s#/$defs/%s.%s", operation->service, operation->id, key);
    message->contract = bv_arena_copy(arena, bv_bytes_of(name));
    if (!node || (strcmp(key, "default") == 0 && message->status < 400)) {
        violate(message,
                arena,
                "%s %s may not answer %lld",
                method,
                operation->path,
                (long long)message->status);
        return;
    }
    if (strcmp(method, "HEAD") == 0 || (!message->body.size && message->status < 400))
        return;
    struct bv_error error = {0};
    int rc = bv_schemas_check(contracts->bodies, bv_bytes_of(name), message->json, &error);
    if (rc == BV_SCHEMA_MISMATCH && message->json)
        violate(message, arena, "%s%s%s", error.pointer, error.pointer[0] ? ": " : "", error.text);
    else if (rc != BV_SCHEMA_UNKNOWN && !message->json)
        violate(message, arena, "the body is no JSON");
}

/* Standard Webhooks: who gets it must be able to tell who sent it, and what caused it. */
static void inspect_webhook(const struct contracts *contracts,
                            struct bv_message *message,
                            struct bv_arena *arena)
{
    static const char *const needed[] = {
        "webhook-id", "webhook-timestamp", "webhook-signature", "traceparent", "correlation-id"};
    check(contracts->events, message, arena, BV_BYTES("webhooks/order-transition.schema.json"));
    for (size_t i = 0; !message->violation.size && i < BV_COUNT(needed); i++)
        if (!field(message, needed[i]).size)
            violate(message, arena, "header %s is missing", needed[i]);
    if (!message->violation.size && message->signature == BV_SIGNED_BADLY)
        violate(message, arena, "header webhook-signature does not fit the body and the secret");
}

void contracts_inspect(void *argument, struct bv_message *message, struct bv_arena *arena)
{
    const struct contracts *contracts = argument;
    if (message->direction == BV_NOTE)
        return;
    if (strcmp(message->protocol, "kafka") == 0)
        inspect_event(contracts, message, arena);
    else if (strcmp(message->protocol, "rest") == 0)
        inspect_rest(contracts, message, arena);
    else if (message->direction != BV_RECEIVED)
        return;
    else if (strcmp(message->protocol, "grpc") == 0 &&
             message->json) /* it has been read by the descriptors */
        message->contract =
            bv_bytes_of(bv_arena_format(arena, "proto %.*s", BV_ARG(message->type)));
    else if (strcmp(message->protocol, "webhook") == 0)
        inspect_webhook(contracts, message, arena);
    else if (message->json &&
             (strcmp(message->protocol, "websocket") == 0 || strcmp(message->protocol, "sse") == 0))
        check(contracts->events, message, arena, BV_BYTES("asyncapi/live-message.schema.json"));
}
