#include "stack_supervisor.h"

#include "stack_services.h"

#include "bv/probe.h"
#include "bv/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 8,
    STARTS_MAX = 3,    /* of one unit: the first and two with fresh ports */
    FAILURES_MAX = 20, /* restarts in a row that end before they are ready */
    KILLED_MS = 2000,
    FILES_WANTED = 65536,
};
enum phase { BOOTING, UP, STOPPING_SERVICES, STOPPING_SERVERS, KILLING, DONE };

struct supervisor {
    struct stack_world *world; /* borrowed: lives as long as the process */
    int channel;               /* -1: closed */
    int control;
    int signals;
    struct {
        int fd; /* 0: free */
        bool listens;
    } clients[CLIENTS_MAX];
    enum phase phase;
    int64_t phase_ends_ms;
    bool failed;     /* the boot failed: keep the logs */
    bool restarting; /* services start again because one of them got other ports */
    const char *isolation;
    pid_t shown_pid;
};

/* ---- telling ---- */

static void emit(struct supervisor *s, const char *part, const char *state, const char *text)
{
    char packet[STACK_PACKET_BYTES];
    int64_t ms = bv_now_ms() - s->world->began_ms;
    int size =
        snprintf(packet, sizeof packet, "%s\t%s\t%lld\t%s", part, state, (long long)ms, text);
    if (size >= (int)sizeof packet)
        size = (int)sizeof packet - 1;
    /* a full or closed socket must never hold the supervisor: who does not read misses events */
    if (s->channel >= 0)
        send(s->channel, packet, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (s->clients[i].fd > 0 && s->clients[i].listens)
            send(s->clients[i].fd, packet, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    fprintf(
        stderr, "%6lld ms  %-16s %-9s %s\n", (long long)ms, part[0] ? part : "stack", state, text);
    fflush(stderr);
}

static void begin_stop(struct supervisor *s);

static void fail_boot(struct supervisor *s, const char *part, const char *text)
{
    if (s->phase == UP)
        emit(s, part, "failed", text);
    if (s->phase != BOOTING)
        return;
    s->failed = true;
    emit(s, part, "failed", text);
    begin_stop(s);
}

/* ---- tasks ---- */

struct task {
    const struct stack_world *world;
    const struct stack_unit *unit;
    int64_t deadline_ms;
};

static int run_prepare(void *argument, struct bv_error *error)
{
    const struct task *task = argument;
    return task->unit->row->ops->prepare(task->world, task->unit, error);
}

static int run_ready(void *argument, struct bv_error *error)
{
    const struct task *task = argument;
    return task->unit->row->ops->ready(task->world, task->unit, task->deadline_ms, error);
}

static void
start_task(struct supervisor *s, struct stack_unit *unit, int (*run)(void *, struct bv_error *))
{
    int64_t since_ms = s->phase == BOOTING ? s->world->began_ms : bv_now_ms();
    struct task task = {s->world, unit, since_ms + s->world->boot_ms_max};
    struct bv_error error = {0};
    if (bv_task_start(run, &task, geteuid(), getegid(), &unit->task_pid, &unit->task_fd, &error) <
        0)
        fail_boot(s, unit->name, error.text);
}

static void end_task(struct stack_unit *unit)
{
    if (unit->task_pid)
        kill(unit->task_pid, SIGKILL);
    if (unit->task_fd >= 0)
        close(unit->task_fd);
    unit->task_pid = 0;
    unit->task_fd = -1;
}

/* ---- units ---- */

static void start_process(struct supervisor *s, struct stack_unit *unit)
{
    struct bv_error error = {0};
    struct stack_command cmd;
    char path[BV_PATH_MAX];
    int log = -1;
    int rc = stack_command_init(&cmd, s->world, &error);
    if (rc == 0)
        rc = unit->row->ops->command(s->world, unit, &cmd, &error);
    if (rc == 0 && cmd.failed)
        rc = bv_fail(&error, BV_E_LIMIT, "command line of %s is too long", unit->name);
    if (rc == 0)
        rc = bv_path(path, &error, "%s/log/%s.log", s->world->run, unit->name);
    if (rc == 0 && (log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) < 0)
        rc = bv_fail(&error, BV_E_IO, "cannot write %s: %s", path, strerror(errno));
    const struct bv_spawn spawn = {.argv = cmd.argv,
                                   .env = cmd.env,
                                   .folder = "/",
                                   .in_fd = -1,
                                   .out_fd = log,
                                   .uid = s->world->uid,
                                   .gid = s->world->gid};
    if (rc == 0)
        rc = bv_spawn(&spawn, &unit->pid, &unit->shown_pid, &error);
    if (log >= 0)
        close(log);
    stack_command_release(&cmd);
    if (rc < 0) {
        fail_boot(s, unit->name, error.text);
        return;
    }
    unit->state = STACK_STARTING;
    unit->starts++;
    emit(s, unit->name, "starting", "");
    if (unit->row->ops->ready)
        start_task(s, unit, run_ready);
}

static bool gates_open(struct supervisor *s, const struct stack_unit *unit)
{
    for (size_t i = 0; i < STACK_GATES_MAX && unit->row->gates[i]; i++)
        if (stack_unit_find(s->world, unit->row->gates[i])->state != STACK_READY)
            return false;
    if (unit->row->kind != BV_STACK_SERVICE)
        return true;
    for (size_t i = 0; i < s->world->unit_count; i++) {
        const struct stack_unit *job = &s->world->units[i];
        if (job->row->kind == BV_STACK_DATABASE && unit->database &&
            strcmp(job->database, unit->database) == 0 && job->state != STACK_READY)
            return false;
    }
    return !s->restarting;
}

static bool all_ready(const struct supervisor *s)
{
    for (size_t i = 0; i < s->world->unit_count; i++)
        if (s->world->units[i].state != STACK_READY)
            return false;
    return true;
}

/* Services know each other's ports from their environment: all of them start again, once the last
 * has ended. */
static void restart_services(struct supervisor *s)
{
    bool running = false;
    for (size_t i = 0; i < s->world->unit_count; i++)
        running = running ||
                  (s->world->units[i].row->kind == BV_STACK_SERVICE && s->world->units[i].pid != 0);
    if (running)
        return;
    s->restarting = false;
    struct bv_error error = {0};
    if (stack_write_env(s->world, &error) < 0)
        fail_boot(s, "", error.text);
}

static void finish_boot(struct supervisor *s)
{
    struct bv_error error = {0};
    int64_t boot_ms = bv_now_ms() - s->world->began_ms;
    if (stack_write_json(s->world, s->shown_pid, s->isolation, boot_ms, &error) < 0) {
        fail_boot(s, "", error.text);
        return;
    }
    s->phase = UP;
    emit(s, "", "ready", "");
}

/* Starts whatever may start now. */
static void advance(struct supervisor *s)
{
    if (s->phase == BOOTING && s->restarting)
        restart_services(s);
    for (size_t i = 0; i < s->world->unit_count && s->phase == BOOTING; i++) {
        struct stack_unit *unit = &s->world->units[i];
        if (unit->task_pid)
            continue;
        if (unit->state == STACK_WAITING && unit->row->ops->cold && unit->row->ops->cold(s->world))
            emit(s, unit->name, "building", "its template, once");
        if (unit->state == STACK_WAITING && unit->row->ops->prepare)
            start_task(s, unit, run_prepare);
        else if (unit->state == STACK_WAITING)
            unit->state = STACK_PREPARED;
        if (unit->state == STACK_PREPARED && !unit->task_pid && gates_open(s, unit))
            start_process(s, unit);
    }
    if (s->phase == BOOTING && all_ready(s))
        finish_boot(s);
}

static void unit_ready(struct supervisor *s, struct stack_unit *unit)
{
    unit->state = STACK_READY;
    unit->failures = 0;
    unit->ready_ms = bv_now_ms() - s->world->began_ms;
    emit(s, unit->name, "ready", "");
}

static void task_ended(struct supervisor *s, struct stack_unit *unit, int status)
{
    struct bv_error error = {0};
    ssize_t n = read(unit->task_fd, error.text, sizeof error.text - 1);
    error.text[n > 0 ? n : 0] = '\0';
    unit->task_pid = 0;
    end_task(unit);
    if (s->phase > UP)
        return;
    if (status != 0) {
        char how[64];
        fail_boot(s, unit->name, error.text[0] ? error.text : bv_wait_text(status, how));
    } else if (unit->state == STACK_WAITING) {
        unit->state = STACK_PREPARED;
    } else if (unit->state == STACK_STARTING) {
        unit_ready(s, unit);
    }
}

static bool lost_port(const struct supervisor *s, const struct stack_unit *unit)
{
    if (s->world->port_mode != BV_STACK_PORTS_RANDOM || unit->starts >= STARTS_MAX)
        return false;
    for (size_t i = 0; i < STACK_PORTS; i++)
        if (unit->ports[i] && !bv_port_free(unit->ports[i]))
            return true;
    return false;
}

static void retry_with_other_ports(struct supervisor *s, struct stack_unit *unit)
{
    struct bv_error error = {0};
    if (stack_unit_ports(s->world, unit, &error) < 0) {
        fail_boot(s, unit->name, error.text);
        return;
    }
    emit(s, unit->name, "retry", "its port was taken by somebody else");
    unit->state = STACK_PREPARED;
    if (unit->row->kind == BV_STACK_SERVER) {
        if (stack_write_env(s->world, &error) < 0)
            fail_boot(s, "", error.text);
        return;
    }
    s->restarting = true;
    for (size_t i = 0; i < s->world->unit_count; i++) {
        struct stack_unit *other = &s->world->units[i];
        if (other->row->kind != BV_STACK_SERVICE || !other->pid)
            continue;
        end_task(other);
        kill(other->pid, SIGKILL);
    }
}

static void boot_process_ended(struct supervisor *s, struct stack_unit *unit, int status)
{
    if (s->restarting && unit->row->kind == BV_STACK_SERVICE && unit->state != STACK_PREPARED) {
        unit->state = STACK_PREPARED;
        return;
    }
    if (unit->row->kind == BV_STACK_DATABASE && status == 0) {
        unit_ready(s, unit);
        return;
    }
    if (unit->state == STACK_STARTING && lost_port(s, unit)) {
        end_task(unit);
        retry_with_other_ports(s, unit);
        return;
    }
    char text[BV_PATH_MAX + 128];
    snprintf(text,
             sizeof text,
             "%s ended with %s, see %s/log/%s.log",
             unit->name,
             unit->ended_text,
             s->world->run,
             unit->name);
    unit->state = STACK_ENDED;
    fail_boot(s, unit->name, text);
}

/* Starts an ended service again when that was asked for, or is the rule of this stack. */
static bool begins_again(struct supervisor *s, struct stack_unit *unit)
{
    if (unit->row->kind != BV_STACK_SERVICE ||
        (!unit->again && s->world->restart == BV_STACK_RESTART_NEVER))
        return false;
    if (!unit->again && unit->state != STACK_READY && ++unit->failures >= FAILURES_MAX)
        return false;
    emit(s, unit->name, "ended", unit->ended_text);
    end_task(unit);
    unit->again = false;
    unit->state = STACK_ENDED;
    start_process(s, unit);
    return unit->state == STACK_STARTING;
}

static void process_ended(struct supervisor *s, struct stack_unit *unit, int status)
{
    char how[64];
    snprintf(unit->ended_text, sizeof unit->ended_text, "%s", bv_wait_text(status, how));
    unit->pid = 0;
    if (s->phase == BOOTING) {
        boot_process_ended(s, unit, status);
        return;
    }
    if (s->phase == UP && begins_again(s, unit))
        return;
    unit->state = STACK_ENDED;
    emit(s, unit->name, s->phase == UP ? "ended" : "stopped", unit->ended_text);
}

static void reap(struct supervisor *s)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return;
        for (size_t i = 0; i < s->world->unit_count; i++) {
            struct stack_unit *unit = &s->world->units[i];
            if (unit->task_pid == pid)
                task_ended(s, unit, status);
            else if (unit->pid == pid)
                process_ended(s, unit, status);
        }
    }
}

