/* Guard of a service's routes: fetches the issuer's JWKS, keeps it fresh, verifies bearer tokens,
 * plugs into bv_http_server_authenticator. A JWKS is kept for ttl_ms and used stale for stale_ms
 * when auth is down. Key rotation is invisible: a request whose key is not known waits for one
 * fetch that began after it came; whoever else waits shares it, and there is at most one a second.
 * A kid that such a fetch did not bring is refused, and remembered for 5 s, 256 at a time; past
 * that unknown kids are refused unseen, so that garbage reaches neither the issuer nor the memory.
 * A bounded cache of verified tokens (keyed by SHA-256) spares the signature check until the token
 * expires or the keys change. Thread: loop. */
#ifndef BV_GUARD_H
#define BV_GUARD_H

#include "bv/http.h"
#include "bv/httpc.h"
#include "bv/jose.h"
#include "bv/service.h"

struct bv_guard;
struct bv_guard_config {
    const char *auth_url; /* base of the auth service, also the expected issuer */
    const char *audience; /* "bitvelocity" */
    int64_t ttl_ms;
    int64_t stale_ms;
    int64_t tokens_max; /* cache of verified tokens */
};
BV_MUST_CHECK int bv_guard_open(struct bv_loop *loop,
                                struct bv_httpc *client,
                                const struct bv_guard_config *config,
                                struct bv_log *log,
                                struct bv_guard **ret_guard);
bool bv_guard_ready(const struct bv_guard *guard); /* keys are there */
/* For bv_http_server_authenticator(server, bv_guard_authenticate, guard).
 * Outcomes: BV_HTTP_LATER: ask again after the next answer. Errors: BV_E_UNAUTHENTICATED with the
 * reason; BV_E_UNAVAILABLE: no keys, auth does not answer, or too many wait. */
int bv_guard_authenticate(void *guard,
                          struct bv_arena *arena,
                          struct bv_bytes token,
                          struct bv_principal *ret_principal,
                          struct bv_error *error);
/* function runs after each answer of the issuer, and after each failure to get one. */
void bv_guard_on_answer(struct bv_guard *guard, void (*function)(void *argument), void *argument);
void bv_guard_close(struct bv_guard **guard);

/* A guard with the platform's limits, in front of every scoped route of a service: keys kept for 30
 * s, used stale for an hour. Ownership: the caller closes it after the HTTP server has drained.
 * Errors: as bv_guard_open. */
BV_MUST_CHECK int
bv_guard_attach(struct bv_service *frame, const char *auth_url, struct bv_guard **ret_guard);

#endif
