/* A stack leaves nothing behind, however it ends: each rule once with the supervisor as PID 1 of a
 * namespace, once as a subreaper. The tests start stacks of their own through build/bin/bv, in a
 * run folder of their own. */
#include "stack.h"

#include "bv/fs.h"
#include "bv/probe.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <unistd.h>

enum { GONE_MS = 8000, OUTPUT_BYTES = 1 << 20 };

static char bv[BV_PATH_MAX];
static char run_root[64];

/* Outlives the test by a moment and takes down what a failed or crashed one left running. */
static void start_guard(void)
{
    int life[2];
    cr_assert_eq(pipe2(life, O_CLOEXEC), 0);
    pid_t middle = fork();
    if (middle == 0) {
        if (fork() != 0)
            _exit(0);
        setsid();
        close(life[1]);
        char byte;
        (void)!read(life[0], &byte, 1); /* end of file: the test is over */
        if (access(run_root, F_OK) < 0)
            _exit(0);
        pid_t pid = fork();
        if (pid == 0)
            execl(bv, "bv", "down", "--all", (char *)NULL);
        waitpid(pid, NULL, 0);
        (void)!bv_fs_remove_tree(run_root, NULL);
        _exit(0);
    }
    waitpid(middle, NULL, 0);
    close(life[0]); /* life[1] stays open for as long as the test lives */
}

static void setup(const char *no_namespaces)
{
    char tests[BV_PATH_MAX];
    struct bv_error error = {0};
    cr_assert_eq(bv_stack_bin_dir(tests, sizeof tests, &error), 0, "%s", error.text);
    cr_assert_eq(bv_path(bv, &error, "%s/../bin/bv", tests), 0);
    cr_assert_eq(access(bv, X_OK), 0, "%s is not built", bv);
    snprintf(run_root, sizeof run_root, "/tmp/bvt-XXXXXX");
    cr_assert_not_null(mkdtemp(run_root));
    chmod(run_root, 0711);
    setenv("BV_RUN", run_root, 1);
    setenv("BV_NO_NAMESPACES", no_namespaces, 1);
    start_guard();
}

static pid_t start(const char *output, char *const *argv)
{
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        dup2(fd, 1);
        dup2(fd, 2);
        setpgid(0, 0);
        execv(bv, argv);
        _exit(99);
    }
    return pid;
}

static int await_exit(pid_t pid)
{
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Runs bv with these words; its output is in text (static). */
static char text[OUTPUT_BYTES];
static void read_output(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    close(fd);
}
static int bv_run_words(const char *words)
{
    char copy[512], output[128], *argv[24] = {bv};
    snprintf(copy, sizeof copy, "%s", words);
    size_t count = 1;
    for (char *save = NULL, *word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save))
        argv[count++] = word;
    snprintf(output, sizeof output, "%s/output", run_root);
    int status = await_exit(start(output, argv));
    read_output(output);
    return status;
}

static bool names_folder(const char *pid, const char *what)
{
    static char content[65536];
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, what);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, content, sizeof content);
    if (fd >= 0)
        close(fd);
    return n > 0 && memmem(content, (size_t)n, run_root, strlen(run_root));
}

/* Processes of our stacks, zombies aside. PostgreSQL and Redis write over their environment, but
 * stay in a folder of ours. */
static int processes(void)
{
    int count = 0;
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        const char *pid = entry->d_name;
        char folder_of[BV_PATH_MAX], path[300];
        snprintf(path, sizeof path, "/proc/%s/cwd", pid);
        ssize_t n = readlink(path, folder_of, sizeof folder_of);
        if (pid[0] < '1' || pid[0] > '9' || atol(pid) == getpid())
            continue;
        if ((n > 0 && memmem(folder_of, (size_t)n, run_root, strlen(run_root))) ||
            names_folder(pid, "environ"))
            count++;
    }
    closedir(folder);
    return count;
}

static bool within(bool (*holds)(void), int64_t limit_ms)
{
    for (int64_t ends_ms = bv_now_ms() + limit_ms; bv_now_ms() < ends_ms; bv_retry_pause())
        if (holds())
            return true;
    return holds();
}

