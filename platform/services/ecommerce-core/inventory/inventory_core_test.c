#include "inventory_core.h"

#include <criterion/criterion.h>

Test(inventory_core, knows_every_pair_of_state_and_event)
{
    for (int state = 0; state < INVENTORY_STATE_COUNT; state++)
        for (int event = 0; event < INVENTORY_EVENT_COUNT; event++) {
            const struct inventory_transition *row =
                inventory_core_next((enum inventory_state)state, (enum inventory_event)event);
            cr_expect_eq(row->from, (enum inventory_state)state);
            cr_expect_eq(row->on, (enum inventory_event)event);
        }
}

Test(inventory_core, holds_stock_in_the_state_reserved_and_in_no_other)
{
    static const int held_after[] = {[INVENTORY_EFFECT_NOTHING] = -1,
                                     [INVENTORY_EFFECT_HOLD] = 1,
                                     [INVENTORY_EFFECT_TAKE] = 0,
                                     [INVENTORY_EFFECT_FREE] = 0};
    for (size_t i = 0; i < sizeof inventory_transitions / sizeof inventory_transitions[0]; i++) {
        const struct inventory_transition *row = &inventory_transitions[i];
        bool held_from = row->from == INVENTORY_RESERVED;
        bool held_to = row->to == INVENTORY_RESERVED;
        if (row->effect == INVENTORY_EFFECT_NOTHING)
            cr_expect_eq(held_from,
                         held_to,
                         "%s on %s",
                         inventory_state_names[row->from],
                         inventory_event_names[row->on]);
        else
            cr_expect(held_from != held_to && held_to == held_after[row->effect],
                      "%s on %s",
                      inventory_state_names[row->from],
                      inventory_event_names[row->on]);
    }
}

Test(inventory_core, gives_a_repeated_call_the_same_answer)
{
    for (int state = 0; state < INVENTORY_STATE_COUNT; state++)
        for (int event = 0; event < INVENTORY_EVENT_COUNT; event++) {
            const struct inventory_transition *first =
                inventory_core_next((enum inventory_state)state, (enum inventory_event)event);
            const struct inventory_transition *again = inventory_core_next(first->to, first->on);
            cr_expect_eq(again->answer,
                         first->answer,
                         "%s on %s",
                         inventory_state_names[state],
                         inventory_event_names[event]);
            cr_expect_eq(again->to, first->to);
            cr_expect_eq(again->effect, INVENTORY_EFFECT_NOTHING);
        }
}

Test(inventory_core, answers_a_known_order_whatever_the_stock_is_now)
{
    for (int state = INVENTORY_NONE + 1; state < INVENTORY_STATE_COUNT; state++)
        cr_expect_eq(inventory_core_next((enum inventory_state)state, INVENTORY_ON_ENOUGH)->answer,
                     inventory_core_next((enum inventory_state)state, INVENTORY_ON_SHORT)->answer);
}

Test(inventory_core, never_leaves_a_final_state)
{
    static const enum inventory_state final[] = {
        INVENTORY_COMMITTED, INVENTORY_RELEASED, INVENTORY_TOMBSTONE, INVENTORY_SOLD_OUT};
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
        for (int event = 0; event < INVENTORY_EVENT_COUNT; event++)
            cr_expect_eq(inventory_core_next(final[i], (enum inventory_event)event)->to, final[i]);
}

Test(inventory_core, refuses_a_late_reserve_after_a_release)
{
    enum inventory_state state = inventory_core_next(INVENTORY_NONE, INVENTORY_ON_RELEASE)->to;
    cr_expect_eq(state, INVENTORY_TOMBSTONE);
    cr_expect_eq(inventory_core_next(state, INVENTORY_ON_ENOUGH)->answer,
                 INVENTORY_ANSWER_RELEASED_BEFORE);
}

Test(inventory_core, weighs_all_lines_or_none)
{
    struct inventory_level a = {10, 8, 1};
    struct inventory_level b = {5, 0, 1};
    struct inventory_draw draws[] = {
        {&a, 2},
        {&b, 5},
    };
    cr_expect_eq(inventory_core_weigh(draws, 2), INVENTORY_ON_ENOUGH);
    draws[1].quantity = 6;
    cr_expect_eq(inventory_core_weigh(draws, 2), INVENTORY_ON_SHORT);
    draws[1].quantity = 5;
    draws[0].quantity = 3;
    cr_expect_eq(inventory_core_weigh(draws, 2), INVENTORY_ON_SHORT);
    cr_expect_eq(a.version + b.version, 2, "weighing changes nothing");
}

