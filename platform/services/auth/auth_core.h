/* Decisions of the auth service: pure, no I/O, no clock, no allocation. Thread: any. */
#ifndef AUTH_CORE_H
#define AUTH_CORE_H

#include "bv/bytes.h"

/* What became of a refresh token. X(name, what the presenter is told). */
#define AUTH_REFRESH_LIST(X)                                                                       \
    X(AUTH_REFRESH_FRESH, "")                                                                      \
    X(AUTH_REFRESH_UNKNOWN, "the refresh token is not known")                                      \
    X(AUTH_REFRESH_EXPIRED, "the refresh token has expired; log in again")                         \
    X(AUTH_REFRESH_USED, "the refresh token was used before; its family is revoked")               \
    X(AUTH_REFRESH_REVOKED, "the refresh token was revoked; log in again")
enum auth_refresh_state {
#define AUTH_X_(name, text) name,
    AUTH_REFRESH_LIST(AUTH_X_)
#undef AUTH_X_
        AUTH_REFRESH_COUNT,
};
const char *auth_refresh_text(enum auth_refresh_state state);

struct auth_refresh_row {
    bool found;
    bool used;
    bool revoked;
    int64_t expires_at_s;
};
enum auth_effect { AUTH_ROTATE, AUTH_REFUSE, AUTH_REVOKE_FAMILY };
/* What to do with a presented refresh token. A used one was stolen or replayed: its family ends
 * (RFC 9700, section 4.14.2). Outcomes: none. Ownership: none. */
enum auth_effect auth_refresh_decide(const struct auth_refresh_row *row,
                                     int64_t now_s,
                                     enum auth_refresh_state *ret_state);

/* Narrows granted to what was asked; an empty wish means all of it.
 * Outcomes: AUTH_SCOPE_EXCEEDED when a wished scope was not granted. Ranges: out holds granted.size
 * + 1 bytes. */
#define AUTH_SCOPE_EXCEEDED 1
BV_MUST_CHECK int auth_scope_narrow(struct bv_bytes granted, struct bv_bytes wished, char *out);

/* ^[a-z0-9][a-z0-9._-]{2,63}$ */
bool auth_username_valid(struct bv_bytes username);
/* Whether UTF-8 text has so many characters (code points, as minLength and maxLength of JSON Schema
 * count them). */
bool auth_length_valid(struct bv_bytes text, size_t min, size_t max);
/* Scope tokens between spaces, or nothing. Source: RFC 6749 section 3.3. */
bool auth_scope_valid(struct bv_bytes scope);
/* 1 to 64 of VSCHAR. Source: RFC 6749 appendix A.1. */
bool auth_client_id_valid(struct bv_bytes id);

#endif