static uint16_t ports[16];
static size_t port_count;
static void remember_ports(const char *name)
{
    struct bv_stack *stack = NULL;
    struct bv_error error = {0};
    cr_assert_eq(bv_stack_open(name, &stack, &error), 0, "%s", error.text);
    for (size_t i = 0; i < bv_stack_count(stack); i++)
        if (bv_stack_at(stack, i)->port)
            ports[port_count++] = (uint16_t)bv_stack_at(stack, i)->port;
    bv_stack_close(&stack);
}

static bool nothing_left(void)
{
    for (size_t i = 0; i < port_count; i++)
        if (!bv_port_free(ports[i]))
            return false;
    return processes() == 0;
}

static void assert_nothing_left(void)
{
    cr_assert(within(nothing_left, GONE_MS),
              "%d processes or a port of %s are left",
              processes(),
              run_root);
    cr_assert_eq(bv_fs_remove_tree(run_root, NULL), 0);
}

static long supervisor_of(const char *name)
{
    struct bv_stack *stack = NULL;
    cr_assert_eq(bv_stack_open(name, &stack, NULL), 0);
    long pid = (long)bv_json_int(bv_json_get(bv_stack_json(stack), "supervisor_pid"), 0);
    bv_stack_close(&stack);
    return pid;
}

static long part_pid(const char *stack_name, const char *part)
{
    struct bv_stack *stack = NULL;
    cr_assert_eq(bv_stack_open(stack_name, &stack, NULL), 0);
    long pid = bv_stack_find(stack, part)->pid;
    bv_stack_close(&stack);
    return pid;
}

/* Every rule twice: "0" with namespaces where they are allowed, "1" without. */
static int ways[] = {0, 1};
#define RULE(name)                                                                                 \
    static void name(void);                                                                        \
    ParameterizedTestParameters(stack, name)                                                       \
    {                                                                                              \
        return cr_make_param_array(int, ways, BV_COUNT(ways));                                     \
    }                                                                                              \
    ParameterizedTest(int *way, stack, name, .timeout = 120)                                       \
    {                                                                                              \
        setup(*way ? "1" : "0");                                                                   \
        name();                                                                                    \
    }                                                                                              \
    static void name(void)

RULE(up_serves_and_down_leaves_nothing)
{
    cr_assert_eq(bv_run_words("up postgres redis kafka"), 0, "%s", text);
    cr_assert_not_null(strstr(text, "ready in"), "%s", text);
    remember_ports("default");
    cr_assert_eq(bv_run_words("status"), 0, "%s", text);
    cr_assert_geq(processes(), 4);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    cr_assert_eq(bv_run_words("status"), 2, "%s", text);
    assert_nothing_left();
}

RULE(kill_9_of_the_supervisor_ends_all)
{
    cr_assert_eq(bv_run_words("up postgres redis kafka"), 0, "%s", text);
    remember_ports("default");
    kill((pid_t)supervisor_of("default"), SIGKILL);
    cr_assert(within(nothing_left, GONE_MS), "%d processes are left", processes());
    cr_assert_eq(bv_run_words("status"), 2, "%s", text);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    cr_assert_eq(bv_run_words("up redis"), 0, "%s", text);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    assert_nothing_left();
}

static bool exec_has_begun(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/begun", run_root);
    return access(path, F_OK) == 0;
}

RULE(kill_9_of_exec_ends_servers_and_command)
{
    char begun[96], output[96];
    snprintf(begun, sizeof begun, "touch %s/begun; sleep 1000", run_root);
    snprintf(output, sizeof output, "%s/output", run_root);
    char *argv[] = {bv, "exec", "--servers", "postgres,redis", "--", "sh", "-c", begun, NULL};
    pid_t pid = start(output, argv);
    cr_assert(within(exec_has_begun, 60000));
    cr_assert_geq(processes(), 3);
    kill(pid, SIGKILL);
    await_exit(pid);
    assert_nothing_left();
}

RULE(sigterm_to_exec_ends_servers_and_command)
{
    char begun[96], output[96];
    snprintf(begun, sizeof begun, "touch %s/begun; sleep 1000", run_root);
    snprintf(output, sizeof output, "%s/output", run_root);
    char *argv[] = {bv, "exec", "--servers", "redis", "--", "sh", "-c", begun, NULL};
    pid_t pid = start(output, argv);
    cr_assert(within(exec_has_begun, 60000));
    kill(pid, SIGTERM);
    cr_assert_eq(await_exit(pid), 143);
    assert_nothing_left();
}

