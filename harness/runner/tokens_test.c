#include "tokens.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { THREADS = 8, REFUSED = 2 };
static atomic_int logins;
static atomic_int refusals;

static int
log_in(void *argument, struct bv_bytes identity, const char **ret_text, struct bv_error *error)
{
    (void)identity, (void)error;
    atomic_fetch_add(&logins, 1);
    if (atomic_fetch_sub(&refusals, 1) > 0)
        return REFUSED;
    *ret_text = argument;
    return 0;
}

static void *ask(void *argument)
{
    const char *token = NULL;
    struct bv_error error;
    int rc = tokens_get(argument, BV_BYTES("staff"), log_in, "t", &token, &error);
    return (void *)(uintptr_t)(rc == 0 ? token : NULL);
}

Test(tokens, many_that_ask_at_once_cause_one_login)
{
    struct tokens *tokens = NULL;
    pthread_t threads[THREADS];
    cr_assert_eq(tokens_open(&tokens), 0);
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, ask, tokens), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *token = NULL;
        pthread_join(threads[i], &token);
        cr_expect_str_eq(token, "t");
    }
    cr_expect_eq(logins, 1);
    tokens_close(&tokens);
}

Test(tokens, a_refused_login_is_tried_again_by_the_next)
{
    struct tokens *tokens = NULL;
    const char *token = NULL;
    struct bv_error error;
    cr_assert_eq(tokens_open(&tokens), 0);
    refusals = 1;
    cr_expect_eq(tokens_get(tokens, BV_BYTES("staff"), log_in, "t", &token, &error), REFUSED);
    cr_expect_null(token);
    cr_expect_eq(tokens_get(tokens, BV_BYTES("staff"), log_in, "t", &token, &error), 0);
    cr_expect_eq(tokens_get(tokens, BV_BYTES("admin"), log_in, "u", &token, &error), 0);
    cr_expect_str_eq(token, "u");
    cr_expect_eq(logins, 3);
    tokens_close(&tokens);
}

static atomic_int inside;
static atomic_int most;

static void *pass(void *argument)
{
    tokens_enter(argument);
    int now = atomic_fetch_add(&inside, 1) + 1;
    for (int before = most; now > before && !atomic_compare_exchange_weak(&most, &before, now);)
        ;
    sched_yield();
    atomic_fetch_sub(&inside, 1);
    tokens_leave(argument);
    return NULL;
}

Test(tokens, few_log_in_at_the_same_time)
{
    struct tokens *tokens = NULL;
    pthread_t threads[8 * THREADS];
    cr_assert_eq(tokens_open(&tokens), 0);
    for (size_t i = 0; i < BV_COUNT(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, pass, tokens), 0);
    for (size_t i = 0; i < BV_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    cr_expect_leq(most, TOKENS_LOGINS_MAX);
    cr_expect_eq(inside, 0);
    tokens_close(&tokens);
}
