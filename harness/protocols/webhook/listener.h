/* A small HTTP/1.1 server that may break the rules, which bv_http must not: for endpoints that
 * misbehave. One thread polls at most LISTENER_CONNECTIONS_MAX connections; requests are parsed by
 * llhttp. For each whole request it asks what to do, then answers, answers late, resets, or does
 * what no server should. Thread: open and close: the owner; handler: the listener's own. */
#ifndef BV_LISTENER_H
#define BV_LISTENER_H

#include "bv/env.h"
#include "bv/http_types.h"

enum {
    LISTENER_CONNECTIONS_MAX = 64,
    LISTENER_FIELDS_MAX = 48,
    LISTENER_BODY_MAX = 1024 * 1024,
    LISTENER_HEAD_MAX = 32 * 1024
};

struct listener_request { /* borrowed for the call */
    const char *method;
    struct bv_bytes target;
    const struct bv_http_field *fields;
    size_t field_count;
    struct bv_bytes body;
};
/* How it is answered. */
enum listener_conduct {
    LISTENER_ANSWERS,   /* status line, fields, no body */
    LISTENER_CLOSES,    /* closed without a word */
    LISTENER_STALLS,    /* never a word, until the peer leaves */
    LISTENER_GARBAGE,   /* bytes that are no HTTP, then closed */
    LISTENER_CUTS_HEAD, /* closed in the middle of the fields */
    LISTENER_CUTS_BODY, /* a Content-Length larger than the body that comes, then closed */
    LISTENER_LONG_BODY, /* a Content-Length smaller than what comes, then closed */
    LISTENER_DRIPS,     /* a byte of a field every LISTENER_DRIP_MS, without end */
    LISTENER_HUGE_BODY, /* body without end, up to LISTENER_FLOOD_MAX */
    LISTENER_INTERIM    /* answers 103 without end, up to LISTENER_FLOOD_MAX */
};
enum { LISTENER_DRIP_MS = 20, LISTENER_FLOOD_MAX = 256 * 1024 * 1024 };
struct listener_answer {
    int status;       /* 0: reset the connection */
    int64_t delay_ms; /* before it */
    enum listener_conduct conduct;
    char fields[300]; /* further lines of the head, each with CR LF; "": none */
};
typedef struct listener_answer listener_handler(void *argument,
                                                const struct listener_request *request);
/* Asked when the first bytes of a request have come, before any is read: whether to close instead,
 * with what came unread (the peer sees a reset). */
typedef bool listener_turns_away(void *argument);

struct listener;
/* Listens on 127.0.0.1:port; connections wait in the kernel until listener_start. Errors:
 * BV_E_EXISTS when the port is taken, BV_E_IO, BV_E_NOMEM. */
BV_MUST_CHECK int listener_bind(const struct bv_env *env,
                                uint16_t port,
                                listener_handler *handler,
                                void *argument,
                                struct listener **ret_listener,
                                struct bv_error *error);
/* Between bind and start; argument is the handler's. */
void listener_door(struct listener *listener, listener_turns_away *turns_away);
/* Starts the thread, once. Errors: BV_E_LIMIT. */
BV_MUST_CHECK int listener_start(struct listener *listener, struct bv_error *error);
/* Both. */
BV_MUST_CHECK int listener_open(const struct bv_env *env,
                                uint16_t port,
                                listener_handler *handler,
                                void *argument,
                                struct listener **ret_listener,
                                struct bv_error *error);
/* Cuts what is open; no call of handler afterwards. */
void listener_close(struct listener **listener);

#endif