RULE(a_killed_server_is_shown_and_not_restarted)
{
    cr_assert_eq(bv_run_words("up postgres redis"), 0, "%s", text);
    remember_ports("default");
    kill((pid_t)part_pid("default", "redis"), SIGKILL);
    struct bv_stack *stack = NULL;
    struct bv_error error = {0};
    cr_assert_eq(bv_stack_open(NULL, &stack, &error), 0);
    for (int64_t ends_ms = bv_now_ms() + GONE_MS;
         bv_stack_check(stack, &error) == 0 && bv_now_ms() < ends_ms;)
        bv_retry_pause();
    cr_assert_not_null(strstr(error.text, "redis: killed by signal 9"), "%s", error.text);
    bv_stack_close(&stack);
    cr_assert_eq(bv_run_words("status"), 1, "%s", text);
    cr_assert_not_null(strstr(text, "DOWN: killed by signal 9"), "%s", text);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    assert_nothing_left();
}

/* Waits until the service is ready under another process; its new pid, 0 when that never comes. */
static int await_successor(struct bv_stack *stack, const char *service, int before)
{
    const struct bv_stack_part *part = bv_stack_find(stack, service);
    for (int64_t ends_ms = bv_now_ms() + GONE_MS; bv_now_ms() < ends_ms; bv_retry_pause())
        if (bv_stack_refresh(stack, NULL) == 0 && strcmp(part->state, "ready") == 0 &&
            part->pid != before)
            return part->pid;
    return 0;
}

RULE(a_killed_service_starts_again_where_that_was_asked_for)
{
    struct bv_stack *stack = NULL;
    struct bv_error error = {0};
    cr_assert_eq(bv_run_words("up auth --restart"), 0, "%s", text);
    remember_ports("default");
    cr_assert_eq(bv_stack_open(NULL, &stack, &error), 0, "%s", error.text);
    const struct bv_stack_part *part = bv_stack_find(stack, "auth");
    const int port = part->port;
    for (int i = 0; i < 3; i++) {
        const int before = part->pid;
        kill(before, SIGKILL);
        cr_assert_gt(await_successor(stack, "auth", before), 0, "it stays %s", part->state);
        cr_assert_eq(part->port, port);
    }
    cr_assert_eq(bv_stack_check(stack, &error), 0, "%s", error.text);
    bv_stack_close(&stack);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    assert_nothing_left();
}

RULE(a_service_is_restarted_by_hand)
{
    cr_assert_eq(bv_run_words("up auth"), 0, "%s", text);
    remember_ports("default");
    const long first = part_pid("default", "auth");
    cr_assert_eq(bv_run_words("restart auth"), 0, "%s", text);
    cr_assert_eq(bv_run_words("restart auth --kill"), 0, "%s", text);
    cr_assert_null(strstr(text, "process 0"), "%s", text);
    struct bv_stack *stack = NULL;
    cr_assert_eq(bv_stack_open(NULL, &stack, NULL), 0);
    cr_assert_gt(await_successor(stack, "auth", (int)first), 0);
    bv_stack_close(&stack);
    cr_assert_eq(bv_run_words("restart auht"), 2);
    cr_assert_not_null(strstr(text, "did you mean 'auth'"), "%s", text);
    cr_assert_eq(bv_run_words("restart redis"), 2);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    assert_nothing_left();
}

static bool a_server_runs(void)
{
    return processes() >= 3; /* bv, supervisor, at least one server */
}

RULE(ctrl_c_while_booting_stops_all)
{
    char output[96];
    snprintf(output, sizeof output, "%s/output", run_root);
    char *argv[] = {bv, "up", "kafka", "redis", NULL};
    pid_t pid = start(output, argv);
    cr_assert(within(a_server_runs, 20000));
    kill(-pid, SIGINT); /* what a terminal does */
    cr_assert_eq(await_exit(pid), 2);
    read_output(output);
    cr_assert_not_null(strstr(text, "stopped while it booted"), "%s", text);
    assert_nothing_left();
}

RULE(kill_9_while_booting_stops_all)
{
    char output[96];
    snprintf(output, sizeof output, "%s/output", run_root);
    char *argv[] = {bv, "up", "kafka", "redis", NULL};
    pid_t pid = start(output, argv);
    cr_assert(within(a_server_runs, 20000));
    kill(pid, SIGKILL);
    await_exit(pid);
    assert_nothing_left();
}

