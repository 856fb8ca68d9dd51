/* Planted bugs of test builds (BV_TEST_SWITCHES): each row breaks one hop of the platform in one
 * place, so that a story can be seen to notice. The process has none or one, chosen once at start;
 * a place asks for its own with bv_breaks.
 *   BREAK=skip-signature -> bv scenario -> BV_BREAK of every service -> bv_break_choose
 * Invariant: other builds hold neither the names nor the broken code: bv_breaks is false there at
 * compile time, choosing is refused, and linking a program that has a name fails. Thread: any,
 * bv_break_choose excepted. */
#ifndef BV_BREAKAGE_H
#define BV_BREAKAGE_H

#include <stdbool.h>

#include "bv/error.h"

/* X(id, name, what is wrong, for people) */
#define BV_BREAK_LIST(X)                                                                           \
    X(BV_BREAK_DROP_TRACE_HEADER,                                                                  \
      "drop-trace-header",                                                                         \
      "The outbox relays publish to Kafka without the header traceparent.")                        \
    X(BV_BREAK_LOSE_OUTBOX_ROW,                                                                    \
      "lose-outbox-row",                                                                           \
      "The outbox relays take each row of a type ....reserved.v1 as published and do not publish " \
      "it.")                                                                                       \
    X(BV_BREAK_DUPLICATE_EFFECT,                                                                   \
      "duplicate-effect",                                                                          \
      "The notification service takes each record of Kafka for a new one, a repeated one too.")    \
    X(BV_BREAK_SKIP_SIGNATURE,                                                                     \
      "skip-signature",                                                                            \
      "The notification service sends webhooks without the header webhook-signature.")             \
    X(BV_BREAK_FORGET_IDEMPOTENCY_KEY,                                                             \
      "forget-idempotency-key",                                                                    \
      "The order service takes a retried POST /v1/orders for a new order.")
enum bv_break {
#define BV_X_(id, name, wrong) id,
    BV_BREAK_LIST(BV_X_)
#undef BV_X_
        BV_BREAK_COUNT
};

/* Chooses the bug of this process.
 * Effect:    name NULL or "": none.
 * Ownership: name is borrowed for the call.
 * Errors:    BV_E_INVALID: no bug of that name, the nearest is named; a build without switches
 *            refuses every name.
 * Thread:    start, before any other thread. */
BV_MUST_CHECK int bv_break_choose(const char *name, struct bv_error *error);
/* Name of the chosen one, and what it does; NULL: none. */
const char *bv_break_chosen(void);
const char *bv_break_text(void);

#ifdef BV_TEST_SWITCHES
bool bv_breaks(enum bv_break which);
#else
static inline bool bv_breaks(enum bv_break which)
{
    (void)which;
    return false;
}
#endif

#endif
