/* Tokens of the identities that live as long as the run, shared by every lab of it: the first lab
 * that asks logs in, the others wait for it. Invariant: one login per identity that succeeds.
 * Thread: tokens_get: any; open and close: the owner, with no other user left. */
#ifndef BV_TOKENS_H
#define BV_TOKENS_H

#include "bv/bytes.h"
#include "bv/error.h"

enum { TOKENS_MAX = 16, TOKENS_LOGINS_MAX = 2 };
struct tokens;
BV_MUST_CHECK int tokens_open(struct tokens **ret_tokens); /* BV_E_NOMEM */
void tokens_close(struct tokens **tokens);

/* Logs in. *ret_text is copied at once. Result as of bv_lab_ops.token. */
typedef int tokens_login(void *argument,
                         struct bv_bytes identity,
                         const char **ret_text,
                         struct bv_error *error);
/* Effect:    calls login, without a lock, unless the identity has a token; a login that fails is
 *            tried again by whoever asks next.
 * Ownership: *ret_token lives as long as tokens.
 * Outcomes:  those of login. Errors: BV_E_LIMIT past TOKENS_MAX, BV_E_NOMEM, those of login.
 * Thread:    any; blocks while another thread logs the same identity in. */
BV_MUST_CHECK int tokens_get(struct tokens *tokens,
                             struct bv_bytes identity,
                             tokens_login *login,
                             void *argument,
                             const char **ret_token,
                             struct bv_error *error);

/* A place for one login, of at most TOKENS_LOGINS_MAX at the same time: hashing a password is slow
 * on purpose, and auth refuses those who wait too long for it. Thread: any; enter blocks until
 * there is a place. */
void tokens_enter(struct tokens *tokens);
void tokens_leave(struct tokens *tokens);

#endif
