#include "bv/process.h"

#include "bv/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct birth { /* what a child tells through its pipe: first its pid, then, when exec failed, errno
                */
    int32_t shown_pid;
    int32_t failed_errno;
};

pid_t bv_shown_pid(void)
{
    char text[32];
    ssize_t n = readlink("/proc/self", text, sizeof text - 1);
    if (n <= 0)
        return getpid();
    text[n] = '\0';
    return (pid_t)strtol(text, NULL, 10);
}

void bv_close_others(const int *keep, size_t count)
{
    for (int first = 3;;) {
        int next = -1; /* the lowest kept descriptor from first on */
        for (size_t i = 0; i < count; i++)
            if (keep[i] >= first && (next < 0 || keep[i] < next))
                next = keep[i];
        if (next != first)
            syscall(SYS_close_range, (unsigned)first, next < 0 ? ~0u : (unsigned)next - 1, 0u);
        if (next < 0)
            return;
        first = next + 1;
    }
}

static void signals_default(void)
{
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become(uid_t uid, gid_t gid)
{
    if (uid == geteuid())
        return 0;
    if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
        return -1;
    return 0;
}

int bv_become(uid_t uid, gid_t gid, struct bv_error *error)
{
    if (become(uid, gid) < 0)
        return bv_fail(error, BV_E_FORBIDDEN, "cannot become uid %u: %s", uid, strerror(errno));
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return 0;
}

/* The parent may have ended between fork and prctl: then nobody would send the signal any more. */
static void die_with_parent(int signal_number, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, signal_number ? signal_number : SIGKILL);
    if (getppid() != parent)
        _exit(127);
}

static int redirect(const struct bv_spawn *spec)
{
    int in = spec->in_fd >= 0 ? spec->in_fd : open("/dev/null", O_RDONLY);
    if (in < 0 || dup2(in, 0) < 0)
        return -1;
    if (spec->out_fd > 0 && (dup2(spec->out_fd, 1) < 0 || dup2(spec->out_fd, 2) < 0))
        return -1;
    if (spec->err_fd > 0 && dup2(spec->err_fd, 2) < 0)
        return -1;
    return spec->folder ? chdir(spec->folder) : 0;
}

static _Noreturn void child_exec(const struct bv_spawn *spec, int report, pid_t parent)
{
    struct birth birth = {.shown_pid = bv_shown_pid()};
    signals_default();
    setpgid(0, 0);
    if (write(report, &birth, sizeof birth) == (ssize_t)sizeof birth && redirect(spec) == 0 &&
        become(spec->uid, spec->gid) == 0) {
        die_with_parent(spec->death_signal, parent);
        bv_close_others(&report, 1);
        if (spec->env)
            execvpe(spec->argv[0], (char *const *)spec->argv, (char *const *)spec->env);
        else
            execvp(spec->argv[0], (char *const *)spec->argv);
    }
    birth.failed_errno = errno ? errno : EIO;
    (void)!write(report, &birth, sizeof birth);
    _exit(127);
}

static int exec_failed(const char *program, int number, struct bv_error *error)
{
    int code = number == ENOENT                      ? BV_E_NOT_FOUND
               : number == EACCES || number == EPERM ? BV_E_FORBIDDEN
                                                     : BV_E_IO;
    return bv_fail(error, code, "cannot start %s: %s", program, strerror(number));
}

static ssize_t read_whole(int fd, void *data, size_t size)
{
    ssize_t n;
    do
        n = read(fd, data, size);
    while (n < 0 && errno == EINTR);
    return n;
}

