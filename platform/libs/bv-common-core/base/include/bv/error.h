/* Results and errors of the whole project.
 * One int: 0 is done; negative is a fault (BV_E_...), passed up unchanged; positive is an outcome
 * that the called function's header names, handled by the direct caller. One table maps a fault to
 * every protocol's status. Invariant: a handler never chooses a status. Thread: any. */
#ifndef BV_ERROR_H
#define BV_ERROR_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

/* X(name, HTTP status, gRPC status, code word, title). The code word is stable: clients may match
 * on it. */
#define BV_ERROR_LIST(X)                                                                           \
    X(BV_E_INTERNAL, 500, 13, "internal", "Internal error")                                        \
    X(BV_E_NOMEM, 503, 8, "out-of-memory", "Out of memory")                                        \
    X(BV_E_IO, 500, 13, "io", "Input or output failed")                                            \
    X(BV_E_INVALID, 400, 3, "bad-request", "Malformed request")                                    \
    X(BV_E_UNAUTHENTICATED, 401, 16, "unauthorized", "Authentication is required")                 \
    X(BV_E_FORBIDDEN, 403, 7, "forbidden", "Not allowed")                                          \
    X(BV_E_NOT_FOUND, 404, 5, "not-found", "Not found")                                            \
    X(BV_E_METHOD, 405, 12, "method-not-allowed", "Method not allowed")                            \
    X(BV_E_NOT_ACCEPTABLE, 406, 3, "not-acceptable", "Not acceptable")                             \
    X(BV_E_TIMEOUT, 504, 4, "deadline-exceeded", "Deadline exceeded")                              \
    X(BV_E_CONFLICT, 409, 10, "conflict", "Conflict with the current state")                       \
    X(BV_E_EXISTS, 409, 6, "already-exists", "Already exists")                                     \
    X(BV_E_STALE, 412, 9, "stale", "Precondition failed")                                          \
    X(BV_E_TOO_LARGE, 413, 3, "too-large", "Too large")                                            \
    X(BV_E_MEDIA_TYPE, 415, 3, "unsupported-media-type", "Unsupported media type")                 \
    X(BV_E_UNPROCESSABLE, 422, 3, "invalid", "Well formed, but not acceptable")                    \
    X(BV_E_PRECONDITION_REQUIRED, 428, 9, "precondition-required", "Precondition required")        \
    X(BV_E_LIMIT, 429, 8, "limit", "A limit was reached")                                          \
    X(BV_E_CANCELLED, 499, 1, "cancelled", "Cancelled")                                            \
    X(BV_E_UNIMPLEMENTED, 501, 12, "unimplemented", "Not implemented")                             \
    X(BV_E_PROTOCOL, 502, 13, "bad-peer", "The peer broke its protocol")                           \
    X(BV_E_UNAVAILABLE, 503, 14, "unavailable", "Temporarily unavailable")                         \
    X(BV_E_CLOSED, 503, 14, "closed", "The connection is closed")

enum bv_code {
    BV_E_BASE_ = -1000,
#define BV_X_(name, http, grpc, word, title) name,
    BV_ERROR_LIST(BV_X_)
#undef BV_X_
        BV_E_END_,
    BV_OK = 0,
};

#define BV_MUST_CHECK __attribute__((warn_unused_result))
#define BV_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define BV_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Human detail of a fault; owned by the caller, filled once, where the fault arises. */
struct bv_error {
    int code;         /* BV_E_... or 0 */
    int line;         /* site */
    const char *file; /* site; static storage */
    char text[160];   /* what, where, how to fix; one sentence, NUL-terminated */
    char pointer[64]; /* JSON pointer (RFC 6901) or field name at fault, "" when none */
    bool inside;      /* the text tells of our inside: for logs, not for peers */
};

/* Notes where and why a fault arises: `return bv_fail(error, BV_E_..., "...")` is one step.
 * Effect:    fills *error unless it is NULL or set already (the first detail wins).
 * Ranges:    text is cut to 159 bytes; ->pointer is left as it is.
 * Ownership: error and the strings are borrowed for the call, file for ever (a literal).
 * Outcomes:  none. Returns code unchanged.
 * Errors:    none of its own.
 * Thread:    any. */
#define bv_fail(error, code, ...) bv_error_set((error), (code), __FILE__, __LINE__, __VA_ARGS__)
int bv_error_set(
    struct bv_error *error, int code, const char *file, int line, const char *format, ...)
    BV_PRINTF(5, 6);

/* One row of the table above.
 * Effect:    none; a code outside the list (an outcome, 0) gets the row of BV_E_INTERNAL.
 * Ownership: static. Errors: none. Thread: any. */
struct bv_error_row {
    int code;
    int http_status;
    int grpc_status;
    const char *name;  /* "BV_E_LIMIT" */
    const char *word;  /* "limit" */
    const char *title; /* "A limit was reached" */
};
const struct bv_error_row *bv_error_row(int code);

/* Passes a fault up; an outcome (positive) must not slip through here. */
#define BV_TRY(expr)                                                                               \
    do {                                                                                           \
        int bv_try_rc_ = (expr);                                                                   \
        assert(bv_try_rc_ <= 0);                                                                   \
        if (bv_try_rc_ < 0)                                                                        \
            return bv_try_rc_;                                                                     \
    } while (0)

/* Scope cleanup: bv_auto(struct bv_arena, bv_arena_close) *arena = NULL;  and moving a value out of
 * its scope. */
#define bv_auto(ender) __attribute__((cleanup(ender)))
#define bv_take(pointer_to)                                                                        \
    ({                                                                                             \
        typeof(*(pointer_to)) bv_taken_ = *(pointer_to);                                           \
        *(pointer_to) = NULL;                                                                      \
        bv_taken_;                                                                                 \
    })

#endif
