/* What the files of bv-httpc share: one exchange, from its request's copy to its answer.
 * Exchanges are pooled with their curl handle, timer and buffers; an exchange is either in
 * client->running or in client->spare. */
#ifndef BV_HTTPC_PRIVATE_H
#define BV_HTTPC_PRIVATE_H

#include <curl/curl.h>

#include "bv/httpc.h"

struct exchange {
    struct exchange *next;
    struct exchange *previous; /* in the ring of running ones */
    struct bv_httpc *client;   /* borrowed: outlives its exchanges */
    CURL *easy;                /* owned */
    CURLU *url;                /* owned */
    struct bv_timer *deadline; /* owned */
    struct bv_arena
        *arena; /* owned; fields of request and response; emptied when the exchange ends */
    struct bv_buf request_body;
    struct bv_buf body;
    struct bv_http_field *fields; /* arena; of the response */
    size_t field_count;
    size_t field_bytes;
    int status;
    bool head_complete; /* the final answer's empty line has come; what follows are trailers */
    int fault;          /* why a callback stopped the transfer, 0 else */
    int64_t sent_at_us;
    bv_httpc_done *done;
    void *argument;
    char reason[CURL_ERROR_SIZE];
};

int exchange_new(struct bv_httpc *client,
                 size_t response_bytes_max,
                 const char *user_agent,
                 bool public_only,
                 struct exchange **ret_exchange);
void exchange_free(struct exchange **exchange);
/* Copies the request and sets the handle up for it. */
int exchange_fill(struct exchange *exchange,
                  const struct bv_httpc_request *request,
                  size_t response_bytes_max);
/* Forgets request and answer, keeps handles and small buffers. */
void exchange_empty(struct exchange *exchange);
/* The outcome of a finished transfer as a bv code; error gets the detail of a fault. */
int exchange_result(const struct exchange *exchange, CURLcode result, struct bv_error *error);

#endif