/* ---- stopping ---- */

static bool stops_in(const struct stack_unit *unit, enum phase phase)
{
    bool server = unit->row->kind == BV_STACK_SERVER;
    return phase == STOPPING_SERVERS ? server : phase == STOPPING_SERVICES ? !server : true;
}

static void enter_stop_phase(struct supervisor *s, enum phase phase)
{
    int longest_ms = 0;
    s->phase = phase;
    for (size_t i = 0; i < s->world->unit_count; i++) {
        struct stack_unit *unit = &s->world->units[i];
        if (!unit->pid || !stops_in(unit, phase))
            continue;
        if (unit->row->stop_ms > longest_ms)
            longest_ms = unit->row->stop_ms;
        kill(phase == KILLING ? -unit->pid : unit->pid,
             phase == KILLING ? SIGKILL : unit->row->stop_signal);
    }
    s->phase_ends_ms = bv_now_ms() + (phase == KILLING ? KILLED_MS : longest_ms);
}

static void begin_stop(struct supervisor *s)
{
    if (s->phase > UP)
        return;
    for (size_t i = 0; i < s->world->unit_count; i++)
        end_task(&s->world->units[i]);
    enter_stop_phase(s, STOPPING_SERVICES);
}

static void advance_stop(struct supervisor *s)
{
    while (s->phase > UP && s->phase < DONE) {
        bool waits = false;
        for (size_t i = 0; i < s->world->unit_count; i++)
            waits = waits || (s->world->units[i].pid && stops_in(&s->world->units[i], s->phase));
        if (waits && bv_now_ms() < s->phase_ends_ms)
            return;
        if (s->phase == KILLING) {
            s->phase = DONE;
        } else if (waits) { /* this group had its time: end it by force, then go on with the next */
            for (size_t i = 0; i < s->world->unit_count; i++) {
                struct stack_unit *unit = &s->world->units[i];
                if (unit->pid && stops_in(unit, s->phase))
                    kill(-unit->pid, SIGKILL);
            }
            enter_stop_phase(s, s->phase == STOPPING_SERVICES ? STOPPING_SERVERS : KILLING);
        } else {
            enter_stop_phase(s, s->phase == STOPPING_SERVICES ? STOPPING_SERVERS : KILLING);
        }
    }
}