int bv_spawn(const struct bv_spawn *spec,
             pid_t *ret_pid,
             pid_t *ret_shown_pid,
             struct bv_error *error)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return bv_fail(error, BV_E_LIMIT, "pipe: %s", strerror(errno));
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        int number = errno;
        close(report[0]);
        close(report[1]);
        return bv_fail(error, BV_E_LIMIT, "fork: %s", strerror(number));
    }
    if (pid == 0)
        child_exec(spec, report[1], parent);
    close(report[1]);
    struct birth birth = {0}, failure = {0};
    ssize_t n = read_whole(report[0], &birth, sizeof birth);
    ssize_t m = n == sizeof birth ? read_whole(report[0], &failure, sizeof failure) : -1;
    close(report[0]);
    if (m == 0) {
        *ret_pid = pid;
        *ret_shown_pid = birth.shown_pid;
        return 0;
    }
    waitpid(pid, NULL, 0);
    return exec_failed(spec->argv[0], m > 0 ? failure.failed_errno : EIO, error);
}

static int open_output(const char *path, int flags, int *ret_fd, struct bv_error *error)
{
    *ret_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    if (*ret_fd < 0)
        return bv_fail(error, BV_E_IO, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

static int run_to_end(const struct bv_spawn *spec, const char *log_path, struct bv_error *error)
{
    pid_t pid = 0, shown = 0;
    BV_TRY(bv_spawn(spec, &pid, &shown, error));
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    char text[64];
    if (status != 0)
        return bv_fail(error,
                       BV_E_UNAVAILABLE,
                       "%s ended with %s%s%s",
                       spec->argv[0],
                       bv_wait_text(status, text),
                       log_path ? ", see " : "",
                       log_path ? log_path : "");
    return 0;
}

int bv_run(const struct bv_spawn *spec, const char *log_path, struct bv_error *error)
{
    struct bv_spawn with_log = *spec;
    BV_TRY(open_output(log_path ? log_path : "/dev/null", O_APPEND, &with_log.out_fd, error));
    int rc = run_to_end(&with_log, log_path, error);
    close(with_log.out_fd);
    return rc;
}

int bv_run_output(const struct bv_spawn *spec,
                  const char *out_path,
                  const char *log_path,
                  struct bv_error *error)
{
    struct bv_spawn both = *spec;
    BV_TRY(open_output(out_path, O_TRUNC, &both.out_fd, error));
    int rc = open_output(log_path, O_APPEND, &both.err_fd, error);
    if (rc == 0) {
        rc = run_to_end(&both, log_path, error);
        close(both.err_fd);
    }
    close(both.out_fd);
    return rc;
}

int bv_task_start(int (*run)(void *argument, struct bv_error *error),
                  void *argument,
                  uid_t uid,
                  gid_t gid,
                  pid_t *ret_pid,
                  int *ret_text_fd,
                  struct bv_error *error)
{
    int text[2];
    if (pipe2(text, O_CLOEXEC) < 0)
        return bv_fail(error, BV_E_LIMIT, "pipe: %s", strerror(errno));
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        close(text[0]);
        close(text[1]);
        return bv_fail(error, BV_E_LIMIT, "fork: %s", strerror(errno));
    }
    if (pid == 0) {
        signals_default();
        bv_close_others(&text[1], 1);
        struct bv_error failure = {0};
        int rc = bv_become(uid, gid, &failure);
        die_with_parent(SIGKILL, parent);
        if (rc == 0)
            rc = run(argument, &failure);
        if (rc != 0)
            (void)!write(text[1], failure.text, strlen(failure.text));
        _exit(rc == 0 ? 0 : 1);
    }
    close(text[1]);
    *ret_pid = pid;
    *ret_text_fd = text[0];
    return 0;
}

const char *bv_wait_text(int status, char out[64])
{
    if (WIFSIGNALED(status))
        snprintf(
            out, 64, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, 64, "exit %d", WEXITSTATUS(status));
    return out;
}

bool bv_program_find(const char *program, char *out, size_t size)
{
    if (strchr(program, '/')) {
        snprintf(out, size, "%s", program);
        return access(out, X_OK) == 0;
    }
    const char *path = getenv("PATH");
    for (const char *part = path ? path : "/usr/local/bin:/usr/bin:/bin"; *part;) {
        size_t length = strcspn(part, ":");
        snprintf(out, size, "%.*s/%s", (int)length, part, program);
        if (length > 0 && access(out, X_OK) == 0)
            return true;
        part += length + (part[length] == ':');
    }
    return false;
}

/* ---- /proc ---- */

enum { PROCESSES_MAX = 4096 };
struct proc_row {
    pid_t pid;
    pid_t parent;
    int64_t cpu_ticks;
    int64_t rss_pages;
};

static bool proc_row_read(const char *pid_text, struct proc_row *row)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%s/stat", pid_text);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *after = strrchr(text, ')'); /* the name may hold blanks and parentheses */
    char state;
    int parent;
    long utime, stime, cutime, cstime, rss;
    if (!after || sscanf(after + 1,
                         " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld %*d %*d %*d "
                         "%*d %*u %*u %ld",
                         &state,
                         &parent,
                         &utime,
                         &stime,
                         &cutime,
                         &cstime,
                         &rss) != 7)
        return false;
    *row = (struct proc_row){(pid_t)strtol(pid_text, NULL, 10),
                             parent,
                             utime + stime + cutime + cstime,
                             state == 'Z' ? 0 : rss};
    return state != 'Z' && state != 'X';
}

