/* One HTTP/1.1 request and its whole answer, blocking, over a connection that is kept: for actors
 * and for the runner's own logins. Thread: one owner at a time. Source: libcurl easy interface. */
#ifndef BV_HTTP_CALL_H
#define BV_HTTP_CALL_H

#include "bv/arena.h"
#include "bv/http_types.h"

struct bv_http_caller;
BV_MUST_CHECK int bv_http_caller_open(struct bv_http_caller **ret_caller); /* BV_E_NOMEM */
void bv_http_caller_close(struct bv_http_caller **caller);

struct bv_http_call {
    const char *method;
    const char *url;
    const struct bv_http_field *fields;
    size_t field_count;
    struct bv_bytes body; /* data NULL: none */
    int64_t timeout_ms;   /* of the whole exchange */
    /* Asked about once a second; true ends the exchange. NULL: never. */
    bool (*cancelled)(void *argument);
    void *cancelled_argument;
};
struct bv_http_answer { /* everything in arena */
    int64_t status;
    const struct bv_http_field *fields; /* names in lower case */
    size_t field_count;
    struct bv_bytes body; /* of at most BV_HTTP_ANSWER_MAX bytes */
    struct bv_bytes media_type;
};
#define BV_HTTP_ANSWER_MAX (4 * 1024 * 1024)
/* Errors: BV_E_UNAVAILABLE (nobody listens), BV_E_TIMEOUT, BV_E_CLOSED (cut before the answer),
 * BV_E_TOO_LARGE, BV_E_INVALID (bad URL), BV_E_PROTOCOL, BV_E_CANCELLED, BV_E_NOMEM. Redirects are
 * not followed. */
BV_MUST_CHECK int bv_http_call(struct bv_http_caller *caller,
                               const struct bv_http_call *call,
                               struct bv_arena *arena,
                               struct bv_http_answer *ret_answer,
                               struct bv_error *error);
/* Value of the first field of that name, NONE when absent. */
struct bv_bytes bv_http_answer_field(const struct bv_http_answer *answer, const char *name);

#endif