RULE(two_stacks_run_side_by_side)
{
    cr_assert_eq(bv_run_words("up redis postgres --name east"), 0, "%s", text);
    cr_assert_eq(bv_run_words("up redis postgres --name west"), 0, "%s", text);
    cr_assert_eq(bv_run_words("up redis --name west"), 2, "%s", text);
    cr_assert_not_null(strstr(text, "running already"), "%s", text);
    remember_ports("east");
    remember_ports("west");
    cr_assert_eq(bv_run_words("down --name east"), 0, "%s", text);
    cr_assert_eq(bv_run_words("status --name west"), 0, "%s", text);
    cr_assert_eq(bv_run_words("down --all"), 0, "%s", text);
    assert_nothing_left();
}

/* Cleaners of /tmp remove sockets, too. */
RULE(down_ends_a_stack_whose_socket_was_removed)
{
    char path[BV_PATH_MAX];
    cr_assert_eq(bv_run_words("up redis"), 0, "%s", text);
    remember_ports("default");
    cr_assert_eq(bv_path(path, NULL, "%s/default/control", run_root), 0);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(bv_run_words("status"), 2, "%s", text);
    cr_assert_not_null(strstr(text, "its socket was removed (bv down"), "%s", text);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    assert_nothing_left();
}

RULE(a_dead_stack_is_called_dead_and_down_all_removes_it)
{
    char path[BV_PATH_MAX];
    cr_assert_eq(bv_run_words("up redis --name east"), 0, "%s", text);
    kill((pid_t)supervisor_of("east"), SIGKILL);
    cr_assert(within(nothing_left, GONE_MS), "%d processes are left", processes());
    cr_assert_eq(bv_run_words("status --name east"), 2, "%s", text);
    cr_assert_not_null(strstr(text, "stack 'east' is dead: bv logs --name east"), "%s", text);
    cr_assert_eq(bv_run_words("down --all"), 0, "%s", text);
    cr_assert_eq(bv_path(path, NULL, "%s/east", run_root), 0);
    cr_assert_lt(access(path, F_OK), 0, "%s stays", path);
    assert_nothing_left();
}

RULE(exec_passes_on_the_exit_status)
{
    cr_assert_eq(bv_run_words("exec --servers redis -- sh -c exit\t7"), 7, "%s", text);
    cr_assert_eq(bv_run_words("exec --servers redis -- false"), 1, "%s", text);
    cr_assert_eq(bv_run_words("exec --servers redis -- /no/such/program"), 127, "%s", text);
    cr_assert_eq(bv_run_words("exec --servers redis -- printenv BV_TEST_REDIS_URL"), 0, "%s", text);
    cr_assert_not_null(strstr(text, "redis://127.0.0.1:"), "%s", text);
    assert_nothing_left();
}

Test(stack, a_taken_fixed_port_is_named, .timeout = 60)
{
    setup("0");
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(17379), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0);
    cr_assert_eq(bv_run_words("up redis --fixed-ports"), 2, "%s", text);
    cr_assert_not_null(strstr(text, "port 17379 of redis is taken"), "%s", text);
    close(fd);
    assert_nothing_left();
}

Test(stack, missing_java_is_named_before_anything_starts, .timeout = 60)
{
    setup("0");
    setenv("PATH", "/nonexistent", 1);
    unsetenv("JAVA_HOME");
    cr_assert_eq(bv_run_words("up kafka"), 2, "%s", text);
    cr_assert_not_null(strstr(text, "java is not installed"), "%s", text);
    assert_nothing_left();
}

/* Programs of a platform that misbehaves, as shell scripts. */
static void make_program(const char *name, const char *script)
{
    char path[128];
    struct bv_error error = {0};
    snprintf(path, sizeof path, "%s/programs", run_root);
    cr_assert_eq(bv_fs_mkdirs(path, 0755, &error), 0, "%s", error.text);
    snprintf(path, sizeof path, "%s/programs/%s", run_root, name);
    cr_assert_eq(bv_fs_write(path, bv_bytes_of(script), 0755, &error), 0, "%s", error.text);
}

