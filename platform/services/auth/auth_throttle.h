/* Failed logins per name: a token bucket each, kept as the time when it will be full again (GCRA).
 * Whoever guesses at one name is slowed down, whether the name exists or not; other names, and
 * sessions that are there, are not touched. Invariant: a fixed number of names is remembered; when
 * a place is needed the one that is full soonest is forgotten. Names are told apart by a keyed hash
 * of the caller's, so that nobody can choose them to collide. Thread: one owner. Source: ITU-T
 * I.371, generic cell rate algorithm. */
#ifndef AUTH_THROTTLE_H
#define AUTH_THROTTLE_H

#include "bv/bytes.h"

struct auth_throttle;
/* burst failures at once are let pass, then one per refill_ms.
 * Ranges: names_max 4..; burst 1..; refill_ms 1... Errors: BV_E_NOMEM. */
BV_MUST_CHECK int auth_throttle_open(size_t names_max,
                                     int64_t burst,
                                     int64_t refill_ms,
                                     struct auth_throttle **ret_throttle);
/* Whether a login may be tried. now_ms is monotonic. */
bool auth_throttle_allows(const struct auth_throttle *throttle, uint64_t name, int64_t now_ms);
void auth_throttle_failed(struct auth_throttle *throttle, uint64_t name, int64_t now_ms);
void auth_throttle_close(struct auth_throttle **throttle);

#endif
