#include "bv/process.h"

#include "bv/probe.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct bv_spawn spawn_of(const char *const *argv)
{
    return (struct bv_spawn){
        .argv = argv, .in_fd = -1, .out_fd = -1, .uid = geteuid(), .gid = getegid()};
}

Test(process, a_missing_program_is_named)
{
    const char *const argv[] = {"/no/such/program", NULL};
    const struct bv_spawn spawn = spawn_of(argv);
    struct bv_error error = {0};
    pid_t pid, shown;
    cr_assert_eq(bv_spawn(&spawn, &pid, &shown, &error), BV_E_NOT_FOUND);
    cr_assert_not_null(strstr(error.text, "/no/such/program"));
    cr_assert_eq(waitpid(-1, NULL, 0), -1, "the failed child was reaped");
}

Test(process, a_program_runs_in_its_own_group_with_the_shown_pid)
{
    const char *const argv[] = {"sleep", "100", NULL};
    const struct bv_spawn spawn = spawn_of(argv);
    pid_t pid, shown;
    cr_assert_eq(bv_spawn(&spawn, &pid, &shown, NULL), 0);
    cr_assert_eq(shown, pid);
    cr_assert_eq(getpgid(pid), pid);
    struct bv_usage usage;
    int64_t ends_ms = bv_now_ms() + 5000; /* the kernel counts pages a moment after exec */
    do
        bv_usage_of(pid, &usage);
    while (usage.rss_bytes == 0 && bv_now_ms() < ends_ms);
    cr_assert_eq(usage.processes, 1);
    cr_assert_gt(usage.rss_bytes, 0);
    cr_assert_leq(usage.pss_bytes, usage.rss_bytes);
    kill(pid, SIGKILL);
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    bv_usage_of(pid, &usage);
    cr_assert_eq(usage.processes, 0);
}

Test(process, a_run_that_fails_says_how)
{
    const char *const argv[] = {"sh", "-c", "exit 3", NULL};
    const struct bv_spawn spawn = spawn_of(argv);
    struct bv_error error = {0};
    cr_assert_eq(bv_run(&spawn, NULL, &error), BV_E_UNAVAILABLE);
    cr_assert_not_null(strstr(error.text, "exit 3"), "%s", error.text);
    const char *const good[] = {"true", NULL};
    const struct bv_spawn fine = spawn_of(good);
    cr_assert_eq(bv_run(&fine, NULL, NULL), 0);
}

Test(process, output_and_errors_go_to_their_files)
{
    const char *const argv[] = {"sh", "-c", "echo out; echo err >&2", NULL};
    const struct bv_spawn spawn = spawn_of(argv);
    char out[64], log[64], text[16] = "";
    snprintf(out, sizeof out, "/tmp/bvproc-%d.out", (int)getpid());
    snprintf(log, sizeof log, "/tmp/bvproc-%d.log", (int)getpid());
    cr_assert_eq(bv_run_output(&spawn, out, log, NULL), 0);
    int fd = open(out, O_RDONLY);
    cr_assert_eq(read(fd, text, sizeof text), 4);
    cr_assert_eq(memcmp(text, "out\n", 4), 0);
    close(fd);
    unlink(out);
    unlink(log);
}

static int refuse(void *argument, struct bv_error *error)
{
    return bv_fail(error, BV_E_TIMEOUT, "%s", (const char *)argument);
}

Test(process, a_task_tells_its_error_through_the_pipe)
{
    pid_t pid;
    int fd, status;
    char text[64] = "";
    char words[] = "too late";
    cr_assert_eq(bv_task_start(refuse, words, geteuid(), getegid(), &pid, &fd, NULL), 0);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    cr_assert_eq(read(fd, text, sizeof text), 8);
    cr_assert_str_eq(text, "too late");
    close(fd);
}

Test(process, children_end_with_the_process_that_started_them)
{
    int pipe_fds[2];
    cr_assert_eq(pipe(pipe_fds), 0);
    pid_t middle = fork();
    if (middle == 0) {
        const char *const argv[] = {"sleep", "1000", NULL};
        const struct bv_spawn spawn = spawn_of(argv);
        pid_t pids[2];
        if (bv_spawn(&spawn, &pids[0], &pids[1], NULL) == 0)
            (void)!write(pipe_fds[1], &pids[0], sizeof pids[0]);
        pause();
    }
    pid_t sleeper = 0;
    cr_assert_eq(read(pipe_fds[0], &sleeper, sizeof sleeper), (ssize_t)sizeof sleeper);
    kill(middle, SIGKILL);
    waitpid(middle, NULL, 0);
    struct bv_usage usage;
    int64_t ends_ms = bv_now_ms() + 5000;
    do {
        bv_retry_pause();
        bv_usage_of(sleeper, &usage);
    } while (usage.processes && bv_now_ms() < ends_ms);
    cr_assert_eq(usage.processes, 0);
}

Test(process, a_subreaper_kills_grandchildren_too)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (fork() == 0) {
        for (int i = 0; i < 3; i++)
            if (fork() == 0)
                setsid();
        pause();
    }
    bv_kill_children(5000);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
    cr_assert_eq(errno, ECHILD);
}

Test(process, closing_the_others_keeps_the_kept)
{
    int a = open("/dev/null", O_RDONLY), b = open("/dev/null", O_RDONLY),
        c = open("/dev/null", O_RDONLY);
    pid_t pid = fork();
    if (pid == 0) {
        const int kept[] = {c, a};
        bv_close_others(kept, 2);
        _exit(fcntl(a, F_GETFD) >= 0 && fcntl(b, F_GETFD) < 0 && fcntl(c, F_GETFD) >= 0 ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    cr_assert_eq(status, 0);
}