Test(stack, a_service_that_dies_fails_the_boot_with_its_log, .timeout = 60)
{
    char words[200];
    setup("0");
    make_program("infra-service", "#!/bin/sh\nexit 0\n");
    make_program(
        "auth",
        "#!/bin/sh\n[ \"$1\" = --describe ] && echo '{}' && exit\necho no keys today\nexit 3\n");
    snprintf(words, sizeof words, "up auth --bin-dir %s/programs", run_root);
    cr_assert_eq(bv_run_words(words), 2, "%s", text);
    cr_assert_not_null(strstr(text, "auth ended with exit 3"), "%s", text);
    cr_assert_not_null(strstr(text, "no keys today"), "%s", text);
    assert_nothing_left();
}

Test(stack, a_service_that_never_gets_ready_fails_the_boot_in_time, .timeout = 60)
{
    char words[200];
    setup("0");
    make_program("infra-service", "#!/bin/sh\nexit 0\n");
    make_program("auth",
                 "#!/bin/sh\n[ \"$1\" = --describe ] && echo '{}' && exit\ntrap '' TERM\nwhile :; "
                 "do sleep 1; done\n");
    snprintf(words, sizeof words, "up auth --boot-seconds 3 --bin-dir %s/programs", run_root);
    cr_assert_eq(bv_run_words(words), 2, "%s", text);
    cr_assert_not_null(strstr(text, "not ready"), "%s", text);
    assert_nothing_left();
}

Test(stack, a_lost_race_for_a_port_is_run_again, .timeout = 60)
{
    char words[200];
    setup("0");
    make_program("infra-service", "#!/bin/sh\nexit 0\n");
    /* the first start finds its port taken: by a thief that it hires itself; the second thief
     * answers nothing, so readiness never comes: what counts is the retry */
    make_program(
        "auth",
        "#!/bin/sh\n[ \"$1\" = --describe ] && echo '{}' && exit\n"
        "if [ ! -e $HOME/stolen ]; then touch $HOME/stolen\n"
        "setsid redis-server --save '' --port $BV_HTTP_PORT --bind 127.0.0.1 >/dev/null &\n"
        "while ! redis-cli -p $BV_HTTP_PORT ping >/dev/null 2>&1; do :; done; exit 1; fi\n"
        "exec sleep 100\n");
    snprintf(words, sizeof words, "up auth --boot-seconds 10 --bin-dir %s/programs", run_root);
    cr_assert_eq(bv_run_words(words), 2, "%s", text);
    cr_assert_not_null(strstr(text, "its port was taken"), "%s", text);
    cr_assert_not_null(strstr(text, "not ready"), "%s", text);
    assert_nothing_left();
}

Test(stack, a_program_may_own_stacks_itself, .timeout = 60)
{
    setup("0");
    const char *const wanted[] = {"redis"};
    const struct bv_stack_spec spec = {.wanted = wanted, .wanted_count = 1};
    struct bv_stack *first = NULL, *second = NULL;
    struct bv_error error = {0};
    cr_assert_eq(bv_stack_up(&spec, &first, &error), 0, "%s", error.text);
    cr_assert_eq(bv_stack_up(&spec, &second, &error), 0, "%s", error.text);
    cr_assert_str_neq(bv_stack_env(first, "BV_REDIS_URL"), bv_stack_env(second, "BV_REDIS_URL"));
    cr_assert_null(bv_stack_env(first, "BV_REDIS"), "no prefix of a name");
    cr_assert_eq(access(bv_stack_json_path(first), R_OK), 0);
    cr_assert_eq(access(bv_stack_log(first, "redis"), R_OK), 0);
    cr_assert_null(bv_stack_service_url(first, "order"));
    remember_ports(bv_stack_name(first));
    remember_ports(bv_stack_name(second));
    cr_assert_eq(bv_stack_check(first, &error), 0, "%s", error.text);
    cr_assert_eq(bv_stack_down(&first, &error), 0, "%s", error.text);
    cr_assert_eq(bv_stack_check(second, &error), 0, "%s", error.text);
    cr_assert_eq(bv_stack_down(&second, &error), 0, "%s", error.text);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "no child is left, not even a zombie");
    assert_nothing_left();
}