static void remove_folder(struct supervisor *s)
{
    static const char *const parts[] = {
        "data", "env", "bin", "describe", "migrations", "stack.json", "control"};
    char path[BV_PATH_MAX];
    struct bv_error error = {0};
    int rc = 0;
    if (!s->failed)
        rc = bv_fs_remove_tree(s->world->run, &error);
    for (size_t i = 0; s->failed && i < BV_COUNT(parts); i++)
        if (bv_path(path, &error, "%s/%s", s->world->run, parts[i]) == 0 &&
            bv_fs_remove_tree(path, &error) < 0)
            rc = -1;
    if (rc < 0)
        emit(s, "", "warning", error.text);
    char *slash = strrchr(s->world->run, '/');
    if (bv_path(path,
                NULL,
                "%.*s/%s.lock",
                (int)(slash - s->world->run),
                s->world->run,
                s->world->name) == 0)
        unlink(path);
}

/* ---- listening ---- */

static void status_reply(struct supervisor *s, int fd)
{
    struct bv_buf lines = {.max = STACK_PACKET_BYTES - 1};
    for (size_t i = 0; i < s->world->unit_count; i++) {
        const struct stack_unit *unit = &s->world->units[i];
        bv_buf_format(&lines,
                      "%s\t%s\t%d\t%s\n",
                      unit->name,
                      stack_state_name(unit->state),
                      (int)unit->shown_pid,
                      unit->state == STACK_ENDED ? unit->ended_text : "");
    }
    send(fd, lines.data, lines.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    bv_buf_release(&lines);
}

static bool is_command(const char *packet, ssize_t size, const char *word)
{
    return size == (ssize_t)strlen(word) && memcmp(packet, word, strlen(word)) == 0;
}

/* "restart\tPART" and "kill\tPART"; false when the packet is neither. */
static bool is_restart(struct supervisor *s, const char *packet, int fd)
{
    static const struct {
        const char *word;
        int signal;
    } words[] = {
        {"restart\t", SIGTERM},
        {"kill\t",    SIGKILL},
    };
    for (size_t i = 0; i < BV_COUNT(words); i++) {
        size_t size = strlen(words[i].word);
        if (strncmp(packet, words[i].word, size) != 0)
            continue;
        struct stack_unit *unit = stack_unit_find(s->world, packet + size);
        bool known = s->phase == UP && unit && unit->row->kind == BV_STACK_SERVICE;
        if (known) {
            unit->failures = 0;
            unit->again = true;
            unit->state = STACK_PREPARED; /* not ready any more, though it still runs */
            if (unit->pid)
                kill(unit->pid, words[i].signal);
            else
                (void)!begins_again(s, unit);
        }
        send(fd, known ? "ok" : "unknown", known ? 2 : 7, MSG_DONTWAIT | MSG_NOSIGNAL);
        return true;
    }
    return false;
}

static void client_said(struct supervisor *s, size_t index)
{
    char packet[64] = "";
    ssize_t n = recv(s->clients[index].fd, packet, sizeof packet - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (is_command(packet, n, "stop")) {
        s->clients[index].listens = true;
        begin_stop(s);
        return;
    }
    if (is_command(packet, n, "status"))
        status_reply(s, s->clients[index].fd);
    else if (n > 0)
        is_restart(s, packet, s->clients[index].fd);
    close(s->clients[index].fd);
    s->clients[index].fd = 0;
    s->clients[index].listens = false;
}

static void accept_client(struct supervisor *s)
{
    int fd = accept4(s->control, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
        if (s->clients[i].fd == 0) {
            s->clients[i].fd = fd;
            return;
        }
    }
    if (fd >= 0)
        close(fd);
}

static void creator_said(struct supervisor *s)
{
    char packet[64];
    ssize_t n = recv(s->channel, packet, sizeof packet, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (is_command(packet, n, "stop")) {
        begin_stop(s);
        return;
    }
    if (n > 0)
        return;
    close(s->channel);
    s->channel = -1;
    if (s->world->life == BV_STACK_FOREGROUND || s->phase == BOOTING)
        begin_stop(s);
}

static void signal_arrived(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(s);
        else
            begin_stop(s);
    }
}

static int wait_ms(const struct supervisor *s)
{
    int64_t until = s->phase == BOOTING ? s->world->began_ms + s->world->boot_ms_max
                    : s->phase > UP     ? s->phase_ends_ms
                                        : INT64_MAX;
    if (until == INT64_MAX)
        return -1;
    int64_t left = until - bv_now_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void serve(struct supervisor *s)
{
    struct pollfd fds[3 + CLIENTS_MAX];
    fds[0] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = s->channel, .events = POLLIN};
    fds[2] = (struct pollfd){.fd = s->control, .events = POLLIN};
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        fds[3 + i] =
            (struct pollfd){.fd = s->clients[i].fd ? s->clients[i].fd : -1, .events = POLLIN};
    if (poll(fds, BV_COUNT(fds), wait_ms(s)) < 0)
        return;
    if (fds[0].revents)
        signal_arrived(s);
    if (fds[1].revents)
        creator_said(s);
    if (fds[2].revents)
        accept_client(s);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (fds[3 + i].revents && s->clients[i].fd > 0)
            client_said(s, i);
}

static void run(struct supervisor *s)
{
    advance(s);
    while (s->phase != DONE) {
        serve(s);
        if (s->phase == BOOTING && bv_now_ms() >= s->world->began_ms + s->world->boot_ms_max)
            fail_boot(s, "", "not ready in time: --boot-seconds allows more");
        advance(s);
        advance_stop(s);
    }
    bv_kill_children(KILLED_MS); /* what the units left behind */
    remove_folder(s);
    emit(s, "", "stopped", "");
}

/* ---- birth ---- */

static int open_control(const struct stack_world *world, struct bv_error *error)
{
    struct sockaddr_un address;
    stack_control_address(world->run, &address);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old = umask(0177);
    int rc = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof address);
    umask(old);
    if (rc < 0 || listen(fd, CLIENTS_MAX) < 0)
        return bv_fail(
            error, BV_E_IO, "cannot listen on %s: %s", address.sun_path, strerror(errno));
    return fd;
}

static void redirect_output(const struct stack_world *world)
{
    char path[BV_PATH_MAX];
    if (bv_path(path, NULL, "%s/log/supervisor.log", world->run) < 0)
        return;
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(log, 1);
    dup2(log, 2);
}

/* A hub of thousands of connections outgrows the usual soft limit of 1024. */
static void raise_descriptor_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= FILES_WANTED)
        return;
    files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
    setrlimit(RLIMIT_NOFILE, &files);
}

