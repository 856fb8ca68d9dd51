/* The decisions of inventory: what becomes of a reservation and of the levels it draws on. Pure:
 * (state, event) to (state, effect, answer), on memory that the caller owns; no I/O, no clock, no
 * allocation.
 * Invariant: 0 <= reserved <= on_hand after every call; version grows by one with each change of
 * a level.
 * Thread: any (no state). */
#ifndef INVENTORY_CORE_H
#define INVENTORY_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Life of the reservation of one order. NONE: never heard of. TOMBSTONE: released before it was
 * reserved. */
#define INVENTORY_STATES(X)                                                                        \
    X(NONE)                                                                                        \
    X(RESERVED)                                                                                    \
    X(COMMITTED)                                                                                   \
    X(RELEASED)                                                                                    \
    X(TOMBSTONE)                                                                                   \
    X(SOLD_OUT)
/* ENOUGH, SHORT: a Reserve, after looking at the stock of its lines. */
#define INVENTORY_EVENTS(X)                                                                        \
    X(ENOUGH)                                                                                      \
    X(SHORT)                                                                                       \
    X(COMMIT)                                                                                      \
    X(RELEASE)
/* Of a transition on each line: HOLD reserves, TAKE takes what is reserved out of the house, FREE
 * gives it back. */
#define INVENTORY_EFFECTS(X)                                                                       \
    X(NOTHING)                                                                                     \
    X(HOLD)                                                                                        \
    X(TAKE)                                                                                        \
    X(FREE)
#define INVENTORY_ANSWERS(X)                                                                       \
    X(RESERVED)                                                                                    \
    X(SOLD_OUT)                                                                                    \
    X(RELEASED_BEFORE)                                                                             \
    X(COMMITTED)                                                                                   \
    X(NOT_RESERVED)                                                                                \
    X(RELEASED)                                                                                    \
    X(COMMITTED_BEFORE)                                                                            \
    X(ADJUSTED)                                                                                    \
    X(WOULD_BE_NEGATIVE)

#define INVENTORY_STATE_(name) INVENTORY_##name,
enum inventory_state { INVENTORY_STATES(INVENTORY_STATE_) INVENTORY_STATE_COUNT };
#define INVENTORY_EVENT_(name) INVENTORY_ON_##name,
enum inventory_event { INVENTORY_EVENTS(INVENTORY_EVENT_) INVENTORY_EVENT_COUNT };
#define INVENTORY_EFFECT_(name) INVENTORY_EFFECT_##name,
enum inventory_effect { INVENTORY_EFFECTS(INVENTORY_EFFECT_) INVENTORY_EFFECT_COUNT };
#define INVENTORY_ANSWER_(name) INVENTORY_ANSWER_##name,
enum inventory_answer { INVENTORY_ANSWERS(INVENTORY_ANSWER_) INVENTORY_ANSWER_COUNT };

extern const char *const inventory_state_names[INVENTORY_STATE_COUNT];
extern const char *const inventory_event_names[INVENTORY_EVENT_COUNT];
extern const char *const inventory_effect_names[INVENTORY_EFFECT_COUNT];
extern const char *const inventory_answer_names[INVENTORY_ANSWER_COUNT];

struct inventory_transition {
    enum inventory_state from;
    enum inventory_event on;
    enum inventory_state to;
    enum inventory_effect effect;
    enum inventory_answer answer;
};
/* Every pair of state and event; a pair that changes nothing has to == from and says what is
 * answered. */
extern const struct inventory_transition
    inventory_transitions[INVENTORY_STATE_COUNT * INVENTORY_EVENT_COUNT];
const struct inventory_transition *inventory_core_next(enum inventory_state state,
                                                       enum inventory_event event);
/* Index of name among the states; INVENTORY_STATE_COUNT when it is none. */
enum inventory_state inventory_state_named(const char *name, size_t size);

struct inventory_level {
    int64_t on_hand;
    int64_t reserved;
    int64_t version; /* 0: never stocked */
};
static inline int64_t inventory_available(const struct inventory_level *level)
{
    return level->on_hand - level->reserved;
}
struct inventory_draw { /* one line of an order and the level it draws on; each level once */
    struct inventory_level *level;
    int64_t quantity; /* >= 1 */
};
/* All lines or none: ENOUGH when every level can give its quantity. */
enum inventory_event inventory_core_weigh(const struct inventory_draw *draws, size_t count);

struct inventory_delta {
    int64_t on_hand;
    int64_t reserved;
};
/* Whether an effect on quantity units finds what it needs: HOLD as much available, TAKE and FREE
 * as much reserved. A level and a reservation that belong together always fit; seen at different
 * times they may not. */
bool inventory_core_fits(enum inventory_effect effect,
                         int64_t quantity,
                         const struct inventory_level *level);
/* Changes one level as an effect that fits says, and returns what changed. NOTHING changes
 * nothing. */
struct inventory_delta
inventory_core_move(enum inventory_effect effect, int64_t quantity, struct inventory_level *level);

/* Counts delta units in (or out, when negative). WOULD_BE_NEGATIVE when available would fall
 * below zero, or on_hand exceed INVENTORY_ON_HAND_MAX: the level is then as it was. */
#define INVENTORY_ON_HAND_MAX INT64_C(9007199254740991)
enum inventory_answer inventory_core_adjust(struct inventory_level *level, int64_t delta);

#endif