/* The second supervisor is forked while the first one's lifeline is open: it must not hold it. */
Test(stack, stacks_of_one_program_do_not_hold_each_others_lifeline, .timeout = 60)
{
    setup("0");
    int told[2];
    char byte;
    cr_assert_eq(pipe(told), 0);
    pid_t owner = fork();
    if (owner == 0) {
        const char *const wanted[] = {"redis"};
        const struct bv_stack_spec spec = {.wanted = wanted, .wanted_count = 1};
        struct bv_stack *first = NULL, *second = NULL;
        struct bv_error error = {0};
        if (bv_stack_up(&spec, &first, &error) == 0 && bv_stack_up(&spec, &second, &error) == 0)
            (void)!write(told[1], "x", 1);
        pause();
    }
    close(told[1]);
    cr_assert_eq(read(told[0], &byte, 1), 1);
    cr_assert_geq(processes(), 2);
    kill(owner, SIGKILL);
    waitpid(owner, NULL, 0);
    assert_nothing_left();
}

Test(stack, commits_are_synchronous_always_and_fsync_is_off_only_without_durable, .timeout = 60)
{
    static const struct {
        const char *words;
        const char *says;
    } rows[] = {
        {"exec -q --servers postgres --",           "fsync=off full_page_writes=off synchronous_commit=on"},
        {"exec -q --durable --servers postgres --",
         "fsync=on full_page_writes=on synchronous_commit=on"                                             },
    };
    setup("0");
    make_program("ask",
                 "#!/bin/sh\nfor s in fsync full_page_writes synchronous_commit; do\n"
                 "printf '%s=%s ' $s $(psql $BV_TEST_PG_URL -XAtc \"show $s\"); done\n");
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        char words[200];
        snprintf(words, sizeof words, "%s %s/programs/ask", rows[i].words, run_root);
        cr_assert_eq(bv_run_words(words), 0, "%s", text);
        cr_expect_not_null(strstr(text, rows[i].says), "%s", text);
    }
    assert_nothing_left();
}

Test(stack, what_was_not_built_is_named, .timeout = 60)
{
    char words[200];
    setup("0");
    snprintf(words, sizeof words, "up auth --bin-dir %s", run_root);
    cr_assert_eq(bv_run_words(words), 2, "%s", text);
    cr_assert_not_null(strstr(text, "infra-service is not built"), "%s", text);
    assert_nothing_left();
}

Test(stack, secrets_lie_in_files_of_the_owner_only, .timeout = 60)
{
    char path[128];
    struct stat st;
    setup("0");
    cr_assert_eq(bv_run_words("up redis"), 0, "%s", text);
    snprintf(path, sizeof path, "%s/default/env/stack.env", run_root);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    snprintf(path, sizeof path, "%s/default/env", run_root);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0700);
    snprintf(path, sizeof path, "%s/default/control", run_root);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    assert_nothing_left();
}

Test(stack, settings_reach_the_service_they_name, .timeout = 60)
{
    char words[300];
    setup("0");
    make_program("infra-service", "#!/bin/sh\nexit 0\n");
    make_program("auth",
                 "#!/bin/sh\n[ \"$1\" = --describe ] && echo '{}' && exit\n"
                 "echo level=$BV_LOG_LEVEL ttl=$BV_ACCESS_TTL sweep=$BV_SWEEP_AGE.\nexit 3\n");
    snprintf(
        words,
        sizeof words,
        "up auth --bin-dir %s/programs --set "
        "all.BV_ACCESS_TTL=1m,auth.BV_LOG_LEVEL=debug,order.BV_SWEEP_AGE=9s,auth.BV_ACCESS_TTL=2m",
        run_root);
    cr_assert_eq(bv_run_words(words), 2, "%s", text);
    cr_assert_not_null(strstr(text, "level=debug ttl=2m sweep=."), "%s", text);
    cr_assert_eq(bv_run_words("up auth --set auth.BV_ACCESS_TLT=1m"), 2, "%s", text);
    cr_assert_not_null(
        strstr(text, "auth has no option BV_ACCESS_TLT: did you mean BV_ACCESS_TTL?"), "%s", text);
    cr_assert_eq(bv_run_words("up redis --set ordr.BV_X=1"), 2, "%s", text);
    cr_assert_not_null(strstr(text, "'ordr' is no service"), "%s", text);
    cr_assert_eq(bv_run_words("up redis --set order.PATH=1"), 2, "%s", text);
    assert_nothing_left();
}