/* Random walks over orders of one SKU: the level always equals the sums of the deltas and of what
 * is held. */
Test(inventory_core, keeps_level_and_reservations_in_balance)
{
    for (unsigned seed = 1; seed <= 200; seed++) {
        struct inventory_level level = {0};
        struct inventory_delta sum = {0};
        enum inventory_state states[8] = {0};
        int64_t quantities[8];
        uint64_t x = seed * UINT64_C(0x9E3779B97F4A7C15);
        for (int step = 0; step < 300; step++) {
            x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            unsigned order = (unsigned)(x >> 60) & 7;
            int64_t amount = 1 + (int64_t)((x >> 40) & 15);
            unsigned kind = (unsigned)(x >> 33) & 3;
            if (kind == 3) {
                int64_t delta = amount - 5;
                int64_t before = inventory_available(&level);
                enum inventory_answer answer = inventory_core_adjust(&level, delta);
                cr_assert_eq(answer == INVENTORY_ANSWER_ADJUSTED, before + delta >= 0);
                sum.on_hand += answer == INVENTORY_ANSWER_ADJUSTED ? delta : 0;
                continue;
            }
            if (states[order] == INVENTORY_NONE)
                quantities[order] = amount;
            struct inventory_draw draw = {&level, quantities[order]};
            enum inventory_event event = kind == 0   ? inventory_core_weigh(&draw, 1)
                                         : kind == 1 ? INVENTORY_ON_COMMIT
                                                     : INVENTORY_ON_RELEASE;
            const struct inventory_transition *row = inventory_core_next(states[order], event);
            states[order] = row->to;
            struct inventory_delta delta =
                inventory_core_move(row->effect, quantities[order], &level);
            sum.on_hand += delta.on_hand;
            sum.reserved += delta.reserved;
            int64_t held = 0;
            for (unsigned i = 0; i < 8; i++)
                held += states[i] == INVENTORY_RESERVED ? quantities[i] : 0;
            cr_assert_eq(level.reserved, held, "seed %u step %d", seed, step);
            cr_assert(level.on_hand == sum.on_hand && level.reserved == sum.reserved,
                      "seed %u step %d",
                      seed,
                      step);
            cr_assert(level.reserved >= 0 && level.on_hand >= level.reserved,
                      "seed %u step %d",
                      seed,
                      step);
        }
    }
}

Test(inventory_core, tells_what_does_not_fit)
{
    struct inventory_level level = {10, 4, 1};
    cr_expect(inventory_core_fits(INVENTORY_EFFECT_HOLD, 6, &level));
    cr_expect_not(inventory_core_fits(INVENTORY_EFFECT_HOLD, 7, &level));
    cr_expect(inventory_core_fits(INVENTORY_EFFECT_FREE, 4, &level));
    cr_expect_not(inventory_core_fits(INVENTORY_EFFECT_FREE, 5, &level));
    cr_expect_not(inventory_core_fits(INVENTORY_EFFECT_TAKE, 5, &level));
    cr_expect(inventory_core_fits(INVENTORY_EFFECT_NOTHING, 99, &level));
}

Test(inventory_core, adjusts_within_its_limits)
{
    struct inventory_level level = {10, 8, 3};
    cr_expect_eq(inventory_core_adjust(&level, -3), INVENTORY_ANSWER_WOULD_BE_NEGATIVE);
    cr_expect_eq(level.version, 3);
    cr_expect_eq(inventory_core_adjust(&level, -2), INVENTORY_ANSWER_ADJUSTED);
    cr_expect_eq(level.on_hand, 8);
    cr_expect_eq(level.version, 4);
    level.on_hand = INVENTORY_ON_HAND_MAX;
    cr_expect_eq(inventory_core_adjust(&level, 1), INVENTORY_ANSWER_WOULD_BE_NEGATIVE);
}

Test(inventory_core, finds_states_by_name)
{
    cr_expect_eq(inventory_state_named("SOLD_OUT", 8), INVENTORY_SOLD_OUT);
    cr_expect_eq(inventory_state_named("SOLD_OUT!", 9), INVENTORY_STATE_COUNT);
    cr_expect_eq(inventory_state_named("SOLD", 4), INVENTORY_STATE_COUNT);
}
