#include <criterion/criterion.h>
#include <pthread.h>

#include "bv/loop.h"

static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};

static struct bv_loop *open_loop(void)
{
    struct bv_loop *loop = NULL;
    cr_assert_eq(bv_loop_open(&env, &loop), 0);
    return loop;
}

/* What a test's callbacks write down, in order. */
struct diary {
    struct bv_loop *loop;
    struct bv_idle *idle;
    struct bv_idle *other;
    char text[64];
    size_t size;
    int rounds;
};

static void note(struct diary *diary, char c)
{
    if (diary->size + 1 < sizeof(diary->text))
        diary->text[diary->size++] = c;
}

static void stop(void *argument)
{
    bv_loop_stop(((struct diary *)argument)->loop);
}

static void note_a(void *argument)
{
    note(argument, 'a');
}

static void note_b(void *argument)
{
    note(argument, 'b');
}

Test(loop, posted_calls_run_in_order)
{
    struct diary diary = {.loop = open_loop()};
    cr_assert_eq(bv_loop_post(diary.loop, note_a, &diary), 0);
    cr_assert_eq(bv_loop_post(diary.loop, note_b, &diary), 0);
    cr_assert_eq(bv_loop_post(diary.loop, note_a, &diary), 0);
    cr_assert_eq(bv_loop_post(diary.loop, stop, &diary), 0);
    cr_assert_eq(bv_loop_run(diary.loop), 0);
    cr_assert_str_eq(diary.text, "aba");
    bv_loop_close(&diary.loop);
    cr_assert_null(diary.loop);
}

Test(loop, refuses_posts_past_the_bound)
{
    struct diary diary = {.loop = open_loop()};
    for (int i = 0; i < BV_LOOP_POSTS_MAX; i++)
        cr_assert_eq(bv_loop_post(diary.loop, note_a, &diary), 0);
    cr_assert_eq(bv_loop_post(diary.loop, note_a, &diary), BV_E_LIMIT);
    bv_loop_stop(diary.loop);
    cr_assert_eq(bv_loop_run(diary.loop), 0);
    cr_assert_eq(bv_loop_post(diary.loop, note_b, &diary), 0, "room again after the turn");
    bv_loop_close(&diary.loop);
}

static void post_again(void *argument)
{
    struct diary *diary = argument;
    note(diary, 'p');
    if (++diary->rounds == 3) {
        bv_loop_stop(diary->loop);
        return;
    }
    bv_idle_arm(diary->idle);
    cr_assert_eq(bv_loop_post(diary->loop, post_again, diary), 0);
}

Test(loop, call_posted_from_a_posted_call_runs_in_a_later_turn)
{
    struct diary diary = {.loop = open_loop()};
    cr_assert_eq(bv_idle_open(diary.loop, note_a, &diary, &diary.idle), 0);
    cr_assert_eq(bv_loop_post(diary.loop, post_again, &diary), 0);
    cr_assert_eq(bv_loop_run(diary.loop), 0);
    cr_assert_str_eq(diary.text, "papap", "the idle stands between the turns");
    bv_idle_close(&diary.idle);
    bv_loop_close(&diary.loop);
}

static void arm_twice(void *argument)
{
    struct diary *diary = argument;
    note(diary, 't');
    bv_idle_arm(diary->idle);
    bv_idle_arm(diary->idle);
}

Test(loop, idle_runs_once_after_the_calls_of_the_turn)
{
    struct diary diary = {.loop = open_loop()};
    cr_assert_eq(bv_idle_open(diary.loop, note_a, &diary, &diary.idle), 0);
    cr_assert_eq(bv_loop_post(diary.loop, arm_twice, &diary), 0);
    cr_assert_eq(bv_loop_post(diary.loop, arm_twice, &diary), 0);
    cr_assert_eq(bv_loop_post(diary.loop, stop, &diary), 0);
    cr_assert_eq(bv_loop_run(diary.loop), 0);
    cr_assert_str_eq(diary.text, "tta");
    bv_idle_close(&diary.idle);
    bv_loop_close(&diary.loop);
}

static void arm_until_three(void *argument)
{
    struct diary *diary = argument;
    note(diary, 'i');
    if (++diary->rounds < 3)
        bv_idle_arm(diary->idle);
    else
        bv_loop_stop(diary->loop);
}

