#include "inventory_core.h"

#include <assert.h>
#include <string.h>

#define NAME(name) #name,
const char *const inventory_state_names[] = {INVENTORY_STATES(NAME)};
const char *const inventory_event_names[] = {INVENTORY_EVENTS(NAME)};
const char *const inventory_effect_names[] = {INVENTORY_EFFECTS(NAME)};
const char *const inventory_answer_names[] = {INVENTORY_ANSWERS(NAME)};
#undef NAME

#define ROW(from, on, to, effect, answer)                                                          \
    {                                                                                              \
        INVENTORY_##from, INVENTORY_ON_##on, INVENTORY_##to, INVENTORY_EFFECT_##effect,            \
            INVENTORY_ANSWER_##answer                                                              \
    }
/* In the order of the enums, so that a pair is an index. */
const struct inventory_transition inventory_transitions[] = {
    ROW(NONE, ENOUGH, RESERVED, HOLD, RESERVED),
    ROW(NONE, SHORT, SOLD_OUT, NOTHING, SOLD_OUT),
    ROW(NONE, COMMIT, NONE, NOTHING, NOT_RESERVED),
    ROW(NONE, RELEASE, TOMBSTONE, NOTHING, NOT_RESERVED),

    ROW(RESERVED, ENOUGH, RESERVED, NOTHING, RESERVED),
    ROW(RESERVED, SHORT, RESERVED, NOTHING, RESERVED),
    ROW(RESERVED, COMMIT, COMMITTED, TAKE, COMMITTED),
    ROW(RESERVED, RELEASE, RELEASED, FREE, RELEASED),

    ROW(COMMITTED, ENOUGH, COMMITTED, NOTHING, RESERVED),
    ROW(COMMITTED, SHORT, COMMITTED, NOTHING, RESERVED),
    ROW(COMMITTED, COMMIT, COMMITTED, NOTHING, COMMITTED),
    ROW(COMMITTED, RELEASE, COMMITTED, NOTHING, COMMITTED_BEFORE),

    ROW(RELEASED, ENOUGH, RELEASED, NOTHING, RELEASED_BEFORE),
    ROW(RELEASED, SHORT, RELEASED, NOTHING, RELEASED_BEFORE),
    ROW(RELEASED, COMMIT, RELEASED, NOTHING, NOT_RESERVED),
    ROW(RELEASED, RELEASE, RELEASED, NOTHING, RELEASED),

    ROW(TOMBSTONE, ENOUGH, TOMBSTONE, NOTHING, RELEASED_BEFORE),
    ROW(TOMBSTONE, SHORT, TOMBSTONE, NOTHING, RELEASED_BEFORE),
    ROW(TOMBSTONE, COMMIT, TOMBSTONE, NOTHING, NOT_RESERVED),
    ROW(TOMBSTONE, RELEASE, TOMBSTONE, NOTHING, NOT_RESERVED),

    ROW(SOLD_OUT, ENOUGH, SOLD_OUT, NOTHING, SOLD_OUT),
    ROW(SOLD_OUT, SHORT, SOLD_OUT, NOTHING, SOLD_OUT),
    ROW(SOLD_OUT, COMMIT, SOLD_OUT, NOTHING, NOT_RESERVED),
    ROW(SOLD_OUT, RELEASE, SOLD_OUT, NOTHING, NOT_RESERVED),
};
#undef ROW

const struct inventory_transition *inventory_core_next(enum inventory_state state,
                                                       enum inventory_event event)
{
    return &inventory_transitions[(size_t)state * INVENTORY_EVENT_COUNT + (size_t)event];
}

enum inventory_state inventory_state_named(const char *name, size_t size)
{
    size_t state = 0;
    while (state < INVENTORY_STATE_COUNT && (strlen(inventory_state_names[state]) != size ||
                                             memcmp(inventory_state_names[state], name, size) != 0))
        state++;
    return (enum inventory_state)state;
}

enum inventory_event inventory_core_weigh(const struct inventory_draw *draws, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (inventory_available(draws[i].level) < draws[i].quantity)
            return INVENTORY_ON_SHORT;
    return INVENTORY_ON_ENOUGH;
}

bool inventory_core_fits(enum inventory_effect effect,
                         int64_t quantity,
                         const struct inventory_level *level)
{
    if (effect == INVENTORY_EFFECT_NOTHING)
        return true;
    return (effect == INVENTORY_EFFECT_HOLD ? inventory_available(level) : level->reserved) >=
           quantity;
}

struct inventory_delta
inventory_core_move(enum inventory_effect effect, int64_t quantity, struct inventory_level *level)
{
    static const struct {
        int64_t on_hand;
        int64_t reserved;
    } signs[] = {
        [INVENTORY_EFFECT_NOTHING] = {0,  0 },
        [INVENTORY_EFFECT_HOLD] = {0,  1 },
        [INVENTORY_EFFECT_TAKE] = {-1, -1},
        [INVENTORY_EFFECT_FREE] = {0,  -1},
    };
    struct inventory_delta delta = {signs[effect].on_hand * quantity,
                                    signs[effect].reserved * quantity};
    assert(inventory_core_fits(effect, quantity, level));
    if (effect == INVENTORY_EFFECT_NOTHING)
        return delta;
    level->on_hand += delta.on_hand;
    level->reserved += delta.reserved;
    level->version++;
    return delta;
}

enum inventory_answer inventory_core_adjust(struct inventory_level *level, int64_t delta)
{
    if (inventory_available(level) + delta < 0 || level->on_hand > INVENTORY_ON_HAND_MAX - delta)
        return INVENTORY_ANSWER_WOULD_BE_NEGATIVE;
    level->on_hand += delta;
    level->version++;
    return INVENTORY_ANSWER_ADJUSTED;
}
