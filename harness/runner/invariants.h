/* What must hold between the messages that one actor receives, whether a story asks or not. A
 * message that breaks it gets a violation, like one that breaks its contract.
 *   once      a version of an order or product is announced by one event and reaches a screen under
 *             one sequence; the same event may come again (at least once), but not changed
 *   gapless   Kafka brings version n+1 of an order or product only after n, since the actor opened
 * Invariant: one invariants per recording, called as its inspector: one call at a time. */
#ifndef BV_INVARIANTS_H
#define BV_INVARIANTS_H

#include "contracts.h"

enum { INVARIANTS_BUCKETS = 512 };
struct invariants {              /* all-zero with contracts set: nothing was seen */
    struct contracts *contracts; /* borrowed: as long as the recording */
    struct line *lines[INVARIANTS_BUCKETS];
};

/* A bv_inspect: contracts_inspect first, then what is above. argument is the struct invariants;
 * what it keeps lives in arena, which is the recording's. */
void invariants_inspect(void *argument, struct bv_message *message, struct bv_arena *arena);

#endif