Test(loop, idle_armed_in_its_own_call_runs_in_the_next_turn_without_waiting)
{
    struct diary diary = {.loop = open_loop()};
    cr_assert_eq(bv_idle_open(diary.loop, arm_until_three, &diary, &diary.idle), 0);
    bv_idle_arm(diary.idle);
    cr_assert_eq(bv_loop_run(diary.loop), 0);
    cr_assert_str_eq(diary.text, "iii");
    bv_idle_close(&diary.idle);
    bv_loop_close(&diary.loop);
}

static void close_both(void *argument)
{
    struct diary *diary = argument;
    note(diary, 'c');
    bv_idle_close(&diary->idle);
    bv_idle_close(&diary->other);
    bv_loop_stop(diary->loop);
}

Test(loop, closing_an_idle_takes_back_its_pending_call)
{
    struct diary diary = {.loop = open_loop()};
    struct bv_idle *last = NULL;
    cr_assert_eq(bv_idle_open(diary.loop, close_both, &diary, &diary.idle), 0);
    cr_assert_eq(bv_idle_open(diary.loop, note_b, &diary, &diary.other), 0);
    cr_assert_eq(bv_idle_open(diary.loop, note_a, &diary, &last), 0);
    bv_idle_arm(diary.idle);
    bv_idle_arm(diary.other);
    bv_idle_arm(last);
    cr_assert_eq(bv_loop_run(diary.loop), 0);
    cr_assert_str_eq(diary.text, "ca");
    cr_assert_null(diary.idle);
    bv_idle_close(&last);
    bv_loop_close(&diary.loop);
}

Test(loop, closing_the_last_armed_idle_leaves_the_list_sound)
{
    struct diary diary = {.loop = open_loop()};
    cr_assert_eq(bv_idle_open(diary.loop, note_a, &diary, &diary.idle), 0);
    cr_assert_eq(bv_idle_open(diary.loop, note_b, &diary, &diary.other), 0);
    bv_idle_arm(diary.idle);
    bv_idle_arm(diary.other);
    bv_idle_close(&diary.other);
    cr_assert_eq(bv_idle_open(diary.loop, stop, &diary, &diary.other), 0);
    bv_idle_arm(diary.other);
    cr_assert_eq(bv_loop_run(diary.loop), 0);
    cr_assert_str_eq(diary.text, "a");
    bv_loop_close(&diary.loop);
}

Test(loop, runs_again_after_a_stop)
{
    struct diary diary = {.loop = open_loop()};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(bv_loop_post(diary.loop, note_a, &diary), 0);
        cr_assert_eq(bv_loop_post(diary.loop, stop, &diary), 0);
        cr_assert_eq(bv_loop_run(diary.loop), 0);
    }
    cr_assert_str_eq(diary.text, "aa");
    bv_loop_close(&diary.loop);
}

Test(loop, time_is_the_environments)
{
    struct bv_loop *loop = open_loop();
    int64_t before = bv_mono_ms(&env);
    int64_t now = bv_loop_now_ms(loop);
    cr_assert(now >= before && now <= bv_mono_ms(&env));
    cr_assert_eq(bv_loop_env(loop), &env);
    bv_loop_close(&loop);
}

static void note_and_post(void *argument)
{
    struct diary *diary = argument;
    note(diary, 'p');
    cr_assert_eq(bv_loop_post(diary->loop, note_a, diary), 0);
}

Test(loop, close_makes_the_calls_that_wait)
{
    struct diary diary = {.loop = open_loop()};
    struct bv_loop *loop = diary.loop;
    cr_assert_eq(bv_loop_post(loop, note_and_post, &diary), 0);
    bv_loop_close(&loop);
    cr_assert_str_eq(diary.text, "pa");
}

Test(loop, close_ends_what_was_left_open)
{
    struct bv_loop *loop = open_loop();
    struct bv_timer *timer = NULL;
    struct bv_idle *idle = NULL;
    struct bv_workers *workers = NULL;
    cr_assert_eq(bv_timer_open(loop, note_a, NULL, &timer), 0);
    cr_assert_eq(bv_idle_open(loop, note_a, NULL, &idle), 0);
    cr_assert_eq(bv_workers_open(loop, "left", 2, 4, &workers), 0);
    bv_timer_set(timer, 1000, 0);
    bv_idle_arm(idle);
    bv_loop_close(&loop);
    cr_assert_null(loop);
    bv_loop_close(&loop); /* NULL is accepted */
}
