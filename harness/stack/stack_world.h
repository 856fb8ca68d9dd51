/* Everything a stack is made of before and while it runs: folders, users, programs, units, ports,
 * secrets. Invariant: built whole by stack_world_build before the supervisor exists; afterwards
 * only the supervisor changes it. Thread: main. */
#ifndef STACK_WORLD_H
#define STACK_WORLD_H

#include "stack_table.h"
#include "bv/fs.h"
#include <sys/socket.h>
#include <sys/un.h>

enum stack_state {
    STACK_WAITING,  /* for its preparation */
    STACK_PREPARED, /* for its gates */
    STACK_STARTING, /* process runs, not ready yet */
    STACK_READY,    /* a job: it has ended well */
    STACK_ENDED     /* its process is gone */
};
const char *stack_state_name(enum stack_state state);

struct stack_unit {
    char name[32];
    const struct stack_row *row;
    const char *database; /* of services and migrations; borrowed from the table */
    enum stack_state state;
    uint16_t ports[STACK_PORTS];
    pid_t pid;       /* of the process; 0: none */
    pid_t shown_pid; /* as users see it; kept after the end */
    pid_t task_pid;  /* preparation or probe under way; 0: none */
    int task_fd;     /* error text of that task, -1: none */
    int starts;      /* how often it was started */
    int failures;    /* restarts in a row that ended before they were ready */
    bool again;      /* its end is the beginning of a restart that was asked for */
    int64_t ready_ms;
    char ended_text[96];
};

enum { STACK_SETTINGS_BYTES = 2048 };
enum { STACK_SECRETS_MAX = 8, STACK_SECRET_BYTES = 33 };
struct stack_secret {
    const char *key; /* from the table */
    char value[STACK_SECRET_BYTES];
};

struct stack_world {
    char name[BV_STACK_NAME_MAX + 1];
    char run[BV_PATH_MAX];   /* run folder, mode 0711 */
    char cache[BV_PATH_MAX]; /* the user's cache */
    char place[BV_PATH_MAX]; /* cache that the servers' user can read: the same or a stand-in */
    char bin_dir[BV_PATH_MAX];
    char migrations[BV_PATH_MAX]; /* "" when no database is wanted */
    char postgres_bin[BV_PATH_MAX];
    char redis_server[BV_PATH_MAX];
    char java[BV_PATH_MAX];
    char log_level[16];
    char otlp_url[256];
    char settings[STACK_SETTINGS_BYTES]; /* checked: "PART.KEY=value,..." */
    enum bv_stack_life life;
    enum bv_stack_durability durability;
    enum bv_stack_ports port_mode;
    enum bv_stack_restart restart;
    uid_t uid; /* of servers and services */
    gid_t gid;
    int64_t boot_ms_max;
    int64_t began_ms; /* bv_now_ms at bv_stack_up */
    int lock_fd;      /* flock on NAME.lock: held as long as the supervisor lives */
    struct stack_unit units[BV_STACK_UNITS_MAX];
    size_t unit_count;
    struct stack_secret secrets[STACK_SECRETS_MAX];
    size_t secret_count;
};

#define STACK_KAFKA_DEPS "kafka-4.3.1"

/* Checks the wish, finds programs and folders, takes the name, creates the run folder, chooses
 * ports and secrets. Ownership: *ret_world is ended by stack_world_free. Errors: as bv_stack_up. */
BV_MUST_CHECK int stack_world_build(const struct bv_stack_spec *spec,
                                    struct stack_world **ret_world,
                                    struct bv_error *error);
void stack_world_free(struct stack_world **world); /* closes the lock; keeps the folder */

struct stack_unit *stack_unit_find(struct stack_world *world,
                                   const char *name); /* NULL when absent */
uint16_t
stack_port_of(const struct stack_world *world, const char *name, size_t slot); /* 0 when absent */
/* New random ports for unit. Errors: BV_E_LIMIT. */
BV_MUST_CHECK int
stack_unit_ports(struct stack_world *world, struct stack_unit *unit, struct bv_error *error);
const char *stack_secret(const struct stack_world *world, const char *key); /* NULL when absent */

/* Folder of all stacks of this user: $BV_RUN, or bitvelocity-UID below /tmp (/var/tmp when /tmp
 * will not do). */
BV_MUST_CHECK int stack_run_root(char out[BV_PATH_MAX], struct bv_error *error);
BV_MUST_CHECK int stack_name_check(const char *name, struct bv_error *error);
/* Takes the lock of a name, and empties its file. Outcomes: STACK_LOCKED when somebody holds it. */
#define STACK_LOCKED 1
BV_MUST_CHECK int
stack_lock(const char *run_root, const char *name, int *ret_fd, struct bv_error *error);
/* Writes the supervisor's pid, as users see it, into the file of a lock that it holds: the way to a
 * supervisor whose socket was removed. */
void stack_lock_sign(int fd, pid_t supervisor);
/* The supervisor that signed the lock of that name and still runs; 0: none. */
pid_t stack_lock_holder(const char *run_root, const char *name);
#define STACK_SUPERVISOR_COMM "bv-stack" /* its name in /proc, at most 15 bytes */

/* Nothing that is not a stack's is ever removed. Errors: BV_E_EXISTS when the folder holds anything
 * else; none when it does not exist. */
BV_MUST_CHECK int stack_folder_check(const char *run, struct bv_error *error);

/* Address of the control socket below a run folder, whose path is no longer than this. */
enum { STACK_RUN_BYTES_MAX = sizeof((struct sockaddr_un *)0)->sun_path - sizeof "/control" };
void stack_control_address(const char *run, struct sockaddr_un *ret_address);

/* ---- command lines ---- */

enum { STACK_ARGS_MAX = 48, STACK_ENV_MAX = 48 };
struct stack_command {
    struct bv_arena *arena; /* owned */
    const char *argv[STACK_ARGS_MAX];
    const char *env[STACK_ENV_MAX];
    size_t argc;
    size_t envc;
    bool failed; /* something did not fit */
};
/* Opens a command with the environment every process of a stack gets. Ended by
 * stack_command_release. */
BV_MUST_CHECK int stack_command_init(struct stack_command *command,
                                     const struct stack_world *world,
                                     struct bv_error *error);
void stack_command_release(struct stack_command *command);
void stack_arg(struct stack_command *command, const char *format, ...) BV_PRINTF(2, 3);
void stack_env(struct stack_command *command, const char *format, ...) BV_PRINTF(2, 3);
/* The class path of Kafka: every jar below folder by full path, sorted, joined by ':'. The AppCDS
 * archive demands the same string. */
BV_MUST_CHECK int stack_class_path(const char *folder, struct bv_buf *buf, struct bv_error *error);

/* ---- programs, also for doctor ---- */

bool stack_find_postgres(char out[BV_PATH_MAX]); /* folder with postgres and initdb */
bool stack_find_java(char out[BV_PATH_MAX]);
int stack_cache_folder(char out[BV_PATH_MAX], struct bv_error *error);
/* The user that servers run as: the caller, or nobody for root. */
int stack_server_user(uid_t *ret_uid, gid_t *ret_gid, struct bv_error *error);
int stack_place(
    const char *cache, uid_t uid, gid_t gid, char out[BV_PATH_MAX], struct bv_error *error);

#endif