static _Noreturn void be_supervisor(struct stack_world *world, int channel, bool isolated)
{
    setsid();
    umask(022);
    (void)!chdir("/");
    prctl(PR_SET_NAME, STACK_SUPERVISOR_COMM);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    redirect_output(world);
    /* everything else of the creator is closed: above all the other end of our own and other
     * stacks' lifelines */
    const int kept[] = {channel, world->lock_fd};
    bv_close_others(kept, BV_COUNT(kept));
    struct supervisor s = {.world = world,
                           .channel = channel,
                           .isolation = isolated ? "pid-namespace" : "subreaper",
                           .shown_pid = bv_shown_pid()};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_SETMASK, &set, NULL);
    s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    stack_lock_sign(world->lock_fd, s.shown_pid);
    struct bv_error error = {0};
    s.control = open_control(world, &error);
    if (s.control < 0 || stack_write_env(world, &error) < 0)
        fail_boot(&s, "", error.text);
    run(&s);
    _exit(0);
}

static bool write_map(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

/* A PID namespace for the next child: directly as root, inside a user namespace (that maps just
 * this user) otherwise. */
static bool isolate(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWPID | CLONE_NEWIPC) == 0)
        return true;
    if (uid == 0 || unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWIPC) < 0)
        return false;
    char uid_map[48], gid_map[48];
    snprintf(uid_map, sizeof uid_map, "%u %u 1", uid, uid);
    snprintf(gid_map, sizeof gid_map, "%u %u 1", gid, gid);
    return write_map("/proc/self/setgroups", "deny") && write_map("/proc/self/uid_map", uid_map) &&
           write_map("/proc/self/gid_map", gid_map);
}