Test(stack, a_foreign_folder_is_never_removed, .timeout = 60)
{
    char path[BV_PATH_MAX];
    setup("0");
    cr_assert_eq(bv_path(path, NULL, "%s/src", run_root), 0);
    cr_assert_eq(mkdir(path, 0755), 0);
    cr_assert_eq(bv_path(path, NULL, "%s/src/main.c", run_root), 0);
    cr_assert_eq(bv_fs_write(path, bv_bytes_of("int x;"), 0644, NULL), 0);
    const char *const words[] = {"up redis --name src", "down --name src", "down --all"};
    static const int statuses[] = {2, 2, 0};
    for (size_t i = 0; i < BV_COUNT(words); i++) {
        cr_assert_eq(bv_run_words(words[i]), statuses[i], "bv %s: %s", words[i], text);
        cr_assert_eq(access(path, F_OK), 0, "bv %s has removed %s", words[i], path);
    }
    cr_assert_eq(bv_run_words("up redis --name src"), 2);
    cr_assert_not_null(strstr(text, "is no folder of a stack"), "%s", text);
    assert_nothing_left();
}

Test(stack, a_damaged_description_is_named_and_down_still_works, .timeout = 60)
{
    char path[BV_PATH_MAX];
    setup("0");
    cr_assert_eq(bv_run_words("up redis"), 0, "%s", text);
    cr_assert_eq(bv_path(path, NULL, "%s/default/stack.json", run_root), 0);
    cr_assert_eq(bv_fs_write(path, bv_bytes_of("{"), 0644, NULL), 0);
    cr_assert_eq(bv_run_words("status"), 2, "%s", text);
    cr_assert_not_null(strstr(text, "damaged"), "%s", text);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    assert_nothing_left();
}

/* The longest run folder that a socket's address can hold, one byte more, and a relative one. */
Test(stack, the_run_folder_may_be_as_long_as_a_socket_allows_and_relative, .timeout = 60)
{
    char root[BV_PATH_MAX];
    setup("0");
    const int room = 107 - (int)strlen("/control") - (int)strlen(run_root) - (int)strlen("//s");
    for (int more = 0; more <= 1; more++) {
        snprintf(root, sizeof root, "%s/%0*d", run_root, room + more, 0);
        setenv("BV_RUN", root, 1);
        cr_assert_eq(bv_run_words("up redis --name s"), more ? 2 : 0, "%s", text);
        cr_assert_eq(!more, !strstr(text, "too long for a socket, 100 bytes instead of 99"));
        cr_assert_eq(bv_run_words("down --name s"), 0, "%s", text);
    }
    cr_assert_eq(chdir(run_root), 0);
    setenv("BV_RUN", "here", 1);
    cr_assert_eq(bv_run_words("exec --servers redis -- true"), 0, "%s", text);
    assert_nothing_left();
}

Test(stack, standard_files_may_be_closed, .timeout = 60)
{
    setup("0");
    char *up[] = {bv, "up", "redis", NULL};
    pid_t pid = fork();
    if (pid == 0) {
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        execv(bv, up);
        _exit(99);
    }
    cr_assert_eq(await_exit(pid), 0);
    cr_assert_eq(bv_run_words("status"), 0, "%s", text);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    assert_nothing_left();
}

Test(stack, what_cannot_be_printed_is_no_success, .timeout = 60)
{
    setup("0");
    char *help[] = {bv, "help", NULL};
    cr_assert_eq(await_exit(start("/dev/full", help)), 2);
    assert_nothing_left();
}

Test(stack, wrong_words_are_named_before_anything_starts, .timeout = 60)
{
    static const struct {
        const char *words;
        const char *told;
    } rows[] = {
        {"up auth --log-level wran",          "did you mean 'warn'?"                                },
        {"up auth --otlp-url collector:4318", "is no URL of a trace collector"                      },
        {"up auth --set auht.BV_X=1",         "did you mean 'auth'"                                 },
        {"exec --servers , -- true",          "name a server or a service"                          },
        {"status order",                      "status: what is 'order'?"                            },
        {"doctor now",                        "doctor: what is 'now'?"                              },
        {"status --jsn",                      "bv: status: no option '--jsn': did you mean '--json'"},
        {"logs --lines=-1",                   "from 0 to"                                           },
    };
    setup("0");
    for (size_t i = 0; i < BV_COUNT(rows); i++) {
        cr_expect_eq(bv_run_words(rows[i].words), 2, "bv %s: %s", rows[i].words, text);
        cr_expect_not_null(strstr(text, rows[i].told), "bv %s: %s", rows[i].words, text);
        cr_expect_null(strstr(text, "starting"), "bv %s: %s", rows[i].words, text);
    }
    assert_nothing_left();
}

