/* The folder contracts/ as the lab uses it: which events, operations and schemas exist, and whether
 * a recorded message keeps to them.
 *   events/TYPE.schema.json                 every Kafka record, with the headers of an event
 *   asyncapi/live-message.schema.json       every WebSocket frame and SSE event that is JSON
 *   webhooks/order-transition.schema.json   every webhook delivery, with its headers and signature
 *   openapi/SERVICE.yaml                    every REST request and answer: operation, status, body
 * Invariant: immutable once read. Thread: any, open, read and close excepted. */
#ifndef BV_CONTRACTS_H
#define BV_CONTRACTS_H

#include "bv/recording.h"

struct contracts;
/* Nothing is read yet. folder is copied. Errors: BV_E_NOMEM, BV_E_TOO_LARGE. */
BV_MUST_CHECK int
contracts_open(const char *folder, struct contracts **ret_contracts, struct bv_error *error);
/* Reads everything, once; before that nothing is known. It takes a few milliseconds, so those who
 * talk to servers that are not ours leave it out. Errors: BV_E_INVALID with the file and reason,
 * BV_E_IO, BV_E_NOMEM; to be closed then. Thread: the one that opened, before others ask. */
BV_MUST_CHECK int contracts_read(struct contracts *contracts, struct bv_error *error);
void contracts_close(struct contracts **contracts);

/* Whether events/TYPE.schema.json exists; the nearest known type otherwise, NULL when none is near.
 */
bool contracts_event(const struct contracts *contracts,
                     struct bv_bytes type,
                     const char **ret_nearest);

/* Whether asyncapi/ has a channel of that address, or it is the dead letter topic of one
 * (ADDRESS.dlq); the nearest known one otherwise, NULL when none is near. */
bool contracts_topic(const struct contracts *contracts,
                     struct bv_bytes topic,
                     const char **ret_nearest);

struct contract_operation {
    const char *service; /* "order" */
    const char *method;
    const char *path; /* "/v1/orders/{orderId}" */
    const char *id;   /* operationId */
    const struct bv_json *node;
};
/* The operation of method and path (its query is ignored, a segment with ${ matches any), of one
 * service or of any (NULL). NULL when there is none. */
const struct contract_operation *contracts_operation(const struct contracts *contracts,
                                                     const char *service,
                                                     const char *method,
                                                     struct bv_bytes path);
/* Path of the operation of method (and of service, NULL: any) that is nearest to path; NULL: none
 * is near. */
const char *contracts_nearest(const struct contracts *contracts,
                              const char *service,
                              const char *method,
                              struct bv_bytes path);
/* NULL-terminated names of the services with an OpenAPI file. */
const char *const *contracts_services(const struct contracts *contracts);

/* Checks a message (see bv_inspect): sets contract and violation. argument is the struct contracts.
 */
void contracts_inspect(void *argument, struct bv_message *message, struct bv_arena *arena);

#endif