bool stack_can_isolate(void)
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(isolate() ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* Lends its PID namespace to its child. In the foreground it then waits for the supervisor, so that
 * the creator, who reaps the middle, leaves no zombie behind; it holds no descriptor and no signal
 * of the terminal reaches it. */
static _Noreturn void be_middle(struct stack_world *world, int channel, bool isolated)
{
    setsid();
    if (isolated && !isolate())
        _exit(1);
    pid_t pid = fork();
    if (pid == 0)
        be_supervisor(world, channel, isolated);
    if (pid < 0)
        _exit(1);
    bv_close_others(NULL, 0);
    while (world->life == BV_STACK_FOREGROUND && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    _exit(0);
}

int stack_supervisor_start(struct stack_world *world,
                           int *ret_channel,
                           pid_t *ret_middle,
                           struct bv_error *error)
{
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
        return bv_fail(error, BV_E_LIMIT, "socketpair: %s", strerror(errno));
    const char *refused = getenv("BV_NO_NAMESPACES"); /* for tests of the other way */
    bool isolated = !(refused && *refused == '1') && stack_can_isolate();
    pid_t middle = fork();
    if (middle == 0)
        be_middle(world, channel[1], isolated);
    close(channel[1]);
    int status = 0;
    if (middle > 0 && world->life == BV_STACK_FOREGROUND) {
        *ret_middle = middle;
    } else if (middle < 0 || waitpid(middle, &status, 0) != middle || status != 0) {
        close(channel[0]);
        return bv_fail(error, BV_E_LIMIT, "cannot start the supervisor: %s", strerror(errno));
    }
    *ret_channel = channel[0];
    return 0;
}
