#include "bv/failpoint.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

Test(failpoint, every_point_has_a_name_of_its_own_and_a_moment)
{
    for (size_t i = 0; i < BV_FAILPOINT_COUNT; i++) {
        enum bv_failpoint found;
        cr_expect_eq(bv_failpoint_find(bv_failpoint_rows[i].name, &found), 0);
        cr_expect_eq((size_t)found, i, "%s is there twice", bv_failpoint_rows[i].name);
        cr_expect(strlen(bv_failpoint_rows[i].moment) > 10 && bv_failpoint_rows[i].services[0]);
    }
    enum bv_failpoint found;
    cr_expect_eq(bv_failpoint_find("order.create", &found), BV_E_NOT_FOUND);
}

#ifdef BV_TEST_SWITCHES

/* The board between test and child, removed at the end of the test. */
static char board_path[64];
static struct bv_failpoint_board *board;

static void board_open(void)
{
    struct bv_error error = {0};
    snprintf(board_path, sizeof board_path, "/tmp/bv-failpoint-%d", (int)getpid());
    unlink(board_path);
    cr_assert_eq(bv_failpoint_board_make(board_path, &board, &error), 0, "%s", error.text);
}

static void board_end(void)
{
    bv_failpoint_board_close(&board);
    unlink(board_path);
}

/* A child with this environment that passes two points in turn; returns its wait status, and in
 * *ret_rounds how many rounds it got through. */
static int child_of(const char *file, const char *armed, int rounds, int *ret_rounds)
{
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (file)
            setenv("BV_FAILPOINT_FILE", file, 1);
        if (armed)
            setenv("BV_FAILPOINT", armed, 1);
        if (bv_failpoint_start(NULL) < 0)
            _exit(3);
        for (int i = 0; i < rounds; i++) {
            BV_FAILPOINT(RELAY_SELECTED);
            BV_FAILPOINT(RELAY_PRODUCED);
            if (write(pipes[1], "x", 1) != 1)
                _exit(4);
        }
        _exit(0);
    }
    int status = 0;
    char byte;
    close(pipes[1]);
    for (*ret_rounds = 0; read(pipes[0], &byte, 1) == 1;)
        ++*ret_rounds;
    close(pipes[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static bool killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

Test(failpoint, a_point_that_is_not_armed_does_nothing)
{
    int rounds;
    cr_expect_eq(child_of(NULL, NULL, 5, &rounds), 0);
    cr_expect_eq(rounds, 5);
}

Test(failpoint, the_environment_arms_the_nth_passage)
{
    int rounds;
    cr_expect(killed(child_of(NULL, "relay.produced@3", 5, &rounds)));
    cr_expect_eq(rounds, 2);
    cr_expect(killed(child_of(NULL, "relay.selected", 5, &rounds)));
    cr_expect_eq(rounds, 0);
    cr_expect_eq(child_of(NULL, "relay.produced@6", 5, &rounds), 0);
    cr_expect_eq(rounds, 5);
}

Test(failpoint, a_point_that_does_not_exist_stops_the_start)
{
    int rounds;
    cr_expect_eq(WEXITSTATUS(child_of(NULL, "relay.nowhere", 1, &rounds)), 3);
    cr_expect_eq(WEXITSTATUS(child_of(NULL, "relay.selected@0", 1, &rounds)), 3);
    cr_expect_eq(WEXITSTATUS(child_of(NULL, "relay.selected@", 1, &rounds)), 3);
}

Test(failpoint, the_board_arms_counts_the_death_and_disarms, .init = board_open, .fini = board_end)
{
    int rounds;
    bv_failpoint_arm(board, BV_FAILPOINT_RELAY_PRODUCED, 2);
    cr_expect(killed(child_of(board_path, NULL, 5, &rounds)));
    cr_expect_eq(rounds, 1);
    cr_expect_eq(board->fired[BV_FAILPOINT_RELAY_PRODUCED], 1);
    cr_expect_eq(board->fired[BV_FAILPOINT_RELAY_SELECTED], 0);
    cr_expect_gt(board->fired_at_us, 0);
    cr_expect_eq(bv_failpoint_await(board, BV_FAILPOINT_RELAY_PRODUCED, 0, 0), 0);
    cr_expect_eq(bv_failpoint_await(board, BV_FAILPOINT_RELAY_PRODUCED, 1, 1), BV_E_TIMEOUT);
    cr_expect_eq(child_of(board_path, NULL, 5, &rounds), 0, "one arming kills once");
    bv_failpoint_arm(board, BV_FAILPOINT_RELAY_PRODUCED, 1);
    cr_expect(killed(child_of(board_path, NULL, 5, &rounds)));
    cr_expect_eq(board->fired[BV_FAILPOINT_RELAY_PRODUCED], 2);
    bv_failpoint_arm(board, BV_FAILPOINT_RELAY_PRODUCED, 1);
    bv_failpoint_disarm(board);
    cr_expect_eq(child_of(board_path, NULL, 5, &rounds), 0);
}

Test(failpoint, a_death_wakes_who_waits_for_it, .init = board_open, .fini = board_end)
{
    bv_failpoint_arm(board, BV_FAILPOINT_RELAY_SELECTED, 1);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("BV_FAILPOINT_FILE", board_path, 1);
        if (bv_failpoint_start(NULL) == 0)
            BV_FAILPOINT(RELAY_SELECTED);
        _exit(0);
    }
    cr_expect_eq(bv_failpoint_await(board, BV_FAILPOINT_RELAY_SELECTED, 0, 60000), 0);
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(killed(status));
}

Test(failpoint, a_file_that_is_no_board_stops_the_start, .init = board_open, .fini = board_end)
{
    int rounds;
    cr_expect_eq(WEXITSTATUS(child_of("/tmp/bv-no-such-board", NULL, 1, &rounds)), 3);
    board->magic = 7;
    cr_expect_eq(WEXITSTATUS(child_of(board_path, NULL, 1, &rounds)), 3);
    cr_assert_eq(truncate(board_path, 8), 0);
    cr_expect_eq(WEXITSTATUS(child_of(board_path, NULL, 1, &rounds)), 3);
}

#else

Test(failpoint, a_build_without_switches_has_no_point)
{
    setenv("BV_FAILPOINT", "relay.nowhere", 1);
    cr_expect_not(bv_failpoints_compiled());
    cr_expect_eq(bv_failpoint_start(NULL), 0);
    BV_FAILPOINT(RELAY_SELECTED);
}

#endif