Test(stack, a_log_that_is_not_there_is_named_with_the_nearest, .timeout = 60)
{
    setup("0");
    cr_assert_eq(bv_run_words("up redis"), 0, "%s", text);
    cr_assert_eq(bv_run_words("logs redis"), 0, "%s", text);
    cr_assert_eq(bv_run_words("logs redis redsi"), 2, "%s", text);
    cr_assert_not_null(strstr(text, "no log of 'redsi' here: did you mean 'redis'?"), "%s", text);
    cr_assert_eq(bv_run_words("down"), 0, "%s", text);
    assert_nothing_left();
}

/* Runs a story whose last step lasts two seconds, and kills a process of its stack meanwhile; the
 * exit status, with the output in text. */
static int story_killed(const char *actor, long (*victim)(const char *stack_name))
{
    char path[BV_PATH_MAX], story[512], output[BV_PATH_MAX], results[BV_PATH_MAX];
    char **names = NULL;
    size_t count = 0;
    snprintf(story,
             sizeof story,
             "Feature: f\n  Scenario: s\n    Given actor x is %s\n"
             "    And actor partner is webhook listening at \"/hook\"\n"
             "    Then never within 2s partner receives\n",
             actor);
    cr_assert_eq(bv_path(path, NULL, "%s/s.feature", run_root), 0);
    cr_assert_eq(bv_path(output, NULL, "%s/output", run_root), 0);
    cr_assert_eq(bv_path(results, NULL, "%s/results", run_root), 0);
    cr_assert_eq(bv_fs_write(path, bv_bytes_of(story), 0644, NULL), 0);
    char *argv[] = {bv, "scenario", path, "--out", results, NULL};
    pid_t pid = start(output, argv);
    for (int64_t ends_ms = bv_now_ms() + 60000; bv_now_ms() < ends_ms; bv_retry_pause()) {
        struct bv_stack *stack = NULL;
        free(names);
        cr_assert_eq(bv_stack_list(&names, &count, NULL), 0);
        if (count == 1 && bv_stack_open(names[0], &stack, NULL) == 0) {
            bv_stack_close(&stack);
            break;
        }
    }
    cr_assert_eq(count, 1);
    kill((pid_t)victim(names[0]), SIGKILL);
    free(names);
    int status = await_exit(pid);
    read_output(output);
    return status;
}

static long auth_of(const char *name)
{
    return part_pid(name, "auth");
}

Test(stack, a_story_whose_supervisor_is_killed_is_the_labs_failure, .timeout = 90)
{
    setup("0");
    cr_assert_eq(story_killed("rest at auth", supervisor_of), 2, "%s", text);
    cr_assert_not_null(strstr(text, "the supervisor of stack"), "%s", text);
    cr_assert_eq(bv_run_words("down --all"), 0, "%s", text);
    assert_nothing_left();
}

Test(stack, a_story_whose_service_is_killed_is_red_and_names_a_log_that_stays, .timeout = 90)
{
    char log[BV_PATH_MAX];
    setup("0");
    cr_assert_eq(story_killed("rest at auth", auth_of), 1, "%s", text);
    cr_assert_eq(bv_path(log, NULL, "%s/results/logs/auth.log", run_root), 0);
    cr_assert_not_null(strstr(text, log), "%s", text);
    cr_assert_eq(access(log, R_OK), 0);
    assert_nothing_left();
}

/* Root's servers are another user's, who must get into what a careful root creates. */
Test(stack, a_umask_that_hides_all_hides_nothing_from_the_servers, .timeout = 60)
{
    char root[BV_PATH_MAX];
    setup("0");
    snprintf(root, sizeof root, "%s/fresh", run_root);
    setenv("BV_RUN", root, 1);
    umask(077);
    cr_assert_eq(bv_run_words("exec --servers postgres -- true"), 0, "%s", text);
    cr_assert_eq(chmod(root, 0700), 0);
    cr_assert_eq(bv_run_words("exec --servers postgres -- true"), geteuid() == 0 ? 2 : 0);
    cr_assert_eq(geteuid() == 0, strstr(text, "cannot be entered by uid") != NULL, "%s", text);
    assert_nothing_left();
}
