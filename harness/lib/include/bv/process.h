/* Starting programs and short-lived child tasks, so that none survives its parent.
 * Invariant: every child started here gets SIGKILL (or the signal asked for) when the thread that
 * started it ends. Thread: the main thread of the process only. */
#ifndef BV_PROCESS_H
#define BV_PROCESS_H

#include "bv/bytes.h"
#include <sys/types.h>

struct bv_spawn {
    const char *const *argv; /* NULL-terminated; argv[0] is a path, or a name looked up in PATH */
    const char *const *env;  /* NULL-terminated "KEY=value"; NULL: the caller's environment */
    const char *folder;      /* working folder, NULL: the caller's */
    int in_fd;               /* becomes stdin; -1: /dev/null */
    int out_fd;              /* becomes stdout and stderr; 0 or -1: the caller's */
    int err_fd;              /* becomes stderr instead of out_fd; 0 or -1: as out_fd */
    int death_signal;        /* sent when the parent ends; 0: SIGKILL */
    uid_t uid;               /* user to become when it differs from the caller's */
    gid_t gid;
};

/* Starts a program as leader of its own process group, all signals at their defaults, descriptors
 * above 2 closed. Effect:    returns when exec has succeeded. Ranges:    *ret_pid is for waitpid
 * and kill here; *ret_shown_pid is the number users see, which differs in a PID namespace.
 * Ownership: spec is borrowed for the call.
 * Outcomes:  none.
 * Errors:    BV_E_NOT_FOUND when there is no such program, BV_E_FORBIDDEN, BV_E_IO, BV_E_LIMIT when
 * fork is refused. Thread:    main; blocks until exec (milliseconds). Source:    prctl(2)
 * PR_SET_PDEATHSIG: cleared when credentials change, therefore set after them.
 */
BV_MUST_CHECK int
bv_spawn(const struct bv_spawn *spec, pid_t *ret_pid, pid_t *ret_shown_pid, struct bv_error *error);

/* Runs a program to its end with its output going to log_path (appended; NULL: discarded).
 * Errors: those of bv_spawn; BV_E_UNAVAILABLE with its end ("exit 3", "killed by signal 9") when it
 * is not exit 0. */
BV_MUST_CHECK int bv_run(const struct bv_spawn *spec, const char *log_path, struct bv_error *error);

/* The same with standard output going to out_path (replaced), standard error to log_path. */
BV_MUST_CHECK int bv_run_output(const struct bv_spawn *spec,
                                const char *out_path,
                                const char *log_path,
                                struct bv_error *error);

/* A function run in a forked child, so that it may block, use any library and be killed.
 * Effect: the child closes all descriptors above 2 but the pipe, runs run(argument, &error) and
 * exits with 0 or 1. Ranges: *ret_text_fd reads the error's text until end of file. Ownership: the
 * caller reaps *ret_pid and closes *ret_text_fd. Errors: BV_E_LIMIT. Thread: main of a process with
 * one thread. */
BV_MUST_CHECK int bv_task_start(int (*run)(void *argument, struct bv_error *error),
                                void *argument,
                                uid_t uid,
                                gid_t gid,
                                pid_t *ret_pid,
                                int *ret_text_fd,
                                struct bv_error *error);

/* Gives up the caller's user for good; the signal at the parent's end, which that clears, is set
 * again (SIGKILL). Nothing to do when uid is the caller's. For forked tasks. Errors:
 * BV_E_FORBIDDEN. */
BV_MUST_CHECK int bv_become(uid_t uid, gid_t gid, struct bv_error *error);

/* Closes all descriptors above 2 but the count ones in keep. */
void bv_close_others(const int *keep, size_t count);

/* Kills and reaps every child of a process that is PID 1 of its namespace or a subreaper, again and
 * again, until none is left (orphans of the killed become children too) or limit_ms has passed. */
void bv_kill_children(int64_t limit_ms);

/* The pid of the calling process as the mounted /proc shows it; getpid() when /proc is missing. */
pid_t bv_shown_pid(void);

/* "exit 1", "killed by signal 11 (Segmentation fault)" of a waitpid status. */
const char *bv_wait_text(int status, char out[64]);

/* Full path of program by PATH; false when it is not there or not executable. */
bool bv_program_find(const char *program, char *out, size_t size);

/* Memory and CPU of a process and its descendants, from /proc. */
struct bv_usage {
    int64_t rss_bytes; /* sum of resident sets: shared pages count once per process */
    int64_t pss_bytes; /* shared pages divided among their users; equals rss_bytes where /proc
                          refuses it */
    int64_t cpu_ms;    /* user and system, ended children included */
    int processes;     /* 0: no such process */
};
void bv_usage_of(pid_t shown_pid, struct bv_usage *ret_usage);

#endif
