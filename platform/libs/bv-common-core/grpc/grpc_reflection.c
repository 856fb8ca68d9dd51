/* grpc.reflection.v1alpha and v1 (same messages, two names). One answer per request, in order; the
 * client half-closes to end. */
#include "bv/grpc.h"
#include "grpc_descriptors.h"
#include "grpc_server.h"
#include "reflection.pb-c.h"

#include <stdlib.h>

#define ASKING_MS 60000 /* a client that never half-closes does not stay */

typedef Grpc__Reflection__V1alpha__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1alpha__ServerReflectionResponse reflection_response;

extern const struct bv_bytes rpc_reflection_descriptors; /* embedded; see CMakeLists.txt */
extern const struct bv_bytes rpc_health_descriptors;

struct rpc_reflection {
    struct bv_grpc_server *server;
    struct rpc_descriptors index;
};

static int
answer_error(struct bv_grpc_call *call, reflection_response *response, int code, char *text)
{
    Grpc__Reflection__V1alpha__ErrorResponse error =
        GRPC__REFLECTION__V1ALPHA__ERROR_RESPONSE__INIT;
    error.error_code = bv_error_row(code)->grpc_status;
    error.error_message = text;
    response->message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response->error_response = &error;
    return bv_grpc_stream_send(call, &response->base);
}

static int answer_services(const struct rpc_reflection *reflection,
                           struct bv_grpc_call *call,
                           reflection_response *response)
{
    const struct rpc_descriptors *index = &reflection->index;
    Grpc__Reflection__V1alpha__ListServiceResponse list =
        GRPC__REFLECTION__V1ALPHA__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1alpha__ServiceResponse *rows =
        calloc(index->symbol_count + 1, sizeof *rows);
    Grpc__Reflection__V1alpha__ServiceResponse **pointers =
        calloc(index->symbol_count + 1, sizeof *pointers);
    int rc = BV_E_NOMEM;
    if (rows && pointers) {
        for (size_t i = 0; i < index->symbol_count; i++) {
            if (!index->symbols[i].service ||
                !rpc_server_knows(reflection->server, bv_bytes_of(index->symbols[i].full)))
                continue;
            grpc__reflection__v1alpha__service_response__init(&rows[list.n_service]);
            rows[list.n_service].name = index->symbols[i].full;
            pointers[list.n_service] = &rows[list.n_service];
            list.n_service++;
        }
        list.service = pointers;
        response->message_response_case =
            GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
        response->list_services_response = &list;
        rc = bv_grpc_stream_send(call, &response->base);
    }
    free(rows);
    free(pointers);
    return rc;
}

/* The file and all that it needs, so that one round trip suffices. */
static int answer_file(const struct rpc_reflection *reflection,
                       struct bv_grpc_call *call,
                       reflection_response *response,
                       size_t file)
{
    const struct rpc_descriptors *index = &reflection->index;
    Grpc__Reflection__V1alpha__FileDescriptorResponse files =
        GRPC__REFLECTION__V1ALPHA__FILE_DESCRIPTOR_RESPONSE__INIT;
    bool *marks = calloc(index->file_count, sizeof *marks);
    ProtobufCBinaryData *spans = calloc(index->file_count, sizeof *spans);
    int rc = BV_E_NOMEM;
    if (marks && spans) {
        rpc_descriptors_closure(index, file, marks);
        spans[files.n_file_descriptor_proto++] = (ProtobufCBinaryData){
            index->files[file].bytes.size, (uint8_t *)(uintptr_t)index->files[file].bytes.data};
        for (size_t i = 0; i < index->file_count; i++)
            if (marks[i] && i != file)
                spans[files.n_file_descriptor_proto++] = (ProtobufCBinaryData){
                    index->files[i].bytes.size, (uint8_t *)(uintptr_t)index->files[i].bytes.data};
        files.file_descriptor_proto = spans;
        response->message_response_case =
            GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
        response->file_descriptor_response = &files;
        rc = bv_grpc_stream_send(call, &response->base);
    }
    free(marks);
    free(spans);
    return rc;
}

static int answer(const struct rpc_reflection *reflection,
                  struct bv_grpc_call *call,
                  reflection_request *request)
{
    const struct rpc_descriptors *index = &reflection->index;
    reflection_response response = GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__INIT;
    response.valid_host = request->host;
    response.original_request = request;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        return answer_services(reflection, call, &response);
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME: {
        size_t file = rpc_descriptors_file(index, bv_bytes_of(request->file_by_filename));
        if (file == index->file_count)
            return answer_error(call, &response, BV_E_NOT_FOUND, "no such file");
        return answer_file(reflection, call, &response, file);
    }
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL: {
        const struct rpc_symbol *symbol =
            rpc_descriptors_symbol(index, bv_bytes_of(request->file_containing_symbol));
        if (!symbol)
            return answer_error(call, &response, BV_E_NOT_FOUND, "no such symbol");
        return answer_file(reflection, call, &response, symbol->file);
    }
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        return answer_error(call, &response, BV_E_NOT_FOUND, "there are no extensions");
    default:
        return answer_error(call, &response, BV_E_INVALID, "no message_request is set");
    }
}

/* A client that sends without reading meets flow control (one answer must leave before the next
 * request is read), so the queue of the stream never fills and BV_E_LIMIT cannot come. */
static int reflection_info(struct bv_grpc_call *call,
                           const ProtobufCMessage *message,
                           void *context,
                           struct bv_error *error)
{
    (void)error;
    return answer(context, call, (reflection_request *)(uintptr_t)message);
}

#define REFLECTION_ROW(package)                                                                    \
    {                                                                                              \
        "/" package ".ServerReflection/ServerReflectionInfo", BV_GRPC_SERVER_STREAM,               \
            &grpc__reflection__v1alpha__server_reflection_request__descriptor,                     \
            &grpc__reflection__v1alpha__server_reflection_response__descriptor, reflection_info,   \
            ASKING_MS                                                                              \
    }
static const struct bv_grpc_method reflection_rows[] = {
    REFLECTION_ROW("grpc.reflection.v1alpha"),
    REFLECTION_ROW("grpc.reflection.v1"),
};

int rpc_reflection_open(struct bv_grpc_server *server, struct rpc_reflection **ret_reflection)
{
    struct rpc_reflection *reflection = calloc(1, sizeof *reflection);
    if (!reflection)
        return BV_E_NOMEM;
    reflection->server = server;
    int rc = rpc_descriptors_add(&reflection->index, rpc_reflection_descriptors);
    if (rc == 0)
        rc = rpc_descriptors_add(&reflection->index, rpc_health_descriptors);
    for (size_t i = 0; i < BV_COUNT(reflection_rows) && rc == 0; i++)
        rc = rpc_server_add(server, &reflection_rows[i], RPC_READ_EACH, reflection);
    if (rc < 0) {
        rpc_reflection_close(&reflection);
        return rc;
    }
    *ret_reflection = reflection;
    return 0;
}

int rpc_reflection_add(struct rpc_reflection *reflection, struct bv_bytes descriptor_set)
{
    return rpc_descriptors_add(&reflection->index, descriptor_set);
}

void rpc_reflection_close(struct rpc_reflection **reflection)
{
    if (!*reflection)
        return;
    rpc_descriptors_release(&(*reflection)->index);
    free(*reflection);
    *reflection = NULL;
}
