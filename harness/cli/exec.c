#include "cli.h"

#include "stack.h"

#include "bv/process.h"
#include "bv/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FLAG_SERVERS,
    FLAG_SERVICES,
    FLAG_DURABLE,
    FLAG_BIN_DIR,
    FLAG_LOG_LEVEL,
    FLAG_SET,
    FLAG_QUIET
};
enum { KILL_MS_MAX = 5000, LOOK_MS = 50, STOPPED = 143 };

static _Noreturn void run_command(char **argv, const struct bv_stack *stack)
{
    for (const char *const *variable = bv_stack_environ(stack); *variable; variable++)
        putenv((char *)*variable);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execvp(argv[0], argv);
    int number = errno;
    bv_complain("cannot run %s: %s", argv[0], strerror(number));
    _exit(number == ENOENT ? 127 : 126);
}

static int status_to_exit(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static volatile sig_atomic_t told_to_stop;

static void on_news(int signal_number)
{
    if (signal_number == SIGUSR1)
        told_to_stop = 1; /* or bv has ended: getppid tells */
}

/* Waits for the end of any child, but looks around every LOOK_MS, so that a signal that came just
 * before costs no more than that. */
static pid_t await_news(int *status)
{
    pid_t pid = waitpid(-1, status, WNOHANG);
    if (pid == 0)
        poll(NULL, 0, LOOK_MS);
    return pid;
}

static void catch_news(int signal_number)
{
    const struct sigaction action = {.sa_handler = on_news};
    sigaction(signal_number, &action, NULL);
}

/* Stands between bv and the command as a subreaper: when the command ends, or bv does, however, it
 * kills whatever has become its child, so that nothing that the command left behind stays. No PID
 * namespace here: test frameworks name their sockets by pid, and two namespaces have the same ones.
 */
static _Noreturn void be_shim(char **argv, const struct bv_stack *stack, pid_t parent)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    catch_news(SIGCHLD);
    catch_news(SIGUSR1);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    pid_t command = fork();
    if (command == 0)
        run_command(argv, stack);
    int status = 0, exit_status = STOPPED;
    while (getppid() == parent && !told_to_stop) {
        pid_t pid = await_news(&status);
        if (pid == command)
            exit_status = status_to_exit(status);
        if (pid == command || pid < 0)
            break;
    }
    bv_kill_children(KILL_MS_MAX);
    _exit(exit_status);
}

static pid_t start_command(char **argv, const struct bv_stack *stack)
{
    pid_t parent = getpid();
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* for what the shim leaves if it is killed itself */
    pid_t pid = fork();
    if (pid == 0)
        be_shim(argv, stack, parent);
    return pid;
}

static int await_command(pid_t shim, const volatile int *interrupted)
{
    catch_news(SIGCHLD);
    for (int status;;) {
        pid_t pid = waitpid(shim, &status, WNOHANG);
        if (pid == shim)
            return status_to_exit(status);
        if (pid < 0 && errno != EINTR)
            return CLI_FAULT;
        /* a terminal's Ctrl-C reached the command as well; a SIGTERM to bv alone did not */
        if (*interrupted == SIGTERM || *interrupted == SIGHUP) {
            kill(shim, SIGUSR1);
        }
        poll(NULL, 0, LOOK_MS);
    }
}

static size_t wanted_parts(const struct cli_line *line, const char **wanted)
{
    size_t count = 0;
    static const enum bv_stack_kind kinds[] = {
        [FLAG_SERVERS] = BV_STACK_SERVER, [FLAG_SERVICES] = BV_STACK_SERVICE};
    for (int flag = FLAG_SERVERS; flag <= FLAG_SERVICES; flag++) {
        const char *value = line->values[flag];
        bool all = value && strcmp(value, "all") == 0;
        if (value && !all)
            count += cli_split((char *)value, wanted + count, CLI_OPERANDS_MAX - count);
        bool fallback = flag == FLAG_SERVERS && !value && !line->values[FLAG_SERVICES];
        for (size_t i = 0; (all || fallback) && i < bv_stack_choice_count(); i++)
            if (bv_stack_choice(i).kind == kinds[flag] && count < CLI_OPERANDS_MAX)
                wanted[count++] = bv_stack_choice(i).name;
    }
    return count;
}

int cli_exec(int argc, char **argv)
{
    struct cli_line line;
    const char *wanted[CLI_OPERANDS_MAX];
    int rc = cli_read(cli_find("exec"), argc, argv, &line);
    if (rc != 0)
        return rc == CLI_HELPED ? CLI_OK : CLI_FAULT;
    if (!line.rest || !line.rest[0] || line.operand_count) {
        bv_complain("say the command after '--': bv exec --servers postgres -- env");
        return CLI_FAULT;
    }
    const size_t wanted_count = wanted_parts(&line, wanted);
    if (wanted_count == 0) {
        bv_complain("exec: name a server or a service (bv help up lists them), or leave --servers "
                    "and --services out");
        return CLI_FAULT;
    }
    struct cli_progress progress = {0};
    const bool quiet = line.values[FLAG_QUIET] != NULL;
    const volatile int *interrupted = cli_catch_interrupts();
    struct bv_stack_spec spec = {
        .wanted = wanted,
        .wanted_count = wanted_count,
        .life = BV_STACK_FOREGROUND,
        .durability = line.values[FLAG_DURABLE] ? BV_STACK_DURABLE : BV_STACK_EPHEMERAL,
        .bin_dir = line.values[FLAG_BIN_DIR],
        .log_level = line.values[FLAG_LOG_LEVEL],
        .settings = line.values[FLAG_SET],
        .progress = quiet ? NULL : cli_progress,
        .progress_argument = &progress,
        .cancel = interrupted,
    };
    struct bv_stack *stack = NULL;
    struct bv_error error = {0};
    if ((!quiet && cli_announce(&spec, &error) < 0) || bv_stack_up(&spec, &stack, &error) < 0)
        return cli_fault(&error);
    fflush(NULL);
    pid_t pid = start_command(line.rest, stack);
    int status = pid > 0 ? await_command(pid, interrupted) : CLI_FAULT;
    if (pid < 0)
        bv_complain("cannot start %s: %s", line.rest[0], strerror(errno));
    int down = bv_stack_down(&stack, &error);
    bv_kill_children(KILL_MS_MAX);
    return down < 0 ? cli_fault(&error) : status;
}
