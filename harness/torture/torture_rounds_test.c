#include "torture_rounds.h"

#include "listener.h"

#include "bv/probe.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct bv_env env = {.clock = &bv_clock_system, .random = &bv_random_system};

/* A service that passes relay.selected and order.reserve.after-reply all the time and, right after
 * its start, order.sweep.resumed; who keeps it alive; and a door that always says ready. */
static char path[64];
static struct bv_failpoint_board *board;
static pid_t keeper;
static struct listener *door;
static struct torture_lane_place place;

static struct listener_answer ready(void *argument, const struct listener_request *request)
{
    (void)argument, (void)request;
    return (struct listener_answer){.status = 200};
}

static _Noreturn void be_service(void)
{
    setenv("BV_FAILPOINT_FILE", path, 1);
    if (bv_failpoint_start(NULL) < 0)
        _exit(3);
    for (;;) {
        BV_FAILPOINT(RELAY_SELECTED);
        BV_FAILPOINT(ORDER_RESERVE_AFTER_REPLY);
        BV_FAILPOINT(ORDER_SWEEP_RESUMED);
        sched_yield();
    }
}

static _Noreturn void be_keeper(void)
{
    for (;;) {
        pid_t pid = fork();
        if (pid == 0)
            be_service();
        waitpid(pid, NULL, 0);
    }
}

static void setup(void)
{
    struct bv_error error = {0};
    uint16_t port = 0;
    snprintf(path, sizeof path, "/tmp/bv-rounds-%d", (int)getpid());
    unlink(path);
    cr_assert_eq(bv_failpoint_board_make(path, &board, &error), 0, "%s", error.text);
    cr_assert_eq(bv_port_pick(NULL, 0, &port, &error), 0);
    cr_assert_eq(listener_open(&env, port, ready, NULL, &door, &error), 0, "%s", error.text);
    place = (struct torture_lane_place){"order", board, port};
    keeper = fork();
    if (keeper == 0) {
        setpgid(0, 0);
        be_keeper();
    }
    setpgid(keeper, keeper);
}

static void teardown(void)
{
    kill(-keeper, SIGKILL);
    waitpid(keeper, NULL, 0);
    listener_close(&door);
    bv_failpoint_board_close(&board);
    unlink(path);
}

static struct torture_rounds *run(const char *only, uint32_t count, int64_t fire_ms_max)
{
    struct torture_rounds *rounds = NULL;
    struct bv_error error = {0};
    const struct torture_rounds_config config = {.places = &place,
                                                 .place_count = 1,
                                                 .only = only,
                                                 .rounds = count,
                                                 .fire_ms_max = fire_ms_max};
    cr_assert_eq(torture_rounds_open(&config, &rounds, &error), 0, "%s", error.text);
    cr_assert_eq(torture_rounds_run(rounds, &error), 0, "%s", error.text);
    return rounds;
}

Test(torture_rounds, a_point_that_is_passed_is_hit_in_every_round, .init = setup, .fini = teardown)
{
    struct torture_target *targets = NULL;
    struct torture_rounds *rounds = run("relay.selected", 5, 20000);
    cr_assert_eq(torture_rounds_targets(rounds, &targets), 1);
    cr_expect_eq(targets[0].fired, 5);
    cr_expect_eq(board->fired[BV_FAILPOINT_RELAY_SELECTED], 5);
    for (size_t i = 0; i < 5; i++)
        cr_expect_geq(targets[0].recovery_us[i], 0);
    torture_rounds_close(&rounds);
}

Test(torture_rounds, a_point_that_is_never_passed_is_missed, .init = setup, .fini = teardown)
{
    struct torture_target *targets = NULL;
    struct torture_rounds *rounds = run("relay.deleted", 5, 200);
    cr_assert_eq(torture_rounds_targets(rounds, &targets), 1);
    cr_expect_eq(targets[0].asked, 3, "then it is given up");
    cr_expect_eq(targets[0].fired, 0);
    torture_rounds_close(&rounds);
}

Test(torture_rounds, a_primer_dies_first_and_is_not_counted, .init = setup, .fini = teardown)
{
    struct torture_target *targets = NULL;
    struct torture_rounds *rounds = run("order.sweep.resumed", 3, 20000);
    cr_assert_eq(torture_rounds_targets(rounds, &targets), 1);
    cr_expect_eq(targets[0].fired, 3);
    cr_expect_eq(board->fired[BV_FAILPOINT_ORDER_RESERVE_AFTER_REPLY], 3);
    torture_rounds_close(&rounds);
}

Test(torture_rounds, a_violation_is_charged_to_the_next_death, .init = setup, .fini = teardown)
{
    struct torture_target *targets = NULL;
    struct torture_rounds *rounds = run("relay.selected", 1, 20000);
    cr_assert_eq(torture_rounds_targets(rounds, &targets), 1);
    cr_expect_eq(torture_rounds_blame(rounds, 0), &targets[0]);
    cr_expect_null(torture_rounds_blame(rounds, INT64_MAX));
    torture_rounds_close(&rounds);
}

Test(torture_rounds, a_name_that_is_no_point_is_refused)
{
    struct torture_rounds *rounds = NULL;
    struct bv_error error = {0};
    const struct torture_lane_place nowhere = {.service = "order"};
    const struct torture_rounds_config config = {
        .places = &nowhere, .place_count = 1, .only = "order.nothing", .rounds = 1};
    cr_expect_eq(torture_rounds_open(&config, &rounds, &error), BV_E_INVALID);
    cr_expect_not_null(strstr(error.text, "order.nothing"));
}
