#include "cli.h"

#include "stack.h"

#include "bv/process.h"
#include "bv/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FLAG_SERVERS, FLAG_SERVICES, FLAG_DURABLE, FLAG_BIN_DIR, FLAG_LOG_LEVEL, FLAG_QUIET };
enum {
    KILL_MS_MAX = 5000,
    LOOK_MS = 50,
    NO_NAMESPACE = 125,
    STOPPED = 143
}; /* exits of the shim: before it ran anything, when told to stop */

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

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Own /proc, so that pids in it are those of the new namespace: sanitizers and debuggers look
 * there. */
static bool settle(bool user_namespace, uid_t uid, gid_t gid)
{
    char map[48];
    if (user_namespace) {
        snprintf(map, sizeof map, "%u %u 1", uid, uid);
        if (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/uid_map", map))
            return false;
        snprintf(map, sizeof map, "%u %u 1", gid, gid);
        if (!write_file("/proc/self/gid_map", map))
            return false;
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 &&
        mount(NULL, "/proc", NULL, MS_PRIVATE, NULL) < 0)
        return false;
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

static int status_to_exit(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void on_stop(int signal_number)
{
    (void)signal_number;
    _exit(STOPPED); /* the namespace goes with its PID 1 */
}

/* PID 1 of the command's own namespace: whatever the command leaves behind ends with it, and it
 * ends with bv. */
static _Noreturn void be_shim(char **argv,
                              const struct bv_stack *stack,
                              bool user_namespace,
                              uid_t uid,
                              gid_t gid,
                              pid_t parent_as_seen)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent_as_seen || !settle(user_namespace, uid, gid))
        _exit(NO_NAMESPACE);
    const struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGUSR1, &action, NULL);
    pid_t command = fork();
    if (command == 0)
        run_command(argv, stack);
    for (int status;;) {
        pid_t pid = waitpid(-1, &status, 0);
        if (pid == command)
            _exit(status_to_exit(status));
        if (pid < 0 && errno != EINTR)
            _exit(NO_NAMESPACE);
    }
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

/* The shim where namespaces are refused: a subreaper that hears of bv's end and then kills whatever
 * it has become the parent of. */
static _Noreturn void be_subreaper(char **argv, const struct bv_stack *stack, pid_t parent)
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

/* Tried apart first: a namespace that cannot have its own /proc is worse than none. */
static bool can_settle(int flags, bool user_namespace)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        _exit(settle(user_namespace, uid, gid) ? 0 : 1);
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static pid_t start_command(char **argv, const struct bv_stack *stack)
{
    const bool user_namespace = geteuid() != 0;
    const int flags = CLONE_NEWPID | CLONE_NEWNS | (user_namespace ? CLONE_NEWUSER : 0);
    uid_t uid = geteuid();
    gid_t gid = getegid();
    const char *refused = getenv("BV_NO_NAMESPACES");
    if (!(refused && *refused == '1') && can_settle(flags, user_namespace)) {
        pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0)
            be_shim(argv, stack, user_namespace, uid, gid, 0);
        return pid;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        be_subreaper(argv, stack, parent);
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
    struct cli_progress progress = {0};
    const bool quiet = line.values[FLAG_QUIET] != NULL;
    const volatile int *interrupted = cli_catch_interrupts();
    struct bv_stack_spec spec = {
        .wanted = wanted,
        .wanted_count = wanted_parts(&line, wanted),
        .life = BV_STACK_FOREGROUND,
        .durability = line.values[FLAG_DURABLE] ? BV_STACK_DURABLE : BV_STACK_EPHEMERAL,
        .bin_dir = line.values[FLAG_BIN_DIR],
        .log_level = line.values[FLAG_LOG_LEVEL],
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
    if (bv_stack_down(&stack, &error) < 0)
        return cli_fault(&error);
    return status;
}