static int64_t pss_of(pid_t pid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    long kib = -1;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %ld", &kib) == 1)
            break;
    fclose(file);
    return kib < 0 ? -1 : (int64_t)kib * 1024;
}

static size_t proc_rows(struct proc_row *rows)
{
    DIR *folder = opendir("/proc");
    if (!folder)
        return 0;
    size_t count = 0;
    for (struct dirent *entry; count < PROCESSES_MAX && (entry = readdir(folder));)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            proc_row_read(entry->d_name, &rows[count]))
            count++;
    closedir(folder);
    return count;
}

static void usage_add(const struct proc_row *row, struct bv_usage *usage)
{
    int64_t rss = row->rss_pages * sysconf(_SC_PAGESIZE);
    int64_t pss = pss_of(row->pid);
    usage->rss_bytes += rss;
    usage->pss_bytes += pss < 0 ? rss : pss;
    usage->cpu_ms += row->cpu_ticks * 1000 / sysconf(_SC_CLK_TCK);
    usage->processes++;
}

void bv_usage_of(pid_t shown_pid, struct bv_usage *ret_usage)
{
    *ret_usage = (struct bv_usage){0};
    struct proc_row *rows = calloc(PROCESSES_MAX, sizeof *rows);
    bool *taken = calloc(PROCESSES_MAX, sizeof *taken);
    size_t count = rows && taken ? proc_rows(rows) : 0;
    for (bool grown = true; grown;) {
        grown = false;
        for (size_t i = 0; i < count; i++) {
            bool belongs = rows[i].pid == shown_pid;
            for (size_t j = 0; j < count && !belongs; j++)
                belongs = taken[j] && rows[j].pid == rows[i].parent;
            if (belongs && !taken[i]) {
                taken[i] = grown = true;
                usage_add(&rows[i], ret_usage);
            }
        }
    }
    free(rows);
    free(taken);
}

static void kill_own_children(void)
{
    DIR *folder = opendir("/proc");
    const pid_t self = bv_shown_pid();
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        struct proc_row row;
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            proc_row_read(entry->d_name, &row) && row.parent == self)
            kill(row.pid, SIGKILL);
    }
    if (folder)
        closedir(folder);
}

void bv_kill_children(int64_t limit_ms)
{
    for (int64_t ends_ms = bv_now_ms() + limit_ms;;) {
        if (getpid() == 1)
            kill(-1, SIGKILL);
        else
            kill_own_children();
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        }
        if (pid < 0 || bv_now_ms() >= ends_ms)
            return;
        bv_retry_pause();
    }
}
